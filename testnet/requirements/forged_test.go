package requirements

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A forger sits in a community's node, before what it sends to one of those who watch: he knows one epoch's key, as the
// node does, and not what opens its records.
type forger struct {
	mu   sync.Mutex
	from string
	e    wire.PublicKey
	lie  string
	was  map[bool][]byte // by whether it is a beacon: the first record that passed
	done int             // how many frames were made others
}

func (f *forger) tells(lie string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lie, f.done = lie, 0
}

func (f *forger) lies() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.done
}

// tamper looks for frames that carry records of the epoch, in whatever carries them, and puts others in their place. What
// is shorter is filled up by a frame of no known op, which nobody answers.
func (f *forger) tamper(c testnet.Chunk) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.From != f.from {
		return
	}
	for i := 0; i < len(c.Data); i++ {
		r := bufio.NewReader(bytes.NewReader(c.Data[i:]))
		x, err := wire.ReadFrame(r)
		if err != nil {
			continue
		}
		n := len(wire.AppendFrame(nil, x))
		if out, ok := f.changed(x); ok {
			if whole := stretched(out, n); whole != nil && !bytes.Equal(whole, c.Data[i:i+n]) {
				copy(c.Data[i:], whole)
				f.done++
			}
			i += n - 1
		}
	}
}

// stretched is b, made n octets long; nil if that cannot be.
func stretched(b []byte, n int) []byte {
	for pad := range n {
		x := wire.AppendFrame(slices.Clone(b), wire.Frame{Op: 99, Payload: make([]byte, pad)})
		if len(b) == n {
			return b
		}
		if len(x) == n {
			return x
		}
	}
	return nil
}

// changed is what becomes of a frame; false if it carries none of the records.
func (f *forger) changed(x wire.Frame) ([]byte, bool) {
	switch {
	case x.Op == wire.OpRec && x.ID == 0:
		p, err := wire.ParseRecPush(x.Payload)
		if err != nil || p.Key != f.e {
			return nil, false
		}
		var out []byte
		for _, r := range f.recs([][]byte{p.Rec}) {
			out = wire.AppendFrame(out, wire.Frame{Op: wire.OpRec, Payload: wire.RecPush{Key: p.Key, Rec: r}.Append(nil)})
		}
		return out, true
	case x.Op == wire.OpGet && x.Status == wire.OK:
		p, err := wire.ParseGetReply(x.Payload)
		if err != nil || len(p.Recs) == 0 || !f.ours(p.Recs[0]) {
			return nil, false
		}
		p.Recs = f.recs(p.Recs)
		x.Payload = p.Append(nil)
		return wire.AppendFrame(nil, x), true
	}
	return nil, false
}

func (f *forger) ours(raw []byte) bool {
	r, err := wire.ParseRec(raw)
	return err == nil && r.Verify(f.e)
}

// recs is what becomes of some records.
func (f *forger) recs(in [][]byte) (out [][]byte) {
	for _, raw := range in {
		r, err := wire.ParseRec(raw)
		if err != nil {
			continue
		}
		if f.was[r.IsBeacon()] == nil {
			f.was[r.IsBeacon()] = slices.Clone(raw)
		}
		key := identity.NewSigningKey([32]byte{'f'})
		switch f.lie {
		case "drops all":
			continue
		case "drops the changes":
			if !r.IsBeacon() {
				continue
			}
		case "truncates":
			raw = raw[:len(raw)-20]
		case "alters":
			raw = flip(raw, len(raw)/2)
		case "rolls back":
			raw = f.was[r.IsBeacon()]
		case "rolls back the changes":
			if !r.IsBeacon() {
				raw = f.was[false]
			}
		case "signs by itself":
			if raw = wire.NewBeacon(key, r.Tag, r.T, r.Base).Raw; !r.IsBeacon() {
				raw = wire.NewUpdate(key, r.Tag, r.T, r.CT).Raw
			}
		case "makes it newer":
			if raw = wire.NewBeacon(key, r.Tag, r.T+1, r.Base).Raw; !r.IsBeacon() {
				raw = wire.NewUpdate(key, r.Tag, r.T+1, r.CT).Raw
			}
		}
		out = append(out, raw)
	}
	return out
}

