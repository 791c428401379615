package message

import (
	"bytes"
	"cmp"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Row is one message in the instant inbox.
type Row struct {
	ID            wire.MID
	From, To      wire.Address
	Device        wire.DeviceID // that sent it
	Sent, Expires wire.Time
	Received      wire.Time
	ContentType   string
	Content       []byte
	Lang          string
	InReplyTo     wire.MID
	Contact       []string
	FirstContact  bool // its sender was none of my contacts
	WantDisplayed bool
	Displayed     wire.Time // when the user opened it; 0 before
	CEK           [32]byte  // seals the displayed ack, or the report of a gateway; zero if neither is wanted, and once it left
	Signed        []byte    // the Signed IM
	Record        []byte    // the Signed address record by which its signer was believed
	Unsigned      bool      // its author did not sign: From is a claim
	Hops          uint8     // how often gateways may still hand it on
	Clear         bool      // it came in the clear
	Gateway       bool      // it was taken to be handed on, and its author told that nothing more is known
	Introduces    string    // the card of somebody whom it names
}

// NewRow returns the row of a message that [Receive] said to keep, sealed under cek.
func NewRow(now identity.Now, a Arrival, signed []byte, cek [32]byte) Row {
	return rowOf(a.ID, a.IM, keptRow{Signed: signed, Received: now.Wall, FirstContact: a.Admission == FirstContact || a.IM.Unsigned() || a.IM.From.IsZero(), CEK: cek, Clear: a.Clear, Gateway: a.Gateway})
}

// A keptRow is what the disk holds of a Row: the message as it was signed, and what it does not say itself.
type keptRow struct {
	Signed       []byte
	Received     wire.Time
	FirstContact bool      `cbor:",omitzero"`
	Displayed    wire.Time `cbor:",omitzero"`
	CEK          [32]byte  `cbor:",omitzero"`
	Record       []byte    `cbor:",omitempty"`
	Clear        bool      `cbor:",omitzero"`
	Gateway      bool      `cbor:",omitzero"`
}

// MarshalCBOR is how a Row is kept.
func (r Row) MarshalCBOR() ([]byte, error) {
	return cbor.Marshal(keptRow{r.Signed, r.Received, r.FirstContact, r.Displayed, r.CEK, r.Record, r.Clear, r.Gateway})
}

// UnmarshalCBOR reads a row as it is kept, or as it was kept when it told all twice.
func (r *Row) UnmarshalCBOR(b []byte) error {
	var k keptRow
	if err := cbor.Unmarshal(b, &k); err != nil {
		return err
	}
	s, err := wire.ParseSigned(k.Signed)
	if err != nil {
		return err
	}
	im, err := wire.ParseIM(s.Body)
	if err != nil {
		return err
	}
	*r = rowOf(s.ID(), im, k)
	return nil
}

func rowOf(id wire.MID, im wire.IM, k keptRow) Row {
	r := Row{
		ID: id, From: im.From, To: im.To, Device: im.Device,
		Sent: im.Sent, Expires: im.Expires, Received: k.Received,
		ContentType: im.ContentType, Content: im.Content, Lang: im.Lang,
		InReplyTo: im.InReplyTo, Contact: im.Contact,
		FirstContact:  k.FirstContact,
		WantDisplayed: im.Report&ReportDisplayed != 0,
		Displayed:     k.Displayed, Signed: k.Signed, Record: k.Record, Unsigned: im.Unsigned(), Hops: im.Hops(), Clear: k.Clear, Gateway: k.Gateway, Introduces: im.Introduces(),
	}
	if r.WantDisplayed || r.Gateway {
		r.CEK = k.CEK
	}
	return r
}

// Author is whose message r is: nobody's, if it is not signed.
func (r Row) Author() wire.Address {
	if r.Unsigned {
		return wire.Address{}
	}
	return r.From
}

// Compare orders rows as people read them: by sent, ties by mid (SPEC 5.1).
func (r Row) Compare(o Row) int {
	if c := cmp.Compare(r.Sent, o.Sent); c != 0 {
		return c
	}
	return bytes.Compare(r.ID[:], o.ID[:])
}

// Display marks r as read. Ack says that a displayed ack is to be sent, under cek: it was asked for,
// the owner agrees, and nobody has sent one (SPEC 5.3). The key goes with the reading.
func (r *Row) Display(now identity.Now, agree bool) (cek [32]byte, ack bool) {
	if r.Displayed != 0 {
		return cek, false
	}
	cek, ack = r.CEK, r.WantDisplayed && agree
	r.Opened(now.Wall)
	return cek, ack
}

// Opened marks r as read, here or by another device. The key goes with the reading, unless a gateway may still report
// what became of the message.
func (r *Row) Opened(at wire.Time) {
	if r.Displayed = at; !r.Gateway {
		r.CEK = [32]byte{}
	}
}

// Report takes the key that seals the word of a gateway on what became of r behind it (SPEC 8), which it has once: not
// of what it did not take to hand it on, nor once nobody could open it (SPEC 5.5).
func (r *Row) Report(now identity.Now) (cek [32]byte, ok bool) {
	if !r.Gateway || r.CEK == ([32]byte{}) || now.Past(r.Expires.Add(wire.ResendWindow)) {
		return cek, false
	}
	cek, r.CEK = r.CEK, [32]byte{}
	return cek, true
}
