package shard_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hum-presence/hum/testnet/shard"
)

const (
	nodes   = 24
	tokens  = 60
	horizon = 2 * time.Second
	least   = 10 * time.Millisecond
)

// A toy passes tokens around: who holds one gives it to another node, both chosen by a pure function of the token and
// its age, and every hop is written down. What is written must not depend on how many processes share the nodes.
type toy struct {
	me  *shard.Member
	mu  sync.Mutex
	log []hop
}

type hop struct {
	At          int64
	Node, Token uint64
	Age         uint64
}

func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func (y *toy) take(node, token, age uint64) {
	y.mu.Lock()
	y.log = append(y.log, hop{time.Now().UnixNano(), node, token, age})
	y.mu.Unlock()
	h := mix(token<<32 | age)
	to := h % nodes
	at := time.Now().Add(least + time.Duration(mix(h)%uint64(40*time.Millisecond)))
	if int(to)%y.me.Shards == y.me.Shard {
		time.AfterFunc(time.Until(at), func() { y.take(to, token, age+1) })
		return
	}
	var b []byte
	for _, v := range []uint64{to, token, age + 1} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	y.me.Send(int(to)%y.me.Shards, at, to, b)
}

// live is one shard's whole run.
func live(t *testing.T, sock string, i, k int, diesAt time.Duration) (log []hop, err error) {
	conn, err := net.Dial("unix", sock)
	if err != nil {
		return nil, err
	}
	m, err := shard.Join(conn, i, k, "toy")
	if err != nil {
		return nil, err
	}
	synctest.Test(t, func(*testing.T) {
		y := &toy{me: m}
		m.Deliver = func(p shard.Parcel) {
			wait := time.Until(time.Unix(0, p.At))
			if wait <= 0 {
				t.Errorf("a parcel is %v late", -wait)
			}
			time.AfterFunc(wait, func() {
				b := p.Data
				y.take(binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:]))
			})
		}
		for token := range uint64(tokens) {
			if node := token % nodes; int(node)%k == i {
				time.AfterFunc(time.Duration(token)*time.Millisecond, func() { y.take(node, token, 0) })
			}
		}
		if diesAt > 0 {
			if err = m.Advance(diesAt); err == nil {
				conn.Close()
				err = errors.New("died")
			}
		} else if err = m.Advance(horizon); err == nil {
			err = m.End()
		}
		y.mu.Lock()
		log = y.log
		y.mu.Unlock()
		time.Sleep(time.Minute) // what is under way ends after the log was taken
	})
	if err == nil {
		err = m.Hand(fmt.Appendf(nil, "%d hops", len(log)))
	}
	return log, err
}

// run is a whole run on k shards; shard dies at an instant, if that is not 0.
func run(t *testing.T, k int, window time.Duration, dies int, at time.Duration) (log []hop, parcels int, errs []error, served error) {
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := shard.Coordinator{Shards: k, Run: "toy", Window: window, Step: func(s shard.Step) { parcels = s.Parcels }}
	logs, errs := make([][]hop, k), make([]error, k)
	done := make(chan struct{})
	var results [][]byte
	go func() {
		defer close(done)
		results, served = c.Serve(l)
	}()
	var all sync.WaitGroup // and not parallel subtests, of which Go runs only as many as there are processors
	for i := range k {
		all.Go(func() {
			died := time.Duration(0)
			if i == dies {
				died = at
			}
			logs[i], errs[i] = live(t, sock, i, k, died)
		})
	}
	all.Wait()
	<-done
	if served == nil && (len(results) != k || !bytes.Contains(results[0], []byte("hops"))) {
		t.Errorf("handed in: %q", results)
	}
	log = slices.Concat(logs...)
	slices.SortFunc(log, func(a, b hop) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Token, b.Token), cmp.Compare(a.Age, b.Age))
	})
	return log, parcels, errs, served
}

