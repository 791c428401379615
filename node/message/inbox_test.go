package message

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// arrival returns a message of a contact that is welcome.
func arrival() Arrival {
	return Arrival{
		ID: mid, IM: im(), Signed: true, Known: true, Listed: true, Mine: true, Contact: true,
		Service: true, Admission: Accept,
	}
}

// stranger returns a message of somebody unknown that is welcome.
func stranger() Arrival {
	a := arrival()
	a.Contact, a.Admission = false, FirstContact
	return a
}

func TestReceive(t *testing.T) {
	stored := &Seen{Ack: []byte("stored")}
	refused := &Seen{Ack: []byte("no"), Refused: true}
	tests := []struct {
		name       string
		from       Arrival
		change     func(*Arrival)
		kind       Kind
		reason     wire.Reason
		remembered int
	}{
		{"of a contact", arrival(), func(*Arrival) {}, Keep, 0, 1},
		{"empty", arrival(), func(a *Arrival) { a.IM.Content = nil }, Keep, 0, 1},
		{"of a stranger", stranger(), func(*Arrival) {}, Keep, 0, 1},
		{"of nobody, of nothing", Arrival{}, func(*Arrival) {}, Reject, wire.ReasonBadSignature, 0},
		{"malformed", arrival(), func(a *Arrival) { a.Bad, a.IM = wire.ReasonMalformed, wire.IM{} }, Reject, wire.ReasonMalformed, 0},
		{"signature wrong", arrival(), func(a *Arrival) { a.Signed = false }, Reject, wire.ReasonBadSignature, 0},
		{"anonymous", arrival(), func(a *Arrival) { a.IM.From, a.Admission = wire.Address{}, Refuse }, Reject, wire.ReasonRefusedAnonymous, 0},
		{"anonymous, to another", arrival(), func(a *Arrival) { a.IM.From, a.Mine = wire.Address{}, false }, Reject, wire.ReasonRecipientMismatch, 0},
		{"anonymous, allowed", stranger(), func(a *Arrival) { a.IM.From, a.Known, a.Listed = wire.Address{}, false, false }, Keep, 0, 1},
		{"anonymous, in place of another", stranger(), func(a *Arrival) { a.IM.From, a.IM.ResendOf, a.SeenResend = wire.Address{}, wire.MID{9}, stored }, Keep, 0, 1},
		{"anonymous, discarded", stranger(), func(a *Arrival) { a.IM.From, a.Admission = wire.Address{}, Drop }, Discard, 0, 1},
		{"anonymous, the box full of them", stranger(), func(a *Arrival) { a.IM.From, a.FromHim = wire.Address{}, wire.MaxFirstPerPeer }, Reject, wire.ReasonRateLimited, 0},
		{"no record", arrival(), func(a *Arrival) { a.Known = false }, Reject, wire.ReasonStaleRecord, 0},
		{"device removed", arrival(), func(a *Arrival) { a.Listed = false }, Reject, wire.ReasonBadSignature, 0},
		{"to another", arrival(), func(a *Arrival) { a.Mine = false }, Reject, wire.ReasonRecipientMismatch, 0},
		{"repeated", arrival(), func(a *Arrival) { a.Seen = stored }, Repeat, 0, 0},
		{"repeated by a stranger", stranger(), func(a *Arrival) { a.Seen = stored }, Repeat, 0, 0},
		{"from the future", arrival(), func(a *Arrival) { a.IM.Sent = start.Add(3 * time.Minute) }, Reject, wire.ReasonTime, 0},
		{"from a clock within S", arrival(), func(a *Arrival) { a.IM.Sent = start.Add(2 * time.Minute) }, Keep, 0, 1},
		{"no such service", arrival(), func(a *Arrival) { a.Service = false }, Reject, wire.ReasonNoIMService, 1},
		{"expired", arrival(), func(a *Arrival) { a.IM.Expires = start - 1 }, Reject, wire.ReasonExpired, 0},
		{"expires now", arrival(), func(a *Arrival) { a.IM.Expires = start }, Keep, 0, 1},
		{"lives too long", arrival(), func(a *Arrival) { a.IM.Expires = start.Add(wire.IMMaxLife) + 1 }, Reject, wire.ReasonExpired, 0},
		{"blocked contact", arrival(), func(a *Arrival) { a.Admission = Refuse }, Reject, wire.ReasonRefused, 1},
		{"blocked stranger", stranger(), func(a *Arrival) { a.Admission = Refuse }, Reject, wire.ReasonRefused, 0},
		{"discarded", arrival(), func(a *Arrival) { a.Admission = Drop }, Discard, 0, 1},
		{"closed", arrival(), func(a *Arrival) { a.Closed = true }, Reject, wire.ReasonClosed, 1},
		{"closed to strangers", stranger(), func(a *Arrival) { a.Closed = true }, Reject, wire.ReasonClosed, 0},
		{"closed, and holds", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.HeldOf, a.HeldInAll = true, true, 99, 999 }, Hold, 0, 0},
		{"open, and would hold", arrival(), func(a *Arrival) { a.Hold = true }, Keep, 0, 1},
		{"holds enough of him", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.HeldOf = true, true, 100 }, Ignore, 0, 0},
		{"holds enough", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.HeldInAll = true, true, 1000 }, Ignore, 0, 0},
		{"holds it already", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.HeldOf, a.IsHeld = true, true, 100, true }, Hold, 0, 0},
		{"holds enough of a stranger", stranger(), func(a *Arrival) { a.Closed, a.Hold, a.HeldOf = true, true, 20 }, Ignore, 0, 0},
		{"holds enough of strangers", stranger(), func(a *Arrival) { a.Closed, a.Hold, a.HeldInAll = true, true, 200 }, Ignore, 0, 0},
		{"blocked, and holds", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.Admission = true, true, Refuse }, Reject, wire.ReasonRefused, 1},
		{"late, and holds", arrival(), func(a *Arrival) { a.Closed, a.Hold, a.IM.Expires = true, true, start-1 }, Reject, wire.ReasonExpired, 0},
		{"requires the unknown", arrival(), func(a *Arrival) { a.Unsupported = true }, Reject, wire.ReasonUnsupportedRequired, 1},
		{"as long as allowed", arrival(), func(a *Arrival) { a.IM.Content = make([]byte, 60<<10) }, Keep, 0, 1},
		{"too long", arrival(), func(a *Arrival) { a.IM.Content = make([]byte, 60<<10+1) }, Reject, wire.ReasonTooLarge, 1},
		{"too long for my policy", arrival(), func(a *Arrival) { a.MaxIM = 12 }, Reject, wire.ReasonTooLarge, 1},
		{"just right for my policy", arrival(), func(a *Arrival) { a.MaxIM = 13 }, Keep, 0, 1},
		{"a policy above the limit", arrival(), func(a *Arrival) { a.MaxIM = 1 << 31; a.IM.Content = make([]byte, 60<<10+1) }, Reject, wire.ReasonTooLarge, 1},
		{"a picture", arrival(), func(a *Arrival) { a.IM.ContentType = "image/png" }, Reject, wire.ReasonUnsupportedType, 1},
		{"a picture, which is taken", arrival(), func(a *Arrival) { a.IM.ContentType, a.TypeOK = "image/png", true }, Keep, 0, 1},
		{"a content that belies its sender", arrival(), func(a *Arrival) { a.Content = wire.ReasonBadSignature }, Reject, wire.ReasonBadSignature, 1},
		{"a picture of a stranger", stranger(), func(a *Arrival) { a.IM.ContentType, a.TypeOK = "image/png", true }, Reject, wire.ReasonUnsupportedType, 0},
		{"no text, of a stranger", stranger(), func(a *Arrival) { a.IM.Content = []byte{0xff} }, Reject, wire.ReasonUnsupportedType, 0},
		{"4 KiB of a stranger", stranger(), func(a *Arrival) { a.IM.Content = make([]byte, 4<<10) }, Keep, 0, 1},
		{"more", stranger(), func(a *Arrival) { a.IM.Content = make([]byte, 4<<10+1) }, Reject, wire.ReasonTooLarge, 0},
		{"twentieth of a stranger", stranger(), func(a *Arrival) { a.FromHim = 19 }, Keep, 0, 1},
		{"twenty-first", stranger(), func(a *Arrival) { a.FromHim = 20 }, Reject, wire.ReasonRateLimited, 0},
		{"box full", stranger(), func(a *Arrival) { a.InAll = 200 }, Reject, wire.ReasonRateLimited, 0},
		{"box full, of a contact", arrival(), func(a *Arrival) { a.FromHim, a.InAll = 20, 200 }, Keep, 0, 1},
		{"sent again, never seen", arrival(), func(a *Arrival) { a.IM.ResendOf = wire.MID{9} }, Keep, 0, 2},
		{"sent again, seen", arrival(), func(a *Arrival) { a.IM.ResendOf, a.SeenResend = wire.MID{9}, stored }, Suppress, 0, 1},
		{"sent again, refused before", arrival(), func(a *Arrival) { a.IM.ResendOf, a.SeenResend = wire.MID{9}, refused }, Keep, 0, 2},
		{"sent again, now closed", arrival(), func(a *Arrival) { a.IM.ResendOf, a.SeenResend, a.Closed = wire.MID{9}, stored, true }, Reject, wire.ReasonClosed, 1},
		{"sent again, discarded", arrival(), func(a *Arrival) { a.IM.ResendOf, a.Admission = wire.MID{9}, Drop }, Discard, 0, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := test.from
			test.change(&a)
			v := Receive(at(0), a)
			if v.Kind != test.kind || v.Reason != test.reason || len(v.Remember) != test.remembered {
				t.Fatalf("got %v(%v), %d remembered; want %v(%v), %d", v.Kind, v.Reason, len(v.Remember), test.kind, test.reason, test.remembered)
			}
			if v.Kind == Repeat {
				if string(v.Stored) != "stored" {
					t.Errorf("answers %q", v.Stored)
				}
				return
			}
			if v.Kind == Hold || v.Kind == Ignore {
				if len(v.MIDs) > 0 {
					t.Errorf("answers %v", v.MIDs)
				}
				return
			}
			if v.Disposition != v.Reason.Disposition() || !slices.Contains(v.MIDs, a.ID) {
				t.Errorf("says %v of %v", v.Disposition, v.MIDs)
			}
			if len(v.Remember) > 0 && v.Until != seenUntil(a.IM) {
				t.Errorf("remembers until %d", v.Until)
			}
		})
	}
}

