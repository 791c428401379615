package testnet

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// court is a world of alice and bob, both on, without machines that do anything, in which alice watches
// bob, bob showed one thing, and alice sent him message 1, which he has.
func court() (w *World, alice, bob *user) {
	w = &World{judge: newJudge()}
	for i, name := range []string{"alice", "bob"} {
		w.users = append(w.users, &user{name: name, address: identity.Address{byte(i + 1)}, clock: NewClock(), machine: idle{}})
	}
	alice, bob = w.users[0], w.users[1]
	w.judge.say("bob", "open", nil)
	w.judge.heard[[2]string{"bob", "alice"}] = time.Now()
	w.judge.send(wire.MID{1}, letter{from: "alice", to: "bob", content: "hi", sent: time.Now(), expires: time.Now().Add(time.Hour)})
	alice.sight = sight{
		who:      []node.PresenceOf{{Address: bob.address, Basic: "open", Evidence: "said"}},
		watching: []node.Subscription{{Address: bob.address, ID: wire.SubID{1}, State: "active"}},
		outbox:   []node.Sent{{ID: wire.MID{1}, State: "delivered"}},
	}
	bob.sight.inbox = []node.Received{{ID: wire.MID{1}, From: alice.address, Verified: true, Content: []byte("hi")}}
	return w, alice, bob
}

type idle struct{ Machine }

func TestJudgeFindsPlantedFaults(t *testing.T) {
	sent := func(state string) []node.Sent { return []node.Sent{{ID: wire.MID{1}, State: state}} }
	tests := []struct {
		name  string
		plant func(w *World, alice, bob *user)
		want  string // in one of the faults; "" if there is none
	}{
		{"nothing", func(w *World, alice, bob *user) {}, ""},
		{"open long after the last sign of life", func(w *World, alice, bob *user) { time.Sleep(281 * time.Second) }, "I5"},
		{"open just before that", func(w *World, alice, bob *user) { time.Sleep(270 * time.Second) }, ""},
		{"an older presence comes back", func(w *World, alice, bob *user) {
			w.judge.say("bob", "open busy", nil)
			alice.sight.who[0].IM = "busy"
			w.judge.look(w)
			alice.sight.who[0].IM = ""
		}, "I6"},
		{"what was said while blocked is seen", func(w *World, alice, bob *user) {
			w.judge.say("bob", "open dnd", map[string]bool{"alice": true})
			alice.sight.who[0].IM = "dnd"
		}, "I8"},
		{"what was said before the block is seen", func(w *World, alice, bob *user) {
			w.judge.say("bob", "open dnd", map[string]bool{"alice": true})
		}, ""},
		{"said without a subscription", func(w *World, alice, bob *user) { alice.sight.watching[0].State = "pending" }, "I10"},
		{"a note that nobody wrote", func(w *World, alice, bob *user) { alice.sight.who[0].Note = "forged" }, "I11"},
		{"a subscription rises from the dead", func(w *World, alice, bob *user) {
			alice.sight.who = nil
			alice.sight.watching[0].State = "terminated"
			w.judge.look(w)
			alice.sight.watching[0].State = "active"
		}, "I12"},
		{"a state that does not exist", func(w *World, alice, bob *user) { alice.sight.watching[0].State = "maybe" }, "I12"},
		{"shown twice", func(w *World, alice, bob *user) { bob.sight.inbox = append(bob.sight.inbox, bob.sight.inbox[0]) }, "I13"},
		{"delivered and not there", func(w *World, alice, bob *user) { bob.sight.inbox = nil }, "I14"},
		{"delivered, and not there when he is back", func(w *World, alice, bob *user) {
			bob.machine, bob.sight.inbox = nil, nil
			w.judge.look(w)
			bob.machine, alice.machine = idle{}, nil
		}, "I14"},
		{"there and gone again", func(w *World, alice, bob *user) {
			w.judge.look(w)
			bob.sight.inbox = nil
		}, "I14"},
		{"another text", func(w *World, alice, bob *user) { bob.sight.inbox[0].Content = []byte("ho") }, `as "ho"`},
		{"another sender", func(w *World, alice, bob *user) { bob.sight.inbox[0].From = bob.address }, "of bob"},
		{"a row that nobody sent", func(w *World, alice, bob *user) { bob.sight.inbox[0].ID = wire.MID{2} }, "nobody sent"},
		{"undecided after its time", func(w *World, alice, bob *user) {
			alice.sight.who, alice.sight.outbox = nil, sent("handed")
			time.Sleep(time.Hour + 5*time.Minute)
			w.judge.look(w)
			time.Sleep(3 * time.Minute)
		}, "I16"},
		{"undecided before its time", func(w *World, alice, bob *user) {
			alice.sight.who, alice.sight.outbox = nil, sent("handed")
			time.Sleep(time.Hour)
		}, ""},
		{"delivered, then failed", func(w *World, alice, bob *user) {
			w.judge.look(w)
			alice.sight.outbox = sent("failed")
		}, "I16"},
		{"failed, then delivered", func(w *World, alice, bob *user) {
			alice.sight.outbox = sent("failed")
			w.judge.look(w)
			alice.sight.outbox = sent("delivered")
		}, ""},
		{"handed over, then called unreachable", func(w *World, alice, bob *user) {
			alice.sight.outbox = sent("handed")
			w.judge.look(w)
			alice.sight.outbox = sent("failed")
			alice.sight.outbox[0].Reason = wire.ReasonUnreachable
		}, "5.5"},
		{"not settled though nothing is in the way", func(w *World, alice, bob *user) {
			alice.sight.outbox = sent("queued")
			w.judge.look(w)
			w.judge.end(w)
		}, "I16"},
		{"a change is lost for good", func(w *World, alice, bob *user) {
			w.judge.say("bob", "open away", nil)
			w.judge.look(w)
			w.judge.end(w)
		}, "I30"},
		{"not seen again for good", func(w *World, alice, bob *user) {
			alice.sight.who[0] = node.PresenceOf{Address: bob.address, Basic: "closed", Evidence: "lapsed"}
			w.judge.look(w)
			w.judge.end(w)
		}, "I30"},
		{"all is well in the end", func(w *World, alice, bob *user) {
			w.judge.look(w)
			w.judge.end(w)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, alice, bob := court()
				tt.plant(w, alice, bob)
				w.judge.look(w)
				faults := strings.Join(w.judge.faults, "\n")
				if (tt.want == "") != (faults == "") || !strings.Contains(faults, tt.want) {
					t.Errorf("found %q, want %q", faults, tt.want)
				}
			})
		})
	}
}

