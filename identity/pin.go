package identity

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
)

// How long records and prekeys live (SPEC 1). Records are signed again at half life.
const (
	AddressRecordLife = 30 * 24 * time.Hour
	DeviceRecordLife  = 14 * 24 * time.Hour
	DeviceRecordGrace = 30 * 24 * time.Hour // after its end its prekey may be used while its owner cannot be asked
	PreKeyRotate      = 7 * 24 * time.Hour  // after this a prekey is replaced
	PreKeyErase       = 21 * 24 * time.Hour // after its replacement the secret is erased
)

var (
	// ErrStaleRecord says that a record is not newer than the pinned one. It is an ordinary event.
	ErrStaleRecord = errors.New("record is not newer than the pinned one")
	// ErrFork says that an address signed two records with one stamp: the user must hear of it. The
	// pin then holds the one with the smaller digest, which may be the new one: save it.
	ErrFork = errors.New("two different records carry the same stamp")
	// ErrRecoveryChanged says that a record has another recovery commitment than the pinned one, or none.
	ErrRecoveryChanged = errors.New("recovery commitment changed")
	// ErrRecordExpired says that a record is over, or claims to live longer than records may.
	ErrRecordExpired = errors.New("record is not within its lifetime")
	// ErrAhead says that a stamp is further in the future than two correct clocks can differ.
	ErrAhead = errors.New("stamp is ahead of the clock")
	// ErrBinding says that a record is about another address than the pinned one.
	ErrBinding = errors.New("record belongs to another address")
	// ErrUnlisted says that the address does not list the device, or lists it no longer.
	ErrUnlisted = errors.New("device is not listed by its address")
	// ErrRole says that the device is listed without the role that this takes.
	ErrRole = errors.New("device lacks the role")
	// ErrPinExpired says that the address record is missing or over: nothing signed under the address
	// is acted upon until a current one is had (SPEC 2.5).
	ErrPinExpired = errors.New("no current address record")
	// ErrMoved says that the address has a successor: nothing that is signed under it counts any more.
	ErrMoved = errors.New("the address has a successor")
)

// A Pin is the newest record accepted of one address, and what its devices said of themselves
// (SPEC 2.5). The zero Pin holds nothing yet. Nothing in it is secret. Accepting replaces what a copy
// of the Pin shares and never changes it, so a copy stays what it was.
//
// A pinned stamp from an impossible future is set to now before a record is compared with it, even if
// that record is then refused, so that a clock that once ran ahead cannot lock the address (SPEC 1).
type Pin struct {
	Record  AddressRecord
	Raw     []byte   // the Signed as received, to be passed on
	Digest  [32]byte // H("addr", body)
	Devices []PinnedDevice
	Moved   []PinnedSuccessor // the successor, and a second that contradicts it
	Held    bool              // its predecessor has two successors: nothing counts until the user decides
}

// A PinnedDevice is what a listed device said of itself. Either part may be missing: then Raw or
// Reach is nil.
type PinnedDevice struct {
	ID       DeviceID
	Record   DeviceRecord
	Raw      []byte   // the Signed DeviceRecord as received
	Digest   [32]byte // of its body
	Reach    *Reach
	ReachRaw []byte // the Signed Reach as received
}

// Device returns the line of a that lists the device.
func (a AddressRecord) Device(id DeviceID) (Device, bool) {
	for _, d := range a.Devices {
		if d.ID() == id {
			return d, true
		}
	}
	return Device{}, false
}

// Device returns what is known of a device, or nil. It is to be read only.
func (p *Pin) Device(id DeviceID) *PinnedDevice {
	for i := range p.Devices {
		if p.Devices[i].ID == id {
			return &p.Devices[i]
		}
	}
	return nil
}

// Expired reports whether p holds no record that is valid now, so that a newer one is to be asked for. One
// of an address that has moved never expires: there is nothing to ask for.
func (p *Pin) Expired(now Now) bool {
	return len(p.Moved) == 0 && (p.Held || p.Record.Expires <= now.Wall)
}

// Authorise decides whether what key signed may be acted upon: the pin is current, lists key, gives
// it all of role, and its time is not over (SPEC 2.5). Role 0 is any device; a delegate passes only
// if role has RoleDelegate. An expired pin comes first: the list itself is then not to be trusted.
func (p *Pin) Authorise(now Now, key PublicKey, role Roles) error {
	return p.authorise(now, DeviceIDOf(key), role)
}

func (p *Pin) authorise(now Now, id DeviceID, role Roles) error {
	if len(p.Moved) > 0 {
		return ErrMoved
	}
	if p.Expired(now) {
		return ErrPinExpired
	}
	d, ok := p.Record.Device(id)
	if !ok {
		return ErrUnlisted
	}
	if d.NotAfter != 0 && d.NotAfter <= now.Wall {
		return fmt.Errorf("%w: its time is over", ErrUnlisted)
	}
	if d.Roles&role != role || d.Roles&RoleDelegate != role&RoleDelegate {
		return ErrRole
	}
	return nil
}

// AcceptRecord pins r if the rules of SPEC 2.5 allow it. The caller has verified that the signer is
// r.Address; raw is the Signed as received and digest H("addr", body). A record already held is no
// error and changes nothing, nor does an error, but for ErrFork.
func (p *Pin) AcceptRecord(now Now, r AddressRecord, raw []byte, digest [32]byte) error {
	if len(p.Raw) == 0 {
		return p.first(now, r, raw, digest)
	}
	if r.Address != p.Record.Address {
		return ErrBinding
	}
	if len(p.Moved) > 0 {
		return ErrMoved
	}
	if digest == p.Digest {
		return nil
	}
	if err := checkLife(now, r.Seq, r.Expires, AddressRecordLife); err != nil {
		return err
	}
	if r.Recovery != p.Record.Recovery {
		return ErrRecoveryChanged
	}
	p.settle(now)
	switch {
	case r.Seq < p.Record.Seq:
		return ErrStaleRecord
	case r.Seq > p.Record.Seq:
		p.take(r, raw, digest)
		return nil
	}
	if bytes.Compare(digest[:], p.Digest[:]) < 0 {
		p.take(r, raw, digest)
	}
	return ErrFork
}

