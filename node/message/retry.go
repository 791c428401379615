package message

import (
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// retries are the pauses after the first tries, which so fall at 0, 5, 15 and 60 s; afterwards every
// 15 min ±20 % (SPEC 5.5).
var retries = [...]time.Duration{5 * time.Second, 10 * time.Second, 45 * time.Second}

const retryEvery = 15 * time.Minute

// pause returns how long to wait after the n-th try, n ≥ 1; jitter is in [0,1).
func pause(n int, jitter float64) time.Duration {
	if n <= len(retries) {
		return retries[n-1]
	}
	return time.Duration(float64(retryEvery) * (0.8 + 0.4*jitter))
}

// freshAfter is how many unanswered tries make fresh RECORDS worth asking for (SPEC 5.3).
const freshAfter = 2

// Due reports whether the message is to be tried now; each time it does, [Entry.Attempted] follows, also
// if there turns out to be no route or no key. A try that runs is not joined by a second one.
func (e *Entry) Due(now identity.Now) bool {
	return e.open(now) && now.Wall >= e.next(now)
}

// open reports whether a try makes sense at all.
func (e *Entry) open(now identity.Now) bool { return !e.State.Final() && now.Wall < e.Expires }

// next returns when the next try is, by what [Entry.touch] would leave of the schedule.
func (e *Entry) next(now identity.Now) wire.Time {
	if now.Ahead(e.Touched) {
		return now.Wall
	}
	if e.Again {
		return max(e.Touched, e.NotBefore)
	}
	return max(e.NextTry, e.NotBefore)
}

// Wake returns when e next needs [Entry.Due], [Entry.Tick] or [Entry.Forget]; 0 is never.
func (e *Entry) Wake(now identity.Now) wire.Time {
	switch {
	case e.State.Final() && len(e.CEKs) == 0:
		return 0
	case e.State.Final(): // heard may lag behind the system clock for long
		return max(e.Expires.Add(wire.ResendWindow)+1, now.Wall.Add(time.Hour))
	case e.open(now) && e.next(now) < e.Expires:
		return e.next(now)
	}
	return e.ends() + 1
}

// Attempted records that a try begins, and sets the one after it; jitter is in [0,1). If nobody
// answers, nothing else needs to be said. It is saved like every change, but need not be waited for.
func (e *Entry) Attempted(now identity.Now, jitter float64) {
	if e.State.Final() {
		return
	}
	e.touch(now)
	e.Attempts++
	e.Doubt, e.Trying = e.Doubt || e.Trying, true
	e.Extra, e.Again = e.Again, false
	if !e.Extra {
		e.NextTry, e.NotBefore = now.Wall.Add(pause(e.Attempts, jitter)), 0
	}
}

// Connected records that a connection to the recipient stands: a route answers, so try at once
// (SPEC 5.5). A recipient who asked for patience keeps it.
func (e *Entry) Connected(now identity.Now) (changed bool) {
	changed = e.PeerOpen(now)
	if e.State == Queued && e.open(now) {
		e.State, changed = Sending, true
	}
	return changed
}

// PeerOpen records that the recipient's presence became OPEN: try at once (SPEC 5.5).
func (e *Entry) PeerOpen(now identity.Now) (changed bool) {
	if !e.open(now) || e.NextTry <= now.Wall {
		return false
	}
	e.NextTry = now.Wall
	return true
}

// Tried records that a try has ended without an answer; sent says that it may have reached somebody.
func (e *Entry) Tried(sent bool) (changed bool) {
	changed = e.Trying
	e.Doubt, e.Trying = e.Doubt || sent, false
	return changed
}

// Reply takes what one device answered to the Parcel; after is what BUSY asked for. NO_KEY is worth
// fresh RECORDS and one more try at once; every other refusal follows the schedule (SPEC 5.5).
func (e *Entry) Reply(now identity.Now, s wire.FrameStatus, after time.Duration) (changed bool) {
	e.Trying = false
	if s == wire.OK {
		return e.taken()
	}
	if e.State.Final() {
		return false
	}
	if e.State == Queued {
		e.State = Sending
	}
	switch s {
	case wire.NO_KEY:
		e.FetchRecords = true
		e.again(now)
	case wire.BUSY, wire.QUOTA:
		e.hold(now, after)
	}
	return true
}

// taken records TAKEN. A message that has failed meanwhile stays so, but may have arrived.
func (e *Entry) taken() (changed bool) {
	changed = !e.Handed
	e.Handed = true
	if e.State.Final() {
		return changed
	}
	if e.CountedTry != e.Attempts { // several devices may take one try
		e.CountedTry, changed = e.Attempts, true
		e.Unanswered++
		e.FetchRecords = e.FetchRecords || e.Unanswered >= freshAfter
	}
	if e.State == Queued || e.State == Sending {
		e.State, changed = Handed, true
	}
	return changed
}

// Deposited records that a mailbox keeps the message, by its signed receipt. It is no delivery: the tries go on,
// and a device that takes it later changes nothing (SPEC 7.4).
func (e *Entry) Deposited(now identity.Now) (changed bool) {
	if e.State != Queued && e.State != Sending && e.State != Handed {
		return false
	}
	e.touch(now)
	e.State, e.Handed = Stored, true
	return true
}

// again asks for one more try at once, but never for two in a row: whoever answers each try with a
// refusal is tried no more often than twice what the schedule says.
func (e *Entry) again(now identity.Now) {
	if !e.Extra {
		e.touch(now)
		e.Again = true
	}
}

// GotRecords records that the recipient's RECORDS were asked for and came.
func (e *Entry) GotRecords() (changed bool) {
	changed = e.FetchRecords
	e.FetchRecords, e.Unanswered = false, 0
	return changed
}
