package requirements

import (
	"errors"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// S33: every field of a document, wrong in turn, sealed in a record that is signed as it should be, and in the answer
// to a fetch. Nobody is answered there (SPEC 4.5, 4.10): the reader refuses it by its kind, and knows what it knew before.
func TestReq_S33_DocumentsInRecords(t *testing.T) {
	k, e, at := newKeys("carol"), newKeys("an epoch").a, identity.Time(1_763_800_000_000)
	device := identity.DeviceIDOf(k.d.Public())
	g := wire.Grant{E: e.Public(), K: [32]byte{4}, NotBefore: at, NotAfter: at.Add(wire.GrantLife), TTL: 150}
	speakers := func(d identity.DeviceID) (presence.Scope, bool) { return presence.Scope{}, d == device }
	reach := wire.Sign(k.d, wire.TypeReach, wire.AppendReach(nil, identity.Reach{Address: k.address(), Device: device, Seq: 1, Peer: []byte("T")}))
	right := filled(func(d *wire.Doc) {
		d.Entity, d.Device, d.Reach = k.address(), device, reach.Append(nil)
		heeded(d.Ext)
		heeded(d.Tuples[0].Ext)
	})
	full := filled(func(d *wire.Doc) { d.Reach = right.Reach })
	kinds := map[string]error{malformed: wire.ErrMalformed, tooLarge: wire.ErrTooLarge, unsupported: wire.ErrUnsupported}
	cases := append([]damage{{"nothing wrong", right.Append(nil), fine}}, damagesIn(full, right)...)
	for what, edit := range map[string]func(*wire.Doc){
		"a place that is no Signed":            func(d *wire.Doc) { d.Reach = []byte("x") },
		"a priority of more than there may be": func(d *wire.Doc) { d.Tuples[0].Priority = wire.MaxPriority + 1 },
	} {
		d := right
		d.Tuples = append([]wire.Tuple(nil), right.Tuples...)
		edit(&d)
		cases = append(cases, damage{what, d.Append(nil), malformed})
	}
	var known presence.Presence
	known.Of = k.address()
	first := right
	first.Ver, first.Notes = 1, []wire.Note{{Text: "what is known"}}
	said := func(p *presence.Presence, b []byte, at identity.Time) (presence.Reading, error) {
		tag := wire.TagOf(g.K, device)
		r, err := wire.ParseRec(wire.NewUpdate(e, tag, at, wire.SealDoc(randomOf("a nonce", at), g.K, g.E, tag, at, b)).Raw)
		if err != nil {
			t.Fatal(err)
		}
		return p.Apply(identity.Now{Wall: at, Heard: at}, g, r, presence.ByStream, speakers)
	}
	if got, err := said(&known, first.Append(nil), at); err != nil || !got.Changed {
		t.Fatalf("the first document: %+v, %v", got, err)
	}
	for i, d := range cases {
		p := presence.Presence{Of: known.Of, Tags: append([]presence.Heard(nil), known.Tags...), Docs: append([]presence.Known(nil), known.Docs...)}
		got, err := said(&p, d.b, at.Add(time.Duration(i+1)*time.Second))
		if !errors.Is(err, kinds[d.want]) || got.Changed != (err == nil) {
			t.Errorf("in a record, %s: %+v, %v; it is %q", d.what, got, err, d.want)
		}
		if note := p.Docs[0].Doc.Notes; err != nil && (len(p.Docs) != 1 || note[0].Text != "what is known") {
			t.Errorf("in a record, %s: then it says %+v", d.what, p.Docs)
		}
		f := presence.Fetched{Me: newKeys("alice").address(), Of: known.Of}
		now := identity.Now{Wall: at, Heard: at}
		f.Asks(now, wire.ReqID{1}, 0)
		bad, err := f.Answer(now, wire.FetchReply{From: f.Of, To: f.Me, Req: f.Req, State: wire.FetchOK, AsOf: at, Docs: [][]byte{d.b}}, speakers)
		if wrong := d.want != fine; err != nil || bad == 1 != wrong || len(f.Docs) == 0 != wrong {
			t.Errorf("fetched, %s: %d are bad, %+v, %v; it is %q", d.what, bad, f.Docs, err, d.want)
		}
	}
	t.Logf("%d documents", len(cases))
}
