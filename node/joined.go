package node

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A membership is a community that this home has joined: where its node is, the token that it knows me by, and
// the key of the mailbox that it keeps for me (SPEC 7).
type membership struct {
	Peer  []byte
	Addrs [][]byte
	Name  string
	Roles wire.CommunityRoles
	Token []byte
	Mbox  [32]byte // seed of M
	Since identity.Time
	Left  bool // it is over: no record of mine is to name it

	Before [][32]byte    // of the mailboxes of which the present one took the place, the newest last: see turning.go
	Turned identity.Time // when it last did
}

func (m membership) peer() p2p.PeerID                { return p2p.PeerID(m.Peer) }
func (m membership) does(r wire.CommunityRoles) bool { return m.Roles&r != 0 }
func (m membership) mbox() identity.SigningKey       { return identity.NewSigningKey(m.Mbox) }

// endpoint is how others are told of it.
func (m membership) endpoint() wire.Endpoint {
	return wire.Endpoint{Peer: m.Peer, Addrs: m.Addrs[:min(len(m.Addrs), wire.MaxEndpoints)]}
}

// reader is the key by which a device reads the mailbox.
func (m membership) reader(d identity.DeviceID) identity.SigningKey {
	return identity.NewSigningKey(identity.KDF(m.Mbox[:], "reader", d[:]))
}

// joinedState is the communities of this home.
type joinedState struct {
	mu     sync.Mutex
	list   []membership
	end    map[p2p.PeerID]context.CancelFunc // of who attends to one
	hosted map[hostedAt]bool                 // keys that a node has been asked to keep since we reached it last
	tries  map[[32]byte]int                  // of items that could not be saved
	taken  map[[32]byte]bool                 // items that are here, see isTaken
	secret [32]byte                          // V, see slots.go; zero until it is drawn
	left   map[string]time.Duration          // what was left in mailboxes, and when, see leave
	opened map[cappedAt]bool                 // the caps that a mailbox was told of since it was reached
	denied map[p2p.PeerID]bool               // nodes that know this home as a member no more

	changed chan struct{} // see changes
	read    time.Duration // when the slots of others were read last
	pause   time.Duration // until they are read once more where an anchor did not answer
	missed  bool          // one has not since
}

// A cappedAt is somebody's cap at one node, and whether it was revoked.
type cappedAt struct {
	peer    p2p.PeerID
	who     identity.Address
	revoked bool
}

type hostedAt struct {
	peer p2p.PeerID
	e    wire.PublicKey
}

// all are the memberships that stand.
func (j *joinedState) all() []membership { return j.those(false) }

func (j *joinedState) those(left bool) (out []membership) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, m := range j.list {
		if m.Left == left {
			out = append(out, m)
		}
	}
	return out
}

// at is the membership at one node, if it stands.
func (j *joinedState) at(p p2p.PeerID) (m membership, ok bool) {
	for _, m := range j.all() {
		if m.peer() == p {
			return m, true
		}
	}
	return m, false
}

// endVisit has nobody attend to a node any more.
func (j *joinedState) endVisit(p p2p.PeerID) {
	j.mu.Lock()
	end := j.end[p]
	delete(j.end, p)
	delete(j.denied, p)
	j.mu.Unlock()
	if end != nil {
		end()
	}
}

// deny notes whether a node refuses this home as none of its members; first if that is new.
func (j *joinedState) deny(p p2p.PeerID, denied bool) (first bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first = denied && !j.denied[p]
	if delete(j.denied, p); denied {
		j.denied[p] = true
	}
	return first
}

func (j *joinedState) isDenied(p p2p.PeerID) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.denied[p]
}

// note puts m in the place of what was known of its community.
func (j *joinedState) note(m membership) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.list = append(slices.DeleteFunc(j.list, func(x membership) bool { return bytes.Equal(x.Peer, m.Peer) }), m)
}

func (n *Node) loadJoined(t *txn) (err error) {
	n.joined.end, n.joined.hosted, n.joined.tries = map[p2p.PeerID]context.CancelFunc{}, map[hostedAt]bool{}, map[[32]byte]int{}
	n.joined.left, n.joined.opened, n.joined.denied = map[string]time.Duration{}, map[cappedAt]bool{}, map[p2p.PeerID]bool{}
	if n.joined.secret, _, err = find[[32]byte](t, awaySecret); err != nil {
		return err
	}
	n.joined.list, err = all[membership](t, store.AllJoined())
	return err
}

