package shard

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/hum-presence/hum/testnet/virtual"
)

// A Member is one shard's side of a run. [Join] is called outside of the bubble, Send and Advance within.
type Member struct {
	Shard, Shards int
	Deliver       func(Parcel) // called in the bubble with each parcel that comes, before its instant; set before Advance

	conn   net.Conn
	wire   wire
	window time.Duration
	next   time.Time // the end of the window that runs

	mu      sync.Mutex
	sent    uint64
	parcels []Parcel
}

// Join greets the coordinator and waits until all shards are there. Run is what all of them must agree on.
func Join(conn net.Conn, shard, shards int, run string) (*Member, error) {
	m := &Member{Shard: shard, Shards: shards, conn: conn, wire: newWire(conn)}
	if err := m.wire.sendLine(hello{Format, shard, shards, run}); err != nil {
		return nil, err
	}
	var w welcome
	if err := m.wire.line(&w); err != nil {
		return nil, fmt.Errorf("shard %d is not let in: %w", shard, err)
	}
	if w.Error != "" {
		return nil, fmt.Errorf("shard %d is not let in: %s", shard, w.Error)
	}
	m.window = time.Duration(w.Window)
	return m, nil
}

// Send has data arrive at another shard at an instant, which must lie after the window that runs. Any goroutine of the bubble may call it.
func (m *Member) Send(to int, at time.Time, lane uint64, data []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent++
	m.parcels = append(m.parcels, Parcel{m.Shard, to, at.UnixNano(), lane, m.sent, data})
}

// Advance lets d of virtual time pass. The one goroutine of the bubble that calls it must be the only one that calls
// [virtual.Wait]; when Advance returns, all else waits. An error ends the run: some shard, which it names, is gone.
func (m *Member) Advance(d time.Duration) error {
	end := time.Now().Add(d)
	for {
		if m.next.IsZero() {
			m.next = time.Now().Add(m.window)
		}
		if m.next.After(end) {
			virtual.SleepUntil(end)
			virtual.Wait()
			return nil
		}
		virtual.SleepUntil(m.next)
		virtual.Wait()
		if err := m.exchange(false); err != nil {
			return err
		}
		m.next = m.next.Add(m.window)
	}
}

// exchange hands over what leaves and takes what comes. The clock stands meanwhile.
func (m *Member) exchange(last bool) error {
	m.mu.Lock()
	s := step{now: time.Now().UnixNano(), last: last, parcels: m.parcels}
	m.parcels = nil
	m.mu.Unlock()
	sortParcels(s.parcels)
	unsent := m.wire.send(kindStep, s.encode())
	kind, body, err := m.wire.receive() // also then: why the coordinator left was said before it did
	switch {
	case err == nil && kind == kindAbort:
		return errors.New(string(body))
	case unsent != nil:
		return m.lost(unsent)
	case err != nil:
		return m.lost(err)
	case last && kind == kindEnd:
		return nil
	case last || kind != kindGoOn:
		return errFrame
	}
	in, err := decodeParcels(body)
	if err != nil {
		return err
	}
	for _, p := range in {
		m.Deliver(p)
	}
	return nil
}

func (m *Member) lost(err error) error {
	if errors.Is(err, io.EOF) {
		return errors.New("the coordinator is gone")
	}
	return fmt.Errorf("the coordinator is gone: %w", err)
}

// End says that this shard has come to its end, which is the same instant in all of them, and waits for the others.
func (m *Member) End() error { return m.exchange(true) }

// Hand hands in what the shard has, after End. It may be called outside of the bubble.
func (m *Member) Hand(result []byte) error {
	if err := m.wire.send(kindResult, result); err != nil {
		return m.lost(err)
	}
	return m.conn.Close()
}

// Fail tells the coordinator that this shard cannot go on, and why.
func (m *Member) Fail(why error) {
	m.wire.send(kindAbort, []byte(why.Error()))
	m.conn.Close()
}
