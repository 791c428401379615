package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
	"github.com/hum-presence/hum/testnet/plan"
	"github.com/hum-presence/hum/testnet/virtual"
)

// A town is the always-on node of a community, as the command line starts it.
type town struct {
	plan.Town
	n      int           // its number
	known  chan struct{} // closed when its invite is there
	invite string

	host   *host.Host // nil until it serves, and in other processes
	cancel context.CancelFunc
	ended  chan error
}

const slotPatience = time.Minute // in which who cannot be dialled has his slot at a relay, and a community serves

// number is what [virtual.As] knows it by.
func (t *town) number() uint64 { return 1<<40 | uint64(t.n) }

// found starts the nodes of all communities that live in this process.
func (w *World) found() {
	for _, t := range w.towns {
		if m := w.opts.Shard; m != nil && w.townShard(t.n) != m.Shard {
			continue
		}
		w.acting.Go(func() {
			virtual.As(t.number(), func() {
				if err := w.raise(t); err != nil {
					w.Fail("community %s: %v", t.Name, err)
				}
			})
		})
	}
}

// raise starts one, and returns once it serves and its invite is under way.
func (w *World) raise(t *town) error {
	if virtual.Exact {
		time.Sleep(time.Duration(len(w.Plan.Nodes) + t.n + 1)) // as nodes do, none starts in the same instant as another
	}
	c := host.Config{Home: filepath.Join(w.opts.Homes, fmt.Sprint("c", t.n)), Name: t.Name, Clock: testnet.NewClock().Now,
		Rand: chance(w.Plan.Seed, "community "+t.Name, 1), Net: p2p.Config{Host: w.Net.Host(t.IP)}}
	if t.Handles {
		c.Web.Domains = []string{t.Domain()}
	}
	if t.Mute {
		c.Net.Circuits.Data = 1
		c.Between = func(c p2p.Custodian) p2p.Custodian { return mute{c} }
	}
	h, err := host.Open(c)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	select {
	case <-h.Ready():
	case err := <-ended:
		cancel()
		return errors.Join(err, h.Close())
	}
	inv, err := h.Invite(uint32(len(w.Plan.Nodes)+1), 30*24*time.Hour)
	if err != nil {
		cancel()
		return errors.Join(err, <-ended, h.Close())
	}
	w.mu.Lock()
	t.host, t.cancel, t.ended = h, cancel, ended
	w.mu.Unlock()
	w.tellAll(time.Now().Add(cardDelay), crossInvite, append(binary.BigEndian.AppendUint64(nil, uint64(t.n)), inv.String()...))
	return nil
}

func (t *town) end() error {
	if t.host == nil {
		return nil
	}
	t.cancel()
	return errors.Join(<-t.ended, t.host.Close())
}

// settle has a node join the communities of its class, and take its name there. It returns once the node can be reached through
// a relay, if it cannot be dialled.
func (w *World) settle(p *Peer, n *node.Node) error {
	relay := false
	for _, t := range w.towns {
		if !t.Has(p.Node) {
			continue
		}
		select {
		case <-t.known:
		case <-time.After(slotPatience):
			return fmt.Errorf("join %s: it does not serve", t.Name)
		}
		if _, err := n.Join(context.Background(), t.invite); err != nil {
			return fmt.Errorf("join %s: %w", t.Name, err)
		}
		if handle := t.Handle(p.Node); handle != "" {
			switch f, err := n.AddHandle(context.Background(), handle); {
			case err != nil:
				return fmt.Errorf("%s: %w", handle, err)
			case f.State != "vouched":
				return fmt.Errorf("%s is not vouched for: %s", handle, f.Detail)
			}
		}
		relay = true
	}
	for began := w.Now(); relay && p.NAT; time.Sleep(time.Second) {
		card, err := n.Card()
		switch {
		case err != nil:
			return err
		case strings.Contains(card, "p2p-circuit"):
			return nil
		case w.Now()-began > slotPatience:
			return errors.New("it has no slot at a relay")
		}
	}
	return nil
}

// mute is a custodian that thanks for everything, and of whom nothing is ever heard again.
type mute struct{ p2p.Custodian }

func (mute) HandleHost(_ p2p.PeerID, r wire.HostRequest) (wire.Time, wire.FrameStatus) {
	return r.Until, wire.OK
}
func (mute) HandleRecKept(p2p.PublicKey, wire.Rec) error                    { return nil }
func (mute) HandlePut(wire.Context, p2p.PublicKey, []byte) wire.FrameStatus { return wire.OK }
func (mute) HandleGet(p2p.PublicKey) ([]byte, bool)                         { return nil, false }

func (m mute) HandleMbox(ctx context.Context, from p2p.PeerID, nonce wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte) {
	switch f.Op {
	case wire.OpForward:
		return wire.OK, nil
	case wire.OpList:
		return wire.OK, wire.MboxListing{}.Append(nil)
	case wire.OpWait:
		select {
		case <-ctx.Done():
		case <-time.After(time.Minute):
		}
		return wire.OK, wire.MboxListing{}.Append(nil)
	}
	return m.Custodian.HandleMbox(ctx, from, nonce, f)
}

// served is what left the machines of the communities so far.
func (w *World) served() (bytes uint64) {
	for _, t := range w.towns {
		if m := w.opts.Shard; m == nil || w.townShard(t.n) == m.Shard {
			bytes += w.Net.Sent(t.IP)
		}
	}
	return bytes
}

// direct is how much of what honest nodes sent came to another node, and not to one of a community, and how much came anywhere.
// What is sent to somebody behind a NAT and heard by nobody, as packets that would punch a hole are, is none of it. Each process knows
// what came to those who live in it.
func (w *World) direct() (straight, bytes uint64) {
	w.Net.Each(func(from, to string, t testnet.Traffic) {
		if n := w.at(from); n < 0 || w.Plan.Nodes[n].Adversary {
			return
		}
		bytes += t.Heard
		if w.at(to) >= 0 {
			straight += t.Heard
		}
	})
	return straight, bytes
}
