package measure

import (
	"math"
	"slices"
	"strconv"
)

// A dist gathers observations.
type dist struct {
	xs   []float64
	lost int
}

func (d *dist) add(x float64) { d.xs = append(d.xs, x) }

var quantiles = []float64{0.5, 0.9, 0.95, 0.99, 1}

// distribution sorts them out; lost ones lie above all others.
func (d *dist) distribution(metric string) Distribution {
	slices.Sort(d.xs)
	out := Distribution{Metric: metric, N: len(d.xs) + d.lost, Lost: d.lost, Quantiles: map[string]float64{}}
	for _, q := range quantiles {
		if x, ok := d.quantile(q); ok {
			out.Quantiles[strconv.FormatFloat(q, 'g', -1, 64)] = x
		}
	}
	step := max(1, len(d.xs)/499)
	for i := 0; i < len(d.xs); i += step {
		out.CDF = append(out.CDF, [2]float64{d.xs[i], float64(i+1) / float64(out.N)})
	}
	if n := len(d.xs); n > 0 && (n-1)%step != 0 {
		out.CDF = append(out.CDF, [2]float64{d.xs[n-1], float64(n) / float64(out.N)})
	}
	return out
}

// quantile is the least observation that at least the share q of all, lost ones among them, does not exceed; false if
// that is a lost one, or if there is none.
func (d *dist) quantile(q float64) (float64, bool) {
	n := len(d.xs) + d.lost
	i := int(math.Ceil(q*float64(n))) - 1
	if n == 0 || i >= len(d.xs) {
		return 0, false
	}
	return d.xs[max(i, 0)], true
}

func (d *dist) mean() float64 {
	sum := 0.0
	for _, x := range d.xs {
		sum += x
	}
	return sum / float64(len(d.xs))
}
