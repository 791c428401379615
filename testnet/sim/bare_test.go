package sim

import (
	"os"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

const talking = `version: 1
name: talking
warmup: 1m
duration: 4m
nodes: [{class: a, count: 50}]
rosters: {model: random, mean: 5}
workload: [{presence: 30s}]
`

// realNodes run the plan as it is.
func realNodes(b testing.TB, p *plan.Plan, dir string) (c Cost) {
	empty, few := held()
	began := cpuTime()
	var start time.Duration
	var at int
	r, err := Run(p, Options{Homes: dir, Progress: func(g Progress) {
		switch {
		case start == 0: // the first sample, at the end of the warm-up
			c.Boot = (cpuTime() - began) / time.Duration(len(p.Nodes))
			start, at = cpuTime(), g.Seen
		case g.Now > p.End()-15*time.Second && c.Memory == 0:
			c.Deliveries = g.Seen - at
			c.Delivery = (cpuTime() - start) / time.Duration(max(c.Deliveries, 1))
			bytes, all := held()
			c.Memory, c.Goroutines = (bytes-empty)/float64(len(p.Nodes)), (all-few)/float64(len(p.Nodes))
		}
	}})
	if err != nil || len(r.Summary.Errors) > 0 {
		b.Fatal(err, r.Summary.Errors)
	}
	time.Sleep(2 * time.Minute)
	return c
}

// TestNodesBesideBareHosts sets nodes beside bare hosts of libp2p that gossip along the same graph, over the same links, in one process
// and one run: memory, goroutines, what a start takes, and what a delivery takes with everything that goes on beside it. It is run by
// hand, with HUM_NODES=100, and HUM_ROSTER=10 for rosters of ten.
func TestNodesBesideBareHosts(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("HUM_NODES"))
	if err != nil {
		t.Skip("HUM_NODES says how many")
	}
	var sets []scenario.Set
	if mean := os.Getenv("HUM_ROSTER"); mean != "" {
		set, err := scenario.ParseSet("rosters.mean=" + mean)
		if err != nil {
			t.Fatal(err)
		}
		sets = append(sets, set)
	}
	s, err := scenario.Read("talking", []byte(talking), sets...)
	if err != nil {
		t.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{Nodes: count})
	if err != nil {
		t.Fatal(err)
	}
	dir := homes(t)
	var bare, ours Cost
	synctest.Test(t, func(t *testing.T) { bare, err = BareHosts(p) })
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) { ours = realNodes(t, p, dir) })
	for name, c := range map[string]Cost{"bare hosts": bare, "nodes": ours} {
		t.Logf("%s: %.0f KB and %.0f goroutines each, %v to boot, %d deliveries of %v", name, c.Memory/1024, c.Goroutines, c.Boot.Round(10*time.Microsecond), c.Deliveries, c.Delivery.Round(time.Microsecond))
	}
	if bare.Deliveries == 0 || ours.Deliveries == 0 || ours.Memory <= bare.Memory {
		t.Errorf("%+v, %+v", bare, ours)
	}
}
