package settings

import (
	"strings"
	"testing"
)

func TestNearest(t *testing.T) {
	known := []string{"status", "set", "send", "card", "watch", "watchers", "watching", "completion", "Zoë"}
	for word, want := range map[string]string{
		"sttaus": "status", "sned": "send", "stat": "status", "crad": "card", "wacth": "watch",
		"WATCH": "watch watchers watching", "watchr": "watch watchers", "compl": "completion", "zoe": "Zoë",
		"x": "", "frobnicate": "", "": "", "me": "",
	} {
		if got := strings.Join(Nearest(word, known), " "); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
