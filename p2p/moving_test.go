package p2p

import (
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

func TestMoving(t *testing.T) {
	const s = time.Second
	type event struct {
		at         time.Duration
		watching   bool
		direct     bool
		topicPeers int
		topic      int // Recs by the topic just before
		stream     int // Recs by stream just before
		tag        byte
		mode       Mode
		do         move
	}
	join, leave, get := move{join: true}, move{leave: true}, move{get: true}
	tests := []struct {
		name   string
		events []event
	}{
		{"to the mesh after two recs", []event{
			{at: 0, direct: true, mode: Stream},
			{at: 1 * s, direct: true, watching: true, mode: Both, do: join},
			{at: 2 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Both},
			{at: 62 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Mesh},
		}},
		{"two recs too far apart count as one", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Both},
			{at: 134 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Both},
			{at: 140 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Mesh},
		}},
		{"recs by stream prove nothing", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 2 * s, direct: true, watching: true, topicPeers: 1, stream: 5, mode: Both},
		}},
		{"recs but no topic peer any more", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 2 * s, direct: true, watching: true, topic: 2, mode: Both},
			{at: 3 * s, direct: true, watching: true, topicPeers: 1, mode: Mesh},
		}},
		{"limited connection stays in stream", []event{
			{at: 0, watching: true, mode: Stream},
			{at: 300 * s, watching: true, mode: Stream},
		}},
		{"nobody serves a watch, co-watchers are there", []event{
			{at: 0, direct: true, topicPeers: 2, mode: Stream},
			{at: 10 * s, direct: true, topicPeers: 2, mode: Both, do: join},
			{at: 11 * s, direct: true, topicPeers: 2, topic: 2, mode: Mesh},
		}},
		{"a live tag falls silent in the mesh", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 90 * s, direct: true, topicPeers: 1, mode: Mesh},
			{at: 92 * s, direct: true, topicPeers: 1, mode: Both},
			{at: 93 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Both},
			{at: 94 * s, direct: true, watching: true, topicPeers: 1, topic: 1, mode: Mesh},
		}},
		{"a tag that only the stream brought falls silent", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, stream: 1, tag: 2, mode: Both},
			{at: 2 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 60 * s, direct: true, topicPeers: 1, topic: 1, mode: Mesh},
			{at: 92 * s, direct: true, topicPeers: 1, mode: Both},
		}},
		{"last topic peer goes", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 5 * s, direct: true, mode: Both},
		}},
		{"only a circuit is left: topic left a minute after OK", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 10 * s, mode: Both},
			{at: 20 * s, watching: true, mode: Both},
			{at: 79 * s, watching: true, mode: Both},
			{at: 80 * s, watching: true, mode: Stream, do: leave},
			{at: 139 * s, watching: true, direct: true, mode: Stream},
			{at: 140 * s, watching: true, direct: true, mode: Both, do: join},
		}},
		{"a watch that broke in between begins anew", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 50 * s, mode: Both},
			{at: 55 * s, watching: true, mode: Both},
			{at: 114 * s, watching: true, mode: Both},
			{at: 115 * s, watching: true, mode: Stream, do: leave},
		}},
		{"get every quarter of an hour", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 900 * s, direct: true, topicPeers: 1, topic: 1, mode: Mesh},
			{at: 901 * s, direct: true, topicPeers: 1, topic: 1, mode: Mesh, do: get},
			{at: 902 * s, direct: true, topicPeers: 1, topic: 1, mode: Mesh},
			{at: 1801 * s, direct: true, topicPeers: 1, topic: 1, mode: Mesh, do: get},
		}},
		{"closed presentity sends nothing: dead tags do not count", []event{
			{at: 0, direct: true, watching: true, mode: Both, do: join},
			{at: 1 * s, direct: true, watching: true, topicPeers: 1, topic: 2, mode: Mesh},
			{at: 200 * s, direct: true, topicPeers: 1, mode: Mesh},
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var m mover
			for i, e := range tt.events {
				tag := wire.Tag{max(1, e.tag)}
				for range e.topic {
					m.hear(e.at, tag, true)
				}
				for range e.stream {
					m.hear(e.at, tag, false)
				}
				do := m.step(view{now: e.at, direct: e.direct, topicPeers: e.topicPeers, watching: e.watching, getPause: 900 * s})
				if m.mode != e.mode || do != e.do {
					t.Fatalf("event %d at %v: mode %d, %+v; want mode %d, %+v", i, e.at, m.mode, do, e.mode, e.do)
				}
			}
		})
	}
}

// What a mover does because of the time alone it does at the instant that due names, and not before.
func TestMoverIsDue(t *testing.T) {
	src := rand.New(rand.NewPCG(3, 4))
	moves := 0
	for range 300 {
		m := mover{started: time.Second}
		now, v := time.Second, view{getPause: 15 * time.Minute}
		for range 30 {
			switch src.IntN(6) {
			case 0, 1:
				m.hear(now, wire.Tag{byte(src.IntN(2))}, src.IntN(3) > 0)
			case 2:
				v.direct = !v.direct
			case 3:
				v.topicPeers = src.IntN(2)
			case 4:
				v.watching = !v.watching
			}
			for range 8 { // what is to be done at once, as whatever has happened has it looked at
				v.now = now
				m.step(v)
			}
			due := m.due(now)
			for range 5 {
				early := m
				early.tags = maps.Clone(m.tags)
				v.now = now + time.Duration(src.Int64N(int64(due-now)))
				if did := early.step(v); did != (move{}) || early.mode != m.mode {
					t.Fatalf("%+v from %v to %v did %+v at %v, and is due at %v", m, m.mode, early.mode, did, v.now, due)
				}
			}
			was := m.mode
			v.now = due
			if m.step(v) != (move{}) || m.mode != was {
				moves++
			}
			now = due + time.Duration(src.Int64N(int64(time.Minute)))
		}
	}
	if moves < 100 {
		t.Errorf("it moved %d times when it was due", moves)
	}
}
