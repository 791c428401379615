package node

import (
	"bytes"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// own is what this node says of itself: the newest signed records, as they are attached and served.
type own struct {
	Address        []byte // Signed AddressRecord
	AddressSeq     identity.Stamp
	AddressExpires identity.Time
	Device         []byte // Signed DeviceRecord
	DeviceSeq      identity.Stamp
	DeviceExpires  identity.Time
	Kid            identity.KeyID // the newest prekey in it
	DeviceID       identity.DeviceID
	Reach          []byte // Signed Reach
	ReachSeq       identity.Stamp
	ReachPeer      []byte
	ReachAddrs     [][]byte
	Others         otherDevices
	Outran         outran
}

// outran are the stamps of what was said before what is said now, where they lie ahead of it: it was signed
// while the clock was behind, and nobody who has the former takes it. Once the clock is past them it is signed
// anew. A stamp of an impossible future is never reached, and nobody has kept what bore it.
type outran struct{ Device, Reach identity.Stamp }

// outranRecord is the record of this address that was signed before the one that is pinned and lies ahead of
// it, of this device or another.
type outranRecord struct {
	Seq    identity.Stamp
	Digest [32]byte
}

var outranRow = store.Meta("outran")

// over reports whether the clock has come past a stamp that was ahead of it.
func over(now identity.Now, ahead identity.Stamp) bool { return ahead != 0 && now.Wall > ahead }

// farther returns the larger of two stamps of those that are ahead of the clock, 0 if none is.
func farther(now identity.Now, a, b identity.Stamp) identity.Stamp {
	if a = max(a, b); now.Ahead(a) {
		return a
	}
	return 0
}

// renew brings the own records up to date: a prekey each week, each record signed again at half of its
// life or at once when what it says has changed (SPEC 1, 2.5).
func (n *Node) renew() (changed bool, err error) {
	if err := n.rotatePreKeys(); err != nil {
		return false, err
	}
	peer, addrs := []byte(n.net.Self()), n.net.Addrs()
	err = n.update(func(t *txn) error {
		o, _, err := find[own](t, store.Meta("own"))
		if err != nil {
			return err
		}
		p, err := n.ownPin(t, o)
		if err != nil {
			return err
		}
		before := o
		if err := n.signRecords(t, &o, &p.Pin, peer, addrs); err != nil {
			return err
		}
		changed = o.AddressSeq != before.AddressSeq || o.DeviceSeq != before.DeviceSeq || o.ReachSeq != before.ReachSeq
		if !changed && before.Others.Devices != nil {
			t.after(func() { n.own.Store(&o) })
			return nil
		}
		if err := put(t, store.Meta("own"), o); err != nil {
			return err
		}
		return n.savePin(t, n.self.Address, p)
	})
	return changed, err
}

func (n *Node) signRecords(t *txn, o *own, p *identity.Pin, peer []byte, addrs [][]byte) error {
	if len(p.Moved) > 0 || removed(p, o.DeviceID) && o.DeviceID == n.self.Device {
		return nil // who was removed says nothing any more
	}
	_, listed := p.Record.Device(n.self.Device)
	gone, _, err := find[outranRecord](t, outranRow)
	if err != nil {
		return err
	}
	if n.keys.Admin() && (!listed || over(t.now, gone.Seq) || half(t.now, p.Record.Expires, identity.AddressRecordLife) || n.changedCustodians(p.Record)) {
		if err := n.signAddress(t, p, n.listed(p, o.DeviceID)); err != nil {
			return err
		}
	} else if n.keys.Admin() {
		if changed, err := n.changedPublic(t, p.Record); err != nil {
			return err
		} else if changed {
			if err := n.signAddress(t, p, n.listed(p, o.DeviceID)); err != nil {
				return err
			}
		}
	}
	o.DeviceID = n.self.Device
	newest := n.keys.PreKeys()[0].ID
	if o.Device == nil || o.Kid != newest || over(t.now, o.Outran.Device) || half(t.now, o.DeviceExpires, identity.DeviceRecordLife) {
		if err := n.signDevice(t, o); err != nil {
			return err
		}
	}
	// A reach without addresses names the peer alone: the way back on a connection that this node made. It
	// never replaces one by which this node could be dialled.
	if !bytes.Equal(o.ReachPeer, peer) || len(addrs) > 0 && (over(t.now, o.Outran.Reach) || !slices.EqualFunc(o.ReachAddrs, addrs, bytes.Equal)) {
		if err := n.signReach(t, o, peer, addrs); err != nil {
			return err
		}
	}
	return n.pinMine(t, o, p)
}

// half reports whether half of a record's life is over, or its end lies where no clock can have put it.
func half(now identity.Now, expires identity.Time, life time.Duration) bool {
	left := expires.Sub(now.Wall)
	return left < life/2 || left > life+identity.Skew
}

// signAddress signs and pins the next record of this address, which lists devices.
func (n *Node) signAddress(t *txn, p *identity.Pin, devices []identity.Device) error {
	seq, err := stamp(t, "address")
	if err != nil {
		return err
	}
	if next := t.now.Next(p.Record.Seq); len(p.Raw) > 0 && next > seq { // a backup has the record, not the stamp
		seq = next
		if err := put(t, store.Stamp("address"), seq); err != nil {
			return err
		}
	}
	r := p.Record
	r.Address, r.Seq, r.Expires, r.Devices = n.self.Address, seq, seq.Add(identity.AddressRecordLife), devices
	r.Recovery, r.Prev = n.keys.Commitment(), p.Digest
	r.Mailboxes, r.Homes = n.custodians(p.Record)
	if r.PublicView, err = n.saysPublic(t, p.Record); err != nil {
		return err
	}
	if r.Services == 0 {
		r.Services = n.self.Services
	}
	s := wire.Sign(n.keys.AddressKey(), wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r))
	return errors.Join(noteOutran(t, p), replaceRecord(t.now, p, r, s))
}

