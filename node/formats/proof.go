package formats

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// signedPart is one signature: the very octets that it covers, label included (SPEC 1), in base64.
type signedPart struct {
	What      string `json:"what"`
	Key       string `json:"key"` // PEM
	Signature string `json:"signature"`
	Octets    string `json:"octets"`
}

// appendProof appends the document of a proof; the same one always gives the same octets.
func appendProof(b []byte, f any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(f) // of strings and numbers alone: it cannot fail
	return append(b, out.Bytes()...)
}

// bySignature says how each signature of a proof is checked without hum.
const bySignature = "without: for each N, jq -r .signed[N].key FILE >key; jq -r .signed[N].octets FILE | base64 -d >octets; jq -r .signed[N].signature FILE | base64 -d >signature; openssl pkeyutl -verify -pubin -inkey key -rawin -in octets -sigfile signature"

// byRecord says how a key is found to be of an address.
const byRecord = "the key of an address record is the address itself; the record lists, as octets 0a20 and 32 bytes, the keys of its devices"

func receiptTime(t identity.Time) string { return t.Go().UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func partOf(s wire.Signed) signedPart {
	return newPart(partWord(s.Type), s.Key, s.Sig, append(identity.DS(s.Type.Label()), s.Body...))
}

func newPart(what string, key identity.PublicKey, sig identity.Signature, octets []byte) signedPart {
	der, _ := x509.MarshalPKIXPublicKey(ed25519.PublicKey(key[:])) // of an Ed25519 key: it cannot fail
	return signedPart{
		What: what, Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		Signature: base64.StdEncoding.EncodeToString(sig[:]), Octets: base64.StdEncoding.EncodeToString(octets),
	}
}

func partWord(t wire.Type) string {
	switch t {
	case wire.TypeIM:
		return "message"
	case wire.TypeAck:
		return "ack"
	case wire.TypeSubState:
		return "grant"
	case wire.TypeFetchReply:
		return "answer"
	}
	return "address record"
}

// differs is the first line in which two texts differ.
func differs(a, b []byte) int {
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	return lineOf(b, i)
}

// read takes a signed part back into the form that a Parcel carries.
func (p signedPart) read() (s wire.Signed, err error) {
	key, sig, octets, err := p.raw()
	if err != nil {
		return s, err
	}
	for _, t := range []wire.Type{wire.TypeIM, wire.TypeAck, wire.TypeSubState, wire.TypeFetchReply, wire.TypeAddressRecord} {
		if body, ok := bytes.CutPrefix(octets, identity.DS(t.Label())); ok {
			s = wire.Signed{Type: t, Body: body, Key: key, Sig: sig}
			return wire.ParseSigned(s.Append(nil))
		}
	}
	return s, problem(BadValue, 0, "octets of another kind")
}

// raw is a signed part without its text forms.
func (p signedPart) raw() (key identity.PublicKey, sig identity.Signature, octets []byte, err error) {
	octets, err = base64.StdEncoding.Strict().DecodeString(p.Octets)
	if err != nil {
		return key, sig, nil, err
	}
	b, err := base64.StdEncoding.Strict().DecodeString(p.Signature)
	if err != nil || len(b) != len(sig) {
		return key, sig, nil, problem(BadValue, 0, "no signature of Ed25519")
	}
	block, _ := pem.Decode([]byte(p.Key))
	if block == nil {
		return key, sig, nil, problem(BadValue, 0, "no key in PEM")
	}
	of, err := x509.ParsePKIXPublicKey(block.Bytes)
	pub, ok := of.(ed25519.PublicKey)
	if err != nil || !ok {
		return key, sig, nil, problem(BadValue, 0, "no key of Ed25519")
	}
	return identity.PublicKey(pub), identity.Signature(b), octets, nil
}

// signer checks the signature of a part, and that address a had certified its key at the time.
func signer(records []wire.Signed, what string, s wire.Signed, a identity.Address, device identity.DeviceID, at identity.Time, role identity.Roles) error {
	if s.Verify() != nil {
		return problem(BadSignature, 0, "the signature of the %s does not hold", what)
	}
	if device != identity.DeviceIDOf(s.Key) {
		return problem(WrongPerson, 0, "the %s names a device that did not sign it", what)
	}
	return spoke(records, what, a, device, at, role)
}

// spoke checks the records of a proof, and that by them a device spoke for an address at a time, in a role.
func spoke(proof []wire.Signed, what string, a identity.Address, device identity.DeviceID, at identity.Time, role identity.Roles) error {
	var records []identity.AddressRecord
	for _, s := range proof {
		rec, err := wire.ParseAddressRecord(s.Body)
		switch {
		case err != nil:
			return problem(NotOfFormat, 0, "an address record: %v", err)
		case s.Verify() != nil:
			return problem(BadSignature, 0, "the signature of the address record of %s does not hold", rec.Address)
		case identity.Address(s.Key) != rec.Address:
			return problem(WrongPerson, 0, "the address record of %s is signed by another key", rec.Address)
		case rec.Address == a:
			records = append(records, rec)
		}
	}
	return certified(what, records, a, device, at, role)
}

// certified says why a device was none of an address's at a time, by the records that are here.
func certified(what string, records []identity.AddressRecord, a identity.Address, device identity.DeviceID, at identity.Time, role identity.Roles) error {
	if len(records) == 0 {
		return problem(WrongPerson, 0, "there is no address record of %s, whose %s it is said to be", a, what)
	}
	slices.SortFunc(records, func(x, y identity.AddressRecord) int { return int(min(max(int64(x.Seq)-int64(y.Seq), -1), 1)) })
	held := records[0] // if all are younger: that it was certified soon after says that it was his
	for _, rec := range records {
		if rec.Seq <= at.Add(identity.Skew) {
			held = rec
		}
	}
	d, listed := held.Device(device)
	before := slices.ContainsFunc(records, func(rec identity.AddressRecord) bool {
		_, ok := rec.Device(device)
		return ok && rec.Seq < held.Seq
	})
	switch {
	case !listed && before:
		return problem(Revoked, 0, "the device %s was revoked on %s, and the %s is of %s", device, day(held.Seq), what, day(at))
	case !listed:
		return problem(Revoked, 0, "%s lists no device %s in the record of %s", a, device, day(held.Seq))
	case held.Expires <= at:
		return problem(Expired, 0, "the certificate of the device %s expired on %s, and the %s is of %s", device, day(held.Expires), what, day(at))
	case d.NotAfter != 0 && d.NotAfter <= at:
		return problem(Expired, 0, "the device %s was certified until %s, and the %s is of %s", device, day(d.NotAfter), what, day(at))
	case d.Roles&role != role || d.Roles&identity.RoleDelegate != 0:
		return problem(WrongPerson, 0, "the device %s may not speak for this service of %s", device, a)
	}
	return nil
}

func day(t identity.Time) string { return t.Go().UTC().Format(time.RFC3339) }
