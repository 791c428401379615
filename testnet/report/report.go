package report

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/testnet/measure"
)

// File is the page's name in the folder of a run.
const File = "report.html"

//go:embed page.html compare.html style.css
var files embed.FS

// Write writes the page of a run's folder, and the files of its plots beside it. It returns the page's name.
func Write(dir string) (string, error) {
	r, err := measure.Read(dir)
	if err != nil {
		return "", fmt.Errorf("no report of %s: %w", dir, err)
	}
	p := pageOf(r)
	for i := range p.Plots {
		if p.Plots[i].SVG, err = p.Plots[i].write(dir); err != nil {
			return "", err
		}
	}
	return render(filepath.Join(dir, File), "page.html", p)
}

func render(file, name string, data any) (string, error) {
	style, err := files.ReadFile("style.css")
	if err != nil {
		return "", err
	}
	t, err := template.New(name).Funcs(template.FuncMap{
		"style": func() template.CSS { return template.CSS(style) },
	}).ParseFS(files, name)
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return "", err
	}
	return file, os.WriteFile(file, b.Bytes(), 0o644)
}

// A drawn is a figure as the page shows it.
type drawn struct {
	figure
	SVG template.HTML
}

func (d drawn) Title() string { return d.title }
func (d drawn) Text() string  { return d.text }
func (d drawn) Name() string  { return d.name }

// Key names the lines of a figure that has several, with the colour of each.
func (d drawn) Key() (out []struct{ Name, Color string }) {
	if len(d.series) < 2 {
		return nil
	}
	for i, s := range d.series {
		out = append(out, struct{ Name, Color string }{s.name, fmt.Sprint("c", i%len(lines)+1)})
	}
	return out
}

// Alt is what the figure says, for who cannot see it: each series' first, middle and last value.
func (d drawn) Alt() string {
	var parts []string
	for _, s := range d.series {
		if n := len(s.points); n > 0 {
			first, mid, last := s.points[0], s.points[n/2], s.points[n-1]
			parts = append(parts, fmt.Sprintf("%s %s at %s, %s at %s, %s at %s", s.name, short(first[1]), short(first[0]),
				short(mid[1]), short(mid[0]), short(last[1]), short(last[0])))
		}
	}
	return d.title + ": " + strings.Join(parts, "; ")
}

// write keeps the figure's files and returns the drawing for the page.
func (d drawn) write(dir string) (template.HTML, error) {
	plots := filepath.Join(dir, "plots")
	if err := os.MkdirAll(plots, 0o755); err != nil {
		return "", err
	}
	svg, err := d.svg(false)
	if err != nil {
		return "", fmt.Errorf("draw %s: %w", d.name, err)
	}
	alone, err := d.svg(true)
	if err != nil {
		return "", fmt.Errorf("draw %s: %w", d.name, err)
	}
	spec, err := d.vega()
	if err != nil {
		return "", err
	}
	base := filepath.Join(plots, d.name)
	err = errors.Join(os.WriteFile(base+".svg", []byte(tint(alone, true)), 0o644),
		os.WriteFile(base+".csv", d.csv(), 0o644), os.WriteFile(base+".vl.json", spec, 0o644))
	if _, body, ok := strings.Cut(svg, "<svg"); ok {
		svg = "<svg" + body
	}
	return template.HTML(tint(svg, false)), err
}

// A page is what page.html shows.
type page struct {
	measure.Result
	Shown   []tile // the figures that matter most
	More    []tile // the rest
	Plots   []drawn
	Texts   map[string]string // what each metric is
	Method  [][2]string
	When    string
	Caption string
}

// A tile is one figure and what it means.
type tile struct {
	Name, Value, Unit, Text, N, Range string
	Bad                               bool
}

func pageOf(r measure.Result) page {
	p := page{Result: r, Texts: map[string]string{}}
	units := map[string]measure.Definition{}
	for _, d := range r.Summary.Definitions {
		p.Texts[d.Metric] = d.Text
		units[d.Metric] = d
	}
	first := map[string]bool{}
	for _, e := range r.Summary.Expect {
		name, _, _ := strings.Cut(e.Clause, " ")
		first[name] = true
	}
	for _, v := range r.Summary.Values {
		t := tileOf(v, units[v.Metric])
		if len(p.Shown) < 6 && (first[v.Metric] || len(first) == 0) {
			p.Shown = append(p.Shown, t)
		} else {
			p.More = append(p.More, t)
		}
	}
	for len(p.Shown) < 6 && len(p.More) > 0 {
		p.Shown, p.More = append(p.Shown, p.More[0]), p.More[1:]
	}
	p.Plots = figures(r)
	p.Method = method(r.Manifest)
	p.When = day(r.Manifest.Started)
	p.Caption = caption(r.Manifest)
	return p
}

