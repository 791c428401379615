package requirements

import (
	"bufio"
	"encoding/binary"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// parcels breaks the Parcel itself, which is answered by its status, and what it opens to: where there is no
// Signed there is none to be answered (SPEC 14, 6).
func (b *breaker) parcels() {
	im := b.im(b.bob, "in a parcel")
	p, err := wire.ParseParcel(b.seal(b.bundle, im, b.hostile.records[0]))
	b.w.must(err)
	p.ExpiresS = 1
	each(b, p, encoding, b.asks(parcelProto, wire.OpParcel, 0), map[string]string{malformed: "malformed", tooLarge: "malformed", fine: "ok no-key"})
	each(b, wire.Inner{Signed: im, Attached: b.hostile.records[:1]}, encoding, func(bodies [][]byte) (said []string) {
		for _, body := range bodies {
			cek, answered := b.newKey(), "silence"
			ct := identity.Seal(b.rand, cek, identity.Pad(body), identity.DS("parcel"))
			wraps, err := wire.WrapFor(identity.Suite1, cek, ct, recipients(b.bundle))
			b.w.must(err)
			b.hand(b.bob, wire.Parcel{Suite: identity.Suite1, Wraps: wraps, CT: ct}.Append(nil))
			time.Sleep(time.Second)
			for _, raw := range b.cameFrom(b.bob, wire.OpAckBox) {
				if box, err := wire.ParseAckBox(raw); err == nil && box.Tag == wire.AckTag(cek) {
					a, _ := b.openAck(raw)
					answered = a.Disposition.String()
				}
			}
			said = append(said, answered)
		}
		return said
	}, map[string]string{malformed: "silence", tooLarge: "silence", fine: "delivered"})
}

// newKey draws the key of a Parcel of Carol's.
func (c *hostile) newKey() (cek [32]byte) {
	_, _ = c.rand.Read(cek[:])
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys[wire.AckTag(cek)] = cek
	return cek
}

// acks breaks the box of an ack, the Signed in it and the Ack itself. Nobody answers an ack: what is wrong is
// counted, and the message waits on.
func (b *breaker) acks() {
	s := b.bob.draft(node.Draft{To: "carol", Content: []byte("ack this"), Expires: 5 * time.Hour})
	var of wire.Opened
	b.w.within(time.Minute, "carol has it", func() bool {
		all := b.opened(b.bob)
		i := slices.IndexFunc(all, func(o wire.Opened) bool { return o.Inner.Signed.ID() == s.ID })
		if i >= 0 {
			of = all[i]
		}
		return i >= 0
	})
	told := func(seal func(body []byte) []byte) func([][]byte) []string {
		return func(bodies [][]byte) (said []string) {
			for _, body := range bodies {
				before, what := badAcks(b.bob), "nothing"
				b.tell(b.bob, parcelProto, wire.OpAckBox, seal(body))
				time.Sleep(time.Second)
				if badAcks(b.bob) > before {
					what = "counted"
				}
				said = append(said, what+" "+b.bob.outcome(s).State)
			}
			return said
		}
	}
	inBox := func(body []byte) []byte {
		tag := wire.AckTag(of.CEK)
		box := identity.Seal(b.rand, identity.KDF(of.CEK[:], "ack", nil), identity.Pad(body), append(identity.DS("ackbox"), tag[:]...))
		return wire.AckBox{Tag: tag, Box: box}.Append(nil)
	}
	body := filled(func(a *wire.Ack) {
		a.From, a.To, a.Device, a.MIDs, a.Disposition, a.Reason, a.At = b.address(), b.bob.Self().Address, b.device(), []wire.MID{s.ID}, wire.Delivered, wire.ReasonGateway, now()
	})
	ack := wire.Sign(b.d, wire.TypeAck, body.Append(nil))
	box, err := wire.ParseAckBox(inBox(ack.Append(nil)))
	b.w.must(err)
	waits := map[string]string{malformed: "counted handed", tooLarge: "counted handed", fine: "nothing delivered"}
	first := func(t []damage) []damage { // none that is fine, but in the last round
		return slices.DeleteFunc(t, func(d damage) bool { return d.want == fine })
	}
	asEach := func(name string, cases []damage, ask func([][]byte) []string) {
		b.w.must(b.all(name, cases, ask, waits))
	}
	asEach("AckBox", first(damagesIn(filled[wire.AckBox](), box)), told(func(raw []byte) []byte { return raw }))
	asEach("Signed", first(damagesIn(filled[wire.Signed](), ack)), told(inBox))
	each(b, body, encoding, told(func(body []byte) []byte { return inBox(wire.Sign(b.d, wire.TypeAck, body).Append(nil)) }), waits)
}

// asks sends requests of an op, not faster than one may, and says by which status each was answered.
func (b *breaker) asks(proto string, op uint32, pause time.Duration) func([][]byte) []string {
	return func(bodies [][]byte) (said []string) {
		for _, body := range bodies {
			time.Sleep(pause)
			f, err := b.request(b.bob, proto, op, body)
			b.w.must(err)
			said = append(said, f.Status.String())
		}
		return said
	}
}

// requests breaks what the requests on a stream say.
func (b *breaker) requests() {
	const records, presence = 4 * time.Second, 2 * time.Second // between two that a peer may make
	answers := func(taken string) map[string]string {
		return map[string]string{malformed: "malformed", tooLarge: "malformed quota", fine: taken}
	}
	e := b.topicOf(b.bob)
	each(b, wire.RecordsRequest{Address: b.bob.Self().Address}, encoding, b.asks(parcelProto, wire.OpRecords, records), answers("ok"))
	_, offer, err := wire.OfferSession(b.rand, recipients(b.bundle)[0])
	b.w.must(err)
	each(b, offer, encoding, b.asks(parcelProto, wire.OpSession, records), answers("ok"))
	each(b, filled(func(r *wire.WatchRequest) { r.Keys = []wire.PublicKey{e} }), encoding, b.asks(presenceProto, wire.OpWatch, presence), answers("ok denied")) // with upstream: Carol is no member
	each(b, filled(func(r *wire.WatchRequest) { r.Keys = []wire.PublicKey{e} }), encoding, b.asks(presenceProto, wire.OpUnwatch, presence), answers("ok denied"))
	each(b, filled(func(r *wire.GetRequest) { r.Key = e }), encoding, b.asks(presenceProto, wire.OpGet, presence), answers("ok denied"))
	for proto, ops := range map[string][]uint32{parcelProto: {wire.OpPair, 6, 99}, presenceProto: {wire.OpRec, 5, 6, 99}} {
		for _, op := range ops { // which nobody here answers
			if said := b.asks(proto, op, presence)([][]byte{{0}}); said[0] != "unknown-op" {
				b.w.Errorf("%s, op %d: %s", proto, op, said[0])
			}
		}
	}
}

// frames breaks the frame of a request. One that is none ends its stream, on which nothing else could be
// answered; the next stream is served.
func (b *breaker) frames() {
	payload := wire.RecordsRequest{Address: b.bob.Self().Address}.Append(nil)
	right := wire.Frame{ID: 1, Op: wire.OpRecords, Payload: payload}
	full := right
	full.Status = wire.OK
	ask := func(bodies [][]byte) (said []string) {
		for _, body := range bodies {
			time.Sleep(4 * time.Second)
			said = append(said, b.raw(append(binary.AppendUvarint(nil, uint64(len(body))), body...)))
		}
		return said
	}
	cases := damagesIn(full, right)
	for i, d := range cases {
		if d.what == "ID missing" || d.what == "Payload missing" {
			cases[i].want = d.what
		}
	}
	b.w.must(b.all("Frame", cases, ask, map[string]string{malformed: "reset", tooLarge: "reset", fine: "ok", "ID missing": "silence", "Payload missing": "malformed"}))
	for what, raw := range map[string][]byte{"empty": {0}, "a length in too many octets": {0x81, 0x00, 1}, "a length that is beyond the limit": {0x81, 0x80, 0x10, 1}} {
		if got := b.raw(raw); got != "reset" {
			b.w.Errorf("a frame %s: %s", what, got)
		}
	}
	b.honest("frames")
}

// raw writes octets on a stream of its own and says what comes back.
func (b *breaker) raw(octets []byte) string {
	b.w.Helper()
	s, err := b.host.NewStream(ctx(), peerOf(b.bob), protocol.ID(parcelProto))
	b.w.must(err)
	defer func() { _ = s.Reset() }()
	_, err = s.Write(octets)
	b.w.must(err)
	said := make(chan string, 1)
	go func() {
		f, err := wire.ReadFrame(bufio.NewReader(s))
		if err != nil {
			said <- "reset"
			return
		}
		said <- f.Status.String()
	}()
	select {
	case what := <-said:
		return what
	case <-time.After(soon):
		return "silence"
	}
}
