package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A succession is one move of this home to another address, as those are told who knew the one before.
type succession struct {
	Old, New  identity.Address
	Successor []byte   // Signed
	Record    []byte   // the last Signed AddressRecord of New, if that has a successor in turn
	Handles   []string // of Old, by which New goes on being called (SPEC 2.7)
}

var (
	movingRow     = store.Meta("succession") // a move that was begun
	successionRow = store.Meta("successions")
)

// A begun move is kept until it is done. One that was made by pairing the home again says which keys it then
// has, and what it was told.
type begun struct {
	succession
	Device identity.DeviceID
	Pin    *pinned
}

// SuccessionConfig says how a home leaves its address.
type SuccessionConfig struct {
	Seed       identity.Seed // whose words the address was made of; required
	Reason     identity.MoveReason
	Passphrase func() ([]byte, error) // asked if the keys are sealed
	Clock      func() identity.Now
	Rand       io.Reader
}

// A Succession is a home that has moved.
type Succession struct {
	Self Self
	Old  identity.Address
	Left []identity.DeviceID // the other devices, which have to be added again
}

// SucceedHome moves a home, in which no node runs, to the next address of its words, and signs with the
// recovery key that the contacts of the old one follow (SPEC 2.6). Roster, rules and messages stay; device
// key, prekeys and epochs are new, since whoever stole the address may have those too. Contacts are told
// when the node runs. If the power fails it has happened, or is to be done again.
func SucceedHome(home string, c SuccessionConfig) (s Succession, err error) {
	err = withStore(home, c.Passphrase, func(n *Node) error {
		n.cfg.Clock, n.cfg.Rand = c.Clock, c.Rand
		index := n.keys.Index()
		if identity.Address(c.Seed.AddressKey(index).Public()) != n.self.Address {
			return &Error{Kind: KindUsage, Code: "wrong-words", Message: "these are not the words of " + short(n.self.Address),
				Advice: "without its own words an address cannot name a successor: make a new one with hum init in another --home, and give your contacts its card"}
		}
		s.Old = n.self.Address
		if err := n.view(func(t *txn) error {
			p, _, err := find[pinned](t, store.Pin(s.Old))
			for _, d := range p.Pin.Record.Devices {
				if d.ID() != n.self.Device {
					s.Left = append(s.Left, d.ID())
				}
			}
			return err
		}); err != nil {
			return storeError(home, err)
		}
		body := identity.NewSuccessor(c.Seed, index, index+1, n.now().Wall, c.Reason)
		signed := wire.Sign(c.Seed.RecoveryKey(index), wire.TypeSuccessor, wire.AppendSuccessor(nil, body))
		m := begun{succession: succession{Old: body.Old, New: body.New, Successor: signed.Append(nil)}}
		err := n.move(m, c.Seed.Keys(index+1, n.self.Services), identity.KeyringConfig{Now: n.now().Wall, Rand: c.Rand})
		s.Self = n.self
		return err
	})
	return s, err
}

// move gives this home other keys, and has its store follow.
func (n *Node) move(m begun, keys identity.PortableKeys, c identity.KeyringConfig) error {
	if err := n.update(func(t *txn) error { return put(t, movingRow, m) }); err != nil {
		return storeError(n.cfg.Home, err)
	}
	if err := n.keys.Succeed(keys, c); err != nil {
		return homeError(n.cfg.Home, err)
	}
	n.self = selfOf(n.keys, n.self.Name)
	return storeError(n.cfg.Home, n.takeOver())
}

// takeOver does in the store what a move means, once: after the keys are those of the new address. A move
// whose keys were not written did not happen.
func (n *Node) takeOver() error {
	return n.update(func(t *txn) error {
		m, ok, err := find[begun](t, movingRow)
		if err != nil || !ok {
			return err
		}
		switch {
		case m.Pin != nil && m.Device == n.self.Device:
			err = n.rejoined(t, m)
		case m.Pin == nil && m.New == n.self.Address:
			err = n.leaveAddress(t, m.succession)
		}
		return errors.Join(err, t.Delete(movingRow))
	})
}

func (n *Node) leaveAddress(t *txn, m succession) error {
	o, _, err := find[own](t, store.Meta("own"))
	if err != nil {
		return err
	}
	done, _, err := find[[]succession](t, successionRow)
	if err != nil {
		return err
	}
	if last := len(done) - 1; last >= 0 {
		done[last].Record = o.Address
	}
	s, err := wire.ParseSigned(m.Successor)
	if err != nil {
		return err
	}
	body, err := wire.ParseSuccessor(s.Body)
	if err != nil {
		return err
	}
	old, _, err := find[pinned](t, store.Pin(m.Old))
	if err != nil {
		return err
	}
	m.Handles = old.Pin.Record.Handles
	why := renumbered{Since: t.now.Wall, Old: m.Old, Mine: true, Reason: body.Reason}
	t.emit(Event{Kind: "node", Address: m.New, Name: "me", State: "succeeded", Text: why.words("")})
	return errors.Join(put(t, successionRow, append(done, m)), n.forgetOwn(t, m.Old), n.renumber(t, why), n.tellAll(t))
}

