package node

import (
	"context"
	"reflect"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A heldMessage waits unanswered until what its sender sees of me is OPEN again (SPEC 5.2, closed_hold). Then it
// is led through the door as if it had just come, with what was needed to judge and to answer it.
type heldMessage struct {
	Peer     []byte // a peer id is binary, and so no text
	CEK      [32]byte
	Kid      identity.KeyID
	Signed   []byte
	Attached [][]byte
	Expires  identity.Time
	Clear    bool
}

// holds reports whether this address keeps what comes while it is closed: one setting for all its devices,
// which its record tells everybody.
func (n *Node) holds() bool { return n.declares(n.self.Address, identity.ClosedHold) }

// declares reports whether the newest record of an address says a flag of its inbox.
func (n *Node) declares(a identity.Address, f identity.PolicyFlags) bool {
	pin := n.pins.get(a)
	return pin != nil && pin.Record.Policy != nil && pin.Record.Policy.Flags&f != 0
}

// announce signs the next record of this address, which says of its inbox what flag stands for, or not.
func (n *Node) announce(flag identity.PolicyFlags, on bool) error {
	if err := n.checkAdmin("sign what its record says of messages"); err != nil {
		return err
	}
	err := n.update(func(t *txn) error {
		p, err := get[pinned](t, store.Pin(n.self.Address))
		if err != nil {
			return err
		}
		say := identity.Policy{}
		if p.Pin.Record.Policy != nil {
			say = *p.Pin.Record.Policy
		}
		before := say.Flags
		if say.Flags &^= flag; on {
			say.Flags |= flag
		}
		if say.Flags == before {
			return nil
		}
		if p.Pin.Record.Policy = &say; reflect.ValueOf(say).IsZero() {
			p.Pin.Record.Policy = nil
		}
		if err := n.signAddress(t, &p.Pin, p.Pin.Record.Devices); err != nil {
			return err
		}
		return n.savePin(t, n.self.Address, p)
	})
	n.chores.nudge() // the record is attached from now on, and what was held may be answered
	n.syncAll()
	return saveError(n.cfg.Home, err)
}

// heldFacts adds how many messages wait already.
func (n *Node) heldFacts(t *txn, facts *message.Arrival) {
	facts.IsHeld = t.Has(store.Held(facts.IM.From, facts.ID))
	for k := range t.Scan(store.AllHeld(), store.ScanOptions{KeysOnly: true}) {
		from := k.Address()
		if from == facts.IM.From {
			facts.HeldOf++
		}
		if n.isContact(from) == facts.Contact {
			facts.HeldInAll++
		}
	}
}

// holdMessage keeps a message as its sender wrapped it last.
func (n *Node) holdMessage(t *txn, x *incoming) error {
	h := heldMessage{Peer: []byte(x.peer), CEK: x.cek, Kid: x.kid, Signed: x.signed.Append(nil), Expires: x.facts.IM.Expires, Clear: x.clear}
	for _, s := range x.attached {
		h.Attached = append(h.Attached, s.Append(nil))
	}
	return put(t, store.Held(x.facts.IM.From, x.id), h)
}

// releaseAtOnce bounds how many messages one look at those that wait lets in.
const releaseAtOnce = 64

// releaseHeld leads what waits through the door whose senders see me OPEN now, and all of it once nothing is
// held any more.
func (n *Node) releaseHeld(ctx context.Context) error {
	var due []arrival
	err := n.view(func(t *txn) error {
		holds, shown := n.holds(), map[identity.Address]bool{}
		for k := range t.Scan(store.AllHeld(), store.ScanOptions{KeysOnly: true}) {
			from := k.Address()
			open, known := shown[from]
			if !known {
				shut, err := n.shutTo(t, from)
				if err != nil {
					return err
				}
				open = !shut || !holds
				shown[from] = open
			}
			if !open || len(due) == releaseAtOnce {
				continue
			}
			h, err := get[heldMessage](t, k)
			if err != nil {
				return err
			}
			if s, err := wire.ParseSigned(h.Signed); err == nil {
				due = append(due, arrival{peer: p2p.PeerID(h.Peer), cek: h.CEK, kid: h.Kid, signed: s, id: s.ID(), attached: parseAll(h.Attached), at: n.now(), clear: h.Clear})
			}
		}
		return nil
	})
	for _, a := range due {
		n.receiveIM(ctx, a, true)
	}
	if len(due) == releaseAtOnce {
		n.chores.nudge()
	}
	return err
}

// shutTo reports whether the inbox is closed to an address: by my choice, and on every device that lives
// (SPEC 5.2).
func (n *Node) shutTo(t *txn, a identity.Address) (bool, error) {
	if !n.closedTo(a) {
		return false, nil
	}
	open, err := n.openElsewhere(t, n.viewShown(a))
	return !open, err
}

// markHeld marks everybody of whom a message waits.
func (n *Node) markHeld(t *txn, needed map[identity.Address]bool) error {
	for k := range t.Scan(store.AllHeld(), store.ScanOptions{KeysOnly: true}) {
		needed[k.Address()] = true
	}
	return nil
}

// purgeHeldMessages forgets messages whose time is over: their senders know by now that nobody took them.
func (n *Node) purgeHeldMessages() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllHeld(), store.ScanOptions{}, func(k store.Key, h heldMessage) (bool, error) {
			if t.now.Past(h.Expires) {
				old = append(old, k)
			}
			return true, nil
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error { return t.Delete(k) })
}
