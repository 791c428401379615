package node

import (
	"context"
	"errors"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// mailboxesOf are where messages to somebody wait while he is away: where he lets me by a cap, else those that his
// record names for everybody.
func (n *Node) mailboxesOf(a identity.Address) (out []wire.Endpoint) {
	w, _ := n.presence.watchingOf(a)
	for _, g := range w.Grants() {
		if g.IM != nil && g.IM.Mbox != ([32]byte{}) && len(out) == 0 {
			out = append(out, *g.IM)
		}
	}
	if pin := n.pins.get(a); len(out) == 0 && pin != nil && !pin.Expired(n.now()) {
		out = append(out, pin.Record.Mailboxes...)
	}
	return out[:min(len(out), depositsAtOnce)]
}

const (
	depositsAtOnce = 2                      // at two operators (SPEC 7.4)
	workTries      = uint64(64) << 20       // hashes for a mailbox that knows me not
	collectPause   = 500 * time.Millisecond // before an item that was not saved is tried again
	collectTries   = 3                      // of an item that leaves no trace
)

// deposit leaves a message that no device of its recipient took, and notes that it is stored once a mailbox says so
// under its signature. That is no delivery: the tries go on (SPEC 7.4).
func (n *Node) deposit(ctx context.Context, id wire.MID, l *letter, to []target) {
	if l.clear || l.signed.Type != wire.TypeIM || n.isStored(id) {
		return
	}
	var every []wire.Recipient
	for _, t := range to {
		every = append(every, t.to)
	}
	boxes := n.mailboxesOf(l.to)
	if len(boxes) == 0 || len(every) == 0 {
		return
	}
	wraps, err := wire.WrapFor(identity.Suite1, l.cek, l.ct, every)
	if err != nil {
		n.log.Warn("a message was not wrapped for a mailbox", "err", err)
		return
	}
	p := wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: l.ct, ExpiresS: wire.ParcelExpiry(l.hint(n.now()))}
	n.letters.put(wire.AckTag(l.cek), sentLetter{to: l.to, cek: l.cek, id: l.signed.ID(), kind: l.signed.Type, gave: l.gave})
	item := wire.MboxItem{Parcel: p.Append(nil)}
	receipts := make(chan error, len(boxes))
	for _, box := range boxes {
		n.spawn(func(ctx context.Context) { receipts <- n.depositAt(ctx, box, item) })
	}
	for range boxes {
		select {
		case err = <-receipts:
		case <-ctx.Done():
			return
		case <-n.ctx.Done():
			return
		}
		if err == nil {
			break
		}
		n.log.Debug("a mailbox did not take a message", "err", err)
	}
	if err != nil {
		return
	}
	if err := n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, _ error) {
		if changed = e.Deposited(t.now); changed {
			t.trace(id, "stored", n.name(e.To), "a mailbox keeps it, sealed", "its signed receipt")
			n.emitSent(t, *e)
		}
		return changed, nil
	}); err != nil {
		n.log.Warn("that a message is stored was not saved", "err", err)
	}
}

func (n *Node) isStored(id wire.MID) (stored bool) {
	_ = n.peekEntry(id, func(e message.Entry) error {
		stored = e.State == message.Stored || e.State.Final()
		return nil
	})
	return stored
}

// depositAt leaves an item in one mailbox.
func (n *Node) depositAt(ctx context.Context, box wire.Endpoint, item wire.MboxItem) error {
	ctx, done := context.WithTimeout(ctx, handTimeout)
	defer done()
	d := wire.Deposit{Mbox: box.Mbox, Item: item}
	if box.Cap != ([32]byte{}) {
		d.Cap = box.Cap[:]
	} else {
		hour := uint64(n.now().Wall) / uint64(time.Hour.Milliseconds())
		pow, ok := wire.Work(box.Mbox, item.Payload(), hour, community.DefaultPoWBits, workTries)
		if !ok {
			return errors.New("no work was found")
		}
		d.PoW = pow
	}
	peer := p2p.PeerID(box.Peer)
	n.net.Meet(peer, box.Addrs)
	_, err := n.net.Deposit(ctx, peer, d)
	return err
}

