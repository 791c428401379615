package node

import (
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// presenceState is what the node has in memory of its presence and that of others.
type presenceState struct {
	mu       sync.Mutex
	closed   map[string]bool // my inbox by my choice, for those whom each view is shown
	watching map[identity.Address]presence.Watching
	granted  map[wire.PublicKey][]identity.Address // by whom each topic was granted
	known    map[identity.Address]*known
	clocks   presence.Clocks
	suspect  bool          // as last told
	general  conditions    // in which all were last looked at
	asked    time.Duration // by Mono: when those were asked whose clocks differ
}

// known is one presentity as he has been read. Turn is held while a record of his is read, saved and
// told, so across the store: nobody sees what may still be lost. What a pass leaves to be done must not
// take it. The rest is guarded by presenceState.mu.
type known struct {
	turn  turn
	p     presence.Presence
	due   time.Duration // by Mono: when he is to be looked at again, if nothing is heard of him
	shown string        // what the last event said, see word
	wrong faults        // since the node started
}

// A turn is held across a commit, which may take its time. It is a channel and no mutex, so that virtual time goes on meanwhile.
type turn chan struct{}

func (t turn) Lock()   { t <- struct{}{} }
func (t turn) Unlock() { <-t }

// conditions are what everybody's presence hangs on beside his own word.
type conditions struct{ suspect, alone bool }

// look has the loop that reads leases look at somebody, since something about him has changed.
func (s *presenceState) look(a identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[a]; k != nil {
		k.due = 0
	}
}

func newKnown(now identity.Now, of identity.Address) *known {
	k := &known{turn: make(turn, 1), p: presence.Presence{Of: of}, shown: nothingShown}
	k.p.PathUp(now)
	return k
}

// lookAll has it look at everybody.
func (s *presenceState) lookAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.known {
		k.due = 0
	}
}

// setWatching takes a subscription of mine as it now stands. Without a grant what was read goes, and only
// the stamps stay, which keep old records out.
func (s *presenceState) setWatching(now identity.Now, w presence.Watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ungrant(w.Of)
	s.watching[w.Of] = w
	for _, g := range w.Grants() {
		if !slices.Contains(s.granted[g.E], w.Of) {
			s.granted[g.E] = append(s.granted[g.E], w.Of)
		}
	}
	if s.known[w.Of] == nil {
		s.known[w.Of] = newKnown(now, w.Of)
	}
	s.known[w.Of].p.Regrant(w.Grants())
	s.known[w.Of].due = 0
	if len(w.Grants()) == 0 {
		s.known[w.Of].p.Forget()
		s.clocks.Forget(w.Of)
	}
}

// ungrant forgets by whom the topics of a subscription were granted; s.mu is held.
func (s *presenceState) ungrant(a identity.Address) {
	for _, g := range s.watching[a].Grants() {
		s.granted[g.E] = slices.DeleteFunc(s.granted[g.E], func(b identity.Address) bool { return a == b })
		if len(s.granted[g.E]) == 0 {
			delete(s.granted, g.E)
		}
	}
}

func (s *presenceState) dropWatching(a identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ungrant(a)
	delete(s.watching, a)
	delete(s.known, a)
	s.clocks.Forget(a)
}

func (s *presenceState) watchingOf(a identity.Address) (presence.Watching, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, ok := s.watching[a]
	return w, ok
}

func (s *presenceState) allWatching() (out []presence.Watching) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.watching {
		out = append(out, w)
	}
	slices.SortFunc(out, func(a, b presence.Watching) int { return slices.Compare(a.Of[:], b.Of[:]) })
	return out
}

// granted is a grant of mine, and by whom.
type granted struct {
	of identity.Address
	g  wire.Grant
}

// grantsOf finds the grants of mine that a topic belongs to. There may be several, since whoever knows a
// topic can grant it in his own name; then the records of a tag are those of whom it was read before, and
// else of anybody whose they prove to be.
func (s *presenceState) grantsOf(e wire.PublicKey, tag wire.Tag) (all []granted) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.granted[e] {
		for _, g := range s.watching[a].Grants() {
			if g.E == e && s.known[a] != nil {
				all = append(all, granted{a, g})
			}
		}
	}
	if len(all) < 2 {
		return all
	}
	read := func(x granted) bool {
		return slices.ContainsFunc(s.known[x.of].p.Docs, func(d presence.Known) bool { return wire.TagOf(x.g.K, d.Device) == tag })
	}
	if slices.ContainsFunc(all, read) {
		return slices.DeleteFunc(all, func(x granted) bool { return !read(x) })
	}
	return all
}

// granters are those whose grants name a topic.
func (s *presenceState) granters(e wire.PublicKey) (all []identity.Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = slices.Clone(s.granted[e])
	slices.SortFunc(all, func(a, b identity.Address) int { return slices.Compare(a[:], b[:]) })
	return all
}

