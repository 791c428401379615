package policy

import (
	"net/netip"

	"github.com/hum-presence/hum/identity"
)

// Bounds of the pending SubRequests (SPEC 3.9).
const (
	MaxPending   = 200 // of addresses that are no contacts
	MaxReserved  = 100 // of contacts, and [C1] of those with a valid invite
	MaxPerSource = 5   // of one peer id, and of one public prefix
)

// A Pending is a SubRequest that waits, or asks to wait, for the user's answer.
type Pending struct {
	Who      identity.Address
	Device   identity.DeviceID // that asked
	Peer     string            // binary peer id it came from
	Prefix   string            // see [Prefix]; empty: not public
	Reserved bool              // who is a contact
	At       identity.Time     // of its arrival
}

// A Place is where a new request goes in the list of pending ones.
type Place struct {
	OK      bool  // false: refused, rate-limited; the list stays as it is
	Replace []int // indices of the requests that give way
}

// Seat finds a place for in among held (SPEC 3.9). A device that asks again replaces its own request.
// One peer id, and one public prefix, has at most 5 of the 200 common places; when those are full, the
// oldest request of the source that holds most gives way. Reserved requests have 100 places of their
// own, in which a contact behind a shared address is not counted against its neighbours.
func Seat(held []Pending, in Pending) Place {
	l := newList(held, in)
	switch {
	case !in.Reserved && l.of(in) >= MaxPerSource:
		return Place{}
	case len(l.index) < l.room:
		return Place{true, l.own}
	}
	return Place{true, append(l.own, l.greediest())}
}

// A list is the part of the pending requests that shares places with a new one, and what each source
// holds of it. What the device of the new one holds itself is apart, as it gives way in any case.
type list struct {
	held       []Pending
	index, own []int // into held
	room       int
	peers      map[string]int
	prefixes   map[string]int
}

func newList(held []Pending, in Pending) list {
	l := list{held: held, room: MaxPending, peers: map[string]int{}, prefixes: map[string]int{}}
	if in.Reserved {
		l.room = MaxReserved
	}
	for i, p := range held {
		switch {
		case p.Who == in.Who && p.Device == in.Device:
			l.own = append(l.own, i)
		case p.Reserved == in.Reserved:
			l.add(i, p)
		}
	}
	return l
}

func (l *list) add(i int, p Pending) {
	l.index = append(l.index, i)
	l.peers[p.Peer]++
	if p.Prefix != "" {
		l.prefixes[p.Prefix]++
	}
}

// of returns how many requests the source of p holds.
func (l list) of(p Pending) int { return max(l.peers[p.Peer], l.prefixes[p.Prefix]) }

// greediest returns the index of the oldest request of the source that holds most.
func (l list) greediest() int {
	best := l.index[0]
	for _, i := range l.index[1:] {
		n, most := l.of(l.held[i]), l.of(l.held[best])
		if n > most || n == most && l.held[i].At < l.held[best].At {
			best = i
		}
	}
	return best
}

// sharedSpace is the address space behind carrier NAT (RFC 6598), which is no more public than a LAN.
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// Prefix returns the public prefix that ip is counted under, /24 or /48, or "" for an address that is
// not public: those on one LAN are told apart by their peer ids alone.
func Prefix(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if !ip.IsGlobalUnicast() || ip.IsPrivate() || sharedSpace.Contains(ip) {
		return ""
	}
	bits := 24
	if ip.Is6() {
		bits = 48
	}
	p, _ := ip.Prefix(bits) // fails only for bits out of range
	return p.String()
}
