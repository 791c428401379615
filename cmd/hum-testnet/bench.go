package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

// What a bench runs: people with rosters of ten, who boot, say nothing, and then talk. The warm-up ends when all of them hear each
// other in the way in which they will go on.
const benchText = `version: 1
name: bench
title: What this program costs
warmup: 4m
duration: 4m
nodes: [{class: a, count: 100}]
rosters: {model: random, mean: 10}
measure: {events: none}
`

const (
	benchRoster   = 10
	benchQuiet    = 4 * time.Minute // of virtual time, after the boot
	benchPresence = "workload=[{presence: 30s}]"
	benchMessages = "workload=[{message: 30s}]"
)

type benchFlags struct {
	nodes  int
	seed   uint64
	exact  string
	shards []int
	idle   bool
	bare   bool
}

// benchCommand measures this program. Each run is a process of its own.
func benchCommand() *cobra.Command {
	var f benchFlags
	c := &cobra.Command{
		Use: "bench", Short: "measure this program itself: what a simulated node costs, beside bare hosts of libp2p", Args: cobra.NoArgs,
		Long: "Measure this program itself: memory and goroutines of a node, what its boot takes, how fast virtual time goes while nobody says\n" +
			"anything, and what a change of presence and a message take; the same of bare hosts of libp2p that gossip along the same graph, over\n" +
			"the same links; then the same run over several processes, and by an exact program. Processor time counts, not the clock on the wall.",
		Example: "  hum-testnet bench\n  hum-testnet bench --nodes 1000 --idle\n  hum-testnet bench --nodes 1000 --shards 2 --exact ./hum-testnet-exact",
		RunE: func(c *cobra.Command, _ []string) error {
			if f.bare {
				return f.bareHosts(c.OutOrStdout())
			}
			return f.run(c.OutOrStdout())
		},
	}
	c.Flags().IntVar(&f.nodes, "nodes", 100, "how many nodes")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "of everything that chance decides")
	c.Flags().StringVar(&f.exact, "exact", "", "a program that build-exact has built, to be held against this one; none")
	c.Flags().IntSliceVar(&f.shards, "shards", []int{1, 2, 4}, "run it over so many processes too, one number after the other")
	c.Flags().BoolVar(&f.idle, "idle", false, "memory, goroutines, boot and the idle node alone: one run, and one of bare hosts")
	c.Flags().BoolVar(&f.bare, "bare", false, "be the process of the bare hosts")
	_ = c.Flags().MarkHidden("bare")
	return c
}

// bareHosts prints what they cost, as JSON.
func (f *benchFlags) bareHosts(w io.Writer) error {
	s, err := scenario.Read("bench", []byte(benchText))
	if err != nil {
		return err
	}
	p, err := plan.Make(s, plan.Options{Nodes: f.nodes, Seed: f.seed})
	if err != nil {
		return err
	}
	var cost sim.Cost
	virtual.Run(p.Seed, func() { cost, err = sim.BareHosts(p) })
	if err != nil {
		return err
	}
	return json.NewEncoder(w).Encode(cost)
}

