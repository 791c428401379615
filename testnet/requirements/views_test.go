package requirements

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// policy says what becomes of a class of people.
func (p *person) policy(class, watch string) {
	p.w.Helper()
	_, err := p.SetPolicy(ctx(), node.PolicyEdit{Class: class, Watch: &watch})
	p.w.must(err)
}

// handles says what becomes of one person.
func (p *person) handles(who, watch, fetch string) {
	p.w.Helper()
	_, err := p.SetPolicy(ctx(), node.PolicyEdit{Who: who, Watch: &watch, Fetch: &fetch})
	p.w.must(err)
}

// view makes or changes a view.
func (p *person) view(e node.ViewEdit) {
	p.w.Helper()
	_, err := p.EditView(ctx(), e)
	p.w.must(err)
}

func (p *person) politely(who string) {
	p.w.Helper()
	_, err := p.PoliteBlock(ctx(), who)
	p.w.must(err)
}

// activity publishes what he does, an attribute beside the note.
func (p *person) activity(word string) {
	p.w.Helper()
	_, err := p.Set(ctx(), node.Change{Activity: &word})
	p.w.must(err)
}

// opens are the documents that the keys of a grant open among all records that somebody heard.
func (c *hostile) opens(p *person, g wire.Grant) (docs []wire.Doc) {
	for _, e := range append(c.got.topics(), c.topicOf(p)) {
		docs = append(docs, c.reads(e, g)...)
	}
	return docs
}

func tells(docs []wire.Doc, marker string) bool {
	return slices.ContainsFunc(docs, func(d wire.Doc) bool { return strings.Contains(string(d.Append(nil)), marker) })
}

// hears has Carol join every topic that she sees.
func (c *hostile) hears(p *person) {
	for _, e := range c.got.topics() {
		if c.watchTopic(p, e) == nil {
			c.join(e)
		}
	}
}

// Carol has no yes: she is refused both ways, and hears every topic there is without reading one.
func TestReq_2_3_1_WhoMaySee(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		bob.policy("known", "block")
		bob.policy("unknown", "block")
		bob.handles(alice.address(), "allow", "same")
		alice.add(bob)
		alice.ask(bob)
		w.within(3*time.Second, "alice sees him without a question", func() bool { return alice.sees(bob).Basic == "open" })
		c.post(bob, c.subRequest(bob, carolsSub), c.records...)
		w.within(5*time.Second, "carol is refused", func() bool {
			return slices.ContainsFunc(c.states(bob), func(s wire.SubState) bool { return s.State == wire.SubDenied && s.Reason == wire.ReasonPolicy })
		})
		c.hears(bob)
		bob.note(marker)
		w.soonly("alice reads the note", func() bool { return alice.sees(bob).Note == marker })
		p, err := alice.Fetch(ctx(), "bob", false)
		w.must(err)
		if p.Note != marker {
			t.Errorf("fetched %+v", p)
		}
		w.must(clean("what carol holds", everywhere(c), marker))
		bob.handles(c.address().String(), "allow", "same")
		c.post(bob, c.subRequest(bob, wire.SubID{77}), c.records...)
		var g wire.Grant
		w.within(5*time.Second, "carol is granted", func() bool {
			for _, st := range c.states(bob) {
				if st.Grant != nil {
					g = *st.Grant
				}
			}
			return g.HasEpoch()
		})
		w.must(c.watchTopic(bob, g.E))
		time.Sleep(soon)
		var err2 error
		if tells(c.reads(g.E, g), marker) {
			err2 = fmt.Errorf("she reads it")
		}
		w.finds("a yes to carol", err2)
	})
}

// To see once and to be told of each change are two permissions.
func TestReq_2_3_2_WhoMaySubscribe(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.handles(alice.address(), "block", "allow")
		bob.note(marker)
		for range 3 {
			p, err := alice.Fetch(ctx(), "bob", false)
			w.must(err)
			if p.Note != marker {
				t.Errorf("fetched %+v", p)
			}
			time.Sleep(61 * time.Second)
		}
		alice.ask(bob)
		w.within(5*time.Second, "alice may not subscribe", func() bool {
			s := alice.watching(bob)
			return s.State == "denied" && s.Reason == wire.ReasonPolicy
		})
		bob.handles(alice.address(), "allow", "block")
		alice.ask(bob)
		w.within(5*time.Second, "alice may subscribe", func() bool { return alice.watching(bob).State == "active" })
		time.Sleep(time.Minute)
		if s := bob.watcher(alice); s.State != "active" || s.Fetches != 3 {
			t.Errorf("listed as %+v", s)
		}
	})
}

