package control

import (
	"context"
	"encoding/hex"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// ViewBackend says who sees what of this node's presence.
type ViewBackend interface {
	Views(ctx context.Context) ([]node.ViewOf, error)
	View(ctx context.Context, name string) (node.ViewOf, error)
	ViewAs(ctx context.Context, who string) (node.ViewOf, error)
	EditView(ctx context.Context, e node.ViewEdit) (node.ViewOf, error)
	Policy(ctx context.Context, who string) ([]node.PolicyLine, error)
	SetPolicy(ctx context.Context, e node.PolicyEdit) ([]node.PolicyLine, error)
	PoliteBlock(ctx context.Context, who string) (node.BlockEntry, error)
}

func (s *service) Views(ctx context.Context, _ *humv1.ViewsRequest) (*humv1.ViewsResponse, error) {
	return reply(func(l []node.ViewOf) *humv1.ViewsResponse {
		return &humv1.ViewsResponse{Views: each(l, viewOf)}
	})(s.node.Views(ctx))
}

func (s *service) View(ctx context.Context, r *humv1.ViewRequest) (*humv1.ShownView, error) {
	if r.As != "" {
		return reply(viewOf)(s.node.ViewAs(ctx, r.As))
	}
	return reply(viewOf)(s.node.View(ctx, r.View))
}

func (s *service) EditView(ctx context.Context, r *humv1.EditViewRequest) (*humv1.ShownView, error) {
	return reply(viewOf)(s.node.EditView(ctx, node.ViewEdit{Name: r.View, Show: r.Show, Hide: r.Hide, Add: r.Add, Remove: r.Remove, Common: r.Common, Delete: r.Delete, Public: r.Public}))
}

func (s *service) Policy(ctx context.Context, r *humv1.PolicyRequest) (*humv1.PolicyResponse, error) {
	return reply(policyOf)(s.node.Policy(ctx, r.Who))
}

func (s *service) SetPolicy(ctx context.Context, r *humv1.SetPolicyRequest) (*humv1.PolicyResponse, error) {
	return reply(policyOf)(s.node.SetPolicy(ctx, node.PolicyEdit{Class: r.Class, Who: r.Who, Watch: r.Watch, Fetch: r.Fetch, View: r.View,
		Messages: r.Messages, Closed: r.Closed, Clear: r.Clear, Acks: r.Acks, Displayed: r.Displayed}))
}

func (s *service) politeBlock(ctx context.Context, r *humv1.BlockRequest) (*humv1.BlockEntry, error) {
	if r.Scope != "" && r.Scope != "both" {
		return nil, usage("who is blocked politely sees that you are offline, and messages to somebody offline are refused: both go together")
	}
	return reply(blockOf)(s.node.PoliteBlock(ctx, r.Who))
}

func viewOf(v node.ViewOf) *humv1.ShownView {
	return &humv1.ShownView{View: v.Name, Show: texts(v.Show), Own: v.Own, Public: v.Public, Watchers: int64(v.Watchers), Digest: v.Digest, Documents: each(v.Shown, documentOf),
		Members: each(v.Members, func(c node.Contact) *humv1.Member {
			return &humv1.Member{Address: address(c.Address), Petname: text(c.Petname)}
		})}
}

func documentOf(d node.Document) *humv1.Document {
	out := &humv1.Document{View: d.View, Device: device(d.Device), Version: d.Version, At: at(d.At), Ended: at(d.Ended), Lease: durationpb.New(d.Lease),
		Notes: texts(d.Notes), Contacts: texts(d.Contacts), Status: map[string]string{}, Imported: d.Imported, Digest: hex.EncodeToString(d.Digest[:]),
		Tuples: each(d.Tuples, func(t node.TupleOf) *humv1.ShownTuple {
			return &humv1.ShownTuple{Id: text(t.ID), Basic: t.Basic, Im: t.IM, Contact: text(t.Contact), Priority: t.Priority, Note: text(t.Note), At: at(t.At)}
		})}
	for _, s := range d.Status {
		out.Status[text(s.Name)] = text(s.Value)
	}
	return out
}

func policyOf(l []node.PolicyLine) *humv1.PolicyResponse {
	return &humv1.PolicyResponse{Policy: each(l, func(p node.PolicyLine) *humv1.PolicyLine {
		return &humv1.PolicyLine{Class: p.Class, Address: address(p.Address), Petname: text(p.Petname), Watch: p.Watch, Fetch: p.Fetch, View: p.View, Group: p.Group, By: p.By,
			Messages: p.Messages, Closed: p.Closed, Clear: p.Clear, Acks: p.Acks, Displayed: p.Displayed}
	})}
}
