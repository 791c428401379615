package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// JoinConfig says how a home waits to become a device of an address.
type JoinConfig struct {
	Home       string                 // has no identity, or one that nobody takes the word of any more: see Join
	Listen     []string               // multiaddrs; every interface at a free port from 4866 on
	Passphrase []byte                 // seals the keys of a fresh home; nil: file permissions protect them
	Ask        func() ([]byte, error) // for the passphrase of a home that is used again
	Clock      func() identity.Now
	Rand       io.Reader
	Log        *slog.Logger
	Net        p2p.Config
	Show       func(wire.PairCode)         // called once it waits
	Agree      func(identity.Address) bool // whether it may become a device of that address; nil: of any
}

// Joined is a home that has become a device.
type Joined struct {
	Self  Self
	Roles []string
}

// Join waits until an admin device that was shown the code makes this home one of its address's devices
// (SPEC 4.11), or ctx ends. Nothing is written before. A home that was removed from its address, or whose
// address was left on another device, becomes a device of it, or of what succeeds it, with all that it holds.
func Join(ctx context.Context, c JoinConfig) (j Joined, err error) {
	c.Rand = &lockedReader{r: c.Rand}
	if _, err := os.Stat(filepath.Join(c.Home, "keys")); err != nil {
		return waitToJoin(ctx, c, nil)
	}
	err = withStore(c.Home, c.Ask, func(n *Node) error {
		n.cfg.Clock, n.cfg.Rand = c.Clock, c.Rand
		again, err := n.mayRejoin()
		if err == nil {
			j, err = waitToJoin(ctx, c, again)
		}
		return err
	})
	return j, err
}

func waitToJoin(ctx context.Context, c JoinConfig, again *rejoining) (Joined, error) {
	draft, err := identity.DraftDevice(c.Rand)
	if err != nil {
		return Joined{}, err
	}
	j := &joining{cfg: c, draft: draft, again: again, done: make(chan Joined, 1), refused: make(chan struct{})}
	if _, err := io.ReadFull(c.Rand, j.code.Secret[:]); err != nil {
		return Joined{}, err
	}
	if err := j.open(); err != nil {
		return Joined{}, err
	}
	defer func() { _ = j.net.Close() }()
	running, end := context.WithCancel(ctx)
	defer end()
	ended := make(chan error, 1)
	go func() { ended <- j.net.Run(running, waiting{}) }()
	c.Show(j.code)
	select {
	case made := <-j.done:
		sleep(running, answerPause)
		end()
		<-ended
		return made, nil
	case <-j.refused:
		sleep(running, answerPause)
		end()
		<-ended
		return Joined{}, &Error{Kind: KindFailed, Code: "cancelled", Message: "this home is no device of that address", Advice: "whoever asked has seen the code: show a new one with hum device add"}
	case err := <-ended:
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return Joined{}, err
	}
}

// joining is a home that waits.
type joining struct {
	cfg   JoinConfig
	draft *identity.DeviceDraft
	again *rejoining // what it was before; nil of a fresh home
	net   *p2p.Net
	code  wire.PairCode
	done  chan Joined

	refused chan struct{} // closed when its user does not agree

	mu     sync.Mutex       // guards what follows; held while the home is made
	of     identity.Address // of whoever came first with the right proof
	agreed bool             // its user wants to be one of his devices
	mine   []wire.Signed    // what this device says of itself, to him
	keyed  bool             // the home is made
}

// open binds a port, and completes the code.
func (j *joining) open() (err error) {
	c := j.cfg.Net
	c.Transport, c.Clock, c.Rand, c.Log, c.Pair = j.draft.Transport(), j.cfg.Clock, j.cfg.Rand, j.cfg.Log, j.pair
	for port := defaultPort; ; port++ {
		if c.Listen = j.cfg.Listen; len(c.Listen) == 0 {
			c.Listen = everywhere(port)
		}
		j.net, err = p2p.Open(c)
		if !errors.Is(err, p2p.ErrPortTaken) || len(j.cfg.Listen) > 0 || port > defaultPort+200 {
			break
		}
	}
	if err != nil {
		return err
	}
	j.code.Device, j.code.PreKey = j.draft.Device().Public(), wire.PairPreKey(j.draft.PreKey().Public())
	j.code.Peer, j.code.Addrs = []byte(j.net.Self()), j.net.Addrs()
	return nil
}

