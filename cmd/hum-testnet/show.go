package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/sim"
)

// A status is the line that says how far a run is, on a terminal alone.
type status struct {
	w    *os.File
	live bool
	last time.Duration
}

func newStatus(w *os.File) *status { return &status{w: w, live: term.IsTerminal(int(w.Fd()))} }

func (s *status) show(p sim.Progress) {
	if !s.live || s.last > 0 && p.Wall-s.last < 200*time.Millisecond {
		return
	}
	s.last = p.Wall
	speed := p.Now.Seconds() / max(p.Wall.Seconds(), 1e-3)
	left := time.Duration((p.End - p.Now).Seconds() / max(speed, 1e-6) * float64(time.Second))
	fmt.Fprintf(s.w, "\r\x1b[K%v of %v, %.1f times real time · %d of %d nodes up · %d of %d changes seen · %d messages · %v left",
		p.Now.Round(time.Second), p.End, speed, p.Up, p.Nodes, p.Seen, p.Changes, p.Kept, left.Round(time.Second))
}

func (s *status) clear() {
	if s.live {
		fmt.Fprint(s.w, "\r\x1b[K")
	}
}

// headline is what is shown first; a report has the rest.
var headline = []string{"delivery_ratio", "notice_said_p50", "notice_said_p95", "notice_crashed_p95", "converge_p95", "join_p95", "false_offline", "false_online",
	"messages", "message_ratio", "messages_lost", "messages_doubled", "ack_p95", "bytes_per_node_hour", "mesh_degree", "connections", "speed", "memory_per_node"}

func show(w io.Writer, r measure.Result, dir string) {
	m, s := r.Manifest, r.Summary
	fmt.Fprintf(w, "%s: %s\n", m.Scenario, strings.ToUpper(s.Verdict))
	fmt.Fprintf(w, "%d nodes, %v of virtual time in %v, seed %d, %s, %s links\n\n", m.Nodes, seconds(m.Virtual), seconds(math.Round(m.Wall)), m.Seed, m.Mode, m.Fidelity)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, e := range s.Expect {
		mark, got := "holds", "is "+figure(e.Got)
		if !e.OK {
			mark = "FAILS"
		}
		if e.Why != "" {
			got = e.Why
		}
		fmt.Fprintf(t, "%s\t%s\t%s\n", mark, e.Clause, got)
	}
	fmt.Fprintln(t)
	for _, name := range headline {
		for _, v := range s.Values {
			if v.Metric == name {
				d, _ := measure.Define(name)
				fmt.Fprintf(t, "%s\t%s\tof %d\n", name, unit(v.Value, d.Unit), v.N)
			}
		}
	}
	t.Flush()
	showCross(w, s)
	for _, e := range s.Errors {
		fmt.Fprintln(w, "error:", e)
	}
	fmt.Fprintf(w, "\nreport:  %s/report.html\nrepeat:  %s\n", dir, m.Command)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func figure(x float64) string { return fmt.Sprintf("%.4g", x) }

func unit(x float64, unit string) string {
	switch unit {
	case "s":
		return seconds(x).Round(time.Millisecond).String()
	case "B":
		switch {
		case x >= 1e6:
			return fmt.Sprintf("%.2f MB", x/1e6)
		case x >= 1e3:
			return fmt.Sprintf("%.1f kB", x/1e3)
		}
		return fmt.Sprintf("%.0f B", x)
	}
	return figure(x)
}
