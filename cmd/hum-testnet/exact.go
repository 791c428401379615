package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/exact"
)

func buildExactCommand() *cobra.Command {
	b := exact.Build{Package: "./cmd/hum-testnet"}
	c := &cobra.Command{
		Use: "build-exact", Short: "build a hum-testnet whose runs are repeated to the bit",
		Long: "Builds this program again, from its source, with patched copies of a few files of Go's runtime: the same scenario and\n" +
			"seed then give the same events, to the bit, and the manifest of a run says exact. Only " + exact.Go + " on linux/amd64 will\n" +
			"do, and nothing is installed or changed but the file that is named. The first time takes some minutes.",
		Example: "  hum-testnet build-exact\n  ./hum-testnet-exact run working-day --nodes 100", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			hash, err := b.Run(c.Context())
			if err == nil {
				fmt.Fprintf(c.OutOrStdout(), "%s: exact, %s, overlay %.12s\n", b.Out, exact.Go, hash)
			}
			return err
		},
	}
	c.Flags().StringVar(&b.Out, "out", "hum-testnet-exact", "the program to write")
	c.Flags().StringVar(&b.Dir, "source", ".", "a clone of hum")
	return c
}
