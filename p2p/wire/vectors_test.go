package wire

import (
	"bytes"
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

// TestVectors checks every vector in both directions. One without a check fails.
func TestVectors(t *testing.T) {
	p := newPeople(t)
	want := map[string]int{"C0": 49, "C1": 4, "C2": 3}
	n := map[string]int{}
	for name, v := range p.all {
		n[v.Profile]++
		t.Run(name, func(t *testing.T) {
			check := checkOf(name)
			if check == nil {
				t.Fatal("no check")
			}
			check(t, p, v)
		})
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("vectors by profile: %v, want %v", n, want)
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
	"successor-bob":      checkSuccessor,
	"safety-number":      checkSafetyNumber,
	"session":            checkSession,
	"parcel-im-session":  checkParcelSession,
	"slot":               checkSlot,
	"rendezvous":         checkRendezvous,
	"handle":             checkHandle,
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
