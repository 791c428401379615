//go:build unix

package bench

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/hum-presence/hum/store"
)

// bareHome names the directory of the process that is the floor of BenchmarkStart.
const bareHome = "HUM_BENCH_BARE"

// TestMain is also the floor of BenchmarkStart, a process with a host, gossip and an open store and no more; and
// those who are not measured.
func TestMain(m *testing.M) {
	if dir := os.Getenv(bareHome); dir != "" {
		bareProcess(dir)
	}
	if size := os.Getenv(flockOf); size != "" {
		flockProcess(size)
	}
	os.Exit(m.Run())
}

func bareProcess(dir string) {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		panic(err)
	}
	if _, err := pubsub.NewGossipSub(context.Background(), h); err != nil {
		panic(err)
	}
	s, err := store.Open(dir, store.Options{Key: make([]byte, 32)})
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("ready\n")
	_, _ = bufio.NewReader(os.Stdin).ReadByte() // until the other side has gone
	s.Close()
	os.Exit(0)
}

// BenchmarkStart is from the start of the process to the line "ready", for hum up on a home that exists
// and for the floor. Both find their files in the page cache.
func BenchmarkStart(b *testing.B) {
	dir := b.TempDir()
	hum, home := filepath.Join(dir, "hum"), filepath.Join(dir, "home")
	if out, err := exec.Command("go", "build", "-o", hum, "github.com/hum-presence/hum/cmd/hum").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	up := func() time.Duration {
		return ready(b, exec.Command(hum, "--home", home, "up", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"))
	}
	bare := func() time.Duration {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), bareHome+"="+filepath.Join(dir, "bare"))
		return ready(b, c)
	}
	up()
	bare()
	var start figure
	for b.Loop() {
		start.took(up(), bare())
	}
	start.report(b, "µs/start", "ratio")
}

// ready starts c, waits for its line "ready", and ends it.
func ready(b *testing.B, c *exec.Cmd) time.Duration {
	b.Helper()
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	took := time.Since(start)
	if err != nil || !strings.HasPrefix(line, "ready") {
		b.Fatalf("%v said %q, %v", c.Args, line, err)
	}
	in.Close()
	_ = c.Process.Signal(os.Interrupt)
	_ = c.Wait()
	return took
}
