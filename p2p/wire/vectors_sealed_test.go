package wire

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"testing"

	"github.com/hum-presence/hum/identity"
)

// The vectors of what is sealed or framed: Parcels, Recs, AckBoxes and streams.

func (p people) signedOf(t *testing.T, name string) Signed {
	t.Helper()
	s, err := ParseSigned(p.all[name].out(t, "signed"))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func checkParcelSubRequest(t *testing.T, p people, v vector) {
	checkParcel(t, p, v, Inner{
		Signed:   p.signedOf(t, "sub-request"),
		Attached: []Signed{p.signedOf(t, "address-record-alice"), p.signedOf(t, "device-record-alice")},
	}, Time(p.all["sub-request"].number("at")).Add(ControlExpiry))
}

func checkParcelSubState(t *testing.T, p people, v vector) {
	checkParcel(t, p, v, Inner{
		Signed:   p.signedOf(t, "sub-state-active"),
		Attached: []Signed{p.signedOf(t, "reach-bob")},
	}, Time(p.all["sub-state-active"].number("expires")))
}

func checkParcelIM(t *testing.T, p people, v vector) {
	checkParcel(t, p, v, Inner{Signed: p.signedOf(t, "im")}, Time(p.all["im"].number("expires")))
}

func checkParcel(t *testing.T, p people, v vector, inner Inner, expires Time) {
	cek := [32]byte(v.in(t, "CEK"))
	to := Recipient{Address: Address(v.in(t, "recipient")), Device: DeviceID(v.in(t, "device")), Kid: KeyID(v.in(t, "kid"))}
	equal(t, "inner", inner.Append(nil), v.in(t, "inner"))
	same(t, inner, v.in(t, "inner"), ParseInner)
	ct, err := SealInner(bytes.NewReader(v.in(t, "nonce")), cek, inner)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "ct", ct, v.out(t, "ct"))
	if got := len(ct) - identity.SealOverhead; got != int(v.Outputs["padded_len"].(float64)) {
		t.Errorf("padded to %d", got)
	}
	equal(t, "info", wrapInfo(1, to.Address, to.Device, to.Kid, sha256.Sum256(ct)), v.out(t, "info"))
	parcel := Parcel{Suite: 1, Wraps: []Wrap{{to.Kid, v.out(t, "sealed")}}, CT: ct, ExpiresS: ParcelExpiry(expires)}
	b := parcel.Append(nil)
	equal(t, "parcel", b, v.out(t, "parcel"))
	if len(b) != int(v.Outputs["parcel_len"].(float64)) {
		t.Errorf("parcel of %d bytes", len(b))
	}
	same(t, parcel, b, ParseParcel)
	opens(t, p, parcel, to, inner, cek)
	if parcel.Wraps, err = WrapFor(1, cek, ct, []Recipient{p.withKey(to)}); err != nil {
		t.Fatal(err)
	}
	opens(t, p, parcel, to, inner, cek)
}

func (p people) withKey(r Recipient) Recipient {
	k, _ := p.find(r.Kid)
	r.Key = k.Public()
	return r
}

func opens(t *testing.T, p people, parcel Parcel, to Recipient, inner Inner, cek [32]byte) {
	t.Helper()
	o, err := OpenParcel(parcel, to.Address, to.Device, p.find)
	if err != nil {
		t.Fatal(err)
	}
	want := Opened{Inner: inner, InnerRaw: inner.Append(nil), CEK: cek, Kid: to.Kid}
	if !reflect.DeepEqual(o, want) {
		t.Errorf("opened %+v, want %+v", o, want)
	}
}

func checkEpoch(t *testing.T, p people, v vector) {
	e := p.e.Public()
	equal(t, "E", e[:], v.out(t, "E"))
	tag := TagOf(p.k, DeviceID(v.in(t, "device")))
	equal(t, "tag", tag[:], v.out(t, "tag"))
	if got := TopicName(e); got != v.Outputs["topic"] || len(got) != 52 {
		t.Errorf("topic %s", got)
	}
	if got, err := ParseTopicName(v.Outputs["topic"].(string)); err != nil || got != e {
		t.Errorf("parsed topic %x, %v", got, err)
	}
	k := updateKey(p.k)
	equal(t, "update key", k[:], v.out(t, "update_key"))
}

func (p people) openDoc() Doc {
	return Doc{
		Entity: p.bob, Device: p.bobID(), Ver: 1, TTL: 150, ArSeq: seqV,
		Tuples: []Tuple{{
			ID: "im", Basic: Open, IM: Available, Contact: p.bobContact, Priority: 800, Timestamp: timeV,
		}},
		Notes: []Note{{Text: "back at four", Lang: "en"}},
	}
}

func checkUpdateOpen(t *testing.T, p people, v vector) { checkUpdate(t, p, v, p.openDoc()) }

func checkUpdateReach(t *testing.T, p people, v vector) {
	d := p.openDoc()
	d.Reach = p.all["reach-bob"].out(t, "signed")
	checkUpdate(t, p, v, d)
}

func checkUpdateClosed(t *testing.T, p people, v vector) {
	checkUpdate(t, p, v, Doc{
		Entity: p.bob, Device: p.bobID(), Ver: 2, TTL: 150, ArSeq: seqV,
		Tuples: []Tuple{{ID: "im", Basic: Closed, Contact: p.bobContact, Timestamp: Time(v.number("t"))}},
	})
}

