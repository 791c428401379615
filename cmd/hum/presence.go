package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

var (
	basicWords  = []string{"open", "closed"}
	statusWords = []string{"available", "busy", "away", "idle", "dnd", "xa"}
)

// presenceCommands are those that publish mine and show that of others.
func (a *app) presenceCommands(root *cobra.Command) {
	var follow, why bool
	var offline string
	set, setFlags := a.set()
	a.add(root, "people",
		command{use: "set [open|closed] [available|busy|away|idle|dnd|xa] [flags]", short: "publish my presence", most: 2,
			words: slices.Concat(basicWords, statusWords), flags: setFlags, run: a.online(set),
			example: "hum set open available --note 'at my desk'\nhum set away\nhum set --note ''\nhum set open --bare --status x.example.org/temperature=21.5"},
		command{use: "offline [flags]", short: "sign off in every view, and keep the node running", example: "hum offline\nhum offline --view work",
			flags: func(f *pflag.FlagSet) { f.StringVar(&offline, "view", "", "in this view alone") },
			run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
				p, err := c.Offline(ctx, &humv1.OfflineRequest{View: offline})
				return answer(a, p, err, func() { a.say("offline") })
			})},
		command{use: "who [WHO… | me] [flags]", short: "presence of my contacts: state, note, age and evidence", most: -1,
			long:    "Presence of your contacts. STATE is open, closed or unknown; AGE is how long ago the newest word behind it was\nsigned; EVIDENCE is what it rests on: said (by him, and still good), lapsed (he said open and fell silent),\ncached (from before a restart, not heard since) or unknown. Beside it stands, marked as a hint, when the direct\nconnection to him broke while his word still holds. hum who me shows what your own watchers are told.",
			example: "hum who\nhum who me\nhum who bob --why\nhum who --follow --json",
			flags: func(f *pflag.FlagSet) {
				f.BoolVarP(&follow, "follow", "f", false, "go on with every change, until interrupted")
				f.BoolVar(&why, "why", false, "say from what it is known")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				if follow {
					return a.followWho(ctx, c, args, why)
				}
				return a.who(ctx, c, args, why)
			})},
	)
}

// set is the command that publishes, and its flags.
func (a *app) set() (func(context.Context, *control.Client, []string) error, func(*pflag.FlagSet)) {
	var note, lang, activity, view string
	var contacts []string
	var thing thing
	var given *pflag.FlagSet
	flags := func(f *pflag.FlagSet) {
		given = f
		f.StringVar(&note, "note", "", "a note; '' takes it away")
		f.StringVar(&lang, "lang", "", "language of the note, such as en")
		f.StringArrayVar(&contacts, "contact", nil, "another way to reach me: tel:, mailto:, a card or an im: address (repeatable); '' takes them away")
		thing.flags(f)
		f.StringVar(&view, "view", "", "say it in this view alone, which then has a choice of its own")
		f.StringVar(&activity, "activity", "", "what I do, such as meeting; '' takes it away")
	}
	return func(ctx context.Context, c *control.Client, args []string) error {
		r, err := setRequest(args)
		if err != nil {
			return err
		}
		r.View = view
		for flag, field := range map[string]struct{ value, to any }{
			"note": {&note, &r.Note}, "lang": {&lang, &r.Lang}, "activity": {&activity, &r.Activity}} {
			if given.Changed(flag) {
				*field.to.(**string) = field.value.(*string)
			}
		}
		if given.Changed("contact") {
			r.Contacts = &humv1.SetRequest_Contacts{Uris: words(contacts...)}
		}
		if err := thing.into(r, given); err != nil {
			return err
		}
		if r.Measures == nil && r.Bare == nil && r.Basic == nil && r.Im == nil && r.Note == nil && r.Lang == nil && r.Activity == nil && r.Contacts == nil {
			return usage("for example: hum set open available", "nothing to set")
		}
		p, err := c.Set(ctx, r)
		return answer(a, p, err, func() { a.say("published to: %s", or(strings.Join(p.Views, ", "), "nobody yet")) })
	}, flags
}

