package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
)

// Short names for what crosses this package.
type (
	PublicKey = wire.PublicKey
	Time      = wire.Time
)

// A PeerID is the binary libp2p peer id of a node's T (SPEC 2.1), as Reach.Peer has it. It names a
// place, never a person.
type PeerID string

var (
	ErrUnreachable = errors.New("peer unreachable")                   // no route, or no answer in time
	ErrUnanswered  = fmt.Errorf("%w: no answer", ErrUnreachable)      // it may have come to the peer
	ErrNotFound    = errors.New("not found there")                    // status NOT_FOUND
	ErrBusy        = errors.New("peer is busy")                       // status BUSY or QUOTA
	ErrRefused     = errors.New("peer refused the request")           // any other status, or a reply that does not parse
	ErrUnknownOp   = fmt.Errorf("%w: it knows none such", ErrRefused) // status UNKNOWN_OP
	ErrPortTaken   = errors.New("port is taken")                      // by Open: another port may do
	ErrBadRec      = errors.New("not a publishable record")           // by Publish
	ErrNotServed   = errors.New("key is not served here")             // by Publish
	ErrBadKey      = errors.New("not a valid public key")             // SPEC 3.4
	ErrFull        = errors.New("too many topics")                    // SPEC 3.9: 8 000 per host
	ErrClosed      = errors.New("net is closed")                      // after Close or Run
	ErrBadAddr     = errors.New("not a dialable address")             // by ParseDial
	ErrCertificate = errors.New("the certificate cannot be used")     // by Open
)

// Config says how a Net is opened. A zero field takes the default named beside it.
type Config struct {
	Transport   [32]byte            // seed of T; required
	Listen      []string            // multiaddrs to listen on; TCP and QUIC on port 4866 of every interface
	MDNS        bool                // look for kept peers on the local network, and be found there
	Light       bool                // follow by WATCH alone: no topic of somebody else is ever joined (SPEC 0)
	Degree      int                 // how many others of a topic each record is sent on to, D of SPEC 4.7; 4 (simulations vary it)
	Hub         bool                // many leaves hang on this node: no limit of mesh degree (SPEC 4.7)
	Banned      []string            // CIDRs, IP addresses or peer ids that the operator bans
	Clock       func() identity.Now // required
	Rand        io.Reader           // jitter of pauses, keys of sessions; required, safe for concurrent use
	Log         *slog.Logger        // discards
	Host        []libp2p.Option     // replaces transports, security and listen addresses: a simulated network
	Gossip      []pubsub.Option     // added to those of gossip, by simulations that watch it
	UserAgent   string              // "hum/1"
	Moved       func()              // called when Addrs has changed; may be nil
	Relay       bool                // give circuits to others (SPEC 7)
	Circuits    Circuits            // that this node gives: how long each lasts, how much it carries, how many there are
	Web         bool                // without Listen, also on WSS, port 443, if it can be had (SPEC 3.6)
	Certificate Certificate         // of WSS
	Announce    []string            // multiaddrs that others are told instead of those of this machine: its name, or those of its NAT
	NoPortMap   bool                // do not ask the router to open the port (UPnP, NAT-PMP)
	Mute        bool                // listen nowhere: this node dials, and nobody dials it
	Custodian   Custodian           // keep sealed bytes for others (SPEC 7); nil: UNKNOWN_OP
	Private     bool                // only own communities' nodes are dialled, and nothing is listened on (SPEC 7.6)
	WatchKeys   int                 // watched here over all streams; 2 000
	Naming      Naming              // what the DHT may hold (SPEC 7.5); nil: nothing is looked up there
	DHT         bool                // serve the DHT to others

	// Claims decides on a CLAIM to a name (SPEC 2.7); nil if this node keeps none.
	Claims func(from PeerID, c wire.Claim) (wire.ClaimVerdict, wire.FrameStatus)

	// Pair answers a PAIR; nil if this node waits for nobody. It may block for a moment.
	Pair func(from PeerID, payload []byte) (wire.FrameStatus, []byte)
}

// A KeepRole says why a peer is kept, which says how often it is dialled (SPEC 4.7, "Who dials").
type KeepRole uint8

const (
	Watched  KeepRole = iota // I watch him: after 1, 2, 4 … 15 min, ±20 %
	Watching                 // he watches me: at most once per 10 min
)

// A RecPath says how a Rec came.
type RecPath uint8

const (
	ViaTopic    RecPath = iota // by gossip
	ViaStream                  // pushed on a WATCH stream
	ViaSnapshot                // what WATCH held before its OK; may be old
	ViaFetch                   // by the GETs that this package makes itself in MESH; may be old
)

// A Mode is the way in which a followed key is heard (SPEC 4.7, "Moving").
type Mode uint8

const (
	Stream Mode = iota // WATCH only
	Both               // WATCH and the topic
	Mesh               // the topic only
)

// A PathState says how a followed key is heard, and whether it is heard at all: Up if a WATCH stands
// or, in Mesh, a topic peer is connected.
type PathState struct {
	Mode Mode
	Up   bool
}

// Stats are counters since Open, and gauges. Refused counts what was turned away, by cause.
type Stats struct {
	Peers, Topics     int
	BytesIn, BytesOut uint64
	Spent             map[Service]Traffic // the same bytes, by what they were for
	Refused           map[string]uint64
	Relayed           Relayed // by this node, if it is a relay
}

// A Handler takes what arrives. It must be safe for concurrent use; what may block is said below.
type Handler interface {
	// HasKey reports whether kid is a private prekey of ours. It must be quick: it runs before
	// anything else is spent on a Parcel, and false answers NO_KEY.
	HasKey(kid wire.KeyID) bool
	// HandleSession opens a session by a prekey of ours; an error answers NO_KEY (SPEC 3.10).
	HandleSession(r wire.SessionRequest) (wire.Session, error)
	// HandleParcel opens and settles a Parcel, by a prekey or, if in is not nil, by a session of its
	// stream. It may block; several run at once for one peer.
	HandleParcel(ctx context.Context, from PeerID, p wire.Parcel, in *wire.Session)
	// HandleAckBox opens an AckBox and settles what it acks. It may block.
	HandleAckBox(ctx context.Context, from PeerID, b wire.AckBox)
	// HandleRecords returns the Bundle of a, and false unless a lives here.
	HandleRecords(a wire.Address) (bundle []byte, ok bool)
	// HandleRec takes a Rec of a followed key: well formed and signed by e (SPEC 4.5, "Relaying"), in
	// order for each path, sometimes twice. It must not block for long.
	HandleRec(from PeerID, path RecPath, e PublicKey, r wire.Rec)
	// HandleFault is told that a Rec of e was turned away, and why: one of the causes that Stats counts.
	// From is who pushed it; "" if it came by a topic, where its author is not known. It must not block.
	HandleFault(from PeerID, e PublicKey, cause string)
	// HandleClock takes the `now` that a peer told in its reply to WATCH or GET (SPEC 4.6).
	HandleClock(from PeerID, now Time)
	// HandlePeer is told when a peer comes, goes, or changes between a direct and a limited path. Whoever
	// loses one connection while another stands, or stands again, has gone and come.
	HandlePeer(p PeerID, up, limited bool)
	// IsContact reports whether p is the T of a contact; it decides the rates of SPEC 3.9.
	IsContact(p PeerID) bool
}
