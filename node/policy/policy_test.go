package policy

import (
	"net/netip"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/hum-presence/hum/identity"
)

var (
	now   = identity.Now{Wall: 1_750_000_000_000, Heard: 1_750_000_000_000}
	alice = identity.Address{1}
)

func TestRule(t *testing.T) {
	type change func(Rule) Rule
	block := func(s Scope) change { return func(r Rule) Rule { return r.Block(now, s) } }
	unblock := func(s Scope) change { return func(r Rule) Rule { return r.Unblock(now, s) } }
	approve := func(s Scope) change { return func(r Rule) Rule { return r.Approve(now, s) } }
	deny := func(s Scope) change { return func(r Rule) Rule { return r.Deny(now, s) } }
	reset := func(s Scope) change { return func(r Rule) Rule { return r.Reset(now, s) } }
	polite := func(r Rule) Rule { return r.PoliteBlock(now) }
	handle := func(h Handling) change { return func(r Rule) Rule { return r.Handle(now, h) } }
	member := func(r Rule) Rule { return r.In(now, "work") }
	discard := func(r Rule) Rule { return r.Admit(now, Discard, true) }

	tests := []struct {
		name    string
		changes []change
		watch   Handling
		contact Admission // of a message, if the address is a contact
		other   Admission // if it is not
	}{
		{"nothing said", nil, Confirm, Accept, FirstContact},
		{"blocked", []change{block(Both)}, Block, Refuse, Refuse},
		{"blocked for messages only", []change{block(IM)}, Confirm, Refuse, Refuse},
		{"blocked for presence only", []change{block(Presence)}, Block, Accept, FirstContact},
		{"block lifted", []change{block(Both), unblock(Both)}, Confirm, Accept, FirstContact},
		{"half of a block lifted", []change{block(Both), unblock(IM)}, Block, Accept, FirstContact},
		{"approved", []change{approve(Presence)}, Allow, Accept, FirstContact},
		{"approved in all", []change{approve(Both)}, Allow, Accept, Accept},
		{"approved, then blocked", []change{approve(Both), block(Both)}, Block, Refuse, Refuse},
		{"approved, blocked, lifted: the yes is back", []change{approve(Both), block(Both), unblock(Both)}, Allow, Accept, Accept},
		{"blocked, then approved: the yes lifts it", []change{block(Both), approve(Presence)}, Allow, Refuse, Refuse},
		{"denied", []change{deny(Presence)}, Block, Accept, FirstContact},
		{"denied for messages", []change{deny(IM)}, Confirm, Refuse, Refuse},
		{"denied, then approved", []change{deny(Both), approve(Both)}, Allow, Accept, Accept},
		{"denied, then forgotten", []change{deny(Both), reset(Both)}, Confirm, Accept, FirstContact},
		{"a reset lifts no block", []change{block(Both), reset(Both)}, Block, Refuse, Refuse},
		{"blocked politely", []change{polite}, PoliteBlock, Accept, FirstContact},
		{"blocked politely, then told", []change{polite, block(Both)}, Block, Refuse, Refuse},
		{"blocked, then politely", []change{block(Both), polite}, PoliteBlock, Accept, FirstContact},
		{"blocked politely, lifted", []change{polite, unblock(Both)}, Confirm, Accept, FirstContact},
		{"approved, politely blocked, lifted: the yes is back", []change{approve(Presence), polite, unblock(Both)}, Allow, Accept, FirstContact},
		{"blocked politely, then approved", []change{polite, approve(Presence)}, Allow, Accept, FirstContact},
		{"blocked politely, then denied", []change{polite, deny(Presence)}, Block, Accept, FirstContact},
		{"blocked politely: a reset lifts nothing", []change{polite, reset(Both)}, PoliteBlock, Accept, FirstContact},
		{"a member of a group", []change{member}, Allow, Accept, FirstContact},
		{"a member to be asked about", []change{member, handle(Confirm)}, Confirm, Accept, FirstContact},
		{"a member who is blocked", []change{member, block(Both)}, Block, Refuse, Refuse},
		{"a member who is muted", []change{member, polite}, PoliteBlock, Accept, FirstContact},
		{"discarded", []change{discard}, Confirm, Discard, Discard},
		{"discarded and blocked", []change{discard, block(IM)}, Confirm, Refuse, Refuse},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := NewBook()
			for _, c := range test.changes {
				b.Put(alice, c(b.Rule(alice)))
			}
			if got := b.Watch(alice, Unknown).Handling; got != test.watch {
				t.Errorf("watch: %v, want %v", got, test.watch)
			}
			if got := b.Message(alice, true); got != test.contact {
				t.Errorf("message of a contact: %v, want %v", got, test.contact)
			}
			if got := b.Message(alice, false); got != test.other {
				t.Errorf("message of another: %v, want %v", got, test.other)
			}
			if bob := (identity.Address{2}); b.Watch(bob, Unknown).Handling != Confirm || b.Message(bob, true) != Accept {
				t.Error("a rule for one address binds another")
			}
		})
	}
}

func TestZeroValuesAreSafe(t *testing.T) {
	var b Book
	if got := b.Watch(alice, Unknown).Handling; got != Block {
		t.Errorf("a zero book answers %v, want %v", got, Block)
	}
	b.Put(alice, Rule{}.Approve(now, Both))
	if got := b.Watch(alice, Unknown).Handling; got != Allow {
		t.Errorf("a rule in a zero book answers %v, want %v", got, Allow)
	}
	var r Rule
	if !r.IsZero() || r.Block(now, IM).IsZero() || !r.Block(now, IM).Unblock(now, Both).IsZero() {
		t.Error("IsZero does not say whether a rule says anything")
	}
}

