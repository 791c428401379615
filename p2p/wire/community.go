package wire

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"

	"github.com/hum-presence/hum/identity"
)

// CommunityRoles are the jobs that a community node does (SPEC 7).
type CommunityRoles uint32

const (
	RoleBootstrap CommunityRoles = 1
	RoleRelay     CommunityRoles = 2
	RoleAnchor    CommunityRoles = 4
	RoleMailbox   CommunityRoles = 8
	RoleHome      CommunityRoles = 16
	RoleDHT       CommunityRoles = 32
	RoleHandles   CommunityRoles = 64
)

// communityWords name the roles, in the order of their bits.
var communityWords = []string{"bootstrap", "relay", "anchor", "mailbox", "home", "dht", "handles"}

// Words are the names of the roles.
func (r CommunityRoles) Words() (out []string) {
	for i, w := range communityWords {
		if r&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return out
}

// ParseCommunityRoles reads names of roles.
func ParseCommunityRoles(words []string) (r CommunityRoles, err error) {
next:
	for _, w := range words {
		for i, known := range communityWords {
			if strings.EqualFold(strings.TrimSpace(w), known) {
				r |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("role %q: %w: the roles are %s", w, ErrMalformed, strings.Join(communityWords, ", "))
	}
	return r, nil
}

// An InviteID is an invite into a community: drawn at random, it admits as many members as its operator said.
type InviteID [16]byte

// Member is what a member shows of the invite id, together with 16 bytes that he drew himself: his token (SPEC
// 7). The first time that it is shown it takes one of the invite's uses.
func (id InviteID) Member(own [16]byte) []byte { return append(bytes.Clone(id[:]), own[:]...) }

// communityScheme stands before an invite into a community, and communityCheck bytes of its digest behind its
// body, so that a slip in copying is noticed.
const (
	communityScheme = "humjoin:"
	communityCheck  = 4
	maxCommunity    = 2048 // bytes of an invite's body
)

// A CommunityInvite is what an operator gives to who may join: where the node is, what it does, and the token.
type CommunityInvite struct {
	Peer  []byte   // binary peer id of T
	Addrs [][]byte // binary multiaddrs
	ID    InviteID
	Roles CommunityRoles
	Name  string
}

// ParseCommunityInvite reads an invite in the form that [CommunityInvite.String] writes; space around it is
// dropped. Errors: [ErrMalformed], [ErrTooLarge].
func ParseCommunityInvite(text string) (x CommunityInvite, err error) {
	text = strings.TrimSpace(text)
	if len(text) < len(communityScheme) || !strings.EqualFold(text[:len(communityScheme)], communityScheme) {
		return x, fmt.Errorf("invite: %w: it begins with %s", ErrMalformed, communityScheme)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text[len(communityScheme):])
	if err != nil || strings.ContainsAny(text, "\r\n") || len(b) < communityCheck {
		return x, fmt.Errorf("invite: %w: not base64url", ErrMalformed)
	}
	body, check := b[:len(b)-communityCheck], b[len(b)-communityCheck:]
	if sum := identity.Hash("join-code", body); !bytes.Equal(sum[:communityCheck], check) {
		return x, fmt.Errorf("invite: %w: a letter is missing or wrong", ErrMalformed)
	}
	return parseCommunityInvite(body)
}

// String returns the invite as text.
func (x CommunityInvite) String() string {
	body := x.append(nil)
	sum := identity.Hash("join-code", body)
	return communityScheme + base64.RawURLEncoding.EncodeToString(append(body, sum[:communityCheck]...))
}

func parseCommunityInvite(b []byte) (CommunityInvite, error) {
	return parse(b, "invite", maxCommunity, communityInvite)
}

func (x CommunityInvite) append(b []byte) []byte { return appendTo(b, &x, communityInvite) }

func communityInvite(c *codec, x *CommunityInvite) {
	c.skipUnknown()
	c.octets(1, &x.Peer, 64, must)
	c.blobs(2, &x.Addrs, MaxEndpoints)
	c.fixed(3, x.ID[:], must)
	num(c, 4, &x.Roles, must)
	c.text(5, &x.Name, MaxName, may)
}
