package control

import (
	"context"

	"github.com/hum-presence/hum/node/control/humv1"
)

// Events streams as the proto file says. The number is read first and the snapshot taken after, so that
// nothing can fall between them; what happened meanwhile is told twice, which changes nothing.
func (s *service) Events(ctx context.Context, r *humv1.EventsRequest, stream humv1.ControlServiceEventsServerStream) error {
	if r.Snapshot && r.Since != nil {
		return usage("a snapshot holds what happened before: ask for it or for the events since a number")
	}
	last, err := s.node.LastEvent(ctx)
	if err != nil {
		return err
	}
	if err := stream.SendHeaders(); err != nil { // the client hears that the stream stands, though nothing has happened
		return err
	}
	since := last
	if r.Since != nil {
		since = *r.Since
	}
	if r.Snapshot {
		if err := s.snapshot(ctx, last, stream); err != nil {
			return err
		}
	}
	if !r.Follow && since >= last {
		return nil
	}
	return s.stream(ctx, since, last, r.Follow, stream)
}

// stream sends the events after since; up to last, or for as long as the client stays.
func (s *service) stream(ctx context.Context, since, last uint64, follow bool, stream humv1.ControlServiceEventsServerStream) error {
	events, err := s.node.Events(ctx, since)
	if err != nil {
		return err
	}
	for e, err := range events {
		if ctx.Err() != nil {
			return errStopped // or the client left, and hears nothing
		}
		if err != nil {
			return err
		}
		if err := stream.Send(&humv1.EventsResponse{Item: &humv1.EventsResponse_Event{Event: eventOf(e)}}); err != nil {
			return err
		}
		if !follow && e.N >= last {
			return nil
		}
	}
	return errStopped
}

func (s *service) snapshot(ctx context.Context, n uint64, stream humv1.ControlServiceEventsServerStream) error {
	contacts, err := s.node.Contacts(ctx)
	if err != nil {
		return err
	}
	watching, err := s.node.Watching(ctx)
	if err != nil {
		return err
	}
	presence, err := s.node.Who(ctx, nil)
	if err != nil {
		return err
	}
	return stream.Send(&humv1.EventsResponse{Item: &humv1.EventsResponse_Snapshot{Snapshot: &humv1.Snapshot{
		N: n, Contacts: each(contacts, contactOf), Watching: each(watching, subscriptionOf), Presence: each(presence, presenceOf),
	}}})
}