// collect takes what waits in a mailbox of mine, or waits until something does; what is on the disk here is
// committed there, and only that (SPEC 7.3).
func (n *Node) collect(ctx context.Context, m membership) error {
	mbox, reader := m.mbox().Public(), n.reader(m)
	listing, err := n.net.List(ctx, m.peer(), true, func(nonce wire.Nonce) wire.Signed {
		ask := wire.MboxList{Mbox: mbox, Nonce: nonce, Peer: m.Peer}
		return wire.Sign(reader, wire.TypeMboxList, ask.Append(nil))
	})
	if err != nil {
		return err
	}
	var have [][32]byte
	for _, raw := range listing.Items {
		item, err := wire.ParseMboxItem(raw)
		if err != nil {
			n.count("bad-item")
			continue
		}
		if n.takeStored(ctx, m.peer(), item) {
			have = append(have, item.Digest())
		}
	}
	if len(have) < len(listing.Items) {
		sleep(ctx, collectPause)
	}
	for len(have) > 0 {
		part := have[:min(len(have), wire.MaxMIDs)]
		c := wire.MboxCommit{Mbox: mbox, Digests: part}
		if err := n.net.AskMbox(ctx, m.peer(), wire.OpCommit, wire.Sign(reader, wire.TypeMboxCommit, c.Append(nil))); err != nil {
			return err
		}
		have = have[len(part):]
	}
	return nil
}

// takeStored leads an item to its room, and reports whether it may go from the mailbox: it is saved here, or no try
// will make anything of it.
func (n *Node) takeStored(ctx context.Context, from p2p.PeerID, item wire.MboxItem) bool {
	if item.AckBox != nil {
		if box, err := wire.ParseAckBox(item.AckBox); err == nil {
			n.openAckBox(ctx, from, box)
		}
		return true
	}
	p, err := wire.ParseParcel(item.Parcel)
	if err != nil {
		return true
	}
	o, err := wire.OpenParcel(p, n.self.Address, n.self.Device, n.keys.PreKey)
	if err != nil {
		n.count(causeOf(err))
		return true
	}
	a := arrival{peer: from, cek: o.CEK, kid: o.Kid, signed: o.Inner.Signed, id: o.Inner.Signed.ID(), attached: o.Inner.Attached, at: n.now()}
	im, err := wire.ParseIM(a.signed.Body)
	if a.signed.Type == wire.TypeIM && err == nil {
		a.author = im.From
	}
	n.dispatch(ctx, a)
	return a.author.IsZero() || n.remembers(a.author, a.id) || n.tryNoMore(item.Digest())
}

// remembers reports whether a message was answered for good.
func (n *Node) remembers(from identity.Address, id wire.MID) (ok bool) {
	err := n.view(func(t *txn) error {
		ok = t.Has(store.Seen(from, id)) || t.Has(store.Held(from, id))
		return nil
	})
	return ok && err == nil
}

// tryNoMore counts the tries of an item that leaves no trace here: one that is refused without being remembered.
func (n *Node) tryNoMore(digest [32]byte) bool {
	n.joined.mu.Lock()
	defer n.joined.mu.Unlock()
	if n.joined.tries[digest]++; n.joined.tries[digest] < collectTries {
		return false
	}
	delete(n.joined.tries, digest)
	return true
}

// ackAuthor sends the ack of a message that came by a mailbox to where its author is, if he is anywhere; else it is
// answered when he tries again.
func (n *Node) ackAuthor(author identity.Address, box []byte) {
	for _, p := range n.places(author) {
		n.spawn(func(ctx context.Context) {
			ctx, done := context.WithTimeout(ctx, handTimeout)
			defer done()
			n.net.Meet(p.peer, p.addrs)
			if err := n.net.Ack(ctx, p.peer, box); err != nil {
				n.log.Debug("an ack was not sent", "err", err)
			}
		})
	}
}