// If several things are wrong with a message, the first in the order of SPEC 5.4 and 9.1 is said.
func TestReceiveOrder(t *testing.T) {
	faults := []struct {
		name  string
		cause func(*Arrival)
		kind  Kind
		want  wire.Reason
	}{
		{"malformed", func(a *Arrival) { a.Bad = wire.ReasonMalformed }, Reject, wire.ReasonMalformed},
		{"bad signature", func(a *Arrival) { a.Signed = false }, Reject, wire.ReasonBadSignature},
		{"no record", func(a *Arrival) { a.Known = false }, Reject, wire.ReasonStaleRecord},
		{"not listed", func(a *Arrival) { a.Listed = false }, Reject, wire.ReasonBadSignature},
		{"not mine", func(a *Arrival) { a.Mine = false }, Reject, wire.ReasonRecipientMismatch},
		{"seen", func(a *Arrival) { a.Seen = &Seen{} }, Repeat, 0},
		{"future", func(a *Arrival) { a.IM.Sent = start.Add(time.Hour) }, Reject, wire.ReasonTime},
		{"no service", func(a *Arrival) { a.Service = false }, Reject, wire.ReasonNoIMService},
		{"late", func(a *Arrival) { a.IM.Expires = start - 1 }, Reject, wire.ReasonExpired},
		{"refused", func(a *Arrival) { a.Admission = Refuse }, Reject, wire.ReasonRefused},
		{"closed", func(a *Arrival) { a.Closed = true }, Reject, wire.ReasonClosed},
		{"unsupported", func(a *Arrival) { a.Unsupported = true }, Reject, wire.ReasonUnsupportedRequired},
		{"too large", func(a *Arrival) { a.IM.Content = make([]byte, 70<<10) }, Reject, wire.ReasonTooLarge},
		{"type", func(a *Arrival) { a.IM.ContentType = "x/y" }, Reject, wire.ReasonUnsupportedType},
		{"sent before", func(a *Arrival) { a.IM.ResendOf, a.SeenResend = wire.MID{9}, &Seen{} }, Suppress, 0},
	}
	for i, first := range faults {
		for _, second := range faults[i:] {
			t.Run(first.name+" and "+second.name, func(t *testing.T) {
				a := arrival()
				second.cause(&a)
				first.cause(&a)
				if v := Receive(at(0), a); v.Kind != first.kind || v.Reason != first.want {
					t.Errorf("got %v(%v), want %v(%v)", v.Kind, v.Reason, first.kind, first.want)
				}
			})
		}
	}
}

