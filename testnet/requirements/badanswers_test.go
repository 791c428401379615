package requirements

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A caller is the network part of a node, that asks Carol. What it hears it drops.
type caller struct{ p2p.Handler }

func (caller) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec) {}
func (caller) HandleFault(p2p.PeerID, wire.PublicKey, string)              {}
func (caller) HandleClock(p2p.PeerID, wire.Time)                           {}
func (caller) HandlePeer(p2p.PeerID, bool, bool)                           {}
func (caller) IsContact(p2p.PeerID) bool                                   { return true }

// A verdict is what answers a CLAIM.
type verdict struct{ V uint32 }

func (v verdict) Append(b []byte) []byte { return wire.ClaimVerdict(v.V).Append(b) }

// S33, the other way again: every field of every reply but that to RECORDS, wrong in turn, and every status that says
// no. Whoever asked is told by the kind of the error that he was refused, and nothing is taken from it; what is right
// is taken after it, on the same stream.
func TestReq_S33_EveryReply(t *testing.T) {
	inWorld(t, func(w *world) {
		c := w.hostile("carol")
		c.host.SetStreamHandler(mboxProto, func(s network.Stream) { c.serve(mboxProto, s) })
		var says atomic.Pointer[wire.Frame] // to all but the question for a nonce
		var nonce atomic.Pointer[[]byte]
		n := wire.NonceReply{Nonce: wire.Nonce{1}}.Append(nil)
		nonce.Store(&n)
		for _, proto := range []string{parcelProto, presenceProto, mboxProto} {
			c.answer[proto] = func(_ peer.ID, f wire.Frame) []wire.Frame {
				r := *says.Load()
				if f.Op == wire.OpList && proto == mboxProto && len(f.Payload) == 0 {
					r = wire.Frame{Status: wire.DENIED, Payload: *nonce.Load()}
				}
				r.ID, r.Op = f.ID, f.Op
				return []wire.Frame{r}
			}
		}
		net, err := p2p.Open(p2p.Config{Transport: [32]byte{7}, Host: w.host(w.ip()), Clock: testnet.NewClock().Now, Rand: randomOf("a caller")})
		w.must(err)
		run, stop := context.WithCancel(ctx())
		ended := make(chan error, 1)
		go func() { ended <- net.Run(run, caller{}) }()
		<-net.Ready()
		at := p2p.PeerID(c.host.ID())
		net.Keep(at, [][]byte{testnet.Addr(c.ip).Bytes()}, p2p.Watched)

		e, reader, asked := newKeys("an epoch").a, newKeys("a reader").a, 0
		dep := wire.Deposit{Mbox: e.Public(), Item: wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: []byte("sealed")}.Append(nil)}}
		key, err := c.host.Peerstore().PrivKey(c.host.ID()).Raw()
		w.must(err)
		signer := identity.NewSigningKey([32]byte(key[:32]))
		list := func() error {
			_, err := net.List(ctx(), at, false, func(wire.Nonce) wire.Signed { return wire.Sign(reader, wire.TypeMboxList, nil) })
			return err
		}
		deposit := func() error { _, err := net.Deposit(ctx(), at, dep); return err }
		get := func() error { _, _, err := net.Get(ctx(), at, e.Public()); return err }
		kept := func() error { _, err := net.GetKept(ctx(), at, e.Public()); return err }
		claim := func() error {
			_, err := net.Claim(ctx(), at, wire.Claim{Handle: "a@b.example", Record: []byte("x")})
			return err
		}
		pair := func() error {
			_, err := net.Pair(ctx(), at, nil, wire.PairRequest{Address: c.address(), Proof: [32]byte{1}})
			return err
		}
		watch := func() error { // each time another key, and what is refused is asked again later
			asked++
			k := newKeys(fmt.Sprint("an epoch ", asked)).a.Public()
			w.must(net.Follow(k, []p2p.PeerID{at}))
			defer net.Unfollow(k, 0)
			time.Sleep(5 * time.Second)
			if !net.Path(k).Up {
				return p2p.ErrRefused
			}
			return nil
		}
		ok := func(b []byte) { says.Store(&wire.Frame{Status: wire.OK, Payload: b}) }
		told := 0
		broken := func(name string, right []byte, cases []damage, say func([]byte), ask func() error) {
			t.Helper()
			cases = append([]damage{{"nothing wrong", right, fine}}, cases...)
			slices.SortStableFunc(cases, func(x, y damage) int { return strings.Compare(y.want, x.want) })
			for _, d := range cases {
				say(d.b)
				err := ask()
				told++
				if refused := errors.Is(err, p2p.ErrRefused); refused != (err != nil) || refused != (d.want != fine) {
					t.Errorf("%s, %s: %v", name, d.what, err)
				}
			}
		}
		receipt := wire.MboxReceipt{Mbox: dep.Mbox, Digest: dep.Item.Digest(), Until: 9}
		signed := wire.Sign(signer, wire.TypeMboxReceipt, receipt.Append(nil))
		broken("the receipt", signed.Append(nil), damagesIn(filled[wire.Signed](), signed), ok, deposit)
		broken("what it says", receipt.Append(nil), damagesIn(filled[wire.MboxReceipt](), receipt), func(b []byte) {
			ok(wire.Sign(signer, wire.TypeMboxReceipt, b).Append(nil))
		}, deposit)
		for what, s := range map[string]wire.Signed{
			"of another node":    wire.Sign(reader, wire.TypeMboxReceipt, receipt.Append(nil)),
			"of another type":    wire.Sign(signer, wire.TypeMboxCommit, receipt.Append(nil)),
			"of another mailbox": wire.Sign(signer, wire.TypeMboxReceipt, wire.MboxReceipt{Mbox: reader.Public(), Digest: receipt.Digest, Until: 9}.Append(nil)),
			"of another item":    wire.Sign(signer, wire.TypeMboxReceipt, wire.MboxReceipt{Mbox: dep.Mbox, Digest: [32]byte{1}, Until: 9}.Append(nil)),
		} {
			if ok(s.Append(nil)); !errors.Is(deposit(), p2p.ErrRefused) {
				t.Errorf("a receipt %s is taken", what)
			}
		}
		listing := wire.MboxListing{Items: [][]byte{wire.MboxItem(dep.Item).Append(nil)}, Until: []wire.Time{300}}
		broken("a listing", listing.Append(nil), slices.DeleteFunc(damagesIn(filled[wire.MboxListing](), listing), func(d damage) bool {
			return d.what == "Items missing" || d.what == "Until missing"
		}), ok, list)
		for _, l := range []wire.MboxListing{{Items: listing.Items}, {Until: listing.Until}} {
			if ok(l.Append(nil)); !errors.Is(list(), p2p.ErrRefused) {
				t.Errorf("a listing of %d items and %d times is taken", len(l.Items), len(l.Until))
			}
		}
		ok(listing.Append(nil))
		answer := wire.NonceReply{Nonce: wire.Nonce{1}}
		broken("a nonce", answer.Append(nil), damagesIn(filled[wire.NonceReply](), answer), func(b []byte) { nonce.Store(&b) }, list)
		nonce.Store(&n)

		topic := wire.NewUpdate(e, wire.Tag{1}, now(), make([]byte, 28+256)).Raw
		recs := wire.GetReply{Recs: [][]byte{topic}, Now: now()}
		broken("what is held", recs.Append(nil), damagesIn(filled[wire.GetReply](), recs), ok, get)
		slot := wire.GetReply{Recs: [][]byte{wire.NewKept(wire.ContextSlot, e, now(), []byte("slot")).Raw}, Now: now()}
		broken("what is kept", slot.Append(nil), slices.DeleteFunc(damagesIn(filled[wire.GetReply](), slot), func(d damage) bool { return d.what == "Recs missing" }), ok, kept)
		for what, reply := range map[string][][]byte{"nothing": nil, "two": {slot.Recs[0], slot.Recs[0]}, "one of a topic": {topic}, "one that is none": {{1}}, "another's": {wire.NewKept(wire.ContextSlot, reader, now(), []byte("slot")).Raw}} {
			ok(wire.GetReply{Recs: reply}.Append(nil))
			if err := kept(); !errors.Is(err, p2p.ErrRefused) && (reply != nil || !errors.Is(err, p2p.ErrNotFound)) {
				t.Errorf("kept is %s: %v", what, err)
			}
		}
		watched := wire.WatchReply{Unknown: []wire.PublicKey{reader.Public()}, Now: now()}
		broken("a watch", watched.Append(nil), damagesIn(filled[wire.WatchReply](), watched), ok, watch)
		broken("a verdict", verdict{1}.Append(nil), damagesIn(verdict{1}, verdict{1}), ok, claim)
		paired := wire.PairReply{Records: c.records[1:2]}
		broken("a pairing", paired.Append(nil), damagesIn(filled[wire.PairReply](), paired), ok, pair)

		busy := wire.BusyReply{Seconds: 7} // of which what is wrong is not heeded: it says nothing then
		for _, d := range append(damagesIn(busy, busy), damage{"nothing wrong", busy.Append(nil), "7"}) {
			says.Store(&wire.Frame{Status: wire.BUSY, Payload: d.b})
			s, wait, err := net.Send(ctx(), at, []byte{1})
			want := wire.BusyDefaultSeconds * time.Second
			if d.want == "7" || d.want == fine && d.what != "Seconds missing" {
				want = 7 * time.Second
			}
			if err != nil || s != wire.BUSY || wait != want {
				t.Errorf("busy, %s: %v, %v, %v", d.what, s, wait, err)
			}
			told++
		}
		host := func() error { return net.AskHost(ctx(), at, wire.HostRequest{Key: e.Public(), Until: now()}) }
		put := func() error {
			return net.Put(ctx(), at, wire.PutRequest{Ctx: wire.ContextTopic, Key: e.Public(), Rec: topic})
		}
		reg := func() error { return net.AskMbox(ctx(), at, wire.OpReg, signed) }
		for s, want := range map[wire.FrameStatus]error{wire.BUSY: p2p.ErrBusy, wire.QUOTA: p2p.ErrBusy, wire.STALE: p2p.ErrStale, wire.NOT_FOUND: p2p.ErrNotFound,
			wire.MALFORMED: p2p.ErrRefused, wire.DENIED: p2p.ErrRefused, wire.NO_KEY: p2p.ErrRefused, wire.UNKNOWN_OP: p2p.ErrRefused, 99: p2p.ErrRefused} {
			says.Store(&wire.Frame{Status: s})
			for what, ask := range map[string]func() error{"host": host, "put": put, "reg": reg, "deposit": deposit, "list": list, "get": get, "kept": kept, "claim": claim, "pair": pair} {
				if err := ask(); !errors.Is(err, want) {
					t.Errorf("%s, answered by status %v: %v, not %v", what, s, err, want)
				}
				told++
			}
		}
		t.Logf("%d replies with one thing wrong", told)
		stop()
		<-ended
		w.must(net.Close())
	})
}
