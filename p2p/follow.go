package p2p

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

const (
	followTick = 5 * time.Second  // between two looks at everything while something stirs
	followRest = time.Minute      // the same while nothing does
	stirFor    = 15 * time.Second // after a peer came, went or announced a topic: gossip learns of that by itself, and tells nobody
	watchMax   = time.Minute      // between tries to WATCH at a connected peer
)

// follows are the keys that this node hears, and moves each between its two paths.
type follows struct {
	n    *Net
	kick chan struct{}

	stirring atomic.Bool // stir was called

	mu      sync.Mutex
	m       map[PublicKey]*follow
	dirty   map[PublicKey]bool
	stirred time.Duration // until when it is looked at everything every followTick
	due     time.Duration // of the next look at everything
}

type follow struct {
	e         PublicKey
	at        []PeerID
	up        *Upstream // whom those at `at` ask in my place; nil: nobody
	move      mover
	st        *outStream // the WATCH stands on it
	busy      bool       // a WATCH is under way
	tries     int        // failed in a row
	retryAt   time.Duration
	fetching  bool
	warmAt    time.Duration      // of the next GET at another place than the WATCH stands at
	turn      int                // GETs so far: each begins at the next place
	delivered map[wire.Tag]*tops // of what went up
}

func newFollows(n *Net) *follows {
	return &follows{n: n, kick: make(chan struct{}, 1), m: map[PublicKey]*follow{}, dirty: map[PublicKey]bool{}}
}

// Follow hears e: by a WATCH at one of the peers in at, the first that is connected, and by its topic
// when that works (SPEC 4.7). Saying it again replaces at. Peers are not dialled for it: see Keep.
// Errors: [ErrBadKey], [ErrClosed].
func (n *Net) Follow(e PublicKey, at []PeerID) error { return n.follow(e, at, nil) }

func (n *Net) follow(e PublicKey, at []PeerID, up *Upstream) error {
	if !validKey(e) {
		return fmt.Errorf("follow: %w", ErrBadKey)
	}
	if n.ctx.Err() != nil {
		return fmt.Errorf("follow: %w", ErrClosed)
	}
	fs := n.follows
	now := n.now()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[e]
	if f == nil {
		f = &follow{e: e, move: mover{started: now.Mono}, delivered: map[wire.Tag]*tops{}}
		fs.m[e] = f
	}
	if !slices.Equal(f.at, at) || f.up.String() != up.String() {
		f.at, f.up, f.tries, f.retryAt = slices.Clone(at), up, 0, now.Mono
	}
	fs.touch(e)
	return nil
}

// Unfollow hears e no more. If its topic was joined, or was about to be, it is left only at leaveAfter,
// so that others do not see who stopped (SPEC 4.2, "Linger").
func (n *Net) Unfollow(e PublicKey, leaveAfter Time) {
	fs := n.follows
	fs.mu.Lock()
	f := fs.m[e]
	delete(fs.m, e)
	_, direct := fs.links(f)
	fs.mu.Unlock()
	if f == nil {
		return
	}
	if f.st != nil {
		n.spawn(func(ctx context.Context) { n.unwatch(ctx, f.st, []PublicKey{e}) })
	}
	switch {
	case f.move.mode != Stream:
		n.gossip.release(e, func(t *topic) { t.followed, t.linger = false, leaveAfter })
	case direct && !f.move.left:
		n.Linger(e, leaveAfter)
	}
}

// Linger stays on the topic of e until a time, without following it: said again after a start, when what
// was followed before is to be left like everybody else leaves it (SPEC 4.2). A light node, which is on no
// topic, does nothing.
func (n *Net) Linger(e PublicKey, until Time) {
	if n.cfg.Light || n.now().Wall >= until || n.ctx.Err() != nil {
		return
	}
	if err := n.gossip.join(e, func(t *topic) { t.linger = max(t.linger, until) }); err != nil {
		n.log.Warn("topic not joined again", "err", err)
	}
}

