package node

import (
	"crypto/rand"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/hum-presence/hum/p2p"
)

// A second home on a host finds a free port by itself, and keeps it, though a lower one is free when it starts again:
// cards that are out name it. Another program may take a port between two steps; then the steps are taken again.
func TestPortIsFoundAndKept(t *testing.T) {
	for range 5 {
		alice, bob := settle(t, "alice"), settle(t, "bob")
		first, second := alice.openAnywhere(), bob.openAnywhere()
		if first == second || first < defaultPort || second < defaultPort {
			t.Fatalf("two homes listen on ports %d and %d", first, second)
		}
		alice.stop()
		bob.stop()
		kept := bob.openAnywhere()
		bob.stop()
		if first < second && (kept == second || free(second)) {
			if kept != second {
				t.Errorf("port %d became %d", second, kept)
			}
			return
		}
	}
	t.Fatal("other programs took the ports, five times")
}

// openAnywhere opens the node as somebody does who names no address, and returns the port that it listens on, which
// must be one for all transports.
func (a *actor) openAnywhere() (port int) {
	a.t.Helper()
	n, err := Open(Config{Home: a.home, Rand: rand.Reader, Clock: a.clock.now, Names: noNames{}, Net: p2p.Config{NoPortMap: true}})
	if err != nil {
		a.t.Fatal(err)
	}
	a.Node, a.end, a.done = n, func() {}, make(chan error, 1)
	a.done <- nil
	for _, l := range n.net.Listening() {
		parts := strings.Split(l, "/")
		i := slices.IndexFunc(parts, func(p string) bool { return p == "tcp" || p == "udp" })
		p, err := strconv.Atoi(parts[i+1])
		if err != nil || port != 0 && p != port {
			a.t.Fatalf("listening on %v", n.net.Listening())
		}
		port = p
	}
	return port
}

// free reports whether nobody listens on a port.
func free(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
