package presence

import (
	"cmp"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Handling is what policy decided about a watcher (SPEC 4.9); its values are those of policy.Handling.
type Handling uint8

const (
	Block       Handling = iota // refuse, and say so; the zero value is the safe one
	Confirm                     // hold until the presentity answers
	PoliteBlock                 // as Allow, in a view that shows nothing
	Allow
)

// A Watcher is one subscription to me: the presentity's side of SPEC 4.8. Its row is keyed by (Who,
// Sub); all rows of one address are one watcher in every rule and list.
type Watcher struct {
	Me, Who     Address
	Sub         wire.SubID
	Device      DeviceID // that asked last; a SubState is sealed to it
	Want        uint32
	Flags       uint32         // of its first request
	Told        []PublicKey    // E of the epochs that it was ever told of, the newest last
	Text, Name  string         // as claimed
	Reply       *wire.Endpoint // where answers may be left for it
	LifetimeS   uint64
	View        string // it was last active in, see InView
	State       wire.SubStateCode
	Since       Time              // of State
	Before      wire.SubStateCode // the state before; 0: none
	Event       Event             // what ended it, if that is more than State, Before and Reason tell
	Began       Time              // of its first request
	News        bool              // no event has told of State yet
	Reason      wire.Reason
	RetryAfterS uint64
	Expires     Time // only while Active
	Ended       bool // by Unsub, for good
	LastAt      Stamp
	Asked       Time // the newest request that was no replay came
	Answered    Time
	Seq         Stamp
	Top         Stamp     // the highest Seq ever: above Seq after the clock went back
	Grant, Next PublicKey // E of the epochs told in Raw
	Raw         []byte    // the newest SubState, as Signed bytes
	ID          wire.MID  // of Raw
	Unacked     bool
	Changed     Time // Raw was signed
	NextNotice  Time
}

// Facts is what the caller knows about a request before the rules are asked.
type Facts struct {
	Handling    Handling
	Refusal     wire.Reason // what Block is told as; 0: policy
	Contact     bool
	Service     bool // my record offers presence, or for WantIM an inbox
	PlaceFree   bool // the list of pending requests has a place for it (SPEC 3.9)
	Full        bool // I have MaxWatchers rows
	Unsupported bool // requires what this version does not understand (SPEC 3.3)
	View        string
	Grant, Next *wire.Grant // of View, see View.Grants; nil if there is none
}

// AnswerKind says which answer leaves.
type AnswerKind uint8

const (
	Silent AnswerKind = iota // none
	Resend                   // Watcher.Raw, as it is
	Sign                     // call Watcher.Sign, sign, call Watcher.Signed, save, send
	Refuse                   // an Ack failed(Reason) under the id of the request; no state changes
)

func (k AnswerKind) String() string { return [...]string{"silent", "resend", "sign", "refuse"}[k] }

// An Answer is what the presentity does about a request, an Unsub or a decision.
type Answer struct {
	Kind   AnswerKind
	Reason wire.Reason   // of Refuse
	Keep   bool          // the row belongs in the store; else it is used for this answer only
	Once   bool          // what Sign tells is not repeated unless it is asked for: a stranger was refused
	Left   string        // the view that an active sub left: it changes epoch, unless the address has another there (SPEC 4.2)
	Wait   time.Duration // from arrival until the answer leaves, however early it is ready
}

// retryPending is what a request that finds no place is told to wait, in seconds.
const retryPending = 3600

// Request takes a SubRequest from device, whose signature and authority have been checked (SPEC 2.5);
// now is its arrival. Row is what is kept under (r.From, r.Sub), nil if nothing is. The returned row
// replaces it, if Keep is set, before anything is sent; an answer of any kind leaves after Wait.
func Request(now Now, row *Watcher, r wire.SubRequest, device DeviceID, f Facts) (Watcher, Answer) {
	w := rowOf(now, row, r.From, r.To, r.Sub)
	if now.Ahead(r.At) {
		return w, Answer{Kind: Refuse, Reason: wire.ReasonTime, Wait: wire.AnswerDelay}
	}
	if r.At <= w.LastAt || now.Late(r.At.Add(wire.RequestLife)) || w.Ended {
		return w, Answer{Keep: row != nil && row.LastAt != w.LastAt}
	}
	w.LastAt, w.Asked = r.At, now.Wall
	if row == nil {
		w.Want, w.Flags, w.Began = r.Want, r.Flags, now.Wall // for the life of the sub
	}
	if !w.Unacked && within(now, w.Answered, wire.PollMinimum) {
		return w, Answer{}
	}
	to, reason := w.judge(f)
	if f.Unsupported && (to == wire.SubPending || to == wire.SubActive) {
		return w, Answer{Kind: Refuse, Reason: wire.ReasonUnsupportedRequired, Wait: wire.AnswerDelay}
	}
	w.Device, w.Text, w.Name, w.Reply = device, r.Text, r.Name, r.Reply
	w.LifetimeS, w.Answered = r.LifetimeS, now.Wall // what was not acked stays so: the answer may be lost
	a := Answer{Kind: Resend, Wait: wire.AnswerDelay}
	a.Left = w.move(now, to, reason, f.View)
	if w.unsaid(now, f.Grant, f.Next) {
		a.Kind = Sign
	}
	a.Keep = row != nil || f.Contact || w.State == wire.SubPending || w.State == wire.SubActive || w.Reason == wire.ReasonPolicy
	a.Once = w.State == wire.SubDenied && !f.Contact
	return w, a
}

// rowOf returns a copy of row with its stamp as it is to be read now, or a new row.
func rowOf(now Now, row *Watcher, who, me Address, sub wire.SubID) Watcher {
	if row == nil {
		return Watcher{Me: me, Who: who, Sub: sub}
	}
	w := *row
	w.LastAt = now.Stored(w.LastAt)
	return w
}

// judge returns the state that a request finds or comes to, in the order of SPEC 9.1 and 4.8.
func (w Watcher) judge(f Facts) (wire.SubStateCode, wire.Reason) {
	switch {
	case w.over():
		return w.State, w.Reason
	case !f.Service && w.State == wire.SubActive:
		return wire.SubTerminated, wire.ReasonNoPresenceService
	case !f.Service:
		return wire.SubDenied, wire.ReasonNoPresenceService
	case w.State == 0 && f.Handling != Block && f.Full:
		return wire.SubDenied, wire.ReasonNoResource
	case w.State == 0 && f.Handling == Confirm && !f.PlaceFree:
		return wire.SubDenied, wire.ReasonRateLimited
	}
	to, reason := w.handled(f.Handling)
	if reason == wire.ReasonPolicy {
		reason = cmp.Or(f.Refusal, reason)
	}
	return to, reason
}

// handled returns what a handling makes of a subscription that is not over (SPEC 4.9).
func (w Watcher) handled(h Handling) (wire.SubStateCode, wire.Reason) {
	switch {
	case h == Allow, h == PoliteBlock:
		return wire.SubActive, 0
	case h == Confirm:
		return wire.SubPending, 0
	case w.State == wire.SubActive:
		return wire.SubTerminated, wire.ReasonPolicy
	}
	return wire.SubDenied, wire.ReasonPolicy
}

// over reports whether no request can bring w back; only a new sub can.
func (w Watcher) over() bool {
	return w.State == wire.SubDenied || w.State == wire.SubTerminated || w.State == wire.SubExpired
}

// InView returns the view that an active subscription is in.
func (w Watcher) InView() string { return cmp.Or(w.View, DefaultView) }

// Reads reports whether w has the keys of its view.
func (w Watcher) Reads() bool { return w.State == wire.SubActive && w.Want != wire.WantIM }

// move changes the state, and the view of an active subscription, and returns the view whose keys w had
// and is no longer to have. What has changed is signed anew, so Raw is dropped.
func (w *Watcher) move(now Now, to wire.SubStateCode, reason wire.Reason, view string) (left string) {
	old := *w
	if to == wire.SubActive {
		w.View = view
	}
	if w.State != to || w.Reason != reason {
		w.enter(now, to, reason)
	}
	if old.Reads() && (!w.Reads() || w.InView() != old.InView()) {
		left, w.Raw = old.InView(), nil
	}
	return left
}

func (w *Watcher) enter(now Now, to wire.SubStateCode, reason wire.Reason) {
	if w.State != to {
		w.Since, w.Before, w.Event = now.Wall, w.State, 0
	}
	w.State, w.Reason, w.RetryAfterS, w.Expires, w.Raw = to, reason, 0, 0, nil
	if reason == wire.ReasonRateLimited {
		w.RetryAfterS = retryPending
	}
	if to == wire.SubActive {
		w.Expires = now.Wall.Add(lifetime(w.LifetimeS))
	}
}

// unsaid reports whether Raw does not say what is true now. A subscription of which half the lifetime
// is gone is renewed, and that is news too (SPEC 4.8).
func (w *Watcher) unsaid(now Now, grant, next *wire.Grant) bool {
	if life := lifetime(w.LifetimeS); w.State == wire.SubActive && w.Expires.Sub(now.Wall) <= life/2 {
		w.Expires = now.Wall.Add(life)
		return true
	}
	return w.Raw == nil || w.outranked(now) || w.Untold(grant, next) || now.Ahead(w.Seq) // which nobody has accepted
}

// outranked reports whether Raw was signed while my clock was set back, so that the watcher holds an
// earlier one for newer, and could be told better now.
func (w Watcher) outranked(now Now) bool { return w.Seq < w.Top && w.Top < now.Wall }

// early reports whether Raw was signed by a clock that ran ahead and has been set right: nobody has accepted
// it. If it is the present time that is wrong, somebody may have.
func (w Watcher) early(now Now) bool { return now.Ahead(w.Seq) && !now.ClockBack() }

// Untold reports whether w is active and has not been told of one of these epochs, so that a new
// SubState must be signed: ask it of every row when the epochs have changed.
func (w Watcher) Untold(grant, next *wire.Grant) bool {
	if !w.Reads() {
		return false
	}
	for _, g := range []*wire.Grant{grant, next} {
		if g != nil && g.E != w.Grant && g.E != w.Next {
			return true
		}
	}
	return false
}

// Sign returns the SubState that tells the present state, under a new seq; grant and next are those of
// the view of w, and go only to a watcher whose subscription to presence is active. It is sent until it
// is acked, the first time by the caller.
func (w *Watcher) Sign(now Now, grant, next *wire.Grant, arSeq Stamp) wire.SubState {
	w.Seq = now.Next(w.Seq)
	w.Top = max(w.Top, w.Seq)
	s := wire.SubState{
		From: w.Me, To: w.Who, Sub: w.Sub, Seq: w.Seq, State: w.State, Reason: w.Reason,
		Expires: w.Expires, RetryAfterS: w.RetryAfterS, ArSeq: arSeq,
	}
	w.Grant, w.Next = PublicKey{}, PublicKey{}
	if w.Reads() {
		s.Grant, s.Next = grant, next
		w.Grant, w.Next = keyOf(grant), keyOf(next)
		w.tell(w.Grant, w.Next)
	}
	w.Unacked, w.Changed = true, now.Wall
	w.NextNotice = now.Wall.Add(day)
	return s
}

// maxTold bounds Told: two a week for as long as an epoch is served, and some for each change.
const maxTold = 64

func (w *Watcher) tell(keys ...PublicKey) {
	for _, e := range keys {
		if e != (PublicKey{}) && !slices.Contains(w.Told, e) {
			w.Told = append(slices.Clip(w.Told), e)
		}
	}
	w.Told = w.Told[max(0, len(w.Told)-maxTold):]
}

func keyOf(g *wire.Grant) PublicKey {
	if g == nil {
		return PublicKey{}
	}
	return g.E
}

// Signed keeps the Signed bytes of what Sign returned, and their id, to be sent again as they are.
func (w *Watcher) Signed(raw []byte, id wire.MID) { w.Raw, w.ID = raw, id }

// Unsub takes an Unsub whose signature and authority have been checked. The sub is ended for good,
// also one never seen; an unknown one of somebody who is no contact is answered and not kept.
func Unsub(now Now, row *Watcher, u wire.Unsub, device DeviceID, contact bool) (Watcher, Answer) {
	w := rowOf(now, row, u.From, u.To, u.Sub)
	if now.Ahead(u.At) {
		return w, Answer{Kind: Refuse, Reason: wire.ReasonTime}
	}
	if u.At <= w.LastAt || now.Late(u.At.Add(wire.RequestLife)) {
		return w, Answer{Keep: row != nil && row.LastAt != w.LastAt}
	}
	w.LastAt, w.Device, w.Answered, w.Unacked = u.At, device, now.Wall, false
	a := Answer{Kind: Resend, Keep: row != nil || contact}
	if !w.Ended {
		w.Ended = true
		a.Kind, a.Left = Sign, w.move(now, wire.SubTerminated, wire.ReasonUnsubscribed, "")
	}
	return w, a
}

// Decide applies a new handling of the address to w, and the view that it is to be in: the user approved,
// denied, removed or blocked, or a rule changed. Approve is Allow, deny and remove are Block. Kind is Sign
// if w changed.
func (w *Watcher) Decide(now Now, h Handling, view string) Answer {
	if w.over() || w.State == 0 {
		return Answer{}
	}
	to, reason := w.handled(h)
	if w.State == to && w.Reason == reason && (!w.Reads() || w.InView() == view) {
		if to == wire.SubActive {
			w.View = view // it has no keys, so nothing is to be told
		}
		return Answer{}
	}
	return Answer{Kind: Sign, Keep: true, Left: w.move(now, to, reason, view), Wait: w.hold(now)}
}

// Stay has w be in another view whose epochs it holds already, so that nothing has to be told.
func (w *Watcher) Stay(view string) { w.View = view }

// hold returns how long a SubState must still wait, so that no answer leaves within a second of the
// request, not even one that the user decided in that second.
func (w Watcher) hold(now Now) time.Duration {
	if !within(now, w.Asked, wire.AnswerDelay) {
		return 0
	}
	return wire.AnswerDelay - now.Wall.Sub(w.Asked)
}

// Acked notes an Ack of the SubState id, and reports whether that changed anything. An ack of an older
// SubState does not.
func (w *Watcher) Acked(id wire.MID) bool {
	if id != w.ID || !w.Unacked {
		return false
	}
	w.Unacked = false
	return true
}

// Refused notes that the watcher could not take the SubState id for now: its seq lies ahead of his clock, or
// he lacks my record. It is told again after a minute, so that it arrives soon after a clock has been set
// right (SPEC 11.2, I30), and signed anew if the clock was mine. It reports whether that changed anything.
func (w *Watcher) Refused(now Now, id wire.MID) bool {
	if id != w.ID || !w.Unacked || w.NextNotice <= now.Wall.Add(minute) {
		return false
	}
	w.NextNotice = now.Wall.Add(minute)
	return true
}

// Due says what is to be done now: SendState (send Raw, call Noticed), SignState, Expire, Drop or Nothing.
func (w Watcher) Due(now Now) Action {
	switch {
	case w.State == wire.SubActive && now.Past(w.Expires), w.State == wire.SubPending && now.Past(w.ends()):
		return Expire
	case w.over() && now.Past(w.ends()):
		return Drop
	case w.noticing(now) && (w.outranked(now) || w.early(now)):
		return SignState
	case w.noticing(now) && reached(now, w.NextNotice.Add(-day), w.NextNotice): // it was set a day ahead at most
		return SendState
	}
	return Nothing
}

// ends returns when a row without a lifetime of its own is given up. A row that is over is kept until
// every request of its sub has become too old to be replayed.
func (w Watcher) ends() Time {
	if w.State == wire.SubPending {
		return w.Asked.Add(wire.RequestLife)
	}
	return max(w.Since, w.LastAt).Add(wire.RequestLife + identity.Skew)
}

// noticing reports whether the newest SubState still waits for its ack: 30 days, then no more.
func (w Watcher) noticing(now Now) bool {
	return w.Unacked && w.Raw != nil && now.Wall <= w.Changed.Add(wire.RequestLife)
}

// Wake returns how long Due stays as it is.
func (w Watcher) Wake(now Now) time.Duration {
	if w.Due(now) != Nothing {
		return 0
	}
	end := w.ends()
	if w.State == wire.SubActive {
		end = w.Expires
	}
	d := until(now, end+1)
	if w.noticing(now) {
		d = min(d, until(now, w.NextNotice))
		if w.Seq < w.Top {
			d = min(d, until(now, w.Top+1))
		}
	}
	return d
}

// Expire ends a subscription that was not renewed, or a request that nobody answered. Left as in
// Answer; those who expire are gathered, see [CauseExpiry].
func (w *Watcher) Expire(now Now) Answer {
	return Answer{Kind: Sign, Keep: true, Left: w.move(now, wire.SubExpired, 0, "")}
}

// Contact notes a sign of life of the watcher: what is not acked is sent now, but not sooner than the answer
// to a request may leave.
func (w *Watcher) Contact(now Now) {
	if w.Unacked {
		w.NextNotice = now.Wall.Add(w.hold(now))
	}
}

// Noticed notes that Raw was sent without being asked for; it is sent again after a day.
func (w *Watcher) Noticed(now Now, jitter float64) {
	w.NextNotice = now.Wall.Add(day - fraction(day/10, jitter))
}

// Ninth returns the index of the row that a new sub of the same address replaces, the one longest
// unpolled, and false if there is room (SPEC 3.9). Rows that are over take no room.
func Ninth(rows []Watcher) (int, bool) {
	live, oldest := 0, -1
	for i, w := range rows {
		if w.over() {
			continue
		}
		if live++; oldest < 0 || w.LastAt < rows[oldest].LastAt {
			oldest = i
		}
	}
	return oldest, live >= wire.MaxSubs
}
