package control_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/node/control/humv1"
)

func raise(f *controltest.Fake, kinds ...string) {
	for _, k := range kinds {
		f.Raise(node.Event{Kind: k, Address: controltest.Bob, Name: "bob"})
	}
}

// receive reads n items: "snapshot 2", "3 presence", or the error that ends the stream.
func receive(s humv1.ControlServiceEventsClientStream, n int) (got []string) {
	for range n {
		r, err := s.Receive()
		switch {
		case errors.Is(err, io.EOF):
			return append(got, "end")
		case err != nil:
			return append(got, control.Explain(err).Code)
		case r.GetSnapshot() != nil:
			got = append(got, fmt.Sprint("snapshot ", r.GetSnapshot().N))
		default:
			got = append(got, fmt.Sprint(r.GetEvent().N, " ", r.GetEvent().Kind))
		}
	}
	return got
}

func TestEvents(t *testing.T) {
	at := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name  string
		ask   *humv1.EventsRequest
		items int // to read: a followed stream has no end
		want  string
	}{
		{"all that is stored", &humv1.EventsRequest{Since: at(0)}, 3, "[1 node 2 presence end]"},
		{"after a number", &humv1.EventsRequest{Since: at(1)}, 2, "[2 presence end]"},
		{"nothing new", &humv1.EventsRequest{Since: at(2)}, 1, "[end]"},
		{"a number that never was", &humv1.EventsRequest{Since: at(99)}, 1, "[end]"},
		{"from now on", &humv1.EventsRequest{Follow: true}, 2, "[3 message 4 ack]"},
		{"all and on", &humv1.EventsRequest{Since: at(0), Follow: true}, 4, "[1 node 2 presence 3 message 4 ack]"},
		{"what holds, and on", &humv1.EventsRequest{Snapshot: true, Follow: true}, 3, "[snapshot 2 3 message 4 ack]"},
		{"what holds", &humv1.EventsRequest{Snapshot: true}, 2, "[snapshot 2 end]"},
		{"both", &humv1.EventsRequest{Snapshot: true, Since: at(1)}, 1, "[usage]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := controltest.New()
			raise(f, "node", "presence")
			home, _, _ := open(t, f, "")
			s, err := dial(t, home).Events(t.Context(), tt.ask)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if tt.ask.Follow {
				raise(f, "message", "ack")
			}
			if got := fmt.Sprint(receive(s, tt.items)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestEventsResumeAfterTooSlow(t *testing.T) {
	f := controltest.New()
	raise(f, "node", "presence")
	f.Fail["Events"] = &node.Error{Code: control.CodeTooSlow, Message: "events came faster than they were read"}
	home, _, _ := open(t, f, "")
	c := dial(t, home)
	since := uint64(0)
	s, err := c.Events(t.Context(), &humv1.EventsRequest{Since: &since, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(receive(s, 3)); got != "[1 node 2 presence too-slow]" {
		t.Fatal(got)
	}
	since = 2
	raise(f, "ack")
	if s, err = c.Events(t.Context(), &humv1.EventsRequest{Since: &since, Follow: true}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(receive(s, 1)); got != "[3 ack]" {
		t.Error(got)
	}
}

func TestEventsEndWithTheNode(t *testing.T) {
	f := controltest.New()
	raise(f, "node")
	home, _, stop := open(t, f, "")
	since := uint64(0)
	s, err := dial(t, home).Events(t.Context(), &humv1.EventsRequest{Since: &since, Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	receive(s, 1)
	go stop()
	if got := fmt.Sprint(receive(s, 1)); got != "[not-running]" {
		t.Error(got)
	}
}
