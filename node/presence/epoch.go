package presence

import (
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// An Epoch is a stretch of a view under one key pair E and one key K (SPEC 4.2).
type Epoch struct {
	N                   uint64 // 1, 2, … in its view
	Seed                [32]byte
	E                   PublicKey
	K                   [32]byte
	Made                Time
	NotBefore, NotAfter Time
	EndedAt             Time      // early, since a watcher left; 0: not. It is served on, as it was
	Prev                PublicKey // the epoch that it follows
	Without             []Address // for whose leaving it began
}

// Key returns the private half of E.
func (e Epoch) Key() identity.SigningKey { return identity.NewSigningKey(e.Seed) }

// Grant returns what a watcher is told of e; ttl is in seconds.
func (e Epoch) Grant(ttl uint64) *wire.Grant {
	return &wire.Grant{E: e.E, K: e.K, NotBefore: e.NotBefore, NotAfter: e.NotAfter, TTL: ttl}
}

// A Kind says what a view is for.
type Kind uint8

const (
	Ordinary Kind = iota // shows what I choose to show, as its Filter lets it through
	Shut                 // shows that I am offline, to one watcher who is politely blocked (SPEC 4.9)
)

// A View is a document policy for a set of watchers, and the chain of its epochs, oldest first (SPEC 4.2,
// 4.10). Everything that is published in it is its own: epochs, keys, stamps, versions and the time of
// its beacons, so that no view shows what happens in another.
type View struct {
	Name        string
	Kind        Kind
	From        string // of a Shut view: the view whose epochs it took over
	Held        Time   // since when it shows what was shown there, so that all others can leave first; 0: it does not
	Vacant      bool   // nobody watches it: nothing is made or said in it
	TTL         uint64 // seconds
	Count       uint64 // epochs made so far
	Epochs      []Epoch
	Owed        [causes]bool // somebody left for this cause, and still holds K
	Leavers     []Address    // who
	UnsubTokens int
	UnsubFrom   Time // when the last of UnsubTokens came
	ExpiryLast  Time // of the last change for CauseExpiry alone
}

// DefaultView is the name of the view of those for whom no other is named. It is never vacant: its first
// epoch is there before the first watcher.
const DefaultView = "default"

// A Cause is why somebody left a view.
type Cause uint8

const (
	CauseUser   Cause = iota // removed, blocked, or a device removed: nothing is published until the change
	CauseUnsub               // a burst of 3, then one change per 10 min, so that no watcher can drive them
	CauseExpiry              // gathered into one change a day
	causes
)

const (
	unsubBurst = 3
	unsubEvery = 10 * time.Minute
	epochLead  = 36 * time.Hour // how long before it begins the next epoch is made
)

// A Turn is what Due asks the caller to do with the epochs.
type Turn uint8

const (
	TurnNone   Turn = iota
	TurnNext        // call Renew, save; tell every Watcher that is Untold
	TurnChange      // call Change, save; tell every Watcher that is Untold, publish at once
	TurnRetire      // call Retire, save; stop serving what it returns
	TurnShut        // call Shut, save, publish at once
)

func (t Turn) String() string { return [...]string{"none", "next", "change", "retire", "shut"}[t] }

// NewView returns a view without an epoch. That of the default view Due asks for at once, that of another
// when there is a watcher. TTL is in seconds.
func NewView(name string, ttl uint64) View {
	return View{Name: name, TTL: ttl, Vacant: name != DefaultView}
}

// Leave notes that a watcher was active and is not any more, so that the epochs must change.
func (v *View) Leave(cause Cause, who ...Address) {
	v.Owed[cause] = true
	v.Leavers = append(slices.Clip(v.Leavers), who...)
}

// Due says what is to be done with the epochs now; p is who publishes in them.
func (v View) Due(now Now, p *Publisher) Turn {
	live := v.live(now)
	current, next := v.now(now)
	broken := slices.ContainsFunc(v.Epochs, func(e Epoch) bool { return now.Ahead(e.Made) }) ||
		slices.ContainsFunc(live, func(e Epoch) bool { return now.Ahead(p.last(e.E)) })
	switch {
	case v.Held != 0 && reached(now, v.Held, v.Held.Add(shutAfter)):
		return TurnShut
	case !v.Vacant && (current == nil || broken || v.mayChange(now) || v.Forked(now)):
		return TurnChange
	case !v.Vacant && next == nil && now.Wall >= current.NotBefore.Add(wire.EpochLife-epochLead):
		return TurnNext
	case slices.ContainsFunc(v.Epochs, func(e Epoch) bool { return over(now, e) }):
		return TurnRetire
	}
	return TurnNone
}

func over(now Now, e Epoch) bool { return now.Past(e.NotAfter.Add(identity.Skew)) }

// live returns the epochs that have not ended, those that have not begun included. One that was made
// by a clock that ran ahead does not count.
func (v View) live(now Now) (out []Epoch) {
	for _, e := range v.Epochs {
		if e.EndedAt == 0 && now.Wall <= e.NotAfter && !now.Ahead(e.Made) {
			out = append(out, e)
		}
	}
	return out
}

// begun reports whether e is published in. One that began when it was made goes on if the clock is
// then set back by less than S, which no reader notices.
func (e Epoch) begun(now Now) bool { return e.NotBefore <= max(now.Wall, e.Made) }

// now returns the epoch that new watchers read first, and the one told ahead of its time; nil if none.
func (v View) now(now Now) (current, next *Epoch) {
	for _, e := range v.live(now) {
		if e.begun(now) {
			current = &e
		} else {
			next = &e
		}
	}
	return current, next
}

func (v View) mayChange(now Now) bool {
	return v.Owed[CauseUser] ||
		v.Owed[CauseUnsub] && v.tokens(now) > 0 ||
		v.Owed[CauseExpiry] && !within(now, v.ExpiryLast, day)
}

func (v View) tokens(now Now) int {
	if now.Ahead(v.UnsubFrom) { // the clock went back, and would lock the bucket
		return unsubBurst
	}
	if v.UnsubFrom > now.Wall {
		return v.UnsubTokens
	}
	return int(min(unsubBurst, int64(v.UnsubTokens)+int64(now.Wall.Sub(v.UnsubFrom)/unsubEvery)))
}

// takeToken pays for a change that an Unsub asked for.
func (v *View) takeToken(now Now) {
	n := v.tokens(now)
	if full := n == unsubBurst; full || v.UnsubFrom > now.Wall {
		v.UnsubFrom = now.Wall
	} else {
		v.UnsubFrom = v.UnsubFrom.Add(time.Duration(n-v.UnsubTokens) * unsubEvery)
	}
	v.UnsubTokens = max(0, n-1)
}

// shutAfter is how long those who share the epochs of somebody who is politely blocked have to take their new
// one, before these show that I am offline (SPEC 4.9).
const shutAfter = 30 * time.Second

// Split gives the live epochs of v to a view of one watcher, which is to show nothing any more; v makes a new
// one for all others. What the watcher had before in into, if anything, is over. While v closes, since somebody
// else was removed, nothing is spoken in its epochs any more: then he gets a new one, as all others do, and so he
// does if there is none. Whoever went by himself leaves both at the time at which he would have left v.
func (v *View) Split(now Now, into View) View {
	into.Kind, into.From, into.Held, into.Vacant = Shut, v.Name, now.Wall, false
	into.end(now)
	live := v.live(now)
	if v.Owed[CauseUser] || len(live) == 0 {
		into.Held, live = 0, nil
	} else {
		into.Owed, into.Leavers = v.Owed, slices.Clone(v.Leavers)
		into.UnsubTokens, into.UnsubFrom, into.ExpiryLast = v.UnsubTokens, v.UnsubFrom, v.ExpiryLast
	}
	into.Epochs = append(into.Epochs, live...)
	for _, e := range live {
		into.Count = max(into.Count, e.N)
	}
	v.Epochs = slices.DeleteFunc(v.Epochs, func(e Epoch) bool {
		return slices.ContainsFunc(live, func(l Epoch) bool { return l.E == e.E })
	})
	v.Leave(CauseUser)
	return into
}

// Shut ends the time in which a Shut view shows what was shown before.
func (v *View) Shut() { v.Held = 0 }

// end ends all epochs; who left need not be shut out any more.
func (v *View) end(now Now) {
	v.Owed, v.Leavers = [causes]bool{}, nil
	for i := range v.Epochs {
		if e := &v.Epochs[i]; e.EndedAt == 0 {
			e.EndedAt = now.Wall
		}
	}
}

// Renew makes the next epoch of a routine change, 36 h ahead. If the node slept until that is too
// late to tell everybody, it begins now, and the old one goes on beside it until its end. Fresh is
// random.
func (v *View) Renew(now Now, fresh [64]byte) {
	begin := now.Wall
	if current, _ := v.now(now); current != nil {
		if at := current.NotBefore.Add(wire.EpochLife); now.Wall.Add(wire.EpochOverlap) <= at {
			begin = at
		}
	}
	v.add(now, begin, fresh)
}

// Change ends all epochs and makes a new one at once: for all who are still watchers, and for nobody
// who left. Epochs that a clock made which ran ahead are forgotten. Fresh is random.
func (v *View) Change(now Now, fresh [64]byte) {
	switch {
	case v.Owed[CauseUser]:
	case v.Owed[CauseUnsub] && v.tokens(now) > 0:
		v.takeToken(now)
	case v.Owed[CauseExpiry]:
		v.ExpiryLast = now.Wall
	}
	without := v.Leavers
	v.Epochs = slices.DeleteFunc(v.Epochs, func(e Epoch) bool { return now.Ahead(e.Made) })
	v.end(now)
	v.add(now, now.Wall, fresh)
	v.Epochs[len(v.Epochs)-1].Without = without
}

func (v *View) add(now Now, begin Time, fresh [64]byte) {
	v.Count++
	seed := [32]byte(fresh[:32])
	var prev PublicKey
	if last := len(v.Epochs) - 1; last >= 0 {
		prev = v.Epochs[last].E
	}
	v.Epochs = append(v.Epochs, Epoch{
		N: v.Count, Seed: seed, E: identity.NewSigningKey(seed).Public(), K: [32]byte(fresh[32:]),
		Made: now.Wall, NotBefore: begin, NotAfter: begin.Add(wire.GrantLife), Prev: prev,
	})
}

// Retire forgets the epochs that are over by both clocks, and returns their keys.
func (v *View) Retire(now Now) (gone []PublicKey) {
	v.Epochs = slices.DeleteFunc(v.Epochs, func(e Epoch) bool {
		if over(now, e) {
			gone = append(gone, e.E)
		}
		return over(now, e)
	})
	return gone
}

// Grants returns what a SubState tells now; nil if there is no such epoch.
func (v View) Grants(now Now) (grant, next *wire.Grant) {
	if v.Owed[CauseUser] || v.Forked(now) { // the next one is not made yet, and the present one is closing
		return nil, nil
	}
	current, coming := v.now(now)
	if current != nil {
		grant = current.Grant(v.TTL)
	}
	if coming != nil {
		next = coming.Grant(v.TTL)
	}
	return grant, next
}

// Publishing returns the epochs in which every document and beacon is published now. It is none while
// a change for CauseUser is owed, so that who was removed never reads anything new, and while the view is
// vacant.
func (v View) Publishing(now Now) (out []Epoch) {
	if v.Owed[CauseUser] || v.Vacant || v.Forked(now) {
		return nil
	}
	for _, e := range v.live(now) {
		if e.begun(now) {
			out = append(out, e)
		}
	}
	return out
}

// Serving returns the keys that WATCH and GET know (SPEC 4.6): an epoch that ended early stays as it
// was, so that a removed watcher sees a lapse, and the next one is known before it begins.
func (v View) Serving(now Now) (out []PublicKey) {
	for _, e := range v.Epochs {
		if now.Wall <= e.NotAfter.Add(identity.Skew) {
			out = append(out, e.E)
		}
	}
	return out
}

// Wake returns how long Due, Grants, Publishing and Serving stay as they are.
func (v View) Wake(now Now, p *Publisher) time.Duration {
	if v.Due(now, p) != TurnNone {
		return 0
	}
	d := MaxSleep
	if v.Held != 0 {
		d = until(now, v.Held.Add(shutAfter))
	}
	for _, e := range v.Epochs {
		for _, at := range []Time{e.NotBefore, e.NotBefore.Add(wire.EpochLife - epochLead), e.NotAfter + 1, e.NotAfter.Add(identity.Skew) + 1} {
			d = min(d, until(now, at))
		}
	}
	if v.Owed[CauseUnsub] {
		d = min(d, until(now, v.UnsubFrom.Add(unsubEvery)))
	}
	if v.Owed[CauseExpiry] {
		d = min(d, until(now, v.ExpiryLast.Add(day)))
	}
	return d
}
