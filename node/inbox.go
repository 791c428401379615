package node

import (
	"cmp"
	"context"
	"errors"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/store/crash"
)

// receive leads an instant message into the inbox: signature, chain, rules, one synced commit of row, id
// and ack, and only then the ack (SPEC 5.4).
func (n *Node) receive(ctx context.Context, a arrival) { n.receiveIM(ctx, a, false) }

// receiveIM is receive, also for a message that was held.
func (n *Node) receiveIM(ctx context.Context, a arrival, held bool) {
	if n.delegated() { // it never acks, and gets copies from those who do
		n.count("not-for-a-delegate")
		return
	}
	facts := message.Arrival{ID: a.id, Service: n.self.Services&identity.Inbox != 0}
	im, err := wire.ParseIM(a.signed.Body)
	if err != nil {
		facts.Bad = unparsed(err)
	}
	facts.Clear, facts.ClearOK = a.clear, clearOK(n.pins.get(n.self.Address))
	facts.IM, facts.Mine = im, im.To == n.self.Address
	facts.Signed = a.signed.Verify() == nil && im.Device == identity.DeviceIDOf(a.signed.Key)
	facts.Gateway = n.settings.Gateway
	facts.Content, facts.TypeOK = n.contentFault(im), n.takes(im.ContentType)
	facts.Unsupported = wire.Required(im.Crit, im.Ext, wire.TypeIM.Knows) != nil
	r := readRecords(im.From, a.attached)
	again := func(ctx context.Context) { n.receiveIM(ctx, a, held) }
	if facts.Signed && !im.Unsigned() && !im.From.IsZero() && n.fetchNewer(a.peer, claim{from: im.From, role: identity.RoleInbox, arSeq: im.ArSeq, has: r.seq()}, a.signed.Key, again) {
		return
	}
	if crash.Planted(crash.SeenOutside) {
		_ = n.view(func(t *txn) (err error) { facts.Seen, err = n.seen(t, im.From, a.id); return err })
	}
	n.take(ctx, &incoming{arrival: a, facts: facts, r: r, held: held, done: make(chan struct{})})
}

// judgeMessage decides what becomes of a message, and keeps what its sender's records have brought.
func (n *Node) judgeMessage(t *txn, x *incoming) (v message.Verdict, err error) {
	facts, im := &x.facts, x.facts.IM
	var p pinned
	known, changed := false, false
	if facts.Signed && !im.From.IsZero() && !im.Unsigned() {
		var verdict error
		if p, changed, verdict = n.accept(t, im.From, x.r); verdict != nil && !isVerdict(verdict) {
			return v, verdict
		}
		known = n.pins.get(im.From) != nil
		facts.Known = p.Pin.Record.Address == im.From && !p.Pin.Expired(t.now)
		facts.Beyond = x.r.beyond
		facts.Listed = facts.Known && p.Pin.Authorise(t.now, x.signed.Key, identity.RoleInbox) == nil
		changed = facts.Listed && n.hasMine(x.arrival, &p) || changed
		x.by = p.Pin.Raw
	}
	if err := n.inboxFacts(t, facts); err != nil {
		return v, err
	}
	came, err := n.invitedMessage(t, facts)
	if err != nil {
		return v, err
	}
	v = message.Receive(t.now, *facts)
	keeps := v.Kind == message.Keep || v.Kind == message.Hold
	if im.From.IsZero() {
		return v, nil
	}
	if keeps && !facts.Contact && !im.Unsigned() {
		p.Used, changed = t.now.Wall, true
	}
	if _, claimed := claimIn(im.Contact, im.From); keeps && !im.Unsigned() && claimed != "" && claimed != p.Claimed {
		p.Claimed, changed = claimed, true
	}
	if changed && (known || facts.Contact || keeps) { // of a stranger, only with his message
		err = n.savePin(t, im.From, p)
	}
	if err != nil || v.Kind != message.Keep || !came.ok {
		return v, err
	}
	ruled, err := n.useInvite(t, im.From, im.Invite(), came.Invite, came.rule)
	if err != nil || !ruled {
		return v, err
	}
	return v, n.applyRules(t, im.From) // he may have asked to watch too
}

