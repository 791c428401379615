package node

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A home keeps the records of an address for whoever knows it, under keys that nobody else can tell whose they are
// (SPEC 7.5). Its owner signs for the present week and three more, so that he is found though he is away.

// homeLook is how often a member looks whether what his homes keep is what he says now.
const homeLook = time.Minute

// homed is what a home was given last, since it was reached.
type homed struct {
	digest [32]byte
	period uint64
	at     time.Duration
}

// keepBundles brings the records of this address to a home, again whenever they change, and as the weeks go by.
func (n *Node) keepBundles(ctx context.Context, m membership) {
	if !m.does(wire.RoleHome) || !n.keys.Admin() {
		return
	}
	var had homed
	for pause := time.Duration(0); ; pause = homeLook {
		if sleep(ctx, time.Duration((0.9+0.2*n.jitter())*float64(pause))); ctx.Err() != nil {
			return
		}
		now, plain := n.now(), n.bundle()
		is := homed{sha256.Sum256(plain), identity.PeriodOf(now.Wall), now.Mono}
		if plain == nil || is.digest == had.digest && is.period == had.period && is.at-had.at < community.NamingPutAgain {
			continue
		}
		if err := n.putBundles(ctx, m, plain); err != nil {
			n.log.Debug("a home was not told; it is told again", "err", err)
			continue
		}
		had = is
	}
}

// putBundles has a home keep an encoded Bundle of mine, for each week that it is signed for.
func (n *Node) putBundles(ctx context.Context, m membership, plain []byte) error {
	for _, p := range community.Periods(n.now()) {
		k := n.keys.AddressKey().Blind(p)
		if err := n.net.AskHost(ctx, m.peer(), wire.HostRequest{Key: k.Public(), Until: community.EndOf(p), Token: m.Token}); err != nil {
			return err
		}
		var at identity.Stamp
		if err := n.update(func(t *txn) (err error) { at, err = stamp(t, "bundle"); return err }); err != nil {
			return err
		}
		sealed := wire.SealKept(n.cfg.Rand, wire.SealedBundle, n.self.Address, p, k.Public(), at, plain)
		r := wire.NewKept(wire.ContextSlot, k, at, sealed)
		err := n.net.Put(ctx, m.peer(), wire.PutRequest{Ctx: wire.ContextSlot, Key: k.Public(), Rec: r.Raw})
		if err != nil && !errors.Is(err, p2p.ErrStale) { // another device of mine was faster
			return err
		}
	}
	return nil
}

// homesOf are the homes that the newest known record of an address names, also if it has run out, and that of his
// card.
func (n *Node) homesOf(a identity.Address) (out []wire.Endpoint) {
	if pin := n.pins.get(a); pin != nil {
		out = append(out, pin.Record.Homes...)
	}
	n.mu.RLock()
	home := n.contacts[a].Home
	n.mu.RUnlock()
	return append(out, homeOf(home)...)
}

// homeOf reads the home of a card.
func homeOf(text string) []wire.Endpoint {
	p, ok := placeOf(text)
	if !ok || text == "" || p.addrs == nil {
		return nil
	}
	return []wire.Endpoint{{Peer: []byte(p.peer), Addrs: p.addrs}}
}

// askHomes asks homes for the records of a, and pins them.
func (n *Node) askHomes(ctx context.Context, a identity.Address, homes []wire.Endpoint) (pin *identity.Pin, err error) {
	err = errNoPlace(n.name(a))
	for _, h := range homes {
		p := place{p2p.PeerID(h.Peer), h.Addrs}
		if p.peer == n.net.Self() {
			continue
		}
		b, failed := n.bundleAt(ctx, a, p)
		if failed == nil {
			pin, failed = n.pinBundle(a, b, p)
		}
		if failed == nil {
			return pin, nil
		}
		err = failed
		if errors.Is(failed, p2p.ErrUnreachable) || errors.Is(failed, p2p.ErrNotFound) {
			err = errNoAnswer(n.name(a), failed)
		}
	}
	return nil, err
}

// bundleAt reads the records of a at a home. Near the end of a week clocks differ about which it is.
func (n *Node) bundleAt(ctx context.Context, a identity.Address, at place) (b wire.Bundle, err error) {
	n.net.Meet(at.peer, at.addrs)
	for _, p := range periodsNear(n.now().Wall) {
		blinded, failed := a.Blinded(p)
		if failed != nil {
			return b, failed
		}
		r, failed := n.net.GetKept(ctx, at.peer, blinded)
		if failed != nil {
			err = failed
			continue
		}
		plain, failed := wire.OpenKept(wire.SealedBundle, a, p, blinded, r)
		if failed == nil {
			b, failed = wire.ParseBundle(plain)
		}
		if failed == nil && !bytes.Equal(b.Address.Key[:], a[:]) {
			failed = wire.ErrMalformed
		}
		if failed == nil {
			return b, nil
		}
		n.count("bad-bundle")
		err = failed
	}
	return b, err
}

// periodsNear are the period of t, and the one beside it if it is no further than clocks may differ.
func periodsNear(t identity.Time) []uint64 {
	out := []uint64{identity.PeriodOf(t)}
	for _, other := range []identity.Time{t.Add(-identity.Skew), t.Add(identity.Skew)} {
		if p := identity.PeriodOf(other); p != out[0] {
			out = append(out, p)
		}
	}
	return out
}
