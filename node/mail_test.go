package node

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/message"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
	"github.com/hum-presence/hum/testnet/ports"
)

// sends queues a message.
func (a *actor) sends(to, text string) Sent {
	a.t.Helper()
	return must(a.Send(a.t.Context(), Draft{To: to, Content: []byte(text)}))(a.t)
}

// ends waits until a message of a's is settled, and wants its state and reason.
func (a *actor) ends(s Sent, state string, reason wire.Reason) Sent {
	a.t.Helper()
	ctx, end := context.WithTimeout(a.t.Context(), patience)
	defer end()
	got, err := a.WaitSent(ctx, s.ID.String())
	if err != nil || got.State != state || got.Reason != reason {
		trace, _ := a.Trace(a.t.Context(), s.ID.String())
		a.t.Fatalf("the message is %s (%v), %v; want %s (%v)\n%+v", got.State, got.Reason, err, state, reason, trace)
	}
	return got
}

// texts are the contents of a's inbox, oldest first.
func (a *actor) texts() (out []string) {
	a.t.Helper()
	for _, r := range must(a.Inbox(a.t.Context(), InboxQuery{}))(a.t) {
		out = append(out, string(r.Content))
	}
	return out
}

func (a *actor) has(want ...string) {
	a.t.Helper()
	if got := a.texts(); strings.Join(got, "|") != strings.Join(want, "|") {
		a.t.Fatalf("%s has %q, want %q", a.who.Name, got, want)
	}
}

// TestWrongMessages has each fault answered as SPEC 9.1 says, and nothing shown of it.
func TestWrongMessages(t *testing.T) {
	t.Parallel()
	bob, mallory := start(t, "bob"), newStranger(t)
	other := signingKey(t)
	im := func(change func(*wire.IM)) wire.Signed {
		m := mallory.im(bob.who.Address, "wrong")
		change(&m)
		return mallory.sign(m)
	}
	tests := []struct {
		name   string
		signed wire.Signed
		bare   bool // no records are attached
		reason wire.Reason
	}{
		{"no body", wire.Sign(mallory.d, wire.TypeIM, []byte{8, 1}), false, wire.ReasonMalformed},
		{"signed by another key", wire.Sign(other, wire.TypeIM, mallory.im(bob.who.Address, "").Append(nil)), false, wire.ReasonBadSignature},
		{"a device that is not listed", wire.Sign(other, wire.TypeIM, func() []byte {
			m := mallory.im(bob.who.Address, "")
			m.Device = identity.DeviceIDOf(other.Public())
			return m.Append(nil)
		}()), false, wire.ReasonBadSignature},
		{"body altered under the signature", func() wire.Signed {
			s := im(func(*wire.IM) {})
			s.Body = mallory.im(bob.who.Address, "altered").Append(nil)
			return s
		}(), false, wire.ReasonBadSignature},
		{"anonymous", im(func(m *wire.IM) { m.From = identity.Address{} }), false, wire.ReasonRefusedAnonymous},
		{"no record", im(func(*wire.IM) {}), true, wire.ReasonStaleRecord},
		{"in another's name", im(func(m *wire.IM) { m.From = bob.who.Address }), false, wire.ReasonBadSignature},
		{"to another", im(func(m *wire.IM) { m.To = mallory.address() }), false, wire.ReasonRecipientMismatch},
		{"from the future", im(func(m *wire.IM) { m.Sent = m.Sent.Add(time.Hour); m.Expires = m.Expires.Add(time.Hour) }), false, wire.ReasonTime},
		{"expired", im(func(m *wire.IM) { m.Sent = m.Sent.Add(-time.Hour); m.Expires = m.Sent.Add(time.Minute) }), false, wire.ReasonExpired},
		{"lives too long", im(func(m *wire.IM) { m.Expires = m.Sent.Add(15 * 24 * time.Hour) }), false, wire.ReasonExpired},
		{"an ext that must be understood", im(func(m *wire.IM) { m.Ext = []wire.Ext{{Name: "x.test/y", MustUnderstand: true}} }), false, wire.ReasonUnsupportedRequired},
		{"a page from a stranger", im(func(m *wire.IM) { m.ContentType = "text/html" }), false, wire.ReasonUnsupportedType},
		{"a stranger's long text", im(func(m *wire.IM) { m.Content = make([]byte, wire.MaxFirstContent+1) }), false, wire.ReasonTooLarge},
		{"more than a message can be", im(func(m *wire.IM) { m.Content = make([]byte, wire.MaxContent+1) }), false, wire.ReasonTooLarge},
		{"a record in place of a message", mallory.records()[0], false, wire.ReasonMalformed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			mallory.t = t
			attached := mallory.records()
			if test.bare {
				attached = nil
			}
			ack := mallory.tell(bob, test.signed, attached...)
			if ack.Disposition != test.reason.Disposition() || ack.Reason != test.reason || ack.MIDs[0] != test.signed.ID() {
				t.Errorf("answered %v (%v), want %v (%v)", ack.Disposition, ack.Reason, test.reason.Disposition(), test.reason)
			}
		})
	}
	mallory.t = t
	if ack, _, ok := mallory.post(bob, mallory.seal(bob, wire.Sign(mallory.d, wire.TypeAck, []byte{8, 1}), mallory.records()...), 300*time.Millisecond); ok {
		t.Errorf("an ack was acked: %+v", ack)
	}
	if bob.pins.get(mallory.address()) != nil {
		t.Error("the records of somebody of whom nothing is kept are kept")
	}
	bob.has()
}

