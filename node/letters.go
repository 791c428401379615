package node

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A letter is one Signed on its way to devices of an address (SPEC 3.7).
type letter struct {
	to     identity.Address
	role   identity.Roles    // the devices it is for
	device identity.DeviceID // only this one, unless zero
	signed wire.Signed
	until  identity.Time // a custodian's hint; zero: 30 days
	cek    [32]byte
	tag    [16]byte // that its ack carries, zero until it is worked out
	ct     []byte
	all    bool          // all my records are attached, also those that the peer has answered
	also   []wire.Signed // attached besides
	gave   told          // the records that are attached
	clear  bool          // ct is not sealed (SPEC 8, suite 0)
	fresh  bool          // nobody has taken it before, so that a session may carry it

	early map[identity.DeviceID]wire.Wrap // made while the letter was being saved, see offer
	sub   wire.SubID                      // the subscription that a request or its end is about
	reply *wire.Endpoint                  // where its recipient said that answers to him may be left
}

// wraps wraps the key of the letter for each recipient.
func (l *letter) wraps(to []wire.Recipient) ([]wire.Wrap, error) {
	if len(to) == 1 {
		if w, ok := l.early[to[0].Device]; ok && w.Kid == to[0].Kid {
			return []wire.Wrap{w}, nil
		}
	}
	return wire.WrapFor(identity.Suite1, l.cek, l.ct, to)
}

// seal draws a fresh key and seals the letter under it, with the records that the peer lacks.
func (n *Node) seal(l *letter) error {
	l.tag = [16]byte{}
	if _, err := io.ReadFull(n.cfg.Rand, l.cek[:]); err != nil {
		return err
	}
	has := n.pins.told(l.to)
	if l.all || l.to == n.self.Address { // of my devices it is not kept which has what
		has = told{}
	}
	attached, gave := n.own.Load().attachments(has)
	ct, err := wire.SealInner(n.cfg.Rand, l.cek, wire.Inner{Signed: l.signed, Attached: append(attached, l.also...)})
	l.ct, l.gave = ct, gave
	return err
}

// A target is a device that a letter can be wrapped for, and where it may be found.
type target struct {
	to   wire.Recipient
	home *place // its Reach, if it told one
}

var errNoSuite = &Error{Kind: KindUnreachable, Code: wire.ReasonNoCommonSuite.String(), Message: "the recipient has no key of a suite that this version knows"}

var errNoKeys = &Error{Kind: KindUnreachable, Code: wire.ReasonNoKeys.String(), Message: "no usable key of the recipient is known"}

// targets are the devices of an address in a role. It asks RECORDS first if what is pinned is missing or
// has expired; a device record up to 30 days past its end may serve if nobody answers (SPEC 3.7).
func (n *Node) targets(ctx context.Context, a identity.Address, role identity.Roles, only identity.DeviceID) ([]target, error) {
	pin := n.pins.get(a)
	if n.moves.current(a) != a {
		return nil, errMoved
	}
	if _, frozen := n.moves.frozen(a); frozen {
		return nil, n.errFrozen(a)
	}
	if pin == nil || pin.Expired(n.now()) || len(targetsOf(pin, n.now(), role, only, 0)) == 0 {
		fresh, err := n.askRecords(ctx, a, n.places(a))
		if err != nil && (pin == nil || pin.Expired(n.now())) {
			return nil, err
		}
		if fresh != nil {
			pin = fresh
		}
	}
	out := targetsOf(pin, n.now(), role, only, 0)
	if len(out) == 0 {
		out = targetsOf(pin, n.now(), role, only, identity.DeviceRecordGrace)
	}
	switch {
	case len(out) > 0:
		return out, nil
	case slices.ContainsFunc(pin.Devices, func(d identity.PinnedDevice) bool { return len(d.Record.PreKeys) > 0 }):
		return nil, errNoSuite
	}
	return nil, errNoKeys
}

func targetsOf(pin *identity.Pin, now identity.Now, role identity.Roles, only identity.DeviceID, grace time.Duration) (out []target) {
	for _, d := range pin.Record.Devices {
		id := d.ID()
		if d.Roles&role == 0 || d.Roles&identity.RoleDelegate != role&identity.RoleDelegate || only != (identity.DeviceID{}) && id != only {
			continue
		}
		if d.NotAfter != 0 && now.Wall > d.NotAfter {
			continue
		}
		k := pin.Device(id)
		if k == nil || len(k.Record.PreKeys) == 0 || k.Record.Expires.Add(grace) < now.Wall {
			continue
		}
		t := target{to: wire.Recipient{Address: pin.Record.Address, Device: id}}
		for _, pk := range k.Record.PreKeys {
			if pk.Suite == identity.Suite1 && t.to.Key == nil {
				t.to.Key, t.to.Kid = pk.Public, identity.KeyIDOf(pk.Public)
			}
		}
		if t.to.Key == nil {
			continue
		}
		if k.Reach != nil {
			t.home = &place{p2p.PeerID(k.Reach.Peer), k.Reach.Addrs}
		}
		out = append(out, t)
	}
	return out
}

