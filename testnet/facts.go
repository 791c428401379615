package testnet

import (
	"fmt"
	"maps"
	"slices"

	"github.com/hum-presence/hum/node"
)

// A fact is one line of what a user sees. Its key begins with his name.
type fact struct{ key, value string }

// factsOf puts what a user saw last into lines, in an order that does not change.
func (w *World) factsOf(u *user) (all []fact) {
	say := func(value, format string, args ...any) {
		all = append(all, fact{u.name + " " + fmt.Sprintf(format, args...), value})
	}
	if u.machine == nil {
		say("off", "is")
	} else {
		say(ownFace(u.sight.status), "is")
	}
	for _, b := range byName(w, u.sight.blocks, func(b node.BlockEntry) string { return w.name(b.Address) }) {
		say(b.Scope, "blocks %s", w.name(b.Address))
	}
	for _, s := range byName(w, newest(u.sight.watchers), func(s node.Subscription) string { return w.name(s.Address) }) {
		say(stateOf(s), "is watched by %s", w.name(s.Address))
	}
	for _, s := range byName(w, newest(u.sight.watching), func(s node.Subscription) string { return w.name(s.Address) }) {
		s.Text = ""
		say(stateOf(s), "watches %s", w.name(s.Address))
	}
	for _, p := range byName(w, u.sight.who, func(p node.PresenceOf) string { return w.name(p.Address) }) {
		say(shownAs(p.Basic, p.IM, p.Note)+", "+p.Evidence, "sees %s", w.name(p.Address))
	}
	for _, r := range slices.SortedFunc(slices.Values(u.sight.inbox), func(a, b node.Received) int { return w.number(a.ID) - w.number(b.ID) }) {
		say(rowOf(w, r), "inbox %d", w.number(r.ID))
	}
	for _, s := range slices.SortedFunc(slices.Values(u.sight.outbox), func(a, b node.Sent) int { return w.number(a.ID) - w.number(b.ID) }) {
		say(sentOf(s), "outbox %d", w.number(s.ID))
	}
	return all
}

func byName[T any](w *World, in []T, name func(T) string) []T {
	return slices.SortedStableFunc(slices.Values(in), func(a, b T) int {
		return slices.IndexFunc(w.users, func(u *user) bool { return u.name == name(a) }) -
			slices.IndexFunc(w.users, func(u *user) bool { return u.name == name(b) })
	})
}

// newest keeps one subscription for each address: the one that was asked for last.
func newest(in []node.Subscription) (out []node.Subscription) {
	for _, s := range in {
		i := slices.IndexFunc(out, func(o node.Subscription) bool { return o.Address == s.Address })
		if i < 0 {
			out = append(out, s)
		} else if s.At.After(out[i].At) {
			out[i] = s
		}
	}
	return out
}

func ownFace(s node.Status) string {
	face := s.Presence
	if s.Presence != "offline" {
		face = shownAs(s.Presence, s.IM, s.Note)
	}
	if !s.Reaching {
		face += ", not reaching anyone"
	}
	if s.ClockSuspect {
		face += ", clock suspect"
	}
	return face
}

func stateOf(s node.Subscription) string {
	state := s.State
	if s.Reason != 0 {
		state += fmt.Sprintf(" (%v)", s.Reason)
	}
	if s.Text != "" {
		state += fmt.Sprintf(" %q", s.Text)
	}
	return state
}

func rowOf(w *World, r node.Received) string {
	row := fmt.Sprintf("%s %q", w.name(r.From), r.Content)
	if r.FirstContact {
		row += ", first contact"
	}
	if !r.Displayed.IsZero() {
		row += ", displayed"
	}
	return row
}

func sentOf(s node.Sent) string {
	if s.State == "failed" {
		return fmt.Sprintf("failed (%v)", s.Reason)
	}
	return s.State
}

func (w *World) number(id [32]byte) int {
	if l := w.judge.letters[id]; l != nil {
		return l.n
	}
	return 0
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
