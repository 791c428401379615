package report

import (
	"bytes"
	"image/color"
	"math"
	"strconv"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"

	"github.com/hum-presence/hum/testnet/measure"
)

// A series is one line of a plot.
type series struct {
	name   string // in the key; may be empty
	points [][2]float64
	step   bool // the value holds until the next point
}

// A figure is one plot and all that it shows.
type figure struct {
	name, title string // of its files; above it
	text        string // what it shows, in a sentence
	x, y        string // axes, with their units
	log         bool   // x is logarithmic
	series      []series
	bands       []measure.Band
	max         float64 // of y, if not 0
}

// A hue is a colour by its role: drawn as a mark that no drawing uses by chance, then put as a variable of the page
// or as a colour on white.
type hue struct{ mark, variable, onWhite string }

var (
	ink   = hue{"#010a01", "var(--ink)", "#1f2733"}
	faint = hue{"#020a01", "var(--faint)", "#d9dee6"}
	fault = hue{"#030a01", "var(--fault)", "#fbe3df"}
	lines = []hue{
		{"#110a01", "var(--c1)", "#2a63c7"}, {"#120a01", "var(--c2)", "#c4552d"}, {"#130a01", "var(--c3)", "#2c8a57"},
		{"#140a01", "var(--c4)", "#8a4fb5"}, {"#150a01", "var(--c5)", "#a27a12"}, {"#160a01", "var(--c6)", "#4c8c96"},
	}
	dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {4, 4}, {10, 3}}
)

func (h hue) color() color.Color {
	n, _ := strconv.ParseUint(h.mark[1:], 16, 32)
	return color.RGBA{uint8(n >> 16), uint8(n >> 8), uint8(n), 255}
}

// tint puts colours in the place of the marks: variables of a page, or colours on white.
func tint(svg string, onWhite bool) string {
	var pairs []string
	for _, h := range append([]hue{ink, faint, fault}, lines...) {
		to := h.variable
		if onWhite {
			to = h.onWhite
		}
		pairs = append(pairs, h.mark, to, strings.ToUpper(h.mark), to)
	}
	return strings.NewReplacer(pairs...).Replace(svg)
}

const (
	width  = 470 // points
	height = 250
)

// svg draws the figure, with a key in it or without; its colours are marks.
func (f figure) svg(key bool) (string, error) {
	p := plot.New()
	p.BackgroundColor = color.Transparent
	p.X.Label.Text, p.Y.Label.Text = f.x, f.y
	sans := font.Font{Typeface: "Liberation", Variant: "Sans", Size: 9.5}
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font, a.Tick.Label.Font = sans, sans
		a.Label.TextStyle.Color, a.Tick.Label.Color = ink.color(), ink.color()
		a.Color, a.Tick.Color = faint.color(), faint.color()
		a.Width, a.Tick.Width, a.Tick.Length = 0.7, 0.7, 4
		a.Padding = 4
	}
	p.Y.Min = 0
	if f.max != 0 {
		p.Y.Max = f.max
	}
	if f.log {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, decades{}
	} else {
		p.X.Tick.Marker = fewTicks{}
	}
	p.Y.Tick.Marker = fewTicks{}
	grid := plotter.NewGrid()
	grid.Horizontal = draw.LineStyle{Color: faint.color(), Width: 0.5}
	grid.Vertical.Width = 0
	top := f.top()
	if key && len(f.series) > 1 && f.max == 0 {
		top *= 1.15
	}
	for _, b := range f.bands {
		p.Add(band(b, f.span(), top))
	}
	p.Add(grid)
	p.Legend.TextStyle.Font, p.Legend.TextStyle.Color = sans, ink.color()
	p.Legend.Top, p.Legend.ThumbnailWidth, p.Legend.Padding = true, 18, 4
	p.Legend.YOffs = -2
	if f.max == 1 { // distributions rise to the right
		p.Legend.Top = false
		p.Legend.YOffs = 4
	}
	for i, s := range f.series {
		pts := make(plotter.XYs, 0, len(s.points))
		for _, q := range s.points {
			if f.log && q[0] <= 0 {
				q[0] = f.least()
			}
			if !math.IsNaN(q[1]) && !math.IsInf(q[1], 0) {
				pts = append(pts, plotter.XY{X: q[0], Y: q[1]})
			}
		}
		if len(pts) == 0 {
			continue
		}
		l, err := plotter.NewLine(pts)
		if err != nil {
			return "", err
		}
		l.Color, l.Width, l.Dashes = lines[i%len(lines)].color(), 1.6, dashes[i%len(dashes)]
		if s.step {
			l.StepStyle = plotter.PostStep
		}
		p.Add(l)
		if key && s.name != "" && len(f.series) > 1 {
			p.Legend.Add(s.name, l)
		}
	}
	if p.X.Min == p.X.Max {
		p.X.Max = p.X.Min + 1
	}
	p.Y.Max = top
	c := vgsvg.New(width, height)
	p.Draw(draw.Crop(draw.New(c), 0, -10, 0, 0)) // room for the last number below
	var b bytes.Buffer
	if _, err := c.WriteTo(&b); err != nil {
		return "", err
	}
	return b.String(), nil
}

