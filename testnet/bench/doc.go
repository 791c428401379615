// Package bench holds the figures of docs/figures.md: each is measured beside its floor in the same run, and
// reported as a ratio, since on a shared machine nothing else can be compared.
//
// A floor is the least that any program must spend to give the same promise with the same libraries: a
// libp2p stream, signatures, a synced row. Node and floor take turns in short rounds, since what else runs on
// the machine slows both, and the median of all rounds' ratios counts. So a round is one operation of the benchmark, and -benchtime=10x says how many there are:
//
//	go test ./testnet/bench -run '^$' -bench 'Ack|Pipeline' -benchtime 10x
//
// BenchmarkStart builds cmd/hum. BenchmarkIdle watches a node do nothing, for as long as -idle says; it is
// skipped without that flag.
package bench
