package p2p

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// servePresence answers a stream of /hum/presence/1 (SPEC 4.6).
func (n *Net) servePresence(st *inStream) server {
	w := &watcher{d: n.door, st: st, keys: map[PublicKey]bool{}}
	return server{
		request: w.request,
		oneWay:  func(wire.Frame) {},
		idle:    w.idle,
		closed:  w.close,
	}
}

// A watcher is one stream that may WATCH.
type watcher struct {
	d    *door
	st   *inStream
	keys map[PublicKey]bool // guarded by d.mu
}

func (w *watcher) request(f wire.Frame) (wire.FrameStatus, []byte) {
	switch f.Op {
	case wire.OpWatch:
		return w.watch(f)
	case wire.OpUnwatch:
		return w.unwatch(f)
	case wire.OpGet:
		return w.get(f)
	case wire.OpHost, wire.OpPut:
		return w.keepFor(f)
	case wire.OpClaim:
		return w.claim(f)
	}
	return wire.UNKNOWN_OP, nil
}

// watch is exactly: register, send what is held, send OK, then send what is newly accepted. All is
// queued in one step under the lock that new Recs need, so there is no gap between.
func (w *watcher) watch(f wire.Frame) (wire.FrameStatus, []byte) {
	if !w.d.n.inbound.allowPresence(w.st.peer) {
		return wire.BUSY, busy(time.Second)
	}
	req, err := wire.ParseWatchRequest(f.Payload)
	if err != nil {
		return unread(err), nil
	}
	if req.Upstream == nil {
		return w.watchHere(f, req.Keys)
	}
	return w.asMember(f, req.Token, func(context.Context) (wire.FrameStatus, []byte) {
		if s := w.d.n.custody.through(req.Keys, *req.Upstream); s != wire.OK {
			return s, nil
		}
		return w.watchHere(f, req.Keys)
	})
}

// asMember answers a request for which others are to be asked, if it is a member's, beside the others of its
// stream.
func (w *watcher) asMember(f wire.Frame, token []byte, answer func(context.Context) (wire.FrameStatus, []byte)) (wire.FrameStatus, []byte) {
	x := w.d.n.custody
	if x == nil {
		return wire.DENIED, nil
	}
	return w.st.later(f, func(ctx context.Context) (wire.FrameStatus, []byte) {
		if !x.c.HandleMember(token) {
			return wire.DENIED, nil
		}
		return answer(ctx)
	})
}

func (w *watcher) watchHere(f wire.Frame, keys []PublicKey) (wire.FrameStatus, []byte) {
	for _, e := range keys {
		w.d.n.custody.join(e)
	}
	now := w.d.n.now()
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if !w.st.alive() {
		return 0, nil // it has ended, and what it watched was given up
	}
	if s := w.room(now, keys); s != 0 {
		return s, busyIf(s)
	}
	reply := wire.WatchReply{Now: now.Wall}
	for _, e := range keys {
		k := w.d.keys[e]
		if k == nil || !k.serves(now) {
			reply.Unknown = append(reply.Unknown, e)
			continue
		}
		w.register(e, k)
		for _, r := range k.holds() {
			w.st.out.putRec(recKey{e, r.Tag, r.IsBeacon()}, r.Raw)
		}
	}
	if !w.st.reply(f, wire.OK, reply.Append(nil)) {
		w.st.s.Reset()
	}
	return 0, nil
}

// room returns QUOTA if the stream would watch too many keys, BUSY if the node would; d.mu is held.
func (w *watcher) room(now identity.Now, keys []PublicKey) wire.FrameStatus {
	add := map[PublicKey]bool{}
	for _, e := range keys {
		if k := w.d.keys[e]; k != nil && k.serves(now) && !w.keys[e] {
			add[e] = true
		}
	}
	switch {
	case len(w.keys)+len(add) > wire.MaxWatch:
		return wire.QUOTA
	case w.d.watched+len(add) > cmp.Or(w.d.n.cfg.WatchKeys, wire.MaxWatchNode):
		return wire.BUSY
	}
	return 0
}

func busyIf(s wire.FrameStatus) []byte {
	if s == wire.BUSY {
		return busy(time.Minute)
	}
	return nil
}

func (w *watcher) register(e PublicKey, k *doorKey) {
	w.keys[e] = true
	if !k.watchers[w.st] {
		k.watchers[w.st] = true
		w.d.watched++
	}
}

func (w *watcher) unregister(e PublicKey) {
	delete(w.keys, e)
	if k := w.d.keys[e]; k != nil && k.watchers[w.st] {
		delete(k.watchers, w.st)
		w.d.watched--
	}
}

// unread is how a WATCH that does not parse is answered: one of too many keys is over a count (SPEC 3.9).
func unread(err error) wire.FrameStatus {
	if errors.Is(err, wire.ErrTooLarge) {
		return wire.QUOTA
	}
	return wire.MALFORMED
}

func (w *watcher) unwatch(f wire.Frame) (wire.FrameStatus, []byte) {
	req, err := wire.ParseWatchRequest(f.Payload)
	if err != nil {
		return unread(err), nil
	}
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for _, e := range req.Keys {
		w.unregister(e)
	}
	return wire.OK, nil
}

