package node

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/store/crash"
)

// What senders are told is the recipient's choice (SPEC 5.3): of all messages, or of those that he refuses
// alone, which his record announces; and that he has opened one, if they ask and he agrees.

// acks is what senders are told of their messages.
func (n *Node) acks() string { return n.acksOf(n.self.Address) }

// acksOf is what senders are told by an address, as its newest record says.
func (n *Node) acksOf(a identity.Address) string {
	if n.declares(a, identity.NoAcks) {
		return "refusals"
	}
	return "all"
}

// classOfSender is the class of somebody who writes: messages claim no pseudonym.
func (n *Node) classOfSender(a identity.Address) policy.Class {
	if n.isContact(a) {
		return policy.Known
	}
	return policy.Unknown
}

// telling is what holds where the user said t: the node's own setting where he said nothing.
func (n *Node) telling(t policy.Telling) string {
	if t == policy.Tell || t == policy.ByOthers && n.settings.DisplayedAcks {
		return policy.Tell.String()
	}
	return policy.KeepQuiet.String()
}

// tellsDisplayed reports whether somebody who asks is told that I have opened his message.
func (n *Node) tellsDisplayed(a identity.Address) bool {
	tell := n.telling(n.rules().Tells(a, n.classOfSender(a)))
	return tell == policy.Tell.String() && !n.declares(n.self.Address, identity.NoAcks)
}

// unacked is what must be known before somebody is written to whose inbox acknowledges nothing.
func (n *Node) unacked(a identity.Address) string {
	if !n.declares(a, identity.NoAcks) {
		return ""
	}
	return n.name(a) + " acknowledges no messages, and says so: you will hear of a refusal, and not of a delivery"
}

// A display ack that is owed waits until its sender's node can be reached: he is told once that it left. So does the
// report of a gateway.
type owedDisplay struct {
	To     identity.Address
	ID     wire.MID
	CEK    [32]byte
	Until  identity.Time // when he cannot open it any more
	Report []byte        `cbor:",omitempty"` // the Signed Ack of a gateway; else it is displayed
}

func (o owedDisplay) key() store.Key {
	if len(o.Report) > 0 {
		return store.Meta(owedDisplays + o.ID.String() + "/report")
	}
	return store.Meta(owedDisplays + o.ID.String())
}

const owedDisplays = "display/"

// oweDisplayed notes that the sender of a message is to be told that it was opened.
func (n *Node) oweDisplayed(t *txn, row message.Row, cek [32]byte) error {
	return n.owe(t, owedDisplay{To: row.From, ID: row.ID, CEK: cek, Until: row.Expires.Add(wire.ResendWindow)})
}

func (n *Node) owe(t *txn, o owedDisplay) error {
	t.after(func() { n.spawn(func(ctx context.Context) { n.payDisplayed(ctx, o.To) }) })
	return put(t, o.key(), o)
}

// displaysOwed are those that are owed to an address, and those that came too late for anybody.
func (n *Node) displaysOwed(a identity.Address) (due, late []owedDisplay, err error) {
	err = n.eachDisplay(func(t *txn, o owedDisplay) {
		switch {
		case t.now.Past(o.Until):
			late = append(late, o)
		case o.To == a:
			due = append(due, o)
		}
	})
	return due, late, err
}

func (n *Node) eachDisplay(f func(t *txn, o owedDisplay)) error {
	return n.view(func(t *txn) error {
		for k, b := range t.Scan(store.AllMeta(), store.ScanOptions{From: store.Meta(owedDisplays)}) {
			if !strings.HasPrefix(k.Name(), owedDisplays) {
				break // what lies behind them is of other types
			}
			o, err := decode[owedDisplay](k, b)
			if err != nil {
				return err
			}
			f(t, o)
		}
		return nil
	})
}

// payDisplays tries to pay whatever is owed.
func (n *Node) payDisplays() error {
	to := map[identity.Address]bool{}
	err := n.eachDisplay(func(_ *txn, o owedDisplay) { to[o.To] = true })
	for a := range to {
		n.spawn(func(ctx context.Context) { n.payDisplayed(ctx, a) })
	}
	return err
}

// standsFor is how long a connection stands at most whose other end is dead: what was written to one that stands
// longer has been read.
const standsFor = time.Minute

// payDisplayed tells somebody what I have opened of his. What is not known to have come to him is told again
// with the next connection: hearing it twice changes nothing.
func (n *Node) payDisplayed(ctx context.Context, a identity.Address) {
	due, over, err := n.displaysOwed(a)
	if sent := n.tellDisplayed(ctx, a, due); len(sent) > 0 {
		crash.Point("open: its sender told, not noted")
		select {
		case <-ctx.Done():
			return
		case <-time.After(standsFor):
		}
		if slices.ContainsFunc(sent, func(p p2p.PeerID) bool { up, _ := n.net.Connected(p); return up }) {
			over = append(over, due...)
		}
	}
	if err == nil && len(over) > 0 {
		err = n.update(func(t *txn) error {
			for _, o := range over {
				if what, ack := "that it was opened, as he asked", "ack displayed"; !t.now.Past(o.Until) {
					if len(o.Report) > 0 {
						what, ack = "what became of it", "the report"
					}
					t.trace(o.ID, "told", n.name(o.To), what, ack+", written to a connection that stood")
				}
				if err := t.Delete(o.key()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		n.log.Warn("what was opened is not told, or told again", "err", err)
	}
}

// tellDisplayed writes acks to each place of their reader, and returns where it could.
func (n *Node) tellDisplayed(ctx context.Context, a identity.Address, due []owedDisplay) (sent []p2p.PeerID) {
	if len(due) == 0 {
		return nil
	}
	for _, p := range n.places(a) {
		n.keep(a, p)
		err := error(nil)
		for _, o := range due {
			ack, bad := n.signAck(o.To, []wire.MID{o.ID}, wire.Displayed, wire.ReasonNone, 0), error(nil)
			if len(o.Report) > 0 {
				ack, bad = wire.ParseSigned(o.Report)
			}
			err = errors.Join(err, bad, n.net.Ack(ctx, p.peer, wire.SealAck(n.cfg.Rand, o.CEK, ack).Append(nil)))
		}
		if err == nil {
			sent = append(sent, p.peer)
		}
	}
	n.unkeep(a)
	return sent
}