// repeat returns the ack that a message was answered with. One that was signed by the device that this
// home was before it was restored says nothing to the sender any more, and is signed anew.
func (n *Node) repeat(t *txn, from identity.Address, facts message.Arrival) (wire.Signed, error) {
	raw, err := t.whole(from, facts.Seen.Ack)
	if err != nil {
		return wire.Signed{}, err
	}
	s, err := wire.ParseSigned(raw)
	if err != nil || s.Key == n.keys.Device().Public() {
		return s, err
	}
	ack, err := wire.ParseAck(s.Body)
	if err != nil {
		return s, err
	}
	ack.Device, ack.ArSeq = n.self.Device, n.own.Load().AddressSeq
	s = wire.Sign(n.keys.Device(), wire.TypeAck, ack.Append(nil))
	seen := *facts.Seen
	seen.Ack = s.Append(nil)
	return s, errors.Join(put(t, store.Seen(from, facts.ID), seen), t.leaveAck(from, facts.Seen.Ack, facts.ID))
}

// inboxFacts adds what this node holds about the message and its sender.
func (n *Node) inboxFacts(t *txn, facts *message.Arrival) (err error) {
	from, who := facts.IM.From, facts.IM.From
	if facts.IM.Unsigned() { // what the name may do here, and is shown, is not for whoever writes it
		who = identity.Address{}
	}
	facts.Contact = n.isContact(who)
	facts.Admission = admission(n.rules().Message(from, facts.Contact))
	if from.IsZero() {
		facts.Admission = admission(n.rules().Admits(policy.Anonymous))
	}
	if facts.Closed, err = n.shutTo(t, who); err != nil {
		return err
	}
	if facts.Hold = n.holds() && !facts.IM.Unsigned() && !from.IsZero(); facts.Closed && facts.Hold {
		n.heldFacts(t, facts)
	}
	if !crash.Planted(crash.SeenOutside) {
		if facts.Seen, err = n.seen(t, from, facts.ID); err != nil {
			return err
		}
	}
	if !facts.IM.ResendOf.IsZero() {
		if facts.SeenResend, err = n.seen(t, from, facts.IM.ResendOf); err != nil {
			return err
		}
	}
	if facts.Admission == message.FirstContact || facts.IM.Unsigned() || from.IsZero() {
		facts.FromHim, facts.InAll, err = n.firstContacts(t, who)
	}
	return err
}

func admission(a policy.Admission) message.Admission {
	switch a {
	case policy.Discard:
		return message.Drop
	case policy.FirstContact:
		return message.FirstContact
	case policy.Accept:
		return message.Accept
	}
	return message.Refuse
}

func (n *Node) seen(t *txn, from identity.Address, id wire.MID) (*message.Seen, error) {
	s, ok, err := find[message.Seen](t, store.Seen(from, id))
	if !ok {
		return nil, err
	}
	return &s, nil
}

// commit writes row, ids and ack together; the ack may leave once they are durable.
func (n *Node) commit(t *txn, x *incoming, v message.Verdict, ack []byte) error {
	seen := v.Seen(ack)
	for _, id := range v.Remember {
		if crash.Planted(crash.IDsApart) {
			break
		}
		var old *message.Seen // else it would be a repetition
		if id == x.facts.IM.ResendOf {
			old = x.facts.SeenResend
		}
		if err := remember(t, x.facts.IM.From, id, old, seen); err != nil {
			return err
		}
	}
	if v.Kind != message.Keep || wasDeleted(t, x.id) {
		return nil
	}
	row := message.NewRow(t.now, x.facts, x.signed.Append(nil), x.cek)
	var err error
	if row.Record, err = t.keep(row.From, x.by); err != nil {
		return err
	}
	return n.keepRow(t, row)
}

// remember writes what was answered to a message, and when that may be forgotten; an earlier answer and
// its date go.
func remember(t *txn, from identity.Address, id wire.MID, old *message.Seen, s message.Seen) error {
	if old != nil {
		if err := errors.Join(t.Delete(store.SeenUntil(old.Until, from, id)), t.leaveAck(from, old.Ack, id)); err != nil {
			return err
		}
	}
	if err := put(t, store.Seen(from, id), s); err != nil {
		return err
	}
	return put(t, store.SeenUntil(s.Until, from, id), s.Refused)
}

