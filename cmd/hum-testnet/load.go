package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/scenario"
)

// what says which scenario, and how large.
type what struct {
	nodes int
	seed  uint64
	sets  []string
}

func (w *what) flags(c *cobra.Command) {
	c.Flags().IntVar(&w.nodes, "nodes", 0, "how many nodes in all; the scenario's classes keep their proportions")
	c.Flags().Uint64Var(&w.seed, "seed", 0, "of everything that chance decides; the scenario's own, or 1")
	c.Flags().StringArrayVar(&w.sets, "set", nil, "PATH=VALUE: override one value of the scenario, such as node.degree=6 or nodes.0.loss=3%")
}

// A loaded scenario, with its plan.
type loaded struct {
	text  []byte // as it is run
	plan  *plan.Plan
	start scenario.Scenario
}

// load reads the scenario that arg names: a file, or one that is built in.
func (w *what) load(arg string, more ...scenario.Set) (l loaded, err error) {
	sets := more
	for _, s := range w.sets {
		set, err := scenario.ParseSet(s)
		if err != nil {
			return l, &usageError{err}
		}
		sets = append(sets, set)
	}
	file, dir := arg, filepath.Dir(arg)
	text, err := os.ReadFile(arg)
	if err != nil && !strings.ContainsAny(arg, "/\\.") {
		file, dir = arg+".yaml (built in)", "."
		text, err = scenario.BuiltinText(arg)
	}
	if err != nil {
		return l, &usageError{err}
	}
	if l.text, err = scenario.Text(file, text, sets...); err != nil {
		return l, &usageError{err}
	}
	if l.start, err = scenario.Read(file, text, sets...); err != nil {
		return l, &usageError{err}
	}
	if err := figuresExist(l.start); err != nil {
		return l, &usageError{err}
	}
	if w.seed != 0 {
		l.start.Seed = w.seed
	}
	l.plan, err = plan.Make(l.start, plan.Options{Nodes: w.nodes, Seed: w.seed, Dir: dir})
	return l, err
}

// size is the flag that asks for as many nodes, if one did.
func (w *what) size() []string {
	if w.nodes == 0 {
		return nil
	}
	return []string{"--nodes", fmt.Sprint(w.nodes)}
}

// figuresExist finds out before a run whether it can give what is expected of it.
func figuresExist(s scenario.Scenario) error {
	var errs []error
	for i, c := range s.Expect {
		if _, ok := measure.Define(c.Metric); ok {
			continue
		}
		why := scenario.Perhaps(c.Metric, measure.Figures())
		if why == "" {
			why = "; hum-testnet explain lists all"
		}
		errs = append(errs, &scenario.Error{File: s.File, Line: c.Line, Text: fmt.Sprintf("expect.%d: there is no figure %s%s", i, c.Metric, why)})
	}
	return errors.Join(errs...)
}
