package node

import (
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A Successor names no devices: whoever stole an address can have listed one of his own, and nobody but the
// user can tell it from those that are his. So the other devices of an address that is left are left behind,
// say so, and are paired again, each with both screens compared; a home that is paired again keeps all that it
// holds (SPEC 2.6, 4.11).

// leftBehind takes a Successor of this home's own address, which its user has signed on another device.
func (n *Node) leftBehind(t *txn, p pinned, s identity.Successor, signed wire.Signed) (wire.Reason, error) {
	before := len(p.Pin.Moved)
	err := p.Pin.AcceptSuccessor(t.now, s, signed.Key, signed.Append(nil))
	switch {
	case errors.Is(err, identity.ErrAhead):
		return wire.ReasonTime, nil
	case len(p.Pin.Moved) == before && err != nil:
		n.count("bad-successor")
		return wire.ReasonBadSignature, nil
	case len(p.Pin.Moved) == before:
		return wire.ReasonNone, nil
	}
	t.emit(Event{Kind: "node", Address: s.New, Name: "me", State: "left",
		Text: "this address was left on another of your devices: this one publishes nothing any more and takes no messages; " + adviceRejoin})
	return wire.ReasonNone, n.saveMoved(t, p)
}

// rejoining is a home that is paired again.
type rejoining struct {
	n     *Node
	may   []identity.Address // whose device it may become
	moved []identity.PinnedSuccessor
}

// mayRejoin says of what this home may become a device again, in which no node runs.
func (n *Node) mayRejoin() (*rejoining, error) {
	r := &rejoining{n: n, may: []identity.Address{n.self.Address}}
	err := n.view(func(t *txn) error {
		p, ok, err := find[pinned](t, store.Pin(n.self.Address))
		if err == nil && (!ok || !cutOff(&p.Pin, n.self.Device)) {
			err = &Error{Kind: KindUsage, Code: "exists", Message: n.cfg.Home + " is a device of " + short(n.self.Address) + " already",
				Advice: "choose another --home, or give the code that the new device shows; was it removed, or its address left, then hum up lets it know"}
		}
		r.moved = p.Pin.Moved
		return err
	})
	if len(r.moved) > 0 {
		r.may = nil
	}
	for _, m := range r.moved {
		r.may = append(r.may, m.Record.New)
	}
	return r, saveError(n.cfg.Home, err)
}

// adopt makes the home a device with the keys that were drafted, p being the record that lists it.
func (r *rejoining) adopt(keys identity.PortableKeys, p pinned, d *identity.DeviceDraft) error {
	m := begun{succession: succession{Old: r.n.self.Address, New: p.Pin.Record.Address}, Device: identity.DeviceIDOf(d.Device().Public()), Pin: &p}
	for _, s := range r.moved {
		if s.Record.New == m.New {
			m.Successor = s.Raw
		}
	}
	return r.n.move(m, keys, identity.KeyringConfig{Now: r.n.now().Wall, Rand: r.n.cfg.Rand, Device: d})
}

// rejoined does in the store what it means to be paired again, once. The contacts are told of a new address by
// the device that left the old one.
func (n *Node) rejoined(t *txn, m begun) error {
	had, err := allDevices(t)
	for _, d := range had { // they are noted anew
		err = errors.Join(err, t.Delete(deviceKey(d.ID)))
	}
	if err = errors.Join(err, n.forgetOwn(t, m.Old), put(t, store.Pin(m.New), *m.Pin)); err != nil || m.Old == m.New {
		return err
	}
	done, _, err := find[[]succession](t, successionRow)
	if err != nil {
		return err
	}
	signed, err := wire.ParseSigned(m.Successor)
	if err != nil {
		return err
	}
	s, err := wire.ParseSuccessor(signed.Body)
	if err != nil {
		return err
	}
	_, err = n.showAnew(t)
	return errors.Join(err, put(t, successionRow, append(slices.Clip(done), m.succession)),
		n.renumber(t, renumbered{Since: t.now.Wall, Old: m.Old, Mine: true, Reason: s.Reason}))
}
