package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// mailboxesOf are where what is for somebody waits while he is away: where he lets me by a cap, with the same cap at
// the others that his record names; else those, for everybody. Told is what he said in the very message that is
// answered, if anything.
func (n *Node) mailboxesOf(a identity.Address, told *wire.Endpoint) (out []wire.Endpoint) {
	w, _ := n.presence.watchingOf(a)
	capped := func(e *wire.Endpoint) {
		if e != nil && e.Mbox != ([32]byte{}) && len(e.Peer) > 0 && len(out) == 0 {
			out = append(out, *e)
		}
	}
	for _, g := range w.Grants() {
		capped(g.IM)
	}
	capped(w.Mailbox)
	capped(told)
	if pin := n.pins.get(a); pin != nil && !pin.Expired(n.now()) {
		for _, e := range pin.Record.Mailboxes {
			if len(out) > 0 {
				e.Cap = out[0].Cap
			}
			if !slices.ContainsFunc(out, func(x wire.Endpoint) bool { return string(x.Peer) == string(e.Peer) }) {
				out = append(out, e)
			}
		}
	}
	return out[:min(len(out), depositsAtOnce)]
}

const (
	directFor      = 5 * time.Second        // a message is tried alone on the direct way before it is left too (SPEC 7.4)
	depositsAtOnce = 2                      // at two operators (SPEC 7.4)
	leaveAgain     = 12 * time.Hour         // a request that was left in a mailbox is not left once more before
	leftKept       = 4096                   // of those, in memory
	workTries      = uint64(64) << 20       // hashes for a mailbox that knows me not
	collectPause   = 500 * time.Millisecond // before an item that was not saved is tried again
	collectTries   = 3                      // of an item that leaves no trace
	collectIdle    = 10 * time.Second       // a mailbox that waits for nothing is asked no more often
	takenKept      = 4096                   // items that are known to be here, in memory
)

// deliverOrLeave hands a message over, and leaves it in mailboxes too if no device has taken it within 5 s, or if one that
// had taken it before has not answered within 5 s again: what is on the way to it may change what it gets, so that it
// cannot be opened (SPEC 14.127). That is no delivery: the direct tries go on (SPEC 7.4).
func (n *Node) deliverOrLeave(ctx context.Context, id wire.MID, l *letter, to []target) result {
	left := make(chan struct{})
	leave := time.AfterFunc(directFor, func() {
		n.spawn(func(context.Context) {
			defer close(left)
			n.deposit(ctx, id, l, to)
		})
	})
	r := n.deliver(ctx, l, to)
	if leave.Stop() {
		close(left)
	}
	if r.taken {
		n.mail.taken(id)
		n.leaveUnanswered(id, l, to)
		return r
	}
	select {
	case <-left:
	case <-n.ctx.Done():
		return r
	}
	if r.status == 0 {
		n.deposit(ctx, id, l, to)
	}
	return r
}

// leaveUnanswered leaves a message that is taken again and again, and not answered, where its recipient finds it by another
// way.
func (n *Node) leaveUnanswered(id wire.MID, l *letter, to []target) {
	if l.fresh || l.clear || n.declares(l.to, identity.NoAcks) || len(n.mailboxesOf(l.to, nil)) == 0 {
		return
	}
	n.spawn(func(ctx context.Context) {
		if !n.settlesWithin(ctx, id, directFor) {
			n.deposit(ctx, id, l, to)
		}
	})
}

// deposit leaves a message where it waits for its recipient, and notes that it is stored once a mailbox says so under
// its signature.
func (n *Node) deposit(ctx context.Context, id wire.MID, l *letter, to []target) {
	if l.clear || l.signed.Type != wire.TypeIM || n.isStored(id) {
		return
	}
	boxes := n.mailboxesOf(l.to, nil)
	if len(boxes) == 0 || len(to) == 0 {
		return
	}
	l, err := n.forMailbox(id, l, to)
	if err != nil || l == nil {
		return
	}
	parcel, err := n.parcelFor(l, to)
	if err != nil {
		n.log.Warn("a message was not wrapped for a mailbox", "err", err)
		return
	}
	if !n.leaveItem(ctx, boxes, wire.MboxItem{Parcel: parcel}) {
		return
	}
	if err := n.noteStored(id); err != nil {
		n.log.Warn("that a message is stored was not saved", "err", err)
	}
}

