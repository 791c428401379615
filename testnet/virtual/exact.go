//go:build exact

package virtual

import (
	"crypto/rand"
	"io"
	"math"
	mathrand "math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"testing"
	_ "unsafe" // for go:linkname
)

// Exact says whether the same seed gives the same run. This program was built by package exact, so it does.
const Exact = true

// runtimeEnter is in the patched runtime: without it this file does not link.
//
//go:linkname runtimeEnter runtime.simEnter
func runtimeEnter(s *stream) (before *stream)

// A stream is what the patched runtime knows as simStream.
type stream struct {
	state, seed uint64
	_, _        uint64 // of the runtime
}

func newStream(seed uint64) *stream { return &stream{state: seed, seed: seed} }

//go:linkname setTestingReader crypto/internal/rand.SetTestingReader
func setTestingReader(io.Reader)

var nodes struct {
	mu     sync.Mutex
	seed   uint64
	stream map[uint64]*stream
}

// seedProcess gives the calling goroutine, and with it all of the bubble that belongs to no node, the stream of
// node 0, has Go's own cryptography draw from the stream of whoever asks, and leaves collecting the heap to
// the bubble.
func seedProcess(_ *testing.T, seed uint64) {
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(math.MaxInt64) // else GOMEMLIMIT would have it collected at any instant
	shake(os.Getenv(Shake))
	nodes.seed, nodes.stream = seed, map[uint64]*stream{}
	runtimeEnter(streamOf(0))
	setTestingReader(drawn{})
	rand.Reader = drawn{}
}

// Shake is a variable of the environment. With another number each time an exact program lays its objects at other
// addresses; what it does must be the same, which is how a test shows that nothing depends on them.
const Shake = "HUM_SHAKE"

var shaken [][]any

// shake fills the heap with objects of many sizes and leaves holes between them, for others to fall into.
func shake(number string) {
	seed, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return
	}
	draw := mathrand.New(mathrand.NewPCG(seed, 0))
	for size := 8; size <= 1024; size += 8 {
		var all []any
		for range 256 << 10 / size / 8 {
			all = append(all, make([]byte, size), make([]*byte, size/8))
		}
		for i := range all {
			if draw.IntN(8) == 0 {
				all[i] = nil
			}
		}
		shaken = append(shaken, all)
	}
	runtime.GC()
}

// As calls f as part of the life of a node: in an exact program whatever chance decides in f, in goroutines
// that f starts and in timers that it sets depends on the seed and on this node alone.
func As(node uint64, f func()) {
	before := runtimeEnter(streamOf(node))
	defer runtimeEnter(before)
	f()
}

// Once calls f, in which chance depends on the seed and on key alone, whoever calls it and how often.
func Once(key uint64, f func()) {
	before := runtimeEnter(newStream(mix(nodes.seed ^ mix(key+0x6f6e6365))))
	defer runtimeEnter(before)
	f()
}

func streamOf(node uint64) *stream {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.stream[node]
	if s == nil {
		s = newStream(mix(nodes.seed ^ mix(node+0x9e3779b97f4a7c15)))
		nodes.stream[node] = s
	}
	return s
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// drawn reads from the stream of the node that reads.
type drawn struct{}

func (drawn) Read(b []byte) (int, error) {
	for i := 0; i < len(b); i += 8 {
		x := mathrand.Uint64()
		for j := i; j < min(i+8, len(b)); j++ {
			b[j] = byte(x)
			x >>= 8
		}
	}
	return len(b), nil
}
