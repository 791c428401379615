package testnet

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// A judge holds what users see against what the protocol promises (SPEC 11.2), whatever a story expects.
// It knows what really happened, and remembers what each user saw.
type judge struct {
	letters map[wire.MID]*letter
	said    map[string][]version    // of each presentity, oldest first
	heard   map[[2]string]time.Time // when news of the first could last reach the second
	shown   map[[2]string]int       // the version of the first that the second saw last
	subs    map[subOf]string        // last state of each subscription
	found   map[string]bool
	faults  []string
}

// A letter is an instant message that was really sent.
type letter struct {
	n            int
	from, to     string
	content      string
	sent         time.Time // by the sender's clock
	expires      time.Time // too
	state        string    // as the sender saw it last
	reason       wire.Reason
	kept         bool      // seen in the inbox
	overdue      time.Time // since when it should be settled
	waitsForHome bool      // said to be delivered while the recipient was off
}

// A version is what a presentity showed from some moment on.
type version struct {
	shown  string
	hidden map[string]bool // from these
}

type subOf struct {
	watcher string
	id      wire.SubID
}

// offline is what a presentity shows that signed off.
const offline = "closed"

// shownAs puts a presence in one line; offline is shown to others as closed.
func shownAs(basic, im, note string) string {
	if basic == "offline" {
		return offline
	}
	if im != "" {
		basic += " " + im
	}
	if note != "" {
		basic += fmt.Sprintf(" %q", note)
	}
	return basic
}

func newJudge() *judge {
	return &judge{letters: map[wire.MID]*letter{}, said: map[string][]version{}, heard: map[[2]string]time.Time{},
		shown: map[[2]string]int{}, subs: map[subOf]string{}, found: map[string]bool{}}
}

// fault notes a broken promise, once.
func (j *judge) fault(format string, args ...any) {
	f := fmt.Sprintf(format, args...)
	if !j.found[f] {
		j.found[f] = true
		j.faults = append(j.faults, f)
	}
}

// say notes what a presentity shows from now on, and whom it has blocked.
func (j *judge) say(name, shown string, hidden map[string]bool) {
	j.said[name] = append(j.said[name], version{shown, hidden})
}

// send notes a message that was accepted for sending.
func (j *judge) send(id wire.MID, l letter) int {
	l.n = len(j.letters) + 1
	j.letters[id] = &l
	return l.n
}

// look judges what those see whose machines are on; inboxes first, since outboxes are held against them.
func (j *judge) look(w *World) {
	for _, u := range w.users {
		if u.machine != nil {
			j.inbox(w, u)
		}
	}
	for _, u := range w.users {
		if u.machine == nil {
			continue
		}
		for _, p := range u.sight.who {
			j.presence(w.name(p.Address), u.name, p, subscription(u.sight.watching, p.Address))
		}
		for _, s := range u.sight.watching {
			j.subscription(u.name, w.name(s.Address), s)
		}
		for _, s := range u.sight.outbox {
			j.sent(u.name, w, s, u.clock.Now().Wall.Go())
		}
	}
}

func subscription(watching []node.Subscription, a identity.Address) string {
	for _, s := range watching {
		if s.Address == a && s.State == "active" {
			return s.State
		}
	}
	return ""
}

// presence: I4, I5, I6, I8, I10.
func (j *judge) presence(of, by string, p node.PresenceOf, sub string) {
	if p.Basic == "open" {
		if quiet := time.Since(j.heard[[2]string{of, by}]); quiet > ttl+identity.Skew+glance {
			j.fault("I5: %s sees %s open, who was last to be heard %v ago", by, of, quiet)
		}
	}
	if p.Evidence != "said" {
		return
	}
	if sub == "" {
		j.fault("I10: %s sees what %s said without an active subscription", by, of)
	}
	j.version(of, by, shownAs(p.Basic, p.IM, p.Note))
}

// version finds what is shown among what was said, and never before what was shown already.
func (j *judge) version(of, by, shown string) {
	key := [2]string{of, by}
	leak, old := false, false
	for i, v := range j.said[of] {
		switch {
		case v.shown != shown:
		case i < j.shown[key]:
			old = true
		case v.hidden[by]:
			leak = true
		default:
			j.shown[key] = i
			return
		}
	}
	switch {
	case leak:
		j.fault("I8: %s blocked %s, who sees: %s", of, by, shown)
	case old:
		j.fault("I6: %s sees %s as before: %s", by, of, shown)
	default:
		j.fault("I11: %s never showed what %s sees: %s", of, by, shown)
	}
}

// steps are the moves of the watcher's table in SPEC 4.8, for one sub, each with all that may follow
// between two looks.
var steps = map[string]string{
	"requested":  "pending active denied terminated expired ending",
	"pending":    "active denied terminated expired ending",
	"active":     "pending denied terminated expired ending",
	"denied":     "ending",
	"terminated": "ending",
	"expired":    "ending",
	"ending":     "",
}

