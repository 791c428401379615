package requirements

import (
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/testnet"
)

// hide switches private mode on, and the node starts anew, as hum up has it do.
func (p *person) hide(on bool) node.Privacy {
	p.w.Helper()
	s, err := p.SetPrivate(ctx(), on)
	p.w.must(err)
	if s.Again {
		if !p.Again() {
			p.w.Fatalf("%s is not to start anew", p.name)
		}
		p.down()
		p.up()
	}
	return s
}

// noPlace is an error if b holds an IPv4 address: in words, in hex, or as multiaddrs have it.
func noPlace(where string, b []byte, ip string) error {
	a := netip.MustParseAddr(ip).As4()
	for _, form := range []string{ip, string(append([]byte{4}, a[:]...)), string(a[:])} {
		if err := clean(where, b, form); err != nil {
			return err
		}
	}
	return nil
}

// peerID is the peer id by which others dial somebody.
func peerID(p *person) string {
	a := p.Listening()[0]
	return a[strings.LastIndex(a, "/")+1:]
}

// outgoing is a tape of every byte that a machine sends to anybody of those named.
func (w *world) outgoing(ip string, to ...string) *tape {
	t := &tape{}
	for _, other := range to {
		w.net.Capture(other, func(c testnet.Chunk) {
			if c.From == ip {
				t.add(c)
			}
		})
	}
	return t
}

// hidden are those of private mode's tests: alice is hidden in the community d, bob is not, in d or in another.
func hidden(t *testing.T, apart bool, f func(w *world, d *operator, alice, bob *person), options ...option) {
	inWorld(t, func(w *world) {
		w.plain = true // what circuits carry is read, too
		d, e := w.operator("d"), w.operator("e")
		d.down()
		d.circuits = p2p.Circuits{Last: 2 * time.Minute, Data: 128 << 10} // of the library, far shorter than a community's
		d.up()
		alice, bob := w.person("alice", append(options, living("203.0.113.77"))...), w.person("bob", logging)
		before := w.outgoing(alice.ip, d.ip)
		alice.enters(d.invite(1))
		time.Sleep(10 * time.Second)
		w.finds("her address in what she tells when she is not hidden", noPlace("what alice sends", before.all(""), alice.ip))
		known := peerID(alice)
		out := &tape{}
		if s := alice.hide(true); !s.Private || len(s.Visible) < 2 || len(s.Costs) < 2 || !strings.Contains(strings.Join(s.Visible, " "), "d: the IP address") {
			t.Errorf("private mode says %+v", s)
		}
		// What d was told before is of another peer, of whom nothing is heard any more.
		out = w.outgoing(alice.ip, d.ip, e.ip, bob.ip)
		if apart {
			bob.enters(e.invite(1))
		} else {
			bob.enters(d.invite(1))
		}
		for _, p := range []*person{alice, bob} {
			p.slotted()
		}
		if peerID(alice) == known {
			t.Error("alice has the peer id that is known with her address")
		}
		f(w, d, alice, bob)

		for _, pair := range [][2]string{{alice.ip, bob.ip}, {alice.ip, e.ip}} {
			if got := w.net.Traffic(pair[0], pair[1]); got.Frames != 0 {
				t.Errorf("%+v went from %s to %s", got, pair[0], pair[1])
			}
			if got := w.net.Traffic(pair[1], pair[0]); got.Frames != 0 {
				t.Errorf("%+v went from %s to %s", got, pair[1], pair[0])
			}
		}
		if n := len(out.all("")); n < 10_000 {
			t.Errorf("only %d bytes were tapped", n)
		}
		w.must(noPlace("what alice sends", out.all(""), alice.ip))
		w.must(noPlace("what bob gets", bob.got.all(""), alice.ip))
		// The choice of the protocol, within a circuit: nobody speaks it with bob directly.
		w.finds("what circuits carry", clean("what bob gets", bob.got.all(""), parcelProto+"\n"))
		w.finds("d's address in what bob gets", noPlace("what bob gets", bob.got.all(""), d.ip))
		a := alice.Self().Address
		card := alice.card()
		for _, c := range strings.Split(card, "&") {
			if strings.Contains(c, "d=") && !strings.Contains(c, "p2p-circuit") {
				t.Errorf("the card of %v names %s", a, c)
			}
		}
		alice.down()
		bob.down()
		if n := len(bob.log.String()); n < 1000 {
			t.Errorf("bob's log has %d bytes", n)
		}
		w.must(noPlace("bob's log", []byte(bob.log.String()), alice.ip))
		w.must(noPlace("what bob keeps", bob.opened(), alice.ip))
		w.finds("d's address in what bob keeps", noPlace("what bob keeps", bob.opened(), d.ip))
	})
}

// Alice watches and writes from private mode, and bob, who is in the same community, never has her address: in what he
// gets, in what he keeps; a subscription, fifty notices, ten messages each way, past a restart of either (requirements
// 5.1.17, 5.2.5, 5.4.5; protocol 7.6; invariant I23).
func TestReq_5_1_17_HiddenWatcher(t *testing.T) {
	hiddenWatcher(t, func(w *world, alice *person) {
		if len(alice.got.topics()) == 0 {
			t.Error("no topic was named to alice")
		}
	})
}

