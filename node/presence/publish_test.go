package presence

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func publishing() (Publisher, View) {
	v, _ := begun()
	p := NewPublisher(at(0), bob, phone, bob.IM(), 150)
	p.Restart()
	return p, v
}

func TestBeaconsWhileOpen(t *testing.T) {
	p, v := publishing()
	pubs := p.Publish(at(0), v, 0.5)
	if len(pubs) != 1 || pubs[0].Base != 0 || pubs[0].Doc.Ver != 1 || pubs[0].Doc.Tuples[0].Basic != wire.Open {
		t.Fatalf("start: %+v", pubs)
	}
	check(t, "wakes", p.Wake(at(0), v), minute)
	check(t, "too soon", len(p.Publish(at(59*time.Second), v, 0.5)), 0)
	b := p.Publish(at(minute), v, 0)
	if len(b) != 1 || b[0].Base != pubs[0].T || b[0].T <= b[0].Base {
		t.Fatalf("beacon: %+v", b)
	}
	check(t, "jitter", p.Wake(at(minute), v), 54*time.Second)
	if changed, err := p.Choose(at(minute), Choice{Basic: wire.Closed}); !changed || err != nil {
		t.Fatal(changed, err)
	}
	u := p.Publish(at(minute), v, 0.5)
	if len(u) != 1 || u[0].Base != 0 || u[0].Doc.Ver != 2 || u[0].Doc.Tuples[0].Basic != wire.Closed || u[0].T <= b[0].T {
		t.Fatalf("closed: %+v", u)
	}
	check(t, "no beacon", len(p.Publish(at(10*minute), v, 0.5)), 0)
	check(t, "inbox", p.IMClosed(), true)
}

func TestBucketKeepsTheNewest(t *testing.T) {
	p, v := publishing()
	sent := 0
	var last wire.Doc
	for i := range 20 {
		c := Choice{Basic: wire.Open, Note: strings.Repeat("x", i+1)}
		if _, err := p.Choose(at(0), c); err != nil {
			t.Fatal(err)
		}
		for _, pub := range p.Publish(at(0), v, 0.5) {
			sent, last = sent+1, pub.Doc
		}
	}
	check(t, "at once", sent, wire.UpdateBurst)
	check(t, "wakes", p.Wake(at(0), v), wire.UpdateEvery)
	pubs := p.Publish(at(wire.UpdateEvery), v, 0.5)
	if len(pubs) != 1 || pubs[0].Doc.Ver != last.Ver+1 || len(pubs[0].Doc.Notes[0].Text) != 20 {
		t.Errorf("held: %+v", pubs)
	}
	check(t, "then nothing", len(p.Publish(at(3*wire.UpdateEvery), v, 0.5)), 0)
}

func TestChoice(t *testing.T) {
	tests := []struct {
		name string
		c    Choice
		err  error
	}{
		{"same again", Choice{Basic: wire.Open, IM: wire.Available}, nil},
		{"busy", Choice{Basic: wire.Open, IM: wire.Busy, Note: "in a meeting", Lang: "en"}, nil},
		{"long note", Choice{Basic: wire.Open, Note: strings.Repeat("ä", 1025)}, wire.ErrTooLarge},
		{"not text", Choice{Basic: wire.Open, Note: "\xff"}, wire.ErrMalformed},
		{"many contacts", Choice{Basic: wire.Open, Contacts: slices.Repeat([]string{"tel:+4712345678"}, 300)}, wire.ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, v := publishing()
			p.Publish(at(0), v, 0)
			before := p.Choice
			changed, err := p.Choose(at(minute), tt.c)
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			check(t, "changed", changed, tt.err == nil && tt.name != "same again")
			if err != nil && (p.Dirty || p.Choice.Note != before.Note) {
				t.Error("a refused choice was taken")
			}
		})
	}
}

