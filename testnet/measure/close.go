package measure

import (
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// Close ends the book at t: what should have been seen by then and was not is lost. It returns the figures and
// distributions that the book can tell.
func (b *Book) Close(t time.Duration) (values []Value, dists []Distribution) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(t)
	for i := range b.pairs {
		b.settle(i)
		for _, c := range b.pairs[i].waiting {
			if c.at < b.Begin && c.kind != subscribing || t-c.at < b.deadlineOf(c) {
				continue
			}
			if b.dist(c.kind).lost++; c.kind != subscribing {
				b.counts.changes++
				b.counts.lost++
			}
		}
	}
	for _, w := range b.waits {
		if t > w.at {
			b.dist("converge_time").lost++
		}
	}
	for n := range b.nodes {
		if x := &b.nodes[n]; x.joining && x.up && x.started >= b.Begin && t-x.started >= b.Deadline && b.watchesSome(n) {
			b.dist("join_time").lost++
		}
	}
	return b.values(), b.distributions()
}

// deadlineOf is when a change is lost that was not seen. A crash becomes known by the lease alone.
func (b *Book) deadlineOf(c change) time.Duration {
	if c.kind == "notice_crashed" {
		return 2 * b.Deadline
	}
	return b.Deadline
}

func (b *Book) watchesSome(n int) bool {
	return slices.ContainsFunc(b.by[n], func(i int) bool { return b.pairs[i].eligible })
}

func (b *Book) values() (out []Value) {
	c, l := b.counts, b.letterCounts()
	put := func(metric string, v float64, n int) {
		if !math.IsNaN(v) && !math.IsInf(v, 0) {
			out = append(out, Value{Metric: metric, Value: v, N: n})
		}
	}
	put("delivery_ratio", float64(c.seen)/float64(c.changes), c.changes)
	put("changes", float64(c.changes), c.changes)
	put("false_offline", c.falseOff/c.upTime, len(b.pairs))
	put("false_online", c.falseOn/c.downTime, len(b.pairs))
	put("stale", c.wrongTime/c.pairTime, len(b.pairs))
	put("messages", float64(l.sent), l.sent)
	put("message_ratio", float64(l.kept)/float64(l.sent), l.sent)
	if l.sent > 0 {
		put("messages_lost", float64(l.lost), l.sent)
		put("messages_doubled", float64(l.doubled), l.sent)
		put("messages_undecided", float64(l.undecided), l.sent)
		put("messages_failed", float64(l.failed), l.sent)
	}
	put("forged_seen", float64(c.forged), len(b.pairs))
	put("replayed_seen", float64(c.replayed), len(b.pairs))
	if c.blocked > 0 {
		put("blocked", float64(c.blocked), c.blocked)
		put("blocked_leaks", float64(c.leaks), c.blocked)
	}
	if c.named > 0 {
		put("handles", float64(c.named), c.named)
		put("handles_wrong", float64(c.misnamed), c.named)
	}
	return append(out, b.quantileValues()...)
}

func (b *Book) quantileValues() (out []Value) {
	for _, name := range slices.Sorted(maps.Keys(b.dists)) {
		d := b.dists[name]
		slices.Sort(d.xs)
		base := strings.TrimSuffix(name, "_time")
		for i, suffix := range []string{"p50", "p90", "p95", "p99", "max"} {
			if x, ok := d.quantile(quantiles[i]); ok {
				out = append(out, Value{Metric: base + "_" + suffix, Value: x, N: len(d.xs) + d.lost})
			}
		}
		if len(d.xs) > 0 && d.lost == 0 {
			out = append(out, Value{Metric: base + "_mean", Value: d.mean(), N: len(d.xs)})
		}
	}
	return out
}

func (b *Book) distributions() (out []Distribution) {
	for _, d := range definitions {
		if got := b.dists[d.Metric]; got != nil {
			out = append(out, got.distribution(d.Metric))
		}
	}
	return out
}

// A Glance is how things stand in the middle of a run.
type Glance struct {
	Up, Pairs, Wrong      int
	Seen, Lost, Changes   int
	Sent, Kept, Delivered int
}

// Glance looks at the book so far; t is now.
func (b *Book) Glance(t time.Duration) Glance {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.advance(t)
	l := b.letterCounts()
	g := Glance{Pairs: b.eligible, Wrong: b.wrong, Seen: b.counts.seen, Lost: b.counts.lost, Changes: b.counts.changes,
		Sent: l.sent, Kept: l.kept, Delivered: l.delivered}
	for i := range b.nodes {
		g.Up += count(b.nodes[i].up)
	}
	return g
}

// Shown is what a watcher is shown by the book, to be held against his screen.
func (b *Book) Shown(w, p int) (open bool, version int, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i, known := b.index[[2]int{w, p}]
	if !known {
		return false, 0, false
	}
	return b.pairs[i].open, b.pairs[i].version, true
}
