// Command sim-whisper adds an adversary of its own to a simulated network: one that passes on nine records of ten.
//
//	go run ./docs/examples/sim-whisper
package main

import (
	"fmt"
	"log"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

func main() {
	r, heard := whisper(15, "5m")
	fmt.Println(r.Summary.Verdict, r.Summary.Expect[0].Clause, "is", r.Summary.Expect[0].Got, "with", heard, "records heard")
}

// whisper runs so many people for so long, with two adversaries among them, and returns how many records those heard.
func whisper(people int, duration string) (r measure.Result, heard int) {
	sim.Register("whisper", func() sim.Behaviour {
		return &sim.Rogue{Take: func(topic string, record []byte) (passOn bool) {
			heard++
			return heard%10 != 0
		}}
	})
	s, err := scenario.Read("whisper", fmt.Appendf(nil, `
version: 1
name: whisper
duration: %s
nodes: [{class: person, count: %d}, {class: whisper, count: 2, behaviour: whisper}]
workload: [{presence: exp(1m), class: person}]
expect: [delivery_ratio >= 0.99]
`, duration, people))
	if err != nil {
		log.Fatal(err)
	}
	p, err := plan.Make(s, plan.Options{})
	if err != nil {
		log.Fatal(err)
	}
	virtual.Run(p.Seed, func() {
		if r, err = sim.Run(p, sim.Options{}); err != nil {
			log.Fatal(err)
		}
	})
	return r, heard
}
