package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A Device is one line of my devices, present or removed.
type Device struct {
	ID      identity.DeviceID
	Roles   []string // admin, inbox, publisher, delegate
	Scope   []string // what a delegate may set
	This    bool
	Online  bool // a connection to it stands
	Since   time.Time
	Revoked time.Time // zero: it is one of mine
}

// RolesWords names roles, as they are shown.
func RolesWords(r identity.Roles) (out []string) {
	for _, x := range []struct {
		bit  identity.Roles
		word string
	}{{identity.RoleAdmin, "admin"}, {identity.RoleInbox, "inbox"}, {identity.RolePublisher, "publisher"}, {identity.RoleDelegate, "delegate"}} {
		if r&x.bit != 0 {
			out = append(out, x.word)
		}
	}
	return out
}

// Devices lists the devices of this address, the oldest first; those that were removed stay on the list.
func (n *Node) Devices(context.Context) (out []Device, err error) {
	var rows []deviceRow
	if err := n.view(func(t *txn) error {
		rows, err = allDevices(t)
		return err
	}); err != nil {
		return nil, saveError(n.cfg.Home, err)
	}
	for _, r := range rows {
		out = append(out, n.deviceFace(r))
	}
	return out, nil
}

func (n *Node) deviceFace(r deviceRow) Device {
	d := Device{ID: r.ID, Roles: RolesWords(r.Roles), Scope: r.Scope, This: r.ID == n.self.Device, Since: r.Since.Go(), Revoked: r.Revoked.Go()}
	d.Online = d.This || r.Revoked == 0 && n.online(r.ID)
	return d
}

// online reports whether a connection to a device of mine stands.
func (n *Node) online(d identity.DeviceID) bool {
	p := n.pins.get(n.self.Address)
	if p == nil {
		return false
	}
	k := p.Device(d)
	if k == nil || k.Reach == nil {
		return false
	}
	up, _ := n.net.Connected(p2p.PeerID(k.Reach.Peer))
	return up
}

// A NewDevice says what a device that is added may do.
type NewDevice struct {
	Code  string
	Admin bool           // it gets the key of the address, and can add and remove devices in turn
	Roles identity.Roles // inbox and publisher; 0: all that the address offers

	Delegate bool     // it is somebody else's: see SPEC 8
	Scope    []string // what a delegate may set: ids of tuples, names of statuses, status, note
}

// pairTimeout bounds each of the two steps with the new device, agreeTimeout how long its user may take to
// agree to the first.
const (
	pairTimeout  = 20 * time.Second
	agreeTimeout = 2 * time.Minute
)

// AddDevice makes the home that shows a code a device of this address (SPEC 4.11): it asks the new device
// for its keys, compares them with the code, signs the next record of the address, and tells it.
func (n *Node) AddDevice(ctx context.Context, d NewDevice) (Device, error) {
	code, err := wire.ParsePairCode(d.Code)
	if err != nil {
		return Device{}, &Error{Kind: KindUsage, Code: "bad-code", Message: "that is not the code of a new device: " + err.Error(), Advice: "show it there with: hum device add"}
	}
	id := identity.DeviceIDOf(code.Device)
	if d.Roles, err = n.checkAdd(id, d); err != nil {
		return Device{}, err
	}
	ask := wire.PairRequest{Address: n.self.Address, Proof: code.Proof(n.self.Address, []byte(n.net.Self()))}
	mine, err := n.askNew(ctx, code, ask)
	if err != nil {
		return Device{}, err
	}
	ask.Name = n.self.Name
	if d.Admin {
		seed := n.keys.AddressKey().Seed()
		if ask.Seed, err = identity.SealTo(mine.devices[0].rec.PreKeys[0].Public, wire.PairSeedInfo(n.self.Address, id), seed[:]); err != nil {
			return Device{}, err
		}
	}
	if err := n.list(identity.Device{Key: code.Device, Roles: d.Roles, Scope: d.Scope}, mine); err != nil {
		return Device{}, saveError(n.cfg.Home, err)
	}
	ask.Records, _ = n.own.Load().attachments(told{})
	if err := n.tellNew(ctx, code, ask); err != nil {
		return Device{}, &Error{Kind: KindUnreachable, Code: "not-confirmed", Message: "the new device was listed, but did not say that it knows",
			Advice: "if it still waits: hum device revoke " + id.String() + ", and try again"}
	}
	n.syncAll()
	return n.device(id)
}

