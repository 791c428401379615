package control

import (
	"context"
	"time"

	"connectrpc.com/connect/v2"

	"github.com/hum-presence/hum/node/control/humv1"
)

// A HostBackend is a running community node, as who runs it sees it.
type HostBackend interface {
	// MakeInvite returns an invite for some members, for a while or, for 0, as long as it has uses.
	MakeInvite(uses uint32, lasts time.Duration) (invite string, until time.Time, err error)
	// Counts are what is kept, how much may be, and what was refused; they name nobody.
	Counts() (HostCounts, error)
	// Backup writes a sealed copy to a file that must not exist, while the node serves, and returns its size in bytes.
	Backup(file string, passphrase []byte) (int64, error)
}

// HostCounts are what a community node keeps for its members.
type HostCounts struct {
	Name                      string
	Roles                     []string
	Members, Topics, Peers    int
	Nodes, NodesUp            int // the others of this community, and those of them that are connected
	Keys, Mailboxes, Messages int
	Stored, Disk              int64
	Quotas                    map[string]int64
	Refusals                  map[string]uint64
	BytesIn, BytesOut         uint64
	Circuits, Reservations    int    // of the relay, now
	Relayed                   uint64 // bytes that it carried
	Started                   time.Time
}

// hosting answers for a community node.
type hosting struct{ host HostBackend }

func (s *hosting) MakeInvite(_ context.Context, r *humv1.MakeInviteRequest) (*humv1.CommunityInvite, error) {
	life := time.Duration(0)
	if r.Life != nil {
		life = r.Life.AsDuration()
	}
	invite, until, err := s.host.MakeInvite(r.Uses, life)
	if err != nil {
		return nil, err
	}
	return &humv1.CommunityInvite{Invite: invite, Uses: r.Uses, Until: at(until)}, nil
}

func (s *hosting) CommunityStatus(context.Context, *humv1.CommunityStatusRequest) (*humv1.CommunityStatusResponse, error) {
	c, err := s.host.Counts()
	if err != nil {
		return nil, err
	}
	return &humv1.CommunityStatusResponse{Name: text(c.Name), Roles: c.Roles, Members: int64(c.Members), Topics: int64(c.Topics), Peers: int64(c.Peers),
		Keys: int64(c.Keys), Mailboxes: int64(c.Mailboxes), Messages: int64(c.Messages), Stored: c.Stored, Disk: c.Disk, Quotas: c.Quotas,
		Refusals: c.Refusals, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
		Nodes: int64(c.Nodes), NodesConnected: int64(c.NodesUp), Circuits: int64(c.Circuits), Relayed: c.Relayed, Reservations: int64(c.Reservations), Started: at(c.Started)}, nil
}

func (s *hosting) CommunityBackup(_ context.Context, r *humv1.CommunityBackupRequest) (*humv1.CommunityBackupResponse, error) {
	n, err := s.host.Backup(r.File, r.Passphrase)
	if err != nil {
		return nil, err
	}
	return &humv1.CommunityBackupResponse{File: r.File, Bytes: n}, nil
}

// Unknown reports whether the node of this home is of the other kind: a person's, or a community's.
func Unknown(err error) bool { return err != nil && connect.CodeOf(err) == connect.CodeUnimplemented }
