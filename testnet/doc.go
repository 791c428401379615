// Package testnet runs whole nodes on a simulated network in virtual time.
//
// A [Network] is a libp2p transport: below it there is no socket but one heap of events, above it stand
// the real swarm, the real gossip and the real node. Connections carry muxed streams in memory ([Stream]), or
// the real noise and yamux over bytes in order ([Noise]), or the real QUIC over packets ([QUIC]). A link has
// latency, jitter, loss, which costs time but never bytes, as on TCP, unless it is of packets, and can be cut; a
// node can be killed, refuse to be dialled, or have a slow line.
//
// It is made for testing/synctest: outside of a bubble it works too, but then in real time. Everything
// that the network decides by chance is a pure function of the seed, the connection, the stream and the
// number of the frame, so that one pair's luck does not depend on what others do. The order in which Go
// runs goroutines that are ready at the same instant is not under its control.
package testnet
