package requirements

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

const (
	parcelProto   = "/hum/parcel/1"
	presenceProto = "/hum/presence/1"
)

// A hostile is Carol: a host with our protocols and gossip, and with keys of her own, that does nothing
// by itself. What others send her she keeps.
type hostile struct {
	w    *world
	host host.Host
	ps   *pubsub.PubSub
	run  context.Context // ends with the world
	ip   string
	got  *tape
	rand interface{ Read([]byte) (int, error) }

	a, d    identity.SigningKey
	pre     *identity.PreKeySecret
	records []wire.Signed // address, device, reach
	bundle  wire.Bundle
	answer  map[string]func(from peer.ID, f wire.Frame) []wire.Frame // by protocol: what requests get; nil is nothing

	mu      sync.Mutex
	streams map[peer.ID]map[string]*rawStream     // that she opened
	came    map[peer.ID]map[string]network.Stream // that were opened to her
	frames  []frameOn                             // everything that came
	topics  map[wire.PublicKey]*pubsub.Topic
	heard   map[wire.PublicKey][][]byte // on topics
	keys    map[[16]byte][32]byte       // of Parcels that she sent, by the tag of their ack
	pruned  map[peer.ID]int             // how often somebody has put her out of a mesh
}

// hostile adds Carol, or another like her.
func (w *world) hostile(name string) *hostile {
	w.Helper()
	now := identity.TimeOf(time.Now())
	c := &hostile{w: w, ip: w.ip(), got: &tape{}, rand: randomOf("hostile", name), streams: map[peer.ID]map[string]*rawStream{},
		came: map[peer.ID]map[string]network.Stream{}, topics: map[wire.PublicKey]*pubsub.Topic{}, heard: map[wire.PublicKey][][]byte{},
		keys: map[[16]byte][32]byte{}, pruned: map[peer.ID]int{}, answer: map[string]func(peer.ID, wire.Frame) []wire.Frame{}}
	seed := identity.Seed(sha256.Sum256([]byte("seed of " + name)))
	c.a, c.d = seed.AddressKey(0), identity.NewSigningKey(sha256.Sum256([]byte("device of "+name)))
	var err error
	c.pre, err = identity.NewPreKeySecret(sha256.Sum256([]byte("prekey of " + name)))
	w.must(err)
	w.net.Capture(c.ip, c.got.add)
	key, _, err := crypto.GenerateEd25519Key(randomOf("transport", name))
	w.must(err)
	c.host, err = libp2p.New(append(w.net.Host(c.ip), libp2p.Identity(key), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery())...)
	w.must(err)
	var stop context.CancelFunc
	c.run, stop = context.WithCancel(ctx())
	c.ps, err = pubsub.NewGossipSub(c.run, c.host, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
		pubsub.WithEventTracer(c), pubsub.WithFloodPublish(true), pubsub.WithMessageIdFn(func(m *pb.Message) string { return wire.GossipID(m.GetTopic(), m.GetData()) }))
	w.must(err)
	for _, proto := range []string{parcelProto, presenceProto} {
		c.host.SetStreamHandler(protocol.ID(proto), func(s network.Stream) { c.serve(proto, s) })
	}
	w.ends = append(w.ends, func() { stop(); _ = c.host.Close() })
	c.records = c.recordsAt(now, seed.Commitment(0))
	c.bundle = wire.Bundle{Address: c.records[0], Devices: c.records[1:2]}
	c.answer[parcelProto] = c.politely
	return c
}

// Trace counts who puts her out of a mesh.
func (c *hostile) Trace(e *pb.TraceEvent) {
	if e.GetType() != pb.TraceEvent_PRUNE {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruned[peer.ID(e.GetPrune().GetPeerID())]++
}

// prunedBy is how often somebody's node has put Carol out of a mesh.
func (c *hostile) prunedBy(p *person) int {
	id := peerOf(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pruned[id]
}

// recordsAt are Carol's own records, in order.
func (c *hostile) recordsAt(now identity.Time, recovery [32]byte) []wire.Signed {
	all := identity.RoleAdmin | identity.RoleInbox | identity.RolePublisher
	ar := identity.AddressRecord{Address: c.address(), Seq: now, Expires: now.Add(identity.AddressRecordLife), Services: identity.Inbox | identity.Presentity,
		Devices: []identity.Device{{Key: c.d.Public(), Roles: all}}, Recovery: recovery}
	dr := identity.DeviceRecord{Address: c.address(), Device: c.device(), Seq: now, Expires: now.Add(identity.DeviceRecordLife),
		PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: c.pre.Public()}}}
	re := identity.Reach{Address: c.address(), Device: c.device(), Seq: now, Peer: []byte(c.host.ID()), Addrs: [][]byte{testnet.Addr(c.ip).Bytes()}}
	return []wire.Signed{wire.Sign(c.a, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, ar)),
		wire.Sign(c.d, wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, dr)), wire.Sign(c.d, wire.TypeReach, wire.AppendReach(nil, re))}
}

