package host

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// running has a node run until the test ends.
func running(t *testing.T, h *Host) *Host {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- h.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := errors.Join(<-ended, h.Close()); err != nil {
			t.Error(err)
		}
	})
	<-h.Ready()
	return h
}

// A member has his own node leave a message at another community's: the receipt is of that one, and it never sees
// him. Nobody else has it do so.
func TestForward(t *testing.T) {
	c := &clock{identity.Time(time.Now().UnixMilli())}
	mine := running(t, open(t, filepath.Join(t.TempDir(), "mine"), c, 0))
	theirs := running(t, open(t, filepath.Join(t.TempDir(), "theirs"), c, 0))
	member := func(h *Host) []byte {
		inv, err := h.Invite(1, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return inv.ID.Member([16]byte{1})
	}
	m, reader, secret := identity.NewSigningKey([32]byte{1}), identity.NewSigningKey([32]byte{2}), wire.Cap{7}
	token, their := member(mine), member(theirs)
	for _, s := range []struct {
		op uint32
		s  wire.Signed
	}{
		{wire.OpReg, wire.Sign(m, wire.TypeMboxReg, wire.MboxReg{Mbox: m.Public(), Readers: []wire.PublicKey{reader.Public()}, Token: their, Seq: c.wall}.Append(nil))},
		{wire.OpCap, wire.Sign(reader, wire.TypeMboxCap, wire.MboxCap{Mbox: m.Public(), Cap: secret.Hash(), Mode: wire.CapOpen, Seq: c.wall}.Append(nil))},
	} {
		if got, _ := theirs.HandleMbox(t.Context(), "peer", wire.Nonce{}, wire.Frame{ID: 1, Op: s.op, Payload: s.s.Append(nil)}); got != wire.OK {
			t.Fatalf("op %d: %v", s.op, got)
		}
	}
	n, err := p2p.Open(p2p.Config{Transport: [32]byte{9}, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Clock: c.now, Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx, nobody{}) }()
	t.Cleanup(func() { end(); <-ended; _ = n.Close() })
	n.Keep(mine.net.Self(), mine.net.Addrs(), p2p.Watched)
	for up := false; !up; up, _ = n.Connected(mine.net.Self()) {
		time.Sleep(10 * time.Millisecond)
	}

	d := wire.Deposit{Mbox: m.Public(), Item: wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: []byte("sealed")}.Append(nil)}, Cap: secret[:]}
	to := wire.Endpoint{Peer: []byte(theirs.net.Self()), Addrs: theirs.net.Addrs()}
	if _, err := n.DepositThrough(t.Context(), mine.net.Self(), to, []byte("nobody"), d); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("passed on for whoever shows no token: %v", err)
	}
	if _, err := n.DepositThrough(t.Context(), mine.net.Self(), to, token, d); err == nil {
		t.Error("passed on for one who never was a member")
	}
	if got, _ := mine.HandleHost("peer", wire.HostRequest{Key: m.Public(), Until: c.wall.Add(time.Hour), Token: token}); got == 0 {
		t.Fatal("not admitted")
	}
	r, err := n.DepositThrough(t.Context(), mine.net.Self(), to, token, d)
	if err != nil || r.Mbox != m.Public() {
		t.Errorf("receipt %+v, %v", r, err)
	}
	if up, _ := n.Connected(theirs.net.Self()); up {
		t.Error("the sender is connected to the recipient's community")
	}
	d.Item.Parcel = wire.Parcel{Suite: 1, CT: []byte("another")}.Append(nil)
	d.Cap = []byte("another cap that nobody opened..")
	if _, err := n.DepositThrough(t.Context(), mine.net.Self(), to, token, d); !errors.Is(err, p2p.ErrRefused) {
		t.Errorf("the refusal of the other mailbox: %v", err)
	}
	if st, err := theirs.Status(); err != nil || st.Items != 1 {
		t.Errorf("there lie %+v, %v", st, err)
	}
}
