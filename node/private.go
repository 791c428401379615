package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// In private mode nobody but the nodes of my own communities learns where this machine is (SPEC 7.6). Others reach it
// through their relays; what it has to do elsewhere they do in its place: they pass messages on, and hear presence.
// It is a property of the home: a node that starts is as it was.

var privateRow = store.Meta("private")

// A Privacy is what private mode is, or would be, here.
type Privacy struct {
	Private bool
	Visible []string // what is seen all the same, and by whom
	Costs   []string // what is given up for it
	Again   bool     // the node starts anew to become so
}

func (n *Node) loadPrivate(t *txn) (err error) {
	if n.private, _, err = find[bool](t, privateRow); n.private {
		n.names = nobodyAsked{}
	}
	return err
}

// nobodyAsked stands in the place of DNS and of the web in private mode: a domain would see who asks.
type nobodyAsked struct{}

// Look implements [Names].
func (nobodyAsked) Look(context.Context, wire.Handle) (names.Answer, error) {
	return names.Answer{}, errNotAsked
}

var errNotAsked = errors.New("no domain is asked in private mode")

// SetPrivate switches private mode on or off, for now and later. A node that runs otherwise stops, to be started anew:
// [Node.Again] says so. Errors, as *Error: usage, if this home is in no community through which it could be reached.
func (n *Node) SetPrivate(_ context.Context, on bool) (Privacy, error) {
	if on && len(n.joined.all()) == 0 {
		return Privacy{}, &Error{Kind: KindUsage, Code: "no-community", Message: "private mode needs a community: its node is all that this one would talk to",
			Advice: "join one first: hum join INVITE"}
	}
	if on && !n.net.Private() { // who knows where this machine was knows it by its peer id
		if err := n.keys.ReplaceTransport(n.cfg.Rand); err != nil {
			return Privacy{}, saveError(n.cfg.Home, err)
		}
	}
	if err := n.update(func(t *txn) error { return put(t, privateRow, on) }); err != nil {
		return Privacy{}, saveError(n.cfg.Home, err)
	}
	p := n.privacy(on)
	if p.Again {
		n.anew.Store(true)
		n.Stop()
	}
	return p, nil
}

// Private says what private mode is here.
func (n *Node) Private(context.Context) (Privacy, error) { return n.privacy(n.net.Private()), nil }

// Again reports whether a node that has ended is to be opened anew in the same home.
func (n *Node) Again() bool { return n.anew.Load() }

func (n *Node) privacy(on bool) Privacy {
	p := Privacy{Private: on, Again: on != n.net.Private()}
	if !on {
		p.Visible = []string{"contacts, their communities and whoever has your card see where this machine is: its IP addresses"}
		return p
	}
	var names, relays []string
	for _, m := range n.joined.all() {
		name := m.face().Name
		if names = append(names, name); m.does(wire.RoleRelay) {
			relays = append(relays, name)
		}
	}
	all := strings.Join(names, " and ")
	p.Visible = []string{
		fmt.Sprintf("%s: the IP address of this machine, when it is on, how much it sends and to which nodes; no names, nothing that is said", all),
		"contacts: that you are reached through " + all + ", and whether you are there, as far as you show it",
		"who has an older card or message of yours: the addresses that it named then",
	}
	p.Costs = []string{
		"everything takes the way through " + all + ": slower, and not at all while " + all + " is down",
		"nobody is found on the local network, and no domain is asked whose a handle is",
	}
	if len(relays) == 0 {
		p.Costs = append(p.Costs, all+" is no relay: messages come by its mailbox alone, minutes later")
	} else {
		p.Costs = append(p.Costs, "who is in no community can call you through "+strings.Join(relays, " or ")+"; you cannot call him")
	}
	return p
}

// mayCall reports whether this node may connect to p itself: to anybody, but for private mode.
func (n *Node) mayCall(p p2p.PeerID) bool {
	return !n.net.Private() || slices.ContainsFunc(n.joined.all(), func(m membership) bool { return bytes.Equal(m.Peer, []byte(p)) })
}

func (n *Node) isConnected(p p2p.PeerID) bool {
	up, _ := n.net.Connected(p)
	return up
}

// through says whom to ask for what the node of a community does: that node, or in private mode one of my own that does
// the same job, and asks it in my place; up is nil if nobody stands in between.
func (n *Node) through(at wire.Endpoint, job wire.CommunityRoles) (via p2p.PeerID, up *p2p.Upstream) {
	peer := p2p.PeerID(at.Peer)
	if !n.mayCall(peer) {
		for _, m := range n.joined.all() {
			if !m.does(job) || up != nil && !n.isConnected(m.peer()) {
				continue
			}
			if up == nil || !n.isConnected(via) {
				via, up = m.peer(), &p2p.Upstream{At: wire.Endpoint{Peer: at.Peer, Addrs: at.Addrs}, Token: m.Token}
			}
		}
	}
	if up == nil {
		n.net.Meet(peer, at.Addrs)
		return peer, nil
	}
	return via, up
}

// getRecs asks a place for the newest records of a topic, in private mode through a node of mine.
func (n *Node) getRecs(ctx context.Context, at place, e wire.PublicKey) (recs []wire.Rec, err error) {
	if n.isConnected(at.peer) {
		recs, _, err = n.net.Get(ctx, at.peer, e)
		return recs, err
	}
	via, up := n.through(at.endpoint(), wire.RoleAnchor)
	if up == nil {
		recs, _, err = n.net.Get(ctx, via, e)
	} else {
		recs, _, err = n.net.GetThrough(ctx, via, e, *up)
	}
	return recs, err
}

// getKept asks for a slot or a bundle.
func (n *Node) getKept(ctx context.Context, via p2p.PeerID, k wire.PublicKey, up *p2p.Upstream) (wire.Rec, error) {
	if up == nil {
		return n.net.GetKept(ctx, via, k)
	}
	return n.net.GetKeptThrough(ctx, via, k, *up)
}

// endpoint is a place as records name it.
func (p place) endpoint() wire.Endpoint { return wire.Endpoint{Peer: []byte(p.peer), Addrs: p.addrs} }
