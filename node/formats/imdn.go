package formats

import (
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// TypeIMDN is the MIME type of a disposition notification (RFC 5438).
const TypeIMDN = "message/imdn+xml"

const nsIMDNXML = "urn:ietf:params:xml:ns:imdn"

// IMDN returns what became of a message as RFC 5438 has it. A message that was carried as message/cpim is named
// as its author's own headers name it. The reason, which RFC 5438 has no element for, stands in hum's own.
func IMDN(l Letter, d wire.Disposition, reason wire.Reason) []byte {
	id, at, subject := l.ID.String(), receiptTime(l.Sent), wire.Note{}
	if IsCPIM(l.ContentType) {
		if c, err := ParseCPIM(l.Content); err == nil {
			id, at, subject = c.named(id, at)
		}
	}
	w := &writer{}
	w.leaf("message-id", id)
	w.leaf("datetime", at)
	w.leaf("recipient-uri", l.To.IM())
	w.leaf("original-recipient-uri", l.To.IM())
	if subject.Text != "" {
		w.leaf("subject", subject.Text)
	}
	kind, status := "delivery-notification", "error"
	switch d {
	case wire.Delivered, wire.Failed, wire.Forbidden:
		status = d.String()
	case wire.Displayed:
		kind, status = "display-notification", d.String()
	}
	w.within(kind, func() {
		w.within("status", func() {
			w.empty(status)
			if reason != wire.ReasonNone {
				w.empty("h:reason", "token", reason.String()) // its schema lets an extension have no text
			}
		})
	})
	return w.document("imdn", nsIMDNXML)
}

// named is what the headers of a message call it: its id, its time and a subject.
func (c *CPIM) named(id, at string) (string, string, wire.Note) {
	subject := wire.Note{}
	for _, h := range c.Headers {
		switch {
		case h.NS == nsIMDN && h.Name == "Message-ID" && !strings.Contains(h.Value, " "):
			id = h.Value
		case h.is("DateTime"):
			at = h.Value
		case h.is("Subject") && subject.Text == "":
			subject = wire.Note{Text: h.Value, Lang: h.Lang}
		}
	}
	return id, at, subject
}
