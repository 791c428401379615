// Package controltest is a node that answers from a table, for tests of what stands before the door.
package controltest

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// Start is the instant at which the things that a Fake tells of happened.
var Start = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

// Bob and Carol are whom a Fake knows.
var (
	Bob   = addressOf(2)
	Carol = addressOf(3)
	Me    = addressOf(1)
)

func addressOf(i byte) identity.Address {
	return identity.Address(identity.NewSigningKey([32]byte{31: i}).Public())
}

// A Call is one that the Fake got: a method and what was asked.
type Call struct {
	Method string
	Args   []any
}

// A Fake implements control.Backend. It notes every call, fails those named in Fail, and answers the
// others from its fields, which stay as they are: it has no rules.
type Fake struct {
	Fail    map[string]error // by method
	Sub     node.Subscription
	Msg     node.Sent
	Letters []node.Received
	People  []node.PresenceOf
	Stopped chan struct{} // closed by Stop; may be nil

	mu     sync.Mutex
	calls  []Call
	log    []node.Event
	raised chan struct{} // closed and replaced when the log grows
}

// New returns a Fake with one subscription, one message each way and Bob's presence.
func New() *Fake {
	return &Fake{
		Fail: map[string]error{},
		Sub: node.Subscription{Address: Bob, Petname: "bob", Claimed: "Robert", ID: wire.SubID{15: 7}, State: "pending",
			Winfo: "pending", Event: "subscribe", Text: "it is me", Device: identity.DeviceID{9}, Contact: "connected", Seen: Start,
			Proof: Bob.Fingerprint(), Since: Start, At: Start, Expires: Start.AddDate(0, 2, 0)},
		Msg: node.Sent{ID: wire.MID{1}, To: Bob, ToName: "bob", State: "queued", Sent: Start, Expires: Start.AddDate(0, 0, 7),
			Type: "text/plain; charset=utf-8", Content: []byte("back at four?")},
		Letters: []node.Received{
			{ID: wire.MID{2}, From: Bob, FromName: "bob", Verified: true, Sent: Start, Received: Start.Add(time.Second),
				Type: "text/plain; charset=utf-8", Content: []byte("yes\nsee you"), InReplyTo: wire.MID{1}},
			{ID: wire.MID{3}, From: Carol, FirstContact: true, Verified: true, Sent: Start, Received: Start.Add(2 * time.Second),
				Type: "image/png", Content: []byte{0x89, 'P'}, Displayed: Start.Add(time.Minute)},
		},
		People: []node.PresenceOf{
			{Address: Bob, Petname: "bob", Basic: "open", IM: "available", Note: "at my desk", Evidence: "said", AsOf: Start,
				Age: 90 * time.Second, Hint: node.HintLost, HintAge: 5 * time.Second,
				Why:    []string{"he said so 90 s ago (version 3), which came over his topic", "your clock agrees with the others'"},
				Tuples: []node.TupleOf{{Device: identity.DeviceID{9}, ID: "t1", Basic: "open", IM: "available", Priority: 500, At: Start}},
				Basis: &node.Basis{State: "active", Heard: Start, Expires: Start.AddDate(0, 2, 0), Path: "mesh", Devices: []node.DeviceBasis{
					{Device: identity.DeviceID{9}, Open: true, Version: 3, Said: Start, Last: Start.Add(time.Minute), By: "mesh",
						Ago: 30 * time.Second, Left: 2 * time.Minute, Skipped: 1}}}},
			{Address: Carol, Basic: "unknown", Evidence: "unknown", Why: []string{"your subscription is pending"},
				Tuples: []node.TupleOf{{Device: identity.DeviceID{8}, ID: "t1", Basic: "open", At: Start, IdleSince: Start,
					Status: []node.Measure{{Name: "x.example.org/temperature", Value: "21.5"}}}}},
		},
		raised: make(chan struct{}),
	}
}

// Calls returns what was asked so far.
func (f *Fake) Calls() []Call {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]Call(nil), f.calls...)
}

// Raise appends an event to the log; it gets the next number.
func (f *Fake) Raise(e node.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e.N, e.At = uint64(len(f.log))+1, Start.Add(time.Duration(len(f.log))*time.Second)
	f.log = append(f.log, e)
	close(f.raised)
	f.raised = make(chan struct{})
}

// Deliver puts a letter into the inbox of a Fake that is in use.
func (f *Fake) Deliver(l node.Received) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.Letters = append(f.Letters, l)
}

func (f *Fake) asked(method string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, Call{method, args})
	return f.Fail[method]
}

func (f *Fake) Self() node.Self {
	return node.Self{Address: Me, Device: identity.DeviceID{1}, Name: "Alice", Services: identity.Inbox | identity.Presentity}
}

