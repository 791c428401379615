// Package ports gives a test the ports that it has to name: those that a program listens on, leaves, and listens on
// again. Such a port must not come from port 0: what the kernel gives there it may give to anybody's outgoing
// connection a moment later. These lie below the ports that are given out, and no other test has them.
package ports

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// The ports lie from first on, below every system's range of ports for outgoing connections (32768 on Linux, 49152
// elsewhere), and above 4866, where nodes begin to look for one of their own.
const first, last = 10000, 32000

// Free returns a port of 127.0.0.1 that nothing listens on, over TCP or UDP, and that is the caller's alone among
// the tests of this machine until his ends.
func Free(t testing.TB) int {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "hum-test-ports-"+strconv.Itoa(os.Getuid()))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		if port := first + rand.IntN(last-first); take(t, dir, port) {
			return port
		}
	}
	t.Fatal("no free port in a thousand")
	return 0
}

// TCP is a multiaddr of such a port.
func TCP(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", Free(t))
}

// take marks a port as the test's, by a lock that ends with the process at the latest.
func take(t testing.TB, dir string, port int) bool {
	f, err := os.OpenFile(filepath.Join(dir, strconv.Itoa(port)), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil || !free(port) {
		_ = f.Close()
		return false
	}
	t.Cleanup(func() { _ = f.Close() })
	return true
}

func free(port int) bool {
	at := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	l, err := net.Listen("tcp", at)
	if err != nil {
		return false
	}
	defer func() { _ = l.Close() }()
	u, err := net.ListenPacket("udp", at)
	if err != nil {
		return false
	}
	return u.Close() == nil
}
