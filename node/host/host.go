package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// AllRoles are the jobs that this version does.
const AllRoles = wire.RoleBootstrap | wire.RoleRelay | wire.RoleAnchor | wire.RoleMailbox | wire.RoleHome | wire.RoleDHT | wire.RoleHandles

// What whoever opens a community node can do something about.
var (
	ErrPortTaken = p2p.ErrPortTaken
	ErrBadAddr   = p2p.ErrBadAddr
	ErrBadCert   = p2p.ErrCertificate
	ErrLocked    = store.ErrLocked
	ErrNoSpace   = store.ErrNoSpace
)

// A Certificate names the files by which a node shows itself on WSS.
type Certificate = p2p.Certificate

// Config says how a community node runs. A zero field takes the default named beside it.
type Config struct {
	Home       string                            // the directory of keys and store; required
	Passphrase func() ([]byte, error)            // asked if the keys are sealed
	Name       string                            // told in invites
	Roles      wire.CommunityRoles               // AllRoles
	Listen     []string                          // multiaddrs; port 4866 of every interface
	Banned     []string                          // CIDRs, IP addresses and peer ids that are not talked to
	Announce   []string                          // multiaddrs that others are told instead of those of this machine
	WSS        Certificate                       // of the port of the web; one that the node signs itself
	Limits     community.Limits                  // community.DefaultLimits
	Metrics    string                            // host:port where metrics and health are told; nowhere
	Clock      func() identity.Now               // required
	Rand       io.Reader                         // required, safe for concurrent use
	Log        *slog.Logger                      // discards; what it is given names nobody if its handler is Quiet
	Nodes      []string                          // multiaddrs of the other nodes of this community
	Meet       []string                          // multiaddrs of nodes of other communities: DHT servers to begin with
	Web        Web                               // the names of domains
	Between    func(p2p.Custodian) p2p.Custodian // stands between the network and what is kept, for tests of those who lie; nil: nothing
	Net        p2p.Config                        // Circuits are those of a relay, Host replaces the network, for simulations; the rest is filled in
}

// A Host is a community node, running.
type Host struct {
	cfg   Config
	log   *slog.Logger
	keys  *identity.Keyring
	key   identity.SigningKey // T, which signs receipts
	store *store.Store
	net   *p2p.Net
	nodes []p2p.PeerID // the others of this community
	web   net.Listener // of the names; nil if they are not served here
	ready chan struct{}
	tells *monitor // nil if nothing is told

	serves atomic.Bool   // Run runs
	due    chan struct{} // something may go into the DHT at once
	held   atomic.Int64  // bytes that are kept for others

	forwards chan struct{} // holds one for each that is under way

	mu      sync.Mutex
	bells   map[wire.MailboxID]chan struct{} // closed when something is deposited
	refused map[string]uint64
}

