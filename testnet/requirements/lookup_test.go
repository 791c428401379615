package requirements

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/testnet"
)

// server starts a node that serves the DHT, and nothing else, and knows some others of it.
func (w *world) server(name string, knows ...*p2p.Net) *p2p.Net {
	w.Helper()
	clock := testnet.NewClock()
	n, err := p2p.Open(p2p.Config{Transport: sha256.Sum256([]byte(name)), Host: w.host(w.ip()), Clock: clock.Now, Rand: randomOf(name), Naming: community.Judge(clock.Now), DHT: true})
	w.must(err)
	run, stop := context.WithCancel(ctx())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run, caller{}) }()
	<-n.Ready()
	for _, k := range knows {
		n.MeetDHT(k.Self(), k.Addrs())
	}
	n.FillDHT(ctx())
	w.ends = append(w.ends, func() {
		stop()
		<-ended
		w.must(n.Close())
	})
	return n
}

// passedAt is what a machine sent and obtained so far.
func (w *world) passedAt(ip string) (t testnet.Traffic) {
	w.net.Each(func(from, to string, x testnet.Traffic) {
		if from == ip || to == ip {
			t.Frames, t.Bytes = t.Frames+x.Frames, t.Bytes+x.Bytes
		}
	})
	return t
}

// Who has just begun, and knows one DHT server, finds somebody by his address alone, in 5 s and by few of the servers
// (requirement 2.2.3): his home by the DHT, and there his records. Each asks for the first time, and begins at another
// server. Every link takes 40 ms one way. HUM_LONG=dht takes the figures of docs/figures.md.
func TestReq_2_2_3_ColdLookup(t *testing.T) {
	if os.Getenv("HUM_LONG") != "dht" {
		coldLookups(t, 8, 2, 2)
		return
	}
	coldLookups(t, 25, 5, 8)
	coldLookups(t, 100, 5, 8)
}

// coldLookups has some askers for each bob.
func coldLookups(t *testing.T, servers, bobs, askers int) {
	t.Helper()
	inWorld(t, func(w *world) {
		w.net = testnet.New(testnet.Config{Seed: 1, Link: testnet.Link{Latency: 40 * time.Millisecond}})
		var dht []*p2p.Net
		var dials []string
		for i := range servers {
			n := w.server(fmt.Sprint("server ", i), dht[:min(i, 1)]...)
			dht = append(dht, n)
			dials = append(dials, p2p.DialText(n.Self(), n.Addrs()[0]))
		}
		time.Sleep(20 * time.Minute) // their tables fill
		d := w.operator("d", func(o *operator) { o.dht = dials[:1] })
		var of []*person
		for i := range bobs {
			p := w.person(fmt.Sprint("bob ", i))
			p.enters(d.invite(1))
			of = append(of, p)
		}
		time.Sleep(30 * time.Minute) // their home names them in the DHT
		var took []time.Duration
		var asked []int
		var frames, bytes []uint64
		for i := range bobs * askers {
			bob := of[i%bobs]
			alice := w.person(fmt.Sprint("alice ", i), func(p *person) { p.bootstrap = []string{dials[(7*i+1)%servers]} })
			time.Sleep(time.Second)
			began, before := time.Now(), w.passedAt(alice.ip)
			r, err := alice.Resolve(ctx(), addressOf(bob))
			if err != nil || !r.Known || r.Asked == 0 {
				t.Fatalf("%d: %+v, %v", i, r, err)
			}
			x := w.passedAt(alice.ip)
			took, asked = append(took, time.Since(began)), append(asked, r.Asked)
			frames, bytes = append(frames, x.Frames-before.Frames), append(bytes, x.Bytes-before.Bytes)
			alice.down()
		}
		slices.Sort(took)
		slices.Sort(asked)
		slices.Sort(frames)
		slices.Sort(bytes)
		mid, high := len(took)/2, (len(took)*95+99)/100-1
		t.Logf("%d servers, %d lookups: median and 95th percentile %v, %v; servers asked %d, %d; frames %d, %d; bytes %d, %d", servers, len(took),
			took[mid], took[high], asked[mid], asked[high], frames[mid], frames[high], bytes[mid], bytes[high])
		if took[high] > 5*time.Second {
			t.Errorf("a cold lookup takes %v", took[high])
		}
	})
}