// Late is by either clock (SPEC 1): what any contact's clock has passed is committed no more.
func TestLateByHeard(t *testing.T) {
	now := identity.Now{Wall: start, Heard: start.Add(life) + 1}
	if v := Receive(now, arrival()); v.Reason != wire.ReasonExpired {
		t.Errorf("got %v(%v), want expired", v.Kind, v.Reason)
	}
}

func TestIsText(t *testing.T) {
	tests := []struct {
		in   string
		want bool
	}{
		{"text/plain", true}, {"TEXT/Plain", true}, {"text/plain; charset=utf-8", true},
		{"text/plain;charset=\"utf-8\";x", true}, {" text/plain ", true},
		{"text/html", false}, {"text/plainer", false}, {"", false}, {";text/plain", false},
	}
	for _, test := range tests {
		if got := IsText(test.in); got != test.want {
			t.Errorf("IsText(%q) = %v, want %v", test.in, got, test.want)
		}
	}
}

func TestPurge(t *testing.T) {
	day := 24 * time.Hour
	jumped := identity.Now{Wall: start.Add(365 * day), Heard: start}
	tests := []struct {
		name string
		now  identity.Now
		s    Seen
		want bool
	}{
		{"young", at(0), Seen{Until: start.Add(day)}, true},
		{"at its end", at(day), Seen{Until: start.Add(day)}, true},
		{"past", at(2 * day), Seen{Until: start.Add(day)}, false},
		{"past by my clock alone", jumped, Seen{Until: start.Add(day)}, true},
		{"past by a contact's alone", identity.Now{Wall: start, Heard: start.Add(2 * day)}, Seen{Until: start.Add(day)}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := new(Purge).Keep(test.now, test.s); got != test.want {
				t.Errorf("kept %v, want %v", got, test.want)
			}
		})
	}
	count := func(now identity.Now, s Seen, n int) (kept int) {
		var p Purge
		for range n {
			if p.Keep(now, s) {
				kept++
			}
		}
		return kept
	}
	if n := count(jumped, Seen{Until: start}, 100_007); n != 100_000 {
		t.Errorf("%d rows past by one clock are kept", n)
	}
	if n := count(at(0), Seen{Until: start + 1, Refused: true}, 10_007); n != 10_000 {
		t.Errorf("%d refusals are kept", n)
	}
	if n := count(at(0), Seen{Until: start + 1}, 100_007); n != 100_007 {
		t.Errorf("only %d of the rows in force are kept", n)
	}
}

