package node

import (
	"errors"
	"testing"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// TestFingerprintsAreWorkedOutOnce: a fingerprint costs a millisecond on purpose, so the list of those who watch or
// asked works out each of them once, and who only looks through it none.
func TestFingerprintsAreWorkedOutOnce(t *testing.T) {
	t.Parallel()
	bob := opened(t, "bob")
	const rows = 400
	if err := bob.update(func(t *txn) (err error) {
		for i := range rows {
			who := identity.Address{1, byte(i), byte(i >> 8)}
			w := presence.Watcher{Me: bob.who.Address, Who: who, Sub: wire.SubID{1}, Want: wire.WantPresence, State: wire.SubTerminated, Since: t.now.Wall, LastAt: t.now.Wall}
			err = errors.Join(err, put(t, store.Watcher(who, w.Sub), w))
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	must(bob.Export(t.Context(), ExportQuery{Kind: KindWinfo}))(t)
	if r := must(bob.Requests(t.Context()))(t); len(r) != 0 || len(bob.proofs.of) != 0 {
		t.Errorf("%d fingerprints for nobody", len(bob.proofs.of))
	}
	bob.proofs.of = map[identity.Address]string{}
	for i := range rows - 1 {
		bob.proofs.of[identity.Address{1, byte(i), byte(i >> 8)}] = "known"
	}
	fresh := 0
	for _, s := range must(bob.Watchers(t.Context()))(t) {
		if s.Proof != "known" {
			fresh++
			if s.Proof != s.Address.Fingerprint() {
				t.Errorf("%v is proved by %q", s.Address, s.Proof)
			}
		}
	}
	if fresh != 1 || len(bob.proofs.of) != rows {
		t.Errorf("%d were worked out anew, %d are known", fresh, len(bob.proofs.of))
	}
	bob.proofs.of = make(map[identity.Address]string, proofsKept)
	for i := range proofsKept {
		bob.proofs.of[identity.Address{2, byte(i), byte(i >> 8)}] = ""
	}
	if bob.proofs.get(identity.Address{1}); len(bob.proofs.of) > proofsKept {
		t.Errorf("%d are kept", len(bob.proofs.of))
	}
}
