package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A device that is removed knows the seed of every mailbox, and with it the keys of all who read there, and the secret
// that slots and caps come from. So these are drawn anew (SPEC 2.5): my contacts are told of new mailboxes, and each old
// one is handed over to the key of the new, so that what somebody still leaves there, who has not heard, is read by those
// who are left alone (SPEC 14.129).

// turnDue stands from the moment that a device is removed until this is done.
var turnDue = store.Meta("turn-mailboxes")

// awayBefore is the secrets in the places of which others came, with the end of each.
var awayBefore = store.Meta("away-secret-before")

type oldSecret struct {
	V     [32]byte
	Until identity.Time
}

const (
	boxesBefore   = 6 // mailboxes of one community that are read besides the present one
	secretsBefore = 4
)

// boxBeforeLife is how long one is read: a contact knows it as long as he may hold a record that names it, and what he
// left there last lies no longer than a mailbox keeps it.
const boxBeforeLife = identity.AddressRecordLife + wire.IMMaxLife

// before are the mailboxes of which this community's present one took the place, and which may still be left messages.
func (m membership) before(now identity.Time) []identity.SigningKey {
	if now.Sub(m.Turned) > boxBeforeLife {
		return nil
	}
	var out []identity.SigningKey
	for _, seed := range m.Before {
		out = append(out, identity.NewSigningKey(seed))
	}
	return out
}

// turn has another mailbox take the place of m's.
func (m *membership) turn(seed [32]byte, now identity.Time) {
	m.Before = append(slices.Clone(m.Before), m.Mbox)
	m.Before = m.Before[max(0, len(m.Before)-boxesBefore):]
	m.Mbox, m.Turned = seed, now
}

// turnMailboxes draws anew what a removed device knows, if that is due, and tells everybody.
func (n *Node) turnMailboxes() error {
	var turned []membership
	if err := n.update(func(t *txn) error {
		turned = nil
		if !t.Has(turnDue) {
			return nil
		}
		for _, m := range n.joined.all() {
			var seed [32]byte
			if _, err := io.ReadFull(n.cfg.Rand, seed[:]); err != nil {
				return err
			}
			m.turn(seed, t.now.Wall)
			if err := n.saveJoined(t, m); err != nil {
				return err
			}
			t.after(func() { n.joined.note(m) })
			turned = append(turned, m)
		}
		var v [32]byte
		if _, err := io.ReadFull(n.cfg.Rand, v[:]); err != nil {
			return err
		}
		return errors.Join(n.setSecret(t, v), t.Delete(turnDue))
	}); err != nil || len(turned) == 0 {
		return err
	}
	for _, m := range turned {
		n.joined.endVisit(m.peer())
		n.attend(m)
	}
	return n.tellCustodians()
}

// dueToTurn notes that a device is removed that knows what is turned.
func (n *Node) dueToTurn(t *txn, d identity.DeviceID) error {
	if _, delegate := n.isDelegate(d); delegate || len(n.joined.all()) == 0 {
		return nil
	}
	return put(t, turnDue, true)
}

// secretsBefore are the secrets that some subscriber may know yet.
func (n *Node) secretsBefore(t *txn) (out []oldSecret, err error) {
	all, _, err := find[[]oldSecret](t, awayBefore)
	for _, x := range all {
		if x.Until > t.now.Wall {
			out = append(out, x)
		}
	}
	return out, err
}

// keepSecretBefore keeps a secret for as long as a subscriber who was away may look where it says.
func (n *Node) keepSecretBefore(t *txn, v [32]byte) error {
	old, had, err := find[[32]byte](t, awaySecret)
	if err != nil || !had || old == v {
		return err
	}
	all, err := n.secretsBefore(t)
	if err != nil {
		return err
	}
	all = append(all, oldSecret{old, t.now.Wall.Add(slotLife)})
	return put(t, awayBefore, all[max(0, len(all)-secretsBefore):])
}

// readBefore hands a mailbox over that another took the place of, and takes what is still left there.
func (n *Node) readBefore(ctx context.Context, m membership, old identity.SigningKey) {
	pause := attendPause
	for ; ctx.Err() == nil; pause = min(2*pause, attendMost) {
		err := n.handOver(ctx, m, old)
		for err == nil && ctx.Err() == nil {
			if err = n.collect(ctx, m, old.Public(), m.reader(n.self.Device)); err == nil {
				pause = attendPause
			}
		}
		if err != nil {
			n.log.Debug("a mailbox of before was not read", "err", err)
		}
		sleep(ctx, time.Duration((0.8+0.4*n.jitter())*float64(pause)))
	}
}

// handOver has those who read the present mailbox read an old one too, and nobody else from then on. Whose word counts
// there is M's, or that of a mailbox that it was handed to since.
func (n *Node) handOver(ctx context.Context, m membership, old identity.SigningKey) (err error) {
	signers := append([]identity.SigningKey{m.mbox()}, m.before(n.now().Wall)...)
	for _, k := range signers {
		err = n.registerAs(ctx, m, k, wire.MboxReg{Mbox: old.Public(), Heir: m.mbox().Public()})
		if !errors.Is(err, p2p.ErrRefused) {
			return err
		}
	}
	return err
}
