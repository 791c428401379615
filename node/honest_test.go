package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p"
)

func mono(d time.Duration) identity.Now { return identity.Now{Mono: d} }

// TestHintBook leads the last connection to somebody through breaks and returns.
func TestHintBook(t *testing.T) {
	var h hintBook
	bob := identity.Address{2}
	expect := func(what string, lost, grace time.Duration, broken bool) {
		t.Helper()
		l, g, ok := h.of(bob)
		if ok != broken || broken && (l != lost || g != grace) {
			t.Errorf("%s: lost %v, grace %v, broken %v; want %v, %v, %v", what, l, g, ok, lost, grace, broken)
		}
	}
	expect("never connected", 0, 0, false)
	h.back(bob, mono(time.Second))
	expect("connected", 0, 0, false)
	h.broke(bob, mono(time.Minute))
	h.broke(bob, mono(2*time.Minute))
	expect("the first break counts", time.Minute, hintAfter, true)
	h.back(bob, mono(3*time.Minute))
	expect("back", 0, 0, false)
	h.broke(bob, mono(3*time.Minute+59*time.Second))
	expect("broken again within a minute", 3*time.Minute+59*time.Second, hintFlapped, true)
	h.back(bob, mono(4*time.Minute))
	h.broke(bob, mono(5*time.Minute))
	expect("broken after a calm minute", 5*time.Minute, hintAfter, true)
}

// TestCosts takes an hour by its samples, and none by less than a minute.
func TestCosts(t *testing.T) {
	spent := func(topics, parcels uint64) map[p2p.Service]p2p.Traffic {
		return map[p2p.Service]p2p.Traffic{p2p.Topics: {In: topics, Out: 2 * topics}, p2p.Parcels: {In: parcels}}
	}
	var c costs
	c.note(0, spent(0, 0))
	if r := c.rates(30*time.Second, spent(600, 0)); r[0].Service != "topics" || r[0].In != 600 || r[0].InPerHour != 0 {
		t.Errorf("after half a minute: %+v", r[0])
	}
	for m := range 180 { // 100 bytes a minute on topics, the messages all in the first hour
		at := time.Duration(m+1) * time.Minute
		c.note(at-time.Second, spent(1, 1)) // too soon after the last: no sample
		c.note(at, spent(uint64(m+1)*100, min(uint64(m+1)*50, 3000)))
	}
	r := c.rates(3*time.Hour, spent(18_000, 3000))
	if r[0].InPerHour != 6000 || r[0].OutPerHour != 12_000 || r[2].Service != "messages" || r[2].InPerHour != 0 || r[2].In != 3000 {
		t.Errorf("after three hours: %+v", r)
	}
	if len(c.samples) > 62 {
		t.Errorf("%d samples are kept", len(c.samples))
	}
}

// TestIdleAfter reads the setting.
func TestIdleAfter(t *testing.T) {
	for text, want := range map[string]time.Duration{"": 0, "never": -1, "10m": 10 * time.Minute, "1h30m": 90 * time.Minute, "1m": time.Minute} {
		if d, err := ParseIdleAfter(text); d != want || err != nil {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"59s", "-5m", "0", "10", "soon", "Never"} {
		if d, err := ParseIdleAfter(text); err == nil {
			t.Errorf("%q is %v", text, d)
		}
	}
}

// TestMeasures refuses names that are nobody's to give.
func TestMeasures(t *testing.T) {
	if checkMeasures(nil) != nil || checkMeasures(&[]Measure{{"x.example.org/a", ""}, {"x.example.org/b/c", "1"}}) != nil {
		t.Error("good names are refused")
	}
	for name, bad := range map[string][]Measure{
		"a registered name":    {{"mood", "happy"}},
		"no domain":            {{"x.temperature", "1"}},
		"no dot":               {{"x.localhost/a", "1"}},
		"no name":              {{"x.example.org/", "1"}},
		"no mark":              {{"example.org/a", "1"}},
		"one that comes twice": {{"x.example.org/a", "1"}, {"x.example.org/a", "2"}},
		"too many":             many(maxMeasures + 1),
	} {
		if checkMeasures(&bad) == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func many(n int) (out []Measure) {
	for i := range n {
		out = append(out, Measure{Name: "x.example.org/" + string(rune('a'+i)), Value: "1"})
	}
	return out
}

// TestBrief says durations as people do.
func TestBrief(t *testing.T) {
	for d, want := range map[time.Duration]string{-time.Second: "0 s", 59 * time.Second: "59 s", 90 * time.Second: "1 min", 47 * time.Hour: "47 h", 49 * time.Hour: "2 d"} {
		if got := brief(d); got != want {
			t.Errorf("%v: %q", d, got)
		}
	}
}
