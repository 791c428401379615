// Command sim-lease asks how soon a crash is noticed, and how many bytes that costs, for one lease of presence:
//
//	go run ./docs/examples/sim-lease 100s
package main

import (
	"fmt"
	"log"
	"os"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

const crashes = `
version: 1
name: crashes
duration: 8m
nodes: [{class: person, count: 20}]
rosters: {mean: 5}
faults: [{at: 1m, for: 5m, share: 40%, crash: true}]
`

func main() {
	lease := "150s"
	if len(os.Args) > 1 {
		lease = os.Args[1]
	}
	s, err := scenario.Read("crashes", []byte(crashes), scenario.Set{Path: "node.lease", Value: lease})
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{})
	if err != nil {
		log.Fatal(err)
	}
	var r measure.Result
	virtual.Run(p.Seed, func() { r, err = sim.Run(p, sim.Options{}) })
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range r.Summary.Values {
		if v.Metric == "notice_crashed_p50" || v.Metric == "bytes_per_node_hour" {
			d, _ := measure.Define(v.Metric)
			fmt.Printf("%s = %.0f %s (of %d)\n    %s\n", v.Metric, v.Value, d.Unit, v.N, d.Text)
		}
	}
}
