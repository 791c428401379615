//go:build netns

package process

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// An internet is hosts with addresses that look public on one wire, and homes behind routers that masquerade: each is
// a network namespace. Its tests need root, ip(8) and nft(8).
type internet struct {
	t     *testing.T
	tag   string
	count int
}

func newInternet(t *testing.T, name string) *internet {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Fatal("nft is needed: .ci/run installs nftables")
	}
	n := &internet{t: t, tag: fmt.Sprintf("hum%d%s", os.Getpid(), name)}
	n.add("wire")
	n.in("wire", "ip", "link", "add", "hub", "type", "bridge")
	n.in("wire", "ip", "link", "set", "hub", "up")
	return n
}

// ns is the name of a namespace of ours.
func (n *internet) ns(name string) string { return n.tag + name }

func (n *internet) add(name string) {
	n.t.Helper()
	n.run("ip", "netns", "add", n.ns(name))
	n.t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", n.ns(name)).Run() })
	n.in(name, "ip", "link", "set", "lo", "up")
}

func (n *internet) run(args ...string) string {
	n.t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in runs a command in a namespace.
func (n *internet) in(name string, args ...string) string {
	n.t.Helper()
	return n.run(append([]string{"ip", "netns", "exec", n.ns(name)}, args...)...)
}

// rules gives a namespace these rules of nftables, in the place of all that it had.
func (n *internet) rules(name, text string) {
	n.t.Helper()
	file := filepath.Join(n.t.TempDir(), name+".nft")
	if err := os.WriteFile(file, []byte("flush ruleset\n"+text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	n.in(name, "nft", "-f", file)
}

// public adds a host on the wire, at 192.0.x.0/24 addresses that are given out by the world's registries.
func (n *internet) public(name, addr string) {
	n.t.Helper()
	n.add(name)
	n.plug(name, addr)
}

// plug puts a namespace on the wire.
func (n *internet) plug(name, addr string) {
	n.t.Helper()
	n.count++
	port := fmt.Sprintf("p%d", n.count)
	n.run("ip", "link", "add", "wan", "netns", n.ns(name), "type", "veth", "peer", "name", port, "netns", n.ns("wire"))
	n.in("wire", "ip", "link", "set", port, "master", "hub", "up")
	n.in(name, "ip", "addr", "add", addr+"/8", "dev", "wan")
	n.in(name, "ip", "link", "set", "wan", "up")
}

// masquerade is what a router at home does: all go out by its address, and nothing comes in that was not asked for.
// Ports are kept where they are free (as most routers do), or drawn for each connection.
func masquerade(ports string) string {
	return `table ip nat {
	chain out {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade ` + ports + `
	}
}
table ip filter {
	chain in {
		type filter hook input priority filter
		policy drop
		iifname "lo" accept
		ct state established,related accept
	}
	chain through {
		type filter hook forward priority filter
		policy drop
		iifname "lan" accept
		ct state established,related accept
	}
}
`
}

// home adds a router on the wire and a host behind it.
func (n *internet) home(name, addr, ports string) {
	n.t.Helper()
	router := name + "r"
	n.public(router, addr)
	n.add(name)
	n.run("ip", "link", "add", "lan", "netns", n.ns(router), "type", "veth", "peer", "name", "eth", "netns", n.ns(name))
	n.in(router, "ip", "addr", "add", "192.168.1.1/24", "dev", "lan")
	n.in(router, "ip", "link", "set", "lan", "up")
	n.in(router, "sysctl", "-qw", "net.ipv4.ip_forward=1")
	n.rules(router, masquerade(ports))
	n.in(name, "ip", "addr", "add", "192.168.1.2/24", "dev", "eth")
	n.in(name, "ip", "link", "set", "eth", "up")
	n.in(name, "ip", "route", "add", "default", "via", "192.168.1.1")
}

// person is a home whose node runs on a host.
func (n *internet) person(bin, name, at string, flags ...string) *Home {
	n.t.Helper()
	h := New(n.t, bin, name)
	h.Listen, h.Flags = "", flags
	h.Wrap = []string{"ip", "netns", "exec", n.ns(at)}
	if err := h.Up(); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// community is a home whose community node runs on a host.
func (n *internet) community(bin, name, at string, flags ...string) *Home {
	n.t.Helper()
	h := New(n.t, bin, name)
	h.Listen, h.Flags = "", append([]string{"--name", name}, flags...)
	h.Command = []string{"community", "up"}
	h.Wrap = []string{"ip", "netns", "exec", n.ns(at)}
	if err := h.Up(); err != nil {
		n.t.Fatal(err)
	}
	return h
}

// invite is what a community node printed when it was ready.
func (h *Home) invite(t *testing.T) string {
	t.Helper()
	var said struct{ Invite string }
	if err := json.Unmarshal([]byte(h.Ready), &said); err != nil || said.Invite == "" {
		t.Fatalf("no invite in %q: %v", h.Ready, err)
	}
	return said.Invite
}

// long is how long a relayed conversation is held: in the long mode for ten minutes.
func long() time.Duration {
	if os.Getenv("HUM_LONG") == "nat" {
		return 10 * time.Minute
	}
	return 3 * time.Minute
}

// buildOnce builds hum for the tests of this file, which run side by side, as most of their time is spent waiting.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "hum")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "hum")
	out, err := exec.Command("go", "build", "-o", bin, "github.com/hum-presence/hum/cmd/hum").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

func shared(t *testing.T) string {
	t.Helper()
	t.Parallel()
	bin, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// members has some join a community, and waits until each is reached through its relay.
func members(t *testing.T, club *Home, homes ...*Home) {
	t.Helper()
	for _, h := range homes {
		h.Must(t, "join", club.invite(t))
		Eventually(t, Patience, "a slot at the relay", func() bool { return strings.Contains(card(t, h), "p2p-circuit") })
	}
}

// Two members behind NATs that allow no hole punch, and one community node on the open net: they find each other by
// their cards, see each other, and talk for longer, and more, than a relay of the library would carry (2 min, 128 KiB);
// in the middle the community's node is killed, and another process takes its place (requirements 2.4.1 to 2.4.3, S45).
func TestNAT_Relayed(t *testing.T) {
	bin := shared(t)
	n := newInternet(t, "a")
	n.public("club", "5.9.0.1")
	n.home("alice", "5.9.1.1", "random")
	n.home("bob", "5.9.2.1", "random")
	club := n.community(bin, "club", "club")
	alice, bob := n.person(bin, "alice", "alice"), n.person(bin, "bob", "bob")
	members(t, club, alice, bob)
	Befriend(t, alice, bob)
	relayed(t, alice, bob)

	begin, sent := time.Now(), 0
	text := make([]byte, 48<<10)
	if _, err := rand.Read(text); err != nil {
		t.Fatal(err)
	}
	killed := false
	for i := 0; time.Since(begin) < long() || sent < 1<<20; i++ {
		from, to := alice, "bob"
		if i%2 == 1 {
			from, to = bob, "alice"
		}
		said := fmt.Sprintf("%d %x", i, text[:20<<10])
		file := filepath.Join(t.TempDir(), "said")
		if err := os.WriteFile(file, []byte(said), 0o600); err != nil {
			t.Fatal(err)
		}
		from.Must(t, "send", to, "--file", file, "--type", "text/plain", "--wait", Patience.String())
		sent += len(said)
		if !killed && time.Since(begin) > long()/2 {
			killed = true
			club.Kill()
			if err := club.Up(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(max(0, long()/40))
	}
	relayed(t, alice, bob)
	seen(t, alice, bob)
	t.Logf("%d bytes in %v through the relay, whose process was replaced in the middle", sent, time.Since(begin).Round(time.Second))
}

func card(t *testing.T, h *Home) string {
	t.Helper()
	return h.Must(t, "card")[0]["card"].(string)
}

// way is how a message went that a just sent, as its trace tells.
func way(t *testing.T, a *Home, to string) string {
	t.Helper()
	id := a.Must(t, "send", to, "by which way?", "--wait", Patience.String())[0]["id"].(string)
	return a.Run("trace", id).Out
}

// relayed checks that what a writes to b goes through the relay.
func relayed(t *testing.T, a, b *Home) {
	t.Helper()
	if got := way(t, a, filepath.Base(b.Dir)); !strings.Contains(got, "through the relay of club") {
		t.Errorf("not through the relay: %s", got)
	}
}

// seen waits until each sees the other open.
func seen(t *testing.T, a, b *Home) {
	t.Helper()
	for _, p := range [][2]*Home{{a, b}, {b, a}} {
		Eventually(t, Patience, "they see each other", func() bool {
			return p[0].Must(t, "who", filepath.Base(p[1].Dir))[0]["basic"] == "open"
		})
	}
}

// Where the NATs allow it a hole is punched: what began through the relay goes on directly, and also once the
// community's node is gone for good.
func TestNAT_Punched(t *testing.T) {
	bin := shared(t)
	n := newInternet(t, "b")
	n.public("club", "5.9.0.1")
	n.home("alice", "5.9.1.1", "")
	n.home("bob", "5.9.2.1", "")
	club := n.community(bin, "club", "club")
	alice, bob := n.person(bin, "alice", "alice"), n.person(bin, "bob", "bob")
	members(t, club, alice, bob)
	Befriend(t, alice, bob)
	direct := func() bool { return !strings.Contains(way(t, alice, "bob"), "through the relay") }
	for end := time.Now().Add(Patience); !direct(); time.Sleep(2 * time.Second) {
		if time.Now().After(end) {
			t.Fatal("no hole was punched")
		}
	}
	club.Kill()
	seen(t, alice, bob)
	if !direct() {
		t.Error("not directly any more")
	}
}

// A member in an office whose administrator decides (requirement 2.4.4): with the rules that hum ships he lets it pass,
// or forbids it, with an answer; where the web alone passes, the community is reached on its port, and where nothing
// passes but what the office's proxy asks for, by that proxy.
func TestReq_2_4_4_Firewalls(t *testing.T) {
	bin := shared(t)
	n := newInternet(t, "c")
	n.public("club", "5.9.0.1")
	n.home("alice", "5.9.1.1", "")
	n.public("bob", "5.9.3.1")
	club, bob := n.community(bin, "club", "club"), n.person(bin, "bob", "bob")
	members(t, club, bob)
	ship := func(name string) string {
		path, err := filepath.Abs("../../deploy/nftables/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	// office is the router's table: what may pass from inside.
	office := func(passes string) {
		n.rules("alicer", `table ip nat {
	chain out {
		type nat hook postrouting priority srcnat
		oifname "wan" masquerade
	}
}
table inet filter {
	include "`+ship("hum-allow.nft")+`"
	chain forward {
		type filter hook forward priority filter
		policy drop
		ct state established,related accept
		`+passes+`
	}
}
`)
	}
	// starts begins the node of a fresh home, on a port of its own: the router lets pass what it knows from before.
	port := 4866
	starts := func(env ...string) *Home {
		h := New(t, bin, "alice")
		h.Listen, h.Env = "", env
		h.Flags = []string{"--listen", fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port), "--listen", fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port)}
		h.Wrap = []string{"ip", "netns", "exec", n.ns("alice")}
		port++
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
		return h
	}

	office("jump hum")
	alice := starts()
	members(t, club, alice)
	alice.Kill()

	n.in("alicer", "nft", "-f", ship("hum-forbid.nft"))
	n.in("alicer", "nft", "add", "element", "inet", "hum_forbid", "communities4", "{ 5.9.0.1 }")
	n.in("alicer", "nft", "add table inet audit; add counter inet audit others; add chain inet audit through { type filter hook forward priority -200 ; }; "+
		"add rule inet audit through iifname lan meta l4proto { tcp, udp } th dport != { 4866, 443 } counter name others")
	alice = starts()
	begin := time.Now()
	if r := alice.Run("join", club.invite(t)); r.Code != 4 {
		t.Errorf("joined past rules that forbid it: exit %d, %s%s", r.Code, r.Out, r.Err)
	}
	t.Logf("told after %v that hum does not pass", time.Since(begin).Round(time.Second))
	if got := fmt.Sprint(alice.Must(t, "status")[0]["peers"]); got != "0" {
		t.Errorf("%s peers where hum is forbidden", got)
	}
	alice.Must(t, "add", card(t, bob), "--as", "bob")
	if r := alice.Run("send", "bob", "do you hear me?", "--expires", "20s", "--wait", Patience.String()); r.Code != 4 || !strings.Contains(r.Out, "unreachable") {
		t.Errorf("sent past rules that forbid it: exit %d, %s%s", r.Code, r.Out, r.Err)
	}
	if got := n.in("alicer", "nft", "list", "counter", "inet", "audit", "others"); !strings.Contains(got, "packets 0 ") {
		t.Errorf("hum tried other ports than those that are documented: %s", got)
	}
	alice.Kill()

	office("tcp dport 443 accept") // and nothing else: no UDP, no 4866; the rules that forbid are gone with the rest
	alice = starts()
	members(t, club, alice)
	alice.Kill()

	office("")
	alice = starts()
	if r := alice.Run("join", club.invite(t)); r.Code != 4 {
		t.Errorf("joined though nothing passes: exit %d, %s%s", r.Code, r.Out, r.Err)
	}
	alice.Kill()
	asked := n.proxy("alicer", "192.168.1.1:3128")
	alice = starts("HTTPS_PROXY=http://192.168.1.1:3128")
	members(t, club, alice)
	if asked() == 0 {
		t.Error("the proxy was not asked")
	}
	alice.Must(t, "add", card(t, bob), "--as", "bob")
	relayed(t, alice, bob)
}

// proxy runs an HTTP proxy that does CONNECT on a host, and returns how often it was asked so far.
func (n *internet) proxy(at, addr string) (asked func() int) {
	n.t.Helper()
	self, err := os.Executable()
	if err != nil {
		n.t.Fatal(err)
	}
	cmd := exec.Command("ip", "netns", "exec", n.ns(at), self, "-test.run", "^TestHelperProxy$")
	cmd.Env = append(os.Environ(), "HUM_PROXY="+addr)
	out := &lines{}
	cmd.Stdout = out
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	Eventually(n.t, Patience, "the proxy listens", func() bool { return out.count("listening") == 1 })
	return func() int { return out.count("CONNECT") }
}

// lines counts in what is written to it.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) count(word string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), word)
}

// TestHelperProxy is the proxy, as a process of its own.
func TestHelperProxy(t *testing.T) {
	addr := os.Getenv("HUM_PROXY")
	if addr == "" {
		t.Skip("run by TestNAT")
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("listening")
	_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			http.Error(w, "CONNECT alone", http.StatusMethodNotAllowed)
			return
		}
		fmt.Println("CONNECT", r.Host)
		to, err := net.Dial("tcp", r.Host)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		from, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		_, _ = from.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
		_, _ = io.Copy(from, to)
		_ = from.Close()
	}))
}
