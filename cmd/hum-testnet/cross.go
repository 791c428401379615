package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/report"
	"github.com/hum-presence/hum/testnet/sim"
)

// The links that a cross-check sets side by side, and how many seeds each gets.
var fidelities = [3]string{"stream", "noise", "quic"}

const crossSeeds = 3

// crossed are the figures that it shows.
var crossed = []string{"delivery_ratio", "notice_said_p50", "notice_said_p95", "notice_crashed_p50", "ack_p50", "ack_p95", "message_ratio", "messages_lost", "false_offline",
	"direct_share", "connections", "bytes_per_node_hour", "bytes_network_hour", "cpu_per_delivery"}

// crossCheck runs a scenario small on links of every kind, each run in a process of its own, and adds to the report what came of it.
func (f *runFlags) crossCheck(arg, dir string, r *measure.Result) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var joined [len(fidelities)]measure.Result
	for i, links := range fidelities {
		var runs []measure.Result
		for seed := range uint64(crossSeeds) {
			at := filepath.Join(dir, "links", fmt.Sprint(links, "-", seed+1))
			args := []string{"run", arg, "--nodes", fmt.Sprint(f.cross), "--seed", fmt.Sprint(r.Manifest.Seed + seed), "--out", at}
			for _, s := range append(f.sets[:len(f.sets):len(f.sets)], "sweep={}", "seeds=1", "fidelity="+links) {
				args = append(args, "--set", s)
			}
			fmt.Fprintf(os.Stderr, "cross-check: %d nodes on %s links, seed %d\n", f.cross, links, r.Manifest.Seed+seed)
			c := exec.Command(self, args...)
			c.Stdout, c.Stderr = io.Discard, os.Stderr
			var exit *exec.ExitError
			if err := c.Run(); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
				return fmt.Errorf("cross-check on %s links: %w", links, err)
			}
			one, err := measure.Read(at)
			if err != nil {
				return err
			}
			runs = append(runs, one)
		}
		joined[i] = measure.Join(runs)
	}
	r.Summary.Tables = append(r.Summary.Tables, crossTable(joined, f.cross))
	if err := sim.WriteSummary(dir, r.Summary); err != nil {
		return err
	}
	_, err = report.Write(dir)
	return err
}

// crossTable sets the three side by side. Two figures agree if their intervals meet, or if they are within a twentieth of each other.
func crossTable(of [len(fidelities)]measure.Result, nodes int) measure.Table {
	t := measure.Table{Title: fmt.Sprintf("Cross-check of the links: %d nodes, means of %d seeds with their 95 %% intervals", nodes, crossSeeds),
		Columns: []string{"figure", fidelities[0], fidelities[1], fidelities[2], "stream against quic"}}
	for _, metric := range crossed {
		var v [len(of)]measure.Value
		var cells [len(of)]string
		known := true
		for i, r := range of {
			v[i], cells[i] = valueNamed(r, metric)
			known = known && cells[i] != "-"
		}
		if cells == [len(of)]string{"-", "-", "-"} {
			continue
		}
		verdict := "-"
		if known {
			a, b := v[0], v[len(v)-1]
			switch {
			case a.Value == b.Value, a.Low <= b.High && b.Low <= a.High, math.Abs(a.Value-b.Value) <= math.Abs(a.Value)/20:
				verdict = "agree"
			default:
				verdict = fmt.Sprintf("%+.0f %%", 100*(b.Value-a.Value)/math.Abs(a.Value))
			}
		}
		t.Rows = append(t.Rows, []string{metric, cells[0], cells[1], cells[2], verdict})
	}
	return t
}

func valueNamed(r measure.Result, metric string) (measure.Value, string) {
	for _, v := range r.Summary.Values {
		if v.Metric == metric {
			d, _ := measure.Define(metric)
			cell := unit(v.Value, d.Unit)
			if v.Runs > 1 && v.High > v.Low {
				cell += " ±" + unit((v.High-v.Low)/2, d.Unit)
			}
			return v, cell
		}
	}
	return measure.Value{}, "-"
}

// showCross prints the cross-check of a run, if it had one.
func showCross(w io.Writer, s measure.Summary) {
	for _, t := range s.Tables {
		if len(t.Columns) != len(fidelities)+2 || t.Columns[1] != fidelities[0] {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", t.Title)
		tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		for _, row := range append([][]string{t.Columns}, t.Rows...) {
			for _, cell := range row {
				fmt.Fprint(tab, cell, "\t")
			}
			fmt.Fprintln(tab)
		}
		tab.Flush()
	}
}
