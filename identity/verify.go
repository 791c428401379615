package identity

import (
	"crypto/ed25519"
	"crypto/sha256"
	"sync"
	"sync/atomic"

	"filippo.io/edwards25519"
)

// Verify reports whether sig is pub's signature of DS(label)||msg by the rule of SPEC 3.4, which every
// implementation decides alike: S < L, R compared byte for byte, and a key that [ValidKey] accepts.
func Verify(pub PublicKey, label string, msg []byte, sig Signature) bool {
	return VerifyRaw(pub, labelled(label, msg), sig)
}

// VerifyRaw is Verify for a message that carries no label.
func VerifyRaw(pub PublicKey, msg []byte, sig Signature) bool {
	// crypto/ed25519 refuses S >= L and compares the encoding of [S]B-[k]A with the bytes of R, so
	// only the key remains to be checked.
	if !ValidKey(pub) {
		return false
	}
	seen := goodSigs.Load()
	if seen == nil {
		return ed25519.Verify(pub[:], msg, sig[:])
	}
	h := sha256.New()
	h.Write(pub[:])
	h.Write(sig[:])
	h.Write(msg)
	key := PublicKey(h.Sum(nil))
	if seen.has(key) {
		return true
	}
	good := ed25519.Verify(pub[:], msg, sig[:])
	if good {
		seen.add(key)
	}
	return good
}

// goodSigs is nil unless [RememberSignatures] was called.
var goodSigs atomic.Pointer[keyCache]

// RememberSignatures has this process check no signature twice that was good, among the last n to 2n, by a digest of key,
// signature and message; what was bad is checked again. It is for a program in which many nodes live, each of which looks at
// the same record of one author: a node alone looks once, and its answers must not tell by their time what it has seen before.
func RememberSignatures(n int) { goodSigs.Store(&keyCache{limit: n}) }

// ValidKey reports whether pub may sign at all: a canonical encoding of a point that is not the
// identity and has no torsion, [L]A = 0 (SPEC 3.4). Accepted keys are remembered.
func ValidKey(pub PublicKey) bool {
	if goodKeys.has(pub) {
		return true
	}
	if !checkKey(pub) {
		return false
	}
	goodKeys.add(pub)
	return true
}

func checkKey(pub PublicKey) bool {
	a, err := new(edwards25519.Point).SetBytes(pub[:])
	if err != nil || PublicKey(a.Bytes()) != pub { // SetBytes takes y >= p and -0 as well
		return false
	}
	identity := edwards25519.NewIdentityPoint()
	if a.Equal(identity) == 1 {
		return false
	}
	// [L]A is [L-1]A + A: L itself is 0 as a scalar.
	la := new(edwards25519.Point).VarTimeDoubleScalarBaseMult(minusOne(), a, edwards25519.NewScalar())
	return la.Add(la, a).Equal(identity) == 1
}

// minusOne returns the scalar L-1.
func minusOne() *edwards25519.Scalar {
	one, err := edwards25519.NewScalar().SetCanonicalBytes(append([]byte{1}, make([]byte, 31)...))
	if err != nil {
		panic("identity: 1 is not canonical")
	}
	return one.Negate(one)
}

// goodKeys spares the multiplication by L for keys seen before. It and goodSigs are the variables of this
// package: they hold nothing that a caller could tell from a second look.
var goodKeys = keyCache{limit: 8192}

// A keyCache is a bounded set of keys in two generations: when the young one is full it becomes
// the old one, and what was old is forgotten. A key in use is carried over.
type keyCache struct {
	limit int // of each generation

	mu         sync.RWMutex
	young, old map[PublicKey]struct{}
}

func (c *keyCache) has(k PublicKey) bool {
	c.mu.RLock()
	_, young := c.young[k]
	_, old := c.old[k]
	c.mu.RUnlock()
	if old && !young {
		c.add(k)
	}
	return young || old
}

func (c *keyCache) add(k PublicKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.limit {
		c.young, c.old = nil, c.young
	}
	if c.young == nil {
		c.young = make(map[PublicKey]struct{})
	}
	c.young[k] = struct{}{}
}
