package wire

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/identity"
)

func noKey(KeyID) (*identity.PreKeySecret, bool) { return nil, false }

func TestOpenParcel(t *testing.T) {
	p := newPeople(t)
	bob := p.withKey(Recipient{Address: p.bob, Device: p.bobID(), Kid: p.bobPreKey.ID()})
	alice := p.withKey(Recipient{Address: p.alice, Device: p.aliceID(), Kid: p.alicePre.ID()})
	cek := [32]byte{1}
	in := Inner{Signed: p.signedOf(t, "im")}
	fresh := func() Parcel {
		x, err := SealParcel(rand.Reader, cek, in, []Recipient{alice, bob}, 3600)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	sealedAs := func(plain []byte) Parcel {
		ct := identity.Seal(rand.Reader, cek, plain, identity.DS("parcel"))
		wraps, err := WrapFor(1, cek, ct, []Recipient{bob})
		if err != nil {
			t.Fatal(err)
		}
		return Parcel{Suite: 1, Wraps: wraps, CT: ct}
	}
	mine := func(kid KeyID) (*identity.PreKeySecret, bool) { return p.bobPreKey, kid == bob.Kid }
	tests := []struct {
		name   string
		change func(*Parcel)
		me     Address
		dev    DeviceID
		find   func(KeyID) (*identity.PreKeySecret, bool)
		err    error
	}{
		{"for me among others", func(*Parcel) {}, p.bob, p.bobID(), mine, nil},
		{"no key of mine", func(*Parcel) {}, p.bob, p.bobID(), noKey, ErrNoKey},
		{"other suite", func(x *Parcel) { x.Suite = 2 }, p.bob, p.bobID(), mine, ErrUnsupported},
		{"opened as another address", func(*Parcel) {}, p.alice, p.bobID(), mine, ErrUndecryptable},
		{"opened as another device", func(*Parcel) {}, p.bob, p.aliceID(), mine, ErrUndecryptable},
		{"wrap moved to another device", func(x *Parcel) { x.Wraps[1].Sealed = x.Wraps[0].Sealed }, p.bob, p.bobID(), mine, ErrUndecryptable},
		{"wrap cut short", func(x *Parcel) { x.Wraps[1].Sealed = x.Wraps[1].Sealed[:10] }, p.bob, p.bobID(), mine, ErrUndecryptable},
		{"ct exchanged", func(x *Parcel) { x.CT = fresh().CT }, p.bob, p.bobID(), mine, ErrUndecryptable},
		{"ct changed", func(x *Parcel) { x.CT[20] ^= 1 }, p.bob, p.bobID(), mine, ErrUndecryptable},
		{"not padded", func(x *Parcel) { *x = sealedAs([]byte("inner")) }, p.bob, p.bobID(), mine, ErrMalformed},
		{"no inner inside", func(x *Parcel) { *x = sealedAs(identity.Pad([]byte("inner"))) }, p.bob, p.bobID(), mine, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := fresh()
			tt.change(&x)
			o, err := OpenParcel(x, tt.me, tt.dev, tt.find)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && !bytes.Equal(o.InnerRaw, in.Append(nil)) {
				t.Errorf("opened %x", o.InnerRaw)
			}
			if knows := err == nil || errors.Is(err, ErrMalformed); knows != (o.CEK == cek) || knows != (o.Kid == bob.Kid) {
				t.Errorf("CEK %x, kid %v with error %v", o.CEK, o.Kid, err)
			}
		})
	}
}

