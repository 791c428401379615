package node

import (
	"context"
	"fmt"
	"mime"
	"strings"
	"unicode/utf8"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
)

// The exports of one message.
const (
	KindCPIM = "cpim"
	KindIMDN = "imdn"
)

// A Part is one content within a message that is not a single text.
type Part struct {
	Type, Lang string
	Name       string // that its author suggests for a file: a claim
	Size       int
}

// content makes the content of a draft what is sent, and says at once what its reader would refuse.
func (n *Node) content(to identity.Address, d Draft) (Draft, error) {
	bad := func(code, advice, format string, args ...any) (Draft, error) {
		return d, &Error{Kind: KindUsage, Code: code, Message: fmt.Sprintf(format, args...), Advice: advice}
	}
	if d.Type == "" {
		d.Type = "text/plain; charset=utf-8"
	}
	kind, _, err := mime.ParseMediaType(d.Type)
	unsupported := wire.ReasonUnsupportedType.String()
	switch {
	case err != nil || !strings.Contains(kind, "/"):
		return bad(unsupported, "for example: --type image/png", "%q is not a MIME type", clip(d.Type))
	case message.IsText(d.Type) && !utf8.Valid(d.Content):
		return bad(unsupported, "", "this is not text in UTF-8: name another type")
	case d.Lang != "" && !formats.IsLanguage(d.Lang):
		return bad("value", "for example: --lang en, or --lang zh-Hant", "%q is no language tag", clip(d.Lang))
	}
	for _, uri := range d.Contact {
		if !formats.IsURI(uri) {
			return bad("no-scheme", "for example: tel:+41446681800, or mailto:me@example.org", "%q is no URI", clip(uri))
		}
	}
	if d.Alt != "" {
		if !utf8.ValidString(d.Alt) || message.IsText(d.Type) {
			return bad(unsupported, "send the text alone", "words beside a content are text, and stand beside what is none")
		}
		d.Type, d.Content = formats.Alternative(d.Alt, d.Lang, d.Type, d.Content)
	}
	if formats.IsCPIM(d.Type) {
		if err := n.ownCPIM(to, d.Content); err != nil {
			return d, err
		}
	}
	limit := wire.MaxContent
	if pin := n.pins.get(to); pin != nil && pin.Record.Policy != nil && pin.Record.Policy.MaxIM != 0 {
		limit = min(limit, int(pin.Record.Policy.MaxIM))
	}
	if len(d.Content) > limit {
		return bad(wire.ReasonTooLarge.String(), "put it where "+n.name(to)+" can fetch it, and send the link", "%d bytes are more than the %d that a message can carry", len(d.Content), limit)
	}
	return d, nil
}

// ownCPIM holds a CPIM message that is to be sent to its format, and to who sends it to whom: what names other
// hum addresses would be refused.
func (n *Node) ownCPIM(to identity.Address, content []byte) error {
	c, err := formats.ParseCPIM(content)
	if err != nil {
		return documentError(err)
	}
	author, recipient := c.Belies(n.self.Address, to)
	_, from := c.From()
	switch {
	case author:
		return &Error{Kind: KindUsage, Code: wire.ReasonBindingInvalid.String(), Message: "the message says that it is from " + clip(from) + ", and you are " + n.self.Address.IM(), Advice: "amend it by putting it whole into another"}
	case recipient:
		return &Error{Kind: KindUsage, Code: wire.ReasonRecipientMismatch.String(), Message: "the message names hum addresses that it is for, and " + n.name(to) + "'s is none of them", Advice: "send it to them: hum import cpim FILE"}
	}
	return nil
}

// wordless is the warning that goes with an image which nobody can have read to him.
func wordless(d Draft) string {
	if kind, _, _ := mime.ParseMediaType(d.Type); d.Alt == "" && strings.HasPrefix(kind, "image/") {
		return "the image has no words beside it for whoever cannot see it; next time: --alt WORDS"
	}
	return ""
}

// contentFault is why the content of a message that arrived is not taken, whoever sent it: a CPIM message that
// is none, that belies its sender, or that requires what is not understood here (RFC 3862, section 3.5).
func (n *Node) contentFault(im wire.IM) wire.Reason {
	if !formats.IsCPIM(im.ContentType) {
		return wire.ReasonNone
	}
	c, err := formats.ParseCPIM(im.Content)
	if err != nil {
		return wire.ReasonMalformed
	}
	author, recipient := c.Belies(im.From, im.To)
	switch {
	case author:
		return wire.ReasonBadSignature
	case recipient:
		return wire.ReasonRecipientMismatch
	case c.Unknown() != "":
		return wire.ReasonUnsupportedRequired
	}
	return wire.ReasonNone
}