// Open takes hold of a home, which it makes if there is none, and of a port; nothing runs yet.
func Open(c Config) (_ *Host, err error) {
	if c.Clock == nil || c.Rand == nil {
		return nil, errors.New("host: Clock and Rand are required")
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Roles == 0 {
		c.Roles = AllRoles
	}
	c.Limits = c.Limits.Filled()
	h := &Host{cfg: c, log: c.Log, ready: make(chan struct{}), due: make(chan struct{}, 1), forwards: make(chan struct{}, forwardsAtOnce), bells: map[wire.MailboxID]chan struct{}{}, refused: map[string]uint64{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if h.keys, err = openKeys(c); err != nil {
		return nil, err
	}
	h.key = identity.NewSigningKey(h.keys.Transport())
	k := h.keys.StoreKey()
	if h.store, err = store.Open(filepath.Join(c.Home, "store"), store.Options{Key: k[:], Logger: c.Log}); err != nil {
		return nil, err
	}
	if err := h.open(); err != nil {
		return nil, err
	}
	if c.Metrics != "" {
		if h.tells, err = newMonitor(h, c.Metrics); err != nil {
			return nil, err
		}
	}
	if err := h.openWeb(); err != nil {
		return nil, err
	}
	return h, h.resume()
}

// openKeys opens the keys of the home. A community node is nobody's address: those of a fresh home come from a
// seed that is kept nowhere.
func openKeys(c Config) (*identity.Keyring, error) {
	k, err := identity.OpenKeyring(c.Home, c.Passphrase)
	if !errors.Is(err, identity.ErrNoIdentity) {
		return k, err
	}
	seed, err := identity.NewSeed(c.Rand)
	if err != nil {
		return nil, err
	}
	return identity.CreateKeyring(c.Home, identity.KeyringConfig{Seed: seed, Now: c.Clock().Wall, Rand: c.Rand})
}

// hubKeys is how many keys are watched at a community node at most.
const hubKeys = 100_000

func (h *Host) open() (err error) {
	c := h.cfg.Net
	c.Transport, c.Listen, c.Clock, c.Rand, c.Log = h.keys.Transport(), h.cfg.Listen, h.cfg.Clock, h.cfg.Rand, h.log
	c.Banned = h.cfg.Banned
	c.Hub, c.Relay, c.WatchKeys = true, h.does(wire.RoleRelay), hubKeys
	c.Web, c.Announce, c.Certificate = true, h.cfg.Announce, h.cfg.WSS
	c.Custodian = h // also one that keeps nothing admits members
	if h.cfg.Between != nil {
		c.Custodian = h.cfg.Between(h)
	}
	c.Naming, c.DHT = community.Judge(h.cfg.Clock), h.does(wire.RoleDHT)
	if h.does(wire.RoleHandles) {
		c.Claims = h.handleClaim
	}
	if h.net, err = p2p.Open(c); err == nil {
		h.meetNodes()
	}
	return err
}

// meetNodes stays connected to the other nodes of this community: the hubs of a topic hear each other, and whoever
// publishes at one is heard at all (SPEC 4.7).
func (h *Host) meetNodes() {
	at := map[p2p.PeerID][][]byte{}
	for _, text := range h.cfg.Nodes {
		if p, addr, err := p2p.ParseDial(text); err == nil && addr != nil && p != h.net.Self() {
			at[p] = append(at[p], addr)
		}
	}
	for p, addrs := range at {
		h.nodes = append(h.nodes, p)
		h.net.Keep(p, addrs, p2p.Watched)
	}
}

func (h *Host) does(r wire.CommunityRoles) bool { return h.cfg.Roles&r != 0 }

// resume has the network serve what was kept when the node last ended: nothing that was receipted is lost.
func (h *Host) resume() error {
	now := h.cfg.Clock()
	return h.store.View(func(tx store.Tx) error {
		if err := each(tx, store.AllBoxes(), func(_ store.Key, b community.Box) error {
			h.held.Add(int64(b.Bytes))
			return nil
		}); err != nil {
			return err
		}
		return each(tx, store.AllHosted(), func(_ store.Key, x community.Hosted) error {
			h.held.Add(int64(x.Bytes))
			if !x.Serves(now) {
				return nil
			}
			return h.net.Host(x.Key, x.Until(), heldRecs(tx, x.Key))
		})
	})
}

// Run serves until ctx ends or a part fails; every goroutine that it started has ended then.
func (h *Host) Run(ctx context.Context) error {
	g, running := errgroup.WithContext(ctx)
	g.Go(func() error { return h.net.Run(running, nobody{}) })
	g.Go(func() error { return h.store.Maintain(running) })
	g.Go(func() error { return h.purge(running) })
	if h.tells != nil {
		g.Go(func() error { return h.tells.run(running) })
		h.log.Info("metrics and health are told", "port", h.tells.port())
	}
	h.serves.Store(true)
	defer h.serves.Store(false)
	h.log.Info("serving", "roles", strings.Join(h.cfg.Roles.Words(), " "))
	defer h.log.Info("stopped serving")
	g.Go(func() error { return h.release(running) })
	g.Go(func() error { return h.serveWeb(running) })
	close(h.ready)
	if err := g.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Ready is closed when Run serves.
func (h *Host) Ready() <-chan struct{} { return h.ready }

// Close releases the port and the home; Run must have ended.
func (h *Host) Close() error {
	var errs []error
	if h.tells != nil {
		errs = append(errs, h.tells.close())
	}
	if h.web != nil {
		errs = append(errs, ignoreClosed(h.web.Close()))
	}
	if h.net != nil {
		errs = append(errs, h.net.Close())
	}
	if h.store != nil {
		errs = append(errs, h.store.Close())
	}
	return errors.Join(errs...)
}

// Listening are the multiaddrs at which this node can be dialled.
func (h *Host) Listening() (out []string) {
	for _, a := range h.net.Addrs() {
		out = append(out, p2p.DialText(h.net.Self(), a))
	}
	return out
}

// MonitorAddr is the host:port where metrics and health are told, "" if nowhere.
func (h *Host) MonitorAddr() string {
	if h.tells == nil {
		return ""
	}
	return h.tells.l.Addr().String()
}

// Invite makes an invite for uses members; for 0 it lasts as long as there are uses.
func (h *Host) Invite(uses uint32, lasts time.Duration) (wire.CommunityInvite, error) {
	x := wire.CommunityInvite{Peer: []byte(h.net.Self()), Addrs: h.net.Addrs(), Roles: h.cfg.Roles, Name: h.cfg.Name}
	x.Addrs = x.Addrs[:min(len(x.Addrs), wire.MaxEndpoints)]
	if _, err := io.ReadFull(h.cfg.Rand, x.ID[:]); err != nil {
		return x, fmt.Errorf("invite: %w", err)
	}
	return x, h.store.Update(func(tx store.Tx) error {
		now := h.cfg.Clock().Wall
		inv := community.Invite{ID: x.ID, Made: now, Uses: uses}
		if lasts > 0 {
			inv.Until = now.Add(lasts)
		}
		return put(tx, store.Entrance(x.ID), inv)
	})
}

// A Status is what an operator sees: counts, and no one's name.
type Status struct {
	Roles                   []string
	Members, Keys           int
	Nodes, NodesUp          int // the others of this community, and those of them that are connected
	Mailboxes, Items, Bytes int
	Once                    int   // mailboxes of one message each
	Held                    int   // bytes of all that is kept for members
	Disk                    int64 // bytes of the store; 0: not known
	Limits                  community.Limits
	Net                     p2p.Stats
	Refused                 map[string]uint64
}

// Status counts what is kept, and what was refused since the start.
func (h *Host) Status() (s Status, err error) {
	s.Roles, s.Net, s.Held, s.Limits = h.cfg.Roles.Words(), h.net.Stats(), h.total(), h.cfg.Limits
	s.Disk, _ = h.store.Size()
	for _, p := range h.nodes {
		if s.Nodes++; h.up(p) {
			s.NodesUp++
		}
	}
	h.mu.Lock()
	s.Refused = maps.Clone(h.refused)
	h.mu.Unlock()
	return s, h.store.View(func(tx store.Tx) error {
		s.Members, s.Keys = tx.Count(store.AllMembers()), tx.Count(store.AllHosted())
		return each(tx, store.AllBoxes(), func(_ store.Key, b community.Box) error {
			if s.Items, s.Bytes = s.Items+b.Items, s.Bytes+b.Bytes; b.Once() {
				s.Once++
			} else {
				s.Mailboxes++
			}
			return nil
		})
	})
}

func (h *Host) up(p p2p.PeerID) bool {
	up, _ := h.net.Connected(p)
	return up
}

// status is what is told of err: a refusal by its own, whatever else failed by BUSY, as it may be mended.
func (h *Host) status(err error) wire.FrameStatus {
	var r *community.Refusal
	switch {
	case err == nil:
		return wire.OK
	case errors.As(err, &r):
		h.refuse(r.Why)
		return r.Status
	case errors.Is(err, wire.ErrMalformed), errors.Is(err, wire.ErrTooLarge), errors.Is(err, wire.ErrBadSignature):
		return wire.MALFORMED
	}
	h.log.Warn("nothing was kept; it comes again", "err", err)
	return wire.BUSY
}

// refuse counts a refusal by its cause.
func (h *Host) refuse(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refused[why]++
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
