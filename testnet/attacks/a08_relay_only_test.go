package attacks

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// relay adds a circuit relay of the library, with the library's limits: two minutes and 128 KiB.
func (s *stage) relay() (addr, ip string) {
	s.t.Helper()
	ip = s.ip()
	h, err := libp2p.New(append(s.net.Host(ip), libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
		libp2p.DisableIdentifyAddressDiscovery(), libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService())...)
	if err != nil {
		s.t.Fatal(err)
	}
	at, err := peer.AddrInfoToP2pAddrs(&peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	if err != nil {
		s.t.Fatal(err)
	}
	s.ends = append(s.ends, func() { _ = h.Close() })
	return at[0].String(), ip
}

// via has a machine be reached through a relay alone.
func (m *machine) via(relay string) {
	m.s.t.Helper()
	m.stop()
	m.relays = []string{relay}
	m.s.net.Shut(m.ip, true)
	m.start()
	m.eventually(time.Minute, "holds a slot at the relay", func() bool { return strings.Contains(m.card(), "p2p-circuit") })
}

// TestAttack_08_RelayOnly: alice and bob reach each other only by a circuit of the library's limits, 2 minutes and
// 128 KiB. For half an hour bob stays open without a lapse, what he says arrives, twenty messages arrive, some of
// them larger than what is left of their circuit; and gossip never carries a byte between them.
func TestAttack_08_RelayOnly(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		relay, _ := s.relay()
		alice, bob := s.machine("alice"), s.machine("bob")
		for _, m := range []*machine{alice, bob} {
			m.via(relay)
		}
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		alice.eventually(time.Minute, "sees bob open", func() bool { return alice.sees(bob).Basic == "open" })
		from := len(events(t, alice))

		cuts, up := 0, true
		for i := range 20 {
			text := fmt.Sprint(i, " ", strings.Repeat("x", 40<<10*(i%2)))
			id := alice.send(bob, text, time.Hour)
			note := fmt.Sprint("note ", i)
			bob.say(note)
			for end := time.Now().Add(90 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
				if got := alice.sees(bob); got.Basic != "open" || got.Evidence != "said" {
					t.Fatalf("after %d messages alice sees %+v", i, got)
				}
				if now := bob.connected(alice); now != up {
					if up = now; !up {
						cuts++
					}
				}
			}
			if got := alice.sent(id); got.State != "delivered" {
				t.Errorf("message %d is %s", i, got.State)
			}
			if got := alice.sees(bob).Note; got != note {
				t.Errorf("alice reads %q, bob said %q", got, note)
			}
		}
		for _, e := range events(t, alice)[from:] {
			if e.Kind == "presence" && !strings.HasPrefix(e.State, "open") {
				t.Errorf("alice was told %+v", e)
			}
		}
		t.Logf("the circuit was cut %d times", cuts)
		if cuts < 10 {
			t.Errorf("in half an hour the circuit was cut %d times: these are not the library's limits", cuts)
		}
		for _, m := range []*machine{alice, bob} {
			for _, c := range m.costs() {
				if c.Service == "topics" && c.In+c.Out > 0 {
					t.Errorf("gossip carried %d bytes in and %d out at %s", c.In, c.Out, m.name)
				}
			}
		}
		if d := s.net.Traffic(alice.ip, bob.ip); d.Frames != 0 {
			t.Errorf("%+v went directly", d)
		}
	})
}

// connected reports whether a connection to o stands, who watches m.
func (m *machine) connected(o *machine) bool {
	m.s.t.Helper()
	all, err := m.Watchers(m.s.t.Context())
	if err != nil {
		m.s.t.Fatal(err)
	}
	for _, w := range all {
		if w.Address == o.Self().Address {
			return w.Contact == "connected"
		}
	}
	return false
}

func (m *machine) costs() []node.Cost {
	m.s.t.Helper()
	s, err := m.Status(m.s.t.Context())
	if err != nil {
		m.s.t.Fatal(err)
	}
	return s.Costs
}
