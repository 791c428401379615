package requirements

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// carried are the types of Signed that a Parcel may carry, and what the recipient answers to one that is
// right, of Carol, who is on his roster. A request has its own answer and no ack.
var carried = map[wire.Type]string{
	wire.TypeSuccessor: "delivered", wire.TypeSubRequest: "silence", wire.TypeSubState: "delivered", wire.TypeUnsub: "silence",
	wire.TypeFetch: "silence", wire.TypeFetchReply: "silence", wire.TypeIM: "delivered", wire.TypeSync: "failed(recipient-mismatch)",
}

// S33: every field of every message that a peer may send, wrong in turn. What a Parcel carries is answered by
// an ack with its reason, a request on a stream by its status; what SPEC has nobody answer, an ack among it,
// is dropped and counted; a frame that is none ends its stream. None of it stops the node or stays in it.
func TestReq_S33_EveryFieldOfEveryMessage(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		c.answer[parcelProto] = c.withoutSessions
		_, err := bob.Add(ctx(), c.card(), "carol")
		w.must(err)
		_, err = bob.Watch(ctx(), "carol", "", 0)
		w.must(err)
		b := &breaker{hostile: c, alice: alice, bob: bob, bundle: c.bundleOf(bob), epoch: newKeys("an epoch").a, next: newKeys("the next").a}
		b.honest("before")
		for kind := range wire.Type(256) {
			if want, known := carried[kind]; known != kind.InParcel() {
				t.Errorf("what is answered to type %v is not said", kind)
			} else if known {
				b.carries(kind, want)
			}
		}
		b.records()
		b.parcels()
		b.acks()
		b.requests()
		b.frames()
		t.Logf("%d messages with one thing wrong", b.n)
		w.finds("a message that is right", b.all("a control", []damage{{"nothing", c.im(bob, "right").Body, malformed}}, b.signed(wire.TypeIM), nil))
	})
}

// withoutSessions answers as a node of an earlier profile, so that Carol can open what she is given.
func (c *hostile) withoutSessions(from peer.ID, f wire.Frame) []wire.Frame {
	if f.Op == wire.OpSession {
		return []wire.Frame{{ID: f.ID, Op: f.Op, Status: wire.UNKNOWN_OP}}
	}
	return c.politely(from, f)
}

// A breaker is Carol, who sends Bob what is wrong.
type breaker struct {
	*hostile
	alice, bob  *person
	bundle      wire.Bundle
	epoch, next identity.SigningKey
	n           int // messages that were sent
}

// honest is the check that Bob's node serves those who ask as they should.
func (b *breaker) honest(after string) {
	b.w.Helper()
	time.Sleep(61 * time.Second) // one fetch a minute
	b.alice.delivers(b.bob, "of alice, after "+after)
	im := b.im(b.bob, "of carol, after "+after)
	b.hand(b.bob, b.seal(b.bundle, im, b.hostile.records...))
	if v := b.verdict(b.bob, im); v != "delivered" {
		b.w.Fatalf("after %s an honest message is answered %s", after, v)
	}
	b.bob.note("after " + after)
	b.w.within(5*time.Second, "alice is shown what bob says", func() bool { return b.alice.sees(b.bob).Note == "after "+after })
	if got, err := b.alice.Fetch(ctx(), "bob", false); err != nil || got.Source == "" {
		b.w.Fatalf("after %s a fetch is %+v, %v", after, got, err)
	}
}

// all sends each damage and is the check that it is answered as it must be; answers are those of which one
// is wanted for what is fine.
func (b *breaker) all(name string, cases []damage, ask func(bodies [][]byte) []string, answers map[string]string) error {
	var bodies [][]byte
	for _, d := range cases {
		bodies = append(bodies, d.b)
	}
	b.n += len(cases)
	for i, got := range ask(bodies) {
		want := cases[i].want
		if a, ok := answers[want]; ok {
			want = a
		} else {
			want = "failed(" + want + ")"
		}
		if want != got && !slices.Contains(strings.Fields(want), got) {
			return fail("%s, %s: it is answered %s, not %s", name, cases[i].what, got, want)
		}
	}
	return nil
}

// damagesIn are what can be wrong with a message of T.
func damagesIn[T interface{ Append([]byte) []byte }](full, right T) []damage {
	return damages(reflect.TypeFor[T](), full.Append(nil), right.Append(nil))
}

// each breaks every field of a message of T, of which right is one that is taken. What is fine comes last.
func each[T any](b *breaker, right T, encode func([]byte, T) []byte, ask func([][]byte) []string, answers map[string]string) {
	b.w.Helper()
	b.eachOf(reflect.TypeFor[T](), encode(nil, filled[T]()), encode(nil, right), ask, answers)
}

