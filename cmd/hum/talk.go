package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// talkCommands are those about conversations.
func (a *app) talkCommands(root *cobra.Command) {
	var q humv1.HistoryRequest
	a.add(root, "messages",
		command{use: "history WHO [flags]", short: "what somebody and I wrote each other", least: 1, most: 1,
			example: "hum history bob --limit 20\nhum history bob --before 5x3k\nhum history bob --thread 5x3k",
			long:    "What somebody and you wrote each other, oldest first. --before shows the page before a message; --thread follows\nanswers both ways from one.",
			flags: func(f *pflag.FlagSet) {
				f.Int64Var(&q.Limit, "limit", 0, "only the newest so many")
				f.StringVar(&q.Before, "before", "", "only what is older than message ID: the page before")
				f.StringVar(&q.Search, "search", "", "only texts that hold all these words")
				f.StringVar(&q.Thread, "thread", "", "only message ID, what it answers and what answers it, and so on")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				if q.Limit < 0 {
					return usage("leave it out for all", "--limit is not negative")
				}
				q.Who = args[0]
				return a.history(ctx, c, &q)
			})},
		command{use: "chat WHO", short: "talk with somebody, line by line", least: 1, most: 1,
			example: "hum chat bob\ndate | hum chat bob",
			long:    "Talk with somebody, line by line: what you type is sent, what he writes is shown, and marked as displayed, and\nso is what becomes of your messages. Ctrl-D, Ctrl-C or /quit ends it; what is under way goes on. What comes from a\npipe is sent line by line too, and waited for, 10 s at most. The letters behind a message are its id: hum trace, reply\nand resend take them.",
			run:     a.online(a.chat)},
		command{use: "delete ID [ID…]", short: "delete messages, on all my devices", least: 1, most: -1,
			example: "hum delete 5x3k\nhum delete 5x3k 7c2m",
			long:    "Delete messages from the inbox, and messages of yours whose fate is known, on all your devices. The other side\nkeeps what it has. A deleted message never comes again, though it be sent again.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Delete(ctx, &humv1.DeleteRequest{Ids: args})
				if err != nil {
					return err
				}
				if a.json {
					return each(a, r.Deleted, "", table{}, nil)
				}
				a.say("deleted %s", plural(int64(len(r.Deleted)), "message"))
				return nil
			})},
	)
}

func (a *app) history(ctx context.Context, c *control.Client, q *humv1.HistoryRequest) error {
	r, err := c.History(ctx, q)
	if err != nil {
		return err
	}
	return each(a, r.Lines, "nothing was written", table{head: []string{"WHO", "SENT", "STATE", "ID", "TEXT"}}, func(l *humv1.Line) []string {
		who := "me"
		if l.Direction == "in" {
			who = name(l.WithName, l.Claimed, l.With)
		}
		return []string{who, a.when(l.Sent), l.State + because(l.Reason), shortID(l.Id), answering(l.ReplyTo) + preview(l.Text, l.Type, l.Content)}
	})
}

// answering says which message one answers, before its text.
func answering(id string) string {
	if id == "" {
		return ""
	}
	return "re " + shortID(id) + ": "
}
