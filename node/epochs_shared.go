package node

import (
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// The epochs of my views are made by one of my devices and adopted by all (SPEC 4.11): by the live publisher
// with the smallest id, so the others wait for it, and make one themselves only if none comes.
const (
	makerAway = 5 * time.Second  // for a device that is not connected
	makerSlow = 10 * time.Second // for one that is
	makerRest = time.Minute      // if nothing waits for the new epoch
)

// leaveToOthers returns how long to wait for another device to make the epoch of a view that is due.
func (n *Node) leaveToOthers(name string, urgent bool) time.Duration {
	wait := n.makerPause(urgent)
	if wait == 0 {
		return 0
	}
	now := n.now().Mono
	n.sync.mu.Lock()
	defer n.sync.mu.Unlock()
	since, ok := n.sync.waits[name]
	if !ok {
		since = now
		n.sync.waits[name] = now
	}
	return max(0, since+wait-now)
}

func (n *Node) makerPause(urgent bool) time.Duration {
	pin, smaller := n.pins.get(n.self.Address), time.Duration(0)
	for _, d := range n.others() {
		line, _ := pin.Record.Device(d)
		if line.Roles&identity.RolePublisher == 0 || slices.Compare(d[:], n.self.Device[:]) > 0 {
			continue
		}
		if smaller = max(smaller, makerAway); n.online(d) {
			smaller = makerSlow
		}
	}
	if smaller == 0 && !n.hasEpochs() && n.hasOthers() {
		return makerSlow // a new device: the others have epochs already
	}
	if smaller > 0 && !urgent {
		return makerRest
	}
	return smaller
}

// hasEpochs reports whether this device knows of any epoch of the default view.
func (n *Node) hasEpochs() (has bool) {
	_ = n.view(func(t *txn) error {
		v, _, err := find[presence.View](t, viewRow(presence.DefaultView))
		has = len(v.Epochs) > 0
		return err
	})
	return has
}

// made ends the wait for the epoch of a view.
func (s *syncState) made(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.waits, name)
}

// sharedEpoch is an epoch, and the view that it is one of.
type sharedEpoch struct {
	View  string
	Epoch presence.Epoch
}

func (n *Node) epochKeys(t *txn) (out [][]byte, err error) {
	err = rows(t, store.AllEpochs(), store.ScanOptions{}, func(_ store.Key, v presence.View) (bool, error) {
		for _, e := range v.Epochs {
			out = append(out, e.E[:])
		}
		return true, nil
	})
	return out, err
}

func (n *Node) epochValue(t *txn, key []byte) (b []byte, ok bool, err error) {
	if found := rows(t, store.AllEpochs(), store.ScanOptions{}, func(k store.Key, v presence.View) (bool, error) {
		for _, e := range v.Epochs {
			if string(e.E[:]) == string(key) {
				b, ok, err = encoded(sharedEpoch{v.Name, e})
			}
		}
		return !ok, err
	}); found != nil {
		return nil, false, found
	}
	return b, ok, err
}

// applyEpoch adopts an epoch; every watcher of the view is told of it by this device too, since he may be in
// its reach alone. One that was another view's goes over with it.
func (n *Node) applyEpoch(t *txn, key, value []byte) error {
	if value == nil || len(key) != 32 {
		return nil
	}
	x, err := decoded[sharedEpoch](value)
	if err == nil && x.View == "" && x.Epoch.EndedAt != 0 && n.delegated() {
		return n.leaveEpoch(t, x.Epoch)
	}
	if err != nil || string(x.Epoch.E[:]) != string(key) || x.Epoch.Key().Public() != x.Epoch.E || x.View == "" {
		return errBadValue
	}
	if t.now.Past(x.Epoch.NotAfter.Add(identity.Skew)) {
		return nil
	}
	from, err := n.takeFromOthers(t, x)
	if err != nil {
		return err
	}
	view, pub, err := n.loadView(t, x.View)
	if err != nil {
		return err
	}
	begins := !view.Lives()
	if !view.Adopt(x.Epoch) {
		return nil
	}
	if view.Vacant = false; view.Kind == presence.Shut && from != "" {
		if err := n.goOn(t, &view, pub, from, x.Epoch.E, begins); err != nil {
			return err
		}
	}
	if err := n.saveView(t, view); err != nil {
		return err
	}
	t.after(func() {
		n.sync.made(x.View)
		n.serving.nudge()
		n.publish.nudge()
		n.spawn(n.copyOwn)
	})
	before := t.applying
	t.applying = false
	defer func() { t.applying = before }()
	return n.tellEpochs(t, view, x.Epoch.Without) // of whose leaving this device may be about to hear
}

