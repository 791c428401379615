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
	var boxes []wire.MailboxID
	var keys []community.Hosted
	now := h.cfg.Clock()
	if err := h.store.View(func(tx store.Tx) error {
		if err := each(tx, store.AllBoxes(), func(_ store.Key, b community.Box) error {
			boxes = append(boxes, b.ID)
			return nil
		}); err != nil {
			return err
		}
		return each(tx, store.AllHosted(), func(_ store.Key, x community.Hosted) error {
			if x.Gone(now) {
				keys = append(keys, x)
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
	}
	for _, x := range keys {
		if err := h.store.Update(func(tx store.Tx) error { return h.unhost(tx, x) }); err != nil {
			return err
		}
	}
	return nil
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

// unhost forgets a key, unless it was hosted anew meanwhile.
func (h *Host) unhost(tx store.Tx, was community.Hosted) error {
	x, err := find[community.Hosted](tx, store.Hosted(was.Key))
	if err != nil || x == nil || *x != was {
		return err
	}
	m, err := find[memberRow](tx, store.Member(x.Owner))
	if err != nil {
		return err
	}
	if m != nil {
		m.Keys--
		if err := put(tx, store.Member(x.Owner), *m); err != nil {
			return err
		}
	}
	for k := range tx.Scan(store.HeldRecsOf(x.Key), store.ScanOptions{KeysOnly: true}) {
		if err := tx.Delete(k); err != nil {
			return err
		}
	}
	return tx.Delete(store.Hosted(x.Key))
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