// The same by WATCH alone (5.2.5, once each way).
func TestReq_5_2_5_HiddenLightWatcher(t *testing.T) {
	hiddenWatcher(t, func(*world, *person) {}, light)
}

func hiddenWatcher(t *testing.T, also func(w *world, alice *person), options ...option) {
	hidden(t, false, func(w *world, d *operator, alice, bob *person) {
		alice.watch(bob)
		for i := range 50 {
			note := fmt.Sprint("note ", i)
			bob.note(note)
			w.within(3*time.Second, "alice reads "+note, func() bool { return alice.sees(bob).Note == note })
			time.Sleep(3 * time.Second)
		}
		for i := range 10 {
			if i == 5 {
				alice.down()
				alice.up()
				bob.down()
				bob.up()
				alice.slotted()
				bob.slotted()
			}
			m := alice.draft(node.Draft{To: addressOf(bob), Content: fmt.Append(nil, "text ", i)})
			alice.comesTo(m, "delivered", time.Minute)
			r, err := bob.Reply(ctx(), bob.one(fmt.Sprint("text ", i)).ID.String(), node.Draft{Content: fmt.Append(nil, "yes, ", i)})
			w.must(err)
			bob.comesTo(r, "delivered", time.Minute)
		}
		if s, err := alice.Private(ctx()); err != nil || !s.Private {
			t.Errorf("after a restart: %+v, %v", s, err)
		}
		also(w, alice)
	}, options...)
}

// The mirror: bob watches alice, who publishes from private mode (5.1.18, 5.2.6).
func TestReq_5_1_18_HiddenPresentity(t *testing.T) {
	hidden(t, false, func(w *world, d *operator, alice, bob *person) {
		bob.watch(alice)
		for i := range 50 {
			if i == 25 {
				alice.down()
				alice.up()
			}
			note := fmt.Sprint("note ", i)
			alice.note(note)
			w.within(time.Minute, "bob reads "+note, func() bool { return bob.sees(alice).Note == note })
			time.Sleep(3 * time.Second)
		}
	})
}

// Bob is of another community: what alice has to do there her own node does in her place, and the other community never
// sees her (7.1 upstream, 7.3 FORWARD).
func TestReq_5_2_6_HiddenAcrossCommunities(t *testing.T) {
	hidden(t, true, func(w *world, d *operator, alice, bob *person) {
		bob.watch(alice) // he calls her, through d
		alice.watch(bob)
		for i := range 10 {
			note := fmt.Sprint("note ", i)
			bob.note(note)
			alice.note(note)
			w.within(5*time.Second, "each reads "+note, func() bool { return alice.sees(bob).Note == note && bob.sees(alice).Note == note })
			time.Sleep(3 * time.Second)
		}
		bob.down()
		w.within(5*time.Minute, "alice sees that bob is gone", func() bool { return alice.sees(bob).Basic == "closed" })
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("while you are away"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", 2*time.Minute)
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("while you are away") == 1 })
		alice.comesTo(m, "delivered", 20*time.Minute)
	})
}

// Alice, hidden, begins with somebody of another community of whom she has a card alone, and cannot call: her community's
// node asks his home for his records and leaves her request in his mailbox; he answers through her relay. A handle is
// not looked up, as its domain would see her.
func TestReq_5_4_5_HiddenFirstContact(t *testing.T) {
	hidden(t, true, func(w *world, d *operator, alice, bob *person) {
		alice.add(bob)
		alice.ask(bob)
		w.within(5*time.Minute, "bob hears of the request", func() bool { return bob.watcher(alice).State == "pending" })
		bob.approve(alice)
		w.within(5*time.Minute, "alice sees him open", func() bool { return alice.sees(bob).Basic == "open" })
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("hello"), Expires: 24 * time.Hour})
		alice.comesTo(m, "delivered", 20*time.Minute)
		if _, err := alice.Add(ctx(), "bob@d1.test", "other"); code(err) != "unreachable" || !strings.Contains(err.Error(), "private mode") {
			w.Errorf("a handle in private mode: %v", err)
		}
	})
}

// What Bob gets of Alice, who is hidden, says neither which program she runs nor on what: no version, no name of her
// machine, no time zone (8.2.1 B8). Every node calls itself hum/1.
func TestReq_8_2_1_B8_NothingOfHerMachine(t *testing.T) {
	hidden(t, false, func(w *world, d *operator, alice, bob *person) {
		alice.watch(bob)
		bob.watch(alice)
		alice.note("here")
		w.within(time.Minute, "bob reads it", func() bool { return bob.sees(alice).Note == "here" })
		alice.delivers(bob, "hello")
		got := bob.got.all("")
		w.finds("what she calls herself", clean("what bob gets", got, "hum/1"))
		machine, err := os.Hostname()
		w.must(err)
		zone, _ := time.Now().In(time.Local).Zone()
		for what, word := range map[string]string{"the language": runtime.Version(), "the system": runtime.GOOS + "/" + runtime.GOARCH, "the library": "go-libp2p/", "the host": machine,
			"the zone": " " + zone + "\n", "the place": "Europe/"} {
			if len(word) > 3 {
				w.must(clean(what+" in what bob gets", got, word))
			}
		}
	})
}
