package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// communityConfig is how a community node runs.
type communityConfig struct {
	Name       string
	Roles      []string
	Listen     []string
	Uses       uint32        // of the invite that is printed at the start
	Lasts      time.Duration // that invite; 0: as long as it has uses
	Passphrase func() ([]byte, error)
	Verbose    bool
}

// serving is a community node that serves.
type serving struct {
	Event  string   `json:"event"`
	Name   string   `json:"name"`
	Roles  []string `json:"roles"`
	Listen []string `json:"listen"`
	Invite string   `json:"invite"`
	PID    int      `json:"pid"`
}

// communityCommands are those of who runs a community node, and of its members.
func (a *app) communityCommands(root *cobra.Command) {
	parent := &cobra.Command{Use: "community", Short: "run a node that helps a community", GroupID: "node",
		Example: "  hum community up --name Example", RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	root.AddCommand(parent)
	var c communityConfig
	var life duration
	a.add(parent, "", command{use: "up [flags]", short: "run a community node, in the foreground, until interrupted",
		long:    "An always-on node for a community. It keeps for its members, while they are away, their presence and the messages to\nthem, all of it sealed: it can read none of it. It prints an invite, by which others join: hum join INVITE.\nIt needs a home of its own, and a port that others reach.",
		example: "hum --home /srv/hum-community community up --name Example\nhum --home /srv/hum-community community up --roles relay,mailbox --uses 50 --for 30d",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&c.Name, "name", "", "what invites call the community")
			f.StringSliceVar(&c.Roles, "roles", nil, "what it does: bootstrap, relay, anchor, mailbox, home (default: all of them)")
			f.StringArrayVar(&c.Listen, "listen", nil, "multiaddr to listen on (repeatable; default: every address, port 4866)")
			f.Uint32Var(&c.Uses, "uses", 100, "how many members may join by the invite that is printed")
			f.Var(&life, "for", "how long they may (default: as long as it has uses)")
			f.BoolVarP(&c.Verbose, "verbose", "v", false, "tell on stderr what the node does")
		},
		run: func(ctx context.Context, _ []string) error {
			c.Lasts, c.Passphrase = life.d, a.passphrase
			return a.local.Community(ctx, a.home, c, a.hosting)
		}})
	a.add(root, "node",
		command{use: "join INVITE", least: 1, most: 1, short: "become a member of a community, by its invite", example: "hum join humjoin:CgkK…",
			long: "The community's node keeps your presence and messages to you, sealed, while this machine is off.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Join(ctx, &humv1.JoinRequest{Invite: args[0]})
				return answer(a, r, err, func() { a.say("joined %s: %s", clean(r.Name), strings.Join(r.Roles, ", ")) })
			})},
		command{use: "leave NAME", least: 1, most: 1, short: "end my membership of a community", example: "hum leave Example",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Leave(ctx, &humv1.LeaveRequest{Name: args[0]})
				return answer(a, r, err, func() { a.say("left %s", clean(r.Name)) })
			})})
}

// hosting says that a community node serves.
func (a *app) hosting(s serving) {
	s.Event, s.PID = "ready", os.Getpid()
	_ = a.show(s, func() {
		a.say("ready: %s (%s)", clean(or(s.Name, "a community")), strings.Join(s.Roles, ", "))
		for _, l := range s.Listen {
			a.say("listening on %s", place(l))
		}
		a.say("%s", s.Invite)
		a.hint("members join with: hum join INVITE")
	})
	_ = a.flush()
}