// Path says how e is heard; the zero value if it is not followed.
func (n *Net) Path(e PublicKey) PathState {
	n.follows.mu.Lock()
	f := n.follows.m[e]
	var p PathState
	if f != nil {
		p = PathState{Mode: f.move.mode, Up: f.st != nil}
	}
	n.follows.mu.Unlock()
	if f != nil && !p.Up && p.Mode != Stream {
		p.Up = len(n.gossip.peers(e)) > 0
	}
	return p
}

// touch has e looked at; fs.mu is held.
func (fs *follows) touch(e PublicKey) {
	fs.dirty[e] = true
	poke(fs.kick)
}

// stir has everything looked at every followTick for a while. It waits for nobody, as it is called by gossip's own loop.
func (fs *follows) stir() {
	fs.stirring.Store(true)
	poke(fs.kick)
}

// changed looks at all keys that may be watched at p.
func (fs *follows) changed(p PeerID) {
	l := fs.n.peers.link(p)
	fs.stir()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for e, f := range fs.m {
		if slices.Contains(f.at, p) {
			if l.up && f.st == nil {
				f.tries, f.retryAt = 0, 0
			}
			fs.touch(e)
		}
	}
}

// lost notes that a stream has ended. If it was its connection that ended, whatever other connection there
// is, or will be, is tried at once.
func (fs *follows) lost(st *outStream) {
	retry := fs.n.now().Mono
	if !st.s.Conn().IsClosed() {
		retry += fs.n.jitter(time.Second, 0.2)
	}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for e, f := range fs.m {
		if f.st == st {
			f.st, f.retryAt = nil, retry
			fs.touch(e)
		}
	}
}

// heard notes a Rec for the moving; it came by the topic or by a stream.
func (fs *follows) heard(e PublicKey, tag wire.Tag, path RecPath) {
	now := fs.n.now().Mono
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[e]
	if f == nil {
		return
	}
	f.move.hear(now, tag, path == ViaTopic)
	if f.move.mode == Both && f.move.heards == 2 {
		fs.touch(e)
	}
}

// deliver hands r to the handler unless this very Rec, or a newer one, has gone up before; what a
// snapshot or a GET brings always goes up.
func (fs *follows) deliver(from PeerID, path RecPath, e PublicKey, r wire.Rec) {
	fs.n.custody.brought(e, r)
	h, ok := fs.n.up()
	if !ok || !fs.fresh(path, e, r) {
		return
	}
	h.HandleRec(from, path, e, r)
}

func (fs *follows) fresh(path RecPath, e PublicKey, r wire.Rec) bool {
	now := fs.n.now()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[e]
	if f == nil {
		return false
	}
	d := f.delivered[r.Tag]
	if d == nil {
		if len(f.delivered) >= wire.MaxTags {
			return path != ViaTopic // the door bounds tags on topics; E's owner may do as he likes elsewhere
		}
		d = &tops{}
		f.delivered[r.Tag] = d
	}
	newer := d.newer(now, r)
	if newer {
		d.note(r)
	}
	return newer || path == ViaSnapshot || path == ViaFetch
}

// known reports whether r, not verified yet, can bring nothing new on a live path. It is stale if it is
// older than what came before it although nothing comes by the topic that could have been faster.
func (fs *follows) known(e PublicKey, r wire.Rec) (known, stale bool) {
	now := fs.n.now()
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[e]
	if f == nil {
		return true, false
	}
	d := f.delivered[r.Tag]
	if d == nil {
		return false, false
	}
	return !d.newer(now, r), r.T < d[kind(r)] && (f.move.mode == Stream || f.move.mode == Both && f.move.heards == 0)
}

func kind(r wire.Rec) int {
	if r.IsBeacon() {
		return 1
	}
	return 0
}

// work moves keys: those that were touched at once, and all of them when one of them is due, and a few times after peers
// have come, gone or announced something.
func (fs *follows) work(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-fs.kick:
		case <-timer.C:
		}
		fs.step(fs.take(false))
		timer.Reset(fs.pause())
	}
}