func TestSealParcelRefuses(t *testing.T) {
	p := newPeople(t)
	bob := p.withKey(Recipient{Address: p.bob, Device: p.bobID(), Kid: p.bobPreKey.ID()})
	big := Signed{Type: TypeIM, Body: make([]byte, MaxParcel-200)}
	if _, err := SealInner(rand.Reader, [32]byte{}, Inner{Signed: big}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	if _, err := WrapFor(0, [32]byte{}, nil, []Recipient{bob}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("suite 0: %v", err)
	}
	bob.Key = bob.Key[1:]
	if _, err := SealParcel(rand.Reader, [32]byte{}, Inner{}, []Recipient{bob}, 1); err == nil {
		t.Error("a short prekey is used")
	}
}

func TestHasKid(t *testing.T) {
	x := Parcel{Wraps: []Wrap{{Kid: KeyID{1}}, {Kid: KeyID{2}}}}
	if !x.HasKid(KeyID{2}) || x.HasKid(KeyID{3}) {
		t.Error("HasKid is wrong")
	}
}

func TestParcelExpiry(t *testing.T) {
	for _, tt := range []struct {
		in   Time
		want uint64
	}{{0, 0}, {1, 3600}, {3600_000, 3600}, {3600_001, 7200}, {^Time(0), 18446744073711600}} {
		if got := ParcelExpiry(tt.in); got != tt.want {
			t.Errorf("%d: got %d, want %d", tt.in, got, tt.want)
		}
	}
}

func TestOpenAck(t *testing.T) {
	p := newPeople(t)
	cek := [32]byte{7}
	s := Sign(p.bobD, TypeAck, p.ack(t).Append(nil))
	holding := func(plain []byte) AckBox {
		tag := AckTag(cek)
		return AckBox{tag, identity.Seal(rand.Reader, ackKey(cek), plain, ackAAD(tag))}
	}
	tests := []struct {
		name string
		box  AckBox
		cek  [32]byte
		err  error
	}{
		{"mine", SealAck(rand.Reader, cek, s), cek, nil},
		{"of another message", SealAck(rand.Reader, cek, s), [32]byte{8}, ErrUndecryptable},
		{"under another tag", AckBox{[16]byte{1}, SealAck(rand.Reader, cek, s).Box}, cek, ErrUndecryptable},
		{"sealed for another tag", AckBox{[16]byte{1}, identity.Seal(rand.Reader, ackKey(cek), identity.Pad(s.Append(nil)), ackAAD([16]byte{1}))}, cek, ErrUndecryptable},
		{"empty", AckBox{Tag: AckTag(cek)}, cek, ErrUndecryptable},
		{"not padded", holding([]byte("ack")), cek, ErrMalformed},
		{"no Signed", holding(identity.Pad([]byte("ack"))), cek, ErrMalformed},
		{"a Signed that is no Ack", holding(identity.Pad(p.signedOf(t, "im").Append(nil))), cek, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := OpenAck(tt.cek, tt.box)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && !bytes.Equal(got.Append(nil), s.Append(nil)) {
				t.Errorf("opened %+v", got)
			}
		})
	}
	if a, b := SealAck(rand.Reader, cek, s), SealAck(rand.Reader, cek, s); bytes.Equal(a.Box, b.Box) || a.Tag != b.Tag {
		t.Error("two boxes of one ack have one nonce, or two tags")
	}
}

func TestAckOfMostMIDsFits(t *testing.T) {
	x := Ack{MIDs: make([]MID, MaxMIDs), Disposition: Failed, Reason: ReasonMalformed, At: ^Time(0), ArSeq: ^Stamp(0)}
	s := Signed{Type: TypeAck, Body: x.Append(nil)}
	if _, err := ParseAckBox(SealAck(rand.Reader, [32]byte{}, s).Append(nil)); err != nil {
		t.Error(err)
	}
	s.Body = make([]byte, MaxAckBody)
	if _, err := ParseAckBox(SealAck(rand.Reader, [32]byte{}, s).Append(nil)); err != nil {
		t.Error(err)
	}
}

// recOf signs whatever body says.
func recOf(e identity.SigningKey, body []byte) []byte {
	sig := e.Sign("rec", recMessage(ContextTopic, e.Public(), body))
	return slices.Concat(field(1, body), field(2, sig[:]))
}

