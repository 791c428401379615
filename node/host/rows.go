package host

import (
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// put writes v as the row at k, in CBOR.
func put[T any](tx store.Tx, k store.Key, v T) error {
	b, err := cbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("row %v: %w", k, err)
	}
	return tx.Put(k, b)
}

// find reads the row at k; nil if there is none.
func find[T any](tx store.Tx, k store.Key) (*T, error) {
	b, err := tx.Get(k)
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return decode[T](k, b)
}

func decode[T any](k store.Key, b []byte) (*T, error) {
	v := new(T)
	if err := cbor.Unmarshal(b, v); err != nil {
		return nil, fmt.Errorf("row %v: %w", k, err)
	}
	return v, nil
}

// each calls f with every row under prefix.
func each[T any](tx store.Tx, p store.Prefix, f func(store.Key, T) error) error {
	for k, b := range tx.Scan(p, store.ScanOptions{}) {
		v, err := decode[T](k, b)
		if err != nil {
			return err
		}
		if err := f(k, *v); err != nil {
			return err
		}
	}
	return nil
}

// The kinds of Recs under a hosted key, as their rows are named.
const (
	updateRec uint32 = iota
	beaconRec
	slotRec
	dhtRec
)

// heldRecs returns the Recs of a topic that are kept under e.
func heldRecs(tx store.Tx, e wire.PublicKey) (out []wire.Rec) {
	for k, raw := range tx.Scan(store.HeldRecsOf(e), store.ScanOptions{}) {
		if kind := uint32(k.Num()); kind != updateRec && kind != beaconRec {
			continue
		}
		if r, err := wire.ParseRec(raw); err == nil {
			out = append(out, r)
		}
	}
	return out
}
