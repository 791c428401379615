package requirements

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A liar is a community node that does what it is asked, and something else.
type liar struct {
	p2p.Custodian
	mu    sync.Mutex
	lie   string
	first map[wire.PublicKey][]byte // what each slot held first
	any   []byte                    // the newest of all slots
	seen  [][]byte                  // every item that it listed
	given []byte                    // what it gives whoever asks for anything, nil: see lie
}

func (l *liar) tells(lie string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lie = lie
}

// gives has it answer every GET with the same, or with nil as before.
func (l *liar) gives(b []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given = b
}

func (l *liar) HandleHost(p p2p.PeerID, r wire.HostRequest) (wire.Time, wire.FrameStatus) {
	l.mu.Lock()
	lie := l.lie
	l.mu.Unlock()
	if lie == "keeps no key" {
		return r.Until, wire.OK
	}
	return l.Custodian.HandleHost(p, r)
}

func (l *liar) HandlePut(c wire.Context, k wire.PublicKey, raw []byte) wire.FrameStatus {
	s := l.Custodian.HandlePut(c, k, raw)
	l.mu.Lock()
	defer l.mu.Unlock()
	if s == wire.OK && l.first[k] == nil {
		l.first[k] = raw
	}
	l.any = raw
	return s
}

func (l *liar) HandleGet(k wire.PublicKey) ([]byte, bool) {
	b, ok := l.Custodian.HandleGet(k)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.given != nil {
		return l.given, true
	}
	switch l.lie {
	case "withholds":
		return nil, false
	case "rolls back":
		return l.first[k], l.first[k] != nil
	case "hands out another's slot":
		return l.any, true
	case "forges":
		b = slices.Clone(b)
		if ok {
			b[len(b)/2] ^= 1
		}
	case "truncates":
		b = b[:len(b)/2]
	}
	return b, ok
}

func (l *liar) HandleMbox(ctx context.Context, p p2p.PeerID, n wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte) {
	s, reply := l.Custodian.HandleMbox(ctx, p, n, f)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case f.Op == wire.OpDeposit && l.lie == "forges" && len(reply) > 0:
		reply = slices.Clone(reply)
		reply[len(reply)-1] ^= 1 // a receipt that nobody signed
	case f.Op == wire.OpCommit && l.lie == "forgets what was committed":
		return wire.OK, nil
	}
	if f.Op != wire.OpList && f.Op != wire.OpWait || s != wire.OK {
		return s, reply
	}
	listing, err := wire.ParseMboxListing(reply)
	if err != nil {
		return s, reply
	}
	l.seen = append(l.seen, listing.Items...)
	switch l.lie {
	case "withholds":
		return s, nil
	case "reorders":
		slices.Reverse(listing.Items)
		slices.Reverse(listing.Until)
	case "replays":
		for i, x := range l.seen {
			listing.Items, listing.Until = append(listing.Items, x), append(listing.Until, wire.Time(1e15+i))
		}
	case "forges":
		for i := range listing.Items {
			listing.Items[i] = slices.Clone(listing.Items[i])
			listing.Items[i][len(listing.Items[i])/2] ^= 1
		}
	case "truncates":
		for i, x := range listing.Items {
			listing.Items[i] = x[:len(x)/2]
		}
	}
	return s, listing.Append(nil)
}

// Whatever one of Bob's two community nodes does with what it keeps, no message is lost, none comes twice, and nobody
// is shown what Bob did not say; what is wrong is refused and counted, and costs no more than a request now and then.
func TestReq_2_5_1_LyingCommunity(t *testing.T) {
	lies := []struct{ lie, counted string }{
		{"withholds", ""}, {"reorders", ""}, {"rolls back", ""}, {"replays", "item-again"}, {"forges", "undecryptable"}, {"truncates", "bad-item"},
		{"hands out another's slot", ""}, {"forgets what was committed", "item-again"}, {"keeps no key", ""},
	}
	inWorld(t, func(w *world) {
		l := &liar{first: map[wire.PublicKey][]byte{}}
		d, bob, alice := w.operator("d"), w.person("bob"), w.person("alice")
		m := w.operator("m", func(o *operator) {
			o.lies = func(c p2p.Custodian) p2p.Custodian { l.Custodian = c; return l }
		})
		bob.enters(d.invite(1))
		bob.enters(m.invite(1))
		alice.watch(bob)
		time.Sleep(10 * time.Second)
		for i, x := range lies {
			l.tells(x.lie)
			text, note := fmt.Sprint("text ", i), fmt.Sprint("note ", i)
			bob.note(note)
			w.within(time.Minute, x.lie+": alice reads "+note, func() bool { return alice.sees(bob).Note == note })
			time.Sleep(5 * time.Second)
			bob.down()
			s := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 24 * time.Hour})
			alice.comesTo(s, "stored", 2*time.Minute)
			time.Sleep(5 * time.Minute)
			if got := alice.sees(bob); got.Basic != "closed" {
				t.Errorf("%s: with bob away alice sees %+v", x.lie, got)
			}
			alice.down()
			bob.up()
			w.within(20*time.Minute, x.lie+": bob has "+text, func() bool { return bob.has(text) == 1 })
			alice.up()
			alice.comesTo(s, "delivered", 20*time.Minute)
			time.Sleep(5 * time.Minute)
			if n := bob.has(text); n != 1 {
				t.Errorf("%s: bob has it %d times", x.lie, n)
			}
			if x.counted != "" && bob.refused(x.counted) == 0 {
				t.Errorf("%s: bob counted no %s", x.lie, x.counted)
			}
			if asked := bob.refused("item-again") + bob.refused("bad-item"); asked > 2000 {
				t.Errorf("%s: bob looked at what is no good %d times", x.lie, asked)
			}
		}
	})
}