// The offline document has what SPEC 4.4 lists and nothing else, whatever was chosen.
func TestOfflineSaysNothingElse(t *testing.T) {
	p, v := publishing()
	p.Records(77, nil)
	c := Choice{Basic: wire.Open, IM: wire.Busy, Note: "skiing", Contacts: []string{"tel:1"}, Offline: true}
	if _, err := p.Choose(at(0), c); err != nil {
		t.Fatal(err)
	}
	chosen := p.Publish(at(hour), v, 0)[0]
	q, _ := publishing()
	q.Records(77, nil)
	q.Publish(at(0), v, 0)
	off := q.SignOff(at(hour), v)
	want := wire.Doc{Entity: bob, Device: phone, Ver: 1, TTL: 150, ArSeq: 77, Tuples: []wire.Tuple{
		{ID: "im", Basic: wire.Closed, Contact: bob.IM(), Timestamp: start.Add(hour)},
	}}
	check(t, "chosen", string(chosen.Doc.Append(nil)), string(want.Append(nil)))
	want.Ver = 2
	check(t, "signed off", string(off[0].Doc.Append(nil)), string(want.Append(nil)))
	check(t, "then silence", len(q.Publish(at(2*hour), v, 0)), 0)
	check(t, "twice", len(q.SignOff(at(2*hour), v)), 0)
	check(t, "no choice", q.IMClosed(), false)
	q.Restart()
	back := q.Publish(at(3*hour), v, 0)
	if len(back) != 1 || back[0].Doc.Ver != 3 || back[0].Doc.Tuples[0].Basic != wire.Open {
		t.Errorf("after a restart: %+v", back)
	}
}

func TestNewEpochGetsTheDocument(t *testing.T) {
	p, v := publishing()
	p.Publish(at(0), v, 0.5)
	turn(&v, at(6*day), &p)
	check(t, "not before it begins", len(p.Publish(at(6*day), v, 0.5)), 1)
	pubs := p.Publish(at(7*day), v, 0.5)
	if len(pubs) != 2 || pubs[0].Base == 0 || pubs[1].Base != 0 || pubs[1].Doc.Ver != 1 {
		t.Fatalf("%+v", pubs)
	}
	v.Leave(CauseUser)
	check(t, "while a change is owed", len(p.Publish(at(7*day+hour), v, 0.5)), 0)
	turn(&v, at(7*day+hour), &p)
	check(t, "wakes", p.Wake(at(7*day+hour), v), 0)
	pubs = p.Publish(at(7*day+hour), v, 0.5)
	if len(pubs) != 1 || pubs[0].Epoch.E != v.Epochs[2].E || len(p.Tracks) != 1 {
		t.Errorf("%+v, %d tracks", pubs, len(p.Tracks))
	}
}

// TestClosedWakesWhenAnEpochBegins: who says nothing else meanwhile says his document at the very beginning.
func TestClosedWakesWhenAnEpochBegins(t *testing.T) {
	p, v := publishing()
	if _, err := p.Choose(at(0), Choice{Offline: true}); err != nil {
		t.Fatal(err)
	}
	p.Publish(at(0), v, 0.5)
	turn(&v, at(6*day), &p)
	check(t, "wakes", p.Wake(at(7*day-time.Second), v), time.Second)
	check(t, "at the beginning", p.Wake(at(7*day), v), 0)
}

func TestClockStepsDoNotStopBeacons(t *testing.T) {
	p, v := publishing()
	last := p.Publish(at(0), v, 0.5)[0].T
	for i := range 10 {
		now := at(time.Duration(i+1) * 67 * time.Second)
		if i%2 == 0 {
			now = stepped(now, -100*time.Second)
		}
		pubs := p.Publish(now, v, 0.5)
		if len(pubs) != 1 || pubs[0].T <= last || now.Ahead(pubs[0].T) {
			t.Fatalf("%d: %+v after %d", i, pubs, last)
		}
		last = pubs[0].T
	}
	p.Beacon = 90000 * time.Hour // left over from a run of the process that was never restarted properly
	check(t, "mended", len(p.Publish(at(hour), v, 0.5)), 1)
}