// device is one line of [Node.Devices].
func (n *Node) device(id identity.DeviceID) (Device, error) {
	var row deviceRow
	err := n.view(func(t *txn) (err error) {
		row, err = get[deviceRow](t, deviceKey(id))
		return err
	})
	return n.deviceFace(row), saveError(n.cfg.Home, err)
}

// checkAdd refuses what could not be signed, and settles the roles.
func (n *Node) checkAdd(id identity.DeviceID, d NewDevice) (identity.Roles, error) {
	if err := n.checkAdmin("add devices"); err != nil {
		return 0, err
	}
	p := n.pins.get(n.self.Address)
	if _, ok := p.Record.Device(id); ok {
		return 0, &Error{Kind: KindUsage, Code: "exists", Message: id.String() + " is one of your devices already", Advice: "see hum devices"}
	}
	if len(p.Record.Devices) >= wire.MaxDevices {
		return 0, &Error{Kind: KindUsage, Code: wire.ReasonTooLarge.String(), Message: fmt.Sprintf("an address has at most %d devices", wire.MaxDevices), Advice: "remove one with: hum device revoke ID"}
	}
	offered := rolesOf(p.Record.Services) &^ identity.RoleAdmin
	if d.Delegate {
		return checkDelegate(d, offered)
	}
	roles := d.Roles & offered
	if d.Roles == 0 {
		roles = offered
	}
	if roles == 0 {
		return 0, &Error{Kind: KindUsage, Code: "bad-roles", Message: "a device takes messages, publishes presence, or both, as its address does"}
	}
	if d.Admin {
		roles |= identity.RoleAdmin
	}
	return roles, nil
}

// checkAdmin refuses on a device that cannot sign address records.
func (n *Node) checkAdmin(what string) error {
	if err := n.checkListed(); err != nil {
		return err
	}
	if !n.keys.Admin() {
		return &Error{Kind: KindFailed, Code: "not-admin", Message: "this device does not hold the key of the address, and cannot " + what, Advice: "do it on an admin device: see hum devices"}
	}
	return nil
}

// askNew asks the new device for its records, and compares them with what its screen showed.
func (n *Node) askNew(ctx context.Context, code wire.PairCode, ask wire.PairRequest) (records, error) {
	reply, err := n.pairOnce(ctx, code, ask)
	for waited := time.Duration(0); errors.Is(err, p2p.ErrBusy) && waited < agreeTimeout && ctx.Err() == nil; waited += time.Second {
		sleep(ctx, time.Second)
		reply, err = n.pairOnce(ctx, code, ask)
	}
	if err != nil {
		return records{}, pairError(err)
	}
	r := readRecords(n.self.Address, reply.Records)
	id := identity.DeviceIDOf(code.Device)
	if len(r.devices) != 1 || len(r.reaches) != 1 || r.devices[0].rec.Device != id || r.reaches[0].rec.Device != id ||
		!code.Matches(r.devices[0].rec.PreKeys[0].Public) || string(r.reaches[0].rec.Peer) != string(code.Peer) {
		return records{}, &Error{Kind: KindFailed, Code: wire.ReasonBindingInvalid.String(), Message: "who answered is not the device that showed the code", Advice: "show a new code there: hum device add"}
	}
	return r, nil
}

