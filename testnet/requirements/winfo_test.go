package requirements

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A watcher has no lease, and may hear through others what he does not hear from Bob; so the list says
// whether he is connected, and calls nobody lost before a poll of his is overdue. That he is cut off shows
// when the transport gives the connection up, in less than a minute: within the default lease and 2 s, though
// not within a shorter one (SPEC 14, 56).
func TestReq_3_2_4_WatcherOutOfContact(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave := w.person("alice", lease5), w.person("bob", lease5), w.person("dave")
		alice.watch(bob)
		dave.watch(bob)
		contact := func(p *person, want string) func() bool {
			return func() bool { return bob.watcher(p).Contact == want }
		}
		w.within(soon, "alice is connected", contact(alice, "connected"))
		cut := time.Now()
		w.net.Cut(alice.ip, bob.ip)
		w.within(time.Minute, "alice is marked", contact(alice, "out-of-contact"))
		if s := bob.watcher(alice); s.State != "active" || s.Seen.Before(cut.Add(-time.Second)) || s.Seen.After(cut.Add(time.Minute)) {
			t.Errorf("cut at %v, listed as %+v", cut, s)
		}
		w.finds("somebody who is there", await(time.Minute, "", contact(dave, "out-of-contact")))
		w.net.Join(alice.ip, bob.ip)
		w.within(2*time.Minute, "alice is back", contact(alice, "connected"))
		alice.down() // for good; what follows takes days, which are stepped over
		w.within(time.Minute, "alice is marked again", contact(alice, "out-of-contact"))
		bob.clock.Step(25 * time.Hour)
		if s := bob.watcher(alice); s.Contact != "out-of-contact" {
			t.Errorf("after a day: %+v", s)
		}
		bob.clock.Step(2 * time.Hour)
		if s := bob.watcher(alice); s.Contact != "lost" || s.State != "active" {
			t.Errorf("after a missed poll: %+v", s)
		}
		if s := bob.watcher(dave); s.Contact != "connected" {
			t.Errorf("dave is %s", s.Contact)
		}
		bob.down()
		bob.up()
		if s := bob.watcher(alice); s.Contact != "lost" {
			t.Errorf("after a restart: %+v", s)
		}
	})
}

// Both sides say the same at each step, in the words of RFC 3857 on Bob's; with Bob away the age of what
// Alice knows shows.
func TestReq_5_1_10_EqualsWinfo(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		agree := func(state, winfo, event string) {
			t.Helper()
			w.within(5*time.Second, "both sides say "+state, func() bool {
				s := bob.watcher(alice)
				return alice.watching(bob).State == state && s.State == state && s.Winfo == winfo && s.Event == event && s.ID == alice.watching(bob).ID
			})
		}
		alice.ask(bob)
		agree("pending", "pending", "subscribe")
		bob.approve(alice)
		agree("active", "active", "approved")
		_, err := bob.Drop(ctx(), addressOf(alice))
		w.must(err)
		agree("terminated", "terminated", "deactivated")
		alice.ask(bob)
		agree("pending", "pending", "subscribe")
		_, err = bob.Deny(ctx(), addressOf(alice), "")
		w.must(err)
		agree("denied", "terminated", "rejected")
		bob.approve(alice)
		alice.ask(bob)
		agree("active", "active", "subscribe")
		_, err = alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.within(5*time.Second, "she has left", func() bool { s := bob.watcher(alice); return s.Winfo == "terminated" && s.Event == "timeout" })
	})
}

// Bob learns of each at once, or within the five seconds in which one notice follows another, and later from
// the list: who asked once, whose request expired, who gave up.
func TestReq_5_1_11_FetchersAndExpired(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, dave, c := w.person("alice"), w.person("bob"), w.person("dave"), w.hostile("carol")
		told := func(who string, state string) func() bool {
			return func() bool {
				return slices.ContainsFunc(bob.events(), func(e node.Event) bool {
					return e.Kind == "request" && e.Address.String() == who && e.State == state && e.ID != "" && time.Since(e.At) < time.Minute
				})
			}
		}
		alice.add(bob)
		dave.add(bob)
		dave.ask(bob)
		w.soonly("the first is told at once", told(dave.address(), "pending"))
		if got := alice.fetchNow(bob); got != "pending" {
			t.Errorf("alice's fetch is %s", got)
		}
		w.within(6*time.Second, "the next within 5 s", told(alice.address(), "pending"))
		if s := bob.watcher(alice); s.Winfo != "waiting" || s.Event != "timeout" || s.Turned != 1 {
			t.Errorf("alice is listed as %+v", s)
		}
		bob.letIn(c)
		if got := c.answerTo(bob); got != "ok" {
			t.Errorf("carol's fetch is %s", got)
		}
		w.within(6*time.Second, "that she was shown", told(c.address().String(), "fetched"))
		w.must(paced(bob.events()))
		events := bob.events()
		w.finds("two notices in a second", paced(append(events, node.Event{Kind: "request", At: events[len(events)-1].At.Add(time.Second)})))

		if s := bob.watcherAt(c.address().String()); s.Fetches != 1 {
			t.Errorf("carol is listed as %+v", s)
		}

		dave.down() // and never polls again
		for _, clock := range []*testnet.Clock{bob.clock, alice.clock} {
			clock.Step(31 * 24 * time.Hour)
		}
		bob.add(alice)
		alice.ask(bob) // whom he hears, so that he believes his clock
		w.within(5*time.Minute, "dave's request has expired", func() bool { return bob.watcher(dave).State == "expired" })
		bob.down()
		bob.up()
		if s := bob.watcher(dave); s.Winfo != "waiting" || s.Event != "timeout" || s.State != "expired" {
			t.Errorf("after 30 days dave is listed as %+v", s)
		}
	})
}

