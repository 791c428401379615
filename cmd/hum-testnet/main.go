// Command hum-testnet runs simulated networks of the real node in virtual time, and shows what came of it. What must not
// change of it is docs/cli.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	a := &app{out: os.Stdout, err: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// An app is one run of the command line.
type app struct {
	out, err io.Writer
	terminal bool // err is one, and progress is shown on it
	json     bool
}

// usage is an error of who called; it ends with 2.
type usage struct{ error }

// errFailed ends with 1, and all was said.
var errFailed = errors.New("failed")

func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	var wrong usage
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	case errors.As(err, &wrong):
		a.complain("usage", err)
		return 2
	}
	a.complain("failed", err)
	return 1
}

func (a *app) complain(code string, err error) {
	if !a.json {
		fmt.Fprintln(a.err, "hum-testnet:", err)
		return
	}
	type said struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	json.NewEncoder(a.err).Encode(struct {
		Error said `json:"error"`
	}{said{code, err.Error()}})
}

// say writes v as JSON, or calls f.
func (a *app) say(v any, f func()) error {
	if !a.json {
		f()
		return nil
	}
	return json.NewEncoder(a.out).Encode(v)
}

const about = `hum-testnet runs networks of the real hum node, many in one process and in virtual time, from a scenario file
and one seed. It checks what the scenario expects, and writes a folder of results with a report.`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "hum-testnet", Short: "simulated networks of the real hum node", Long: about,
		Example:       "  hum-testnet report run/\n  hum-testnet compare before/ after/",
		SilenceErrors: true, SilenceUsage: true,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("there is no command %q%s", args[0], near(c.SuggestionsFor(args[0])))}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().BoolVar(&a.json, "json", false, "answer in JSON")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(a.reportCommand(), a.compareCommand(), a.buildExactCommand())
	root.CompletionOptions.HiddenDefaultCmd = true
	return root
}

func near(words []string) string {
	if len(words) == 0 {
		return "; see hum-testnet --help"
	}
	return fmt.Sprintf("; do you mean %q?", words[0])
}

// exactly takes so many arguments, which what names.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) != n {
			return usage{fmt.Errorf("%s takes %s; see %s --help", c.CommandPath(), what, c.CommandPath())}
		}
		return nil
	}
}
