//go:build unix

package bench

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// BenchmarkCrypto is what the cryptography of one message costs, step by step. "wrap" and "unwrap" are HPKE
// with X-Wing, once per message and device as long as there are no sessions.
func BenchmarkCrypto(b *testing.B) {
	key, err := identity.GenerateSigningKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	pre, err := identity.GeneratePreKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	me := identity.Address(key.Public())
	dev := identity.DeviceIDOf(key.Public())
	im := wire.IM{From: me, To: me, Device: dev, Sent: 1, Expires: identity.Time(time.Hour / time.Millisecond),
		ContentType: "text/plain; charset=utf-8", Content: body, ArSeq: 1}
	raw, cek := im.Append(nil), [32]byte{1}
	signed := wire.Sign(key, wire.TypeIM, raw)
	ct, err := wire.SealInner(rand.Reader, cek, wire.Inner{Signed: signed})
	if err != nil {
		b.Fatal(err)
	}
	to := []wire.Recipient{{Address: me, Device: dev, Kid: pre.ID(), Key: pre.Public()}}
	wraps, err := wire.WrapFor(identity.Suite1, cek, ct, to)
	if err != nil {
		b.Fatal(err)
	}
	parcel := wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: ct}
	find := func(identity.KeyID) (*identity.PreKeySecret, bool) { return pre, true }
	if _, err := wire.OpenParcel(parcel, me, dev, find); err != nil {
		b.Fatal(err)
	}
	box := wire.SealAck(rand.Reader, cek, signed)
	for _, step := range []struct {
		name string
		do   func()
	}{
		{"sign", func() { wire.Sign(key, wire.TypeIM, raw) }},
		{"verify", func() { _ = signed.Verify() }},
		{"seal", func() { _, _ = wire.SealInner(rand.Reader, cek, wire.Inner{Signed: signed}) }},
		{"wrap", func() { _, _ = wire.WrapFor(identity.Suite1, cek, ct, to) }},
		{"unwrap", func() { _, _ = wire.OpenParcel(parcel, me, dev, find) }},
		{"sealack", func() { wire.SealAck(rand.Reader, cek, signed) }},
		{"openack", func() { _, _ = wire.OpenAck(cek, box) }},
	} {
		b.Run(step.name, func(b *testing.B) {
			before := cpu()
			for b.Loop() {
				step.do()
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}
