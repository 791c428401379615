package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/store/crash"
)

// A trial is one run of the crash harness: two homes that write to each other while both are killed.
type trial struct {
	t        *testing.T
	seed     uint64
	mistakes []string
	points   []string
	writers  [2]*writer
	stop     chan struct{} // closed when nobody is to write any more

	mu    sync.Mutex
	next  int // of points
	kills int
	most  int
	at    map[string]int // kills at each point
	err   error
}

// A writer is one of the two people: the home, what its commands have promised, and what was shown there.
type writer struct {
	*Home
	to       string
	promised []promise
	shown    map[string]int // by id, by the events that tell of it
	events   uint64         // read so far
}

// A promise is a message that a command said is queued.
type promise struct {
	id, text string
	deadline time.Time // of its expiry
}

func newTrial(t *testing.T, bin string, seed uint64, mistakes ...crash.Mistake) *trial {
	x := &trial{t: t, seed: seed, points: points(t), stop: make(chan struct{}), at: map[string]int{}}
	for _, m := range mistakes {
		x.mistakes = append(x.mistakes, string(m))
	}
	names := []string{"alice", "bob"}
	for i, name := range names {
		h := New(t, bin, name)
		h.Env = x.env()
		x.writers[i] = &writer{Home: h, to: names[1-i], shown: map[string]int{}}
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, x.writers[0].Home, x.writers[1].Home)
	for _, w := range x.writers {
		w.Must(t, "policy", "set", "known", "--displayed", "tell")
	}
	return x
}

func (x *trial) env(words ...string) []string {
	return []string{"HUM_FAULT=" + strings.Join(append(words, x.mistakes...), ";")}
}

// run kills so many times, lets all that is under way come to its end, and says what became of it.
func (x *trial) run(kills int) tally {
	began := time.Now()
	x.most = kills
	var killers, writers sync.WaitGroup
	for i, w := range x.writers {
		writers.Go(func() { x.write(w, draws(x.seed, i)) })
		killers.Go(func() { x.kill(w, draws(x.seed, 2+i)) })
	}
	killers.Wait()
	close(x.stop)
	writers.Wait()
	if x.err != nil {
		x.t.Fatal(x.err)
	}
	sum := x.audit()
	x.t.Logf("seed %d, %v: %v", x.seed, time.Since(began).Round(time.Second), sum)
	return sum
}

// A plan is how a process is to die: at the n-th passing of a point, or after a time.
type plan struct {
	point string
	n     int
	life  time.Duration
}

// draw takes the next plan; false if it was the last. Points are taken in turn, so that none is left out.
func (x *trial) draw(r *rand.Rand) (p plan, more bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.kills >= x.most || x.err != nil {
		return p, false
	}
	x.kills++
	p.life = time.Duration(r.IntN(700)) * time.Millisecond
	switch r.IntN(8) {
	case 0: // a quiet time, in which much is under way
		p.life *= 3
	case 1, 2, 3, 4:
		p = plan{x.points[x.next%len(x.points)], 1 + r.IntN(4), 5 * time.Second}
		if strings.HasPrefix(p.point, "store: ") { // which every commit passes
			p.n += r.IntN(20)
		}
		x.next++
	}
	return p, true
}

// kill starts a home again and again, each time with another way to die.
func (x *trial) kill(w *writer, r *rand.Rand) {
	for {
		p, more := x.draw(r)
		w.Home.Kill()
		w.Env = x.env()
		if more && p.point != "" {
			w.Env = x.env(fmt.Sprintf("kill=%s=%d", p.point, p.n))
		}
		err := w.Up()
		if !more {
			x.fail(err)
			return
		}
		if err == nil {
			select {
			case <-w.died:
			case <-time.After(p.life):
			}
			w.Home.Kill()
		}
		switch struck := strings.Contains(w.out.String(), "fault: "+p.point); {
		case p.point != "" && struck:
			x.mu.Lock()
			x.at[p.point]++
			x.mu.Unlock()
		case err != nil:
			x.fail(err)
			return
		}
	}
}

func (x *trial) fail(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.err = errors.Join(x.err, err)
}

// write sends messages, some of which expire soon, and opens some that came, whether or not a node is there
// to do it.
func (x *trial) write(w *writer, r *rand.Rand) {
	for i := 0; ; i++ {
		select {
		case <-x.stop:
			return
		case <-time.After(time.Duration(20+r.IntN(150)) * time.Millisecond):
		}
		text, life := fmt.Sprintf("%s to %s, %d", filepath.Base(w.Dir), w.to, i), time.Hour
		if r.IntN(6) == 0 {
			life = 3 * time.Second
		}
		send := w.send
		if i%8 == 0 {
			send = w.command
		}
		if id := send(text, life); id != "" {
			w.promised = append(w.promised, promise{id, text, time.Now().Add(life)})
		}
		if i%4 == 0 {
			w.look()
			w.open()
		}
	}
}

// command is a message by the command line; id is "" if it was not promised.
func (w *writer) command(text string, life time.Duration) (id string) {
	s := w.Run("send", w.to, text, "--ack", "displayed", "--expires", life.String())
	if s.Code != 0 {
		return ""
	}
	var sent struct{ ID string }
	_ = json.Unmarshal([]byte(s.Out), &sent)
	return sent.ID
}

