package node

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/store"
)

// shownNames are the attributes that RFC 5025 has a permission for.
var shownNames = map[string]presence.Attribute{
	"activities": presence.ShowActivities, "class": presence.ShowClass, "deviceID": presence.ShowDeviceIDs, "mood": presence.ShowMood,
	"place-is": presence.ShowPlaceIs, "place-type": presence.ShowPlaceType, "privacy": presence.ShowPrivacy, "relationship": presence.ShowRelationship,
	"sphere": presence.ShowSphere, "status-icon": presence.ShowStatusIcon, "time-offset": presence.ShowTimeOffset, "note": presence.ShowNotes,
}

// everyUnknown stands for all attributes without a permission of their own (docs/registry.md).
const everyUnknown = "*"

var inputWords = []string{"false", "bare", "thresholds", "full"}

// showOf is what a filter lets through, in the words of RFC 5025.
func showOf(f presence.Filter) (s formats.Show) {
	if !f.Limited {
		all := formats.Which{All: true}
		return formats.Show{Services: all, Persons: all, Devices: all, All: true, Input: inputWords[presence.InputFull]}
	}
	s.Services, s.Persons, s.Devices = formats.Which(whichOf(f.Services)), formats.Which(whichOf(f.Persons)), formats.Which(whichOf(f.Devices))
	s.Input = inputWords[f.Input]
	if s.All = f.Attributes == presence.ShowEverything && f.Input == presence.InputFull; s.All {
		return s
	}
	for _, name := range slices.Sorted(maps.Keys(shownNames)) {
		if f.Attributes&shownNames[name] != 0 {
			s.Attributes = append(s.Attributes, name)
		}
	}
	others := f.Others
	if f.Attributes&presence.ShowUnknown != 0 {
		others = append([]string{everyUnknown}, others...)
	}
	for _, name := range others {
		s.Others = append(s.Others, formats.Attribute{Name: name, Space: formats.Space(name)})
	}
	return s
}

func whichOf(w presence.Which) formats.Which {
	return formats.Which{All: w.All, IDs: w.IDs, Classes: w.Classes, URIs: w.URIs, Schemes: w.Schemes}
}

// filterOf is showOf backwards. What RFC 5025 does not say is shown, is not.
func filterOf(s formats.Show) presence.Filter {
	which := func(w formats.Which) presence.Which {
		return presence.Which{All: w.All, IDs: w.IDs, Classes: w.Classes, URIs: w.URIs, Schemes: w.Schemes}
	}
	f := presence.Filter{Limited: true, Services: which(s.Services), Persons: which(s.Persons), Devices: which(s.Devices)}
	f.Input = presence.Input(max(0, slices.Index(inputWords, s.Input)))
	if s.All {
		f.Attributes, f.Input = presence.ShowEverything, presence.InputFull
	}
	for _, name := range s.Attributes {
		f.Attributes |= shownNames[name]
	}
	for _, o := range s.Others {
		switch {
		case o.Space != formats.Space(o.Name): // of a namespace that no status of ours is of
		case o.Name == everyUnknown:
			f.Attributes |= presence.ShowUnknown
		default:
			f.Others = append(f.Others, o.Name)
		}
	}
	if f.Services.All && f.Persons.All && f.Devices.All && f.Attributes == presence.ShowEverything && f.Input == presence.InputFull {
		return presence.Filter{}
	}
	return f
}

// A grant is what a rule says of those whom it names.
type grant struct {
	handling, fetch policy.Handling
	view            string
}

// exportRules returns who may watch me and what each is shown, as RFC 5025 has it. Rules only ever grant, so
// whoever has a rule of his own is an exception from that for all others, and who is refused is nothing else:
// only the block list is named, for those who read it here. Defaults for pseudonyms and the anonymous have no
// words there.
func (n *Node) exportRules() (Export, error) {
	if err := n.needPresence(); err != nil {
		return Export{}, err
	}
	var rules []formats.Rule
	err := n.view(func(t *txn) (err error) {
		rules, err = n.ruleset(t)
		return err
	})
	return Export{Type: formats.TypeRules, Content: formats.AppendRules(nil, rules), Entity: n.self.Address.Pres()}, saveError(n.cfg.Home, err)
}

