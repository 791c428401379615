package message

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// The model below is small enough to be searched whole: a sender, a recipient, and a link that loses,
// repeats and reorders what it carries; either end crashes at every instant and comes back with what
// it had saved; the recipient blocks the sender at some moment, time runs past expires and past the time for
// which anything is remembered, and the user takes back what nobody has, or sends again what stayed
// unconfirmed. Searched are all orders of these events. Faults can be planted.

// A fault is a mistake in the order of things that the search must find.
type fault string

const (
	none           fault = ""
	ackFirst       fault = "the ack leaves before the commit"
	seenAfterRules fault = "seen is asked after time and rules"
	seenOutside    fault = "seen is not looked up again by the commit"
	sendFirst      fault = "the recipient's rows are written apart: message, then seen"
	noResendOf     fault = "a resend does not name what it repeats"
	forgetsDoubt   fault = "a crash in a try makes it one that was not taken"
	purgesEarly    fault = "what is remembered goes when the message has expired"
)

// A side of the model is a comparable value, so that states met before are known.
type world struct {
	fault fault

	// sender, saved
	entries [2]saved // the second is the resend
	running bool     // volatile: a try of the first waits for its answer
	clock   int      // index into instants

	// link: what is under way, as a set, since the link repeats anything at will until it loses it
	parcels [2]bool
	acks    [4]bool // delivered and refused, for each of the two

	// recipient
	blocked   bool
	rows      [2]int  // durable commits of each message
	seen      [2]byte // durable: 0 unknown, 1 delivered, 2 refused
	waits     [2]byte // volatile: a verdict that waits for its commit, 1 delivered, 2 refused
	half      [2]bool // volatile, planted: the row is written, seen is not
	shown     int     // messages that the user has seen
	told      [2]bool // an ack delivered has left
	blockings int
}

const modelLife = 30 * time.Minute

// instants are the moments between which time does not matter: before and after each end.
var instants = [...]time.Duration{
	0, modelLife + time.Second, modelLife + 5*time.Minute, // of the first
	2*modelLife + 6*time.Minute, 2*modelLife + 11*time.Minute, // of the resend
	wire.ResendWindow + 2*modelLife + 20*time.Minute, // of what is remembered
}

const resendAt = 2 // the instant at which the user may send again

func (w *world) now() identity.Now { return at(instants[w.clock]) }

func modelMID(i int) wire.MID { return wire.MID{byte(i + 1)} }

func (w *world) im(i int) wire.IM {
	m := im()
	m.Sent, m.Expires = start, start.Add(modelLife)
	if i == 1 {
		m.Sent, m.Expires = at(instants[resendAt]).Wall, at(instants[resendAt]+modelLife).Wall
		if w.fault != noResendOf {
			m.ResendOf = modelMID(0)
		}
	}
	return m
}

// A saved entry is what distinguishes it in the model; one that was not made yet is zero.
type saved struct {
	State  State
	Reason wire.Reason
	Handed bool
	Trying bool
	Doubt  bool
}

func (w *world) made(i int) bool { return w.entries[i].State != 0 }

// save keeps of the resend no doubt: what it is for is shown by the first.
func (w *world) save(i int, e Entry) {
	w.entries[i] = saved{e.State, e.Reason, e.Handed, e.Trying && i == 0, e.Doubt && i == 0}
}

func (w *world) load(i int) (e Entry) {
	when := at(0)
	if i == 1 {
		when = at(instants[resendAt])
	}
	e, err := New(when, modelMID(i), w.im(i), nil)
	if err != nil {
		panic(err)
	}
	s := w.entries[i]
	e.State, e.Reason, e.Handed, e.Trying, e.Doubt = s.State, s.Reason, s.Handed, s.Trying, s.Doubt
	return e
}

// next returns every world that one event leads to, and what it is called.
func (w world) next() (ws []world, names []string) {
	add := func(name string, i int, do func(w *world) bool) {
		n := w
		if do(&n) && n != w {
			ws, names = append(ws, n), append(names, fmt.Sprint(name, " ", i))
		}
	}
	for i := range w.entries {
		if !w.made(i) {
			continue
		}
		add("try", i, func(w *world) bool { return w.try(i, true) })
		add("lose parcel", i, func(w *world) bool { w.parcels[i] = false; return true })
		add("taken, and lost in a crash", i, func(w *world) bool { return w.taken(i) })
		add("arrive", i, func(w *world) bool { return w.arrive(i) })
		add("commit", i, func(w *world) bool { return w.commit(i) })
		for _, k := range []int{2 * i, 2*i + 1} {
			add("lose ack", k, func(w *world) bool { w.acks[k] = false; return true })
			add("hear ack", k, func(w *world) bool { return w.hear(k) })
		}
	}
	add("try that reaches nobody", 0, func(w *world) bool { return w.try(0, false) })
	add("no answer", 0, (*world).unanswered)
	add("cancel", 0, (*world).cancel)
	add("sender crashes", 0, func(w *world) bool { w.running = false; return true })
	add("recipient purges", 0, (*world).purge)
	add("recipient crashes", 0, func(w *world) bool { w.waits, w.half = [2]byte{}, [2]bool{}; return true })
	add("block or unblock", 0, func(w *world) bool { w.blocked = !w.blocked; w.blockings++; return w.blockings <= 2 })
	add("time passes", 0, (*world).pass)
	add("send again", 1, (*world).resend)
	return ws, names
}

