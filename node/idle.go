package node

import (
	"context"
	"errors"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
)

// An Input says since when the user has given this machine no input, the zero time if he is there. Its
// error says in words why it cannot tell.
type Input func(context.Context) (since time.Time, err error)

const (
	idleAfter = 10 * time.Minute
	idleLook  = 5 * time.Second // how often Input is asked: so soon is the user back by himself
	idleLeast = time.Minute     // below that, reading a page would count as being away
)

var errIdleAfter = errors.New(`it is a time of 1m or more, such as 10m, or "never"`)

// ParseIdleAfter reads the setting idle_after: 0 for none, a negative time for never.
func ParseIdleAfter(s string) (time.Duration, error) {
	switch s {
	case "":
		return 0, nil
	case "never":
		return -1, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < idleLeast {
		return 0, errIdleAfter
	}
	return d, nil
}

// idleAfter is how long no input comes until idle is shown; negative: never.
func (n *Node) idleAfter() time.Duration {
	if n.cfg.IdleAfter != 0 {
		return n.cfg.IdleAfter
	}
	if d, _ := ParseIdleAfter(n.settings.IdleAfter); d != 0 {
		return d
	}
	return idleAfter
}

// minds reports whether the node looks after the user's input at all.
func (n *Node) minds() bool {
	return n.cfg.Input != nil && n.idleAfter() > 0 && n.self.Services&identity.Presentity != 0
}

// lookIdle asks whether the user is there, and publishes what that changes. What he said of himself is
// input too: a word that he typed begins a new time without any.
func (n *Node) lookIdle(ctx context.Context) error {
	if !n.minds() {
		return nil
	}
	at, err := n.cfg.Input(ctx)
	now := n.now()
	l := &n.looking
	l.mu.Lock()
	l.cannot = ""
	if err != nil {
		l.cannot = err.Error()
	}
	silent := identity.Time(0)
	if err == nil && !at.IsZero() {
		if since := max(identity.TimeOf(at), l.spoke); now.Wall.Sub(since) >= n.idleAfter() {
			silent = since
		}
	}
	news := (silent != 0) != (l.silent != 0)
	if news {
		l.silent = silent
	}
	l.mu.Unlock()
	if !news {
		return nil
	}
	err = n.publishSilence()
	if err != nil { // it is tried again
		l.mu.Lock()
		l.silent = 0
		if silent == 0 {
			l.silent = now.Wall
		}
		l.mu.Unlock()
	}
	return err
}

// publishSilence tells my watchers what my idleness makes of the word that I gave. What counts is how it is
// when the pass is led: the user may have spoken meanwhile.
func (n *Node) publishSilence() error {
	return n.eachView(n.update, func(t *txn, view presence.View, pub presence.Publisher) error {
		if view.Name == presence.DefaultView && pub.Dirty {
			t.emit(Event{Kind: "presence", Address: n.self.Address, Name: "me", State: publishedWord(pub), Text: pub.Choice.Note})
		}
		t.after(n.publish.nudge)
		return n.publishDue(t, view, &pub)
	})
}

// userSpoke notes a word of the user's about himself, which holds whatever his machine notices.
func (n *Node) userSpoke() {
	n.looking.mu.Lock()
	defer n.looking.mu.Unlock()
	n.looking.spoke, n.looking.silent = n.now().Wall, 0
}

// silence is since when no input comes, as it counts; 0: the user is there.
func (n *Node) silence() identity.Time {
	n.looking.mu.Lock()
	defer n.looking.mu.Unlock()
	return n.looking.silent
}
