package presence

import (
	"cmp"
	"slices"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// A Fetcher is somebody who asks once for my presence: the presentity's side of SPEC 4.10. There is one
// row for each address, whatever its devices; it is the memory that keeps replays out and the rate down,
// and what the owner is told of him (SPEC 4.12).
type Fetcher struct {
	Me, Who  Address
	ID       wire.ReqID // of the first Fetch: names him in lists
	Device   DeviceID   // that asked last; the reply is sealed to it
	State    wire.FetchCode
	Reason   wire.Reason
	Event    Event // if the user answered since, which the newest reply did not say
	View     string
	Began    Time   // of the first Fetch
	Since    Time   // of State
	Asked    Time   // the newest Fetch that was answered came
	Got      Time   // the newest Fetch that was answered with a document came
	Count    uint64 // so many were
	Turned   uint64 // so many were answered without one
	News     bool   // no event has told of State yet
	Peer     []byte // where a Fetch that waits came from, binary; see policy.Pending
	Prefix   string
	Answered []FetchMark // those that a replay could still repeat, oldest first
	Floor    Stamp       // a Fetch of this stamp or an earlier one may have been answered, and is not known any more
}

// A FetchMark is a Fetch that was answered.
type FetchMark struct {
	Req wire.ReqID
	At  Stamp
}

// maxMarks bounds the Fetches that are remembered of one address: at one a minute there are 14 in the time
// in which one can be repeated, unless clocks are set.
const maxMarks = 32

// FetchFacts is what the caller knows about a Fetch before the rules are asked.
type FetchFacts struct {
	Handling    Handling
	Service     bool // my record offers presence
	PlaceFree   bool // the list of those who wait has a place for it (SPEC 3.9)
	Unsupported bool // requires what this version does not understand (SPEC 3.3)
	View        string
}

// A FetchAnswer is what the presentity does about a Fetch. Sign as Kind asks for a FetchReply of State and
// Reason, with the documents of the view if State is ok.
type FetchAnswer struct {
	Kind   AnswerKind // Silent, Resend (the answer to the same question, byte for byte), Sign or Refuse
	State  wire.FetchCode
	Reason wire.Reason
	Keep   bool // the row belongs in the store
	News   bool // the list of watchers shows something new
	Wait   time.Duration
}

// Fetch takes a Fetch from device, whose signature and authority have been checked (SPEC 2.5); now is its
// arrival. Row is what is kept of r.From, nil if nothing is. The returned row replaces it, if Keep is set,
// before anything is sent; an answer of any kind leaves after Wait, as those to a SubRequest do.
func Fetch(now Now, row *Fetcher, r wire.Fetch, device DeviceID, f FetchFacts) (Fetcher, FetchAnswer) {
	w := Fetcher{Me: r.To, Who: r.From, ID: r.Req, Began: now.Wall}
	if row != nil {
		w = *row
	}
	switch {
	case now.Ahead(r.At):
		return w, FetchAnswer{Kind: Refuse, Reason: wire.ReasonTime, Wait: wire.AnswerDelay}
	case !f.Service:
		return w, FetchAnswer{Kind: Sign, State: wire.FetchDenied, Reason: wire.ReasonNoPresenceService, Wait: wire.AnswerDelay}
	case w.comesAgain(now, r, device):
		return w, FetchAnswer{Kind: Resend, Wait: wire.AnswerDelay}
	case now.Late(r.At.Add(wire.FetchLife)), w.repeats(now, r), within(now, w.Asked, wire.FetchMinimum):
		return w, FetchAnswer{}
	}
	to, reason := f.judge()
	if f.Unsupported && to != wire.FetchDenied {
		return w, FetchAnswer{Kind: Refuse, Reason: wire.ReasonUnsupportedRequired, Wait: wire.AnswerDelay}
	}
	a := FetchAnswer{Kind: Sign, State: to, Reason: reason, Keep: true, Wait: wire.AnswerDelay}
	a.News = w.take(now, to, reason)
	w.mark(now, r)
	w.Device, w.View = device, f.View
	return w, a
}

// judge is the answer by the rules, whoever asks how often (SPEC 4.10): that of subscribing, but that one
// who is politely blocked is shown what his view shows.
func (f FetchFacts) judge() (wire.FetchCode, wire.Reason) {
	switch {
	case f.Handling == Allow, f.Handling == PoliteBlock:
		return wire.FetchOK, 0
	case f.Handling == Confirm && !f.PlaceFree:
		return wire.FetchDenied, wire.ReasonRateLimited
	case f.Handling == Confirm:
		return wire.FetchPending, 0
	}
	return wire.FetchDenied, wire.ReasonPolicy
}

// take counts an answer, and reports whether it is another than the one before.
func (w *Fetcher) take(now Now, to wire.FetchCode, reason wire.Reason) (news bool) {
	news = w.State != to || w.Reason != reason
	if news {
		w.Since = now.Wall
	}
	w.State, w.Reason, w.Event, w.Asked = to, reason, 0, now.Wall
	if to == wire.FetchOK {
		w.Got = now.Wall
		w.Count++
	} else {
		w.Turned++
	}
	return news
}

// comesAgain reports whether r is the newest question that was answered, sent once more by the device that
// asked: what was answered may have died with its stream (SPEC 4.10).
func (w *Fetcher) comesAgain(now Now, r wire.Fetch, device DeviceID) bool {
	n := len(w.Answered)
	return n > 0 && w.Answered[n-1].Req == r.Req && w.Device == device && within(now, w.Asked, wire.FetchMinimum)
}

// repeats reports whether r was answered before, or may have been.
func (w *Fetcher) repeats(now Now, r wire.Fetch) bool {
	w.Floor = now.Stored(w.Floor)
	return r.At <= w.Floor || slices.ContainsFunc(w.Answered, func(m FetchMark) bool { return m.Req == r.Req })
}

// mark remembers r until it is too old to be repeated by any clock.
func (w *Fetcher) mark(now Now, r wire.Fetch) {
	w.Answered = slices.DeleteFunc(slices.Clone(w.Answered), func(m FetchMark) bool { return now.Past(m.At.Add(wire.FetchLife)) })
	if len(w.Answered) >= maxMarks {
		i := 0
		for j, m := range w.Answered {
			if m.At < w.Answered[i].At {
				i = j
			}
		}
		w.Floor = max(w.Floor, w.Answered[i].At)
		w.Answered = slices.Delete(w.Answered, i, i+1)
	}
	w.Answered = append(w.Answered, FetchMark{r.Req, r.At})
}

// Waits reports whether w waits for the user's answer.
func (w Fetcher) Waits() bool { return w.State == wire.FetchPending && w.Event == 0 }

// Decide notes what the user decided about somebody who waits, and reports whether that is news. He is not
// told: he learns of it when he asks again.
func (w *Fetcher) Decide(now Now, e Event) (news bool) {
	if !w.Waits() {
		return false
	}
	w.Event, w.Since = e, now.Wall
	return true
}

// LoseSeat ends the wait of one whose place another one took; he may ask again.
func (w *Fetcher) LoseSeat(now Now) { w.Event, w.Since = GiveUp, now.Wall }

// Over reports whether a request without a document is forgotten now: 30 days after it was answered for the
// last time (SPEC 4.12).
func (w Fetcher) Over(now Now) bool {
	return w.Count == 0 && now.Past(w.Asked.Add(wire.RequestLife))
}

// Yields orders fetchers by who gives way when the list is full: those who were never shown anything before
// the others, of each the one who has been silent for longest.
func (w Fetcher) Yields(o Fetcher) int {
	return cmp.Or(cmp.Compare(min(w.Count, 1), min(o.Count, 1)), cmp.Compare(w.Asked, o.Asked))
}

// A Fetched is what I asked of somebody once, and what came of it: the fetcher's side of SPEC 4.10.
type Fetched struct {
	Me, Of   Address
	Req      wire.ReqID // of the newest Fetch
	At       Stamp      // its
	State    wire.FetchCode
	Reason   wire.Reason
	Answered Time
	AsOf     Time    // of Docs
	Docs     []Known // of the newest answer with documents; none once I was refused
	Raw      []byte  // that answer, as it was signed
	Record   []byte  // and the signed address record by which it was believed
}

// Asks returns the Fetch that is to be sent now; req is random.
func (f *Fetched) Asks(now Now, req wire.ReqID, arSeq Stamp) wire.Fetch {
	f.At, f.Req, f.State, f.Reason = now.Next(f.At), req, 0, 0
	return wire.Fetch{From: f.Me, To: f.Of, Req: req, At: f.At, ArSeq: arSeq}
}

// Pause returns how long it is until the presentity answers again (SPEC 4.10: once a minute).
func (f Fetched) Pause(now Now) time.Duration {
	if !within(now, f.Answered, wire.FetchMinimum) {
		return 0
	}
	return wire.FetchMinimum - now.Wall.Sub(f.Answered)
}

// Answer takes a FetchReply whose signer has been found to speak for its from (SPEC 2.5). Documents that
// are not his, or that cannot be read, are left out; bad counts them. Errors: [ErrNotMine], [ErrAhead],
// [ErrState].
func (f *Fetched) Answer(now Now, r wire.FetchReply, speakers Speakers) (bad int, err error) {
	switch {
	case r.From != f.Of || r.To != f.Me || r.Req != f.Req || f.State != 0:
		return 0, ErrNotMine
	case now.Ahead(r.AsOf):
		return 0, ErrAhead
	case r.State > wire.FetchDenied:
		return 0, ErrState
	}
	f.State, f.Reason, f.Answered, f.AsOf, f.Docs, f.Raw, f.Record = r.State, r.Reason, now.Wall, 0, nil, nil, nil
	if r.State != wire.FetchOK {
		return 0, nil
	}
	f.AsOf = cmp.Or(r.AsOf, now.Wall)
	for _, b := range r.Docs {
		d, err := wire.ParseDoc(b)
		known := slices.ContainsFunc(f.Docs, func(k Known) bool { return k.Device == d.Device })
		by, may := speakers(d.Device)
		if err != nil || known || d.Entity != f.Of || !may || required(d) != nil {
			bad++
			continue
		}
		f.Docs = append(f.Docs, Known{Device: d.Device, Doc: by.Apply(d), T: f.AsOf, By: by})
	}
	return bad, nil
}

// Shown returns what to show of the documents now. They are a word of one instant that nothing prolongs, so
// they hold for a ttl and no longer; after that what they say is remembered, and nobody is called open by
// them. Fresh says that they came just now.
func (f Fetched) Shown(now Now, fresh bool) Shown {
	var all, open []standing
	holds := false
	for i := range f.Docs {
		k := &f.Docs[i]
		if k.By.Delegate {
			continue
		}
		s := standing{Known: k, open: IsOpen(k.Doc), last: k.T}
		left := f.AsOf.Add(seconds(ttlOf(k.Doc.TTL, wire.DefaultTTLSeconds))).Sub(now.Wall)
		holds = holds || left > 0 && !now.Ahead(f.AsOf)
		if all = append(all, s); s.open {
			open = append(open, s)
		}
	}
	out := Shown{Evidence: Cached, Why: []string{"he was asked once, and not heard since"}}
	if fresh {
		out = Shown{Evidence: Said, Why: []string{"he was asked, and answered"}}
	}
	switch {
	case len(all) == 0:
		return Shown{Why: []string{"never seen"}}
	case !holds && !fresh:
		return compose(all, out)
	case len(open) > 0:
		out.Basic = wire.Open
		return compose(open, out)
	}
	out.Basic = wire.Closed
	return compose(all, out)
}
