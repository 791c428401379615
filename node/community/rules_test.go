package community

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

func TestAdmit(t *testing.T) {
	inv := wire.InviteID{9}
	id, by, ok := IDOf(inv.Member([16]byte{1}))
	if !ok || by != inv {
		t.Fatalf("by %v, %v", by, ok)
	}
	if _, _, ok := IDOf([]byte("short")); ok {
		t.Error("a short token is one of ours")
	}
	if twin, _, _ := IDOf(inv.Member([16]byte{2})); twin == id {
		t.Error("two members of one invite are one")
	}
	tests := []struct {
		name    string
		inv     *Invite
		members int
		err     error
		left    uint32
	}{
		{"by an invite", &Invite{ID: inv, Uses: 2, Until: start}, 0, nil, 1},
		{"without an end", &Invite{ID: inv, Uses: 1}, 0, nil, 0},
		{"without an invite", nil, 0, ErrToken, 0},
		{"by one used up", &Invite{ID: inv, Until: start}, 0, ErrUsed, 0},
		{"by one that has ended", &Invite{ID: inv, Uses: 1, Until: start - 1}, 0, ErrEnded, 0},
		{"into a full community", &Invite{ID: inv, Uses: 1}, 10, ErrFull, 0},
	}
	for _, x := range tests {
		m, left, err := Admit(at(0), id, x.inv, x.members, 10)
		if !errors.Is(err, x.err) || left.Uses != x.left || err == nil && (m.ID != id || m.By != inv) {
			t.Errorf("%s: %+v, %+v, %v", x.name, m, left, err)
		}
	}
}

func TestHost(t *testing.T) {
	e := key(5)
	l := DefaultLimits
	ask := func(d time.Duration) wire.HostRequest { return wire.HostRequest{Key: e, Until: start.Add(d)} }
	by := func(m MemberID, d time.Duration) Holder { return Holder{m, start.Add(d)} }
	mine := &Hosted{e, []Holder{by(alice, time.Hour)}, 7}
	full := &Hosted{Key: e}
	for i := range MaxHolders {
		full.Holders = append(full.Holders, Holder{MemberID{9, byte(i)}, start + 1})
	}
	tests := []struct {
		name    string
		old     *Hosted
		r       wire.HostRequest
		member  MemberID
		keys    int
		err     error
		holders []Holder
	}{
		{"a new key", nil, ask(time.Hour), alice, 0, nil, []Holder{by(alice, time.Hour)}},
		{"for a year", nil, ask(365 * 24 * time.Hour), alice, 0, nil, []Holder{by(alice, MaxHosting)}},
		{"longer, by one who has as many as he may", mine, ask(2 * time.Hour), alice, l.Keys, nil, []Holder{by(alice, 2*time.Hour)}},
		{"shorter", mine, ask(time.Minute), alice, 1, nil, []Holder{by(alice, time.Minute)}},
		{"until yesterday", nil, ask(-time.Hour), alice, 0, ErrPast, nil},
		{"that another has kept too", mine, ask(time.Minute), mallory, 0, nil, []Holder{by(alice, time.Hour), by(mallory, time.Minute)}},
		{"that too many have kept", full, ask(time.Hour), mallory, 0, ErrHolders, nil},
		{"one too many", nil, ask(time.Hour), alice, l.Keys, ErrKeys, nil},
		{"no key at all", nil, wire.HostRequest{Until: start + 1}, alice, 0, ErrBadRec, nil},
	}
	for _, x := range tests {
		got, first, err := l.Host(at(0), x.old, x.r, x.member, x.keys)
		if !errors.Is(err, x.err) || err == nil && (!slices.Equal(got.Holders, x.holders) || first != (x.old == nil || x.member == mallory)) {
			t.Errorf("%s: %+v, %v, %v", x.name, got, first, err)
		}
	}
	// Whoever has kept another's key neither ends it nor keeps it from him.
	both, _, _ := l.Host(at(0), &Hosted{e, []Holder{by(mallory, time.Minute)}, 7}, ask(time.Hour), alice, 0)
	gone := both.Leave(at(10 * time.Minute))
	if len(gone) != 1 || gone[0].Member != mallory || both.Payer() != alice || !both.Serves(at(time.Hour)) || both.Serves(at(2*time.Hour)) {
		t.Errorf("after mallory's time %+v, gone %v", both, gone)
	}
}

