package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Config says how a node runs. A zero field takes the default named beside it.
type Config struct {
	Home       string                 // the directory of keys and store; required
	Passphrase func() ([]byte, error) // asked if the keys are sealed
	Listen     []string               // multiaddrs; config.toml, else every interface at the home's port
	Bootstrap  []string               // multiaddrs with /p2p/ to stay connected to; config.toml
	Relays     []string               // multiaddrs with /p2p/ of relays to be reached through; config.toml
	Announce   []string               // multiaddrs to tell instead of those of this machine; config.toml
	MDNS       *bool                  // config.toml, else off
	Light      *bool                  // config.toml, else off: watch by stream alone
	TTL        time.Duration          // lease of my presence; 150 s (2 to 900 s; below 30 s in tests only)
	Names      Names                  // who is asked whose a handle is; the domains
	Input      Input                  // when the user last touched this machine; nil: nobody can tell
	IdleAfter  time.Duration          // without input until idle is shown; config.toml, else 10 min; <0: never
	Clock      func() identity.Now    // SystemClock
	Rand       io.Reader              // crypto/rand; required
	Log        *slog.Logger           // discards
	Net        p2p.Config             // Host replaces the network, for simulations; the rest is filled in
	Memory     *store.Memory          // keeps what else is in the home's store, for simulations; nil: the disk
	Seen       func([]Event)          // is handed what happened, in order, as soon as it is kept; must not wait; may be nil
}

// A Node is one device of one address, running.
type Node struct {
	cfg  Config
	self Self
	keys *identity.Keyring
	log  *slog.Logger

	settings Settings

	store *store.Store
	pass  <-chan struct{} // of the newest pass: see txn; only passes touch it, and they run one by one
	net   *p2p.Net

	heard   heard
	feed    feed
	own     atomic.Pointer[own]
	pins    pinBook
	moves   moves
	left    []succession // addresses that this home had before
	started time.Time
	ready   chan struct{}
	stop    chan struct{}
	once    sync.Once
	anew    atomic.Bool    // it is to be opened again, see Again
	private bool           // this home is in private mode
	busy    sync.WaitGroup // work that a frame or a command began
	closing sync.Mutex     // guards over
	over    bool           // no work may begin any more
	ctx     context.Context
	resumed bool        // the presence of the last run was taken up again
	mute    atomic.Bool // tests: the node ends as in a crash, without a sign-off

	mu       sync.RWMutex // guards what follows
	contacts map[identity.Address]contact
	watchers map[identity.Address]string       // with an ACTIVE subscription here, and the view that it is in
	peers    map[p2p.PeerID][]identity.Address // whose they are said to be
	kept     map[identity.Address][]p2p.PeerID
	parted   map[identity.Address]identity.Time // when the last connection to a watcher ended
	book     policy.Book
	refused  map[string]uint64

	calls    atomic.Int32  // acks for strangers that wait for a connection
	unleft   atomic.Int32  // acks of anonymous messages that are to be left once more
	intakes  intakes       // messages that are committed together
	turned   awayBook      // messages that were not kept
	letters  letterBook    // keys of what is under way, by the tag of its ack
	hints    hintBook      // whose connection broke
	fetches  fetchTimes    // of records, at somebody's word
	disowned fetchTimes    // subscriptions that I ended since I do not know them
	warned   fetchTimes    // of records that contradict each other
	faulted  fetchTimes    // of presence that somebody tampers with
	notices  chan struct{} // holds one for each watcher who is being told something
	purged   time.Duration // when the chores last purged, by Mono; theirs alone
	knocked  time.Duration // when they last tried invites that wait, by Mono

	watching loop // my subscriptions
	serving  loop // those of others, and the epochs they read
	publish  loop // my updates and beacons
	reading  loop // leases of those I watch
	outbox   loop // messages under way
	chores   loop // records, prekeys, purges
	mirror   loop // how I am seen myself: idle, not reaching anyone, at what cost
	syncing  loop // what my other devices have not heard

	sync   syncState
	joined joinedState

	names     Names
	handles   handleBook // of others
	homeHints homeHints
	ways      searches
	searched  fetchTimes // in the DHT

	anchored map[identity.Address][]p2p.PeerID // of those I watch; guarded by mu

	looking looking // what mirror knows

	news     watcherNews
	asking   asking  // what I asked of others once
	replies  replies // what I answered others who did
	proofs   proofs  // fingerprints
	presence presenceState
	mail     mailState
	onces    onceState
}

