package node

import (
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// sentKept is how many settled messages the outbox keeps, the newest; those whose late ack can still be
// opened are kept beside them.
const sentKept = 10_000

// outboxHorizon is when the newest message was sent that was forgotten for its age: no older one comes back
// by way of another device.
var outboxHorizon = store.Meta("outbox-horizon")

// purgeMail forgets what no user and no peer will ask for again.
func (n *Node) purgeMail() error {
	return errors.Join(n.purgeOutbox(sentKept), n.purgePins(), n.purgeKept())
}

// purgeOutbox forgets the oldest settled messages, and their traces.
func (n *Node) purgeOutbox(keep int) error {
	type row struct {
		id   wire.MID
		to   identity.Address
		sent identity.Time
		ack  []byte
	}
	var over []row
	err := n.view(func(t *txn) error {
		return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
			if e.State.Final() && len(e.CEKs) == 0 {
				over = append(over, row{e.ID, e.To, e.Sent, e.AckRaw})
			}
			return true, nil
		})
	})
	if err != nil || len(over) <= keep {
		return err
	}
	slices.SortFunc(over, func(a, b row) int { return b.sent.Go().Compare(a.sent.Go()) })
	for _, r := range over[keep:] {
		if err := n.update(func(t *txn) error {
			if kept, _, err := find[identity.Time](t, outboxHorizon); err != nil || r.sent > kept {
				if err = errors.Join(err, put(t, outboxHorizon, r.sent)); err != nil {
					return err
				}
			}
			for k := range t.Scan(store.TraceOf(r.id), store.ScanOptions{KeysOnly: true}) {
				if err := t.Delete(k); err != nil {
					return err
				}
			}
			return errors.Join(t.leaveAck(r.to, r.ack, r.id), t.Delete(store.Outbox(r.id)), t.Delete(store.Talk(r.to, r.sent, r.id)))
		}); err != nil {
			return err
		}
	}
	return nil
}

// purgePins forgets the records of people who are no contacts and of whom nothing is kept (SPEC, "Words").
func (n *Node) purgePins() error {
	needed := map[identity.Address]bool{}
	var used []pinned
	err := n.view(func(t *txn) error {
		if err := n.markNeeded(t, needed); err != nil {
			return err
		}
		return rows(t, store.AllPins(), store.ScanOptions{}, func(_ store.Key, p pinned) (bool, error) {
			if a := p.Pin.Record.Address; !needed[a] && !n.isContact(a) && !n.isContact(n.moves.current(a)) {
				used = append(used, p)
			}
			return true, nil
		})
	})
	for _, p := range used {
		if err == nil {
			err = n.dropPin(p)
		}
	}
	return err
}

// markNeeded marks everybody of whom a message, a request or a subscription is kept.
func (n *Node) markNeeded(t *txn, needed map[identity.Address]bool) error {
	return errors.Join(
		eachWriter(t, func(a identity.Address) { needed[a] = true }),
		rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
			if len(e.CEKs) > 0 {
				needed[e.To] = true
			}
			return true, nil
		}),
		rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			needed[w.Who] = true
			return true, nil
		}),
		n.markFetchers(t, needed),
		n.markHeld(t, needed),
		rows(t, store.AllWatching(), store.ScanOptions{}, func(_ store.Key, w presence.Watching) (bool, error) {
			needed[w.Of] = true
			return true, nil
		}))
}

// dropPin forgets a stranger's records, unless they came into use since they were read.
func (n *Node) dropPin(read pinned) error {
	a := read.Pin.Record.Address
	return n.update(func(t *txn) error {
		p, ok, err := find[pinned](t, store.Pin(a))
		if err != nil || !ok || p.Used != read.Used || n.isContact(a) || n.isContact(n.moves.current(a)) || n.mail.owed(a) || t.Count(store.WatchersOf(a)) > 0 || t.Count(store.HeldOf(a)) > 0 || n.askedOnce(t, a) {
			return err
		}
		t.after(func() {
			n.pins.drop(a)
			n.locate(a)
		})
		return t.Delete(store.Pin(a))
	})
}

// endOrphans ends what was signed by a device that is none of this address any more, p being the newest pin
// of it: one that was removed, that from before this home was restored, or all those of an address that was
// left. Nobody knows whether it arrived since, and nobody is left who could tell (SPEC 5.6).
func (n *Node) endOrphans(t *txn, p *identity.Pin) error {
	return n.endEach(t, "sent by a device that is no more: it may have arrived", (*message.Entry).Orphan, func(e message.Entry) bool {
		s, err := wire.ParseSigned(e.Signed)
		if err != nil || !e.Copied {
			return err == nil && s.Key != n.keys.Device().Public() && !unsigned(s)
		}
		return p == nil || removed(p, identity.DeviceIDOf(s.Key)) && !unsigned(s) || len(p.Raw) == 0
	})
}

// endEach ends the messages under way that are meant, and says why.
func (n *Node) endEach(t *txn, why string, end func(*message.Entry, identity.Now), meant func(message.Entry) bool) error {
	var open []message.Entry
	err := rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
		if !e.State.Final() && meant(e) {
			open = append(open, e)
		}
		return true, nil
	})
	for _, e := range open {
		end(&e, t.now)
		t.trace(e.ID, "ended", n.name(e.To), why, "the records of this address")
		n.emitSent(t, e)
		err = errors.Join(err, n.saveEntry(t, e))
	}
	return err
}
