//go:build unix

package bench

import (
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

var inboxSize = flag.Int("inbox", 0, "how many messages are in the inbox of BenchmarkInbox")

const (
	writers = 100 // of whom the inbox holds messages, in turns
	page    = 50
)

// BenchmarkInbox is what a full inbox costs: opening its home, the newest page, a page far back, a page of one
// of 100 who wrote, one message by the beginning of its id, and a search for a word that one in 1,000 holds,
// for the newest page of them, and for one that none holds. The floor of a page is the scan of so many rows of
// the store, that of a search the scan of all, nothing decoded; that of opening the same home empty.
func BenchmarkInbox(b *testing.B) {
	if *inboxSize == 0 {
		b.Skip("by hand: -args -inbox 1000000")
	}
	home, empty := newHome(b, "full"), newHome(b, "empty")
	for _, h := range []string{home, empty} {
		_, stop := up(b, h) // which makes its store
		stop()
	}
	ids := fill(b, home, *inboxSize)
	opened := timed(func() { _, stop := up(b, home); stop() })
	least := timed(func() { _, stop := up(b, empty); stop() })
	rowsPage, rowsAll := scans(b, home)
	n, stop := up(b, home)
	defer stop()
	list := func(q node.InboxQuery, want int) func() {
		return func() {
			got, err := n.Inbox(context.Background(), q)
			if err != nil || len(got) != want {
				b.Fatalf("%+v: %d messages, %v", q, len(got), err)
			}
		}
	}
	back := ids[len(ids)/2].String()
	for _, x := range []struct {
		unit  string
		floor time.Duration
		do    func()
	}{
		{"µs/newest-page", rowsPage, list(node.InboxQuery{Limit: page}, page)},
		{"µs/page-far-back", rowsPage, list(node.InboxQuery{Limit: page, Before: back}, page)},
		{"µs/page-of-one", rowsPage, list(node.InboxQuery{Limit: page, From: writer(7).String()}, page)},
		{"µs/by-id", rowsPage, list(node.InboxQuery{ID: back[:12]}, 1)},
		{"µs/search-page", rowsAll, list(node.InboxQuery{Limit: page, Search: "rare"}, min(page, len(ids)/1000))},
		{"µs/search-all", rowsAll, list(node.InboxQuery{Search: "nowhere"}, 0)},
	} {
		x.do()
		took := p50(5, x.do)
		b.ReportMetric(float64(took)/1e3, x.unit)
		b.ReportMetric(float64(took)/float64(x.floor), "ratio-"+strings.TrimPrefix(x.unit, "µs/"))
	}
	b.ReportMetric(float64(rowsPage)/1e3, "floor-µs/page")
	b.ReportMetric(float64(rowsAll)/1e3, "floor-µs/all")
	b.ReportMetric(opened.Seconds()*1e3, "ms/start")
	b.ReportMetric(opened.Seconds()/least.Seconds(), "ratio-start")
	b.ReportMetric(resident("self")/(1<<20), "MB-rss")
	b.ReportMetric(onDisk(b, home)/(1<<20), "MB-disk")
	b.ReportMetric(0, "ns/op")
}

func timed(do func()) time.Duration {
	start := time.Now()
	do()
	return time.Since(start)
}

// stored opens the store of a home while no node runs there.
func stored(b *testing.B, home string) *store.Store {
	keys, err := identity.OpenKeyring(home, nil)
	if err != nil {
		b.Fatal(err)
	}
	key := keys.StoreKey()
	s, err := store.Open(filepath.Join(home, "store"), store.Options{Key: key[:]})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func writer(i int) (a identity.Address) {
	return identity.Address(identity.NewSigningKey([32]byte{byte(i + 1)}).Public())
}

// fill writes the rows of so many messages, oldest first, one a second, and returns their ids. Nobody looks
// at a signature in the inbox, so they have none.
func fill(b *testing.B, home string, count int) (ids []wire.MID) {
	s := stored(b, home)
	defer s.Close()
	now := node.SystemClock()()
	var from [writers]identity.Address
	for i := range from {
		from[i] = writer(i)
	}
	const batch = 500
	for first := 0; first < count; first += batch {
		err := s.Update(func(tx store.Tx) error {
			for i := first; i < min(first+batch, count); i++ {
				sent := now.Wall.Add(-time.Duration(count-i) * time.Second)
				im := wire.IM{From: from[i%writers], To: from[0], Sent: sent, Expires: sent.Add(time.Hour), ArSeq: 1,
					ContentType: "text/plain; charset=utf-8", Content: fmt.Appendf(nil, "%s %d %s", body, i, text(i))}
				binary.BigEndian.PutUint64(im.Nonce[:], uint64(i)+1)
				signed := wire.Signed{Type: wire.TypeIM, Body: im.Append(nil), Key: im.From.Key()}
				a := message.Arrival{ID: signed.ID(), IM: im}
				ids = append(ids, a.ID)
				if err := keepMessage(tx, message.NewRow(identity.Now{Wall: sent}, a, signed.Append(nil), [32]byte{})); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return ids
}

func text(i int) string {
	if i%1000 == 0 {
		return "rare"
	}
	return "common"
}

func keepMessage(tx store.Tx, r message.Row) error {
	k := store.Inbox(r.Sent, r.ID)
	for _, x := range []struct {
		k store.Key
		v any
	}{{k, r}, {store.InboxAt(r.ID), k.Bytes()}, {store.Talk(r.From, r.Sent, r.ID), false}} {
		v, err := cbor.Marshal(x.v)
		if err != nil {
			return err
		}
		if err := tx.Put(x.k, v); err != nil {
			return err
		}
	}
	return nil
}

// scans are how long it takes to read a page of rows, and all.
func scans(b *testing.B, home string) (some, all time.Duration) {
	s := stored(b, home)
	defer s.Close()
	read := func(limit int) func() {
		return func() {
			err := s.View(func(tx store.Tx) error {
				n := 0
				for range tx.Scan(store.AllInbox(), store.ScanOptions{Reverse: true}) {
					if n++; n == limit {
						break
					}
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	read(0)()
	return p50(5, read(page)), p50(5, read(0))
}