// TestReplay plays one message again and again: under its own key and a new one, after a block, a restart
// and its end.
func TestReplay(t *testing.T) {
	t.Parallel()
	bob, carol := start(t, "bob"), newStranger(t)
	signed := carol.sign(carol.im(bob.who.Address, "once"))
	first := carol.seal(bob, signed, carol.records()...)
	_, want, ok := carol.post(bob, first, patience)
	if !ok {
		t.Fatal("no ack")
	}
	again := func(what string, l rawLetter) {
		t.Helper()
		ack, raw, ok := carol.post(bob, l, patience)
		if !ok || !bytes.Equal(raw, want) {
			t.Errorf("%s: answered %+v, not the first ack", what, ack)
		}
		bob.has("once")
	}
	again("the same parcel", first)
	again("sealed anew", carol.seal(bob, signed))
	must(bob.Block(t.Context(), carol.address().String(), ""))(t)
	again("blocked", first)
	if ack := carol.tell(bob, carol.sign(carol.im(bob.who.Address, "blocked"))); ack.Disposition != wire.Forbidden || ack.Reason != wire.ReasonRefused {
		t.Errorf("a blocked message is answered %v (%v)", ack.Disposition, ack.Reason)
	}
	bob.stop()
	bob.up()
	again("after a restart", first)
	bob.pass(2 * time.Hour)
	again("after its end", first)
}

// TestFirstContactBox fills the box of those whom bob does not know, and empties it.
func TestFirstContactBox(t *testing.T) {
	t.Parallel()
	bob, carol := start(t, "bob"), newStranger(t)
	tell := func() wire.Ack {
		return carol.tell(bob, carol.sign(carol.im(bob.who.Address, "hello")), carol.records()...)
	}
	for range wire.MaxFirstPerPeer {
		if ack := tell(); ack.Disposition != wire.Delivered {
			t.Fatalf("answered %v (%v)", ack.Disposition, ack.Reason)
		}
	}
	if ack := tell(); ack.Reason != wire.ReasonRateLimited || ack.RetryAfterS == 0 {
		t.Fatalf("one too many is answered %+v", ack)
	}
	row := must(bob.Inbox(t.Context(), InboxQuery{}))(t)[0]
	must(bob.OpenMessage(t.Context(), row.ID.String()))(t)
	must(bob.OpenMessage(t.Context(), row.ID.String()))(t) // makes no second place
	if ack := tell(); ack.Disposition != wire.Delivered {
		t.Fatalf("after one was opened: %v", ack.Reason)
	}
	if ack := tell(); ack.Reason != wire.ReasonRateLimited {
		t.Fatalf("the box holds more than it may: %v", ack.Disposition)
	}
	must(bob.Add(t.Context(), carol.card(), "carol"))(t)
	if ack := tell(); ack.Disposition != wire.Delivered {
		t.Fatalf("a contact is answered %v", ack.Reason)
	}
	_ = bob.view(func(tx *txn) error {
		if _, all, err := bob.firstContacts(tx, carol.address()); all != 0 || err != nil {
			t.Errorf("%d messages of contacts are in the box, %v", all, err)
		}
		return nil
	})
}

