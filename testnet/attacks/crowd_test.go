//go:build unix

package attacks

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p"
)

// A crowd is bob and those who watch him, machines with whole nodes all of them, half of them light.
type crowd struct {
	s    *stage
	bob  *machine
	all  []*machine
	rnd  *rand.Rand
	last string // bob's last word
	said int
	off  map[*machine]bool // whose path is cut
}

// gather starts a machine for each watcher and has bob agree.
func gather(t *testing.T, s *stage, watchers int) *crowd {
	t.Helper()
	c := &crowd{s: s, off: map[*machine]bool{}, bob: s.machine("bob"), rnd: rand.New(rand.NewPCG(500, 20))}
	for i := range watchers {
		m := s.crowdMachine(fmt.Sprintf("w%d", i), i%2 == 1)
		c.all = append(c.all, m)
		m.add(c.bob)
		if _, err := m.Watch(context.Background(), "bob", "", 0); err != nil {
			t.Fatal(err)
		}
		if i%50 == 49 || i == watchers-1 {
			c.approve(i + 1)
		}
	}
	for _, m := range c.all {
		m.eventually(time.Minute, "sees bob open", func() bool { return m.sees(c.bob).Basic == "open" })
	}
	return c
}

func (s *stage) crowdMachine(name string, light bool) *machine {
	s.t.Helper()
	m := s.machineOf(name, name)
	if light {
		m.stop()
		m.light = true
		m.start()
	}
	return m
}

// approve has bob agree to all who ask, until so many are active.
func (c *crowd) approve(active int) {
	ctx := context.Background()
	c.bob.eventually(5*time.Minute, fmt.Sprint("has ", active, " watchers"), func() bool {
		asked, err := c.bob.Requests(ctx)
		if err != nil {
			c.s.t.Fatal(err)
		}
		for _, r := range asked {
			if _, err := c.bob.Approve(ctx, r.Address.String()); err != nil {
				c.s.t.Fatal(err)
			}
		}
		st, err := c.bob.Status(ctx)
		if err != nil {
			c.s.t.Fatal(err)
		}
		return st.Watchers >= active
	})
}

func (c *crowd) say() {
	c.said++
	c.last = fmt.Sprint("change ", c.said)
	c.bob.set(node.Change{Note: &c.last})
}

// churn does something to one watcher: he stops, is killed or comes back; or his path goes or comes.
func (c *crowd) churn() {
	m := c.all[c.rnd.IntN(len(c.all))]
	switch {
	case m.Node == nil:
		m.start()
	case c.off[m]:
		c.s.net.Join(m.ip, c.bob.ip)
		delete(c.off, m)
	default:
		switch c.rnd.IntN(4) {
		case 0:
			m.stop()
		case 1:
			m.kill()
		case 2:
			c.s.net.Break(m.ip, c.bob.ip)
			c.off[m] = true
		case 3:
			c.s.net.Cut(m.ip, c.bob.ip)
			c.off[m] = true
		}
	}
}

// mend brings everybody back.
func (c *crowd) mend() {
	for _, m := range c.all {
		if m.Node == nil {
			m.start()
		}
		c.s.net.Join(m.ip, c.bob.ip)
	}
	clear(c.off)
}

// A tally is what a crowd came to.
type tally struct{ read, superseded, gaps int }

// account sees that each ends at the last version with every gap explained.
func (c *crowd) account() (sum tally) {
	t := c.s.t
	t.Helper()
	for _, m := range c.all {
		all := readings(t, m, c.bob)
		if len(all) == 0 {
			t.Errorf("%s read nothing", m.name)
			continue
		}
		if err := accounted(all); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
		if p := m.sees(c.bob); all[len(all)-1].note != c.last || p.Note != c.last || p.Basic != "open" || p.Evidence != "said" {
			t.Errorf("%s ends with %q, %s %s %q", m.name, all[len(all)-1].note, p.Basic, p.Evidence, p.Note)
		}
		sum.read += len(all)
		for _, r := range all {
			if r.superseded > 0 {
				sum.gaps++
				sum.superseded += int(r.superseded)
			}
		}
	}
	return sum
}

// TestCrowd_Churn: twenty changes of bob's while watchers stop, die, come back and lose their paths all the time.
// In the end each has the last version, and every version that he did not read was said to be superseded.
func TestCrowd_Churn(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		began, start := time.Now(), cpu()
		c := gather(t, s, size(40, 500))
		gathered := cpu() - start
		runtime.ReadMemStats(&after)
		for range 20 {
			c.say()
			for range len(c.all) / 8 {
				pass(time.Duration(c.rnd.ExpFloat64() * 30 / float64(len(c.all)/8) * float64(time.Second)))
				c.churn()
			}
		}
		c.mend()
		soon(25*time.Minute, func() bool {
			for _, m := range c.all {
				if p := m.sees(c.bob); p.Note != c.last || p.Basic != "open" {
					return false
				}
			}
			return true
		})
		sum := c.account()
		if sum.gaps == 0 || sum.read < 10*len(c.all) {
			t.Errorf("%+v: nothing was missed, or hardly anything read, so that nothing was tried", sum)
		}
		t.Logf("%d watchers: %d versions read, %d superseded in %d gaps; %v of virtual time; %d MB of heap; CPU %v to gather, %v in all",
			len(c.all), sum.read, sum.superseded, sum.gaps, time.Since(began).Round(time.Second), after.HeapAlloc>>20,
			gathered.Round(time.Second), (cpu() - start).Round(time.Second))
	})
}

// TestCrowd_Wire is the same for five hundred (every day a hundred) real p2p nodes, each with the reading of SPEC 4.5 and nothing
// kept: half of them are light, and paths go and come with a word and without one.
func TestCrowd_Wire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watchers := 100
		if wide {
			watchers = 500
		}
		start := cpu()
		m := newMovement(t, 500)
		defer m.close()
		m.light = map[int]bool{}
		for i := range watchers {
			m.light[1+i] = i%2 == 1
		}
		m.open(watchers, nil)
		m.say()
		m.pass(time.Minute)
		for range 20 {
			m.say()
			for range 10 {
				m.pass(time.Duration(m.rnd.ExpFloat64() * 1.5 * float64(time.Second)))
				for range watchers / 50 {
					m.shake()
				}
			}
		}
		m.mend()
		for _, c := range m.all {
			c.Nudge()
		}
		m.pass(3 * time.Minute)
		m.current()
		read, superseded := 0, uint64(0)
		for i, c := range m.all {
			c.mu.Lock()
			for _, w := range c.wrong {
				t.Errorf("watcher %d: %s", i+1, w)
			}
			if m.light[1+i] && (c.modes[p2p.Both] || c.modes[p2p.Mesh]) {
				t.Errorf("watcher %d is light and was on the topic", i+1)
			}
			read, superseded = read+c.read, superseded+c.skipped
			c.mu.Unlock()
		}
		topic, streams := m.bob.Audience(m.epoch.E)
		t.Logf("%d versions said, %d read, %d superseded; in the end %d on the topic, %d on streams; CPU %v", m.ver, read, superseded, topic, streams, (cpu() - start).Round(time.Second))
		if superseded == 0 || read < 10*watchers {
			t.Error("nothing was missed, or hardly anything read, so that nothing was tried")
		}
	})
}

// cpu is what this process has spent so far, on all cores.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
