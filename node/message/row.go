package message

import (
	"bytes"
	"cmp"

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
	CEK           [32]byte  // seals the displayed ack; zero once read
	Signed        []byte    // the Signed IM
	Record        []byte    // the Signed address record by which its signer was believed
}

// NewRow returns the row of a message that [Receive] said to keep, sealed under cek.
func NewRow(now identity.Now, a Arrival, signed []byte, cek [32]byte) Row {
	im := a.IM
	return Row{
		ID: a.ID, From: im.From, To: im.To, Device: im.Device,
		Sent: im.Sent, Expires: im.Expires, Received: now.Wall,
		ContentType: im.ContentType, Content: im.Content, Lang: im.Lang,
		InReplyTo: im.InReplyTo, Contact: im.Contact,
		FirstContact:  a.Admission == FirstContact,
		WantDisplayed: im.Report&ReportDisplayed != 0,
		CEK:           cek, Signed: signed,
	}
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
	r.Displayed, r.CEK = now.Wall, [32]byte{}
	return cek, ack
}