func (f *Fake) Status(context.Context) (node.Status, error) {
	return node.Status{Self: f.Self(), Started: Start, Presence: "open", IM: "available", Reaching: true,
		Reachability: "listening", Listen: []string{"/ip4/192.0.2.1/tcp/4866"}, Peers: 3, Topics: 2, Watchers: 1,
		Costs: []node.Cost{{Service: "topics", In: 300, Out: 400, InPerHour: 3, OutPerHour: 4}, {Service: "streams", In: 200, Out: 100, InPerHour: 2, OutPerHour: 1},
			{Service: "messages", In: 500, Out: 1500, InPerHour: 5, OutPerHour: 15}, {Service: "upkeep"}},
		Changed: Start, Idle: "on", IdleAfter: 10 * time.Minute, Outbox: 1, Inbox: 2, BytesIn: 1000, BytesOut: 2000, InPerHour: 10, OutPerHour: 20, StoreBytes: 4096,
		Refused: map[string]uint64{"malformed": 2}}, f.asked("Status")
}

func (f *Fake) Card() (string, error) { return "hum:" + Me.String() + "?n=Alice", f.asked("Card") }

func (f *Fake) Doctor(context.Context) []node.Check {
	return []node.Check{{Check: "store", OK: true, Detail: "4 kB"}, {Check: "clock", Detail: "5 min behind", Advice: "set the clock"}}
}

func (f *Fake) Backup(_ context.Context, file string, passphrase []byte) (int64, error) {
	return 123, f.asked("Backup", file, string(passphrase))
}

func (f *Fake) SetPassphrase(_ context.Context, p []byte) error {
	return f.asked("SetPassphrase", string(p), p == nil)
}

func (f *Fake) Stop() {
	_ = f.asked("Stop")
	if f.Stopped != nil {
		close(f.Stopped)
	}
}

func contact(a identity.Address, petname string) node.Contact {
	return node.Contact{Address: a, Petname: petname, Claimed: "Robert", Added: Start}
}

func (f *Fake) Add(_ context.Context, who, petname string) (node.Contact, error) {
	return contact(Bob, petname), f.asked("Add", who, petname)
}

func (f *Fake) Contacts(context.Context) ([]node.Contact, error) {
	return []node.Contact{contact(Bob, "bob"), contact(Carol, "")}, f.asked("Contacts")
}

func (f *Fake) Forget(_ context.Context, who string) (node.Contact, error) {
	return contact(Bob, "bob"), f.asked("Forget", who)
}

func (f *Fake) Resolve(_ context.Context, who string) (node.Resolution, error) {
	return node.Resolution{Address: Bob, Services: identity.Inbox | identity.Presentity, Known: true, Handle: "bob@example.org", Handles: []string{"bob@example.org"},
		Found: "a home that the DHT named", Asked: 5, Homes: 2, Mailboxes: 1, Ways: []node.Way{{Way: "his devices", Detail: "no place of theirs is known"}, {Way: "the DHT", OK: true, Detail: "asked 5 servers; it names 1 home"}},
		Fingerprint: Bob.Fingerprint(), Proof: "record", Expires: Start, Devices: 1}, f.asked("Resolve", who)
}

func blocked(scope string) node.BlockEntry {
	return node.BlockEntry{Address: Bob, Petname: "bob", Mode: "block", Scope: scope, Since: Start}
}

func (f *Fake) Block(_ context.Context, who, scope string) (node.BlockEntry, error) {
	return blocked(scope), f.asked("Block", who, scope)
}

func (f *Fake) Unblock(_ context.Context, who string) (node.BlockEntry, error) {
	return blocked("both"), f.asked("Unblock", who)
}

func (f *Fake) Blocks(context.Context) ([]node.BlockEntry, error) {
	return []node.BlockEntry{blocked("both")}, f.asked("Blocks")
}

func (f *Fake) subscription(method string, args ...any) (node.Subscription, error) {
	err := f.asked(method, args...)
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.Sub, err
}

func (f *Fake) subscriptions(method string) ([]node.Subscription, error) {
	s, err := f.subscription(method)
	return []node.Subscription{s}, err
}

func (f *Fake) WatchAs(_ context.Context, who, text string, lifetime time.Duration, pseudonym bool) (node.Subscription, error) {
	return f.subscription("Watch", who, text, lifetime, pseudonym)
}

func (f *Fake) Unwatch(_ context.Context, who string) (node.Subscription, error) {
	return f.subscription("Unwatch", who)
}

func (f *Fake) ApproveIn(_ context.Context, who, view string) (node.Subscription, error) {
	return f.subscription("Approve", who, view)
}

func (f *Fake) Deny(_ context.Context, who, reason string) (node.Subscription, error) {
	return f.subscription("Deny", who, reason)
}

func (f *Fake) Drop(_ context.Context, who string) (node.Subscription, error) {
	return f.subscription("Drop", who)
}

func (f *Fake) Watching(context.Context) ([]node.Subscription, error) {
	return f.subscriptions("Watching")
}
func (f *Fake) Requests(context.Context) ([]node.Subscription, error) {
	return f.subscriptions("Requests")
}
func (f *Fake) Watchers(context.Context) ([]node.Subscription, error) {
	return f.subscriptions("Watchers")
}

// WaitWatching answers at once if the subscription is past waiting, else when ctx ends.
func (f *Fake) WaitWatching(ctx context.Context, who string) (node.Subscription, error) {
	s, err := f.subscription("WaitWatching", who)
	if err == nil && (s.State == "pending" || s.State == "requested") {
		<-ctx.Done()
		err = ctx.Err()
	}
	return s, err
}

