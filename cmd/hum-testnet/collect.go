package main

import (
	"os"
	"runtime/debug"

	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

// collect has the heap collected as often as memory asks for: a run that needs much of what is free trades processor time for it.
// Who sets GOGC or GOMEMLIMIT has it his way, and an exact program collects when its nodes wait.
func collect(p *plan.Plan, shards int) {
	left := sim.MemoryLeft()
	if virtual.Exact || left == 0 {
		return
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(growth(p.Estimate().Memory, left))
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(left * 9 / 10 / int64(max(1, shards)))
	}
}

// growth is by how many hundredths the heap may grow between two collections. Against 100, 30 takes a fifth of the memory off, for a
// fifth more of processor time.
func growth(need, left int64) int {
	switch {
	case need < left/3:
		return 100
	case need < left*2/3:
		return 60
	}
	return 30
}
