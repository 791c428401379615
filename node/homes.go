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
		for _, x := range []struct {
			ctx   wire.Context
			kind  string
			plain []byte
		}{{wire.ContextSlot, wire.SealedBundle, plain}, {wire.ContextDHT, wire.SealedRendezvous, n.ownRendezvous()}} {
			sealed := wire.SealKept(n.cfg.Rand, x.kind, n.self.Address, p, k.Public(), at, x.plain)
			r := wire.NewKept(x.ctx, k, at, sealed)
			err := n.net.Put(ctx, m.peer(), wire.PutRequest{Ctx: x.ctx, Key: k.Public(), Rec: r.Raw})
			if err != nil && !errors.Is(err, p2p.ErrStale) { // another device of mine was faster
				return err
			}
		}
	}
	return nil
}

// ownRendezvous is what my homes put into the DHT for me, sealed for whoever knows the address: which they are. An
// endpoint is told by two places at most, as all of it is to fit into 1 KiB.
func (n *Node) ownRendezvous() []byte {
	pin := n.pins.get(n.self.Address)
	x := wire.Rendezvous{ArSeq: pin.Record.Seq, Record: sha256.Sum256(pin.Raw), Policy: pin.Record.Policy}
	for _, e := range pin.Record.Homes {
		x.Homes = append(x.Homes, wire.Endpoint{Peer: e.Peer, Addrs: e.Addrs[:min(len(e.Addrs), 2)]})
	}
	return x.Append(nil)
}

// bundleAt reads the records of a at a home. Near the end of a week clocks differ about which it is.
func (n *Node) bundleAt(ctx context.Context, a identity.Address, at place) (b wire.Bundle, err error) {
	via, up := n.through(wire.Endpoint{Peer: []byte(at.peer), Addrs: at.addrs}, wire.RoleAnchor)
	for _, p := range periodsNear(n.now().Wall) {
		blinded, failed := a.Blinded(p)
		if failed != nil {
			return b, failed
		}
		r, failed := n.getKept(ctx, via, blinded, up)
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
