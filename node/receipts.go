package node

import (
	"errors"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// KindReceipt is the export that proves a message, and what became of it, to anybody.
const KindReceipt = "receipt"

// A Verified is what a receipt proves.
type Verified struct {
	ID       wire.MID
	From, To identity.Address
	Sent     time.Time // by the author's clock
	Type     string
	Content  []byte
	State    string // the recipient's word: delivered, displayed, forbidden, failed; "" in the proof of a message alone
	Reason   wire.Reason
	At       time.Time // of that word, by the recipient's clock
	Device   identity.DeviceID
}

// Verify checks a receipt; it needs no node and no network. The code of its error names what is wrong:
// format, altered, bad-signature, binding-invalid, revoked, expired.
func Verify(content []byte) (v Verified, err error) {
	r, err := formats.ParseReceipt(content)
	if err != nil {
		return v, receiptError(err)
	}
	p, err := r.Verify()
	if err != nil {
		return v, receiptError(err)
	}
	v = Verified{ID: p.ID, From: p.From, To: p.To, Sent: p.Sent.Go(), Type: p.ContentType, Content: p.Content}
	if p.Acked {
		v.State, v.Reason, v.At, v.Device = p.Disposition.String(), p.Reason, p.At.Go(), p.Device
	}
	return v, nil
}

func receiptError(err error) error { return proofError(err, "receipt", "hum export receipt ID") }

func proofError(err error, what, again string) error {
	var e *formats.Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Kind: KindFailed, Code: string(e.Problem), Message: "this " + what + " proves nothing: " + e.Error(), Advice: "ask for it again, from whoever made it: " + again}
}

// exportReceipt returns the proof of a message that I sent, with the recipient's word for it, or of one that I
// received.
func (n *Node) exportReceipt(id string) (out Export, err error) {
	var r formats.Receipt
	e, row, err := n.letterOrEntry(id)
	if err == nil {
		err = n.view(func(t *txn) (err error) {
			if e != nil {
				return t.proof(e)
			}
			row.Record, err = t.whole(row.From, row.Record)
			return err
		})
	}
	switch {
	case err != nil:
		return out, err
	case e != nil:
		out.Entity = e.To.IM()
		r, err = n.receiptOfSent(*e)
	default:
		out.Entity = row.From.IM()
		r, err = n.receiptOfReceived(*row)
	}
	if err != nil {
		return out, err
	}
	out.Type, out.Content = formats.TypeReceipt, r.Append(nil)
	if _, err := Verify(out.Content); err != nil {
		return Export{}, &Error{Code: "no-receipt", Message: "nothing can be proved of " + id + " any more: " + plain(err), Advice: "see: hum trace " + clip(id)}
	}
	return out, nil
}

// letterOrEntry finds a message by its id, or the beginning of it: in the outbox, else in the inbox.
func (n *Node) letterOrEntry(id string) (*message.Entry, *message.Row, error) {
	var sent []message.Entry
	err := n.view(func(t *txn) error {
		return rows(t, store.AllOutbox(), store.ScanOptions{}, func(_ store.Key, e message.Entry) (bool, error) {
			if isID(id, e.ID) {
				sent = append(sent, e)
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, nil, err
	}
	row, err := n.received(id)
	var unknown *Error
	switch none := errors.As(err, &unknown) && unknown.Code == unknownIDCode; {
	case len(sent) > 1, len(sent) == 1 && !none:
		return nil, nil, ambiguousID(id)
	case len(sent) == 1:
		return &sent[0], nil, nil
	}
	return nil, &row, err
}

func (n *Node) receiptOfSent(e message.Entry) (r formats.Receipt, err error) {
	if len(e.AckRaw) == 0 {
		return r, &Error{Code: "no-receipt", Message: fmt.Sprintf("the message is %s, and there is no signed word of %s on it", e.State, n.name(e.To)), Advice: "see: hum outbox " + shortID(e.ID)}
	}
	if r.Message, err = wire.ParseSigned(e.Signed); err != nil {
		return r, err
	}
	ack, by := e.AckRaw, e.AckRecord
	if len(e.DisplayedRaw) > 0 { // which says more
		ack, by = e.DisplayedRaw, e.DisplayedRecord
	}
	if r.Ack, err = wire.ParseSigned(ack); err != nil {
		return r, err
	}
	r.Records, err = n.certificates([][]byte{e.Record, by}, e.From, e.To)
	return r, err
}

func (n *Node) receiptOfReceived(row message.Row) (r formats.Receipt, err error) {
	if r.Message, err = wire.ParseSigned(row.Signed); err != nil {
		return r, err
	}
	r.Records, err = n.certificates([][]byte{row.Record}, row.From)
	return r, err
}

// certificates are the address records that were kept with what is to be proved, and what is pinned now of the
// people that it is about: if their devices have changed since, that is to be seen.
func (n *Node) certificates(have [][]byte, people ...identity.Address) (out []wire.Signed, err error) {
	for _, a := range people {
		if p := n.pins.get(a); p != nil {
			have = append(have, p.Raw)
		}
	}
	seen := map[wire.Signature]bool{}
	for _, raw := range have {
		if len(raw) == 0 {
			continue
		}
		s, err := wire.ParseSigned(raw)
		if err != nil {
			return nil, err
		}
		if !seen[s.Sig] {
			seen[s.Sig] = true
			out = append(out, s)
		}
	}
	return out, nil
}

func shortID(id wire.MID) string { return id.String()[:8] }
