package presence

import (
	"testing"
	"time"
)

func TestSuspect(t *testing.T) {
	good, bad := time.Duration(0), hour
	tests := []struct {
		name  string
		peers []time.Duration // how far each is from me
		now   Now
		want  bool
	}{
		{"nobody", nil, at(0), false},
		{"the only one agrees", []time.Duration{good}, at(0), false},
		{"the only one is off", []time.Duration{bad}, at(0), true},
		{"the only one is behind", []time.Duration{-bad}, at(0), true},
		{"one of two", []time.Duration{good, bad}, at(0), false},
		{"two of two", []time.Duration{bad, bad}, at(0), false},
		{"three of five", []time.Duration{good, bad, good, bad, bad}, at(0), true},
		{"within S", []time.Duration{2 * minute}, at(0), false},
		{"my clock stepped since", []time.Duration{good}, stepped(at(minute), hour), true},
		{"too long ago", []time.Duration{bad}, at(2 * hour), false},
		{"heard is ahead", nil, stepped(at(0), -hour), true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Clocks
			for i, off := range tt.peers {
				c.Told(at(0), Address{byte(i + 1)}, start.Add(off))
			}
			check(t, "suspect", c.Suspect(tt.now), tt.want)
		})
	}
}

func TestClocksAreBounded(t *testing.T) {
	var c Clocks
	for i := range 500 {
		c.Told(at(0), Address{byte(i), byte(i >> 8), 1}, start)
		c.Told(at(0), Address{byte(i), byte(i >> 8), 1}, 1<<64-1)
	}
	check(t, "peers", len(c.Peers), clockPeers)
}

func TestOffNamesWhomToAsk(t *testing.T) {
	var c Clocks
	c.Told(at(0), alice, at(0).Wall)
	c.Told(at(0), bob, at(hour).Wall)
	c.Told(at(minute), carol, at(minute-hour).Wall)
	if off := c.Off(at(2 * minute)); len(off) != 2 || off[0] != bob || off[1] != carol {
		t.Errorf("off: %v", off)
	}
	if off := c.Off(at(hour + 30*time.Second)); len(off) != 1 || off[0] != carol {
		t.Errorf("an hour later: %v", off)
	}
	c.Forget(alice)
	c.Forget(carol)
	if off := c.Off(at(2 * minute)); len(off) != 1 || off[0] != bob || !c.Suspect(at(2*minute)) {
		t.Errorf("when two are forgotten: %v", off)
	}
	if c.Forget(bob); c.Suspect(at(2 * minute)) {
		t.Error("in doubt though nobody is left who differs")
	}
}
