package wire

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
)

func checkSuccessor(t *testing.T, p people, v vector) {
	seed := identity.Seed(v.in(t, "S"))
	x := identity.NewSuccessor(seed, 0, 1, Time(v.number("issued")), identity.MovedCompromised)
	if x.Old != p.bob || !bytes.Equal(x.New[:], v.out(t, "new")) || !x.Accepted() {
		t.Errorf("built %+v", x)
	}
	body := AppendSuccessor(nil, x)
	s := checkSignedBody(t, v, seed.RecoveryKey(0), TypeSuccessor, body)
	same(t, x, body, ParseSuccessor)
	if identity.Hash("recovery", s.Key[:]) != [32]byte(p.all["keys-bob"].out(t, "recovery")) {
		t.Error("the signer is not what bob's records are committed to")
	}
}

func checkSafetyNumber(t *testing.T, p people, v vector) {
	a, b := Address(v.in(t, "A")), Address(v.in(t, "B"))
	for _, got := range []string{identity.SafetyNumber(a, b), identity.SafetyNumber(b, a)} {
		if got != v.Outputs["number"] {
			t.Errorf("number %s", got)
		}
	}
	if strings.ReplaceAll(a.Fingerprint(), " ", "") != v.Outputs["half_A"] {
		t.Errorf("half %s", a.Fingerprint())
	}
}

// bobAt is bob's device as the vectors seal to it.
func (p people) bobAt(t *testing.T, v vector) Recipient {
	kid := p.bobPreKey.ID()
	equal(t, "kid", kid[:], v.in(t, "kid"))
	return p.withKey(Recipient{Address: Address(v.in(t, "recipient")), Device: DeviceID(v.in(t, "device")), Kid: kid})
}

func checkSession(t *testing.T, p people, v vector) {
	to, sk := p.bobAt(t, v), [32]byte(v.in(t, "SK"))
	equal(t, "info", sessionInfo(1, to.Address, to.Device, to.Kid), v.out(t, "info"))
	s := newSession(sk, to)
	equal(t, "sid", s.ID[:], v.out(t, "sid"))
	equal(t, "wrap key", s.key[:], v.out(t, "wrap_key"))
	r := SessionRequest{Suite: 1, Kid: to.Kid, Sealed: v.out(t, "sealed")}
	equal(t, "request", AppendFrame(nil, Frame{ID: 1, Op: OpSession, Payload: r.Append(nil)}), v.out(t, "request"))
	same(t, r, r.Append(nil), ParseSessionRequest)
	if got, err := OpenSession(r, p.bob, p.bobID(), p.find); err != nil || got != s {
		t.Errorf("opened %v, %v", got, err)
	}
	// What is sealed afresh opens to the same.
	mine, fresh, err := offerSession(sk, to)
	if err != nil || mine != s || bytes.Equal(fresh.Sealed, r.Sealed) {
		t.Errorf("offered %v, %v", mine, err)
	}
	if got, err := OpenSession(fresh, p.bob, p.bobID(), p.find); err != nil || got != s {
		t.Errorf("opened %v, %v", got, err)
	}
	refused := []struct {
		name string
		r    SessionRequest
		me   Address
		err  error
	}{
		{"another suite", SessionRequest{2, r.Kid, r.Sealed}, p.bob, ErrUnsupported},
		{"another prekey", SessionRequest{1, KeyID{1}, r.Sealed}, p.bob, ErrNoKey},
		{"another address", r, p.alice, ErrUndecryptable},
		{"cut short", SessionRequest{1, r.Kid, r.Sealed[:20]}, p.bob, ErrUndecryptable},
	}
	for _, x := range refused {
		if _, err := OpenSession(x.r, x.me, p.bobID(), p.find); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
}

func checkParcelSession(t *testing.T, p people, v vector) {
	s := newSession([32]byte(v.in(t, "SK")), p.bobAt(t, p.all["session"]))
	cek, ct := [32]byte(v.in(t, "CEK")), v.in(t, "ct")
	w := s.Wrap(bytes.NewReader(v.in(t, "nonce")), cek, ct)
	equal(t, "wrap", w.Sealed, v.out(t, "wrap"))
	whole := p.all["parcel-im"]
	expires := whole.number("expires_s")
	x := Parcel{Suite: 1, Wraps: []Wrap{w}, CT: ct, ExpiresS: expires}
	b := x.Append(nil)
	equal(t, "parcel", b, v.out(t, "parcel"))
	if len(b) != 625 {
		t.Errorf("%d bytes", len(b))
	}
	same(t, x, b, ParseParcel)
	o, err := s.Open(x)
	if err != nil || o.CEK != cek || o.Kid != p.bobPreKey.ID() {
		t.Fatalf("opened %+v, %v", o, err)
	}
	equal(t, "inner", o.InnerRaw, whole.in(t, "inner"))
	other := newSession([32]byte{1}, Recipient{Address: p.bob, Device: p.bobID()})
	moved := newSession([32]byte(v.in(t, "SK")), Recipient{Address: p.alice, Device: p.bobID()})
	bent := Parcel{Suite: 1, Wraps: x.Wraps, CT: append(bytes.Clone(ct[:len(ct)-1]), ct[len(ct)-1]^1)}
	twice := Parcel{Suite: 1, Wraps: []Wrap{w, w}, CT: ct}
	refused := []struct {
		name string
		s    Session
		x    Parcel
		err  error
	}{
		{"of another session", other, x, ErrNoKey},
		{"for another address", moved, x, ErrUndecryptable},
		{"another ct", s, bent, ErrUndecryptable},
		{"two wraps", s, twice, ErrNoKey},
		{"no session", Session{}, Parcel{Suite: 1, Wraps: []Wrap{{Sealed: w.Sealed}}, CT: ct}, ErrNoKey},
		{"another suite", s, Parcel{Suite: 2, Wraps: x.Wraps, CT: ct}, ErrUnsupported},
	}
	for _, r := range refused {
		if _, err := r.s.Open(r.x); !errors.Is(err, r.err) {
			t.Errorf("%s: %v, want %v", r.name, err, r.err)
		}
	}
}

// FuzzSession opens b as a request, and as a Parcel in a session.
func FuzzSession(f *testing.F) {
	p := newPeople(f)
	f.Add(SessionRequest{1, p.bobPreKey.ID(), p.all["session"].out(f, "sealed")}.Append(nil), p.all["parcel-im-session"].out(f, "parcel"))
	known := newSession([32]byte(p.all["session"].in(f, "SK")), Recipient{Address: p.bob, Device: p.bobID()})
	f.Fuzz(func(t *testing.T, request, b []byte) {
		if r, err := ParseSessionRequest(request); err == nil {
			if s, err := OpenSession(r, p.bob, p.bobID(), p.find); err == nil && s == (Session{}) {
				t.Error("no session opened")
			}
		}
		x, err := ParseParcel(b)
		if err != nil {
			return
		}
		if o, err := known.Open(x); err == nil && !bytes.Equal(o.Inner.Append(nil), o.InnerRaw) {
			t.Errorf("a second encoding of %x", o.InnerRaw)
		}
	})
}
