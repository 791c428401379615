package formats

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

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
	Hum         string       `json:"hum"`
	Message     string       `json:"message"`
	From        string       `json:"from"`
	To          string       `json:"to"`
	Sent        string       `json:"sent"`
	Type        string       `json:"type"`
	SHA256      string       `json:"sha256"` // of the content
	Disposition string       `json:"disposition,omitempty"`
	Reason      string       `json:"reason,omitempty"`
	At          string       `json:"at,omitempty"`
	Device      string       `json:"device,omitempty"` // that signed the ack
	Check       []string     `json:"check"`
	Signed      []signedPart `json:"signed"`
}

const receiptVersion = "receipt/1"

var receiptChecks = []string{
	"with hum: hum verify FILE",
	bySignature,
	byRecord,
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
	f.Signed = append(f.Signed, partOf(r.Message))
	if ack, err := wire.ParseAck(r.Ack.Body); err == nil {
		f.Disposition, f.At, f.Device = ack.Disposition.String(), receiptTime(ack.At), ack.Device.String()
		if ack.Reason != wire.ReasonNone {
			f.Reason = ack.Reason.String()
		}
		f.Signed = append(f.Signed, partOf(r.Ack))
	}
	for _, s := range r.Records {
		f.Signed = append(f.Signed, partOf(s))
	}
	return appendProof(b, f)
}

func addressWord(a identity.Address) string {
	if a.IsZero() {
		return "anonymous"
	}
	return a.String()
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
	if err := signer(r.Records, "message", r.Message, im.From, im.Device, im.Sent, identity.RoleInbox); err != nil {
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
	return p, signer(r.Records, "ack", r.Ack, ack.From, ack.Device, ack.At, identity.RoleInbox)
}

func midWords(ids []wire.MID) string {
	var out []string
	for _, id := range ids {
		out = append(out, id.String())
	}
	return strings.Join(out, ", ")
}
