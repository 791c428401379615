// Package virtual gives an ordinary program the virtual time that testing/synctest gives to tests.
//
// All that runs in the bubble sees a clock that stands while anything runs and jumps to the next timer
// once everything waits. It begins at midnight UTC, 1 January 2000. What waits on something outside the
// bubble, a socket, a file or a channel made outside, holds the clock; that is a fault if forgotten, and
// otherwise the means to pace, to pause, and to keep several processes on one clock.
//
// A program has one bubble in its life. It has one processor too (GOMAXPROCS 1): two would quarrel over the bubble's
// lock and be slower than one.
//
// [Exact] says whether the program was built so that a run is repeated to the bit; see package exact.
package virtual

import (
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Start is the virtual time at which every bubble begins, in seconds of Unix time.
const Start = 946684800

var begun atomic.Bool

// Run calls f in a bubble and returns when f has. The bubble is left as it stands, with whatever still
// runs or waits in it: its clock does not go on, and nothing in it may be used any more but what is plain
// data. Randomness that the libraries take from crypto/rand comes from seed, as far as [Exact] or Go allows.
//
// It panics when it is called a second time. A panic in the bubble ends the program.
func Run(seed uint64, f func()) {
	if !begun.CompareAndSwap(false, true) {
		panic("virtual: a program has one bubble in its life")
	}
	runtime.GOMAXPROCS(1)
	done, never := make(chan struct{}), make(chan struct{})
	inTest(func(t *testing.T) {
		seedProcess(t, seed)
		synctest.Test(t, func(*testing.T) {
			f()
			close(done)
			<-never // made outside, so the clock stands
		})
	})
	<-done
}

// inTest starts f as what the machinery below synctest insists on, a test. testing.Main is the one entrance
// to it that is not for the go command alone; it would end the process, but f never returns.
func inTest(f func(*testing.T)) {
	if !flag.Parsed() {
		testing.Init()
		flag.CommandLine.Parse(nil) // the program's own arguments are none of its business
	}
	every := func(string, string) (bool, error) { return true, nil }
	go testing.Main(every, []testing.InternalTest{{Name: "virtual", F: f}}, nil, nil)
}

// Wait waits until everything else in the bubble waits. It is called from one goroutine at a time.
func Wait() { synctest.Wait() }

// SleepUntil sleeps until an instant. In an exact program the turn of who wakes then, among all that is due, depends on the
// instant alone.
func SleepUntil(t time.Time) {
	Once(uint64(t.UnixNano()), func() { time.Sleep(time.Until(t)) })
}

// source is a seeded stream that many may read.
type source struct {
	mu  sync.Mutex
	src *rand.ChaCha8
}

func newSource(seed uint64) io.Reader {
	key := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("virtual "), seed))
	return &source{src: rand.NewChaCha8(key)}
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.src.Read(b)
}
