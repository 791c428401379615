package requirements

// The messages of an outsider, written by SPEC.md and SPEC-messages.md alone: see outsider_core_test.go.

import (
	"bytes"
	"crypto/ed25519"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/testnet"
)

// A letterbox is an outsider of class M: an inbox, and no presence.
type letterbox struct {
	*outsider
	texts map[string]string // by id
	order []string
	said  map[string]bool // ids that were answered
}

func (w *world) letterbox(name string) *letterbox {
	w.Helper()
	x := &letterbox{outsider: w.outsider(name, 1, 1|2), texts: map[string]string{}, said: map[string]bool{}}
	x.on[30] = x.receive
	return x
}

// receive is 5.4: what was here before is answered again and not kept again.
func (x *letterbox) receive(in letterIn) {
	id, im := string(in.s.id()), in.body
	x.mu.Lock()
	known := x.said[id]
	x.mu.Unlock()
	disposition, reason := uint64(1), uint64(0)
	switch {
	case x.roles(in)&2 == 0 || !bytes.Equal(im.octets(3), deviceOf(in.s.key)):
		disposition, reason = 4, 13
	case !known && (im.number(5) > nowMs()+120_000 || len(im.all(15)) > 0):
		disposition, reason = 4, 20
	case !known && nowMs() > im.number(6):
		disposition, reason = 4, 15
	case !known:
		x.mu.Lock()
		x.said[id], x.texts[id] = true, string(im.octets(8))
		x.order = append(x.order, string(im.octets(8)))
		x.mu.Unlock()
	}
	x.ack(in, disposition, reason)
}

func (x *letterbox) inbox() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string{}, x.order...)
}

// im is a message to somebody, signed (5.1).
func (x *letterbox) im(to *acquaintance, text string, life time.Duration, more ...[]byte) signedBytes {
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(x.rand, nonce); err != nil {
		panic(err)
	}
	sent := nowMs()
	head := message(octets(1, x.address), octets(2, to.address), octets(3, deviceOf(x.d.Public().(ed25519.PublicKey))), octets(4, nonce),
		number(5, sent), number(6, sent+uint64(life/time.Millisecond)), octets(7, []byte("text/plain")), octets(8, []byte(text)))
	return signs(x.d, 30, append([][]byte{head}, more...)...)
}

// posts hands a message over on a stream to the node p.
func (x *letterbox) posts(p peer.ID, to *acquaintance, s signedBytes) (status uint64) {
	return x.stream(p, "/hum/parcel/1").ask(opParcel, x.parcel(to, s)).number(4)
}

// A client of messages that was built from the core and the document of messages alone writes to a node and is written
// to: each message is delivered once, with a word for it that both can check, also twice handed over, expired, refused,
// or after a restart (seed ask S48).
func TestReq_S48_MessagesByTheirDocumentAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, box := w.person("bob"), w.letterbox("box")
		k := box.meets(bob.card())
		if got := addressText(k.address); got != bob.address() {
			t.Fatalf("his address is read as %s", got)
		}
		outcome := func(s signedBytes, disposition, reason uint64) {
			t.Helper()
			if err := await(soon, "an ack", func() bool { d, r := box.outcome(s); return d == disposition && r == reason }); err != nil {
				d, r := box.outcome(s)
				t.Errorf("the outcome is %d for %d, not %d for %d", d, r, disposition, reason)
			}
		}
		at := peerOf(bob)
		first := box.im(k, "from outside", time.Hour)
		for range 2 {
			if s := box.posts(at, k, first); s != statusOK {
				t.Fatalf("status %d", s)
			}
			outcome(first, 1, 0)
		}
		row := bob.one("from outside")
		if !row.Verified || row.From.String() != addressText(box.address) || !row.FirstContact || len(bob.inbox()) != 1 {
			t.Errorf("bob has %+v", row)
		}
		late := box.im(k, "too late", -time.Minute)
		box.posts(at, k, late)
		outcome(late, 4, 15)
		strange := box.im(k, "with what nobody knows", time.Hour, octets(16, message(octets(1, []byte("x.example.org/a")), number(3, 1))))
		box.posts(at, k, strange)
		outcome(strange, 4, 11)

		// The other way: an answer, by what was attached; then by card alone, to one whom nobody met before.
		r, err := bob.Reply(ctx(), row.ID.String(), node.Draft{Content: []byte("an answer")})
		w.must(err)
		bob.comesTo(r, "delivered", soon)
		other := w.letterbox("other")
		_, err = bob.Add(ctx(), other.card(), "other")
		w.must(err)
		to := func(text string) node.Sent {
			return bob.draft(node.Draft{To: "other", Content: []byte(text), Expires: time.Hour})
		}
		for _, text := range []string{"one", "two", "three"} { // from the second on a session is offered, which it has not
			bob.comesTo(to(text), "delivered", soon)
		}
		bob.kill(testnet.Crash)
		bob.up()
		again := to("after a restart")
		bob.comesTo(again, "delivered", soon)
		proof, err := bob.Export(ctx(), node.ExportQuery{Kind: node.KindReceipt, ID: again.ID.String()})
		w.must(err)
		if v, err := node.Verify(proof.Content); err != nil || v.State != "delivered" {
			t.Errorf("its word proves %+v, %v", v, err)
		}
		if got := strings.Join(other.inbox(), ", ") + "; " + strings.Join(box.inbox(), ", "); got != "one, two, three, after a restart; an answer" {
			t.Errorf("outside there are %s", got)
		}
		if _, err = bob.Watch(ctx(), "other", "", 0); code(err) != "no-presence-service" { // its record says what it is for
			t.Errorf("a request to watch it: %v", err)
		}
		if len(box.unasked)+len(other.unasked) > 0 {
			t.Errorf("what its documents do not know: %q %q", box.unasked, other.unasked)
		}
		forged := box.im(k, "signed by nobody", time.Hour)
		forged.raw[len(forged.raw)-1] ^= 1
		box.posts(at, k, forged)
		w.finds("a message with a wrong signature", await(soon, "it is delivered", func() bool { d, _ := box.outcome(forged); return d == 1 }))
	})
}
