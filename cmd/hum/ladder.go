package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// ladderCommands are those for messages that are under way, or that ended without a word.
func (a *app) ladderCommands(root *cobra.Command) {
	var again letter
	a.add(root, "messages",
		command{use: "cancel ID", short: "take back what nobody has taken yet", least: 1, most: 1, example: "hum cancel 5x3k…",
			long: "Takes back a message that is queued or being tried. What a node of its recipient has taken, or may have, goes on,\nso that its fate is learnt.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				m, err := c.Cancel(ctx, &humv1.CancelRequest{Id: args[0]})
				return answer(a, m, err, func() { a.showSent(m) })
			})},
		command{use: "resend ID [flags]", short: "send again what ended unconfirmed; never shown twice", least: 1, most: 1, example: "hum resend 5x3k… --wait 30s",
			long: "Sends a message again that failed as unconfirmed or unreachable: it may have arrived, and nobody said so. The new\none names the old, and whoever has either shows it once. That holds until 7 days after the old one's expiry.",
			flags: func(f *pflag.FlagSet) {
				f.Var(&again.expires, "expires", "give up after so long (default: as the message itself)")
				f.Var(&again.wait, "wait", "wait so long for the result; exit code 0 delivered, 3 refused, 4 anything else")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				m, err := c.Resend(ctx, &humv1.ResendRequest{Id: args[0], Expires: again.expires.proto()})
				return a.sent(ctx, c, m, err, &again)
			})},
		command{use: "report ID delivered|failed", short: "as a gateway: tell its sender what became of it", least: 2, most: 2, example: "hum report 5x3k… delivered",
			long: "A gateway (gateway = true in config.toml) hands messages on, and their senders are told that nothing more is known.\nWho hears later what became of one says it once by this; its sender is told as soon as he can be reached.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				if args[1] != "delivered" && args[1] != "failed" {
					return usage("say delivered or failed", "%q is no outcome", args[1])
				}
				m, err := c.Report(ctx, &humv1.ReportRequest{Id: args[0], Failed: args[1] == "failed"})
				return answer(a, m, err, func() { a.say("%s: reported as %s", m.Id, args[1]) })
			})},
	)
}