// TestLostAcks has the recipient take a message and say nothing, then say it wrongly, then rightly.
func TestLostAcks(t *testing.T) {
	t.Parallel()
	alice, carol := start(t, "alice"), newStranger(t)
	sent := alice.sends(carol.card(), "do you hear me?")
	first := carol.next()
	if mustIM(t, first).From != alice.who.Address || len(first.Inner.Attached) != 3 {
		t.Fatalf("first contact came with %d records", len(first.Inner.Attached))
	}
	peer := alice.net.Self()
	eventually(t, "it is handed", func() bool { return must(alice.Outbox(t.Context(), sent.ID.String()))(t)[0].State == "handed" })
	alice.pass(6 * time.Second)
	second := carol.next()
	if second.CEK != first.CEK || second.Inner.Signed.ID() != sent.ID {
		t.Error("the second try is not the message of the first")
	}
	carol.answer(second, peer, signingKey(t), nil) // not his device
	carol.answer(second, peer, carol.d, func(a *wire.Ack) { a.MIDs = []wire.MID{{1}} })
	carol.answer(second, peer, carol.d, func(a *wire.Ack) { a.From = alice.who.Address })
	carol.answer(second, peer, carol.d, func(a *wire.Ack) { a.To = identity.Address{9} })
	carol.answer(second, peer, carol.d, func(a *wire.Ack) { a.Disposition, a.Reason = wire.Failed, wire.ReasonRateLimited; a.RetryAfterS = 100 })
	eventually(t, "the acks were read", func() bool { return must(alice.Status(t.Context()))(t).Refused["bad-ack"] >= 3 })
	alice.stop()
	alice.up()
	alice.pass(2 * time.Minute)
	third := carol.next()
	carol.answer(third, alice.net.Self(), carol.d, func(a *wire.Ack) { a.At = 1 << 62 })
	got := alice.ends(sent, "delivered", 0)
	if got.AckedAt.After(time.Now().Add(time.Hour)) {
		t.Errorf("acked at %v", got.AckedAt)
	}
	carol.answer(first, alice.net.Self(), carol.d, func(a *wire.Ack) { a.Disposition, a.Reason = wire.Forbidden, wire.ReasonRefused })
	time.Sleep(100 * time.Millisecond)
	alice.ends(sent, "delivered", 0)
	if alice.mail.open() != 0 || len(alice.mail.hints) != 0 || len(alice.mail.byTo) != 0 {
		t.Error("something is kept of a message that is settled")
	}
}

// TestStaleRecord has the recipient forget the sender's records.
func TestStaleRecord(t *testing.T) {
	t.Parallel()
	alice, carol := start(t, "alice"), newStranger(t)
	one := alice.sends(carol.card(), "one")
	carol.answer(carol.next(), alice.net.Self(), carol.d, nil)
	alice.ends(one, "delivered", 0)
	two := alice.sends(carol.card(), "two")
	o := carol.next()
	if len(o.Inner.Attached) != 0 {
		t.Errorf("%d records came again", len(o.Inner.Attached))
	}
	carol.answer(o, alice.net.Self(), carol.d, func(a *wire.Ack) { a.Disposition, a.Reason = wire.Failed, wire.ReasonStaleRecord })
	if o = carol.next(); len(o.Inner.Attached) != 3 || o.Inner.Signed.ID() != two.ID {
		t.Errorf("%d records came after stale-record", len(o.Inner.Attached))
	}
	carol.answer(o, alice.net.Self(), carol.d, nil)
	alice.ends(two, "delivered", 0)
}

