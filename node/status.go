package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Card is what others need to add me: my address, the places where I can be dialled, a suggested name.
func (n *Node) Card() (string, error) { return n.ownCard().String(), nil }

func (n *Node) ownCard() identity.Card {
	c := identity.Card{Address: n.self.Address, Name: n.self.Name}
	for _, a := range n.net.Addrs() {
		c.Dial = append(c.Dial, p2p.DialText(n.net.Self(), a))
	}
	for _, m := range n.joined.all() {
		if m.does(wire.RoleHome) && len(m.Addrs) > 0 && c.Home == "" {
			c.Home = p2p.DialText(m.peer(), m.Addrs[0])
		}
	}
	return c
}

// Status is the node at a glance.
func (n *Node) Status(context.Context) (Status, error) {
	stats := n.net.Stats()
	s := Status{Self: n.self, Started: n.started, Listen: n.Listening(), Peers: stats.Peers, Topics: stats.Topics,
		Outbox: n.mail.open(), BytesIn: stats.BytesIn, BytesOut: stats.BytesOut, Refused: stats.Refused}
	s.ClockSuspect = n.clockSuspect()
	s.StoreBytes, _ = n.store.Size() // 0 says that it is not known
	n.mu.RLock()
	s.Watchers = len(n.watchers)
	s.Refused = maps.Clone(stats.Refused)
	if s.Refused == nil {
		s.Refused = map[string]uint64{}
	}
	for cause, count := range n.refused {
		s.Refused[cause] += count
	}
	n.mu.RUnlock()
	if up := n.now().Wall.Go().Sub(n.started); up > time.Minute {
		s.InPerHour = uint64(float64(s.BytesIn) / up.Hours())
		s.OutPerHour = uint64(float64(s.BytesOut) / up.Hours())
	}
	err := n.view(func(t *txn) error {
		s.Inbox = t.Count(store.AllInbox())
		if err := rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if w.State == wire.SubPending {
				s.Pending++
			}
			return true, nil
		}); err != nil {
			return err
		}
		wrote, err := n.writers(t)
		if s.Pending += len(wrote); err != nil {
			return err
		}
		_, pub, err := n.loadView(t, presence.DefaultView)
		if n.self.Services&identity.Presentity == 0 {
			s.Presence = "none"
			return err
		}
		s.Presence, s.Note = choiceWord(pub.Choice), pub.Choice.Note
		if pub.Choice.Bare {
			s.Note = ""
		}
		if pub.Choice.IM != 0 && !pub.Choice.Bare && !pub.IMClosed() {
			s.Presence, s.IM = wire.Open.String(), pub.Choice.IM.String()
		}
		if pub.Idle() {
			s.Presence, s.IM, s.IdleSince = wire.Open.String(), wire.Idle.String(), pub.Silent.Go()
		}
		s.Changed = pub.Changed.Go()
		return err
	})
	if err == nil && n.self.Services&identity.Presentity != 0 {
		if s.Reaching, err = n.reaching(); !s.Reaching {
			s.Alone = n.whyAlone()
		}
	}
	if err != nil {
		return s, saveError(n.cfg.Home, err)
	}
	s.Reachability = n.reachability(s)
	n.lookedAt(&s, stats)
	return s, nil
}

func (n *Node) reachability(s Status) string {
	r := n.net.Reachability()
	switch {
	case s.Peers == 0:
		return "connected to nobody"
	case n.net.Private() && len(n.heldSlots(r)) > 0:
		return "private: through the relay of " + strings.Join(n.heldSlots(r), " and ")
	case n.net.Private():
		return "private: nobody can call, messages come by mailbox"
	case len(r.Yes) > 0:
		return "reachable by everybody"
	case len(n.heldSlots(r)) > 0:
		return "reachable through a relay"
	case len(n.net.Addrs()) == 0:
		return "dialling out only"
	}
	return "listening"
}

// heldSlots names the relays that lead here.
func (n *Node) heldSlots(r p2p.Reachability) (names []string) {
	for _, s := range r.Slots {
		if s.Held {
			names = append(names, n.relayName(s.Relay))
		}
	}
	return names
}

// relayName is what the user calls a relay: the community that runs it.
func (n *Node) relayName(p p2p.PeerID) string {
	for _, m := range n.joined.all() {
		if m.peer() == p {
			return m.face().Name
		}
	}
	return p.String()
}