// loadPresence brings back what was known of those I watch: remembered, not believed (SPEC 4.5).
func (n *Node) loadPresence(t *txn) error {
	s := &n.presence
	s.granted = map[wire.PublicKey][]identity.Address{}
	s.watching, s.known, s.closed = map[identity.Address]presence.Watching{}, map[identity.Address]*known{}, map[string]bool{}
	watching, err := all[presence.Watching](t, store.AllWatching())
	if err != nil {
		return err
	}
	for _, w := range watching {
		s.setWatching(t.now, w)
		if err := n.recall(t, w, func(h []presence.Heard) { s.known[w.Of].p.Tags = h }); err != nil {
			return err
		}
	}
	for k, b := range t.Scan(store.AllPresence(), store.ScanOptions{}) {
		d, err := decode[presence.Known](k, b)
		if err != nil {
			return err
		}
		if w := s.watching[k.Address()]; len(w.Grants()) > 0 {
			x := s.known[w.Of]
			x.p.Docs = append(x.p.Docs, d)
		}
	}
	for of, k := range s.known {
		k.p.Regrant(s.watching[of].Grants())
		k.p.Restart(t.now)
	}
	err = rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		if w.State == wire.SubActive {
			n.watchers[w.Who] = w.InView()
		}
		return true, nil
	})
	if err != nil {
		return err
	}
	return n.loadClosed(t)
}

// recall finds what was heard in the epochs that w grants: a grant may come again, and records of it that
// were read before must not be read again.
func (n *Node) recall(t *txn, w presence.Watching, keep func([]presence.Heard)) error {
	var heard []presence.Heard
	for _, g := range w.Grants() {
		of, err := all[presence.Heard](t, store.HeardOf(g.E))
		if err != nil {
			return err
		}
		heard = append(heard, of...)
	}
	keep(heard)
	return nil
}

// recalled adds what was heard in earlier grants of the same epochs.
func (s *presenceState) recalled(now identity.Now, of identity.Address, heard []presence.Heard) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[of]
	if k != nil {
		k.due = 0
	}
	for _, h := range heard {
		if k != nil && !slices.ContainsFunc(k.p.Tags, func(x presence.Heard) bool { return x.E == h.E && x.Tag == h.Tag }) {
			h.GotUpdate, h.GotBeat = presence.Receipt{}, presence.Receipt{}
			k.p.Tags = append(k.p.Tags, h)
		}
	}
}

func (s *presenceState) knownOf(a identity.Address) *known {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[a]
}

// copyOf returns what is known in k, to be changed at will.
func (s *presenceState) copyOf(k *known) presence.Presence {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := k.p
	p.Tags, p.Docs = slices.Clone(p.Tags), slices.Clone(p.Docs)
	return p
}

// mended takes over stamps that were read as now, since they lay in an impossible future: else they would
// be read as a later now at each record, and none would ever be newer (SPEC 1, "Stamps").
func (s *presenceState) mended(k *known, p presence.Presence) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.due = 0
	for i, h := range k.p.Tags {
		m := heardOf(&p, h.E, h.Tag)
		if m.E == h.E {
			k.p.Tags[i].Update, k.p.Tags[i].Beat, k.p.Tags[i].Base = m.Update, m.Beat, m.Base
		}
	}
	for i, d := range k.p.Docs {
		if j := slices.IndexFunc(p.Docs, func(x presence.Known) bool { return x.Device == d.Device }); j >= 0 {
			k.p.Docs[i].T = p.Docs[j].T
		}
	}
}

// took adds what a record did, once that is durable.
func (s *presenceState) took(now identity.Now, k *known, x record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k.p.Tags = slices.DeleteFunc(k.p.Tags, func(h presence.Heard) bool {
		return h.E == x.h.E && h.Tag == x.h.Tag || overHeard(now, h)
	})
	k.p.Tags = append(k.p.Tags, x.h)
	if x.got.Changed {
		k.p.Docs = slices.DeleteFunc(k.p.Docs, func(d presence.Known) bool { return d.Device == x.doc.Device })
		k.p.Docs = append(k.p.Docs, x.doc)
	}
	k.shown, k.due = x.word, 0
}

// overHeard reports whether no record can come any more of the epoch in which h was heard.
func overHeard(now identity.Now, h presence.Heard) bool {
	return now.Past(h.NotAfter.Add(identity.Skew))
}

func heardOf(p *presence.Presence, e wire.PublicKey, tag wire.Tag) presence.Heard {
	for _, h := range p.Tags {
		if h.E == e && h.Tag == tag {
			return h
		}
	}
	return presence.Heard{}
}

// dropDevices drops the documents of devices that a newer record does not list as publishers any more.
func (n *Node) dropDevices(t *txn, a identity.Address, pin *identity.Pin) error {
	docs, err := all[presence.Known](t, store.PresenceOf(a))
	for _, d := range docs {
		if publishes(t.now, pin, d.Device) {
			continue
		}
		err = errors.Join(err, t.Delete(store.Presence(a, d.Device)), t.Delete(store.Notice(a, d.Device)))
		t.after(func() {
			n.presence.dropDevice(a, d.Device)
			n.reading.nudge()
		})
	}
	return err
}

func (s *presenceState) dropDevice(a identity.Address, gone identity.DeviceID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.known[a]; k != nil {
		k.due = 0
		k.p.Docs = slices.DeleteFunc(k.p.Docs, func(d presence.Known) bool { return d.Device == gone })
	}
}
