package sim

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/scenario"
)

// size is small here, and as large as the requirement says with HUM_LONG=1, by hand.
func size(small, large int) int {
	if os.Getenv("HUM_LONG") == "1" {
		return large
	}
	return small
}

func figure(t *testing.T, r measure.Result, metric string) float64 {
	t.Helper()
	for _, v := range r.Summary.Values {
		if v.Metric == metric {
			return v.Value
		}
	}
	t.Fatalf("no figure %s", metric)
	return 0
}

func builtin(t *testing.T, name string, nodes int, sets ...scenario.Set) measure.Result {
	t.Helper()
	text, err := scenario.BuiltinText(name)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, name, text, nodes, Options{}, sets...)
	for _, e := range r.Summary.Expect {
		if !e.OK {
			t.Errorf("%d nodes: %s: %v (%s)", nodes, e.Clause, e.Got, e.Why)
		}
	}
	for _, e := range r.Summary.Errors {
		t.Error(e)
	}
	m := r.Manifest
	t.Logf("%d nodes: %.0f virtual s in %.1f s of processor time, %.0f KB a node, rosters of %.1f, %.0f changes seen", m.Nodes, m.Virtual, m.CPU,
		float64(m.PeakRSS)/float64(m.Nodes)/1024, figure(t, r, "roster_mean"), figure(t, r, "changes"))
	return r
}

// What a node costs depends on its own contacts and not on how many others there are. Two sizes are held against each
// other.
func TestReq_2_2_2_CostFollowsOwnContacts(t *testing.T) {
	few := builtin(t, "growth", size(8, 1000))
	many := builtin(t, "growth", size(32, 4000))
	for _, metric := range []string{"connections", "stored_bytes", "bytes_per_node_hour"} {
		a, b := figure(t, few, metric), figure(t, many, metric)
		if t.Logf("%s: %.4g, then %.4g", metric, a, b); b > 2*a {
			t.Errorf("%s grows from %.4g to %.4g with four times as many users", metric, a, b)
		}
	}
}

// Domains, each with an always-on node of its own and members who watch people of any domain, cost each the same however many
// there are: a user's connections, rows and bytes, and what leaves the domain's node.
func TestReq_2_2_3_CostFollowsNoOtherDomain(t *testing.T) {
	sets := []scenario.Set{{Path: "communities.0.count", Value: "133"}, {Path: "duration", Value: "2m"}} // three users each
	if size(0, 1) == 1 {
		sets = nil
	}
	few := builtin(t, "domains", size(6, 400), sets...)
	many := builtin(t, "domains", size(18, 1600), sets...)
	for _, metric := range []string{"connections", "stored_bytes", "bytes_per_node_hour", "bytes_community_hour"} {
		a, b := figure(t, few, metric), figure(t, many, metric)
		if t.Logf("%s: %.4g, then %.4g", metric, a, b); b > 1.7*a {
			t.Errorf("%s grows from %.4g to %.4g with three times as many domains or more", metric, a, b)
		}
	}
}

// One watches people of many domains, none of whom knows another. Some of the domains stop: exactly those are shown
// as away, and the others are still there.
func TestReq_2_2_6_PresentitiesOfManyDomains(t *testing.T) {
	n := size(20, 300)
	text := fmt.Sprintf(`version: 1
name: domains
warmup: 2m
duration: 5m
nodes:
  - {class: watcher, exactly: 1}
  - {class: domain, exactly: %d, domain: each}
  - {class: stopped, exactly: %d, domain: each}
rosters: {model: file, file: %s}
faults: [{at: 1m, class: stopped, blackout: true}]
`, n-n/10, n/10, edges(t, n))
	var w *World
	var away, there int
	r := run(t, "domains", []byte(text), 0, Options{Before: func(x *World) {
		w = x
		w.Check = func(int) {
			away, there = 0, 0
			who, err := w.Peers[0].Running().Who(context.Background(), nil)
			if err != nil {
				t.Error(err)
			}
			for _, o := range who {
				stopped := strings.HasPrefix(w.Peers[w.byAddress[o.Address]].Name, "stopped")
				switch late := w.Now() > 2*time.Minute+time.Minute+3*time.Minute; {
				case late && stopped && o.Basic == "open", late && !stopped && o.Basic != "open":
					t.Errorf("at %v %s is shown as %s", w.Now(), w.Peers[w.byAddress[o.Address]].Name, o.Basic)
				case o.Basic == "open":
					there++
				default:
					away++
				}
			}
		}
	}})
	if there != n-n/10 || away != n/10 {
		t.Errorf("%d are there and %d away at the end, want %d and %d", there, away, n-n/10, n/10)
	}
	if cold := figure(t, r, "subscribe_max"); cold > 120 {
		t.Errorf("the last is current after %v s", cold)
	}
}

