package identity

import (
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	tests := []struct {
		name      string
		last, now Time
		want      Stamp
	}{
		{"first", 0, 100, 100},
		{"later", 99, 100, 100},
		{"twice in one millisecond", 100, 100, 101},
		{"clock went back a little", 150, 100, 151},
		{"as far as clocks differ", 120_100, 100, 120_101},
		{"clock had run ahead", 120_101, 100, 100},
	}
	for _, tt := range tests {
		if got := at(tt.now).Next(tt.last); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestNow(t *testing.T) {
	const s = Time(120_000)
	tests := []struct {
		name                   string
		now                    Now
		t                      Time
		ahead, late, past, bck bool
		stored                 Stamp
	}{
		{"this instant", Now{Wall: t0, Heard: t0}, t0, false, false, false, false, t0},
		{"a moment ago", Now{Wall: t0 + 1, Heard: t0 + 1}, t0, false, true, true, false, t0},
		{"past by the clock alone", Now{Wall: t0 + 1, Heard: t0}, t0, false, true, false, false, t0},
		{"past by hearsay alone", Now{Wall: t0, Heard: t0 + 1}, t0, false, true, false, false, t0},
		{"skew ahead", Now{Wall: t0, Heard: t0}, t0 + s, false, false, false, false, t0 + s},
		{"more than skew ahead", Now{Wall: t0, Heard: t0}, t0 + s + 1, true, false, false, false, t0},
		{"heard of it", Now{Wall: t0, Heard: t0 + s + 1}, t0 + s + 1, true, false, false, true, t0 + s + 1},
	}
	for _, tt := range tests {
		if tt.now.Ahead(tt.t) != tt.ahead || tt.now.Late(tt.t) != tt.late || tt.now.Past(tt.t) != tt.past || tt.now.ClockBack() != tt.bck {
			t.Errorf("%s: ahead %v, late %v, past %v, clock back %v", tt.name, tt.now.Ahead(tt.t), tt.now.Late(tt.t), tt.now.Past(tt.t), tt.now.ClockBack())
		}
		if got := tt.now.Stored(tt.t); got != tt.stored {
			t.Errorf("%s: stored as %d, want %d", tt.name, got, tt.stored)
		}
	}
}

func TestTime(t *testing.T) {
	if got := TimeOf(time.UnixMilli(5).Add(999 * time.Microsecond)); got != 5 {
		t.Errorf("TimeOf cuts to %d", got)
	}
	if got := TimeOf(time.Time{}); got != 0 || !Time(0).Go().IsZero() {
		t.Errorf("no time is %d, and back %v", got, Time(0).Go())
	}
	if got := TimeOf(t0.Go()); got != t0 {
		t.Errorf("%d came back as %d", t0, got)
	}
	if got := Time(5).Add(-time.Second); got != 0 {
		t.Errorf("before 1970: %d", got)
	}
	if got := Time(5).Sub(7); got != -2*time.Millisecond {
		t.Errorf("5-7 is %v", got)
	}
}
