package presence

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/p2p/wire"
)

// TestCoalescing has somebody change his mind at random, and at random much: a change after a pause is said
// at once, a burst is merged, what is said is always the newest then, and the last word is never lost. In
// between come heartbeats, each a little early or late.
func TestCoalescing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, v := publishing()
		var now time.Duration
		updates, said, chosen := 0, "", ""
		var lastAny, lastUpdate time.Duration
		speak := func() {
			for _, x := range p.Publish(at(now), v, rapid.Float64Range(0, 0.999).Draw(t, "jitter")) {
				if pause := now - lastAny; x.Base != 0 && (pause < 54*time.Second || pause > 66*time.Second) {
					t.Fatalf("a beacon %v after the record before it", pause)
				}
				if lastAny = now; x.Base != 0 {
					continue
				}
				updates, lastUpdate, said = updates+1, now, x.Doc.Notes[0].Text
				if said != chosen {
					t.Fatalf("said %q while the word was %q", said, chosen)
				}
			}
		}
		choose := func(i int) {
			chosen = fmt.Sprint("word ", i)
			if _, err := p.Choose(at(now), Choice{Basic: wire.Open, IM: wire.Available, Note: chosen}); err != nil {
				t.Fatal(err)
			}
		}
		rest := func(until time.Duration) {
			for wake := now + p.Wake(at(now), v); wake <= until; wake = now + p.Wake(at(now), v) {
				now = max(wake, now+time.Millisecond)
				speak()
			}
			now = until
		}
		choose(0)
		speak()
		for i := range rapid.IntRange(1, 60).Draw(t, "changes") {
			pause := time.Duration(rapid.SampledFrom([]int{0, 1, 50, 300, 1000, 5000, 12_000, 90_000}).Draw(t, "ms")) * time.Millisecond
			rest(now + pause)
			quiet := now-lastUpdate >= wire.UpdateBurst*wire.UpdateEvery && said == chosen
			choose(i + 1)
			speak()
			if quiet && said != chosen {
				t.Fatalf("after %v of rest a change had to wait", now-lastUpdate)
			}
		}
		if most := wire.UpdateBurst + int(now/wire.UpdateEvery) + 1; updates > most {
			t.Fatalf("%d updates in %v", updates, now)
		}
		rest(now + wire.UpdateEvery)
		if said != chosen {
			t.Fatalf("the last word %q is lost: %q", chosen, said)
		}
	})
}