func (c *hostile) address() identity.Address { return identity.Address(c.a.Public()) }
func (c *hostile) device() identity.DeviceID { return identity.DeviceIDOf(c.d.Public()) }

// card is Carol's own card; cardFor names her node as the place of somebody else.
func (c *hostile) card() string { return c.cardFor(c.address()) }

func (c *hostile) cardFor(a identity.Address) string {
	return identity.Card{Address: a, Dial: []string{testnet.Addr(c.ip).String() + "/p2p/" + c.host.ID().String()}}.String()
}

// politely answers as a node does, with the records of c.bundle.
func (c *hostile) politely(_ peer.ID, f wire.Frame) []wire.Frame {
	reply := wire.Frame{ID: f.ID, Op: f.Op, Status: wire.OK}
	if f.Op == wire.OpRecords {
		reply.Payload = c.bundle.Append(nil)
	}
	return []wire.Frame{reply}
}

// serve keeps what comes on a stream, and answers requests.
func (c *hostile) serve(proto string, s network.Stream) {
	from := s.Conn().RemotePeer()
	c.mu.Lock()
	if c.came[from] == nil {
		c.came[from] = map[string]network.Stream{}
	}
	c.came[from][proto] = s
	c.mu.Unlock()
	for r := bufio.NewReader(s); ; {
		f, err := wire.ReadFrame(r)
		if err != nil {
			_ = s.Reset()
			return
		}
		c.keep(from, proto, f)
		if answer := c.answer[proto]; f.ID != 0 && answer != nil {
			for _, reply := range answer(from, f) {
				_, _ = s.Write(wire.AppendFrame(nil, reply))
			}
		}
	}
}

func (c *hostile) keep(from peer.ID, proto string, f wire.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = append(c.frames, frameOn{string(from), proto, time.Now(), f})
}

// push writes a one-way frame on a stream that somebody opened to Carol.
func (c *hostile) push(to *person, proto string, op uint32, payload []byte) error {
	c.mu.Lock()
	s := c.came[peerOf(to)][proto]
	c.mu.Unlock()
	if s == nil {
		return errors.New("no stream of his")
	}
	_, err := s.Write(wire.AppendFrame(nil, wire.Frame{Op: op, Payload: payload}))
	return err
}

// cameFrom are the payloads of an op that somebody's node sent to Carol, on whosever stream.
func (c *hostile) cameFrom(p *person, op uint32) (out [][]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.frames {
		if f.from == string(peerOf(p)) && f.proto == parcelProto && f.Op == op && f.Status == 0 {
			out = append(out, f.Payload)
		}
	}
	return out
}

// peerOf is the libp2p id of somebody's node, by his card.
func peerOf(p *person) peer.ID {
	info, err := infoOf(p)
	if err != nil {
		p.w.Fatal(err)
	}
	return info.ID
}

// infoOf is where somebody's node is, also while it is off.
func infoOf(p *person) (*peer.AddrInfo, error) {
	if p.info != nil {
		return p.info, nil
	}
	card, err := identity.ParseCard(p.card())
	if err != nil {
		return nil, err
	}
	if len(card.Dial) == 0 {
		return nil, errors.New("a card without a place")
	}
	m, err := ma.NewMultiaddr(card.Dial[0])
	if err != nil {
		return nil, err
	}
	p.info, err = peer.AddrInfoFromP2pAddr(m)
	return p.info, err
}

// meet connects Carol to somebody.
func (c *hostile) meet(p *person) {
	c.w.Helper()
	info, err := infoOf(p)
	c.w.must(err)
	c.w.must(c.host.Connect(ctx(), *info))
}

// A rawStream is a stream that Carol opened.
type rawStream struct {
	s       network.Stream
	mu      sync.Mutex
	next    uint32
	replies map[uint32]chan wire.Frame
	over    chan struct{}
}

