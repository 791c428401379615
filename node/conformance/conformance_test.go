package conformance

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

// An address that lacks a service fails the rows of that service, and no others.
func TestWhatIsMissingIsFound(t *testing.T) {
	failed, ok := map[string]bool{}, 0
	err := run(t.Context(), PM, identity.Presentity, node.SystemClock(), rand.Reader, func(c node.Check) {
		if ok++; !c.OK {
			failed[c.Check], ok = true, ok-1
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		name := r.section + " " + r.name
		if r.class == M && r.name != "services" && !failed[name] {
			t.Errorf("%s passes without an inbox", name)
		}
		if r.class != M && r.class != PM && failed[name] && r.name != "services" {
			t.Errorf("%s fails", name)
		}
	}
	if !failed["2.3 services"] || ok < 6 {
		t.Errorf("%d rows passed, and failed have %v", ok, failed)
	}
}

// Every row says what it is about, and where that stands; a class has rows of its own.
func TestRows(t *testing.T) {
	of := map[Class]int{}
	for _, r := range rows {
		if r.section == "" || r.name == "" || r.wants == "" || !strings.Contains(r.section, ".") {
			t.Errorf("%+v", r)
		}
		for _, c := range []Class{P, M, PM} {
			if r.isFor(c) {
				of[c]++
			}
		}
	}
	if of[P] < 8 || of[M] < 7 || of[PM] < 13 {
		t.Errorf("rows %v", of)
	}
}