// takes reports whether the owner takes content of a type: with no list of his, any.
func (n *Node) takes(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	if len(n.settings.Accept) == 0 || err != nil {
		return len(n.settings.Accept) == 0
	}
	for _, pattern := range n.settings.Accept {
		pattern = strings.ToLower(strings.TrimSpace(pattern))
		family, all := strings.CutSuffix(pattern, "/*")
		if pattern == kind || all && strings.HasPrefix(kind, family+"/") {
			return true
		}
	}
	return false
}

// partsOf are the parts of a content, and the words in it that can be read to somebody.
func partsOf(contentType string, content []byte) (parts []Part, words, lang string) {
	all := formats.Parts(contentType, content)
	for _, p := range all {
		parts = append(parts, Part{Type: p.Type, Lang: p.Lang, Name: p.Name, Size: len(p.Content)})
	}
	words, lang = formats.Words(all)
	return parts, words, lang
}

// onePart puts a part of a message, from 1, in the place of its whole content.
func onePart(r *Received, number int) error {
	all := formats.Parts(r.Type, r.Content)
	if number > len(all) {
		return &Error{Kind: KindUsage, Code: "unknown-part", Message: fmt.Sprintf("the message has %d parts", len(all)), Advice: "see: hum inbox " + shortID(r.ID)}
	}
	p := all[number-1]
	r.Type, r.Content, r.Lang, r.Parts, r.Words = p.Type, p.Content, p.Lang, nil, ""
	return nil
}

// exportLetter returns a message as CPIM, or what became of it as IMDN.
func (n *Node) exportLetter(kind, id string) (out Export, err error) {
	e, row, err := n.letterOrEntry(id)
	if err != nil {
		return out, err
	}
	raw, d, reason := []byte(nil), wire.Delivered, wire.ReasonNone
	if e != nil {
		raw = e.Signed
		switch e.State {
		case message.Delivered:
		case message.Displayed:
			d = wire.Displayed
		case message.Failed:
			d, reason = reasonDisposition(e.Reason), e.Reason
		default:
			if kind == KindIMDN {
				return out, &Error{Code: "no-receipt", Message: "the message is " + e.State.String() + ": there is nothing to notify of", Advice: "see: hum outbox " + shortID(e.ID)}
			}
		}
	} else if raw = row.Signed; row.Displayed != 0 {
		d = wire.Displayed
	}
	s, err := wire.ParseSigned(raw)
	if err != nil {
		return out, err
	}
	im, err := wire.ParseIM(s.Body)
	if err != nil {
		return out, err
	}
	l := formats.Letter{ID: s.ID(), IM: im}
	if kind == KindIMDN {
		return Export{Type: formats.TypeIMDN, Content: formats.IMDN(l, d, reason), Entity: im.To.IM()}, nil
	}
	return Export{Type: formats.TypeCPIM, Content: l.CPIM(), Entity: im.From.IM(), Imported: formats.IsCPIM(im.ContentType)}, nil
}

// reasonDisposition is how an end that this node found by itself, or heard of, is told.
func reasonDisposition(r wire.Reason) wire.Disposition {
	if d := r.Disposition(); d == wire.Forbidden {
		return d
	}
	return wire.Failed
}

// importCPIM sends a CPIM message, unchanged, to the hum address that it names as its recipient.
func (n *Node) importCPIM(ctx context.Context, content []byte) (out Import, err error) {
	c, err := formats.ParseCPIM(content)
	if err != nil {
		return out, documentError(err)
	}
	to := ""
	for _, uri := range c.To() {
		a, ok := formats.AddressOf(uri)
		switch {
		case ok && to != "" && to != a.String():
			return out, &Error{Kind: KindUsage, Code: "ambiguous", Message: "the message names several hum addresses that it is for", Advice: "send it to each: hum send WHO --type message/cpim --file FILE"}
		case ok:
			to = a.String()
		}
	}
	if to == "" {
		return out, &Error{Kind: KindUsage, Code: wire.ReasonNoSuchInbox.String(), Message: "the message names no hum address that it is for", Advice: "say for whom it is: hum send WHO --type message/cpim --file FILE"}
	}
	s, err := n.Send(ctx, Draft{To: to, Type: formats.TypeCPIM, Content: content})
	return Import{Kind: KindCPIM, Sent: &s}, err
}
