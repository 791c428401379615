package node

import (
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// seedDevices owes everything to devices that are new: every row that is shared, and every row from the
// time when this device was the only one.
func (n *Node) seedDevices() error {
	seeded := store.Stamp("synced")
	var had []identity.DeviceID
	err := n.view(func(t *txn) (err error) {
		had, _, err = find[[]identity.DeviceID](t, seeded)
		return err
	})
	others := n.hearing()
	fresh := slices.DeleteFunc(slices.Clone(others), func(d identity.DeviceID) bool { return slices.Contains(had, d) })
	if err != nil || len(fresh) == 0 && len(had) == len(others) {
		return err
	}
	return n.update(func(t *txn) error {
		if len(fresh) > 0 {
			if err := n.shareAll(t); err != nil {
				return err
			}
		}
		for _, d := range had {
			if !slices.Contains(others, d) {
				if err := deleteAll(t, store.OwedTo(d)); err != nil {
					return err
				}
			}
		}
		return put(t, seeded, others)
	})
}

// shareAll owes every row of every kind to all who have not heard it.
func (n *Node) shareAll(t *txn) error {
	for kind, s := range n.sharings() {
		keys, err := s.list(t)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := n.share(t, kind, key); err != nil {
				return err
			}
		}
	}
	for k, b := range t.Scan(store.AllShared(), store.ScanOptions{}) {
		row, err := decode[sharedRow](k, b)
		if err != nil {
			return err
		}
		if err := n.saveShared(t, wire.SyncKind(k.Num()), []byte(k.Name()), row); err != nil {
			return err
		}
	}
	return nil
}

func deleteAll(t *txn, p store.Prefix) error {
	var keys []store.Key
	for k := range t.Scan(p, store.ScanOptions{KeysOnly: true}) {
		keys = append(keys, k)
	}
	for _, k := range keys {
		if err := t.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// purgeShared forgets deletions that are 90 days old by both clocks (SPEC 4.11) and known to all my devices: one
// that was away for longer would go on with what was deleted, and could bring it back.
func (n *Node) purgeShared() error {
	var old []store.Key
	err := n.view(func(t *txn) error {
		return rows(t, store.AllShared(), store.ScanOptions{}, func(k store.Key, r sharedRow) (bool, error) {
			kind, known := n.sharings()[wire.SyncKind(k.Num())]
			if !known || r.Deleted {
				if r.Forgettable(t.now) && len(r.Lacks(n.hearers(wire.SyncKind(k.Num())))) == 0 {
					old = append(old, k)
				}
				return true, nil
			}
			_, there, err := kind.value(t, []byte(k.Name()))
			if !there && err == nil { // it went by age, on every device
				old = append(old, k)
			}
			return true, err
		})
	})
	return n.inBatches(err, old, func(t *txn, k store.Key) error {
		for _, d := range n.hearing() { // else what is gone would take the places of what a device still lacks
			if err := t.Delete(store.Owed(d, uint32(k.Num()), []byte(k.Name()))); err != nil {
				return err
			}
		}
		return t.Delete(k)
	})
}
