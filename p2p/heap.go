package p2p

import (
	"context"
	"sync"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// A heap keeps what a DHT server holds, in memory and bounded: when it is full, any row gives way to a new one. Whoever
// fills it puts out the others' records for a while, and no one's for good, as they are put again and lie with
// twenty servers.
type heap struct {
	most int
	mu   sync.RWMutex
	rows map[ds.Key][]byte
}

var _ ds.Batching = (*heap)(nil)

func newHeap(most int) *heap { return &heap{most: most, rows: map[ds.Key][]byte{}} }

func (h *heap) Put(_ context.Context, k ds.Key, v []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.rows[k]; !ok && len(h.rows) >= h.most {
		for other := range h.rows { // Go's maps begin anywhere
			delete(h.rows, other)
			break
		}
	}
	h.rows[k] = v
	return nil
}

func (h *heap) Get(_ context.Context, k ds.Key) ([]byte, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	v, ok := h.rows[k]
	if !ok {
		return nil, ds.ErrNotFound
	}
	return v, nil
}

func (h *heap) Has(_ context.Context, k ds.Key) (bool, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	_, ok := h.rows[k]
	return ok, nil
}

func (h *heap) GetSize(ctx context.Context, k ds.Key) (int, error) {
	v, err := h.Get(ctx, k)
	if err != nil {
		return -1, err
	}
	return len(v), nil
}

func (h *heap) Delete(_ context.Context, k ds.Key) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.rows, k)
	return nil
}

func (h *heap) Query(_ context.Context, q query.Query) (query.Results, error) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	rows := make([]query.Entry, 0, len(h.rows))
	for k, v := range h.rows {
		e := query.Entry{Key: k.String(), Size: len(v)}
		if !q.KeysOnly {
			e.Value = v
		}
		rows = append(rows, e)
	}
	return query.NaiveQueryApply(q, query.ResultsWithEntries(q, rows)), nil
}

func (h *heap) Sync(context.Context, ds.Key) error { return nil }

func (h *heap) Close() error { return nil }

func (h *heap) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(h), nil }
