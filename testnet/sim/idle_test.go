package sim

import (
	"testing"
	"time"
)

const silent = `version: 1
name: silent
warmup: 6m
duration: 10m
nodes: [{class: a, count: 8}]
rosters: {model: random, mean: 5}
measure: {events: none}
`

// An idle node sends a beacon each minute, hears one of each of its five contacts, and rests in between. What is bounded here is
// counted, not timed: how often it reads its clock, which it does first whenever it wakes, and how many frames leave it. It reads the clock
// 137 to 140 times a minute: about ten times for each of six beacons, and for ticks that are no more often than each ten seconds. A look at each contact
// every five seconds, with nothing due, would make it 200.
func TestAnIdleNodeRests(t *testing.T) {
	type count struct{ reads, frames float64 }
	var w *World
	look := func() (c count) {
		for _, p := range w.Peers {
			c.reads += float64(p.clock.Reads())
			for _, to := range w.Peers {
				if to != p {
					c.frames += float64(w.Net.Traffic(p.IP, to.IP).Frames)
				}
			}
		}
		return c
	}
	var first, last count
	var from, to time.Duration
	r := run(t, "silent.yaml", []byte(silent), 0, Options{Before: func(made *World) { w = made }, Progress: func(g Progress) {
		if first.reads == 0 {
			first, from = look(), g.Now
		}
		last, to = look(), g.Now
	}})
	if len(r.Summary.Errors) > 0 || to-from < 9*time.Minute {
		t.Fatalf("from %v to %v: %v", from, to, r.Summary.Errors)
	}
	minutes := (to - from).Minutes() * float64(len(w.Peers))
	for _, x := range []struct {
		what         string
		count, bound float64
	}{
		{"readings of the clock", last.reads - first.reads, 175},
		{"frames", last.frames - first.frames, 32},
	} {
		got := x.count / minutes
		t.Logf("%s of a node in a minute: %.0f", x.what, got)
		if got > x.bound || got == 0 {
			t.Errorf("%s of an idle node in a minute: %.0f, more than %.0f", x.what, got, x.bound)
		}
	}
}
