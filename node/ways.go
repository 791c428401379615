package node

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
)

// A Way is one of those by which somebody is looked for, and what came of it (SPEC 7.5).
type Way struct {
	Way    string // his devices, homes, DHT, homes in the DHT
	OK     bool
	Detail string
}

func (w Way) String() string { return w.Way + ": " + w.Detail }

// A search is what was done to find somebody's records.
type search struct {
	of   identity.Address
	at   time.Duration // monotonic, when it ended
	ways []Way
	ok   bool
}

// tried notes what came of a way: detail, or why it led nowhere.
func (s *search) tried(way, detail string, err error) {
	var e *Error
	switch {
	case errors.As(err, &e):
		detail = e.Message
	case err != nil:
		detail = plain(err)
	}
	s.ok = err == nil
	s.ways = append(s.ways, Way{way, s.ok, detail})
}

// String is all of it, for a person who wants to know why.
func (s search) String() string {
	var out []string
	for _, w := range s.ways {
		out = append(out, w.String())
	}
	return strings.Join(out, "; ")
}

// searches remember how people were looked for last.
type searches struct {
	mu   sync.Mutex
	last map[identity.Address]search
	dht  search // of whoever the DHT was asked for last
}

// searchesKept bounds the people of whom it is remembered.
const searchesKept = 512

func (b *searches) note(s search) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last == nil || len(b.last) >= searchesKept {
		b.last = map[identity.Address]search{}
	}
	b.last[s.of] = s
	for _, w := range s.ways {
		if w.Way == wayDHT {
			b.dht = s
		}
	}
}

func (b *searches) of(a identity.Address) (search, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, ok := b.last[a]
	return s, ok
}

func (b *searches) inDHT() search {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dht
}

// The ways, in the order in which they are gone.
const (
	wayDevices = "his devices"
	wayHomes   = "his homes"
	wayDHT     = "the DHT"
	wayNamed   = "the homes that the DHT names"
)

// dhtCheck says whether people can be found by their address alone. Who is connected to people without that, as two on a
// wire of their own are, lacks nothing.
func (n *Node) dhtCheck(s Status) Check {
	c := Check{Check: "dht", OK: true, Detail: count(n.net.DHTPeers(), "server") + " known, to find people by their address alone"}
	if n.net.DHTPeers() == 0 {
		c.OK, c.Detail = s.Peers > 0 && len(n.joined.all()) == 0, "no server is known: people are found by cards and handles alone"
		c.Advice = "join a community that has one: hum join INVITE"
	}
	last := n.ways.inDHT()
	for _, w := range last.ways {
		if w.Way == wayDHT {
			c.Detail += fmt.Sprintf("; %v ago it was asked for %s: %s", (n.now().Mono - last.at).Round(time.Second), n.name(last.of), w.Detail)
		}
	}
	return c
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// communityChecks say of each community whether its node is there, and what of me waits until it is.
func (n *Node) communityChecks() (out []Check) {
	for _, m := range n.joined.all() {
		f := m.face()
		c := Check{Check: "community " + f.Name, OK: n.isConnected(m.peer()), Detail: "connected; it is " + strings.Join(f.Roles, ", ")}
		switch {
		case c.OK && n.joined.isDenied(m.peer()):
			c.OK, c.Detail, c.Advice = false, deniedWords, "ask its operator for a new invite: hum join INVITE"
		case !c.OK:
			c.Detail = "its node does not answer: what it keeps for you is as old as the last time"
			c.Advice = "it is called again by itself; a second community keeps all of it too: hum join INVITE"
		}
		out = append(out, c)
	}
	return out
}

// doctorPatience bounds how long the doctor waits for domains.
const doctorPatience = 10 * time.Second

// handleChecks say of each handle of mine whether its domain names me, and of each of others that I use whether the
// domain has named somebody else since.
func (n *Node) handleChecks(ctx context.Context) (out []Check) {
	ctx, done := context.WithTimeout(ctx, doctorPatience)
	defer done()
	mine := n.myHandles()
	faces := make([]HandleFace, len(mine))
	var all sync.WaitGroup
	for i, h := range mine {
		all.Go(func() { faces[i] = n.handleFace(ctx, h) })
	}
	all.Wait()
	for i, h := range mine {
		f := faces[i]
		c := Check{Check: "handle " + f.Handle, OK: f.State == handleVouched, Detail: f.Detail}
		if !c.OK {
			c.Advice = "until " + h.Domain + " names you nobody finds you by it; what it has to say is shown by: hum handle list"
		}
		out = append(out, c)
	}
	for _, r := range n.handles.all() {
		if !r.Other.IsZero() {
			e := n.errConflict(r)
			out = append(out, Check{Check: "handle " + r.Name.String(), Detail: e.Message, Advice: e.Advice})
		}
	}
	return out
}

// errUnfound is an error of a search that led nowhere: what was tried, and what to do next.
func errUnfound(s search, err error) error {
	var e *Error
	if !errors.As(err, &e) || e.Kind != KindUnreachable || len(s.ways) < 2 {
		return err
	}
	next := *e
	next.Message = e.Message + " (" + s.String() + ")"
	return &next
}

// devicesFailed says why none of the places where somebody's devices were last said to be has his records.
func devicesFailed(places int, last error) error {
	switch {
	case places == 0:
		return errors.New("no place of theirs is known")
	case places == 1:
		return last
	}
	return fmt.Errorf("none of %s helps; the last: %s", count(places, "place"), plain(last))
}