// subscription: I12.
func (j *judge) subscription(watcher, of string, s node.Subscription) {
	key := subOf{watcher, s.ID}
	was, known := j.subs[key]
	if _, ok := steps[s.State]; !ok {
		j.fault("I12: %s watches %s in no state of SPEC 4.8: %s", watcher, of, s.State)
	}
	if known && was != s.State && !slices.Contains(strings.Fields(steps[was]), s.State) {
		j.fault("I12: %s's subscription to %s went from %s to %s", watcher, of, was, s.State)
	}
	j.subs[key] = s.State
}

// inbox: I13, I14, and that a row is what was sent, from whom it was sent, and stays.
func (j *judge) inbox(w *World, u *user) {
	rows := map[wire.MID]int{}
	for _, r := range u.sight.inbox {
		rows[r.ID]++
		l := j.letters[r.ID]
		switch {
		case l == nil || l.to != u.name:
			j.fault("%s has a message that nobody sent there: %q", u.name, r.Content)
			continue
		case rows[r.ID] > 1:
			j.fault("I13: %s has message %d twice", u.name, l.n)
		case l.content != string(r.Content) || w.name(r.From) != l.from || !r.Verified:
			j.fault("%s has message %d as %q of %s", u.name, l.n, r.Content, w.name(r.From))
		}
		l.kept = true
	}
	for id, l := range j.letters {
		if l.to == u.name && rows[id] == 0 && (l.kept || l.waitsForHome) {
			j.fault("I14: message %d was delivered to %s and is not there", l.n, u.name)
		}
	}
}

var rank = map[string]int{"queued": 0, "sending": 1, "handed": 2, "stored": 2, "delivered": 3, "displayed": 4, "failed": 3}

// sent: I14, I16 and the outbox of SPEC 5.5.
func (j *judge) sent(name string, w *World, s node.Sent, wall time.Time) {
	l := j.letters[s.ID]
	if l == nil || l.from != name {
		j.fault("%s's outbox has a message that he did not send", name)
		return
	}
	if to, _ := w.user(l.to); rank[s.State] >= 3 && s.State != "failed" && !l.kept {
		if l.waitsForHome = true; to != nil && to.machine != nil {
			j.fault("I14: message %d is delivered, and %s does not have it", l.n, l.to)
		}
	}
	j.step(l, s)
	j.due(l, wall)
}

func (j *judge) step(l *letter, s node.Sent) {
	was := l.state
	l.state, l.reason = s.State, s.Reason
	switch r, known := rank[s.State]; {
	case !known:
		j.fault("I16: message %d is in no state of SPEC 5.5: %s", l.n, s.State)
	case was == "" || was == s.State:
	case was == "failed" && r >= 3, rank[was] < 3 && r >= rank[was], was == "delivered" && s.State == "displayed":
	default:
		j.fault("I16: message %d went from %s to %s", l.n, was, s.State)
	}
	if s.State == "failed" && s.Reason == wire.ReasonUnreachable && rank[was] == 2 {
		j.fault("5.5: message %d was handed over and is called unreachable", l.n)
	}
}

// due checks that a message is settled in time, two minutes of grace given to a sender who looks once a
// minute.
func (j *judge) due(l *letter, wall time.Time) {
	if rank[l.state] >= 3 || !wall.After(l.expires.Add(2*identity.Skew)) {
		l.overdue = time.Time{}
		return
	}
	if l.overdue.IsZero() {
		l.overdue = time.Now()
	}
	if time.Since(l.overdue) > 2*time.Minute {
		j.fault("I16: message %d is still %s after its time", l.n, l.state)
	}
}

// end judges what is left when everything was good again for long enough.
func (j *judge) end(w *World) {
	for _, f := range j.unsettled(w) {
		j.fault("%s", f)
	}
}

// unsettled names what has not yet come to rest though nothing stands in its way.
func (j *judge) unsettled(w *World) (left []string) {
	for _, u := range w.users {
		for _, p := range u.sight.who {
			if of := w.name(p.Address); subscription(u.sight.watching, p.Address) != "" && !j.caughtUp(of, u.name, p) {
				left = append(left, fmt.Sprintf("I30: %s sees %s: %s, %s, and nothing stands between them",
					u.name, of, shownAs(p.Basic, p.IM, p.Note), p.Evidence))
			}
		}
	}
	// A message that was written by a clock that ran ahead has to wait until its time has come (SPEC
	// 5.3, "time").
	for _, l := range j.letters {
		if ahead := l.sent.After(time.Now().Add(identity.Skew)); rank[l.state] < 3 && !ahead {
			left = append(left, fmt.Sprintf("I16: message %d from %s to %s is still %s", l.n, l.from, l.to, l.state))
		}
		if l.kept && l.state == "failed" && l.reason == wire.ReasonUnreachable {
			left = append(left, fmt.Sprintf("message %d is in %s's inbox and is called unreachable", l.n, l.to))
		}
	}
	return left
}

// caughtUp: I30, and that no change of presence is lost for good.
func (j *judge) caughtUp(of, by string, p node.PresenceOf) bool {
	last := j.said[of][len(j.said[of])-1]
	return last.hidden[by] || shownAs(p.Basic, p.IM, p.Note) == last.shown && p.Evidence == "said"
}