// TestOffline sends to somebody who is away; both ends restart meanwhile.
func TestOffline(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	alice.ends(alice.sends("bob", "are you there?"), "delivered", 0)
	bob.stop()
	var sent []Sent
	for i := range 5 {
		sent = append(sent, alice.sends("bob", fmt.Sprint("note ", i)))
	}
	eventually(t, "it was tried", func() bool {
		return must(alice.Outbox(t.Context(), sent[0].ID.String()))(t)[0].Attempts > 0
	})
	alice.stop()
	alice.up()
	bob.up()
	eventually(t, "bob has all", func() bool { alice.pass(time.Minute); return len(bob.texts()) == 6 })
	for _, s := range sent {
		alice.ends(s, "delivered", 0)
	}
	if n := len(bob.texts()); n != 6 {
		t.Errorf("bob has %d messages", n)
	}
	bob.stop()
	lost := must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("quick"), Expires: time.Minute, Quiet: true}))(t)
	alice.pass(2 * time.Minute)
	alice.ends(lost, "failed", wire.ReasonUnreachable)
}

// TestByCard writes to somebody off the roster, who answers without knowing any address.
func TestByCard(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	where := card(t, bob.Node)
	bob.stop()
	sent := alice.sends(where, "hello")
	alice.stop() // the card is all that is known of bob, and it must be kept
	alice.up()
	bob.up()
	eventually(t, "bob has it", func() bool { alice.pass(time.Minute); return len(bob.texts()) == 1 })
	alice.ends(sent, "delivered", 0)
	eventually(t, "bob is not kept in reach", func() bool {
		alice.mu.RLock()
		defer alice.mu.RUnlock()
		return len(alice.kept) == 0 && len(alice.peers) == 0
	})
	row := must(bob.Inbox(t.Context(), InboxQuery{}))(t)[0]
	if !row.FirstContact {
		t.Error("a stranger's message is not marked as such")
	}
	answer := must(bob.Reply(t.Context(), row.ID.String(), Draft{Content: []byte("hello to you")}))(t)
	bob.ends(answer, "delivered", 0)
	got := must(alice.Inbox(t.Context(), InboxQuery{}))(t)
	if len(got) != 1 || got[0].InReplyTo != sent.ID {
		t.Errorf("alice has %+v", got)
	}
}

