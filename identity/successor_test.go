package identity

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mover is somebody whose address can move: index i to index j of one seed.
var mover = Seed{42}

func signedBy(i uint32) PublicKey { return mover.RecoveryKey(i).Public() }

func moverRecord(i uint32, seq Stamp) AddressRecord {
	r := record(seq)
	r.Address, r.Recovery = Address(mover.AddressKey(i).Public()), mover.Commitment(i)
	return r
}

func pinnedMover(t interface {
	Helper()
	Fatal(...any)
}) *Pin {
	t.Helper()
	p := new(Pin)
	if err := p.AcceptRecord(at(t0), moverRecord(0, t0), []byte("first"), [32]byte{5}); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAcceptSuccessor(t *testing.T) {
	next := func(j uint32) Successor { return NewSuccessor(mover, 0, j, t0, MovedCompromised) }
	bent := func(change func(*Successor)) Successor { s := next(1); change(&s); return s }
	tests := []struct {
		name   string
		before []Successor
		in     Successor
		signer PublicKey
		err    error
		kept   int // successors held afterwards
	}{
		{"the first", nil, next(1), signedBy(0), nil, 1},
		{"the same again", []Successor{next(1)}, next(1), signedBy(0), nil, 1},
		{"the same, signed once more", []Successor{next(1)}, NewSuccessor(mover, 0, 1, t0+1, MovedAway), signedBy(0), nil, 1},
		{"a second one", []Successor{next(1)}, next(2), signedBy(0), ErrSecondSuccessor, 2},
		{"the first, when there are two", []Successor{next(1), next(2)}, next(1), signedBy(0), nil, 2},
		{"a third one", []Successor{next(1), next(2)}, next(3), signedBy(0), ErrSecondSuccessor, 2},
		{"of another address", nil, NewSuccessor(mover, 7, 1, t0, MovedAway), signedBy(7), ErrBinding, 0},
		{"another R, well signed", nil, bent(func(s *Successor) { s.Recovery = signedBy(3) }), signedBy(3), ErrNotSuccessor, 0},
		{"the right R, signed by another", nil, next(1), signedBy(3), ErrNotSuccessor, 0},
		{"signed by the stolen address key", nil, next(1), mover.AddressKey(0).Public(), ErrNotSuccessor, 0},
		{"not accepted by the new one", nil, bent(func(s *Successor) { s.Accept[0]++ }), signedBy(0), ErrNotSuccessor, 0},
		{"accepted for another time", nil, bent(func(s *Successor) { s.Issued++ }), signedBy(0), ErrNotSuccessor, 0},
		{"accepted by another than the new one", nil, bent(func(s *Successor) { s.New = Address(mover.AddressKey(9).Public()) }), signedBy(0), ErrNotSuccessor, 0},
		{"to itself", nil, NewSuccessor(mover, 0, 0, t0, MovedAway), signedBy(0), ErrNotSuccessor, 0},
		{"from the future", nil, NewSuccessor(mover, 0, 1, t0.Add(Skew)+1, MovedAway), signedBy(0), ErrAhead, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pinnedMover(t)
			for _, s := range tt.before {
				_ = p.AcceptSuccessor(at(t0), s, signedBy(0), nil)
			}
			if err := p.AcceptSuccessor(at(t0), tt.in, tt.signer, []byte("raw")); !errors.Is(err, tt.err) {
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if len(p.Moved) != tt.kept {
				t.Errorf("holds %d successors, want %d", len(p.Moved), tt.kept)
			}
			if tt.kept > 0 && p.Moved[0].Record.New != next(1).New {
				t.Error("the first one does not count any more")
			}
		})
	}
	if err := new(Pin).AcceptSuccessor(at(t0), next(1), signedBy(0), nil); !errors.Is(err, ErrBinding) {
		t.Errorf("of an address that was never pinned: %v", err)
	}
}

func TestChoose(t *testing.T) {
	p := pinnedMover(t)
	for j := range uint32(2) {
		_ = p.AcceptSuccessor(at(t0), NewSuccessor(mover, 0, j+1, t0, MovedAway), signedBy(0), nil)
	}
	second := p.Moved[1].Record.New
	if p.Choose(Address{1}) || len(p.Moved) != 2 {
		t.Error("chose a stranger")
	}
	if !p.Choose(second) || len(p.Moved) != 1 || p.Moved[0].Record.New != second {
		t.Errorf("kept %+v", p.Moved)
	}
}

// A pin that is held counts for nothing, and is asked for anew when it is let go.
func TestHeld(t *testing.T) {
	p := pinnedMover(t)
	p.Held = true
	if err := p.Authorise(at(t0), laptop, RoleInbox); !errors.Is(err, ErrPinExpired) {
		t.Errorf("held: %v", err)
	}
	if err := p.AcceptRecord(at(t0.Add(time.Hour)), moverRecord(0, t0.Add(time.Hour)), nil, [32]byte{1}); err != nil || p.Authorise(at(t0), laptop, 0) == nil {
		t.Errorf("a newer record lets go: %v", err)
	}
	p.Held = false
	if err := p.Authorise(at(t0), laptop, RoleInbox); err != nil {
		t.Errorf("let go: %v", err)
	}
}

// Whatever comes, in whatever order: the pinned seq never falls and the recovery never changes (I2), and
// once there is a successor nothing of the old address is accepted (I3).
func TestSuccessorInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := pinnedMover(t)
		now := t0
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 48).Draw(t, "hours")) * time.Hour)
			seq, recovery, moved := p.Record.Seq, p.Record.Recovery, len(p.Moved) > 0
			before := *p
			var err error
			kind := rapid.SampledFrom([]string{"record", "thief's record", "device", "reach", "successor", "forged successor"}).Draw(t, "what")
			switch kind {
			case "record", "thief's record":
				r := moverRecord(0, now.Add(-time.Duration(rapid.IntRange(0, 100).Draw(t, "age"))*time.Hour))
				if kind != "record" {
					r.Devices = []Device{{Key: thief, Roles: RoleInbox}}
					if rapid.Bool().Draw(t, "other recovery") {
						r.Recovery[0]++
					}
				}
				err = p.AcceptRecord(at(now), r, []byte{1}, [32]byte{byte(r.Seq), byte(r.Seq >> 8), byte(len(r.Devices))})
			case "device":
				d := deviceRecord(laptop, now)
				d.Address = p.Record.Address
				err = p.AcceptDevice(at(now), d, []byte{1}, [32]byte{byte(now), 1})
			case "reach":
				err = p.AcceptReach(at(now), Reach{Address: p.Record.Address, Device: DeviceIDOf(laptop), Seq: now, Peer: []byte{1}}, []byte{byte(now)})
			case "successor":
				err = p.AcceptSuccessor(at(now), NewSuccessor(mover, 0, uint32(rapid.IntRange(1, 3).Draw(t, "index")), now, MovedAway), signedBy(0), nil)
			default:
				err = p.AcceptSuccessor(at(now), NewSuccessor(mover, 0, 1, now, MovedAway), signedBy(5), nil)
				if !errors.Is(err, ErrNotSuccessor) {
					t.Fatalf("a forged successor: %v", err)
				}
			}
			if p.Record.Seq < seq {
				t.Fatalf("seq fell from %d to %d by a %s", seq, p.Record.Seq, kind)
			}
			if p.Record.Recovery != recovery {
				t.Fatalf("recovery changed by a %s", kind)
			}
			if !moved {
				continue
			}
			if kind != "successor" && kind != "forged successor" && (err == nil || !reflect.DeepEqual(*p, before)) {
				t.Fatalf("after a successor a %s was accepted: %v", kind, err)
			}
			for _, key := range []PublicKey{laptop, phone, thief} {
				if err := p.Authorise(at(now), key, 0); !errors.Is(err, ErrMoved) {
					t.Fatalf("after a successor a device may speak: %v", err)
				}
			}
		}
	})
}
