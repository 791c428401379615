package process

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/store/crash"
)

// crashKills is how many kills a run has; HUM_CRASH_KILLS asks for more.
func crashKills(t *testing.T, everyDay int) int {
	s := os.Getenv("HUM_CRASH_KILLS")
	if s == "" {
		return everyDay
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestCrash has two people write to each other while the processes of both are killed with SIGKILL, at
// random instants and at each point between two writes (package store/crash), on a path that hands in every
// Parcel twice. Whatever a command promised is delivered once or failed by its deadline (RFC 2779, 5.4.1 and
// 5.4.2; SPEC 5.6). HUM_CRASH_SEED repeats the draws of a run; HUM_CRASH_SUMS names a file that adds runs up.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("HUM_CRASH_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	x := newTrial(t, Build(t, "faults"), seed, crash.Twice)
	kills := crashKills(t, 40)
	sum := x.run(kills)
	for what, n := range map[string]int{"acked and lost": sum.Lost, "shown twice": sum.Twice, "undecided after the deadline": sum.Undecided} {
		if n > 0 {
			t.Errorf("%s: %d", what, n)
		}
	}
	if sum.Delivered == 0 {
		t.Error("nothing was delivered: the kills tell nothing")
	}
	for _, p := range x.points {
		t.Logf("%4d kills at %s", x.at[p], p)
		if kills >= 300 && x.at[p] == 0 {
			t.Errorf("no process came to the point %q", p)
		}
	}
	if file := os.Getenv("HUM_CRASH_SUMS"); file != "" {
		all, err := addUp(file, sum)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("in %d runs: %v", len(all.Seeds), all)
	}
}

// TestCrashFinds plants the mistakes that the harness is there for. If it did not find them, what it says of
// a sound node would mean nothing.
func TestCrashFinds(t *testing.T) {
	t.Parallel()
	bin := Build(t, "faults")
	for _, planted := range []struct {
		mistake crash.Mistake
		with    []crash.Mistake
		found   func(tally) int
	}{
		{crash.AckFirst, nil, func(s tally) int { return s.Lost }},
		{crash.IDsApart, nil, func(s tally) int { return s.Twice }},
		{crash.SeenOutside, []crash.Mistake{crash.Twice}, func(s tally) int { return s.Twice }},
	} {
		t.Run(string(planted.mistake), func(t *testing.T) {
			for try := range uint64(3) {
				x := newTrial(t, bin, try, append(planted.with, planted.mistake)...)
				if n := planted.found(x.run(15)); n > 0 {
					t.Logf("found, as it must be: %d", n)
					return
				}
			}
			t.Error("not found")
		})
	}
}

// A tally is what came of one run, or of several.
type tally struct {
	Seeds                              []uint64
	Kills, Points                      int // SIGKILLs, and how many of them came at a point between two writes
	Promised, Delivered, Failed, Early int // messages; Early are those whose deadline is not over yet
	Lost, Twice, Undecided             int
}

func (s tally) String() string {
	return fmt.Sprintf("%d kills (%d between two writes), %d messages promised: %d delivered, %d failed, %d before their deadline; acked and lost %d, shown twice %d, undecided after the deadline %d",
		s.Kills, s.Points, s.Promised, s.Delivered, s.Failed, s.Early, s.Lost, s.Twice, s.Undecided)
}

// addUp adds a run to those of a file and returns their sum.
func addUp(file string, s tally) (all tally, err error) {
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return all, err
	}
	all.Seeds = append(all.Seeds, s.Seeds...)
	for _, p := range []struct{ to, from *int }{{&all.Kills, &s.Kills}, {&all.Points, &s.Points}, {&all.Promised, &s.Promised},
		{&all.Delivered, &s.Delivered}, {&all.Failed, &s.Failed}, {&all.Early, &s.Early},
		{&all.Lost, &s.Lost}, {&all.Twice, &s.Twice}, {&all.Undecided, &s.Undecided}} {
		*p.to += *p.from
	}
	if b, err = json.Marshal(all); err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	return all, err
}

var pointCall = regexp.MustCompile(`crash\.Point\("([^"]+)"\)`)

// points are the names of all points in the sources.
func points(t *testing.T) (names []string) {
	for _, room := range []string{"node", "store"} {
		files, err := filepath.Glob(filepath.Join("..", "..", room, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range pointCall.FindAllStringSubmatch(string(b), -1) {
				names = append(names, m[1])
			}
		}
	}
	slices.Sort(names)
	if len(names) < 10 {
		t.Fatalf("only %d points were found", len(names))
	}
	return slices.Compact(names)
}

// TestNoFaultsInANode looks for the points in a binary as users get it, where none may be.
func TestNoFaultsInANode(t *testing.T) {
	t.Parallel()
	in := func(bin string) bool {
		b, err := os.ReadFile(bin)
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		return strings.Contains(text, "HUM_FAULT") || slices.ContainsFunc(points(t), func(p string) bool { return strings.Contains(text, p) })
	}
	if in(Build(t)) {
		t.Error("a node has fault points")
	}
	if !in(Build(t, "faults")) {
		t.Error("the points of a test build are not found")
	}
}

// draws are the random choices of a run; each goroutine has its own.
func draws(seed uint64, whose int) *rand.Rand { return rand.New(rand.NewPCG(seed, uint64(whose))) }
