package presence

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func asked(d time.Duration) wire.SubRequest {
	return wire.SubRequest{From: alice, To: bob, Sub: sub1, At: start.Add(d), Want: wire.WantPresence}
}

// let is what bob knows when he lets everybody in.
func let(h Handling) Facts {
	return Facts{Handling: h, Service: true, PlaceFree: true, View: DefaultView, Grant: grantOf(1, start)}
}

// answered takes a request and signs the answer, as the corridor does.
func answered(now Now, row *Watcher, r wire.SubRequest, f Facts) (Watcher, Answer, wire.SubState) {
	w, a := Request(now, row, r, phone, f)
	var s wire.SubState
	if a.Kind == Sign {
		s = w.Sign(now, f.Grant, f.Next, 0)
		w.Signed([]byte{1}, wire.MID{byte(w.Seq)})
	}
	return w, a, s
}

// watcher returns alice's row after her first request at the start, acked.
func watcher(h Handling) Watcher {
	w, _, _ := answered(at(0), nil, asked(0), let(h))
	w.Acked(w.ID)
	return w
}

func TestRequest(t *testing.T) {
	const again = 10 * minute
	tests := []struct {
		name   string
		held   func() *Watcher
		at     time.Duration // of the request; it comes 10 min after the start
		facts  func(*Facts)
		kind   AnswerKind
		reason wire.Reason
		state  wire.SubStateCode
		keep   bool
		left   bool
	}{
		{"first, allowed", nil, again, nil, Sign, 0, wire.SubActive, true, false},
		{"first, to confirm", nil, again, func(f *Facts) { f.Handling = Confirm }, Sign, 0, wire.SubPending, true, false},
		{"first, blocked", nil, again, func(f *Facts) { f.Handling = Block }, Sign, wire.ReasonPolicy, wire.SubDenied, true, false},
		{"contact, blocked", nil, again, func(f *Facts) { f.Handling, f.Contact = Block, true }, Sign, wire.ReasonPolicy, wire.SubDenied, true, false},
		{"no presence here", nil, again, func(f *Facts) { f.Service = false }, Sign, wire.ReasonNoPresenceService, wire.SubDenied, false, false},
		{"no place to wait", nil, again, func(f *Facts) { f.Handling, f.PlaceFree = Confirm, false }, Sign, wire.ReasonRateLimited, wire.SubDenied, false, false},
		{"no room", nil, again, func(f *Facts) { f.Full = true }, Sign, wire.ReasonNoResource, wire.SubDenied, false, false},
		{"requires the unknown", nil, again, func(f *Facts) { f.Unsupported = true }, Refuse, wire.ReasonUnsupportedRequired, 0, false, false},
		{"from the future", nil, hour, nil, Refuse, wire.ReasonTime, 0, false, false},
		{"a month old", nil, -31 * day, nil, Silent, 0, 0, false, false},
		{"poll", row(Allow), again, nil, Resend, 0, wire.SubActive, true, false},
		{"poll, while full", row(Allow), again, func(f *Facts) { f.Full = true }, Resend, 0, wire.SubActive, true, false},
		{"poll, pending", row(Confirm), again, func(f *Facts) { f.Handling = Confirm }, Resend, 0, wire.SubPending, true, false},
		{"poll, pending, place gone", row(Confirm), again, func(f *Facts) { f.Handling, f.PlaceFree = Confirm, false }, Resend, 0, wire.SubPending, true, false},
		{"poll, new epoch", row(Allow), again, func(f *Facts) { f.Grant = grantOf(2, start) }, Sign, 0, wire.SubActive, true, false},
		{"poll, next epoch", row(Allow), again, func(f *Facts) { f.Next = grantOf(2, start.Add(day)) }, Sign, 0, wire.SubActive, true, false},
		{"poll, now blocked", row(Allow), again, func(f *Facts) { f.Handling = Block }, Sign, wire.ReasonPolicy, wire.SubTerminated, true, true},
		{"poll, now to confirm", row(Allow), again, func(f *Facts) { f.Handling = Confirm }, Sign, 0, wire.SubPending, true, true},
		{"poll, now allowed", row(Confirm), again, nil, Sign, 0, wire.SubActive, true, false},
		{"poll, after denial", row(Block), again, nil, Resend, wire.ReasonPolicy, wire.SubDenied, true, false},
		{"replay", row(Allow), 0, nil, Silent, 0, wire.SubActive, false, false},
		{"after Unsub", gone, again, nil, Silent, wire.ReasonUnsubscribed, wire.SubTerminated, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := let(Allow)
			if tt.facts != nil {
				tt.facts(&f)
			}
			var held *Watcher
			if tt.held != nil {
				held = tt.held()
			}
			w, a, s := answered(at(again), held, asked(tt.at), f)
			check(t, "kind", a.Kind, tt.kind)
			check(t, "state", w.State, tt.state)
			check(t, "keep", a.Keep, tt.keep)
			check(t, "left", a.Left != "", tt.left)
			if a.Kind != Silent {
				check(t, "wait", a.Wait, wire.AnswerDelay)
			}
			reason := w.Reason
			if a.Kind == Refuse {
				reason = a.Reason
			}
			check(t, "reason", reason, tt.reason)
			if a.Kind == Sign {
				check(t, "grant told", s.Grant != nil, tt.state == wire.SubActive)
				check(t, "state told", s.State, tt.state)
			}
		})
	}
}

