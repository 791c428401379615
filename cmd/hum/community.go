package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/node/settings"
)

// communityConfig is how a community node runs. What is not given is as its file of settings says.
type communityConfig struct {
	File       string // of settings; community.toml of the home, if there is one
	Name       string
	Roles      []string
	Listen     []string
	Announce   []string
	Uses       uint32         // of the invite that is printed at the start
	Lasts      *time.Duration // that invite; 0: as long as it has uses
	Metrics    string
	Domains    []string // whose names it keeps
	NamesAt    string   // host:port where it tells them
	Nodes      []string // the others of this community
	Meet       []string // nodes of other communities
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

	Metrics string   `json:"metrics,omitempty"` // host:port
	Names   string   `json:"names,omitempty"`   // host:port
	Domains []string `json:"domains,omitempty"`
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
		example: "hum --home /srv/hum-community community up --name Example\nhum --home /srv/hum-community community up --roles relay,mailbox --uses 50 --for 30d\nhum --home /srv/hum-community community up --config /etc/hum/community.toml",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&c.File, "config", "", "the file of its settings (default: community.toml in the home); flags go before it")
			f.StringVar(&c.Name, "name", "", "what invites call the community")
			f.StringArrayVar(&c.Listen, "listen", nil, "multiaddr to listen on (repeatable; default: every address, port 4866, TCP and UDP, and WSS on 443)")
			f.StringArrayVar(&c.Announce, "announce", nil, "multiaddr to tell others instead of those of this machine, such as its name (repeatable)")
			f.StringSliceVar(&c.Roles, "roles", nil, "what it does: bootstrap, relay, anchor, mailbox, home, dht, handles (default: all of them)")
			f.Uint32Var(&c.Uses, "uses", 0, "how many members may join by the invite that is printed (default 100)")
			f.Var(&life, "for", "how long they may (default: as long as it has uses)")
			f.StringSliceVar(&c.Domains, "domain", nil, "a domain whose names it keeps, such as example.org (repeatable)")
			f.StringVar(&c.NamesAt, "names", "", "host:port where it tells them to a web server in front (default: nowhere)")
			f.StringArrayVar(&c.Nodes, "node", nil, "another node of this community, to stay connected to (repeatable)")
			f.StringArrayVar(&c.Meet, "meet", nil, "node of another community, to find people by (repeatable)")
			f.StringVar(&c.Metrics, "metrics", "", "host:port where /metrics, /healthz and /readyz are answered (default: nowhere)")
			f.BoolVarP(&c.Verbose, "verbose", "v", false, "tell on stderr what the node does, in detail")
		},
		run: func(ctx context.Context, _ []string) error {
			if c.Passphrase = a.passphrase; life.set {
				c.Lasts = &life.d
			}
			return a.local.Community(ctx, a.home, c, a.hosting)
		}})
	a.settingsCommand(parent)
	a.operatorCommands(parent)
	a.communityBackupCommands(parent)
	a.add(root, "node",
		command{use: "join INVITE…", least: 1, most: 8, short: "become a member of a community, by its invite", example: "hum join humjoin:CgkK…\nhum join humjoin:CgkK… humjoin:CgkL…",
			long: "The community's node keeps your presence and messages to you, sealed, while this machine is off. A community of several\nnodes gives an invite to each: one that answers is enough, the others are joined when they do.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Join(ctx, &humv1.JoinRequest{Invite: strings.Join(args, " ")})
				return answer(a, r, err, func() {
					a.say("joined %s: %s", clean(r.Name), strings.Join(r.Roles, ", "))
					if r.Waiting > 0 {
						a.say("%s more joined when it answers", plural(r.Waiting, "node"))
					}
				})
			})},
		command{use: "private [on|off]", most: 1, words: []string{"on", "off"}, short: "show this machine's address to no one but the nodes of my communities",
			long:    "In private mode this node listens nowhere, and connects to the nodes of your communities alone: they relay, pass on and\nkeep what others and you have for each other, sealed. Nobody else learns where this machine is. It stays so until you\nswitch it off, and says what is seen all the same, and what it costs.",
			example: "hum private on\nhum private\nhum private off",
			run:     a.online(a.private)},
		command{use: "leave NAME", least: 1, most: 1, short: "end my membership of a community", example: "hum leave Example",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Leave(ctx, &humv1.LeaveRequest{Name: args[0]})
				return answer(a, r, err, func() { a.say("left %s", clean(r.Name)) })
			})})
}

// private switches private mode, and shows what it is.
func (a *app) private(ctx context.Context, c *control.Client, args []string) error {
	var r humv1.PrivateRequest
	if len(args) > 0 {
		if err := oneOf("setting", args[0], "on", "off"); err != nil {
			return err
		}
		on := args[0] == "on"
		r.On = &on
	}
	p, err := c.Private(ctx, &r)
	if err == nil && p.Again {
		err = a.anew(ctx, p)
	}
	return answer(a, p, err, func() {
		state := "off"
		if p.Private {
			state = "on"
		}
		a.say("private mode is %s", state)
		for _, v := range p.Visible {
			a.say("  seen by %s", v)
		}
		for _, c := range p.Costs {
			a.say("  costs: %s", c)
		}
	})
}

