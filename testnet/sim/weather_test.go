package sim

import (
	"math"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/plan"
)

// TestWeatherAddsUp: two things that strike a line at the same time both count, and when one is over the other goes on.
func TestWeatherAddsUp(t *testing.T) {
	p := planned(t, `version: 1
name: weather
duration: 10m
nodes: [{class: a, count: 2, loss: 10%}]
faults:
  - {at: 1m, for: 4m, loss: 20%}
  - {at: 2m, for: 6m, latency: 300ms}
  - {at: 3m, for: 6m, loss: 50%}
`)
	w := &World{Plan: p}
	one := &Peer{Node: p.Nodes[0], w: w}
	var got [][2]float64 // loss, and latency in s
	for _, a := range p.Actions {
		if a.Kind == plan.Weather {
			one.weather(a)
			l := w.lineOf(one)
			got = append(got, [2]float64{l.Loss, l.Latency.Seconds()})
		}
	}
	want := [][2]float64{{0.28, 0}, {0.28, 0.3}, {0.64, 0.3}, {0.55, 0.3}, {0.55, 0}, {0.1, 0}}
	if len(got) != len(want) {
		t.Fatalf("%v, want %v", got, want)
	}
	for i := range got {
		if math.Abs(got[i][0]-want[i][0]) > 1e-9 || got[i][1] != want[i][1] {
			t.Errorf("after %d: %v, want %v", i+1, got[i], want[i])
		}
	}
	if one.slower != time.Duration(0) || len(one.losses) != 0 {
		t.Errorf("%v and %v are left", one.slower, one.losses)
	}
}
