package community

import (
	"crypto/subtle"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// MemberID stands for a member: H("token", token). The token itself is kept nowhere.
type MemberID [32]byte

// An Invite admits members while it lasts.
type Invite struct {
	ID    wire.InviteID
	Made  identity.Time
	Uses  uint32        // left
	Until identity.Time // 0: as long as there are uses
}

// A Member has shown a token of an invite.
type Member struct {
	ID    MemberID
	By    wire.InviteID
	Since identity.Time
}

// IDOf returns who shows token, and by which invite he says that he came; false if it is none of ours.
func IDOf(token []byte) (id MemberID, by wire.InviteID, ok bool) {
	if len(token) != 2*len(by) {
		return id, by, false
	}
	return identity.Hash("token", token), wire.InviteID(token), true
}

// Admit makes a member of whoever shows the token of id for the first time, and takes a use of its invite, which
// is nil if there is no such. Members is how many there are. Who is a member stays one when the invite ends.
func Admit(now identity.Now, id MemberID, inv *Invite, members, limit int) (Member, Invite, error) {
	switch {
	case inv == nil:
		return Member{}, Invite{}, ErrToken
	case inv.Uses == 0:
		return Member{}, Invite{}, ErrUsed
	case inv.Until != 0 && now.Wall > inv.Until:
		return Member{}, Invite{}, ErrEnded
	case members >= limit:
		return Member{}, Invite{}, ErrFull
	}
	left := *inv
	left.Uses--
	return Member{ID: id, By: inv.ID, Since: now.Wall}, left, nil
}

// same compares what strangers may guess at, in constant time.
func same(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
