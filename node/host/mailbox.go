package host

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// An itemRow is what lies in a mailbox.
type itemRow struct {
	community.Lying
	Item []byte
}

// HandleMbox answers a request of /hum/mbox/1.
func (h *Host) HandleMbox(ctx context.Context, from p2p.PeerID, nonce wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte) {
	if !h.does(wire.RoleMailbox) {
		return wire.UNKNOWN_OP, nil
	}
	switch f.Op {
	case wire.OpReg, wire.OpOnce:
		return h.status(h.register(f.Op, f.Payload)), nil
	case wire.OpCap:
		return h.status(h.setCap(f.Payload)), nil
	case wire.OpDeposit:
		receipt, err := h.deposit(f.Payload)
		return h.status(err), receipt
	case wire.OpList:
		list, err := h.list(ctx, nonce, f.Payload, 0)
		return h.status(err), list
	case wire.OpWait:
		list, err := h.list(ctx, nonce, f.Payload, community.MaxWait)
		return h.status(err), list
	case wire.OpCommit:
		return h.status(h.commit(f.Payload)), nil
	case wire.OpForward:
		return h.forward(ctx, f.Payload)
	}
	return wire.UNKNOWN_OP, nil
}

// signed reads a Signed of one type and verifies its signature.
func signed[T any](payload []byte, typ wire.Type, parse func([]byte) (T, error)) (body T, signer wire.PublicKey, err error) {
	s, err := wire.ParseSigned(payload)
	if err != nil {
		return body, signer, err
	}
	if s.Type != typ {
		return body, signer, wire.ErrMalformed
	}
	if body, err = parse(s.Body); err != nil {
		return body, signer, err
	}
	return body, s.Key, s.Verify()
}

// register opens a mailbox, changes it, or ends one that is for once.
func (h *Host) register(op uint32, payload []byte) error {
	r, signer, err := signed(payload, wire.TypeMboxReg, wire.ParseMboxReg)
	if err != nil {
		return err
	}
	if (op == wire.OpOnce) != (r.Until != 0) {
		return wire.ErrMalformed
	}
	ended := false
	err = h.settle(func(tx store.Tx) (int, error) {
		m, err := h.member(tx, r.Token)
		if err != nil {
			return 0, err
		}
		old, err := find[community.Box](tx, store.Box(r.Mbox))
		if err != nil {
			return 0, err
		}
		now, boxes := h.cfg.Clock(), m.boxes(r.Until != 0)
		b, err := h.cfg.Limits.Register(now, old, r, signer, m.ID, *boxes)
		if err != nil {
			return 0, err
		}
		if ended = b.Over(now); ended {
			return h.endBox(tx, r.Mbox)
		}
		if old == nil {
			*boxes++
			if err := put(tx, store.Member(m.ID), m); err != nil {
				return 0, err
			}
		}
		return 0, put(tx, store.Box(r.Mbox), b)
	})
	if err == nil && ended {
		h.ring(r.Mbox) // whoever waits for something there waits no more
	}
	return err
}

// boxes counts the mailboxes of a member, of one kind.
func (m *memberRow) boxes(once bool) *int {
	if once {
		return &m.Once
	}
	return &m.Boxes
}

// withBox leads a change of a mailbox to the disk.
func (h *Host) withBox(id wire.MailboxID, change func(store.Tx, *community.Box) error) error {
	return h.settle(func(tx store.Tx) (int, error) {
		b, err := find[community.Box](tx, store.Box(id))
		if err != nil {
			return 0, err
		}
		if b == nil || b.Over(h.cfg.Clock()) {
			return 0, community.ErrNoBox
		}
		was := b.Bytes
		if err := change(tx, b); err != nil {
			return 0, err
		}
		return b.Bytes - was, put(tx, store.Box(id), *b)
	})
}

func (h *Host) setCap(payload []byte) error {
	c, signer, err := signed(payload, wire.TypeMboxCap, wire.ParseMboxCap)
	if err != nil {
		return err
	}
	return h.withBox(c.Mbox, func(tx store.Tx, b *community.Box) error {
		old, err := find[community.Cap](tx, store.Cap(c.Mbox, c.Cap))
		if err != nil {
			return err
		}
		out, err := h.cfg.Limits.SetCap(h.cfg.Clock(), b, old, c, signer)
		if err != nil {
			return err
		}
		return put(tx, store.Cap(c.Mbox, c.Cap), out)
	})
}