// paced errs unless notices about watchers come 5 s apart, or together.
func paced(events []node.Event) error {
	var last time.Time
	for _, e := range events {
		if e.Kind != "request" || e.At.Equal(last) {
			continue
		}
		if d := e.At.Sub(last); d < 5*time.Second {
			return fail("notices %v apart", d)
		}
		last = e.At
	}
	return nil
}

// What a watcher's machine obtains names no other watcher: not his address, his subscription, his name, nor
// that there is one.
func TestReq_5_1_11_SeesOnlyHimself(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, c := w.person("bob"), w.hostile("carol")
		var others []*person
		for _, name := range []string{"wilhelmina", "dave", "erin"} {
			p := w.person(name)
			others = append(others, p)
			p.watch(bob)
		}
		g := c.watch(bob)
		w.must(c.watchTopic(bob, g.E))
		c.join(g.E)
		for i := range 5 {
			bob.note(fmt.Sprint("note ", i))
			time.Sleep(61 * time.Second)
			c.answerTo(bob)
		}
		_, err := bob.Drop(ctx(), others[2].address())
		w.must(err)
		time.Sleep(time.Minute)
		hers := c.got.all("")
		for _, o := range c.opened(bob) {
			hers = append(hers, o.InnerRaw...)
		}
		for _, d := range c.reads(g.E, g) {
			hers = append(hers, d.Append(nil)...)
		}
		for _, p := range others {
			a, sub := p.Self().Address, p.watching(bob).ID
			for what, secret := range map[string]string{"address": string(a[:]), "address in text": a.String(), "name": p.name, "subscription": string(sub[:])} {
				if secret == "dave" || secret == "erin" { // too short to be no accident
					continue
				}
				if err := clean("what carol obtained: the "+what+" of "+p.name, hers, secret); err != nil {
					t.Error(err)
				}
			}
		}
		a := c.address()
		w.finds("her own address", clean("what carol obtained", hers, string(a[:])))
	})
}

// Availability belongs to an address for messages, not to a person: two inboxes, one closed.
func TestReq_S15_EachInboxForItself(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, home, work := w.person("alice"), w.person("home"), w.person("work")
		alice.watch(home)
		alice.watch(work)
		home.basic(wire.Closed)
		w.soonly("one is closed", func() bool { return alice.sees(home).Basic == "closed" && alice.sees(work).Basic == "open" })
		w.must(imTuple(alice.sees(home)))
		w.must(imTuple(alice.sees(work)))
		alice.delivers(work, "to the office")
		alice.comesTo(alice.send(home, "to the flat"), "failed(closed)", soon)
		if home.has("to the flat") != 0 || work.has("to the office") != 1 {
			t.Errorf("home has %q, work has %q", home.inbox(), work.inbox())
		}
		home.basic(wire.Open)
		alice.delivers(home, "to the flat again")
	})
}

// identities of one machine that nobody has seen before.
func (c *hostile) become(i int) {
	c.a = identity.NewSigningKey(sha256.Sum256(fmt.Append(nil, "address ", i)))
	c.d = identity.NewSigningKey(sha256.Sum256(fmt.Append(nil, "device ", i)))
	c.records = c.recordsAt(now(), [32]byte{1})
}

// spend is what this process has had of the processors.
func spend() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// weighed is how much a home's files take.
func (p *person) weighed() (bytes int64) {
	p.w.Helper()
	p.w.must(filepath.WalkDir(p.home, func(_ string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		bytes += int64(info.Sys().(*syscall.Stat_t).Blocks) * 512
		return nil
	}))
	return bytes
}

