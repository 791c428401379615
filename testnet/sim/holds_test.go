package sim

import (
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"
)

// createdBy counts the goroutines of this bubble by what began them.
func createdBy() map[string]int {
	b := make([]byte, 16<<20)
	all := strings.Split(string(b[:runtime.Stack(b, true)]), "\n\n")
	bubble := regexp.MustCompile(`synctest bubble \d+\b`).FindString(all[0]) // the one that asks comes first
	count := map[string]int{}
	for _, g := range all {
		head, _, _ := strings.Cut(g, "\n")
		if by := regexp.MustCompile(`(?m)^created by (\S+)`).FindStringSubmatch(g); by != nil && strings.Contains(head, bubble+"]") {
			count[by[1]]++
		}
	}
	return count
}

// TestWhatIdleNodesHold: thousands of nodes fit in one process only if each holds little. One that says nothing has so many
// goroutines of its own, whoever its contacts are, and for each contact those of libp2p alone.
func TestWhatIdleNodesHold(t *testing.T) {
	const text = "version: 1\nname: idle\nwarmup: 1m\nduration: 7m\nnodes: [{class: a, count: 4}]\nrosters: {model: random, mean: 3}\n"
	const nodes, own = 4, 12
	var count map[string]int
	r := run(t, "idle.yaml", []byte(text), nodes, Options{Progress: func(g Progress) {
		if count == nil && g.Now > 7*time.Minute {
			count = createdBy()
		}
	}})
	if len(r.Summary.Errors) > 0 || count == nil {
		t.Fatal(r.Summary.Errors)
	}
	ours, conns := 0, count["github.com/libp2p/go-libp2p/p2p/net/swarm.(*Conn).start"]
	for by, n := range count {
		switch {
		case strings.HasPrefix(by, "github.com/hum-presence/hum/testnet"):
		case strings.HasPrefix(by, "github.com/hum-presence/hum/"), strings.HasPrefix(by, "golang.org/x/sync/errgroup"):
			ours += n
		}
	}
	if conns != nodes*(nodes-1) {
		t.Errorf("%d ends of connections", conns)
	}
	if ours > nodes*own {
		t.Errorf("%d goroutines of ours for %d nodes, at most %d each: %v", ours, nodes, own, count)
	}
}
