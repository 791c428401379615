package node

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A HandleFace is a name of mine, or of somebody else: what its domain has to say for it to hold, and whether it does.
type HandleFace struct {
	Handle  string
	Address identity.Address
	URL     string   // where the domain says it by HTTPS
	JSON    string   // what it says there
	DNSName string   // of the TXT records that say it too
	TXT     []string // these
	State   string   // of mine: vouched, or waiting for the domain; "" of others'
	Detail  string   // why it waits, or who keeps it
}

// maxHandles is how many names a record lists (SPEC 2.4).
const maxHandles = 4

// The states of a handle of mine.
const (
	handleVouched = "vouched"
	handleWaiting = "waiting"
)

// AddHandle has my record list a handle, which is half of what it takes: its domain has to name me too. A community of
// mine that keeps the names of that domain is asked to.
func (n *Node) AddHandle(ctx context.Context, text string) (HandleFace, error) {
	h, err := wire.ParseHandle(text)
	if err != nil {
		return HandleFace{}, &Error{Kind: KindUsage, Code: "bad-handle", Message: err.Error(), Advice: "write it like alice@example.org"}
	}
	if err := n.signHandles(func(list []string) ([]string, error) {
		switch {
		case slices.Contains(list, h.String()):
			return list, nil
		case len(list) >= maxHandles:
			return nil, &Error{Kind: KindUsage, Code: "too-many", Message: fmt.Sprintf("an address has %d handles at most", maxHandles), Advice: "take one away: hum handle remove HANDLE"}
		}
		return append(slices.Clone(list), h.String()), nil
	}); err != nil {
		return HandleFace{}, err
	}
	said := n.claimHandle(ctx, h)
	face := n.handleFace(ctx, h)
	if said != nil && face.State == handleWaiting {
		face.Detail = said.Error()
	}
	return face, nil
}

// RemoveHandle takes a handle off my record: whatever the domain says, it does not stand for me any more.
func (n *Node) RemoveHandle(_ context.Context, text string) (HandleFace, error) {
	h, err := wire.ParseHandle(text)
	if err != nil {
		return HandleFace{}, &Error{Kind: KindUsage, Code: "bad-handle", Message: err.Error(), Advice: "write it like alice@example.org"}
	}
	err = n.signHandles(func(list []string) ([]string, error) {
		if !slices.Contains(list, h.String()) {
			return nil, &Error{Kind: KindUsage, Code: "unknown-name", Message: h.String() + " is no handle of yours", Advice: "see: hum handle list"}
		}
		return slices.DeleteFunc(slices.Clone(list), func(x string) bool { return x == h.String() }), nil
	})
	return HandleFace{Handle: h.String(), Address: n.self.Address}, err
}

// Handles are mine, each asked of its domain.
func (n *Node) Handles(ctx context.Context) (out []HandleFace, err error) {
	for _, h := range n.myHandles() {
		out = append(out, n.handleFace(ctx, h))
	}
	return out, nil
}

func (n *Node) myHandles() (out []wire.Handle) {
	if pin := n.pins.get(n.self.Address); pin != nil {
		for _, text := range pin.Record.Handles {
			if h, err := wire.ParseHandle(text); err == nil {
				out = append(out, h)
			}
		}
	}
	return out
}

// signHandles signs the next record of this address with other handles.
func (n *Node) signHandles(edit func([]string) ([]string, error)) error {
	if !n.keys.Admin() {
		return &Error{Kind: KindFailed, Code: "not-admin", Message: "this device may not sign for the address", Advice: "use one of your admin devices: hum devices"}
	}
	if err := n.checkListed(); err != nil {
		return err
	}
	err := n.update(func(t *txn) error {
		p, ok, err := find[pinned](t, store.Pin(n.self.Address))
		if err != nil {
			return err
		}
		if !ok || len(p.Pin.Raw) == 0 {
			return errNoPin
		}
		list, err := edit(p.Pin.Record.Handles)
		if err != nil || slices.Equal(list, p.Pin.Record.Handles) {
			return err
		}
		p.Pin.Record.Handles = list
		if err := n.signAddress(t, &p.Pin, n.listed(&p.Pin, n.self.Device)); err != nil {
			return err
		}
		return n.savePin(t, n.self.Address, p)
	})
	if err == nil {
		n.claimEverywhere() // also of the others, which are to be told with the newest record
	}
	return saveError(n.cfg.Home, err)
}

// handleFace asks the domain of a handle of mine whether it names me.
func (n *Node) handleFace(ctx context.Context, h wire.Handle) HandleFace {
	reply := n.handleReply()
	page, _ := reply.JSON() // of texts alone
	f := HandleFace{Handle: h.String(), Address: n.self.Address, URL: h.URL(), JSON: string(page), DNSName: h.DNSName(), TXT: reply.TXT(), State: handleWaiting}
	ctx, done := context.WithTimeout(ctx, lookPatience)
	defer done()
	said, err := n.names.Look(ctx, h)
	var e *Error
	switch {
	case err == nil && said.Address == n.self.Address:
		f.State, f.Detail = handleVouched, h.Domain+" says so "+said.How()
	case err == nil:
		f.Detail = fmt.Sprintf("%s names %s", h.Domain, short(said.Address))
	case errors.As(handleError(h, err), &e):
		f.Detail = e.Message
	default:
		f.Detail = err.Error()
	}
	return f
}

// handleReply is what a domain has to say of this address.
func (n *Node) handleReply() wire.HandleReply {
	o := n.own.Load()
	reply := wire.HandleReply{Address: n.self.Address, Record: o.Address}
	for _, s := range n.successors() {
		reply.Successors = append(reply.Successors, s.Append(nil))
	}
	for _, m := range n.joined.all() {
		if m.does(wire.RoleHome) && len(m.Addrs) > 0 {
			reply.Homes = append(reply.Homes, p2p.DialText(m.peer(), m.Addrs[0]))
		}
	}
	return reply
}

// claimHandle has those communities of mine that keep names know that this one is mine; nil if one of them took it, or
// if none keeps names.
func (n *Node) claimHandle(ctx context.Context, h wire.Handle) error {
	var last error
	for _, m := range n.joined.all() {
		if !m.does(wire.RoleHandles) {
			continue
		}
		if last = n.claimAt(ctx, m, h); last == nil {
			return nil
		}
	}
	return last
}

func (n *Node) claimAt(ctx context.Context, m membership, h wire.Handle) error {
	ctx, done := context.WithTimeout(ctx, joinTimeout)
	defer done()
	reply := n.handleReply()
	why, err := n.net.Claim(ctx, m.peer(), wire.Claim{Handle: h.String(), Record: reply.Record, Successors: reply.Successors, Token: m.Token})
	if err != nil {
		return fmt.Errorf("%s did not take it: %s", m.face().Name, plain(err))
	}
	if why != wire.ClaimTaken {
		return fmt.Errorf("%s does not name you: %s", m.face().Name, community.ClaimWords(why))
	}
	return nil
}

// claimAll says again to a community which of my names it keeps, with my newest record.
func (n *Node) claimAll(ctx context.Context, m membership) {
	for _, h := range n.myHandles() {
		if err := n.claimAt(ctx, m, h); err != nil {
			n.log.Debug("a handle was not taken", "err", err)
		}
	}
}

// claimEverywhere says it again to every community that keeps names.
func (n *Node) claimEverywhere() {
	for _, m := range n.joined.all() {
		if m.does(wire.RoleHandles) && len(n.myHandles()) > 0 {
			n.spawn(func(ctx context.Context) { n.claimAll(ctx, m) })
		}
	}
}
