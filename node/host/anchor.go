package host

import (
	"errors"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A memberRow is a member, and what is kept for him.
type memberRow struct {
	community.Member
	Keys  int
	Bytes int // of what lies under the keys that he pays for
	Boxes int
	Once  int `cbor:",omitzero"` // one-time mailboxes
}

// member finds who shows token, or admits him by the invite that it is of.
func (h *Host) member(tx store.Tx, token []byte) (memberRow, error) {
	id, by, ok := community.IDOf(token)
	if !ok {
		return memberRow{}, community.ErrToken
	}
	if m, err := find[memberRow](tx, store.Member(id)); m != nil || err != nil {
		return *orZero(m), err
	}
	inv, err := find[community.Invite](tx, store.Entrance(by))
	if err != nil {
		return memberRow{}, err
	}
	m, left, err := community.Admit(h.cfg.Clock(), id, inv, tx.Count(store.AllMembers()), h.cfg.Limits.Members)
	if err != nil {
		return memberRow{}, err
	}
	row := memberRow{Member: m}
	if err := put(tx, store.Entrance(by), left); err != nil {
		return row, err
	}
	return row, put(tx, store.Member(id), row)
}

// admit takes the token of a member of a node that keeps no keys: what it is told is that there is no place for any.
func (h *Host) admit(token []byte) error {
	if err := h.store.Update(func(tx store.Tx) error { _, err := h.member(tx, token); return err }); err != nil {
		return err
	}
	return community.ErrKeepsNone
}

func orZero[T any](v *T) *T {
	if v == nil {
		return new(T)
	}
	return v
}

var _ p2p.Custodian = (*Host)(nil)

// HandleHost keeps a key for a member.
func (h *Host) HandleHost(_ p2p.PeerID, r wire.HostRequest) (until wire.Time, s wire.FrameStatus) {
	if !h.does(wire.RoleAnchor | wire.RoleHome) {
		return 0, h.status(h.admit(r.Token))
	}
	err := h.store.Update(func(tx store.Tx) error {
		m, err := h.member(tx, r.Token)
		if err != nil {
			return err
		}
		old, err := find[community.Hosted](tx, store.Hosted(r.Key))
		if err != nil {
			return err
		}
		x, first, err := h.cfg.Limits.Host(h.cfg.Clock(), old, r, m.ID, m.Keys)
		if err != nil {
			return err
		}
		if until = x.Until(); first {
			m.Keys++
			if err := put(tx, store.Member(m.ID), m); err != nil {
				return err
			}
		}
		return put(tx, store.Hosted(r.Key), x)
	})
	return until, h.status(err)
}

// HandleMember reports whether token is a member's.
func (h *Host) HandleMember(token []byte) bool {
	err := h.store.View(func(tx store.Tx) error {
		id, _, ok := community.IDOf(token)
		if ok && tx.Has(store.Member(id)) {
			return nil
		}
		return community.ErrToken
	})
	return h.status(err) == wire.OK
}

// HandleRecKept saves a Rec of a topic, if it is newer than the one of its kind that is held.
func (h *Host) HandleRecKept(e wire.PublicKey, r wire.Rec) error {
	kind := updateRec
	if r.IsBeacon() {
		kind = beaconRec
	}
	return h.settle(func(tx store.Tx) (int, error) {
		x, err := find[community.Hosted](tx, store.Hosted(e))
		if err != nil || x == nil {
			return 0, err // it has ended meanwhile
		}
		k := store.HeldRec(e, r.Tag, kind)
		held, err := tx.Get(k)
		if err == nil {
			if old, err := wire.ParseRec(held); err == nil && r.T <= h.cfg.Clock().Stored(old.T) {
				return 0, nil
			}
		}
		return h.replace(tx, x, k, len(held), r.Raw)
	})
}

// HandlePut saves what is kept in a slot, as a bundle, or for the DHT.
func (h *Host) HandlePut(ctx wire.Context, key wire.PublicKey, raw []byte) wire.FrameStatus {
	r, err := wire.ParseKept(ctx, raw)
	if err != nil {
		return wire.MALFORMED
	}
	if ctx == wire.ContextDHT {
		defer h.nudgeRelease() // once it is kept
	}
	return h.status(h.settle(func(tx store.Tx) (int, error) {
		x, err := find[community.Hosted](tx, store.Hosted(key))
		if err != nil {
			return 0, err
		}
		k := store.HeldRec(key, r.Tag, kindOf(ctx))
		var last wire.Stamp
		held, err := tx.Get(k)
		if err == nil {
			if old, err := wire.ParseKept(ctx, held); err == nil {
				last = old.T
			}
		}
		if err := community.Kept(h.cfg.Clock(), x, ctx, r, last); err != nil {
			return 0, err
		}
		return h.replace(tx, x, k, len(held), r.Raw)
	}))
}

// nudgeRelease has what may be due in the DHT looked at again.
func (h *Host) nudgeRelease() {
	select {
	case h.due <- struct{}{}:
	default:
	}
}

// replace puts a Rec in the place of one of was bytes, at the cost of who pays for its key; it returns by how much
// what is kept has grown.
func (h *Host) replace(tx store.Tx, x *community.Hosted, k store.Key, was int, raw []byte) (grown int, err error) {
	if grown = len(raw) - was; grown != 0 {
		m, err := find[memberRow](tx, store.Member(x.Payer()))
		if err != nil {
			return 0, err
		}
		if m = orZero(m); h.cfg.Limits.Room(m.Bytes, h.total(), was, len(raw)) != nil {
			return 0, h.cfg.Limits.Room(m.Bytes, h.total(), was, len(raw))
		}
		x.Bytes += grown
		m.Bytes += grown
		if err := errors.Join(put(tx, store.Member(x.Payer()), *m), put(tx, store.Hosted(x.Key), *x)); err != nil {
			return 0, err
		}
	}
	return grown, tx.Put(k, raw)
}

// settle leads a change to the disk, and counts by how much what is kept for others has grown.
func (h *Host) settle(change func(store.Tx) (grown int, err error)) error {
	var grown int
	err := h.store.Update(func(tx store.Tx) (err error) {
		grown, err = change(tx)
		return err
	})
	if err == nil {
		h.held.Add(int64(grown))
	}
	return err
}

// total is how many bytes are kept for others.
func (h *Host) total() int { return int(h.held.Load()) }

func kindOf(ctx wire.Context) uint32 {
	if ctx == wire.ContextDHT {
		return dhtRec
	}
	return slotRec
}

// HandleGet returns what is kept in a slot or as a bundle.
func (h *Host) HandleGet(key wire.PublicKey) (rec []byte, ok bool) {
	err := h.store.View(func(tx store.Tx) (err error) {
		x, err := find[community.Hosted](tx, store.Hosted(key))
		if err != nil || x == nil || !x.Serves(h.cfg.Clock()) {
			return err
		}
		rec, err = tx.Get(store.HeldRec(key, wire.Tag{}, slotRec))
		return err
	})
	return rec, err == nil && rec != nil
}