// take returns the keys to look at: those that were touched, or all of them, which is also when that is due.
func (fs *follows) take(all bool) (es []PublicKey) {
	now := fs.n.now().Mono
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if fs.stirring.Swap(false) {
		fs.stirred, fs.due = now+stirFor, min(fs.due, now+followTick)
	}
	if all || now >= fs.due {
		for e := range fs.m {
			es = append(es, e)
		}
		fs.due = now + followRest
		if now < fs.stirred {
			fs.due = now + followTick
		}
	} else {
		for e := range fs.dirty {
			es = append(es, e)
		}
	}
	clear(fs.dirty)
	return es
}

// pause is how long nothing is due.
func (fs *follows) pause() time.Duration {
	now := fs.n.now().Mono
	fs.mu.Lock()
	defer fs.mu.Unlock()
	return max(fs.due-now, time.Millisecond)
}

// A batch is what to WATCH in one request, for each peer and whom it asks in my place.
type batch map[batchAt]*watchBatch

type batchAt struct {
	at PeerID
	up string
}

type watchBatch struct {
	keys []PublicKey
	up   *Upstream
}

func (b batch) add(p PeerID, f *follow) {
	k := batchAt{p, f.up.String()}
	if b[k] == nil {
		b[k] = &watchBatch{up: f.up}
	}
	b[k].keys = append(b[k].keys, f.e)
}

func (fs *follows) step(es []PublicKey) {
	watch, unwatch := batch{}, map[*outStream][]PublicKey{}
	for _, e := range es {
		fs.stepOne(e, watch, unwatch)
	}
	for k, b := range watch {
		for part := range slices.Chunk(b.keys, wire.MaxWatch) {
			if !fs.n.spawn(func(ctx context.Context) { fs.n.watch(ctx, k.at, part, b.up) }) {
				return
			}
		}
	}
	for st, keys := range unwatch {
		fs.n.spawn(func(ctx context.Context) { fs.n.unwatch(ctx, st, keys) })
	}
}

func (fs *follows) stepOne(e PublicKey, watch batch, unwatch map[*outStream][]PublicKey) {
	v := view{now: fs.n.now().Mono, topicPeers: len(fs.n.gossip.peers(e)), getPause: fs.n.jitter(wire.SnapshotGetInterval, 0.2)}
	fs.mu.Lock()
	defer fs.mu.Unlock()
	f := fs.m[e]
	if f == nil {
		return
	}
	up, direct := fs.links(f)
	v.direct, v.watching = (direct || v.topicPeers > 0) && !fs.n.cfg.Light, f.st != nil
	was := f.move.mode
	fs.apply(f, f.move.step(v))
	if f.move.mode != was {
		fs.n.log.Debug("moved", "from", was, "to", f.move.mode, "topic peers", v.topicPeers)
	}
	fs.readWarm(f, v, up)
	switch {
	case f.move.mode == Mesh && f.st != nil:
		unwatch[f.st] = append(unwatch[f.st], e)
		f.st = nil
	case f.move.mode != Mesh && f.st == nil && !f.busy && len(up) > 0 && v.now >= f.retryAt:
		f.busy = true
		watch.add(up[f.tries%len(up)], f)
	}
	fs.due = min(fs.due, max(fs.dueOf(f, v.now), v.now+time.Second))
}

// dueOf is when time alone has f do anything; fs.mu is held.
func (fs *follows) dueOf(f *follow, now time.Duration) time.Duration {
	at := f.move.due(now)
	if f.move.mode == Mesh || f.busy {
		return at
	}
	if f.st == nil && f.retryAt > now {
		at = min(at, f.retryAt)
	}
	if f.st != nil && !f.fetching && f.warmAt > now {
		at = min(at, f.warmAt)
	}
	return at
}

// links returns which peers of f are connected, and whether one of them directly.
func (fs *follows) links(f *follow) (up []PeerID, direct bool) {
	if f == nil {
		return nil, false
	}
	for _, p := range f.at {
		if l := fs.n.peers.link(p); l.up {
			up = append(up, p)
			direct = direct || !l.limited
		}
	}
	return up, direct
}