func (n *Node) keepRow(t *txn, row message.Row) error {
	key := store.Inbox(row.Sent, row.ID)
	read, err := n.wasRead(t, row.ID)
	if err != nil {
		return err
	}
	if read != 0 {
		row.FirstContact = false
		row.Opened(read)
	}
	if err := put(t, key, row); err != nil {
		return err
	}
	if err := put(t, store.InboxAt(row.ID), key.Bytes()); err != nil {
		return err
	}
	if err := noteTalk(t, row.Author(), row.Sent, row.ID, false); err != nil {
		return err
	}
	if row.FirstContact {
		held, _, err := find[int](t, firstFrom(row.Author()))
		if err != nil {
			return err
		}
		if err := put(t, firstFrom(row.Author()), held+1); err != nil {
			return err
		}
	}
	if err := n.share(t, wire.SyncReceived, row.ID[:]); err != nil {
		return err
	}
	t.emit(Event{Kind: "message", Address: row.From, Name: n.nameOf(row), ID: row.ID.String(), State: "received", Text: preview(row)})
	return nil
}

// previewLength is how many characters of a message the event log repeats; the inbox holds the whole.
const previewLength = 200

// preview is how the text of a message begins, for the event log; other content is named, not shown.
func preview(r message.Row) string {
	text := []rune(string(r.Content))
	if !message.IsText(r.ContentType) || !utf8.Valid(r.Content) {
		_, words, _ := partsOf(r.ContentType, r.Content)
		if text = []rune(words); len(text) == 0 {
			return r.ContentType
		}
	}
	if len(text) > previewLength {
		return string(text[:previewLength]) + "…"
	}
	return string(text)
}

func (n *Node) receivedFace(r message.Row) Received {
	face := Received{ID: r.ID, From: r.From, FromName: n.petname(r.Author()), Verified: !r.Unsigned, Clear: r.Clear, Hops: r.Hops, FirstContact: r.FirstContact && (r.From.IsZero() || !n.welcome(r.Author())),
		Sent: r.Sent.Go(), Received: r.Received.Go(), Type: r.ContentType, Content: r.Content, Lang: r.Lang,
		InReplyTo: r.InReplyTo, Displayed: r.Displayed.Go()}
	var lang, claimed string
	face.Parts, face.Words, lang = partsOf(r.ContentType, r.Content)
	face.Lang = cmp.Or(face.Lang, lang)
	face.Contact, claimed = claimIn(r.Contact, r.Author())
	face.Introduces, face.Introduced = n.introduced(r)
	if face.Anonymous = r.From.IsZero(); face.Anonymous {
		face.FromName, face.Verified = anonymousName, false
	}
	if face.FromName == "" {
		face.Claimed = cmp.Or(claimed, n.claimed(r.Author()))
	}
	return face
}

// OpenMessage marks a message as displayed; if its sender asked and this home's settings agree, he is
// told.
func (n *Node) OpenMessage(ctx context.Context, id string) (Received, error) {
	row, err := n.received(id)
	if err != nil {
		return Received{}, err
	}
	err = n.update(func(t *txn) error {
		key := store.Inbox(row.Sent, row.ID)
		if row, err = get[message.Row](t, key); err != nil {
			return err
		}
		if row.Displayed != 0 {
			return nil
		}
		if err := leaveFirstContact(t, row); err != nil {
			return err
		}
		if cek, tell := row.Display(t.now, n.tellsDisplayed(row.From)); tell {
			if err := n.oweDisplayed(t, row, cek); err != nil {
				return err
			}
		}
		t.emit(Event{Kind: "message", Address: row.From, Name: n.nameOf(row), ID: row.ID.String(), State: "displayed"})
		if err := put(t, key, row); err != nil {
			return err
		}
		return n.share(t, wire.SyncRead, row.ID[:])
	})
	if err != nil {
		return Received{}, saveError(n.cfg.Home, err)
	}
	crash.Point("open: saved, its sender not told")
	return n.receivedFace(row), nil
}