func (f *benchFlags) run(w io.Writer) error {
	if f.nodes <= benchRoster {
		return &usageError{fmt.Errorf("--nodes: rosters of %d need %d nodes or more", benchRoster, benchRoster+1)}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hum-testnet-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "bench.yaml")
	if err := os.WriteFile(file, []byte(benchText), 0o600); err != nil {
		return err
	}
	runs := 0
	run := func(program, what string, args ...string) (measure.Result, error) {
		runs++
		out := filepath.Join(dir, fmt.Sprint("run", runs))
		fmt.Fprintf(os.Stderr, "bench: %d nodes, %s\n", f.nodes, what)
		said, err := exec.Command(program, append([]string{"run", file, "--nodes", fmt.Sprint(f.nodes), "--seed", fmt.Sprint(f.seed), "--out", out}, args...)...).CombinedOutput()
		if err != nil {
			return measure.Result{}, fmt.Errorf("%s: %w\n%s", what, err, said)
		}
		return measure.Read(out)
	}
	idle, err := run(self, "idle")
	if err != nil {
		return err
	}
	var talk, mail measure.Result
	if !f.idle {
		if talk, err = run(self, "presence", "--set", benchPresence); err != nil {
			return err
		}
		if mail, err = run(self, "messages", "--set", benchMessages); err != nil {
			return err
		}
	}
	fmt.Fprintf(os.Stderr, "bench: %d bare hosts\n", f.nodes)
	said, err := exec.Command(self, "bench", "--bare", "--nodes", fmt.Sprint(f.nodes), "--seed", fmt.Sprint(f.seed)).Output()
	if err != nil {
		return fmt.Errorf("bare hosts: %w", err)
	}
	var bare sim.Cost
	if err := json.Unmarshal(said, &bare); err != nil {
		return err
	}
	n := float64(f.nodes)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(what, node, host string, ratio float64) {
		cell := "-"
		if ratio > 0 {
			cell = fmt.Sprintf("%.1f", ratio)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", what, node, host, cell)
	}
	milli := func(s float64) string { return fmt.Sprintf("%.2f ms", 1000*s) }
	quiet := idle.Manifest.CPU - idle.Manifest.BootCPU
	each := func(r measure.Result, metric string) float64 {
		if of := valueIn(r, metric); of > 0 {
			return (r.Manifest.CPU - idle.Manifest.CPU) / of
		}
		return 0
	}
	fmt.Fprintf(t, "%d nodes, rosters of 10\ta node\ta bare host\tratio\n", f.nodes)
	memory, goroutines := valueIn(idle, "memory_per_node"), valueIn(idle, "goroutines_per_node")
	held := float64(idle.Manifest.Held) / n
	row("memory in use: live heap and stacks", fmt.Sprintf("%.0f KB", held/1024), fmt.Sprintf("%.0f KB", bare.Memory/1024), held/bare.Memory)
	row("memory, the process at its highest", fmt.Sprintf("%.0f KB", memory/1024), fmt.Sprintf("%.0f KB", bare.Resident/1024), memory/bare.Resident)
	row("goroutines", fmt.Sprintf("%.0f", goroutines), fmt.Sprintf("%.0f", bare.Goroutines), goroutines/bare.Goroutines)
	booted := idle.Manifest.BootCPU / n
	row("boot and four virtual minutes, with its ten subscriptions or connections: CPU", milli(booted), milli(bare.Boot.Seconds()), booted/bare.Boot.Seconds())
	idleEach := quiet / n / benchQuiet.Seconds()
	row("idle: CPU of a virtual second", fmt.Sprintf("%.0f µs", 1e6*idleEach), fmt.Sprintf("%.0f µs", 1e6*bare.Idle.Seconds()), idleEach/bare.Idle.Seconds())
	row("idle: virtual seconds in one of CPU, all nodes", fmt.Sprintf("%.1f", benchQuiet.Seconds()/quiet), fmt.Sprintf("%.1f", 1/(n*bare.Idle.Seconds())), 0)
	if f.idle {
		return t.Flush()
	}
	heard := bare.Delivery.Seconds() - bare.Idle.Seconds()*n*benchQuiet.Seconds()/float64(max(1, bare.Deliveries))
	row(fmt.Sprintf("a change seen by a watcher (of %.0f, and %d): CPU beyond idle", valueIn(talk, "changes"), bare.Deliveries), milli(each(talk, "changes")), milli(heard), each(talk, "changes")/heard)
	row(fmt.Sprintf("a message, sent, kept and acked (of %.0f): CPU beyond idle", valueIn(mail, "messages")), milli(each(mail, "messages")), "-", 0)
	shown := func(what string, r measure.Result) {
		row(what, fmt.Sprintf("%.1f s of CPU", r.Manifest.CPU), fmt.Sprintf("%.1f s on the wall", r.Manifest.Wall), r.Manifest.CPU/talk.Manifest.CPU)
	}
	shown("presence again: this program", talk)
	if f.exact != "" {
		r, err := run(f.exact, "presence, exact", "--set", benchPresence)
		if err != nil {
			return err
		}
		if r.Manifest.Mode != "exact" {
			return &usageError{fmt.Errorf("--exact: %s is not what build-exact builds", f.exact)}
		}
		shown("exact", r)
	}
	for _, k := range f.shards {
		r, err := run(self, fmt.Sprintf("presence, %d processes", k), "--set", benchPresence, "--shards", fmt.Sprint(k))
		if err != nil {
			return err
		}
		if a, b := valueIn(r, "delivery_ratio"), valueIn(talk, "delivery_ratio"); a < b {
			return fmt.Errorf("over %d processes %v of all changes came, and %v in one", k, a, b)
		}
		shown(strings.TrimSuffix(fmt.Sprintf("over %d processes", k), map[bool]string{true: "es"}[k == 1]), r)
	}
	return t.Flush()
}

func valueIn(r measure.Result, metric string) float64 {
	for _, v := range r.Summary.Values {
		if v.Metric == metric {
			return v.Value
		}
	}
	return 0
}
