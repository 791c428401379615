package message

import (
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// What a gateway says of a message, in whatever order it comes (SPEC 8): that it is handed on, and later, once, what
// became of it behind the gateway.
func TestGatewayReports(t *testing.T) {
	words := map[string]wire.Ack{
		"on":        ack(wire.Delivered, wire.ReasonGateway),
		"delivered": ack(wire.Delivered, wire.ReasonNone),
		"failed":    ack(wire.Failed, wire.ReasonGateway),
		"refused":   ack(wire.Forbidden, wire.ReasonRefused),
		"displayed": ack(wire.Displayed, wire.ReasonNone),
	}
	tests := []struct {
		said     string // in this order
		state    State
		reason   wire.Reason
		told     int    // how often the user is told something new
		settling string // the word that is kept as the proof
	}{
		{"on", Delivered, wire.ReasonGateway, 1, "on"},
		{"on on", Delivered, wire.ReasonGateway, 1, "on"},
		{"on delivered", Delivered, wire.ReasonNone, 2, "delivered"},
		{"on failed", Failed, wire.ReasonGateway, 2, "failed"},
		{"on failed failed", Failed, wire.ReasonGateway, 2, "failed"},
		{"on failed on", Failed, wire.ReasonGateway, 2, "failed"},
		{"failed on", Failed, wire.ReasonGateway, 1, "failed"},
		{"delivered on", Delivered, wire.ReasonNone, 1, "delivered"},
		{"on delivered on", Delivered, wire.ReasonNone, 2, "delivered"},
		{"on delivered failed", Delivered, wire.ReasonNone, 2, "delivered"},
		{"on refused", Delivered, wire.ReasonGateway, 1, "on"},
		{"on displayed", Displayed, wire.ReasonGateway, 2, "on"},
		{"on displayed delivered", Displayed, wire.ReasonNone, 3, "delivered"},
		{"delivered failed", Delivered, wire.ReasonNone, 1, "delivered"},
	}
	for _, test := range tests {
		t.Run(test.said, func(t *testing.T) {
			e, told := entry(t), 0
			e.WantDisplayed = true
			for i, word := range strings.Fields(test.said) {
				before := e
				if _, err := e.Ack(at(time.Duration(i)*time.Second), words[word], []byte(word), true); err != nil {
					t.Fatal(err)
				}
				if e.Tells(before) {
					told++
				}
			}
			if e.State != test.state || e.Reason != test.reason || told != test.told || string(e.AckRaw) != test.settling {
				t.Errorf("%v (%v), told %d times, shown by %q", e.State, e.Reason, told, e.AckRaw)
			}
		})
	}
}

// A row keeps the key of the report until it has left, whether or not it is opened; of others it goes with the reading.
func TestRowReports(t *testing.T) {
	a := arrival()
	a.Gateway, a.IM.Nonce, a.IM.ArSeq, a.IM.Report = true, [16]byte{1}, 1, 0
	verdict := Receive(at(0), a)
	row := NewRow(at(0), a, wire.Sign(identity.NewSigningKey([32]byte{1}), wire.TypeIM, a.IM.Append(nil)).Append(nil), [32]byte{7})
	if verdict.Reason != wire.ReasonGateway || !row.Gateway {
		t.Fatalf("%+v, %+v", verdict, row)
	}
	b, err := row.MarshalCBOR()
	if err == nil {
		row = Row{}
		err = row.UnmarshalCBOR(b)
	}
	if err != nil || row.CEK != [32]byte{7} {
		t.Fatalf("kept as %+v, %v", row, err)
	}
	row.Display(at(time.Hour), true)
	late, other := row, row
	other.Gateway = false
	if _, ok := other.Report(at(time.Hour)); ok {
		t.Error("who is no gateway reports")
	}
	if _, ok := late.Report(identity.Now{Wall: row.Expires.Add(wire.ResendWindow + time.Hour), Heard: row.Expires.Add(wire.ResendWindow + time.Hour)}); ok {
		t.Error("nobody can open it any more")
	}
	if cek, ok := row.Report(at(time.Hour)); !ok || cek != [32]byte{7} {
		t.Errorf("%x, %v", cek, ok)
	}
	if _, ok := row.Report(at(time.Hour)); ok {
		t.Error("it reports twice")
	}
}
