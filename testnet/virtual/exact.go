//go:build exact

package virtual

import (
	"crypto/rand"
	"io"
	mathrand "math/rand/v2"
	"runtime/debug"
	"sync"
	"testing"
	_ "unsafe" // for go:linkname
)

// Exact says whether the same seed gives the same run. This program was built by package exact, so it does.
const Exact = true

// runtimeEnter is in the patched runtime: without it this file does not link.
//
//go:linkname runtimeEnter runtime.simEnter
func runtimeEnter(stream *uint64) (before *uint64)

//go:linkname setTestingReader crypto/internal/rand.SetTestingReader
func setTestingReader(io.Reader)

var nodes struct {
	mu     sync.Mutex
	seed   uint64
	stream map[uint64]*uint64
}

// seedProcess gives the calling goroutine, and with it all of the bubble that belongs to no node, the stream of
// node 0, has Go's own cryptography draw from the stream of whoever asks, and leaves collecting the heap to
// the bubble.
func seedProcess(_ *testing.T, seed uint64) {
	debug.SetGCPercent(-1)
	nodes.seed, nodes.stream = seed, map[uint64]*uint64{}
	runtimeEnter(streamOf(0))
	setTestingReader(drawn{})
	rand.Reader = drawn{}
}

// As calls f as part of the life of a node: in an exact program whatever chance decides in f, in goroutines
// that f starts and in timers that it sets depends on the seed and on this node alone.
func As(node uint64, f func()) {
	before := runtimeEnter(streamOf(node))
	defer runtimeEnter(before)
	f()
}

func streamOf(node uint64) *uint64 {
	nodes.mu.Lock()
	defer nodes.mu.Unlock()
	s := nodes.stream[node]
	if s == nil {
		s = new(uint64)
		*s = mix(nodes.seed ^ mix(node+0x9e3779b97f4a7c15))
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
