package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// inboxCommands are those that read.
func (a *app) inboxCommands(root *cobra.Command) {
	var q humv1.InboxRequest
	var follow bool
	a.add(root, "messages",
		command{use: "inbox [ID] [flags]", short: "the instant inbox, oldest first", most: 1,
			example: "hum inbox --limit 10\nhum inbox --follow --from bob\nhum inbox 5x3k…",
			flags: func(f *pflag.FlagSet) {
				f.BoolVarP(&follow, "follow", "f", false, "go on with what comes in, until interrupted")
				f.StringVar(&q.From, "from", "", "only messages of this WHO")
				f.Int64Var(&q.Limit, "limit", 0, "only the newest so many")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				q.Id = strings.Join(args, "")
				switch {
				case q.Limit < 0:
					return usage("leave it out for all", "--limit is not negative")
				case follow && q.Id != "":
					return usage("leave out one of them", "one message is not followed")
				case follow:
					return a.followInbox(ctx, c, &q)
				}
				return a.inbox(ctx, c, &q)
			})},
		command{use: "open ID", short: "mark a message as displayed, and tell its sender if he asked", least: 1, most: 1,
			example: "hum open 5x3k…",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				m, err := c.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: args[0]})
				return answer(a, m, err, func() { a.letter(m) })
			})},
	)
}

func (a *app) inbox(ctx context.Context, c *control.Client, q *humv1.InboxRequest) error {
	r, err := c.Inbox(ctx, q)
	if err != nil {
		return err
	}
	if q.Id != "" && len(r.Messages) == 1 {
		return a.show(r.Messages[0], func() { a.letter(r.Messages[0]) })
	}
	return each(a, r.Messages, "the inbox is empty", a.inboxTable(), a.inboxRow)
}

func (a *app) inboxTable() table {
	return table{head: []string{"FROM", "RECEIVED", "STATE", "ID", "TEXT"}}
}

func (a *app) inboxRow(m *humv1.Received) []string {
	return []string{fromName(m), a.when(m.Received), letterState(m), m.Id, preview(m.Text, m.Type, m.Content)}
}

func fromName(m *humv1.Received) string { return name(m.FromName, "", m.From) }

func letterState(m *humv1.Received) string {
	state := "new"
	if m.Displayed != nil {
		state = "displayed"
	}
	if m.FirstContact {
		state += ", stranger"
	}
	if !m.Verified {
		state += ", unverified"
	}
	return state
}

// letter shows one message whole.
func (a *app) letter(m *humv1.Received) {
	a.say("from %s, sent %s, %s", clean(fromName(m)), m.Sent.AsTime().Local().Format("2006-01-02 15:04:05"), letterState(m))
	if m.ReplyTo != "" {
		a.say("answers %s", m.ReplyTo)
	}
	if len(m.Content) > 0 {
		a.say("%s", fmt.Sprintf("  [%s, %s; its bytes: --json]", clean(m.Type), size(int64(len(m.Content)))))
		return
	}
	a.say("%s", body(m.Text))
}

// followInbox shows what is there, then what comes in. A message that arrives between the two is shown
// once.
func (a *app) followInbox(ctx context.Context, c *control.Client, q *humv1.InboxRequest) error {
	shown := map[string]bool{}
	fresh := func(list []*humv1.Received) (out []*humv1.Received) {
		for _, m := range list {
			if !shown[m.Id] {
				shown[m.Id] = true
				out = append(out, m)
			}
		}
		return out
	}
	return a.follow(ctx, c, &humv1.EventsRequest{Snapshot: true, Follow: true}, func(r *humv1.EventsResponse) error {
		e := r.GetEvent()
		if e == nil {
			r, err := c.Inbox(ctx, q)
			if err != nil {
				return err
			}
			return each(a, fresh(r.Messages), "", a.inboxTable(), a.inboxRow)
		}
		if e.Kind != "message" || shown[e.Id] {
			return nil
		}
		r2, err := c.Inbox(ctx, &humv1.InboxRequest{Id: e.Id, From: q.From})
		if gone(err) { // of somebody else, or not for the inbox
			return nil
		}
		if err != nil {
			return err
		}
		return each(a, fresh(r2.Messages), "", table{}, a.inboxRow)
	})
}