func (c *hostile) open(p *person, proto string) (*rawStream, error) {
	id := peerOf(p)
	c.mu.Lock()
	st := c.streams[id][proto]
	c.mu.Unlock()
	if st != nil {
		select {
		case <-st.over:
		default:
			return st, nil
		}
	}
	info, err := infoOf(p)
	if err == nil {
		err = c.host.Connect(ctx(), *info)
	}
	if err != nil {
		return nil, err
	}
	s, err := c.host.NewStream(ctx(), id, protocol.ID(proto))
	if err != nil {
		return nil, err
	}
	st = &rawStream{s: s, replies: map[uint32]chan wire.Frame{}, over: make(chan struct{})}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams[id] == nil {
		c.streams[id] = map[string]*rawStream{}
	}
	c.streams[id][proto] = st
	go c.listen(id, proto, st)
	return st, nil
}

func (c *hostile) listen(from peer.ID, proto string, st *rawStream) {
	defer close(st.over)
	for r := bufio.NewReader(st.s); ; {
		f, err := wire.ReadFrame(r)
		if err != nil {
			return
		}
		c.keep(from, proto, f)
		st.mu.Lock()
		if ch := st.replies[f.ID]; ch != nil && f.ID != 0 {
			ch <- f
			delete(st.replies, f.ID)
		}
		st.mu.Unlock()
	}
}

// request asks somebody's node and returns its reply; a stream that has died meanwhile is opened anew.
func (c *hostile) request(p *person, proto string, op uint32, payload []byte) (f wire.Frame, err error) {
	for range 3 {
		if f, err = c.requestOnce(p, proto, op, payload); err == nil {
			return f, nil
		}
		time.Sleep(time.Second)
	}
	return f, err
}

func (c *hostile) requestOnce(p *person, proto string, op uint32, payload []byte) (wire.Frame, error) {
	st, err := c.open(p, proto)
	if err != nil {
		return wire.Frame{}, err
	}
	st.mu.Lock()
	st.next++
	id, ch := st.next, make(chan wire.Frame, 1)
	st.replies[id] = ch
	_, err = st.s.Write(wire.AppendFrame(nil, wire.Frame{ID: id, Op: op, Payload: payload}))
	st.mu.Unlock()
	if err != nil {
		return wire.Frame{}, err
	}
	select {
	case f := <-ch:
		return f, nil
	case <-st.over:
		return wire.Frame{}, errors.New("the stream was reset")
	case <-time.After(30 * time.Second):
		return wire.Frame{}, errors.New("no reply in 30 s")
	}
}

// pour writes requests without waiting for their replies, as many as a stream may have open, and then counts them.
func (c *hostile) pour(p *person, op uint32, payloads [][]byte) (replies map[wire.FrameStatus]int) {
	c.w.Helper()
	st, err := c.open(p, parcelProto)
	c.w.must(err)
	var frames []byte
	all := make(chan wire.Frame, len(payloads))
	st.mu.Lock()
	for _, b := range payloads {
		st.next++
		st.replies[st.next] = all
		frames = wire.AppendFrame(frames, wire.Frame{ID: st.next, Op: op, Payload: b})
	}
	st.mu.Unlock()
	_, err = st.s.Write(frames)
	c.w.must(err)
	replies = map[wire.FrameStatus]int{}
	for range payloads {
		select {
		case f := <-all:
			replies[f.Status]++
		case <-st.over:
			c.w.Fatal("the stream was reset")
		}
	}
	return replies
}

// hand gives somebody's node a Parcel, as it is, and waits while it is too busy.
func (c *hostile) hand(p *person, parcel []byte) wire.FrameStatus {
	c.w.Helper()
	for {
		f, err := c.request(p, parcelProto, wire.OpParcel, parcel)
		c.w.must(err)
		if f.Status != wire.BUSY {
			return f.Status
		}
		time.Sleep(time.Second)
	}
}

// tell sends a one-way frame.
func (c *hostile) tell(p *person, proto string, op uint32, payload []byte) {
	c.w.Helper()
	st, err := c.open(p, proto)
	c.w.must(err)
	_, err = st.s.Write(wire.AppendFrame(nil, wire.Frame{Op: op, Payload: payload}))
	c.w.must(err)
}

// bundleOf asks somebody's node for his records, as anybody may.
func (c *hostile) bundleOf(p *person) wire.Bundle {
	c.w.Helper()
	a, err := identity.ParseAddress(addressOf(p))
	c.w.must(err)
	f, err := c.request(p, parcelProto, wire.OpRecords, wire.RecordsRequest{Address: a}.Append(nil))
	c.w.must(err)
	b, err := wire.ParseBundle(f.Payload)
	c.w.must(err)
	return b
}

