package p2p

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A keepsAll is a Custodian that keeps what it is given.
type keepsAll struct {
	mu    sync.Mutex
	key   identity.SigningKey // signs receipts
	saved map[PublicKey][]wire.Rec
	slots map[PublicKey][]byte
	asked chan context.Context // WAITs
}

func newKeeps(seed [32]byte) *keepsAll {
	return &keepsAll{key: identity.NewSigningKey(seed), saved: map[PublicKey][]wire.Rec{}, slots: map[PublicKey][]byte{}, asked: make(chan context.Context, 1)}
}

func (c *keepsAll) HandleHost(_ PeerID, r wire.HostRequest) (Time, wire.FrameStatus) {
	if string(r.Token) != "member" {
		return 0, wire.DENIED
	}
	return r.Until, wire.OK
}

func (c *keepsAll) HandleRecKept(e PublicKey, r wire.Rec) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.saved[e] = append(c.saved[e], r)
	return nil
}

func (c *keepsAll) HandleMember(token []byte) bool { return string(token) == "member" }

func (c *keepsAll) HandlePut(_ wire.Context, k PublicKey, raw []byte) wire.FrameStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slots[k] = raw
	return wire.OK
}

func (c *keepsAll) HandleGet(k PublicKey) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, ok := c.slots[k]
	return b, ok
}

func (c *keepsAll) HandleMbox(ctx context.Context, _ PeerID, nonce wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte) {
	switch f.Op {
	case wire.OpDeposit:
		d, err := wire.ParseDeposit(f.Payload)
		if err != nil {
			return wire.MALFORMED, nil
		}
		r := wire.MboxReceipt{Mbox: d.Mbox, Digest: d.Item.Digest(), Until: 5}
		if d.PoW == 1 {
			r.Mbox = MailboxOther
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		return wire.OK, wire.Sign(c.key, wire.TypeMboxReceipt, r.Append(nil)).Append(nil)
	case wire.OpList:
		s, err := wire.ParseSigned(f.Payload)
		if err != nil {
			return wire.MALFORMED, nil
		}
		l, err := wire.ParseMboxList(s.Body)
		if err != nil || l.Nonce != nonce {
			return wire.DENIED, nil
		}
		item := wire.MboxItem{Parcel: parcelOf(1, testKid)}
		listing := wire.MboxListing{Items: [][]byte{item.Append(nil)}, Until: []Time{9}}
		if l.After == 9 {
			listing.Until = nil
		}
		return wire.OK, listing.Append(nil)
	case wire.OpWait:
		c.asked <- ctx
		<-ctx.Done()
	}
	return wire.DENIED, nil
}

// MailboxOther is a mailbox that nobody asked for.
var MailboxOther = identity.NewSigningKey([32]byte{99}).Public()

func (c *keepsAll) kept(e PublicKey) []wire.Rec {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.saved[e]
}

func anchor(t *testing.T, name string) (*node, *keepsAll) {
	c := config(t.Name() + name)
	keeps := newKeeps(c.Transport)
	c.Hub, c.Custodian, c.WatchKeys = true, keeps, 50_000
	return start(t, c, &fake{}), keeps
}

// A presentity that nobody can reach puts; who watches the anchor hears it, on the topic and by WATCH, and who
// comes later finds it there with the presentity gone.
func TestAnchorBridges(t *testing.T) {
	c, keeps := anchor(t, "anchor")
	b, a := run(t, "b"), run(t, "a")
	b.knows(c, Watched)
	a.knows(c, Watched)
	x := newEpoch(t.Name())
	ctx := t.Context()
	until := testClock().Wall.Add(time.Hour)
	put := func(r wire.Rec) error {
		return b.Put(ctx, c.Self(), wire.PutRequest{Ctx: wire.ContextTopic, Key: x.e, Rec: r.Raw})
	}
	early := x.update()
	if err := put(early); !errors.Is(err, ErrRefused) {
		t.Errorf("put under a key that is not hosted: %v", err)
	}
	if err := b.AskHost(ctx, c.Self(), wire.HostRequest{Key: x.e, Until: until}); !errors.Is(err, ErrRefused) {
		t.Errorf("hosted for a stranger: %v", err)
	}
	must(t, b.AskHost(ctx, c.Self(), wire.HostRequest{Key: x.e, Until: until, Token: []byte("member")}))
	must(t, put(early))
	if err := put(early); !errors.Is(err, ErrStale) {
		t.Errorf("put twice: %v", err)
	}
	forged := newEpoch("another").update()
	if err := put(forged); !errors.Is(err, ErrRefused) {
		t.Errorf("put with another's signature: %v", err)
	}
	if got := keeps.kept(x.e); len(got) != 1 || got[0].T != early.T {
		t.Errorf("saved %v", got)
	}
	must(t, a.Follow(x.e, []PeerID{c.Self()}))
	a.wait(t, "what was put before", a.hears(x.e, early.T))
	next := x.update()
	must(t, put(next))
	a.wait(t, "what is put now", a.hears(x.e, next.T))
	recs, _, err := a.Get(ctx, c.Self(), x.e)
	if err != nil || len(recs) != 1 || recs[0].T != next.T {
		t.Errorf("got %v, %v", recs, err)
	}

	// After a restart the anchor is told what it kept, and lets in only what is newer.
	d, _ := anchor(t, "restarted")
	must(t, d.Net.Host(x.e, until, keeps.kept(x.e)))
	if held := d.Held(x.e); len(held) != 1 || held[0].T != next.T {
		t.Errorf("held after a restart: %v", held)
	}
	b.knows(d, Watched)
	if err := b.Put(ctx, d.Self(), wire.PutRequest{Ctx: wire.ContextTopic, Key: x.e, Rec: next.Raw}); !errors.Is(err, ErrStale) {
		t.Errorf("rolled back after a restart: %v", err)
	}
}

func TestSlots(t *testing.T) {
	c, keeps := anchor(t, "anchor")
	b, plain := run(t, "b"), run(t, "plain")
	b.knows(c, Watched)
	b.knows(plain, Watched)
	ctx, k := t.Context(), identity.NewSigningKey([32]byte{4})
	put := func(p PeerID, r wire.Rec) error {
		return b.Put(ctx, p, wire.PutRequest{Ctx: wire.ContextSlot, Key: k.Public(), Rec: r.Raw})
	}
	now := testClock().Wall
	r := wire.NewKept(wire.ContextSlot, k, now, []byte("parcel"))
	must(t, put(c.Self(), r))
	if got, err := b.GetKept(ctx, c.Self(), k.Public()); err != nil || got.T != now {
		t.Errorf("got %v, %v", got, err)
	}
	for name, bad := range map[string]wire.Rec{
		"signed by another": wire.NewKept(wire.ContextSlot, identity.NewSigningKey([32]byte{5}), now, []byte("x")),
		"of the future":     wire.NewKept(wire.ContextSlot, k, now.Add(time.Hour), []byte("x")),
		"of the DHT":        wire.NewKept(wire.ContextDHT, k, now, []byte("x")),
	} {
		keeps.HandlePut(wire.ContextSlot, k.Public(), bad.Raw)
		if _, err := b.GetKept(ctx, c.Self(), k.Public()); !errors.Is(err, ErrRefused) {
			t.Errorf("a rec %s: %v", name, err)
		}
	}
	if _, err := b.GetKept(ctx, c.Self(), MailboxOther); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty slot: %v", err)
	}
	if err := put(plain.Self(), r); !errors.Is(err, ErrRefused) {
		t.Errorf("put at a node that is no custodian: %v", err)
	}
}

