package conformance

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// A row is one promise of the protocol. Rows build on those before them.
type row struct {
	section string // of the protocol
	name    string
	class   Class // whose it is, "" for all
	wants   string
	try     func(context.Context, *trial) error
}

var rows = []row{
	{"2.2", "card", "", "a card alone leads to the records, signed by the address", func(ctx context.Context, t *trial) error {
		for _, p := range [][2]*node.Node{{t.other, t.tried}, {t.tried, t.other}} {
			card, err := p[1].Card()
			if err != nil {
				return err
			}
			if _, err := p[0].Add(ctx, card, nameOf(t, p[1])); err != nil {
				return err
			}
			r, err := p[0].Resolve(ctx, card)
			if err != nil || !r.Known || r.Address != p[1].Self().Address {
				return cmpErr(err, "the records are not found")
			}
		}
		return nil
	}},
	{"2.3", "services", P, "the record says that there is a presentity", offers("presence", true)},
	{"2.3", "services", M, "the record says that there is an inbox", offers("im", true)},
	{"2.3", "no inbox", only(P), "the record says that there is no inbox, and no message is sent", func(ctx context.Context, t *trial) error {
		_, err := t.other.Send(ctx, node.Draft{To: tried, Content: []byte("is anybody there?")})
		return errors.Join(offers("im", false)(ctx, t), refusedAs(err, wire.ReasonNoIMService))
	}},
	{"2.3", "no presentity", only(M), "the record says that there is no presentity, and nothing is watched", func(ctx context.Context, t *trial) error {
		_, err := t.other.Watch(ctx, tried, "", 0)
		return errors.Join(offers("presence", false)(ctx, t), refusedAs(err, wire.ReasonNoPresenceService))
	}},

	{"4.8", "request", P, "a request waits for the owner's yes", func(ctx context.Context, t *trial) error {
		if _, err := t.other.Watch(ctx, tried, "may I?", 0); err != nil {
			return err
		}
		return until(ctx, "it is not pending on both sides", func() bool {
			r, err := t.tried.Requests(ctx)
			return err == nil && len(r) == 1 && r[0].Text == "may I?" && stateOf(ctx, t.other) == "pending"
		})
	}},
	{"4.8", "approval", P, "the yes is told, with the key of a view", func(ctx context.Context, t *trial) error {
		if _, err := t.tried.Approve(ctx, other); err != nil {
			return err
		}
		return until(ctx, "it is not active", func() bool { return stateOf(ctx, t.other) == "active" })
	}},
	{"4.5", "notification", P, "a change comes to the watcher, in the presentity's own signed word", func(ctx context.Context, t *trial) error {
		return shows(ctx, t.tried, t.other, tried, "a note for my watchers")
	}},
	{"4.5", "watching", P, "what others publish is read", func(ctx context.Context, t *trial) error {
		if _, err := t.other.Approve(ctx, tried); err != nil {
			return err
		}
		if _, err := t.tried.Watch(ctx, other, "", 0); err != nil {
			return err
		}
		if err := until(ctx, "it is not active", func() bool { return stateOf(ctx, t.tried) == "active" }); err != nil {
			return err
		}
		return shows(ctx, t.other, t.tried, other, "a note of the other")
	}},
	{"4.10", "fetch", P, "who is allowed to is answered once he asks once", func(ctx context.Context, t *trial) error {
		p, err := t.other.Fetch(ctx, tried, false)
		if err != nil || p.Note != "a note for my watchers" {
			return cmpErr(err, "it shows "+p.Note)
		}
		return nil
	}},
	{"5.1", "message", M, "a message is delivered, and its recipient's signed word says so", func(ctx context.Context, t *trial) error {
		return errors.Join(delivered(ctx, t.tried, other, "hello"), delivered(ctx, t.other, tried, "hello yourself"))
	}},
	{"5.1", "answer", M, "a message is answered without any address", func(ctx context.Context, t *trial) error {
		rows, err := t.tried.Inbox(ctx, node.InboxQuery{})
		if err != nil || len(rows) != 1 || !rows[0].Verified {
			return cmpErr(err, fmt.Sprintf("%d messages in the inbox", len(rows)))
		}
		s, err := t.tried.Reply(ctx, rows[0].ID.String(), node.Draft{Content: []byte("well, thank you")})
		return ends(ctx, t.tried, s, err, "delivered", wire.ReasonNone)
	}},
	{"5.3", "receipt", M, "the recipient's word stands alone, and anybody can check it", func(ctx context.Context, t *trial) error {
		sent, err := t.tried.Outbox(ctx, "")
		if err != nil || len(sent) == 0 {
			return cmpErr(err, "nothing was sent")
		}
		e, err := t.tried.Export(ctx, node.ExportQuery{Kind: node.KindReceipt, ID: sent[0].ID.String()})
		if err != nil {
			return err
		}
		v, err := node.Verify(e.Content)
		if err != nil || v.ID != sent[0].ID || v.State != "delivered" {
			return cmpErr(err, "it says "+v.State)
		}
		return nil
	}},
	{"5.2", "closed inbox", PM, "whose presence is closed by choice, his inbox is", func(ctx context.Context, t *trial) error {
		closed, open := wire.Closed, wire.Open
		if _, err := t.tried.Set(ctx, node.Change{Basic: &closed}); err != nil {
			return err
		}
		s, err := t.other.Send(ctx, node.Draft{To: tried, Content: []byte("are you there?")})
		if err := ends(ctx, t.other, s, err, "failed", wire.ReasonClosed); err != nil {
			return err
		}
		_, err = t.tried.Set(ctx, node.Change{Basic: &open})
		return errors.Join(err, delivered(ctx, t.other, tried, "and now?"))
	}},
	{"4.9", "block", M, "who is blocked is told that he is refused", func(ctx context.Context, t *trial) error {
		if _, err := t.tried.Block(ctx, other, "im"); err != nil {
			return err
		}
		s, err := t.other.Send(ctx, node.Draft{To: tried, Content: []byte("let me in")})
		if err := ends(ctx, t.other, s, err, "failed", wire.ReasonRefused); err != nil {
			return err
		}
		_, err = t.tried.Unblock(ctx, other)
		return errors.Join(err, delivered(ctx, t.other, tried, "thanks"))
	}},
	{"4.8", "unsubscription", P, "who ends it is off the list at once", func(ctx context.Context, t *trial) error {
		if _, err := t.other.Unwatch(ctx, tried); err != nil {
			return err
		}
		return until(ctx, "he is still listed as active", func() bool {
			w, err := t.tried.Watchers(ctx)
			for _, s := range w {
				if s.State == "active" {
					return false
				}
			}
			return err == nil
		})
	}},
	{"4.9", "refusal", P, "who may not watch is told so", func(ctx context.Context, t *trial) error {
		if _, err := t.tried.Block(ctx, other, "presence"); err != nil {
			return err
		}
		if _, err := t.other.Watch(ctx, tried, "", 0); err != nil {
			return err
		}
		return until(ctx, "it is not denied", func() bool { return stateOf(ctx, t.other) == "denied" })
	}},
}