func TestAcks(t *testing.T) {
	me := Signer{Address: bob, Device: bobs, ArSeq: 77}
	yes := func(to wire.Address, n byte) Answer {
		return Answer{To: to, MIDs: []wire.MID{{n}}, Disposition: wire.Delivered}
	}
	no := func(n byte) Answer {
		return Answer{To: alice, MIDs: []wire.MID{{n}}, Disposition: wire.Failed, Reason: wire.ReasonTime}
	}
	many := func(n int) (as []Answer) {
		for i := range n {
			as = append(as, yes(alice, byte(i)))
		}
		return as
	}
	tests := []struct {
		name    string
		answers []Answer
		want    []int // mids of each ack
	}{
		{"none", nil, nil},
		{"one", many(1), []int{1}},
		{"64 of one sender", many(64), []int{64}},
		{"65", many(65), []int{64, 1}},
		{"two senders, mixed", []Answer{yes(alice, 1), yes(carol, 2), yes(alice, 3)}, []int{2, 1}},
		{"two dispositions", []Answer{yes(alice, 1), no(2)}, []int{1, 1}},
		{"a pair does not fit", append(many(63), Answer{To: alice, MIDs: []wire.MID{{200}, {201}}, Disposition: wire.Delivered}), []int{63, 2}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []int
			for _, a := range me.Acks(at(0), test.answers...) {
				got = append(got, len(a.MIDs))
				if a.From != bob || a.Device != bobs || a.ArSeq != 77 || a.At != start || a.To.IsZero() {
					t.Errorf("signs %+v", a)
				}
			}
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// Every ack that Receive asks for is one that the sender's outbox takes.
func TestAnswerSettles(t *testing.T) {
	v := Receive(at(0), arrival())
	a := Signer{Address: bob, Device: bobs}.Acks(at(0), v.Answer(alice))[0]
	e := entry(t)
	if _, err := e.Ack(at(1), a, nil, true); err != nil || e.State != Delivered {
		t.Errorf("%v, %v", e.State, err)
	}
}

func TestDisplay(t *testing.T) {
	cek := [32]byte{6}
	tests := []struct {
		name          string
		asked, agreed bool
		ack           bool
	}{
		{"asked and agreed", true, true, true},
		{"asked, not agreed", true, false, false},
		{"not asked", false, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := arrival()
			if !test.asked {
				a.IM.Report = 0
			}
			r := NewRow(at(0), a, nil, cek)
			if got, ack := r.Display(at(time.Minute), test.agreed); ack != test.ack || ack && got != cek {
				t.Errorf("ack %v, want %v", ack, test.ack)
			}
			if r.Displayed != start.Add(time.Minute) || r.CEK != [32]byte{} {
				t.Errorf("read at %d, key %x", r.Displayed, r.CEK)
			}
			if _, again := r.Display(at(time.Hour), true); again || r.Displayed != start.Add(time.Minute) {
				t.Error("read twice")
			}
		})
	}
}

func TestRowsAreOrdered(t *testing.T) {
	a, b, c := Row{Sent: 1, ID: wire.MID{9}}, Row{Sent: 2, ID: wire.MID{1}}, Row{Sent: 2, ID: wire.MID{2}}
	rows := []Row{c, b, a}
	slices.SortFunc(rows, Row.Compare)
	if !reflect.DeepEqual(rows, []Row{a, b, c}) {
		t.Errorf("got %v", rows)
	}
}

func TestRowIsKept(t *testing.T) {
	a := stranger()
	a.IM.Nonce, a.IM.ArSeq = [16]byte{1}, 1
	s := wire.Sign(identity.NewSigningKey([32]byte{1}), wire.TypeIM, a.IM.Append(nil))
	a.ID = s.ID()
	want := NewRow(at(0), a, s.Append(nil), [32]byte{6})
	want.Displayed, want.Record = start, []byte("record")
	type before Row // all fields, as homes hold them that were written before
	for name, row := range map[string]any{"now": want, "before": before(want)} {
		b, err := cbor.Marshal(row)
		if err != nil {
			t.Fatal(err)
		}
		var got Row
		if err := cbor.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) || !got.FirstContact || !bytes.Equal(got.Content, im().Content) {
			t.Errorf("%s: read back %+v, %v; want %+v", name, got, err, want)
		}
	}
	var got Row
	if err := cbor.Unmarshal([]byte{0xa1, 0x66, 'S', 'i', 'g', 'n', 'e', 'd', 0x41, 0xff}, &got); err == nil {
		t.Error("a row without a message is read")
	}
}

// What is not sealed or not signed is taken by whoever takes it, and then as nobody's.
func TestUnprotected(t *testing.T) {
	mark := []wire.Ext{{Name: wire.ExtUnsigned}}
	tests := []struct {
		name string
		a    Arrival
		edit func(*Arrival)
		kind Kind
		want wire.Reason
	}{
		{"in the clear, which is taken", arrival(), func(a *Arrival) { a.Clear, a.ClearOK = true, true }, Keep, 0},
		{"in the clear, which is not", arrival(), func(a *Arrival) { a.Clear = true }, Reject, wire.ReasonNoCommonSuite},
		{"unsigned, which is taken", arrival(), func(a *Arrival) { a.ClearOK, a.IM.Ext, a.Listed, a.Known = true, mark, false, false }, Keep, 0},
		{"unsigned, which is not", arrival(), func(a *Arrival) { a.IM.Ext, a.Listed = mark, false }, Reject, wire.ReasonSignatureRequired},
		{"neither, which is not", arrival(), func(a *Arrival) { a.Clear, a.IM.Ext, a.Listed = true, mark, false }, Reject, wire.ReasonSignatureRequired},
		{"unsigned, for another", arrival(), func(a *Arrival) { a.ClearOK, a.IM.Ext, a.Mine = true, mark, false }, Reject, wire.ReasonRecipientMismatch},
		{"unlisted without a word of it", arrival(), func(a *Arrival) { a.ClearOK, a.Listed = true, false }, Reject, wire.ReasonBadSignature},
		{"unsigned, in a blocked name", arrival(), func(a *Arrival) { a.ClearOK, a.IM.Ext, a.Admission = true, mark, Refuse }, Discard, 0},
		{"unsigned, a picture in a contact's name", arrival(), func(a *Arrival) {
			a.ClearOK, a.IM.Ext, a.IM.ContentType, a.TypeOK = true, mark, "image/png", true
		}, Reject, wire.ReasonUnsupportedType},
		{"unsigned, beyond the box", arrival(), func(a *Arrival) { a.ClearOK, a.IM.Ext, a.FromHim = true, mark, wire.MaxFirstPerPeer }, Reject, wire.ReasonRateLimited},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := test.a
			test.edit(&a)
			v := Receive(at(0), a)
			if v.Kind != test.kind || v.Reason != test.want {
				t.Errorf("%v(%v), want %v(%v)", v.Kind, v.Reason, test.kind, test.want)
			}
		})
	}
	a := arrival()
	a.ClearOK, a.IM.Ext, a.IM.ResendOf = true, mark, wire.MID{9}
	if v := Receive(at(0), a); len(v.Remember) != 1 || v.Remember[0] != a.ID {
		t.Errorf("it stands for %v", v.Remember)
	}
	row := NewRow(at(0), a, wire.Signed{Type: wire.TypeIM, Body: a.IM.Append(nil)}.Append(nil), [32]byte{})
	if row.Author() != (wire.Address{}) || !row.FirstContact || !row.Unsigned {
		t.Errorf("kept as %+v", row)
	}
}
