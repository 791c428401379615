// Command hum-testnet runs simulated networks of real nodes in virtual time.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	err := root().Execute()
	var failed *failure
	switch {
	case err == nil:
	case errors.As(err, &failed):
		os.Exit(1)
	default:
		fmt.Fprintln(os.Stderr, "hum-testnet:", err)
		var usage *usageError
		if errors.As(err, &usage) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

// A failure has said all that there is to say: an expectation did not hold.
type failure struct{}

func (*failure) Error() string { return "an expectation did not hold" }

// A usageError is about what was typed.
type usageError struct{ error }

func root() *cobra.Command {
	c := &cobra.Command{
		Use:           "hum-testnet",
		Short:         "simulated networks of real hum nodes, in virtual time",
		Long:          "Simulated networks of real hum nodes, in virtual time: thousands in one process, whole days in minutes.\nA scenario says who takes part, what they do and what breaks; a run measures what its people see.",
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	c.AddCommand(runCommand(), planCommand(), listCommand(), schemaCommand(), explainCommand(), reportCommand(), compareCommand(), buildExactCommand(), shrinkCommand(), benchCommand(), shardCommand())
	c.InitDefaultHelpCmd()
	for _, sub := range c.Commands() {
		if sub.Name() == "help" {
			sub.Short, sub.Example = "how a command is used", "  hum-testnet help run"
		}
	}
	return c
}
