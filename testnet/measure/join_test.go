package measure

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestEstimateCovers draws runs whose true mean is known: the 95 % interval must hold it about 95 times of 100.
func TestEstimateCovers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const trials = 4000
	for _, runs := range []int{2, 5, 10} {
		held := 0
		for range trials {
			xs := make([]float64, runs)
			for i := range xs {
				xs[i] = 7 + 3*r.NormFloat64()
			}
			if v := Estimate("x", xs, 0); v.Low <= 7 && 7 <= v.High {
				held++
			}
		}
		if share := float64(held) / trials; math.Abs(share-0.95) > 0.015 {
			t.Errorf("with %d runs the interval holds the truth in %.3f of trials", runs, share)
		}
	}
	if v := Estimate("x", []float64{4}, 1); v.Low != 0 || v.High != 0 || v.Value != 4 || v.SD != 0 {
		t.Errorf("one run alone has the interval %+v", v)
	}
}

func TestCompareFindsWhatIsThere(t *testing.T) {
	of := func(seed uint64, mean float64) Result {
		r := rand.New(rand.NewPCG(seed, 0))
		xs := make([]float64, 8)
		for i := range xs {
			xs[i] = mean + r.NormFloat64()
		}
		return Result{Summary: Summary{Values: []Value{Estimate("late", xs, 8)}, Definitions: []Definition{{Metric: "late", Better: "less"}}}}
	}
	wrong := 0
	for seed := range uint64(200) {
		if d := Compare(of(seed, 10), of(seed+1000, 10))[0]; d.Conclusion != "same" {
			wrong++
		}
		if d := Compare(of(seed, 10), of(seed+1000, 14))[0]; d.Conclusion != "worse" {
			t.Errorf("4 more with a deviation of 1 is %+v", d)
		}
	}
	if wrong < 1 || wrong > 25 {
		t.Errorf("two alike differ in %d of 200 trials; about 10 are due", wrong)
	}
	if d := Compare(of(1, 10), of(2, 6))[0]; d.Conclusion != "better" {
		t.Errorf("less is %+v", d)
	}
	one := Result{Summary: Summary{Values: []Value{{Metric: "late", Value: 3}}}}
	if d := Compare(one, of(1, 10))[0]; d.Conclusion != "unknown" || d.Known {
		t.Errorf("one run alone is compared: %+v", d)
	}
}

func TestJoin(t *testing.T) {
	run := func(seed uint64, got float64, lost int) Result {
		ok := got >= 0.9
		verdict := map[bool]string{true: "pass", false: "fail"}[ok]
		return Result{
			Manifest: Manifest{Seed: seed, Complete: true, Wall: 2},
			Summary: Summary{Verdict: verdict, Expect: []Expectation{{Clause: "ratio >= 0.9", OK: ok, Got: got}},
				Values: []Value{{Metric: "ratio", Value: got, N: 10}},
				Distributions: []Distribution{{Metric: "late", N: 10, Lost: lost,
					CDF: [][2]float64{{float64(seed), 0.5}, {float64(seed) + 1, 1 - float64(lost)/10}}}}},
			Samples: []Sample{{T: 1, Metric: "up", Value: got}, {T: 2, Metric: "up", Value: 1}},
		}
	}
	j := Join([]Result{run(1, 1, 0), run(2, 0.8, 2), run(3, 0.9, 0)})
	if j.Summary.Verdict != "fail" || j.Summary.Expect[0].OK || !strings.Contains(j.Summary.Expect[0].Why, "1 of 3 runs: seed 2") {
		t.Errorf("%q, %+v", j.Summary.Verdict, j.Summary.Expect)
	}
	if v := j.Summary.Values[0]; math.Abs(v.Value-0.9) > 1e-9 || v.Runs != 3 || v.N != 30 || v.Low >= 0.9 || v.High <= 0.9 {
		t.Errorf("%+v", v)
	}
	d := j.Summary.Distributions[0]
	if d.N != 30 || d.Lost != 2 || d.Quantiles["0.5"] != 2 {
		t.Errorf("%+v", d)
	}
	if _, ok := d.Quantiles["0.99"]; ok {
		t.Errorf("2 of 30 are lost, and yet 99 of 100 came by %v", d.Quantiles["0.99"])
	}
	if len(j.Samples) != 2 || math.Abs(j.Samples[0].Value-0.9) > 1e-9 {
		t.Errorf("%+v", j.Samples)
	}
	if len(j.Manifest.Seeds) != 3 || j.Manifest.Wall != 6 {
		t.Errorf("%+v", j.Manifest)
	}
}