// Alice is shown all, Dave what a view for him lets through, by notices as when they ask once; what is filtered
// twice is filtered alike, see node/presence; what Dave's disk holds: TestReq_5_2_1_AWatchersDisk.
func TestReq_2_3_3_WhatEachSees(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, dave, bob := w.person("alice"), w.person("dave"), w.person("bob")
		alice.watch(bob)
		bob.view(node.ViewEdit{Name: "basic", Add: []string{addressOf(dave)}})
		dave.add(bob)
		dave.ask(bob)
		w.within(3*time.Second, "dave sees him", func() bool { return dave.sees(bob).Basic == "open" })
		bob.note(marker)
		bob.activity("meeting")
		w.soonly("alice reads the note", func() bool { return alice.sees(bob).Note == marker })
		time.Sleep(3 * time.Second)
		for _, p := range []*person{alice, dave} {
			told := p.sees(bob)
			fetched, err := p.Fetch(ctx(), "bob", false)
			w.must(err)
			if fetched.Note != told.Note || fetched.Basic != told.Basic || !reflect.DeepEqual(fetched.Tuples, told.Tuples) {
				t.Errorf("%s was told %+v and fetched %+v", p.name, told, fetched)
			}
			as, err := bob.ViewAs(ctx(), p.address())
			w.must(err)
			if len(as.Shown) != 1 || slices.Contains(as.Shown[0].Notes, marker) != (p == alice) || (len(as.Shown[0].Status) == 1) != (p == alice) {
				t.Errorf("%s can read %+v", p.name, as)
			}
		}
		if n := dave.sees(bob).Note; n != "" {
			t.Errorf("dave sees %q", n)
		}
	})
}

// Two watchers in different views see different documents at the same instant, and the one who holds every byte
// that went over the wire, and all that she was granted herself, cannot read the other view.
func TestReq_5_2_1_AnotherView(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		c, h := w.hostile("carol"), w.hostile("heidi")
		bob.view(node.ViewEdit{Name: "basic", Show: []string{"activities"}})
		alice.watch(bob)
		g := c.watch(bob)
		_, err := bob.ApproveIn(ctx(), c.address().String(), "basic")
		w.must(err)
		own := g
		w.soonly("carol is granted the view for her", func() bool {
			for _, st := range c.states(bob) {
				if st.Grant != nil {
					own = *st.Grant
				}
			}
			return own.E != g.E
		})
		full := h.watch(bob)
		w.must(c.watchTopic(bob, own.E))
		w.must(h.watchTopic(bob, full.E))
		c.hears(bob)
		h.hears(bob)
		bob.note(marker)
		bob.activity("meeting")
		w.soonly("alice reads the note", func() bool { return alice.sees(bob).Note == marker })
		w.within(5*time.Second, "carol reads what her view shows", func() bool { return tells(c.reads(own.E, own), "meeting") })
		time.Sleep(soon)
		for _, key := range []wire.Grant{g, own} {
			if tells(c.opens(bob, key), marker) {
				t.Error("carol reads the other view")
			}
		}
		w.must(clean("what carol holds", everywhere(c), marker))
		for _, p := range []*person{alice, bob} {
			w.must(clean("what "+p.name+"'s machine was sent", p.got.all(""), marker))
		}
		if !tells(h.opens(bob, full), marker) {
			t.Error("heidi, in the other view, does not read it: the check could not have found it")
		}
	})
}