// Open takes hold of a home and of a port; nothing runs yet. Errors are of type *Error where a person
// can do something about them.
func Open(c Config) (_ *Node, err error) {
	if c.Rand == nil {
		return nil, errors.New("node: no source of randomness")
	}
	if c.Clock == nil {
		c.Clock = SystemClock()
	}
	c.Rand = &lockedReader{r: c.Rand}
	c.TTL = cmp.Or(c.TTL, wire.DefaultTTL)
	n := &Node{cfg: c, log: cmp.Or(c.Log, slog.New(slog.DiscardHandler)), ready: make(chan struct{}), stop: make(chan struct{})}
	n.pins.pins = map[identity.Address]*heldPin{}
	n.contacts, n.watchers = map[identity.Address]contact{}, map[identity.Address]string{}
	n.peers, n.kept = map[p2p.PeerID][]identity.Address{}, map[identity.Address][]p2p.PeerID{}
	n.parted, n.news.owed = map[identity.Address]identity.Time{}, true // of the last run
	n.refused, n.anchored = map[string]uint64{}, map[identity.Address][]p2p.PeerID{}
	n.sync.flights, n.sync.waits = map[identity.DeviceID]*syncFlight{}, map[string]time.Duration{}
	n.sync.apart = map[identity.DeviceID]time.Duration{}
	n.searched.pause = searchPause
	n.notices = make(chan struct{}, noticesAtOnce)
	n.fetches.pause, n.disowned.pause, n.warned.pause, n.faulted.pause = fetchPause, disownPause, warnPause, warnPause
	defer func() {
		if err != nil {
			_ = n.Close()
		}
	}()
	if n.settings, err = LoadSettings(c.Home); err != nil {
		return nil, err
	}
	if n.keys, err = identity.OpenKeyring(c.Home, c.Passphrase); err != nil {
		return nil, homeError(c.Home, err)
	}
	n.self = selfOf(n.keys, n.settings.Name)
	if n.names = c.Names; n.names == nil {
		n.names = names.New(names.Config{DNS: n.settings.DNS})
	}
	key := n.keys.StoreKey()
	if n.store, err = store.Open(storeDir(c.Home), store.Options{Key: key[:], Logger: n.log, Memory: c.Memory}); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.takeOver(); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.load(); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.indexTalk(); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.update(func(t *txn) error { return n.endOrphans(t, n.pins.get(n.self.Address)) }); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.checkBootstrap(); err != nil {
		return nil, err
	}
	if err := n.listen(n.settings); err != nil {
		return nil, err
	}
	if _, err := n.renew(); err != nil {
		return nil, storeError(c.Home, err)
	}
	if err := n.takeName(); err != nil {
		return nil, storeError(c.Home, err)
	}
	return n, nil
}

// load brings into memory what is asked for at every frame: pins, roster, rules, watchers.
func (n *Node) load() error {
	return n.view(func(t *txn) error {
		h, _, err := find[identity.Time](t, store.Meta("heard"))
		if err != nil {
			return err
		}
		n.heard.raise(h)
		for k, row := range t.Scan(store.AllPins(), store.ScanOptions{}) {
			p, err := decode[pinned](k, row)
			if err != nil {
				return err
			}
			n.pins.set(p.Pin.Record.Address, p, sha256.Sum256(row))
			n.moves.note(&p.Pin)
		}
		if err := rows(t, store.AllContacts(), store.ScanOptions{}, func(_ store.Key, c contact) (bool, error) {
			n.contacts[c.Address] = c.placed()
			return true, nil
		}); err != nil {
			return err
		}
		return errors.Join(n.loadSuccessions(t), n.loadRules(t), n.loadPresence(t), n.loadMail(t), n.loadJoined(t), n.loadHandles(t), n.loadPrivate(t))
	})
}

