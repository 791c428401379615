package ports

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
)

// A port is one test's, is none that goes out by itself, and what others hold is not given.
func TestFree(t *testing.T) {
	seen := map[int]bool{}
	for range 200 {
		p := Free(t)
		if seen[p] || p < first || p >= last {
			t.Fatalf("port %d", p)
		}
		seen[p] = true
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if low, _ := strconv.Atoi(strings.Fields(string(b))[0]); low < last {
			t.Errorf("this machine gives ports from %d on to whoever goes out", low)
		}
	}
	dir := t.TempDir()
	port := Free(t)
	if !take(t, dir, port) {
		t.Fatal("a free port is refused")
	}
	if take(t, dir, port) {
		t.Error("a port is given twice")
	}
	port = Free(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if take(t, dir, port) {
		t.Error("a port is given that somebody listens on")
	}
}