// TestPrecedence: block, then the address, then its group, then its class (SPEC 4.10), for those who watch and
// for those who ask once.
func TestPrecedence(t *testing.T) {
	type rule = func(Rule) Rule
	handle := func(h Handling) rule { return func(r Rule) Rule { return r.Handle(now, h) } }
	fetch := func(h Handling) rule { return func(r Rule) Rule { return r.Fetch(now, h, true) } }
	member := func(r Rule) Rule { return r.In(now, "work") }
	shown := func(r Rule) Rule { return r.Shown(now, "family") }
	block := func(r Rule) Rule { return r.Block(now, Both) }
	book := NewBook()
	book.Defaults[Known] = Default{Watch: Allow, View: "friends"}
	book.Defaults[Unknown] = Default{Watch: Confirm, Fetch: Allow, FetchSet: true, View: "public"}

	tests := []struct {
		name         string
		class        Class
		rules        []rule
		watch, fetch Handling
		view         string
		by           Source
	}{
		{"an unknown one", Unknown, nil, Confirm, Allow, "public", ByDefault},
		{"a contact", Known, nil, Allow, Allow, "friends", ByDefault},
		{"a pseudonym", Pseudonymous, nil, Block, Block, "", ByDefault},
		{"an anonymous one", Anonymous, nil, Block, Block, "", ByDefault},
		{"a member", Known, []rule{member}, Allow, Allow, "work", ByGroup},
		{"an unknown member", Unknown, []rule{member}, Allow, Allow, "work", ByGroup},
		{"a member who is shown another view", Known, []rule{member, shown}, Allow, Allow, "family", ByGroup},
		{"a pseudonym with a yes", Pseudonymous, []rule{handle(Allow)}, Allow, Allow, "", ByRule},
		{"a member with a rule", Known, []rule{member, handle(Confirm)}, Confirm, Confirm, "work", ByRule},
		{"who may only fetch", Known, []rule{handle(Block), fetch(Allow)}, Block, Allow, "friends", ByRule},
		{"who may only watch", Known, []rule{member, fetch(Block)}, Allow, Block, "work", ByGroup},
		{"a block stands above all", Known, []rule{member, handle(Allow), fetch(Allow), block}, Block, Block, "work", ByBlock},
		{"a polite one too", Known, []rule{member, fetch(Allow), func(r Rule) Rule { return r.PoliteBlock(now) }}, PoliteBlock, PoliteBlock, "work", ByBlock},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := book.Clone()
			for _, r := range tt.rules {
				b.Put(alice, r(b.Rule(alice)))
			}
			want := Decision{tt.watch, tt.view, tt.by}
			if got := b.Watch(alice, tt.class); got != want {
				t.Errorf("watch: got %+v, want %+v", got, want)
			}
			if got := b.Fetch(alice, tt.class); got.Handling != tt.fetch || got.View != tt.view {
				t.Errorf("fetch: got %+v, want %v in %q", got, tt.fetch, tt.view)
			}
			if len(book.Rules) != 0 {
				t.Error("a clone shares its rules")
			}
		})
	}
}

func TestSince(t *testing.T) {
	later := identity.Now{Wall: now.Wall + 1000}
	r := Rule{}.Block(now, Both)
	if r.Since != now.Wall {
		t.Fatalf("since %d, want %d", r.Since, now.Wall)
	}
	if again := r.Block(later, Both); again.Since != now.Wall {
		t.Error("blocking again moves since")
	}
	if less := r.Unblock(later, IM); less.Since != later.Wall {
		t.Error("a change does not move since")
	}
	if s, ok := r.Unblock(later, IM).Blocked(); !ok || s != Presence {
		t.Errorf("blocked is %v, %v", s, ok)
	}
	if _, ok := r.Unblock(later, Both).Blocked(); ok {
		t.Error("an unblocked rule is on the block list")
	}
}

func TestRuleIsKept(t *testing.T) {
	want := Rule{}.Deny(now, Both).Block(now, IM).In(now, "work").Shown(now, "family").Fetch(now, Allow, true)
	b, err := cbor.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got Rule
	if err := cbor.Unmarshal(b, &got); err != nil || got != want {
		t.Errorf("read back %+v, %v; want %+v", got, err, want)
	}
}

func TestPrefix(t *testing.T) {
	tests := []struct{ name, ip, want string }{
		{"public", "192.0.2.77", "192.0.2.0/24"},
		{"public, mapped", "::ffff:192.0.2.77", "192.0.2.0/24"},
		{"public, long", "2001:db8:1:2::3", "2001:db8:1::/48"},
		{"LAN", "192.168.1.7", ""},
		{"LAN, long", "fd00::1", ""},
		{"this machine", "127.0.0.1", ""},
		{"this machine, long", "::1", ""},
		{"link", "fe80::1%eth0", ""},
		{"behind carrier NAT", "100.100.1.1", ""},
		{"no host", "224.0.0.1", ""},
		{"nowhere", "0.0.0.0", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := Prefix(netip.MustParseAddr(test.ip)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	if got := Prefix(netip.Addr{}); got != "" {
		t.Errorf("no address has prefix %q", got)
	}
}
