package host

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

// What a node tells its operator: whether it serves, and counts that name nobody, also after members, keys and
// refusals with planted markers; and none of them stands in its log, which is written at its most talkative.
func TestMonitor(t *testing.T) {
	c := &clock{1_763_800_000_000}
	var log lockedBuffer
	h, err := Open(Config{Home: filepath.Join(t.TempDir(), "d"), Clock: c.now, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Name: "D",
		Metrics: "127.0.0.1:0", Log: slog.New(Quiet(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.Close() }()
	at := "http://" + h.MonitorAddr()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	if h.Serving() == nil || h.Alive() != nil {
		t.Error("before Run it serves, or is not alive")
	}
	go func() { ended <- h.Run(ctx) }()
	<-h.Ready()
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 200, "/": 404, "/debug/pprof/": 404} {
		if code, body := get(t, at+path); code != want {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if r, err := http.Post(at+"/metrics", "text/plain", strings.NewReader("x")); err != nil || r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", r, err)
	}

	inv, err := h.Invite(1, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	token := inv.ID.Member([16]byte{7, 7, 7})
	e := identity.NewSigningKey([32]byte{3}).Public()
	if _, s := h.HandleHost("planted-peer", wire.HostRequest{Key: e, Until: c.wall.Add(time.Hour), Token: token}); s != wire.OK {
		t.Fatalf("host: %v", s)
	}
	stranger := bytes.Repeat([]byte{9}, 32)
	if _, s := h.HandleHost("planted-peer", wire.HostRequest{Key: e, Until: c.wall.Add(time.Hour), Token: stranger}); s != wire.DENIED {
		t.Fatalf("host by a stranger: %v", s)
	}
	_ = h.status(errors.New("planted-error of 203.0.113.9")) // what fails is logged
	_, metrics := get(t, at+"/metrics")
	for _, line := range []string{"hum_serving 1", "hum_members 1", "hum_hosted_keys 1", "hum_mailboxes 0", "hum_peers 0", `hum_community_nodes{connected="yes"} 0`, `hum_role_info{role="mailbox"} 1`,
		`hum_refusals_total{cause="no member's token"} 1`, `hum_wire_bytes_total{direction="in"} `, `hum_service_bytes_total{direction="out",service="topics"} `,
		"hum_relay_reservations 0", "hum_relay_circuits 0", "hum_relay_circuits_opened_total 0", "hum_relay_bytes_total 0", "hum_relay_denied_total 0",
		"hum_store_bytes ", "go_goroutines ", "process_resident_memory_bytes "} {
		if !strings.Contains(metrics, "\n"+line) {
			t.Errorf("%q is missing in\n%s", line, metrics)
		}
	}
	planted := []string{"planted-peer", "203.0.113.9", hex.EncodeToString(token), hex.EncodeToString(e[:]), inv.String(), string(h.net.Self()), h.net.Self().String(), "127.0.0.1"}
	stop()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "planted-error") || !strings.Contains(log.String(), `"serving"`) {
		t.Errorf("the log lacks what happened: %s", &log)
	}
	for _, p := range planted {
		if strings.Contains(log.String(), p) || strings.Contains(metrics, p) {
			t.Errorf("%q is in the log or the metrics:\n%s", p, &log)
		}
	}
	if h.Serving() == nil {
		t.Error("after Run it serves")
	}
}

// A port that another has is named when the node opens, and nothing is left open.
func TestMonitorPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	c, home := &clock{1_763_800_000_000}, filepath.Join(t.TempDir(), "d")
	_, err = Open(Config{Home: home, Clock: c.now, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Metrics: l.Addr().String()})
	if !errors.Is(err, ErrMetrics) || !strings.Contains(err.Error(), "taken") {
		t.Fatalf("open: %v", err)
	}
	if err := open(t, home, c, 0).Close(); err != nil {
		t.Fatal(err)
	}
}
