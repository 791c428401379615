package requirements

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// also gives p a further device on a machine of its own: it shows a code, p's node reads it.
func (p *person) also(name string, d node.NewDevice) *person {
	p.w.Helper()
	q := &person{w: p.w, name: name, ip: p.w.ip(), home: filepath.Join(p.w.dir, name), ttl: p.ttl, clock: testnet.NewClock(), got: &tape{}}
	p.w.net.Capture(q.ip, q.got.add)
	codes, made := make(chan wire.PairCode, 1), make(chan error, 1)
	go func() {
		_, err := node.Join(context.Background(), node.JoinConfig{Home: q.home, Clock: q.clock.Now, Rand: q.rand(),
			Net: p2p.Config{Host: p.w.net.Host(q.ip)}, Show: func(c wire.PairCode) { codes <- c }})
		made <- err
	}()
	select {
	case code := <-codes:
		d.Code = code.String()
	case err := <-made:
		p.w.Fatal(err)
	}
	_, err := p.AddDevice(ctx(), d)
	p.w.must(err)
	p.w.must(<-made)
	q.up()
	p.w.ends = append(p.w.ends, func() {
		if q.Node != nil {
			q.down()
		}
	})
	p.w.within(10*time.Second, p.name+" and "+name+" are connected", func() bool { return p.online(q) && q.online(p) })
	return q
}

func (p *person) online(q *person) bool {
	devices, err := p.Devices(ctx())
	p.w.must(err)
	return slices.ContainsFunc(devices, func(d node.Device) bool { return d.ID == q.Self().Device && d.Online })
}

func (p *person) says(s wire.IMStatus, note string) {
	p.w.Helper()
	_, err := p.Set(ctx(), node.Change{IM: &s, Note: &note})
	p.w.must(err)
}

// Bob on two machines is one person with two services, and either goes on without the other.
func TestReq_S4_SeveralDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		alice.watch(bob)
		two := bob.also("bob's phone", node.NewDevice{})
		w.within(10*time.Second, "alice sees one person with two devices", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		two.says(wire.Away, "on the road")
		w.within(5*time.Second, "she sees what the second one says", func() bool { p := alice.sees(bob); return p.IM == "away" && p.Note == "on the road" })
		s := alice.send(bob, "to whom it may concern")
		alice.comesTo(s, "delivered", soon)
		w.within(5*time.Second, "it is in both inboxes", func() bool { return bob.has("to whom it may concern") == 1 && two.has("to whom it may concern") == 1 })
		acks := 0
		for _, e := range alice.events() {
			if e.Kind == "ack" && e.ID == s.ID.String() {
				acks++
			}
		}
		if acks != 1 {
			t.Errorf("alice is told %d times what became of it", acks)
		}
		bob.kill(testnet.Crash)
		for range 60 { // twelve leases
			time.Sleep(time.Second)
			if p := alice.sees(bob); p.Basic != "open" || p.IM != "away" || p.Evidence != "said" {
				t.Fatalf("with one device dead she sees %s %s %s", p.Basic, p.IM, p.Evidence)
			}
		}
		two.kill(testnet.Crash)
		w.within(2*lease, "with both dead, he lapses", func() bool { return alice.sees(bob).Evidence == "lapsed" })
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// rowsOf are the states of q's subscriptions, one of each device, in p's list of watchers.
func (p *person) rowsOf(q *person) (states []string) {
	p.w.Helper()
	for _, s := range must(p.WatcherInfo(ctx())).Watchers {
		if s.Address.String() == addressOf(q) {
			states = append(states, s.Winfo)
		}
	}
	return states
}

// Blocked is an address: each device of his and of hers. The list of watchers has a row for each of hers.
func TestReq_5_1_13_SecondDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dave := w.person("bob", lease5), w.person("alice"), w.person("dave")
		phone, tablet := bob.also("bob's phone", node.NewDevice{}), alice.also("alice's tablet", node.NewDevice{})
		dave.watch(bob)
		alice.watch(bob)
		w.within(time.Minute, "her tablet watches too", func() bool { return tablet.watching(bob).State == "active" && tablet.sees(bob).Basic == "open" })
		w.within(5*time.Second, "his phone knows", func() bool { return phone.watcher(alice).State == "active" })
		for _, x := range []*person{bob, phone} {
			w.within(5*time.Second, x.name+" lists each of her devices", func() bool { return slices.Equal(x.rowsOf(alice), []string{"active", "active"}) })
		}
		_, err := phone.Block(ctx(), alice.address(), "both")
		w.must(err)
		w.within(5*time.Second, "both her subscriptions end", func() bool {
			return alice.watching(bob).State == "terminated" && tablet.watching(bob).State == "terminated"
		})
		w.within(5*time.Second, "his laptop has it too", func() bool { blocks, err := bob.Blocks(ctx()); return err == nil && len(blocks) == 1 })
		for _, x := range []*person{bob, phone} {
			w.within(5*time.Second, x.name+" lists that each has ended", func() bool { return slices.Equal(x.rowsOf(alice), []string{"terminated", "terminated"}) })
		}
		for _, x := range []*person{alice, tablet} {
			x.comesTo(x.send(bob, "let me in"), "failed(refused)", 5*time.Second)
		}
		bob.note("not for alice")
		w.within(5*time.Second, "dave misses nothing", func() bool {
			return dave.sees(bob).Note == "not for alice"
		})
		for _, x := range []*person{alice, tablet} {
			if x.sees(bob).Note == "not for alice" {
				t.Errorf("%s reads on", x.name)
			}
		}
		bob.kill(testnet.Crash)
		bob.up()
		phone.kill(testnet.Crash)
		phone.up()
		w.within(time.Minute, "dave sees him again", func() bool { return dave.sees(bob).Basic == "open" })
		for _, x := range []*person{alice, tablet} {
			x.comesTo(x.send(bob, "now?"), "failed(refused)", 21*time.Second)
			if _, err := x.Watch(ctx(), bob.address(), "now?", 0); err != nil {
				t.Error(err)
			}
			w.within(10*time.Second, "a new request is denied", func() bool { return x.watching(bob).State == "denied" })
		}
		if bob.has("let me in")+phone.has("let me in")+bob.has("now?")+phone.has("now?") != 0 {
			t.Error("something came through")
		}
	})
}

