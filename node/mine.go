package node

import (
	"cmp"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// The records of this address are pinned like those of any other: there the devices find each other, and
// learn what an admin among them has signed.

// otherDevices are the records of my other devices, as they are attached and served beside mine.
type otherDevices struct {
	Devices, Reaches      [][]byte       // Signed
	DeviceSeqs, ReachSeqs identity.Stamp // the sums of their stamps, which change when one of them does
}

// ownPin returns the pin of this address, to be changed; before the first record it holds nothing but the handles that
// were those of the address that it succeeds.
func (n *Node) ownPin(t *txn, o own) (p pinned, err error) {
	p, ok, err := find[pinned](t, store.Pin(n.self.Address))
	if err == nil && !ok && o.Address == nil {
		p.Pin.Record.Handles, err = n.inherited(t)
	}
	if err != nil || ok || o.Address == nil {
		return p, err
	}
	if r := readRecords(n.self.Address, parseAll([][]byte{o.Address})); r.address != nil { // of a home from before there were several
		err = p.Pin.AcceptRecord(t.now, r.address.rec, r.address.raw, r.address.digest)
	}
	if err != nil { // it is signed anew
		return pinned{}, nil
	}
	return p, nil
}

// inherited are the handles of the address that this one has succeeded.
func (n *Node) inherited(t *txn) ([]string, error) {
	done, _, err := find[[]succession](t, successionRow)
	if last := len(done) - 1; last >= 0 && done[last].New == n.self.Address {
		return done[last].Handles, err
	}
	return nil, err
}

// removed reports whether a record of this address exists that does not list a device.
func removed(p *identity.Pin, d identity.DeviceID) bool {
	_, listed := p.Record.Device(d)
	return len(p.Raw) > 0 && !listed
}

// listed are the devices of the next record: those of the last one, with this one in the place of the
// device that the home was before it was restored.
func (n *Node) listed(p *identity.Pin, before identity.DeviceID) []identity.Device {
	mine := identity.Device{Key: n.keys.Device().Public(), Roles: rolesOf(n.self.Services)}
	var out []identity.Device
	for _, d := range p.Record.Devices {
		switch d.ID() {
		case n.self.Device:
			mine = d
		case before:
		default:
			out = append(out, d)
		}
	}
	return append([]identity.Device{mine}, out[:min(len(out), wire.MaxDevices-1)]...)
}

// replaceRecord pins a record that this home has signed. One that an impossible clock left gives way.
func replaceRecord(now identity.Now, p *identity.Pin, r identity.AddressRecord, s wire.Signed) error {
	raw, digest := s.Append(nil), identity.Hash("addr", s.Body)
	if p.AcceptRecord(now, r, raw, digest) == nil {
		return nil
	}
	fresh := identity.Pin{}
	if err := fresh.AcceptRecord(now, r, raw, digest); err != nil {
		return err
	}
	fresh.Devices = slices.DeleteFunc(slices.Clone(p.Devices), func(d identity.PinnedDevice) bool { return removed(&fresh, d.ID) })
	*p = fresh
	return nil
}

// pinMine pins what this device says of itself, and takes what is pinned of the address.
func (n *Node) pinMine(t *txn, o *own, p *identity.Pin) error {
	if removed(p, n.self.Device) || len(p.Raw) == 0 {
		return nil
	}
	acceptDevices(t.now, p, readRecords(n.self.Address, parseAll([][]byte{o.Device, o.Reach})))
	o.take(p, n.self.Device)
	return nil
}

// take takes over what the pin of the own address says beside this device's own records.
func (o *own) take(p *identity.Pin, me identity.DeviceID) {
	o.Address, o.AddressSeq, o.AddressExpires = p.Raw, p.Record.Seq, p.Record.Expires
	o.Others = otherDevices{Devices: [][]byte{}}
	for _, d := range p.Devices {
		if d.ID == me {
			continue
		}
		if d.Raw != nil {
			o.Others.Devices = append(o.Others.Devices, d.Raw)
			o.Others.DeviceSeqs += d.Record.Seq
		}
		if d.Reach != nil {
			o.Others.Reaches = append(o.Others.Reaches, d.ReachRaw)
			o.Others.ReachSeqs += d.Reach.Seq
		}
	}
}

// savedOwn has a new pin of this address hold for all that this node says.
func (n *Node) savedOwn(t *txn, p *identity.Pin) error {
	o, _, err := find[own](t, store.Meta("own"))
	if err != nil {
		return err
	}
	before := o.AddressSeq
	o.take(p, n.self.Device)
	if err := n.noteDevices(t, p); err != nil {
		return err
	}
	t.after(func() {
		n.own.Store(&o)
		if o.AddressSeq != before {
			n.publish.nudge()
			n.serving.nudge()
		}
	})
	return put(t, store.Meta("own"), o)
}

// A deviceRow is what this home remembers of a device of its address, also after it was removed.
type deviceRow struct {
	ID             identity.DeviceID
	Roles          identity.Roles
	Scope          []string // of a delegate
	Since, Revoked identity.Time
	Reach          []byte // Signed, of a removed one: where it may be told
	Record         []byte
}

const deviceRows = "device/"

func deviceKey(d identity.DeviceID) store.Key { return store.Meta(deviceRows + d.String()) }

// allDevices lists the devices of this address, present and removed, the oldest first.
func allDevices(t *txn) (out []deviceRow, err error) {
	for k, b := range t.Scan(store.AllMeta(), store.ScanOptions{From: store.Meta(deviceRows)}) {
		if len(k.Name()) < len(deviceRows) || k.Name()[:len(deviceRows)] != deviceRows {
			break // what lies behind them is of other types
		}
		d, err := decode[deviceRow](k, b)
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b deviceRow) int {
		return cmp.Or(cmp.Compare(a.Since, b.Since), slices.Compare(a.ID[:], b.ID[:]))
	})
	return out, nil
}

