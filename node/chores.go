package node

import (
	"context"
	"errors"
	"time"

	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// workChores keeps what ages in order: records and prekeys each minute, seen rows each hour.
func (n *Node) workChores(ctx context.Context) (time.Duration, error) {
	changed, err := n.renew()
	if err != nil {
		n.log.Error("own records could not be renewed", "err", err)
		return retryAfter, err
	}
	if changed { // tell where I am now: the reach travels in the next document
		n.republish()
		n.claimEverywhere()
	}
	if err := n.workSuccession(); err != nil {
		return retryAfter, err
	}
	if err := n.releaseHeld(ctx); err != nil {
		return retryAfter, err
	}
	n.readSlots()
	if now := n.now(); now.Mono-n.knocked > waitingEvery {
		n.knocked = now.Mono
		n.joinWaiting()
	}
	if now := n.now(); now.Mono-n.sync.copied > copyEvery {
		n.sync.copied = now.Mono
		n.spawn(n.copyOwn)
	}
	if now := n.now(); n.purged == 0 || now.Mono-n.purged > time.Hour {
		if err := errors.Join(n.purgeSeen(), n.purgeHeard(), n.purgeMail(), n.purgeFetchers(), n.purgeFetched(), n.purgeShared(), n.purgeHeldMessages(), n.purgeInvites(), n.payDisplays()); err != nil {
			return retryAfter, err
		}
		n.purged = now.Mono + 1
	}
	return look, nil
}

// copyEvery is how often my devices compare what they show, and their clocks.
const copyEvery = 15 * time.Minute

// purgeBatch bounds how many rows one pass takes away, so that it stays short.
const purgeBatch = 1000

// purgeSeen forgets ids that no valid message can carry any more (SPEC 5.4).
func (n *Node) purgeSeen() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		var p message.Purge
		for k, b := range t.Scan(store.AllSeenUntil(), store.ScanOptions{Reverse: true}) {
			refused, err := decode[bool](k, b)
			if err != nil {
				return err
			}
			if !p.Keep(t.now, message.Seen{Until: k.Time(), Refused: refused}) {
				old = append(old, k)
			}
		}
		return nil
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error {
		id := wire.MID(k.MID())
		s, err := n.seen(t, k.Address(), id)
		if err == nil && s != nil {
			err = t.leaveAck(k.Address(), s.Ack, id)
		}
		if err == nil && !t.Has(store.InboxAt(id)) { // of what was not kept
			err = deleteAll(t, store.TraceOf(id))
		}
		return errors.Join(err, t.Delete(store.Seen(k.Address(), id)), t.Delete(k))
	})
}

// purgeHeard forgets what was heard in epochs that are over by both clocks.
func (n *Node) purgeHeard() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllHeard(), store.ScanOptions{}, func(k store.Key, h presence.Heard) (bool, error) {
			if overHeard(t.now, h) {
				old = append(old, k)
			}
			return true, nil
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error { return t.Delete(k) })
}

// seenLonger is how much longer ids are kept when heard is reset (SPEC 1, "Time").
const seenLonger = 21 * 24 * time.Hour

// keepSeen prolongs every seen row, so that a clock that was set for a whole network readmits nothing.
func (n *Node) keepSeen() error {
	var keys []store.Key
	err := n.view(func(t *txn) error {
		for k := range t.Scan(store.AllSeen(), store.ScanOptions{KeysOnly: true}) {
			keys = append(keys, k)
		}
		return nil
	})
	return n.inBatches(err, keys, func(t *txn, k store.Key) error {
		s, ok, err := find[message.Seen](t, k)
		if err != nil || !ok {
			return err
		}
		from, id := k.Address(), wire.MID(k.MID())
		if err := t.Delete(store.SeenUntil(s.Until, from, id)); err != nil {
			return err
		}
		s.Until = max(s.Until, t.now.Wall).Add(seenLonger)
		if err := put(t, k, s); err != nil {
			return err
		}
		return put(t, store.SeenUntil(s.Until, from, id), s.Refused)
	})
}

// inBatches leads each key through do, many in one pass but not too many; it stops at the first error.
func (n *Node) inBatches(err error, keys []store.Key, do func(*txn, store.Key) error) error {
	for err == nil && len(keys) > 0 {
		batch := keys[:min(purgeBatch, len(keys))]
		keys = keys[len(batch):]
		err = n.update(func(t *txn) error {
			for _, k := range batch {
				if err := do(t, k); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return err
}
