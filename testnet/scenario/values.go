package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Duration is written like 90s, 2m30s or 24h.
type Duration time.Duration

// D returns it as Go has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }

func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := parseDuration(n.Value)
	*d = Duration(v)
	return err
}

func parseDuration(s string) (time.Duration, error) {
	s = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(s), "every "))
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if f, err := strconv.ParseFloat(days, 64); err == nil {
			return time.Duration(f * 24 * float64(time.Hour)), nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: write it like 90s, 2m30s or 24h", s)
	}
	return d, nil
}

// A Share is written like 40% or 0.4.
type Share struct {
	v   float64
	set bool
}

// Of returns a share from 0 to 1.
func Of(v float64) Share { return Share{v, true} }

// F returns it from 0 to 1.
func (s Share) F() float64 { return s.v }

func (s Share) unset() bool { return !s.set }

func (s Share) String() string { return strconv.FormatFloat(100*s.v, 'g', 6, 64) + "%" }

func (s *Share) UnmarshalYAML(n *yaml.Node) error {
	text, percent := strings.CutSuffix(strings.TrimSpace(n.Value), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if percent {
		v /= 100
	}
	if err != nil || v < 0 || v > 1 {
		return fmt.Errorf("%q is no share: write it like 40%% or 0.4", n.Value)
	}
	*s = Of(v)
	return nil
}

// A Rate is bytes per second, written in bits: 20Mbps, 512kbps, 1Gbps.
type Rate int

func (r *Rate) UnmarshalYAML(n *yaml.Node) error {
	for _, u := range []struct {
		unit string
		bits float64
	}{{"Gbps", 1e9}, {"Mbps", 1e6}, {"kbps", 1e3}, {"bps", 1}} {
		if num, ok := strings.CutSuffix(n.Value, u.unit); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(num), 64); err == nil && v > 0 {
				*r = Rate(v * u.bits / 8)
				return nil
			}
		}
	}
	return fmt.Errorf("%q is no rate: write it like 20Mbps or 512kbps", n.Value)
}

// A Mix is names with their shares, which make a whole.
type Mix []Part

// A Part of a mix.
type Part struct {
	Name  string
	Share float64
}

func (m *Mix) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*m = Mix{{n.Value, 1}}
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("neither a name nor names with shares")
	}
	sum := 0.0
	for i := 0; i+1 < len(n.Content); i += 2 {
		var s Share
		if err := s.UnmarshalYAML(n.Content[i+1]); err != nil {
			return err
		}
		*m = append(*m, Part{n.Content[i].Value, s.F()})
		sum += s.F()
	}
	if math.Abs(sum-1) > 1e-6 {
		return fmt.Errorf("the shares make %g%%, not 100%%", 100*sum)
	}
	return nil
}

// A Dist is where a number is drawn from. Durations are in seconds.
type Dist struct {
	kind string
	a, b float64
	text string
}

// dists are the kinds, with the number of their parameters.
var dists = map[string]int{"exp": 1, "lognormal": 2, "weibull": 2, "uniform": 2, "normal": 2, "pareto": 2}

// Constant is always v.
func Constant(v float64) Dist {
	return Dist{kind: "constant", a: v, text: strconv.FormatFloat(v, 'g', -1, 64)}
}

// Set reports whether it was written at all.
func (d Dist) Set() bool { return d.kind != "" }

func (d Dist) String() string { return d.text }

// ParseDist reads 5m, 80, every 1m, exp(20m), lognormal(200, 1), weibull(0.5, 40m), uniform(1m, 3m),
// normal(0s, 2s), pareto(1.5, 1m). Of lognormal the first is the median, of weibull and pareto the first is the
// shape and the second the scale.
func ParseDist(s string) (Dist, error) {
	s = strings.TrimSpace(s)
	name, rest, call := strings.Cut(s, "(")
	if !call {
		v, err := number(s)
		return Dist{kind: "constant", a: v, text: s}, err
	}
	want, known := dists[name]
	args := strings.Split(strings.TrimSuffix(rest, ")"), ",")
	if !known || !strings.HasSuffix(rest, ")") || len(args) != want {
		return Dist{}, fmt.Errorf("%q is no distribution: write 5m, exp(20m), lognormal(200, 1), weibull(0.5, 40m), uniform(1m, 3m), normal(0s, 2s) or pareto(1.5, 1m)", s)
	}
	d := Dist{kind: name, text: s}
	var err error
	if d.a, err = number(args[0]); err == nil && want == 2 {
		d.b, err = number(args[1])
	}
	return d, err
}

// number is a plain one, or a duration in seconds.
func number(s string) (float64, error) {
	s = strings.TrimSpace(s)
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		return v, nil
	}
	d, err := parseDuration(s)
	return d.Seconds(), err
}

func (d *Dist) UnmarshalYAML(n *yaml.Node) (err error) {
	*d, err = ParseDist(n.Value)
	return err
}

// Draw draws one.
func (d Dist) Draw(r *rand.Rand) float64 {
	switch d.kind {
	case "exp":
		return d.a * r.ExpFloat64()
	case "lognormal":
		return d.a * math.Exp(d.b*r.NormFloat64())
	case "weibull":
		return d.b * math.Pow(r.ExpFloat64(), 1/d.a)
	case "uniform":
		return d.a + (d.b-d.a)*r.Float64()
	case "normal":
		return d.a + d.b*r.NormFloat64()
	case "pareto":
		return d.b * math.Pow(1-r.Float64(), -1/d.a)
	}
	return d.a
}

// DrawTime draws a duration.
func (d Dist) DrawTime(r *rand.Rand) time.Duration {
	return time.Duration(d.Draw(r) * float64(time.Second))
}

// Mean is what many draws come to; a pareto of shape 1 or less has none, and is taken at ten times its scale.
func (d Dist) Mean() float64 {
	switch d.kind {
	case "lognormal":
		return d.a * math.Exp(d.b*d.b/2)
	case "weibull":
		return d.b * math.Gamma(1+1/d.a)
	case "uniform":
		return (d.a + d.b) / 2
	case "pareto":
		if d.a <= 1 {
			return 10 * d.b
		}
		return d.b * d.a / (d.a - 1)
	}
	return d.a
}

var ops = []string{">=", "<=", "==", ">", "<"}

func (c *Clause) UnmarshalYAML(n *yaml.Node) error {
	c.Text, c.Line = n.Value, n.Line
	words := strings.Fields(n.Value)
	if len(words) != 3 || !slices.Contains(ops, words[1]) {
		return fmt.Errorf("%q is no clause: write it like delivery_ratio >= 0.999, or notice_p95 <= 2s", n.Value)
	}
	var err error
	c.Metric, c.Op = words[0], words[1]
	if share, ok := strings.CutSuffix(words[2], "%"); ok {
		c.Value, err = strconv.ParseFloat(share, 64)
		c.Value /= 100
	} else {
		c.Value, err = number(words[2])
	}
	return err
}

// Holds reports whether got satisfies the clause.
func (c Clause) Holds(got float64) bool {
	switch c.Op {
	case ">=":
		return got >= c.Value
	case "<=":
		return got <= c.Value
	case ">":
		return got > c.Value
	case "<":
		return got < c.Value
	}
	return got == c.Value
}