// comesYet is what is said of somebody whose newest change has not come.
const comesYet = "he has announced a change that has not come yet"

// forges puts a forger into an operator's node, against those who watch q.
func (o *operator) forges(q *person) *forger {
	o.w.Helper()
	return &forger{from: o.ip, e: o.w.hostile("with " + o.name).watch(q).E, was: map[bool][]byte{}}
}

// does is an option of an operator whose node does some jobs alone.
func does(roles wire.CommunityRoles) func(*operator) { return func(o *operator) { o.roles = roles } }

// anchors are the jobs of a node that is no relay.
const anchors = wire.RoleBootstrap | wire.RoleAnchor | wire.RoleMailbox | wire.RoleHome

// A disclosure is all that Bob disclosed, in order, by digest.
type disclosure struct {
	alice, bob *person
	digests    []string
	at         []time.Time
	shown      int // the newest that Alice has been shown
}

// says publishes a note and notes its digest.
func (d *disclosure) says(note string) {
	d.bob.note(note)
	v, _, _ := d.bob.as(d.alice)
	d.digests, d.at = append(d.digests, v.Digest), append(d.at, time.Now())
}

// holds is the check that what Alice is shown is something that Bob disclosed to her, and nothing that is older than what
// she has been shown already; and that what he has replaced for longer than a lease is shown as old: as lapsed, or with the
// word that something newer is announced.
func (d *disclosure) holds(p node.PresenceOf) error {
	i := slices.Index(d.digests, p.Digest)
	switch {
	case i < 0:
		return fail("she is shown what he never disclosed: %+v", p)
	case i < d.shown:
		return fail("she is shown disclosure %d after %d", i, d.shown)
	}
	d.shown = i
	if i+1 < len(d.at) && time.Since(d.at[i+1]) > 280*time.Second && p.Evidence == "said" && !slices.Contains(p.Why, comesYet) {
		return fail("%v after he replaced it she is shown %+v as what he says", time.Since(d.at[i+1]), p)
	}
	return nil
}

// forgeries are what a forger does, and what Alice is told of it.
var forgeries = []struct{ lie, named string }{
	{"drops all", ""}, {"drops the changes", comesYet}, {"truncates", "damaged records refused"}, {"alters", "that he did not sign"},
	{"rolls back", "older than what was known"}, {"rolls back the changes", comesYet}, {"signs by itself", "that he did not sign"},
	{"makes it newer", "that he did not sign"},
}

// told is how often a fault is named.
func told(why []string, fault string) (n int) {
	for _, line := range why {
		if _, count, ok := strings.Cut(line, fault+": "); ok {
			_, _ = fmt.Sscan(count, &n)
		} else if strings.HasSuffix(line, fault) {
			n = 1
		}
	}
	return n
}

