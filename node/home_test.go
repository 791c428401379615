package node

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/node/message"
)

// TestHalfRestored stops a restore between its two renames: no node runs on what is there, and the backup
// can be restored again.
func TestHalfRestored(t *testing.T) {
	a := run(t, "alice")
	if _, err := a.Add(t.Context(), card(t, run(t, "bob")), "bob"); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "copy")
	if _, err := a.Backup(t.Context(), file, []byte("secret")); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	restore := func() (Restored, error) {
		return RestoreHome(file, home, []byte("secret"), SystemClock(), rand.Reader)
	}
	if _, err := restore(); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(home, "keys")); err != nil { // the second rename did not happen
		t.Fatal(err)
	}
	var e *Error
	if _, err := Init(home, InitConfig{Clock: SystemClock(), Rand: rand.Reader}); !errors.As(err, &e) || e.Code != "half-restored" {
		t.Errorf("an identity was made on half a home: %v", err)
	}
	r, err := restore()
	if err != nil {
		t.Fatal(err)
	}
	if r.Self.Address != a.self.Address || r.Self.Device == a.self.Device {
		t.Errorf("restored %+v from %+v", r.Self, a.self)
	}
	if _, err := restore(); !errors.As(err, &e) || e.Code != "exists" {
		t.Errorf("restored over a home: %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(home, "restoring")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// The event log repeats how a message begins, not all of it: whoever may write could fill it otherwise.
func TestPreview(t *testing.T) {
	row := message.Row{ContentType: "text/plain", Content: []byte(strings.Repeat("ä", 5000))}
	if got := preview(row); len([]rune(got)) != previewLength+1 {
		t.Errorf("a preview of %d characters", len([]rune(got)))
	}
	if got := preview(message.Row{ContentType: "image/png", Content: []byte("\x89PNG")}); got != "image/png" {
		t.Errorf("got %q", got)
	}
}
