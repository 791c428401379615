package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

func pidfOf(inner string) string {
	return `<presence xmlns="urn:ietf:params:xml:ns:pidf" xmlns:x="urn:x" entity="pres:a@b">` + inner + `</presence>`
}

func tupleAt(id, contact string) string {
	return `<tuple id="` + id + `"><status><basic>open</basic></status><contact>` + contact + `</contact></tuple>`
}

// What is imported is taken over whole, or in what is understood, or not at all; each is said.
func TestImportTakesOver(t *testing.T) {
	var many string
	for i := range 8 {
		many += tupleAt(fmt.Sprintf("t%d", i), "tel:+1")
	}
	tests := []struct {
		name, text string
		code       string
		tuples     int
		kept       bool
	}{
		{"a telephone", pidfOf(tupleAt("a", "tel:+1")), "", 1, true},
		{"seven services beside the inbox", pidfOf(strings.Replace(many, tupleAt("t7", "tel:+1"), "", 1)), "", 7, true},
		{"eight", pidfOf(many), "too-large", 0, false},
		{"3 KiB are carried", pidfOf(tupleAt("a", "tel:+1") + "<x:a>" + strings.Repeat("x", 2800) + "</x:a>"), "", 1, true},
		{"more is not, but for what is understood", pidfOf(tupleAt("a", "tel:+1") + "<x:a>" + strings.Repeat("x", 3000) + "</x:a>"), "", 1, false},
		{"nor if notes leave no room for it", pidfOf(tupleAt("a", "tel:+1") + "<note>" + strings.Repeat("n", 1000) + "</note><note>" + strings.Repeat("m", 1000) + "</note><x:a>" + strings.Repeat("x", 500) + "</x:a>"), "", 1, false},
		{"notes that fit nowhere", pidfOf(strings.Repeat("<note>"+strings.Repeat("n", 1000)+"</note>", 5)), "too-large", 0, false},
		{"a document type", "<!DOCTYPE x>" + pidfOf(""), "dtd", 0, false},
		{"a contact without scheme", pidfOf(tupleAt("a", "bob")), "no-scheme", 0, false},
		{"33 KiB", pidfOf(strings.Repeat(" ", 33<<10)), "too-large", 0, false},
		{"an empty document", pidfOf(""), "", 0, true},
	}
	bob := start(t, "bob")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := mine(t, bob)
			got, err := bob.Import(context.Background(), KindPIDF, []byte(tt.text))
			var e *Error
			if errors.As(err, &e); err != nil && (e.Code != tt.code || e.Advice == "") || err == nil && tt.code != "" {
				t.Fatalf("got %v, want %q", err, tt.code)
			}
			if err != nil {
				if after := mine(t, bob); !bytes.Equal(before, after) {
					t.Errorf("refused, and still it changed:\n%s", after)
				}
				return
			}
			if got.Tuples != tt.tuples || got.Kept != tt.kept {
				t.Errorf("got %+v", got)
			}
			if out := mine(t, bob); tt.kept != (string(out) == tt.text) || bytes.Count(out, []byte("<contact")) < tt.tuples {
				t.Errorf("exported as\n%s", out)
			}
			if _, err := bob.Import(context.Background(), KindPIDF, nil); err != nil || bytes.Contains(mine(t, bob), []byte("tel:")) {
				t.Errorf("taken back: %v\n%s", err, mine(t, bob))
			}
		})
	}
}

// mine is what my watchers see now, when all that I said has been published.
func mine(t *testing.T, n *actor) []byte {
	t.Helper()
	for {
		var waits bool
		if err := n.view(func(tx *txn) error {
			_, pub, err := n.loadView(tx, presence.DefaultView)
			waits = pub.Dirty
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if !waits {
			break
		}
		n.pass(wire.UpdateEvery) // the bucket of SPEC 4.4
		time.Sleep(5 * time.Millisecond)
	}
	e, err := n.Export(context.Background(), ExportQuery{Kind: KindPIDF})
	if err != nil {
		t.Fatal(err)
	}
	return e.Content
}

// My own export says how my inbox is, and that is not for a document to say: taken over again, the inbox is
// left out, and so are the octets, which would go on saying it.
func TestImportOfMyOwnExport(t *testing.T) {
	bob := start(t, "bob")
	if _, err := bob.Import(context.Background(), KindPIDF, []byte(pidfOf(tupleAt("tel", "tel:+1")))); err != nil {
		t.Fatal(err)
	}
	e, err := bob.Export(context.Background(), ExportQuery{Kind: KindPIDF, Composed: true})
	if err != nil {
		t.Fatal(err)
	}
	got, err := bob.Import(context.Background(), KindPIDF, e.Content)
	if err != nil || got.Tuples != 1 || got.Kept || len(got.Skipped) < 2 {
		t.Errorf("got %+v, %v", got, err)
	}
	d, err := formats.ParsePIDF(mine(t, bob))
	if err != nil || len(d.Tuples) != 2 || d.Tuples[0].Basic != wire.Open {
		t.Errorf("got %+v, %v", d, err)
	}
}

// TestExportOfTwoDevices: one document of what both say; what one of them imported stands in it octet for octet.
func TestExportOfTwoDevices(t *testing.T) {
	t.Parallel()
	bob, alice := start(t, "bob"), start(t, "alice")
	two := bob.join("two", NewDevice{})
	alice.subscribe(bob)
	octets := `<x:odd  a='1'/>`
	text := pidfOf(strings.Replace(tupleAt("tel", "tel:+1"), "</status>", "</status>"+octets, 1))
	if _, err := bob.Import(t.Context(), KindPIDF, []byte(text)); err != nil {
		t.Fatal(err)
	}
	two.im(wire.Busy)
	var out []byte
	eventually(t, "alice has both", func() bool {
		e, err := alice.Export(t.Context(), ExportQuery{Kind: KindPIDF, Who: bob.address()})
		out = e.Content
		return err == nil && bytes.Count(out, []byte("<tuple ")) >= 3 && bytes.Contains(out, []byte(">busy</"))
	})
	d, err := formats.ParsePIDF(out)
	if err != nil || d.Entity != bob.who.Address.Pres() || !bytes.Contains(out, []byte(octets)) {
		t.Errorf("%v\n%s", err, out)
	}
	ids := map[string]bool{}
	for _, x := range d.Tuples {
		ids[x.ID] = true
	}
	if !ids["tel"] || !ids["im-"+bob.who.Device.String()[:8]] || !ids["im-"+two.who.Device.String()[:8]] {
		t.Errorf("the tuples are %v\n%s", ids, out)
	}
}
