package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// releaseEvery is how often a home looks for records whose time in the DHT has come.
const releaseEvery = 5 * time.Minute

// releaseSoon are the pauses after a start, when the servers of other communities may be starting too, as after a power
// cut: those that were not there are called again, and what was put while few were is put again.
var releaseSoon = []time.Duration{5 * time.Second, 10 * time.Second, 30 * time.Second, time.Minute}

// enoughServers hold a record: a put that reached so many is not repeated because there are more.
const enoughServers = 20

// putPatience bounds one of them.
const putPatience = time.Minute

// release puts the rendezvous records of those whose home this is into the DHT, in their period, and again every 22
// hours (SPEC 7.5): so an owner who is away stays findable.
func (h *Host) release(ctx context.Context) error {
	if !h.does(wire.RoleHome | wire.RoleDHT) {
		return nil
	}
	h.meetServers()
	put := map[wire.PublicKey]released{}
	soon := releaseSoon
	for {
		pause := releaseEvery
		if len(soon) > 0 {
			pause, soon = soon[0], soon[1:]
		}
		if err := h.releaseOnce(ctx, put); err != nil && ctx.Err() == nil {
			h.log.Warn("what is due in the DHT was not put; it is tried again", "err", err)
		}
		tick := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-h.due:
			tick.Stop()
		case <-tick.C:
			h.net.FillDHT(ctx)
		}
	}
}

// A released is what was put into the DHT of a key, when, and how many servers were there to take it.
type released struct {
	t       wire.Stamp
	at      time.Duration // by the monotonic clock
	servers int
}

func (h *Host) releaseOnce(ctx context.Context, done map[wire.PublicKey]released) error {
	now := h.cfg.Clock()
	due, servers := map[wire.PublicKey]wire.Rec{}, h.net.DHTPeers()
	if err := h.store.View(func(tx store.Tx) error {
		return each(tx, store.AllHosted(), func(_ store.Key, x community.Hosted) error {
			if !community.Released(now, &x) {
				return nil
			}
			raw, err := tx.Get(store.HeldRec(x.Key, wire.Tag{}, dhtRec))
			if errors.Is(err, store.ErrNotFound) {
				return nil
			} else if err != nil {
				return err
			}
			r, err := wire.ParseKept(wire.ContextDHT, raw)
			if last, ok := done[x.Key]; err == nil && (!ok || last.t != r.T || now.Mono-last.at >= community.NamingPutAgain ||
				last.servers < min(servers, enoughServers)) {
				due[x.Key] = r
			}
			return nil
		})
	}); err != nil {
		return err
	}
	for k, r := range due {
		putting, end := context.WithTimeout(ctx, putPatience)
		err := h.net.PutNamed(putting, k, r)
		end()
		switch {
		case errors.Is(err, p2p.ErrNoDHT): // there is nobody to tell
			return nil
		case errors.Is(err, p2p.ErrRefused):
			h.log.Debug("a record is too old for the DHT", "err", err)
		case err != nil:
			return err
		}
		done[k] = released{r.T, now.Mono, servers}
	}
	for k, x := range done {
		if now.Mono-x.at > 2*community.NamingPutAgain { // it is hosted no more
			delete(done, k)
		}
	}
	return h.keepServers()
}

// meetServers tells the network of the DHT servers that the operator names, of the other nodes of this community, and of those that were met before.
func (h *Host) meetServers() {
	var known []string
	_ = h.store.View(func(tx store.Tx) error {
		list, err := find[[]string](tx, store.Meta("dht"))
		known = *orZero(list)
		return err
	})
	for _, text := range slices.Concat(known, h.cfg.Nodes, h.cfg.Meet) {
		if p, addr, err := p2p.ParseDial(text); err == nil && addr != nil {
			h.net.MeetDHT(p, [][]byte{addr})
		}
	}
}

// keepServers remembers whom the table of the DHT holds.
func (h *Host) keepServers() error {
	known := h.net.KnownDHT()
	slices.Sort(known)
	return h.store.Update(func(tx store.Tx) error {
		if old, err := find[[]string](tx, store.Meta("dht")); err != nil || old != nil && slices.Equal(*old, known) {
			return err
		}
		return put(tx, store.Meta("dht"), known)
	})
}
