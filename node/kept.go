package node

import (
	"crypto/sha256"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// What many rows about somebody say alike is kept once, beside them: the address records that vouch for his
// messages and mine, and the acks that name several. A row holds the digest instead, which is shorter than
// anything signed.

type digest = [16]byte

// keep keeps b among what is kept about a, and returns what stands for it in a row.
func (t *txn) keep(a identity.Address, b []byte) ([]byte, error) {
	if len(b) <= len(digest{}) { // nothing, or it stands for it already
		return b, nil
	}
	memo := string(a[:]) + string(b)
	d, known := t.once[memo]
	if !known {
		sum := sha256.Sum256(b)
		d = digest(sum[:])
		if k := store.Kept(a, d); !t.Has(k) {
			if err := t.Put(k, b); err != nil {
				return nil, err
			}
		}
		if t.once == nil {
			t.once = map[string]digest{}
		}
		t.once[memo] = d
	}
	return d[:], nil
}

// whole returns what was kept about a, given what stands for it.
func (t *txn) whole(a identity.Address, b []byte) ([]byte, error) {
	if len(b) != len(digest{}) {
		return b, nil
	}
	return t.Get(store.Kept(a, digest(b)))
}

// keepAck is keep for an ack: one that names a single message is not shared.
func (t *txn) keepAck(a identity.Address, ack wire.Ack, raw []byte) ([]byte, error) {
	if len(ack.MIDs) == 1 {
		return raw, nil
	}
	return t.keep(a, raw)
}

// keepProof has e hold what stands for its proof, which its other messages share.
func (t *txn) keepProof(e *message.Entry, ack wire.Ack) (err error) {
	if e.AckRaw, err = t.keepAck(e.To, ack, e.AckRaw); err != nil {
		return err
	}
	if e.AckRecord, err = t.keep(e.To, e.AckRecord); err != nil {
		return err
	}
	if e.DisplayedRecord, err = t.keep(e.To, e.DisplayedRecord); err != nil {
		return err
	}
	e.Record, err = t.keep(e.To, e.Record)
	return err
}

// keepWord is keepProof for what another device of mine has told, whatever it is.
func (t *txn) keepWord(e *message.Entry) error {
	for _, b := range []*[]byte{&e.AckRaw, &e.AckRecord, &e.Record, &e.DisplayedRaw, &e.DisplayedRecord} {
		if len(*b) <= len(digest{}) {
			*b = nil
		}
	}
	ack, err := ackOf(e.AckRaw)
	if err != nil {
		e.AckRaw = nil
	}
	return t.keepProof(e, ack)
}

func ackOf(raw []byte) (wire.Ack, error) {
	s, err := wire.ParseSigned(raw)
	if err != nil {
		return wire.Ack{}, err
	}
	return wire.ParseAck(s.Body)
}

// proof has e hold its proof whole.
func (t *txn) proof(e *message.Entry) (err error) {
	for _, b := range []*[]byte{&e.AckRaw, &e.AckRecord, &e.Record, &e.DisplayedRecord} {
		if *b, err = t.whole(e.To, *b); err != nil {
			return err
		}
	}
	return nil
}

// leaveAck forgets an ack about a once no message that it names is remembered; gone is the one that is not any
// more.
func (t *txn) leaveAck(a identity.Address, b []byte, gone wire.MID) error {
	if len(b) != len(digest{}) {
		return nil
	}
	raw, err := t.whole(a, b)
	if err != nil {
		return err
	}
	ack, err := ackOf(raw)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(ack.MIDs, func(id wire.MID) bool {
		return id != gone && (t.Has(store.Outbox(id)) || t.Has(store.Seen(a, id)))
	}) {
		return nil
	}
	return t.Delete(store.Kept(a, digest(b)))
}

// purgeKept forgets what was kept about those of whom no message is left, nor the answer to one.
func (n *Node) purgeKept() error {
	var idle []identity.Address
	err := n.view(func(t *txn) error {
		for k, more := nextKept(t, store.Key{}); more; k, more = nextKept(t, store.Kept(k.Address(), digest(slices.Repeat([]byte{0xff}, len(digest{}))))) {
			if !t.holdsOf(k.Address()) {
				idle = append(idle, k.Address())
			}
		}
		return nil
	})
	for _, a := range idle {
		if err != nil {
			break
		}
		err = n.update(func(t *txn) error {
			if t.holdsOf(a) { // since then
				return nil
			}
			return deleteAll(t, store.KeptOf(a))
		})
	}
	return err
}

// nextKept is the first row of the table after a key.
func nextKept(t *txn, after store.Key) (store.Key, bool) {
	for k := range t.Scan(store.AllKept(), store.ScanOptions{From: after, KeysOnly: true}) {
		if k != after {
			return k, true
		}
	}
	return store.Key{}, false
}

// holdsOf reports whether a message of or to a is here, or the answer to one.
func (t *txn) holdsOf(a identity.Address) bool {
	for _, p := range []store.Prefix{store.TalkOf(a), store.SeenOf(a)} {
		for range t.Scan(p, store.ScanOptions{KeysOnly: true}) {
			return true
		}
	}
	return false
}
