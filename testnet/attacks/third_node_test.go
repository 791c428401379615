package attacks

import (
	"bytes"
	"context"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A listener is a place of the adversary on a gossip topic, with a router of its own making.
type listener struct {
	topic *pubsub.Topic
	got   chan heardOn
}

// A heardOn is what came on a topic, and when.
type heardOn struct {
	data []byte
	at   time.Time
}

// join enters the topic of e, as far as gossip lets anybody; the router ends with the ctx of the first.
func (x *stranger) join(ctx context.Context, e wire.PublicKey) *listener {
	x.s.t.Helper()
	if x.ps == nil {
		var err error
		if x.ps, err = pubsub.NewGossipSub(ctx, x.host, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(),
			pubsub.WithMessageIdFn(gossipID), pubsub.WithFloodPublish(true)); err != nil {
			x.s.t.Fatal(err)
		}
	}
	topic, err := x.ps.Join(wire.TopicName(e))
	if err != nil {
		x.s.t.Fatal(err)
	}
	sub, err := topic.Subscribe()
	if err != nil {
		x.s.t.Fatal(err)
	}
	l := &listener{topic, make(chan heardOn, 1000)}
	go func() {
		for {
			m, err := sub.Next(ctx)
			if err != nil {
				return
			}
			if m.ReceivedFrom != x.host.ID() {
				l.got <- heardOn{m.Data, time.Now()}
			}
		}
	}()
	return l
}

// recs are the Recs that came so far.
func (l *listener) recs() (out []wire.Rec) {
	l.each(func(r wire.Rec, _ time.Time) { out = append(out, r) })
	return out
}

func (l *listener) each(f func(r wire.Rec, at time.Time)) {
	for {
		select {
		case h := <-l.got:
			if r, err := wire.ParseRec(h.data); err == nil {
				f(r, h.at)
			}
		default:
			return
		}
	}
}

// epochOf finds the topic that a machine publishes on by what it announces: any neighbour can see that.
func (s *stage) epochOf(m *machine) (announced func() []wire.PublicKey) {
	var wireBytes bytes.Buffer
	s.net.Capture(m.ip, func(c testnet.Chunk) { wireBytes.Write(c.Data) })
	return func() (out []wire.PublicKey) {
		b := wireBytes.Bytes()
		for i := bytes.Index(b, []byte(wire.TopicPrefix)); i >= 0; i = bytes.Index(b, []byte(wire.TopicPrefix)) {
			b = b[i:]
			if len(b) < wire.TopicLength {
				break
			}
			if e, err := wire.ParseTopicName(string(b[:wire.TopicLength])); err == nil {
				out = append(out, e)
			}
			b = b[len(wire.TopicPrefix):]
		}
		return out
	}
}

// TestThirdNode: a third node, written for it alone, knows the topic of bob and stands on it, and on his
// streams. It hears every record and can read none; nothing that it forges, changes, replays or sends
// elsewhere is shown by alice; and nobody can be made to subscribe, or to be subscribed to.
func TestThirdNode(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		alice, bob := s.machine("alice"), s.machine("bob")
		announced := s.epochOf(alice) // what bob sends to alice
		var fromBob, fromAlice bytes.Buffer
		s.net.Capture(alice.ip, func(c testnet.Chunk) { fromBob.Write(c.Data) })
		s.net.Capture(bob.ip, func(c testnet.Chunk) { fromAlice.Write(c.Data) })
		alice.add(bob)
		bob.add(alice)
		alice.subscribe(bob)
		const secret = "the safe is behind the picture"
		bob.say(secret)
		alice.send(bob, "and the key is "+secret, 0)
		alice.eventually(time.Minute, "reads bob", func() bool { return alice.sees(bob).Note == secret })
		pass(3 * time.Minute)
		if len(announced()) == 0 {
			t.Fatal("no topic was announced")
		}
		e := announced()[0]

		c := s.stranger("mallory")
		ctx, done := context.WithCancel(context.Background())
		defer done()
		c.dial(bob, wire.ParcelProtocol)
		c.dial(alice, wire.ParcelProtocol)
		l := c.join(ctx, e)
		pass(10 * time.Second)
		bob.say(secret + ", again")
		pass(5 * time.Second)
		w := c.dial(bob, wire.PresenceProtocol)
		snapshot := w.ask(wire.OpGet, wire.GetRequest{Key: e}.Append(nil))
		heard := l.recs()
		if len(heard) == 0 || snapshot.Status != wire.OK {
			t.Fatalf("the adversary hears nothing: %d, GET %v", len(heard), snapshot.Status)
		}
		part(t, "cannot read", func(t *testing.T) {
			all := append(bytes.Clone(fromBob.Bytes()), fromAlice.Bytes()...)
			for _, what := range []string{"safe", "picture", secret} {
				if bytes.Contains(append(all, snapshot.Payload...), []byte(what)) {
					t.Errorf("%q stands in what travelled", what)
				}
			}
			// Whose topic it is stands nowhere on it.
			for _, r := range append(heard, wire.Rec{Raw: snapshot.Payload}) {
				for _, m := range []*machine{alice, bob} {
					self := m.Self()
					if bytes.Contains(r.Raw, self.Address[:]) || bytes.Contains(r.Raw, self.Device[:]) {
						t.Errorf("%s is named in a record", m.name)
					}
				}
			}
			// The planted fault: a name that does stand there is found.
			if !bytes.Contains(all, []byte(wire.TopicPrefix)) {
				t.Error("not even the topic is found")
			}
		})
		var update wire.Rec
		for _, r := range heard {
			if !r.IsBeacon() {
				update = r
			}
		}
		if update.T == 0 {
			t.Fatal("no update among what was heard")
		}
		shown := func() string { p := alice.sees(bob); return p.Basic + " " + p.Note }
		before := shown()
		part(t, "cannot forge", func(t *testing.T) {
			mine := c.a
			doc := wire.Doc{Entity: bob.Self().Address, Device: bob.Self().Device, Ver: 99, TTL: 900,
				Tuples: []wire.Tuple{{ID: "x", Basic: wire.Closed, Timestamp: now()}}}.Append(nil)
			forged := wire.NewUpdate(mine, update.Tag, now(), wire.SealDoc(c.rand, [32]byte{1}, e, update.Tag, now(), doc))
			later := wire.NewBeacon(mine, update.Tag, now(), update.T)
			changed := update
			changed.Body = bytes.Clone(update.Body)
			changed.Body[len(changed.Body)-1] ^= 1
			for _, r := range []wire.Rec{forged, later, changed} {
				l.topic.Publish(ctx, r.Append(nil))
				pass(time.Second)
				if got := shown(); got != before {
					t.Errorf("alice sees %q", got)
				}
			}
		})
		part(t, "cannot replay", func(t *testing.T) {
			bob.say("gone for today")
			alice.eventually(30*time.Second, "reads bob", func() bool { return alice.sees(bob).Note == "gone for today" })
			for _, r := range heard {
				l.topic.Publish(ctx, r.Raw)
			}
			pass(10 * time.Second)
			if got := alice.sees(bob).Note; got != "gone for today" {
				t.Errorf("alice sees %q", got)
			}
			bob.kill()
			for range 10 {
				pass(30 * time.Second)
				for _, r := range append(heard, l.recs()...) {
					l.topic.Publish(ctx, r.Raw)
				}
			}
			if got := alice.sees(bob); got.Basic == "open" {
				t.Errorf("bob is dead for 5 min, and replays keep him %+v", got)
			}
			bob.start()
		})
		part(t, "cannot make anybody subscribe", func(t *testing.T) {
			subs := alice.table() + bob.table()
			at := c.dial(alice, wire.ParcelProtocol)
			a := at.recipient(alice.Self().Address)
			st := wire.SubState{From: c.address, To: a.Address, Sub: c.subID(), Seq: now(), State: wire.SubActive, Expires: now().Add(wire.SubscriptionLife),
				Grant: &wire.Grant{E: c.a.Public(), K: [32]byte{1}, NotBefore: now(), NotAfter: now().Add(wire.GrantLife), TTL: 150}}
			x := c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubState, st.Append(nil)), Attached: c.records()}, a)
			at.put(x.parcel)
			// bob is asked in alice's name
			atBob := c.dial(bob, wire.ParcelProtocol)
			b := atBob.recipient(bob.Self().Address)
			r := c.subRequest(b.Address, c.subID())
			r.From = a.Address
			atBob.put(c.seal(wire.Inner{Signed: wire.Sign(c.d, wire.TypeSubRequest, r.Append(nil)), Attached: c.records()}, b).parcel)
			pass(10 * time.Second)
			if after := alice.table() + bob.table(); after != subs {
				t.Errorf("subscriptions were\n%s\nand are\n%s", subs, after)
			}
			st0, err := alice.Status(context.Background())
			if err != nil || st0.Topics > 2 {
				t.Errorf("alice is on %d topics, %v", st0.Topics, err)
			}
		})
		for _, m := range []*machine{alice, bob} {
			if all, _ := m.Inbox(context.Background(), node.InboxQuery{}); len(all) > 1 {
				t.Errorf("%s has %d messages", m.name, len(all))
			}
		}
	})
}
