package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/report"
	"github.com/hum-presence/hum/testnet/scenario"
	"github.com/hum-presence/hum/testnet/sim"
)

func planCommand() *cobra.Command {
	var w what
	c := &cobra.Command{
		Use: "plan SCENARIO", Short: "say what a run would be and cost, before anything runs",
		Example: "  hum-testnet plan working-day --nodes 10000",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := w.load(args[0])
			if err != nil {
				return err
			}
			showPlan(c.OutOrStdout(), l)
			return nil
		},
	}
	w.flags(c)
	return c
}

func showPlan(w io.Writer, l loaded) {
	e, s := l.plan.Estimate(), l.plan.Scenario
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	defer t.Flush()
	row := func(name, format string, args ...any) { fmt.Fprintf(t, "%s\t%s\n", name, fmt.Sprintf(format, args...)) }
	row("scenario", "%s: %s", s.Name, s.Title)
	row("nodes", "%d, %d of them adversaries, on %s links", e.Nodes, e.Adversaries, s.Fidelity)
	row("rosters", "%d places, %.1f for each; %d connections", e.Watches, e.Roster, e.Connections)
	row("virtual time", "%v, %v of it to warm up", e.Virtual, s.Warmup)
	row("presence", "%d changes, %d deliveries, and %d of beacons", e.Changes, e.Deliveries, e.Beacons)
	row("messages", "%d", e.Messages)
	row("memory", "about %.2f GB; %.1f GB are free", float64(e.Memory)/1e9, float64(sim.MemoryLeft())/1e9)
	row("processor", "about %v of one core, %.1f times as fast as real time", e.CPU.Round(time.Second), e.Virtual.Seconds()/e.CPU.Seconds())
	if n := len(pointsOf(l.start)); n > 1 {
		row("runs", "%d: all points of the sweep, %d seeds each", n, l.start.Seeds)
	}
	if over := e.Over(plan.Limits{Memory: sim.MemoryLeft() * 9 / 10, CPU: longest}); over != "" {
		row("", "run refuses it without --anyway: %s", over)
	}
}

func listCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "the scenarios that are built in", Args: cobra.NoArgs,
		Example: "  hum-testnet list",
		RunE: func(c *cobra.Command, _ []string) error {
			t := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			defer t.Flush()
			for _, name := range scenario.Builtin() {
				text, err := scenario.BuiltinText(name)
				if err != nil {
					return err
				}
				s, err := scenario.Read(name, text)
				if err != nil {
					return err
				}
				fmt.Fprintf(t, "%s\t%s\n", name, s.Title)
			}
			return nil
		},
	}
}

func schemaCommand() *cobra.Command {
	var markdown bool
	c := &cobra.Command{
		Use: "schema", Short: "the JSON schema of a scenario, or every key of it with its meaning", Args: cobra.NoArgs,
		Example: "  hum-testnet schema > scenario.schema.json\n  hum-testnet schema --text",
		RunE: func(c *cobra.Command, _ []string) error {
			if markdown {
				_, err := fmt.Fprint(c.OutOrStdout(), scenario.Reference())
				return err
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(scenario.Schema())
		},
	}
	c.Flags().BoolVar(&markdown, "text", false, "in words")
	return c
}

func explainCommand() *cobra.Command {
	return &cobra.Command{
		Use: "explain [METRIC]…", Short: "what a figure stands for", Example: "  hum-testnet explain stale notice_crashed_p95",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				args = measure.Metrics()
			}
			for _, name := range args {
				d, ok := measure.Define(name)
				if !ok {
					return &usageError{fmt.Errorf("there is no figure %q; without a name all are told", name)}
				}
				fmt.Fprintf(c.OutOrStdout(), "%s (%s)\n    %s\n", d.Metric, d.Unit, d.Text)
			}
			return nil
		},
	}
}

func reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report DIR", Short: "write the report of a run anew: one page that needs no network", Args: cobra.ExactArgs(1),
		Example: "  hum-testnet report runs/working-day-100-1",
		RunE: func(c *cobra.Command, args []string) error {
			page, err := report.Write(args[0])
			if err == nil {
				fmt.Fprintln(c.OutOrStdout(), page)
			}
			return err
		},
	}
}

func compareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compare DIR DIR", Short: "two runs side by side: A against B, with intervals where there are several seeds", Args: cobra.ExactArgs(2),
		Example: "  hum-testnet compare runs/working-day-100-1 runs/working-day-100-2",
		RunE: func(c *cobra.Command, args []string) error {
			cmp, err := report.Compare(args[0], args[1])
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, d := range cmp.Differ {
				fmt.Fprintln(out, "they differ in", d)
			}
			t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
			defer t.Flush()
			fmt.Fprintln(t, "figure\tA\tB\tchange\t95 % interval of the change")
			for _, r := range cmp.Rows {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Was, r.Is, r.Change, r.Interval)
			}
			return nil
		},
	}
}
