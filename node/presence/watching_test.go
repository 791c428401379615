package presence

import (
	"errors"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

var sub1 = wire.SubID{7}

func asking() Watching {
	return Subscribe(at(0), alice, bob, sub1, wire.WantPresence, "hello", "Alice", 0)
}

// said returns the SubState that bob would sign d after start.
func said(state wire.SubStateCode, d time.Duration) wire.SubState {
	s := wire.SubState{From: bob, To: alice, Sub: sub1, Seq: start.Add(d), State: state}
	if state == wire.SubActive {
		s.Expires, s.Grant = start.Add(d+wire.SubscriptionLife), grantOf(1, start)
	}
	return s
}

// watching returns a subscription that bob brought to the given state at the start.
func watching(t *testing.T, state wire.SubStateCode) Watching {
	t.Helper()
	w := asking()
	w.Request(at(0), 0, 0)
	if _, err := w.Answer(at(0), said(state, 0), 0); err != nil {
		t.Fatal(err)
	}
	return w
}

func TestRequestIsSentAgain(t *testing.T) {
	w := asking()
	var last Stamp
	for _, d := range []time.Duration{0, minute, 11 * minute, 71 * minute, 71*minute + 6*hour, 71*minute + 12*hour} {
		if d > 0 {
			check(t, "before", w.Due(at(d-time.Second)), Nothing)
		}
		check(t, "due", w.Due(at(d)), SendRequest)
		r := w.Request(at(d), 5, 0)
		if r.At <= last || r.From != alice || r.To != bob || r.Sub != sub1 || r.ArSeq != 5 {
			t.Errorf("request %+v after %d", r, last)
		}
		last = r.At
	}
	check(t, "unheard after 30 d", w.Due(unheard(31*day)), SendRequest)
	check(t, "after 30 d", w.Due(at(31*day)), SendUnsub)
	w.Unsub(at(31*day), 0)
	check(t, "state", w.State, None)
	check(t, "row", w.Due(at(31*day)), Drop)
}

func TestAnswer(t *testing.T) {
	tests := []struct {
		name  string
		from  wire.SubStateCode // 0: still requested
		say   wire.SubStateCode
		edit  func(*wire.SubState)
		state WatchState
		err   error
	}{
		{"held", 0, wire.SubPending, nil, Pending, nil},
		{"let in at once", 0, wire.SubActive, nil, Active, nil},
		{"refused at once", 0, wire.SubDenied, nil, Denied, nil},
		{"let in later", wire.SubPending, wire.SubActive, nil, Active, nil},
		{"refused later", wire.SubPending, wire.SubDenied, nil, Denied, nil},
		{"renewed", wire.SubActive, wire.SubActive, nil, Active, nil},
		{"held again", wire.SubActive, wire.SubPending, nil, Pending, nil},
		{"thrown out", wire.SubActive, wire.SubTerminated, nil, Terminated, nil},
		{"run out over there", wire.SubActive, wire.SubExpired, nil, Expired, nil},
		{"let in after it was over", wire.SubDenied, wire.SubActive, nil, Denied, ErrNotLive},
		{"another presentity", 0, wire.SubActive, func(s *wire.SubState) { s.From = carol }, Requested, ErrNotMine},
		{"to somebody else", 0, wire.SubActive, func(s *wire.SubState) { s.To = carol }, Requested, ErrNotMine},
		{"another sub", 0, wire.SubActive, func(s *wire.SubState) { s.Sub[0]++ }, Requested, ErrNotMine},
		{"late", wire.SubActive, wire.SubTerminated, func(s *wire.SubState) { s.Seq = start - 1 }, Active, ErrStale},
		{"from the future", wire.SubActive, wire.SubTerminated, func(s *wire.SubState) { s.Seq = start.Add(hour) }, Active, ErrAhead},
		{"a state of a later profile", 0, wire.SubExpired + 1, nil, Requested, ErrState},
		{"grant for ever", 0, wire.SubActive, func(s *wire.SubState) { s.Grant.NotAfter = 1 << 63 }, Requested, ErrGrant},
		{"grant for 2100", 0, wire.SubActive, func(s *wire.SubState) { s.Next = grantOf(2, start.Add(70*365*day)) }, Requested, ErrGrant},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := asking()
			if tt.from != 0 {
				w = watching(t, tt.from)
			}
			s := said(tt.say, minute)
			if tt.edit != nil {
				tt.edit(&s)
			}
			out, err := w.Answer(at(minute), s, 0)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			check(t, "state", w.State, tt.state)
			check(t, "ack", out.Ack, tt.err == nil)
			check(t, "grants", len(w.Grants()) > 0, tt.state == Active)
			check(t, "key kept", w.Grant != nil, tt.state == Active)
		})
	}
}

func TestSameAnswerConfirms(t *testing.T) {
	w := watching(t, wire.SubActive)
	out, err := w.Answer(at(hour), said(wire.SubActive, 0), 0)
	if err != nil || !out.Confirmed || !out.Ack || out.Changed || w.Answered != start.Add(hour) {
		t.Errorf("%+v, %v, answered %d", out, err, w.Answered)
	}
}

