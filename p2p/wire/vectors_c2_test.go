package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
)

func checkSlot(t *testing.T, p people, v vector) {
	k := SlotKey([32]byte(v.in(t, "V")), Address(v.in(t, "watcher")), SubID(v.in(t, "sub")))
	seed, public := k.Seed(), k.Public()
	equal(t, "seed", seed[:], v.out(t, "slot_seed"))
	equal(t, "slot", public[:], v.out(t, "slot"))
}

func checkRendezvous(t *testing.T, p people, v vector) {
	period, at := v.number("p"), Stamp(v.number("t"))
	k := identity.NewSigningKey([32]byte(v.in(t, "A_seed"))).Blind(period)
	blinded, err := p.bob.Blinded(period)
	if err != nil || k.Public() != blinded {
		t.Fatalf("the halves differ: %v", err)
	}
	equal(t, "A'", blinded[:], v.out(t, "A_blind"))
	key := keptKey(SealedRendezvous, p.bob, period)
	equal(t, "key", key[:], v.out(t, "key"))
	home, err := ParseEndpoint(v.in(t, "home"))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := ParseRendezvous(v.out(t, "plain"))
	if err != nil {
		t.Fatal(err)
	}
	built := Rendezvous{Homes: []Endpoint{home}, ArSeq: seqV, Record: plain.Record}
	equal(t, "plain", built.Append(nil), v.out(t, "plain"))
	same(t, built, built.Append(nil), ParseRendezvous)
	ct := SealKept(bytes.NewReader(v.in(t, "nonce")), SealedRendezvous, p.bob, period, blinded, at, built.Append(nil))
	r := NewKept(ContextDHT, k, at, ct)
	equal(t, "rec", r.Raw, v.out(t, "rec"))
	same(t, r, r.Raw, func(b []byte) (Rec, error) { return ParseKept(ContextDHT, b) })
	if got, err := OpenKept(SealedRendezvous, p.bob, period, blinded, r); err != nil || !bytes.Equal(got, v.out(t, "plain")) {
		t.Errorf("opened %x, %v", got, err)
	}
	if !r.VerifyKept(ContextDHT, blinded) {
		t.Error("the signature does not hold")
	}
	if r.VerifyKept(ContextSlot, blinded) || r.Verify(blinded) || r.VerifyKept(ContextDHT, p.bob.Key()) {
		t.Error("the signature holds elsewhere")
	}
	for _, x := range []struct {
		name string
		open func() ([]byte, error)
	}{
		{"as a bundle", func() ([]byte, error) { return OpenKept(SealedBundle, p.bob, period, blinded, r) }},
		{"by another address", func() ([]byte, error) { return OpenKept(SealedRendezvous, p.alice, period, blinded, r) }},
		{"in another period", func() ([]byte, error) { return OpenKept(SealedRendezvous, p.bob, period+1, blinded, r) }},
	} {
		if _, err := x.open(); !errors.Is(err, ErrUndecryptable) {
			t.Errorf("%s: %v", x.name, err)
		}
	}
}

func checkHandle(t *testing.T, p people, v vector) {
	for _, text := range []string{v.Inputs["handle"].(string), " ALICE@Example.ORG "} {
		h, err := ParseHandle(text)
		if err != nil || h.Label() != v.Outputs["label"] || h.String() != v.Inputs["handle"] {
			t.Errorf("%q: %v, %q, %v", text, h, h.Label(), err)
		}
	}
}

func TestKeptRecsRefuse(t *testing.T) {
	k := identity.NewSigningKey([32]byte{1})
	body := func(b ...[]byte) []byte {
		r := Rec{Body: bytes.Join(b, nil), Sig: Signature{1}}
		return appendTo(nil, &r, rec)
	}
	tag, at, ct := field(1, make([]byte, 8)), field(2, 5), field(4, "sealed")
	tests := []struct {
		name string
		b    []byte
		err  error
	}{
		{"whole", body(tag, at, ct), nil},
		{"of the signer", NewKept(ContextSlot, k, 5, []byte("sealed")).Raw, nil},
		{"no ct", body(tag, at), ErrMalformed},
		{"a beacon", body(tag, at, field(3, 4)), ErrMalformed},
		{"a base beside ct", body(tag, at, field(3, 4), ct), ErrMalformed},
		{"a tag", body(field(1, "12345678"), at, ct), ErrMalformed},
		{"no time", body(tag, ct), ErrMalformed},
		{"too large", body(tag, at, field(4, make([]byte, MaxSlot))), ErrTooLarge},
	}
	for _, x := range tests {
		if _, err := ParseKept(ContextSlot, x.b); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
	if _, err := ParseKept(ContextDHT, NewKept(ContextDHT, k, 5, make([]byte, MaxDHT)).Raw); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a large rec of the DHT: %v", err)
	}
	if _, err := ParseKept(ContextTopic, tests[0].b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a kept rec of a topic: %v", err)
	}
}

func TestHandlesRefuse(t *testing.T) {
	for _, text := range []string{"", "alice", "@example.org", "alice@", "alice@org", "a b@example.org", "a\u200b@example.org", "a@b@c.org",
		"alice@-a.org", "alice@exa_mple.org", "al/ice@example.org", "a\xff@example.org", strings.Repeat("a", 65) + "@example.org"} {
		if h, err := ParseHandle(text); err == nil {
			t.Errorf("%q is %v", text, h)
		}
	}
	composed, _ := ParseHandle("zo\u00eb@example.org")
	other, err := ParseHandle("ZOE\u0308@example.org")
	if err != nil || composed != other {
		t.Errorf("%v and %v: %v", composed, other, err)
	}
	plain, _ := ParseHandle("zo\u00eb@xn--bcher-kva.example")
	inter, err := ParseHandle("zo\u00eb@B\u00dcCHER.example")
	if err != nil || plain != inter {
		t.Errorf("%v and %v: %v", plain, inter, err)
	}
}

