package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/store/crash"
)

// togetherMost is how many messages one signature answers, at most as many as an Ack can name. What they were
// answered with is kept once for all of them.
const togetherMost = wire.MaxMIDs

// pauseUnsaved is how long senders are told to wait once a message could not be saved.
const pauseUnsaved = 10 * time.Second

// An incoming is an instant message that waits to be committed.
type incoming struct {
	arrival
	facts message.Arrival
	r     records
	by    []byte        // the Signed address record that vouches for it
	held  bool          // it comes from those that waited
	done  chan struct{} // closed when it was answered, or was not saved
}

// intakes gather what a contact's device sends while other messages of it are being committed, so that the
// next commit takes them together and one signature answers them all (SPEC 5.3).
type intakes struct {
	mu sync.Mutex
	by map[intakeKey]*intake
}

type intakeKey struct {
	from identity.Address
	peer p2p.PeerID
}

type intake struct{ queue []*incoming }

// join queues x; first says that nobody leads its queue, so that the caller has to.
func (s *intakes) join(x *incoming) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.by == nil {
		s.by = map[intakeKey]*intake{}
	}
	k := intakeKey{x.facts.IM.From, x.peer}
	q, led := s.by[k]
	if !led {
		q = &intake{}
		s.by[k] = q
	}
	q.queue = append(q.queue, x)
	return !led
}

// next takes what is to be committed together: none twice, and none beside the one that it is sent again
// for, since each looks for the other in the store. Nil says that there is nothing left to lead.
func (s *intakes) next(k intakeKey) (batch []*incoming) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.by[k]
	var ids []wire.MID
	for _, x := range q.queue {
		again := x.facts.IM.ResendOf
		if len(batch) == togetherMost || slices.Contains(ids, x.id) || !again.IsZero() && slices.Contains(ids, again) {
			break
		}
		if ids = append(ids, x.id); !again.IsZero() {
			ids = append(ids, again)
		}
		batch = append(batch, x)
	}
	if q.queue = q.queue[len(batch):]; len(batch) == 0 {
		delete(s.by, k)
	}
	return batch
}

// take commits a message and answers it: at once, or together with those that came meanwhile. Those of
// strangers come one by one.
func (n *Node) take(ctx context.Context, x *incoming) {
	if !x.facts.Signed || x.facts.IM.Unsigned() || x.facts.IM.From.IsZero() || !n.isContact(x.facts.IM.From) {
		n.admitAll(ctx, []*incoming{x})
		return
	}
	if !n.intakes.join(x) {
		select {
		case <-x.done:
		case <-ctx.Done():
		}
		return
	}
	k := intakeKey{x.facts.IM.From, x.peer}
	for batch := n.intakes.next(k); len(batch) > 0; batch = n.intakes.next(k) {
		n.admitAll(ctx, batch)
	}
}

// admitAll is the transaction of SPEC 5.4 for messages of one sender, and what leaves after it.
func (n *Node) admitAll(ctx context.Context, batch []*incoming) {
	defer func() {
		for _, x := range batch {
			close(x.done)
		}
	}()
	var acks []answered
	err := n.update(func(t *txn) (err error) {
		acks, err = n.admit(t, batch)
		crash.Point("inbox: written, not committed")
		return err
	})
	if err != nil {
		if errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrReadOnly) || errors.Is(err, store.ErrClosed) {
			n.net.Pause(pauseUnsaved)
		}
		n.log.Warn("messages were not saved, so they were not acknowledged; they come again", "err", err)
		return
	}
	crash.Point("inbox: committed, not acknowledged")
	if crash.Planted(crash.IDsApart) {
		n.rememberApart(acks)
	}
	for _, a := range acks {
		if a.no || n.acks() == "all" {
			n.acknowledge(ctx, a.by, a.ack)
		}
	}
	crash.Point("inbox: acknowledged")
}

// rememberApart is the mistake [crash.IDsApart].
func (n *Node) rememberApart(acks []answered) {
	crash.Window()
	_ = n.update(func(t *txn) error {
		for _, a := range acks {
			ack, err := wire.ParseAck(a.ack.Body)
			if err != nil {
				return err
			}
			for _, id := range ack.MIDs {
				if err := remember(t, ack.To, id, nil, message.Seen{Ack: a.ack.Append(nil), Until: t.now.Wall.Add(wire.IMMaxLife)}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// answered is an ack, and the arrival under whose key it goes.
type answered struct {
	by  arrival
	ack wire.Signed
	no  bool // it is a refusal, which is told in any case
}

// admit judges and writes all of a batch, so that two copies of a message that arrive together find each
// other, and signs as few acks as can be.
func (n *Node) admit(t *txn, batch []*incoming) (acks []answered, err error) {
	var kept []*incoming
	var verdicts []message.Verdict
	var answers []message.Answer
	for _, x := range batch {
		v, err := n.judgeMessage(t, x)
		switch {
		case err != nil:
			return nil, err
		case v.Kind == message.Ignore:
			n.count("closed-full")
			n.noteAway(t, x, v, "not answered", "what waits until I am open has no room for it", "my own rule")
			continue
		case v.Kind == message.Hold:
			n.noteAway(t, x, v, "held", "it waits until I am open, and is not answered before", "on this disk")
			if err := n.holdMessage(t, x); err != nil {
				return nil, err
			}
			continue
		}
		if x.held {
			if err := t.Delete(store.Held(x.facts.IM.From, x.id)); err != nil {
				return nil, err
			}
		}
		switch {
		case v.Kind == message.Repeat:
			n.count("repeated")
			ack, err := n.repeat(t, x.facts.IM.From, x.facts)
			if err != nil {
				return nil, err
			}
			acks = append(acks, answered{x.arrival, ack, x.facts.Seen.Refused})
			if _, word, ok := t.ackIn(x.facts.IM.From, ack.Append(nil)); ok {
				n.noteAway(t, x, v, "repeated", "it came again, and was answered as before: "+outcomeOf(word), ackWord(ack, word))
			}
			continue
		case v.Kind == message.Reject:
			n.count(v.Reason.String())
		}
		kept, verdicts, answers = append(kept, x), append(verdicts, v), append(answers, v.Answer(x.facts.IM.From))
	}
	for _, body := range (message.Signer{Address: n.self.Address, Device: n.self.Device, ArSeq: n.own.Load().AddressSeq}).Acks(t.now, answers...) {
		ack := wire.Sign(n.keys.Device(), wire.TypeAck, body.Append(nil))
		raw, first := ack.Append(nil), true
		for i, x := range kept {
			if !slices.Contains(body.MIDs, x.id) {
				continue
			}
			if len(verdicts[i].Remember) > 0 {
				if raw, err = t.keepAck(body.To, body, raw); err != nil {
					return nil, err
				}
			}
			if err := n.commit(t, x, verdicts[i], raw); err != nil {
				return nil, err
			}
			n.traceVerdict(t, x, verdicts[i], ackWord(ack, body))
			if first {
				acks, first = append(acks, answered{x.arrival, ack, body.Reason != wire.ReasonNone}), false
			}
		}
	}
	return acks, nil
}
