package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// attendPause is how long after a failure a community node is called again, and attendMost the longest pause.
const (
	attendPause = 5 * time.Second
	attendMost  = 15 * time.Minute
	attendIdle  = 10 * time.Minute // between two looks at a node without a mailbox
)

// attendAll begins to attend to every community that this home has joined.
func (n *Node) attendAll() {
	for _, m := range n.joined.all() {
		n.net.Own(m.peer(), m.Addrs)
		n.net.Keep(m.peer(), m.Addrs, p2p.Watched)
		n.attend(m)
	}
	n.followOnces()
}

// attend keeps one community node informed as long as this node runs and is a member: what is to be kept there is
// there, and what waits there is fetched.
func (n *Node) attend(m membership) {
	if m.does(wire.RoleRelay) {
		n.net.Relay(m.peer(), m.Addrs)
	}
	n.spawn(func(ctx context.Context) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		n.joined.mu.Lock()
		n.joined.end[m.peer()] = end
		n.joined.mu.Unlock()
		for pause := attendPause; ctx.Err() == nil; pause = min(2*pause, attendMost) {
			begun := n.now().Mono
			if err := n.visit(ctx, m); err != nil {
				n.log.Debug("a community node was not reached", "err", err)
				if errors.Is(err, p2p.ErrRefused) && ctx.Err() == nil && n.joined.deny(m.peer(), true) {
					n.tellDenied(m)
				}
			}
			if n.now().Mono-begun > time.Minute { // it was reached
				pause = attendPause
			}
			sleep(ctx, time.Duration((0.8+0.4*n.jitter())*float64(pause)))
		}
	})
}

// visit brings everything there up to date, and takes what comes, until the node is lost.
func (n *Node) visit(ctx context.Context, m membership) error {
	n.joined.mu.Lock()
	for k := range n.joined.hosted {
		if k.peer == m.peer() {
			delete(n.joined.hosted, k)
		}
	}
	n.joined.mu.Unlock()
	if m.does(wire.RoleMailbox) {
		if err := n.register(ctx, m); err != nil {
			return err
		}
		n.openCaps(ctx, m)
	}
	if m.does(wire.RoleAnchor) {
		if err := n.putHeld(ctx, m); err != nil {
			return err
		}
	}
	n.joined.deny(m.peer(), false)
	ctx, end := context.WithCancel(ctx)
	defer end()
	n.spawn(func(context.Context) { n.keepBundles(ctx, m) })
	n.spawn(func(context.Context) { n.keepSlots(ctx, m) })
	if m.does(wire.RoleHandles) {
		n.claimAll(ctx, m)
	}
	if m.does(wire.RoleMailbox) {
		for _, old := range m.before(n.now().Wall) {
			n.spawn(func(context.Context) { n.readBefore(ctx, m, old) })
		}
	}
	for m.does(wire.RoleMailbox) && ctx.Err() == nil {
		if err := n.collect(ctx, m, m.mbox().Public(), m.reader(n.self.Device)); err != nil {
			return err
		}
	}
	sleep(ctx, attendIdle)
	return nil
}

// deniedWords say that a community does not know this home any more.
const deniedWords = "its node does not know this home as a member any more, and keeps nothing for you"

// tellDenied tells the user that a community takes nothing of his any more.
func (n *Node) tellDenied(m membership) {
	err := n.update(func(t *txn) error {
		t.emit(Event{Kind: "node", Name: m.face().Name, State: "no-member", Text: deniedWords + ": ask its operator for an invite, then hum join INVITE"})
		return nil
	})
	if err != nil {
		n.log.Warn("an event was not saved", "err", err)
	}
}

// putHeld brings what is served here of my epochs to an anchor.
func (n *Node) putHeld(ctx context.Context, m membership) error {
	var serving []presence.Epoch
	if err := n.eachView(n.view, func(t *txn, v presence.View, _ presence.Publisher) error {
		for _, e := range v.Serving(t.now) {
			i := slices.IndexFunc(v.Epochs, func(x presence.Epoch) bool { return x.E == e })
			serving = append(serving, v.Epochs[i])
		}
		return nil
	}); err != nil {
		return err
	}
	for _, e := range serving {
		if err := n.hostAt(ctx, m, e); err != nil {
			return err
		}
		for _, r := range n.net.Held(e.E) {
			if err := n.putAt(ctx, m, e.E, r.Raw); err != nil {
				return err
			}
		}
	}
	return nil
}

// hostAt has a community node keep an epoch, once for each time that it is reached.
func (n *Node) hostAt(ctx context.Context, m membership, e presence.Epoch) error {
	k := hostedAt{m.peer(), e.E}
	n.joined.mu.Lock()
	done := n.joined.hosted[k]
	n.joined.mu.Unlock()
	if done {
		return nil
	}
	if err := n.net.AskHost(ctx, m.peer(), wire.HostRequest{Key: e.E, Until: e.NotAfter, Token: m.Token}); err != nil {
		return err
	}
	n.joined.mu.Lock()
	n.joined.hosted[k] = true
	n.joined.mu.Unlock()
	return nil
}

