package requirements

import (
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// S33, the other way: every field of the answer to RECORDS, wrong in turn. Alice's node takes none of it for a record
// of Carol's, says so to her, and goes on: with others at once, and with Carol once she answers as she should.
func TestReq_S33_RepliesThatAreWrong(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.add(bob)
		var says atomic.Pointer[[]byte]
		c.answer[parcelProto] = func(_ peer.ID, f wire.Frame) []wire.Frame {
			reply := wire.Frame{ID: f.ID, Op: f.Op, Status: wire.OK}
			if f.Op == wire.OpRecords {
				reply.Payload = *says.Load()
			}
			return []wire.Frame{reply}
		}
		right := wire.Bundle{Address: c.records[0], Devices: c.records[1:2], Successors: c.records[:1]} // which is none, and says nothing
		cases := damagesIn(right, right)
		slices.SortStableFunc(cases, func(x, y damage) int { return strings.Compare(y.want, x.want) }) // what is fine comes last
		refused := 0
		for _, d := range cases {
			says.Store(&d.b)
			r, err := alice.Resolve(ctx(), c.card())
			known := err == nil && r.Known
			if known != (d.want == fine) {
				t.Errorf("%s: it is known: %v, %v", d.what, known, err)
			}
			if !known {
				refused++
			}
			time.Sleep(5 * time.Second)
		}
		if refused < 5 || refused == len(cases) {
			t.Errorf("%d of %d were refused", refused, len(cases))
		}
		alice.delivers(bob, "and goes on")
		s := alice.draft(node.Draft{To: c.card(), Content: []byte("and with carol"), Expires: time.Hour})
		w.within(time.Minute, "carol has it", func() bool {
			return slices.ContainsFunc(c.opened(alice), func(o wire.Opened) bool { return o.Inner.Signed.ID() == s.ID })
		})
	})
}
