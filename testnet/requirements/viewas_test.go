package requirements

import (
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// as is what p says that q can read of him: the notes that are current, and those that were before.
func (p *person) as(q *person) (v node.ViewOf, current, ended []string) {
	p.w.Helper()
	v, err := p.ViewAs(ctx(), addressOf(q))
	p.w.must(err)
	for _, d := range v.Shown {
		if d.Ended.IsZero() {
			current = append(current, d.Notes...)
		} else {
			ended = append(ended, d.Notes...)
		}
	}
	return v, current, ended
}

// compared is the check that what Alice has is what Bob disclosed to her, by the digest on both screens.
func compared(alice, bob *person) error {
	v, _, _ := bob.as(alice)
	if got := alice.sees(bob).Digest; len(got) != 64 || got != v.Digest {
		return fail("she has %s, he disclosed %s", got, v.Digest)
	}
	return nil
}

// Both sides say the same digest of what was disclosed: after each change, in each view, of one device and of
// two, and after restarts; and it is another one for another document.
func TestReq_5_1_4_Digest(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob", lease5), w.person("dave")
		bob.view(node.ViewEdit{Name: "work", Show: []string{"note"}})
		alice.watch(bob)
		dave.watch(bob)
		agree := func() {
			t.Helper()
			for _, p := range []*person{alice, dave} {
				w.within(20*time.Second, p.name+" has what was disclosed", func() bool { return compared(p, bob) == nil })
			}
		}
		agree()
		first := alice.sees(bob).Digest
		bob.note("one")
		w.soonly("alice reads it", func() bool { return alice.sees(bob).Note == "one" })
		agree()
		if alice.sees(bob).Digest == first || alice.sees(bob).Digest != dave.sees(bob).Digest {
			t.Error("the digest does not follow the document")
		}
		_, err := bob.ApproveIn(ctx(), dave.address(), "work")
		w.must(err)
		activity := "meeting"
		_, err = bob.Set(ctx(), node.Change{Activity: &activity})
		w.must(err)
		agree()
		if alice.sees(bob).Digest == dave.sees(bob).Digest {
			t.Error("two views, one digest")
		}
		if err := compared(alice, bob); err != nil {
			t.Error(err)
		}
		bob.kill(testnet.Crash)
		bob.up()
		alice.down()
		alice.up()
		agree()
		bob.also("bob's phone", node.NewDevice{})
		w.within(20*time.Second, "alice sees two devices", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		agree()
		bob.note("two")
		agree()
		v, _, _ := bob.as(dave)
		w.finds("what was disclosed to another", func() error {
			if v.Digest != alice.sees(bob).Digest {
				return fail("another digest")
			}
			return nil
		}())
	})
}

// What somebody could read before he was refused is shown as long as its keys live, also after a restart, and
// nothing that was said since.
func TestReq_2_3_3_WhatHeCouldRead(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		alice.watch(bob)
		dave.watch(bob)
		bob.note("for both")
		w.soonly("alice reads it", func() bool { return alice.sees(bob).Note == "for both" })
		_, err := bob.Block(ctx(), alice.address(), "presence")
		w.must(err)
		w.within(5*time.Second, "she is out", func() bool { return alice.watching(bob).State == "terminated" })
		bob.note("not for her")
		w.within(5*time.Second, "dave reads it", func() bool { return dave.sees(bob).Note == "not for her" })
		check := func(when string) {
			t.Helper()
			v, current, ended := bob.as(alice)
			if len(current) != 0 || v.Digest != "" || !slices.Equal(ended, []string{"for both"}) {
				t.Errorf("%s: alice reads %q, and read %q", when, current, ended)
			}
			if _, current, _ := bob.as(dave); !slices.Equal(current, []string{"not for her"}) {
				t.Errorf("%s: dave reads %q", when, current)
			}
		}
		check("at once")
		for _, how := range []string{"a stop", "a crash"} {
			if how == "a stop" {
				bob.down()
			} else {
				bob.kill(testnet.Crash)
			}
			bob.up()
			w.within(time.Minute, "he speaks again", func() bool { _, current, _ := bob.as(dave); return len(current) > 0 })
			check("after " + how)
		}
	})
}

// A document that is imported in one view is published in that view, and nowhere else.
func TestReq_3_1_6_ImportInAView(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice"), w.person("bob"), w.person("dave")
		bob.view(node.ViewEdit{Name: "work", Show: []string{"all"}, Add: []string{dave.address()}})
		alice.watch(bob)
		dave.add(bob)
		dave.ask(bob)
		w.within(5*time.Second, "dave sees him", func() bool { return dave.sees(bob).Basic == "open" })
		i, err := bob.ImportPIDF(ctx(), "work", []byte(pidfDocument(bob.Self().Address.Pres(), pidfTuple("t", "open", "tel:+4930", "0.5"))))
		w.must(err)
		if i.Tuples != 1 || !slices.Equal(i.Published.Views, []string{"work"}) {
			t.Errorf("imported: %+v", i)
		}
		calls := func(p *person) bool {
			return slices.ContainsFunc(p.sees(bob).Tuples, func(x node.TupleOf) bool { return x.Contact == "tel:+4930" })
		}
		w.within(5*time.Second, "dave can call him", func() bool { return calls(dave) })
		time.Sleep(10 * time.Second)
		if calls(alice) {
			t.Error("alice, in another view, can call him")
		}
		if _, err := bob.ImportPIDF(ctx(), "wrok", nil); code(err) != "unknown-view" {
			t.Errorf("in no view: %v", err)
		}
		_, err = bob.ImportPIDF(ctx(), "work", nil)
		w.must(err)
		w.within(5*time.Second, "it is taken back", func() bool { return !calls(dave) && dave.sees(bob).Basic == "open" })
	})
}