// forged leads Alice, who hears Bob by one community's node alone, through all forgeries of that node.
func forged(w *world, f *forger, bob, alice *person) {
	w.Helper()
	alice.watch(bob)
	w.net.Tamper(alice.ip, f.tamper)
	time.Sleep(10 * time.Second)
	w.net.Cut(alice.ip, bob.ip)
	seen := &disclosure{alice: alice, bob: bob}
	seen.says("the first")
	w.within(10*time.Minute, "alice reads it", func() bool { return alice.sees(bob).Note == "the first" })
	for _, x := range forgeries {
		f.tells(x.lie)
		before := told(alice.sees(bob).Why, x.named)
		named := x.named == ""
		for i, during := range []time.Duration{20 * time.Second, 7 * time.Minute} {
			seen.says(fmt.Sprint(x.lie, " ", i))
			for end := time.Now().Add(during); time.Now().Before(end); time.Sleep(5 * time.Second) {
				p := alice.sees(bob)
				if err := seen.holds(p); err != nil {
					w.Fatalf("%s: %v", x.lie, err)
				}
				named = named || told(p.Why, x.named) > before
			}
		}
		last := alice.sees(bob)
		if f.lies() < 3 || seen.shown == len(seen.digests)-1 || last.Evidence != "lapsed" && !slices.Contains(last.Why, comesYet) {
			w.Errorf("%s: it did so %d times, and alice is shown disclosure %d of %d: %+v", x.lie, f.lies(), seen.shown+1, len(seen.digests), last)
		}
		if !named {
			w.Errorf("%s: alice is not told: %q", x.lie, last.Why)
		}
		f.tells("")
		w.within(30*time.Minute, x.lie+", no more: she has what he disclosed last", func() bool { return compared(alice, bob) == nil })
		if err := seen.holds(alice.sees(bob)); err != nil {
			w.Error(err)
		}
	}
	p := alice.sees(bob)
	p.Digest = seen.digests[0]
	w.finds("something that he said before", seen.holds(p))
	p.Digest = p.Digest[1:] + "0"
	w.finds("something that he never said", seen.holds(p))
	p = alice.sees(bob)
	p.Digest, p.Evidence, p.Why = seen.digests[len(seen.digests)-2], "said", nil
	seen.shown = 0
	time.Sleep(5 * time.Minute)
	w.finds("something old as if he said it now", seen.holds(p))
}

// Whatever the one community node by which Bob's records come to Alice does with them, she is shown exactly what he
// disclosed, digest for digest, or that it is old; never anything else, and nothing that goes back. Each fault is named,
// and once the node is honest she ends with what he disclosed last (requirement 5.1.4). Here it is the anchor that she
// watches.
func TestReq_5_1_4_AtAnAnchor(t *testing.T) {
	inWorld(t, func(w *world) {
		d, bob := w.operator("d", does(anchors)), w.person("bob")
		bob.enters(d.invite(1))
		forged(w, d.forges(bob), bob, w.person("alice", light))
	})
}

// Here it is the relay of a circuit to Bob himself, of which nothing is encrypted but the records.
func TestReq_5_1_4_AtARelay(t *testing.T) {
	inWorld(t, func(w *world) {
		w.plain = true
		d, bob, alice := w.operator("d", does(wire.RoleBootstrap|wire.RoleRelay)), w.person("bob"), w.person("alice", light)
		f, invite := d.forges(bob), d.invite(2)
		for _, p := range []*person{bob, alice} {
			p.behind(true)
			p.enters(invite)
			p.slotted()
		}
		forged(w, f, bob, alice)
	})
}

// With an anchor of another operator beside the one that lies she is shown what Bob disclosed last, whatever the liar does.
func TestReq_5_1_4_TwoAnchors(t *testing.T) {
	inWorld(t, func(w *world) {
		d, e, bob, alice := w.operator("d", does(anchors)), w.operator("e", does(anchors)), w.person("bob"), w.person("alice", light)
		bob.enters(d.invite(1))
		bob.enters(e.invite(1))
		alice.watch(bob)
		liars := []*forger{d.forges(bob), e.forges(bob)}
		for _, f := range liars {
			w.net.Tamper(alice.ip, f.tamper)
		}
		time.Sleep(10 * time.Second)
		w.net.Cut(alice.ip, bob.ip)
		seen, lies := &disclosure{alice: alice, bob: bob}, 0
		for i, x := range forgeries {
			f := liars[i%2]
			f.tells(x.lie)
			seen.says(x.lie)
			w.within(20*time.Minute, x.lie+" at one of two: alice reads what he said", func() bool {
				if p := alice.sees(bob); p.Note != "" {
					w.must(seen.holds(p))
				}
				return compared(alice, bob) == nil
			})
			time.Sleep(5 * time.Minute)
			w.must(compared(alice, bob))
			lies += f.lies()
			f.tells("")
		}
		if lies == 0 {
			t.Error("she has asked neither of those who lie")
		}
	})
}
