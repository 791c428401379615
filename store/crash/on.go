//go:build faults

package crash

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// plan is what this process was started to suffer.
var plan = read(os.Getenv("HUM_FAULT"))

type suffering struct {
	point    string
	left     atomic.Int64
	mistakes map[Mistake]bool
}

func read(words string) *suffering {
	s := &suffering{mistakes: map[Mistake]bool{}}
	for _, w := range strings.Split(words, ";") {
		if at, ok := strings.CutPrefix(w, "kill="); ok {
			name, n, _ := strings.Cut(at, "=")
			times, err := strconv.ParseInt(n, 10, 64)
			if err != nil {
				panic(err) // only tests set it
			}
			s.point = name
			s.left.Store(times)
			continue
		}
		s.mistakes[Mistake(w)] = true
	}
	return s
}

// Point ends the process as a crash would, if it is the one to do so at.
func Point(name string) {
	if name != plan.point || plan.left.Add(-1) != 0 {
		return
	}
	fmt.Fprintln(os.Stderr, "fault:", name)
	if p, err := os.FindProcess(os.Getpid()); err == nil {
		_ = p.Kill()
	}
	select {} // whoever comes here goes no further
}

// Planted reports whether a mistake is to be made.
func Planted(m Mistake) bool { return plan.mistakes[m] }

// Window makes a mistake's moment long enough for a kill to hit it.
func Window() { time.Sleep(300 * time.Millisecond) }
