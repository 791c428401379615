package requirements

import (
	"fmt"
	gomaps "maps"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// livesAmong leads Alice through a decision of Bob's as lives does, where nothing leads from her to him but two community
// nodes that keep what is his, one of which is hers too; Bob has a delegate, who speaks for him in a view that is not hers.
func livesAmong(t *testing.T, decide func(w *world, bob, alice *person)) (s story) {
	inWorld(t, func(w *world) {
		d, e := w.operator("d", does(anchors)), w.operator("e", does(anchors))
		alice, bob, dave := w.person("alice", light), w.person("bob"), w.person("dave", light)
		for _, o := range []*operator{d, e} {
			bob.enters(o.invite(1))
		}
		alice.enters(d.invite(1))
		dora := bob.also("dora", node.NewDevice{Delegate: true, Scope: []string{"activities"}})
		bob.view(node.ViewEdit{Name: "hers", Show: []string{"note"}, Add: []string{addressOf(alice)}})
		dave.watch(bob)
		alice.add(bob)
		alice.ask(bob)
		must(alice.Offline(ctx())) // her own beacons would take most of the time
		w.within(time.Minute, "alice sees him", func() bool { return alice.sees(bob).Basic == "open" })
		time.Sleep(time.Minute)
		w.net.Cut(alice.ip, bob.ip)
		w.net.Cut(alice.ip, dora.ip)
		bob.note("before")
		w.within(20*time.Minute, "alice reads it at an anchor", func() bool { return alice.sees(bob).Note == "before" })
		alice.delivers2(bob, "by his mailbox")
		time.Sleep(5 * time.Minute)
		decided, events := time.Now(), len(alice.events())
		look := func() { s.shown = append(s.shown, shownTo(alice, bob), alice.spoken(bob)) }
		decide(w, bob, alice)
		time.Sleep(2 * time.Minute)
		look()
		for i := range 3 {
			bob.note(fmt.Sprintf("%s %d", marker, i))
			_ = dora.doing([]string{"meeting", "vacation", "travel"}[i])
			time.Sleep(10 * time.Second)
		}
		if note, said := dave.sees(bob).Note, dave.spoken(bob); clean("dave's screen", []byte(note), marker) == nil || said == "" {
			t.Errorf("dave, who is not blocked, is shown %q, and of dora %q", note, said)
		}
		hears := func(text string) {
			m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte(text), Expires: 24 * time.Hour})
			alice.comesTo(m, "failed(closed)", time.Hour)
		}
		hears("are you there?")
		if _, err := alice.Fetch(ctx(), "bob", false); err != nil {
			t.Errorf("alice asks once: %v", err)
		}
		look()
		bob.down()
		m := alice.draft(node.Draft{To: addressOf(bob), Content: []byte("are you away?"), Expires: 24 * time.Hour})
		alice.comesTo(m, "stored", 5*time.Minute)
		look()
		bob.up()
		alice.comesTo(m, "failed(closed)", time.Hour)
		time.Sleep(20 * time.Minute)
		look()
		alice.down()
		alice.up()
		time.Sleep(20 * time.Minute)
		look()
		s.came = map[string][]string{}
		for _, ip := range []string{d.ip, e.ip, bob.ip, dora.ip} {
			alice.got.things(s.came, ip, decided)
		}
		for _, x := range alice.events()[events:] {
			if x.Address == bob.Self().Address {
				s.told = append(s.told, fmt.Sprintln(x.Kind, x.State, x.Reason, x.Text))
			}
		}
		w.must(clean("what alice's machine was sent", alice.got.all(""), marker))
	})
	return s
}

// things adds to a list, by what they are, what came from one address since a time: each record, slot and letter once,
// however often it was asked for, and each refusal. How often and when she asks is her own chance.
func (t *tape) things(all map[string][]string, from string, since time.Time) {
	seen := map[string]bool{}
	add := func(kind string, raw []byte) {
		if kind += " from " + from; !seen[kind+string(raw)] {
			seen[kind+string(raw)] = true
			all[kind] = append(all[kind], fmt.Sprint(len(raw), " bytes"))
			slices.Sort(all[kind])
		}
	}
	for _, f := range t.frames(from) {
		if !f.at.After(since) {
			continue
		}
		if f.Status != 0 && f.Status != wire.OK && (f.proto == presenceProto || f.Op == wire.OpDeposit) { // the rest is her own mailbox
			add(fmt.Sprintf("%s: %v to op %d", f.proto, f.Status, f.Op), nil)
		}
		switch {
		case f.Op == wire.OpRec && f.proto == presenceProto:
			if p, err := wire.ParseRecPush(f.Payload); err == nil {
				add("record", p.Rec)
			}
		case f.Op == wire.OpGet && f.proto == presenceProto:
			p, _ := wire.ParseGetReply(f.Payload)
			for _, raw := range p.Recs {
				if _, err := wire.ParseRec(raw); err != nil {
					add("slot", raw)
				} else {
					add("record", raw)
				}
			}
		case f.proto == "/hum/mbox/1" && f.Status == wire.OK && (f.Op == wire.OpList || f.Op == wire.OpWait):
			l, _ := wire.ParseMboxListing(f.Payload)
			for _, item := range l.Items {
				add("letter", make([]byte, len(item))) // how many copies he answers is chance too
			}
		}
	}
}

// delivers2 sends and waits for the ack, for as long as mailboxes may take.
func (p *person) delivers2(q *person, text string) {
	p.w.Helper()
	p.comesTo(p.draft(node.Draft{To: addressOf(q), Content: []byte(text), Expires: 24 * time.Hour}), "delivered", time.Hour)
}

// With custodians in between, and a delegate who speaks for Bob to others, Alice can tell a polite block from Bob's having
// set himself to offline in her view by nothing that comes to her from any of them (requirement 5.1.15): they serve her
// epoch, her slot and her letters as anybody's.
func TestReq_5_1_15_CustodiansBetween(t *testing.T) {
	muted := livesAmong(t, func(w *world, bob, alice *person) { bob.politely(addressOf(alice)) })
	offline := livesAmong(t, func(w *world, bob, _ *person) { must(bob.OfflineIn(ctx(), "hers")) })
	if err := alike(muted, offline); err != nil {
		t.Error(err)
	}
	if len(muted.came) < 2 || len(muted.told) < 2 {
		t.Errorf("too little came for a comparison: %+v", muted)
	}
	for kind := range muted.came {
		more := story{came: gomaps.Clone(muted.came), shown: muted.shown, told: muted.told}
		more.came[kind] = append(slices.Clone(more.came[kind]), "1 bytes")
		if alike(muted, more) == nil {
			t.Errorf("the check does not find one thing more: %s", kind)
		}
	}
}