func TestMbox(t *testing.T) {
	c, keeps := anchor(t, "anchor")
	b := run(t, "b")
	b.knows(c, Watched)
	ctx := t.Context()
	d := wire.Deposit{Mbox: identity.NewSigningKey([32]byte{6}).Public(), Item: wire.MboxItem{Parcel: parcelOf(1, testKid)}}
	r, err := b.Deposit(ctx, c.Self(), d)
	if err != nil || r.Digest != d.Item.Digest() || r.Until != 5 {
		t.Errorf("receipt %+v, %v", r, err)
	}
	d.PoW = 1
	if _, err := b.Deposit(ctx, c.Self(), d); !errors.Is(err, ErrRefused) {
		t.Errorf("the receipt of another mailbox: %v", err)
	}
	keeps.mu.Lock()
	keeps.key = identity.NewSigningKey([32]byte{7})
	keeps.mu.Unlock()
	d.PoW = 2
	if _, err := b.Deposit(ctx, c.Self(), d); !errors.Is(err, ErrRefused) {
		t.Errorf("a receipt signed by another: %v", err)
	}
	reader := identity.NewSigningKey([32]byte{8})
	ask := func(after Time) MboxAsk {
		return func(nonce wire.Nonce) wire.Signed {
			l := wire.MboxList{Mbox: d.Mbox, Nonce: nonce, Peer: []byte(c.Self()), After: after}
			return wire.Sign(reader, wire.TypeMboxList, l.Append(nil))
		}
	}
	l, err := b.List(ctx, c.Self(), false, ask(0))
	if err != nil || len(l.Items) != 1 {
		t.Errorf("listing %+v, %v", l, err)
	}
	if _, err := b.List(ctx, c.Self(), false, ask(9)); !errors.Is(err, ErrRefused) {
		t.Errorf("an item without an until: %v", err)
	}
	if err := b.AskMbox(ctx, c.Self(), wire.OpCommit, ask(0)(wire.Nonce{})); !errors.Is(err, ErrRefused) {
		t.Errorf("a commit that is refused: %v", err)
	}
	// A WAIT ends with whoever waits.
	waiting, end := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		_, err := b.List(waiting, c.Self(), true, ask(0))
		done <- err
	}()
	asked := <-keeps.asked
	end()
	if err := <-done; !errors.Is(err, ErrUnreachable) {
		t.Errorf("a wait that was given up: %v", err)
	}
	must(t, b.Close())
	<-asked.Done()
}

func TestReceiptKey(t *testing.T) {
	key, err := crypto.UnmarshalEd25519PublicKey(append([]byte(nil), MailboxOther[:]...))
	must(t, err)
	id, err := peer.IDFromPublicKey(key)
	must(t, err)
	if got, ok := PeerID(id).Key(); !ok || got != MailboxOther {
		t.Errorf("key %x, %v", got, ok)
	}
	for _, p := range []PeerID{"", "Qm", PeerID(id[1:]), PeerID(id) + "x"} {
		if _, ok := p.Key(); ok {
			t.Errorf("%q has a key", p)
		}
	}
}