func TestAnyNumberOfShards(t *testing.T) {
	var first []hop
	for _, k := range []int{1, 2, 4} {
		log, parcels, errs, err := run(t, k, least-1, -1, 0)
		if err := errors.Join(append(errs, err)...); err != nil {
			t.Fatalf("%d shards: %v", k, err)
		}
		if k == 1 {
			first = log
			if len(log) < 1000 {
				t.Fatalf("%d hops prove nothing", len(log))
			}
			continue
		}
		if parcels < len(log)/4 {
			t.Errorf("%d shards: only %d of %d hops crossed", k, parcels, len(log))
		}
		if !slices.Equal(log, first) {
			t.Errorf("%d shards: %d hops, and %d with one; they are not the same", k, len(log), len(first))
		}
	}
}

// TestWindowTooLong plants what the barrier must refuse: a window in which a parcel arrives that was sent in it.
func TestWindowTooLong(t *testing.T) {
	_, _, errs, err := run(t, 2, 3*least, -1, 0)
	if err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("the coordinator says %v", err)
	}
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "too late") {
			t.Errorf("shard %d ends with %v", i, err)
		}
	}
}

// TestShardDies has nobody wait for one that is gone.
func TestShardDies(t *testing.T) {
	_, _, errs, err := run(t, 3, least-1, 1, 500*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "shard 1 is gone") {
		t.Errorf("the coordinator says %v", err)
	}
	for _, i := range []int{0, 2} {
		if errs[i] == nil || !strings.Contains(errs[i].Error(), "shard 1 is gone") {
			t.Errorf("shard %d ends with %v", i, errs[i])
		}
	}
}

func TestStrangerIsNotLetIn(t *testing.T) {
	sock := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		_, err := (&shard.Coordinator{Shards: 2, Run: "this", Window: least}).Serve(l)
		served <- err
	}()
	conn, err := net.Dial("unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shard.Join(conn, 0, 2, "that"); err == nil || !strings.Contains(err.Error(), "runs something else") {
		t.Errorf("a stranger is told %v", err)
	}
	if err := <-served; err == nil || !strings.Contains(err.Error(), "shard 0") {
		t.Errorf("the coordinator says %v", err)
	}
}

// TestOpenPort: where anybody may call, strangers, shards of something else and such as come twice are told so, and the run waits
// for its own; it ends when it is told to.
func TestOpenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var refused []string
	served := make(chan error, 1)
	go func() {
		c := shard.Coordinator{Shards: 2, Run: "this", Window: least, Refused: func(err error) { refused = append(refused, err.Error()) }, Stop: func() bool { return true }}
		_, err := c.Serve(l)
		served <- err
	}()
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	web := dial()
	fmt.Fprintf(web, "GET / HTTP/1.1\r\n%s\n", strings.Repeat("x", 1<<20))
	answer, _ := bufio.NewReader(web).ReadString('\n')
	web.Close()
	if answer != "" && !strings.Contains(answer, "does not speak as a shard does") {
		t.Errorf("a browser is told %q", answer)
	}
	if _, err := shard.Join(dial(), 0, 2, "that"); err == nil || !strings.Contains(err.Error(), "runs something else") {
		t.Errorf("a stranger is told %v", err)
	}
	type joined struct {
		m   *shard.Member
		err error
	}
	came := make(chan joined, 3)
	join := func(i int) {
		m, err := shard.Join(dial(), i, 2, "this")
		came <- joined{m, err}
	}
	go join(0)
	go join(0)
	if j := <-came; j.err == nil || !strings.Contains(j.err.Error(), "shard 0 is here twice") {
		t.Fatalf("who comes twice is told %v", j.err)
	}
	go join(1)
	var lives sync.WaitGroup
	for range 2 {
		j := <-came
		if j.err != nil {
			t.Fatal(j.err)
		}
		lives.Go(func() {
			synctest.Test(t, func(t *testing.T) {
				j.m.Deliver = func(shard.Parcel) {}
				if err := j.m.Advance(time.Minute); err == nil || !strings.Contains(err.Error(), "told to stop") {
					t.Errorf("a shard ends with %v", err)
				}
			})
		})
	}
	lives.Wait()
	if err := <-served; !errors.Is(err, shard.ErrStopped) {
		t.Errorf("the coordinator ends with %v", err)
	}
	if len(refused) != 3 {
		t.Errorf("refused: %q", refused)
	}
}