// try is Attempted, saved, then sent: if it reaches somebody, its answer is waited for. A crash between the two
// is a parcel lost.
func (w *world) try(i int, reaches bool) bool {
	e := w.load(i)
	if e.NextTry = 0; w.running && i == 0 || !e.Due(w.now()) { // any moment may be that of a retry
		return false
	}
	e.Attempted(w.now(), 0)
	if reaches {
		e.Connected(w.now())
		w.parcels[i] = true
		w.running = w.running || i == 0
	} else {
		e.Tried(false)
	}
	w.save(i, e)
	return true
}

// taken is TAKEN, heard by the sender, of a parcel that then is nowhere but in the other's memory.
func (w *world) taken(i int) bool {
	if !w.parcels[i] || i == 0 && !w.running {
		return false
	}
	e := w.load(i)
	e.Reply(w.now(), wire.OK, 0)
	w.save(i, e)
	w.running = w.running && i != 0
	return true
}

// unanswered is the end of a try whose answer did not come.
func (w *world) unanswered() bool {
	if !w.running {
		return false
	}
	e := w.load(0)
	e.Tried(true)
	w.save(0, e)
	w.running = false
	return true
}

// cancel is the user's wish, which waits for the end of a try.
func (w *world) cancel() bool {
	e := w.load(0)
	if w.fault == forgetsDoubt {
		e.Trying = false
	}
	if w.running || e.Cancel(w.now()) != nil {
		return false
	}
	w.save(0, e)
	return true
}

// purge forgets what need not be remembered any more.
func (w *world) purge() bool {
	var all Purge
	for i := range w.seen {
		over := !all.Keep(w.now(), Seen{Until: seenUntil(w.im(i))})
		if w.fault == purgesEarly {
			over = w.now().Late(w.im(i).Expires)
		}
		if over {
			w.seen[i] = 0
		}
	}
	return true
}

func (w *world) arrival(i int) Arrival {
	a := arrival()
	a.ID, a.IM = modelMID(i), w.im(i)
	a.Seen = seenOf(w.seen[i])
	if !a.IM.ResendOf.IsZero() {
		a.SeenResend = seenOf(w.seen[0])
	}
	if w.blocked {
		a.Admission = Refuse
	}
	return a
}

func seenOf(b byte) *Seen {
	if b == 0 {
		return nil
	}
	return &Seen{Ack: []byte{b}, Refused: b == 2}
}

// arrive is the recipient's first look, before the transaction.
func (w *world) arrive(i int) bool {
	if !w.parcels[i] {
		return false
	}
	v := w.receive(i)
	switch {
	case v.Kind == Repeat:
		w.say(i, v.Stored[0])
	case len(v.Remember) == 0:
		if v.Reason != wire.ReasonExpired { // of which the sender knows itself
			w.say(i, 2)
		}
	default:
		w.waits[i] = min(w.waits[i]+1, 2)
		if w.fault == ackFirst {
			w.say(i, word(v))
		}
	}
	return true
}

func (w *world) receive(i int) Verdict {
	a := w.arrival(i)
	if w.fault == seenAfterRules && a.Seen != nil {
		seen := a.Seen
		if a.Seen = nil; Receive(w.now(), a).Kind != Reject {
			a.Seen = seen
		}
	}
	return Receive(w.now(), a)
}

func word(v Verdict) byte {
	if v.Disposition == wire.Delivered {
		return 1
	}
	return 2
}

// commit is the one transaction, which decides again, and then the ack.
func (w *world) commit(i int) bool {
	if w.waits[i] == 0 {
		return false
	}
	v := w.receive(i)
	if w.fault == seenOutside {
		a := w.arrival(i)
		a.Seen, a.SeenResend = nil, nil
		v = Receive(w.now(), a)
	}
	if w.fault == sendFirst && v.Kind == Keep && !w.half[i] {
		w.rows[i]++
		w.shown++
		w.half[i] = true
		return true
	}
	if v.Kind == Keep && !w.half[i] {
		w.rows[i]++
		w.shown++
	}
	w.waits[i], w.half[i] = w.waits[i]-1, false
	for _, m := range v.Remember {
		w.seen[m[0]-1] = word(v)
	}
	if v.Kind == Repeat {
		w.say(i, v.Stored[0])
	} else if v.Reason != wire.ReasonExpired {
		w.say(i, word(v))
	}
	return true
}

