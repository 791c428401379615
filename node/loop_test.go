package node

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoop: a loop works when it starts, when something is due and once for all nudges that come meanwhile; nobody waits
// for it between its turns, and it has none after its end.
func TestLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loop
		var said strings.Builder
		began := time.Now()
		var mu sync.Mutex // of what follows
		var at []time.Duration
		takes, pause, fails := time.Duration(0), 10*time.Second, error(nil)
		set := func(t, p time.Duration, err error) {
			mu.Lock()
			defer mu.Unlock()
			takes, pause, fails = t, p, err
		}
		l.nudge() // before it starts
		ctx, cancel := context.WithCancel(t.Context())
		l.start(ctx, slog.New(slog.NewTextHandler(&said, nil)), "test", func(context.Context) (time.Duration, error) {
			mu.Lock()
			at = append(at, time.Since(began))
			took, next, err := takes, pause, fails
			mu.Unlock()
			time.Sleep(took)
			return next, err
		})
		until := func(d time.Duration, want ...time.Duration) {
			t.Helper()
			time.Sleep(time.Until(began.Add(d)))
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(at, want) {
				t.Fatalf("turns at %v, want %v", at, want)
			}
			at = nil
		}
		until(25*time.Second, 0, 10*time.Second, 20*time.Second)
		before := runtime.NumGoroutine()
		l.nudge()
		until(26*time.Second, 25*time.Second)
		if now := runtime.NumGoroutine(); now > before {
			t.Errorf("%d goroutines wait for a turn", now-before)
		}
		set(5*time.Second, 10*time.Second, nil)
		until(36*time.Second, 35*time.Second)
		l.nudge()
		l.nudge()
		until(46*time.Second, 40*time.Second)
		set(0, time.Hour, errors.New("planted"))
		until(62*time.Second, 55*time.Second, 60*time.Second)
		set(0, time.Hour, nil)
		until(4*time.Minute, 65*time.Second, 125*time.Second, 185*time.Second)
		if n := strings.Count(said.String(), "planted"); n != 1 {
			t.Errorf("said %d times: %s", n, &said)
		}
		set(5*time.Second, time.Hour, nil)
		l.nudge()
		time.Sleep(time.Second)
		l.nudge()
		l.end()
		if d := time.Since(began); d != 4*time.Minute+5*time.Second {
			t.Errorf("ended after %v", d)
		}
		l.nudge()
		until(10*time.Minute, 4*time.Minute)
		cancel()
	})
}
