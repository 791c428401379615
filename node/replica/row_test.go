package replica

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/identity"
)

const start identity.Time = 1_750_000_000_000

var one, two, three = DeviceID{1}, DeviceID{2}, DeviceID{3}

func at(d time.Duration) Now { return Now{Wall: start.Add(d), Heard: start} }

func TestTake(t *testing.T) {
	held := Row{Word: Word{T: start, Author: two}, Has: []DeviceID{one, two}}
	future := start.Add(24 * time.Hour)
	tests := []struct {
		name string
		held Row
		in   Word
		from DeviceID
		want Row
		as   Verdict
		err  error
	}{
		{"first word", Row{}, Word{T: start, Author: one}, one, Row{Word{T: start, Author: one}, []DeviceID{one}}, Newer, nil},
		{"passed on", Row{}, Word{T: start, Author: one}, three, Row{Word{T: start, Author: one}, []DeviceID{one, three}}, Newer, nil},
		{"newer", held, Word{T: start + 1, Author: one}, one, Row{Word{T: start + 1, Author: one}, []DeviceID{one}}, Newer, nil},
		{"deleted later", held, Word{T: start + 1, Author: one, Deleted: true}, one, Row{Word{T: start + 1, Author: one, Deleted: true}, []DeviceID{one}}, Newer, nil},
		{"equal time, larger device", held, Word{T: start, Author: three}, three, Row{Word{T: start, Author: three}, []DeviceID{three}}, Newer, nil},
		{"equal time, smaller device", held, Word{T: start, Author: one}, one, Row{held.Word, []DeviceID{two}}, Older, nil},
		{"the same again", held, held.Word, three, Row{held.Word, []DeviceID{one, two, three}}, Same, nil},
		{"older, from one that lost its memory", held, Word{T: start - 1, Author: one}, one, Row{held.Word, []DeviceID{two}}, Older, nil},
		{"from the future", held, Word{T: start.Add(identity.Skew) + 1, Author: one}, one, held, Same, ErrAhead},
		{"after a clock that ran ahead", Row{Word: Word{T: future, Author: two}}, Word{T: start + 1, Author: one}, one,
			Row{Word{T: start + 1, Author: one}, []DeviceID{one}}, Newer, nil},
	}
	for _, test := range tests {
		got, as, err := test.held.Take(at(0), test.in, test.from)
		if !reflect.DeepEqual(got, test.want) || as != test.as || err != test.err {
			t.Errorf("%s: %+v, %v, %v; want %+v, %v, %v", test.name, got, as, err, test.want, test.as, test.err)
		}
	}
}

// TestWriteOutranks has a device whose clock is slow still have the last word on what it has seen.
func TestWriteOutranks(t *testing.T) {
	seen := Row{Word: Word{T: start.Add(time.Minute), Author: two}}
	r := seen.Write(at(0), one, start, true)
	if !r.Newer(seen.Word) || r.Author != one || !r.Deleted || len(r.Has) > 0 {
		t.Errorf("%+v after %+v", r, seen)
	}
	if again := r.Write(at(0), one, r.T, false); !again.Newer(r.Word) {
		t.Errorf("%+v after %+v", again, r)
	}
	if r := seen.Write(at(0), one, start.Add(90*time.Second), false); r.T <= start.Add(90*time.Second) {
		t.Errorf("the stamp %d is not above the last one", r.T)
	}
}

func TestLacks(t *testing.T) {
	r := Row{Word: Word{T: start, Author: one}, Has: []DeviceID{two}}
	if got := r.Lacks([]DeviceID{one, two, three}); !slices.Equal(got, []DeviceID{three}) {
		t.Errorf("lacking: %v", got)
	}
	if !r.Told(three) || r.Told(three) || len(r.Lacks([]DeviceID{two, three})) > 0 {
		t.Errorf("after the ack: %+v", r)
	}
}

func TestForgettable(t *testing.T) {
	gone := Row{Word: Word{T: start, Author: one, Deleted: true}}
	late := Now{Wall: start.Add(DeletionKept) + 1, Heard: start.Add(DeletionKept) + 1}
	half := Now{Wall: late.Wall, Heard: start}
	if gone.Forgettable(at(0)) || gone.Forgettable(half) || !gone.Forgettable(late) {
		t.Error("a deletion is kept for 90 days by both clocks")
	}
	if (Row{Word: Word{T: start, Author: one}}).Forgettable(late) {
		t.Error("a row that stands is never forgotten")
	}
}

// drawWord draws a word such as honest devices say: its author and time determine it.
func drawWord(t *rapid.T) Word {
	w := Word{T: start + identity.Time(rapid.IntRange(0, 3).Draw(t, "t")), Author: DeviceID{byte(rapid.IntRange(1, 3).Draw(t, "author"))}}
	w.Deleted = (uint64(w.T)+uint64(w.Author[0]))%2 == 0
	return w
}

// TestMerging holds merging to I27: the order, the grouping and the repetition of words do not matter.
func TestMerging(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOfN(rapid.Custom(drawWord), 1, 6).Draw(t, "words")
		again := rapid.Permutation(append(slices.Clone(words), words...)).Draw(t, "again")
		if err := merged(words, again, byRule); err != nil {
			t.Fatal(err)
		}
	})
}

// A rule is how a word is taken beside the one that is held.
type rule func(r Row, w Word) Row

func byRule(r Row, w Word) Row {
	r, _, _ = r.Take(at(0), w, w.Author)
	return r
}

