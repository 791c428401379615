package node

import (
	"context"
	"errors"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Everybody I have to do with may leave messages in my mailboxes by a cap of his own, until I block him; who is
// blocked politely keeps his, and is answered as one who writes to somebody offline (SPEC 7.3).

// openCaps tells a mailbox of all caps.
func (n *Node) openCaps(ctx context.Context, m membership) {
	n.joined.mu.Lock()
	for k := range n.joined.opened {
		if k.peer == m.peer() {
			delete(n.joined.opened, k)
		}
	}
	n.joined.mu.Unlock()
	var who []identity.Address
	add := func(a identity.Address) {
		if !slices.Contains(who, a) && a != n.self.Address {
			who = append(who, a)
		}
	}
	if err := n.view(func(t *txn) error {
		for k := range t.Scan(store.AllRules(), store.ScanOptions{KeysOnly: true}) {
			add(k.Address()) // also who is blocked
		}
		return rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if w.Reads() || w.State == wire.SubPending {
				add(w.Who)
			}
			return true, nil
		})
	}); err != nil {
		n.log.Warn("the watchers were not read", "err", err)
	}
	n.mu.RLock()
	for a := range n.contacts {
		add(a)
	}
	n.mu.RUnlock()
	for _, a := range who {
		if ctx.Err() == nil {
			n.setCap(ctx, m, a)
		}
	}
}

// openCapsOf tells every mailbox of somebody's cap, unless it knows.
func (n *Node) openCapsOf(a identity.Address) {
	for _, m := range n.joined.all() {
		if m.does(wire.RoleMailbox) && !n.joined.knowsCap(n.capAt(m, a)) {
			n.spawn(func(ctx context.Context) { n.setCap(ctx, m, a) })
		}
	}
}

func (n *Node) capAt(m membership, a identity.Address) cappedAt {
	return cappedAt{m.peer(), a, revokes(n.rules().Rule(a))}
}

func (j *joinedState) knowsCap(k cappedAt) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.opened[k]
}

// setCap opens or revokes the cap of somebody.
func (n *Node) setCap(ctx context.Context, m membership, a identity.Address) {
	k := n.capAt(m, a)
	if n.joined.knowsCap(k) {
		return
	}
	ctx, done := context.WithTimeout(ctx, handTimeout)
	defer done()
	var seq identity.Stamp
	if err := n.update(func(t *txn) (err error) { seq, err = stamp(t, "cap"); return err }); err != nil {
		return
	}
	c := wire.MboxCap{Mbox: m.mbox().Public(), Cap: n.joined.capOf(a).Hash(), Mode: wire.CapOpen, Seq: seq}
	if k.revoked {
		c.Mode = wire.CapRevoked
	}
	err := n.net.AskMbox(ctx, m.peer(), wire.OpCap, wire.Sign(m.reader(n.self.Device), wire.TypeMboxCap, c.Append(nil)))
	if err != nil && !errors.Is(err, p2p.ErrStale) {
		n.log.Debug("a cap was not told; it is when the mailbox is reached again", "err", err)
		return
	}
	n.joined.mu.Lock()
	defer n.joined.mu.Unlock()
	delete(n.joined.opened, cappedAt{k.peer, k.who, !k.revoked})
	n.joined.opened[k] = true
}

func revokes(r policy.Rule) bool { return r.BlockedIM && !r.Polite }
