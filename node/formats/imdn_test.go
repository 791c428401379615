package formats

import (
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/rfc"
)

// Every disposition, with a reason and without, is valid by the schema that RFC 5438 prints.
func TestIMDNValid(t *testing.T) {
	l := Letter{wire.MID{8}, wire.IM{From: bob, To: identity.Address{2}, Sent: 1_770_000_000_000, ContentType: "text/plain"}}
	foreign := l
	foreign.ContentType, foreign.Content = TypeCPIM, []byte(least+"NS: imdn <urn:ietf:params:imdn>\r\nimdn.Message-ID: 34jk324j\r\nDateTime: 2006-04-04T12:16:49-05:00\r\nSubject:;lang=en a <b> & c\r\n\r\nContent-type: text/plain\r\n\r\nhi")
	var docs [][]byte
	for _, d := range []wire.Disposition{wire.Delivered, wire.Displayed, wire.Failed, wire.Forbidden, 99} {
		for _, r := range []wire.Reason{wire.ReasonNone, wire.ReasonClosed, wire.ReasonUnreachable} {
			docs = append(docs, IMDN(l, d, r), IMDN(foreign, d, r))
		}
	}
	g := rfc.LoadGrammar(t, 5438)
	g.AllValid(t, docs...)
	if len(g.Validate(t, []byte(strings.Replace(string(docs[0]), "<delivered/>", "<devoured/>", 1)))) == 0 {
		t.Error("the validator takes a status that there is not")
	}
}

func TestIMDNNamesTheMessage(t *testing.T) {
	im := wire.IM{From: bob, To: identity.Address{2}, Sent: 1_770_000_000_000, ContentType: "text/plain"}
	tests := []struct {
		name    string
		content string
		d       wire.Disposition
		reason  wire.Reason
		want    []string
	}{
		{"delivered", "", wire.Delivered, 0, []string{"<message-id>" + (wire.MID{8}).String(), "<datetime>2026-02-02T02:40:00.000Z", "<delivery-notification>", "<delivered/>"}},
		{"displayed", "", wire.Displayed, 0, []string{"<display-notification>", "<displayed/>"}},
		{"refused", "", wire.Forbidden, wire.ReasonClosed, []string{"<forbidden/>", "<h:reason token=\"closed\"/>"}},
		{"unreachable", "", wire.Failed, wire.ReasonUnreachable, []string{"<failed/>", "<h:reason token=\"unreachable\"/>"}},
		{"in its author's words", least + "NS: i <urn:ietf:params:imdn>\r\ni.Message-ID: abc\r\nSubject:;lang=fr le beau temps\r\n\r\nContent-type: text/plain\r\n\r\nhi", wire.Delivered, 0,
			[]string{"<message-id>abc</message-id>", "<subject>le beau temps</subject>"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			im := im
			if test.content != "" {
				im.ContentType, im.Content = TypeCPIM, []byte(test.content)
			}
			got := string(IMDN(Letter{wire.MID{8}, im}, test.d, test.reason))
			for _, want := range test.want {
				if !strings.Contains(got, want) {
					t.Errorf("lacks %s:\n%s", want, got)
				}
			}
		})
	}
}
