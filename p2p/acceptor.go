package p2p

import (
	"context"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const acceptorIdle = 15 * time.Minute // longer than any opener of ours keeps an unused stream

// An inStream is one stream that a peer opened to us: it sends requests, we reply.
type inStream struct {
	n     *Net
	peer  PeerID
	proto protocol.ID
	s     network.Stream
	out   *outbox
	dead  chan struct{}
	why   error // of the end of reading; the reader's alone

	session held // touched by the reader alone
}

// A server answers requests. It returns the status and payload of the reply; one-way frames have no
// reply, and an unknown one-way op is ignored.
type server struct {
	request func(f wire.Frame) (wire.FrameStatus, []byte)
	oneWay  func(f wire.Frame)
	idle    func() time.Duration
	closed  func()
}

// accept runs a stream that a peer opened, until it ends. A peer that came before Run waits.
func (n *Net) accept(s network.Stream, serve func(*inStream) server) {
	wait := time.NewTimer(openTimeout)
	defer wait.Stop()
	select {
	case <-n.ready:
	case <-n.ctx.Done():
	case <-wait.C:
	}
	st := &inStream{n: n, peer: PeerID(s.Conn().RemotePeer()), proto: s.Protocol(), s: s, out: n.outboxTo(s), dead: make(chan struct{})}
	if !n.spawn(func(ctx context.Context) { st.run(ctx, serve) }) {
		s.Reset()
	}
}

// run serves until the stream or ctx ends.
func (st *inStream) run(ctx context.Context, serve func(*inStream) server) {
	defer context.AfterFunc(ctx, func() { st.s.Reset() })()
	if !st.n.inbound.enter(st) {
		st.n.stats.refuse("too many streams")
		st.s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	srv := serve(st)
	defer st.end(&srv)
	st.why = readFrames(st.s, srv.idle, func(f wire.Frame) bool { return st.frame(&srv, f) })
}

// end gives up a stream that is not read any more.
//
//go:noinline
func (st *inStream) end(srv *server) {
	st.n.log.Debug("stream ended", "peer", st.peer, "proto", st.proto, "err", st.why)
	st.s.Reset()
	close(st.dead)
	srv.closed()
	st.n.inbound.leave(st)
}

// frame handles one frame; false resets the stream (SPEC 3.6).
func (st *inStream) frame(srv *server, f wire.Frame) bool {
	switch f.Kind() {
	case wire.OneWay:
		srv.oneWay(f)
		return true
	case wire.Reply:
		st.n.stats.refuse("status in a request")
		return false
	}
	if !st.out.begin(f.ID) {
		st.n.stats.refuse("request id in use")
		return false
	}
	status, payload := srv.request(f)
	if status == 0 {
		return true // srv has replied
	}
	return st.reply(f, status, payload)
}

// alive reports whether st goes on. What it is asked for under the lock of what closed gives up is given up then.
func (st *inStream) alive() bool {
	select {
	case <-st.dead:
		return false
	default:
		return true
	}
}

func (st *inStream) reply(f wire.Frame, status wire.FrameStatus, payload []byte) bool {
	if status != wire.OK {
		st.n.stats.refuse(refusal(st.proto, f.Op, status))
	}
	return st.out.put(wire.Frame{ID: f.ID, Op: f.Op, Status: status, Payload: payload})
}

// refusal names a counter; ops and statuses are few, so the names are.
func refusal(proto protocol.ID, op uint32, status wire.FrameStatus) string {
	names := map[uint32]string{wire.OpParcel: "parcel", wire.OpAckBox: "ackbox", wire.OpRecords: "records", wire.OpSession: "session"}
	if proto == protoPresence {
		names = map[uint32]string{wire.OpWatch: "watch", wire.OpUnwatch: "unwatch", wire.OpGet: "get", wire.OpPut: "put", wire.OpHost: "host", wire.OpClaim: "claim"}
	}
	if proto == protoMbox {
		names = map[uint32]string{wire.OpReg: "reg", wire.OpCap: "cap", wire.OpDeposit: "deposit", wire.OpList: "list",
			wire.OpWait: "wait", wire.OpCommit: "commit", wire.OpForward: "forward", wire.OpOnce: "once"}
	}
	name := names[op]
	if name == "" {
		name = "other"
	}
	return name + " " + status.String()
}

// busy is the payload of BUSY: how long to wait.
func busy(d time.Duration) []byte {
	s := uint32((d + time.Second - 1) / time.Second)
	return wire.BusyReply{Seconds: s}.Append(nil)
}
