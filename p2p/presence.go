package p2p

import (
	"context"
	"fmt"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func validKey(e PublicKey) bool { return identity.ValidKey(e) }

// watch asks p for keys, at most 256, with one WATCH.
func (n *Net) watch(ctx context.Context, p PeerID, keys []PublicKey, up *Upstream) {
	st, reply, err := n.tryWatch(ctx, p, keys, up)
	if err != nil {
		n.log.Debug("watch failed", "peer", p, "err", err)
		n.follows.watched(nil, keys, nil)
		return
	}
	if stale := n.follows.watched(st, keys, reply.Unknown); len(stale) > 0 {
		n.unwatch(ctx, st, stale)
	}
	if h, ok := n.up(); ok {
		h.HandleClock(p, reply.Now)
	}
}

// tryWatch finds a stream to p with room for keys and sends the WATCH on it, once more on a new one
// if the stream that there was turns out to be dead.
func (n *Net) tryWatch(ctx context.Context, p PeerID, keys []PublicKey, up *Upstream) (*outStream, wire.WatchReply, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for lane := 0; lane < streamsPerPeer; {
		st, fresh, err := n.streams.get(p, protoPresence, lane).stream(ctx)
		if err != nil {
			return nil, wire.WatchReply{}, err
		}
		if !st.expect(keys) {
			lane++
			continue
		}
		reply, err := st.sendWatch(ctx, keys, up)
		if err == nil || fresh || st.alive() || ctx.Err() != nil {
			return st, reply, err
		}
	}
	return nil, wire.WatchReply{}, fmt.Errorf("watch: %w: too many keys at one peer", ErrBusy)
}

// sendWatch sends the WATCH. What comes before its OK is the snapshot.
func (st *outStream) sendWatch(ctx context.Context, keys []PublicKey, up *Upstream) (reply wire.WatchReply, err error) {
	var refused error
	r := wire.WatchRequest{Keys: keys}
	if up != nil {
		r.Upstream, r.Token = &up.At, up.Token
	}
	f, err := st.call(ctx, wire.OpWatch, r.Append(nil), func(_ *outStream, f wire.Frame) {
		if refused = statusError(f.Status); refused == nil {
			reply, refused = wire.ParseWatchReply(f.Payload)
		}
		st.answered(keys, reply.Unknown, refused == nil)
	})
	if err == nil && refused != nil {
		err = fmt.Errorf("watch: %w: status %v", refused, f.Status)
	}
	return reply, err
}

// expect makes room for keys on st, whose Recs are those of a snapshot until answered.
func (st *outStream) expect(keys []PublicKey) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	add := 0
	for _, e := range keys {
		if !st.keys[e] {
			add++
		}
	}
	if len(st.keys)+add > wire.MaxWatch {
		return false
	}
	for _, e := range keys {
		st.keys = with(st.keys, e, true)
		st.snaps = with(st.snaps, e, st.snaps[e]+1)
	}
	return true
}

// answered ends the snapshot of keys, and forgets those that are not watched after all.
func (st *outStream) answered(keys, unknown []PublicKey, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, e := range keys {
		if st.snaps[e] > 1 {
			st.snaps[e]--
		} else {
			st.snaps = without(st.snaps, e)
		}
		if !ok || slices.Contains(unknown, e) {
			st.keys = without(st.keys, e)
		}
	}
}

// path says how a Rec of e on st comes; false if e is not watched on it.
func (st *outStream) path(e PublicKey) (RecPath, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.snaps[e] > 0 {
		return ViaSnapshot, true
	}
	return ViaStream, st.keys[e]
}

func (st *outStream) watches() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.keys) > 0
}

func (st *outStream) alive() bool {
	select {
	case <-st.dead:
		return false
	default:
		return true
	}
}

// unwatch ends the WATCH of keys on st.
func (n *Net) unwatch(ctx context.Context, st *outStream, keys []PublicKey) {
	for part := range slices.Chunk(keys, wire.MaxWatch) {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		_, err := st.call(ctx, wire.OpUnwatch, wire.WatchRequest{Keys: part}.Append(nil), func(*outStream, wire.Frame) {
			st.forget(part)
		})
		cancel()
		if err != nil {
			n.log.Debug("unwatch failed", "peer", st.c.key.peer, "err", err)
		}
	}
}

// forget drops keys from st unless a WATCH of them is under way again.
func (st *outStream) forget(keys []PublicKey) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, e := range keys {
		if st.snaps[e] == 0 {
			st.keys = without(st.keys, e)
		}
	}
}

// takeRecFrame takes a REC of a watched key. Recs of others are dropped unread; false, for a Rec that
// no correct node sends, resets the stream.
func (n *Net) takeRecFrame(st *outStream, f wire.Frame) bool {
	if f.Op != wire.OpRec {
		return true
	}
	push, err := wire.ParseRecPush(f.Payload)
	if err != nil {
		n.fault(st.c.key.peer, PublicKey{}, "pushed rec malformed")
		return false
	}
	path, ok := st.path(push.Key)
	if !ok {
		n.fault(st.c.key.peer, push.Key, "pushed rec of unknown key")
		return true
	}
	r, err := wire.ParseRec(push.Rec)
	if err != nil {
		n.fault(st.c.key.peer, push.Key, "pushed rec malformed")
		return false
	}
	if known, stale := n.follows.known(push.Key, r); known && path == ViaStream {
		if stale {
			n.fault(st.c.key.peer, push.Key, "rec not newer")
		}
		n.follows.heard(push.Key, r.Tag, path)
		return true // the topic was faster
	}
	if !n.sound(st.c.key.peer, push.Key, &r) {
		return n.now().Ahead(r.T)
	}
	n.follows.heard(push.Key, r.Tag, path)
	n.follows.deliver(st.c.key.peer, path, push.Key, r)
	return true
}

// sound reports whether r is of now and signed by e; a stamp that lies ahead is not remembered
// (SPEC 1).
func (n *Net) sound(from PeerID, e PublicKey, r *wire.Rec) bool {
	if n.now().Ahead(r.T) {
		n.fault(from, e, "rec ahead")
		return false
	}
	if !r.Verify(e) {
		n.fault(from, e, "rec signature")
		return false
	}
	return true
}

// Get asks p for what it holds of e, and for its clock. Recs that are malformed, ahead of time or not
// signed by e are left out; HandleClock is called too. Errors: [ErrUnreachable], [ErrNotFound],
// [ErrBusy] (also over 60 a minute), [ErrRefused].
func (n *Net) Get(ctx context.Context, p PeerID, e PublicKey) ([]wire.Rec, Time, error) {
	return n.get(ctx, p, wire.GetRequest{Key: e})
}

func (n *Net) get(ctx context.Context, p PeerID, req wire.GetRequest) ([]wire.Rec, Time, error) {
	e := req.Key
	f, err := n.streams.get(p, protoPresence, 0).request(ctx, wire.OpGet, req.Append(nil), nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("get: %w", err)
	}
	reply, err := wire.ParseGetReply(f.Payload)
	if err != nil {
		return nil, 0, fmt.Errorf("get: %w: %v", ErrRefused, err)
	}
	if h, ok := n.up(); ok {
		h.HandleClock(p, reply.Now)
	}
	var recs []wire.Rec
	for _, b := range reply.Recs[:min(len(reply.Recs), 2*wire.MaxTags)] {
		r, err := wire.ParseRec(b)
		switch {
		case err != nil:
			n.fault(p, e, "rec malformed")
		case n.sound(p, e, &r):
			recs = append(recs, r)
		}
	}
	return recs, reply.Now, nil
}