// A forgetful machine has lost what it acknowledged.
type forgetful struct{ Machine }

func (f forgetful) Inbox(context.Context, node.InboxQuery) ([]node.Received, error) { return nil, nil }

// A stammering machine shows every message twice.
type stammering struct{ Machine }

func (s stammering) Inbox(ctx context.Context, q node.InboxQuery) ([]node.Received, error) {
	all, err := s.Machine.Inbox(ctx, q)
	return append(all, slices.Clone(all)...), err
}

// An enchanted machine shows everybody whom it ever saw open as open.
type enchanted struct {
	Machine
	saw map[identity.Address]node.PresenceOf
}

func (e enchanted) Who(ctx context.Context, who []string) ([]node.PresenceOf, error) {
	all, err := e.Machine.Who(ctx, who)
	for i, p := range all {
		if p.Basic == "open" {
			e.saw[p.Address] = p
		} else if saw, ok := e.saw[p.Address]; ok {
			all[i] = saw
		}
	}
	return all, err
}

// A whole story with one machine that has a fault: it must fail, so that no rewrite can bless it.
func TestStoryFailsOnAPlantedFault(t *testing.T) {
	const story = `node alice
node bob
add alice bob
watch alice bob
approve bob alice
send alice bob "hello"
stop bob
advance 5m`
	tests := []struct {
		name  string
		whose string
		plant func(Machine) Machine
		want  string
	}{
		{"none", "", nil, ""},
		{"the inbox forgets", "bob", func(m Machine) Machine { return forgetful{m} }, "I14"},
		{"the inbox stammers", "bob", func(m Machine) Machine { return stammering{m} }, "I13"},
		{"nobody ever lapses", "alice", func(m Machine) Machine { return enchanted{m, map[identity.Address]node.PresenceOf{}} }, "I5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := tell(t, story, func(w *World) {
				w.Start = func(p Place) (Machine, error) {
					m, err := StartNode(p)
					if err == nil && p.Name == tt.whose {
						m = tt.plant(m)
					}
					return m, err
				}
			})
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("judged %v, want %q", err, tt.want)
			}
		})
	}
}

func TestSplit(t *testing.T) {
	tests := []struct {
		line string
		want []string
		bad  bool
	}{
		{"", nil, false},
		{"# a comment", nil, false},
		{`send alice bob "hello, \"you\"" expires 1h # now`, []string{"send", "alice", "bob", `hello, "you"`, "expires", "1h"}, false},
		{`send alice "bob`, nil, true},
	}
	for _, tt := range tests {
		got, err := split(tt.line)
		if (err != nil) != tt.bad || !tt.bad && !slices.Equal(got, tt.want) {
			t.Errorf("%q: got %q, %v; want %q", tt.line, got, err, tt.want)
		}
	}
}
