package requirements

// The presence of an outsider, written by SPEC.md and SPEC-presence.md alone: see outsider_core_test.go.

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"io"
	"testing"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/node"
)

const (
	opWatch, opGet, opRec = 1, 3, 4
	parcelType            = "/hum/parcel/1"
	presenceType          = "/hum/presence/1"
)

// A watchtower is an outsider of class P: it watches, and is watched, and takes no messages.
type watchtower struct {
	*outsider
	states []fields // SubStates that came for its own subscription
	sub    []byte
	e, k   []byte // of the epoch that it reads
	seen   []string
	last   uint64 // the largest t

	own     ed25519.PrivateKey // E of the epoch that it publishes
	ownK    []byte
	t, ver  uint64
	rec     []byte // the newest
	topic   *pubsub.Topic
	watched []func([]byte) // streams that watch it
	allows  bool
}

func (w *world) watchtower(name string) *watchtower {
	w.Helper()
	x := &watchtower{outsider: w.outsider(name, 2, 1|4), own: ed25519.NewKeyFromSeed(hashed("epoch of an outsider", []byte(name))), ownK: hashed("key of an outsider", []byte(name))}
	x.on[21], x.on[20] = x.granted, x.asked
	x.pushed = func(op uint64, b []byte) {
		if op == opRec {
			x.read(b)
		}
	}
	x.host.SetStreamHandler(presenceType, x.servePresence)
	run, stop := context.WithCancel(ctx())
	w.ends = append(w.ends, stop)
	ps, err := pubsub.NewGossipSub(run, x.host, pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign), pubsub.WithNoAuthor(), pubsub.WithFloodPublish(true),
		pubsub.WithMessageIdFn(func(m *pb.Message) string {
			return string(hashedPlain([]byte(m.GetTopic()), m.GetData())[:20])
		}))
	w.must(err)
	x.topic, err = ps.Join("/hum/1/p/" + base64.RawURLEncoding.EncodeToString(x.ownE()))
	w.must(err)
	_, err = x.topic.Subscribe()
	w.must(err)
	return x
}

func (x *watchtower) ownE() []byte { return x.own.Public().(ed25519.PublicKey) }

// watch asks to subscribe (4.8).
func (x *watchtower) watch(p peer.ID, to *acquaintance) {
	if x.sub == nil {
		x.sub = make([]byte, 16)
		if _, err := io.ReadFull(x.rand, x.sub); err != nil {
			panic(err)
		}
	}
	s := signs(x.d, 20, octets(1, x.address), octets(2, to.address), octets(3, x.sub), number(4, nowMs()), number(5, 1), octets(6, []byte("from outside")))
	x.stream(p, parcelType).ask(opParcel, x.parcel(to, s))
}

// granted takes the answer, and acks it.
func (x *watchtower) granted(in letterIn) {
	if x.roles(in)&4 == 0 || !bytes.Equal(in.body.octets(3), x.sub) {
		x.note("a SubState that is not for me")
		return
	}
	x.ack(in, 1, 0)
	g, err := fieldsOf(in.body.octets(9))
	if err != nil {
		x.note(err.Error())
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.states = append(x.states, in.body)
	if len(g.octets(1)) == 32 {
		x.e, x.k = g.octets(1), g.octets(2)
	}
}

func (x *watchtower) state() (state, reason uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.states) == 0 {
		return 0, 0
	}
	newest := x.states[0]
	for _, s := range x.states {
		if s.number(4) > newest.number(4) {
			newest = s
		}
	}
	return newest.number(5), newest.number(6)
}

// follow is WATCH.
func (x *watchtower) follow(p peer.ID) { x.stream(p, presenceType).ask(opWatch, octets(1, x.e)) }

