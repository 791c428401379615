package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// watchCommands are those about whom I watch.
func (a *app) watchCommands(root *cobra.Command) {
	var text string
	var pseudonym bool
	var lifetime, wait duration
	a.add(root, "people",
		command{use: "watch WHO [flags]", short: "ask to see somebody's presence", least: 1, most: 1,
			example: "hum watch bob --text 'it is Alice'\nhum watch bob --for 30d --wait 10s",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&text, "text", "", "a word to go with the request")
				f.Var(&lifetime, "for", "how long to subscribe for (default 60d)")
				f.BoolVar(&pseudonym, "pseudonym", false, "say that this address is a pseudonym: nobody is to know by it who you are")
				f.Var(&wait, "wait", "wait so long for the answer; exit code 0 active, 3 refused, 4 anything else")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				s, err := c.Watch(ctx, &humv1.WatchRequest{Who: args[0], Text: text, Lifetime: lifetime.proto(), Pseudonym: pseudonym})
				if err != nil || !wait.set {
					return answer(a, s, err, func() { a.watched(s) })
				}
				return a.waitWatching(ctx, c, s, wait)
			})},
		command{use: "unwatch WHO", short: "end my subscription", least: 1, most: 1, example: "hum unwatch bob",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				s, err := c.Unwatch(ctx, &humv1.UnwatchRequest{Who: args[0]})
				return answer(a, s, err, func() { a.watched(s) })
			})},
		command{use: "watching", short: "my subscriptions and their states",
			long: "Whom you asked to watch, and what became of it: requested (not yet taken), pending (waits for his answer),\nactive, denied, terminated, expired or ending (your end is not yet confirmed).", example: "hum watching", run: a.online(a.watching)},
	)
}

// subName is what the other side of a subscription is called. Whoever hides behind a pseudonym is marked so, unless
// he has a petname: then it is known whose it is.
func subName(s *humv1.Subscription) string {
	called := name(s.Petname, s.Claimed, s.Address)
	if s.Pseudonym && s.Petname == "" {
		called += " (a pseudonym)"
	}
	return called
}

// watched says how a subscription of mine stands.
func (a *app) watched(s *humv1.Subscription) { a.stands(s, explainedWatch(s.Reason)) }

// stands says how a subscription stands, and what that means if it was not I who decided it.
func (a *app) stands(s *humv1.Subscription, why string) {
	a.say("%s: %s%s", clean(subName(s)), a.paint(s.State, false)+because(s.Reason), why)
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}

// waitWatching waits for the answer, shows what came, and ends with its exit code.
func (a *app) waitWatching(ctx context.Context, c *control.Client, s *humv1.Subscription, wait duration) error {
	now, err := c.WaitWatching(ctx, &humv1.WaitWatchingRequest{Who: s.Address, Timeout: wait.proto()})
	if err == nil {
		s = now
	} else if ctx.Err() == nil {
		return err
	}
	if err := a.show(s, func() { a.watched(s) }); err != nil {
		return err
	}
	return watchOutcome(s)
}

// refusals are the reasons that the other side's policy gives: those that are answered forbidden (SPEC 9.1).
var refusals = map[string]bool{"refused": true, "closed": true, "refused-anonymous": true, "auth-required": true, "policy": true}

func watchOutcome(s *humv1.Subscription) error {
	switch {
	case s.State == "active":
		return nil
	case s.State == "denied" || s.State == "terminated" && refusals[s.Reason]:
		return outcome(exitRefused)
	}
	return outcome(exitUnreachable)
}

func (a *app) watching(ctx context.Context, c *control.Client, _ []string) error {
	r, err := c.Watching(ctx, &humv1.WatchingRequest{})
	if err != nil {
		return err
	}
	return each(a, r.Subscriptions, "you watch nobody yet: hum watch WHO", table{head: []string{"NAME", "STATE", "SINCE", "EXPIRES", "HEARD"}},
		func(s *humv1.Subscription) []string {
			return []string{subName(s), s.State + because(s.Reason), a.when(s.Since), a.when(s.Expires), a.when(s.Heard)}
		})
}

