package sim

import (
	"sync"
	"testing"

	"github.com/hum-presence/hum/testnet/measure"
)

// What nodes tell while the run has its files flushed is written whole.
func TestFolderTakesBoth(t *testing.T) {
	f, err := makeFolder("", measure.Manifest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 50_000 {
			f.event(measure.Event{T: float64(i), Kind: "say"})
		}
	})
	both.Go(func() {
		for i := range 50_000 {
			f.sample(measure.Sample{T: float64(i), Metric: "up"})
			f.flush(measure.Summary{})
		}
	})
	both.Wait()
	if err := f.close(&measure.Result{}); err != nil {
		t.Error(err)
	}
}
