package presence

import (
	"bytes"
	"errors"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Short names for what every rule is about.
type (
	Address   = identity.Address
	DeviceID  = identity.DeviceID
	PublicKey = identity.PublicKey
	Time      = identity.Time
	Stamp     = identity.Stamp
	Now       = identity.Now
)

// A WatchState is where my subscription stands (SPEC 4.8).
type WatchState uint8

const (
	None WatchState = iota
	Requested
	Pending
	Active
	Denied
	Terminated
	Expired
	Ending // I unsubscribed, and the presentity has not confirmed it
)

func (s WatchState) String() string {
	return [...]string{"none", "requested", "pending", "active", "denied", "terminated", "expired", "ending"}[s]
}

// Errors of a SubState that is not accepted; none of them changes anything (SPEC 4.8).
var (
	ErrNotMine = errors.New("not a subscription of mine")  // other presentity, watcher or sub
	ErrNotLive = errors.New("subscription is over")        // PENDING or ACTIVE after its end: answer by Unsub, once a day
	ErrStale   = errors.New("older than what is known")    // no ack
	ErrAhead   = errors.New("stamp is in the future")      // refuse with reason time
	ErrGrant   = errors.New("grant of an impossible time") // or of more than 8 days
	ErrState   = errors.New("state of a later profile")    // refuse with reason unsupported-required
)

// A Watching is my subscription to one presentity: the watcher's side of SPEC 4.8. A new sub makes a
// new subscription of the same Watching; see Again.
type Watching struct {
	Me, Of     Address
	Sub        wire.SubID
	State      WatchState
	Since      Time // of State
	Want       uint32
	Text, Name string
	LifetimeS  uint64 // asked for; 0: 60 d
	Flags      uint32 // said in each request, see wire.FlagPseudonym
	Invite     []byte // shown in each request, nil if there is none
	LastAt     Stamp  // of the newest request or unsub
	Seq        Stamp  // of the newest SubState
	Reason     wire.Reason
	Refusal    wire.Reason // of the newest request, if it could not even be judged
	Expires    Time
	RetryAfter Time        // when to ask again with a new sub, 0: when the user says so
	Grant      *wire.Grant // only while Active
	Next       *wire.Grant
	Raw        []byte // the SubState that Grant and Next came in, as it was signed
	Linger     []Linger
	Slot       PublicKey       // where the next word lies while the presentity is away; zero: nowhere (SPEC 7.2)
	Anchors    []wire.Endpoint // who keeps it, and the records
	Mailbox    *wire.Endpoint  // where I may leave messages for him
	Sends      int             // requests or unsubs sent in this State
	Asked      Time
	Answered   Time // a SubState came, new or the same again
	NextSend   Time
}

// Linger is a topic to stay joined to, without its key, so that leaving it tells nobody when the
// subscription changed (SPEC 4.2).
type Linger struct {
	E     PublicKey
	Until Time
}

// maxLinger bounds the topics that a presentity who changes epoch without pause can hold me to.
const maxLinger = 16

// An Action is what Due asks the caller to do.
type Action uint8

const (
	Nothing     Action = iota
	SendRequest        // call Request, save, seal and send
	SendUnsub          // call Unsub, save (or drop, if the state is None now), seal and send
	Expire             // call Expire, save; tell the user
	AskAgain           // draw a sub, call Again, save
	Drop               // delete the row
	SendState          // a Watcher's Raw is to be sent
	SignState          // a Watcher's state is to be signed anew, see Watcher.Sign; save, send
)

func (a Action) String() string {
	return [...]string{"nothing", "send-request", "send-unsub", "expire", "ask-again", "drop", "send-state", "sign-state"}[a]
}

// An Outcome says what a SubState did.
type Outcome struct {
	Changed   bool // state, reason, expiry or grants: tell the user, watch the new topics
	Confirmed bool // the known SubState came again
	Ack       bool // ack it (SPEC 5.3)
}

// Subscribe returns a new subscription of me to of, due at once. Want is wire.WantPresence or
// wire.WantIM; sub is random; lifetimeS is in seconds, 0 for the longest.
func Subscribe(now Now, me, of Address, sub wire.SubID, want uint32, text, name string, lifetimeS uint64) Watching {
	w := Watching{Me: me, Of: of, Want: want, Text: text, Name: name, LifetimeS: lifetimeS}
	w.Again(now, sub, 0)
	return w
}

// Again asks anew under a new sub, from any state. Topics of the old subscription linger.
func (w *Watching) Again(now Now, sub wire.SubID, jitter float64) {
	w.erase(now, jitter)
	w.Sub, w.LastAt, w.Seq = sub, 0, 0
	w.Slot = PublicKey{}
	w.Reason, w.Refusal, w.Expires, w.RetryAfter, w.Asked, w.Answered = 0, 0, 0, 0, 0, 0
	w.enter(now, Requested)
	w.NextSend = now.Wall
}

// End unsubscribes by the user's wish: the key is erased, and Unsub is sent until it is confirmed.
func (w *Watching) End(now Now, jitter float64) {
	if w.State == None || w.State == Ending {
		return
	}
	unheard := w.State == Requested && w.Sends == 0
	w.erase(now, jitter)
	w.enter(now, Ending)
	w.NextSend = now.Wall
	if unheard {
		w.enter(now, None)
	}
}

// Invited has the request show an invite that was not there before, and asks at once if it waits.
func (w *Watching) Invited(now Now, invite []byte) (news bool) {
	if len(invite) == 0 || bytes.Equal(invite, w.Invite) {
		return false
	}
	w.Invite = invite
	if w.State == Requested || w.State == Pending {
		w.NextSend = now.Wall
	}
	return true
}

// Unserved ends a request that nobody can answer, since the record of the presentity says that it has not
// the service (SPEC 2.3). It asks again when the user does.
func (w *Watching) Unserved(now Now, reason wire.Reason, jitter float64) {
	if w.State != Requested && w.State != Pending {
		return
	}
	w.erase(now, jitter)
	w.enter(now, Denied)
	w.Reason, w.Expires, w.RetryAfter = reason, 0, 0
}

// Due says what is to be done now. It changes nothing.
func (w Watching) Due(now Now) Action {
	switch w.State {
	case None:
		if len(w.topics(now)) == 0 {
			return Drop
		}
	case Requested, Pending:
		if now.Past(w.Since.Add(wire.RequestLife)) {
			return SendUnsub
		}
		return w.dueSend(now, SendRequest)
	case Active:
		if now.Past(w.Expires) {
			return Expire
		}
		return w.dueSend(now, SendRequest)
	case Ending:
		if now.Past(w.Since.Add(wire.RequestLife)) {
			return Drop
		}
		return w.dueSend(now, SendUnsub)
	default:
		if reached(now, w.Since, w.RetryAfter) {
			return AskAgain
		}
	}
	return Nothing
}

// dueSend also sends what a clock that ran ahead had put off, once: what was sent since the clock went back
// has a pause of its own, whenever the state may have been entered.
func (w Watching) dueSend(now Now, a Action) Action {
	from := w.Asked
	if w.Sends == 0 {
		from = max(w.Asked, w.Since)
	}
	if reached(now, from, w.NextSend) {
		return a
	}
	return Nothing
}

// Wake returns how long Due stays as it is.
func (w Watching) Wake(now Now) time.Duration {
	if w.Due(now) != Nothing {
		return 0
	}
	d := until(now, w.NextSend)
	switch w.State {
	case None:
		for _, l := range w.Linger {
			d = min(d, until(now, l.Until+1))
		}
	case Requested, Pending, Ending:
		d = min(d, until(now, w.Since.Add(wire.RequestLife)+1))
	case Active:
		d = min(d, until(now, w.Expires+1))
	default:
		d = until(now, w.RetryAfter)
	}
	return d
}

// Request draws the next at and returns the request, resend, poll or renewal that is to be sent now,
// all of them the same message (SPEC 4.8). ArSeq is the seq of my own record.
func (w *Watching) Request(now Now, arSeq Stamp, jitter float64) wire.SubRequest {
	w.sent(now, jitter)
	return wire.SubRequest{
		From: w.Me, To: w.Of, Sub: w.Sub, At: w.LastAt, Want: w.Want,
		Text: w.Text, Name: w.Name, LifetimeS: w.LifetimeS, ArSeq: arSeq, Flags: w.Flags, Invite: w.Invite,
	}
}

// Unsub draws the next at and returns the Unsub that is to be sent now. If the request has waited
// 30 days in vain, this is all that is sent, and the state is None.
func (w *Watching) Unsub(now Now, jitter float64) wire.Unsub {
	w.sent(now, jitter)
	if w.State == Requested || w.State == Pending {
		w.enter(now, None)
	}
	return wire.Unsub{From: w.Me, To: w.Of, Sub: w.Sub, At: w.LastAt}
}

func (w *Watching) sent(now Now, jitter float64) {
	w.LastAt, w.Seq = now.Next(w.LastAt), now.Stored(w.Seq)
	w.Sends++
	w.Asked = now.Wall
	if now.Ahead(w.Answered) { // by another reading of the clock: it answers nothing sent from now on
		w.Answered = 0
	}
	w.NextSend = now.Wall.Add(w.pause(now, jitter))
}

// resends are the pauses after the first requests and unsubs; then it is six hours (SPEC 4.8).
var resends = [...]time.Duration{minute, 10 * minute, hour}

// pause returns how long to wait after a send. Jitter only shortens the long pauses, so that a daily
// poll is at least daily.
func (w *Watching) pause(now Now, jitter float64) time.Duration {
	early := 1 - jitter/10
	switch w.State {
	case Requested, Ending:
		if w.Sends <= len(resends) {
			return resends[w.Sends-1]
		}
		return time.Duration(float64(6*hour) * early)
	case Active:
		return min(time.Duration(float64(day)*early), w.renewal(now), w.beforeEnd(now))
	}
	return time.Duration(float64(day) * early)
}

// renewal returns how long it is until half of the lifetime is gone; after that, an eighth of the
// lifetime, which matters for lifetimes of less than some days only.
func (w *Watching) renewal(now Now) time.Duration {
	life := lifetime(w.LifetimeS)
	if d := w.Expires.Sub(now.Wall) - life/2; d > 0 {
		return d
	}
	return max(life/8, minute)
}

// beforeEnd returns how long it is until 24 h before the end of the newest epoch that I hold.
func (w *Watching) beforeEnd(now Now) time.Duration {
	for _, g := range []*wire.Grant{w.Next, w.Grant} {
		if g == nil {
			continue
		}
		if d := g.NotAfter.Sub(now.Wall) - day; d > 0 {
			return d
		}
		break
	}
	return day
}

// lifetime returns what a lifetime_s asks for, 60 days at most (SPEC 4.8).
func lifetime(s uint64) time.Duration {
	if s == 0 || s > uint64(wire.SubscriptionLife/time.Second) {
		return wire.SubscriptionLife
	}
	return time.Duration(s) * time.Second
}

// Connected notes a new connection to the presentity: what waits is sent now, and an active
// subscription is polled, unless it was answered within the hour.
func (w *Watching) Connected(now Now) {
	switch w.State {
	case Requested, Pending, Ending:
		w.poll(now, now.Wall)
	case Active:
		if w.answered() && within(now, w.Asked, hour) {
			return
		}
		w.poll(now, now.Wall)
	case Expired:
		w.RetryAfter = now.Wall
	}
}

// Refused notes that the presentity could not judge the newest request, for which reason, and what his clock
// showed. If the clocks are the cause, the next one follows within a minute, so that it comes soon after one
// of them has been set right (SPEC 11.2, I30). News is whether the reason is another than before.
func (w *Watching) Refused(now Now, r wire.Reason, at Time) (news bool) {
	news, w.Refusal = w.Refusal != r, r
	switch w.State {
	case Requested, Pending, Active, Ending:
		if r == wire.ReasonTime || now.Apart(at) {
			w.poll(now, now.Wall.Add(minute))
		}
	}
	return news
}

// Lapsed notes that the lease is about to lapse: an active subscription is polled.
func (w *Watching) Lapsed(now Now) { w.pollActive(now, now.Wall) }

// SawClosed notes that the presentity said CLOSED: it is polled in 0 to 30 s, since that may be the
// last word in an epoch that I no longer belong to.
func (w *Watching) SawClosed(now Now, jitter float64) {
	w.pollActive(now, now.Wall.Add(fraction(30*time.Second, jitter)))
}

func (w *Watching) pollActive(now Now, at Time) {
	if w.State == Active {
		w.poll(now, at)
	}
}

// poll brings the next send forward to at, but not into the minute after an answer, in which the
// presentity does not answer again.
func (w *Watching) poll(now Now, at Time) {
	if w.answered() && within(now, w.Answered, wire.PollMinimum) {
		at = max(at, w.Answered.Add(wire.PollMinimum))
	}
	if w.NextSend == 0 || at < w.NextSend {
		w.NextSend = at
	}
}

func (w *Watching) answered() bool { return w.Asked != 0 && w.Answered >= w.Asked }

// Answer takes a SubState whose signer has been found to speak for its from (SPEC 2.5, 4.8). Errors:
// [ErrNotMine], [ErrNotLive], [ErrStale], [ErrAhead], [ErrState], [ErrGrant]. The last word of a
// subscription that I ended is still acked as long as there is a row, else it would be sent for 30 days.
func (w *Watching) Answer(now Now, s wire.SubState, jitter float64) (Outcome, error) {
	if s.From != w.Of || s.To != w.Me || s.Sub != w.Sub || w.State == None && s.Seq != w.Seq {
		return Outcome{}, ErrNotMine
	}
	if s.Seq == w.Seq {
		w.Answered, w.Refusal = now.Wall, 0
		return Outcome{Confirmed: true, Ack: true}, nil
	}
	w.Seq = now.Stored(w.Seq)
	switch {
	case now.Ahead(s.Seq):
		return Outcome{}, ErrAhead
	case s.Seq <= w.Seq:
		return Outcome{}, ErrStale
	case s.State > wire.SubExpired:
		return Outcome{}, ErrState
	case !plausible(now, s.Grant), !plausible(now, s.Next):
		return Outcome{}, ErrGrant
	}
	return w.take(now, s, jitter)
}

// plausible reports whether g is of a time that an epoch told now can have.
func plausible(now Now, g *wire.Grant) bool {
	return g == nil || !g.HasEpoch() ||
		!now.Ahead(g.NotBefore.Add(-wire.GrantLife)) &&
			g.NotBefore <= g.NotAfter && g.NotAfter <= g.NotBefore.Add(wire.GrantLife)
}

// take acts on a SubState that is newer than all before.
func (w *Watching) take(now Now, s wire.SubState, jitter float64) (Outcome, error) {
	to, over := stateOf(s.State), s.State != wire.SubPending && s.State != wire.SubActive
	if w.State == Ending {
		return w.takeEnding(now, s)
	}
	if live := w.State == Requested || w.State == Pending || w.State == Active; !live && !over {
		return Outcome{}, ErrNotLive
	}
	w.Seq, w.Answered, w.Reason, w.Refusal = s.Seq, now.Wall, s.Reason, 0
	if to != w.State {
		w.enter(now, to)
	}
	if g := s.Grant; g != nil {
		w.Slot, w.Anchors, w.Mailbox = g.Slot, g.Anchors, g.IM
	}
	w.Expires, w.RetryAfter = 0, 0
	if s.RetryAfterS != 0 && over {
		w.RetryAfter = now.Wall.Add(time.Duration(min(s.RetryAfterS, uint64(365*day/time.Second))) * time.Second)
	}
	if to == Active {
		w.activate(now, s, jitter)
	} else {
		w.erase(now, jitter)
	}
	w.NextSend = 0
	if !over {
		w.NextSend = now.Wall.Add(w.pause(now, jitter))
	}
	return Outcome{Changed: true, Ack: true}, nil
}

func stateOf(c wire.SubStateCode) WatchState {
	switch c {
	case wire.SubPending:
		return Pending
	case wire.SubActive:
		return Active
	case wire.SubDenied:
		return Denied
	case wire.SubExpired:
		return Expired
	}
	return Terminated
}

// takeEnding waits for the one answer that ends an ended subscription, and acks the others.
func (w *Watching) takeEnding(now Now, s wire.SubState) (Outcome, error) {
	w.Seq, w.Answered = s.Seq, now.Wall
	if s.State != wire.SubTerminated || s.Reason != wire.ReasonUnsubscribed {
		return Outcome{Ack: true}, nil
	}
	w.Reason = s.Reason
	w.enter(now, None)
	return Outcome{Changed: true, Ack: true}, nil
}