// What each calls the other.
const tried, other = "tried", "other"

func nameOf(t *trial, n *node.Node) string {
	if n == t.tried {
		return tried
	}
	return other
}

// offers is the check of what the record of the one that is tried says of a service.
func offers(service string, want bool) func(context.Context, *trial) error {
	return func(ctx context.Context, t *trial) error {
		r, err := t.other.Resolve(ctx, tried)
		if err != nil {
			return err
		}
		has := map[string]bool{"im": r.Services&identity.Inbox != 0, "presence": r.Services&identity.Presentity != 0}[service]
		if has != want {
			return fmt.Errorf("%s: %v", service, has)
		}
		return nil
	}
}

func cmpErr(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

// refusedAs wants an error for that reason.
func refusedAs(err error, r wire.Reason) error {
	var e *node.Error
	if !errors.As(err, &e) || e.Code != r.String() {
		return fmt.Errorf("asked for it all the same: %v", err)
	}
	return nil
}

// until waits for what must come.
func until(ctx context.Context, otherwise string, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s after %v", otherwise, patience)
		}
	}
	return nil
}

// stateOf is the state of the one subscription of a node.
func stateOf(ctx context.Context, n *node.Node) string {
	w, err := n.Watching(ctx)
	if err != nil || len(w) == 0 {
		return ""
	}
	return w[0].State
}

// shows has one say a note, and the other see it.
func shows(ctx context.Context, from, to *node.Node, who, note string) error {
	if _, err := from.Set(ctx, node.Change{Note: &note}); err != nil {
		return err
	}
	return until(ctx, "it is not seen", func() bool {
		w, err := to.Who(ctx, []string{who})
		return err == nil && len(w) == 1 && w[0].Note == note && w[0].Evidence == "said"
	})
}

func delivered(ctx context.Context, from *node.Node, to, text string) error {
	s, err := from.Send(ctx, node.Draft{To: to, Content: []byte(text)})
	return ends(ctx, from, s, err, "delivered", wire.ReasonNone)
}

// ends waits for the end of a message.
func ends(ctx context.Context, n *node.Node, s node.Sent, err error, state string, why wire.Reason) error {
	if err == nil {
		s, err = n.WaitSent(ctx, s.ID.String())
	}
	if err != nil || s.State != state || s.Reason != why {
		return cmpErr(err, "the message is "+s.State+" "+s.Reason.String())
	}
	return nil
}
