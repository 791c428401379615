package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/hum-presence/hum/identity"
)

// FuzzMessage reads b as the message that kind selects: what is accepted has one encoding only.
func FuzzMessage(f *testing.F) {
	all := kinds()
	for i, k := range all {
		f.Add(byte(i), k.full)
	}
	for _, v := range readVectors(f) {
		for i := range all {
			for _, name := range []string{"body", "inner", "parcel", "ackbox", "grant", "doc", "bundle"} {
				if v.Outputs[name] != nil {
					f.Add(byte(i), v.out(f, name))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, sel byte, b []byte) {
		k := all[int(sel)%len(all)]
		got, err := k.again(b)
		switch {
		case err != nil && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge):
			t.Errorf("%s: an error of no kind: %v", k.name, err)
		case err == nil && k.unknown != skipUnknown && !bytes.Equal(got, b):
			t.Errorf("%s: a second encoding of %x: %x", k.name, got, b)
		case err == nil:
			if twice, err := k.again(got); err != nil || !bytes.Equal(twice, got) {
				t.Errorf("%s: printed %x, which is refused: %v", k.name, got, err)
			}
		}
	})
}

func FuzzSigned(f *testing.F) {
	for _, v := range readVectors(f) {
		if v.Outputs["signed"] != nil {
			f.Add(v.out(f, "signed"))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSigned(b)
		if err != nil {
			return
		}
		if !bytes.Equal(s.Append(nil), b) {
			t.Errorf("a second encoding of %+v: %x", s, b)
		}
		if err := s.Verify(); err != nil && !errors.Is(err, ErrBadSignature) {
			t.Error(err)
		}
	})
}

func FuzzRec(f *testing.F) {
	all := readVectors(f)
	for _, v := range all {
		if v.Outputs["rec"] != nil && v.Name != "frame-watch" {
			f.Add(v.out(f, "rec"))
		}
		if v.Inputs["rec"] != nil {
			f.Add(v.in(f, "rec"))
		}
	}
	e, k := PublicKey(all["epoch"].out(f, "E")), [32]byte(all["epoch"].in(f, "K"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseRec(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Append(nil), b) || !bytes.Equal(r.Raw, b) {
			t.Errorf("a second encoding of %+v: %x", r, b)
		}
		if r.T == 0 || r.IsBeacon() == (r.CT != nil) || r.Base >= r.T || len(b) > MaxRec {
			t.Errorf("accepted %+v", r)
		}
		if body := appendTo(nil, &r, recBody); !bytes.Equal(body, r.Body) {
			t.Errorf("a second encoding of body %x: %x", r.Body, body)
		}
		r.Verify(e)
		if doc, err := OpenDoc(k, e, r.Tag, r.T, r.CT); err == nil {
			if _, err := ParseDoc(doc); err != nil && r.Verify(e) {
				t.Errorf("E signed a broken doc: %v", err)
			}
		}
	})
}

// FuzzOpenParcel opens b as a Parcel; what is inside is sealed by inner if b is none.
func FuzzOpenParcel(f *testing.F) {
	p := newPeople(f)
	for _, v := range p.all {
		if v.Outputs["parcel"] != nil {
			f.Add(v.out(f, "parcel"), []byte(nil))
			if v.Inputs["inner"] != nil {
				f.Add([]byte(nil), identity.Pad(v.in(f, "inner")))
			}
		}
	}
	cek := [32]byte{1}
	f.Fuzz(func(t *testing.T, b, padded []byte) {
		if x, err := ParseParcel(b); err == nil {
			opened(t, x, p)
		}
		nonce := bytes.NewReader(make([]byte, 12))
		ct := identity.Seal(nonce, cek, padded, identity.DS("parcel"))
		wraps, err := WrapFor(1, cek, ct, []Recipient{
			p.withKey(Recipient{Address: p.bob, Device: p.bobID(), Kid: p.bobPreKey.ID()}),
		})
		if err != nil {
			t.Fatal(err)
		}
		opened(t, Parcel{Suite: 1, Wraps: wraps, CT: ct}, p)
	})
}

func opened(t *testing.T, x Parcel, p people) {
	o, err := OpenParcel(x, p.bob, p.bobID(), p.find)
	if err == nil && !bytes.Equal(o.Inner.Append(nil), o.InnerRaw) {
		t.Errorf("a second encoding of %x", o.InnerRaw)
	}
}

func FuzzOpenAck(f *testing.F) {
	all := readVectors(f)
	for _, v := range all {
		if v.Outputs["ackbox"] != nil {
			f.Add(v.out(f, "ackbox"), []byte(nil))
		}
	}
	f.Add([]byte(nil), identity.Pad(all["ackbox-delivered"].out(f, "signed")))
	cek := [32]byte(all["ackbox-delivered"].in(f, "CEK"))
	f.Fuzz(func(t *testing.T, b, padded []byte) {
		box, err := ParseAckBox(b)
		if err != nil {
			box = AckBox{Tag: AckTag(cek)}
			box.Box = identity.Seal(bytes.NewReader(make([]byte, 12)), ackKey(cek), padded, ackAAD(box.Tag))
		}
		if s, err := OpenAck(cek, box); err == nil && s.Type != TypeAck {
			t.Errorf("opened %+v", s)
		}
	})
}

// FuzzReadFrame reads frames until b ends or is refused; those read are a prefix of b.
func FuzzReadFrame(f *testing.F) {
	for _, v := range readVectors(f) {
		for _, name := range []string{"request", "reply", "rec"} {
			if v.Section == "3.6" && v.Outputs[name] != nil {
				f.Add(v.out(f, name))
			}
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReader(bytes.NewReader(b))
		var printed []byte
		for {
			x, err := ReadFrame(r)
			if err == io.EOF && !bytes.Equal(printed, b) {
				t.Errorf("read %x of %x", printed, b)
			}
			if err != nil {
				break
			}
			printed = AppendFrame(printed, x)
		}
		if !bytes.HasPrefix(b, printed) {
			t.Errorf("%x are a second encoding of %x", b, printed)
		}
	})
}

func FuzzTopicName(f *testing.F) {
	f.Add(TopicName(newPeople(f).e.Public()))
	f.Fuzz(func(t *testing.T, s string) {
		if e, err := ParseTopicName(s); err == nil && TopicName(e) != s {
			t.Errorf("a second name of %x: %q", e, s)
		}
	})
}

func FuzzMIDText(f *testing.F) {
	f.Add(MID{1}.String())
	f.Add(MID{1}.String()[:39] + "\xff")
	f.Fuzz(func(t *testing.T, s string) {
		if p, err := ParseMIDText(s); err == nil {
			var m MID
			if copy(m[:], p[:]); m.String() != s {
				t.Errorf("a second text of %v: %q", m, s)
			}
		}
	})
}