// TestDisplayed asks for the second ack, at a home that gives it.
func TestDisplayed(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), settle(t, "bob")
	if err := os.WriteFile(configFile(bob.home), []byte("displayed_acks = true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	bob.up()
	alice.befriend(bob)
	sent := must(alice.Send(t.Context(), Draft{To: "bob", Content: []byte("read me"), Displayed: true}))(t)
	alice.ends(sent, "delivered", 0)
	must(bob.OpenMessage(t.Context(), sent.ID.String()))(t)
	eventually(t, "alice knows that it was read", func() bool {
		return must(alice.Outbox(t.Context(), sent.ID.String()))(t)[0].State == "displayed"
	})
	var steps []string
	for _, s := range must(alice.Trace(t.Context(), sent.ID.String()))(t) {
		if s.Step != "taken" && s.Step != "found" { // the ack may come at once, and who asked to watch her has told her his records
			steps = append(steps, strings.TrimSpace(s.Step+" "+s.Detail))
		}
	}
	if want := []string{"queued on this disk", "acked delivered", "acked displayed"}; !slices.Equal(steps, want) {
		t.Errorf("the trace is %q, want %q", steps, want)
	}
	if got := must(bob.Trace(t.Context(), sent.ID.String()))(t); len(got) != 2 || got[0].Step != "received" || got[1].Step != "opened" {
		t.Errorf("the trace of the recipient is %+v", got)
	}
}

// TestRefusals are the answers of a recipient's rules.
func TestRefusals(t *testing.T) {
	t.Parallel()
	alice, bob, dora := start(t, "alice"), start(t, "bob"), start(t, "dora", identity.Presentity)
	alice.befriend(bob)
	alice.befriend(dora)
	shut := wire.Closed
	must(bob.Set(t.Context(), Change{Basic: &shut}))(t)
	alice.ends(alice.sends("bob", "closed"), "failed", wire.ReasonClosed)
	open := wire.Open
	must(bob.Set(t.Context(), Change{Basic: &open}))(t)
	must(bob.Block(t.Context(), alice.address(), "im"))(t)
	alice.ends(alice.sends("bob", "blocked"), "failed", wire.ReasonRefused)
	must(bob.Unblock(t.Context(), alice.address()))(t)
	alice.ends(alice.sends("bob", "at last"), "delivered", 0)
	bob.has("at last")
	alice.ends(alice.sends("dora", "no inbox"), "failed", wire.ReasonNoIMService)
	_, err := alice.Send(t.Context(), Draft{To: "dora", Content: []byte("again")})
	if e, ok := err.(*Error); !ok || e.Code != wire.ReasonNoIMService.String() || e.Kind != KindRefused {
		t.Errorf("sending to an address without an inbox: %v", err)
	}
}

// TestUnsendable are drafts that no reader would take.
func TestUnsendable(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	tests := []struct {
		name  string
		draft Draft
	}{
		{"no text", Draft{To: "bob", Content: []byte{0xff}}},
		{"too long", Draft{To: "bob", Content: make([]byte, wire.MaxContent+1)}},
		{"lives too long", Draft{To: "bob", Expires: 15 * 24 * time.Hour}},
		{"ends before it began", Draft{To: "bob", Expires: -time.Second}},
		{"type of nothing", Draft{To: "bob", Type: "text"}},
		{"answers nothing", Draft{To: "bob", InReplyTo: "z37e"}},
		{"to oneself", Draft{To: alice.address()}},
		{"to nobody", Draft{To: "carol"}},
	}
	for _, test := range tests {
		if _, err := alice.Send(t.Context(), test.draft); err == nil {
			t.Errorf("%s: it is queued", test.name)
		} else if e, ok := err.(*Error); !ok || e.Kind != KindUsage {
			t.Errorf("%s: %v", test.name, err)
		}
	}
	if out := must(alice.Outbox(t.Context(), ""))(t); len(out) != 0 {
		t.Errorf("%d messages are queued", len(out))
	}
}

// adopt is a home that was made otherwise than by settle.
func adopt(t *testing.T, home string, who Self) *actor {
	t.Helper()
	a := &actor{t: t, home: home, listen: ports.TCP(t), clock: &handClock{real: SystemClock()}, ttl: wire.DefaultTTL, who: who}
	t.Cleanup(a.stop)
	return a
}

// TestRestore takes a home from a backup: a new device that contacts accept, while the old one is refused.
func TestRestore(t *testing.T) {
	t.Parallel()
	alice, bob, carol := start(t, "alice"), start(t, "bob"), newStranger(t)
	alice.befriend(bob)
	bob.befriend(alice)
	alice.ends(alice.sends("bob", "before"), "delivered", 0)
	old := carol.sign(carol.im(alice.who.Address, "seen"))
	carol.tell(alice, old, carol.records()...)
	bob.stop()
	stuck := alice.sends("bob", "under way")
	file := filepath.Join(t.TempDir(), "copy")
	must(alice.Backup(t.Context(), file, []byte("correct horse")))(t)
	alice.stop()

	home := filepath.Join(t.TempDir(), "new")
	if _, err := RestoreHome(file, home, []byte("wrong"), SystemClock(), rand.Reader); err == nil {
		t.Fatal("a wrong passphrase opens a backup")
	}
	broken := file + ".broken"
	whole := must(os.ReadFile(file))(t)
	if err := os.WriteFile(broken, whole[:len(whole)-100], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := RestoreHome(broken, home, []byte("correct horse"), SystemClock(), rand.Reader); err == nil {
		t.Fatal("half a backup is restored")
	}
	r := must(RestoreHome(file, home, []byte("correct horse"), SystemClock(), rand.Reader))(t)
	if r.Self.Address != alice.who.Address || r.Self.Device == alice.who.Device {
		t.Fatalf("restored as %+v", r.Self)
	}
	anew := adopt(t, home, r.Self)
	anew.up()
	anew.has("seen")
	anew.ends(stuck, "failed", wire.ReasonUnconfirmed)
	if ack := carol.tell(anew, old, carol.records()...); ack.Disposition != wire.Delivered || ack.Device != r.Self.Device {
		t.Errorf("a message seen before is answered %v by %v", ack.Disposition, ack.Device)
	}
	anew.has("seen")
	bob.up()
	sent := anew.sends("bob", "after")
	eventually(t, "bob has it", func() bool { anew.pass(time.Minute); return len(bob.texts()) == 2 })
	anew.ends(sent, "delivered", 0)
	bob.ends(bob.sends("alice", "welcome back"), "delivered", 0)
	anew.stop()
	alice.up()
	alice.ends(alice.sends("bob", "by the thief"), "failed", wire.ReasonBadSignature)
	bob.has("before", "after")
}

// TestRecover makes a home from the seed alone: nobody is known there, but contacts accept it by its card.
func TestRecover(t *testing.T) {
	t.Parallel()
	bob := start(t, "bob")
	home := filepath.Join(t.TempDir(), "first")
	c := must(Init(home, InitConfig{Name: "alice", Clock: SystemClock(), Rand: rand.Reader}))(t)
	alice := adopt(t, home, c.Self)
	alice.up()
	bob.befriend(alice)
	bob.ends(bob.sends("alice", "first"), "delivered", 0)
	alice.stop()
	home = filepath.Join(t.TempDir(), "second")
	seed := c.Seed
	c = must(Init(home, InitConfig{Name: "alice", Seed: &seed, Clock: SystemClock(), Rand: rand.Reader}))(t)
	anew := adopt(t, home, c.Self)
	anew.up()
	sent := bob.sends("alice", "to the lost device")
	bob.befriend(anew)
	eventually(t, "the new device has it", func() bool { bob.pass(time.Minute); return len(anew.texts()) == 1 })
	bob.ends(sent, "delivered", 0)
	anew.stop()
	alice.up()
	alice.ends(alice.sends(card(t, bob.Node), "by the old device"), "failed", wire.ReasonBadSignature)
	bob.has()
}

// TestPassphrase opens a sealed home, with and without its passphrase.
func TestPassphrase(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "sealed")
	c := must(Init(home, InitConfig{Name: "alice", Passphrase: []byte("one"), Clock: SystemClock(), Rand: rand.Reader}))(t)
	open := func(pass func() ([]byte, error)) error {
		n, err := Open(Config{Home: home, Passphrase: pass, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}, Names: noNames{}})
		if err == nil {
			err = n.Close()
		}
		return err
	}
	say := func(s string) func() ([]byte, error) { return func() ([]byte, error) { return []byte(s), nil } }
	if open(nil) == nil || open(say("two")) == nil {
		t.Error("a sealed home opens without its passphrase")
	}
	if err := open(say("one")); err != nil {
		t.Error(err)
	}
	if err := PassphraseHome(home, say("one"), nil); err != nil {
		t.Fatal(err)
	}
	if err := open(nil); err != nil {
		t.Errorf("the seal is off: %v", err)
	}
	_ = c
}