func (b *breaker) eachOf(t reflect.Type, full, right []byte, ask func([][]byte) []string, answers map[string]string) {
	b.w.Helper()
	cases := append([]damage{{"nothing wrong", right, fine}}, damages(t, full, right)...)
	slices.SortStableFunc(cases, func(x, y damage) int { return strings.Compare(y.want, x.want) })
	b.w.must(b.all(t.Name(), cases, ask, answers))
	b.honest(t.Name())
}

// encoding is how a message of the wire is encoded.
func encoding[T interface{ Append([]byte) []byte }](b []byte, x T) []byte { return x.Append(b) }

// signed hands over each body as one of a type, signed by Carol, and says how each was answered.
func (b *breaker) signed(kind wire.Type) func([][]byte) []string {
	return func(bodies [][]byte) []string {
		var sent []wire.Signed
		for _, body := range bodies {
			s := wire.Sign(b.d, kind, body)
			if st := b.hand(b.bob, b.seal(b.bundle, s, b.hostile.records[0])); st != wire.OK {
				b.w.Fatalf("a parcel is answered %v", st)
			}
			sent = append(sent, s)
		}
		time.Sleep(3 * time.Second) // the answer to a request leaves a second after it
		return b.verdicts(sent)
	}
}

// verdicts are how Bob's node answered each.
func (b *breaker) verdicts(sent []wire.Signed) (said []string) {
	acks := map[wire.MID]string{}
	for _, raw := range b.cameFrom(b.bob, wire.OpAckBox) {
		a, ok := b.openAck(raw)
		if !ok {
			continue
		}
		for _, id := range a.MIDs {
			if acks[id] = a.Disposition.String(); a.Reason != 0 {
				acks[id] += "(" + a.Reason.String() + ")"
			}
		}
	}
	for _, s := range sent {
		if acks[s.ID()] == "" {
			acks[s.ID()] = "silence"
		}
		said = append(said, acks[s.ID()])
	}
	return said
}

// carries breaks what a Parcel carries, as one of a type.
func (b *breaker) carries(kind wire.Type, taken string) {
	me, to, at := b.address(), b.bob.Self().Address, now()
	ask, answers := b.signed(kind), map[string]string{fine: taken}
	switch kind {
	case wire.TypeIM:
		answers[fine] += " forbidden(refused-anonymous)"
		each(b, filled(func(x *wire.IM) {
			x.From, x.To, x.Device, x.Sent, x.Expires, x.ContentType, x.ArSeq = me, to, b.device(), at, at.Add(time.Hour), "text/plain", 1
			heeded(x.Ext)
		}), encoding, ask, answers)
	case wire.TypeSubRequest:
		each(b, filled(func(x *wire.SubRequest) { x.From, x.To, x.At = me, to, at; heeded(x.Ext) }), encoding, ask, answers)
	case wire.TypeUnsub:
		each(b, filled(func(x *wire.Unsub) { x.From, x.To, x.At = me, to, at; heeded(x.Ext) }), encoding, ask, answers)
	case wire.TypeFetch:
		each(b, filled(func(x *wire.Fetch) { x.From, x.To, x.At = me, to, at; heeded(x.Ext) }), encoding, ask, answers)
	case wire.TypeFetchReply:
		each(b, filled(func(x *wire.FetchReply) { x.From, x.To, x.AsOf = me, to, at; heeded(x.Ext) }), encoding, ask, answers)
	case wire.TypeSubState:
		b.w.within(time.Minute, "bob asks carol", func() bool { return len(b.askedBy(b.bob)) > 0 })
		sub := b.askedBy(b.bob)[0].Sub
		each(b, filled(func(x *wire.SubState) {
			x.From, x.To, x.Sub, x.Seq, x.State, x.Expires, x.Reason = me, to, sub, at, wire.SubActive, at.Add(wire.SubscriptionLife), wire.ReasonPolicy
			x.Grant, x.Next = b.grant(b.epoch, at), b.grant(b.next, at)
			heeded(x.Ext)
		}), encoding, ask, answers)
	case wire.TypeSync:
		right := split(filled(func(x *wire.Sync) { x.Address, x.Device, x.Items[0].Deleted = me, b.device(), false }).Append(nil))
		full, item := slices.Clone(right), split(right[2].body)
		full[2].body = join(slices.Insert(item, 4, piece{n: 5, val: 1})) // what is deleted has no value: no node writes it
		b.eachOf(reflect.TypeFor[wire.Sync](), join(full), join(right), ask, answers)
	case wire.TypeSuccessor: // of an address of which Bob knows nothing
		each(b, filled[identity.Successor](), wire.AppendSuccessor, ask, answers)
	}
}