// forgetOwn forgets what this home said as a device of an address, and has it ask everybody anew.
func (n *Node) forgetOwn(t *txn, old identity.Address) error {
	return errors.Join(t.Delete(store.Meta("own")), t.Delete(store.Pin(old)), n.askAnew(t), n.dropOfDevice(t))
}

// askAnew has every subscription of mine asked for anew, by the new address.
func (n *Node) askAnew(t *txn) error {
	watching, err := all[presence.Watching](t, store.AllWatching())
	for _, w := range watching {
		if err = errors.Join(err, t.Delete(store.Watching(w.Of, w.Sub))); err != nil || !live(w.State) || w.State == presence.Ending {
			continue
		}
		sub, err := n.newSub()
		if err != nil {
			return err
		}
		w = presence.Subscribe(t.now, n.self.Address, w.Of, sub, w.Want, w.Text, w.Name, w.LifetimeS)
		if err := put(t, store.Watching(w.Of, w.Sub), w); err != nil {
			return err
		}
	}
	return err
}

// dropOfDevice forgets what stood between the old address and others: who watched it asks the new one, what
// was granted to it opens nothing that is published from now on, and its other devices are none of the new
// one's until they are paired again.
func (n *Node) dropOfDevice(t *txn) error {
	watchers, err := all[presence.Watcher](t, store.AllWatchers())
	for _, w := range watchers {
		err = errors.Join(err, n.deleteWatcher(t, w))
	}
	if err != nil {
		return err
	}
	return t.deleteAll(store.AllEpochs(), store.AllHeard(), store.AllPresence(), store.AllNotices(), store.AllFetched(), store.AllOwed())
}

// renumber notes on the roster that every safety number is another one: it is of two addresses, and one of
// them is mine.
func (n *Node) renumber(t *txn, why renumbered) error {
	roster, err := all[contact](t, store.AllContacts())
	for _, c := range roster {
		mine := why
		mine.Compared = c.Verified || c.Changed != nil && c.Changed.Compared
		c.Changed, c.Verified, c.Compared = &mine, false, 0
		err = errors.Join(err, put(t, store.Contact(c.Address), c))
	}
	return err
}

// A notice is somebody who is to be told of the successions of this home.
type notice struct {
	Done  int // of them acked, oldest first
	Tries int
	Next  identity.Time
}

// moving names the notice for somebody; the rows lie together.
const moving = "moving/"

func noticeRow(a identity.Address) store.Key { return store.Meta(moving + a.String()) }

// tellAll has everybody told who may know the old address: the roster, and whoever I have records of, to
// whom none of the new address was ever shown.
func (n *Node) tellAll(t *txn) error {
	var who []identity.Address
	roster, err := all[contact](t, store.AllContacts())
	for _, c := range roster {
		who = append(who, c.Address)
	}
	pins, pinsErr := n.showAnew(t)
	for _, p := range pins {
		if len(p.Pin.Moved) == 0 {
			who = append(who, p.Pin.Record.Address)
		}
	}
	for _, a := range who {
		err = errors.Join(err, n.tell(t, a))
	}
	return errors.Join(err, pinsErr)
}

// showAnew notes that nobody has any record of this home as it is now, and returns all pins.
func (n *Node) showAnew(t *txn) (pins []pinned, err error) {
	pins, err = all[pinned](t, store.AllPins())
	for _, p := range pins {
		p.Told = told{}
		err = errors.Join(err, put(t, store.Pin(p.Pin.Record.Address), p))
	}
	return pins, err
}

// tell has somebody told what he was not told yet, at once.
func (n *Node) tell(t *txn, a identity.Address) error {
	w, _, err := find[notice](t, noticeRow(a))
	if err != nil {
		return err
	}
	w.Tries, w.Next = 0, t.now.Wall
	return put(t, noticeRow(a), w)
}

// noticePauses are the pauses between the first tries to tell somebody; then it is six hours, and on each
// connection.
var noticePauses = []time.Duration{time.Minute, 10 * time.Minute, time.Hour, 6 * time.Hour}

// workSuccession tells those who are due of the address that this home has now.
func (n *Node) workSuccession() error {
	due, err := n.dueNotices(func(w notice, now identity.Now) bool { return w.Next <= now.Wall })
	for _, a := range due {
		n.spawn(func(ctx context.Context) { n.tellSuccession(ctx, a) })
	}
	return err
}