func (w *watcher) get(f wire.Frame) (wire.FrameStatus, []byte) {
	if !w.d.n.inbound.allowPresence(w.st.peer) {
		return wire.BUSY, busy(time.Second)
	}
	req, err := wire.ParseGetRequest(f.Payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	now := w.d.n.now()
	recs, known := w.d.held(now, req.Key)
	if req.Upstream != nil && len(recs) == 0 {
		return w.asMember(f, req.Token, func(ctx context.Context) (wire.FrameStatus, []byte) {
			if s, reply := w.getKept(now, req.Key); s == wire.OK {
				return s, reply
			}
			return w.d.n.custody.getThrough(ctx, req)
		})
	}
	if len(recs) == 0 {
		if s, reply := w.getKept(now, req.Key); s == wire.OK || !known {
			return s, reply
		}
	}
	reply := wire.GetReply{Now: now.Wall}
	for _, r := range recs {
		reply.Recs = append(reply.Recs, r.Raw)
	}
	return wire.OK, reply.Append(nil)
}

// held returns what is held of a key, and false if it is not served.
func (d *door) held(now identity.Now, e PublicKey) ([]wire.Rec, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	if k == nil || !k.serves(now) {
		return nil, false
	}
	return k.holds(), true
}

// getKept answers the GET of a slot or a bundle.
func (w *watcher) getKept(now identity.Now, k PublicKey) (wire.FrameStatus, []byte) {
	if x := w.d.n.custody; x != nil {
		if rec, ok := x.c.HandleGet(k); ok {
			return wire.OK, wire.GetReply{Recs: [][]byte{rec}, Now: now.Wall}.Append(nil)
		}
	}
	return wire.NOT_FOUND, nil
}

// keepFor answers HOST and PUT.
func (w *watcher) keepFor(f wire.Frame) (wire.FrameStatus, []byte) {
	x := w.d.n.custody
	switch {
	case x == nil:
		return wire.UNKNOWN_OP, nil
	case !w.d.n.inbound.allowMbox(w.st.peer):
		return wire.BUSY, busy(time.Second)
	}
	return w.st.later(f, func(context.Context) (wire.FrameStatus, []byte) {
		if f.Op == wire.OpHost {
			return x.host(w.st, f)
		}
		return x.put(f)
	})
}

// idle lets a stream live as long as something is watched on it.
func (w *watcher) idle() time.Duration {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	if len(w.keys) > 0 {
		return 0
	}
	return acceptorIdle
}

func (w *watcher) close() {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	for e := range w.keys {
		w.unregister(e)
	}
}

// Serve publishes on the topic of e, an epoch of our own, and answers WATCH and GET for it until
// `until`+S; then e is unknown here and its topic is left. Errors: [ErrBadKey], [ErrFull], [ErrClosed].
func (n *Net) Serve(e PublicKey, until Time) error {
	if err := n.gossip.join(e, func(t *topic) { t.served = true }); err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	n.door.serve(e, until)
	return nil
}

// Unserve ends that at once.
func (n *Net) Unserve(e PublicKey) {
	n.door.unserve(e)
	if !n.gossip.release(e, func(t *topic) { t.served = false }) {
		n.door.shut(e) // a hosted key without a topic
	}
}

// Held returns what a GET of e is answered with, if e is served here.
func (n *Net) Held(e PublicKey) []wire.Rec {
	recs, _ := n.door.held(n.now(), e)
	return recs
}

func (d *door) serve(e PublicKey, until Time) {
	d.open(e)
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	k.served, k.until = true, until
}

func (d *door) unserve(e PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keys[e]; k != nil {
		k.served = false
		d.watched -= len(k.watchers)
		clear(k.watchers)
	}
}

// ended returns the served keys whose time is over.
func (d *door) ended(now identity.Now) (es []PublicKey) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for e, k := range d.keys {
		if k.served && !k.serves(now) {
			es = append(es, e)
		}
	}
	return es
}

// Publish sends r to all who follow e: on the topic first, then on the WATCH streams; a failure of
// one does not stop the other. Errors: [ErrBadRec] if r would be refused by others, [ErrNotServed],
// else what gossip says. That nobody is there to hear is no error: see Audience.
func (n *Net) Publish(e PublicKey, r wire.Rec) error {
	parsed, err := wire.ParseRec(r.Raw)
	if err != nil || !parsed.Verify(e) || n.now().Ahead(parsed.T) {
		return fmt.Errorf("publish: %w", ErrBadRec)
	}
	if err := n.door.mayPublish(e, parsed); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	err = n.gossip.publish(n.ctx, e, parsed.Raw)
	n.door.own(e, parsed)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

// Copy asks p, which serves e as well, for what it holds, and serves what is newer here too. The topic's copy of it
// is passed on all the same. Errors as of [Net.Get].
func (n *Net) Copy(ctx context.Context, p PeerID, e PublicKey) error {
	recs, _, err := n.Get(ctx, p, e)
	for _, r := range recs {
		n.door.copy(e, r)
	}
	return err
}

// Audience returns how many peers have announced the topic of e, and how many streams WATCH it here.
func (n *Net) Audience(e PublicKey) (topicPeers, streams int) {
	n.door.mu.Lock()
	if k := n.door.keys[e]; k != nil {
		streams = len(k.watchers)
	}
	n.door.mu.Unlock()
	return len(n.gossip.peers(e)), streams
}