// apply does what the mover asks for; fs.mu is held.
func (fs *follows) apply(f *follow, m move) {
	switch {
	case m.join:
		if err := fs.n.gossip.join(f.e, func(t *topic) { t.followed = true }); err != nil {
			fs.n.log.Warn("topic not joined", "err", err)
			f.move.mode, f.move.left, f.move.leftAt = Stream, true, fs.n.now().Mono
		}
	case m.leave:
		fs.n.gossip.release(f.e, func(t *topic) { t.followed = false })
	case m.get && !f.fetching:
		f.fetching = true
		if !fs.n.spawn(func(ctx context.Context) { fs.fetch(ctx, f) }) {
			f.fetching = false
		}
	}
}

// readWarm asks a second place by GET now and then, so that what the place of the WATCH withholds, or rolls back, is seen
// (SPEC 7.1). As long as none but that, among those in up, is connected the turn is kept: whoever connects is asked within
// a minute, and not at once for all that is to be asked of him, as he answers so many a minute. fs.mu is held.
func (fs *follows) readWarm(f *follow, v view, up []PeerID) {
	switch {
	case f.move.mode == Mesh || f.st == nil || f.fetching || v.now < f.warmAt:
		return
	case f.warmAt == 0: // the snapshot has just come
	case !slices.ContainsFunc(up, func(p PeerID) bool { return !f.watchedAt(p) }):
		f.warmAt = v.now + fs.n.jitter(watchMax/2, 1)
		return
	case fs.n.spawn(func(ctx context.Context) { fs.fetch(ctx, f) }):
		f.fetching = true
	}
	f.warmAt = v.now + v.getPause
}

// watchedAt reports whether the WATCH stands at p.
func (f *follow) watchedAt(p PeerID) bool { return f.st != nil && f.st.c.key.peer == p }

// fetch looks by GET for what gossip may have lost, or the place where a WATCH stands withholds: at another place than
// that, or, without a WATCH, at two, as one of them may be whom the topic comes by; and at others each time. A second
// place that gave no answer, as on a connection that is gone already, is asked again soon.
func (fs *follows) fetch(ctx context.Context, f *follow) {
	fs.mu.Lock()
	up, _ := fs.links(f)
	want := 2
	if f.st != nil {
		up, want = slices.DeleteFunc(up, f.watchedAt), 1
	}
	if len(up) > 0 {
		first := f.turn % len(up)
		up, f.turn = slices.Concat(up[first:], up[:first]), f.turn+1
	}
	fs.mu.Unlock()
	answered := fs.ask(ctx, f, up, want)
	now := fs.n.now().Mono
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if f.fetching = false; !answered {
		f.warmAt = min(f.warmAt, now+fs.n.jitter(watchMax, 0.2))
	}
	fs.due = min(fs.due, max(fs.dueOf(f, now), now+time.Second))
	poke(fs.kick)
}

// ask reads f at the first of those in at that have it, want of them, and says if anybody answered, whatever it was.
func (fs *follows) ask(ctx context.Context, f *follow, at []PeerID, want int) (answered bool) {
	for _, p := range at {
		req := wire.GetRequest{Key: f.e}
		if f.up != nil {
			req.Upstream, req.Token = &f.up.At, f.up.Token
		}
		recs, _, err := fs.n.get(ctx, p, req)
		answered = answered || err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrRefused) || errors.Is(err, ErrStale)
		if err != nil {
			continue
		}
		for _, r := range recs {
			fs.deliver(p, ViaFetch, f.e, r)
		}
		if want--; want == 0 {
			break
		}
	}
	return answered
}

// watched notes how a WATCH went: st is nil if it failed. It returns the keys that nobody follows
// any more.
func (fs *follows) watched(st *outStream, keys, unknown []PublicKey) (stale []PublicKey) {
	now := fs.n.now().Mono
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for _, e := range keys {
		f := fs.m[e]
		switch {
		case f == nil:
			stale = append(stale, e)
			continue
		case st != nil && st.alive() && !slices.Contains(unknown, e):
			f.st, f.tries = st, 0
		default:
			f.retryAt = now + fs.n.jitter(min(watchMax, time.Second<<min(f.tries, 10)), 0.2)
			f.tries++
		}
		f.busy = false
		fs.touch(e)
	}
	return stale
}
