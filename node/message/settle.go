package message

import (
	"fmt"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Ack takes the recipient's word, raw being the Signed it came in. Authorised says that the signature
// holds and that its device is listed for the recipient's address with the inbox role (SPEC 2.5); an
// ack of anybody else changes nothing. One device's word settles the message, hearing it twice changes
// nothing, and failed becomes delivered by a late ack but never the other way (SPEC 5.5), but for what a gateway
// reports of a message that it has handed on (SPEC 8). Changed says that e is to be saved, [Entry.Tells] that its
// user is to be told.
func (e *Entry) Ack(now identity.Now, a wire.Ack, raw []byte, authorised bool) (changed bool, err error) {
	if !authorised || !e.awaits(a) {
		return false, fmt.Errorf("ack of %v: %w", e.ID, ErrNotAwaited)
	}
	switch a.Disposition {
	case wire.Delivered, wire.Displayed:
		return e.delivered(now, a, raw), nil
	case wire.Forbidden, wire.Failed:
		return e.refused(now, a, raw), nil
	}
	return false, fmt.Errorf("disposition %d: %w", a.Disposition, ErrNotAwaited)
}

// awaits reports whether a is about e. To is absent if the recipient could not read who had sent.
func (e *Entry) awaits(a wire.Ack) bool {
	return a.From == e.To && (a.To == e.From || a.To.IsZero()) && slices.Contains(a.MIDs, e.ID)
}

// Indeterminate reports whether a gateway has handed e on, and nobody has said what became of it behind that.
func (e *Entry) Indeterminate() bool { return e.State != Failed && e.Reason == wire.ReasonGateway }

// Tells reports whether e says something to its user that it did not say before.
func (e *Entry) Tells(before Entry) bool {
	return e.State != before.State || e.Indeterminate() != before.Indeterminate()
}

func (e *Entry) delivered(now identity.Now, a wire.Ack, raw []byte) (changed bool) {
	word, state := wire.ReasonNone, Delivered
	if a.Reason == wire.ReasonGateway { // handed on, which is all that anybody knows
		word = wire.ReasonGateway
	}
	reports := e.Indeterminate() && word == wire.ReasonNone && a.Disposition == wire.Delivered
	if reports && e.State == Displayed {
		state = Displayed
	}
	if e.State == Failed && e.Reason == wire.ReasonGateway && word == wire.ReasonGateway {
		return false // what it said before it said that it failed
	}
	if e.State != Delivered && e.State != Displayed || reports {
		e.end(now, state, word)
		e.AckRaw, e.AckedBy, e.AckedAt = raw, a.Device, now.Stored(a.At)
		e.Handed, e.Unanswered, changed = true, 0, true
	}
	if a.Disposition == wire.Displayed && e.WantDisplayed && e.State != Displayed {
		e.State, e.DisplayedAt = Displayed, now.Stored(a.At)
		if !changed { // else it is the word that settled the message
			e.DisplayedRaw = raw
		}
		changed = true
	}
	return changed
}

func (e *Entry) refused(now identity.Now, a wire.Ack, raw []byte) (changed bool) {
	if e.State.Final() && !(e.Indeterminate() && a.Reason == wire.ReasonGateway) {
		return false
	}
	e.Reason, e.Unanswered = a.Reason, 0
	if !e.retryable(now, a.Reason) {
		e.fail(now, a.Reason)
		e.AckRaw, e.AckedBy, e.AckedAt = raw, a.Device, now.Stored(a.At)
		return true
	}
	e.hold(now, seconds(a.RetryAfterS))
	switch a.Reason {
	case wire.ReasonTime:
		if now.Ahead(e.Sent) { // it was written by a clock that ran ahead, and waits for its time
			e.hold(now, e.Sent.Sub(now.Wall.Add(identity.Skew)))
			break
		}
		e.soon(now)
	case wire.ReasonExpired:
		e.soon(now)
	case wire.ReasonStaleRecord:
		e.Attach = true
		e.again(now)
		if now.Apart(a.At) { // by his clock my record is none of the present
			e.soon(now)
		}
	case wire.ReasonUndecryptable:
		e.FetchRecords = true
		e.again(now)
	}
	return true
}

// soon brings the next try forward to a minute from now. The recipient's clock and mine disagree about the
// message; whichever is set right, it then arrives within a lease (SPEC 11.2, I30).
func (e *Entry) soon(now identity.Now) {
	e.touch(now)
	e.NextTry = min(e.NextTry, now.Wall.Add(time.Minute))
}

// retryable reports whether the outbox goes on after a refusal for r (SPEC 5.3). That the message has
// expired is for our own clock to say.
func (e *Entry) retryable(now identity.Now, r wire.Reason) bool {
	return r.Retryable() || r == wire.ReasonExpired && now.Wall <= e.Expires
}

// seconds returns n seconds, bounded so that no sum of times wraps.
func seconds(n uint64) time.Duration {
	return time.Duration(min(n, uint64(maxHold/time.Second))) * time.Second
}