// ruleset are the rules of the rows: one for all who are granted the same, then one for the rest.
func (n *Node) ruleset(t *txn) (out []formats.Rule, err error) {
	book, err := bookOf(t)
	if err != nil {
		return nil, err
	}
	d := book.Watch(identity.Address{}, policy.Unknown)
	others := grant{d.Handling, book.Fetch(identity.Address{}, policy.Unknown).Handling, viewFor(identity.Address{}, d)}
	granted, refused, blocked, err := n.granted(t, book, others)
	if err != nil {
		return nil, err
	}
	except := append(slices.Clone(refused), blocked...)
	order := slices.SortedFunc(maps.Keys(granted), func(a, b grant) int {
		return cmp.Or(cmp.Compare(b.handling, a.handling), cmp.Compare(a.view, b.view), cmp.Compare(b.fetch, a.fetch))
	})
	for i, g := range order {
		r, err := n.ruleFor(t, fmt.Sprintf("granted-%d", i+1), g)
		if err != nil {
			return nil, err
		}
		r.One = uris(granted[g])
		except = append(except, granted[g]...)
		out = append(out, r)
	}
	if len(blocked) > 0 {
		out = append(out, formats.Rule{ID: "blocked", One: uris(blocked), Handling: policy.Block.String()})
	}
	rest, err := n.ruleFor(t, "others", others)
	rest.Many = []formats.Many{{Except: uris(except)}}
	return append(out, rest), err
}

// granted sorts everybody who is granted something else than all others by what it is.
func (n *Node) granted(t *txn, book policy.Book, others grant) (granted map[grant][]identity.Address, refused, blocked []identity.Address, err error) {
	who := map[identity.Address]policy.Class{}
	err = errors.Join(
		rows(t, store.AllRules(), store.ScanOptions{}, func(k store.Key, r policy.Rule) (bool, error) {
			book.Put(k.Address(), r)
			who[k.Address()] = policy.Unknown
			return true, nil
		}),
		rows(t, store.AllContacts(), store.ScanOptions{}, func(k store.Key, _ contact) (bool, error) {
			who[k.Address()] = policy.Known
			return true, nil
		}))
	granted = map[grant][]identity.Address{}
	for a, c := range who {
		d := book.Watch(a, c)
		g := grant{d.Handling, book.Fetch(a, c).Handling, viewFor(a, d)}
		switch r := book.Rule(a); {
		case d.By == policy.ByDefault && !r.FetchingSet && g == others:
		case r.BlockedPresence:
			blocked = append(blocked, a)
		case g.handling == policy.Block && g.fetch == policy.Block:
			refused = append(refused, a)
		default:
			if g.handling == policy.PoliteBlock {
				g.view = ""
			}
			granted[g] = append(granted[g], a)
		}
	}
	return granted, refused, blocked, err
}

