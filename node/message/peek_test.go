package message

import (
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// What is peeked at is what the whole row says, of any row that is kept; and of no other bytes is anything claimed that
// the whole does not say.
func FuzzPeek(f *testing.F) {
	row := func(contentType string, content []byte, edit func(*wire.IM)) []byte {
		a := arrival()
		a.IM.Nonce, a.IM.ArSeq, a.IM.ContentType, a.IM.Content = [16]byte{1}, 1, contentType, content
		edit(&a.IM)
		s := wire.Sign(identity.NewSigningKey([32]byte{1}), wire.TypeIM, a.IM.Append(nil))
		b, err := cbor.Marshal(NewRow(at(0), a, s.Append(nil), [32]byte{6}))
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	plain := func(*wire.IM) {}
	seeds := [][]byte{
		row("text/plain", []byte("hello"), plain), row("text/plain", nil, plain), row("image/png", make([]byte, 300), plain),
		row("text/plain; charset=utf-8", make([]byte, 60_000), func(im *wire.IM) { im.InReplyTo, im.Lang = wire.MID{1}, "en" }),
	}
	for _, b := range seeds {
		if _, _, ok := Peek(b); !ok {
			f.Errorf("a row is not read: %x", b[:min(len(b), 40)])
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		contentType, content, ok := Peek(b)
		var r Row
		if err := cbor.Unmarshal(b, &r); err != nil || !ok {
			return
		}
		if string(contentType) != r.ContentType || string(content) != string(r.Content) {
			t.Errorf("peeked %q %q, the row says %q %q", contentType, content, r.ContentType, r.Content)
		}
	})
}
