package p2p

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// ErrStale says that whoever keeps a Rec has one that is as new, or newer.
var ErrStale = errors.New("something newer is there already")

// A Custodian keeps sealed bytes for others (SPEC 7): the jobs of a community node that anchors, homes and
// mailboxes are. It must be safe for concurrent use; what it answers OK must be on the disk.
type Custodian interface {
	// HandleHost decides on HOST; OK comes with the time until which the key is kept.
	HandleHost(from PeerID, r wire.HostRequest) (until Time, s wire.FrameStatus)
	// HandleRecKept saves a Rec of a hosted key that the door has let in; of two it keeps the newer. It came by
	// PUT, or by the topic of the key.
	HandleRecKept(e PublicKey, r wire.Rec) error
	// HandlePut judges and saves a Rec of a slot, a bundle or the DHT.
	HandlePut(ctx wire.Context, k PublicKey, raw []byte) wire.FrameStatus
	// HandleGet returns what a GET of a slot or a bundle is answered with, encoded, and false if there is none.
	HandleGet(k PublicKey) (rec []byte, ok bool)
	// HandleMbox answers a request of /hum/mbox/1 on a stream with this nonce. It may block until ctx ends.
	HandleMbox(ctx context.Context, from PeerID, nonce wire.Nonce, f wire.Frame) (wire.FrameStatus, []byte)
	// HandleMember reports whether token is a member's, for whom others may be asked.
	HandleMember(token []byte) bool
}

// putsQueued bounds the Recs from topics of hosted keys that are not saved yet: what does not fit is not lost to
// those who watch, and the next one is saved.
const putsQueued = 4096

// A custody is the part of a Net that serves as anchor; nil if it does not.
type custody struct {
	n    *Net
	c    Custodian
	came chan heardRec // by topics
	up   upstreams
}

func newCustody(n *Net) *custody {
	if n.cfg.Custodian == nil {
		return nil
	}
	return &custody{n: n, c: n.cfg.Custodian, came: make(chan heardRec, putsQueued), up: upstreams{m: map[PublicKey]*upstream{}}}
}

// Host keeps the Recs of e until a time, as those of an epoch of our own: it answers WATCH and GET. Its topic is
// joined once something is put, or somebody watches: a slot has none. Recs are those that were kept before, after
// a restart; the door lets in what is newer. ErrBadKey if e is no key.
func (n *Net) Host(e PublicKey, until Time, recs []wire.Rec) error {
	if !validKey(e) {
		return ErrBadKey
	}
	n.door.host(e, until)
	if len(recs) > 0 {
		n.custody.join(e)
	}
	n.door.mu.Lock()
	defer n.door.mu.Unlock()
	k := n.door.keys[e]
	if k == nil {
		return nil // it has ended meanwhile
	}
	for _, r := range recs {
		if len(k.tags) < wire.MaxTags || k.tags[r.Tag] != nil {
			k.keep(e, k.tag(r.Tag), r)
		}
	}
	return nil
}

// host begins to serve e for a member, until a time.
func (d *door) host(e PublicKey, until Time) {
	d.serve(e, until)
	d.mu.Lock()
	defer d.mu.Unlock()
	if k := d.keys[e]; k != nil {
		k.hosted = true
	}
}

// join joins the topic of a hosted key, if there is room for it; without it the key is heard by PUT alone.
func (x *custody) join(e PublicKey) {
	if x == nil || !x.n.door.hosts(e) {
		return
	}
	if err := x.n.gossip.join(e, func(t *topic) { t.served = true }); err != nil {
		x.n.log.Debug("a hosted topic was not joined", "err", err)
	}
}

