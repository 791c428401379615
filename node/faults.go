package node

import (
	"context"
	"fmt"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A fault is what was wrong with a record of somebody I watch, or with the order of what came of him (RFC
// 2779, 5.1.4). None is ever shown as presence; what was missed is repaired by GET and WATCH.
type fault uint8

const (
	damaged    fault = iota // no well-formed record
	forged                  // not signed with the key of its epoch
	unlisted                // of an epoch that no grant of mine names
	stale                   // older than what came before it: replayed, or rolled back
	ahead                   // of a time that has not come
	flooding                // more than anybody may send
	unreadable              // does not open, or is not by a device of his, or outside the time of its epoch
	faultKinds
)

// faultWords say each of them.
var faultWords = [faultKinds]string{
	damaged:    "damaged records refused",
	forged:     "records refused that he did not sign",
	unlisted:   "records refused of an epoch that he has not granted",
	stale:      "records refused that are older than what was known",
	ahead:      "records refused that are dated in the future",
	flooding:   "records refused over the rate",
	unreadable: "records refused that are not of his devices and their time",
}

// faultOf are the causes by which the network turns records away.
var faultOf = map[string]fault{
	"rec malformed": damaged, "pushed rec malformed": damaged, "rec signature": forged, "pushed rec of unknown key": unlisted,
	"rec not newer": stale, "rec too old": stale, "rec ahead": ahead, "rec over the rate": flooding, "rec of too many tags": flooding,
}

// faults counts them for one presentity.
type faults [faultKinds]uint64

// refusedRec notes a record that the network turned away, with those whose it claims to be: whoever granted
// its topic or, if nobody did, whoever is said to live where it came from. That somebody tampers is told as
// an event too, once a day for each: a hostile peer can send as much as he likes.
func (n *Node) refusedRec(from p2p.PeerID, e wire.PublicKey, cause string) {
	kind, ok := faultOf[cause]
	if !ok {
		return
	}
	of := n.presence.granters(e)
	if len(of) == 0 && from != "" {
		of = n.addressesAt(from)
	}
	for _, a := range of {
		if n.presence.wrong(a, kind, 1) && (kind == damaged || kind == forged || kind == unlisted) && n.faulted.take(a, n.now()) {
			n.spawn(func(context.Context) { n.tellFault(a, kind) })
		}
	}
}

func (n *Node) tellFault(a identity.Address, kind fault) {
	err := n.update(func(t *txn) error {
		t.emit(Event{Kind: "node", Address: a, Name: n.name(a), State: "tampering", Text: faultWords[kind] + ": hum who --why"})
		return nil
	})
	if err != nil {
		n.log.Warn("an event was not saved", "err", err)
	}
}

// gapsOf are the changes that a presentity made and I was never shown, in words: those that newer ones
// superseded, and one that he has announced by a beacon.
func gapsOf(now identity.Now, p *presence.Presence) (words []string) {
	skipped := uint64(0)
	for _, b := range p.Bases(now) {
		skipped += b.Skipped
	}
	if skipped > 0 {
		words = append(words, fmt.Sprintf("changes superseded before they came: %d", skipped))
	}
	if p.Behind() {
		words = append(words, "he has announced a change that has not come yet")
	}
	return words
}

// wrong counts a fault of what came of a; false if nothing is read of him.
func (s *presenceState) wrong(a identity.Address, kind fault, count uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[a]
	if k == nil {
		return false
	}
	k.wrong[kind] += count
	return true
}

// faultsOf are the faults of what came of a since the node started, in words.
func (s *presenceState) faultsOf(a identity.Address) (words []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.known[a]
	if k == nil {
		return nil
	}
	for kind, count := range k.wrong {
		if count > 0 {
			words = append(words, fmt.Sprintf("%s: %d", faultWords[kind], count))
		}
	}
	return words
}
