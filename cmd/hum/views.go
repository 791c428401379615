package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const viewHelp = `Views are who sees what of you. Without arguments, the views there are. With a name, the document that its
members see; with --show, --hide, --add, --remove or --delete it is made or changed, and who watches sees it at
once. A new view shows nothing but whether you are there. Everybody is in "default" for whom nothing else was
said: hum approve WHO --view V and hum policy set say more, and whom you --add to a view may watch without asking.
--as WHO opens what you really published with the keys that WHO was told: exactly what he can read now; what he
could read before he was moved or refused, and may have kept, is marked.
--public lets everybody read a view who has your address: hum fetch WHO --public. Nobody asks you, you cannot see who
does, and whom you blocked can, too. It is off until you say so, and --public=false ends it: the last that stays to be
read is that you are offline. One view can be public, and never "default".
What can be shown or hidden, several words with commas between: all, person, services, devices, note, activities,
mood, place-is, place-type, privacy, relationship, sphere, status-icon, time-offset, class, deviceID, unknown (all
else), user-input or user-input=bare or =thresholds; service=ID, service-class=C, service-uri=URI,
service-scheme=tel, person-class=C, device=ID and other=NAME select.`

// viewCommands are those about who sees what.
func (a *app) viewCommands(root *cobra.Command) {
	var e humv1.EditViewRequest
	var as string
	var public bool
	var given *pflag.FlagSet
	a.add(root, "people",
		command{use: "view [VIEW] [flags]", short: "what the members of a view, or one person, see of me now", most: 1, long: viewHelp,
			example: "hum view\nhum view work --show note,activities --add bob\nhum view work\nhum view --as bob\nhum view shop --show note --public",
			flags: func(f *pflag.FlagSet) {
				given = f
				f.BoolVar(&public, "public", false, "let everybody read it; =false: its members alone")
				f.StringVar(&as, "as", "", "what WHO can read now")
				f.StringSliceVar(&e.Show, "show", nil, "let its members see these")
				f.StringSliceVar(&e.Hide, "hide", nil, "let them see these no longer")
				f.StringArrayVar(&e.Add, "add", nil, "make WHO a member (repeatable)")
				f.StringArrayVar(&e.Remove, "remove", nil, "WHO is a member no longer (repeatable)")
				f.BoolVar(&e.Common, "common", false, "say in it again what all views say: ends hum set --view")
				f.BoolVar(&e.Delete, "delete", false, "delete the view")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				e.View = strings.Join(args, "")
				if given.Changed("public") {
					e.Public = &public
				}
				return a.view(ctx, c, &e, as)
			})})
	a.policyCommands(root)
}

func (a *app) view(ctx context.Context, c *control.Client, e *humv1.EditViewRequest, as string) error {
	edit := len(e.Show)+len(e.Hide)+len(e.Add)+len(e.Remove) > 0 || e.Common || e.Delete || e.Public != nil
	switch {
	case as != "" && (edit || e.View != ""):
		return usage("hum view --as WHO shows all that he can read", "--as stands alone")
	case as != "":
		v, err := c.View(ctx, &humv1.ViewRequest{As: as})
		return answer(a, v, err, func() { a.viewAs(v) })
	case e.View == "" && edit:
		return usage("for example: hum view work --show note", "which view?")
	case e.View == "":
		return a.views(ctx, c)
	case edit:
		v, err := c.EditView(ctx, e)
		return answer(a, v, err, func() {
			if e.Delete {
				a.say("deleted %s", e.View)
				return
			}
			a.viewed(v)
		})
	}
	v, err := c.View(ctx, &humv1.ViewRequest{View: e.View})
	return answer(a, v, err, func() { a.viewed(v) })
}

func (a *app) views(ctx context.Context, c *control.Client) error {
	r, err := c.Views(ctx, &humv1.ViewsRequest{})
	if err != nil {
		return err
	}
	return each(a, r.Views, "", table{head: []string{"VIEW", "WATCHERS", "MEMBERS", "SHOWS"}}, func(v *humv1.ShownView) []string {
		return []string{v.View, fmt.Sprint(v.Watchers), or(members(v), "-"), shows(v)}
	})
}

func members(v *humv1.ShownView) string {
	var names []string
	for _, m := range v.Members {
		names = append(names, clean(name(m.Petname, "", m.Address)))
	}
	return strings.Join(names, ", ")
}

