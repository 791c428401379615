package formats

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Receipt proves to anybody, without a node, who wrote a message, and what its recipient's device said of
// it. It is the message as it was signed, the recipient's ack if there is one, and for both signers the
// address records that certify their devices: what was in force when they signed, and newer ones that say
// otherwise.
type Receipt struct {
	Message wire.Signed   // of type IM
	Ack     wire.Signed   // of type Ack; zero in the proof of a message alone
	Records []wire.Signed // address records, in any order
}

// TypeReceipt is the MIME type of a receipt.
const TypeReceipt = "application/json"

// A Proof is what a receipt was found to prove.
type Proof struct {
	ID          wire.MID
	From, To    identity.Address
	Sent        identity.Time // by the author's clock
	ContentType string
	Content     []byte

	Acked       bool // the rest is the recipient's word
	Disposition wire.Disposition
	Reason      wire.Reason
	At          identity.Time // by the recipient's clock
	Device      identity.DeviceID
}

// MaxReceipt is how large a receipt may be, in bytes: a message of the largest content, twice in base64, and
// the records.
const MaxReceipt = 512 << 10

// receiptFile is how a receipt is written. What stands before Signed is told again from the signed octets, for
// people; a reader refuses a receipt in which it differs.
type receiptFile struct {
	Hum         string          `json:"hum"`
	Message     string          `json:"message"`
	From        string          `json:"from"`
	To          string          `json:"to"`
	Sent        string          `json:"sent"`
	Type        string          `json:"type"`
	SHA256      string          `json:"sha256"` // of the content
	Disposition string          `json:"disposition,omitempty"`
	Reason      string          `json:"reason,omitempty"`
	At          string          `json:"at,omitempty"`
	Device      string          `json:"device,omitempty"` // that signed the ack
	Check       []string        `json:"check"`
	Signed      []receiptSigned `json:"signed"`
}

// receiptSigned is one signature: the very octets that it covers, label included (SPEC 1), in base64.
type receiptSigned struct {
	What      string `json:"what"`
	Key       string `json:"key"` // PEM
	Signature string `json:"signature"`
	Octets    string `json:"octets"`
}

const receiptVersion = "receipt/1"

var receiptChecks = []string{
	"with hum: hum verify FILE",
	"without: for each N, jq -r .signed[N].key FILE >key; jq -r .signed[N].octets FILE | base64 -d >octets; jq -r .signed[N].signature FILE | base64 -d >signature; openssl pkeyutl -verify -pubin -inkey key -rawin -in octets -sigfile signature",
	"the key of an address record is the address itself; the record lists, as octets 0a20 and 32 bytes, the keys of its devices",
}

// Append appends the receipt as a JSON document; the same receipt always gives the same octets. It is for
// signed parts that parse.
func (r Receipt) Append(b []byte) []byte {
	f := receiptFile{Hum: receiptVersion, Check: receiptChecks}
	if im, err := wire.ParseIM(r.Message.Body); err == nil {
		sum := sha256.Sum256(im.Content)
		f.Message, f.From, f.To, f.Sent = r.Message.ID().String(), addressWord(im.From), addressWord(im.To), receiptTime(im.Sent)
		f.Type, f.SHA256 = im.ContentType, hex.EncodeToString(sum[:])
	}
	f.Signed = append(f.Signed, receiptPart(r.Message))
	if ack, err := wire.ParseAck(r.Ack.Body); err == nil {
		f.Disposition, f.At, f.Device = ack.Disposition.String(), receiptTime(ack.At), ack.Device.String()
		if ack.Reason != wire.ReasonNone {
			f.Reason = ack.Reason.String()
		}
		f.Signed = append(f.Signed, receiptPart(r.Ack))
	}
	for _, s := range r.Records {
		f.Signed = append(f.Signed, receiptPart(s))
	}
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	_ = e.Encode(f) // of strings alone: it cannot fail
	return append(b, out.Bytes()...)
}

func addressWord(a identity.Address) string {
	if a.IsZero() {
		return "anonymous"
	}
	return a.String()
}

func receiptTime(t identity.Time) string { return t.Go().UTC().Format("2006-01-02T15:04:05.000Z07:00") }

func receiptPart(s wire.Signed) receiptSigned {
	der, _ := x509.MarshalPKIXPublicKey(ed25519.PublicKey(s.Key[:])) // of an Ed25519 key: it cannot fail
	return receiptSigned{
		What: receiptWhat(s.Type), Key: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
		Signature: base64.StdEncoding.EncodeToString(s.Sig[:]),
		Octets:    base64.StdEncoding.EncodeToString(append(identity.DS(s.Type.Label()), s.Body...)),
	}
}

func receiptWhat(t wire.Type) string {
	switch t {
	case wire.TypeIM:
		return "message"
	case wire.TypeAck:
		return "ack"
	}
	return "address record"
}

