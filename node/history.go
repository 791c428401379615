package node

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// The inbox is kept in the order of sent, and beside it stands what each person and I wrote each other in
// that order (store.Talk): so a page costs what it shows, however much there is.

// talked says that the conversations of this home are indexed, as those of an older version were not.
var talked = store.Meta("talked")

// noteTalk puts a message into the conversation that it belongs to.
func noteTalk(t *txn, with identity.Address, sent identity.Time, id wire.MID, mine bool) error {
	return put(t, store.Talk(with, sent, id), mine)
}

// putEntry writes a message of mine, and puts it into its conversation when it is new.
func putEntry(t *txn, e message.Entry) error {
	if e.State == message.Queued {
		if err := noteTalk(t, e.To, e.Sent, e.ID, true); err != nil {
			return err
		}
	}
	return put(t, store.Outbox(e.ID), e)
}

// indexTalk indexes the conversations of a home that an older version wrote.
func (n *Node) indexTalk() error {
	var found []store.Key
	var mine []bool
	done := false
	err := n.view(func(t *txn) error {
		if done = t.Has(talked); done {
			return nil
		}
		if err := rows(t, store.AllInbox(), store.ScanOptions{}, func(_ store.Key, r message.Row) (bool, error) {
			found, mine = append(found, store.Talk(r.Author(), r.Sent, r.ID)), append(mine, false)
			return true, nil
		}); err != nil {
			return err
		}
		return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
			found, mine = append(found, store.Talk(e.To, e.Sent, e.ID)), append(mine, true)
			return true, nil
		})
	})
	if err != nil || done {
		return err
	}
	i := 0
	if err = n.inBatches(err, found, func(t *txn, k store.Key) error {
		i++
		return put(t, k, mine[i-1])
	}); err != nil {
		return err
	}
	return n.update(func(t *txn) error { return put(t, talked, true) })
}

// eachWriter calls do with everybody of whom a message is in the inbox, once.
func eachWriter(t *txn, do func(identity.Address)) error {
	for from, more := (store.Key{}), true; more; {
		more = false
		for k, b := range t.Scan(store.AllTalk(), store.ScanOptions{From: from}) {
			mine, err := decode[bool](k, b)
			if err != nil {
				return err
			}
			if !mine {
				do(k.Address())
				from, more = lastOf(k.Address()), true
				break
			}
		}
	}
	return nil
}

// lastOf is behind all that somebody and I wrote each other.
func lastOf(a identity.Address) store.Key {
	return store.Talk(a, ^identity.Time(0), [32]byte(bytes.Repeat([]byte{0xff}, 32)))
}

// idsLike finds the ids that begin with what was typed, two at most, in a table that is kept by id.
func idsLike(t *txn, table store.Prefix, key func([32]byte) store.Key, typed string) (out []wire.MID) {
	const letters = 40
	least, err := wire.ParseMIDText(strings.ToLower(typed) + strings.Repeat("a", max(0, letters-len(typed))))
	if err != nil || len(typed) < leastID {
		return nil
	}
	var from wire.MID
	copy(from[:], least[:])
	for k := range t.Scan(table, store.ScanOptions{From: key(from), KeysOnly: true}) {
		if len(out) == 2 || !isID(typed, k.MID()) {
			break
		}
		out = append(out, k.MID())
	}
	return out
}

// seenLike finds what is remembered of messages whose ids begin with what was typed, by whoever sent them.
func seenLike(t *txn, typed string) (out []store.Key) {
	for at, more := (store.Key{}), true; more; {
		more = false
		for k := range t.Scan(store.AllSeen(), store.ScanOptions{From: at, KeysOnly: true}) {
			from := k.Address()
			of := func(id [32]byte) store.Key { return store.Seen(from, id) }
			for _, id := range idsLike(t, store.SeenOf(from), of, typed) {
				out = append(out, of(id))
			}
			at, more = of([32]byte(bytes.Repeat([]byte{0xff}, 32))), true
			break
		}
	}
	return out
}

// oneID is the only one of what was found for what was typed.
func oneID(typed string, found []wire.MID) (id wire.MID, err error) {
	switch len(found) {
	case 0:
		return id, unknownID(typed)
	case 1:
		return found[0], nil
	}
	return id, ambiguousID(typed)
}

// findID finds a message that was sent or received here.
func findID(t *txn, typed string) (wire.MID, error) {
	return oneID(typed, append(idsLike(t, store.AllInboxAt(), store.InboxAt, typed), idsLike(t, store.AllOutbox(), store.Outbox, typed)...))
}