func (f *Fake) Who(_ context.Context, who []string) ([]node.PresenceOf, error) {
	return f.People, f.asked("Who", who)
}

// Fetch answers with Bob's presence.
func (f *Fake) Fetch(_ context.Context, who string, cached bool) (node.PresenceOf, error) {
	p := f.People[0]
	if p.Source = "direct"; cached {
		p.Source, p.Evidence = "cached", "cached"
	}
	return p, f.asked("Fetch", who, cached)
}

// FetchPublic answers with Bob's presence, as everybody may read it.
func (f *Fake) FetchPublic(_ context.Context, who string) (node.PresenceOf, error) {
	p := f.People[0]
	p.Source = "public"
	return p, f.asked("FetchPublic", who)
}

// WatcherInfo answers with the subscription, and with Carol, who asked once.
func (f *Fake) WatcherInfo(context.Context) (node.WatcherInfo, error) {
	s, err := f.subscription("WatcherInfo")
	once := node.Subscription{Address: Carol, ID: wire.SubID{15: 8}, State: "terminated", Winfo: "terminated", Event: "timeout", View: "default",
		Device: identity.DeviceID{8}, Once: true, Text: "asked once", Since: Start, At: Start, Began: Start, Fetched: Start, Fetches: 3, Turned: 1, Proof: Carol.Fingerprint()}
	return node.WatcherInfo{Resource: Me, At: Start, Watchers: []node.Subscription{s, once}}, err
}

func (f *Fake) Set(_ context.Context, c node.Change) (node.Published, error) {
	return node.Published{Sequence: 42, Views: []string{"default"}}, f.asked("Set", c)
}

func (f *Fake) OfflineIn(_ context.Context, view string) (node.Published, error) {
	return node.Published{Sequence: 43, Views: []string{"default"}}, f.asked("Offline", view)
}

func (f *Fake) Send(_ context.Context, d node.Draft) (node.Sent, error) {
	return f.sent("Send", d)
}

func (f *Fake) Reply(_ context.Context, id string, d node.Draft) (node.Sent, error) {
	return f.sent("Reply", id, d)
}

func (f *Fake) sent(method string, args ...any) (node.Sent, error) {
	err := f.asked(method, args...)
	m := f.Msg
	m.State, m.Reason = "queued", 0
	return m, err
}

// WaitSent answers at once if Msg is in a final state, else when ctx ends.
func (f *Fake) WaitSent(ctx context.Context, id string) (node.Sent, error) {
	err := f.asked("WaitSent", id)
	if err == nil && f.Msg.State == "queued" {
		<-ctx.Done()
		err = ctx.Err()
	}
	return f.Msg, err
}

func (f *Fake) Outbox(_ context.Context, id string) ([]node.Sent, error) {
	return []node.Sent{f.Msg}, f.asked("Outbox", id)
}

// Inbox answers with the letter asked for, or with all.
func (f *Fake) Inbox(_ context.Context, q node.InboxQuery) ([]node.Received, error) {
	err := f.asked("Inbox", q)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, l := range f.Letters {
		if l.ID.String() == q.ID {
			return f.Letters[i : i+1], err
		}
	}
	return f.Letters, err
}

func (f *Fake) OpenMessage(_ context.Context, id string) (node.Received, error) {
	l := f.Letters[0]
	l.Displayed = Start.Add(time.Hour)
	return l, f.asked("OpenMessage", id)
}

func (f *Fake) Trace(_ context.Context, id string) ([]node.TraceStep, error) {
	return []node.TraceStep{{ID: wire.MID{9}, At: Start, Times: 1, Step: "queued", Detail: "on this disk", Evidence: "signed by this device"},
			{ID: wire.MID{9}, At: Start.Add(time.Second), Times: 3, Last: Start.Add(time.Minute), Step: "not reached", Peer: "bob", Detail: "peer unreachable", Evidence: "no connection came about"}},
		f.asked("Trace", id)
}

func (f *Fake) LastEvent(context.Context) (uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return uint64(len(f.log)), f.Fail["LastEvent"]
}

// Events yields the log after since, then what is raised. If Fail names Events, that error follows what
// is there.
func (f *Fake) Events(ctx context.Context, since uint64) (iter.Seq2[node.Event, error], error) {
	_ = f.asked("Events", since)
	return func(yield func(node.Event, error) bool) {
		for n := since; ; n++ {
			e, err := f.event(ctx, n)
			if !yield(e, err) || err != nil {
				return
			}
		}
	}, nil
}

// event waits for the event that follows number n.
func (f *Fake) event(ctx context.Context, n uint64) (node.Event, error) {
	for {
		f.mu.Lock()
		fail, raised := f.Fail["Events"], f.raised
		if n < uint64(len(f.log)) {
			defer f.mu.Unlock()
			return f.log[n], nil
		}
		delete(f.Fail, "Events")
		f.mu.Unlock()
		if fail != nil {
			return node.Event{}, fail
		}
		select {
		case <-raised:
		case <-ctx.Done():
			return node.Event{}, ctx.Err()
		}
	}
}
