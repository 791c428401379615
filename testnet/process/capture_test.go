//go:build netns

package process

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/p2p"
)

// A flow is who sent packets to whom, by address.
type flow struct{ from, to netip.Addr }

// A capture is every packet that passes an internet, from the moment that it was begun.
type capture struct {
	mu    sync.Mutex
	flows map[flow]int
	bytes []byte // of all of them
}

// captured begins a capture: a packet socket that hears every port of the wire.
func (n *internet) captured() *capture {
	n.t.Helper()
	c := &capture{flows: map[flow]int{}}
	opened := make(chan error)
	fd := -1
	go func() { // the thread is in another network from now on, and ends with this goroutine
		runtime.LockOSThread()
		opened <- func() error {
			ns, err := os.Open("/run/netns/" + n.ns("wire"))
			if err != nil {
				return err
			}
			defer func() { _ = ns.Close() }()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return err
			}
			all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ALL)))
			if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
				return err
			}
			return unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
		}()
	}()
	if err := <-opened; err != nil {
		n.t.Fatalf("capture: %v", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for b := make([]byte, 1<<16); ctx.Err() == nil; {
			if k, _, err := unix.Recvfrom(fd, b, 0); err == nil {
				c.note(b[:k])
			}
		}
		_ = unix.Close(fd)
	}()
	n.t.Cleanup(func() { stop(); <-ended })
	return c
}

// note counts a frame of Ethernet: IP by its addresses, ARP by who asks for whom.
func (c *capture) note(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(b) < 14 {
		return
	}
	var f flow
	switch p := b[14:]; {
	case b[12] == 0x08 && b[13] == 0x00 && len(p) >= 20:
		f = flow{netip.AddrFrom4([4]byte(p[12:16])), netip.AddrFrom4([4]byte(p[16:20]))}
	case b[12] == 0x08 && b[13] == 0x06 && len(p) >= 28:
		f = flow{netip.AddrFrom4([4]byte(p[14:18])), netip.AddrFrom4([4]byte(p[24:28]))}
	case b[12] == 0x86 && b[13] == 0xdd && len(p) >= 40:
		f = flow{netip.AddrFrom16([16]byte(p[8:24])), netip.AddrFrom16([16]byte(p[24:40]))}
	default:
		return
	}
	c.flows[f]++
	if f.to.Is4() && len(c.bytes) < 64<<20 {
		c.bytes = append(c.bytes, b...)
	}
}

// between is how many packets went between two addresses, either way.
func (c *capture) between(a, b string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, y := netip.MustParseAddr(a), netip.MustParseAddr(b)
	return c.flows[flow{x, y}] + c.flows[flow{y, x}]
}

// others are to whom packets went from an address, or who sent to it, but for one.
func (c *capture) others(a, but string) (out []netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x, y := netip.MustParseAddr(a), netip.MustParseAddr(but)
	for f := range c.flows {
		switch {
		case f.from == x && f.to != y && !f.to.IsMulticast():
			out = append(out, f.to)
		case f.to == x && f.from != y:
			out = append(out, f.from)
		}
	}
	return out
}

// holdsAddr are the forms of an address that b holds.
func holdsAddr(b []byte, addr string) (out []string) {
	ip := netip.MustParseAddr(addr).As4()
	for what, form := range map[string][]byte{"in words": []byte(addr), "in a multiaddr": append([]byte{4}, ip[:]...), "in IPv6": append([]byte{0xff, 0xff}, ip[:]...),
		"as Go has it": {ip[3], ip[2], ip[1], ip[0], 0xff, 0xff}} {
		if bytes.Contains(b, form) {
			out = append(out, what)
		}
	}
	return out
}

// briefCircuits are far below what a community's settings allow, so that many of them end in a test.
var briefCircuits = p2p.Circuits{Last: 25 * time.Second, Data: 128 << 10}