// deposit saves an item and returns the receipt for it.
func (h *Host) deposit(payload []byte) (receipt []byte, err error) {
	d, err := wire.ParseDeposit(payload)
	if err != nil {
		return nil, err
	}
	r := wire.MboxReceipt{Mbox: d.Mbox, Digest: d.Item.Digest()}
	err = h.withBox(d.Mbox, func(tx store.Tx, b *community.Box) error {
		at := store.ItemAt(d.Mbox, r.Digest)
		if until, err := find[wire.Time](tx, at); until != nil || err != nil {
			r.Until = *orZero(until)
			return err
		}
		c, err := h.capOf(tx, d)
		if err != nil {
			return err
		}
		l, err := h.cfg.Limits.Deposit(h.cfg.Clock(), b, d, c, h.total())
		if err != nil {
			return err
		}
		r.Until = l.Until
		if c != nil {
			if err := put(tx, store.Cap(d.Mbox, c.Hash), *c); err != nil {
				return err
			}
		}
		if err := put(tx, at, l.Until); err != nil {
			return err
		}
		return put(tx, store.Item(d.Mbox, l.Until), itemRow{l, d.Item.Append(nil)})
	})
	if err != nil {
		return nil, err
	}
	h.ring(d.Mbox)
	return wire.Sign(h.key, wire.TypeMboxReceipt, r.Append(nil)).Append(nil), nil
}

func (h *Host) capOf(tx store.Tx, d wire.Deposit) (*community.Cap, error) {
	if d.Cap == nil {
		return nil, nil
	}
	return find[community.Cap](tx, store.Cap(d.Mbox, wire.Cap(d.Cap).Hash()))
}

// ring wakes those who wait for something in a mailbox.
func (h *Host) ring(id wire.MailboxID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c := h.bells[id]; c != nil {
		close(c)
		delete(h.bells, id)
	}
}

// bell is closed when something is deposited next.
func (h *Host) bell(id wire.MailboxID) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.bells[id] == nil {
		h.bells[id] = make(chan struct{})
	}
	return h.bells[id]
}

// list answers LIST, or WAIT if there is a patience.
func (h *Host) list(ctx context.Context, nonce wire.Nonce, payload []byte, patience time.Duration) ([]byte, error) {
	l, signer, err := signed(payload, wire.TypeMboxList, wire.ParseMboxList)
	if err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	var bell <-chan struct{} // hung only for who may look
	for {
		out, err := h.listing(l, signer, nonce)
		if err != nil || len(out.Items) > 0 || patience == 0 {
			return out.Append(nil), err
		}
		if bell == nil {
			bell = h.bell(l.Mbox)
			continue // something may have come before it hung
		}
		select {
		case <-bell:
			bell = nil
		case <-timer.C:
			patience = 0
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// listingBytes is how much of a frame a listing may take.
const listingBytes = wire.MaxFrame - 16<<10

func (h *Host) listing(l wire.MboxList, signer wire.PublicKey, nonce wire.Nonce) (out wire.MboxListing, err error) {
	return out, h.store.View(func(tx store.Tx) error {
		b, err := find[community.Box](tx, store.Box(l.Mbox))
		if err != nil {
			return err
		}
		if b == nil || b.Over(h.cfg.Clock()) {
			return community.ErrNoBox
		}
		if err := b.MayList(l, signer, nonce, []byte(h.net.Self())); err != nil {
			return err
		}
		size := 0
		for k, raw := range tx.Scan(store.ItemsOf(l.Mbox), store.ScanOptions{From: store.Item(l.Mbox, l.After+1)}) {
			x, err := decode[itemRow](k, raw)
			if err != nil {
				return err
			}
			if x.ReadBy(signer) {
				continue
			}
			if size += len(x.Item) + 16; size > listingBytes && len(out.Items) > 0 {
				return nil
			}
			out.Items, out.Until = append(out.Items, x.Item), append(out.Until, x.Until)
		}
		return nil
	})
}

// commit notes what a reader holds himself, and drops what all have read.
func (h *Host) commit(payload []byte) error {
	c, signer, err := signed(payload, wire.TypeMboxCommit, wire.ParseMboxCommit)
	if err != nil {
		return err
	}
	return h.withBox(c.Mbox, func(tx store.Tx, b *community.Box) error {
		for _, digest := range c.Digests {
			until, err := find[wire.Time](tx, store.ItemAt(c.Mbox, digest))
			if err != nil || until == nil {
				continue
			}
			x, err := find[itemRow](tx, store.Item(c.Mbox, *until))
			if err != nil || x == nil {
				return err
			}
			gone, err := x.Commit(b, signer)
			switch {
			case err != nil:
				return err
			case gone:
				err = h.drop(tx, b, x.Lying)
			default:
				err = put(tx, store.Item(c.Mbox, *until), *x)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// drop takes an item out of a mailbox.
func (h *Host) drop(tx store.Tx, b *community.Box, l community.Lying) error {
	c, err := find[community.Cap](tx, store.Cap(b.ID, l.Cap))
	if err != nil {
		return err
	}
	b.Take(l, c)
	if c != nil {
		if err := put(tx, store.Cap(b.ID, l.Cap), *c); err != nil {
			return err
		}
	}
	if err := tx.Delete(store.ItemAt(b.ID, l.Digest)); err != nil {
		return err
	}
	return tx.Delete(store.Item(b.ID, l.Until))
}