func shows(v *humv1.ShownView) string {
	words := or(strings.Join(v.Show, " "), "whether you are there")
	if v.Own {
		words += " (of its own choice)"
	}
	if v.Public {
		words += " (to everybody)"
	}
	return words
}

// viewed says what a view is, and what its members see.
func (a *app) viewed(v *humv1.ShownView) {
	a.print(table{rows: [][]string{{"view", v.View}, {"shows", shows(v)}, {"members", or(members(v), "none")}, {"watchers", fmt.Sprint(v.Watchers)}}})
	if v.Public {
		a.say("everybody who has your address can read this, also whom you blocked, and you cannot see who does; to end it: hum view %s --public=false", v.View)
	}
	for _, d := range v.Documents {
		a.seen(d)
	}
}

// viewAs says what one person can read.
func (a *app) viewAs(v *humv1.ShownView) {
	if len(v.Documents) == 0 {
		a.say("he has no key of yours, and can read nothing; if he watched, he would be in: %s", v.View)
		return
	}
	for _, d := range v.Documents {
		a.seen(d)
	}
	if v.Digest != "" {
		a.say("digest, which hum who --why shows on his side: %s", v.Digest)
	}
}

func (a *app) seen(d *humv1.Document) {
	title := "in " + d.View + ": "
	switch {
	case d.Ended != nil:
		title += "what he read until " + a.when(d.Ended) + ", and may have kept"
	case d.At == nil:
		title += "nobody watches; who did would see"
	default:
		title += "signed " + a.when(d.At)
	}
	a.say("%s", title)
	var rows [][]string
	for _, t := range d.Tuples {
		rows = append(rows, []string{"  " + clean(t.Id), strings.TrimSpace(t.Basic + " " + t.Im), clean(strings.TrimSpace(t.Contact + " " + t.Note))})
	}
	for _, n := range d.Notes {
		rows = append(rows, []string{"  note", clean(n), ""})
	}
	for _, s := range slices.Sorted(maps.Keys(d.Status)) {
		rows = append(rows, []string{"  " + clean(s), clean(d.Status[s]), ""})
	}
	for _, u := range d.Contacts {
		rows = append(rows, []string{"  contact", clean(u), ""})
	}
	if d.Imported {
		rows = append(rows, []string{"  imported", "a document of another format, whole", ""})
	}
	a.print(table{rows: rows})
}