// Alice is shown all by gossip, Dave a part by stream, Carol nothing, and all at the same instant; Erin is muted,
// which is to see that he is offline.
func TestReq_5_2_3_WithheldAndDifferent(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, dave, erin, bob := w.person("alice"), w.person("dave"), w.person("erin"), w.person("bob")
		bob.view(node.ViewEdit{Name: "basic", Add: []string{addressOf(dave)}})
		alice.watch(bob)
		erin.watch(bob)
		dave.add(bob)
		dave.ask(bob)
		w.within(3*time.Second, "dave sees him", func() bool { return dave.sees(bob).Basic == "open" })
		bob.politely(erin.address())
		w.within(40*time.Second, "erin sees that he is offline", func() bool { return erin.sees(bob).Basic == "closed" })
		told := len(erin.events())
		for i := range 5 {
			note := fmt.Sprintf("%s %d", marker, i)
			bob.note(note)
			w.soonly("alice is told", func() bool { return alice.sees(bob).Note == note })
			time.Sleep(2 * time.Second)
			if p := dave.sees(bob); p.Note != "" || p.Basic != "open" {
				t.Errorf("dave sees %+v", p)
			}
			if p := erin.sees(bob); p.Note != "" || p.Basic != "closed" || p.Evidence != "said" {
				t.Errorf("erin sees %+v", p)
			}
		}
		if s := erin.watching(bob); s.State != "active" {
			t.Errorf("erin's subscription is %+v", s)
		}
		for _, e := range erin.events()[told:] {
			if e.Kind == "presence" && e.Address == bob.Self().Address {
				t.Errorf("erin was told of %+v", e)
			}
		}
		w.must(clean("what erin's machine was sent", erin.got.all(""), marker))
		_, err := bob.Unblock(ctx(), erin.address())
		w.must(err)
		w.within(5*time.Second, "erin sees what holds now", func() bool { return erin.sees(bob).Note == marker+" 4" })
	})
}

// Carol is politely blocked: of 20 changes she reads none, while alice is told of each.
func TestReq_3_2_3_PolitelyBlocked(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		g := c.watch(bob)
		w.must(c.watchTopic(bob, g.E))
		c.join(g.E)
		bob.note("before")
		w.soonly("carol reads as a watcher", func() bool { return tells(c.opens(bob, g), "before") })
		bob.politely(c.address().String())
		seen := map[string]bool{}
		for i := range 20 {
			bob.note(fmt.Sprintf("%s %d", marker, i))
			time.Sleep(3 * time.Second)
			seen[alice.sees(bob).Note] = true
			c.hears(bob)
		}
		if len(seen) != 20 {
			t.Errorf("alice saw %d changes", len(seen))
		}
		docs := c.opens(bob, g)
		if tells(docs, marker) {
			t.Error("carol reads what was said after she was politely blocked")
		}
		closed := slices.ContainsFunc(docs, func(d wire.Doc) bool {
			return len(d.Tuples) == 1 && d.Tuples[0].Basic == wire.Closed && d.Reach == nil && len(d.Notes) == 0
		})
		if !closed {
			t.Error("carol was not shown that he is offline")
		}
	})
}

// Whoever hides behind a pseudonym is refused though anybody else may watch, and what he had ends.
func TestReq_5_1_14_BarsTheAnonymous(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		bob.policy("unknown", "allow")
		ask := func(sub byte, name string) {
			t.Helper()
			c.post(bob, c.subRequest(bob, wire.SubID{sub}, func(r *wire.SubRequest) { r.Flags, r.Name = wire.FlagPseudonym, name }), c.records...)
		}
		stands := func(sub byte, state wire.SubStateCode, reason wire.Reason) {
			t.Helper()
			w.within(5*time.Second, fmt.Sprint("subscription ", sub, " is ", state), func() bool {
				all := slices.DeleteFunc(c.states(bob), func(s wire.SubState) bool { return s.Sub != wire.SubID{sub} })
				return len(all) > 0 && all[len(all)-1].State == state && all[len(all)-1].Reason == reason
			})
		}
		ask(1, "")
		stands(1, wire.SubDenied, wire.ReasonAuthRequired)
		ask(2, "nobody")
		stands(2, wire.SubDenied, wire.ReasonAuthRequired)
		bob.policy("anonymous", "allow")
		ask(3, "")
		stands(3, wire.SubActive, 0)
		bob.policy("anonymous", "block")
		stands(3, wire.SubTerminated, wire.ReasonAuthRequired)
		bob.kill(testnet.Crash)
		bob.up()
		ask(4, "")
		stands(4, wire.SubDenied, wire.ReasonAuthRequired)
		c.post(bob, c.subRequest(bob, wire.SubID{5}), c.records...)
		stands(5, wire.SubActive, 0) // the same address, by its own name
	})
}

