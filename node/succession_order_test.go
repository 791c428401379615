package node

import (
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/p2p/wire"
)

// The request of the new address comes before the Successor that says whose it is: it waits as a stranger's,
// and is decided by what was said of the old address in the pass that takes the Successor.
func TestRequestBeforeSuccessor(t *testing.T) {
	t.Parallel()
	watch := func(h policy.Handling) policy.Default { return policy.Default{Watch: h} }
	for name, c := range map[string]struct {
		said  func(policy.Rule, identity.Now) policy.Rule
		known policy.Default // what happens to contacts for whom there is no rule
		want  wire.SubStateCode
	}{
		"approved":              {func(r policy.Rule, now identity.Now) policy.Rule { return r.Approve(now, policy.Presence) }, watch(policy.Confirm), wire.SubActive},
		"blocked":               {func(r policy.Rule, now identity.Now) policy.Rule { return r.Block(now, policy.Presence) }, watch(policy.Allow), wire.SubDenied},
		"nothing said, allowed": {nil, watch(policy.Allow), wire.SubActive},
		"nothing said, blocked": {nil, watch(policy.Block), wire.SubDenied},
		"nothing said, asked":   {nil, watch(policy.Confirm), wire.SubPending},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice, bob := start(t, "alice"), opened(t, "bob")
			alice.befriend(bob)
			in, r := bob.asks(alice, 1, alice.now().Wall)
			if err := alice.update(func(t *txn) error {
				if err := alice.setDefault(t, policy.Known, c.known); err != nil {
					return err
				}
				if c.said != nil {
					if err := alice.setRule(t, bob.who.Address, c.said(policy.Rule{}, t.now)); err != nil {
						return err
					}
				}
				p, _, err := alice.accept(t, bob.who.Address, readRecords(r.From, in.attached))
				if err != nil {
					return err
				}
				return alice.savePin(t, bob.who.Address, p)
			}); err != nil {
				t.Fatal(err)
			}
			bob.stop()
			old := bob.succeed(identity.MovedCompromised)
			bob.open()

			in, r = bob.asks(alice, 2, alice.now().Wall)
			signed := bob.successors()[0]
			bob.stop() // what alice does is by what is handed to her alone
			if out := alice.judge(in, r, nil); out.row.State != wire.SubPending {
				t.Fatalf("a stranger's request is %v", out.row.State)
			}
			pending := alice.rowsOf(bob)[0]
			alice.pass(2 * time.Second)
			body, err := wire.ParseSuccessor(signed.Body)
			if err != nil || body.Old != old {
				t.Fatal(body, err)
			}
			if err := alice.update(func(t *txn) error {
				reason, err := alice.takeSuccessor(t, body, signed, records{})
				if reason != wire.ReasonNone {
					alice.t.Errorf("refused with %v", reason)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			of := alice.rowsOf(bob)
			if len(of) != 1 || of[0].State != c.want {
				t.Fatalf("it is %+v, want %v", of, c.want)
			}
			told := of[0].Seq > pending.Seq && of[0].Unacked
			if told != (c.want != wire.SubPending) {
				t.Errorf("told anew: %v; %v, then %v", told, pending.Seq, of[0].Seq)
			}
			if of[0].State == wire.SubActive && of[0].Grant == (identity.PublicKey{}) {
				t.Error("it was given no key")
			}
		})
	}
}