func (p *Pin) first(now Now, r AddressRecord, raw []byte, digest [32]byte) error {
	if err := checkLife(now, r.Seq, r.Expires, AddressRecordLife); err != nil {
		return err
	}
	if r.Recovery == ([32]byte{}) {
		return fmt.Errorf("%w: the first record has none", ErrRecoveryChanged)
	}
	p.take(r, raw, digest)
	return nil
}

// take makes r the pinned record and forgets the devices that it does not list.
func (p *Pin) take(r AddressRecord, raw []byte, digest [32]byte) {
	p.Record, p.Raw, p.Digest = r, raw, digest
	var kept []PinnedDevice
	for _, d := range p.Devices {
		if _, ok := r.Device(d.ID); ok {
			kept = append(kept, d)
		}
	}
	p.Devices = kept
}

// AcceptDevice keeps d as the newest record of its device, if the rules of SPEC 2.5 allow it. The
// caller has verified the signature and that the signer's id is d.Device; raw is the Signed as
// received and digest that of its body. A record already held is no error and changes nothing.
func (p *Pin) AcceptDevice(now Now, d DeviceRecord, raw []byte, digest [32]byte) error {
	return p.acceptDevice(now, d, raw, digest, 0)
}

// AcceptKeptDevice is AcceptDevice of what somebody keeps for an owner who is away: he cannot renew it, nor has he
// rotated his prekey, so that it may be over for up to 30 days (SPEC 3.7).
func (p *Pin) AcceptKeptDevice(now Now, d DeviceRecord, raw []byte, digest [32]byte) error {
	return p.acceptDevice(now, d, raw, digest, DeviceRecordGrace)
}

func (p *Pin) acceptDevice(now Now, d DeviceRecord, raw []byte, digest [32]byte, over time.Duration) error {
	if err := p.checkDevice(now, d.Address, d.Device); err != nil {
		return err
	}
	held := p.Device(d.Device)
	known := held != nil && len(held.Raw) > 0
	if known && held.Digest == digest {
		return nil
	}
	if err := checkLife(now, d.Seq, d.Expires.Add(over), DeviceRecordLife+over); err != nil {
		return err
	}
	p.settle(now)
	if known && d.Seq <= p.Device(d.Device).Record.Seq {
		return ErrStaleRecord
	}
	held = p.edit(d.Device)
	held.Record, held.Raw, held.Digest = d, raw, digest
	return nil
}

// AcceptReach keeps r as the newest place of its device, if the rules of SPEC 2.5 allow it. The
// caller has verified the signature and that the signer's id is r.Device; raw is the Signed as
// received. A Reach already held is no error and changes nothing.
func (p *Pin) AcceptReach(now Now, r Reach, raw []byte) error {
	if err := p.checkDevice(now, r.Address, r.Device); err != nil {
		return err
	}
	held := p.Device(r.Device)
	known := held != nil && held.Reach != nil
	if known && bytes.Equal(raw, held.ReachRaw) {
		return nil
	}
	if now.Ahead(r.Seq) {
		return ErrAhead
	}
	p.settle(now)
	if known && r.Seq <= p.Device(r.Device).Reach.Seq {
		return ErrStaleRecord
	}
	held = p.edit(r.Device)
	held.Reach, held.ReachRaw = &r, raw
	return nil
}

// checkDevice decides whether a record of a device is looked at.
func (p *Pin) checkDevice(now Now, a Address, id DeviceID) error {
	if len(p.Raw) > 0 && a != p.Record.Address {
		return ErrBinding
	}
	if d, ok := p.Record.Device(id); ok { // a delegate's keys are needed too, to tell it what it may know
		return p.authorise(now, id, d.Roles&RoleDelegate)
	}
	return p.authorise(now, id, 0)
}

// edit returns the place of a device in a fresh copy of the list, making one if there is none.
func (p *Pin) edit(id DeviceID) *PinnedDevice {
	p.Devices = slices.Clone(p.Devices)
	if p.Device(id) == nil {
		p.Devices = append(p.Devices, PinnedDevice{ID: id})
	}
	return p.Device(id)
}

// settle sets every pinned stamp from an impossible future to now.
func (p *Pin) settle(now Now) {
	p.Record.Seq = now.Stored(p.Record.Seq)
	for _, d := range p.Devices {
		if s := now.Stored(d.Record.Seq); s != d.Record.Seq {
			p.edit(d.ID).Record.Seq = s
		}
		if d.Reach != nil && now.Stored(d.Reach.Seq) != d.Reach.Seq {
			reach := *d.Reach
			reach.Seq = now.Stored(reach.Seq)
			p.edit(d.ID).Reach = &reach
		}
	}
}

// checkLife wants a stamp that is not ahead and expires in (now, seq+life+S] (SPEC 2.5).
func checkLife(now Now, seq Stamp, expires Time, life time.Duration) error {
	switch {
	case now.Ahead(seq): // first, so that what is added to seq below cannot wrap
		return ErrAhead
	case expires <= now.Wall:
		return fmt.Errorf("%w: it is over", ErrRecordExpired)
	case expires > seq.Add(life+Skew):
		return fmt.Errorf("%w: it claims more than %v", ErrRecordExpired, life)
	}
	return nil
}