// pair answers PAIR: first what this device says of itself, then, once it is listed, that it knows.
func (j *joining) pair(from p2p.PeerID, payload []byte) (wire.FrameStatus, []byte) {
	r, err := wire.ParsePairRequest(payload)
	if err != nil {
		return wire.MALFORMED, nil
	}
	if r.Proof != j.code.Proof(r.Address, []byte(from)) {
		return wire.DENIED, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.of.IsZero() && j.of != r.Address || j.again != nil && !slices.Contains(j.again.may, r.Address) {
		return wire.DENIED, nil
	}
	if j.of.IsZero() {
		j.of, j.mine = r.Address, j.introduce(r.Address)
		if j.agreed = j.cfg.Agree == nil; !j.agreed {
			go j.ask(r.Address)
		}
	}
	if !j.agreed {
		return wire.BUSY, nil
	}
	if len(r.Records) == 0 {
		return wire.OK, wire.PairReply{Records: j.mine}.Append(nil)
	}
	if !j.keyed {
		made, err := j.adopt(r)
		if err != nil {
			j.log("a pairing was refused", err)
			return wire.DENIED, nil
		}
		j.keyed = true
		j.done <- made
	}
	return wire.OK, nil
}

// ask has the user say whether this is to be a device of a: whoever saw the code could ask for it.
func (j *joining) ask(a identity.Address) {
	if !j.cfg.Agree(a) {
		close(j.refused)
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.agreed = true
}

func (j *joining) log(what string, err error) {
	if j.cfg.Log != nil {
		j.cfg.Log.Warn(what, "err", err)
	}
}

// introduce signs what this device says of itself as one of an address.
func (j *joining) introduce(a identity.Address) []wire.Signed {
	now, id := j.cfg.Clock().Wall, identity.DeviceIDOf(j.code.Device)
	device := identity.DeviceRecord{Address: a, Device: id, Seq: now, Expires: now.Add(identity.DeviceRecordLife),
		PreKeys: []identity.PreKey{{Suite: identity.Suite1, Public: j.draft.PreKey().Public()}}}
	reach := identity.Reach{Address: a, Device: id, Seq: now, Peer: j.code.Peer, Addrs: j.code.Addrs}
	return []wire.Signed{
		wire.Sign(j.draft.Device(), wire.TypeDeviceRecord, wire.AppendDeviceRecord(nil, device)),
		wire.Sign(j.draft.Device(), wire.TypeReach, wire.AppendReach(nil, reach)),
	}
}

// adopt makes the home: the keys, and the records of the other devices, all of it on disk when it returns.
func (j *joining) adopt(r wire.PairRequest) (Joined, error) {
	now := j.cfg.Clock()
	var p pinned
	says := readRecords(r.Address, append(r.Records, j.mine...))
	if says.address == nil {
		return Joined{}, errNoPin
	}
	if err := p.Pin.AcceptRecord(now, says.address.rec, says.address.raw, says.address.digest); err != nil {
		return Joined{}, err
	}
	me, listed := p.Pin.Record.Device(identity.DeviceIDOf(j.code.Device))
	if !listed {
		return Joined{}, identity.ErrUnlisted
	}
	acceptDevices(now, &p.Pin, says)
	keys, err := j.keys(r, p.Pin.Record, me.Roles)
	if err != nil {
		return Joined{}, err
	}
	if j.again != nil {
		err = j.again.adopt(keys, p, j.draft)
	} else {
		err = makeHome(j.cfg, keys, r, p, j.draft)
	}
	if err != nil {
		return Joined{}, err
	}
	self := Self{Address: r.Address, Device: me.ID(), Name: r.Name, Services: keys.Services}
	return Joined{self, RolesWords(me.Roles)}, nil
}

// keys are those that this home gets of the address: with the seed of A only as an admin.
func (j *joining) keys(r wire.PairRequest, rec identity.AddressRecord, roles identity.Roles) (k identity.PortableKeys, err error) {
	k = identity.PortableKeys{Commitment: rec.Recovery, Of: r.Address}
	if roles&identity.RoleInbox != 0 {
		k.Services |= identity.Inbox
	}
	if roles&identity.RolePublisher != 0 {
		k.Services |= identity.Presentity
	}
	if roles&identity.RoleAdmin == 0 {
		return k, nil
	}
	seed, err := j.draft.PreKey().Open(wire.PairSeedInfo(r.Address, identity.DeviceIDOf(j.code.Device)), r.Seed)
	if err != nil || len(seed) != 32 || identity.NewSigningKey([32]byte(seed)).Public() != r.Address.Key() {
		return k, fmt.Errorf("the key of the address did not come with the role: %w", identity.ErrOpen)
	}
	k.AddressSeed, k.Of = [32]byte(seed), identity.Address{}
	return k, nil
}

// makeHome writes keys and the first rows aside and moves them in, the keys last.
func makeHome(c JoinConfig, keys identity.PortableKeys, r wire.PairRequest, p pinned, draft *identity.DeviceDraft) error {
	aside := filepath.Join(c.Home, "joining")
	defer func() { _ = os.RemoveAll(aside) }()
	if err := errors.Join(os.MkdirAll(c.Home, 0o700), os.RemoveAll(aside)); err != nil {
		return err
	}
	ring, err := identity.CreateKeyringFrom(aside, keys, identity.KeyringConfig{Now: c.Clock().Wall, Rand: c.Rand, Device: draft, Passphrase: bytes.Clone(c.Passphrase)})
	if err != nil {
		return err
	}
	key := ring.StoreKey()
	n := &Node{cfg: Config{Home: aside, Clock: c.Clock}, keys: ring, self: selfOf(ring, r.Name), log: slog.New(slog.DiscardHandler)}
	if n.store, err = store.Open(storeDir(aside), store.Options{Key: key[:]}); err != nil {
		return err
	}
	err = n.update(func(t *txn) error { return put(t, store.Pin(r.Address), p) })
	if err = errors.Join(err, n.store.Close()); err != nil {
		return err
	}
	return errors.Join(saveName(c.Home, r.Name), moveIn(aside, c.Home))
}

// answerPause is how long the last answer may take to leave: whoever asked is told otherwise that nobody confirmed.
const answerPause = time.Second

// waiting is a node that takes nothing.
type waiting struct{}

var _ p2p.Handler = waiting{}

func (waiting) HasKey(wire.KeyID) bool { return false }
func (waiting) HandleSession(wire.SessionRequest) (wire.Session, error) {
	return wire.Session{}, wire.ErrNoKey
}
func (waiting) HandleParcel(context.Context, p2p.PeerID, wire.Parcel, *wire.Session) {}
func (waiting) HandleAckBox(context.Context, p2p.PeerID, wire.AckBox)                {}
func (waiting) HandleRecords(wire.Address) ([]byte, bool)                            { return nil, false }
func (waiting) HandleRec(p2p.PeerID, p2p.RecPath, wire.PublicKey, wire.Rec)          {}
func (waiting) HandleFault(p2p.PeerID, wire.PublicKey, string)                       {}
func (waiting) HandleClock(p2p.PeerID, wire.Time)                                    {}
func (waiting) HandlePeer(p2p.PeerID, bool, bool)                                    {}
func (waiting) IsContact(p2p.PeerID) bool                                            { return false }

// JoinTimeout is how long a code is shown by default.
const JoinTimeout = 15 * time.Minute