func TestActivePolls(t *testing.T) {
	tests := []struct {
		name string
		do   func(*Watching)
		due  time.Duration // from the start, when the subscription was answered
	}{
		{"by itself", func(*Watching) {}, day},
		{"connected too soon", func(w *Watching) { w.Connected(at(30 * minute)) }, day},
		{"connected", func(w *Watching) { w.Connected(at(2 * hour)) }, 2 * hour},
		{"lapse", func(w *Watching) { w.Lapsed(at(hour)) }, hour},
		{"lapse within the minute", func(w *Watching) { w.Lapsed(at(20 * time.Second)) }, minute},
		{"closed", func(w *Watching) { w.SawClosed(at(hour), 0.5) }, hour + 15*time.Second},
		{"clock back by a year", func(w *Watching) { w.Asked, w.NextSend = start.Add(365*day), start.Add(366*day) }, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := watching(t, wire.SubActive)
			tt.do(&w)
			check(t, "before", w.Due(at(max(tt.due-1, 0)*1)) == SendRequest, tt.due == 0)
			check(t, "due", w.Due(at(tt.due)), SendRequest)
		})
	}
}

func TestShortLifeIsRenewedInTime(t *testing.T) {
	w := watching(t, wire.SubPending)
	w.LifetimeS = 3600
	s := said(wire.SubActive, minute)
	s.Expires = start.Add(hour)
	if _, err := w.Answer(at(minute), s, 0); err != nil {
		t.Fatal(err)
	}
	check(t, "half", w.Due(at(30*minute)), SendRequest)
	w.Request(at(30*minute), 0, 0)
	check(t, "once more", w.Due(at(38*minute)), SendRequest)
}

func TestPollBeforeTheEpochEnds(t *testing.T) {
	w := watching(t, wire.SubActive)
	for d := day; d < 7*day; d += 20 * hour {
		w.Request(at(d), 0, 0)
	}
	w.Request(at(7*day-hour), 0, 0)
	check(t, "24 h before not_after", w.Due(at(7*day)), SendRequest)
}

func TestUnsubscribe(t *testing.T) {
	w := watching(t, wire.SubActive)
	w.End(at(hour), 0.5)
	check(t, "state", w.State, Ending)
	check(t, "keys", len(w.Grants()), 0)
	check(t, "topics", len(w.Topics(at(hour))), 1)
	check(t, "due", w.Due(at(hour)), SendUnsub)
	first := w.Unsub(at(hour), 0)
	check(t, "again", w.Due(at(hour+minute)), SendUnsub)
	if second := w.Unsub(at(hour+minute), 0); second.At <= first.At {
		t.Errorf("at %d after %d", second.At, first.At)
	}
	late := said(wire.SubActive, 50*minute)
	if out, err := w.Answer(at(hour), late, 0); err != nil || out.Changed || !out.Ack {
		t.Errorf("late grant: %+v, %v", out, err)
	}
	end := said(wire.SubTerminated, hour)
	end.Reason = wire.ReasonUnsubscribed
	if _, err := w.Answer(at(hour+minute), end, 0); err != nil {
		t.Fatal(err)
	}
	check(t, "state", w.State, None)
	check(t, "while lingering", w.Due(at(8*day)), Nothing)
	check(t, "lingers until", w.Linger[0].Until, start.Add(8*day+30*minute))
	check(t, "after", w.Due(at(8*day+hour)), Drop)
}

func TestCancelBeforeTheFirstSend(t *testing.T) {
	w := asking()
	w.End(at(0), 0)
	check(t, "state", w.State, None)
	check(t, "row", w.Due(at(0)), Drop)
}

func TestExpiryWaitsForBothClocks(t *testing.T) {
	w := watching(t, wire.SubActive)
	w.Request(at(61*day), 0, 0)
	forward := unheard(61 * day)
	if a := w.Due(forward); a == Expire {
		t.Error("a clock thrown forward ended the subscription")
	}
	check(t, "both", w.Due(at(61*day)), Expire)
	w.Expire(at(61*day), 0)
	check(t, "state", w.State, Expired)
	check(t, "by itself", w.Due(at(62*day)), Nothing)
	w.Connected(at(62 * day))
	check(t, "there again", w.Due(at(62*day)), AskAgain)
	w.Again(at(62*day), wire.SubID{9}, 0)
	check(t, "state", w.State, Requested)
	check(t, "due", w.Due(at(62*day)), SendRequest)
}

func TestDeniedAsksAgainWhenToldTo(t *testing.T) {
	w := asking()
	w.Request(at(0), 0, 0)
	s := said(wire.SubDenied, 0)
	s.RetryAfterS = 3600
	if _, err := w.Answer(at(0), s, 0); err != nil {
		t.Fatal(err)
	}
	check(t, "before", w.Due(at(hour-1e6)), Nothing)
	check(t, "after", w.Due(at(hour)), AskAgain)
}

