package attacks

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A glimpse is one thing that alice could observe.
type glimpse struct {
	at   time.Duration // since bob was born, or for an answer since it was asked for
	kind string
	size int
}

// A trace is all that she observed, in its order: what came by itself, and what answered her.
type trace struct {
	came, answers []glimpse
}

// A witness is alice, who looks at bob with all that the protocol lets her do, from two places of hers: one asks
// and watches on streams, the other stands on the topics.
type witness struct {
	*spy
	trace   trace
	ear     *stranger
	topic   map[wire.PublicKey]*listener
	routing context.Context
	hush    func() // ends the ear's router, which would count the seconds of every night
	born    time.Time
	tick    time.Duration // how often she looks whether an answer has come
	seen    int           // of pushed
}

// note adds what came by itself.
func (w *witness) note(kind string, size int, at time.Time) {
	w.trace.came = append(w.trace.came, glimpse{at.Sub(w.born), kind, size})
}

// probe asks for something and notes what came back, when, and how long it was.
func (w *witness) probe(kind string, ask func() (code string, size int)) {
	w.s.t.Helper()
	start := time.Now()
	code, size := ask()
	w.trace.answers = append(w.trace.answers, glimpse{time.Since(start), kind + " " + code, size})
	pass(time.Second) // until what she closed is closed there too
}

// parcel sends a Signed and waits for what answers it: an ack, or a Parcel.
func (w *witness) parcel(what wire.Type, body []byte) (code string, size int) {
	l := w.seal(wire.Inner{Signed: wire.Sign(w.d, what, body), Attached: w.records()}, w.to)
	tag := wire.AckTag(l.cek)
	before := w.pushes()
	status := w.line.put(l.parcel)
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(w.tick) {
		w.mu.Lock()
		boxes, pushed := w.boxes[tag], w.pushed[before:]
		w.mu.Unlock()
		if len(boxes) > 0 {
			s, err := wire.OpenAck(l.cek, boxes[0])
			a, err2 := wire.ParseAck(s.Body)
			if err != nil || err2 != nil {
				return "an ack that does not open", 0
			}
			return fmt.Sprintf("%v: %v %v", status, a.Disposition, a.Reason), len(boxes[0].Append(nil))
		}
		if len(pushed) > 0 {
			w.seen = before + 1
			return fmt.Sprintf("%v: %s", status, w.read(pushed[0])), len(pushed[0].Append(nil))
		}
	}
	return fmt.Sprintf("%v: silence", status), 0
}

func (w *witness) pushes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pushed)
}

// read opens a Parcel, says what is in it, and acks it as the protocol asks.
func (w *witness) read(p wire.Parcel) string {
	o, err := wire.OpenParcel(p, w.address, w.device(), func(k identity.KeyID) (*identity.PreKeySecret, bool) { return w.prekey, k == w.prekey.ID() })
	if err != nil {
		return "a parcel that does not open"
	}
	sum := fmt.Sprintf("%v, %d attached", o.Inner.Signed.Type, len(o.Inner.Attached))
	switch o.Inner.Signed.Type {
	case wire.TypeSubState:
		st, err := wire.ParseSubState(o.Inner.Signed.Body)
		if err != nil {
			return "a SubState that is none"
		}
		a := wire.Ack{From: w.address, To: st.From, Device: w.device(), MIDs: []wire.MID{o.Inner.Signed.ID()}, Disposition: wire.Delivered, At: now()}
		box := wire.SealAck(w.rand, o.CEK, wire.Sign(w.d, wire.TypeAck, a.Append(nil)))
		w.line.Write(wire.AppendFrame(nil, wire.Frame{Op: wire.OpAckBox, Payload: box.Append(nil)}))
		sum += fmt.Sprintf(", %v %v retry %d expires %v", st.State, st.Reason, st.RetryAfterS, w.since(st.Expires))
		for _, g := range []*wire.Grant{st.Grant, st.Next} {
			if g != nil {
				sum += fmt.Sprintf(", epoch %v to %v ttl %d", w.since(g.NotBefore), w.since(g.NotAfter), g.TTL)
			}
		}
	case wire.TypeFetchReply:
		r, err := wire.ParseFetchReply(o.Inner.Signed.Body)
		if err != nil {
			return "a FetchReply that is none"
		}
		sum += fmt.Sprintf(", %v %v, %d documents", r.State, r.Reason, len(r.Docs))
		for _, d := range r.Docs {
			sum += fmt.Sprintf(" of %d bytes", len(d))
		}
	}
	return sum
}

// since is a time as it stands to bob's birth, to the minute: what a world does some seconds later is no
// difference that alice could see, as she does not know when bob decided.
func (w *witness) since(t wire.Time) time.Duration {
	if t == 0 {
		return 0
	}
	return t.Go().Sub(w.born).Round(time.Minute)
}

