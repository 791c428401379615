package host

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/hum-presence/hum/p2p"
)

// Whatever names somebody, or says where he is, is not written: in a message, in an attribute, in an error within, in
// a group, in what a logger was made with.
func TestQuiet(t *testing.T) {
	planted := []string{
		"hum1qmrv62gvrdpvsusht3fwwycnqc99vwt2p8xvqgrsd0az73dqqup2q3fk7uq", "humjoin:CgkKabcdefgh", "hum:HUM1QMRV?d=/ip4/203.0.113.7",
		"12D3KooWGC6BVB5A6GzNJjzpLqVYMoJRn1HoQEcXVeRQpSdkcJ3T", "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N",
		"/ip4/203.0.113.7/tcp/4866", "/dns4/alice.example.org/tcp/443/wss", "203.0.113.7:4866", "203.0.113.7", "2001:db8::7", "[2001:db8::7]:4866", "fe80::1%eth0",
		"/hum/1/p/0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc", "0EqyMnQrtKs6E2i9RhXk5tAiSrcaAWuvhSCjMsl3hzc",
		"d8d9a5218368590e42eb8a5ce26260c14ac72d413998040e0d7f45e8b400e054", "9bb77447e26970162f4c97be80ce020c",
	}
	var out bytes.Buffer
	l := slog.New(Quiet(slog.NewTextHandler(&out, nil)))
	for _, p := range planted {
		out.Reset()
		l.Info("dial of " + p + " failed")
		l.Warn("x", "err", errors.New("dial "+p+": refused"), slog.Group("g", "text", "at "+p))
		l.With("text", p).WithGroup("h").Error("y", "peer", p2p.PeerID(p), "addr", []byte(p))
		for _, part := range []string{p, "203.0.113.7", "2001:db8", "alice", "3T", "hzc"} {
			if strings.Contains(p, part) && strings.Contains(out.String(), part) {
				t.Errorf("%q of %q is written:\n%s", part, p, &out)
			}
		}
		if n := strings.Count(out.String(), hiddenWord); n < 5 {
			t.Errorf("%q: hidden %d times:\n%s", p, n, &out)
		}
	}
	out.Reset()
	l.Info("a member came", "members", 7, "roles", []string{"relay", "mailbox"}, "took", "1.5s", "err", errors.New("no space left on device"), "at", "12:30:05")
	for _, kept := range []string{"a member came", "members=7", "relay mailbox", "1.5s", "no space left on device"} {
		if !strings.Contains(out.String(), kept) {
			t.Errorf("%q is lost: %s", kept, &out)
		}
	}
	// A harness that could not find a planted address would show nothing.
	out.Reset()
	slog.New(slog.NewTextHandler(&out, nil)).Info("dial of 203.0.113.7 failed")
	if !strings.Contains(out.String(), "203.0.113.7") {
		t.Error("what is written as it is does not hold what was planted")
	}
}

// A lockedBuffer is a log that several write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
