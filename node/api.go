package node

import (
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Kind sorts errors by what a caller can do about them; the command line turns it into its exit code.
type Kind uint8

const (
	KindFailed      Kind = iota // it did not work here
	KindUsage                   // the request itself is off: an unknown name, a bad card
	KindRefused                 // the other side's policy says no
	KindUnreachable             // nobody answered in time
)

// An Error is an answer to a person: what happened, and what to do next.
type Error struct {
	Kind    Kind
	Code    string // a reason of SPEC 9.1 where one fits, else a word such as "unknown-name"
	Message string
	Advice  string // the next command to type, or ""
}

func (e *Error) Error() string {
	if e.Advice == "" {
		return e.Message
	}
	return e.Message + "; " + e.Advice
}

// Self is who this node is.
type Self struct {
	Address  identity.Address
	Device   identity.DeviceID
	Name     string // suggested on cards
	Services identity.Services
}

// Status is the node at a glance.
type Status struct {
	Self         Self
	Started      time.Time
	Presence     string // what my watchers are shown: open, closed, offline; none, if the address is for messages only
	IM           string // available, busy, …
	Note         string
	Reaching     bool   // some watcher path or topic peer exists
	Reachability string // "reachable by everybody", "reachable through a relay", "listening", "dialling out only", "connected to nobody"
	Listen       []string
	Peers        int
	Topics       int
	Watchers     int
	Outbox       int // not yet final
	Inbox        int
	Pending      int // requests that wait for my decision
	BytesIn      uint64
	BytesOut     uint64
	InPerHour    uint64
	OutPerHour   uint64
	Costs        []Cost
	Changed      time.Time     // when Presence, IM or Note last changed
	Alone        string        // why nobody is reached, in words; "" if Reaching
	Idle         string        // on: idle is shown by itself; off: by my wish it never is; unknown: nobody can tell
	IdleWhy      string        // if unknown: why, in words
	IdleAfter    time.Duration // without input, if on
	IdleSince    time.Time     // when the last input came, if IM is idle by itself
	ClockSuspect bool
	StoreBytes   int64
	Refused      map[string]uint64 // counters of refused input, by reason
}

// A Contact is somebody on the roster.
type Contact struct {
	Address  identity.Address
	Petname  string // may be ""
	Claimed  string // the name he suggests for himself, a claim
	Verified bool   // the safety number was compared, see Safety
	Added    time.Time
	Services identity.Services // that he offers; 0: not known before the first contact
	Warning  string            // what must be known before he is trusted, or ""
}

// A Resolution is what is known of an address before trying it.
type Resolution struct {
	Address     identity.Address
	Services    identity.Services
	Known       bool // a record is pinned; else Services is unknown
	Fingerprint string
	Proof       string // what binds the name to the key: "address", "card", "record"
	Expires     time.Time
	Devices     int
	Acks        string // all, or refusals alone; "" while nothing is known

	Handle           string   // that was asked for, normalised
	Handles          []string // that the address calls itself
	Found            string   // where the records were found, in words
	Asked            int      // DHT servers that were asked on the way
	Ways             []Way    // that were tried, in order; none if his record was here
	Homes, Mailboxes int      // that keep something for him
	Public           bool     // everybody may read a view of his: see FetchPublic
}

// A Subscription is one of mine to somebody (watching), or somebody's to me (request, watcher).
type Subscription struct {
	Address  identity.Address
	Petname  string
	Claimed  string // the name a watcher suggests for himself
	Hidden   bool   // a watcher says that his address is a pseudonym: it proves nothing about who he is
	ID       wire.SubID
	State    string // requested, pending, active, denied, terminated, expired, ending
	Winfo    string // of a watcher, RFC 3857: pending, active, waiting, terminated
	Event    string // RFC 3857: subscribe, approved, rejected, timeout, giveup, probation, noresource, deactivated
	Reason   wire.Reason
	Text     string
	View     string
	Since    time.Time
	At       time.Time // when it was asked
	Expires  time.Time
	Heard    time.Time // last signed word of the other side
	Proof    string    // fingerprint of the authenticated watcher
	Device   identity.DeviceID
	Began    time.Time // when a watcher first asked
	Contact  string    // of a live watcher: connected, out-of-contact, or lost, whose daily poll is overdue
	Seen     time.Time // when he last was in contact
	Once     bool      // he asked once, and has no subscription; ID names the first time
	Fetches  int       // how often he was shown what he asked for once
	Turned   int       // how often he was not
	Messages int       // of a request: how many of his messages wait in the first-contact box
	Invited  bool      // of a request that waits: it came with an invite of mine
	Fetched  time.Time // the last time that he was
}

// A Change is what the user wants to publish; nil fields stay as they are.
type Change struct {
	View     string // that alone shows it, as its own choice; "": all views that have no choice of their own
	Basic    *wire.Basic
	IM       *wire.IMStatus
	Note     *string
	Lang     *string
	Contacts *[]string
	Activity *string
	Measures *[]Measure // of the service itself, in place of all before
	Bare     *bool      // a thing, not a person: neither IM status nor note, contacts, activity are told
}

// Published tells what a change of presence became.
type Published struct {
	Sequence uint64 // stamp of the update
	Views    []string
}

// TupleOf is one service of a presentity, as shown.
type TupleOf struct {
	Device    identity.DeviceID
	ID        string
	Basic     string
	IM        string
	Contact   string
	Priority  uint32
	Note      string
	At        time.Time
	IdleSince time.Time // when its user last gave it input, if he told so
	Status    []Measure // what it says of itself beyond that
	Delegate  bool      // a delegate says it for him
}

// A Measure is one status by its registered name, or by x.<domain>/… (SPEC 9.2): the temperature that a
// sensor reads.
type Measure struct{ Name, Value string }

// PresenceOf is a presentity as his watcher sees him now.
type PresenceOf struct {
	Address  identity.Address
	Petname  string
	Basic    string // open, closed, unknown
	IM       string
	Note     string
	Evidence string // said, lapsed, unknown, cached
	AsOf     time.Time
	Age      time.Duration
	Hint     string        // HintLost, or ""
	HintAge  time.Duration // how long ago that happened
	Tuples   []TupleOf
	Contacts []string // other ways to reach him: tel:, mailto:, a card or another address
	Why      []string
	Warning  string   // as of a Contact
	Basis    *Basis   // of whom Who was asked for
	Source   string   // of a fetch: direct, watch, cached, public
	Digest   string   // of the documents that this rests on, which he can compare: see ViewOf
	Spoken   []Spoken // what others say for him, by his leave
}

// Spoken is what one delegate says for a presentity. It says nothing of whether he is there.
type Spoken struct {
	Device identity.DeviceID
	Note   string
	Status []Measure // activities, mood, … of the person
	At     time.Time
}

// A BlockEntry is one line of the block list.
type BlockEntry struct {
	Address identity.Address
	Petname string
	Mode    string // block, polite-block
	Scope   string // both, im, presence
	Since   time.Time
}

// A Draft is a message to be sent.
type Draft struct {
	To         string // WHO
	Type       string // MIME; "" is text/plain; charset=utf-8
	Content    []byte
	Lang       string
	Displayed  bool          // ask for a display ack
	Quiet      bool          // keep the result off the screen
	Expires    time.Duration // 0: 7 days; at most 14
	InReplyTo  string        // 40-character id, or ""
	Contact    []string      // other ways to reach me: tel:, mailto:
	Clear      bool          // not sealed: whoever carries it can read it
	Hops       *uint8        // how often gateways may hand it on, by what handed it on to me; nil: as often as any
	Unsigned   bool          // not signed: it is a claim that it is from me
	Anonymous  bool          // it names no author, and comes from nobody's host
	Introduces string        // somebody on the roster, whose card goes with it
	Alt        string        // words beside a content that is none, for whoever cannot see it
}

// A Sent is a message of mine and what became of it.
type Sent struct {
	ID        wire.MID
	To        identity.Address
	ToName    string
	State     string // queued, sending, handed, stored, delivered, displayed, failed
	Reason    wire.Reason
	Sent      time.Time
	Expires   time.Time
	AckedAt   time.Time
	Attempts  int
	Type      string
	Content   []byte
	InReplyTo wire.MID
	Warning   string // as of a Contact
}

// A Received is a message in my inbox.
type Received struct {
	ID           wire.MID
	From         identity.Address
	FromName     string
	Claimed      string // the name that he gives himself, if he has no petname
	Verified     bool   // the signature and its certificate chain hold; else From is a claim
	FirstContact bool
	Sent         time.Time
	Received     time.Time
	Type         string
	Content      []byte
	Lang         string
	InReplyTo    wire.MID
	Displayed    time.Time
	Contact      []string
	Hops         uint8  // how often gateways may still hand it on
	Clear        bool   // it was not sealed: whoever carried it could read it
	Anonymous    bool   // it names no author
	Introduces   string // of a contact's introduction: the card of whom he names
	Introduced   string // and what he is called, if anything
	Parts        []Part // of a multipart, or of what message/cpim holds
	Words        string // the text among them
}

// InboxQuery selects from the inbox; zero fields select everything, oldest first.
type InboxQuery struct {
	ID        string
	From      string
	Limit     int    // the newest so many
	Before    string // only what is older than the message of this id
	Search    string // only texts that hold all of its words, letters' case aside
	Strangers bool   // only what waits in the first-contact box
	Part      int    // of the message ID only this part, from 1; 0: the whole
}

// HistoryQuery selects from what somebody and I wrote each other.
type HistoryQuery struct {
	Who    string
	Limit  int    // the newest so many; 0: all
	Before string // only what is older than the message of this id
	Search string // as of an InboxQuery
	Thread string // only the message of this id, what it answers, and what answers it, and so on
}

// A Conversation is what somebody and I wrote each other, oldest first.
type Conversation struct {
	With    identity.Address
	Name    string // his petname
	Claimed string // the name that he gives himself, if he has no petname
	Lines   []Line
}

// A Line is one message between somebody and me: one of the two is set.
type Line struct {
	Sent     *Sent
	Received *Received
}

// An Event is something that happened, numbered from 1 without gaps and kept across restarts.
type Event struct {
	N       uint64
	At      time.Time
	Kind    string           // presence, message, ack, subscription, request, node
	Address identity.Address `cbor:",omitzero"`
	Name    string           `cbor:",omitempty"`
	ID      string           `cbor:",omitempty"` // message or subscription id, if the event is about one
	State   string           `cbor:",omitempty"`
	Reason  wire.Reason      `cbor:",omitzero"`
	Text    string           `cbor:",omitempty"` // note, message text or detail

	Version    uint64 `cbor:",omitzero"`  // of a document of presence that was read: 1, 2, … for each device and epoch
	Superseded uint64 `cbor:",omitzero"`  // versions right before it that came by no path, and never will
	Hint       string `cbor:",omitempty"` // HintLost: what is shown still holds, but the connection broke; a hint of this machine, not his word
}

// A TraceStep is one step of a message on this node. Its times are those of this machine's clock, and prove nothing.
type TraceStep struct {
	ID       wire.MID
	At       time.Time
	Last     time.Time // when it happened last, if more than once in a row
	Times    int       // how often it did, at least 1
	Step     string
	Peer     string // a name where one is known
	Detail   string
	Evidence string // what shows it: an ack and its signer, a frame and its path, what is on this disk
}

// A Check is one finding of the doctor.
type Check struct {
	Check  string
	OK     bool
	Detail string
	Advice string
}