// host answers HOST.
func (x *custody) host(st *inStream, f wire.Frame) (wire.FrameStatus, []byte) {
	r, err := wire.ParseHostRequest(f.Payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	until, s := x.c.HandleHost(st.peer, r)
	if s != wire.OK {
		return s, nil
	}
	if err := x.n.Host(r.Key, until, nil); err != nil {
		return wire.QUOTA, nil
	}
	return wire.OK, nil
}

// put answers PUT.
func (x *custody) put(f wire.Frame) (wire.FrameStatus, []byte) {
	r, err := wire.ParsePutRequest(f.Payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	if r.Ctx != wire.ContextTopic {
		return x.c.HandlePut(r.Ctx, r.Key, r.Rec), nil
	}
	rec, err := wire.ParseRec(r.Rec)
	if err != nil {
		return wire.MALFORMED, nil
	}
	return x.bridge(r.Key, rec), nil
}

// bridge lets in what came by PUT: it is saved, then published on the topic and pushed to WATCH streams (SPEC
// 7.1). An update may be older than an hour.
func (x *custody) bridge(e PublicKey, r wire.Rec) wire.FrameStatus {
	if s := x.n.door.mayPut(e, r); s != wire.OK {
		return s
	}
	if !r.Verify(e) {
		return wire.MALFORMED
	}
	if err := x.c.HandleRecKept(e, r); err != nil {
		x.n.log.Warn("a rec was not saved, so it was not taken; it comes again", "err", err)
		return wire.BUSY
	}
	x.join(e)
	if !x.n.door.own(e, r) {
		return wire.STALE // another came meanwhile
	}
	if err := x.n.gossip.publish(x.n.ctx, e, r.Raw); err != nil {
		x.n.log.Debug("a rec was not published", "err", err)
	}
	return wire.OK
}

// mayPut judges a Rec that was put, but for its signature.
func (d *door) mayPut(e PublicKey, r wire.Rec) wire.FrameStatus {
	now := d.n.now()
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	switch {
	case k == nil || !k.hosted || !k.serves(now), now.Ahead(r.T):
		return wire.DENIED
	case r.IsBeacon() && r.T < now.Wall.Add(-wire.RecMaxAge):
		return wire.STALE
	}
	switch t := k.tags[r.Tag]; {
	case t == nil && len(k.tags) >= wire.MaxTags:
		return wire.QUOTA
	case t != nil && !t.top.newer(now, r):
		return wire.STALE
	case !k.tag(r.Tag).rate.take(now.Mono, wire.RecBurst, 1):
		return wire.BUSY
	}
	return wire.OK
}

// tag returns the place of a tag of k; d.mu is held.
func (k *doorKey) tag(t wire.Tag) *doorTag {
	if k.tags[t] == nil {
		k.tags[t] = &doorTag{}
	}
	return k.tags[t]
}

// heard takes what came by a topic, to be saved if its key is hosted. It does not wait.
func (x *custody) heard(h heardRec) {
	if x == nil || !x.n.door.hosts(h.e) {
		return
	}
	select {
	case x.came <- h:
	default:
		x.n.stats.refuse("hosted rec queue full")
	}
}

func (d *door) hosts(e PublicKey) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	k := d.keys[e]
	return k != nil && k.hosted
}

// work saves what came by topics.
func (x *custody) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case h := <-x.came:
			if err := x.c.HandleRecKept(h.e, h.r); err != nil {
				x.n.log.Warn("a rec of a topic was not saved", "err", err)
			}
		}
	}
}

// later runs answer beside the stream's other requests, and replies when it is done.
func (st *inStream) later(f wire.Frame, answer func(ctx context.Context) (wire.FrameStatus, []byte)) (wire.FrameStatus, []byte) {
	if !st.n.spawn(func(ctx context.Context) {
		ctx, end := context.WithCancel(ctx)
		defer end()
		go func() {
			select {
			case <-st.dead:
				end()
			case <-ctx.Done():
			}
		}()
		if status, payload := answer(ctx); status != 0 && !st.reply(f, status, payload) {
			st.s.Reset()
		}
	}) {
		return wire.BUSY, busy(time.Second)
	}
	return 0, nil
}

// AskHost has the anchor at p keep the Recs of a key. Errors: [ErrUnreachable], [ErrBusy] (also over a quota),
// [ErrRefused].
func (n *Net) AskHost(ctx context.Context, p PeerID, r wire.HostRequest) error {
	return n.askPresence(ctx, p, wire.OpHost, r.Append(nil), "host")
}

// Put brings a Rec to an anchor or a home. Errors: those of AskHost, and [ErrStale].
func (n *Net) Put(ctx context.Context, p PeerID, r wire.PutRequest) error {
	return n.askPresence(ctx, p, wire.OpPut, r.Append(nil), "put")
}

func (n *Net) askPresence(ctx context.Context, p PeerID, op uint32, payload []byte, what string) error {
	f, err := n.streams.get(p, protoPresence, 0).request(ctx, op, payload, nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// GetKept asks p for the slot or the bundle under a key. Errors: those of Get; what is not signed by the key or
// comes from the future is [ErrRefused].
func (n *Net) GetKept(ctx context.Context, p PeerID, k PublicKey) (wire.Rec, error) {
	return n.getKept(ctx, p, wire.GetRequest{Key: k})
}

func (n *Net) getKept(ctx context.Context, p PeerID, req wire.GetRequest) (wire.Rec, error) {
	f, err := n.streams.get(p, protoPresence, 0).request(ctx, wire.OpGet, req.Append(nil), nil)
	if err == nil {
		err = statusError(f.Status)
	}
	if err != nil {
		return wire.Rec{}, fmt.Errorf("get: %w", err)
	}
	reply, err := wire.ParseGetReply(f.Payload)
	if err != nil || len(reply.Recs) > 1 {
		return wire.Rec{}, fmt.Errorf("get: %w: not one kept rec", ErrRefused)
	}
	if len(reply.Recs) == 0 {
		return wire.Rec{}, fmt.Errorf("get: %w", ErrNotFound)
	}
	r, err := wire.ParseKept(wire.ContextSlot, reply.Recs[0])
	if err != nil || n.now().Ahead(r.T) || !r.VerifyKept(wire.ContextSlot, req.Key) {
		n.stats.refuse("kept rec")
		return wire.Rec{}, fmt.Errorf("get: %w: not signed by its key", ErrRefused)
	}
	return r, nil
}

// Meet tells the network where a peer can be dialled, for a while.
func (n *Net) Meet(p PeerID, addrs [][]byte) {
	if p.id().Validate() == nil {
		n.host.Peerstore().AddAddrs(p.id(), n.hide.places(p.id(), multiaddrs(addrs)), meetFor)
	}
}

// meetFor is how long an address counts of somebody who is only called on.
const meetFor = 10 * time.Minute

// Key returns the Ed25519 key of a peer, which signs its receipts (SPEC 14.95); false for a peer of another kind.
func (p PeerID) Key() (PublicKey, bool) { return identity.PeerKey([]byte(p)) }
