package p2p

import (
	"encoding/base64"
	"encoding/binary"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A sleep of the machine, seen as a jump of the wall clock, has everybody dialled; a peer that
// watches me still not twice in 10 min.
func TestWakesUp(t *testing.T) {
	tests := []struct {
		name string
		jump time.Duration
		role KeepRole
		last time.Duration // before now
		due  bool
	}{
		{"no jump", 0, Watched, time.Minute, false},
		{"clock adjusted", 20 * time.Second, Watched, time.Minute, false},
		{"slept", time.Hour, Watched, time.Minute, true},
		{"clock went back", -time.Hour, Watched, time.Minute, true},
		{"slept, dialled lately", time.Hour, Watching, time.Minute, false},
		{"slept, dialled long ago", time.Hour, Watching, 11 * time.Minute, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var slept time.Duration
				clock := func() identity.Now {
					mu.Lock()
					defer mu.Unlock()
					now := testClock()
					now.Mono += time.Hour * 1e3
					now.Wall = now.Wall.Add(slept)
					return now
				}
				n := &Net{cfg: Config{Clock: clock}}
				n.log = offlineLog
				n.keeper = newKeeper(n)
				far := clock().Mono + 24*time.Hour
				x := &kept{role: tt.role, due: far, tried: true, last: clock().Mono - tt.last, fails: 3}
				n.keeper.m["p"] = x
				ctx := t.Context()
				done := make(chan struct{})
				stop := make(chan struct{})
				go func() {
					defer close(done)
					c, cancel := withStop(ctx, stop)
					defer cancel()
					n.keeper.watchClock(c)
				}()
				time.Sleep(5 * time.Second)
				mu.Lock()
				slept = tt.jump
				mu.Unlock()
				time.Sleep(30 * time.Second)
				n.keeper.mu.Lock()
				if due := x.due <= clock().Mono; due != tt.due {
					t.Errorf("due %v, want %v", due, tt.due)
				}
				n.keeper.mu.Unlock()
				close(stop)
				<-done
			})
		})
	}
}

// A dial that hangs when the machine wakes up is lost with the path that it was begun on: there is another as soon
// as it has failed, not after the pause.
func TestNudgeWhileDialing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	calls := make(chan net.Conn)
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			calls <- c
		}
	}()
	at, err := manet.FromNetAddr(l.Addr())
	must(t, err)
	a, nobody := run(t, "a"), run(t, "nobody")
	a.Keep(nobody.Self(), [][]byte{at.Bytes()}, Watched)
	first := <-calls
	a.Nudge()
	must(t, first.Close())
	select {
	case second := <-calls:
		second.Close()
	case <-time.After(30 * time.Second):
		t.Error("no other dial")
	}
}

func TestTopicFilter(t *testing.T) {
	f := newTopicFilter(&counters{}, func() {})
	name := func(i int) string {
		var b [32]byte
		binary.BigEndian.PutUint64(b[:], uint64(i))
		return wire.TopicPrefix + base64.RawURLEncoding.EncodeToString(b[:])
	}
	for _, tt := range []struct {
		name, topic string
		ok          bool
	}{
		{"ours", name(1), true},
		{"too short", name(1)[:51], false},
		{"too long", name(1) + "A", false},
		{"another prefix", "/hum/2/p/" + name(1)[9:], false},
		{"a letter of base64 that is not of base64url", name(1)[:51] + "+", false},
		{"empty", "", false},
	} {
		if got := f.CanSubscribe(tt.topic); got != tt.ok {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	announce := func(p string, from, to int, sub bool) int {
		var subs []*pb.RPC_SubOpts
		for i := from; i < to; i++ {
			topic := name(i)
			subs = append(subs, &pb.RPC_SubOpts{Topicid: &topic, Subscribe: &sub})
		}
		out, err := f.FilterIncomingSubscriptions(peer.ID(p), subs)
		if err != nil {
			t.Fatal(err)
		}
		return len(out)
	}
	for _, tt := range []struct {
		name     string
		peer     string
		from, to int
		sub      bool
		want     int
	}{
		{"all that may be", "p", 0, wire.MaxTopics, true, wire.MaxTopics},
		{"one more", "p", wire.MaxTopics, wire.MaxTopics + 1, true, 0},
		{"one again", "p", 5, 6, true, 1},
		{"another peer", "q", wire.MaxTopics, wire.MaxTopics + 1, true, 1},
		{"leaves one", "p", 5, 6, false, 1},
		{"leaves it again", "p", 5, 6, false, 1},
		{"has one place", "p", wire.MaxTopics, wire.MaxTopics + 2, true, 1},
	} {
		if got := announce(tt.peer, tt.from, tt.to, tt.sub); got != tt.want {
			t.Errorf("%s: %d let in, want %d", tt.name, got, tt.want)
		}
	}
	f.gone("p")
	if got := announce("p", 0, 10, true); got != 10 {
		t.Errorf("after the peer has left: %d", got)
	}
}

// Whoever was reached by a circuit that ended is dialled at once, and after four failures in a row every 5 min; whoever was
// reached directly ever more rarely, and whoever is reached by a circuit still is looked for no more often than before
// (SPEC 4.7, "Limited circuits", "Who dials").
func TestPausesAfterACircuit(t *testing.T) {
	n := run(t, "a")
	p := run(t, "b").Self()
	up, limited, down := link{up: true}, link{up: true, limited: true}, link{}
	min := time.Minute
	for _, tt := range []struct {
		name  string
		links []link
		want  []time.Duration
	}{
		{"a circuit ended", []link{up, limited, down}, []time.Duration{5 * time.Second, 20 * time.Second, min, 5 * min, 5 * min, 5 * min, 5 * min}},
		{"a direct connection ended", []link{limited, up, down}, []time.Duration{5 * time.Second, 20 * time.Second, min, 2 * min, 4 * min, 8 * min, 15 * min, 15 * min}},
		{"a circuit stands again", []link{up, limited, down, limited, up, limited}, []time.Duration{min, 2 * min, 4 * min, 8 * min, 15 * min}},
	} {
		k := newKeeper(n.Net)
		x := &kept{role: Watched}
		k.m[p] = x
		for _, l := range tt.links {
			k.changed(p, l)
		}
		for i, want := range tt.want {
			if got := k.pause(x); got < want*8/10 || got > want*12/10 {
				t.Errorf("%s: after %d failures %v, want about %v", tt.name, i, got, want)
			}
			x.fails++
		}
	}
	for i, want := range []time.Duration{min, 2 * min, 4 * min, 5 * min, 5 * min, 5 * min} {
		if got := reserveAgain(i); got != want {
			t.Errorf("a slot is asked for again after %d failures in %v, want %v", i, got, want)
		}
	}
}