// Alice is in private mode and Bob could be dialled by anybody: they subscribe to each other, see each other's changes
// and write, over circuits that end every 25 s, through a kill of either. No packet passes between the two, all that
// Alice's network sends goes to the community's node, and Bob's process has neither of her addresses: not in its memory,
// nor in its store, nor in its log. Once she is out of private mode all of that is found (requirements 5.1.17, 5.1.18,
// 5.2.5, 5.2.6, 5.4.5).
func TestReq_8_2_1_B8_NATCapture(t *testing.T) {
	bin := shared(t)
	n := newInternet(t, "d")
	const atClub, atAlice, atBob, within = "5.9.0.1", "5.9.201.77", "5.9.3.1", "192.168.1.2"
	n.public("club", atClub)
	n.home("alice", atAlice, "")
	n.public("bob", atBob)
	invite := n.brief("club")
	alice, bob := n.person(bin, "alice", "alice"), n.person(bin, "bob", "bob", "-v")
	alice.Must(t, "join", invite)
	alice.Must(t, "private", "on")
	through := func() {
		t.Helper()
		Eventually(t, Patience, "alice is reached through the relay", func() bool {
			return strings.HasPrefix(alice.Must(t, "status")[0]["reachability"].(string), "private: through the relay")
		})
	}
	through()
	time.Sleep(2 * time.Second) // what she sent before is over
	wire := n.captured()
	bob.Must(t, "join", invite)
	Befriend(t, alice, bob)
	logged := ""
	rebirth := func(h *Home) {
		t.Helper()
		logged += h.out.String()
		h.Kill()
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	for i := 0; time.Since(begin) < 4*briefCircuits.Last; i++ {
		switch i {
		case 3:
			rebirth(alice)
			through()
		case 6:
			rebirth(bob)
		}
		from, to := alice, bob
		if i%2 == 1 {
			from, to = bob, alice
		}
		name, note := filepath.Base(from.Dir), fmt.Sprint("note ", i)
		from.Must(t, "set", "away", "--note", note)
		from.Must(t, "send", filepath.Base(to.Dir), fmt.Sprint("text ", i), "--wait", Patience.String())
		Eventually(t, Patience, "the note is seen", func() bool { return to.Must(t, "who", name)[0]["note"] == note })
		time.Sleep(4 * time.Second)
	}
	relayed := func() string {
		id := alice.Must(t, "send", "bob", "by which way?", "--wait", Patience.String())[0]["id"].(string)
		return alice.Run("trace", id).Out
	}
	if got := relayed(); !strings.Contains(got, "through the relay of") {
		t.Errorf("not through a relay: %s", got)
	}

	for _, mine := range []string{atAlice, within} {
		if k := wire.between(mine, atBob); k != 0 {
			t.Errorf("%d packets between %s and bob", k, mine)
		}
		if others := wire.others(mine, atClub); len(others) != 0 {
			t.Errorf("packets between %s and %v", mine, others)
		}
	}
	if k := wire.between(atAlice, atClub); k < 100 {
		t.Errorf("%d packets between alice and the community's node", k)
	}
	if k := wire.between(atBob, atClub); k < 100 {
		t.Errorf("%d packets between bob and the community's node", k)
	}
	held := func() map[string][]byte {
		memory := memoryOf(t, bob.Pid())
		logged += bob.out.String()
		bob.Kill()
		found := map[string][]byte{"memory": memory, "disk": diskOf(t, bob.Dir), "log": []byte(logged)}
		if err := bob.Up(); err != nil {
			t.Fatal(err)
		}
		return found
	}
	for where, b := range held() {
		for _, mine := range []string{atAlice, within} {
			if forms := holdsAddr(b, mine); len(forms) > 0 {
				t.Errorf("the %s of bob holds %s, %v", where, mine, forms)
			}
		}
		if where != "log" && len(holdsAddr(b, atClub)) == 0 {
			t.Errorf("the search of the %s of bob does not find the community's node", where)
		}
	}
	if forms := holdsAddr(wire.bytes, within); len(forms) > 0 {
		t.Errorf("what passed the wire holds %s, %v", within, forms)
	}

	alice.Must(t, "private", "off")
	bob.Must(t, "send", "alice", "where are you?", "--wait", Patience.String())
	Eventually(t, Patience, "packets pass between the two", func() bool {
		alice.Must(t, "send", "bob", "here", "--wait", Patience.String())
		return wire.between(atAlice, atBob) > 0
	})
	if got := held(); len(holdsAddr(got["memory"], atAlice)) == 0 {
		t.Error("the search does not find her address when she hides it no more")
	}
}

// brief runs a community node whose circuits are brief on a host, and returns its invite.
func (n *internet) brief(at string) (invite string) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", n.ns(at), self, "-test.run", "^TestHelperCommunity$")
	cmd.Env = append(os.Environ(), "HUM_COMMUNITY="+filepath.Join(n.t.TempDir(), at))
	out := &lines{}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(n.t, Patience, "the community serves", func() bool { return out.count("\n") > 0 })
	out.mu.Lock()
	defer out.mu.Unlock()
	invite, _, _ = strings.Cut(out.b.String(), "\n")
	return invite
}

// TestHelperCommunity is a community node with circuits that no settings allow, as a process of its own.
func TestHelperCommunity(t *testing.T) {
	home := os.Getenv("HUM_COMMUNITY")
	if home == "" {
		t.Skip("run by TestReq_8_2_1_B8_NATCapture")
	}
	h, err := host.Open(host.Config{Home: home, Name: "club", Clock: node.SystemClock(), Rand: rand.Reader, Net: p2p.Config{Circuits: briefCircuits}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	<-h.Ready()
	x, err := h.Invite(10, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println(x.String())
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
}