// top is the upper end of the axis.
func (f figure) top() float64 {
	if f.max != 0 {
		return f.max
	}
	var top float64
	for _, s := range f.series {
		for _, q := range s.points {
			if !math.IsNaN(q[1]) && !math.IsInf(q[1], 0) {
				top = max(top, q[1])
			}
		}
	}
	if top == 0 {
		return 1
	}
	return 1.08 * top
}

// span is the length of the x axis.
func (f figure) span() float64 {
	var end float64
	for _, s := range f.series {
		for _, q := range s.points {
			end = max(end, q[0])
		}
	}
	return end
}

// least is where what is 0 or less is put on a logarithmic axis.
func (f figure) least() float64 {
	least := math.Inf(1)
	for _, s := range f.series {
		for _, q := range s.points {
			if q[0] > 0 {
				least = min(least, q[0])
			}
		}
	}
	if math.IsInf(least, 1) {
		return 1e-3
	}
	return least
}

// band is the time of a fault, of which an instant is still seen.
func band(b measure.Band, span, top float64) plot.Plotter {
	until := max(b.Until, b.From+span/250)
	poly, _ := plotter.NewPolygon(plotter.XYs{{X: b.From}, {X: until}, {X: until, Y: top}, {X: b.From, Y: top}})
	poly.Color, poly.LineStyle.Width = fault.color(), 0
	return poly
}

// fewTicks writes about five round values without trailing zeros.
type fewTicks struct{}

func (fewTicks) Ticks(low, high float64) (out []plot.Tick) {
	step := niceStep((high - low) / 6)
	for i := math.Ceil(low / step); i*step <= high+step/1e6; i++ {
		out = append(out, plot.Tick{Value: i * step, Label: short(i * step)})
	}
	return out
}

func niceStep(raw float64) float64 {
	if raw <= 0 || math.IsNaN(raw) || math.IsInf(raw, 0) {
		return 1
	}
	base := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5, 10} {
		if m*base >= raw {
			return m * base
		}
	}
	return 10 * base
}

// decades marks powers of ten.
type decades struct{}

func (decades) Ticks(low, high float64) (out []plot.Tick) {
	for e := math.Floor(math.Log10(low)); e <= math.Ceil(math.Log10(high)); e++ {
		for m := 1.0; m < 10; m++ {
			t := plot.Tick{Value: m * math.Pow(10, e)}
			if m == 1 || (high/low < 30 && (m == 2 || m == 5)) {
				t.Label = short(t.Value)
			}
			if t.Value >= low*0.999 && t.Value <= high*1.001 {
				out = append(out, t)
			}
		}
	}
	return out
}

// short writes a number with at most four figures, and with k, M, G for large ones.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a < 1e-12:
		return "0"
	case a >= 1e9:
		return trim(v/1e9) + "G"
	case a >= 1e6:
		return trim(v/1e6) + "M"
	case a >= 1e4:
		return trim(v/1e3) + "k"
	case a < 1e-3:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return trim(v)
}

func trim(v float64) string {
	s := strconv.FormatFloat(v, 'g', 4, 64)
	if strings.Contains(s, "e") {
		s = strconv.FormatFloat(v, 'f', 0, 64)
	}
	return s
}