// Every message is in both inboxes once, whichever device was there when it came.
func TestReq_5_4_2_SecondDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		bob.add(alice)
		alice.watch(bob)
		two := bob.also("bob's phone", node.NewDevice{})
		w.within(10*time.Second, "alice knows both devices", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		var texts []string
		r := randomOf("which dies")
		for i := range 60 {
			if i%10 == 5 {
				victim := []*person{bob, two}[r.Uint64()%2]
				victim.kill(testnet.Death(r.Uint64() % 2))
				alice.draft(node.Draft{To: addressOf(bob), Content: fmt.Append(nil, "in between ", i), Expires: time.Hour})
				texts = append(texts, fmt.Sprint("in between ", i))
				time.Sleep(time.Duration(r.Uint64()%20) * time.Second)
				victim.up()
			}
			texts = append(texts, fmt.Sprint("n ", i))
			alice.draft(node.Draft{To: addressOf(bob), Content: fmt.Append(nil, "n ", i), Expires: time.Hour})
			time.Sleep(100 * time.Millisecond)
		}
		for _, x := range []*person{bob, two} {
			var last error
			if err := await(5*time.Minute, "everything came once", func() bool { last = exactly(x, texts); return last == nil }); err != nil {
				t.Errorf("%s: %v", x.name, last)
			}
		}
		w.finds("a message twice", exactly(bob, append(texts, texts[0])))
	})
}

// An answer finds whoever wrote, whichever device it was.
func TestReq_4_1_3_SecondDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		tablet := alice.also("alice's tablet", node.NewDevice{})
		s := tablet.draft(node.Draft{To: bob.card(), Content: []byte("from my tablet")})
		tablet.comesTo(s, "delivered", 5*time.Second)
		tablet.down()
		r, err := bob.Reply(ctx(), s.ID.String(), node.Draft{Content: []byte("an answer")})
		w.must(err)
		bob.comesTo(r, "delivered", 5*time.Second)
		tablet.up()
		w.within(time.Minute, "it is on both", func() bool { return alice.has("an answer") == 1 && tablet.has("an answer") == 1 })
		sent, err := alice.Outbox(ctx(), s.ID.String())
		if err != nil || sent[0].State != "delivered" {
			t.Errorf("the other device's outbox: %+v, %v", sent, err)
		}
	})
}