func (n *Node) putAt(ctx context.Context, m membership, e wire.PublicKey, raw []byte) error {
	err := n.net.Put(ctx, m.peer(), wire.PutRequest{Ctx: wire.ContextTopic, Key: e, Rec: raw})
	if errors.Is(err, p2p.ErrStale) { // it came by the topic
		return nil
	}
	return err
}

// anchorRec brings what was just published to every anchor of mine, so that it is there when I am not.
func (n *Node) anchorRec(e presence.Epoch, raw []byte) {
	for _, m := range n.joined.all() {
		if !m.does(wire.RoleAnchor) {
			continue
		}
		n.spawn(func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, handTimeout)
			defer done()
			err := n.hostAt(ctx, m, e)
			if err == nil {
				err = n.putAt(ctx, m, e.E, raw)
			}
			if err != nil {
				n.log.Debug("a record was not put; it is when the anchor is reached again", "err", err)
			}
		})
	}
}

// anchorsOf are the anchors of somebody I watch.
func (n *Node) anchorsOf(a identity.Address) (out []place) {
	w, _ := n.presence.watchingOf(a)
	for _, g := range w.Grants() {
		for _, e := range g.Anchors {
			if len(e.Peer) > 0 && p2p.PeerID(e.Peer) != n.net.Self() {
				out = join(out, place{p2p.PeerID(e.Peer), e.Addrs})
			}
		}
	}
	return out
}

// keepAnchors has the network stay connected to the anchors of those I watch, and forget those that nobody has
// any more.
func (n *Node) keepAnchors(a identity.Address) {
	now := n.anchorsOf(a)
	n.mu.Lock()
	var gone []p2p.PeerID
	for _, p := range n.anchored[a] {
		if !slices.ContainsFunc(now, func(x place) bool { return x.peer == p }) {
			gone = append(gone, p)
		}
	}
	if delete(n.anchored, a); len(now) > 0 {
		n.anchored[a] = peersAt(now)
	}
	gone = slices.DeleteFunc(gone, func(p p2p.PeerID) bool {
		for _, others := range n.anchored {
			if slices.Contains(others, p) {
				return true
			}
		}
		return len(n.peers[p]) > 0 || slices.ContainsFunc(n.joined.all(), func(m membership) bool { return m.peer() == p })
	})
	n.mu.Unlock()
	for _, p := range gone {
		n.release(p)
	}
	for _, p := range now {
		if n.mayCall(p.peer) {
			n.net.Keep(p.peer, p.addrs, p2p.Watched)
		}
	}
}

// keepsForOthers reports whether p is an anchor of somebody or the node of a community of mine.
func (n *Node) keepsForOthers(p p2p.PeerID) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for _, at := range n.anchored {
		if slices.Contains(at, p) {
			return true
		}
	}
	return slices.ContainsFunc(n.joined.all(), func(m membership) bool { return m.peer() == p })
}

func peersAt(places []place) (out []p2p.PeerID) {
	for _, p := range places {
		out = append(out, p.peer)
	}
	return out
}

// readers are the keys of all my devices that take messages; what one has committed waits for the others.
func (n *Node) readers(m membership) (out []wire.PublicKey) {
	mine := m.reader(n.self.Device).Public()
	if pin := n.pins.get(n.self.Address); pin != nil {
		for _, d := range pin.Record.Devices {
			if d.Roles&identity.RoleInbox != 0 && d.Roles&identity.RoleDelegate == 0 && d.ID() != n.self.Device {
				out = append(out, m.reader(d.ID()).Public())
			}
		}
	}
	return append([]wire.PublicKey{mine}, out[:min(len(out), wire.MaxReaders-1)]...)
}

// register opens the mailbox, or says again who reads it.
func (n *Node) register(ctx context.Context, m membership) error {
	return n.registerAs(ctx, m, m.mbox(), wire.MboxReg{Mbox: m.mbox().Public()})
}

// registerAs completes and signs what is said of a mailbox at the node of m.
func (n *Node) registerAs(ctx context.Context, m membership, signer identity.SigningKey, r wire.MboxReg) error {
	var seq identity.Stamp
	if err := n.update(func(t *txn) (err error) { seq, err = stamp(t, "mailbox"); return err }); err != nil {
		return err
	}
	op := wire.OpOnce
	if r.Token, r.Seq = m.Token, seq; r.Until == 0 {
		op, r.Readers = wire.OpReg, n.readers(m)
	}
	err := n.net.AskMbox(ctx, m.peer(), op, wire.Sign(signer, wire.TypeMboxReg, r.Append(nil)))
	if errors.Is(err, p2p.ErrStale) && r.Until == 0 { // another device of mine was faster, and says the same
		return nil
	}
	return err
}
