package sim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"time"

	"github.com/hum-presence/hum/testnet"
)

// A trace is a hash of every frame that every node obtained: when, from whom, on which stream, and its bytes. Each node
// has its own, so that it says nothing about the order in which different nodes took their turns at one instant.
type trace []hash.Hash

// follow begins a trace of all nodes.
func (w *World) follow() trace {
	t := make(trace, len(w.Peers))
	for i, p := range w.Peers {
		h := sha256.New()
		t[i] = h
		w.Net.Capture(p.IP, func(c testnet.Chunk) {
			b := make([]byte, 0, 64)
			for _, v := range []uint64{uint64(c.At.Sub(w.begin) / time.Nanosecond), c.Stream, uint64(len(c.Data))} {
				b = binary.BigEndian.AppendUint64(b, v)
			}
			h.Write(append(b, c.From...))
			h.Write(c.Data)
		})
	}
	return t
}

// sum is the hash of all.
func (t trace) sum() string {
	all := sha256.New()
	for _, h := range t {
		all.Write(h.Sum(nil))
	}
	return hex.EncodeToString(all.Sum(nil))
}

// sumOf is the hash of what several processes traced, each line the number of a node and its hash.
func sumOf(lines map[string]bool) string {
	t := make([]string, len(lines))
	for line := range lines {
		var n int
		var h string
		if _, err := fmt.Sscan(line, &n, &h); err == nil && n < len(t) {
			t[n] = h
		}
	}
	all := sha256.New()
	for _, h := range t {
		b, _ := hex.DecodeString(h)
		all.Write(b)
	}
	return hex.EncodeToString(all.Sum(nil))
}