// In an epoch where the clock ran ahead nothing is said any more: it must change first.
func TestSilentWhereTheClockRanAhead(t *testing.T) {
	now := Now{Wall: 1_750_000_000_000}
	v := NewView(DefaultView, 150)
	v.Change(now, [64]byte{1})
	p := NewPublisher(now, Address{1}, DeviceID{1}, "", 150)
	p.Publish(Now{Wall: now.Wall.Add(hour)}, v, 0)
	p.Dirty = true
	if out := p.Publish(now, v, 0); len(out) != 0 || p.Wake(now, v) != MaxSleep || v.Due(now, &p) != TurnChange {
		t.Errorf("said %d records", len(out))
	}
	v.Change(now, [64]byte{2})
	if out := p.Publish(now, v, 0); len(out) != 1 || out[0].Base != 0 {
		t.Errorf("in the new epoch: %+v", out)
	}
}

// TestImportedDocument: octets of 3 KiB are published; the place where I am is told beside them as long as
// there is room, and a document without them keeps room for a longer one.
func TestImportedDocument(t *testing.T) {
	p := NewPublisher(at(0), bob, phone, "im:bob", 150)
	p.Reach = signedReach(t)
	c := p.Choice
	c.PIDF = bytes.Repeat([]byte("x"), wire.MaxPIDF)
	_, err := p.Choose(at(0), c)
	check(t, "3 KiB", err, nil)
	check(t, "with reach", len(p.doc(1, 1).Reach) > 0, true)
	c.Notes = []wire.Note{{Text: strings.Repeat("n", 700)}}
	_, err = p.Choose(at(0), c)
	check(t, "with a note", err, nil)
	d := p.doc(1, 1)
	check(t, "without reach", len(d.Reach), 0)
	check(t, "fits", len(d.Append(nil)) <= wire.MaxDoc, true)
	c.PIDF = append(c.PIDF, 'x')
	_, err = p.Choose(at(0), c)
	check(t, "too large", errors.Is(err, wire.ErrTooLarge), true)
	c.PIDF, c.Notes = nil, []wire.Note{{Text: strings.Repeat("n", 1000)}, {Text: strings.Repeat("n", 1000)}, {Text: strings.Repeat("n", 900)}}
	_, err = p.Choose(at(0), c)
	check(t, "no room for another reach", errors.Is(err, wire.ErrTooLarge), true)
}

func signedReach(t *testing.T) []byte {
	t.Helper()
	return wire.Sign(identity.NewSigningKey([32]byte{1}), wire.TypeReach, make([]byte, 120)).Append(nil)
}

// TestATelephoneIsKeptOpen: the inbox is closed and the telephone is not: beacons go on, until it is closed
// too, or hidden.
func TestATelephoneIsKeptOpen(t *testing.T) {
	p, v := publishing()
	c := p.Choice
	c.Basic, c.Tuples = wire.Closed, []wire.Tuple{{ID: "tel", Basic: wire.Open, Contact: "tel:+1"}}
	_, err := p.Choose(at(0), c)
	check(t, "err", err, nil)
	check(t, "said", len(p.Publish(at(0), v, 0)), 1)
	beacons := p.Publish(at(2*time.Minute), v, 0)
	check(t, "kept", len(beacons) == 1 && beacons[0].Base != 0, true)
	hidden := p
	_, _ = hidden.Show(at(2*time.Minute), c, Filter{Limited: true, Services: Which{Schemes: []string{"mailto"}}})
	hidden.Publish(at(2*time.Minute), v, 0)
	check(t, "hidden", len(hidden.Publish(at(4*time.Minute), v, 0)), 0)
	c.Tuples = []wire.Tuple{{ID: "tel", Basic: wire.Closed, Contact: "tel:+1"}}
	_, _ = p.Choose(at(3*time.Minute), c)
	p.Publish(at(3*time.Minute), v, 0)
	check(t, "closed", len(p.Publish(at(5*time.Minute), v, 0)), 0)
	check(t, "wake", p.Wake(at(5*time.Minute), v), MaxSleep)
}
