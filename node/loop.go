package node

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A loop is one part of the node that works when something is due, or when it is nudged. Between its turns it is a timer
// and no goroutine, whose stack would stay as large as the largest of them needed.
type loop struct {
	mu    sync.Mutex
	turn  func() time.Duration // works, and says when it is due again; nil before start
	timer *time.Timer          // of the next turn
	busy  bool                 // a turn is under way
	again bool                 // nudged meanwhile
	over  bool
	turns sync.WaitGroup
}

// look is the longest a loop sleeps: a clock that was set is noticed within it.
const look = time.Minute

// retryAfter is how soon a loop looks again after its store failed it; nothing is lost by waiting.
const retryAfter = 5 * time.Second

// start has work called now, and whenever what it named is due, until ctx ends.
func (l *loop) start(ctx context.Context, log *slog.Logger, name string, work func(context.Context) (time.Duration, error)) {
	failing := false // said once, not at every try
	l.mu.Lock()
	defer l.mu.Unlock()
	l.turn = func() time.Duration {
		if ctx.Err() != nil {
			return look
		}
		pause, err := work(ctx)
		if err != nil {
			pause = retryAfter
			if !failing {
				log.Warn("a part of the node failed; it is tried again", "part", name, "err", err)
			}
		}
		failing = err != nil
		return min(max(pause, time.Millisecond), look)
	}
	l.timer = time.AfterFunc(look, l.due)
	l.begin()
}

// nudge has the loop look again soon.
func (l *loop) nudge() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.turn == nil || l.over: // it looks when it starts, or not any more
	case l.busy:
		l.again = true
	default:
		l.begin()
	}
}

func (l *loop) due() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.busy && !l.over {
		l.begin()
	}
}

// begin begins a turn; l.mu is held.
func (l *loop) begin() {
	l.busy = true
	l.timer.Stop()
	l.turns.Go(func() {
		for more := true; more; {
			more = l.ended(l.turn())
		}
	})
}

// ended ends a turn, and says whether another follows at once.
func (l *loop) ended(pause time.Duration) (more bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.again && !l.over {
		l.again = false
		return true
	}
	if l.busy = false; !l.over {
		l.timer.Reset(pause)
	}
	return false
}

// end has no turn begin any more, and waits for the one that is under way.
func (l *loop) end() {
	l.mu.Lock()
	l.over = true
	if l.timer != nil {
		l.timer.Stop()
	}
	l.mu.Unlock()
	l.turns.Wait()
}
