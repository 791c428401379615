package requirements

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// state is all that the devices of an address have to agree about, in words.
func (p *person) state() string {
	p.w.Helper()
	var out []string
	for what, lines := range p.agreed() {
		for _, l := range lines {
			out = append(out, what+" "+l)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// agreed is the same by what it is about.
func (p *person) agreed() map[string][]string {
	p.w.Helper()
	all := map[string][]string{}
	say := func(what string, words ...any) { all[what] = append(all[what], fmt.Sprint(words...)) }
	for _, c := range must(p.Contacts(ctx())) {
		say("petname", c.Petname, " ", c.Address, " ", c.Claimed, " ", c.Verified)
	}
	for _, s := range must(p.Watching(ctx())) {
		if s.State != "ending" { // which each device does for itself, with a sub of its own
			say("subscription", s.Address, " ", s.State)
		}
	}
	for _, b := range must(p.Blocks(ctx())) {
		say("block", b.Address, " ", b.Mode, " ", b.Scope, " ", b.Since.UnixMilli())
	}
	for _, v := range must(p.Views(ctx())) {
		say("view", v.Name, " shows ", v.Show, " to ", v.Watchers)
		for _, m := range v.Members {
			say("group", v.Name, " ", m.Address)
		}
	}
	for _, l := range must(p.Policy(ctx(), "")) {
		say("policy", fmt.Sprintf("%+v", l))
	}
	for _, s := range must(p.WatcherInfo(ctx())).Watchers {
		if s.Once { // each device answers for itself who asks once
			continue
		}
		say("watcher", s.Address, " ", s.ID, " ", s.State, " ", s.Reason, " ", s.View, " ", s.Since.UnixMilli())
		l := must(p.Policy(ctx(), s.Address.String()))[0]
		l.Petname = ""
		say("rule", fmt.Sprintf("%+v", l))
		if s.State == "active" {
			say("document", s.Address, " ", must(p.ViewAs(ctx(), s.Address.String())).Digest)
		}
	}
	for _, m := range must(p.Inbox(ctx(), node.InboxQuery{})) {
		say("inbox", m.ID, " ", string(m.Content), " ", m.FirstContact)
		say("read", m.ID, " ", m.Displayed.UnixMilli())
	}
	for _, m := range must(p.Outbox(ctx(), "")) {
		say("sent", m.ID, " ", string(m.Content))
		say("result", m.ID, " ", m.State, " ", m.Reason, " ", m.AckedAt.UnixMilli())
	}
	return all
}

func kindsIn[V any](m map[string]V) (out []string) {
	for kind := range m {
		out = append(out, kind)
	}
	slices.Sort(out)
	return out
}

// unlike errs unless all of them say the same.
func unlike(all ...*person) error {
	first := all[0].agreed()
	for _, p := range all[1:] {
		mine := p.agreed()
		for _, what := range kindsIn(mine) {
			a, b := slices.Sorted(slices.Values(first[what])), slices.Sorted(slices.Values(mine[what]))
			if !slices.Equal(a, b) {
				return fmt.Errorf("%s of %s and of %s differ:\n%s\n--\n%s", what, all[0].name, p.name, strings.Join(a, "\n"), strings.Join(b, "\n"))
			}
		}
		for what := range first {
			if len(mine[what]) == 0 {
				return fmt.Errorf("%s has no %s, %s has %v", p.name, what, all[0].name, first[what])
			}
		}
	}
	return nil
}

// uttered is all that each device ever said of its user.
type uttered map[string]map[[3]string]bool

func (u uttered) by(p *person, said ...string) {
	d := p.Self().Device.String()
	if u[d] == nil {
		u[d] = map[[3]string]bool{}
	}
	u[d][[3]string(said)] = true
}

// truth errs if what is shown to somebody is not what one of the devices said: the basic status, the IM status
// and the note together. Who is in a view that hides something may be shown less of it, never another mixture.
func (u uttered) truth(p node.PresenceOf, filtered bool) error {
	if p.Basic == "unknown" || p.Evidence == "lapsed" {
		return nil
	}
	for d, words := range u {
		for w := range words {
			is := func(shown, said string) bool { return shown == said || filtered && shown == "" }
			theirs := slices.ContainsFunc(p.Tuples, func(t node.TupleOf) bool { return t.Device.String() == d })
			if theirs && p.Basic == w[0] && (p.Basic == "closed" || is(p.IM, w[1]) && is(p.Note, w[2])) {
				return nil
			}
		}
	}
	return fmt.Errorf("%s %q %q was said by none of the devices", p.Basic, p.IM, p.Note)
}

// A trio is the three devices of one person, whose clocks differ, and those he has to do with.
type trio struct {
	*world
	all               []*person
	alice, dave, erin *person
	r                 *rand.Rand
	said              uttered
}

func newTrio(w *world, seed any) *trio {
	x := &trio{world: w, said: uttered{}, r: rand.New(randomOf("three devices", seed))}
	bob := w.person("bob", lease5)
	x.alice, x.dave, x.erin = w.person("alice"), w.person("dave"), w.person("erin")
	for _, p := range []*person{x.dave, x.erin} {
		_, err := p.SetPolicy(ctx(), node.PolicyEdit{Class: "unknown", Watch: ptr("allow")})
		w.must(err)
	}
	bob.add(x.erin)
	for _, p := range []*person{x.alice, x.dave} {
		p.watch(bob)
		bob.add(p)
	}
	x.all = []*person{bob, bob.also("two", node.NewDevice{Admin: true}), bob.also("three", node.NewDevice{Admin: true})}
	x.all[1].clock.Step(45 * time.Second)
	x.all[2].clock.Step(-45 * time.Second)
	for _, d := range x.all {
		x.said.by(d, "open", "available", "")
	}
	return x
}

func ptr[T any](v T) *T { return &v }

// look holds what the watchers are shown to what was said.
func (x *trio) look() {
	x.Helper()
	for _, p := range []*person{x.alice, x.dave} {
		if err := x.said.truth(p.sees(x.all[0]), p == x.dave); err != nil {
			x.Fatalf("%s sees what is not: %v", p.name, err)
		}
	}
}

func (x *trio) pass(d time.Duration) {
	x.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		x.look()
	}
}

// say has a device say one thing: whether he is there, how, and a note.
func (x *trio) say(d *person, basic wire.Basic, note string) {
	im := []wire.IMStatus{wire.Available, wire.Busy, wire.Away, wire.DND}[x.r.IntN(4)]
	x.said.by(d, basic.String(), im.String(), note)
	_, err := d.Set(ctx(), node.Change{Basic: &basic, IM: &im, Note: &note})
	x.must(err)
}

// deeds are what the user does on one of his devices, by what it changes. Some are refused where that device does
// not know yet what they are about, which is as good.
func (x *trio) deeds() map[string]func(d *person, n int) error {
	views := []string{"friends", "work"}
	view := func() string { return views[x.r.IntN(len(views))] }
	words := []string{"note", "activities", "user-input", "class=home", "mood"}
	return map[string]func(d *person, n int) error{
		"document": func(d *person, n int) error {
			x.say(d, []wire.Basic{wire.Open, wire.Open, wire.Open, wire.Closed}[x.r.IntN(4)], fmt.Sprint("note ", n))
			return nil
		},
		"petname": func(d *person, n int) error {
			_, err := d.Add(ctx(), x.erin.card(), fmt.Sprint("erin ", n))
			return err
		},
		"subscription": func(d *person, n int) error {
			of := []*person{x.dave, x.erin}[n%2].address()
			if x.r.IntN(2) == 0 {
				_, err := d.Unwatch(ctx(), of)
				return err
			}
			_, err := d.Watch(ctx(), of, "", 0)
			return err
		},
		"block": func(d *person, n int) (err error) {
			switch scope := []string{"", "", "both", "im", "presence", "polite"}[x.r.IntN(6)]; scope {
			case "":
				_, err = d.Unblock(ctx(), x.erin.address())
			case "polite":
				_, err = d.PoliteBlock(ctx(), x.erin.address())
			default:
				_, err = d.Block(ctx(), x.erin.address(), scope)
			}
			return err
		},
		"view": func(d *person, n int) error {
			e := node.ViewEdit{Name: view(), Delete: x.r.IntN(5) == 0}
			if !e.Delete {
				e.Show, e.Hide = []string{words[x.r.IntN(len(words))]}, []string{words[x.r.IntN(len(words))]}
			}
			_, err := d.EditView(ctx(), e)
			return err
		},
		"group": func(d *person, n int) error {
			e := node.ViewEdit{Name: view(), Add: []string{x.dave.address()}}
			if x.r.IntN(3) == 0 {
				e.Add, e.Remove = nil, e.Add
			}
			_, err := d.EditView(ctx(), e)
			return err
		},
		"policy": func(d *person, n int) error {
			e := node.PolicyEdit{Class: []string{"unknown", "pseudonymous", "anonymous"}[x.r.IntN(3)], Watch: ptr([]string{"block", "confirm", "allow"}[x.r.IntN(3)])}
			_, err := d.SetPolicy(ctx(), e)
			return err
		},
		"rule": func(d *person, n int) error {
			e := node.PolicyEdit{Who: x.dave.address(), Fetch: ptr([]string{"block", "confirm", "allow"}[x.r.IntN(3)]), Displayed: ptr([]string{"tell", "keep"}[x.r.IntN(2)])}
			_, err := d.SetPolicy(ctx(), e)
			return err
		},
		"inbox": func(d *person, n int) error {
			from := []*person{x.alice, x.erin}[n%2]
			_, err := from.Send(ctx(), node.Draft{To: addressOf(x.all[0]), Content: fmt.Append(nil, "message ", n), Expires: 24 * time.Hour})
			return err
		},
		"read": func(d *person, n int) error {
			return x.one(d, func(m node.Received) error { _, err := d.OpenMessage(ctx(), m.ID.String()); return err })
		},
		"deletion": func(d *person, n int) error {
			return x.one(d, func(m node.Received) error { _, err := d.Delete(ctx(), []string{m.ID.String()}); return err })
		},
		"sent": func(d *person, n int) error {
			_, err := d.Send(ctx(), node.Draft{To: x.alice.address(), Content: fmt.Append(nil, "from bob ", n), Expires: 24 * time.Hour})
			return err
		},
	}
}

// one does something with a message of the inbox.
func (x *trio) one(d *person, do func(node.Received) error) error {
	rows := must(d.Inbox(ctx(), node.InboxQuery{}))
	if len(rows) == 0 {
		return nil
	}
	return do(rows[x.r.IntN(len(rows))])
}

// accident cuts two of the devices off from each other or joins them, or ends or starts one.
func (x *trio) accident(d *person) {
	x.Helper()
	running := slices.DeleteFunc(slices.Clone(x.all), func(p *person) bool { return p.Node == nil })
	other := x.all[x.r.IntN(3)]
	switch x.r.IntN(4) {
	case 0:
		x.net.Cut(d.ip, other.ip)
	case 1:
		x.net.Join(d.ip, other.ip)
	case 2:
		if d.Node == nil {
			d.up()
		} else if len(running) > 1 {
			d.kill(testnet.Crash)
		}
	default:
		if d.Node == nil {
			d.up()
		} else if len(running) > 1 {
			x.said.by(d, "closed", "", "") // by signing off
			d.down()
		}
	}
}

// apart cuts or joins every two of them.
func (x *trio) apart(cut bool) {
	for i, d := range x.all {
		for _, other := range x.all[:i] {
			if cut {
				x.net.Cut(d.ip, other.ip)
			} else {
				x.net.Join(d.ip, other.ip)
			}
		}
	}
}

// settle heals everything and waits until all say the same.
func (x *trio) settle() {
	x.Helper()
	x.apart(false)
	for _, d := range x.all {
		if d.Node == nil {
			d.up()
		}
	}
	if err := await(20*time.Minute, "all say the same", func() bool { x.look(); return unlike(x.all...) == nil }); err != nil {
		x.Fatal(err, unlike(x.all...))
	}
}

// Three devices of one person, whose clocks differ, over partitions and restarts: whatever the user does on each,
// all come to the same, and his watchers never see a state that none of them said. What is compared is everything
// that follows him, and of each part a difference is found.
func TestThreeDevicesConverge(t *testing.T) {
	seeds := 1
	if os.Getenv("HUM_LONG") != "" {
		seeds = 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { inWorld(t, func(w *world) { threeDevices(w, seed) }) })
	}
}

func threeDevices(w *world, seed int) {
	x := newTrio(w, seed)
	deeds := x.deeds()
	kinds := kindsIn(deeds)
	for n := range 100 {
		d := x.all[x.r.IntN(3)]
		if kind := x.r.IntN(len(kinds) * 3 / 2); kind >= len(kinds) {
			x.accident(d)
		} else if d.Node != nil {
			_ = deeds[kinds[kind]](d, n)
		}
		x.pass(time.Duration(1+x.r.IntN(6)) * time.Second)
	}
	x.settle()
	w.within(5*time.Minute, "alice sees three devices", func() bool { x.look(); return len(x.alice.sees(x.all[0]).Tuples) == 3 })
	x.plain()
	old := filepath.Join(w.dir, "three as it was")
	x.all[2].down()
	w.must(testnet.CopyHome(x.all[2].home, old))
	x.all[2].up()
	x.lastWords()
	x.all[2].down()
	x.all[2].home = old
	x.all[2].up()
	time.Sleep(2 * time.Minute)
	w.finds("a device on which what is older stands", unlike(x.all...))
}

// plain brings back what lastWords changes.
func (x *trio) plain() {
	x.Helper()
	d := x.all[0]
	for i, d := range x.all { // a closed inbox takes nothing
		x.say(d, wire.Open, fmt.Sprint("plain ", i))
	}
	_, _ = d.Unblock(ctx(), x.erin.address())
	_, err := d.Watch(ctx(), x.erin.address(), "", 0)
	x.must(err)
	_, err = d.SetPolicy(ctx(), node.PolicyEdit{Who: x.dave.address(), Fetch: ptr("allow")})
	x.must(err)
	_, err = d.SetPolicy(ctx(), node.PolicyEdit{Class: "anonymous", Watch: ptr("block")})
	x.must(err)
	_, err = x.alice.Send(ctx(), node.Draft{To: addressOf(d), Content: []byte("to be opened"), Expires: 24 * time.Hour})
	x.must(err)
	x.within(20*time.Minute, "it is there, and erin is watched", func() bool {
		return d.has("to be opened") == 1 && d.watching(x.erin).State == "active"
	})
	x.settle()
}

// lastWords has the devices, while they are cut off from each other, say something new of each kind, each of some.
// That they differ is found then, kind by kind; and once they have met, the newest word stands with all.
func (x *trio) lastWords() {
	x.Helper()
	x.apart(true)
	for _, d := range x.all[1:] {
		x.net.Cut(x.alice.ip, d.ip)
	}
	time.Sleep(time.Minute)
	words := []struct {
		kind string
		of   int
		say  func(d *person) error
	}{
		{"inbox", 0, func(*person) error {
			_, err := x.alice.Send(ctx(), node.Draft{To: addressOf(x.all[0]), Content: []byte("for one alone"), Expires: 24 * time.Hour})
			return err
		}},
		{"petname", 1, func(d *person) error { _, err := d.Add(ctx(), x.dave.card(), "the last name"); return err }},
		{"subscription", 2, func(d *person) error { _, err := d.Unwatch(ctx(), x.erin.address()); return err }},
		{"block", 0, func(d *person) error { _, err := d.Block(ctx(), x.erin.address(), "both"); return err }},
		{"view", 1, func(d *person) error {
			_, err := d.EditView(ctx(), node.ViewEdit{Name: "last", Show: []string{"mood"}})
			return err
		}},
		{"group", 2, func(d *person) error {
			_, err := d.EditView(ctx(), node.ViewEdit{Name: "last-group", Add: []string{x.dave.address()}})
			return err
		}},
		{"watcher", 0, func(d *person) error { _, err := d.Drop(ctx(), x.alice.address()); return err }},
		{"policy", 1, func(d *person) error {
			_, err := d.SetPolicy(ctx(), node.PolicyEdit{Class: "anonymous", Watch: ptr("allow")})
			return err
		}},
		{"rule", 2, func(d *person) error {
			_, err := d.SetPolicy(ctx(), node.PolicyEdit{Who: x.dave.address(), Fetch: ptr("block")})
			return err
		}},
		{"document", 2, func(d *person) error { x.say(d, wire.Open, "the last note"); return nil }},
		{"read", 1, func(d *person) error {
			all := must(d.Inbox(ctx(), node.InboxQuery{Search: "to be opened"}))
			_, err := d.OpenMessage(ctx(), all[0].ID.String())
			return err
		}},
		{"sent", 2, func(d *person) error {
			_, err := d.Send(ctx(), node.Draft{To: x.dave.address(), Content: []byte("the last one"), Expires: 24 * time.Hour})
			return err
		}},
	}
	var stands []func() error
	for _, word := range words {
		d, before := x.all[word.of], x.all[word.of].agreed()[word.kind]
		x.must(word.say(d))
		x.within(time.Minute, "it is done: "+word.kind, func() bool { return !slices.Equal(before, d.agreed()[word.kind]) })
		mine, theirs := d.agreed()[word.kind], x.all[(word.of+1)%3].agreed()[word.kind]
		if slices.Equal(mine, theirs) {
			x.Errorf("a difference is not found: %s of %s", word.kind, d.name)
		}
		if word.kind == "document" || word.kind == "watcher" { // said once more when they meet, with the reason that she gives
			continue
		}
		stands = append(stands, func() error {
			for _, p := range x.all {
				for _, l := range p.agreed()[word.kind] {
					if slices.Contains(before, l) && !slices.Contains(mine, l) {
						return fmt.Errorf("%s of %s is still %s", word.kind, p.name, l)
					}
				}
				for _, l := range mine {
					if !slices.Contains(before, l) && !slices.Contains(p.agreed()[word.kind], l) {
						return fmt.Errorf("%s has not %s %s but %s", p.name, word.kind, l, p.agreed()[word.kind])
					}
				}
			}
			return nil
		})
	}
	for _, d := range x.all[1:] {
		x.net.Join(x.alice.ip, d.ip)
	}
	x.settle()
	for _, s := range stands {
		if err := s(); err != nil {
			x.Error(err)
		}
	}
	if s := x.all[2].watcher(x.alice); s.State != "terminated" {
		x.Errorf("alice, who was dropped on one device, is %s on another", s.State)
	}
	x.within(time.Minute, "dave sees what was said last", func() bool {
		return slices.ContainsFunc(must(x.all[0].ViewAs(ctx(), x.dave.address())).Shown, func(d node.Document) bool {
			return d.Device == x.all[2].Self().Device && d.Ended.IsZero()
		})
	})
}