// edges has node 0 watch all others.
func edges(t *testing.T, n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "0,%d\n", i)
	}
	name := t.TempDir() + "/edges.csv"
	if err := os.WriteFile(name, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// In the long mode it is ten thousand real nodes, with presence over rosters whose mean is said.
func TestReq_S37_InternetScale(t *testing.T) {
	r := builtin(t, "growth", size(40, 10_000), scenario.Set{Path: "duration", Value: "3m"})
	if roster := figure(t, r, "roster_mean"); roster < 4.5 {
		t.Errorf("rosters of %v", roster)
	}
	if lost := figure(t, r, "delivery_ratio"); lost < 0.999 {
		t.Errorf("%v of the changes came", lost)
	}
}

// Ten virtual minutes after the warm-up; a thousand nodes in the long mode, in at most five minutes of one processor.
// That the same seed gives the same events is package exact's.
func TestReq_S46_ResearchersSimulateNetworks(t *testing.T) {
	r := builtin(t, "working-day", size(16, 1000), scenario.Set{Path: "warmup", Value: "2m"}, scenario.Set{Path: "duration", Value: "8m"})
	if r.Manifest.Virtual != 600 || r.Manifest.Wall == 0 {
		t.Errorf("%v virtual seconds in %v", r.Manifest.Virtual, r.Manifest.Wall)
	}
	if r.Manifest.CPU > 300 {
		t.Errorf("it takes %v s of processor time", r.Manifest.CPU)
	}
}

// Everybody is in a domain of his own, and writes to people of others, drawn by lot: every message is delivered, once, and
// nobody's node has rows of more people than he knows. HUM_LONG=1 has a thousand domains; over five processes it is
// hum-testnet run testnet/sim/testdata/across.yaml --shards 5.
func TestReq_2_1_5_AcrossDomains(t *testing.T) {
	text, err := os.ReadFile("testdata/across.yaml")
	if err != nil {
		t.Fatal(err)
	}
	n, known := size(16, 1000), 0
	var sets []scenario.Set
	if n < 1000 {
		sets = []scenario.Set{{Path: "duration", Value: "6m"}, {Path: "workload.0.message", Value: "exp(1m)"}, {Path: "workload.0.until", Value: "4m"}}
	}
	r := run(t, "across", text, n, Options{Before: func(w *World) {
		w.Check = func(int) {
			known = 0
			for _, p := range w.Peers {
				who, err := p.Running().Who(context.Background(), nil)
				if err != nil {
					t.Error(err)
				}
				known = max(known, len(who))
			}
		}
	}}, sets...)
	sent := figure(t, r, "messages")
	for _, metric := range []string{"messages_lost", "messages_doubled", "messages_undecided", "messages_failed"} {
		if v := figure(t, r, metric); v != 0 {
			t.Errorf("of %v messages %s: %v", sent, metric, v)
		}
	}
	if sent < float64(min(n, 500)) {
		t.Errorf("only %v messages were sent", sent)
	}
	if known == 0 || known > n/2 {
		t.Errorf("somebody knows %d of %d domains", known, n)
	}
	t.Logf("%d domains, %v messages, the largest roster is %d", n, sent, known)
}
