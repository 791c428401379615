package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// nothingShown is the word of somebody of whom nothing was told yet.
var nothingShown = word(PresenceOf{Basic: "unknown", Evidence: presence.Unknown.String()})

// tellClock says when my clock is in doubt, and when it is not any more.
func (n *Node) tellClock() error {
	suspect := n.clockSuspect()
	n.presence.mu.Lock()
	told := n.presence.suspect
	n.presence.mu.Unlock()
	if suspect == told {
		return nil
	}
	return n.update(func(t *txn) error {
		t.emit(clockEvent(suspect))
		t.after(func() {
			n.presence.mu.Lock()
			defer n.presence.mu.Unlock()
			n.presence.suspect = suspect
		})
		return nil
	})
}

func clockEvent(suspect bool) Event {
	if suspect {
		return Event{Kind: "node", State: "clock-suspect", Text: "this machine's clock may be wrong: presence is shown as unknown; see hum doctor"}
	}
	return Event{Kind: "node", State: "clock-ok", Text: "the clock agrees with the others' again"}
}

// word is all that an event says of somebody, to see whether it is news.
func word(p PresenceOf) string {
	return strings.Join(append([]string{p.Basic, p.IM, p.Note, p.Evidence, p.Hint}, append(furtherServices(p), spokenWords(p)...)...), "\x00")
}