// asking is how long a node that is about to die is asked for anything.
const asking = 30 * time.Second

// ask has f use the node's local API, as commands do, at a tenth of the cost; with a node that is not there, or dies,
// nothing comes of it.
func (w *writer) ask(f func(context.Context, *control.Client)) {
	c, err := control.Dial(w.Dir)
	if err != nil {
		return
	}
	defer c.Close()
	ctx, end := context.WithTimeout(context.Background(), asking)
	defer end()
	f(ctx, c)
}

// send is command by the local API.
func (w *writer) send(text string, life time.Duration) (id string) {
	w.ask(func(ctx context.Context, c *control.Client) {
		d := &humv1.Draft{Content: []byte(text), Displayed: true, Expires: durationpb.New(life)}
		if s, err := c.Send(ctx, &humv1.SendRequest{To: w.to, Draft: d}); err == nil {
			id = s.Id
		}
	})
	return id
}

// open marks one of the newest messages as read.
func (w *writer) open() {
	w.ask(func(ctx context.Context, c *control.Client) {
		if in, err := c.Inbox(ctx, &humv1.InboxRequest{Limit: 3}); err == nil && len(in.Messages) > 0 {
			_, _ = c.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: in.Messages[0].Id})
		}
	})
}

// look reads which messages were shown since it last looked.
func (w *writer) look() {
	w.ask(func(ctx context.Context, c *control.Client) {
		since := w.events
		stream, err := c.Events(ctx, &humv1.EventsRequest{Since: &since})
		if err != nil {
			return
		}
		defer func() { _ = stream.Close() }()
		for {
			r, err := stream.Receive()
			e := r.GetEvent()
			if err != nil || e == nil {
				return
			}
			if w.events = e.N; e.Kind == "message" && e.State == "received" {
				w.shown[e.Id]++
			}
		}
	})
}

// settleTime is how long after all kills what is under way may take, on a busy machine.
const settleTime = 2 * time.Minute

// afterExpiry is how long after its expiry a message that was handed over may be undecided (SPEC 5.5: 2S),
// and a little more for whoever looks.
const afterExpiry = 4*time.Minute + 10*time.Second

// short is how many kills a run has that does not wait for deadlines which are still to come.
const short = 300

// audit waits until nothing is under way, and looks at every promise.
func (x *trial) audit() (sum tally) {
	sum = tally{Seeds: []uint64{x.seed}, Kills: x.kills}
	for _, n := range x.at {
		sum.Points += n
	}
	began := time.Now()
	for {
		sum.Promised, sum.Delivered, sum.Failed, sum.Early, sum.Undecided, sum.Lost = 0, 0, 0, 0, 0, 0
		for i, w := range x.writers {
			x.judge(&sum, w, x.writers[1-i])
		}
		took := time.Since(began)
		if sum.Lost > 0 || sum.Undecided == 0 && (sum.Early == 0 || x.kills <= short) || took > settleTime+afterExpiry || took > settleTime && sum.Early == 0 {
			break
		}
		time.Sleep(time.Second)
	}
	sum.Twice = 0
	for _, w := range x.writers {
		x.explain(w)
		w.look()
		for _, n := range w.shown {
			if n > 1 {
				sum.Twice++
			}
		}
	}
	return sum
}

// ends are the reasons for which a message may fail here: it came nowhere, its recipient was not heard of
// again, or it came to him when its time was over.
var ends = []string{"unreachable", "unconfirmed", "expired"}

// explain logs the way of each message of w that has come to no end which a message may come to.
func (x *trial) explain(w *writer) {
	for _, m := range w.Must(x.t, "outbox") {
		reason, _ := m["reason"].(string)
		switch state := m["state"]; {
		case state == "delivered", state == "displayed", state == "failed" && slices.Contains(ends, reason):
		default:
			x.t.Logf("%v of %s is %v: %s", m["id"], filepath.Base(w.Dir), m["state"], w.Run("trace", m["id"].(string)).Out)
		}
	}
}

// judge counts what became of w's promises.
func (x *trial) judge(sum *tally, w, other *writer) {
	type fate struct{ state, reason string }
	fates, here := map[string]fate{}, map[string]int{}
	for _, m := range w.Must(x.t, "outbox") {
		reason, _ := m["reason"].(string)
		fates[m["id"].(string)] = fate{m["state"].(string), reason}
	}
	for _, m := range other.Must(x.t, "inbox") {
		here[m["id"].(string)]++
	}
	for _, p := range w.promised {
		sum.Promised++
		soon := time.Until(p.deadline) < settleTime
		switch f := fates[p.id]; {
		case f.state == "delivered" || f.state == "displayed":
			sum.Delivered++
			if here[p.id] == 0 {
				sum.Lost++
			}
		case f.state == "failed" && soon && slices.Contains(ends, f.reason):
			sum.Failed++
		case f.state == "handed" && soon && time.Since(p.deadline) < afterExpiry:
			sum.Early++
		case f.state == "": // promised and forgotten
			sum.Lost++
		default:
			sum.Undecided++
		}
	}
}