// forMailbox is a letter as it is left for several devices: one that knows nothing of me yet finds my records in it, since
// nobody may be there whom it could ask (SPEC 14.129).
func (n *Node) forMailbox(id wire.MID, l *letter, to []target) (*letter, error) {
	if len(to) < 2 || n.pins.told(l.to) == (told{}) {
		return l, nil
	}
	if err := n.editEntry(id, func(_ *txn, e *message.Entry) (bool, error) {
		e.Attach = !e.Anonymous
		return e.Attach, nil
	}); err != nil {
		return nil, err
	}
	return n.entryLetter(id, to)
}

// noteStored notes that a mailbox keeps a message, which is no delivery.
func (n *Node) noteStored(id wire.MID) error {
	return n.editEntry(id, func(t *txn, e *message.Entry) (changed bool, _ error) {
		if changed = e.Deposited(t.now); changed {
			t.trace(id, "stored", n.name(e.To), "a mailbox keeps it, sealed", "its signed receipt")
			n.emitSent(t, *e)
		}
		return changed, nil
	})
}

// leaveItem leaves an item in mailboxes of one recipient, in all of them at once; ok once one has given its receipt.
func (n *Node) leaveItem(ctx context.Context, boxes []wire.Endpoint, item wire.MboxItem) (ok bool) {
	receipts := make(chan error, len(boxes))
	for _, box := range boxes {
		n.spawn(func(run context.Context) { receipts <- n.depositAt(run, box, item) })
	}
	for range boxes {
		select {
		case err := <-receipts:
			if err == nil {
				return true
			}
			n.log.Debug("a mailbox did not take an item", "err", err)
		case <-ctx.Done():
			return false
		case <-n.ctx.Done():
			return false
		}
	}
	return false
}

// leaveLetter leaves a control letter, once in a while for each key, where its recipient finds it when he is back.
func (n *Node) leaveLetter(ctx context.Context, l *letter, to []target, key string) {
	boxes := n.mailboxesOf(l.to, l.reply)
	if len(boxes) == 0 || len(to) == 0 || !n.joined.mayLeave(key, n.now()) {
		return
	}
	l.all = true // it may be long until it is read
	err := n.seal(l)
	var parcel []byte
	if err == nil {
		parcel, err = n.parcelFor(l, to)
	}
	if err != nil || !n.leaveItem(ctx, boxes, wire.MboxItem{Parcel: parcel}) {
		n.joined.leftNot(key)
		n.log.Debug("a letter was not left in a mailbox", "err", err)
	}
}

func (j *joinedState) mayLeave(key string, now identity.Now) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if at, ok := j.left[key]; ok && now.Mono-at < leaveAgain {
		return false
	}
	if len(j.left) >= leftKept {
		clear(j.left)
	}
	j.left[key] = now.Mono
	return true
}

func (j *joinedState) leftNot(key string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.left, key)
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
	return n.depositBy(ctx, n.depositOnce, box, item)
}

// depositBy is depositAt, in one of the ways to leave something there.
func (n *Node) depositBy(ctx context.Context, leave func(context.Context, wire.Endpoint, wire.Deposit) error, box wire.Endpoint, item wire.MboxItem) error {
	ctx, done := context.WithTimeout(ctx, handTimeout)
	defer done()
	d := wire.Deposit{Mbox: box.Mbox, Item: item}
	if box.Cap != ([32]byte{}) {
		d.Cap = box.Cap[:]
		return leave(ctx, box, d)
	}
	hour := uint64(n.now().Wall) / uint64(time.Hour.Milliseconds())
	pow, ok := wire.Work(box.Mbox, item.Payload(), hour, community.DefaultPoWBits, workTries)
	if !ok {
		return errors.New("no work was found")
	}
	d.PoW = pow
	return leave(ctx, box, d)
}

