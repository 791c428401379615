package node

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// publicEpoch is what a's record says of its public view.
func (a *actor) publicEpoch() (x wire.PublicView, ok bool) {
	return publicIn(a.pins.get(a.who.Address), a.now())
}

// TestPublicDocumentsTellNoPlace: what everybody can read never says where a device is, also of a view that told its
// members before it was made public, and its members go on reading it.
func TestPublicDocumentsTellNoPlace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.subscribe(bob)
	must(bob.EditView(ctx, ViewEdit{Name: "hello", Show: []string{"note"}, Add: []string{"alice"}}))(t)
	bob.says("to members")
	alice.sees(bob, "open said")
	docs := func(e wire.PublicKey, k [32]byte) (out []wire.Doc) {
		for _, r := range bob.net.Held(e) {
			if r.IsBeacon() {
				continue
			}
			b, err := wire.OpenDoc(k, e, r.Tag, r.T, r.CT)
			if err != nil {
				t.Fatal(err)
			}
			d := must(wire.ParseDoc(b))(t)
			out = append(out, d)
		}
		return out
	}
	var before presence.Epoch
	must(0, bob.view(func(t *txn) error {
		v, _, err := bob.loadView(t, "hello")
		before = v.Epochs[len(v.Epochs)-1]
		return err
	}))(t)
	if d := docs(before.E, before.K); len(d) != 1 || d[0].Reach == nil {
		t.Fatalf("members alone were told %+v", d)
	}
	on := true
	must(bob.EditView(ctx, ViewEdit{Name: "hello", Public: &on}))(t)
	x, ok := bob.publicEpoch()
	if !ok || x.E == before.E {
		t.Fatalf("the record tells of the public view: %v, in the epoch of before: %v", ok, x.E == before.E)
	}
	bob.says("to everybody")
	eventually(t, "it is said", func() bool {
		d := docs(x.E, x.K)
		return len(d) == 1 && len(d[0].Notes) == 1 && d[0].Notes[0].Text == "to everybody"
	})
	if d := docs(x.E, x.K); d[0].Reach != nil {
		t.Error("everybody is told where the device is")
	}
	eventually(t, "its members read on", func() bool { return alice.presenceOf(bob.who.Address).Note == "to everybody" })
}

// TestForeignPublicViewIsRead as the bytes say, whoever wrote them: what is malformed, over, or of others is no public
// view, and the record holds all the same.
func TestForeignPublicViewIsRead(t *testing.T) {
	bob := start(t, "bob")
	now := bob.now()
	good := wire.PublicView{E: identity.NewSigningKey([32]byte{1}).Public(), K: [32]byte{2}, NotAfter: now.Wall.Add(wire.GrantLife)}
	over := good
	over.NotAfter = now.Wall.Add(-identity.Skew - time.Second)
	for what, x := range map[string]struct {
		raw []byte
		ok  bool
	}{
		"good": {good.Append(nil), true}, "over": {over.Append(nil), false}, "none": {nil, false}, "malformed": {[]byte("view"), false},
		"cut short": {good.Append(nil)[:40], false},
	} {
		pin := &identity.Pin{Record: identity.AddressRecord{PublicView: x.raw, Expires: now.Wall.Add(identity.AddressRecordLife)}}
		if _, ok := publicIn(pin, now); ok != x.ok {
			t.Errorf("%s: %v", what, ok)
		}
	}
	// What a place hands out under another key, or seals with another, is not shown.
	seen := presence.Presence{Of: bob.who.Address}
	forged := wire.NewUpdate(identity.NewSigningKey([32]byte{9}), wire.TagOf(good.K, bob.Self().Device), now.Wall, bytes.Repeat([]byte{1}, 284))
	if bob.takePublic(&seen, good, []wire.Rec{forged}) || len(seen.Docs) > 0 {
		t.Error("a forged record is news")
	}
	if p, err := bob.readPublic(context.Background(), bob.who.Address, good, nil); err == nil {
		t.Errorf("nobody was asked, and %+v is shown", p)
	}
}
