package main

import (
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/report"
)

func (a *app) reportCommand() *cobra.Command {
	return &cobra.Command{
		Use: "report DIR", Short: "write the page of a run again",
		Long: "Writes report.html into a run's folder, and plots beside it as SVG, CSV and Vega-Lite. The page needs no network.\n" +
			"run writes it by itself; a run that was cut short has one too.",
		Example: "  hum-testnet report run/", Args: exactly(1, "the folder of a run"),
		RunE: func(_ *cobra.Command, args []string) error {
			page, err := report.Write(args[0])
			if err != nil {
				return err
			}
			return a.say(map[string]string{"report": page}, func() { fmt.Fprintln(a.out, page) })
		},
	}
}

func (a *app) compareCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "compare DIR DIR", Short: "set two runs side by side",
		Long: "Compares the figures of two runs. Runs of several seeds (run --seeds) have an interval for each difference; of one seed\n" +
			"each, chance alone may explain any. With --out the comparison is also a page, a CSV and a JSON file.",
		Example: "  hum-testnet compare before/ after/ --out compared/", Args: exactly(2, "the folders of two runs"),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := report.Compare(args[0], args[1])
			if err != nil {
				return err
			}
			page := ""
			if out != "" {
				if page, err = c.Write(out); err != nil {
					return err
				}
			}
			return a.say(map[string]any{"rows": c.Lines(), "differ": c.Differ, "page": page}, func() { a.compared(c, args, page) })
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder for compare.html, compare.csv and compare.json")
	return c
}

func (a *app) compared(c report.Comparison, dirs []string, page string) {
	fmt.Fprintf(a.out, "A  %s: %s, %s\nB  %s: %s, %s\n", filepath.Clean(dirs[0]), c.A.Scenario, c.Verdicts[0],
		filepath.Clean(dirs[1]), c.B.Scenario, c.Verdicts[1])
	for _, d := range c.Differ {
		fmt.Fprintln(a.out, "differs:", d)
	}
	fmt.Fprintln(a.out)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "figure\tA\tB\tB less A\t95 % interval\t")
	for _, r := range c.Rows {
		word := map[string]string{"same": "no difference shown", "unknown": ""}[r.Conclusion]
		if word == "" && r.Conclusion != "unknown" {
			word = r.Conclusion
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Name, r.Was, r.Is, r.Change, r.Interval, word)
	}
	w.Flush()
	if !c.Certain() {
		fmt.Fprintln(a.out, "\nOne run each: chance alone may explain every difference. Run both with --seeds 10 for intervals.")
	}
	if page != "" {
		fmt.Fprintln(a.out, "\n"+page)
	}
}