// A result is what became of one try to hand a letter over: taken by somebody, or why not.
type result struct {
	taken  bool
	status wire.FrameStatus // what was answered instead, 0 if nobody did
	after  time.Duration    // of BUSY: not before
	err    error
	sent   bool   // it went out at some place, and what became of it there is not known
	via    string // the way that it went there
}

// noRoute is what shows that a try went nowhere.
const noRoute = "no connection came about"

// evidence is what shows what became of a try.
func (r result) evidence() string {
	switch {
	case r.taken:
		return "answer TAKEN, " + r.via
	case r.status != 0:
		return "answer " + strings.ToUpper(strings.ReplaceAll(r.status.String(), "-", "_")) + ", " + r.via
	case r.sent:
		return "no answer to what was sent " + r.via
	}
	return noRoute
}

// A handover is one place of a letter, and the devices that it is wrapped for there.
type handover struct {
	at place
	to []wire.Recipient
}

// deliver hands a sealed letter to each device it can reach. A device whose place is known gets its own
// Wrap alone; at a place that a card named, all devices are wrapped for (SPEC 3.7).
func (n *Node) deliver(ctx context.Context, l *letter, to []target) result {
	n.expectAck(l)
	known := map[p2p.PeerID]bool{}
	var own, carded []handover
	var every []wire.Recipient
	places := n.places(l.to)
	for _, t := range to {
		every = append(every, t.to)
		if t.home == nil {
			continue
		}
		known[t.home.peer] = true
		for _, p := range places { // with the addresses of his card, should those of his Reach be old
			if p.peer == t.home.peer {
				own = append(own, handover{p, []wire.Recipient{t.to}})
			}
		}
	}
	r := n.handAll(ctx, l, own).or(result{err: errNoPlace(n.name(l.to))})
	if r.taken {
		return r
	}
	for _, p := range places {
		if !known[p.peer] {
			carded = append(carded, handover{p, every})
		}
	}
	return r.or(n.handAll(ctx, l, carded))
}

// handAll hands a letter over at several places at once. Once it is taken at one it waits for no other:
// those go on by themselves.
func (n *Node) handAll(ctx context.Context, l *letter, at []handover) (r result) {
	if len(at) == 1 {
		return n.hand(ctx, l, at[0].at, at[0].to)
	}
	results := make(chan result, len(at))
	var taken atomic.Bool
	for _, h := range at {
		n.spawn(func(run context.Context) {
			run, end := context.WithCancel(run)
			defer end()
			defer context.AfterFunc(ctx, func() {
				if !taken.Load() {
					end()
				}
			})()
			results <- n.hand(run, l, h.at, h.to)
		})
	}
	for range at {
		select {
		case s := <-results:
			if r = r.or(s); r.taken {
				taken.Store(true)
				return r
			}
		case <-n.ctx.Done(): // nothing is begun any more
			return r.or(result{err: n.ctx.Err(), sent: true})
		}
	}
	return r
}

// or keeps the better of two results.
func (r result) or(s result) result {
	sent := r.sent || s.sent
	if s.rank() > r.rank() {
		r = s
	}
	r.sent = sent
	return r
}

// rank orders results by how much is to be learned from them.
func (r result) rank() int {
	switch {
	case r.taken:
		return 5
	case r.status == wire.BUSY || r.status == wire.QUOTA:
		return 4
	case r.status == wire.NO_KEY:
		return 3
	case r.status != 0:
		return 2
	case r.err != nil:
		return 1
	}
	return 0
}

// handTimeout bounds one try: dialling, the frame and its reply.
const handTimeout = 15 * time.Second

func (n *Node) hand(ctx context.Context, l *letter, at place, to []wire.Recipient) result {
	ctx, done := context.WithTimeout(ctx, handTimeout)
	defer done()
	n.keep(l.to, at)
	defer n.unkeep(l.to)
	status, after, err := n.handTo(ctx, l, at.peer, to)
	via := "over a direct connection"
	if relayed := n.viaRelay(at.peer); relayed != "" {
		via = relayed
	}
	switch {
	case err != nil:
		n.log.Debug("a place was not reached", "err", err)
		return result{err: err, sent: errors.Is(err, p2p.ErrUnanswered), via: via}
	case status == wire.OK:
		return result{taken: true, via: via}
	case status == wire.NO_KEY:
		return result{status: status, err: errors.New("the key is not known there"), via: via}
	case status == wire.BUSY || status == wire.QUOTA:
		return result{status: status, after: max(after, time.Second), err: errors.New("busy"), via: via}
	}
	return result{status: status, err: errors.New("refused the parcel: " + status.String()), via: via}
}

// viaRelay is the way to p, if it leads through a relay: by the name of its community, if that is one of mine.
func (n *Node) viaRelay(p p2p.PeerID) string {
	relay, ok := n.net.Through(p)
	switch {
	case !ok:
		return ""
	case slices.ContainsFunc(n.joined.all(), func(m membership) bool { return m.peer() == relay }):
		return "through the relay of " + n.relayName(relay)
	}
	return "through a relay"
}

