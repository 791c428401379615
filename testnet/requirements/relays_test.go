package requirements

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// twoRelays plays f with two people whom nobody can dial, at the relays of two communities.
func twoRelays(t *testing.T, plain bool, f func(w *world, d, e *operator, alice, bob *person), options ...func(*operator)) {
	inWorld(t, func(w *world) {
		w.plain = plain
		d, e, alice, bob := w.operator("d", options...), w.operator("e", options...), w.person("alice"), w.person("bob")
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

// kill ends a community's node in this instant, and leaves its disk as kill -9 does.
func (o *operator) kill(d testnet.Death) {
	o.w.Helper()
	synctest.Wait()
	o.w.net.Kill(o.ip, d)
	left := filepath.Join(o.w.dir, fmt.Sprintf("%s.%d", o.name, o.lives))
	o.w.must(testnet.CopyHome(o.home, left))
	h, ended := o.Host, o.ended
	o.home, o.Host = left, nil
	o.cancel()
	o.w.going.Go(func() {
		<-ended
		_ = h.Close()
	})
}

// Relays with their mailboxes die, come again and die, and so do both ends, at moments and in ways drawn by lot: of each
// message Alice learns what became of it and, if it failed, why, by its deadline and what the protocol allows for the doubt;
// what she is told was delivered Bob has once, and nothing twice (requirement 5.4.1). HUM_LONG=1 sends a thousand.
func TestReq_5_4_1_RelaysThatDie(t *testing.T) {
	messages := 60
	if os.Getenv("HUM_LONG") == "1" {
		messages = 1000
	}
	twoRelays(t, false, func(w *world, d, e *operator, alice, bob *person) {
		r := rand.New(rand.NewPCG(5, 41))
		type machine interface {
			up()
			down()
			kill(testnet.Death)
		}
		on := map[machine]bool{d: true, e: true, alice: true, bob: true}
		all := []machine{d, e, alice, bob}
		var sent []node.Sent
		var last time.Time
		deaths := 0
		for len(sent) < messages {
			if m := all[r.IntN(len(all))]; r.IntN(3) == 0 {
				switch on[m] = !on[m]; {
				case on[m]:
					m.up()
				case r.IntN(2) == 0:
					m.down()
				default:
					m.kill(testnet.Death(r.IntN(2)))
					deaths++
				}
			}
			for range r.IntN(3) {
				if on[alice] {
					life := []time.Duration{30 * time.Second, 2 * time.Minute, 10 * time.Minute}[r.IntN(3)]
					sent = append(sent, alice.draft(node.Draft{To: addressOf(bob), Content: fmt.Append(nil, "text ", len(sent)), Expires: life}))
					last = later(last, time.Now().Add(life+2*identity.Skew+5*time.Second))
				}
			}
			time.Sleep(time.Duration(1+r.IntN(10)) * time.Second)
		}
		for _, m := range all {
			if !on[m] {
				m.up()
			}
		}
		time.Sleep(time.Until(last))
		w.must(allSettled(alice, bob, sent))
		count, fates := map[string]int{}, alice.fates()
		for _, s := range sent {
			s = fates[s.ID]
			if s.State == "failed" && s.Reason == 0 {
				t.Errorf("%s failed without a reason", s.Content)
			}
			count[strings.TrimSpace(s.State+" "+s.Reason.String())]++
		}
		if n := len(bob.inbox()); n > len(sent) || count["delivered"] < len(sent)/4 || len(count) < 2 {
			t.Errorf("what became of %d messages: %v; bob has %d", len(sent), count, n)
		}
		w.finds("a delivered message that is not in the inbox", allSettled(alice, bob, append(sent, node.Sent{ID: sent[0].ID, Content: []byte("never there")})))
		t.Logf("of %d messages, with %d deaths: %v", len(sent), deaths, count)
	})
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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

// A relay that changes what it hands on stands all the while, beside one that does not: the sender takes another way by
// her own choice (requirement 5.4.7). Where circuits are authenticated, as they are, the change ends the circuit, and she
// makes another; where nothing but the message itself is, Bob's node takes it and cannot open it, and once he has not
// answered for it she leaves it in a mailbox too.
func TestReq_5_4_7_AnotherWayByHerOwnChoice(t *testing.T) {
	for _, plain := range []bool{false, true} {
		var roles []func(*operator)
		if !plain {
			roles = append(roles, does(wire.RoleBootstrap|wire.RoleRelay)) // so that there is no mailbox
		}
		twoRelays(t, plain, func(w *world, d, e *operator, alice, bob *person) {
			alice.delivers(bob, "before")
			e.down() // so that the way leads through d
			time.Sleep(time.Minute)
			alice.delivers(bob, "by d")
			e.up()
			time.Sleep(10 * time.Minute) // their slots there are theirs again, and the circuit through d stands
			var changed atomic.Int64
			w.net.Tamper(bob.ip, func(c testnet.Chunk) {
				if c.From == d.ip && len(c.Data) > 900 {
					c.Data[len(c.Data)/2] ^= 1
					changed.Add(1)
				}
			})
			text := strings.Repeat("word ", 300)
			s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 6 * time.Hour})
			began := time.Now()
			alice.comesTo(s, "delivered", 2*time.Hour)
			if changed.Load() == 0 {
				t.Error("nothing was changed on its way")
			}
			if got := bob.inbox(); bob.has(text) != 1 || len(got) != 3 {
				t.Errorf("bob has %d messages: %q", len(got), got)
			}
			t.Logf("plain %v: after %v and %d things changed: %v", plain, time.Since(began), changed.Load(), alice.way(s.ID))
		}, roles...)
	}
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