// received finds a message of the inbox by its id, or by the beginning of it if that is unambiguous.
func (n *Node) received(id string) (row message.Row, err error) {
	err = n.view(func(t *txn) error {
		mid, err := oneID(id, idsLike(t, store.AllInboxAt(), store.InboxAt, id))
		if err != nil {
			return err
		}
		row, _, err = n.inboxRow(t, mid[:])
		return err
	})
	return row, err
}

// entry finds a message of mine likewise.
func (n *Node) entry(id string) (e message.Entry, err error) {
	err = n.view(func(t *txn) error {
		mid, err := oneID(id, idsLike(t, store.AllOutbox(), store.Outbox, id))
		if err != nil {
			return err
		}
		e, err = get[message.Entry](t, store.Outbox(mid))
		return err
	})
	return e, err
}

// spot is where a message stands in the order of display.
type spot struct {
	sent identity.Time
	id   wire.MID
}

// spotOf is where the message of an id stands; without one, behind all.
func (n *Node) spotOf(t *txn, typed string) (spot, error) {
	if typed == "" {
		return spot{^identity.Time(0), wire.MID(bytes.Repeat([]byte{0xff}, 32))}, nil
	}
	id, err := findID(t, typed)
	if err != nil {
		return spot{}, err
	}
	if row, ok, err := n.inboxRow(t, id[:]); ok || err != nil {
		return spot{row.Sent, id}, err
	}
	e, err := get[message.Entry](t, store.Outbox(id))
	return spot{e.Sent, id}, err
}

// Inbox lists received messages, oldest first. A search ends when ctx does.
func (n *Node) Inbox(ctx context.Context, q InboxQuery) (out []Received, err error) {
	if q.ID != "" {
		row, err := n.received(q.ID)
		if err != nil {
			return nil, err
		}
		face := n.receivedFace(row)
		if q.Part > 0 {
			err = onePart(&face, q.Part)
		}
		return []Received{face}, err
	}
	var from []identity.Address
	if q.From != "" {
		a, err := n.asker(q.From)
		if err != nil {
			return nil, err
		}
		from = n.moves.before(a)
	}
	words := searched(q.Search)
	err = n.view(func(t *txn) error {
		if q.Strangers {
			if from, err = n.strangers(t, from); err != nil || len(from) == 0 {
				return err
			}
		}
		skip := func(row []byte) bool {
			contentType, content, ok := message.Peek(row)
			return ok && !holds(string(contentType), content, words) && ctx.Err() == nil
		}
		return n.eachReceived(t, q.Before, from, skip, func(r message.Row) bool {
			if !holds(r.ContentType, r.Content, words) {
				return ctx.Err() == nil
			}
			if face := n.receivedFace(r); !q.Strangers || face.FirstContact && r.Displayed == 0 {
				out = append(out, face)
			}
			return q.Limit == 0 || len(out) < q.Limit
		})
	})
	slices.Reverse(out)
	return out, cmp.Or(err, ctx.Err())
}

// eachReceived calls do with the messages of the inbox, the newest first, until it returns false: those of some
// people, or all. Of all, those that skip says of their bytes are passed over before they are read.
func (n *Node) eachReceived(t *txn, before string, from []identity.Address, skip func([]byte) bool, do func(message.Row) bool) error {
	at, err := n.spotOf(t, before)
	if err != nil {
		return err
	}
	if len(from) > 0 {
		return eachTalk(t, from, at, func(k store.Key, mine bool) (bool, error) {
			if mine {
				return true, nil
			}
			r, err := get[message.Row](t, store.Inbox(k.Time(), k.MID()))
			return err == nil && do(r), err
		})
	}
	first := store.Inbox(at.sent, at.id)
	for k, b := range t.Scan(store.AllInbox(), store.ScanOptions{Reverse: true, From: first}) {
		if k == first || skip != nil && skip(b) {
			continue
		}
		if r, err := decode[message.Row](k, b); err != nil || !do(r) {
			return err
		}
	}
	return nil
}

