package node

import (
	"sync"

	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
)

// What is turned away leaves nothing on the disk, or only its answer: who writes nonsense all day fills nothing
// here. So that its way can be traced all the same, the newest of it is remembered for as long as the node runs.

// awayKept bounds the messages that are remembered so, and awaySteps what is remembered of each.
const (
	awayKept  = 1000
	awaySteps = 8
)

// An awayBook is what became of messages that were not kept, or came again. Its zero value is empty.
type awayBook struct {
	mu    sync.Mutex
	by    map[wire.MID][]step
	order []wire.MID
}

func (b *awayBook) note(id wire.MID, s step) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.by == nil {
		b.by = map[wire.MID][]step{}
	}
	had, known := b.by[id]
	switch last := len(had) - 1; {
	case last >= 0 && had[last].again(s):
	case len(had) < awaySteps:
		b.by[id] = append(had, s)
	}
	if !known {
		b.order = append(b.order, id)
	}
	if len(b.order) > awayKept {
		delete(b.by, b.order[0])
		b.order = b.order[1:]
	}
}

func (b *awayBook) of(id wire.MID) []step {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]step(nil), b.by[id]...)
}

// like finds the ids that begin with what was typed.
func (b *awayBook) like(typed string) (out []wire.MID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id := range b.by {
		if isID(typed, id) {
			out = append(out, id)
		}
	}
	return out
}

// forget drops what the user has deleted.
func (b *awayBook) forget(id wire.MID) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.by, id) // its place in the order goes by age
}

// noteAway remembers a step of a message that is not kept, once the pass is durable.
func (n *Node) noteAway(t *txn, x *incoming, v message.Verdict, what, detail, evidence string) {
	s := step{At: t.now.Wall.Go(), Step: what, Peer: n.sender(x), Detail: detail, Evidence: evidence}
	t.after(func() {
		n.turned.note(x.id, s)
		n.log.Debug("message came", "id", x.id.String(), "from", s.Peer, "verdict", v.Kind.String())
	})
}

// traceVerdict leaves what a message that was answered leaves on its way: what was kept tells for itself, what was
// not is told by its answer if that is remembered, else for as long as the node runs.
func (n *Node) traceVerdict(t *txn, x *incoming, v message.Verdict, evidence string) {
	switch v.Kind {
	case message.Discard:
		t.trace(x.id, "discarded", n.sender(x), "by a rule of mine; its sender was told delivered", evidence)
	case message.Suppress:
		t.trace(x.id, "not shown again", n.sender(x), "it was sent again for "+x.facts.IM.ResendOf.String()+", which is here", evidence)
	case message.Reject:
		if len(v.Remember) == 0 {
			n.noteAway(t, x, v, "refused", v.Disposition.String()+" ("+v.Reason.String()+")", evidence)
			return
		}
	}
	t.after(func() {
		n.log.Debug("message came", "id", x.id.String(), "from", n.sender(x), "verdict", v.Kind.String(), "reason", v.Reason.String())
	})
}

// sender is who a message says it is from, if he is vouched for.
func (n *Node) sender(x *incoming) string {
	if !x.facts.Listed || x.facts.IM.Unsigned() {
		return ""
	}
	return n.name(x.facts.IM.From)
}
