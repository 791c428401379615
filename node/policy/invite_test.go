package policy

import (
	"testing"

	"github.com/hum-presence/hum/identity"
)

// What an invite makes of each decision about its holder.
func TestInvite(t *testing.T) {
	later := identity.Now{Wall: now.Wall + 1000, Heard: now.Heard}
	made := Invite{Made: now.Wall, Expires: now.Wall + 500}
	asked := func(r Rule, def Handling) (Book, Rule) {
		b := NewBook()
		b.Defaults[Unknown].Watch = def
		b.Put(alice, r)
		return b, r
	}
	tests := []struct {
		name        string
		rule        Rule
		def         Handling
		plain, full Handling  // of an invite without and with Allow
		im          Admission // of a message of hers after the one with Allow
	}{
		{"nothing said", Rule{}, Confirm, Confirm, Allow, Accept},
		{"all strangers are refused", Rule{}, Block, Confirm, Allow, Accept},
		{"all strangers are blocked politely", Rule{}, PoliteBlock, Confirm, Allow, Accept},
		{"blocked before", Rule{}.Block(identity.Now{Wall: 1}, Both), Confirm, Block, Block, Refuse},
		{"blocked politely", Rule{}.PoliteBlock(identity.Now{Wall: 1}), Confirm, PoliteBlock, PoliteBlock, FirstContact},
		{"denied before the invite was made", Rule{}.Deny(identity.Now{Wall: 1}, Presence), Confirm, Confirm, Allow, Accept},
		{"denied after it was made", Rule{}.Deny(later, Presence), Confirm, Block, Block, FirstContact},
		{"her messages are blocked", Rule{}.Block(identity.Now{Wall: 1}, IM), Confirm, Confirm, Allow, Refuse},
		{"of a group", Rule{}.In(identity.Now{Wall: 1}, "work"), Block, Allow, Allow, Accept},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, r := asked(test.rule, test.def)
			before := b.Watch(alice, Unknown)
			if d, _ := made.Decide(now, before, r); d.Handling != test.plain {
				t.Errorf("plain: %v, want %v", d.Handling, test.plain)
			}
			full := made
			full.Allow = true
			d, rule := full.Decide(now, before, r)
			b.Put(alice, rule)
			if after := b.Watch(alice, Unknown); d.Handling != test.full || after.Handling != test.full {
				t.Errorf("with Allow: %v, and %v by the rule; want %v", d.Handling, after.Handling, test.full)
			}
			if got := b.Message(alice, false); got != test.im {
				t.Errorf("a message: %v, want %v", got, test.im)
			}
			if a, after, ok := full.DecideMessage(now, FirstContact, r); a == Accept != ok || ok && (after.BlockedPresence != r.BlockedPresence || !after.MessagesSet) ||
				ok == (r.BlockedIM || r.Polite) {
				t.Errorf("by a message with Allow: %v %+v %v", a, after, ok)
			}
			if a, after, ok := made.DecideMessage(now, Refuse, r); ok != (a == FirstContact) || ok == (r.BlockedIM || r.Polite) || ok && after.Messages != FirstContact {
				t.Errorf("by a message: %v %+v %v", a, after, ok)
			}
			if _, _, ok := full.DecideMessage(now, Refuse, r.Deny(later, IM)); ok {
				t.Error("it counts more than what was said after it")
			}
		})
	}
}

// Who may show an invite, and when.
func TestInviteAdmits(t *testing.T) {
	i, bob := Invite{Made: 100, Expires: 200}, identity.Address{2}
	used := i
	used.By = alice
	for _, test := range []struct {
		name string
		i    Invite
		now  identity.Now
		who  identity.Address
		want bool
	}{
		{"the first", i, identity.Now{Wall: 150}, alice, true},
		{"at its end", i, identity.Now{Wall: 200}, alice, true},
		{"after its end", i, identity.Now{Wall: 201}, alice, false},
		{"after its end by the clocks of others", i, identity.Now{Wall: 150, Heard: 201}, alice, false},
		{"the same again", used, identity.Now{Wall: 150}, alice, true},
		{"another", used, identity.Now{Wall: 150}, bob, false},
		{"the same, too late", used, identity.Now{Wall: 201}, alice, false},
	} {
		if got := test.i.Admits(test.now, test.who); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