// A Community is one that this home has joined.
type Community struct {
	Name  string
	Peer  string
	Roles []string
	Since time.Time
}

func (m membership) face() Community {
	return Community{Name: cmp.Or(m.Name, m.peer().String()), Peer: m.peer().String(), Roles: m.Roles.Words(), Since: m.Since.Go()}
}

// joinTimeout bounds how long a community node is waited for.
const joinTimeout = 20 * time.Second

// Join makes this home a member of the community of an invite: its node keeps my presence and messages to me while
// I am away, and can read neither. Errors, as *Error: usage; denied if the invite is used up or has ended;
// unreachable. An invite into a community that it is in already changes nothing, unless its node does not know this home
// any more, as one that was set up anew: then this home is a member again, with the mailbox that others know.
func (n *Node) Join(ctx context.Context, invite string) (Community, error) {
	inv, err := wire.ParseCommunityInvite(invite)
	if err != nil {
		return Community{}, &Error{Kind: KindUsage, Code: "bad-invite", Message: err.Error(), Advice: "copy the whole invite again, from humjoin: to its last letter"}
	}
	m := membership{Peer: inv.Peer, Addrs: inv.Addrs, Name: inv.Name, Roles: inv.Roles, Since: n.now().Wall}
	asking, done := context.WithTimeout(ctx, joinTimeout)
	defer done()
	old, member := n.joined.at(m.peer())
	if member && !errors.Is(n.knock(asking, old), p2p.ErrRefused) {
		return old.face(), nil
	}
	var own [16]byte
	for _, b := range [][]byte{own[:], m.Mbox[:]} {
		if _, err := io.ReadFull(n.cfg.Rand, b); err != nil {
			return Community{}, err
		}
	}
	m.Token = inv.ID.Member(own)
	if member {
		m.Mbox = old.Mbox
	}
	n.net.Own(m.peer(), m.Addrs)
	n.net.Keep(m.peer(), m.Addrs, p2p.Watched)
	if err := n.knock(asking, m); err != nil {
		if !member {
			n.net.Forget(m.peer())
			n.net.Disown(m.peer())
		}
		return Community{}, joinError(m, err)
	}
	if err := n.update(func(t *txn) error {
		t.after(func() { n.joined.note(m) })
		if _, err := n.drawSecret(t); err != nil {
			return err
		}
		return n.saveJoined(t, m)
	}); err != nil {
		return Community{}, saveError(n.cfg.Home, err)
	}
	if m.does(wire.RoleDHT) {
		n.net.MeetDHT(m.peer(), m.Addrs)
	}
	n.joined.endVisit(m.peer())
	n.attend(m)
	return m.face(), n.tellCustodians()
}

// knock shows the token for the first time: with the mailbox, or with a key that is kept for a minute.
func (n *Node) knock(ctx context.Context, m membership) error {
	if m.does(wire.RoleMailbox) {
		return n.register(ctx, m)
	}
	err := n.net.AskHost(ctx, m.peer(), wire.HostRequest{Key: m.mbox().Public(), Until: n.now().Wall.Add(time.Minute), Token: m.Token})
	if errors.Is(err, p2p.ErrNotFound) { // it keeps nothing, and took the token
		return nil
	}
	return err
}

func joinError(m membership, err error) error {
	who := cmp.Or(m.Name, "the community")
	switch {
	case errors.Is(err, p2p.ErrUnreachable):
		return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: "the node of " + who + " does not answer", Advice: "try again later: hum join INVITE"}
	case errors.Is(err, p2p.ErrBusy):
		return &Error{Kind: KindUnreachable, Code: "full", Message: who + " takes no more members now", Advice: "ask its operator, or try again later"}
	case errors.Is(err, p2p.ErrRefused):
		return &Error{Kind: KindRefused, Code: "denied", Message: "the invite into " + who + " is used up or has ended", Advice: "ask its operator for a new one"}
	}
	return err
}

// Leave ends a membership, by the name or the peer of the community.
func (n *Node) Leave(_ context.Context, name string) (Community, error) {
	names := []string{}
	for _, m := range n.joined.all() {
		face := m.face()
		names = append(names, face.Name)
		if !strings.EqualFold(face.Name, name) && face.Peer != name {
			continue
		}
		if err := n.update(func(t *txn) error {
			m.Left, m.Token = true, nil
			t.after(func() { n.quit(m) })
			return n.saveJoined(t, m)
		}); err != nil {
			return Community{}, saveError(n.cfg.Home, err)
		}
		return face, n.tellCustodians()
	}
	advice := "it is in none: hum join INVITE"
	if len(names) > 0 {
		advice = "it is in: " + strings.Join(names, ", ")
	}
	return Community{}, &Error{Kind: KindUsage, Code: "unknown", Message: "this home is in no community called " + clip(name), Advice: advice}
}

