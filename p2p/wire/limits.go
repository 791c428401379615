package wire

import "time"

// The limits of SPEC 3.9 that bind every reader, in bytes unless said otherwise.
const (
	MaxFrame       = 256 << 10 // a frame on a stream, without its length (SPEC 3.6)
	MaxParcel      = 192 << 10
	MaxRecordBody  = 8 << 10  // body of an address record, device record, reach or successor
	MaxControlBody = 4 << 10  // body of a request, a state or an ack
	MaxSyncBody    = 64 << 10 // body of a sync, and of a fetch reply, which holds up to 8 Docs
	MaxSyncKey     = 256      // key of an Item
	MaxContent     = 60 << 10 // content of an IM; Policy.MaxIM may lower it
	MaxRec         = 4608     // a Rec on a topic, 4.5 KiB
	MaxSlot        = 40 << 10 // a Rec of a slot or a bundle
	MaxDHT         = 1 << 10  // a Rec of the DHT
	MaxDoc         = 4000
	MaxExtValue    = 2 << 10
	MaxPIDF        = 3 << 10
	MaxAckBody     = MaxControlBody

	MaxRequestText = 280  // characters in the text of a SubRequest
	MaxName        = 64   // characters in a suggested name
	MaxNote        = 1024 // characters in the text of a Note
	MaxPriority    = 1000 // of a Tuple

	MaxDevices   = 8 // of an address, so also Wraps of a Parcel
	MaxPreKeys   = 2
	MaxAddrs     = 8 // of a Reach
	MaxEndpoints = 4 // mailboxes, homes, anchors, each; and addrs of an Endpoint
	MaxHandles   = 4
	MaxExts      = 16
	MaxTuples    = 8
	MaxMIDs      = 64  // of one Ack
	MaxWatch     = 256 // keys per WATCH and per stream
	MaxTags      = 16  // publishing devices per epoch key E
	MaxAttached  = 1 + 2*MaxDevices

	MaxSuccessors = 8 // of one Bundle

	MaxEpochs        = 3    // published epochs per view
	MaxTopics        = 8000 // topics joined per host
	MaxWatchers      = 2000 // watchers per presentity
	MaxSubs          = 8    // subs of one watcher address
	MaxPending       = 200  // SubRequests waiting for the user
	MaxPendingSource = 5    // of them from one peer id or public IP prefix
	MaxWatchNode     = 2000 // keys watched per node
	MaxStreams       = 4    // streams per peer and protocol
	MaxOutstanding   = 64   // requests on a stream without a reply (SPEC 3.6)
	MaxFirstContact  = 200  // IMs from strangers
	MaxFirstPerPeer  = 20   // of them from one address
	MaxFirstContent  = 4 << 10

	MaxToken     = 64       // of a membership
	MaxReaders   = 8        // of a mailbox
	MaxMboxItems = 1000     // of a mailbox (SPEC 7.3)
	MaxMboxBytes = 20 << 20 // of a mailbox
	MaxMboxItem  = MaxParcel + 8
)

// The rates of SPEC 3.9.
const (
	QueueParcels       = 256 // Parcels of one contact waiting
	StrangerParcels    = 10  // Parcels a second from any other peer
	StrangerBurst      = 50
	RecordsPerMinute   = 20 // RECORDS per peer
	PresencePerMinute  = 60 // GET or WATCH per peer
	RecBurst           = 15 // Recs per (E, tag), filled at one a second (SPEC 4.5)
	UpdateBurst        = 5  // updates at once by a publisher (SPEC 4.4)
	UpdateEvery        = 2 * time.Second
	RecMaxAge          = time.Hour // of a Rec on a topic (SPEC 4.5)
	AnswerDelay        = time.Second
	PollMinimum        = time.Minute
	FetchMinimum       = time.Minute // between two Fetches of one address (SPEC 4.10)
	FetchRepeats       = 2           // so often a Fetch that comes again within that time is answered again
	MinTTL, MaxTTL     = 2, 900      // seconds; outside, the Grant's counts (SPEC 4.5)
	DefaultPort        = 4866
	DefaultTTLSeconds  = 150
	ParcelProtocol     = "/hum/parcel/1"
	PresenceProtocol   = "/hum/presence/1"
	MboxProtocol       = "/hum/mbox/1"
	TopicPrefix        = "/hum/1/p/"
	TopicLength        = len(TopicPrefix) + 43
	BusyDefaultSeconds = 1
)

// The times of SPEC 1.
const (
	DefaultTTL          = DefaultTTLSeconds * time.Second // how long a Rec keeps a device OPEN
	EpochLife           = 7 * 24 * time.Hour              // until the next epoch takes over
	EpochOverlap        = 24 * time.Hour                  // both are published
	EpochLinger         = time.Hour                       // a watcher stays joined this long at most (SPEC 4.2)
	GrantLife           = EpochLife + EpochOverlap        // not_after − not_before at most
	SubscriptionLife    = 60 * 24 * time.Hour
	SubscriptionRenew   = 30 * 24 * time.Hour
	RequestLife         = 30 * 24 * time.Hour // of an unanswered request, and of a kept Unsub
	FetchLife           = 10 * time.Minute    // an older Fetch is ignored (SPEC 4.10)
	IMLife              = 7 * 24 * time.Hour
	IMMaxLife           = 14 * 24 * time.Hour
	ResendWindow        = 7 * 24 * time.Hour
	ControlExpiry       = 30 * 24 * time.Hour // expires_s of a Parcel without an IM (SPEC 3.7)
	maxBeaconPeriod     = 60 * time.Second
	StreamKeep          = 30 * time.Second // an opener waits for answers (SPEC 3.6)
	SlowReader          = 30 * time.Second // a blocked stream is reset (SPEC 4.6)
	SnapshotGetInterval = 15 * time.Minute // GET in MESH, ±20 % (SPEC 4.7)
)

// BeaconPeriod returns P of SPEC 1 for a ttl: min(60 s, 0.4·ttl), to be jittered by ±10 %.
func BeaconPeriod(ttl time.Duration) time.Duration {
	return min(maxBeaconPeriod, ttl*2/5)
}
