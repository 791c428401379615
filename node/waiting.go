package node

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/store"
)

// A community may have several nodes, none of which has to be there for somebody to join: who is given an invite to each
// joins those that answer, and the others when they do.

// waitingEvery is how often those are tried whose node did not answer.
const waitingEvery = 10 * time.Minute

func waitingRow() store.Key { return store.Meta("invites-waiting") }

// JoinAny is Join for several invites at once, of which one has to lead in: those whose node does not answer are tried
// again until it does. It returns the first community that answered, and how many wait. A refusal of one is an error
// only if none led in.
func (n *Node) JoinAny(ctx context.Context, invites []string) (first Community, waiting int, err error) {
	type answer struct {
		text string
		face Community
		err  error
	}
	answers := make(chan answer, len(invites))
	for _, text := range invites {
		n.spawn(func(context.Context) {
			face, err := n.Join(ctx, text)
			answers <- answer{text, face, err}
		})
	}
	var late []string
	var failed error
	joined := false
	for range invites {
		a := <-answers
		var e *Error
		switch {
		case a.err == nil:
			if !joined {
				first, joined = a.face, true
			}
		case errors.As(a.err, &e) && e.Kind == KindUnreachable && e.Code != "full":
			late = append(late, a.text)
			failed = cmpError(failed, a.err)
		default:
			failed = cmpError(a.err, failed)
		}
	}
	if !joined {
		return Community{}, 0, failed
	}
	return first, len(late), n.editWaiting(func(list []string) []string { return append(list, late...) })
}

func cmpError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

func (n *Node) editWaiting(edit func([]string) []string) error {
	return saveError(n.cfg.Home, n.update(func(t *txn) error {
		had, _, err := find[[]string](t, waitingRow())
		if err != nil {
			return err
		}
		list := edit(slices.Clone(had))
		slices.Sort(list)
		if list = slices.Compact(list); slices.Equal(list, had) {
			return nil
		}
		return put(t, waitingRow(), list)
	}))
}

// joinWaiting tries the invites whose node did not answer before.
func (n *Node) joinWaiting() {
	var list []string
	if err := n.view(func(t *txn) (err error) { list, _, err = find[[]string](t, waitingRow()); return err }); err != nil || len(list) == 0 {
		return
	}
	for _, text := range list {
		n.spawn(func(ctx context.Context) {
			_, err := n.Join(ctx, text)
			var e *Error
			if errors.As(err, &e) && e.Kind == KindUnreachable || ctx.Err() != nil {
				return
			}
			if err := n.editWaiting(func(list []string) []string { return slices.DeleteFunc(list, func(x string) bool { return x == text }) }); err != nil {
				n.log.Warn("an invite was not noted as used; it is shown again", "err", err)
			}
		})
	}
}