// natCheck says who can dial this node, and what to do if nobody can.
func (n *Node) natCheck() Check {
	r := n.net.Reachability()
	relays := n.heldSlots(r)
	switch through := strings.Join(relays, ", "); {
	case len(r.Yes) > 0:
		return Check{Check: "nat", OK: true, Detail: "dialled from outside at " + strings.Join(r.Yes, " ")}
	case len(relays) > 0 && len(r.No) > 0:
		return Check{Check: "nat", OK: true, Detail: "not dialled from outside; reached through the relay of " + through,
			Advice: "open port 4866, TCP and UDP, in the router or firewall for direct ways"}
	case len(relays) > 0:
		return Check{Check: "nat", OK: true, Detail: "reached through the relay of " + through}
	case len(r.No) > 0:
		return Check{Check: "nat", Detail: "not dialled from outside at " + strings.Join(r.No, " "),
			Advice: "open port 4866, TCP and UDP, in the router or firewall, or join a community that relays: hum join INVITE"}
	}
	for _, s := range r.Slots {
		if s.Why != "" {
			return Check{Check: "nat", Detail: "no slot at the relay of " + n.relayName(s.Relay) + ": " + s.Why, Advice: "it is tried again; join a second community: hum join INVITE"}
		}
	}
	return Check{Check: "nat", OK: true, Detail: "not known: nobody here was asked to dial back"}
}

// bare are addresses without the peer at their end.
func bare(addrs []string) (out []string) {
	for _, a := range addrs {
		a, _, _ = strings.Cut(a, "/p2p/")
		out = append(out, a)
	}
	return out
}

// Doctor looks for what is wrong, and says what to do about it.
func (n *Node) Doctor(ctx context.Context) (out []Check) {
	s, err := n.Status(ctx)
	out = append(out, check("store", err, "the store reads and writes", "see hum doctor after making room, or hum restore"))
	out = append(out, check("store writes", n.update(func(t *txn) error { return put(t, store.Meta("doctor"), t.now.Wall) }),
		fmt.Sprintf("%d bytes on disk", s.StoreBytes), "make room on the disk, or mount it writable"))
	out = append(out, n.clockCheck(s))
	ports := Check{Check: "ports", OK: len(s.Listen) > 0, Detail: strings.Join(bare(s.Listen), " ")}
	if !ports.OK {
		ports.Detail, ports.Advice = "nothing is listened on", "set listen in config.toml, or: hum up --listen"
	}
	peers := Check{Check: "reach", OK: s.Peers > 0, Detail: "connected peers: " + fmt.Sprint(s.Peers)}
	if !peers.OK {
		peers.Advice = "exchange cards with somebody who is reachable: hum card"
	}
	out = append(out, ports, peers, n.natCheck())
	out = append(out, n.communityChecks()...)
	out = append(out, n.handleChecks(ctx)...)
	return append(out, n.dhtCheck(s), keysCheck(n.keys, n.now()))
}

func check(name string, err error, good, advice string) Check {
	if err == nil {
		return Check{Check: name, OK: true, Detail: good}
	}
	var e *Error
	if errors.As(err, &e) {
		return Check{Check: name, Detail: e.Message, Advice: e.Advice}
	}
	return Check{Check: name, Detail: err.Error(), Advice: advice}
}

func (n *Node) clockCheck(s Status) Check {
	if apart := n.clocksApart(); apart != "" && !s.ClockSuspect {
		return Check{Check: "clock", Detail: apart, Advice: "set the system clock of the one that is wrong: until then neither hears the other"}
	}
	if !s.ClockSuspect {
		return Check{Check: "clock", OK: true, Detail: "agrees with what the others' clocks show"}
	}
	return Check{Check: "clock", Detail: "differs by more than 2 min from what others show, or went back", Advice: "set the system clock; if all clocks were wrong: hum doctor --reset-clock"}
}

func keysCheck(k *identity.Keyring, now identity.Now) Check {
	if k.Sealed() {
		return Check{Check: "keys", OK: true, Detail: "sealed with a passphrase"}
	}
	return Check{Check: "keys", OK: true, Detail: "protected by file permissions only", Advice: "a passphrase seals them: hum passphrase set"}
}

// DoctorHome examines a home in which no node runs.
func DoctorHome(home string, passphrase func() ([]byte, error), clock func() identity.Now) []Check {
	keys, err := identity.OpenKeyring(home, passphrase)
	out := []Check{check("keys", homeError(home, err), "the keys open", "make an identity with: hum init")}
	_, err = LoadSettings(home)
	out = append(out, check("config", err, "config.toml is in order", "mend or remove config.toml"))
	if keys == nil {
		return out
	}
	key := keys.StoreKey()
	s, err := store.Open(storeDir(home), store.Options{Key: key[:]})
	out = append(out, check("store", storeError(home, err), "the store opens", "restore a backup with: hum restore"))
	if err == nil {
		_ = s.Close()
	}
	return append(out, Check{Check: "node", Detail: "no node is running in this home", Advice: "start it with: hum up"})
}

// ResetClock forgets the largest stamp heard, for a network whose clocks were all wrong (SPEC 1, "Time").
func ResetClock(home string, passphrase func() ([]byte, error)) error {
	return withStore(home, passphrase, func(n *Node) error {
		if err := n.keepSeen(); err != nil {
			return err
		}
		n.heard.at.Store(0)
		return n.update(func(t *txn) error {
			return put(t, store.Meta("heard"), identity.Time(0))
		})
	})
}