// depositOnce leaves it there, in private mode through a node of mine.
func (n *Node) depositOnce(ctx context.Context, box wire.Endpoint, d wire.Deposit) (err error) {
	if via, up := n.through(box, wire.RoleMailbox); up != nil {
		_, err = n.net.DepositThrough(ctx, via, up.At, up.Token, d)
	} else {
		_, err = n.net.Deposit(ctx, via, d)
	}
	return err
}

// collect takes what waits in a mailbox of mine at the node of m, or waits until something does; what is on the disk here is
// committed there, and only that (SPEC 7.3).
func (n *Node) collect(ctx context.Context, m membership, mbox wire.MailboxID, reader identity.SigningKey) error {
	asked := n.now().Mono
	listing, err := n.net.List(ctx, m.peer(), true, func(nonce wire.Nonce) wire.Signed {
		ask := wire.MboxList{Mbox: mbox, Nonce: nonce, Peer: m.Peer}
		return wire.Sign(reader, wire.TypeMboxList, ask.Append(nil))
	})
	if err != nil {
		return err
	}
	var have [][32]byte
	fresh := 0
	for _, raw := range listing.Items {
		item, err := wire.ParseMboxItem(raw)
		if err != nil {
			n.count("bad-item")
			continue
		}
		digest := item.Digest()
		if n.joined.isTaken(digest) {
			n.count("item-again")
			have = append(have, digest)
			continue
		}
		if fresh++; n.takeStored(ctx, m.peer(), item) {
			n.joined.take(digest)
			have = append(have, digest)
		}
	}
	switch {
	case fresh == 0 && n.now().Mono-asked < collectIdle: // one that answers at once, and has nothing, is not asked at once
		sleep(ctx, collectIdle)
	case len(have) < len(listing.Items):
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
	a, ok := n.openStored(p)
	if !ok {
		return true
	}
	n.dispatch(ctx, a)
	if a.signed.Type != wire.TypeIM {
		return n.writes() || n.tryNoMore(item.Digest())
	}
	return n.remembers(a.author, a.id) || n.tryNoMore(item.Digest())
}

// openStored opens a Parcel that nobody brought on a stream of his.
func (n *Node) openStored(p wire.Parcel) (a arrival, ok bool) {
	o, err := wire.OpenParcel(p, n.self.Address, n.self.Device, n.keys.PreKey)
	if err != nil {
		n.count(causeOf(err))
		return a, false
	}
	a = arrival{cek: o.CEK, kid: o.Kid, signed: o.Inner.Signed, id: o.Inner.Signed.ID(), attached: o.Inner.Attached, at: n.now(), stored: true}
	switch a.signed.Type {
	case wire.TypeIM:
		if im, err := wire.ParseIM(a.signed.Body); err == nil {
			a.author, a.reply = im.From, im.Reply
		}
	case wire.TypeSubState:
		if st, err := wire.ParseSubState(a.signed.Body); err == nil {
			a.author = st.From
		}
	}
	return a, true
}

// writes reports whether what was decided until now is on the disk: a pass later than all of it is.
func (n *Node) writes() bool {
	return n.update(func(t *txn) error { _, err := stamp(t, "collected"); return err }) == nil
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

// ackAuthor sends the ack of what was left in a mailbox or a slot to where its author is, if he is anywhere, else to
// where he said that answers are left; what is lost is answered when he tries again.
func (n *Node) ackAuthor(a arrival, box []byte) {
	n.spawn(func(ctx context.Context) {
		direct, done := context.WithTimeout(ctx, directFor)
		defer done()
		for _, p := range n.places(a.author) {
			n.net.Meet(p.peer, p.addrs)
			if err := n.net.Ack(direct, p.peer, box); err == nil {
				return
			}
		}
		if boxes := n.mailboxesOf(a.author, a.reply); len(boxes) > 0 {
			n.leaveItem(ctx, boxes, wire.MboxItem{AckBox: box})
		}
	})
}

// isTaken reports whether an item was taken since the start, from whatever mailbox.
func (j *joinedState) isTaken(digest [32]byte) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.taken[digest]
}

func (j *joinedState) take(digest [32]byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.taken == nil || len(j.taken) >= takenKept {
		j.taken = map[[32]byte]bool{}
	}
	j.taken[digest] = true
}
