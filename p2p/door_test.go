package p2p

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A clock that tests set.
type setClock struct {
	mu  sync.Mutex
	now identity.Now
}

func (c *setClock) read() identity.Now {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *setClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now.Wall, c.now.Mono = c.now.Wall.Add(d), c.now.Mono+d
}

func doorAt(c *setClock) *door {
	return newDoor(&Net{cfg: Config{Clock: c.read}, stats: &counters{}})
}

func TestDoor(t *testing.T) {
	x := newEpoch("door")
	other := newEpoch("other")
	base := Time(1_800_000_000_000)
	up := func(t Time) []byte { return wire.NewUpdate(x.key, x.tag, t, x.ct).Raw }
	beat := func(t, b Time) []byte { return wire.NewBeacon(x.key, x.tag, t, b).Raw }
	flip := func(b []byte) []byte { b[len(b)-1] ^= 1; return b }
	tagged := func(i byte, t Time) []byte { return wire.NewUpdate(x.key, wire.Tag{i}, t, x.ct).Raw }
	many := func(n int, rec func(i int) []byte) (out [][]byte) {
		for i := range n {
			out = append(out, rec(i))
		}
		return out
	}
	tests := []struct {
		name   string
		before [][]byte
		in     []byte
		want   verdict
	}{
		{"an update", nil, up(base), accept},
		{"a beacon that overtakes its update", nil, beat(base+60_000, base), accept},
		{"the update that was overtaken", [][]byte{beat(base+60_000, base)}, up(base), accept},
		{"again", [][]byte{up(base)}, up(base), ignore},
		{"older", [][]byte{up(base)}, up(base - 1), ignore},
		{"a beacon older than the update", [][]byte{up(base)}, beat(base-1, base-2), accept},
		{"skew", nil, up(base + 120_000), accept},
		{"ahead", nil, up(base + 120_001), ignore},
		{"an hour old", nil, up(base - 3_600_000), accept},
		{"older than an hour", nil, up(base - 3_600_001), ignore},
		{"beacon of itself", nil, beat(base, base), reject},
		{"wrong signature", nil, flip(up(base)), reject},
		{"signed by another", nil, wire.NewUpdate(other.key, x.tag, base, x.ct).Raw, reject},
		{"ct of no pad class", nil, wire.NewUpdate(x.key, x.tag, base, x.ct[1:]).Raw, reject},
		{"neither base nor ct", nil, wire.NewUpdate(x.key, x.tag, base, nil).Raw, reject},
		{"too large", nil, wire.NewUpdate(x.key, x.tag, base, make([]byte, 28+8192)).Raw, reject},
		{"byte left over", nil, append(up(base), 0), reject},
		{"nothing", nil, nil, reject},
		{"sixteenth tag", many(15, func(i int) []byte { return tagged(byte(100+i), base) }), up(base), accept},
		{"seventeenth tag", many(16, func(i int) []byte { return tagged(byte(100+i), base) }), up(base), ignore},
		{"fifteen at once", many(14, func(i int) []byte { return up(base - 100 + Time(i)) }), up(base), accept},
		{"sixteen at once", many(15, func(i int) []byte { return up(base - 100 + Time(i)) }), up(base), ignore},
		{"a forged one takes nothing", many(30, func(i int) []byte { return flip(up(base - 100 + Time(i))) }), up(base), accept},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := doorAt(&setClock{now: identity.Now{Wall: base}})
			d.open(x.e)
			for _, b := range tt.before {
				d.take(x.e, b)
			}
			if _, got := d.take(x.e, tt.in); got != tt.want {
				t.Errorf("verdict %d, want %d; refused %v", got, tt.want, d.n.stats.refusals())
			}
		})
	}
	t.Run("a key we are not on", func(t *testing.T) {
		if _, got := doorAt(&setClock{now: identity.Now{Wall: base}}).take(x.e, up(base)); got != ignore {
			t.Errorf("verdict %d", got)
		}
	})
	t.Run("the rate refills by one a second", func(t *testing.T) {
		c := &setClock{now: identity.Now{Wall: base}}
		d := doorAt(c)
		d.open(x.e)
		accepted := 0
		for i := range 75 {
			if _, v := d.take(x.e, up(base+Time(i))); v == accept {
				accepted++
			}
			if i >= 15 {
				c.pass(time.Second)
			}
		}
		if accepted != 74 {
			t.Errorf("accepted %d, want 15 at once and 59 of 60 by the second", accepted)
		}
	})
}

func TestDoorHolds(t *testing.T) {
	x := newEpoch("holds")
	c := &setClock{now: identity.Now{Wall: x.t}}
	d := doorAt(c)
	d.serve(x.e, x.t.Add(time.Minute))
	u1 := x.update()
	b1 := x.beacon(u1.T)
	u2 := x.update()
	b2 := x.beacon(u2.T)
	for i, step := range []struct {
		rec  wire.Rec
		want []wire.Rec
	}{{u1, []wire.Rec{u1}}, {b1, []wire.Rec{u1, b1}}, {b2, []wire.Rec{u1}}, {u2, []wire.Rec{u2, b2}}} {
		if _, v := d.take(x.e, step.rec.Raw); v != accept {
			t.Fatalf("step %d: verdict %d", i, v)
		}
		got := d.keys[x.e].holds()
		if len(got) != len(step.want) {
			t.Fatalf("step %d: holds %d recs, want %d", i, len(got), len(step.want))
		}
		for j := range got {
			if got[j].T != step.want[j].T {
				t.Errorf("step %d: holds t %d, want %d", i, got[j].T, step.want[j].T)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		pass  time.Duration
		known bool
	}{{"until", time.Minute, true}, {"until and the skew", 120 * time.Second, true}, {"then", time.Millisecond, false}} {
		c.pass(tt.pass)
		if got := d.keys[x.e].serves(c.now); got != tt.known {
			t.Errorf("%s: served %v", tt.name, got)
		}
	}
	if got := d.ended(c.now); len(got) != 1 || got[0] != x.e {
		t.Errorf("ended: %v", got)
	}
}

// The Recs of the vectors pass the door as they say.
func TestDoorVectors(t *testing.T) {
	b, err := os.ReadFile("wire/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Vectors []struct {
			Name   string
			Inputs struct {
				Seed string `json:"E_seed"`
				E    string
				Ctx  uint32
				Rec  string
			}
			Outputs struct {
				Rec    string
				Accept bool
			}
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	counted := 0
	for _, v := range file.Vectors {
		in, want := v.Inputs.Rec, reject
		switch {
		case strings.HasPrefix(v.Name, "strict-"):
			if v.Outputs.Accept {
				want = accept
			}
		case v.Inputs.Seed != "" && v.Outputs.Rec != "":
			in, want = v.Outputs.Rec, accept
		default:
			continue
		}
		counted++
		e := PublicKey(unhex(t, v.Inputs.E))
		if v.Inputs.Seed != "" {
			e = identity.NewSigningKey([32]byte(unhex(t, v.Inputs.Seed))).Public()
		}
		raw := unhex(t, in)
		c := &setClock{now: identity.Now{Wall: 1_800_000_000_000}}
		if r, err := wire.ParseRec(raw); err == nil {
			c.now.Wall = r.T
		}
		d := doorAt(c)
		d.open(e)
		if _, got := d.take(e, raw); got != want {
			t.Errorf("%s: verdict %d, want %d", v.Name, got, want)
		}
	}
	if counted < 16 {
		t.Errorf("only %d vectors found", counted)
	}
}

func unhex(t *testing.T, s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		return make([]byte, 32)
	}
	return b
}
