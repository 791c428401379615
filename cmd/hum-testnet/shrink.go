package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/shrink"
)

type shrinkFlags struct {
	out   string
	tries int
}

func shrinkCommand() *cobra.Command {
	var f shrinkFlags
	c := &cobra.Command{
		Use: "shrink DIR", Short: "make a run that failed smaller, as long as it still fails",
		Long: "Make a run that failed smaller, as long as it still fails: fewer nodes, less time, fewer faults, habits and classes.\n" +
			"It still fails if one of the clauses that did not hold still does not. Every candidate is run with the seed of the\n" +
			"run, so this takes as long as many runs. What an exact program finds fails each time; what another finds is tried\n" +
			"again at the end.",
		Example: "  hum-testnet shrink runs/lossy-mobile-100-7", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, args[0]) },
	}
	c.Flags().StringVar(&f.out, "out", "", "the scenario to write; shrunk.yaml in the run's folder")
	c.Flags().IntVar(&f.tries, "tries", 60, "runs at most")
	return c
}

func (f *shrinkFlags) run(c *cobra.Command, dir string) error {
	r, err := measure.Read(dir)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, measure.ScenarioFile))
	if err != nil {
		return err
	}
	bad := broken(r)
	if len(bad) == 0 {
		return fmt.Errorf("%s did not fail (its verdict is %s): there is nothing to shrink", dir, r.Summary.Verdict)
	}
	work, err := os.MkdirTemp("", "hum-testnet-shrink-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	seed := r.Manifest.Seed
	if len(r.Manifest.Seeds) > 0 {
		one, err := failing(dir, r.Manifest.Seeds)
		if err != nil {
			return err
		}
		seed, bad = one.Manifest.Seed, broken(one)
	}
	errs := c.ErrOrStderr()
	again := candidates{ctx: c.Context(), work: work, seed: seed, bad: bad}
	best, tried, err := shrink.Shrink(shrink.Case{Text: text, Nodes: r.Manifest.Nodes}, shrink.Config{Fails: again.fails, Tries: f.tries,
		Tell: func(n int, what string, fails bool) {
			word := "holds"
			if fails {
				word = "still fails"
			}
			fmt.Fprintf(errs, "%3d  %s: %s\n", n, what, word)
		}})
	if errors.Is(err, shrink.ErrHolds) {
		return fmt.Errorf("run again with seed %d, %s holds: what failed was chance. hum-testnet build-exact makes a program in which the same seed fails each time",
			seed, clauses(bad))
	}
	if err != nil {
		return err
	}
	file := f.out
	if file == "" {
		file = filepath.Join(dir, "shrunk.yaml")
	}
	if err := os.WriteFile(file, best.Text, 0o666); err != nil {
		return err
	}
	out := c.OutOrStdout()
	fmt.Fprintf(out, "%s: %d of %d nodes, after %d runs; it still fails %s\n", file, best.Nodes, r.Manifest.Nodes, tried, clauses(bad))
	if r.Manifest.Mode != "exact" {
		n := 0
		for range 3 {
			ok, err := again.fails(best)
			if err != nil {
				return err
			}
			if ok {
				n++
			}
		}
		fmt.Fprintf(out, "in a statistical program the same seed is not the same run: it failed in %d of 3 more\n", n)
	}
	fmt.Fprintf(out, "repeat:  hum-testnet run %s --nodes %d --seed %d\n", quote(file), best.Nodes, seed)
	return nil
}

// A breach is a clause that did not hold, and why if it was for the lack of a value: to fail for another reason is
// another fault.
type breach struct{ clause, why string }

// broken are those of a run.
func broken(r measure.Result) (out []breach) {
	for _, e := range r.Summary.Expect {
		if !e.OK {
			out = append(out, breach{e.Clause, e.Why})
		}
	}
	return out
}

func clauses(bad []breach) string {
	var words []string
	for _, b := range bad {
		words = append(words, b.clause)
	}
	return strings.Join(words, ", ")
}

// failing is the first run of several that failed by itself.
func failing(dir string, seeds []uint64) (measure.Result, error) {
	for _, seed := range seeds {
		r, err := measure.Read(filepath.Join(dir, fmt.Sprint("seed-", seed)))
		if err == nil && r.Summary.Verdict == "fail" {
			return r, nil
		}
	}
	return measure.Result{}, fmt.Errorf("none of the runs in %s failed by itself", dir)
}

// candidates runs them, each in a process of its own.
type candidates struct {
	ctx  context.Context
	work string
	seed uint64
	bad  []breach
	n    int
}

func (c *candidates) fails(x shrink.Case) (bool, error) {
	if err := c.ctx.Err(); err != nil {
		return false, err
	}
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	c.n++
	dir := filepath.Join(c.work, fmt.Sprint(c.n))
	defer os.RemoveAll(dir)
	file := filepath.Join(c.work, "candidate.yaml")
	if err := os.WriteFile(file, x.Text, 0o666); err != nil {
		return false, err
	}
	cmd := exec.CommandContext(c.ctx, self, "run", file, "--nodes", fmt.Sprint(x.Nodes), "--seed", fmt.Sprint(c.seed), "--out", dir,
		"--set", "sweep={}", "--set", "seeds=1")
	said, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return false, nil
	case !errors.As(err, &exit):
		return false, fmt.Errorf("%w\n%s", err, said)
	}
	r, err := measure.Read(dir)
	if err != nil || !r.Manifest.Complete {
		return false, nil // it cannot be run at all
	}
	return slices.ContainsFunc(broken(r), func(b breach) bool { return slices.Contains(c.bad, b) }), nil
}
