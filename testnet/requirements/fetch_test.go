package requirements

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// fetch asks once, a minute after the last time, and returns what came: note, evidence and source, or the
// code of the refusal.
func (p *person) fetch(q *person) string {
	p.w.Helper()
	time.Sleep(61 * time.Second)
	return p.fetchNow(q)
}

func (p *person) fetchNow(q *person) string {
	p.w.Helper()
	got, err := p.Fetch(ctx(), addressOf(q), false)
	if err != nil {
		return code(err)
	}
	return strings.TrimSpace(got.Basic + " " + got.Note + " " + got.Source)
}

// letIn says yes to Carol.
func (p *person) letIn(c *hostile) {
	p.w.Helper()
	_, err := p.Approve(ctx(), c.address().String())
	p.w.must(err)
}

// fetchOf is a Fetch of Carol's, as edited.
func (c *hostile) fetchOf(p *person, edit ...func(*wire.Fetch)) (wire.Signed, wire.Fetch) {
	a, err := identity.ParseAddress(addressOf(p))
	c.w.must(err)
	f := wire.Fetch{From: c.address(), To: a, At: now(), ArSeq: 1}
	_, _ = c.rand.Read(f.Req[:])
	for _, e := range edit {
		e(&f)
	}
	return wire.Sign(c.d, wire.TypeFetch, f.Append(nil)), f
}

// replies are the answers to a Fetch of Carol's.
func (c *hostile) replies(p *person, req wire.ReqID) (out []wire.FetchReply) {
	for _, o := range c.opened(p) {
		if o.Inner.Signed.Type != wire.TypeFetchReply {
			continue
		}
		if r, err := wire.ParseFetchReply(o.Inner.Signed.Body); err == nil && r.Req == req {
			out = append(out, r)
		}
	}
	return out
}

// answerTo posts a Fetch of Carol's and returns the state and reason of the answer, or "silence".
func (c *hostile) answerTo(p *person, edit ...func(*wire.Fetch)) string {
	c.w.Helper()
	s, f := c.fetchOf(p, edit...)
	c.post(p, s, c.records...)
	for range 2 {
		if r := c.replies(p, f.Req); len(r) > 0 && r[0].Reason != 0 {
			return r[0].State.String() + "(" + r[0].Reason.String() + ")"
		} else if len(r) > 0 {
			return r[0].State.String()
		}
		if v := c.verdict(p, s); v != "silence" { // which waits for it
			return v
		}
	}
	return "silence"
}

// Who is not let in asks in vain, and nothing that his machine obtained holds what the others are shown.
func TestReq_2_3_1_Fetch(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		const secret = "seven o'clock at the old mill"
		bob.note(secret)
		bob.approve(alice)
		_, err := bob.Block(ctx(), c.address().String(), "presence")
		w.must(err)
		alice.add(bob)
		if got := alice.fetchNow(bob); got != "open "+secret+" direct" {
			t.Errorf("alice fetched %q", got)
		}
		if got := c.answerTo(bob); got != "denied(policy)" {
			t.Errorf("carol is answered %s", got)
		}
		for _, e := range c.got.topics() {
			if err := c.watchTopic(bob, e); err == nil {
				c.join(e)
			}
		}
		bob.note(secret + " again")
		time.Sleep(5 * time.Second)
		w.must(clean("what carol's machine obtained", c.got.all(""), secret))
		for _, o := range c.opened(bob) {
			w.must(clean("what carol opened", o.InnerRaw, secret))
		}
		bob.letIn(c)
		time.Sleep(time.Minute)
		if got := c.answerTo(bob); got != "ok" {
			t.Fatalf("carol, let in, is answered %s", got)
		}
		var opened []byte
		for _, o := range c.opened(bob) {
			opened = append(opened, o.InnerRaw...)
		}
		w.finds("a fetch that is answered", clean("what carol opened", opened, secret))
	})
}

