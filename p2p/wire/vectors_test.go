package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
)

// A vector is one entry of testdata/vectors.json.
type vector struct {
	Name, Section, Profile, Comment string
	Inputs, Outputs                 map[string]any
}

// in returns an input, out an output, in hex unless it is text.
func (v vector) in(t testing.TB, name string) []byte  { return unhex(t, v.Inputs, name) }
func (v vector) out(t testing.TB, name string) []byte { return unhex(t, v.Outputs, name) }

func (v vector) number(name string) uint64 { return uint64(v.Inputs[name].(float64)) }

func unhex(t testing.TB, m map[string]any, name string) []byte {
	t.Helper()
	s, ok := m[name].(string)
	if !ok {
		t.Fatalf("no %s", name)
	}
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return b
}

func readVectors(t testing.TB) map[string]vector {
	t.Helper()
	data, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []vector }
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	all := map[string]vector{}
	for _, v := range file.Vectors {
		all[v.Name] = v
	}
	return all
}

// seqV is the stamp of all records in the vectors, timeV their time.
const (
	seqV  = 1763800000000
	timeV = 1763800000000
)

// people are those of whom the vectors speak.
type people struct {
	all                 map[string]vector
	bob, alice          Address
	bobD, aliceD        identity.SigningKey
	bobPreKey, alicePre *identity.PreKeySecret
	e                   identity.SigningKey
	k                   [32]byte
	sub                 SubID
	bobContact          string
}

func newPeople(t testing.TB) people {
	all := readVectors(t)
	p := people{all: all}
	p.bob = Address(all["keys-bob"].out(t, "A"))
	p.alice = Address(all["keys-alice"].out(t, "A"))
	p.bobD = identity.NewSigningKey([32]byte(all["device-bob"].in(t, "D_seed")))
	p.aliceD = identity.NewSigningKey([32]byte(all["device-alice"].in(t, "D_seed")))
	var err error
	if p.bobPreKey, err = identity.NewPreKeySecret([32]byte(all["prekey-bob"].in(t, "seed"))); err != nil {
		t.Fatal(err)
	}
	if p.alicePre, err = identity.NewPreKeySecret([32]byte(all["prekey-alice"].in(t, "seed"))); err != nil {
		t.Fatal(err)
	}
	p.e = identity.NewSigningKey([32]byte(all["epoch"].in(t, "E_seed")))
	p.k = [32]byte(all["epoch"].in(t, "K"))
	p.sub = SubID(bytes.Repeat([]byte{0x5b}, 16))
	p.bobContact = "im:" + p.bob.String() + "@hum.alt"
	return p
}

func (p people) bobID() DeviceID   { return identity.DeviceIDOf(p.bobD.Public()) }
func (p people) aliceID() DeviceID { return identity.DeviceIDOf(p.aliceD.Public()) }

func (p people) find(kid KeyID) (*identity.PreKeySecret, bool) {
	for _, k := range []*identity.PreKeySecret{p.bobPreKey, p.alicePre} {
		if k.ID() == kid {
			return k, true
		}
	}
	return nil, false
}

// TestVectors checks every C0 vector in both directions. One without a check fails.
func TestVectors(t *testing.T) {
	p := newPeople(t)
	const want = 49
	n := 0
	for name, v := range p.all {
		if v.Profile != "C0" {
			continue
		}
		n++
		t.Run(name, func(t *testing.T) {
			check := checkOf(name)
			if check == nil {
				t.Fatal("no check")
			}
			check(t, p, v)
		})
	}
	if n != want {
		t.Errorf("%d vectors of C0, want %d", n, want)
	}
}

func checkOf(name string) func(*testing.T, people, vector) {
	if check, ok := vectorChecks[name]; ok {
		return check
	}
	for prefix, check := range prefixChecks {
		if strings.HasPrefix(name, prefix) {
			return check
		}
	}
	return nil
}

var prefixChecks = map[string]func(*testing.T, people, vector){
	"keys-":        checkKeys,
	"address-bad-": checkBadAddress,
	"device-":      checkDevice,
	"prekey-":      checkPreKey,
	"strict-":      checkStrict,
	"ed25519-":     checkEd25519,
}

