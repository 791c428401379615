package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const aboutHandles = `A handle such as alice@example.org is a name that a domain vouches for: whoever knows it can add, watch and write to
you by it. It takes two words: yours, which this command signs into your record, and the domain's. If a community of
yours keeps the names of that domain it is told by itself; else whoever runs the domain publishes what is shown.`

// handleCommands are those about names that domains vouch for.
func (a *app) handleCommands(root *cobra.Command) {
	parent := &cobra.Command{Use: "handle", Short: "names such as alice@example.org", GroupID: "people", Long: aboutHandles,
		Example: "  hum handle add alice@example.org", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	root.AddCommand(parent)
	a.add(parent, "",
		command{use: "add HANDLE", short: "call myself by a name of a domain", long: aboutHandles, least: 1, most: 1, example: "hum handle add alice@example.org",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.AddHandle(ctx, &humv1.HandleRequest{Handle: args[0]})
				return answer(a, r, err, func() { a.named(r) })
			})},
		command{use: "remove HANDLE", short: "call myself so no more", least: 1, most: 1, example: "hum handle remove alice@example.org",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.RemoveHandle(ctx, &humv1.HandleRequest{Handle: args[0]})
				return answer(a, r, err, func() { a.say("you are %s no more", clean(r.Handle)) })
			})},
		command{use: "list", short: "my names, and whether their domains vouch for them", example: "hum handle list",
			run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
				r, err := c.Handles(ctx, &humv1.HandlesRequest{})
				if err != nil {
					return err
				}
				return each(a, r.Handles, "you have no handle: hum handle add alice@example.org", table{head: []string{"HANDLE", "STATE", "WHY"}},
					func(h *humv1.Handle) []string { return []string{clean(h.Handle), h.State, clean(h.Detail)} })
			})},
		command{use: "forget HANDLE", short: "drop what was looked up of somebody's name, to ask its domain as if for the first time", least: 1, most: 1,
			example: "hum handle forget bob@example.org",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.ForgetHandle(ctx, &humv1.HandleRequest{Handle: args[0]})
				return answer(a, r, err, func() { a.say("forgot that %s is %s", clean(r.Handle), r.Address) })
			})})
}

// handle says what is still to be done for a handle to hold.
func (a *app) named(h *humv1.Handle) {
	if h.State == "vouched" {
		a.say("you are %s: %s", clean(h.Handle), clean(h.Detail))
		return
	}
	a.say("you call yourself %s; it holds once its domain says so too: %s", clean(h.Handle), clean(h.Detail))
	a.say("its domain publishes one of these two:")
	a.say("  %s", h.Url)
	a.say("    %s", h.Json)
	a.say("  %s. TXT", h.DnsName)
	a.say("    %s", strings.Join(h.Txt, "\n    "))
	a.hint("whether it does: hum handle list")
}
