package node

import (
	"context"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store/crash"
)

// door is where the network calls in; each call goes to the file that knows what to do with it.
type door struct{ n *Node }

var _ p2p.Handler = door{}

func (d door) HasKey(kid wire.KeyID) bool {
	_, ok := d.n.keys.PreKey(kid)
	return ok
}

func (d door) HandleSession(r wire.SessionRequest) (wire.Session, error) {
	return wire.OpenSession(r, d.n.self.Address, d.n.self.Device, d.n.keys.PreKey)
}

func (d door) HandleParcel(ctx context.Context, from p2p.PeerID, p wire.Parcel, in *wire.Session) {
	if crash.Planted(crash.Twice) {
		d.n.spawn(func(ctx context.Context) { d.n.openParcel(ctx, from, p, in) })
	}
	d.n.openParcel(ctx, from, p, in)
}

func (d door) HandleAckBox(ctx context.Context, from p2p.PeerID, b wire.AckBox) {
	d.n.openAckBox(ctx, from, b)
}

func (d door) HandleRecords(a wire.Address) ([]byte, bool) {
	if !d.n.answersFor(a) {
		return nil, false
	}
	b := d.n.bundle()
	return b, b != nil
}

func (d door) HandleRec(from p2p.PeerID, path p2p.RecPath, e wire.PublicKey, r wire.Rec) {
	d.n.read(from, path, e, r)
}

func (d door) HandleFault(from p2p.PeerID, e wire.PublicKey, cause string) {
	d.n.refusedRec(from, e, cause)
}

func (d door) HandleClock(from p2p.PeerID, now wire.Time) { d.n.peerClock(from, now) }

func (d door) HandlePeer(p p2p.PeerID, up, limited bool) { d.n.peerMoved(p, up, limited) }

func (d door) IsContact(p p2p.PeerID) bool {
	return slices.ContainsFunc(d.n.addressesAt(p), d.n.isContact)
}

// addressesAt returns whose device p is said to be, of those that we know.
func (n *Node) addressesAt(p p2p.PeerID) []identity.Address {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.peers[p])
}

// onRoster reports whether the user added a.
func (n *Node) onRoster(a identity.Address) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.contacts[a]
	return ok
}

// isContact reports whether the user added a, or a holds an ACTIVE subscription here; my own devices have
// the rates of contacts too.
func (n *Node) isContact(a identity.Address) bool {
	if a == n.self.Address {
		return true
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	_, ok := n.contacts[a]
	return ok || n.watchers[a] != ""
}
