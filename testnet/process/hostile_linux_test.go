package process

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

const presenceProto protocol.ID = "/hum/presence/1"

// A mallory is a host that says to a community's node what it likes.
type mallory struct {
	host.Host
	t    *testing.T
	to   peer.AddrInfo
	open map[protocol.ID]network.Stream
	read map[protocol.ID]*bufio.Reader
	id   uint32
}

func newMallory(t *testing.T, at string) *mallory {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	to, err := peer.AddrInfoFromString(at)
	if err != nil {
		t.Fatal(err)
	}
	m := &mallory{Host: h, t: t, to: *to, open: map[protocol.ID]network.Stream{}, read: map[protocol.ID]*bufio.Reader{}}
	if err := h.Connect(t.Context(), m.to); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mallory) stream(proto protocol.ID) (network.Stream, *bufio.Reader) {
	m.t.Helper()
	if m.open[proto] == nil {
		s, err := m.NewStream(m.t.Context(), m.to.ID, proto)
		if err != nil {
			m.t.Fatal(err)
		}
		m.open[proto], m.read[proto] = s, bufio.NewReader(s)
	}
	return m.open[proto], m.read[proto]
}

// ask sends requests at once, and returns how each was answered.
func (m *mallory) ask(proto protocol.ID, op uint32, payloads ...[]byte) (said []wire.FrameStatus) {
	m.t.Helper()
	s, r := m.stream(proto)
	_ = s.SetDeadline(time.Now().Add(Patience))
	first := m.id + 1
	var all []byte
	for _, p := range payloads {
		m.id++
		all = wire.AppendFrame(all, wire.Frame{ID: m.id, Op: op, Payload: p})
	}
	go func() { _, _ = s.Write(all) }()
	said = make([]wire.FrameStatus, len(payloads))
	for range payloads {
		f, err := wire.ReadFrame(r)
		if err != nil {
			m.t.Fatalf("op %d: %v", op, err)
		}
		said[f.ID-first] = f.Status
	}
	return said
}

// one is ask for one request, again while it is over the rate.
func (m *mallory) one(proto protocol.ID, op uint32, payload []byte) wire.FrameStatus {
	m.t.Helper()
	for end := time.Now().Add(Patience); ; time.Sleep(50 * time.Millisecond) {
		if said := m.ask(proto, op, payload)[0]; said != wire.BUSY || time.Now().After(end) {
			return said
		}
	}
}

// shout says something on gossip, as no node of ours would.
func (m *mallory) shout(rpc *pb.RPC) {
	m.t.Helper()
	s, _ := m.stream("/meshsub/1.1.0")
	b, err := proto.Marshal(rpc)
	if err == nil {
		_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(b))), b...))
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func fresh(what string) identity.SigningKey {
	return identity.NewSigningKey(sha256.Sum256([]byte(what)))
}

// strict are settings under which a test comes to every limit.
const strict = `members = 6
[limits]
keys = 20
mailboxes = 2
mail_items = 12
contacts = 4
contact_day = 100000
strangers = 3
disk = 600000
[relay]
circuits = 2
[invite]
uses = 50
`