// The rest of S34 belongs to formats and to devices: an export of the list, and a second device.
func TestReq_S34_BlockListAndRestarts(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, erin, bob := w.person("alice"), w.person("erin"), w.person("bob")
		alice.add(bob)
		erin.watch(bob)
		_, err := bob.Block(ctx(), alice.address(), "both")
		w.must(err)
		bob.politely(erin.address())
		bob.kill(testnet.Crash)
		bob.up()
		list, err := bob.Blocks(ctx())
		w.must(err)
		modes := map[string]string{}
		for _, b := range list {
			modes[b.Address.String()] = b.Mode
		}
		if len(list) != 2 || modes[addressOf(alice)] != "block" || modes[addressOf(erin)] != "polite-block" {
			t.Errorf("after kill -9 the list is %+v", list)
		}
		alice.ask(bob)
		w.within(10*time.Second, "alice is refused", func() bool { return alice.watching(bob).State == "denied" })
		alice.comesTo(alice.send(bob, "hello?"), "failed(refused)", time.Minute)
		w.within(time.Minute, "erin sees that he is offline", func() bool { return erin.sees(bob).Basic == "closed" })
		erin.comesTo(erin.send(bob, "hello?"), "failed(closed)", time.Minute)
	})
}

// Carol sees Bob in another view. What he truly said there, said again where the others hear him, is turned away
// and counted, though he signed it: each view has a key of its own.
func TestReq_5_2_4_DocumentOfAnotherView(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		c, h := w.hostile("carol"), w.hostile("heidi")
		bob.view(node.ViewEdit{Name: "basic", Show: []string{"activities"}})
		alice.watch(bob)
		g := c.watch(bob)
		_, err := bob.ApproveIn(ctx(), c.address().String(), "basic")
		w.must(err)
		own := g
		w.soonly("carol is granted the view for her", func() bool {
			for _, st := range c.states(bob) {
				if st.Grant != nil {
					own = *st.Grant
				}
			}
			return own.E != g.E
		})
		full := h.watch(bob) // who tells her the others' topic
		w.must(c.watchTopic(bob, own.E))
		bob.note("true")
		bob.activity("meeting")
		w.within(5*time.Second, "alice is shown the truth", func() bool { return alice.sees(bob).Note == "true" })
		w.within(5*time.Second, "carol has a document of her view", func() bool { return tells(c.reads(own.E, own), "meeting") })
		r := latest(c, own.E)
		if !r.Verify(own.E) {
			t.Fatal("it is not what bob signed")
		}
		c.meet(alice)
		c.join(full.E)
		time.Sleep(3 * time.Second)
		turned := func(rec []byte) error {
			before := alice.refused("rec signature")
			c.say(full.E, rec)
			time.Sleep(3 * time.Second)
			if n := alice.sees(bob).Note; n != "true" {
				return fail("alice is shown %q", n)
			}
			if alice.refused("rec signature") == before {
				return fail("it is not counted")
			}
			return nil
		}
		w.must(turned(r.Raw))
		other := wire.NewUpdate(c.d, r.Tag, r.T+1, r.CT) // and under a signature that is not his
		w.must(turned(other.Raw))
		bob.note("still true")
		w.within(5*time.Second, "what bob says comes", func() bool { return alice.sees(bob).Note == "still true" })
		w.finds("what bob himself says", turned(r.Raw))
	})
}

// Somebody has the whole disk of Dave, with the key of its store, and every record of the view that Alice is in: what
// it shows is not there, and no 32 octets of what is there are a key that opens it. On Alice's disk both are found.
func TestReq_5_2_1_AWatchersDisk(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, dave, bob, c := w.person("alice"), w.person("dave"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		bob.view(node.ViewEdit{Name: "basic", Add: []string{addressOf(dave)}})
		dave.add(bob)
		dave.ask(bob)
		w.within(3*time.Second, "dave sees him", func() bool { return dave.sees(bob).Basic == "open" })
		g := c.watch(bob) // as alice does, to have the records
		w.must(c.watchTopic(bob, g.E))
		bob.note(marker)
		w.within(5*time.Second, "alice and carol read it", func() bool { return alice.sees(bob).Note == marker && tells(c.reads(g.E, g), marker) })
		time.Sleep(soon)
		r := latest(c, g.E)
		opens := func(disk []byte) error {
			for ; len(disk) >= 32; disk = disk[1:] {
				if _, err := wire.OpenDoc([32]byte(disk), g.E, r.Tag, r.T, r.CT); err == nil {
					return fail("a key that opens it is there")
				}
			}
			return nil
		}
		dave.down()
		alice.down()
		his, hers := dave.opened(), alice.opened()
		dave.up()
		alice.up()
		w.must(clean("the disk of dave", his, marker))
		w.must(opens(his))
		w.finds("the disk of alice", clean("the disk of alice", hers, marker))
		w.finds("the key on the disk of alice", opens(hers))
	})
}
