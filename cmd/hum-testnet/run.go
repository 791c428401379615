package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/report"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

// What a run may cost without --anyway.
const longest = 6 * time.Hour

type runFlags struct {
	what
	out    string
	engine string
	hum    string
	shards int
	listen string
	anyway bool
	prof   string
	cross  int
}

func runCommand() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:   "run SCENARIO",
		Short: "run a simulated network, check what it expects, and write what was measured",
		Long: "Run a simulated network, check what it expects, and write what was measured.\n\n" +
			"SCENARIO is a file, or one of those that hum-testnet list names. It ends with 1 if an expectation does not hold.",
		Example: "  hum-testnet run working-day --nodes 100\n  hum-testnet run my.yaml --seed 7 --set node.degree=6 --out runs/degree-6",
		Args:    cobra.ExactArgs(1),
		RunE:    func(_ *cobra.Command, args []string) error { return f.run(args[0]) },
	}
	f.flags(c)
	c.Flags().StringVar(&f.out, "out", "", "the folder to write; runs/SCENARIO-NODES-SEED")
	c.Flags().StringVar(&f.engine, "engine", "sim", "sim: real nodes in one process, in virtual time; process: real processes of hum on loopback, in real time; cluster: sim over processes that others start, on any machines")
	c.Flags().StringVar(&f.hum, "hum", "", "the program hum, for --engine process; the one beside this program, or in PATH")
	c.Flags().IntVar(&f.shards, "shards", 0, "spread it over so many processes on one virtual clock, for machines with more than one core; not at all")
	c.Flags().StringVar(&f.listen, "listen", "", "where --engine cluster waits for its shards: tcp:HOST:PORT or unix:FILE; it prints how each is started")
	c.Flags().IntVar(&f.cross, "cross-check", 0, "run it with so many nodes on stream, noise and quic links too, three seeds each, and set them side by side in the report; not at all")
	c.Flags().BoolVar(&f.anyway, "anyway", false, "run what needs more memory than there is, or many hours")
	c.Flags().StringVar(&f.prof, "profile", "", "a folder for profiles of this program itself: processor, heap and goroutines near the end; none")
	return c
}

func (f *runFlags) run(arg string) error {
	if f.engine != "sim" && f.engine != "process" && f.engine != "cluster" {
		return &usageError{fmt.Errorf("there is no engine %q; there are sim, process and cluster", f.engine)}
	}
	if (f.engine == "cluster") != (f.listen != "") || f.engine == "cluster" && f.shards < 1 {
		return &usageError{errors.New("--engine cluster needs --shards, how many processes will come, and --listen, where: such as --shards 4 --listen tcp:0.0.0.0:4865")}
	}
	if f.shards < 0 || f.shards > 0 && f.engine == "process" {
		return &usageError{errors.New("--shards needs a number of processes, and the engine sim: with --engine process each node is one already")}
	}
	l, err := f.load(arg)
	if err != nil {
		return err
	}
	if f.engine != "cluster" { // which has the memory of other machines
		if err := f.fits(l.plan, arg); err != nil {
			return err
		}
	}
	if f.cross < 0 || f.cross > 0 && f.engine != "sim" {
		return &usageError{errors.New("--cross-check needs a number of nodes, and the engine sim")}
	}
	points := pointsOf(l.start)
	if _, swept := l.start.Sweep["seed"]; swept && l.start.Seeds > 1 {
		return &usageError{fmt.Errorf("%s: sweep.seed and seeds both say which seeds are run: leave one of them out", arg)}
	}
	if len(points) > 1 && f.cross > 0 {
		return &usageError{fmt.Errorf("%s is a sweep of %d runs, and --cross-check is about one: add --set sweep={} --set seeds=1", arg, len(points))}
	}
	if len(points) > 1 && f.engine == "cluster" {
		return &usageError{fmt.Errorf("%s is a sweep of %d runs, and shards that others start come to one: add --set sweep={} --set seeds=1", arg, len(points))}
	}
	if len(points) > 1 {
		return f.sweep(arg, l, points)
	}
	r, dir, err := f.one(arg, l)
	if err != nil {
		return err
	}
	if f.cross > 0 {
		if err := f.crossCheck(arg, dir, &r); err != nil {
			return err
		}
	}
	show(os.Stdout, r, dir)
	if r.Summary.Verdict == "fail" {
		return &failure{}
	}
	return nil
}

