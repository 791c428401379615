package requirements

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A between is Carol as the only way from Alice to Bob: Alice's card of him names Carol's node, and their
// own line is cut. What passes, either way, passes through mangle.
type between struct {
	*hostile
	alice, bob *person
	mangle     atomic.Pointer[mangler]
	held       atomic.Pointer[[][]byte] // what she answers to GET
}

// A mangler returns what becomes of a payload; nil is lost.
type mangler func(toBob bool, op uint32, payload []byte) [][]byte

func faithfully(_ bool, _ uint32, payload []byte) [][]byte { return [][]byte{payload} }

// between puts Carol between two people who have not met.
func (w *world) between(alice, bob *person) *between {
	w.Helper()
	x := &between{hostile: w.hostile("carol"), alice: alice, bob: bob}
	x.let(faithfully)
	x.held.Store(&[][]byte{})
	bundle := x.bundleOf(bob)
	to, err := identity.ParseAddress(addressOf(bob))
	w.must(err)
	w.net.Cut(alice.ip, bob.ip)
	x.answer[parcelProto] = func(_ peer.ID, f wire.Frame) []wire.Frame {
		reply := wire.Frame{ID: f.ID, Op: f.Op, Status: wire.OK}
		if f.Op == wire.OpRecords {
			reply.Payload = bundle.Append(nil)
		}
		return []wire.Frame{reply}
	}
	x.answer[presenceProto] = func(_ peer.ID, f wire.Frame) []wire.Frame {
		reply := wire.Frame{ID: f.ID, Op: f.Op, Status: wire.OK}
		switch f.Op {
		case wire.OpWatch:
			reply.Payload = wire.WatchReply{Now: now()}.Append(nil)
		case wire.OpGet:
			reply.Payload = wire.GetReply{Recs: *x.held.Load(), Now: now()}.Append(nil)
		}
		return []wire.Frame{reply}
	}
	_, err = alice.Add(ctx(), x.cardFor(to), bob.name)
	w.must(err)
	go x.pass()
	return x
}

func (x *between) let(m mangler) { x.mangle.Store(&m) }

// pass carries what came from one to the other.
func (x *between) pass() {
	done := map[[2]any]int{}
	take := func(p *person, op uint32) (fresh [][]byte) {
		all := x.cameFrom(p, op)
		fresh = all[done[[2]any{p, op}]:]
		done[[2]any{p, op}] = len(all)
		return fresh
	}
	for {
		select {
		case <-x.run.Done():
			return
		case <-time.After(250 * time.Millisecond):
		}
		for _, op := range []uint32{wire.OpParcel, wire.OpAckBox} {
			for _, b := range take(x.alice, op) {
				for _, b := range (*x.mangle.Load())(true, op, b) {
					x.forward(x.bob, op, b)
				}
			}
			for _, b := range take(x.bob, op) {
				for _, b := range (*x.mangle.Load())(false, op, b) {
					_ = x.push(x.alice, parcelProto, op, b)
				}
			}
		}
	}
}

func (x *between) forward(to *person, op uint32, payload []byte) {
	if op == wire.OpAckBox {
		if st, err := x.open(to, parcelProto); err == nil {
			_, _ = st.s.Write(wire.AppendFrame(nil, wire.Frame{Op: op, Payload: payload}))
		}
		return
	}
	for range 10 {
		if f, err := x.requestOnce(to, parcelProto, op, payload); err != nil || f.Status == wire.BUSY {
			time.Sleep(time.Second)
			continue
		}
		return
	}
}

// show pushes a record to Alice as a presentity's node would.
func (x *between) show(e wire.PublicKey, rec []byte) error {
	return x.push(x.alice, presenceProto, wire.OpRec, wire.RecPush{Key: e, Rec: rec}.Append(nil))
}

// showBad is show for what makes Alice's node end the stream; it waits until she has come again.
func (x *between) showBad(e wire.PublicKey, rec []byte) error {
	n := x.asked(e)
	if err := x.show(e, rec); err != nil {
		return err
	}
	_ = await(time.Minute, "", func() bool { return x.asked(e) > n }) // not every fault ends it
	return nil
}

// flip returns b with one octet changed.
func flip(b []byte, i int) []byte {
	out := append([]byte{}, b...)
	out[i] ^= 0x55
	return out
}

// asked is how often Alice asked Carol for a topic.
func (x *between) asked(e wire.PublicKey) (n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.frames {
		if f.from == string(peerOf(x.alice)) && f.proto == presenceProto && f.Op == wire.OpWatch {
			if r, err := wire.ParseWatchRequest(f.Payload); err == nil && slices.Contains(r.Keys, e) {
				n++
			}
		}
	}
	return n
}