// setRequest sorts the words of set, which may come in any order.
func setRequest(args []string) (*humv1.SetRequest, error) {
	r := &humv1.SetRequest{}
	for _, w := range args {
		switch {
		case slices.Contains(basicWords, w) && r.Basic == nil:
			r.Basic = &w
		case slices.Contains(statusWords, w) && r.Im == nil:
			r.Im = &w
		case slices.Contains(basicWords, w) || slices.Contains(statusWords, w):
			return nil, usage("say one of each at most", "%q is a second word of its kind", w)
		default:
			return nil, oneOf("state", w, slices.Concat(basicWords, statusWords)...)
		}
	}
	return r, nil
}

func (a *app) who(ctx context.Context, c *control.Client, who []string, why bool) error {
	r, err := c.Who(ctx, &humv1.WhoRequest{Who: who})
	if err != nil {
		return err
	}
	return a.showWho(r.Presence, "you watch nobody yet: hum watch WHO", whoTable(true), why)
}

// showWho writes one row for each, and what they rest on if that was asked for.
func (a *app) showWho(list []*humv1.Presence, empty string, t table, why bool) error {
	if err := each(a, list, empty, t, a.whoRow); err != nil || !why {
		return err
	}
	a.why(list)
	return nil
}

func whoTable(head bool) (t table) {
	if head {
		t.head = []string{"NAME", "STATE", "STATUS", "AGE", "EVIDENCE", "NOTE"}
	}
	return t
}

func (a *app) whoRow(p *humv1.Presence) []string {
	age := "-"
	if p.Age != nil {
		age = span(p.Age.AsDuration())
	}
	a.warn(p.Warning)
	note := strings.Join(words(append([]string{or(p.Note, measured(p))}, append(append(services(p), p.Contacts...), spoken(p)...)...)...), " ")
	if note == "" && p.Evidence == "unknown" && len(p.Why) > 0 {
		note = "(" + p.Why[0] + ")" // what to do about it
	}
	return []string{name(p.Petname, "", p.Address), p.Basic, or(p.Im, "-"), age, evidence(p), note}
}

// services are those beside the inbox, as far as his word on them holds.
func services(p *humv1.Presence) (out []string) {
	for _, t := range p.Tuples {
		if t.Contact == "" || strings.HasSuffix(t.Contact, "@"+identity.Domain) {
			continue
		}
		if p.Evidence != "said" {
			out = append(out, t.Contact)
			continue
		}
		state := t.Basic
		if t.Delegate {
			state += ", says a delegate"
		}
		out = append(out, fmt.Sprintf("%s (%s)", t.Contact, state))
	}
	return out
}

// spoken is what delegates say for somebody, as theirs.
func spoken(p *humv1.Presence) (out []string) {
	for _, s := range p.Spoken {
		said := []string{}
		for _, x := range s.Status {
			said = append(said, strings.TrimSpace(clean(x.Name)+" "+clean(x.Value)))
		}
		if s.Note != "" {
			said = append(said, clean(s.Note))
		}
		out = append(out, "(a delegate says: "+strings.Join(said, ", ")+")")
	}
	return out
}

// followWho shows what holds, then whoever changes.
func (a *app) followWho(ctx context.Context, c *control.Client, who []string, why bool) error {
	wanted := map[string]bool{}
	return a.follow(ctx, c, &humv1.EventsRequest{Snapshot: true, Follow: true}, func(r *humv1.EventsResponse) error {
		e := r.GetEvent()
		if e == nil {
			now, err := c.Who(ctx, &humv1.WhoRequest{Who: who})
			if err != nil {
				return err
			}
			for _, p := range now.Presence {
				wanted[p.Address] = true
			}
			return a.showWho(now.Presence, "", followed(whoTable(true)), why)
		}
		if e.Kind != "presence" || len(who) > 0 && !wanted[e.Address] {
			return nil
		}
		now, err := c.Who(ctx, &humv1.WhoRequest{Who: []string{e.Address}})
		if gone(err) { // unwatched meanwhile, or myself
			return nil
		}
		if err != nil {
			return err
		}
		return a.showWho(now.Presence, "", followed(whoTable(false)), why)
	})
}

// followed makes room for what may come: somebody's name or short address, and the longest words.
func followed(t table) table {
	t.least = []int{17, len("unknown"), len("available"), len("59 min"), len("EVIDENCE")}
	return t
}

// gone reports whether err says that what was asked for does not exist.
func gone(err error) bool { return err != nil && control.Explain(err).Kind == node.KindUsage }
