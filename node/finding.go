package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Finding somebody of whom only the address is known, or whose places answer no more (SPEC 7.5): his homes, as his
// pinned record, his card or his domain names them, and those that he names in the DHT, have his records sealed under
// a key that nobody finds who does not know the address. What they give is believed as far as he has signed it.

// homeHints are homes that were named by others than the address itself: by a card or a domain.
type homeHints struct {
	mu      sync.Mutex
	at      map[identity.Address][]place
	servers []string // DHT servers, as they were saved
}

// homeHintsKept bounds for how many addresses hints are kept that are in no row.
const homeHintsKept = 4096

func (h *homeHints) add(a identity.Address, p place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.at == nil || len(h.at) > homeHintsKept {
		h.at = map[identity.Address][]place{}
	}
	if len(h.at[a]) < wire.MaxEndpoints {
		h.at[a] = join(h.at[a], p)
	}
}

func (h *homeHints) of(a identity.Address) []place {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.at[a])
}

// hintHomes notes where the records of an address are said to be kept.
func (n *Node) hintHomes(a identity.Address, homes []string) {
	for _, text := range homes {
		if text == "" {
			continue
		}
		if p, ok := placeOf(text); ok && p.addrs != nil {
			n.homeHints.add(a, p)
		}
	}
}

// homesOf are the homes of an address, by its own word and by that of others.
func (n *Node) homesOf(a identity.Address) (out []place) {
	if pin := n.pins.get(a); pin != nil {
		for _, e := range pin.Record.Homes {
			out = join(out, place{p2p.PeerID(e.Peer), e.Addrs})
		}
	}
	n.mu.RLock()
	carded := n.contacts[a].Home
	n.mu.RUnlock()
	if p, ok := placeOf(carded); ok && p.addrs != nil {
		out = join(out, p)
	}
	for _, r := range n.handles.of(a) {
		for _, text := range r.Homes {
			if p, ok := placeOf(text); ok && p.addrs != nil {
				out = join(out, p)
			}
		}
	}
	for _, p := range n.homeHints.of(a) {
		out = join(out, p)
	}
	return slices.DeleteFunc(out, func(p place) bool { return p.peer == n.net.Self() })
}

// searchPause is how often at most the DHT is asked for one address, unless the user asks.
const searchPause = time.Minute

// homePatience bounds the wait for one home.
const homePatience = 12 * time.Second

// A finding is how somebody's records were found.
type finding struct {
	pin  *identity.Pin
	by   string // in words
	hops int    // DHT servers that were asked
	ways []Way  // all that was tried
}

// discover finds the records of an address at its homes, or by the DHT, and notes in s what it tried. Errors:
// KindUnreachable.
func (n *Node) discover(ctx context.Context, a identity.Address, eager bool, s *search) (finding, error) {
	homes := n.homesOf(a)
	pin, err := n.askHomes(ctx, a, homes, 0)
	if len(homes) > 0 {
		s.tried(wayHomes, "one of "+count(len(homes), "home")+" has his records", err)
	} else {
		s.tried(wayHomes, "", errNoHomes)
	}
	if err == nil {
		return finding{pin: pin, by: "one of his homes"}, nil
	}
	if !n.searched.take(a, n.now()) && !eager {
		s.tried(wayDHT, "", errAskedNow)
		return finding{}, err
	}
	homes, least, hops, findErr := n.rendezvous(ctx, a)
	s.tried(wayDHT, fmt.Sprintf("asked %s; it names %s", count(hops, "server"), count(len(homes), "home")), findErr)
	if findErr != nil {
		return finding{hops: hops}, findErr
	}
	pin, err = n.askHomes(ctx, a, homes, least)
	s.tried(wayNamed, "one of them has his records", err)
	if err != nil {
		return finding{hops: hops}, err
	}
	return finding{pin: pin, by: "a home that the DHT named", hops: hops}, nil
}

var (
	errNoHomes  = errors.New("he is not known to have any")
	errAskedNow = errors.New("it was asked less than a minute ago, and is asked again by itself")
)

// askHomes asks several homes at once for the records of an address and returns what comes first; the others are
// heard too, and the newest record stays. Least is the stamp of the newest record that is known to be.
func (n *Node) askHomes(ctx context.Context, a identity.Address, homes []place, least identity.Stamp) (*identity.Pin, error) {
	if len(homes) == 0 {
		return nil, errNoPlace(n.name(a))
	}
	type answer struct {
		pin *identity.Pin
		err error
	}
	answers := make(chan answer, len(homes))
	for _, h := range homes {
		n.spawn(func(run context.Context) {
			run, done := context.WithTimeout(run, homePatience)
			defer done()
			pin, err := n.askHome(run, a, h, least)
			answers <- answer{pin, err}
		})
	}
	var last error = errNoAnswer("who keeps the records of "+n.name(a), p2p.ErrUnreachable)
	for range homes {
		select {
		case x := <-answers:
			if x.err == nil {
				return x.pin, nil
			}
			last = x.err
		case <-ctx.Done():
			return nil, errNoAnswer("who keeps the records of "+n.name(a), p2p.ErrUnreachable)
		}
	}
	return nil, last
}

