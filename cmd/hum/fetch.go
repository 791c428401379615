package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// fetchCommands are asking once, and the list of all who watch or asked.
func (a *app) fetchCommands(root *cobra.Command) {
	var cached, public, every bool
	a.add(root, "people",
		command{use: "fetch WHO [flags]", short: "ask once for somebody's presence", least: 1, most: 1,
			long:    "Ask somebody once for his presence, whether or not you watch him, and wait 5 s for the answer. Nothing comes\nof it later, and he sees that you asked. SOURCE says what the line rests on: direct (his answer, just now),\nwatch (your subscription), cached (what is remembered here) or public (what he lets everybody read, if that is\nmore). --public reads that alone: he is not asked, and does not learn of it. Exit code 3: he refused, or has no\npublic view; 4: he has to be asked first, or he does not answer and nothing is remembered. He answers once a minute.",
			example: "hum fetch bob\nhum fetch bob --cached --json\nhum fetch shop@example.org --public",
			flags: func(f *pflag.FlagSet) {
				f.BoolVar(&cached, "cached", false, "ask nobody: what is remembered here")
				f.BoolVar(&public, "public", false, "what everybody may read, without asking him")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				if public && cached {
					return usage("what everybody may read is not remembered: hum fetch WHO --public", "either --public or --cached")
				}
				p, err := c.Fetch(ctx, &humv1.FetchRequest{Who: args[0], Cached: cached, Public: public})
				if err != nil {
					return err
				}
				t := whoTable(true)
				t.head = append(t.head, "SOURCE")
				return each(a, []*humv1.Presence{p}, "", t, func(p *humv1.Presence) []string { return append(a.whoRow(p), p.GetSource()) })
			})},
		command{use: "watchers [flags]", short: "everybody who watches me or asked",
			long:    "Everybody who watches you, asked to, asked once, was refused or gave up, and what led to it (RFC 3857). CONTACT\nsays whether he is there: connected; out-of-contact, though he may hear of you through others; or lost, whose\ndaily sign of life is overdue. FETCHES counts how often he asked once and was shown your presence.",
			example: "hum watchers\nhum watchers --each --json",
			flags: func(f *pflag.FlagSet) {
				f.BoolVar(&every, "each", false, "a line for each of their subscriptions, with its device")
			},
			run: a.online(func(ctx context.Context, c *control.Client, _ []string) error { return a.watchers(ctx, c, every) })},
	)
}

func (a *app) watchers(ctx context.Context, c *control.Client, every bool) error {
	r, err := c.Watchers(ctx, &humv1.WatchersRequest{Each: every})
	if err != nil {
		return err
	}
	t := table{head: []string{"NAME", "STATE", "EVENT", "VIEW", "SINCE", "CONTACT", "FETCHES", "ADDRESS"}}
	if every {
		t.head = append(t.head, "DEVICE")
	}
	return each(a, r.Subscriptions, "nobody watches you", t, func(s *humv1.Subscription) []string {
		state := s.State
		if s.Once {
			state += " (asked once)"
		}
		row := []string{subName(s), state, or(s.Event, "-"), or(s.View, "-"), a.when(s.Since), a.inContact(s), fmt.Sprint(s.Fetches), s.Address}
		if every {
			row = append(row, s.Device)
		}
		return row
	})
}

// inContact says whether a watcher is there, and if not, since when.
func (a *app) inContact(s *humv1.Subscription) string {
	if s.Contact == "" || s.Contact == "connected" || s.Seen == nil {
		return or(s.Contact, "-")
	}
	return s.Contact + ", seen " + a.when(s.Seen)
}