// read is the reading of 4.5 for the one epoch.
func (x *watchtower) read(push []byte) {
	p, err := fieldsOf(push)
	if err != nil {
		return
	}
	r, err := fieldsOf(p.octets(2))
	if err != nil {
		return
	}
	body, err := fieldsOf(r.octets(1))
	x.mu.Lock()
	defer x.mu.Unlock()
	e := p.octets(1)
	if err != nil || !bytes.Equal(e, x.e) || !ed25519.Verify(e, message(spelt("rec"), []byte{1}, e, r.octets(1)), r.octets(2)) {
		x.unasked = append(x.unasked, "a record that E did not sign")
		return
	}
	tag, t := body.octets(1), body.number(2)
	if body.octets(4) == nil || t <= x.last { // a beacon, or old
		return
	}
	plain, err := openedBox(derived(x.k, "upd", ""), body.octets(4), message(spelt("upd"), e, tag, u64(t)))
	if err != nil {
		x.unasked = append(x.unasked, err.Error())
		return
	}
	doc, err := fieldsOf(plain)
	if err != nil || !bytes.Equal(tag, derived(x.k, "tag", string(doc.octets(2)))[:8]) {
		x.unasked = append(x.unasked, "a document of another tag")
		return
	}
	says := "closed"
	for _, b := range doc.all(5) {
		if tuple, err := fieldsOf(b); err == nil && tuple.number(2) == 1 {
			says = "open"
		}
	}
	if note, err := fieldsOf(doc.octets(6)); err == nil && len(note) > 0 {
		says += " " + string(note.octets(1))
	}
	x.last, x.seen = t, append(x.seen, says)
}

func (x *watchtower) sees() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.seen) == 0 {
		return ""
	}
	return x.seen[len(x.seen)-1]
}

// asked is the presentity's side of 4.8: ACTIVE with a Grant, or DENIED, a second after the request.
func (x *watchtower) asked(in letterIn) {
	time.Sleep(time.Second)
	week := uint64(7 * 24 * time.Hour / time.Millisecond)
	grant := message(octets(1, x.ownE()), octets(2, x.ownK), number(3, nowMs()-1), number(4, nowMs()+week), number(5, 150))
	answer := message(octets(1, x.address), octets(2, in.from.address), octets(3, in.body.octets(3)), number(4, nowMs()))
	if x.allows {
		answer = append(answer, message(number(5, 2), number(7, nowMs()+8*week), octets(9, grant))...)
	} else {
		answer = append(answer, message(number(5, 3), number(6, 26))...)
	}
	in.say(opParcel, x.parcel(in.from, signs(x.d, 21, answer)))
}

// says publishes a document (4.1, 4.4): open or not, with a note, on the topic and to all who watch.
func (x *watchtower) says(basic uint64, note string) {
	x.w.Helper()
	device := deviceOf(x.d.Public().(ed25519.PublicKey))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.t, x.ver = max(x.t+1, nowMs()), x.ver+1
	doc := message(octets(1, x.address), octets(2, device), number(3, x.ver), number(4, 150),
		octets(5, message(octets(1, []byte("t")), number(2, basic), number(7, nowMs()))), octets(6, octets(1, []byte(note))))
	tag := derived(x.ownK, "tag", string(device))[:8]
	ct := sealedBox(x.rand, derived(x.ownK, "upd", ""), doc, message(spelt("upd"), x.ownE(), tag, u64(x.t)))
	x.publish(message(octets(1, tag), number(2, x.t), octets(4, ct)))
}

func (x *watchtower) publish(body []byte) {
	x.rec = message(octets(1, body), octets(2, ed25519.Sign(x.own, message(spelt("rec"), []byte{1}, x.ownE(), body))))
	x.w.must(x.topic.Publish(ctx(), x.rec))
	for _, push := range x.watched {
		push(x.rec)
	}
}