// noteDevices remembers who came and who went with a record of this address, and tells the user.
func (n *Node) noteDevices(t *txn, p *identity.Pin) error {
	had, err := allDevices(t)
	if err != nil {
		return err
	}
	known := map[identity.DeviceID]deviceRow{}
	for _, d := range had {
		known[d.ID] = d
	}
	for _, d := range p.Record.Devices {
		row, ok := known[d.ID()]
		delete(known, d.ID())
		if ok && row.Revoked == 0 && row.Roles == d.Roles && slices.Equal(row.Scope, d.Scope) {
			continue
		}
		if !ok || row.Revoked != 0 {
			row = deviceRow{ID: d.ID(), Since: t.now.Wall}
			if d.ID() != n.self.Device {
				t.emit(Event{Kind: "node", ID: d.ID().String(), State: "device-added", Text: addedText(d)})
			}
		}
		row.Roles, row.Scope = d.Roles, d.Scope
		if err := put(t, deviceKey(row.ID), row); err != nil {
			return err
		}
	}
	for id, row := range known {
		if row.Revoked != 0 {
			continue
		}
		if err := n.endOrphans(t, p); err != nil {
			return err
		}
		if err := n.noteRevoked(t, row); err != nil {
			return err
		}
		if id != n.self.Device { // whatever its roles, it holds the keys of every epoch
			if err := n.leaveAllOf(t, presence.CauseUser, leaver(id)); err != nil {
				return err
			}
		}
		if id == n.self.Device {
			t.emit(Event{Kind: "node", ID: id.String(), State: "revoked", Text: "this device was removed from its address: it publishes nothing any more and takes no messages"})
		} else {
			t.emit(Event{Kind: "node", ID: id.String(), State: "device-revoked", Text: "a device was removed from this address"})
			t.after(func() { n.sync.tell(id) })
			t.after(n.syncing.nudge)
		}
	}
	return nil
}

// leaver names a device among those for whose leaving an epoch begins.
func leaver(d identity.DeviceID) (a identity.Address) {
	copy(a[:], d[:])
	return a
}

// noteRevoked keeps of a removed device where it may be told that it was.
func (n *Node) noteRevoked(t *txn, row deviceRow) error {
	row.Revoked = t.now.Wall
	if p := n.pins.get(n.self.Address); p != nil {
		if d := p.Device(row.ID); d != nil {
			row.Record, row.Reach = d.Raw, d.ReachRaw
		}
	}
	return put(t, deviceKey(row.ID), row)
}

// others are my other devices, by the newest record.
func (n *Node) others() (out []identity.DeviceID) {
	if p := n.pins.get(n.self.Address); p != nil {
		for _, d := range p.Record.Devices {
			if n.isOther(d) {
				out = append(out, d.ID())
			}
		}
	}
	return out
}

func (n *Node) hasOthers() bool {
	p := n.pins.get(n.self.Address)
	return p != nil && slices.ContainsFunc(p.Record.Devices, n.isOther)
}

func (n *Node) isOther(d identity.Device) bool {
	return d.ID() != n.self.Device && d.Roles&identity.RoleDelegate == 0
}

// revoked reports whether this device was removed from its address, or the address was left on another one.
func (n *Node) revoked() bool {
	p := n.pins.get(n.self.Address)
	return p != nil && cutOff(p, n.self.Device)
}

// cutOff reports whether nobody takes the word of a device any more.
func cutOff(p *identity.Pin, d identity.DeviceID) bool { return removed(p, d) || len(p.Moved) > 0 }

// checkListed refuses what nobody would take from this device.
func (n *Node) checkListed() error {
	p := n.pins.get(n.self.Address)
	switch {
	case p == nil || !cutOff(p, n.self.Device):
		return nil
	case len(p.Moved) > 0:
		return &Error{Kind: KindFailed, Code: "left", Message: "this address was left on another of your devices, for " + short(p.Moved[0].Record.New), Advice: adviceRejoin}
	}
	return &Error{Kind: KindFailed, Code: "revoked", Message: "this device was removed from its address", Advice: adviceRejoin}
}

const adviceRejoin = "to use this home again: hum down, then hum device add here, and give the code that it shows to an admin device"
