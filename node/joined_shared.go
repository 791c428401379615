package node

import (
	"slices"

	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Memberships are shared (SPEC 4.11, kind 6): a community is joined by all devices of an address, which read one
// mailbox there, each by a key of its own. So is the secret that slots and caps come from.

// secretKey names the secret among the rows of its kind: no peer id is so short.
const secretKey = "away"

func (n *Node) joinedKeys(t *txn) (out [][]byte, _ error) {
	if t.Has(awaySecret) {
		out = append(out, []byte(secretKey))
	}
	ms, err := all[membership](t, store.AllJoined())
	for _, m := range ms {
		out = append(out, m.Peer)
	}
	return out, err
}

func (n *Node) joinedValue(t *txn, key []byte) ([]byte, bool, error) {
	if string(key) == secretKey {
		v, ok, err := find[[32]byte](t, awaySecret)
		if !ok {
			return nil, false, err
		}
		return v[:], true, nil
	}
	m, ok, err := find[membership](t, store.Joined(key))
	if !ok {
		return nil, false, err
	}
	return encoded(m)
}

func (n *Node) applyJoined(t *txn, key, value []byte) error {
	if string(key) == secretKey {
		if len(value) != 32 {
			return errBadValue
		}
		return n.heardSecret(t, [32]byte(value))
	}
	if value == nil {
		return nil
	}
	m, err := decoded[membership](value)
	if err != nil || string(m.Peer) != string(key) || len(m.Addrs) > wire.MaxEndpoints {
		return errBadValue
	}
	old, known, err := find[membership](t, store.Joined(key))
	if err != nil || known && old.Mbox == m.Mbox && old.Left == m.Left {
		return err
	}
	if known && old.Mbox != m.Mbox && !slices.Contains(m.Before, old.Mbox) { // two devices turned it at once: what was told of this one is read
		m.Before = append(m.Before, old.Mbox)
	}
	t.after(func() {
		if known && !m.Left && !old.Left {
			n.joined.note(m)
			n.joined.endVisit(m.peer())
			n.attend(m)
			return
		}
		n.quit(m)
		if m.Left {
			return
		}
		n.net.Own(m.peer(), m.Addrs)
		n.net.Keep(m.peer(), m.Addrs, p2p.Watched)
		n.attend(m)
	})
	return put(t, store.Joined(m.Peer), m)
}

// saveJoined writes a membership, for all my devices.
func (n *Node) saveJoined(t *txn, m membership) error {
	if err := put(t, store.Joined(m.Peer), m); err != nil {
		return err
	}
	return n.share(t, wire.SyncMailbox, m.Peer)
}