var vectorChecks = map[string]func(*testing.T, people, vector){
	"address-record-bob": func(t *testing.T, p people, v vector) {
		checkAddressRecord(t, v, p.bob, p.bobD.Public(), p.all["keys-bob"])
	},
	"address-record-alice": func(t *testing.T, p people, v vector) {
		checkAddressRecord(t, v, p.alice, p.aliceD.Public(), p.all["keys-alice"])
	},
	"device-record-bob": func(t *testing.T, p people, v vector) {
		checkDeviceRecord(t, v, p.bob, p.bobD, p.bobPreKey)
	},
	"device-record-alice": func(t *testing.T, p people, v vector) {
		checkDeviceRecord(t, v, p.alice, p.aliceD, p.alicePre)
	},
	"reach-bob":          checkReach,
	"sub-request":        checkSubRequest,
	"sub-state-active":   checkSubState,
	"unsub":              checkUnsub,
	"im":                 checkIM,
	"parcel-sub-request": checkParcelSubRequest,
	"parcel-sub-state":   checkParcelSubState,
	"parcel-im":          checkParcelIM,
	"epoch":              checkEpoch,
	"update-open":        checkUpdateOpen,
	"update-reach":       checkUpdateReach,
	"update-closed":      checkUpdateClosed,
	"beacon":             checkBeacon,
	"ackbox-delivered":   checkAckDelivered,
	"ackbox-closed":      checkAckClosed,
	"frame-records":      checkFrameRecords,
	"frame-bundle":       checkFrameBundle,
	"frame-watch":        checkFrameWatch,
}

func equal(t *testing.T, what string, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("%s:\n got %x\nwant %x", what, got, want)
	}
}

// same checks that parsing gives what was built.
func same[T any](t *testing.T, built T, b []byte, parse func([]byte) (T, error)) {
	t.Helper()
	got, err := parse(b)
	if err != nil {
		t.Errorf("parse %T: %v", built, err)
	} else if !reflect.DeepEqual(got, built) {
		t.Errorf("parsed\n%+v, want\n%+v", got, built)
	}
}

// checkSignedBody checks a body and the Signed around it.
func checkSignedBody(t *testing.T, v vector, k identity.SigningKey, typ Type, body []byte) Signed {
	t.Helper()
	equal(t, "body", body, v.out(t, "body"))
	s := Sign(k, typ, body)
	if v.Outputs["signed"] != nil {
		equal(t, "signed", s.Append(nil), v.out(t, "signed"))
		same(t, s, v.out(t, "signed"), ParseSigned)
	}
	if err := s.Verify(); err != nil {
		t.Error(err)
	}
	s.Type = TypeSync
	if s.Verify() == nil {
		t.Error("the signature holds under another type")
	}
	s.Type = typ
	return s
}

func checkKeys(t *testing.T, p people, v vector) {
	s := v.in(t, "S")
	a := identity.KDF(s, "address", make([]byte, 4))
	equal(t, "A seed", a[:], v.out(t, "A_seed"))
	pub := identity.NewSigningKey(a).Public()
	equal(t, "A", pub[:], v.out(t, "A"))
	if got := Address(pub).String(); got != v.Outputs["address"] {
		t.Errorf("address %s", got)
	}
	if got, err := identity.ParseAddress(v.Outputs["address"].(string)); err != nil || got != Address(pub) {
		t.Errorf("parsed %v, %v", got, err)
	}
	r := identity.NewSigningKey(identity.KDF(s, "recovery", make([]byte, 4))).Public()
	equal(t, "R", r[:], v.out(t, "R"))
	h := identity.Hash("recovery", r[:])
	equal(t, "recovery", h[:], v.out(t, "recovery"))
}

func checkBadAddress(t *testing.T, p people, v vector) {
	if a, err := identity.ParseAddress(v.Inputs["text"].(string)); err == nil {
		t.Errorf("accepted as %v", a)
	}
}

func checkDevice(t *testing.T, p people, v vector) {
	d := identity.NewSigningKey([32]byte(v.in(t, "D_seed"))).Public()
	equal(t, "D", d[:], v.out(t, "D"))
	id := identity.DeviceIDOf(d)
	equal(t, "device", id[:], v.out(t, "device"))
}

func checkPreKey(t *testing.T, p people, v vector) {
	k, err := identity.NewPreKeySecret([32]byte(v.in(t, "seed")))
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "pub", k.Public(), v.out(t, "pub"))
	kid := k.ID()
	equal(t, "kid", kid[:], v.out(t, "kid"))
}

func checkStrict(t *testing.T, p people, v vector) {
	r, err := ParseRec(v.in(t, "rec"))
	if err == nil && r.Verify(PublicKey(v.in(t, "E"))) {
		t.Errorf("accepted as %+v", r)
	}
	if (err == nil) != (v.Name == "strict-wrong-ctx") {
		t.Errorf("parsed with error %v", err)
	}
}

func checkEd25519(t *testing.T, p people, v vector) {
	key := PublicKey(v.in(t, "pub"))
	if v.Name == "ed25519-mixed-key" || v.Name == "ed25519-small-order-key" {
		if identity.ValidKey(key) {
			t.Error("key accepted")
		}
		if _, err := ParseTopicName(TopicName(key)); err == nil {
			t.Error("topic accepted")
		}
	}
	if v.Inputs["sig"] != nil && identity.VerifyRaw(key, v.in(t, "msg"), Signature(v.in(t, "sig"))) {
		t.Error("signature accepted")
	}
}

