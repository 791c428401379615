package main

import (
	"context"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

func (a *app) cardCommand() command {
	var qr, invite, allow bool
	var life duration
	return command{use: "card [flags]", short: "my contact card, for others to add", example: "hum card\nhum card --qr\nhum card --invite --allow --for 1d",
		long: "Your contact card, as a link. With --invite it is for one person: who first asks with it has a place among\nyour requests, however many strangers ask, and with --allow is let in without asking you. Nobody else is, so\nsend it to one person only; hum invites shows what became of it.",
		flags: func(f *pflag.FlagSet) {
			f.BoolVar(&qr, "qr", false, "draw it as a QR code too")
			f.BoolVar(&invite, "invite", false, "put an invite for one person on it")
			f.BoolVar(&allow, "allow", false, "with --invite: he may watch and write at once")
			f.Var(&life, "for", "with --invite: how long it is good for (default 7d, at most 90d)")
		},
		run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
			if !invite {
				if allow || life.set {
					return usage("add --invite", "--allow and --for are about an invite")
				}
				r, err := c.Card(ctx, &humv1.CardRequest{})
				return answer(a, r, err, func() { a.showCard(r.Card, qr) })
			}
			r, err := c.Invite(ctx, &humv1.InviteRequest{Allow: allow, Life: life.proto()})
			return answer(a, r, err, func() {
				a.showCard(r.Card, qr)
				a.hint("for one person, until " + r.Expires.AsTime().Local().Format("2006-01-02 15:04") + "; hum invites --withdraw " + shortID(r.Invite) + " takes it back")
			})
		})}
}

func (a *app) showCard(card string, qr bool) {
	if qr {
		qrterminal.GenerateHalfBlock(card, qrterminal.L, a.out)
	}
	a.say("%s", card)
}

func (a *app) invitesCommand() command {
	var withdraw string
	return command{use: "invites [flags]", short: "the cards for one person that I made, and who used them", example: "hum invites\nhum invites --withdraw 0a0b",
		flags: func(f *pflag.FlagSet) {
			f.StringVar(&withdraw, "withdraw", "", "have the invite with this id admit nobody any more; who was let in stays")
		},
		run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
			r, err := c.Invites(ctx, &humv1.InvitesRequest{Withdraw: withdraw})
			if err != nil {
				return err
			}
			return each(a, r.Invites, "no invites: hum card --invite", table{head: []string{"INVITE", "STATE", "LETS IN", "EXPIRES", "USED BY"}}, func(i *humv1.MadeInvite) []string {
				by := "-"
				if i.By != "" {
					by = name(i.ByName, "", i.By) + ", " + a.when(i.Used)
				}
				return []string{shortID(i.Invite), i.State, yes(i.Allow), a.when(i.Expires), by}
			})
		})}
}