// noteOutran remembers the pinned record if the next one cannot follow it, and forgets what was remembered once
// one can.
func noteOutran(t *txn, p *identity.Pin) error {
	had, _, err := find[outranRecord](t, outranRow)
	switch {
	case err != nil:
		return err
	case len(p.Raw) > 0 && t.now.Ahead(p.Record.Seq) && p.Record.Seq > had.Seq:
		return put(t, outranRow, outranRecord{p.Record.Seq, p.Digest})
	case over(t.now, had.Seq):
		return t.Delete(outranRow)
	}
	return nil
}

// wasOutran reports whether a record of this address is the one that this home has replaced while its clock was
// behind. Until it has signed its own anew, that one seems to be newer, and it says nothing new.
func wasOutran(t *txn, digest [32]byte) bool {
	had, ok, err := find[outranRecord](t, outranRow)
	return ok && err == nil && had.Digest == digest
}

func rolesOf(s identity.Services) identity.Roles {
	roles := identity.RoleAdmin
	if s&identity.Inbox != 0 {
		roles |= identity.RoleInbox
	}
	if s&identity.Presentity != 0 {
		roles |= identity.RolePublisher
	}
	return roles
}

func (n *Node) signDevice(t *txn, o *own) error {
	seq, err := stamp(t, "device")
	if err != nil {
		return err
	}
	r := identity.DeviceRecord{Address: n.self.Address, Device: n.self.Device, Seq: seq, Expires: seq.Add(identity.DeviceRecordLife)}
	for _, k := range n.keys.PreKeys()[:1] {
		r.PreKeys = append(r.PreKeys, identity.PreKey{Suite: identity.Suite1, Public: k.Public})
		o.Kid = k.ID
	}
	s := wire.Sign(n.keys.Device(), wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, r))
	o.Outran.Device = farther(t.now, o.DeviceSeq, o.Outran.Device)
	o.Device, o.DeviceSeq, o.DeviceExpires = s.Append(nil), seq, r.Expires
	return nil
}

func (n *Node) signReach(t *txn, o *own, peer []byte, addrs [][]byte) error {
	seq, err := stamp(t, "reach")
	if err != nil {
		return err
	}
	r := identity.Reach{Address: n.self.Address, Device: n.self.Device, Seq: seq, Peer: peer, Addrs: addrs}
	s := wire.Sign(n.keys.Device(), wire.TypeReach, wire.AppendReach(nil, r))
	o.Outran.Reach = farther(t.now, o.ReachSeq, o.Outran.Reach)
	o.Reach, o.ReachSeq, o.ReachPeer, o.ReachAddrs = s.Append(nil), seq, peer, addrs
	return nil
}

// rotatePreKeys draws a new prekey each week and erases what was replaced 21 days ago (SPEC 3.7).
func (n *Node) rotatePreKeys() error {
	now := n.now()
	newest := n.keys.PreKeys()[0]
	if age := now.Wall.Sub(newest.Created); age > identity.PreKeyRotate || age < -identity.Skew {
		if err := n.keys.RotatePreKey(now.Wall, n.cfg.Rand); err != nil {
			return err
		}
	}
	_, err := n.keys.ErasePreKeys(now)
	return err
}

// bundle is what RECORDS answers for this address (SPEC 3.6).
func (n *Node) bundle() []byte {
	o := n.own.Load()
	address, err := wire.ParseSigned(o.Address)
	if err != nil {
		return nil
	}
	devices := parseAll(append([][]byte{o.Device}, o.Others.Devices...))
	if len(devices) == 0 {
		return nil
	}
	return wire.Bundle{Address: address, Devices: devices, Successors: n.successors()}.Append(nil)
}

// told is which of my records a peer is known to have: those that came with a Parcel that he answered.
// Those of my other devices are counted in by the sum of their stamps.
type told struct{ Address, Device, Reach identity.Stamp }

// attachments are the records that the peer lacks (SPEC 3.7).
func (o *own) attachments(have told) (out []wire.Signed, now told) {
	add := func(raw [][]byte, seq, had identity.Stamp) {
		if seq != had {
			out = append(out, parseAll(raw)...)
		}
	}
	now = o.told()
	add([][]byte{o.Address}, now.Address, have.Address)
	add(append([][]byte{o.Device}, o.Others.Devices...), now.Device, have.Device)
	add(append([][]byte{o.Reach}, o.Others.Reaches...), now.Reach, have.Reach)
	return out, now
}

// told is what a peer has who has everything.
func (o *own) told() told {
	return told{o.AddressSeq, o.DeviceSeq + o.Others.DeviceSeqs, o.ReachSeq + o.Others.ReachSeqs}
}

func parseAll(raw [][]byte) (out []wire.Signed) {
	for _, b := range raw {
		if s, err := wire.ParseSigned(b); b != nil && err == nil {
			out = append(out, s)
		}
	}
	return out
}

func placeOfReach(r identity.Reach) place { return place{p2p.PeerID(r.Peer), r.Addrs} }

// peersOf are the places where the devices of a pinned address were last said to be.
func peersOf(p *identity.Pin) (out []place) {
	for _, d := range p.Devices {
		if d.Reach != nil {
			out = append(out, place{p2p.PeerID(d.Reach.Peer), d.Reach.Addrs})
		}
	}
	return out
}
