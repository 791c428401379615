//go:build !exact

package virtual

import (
	"crypto/rand"
	"testing"
	"testing/cryptotest"
)

// Exact says whether the same seed gives the same run. With stock Go it does not: the order of goroutines, of
// select, of timers that are due at once and of the elements of maps is drawn by the runtime.
const Exact = false

// seedProcess seeds what stock Go lets a program seed: crypto/rand.Reader, and what Go's own cryptography draws
// only if the program was linked with -X testing.testBinary=1.
func seedProcess(t *testing.T, seed uint64) {
	if testing.Testing() {
		cryptotest.SetGlobalRandom(t, seed)
		return
	}
	rand.Reader = newSource(seed)
}

// As calls f as part of the life of a node: in an exact program whatever chance decides in f, in goroutines
// that f starts and in timers that it sets depends on the seed and on this node alone.
func As(node uint64, f func()) { f() }

// Once calls f, in which chance depends in an exact program on the seed and on key alone, whoever calls it and how often.
func Once(key uint64, f func()) { f() }
