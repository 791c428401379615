package requirements

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// twoRelays plays f with two people whom nobody can dial, at the relays of two communities.
func twoRelays(t *testing.T, plain bool, f func(w *world, d, e *operator, alice, bob *person)) {
	inWorld(t, func(w *world) {
		w.plain = plain
		d, e, alice, bob := w.operator("d"), w.operator("e"), w.person("alice"), w.person("bob")
		for _, p := range []*person{alice, bob} {
			p.behind(true)
			p.enters(d.invite(1))
			p.enters(e.invite(1))
			p.slotted()
		}
		alice.watch(bob)
		bob.add(alice)
		f(w, d, e, alice, bob)
	})
}

// Relays die, come again and die, and so do both ends, at moments drawn by lot: of each message Alice learns what became
// of it, by its deadline and 5 s at the latest, and what she is told was delivered Bob has once (requirement 5.4.1).
func TestReq_5_4_1_RelaysThatDie(t *testing.T) {
	twoRelays(t, false, func(w *world, d, e *operator, alice, bob *person) {
		const life = 2 * time.Minute
		r := rand.New(rand.NewPCG(5, 41))
		type machine interface {
			up()
			down()
		}
		on := map[machine]bool{d: true, e: true, alice: true, bob: true}
		all := []machine{d, e, alice, bob}
		sent := map[string]node.Sent{}
		for i := range 60 {
			if m := all[r.IntN(len(all))]; r.IntN(3) == 0 {
				if on[m] = !on[m]; on[m] {
					m.up()
				} else {
					m.down()
				}
			}
			if on[alice] {
				text := fmt.Sprint("text ", i)
				sent[text] = alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: life})
			}
			time.Sleep(time.Duration(1+r.IntN(10)) * time.Second)
		}
		last := time.Now().Add(life + 5*time.Second)
		for _, m := range all {
			if !on[m] {
				m.up()
			}
		}
		time.Sleep(time.Until(last))
		count := map[string]int{}
		for text, s := range sent {
			fate := alice.fate(s)
			has := bob.has(text)
			switch {
			case fate == "delivered" && has == 1:
			case strings.HasPrefix(fate, "failed") && has <= 1:
			default:
				t.Errorf("%s is %s, and bob has it %d times", text, fate, has)
			}
			count[fate]++
		}
		if count["delivered"] < 10 || len(count) < 2 {
			t.Errorf("what became of %d messages: %v", len(sent), count)
		}
		t.Logf("of %d messages: %v", len(sent), count)
	})
}

// A relay changes an octet in each thing that it hands on to Bob: nothing of it is shown, Alice is told nothing that
// is not so, and what she wrote comes by another relay once its circuits end (requirement 5.4.7).
func TestReq_5_4_7_AnotherWayPastATamperer(t *testing.T) {
	twoRelays(t, true, func(w *world, d, e *operator, alice, bob *person) {
		alice.delivers(bob, "before")
		var changed atomic.Int64
		w.net.Tamper(bob.ip, func(c testnet.Chunk) {
			if c.From == d.ip && len(c.Data) > 900 {
				c.Data[len(c.Data)/2] ^= 1
				changed.Add(1)
			}
		})
		e.down() // so that the way leads through d
		time.Sleep(time.Minute)
		s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(strings.Repeat("word ", 300)), Expires: 6 * time.Hour})
		time.Sleep(5 * time.Minute)
		if changed.Load() == 0 {
			t.Fatal("nothing was changed on its way")
		}
		if fate := alice.fate(s); fate == "delivered" || strings.HasPrefix(fate, "failed") {
			t.Errorf("with every try changed it is %s", fate)
		}
		if n := len(bob.inbox()); n != 1 {
			t.Errorf("bob is shown %d messages", n)
		}
		e.up()
		time.Sleep(time.Minute)
		d.down() // and with it its circuits
		alice.comesTo(s, "delivered", time.Hour)
		if bob.has(strings.Repeat("word ", 300)) != 1 {
			t.Error("bob has not what she wrote")
		}
		t.Logf("%d things were changed on their way", changed.Load())
	})
}

// Bob's changes reach Alice directly, then through a relay alone, and, when that dies, through another: no version comes
// twice, each that is missing was superseded, and in the end she reads what he said last, octet for octet as on any other
// path, for it is one signed record (requirement 2.4.2).
func TestReq_2_4_2_DirectlyByOneAndByAnother(t *testing.T) {
	inWorld(t, func(w *world) {
		d, e, alice, bob := w.operator("d"), w.operator("e"), w.person("alice"), w.person("bob")
		for _, p := range []*person{alice, bob} {
			p.enters(d.invite(1))
			p.enters(e.invite(1))
			p.slotted()
		}
		alice.watch(bob)
		say := func(way string, within time.Duration) {
			t.Helper()
			for i := range 3 {
				note := fmt.Sprint(way, " ", i)
				bob.note(note)
				w.within(within, "alice reads "+note, func() bool { return alice.sees(bob).Note == note })
				time.Sleep(3 * time.Second)
			}
		}
		say("directly", 5*time.Second)
		if w.net.Lines(alice.ip, bob.ip) == 0 {
			t.Error("the two are not connected directly")
		}
		w.net.Cut(alice.ip, bob.ip)
		say("by a relay", 5*time.Minute)
		d.down()
		say("by whoever is left", 5*time.Minute)
		d.up()
		e.down()
		say("by the other", 5*time.Minute)
		if n := w.net.Lines(alice.ip, bob.ip); n != 0 {
			t.Errorf("%d connections stand between the two where the way is cut", n)
		}
		var last, read uint64
		for _, x := range alice.events() {
			if x.Kind != "presence" || x.Address != bob.Self().Address || x.Version == 0 {
				continue
			}
			if read++; last != 0 && x.Version != last+1+x.Superseded {
				t.Errorf("version %d after %d, and %d are said to be superseded", x.Version, last, x.Superseded)
			}
			last = x.Version
		}
		if read < 12 {
			t.Errorf("alice was told of %d versions", read)
		}
		if got := alice.sees(bob).Note; got != "by the other 2" {
			t.Errorf("in the end alice reads %q", got)
		}
	})
}

// A relay changes an octet in a request: nobody is told of it, and it counts once it comes whole (requirement 2.4.1).
func TestReq_2_4_1_ChangedByTheRelay(t *testing.T) {
	twoRelays(t, true, func(w *world, d, e *operator, alice, bob *person) {
		e.down()
		time.Sleep(time.Minute)
		var changed atomic.Int64
		var over atomic.Bool
		w.net.Tamper(alice.ip, func(c testnet.Chunk) {
			if c.From == d.ip && len(c.Data) > 900 && !over.Load() {
				c.Data[len(c.Data)/2] ^= 1
				changed.Add(1)
			}
		})
		bob.ask(alice)
		time.Sleep(2 * time.Minute)
		if changed.Load() == 0 {
			t.Fatal("nothing was changed on its way")
		}
		if got := alice.watcher(bob).State; got != "" {
			t.Errorf("alice is told that bob is %s", got)
		}
		over.Store(true)
		w.within(30*time.Minute, "the request comes", func() bool { return alice.watcher(bob).State == "pending" })
	})
}