// fits refuses what would not.
func (f *runFlags) fits(p *plan.Plan, arg string) error {
	e := p.Estimate()
	over := e.Over(plan.Limits{Memory: sim.MemoryLeft() * 9 / 10, CPU: longest})
	if over == "" || f.anyway {
		return nil
	}
	return fmt.Errorf("%s does not fit: %s. hum-testnet plan says more; fewer nodes with --nodes, or run it all the same with --anyway", arg, over)
}

// one runs one plan.
func (f *runFlags) one(arg string, l loaded) (r measure.Result, dir string, err error) {
	p := l.plan
	dir = f.out
	if dir == "" {
		dir = filepath.Join("runs", fmt.Sprintf("%s-%d-%d", p.Scenario.Name, len(p.Nodes), p.Seed))
		if dir, err = fresh(dir); err != nil {
			return r, dir, err
		}
	}
	var stop atomic.Bool
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		stop.Store(true)
		<-signals // again: at once
		os.Exit(1)
	}()
	status := newStatus(os.Stderr)
	opts := sim.Options{Dir: dir, Scenario: l.text, Command: f.command(arg, p), Stop: stop.Load, Progress: status.show}
	if f.prof != "" {
		profiled, err := profile(f.prof)
		if err != nil {
			return r, dir, err
		}
		defer profiled.end()
		opts.Progress = func(p sim.Progress) {
			status.show(p)
			profiled.look(p)
		}
	}
	switch {
	case f.engine == "process":
		r, err = f.processes(p, opts, stop.Load)
	case f.engine == "cluster":
		r, err = f.gathered(arg, l, opts, stop.Load)
	case f.shards > 0:
		r, err = f.sharded(arg, l, opts, stop.Load)
	default:
		collect(p, 1)
		virtual.Run(p.Seed, func() { r, err = sim.Run(p, opts) })
	}
	status.clear()
	if err != nil {
		return r, dir, err
	}
	_, err = report.Write(dir)
	return r, dir, err
}

// processes runs a plan with real processes.
func (f *runFlags) processes(p *plan.Plan, o sim.Options, stop func() bool) (measure.Result, error) {
	hum := f.hum
	if hum == "" {
		if self, err := os.Executable(); err == nil {
			hum = filepath.Join(filepath.Dir(self), "hum")
		}
		if _, err := os.Stat(hum); err != nil {
			if hum, err = exec.LookPath("hum"); err != nil {
				return measure.Result{}, &usageError{fmt.Errorf("the engine process needs the program hum: go build -o hum ./cmd/hum, and --hum ./hum")}
			}
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			if time.Sleep(200 * time.Millisecond); stop() {
				cancel()
			}
		}
	}()
	return sim.RunProcesses(ctx, p, o, hum)
}

// command repeats a run.
func (f *runFlags) command(arg string, p *plan.Plan) string {
	words := append([]string{"hum-testnet", "run", quote(arg)}, f.size()...)
	words = append(words, "--seed", fmt.Sprint(p.Seed))
	for _, s := range f.sets {
		words = append(words, "--set", quote(s))
	}
	if f.engine != "sim" {
		words = append(words, "--engine", f.engine)
	}
	if f.shards > 0 {
		words = append(words, "--shards", fmt.Sprint(f.shards))
	}
	if f.listen != "" {
		words = append(words, "--listen", f.listen)
	}
	if f.cross > 0 {
		words = append(words, "--cross-check", fmt.Sprint(f.cross))
	}
	return strings.Join(words, " ")
}

func quote(s string) string {
	if strings.ContainsAny(s, " '\"%()$&;|<>*?") {
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
	return s
}

// fresh is dir, or the first with a number behind it that is not there yet.
func fresh(dir string) (string, error) {
	for n := 1; n < 10_000; n++ {
		name := dir
		if n > 1 {
			name = fmt.Sprintf("%s.%d", dir, n)
		}
		if _, err := os.Stat(name); os.IsNotExist(err) {
			return name, nil
		} else if err != nil {
			return "", err
		}
	}
	return "", fmt.Errorf("%s: too many runs there; name a folder with --out", dir)
}
