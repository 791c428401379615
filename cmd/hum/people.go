package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// peopleCommands are those about the roster and the block list.
func (a *app) peopleCommands(root *cobra.Command) {
	var petname, only string
	var polite bool
	a.add(root, "people",
		command{use: "add WHO [flags]", short: "put somebody on the roster; contacts nobody", least: 1, most: 1,
			example: "hum add 'hum:hum1…?d=…' --as bob\nhum add bob --as robert",
			long:    "Put somebody on the roster, or give him another name. Nobody is contacted. WHO is a card, which also says\nwhere his node is, an address or a URI; --as is what you call him, and what every command takes for WHO.",
			flags:   func(f *pflag.FlagSet) { f.StringVar(&petname, "as", "", "what you call him") },
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				before, err := c.Contacts(ctx, &humv1.ContactsRequest{})
				if err != nil {
					return err
				}
				r, err := c.Add(ctx, &humv1.AddRequest{Who: args[0], Petname: petname})
				return answer(a, r, err, func() { a.added(r, before.Contacts) })
			})},
		command{use: "contacts", short: "the roster", example: "hum contacts", run: a.online(a.contacts)},
		command{use: "forget WHO", short: "take somebody off the roster",
			long: "Take somebody off the roster, and end your subscription to him. Messages and blocks stay, and so does\nwhat he may see of you: see hum drop.", least: 1, most: 1, example: "hum forget bob",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Forget(ctx, &humv1.ForgetRequest{Who: args[0]})
				return answer(a, r, err, func() { a.say("forgot %s", person(r)) })
			})},
		command{use: "resolve WHO", short: "who that is and what he offers, before trying", least: 1, most: 1,
			example: "hum resolve bob", run: a.online(a.resolve)},
		command{use: "block WHO [flags]", short: "refuse somebody's messages and requests", least: 1, most: 1,
			example: "hum block mallory\nhum block bob --only im\nhum block eve --polite",
			long:    "Refuse somebody's messages and requests; who watches you sees you no longer. He is told that he is refused.\nWhat you asked of him stays: see hum unwatch. With --polite he is not told: his subscription goes on, and shows\nthat you are offline; messages to somebody offline are refused as closed. He can notice that your node runs, that\nothers who saw the same as he did are gone from where he listens (unless he had a view of his own: see hum view),\nand what they tell him.",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&only, "only", "", "block im or presence alone")
				f.BoolVar(&polite, "polite", false, "do not let him notice")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				if only != "" {
					if err := oneOf("service", only, "im", "presence"); err != nil {
						return err
					}
				}
				r, err := c.Block(ctx, &humv1.BlockRequest{Who: args[0], Scope: or(only, "both"), Polite: polite})
				return answer(a, r, err, func() { a.say("blocked %s: %s%s", blockName(r), scope(r), politely(r)) })
			})},
		command{use: "unblock WHO", short: "take somebody off the block list", least: 1, most: 1, example: "hum unblock bob",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Unblock(ctx, &humv1.UnblockRequest{Who: args[0]})
				return answer(a, r, err, func() { a.say("unblocked %s", blockName(r)) })
			})},
		command{use: "blocks", short: "the block list", example: "hum blocks", run: a.online(a.blocks)},
	)
}

// added says who is on the roster now, or what has changed of somebody who was on it before.
func (a *app) added(c *humv1.Contact, before []*humv1.Contact) {
	i := slices.IndexFunc(before, func(b *humv1.Contact) bool { return b.Address == c.Address })
	switch {
	case i >= 0 && before[i].Petname != "" && before[i].Petname != c.Petname:
		a.say("%s is called %s now, %s", person(before[i]), person(c), c.Address)
		return
	case i >= 0 && before[i].Petname == c.Petname:
		a.say("%s was on the roster already, %s", person(c), c.Address)
	case c.Petname == "" && c.Claimed == "":
		a.say("added %s", c.Address)
	default:
		a.say("added %s, %s", person(c), c.Address)
	}
	if c.Petname == "" {
		a.hint("next: name him: hum add " + c.Address + " --as NAME")
		return
	}
	if offers(c, "presence") {
		a.hint("next: hum watch " + clean(c.Petname))
	} else {
		a.hint("next: hum send " + clean(c.Petname) + " TEXT")
	}
}

