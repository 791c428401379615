package measure

import (
	"math"
	"testing"
	"time"
)

const sec = time.Second

// world is a book of two circles: node 0 is watched by all others, everybody is up and sees him.
func world(n int) *Book {
	var watches [][2]int
	for w := 1; w < n; w++ {
		watches = append(watches, [2]int{w, 0})
	}
	b := NewBook(BookConfig{Nodes: n, Watches: watches, Begin: 10 * sec, Deadline: 30 * sec})
	for i := range n {
		b.Up(sec, i)
	}
	b.Say(sec, 0, 1)
	for w := 1; w < n; w++ {
		b.Ask(2*sec, w, 0)
		b.See(3*sec, w, 0, true, 1, true)
	}
	return b
}

func value(t *testing.T, vs []Value, metric string) float64 {
	t.Helper()
	for _, v := range vs {
		if v.Metric == metric {
			return v.Value
		}
	}
	t.Fatalf("no figure %s in %v", metric, vs)
	return 0
}

func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.Abs(got-want) > 1e-9 {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestPlantedLoss: three of a hundred watchers never see a change.
func TestPlantedLoss(t *testing.T) {
	b := world(101)
	b.Say(20*sec, 0, 2)
	for w := 1; w <= 97; w++ {
		b.See(20*sec+time.Duration(w)*time.Millisecond, w, 0, true, 2, true)
	}
	vs, ds := b.Close(100 * sec)
	near(t, "delivery ratio", value(t, vs, "delivery_ratio"), 0.97)
	near(t, "median", value(t, vs, "notice_said_p50"), 0.050)
	// The three are later than all others: the 99th percentile is one of them, and is no number.
	for _, v := range vs {
		if v.Metric == "notice_said_p99" || v.Metric == "notice_said_max" || v.Metric == "notice_said_mean" {
			t.Errorf("%s is %v with three lost", v.Metric, v.Value)
		}
	}
	for _, d := range ds {
		if d.Metric == "notice_said" && (d.N != 100 || d.Lost != 3 || d.CDF[len(d.CDF)-1][1] != 0.97) {
			t.Errorf("the distribution is of %d with %d lost, and ends at %v", d.N, d.Lost, d.CDF[len(d.CDF)-1])
		}
	}
	// Three pairs of a hundred are wrong for 80 of 90 s.
	near(t, "stale", value(t, vs, "stale"), (97*0.049+3*80.0)/(100*90))
}

// TestPlantedLapse: one of four watchers is shown closed for 40 s of the 80 s that are measured, though nothing is wrong.
func TestPlantedLapse(t *testing.T) {
	b := world(5)
	b.See(20*sec, 2, 0, false, 0, false)
	b.See(60*sec, 2, 0, true, 1, true)
	vs, _ := b.Close(90 * sec)
	near(t, "false offline", value(t, vs, "false_offline"), 40.0/(4*80))
}

// TestCrash: a crash is noticed by one watcher after 100 s, by another after 150, by the third never.
func TestCrash(t *testing.T) {
	b := world(4)
	b.Down(20*sec, 0, false)
	b.See(120*sec, 1, 0, false, 0, false)
	b.See(170*sec, 2, 0, false, 0, false)
	vs, ds := b.Close(220 * sec)
	near(t, "median", value(t, vs, "notice_crashed_p50"), 150)
	near(t, "false online", value(t, vs, "false_online"), (100.0+150+200)/(3*200))
	if ds[0].Metric != "notice_crashed" || ds[0].Lost != 1 {
		t.Errorf("%+v", ds[0])
	}
}

// TestNobodyThere: who is down, cut off, asleep or blocked does not count as one who should have seen.
func TestNobodyThere(t *testing.T) {
	b := world(5)
	b.Down(15*sec, 1, true)
	b.Side(15*sec, 2, 1)
	b.Sleep(15*sec, 3, true)
	b.Hide(15*sec, 0, 4)
	b.Say(20*sec, 0, 2)
	vs, _ := b.Close(100 * sec)
	near(t, "changes", value(t, vs, "changes"), 0)
	// A blocked one who is shown the new word all the same is a leak.
	b = world(5)
	b.Hide(15*sec, 0, 4)
	b.Say(20*sec, 0, 2)
	b.See(21*sec, 4, 0, true, 2, true)
	vs, _ = b.Close(100 * sec)
	near(t, "leaks", value(t, vs, "blocked_leaks"), 1)
}

// TestAfterPartition: it converges when the last pairs are right, and what was said meanwhile is not lost but stale.
func TestAfterPartition(t *testing.T) {
	b := world(3)
	b.Side(20*sec, 0, 1)
	b.See(30*sec, 1, 0, false, 0, false)
	b.See(30*sec, 2, 0, false, 0, false)
	b.Side(60*sec, 0, 0)
	b.Fault(60*sec, "partition", true)
	b.See(63*sec, 1, 0, true, 1, true)
	b.See(67*sec, 2, 0, true, 1, true)
	vs, _ := b.Close(100 * sec)
	near(t, "converge", value(t, vs, "converge_max"), 7)
	// One that never does is lost, and has no largest.
	b = world(3)
	b.See(30*sec, 1, 0, false, 0, false)
	b.Fault(60*sec, "partition", true)
	vs, ds := b.Close(100 * sec)
	if last := ds[len(ds)-1]; last.Metric != "converge_time" || last.Lost != 1 {
		t.Errorf("%+v", ds)
	}
	for _, v := range vs {
		if v.Metric == "converge_max" {
			t.Errorf("it converges after %v", v.Value)
		}
	}
}

// TestLetters: one of four is doubled, one is lost though it is called delivered, one is undecided.
func TestLetters(t *testing.T) {
	b := world(2)
	for i, id := range []string{"a", "b", "c", "d"} {
		b.Sent(20*sec, 0, 1, id)
		at := time.Duration(21+i) * sec
		switch id {
		case "a":
			b.Inbox(at, 1, id)
			b.Settled(at+sec, 0, id, "delivered")
		case "b":
			b.Inbox(at, 1, id)
			b.Inbox(at+5*sec, 1, id)
			b.Settled(at+sec, 0, id, "delivered")
		case "c":
			b.Settled(at, 0, id, "delivered")
		}
	}
	vs, _ := b.Close(100 * sec)
	for metric, want := range map[string]float64{"messages": 4, "message_ratio": 0.5, "messages_doubled": 1, "messages_lost": 1, "messages_undecided": 1, "ack_p50": 3, "message_p50": 1} {
		near(t, metric, value(t, vs, metric), want)
	}
}

// TestForged: a word that was never said, and an old one after a newer.
func TestForged(t *testing.T) {
	b := world(2)
	b.Say(20*sec, 0, 2)
	b.See(21*sec, 1, 0, true, 2, true)
	b.See(22*sec, 1, 0, true, 9, true)
	vs, _ := b.Close(100 * sec)
	near(t, "forged", value(t, vs, "forged_seen"), 1)
	b = world(2)
	b.Say(20*sec, 0, 2)
	b.See(21*sec, 1, 0, true, 2, true)
	b.See(22*sec, 1, 0, true, 1, true)
	vs, _ = b.Close(100 * sec)
	near(t, "replayed", value(t, vs, "replayed_seen"), 1)
}

func TestEveryFigureIsDefined(t *testing.T) {
	b := world(3)
	b.Down(20*sec, 0, false)
	b.See(30*sec, 1, 0, false, 0, false)
	b.Up(40*sec, 0)
	b.See(41*sec, 1, 0, true, 1, true)
	b.Hide(50*sec, 0, 2)
	b.Sent(50*sec, 0, 1, "a")
	b.Inbox(51*sec, 1, "a")
	b.Fault(60*sec, "x", true)
	b.Up(61*sec, 1)
	vs, ds := b.Close(300 * sec)
	for _, v := range vs {
		if _, ok := Define(v.Metric); !ok {
			t.Errorf("%s is not defined", v.Metric)
		}
	}
	for _, d := range ds {
		if _, ok := Define(d.Metric); !ok {
			t.Errorf("%s is not defined", d.Metric)
		}
	}
	if _, ok := Define("nonsense_p95"); ok {
		t.Error("nonsense is defined")
	}
}

// TestNamed: a handle that led to somebody else is counted, and one that led nowhere is later than all others.
func TestNamed(t *testing.T) {
	b := NewBook(BookConfig{Nodes: 3})
	for i, state := range []string{NamedRight, NamedRight, NamedWrong} {
		b.Named(time.Duration(i)*sec, 0, 1, 100*time.Millisecond, state)
	}
	got := map[string]float64{}
	read := func() map[string]float64 {
		clear(got)
		values, _ := b.Close(10 * sec)
		for _, v := range values {
			got[v.Metric] = v.Value
		}
		return got
	}
	if read(); got["handles"] != 3 || got["handles_wrong"] != 1 || got["handle_max"] != 0.1 {
		t.Errorf("%v", got)
	}
	b.Named(4*sec, 0, 2, 15*sec, NamedNone)
	if _, ok := read()["handle_max"]; ok || got["handles"] != 4 || got["handle_p50"] != 0.1 {
		t.Errorf("one led nowhere: %v", got)
	}
}
