package requirements

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// Who asks once is answered by one device with the newest truth of each, in each view, and no device that
// is gone is called open.
func TestReq_S4_FetchOfSeveralDevices(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dave := w.person("bob", lease5), w.person("alice"), w.person("dave")
		phone := bob.also("bob's phone", node.NewDevice{})
		bob.approve(alice)
		bob.view(node.ViewEdit{Name: "work", Show: []string{"note"}, Add: []string{dave.address()}}) // which nobody watches
		alice.add(bob)
		dave.add(bob)
		time.Sleep(12 * time.Second) // the phone says nothing before it has the epochs of the others, for 10 s at most
		first, err := alice.Fetch(ctx(), addressOf(bob), false)
		if w.must(err); len(first.Tuples) != 2 {
			t.Errorf("the first fetch after a device was added lacks what it says: %+v", first.Tuples)
		}
		bob.says(wire.Available, "at the desk")
		time.Sleep(time.Second)
		phone.says(wire.Away, "on the road")
		time.Sleep(20 * time.Second)
		asked := func(p *person) string {
			t.Helper()
			time.Sleep(61 * time.Second)
			got, err := p.Fetch(ctx(), addressOf(bob), false)
			w.must(err)
			var out []string
			for _, x := range got.Tuples {
				out = append(out, fmt.Sprint(map[bool]string{true: "desk", false: "phone"}[x.Device == bob.Self().Device], " ", x.Basic, " ", x.IM))
			}
			slices.Sort(out)
			return strings.TrimRight(got.Basic+" "+got.Note+": "+strings.Join(out, ", "), " ")
		}
		if got := asked(alice); got != "open on the road: desk open available, phone open away" {
			t.Errorf("alice is shown %q", got)
		}
		if got := asked(dave); got != "open on the road: desk open available, phone open away" {
			t.Errorf("dave is shown %q", got)
		}
		phone.says(wire.DND, "driving")
		time.Sleep(3 * time.Second)
		if got := asked(alice); got != "open driving: desk open available, phone open dnd" {
			t.Errorf("after a change alice is shown %q", got)
		}
		no := wire.Closed
		_, err = phone.Set(ctx(), node.Change{Basic: &no})
		w.must(err)
		time.Sleep(4 * lease)
		if got := asked(alice); got != "open at the desk: desk open available, phone closed" {
			t.Errorf("with the phone closed she is shown %q", got)
		}
		phone.basic(wire.Open)
		time.Sleep(lease)
		phone.kill(testnet.Crash)
		time.Sleep(4 * lease)
		if got := asked(alice); got != "open at the desk: desk open available" {
			t.Errorf("with the phone dead she is shown %q", got)
		}
	})
}
