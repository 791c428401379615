package node

import (
	"context"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
)

// Two devices of one address whose clocks differ by more than S refuse each other's words, and which of them is
// wrong nobody but their user can tell: so he is told, by whichever notices (SPEC 4.11).

// ownClock notes what the clock of a peer shows, if that is another device of mine.
func (n *Node) ownClock(from p2p.PeerID, at identity.Time) {
	pin := n.pins.get(n.self.Address)
	for _, d := range n.others() {
		if k := pin.Device(d); k != nil && k.Reach != nil && p2p.PeerID(k.Reach.Peer) == from {
			n.deviceClock(d, at)
		}
	}
}

// deviceClock notes what the clock of a device of mine shows, or has shown at least.
func (n *Node) deviceClock(d identity.DeviceID, at identity.Time) {
	by := at.Sub(n.now().Wall)
	n.sync.mu.Lock()
	_, known := n.sync.apart[d]
	if differs := by.Abs() > identity.Skew; differs {
		n.sync.apart[d] = by
	} else {
		delete(n.sync.apart, d)
		known = true
	}
	n.sync.mu.Unlock()
	if !known {
		n.spawn(func(context.Context) { n.tellApart(d, by) })
	}
}

func (n *Node) tellApart(d identity.DeviceID, by time.Duration) {
	err := n.update(func(t *txn) error {
		t.emit(Event{Kind: "node", State: "clocks-differ", Text: apartWords(d, by) + ": set the one that is wrong, until then neither hears the other"})
		return nil
	})
	if err != nil {
		n.log.Warn("an event was not saved", "err", err)
	}
}

func apartWords(d identity.DeviceID, by time.Duration) string {
	where := "ahead of"
	if by < 0 {
		where = "behind"
	}
	return fmt.Sprintf("the clock of your device %s is %v %s this one's", d, by.Abs().Round(time.Minute), where)
}

// clocksApart says in words which of my devices has another time than this one, "" if none has.
func (n *Node) clocksApart() (words string) {
	n.sync.mu.Lock()
	defer n.sync.mu.Unlock()
	for d, by := range n.sync.apart {
		if w := apartWords(d, by); words == "" || w < words {
			words = w
		}
	}
	return words
}