// round is everything that alice can ask for at once.
func (w *witness) round() {
	w.s.t.Helper()
	w.listen()
	w.probe("IM", func() (string, int) {
		return w.parcel(wire.TypeIM, w.im(w.to.Address, "are you there?").Append(nil))
	})
	w.probe("poll", func() (string, int) {
		r := w.subRequest(w.to.Address, w.sub)
		w.at = max(w.at+1, now())
		r.At = w.at
		return w.parcel(wire.TypeSubRequest, r.Append(nil))
	})
	w.probe("fetch", func() (string, int) {
		f := wire.Fetch{From: w.address, To: w.to.Address, At: now()}
		w.rand.Read(f.Req[:])
		return w.parcel(wire.TypeFetch, f.Append(nil))
	})
	w.probe("records", func() (string, int) {
		f := w.line.ask(wire.OpRecords, wire.RecordsRequest{Address: w.to.Address}.Append(nil))
		return fmt.Sprint(f.Status), len(f.Payload)
	})
	for _, e := range w.inOrder() {
		w.probe("GET", func() (string, int) {
			l := w.dial(w.bob, wire.PresenceProtocol)
			defer l.Reset()
			f := l.ask(wire.OpGet, wire.GetRequest{Key: e}.Append(nil))
			return fmt.Sprintf("%v: %s", f.Status, w.recsIn(f)), len(f.Payload)
		})
		w.probe("WATCH", func() (string, int) {
			l := w.dial(w.bob, wire.PresenceProtocol)
			defer l.Reset()
			f := l.ask(wire.OpWatch, wire.WatchRequest{Keys: []wire.PublicKey{e}}.Append(nil))
			l.mu.Lock()
			defer l.mu.Unlock()
			return fmt.Sprintf("%v after %d records", f.Status, len(l.other)), len(f.Payload)
		})
	}
	w.listen()
}

// inOrder are the epochs that she was told, the oldest first.
func (w *witness) inOrder() (out []wire.PublicKey) {
	all := w.grants()
	out = keysOf(all)
	slices.SortFunc(out, func(a, b wire.PublicKey) int { return int(all[a].NotBefore - all[b].NotBefore) })
	return out
}

func (w *witness) recsIn(f wire.Frame) (sum string) {
	reply, err := wire.ParseGetReply(f.Payload)
	if err != nil {
		return "none"
	}
	for _, b := range reply.Recs {
		if r, err := wire.ParseRec(b); err == nil {
			sum += fmt.Sprintf("%s of %d; ", map[bool]string{true: "beacon", false: "update"}[r.IsBeacon()], len(b))
		}
	}
	return sum
}

// listen notes what came by itself since it was last asked: Parcels, and records on the topics.
func (w *witness) listen() {
	w.mu.Lock()
	fresh, at := w.pushed[w.seen:], w.came[w.seen:]
	w.seen = len(w.pushed)
	w.mu.Unlock()
	for i, p := range fresh {
		w.note("pushed: "+w.read(p), len(p.Append(nil)), at[i])
	}
	for _, e := range w.inOrder() {
		if w.topic[e] == nil {
			if w.hush == nil {
				var ctx context.Context
				ctx, w.hush = context.WithCancel(context.Background())
				w.s.t.Cleanup(w.hush)
				w.routing = ctx
			}
			w.topic[e] = w.ear.join(w.routing, e)
		}
		w.topic[e].each(func(r wire.Rec, at time.Time) {
			w.note(map[bool]string{true: "beacon", false: "update"}[r.IsBeacon()], len(r.Raw), at)
		})
	}
}