// Fetching is a permission of its own: who may ask once need not be let in as a subscriber, and the list
// shows each attempt.
func TestReq_2_3_2_FetchIsItsOwnPermission(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.note("now and then")
		block, allow := "block", "allow"
		_, err := bob.SetPolicy(ctx(), node.PolicyEdit{Who: alice.address(), Watch: &block, Fetch: &allow})
		w.must(err)
		for i := range 3 {
			if got := alice.fetch(bob); got != "open now and then direct" {
				t.Errorf("fetch %d: %q", i, got)
			}
		}
		alice.ask(bob)
		w.within(5*time.Second, "her subscription is refused", func() bool { s := alice.watching(bob); return s.State == "denied" && s.Reason == wire.ReasonPolicy })
		if s := bob.watcher(alice); s.State != "denied" || s.Event != "rejected" || s.Fetches != 3 {
			t.Errorf("listed as %+v", s)
		}
		bob.approve(alice)
		_, err = alice.Watch(ctx(), "bob", "again", 0)
		w.must(err)
		w.within(5*time.Second, "let in, she is active", func() bool { return alice.watching(bob).State == "active" && bob.watcher(alice).State == "active" })
		info, err := bob.WatcherInfo(ctx())
		w.must(err)
		var states []string
		for _, s := range info.Watchers {
			states = append(states, s.Winfo+" "+s.Event)
		}
		if slices.Sort(states); !slices.Equal(states, []string{"active subscribe", "terminated rejected", "terminated timeout"}) {
			t.Errorf("attempts: %q", states)
		}

		// The reverse: a subscriber who may not ask once reads what he is sent, and Carol, who may do neither, nothing.
		_, err = bob.SetPolicy(ctx(), node.PolicyEdit{Who: alice.address(), Watch: &allow, Fetch: &block})
		w.must(err)
		_, err = alice.Unwatch(ctx(), "bob")
		w.must(err)
		w.within(5*time.Second, "she has left", func() bool { return bob.watcher(alice).Winfo == "terminated" })
		if got := alice.fetch(bob); got != "policy" {
			t.Errorf("may subscribe, may not ask once: %q", got)
		}
		alice.ask(bob)
		w.within(5*time.Second, "she subscribes again", func() bool { return alice.sees(bob).Note == "now and then" })
		if got := alice.fetchNow(bob); got != "open now and then direct" {
			t.Errorf("a subscriber fetches by GET: %q", got)
		}
	})
}

// Who is politely blocked asks once and is shown what he would be shown if Bob were offline for him: the
// same fields, one version on, at the same pace; and it is signed anew when Bob starts again.
func TestReq_5_1_15_PoliteFetch(t *testing.T) {
	docs := map[string][]wire.Doc{}
	for _, way := range []string{"polite", "offline"} {
		inWorld(t, func(w *world) {
			bob, c := w.person("bob"), w.hostile("carol")
			bob.letIn(c)
			ask := func() wire.Doc {
				t.Helper()
				time.Sleep(61 * time.Second)
				s, f := c.fetchOf(bob)
				c.post(bob, s, c.records...)
				w.within(soon, "carol is answered", func() bool { return len(c.replies(bob, f.Req)) == 1 })
				c.post(bob, s, c.records...) // the first answer may be lost
				w.within(soon, "carol is answered again", func() bool { return len(c.replies(bob, f.Req)) == 2 })
				r := c.replies(bob, f.Req)[0]
				if again := c.replies(bob, f.Req)[1]; !reflect.DeepEqual(r, again) {
					t.Errorf("answered %+v, then %+v", r, again)
				}
				if r.State != wire.FetchOK || r.Reason != 0 || len(r.Docs) != 1 {
					t.Fatalf("answered %+v", r)
				}
				d, err := wire.ParseDoc(r.Docs[0])
				w.must(err)
				return d
			}
			time.Sleep(time.Second) // his first word is out: how many changes the next one is must not be chance
			bob.note("here")
			out := []wire.Doc{ask()}
			var err error
			if way == "polite" {
				allowed := "polite-block"
				_, err = bob.SetPolicy(ctx(), node.PolicyEdit{Who: c.address().String(), Watch: &allowed})
			} else {
				_, err = bob.Offline(ctx())
			}
			w.must(err)
			out = append(out, ask(), ask())
			bob.down()
			bob.up()
			docs[way] = append(out, ask(), ask())
		})
	}
	for i, d := range docs["polite"] {
		o := docs["offline"][i]
		if d.Ver != o.Ver || len(d.Append(nil)) != len(o.Append(nil)) || len(d.Tuples) != 1 || len(o.Tuples) != 1 {
			t.Fatalf("answer %d: politely %+v, offline %+v", i, d, o)
		}
		if p, q := d.Tuples[0].Timestamp, o.Tuples[0].Timestamp; max(p, q)-min(p, q) > 1000 {
			t.Errorf("answer %d: signed %v, offline %v", i, p, q)
		}
		if d.Tuples[0].Basic != o.Tuples[0].Basic || len(d.Notes) != len(o.Notes) || len(d.Reach) != len(o.Reach) {
			t.Errorf("answer %d: politely %+v, offline %+v", i, d, o)
		}
	}
}