// A home that is restored from an old backup, while the device that it was made of lives on beside a second
// one: the restored one takes the place of the first, which says so and falls silent; nobody loses anything.
func TestRestoredBesideTheOriginal(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		alice.watch(bob)
		two := bob.also("two", node.NewDevice{})
		file := filepath.Join(w.dir, "bob.backup")
		_, err := bob.Backup(ctx(), file, []byte("secret"))
		w.must(err)
		_, err = two.Add(ctx(), alice.address(), "since the backup")
		w.must(err)
		w.within(time.Minute, "both have it", func() bool { return strings.Contains(bob.state(), "since the backup") })
		back := &person{w: w, name: "back", ip: w.ip(), home: filepath.Join(w.dir, "back"), ttl: lease, clock: testnet.NewClock(), got: &tape{}}
		_, err = node.RestoreHome(file, back.home, []byte("secret"), back.clock.Now, back.rand())
		w.must(err)
		back.up()
		w.ends = append(w.ends, back.down)
		w.within(5*time.Minute, "the restored home has what it missed", func() bool { return back.state() == two.state() })
		w.within(10*time.Minute, "the original knows that it was replaced", func() bool {
			return slices.ContainsFunc(bob.events(), func(e node.Event) bool { return e.Kind == "node" && e.State == "revoked" })
		})
		w.within(5*time.Minute, "alice sees the two that are left", func() bool {
			p := alice.sees(bob)
			return p.Basic == "open" && len(p.Tuples) == 2 && !slices.ContainsFunc(p.Tuples, func(x node.TupleOf) bool { return x.Device == bob.Self().Device })
		})
		if d := must(two.Devices(ctx())); len(d) != 3 || !slices.ContainsFunc(d, func(x node.Device) bool { return x.ID == bob.Self().Device && !x.Revoked.IsZero() }) {
			t.Errorf("devices: %+v", d)
		}
	})
}

// A device that is removed while it publishes: nobody takes what it says from then on, whatever it had begun.
func TestRevokedWhilePublishing(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		alice.watch(bob)
		two := bob.also("two", node.NewDevice{})
		w.within(10*time.Second, "alice sees both", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		go func() {
			for i := range 40 {
				note := fmt.Sprint("thief ", i)
				_, _ = two.Set(ctx(), node.Change{Note: &note})
				time.Sleep(50 * time.Millisecond)
			}
		}()
		time.Sleep(time.Second)
		_, err := bob.RevokeDevice(ctx(), two.Self().Device.String())
		w.must(err)
		w.within(5*time.Second, "alice sees one device", func() bool { return len(alice.sees(bob).Tuples) == 1 })
		bob.note("mine again")
		w.within(5*time.Second, "and what it says", func() bool { return alice.sees(bob).Note == "mine again" })
		for range 20 {
			time.Sleep(time.Second)
			if p := alice.sees(bob); len(p.Tuples) != 1 || p.Note != "mine again" {
				t.Fatalf("a removed device is still read: %+v", p)
			}
		}
		if s := must(two.Devices(ctx())); !slices.ContainsFunc(s, func(d node.Device) bool { return d.This && !d.Revoked.IsZero() }) {
			t.Errorf("it does not know: %+v", s)
		}
		if _, err := two.Send(ctx(), node.Draft{To: addressOf(alice), Content: []byte("it is me, bob")}); err == nil || !strings.Contains(err.Error(), "removed") {
			t.Errorf("it writes in his name: %v", err)
		}
	})
}