// offers reports whether somebody has a service, as far as is known: what he lacks is not proposed.
func offers(c *humv1.Contact, service string) bool {
	return len(c.Services) == 0 || slices.Contains(c.Services, service)
}

// politely says so if he does not know.
func politely(b *humv1.BlockEntry) string {
	if b.Mode == "polite-block" {
		return "; he is not told, and sees that you are offline"
	}
	return ""
}

// scope says what a block is about.
func scope(b *humv1.BlockEntry) string {
	switch b.Scope {
	case "im":
		return "messages"
	case "presence":
		return "presence"
	}
	return "messages and presence"
}

// answer shows what one call returned.
func answer[M any](a *app, m M, err error, human func()) error {
	if err != nil {
		return err
	}
	return a.show(m, human)
}

func person(c *humv1.Contact) string       { return clean(name(c.Petname, c.Claimed, c.Address)) }
func blockName(b *humv1.BlockEntry) string { return clean(name(b.Petname, "", b.Address)) }

func (a *app) contacts(ctx context.Context, c *control.Client, _ []string) error {
	r, err := c.Contacts(ctx, &humv1.ContactsRequest{})
	if err != nil {
		return err
	}
	for _, c := range r.Contacts {
		a.warn(c.Warning)
	}
	return each(a, r.Contacts, "nobody yet: hum add CARD --as NAME", table{head: []string{"NAME", "VERIFIED", "ADDED", "ADDRESS"}},
		func(c *humv1.Contact) []string {
			return []string{name(c.Petname, c.Claimed, c.Address), verified(c), a.when(c.Added), c.Address}
		})
}

// verified says whether somebody's safety number was compared, or is another since.
func verified(c *humv1.Contact) string {
	if c.Warning != "" {
		return "CHANGED"
	}
	return yes(c.Verified)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (a *app) resolve(ctx context.Context, c *control.Client, args []string) error {
	r, err := c.Resolve(ctx, &humv1.ResolveRequest{Who: args[0]})
	return answer(a, r, err, func() {
		rows := [][]string{{"address", r.Address}, {"fingerprint", r.Fingerprint}, {"proof", r.Proof}}
		if r.Known {
			rows = append(rows, []string{"offers", or(strings.Join(r.Services, ", "), "nothing")},
				[]string{"devices", fmt.Sprint(r.Devices)}, []string{"record", "good until " + r.Expires.AsTime().Format("2006-01-02")})
		} else {
			rows = append(rows, []string{"offers", "not known before the first contact"})
		}
		if len(r.Handles) > 0 {
			rows = append(rows, []string{"calls himself", clean(strings.Join(r.Handles, ", "))})
		}
		if r.Known {
			rows = append(rows, []string{"away", kept(r)})
		}
		if r.Found != "" && r.Found != "here" {
			rows = append(rows, []string{"found at", found(r)})
		}
		for _, w := range r.Ways {
			rows = append(rows, []string{"looked for", clean(w.Way + ": " + w.Detail)})
		}
		if r.Public {
			rows = append(rows, []string{"public", "everybody may read a view of his: hum fetch " + args[0] + " --public"})
		}
		if r.Acks == "refusals" {
			rows = append(rows, []string{"acks", "of refusals alone: you will not hear that a message was delivered"})
		}
		a.print(table{rows: rows})
	})
}

// kept says what is there of somebody while he is away.
func kept(r *humv1.Resolution) string {
	if r.Homes == 0 && r.Mailboxes == 0 {
		return "nobody keeps anything for him"
	}
	return fmt.Sprintf("his records at %s, messages in %s", plural(r.Homes, "home"), plural(r.Mailboxes, "mailbox"))
}

func found(r *humv1.Resolution) string {
	if r.Asked == 0 {
		return clean(r.Found)
	}
	return fmt.Sprintf("%s (%s asked)", clean(r.Found), plural(r.Asked, "server"))
}

func (a *app) blocks(ctx context.Context, c *control.Client, _ []string) error {
	r, err := c.Blocks(ctx, &humv1.BlocksRequest{})
	if err != nil {
		return err
	}
	return each(a, r.Blocks, "nobody is blocked", table{head: []string{"NAME", "BLOCKED", "MODE", "SINCE", "ADDRESS"}},
		func(b *humv1.BlockEntry) []string {
			return []string{name(b.Petname, "", b.Address), scope(b), b.Mode, a.when(b.Since), b.Address}
		})
}