// ParseReceipt reads a receipt, strictly: what is not exactly as [Receipt.Append] writes it is refused. No
// signature is checked. Errors are *[Error]: [TooLarge], [NotOfFormat], [Altered].
func ParseReceipt(b []byte) (r Receipt, err error) {
	if len(b) > MaxReceipt {
		return r, problem(TooLarge, 0, "%d bytes are more than a receipt has", len(b))
	}
	var f receiptFile
	if err := json.Unmarshal(b, &f); err != nil || f.Hum != receiptVersion {
		return r, problem(NotOfFormat, 0, "this is no receipt that hum export receipt wrote")
	}
	for i, p := range f.Signed {
		s, err := p.read()
		switch {
		case err != nil:
			return r, problem(Altered, 0, "signed part %d: %v", i, err)
		case s.Type == wire.TypeIM && i == 0:
			r.Message = s
		case s.Type == wire.TypeAck && i == 1:
			r.Ack = s
		case s.Type == wire.TypeAddressRecord && i > 0:
			r.Records = append(r.Records, s)
		default:
			return r, problem(Altered, 0, "signed part %d: a %v is not expected there", i, s.Type)
		}
	}
	if r.Message.Type == 0 {
		return r, problem(NotOfFormat, 0, "a receipt without its message")
	}
	if back := r.Append(nil); !bytes.Equal(back, b) {
		return r, problem(Altered, differs(back, b), "the document says something else than what was signed")
	}
	return r, nil
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
func (p receiptSigned) read() (s wire.Signed, err error) {
	octets, err := base64.StdEncoding.Strict().DecodeString(p.Octets)
	if err != nil {
		return s, err
	}
	sig, err := base64.StdEncoding.Strict().DecodeString(p.Signature)
	if err != nil || len(sig) != len(s.Sig) {
		return s, problem(BadValue, 0, "no signature of Ed25519")
	}
	block, _ := pem.Decode([]byte(p.Key))
	if block == nil {
		return s, problem(BadValue, 0, "no key in PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	pub, ok := key.(ed25519.PublicKey)
	if err != nil || !ok {
		return s, problem(BadValue, 0, "no key of Ed25519")
	}
	for _, t := range []wire.Type{wire.TypeIM, wire.TypeAck, wire.TypeAddressRecord} {
		if body, ok := bytes.CutPrefix(octets, identity.DS(t.Label())); ok {
			s = wire.Signed{Type: t, Body: body, Key: identity.PublicKey(pub), Sig: identity.Signature(sig)}
			return wire.ParseSigned(s.Append(nil))
		}
	}
	return s, problem(BadValue, 0, "octets of another kind")
}

// Verify checks a receipt and returns what it proves: both signatures, that the ack is the recipient's and of
// this message, and that each signer's address had certified the device, with the inbox role, at the time of
// signing. Whether a device was taken off later, or a newer record was left out of the document, it cannot
// say. Errors are *[Error]: [BadSignature], [WrongPerson], [Revoked], [Expired], [NotOfFormat].
func (r Receipt) Verify() (p Proof, err error) {
	im, err := wire.ParseIM(r.Message.Body)
	if err != nil {
		return p, problem(NotOfFormat, 0, "the message: %v", err)
	}
	p = Proof{ID: r.Message.ID(), From: im.From, To: im.To, Sent: im.Sent, ContentType: im.ContentType, Content: im.Content}
	if err := r.signer("message", r.Message, im.From, im.Device, im.Sent); err != nil {
		return p, err
	}
	if r.Ack.Type == 0 {
		return p, nil
	}
	ack, err := wire.ParseAck(r.Ack.Body)
	switch {
	case err != nil:
		return p, problem(NotOfFormat, 0, "the ack: %v", err)
	case ack.From != im.To:
		return p, problem(WrongPerson, 0, "the ack is of %s, and the message is for %s", ack.From, im.To)
	case !ack.To.IsZero() && ack.To != im.From:
		return p, problem(WrongPerson, 0, "the ack is for %s, and the message is of %s", ack.To, im.From)
	case !slices.Contains(ack.MIDs, p.ID):
		return p, problem(WrongPerson, 0, "the ack is of another message: %s", midWords(ack.MIDs))
	}
	p.Acked, p.Disposition, p.Reason, p.At, p.Device = true, ack.Disposition, ack.Reason, ack.At, ack.Device
	return p, r.signer("ack", r.Ack, ack.From, ack.Device, ack.At)
}

func midWords(ids []wire.MID) string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return strings.Join(out, ", ")
}

// signer checks the signature of a part, and that address a had certified its key at the time.
func (r Receipt) signer(what string, s wire.Signed, a identity.Address, device identity.DeviceID, at identity.Time) error {
	if s.Verify() != nil {
		return problem(BadSignature, 0, "the signature of the %s does not hold", what)
	}
	if device != identity.DeviceIDOf(s.Key) {
		return problem(WrongPerson, 0, "the %s names a device that did not sign it", what)
	}
	var records []identity.AddressRecord
	for _, s := range r.Records {
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
	return certified(what, records, a, device, at)
}

// certified says why a device was none of an address's at a time, by the records that are here.
func certified(what string, records []identity.AddressRecord, a identity.Address, device identity.DeviceID, at identity.Time) error {
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
	case d.Roles&identity.RoleInbox == 0 || d.Roles&identity.RoleDelegate != 0:
		return problem(WrongPerson, 0, "the device %s may not speak for the inbox of %s", device, a)
	}
	return nil
}

func day(t identity.Time) string { return t.Go().UTC().Format(time.RFC3339) }