// The same bytes by both ways, for each watcher those of his view.
func TestReq_2_3_3_SameBytes(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob, c := w.person("alice"), w.person("bob"), w.hostile("carol")
		alice.watch(bob)
		g := c.watch(bob)
		w.must(c.watchTopic(bob, g.E))
		same := func() error {
			c.w.Helper()
			time.Sleep(time.Minute)
			s, f := c.fetchOf(bob)
			c.post(bob, s, c.records...)
			w.within(soon, "carol is answered", func() bool { return len(c.replies(bob, f.Req)) == 1 })
			docs := c.reads(g.E, g)
			notified := docs[len(docs)-1].Append(nil)
			if got := c.replies(bob, f.Req)[0].Docs; len(got) != 1 || !bytes.Equal(got[0], notified) {
				return fail("fetched %x, notified %x", got, notified)
			}
			return nil
		}
		for i := range 3 {
			bob.note(fmt.Sprint("change ", i))
			w.within(soon, "carol is told", func() bool {
				docs := c.reads(g.E, g)
				return len(docs) > 0 && len(docs[len(docs)-1].Notes) > 0 && docs[len(docs)-1].Notes[0].Text == fmt.Sprint("change ", i)
			})
			w.must(same())
		}
		_, err := bob.Offline(ctx())
		w.must(err)
		w.must(same())
		time.Sleep(time.Minute)
		for i := range 12 { // more than the bucket holds: what was notified last is not what was said last
			bob.note(fmt.Sprint("burst ", i))
		}
		s, f := c.fetchOf(bob)
		c.post(bob, s, c.records...)
		w.within(soon, "carol is answered", func() bool { return len(c.replies(bob, f.Req)) == 1 })
		known := func(b []byte) bool {
			return slices.ContainsFunc(c.reads(g.E, g), func(d wire.Doc) bool { return bytes.Equal(d.Append(nil), b) })
		}
		if !known(c.replies(bob, f.Req)[0].Docs[0]) {
			t.Error("what was fetched while a change waited was never notified")
		}
		w.finds("other bytes", func() error {
			if known([]byte("other")) {
				return nil
			}
			return fail("not notified")
		}())
	})
}

// A fetch is a first-class question: it is enough, needs no subscription, and is listed with its count.
func TestReq_S13_FetchIsEnough(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.approve(alice)
		bob.note("hello")
		card := bob.card()
		for i := range 5 {
			p, err := alice.Fetch(ctx(), card, false) // nobody needs to be on the roster for it
			if err != nil || p.Note != "hello" || p.Source != "direct" || p.Evidence != "said" {
				t.Fatalf("fetch %d: %+v, %v", i, p, err)
			}
			time.Sleep(61 * time.Second)
		}
		if people, _ := alice.Contacts(ctx()); len(people) != 0 {
			t.Errorf("alice's roster: %+v", people)
		}
		if s := bob.watcher(alice); s.Fetches != 5 || !s.Once || s.Fetched.IsZero() || s.Proof != alice.Self().Address.Fingerprint() {
			t.Errorf("listed as %+v", s)
		}
		bob.kill(testnet.Crash)
		bob.up()
		if s := bob.watcher(alice); s.Fetches != 5 {
			t.Errorf("after a crash: %+v", s)
		}
		if subs, _ := alice.Watching(ctx()); len(subs) != 0 {
			t.Errorf("alice watches %+v", subs)
		}
		p, err := alice.Fetch(ctx(), card, true)
		if err != nil || p.Source != "cached" || p.Evidence != "cached" || p.Age < time.Minute {
			t.Errorf("from memory: %+v, %v", p, err)
		}
		dave := w.person("dave")
		began := time.Now()
		bob.kill(testnet.Crash)
		if _, err := dave.Fetch(ctx(), card, false); code(err) != "no-copy" || time.Since(began) > 5*time.Second {
			t.Errorf("nobody there: %v after %v", err, time.Since(began))
		}
	})
}

