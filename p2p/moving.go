package p2p

import (
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// The times of SPEC 4.7, "Moving", for the default ttl: the ttl of a view is inside what this
// package cannot open.
var (
	beacon      = wire.BeaconPeriod(wire.DefaultTTL)
	meshWindow  = beacon*2 + beacon*2/10 // two Recs by the topic within it: it works
	unheardFor  = beacon * 3 / 2         // a live tag silent for longer: it may not
	liveFor     = wire.DefaultTTL        // a tag heard within it is live
	leaveAfter  = time.Minute            // a WATCH has stood before the topic is left
	rejoinAfter = time.Minute            // the prune backoff of gossipsub
	joinAnyway  = 10 * time.Second       // without a WATCH: nobody serves one here
)

// A mover decides how one followed key is heard. It is a plain value: step is told the time and what
// stands, changes the mode, and returns what to do. Nothing is given up before what replaces it
// stands, so there is no gap; what comes twice, reading drops by its t.
type mover struct {
	mode    Mode
	started time.Duration
	watchAt time.Duration // since when a WATCH stands
	watched bool
	leftAt  time.Duration // when the topic was left
	left    bool
	firstAt time.Duration // the earlier of the last two Recs by the topic
	heards  int           // Recs by the topic since Both began: 0, 1, or 2 for enough
	getAt   time.Duration // the next GET in Mesh
	tags    map[wire.Tag]time.Duration
}

// A view is what a mover is told.
type view struct {
	now        time.Duration
	direct     bool          // a connection that is not limited to the presentity or a topic peer
	topicPeers int           // announced and connected
	watching   bool          // a WATCH stands
	getPause   time.Duration // 15 min ±20 %
}

// A move is what to do, besides keeping a WATCH while the mode is not Mesh and ending it in Mesh.
type move struct{ join, leave, get bool }

// hear notes that a Rec of tag came; only what comes by the topic shows that the topic works.
func (m *mover) hear(now time.Duration, tag wire.Tag, byTopic bool) {
	if m.tags == nil {
		m.tags = map[wire.Tag]time.Duration{}
	}
	m.tags[tag] = now
	if !byTopic || m.mode != Both || m.heards >= 2 {
		return
	}
	if m.heards == 1 && now-m.firstAt <= meshWindow {
		m.heards = 2
		return
	}
	m.firstAt, m.heards = now, 1
}

func (m *mover) step(v view) move {
	if v.watching && !m.watched {
		m.watchAt = v.now
	}
	m.watched = v.watching
	switch m.mode {
	case Stream:
		return m.fromStream(v)
	case Both:
		return m.fromBoth(v)
	}
	return m.fromMesh(v)
}

// fromStream joins the topic after the snapshot.
func (m *mover) fromStream(v view) move {
	ready := v.watching || v.now-m.started >= joinAnyway
	if !v.direct || !ready || m.left && v.now-m.leftAt < rejoinAfter {
		return move{}
	}
	m.mode, m.heards = Both, 0
	return move{join: true}
}

func (m *mover) fromBoth(v view) move {
	switch {
	case m.heards == 2 && v.topicPeers > 0 && m.unheard(v.now) == 0:
		m.mode, m.getAt = Mesh, v.now+v.getPause
	case v.watching && v.now-m.watchAt >= leaveAfter && !v.direct && v.topicPeers == 0:
		m.mode, m.left, m.leftAt = Stream, true, v.now
		return move{leave: true}
	}
	return move{}
}

// fromMesh goes back to Both, where a WATCH is sent while the topic is kept.
func (m *mover) fromMesh(v view) move {
	if v.topicPeers == 0 || m.unheard(v.now) > 0 {
		m.mode, m.heards = Both, 0
		return move{}
	}
	if v.now >= m.getAt {
		m.getAt = v.now + v.getPause
		return move{get: true}
	}
	return move{}
}

// due is when the mover is to be looked at again, if nobody comes, goes, announces the topic or is heard before: no sooner
// than that does time alone have it do anything.
func (m *mover) due(now time.Duration) time.Duration {
	at := now + time.Hour
	look := func(t time.Duration) {
		if t > now {
			at = min(at, t)
		}
	}
	switch m.mode {
	case Stream:
		look(m.started + joinAnyway)
		if m.left {
			look(m.leftAt + rejoinAfter)
		}
	case Both:
		look(m.watchAt + leaveAfter)
	case Mesh:
		look(m.getAt)
	}
	for _, t := range m.tags {
		look(t + unheardFor + 1)
		look(t + liveFor + 1)
	}
	return at
}

// unheard returns how many live tags are silent for too long, and forgets the dead.
func (m *mover) unheard(now time.Duration) (n int) {
	for tag, at := range m.tags {
		switch silent := now - at; {
		case silent > liveFor:
			delete(m.tags, tag)
		case silent > unheardFor:
			n++
		}
	}
	return n
}