// watcherCommands are those about who watches me.
func (a *app) watcherCommands(root *cobra.Command) {
	var reason, view string
	decided := func(s *humv1.Subscription, err error) error {
		return answer(a, s, err, func() {
			if s.State != "none" {
				a.stands(s, "")
			} else {
				a.say("%s: refused from now on", clean(subName(s)))
			}
		})
	}
	a.add(root, "people",
		command{use: "requests", short: "who asks to see my presence, and strangers who wrote", example: "hum requests",
			long: "Who waits for your word: people who ask to see your presence, and people you do not know who wrote to you. Their\nmessages are kept apart, 20 of one and 200 in all, until you decide: hum approve takes them, hum deny refuses\nthem from now on, and hum add puts somebody on the roster.", run: a.online(a.requests)},
		command{use: "approve WHO [flags]", short: "let somebody see my presence",
			long: "Let somebody see your presence: now if he has asked, else as soon as he asks. WHO may also be the name that\nhis request claims, if nobody else claims it. --view says what he sees: see hum view.", least: 1, most: 1, example: "hum approve bob\nhum approve carol --view work",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&view, "view", "", "the view that he is shown (default: that of his group, else the default view)")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				s, err := c.Approve(ctx, &humv1.ApproveRequest{Who: args[0], View: view})
				return answer(a, s, err, func() { a.approved(s) })
			})},
		command{use: "deny WHO [flags]", short: "refuse a request",
			long: "Refuse somebody's request, and those to come; end what he has. hum approve takes it back, hum drop lets him\nask again.", least: 1, most: 1, example: "hum deny mallory\nhum deny bob --reason closed",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&reason, "reason", "", "what he is told: policy (the default), refused, closed, auth-required or refused-anonymous")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				return decided(c.Deny(ctx, &humv1.DenyRequest{Who: args[0], Reason: reason}))
			})},
		command{use: "drop WHO", short: "end somebody's subscription to me",
			long: "End somebody's subscription. He is told, and may ask again; the next request waits for your answer.", least: 1, most: 1, example: "hum drop bob",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				return decided(c.Drop(ctx, &humv1.DropRequest{Who: args[0]}))
			})},
	)
}

// approved says what a yes did: to a request, or to the next one.
func (a *app) approved(s *humv1.Subscription) {
	if s.State == "active" {
		a.stands(s, "")
		return
	}
	if s.Messages > 0 {
		a.say("%s: approved; his messages are taken, and he sees you as soon as he asks", clean(subName(s)))
		a.hint("next: name him: hum add " + s.Address + " --as NAME")
		return
	}
	a.say("%s: approved; he sees you as soon as he asks", clean(subName(s)))
}

func (a *app) requests(ctx context.Context, c *control.Client, _ []string) error {
	r, err := c.Requests(ctx, &humv1.RequestsRequest{})
	if err != nil {
		return err
	}
	err = each(a, r.Subscriptions, "nobody waits for your answer", table{head: []string{"NAME", "STATE", "WANTS", "ASKED", "ADDRESS", "TEXT"}},
		func(s *humv1.Subscription) []string {
			return []string{subName(s), s.State + invited(s), wants(s), a.when(s.At), s.Address, s.Text}
		})
	if err == nil && !a.json && len(r.Subscriptions) > 0 {
		a.hint("next: hum approve NAME, or hum deny NAME; what strangers wrote: hum inbox --strangers")
	}
	return err
}

func invited(s *humv1.Subscription) string {
	if s.Invited {
		return ", invited"
	}
	return ""
}

// wants says what somebody waits for: to see my presence, to be read, or both.
func wants(s *humv1.Subscription) string {
	var what []string
	if s.Subscription != "" {
		what = append(what, "presence")
	}
	if s.Messages > 0 {
		what = append(what, plural(s.Messages, "message"))
	}
	return strings.Join(what, ", ")
}
