package presence

import (
	"slices"

	"github.com/hum-presence/hum/p2p/wire"
)

// activate takes the grants of an ACTIVE SubState; the topics of grants that it replaces linger.
func (w *Watching) activate(now Now, s wire.SubState, jitter float64) {
	for _, g := range []*wire.Grant{w.Grant, w.Next} {
		if g != nil && !holds(s.Grant, g.E) && !holds(s.Next, g.E) {
			w.linger(now, *g, jitter)
		}
	}
	w.Grant, w.Next = s.Grant, s.Next
	latest := now.Wall.Add(wire.SubscriptionLife)
	w.Expires = min(s.Expires, latest)
	if s.Expires == 0 {
		w.Expires = now.Wall.Add(lifetime(w.LifetimeS))
	}
}

func holds(g *wire.Grant, e PublicKey) bool { return g != nil && g.E == e }

// Expire ends an active subscription that was not renewed; its key is erased.
func (w *Watching) Expire(now Now, jitter float64) {
	w.erase(now, jitter)
	w.enter(now, Expired)
	w.Reason, w.RetryAfter = 0, 0
}

// erase forgets the keys and leaves their topics to linger.
func (w *Watching) erase(now Now, jitter float64) {
	for _, g := range []*wire.Grant{w.Grant, w.Next} {
		if g != nil {
			w.linger(now, *g, jitter)
		}
	}
	w.Grant, w.Next, w.Raw = nil, nil, nil
}

func (w *Watching) linger(now Now, g wire.Grant, jitter float64) {
	w.Linger = w.topics(now)
	if g.HasEpoch() {
		w.Linger = append(w.Linger, Linger{g.E, g.NotAfter.Add(fraction(wire.EpochLinger, jitter))})
	}
	if n := len(w.Linger); n > maxLinger {
		w.Linger = slices.Clone(w.Linger[n-maxLinger:])
	}
}

func (w Watching) topics(now Now) []Linger {
	return slices.DeleteFunc(slices.Clone(w.Linger), func(l Linger) bool { return now.Wall > l.Until })
}

// enter changes the state; what was counted in the old one is forgotten.
func (w *Watching) enter(now Now, s WatchState) {
	w.State, w.Since, w.Sends, w.NextSend = s, now.Wall, 0, 0
}

// Grants returns what presence may be read by: nothing unless the subscription is active.
func (w Watching) Grants() (out []wire.Grant) {
	for _, g := range []*wire.Grant{w.Grant, w.Next} {
		if w.State == Active && g != nil && g.HasEpoch() {
			out = append(out, *g)
		}
	}
	return out
}

// Topics returns the E of every topic to be joined: those of Grants, and those that linger.
func (w Watching) Topics(now Now) (out []PublicKey) {
	for _, g := range w.Grants() {
		out = append(out, g.E)
	}
	for _, l := range w.topics(now) {
		if !slices.Contains(out, l.E) {
			out = append(out, l.E)
		}
	}
	return out
}