// heeded has nothing be required.
func heeded(all []wire.Ext) {
	for i := range all {
		all[i].MustUnderstand = false
	}
}

// askedBy are the requests that somebody sent to Carol.
func (c *hostile) askedBy(p *person) (out []wire.SubRequest) {
	for _, o := range c.opened(p) {
		if r, err := wire.ParseSubRequest(o.Inner.Signed.Body); o.Inner.Signed.Type == wire.TypeSubRequest && err == nil {
			out = append(out, r)
		}
	}
	return out
}

// grant is the key of an epoch of Carol's.
func (b *breaker) grant(e identity.SigningKey, at identity.Time) *wire.Grant {
	g := filled(func(g *wire.Grant) {
		g.E, g.NotBefore, g.NotAfter, g.TTL = e.Public(), at, at.Add(wire.GrantLife), wire.DefaultTTLSeconds
		heeded(g.Ext)
	})
	return &g
}

// records breaks what is attached to a message. Without a valid record of its own a stranger's is refused; of
// a contact who is known, it is as if nothing had been attached.
func (b *breaker) records() {
	dora := newKeys("dora")
	from := func(k *keys, attached wire.Signed) wire.Signed {
		im := wire.IM{From: k.address(), To: b.bob.Self().Address, Device: identity.DeviceIDOf(k.d.Public()), Sent: now(), Expires: now().Add(time.Hour), ContentType: "text/plain", ArSeq: 1}
		_, _ = b.rand.Read(im.Nonce[:])
		s := wire.Sign(k.d, wire.TypeIM, im.Append(nil))
		b.hand(b.bob, b.seal(b.bundle, s, attached))
		return s
	}
	with := func(k *keys, signer identity.SigningKey, kind wire.Type) func([][]byte) []string {
		return func(bodies [][]byte) []string {
			var sent []wire.Signed
			for _, body := range bodies {
				sent = append(sent, from(k, wire.Sign(signer, kind, body)))
				if k == dora {
					time.Sleep(100 * time.Millisecond) // as fast as strangers may
				}
			}
			time.Sleep(soon)
			return b.verdicts(sent)
		}
	}
	at, known := now(), &keys{b.a, b.d}
	pinned, err := wire.ParseDeviceRecord(b.hostile.records[1].Body)
	b.w.must(err)
	each(b, filled(func(r *identity.AddressRecord) {
		r.Address, r.Seq, r.Expires, r.Devices[0].Key, r.Devices[0].Roles = dora.address(), at, at.Add(identity.AddressRecordLife), dora.d.Public(), identity.RoleAdmin|identity.RoleInbox
		r.Devices[0].NotAfter = at.Add(time.Hour)
		heeded(r.Ext)
	}), wire.AppendAddressRecord, with(dora, dora.a, wire.TypeAddressRecord),
		map[string]string{malformed: "failed(stale-record)", tooLarge: "failed(stale-record)", fine: "delivered failed(rate-limited)"})
	ignored := map[string]string{malformed: "delivered", tooLarge: "delivered", unsupported: "delivered", fine: "delivered"}
	each(b, filled(func(r *identity.DeviceRecord) {
		r.Address, r.Device, r.Seq, r.Expires, r.PreKeys = b.address(), b.device(), pinned.Seq, at.Add(identity.DeviceRecordLife), []identity.PreKey{{Suite: 2, Public: []byte("another suite's")}}
		heeded(r.Ext)
	}), wire.AppendDeviceRecord, with(known, b.d, wire.TypeDeviceRecord), ignored)
	each(b, filled(func(r *identity.Reach) {
		r.Address, r.Device, r.Seq, r.Peer, r.Addrs = b.address(), b.device(), pinned.Seq, []byte(b.host.ID()), nil
		r.Addrs = [][]byte{testnet.Addr(b.ip).Bytes()}
	}), wire.AppendReach, with(known, b.d, wire.TypeReach), ignored)
}

// keys are an address and its device.
type keys struct{ a, d identity.SigningKey }

func newKeys(name string) *keys {
	var a, d [32]byte
	_, _ = randomOf("keys", name).Read(a[:])
	_, _ = randomOf("device", name).Read(d[:])
	return &keys{identity.NewSigningKey(a), identity.NewSigningKey(d)}
}

func (k *keys) address() identity.Address { return identity.Address(k.a.Public()) }