// An answer dies with its stream, or two of them: who asks is shown it all the same within his 5 s, and the
// question counts once. Where no answer arrives at all, there is no copy.
func TestReq_2_3_1_FetchOutlivesItsStream(t *testing.T) {
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.approve(alice)
		alice.add(bob)
		bob.note("here")
		for _, x := range []struct {
			lost int
			want string
		}{{0, "open here direct"}, {1, "open here direct"}, {99, "open here cached"}} {
			time.Sleep(61 * time.Second)
			var lost atomic.Int32
			began := time.Now()
			w.net.Snap(alice.ip, func(c testnet.Chunk) int { // an answer leaves a second after its question
				if c.From != bob.ip || int(lost.Load()) >= x.lost || c.At.Sub(began) < wire.AnswerDelay/2 {
					return len(c.Data)
				}
				lost.Add(1)
				return 0
			})
			if got := alice.fetchNow(bob); got != x.want || time.Since(began) > 5*time.Second {
				t.Errorf("with %d lost: %q after %v", x.lost, got, time.Since(began))
			}
			if x.lost > 0 && lost.Load() == 0 {
				t.Error("no answer was lost")
			}
		}
		if s := bob.watcher(alice); s.Fetches != 3 {
			t.Errorf("listed as %+v", s)
		}
	})
}

// What is refused, ignored and answered, and when: the table of SPEC 9.1, and that every answer leaves a
// second after the question came.
func TestReq_2_3_1_FetchRefusals(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, im, c := w.person("bob"), w.person("erin", only(identity.Inbox)), w.hostile("carol")
		bob.letIn(c)
		back := func(d time.Duration) func(*wire.Fetch) { return func(f *wire.Fetch) { f.At = now().Add(-d) } }
		for _, x := range []struct {
			name string
			to   *person
			edit func(*wire.Fetch)
			want string
		}{
			{"for somebody else", bob, func(f *wire.Fetch) { f.To = c.address() }, "failed(recipient-mismatch)"},
			{"in another's name", bob, func(f *wire.Fetch) { f.From = im.Self().Address }, "failed(stale-record)"},
			{"from the future", bob, back(-time.Hour), "failed(time)"},
			{"where no presence is", im, nil, "denied(no-presence-service)"},
			{"11 minutes old", bob, back(11 * time.Minute), "silence"},
			{"requires the unknown", bob, func(f *wire.Fetch) {
				f.Crit, f.Unknown = []uint32{100}, []wire.Unknown{{Number: 100, Raw: []byte{0xa0, 6, 1}}}
			}, "failed(unsupported-required)"},
			{"9 minutes old", bob, back(9 * time.Minute), "ok"},
			{"within the minute", bob, nil, "silence"},
		} {
			edit := x.edit
			if edit == nil {
				edit = func(*wire.Fetch) {}
			}
			if got := c.answerTo(x.to, edit); got != x.want {
				t.Errorf("%s: %s, not %s", x.name, got, x.want)
			}
		}
		time.Sleep(time.Minute)
		s, f := c.fetchOf(bob)
		forged := s
		forged.Sig[5] ^= 1
		c.post(bob, forged, c.records...)
		if v := c.verdict(bob, forged); v != "failed(bad-signature)" {
			t.Errorf("a wrong signature: %s", v)
		}
		began := time.Now()
		c.post(bob, s, c.records...)
		w.within(soon, "it is answered", func() bool { return len(c.replies(bob, f.Req)) == 1 })
		if d := time.Since(began); d < wire.AnswerDelay {
			t.Errorf("answered after %v", d)
		}
		count := bob.watcherAt(c.address().String()).Fetches
		again := func(wait time.Duration) { // replays
			time.Sleep(wait)
			c.post(bob, s, c.records...)
			time.Sleep(soon)
		}
		bob.note("what an answer that is given again does not tell")
		for range wire.FetchRepeats + 2 {
			again(time.Second)
		}
		again(5 * time.Minute)
		bob.kill(testnet.Crash)
		bob.up()
		bob.clock.Step(-3 * time.Minute)
		again(0)
		all := c.replies(bob, f.Req)
		for _, r := range all {
			if !reflect.DeepEqual(r, all[0]) {
				t.Errorf("a repeat is answered %+v, the question %+v", r, all[0])
			}
		}
		if len(all) != 1+wire.FetchRepeats || bob.watcherAt(c.address().String()).Fetches != count {
			t.Errorf("answered %d times, counted %+v", len(all), bob.watcherAt(c.address().String()))
		}
	})
}
