package node

import (
	"errors"
	"strings"
	"testing"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestTyped is about what people type for somebody, or for a message.
func TestTyped(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	theirs := bob.who.Address.String()
	for typed, want := range map[string]string{
		"bob": theirs, "BOB": theirs, theirs: theirs, strings.ToUpper(theirs): theirs, short(bob.who.Address): theirs,
		"me": alice.address(), theirs[:40]: "bad-address", "hum1q…zzzz": "unknown-name", "hum1…": "ambiguous", "bbo": "unknown-name",
		"bob@example.org": "no-such-inbox", "im:bob@example.org": "no-such-inbox", "b b@example.org": "bad-handle",
	} {
		if typed == "hum1…" {
			must(alice.Add(t.Context(), start(t, "carol").address(), "carol"))(t)
		}
		c, err := alice.Node.who(typed)
		got := c.Address.String()
		var e *Error
		if errors.As(err, &e) {
			got = e.Code
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", typed, got, want)
		}
	}
	mid := wire.MID{1, 2, 3}
	for typed, want := range map[string]bool{mid.String(): true, strings.ToUpper(mid.String()): true, mid.String()[:4]: true, mid.String()[:3]: false, "": false} {
		if got := isID(typed, mid); got != want {
			t.Errorf("%q: got %v", typed, got)
		}
	}
}