// Run serves until ctx ends, Stop is called or a part fails; then the node signs off and every
// goroutine that it started has ended. A second Run is an error.
func (n *Node) Run(ctx context.Context) error {
	base, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	g, running := errgroup.WithContext(base)
	n.ctx, n.started = running, n.now().Wall.Go()
	g.Go(func() error { return n.net.Run(running, door{n}) })
	g.Go(func() error { return n.store.Maintain(running) })
	n.resume()
	parts := []struct {
		name string
		l    *loop
		work func(context.Context) (time.Duration, error)
	}{
		{"watching", &n.watching, n.workWatching}, {"serving", &n.serving, n.workServing},
		{"publish", &n.publish, n.workPublish}, {"reading", &n.reading, n.workReading},
		{"outbox", &n.outbox, n.workOutbox}, {"chores", &n.chores, n.workChores}, {"mirror", &n.mirror, n.workMirror},
		{"sync", &n.syncing, n.workSync},
	}
	for _, part := range parts {
		part.l.start(running, n.log, part.name, part.work)
	}
	select { // or what is asked at once would hear that the net is closed
	case <-n.net.Ready():
	case <-running.Done():
	}
	close(n.ready)
	select {
	case <-ctx.Done():
	case <-n.stop:
	case <-running.Done():
	}
	if !n.mute.Load() {
		n.signOff()
	}
	end()
	err := g.Wait() // first those who begin work, then the work
	for _, part := range parts {
		part.l.end()
	}
	n.closing.Lock()
	n.over = true
	n.closing.Unlock()
	n.busy.Wait()
	if err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Ready is closed when Run serves.
func (n *Node) Ready() <-chan struct{} { return n.ready }

// Stop asks Run to sign off and end.
func (n *Node) Stop() { n.once.Do(func() { close(n.stop) }) }

// Close releases the port and the home; Run must have ended.
func (n *Node) Close() error {
	var errs []error
	if n.net != nil {
		errs = append(errs, n.net.Close())
	}
	if n.store != nil {
		errs = append(errs, n.store.Close())
	}
	return errors.Join(errs...)
}

// Self is who this node is.
func (n *Node) Self() Self { return n.self }

// Listening are the multiaddrs at which others can dial this node; a node that cannot be dialled has none.
func (n *Node) Listening() (out []string) {
	for _, a := range n.net.Addrs() {
		out = append(out, p2p.DialText(n.net.Self(), a))
	}
	return out
}

// spawn runs f with the node's life; Run waits for it. Nothing begins once Run has ended.
func (n *Node) spawn(f func(ctx context.Context)) {
	n.closing.Lock()
	defer n.closing.Unlock()
	if n.over {
		return
	}
	n.busy.Add(1)
	go func() {
		defer n.busy.Done()
		f(n.ctx)
	}()
}

// count notes refused input by its cause.
func (n *Node) count(cause string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.refused[cause]++
}

// listen opens the network: at the wanted addresses, or at this home's own port, which is 4866 or the
// next that is free, and is kept.
func (n *Node) listen(s Settings) error {
	c := n.cfg.Net
	c.Transport, c.Clock, c.Rand, c.Log = n.keys.Transport(), n.now, n.cfg.Rand, n.log
	c.Naming = community.Judge(n.now)
	c.Banned = append(c.Banned, s.Banned...)
	c.MDNS, c.Moved, c.Private = s.MDNS, n.chores.nudge, n.private
	c.NoPortMap = c.NoPortMap || s.NoPortMap
	if c.Announce = n.cfg.Announce; len(c.Announce) == 0 {
		c.Announce = s.Announce
	}
	if n.cfg.MDNS != nil {
		c.MDNS = *n.cfg.MDNS
	}
	if c.Light = s.Light; n.cfg.Light != nil {
		c.Light = *n.cfg.Light
	}
	if c.Listen = n.cfg.Listen; len(c.Listen) == 0 {
		c.Listen = s.Listen
	}
	if len(c.Listen) > 0 || c.Host != nil || c.Private {
		return n.open(c)
	}
	port, err := n.port()
	if err != nil {
		return err
	}
	for first := port; ; port++ {
		c.Listen = everywhere(port)
		err := n.open(c)
		if !errors.Is(err, p2p.ErrPortTaken) || port > first+200 {
			if err != nil {
				return err
			}
			return n.keepPort(port)
		}
	}
}

func everywhere(port int) []string {
	return []string{
		fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port), fmt.Sprintf("/ip4/0.0.0.0/udp/%d/quic-v1", port),
		fmt.Sprintf("/ip6/::/tcp/%d", port), fmt.Sprintf("/ip6/::/udp/%d/quic-v1", port),
	}
}

const defaultPort = 4866 // SPEC 3.6

func (n *Node) port() (int, error) {
	port := defaultPort
	err := n.view(func(t *txn) error {
		kept, ok, err := find[int](t, store.Meta("port"))
		if ok {
			port = kept
		}
		return err
	})
	return port, err
}

func (n *Node) keepPort(port int) error {
	return n.update(func(t *txn) error { return put(t, store.Meta("port"), port) })
}

func (n *Node) open(c p2p.Config) (err error) {
	if n.net, err = p2p.Open(c); err != nil {
		n.net = nil
		if errors.Is(err, p2p.ErrPortTaken) && len(n.cfg.Listen) > 0 {
			return &Error{Kind: KindFailed, Code: "port-taken", Message: err.Error(), Advice: "choose another with --listen"}
		}
		if errors.Is(err, p2p.ErrBadAddr) {
			return &Error{Kind: KindUsage, Code: "bad-address", Message: err.Error(), Advice: "write it like /ip4/0.0.0.0/tcp/4866"}
		}
	}
	return err
}

// storeError says in words what is wrong with a store.
func storeError(home string, err error) error {
	say := func(code, message, advice string) error {
		return &Error{Kind: KindFailed, Code: code, Message: message, Advice: advice}
	}
	var newer *store.SchemaError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrLocked):
		return say("locked", "another hum is running in "+home, "use it, or stop it with: hum down")
	case errors.As(err, &newer):
		return say("newer-home", fmt.Sprintf("%s was written by a newer hum (schema %d, this one knows %d)", home, newer.Have, newer.Know), "install the newer hum")
	case errors.Is(err, store.ErrDamaged):
		return say("damaged", fmt.Sprintf("the store of %s is damaged: %v", home, err), "restore a backup with: hum restore")
	case errors.Is(err, store.ErrKey):
		return say("store-key", "the keys of this home do not open its store", "restore a backup with: hum restore")
	case errors.Is(err, store.ErrNoSpace):
		return say("disk-full", "the disk is full: nothing was saved", "make room and try again")
	case errors.Is(err, store.ErrReadOnly), errors.Is(err, os.ErrPermission):
		return say("read-only", "the disk of "+home+" cannot be written", "check its mount and mode")
	}
	return err
}