// say puts an ack on the link: 1 delivered, 2 refused.
func (w *world) say(i int, b byte) {
	w.acks[2*i+int(b)-1] = true
	w.told[i] = w.told[i] || b == 1
}

// hear is an ack that the sender takes and saves; if it crashes before it saves, the ack was lost.
func (w *world) hear(k int) bool {
	if !w.acks[k] {
		return false
	}
	i := k / 2
	a := wire.Ack{From: bob, To: alice, MIDs: []wire.MID{modelMID(i)}, Disposition: wire.Delivered}
	if k%2 == 1 {
		a.Disposition, a.Reason = wire.Forbidden, wire.ReasonRefused
	}
	e := w.load(i)
	if _, err := e.Ack(w.now(), a, nil, true); err != nil {
		panic(err)
	}
	w.save(i, e)
	return true
}

func (w *world) pass() bool {
	if w.clock == len(instants)-1 || !w.made(1) && w.clock == resendAt {
		return false
	}
	w.clock++
	for i := range w.entries {
		if w.made(i) {
			e := w.load(i)
			e.Tick(w.now())
			w.save(i, e)
		}
	}
	return true
}

func (w *world) resend() bool {
	if w.clock != resendAt || w.made(1) {
		return false
	}
	e := w.load(0)
	if _, err := e.Resend(w.now(), w.im(1)); err != nil {
		return false
	}
	again, err := New(w.now(), modelMID(1), w.im(1), nil)
	if err != nil {
		panic(err)
	}
	w.save(1, again)
	return true
}

// wrong returns what is broken in w that followed from before, or "".
func (w world) wrong(before world) string {
	for i := range w.entries {
		if !w.made(i) {
			continue
		}
		e := w.load(i)
		switch {
		case w.rows[i] > 1:
			return "I13: committed twice"
		case w.told[i] && w.seen[i] != 1 && !w.now().Past(seenUntil(w.im(i))):
			return "I14: an ack delivered has left, and a crash now would lose the message"
		case w.rows[i] > before.rows[i] && w.now().Late(e.Expires):
			return "I15: committed after expires"
		case w.now().Wall > e.Expires.Add(2*identity.Skew) && !e.State.Final():
			return "I16: no final state"
		case before.made(i) && w.load(i).State == Failed && before.load(i).State == Delivered:
			return "I16: delivered became failed"
		case e.State == Delivered && !w.told[i]:
			return "I17: delivered without an ack"
		case e.Reason == wire.ReasonCancelled && w.rows[i] > 0:
			return "a message that was taken back is shown"
		case w.acks[2*i+1] && w.rows[i] > 0:
			return "a message in the inbox is said to be refused"
		}
	}
	if w.shown > 1 {
		return "the user sees the message twice"
	}
	return ""
}

// search visits every world that can be reached, and returns the events that lead to a broken one.
func search(f fault) (visited int, broken string) {
	type step struct {
		from int
		name string
	}
	first := world{fault: f}
	e, _ := New(at(0), modelMID(0), first.im(0), nil)
	first.save(0, e)
	queue, how, met := []world{first}, []step{{-1, "start"}}, map[world]bool{first: true}
	trace := func(i int, last string) string {
		names := []string{last}
		for ; i >= 0; i = how[i].from {
			names = append(names, how[i].name)
		}
		slices.Reverse(names)
		return strings.Join(names, ", ")
	}
	for i := 0; i < len(queue); i++ {
		ws, names := queue[i].next()
		for k, n := range ws {
			if what := n.wrong(queue[i]); what != "" {
				return len(queue), what + ": " + trace(i, names[k])
			}
			if !met[n] {
				met[n] = true
				queue, how = append(queue, n), append(how, step{i, names[k]})
			}
		}
	}
	return len(queue), ""
}

func TestModel(t *testing.T) {
	visited, broken := search(none)
	fmt.Printf("the model of outbox, link and inbox has %d states\n", visited)
	if broken != "" {
		t.Error(broken)
	}
	if visited < 1000 {
		t.Error("the search has seen next to nothing")
	}
}

// The search is worth something only if it finds what is wrong.
func TestModelFindsFaults(t *testing.T) {
	for _, f := range []fault{ackFirst, seenAfterRules, seenOutside, sendFirst, noResendOf, forgetsDoubt, purgesEarly} {
		t.Run(string(f), func(t *testing.T) {
			visited, broken := search(f)
			if broken == "" {
				t.Errorf("not found in %d worlds", visited)
			}
			t.Log(broken)
		})
	}
}