// policyCommands are those about what becomes of those who ask.
func (a *app) policyCommands(root *cobra.Command) {
	parent := &cobra.Command{Use: "policy", Short: "what becomes of those who ask to see my presence", GroupID: "people",
		Example: "  hum policy show\n  hum policy set unknown --watch block", Args: cobra.ArbitraryArgs, RunE: group}
	root.AddCommand(parent)
	var who, watch, fetch, view, messages, closed, clear, acks, displayed string
	var given *pflag.FlagSet
	classes := []string{"known", "unknown", "pseudonymous", "anonymous"}
	a.add(parent, "",
		command{use: "show [WHO]", short: "the policy, or what holds for one person and why", most: 1, example: "hum policy show\nhum policy show bob",
			long: "What becomes of a request to watch (WATCH) or to see once (FETCH), by what is known of its sender: known are\nthose on your roster, pseudonymous those who say that their address is a pseudonym, anonymous those who give it no\nname either. A block, what you said of the person, and his group go before, in this order. Handling is block (he\nis told), confirm (you are asked), polite-block (he sees that you are offline) or allow. MESSAGES says what\nbecomes of what he writes, OPENED whether he is told, if he asks, that you opened it: see hum policy set --help.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.Policy(ctx, &humv1.PolicyRequest{Who: strings.Join(args, "")})
				return a.policy(r, err)
			})},
		command{use: "set [CLASS] [flags]", short: "change it for a class of people, or for one person", most: 1, words: classes,
			long: "Change what becomes of requests, for known, unknown, pseudonymous or anonymous people, or with --who for one\nperson. Whoever watches or waits follows at once: who is refused is told, who is to be confirmed waits again.\nWhat you say holds on all your devices.\nMessages are accepted, taken into the bounded box for first contacts, refused (their sender is told), or discarded:\nhis node hears that they were delivered, and you never see them. For these, everybody is known who is on your\nroster or watches you, and all others are unknown. Those that name no author are\nrefused, or taken into that box, or discarded, as you say of anonymous. What comes while you are closed is refused, or with\n--closed hold kept until you are open again; its sender hears nothing before. Messages that are not sealed, or not signed, are\nrefused, or with --clear take taken, and shown as what they are: anybody may have read them, or written them in\nthat name.", example: "hum policy set known --watch allow --view work\nhum policy set unknown --watch block --fetch allow\nhum policy set unknown --messages refuse\nhum policy set anonymous --messages first-contact\nhum policy set --who bob --watch block --messages discard\nhum policy set --closed hold\nhum policy set --clear take\nhum policy set known --displayed tell\nhum policy set --acks refusals",
			flags: func(f *pflag.FlagSet) {
				given = f
				f.StringVar(&who, "who", "", "for one person")
				f.StringVar(&watch, "watch", "", "block, confirm, polite-block or allow")
				f.StringVar(&fetch, "fetch", "", "the same for those who ask once; same: as they would be handled if they watched")
				f.StringVar(&view, "view", "", "the view they are shown; '' for what else holds")
				f.StringVar(&messages, "messages", "", "accept, first-contact, refuse or discard; for one person also default")
				f.StringVar(&clear, "clear", "", "refuse or take messages that are not sealed, or not signed: for everybody, and alone")
				f.StringVar(&closed, "closed", "", "refuse or hold messages while you are closed: for everybody, and alone")
				f.StringVar(&acks, "acks", "", "all: senders hear what became of their messages; refusals: only what you refuse, and your record says so; for everybody, and alone")
				f.StringVar(&displayed, "displayed", "", "tell or keep from who asks that you opened his message; default: what else holds")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r := &humv1.SetPolicyRequest{Class: strings.Join(args, ""), Who: who}
				for flag, field := range map[string]struct {
					value *string
					to    **string
				}{"watch": {&watch, &r.Watch}, "fetch": {&fetch, &r.Fetch}, "view": {&view, &r.View}, "messages": {&messages, &r.Messages}, "closed": {&closed, &r.Closed}, "clear": {&clear, &r.Clear},
					"acks": {&acks, &r.Acks}, "displayed": {&displayed, &r.Displayed}} {
					if given.Changed(flag) {
						*field.to = field.value
					}
				}
				nothing := r.Watch == nil && r.Fetch == nil && r.View == nil && r.Messages == nil && r.Displayed == nil
				alone := r.Class == "" && r.Who == "" && nothing
				switch {
				case r.Acks != nil && (!alone || r.Closed != nil || r.Clear != nil):
					return usage("it is one setting for everybody: hum policy set --acks refusals", "--acks stands alone")
				case r.Acks != nil:
				case r.Clear != nil && (!alone || r.Closed != nil):
					return usage("it is one setting for everybody: hum policy set --clear take", "--clear stands alone")
				case r.Clear != nil:
				case r.Closed != nil && alone:
				case r.Closed != nil:
					return usage("it is one setting for everybody: hum policy set --closed hold", "--closed stands alone")
				case (r.Class == "") == (r.Who == ""):
					return usage("name a class or a person: hum policy set unknown …, hum policy set --who bob …", "it is not said whose")
				case r.Class != "" && oneOf("class", r.Class, classes...) != nil:
					return oneOf("class", r.Class, classes...)
				case nothing:
					return usage("for example: hum policy set unknown --watch block", "nothing to set")
				}
				out, err := c.SetPolicy(ctx, r)
				return a.policy(out, err)
			})},
	)
}

func (a *app) policy(r *humv1.PolicyResponse, err error) error {
	if err != nil {
		return err
	}
	if len(r.Policy) > 0 && r.Policy[0].Closed == "hold" && !a.json {
		defer a.say("messages that come while you are closed are held")
	}
	if len(r.Policy) > 0 && r.Policy[0].Acks == "refusals" && !a.json {
		defer a.say("nobody is told that a message was delivered; your record says so")
	}
	if len(r.Policy) > 0 && r.Policy[0].Clear == "take" && !a.json {
		defer a.say("messages that are not sealed, or not signed, are taken")
	}
	return each(a, r.Policy, "", table{head: []string{"WHO", "WATCH", "FETCH", "MESSAGES", "OPENED", "VIEW", "BY"}}, func(l *humv1.PolicyLine) []string {
		who := l.Class
		if l.Address != "" {
			who = clean(name(l.Petname, "", l.Address))
		}
		return []string{who, l.Watch, l.Fetch, or(l.Messages, "-"), or(l.Displayed, "-"), l.View, l.By}
	})
}