// TestStrangersAreForgotten purges the records of people of whom nothing is kept.
func TestStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	bob, carol, dave := start(t, "bob"), newStranger(t), newStranger(t)
	carol.tell(bob, carol.sign(carol.im(bob.who.Address, "keep me")), carol.records()...)
	must(bob.Resolve(t.Context(), dave.card()))(t)
	if err := bob.purgePins(); err != nil {
		t.Fatal(err)
	}
	if bob.pins.get(carol.address()) == nil {
		t.Error("the sender of a kept message is forgotten")
	}
	if bob.pins.get(dave.address()) != nil {
		t.Error("somebody of whom nothing is kept is remembered")
	}
	_ = bob.view(func(t2 *txn) error {
		if n := t2.Count(store.AllPins()); n != 2 {
			t.Errorf("%d pins are on the disk, of him and of the sender", n)
		}
		return nil
	})
}

// TestOutboxIsBounded keeps the newest settled messages, and all that an ack may still come for.
func TestOutboxIsBounded(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	now := alice.now().Wall
	err := alice.update(func(tx *txn) error {
		for i := range 6 {
			e := message.Entry{ID: wire.MID{byte(i + 1)}, State: message.Delivered, Sent: now.Add(time.Duration(i) * time.Second)}
			if i == 0 {
				e.CEKs = []message.CEK{{}}
			}
			tx.trace(e.ID, "queued", "", "", "")
			if err := put(tx, store.Outbox(e.ID), e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := alice.purgeOutbox(2); err != nil {
		t.Fatal(err)
	}
	_ = alice.view(func(tx *txn) error {
		for i, kept := range []bool{true, false, false, false, true, true} {
			_, ok, err := find[message.Entry](tx, store.Outbox(wire.MID{byte(i + 1)}))
			if steps := tx.Count(store.TraceOf(wire.MID{byte(i + 1)})); ok != kept || err != nil || (steps > 0) != kept {
				t.Errorf("message %d is kept: %v with %d steps, %v; want %v", i, ok, steps, err, kept)
			}
		}
		return nil
	})
}

// TestPeerOfSeveral has somebody name a friend's peer as his own: that takes nothing from the friend.
func TestPeerOfSeveral(t *testing.T) {
	t.Parallel()
	alice, bob := start(t, "alice"), start(t, "bob")
	alice.befriend(bob)
	alice.ends(alice.sends("bob", "hello"), "delivered", 0)
	peer, mallory := bob.net.Self(), identity.Address{7}
	alice.keep(mallory, place{peer: peer})
	if !(door{alice.Node}).IsContact(peer) {
		t.Error("bob's peer is no contact's any more")
	}
	alice.unkeep(mallory)
	if got := alice.addressesAt(peer); len(got) != 1 || got[0] != bob.who.Address {
		t.Errorf("bob's peer is said to be %v's", got)
	}
}

// TestRestoredRecordIsNewer restores a home on a machine whose clock is behind: its record must still be
// newer than the one in the copy, or contacts would refuse the new device.
func TestRestoredRecordIsNewer(t *testing.T) {
	t.Parallel()
	alice := start(t, "alice")
	before := alice.own.Load().AddressSeq
	file, home := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "new")
	must(alice.Backup(t.Context(), file, []byte("correct horse")))(t)
	r := must(RestoreHome(file, home, []byte("correct horse"), SystemClock(), rand.Reader))(t)
	anew := adopt(t, home, r.Self)
	anew.clock.move(-time.Minute, 0)
	anew.open()
	if after := anew.own.Load().AddressSeq; after <= before {
		t.Errorf("the record of the restored home has stamp %d, the one before %d", after, before)
	}
}

// TestTwoDevices sends to each inbox device of somebody; the word of either settles the message.
func TestTwoDevices(t *testing.T) {
	t.Parallel()
	alice, carol := start(t, "alice"), newStranger(t)
	carol.second = true
	signed := carol.sign(carol.im(alice.who.Address, "I have two"))
	carol.tell(alice, signed, carol.records()...)
	sent := must(alice.Reply(t.Context(), signed.ID().String(), Draft{Content: []byte("to both")}))(t)
	one, two := carol.next(), carol.next()
	if one.CEK != two.CEK || one.Inner.Signed.ID() != sent.ID || two.Inner.Signed.ID() != sent.ID {
		t.Error("the devices did not get one message under one key")
	}
	carol.answer(two, alice.net.Self(), carol.d2, nil)
	alice.ends(sent, "delivered", 0)
	carol.answer(one, alice.net.Self(), carol.d, func(a *wire.Ack) { a.Disposition, a.Reason = wire.Forbidden, wire.ReasonRefused })
	time.Sleep(100 * time.Millisecond)
	alice.ends(sent, "delivered", 0)
}
