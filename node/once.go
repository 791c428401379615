package node

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// The ack of an anonymous message that waited in a mailbox comes to a mailbox that is there for it alone (SPEC 14.131),
// at a community of its author: its key is drawn for that message, so that neither the recipient nor her mailbox can tell
// by it that two messages are of one author, nor whose mailbox it is. It is opened when the message is left, and ended
// when its ack is here or would count no more. The node of that community, which knows its member, sees both.

// onceBoxes is how many of them this device has at once; what is sent above that has none.
const onceBoxes = 16

// onceState is the messages that have such a mailbox.
type onceState struct {
	mu      sync.Mutex
	held    map[wire.MID]bool // true: somebody follows it
	unknown map[p2p.PeerID]bool
}

// note follows what an entry says of its mailbox.
func (s *onceState) note(e message.Entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Once == nil, e.State.Final() && !e.Once.Open:
		delete(s.held, e.ID)
	case !s.held[e.ID]:
		s.held[e.ID] = false
	}
}

func (s *onceState) forget(id wire.MID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, id)
}

// follow reports whether nobody follows a mailbox yet, and says that somebody does.
func (s *onceState) follow(id wire.MID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[id] {
		return false
	}
	s.held[id] = true
	return true
}

func (s *onceState) left(id wire.MID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[id] {
		s.held[id] = false
	}
}

func (s *onceState) ids() (out []wire.MID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.held {
		out = append(out, id)
	}
	return out
}

// room reports whether p may be asked for one more.
func (s *onceState) room(p p2p.PeerID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.held) < onceBoxes && !s.unknown[p]
}

// keepsNone notes that a node knows no such mailboxes.
func (s *onceState) keepsNone(p p2p.PeerID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unknown[p] = true
}

// oneTime draws the mailbox for the ack of an anonymous message, and names it there; nil if there is to be none: its author
// wants to hear of no ack, is in no community with a mailbox, or has as many as he may.
func (n *Node) oneTime(im *wire.IM, d Draft) (*message.Once, error) {
	if d.Quiet {
		return nil, nil
	}
	for _, m := range n.joined.all() {
		if !m.does(wire.RoleMailbox) || n.joined.isDenied(m.peer()) || !n.onces.room(m.peer()) {
			continue
		}
		o := &message.Once{Peer: m.Peer}
		if _, err := io.ReadFull(n.cfg.Rand, o.Seed[:]); err != nil {
			return nil, err
		}
		at := m.endpoint()
		at.Mbox = o.Key().Public()
		im.Reply = &at
		return o, nil
	}
	return nil, nil
}

// openOnce has the mailbox of a message there before the message is left where its ack would come from.
func (n *Node) openOnce(ctx context.Context, e message.Entry) {
	if e.Once == nil {
		return
	}
	m, ok := n.joined.at(p2p.PeerID(e.Once.Peer))
	if !ok {
		return
	}
	if err := n.editEntry(e.ID, func(_ *txn, e *message.Entry) (changed bool, _ error) {
		if changed = e.Once != nil && !e.Once.Open; changed {
			e.Once.Open = true
		}
		return changed, nil
	}); err != nil {
		n.log.Warn("a mailbox for an ack was not noted, and not opened", "err", err)
		return
	}
	ctx, done := context.WithTimeout(ctx, handTimeout)
	defer done()
	err := n.sayOnce(ctx, m, *e.Once, e.OnceUntil())
	if err != nil {
		n.log.Debug("a mailbox for an ack was not opened", "err", err)
	}
	n.followOnce(e.ID, err == nil)
}

// sayOnce tells the node of m until when a mailbox is to be there.
func (n *Node) sayOnce(ctx context.Context, m membership, o message.Once, until identity.Time) error {
	mbox := o.Key().Public()
	err := n.registerAs(ctx, m, o.Key(), wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{mbox}, Until: until})
	if errors.Is(err, p2p.ErrUnknownOp) {
		n.onces.keepsNone(m.peer())
	}
	return err
}

// followOnces goes on where this node last ended.
func (n *Node) followOnces() {
	for _, id := range n.onces.ids() {
		n.followOnce(id, false)
	}
}

// followOnce reads the mailbox of a message until its ack is here, and ends it; open says that it is there already.
func (n *Node) followOnce(id wire.MID, open bool) {
	var e message.Entry
	if err := n.peekEntry(id, func(found message.Entry) error { e = found; return nil }); err != nil || e.Once == nil || !e.Once.Open || !n.onces.follow(id) {
		return
	}
	n.spawn(func(ctx context.Context) {
		defer n.onces.left(id)
		for pause := attendPause; ctx.Err() == nil; pause = min(2*pause, attendMost) {
			over, err := n.visitOnce(ctx, &e, &open)
			if over || ctx.Err() != nil {
				return
			}
			if err == nil {
				pause = attendPause / 2
				continue
			}
			n.log.Debug("a mailbox for an ack was not read", "err", err)
			sleep(ctx, time.Duration((0.8+0.4*n.jitter())*float64(pause)))
		}
	})
}

// visitOnce does what is next to be done about the mailbox of e, which it brings up to date; over says that it was the
// last.
func (n *Node) visitOnce(ctx context.Context, e *message.Entry, open *bool) (over bool, err error) {
	gone, dropped := true, false // deleted, by its user
	if err := n.peekEntry(e.ID, func(found message.Entry) error {
		if gone, dropped = false, found.Once == nil; !dropped {
			*e = found
		}
		return nil
	}); err != nil || dropped {
		return dropped, err
	}
	m, member := n.joined.at(p2p.PeerID(e.Once.Peer))
	switch {
	case !member:
		return true, n.dropOnce(e.ID)
	case gone || e.OnceOver(n.now()):
		err := n.sayOnce(ctx, m, *e.Once, 1)
		if err == nil || errors.Is(err, p2p.ErrRefused) || n.now().Wall > e.OnceUntil() { // else it ends by itself
			return true, n.dropOnce(e.ID)
		}
		return false, err
	case !*open:
		err := n.sayOnce(ctx, m, *e.Once, e.OnceUntil())
		if *open = err == nil; errors.Is(err, p2p.ErrRefused) {
			return true, n.dropOnce(e.ID)
		}
		return false, err
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	if !e.State.Final() {
		over := n.mail.over(e.ID)
		n.spawn(func(context.Context) {
			defer stop()
			select {
			case <-over:
			case <-reading.Done():
			}
		})
	}
	err = n.collect(reading, m, e.Once.Key().Public(), e.Once.Key())
	switch {
	case errors.Is(err, p2p.ErrNotFound):
		*open = false
	case reading.Err() != nil && ctx.Err() == nil: // it is settled
		return false, nil
	}
	return false, err
}

// dropOnce forgets the mailbox of a message.
func (n *Node) dropOnce(id wire.MID) error {
	n.onces.forget(id)
	return n.editEntry(id, func(_ *txn, e *message.Entry) (changed bool, _ error) {
		changed = e.Once != nil
		e.Once = nil
		return changed, nil
	})
}