// Hostile members of a community's real process: they join under a hundred names, squat on keys, flood mailboxes, topics
// and the rate, hand in what is forged, abuse the relay, and the disk fills up. Each is refused by its name, which the
// node counts; what that costs is bounded; and two members who were there before lose nothing: what was receipted is
// delivered, also after a kill with the disk full (SPEC 7).
func TestHostileMembers(t *testing.T) {
	t.Parallel()
	bin, dir := Build(t), t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=128m"); err != nil {
		t.Fatalf("a tmpfs is needed: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
	d := newOperator(t, bin, "d")
	d.home = filepath.Join(dir, "d")
	if err := os.Mkdir(d.home, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.home, "community.toml"), []byte(strict), 0o600); err != nil {
		t.Fatal(err)
	}
	d.up()
	operates := &Home{Dir: d.home, Bin: bin}
	alice, bob := one(t, bin, "alice"), one(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		h.Must(t, "join", d.invite)
	}
	Befriend(t, alice, bob)
	bob.Must(t, "down")
	bob.Kill()
	var ids []string
	state := func(id string) string { return alice.Must(t, "outbox", id)[0]["state"].(string) }
	leave := func(text string) {
		t.Helper()
		ids = append(ids, alice.Must(t, "send", "bob", text)[0]["id"].(string))
	}
	leave("before it begins")
	Eventually(t, Patience, "it is stored", func() bool { return state(ids[0]) == "stored" })

	m := newMallory(t, d.listen[0])
	now := identity.TimeOf(time.Now())
	expect := func(what string, got, want wire.FrameStatus) {
		t.Helper()
		if got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	refused := func(cause string) bool {
		_, metrics := d.ask("/metrics")
		return strings.Contains(metrics, fmt.Sprintf("hum_refusals_total{cause=%q} ", cause))
	}
	token := func(invite string, i int) []byte {
		t.Helper()
		x, err := wire.ParseCommunityInvite(invite)
		if err != nil {
			t.Fatal(err)
		}
		return x.ID.Member([16]byte{1, byte(i)})
	}
	hosting := func(key string, token []byte) []byte {
		return wire.HostRequest{Key: fresh(key).Public(), Until: now.Add(time.Hour), Token: token}.Append(nil)
	}

	// Sybils: an invite for one admits one, and one for many as many as there may be.
	single := operates.Must(t, "community", "invite", "--uses", "1")[0]["invite"].(string)
	expect("the first by an invite for one", m.one(presenceProto, wire.OpHost, hosting("e", token(single, 0))), wire.OK)
	expect("the second by it", m.one(presenceProto, wire.OpHost, hosting("f", token(single, 1))), wire.DENIED)
	admitted := 0
	for i := range 20 {
		if s := m.one(presenceProto, wire.OpHost, hosting(fmt.Sprint("sybil ", i), token(d.invite, i))); s == wire.OK {
			admitted++
		} else {
			expect("a Sybil too many", s, wire.QUOTA)
		}
	}
	if admitted != 3 { // of six, alice, bob and the one before are there
		t.Errorf("%d Sybils were admitted", admitted)
	}

	// Squatting: a member has as many keys kept as he may, and under none of them what another has signed.
	mine, taken := token(single, 0), 1
	for i := range 30 {
		if m.one(presenceProto, wire.OpHost, hosting(fmt.Sprint("squat ", i), mine)) == wire.OK {
			taken++
		}
	}
	if taken != 20 {
		t.Errorf("%d keys are kept for one member", taken)
	}
	e := fresh("e")
	put := func(ctx wire.Context, r wire.Rec) []byte {
		return wire.PutRequest{Ctx: ctx, Key: e.Public(), Rec: r.Raw}.Append(nil)
	}
	expect("a rec that another has signed", m.one(presenceProto, wire.OpPut, put(wire.ContextSlot, wire.NewKept(wire.ContextSlot, fresh("another"), now, []byte("x")))), wire.MALFORMED)
	expect("a rec of tomorrow", m.one(presenceProto, wire.OpPut, put(wire.ContextSlot, wire.NewKept(wire.ContextSlot, e, now.Add(24*time.Hour), []byte("x")))), wire.DENIED)
	stranger := wire.PutRequest{Ctx: wire.ContextSlot, Key: fresh("nobody's").Public(), Rec: wire.NewKept(wire.ContextSlot, fresh("nobody's"), now, []byte("x")).Raw}
	expect("a rec of a key that nobody pays for", m.one(presenceProto, wire.OpPut, stranger.Append(nil)), wire.DENIED)
	expect("rubbish", m.one(presenceProto, wire.OpPut, []byte("rubbish")), wire.MALFORMED)

	// Mailboxes: as many as he may have, each with room for so much, and all of them for no more than the node keeps.
	say := func(k identity.SigningKey, typ wire.Type, body []byte) []byte {
		return wire.Sign(k, typ, body).Append(nil)
	}
	secret, left := wire.Cap{7}, map[wire.FrameStatus]int{}
	for who := range 4 {
		pays := mine
		if who > 0 {
			pays = token(d.invite, who-1)
		}
		for i := range 3 {
			box, reader := fresh(fmt.Sprint("box ", who, i)), fresh("reader")
			s := m.one(wire.MboxProtocol, wire.OpReg, say(box, wire.TypeMboxReg, wire.MboxReg{Mbox: box.Public(), Readers: []wire.PublicKey{reader.Public()}, Token: pays, Seq: now}.Append(nil)))
			if i == 2 {
				expect("a mailbox too many", s, wire.QUOTA)
				continue
			}
			expect("a mailbox", s, wire.OK)
			expect("its cap", m.one(wire.MboxProtocol, wire.OpCap, say(reader, wire.TypeMboxCap, wire.MboxCap{Mbox: box.Public(), Cap: secret.Hash(), Mode: wire.CapOpen, BytesDay: 1 << 30, Seq: now}.Append(nil))), wire.OK)
			for j := range 15 {
				item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: append(make([]byte, 9000), byte(j))}.Append(nil)}
				left[m.one(wire.MboxProtocol, wire.OpDeposit, wire.Deposit{Mbox: box.Public(), Item: item, Cap: secret[:]}.Append(nil))]++
			}
			if i == 0 {
				item := wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: make([]byte, 9000)}.Append(nil)}
				expect("by a stranger who has done no work", m.one(wire.MboxProtocol, wire.OpDeposit, wire.Deposit{Mbox: box.Public(), Item: wire.MboxItem{Parcel: item.Parcel[:0], AckBox: wire.AckBox{Tag: [16]byte{1}, Box: []byte("b")}.Append(nil)}}.Append(nil)), wire.DENIED)
			}
		}
	}
	if left[wire.OK] < 40 || left[wire.QUOTA] < 20 || left[wire.OK]+left[wire.QUOTA] != 4*2*15 {
		t.Errorf("deposits were answered %v", left)
	}

	// The rate: whoever asks faster than he may is told to wait, before anything is spent on him; a stream with more
	// requests on it than may be is reset.
	busy := 0
	for end := time.Now().Add(Patience); busy < 100 && time.Now().Before(end); {
		for _, s := range m.ask(wire.MboxProtocol, wire.OpCommit, make([][]byte, wire.MaxOutstanding/2)...) {
			if s == wire.BUSY {
				busy++
			}
		}
	}
	if busy < 100 {
		t.Errorf("%d requests were told to wait", busy)
	}
	s, r := m.stream(wire.MboxProtocol)
	var many []byte
	for range 10 * wire.MaxOutstanding {
		m.id++
		many = wire.AppendFrame(many, wire.Frame{ID: m.id, Op: wire.OpWait, Payload: []byte{0}})
	}
	go func() { _, _ = s.Write(many) }()
	for _, err := wire.ReadFrame(r); err == nil; _, err = wire.ReadFrame(r) {
	}

	// Topics: more than a node may announce, and what is no Rec on one that is carried.
	var subs []*pb.RPC_SubOpts
	yes := true
	for i := range 9000 {
		name := sha256.Sum256([]byte(fmt.Sprint("topic ", i)))
		topic := wire.TopicPrefix + base64.RawURLEncoding.EncodeToString(name[:])
		subs = append(subs, &pb.RPC_SubOpts{Subscribe: &yes, Topicid: &topic})
	}
	m.shout(&pb.RPC{Subscriptions: subs})
	topic := wire.TopicPrefix + base64.RawURLEncoding.EncodeToString(append([]byte{}, pub(e)...))
	for i := range 200 {
		junk := make([]byte, 300)
		_, _ = rand.Read(junk)
		junk[0] = byte(i)
		m.shout(&pb.RPC{Publish: []*pb.Message{{Data: junk, Topic: &topic}}})
	}
	Eventually(t, Patience, "announcements are refused", func() bool { return refused("topic announcement") })

	// The relay: as many circuits as one may have.
	x := newMallory(t, d.listen[0])
	if _, err := client.Reserve(t.Context(), x, x.to); err != nil {
		t.Fatalf("a reservation: %v", err)
	}
	circuit := peer.AddrInfo{ID: x.ID(), Addrs: []ma.Multiaddr{ma.Join(m.to.Addrs[0], ma.StringCast("/p2p/"+m.to.ID.String()+"/p2p-circuit"))}}
	denied := 0
	for range 4 {
		y := newMallory(t, d.listen[0])
		ctx, stop := context.WithTimeout(t.Context(), Patience)
		if err := y.Connect(ctx, circuit); err != nil {
			if denied++; !strings.Contains(err.Error(), "RESOURCE_LIMIT_EXCEEDED") {
				t.Errorf("a circuit too many: %v", err)
			}
		}
		stop()
	}
	if denied != 2 {
		t.Errorf("%d of 4 circuits were refused", denied)
	}

	for _, cause := range []string{"the invite is used up", "the community is full", "the member hosts too many keys", "not a rec of this key", "from the future",
		"the key is not hosted", "the member has too many mailboxes", "too many items of the cap", "the node keeps as much as it may", "not enough work"} {
		if !refused(cause) {
			t.Errorf("it is not counted that %q", cause)
		}
	}
	_, metrics := d.ask("/metrics")
	for _, g := range []struct {
		name string
		most float64
	}{{"process_resident_memory_bytes", 400 << 20}, {"hum_mailbox_bytes", 600_000}, {"hum_members", 6}, {"hum_topics", 64}, {"hum_relay_circuits", 2}} {
		if v := metric(t, metrics, g.name); v > g.most {
			t.Errorf("%s %v", g.name, v)
		}
	}
	if metric(t, metrics, "hum_relay_denied_total") < 2 {
		t.Error("the circuits that were refused are not counted")
	}

	// The disk is full, which it says; what was receipted outlives a kill.
	waiting := metric(t, metrics, "hum_mailbox_items")
	filler := filepath.Join(dir, "filler")
	fill(t, filler)
	Eventually(t, Patience, "it says that it is not ready", func() bool {
		code, body := d.ask("/readyz")
		return code == 503 && strings.Contains(body, "no space left")
	})
	if code, body := d.ask("/healthz"); code != 200 {
		t.Errorf("/healthz with a full disk: %d %s", code, body)
	}
	leave("while the disk is full")
	time.Sleep(2 * time.Second)
	if s := state(ids[1]); s == "stored" || s == "failed" {
		t.Errorf("with a full disk a message is %s", s)
	}
	d.kill()
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	d.up()
	if _, metrics := d.ask("/metrics"); metric(t, metrics, "hum_mailbox_items") != waiting {
		t.Errorf("of %v receipted items %v are there", waiting, metric(t, metrics, "hum_mailbox_items"))
	}
	alice.Must(t, "set", "away", "--note", "still here")
	if err := bob.Up(); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		Eventually(t, Patience, "it is delivered", func() bool { return state(id) == "delivered" })
	}
	if got := bob.Must(t, "inbox"); len(got) != 2 {
		t.Errorf("bob has %v", got)
	}
	Eventually(t, Patience, "bob reads the note", func() bool { return bob.Must(t, "who", "alice")[0]["note"] == "still here" })
}

func pub(k identity.SigningKey) []byte { p := k.Public(); return p[:] }

// metric is the value of one that has no labels.
func metric(t *testing.T, metrics, name string) (v float64) {
	t.Helper()
	for line := range strings.Lines(metrics) {
		if _, err := fmt.Sscanf(line, name+" %g", &v); err == nil {
			return v
		}
	}
	t.Fatalf("no %s in\n%s", name, metrics)
	return 0
}
