package shard

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// A Coordinator keeps the shards of one run together.
type Coordinator struct {
	Shards int
	Run    string        // what all shards must say of the run
	Window time.Duration // how long a window lasts: less than the least latency between shards
	Step   func(Step)    // called at the end of each window; may be nil
	Stop   func() bool   // asked at the end of each window whether to end the run; may be nil
	// Refused is called with why somebody was not let in, who may be a stranger to an open port: the run waits for the right one.
	// If it is nil nobody else can come, and that ends the run.
	Refused func(error)

	wires []wire
}

// A Step is what a coordinator knows at the end of a window.
type Step struct {
	Now     time.Time // virtual
	Windows int       // so far
	Parcels int       // that crossed so far
	Wait    time.Duration
}

// helloTime is how long somebody may take to say who he is.
const helloTime = 10 * time.Second

// ErrStopped is how a run ends that Stop ended.
var ErrStopped = errors.New("it was told to stop")

// Serve accepts all shards at a listener, takes them through the run, and returns what each handed in. It closes
// every connection, but not the listener, before it returns. An error names the shard that is at fault.
func (c *Coordinator) Serve(l net.Listener) (results [][]byte, err error) {
	conns := make([]net.Conn, c.Shards)
	c.wires = make([]wire, c.Shards)
	defer func() {
		for _, conn := range conns {
			if conn != nil {
				conn.Close()
			}
		}
	}()
	for met := 0; met < c.Shards; met++ {
		conn, err := l.Accept()
		if err != nil {
			return nil, err
		}
		w := newWire(conn)
		if c.Refused != nil {
			_ = conn.SetReadDeadline(time.Now().Add(helloTime))
		}
		i, err := c.meet(w, conns)
		if err != nil {
			w.sendLine(welcome{Error: err.Error()})
			conn.Close()
			if c.Refused != nil {
				met--
				c.Refused(err)
				continue
			}
			c.abort(err)
			return nil, err
		}
		_ = conn.SetReadDeadline(time.Time{})
		conns[i], c.wires[i] = conn, w
	}
	for _, w := range c.wires {
		if err := w.sendLine(welcome{Window: int64(c.Window)}); err != nil {
			return nil, err
		}
	}
	if err := c.windows(); err != nil {
		c.abort(err)
		return nil, err
	}
	return c.results()
}

// meet hears a shard's first line.
func (c *Coordinator) meet(w wire, conns []net.Conn) (int, error) {
	var h hello
	if err := w.line(&h); err != nil {
		return 0, fmt.Errorf("somebody who does not speak as a shard does: %w", err)
	}
	switch {
	case h.Format != Format:
		return 0, fmt.Errorf("shard %d speaks format %d, and not %d", h.Shard, h.Format, Format)
	case h.Shards != c.Shards || h.Shard < 0 || h.Shard >= c.Shards:
		return 0, fmt.Errorf("shard %d of %d comes to a run of %d", h.Shard, h.Shards, c.Shards)
	case conns[h.Shard] != nil:
		return 0, fmt.Errorf("shard %d is here twice", h.Shard)
	case h.Run != c.Run:
		return 0, fmt.Errorf("shard %d runs something else: %s, and not %s", h.Shard, h.Run, c.Run)
	}
	return h.Shard, nil
}

// windows goes from window to window until the last.
func (c *Coordinator) windows() error {
	said := Step{}
	for {
		steps, err := c.gather()
		if err != nil {
			return err
		}
		out := make([][]Parcel, c.Shards)
		for i, s := range steps {
			if s.now != steps[0].now || s.last != steps[0].last {
				return fmt.Errorf("shard %d stands at %d (last: %v), and shard 0 at %d (last: %v)", i, s.now, s.last, steps[0].now, steps[0].last)
			}
			for _, p := range s.parcels {
				if p.From != i || p.To < 0 || p.To >= c.Shards || p.To == i {
					return fmt.Errorf("shard %d sends from %d to %d", i, p.From, p.To)
				}
				if p.At <= s.now && !s.last {
					return fmt.Errorf("shard %d sends what arrives %v too late: the window is longer than the least latency",
						i, time.Duration(s.now-p.At))
				}
				out[p.To] = append(out[p.To], p)
			}
			said.Parcels += len(s.parcels)
		}
		said.Now, said.Windows = time.Unix(0, steps[0].now).UTC(), said.Windows+1
		if c.Step != nil {
			c.Step(said)
		}
		if steps[0].last {
			return nil
		}
		if c.Stop != nil && c.Stop() {
			return ErrStopped
		}
		for i, w := range c.wires {
			sortParcels(out[i])
			if err := w.send(kindGoOn, appendParcels(nil, out[i])); err != nil {
				return fmt.Errorf("shard %d is gone: %w", i, err)
			}
		}
	}
}

func sortParcels(ps []Parcel) {
	slices.SortFunc(ps, func(a, b Parcel) int {
		return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.From, b.From), cmp.Compare(a.N, b.N))
	})
}

// gather waits for all shards. It hears of one that is gone at once, whatever the others still do.
func (c *Coordinator) gather() ([]step, error) {
	steps, errs := make([]step, c.Shards), make(chan error, c.Shards)
	for i, w := range c.wires {
		go func() {
			kind, body, err := w.receive()
			switch {
			case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
				err = fmt.Errorf("shard %d is gone: its process ended", i)
			case err != nil:
				err = fmt.Errorf("shard %d is gone: %w", i, err)
			case kind == kindAbort:
				err = fmt.Errorf("shard %d: %s", i, body)
			case kind != kindStep:
				err = fmt.Errorf("shard %d: %w: kind %d", i, errFrame, kind)
			default:
				steps[i], err = decodeStep(body)
			}
			errs <- err
		}()
	}
	for range c.Shards {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	return steps, nil
}

// abort tells everybody who is still there.
func (c *Coordinator) abort(why error) {
	for _, w := range c.wires {
		if w.w != nil {
			w.send(kindAbort, []byte(why.Error()))
		}
	}
}

// results ends the run and takes what each shard has.
func (c *Coordinator) results() ([][]byte, error) {
	out, errs := make([][]byte, c.Shards), make([]error, c.Shards)
	var all sync.WaitGroup
	for i, w := range c.wires {
		all.Go(func() {
			if err := w.send(kindEnd, nil); err != nil {
				errs[i] = fmt.Errorf("shard %d is gone: %w", i, err)
				return
			}
			kind, body, err := w.receive()
			switch {
			case err != nil:
				errs[i] = fmt.Errorf("shard %d handed in nothing: %w", i, err)
			case kind == kindAbort:
				errs[i] = fmt.Errorf("shard %d: %s", i, body)
			case kind != kindResult:
				errs[i] = fmt.Errorf("shard %d: %w: kind %d", i, errFrame, kind)
			}
			out[i] = body
		})
	}
	all.Wait()
	return out, errors.Join(errs...)
}