// goOn has this device go on in an epoch of another view, which was made somebody's closed view, as the device
// does that blocked him (see split): as it stood there, until the others have left; begins says that no other
// epoch of the closed view lives.
func (n *Node) goOn(t *txn, closed *presence.View, pub presence.Publisher, from string, e wire.PublicKey, begins bool) error {
	before, ok, err := find[presence.Publisher](t, publisherRow(from))
	if err != nil || !ok || before.Device != n.self.Device {
		return err
	}
	if closed.From = from; begins {
		pub = before.Adopt(*closed)
	} else {
		pub.AdoptOne(e, before)
	}
	if pub.Spoke(*closed) {
		closed.Held = t.now.Wall
	}
	return n.savePublisher(t, closed.Name, pub)
}

// takeFromOthers takes an epoch out of every view but its own, and says which it was one of.
func (n *Node) takeFromOthers(t *txn, x sharedEpoch) (from string, err error) {
	names, err := n.viewNames(t)
	for _, name := range names {
		v, ok, failed := find[presence.View](t, viewRow(name))
		if err = errors.Join(err, failed); err != nil || !ok || name == x.View {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(v.Epochs), func(e presence.Epoch) bool { return e.E == x.Epoch.E })
		if len(left) < len(v.Epochs) {
			v.Epochs, from = left, name
			err = n.saveView(t, v)
		}
	}
	return from, err
}

// shareEpochs tells my other devices of the epochs of a view.
func (n *Node) shareEpochs(t *txn, v presence.View) error {
	for _, e := range v.Epochs {
		if err := n.share(t, wire.SyncEpoch, e.E[:]); err != nil {
			return err
		}
	}
	return nil
}

// saveFace writes what the user says of a view, for all my devices.
func (n *Node) saveFace(t *txn, name string, f face) error {
	if err := put(t, store.ViewNamed(name), f); err != nil {
		return err
	}
	return n.share(t, wire.SyncView, []byte(name))
}

// deleteFace forgets a view on all my devices.
func (n *Node) deleteFace(t *txn, name string) error {
	if err := t.Delete(store.ViewNamed(name)); err != nil {
		return err
	}
	return n.share(t, wire.SyncView, []byte(name))
}

// sharedFace is what my devices tell each other of a view: what it lets through, and whether everybody may read it.
type sharedFace struct {
	presence.Filter
	Public bool `cbor:",omitempty"`
}

// A view is shared as what it lets through; what is shown in it is each device's own.
func (n *Node) viewValue(t *txn, key []byte) ([]byte, bool, error) {
	f, ok, err := find[face](t, store.ViewNamed(string(key)))
	if !ok {
		return nil, false, err
	}
	return encoded(sharedFace{f.Filter, f.Public})
}

func (n *Node) applyView(t *txn, key, value []byte) error {
	k := store.ViewNamed(string(key))
	if value == nil {
		return t.Delete(k)
	}
	shared, err := decoded[sharedFace](value)
	if err != nil {
		return err
	}
	f, _, err := find[face](t, k)
	if err != nil {
		return err
	}
	f.Filter, f.Public = shared.Filter, shared.Public
	t.after(n.publish.nudge)
	return put(t, k, f)
}
