package requirements

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// observed is all that came from one address since a time, in kind, order and length, protocol by protocol. In what
// order came what came at one instant is chance, since no work takes time here: the OK of a Parcel, say, and its ack.
func (t *tape) observed(from string, since time.Time) map[string][]string {
	frames := t.frames(from)
	slices.SortStableFunc(frames, func(a, b frameOn) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.Op, b.Op), cmp.Compare(a.Status, b.Status), cmp.Compare(len(a.Payload), len(b.Payload)))
	})
	out := map[string][]string{}
	for _, f := range frames {
		if f.at.After(since) {
			out[f.proto] = append(out[f.proto], fmt.Sprintf("op %d status %d, %d bytes", f.Op, f.Status, len(f.Payload)))
		}
	}
	return out
}

// shownTo is what p is shown of q, but for what a clock puts into it.
func shownTo(p, q *person) string {
	s := p.sees(q)
	line := fmt.Sprintf("%s %s %q %s %v", s.Basic, s.IM, s.Note, s.Evidence, s.Contacts)
	for _, t := range s.Tuples {
		line += fmt.Sprintf("; %s %s %s %s %d", t.ID, t.Basic, t.IM, t.Contact, t.Priority)
	}
	return line + "; " + p.watching(q).State
}

// A story is what happened to Alice in one world: what she could observe, and what she was shown and told.
type story struct {
	came  map[string][]string
	shown []string
	told  []string
}

// lives leads Alice, whom Bob shows a view of her own, through a while after a decision of his.
func lives(t *testing.T, decide func(w *world, bob, alice *person)) (s story) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice", light), w.person("bob")
		bob.view(node.ViewEdit{Name: "hers", Show: []string{"note"}, Add: []string{addressOf(alice)}})
		alice.add(bob)
		alice.ask(bob)
		_, err := alice.Offline(ctx()) // her own beacons would take most of the time
		w.must(err)
		w.within(3*time.Second, "alice sees him", func() bool { return alice.sees(bob).Basic == "open" })
		bob.note("before")
		w.soonly("alice reads it", func() bool { return alice.sees(bob).Note == "before" })
		time.Sleep(5 * time.Minute)
		decided, events := time.Now(), len(alice.events())
		look := func() {
			s.shown = append(s.shown, shownTo(alice, bob))
		}
		decide(w, bob, alice)
		time.Sleep(time.Minute)
		look()
		for i := range 3 {
			bob.note(fmt.Sprintf("%s %d", marker, i))
			time.Sleep(10 * time.Second)
		}
		alice.comesTo(alice.send(bob, "are you there?"), "failed(closed)", time.Minute)
		if _, err := alice.Fetch(ctx(), "bob", false); err != nil {
			t.Errorf("alice asks once: %v", err)
		}
		look()
		bob.down()
		time.Sleep(time.Minute)
		bob.up()
		time.Sleep(time.Minute)
		alice.comesTo(alice.send(bob, "and now?"), "failed(closed)", time.Minute)
		look()
		time.Sleep(2 * time.Hour) // polls
		look()
		s.came = alice.got.observed(bob.ip, decided)
		for _, e := range alice.events()[events:] {
			if e.Address == bob.Self().Address {
				s.told = append(s.told, fmt.Sprintln(e.Kind, e.State, e.Reason, e.Text))
			}
		}
		w.must(clean("what alice's machine was sent", alice.got.all(""), marker))
	})
	return s
}

// alike is the check that two worlds cannot be told apart by what came of them.
func alike(a, b story) error {
	for _, proto := range slices.Sorted(maps(a.came, b.came)) {
		if x, y := a.came[proto], b.came[proto]; !slices.Equal(x, y) {
			return fail("%s: %d and %d came:\n%s\n--\n%s", proto, len(x), len(y), strings.Join(x, "\n"), strings.Join(y, "\n"))
		}
	}
	if !slices.Equal(a.shown, b.shown) {
		return fail("she is shown\n%s\n--\n%s", strings.Join(a.shown, "\n"), strings.Join(b.shown, "\n"))
	}
	if !slices.Equal(a.told, b.told) {
		return fail("she is told\n%s--\n%s", strings.Join(a.told, ""), strings.Join(b.told, ""))
	}
	return nil
}

func maps(all ...map[string][]string) func(yield func(string) bool) {
	keys := map[string]bool{}
	for _, m := range all {
		for k := range m {
			keys[k] = true
		}
	}
	return func(yield func(string) bool) {
		for k := range keys {
			if !yield(k) {
				return
			}
		}
	}
}

// In one world Alice is politely blocked, in the other Bob has set himself to offline in her view: what comes to
// her is the same in kind, order and length, and so is what she is shown and told. She takes everything by stream
// here, so that one run is like another: what comes by gossip, and that the times tell nothing either, is for the
// statistics of attack 14.
func TestReq_5_1_15_PretendsToGrant(t *testing.T) {
	both := func() (muted, offline story) {
		muted = lives(t, func(w *world, bob, alice *person) { bob.politely(alice.address()) })
		offline = lives(t, func(w *world, bob, _ *person) {
			_, err := bob.OfflineIn(ctx(), "hers")
			w.must(err)
		})
		return muted, offline
	}
	muted, offline := both()
	if err := alike(muted, offline); err != nil {
		t.Logf("they are lived once more, as what two streams carry at one moment may change places: %v", err)
		muted, offline = both()
	}
	if err := alike(muted, offline); err != nil {
		t.Error(err)
	}
	if len(muted.came) < 2 || len(muted.told) < 2 {
		t.Errorf("too little came for a comparison: %+v", muted)
	}
	closed := lives(t, func(w *world, bob, _ *person) { // closed is not offline: it tells where he is, and beacons no more either
		no := wire.Closed
		_, err := bob.Set(ctx(), node.Change{View: "hers", Basic: &no})
		w.must(err)
	})
	if alike(muted, closed) == nil {
		t.Error("the check does not find a planted fault: a document that says more")
	}
	byte1 := muted
	byte1.came = map[string][]string{}
	for k, v := range muted.came {
		byte1.came[k] = slices.Clone(v)
	}
	for proto, frames := range byte1.came {
		var op, status, size int
		if n, _ := fmt.Sscanf(frames[0], "op %d status %d, %d bytes", &op, &status, &size); n == 3 {
			frames[0] = fmt.Sprintf("op %d status %d, %d bytes", op, status, size+1)
			if alike(muted, byte1) == nil {
				t.Errorf("the check does not find one byte more on %s", proto)
			}
			frames[0] = muted.came[proto][0]
		}
	}
}
