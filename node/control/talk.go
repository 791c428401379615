package control

import (
	"context"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// TalkBackend holds what people and this node wrote each other.
type TalkBackend interface {
	History(ctx context.Context, q node.HistoryQuery) (node.Conversation, error)
	Delete(ctx context.Context, ids []string) ([]wire.MID, error)
}

func (s *service) History(ctx context.Context, r *humv1.HistoryRequest) (*humv1.HistoryResponse, error) {
	return reply(func(h node.Conversation) *humv1.HistoryResponse {
		return &humv1.HistoryResponse{Lines: each(h.Lines, lineOf), With: address(h.With), WithName: text(h.Name), Claimed: text(h.Claimed)}
	})(s.node.History(ctx, node.HistoryQuery{Who: r.Who, Limit: int(r.Limit), Before: r.Before, Search: r.Search, Thread: r.Thread}))
}

func (s *service) Delete(ctx context.Context, r *humv1.DeleteRequest) (*humv1.DeleteResponse, error) {
	return reply(func(l []wire.MID) *humv1.DeleteResponse {
		return &humv1.DeleteResponse{Deleted: each(l, func(id wire.MID) *humv1.Deletion {
			return &humv1.Deletion{Id: mid(id), Deleted: true}
		})}
	})(s.node.Delete(ctx, r.Ids))
}

func lineOf(l node.Line) *humv1.Line {
	if s := l.Sent; s != nil {
		words, bytes := content(s.Type, s.Content)
		return &humv1.Line{Id: mid(s.ID), Direction: "out", With: address(s.To), WithName: text(s.ToName), Sent: at(s.Sent), Type: text(s.Type),
			Text: words, Content: bytes, ReplyTo: mid(s.InReplyTo), State: s.State, Reason: token(s.Reason)}
	}
	r := l.Received
	words, bytes := content(r.Type, r.Content)
	state := "new"
	if !r.Displayed.IsZero() {
		state = "displayed"
	}
	return &humv1.Line{Id: mid(r.ID), Direction: "in", With: address(r.From), WithName: text(r.FromName), Sent: at(r.Sent), Received: at(r.Received),
		Type: text(r.Type), Text: words, Content: bytes, Lang: text(r.Lang), ReplyTo: mid(r.InReplyTo), State: state, FirstContact: r.FirstContact, Claimed: text(r.Claimed)}
}