func tileOf(v measure.Value, d measure.Definition) tile {
	t := tile{Name: words(v.Metric), Text: d.Text}
	t.Value, t.Unit = amount(v.Value, d.Unit)
	if v.Runs > 1 {
		low, unit := amount(v.Low, d.Unit)
		high, unit2 := amount(v.High, d.Unit)
		if unit == unit2 {
			unit = ""
		}
		t.Range = strings.TrimSpace(fmt.Sprintf("%s %s", low, unit)) + strings.TrimRight(fmt.Sprintf(" to %s %s", high, unit2), " ") + fmt.Sprintf(", 95 %% over %d seeds", v.Runs)
	}
	if v.N > 0 {
		t.N = fmt.Sprintf("of %s", short(float64(v.N)))
	}
	return t
}

// words makes a metric's name readable.
func words(metric string) string { return strings.ReplaceAll(metric, "_", " ") }

// amount writes a value in its unit.
func amount(v float64, unit string) (value, of string) {
	switch {
	case math.IsNaN(v):
		return "none", ""
	case math.IsInf(v, 0):
		return "never", ""
	case unit == "s" && v != 0 && math.Abs(v) < 1:
		return short(v * 1000), "ms"
	case unit == "s" && math.Abs(v) >= 600:
		return short(v / 60), "min"
	case unit == "1" && v != 1 && v > 0.99 && v < 1:
		return trimRatio(v), ""
	case unit == "1":
		return short(v), ""
	}
	return short(v), unit
}

// trimRatio keeps what a share of nearly all lacks.
func trimRatio(v float64) string {
	digits := 2 + int(math.Ceil(-math.Log10(1-v)))
	return strings.TrimRight(fmt.Sprintf("%.*f", min(digits, 7), v), "0")
}

// figures are the plots: each distribution, then each metric over time.
func figures(r measure.Result) (out []drawn) {
	unit, text := map[string]string{}, map[string]string{}
	for _, d := range r.Summary.Definitions {
		unit[d.Metric], text[d.Metric] = d.Unit, d.Text
	}
	for _, d := range r.Summary.Distributions {
		if len(d.CDF) < 2 {
			continue
		}
		f := figure{name: "cdf-" + d.Metric, title: words(d.Metric), y: "share at or below", x: axis(words(d.Metric), unit[d.Metric]), max: 1,
			text: fmt.Sprintf("%s Of %s observations, lost ones counted.", text[d.Metric], short(float64(d.N))),
			log:  spread(d.CDF) > 50}
		if d.Lost > 0 {
			f.text += fmt.Sprintf(" %s were lost: the curve ends at %s.", short(float64(d.Lost)), short(1-float64(d.Lost)/float64(d.N)))
		}
		f.series = []series{{name: words(d.Metric), points: d.CDF, step: true}}
		out = append(out, drawn{figure: f})
	}
	byMetric := map[string]map[string][][2]float64{}
	var order []string
	for _, s := range r.Samples {
		if byMetric[s.Metric] == nil {
			byMetric[s.Metric] = map[string][][2]float64{}
			order = append(order, s.Metric)
		}
		byMetric[s.Metric][s.Class] = append(byMetric[s.Metric][s.Class], [2]float64{s.T, s.Value})
	}
	scale, x := 1.0, "virtual time in s"
	if r.Manifest.Virtual > 3*3600 {
		scale, x = 3600, "virtual time in h"
	} else if r.Manifest.Virtual > 300 {
		scale, x = 60, "virtual time in min"
	}
	var bands []measure.Band
	for _, b := range r.Summary.Faults {
		bands = append(bands, measure.Band{From: b.From / scale, Until: b.Until / scale, Label: b.Label})
	}
	for _, m := range order {
		f := figure{name: "time-" + m, title: words(m) + " over time", x: x, y: axis(words(m), unit[m]), text: text[m], bands: bands}
		classes := make([]string, 0, len(byMetric[m]))
		for c := range byMetric[m] {
			classes = append(classes, c)
		}
		slices.Sort(classes)
		for _, c := range classes {
			name := c
			if c == "" {
				name = "all"
			}
			pts := byMetric[m][c]
			for i := range pts {
				pts[i][0] /= scale
			}
			f.series = append(f.series, series{name: name, points: pts})
		}
		out = append(out, drawn{figure: f})
	}
	return out
}