// servePresence is the acceptor's side of 4.6.
func (x *watchtower) servePresence(s network.Stream) {
	push := func(rec []byte) { _, _ = s.Write(frame(0, opRec, message(octets(1, x.ownE()), octets(2, rec)), 0)) }
	for r := bufio.NewReader(s); ; {
		f, err := readFrame(r)
		if err != nil {
			_ = s.Reset()
			return
		}
		id, op := f.number(1), f.number(2)
		x.mu.Lock()
		switch {
		case op == opWatch:
			x.watched = append(x.watched, push)
			if x.rec != nil {
				push(x.rec)
			}
			_, _ = s.Write(frame(id, op, number(2, nowMs()), statusOK))
		case op == opGet && x.rec != nil:
			_, _ = s.Write(frame(id, op, message(octets(1, x.rec), number(2, nowMs())), statusOK))
		case id != 0:
			_, _ = s.Write(frame(id, op, nil, statusUnknownOp))
		}
		x.mu.Unlock()
	}
}

// A client of presence that was built from the core and the document of presence alone watches a node, and is watched by
// one: asked, granted, shown each change, and refused; and to a message it says nothing but what its record says (S48).
func TestReq_S48_PresenceByItsDocumentAlone(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, tower := w.person("bob"), w.watchtower("tower")
		bob.note("at home")
		k := tower.meets(bob.card())
		at := peerOf(bob)
		tower.watch(at, k)
		w.within(5*time.Second, "the request is pending", func() bool { s, _ := tower.state(); return s == 1 })
		if s := bob.watcherAt(addressText(tower.address)); s.State != "pending" || s.Text != "from outside" {
			t.Errorf("bob is shown %+v", s)
		}
		_, err := bob.Approve(ctx(), addressText(tower.address))
		w.must(err)
		w.within(5*time.Second, "it is granted", func() bool { s, _ := tower.state(); return s == 2 })
		tower.follow(at)
		w.soonly("the snapshot", func() bool { return tower.sees() == "open at home" })
		bob.note("away")
		w.soonly("a change", func() bool { return tower.sees() == "open away" })
		bob.shuts(true)
		w.soonly("closed", func() bool { return tower.sees() == "closed away" })
		_, err = bob.Drop(ctx(), addressText(tower.address))
		w.must(err)
		w.within(time.Minute, "it is told of the end", func() bool { s, _ := tower.state(); return s == 4 })
		before := tower.sees()
		bob.shuts(false)
		w.finds("who was dropped", await(5*time.Second, "it sees more", func() bool { return tower.sees() != before }))

		// The other way.
		other := w.watchtower("other")
		other.allows = true
		other.says(1, "a tower")
		_, err = bob.Add(ctx(), other.card(), "other")
		w.must(err)
		_, err = bob.Watch(ctx(), "other", "", 0)
		w.must(err)
		shown := func(basic, note string) func() bool {
			return func() bool {
				who, err := bob.Who(ctx(), []string{"other"})
				w.must(err)
				return who[0].Basic == basic && who[0].Note == note && who[0].Evidence == "said"
			}
		}
		w.within(10*time.Second, "bob sees it", shown("open", "a tower"))
		other.says(1, "it rains")
		w.soonly("bob sees the change", shown("open", "it rains"))
		other.says(2, "closed")
		w.soonly("bob sees that it is closed", shown("closed", "closed"))
		s, err := bob.Send(ctx(), node.Draft{To: "other", Content: []byte("hello"), Expires: time.Minute})
		if err == nil {
			bob.comesTo(s, "failed(no-im-service)", time.Minute)
		} else if code(err) != "no-im-service" {
			t.Errorf("a message to it: %v", err)
		}
		shut := w.watchtower("shut")
		_, err = bob.Add(ctx(), shut.card(), "shut")
		w.must(err)
		_, err = bob.Watch(ctx(), "shut", "", 0)
		w.must(err)
		w.within(10*time.Second, "bob is denied", func() bool { return bob.watchingAt(addressText(shut.address)).State == "denied" })
		for _, x := range []*watchtower{tower, other, shut} {
			if len(x.unasked) > 0 {
				t.Errorf("what its documents do not know: %q", x.unasked)
			}
		}
	})
}
