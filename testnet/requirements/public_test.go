package requirements

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// public turns on or off that everybody reads a view of p's that shows his notes.
func (p *person) public(view string, on bool) {
	p.w.Helper()
	_, err := p.EditView(ctx(), node.ViewEdit{Name: view, Show: []string{"note"}, Public: &on})
	p.w.must(err)
}

// reads is what p reads of q's public view, and "no-public-view" or another code if he does not.
func (p *person) reads(q *person) string {
	p.w.Helper()
	who := addressOf(q)
	if q.Node != nil {
		who = q.card()
	}
	got, err := p.FetchPublic(ctx(), who)
	if err != nil {
		return code(err)
	}
	if got.Source != "public" {
		p.w.Errorf("%s reads %s by %s", p.name, q.name, got.Source)
	}
	return got.Basic + " " + got.Note + " " + got.Evidence
}

// Bob lets everybody read one view. Carol, who never asked him for anything, reads it, and so do Dave, whom he blocked,
// and Erin, whom he refuses: at his node, and at his community's while he is away, across weeks of changing keys. Nobody
// of them is in his lists. Before he says so, and after he has taken it back, there is nothing to read.
func TestReq_5_1_3_PublicView(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob := w.operator("d"), w.person("bob")
		bob.enters(d.invite(1))
		carol, dave, erin := w.person("carol"), w.person("dave"), w.person("erin")
		if got := carol.reads(bob); got != "no-public-view" {
			t.Errorf("before: %s", got)
		}
		on := true
		if _, err := bob.EditView(ctx(), node.ViewEdit{Name: "default", Public: &on}); code(err) != "bad-view" {
			t.Errorf("the default view was made public: %v", err)
		}
		bob.public("hello", true)
		if _, err := bob.EditView(ctx(), node.ViewEdit{Name: "second", Public: &on}); code(err) != "exists" {
			t.Errorf("a second view was made public: %v", err)
		}
		bob.note("open till six")
		_, err := bob.Block(ctx(), dave.address(), "both")
		w.must(err)
		_, err = bob.SetPolicy(ctx(), node.PolicyEdit{Class: "unknown", Fetch: ptr("block")})
		w.must(err)
		time.Sleep(10 * time.Second)
		for _, p := range []*person{carol, dave} {
			if got := p.reads(bob); got != "open open till six said" {
				t.Errorf("%s reads %q", p.name, got)
			}
		}
		if info, err := bob.WatcherInfo(ctx()); err != nil || len(info.Watchers) != 0 {
			t.Errorf("bob's list has %+v, %v", info.Watchers, err)
		}
		w.must(second(erin.Resolve(ctx(), bob.card())))
		if got, err := erin.Fetch(ctx(), bob.card(), false); err != nil || got.Source != "public" || got.Note != "open till six" {
			t.Errorf("refused, erin is shown %+v, %v", got, err)
		}

		bob.kill(testnet.Blackout)
		time.Sleep(10 * time.Minute)
		if got := carol.reads(bob); got != "closed open till six lapsed" {
			t.Errorf("while he is lost carol reads %q", got)
		}
		bob.up()
		time.Sleep(10 * time.Second)
		bob.down()
		time.Sleep(time.Minute)
		if got := carol.reads(bob); got != "closed  said" {
			t.Errorf("after he signed off carol reads %q", got)
		}
		for _, p := range []*person{carol, dave, erin} { // weeks cost time
			p.down()
		}
		d.down()
		time.Sleep(9 * 24 * time.Hour)
		d.up()
		bob.up()
		carol.up()
		bob.note("a week later")
		time.Sleep(2 * time.Minute)
		if got := carol.reads(bob); got != "open a week later said" {
			t.Errorf("after a change of keys carol reads %q", got)
		}

		bob.public("hello", false)
		bob.note("among ourselves")
		time.Sleep(time.Minute)
		w.within(time.Minute, "once it is over carol, who has the old keys, reads nothing", func() bool { return carol.reads(bob) == "no-public-view" })
		faith := w.person("faith")
		w.within(time.Minute, "once it is over a stranger reads nothing", func() bool { return faith.reads(bob) == "no-public-view" })
		w.must(clean("the tape of the community", d.got.all(""), "among ourselves"))
	})
}

// Bob's second device makes it public, and his first ends it, deleting the view: what either says holds for both, and
// neither brings back what the other ended.
func TestPublicViewOfTwoDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, carol := w.person("bob"), w.person("carol")
		two := bob.also("two", node.NewDevice{Admin: true, Roles: identity.RoleInbox | identity.RolePublisher})
		time.Sleep(time.Minute)
		two.public("hello", true)
		bob.note("from the first")
		w.within(5*time.Minute, "carol reads what the first says", func() bool { return carol.reads(bob) == "open from the first said" })
		_, err := bob.EditView(ctx(), node.ViewEdit{Name: "hello", Delete: true})
		w.must(err)
		time.Sleep(10 * time.Minute)
		for _, name := range []string{"dave", "erin"} {
			p := w.person(name)
			w.within(time.Minute, "once it is over "+name+" reads nothing", func() bool { return p.reads(bob) == "no-public-view" })
		}
	})
}
