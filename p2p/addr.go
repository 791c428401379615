package p2p

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const maxAddrs = 8 // of a Reach (SPEC 2.4)

// String returns the text form of p, for logs.
func (p PeerID) String() string { return peer.ID(p).String() }

func (p PeerID) id() peer.ID { return peer.ID(p) }

// ParseDial reads a `d` of a card (SPEC 2.2): a multiaddr that ends in /p2p/T, or /p2p/T alone. It
// returns the peer and the binary multiaddr before /p2p, nil if there is none.
func ParseDial(text string) (PeerID, []byte, error) {
	m, err := ma.NewMultiaddr(text)
	if err != nil {
		return "", nil, fmt.Errorf("%w: %v", ErrBadAddr, err)
	}
	rest, id := peer.SplitAddr(m)
	if id == "" || id.Validate() != nil {
		return "", nil, fmt.Errorf("%w: no /p2p at its end", ErrBadAddr)
	}
	if len(rest) == 0 {
		return PeerID(id), nil, nil
	}
	return PeerID(id), rest.Bytes(), nil
}

// DialText prints what ParseDial reads; addr may be nil. What is no multiaddr prints as /p2p/T alone.
func DialText(p PeerID, addr []byte) string { return AddrText(addr) + "/p2p/" + p.String() }

// AddrText returns the text of a binary multiaddr, "" if it is none.
func AddrText(addr []byte) string {
	if len(addr) == 0 {
		return ""
	}
	m, err := ma.NewMultiaddrBytes(addr)
	if err != nil {
		return ""
	}
	return m.String()
}

// multiaddrs reads binary multiaddrs of a foreign Reach; those that cannot be read are left out.
func multiaddrs(addrs [][]byte) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, b := range addrs {
		m, err := ma.NewMultiaddrBytes(b)
		if err != nil || len(m) == 0 {
			continue
		}
		if rest, id := peer.SplitAddr(m); id != "" { // tolerate a /p2p at the end
			m = rest
		}
		if len(m) > 0 {
			out = append(out, m)
		}
		if len(out) == maxAddrs {
			break
		}
	}
	return out
}

// dialable picks what others can dial from what the host listens on: at most 8, public ones first,
// loopback only when there is nothing better.
func dialable(addrs []ma.Multiaddr) [][]byte {
	rank := func(a ma.Multiaddr) int {
		switch {
		case manet.IsIPLoopback(a):
			return 3
		case manet.IsIP6LinkLocal(a) || manet.IsIPUnspecified(a):
			return 2
		case manet.IsPublicAddr(a):
			return 0
		}
		return 1
	}
	type nth struct{ rank, kind int }
	place, seen := map[string]int{}, map[nth]int{}
	for _, a := range addrs { // of each rank first one of each transport, as there is not room for all
		k := nth{rank(a), a[len(a)-1].Protocol().Code}
		place[string(a.Bytes())] = seen[k]
		seen[k]++
	}
	sorted := slices.Clone(addrs)
	slices.SortStableFunc(sorted, func(a, b ma.Multiaddr) int {
		return cmp.Or(rank(a)-rank(b), place[string(a.Bytes())]-place[string(b.Bytes())])
	})
	var out [][]byte
	for _, a := range sorted {
		r := rank(a)
		if r == 2 || r == 3 && len(out) > 0 && !manet.IsIPLoopback(sorted[0]) {
			continue
		}
		if len(out) < maxAddrs && !slices.ContainsFunc(out, func(b []byte) bool { return bytes.Equal(a.Bytes(), b) }) {
			out = append(out, a.Bytes())
		}
	}
	return out
}
