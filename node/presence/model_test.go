package presence

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// A world is one subscription: alice, bob, and what is under way between them. Every step takes two
// minutes. Fault plants a mistake that the check must find.
type world struct {
	fault string
	d     time.Duration
	a     Watching
	b     *Watcher
	h     Handling
	epoch byte
	told  map[PublicKey]bool // epochs that bob told under the sub of a
	net   []any              // wire.SubRequest, wire.Unsub, wire.SubState, or the wire.MID that an Ack names
	log   []string
}

const maxUnderWay = 3

func newWorld(h Handling, fault string) world {
	return world{fault: fault, a: asking(), h: h, epoch: 1, told: map[PublicKey]bool{}}
}

func (w world) now() Now { return at(w.d) }

func (w *world) send(m any) {
	if w.net = append(w.net, m); len(w.net) > maxUnderWay {
		w.net = w.net[1:]
	}
}

func (w world) facts() Facts {
	return Facts{Handling: w.h, Contact: true, Service: true, PlaceFree: true, Grant: grants[w.epoch]}
}

// grants are made once: making keys is what would take the time.
var grants = func() (out [8]*wire.Grant) {
	for i := range out {
		out[i] = grantOf(byte(i+1), start)
	}
	return out
}()

// speak sends what alice's side has to say, due or not.
func (w *world) speak() bool {
	switch w.a.State {
	case Requested, Pending, Active:
		w.send(w.a.Request(w.now(), 0, 0))
	case Ending:
		w.send(w.a.Unsub(w.now(), 0))
	default:
		return false
	}
	return true
}

// tell signs and sends bob's state.
func (w *world) tell(k AnswerKind) {
	f := w.facts()
	switch {
	case k == Sign:
		s := w.b.Sign(w.now(), f.Grant, nil, 0)
		raw := s.Append(nil)
		w.b.Signed(raw, wire.Signed{Body: raw}.ID())
		if s.Grant != nil {
			w.told[s.Grant.E] = true
		}
		w.send(s)
	case k == Resend:
		s, err := wire.ParseSubState(w.b.Raw)
		if err != nil {
			panic(err)
		}
		w.send(s)
	}
}

func (w *world) deliver(m any) {
	switch m := m.(type) {
	case wire.SubRequest:
		b, ans := Request(w.now(), w.b, m, phone, w.facts())
		if ans.Keep {
			w.b = &b
		}
		if ans.Kind != Silent {
			w.tell(ans.Kind)
		}
	case wire.Unsub:
		b, ans := Unsub(w.now(), w.b, m, phone, true)
		if !ans.Keep {
			return
		}
		w.b = &b
		w.tell(ans.Kind)
		if w.fault == "forgets the unsubscribed" {
			w.b = nil
		}
	case wire.SubState:
		if out, err := w.a.Answer(w.now(), m, 0); err == nil && out.Ack {
			w.send(wire.Signed{Body: m.Append(nil)}.ID())
		}
	case wire.MID:
		if w.b != nil {
			b := *w.b
			b.Acked(m)
			w.b = &b
		}
	}
}

// decide applies a handling to bob's row.
func (w *world) decide(h Handling) {
	w.h = h
	if w.b == nil {
		return
	}
	b := *w.b
	w.b = &b
	w.tell(b.Decide(w.now(), h, DefaultView).Kind)
}

// change gives bob a new epoch, of which he tells whoever is to know.
func (w *world) change() {
	w.epoch++
	if w.b != nil && w.b.Untold(grants[w.epoch], nil) {
		b := *w.b
		w.b = &b
		w.tell(Sign)
	}
}

// steps returns every world that can follow.
func (w world) steps() (out []world) {
	try := func(name string, f func(*world) bool) {
		n := w
		n.d += 2 * minute
		n.net, n.log, n.told = slices.Clone(w.net), append(slices.Clone(w.log), name), maps.Clone(w.told)
		if f(&n) {
			out = append(out, n)
		}
	}
	try("alice speaks", (*world).speak)
	try("alice unsubscribes", func(n *world) bool { n.a.End(n.now(), 0); return w.a.State != n.a.State })
	try("bob allows", func(n *world) bool { n.decide(Allow); return w.h != Allow })
	try("bob confirms", func(n *world) bool { n.decide(Confirm); return w.h != Confirm })
	try("bob blocks", func(n *world) bool { n.decide(Block); return w.h != Block })
	try("bob changes epoch", func(n *world) bool { n.change(); return true })
	for i, m := range w.net {
		try(fmt.Sprintf("%T arrives", m), func(n *world) bool { n.net = slices.Delete(n.net, i, i+1); n.deliver(m); return true })
		try(fmt.Sprintf("%T arrives, and stays", m), func(n *world) bool { n.deliver(m); return true })
		try(fmt.Sprintf("%T is lost", m), func(n *world) bool { n.net = slices.Delete(n.net, i, i+1); return true })
	}
	return out
}

