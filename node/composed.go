package node

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// hearNew asks for the records of devices that somebody's new record lists: what they said before it was
// known could not be read.
func (n *Node) hearNew(a identity.Address, before, now *identity.Pin) {
	if a == n.self.Address || before == nil || !n.watches(a) {
		return
	}
	fresh := slices.ContainsFunc(now.Record.Devices, func(d identity.Device) bool {
		_, old := before.Record.Device(d.ID())
		return !old && d.Roles&identity.RolePublisher != 0
	})
	w, ok := n.presence.watchingOf(a)
	if !fresh || !ok {
		return
	}
	for _, g := range w.Grants() {
		n.spawn(func(ctx context.Context) { n.fetchPresence(ctx, a, g.E, "") })
	}
}

// otherDocs are what my other devices show in a view now: the newest document of each that said that it is
// not there, or whose lease runs. A publisher serves the records of all, so it holds them.
func (n *Node) otherDocs(t *txn, name string) (out []wire.Doc, err error) {
	if !n.hasOthers() {
		return nil, nil
	}
	view, ok, err := find[presence.View](t, viewRow(name))
	if err != nil || !ok {
		return nil, err
	}
	newest := map[identity.DeviceID]identity.Stamp{}
	for _, e := range view.Publishing(t.now) {
		for _, x := range n.heldDocs(t.now, e) {
			if x.t <= newest[x.doc.Device] {
				continue
			}
			newest[x.doc.Device] = x.t
			out = append(slices.DeleteFunc(out, func(d wire.Doc) bool { return d.Device == x.doc.Device }), x.doc)
		}
	}
	return out, nil
}

// heldDoc is a document of another device, and the stamp of its update.
type heldDoc struct {
	doc wire.Doc
	t   identity.Stamp
}

// heldDocs reads what this node holds of an epoch of its own: a lease runs from the update or from a beacon
// of it, by the system clock. What is CLOSED has none to lapse.
func (n *Node) heldDocs(now identity.Now, e presence.Epoch) (out []heldDoc) {
	last := map[wire.Tag]identity.Stamp{}
	recs := n.net.Held(e.E)
	for _, r := range recs {
		last[r.Tag] = max(last[r.Tag], r.T)
	}
	for _, r := range recs {
		if r.IsBeacon() {
			continue
		}
		b, err := wire.OpenDoc(e.K, e.E, r.Tag, r.T, r.CT)
		if err != nil {
			continue
		}
		d, err := wire.ParseDoc(b)
		ttl := time.Duration(d.TTL) * time.Second
		by, may := n.speakersOf(n.self.Address)(d.Device)
		if err != nil || d.Device == n.self.Device || r.Tag != wire.TagOf(e.K, d.Device) || !may ||
			presence.IsOpen(d) && last[r.Tag].Add(ttl) < now.Wall {
			continue
		}
		if d, ok := by.Said(e.E, r, d); ok {
			out = append(out, heldDoc{d, r.T})
		}
	}
	return out
}

// openElsewhere reports whether another of my devices shows an open inbox in a view: then the address is not
// closed to those who see that view, whatever is chosen here (SPEC 5.2).
func (n *Node) openElsewhere(t *txn, name string) (bool, error) {
	if isClosedView(name) {
		return false, nil
	}
	docs, err := n.otherDocs(t, cmp.Or(name, presence.DefaultView))
	return slices.ContainsFunc(docs, func(d wire.Doc) bool {
		return slices.ContainsFunc(d.Tuples, func(tuple wire.Tuple) bool { return tuple.Basic == wire.Open })
	}), err
}
