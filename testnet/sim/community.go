package sim

import (
	"context"
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
)

// A town is the always-on node of a community, as the command line starts it.
type town struct {
	plan.Town
	host   *host.Host
	cancel context.CancelFunc
	ended  chan error
	invite string
}

const slotPatience = time.Minute // in which who cannot be dialled has his slot at a relay

// found starts the nodes of all communities.
func (w *World) found() error {
	for i, at := range w.Plan.Towns {
		c := host.Config{Home: filepath.Join(w.opts.Homes, fmt.Sprint("c", i)), Name: at.Name, Clock: testnet.NewClock().Now,
			Rand: chance(w.Plan.Seed, "community "+at.Name, 1), Net: p2p.Config{Host: w.Net.Host(at.IP)}}
		if at.Mute {
			c.Net.Circuits.Data = 1
			c.Between = func(c p2p.Custodian) p2p.Custodian { return mute{c} }
		}
		h, err := host.Open(c)
		if err != nil {
			return fmt.Errorf("community %s: %w", at.Name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		t := &town{Town: at, host: h, cancel: cancel, ended: make(chan error, 1)}
		w.towns = append(w.towns, t)
		go func() { t.ended <- h.Run(ctx) }()
		select {
		case <-h.Ready():
		case err := <-t.ended:
			t.ended <- nil
			return fmt.Errorf("community %s: %w", at.Name, err)
		}
		inv, err := h.Invite(uint32(len(w.Plan.Nodes)+1), 30*24*time.Hour)
		if err != nil {
			return fmt.Errorf("community %s: %w", at.Name, err)
		}
		t.invite = inv.String()
	}
	return nil
}

func (t *town) end() error {
	t.cancel()
	return errors.Join(<-t.ended, t.host.Close())
}

// settle has a node join the communities of its class. It returns once the node can be reached through a relay, if it cannot be
// dialled.
func (w *World) settle(p *Peer, n *node.Node) error {
	relay := false
	for _, t := range w.towns {
		if !t.Has(p.Node) {
			continue
		}
		if _, err := n.Join(context.Background(), t.invite); err != nil {
			return fmt.Errorf("join %s: %w", t.Name, err)
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
		bytes += w.Net.Sent(t.IP)
	}
	return bytes
}

// direct is which share of what honest nodes sent went to another node, and not to one of a community.
func (w *World) direct() (share float64, bytes uint64) {
	var straight uint64
	w.Net.Each(func(from, to string, t testnet.Traffic) {
		if w.at(from) < 0 {
			return
		}
		bytes += t.Bytes
		if w.at(to) >= 0 {
			straight += t.Bytes
		}
	})
	return float64(straight) / float64(max(bytes, 1)), bytes
}