func (n *Node) quit(m membership) {
	n.joined.note(m)
	n.joined.endVisit(m.peer())
	n.net.Unrelay(m.peer())
	n.net.Forget(m.peer())
	n.net.Disown(m.peer())
}

// tellCustodians says anew, in the address record and to every watcher, who keeps what for this address.
func (n *Node) tellCustodians() error {
	if _, err := n.renew(); err != nil {
		return saveError(n.cfg.Home, err)
	}
	err := n.update(func(t *txn) error {
		watchers, err := all[presence.Watcher](t, store.AllWatchers())
		for _, w := range watchers {
			if err != nil {
				return err
			}
			if !w.Reads() {
				continue
			}
			if err = errors.Join(n.signWatcher(t, &w), n.saveWatcher(t, w)); err == nil {
				n.notify(t, w, 0)
			}
		}
		return err
	})
	return saveError(n.cfg.Home, err)
}

// custodians are the mailboxes and homes that the next address record names: those of the present one, which may be
// other devices' communities, without those that this home has left, and those that it has joined.
func (n *Node) custodians(r identity.AddressRecord) (mailboxes, homes []wire.Endpoint) {
	left := n.joined.those(true)
	gone := func(e wire.Endpoint) bool {
		return slices.ContainsFunc(left, func(m membership) bool { return bytes.Equal(m.Peer, e.Peer) })
	}
	mailboxes = slices.DeleteFunc(slices.Clone(r.Mailboxes), gone)
	homes = slices.DeleteFunc(slices.Clone(r.Homes), gone)
	for _, m := range n.joined.all() {
		if m.does(wire.RoleHome) {
			homes = named(homes, m.endpoint())
		}
		if m.does(wire.RoleMailbox) {
			e := m.endpoint()
			e.Mbox = m.mbox().Public()
			mailboxes = named(mailboxes, e)
		}
	}
	return mailboxes, homes
}

// named adds e to a list, or puts it in the place of what was said of the same node, if there is room.
func named(list []wire.Endpoint, e wire.Endpoint) []wire.Endpoint {
	if i := slices.IndexFunc(list, func(x wire.Endpoint) bool { return bytes.Equal(x.Peer, e.Peer) }); i >= 0 {
		list[i] = e
	} else if len(list) < wire.MaxEndpoints {
		list = append(list, e)
	}
	return list
}

// changedCustodians reports whether a record names others than it should.
func (n *Node) changedCustodians(r identity.AddressRecord) bool {
	mailboxes, homes := n.custodians(r)
	same := func(a, b wire.Endpoint) bool {
		return bytes.Equal(a.Peer, b.Peer) && a.Mbox == b.Mbox && slices.EqualFunc(a.Addrs, b.Addrs, bytes.Equal)
	}
	return !slices.EqualFunc(mailboxes, r.Mailboxes, same) || !slices.EqualFunc(homes, r.Homes, same)
}

// tellOf completes what a watcher is granted: the anchors where my records are found while I am away, the slot where
// the next word to him is, and the mailbox where he may leave messages, by a cap of his own (SPEC 4.3).
func (n *Node) tellOf(t *txn, w presence.Watcher, grants ...*wire.Grant) error {
	joined := n.joined.all()
	if len(joined) == 0 {
		return nil
	}
	slot, err := n.slotOf(t, w)
	if err != nil {
		return err
	}
	for _, g := range grants {
		if g == nil {
			continue
		}
		g.Slot, g.IM = slot, n.replyBox(w.Who)
		for _, m := range joined {
			if m.does(wire.RoleAnchor|wire.RoleHome) && len(g.Anchors) < wire.MaxEndpoints {
				g.Anchors = append(g.Anchors, m.endpoint())
			}
		}
	}
	return nil
}

// replyBox is the mailbox where somebody may leave messages and answers for me by a cap of his own; nil if I have
// none.
func (n *Node) replyBox(a identity.Address) *wire.Endpoint {
	for _, m := range n.joined.all() {
		if m.does(wire.RoleMailbox) {
			e := m.endpoint()
			e.Mbox, e.Cap = m.mbox().Public(), n.joined.capOf(a)
			n.openCapsOf(a)
			return &e
		}
	}
	return nil
}
