package plan

import (
	"fmt"
	"time"
)

// An Estimate says what a run costs, from figures measured on one core of a 2020s server (docs/figures.md). It is
// right within a factor of two or so.
type Estimate struct {
	Nodes, Watches int
	Adversaries    int
	Roster         float64 // mean
	Connections    int
	Changes        int // of presence
	Deliveries     int // of changes to watchers
	Beacons        int // deliveries of beacons
	Messages       int
	Starts         int
	Memory         int64         // bytes
	CPU            time.Duration // of one core
	Virtual        time.Duration
}

// What things cost.
const (
	memoryBase    = 40 << 20
	memoryNode    = 900 << 10
	memoryContact = 200 << 10 // each end of a connection, with what is said on it
	memoryDisk    = 11 << 20  // what a database of its own adds
	cpuStart      = 14 * time.Millisecond
	cpuWatch      = 10 * time.Millisecond
	cpuDelivery   = 800 * time.Microsecond
	cpuBeacon     = 400 * time.Microsecond
	cpuMessage    = 6 * time.Millisecond
	cpuIdle       = 140 * time.Microsecond // a node in a virtual second
)

// Estimate works it out of what was planned.
func (p *Plan) Estimate() Estimate {
	e := Estimate{Nodes: len(p.Nodes), Watches: len(p.Watches), Virtual: p.End(), Starts: len(p.Nodes)}
	watched := make([]int, len(p.Nodes))
	pairs := map[[2]int]bool{}
	for _, w := range p.Watches {
		watched[w.Presentity]++
		pairs[[2]int{min(w.Watcher, w.Presentity), max(w.Watcher, w.Presentity)}] = true
	}
	for _, a := range p.Actions {
		switch a.Kind {
		case Say:
			e.Changes++
			e.Deliveries += watched[a.Node]
		case Send:
			e.Messages++
		case Up:
			e.Starts++
			e.Deliveries += watched[a.Node]
		}
	}
	disks := 0
	for _, n := range p.Nodes {
		if n.Class.Store == "disk" {
			disks++
		}
		if n.Adversary {
			e.Adversaries++
		}
	}
	e.Connections = len(pairs)
	if honest := e.Nodes - e.Adversaries; honest > 0 {
		e.Roster = float64(e.Watches) / float64(honest)
	}
	period := min(time.Minute, p.Scenario.Node.Lease.D()*2/5)
	e.Beacons = int(float64(e.Watches) * p.End().Seconds() / max(period, time.Second).Seconds())
	e.Memory = memoryBase + int64(e.Nodes)*memoryNode + 2*int64(e.Connections)*memoryContact + int64(disks)*memoryDisk
	e.Memory += int64(len(p.Towns)) * (memoryNode + memoryDisk)
	e.CPU = time.Duration(e.Starts)*cpuStart + time.Duration(e.Watches)*cpuWatch + time.Duration(e.Deliveries)*cpuDelivery +
		time.Duration(e.Beacons)*cpuBeacon + time.Duration(e.Messages)*cpuMessage +
		time.Duration(float64(e.Nodes)*p.End().Seconds())*cpuIdle
	return e
}

// Limits are what a run may cost without being asked for.
type Limits struct {
	Memory int64
	CPU    time.Duration
}

// Over says why a run does not fit, or "".
func (e Estimate) Over(l Limits) string {
	switch {
	case l.Memory > 0 && e.Memory > l.Memory:
		return fmt.Sprintf("it needs about %.1f GB of memory, and there are %.1f", float64(e.Memory)/1e9, float64(l.Memory)/1e9)
	case l.CPU > 0 && e.CPU > l.CPU:
		return fmt.Sprintf("it takes about %v of one core", e.CPU.Round(time.Minute))
	}
	return ""
}
