package identity

import (
	"bytes"
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const (
	day = 24 * time.Hour
	t0  = Time(1763800000000)
)

var (
	laptop = NewSigningKey([32]byte{1}).Public()
	phone  = NewSigningKey([32]byte{2}).Public()
	helper = NewSigningKey([32]byte{3}).Public()
	thief  = NewSigningKey([32]byte{4}).Public()
)

func at(t Time) Now { return Now{Wall: t, Heard: t} }

// record is what an address says at seq: a laptop that may do all, a phone that only publishes
// until day 10, and somebody else's helper.
func record(seq Stamp) AddressRecord {
	return AddressRecord{
		Address: Address{7}, Seq: seq, Expires: seq.Add(AddressRecordLife), Recovery: [32]byte{9},
		Devices: []Device{
			{Key: laptop, Roles: RoleAdmin | RoleInbox | RolePublisher},
			{Key: phone, Roles: RolePublisher, NotAfter: t0.Add(10 * day)},
			{Key: helper, Roles: RolePublisher | RoleDelegate},
		},
	}
}

func with(r AddressRecord, change func(*AddressRecord)) AddressRecord {
	change(&r)
	return r
}

func pinned(t testing.TB) *Pin {
	t.Helper()
	p := new(Pin)
	if err := p.AcceptRecord(at(t0), record(t0), []byte("first"), [32]byte{5}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAcceptRecord(t *testing.T) {
	hour := t0.Add(time.Hour)
	later := record(hour)
	tests := []struct {
		name   string
		first  bool // nothing is pinned yet
		now    Now
		in     AddressRecord
		digest byte // the pinned one has 5
		err    error
		taken  bool
	}{
		{"first word", true, at(t0), record(t0), 1, nil, true},
		{"first word without recovery", true, at(t0), with(record(t0), func(r *AddressRecord) { r.Recovery = [32]byte{} }), 1, ErrRecoveryChanged, false},
		{"first word too late", true, at(t0.Add(30 * day)), record(t0), 1, ErrRecordExpired, false},
		{"newer", false, at(hour), later, 1, nil, true},
		{"heard again", false, at(hour), record(t0), 5, nil, false},
		{"older", false, at(hour), record(t0 - 1), 1, ErrStaleRecord, false},
		{"fork with the smaller digest", false, at(hour), record(t0), 4, ErrFork, true},
		{"fork with the larger digest", false, at(hour), record(t0), 6, ErrFork, false},
		{"fork with another recovery", false, at(hour), with(record(t0), func(r *AddressRecord) { r.Recovery[0]++ }), 4, ErrRecoveryChanged, false},
		{"another recovery", false, at(hour), with(later, func(r *AddressRecord) { r.Recovery[0]++ }), 1, ErrRecoveryChanged, false},
		{"no recovery", false, at(hour), with(later, func(r *AddressRecord) { r.Recovery = [32]byte{} }), 1, ErrRecoveryChanged, false},
		{"another address", false, at(hour), with(later, func(r *AddressRecord) { r.Address[0]++ }), 1, ErrBinding, false},
		{"as far ahead as clocks differ", false, at(hour.Add(-Skew)), later, 1, nil, true},
		{"further ahead", false, at(hour.Add(-Skew) - 1), later, 1, ErrAhead, false},
		{"stamp at the end of time", false, at(hour), with(later, func(r *AddressRecord) { r.Seq, r.Expires = ^Time(0), ^Time(0) }), 1, ErrAhead, false},
		{"expires this instant", false, at(later.Expires), later, 1, ErrRecordExpired, false},
		{"expires in a moment", false, at(later.Expires - 1), later, 1, nil, true},
		{"as long as allowed", false, at(hour), with(later, func(r *AddressRecord) { r.Expires = r.Expires.Add(Skew) }), 1, nil, true},
		{"a moment longer", false, at(hour), with(later, func(r *AddressRecord) { r.Expires = r.Expires.Add(Skew) + 1 }), 1, ErrRecordExpired, false},
		{"after the pin is over", false, at(t0.Add(40 * day)), record(t0.Add(40 * day)), 1, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, want := new(Pin), Pin{}
			if !tt.first {
				p = pinned(t)
				want = *p
			}
			if tt.taken {
				want.Record, want.Raw, want.Digest = tt.in, []byte("in"), [32]byte{tt.digest}
			}
			if err := p.AcceptRecord(tt.now, tt.in, []byte("in"), [32]byte{tt.digest}); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if !reflect.DeepEqual(*p, want) {
				t.Errorf("pin is %+v\nwant %+v", *p, want)
			}
		})
	}
}

func deviceRecord(key PublicKey, seq Stamp) DeviceRecord {
	return DeviceRecord{Address: Address{7}, Device: DeviceIDOf(key), Seq: seq, Expires: seq.Add(DeviceRecordLife)}
}

// Who keeps a record for an owner who is away cannot have it renewed: it is taken though it is over, for 30 days, and
// what is newer outranks it as ever.
func TestAcceptKeptDevice(t *testing.T) {
	made := t0.Add(time.Hour)
	for _, tt := range []struct {
		name string
		now  Time
		err  error
	}{
		{"good", made, nil},
		{"over", made.Add(20 * day), nil},
		{"over for almost 30 days", made.Add(DeviceRecordLife+DeviceRecordGrace) - 1, nil},
		{"over for 30 days", made.Add(DeviceRecordLife + DeviceRecordGrace), ErrRecordExpired},
	} {
		p := pinned(t)
		p.Record.Expires = tt.now + 1
		d := deviceRecord(laptop, made)
		if err := p.AcceptKeptDevice(at(tt.now), d, []byte("kept"), [32]byte{6}); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	p := pinned(t)
	for _, bad := range []DeviceRecord{deviceRecord(thief, made), {Address: Address{7}, Device: DeviceIDOf(laptop), Seq: made, Expires: ^Time(0)}, {Address: Address{7}, Device: DeviceIDOf(laptop), Seq: made, Expires: made.Add(DeviceRecordLife+Skew) + 1}} {
		if p.AcceptKeptDevice(at(made), bad, []byte("kept"), [32]byte{6}) == nil {
			t.Errorf("taken: %+v", bad)
		}
	}
	if err := p.AcceptDevice(at(made.Add(day)), deviceRecord(laptop, made.Add(day)), []byte("newer"), [32]byte{8}); err != nil {
		t.Fatal(err)
	}
	if err := p.AcceptKeptDevice(at(made.Add(20*day)), deviceRecord(laptop, made), []byte("kept"), [32]byte{6}); !errors.Is(err, ErrStaleRecord) {
		t.Errorf("an older one: %v", err)
	}
}

func TestAcceptDevice(t *testing.T) {
	hour := t0.Add(time.Hour)
	tests := []struct {
		name   string
		now    Now
		in     DeviceRecord
		digest byte // the pinned one of the laptop has 5
		err    error
		taken  bool
	}{
		{"newer", at(hour), deviceRecord(laptop, hour), 1, nil, true},
		{"first of the phone", at(hour), deviceRecord(phone, t0-1), 1, nil, true},
		{"heard again", at(hour), deviceRecord(laptop, t0), 5, nil, false},
		{"same stamp, other bytes", at(hour), deviceRecord(laptop, t0), 4, ErrStaleRecord, false},
		{"older", at(hour), deviceRecord(laptop, t0-1), 1, ErrStaleRecord, false},
		{"thief", at(hour), deviceRecord(thief, hour), 1, ErrUnlisted, false},
		{"delegate", at(hour), deviceRecord(helper, hour), 1, nil, true},
		{"phone after its time", at(t0.Add(10 * day)), deviceRecord(phone, t0.Add(10*day)), 1, ErrUnlisted, false},
		{"another address", at(hour), DeviceRecord{Address: Address{8}, Device: DeviceIDOf(laptop), Seq: hour, Expires: hour + 1}, 1, ErrBinding, false},
		{"ahead", at(hour.Add(-Skew) - 1), deviceRecord(laptop, hour), 1, ErrAhead, false},
		{"over", at(hour.Add(14 * day)), deviceRecord(laptop, hour), 1, ErrRecordExpired, false},
		{"too long", at(hour), DeviceRecord{Address: Address{7}, Device: DeviceIDOf(laptop), Seq: hour, Expires: hour.Add(DeviceRecordLife+Skew) + 1}, 1, ErrRecordExpired, false},
		{"pin over", at(t0.Add(30 * day)), deviceRecord(laptop, t0.Add(30*day)), 1, ErrPinExpired, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pinned(t)
			if err := p.AcceptDevice(at(t0), deviceRecord(laptop, t0), []byte("first"), [32]byte{5}); err != nil {
				t.Fatal(err)
			}
			copied := *p
			err := p.AcceptDevice(tt.now, tt.in, []byte("in"), [32]byte{tt.digest})
			if !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			d := p.Device(tt.in.Device)
			if taken := d != nil && string(d.Raw) == "in" && reflect.DeepEqual(d.Record, tt.in); taken != tt.taken {
				t.Errorf("taken: %v, want %v", taken, tt.taken)
			}
			if got := string(copied.Device(DeviceIDOf(laptop)).Raw); got != "first" {
				t.Errorf("a copy made before changed: %q", got)
			}
		})
	}
}

func TestAcceptReach(t *testing.T) {
	hour := t0.Add(time.Hour)
	reach := func(key PublicKey, seq Stamp) Reach {
		return Reach{Address: Address{7}, Device: DeviceIDOf(key), Seq: seq, Peer: []byte{1}}
	}
	tests := []struct {
		name  string
		now   Now
		in    Reach
		raw   string // the pinned one of the laptop is "first"
		err   error
		taken bool
	}{
		{"newer", at(hour), reach(laptop, hour), "in", nil, true},
		{"old but new to me", at(hour), reach(phone, 1), "in", nil, true},
		{"heard again", at(hour), reach(laptop, t0), "first", nil, false},
		{"same stamp, other bytes", at(hour), reach(laptop, t0), "in", ErrStaleRecord, false},
		{"older", at(hour), reach(laptop, t0-1), "in", ErrStaleRecord, false},
		{"ahead", at(hour.Add(-Skew) - 1), reach(laptop, hour), "in", ErrAhead, false},
		{"thief", at(hour), reach(thief, hour), "in", ErrUnlisted, false},
		{"another address", at(hour), Reach{Address: Address{8}, Device: DeviceIDOf(laptop), Seq: hour}, "in", ErrBinding, false},
		{"pin over", at(t0.Add(30 * day)), reach(laptop, hour), "in", ErrPinExpired, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pinned(t)
			if err := p.AcceptReach(at(t0), reach(laptop, t0), []byte("first")); err != nil {
				t.Fatal(err)
			}
			if err := p.AcceptReach(tt.now, tt.in, []byte(tt.raw)); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			d := p.Device(tt.in.Device)
			if taken := d != nil && string(d.ReachRaw) == "in" && reflect.DeepEqual(*d.Reach, tt.in); taken != tt.taken {
				t.Errorf("taken: %v, want %v", taken, tt.taken)
			}
		})
	}
}

func TestReachAndRecordOfADeviceMeet(t *testing.T) {
	p := pinned(t)
	id := DeviceIDOf(laptop)
	r := Reach{Address: Address{7}, Device: id, Seq: t0, Peer: []byte{1}}
	if err := errors.Join(p.AcceptReach(at(t0), r, []byte("reach")), p.AcceptDevice(at(t0), deviceRecord(laptop, t0), []byte("record"), [32]byte{1})); err != nil {
		t.Fatal(err)
	}
	if d := p.Device(id); len(p.Devices) != 1 || string(d.Raw) != "record" || string(d.ReachRaw) != "reach" {
		t.Errorf("devices: %+v", p.Devices)
	}
}

func TestALostDeviceIsForgotten(t *testing.T) {
	p, now := pinned(t), at(t0+1)
	for _, key := range []PublicKey{laptop, phone} {
		if err := p.AcceptDevice(now, deviceRecord(key, t0), []byte("in"), [32]byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	without := with(record(t0+1), func(r *AddressRecord) { r.Devices = r.Devices[1:] })
	if err := p.AcceptRecord(now, without, []byte("in"), [32]byte{1}); err != nil {
		t.Fatal(err)
	}
	if p.Device(DeviceIDOf(laptop)) != nil || p.Device(DeviceIDOf(phone)) == nil {
		t.Errorf("devices left: %+v", p.Devices)
	}
	if err := p.Authorise(now, laptop, 0); !errors.Is(err, ErrUnlisted) {
		t.Errorf("the lost laptop: %v", err)
	}
}

func TestAuthorise(t *testing.T) {
	tests := []struct {
		name string
		now  Time
		key  PublicKey
		role Roles
		err  error
	}{
		{"laptop writes", t0, laptop, RoleInbox, nil},
		{"laptop does anything", t0, laptop, 0, nil},
		{"phone publishes", t0, phone, RolePublisher, nil},
		{"phone writes", t0, phone, RoleInbox, ErrRole},
		{"phone publishes and writes", t0, phone, RolePublisher | RoleInbox, ErrRole},
		{"phone at the end of its time", t0.Add(10 * day), phone, RolePublisher, ErrUnlisted},
		{"helper publishes by itself", t0, helper, RolePublisher, ErrRole},
		{"helper does anything", t0, helper, 0, ErrRole},
		{"helper as a delegate", t0, helper, RolePublisher | RoleDelegate, nil},
		{"laptop as a delegate", t0, laptop, RolePublisher | RoleDelegate, ErrRole},
		{"thief", t0, thief, 0, ErrUnlisted},
		{"last instant of the pin", t0.Add(30*day) - 1, laptop, 0, nil},
		{"pin over", t0.Add(30 * day), laptop, 0, ErrPinExpired},
		{"pin over, device unlisted", t0.Add(30 * day), thief, 0, ErrPinExpired},
	}
	p := pinned(t)
	for _, tt := range tests {
		if err := p.Authorise(at(tt.now), tt.key, tt.role); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}
	if err := new(Pin).Authorise(at(t0), laptop, 0); !errors.Is(err, ErrPinExpired) {
		t.Errorf("nothing pinned: %v", err)
	}
}

// A clock that once ran ten days ahead accepted what nobody else would have; after it is set right,
// what is signed from then on is accepted.
func TestAClockThatRanAheadLocksNothing(t *testing.T) {
	p, wrong := new(Pin), t0.Add(10*day)
	id := DeviceIDOf(laptop)
	reach := Reach{Address: Address{7}, Device: id, Seq: wrong, Peer: []byte{1}}
	if err := errors.Join(
		p.AcceptRecord(at(wrong), record(wrong), []byte("a"), [32]byte{1}),
		p.AcceptDevice(at(wrong), deviceRecord(laptop, wrong), []byte("b"), [32]byte{1}),
		p.AcceptReach(at(wrong), reach, []byte("c"))); err != nil {
		t.Fatal(err)
	}
	if err := p.AcceptRecord(at(t0), record(t0-1), []byte("d"), [32]byte{2}); !errors.Is(err, ErrStaleRecord) {
		t.Errorf("signed before the clock was set right: %v", err)
	}
	now := at(t0.Add(time.Hour))
	reach.Seq = now.Wall - 1
	if err := errors.Join(
		p.AcceptRecord(now, record(now.Wall-1), []byte("d"), [32]byte{2}),
		p.AcceptDevice(now, deviceRecord(laptop, now.Wall-1), []byte("e"), [32]byte{2}),
		p.AcceptReach(now, reach, []byte("f"))); err != nil {
		t.Errorf("signed since: %v", err)
	}
}

// Whatever comes in whatever order, while the clock only goes forward the pinned stamp never falls,
// the recovery never changes, and two pins that heard the same records agree (I2, I27).
func TestPinsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		one := rapid.Custom(func(t *rapid.T) AddressRecord {
			return with(record(t0+Time(rapid.IntRange(0, 5).Draw(t, "seq"))), func(r *AddressRecord) {
				r.Services = Services(rapid.IntRange(0, 3).Draw(t, "services"))
				r.Recovery[1] = byte(rapid.IntRange(0, 9).Draw(t, "recovery") / 9)
			})
		})
		heard := rapid.SliceOf(one).Draw(t, "heard")
		again := rapid.Permutation(heard).Draw(t, "again")
		first := record(t0 - 1)
		a, b := hear(t, append([]AddressRecord{first}, heard...)), hear(t, append([]AddressRecord{first}, again...))
		if a.Digest != b.Digest || !bytes.Equal(a.Raw, b.Raw) {
			t.Fatalf("pins differ: %v and %v", a.Record, b.Record)
		}
	})
}

func hear(t *rapid.T, records []AddressRecord) *Pin {
	p := new(Pin)
	for i, r := range records {
		body := []byte{byte(r.Seq - t0), byte(r.Services), r.Recovery[1]}
		before := p.Record
		err := p.AcceptRecord(at(t0.Add(Skew)+Time(i)), r, body, Hash("addr", body))
		if p.Record.Seq < before.Seq || i > 0 && p.Record.Recovery != before.Recovery {
			t.Fatalf("%v after %v, %v", p.Record, before, err)
		}
	}
	return p
}