// merged errs unless both rows of words lead to the newest of them.
func merged(words, again []Word, take rule) error {
	newest := slices.MaxFunc(words, func(a, b Word) int {
		if a.Newer(b) {
			return 1
		}
		return -1
	})
	for _, order := range [][]Word{words, again} {
		var r Row
		for _, w := range order {
			r = take(r, w)
		}
		if !r.same(newest) {
			return fmt.Errorf("%+v counts, not %+v, of %+v", r.Word, newest, order)
		}
	}
	return nil
}

// TestMergingFinds plants rules that are wrong.
func TestMergingFinds(t *testing.T) {
	words := []Word{{T: start + 1, Author: one}, {T: start + 2, Author: one}, {T: start + 2, Author: two}, {T: start, Author: three, Deleted: true}}
	again := slices.Clone(words)
	slices.Reverse(again)
	for name, planted := range map[string]rule{
		"the older wins": func(r Row, w Word) Row {
			if r.T == 0 || r.Newer(w) {
				r.Word = w
			}
			return r
		},
		"what is heard last wins": func(r Row, w Word) Row { return Row{Word: w} },
		"the time alone decides": func(r Row, w Word) Row {
			if w.T > r.T {
				r.Word = w
			}
			return r
		},
	} {
		if merged(words, again, planted) == nil {
			t.Errorf("not found: %s", name)
		}
	}
	if err := merged(words, again, byRule); err != nil {
		t.Error(err)
	}
}

// home is a device with its rows, for the model below.
type home struct {
	me   DeviceID
	skew time.Duration
	last Stamp
	rows map[byte]Row
	says map[byte]string
}

type item struct {
	key byte
	Word
	says string
}

func (h *home) now(clock time.Duration) Now {
	n := at(clock + h.skew)
	n.Heard = 0
	return n
}

func (h *home) write(clock time.Duration, key byte, says string) {
	r := h.rows[key].Write(h.now(clock), h.me, h.last, says == "")
	h.last, h.rows[key], h.says[key] = r.T, r, says
}

// owed is what h would send to d now.
func (h *home) owed(d DeviceID) (out []item) {
	for k, r := range h.rows {
		if slices.Contains(r.Lacks([]DeviceID{d}), d) {
			out = append(out, item{k, r.Word, h.says[k]})
		}
	}
	slices.SortFunc(out, func(a, b item) int { return int(a.key) - int(b.key) })
	return out
}

func (h *home) take(clock time.Duration, x item, from DeviceID) error {
	r, as, err := h.rows[x.key].Take(h.now(clock), x.Word, from)
	if err != nil {
		return err
	}
	h.rows[x.key] = r
	if as == Newer {
		h.says[x.key] = x.says
	}
	return nil
}

func (h *home) acked(x item, by DeviceID) {
	if r := h.rows[x.key]; r.Word == x.Word {
		r.Told(by)
		h.rows[x.key] = r
	}
}

// TestConverges holds three homes to I28: whatever is lost, repeated or late, and however their clocks
// differ within S, they end alike as soon as they can talk, and nobody owes anybody anything.
func TestConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		homes := []*home{}
		for i := range 3 {
			skew := time.Duration(rapid.IntRange(-60, 60).Draw(t, "skew")) * time.Second
			homes = append(homes, &home{DeviceID{byte(i + 1)}, skew, 0, map[byte]Row{}, map[byte]string{}})
		}
		var clock time.Duration
		var flying []func()
		send := func(a, b *home, lose bool) {
			for _, x := range a.owed(b.me) {
				flying = append(flying, func() {
					if b.take(clock, x, a.me) == nil && !lose {
						flying = append(flying, func() { a.acked(x, b.me) })
					}
				})
			}
		}
		pick := func() *home { return rapid.SampledFrom(homes).Draw(t, "home") }
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				h := pick()
				h.write(clock, byte(rapid.IntRange(1, 3).Draw(t, "key")), rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "says")+string(h.me[:1]))
			},
			"delete": func(t *rapid.T) { pick().write(clock, byte(rapid.IntRange(1, 3).Draw(t, "key")), "") },
			"send":   func(t *rapid.T) { send(pick(), pick(), rapid.Bool().Draw(t, "ack lost")) },
			"arrive": func(t *rapid.T) {
				if len(flying) > 0 {
					i := rapid.IntRange(0, len(flying)-1).Draw(t, "which")
					f := flying[i]
					if !rapid.Bool().Draw(t, "again") {
						flying = slices.Delete(flying, i, i+1)
					}
					f()
				}
			},
			"wait": func(t *rapid.T) { clock += time.Duration(rapid.IntRange(0, 90).Draw(t, "s")) * time.Second },
		})
		clock += 5 * time.Minute
		for round := 0; ; round++ {
			flying = nil
			for _, a := range homes {
				for _, b := range homes {
					if a != b {
						send(a, b, false)
					}
				}
			}
			if len(flying) == 0 {
				break
			}
			if round > 20 {
				t.Fatal("they never come to rest")
			}
			for len(flying) > 0 {
				f := flying[0]
				flying = flying[1:]
				f()
			}
		}
		for _, h := range homes[1:] {
			if !reflect.DeepEqual(h.says, homes[0].says) {
				t.Fatalf("%v says %v, %v says %v", homes[0].me, homes[0].says, h.me, h.says)
			}
		}
	})
}
