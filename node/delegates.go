package node

import (
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A delegate is a device of somebody else that is listed in the record of an address (SPEC 8): as a publisher it sets
// what its scope names, and as a reader it gets copies of the messages that come. It holds the keys of the epochs or the
// copies, and nothing else that the devices of the address share; nobody takes any other word of it.

// delegated reports whether this device is a delegate of the address that it is listed under.
func (n *Node) delegated() bool {
	p := n.pins.get(n.self.Address)
	if p == nil {
		return false
	}
	d, ok := p.Record.Device(n.self.Device)
	return ok && d.Roles&identity.RoleDelegate != 0
}

// scope is what this device may set.
func (n *Node) scope() presence.Scope {
	if p := n.pins.get(n.self.Address); p != nil {
		if d, ok := p.Record.Device(n.self.Device); ok {
			return scopeOf(d)
		}
	}
	return presence.Scope{}
}

// checkOwn refuses what a delegate cannot do for the address.
func (n *Node) checkOwn(what string) error {
	if !n.delegated() {
		return nil
	}
	return &Error{Kind: KindRefused, Code: "delegate", Message: "this home is a delegate of " + n.nameOrShort(n.self.Address) + ", and cannot " + what,
		Advice: "what it may do is shown by: hum devices"}
}

func (n *Node) nameOrShort(a identity.Address) string {
	if n.self.Name != "" && a == n.self.Address {
		return n.self.Name
	}
	return short(a)
}

// checkScope refuses a change that a delegate may not make, by what it would set.
func (n *Node) checkScope(c Change) error {
	s := n.scope()
	if !s.Delegate {
		return nil
	}
	var beyond []string
	for name, set := range map[string]bool{"im": c.Basic != nil || c.IM != nil || c.Measures != nil, "note": c.Note != nil || c.Lang != nil,
		"activities": c.Activity != nil, "contacts": c.Contacts != nil, "person": c.Bare != nil} {
		if set && !s.May(name) && !(name == "activities" && s.May("status")) {
			beyond = append(beyond, name)
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	slices.Sort(beyond)
	return &Error{Kind: KindRefused, Code: "outside-scope", Message: fmt.Sprintf("a delegate of %s may set %s, and not %s", n.nameOrShort(n.self.Address), words(s.Names), words(beyond)),
		Advice: "who owns the address can list this home anew with a wider scope"}
}

func words(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// checkDelegate refuses a delegate that could not be listed, and settles its roles.
func checkDelegate(d NewDevice, offered identity.Roles) (identity.Roles, error) {
	roles := d.Roles & offered
	if d.Roles == 0 && len(d.Scope) > 0 {
		roles = offered & identity.RolePublisher
	}
	switch {
	case d.Admin:
		return 0, &Error{Kind: KindUsage, Code: "bad-roles", Message: "a delegate cannot have the key of the address"}
	case roles == 0:
		return 0, &Error{Kind: KindUsage, Code: "bad-roles", Message: "a delegate sets something of what is shown, or reads the messages, of an address that has such a service",
			Advice: "name what it may set: --scope activities,note; or let it read: --services im"}
	case roles&identity.RolePublisher != 0 && len(d.Scope) == 0:
		return 0, &Error{Kind: KindUsage, Code: "bad-scope", Message: "what may it set?", Advice: "name it: --scope activities,note"}
	case roles&identity.RolePublisher == 0 && len(d.Scope) > 0:
		return 0, &Error{Kind: KindUsage, Code: "bad-scope", Message: "a reader sets nothing, so it has no scope"}
	}
	for _, s := range d.Scope {
		if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
			return 0, &Error{Kind: KindUsage, Code: "bad-scope", Message: fmt.Sprintf("%q names nothing that is shown", clip(s)), Advice: "name tuples or statuses: activities, mood, place-type, status (all of them), note"}
		}
	}
	return roles | identity.RoleDelegate, nil
}

// delegates are those of this address, as this device knows them; none on a delegate.
func (n *Node) delegates() (out []identity.Device) {
	if p := n.pins.get(n.self.Address); p != nil {
		for _, d := range p.Record.Devices {
			if d.Roles&identity.RoleDelegate != 0 && d.ID() != n.self.Device {
				out = append(out, d)
			}
		}
	}
	if n.delegated() {
		return nil
	}
	return out
}

// hearers are the devices that are told of the rows of one kind: my others, of epochs the delegates who publish, and of
// messages those who read.
func (n *Node) hearers(kind wire.SyncKind) []identity.DeviceID {
	out := n.others()
	if n.delegated() {
		return nil
	}
	for _, d := range n.delegates() {
		if kind == wire.SyncEpoch && d.Roles&identity.RolePublisher != 0 || kind == wire.SyncReceived && d.Roles&identity.RoleInbox != 0 {
			out = append(out, d.ID())
		}
	}
	return out
}

// hearing are all devices that are told anything.
func (n *Node) hearing() []identity.DeviceID {
	if n.delegated() {
		return nil
	}
	out := n.others()
	for _, d := range n.delegates() {
		out = append(out, d.ID())
	}
	return out
}

// isDelegate says what a delegate of mine may set, and whether d is one.
func (n *Node) isDelegate(d identity.DeviceID) (presence.Scope, bool) {
	for _, x := range n.delegates() {
		if x.ID() == d {
			return scopeOf(x), true
		}
	}
	return presence.Scope{}, false
}

// forDelegate is what a delegate is told of a row, in place of its value. Of an epoch in which it may say nothing, as
// that of somebody who is politely blocked, or of a view that hides what its scope names, it is told that it has
// ended, without a key. Of the leaving of whom an epoch began is nothing that it has to know.
func (n *Node) forDelegate(t *txn, s presence.Scope, kind wire.SyncKind, value []byte) ([]byte, error) {
	if kind != wire.SyncEpoch {
		return value, nil
	}
	x, err := decoded[sharedEpoch](value)
	if err != nil {
		return nil, err
	}
	f, _, err := find[face](t, store.ViewNamed(x.View))
	if err != nil {
		return nil, err
	}
	if isClosedView(x.View) || !f.Filter.Shows(s) {
		x = sharedEpoch{Epoch: presence.Epoch{E: x.Epoch.E, EndedAt: max(1, x.Epoch.Made)}}
	}
	x.Epoch.Without = nil
	value, _, err = encoded(x)
	return value, err
}

// leaveEpoch has a delegate say nothing more in an epoch.
func (n *Node) leaveEpoch(t *txn, e presence.Epoch) error {
	names, err := n.viewNames(t)
	for _, name := range names {
		v, ok, failed := find[presence.View](t, viewRow(name))
		if failed != nil || err != nil {
			return failed
		}
		i := slices.IndexFunc(v.Epochs, func(x presence.Epoch) bool { return x.E == e.E })
		if !ok || i < 0 || v.Epochs[i].EndedAt != 0 {
			continue
		}
		v.Epochs = slices.Clone(v.Epochs)
		v.Epochs[i].EndedAt = e.EndedAt
		t.after(n.publish.nudge)
		return n.saveView(t, v)
	}
	return err
}

// concerns reports whether a device is to hear of one row at all: a reader hears of messages that came since it was
// listed.
func (n *Node) concerns(t *txn, d identity.DeviceID, kind wire.SyncKind, key []byte) (bool, error) {
	if _, is := n.isDelegate(d); !is || kind != wire.SyncReceived {
		return true, nil
	}
	row, ok, err := n.inboxRow(t, key)
	if err != nil || !ok { // deleted: it goes there too
		return true, err
	}
	line, _, err := find[deviceRow](t, deviceKey(d))
	return row.Received >= line.Since, err
}

func idsOf(all []identity.Device) (out []identity.DeviceID) {
	for _, d := range all {
		out = append(out, d.ID())
	}
	return out
}

// addedText tells the user what was listed.
func addedText(d identity.Device) string {
	switch {
	case d.Roles&identity.RoleDelegate == 0:
		return "a device was added to this address"
	case d.Roles&identity.RolePublisher == 0:
		return "a delegate was added to this address: it reads the messages that come from now on"
	case d.Roles&identity.RoleInbox == 0:
		return "a delegate was added to this address: it may set " + words(d.Scope)
	}
	return "a delegate was added to this address: it may set " + words(d.Scope) + ", and reads the messages that come from now on"
}