func row(h Handling) func() *Watcher {
	return func() *Watcher { w := watcher(h); return &w }
}

func gone() *Watcher {
	w := watcher(Allow)
	w, _ = Unsub(at(minute), &w, wire.Unsub{From: alice, To: bob, Sub: sub1, At: start + 1}, phone, true)
	return &w
}

func TestQuickPollIsSilent(t *testing.T) {
	w := watcher(Allow)
	if _, a := Request(at(30*time.Second), &w, asked(30*time.Second), phone, let(Allow)); a.Kind != Silent {
		t.Errorf("got %v", a.Kind)
	}
	w.Unacked = true
	if _, a := Request(at(30*time.Second), &w, asked(30*time.Second), phone, let(Allow)); a.Kind != Resend {
		t.Errorf("unacked: got %v", a.Kind)
	}
	w.Unacked, w.Answered = false, start.Add(365*day) // the clock went back
	if _, a := Request(at(30*time.Second), &w, asked(30*time.Second), phone, let(Allow)); a.Kind != Resend {
		t.Errorf("clock back: got %v", a.Kind)
	}
}

func TestHalfALifeRenews(t *testing.T) {
	w := watcher(Allow)
	if w, a, _ := answered(at(29*day), &w, asked(29*day), let(Allow)); a.Kind != Resend || w.Expires != start.Add(60*day) {
		t.Errorf("29 d: %v, expires %d", a.Kind, w.Expires)
	}
	w, a, s := answered(at(31*day), &w, asked(31*day), let(Allow))
	if a.Kind != Sign || s.Expires != start.Add(91*day) || s.Seq != start.Add(31*day) || w.Since != start {
		t.Errorf("31 d: %v, %+v", a.Kind, s)
	}
}

func TestLifetimeIsBounded(t *testing.T) {
	for s, want := range map[uint64]time.Duration{0: 60 * day, 3600: hour, 1 << 62: 60 * day} {
		r := asked(0)
		r.LifetimeS = s
		_, _, st := answered(at(0), nil, r, let(Allow))
		check(t, "expires", st.Expires, start.Add(want))
	}
}

func TestIMOnlyGetsNoGrant(t *testing.T) {
	r := asked(0)
	r.Want = wire.WantIM
	w, _, s := answered(at(0), nil, r, let(Allow))
	if s.State != wire.SubActive || s.Grant != nil || w.Untold(grantOf(9, start), nil) {
		t.Errorf("%+v", s)
	}
	r.At, r.Want = start.Add(hour), wire.WantPresence
	if w, a, _ := answered(at(hour), &w, r, let(Allow)); a.Kind != Resend || w.Want != wire.WantIM {
		t.Errorf("a sub changed what it wants: %v", a.Kind)
	}
	check(t, "left", w.Decide(at(hour), Block, DefaultView).Left, "")
}