func checkUpdate(t *testing.T, p people, v vector, d Doc) {
	doc := d.Append(nil)
	equal(t, "doc", doc, v.out(t, "doc"))
	same(t, d, v.out(t, "doc"), ParseDoc)
	tag, at, e := Tag(v.in(t, "tag")), Stamp(v.number("t")), p.e.Public()
	ct := SealDoc(bytes.NewReader(v.in(t, "nonce")), p.k, e, tag, at, doc)
	r := NewUpdate(p.e, tag, at, ct)
	checkRec(t, p, v, r)
	if r.IsBeacon() {
		t.Error("an update is a beacon")
	}
	got, err := OpenDoc(p.k, e, tag, at, r.CT)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "opened doc", got, doc)
	if _, err := OpenDoc(p.k, e, tag, at+1, r.CT); err == nil {
		t.Error("opens under another t")
	}
}

func checkRec(t *testing.T, p people, v vector, r Rec) {
	t.Helper()
	equal(t, "rec", r.Append(nil), v.out(t, "rec"))
	same(t, r, v.out(t, "rec"), ParseRec)
	if !r.Verify(p.e.Public()) || r.Verify(p.bobD.Public()) {
		t.Error("signed by another than E")
	}
	if len(r.Raw) != int(v.Outputs["rec_len"].(float64)) {
		t.Errorf("rec of %d bytes", len(r.Raw))
	}
	if v.Outputs["message_id"] != nil {
		id := GossipID(TopicName(p.e.Public()), r.Raw)
		equal(t, "message id", []byte(id), v.out(t, "message_id"))
	}
}

func checkBeacon(t *testing.T, p people, v vector) {
	r := NewBeacon(p.e, Tag(v.in(t, "tag")), Stamp(v.number("t")), Stamp(v.number("base")))
	equal(t, "body", r.Body, v.out(t, "body"))
	checkRec(t, p, v, r)
	if !r.IsBeacon() {
		t.Error("a beacon is none")
	}
}

func (p people) ack(t *testing.T) Ack {
	return Ack{
		From: p.bob, To: p.alice, Device: p.bobID(), MIDs: []MID{p.signedOf(t, "im").ID()},
		Disposition: Delivered, At: 1763800000500, ArSeq: seqV,
	}
}

func checkAckDelivered(t *testing.T, p people, v vector) {
	key := ackKey([32]byte(v.in(t, "CEK")))
	equal(t, "ack key", key[:], v.out(t, "ack_key"))
	checkAck(t, p, v, p.ack(t))
}

func checkAckClosed(t *testing.T, p people, v vector) {
	a := p.ack(t)
	a.Reason = ReasonClosed
	a.Disposition = a.Reason.Disposition()
	checkAck(t, p, v, a)
}

func checkAck(t *testing.T, p people, v vector, a Ack) {
	s := checkSignedBody(t, v, p.bobD, TypeAck, a.Append(nil))
	same(t, a, v.out(t, "body"), ParseAck)
	cek := [32]byte(v.in(t, "CEK"))
	box := SealAck(bytes.NewReader(v.in(t, "nonce")), cek, s)
	b := box.Append(nil)
	equal(t, "ackbox", b, v.out(t, "ackbox"))
	same(t, box, b, ParseAckBox)
	if len(b) != int(v.Outputs["ackbox_len"].(float64)) {
		t.Errorf("ackbox of %d bytes", len(b))
	}
	if got, err := OpenAck(cek, box); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("opened %+v, %v", got, err)
	}
}

func checkFrame(t *testing.T, f Frame, kind FrameKind, want []byte) {
	t.Helper()
	equal(t, "frame", AppendFrame(nil, f), want)
	same(t, f, want, readOne)
	if f.Kind() != kind {
		t.Errorf("a %v, want %v", f.Kind(), kind)
	}
}

func checkFrameRecords(t *testing.T, p people, v vector) {
	x := RecordsRequest{Address(v.in(t, "address"))}
	checkFrame(t, Frame{ID: 1, Op: OpRecords, Payload: x.Append(nil)}, Request, v.out(t, "request"))
	same(t, x, x.Append(nil), ParseRecordsRequest)
	checkFrame(t, Frame{ID: 1, Op: OpRecords, Status: NOT_FOUND}, Reply, v.out(t, "reply"))
}

func checkFrameBundle(t *testing.T, p people, v vector) {
	x := Bundle{
		Address: p.signedOf(t, "address-record-bob"),
		Devices: []Signed{p.signedOf(t, "device-record-bob")},
	}
	equal(t, "bundle", x.Append(nil), v.out(t, "bundle"))
	same(t, x, v.out(t, "bundle"), ParseBundle)
	checkFrame(t, Frame{ID: 1, Op: OpRecords, Payload: x.Append(nil), Status: OK}, Reply, v.out(t, "reply"))
}

func checkFrameWatch(t *testing.T, p people, v vector) {
	e := PublicKey(v.in(t, "E"))
	watch := WatchRequest{Keys: []PublicKey{e}}
	checkFrame(t, Frame{ID: 1, Op: OpWatch, Payload: watch.Append(nil)}, Request, v.out(t, "request"))
	same(t, watch, watch.Append(nil), ParseWatchRequest)
	push := RecPush{Key: e, Rec: p.all["beacon"].out(t, "rec")}
	checkFrame(t, Frame{Op: OpRec, Payload: push.Append(nil)}, OneWay, v.out(t, "rec"))
	same(t, push, push.Append(nil), ParseRecPush)
	reply := WatchReply{Now: Time(v.number("now"))}
	checkFrame(t, Frame{ID: 1, Op: OpWatch, Payload: reply.Append(nil), Status: OK}, Reply, v.out(t, "reply"))
	same(t, reply, reply.Append(nil), ParseWatchReply)
}
