package wire

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// registry is SPEC 9.1, as it is written there.
const registry = `1 refused · 2 no-such-inbox · 3 no-im-service · 4 no-presence-service · 5 noresource · 6 closed · 7 refused-anonymous · 8 rate-limited · 9 too-large · 10 unsupported-type · 11 unsupported-required · 12 signature-required · 13 bad-signature · 14 recipient-mismatch · 15 expired · 16 replay · 17 no-common-suite · 18 undecryptable · 19 stale-record · 20 time · 21 too-many-hops · 22 gateway · 23 internal · 24 unsubscribed · 25 auth-required · 26 policy · 27 malformed · 64 unreachable · 65 unconfirmed · 66 cancelled · 67 no-keys · 68 binding-invalid · 69 no-copy`

func TestReasons(t *testing.T) {
	entries := strings.Split(registry, " · ")
	for _, entry := range entries {
		var r Reason
		var token string
		if _, err := fmt.Sscan(entry, (*uint32)(&r), &token); err != nil {
			t.Fatal(err)
		}
		if r.String() != token || r.Error() != token {
			t.Errorf("reason %d is %q, want %q", uint32(r), r, token)
		}
		if got, ok := ParseReason(token); !ok || got != r {
			t.Errorf("%q is %d, want %d", token, uint32(got), uint32(r))
		}
	}
	if len(reasons) != len(entries) {
		t.Errorf("%d reasons, want %d", len(reasons), len(entries))
	}
	if got := Reason(63).String(); got != "internal" {
		t.Errorf("an unknown reason is %q", got)
	}
	if _, ok := ParseReason(""); ok || ReasonNone.String() != "" {
		t.Error("no reason has a token")
	}
}

func TestReasonSays(t *testing.T) {
	forbidden := map[Reason]bool{1: true, 6: true, 7: true, 25: true, 26: true}
	retryable := map[Reason]bool{8: true, 18: true, 19: true, 20: true}
	for r := Reason(1); r < 80; r++ {
		if got := r.Disposition() == Forbidden; got != forbidden[r] || !got && r.Disposition() != Failed {
			t.Errorf("%v is %v", r, r.Disposition())
		}
		if r.Retryable() != retryable[r] {
			t.Errorf("%v: retryable is %v", r, r.Retryable())
		}
	}
	if ReasonNone.Disposition() != Delivered {
		t.Error("no reason and not delivered")
	}
}