func axis(name, unit string) string {
	if unit == "" || unit == "1" {
		return name
	}
	return name + " in " + unit
}

// spread is how many times the least positive value the greatest is.
func spread(points [][2]float64) float64 {
	least, most := math.Inf(1), 0.0
	for _, q := range points {
		if q[0] > 0 {
			least, most = min(least, q[0]), max(most, q[0])
		}
	}
	return most / least
}

// method is how the figures came to be, row by row.
func method(m measure.Manifest) (rows [][2]string) {
	add := func(k, v string) {
		if v != "" {
			rows = append(rows, [2]string{k, v})
		}
	}
	mode := "statistical: stock Go. Another run with this seed agrees within its intervals, not event by event"
	if m.Mode == "exact" {
		mode = "exact: the same seed gives the same events, which the hashes show"
	}
	add("mode", mode)
	add("engine", m.Engine)
	add("links", m.Fidelity)
	add("processes", fmt.Sprint(max(1, m.Shards)))
	if len(m.Seeds) > 0 {
		add("seeds", strings.Trim(fmt.Sprint(m.Seeds), "[]"))
	} else {
		add("seed", fmt.Sprint(m.Seed))
	}
	add("virtual time", span(m.Virtual))
	add("real time", span(m.Wall)+", of it "+span(m.CPU)+" of CPU")
	if m.Wall > 0 {
		add("speed", short(m.Virtual/m.Wall)+" virtual seconds in a real one")
	}
	if m.PeakRSS > 0 {
		add("memory", short(float64(m.PeakRSS)/(1<<20))+" MiB at most")
		if m.Nodes > 0 {
			add("memory per node", short(float64(m.PeakRSS)/float64(m.Nodes)/1024)+" KiB, the program in it")
		}
	}
	add("events SHA-256", m.EventsSHA256)
	add("frames SHA-256", m.TraceSHA256)
	add("scenario SHA-256", m.ScenarioSHA256)
	add("overlay SHA-256", m.OverlaySHA256)
	add("commit", m.Commit)
	add("Go", m.Go+" "+m.OS)
	names := make([]string, 0, len(m.Libraries))
	for n := range m.Libraries {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, n := range names {
		add(n, m.Libraries[n])
	}
	return rows
}

// span writes seconds as people do.
func span(s float64) string {
	switch {
	case s >= 2*3600:
		return short(s/3600) + " h"
	case s >= 120:
		return short(s/60) + " min"
	case s >= 1:
		return short(s) + " s"
	}
	return short(s*1000) + " ms"
}

func day(stamp string) string {
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return stamp
	}
	return t.UTC().Format("2 January 2006, 15:04 UTC")
}

// caption says in a line what was run.
func caption(m measure.Manifest) string {
	kind := "real nodes in virtual time"
	if m.Engine == "process" {
		kind = "real processes in real time"
	}
	which := fmt.Sprintf("seed %d", m.Seed)
	if len(m.Seeds) > 0 {
		which = fmt.Sprintf("%d seeds", len(m.Seeds))
	}
	return fmt.Sprintf("%d %s, %s, %s · %s", m.Nodes, kind, span(m.Virtual), m.Mode, which)
}

// Rows is the table of distributions.
func (p page) Rows() (rows [][]string) {
	for _, d := range p.Summary.Distributions {
		unit := ""
		for _, def := range p.Summary.Definitions {
			if def.Metric == d.Metric {
				unit = def.Unit
			}
		}
		row := []string{words(d.Metric), short(float64(d.N)), short(float64(d.Lost))}
		for _, q := range []string{"0.5", "0.9", "0.95", "0.99", "1"} {
			v, ok := d.Quantiles[q]
			cell := "never"
			if d.N == 0 {
				cell = "–"
			} else if ok {
				value, of := amount(v, unit)
				cell = strings.TrimSpace(value + " " + of)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}