// observe plays one world: bob is open to alice and dave, and then blocks alice politely, or sets himself to
// offline, which with dave in the same view he can only do for both. It returns what alice saw afterwards.
func observe(t *testing.T, polite bool, days int) (out trace) {
	t.Helper()
	play(t, func(t *testing.T, s *stage) {
		born := time.Now()
		bob, dave := s.machine("bob"), s.machine("dave")
		dave.add(bob)
		bob.add(dave)
		dave.subscribe(bob)
		w := &witness{spy: s.spy("alice", bob), ear: s.stranger("alice's ear"), topic: map[wire.PublicKey]*listener{}, born: born, tick: time.Millisecond}
		bob.eventually(10*time.Second, "is asked by alice", func() bool { return w.state().State == wire.SubPending })
		if _, err := bob.Approve(context.Background(), w.address.String()); err != nil {
			t.Fatal(err)
		}
		bob.eventually(10*time.Second, "grants alice", func() bool { return w.state().Grant != nil })
		w.ear.dial(bob, wire.ParcelProtocol)
		pass(2 * time.Minute)
		w.listen()
		pass(10 * time.Second)
		bob.say("while she may")
		pass(10 * time.Second)
		if w.listen(); w.trace.came[len(w.trace.came)-1].kind != "update" {
			t.Fatal("alice hears nothing while she may")
		}
		w.trace = trace{}
		if polite {
			if _, err := bob.PoliteBlock(context.Background(), w.address.String()); err != nil {
				t.Fatal(err)
			}
		} else if _, err := bob.Offline(context.Background()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		w.look(days, dave)
		out = w.trace
		slices.SortStableFunc(out.came, func(a, b glimpse) int { return cmp.Compare(a.at, b.at) }) // listen notes Parcels first
	})
	return out
}

// look has alice look at bob for some days, in which he lives on with dave; he restarts every fifth day, and so
// does she. Between the days all machines but in the long run are off, which is the same in both worlds.
func (w *witness) look(days int, dave *machine) {
	w.s.t.Helper()
	for day := range days {
		for range size(2, 5) {
			w.round()
			pass(5 * time.Minute)
			w.listen()
		}
		until := time.Until(w.born.Add(time.Duration(day+1) * 24 * time.Hour))
		if long && day%5 != 4 {
			for ; until > time.Hour; until -= time.Hour {
				pass(time.Hour)
				w.listen()
			}
			pass(until)
		} else {
			w.bob.stop()
			dave.stop()
			pass(time.Minute)
			w.listen()
			w.hush()
			w.hush, w.ear.ps = nil, nil
			clear(w.topic)
			pass(until - time.Minute)
			w.bob.start()
			dave.start()
		}
		w.call()
		w.ear.dial(w.bob, wire.ParcelProtocol)
		w.listen()
		pass(3 * time.Minute)
		w.listen()
	}
}

// differs compares two traces as alice could: the order, kinds, codes and lengths of all that came, when it came,
// and how long the answers to each kind of question took.
func differs(a, b trace) error {
	if err := sameGlimpses("came", a.came, b.came, 10*time.Second); err != nil {
		return err
	}
	if err := sameGlimpses("answered", a.answers, b.answers, time.Hour); err != nil {
		return err
	}
	delays := func(tr trace) map[string][]float64 {
		out := map[string][]float64{}
		for _, g := range tr.answers {
			out[g.kind[:4]] = append(out[g.kind[:4]], g.at.Seconds())
		}
		return out
	}
	theirs := delays(b)
	for kind, mine := range delays(a) {
		if p := ks(mine, theirs[kind]); p <= 0.01 {
			return fmt.Errorf("the delays of %s differ: p = %.4f over %d and %d samples", kind, p, len(mine), len(theirs[kind]))
		}
	}
	return nil
}

func sameGlimpses(what string, a, b []glimpse, apart time.Duration) error {
	for i := range min(len(a), len(b)) {
		if a[i].kind != b[i].kind || a[i].size != b[i].size || (a[i].at-b[i].at).Abs() > apart {
			return fmt.Errorf("%d of what %s differs: after %v %q of %d bytes, or after %v %q of %d bytes", i, what, a[i].at, a[i].kind, a[i].size, b[i].at, b[i].kind, b[i].size)
		}
	}
	if len(a) != len(b) {
		return fmt.Errorf("%d and %d %s", len(a), len(b), what)
	}
	return nil
}

// ks is the p of the two-sample test of Kolmogorov and Smirnov.
func ks(a, b []float64) float64 {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	d, i, j := 0.0, 0, 0
	for i < len(a) && j < len(b) {
		x := min(a[i], b[j])
		for i < len(a) && a[i] <= x {
			i++
		}
		for j < len(b) && b[j] <= x {
			j++
		}
		d = max(d, math.Abs(float64(i)/float64(len(a))-float64(j)/float64(len(b))))
	}
	n := math.Sqrt(float64(len(a)) * float64(len(b)) / float64(len(a)+len(b)))
	x, p := (n+0.12+0.11/n)*d, 0.0
	if x < 0.2 {
		return 1
	}
	for k := 1; k <= 100; k++ {
		p += 2 * math.Pow(-1, float64(k-1)) * math.Exp(-2*float64(k*k)*x*x)
	}
	return min(1, max(0, p))
}

// TestAttack_14_PoliteBlock: two worlds that differ in one word of bob's. In virtual time the network is exact to
// the nanosecond and no machine takes any time to think, so every pause that the program makes shows, and what
// a processor takes does not: TestReq_5_1_15_DelaysTellNothing looks at that.
func TestAttack_14_PoliteBlock(t *testing.T) {
	days := size(9, 21)
	polite, offline := observe(t, true, days), observe(t, false, days)
	t.Logf("%d things came by themselves, %d answers", len(polite.came), len(polite.answers))
	if len(polite.came) == 0 || polite.came[0].kind != "update" || polite.came[0].at > 5*time.Minute {
		t.Errorf("the offline document did not come first: %v", polite.came)
	}
	if err := differs(polite, offline); err != nil {
		t.Error(err)
	}
	for name, plant := range map[string]func(*glimpse){
		"20 ms": func(g *glimpse) { g.at += 20 * time.Millisecond },
		"a byte": func(g *glimpse) {
			if g.kind[:4] == "poll" {
				g.size++
			}
		},
	} {
		planted := trace{came: offline.came, answers: slices.Clone(offline.answers)}
		for i := range planted.answers {
			plant(&planted.answers[i])
		}
		if differs(polite, planted) == nil {
			t.Errorf("a planted difference of %s is not found", name)
		}
	}
}

// thinking is a world in real time, where what a processor and a disk take shows: bob is open to alice and dave,
// and then blocks alice or sets himself to offline.
func thinking(t *testing.T, polite bool) *witness {
	t.Helper()
	s := &stage{t: t, net: testnet.New(testnet.Config{Seed: 14, Link: testnet.Link{Latency: 200 * time.Microsecond}}), dir: t.TempDir()}
	until := func(what string, ok func() bool) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("never: %s", what)
			}
		}
	}
	ctx := context.Background()
	bob, dave := s.machine("bob"), s.machine("dave")
	t.Cleanup(func() { dave.stop(); bob.stop() })
	dave.add(bob)
	if _, err := dave.Watch(ctx, "bob", "", 0); err != nil {
		t.Fatal(err)
	}
	w := &witness{spy: s.spy("alice", bob), topic: map[wire.PublicKey]*listener{}, born: time.Now(), tick: 100 * time.Microsecond}
	for _, a := range []string{dave.address(), w.address.String()} {
		until("bob is asked", func() bool { _, err := bob.Approve(ctx, a); return err == nil })
	}
	until("both are granted", func() bool { return w.state().Grant != nil && dave.sees(bob).Basic == "open" })
	var err error
	if polite {
		_, err = bob.PoliteBlock(ctx, w.address.String())
	} else {
		_, err = bob.Offline(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	until("the inbox is closed", func() bool {
		code, _ := w.parcel(wire.TypeIM, w.im(w.to.Address, "are you there?").Append(nil))
		return code == "ok: forbidden closed"
	})
	return w
}

// TestReq_5_1_15_DelaysTellNothing, of attack 14: how long bob's machine takes to refuse a message, and to answer a GET, separates the two
// worlds no better than chance does, over a hundred samples taken in turns; a planted pause of 20 ms does.
func TestReq_5_1_15_DelaysTellNothing(t *testing.T) {
	worlds := [2]*witness{thinking(t, true), thinking(t, false)}
	sample := func(kind string, n int, ask func(w *witness) string) error {
		var took [2][]float64
		for i := range n {
			for j := range worlds {
				which := (i + j) % 2
				start := time.Now()
				if code := ask(worlds[which]); code != "ok: forbidden closed" && code != "ok" {
					t.Fatalf("%s: %s", kind, code)
				}
				took[which] = append(took[which], time.Since(start).Seconds())
			}
		}
		planted := slices.Clone(took[1])
		for i := range planted {
			planted[i] += 0.02
		}
		if p := ks(took[0], planted); p > 0.01 { // the machine may have been too busy for it to show
			return fmt.Errorf("%s: a planted pause of 20 ms is not found: p = %.3f", kind, p)
		}
		p := ks(took[0], took[1])
		t.Logf("%s: p = %.3f", kind, p)
		if p <= 0.01 {
			return fmt.Errorf("%s: p = %.4f over %d samples", kind, p, n)
		}
		return nil
	}
	im := func(w *witness) string {
		code, _ := w.parcel(wire.TypeIM, w.im(w.to.Address, "are you there?").Append(nil))
		return code
	}
	asked := 0
	places := map[*witness][]*stranger{}
	for i, w := range worlds {
		for j := range 4 { // from each place 60 a minute are let in
			places[w] = append(places[w], w.s.stranger(fmt.Sprint("place ", j, " of world ", i)))
		}
	}
	get := func(w *witness) string {
		asked++
		l := places[w][asked/2%4].dial(w.bob, wire.PresenceProtocol)
		defer l.Reset()
		return fmt.Sprint(l.ask(wire.OpGet, wire.GetRequest{Key: w.inOrder()[0]}.Append(nil)).Status)
	}
	for kind, ask := range map[string]func(*witness) string{"IM": im, "GET": get} {
		if err := sample(kind, 100, ask); err != nil {
			t.Logf("once more: %v", err)
			if err := sample(kind, 100, ask); err != nil {
				t.Error(err)
			}
		}
	}
}
