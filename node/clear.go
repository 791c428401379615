package node

import (
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
)

// Nobody has to protect what he writes, and nobody has to take what is not protected (RFC 2779, 2.5.4; SPEC 8):
// an address says in its record that it does, which is off unless its user turns it on, and then shows such
// messages as what they are.

// clearOK reports whether the record of an address says that it takes what is not sealed, or not signed: one
// setting for all its devices, off unless its user turns it on.
func clearOK(p *identity.Pin) bool {
	return p != nil && p.Record.Policy != nil && p.Record.Policy.Flags&identity.ClearOK != 0
}

// takesClear is why an address would refuse what is not sealed, or not signed, by its own record; none if it takes
// it, or nothing is known of it yet.
func (n *Node) takesClear(a identity.Address, clear, unsigned bool) wire.Reason {
	pin := n.pins.get(a)
	switch {
	case !clear && !unsigned, pin == nil || pin.Expired(n.now()), clearOK(pin):
		return wire.ReasonNone
	case unsigned:
		return wire.ReasonSignatureRequired
	}
	return wire.ReasonNoCommonSuite
}

// mayClear refuses at once what the recipient's record refuses.
func (n *Node) mayClear(a identity.Address, d Draft) error {
	r := n.takesClear(a, d.Clear, d.Unsigned)
	if r == wire.ReasonNone {
		return nil
	}
	what := "signed"
	if r == wire.ReasonNoCommonSuite {
		what = "sealed"
	}
	return &Error{Kind: KindRefused, Code: r.String(), Message: n.name(a) + " takes no message that is not " + what, Advice: "send it protected, as by default"}
}

// signer is the key that a message is signed with: this device's, or one that is used once and says nothing.
func (n *Node) signer(im *wire.IM) (identity.SigningKey, error) {
	if !im.Unsigned() && !im.From.IsZero() {
		return n.keys.Device(), nil
	}
	key, err := identity.GenerateSigningKey(n.cfg.Rand)
	if err == nil {
		im.Device = identity.DeviceIDOf(key.Public())
	}
	return key, err
}

// unsigned reports whether a message is signed by a key that is used once.
func unsigned(s wire.Signed) bool {
	im, err := wire.ParseIM(s.Body)
	return err == nil && (im.Unsigned() || im.From.IsZero())
}

// nameOf is whom a message is from: nobody, by name, if he did not sign.
func (n *Node) nameOf(r message.Row) string {
	switch {
	case r.From.IsZero():
		return anonymousName
	case r.Unsigned:
		return "somebody who did not sign"
	}
	return n.name(r.From)
}
