package sim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
)

// TestHandles: people of two domains who know each other's names alone find each other, in the time that the questions take;
// what leads nowhere says so, in its own words, and a domain that cannot be reached keeps silent.
func TestHandles(t *testing.T) {
	const text = `version: 1
name: names
warmup: 1m
duration: 1m
nodes: [{class: user, count: 4, region: europe}]
communities: [{community: d, members: user, count: 2, region: europe, handles: true}]
rosters: {model: ring, mean: 2}
workload: [{message: "every 20s", until: 40s}]
expect: [handles >= 8, handles_wrong == 0, handle_max <= 1s, subscribe_max <= 20s, message_ratio == 1]
`
	look := func(w *World, name string) (names.Answer, time.Duration, error) {
		h, err := wire.ParseHandle(name)
		if err != nil {
			t.Fatal(err)
		}
		began := w.Now()
		a, err := asker{w.Peers[0]}.Look(context.Background(), h)
		return a, w.Now() - began, err
	}
	done := make(chan bool, 1)
	r := run(t, "names", []byte(text), 0, Options{Before: func(w *World) {
		go func() {
			time.Sleep(90 * time.Second)
			a, took, err := look(w, "user-1@d-1.test")
			if err != nil || a.Address != w.Peers[1].address || !a.HTTPS || took < toDNS+6*time.Millisecond || took > time.Second {
				t.Errorf("user-1@d-1.test is %v after %v, %v", a.Address, took, err)
			}
			for name, want := range map[string]error{"user-1@d-0.test": names.ErrUnknown, "user-1@elsewhere.test": names.ErrNoDomain} {
				if _, _, err := look(w, name); !errors.Is(err, want) {
					t.Errorf("%s: %v, want %v", name, err, want)
				}
			}
			w.Net.Cut(w.Peers[0].IP, w.towns[1].IP)
			if _, took, err := look(w, "user-1@d-1.test"); !errors.Is(err, names.ErrSilent) || took != namePatience {
				t.Errorf("behind a cut: %v after %v", err, took)
			}
			w.Net.Join(w.Peers[0].IP, w.towns[1].IP)
			done <- true
		}()
	}})
	<-done
	if r.Summary.Verdict != "pass" {
		t.Errorf("%s: %+v %v", r.Summary.Verdict, r.Summary.Expect, r.Summary.Errors)
	}
}
