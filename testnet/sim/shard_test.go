package sim

import (
	"strings"
	"testing"
	"time"
)

// loner acts on other nodes without saying how where they are in other processes.
type loner struct{}

func (loner) Begin(*World, *Peer) error   { return nil }
func (loner) Figures() map[string]float64 { return nil }
func (loner) End()                        {}

// TestLookahead: a window is as long as the least latency between processes, and what cannot be spread is refused in words.
func TestLookahead(t *testing.T) {
	Register("loner", func() Behaviour { return loner{} })
	const two = "version: 1\nname: two\nduration: 1m\nlinks: {latency: 40ms}\n"
	tests := []struct {
		nodes  string
		shards int
		want   time.Duration
		says   string
	}{
		{"nodes: [{class: a, count: 4}]", 2, 40 * time.Millisecond, ""},
		{"nodes: [{class: a, count: 4}]\nfidelity: noise", 2, 40 * time.Millisecond, ""},
		{"nodes: [{class: a, count: 4}]\nfidelity: quic", 2, 40 * time.Millisecond, ""},
		{"nodes: [{class: a, count: 4}, {class: b, exactly: 1, behaviour: prober}]", 2, unknownDelay, ""},
		{"nodes: [{class: a, count: 4}, {class: b, exactly: 1, behaviour: loner}]", 2, 0, "loner of class b"},
		{"nodes: [{class: a, count: 4}]", 5, 0, "4 nodes cannot be spread over 5"},
	}
	for _, tt := range tests {
		got, err := Lookahead(planned(t, two+tt.nodes+"\n"), tt.shards)
		if got != tt.want || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s over %d: %v, %v", tt.nodes, tt.shards, got, err)
		}
	}
}
