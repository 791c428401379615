package node

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// fetches is what a gets by asking b once: basic, note, evidence and source, or the code of the error.
func (a *actor) fetches(b *actor, cached bool) string {
	a.t.Helper()
	p, err := a.Fetch(a.t.Context(), b.address(), cached)
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	} else if err != nil {
		a.t.Fatal(err)
	}
	return p.Basic + " " + p.Note + " " + p.Evidence + " " + p.Source
}

// lists is what a's list of watchers says of b.
func (a *actor) lists(b *actor) Subscription {
	a.t.Helper()
	for _, s := range must(a.Watchers(a.t.Context()))(a.t) {
		if s.Address == b.who.Address {
			return s
		}
	}
	return Subscription{}
}

// TestFetchIsAnswered leads somebody who asks once through each answer.
func TestFetchIsAnswered(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	bob.says("at my desk")
	asked := func(want string) {
		t.Helper()
		alice.clock.move(61*time.Second, 61*time.Second)
		bob.clock.move(61*time.Second, 61*time.Second)
		if got := alice.fetches(bob, false); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	asked("pending")
	if got := alice.fetches(bob, false); got != "rate-limited" {
		t.Errorf("at once again: %q", got)
	}
	if s := bob.lists(alice); s.State != "pending" || s.Winfo != "waiting" || s.Event != "timeout" || !s.Once || s.Fetches != 0 || s.Turned != 1 {
		t.Errorf("listed as %+v", s)
	}
	if r := must(bob.Requests(t.Context()))(t); len(r) != 1 || !r[0].Once {
		t.Errorf("requests: %+v", r)
	}
	must(bob.Approve(t.Context(), alice.address()))(t)
	if s := bob.lists(alice); s.State != "terminated" || s.Event != "approved" {
		t.Errorf("after the yes: %+v", s)
	}
	began := time.Now()
	asked("open at my desk said direct")
	if d := time.Since(began); d < wire.AnswerDelay {
		t.Errorf("answered after %v", d)
	}
	if got := alice.fetches(bob, false); got != "open at my desk cached cached" {
		t.Errorf("at once again: %q", got)
	}
	if got := alice.fetches(bob, true); got != "open at my desk cached cached" {
		t.Errorf("cached: %q", got)
	}
	must(bob.Offline(t.Context()))(t)
	asked("closed  said direct")
	must(bob.Block(t.Context(), alice.address(), "presence"))(t)
	asked("policy")
	if got := alice.fetches(bob, true); got != "no-copy" {
		t.Errorf("what was shown before the refusal: %q", got)
	}
	if s := bob.lists(alice); s.State != "denied" || s.Event != "rejected" || s.Fetches != 2 || s.Turned != 2 || s.Reason != wire.ReasonPolicy {
		t.Errorf("listed as %+v", s)
	}
	eventually(t, "bob is told of what is new, as it stands when he may be told", func() bool {
		told := slices.DeleteFunc(bob.told("request", alice), func(s string) bool { return s == "approved asked once" }) // her next question may overtake it
		return slices.Equal(told, []string{"pending asked once", "fetched asked once", "denied asked once"})
	})
	bob.stop()
	bob.up()
	if s := bob.lists(alice); s.State != "denied" || s.Fetches != 2 || s.Proof != alice.who.Address.Fingerprint() {
		t.Errorf("after a restart: %+v", s)
	}
	for i := range 2 {
		doc := must(bob.Export(t.Context(), ExportQuery{Kind: KindWinfo}))(t)
		for _, want := range []string{fmt.Sprintf(`version="%d"`, i), `status="terminated"`, `event="rejected"`, alice.who.Address.Pres(), bob.who.Address.Pres()} {
			if !strings.Contains(string(doc.Content), want) {
				t.Errorf("%q is not in %s", want, doc.Content)
			}
		}
	}
	bob.stop()
	asked("no-copy")
}

// TestFetchedBytes: who asks once gets the very bytes of the newest notice, and one who watches asks by GET.
func TestFetchedBytes(t *testing.T) {
	t.Parallel()
	alice, bob, dave := start(t, "alice"), start(t, "bob"), start(t, "dave")
	dave.subscribe(bob)
	bob.says("for all")
	dave.sees(bob, "open for all said")
	must(bob.Approve(t.Context(), alice.address()))(t)
	alice.befriend(bob)
	if got := alice.fetches(bob, false); got != "open for all said direct" {
		t.Fatal(got)
	}
	var sent []byte
	err := alice.view(func(t *txn) error {
		f, err := get[struct{ Docs []struct{ Doc wire.Doc } }](t, store.Fetched(bob.who.Address))
		sent = f.Docs[0].Doc.Append(nil)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	p := dave.Node.presence.copyOf(dave.Node.presence.knownOf(bob.who.Address))
	if !slices.Equal(p.Docs[0].Doc.Append(nil), sent) {
		t.Errorf("fetched %+v, notified %+v", sent, p.Docs[0].Doc)
	}
	if got := dave.fetches(bob, false); got != "open for all said direct" {
		t.Errorf("one who watches: %q", got)
	}
	if got := dave.fetches(bob, true); got != "open for all said watch" {
		t.Errorf("one who watches, without asking: %q", got)
	}
	if s := bob.lists(dave); s.State != "active" || s.Contact != "connected" || s.Fetches != 0 {
		t.Errorf("dave is listed as %+v", s)
	}
	bob.crash()
	dave.pass(wire.DefaultTTL)
	dave.sees(bob, "closed for all lapsed")
	if got := dave.fetches(bob, false); got != "closed for all lapsed cached" {
		t.Errorf("with bob away: %q", got)
	}
}

// TestTogether: one line for each address, and it says what matters most.
func TestTogether(t *testing.T) {
	at := func(h int) time.Time { return time.Unix(int64(h)*3600, 0) }
	sub := func(winfo string, h int) Subscription {
		return Subscription{State: winfo, Winfo: winfo, At: at(h), Began: at(h)}
	}
	once := func(winfo string, h int) Subscription {
		return Subscription{State: "of once", Winfo: winfo, At: at(h), Began: at(h), Once: true, Fetches: 3, Turned: 2, Fetched: at(h)}
	}
	tests := []struct {
		name    string
		rows    []Subscription
		state   string
		fetches int
	}{
		{"two devices", []Subscription{sub("pending", 2), sub("active", 1)}, "active", 0},
		{"active, and asked once", []Subscription{sub("active", 1), once("terminated", 2)}, "active", 3},
		{"over, and asked once later", []Subscription{sub("terminated", 1), once("terminated", 2)}, "terminated", 3},
		{"over, and a question waits", []Subscription{sub("terminated", 3), once("waiting", 2)}, "of once", 3},
		{"asked once only", []Subscription{once("terminated", 2)}, "of once", 3},
		{"the newest of two that are over", []Subscription{sub("terminated", 5), sub("terminated", 4)}, "terminated", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for range 2 {
				got := together(test.rows)
				first := slices.MinFunc(test.rows, func(a, b Subscription) int { return a.Began.Compare(b.Began) })
				if got.State != test.state || got.Fetches != test.fetches || !got.Began.Equal(first.Began) {
					t.Errorf("got %+v", got)
				}
				slices.Reverse(test.rows)
			}
		})
	}
	if s := together([]Subscription{sub("terminated", 4), sub("terminated", 5)}); !s.At.Equal(at(5)) {
		t.Errorf("at %v", s.At)
	}
}

// TestFetchReplies: only what B says to A's newest question counts.
func TestFetchReplies(t *testing.T) {
	t.Parallel()
	alice, bob, mallory := start(t, "alice"), start(t, "bob"), start(t, "mallory")
	for _, x := range []*actor{bob, mallory} {
		alice.befriend(x)
		must(alice.Resolve(t.Context(), x.who.Name))(t)
	}
	f, _, err := alice.newFetch(bob.who.Address)
	if err != nil {
		t.Fatal(err)
	}
	doc := wire.Doc{Entity: bob.who.Address, Device: bob.who.Device, Ver: 1, TTL: 150, Tuples: []wire.Tuple{{ID: "im", Basic: wire.Open}}}
	hers := doc
	hers.Entity, hers.Device = mallory.who.Address, mallory.who.Device
	good := wire.FetchReply{From: bob.who.Address, To: alice.who.Address, Req: f.Req, State: wire.FetchOK, Docs: [][]byte{doc.Append(nil)}, AsOf: bob.now().Wall}
	edit := func(e func(*wire.FetchReply)) wire.FetchReply {
		r := good
		e(&r)
		return r
	}
	tests := []struct {
		name  string
		by    *actor
		reply wire.FetchReply
		want  wire.Reason
		kept  bool
	}{
		{"mallory in bob's name", mallory, good, wire.ReasonBadSignature, false},
		{"mallory in her own", mallory, edit(func(r *wire.FetchReply) { r.From = mallory.who.Address }), 0, false},
		{"bob to mallory", bob, edit(func(r *wire.FetchReply) { r.To = mallory.who.Address }), wire.ReasonRecipientMismatch, false},
		{"bob about another question", bob, edit(func(r *wire.FetchReply) { r.Req[0] ^= 1 }), 0, false},
		{"bob from the future", bob, edit(func(r *wire.FetchReply) { r.AsOf = r.AsOf.Add(time.Hour) }), wire.ReasonTime, false},
		{"a state of nobody", bob, edit(func(r *wire.FetchReply) { r.State = 7 }), wire.ReasonUnsupportedRequired, false},
		{"what must be understood and is not", bob, edit(func(r *wire.FetchReply) { r.Ext = []wire.Ext{{Name: "x.example.org/a", MustUnderstand: true}} }), wire.ReasonUnsupportedRequired, false},
		{"bob, with a document of mallory's", bob, edit(func(r *wire.FetchReply) { r.Docs = append(r.Docs, hers.Append(nil)) }), 0, true},
		{"bob again", bob, edit(func(r *wire.FetchReply) { r.Docs = nil }), 0, true},
	}
	for _, test := range tests {
		in := test.by.arrives(alice, wire.TypeFetchReply, test.reply.Append(nil))
		var got wire.Reason
		err := alice.update(func(t *txn) (err error) {
			got, err = alice.takeFetchReply(t, in, test.reply, readRecords(test.reply.From, in.attached))
			return err
		})
		if err != nil || got != test.want {
			t.Errorf("%s: %v, %v; want %v", test.name, got, err, test.want)
		}
		f, _, _ := alice.fetchedOf(bob.who.Address)
		if kept := len(f.Docs) == 1 && f.Docs[0].Device == bob.who.Device; kept != test.kept || !kept && len(f.Docs) > 0 {
			t.Errorf("%s: kept %+v", test.name, f)
		}
	}
	if got := alice.fetches(bob, true); got != "open  cached cached" {
		t.Errorf("shown %q", got)
	}
	if got := alice.fetches(mallory, true); got != "no-copy" {
		t.Errorf("of mallory: %q", got)
	}
}

// TestFetchHeals: who forgot my records is given them, and one whose clock is wrong says so.
func TestFetchHeals(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	must(bob.Approve(t.Context(), alice.address()))(t)
	alice.befriend(bob)
	if got := alice.fetches(bob, false); got != "open  said direct" {
		t.Fatal(got)
	}
	if err := bob.update(func(t *txn) error {
		t.after(func() { bob.pins.drop(alice.who.Address) })
		return errors.Join(t.Delete(store.Pin(alice.who.Address)), t.Delete(store.Fetcher(alice.who.Address)))
	}); err != nil {
		t.Fatal(err)
	}
	alice.clock.move(61*time.Second, 61*time.Second)
	bob.clock.move(61*time.Second, 61*time.Second)
	if got := alice.fetches(bob, false); got != "open  said direct" {
		t.Errorf("after bob forgot her: %q", got)
	}
	alice.clock.move(time.Hour, 61*time.Second)
	bob.clock.move(61*time.Second, 61*time.Second)
	if got := alice.fetches(bob, false); got != "time" {
		t.Errorf("with her clock an hour ahead: %q", got)
	}
	erin := start(t, "erin", identity.Inbox)
	alice.befriend(erin)
	if got := alice.fetches(erin, false); got != "no-presence-service" {
		t.Errorf("who takes messages only: %q", got)
	}
	if got := alice.fetches(alice, false); got != "self" {
		t.Errorf("herself: %q", got)
	}
}
