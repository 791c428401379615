package presence

import "github.com/hum-presence/hum/p2p/wire"

// A WatcherStatus is a state of RFC 3857, section 4.7.1.
type WatcherStatus uint8

const (
	WatcherPending    WatcherStatus = iota // waits for the user's answer
	WatcherActive                          // is told of each change
	WatcherWaiting                         // asked, and was not answered in time; kept so that the user learns of it
	WatcherTerminated                      // is over
)

func (s WatcherStatus) String() string {
	return [...]string{"pending", "active", "waiting", "terminated"}[s]
}

// An Event is what led a watcher to the state in which he is (RFC 3857, section 4.7.1).
type Event uint8

const (
	_           Event = iota // to be told by the state
	Subscribed               // he asked
	Approved                 // the user said yes to what had waited
	Deactivated              // the user ended it, and he may ask again
	Probation                // he may ask again later
	Rejected                 // by the user, or by a rule
	Timeout                  // its time was over, or he ended it himself
	GiveUp                   // it ended while it waited
	NoResource               // there is nothing here to watch, or no room
)

func (e Event) String() string {
	return [...]string{"", "subscribe", "approved", "deactivated", "probation", "rejected", "timeout", "giveup", "noresource"}[e]
}

// Winfo returns where a subscription stands in the words of RFC 3857. A request that was not answered
// within its 30 days waits for another 30, until the user decides or its sender asks anew.
func (w Watcher) Winfo() (WatcherStatus, Event) {
	switch {
	case w.State == wire.SubPending:
		return WatcherPending, Subscribed
	case w.State == wire.SubActive && w.Before == 0:
		return WatcherActive, Subscribed
	case w.State == wire.SubActive:
		return WatcherActive, Approved
	case w.Event != 0:
		return WatcherTerminated, w.Event
	case w.State == wire.SubExpired && w.Before == wire.SubPending:
		return WatcherWaiting, Timeout
	case w.State == wire.SubExpired:
		return WatcherTerminated, Timeout
	case w.Reason == wire.ReasonUnsubscribed && w.Before == wire.SubPending:
		return WatcherTerminated, GiveUp
	case w.Reason == wire.ReasonUnsubscribed:
		return WatcherTerminated, Timeout
	}
	return WatcherTerminated, refusal(w.Reason)
}

// refusal is the event of a no, by the reason that its watcher was told.
func refusal(r wire.Reason) Event {
	switch r {
	case wire.ReasonNoPresenceService, wire.ReasonNoIMService, wire.ReasonNoResource:
		return NoResource
	case wire.ReasonRateLimited:
		return Probation
	}
	return Rejected
}

// LoseSeat ends a request that waited, since another one took its place among those that may (RFC 3857, section
// 4.7.1). Nobody is told: when its sender polls, he asks anew, see Anew.
func (w *Watcher) LoseSeat(now Now) {
	w.move(now, wire.SubDenied, wire.ReasonRateLimited, "")
	w.Event, w.Raw, w.Unacked = GiveUp, nil, false
}

// LostSeat reports whether that happened to w.
func (w Watcher) LostSeat() bool {
	return w.State == wire.SubDenied && w.Reason == wire.ReasonRateLimited && w.Event == GiveUp
}

// Anew returns what is left of a request that lost its seat: what it asked for, and what keeps replays out.
func (w Watcher) Anew() Watcher {
	return Watcher{Me: w.Me, Who: w.Who, Sub: w.Sub, Want: w.Want, Flags: w.Flags, Began: w.Began, LastAt: w.LastAt, Seq: w.Seq, Top: w.Top}
}

// Settle notes what ended a subscription that is over already: the user's answer to one that waits, or its
// sender's next request. It reports whether that is news.
func (w *Watcher) Settle(e Event) (news bool) {
	if s, _ := w.Winfo(); s != WatcherWaiting {
		return false
	}
	w.Event = e
	return true
}

// Winfo returns where a fetcher stands: a Fetch is a subscription that ends at once.
func (w Fetcher) Winfo() (WatcherStatus, Event) {
	switch {
	case w.Event != 0:
		return WatcherTerminated, w.Event
	case w.State == wire.FetchPending:
		return WatcherWaiting, Timeout
	case w.State == wire.FetchOK:
		return WatcherTerminated, Timeout
	}
	return WatcherTerminated, refusal(w.Reason)
}