// handTo sends a letter to a peer: to one device in the session of the stream, if there is one (SPEC 3.10),
// else wrapped by the prekeys of all devices that it is for. What was taken before is wrapped by a prekey, and
// ends the session: whoever took it may not have been able to open it.
func (n *Node) handTo(ctx context.Context, l *letter, peer p2p.PeerID, to []wire.Recipient) (wire.FrameStatus, time.Duration, error) {
	p := wire.Parcel{Suite: identity.Suite1, CT: l.ct, ExpiresS: wire.ParcelExpiry(l.hint(n.now()))}
	if l.clear {
		p.Suite = wire.SuiteClear
		return n.net.Send(ctx, peer, p.Append(nil))
	}
	wrap := func(s *wire.Session) (_ []byte, err error) {
		if s != nil {
			p.Wraps = []wire.Wrap{s.Wrap(n.cfg.Rand, l.cek, l.ct)}
		} else {
			p.Wraps, err = l.wraps(to)
		}
		return p.Append(nil), err
	}
	switch {
	case len(to) == 1 && l.fresh:
		return n.net.SendTo(ctx, peer, to[0], wrap)
	case len(to) == 1:
		n.net.EndSession(peer, to[0])
	}
	b, err := wrap(nil)
	if err != nil {
		return 0, 0, err
	}
	return n.net.Send(ctx, peer, b)
}

func (l *letter) hint(now identity.Now) identity.Time {
	if l.until != 0 {
		return l.until
	}
	return now.Wall.Add(30 * 24 * time.Hour)
}

// back sends a letter on the stream by which its recipient came, if it stands (SPEC 4.8).
func (n *Node) back(l *letter, to target, peer p2p.PeerID) bool {
	wraps, err := wire.WrapFor(identity.Suite1, l.cek, l.ct, []wire.Recipient{to.to})
	if err != nil {
		return false
	}
	n.expectAck(l)
	p := wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: l.ct, ExpiresS: wire.ParcelExpiry(l.hint(n.now()))}
	return n.net.Push(peer, p.Append(nil))
}

// expectAck has the ack of a letter found by its tag.
func (n *Node) expectAck(l *letter) {
	if l.tag == ([16]byte{}) {
		l.tag = wire.AckTag(l.cek)
	}
	n.letters.put(l.tag, sentLetter{to: l.to, cek: l.cek, id: l.signed.ID(), kind: l.signed.Type, sub: l.sub, gave: l.gave})
}

// busyTries is how often a control letter goes again to who was too busy to read it. Many who ask somebody at once
// would else be heard ten minutes later, as if nobody had been there.
const busyTries = 4

// sendControl seals a control letter and delivers it once, or while who is to have it is busy a few times more, each
// after twice the pause; the state machines repeat what must be.
func (n *Node) sendControl(ctx context.Context, l *letter) result {
	to, err := n.targets(ctx, l.to, l.role, l.device)
	if err != nil {
		return result{err: err}
	}
	if err := n.seal(l); err != nil {
		return result{err: err}
	}
	r := n.deliver(ctx, l, to)
	for tries := 0; r.status == wire.BUSY && tries < busyTries && ctx.Err() == nil; tries++ {
		sleep(ctx, time.Duration((1+n.jitter())*float64(r.after<<tries)))
		r = n.deliver(ctx, l, to)
	}
	if r.status != wire.NO_KEY {
		return r
	}
	if _, err := n.askRecords(ctx, l.to, n.places(l.to)); err != nil {
		return r
	}
	if to, err = n.targets(ctx, l.to, l.role, l.device); err != nil {
		return r
	}
	return n.deliver(ctx, l, to)
}

// sentLetter is what is needed to open the ack of a letter.
type sentLetter struct {
	to     identity.Address
	cek    [32]byte
	id     wire.MID
	kind   wire.Type
	sub    wire.SubID // of a request or its end
	gave   told
	hidden bool // of an anonymous message: this node asks nobody about its answer
}

// letterBook remembers the letters that may still be answered, the newest 4 096: one that is forgotten is
// answered again when it is sent again.
type letterBook struct {
	mu    sync.Mutex
	byTag map[[16]byte]sentLetter
	order [][16]byte
}

const lettersKept = 4096

func (b *letterBook) put(tag [16]byte, l sentLetter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byTag == nil {
		b.byTag = map[[16]byte]sentLetter{}
	}
	if _, ok := b.byTag[tag]; !ok {
		b.order = append(b.order, tag)
	}
	b.byTag[tag] = l
	if len(b.order) > lettersKept {
		delete(b.byTag, b.order[0])
		b.order = b.order[1:]
	}
}

func (b *letterBook) get(tag [16]byte) (sentLetter, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l, ok := b.byTag[tag]
	return l, ok
}

// lastTo returns what the newest letter of a kind to an address gave it.
func (b *letterBook) lastTo(a identity.Address, kind wire.Type) (told, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := len(b.order) - 1; i >= 0; i-- {
		if l := b.byTag[b.order[i]]; l.to == a && l.kind == kind {
			return l.gave, true
		}
	}
	return told{}, false
}
