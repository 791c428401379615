package main

import (
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/controltest"
	"github.com/hum-presence/hum/node/control/humv1"
)

func TestIdleAfterFlag(t *testing.T) {
	for _, test := range []struct {
		in, shown string
		bad       bool
	}{
		{"15m", "15m0s", false}, {"2h", "2h0m0s", false}, {"1d", "24h0m0s", false}, {"never", "never", false},
		{"30s", "", true}, {"0s", "", true}, {"soon", "", true}, {"-5m", "", true},
	} {
		var i idleAfter
		if err := i.Set(test.in); (err != nil) != test.bad || i.String() != test.shown {
			t.Errorf("%s: %q, %v", test.in, i.String(), err)
		}
	}
	f := resting(t)
	if _, stderr, code := f.do("up", "--idle-after", "10s"); code != exitUsage || !strings.Contains(stderr, "15m") {
		t.Errorf("%d %s", code, stderr)
	}
}

// A hint is marked wherever it is read.
func TestHintsAreMarked(t *testing.T) {
	f := running(t)
	f.fake.Raise(node.Event{Kind: "presence", Address: controltest.Bob, Name: "bob", State: "open available", Hint: node.HintLost})
	stdout, _, _ := f.do("events")
	if !strings.Contains(stdout, "open available (hint: connection lost)") {
		t.Errorf("events: %s", stdout)
	}
	for hint, want := range map[string]string{"": "said", node.HintLost: "said (hint: connection lost 7 s ago)", node.HintAlone: "said (not reaching anyone)"} {
		if got := evidence(&humv1.Presence{Evidence: "said", Hint: hint, HintAge: durationpb.New(7 * time.Second)}); got != want {
			t.Errorf("%s: %q", hint, got)
		}
	}
}

// What status says of how I am seen.
func TestStatusOfMyself(t *testing.T) {
	a := &app{now: clock, terminal: true, env: func(string) string { return "" }}
	tests := []struct {
		name, got, want string
	}{
		{"seen", unseen(&humv1.StatusResponse{Reaching: true, Watchers: 2}), ""},
		{"cut off", unseen(&humv1.StatusResponse{Watchers: 2, Alone: "this machine is off the network"}), notReaching},
		{"nobody watches", unseen(&humv1.StatusResponse{Alone: "nobody watches you yet"}), " (nobody watches you yet)"},
		{"who is cut off from", watchedBy(&humv1.StatusResponse{Watchers: 2, Requests: 1, Alone: "this machine is off the network"}),
			"2 contacts, 1 request waiting for you: this machine is off the network"},
		{"grey", a.paint("open, available"+notReaching, false), "\x1b[2mopen, available (not reaching anyone)\x1b[0m"},
		{"idle by itself", a.idleWords(&humv1.StatusResponse{Idle: "on", IdleSince: timestamppb.New(clock().Add(-time.Hour))}),
			"no input for 1 h: shown as idle until you are back"},
		{"never idle", a.idleWords(&humv1.StatusResponse{Idle: "off"}), "never shown by itself, as you wish"},
		{"cannot tell", a.idleWords(&humv1.StatusResponse{Idle: "unknown", IdleWhy: "no login manager"}), "not shown by itself: no login manager"},
		{"messages only", a.idleWords(&humv1.StatusResponse{}), "-"},
		{"no cost yet", costWords([]*humv1.Cost{{Service: "topics", In: 9}}), "not known before the first minute is over"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("%s: %q, want %q", test.name, test.got, test.want)
		}
	}
}