func TestHandlesInDNS(t *testing.T) {
	p := newPeople(t)
	bob, alice := p.bob.String(), p.alice.String()
	home := "/dns4/d.test/tcp/443/p2p/12D3KooWHome"
	tests := []struct {
		name  string
		texts []string
		want  Address
		homes int
		err   error
	}{
		{"nothing", nil, Address{}, 0, nil},
		{"others' records", []string{"v=spf1 -all", "google-site-verification=x", ""}, Address{}, 0, nil},
		{"an address", []string{"v=spf1 -all", bob}, p.bob, 0, nil},
		{"in capitals", []string{strings.ToUpper(bob)}, p.bob, 0, nil},
		{"with a home", []string{bob, "hum:" + bob + "?h=" + home, "hum:" + bob + "?h=" + home}, p.bob, 1, nil},
		{"two people", []string{bob, alice}, Address{}, 0, ErrMalformed},
		{"half an address", []string{bob[:40]}, Address{}, 0, ErrMalformed},
		{"very many", slices.Repeat([]string{bob}, 9), Address{}, 0, ErrTooLarge},
		{"very long", []string{"hum:" + bob + "?x=" + strings.Repeat("x", 1100)}, Address{}, 0, ErrTooLarge},
	}
	for _, x := range tests {
		got, err := ParseHandleTXT(x.texts)
		if !errors.Is(err, x.err) || got.Address != x.want || len(got.Homes) != x.homes {
			t.Errorf("%s: %+v, %v", x.name, got, err)
		}
	}
}

// FuzzHandleTXT reads a as what DNS says of a handle, and what it printed of it.
func FuzzHandleTXT(f *testing.F) {
	bob := "hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2q3fk7uq"
	f.Add(bob, "hum:"+bob+"?h=/dns4/d.test/tcp/443/p2p/12D3KooWHome")
	f.Fuzz(func(t *testing.T, a, b string) {
		x, err := ParseHandleTXT([]string{a, b})
		if err != nil || x.Address.IsZero() {
			return
		}
		if again, err := ParseHandleTXT(x.TXT()); err == nil && (again.Address != x.Address || !slices.Equal(again.Homes, x.Homes)) {
			t.Errorf("%q is read as %+v", x.TXT(), again)
		}
	})
}

func TestWork(t *testing.T) {
	mbox, payload := MailboxID{1}, []byte("parcel")
	pow, ok := Work(mbox, payload, 500, 10, 1<<16)
	if !ok || WorkDone(mbox, payload, 500, pow) < 10 {
		t.Fatalf("pow %d, %v", pow, ok)
	}
	if WorkDone(mbox, payload, 501, pow) >= 10 && WorkDone(MailboxID{2}, payload, 500, pow) >= 10 && WorkDone(mbox, []byte("other"), 500, pow) >= 10 {
		t.Error("the work counts everywhere")
	}
	if _, ok := Work(mbox, payload, 500, 60, 10); ok {
		t.Error("60 bits in ten tries")
	}
}

// FuzzHandle reads b as a handle and as what a domain says of one.
func FuzzHandle(f *testing.F) {
	f.Add("alice@example.org", []byte(`{"address":"hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2q3fk7uq","record":"AQ"}`))
	f.Fuzz(func(t *testing.T, text string, b []byte) {
		if h, err := ParseHandle(text); err == nil {
			if again, err := ParseHandle(h.String()); err != nil || again != h {
				t.Errorf("%q is %v, and that is %v: %v", text, h, again, err)
			}
		}
		if x, err := ParseHandleReply(b); err == nil {
			said, err := x.JSON()
			if err != nil {
				t.Fatal(err)
			}
			if again, err := ParseHandleReply(said); err != nil || again.Address != x.Address || !bytes.Equal(again.Record, x.Record) || !slices.EqualFunc(again.Successors, x.Successors, bytes.Equal) {
				t.Errorf("%s is read as %+v: %v", said, again, err)
			}
		}
	})
}

// FuzzKept reads b as a Rec of a slot and of the DHT, and as an invite into a community.
func FuzzKept(f *testing.F) {
	p := newPeople(f)
	k := identity.NewSigningKey([32]byte{1})
	f.Add(p.all["rendezvous"].out(f, "rec"), CommunityInvite{Peer: []byte("p"), ID: InviteID{1}, Roles: 127, Name: "D"}.String())
	f.Add(NewKept(ContextSlot, k, 5, []byte("sealed")).Raw, "humjoin:")
	f.Fuzz(func(t *testing.T, b []byte, text string) {
		for _, ctx := range []Context{ContextSlot, ContextDHT} {
			r, err := ParseKept(ctx, b)
			if err != nil {
				continue
			}
			if !bytes.Equal(r.Append(nil), b) || !bytes.Equal(r.Raw, b) || !bytes.Equal(appendTo(nil, &r, keptBody(ctx)), r.Body) {
				t.Errorf("a second encoding of %+v: %x", r, b)
			}
			r.VerifyKept(ctx, k.Public())
		}
		if x, err := ParseCommunityInvite(text); err == nil {
			if again, err := ParseCommunityInvite(x.String()); err != nil || again.String() != x.String() {
				t.Errorf("%q is %q: %v", text, x, err)
			}
		}
	})
}