func (n *Node) pairOnce(ctx context.Context, code wire.PairCode, ask wire.PairRequest) (wire.PairReply, error) {
	ctx, done := context.WithTimeout(ctx, pairTimeout)
	defer done()
	return n.net.Pair(ctx, p2p.PeerID(code.Peer), code.Addrs, ask)
}

func pairError(err error) error {
	if errors.Is(err, p2p.ErrBusy) {
		return &Error{Kind: KindUnreachable, Code: "not-agreed", Message: "nobody has agreed on the new device's screen", Advice: "show a new code there: hum device add"}
	}
	if errors.Is(err, p2p.ErrRefused) {
		return &Error{Kind: KindRefused, Code: "not-waiting", Message: "the device does not wait under that code", Advice: "show a new one there: hum device add"}
	}
	return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: "the new device does not answer: " + plain(err), Advice: "leave it waiting with hum device add, where this device can reach it"}
}

// tellNew sends the record that lists the new device, a few times, since an answer may be lost.
func (n *Node) tellNew(ctx context.Context, code wire.PairCode, ask wire.PairRequest) (err error) {
	for i := range 3 {
		sleep(ctx, time.Duration(i)*time.Second)
		if _, err = n.pairOnce(ctx, code, ask); err == nil || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// list signs and saves the next record of this address, with one device more.
func (n *Node) list(d identity.Device, says records) error {
	return n.update(func(t *txn) error {
		p, err := get[pinned](t, store.Pin(n.self.Address))
		if err != nil {
			return err
		}
		if err := n.signAddress(t, &p.Pin, append(slices.Clone(p.Pin.Record.Devices), d)); err != nil {
			return err
		}
		acceptDevices(t.now, &p.Pin, says)
		return n.savePin(t, n.self.Address, p)
	})
}

// RevokeDevice removes a device of mine, named by its id or the beginning of it: the next record does not
// list it, and every view gets a new epoch, so that it reads nothing more. Whoever is online knows at once,
// everybody within the life of the record that he holds.
func (n *Node) RevokeDevice(ctx context.Context, id string) (Device, error) {
	if err := n.checkAdmin("remove devices"); err != nil {
		return Device{}, err
	}
	d, err := n.deviceNamed(id)
	if err != nil {
		return Device{}, err
	}
	err = n.update(func(t *txn) error {
		p, err := get[pinned](t, store.Pin(n.self.Address))
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(p.Pin.Record.Devices), func(x identity.Device) bool { return x.ID() == d })
		if err := n.signAddress(t, &p.Pin, left); err != nil {
			return err
		}
		return errors.Join(n.dueToTurn(t, d), n.savePin(t, n.self.Address, p))
	})
	if err == nil { // not before the device is told nothing more
		err = n.turnMailboxes()
	}
	if err != nil {
		return Device{}, saveError(n.cfg.Home, err)
	}
	n.serving.nudge()
	n.syncAll()
	return n.device(d)
}

// deviceNamed finds a device of mine that can be removed.
func (n *Node) deviceNamed(id string) (identity.DeviceID, error) {
	var found []identity.DeviceID
	for _, d := range append(append(n.others(), idsOf(n.delegates())...), n.self.Device) {
		if id != "" && strings.HasPrefix(d.String(), strings.ToLower(id)) {
			found = append(found, d)
		}
	}
	switch {
	case len(found) == 0:
		return identity.DeviceID{}, &Error{Kind: KindUsage, Code: "unknown-device", Message: fmt.Sprintf("none of your devices is %q", clip(id)), Advice: "see hum devices"}
	case len(found) > 1:
		return identity.DeviceID{}, &Error{Kind: KindUsage, Code: "ambiguous", Message: fmt.Sprintf("%d of your devices begin with %q", len(found), clip(id)), Advice: "see hum devices"}
	case found[0] == n.self.Device:
		return identity.DeviceID{}, &Error{Kind: KindUsage, Code: "self", Message: "that is this device", Advice: "remove it on another admin device"}
	}
	return found[0], nil
}