// recipients are the devices of somebody, to wrap for.
func recipients(b wire.Bundle) (out []wire.Recipient) {
	for _, s := range b.Devices {
		if d, err := wire.ParseDeviceRecord(s.Body); err == nil {
			out = append(out, wire.Recipient{Address: d.Address, Device: d.Device, Key: d.PreKeys[0].Public, Kid: identity.KeyIDOf(d.PreKeys[0].Public)})
		}
	}
	return out
}

// seal seals a Signed to somebody.
func (c *hostile) seal(b wire.Bundle, s wire.Signed, attached ...wire.Signed) []byte {
	c.w.Helper()
	var cek [32]byte
	_, _ = c.rand.Read(cek[:])
	c.mu.Lock()
	c.keys[wire.AckTag(cek)] = cek
	c.mu.Unlock()
	p, err := wire.SealParcel(c.rand, cek, wire.Inner{Signed: s, Attached: attached}, recipients(b), 0)
	c.w.must(err)
	return p.Append(nil)
}

// post seals a Signed to somebody and hands it over.
func (c *hostile) post(p *person, s wire.Signed, attached ...wire.Signed) wire.FrameStatus {
	c.w.Helper()
	return c.hand(p, c.seal(c.bundleOf(p), s, attached...))
}

// verdict waits for the ack of what Carol posted; "silence" if none comes soon.
func (c *hostile) verdict(p *person, s wire.Signed) string {
	c.w.Helper()
	said := "silence"
	_ = await(soon, "", func() bool {
		for _, raw := range c.cameFrom(p, wire.OpAckBox) {
			if a, ok := c.openAck(raw); ok && slices.Contains(a.MIDs, s.ID()) {
				said = a.Disposition.String()
				if a.Reason != 0 {
					said += "(" + a.Reason.String() + ")"
				}
				return true
			}
		}
		return false
	})
	return said
}

func (c *hostile) openAck(raw []byte) (wire.Ack, bool) {
	box, err := wire.ParseAckBox(raw)
	if err != nil {
		return wire.Ack{}, false
	}
	c.mu.Lock()
	cek, ok := c.keys[box.Tag]
	c.mu.Unlock()
	if !ok {
		return wire.Ack{}, false
	}
	s, err := wire.OpenAck(cek, box)
	if err != nil {
		return wire.Ack{}, false
	}
	a, err := wire.ParseAck(s.Body)
	return a, err == nil
}

// opened are the Signeds that were sealed to Carol by somebody, as Parcels.
func (c *hostile) opened(p *person) (out []wire.Opened) {
	for _, raw := range c.cameFrom(p, wire.OpParcel) {
		if o, ok := c.openParcel(raw); ok {
			out = append(out, o)
		}
	}
	return out
}

func (c *hostile) openParcel(raw []byte) (wire.Opened, bool) {
	p, err := wire.ParseParcel(raw)
	if err != nil {
		return wire.Opened{}, false
	}
	o, err := wire.OpenParcel(p, c.address(), c.device(), func(k identity.KeyID) (*identity.PreKeySecret, bool) { return c.pre, k == c.pre.ID() })
	return o, err == nil
}

// states are the SubStates that somebody sent to Carol.
func (c *hostile) states(p *person) (out []wire.SubState) {
	for _, o := range c.opened(p) {
		if o.Inner.Signed.Type == wire.TypeSubState {
			if st, err := wire.ParseSubState(o.Inner.Signed.Body); err == nil {
				out = append(out, st)
			}
		}
	}
	return out
}

func now() identity.Time { return identity.TimeOf(time.Now()) }

// im is a message of Carol's, as edited.
func (c *hostile) im(to *person, text string, edit ...func(*wire.IM)) wire.Signed {
	a, err := identity.ParseAddress(addressOf(to))
	c.w.must(err)
	im := wire.IM{From: c.address(), To: a, Device: c.device(), Sent: now(), Expires: now().Add(time.Hour), ContentType: "text/plain", Content: []byte(text), ArSeq: 1}
	_, _ = c.rand.Read(im.Nonce[:])
	for _, e := range edit {
		e(&im)
	}
	return wire.Sign(c.d, wire.TypeIM, im.Append(nil))
}