func uris(list []identity.Address) (out []string) {
	for _, a := range list {
		out = append(out, a.Pres())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ruleFor is a rule that grants g, with what its view shows.
func (n *Node) ruleFor(t *txn, id string, g grant) (formats.Rule, error) {
	r := formats.Rule{ID: id, Handling: g.handling.String()}
	if g.fetch != g.handling {
		r.Fetch = g.fetch.String()
	}
	if g.handling != policy.Allow && g.handling != policy.Confirm && g.fetch != policy.Allow || g.view == "" {
		return r, nil
	}
	f, _, err := find[face](t, store.ViewNamed(g.view))
	r.View, r.Show = g.view, showOf(f.Filter)
	return r, err
}

// importRules makes a presence authorization document what holds: everybody is granted what its rules grant
// him, and no more. Blocks of those whom it does not name stay.
func (n *Node) importRules(content []byte) (out Import, err error) {
	if err := n.needPresence(); err != nil {
		return out, err
	}
	out.Kind = KindRules
	if len(content) == 0 {
		return out, &Error{Kind: KindUsage, Code: "usage", Message: "which rules?", Advice: "give a file: hum import pres-rules FILE"}
	}
	doc, err := formats.ParseRules(content)
	if err != nil {
		return out, documentError(err)
	}
	i := &rulesImport{n: n, out: &out, named: map[identity.Address]bool{}}
	for _, r := range doc {
		i.take(r)
	}
	err = n.update(func(t *txn) error {
		out.Published = Published{}
		return errors.Join(i.views(t), i.people(t), i.defaults(t), n.applyRulesToAll(t), n.sayAll(t, &out.Published))
	})
	n.serving.nudge()
	n.publish.nudge()
	return out, saveError(n.cfg.Home, err)
}

// A rulesImport is a document that is being taken over: the rules that can be held here, and whom they name.
type rulesImport struct {
	n     *Node
	out   *Import
	rules []formats.Rule
	named map[identity.Address]bool
}

func (i *rulesImport) skip(format string, args ...any) {
	i.out.Skipped = append(i.out.Skipped, fmt.Sprintf(format, args...))
}

// take keeps a rule, if hum can hold it. One that holds at times only is left out whole: rules only grant.
func (i *rulesImport) take(r formats.Rule) {
	switch {
	case len(r.Foreign) > 0:
		i.skip("rule %s: its condition <%s> is not understood, so it never holds", r.ID, r.Foreign[0])
		return
	case len(r.Sphere) > 0 || len(r.Validity) > 0:
		i.skip("rule %s: hum has no rules for spheres or times", r.ID)
		return
	}
	one := slices.DeleteFunc(slices.Clone(r.One), func(uri string) bool {
		a, ok := formats.AddressOf(uri)
		if !ok || a == i.n.self.Address {
			i.skip("rule %s: %s is nobody here", r.ID, clip(uri))
			return true
		}
		i.named[a] = true
		return false
	})
	many := slices.DeleteFunc(slices.Clone(r.Many), func(m formats.Many) bool {
		if m.Domain != "" {
			i.skip("rule %s: hum addresses have no domain %s", r.ID, clip(m.Domain))
			return true
		}
		for _, uri := range m.Except {
			if a, ok := formats.AddressOf(uri); ok {
				i.named[a] = true
			}
		}
		return false
	})
	if r.One, r.Many = one, many; !r.Anyone && len(one)+len(many) == 0 {
		return
	}
	if name := strings.ToLower(cmp.Or(r.View, r.ID)); viewName.MatchString(name) {
		r.View = name
	} else {
		r.View = fmt.Sprintf("imported-%d", len(i.rules)+1)
	}
	i.rules = append(i.rules, r)
	i.out.Rules++
}

// shows reports whether whom a rule names is shown its view.
func shows(r formats.Rule) bool {
	return r.Handling == policy.Allow.String() || r.Handling == policy.Confirm.String() || r.Fetch == policy.Allow.String()
}

// views makes the views of the rules what they show.
func (i *rulesImport) views(t *txn) error {
	shown := map[string]presence.Filter{}
	for _, r := range i.rules {
		if !shows(r) {
			continue
		}
		f := filterOf(r.Show)
		if before, twice := shown[r.View]; twice && fmt.Sprint(before) != fmt.Sprint(f) {
			return &Error{Kind: KindUsage, Code: "bad-view", Message: fmt.Sprintf("two rules show view %s, and each shows something else", r.View), Advice: "give each a view of its own"}
		}
		shown[r.View] = f
		kept, made, err := find[face](t, store.ViewNamed(r.View))
		if err != nil {
			return err
		}
		if !made && t.Count(store.AllViews()) >= maxViews {
			return &Error{Kind: KindUsage, Code: "too-many-views", Message: fmt.Sprintf("there are %d views already", maxViews), Advice: "delete one: hum view NAME --delete"}
		}
		kept.Filter = f
		if err := i.n.saveFace(t, r.View, kept); err != nil {
			return err
		}
	}
	return nil
}

// of combines what the rules grant an address: the most generous word on watching and on fetching (RFC 4745,
// section 10). Of several views it is the first, as nobody is shown two.
func (i *rulesImport) of(a identity.Address, uri string) (g grant) {
	for _, r := range i.rules {
		many := slices.ContainsFunc(r.Many, func(m formats.Many) bool { return !slices.Contains(m.Except, uri) })
		if !r.Anyone && !many && !slices.Contains(r.One, uri) {
			continue
		}
		h, _ := policy.ParseHandling(r.Handling)
		f, own := policy.ParseHandling(r.Fetch)
		if !own {
			f = h
		}
		if shows(r) && g.view == "" {
			g.view = r.View
		} else if shows(r) && g.view != r.View && !a.IsZero() {
			i.skip("rule %s: %s is shown view %s already", r.ID, short(a), g.view)
		}
		g.handling, g.fetch = max(g.handling, h), max(g.fetch, f)
	}
	return g
}

// people writes the rule of everybody whom the document names, and takes back what was granted to others.
func (i *rulesImport) people(t *txn) error {
	old := map[identity.Address]policy.Rule{}
	err := rows(t, store.AllRules(), store.ScanOptions{}, func(k store.Key, r policy.Rule) (bool, error) {
		old[k.Address()] = r
		return true, nil
	})
	for a := range i.named {
		old[a] = old[a].OfMessages(t.now, i.isBlocked(a))
	}
	for _, a := range slices.SortedFunc(maps.Keys(old), func(a, b identity.Address) int { return slices.Compare(a[:], b[:]) }) {
		r := old[a]
		if !i.named[a] && !r.BlockedPresence && !r.Polite {
			r = r.OfMessages(t.now, false)
		}
		if i.named[a] && !r.BlockedPresence {
			g := i.of(a, a.Pres())
			if g.view == presence.DefaultView {
				g.view = ""
			}
			switch {
			case g.handling == policy.PoliteBlock:
				r = r.PoliteBlock(t.now)
			case g.handling == policy.Allow && g.view != "":
				r = r.In(t.now, g.view)
			default:
				r = r.Handle(t.now, g.handling).Shown(t.now, g.view)
			}
			if g.fetch != g.handling {
				r = r.Fetch(t.now, g.fetch, true)
			}
		}
		err = errors.Join(err, i.n.setRule(t, a, r))
	}
	return err
}

// isBlocked reports whether a rule names somebody to block him.
func (i *rulesImport) isBlocked(a identity.Address) bool {
	return slices.ContainsFunc(i.rules, func(r formats.Rule) bool {
		return r.Handling == policy.Block.String() && r.Fetch == "" && slices.Contains(r.One, a.Pres())
	}) && i.of(a, a.Pres()).handling == policy.Block
}

// defaults makes what is granted to all others the default of those who show who they are, and, if it is
// granted to anyone, of those who do not.
func (i *rulesImport) defaults(t *txn) error {
	book, err := bookOf(t)
	for _, c := range policy.Classes() {
		hidden := c == policy.Pseudonymous || c == policy.Anonymous
		g := (&rulesImport{rules: slices.DeleteFunc(slices.Clone(i.rules), func(r formats.Rule) bool { return hidden && !r.Anyone }), out: &Import{}}).of(identity.Address{}, "")
		d := policy.Default{Watch: g.handling, Fetch: g.fetch, FetchSet: g.fetch != g.handling, View: g.view,
			Messages: book.Defaults[c].Messages, MessagesSet: book.Defaults[c].MessagesSet} // of which RFC 5025 does not speak
		if d.View == presence.DefaultView {
			d.View = ""
		}
		err = errors.Join(err, i.n.setDefault(t, c, d))
	}
	return err
}