func TestRoom(t *testing.T) {
	l := Limits{KeyBytes: 1000, Disk: 10_000}
	for _, x := range []struct {
		name                 string
		kept, all, was, size int
		err                  error
	}{
		{"a first one", 0, 0, 0, 900, nil},
		{"in the place of a larger one, where all is full", 1000, 10_000, 900, 800, nil},
		{"more than one member may", 900, 900, 0, 200, ErrMemberFull},
		{"more than the node may", 0, 9_900, 0, 200, ErrDisk},
	} {
		if err := l.Room(x.kept, x.all, x.was, x.size); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
}

func TestKept(t *testing.T) {
	k := identity.NewSigningKey([32]byte{5})
	h := &Hosted{k.Public(), []Holder{{alice, start.Add(time.Hour)}}, 0}
	slot := func(t identity.Stamp) wire.Rec { return wire.NewKept(wire.ContextSlot, k, t, []byte("parcel")) }
	tests := []struct {
		name string
		now  time.Duration
		h    *Hosted
		ctx  wire.Context
		r    wire.Rec
		last identity.Stamp
		err  error
	}{
		{"the first", 0, h, wire.ContextSlot, slot(start), 0, nil},
		{"a newer one", 0, h, wire.ContextSlot, slot(start + 1), start, nil},
		{"one of a month ago", 0, h, wire.ContextSlot, slot(start.Add(-30 * 24 * time.Hour)), 0, nil},
		{"the same again", 0, h, wire.ContextSlot, slot(start), start, ErrOld},
		{"rolled back", 0, h, wire.ContextSlot, slot(start - 1), start, ErrOld},
		{"over one from an impossible future", 0, h, wire.ContextSlot, slot(start + 1), start.Add(24 * time.Hour), nil},
		{"of tomorrow", 0, h, wire.ContextSlot, slot(start.Add(time.Hour)), 0, ErrAhead},
		{"of another context", 0, h, wire.ContextDHT, slot(start), 0, ErrBadRec},
		{"of another key", 0, &Hosted{key(6), h.Holders, 0}, wire.ContextSlot, slot(start), 0, ErrBadRec},
		{"of no hosted key", 0, nil, wire.ContextSlot, slot(start), 0, ErrNotHosted},
		{"of one that has ended", 2 * time.Hour, h, wire.ContextSlot, slot(start), 0, ErrNotHosted},
	}
	for _, x := range tests {
		if err := Kept(at(x.now), x.h, x.ctx, x.r, x.last); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
}

func TestNaming(t *testing.T) {
	a := identity.NewSigningKey([32]byte{4})
	now := at(0)
	periods := Periods(now)
	if len(periods) != 4 || EndOf(periods[0]) <= now.Wall || EndOf(periods[0]-1) > now.Wall {
		t.Fatalf("periods %v", periods)
	}
	for _, p := range periods {
		k := a.Blind(p)
		blinded, err := identity.Address(a.Public()).Blinded(p)
		if err != nil || blinded != k.Public() || !identity.Verify(blinded, "rec", []byte("m"), k.Sign("rec", []byte("m"))) {
			t.Fatalf("period %d: %v", p, err)
		}
		h := &Hosted{Key: blinded, Holders: []Holder{{alice, EndOf(p)}, {mallory, EndOf(p + 9)}}}
		if Released(now, h) != (p == periods[0]) {
			t.Errorf("period %d is released at the wrong time", p)
		}
	}
	k := a.Blind(periods[0])
	rec := func(t identity.Stamp) wire.Rec { return wire.NewKept(wire.ContextDHT, k, t, []byte("sealed")) }
	tests := []struct {
		name string
		r    wire.Rec
		key  wire.PublicKey
		err  error
	}{
		{"fresh", rec(start), k.Public(), nil},
		{"three weeks old", rec(start.Add(-21 * 24 * time.Hour)), k.Public(), nil},
		{"too old", rec(start.Add(-31 * 24 * time.Hour)), k.Public(), ErrOld},
		{"of tomorrow", rec(start.Add(24 * time.Hour)), k.Public(), ErrAhead},
		{"of another key", rec(start), key(6), ErrBadRec},
		{"of a slot", wire.NewKept(wire.ContextSlot, k, start, []byte("sealed")), k.Public(), ErrBadRec},
	}
	for _, x := range tests {
		if err := Naming(now, x.key, x.r); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
	twin := wire.NewKept(wire.ContextDHT, k, start, []byte("twin"))
	if Newest([]wire.Rec{rec(start - 1), rec(start), rec(start - 2)}) != 1 {
		t.Error("the larger t does not win")
	}
	if Newest([]wire.Rec{rec(start), twin}) == Newest([]wire.Rec{twin, rec(start)}) {
		t.Error("two of one t are chosen by their order")
	}
}

func TestPinHandle(t *testing.T) {
	name := wire.Handle{Local: "alice", Domain: "example.org"}
	a, b := identity.Address(key(1)), identity.Address(key(2))
	lists := identity.AddressRecord{Handles: []string{"Alice@Example.org"}}
	old := &Handle{Name: name, Address: a, Since: start - 5, Asked: start - 5}
	tests := []struct {
		name      string
		old       *Handle
		said      identity.Address
		r         identity.AddressRecord
		successor identity.Address
		err       error
		since     identity.Time
	}{
		{"the first time", nil, a, lists, identity.Address{}, nil, start},
		{"again", old, a, lists, identity.Address{}, nil, start - 5},
		{"the address does not agree", nil, a, identity.AddressRecord{Handles: []string{"bob@example.org"}}, identity.Address{}, ErrUnlisted, 0},
		{"another address", old, b, lists, identity.Address{}, ErrConflict, start - 5},
		{"a successor", old, b, lists, b, nil, start},
	}
	for _, x := range tests {
		got, err := Pin(at(0), x.old, name, x.said, x.r, x.successor)
		if !errors.Is(err, x.err) || got.Since != x.since {
			t.Errorf("%s: %+v, %v", x.name, got, err)
		}
	}
	if old.Ask(at(0)) || !old.Ask(at(25*time.Hour)) {
		t.Error("a domain is asked once a day")
	}
}