// A clock that ran ahead for both, and was set right, must not lock the subscription (I30).
func TestSeqOfAnImpossibleFuture(t *testing.T) {
	w := watching(t, wire.SubActive)
	w.Seq = start.Add(10 * 365 * day)
	if _, err := w.Answer(at(minute), said(wire.SubTerminated, 30*time.Second), 0); !errors.Is(err, ErrStale) {
		t.Errorf("error %v", err)
	}
	if _, err := w.Answer(at(2*minute), said(wire.SubTerminated, 2*minute), 0); err != nil {
		t.Error(err)
	}
	check(t, "state", w.State, Terminated)
}

func TestReplacedEpochLingers(t *testing.T) {
	w := watching(t, wire.SubActive)
	old := w.Grant.E
	s := said(wire.SubActive, day)
	s.Grant = grantOf(2, start.Add(day))
	if _, err := w.Answer(at(day), s, 0); err != nil {
		t.Fatal(err)
	}
	topics := w.Topics(at(day))
	if len(topics) != 2 || topics[1] != old || len(w.Grants()) != 1 {
		t.Errorf("topics %x, grants %d", topics, len(w.Grants()))
	}
	for i := range 40 { // one who changes without pause
		s.Seq, s.Grant = s.Seq+1, grantOf(byte(3+i), start.Add(day))
		if _, err := w.Answer(at(day+hour), s, 0); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "bound", len(w.Linger), maxLinger)
}

func TestEveryStateHasATimer(t *testing.T) {
	for s := Requested; s <= Ending; s++ {
		w := Watching{State: s, Since: start, Asked: start, NextSend: start.Add(day), Expires: start.Add(hour), RetryAfter: start.Add(2 * hour)}
		if d := w.Wake(at(0)); d <= 0 || d > MaxSleep {
			t.Errorf("%v: wakes after %v", s, d)
		}
		if now := at(100 * day); w.Due(now) == Nothing {
			t.Errorf("%v: stays for ever", s)
		}
	}
}

func TestUnserved(t *testing.T) {
	w := Subscribe(Now{Wall: 1_750_000_000_000}, Address{1}, Address{2}, wire.SubID{3}, wire.WantPresence, "", "", 0)
	now := Now{Wall: 1_750_000_001_000}
	w.Unserved(now, wire.ReasonNoPresenceService, 0)
	if w.State != Denied || w.Reason != wire.ReasonNoPresenceService || w.Due(now) != Nothing {
		t.Errorf("%v %v, due %v", w.State, w.Reason, w.Due(now))
	}
	w.State = Active
	if w.Unserved(now, wire.ReasonNoPresenceService, 0); w.State != Active {
		t.Error("an active subscription was ended")
	}
}

// A clock that is set back, in whatever state, makes a request due once and not without a pause: states
// were entered in what is now the future.
func TestClockBackSendsOnce(t *testing.T) {
	unasked := asking()
	ending := watching(t, wire.SubActive)
	ending.End(at(0), 0)
	tests := []struct {
		name string
		w    Watching
		want Action
	}{
		{"never sent", unasked, SendRequest},
		{"waiting", watching(t, wire.SubPending), SendRequest},
		{"active", watching(t, wire.SubActive), SendRequest},
		{"ending", ending, SendUnsub},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := stepped(at(minute), -day)
			check(t, "set back", tt.w.Due(now), tt.want)
			if tt.want == SendUnsub {
				tt.w.Unsub(now, 0.5)
			} else {
				tt.w.Request(now, 0, 0.5)
			}
			check(t, "sent", tt.w.Due(now), Nothing)
			if tt.w.Wake(now) < minute {
				t.Errorf("wakes after %v", tt.w.Wake(now))
			}
			tt.w.Connected(stepped(at(2*minute), -day))
			check(t, "connected, unanswered", tt.w.Due(stepped(at(2*minute), -day)), tt.want)
		})
	}
}

func TestAheadOfTheirClock(t *testing.T) {
	w := asking()
	w.Request(at(0), 0, 0)
	w.Request(at(minute), 0, 0) // the next one would be due in ten minutes
	check(t, "news", w.Refused(at(minute), wire.ReasonTime, at(minute).Wall), true)
	check(t, "before", w.Due(at(2*minute-time.Second)), Nothing)
	check(t, "a minute after the refusal", w.Due(at(2*minute)), SendRequest)
	w.Request(at(2*minute), 0, 0)
	check(t, "no news", w.Refused(at(2*minute), wire.ReasonTime, at(2*minute).Wall), false)
	w.Request(at(3*minute), 0, 0)
	check(t, "by a right clock", w.Refused(at(3*minute), wire.ReasonStaleRecord, at(3*minute).Wall), true)
	check(t, "is not asked so soon", w.Due(at(4*minute)), Nothing)
	w.Refused(at(3*minute), wire.ReasonStaleRecord, at(hour).Wall)
	check(t, "by a wrong clock", w.Due(at(4*minute)), SendRequest)
	over := watching(t, wire.SubDenied)
	over.Refused(at(minute), wire.ReasonTime, at(minute).Wall)
	check(t, "over", over.Due(at(hour)), Nothing)
}