// furtherServices are those beside the inbox, such as a telephone, and whether each is open.
func furtherServices(p PresenceOf) (out []string) {
	for _, t := range p.Tuples {
		if _, inbox := formats.AddressOf(t.Contact); t.Contact != "" && !inbox {
			out = append(out, t.Contact+" "+t.Basic)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tellShown tells if somebody is shown otherwise than the last event said, by time or by my clock alone.
func (n *Node) tellShown(a identity.Address) error {
	k := n.presence.knownOf(a)
	if k == nil || word(n.presenceOf(a)) == n.presence.shownAs(k) {
		return nil
	}
	k.turn.Lock()
	defer k.turn.Unlock()
	now := word(n.presenceOf(a))
	return n.update(func(t *txn) error {
		n.emitShown(t, k, a, now, presence.Reading{})
		return nil
	})
}

func (s *presenceState) shownAs(k *known) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return k.shown
}

// emitShown emits an event if what is shown is news, or if it came after versions that never will; got is
// what was read, if anything was. k.turn is held.
func (n *Node) emitShown(t *txn, k *known, a identity.Address, now string, got presence.Reading) {
	if now == n.presence.shownAs(k) && got.Skipped == 0 {
		return
	}
	t.after(func() {
		n.presence.mu.Lock()
		defer n.presence.mu.Unlock()
		k.shown = now
	})
	p := strings.Split(now, "\x00")
	state := strings.TrimSpace(p[0] + " " + p[1])
	if p[3] == presence.Lapsed.String() {
		state += " (" + p[3] + ")"
	}
	e := Event{Kind: "presence", Address: a, Name: n.name(a), State: state, Text: p[2], Superseded: got.Skipped, Hint: p[4]}
	if got.Changed {
		e.Version = got.Doc.Ver
	}
	t.emit(e)
}

// Who is the presence of those named, or of everybody on the roster.
func (n *Node) Who(_ context.Context, who []string) (out []PresenceOf, err error) {
	var list []identity.Address
	for _, w := range who {
		a, err := n.address(w)
		if n.isMe(w, a, err) {
			me, err := n.myself()
			if err != nil {
				return nil, err
			}
			out = append(out, me)
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, a)
	}
	if len(who) == 0 {
		n.mu.RLock()
		for a := range n.contacts {
			list = append(list, a)
		}
		n.mu.RUnlock()
	}
	for _, a := range list {
		p := n.presenceOf(a)
		n.explain(&p)
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b PresenceOf) int {
		return cmp.Or(cmp.Compare(a.Petname, b.Petname), slices.Compare(a.Address[:], b.Address[:]))
	})
	return out, nil
}

// presenceOf is somebody as he is shown now.
func (n *Node) presenceOf(a identity.Address) PresenceOf {
	if k := n.presence.knownOf(a); k != nil {
		p := n.presence.copyOf(k)
		return n.face(a, &p, n.sight(a))
	}
	return n.face(a, nil, presence.Sight{})
}

// sight says how well I can see a at all.
func (n *Node) sight(a identity.Address) presence.Sight {
	return presence.Sight{Path: n.hasPath(a), Suspect: n.clockSuspect()}
}

// face is what p shows of a.
func (n *Node) face(a identity.Address, p *presence.Presence, sight presence.Sight) PresenceOf {
	now := n.now()
	out := PresenceOf{Address: a, Petname: n.petname(a), Warning: n.warning(a), Basic: "unknown", Evidence: presence.Unknown.String()}
	if _, frozen := n.moves.frozen(a); frozen {
		out.Why = []string{out.Warning}
		return out
	}
	w, ok := n.presence.watchingOf(a)
	switch offers := n.servicesOf(a); {
	case (!ok || w.State == presence.None) && offers == identity.Inbox:
		out.Why = []string{cmp.Or(out.Petname, short(a)) + " takes messages only"}
		return out
	case !ok || w.State == presence.None:
		out.Why = []string{"you do not watch " + cmp.Or(out.Petname, short(a)) + ": hum watch"}
		return out
	case p == nil || w.State != presence.Active:
		out.Why = []string{"your subscription is " + w.State.String()}
		return out
	}
	s := p.Shown(now, sight)
	out.dress(s, now)
	out.Why = append(out.Why, n.presence.faultsOf(a)...)
	out.Why = append(out.Why, gapsOf(now, p)...)
	if since, ok := n.lostHint(a, p, s, now); ok {
		out.Hint, out.HintAge = HintLost, now.Mono-since
	}
	var docs []wire.Doc
	for _, d := range p.Docs {
		docs = append(docs, d.Doc)
		out.heard(d)
	}
	out.Digest = digestOf(docs...)
	slices.SortStableFunc(out.Tuples, func(a, b TupleOf) int {
		return cmp.Or(cmp.Compare(b.Basic, a.Basic), cmp.Compare(b.Priority, a.Priority), b.At.Compare(a.At)) // open before closed
	})
	return out
}

// dress puts on what is to be seen.
func (out *PresenceOf) dress(s presence.Shown, now identity.Now) {
	out.Evidence, out.Why = s.Evidence.String(), s.Why
	if s.Basic != 0 {
		out.Basic = s.Basic.String()
	}
	if s.Basic == wire.Open && s.IM != 0 {
		out.IM = s.IM.String()
	}
	if len(s.Notes) > 0 && s.Evidence != presence.Unknown {
		out.Note = s.Notes[0].Text
	}
	out.Contacts = s.Contacts
	if s.AsOf != 0 {
		out.AsOf, out.Age = s.AsOf.Go(), max(0, now.Wall.Sub(s.AsOf))
	}
}

// heard adds the services of one document, and, of a delegate, his words.
func (out *PresenceOf) heard(k presence.Known) {
	for _, t := range k.Doc.Tuples {
		tuple := tupleOf(k.Device, t)
		tuple.Delegate = k.By.Delegate
		out.Tuples = append(out.Tuples, tuple)
	}
	if !k.By.Delegate || len(k.Doc.Notes) == 0 && len(k.Doc.Status) == 0 {
		return
	}
	s := Spoken{Device: k.Device, At: k.T.Go()}
	if len(k.Doc.Notes) > 0 {
		s.Note = k.Doc.Notes[0].Text
	}
	for _, x := range k.Doc.Status {
		s.Status = append(s.Status, Measure{x.Name, x.Value})
	}
	out.Spoken = append(out.Spoken, s)
}

// spokenWords are what delegates say, for a comparison.
func spokenWords(p PresenceOf) (out []string) {
	for _, s := range p.Spoken {
		out = append(out, fmt.Sprint(s.Device, s.Note, s.Status))
	}
	return out
}

func tupleOf(d identity.DeviceID, t wire.Tuple) TupleOf {
	out := TupleOf{Device: d, ID: t.ID, Basic: t.Basic.String(), Contact: t.Contact, Priority: t.Priority, At: t.Timestamp.Go(), IdleSince: t.IdleSince.Go()}
	if t.IM != 0 {
		out.IM = t.IM.String()
	}
	if len(t.Notes) > 0 {
		out.Note = t.Notes[0].Text
	}
	for _, s := range t.Status {
		out.Status = append(out.Status, Measure{s.Name, s.Value})
	}
	return out
}