func checkAddressRecord(t *testing.T, v vector, a Address, d PublicKey, keys vector) {
	r := identity.AddressRecord{
		Address: a, Seq: seqV, Expires: 1766392000000, Services: 3,
		Devices:  []identity.Device{{Key: d, Roles: 7}},
		Recovery: [32]byte(keys.out(t, "recovery")),
	}
	body := AppendAddressRecord(nil, r)
	k := identity.NewSigningKey([32]byte(v.in(t, "A_seed")))
	s := checkSignedBody(t, v, k, TypeAddressRecord, body)
	digest := s.Digest()
	equal(t, "digest", digest[:], v.out(t, "digest"))
	same(t, r, body, ParseAddressRecord)
	same(t, r.Devices[0], AppendDevice(nil, r.Devices[0]), ParseDevice)
}

func checkDeviceRecord(t *testing.T, v vector, a Address, d identity.SigningKey, k *identity.PreKeySecret) {
	r := identity.DeviceRecord{
		Address: a, Device: identity.DeviceIDOf(d.Public()), Seq: seqV, Expires: 1765009600000,
		PreKeys: []identity.PreKey{{Suite: 1, Public: k.Public()}},
	}
	body := AppendDeviceRecord(nil, r)
	checkSignedBody(t, v, d, TypeDeviceRecord, body)
	same(t, r, body, ParseDeviceRecord)
	same(t, r.PreKeys[0], AppendPreKey(nil, r.PreKeys[0]), ParsePreKey)
}

func checkReach(t *testing.T, p people, v vector) {
	r := identity.Reach{
		Address: p.bob, Device: p.bobID(), Seq: Stamp(v.number("seq")),
		Peer: v.out(t, "peer"), Addrs: [][]byte{v.in(t, "addr")},
	}
	body := AppendReach(nil, r)
	checkSignedBody(t, v, p.bobD, TypeReach, body)
	same(t, r, body, ParseReach)
}

func checkSubRequest(t *testing.T, p people, v vector) {
	x := SubRequest{
		From: Address(v.in(t, "from")), To: Address(v.in(t, "to")), Sub: SubID(v.in(t, "sub")),
		At: Stamp(v.number("at")), Want: uint32(v.number("want")), Text: v.Inputs["text"].(string),
		ArSeq: Stamp(v.number("ar_seq")),
	}
	body := x.Append(nil)
	id := checkSignedBody(t, v, p.aliceD, TypeSubRequest, body).ID()
	equal(t, "id", id[:], v.out(t, "id"))
	same(t, x, body, ParseSubRequest)
}

func checkSubState(t *testing.T, p people, v vector) {
	g := Grant{
		E: p.e.Public(), K: p.k, NotBefore: timeV,
		NotAfter: Time(timeV).Add(GrantLife), TTL: DefaultTTLSeconds,
	}
	equal(t, "grant", g.Append(nil), v.out(t, "grant"))
	same(t, g, v.out(t, "grant"), ParseGrant)
	x := SubState{
		From: p.bob, To: p.alice, Sub: SubID(v.in(t, "sub")), Seq: Stamp(v.number("seq")),
		State: SubActive, Expires: Time(v.number("expires")), Grant: &g, ArSeq: Stamp(v.number("ar_seq")),
	}
	body := x.Append(nil)
	id := checkSignedBody(t, v, p.bobD, TypeSubState, body).ID()
	equal(t, "id", id[:], v.out(t, "id"))
	same(t, x, body, ParseSubState)
}

func checkUnsub(t *testing.T, p people, v vector) {
	x := Unsub{From: p.alice, To: p.bob, Sub: p.sub, At: Stamp(v.number("at"))}
	body := x.Append(nil)
	checkSignedBody(t, v, p.aliceD, TypeUnsub, body)
	same(t, x, body, ParseUnsub)
}

func checkIM(t *testing.T, p people, v vector) {
	x := IM{
		From: p.alice, To: p.bob, Device: p.aliceID(), Nonce: [16]byte(v.in(t, "nonce")),
		Sent: Time(v.number("sent")), Expires: Time(v.number("expires")),
		ContentType: "text/plain; charset=utf-8", Content: []byte(v.Inputs["content"].(string)), ArSeq: seqV,
	}
	body := x.Append(nil)
	id := checkSignedBody(t, v, p.aliceD, TypeIM, body).ID()
	equal(t, "mid", id[:], v.out(t, "mid"))
	if id.String() != v.Outputs["mid_text"] {
		t.Errorf("text form %s", id)
	}
	if got, err := ParseMIDText(id.String()); err != nil || got != [25]byte(id[:25]) {
		t.Errorf("parsed %x, %v", got, err)
	}
	same(t, x, body, ParseIM)
}

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