func TestUnsub(t *testing.T) {
	u := wire.Unsub{From: alice, To: bob, Sub: sub1, At: start.Add(minute)}
	tests := []struct {
		name    string
		held    func() *Watcher
		at      time.Duration
		contact bool
		kind    AnswerKind
		keep    bool
		left    bool
	}{
		{"active", row(Allow), minute, true, Sign, true, true},
		{"pending", row(Confirm), minute, true, Sign, true, false},
		{"never seen, contact", nil, minute, true, Sign, true, false},
		{"never seen, stranger", nil, minute, false, Sign, false, false},
		{"again", gone, minute, true, Resend, true, false},
		{"replay", row(Allow), 0, true, Silent, false, false},
		{"from the future", row(Allow), hour, true, Refuse, false, false},
		{"a month old", nil, -31 * day, true, Silent, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u.At = start.Add(tt.at)
			var held *Watcher
			if tt.held != nil {
				held = tt.held()
			}
			w, a := Unsub(at(2*minute), held, u, phone, tt.contact)
			check(t, "kind", a.Kind, tt.kind)
			check(t, "keep", a.Keep, tt.keep)
			check(t, "left", a.Left != "", tt.left)
			if a.Kind == Sign {
				s := w.Sign(at(2*minute), grantOf(1, start), nil, 0)
				if s.State != wire.SubTerminated || s.Reason != wire.ReasonUnsubscribed || s.Grant != nil {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

func TestMovedToAnotherView(t *testing.T) {
	w := watcher(Allow)
	a := w.Decide(at(hour), Allow, "work")
	check(t, "left", a.Left, DefaultView)
	check(t, "kind", a.Kind, Sign)
	check(t, "view", w.InView(), "work")
	s := w.Sign(at(hour), grantOf(7, start), nil, 1)
	check(t, "state", s.State, wire.SubActive)
	check(t, "grant", s.Grant.E, grantOf(7, start).E)
	check(t, "again", w.Decide(at(hour), Allow, "work").Kind, Silent)
	check(t, "ended there", w.Decide(at(hour), Block, "other").Left, "work")
}

func TestDecide(t *testing.T) {
	tests := []struct {
		name   string
		from   Handling
		to     Handling
		state  wire.SubStateCode
		reason wire.Reason
		kind   AnswerKind
		left   bool
	}{
		{"approve", Confirm, Allow, wire.SubActive, 0, Sign, false},
		{"deny", Confirm, Block, wire.SubDenied, wire.ReasonPolicy, Sign, false},
		{"remove", Allow, Block, wire.SubTerminated, wire.ReasonPolicy, Sign, true},
		{"hold again", Allow, Confirm, wire.SubPending, 0, Sign, true},
		{"approve twice", Allow, Allow, wire.SubActive, 0, Silent, false},
		{"approve after denial", Block, Allow, wire.SubDenied, wire.ReasonPolicy, Silent, false},
		{"politely, before the answer", Confirm, PoliteBlock, wire.SubActive, 0, Sign, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := watcher(tt.from)
			a := w.Decide(at(hour), tt.to, DefaultView)
			check(t, "state", w.State, tt.state)
			check(t, "reason", w.Reason, tt.reason)
			check(t, "kind", a.Kind, tt.kind)
			check(t, "left", a.Left != "", tt.left)
		})
	}
}

// A decision in the second after the request leaves no sooner than any other answer.
func TestQuickDecisionWaits(t *testing.T) {
	w := watcher(Confirm)
	a := w.Decide(at(300*time.Millisecond), Allow, DefaultView)
	check(t, "wait", a.Wait, 700*time.Millisecond)
	w = watcher(Confirm)
	check(t, "later", w.Decide(at(2*time.Second), Allow, DefaultView).Wait, 0)
}

// Nor does the answer leave sooner if whoever asked connects once more in that second.
func TestQuickContactWaits(t *testing.T) {
	w, _, _ := answered(at(0), nil, asked(0), let(Confirm))
	w.Contact(at(300 * time.Millisecond))
	check(t, "at once", w.Due(at(300*time.Millisecond)), Nothing)
	check(t, "a second after the request", w.Due(at(time.Second)), SendState)
}

func TestSentUntilAcked(t *testing.T) {
	w, _, _ := answered(at(0), nil, asked(0), let(Allow))
	check(t, "just sent", w.Due(at(hour)), Nothing)
	w.Contact(at(hour))
	check(t, "contact", w.Due(at(hour)), SendState)
	w.Noticed(at(hour), 0)
	check(t, "noticed", w.Due(at(24*hour)), Nothing)
	check(t, "daily", w.Due(at(25*hour)), SendState)
	check(t, "ack of another", w.Acked(wire.MID{0xff}), false)
	check(t, "after 30 d", w.Due(at(31*day)), Nothing)
	check(t, "ack", w.Acked(w.ID), true)
	check(t, "acked", w.Due(at(25*hour)), Nothing)
	check(t, "acked twice", w.Acked(w.ID), false)
}

func TestWatcherRunsOut(t *testing.T) {
	w := watcher(Allow)
	if w.Due(unheard(61*day)) == Expire {
		t.Error("a clock thrown forward ended the subscription")
	}
	check(t, "active", w.Due(at(61*day)), Expire)
	check(t, "left", w.Expire(at(61*day)).Left, DefaultView)
	check(t, "state", w.State, wire.SubExpired)
	check(t, "kept", w.Due(at(90*day)), Nothing)
	check(t, "dropped", w.Due(at(61*day+30*day+identity.Skew+1e6)), Drop)
	p := watcher(Confirm)
	check(t, "pending", p.Due(at(31*day)), Expire)
}

// What could be replayed is too old by the time that its row is dropped (I11).
func TestReplayAfterDrop(t *testing.T) {
	w := watcher(Block)
	w, _ = Request(at(day), &w, asked(day+minute), phone, let(Block))
	d := 30 * day
	for w.Due(at(d)) != Drop {
		d += hour
	}
	if _, a := Request(at(d), nil, asked(day+minute), phone, let(Allow)); a.Kind != Silent {
		t.Errorf("replayed after %v: %v", d, a.Kind)
	}
}

func TestStampOfAnImpossibleFuture(t *testing.T) {
	w := watcher(Allow)
	w.LastAt = start.Add(10 * 365 * day)
	w2, a := Request(at(hour), &w, asked(hour-time.Second), phone, let(Allow))
	if a.Kind != Silent || !a.Keep {
		t.Errorf("%+v", a)
	}
	if _, a := Request(at(2*hour), &w2, asked(2*hour), phone, let(Allow)); a.Kind != Resend {
		t.Errorf("locked out: %+v", a)
	}
}

// A SubState that was signed by a clock which ran ahead was refused by all, so it is signed anew.
func TestSeqAheadIsSignedAnew(t *testing.T) {
	w := watcher(Allow)
	w.Seq = start.Add(365 * day)
	_, a, s := answered(at(hour), &w, asked(hour), let(Allow))
	if a.Kind != Sign || s.Seq != start.Add(hour) {
		t.Errorf("%v, seq %d", a.Kind, s.Seq)
	}
}

func TestNinthSub(t *testing.T) {
	var rows []Watcher
	for i := range wire.MaxSubs {
		if _, full := Ninth(rows); full {
			t.Errorf("full with %d", i)
		}
		rows = append(rows, Watcher{State: wire.SubActive, LastAt: start.Add(time.Duration((i+5)%8) * hour)})
	}
	rows = append(rows, Watcher{State: wire.SubDenied, LastAt: 1})
	if i, full := Ninth(rows); !full || i != 3 {
		t.Errorf("got %d, %v", i, full)
	}
}

func TestOutranked(t *testing.T) {
	at := func(t Time) Now { return Now{Wall: t, Heard: 1_750_000_000_000} }
	w := Watcher{State: wire.SubActive, Expires: 1_760_000_000_000, LifetimeS: 5_184_000}
	sign := func(now Now) Stamp {
		s := w.Sign(now, nil, nil, 0)
		w.Signed([]byte{1}, wire.MID{})
		return s.Seq
	}
	first := sign(at(1_750_000_000_000))
	if back := sign(at(1_749_990_000_000)); back >= first {
		t.Fatalf("signed %d after the clock went back", back)
	}
	if d := w.Due(at(1_749_990_001_000)); d != Nothing {
		t.Errorf("while the clock is wrong: %v", d)
	}
	now := at(1_750_000_005_000)
	if d := w.Due(now); d != SignState || w.Wake(now) != 0 {
		t.Errorf("once the clock is right: %v", d)
	}
	if again := sign(now); again <= first {
		t.Errorf("signed %d, not newer than %d", again, first)
	}
	if d := w.Due(now); d != Nothing {
		t.Errorf("after that: %v", d)
	}
}

// A SubState that waits for its ack is told once more when the clock is set back, and not without a pause.
func TestClockBackNotifiesOnce(t *testing.T) {
	w := Watcher{State: wire.SubActive, Expires: start.Add(50 * day), LifetimeS: 5_184_000}
	w.Sign(at(0), nil, nil, 0)
	w.Signed([]byte{1}, wire.MID{})
	now := stepped(at(minute), -2*day)
	check(t, "set back", w.Due(now), SendState)
	w.Noticed(now, 0.5)
	check(t, "told", w.Due(now), Nothing)
	w.Contact(now)
	check(t, "in contact", w.Due(now), SendState)
}

// A SubState that the watcher refuses for now comes again in a minute, and signed anew if it was my clock
// that has been set right meanwhile.
func TestRefusedForNow(t *testing.T) {
	w := Watcher{State: wire.SubDenied, Since: at(0).Wall, LastAt: at(0).Wall}
	w.Sign(at(hour), nil, nil, 0)
	w.Signed([]byte{1}, wire.MID{1})
	ahead := stepped(at(0), hour)
	w.Noticed(ahead, 0)
	check(t, "another id", w.Refused(ahead, wire.MID{2}), false)
	check(t, "refused", w.Refused(ahead, wire.MID{1}), true)
	check(t, "before", w.Due(ahead), Nothing)
	check(t, "a minute later", w.Due(stepped(at(minute), hour)), SendState)
	check(t, "set right", w.Due(at(minute)), SignState)
	s := w.Sign(at(minute), nil, nil, 0)
	w.Signed([]byte{2}, wire.MID{3})
	if s.Seq != at(minute).Wall {
		t.Errorf("signed %d, want %d", s.Seq, at(minute).Wall)
	}
	check(t, "signed anew", w.Due(at(minute)), Nothing)
	w.Acked(wire.MID{3})
	check(t, "acked, then refused", w.Refused(at(minute), wire.MID{3}), false)
}