func TestParseRec(t *testing.T) {
	e := newPeople(t).e
	tag, at := field(1, make([]byte, 8)), field(2, 1000)
	ct := func(n int) []byte { return field(4, make([]byte, n)) }
	tests := []struct {
		name string
		in   []byte
		err  error
	}{
		{"beacon", recOf(e, slices.Concat(tag, at, field(3, 999))), nil},
		{"update", recOf(e, slices.Concat(tag, at, ct(28+256))), nil},
		{"largest update", recOf(e, slices.Concat(tag, at, ct(28+4096))), nil},
		{"base and ct", recOf(e, slices.Concat(tag, at, field(3, 999), ct(28+256))), ErrMalformed},
		{"neither base nor ct", recOf(e, slices.Concat(tag, at)), ErrMalformed},
		{"base equal to t", recOf(e, slices.Concat(tag, at, field(3, 1000))), ErrMalformed},
		{"base after t", recOf(e, slices.Concat(tag, at, field(3, 1001))), ErrMalformed},
		{"no tag", recOf(e, slices.Concat(at, field(3, 999))), ErrMalformed},
		{"no t", recOf(e, slices.Concat(tag, field(3, 999))), ErrMalformed},
		{"ct of no pad class", recOf(e, slices.Concat(tag, at, ct(28+257))), ErrMalformed},
		{"ct of a nonce alone", recOf(e, slices.Concat(tag, at, ct(28))), ErrMalformed},
		{"ct of a byte", recOf(e, slices.Concat(tag, at, ct(1))), ErrMalformed},
		{"above 4.5 KiB", recOf(e, slices.Concat(tag, at, ct(28+8192))), ErrTooLarge},
		{"unknown field in the body", recOf(e, slices.Concat(tag, at, field(3, 999), field(5, 1))), ErrMalformed},
		{"unknown field beside it", append(recOf(e, slices.Concat(tag, at, field(3, 999))), field(3, 1)...), ErrMalformed},
		{"no signature", field(1, slices.Concat(tag, at, field(3, 999))), ErrMalformed},
		{"nothing", nil, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := bytes.Clone(tt.in)
			r, err := ParseRec(in)
			clear(in)
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if err == nil && (!r.Verify(e.Public()) || !bytes.Equal(r.Append(nil), tt.in) || !bytes.Equal(r.Raw, tt.in)) {
				t.Errorf("parsed %+v", r)
			}
		})
	}
}

func TestRecCannotBeMoved(t *testing.T) {
	p := newPeople(t)
	r := NewBeacon(p.e, Tag{1}, 2, 1)
	slot := p.e.Sign("rec", recMessage(ContextSlot, p.e.Public(), r.Body))
	if r.Sig = slot; r.Verify(p.e.Public()) {
		t.Error("a signature for a slot counts on a topic")
	}
}

// TestDocTravels seals any Doc, carries it in a Rec and opens it; within a pad class all have one
// length.
func TestDocTravels(t *testing.T) {
	p := newPeople(t)
	e := p.e.Public()
	rapid.Check(t, func(t *rapid.T) {
		doc := rapid.SliceOfN(rapid.Byte(), 0, MaxDoc).Draw(t, "doc")
		tag := Tag(rapid.SliceOfN(rapid.Byte(), 8, 8).Draw(t, "tag"))
		at := Stamp(rapid.Uint64Range(1, 1<<64-1).Draw(t, "t"))
		r, err := ParseRec(NewUpdate(p.e, tag, at, SealDoc(rand.Reader, p.k, e, tag, at, doc)).Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		got, err := OpenDoc(p.k, e, tag, at, r.CT)
		if err != nil || !bytes.Equal(got, doc) {
			t.Fatalf("opened %x, %v", got, err)
		}
		if want := identity.SealOverhead + identity.PadLen(4+len(doc)); len(r.CT) != want {
			t.Fatalf("ct of %d bytes, want %d", len(r.CT), want)
		}
	})
}

func TestOpenDocRefuses(t *testing.T) {
	p := newPeople(t)
	e := p.e.Public()
	ct := SealDoc(rand.Reader, p.k, e, Tag{1}, 5, []byte("doc"))
	unpadded := identity.Seal(rand.Reader, updateKey(p.k), []byte("doc"), updateAAD(e, Tag{1}, 5))
	tests := []struct {
		name string
		k    [32]byte
		e    PublicKey
		tag  Tag
		t    Stamp
		ct   []byte
		err  error
	}{
		{"as sealed", p.k, e, Tag{1}, 5, ct, nil},
		{"other key", [32]byte{}, e, Tag{1}, 5, ct, ErrUndecryptable},
		{"other epoch", p.k, PublicKey{}, Tag{1}, 5, ct, ErrUndecryptable},
		{"other device", p.k, e, Tag{2}, 5, ct, ErrUndecryptable},
		{"other time", p.k, e, Tag{1}, 6, ct, ErrUndecryptable},
		{"cut short", p.k, e, Tag{1}, 5, ct[:20], ErrUndecryptable},
		{"not padded", p.k, e, Tag{1}, 5, unpadded, ErrMalformed},
	}
	for _, tt := range tests {
		if _, err := OpenDoc(tt.k, tt.e, tt.tag, tt.t, tt.ct); !errors.Is(err, tt.err) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.err)
		}
	}
}