func (n *Node) dueNotices(due func(notice, identity.Now) bool) (out []identity.Address, err error) {
	err = n.view(func(t *txn) error {
		for k, b := range t.Scan(store.AllMeta(), store.ScanOptions{From: store.Meta(moving)}) {
			text, ok := strings.CutPrefix(k.Name(), moving)
			if !ok {
				return nil // what lies behind them is of other types
			}
			w, err := decode[notice](k, b)
			if err != nil {
				return err
			}
			if a, err := identity.ParseAddress(text); err == nil && due(w, t.now) {
				out = append(out, a)
			}
		}
		return nil
	})
	return out, err
}

// successionConnected tells somebody who has just come into reach.
func (n *Node) successionConnected(a identity.Address) {
	if len(n.left) == 0 {
		return
	}
	var owed bool
	_ = n.view(func(t *txn) error {
		_, ok, err := find[notice](t, noticeRow(a))
		owed = ok
		return err
	})
	if owed {
		n.spawn(func(ctx context.Context) { n.tellSuccession(ctx, a) })
	}
}

// tellSuccession sends somebody the oldest of my successions that he has not acked; its ack brings the next.
func (n *Node) tellSuccession(ctx context.Context, a identity.Address) {
	var l *letter
	err := n.update(func(t *txn) error {
		w, ok, err := find[notice](t, noticeRow(a))
		if err != nil || !ok {
			return err
		}
		done, _, err := find[[]succession](t, successionRow)
		if err != nil {
			return err
		}
		if w.Done >= len(done) || n.moves.current(a) != a {
			return t.Delete(noticeRow(a))
		}
		if l, err = done[w.Done].letter(a); err != nil {
			return err
		}
		w.Next = t.now.Wall.Add(noticePauses[min(w.Tries, len(noticePauses)-1)])
		w.Tries++
		return put(t, noticeRow(a), w)
	})
	if err != nil {
		n.log.Warn("somebody was not told of the new address; it is tried again", "err", err)
	}
	if err == nil && l != nil {
		if r := n.sendControl(ctx, l); !r.taken {
			n.log.Debug("somebody was not reached to be told of the new address", "err", r.err)
		}
	}
}

// letter is what tells somebody of s.
func (s succession) letter(to identity.Address) (*letter, error) {
	signed, err := wire.ParseSigned(s.Successor)
	l := &letter{to: to, role: anyDevice, signed: signed, all: true} // he has them of the address before only
	if err == nil && s.Record != nil {
		var record wire.Signed
		record, err = wire.ParseSigned(s.Record)
		l.also = []wire.Signed{record}
	}
	return l, err
}

// successionAcked takes the word of somebody who was told.
func (n *Node) successionAcked(t *txn, l sentLetter, ack wire.Ack) error {
	w, ok, err := find[notice](t, noticeRow(l.to))
	if err != nil || !ok || ack.Disposition != wire.Delivered {
		return err
	}
	done, _, err := find[[]succession](t, successionRow)
	if err != nil || w.Done >= len(done) || succeededBy(done[w.Done]) != l.id {
		return err
	}
	w.Done, w.Tries, w.Next = w.Done+1, 0, t.now.Wall
	if w.Done == len(done) {
		return t.Delete(noticeRow(l.to))
	}
	t.after(n.chores.nudge)
	return put(t, noticeRow(l.to), w)
}

// succeededBy is the id of what was signed.
func succeededBy(s succession) (id wire.MID) {
	if signed, err := wire.ParseSigned(s.Successor); err == nil {
		id = signed.ID()
	}
	return id
}

// loadSuccessions finds the addresses that this home has left.
func (n *Node) loadSuccessions(t *txn) error {
	done, _, err := find[[]succession](t, successionRow)
	n.left = done
	return err
}

// answersFor reports whether RECORDS of a is for this home: its address, or one that it has left.
func (n *Node) answersFor(a identity.Address) bool {
	return a == n.self.Address || slices.ContainsFunc(n.left, func(s succession) bool { return s.Old == a })
}

// successors lead from the addresses that this home has left to the present one, oldest first.
func (n *Node) successors() (out []wire.Signed) {
	for _, s := range n.left[max(0, len(n.left)-wire.MaxSuccessors):] {
		if signed, err := wire.ParseSigned(s.Successor); err == nil {
			out = append(out, signed)
		}
	}
	return out
}

// ParseMoveReason reads the word for why an address is left.
func ParseMoveReason(word string) (identity.MoveReason, error) {
	for _, r := range []identity.MoveReason{identity.MovedLost, identity.MovedCompromised, identity.MovedAway} {
		if r.String() == word {
			return r, nil
		}
	}
	return 0, &Error{Kind: KindUsage, Code: "usage", Message: fmt.Sprintf("%q is no reason", clip(word)), Advice: "it is one of compromised, lost, moved"}
}