// anew waits until the node runs again, as it was told to.
func (a *app) anew(ctx context.Context, want *humv1.Privacy) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := control.Dial(a.home); err == nil {
			p, err := c.Private(ctx, &humv1.PrivateRequest{})
			c.Close()
			if err == nil && p.Private == want.Private && !p.Again {
				want.Again = false
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &node.Error{Kind: node.KindUnreachable, Code: control.CodeTimeout, Message: "the node was asked to start anew and is not there yet", Advice: "start it, if it does not run: hum up"}
		}
	}
}

// restoredCommunity is what a backup brought back.
type restoredCommunity struct {
	File string    `json:"file"`
	Name string    `json:"name"`
	Made time.Time `json:"made"`
}

// communityBackupCommands copy a community node, and bring it back.
func (a *app) communityBackupCommands(parent *cobra.Command) {
	var file string
	flags := func(f *pflag.FlagSet) {
		f.StringVar(&file, "backup-passphrase-file", "", "read the backup's passphrase from this file (default: that of --passphrase-file)")
	}
	a.add(parent, "",
		command{use: "backup FILE [flags]", short: "write an encrypted copy of a community node, while it runs or not", least: 1, most: 1,
			long:    "It holds the key by which members know the node, who they are to it, and what waits in their mailboxes, all of it\nsealed as ever. A node that runs goes on serving; what comes to it after the copy was begun is not in it.",
			example: "hum --home /srv/hum-community community backup community-2026-01.backup", flags: flags,
			run: func(ctx context.Context, args []string) error { return a.communityBackup(ctx, args[0], file) }},
		command{use: "restore FILE [flags]", short: "make the home of a community node of a backup: the same node to its members", least: 1, most: 1,
			long:    "Do not let the old one run beside it. What was left in mailboxes after the backup was made is not in it; its senders\nkeep every message until its recipient has answered, and go on trying.",
			example: "hum --home /srv/hum-community community restore community-2026-01.backup", flags: flags,
			run: func(_ context.Context, args []string) error { return a.communityRestore(args[0], file) }})
}

func (a *app) communityBackup(ctx context.Context, file, passFile string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	p, err := a.newPassphrase(a.backupPassphrase(passFile), "Passphrase of the backup")
	if err != nil {
		return err
	}
	r := &humv1.CommunityBackupResponse{File: file}
	c, err := control.Dial(a.home)
	switch {
	case err == nil:
		defer c.Close()
		r, err = c.CommunityBackup(ctx, &humv1.CommunityBackupRequest{File: file, Passphrase: p})
		err = operatorError(err)
	case control.Explain(err).Code == control.CodeNotRunning:
		r.Bytes, err = a.local.CommunityBackup(a.home, a.passphrase, file, p)
	}
	return answer(a, r, err, func() { a.say("%s, %s", r.File, size(r.Bytes)) })
}

func (a *app) communityRestore(file, passFile string) error {
	p, err := a.askOr(a.backupPassphrase(passFile), "Passphrase of the backup: ")
	if err != nil {
		return err
	}
	r, err := a.local.CommunityRestore(file, a.home, p)
	if err != nil {
		return err
	}
	return a.show(r, func() {
		a.say("restored %s into %s, as it was on %s", clean(or(r.Name, "the community")), a.home, r.Made.Format("2006-01-02 15:04"))
		a.hint("next: hum community up; its members find it by the name or address that they know")
	})
}

// settingsCommand shows what the file of settings of a community node may say, or checks one.
func (a *app) settingsCommand(parent *cobra.Command) {
	var check string
	a.add(parent, "", command{use: "config [flags]", short: "every setting of a community node, with its default, as a file; or check such a file",
		example: "hum community config > community.toml\nhum community config --check /etc/hum/community.toml",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&check, "check", "", "read this file, and say what is wrong with it")
		},
		run: func(context.Context, []string) error {
			if check == "" {
				text := settings.Reference(host.DefaultSettings())
				return a.show(map[string]string{"config": text}, func() { a.say("%s", strings.TrimSuffix(text, "\n")) })
			}
			if _, err := host.LoadSettings(check); err != nil {
				return settingsError(check, err)
			}
			return a.show(map[string]string{"checked": check}, func() { a.say("%s is fine", check) })
		}})
}

// hosting says that a community node serves.
func (a *app) hosting(s serving) {
	s.Event, s.PID = "ready", os.Getpid()
	_ = a.show(s, func() {
		a.say("ready: %s (%s)", clean(or(s.Name, "a community")), strings.Join(s.Roles, ", "))
		for _, l := range s.Listen {
			a.say("listening on %s", place(l))
		}
		if s.Metrics != "" {
			a.say("metrics and health on %s", s.Metrics)
		}
		if s.Names != "" {
			a.say("names of %s on %s", clean(strings.Join(s.Domains, ", ")), s.Names)
		}
		a.say("%s", s.Invite)
		a.hint("members join with: hum join INVITE")
	})
	_ = a.flush()
}
