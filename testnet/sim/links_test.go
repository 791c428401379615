package sim

import (
	"math"
	"testing"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/scenario"
)

// TestLinksAgree: on clean links presence and messages take the same time and come just as surely whatever the links are made
// of, so that what stream links say of them can be believed; what goes over the network is more on those that are real.
func TestLinksAgree(t *testing.T) {
	text := `version: 1
name: links
warmup: 1m
duration: 2m
nodes: [{class: a, count: 5}]
rosters: {model: ring, mean: 2}
workload: [{presence: 20s, message: 30s}]
faults: [{at: 40s, for: 20s, partition: half}]
expect: [delivery_ratio == 1, messages_lost == 0, messages_doubled == 0, message_ratio >= 0.9, deaths == 0]
`
	got := map[string]measure.Result{}
	for _, links := range []string{"stream", "noise", "quic"} {
		r := run(t, "links", []byte(text), 0, Options{}, scenario.Set{Path: "fidelity", Value: links})
		for _, e := range r.Summary.Expect {
			if !e.OK {
				t.Errorf("%s: %s: %v (%s)", links, e.Clause, e.Got, e.Why)
			}
		}
		for _, e := range r.Summary.Errors {
			t.Errorf("%s: %s", links, e)
		}
		if r.Manifest.Fidelity != links {
			t.Errorf("the manifest says %s, of %s", r.Manifest.Fidelity, links)
		}
		got[links] = r
	}
	for _, links := range []string{"noise", "quic"} {
		for metric, most := range map[string]float64{"notice_said_p50": 0.1, "message_p50": 0.1, "ack_p50": 0.1, "bytes_per_node_hour": 0.15, "connections": 0.1} {
			a, b := figure(t, got["stream"], metric), figure(t, got[links], metric)
			if math.Abs(a-b) > most*a {
				t.Errorf("%s is %.4g on stream links, and %.4g on %s links", metric, a, b, links)
			}
		}
		own, sent := figure(t, got[links], "bytes_per_node_hour"), figure(t, got[links], "bytes_network_hour")
		if sent < 1.03*own || sent > 2*own {
			t.Errorf("%s links make %.4g bytes of %.4g", links, sent, own)
		}
	}
}

// TestNobodyIsReachedDirectly: behind NATs that let nobody in nothing comes directly, whatever the links are made of, though
// nodes keep trying; where there is no NAT much does.
func TestNobodyIsReachedDirectly(t *testing.T) {
	sets := []scenario.Set{{Path: "warmup", Value: "1m"}, {Path: "duration", Value: "2m"}, {Path: "expect", Value: "[delivery_ratio >= 0.98, deaths == 0]"}}
	for _, links := range []string{"stream", "noise", "quic"} {
		r := builtin(t, "relays-only", 4, append(sets, scenario.Set{Path: "fidelity", Value: links})...)
		if share := figure(t, r, "direct_share"); share != 0 {
			t.Errorf("%s: %.3g of the bytes of who cannot be dialled come directly", links, share)
		}
	}
	open := builtin(t, "relays-only", 4, append(sets, scenario.Set{Path: "nodes.0.nat", Value: "0"})...)
	if share := figure(t, open, "direct_share"); share < 0.1 {
		t.Errorf("only %.3g of the bytes of who can be dialled come directly", share)
	}
}
