package community

import "github.com/hum-presence/hum/p2p/wire"

// A Refusal is why somebody does not get what he asked for, and the status that tells him (SPEC 3.6). Those of
// this package are variables, so that a caller can count and compare them.
type Refusal struct {
	Status wire.FrameStatus
	Why    string // for the operator's counters
}

func (r *Refusal) Error() string { return r.Why }

var (
	ErrToken      = &Refusal{wire.DENIED, "no member's token"}
	ErrUsed       = &Refusal{wire.DENIED, "the invite is used up"}
	ErrEnded      = &Refusal{wire.DENIED, "the invite has ended"}
	ErrFull       = &Refusal{wire.QUOTA, "the community is full"}
	ErrSigner     = &Refusal{wire.DENIED, "signed by somebody else"}
	ErrOld        = &Refusal{wire.STALE, "older than what is held"}
	ErrAhead      = &Refusal{wire.DENIED, "from the future"}
	ErrNoBox      = &Refusal{wire.NOT_FOUND, "no such mailbox"}
	ErrCap        = &Refusal{wire.DENIED, "unknown cap"}
	ErrRevoked    = &Refusal{wire.DENIED, "revoked cap"}
	ErrCaps       = &Refusal{wire.QUOTA, "too many caps"}
	ErrDay        = &Refusal{wire.QUOTA, "the cap's bytes of today are used up"}
	ErrCapFull    = &Refusal{wire.QUOTA, "too many items of the cap"}
	ErrBoxFull    = &Refusal{wire.QUOTA, "the mailbox is full"}
	ErrWork       = &Refusal{wire.DENIED, "not enough work"}
	ErrLarge      = &Refusal{wire.QUOTA, "too large for a stranger's"}
	ErrStrangers  = &Refusal{wire.QUOTA, "too many items of strangers"}
	ErrNonce      = &Refusal{wire.DENIED, "another stream's nonce"}
	ErrPlace      = &Refusal{wire.DENIED, "meant for another node"}
	ErrNotHosted  = &Refusal{wire.DENIED, "the key is not hosted"}
	ErrKeys       = &Refusal{wire.QUOTA, "the member hosts too many keys"}
	ErrPast       = &Refusal{wire.DENIED, "until a time that is past"}
	ErrHolders    = &Refusal{wire.QUOTA, "too many members have the key kept"}
	ErrBoxes      = &Refusal{wire.QUOTA, "the member has too many mailboxes"}
	ErrOnce       = &Refusal{wire.QUOTA, "the member has too many one-time mailboxes"}
	ErrKind       = &Refusal{wire.DENIED, "a mailbox of the other kind"}
	ErrNoAck      = &Refusal{wire.DENIED, "no ack, for a one-time mailbox"}
	ErrMemberFull = &Refusal{wire.QUOTA, "what is kept for the member is full"}
	ErrDisk       = &Refusal{wire.QUOTA, "the node keeps as much as it may"}
	ErrStranger   = &Refusal{wire.DENIED, "another member's mailbox"}
	ErrForwards   = &Refusal{wire.BUSY, "too much is being passed on"}
	ErrAway       = &Refusal{wire.BUSY, "the other mailbox does not answer"}
	ErrKeepsNone  = &Refusal{wire.NOT_FOUND, "no keys are kept here"}
	ErrBadRec     = &Refusal{wire.MALFORMED, "not a rec of this key"}
)
