package sim

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/virtual"
)

// A node asks a domain as it does in the world, and is answered what the community's node serves there: its web server's page,
// at the time at which the page would come. That there is a web server, DNS to ask first, and that a certificate holds, is not
// simulated but in its time: one round trip to DNS, and three to the node, for TCP, TLS and the page.

const (
	toDNS        = 20 * time.Millisecond // and back
	namePatience = 15 * time.Second      // as package names has it
	toPage       = 5                     // one way each, of six
)

// An asker is the domains as one node sees them; it is a [node.Names].
type asker struct{ p *Peer }

// Look asks the domain of h.
func (a asker) Look(ctx context.Context, h wire.Handle) (names.Answer, error) {
	w := a.p.w
	ctx, done := context.WithTimeout(ctx, namePatience)
	defer done()
	select {
	case <-ctx.Done():
		return names.Answer{}, names.ErrSilent
	case <-time.After(toDNS):
	}
	var t *town
	for _, x := range w.towns {
		if x.Domain() == h.Domain {
			t = x
		}
	}
	if t == nil {
		return names.Answer{}, names.ErrNoDomain
	}
	if !w.Net.Reaches(a.p.IP, t.IP) {
		<-ctx.Done()
		return names.Answer{}, names.ErrSilent
	}
	got := make(chan []byte, 1)
	a.p.mu.Lock()
	a.p.looked++
	q := question{N: a.p.N, Seq: a.p.looked, Town: t.n, OneWay: w.between(a.p.IP, t.IP).Latency, Label: h.Label()}
	a.p.mu.Unlock()
	w.mu.Lock()
	w.asking[[2]uint64{uint64(q.N), q.Seq}] = got
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		delete(w.asking, [2]uint64{uint64(q.N), q.Seq})
		w.mu.Unlock()
	}()
	w.tell(w.townShard(t.n), time.Now().Add(toPage*q.OneWay), crossAsk, q.encode())
	select {
	case <-ctx.Done():
		return names.Answer{}, names.ErrSilent
	case page := <-got:
		if len(page) == 0 {
			return names.Answer{}, names.ErrUnknown
		}
		reply, err := wire.ParseHandleReply(page)
		return names.Answer{HandleReply: reply, HTTPS: true}, err
	}
}

// A question is for the page of one name.
type question struct {
	N      int    // who asks
	Seq    uint64 // which of his questions it is
	Town   int
	OneWay time.Duration
	Label  string
}

func (q question) encode() (b []byte) {
	for _, v := range []uint64{uint64(q.N), q.Seq, uint64(q.Town), uint64(q.OneWay)} {
		b = binary.BigEndian.AppendUint64(b, v)
	}
	return append(b, q.Label...)
}

// answer is the domain's side: the page, or nothing if there is none, goes back. A node that is not there says nothing.
func (w *World) answer(b []byte) {
	if len(b) < 32 {
		return
	}
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[8*i:]) }
	n, k := number(0), number(2)
	if k >= uint64(len(w.towns)) || n >= uint64(len(w.Peers)) {
		return
	}
	t := w.towns[k]
	w.mu.Lock()
	host := t.host
	w.mu.Unlock()
	if host == nil {
		return
	}
	var page []byte
	virtual.As(t.number(), func() { page, _ = host.Page(string(b[32:])) })
	w.tell(w.shardOf(int(n)), time.Now().Add(time.Duration(number(3))), crossPage, append(b[:16:16], page...))
}

// answered is the asker's.
func (w *World) answered(b []byte) {
	if len(b) < 16 {
		return
	}
	key := [2]uint64{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
	w.mu.Lock()
	defer w.mu.Unlock()
	if got := w.asking[key]; got != nil {
		got <- b[16:]
		delete(w.asking, key)
	}
}
