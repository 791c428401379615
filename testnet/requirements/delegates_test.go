package requirements

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// spoken is what delegates say for q, as p is shown it.
func (p *person) spoken(q *person) string {
	p.w.Helper()
	out := ""
	for _, s := range p.sees(q).Spoken {
		out += fmt.Sprint(s.Note, s.Status)
	}
	return out
}

// doing sets the activity.
func (p *person) doing(activity string) error {
	_, err := p.Set(ctx(), node.Change{Activity: &activity})
	return err
}

func codeOf(err error) string {
	var e *node.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func scopeOf(p *person, id identity.DeviceID) string {
	for _, d := range must(p.Devices(ctx())) {
		if d.ID == id {
			return fmt.Sprint(d.Roles, d.Scope, !d.Revoked.IsZero())
		}
	}
	return "not listed"
}

// Bob lets dora set his activities. His watchers read them, marked as hers; what else she would set is refused at her
// own node, and dropped by theirs (TestDelegateSaysNoMore in node/presence). In a view that hides activities, and to
// whom bob politely blocks, she says nothing. Removed she is heard no more, whether bob is there or not.
func TestReq_2_3_4_WhoMayUpdate(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, dave, erin := w.person("bob", lease5), w.person("alice"), w.person("dave"), w.person("erin")
		for _, p := range []*person{alice, dave, erin} {
			p.watch(bob)
		}
		must(bob.EditView(ctx(), node.ViewEdit{Name: "little", Show: []string{"note"}, Add: []string{dave.address()}}))
		for _, d := range []node.NewDevice{{Code: "x", Delegate: true}, {Code: "x", Delegate: true, Admin: true, Scope: []string{"note"}}} {
			if _, err := bob.AddDevice(ctx(), d); err == nil {
				t.Errorf("%+v is a delegate", d)
			}
		}
		dora := bob.also("dora", node.NewDevice{Delegate: true, Scope: []string{"activities"}})
		id := dora.Self().Device
		if got := scopeOf(bob, id); got != "[publisher delegate] [activities] false" {
			t.Errorf("bob's devices show her as %s", got)
		}
		w.within(time.Minute, "alice reads what dora set, and that it is hers", func() bool {
			_ = dora.doing("meeting")
			s := alice.sees(bob).Spoken
			return len(s) == 1 && s[0].Device == id && alice.spoken(bob) == "[{activities meeting}]"
		})
		if p := alice.sees(bob); p.Basic != "open" || p.IM != "available" || p.Note != "" || len(p.Tuples) != 1 {
			t.Errorf("beside it alice sees %+v", p)
		}
		bob.note("my own")
		w.soonly("bob speaks for himself as before", func() bool { return alice.sees(bob).Note == "my own" && alice.spoken(bob) != "" })
		note, busy := "hers", wire.Busy
		for what, c := range map[string]node.Change{"note": {Note: &note}, "status": {IM: &busy}} {
			if _, err := dora.Set(ctx(), c); codeOf(err) != "outside-scope" {
				t.Errorf("she sets his %s: %v", what, err)
			}
		}
		for what, err := range map[string]error{
			"send":    second(dora.Send(ctx(), node.Draft{To: alice.address(), Content: []byte("it is me, bob")})),
			"watch":   second(dora.Watch(ctx(), alice.card(), "", 0)),
			"approve": second(dora.Approve(ctx(), alice.address())),
			"block":   second(dora.Block(ctx(), alice.address(), "both")),
			"policy":  second(dora.SetPolicy(ctx(), node.PolicyEdit{Class: "unknown", Watch: ptr("allow")})),
			"view":    second(dora.EditView(ctx(), node.ViewEdit{Name: "hers", Show: []string{"all"}})),
		} {
			if codeOf(err) != "delegate" {
				t.Errorf("she can %s: %v", what, err)
			}
		}
		if n := len(must(dora.Contacts(ctx()))) + len(must(dora.Watchers(ctx()))) + len(must(dora.Views(ctx()))); n > 1 {
			t.Errorf("she has been told %d rows of bob's", n)
		}
		time.Sleep(time.Minute)
		if got := dave.spoken(bob); got != "" {
			t.Errorf("in a view that hides it dave reads %q", got)
		}

		must(bob.PoliteBlock(ctx(), erin.address()))
		time.Sleep(time.Minute)
		w.must(dora.doing("appointment"))
		w.within(time.Minute, "alice reads on", func() bool { return alice.spoken(bob) == "[{activities appointment}]" })
		if got := erin.spoken(bob); got == "[{activities appointment}]" {
			t.Error("whom bob politely blocks reads what his delegate says")
		}

		must(bob.RevokeDevice(ctx(), id.String()))
		w.within(10*time.Second, "what she said is gone", func() bool { return alice.spoken(bob) == "" })
		bob.down()
		_ = dora.doing("vacation")
		time.Sleep(time.Minute)
		if got := alice.spoken(bob); got != "" {
			t.Errorf("a delegate that was removed is still heard: %q", got)
		}
		w.within(time.Minute, "she knows, and is refused", func() bool { return codeOf(dora.doing("vacation")) == "revoked" })
		bob.up()
		if got := scopeOf(bob, id); got != "[publisher delegate] [activities] true" {
			t.Errorf("afterwards bob's devices show her as %s", got)
		}
	})
}

func second[T any](_ T, err error) error { return err }

// Bob lets dora read his messages: those that come from now on, also while she was away, and none after she was
// removed. Carol, who is nobody's reader, reads none. The sender hears of one delivery, by bob's device.
func TestReq_2_3_6_WhoMayRead(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice, carol := w.person("bob"), w.person("alice"), w.person("carol")
		alice.add(bob)
		bob.add(alice)
		alice.delivers(bob, "before her time")
		time.Sleep(time.Second)
		dora := bob.also("dora", node.NewDevice{Delegate: true, Roles: identity.RoleInbox})
		alice.delivers(bob, "for both")
		w.within(time.Minute, "dora reads it", func() bool { return dora.has("for both") == 1 })
		dora.down()
		alice.delivers(bob, "while she was away")
		dora.up()
		w.within(5*time.Minute, "and what came while she was away", func() bool { return dora.has("while she was away") == 1 })
		if dora.has("before her time") != 0 {
			t.Error("she reads what came before she was let in")
		}
		if _, err := dora.Send(ctx(), node.Draft{To: alice.address(), Content: []byte("it is me, bob")}); codeOf(err) != "delegate" {
			t.Errorf("she writes in his name: %v", err)
		}
		if err := dora.doing("meeting"); err == nil {
			t.Error("a reader sets what is shown")
		}
		bob.down()
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("to nobody but her"), Expires: 24 * time.Hour})
		time.Sleep(5 * time.Minute)
		if alice.fate(m) == "delivered" {
			t.Error("a reader has acked")
		}
		bob.up()
		w.within(20*time.Minute, "bob has it", func() bool { return bob.has("to nobody but her") == 1 })
		must(bob.RevokeDevice(ctx(), dora.Self().Device.String()))
		alice.delivers(bob, "after her time")
		time.Sleep(5 * time.Minute)
		if dora.has("after her time") != 0 {
			t.Error("a reader that was removed reads on")
		}
		if len(carol.inbox()) != 0 {
			t.Errorf("carol reads %q", carol.inbox())
		}
		events := must(bob.Devices(ctx()))
		if !slices.ContainsFunc(events, func(d node.Device) bool {
			return fmt.Sprint(d.Roles) == "[inbox delegate]" && !d.Revoked.IsZero()
		}) {
			t.Errorf("devices %+v", events)
		}
	})
}
