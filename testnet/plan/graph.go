package plan

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

// graph draws who watches whom, and when each asks: in the second part of the warm-up, so that everybody is there,
// and not at once, as then both ends of a friendship would dial each other in the same instant.
func (p *Plan) graph(dir string) error {
	r := p.draw("graph", 0)
	edges, err := p.edges(r, dir)
	if err != nil {
		return err
	}
	seen := map[[2]int]bool{}
	w := p.Scenario.Warmup.D()
	for _, e := range edges {
		if e[0] == e[1] || seen[e] {
			continue
		}
		seen[e] = true
		at := w*2/5 + time.Duration(r.Float64()*0.3*float64(w))
		if seen[[2]int{e[1], e[0]}] { // the answer comes by the way that stands already
			at = w*7/10 + time.Duration(r.Float64()*0.15*float64(w))
		}
		p.Watches = append(p.Watches, Watch{e[0], e[1], at})
	}
	slices.SortStableFunc(p.Watches, func(a, b Watch) int { return int(min(max(a.At-b.At, -1), 1)) })
	return nil
}

func (p *Plan) edges(r *rand.Rand, dir string) (edges [][2]int, err error) {
	g := p.Scenario.Rosters
	all := p.members("")
	n := len(all)
	pair := func(a, b int) {
		if a == b {
			return
		}
		edges = append(edges, [2]int{all[a], all[b]})
		if r.Float64() < g.Mutual.F() {
			edges = append(edges, [2]int{all[b], all[a]})
		}
	}
	// each drawn friendship gives 1+mutual places on rosters
	friendships := int(math.Round(g.Mean * float64(n) / (1 + g.Mutual.F())))
	switch g.Model {
	case "none":
	case "pairs":
		for i := 0; i+1 < n; i += 2 {
			pair(i, i+1)
		}
	case "ring":
		for k := 1; k <= max(1, int(math.Round(g.Mean/(1+g.Mutual.F())))); k++ {
			for i := range n {
				pair(i, (i+k)%n)
			}
		}
	case "star":
		for _, c := range p.members(g.Centre) {
			for _, w := range all {
				if w != c {
					edges = append(edges, [2]int{w, c})
				}
			}
		}
	case "random":
		distinct(friendships, n, func() (int, int) { return r.IntN(n), r.IntN(n) }, pair)
	case "communities":
		size := min(max(g.Size, 2), n)
		if n < 2 {
			break
		}
		distinct(friendships, n, func() (int, int) {
			a := r.IntN(n)
			if r.Float64() < g.Rewire.F() {
				return a, r.IntN(n)
			}
			first := a / size * size
			if first+size > n { // the last circle is as large as the others
				first = n - size
			}
			return a, first + r.IntN(size)
		}, pair)
	case "powerlaw":
		pick := powerlaw(n, g.Exponent)
		distinct(friendships, n, func() (int, int) { return r.IntN(n), pick(r) }, pair)
	case "file":
		rows, err := readCSV(inDir(dir, g.File), 2)
		if err != nil {
			return nil, p.fileError("rosters.file", err)
		}
		for _, row := range rows {
			a, err1 := strconv.Atoi(row.cells[0])
			b, err2 := strconv.Atoi(row.cells[1])
			if err1 != nil || err2 != nil || min(a, b) < 0 || max(a, b) >= n {
				return nil, &scenario.Error{File: inDir(dir, g.File), Line: row.line, Text: fmt.Sprintf("%v: numbers of nodes are 0 to %d", row.cells, n-1)}
			}
			edges = append(edges, [2]int{all[a], all[b]})
		}
	}
	return edges, nil
}

// distinct calls pair for want different friendships, or for as many as chance finds.
func distinct(want, n int, draw func() (int, int), pair func(a, b int)) {
	seen := map[[2]int]bool{}
	for tries := 0; len(seen) < want && tries < 20*want+100; tries++ {
		a, b := draw()
		k := [2]int{min(a, b), max(a, b)}
		if a == b || seen[k] {
			continue
		}
		seen[k] = true
		pair(a, b)
	}
}

// powerlaw draws a node i with a weight of (i+1)^(-1/(exponent-1)), which gives degrees of that exponent.
func powerlaw(n int, exponent float64) func(*rand.Rand) int {
	sums := make([]float64, n)
	sum := 0.0
	for i := range n {
		sum += math.Pow(float64(i+1), -1/(max(exponent, 1.5)-1))
		sums[i] = sum
	}
	return func(r *rand.Rand) int {
		i, _ := slices.BinarySearch(sums, r.Float64()*sum)
		return min(i, n-1)
	}
}