// heal lets both talk without loss for some hours, after all that was under way came in reverse.
func (w *world) heal() {
	w.net = slices.Clone(w.net)
	for range 6 {
		w.d += 2 * hour
		w.a.Connected(w.now())
		if w.b != nil && w.b.State != 0 {
			b := *w.b
			b.Contact(w.now())
			w.b = &b
			if b.Due(w.now()) == SendState {
				w.tell(Resend)
			}
		}
		if a := w.a.Due(w.now()); a == SendRequest || a == SendUnsub {
			w.speak()
		}
		for len(w.net) > 0 {
			m := w.net[len(w.net)-1]
			w.net = w.net[:len(w.net)-1]
			w.deliver(m)
		}
	}
}

// wrong says what must never be (I10, I12).
func (w world) wrong() string {
	for _, g := range w.a.Grants() {
		if !w.told[g.E] || w.a.State != Active {
			return "a grant that is not of this subscription"
		}
	}
	if w.b != nil && w.a.Seq > w.b.Seq {
		return "alice knows more than bob said"
	}
	return ""
}

// settled says whether both sides agree once they have talked.
func (w world) settled() string {
	if w.b == nil {
		if w.a.State == None {
			return ""
		}
		return "bob knows nothing, alice is " + w.a.State.String()
	}
	want := stateOf(w.b.State)
	if w.b.Ended {
		want = None
	}
	switch {
	case w.a.State != want:
		return fmt.Sprintf("alice is %v, bob says %v", w.a.State, want)
	case w.a.State != None && w.a.Seq != w.b.Seq:
		return "different seqs"
	case want == Active && w.a.Grant.E != grants[w.epoch].E:
		return "alice holds an old epoch"
	case w.b.Unacked:
		return "still unacked"
	}
	return ""
}

// explore walks every world within depth steps, and returns the first that is wrong.
func explore(w world, depth int) string {
	if s := w.wrong(); s != "" {
		return fmt.Sprintf("%s: %q", s, w.log)
	}
	end := w
	end.told = map[PublicKey]bool{}
	end.heal()
	if s := end.settled(); s != "" {
		return fmt.Sprintf("%s: %q", s, w.log)
	}
	if depth == 0 {
		return ""
	}
	for _, n := range w.steps() {
		if s := explore(n, depth-1); s != "" {
			return s
		}
	}
	return ""
}

// Every order of loss, repetition, delay and decision within a few steps leaves a subscription that
// both sides agree on as soon as they can talk (I10, I11, I12).
func TestSubscriptionModel(t *testing.T) {
	for h, depth := range map[Handling]int{Allow: 6, Confirm: 5, Block: 5} {
		if s := explore(newWorld(h, ""), depth); s != "" {
			t.Error(s)
		}
	}
}

func TestSubscriptionModelFindsAPlantedFault(t *testing.T) {
	if explore(newWorld(Allow, "forgets the unsubscribed"), 5) == "" {
		t.Error("not found")
	}
}

// Nobody else moves a subscription: not with forged states, nor with a sub of the same id (I11).
func TestThirdPartyChangesNothing(t *testing.T) {
	w := watching(t, wire.SubActive)
	before := fmt.Sprintf("%+v", w)
	for state := wire.SubPending; state <= wire.SubExpired; state++ {
		s := said(state, minute)
		s.From = carol
		if _, err := w.Answer(at(minute), s, 0); err == nil {
			t.Errorf("%v taken", state)
		}
	}
	check(t, "alice", fmt.Sprintf("%+v", w), before)
	row := watcher(Allow)
	r := asked(hour)
	r.From = carol
	if theirs, a := Request(at(hour), nil, r, phone, let(Confirm)); theirs.Who != carol || a.Left != "" || row.State != wire.SubActive {
		t.Errorf("%+v, %+v", theirs, a)
	}
}