// eachTalk calls do with what some people and I wrote each other before at, the newest first, until it returns
// false. Those of several addresses are merged in their order.
func eachTalk(t *txn, with []identity.Address, at spot, do func(k store.Key, mine bool) (bool, error)) error {
	type head struct {
		k    store.Key
		mine bool
	}
	const page = 32 // read ahead of one address
	ahead := make([][]head, len(with))
	over := make([]bool, len(with))
	from := make([]spot, len(with))
	for i := range with {
		from[i] = at
	}
	for {
		best := -1
		for i, a := range with {
			if len(ahead[i]) == 0 && !over[i] {
				first := store.Talk(a, from[i].sent, from[i].id)
				err := rows(t, store.TalkOf(a), store.ScanOptions{Reverse: true, From: first}, func(k store.Key, mine bool) (bool, error) {
					if k != first {
						ahead[i] = append(ahead[i], head{k, mine})
						from[i] = spot{k.Time(), k.MID()}
					}
					return len(ahead[i]) < page, nil
				})
				if over[i] = len(ahead[i]) < page; err != nil {
					return err
				}
			}
			if len(ahead[i]) > 0 && (best < 0 || later(ahead[i][0].k, ahead[best][0].k)) {
				best = i
			}
		}
		if best < 0 {
			return nil
		}
		h := ahead[best][0]
		ahead[best] = ahead[best][1:]
		if more, err := do(h.k, h.mine); err != nil || !more {
			return err
		}
	}
}

// later reports whether the message of a is shown after that of b.
func later(a, b store.Key) bool {
	x, y := a.MID(), b.MID()
	return a.Time() > b.Time() || a.Time() == b.Time() && bytes.Compare(x[:], y[:]) > 0
}

// searched are the words that are looked for.
func searched(text string) []string { return strings.Fields(strings.ToLower(text)) }

// holds reports whether a text, or the text among several parts, holds all words.
func holds(contentType string, content []byte, words []string) bool {
	if len(words) == 0 {
		return true
	}
	text := string(content)
	if !message.IsText(contentType) || !utf8.Valid(content) {
		_, text, _ = partsOf(contentType, content)
	}
	text = strings.ToLower(text)
	return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
}

// History is what somebody and I wrote each other.
func (n *Node) History(_ context.Context, q HistoryQuery) (out Conversation, err error) {
	a, err := n.asker(q.Who)
	if err != nil {
		return out, err
	}
	if out = (Conversation{With: a, Name: n.petname(a)}); out.Name == "" {
		out.Claimed = n.claimed(a)
	}
	words := searched(q.Search)
	err = n.view(func(t *txn) error {
		at, err := n.spotOf(t, q.Before)
		if err != nil {
			return err
		}
		var thread map[wire.MID]bool
		if q.Thread != "" {
			if thread, err = n.thread(t, n.moves.before(a), q.Thread); err != nil {
				return err
			}
		}
		return eachTalk(t, n.moves.before(a), at, func(k store.Key, mine bool) (bool, error) {
			if thread != nil && !thread[k.MID()] {
				return true, nil
			}
			l, err := n.line(t, k, mine)
			if err == nil && l.holds(words) {
				out.Lines = append(out.Lines, l)
			}
			return q.Limit == 0 || len(out.Lines) < q.Limit, err
		})
	})
	slices.Reverse(out.Lines)
	return out, err
}

// line reads one message of a conversation.
func (n *Node) line(t *txn, k store.Key, mine bool) (l Line, err error) {
	if mine {
		e, err := get[message.Entry](t, store.Outbox(k.MID()))
		face := n.sentFace(e)
		return Line{Sent: &face}, err
	}
	r, err := get[message.Row](t, store.Inbox(k.Time(), k.MID()))
	face := n.receivedFace(r)
	return Line{Received: &face}, err
}

func (l Line) holds(words []string) bool {
	if l.Sent != nil {
		return holds(l.Sent.Type, l.Sent.Content, words)
	}
	return holds(l.Received.Type, l.Received.Content, words)
}

func (l Line) id() (id, answers wire.MID) {
	if l.Sent != nil {
		return l.Sent.ID, l.Sent.InReplyTo
	}
	return l.Received.ID, l.Received.InReplyTo
}

// thread finds the messages of a conversation that one of them is connected with by answers. It reads the
// whole conversation.
func (n *Node) thread(t *txn, with []identity.Address, typed string) (map[wire.MID]bool, error) {
	start, err := n.spotOf(t, typed)
	if err != nil {
		return nil, err
	}
	near := map[wire.MID][]wire.MID{}
	end, err := n.spotOf(t, "")
	if err != nil {
		return nil, err
	}
	err = eachTalk(t, with, end, func(k store.Key, mine bool) (bool, error) {
		l, err := n.line(t, k, mine)
		if id, answers := l.id(); err == nil && !answers.IsZero() {
			near[id], near[answers] = append(near[id], answers), append(near[answers], id)
		}
		return true, err
	})
	found := map[wire.MID]bool{start.id: true}
	for todo := []wire.MID{start.id}; len(todo) > 0; todo = todo[1:] {
		for _, id := range near[todo[0]] {
			if !found[id] {
				found[id] = true
				todo = append(todo, id)
			}
		}
	}
	return found, err
}