func TestStrings(t *testing.T) {
	for _, tt := range []struct {
		got  fmt.Stringer
		want string
	}{
		{Open, "open"}, {Closed, "closed"}, {Basic(0), "basic 0"}, {Basic(3), "basic 3"},
		{Available, "available"}, {Busy, "busy"}, {Away, "away"}, {Idle, "idle"}, {DND, "dnd"}, {XA, "xa"},
		{IMStatus(0), ""}, {IMStatus(7), "im status 7"},
		{SubPending, "pending"}, {SubActive, "active"}, {SubDenied, "denied"}, {SubTerminated, "terminated"},
		{SubExpired, "expired"}, {SubStateCode(9), "state 9"},
		{Delivered, "delivered"}, {Displayed, "displayed"}, {Forbidden, "forbidden"}, {Failed, "failed"},
		{OK, "ok"}, {NOT_FOUND, "not-found"}, {UNKNOWN_OP, "unknown-op"}, {FrameStatus(1 << 31), "status 2147483648"},
		{OneWay, "one-way"}, {Request, "request"}, {Reply, "reply"}, {FrameKind(3), "kind 3"},
		{TypeSubRequest, "sub-req"}, {Type(99), "type 99"},
		{SubID{0xab}, "ab000000000000000000000000000000"}, {Tag{0xcd}, "cd00000000000000"},
	} {
		if tt.got.String() != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}

func TestTypesAreThoseOfTheSpec(t *testing.T) {
	const list = `1 addr · 2 dev · 3 reach · 4 succ · 20 sub-req · 21 sub-state · 22 unsub · 23 fetch · 24 fetch-reply · 30 im · 31 ack · 32 sync · 40 mbox-receipt · 41 mbox-commit · 42 mbox-reg · 43 mbox-cap · 44 mbox-list`
	want := map[Type]string{}
	for _, entry := range strings.Split(list, " · ") {
		var typ Type
		var label string
		if _, err := fmt.Sscan(entry, (*uint32)(&typ), &label); err != nil {
			t.Fatal(err)
		}
		want[typ] = label
	}
	inParcel := map[Type]bool{4: true, 20: true, 21: true, 22: true, 23: true, 24: true, 30: true, 32: true}
	for typ := Type(0); typ < 300; typ++ {
		if typ.Label() != want[typ] || typ.InParcel() != inParcel[typ] {
			t.Errorf("type %d is %q, in a parcel: %v", uint32(typ), typ.Label(), typ.InParcel())
		}
	}
}

func TestParseMIDText(t *testing.T) {
	m := MID{0: 0xce, 24: 1, 31: 9}
	text := m.String()
	for _, bad := range []string{"", text[1:], text + "a", strings.ToUpper(text), text[:39] + "1", text[:39] + "\n"} {
		if _, err := ParseMIDText(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if got, err := ParseMIDText(text); err != nil || got != [25]byte(m[:25]) {
		t.Errorf("%q: %x, %v", text, got, err)
	}
	if m.IsZero() || !(MID{}).IsZero() || (SubID{1}).IsZero() || !(SubID{}).IsZero() {
		t.Error("IsZero is wrong")
	}
}

func TestParseSubID(t *testing.T) {
	s := SubID{1, 15: 0xff}
	if got, err := ParseSubID(s.String()); err != nil || got != s {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "5b", strings.Repeat("5b", 17), strings.Repeat("zz", 16)} {
		if _, err := ParseSubID(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseTopicName(t *testing.T) {
	p := newPeople(t)
	good := TopicName(p.e.Public())
	torsion := TopicName(PublicKey(p.all["ed25519-mixed-key"].in(t, "pub")))
	std := strings.NewReplacer("-", "+", "_", "/").Replace(TopicName(PublicKey{0xfb, 0xff, 0xfe}))
	for _, bad := range []string{
		"", TopicPrefix, good[1:], good + "A", good[:51], good + "=", "/hum/2/p/" + good[9:],
		good[:51] + "d", // bits beyond the key
		good[:51] + "\n", torsion, std, TopicName(PublicKey{}), TopicName(PublicKey{0: 1}),
	} {
		if e, err := ParseTopicName(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q is %x, %v", bad, e, err)
		}
	}
	if base64.RawURLEncoding.EncodedLen(32) != 43 || len(good) != TopicLength {
		t.Errorf("topic of %d characters", len(good))
	}
}

func TestRequired(t *testing.T) {
	must := Ext{Name: "x.example.org/must", MustUnderstand: true}
	tests := []struct {
		name string
		crit []uint32
		ext  []Ext
		want string
	}{
		{"nothing", nil, nil, ""},
		{"known field", []uint32{8, 10}, nil, ""},
		{"ext that may be ignored", nil, []Ext{{Name: "x.example.org/may"}}, ""},
		{"unknown field", []uint32{10, 20}, nil, "field 20"},
		{"field of a later profile", []uint32{11}, nil, "field 11"},
		{"field beyond a word", []uint32{100}, nil, "field 100"},
		{"unknown ext", []uint32{10}, []Ext{{Name: "a"}, must}, must.Name},
	}
	for _, tt := range tests {
		err := Required(tt.crit, tt.ext, TypeIM.Knows)
		var u *UnsupportedError
		if (err == nil) != (tt.want == "") || err != nil && (!errors.As(err, &u) || u.Name != tt.want || !errors.Is(err, ErrUnsupported) || err.Error() != "unsupported: "+tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestKnows holds the numbers of later profiles against SPEC 2.4, 4 and 5.
func TestKnows(t *testing.T) {
	tests := []struct {
		name  string
		knows func(uint32) bool
		not   []uint32 // below 18
	}{
		{"address record", TypeAddressRecord.Knows, []uint32{4, 8, 10, 12, 13, 14, 17}},
		{"device record", TypeDeviceRecord.Knows, []uint32{4, 8, 9, 10, 11, 12, 13, 14, 17}},
		{"reach", TypeReach.Knows, []uint32{6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}},
		{"sub request", TypeSubRequest.Knows, []uint32{8, 13, 14, 17}},
		{"sub state", TypeSubState.Knows, []uint32{12, 13, 14, 17}},
		{"unsub", TypeUnsub.Knows, []uint32{5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17}},
		{"im", TypeIM.Knows, []uint32{11}},
		{"ack", TypeAck.Knows, []uint32{10, 11, 12, 13, 14, 15, 16, 17}},
		{"doc", DocKnows, []uint32{11, 12, 13, 14, 17}},
		{"tuple", TupleKnows, []uint32{10, 11, 12, 13, 14, 17}},
		{"grant", GrantKnows, []uint32{6, 7, 8, 9, 10, 11, 12, 13, 14, 17}},
		{"fetch", TypeFetch.Knows, []uint32{5, 6, 7, 8, 9, 11, 12, 13, 14, 17}},
		{"fetch reply", TypeFetchReply.Knows, []uint32{8, 9, 10, 11, 12, 13, 14, 17}},
		{"mailbox receipt", TypeMboxReceipt.Knows, []uint32{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}},
	}
	for _, tt := range tests {
		not := map[uint32]bool{}
		for _, n := range tt.not {
			not[n] = true
		}
		for n := uint32(1); n < 18; n++ {
			if tt.knows(n) == not[n] {
				t.Errorf("%s: knows field %d: %v", tt.name, n, tt.knows(n))
			}
		}
		if tt.knows(0) || tt.knows(18) || tt.knows(1<<31) {
			t.Errorf("%s: knows too much", tt.name)
		}
	}
}

func TestGrantHasEpoch(t *testing.T) {
	if (Grant{}).HasEpoch() || !(Grant{E: PublicKey{1}}).HasEpoch() {
		t.Error("HasEpoch is wrong")
	}
}

func TestBeaconPeriod(t *testing.T) {
	for ttl, want := range map[time.Duration]time.Duration{
		DefaultTTL: time.Minute, 900 * time.Second: time.Minute, 100 * time.Second: 40 * time.Second,
		2 * time.Second: 800 * time.Millisecond,
	} {
		if got := BeaconPeriod(ttl); got != want {
			t.Errorf("ttl %v: %v, want %v", ttl, got, want)
		}
	}
}
