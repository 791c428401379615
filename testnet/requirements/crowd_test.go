package requirements

import (
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// crowd is how many hundreds mean here: all of them with HUM_LONG, which takes 12 MB each; else so many that
// a mesh of theirs is several times as large as a node's part in it.
func crowd() int {
	if os.Getenv("HUM_LONG") == "1" {
		return 500
	}
	return 48
}

// versions are those of q's documents that p was told of in one epoch; the error says what is missing without
// a word, or came twice.
func (p *person) versions(q *person) (versions []uint64, err error) {
	p.w.Helper()
	for _, e := range p.events() {
		if e.Kind != "presence" || e.Address != q.Self().Address || e.Version == 0 {
			continue
		}
		if n := len(versions); n > 0 && e.Version != versions[n-1]+1+e.Superseded {
			err = fail("%s is told version %d of %s after %d, with %d superseded", p.name, e.Version, q.name, versions[n-1], e.Superseded)
		}
		versions = append(versions, e.Version)
	}
	return versions, err
}

// allAsk has every one of many watch every one of few, who agree.
func (w *world) allAsk(many, few []*person) {
	w.Helper()
	for _, p := range many {
		for _, q := range few {
			p.add(q)
			p.ask(q)
		}
	}
	for _, q := range few {
		w.within(time.Minute, q.name+" is asked by all", func() bool {
			asked, err := q.Requests(ctx())
			w.must(err)
			return len(asked) == len(many)
		})
		for _, p := range many {
			q.approve(p)
		}
	}
	for _, p := range many {
		for _, q := range few {
			w.within(time.Minute, p.name+" sees "+q.name+" open", func() bool { return p.sees(q).Basic == "open" })
		}
	}
}

// current counts of how many alice knows the newest word.
func current(alice *person, all []*person, note func(*person) string) (n int) {
	who, err := alice.Who(ctx(), nil)
	alice.w.must(err)
	byName := map[string]node.PresenceOf{}
	for _, p := range who {
		byName[p.Petname] = p
	}
	for _, q := range all {
		if p := byName[q.name]; p.Basic == "open" && p.Evidence == "said" && p.Note == note(q) {
			n++
		}
	}
	return n
}

// Each presentity is a whole node here, rather than one of 125 in a process; what alice's own process takes is
// measured in testnet/bench.
func TestReq_2_2_4_HundredsOfPresentities(t *testing.T) {
	inWorld(t, func(w *world) {
		alice := w.person("alice")
		var all []*person
		for i := range crowd() {
			all = append(all, w.person(fmt.Sprint("p", i)))
		}
		w.allAsk([]*person{alice}, all)
		flip := func(word string) func(*person) string {
			return func(q *person) string { return word + " of " + q.name }
		}
		say := func(word string) {
			for _, q := range all {
				q.note(flip(word)(q))
			}
		}
		say("first")
		w.within(time.Minute, "all are current", func() bool { return current(alice, all, flip("first")) == len(all) })
		say("second")
		w.within(5*time.Second, "all are flipped", func() bool { return current(alice, all, flip("second")) == len(all) })
		for _, q := range all {
			if versions, err := alice.versions(q); err != nil || len(versions) < 3 {
				t.Errorf("%s: versions %v, %v", q.name, versions, err)
			}
		}
		time.Sleep(3 * time.Minute) // until all are heard in the way that lasts
		before := w.moved(alice, all)
		time.Sleep(4 * time.Minute)
		perSecond := (w.moved(alice, all) - before) / 240
		t.Logf("idle, alice and %d presentities move %d bytes/s", len(all), perSecond)
		if limit := uint64(20<<10) * uint64(len(all)) / 500; perSecond > limit {
			t.Errorf("idle %d bytes/s, want %d: 20 KiB/s for 500", perSecond, limit)
		}
		alice.kill(0)
		say("third")
		alice.up()
		w.within(time.Minute, "all are current after her crash", func() bool { return current(alice, all, flip("third")) == len(all) })
		w.finds("a word that nobody said", same(current(alice, all, flip("fourth")), len(all)))
	})
}

// moved is how many bytes went between one and all others.
func (w *world) moved(one *person, others []*person) (bytes uint64) {
	for _, o := range others {
		bytes += w.net.Traffic(one.ip, o.ip).Bytes + w.net.Traffic(o.ip, one.ip).Bytes
	}
	return bytes
}

// A presentity of this protocol floods what it publishes to every topic peer it is connected to, so that nobody
// misses it who knows nobody else: those who know bob alone get one copy each from him, and not the degree of
// the mesh as the check has it. Work for each watcher is that copy and nothing else.
func TestReq_2_2_5_HundredsOfSubscribers(t *testing.T) {
	inWorld(t, func(w *world) {
		bob := w.person("bob")
		var all []*person
		for i := range crowd() {
			all = append(all, w.person(fmt.Sprint("w", i)))
		}
		for part := range slices.Chunk(all, 150) { // the list of those who wait holds 200
			w.allAsk(part, []*person{bob})
		}
		for v, name := range []string{"friends", "work"} { // the third is the default view
			edit := node.ViewEdit{Name: name, Show: []string{"all"}}
			for i, p := range all {
				if i%3 == v {
					edit.Add = append(edit.Add, p.address())
				}
			}
			_, err := bob.EditView(ctx(), edit)
			w.must(err)
		}
		see := func(note string) (n int) {
			for _, p := range all {
				if s := p.sees(bob); s.Note == note && s.Evidence == "said" {
					n++
				}
			}
			return n
		}
		time.Sleep(3 * time.Minute)
		for i := range 5 {
			note := fmt.Sprint("word ", i)
			out := w.sent(bob, all)
			bob.note(note)
			w.within(5*time.Second, "99 % are current", func() bool { return see(note) >= len(all)*99/100 })
			w.within(time.Minute, "all are", func() bool { return see(note) == len(all) })
			if copies := float64(w.sent(bob, all)-out) / 700; copies > 2.5*float64(len(all)) {
				t.Errorf("bob sent about %.0f copies to %d watchers", copies, len(all))
			}
			time.Sleep(10 * time.Second)
		}
		list, err := bob.Watchers(ctx())
		w.must(err)
		active := slices.DeleteFunc(list, func(s node.Subscription) bool { return s.State != "active" })
		w.must(same(len(active), len(all)))
		w.finds("a watcher too many", same(len(active), len(all)+1))
		views := map[string]int{}
		for _, s := range active {
			views[s.View]++
		}
		if len(views) != 3 {
			t.Errorf("the watchers are in the views %v, want three", views)
		}
	})
}

// Whose node is too busy to read a request, as when hundreds ask at once, is asked again within seconds.
func TestAskedAgainWhileBusy(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, c := w.person("alice"), w.hostile("carol")
		var taken, refused atomic.Int64
		c.answer[parcelProto] = func(from peer.ID, f wire.Frame) []wire.Frame {
			if f.Op == wire.OpParcel && refused.Add(1) <= 3 {
				return []wire.Frame{{ID: f.ID, Op: f.Op, Status: wire.BUSY}}
			}
			if f.Op == wire.OpParcel {
				taken.Add(1)
			}
			return c.withoutSessions(from, f)
		}
		_, err := alice.Add(ctx(), c.card(), "carol")
		w.must(err)
		_, err = alice.Watch(ctx(), "carol", "", 0)
		w.must(err)
		w.within(20*time.Second, "carol is asked once more", func() bool { return taken.Load() > 0 })
		if refused.Load() < 3 {
			t.Error("the fault was not planted: carol was never busy")
		}
	})
}

func (w *world) sent(from *person, to []*person) (bytes uint64) {
	for _, o := range to {
		bytes += w.net.Traffic(from.ip, o.ip).Bytes
	}
	return bytes
}