// subRequest is a SubRequest of Carol's, as edited.
func (c *hostile) subRequest(to *person, sub wire.SubID, edit ...func(*wire.SubRequest)) wire.Signed {
	a, err := identity.ParseAddress(addressOf(to))
	c.w.must(err)
	r := wire.SubRequest{From: c.address(), To: a, Sub: sub, At: now(), Want: wire.WantPresence, ArSeq: 1, Name: "carol"}
	for _, e := range edit {
		e(&r)
	}
	return wire.Sign(c.d, wire.TypeSubRequest, r.Append(nil))
}

// watch makes Carol a watcher of somebody, who consents, and returns her grant.
func (c *hostile) watch(p *person) wire.Grant {
	c.w.Helper()
	c.post(p, c.subRequest(p, carolsSub), c.records...)
	c.w.soonly("carol's request is listed", func() bool { return p.watcherAt(c.address().String()).State == "pending" })
	_, err := p.Approve(ctx(), c.address().String())
	c.w.must(err)
	var g wire.Grant
	c.w.soonly("carol is granted", func() bool {
		for _, st := range c.states(p) {
			if st.State == wire.SubActive && st.Grant != nil {
				g = *st.Grant
				return true
			}
		}
		return false
	})
	return g
}

// join has Carol hear a topic, and returns the way to speak on it.
func (c *hostile) join(e wire.PublicKey) *pubsub.Topic {
	c.w.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if t := c.topics[e]; t != nil {
		return t
	}
	t, err := c.ps.Join(wire.TopicName(e))
	c.w.must(err)
	s, err := t.Subscribe()
	c.w.must(err)
	c.topics[e] = t
	go func() {
		for {
			m, err := s.Next(c.run)
			if err != nil {
				return
			}
			if m.ReceivedFrom == c.host.ID() {
				continue
			}
			c.mu.Lock()
			c.heard[e] = append(c.heard[e], m.Data)
			c.mu.Unlock()
		}
	}()
	return t
}

func (c *hostile) say(e wire.PublicKey, rec []byte) {
	c.w.Helper()
	c.w.must(c.join(e).Publish(ctx(), rec))
}

// recs are the records that Carol has heard of an epoch, by topic and by WATCH, once each, oldest first.
func (c *hostile) recs(e wire.PublicKey) (out []wire.Rec) {
	c.mu.Lock()
	defer c.mu.Unlock()
	raw := slices.Clone(c.heard[e])
	for _, f := range c.frames {
		if f.proto == presenceProto && f.Op == wire.OpRec {
			if p, err := wire.ParseRecPush(f.Payload); err == nil && p.Key == e {
				raw = append(raw, p.Rec)
			}
		}
	}
	slices.SortFunc(raw, bytes.Compare)
	for _, b := range slices.CompactFunc(raw, bytes.Equal) {
		if r, err := wire.ParseRec(b); err == nil {
			out = append(out, r)
		}
	}
	slices.SortStableFunc(out, func(a, b wire.Rec) int { return cmp.Compare(a.T, b.T) })
	return out
}

// watchTopic has somebody's node push to Carol what it publishes under e; an epoch that is not that node's is an error.
func (c *hostile) watchTopic(p *person, e wire.PublicKey) error {
	f, err := c.request(p, presenceProto, wire.OpWatch, wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil))
	if err != nil {
		return err
	}
	if f.Status != wire.OK {
		return fmt.Errorf("%v", f.Status)
	}
	reply, err := wire.ParseWatchReply(f.Payload)
	if err == nil && len(reply.Unknown) > 0 {
		err = errors.New("not an epoch of " + p.name)
	}
	return err
}

// topicOf is the topic of somebody's epoch, which Carol finds among those announced to her: she watches it.
func (c *hostile) topicOf(p *person) (e wire.PublicKey) {
	c.w.Helper()
	c.w.within(20*time.Second, "carol hears of the topic of "+p.name, func() bool {
		for _, k := range c.got.topics() {
			if c.watchTopic(p, k) == nil {
				e = k
				return true
			}
		}
		return false
	})
	return e
}

// reads is what Carol can read of an epoch with the keys of g: the notes and states of its documents.
func (c *hostile) reads(e wire.PublicKey, g wire.Grant) (docs []wire.Doc) {
	for _, r := range c.recs(e) {
		if r.IsBeacon() {
			continue
		}
		b, err := wire.OpenDoc(g.K, e, r.Tag, r.T, r.CT)
		if err != nil {
			continue
		}
		if d, err := wire.ParseDoc(b); err == nil {
			docs = append(docs, d)
		}
	}
	return docs
}