// Both devices change the epochs at once, apart: each has let somebody go, and neither is let in again.
func TestBothRotateApart(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dave, erin := w.person("bob", lease5), w.person("alice"), w.person("dave"), w.person("erin")
		for _, x := range []*person{alice, dave, erin} {
			x.watch(bob)
		}
		two := bob.also("two", node.NewDevice{})
		w.within(time.Minute, "both know all", func() bool { return bob.state() == two.state() && len(must(two.Watchers(ctx()))) == 3 })
		w.net.Cut(bob.ip, two.ip)
		time.Sleep(10 * time.Second)
		_, err := bob.Block(ctx(), alice.address(), "both")
		w.must(err)
		_, err = two.Block(ctx(), dave.address(), "both")
		w.must(err)
		time.Sleep(30 * time.Second)
		w.net.Join(bob.ip, two.ip)
		w.within(10*time.Minute, "both have both", func() bool { return bob.state() == two.state() && len(must(bob.Blocks(ctx()))) == 2 })
		bob.note("for erin")
		two.note("for erin")
		w.within(5*time.Minute, "erin sees both", func() bool { p := erin.sees(bob); return p.Note == "for erin" && len(p.Tuples) == 2 })
		for _, x := range []*person{alice, dave} {
			if x.sees(bob).Note == "for erin" {
				t.Errorf("%s reads on", x.name)
			}
		}
	})
}

// A rule against Alice's messages is kept by each of Bob's devices, also alone, and is lifted at each.
func TestReq_5_4_10_SecondDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		phone := bob.also("bob's phone", node.NewDevice{})
		alice.watch(bob)
		known := func(p *person, n int) func() bool {
			return func() bool { blocks, err := p.Blocks(ctx()); return err == nil && len(blocks) == n }
		}
		_, err := phone.Block(ctx(), alice.address(), "im")
		w.must(err)
		w.within(5*time.Second, "his laptop has the rule", known(bob, 1))
		refused := func(text string) error {
			s := alice.send(bob, text)
			if err := await(21*time.Second, "it is refused", func() bool { return alice.fate(s) == "failed(refused)" }); err != nil {
				return fail("it is %s", alice.fate(s))
			}
			for _, p := range []*person{bob, phone} {
				if p.Node != nil && p.has(text) != 0 {
					return fail("it is in the inbox of %s", p.name)
				}
			}
			return nil
		}
		w.must(refused("both there"))
		for _, p := range []*person{phone, bob} {
			p.kill(testnet.Crash)
			w.must(refused("without " + p.name))
			p.up()
			time.Sleep(time.Minute)
		}
		if s := alice.watching(bob); s.State != "active" {
			t.Errorf("her subscription is %s", s.State)
		}
		_, err = bob.Unblock(ctx(), alice.address())
		w.must(err)
		w.within(5*time.Second, "his phone has it too", known(phone, 0))
		w.finds("a rule that is lifted", refused("welcome back"))
	})
}

// A lost device is still believed by whoever cannot be told that it was removed, and by nobody for longer than the
// record of the address lives that lists it: not what it shows, and not what it writes.
func TestRevokedWhereNobodyTells(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob"), w.person("alice")
		alice.watch(bob)
		two := bob.also("two", node.NewDevice{})
		w.within(time.Minute, "alice sees both", func() bool { return len(alice.sees(bob).Tuples) == 2 })
		w.net.Cut(bob.ip, alice.ip)
		w.net.Cut(bob.ip, two.ip)
		_, err := bob.RevokeDevice(ctx(), two.Self().Device.String())
		w.must(err)
		later := func(d time.Duration) {
			for _, p := range []*person{alice, two} {
				p.clock.Step(d)
			}
		}
		believed := func(word string) error {
			two.note(word)
			if _, err := two.Send(ctx(), node.Draft{To: addressOf(alice), Content: []byte(word), Expires: time.Hour}); err != nil {
				return err
			}
			return await(10*time.Minute, "alice believes what the lost device says", func() bool { return alice.sees(bob).Note == word || alice.has(word) > 0 })
		}
		w.must(believed("at once"))
		later(29 * 24 * time.Hour)
		w.must(believed("while the record lives"))
		later(25 * time.Hour)
		if believed("afterwards") == nil {
			t.Error("alice still believes it")
		}
		if p := alice.sees(bob); p.Basic == "open" || p.Evidence == "said" {
			t.Errorf("alice is shown %s %s", p.Basic, p.Evidence)
		}
	})
}