// Fresh identities make ten requests each, as fast as they can. What is over the rate is turned away
// before it is opened: it costs less of the processors than opening it would, the node's part and the flood's together. The disk
// keeps what is listed, and of a wait no more than it has room for.
func TestReq_S35_TenRequestsOfEach(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		bundle := c.bundleOf(bob)
		identities := 60
		if os.Getenv("HUM_LONG") == "1" {
			identities = 1000
		}
		var flood [][]byte
		for i := range identities {
			c.become(i)
			for j := range 10 {
				s := c.subRequest(bob, wire.SubID{byte(i), byte(i >> 8), 2}, func(r *wire.SubRequest) { r.At += identity.Time(j) })
				flood = append(flood, c.seal(bundle, s, c.records...))
			}
		}
		pre, err := identity.NewPreKeySecret([32]byte{35})
		w.must(err)
		me := wire.Recipient{Address: c.address(), Device: c.device(), Kid: pre.ID(), Key: pre.Public()}
		sealed := must(wire.SealParcel(c.rand, [32]byte{35}, wire.Inner{Signed: c.subRequest(bob, wire.SubID{35}), Attached: c.records}, []wire.Recipient{me}, 0))
		floor := spend()
		for range 100 {
			o := must(wire.OpenParcel(sealed, me.Address, me.Device, func(identity.KeyID) (*identity.PreKeySecret, bool) { return pre, true }))
			for _, x := range append(o.Inner.Attached, o.Inner.Signed) {
				w.must(x.Verify())
			}
		}
		floor = (spend() - floor) / 100
		time.Sleep(time.Minute)

		taken, batch, began, disk, cpu := 0, 0, time.Now(), bob.weighed(), spend()
		for parcels := range slices.Chunk(flood, 40) {
			replies := c.pour(bob, wire.OpParcel, parcels)
			taken += len(parcels) - replies[wire.BUSY]
			if batch++; batch == identities/8 {
				cpu -= spend()
				alice.add(bob)
				alice.ask(bob)
				w.within(5*time.Second, "alice's request is heard in the flood", func() bool { return bob.watcher(alice).State == "pending" })
				cpu += spend()
			}
		}
		took := time.Since(began)
		cpu = spend() - cpu
		time.Sleep(time.Minute)
		waiting := 0
		for _, s := range must(bob.WatcherInfo(ctx())).Watchers {
			if s.State == "pending" {
				waiting++
			}
		}
		grown := bob.weighed() - disk
		t.Logf("%d requests in %v: %d taken, %d wait; %v of processor each, %v to open one; the disk has grown by %d kB", len(flood), took, taken, waiting, cpu/time.Duration(len(flood)), floor, grown>>10)
		let := func(taken int) error {
			if most := wire.StrangerBurst + int(took.Seconds()*wire.StrangerParcels); taken > most {
				return fmt.Errorf("%d of %d are taken in %v, want %d at most", taken, len(flood), took, most)
			}
			return nil
		}
		w.must(let(taken))
		w.finds("a door that lets all in", let(len(flood)))
		if waiting > 6 { // five of a peer, and alice
			t.Errorf("%d wait", waiting)
		}
		if each := cpu / time.Duration(len(flood)); each > 4*floor {
			t.Errorf("a request costs %v, and opening it %v", each, floor)
		}
		if grown > 1<<20+int64(taken)*8<<10 {
			t.Errorf("the disk has grown by %d kB for %d requests", grown>>10, taken)
		}
		bob.approve(alice)
		w.within(5*time.Second, "alice is let in", func() bool { return alice.sees(bob).Basic == "open" })
	})
}

// A thousand fresh identities ask to subscribe and once: the lists stay bounded, the notices too, and who is
// honest is heard.
func TestReq_S35_ThousandFreshIdentities(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		bundle := c.bundleOf(bob)
		began := time.Now()
		for i := range 1000 {
			c.become(i)
			s := c.subRequest(bob, wire.SubID{byte(i), byte(i >> 8), 1})
			if i%2 == 0 {
				s, _ = c.fetchOf(bob)
			}
			c.hand(bob, c.seal(bundle, s, c.records...))
			if i == 500 {
				alice.add(bob)
				alice.ask(bob)
				w.within(30*time.Second, "alice's request is heard in the flood", func() bool { return bob.watcher(alice).State == "pending" })
			}
		}
		time.Sleep(10 * time.Second)
		info, err := bob.WatcherInfo(ctx())
		w.must(err)
		waiting := 0
		for _, s := range info.Watchers {
			if s.State == "pending" {
				waiting++
			}
		}
		if waiting > 11 { // five of a peer and a prefix in each list, and alice
			t.Errorf("%d of %d wait", waiting, len(info.Watchers))
		}
		if len(info.Watchers) > 2000+1000 {
			t.Errorf("the list has %d rows", len(info.Watchers))
		}
		if s := bob.watcher(alice); s.State != "pending" {
			t.Errorf("alice is listed as %+v", s)
		}
		told := 0
		for _, e := range bob.events() {
			if e.Kind == "request" {
				told++
			}
		}
		if most := 21 * (1 + int(time.Since(began)/(5*time.Second))); told > most {
			t.Errorf("%d notices in %v", told, time.Since(began))
		}
		w.must(paced(bob.events()))
		bob.approve(alice)
		w.within(5*time.Second, "alice is let in", func() bool { return alice.sees(bob).Basic == "open" })
		if got := alice.fetchNow(bob); got != "open  direct" {
			t.Errorf("alice's fetch: %q", got)
		}
	})
}
