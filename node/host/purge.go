package host

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

const purgeEvery = 10 * time.Minute

// purge drops what is over, again and again.
func (h *Host) purge(ctx context.Context) error {
	tick := time.NewTicker(purgeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := h.purgeOnce(); err != nil {
				h.log.Warn("what is over was not dropped; it is tried again", "err", err)
			}
		}
	}
}

func (h *Host) purgeOnce() error {
	var boxes, over []wire.MailboxID
	var keys []wire.PublicKey
	now := h.cfg.Clock()
	if err := h.store.Update(func(tx store.Tx) error { return each(tx, store.AllEntrances(), h.dropInvite(tx)) }); err != nil {
		return err
	}
	if err := h.store.View(func(tx store.Tx) error {
		if err := each(tx, store.AllBoxes(), func(_ store.Key, b community.Box) error {
			if b.Over(now) {
				over = append(over, b.ID)
			} else {
				boxes = append(boxes, b.ID)
			}
			return nil
		}); err != nil {
			return err
		}
		return each(tx, store.AllHosted(), func(_ store.Key, x community.Hosted) error {
			if len(x.Leave(now)) > 0 {
				keys = append(keys, x.Key)
			}
			return nil
		})
	}); err != nil {
		return err
	}
	for _, id := range boxes {
		if err := h.withBox(id, h.dropEnded); err != nil {
			return err
		}
		if err := h.store.Update(func(tx store.Tx) error { return h.closeBox(tx, id) }); err != nil {
			return err
		}
	}
	for _, id := range over {
		if err := h.settle(func(tx store.Tx) (int, error) { return h.endBox(tx, id) }); err != nil {
			return err
		}
	}
	for _, x := range keys {
		if err := h.settle(func(tx store.Tx) (int, error) { return h.unhost(tx, x) }); err != nil {
			return err
		}
	}
	return nil
}

// dropInvite drops an invite that admits nobody any more.
func (h *Host) dropInvite(tx store.Tx) func(store.Key, community.Invite) error {
	now := h.cfg.Clock()
	return func(k store.Key, x community.Invite) error {
		if x.Uses == 0 || x.Until != 0 && now.Wall > x.Until {
			return tx.Delete(k)
		}
		return nil
	}
}

// dropEnded drops the items of a mailbox whose time is over, or that all its present readers have.
func (h *Host) dropEnded(tx store.Tx, b *community.Box) error {
	now := h.cfg.Clock()
	return each(tx, store.ItemsOf(b.ID), func(_ store.Key, x itemRow) error {
		if !x.Ended(now) && !x.ReadByAll(b) {
			return nil
		}
		return h.drop(tx, b, x.Lying)
	})
}

// closeBox forgets a mailbox that nobody has said for long is his.
func (h *Host) closeBox(tx store.Tx, id wire.MailboxID) error {
	b, err := find[community.Box](tx, store.Box(id))
	if err != nil || b == nil || !b.Idle(h.cfg.Clock()) {
		return err
	}
	return h.forgetBox(tx, b)
}

// endBox drops a mailbox with what lies in it; it returns by how much what is kept has grown.
func (h *Host) endBox(tx store.Tx, id wire.MailboxID) (grown int, err error) {
	b, err := find[community.Box](tx, store.Box(id))
	if err != nil || b == nil {
		return 0, err
	}
	was := b.Bytes
	if err := each(tx, store.ItemsOf(id), func(_ store.Key, x itemRow) error { return h.drop(tx, b, x.Lying) }); err != nil {
		return 0, err
	}
	return -was, h.forgetBox(tx, b)
}

// forgetBox forgets an empty mailbox, and counts it no more.
func (h *Host) forgetBox(tx store.Tx, b *community.Box) error {
	m, err := find[memberRow](tx, store.Member(b.Owner))
	if err != nil {
		return err
	}
	if m != nil {
		*m.boxes(b.Once())--
		if err := put(tx, store.Member(b.Owner), *m); err != nil {
			return err
		}
	}
	for k := range tx.Scan(store.CapsOf(b.ID), store.ScanOptions{KeysOnly: true}) {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	return tx.Delete(store.Box(b.ID))
}

// unhost lets go of the holders of a key whose time is over, and of the key with the last of them; it returns by how
// much what is kept has grown.
func (h *Host) unhost(tx store.Tx, key wire.PublicKey) (grown int, err error) {
	x, err := find[community.Hosted](tx, store.Hosted(key))
	if err != nil || x == nil {
		return 0, err
	}
	payer := x.Payer()
	for _, gone := range x.Leave(h.cfg.Clock()) {
		bytes := 0
		if gone.Member == payer {
			bytes = x.Bytes
		}
		if err := h.lighten(tx, gone.Member, 1, bytes); err != nil {
			return 0, err
		}
	}
	if len(x.Holders) > 0 {
		if x.Payer() != payer { // the next pays, whatever that comes to
			if err := h.lighten(tx, x.Payer(), 0, -x.Bytes); err != nil {
				return 0, err
			}
		}
		return 0, put(tx, store.Hosted(key), *x)
	}
	for k := range tx.Scan(store.HeldRecsOf(x.Key), store.ScanOptions{KeysOnly: true}) {
		if err := tx.Delete(k); err != nil {
			return 0, err
		}
	}
	return -x.Bytes, tx.Delete(store.Hosted(x.Key))
}

// lighten notes that less is kept for a member.
func (h *Host) lighten(tx store.Tx, id community.MemberID, keys, bytes int) error {
	m, err := find[memberRow](tx, store.Member(id))
	if err != nil || m == nil {
		return err
	}
	m.Keys -= keys
	m.Bytes -= bytes
	return put(tx, store.Member(id), *m)
}

// nobody is the handler of a node that is nobody's: no Parcel is for it, and it knows no records.
type nobody struct{}

var _ p2p.Handler = nobody{}

func (nobody) HasKey(wire.KeyID) bool { return false }
func (nobody) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (nobody) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (nobody) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)                {}
func (nobody) HandleRecords(wire.Address) ([]byte, bool)                            { return nil, false }
func (nobody) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec)          {}
func (nobody) HandleFault(p2p.PeerID, wire.PublicKey, string)                       {}
func (nobody) HandleClock(p2p.PeerID, wire.Time)                                    {}
func (nobody) HandlePeer(p2p.PeerID, bool, bool)                                    {}
func (nobody) IsContact(p2p.PeerID) bool                                            { return false }