// errBehind says that a home keeps older records than it should.
var errBehind = errors.New("what a home keeps is older than what the address has said since")

// askHome fetches the Bundle of an address from one home, and pins it.
func (n *Node) askHome(ctx context.Context, a identity.Address, at place, least identity.Stamp) (*identity.Pin, error) {
	b, err := n.bundleAt(ctx, a, at)
	if err != nil {
		if errors.Is(err, p2p.ErrUnreachable) || errors.Is(err, p2p.ErrNotFound) || errors.Is(err, p2p.ErrBusy) || ctx.Err() != nil {
			return nil, errNoAnswer("a home of "+n.name(a), err)
		}
		return nil, n.errUntrue(a, err)
	}
	pin, err := n.pinBundle(a, b, place{}) // where a home is, he is not
	if err == nil && pin.Record.Seq < least {
		return nil, n.errUntrue(a, errBehind)
	}
	return pin, err
}

// errUntrue says that a home gives what its owner has not signed, or not last: he cannot be reached by it, and nobody is
// taken for him.
func (n *Node) errUntrue(a identity.Address, why error) error {
	return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: "a home of " + n.name(a) + " gives what cannot be taken for his records: " + plain(why),
		Advice: "ask for his card, and: hum add CARD"}
}

// rendezvous asks the DHT for the homes of an address. Least is the stamp of the record that these should have. Near
// the end of a week clocks differ about which it is.
func (n *Node) rendezvous(ctx context.Context, a identity.Address) (homes []place, least identity.Stamp, asked int, err error) {
	for _, p := range periodsNear(n.now().Wall) {
		x, more, failed := n.namedIn(ctx, a, p)
		asked += more
		if failed != nil {
			err = cmp.Or(err, failed)
			continue
		}
		for _, e := range x.Homes {
			if p2p.PeerID(e.Peer) != n.net.Self() {
				homes = join(homes, place{p2p.PeerID(e.Peer), e.Addrs})
			}
		}
		return homes, x.ArSeq, asked, nil
	}
	return nil, 0, asked, n.notNamed(a, err)
}

// namedIn reads what an address says of itself in the DHT in one period.
func (n *Node) namedIn(ctx context.Context, a identity.Address, period uint64) (x wire.Rendezvous, asked int, err error) {
	blinded, err := a.Blinded(period)
	if err != nil {
		return x, 0, err
	}
	r, asked, err := n.findNamed(ctx, blinded)
	if err != nil {
		return x, asked, err
	}
	plain, err := wire.OpenKept(wire.SealedRendezvous, a, period, blinded, r)
	if err != nil { // his key, and not his words: nobody else can have signed it
		n.count("binding-invalid")
		return x, asked, err
	}
	x, err = wire.ParseRendezvous(plain)
	return x, asked, err
}

// findNamed is content with the first few answers, and asks everybody only if there was none.
func (n *Node) findNamed(ctx context.Context, blinded wire.PublicKey) (r wire.Rec, asked int, err error) {
	r, asked, err = n.net.FindNamed(ctx, blinded, false)
	n.keepServers()
	return r, asked, err
}

func (n *Node) notNamed(a identity.Address, err error) error {
	what := "the DHT knows nothing of " + n.name(a)
	switch {
	case errors.Is(err, p2p.ErrNoDHT):
		return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: "no place is known where " + n.name(a) + " could be reached, and no DHT server to ask",
			Advice: "join a community, or ask for his card and: hum add CARD"}
	case errors.Is(err, p2p.ErrNotFound):
	case errors.Is(err, p2p.ErrUnreachable):
		what = "no DHT server answers"
	default:
		what = "what the DHT says of " + n.name(a) + " cannot be read"
	}
	return &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(), Message: what, Advice: "ask for his card, and: hum add CARD"}
}

// keepServers remembers the DHT servers that were met, for the next start.
func (n *Node) keepServers() {
	known := n.net.KnownDHT()
	slices.Sort(known)
	n.homeHints.mu.Lock()
	same := slices.Equal(known, n.homeHints.servers)
	n.homeHints.servers = known
	n.homeHints.mu.Unlock()
	if same || len(known) == 0 {
		return
	}
	if err := n.update(func(t *txn) error { return put(t, store.Meta("dht"), known) }); err != nil {
		n.log.Debug("the DHT servers that were met were not saved", "err", err)
	}
}

// meetServers tells the network of every DHT server that is known from before, from communities and as a bootstrap:
// none of them is called before something is looked up.
func (n *Node) meetServers() {
	var known []string
	if err := n.view(func(t *txn) (err error) { known, _, err = find[[]string](t, store.Meta("dht")); return err }); err != nil {
		n.log.Debug("the DHT servers of before were not read", "err", err)
	}
	for _, text := range known {
		if p, ok := placeOf(text); ok {
			n.net.MeetDHT(p.peer, p.addrs)
		}
	}
	for _, b := range n.bootstrap() {
		n.net.MeetDHT(b.peer, b.addrs)
	}
	for _, m := range n.joined.all() {
		if m.does(wire.RoleDHT) {
			n.net.MeetDHT(m.peer(), m.Addrs)
		}
	}
}
