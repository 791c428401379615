package community

import (
	"bytes"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

const start = identity.Time(1_763_800_000_000)

func at(d time.Duration) identity.Now { return identity.Now{Wall: start.Add(d)} }

func key(b byte) wire.PublicKey { return identity.NewSigningKey([32]byte{b}).Public() }

var (
	mbox, reader, other = key(1), key(2), key(3)
	alice, mallory      = MemberID{1}, MemberID{2}
	capA                = wire.Cap{7}
)

func parcel(size int) wire.MboxItem {
	return wire.MboxItem{Parcel: wire.Parcel{Suite: 1, CT: bytes.Repeat([]byte{byte(size)}, size)}.Append(nil)}
}

func box(t interface{ Fatal(...any) }) Box {
	b, err := DefaultLimits.Register(at(0), nil, wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{reader, other}, Seq: start, PoWBits: 4}, mbox, alice, 0)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func opened(t interface{ Fatal(...any) }, b *Box, c wire.MboxCap) Cap {
	c.Mbox, c.Cap, c.Seq = mbox, capA.Hash(), start
	if c.Mode == 0 {
		c.Mode = wire.CapOpen
	}
	out, err := DefaultLimits.SetCap(at(0), b, nil, c, reader)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRegister(t *testing.T) {
	reg := func(seq identity.Stamp, s uint64) wire.MboxReg {
		return wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{reader}, Seq: seq, RetentionS: s}
	}
	old := box(t)
	over := reg(start, 0)
	over.Heir = other
	handed, err := DefaultLimits.Register(at(0), nil, over, mbox, alice, 0)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name      string
		old       *Box
		r         wire.MboxReg
		signer    wire.PublicKey
		owner     MemberID
		boxes     int
		err       error
		retention time.Duration
	}{
		{"a new mailbox", nil, reg(start, 0), mbox, alice, 0, nil, MaxRetention},
		{"for an hour", nil, reg(start, 3600), mbox, alice, 0, nil, time.Hour},
		{"for a year", nil, reg(start, 365*86400), mbox, alice, 0, nil, MaxRetention},
		{"for ever", nil, reg(start, 1<<63), mbox, alice, 0, nil, MaxRetention},
		{"by somebody else's key", nil, reg(start, 0), other, alice, 0, ErrSigner, 0},
		{"tomorrow", nil, reg(start.Add(time.Hour), 0), mbox, alice, 0, ErrAhead, 0},
		{"changed", &old, reg(start+1, 60), mbox, alice, 0, nil, time.Minute},
		{"said again", &old, reg(start, 60), mbox, alice, 0, ErrOld, 0},
		{"of another member", &old, reg(start+1, 60), mbox, mallory, 0, ErrStranger, 0},
		{"handed over, by the mailbox", &handed, reg(start+1, 0), mbox, alice, 0, ErrSigner, 0},
		{"handed over, by the heir", &handed, reg(start+1, 0), other, alice, 0, nil, MaxRetention},
		{"handed over, by the heir in another's name", &handed, reg(start+1, 0), other, mallory, 0, ErrStranger, 0},
		{"one too many", nil, reg(start, 0), mbox, alice, DefaultLimits.Boxes, ErrBoxes, 0},
		{"changed by one who has as many as he may", &old, reg(start+1, 0), mbox, alice, DefaultLimits.Boxes, nil, MaxRetention},
	}
	for _, x := range tests {
		got, err := DefaultLimits.Register(at(0), x.old, x.r, x.signer, x.owner, x.boxes)
		if !errors.Is(err, x.err) || got.Retention != x.retention {
			t.Errorf("%s: %v, %v", x.name, got.Retention, err)
		}
	}
}

// A one-time mailbox ends when it was to, or once its key says so; neither an old word nor anybody else's opens, changes or
// ends one, and it takes acks alone.
func TestOnce(t *testing.T) {
	reg := func(seq identity.Stamp, until identity.Time) wire.MboxReg {
		return wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{mbox}, Seq: seq, Until: until, PoWBits: 4}
	}
	day := start.Add(24 * time.Hour)
	first, err := DefaultLimits.Register(at(0), nil, reg(start, day), mbox, alice, 0)
	if err != nil || !first.Once() || first.Over(at(0)) || !first.Over(at(24*time.Hour)) {
		t.Fatalf("%+v, %v", first, err)
	}
	lasting := box(t)
	plain := reg(start+1, day)
	plain.Until = 0
	tests := []struct {
		name   string
		old    *Box
		r      wire.MboxReg
		signer wire.PublicKey
		owner  MemberID
		boxes  int
		err    error
		until  identity.Time
	}{
		{"for a year", nil, reg(start, start.Add(365*24*time.Hour)), mbox, alice, 0, nil, start.Add(MaxOnce)},
		{"for longer", &first, reg(start+1, day+1), mbox, alice, DefaultLimits.Once, nil, day + 1},
		{"ended", &first, reg(start+1, 1), mbox, alice, DefaultLimits.Once, nil, 1},
		{"ended now", &first, reg(start+1, start), mbox, alice, 0, nil, start},
		{"ended where there is none", nil, reg(start, 1), mbox, alice, DefaultLimits.Once, nil, 1},
		{"ended by an old word", &first, reg(start, 1), mbox, alice, 0, ErrOld, 0},
		{"ended tomorrow's way", &first, reg(day, 1), mbox, alice, 0, ErrAhead, 0},
		{"ended by another key", &first, reg(start+1, 1), other, alice, 0, ErrSigner, 0},
		{"ended by another member", &first, reg(start+1, 1), mbox, mallory, 0, ErrStranger, 0},
		{"opened again by the word that opened it", nil, reg(start.Add(-OnceFresh-time.Second), day), mbox, alice, 0, ErrOld, 0},
		{"one too many", nil, reg(start, day), mbox, alice, DefaultLimits.Once, ErrOnce, 0},
		{"made to last", &first, plain, mbox, alice, 0, ErrKind, 0},
		{"one that lasts, ended", &lasting, reg(start+1, 1), mbox, alice, 0, ErrKind, 0},
	}
	for _, x := range tests {
		got, err := DefaultLimits.Register(at(0), x.old, x.r, x.signer, x.owner, x.boxes)
		if !errors.Is(err, x.err) || got.Until != x.until {
			t.Errorf("%s: until %v, %v", x.name, got.Until, err)
		}
	}
	ack := wire.MboxItem{AckBox: wire.AckBox{Box: make([]byte, 289)}.Append(nil)}
	for name, item := range map[string]wire.MboxItem{"an ack": ack, "a message": parcel(10)} {
		pow, _ := wire.Work(mbox, item.Payload(), uint64(start)/3_600_000, 4, 1<<12)
		b := first
		_, err := DefaultLimits.Deposit(at(0), &b, wire.Deposit{Mbox: mbox, Item: item, PoW: pow}, nil, 0)
		if want := map[string]error{"a message": ErrNoAck}[name]; !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetCap(t *testing.T) {
	b := box(t)
	c := opened(t, &b, wire.MboxCap{})
	full := b
	full.Caps = DefaultLimits.Caps
	tests := []struct {
		name   string
		b      Box
		old    *Cap
		c      wire.MboxCap
		signer wire.PublicKey
		err    error
	}{
		{"revoked", b, &c, wire.MboxCap{Seq: start + 1, Mode: wire.CapRevoked}, other, nil},
		{"by the mailbox itself", b, &c, wire.MboxCap{Seq: start + 1, Mode: wire.CapOpen}, mbox, ErrSigner},
		{"an old word", b, &c, wire.MboxCap{Seq: start, Mode: wire.CapOpen}, reader, ErrOld},
		{"a word of tomorrow", b, &c, wire.MboxCap{Seq: start.Add(time.Hour), Mode: wire.CapOpen}, reader, ErrAhead},
		{"one too many", full, nil, wire.MboxCap{Seq: start, Mode: wire.CapOpen}, reader, ErrCaps},
		{"one that is there when all are", full, &c, wire.MboxCap{Seq: start + 1, Mode: wire.CapOpen}, reader, nil},
	}
	for _, x := range tests {
		got, err := DefaultLimits.SetCap(at(0), &x.b, x.old, x.c, x.signer)
		if !errors.Is(err, x.err) || err == nil && got.Revoked != (x.c.Mode == wire.CapRevoked) {
			t.Errorf("%s: %+v, %v", x.name, got, err)
		}
	}
	if c.BytesDay != DefaultLimits.CapBytesDay || c.Items != wire.MaxMboxItems || b.Caps != 1 {
		t.Errorf("defaults: %+v, %d caps", c, b.Caps)
	}
}

func TestDeposit(t *testing.T) {
	work := func(hours int) uint64 {
		pow, ok := wire.Work(mbox, parcel(10).Payload(), uint64(start)/3_600_000+uint64(hours), 4, 1<<12)
		if !ok {
			t.Fatal("no work found")
		}
		return pow
	}
	b := box(t)
	c := opened(t, &b, wire.MboxCap{BytesDay: 5000, Items: 3})
	var spent, waiting, revoked = c, c, c
	spent.Since, spent.Spent = start, 4995
	waiting.Waiting = 3
	revoked.Revoked = true
	yesterday := spent
	yesterday.Since = start.Add(-25 * time.Hour)
	manyItems, manyBytes, manyStrangers := b, b, b
	manyItems.Items, manyBytes.Bytes, manyStrangers.Strangers = wire.MaxMboxItems, wire.MaxMboxBytes-5, DefaultLimits.Strangers
	by := func(c wire.Cap) wire.Deposit { return wire.Deposit{Mbox: mbox, Item: parcel(10), Cap: c[:]} }
	tests := []struct {
		name string
		b    Box
		d    wire.Deposit
		c    *Cap
		all  int
		err  error
	}{
		{"by cap", b, by(capA), &c, 0, nil},
		{"by a cap that nobody knows", b, by(wire.Cap{8}), nil, 0, ErrCap},
		{"by a revoked cap", b, by(capA), &revoked, 0, ErrRevoked},
		{"more than today", b, by(capA), &spent, 0, ErrDay},
		{"again the next day", b, by(capA), &yesterday, 0, nil},
		{"too many of one", b, by(capA), &waiting, 0, ErrCapFull},
		{"too many items", manyItems, by(capA), &c, 0, ErrBoxFull},
		{"too many bytes", manyBytes, by(capA), &c, 0, ErrBoxFull},
		{"a stranger's", b, wire.Deposit{Mbox: mbox, Item: parcel(10), PoW: work(0)}, nil, 0, nil},
		{"work of the last hour", b, wire.Deposit{Mbox: mbox, Item: parcel(10), PoW: work(-1)}, nil, 0, nil},
		{"a large stranger's", b, wire.Deposit{Mbox: mbox, Item: parcel(DefaultLimits.StrangerSize), PoW: 1}, nil, 0, ErrLarge},
		{"one stranger's too many", manyStrangers, wire.Deposit{Mbox: mbox, Item: parcel(10), PoW: work(0)}, nil, 0, ErrStrangers},
		{"at a full node", b, by(capA), &c, DefaultLimits.Disk, ErrDisk},
	}
	for _, x := range tests {
		var c *Cap
		if x.c != nil {
			c = new(*x.c)
		}
		before := x.b
		l, err := DefaultLimits.Deposit(at(0), &x.b, x.d, c, x.all)
		if !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
		if err != nil && (x.b.Items != before.Items || x.b.Bytes != before.Bytes || c != nil && c.Spent != x.c.Spent) {
			t.Errorf("%s: it was counted", x.name)
		}
		if err == nil && (x.b.Items != before.Items+1 || l.Until != start.Add(MaxRetention)) {
			t.Errorf("%s: %+v in %+v", x.name, l, x.b)
		}
	}
	hard := b
	hard.PoWBits = 40
	if _, err := DefaultLimits.Deposit(at(0), &hard, wire.Deposit{Mbox: mbox, Item: parcel(10), PoW: work(0)}, nil, 0); !errors.Is(err, ErrWork) {
		t.Errorf("too little work: %v", err)
	}
}

func TestListAndCommit(t *testing.T) {
	b, nonce, self := box(t), wire.Nonce{5}, []byte("me")
	tests := []struct {
		name   string
		l      wire.MboxList
		signer wire.PublicKey
		err    error
	}{
		{"a reader", wire.MboxList{Nonce: nonce, Peer: self}, other, nil},
		{"the mailbox itself", wire.MboxList{Nonce: nonce, Peer: self}, mbox, ErrSigner},
		{"replayed on another stream", wire.MboxList{Nonce: wire.Nonce{6}, Peer: self}, reader, ErrNonce},
		{"replayed at another node", wire.MboxList{Nonce: nonce, Peer: []byte("you")}, reader, ErrPlace},
	}
	for _, x := range tests {
		if err := b.MayList(x.l, x.signer, nonce, self); !errors.Is(err, x.err) {
			t.Errorf("%s: %v, want %v", x.name, err, x.err)
		}
	}
	l := Lying{Until: start}
	if _, err := l.Commit(&b, mbox); !errors.Is(err, ErrSigner) {
		t.Errorf("committed by no reader: %v", err)
	}
	for i, r := range []wire.PublicKey{reader, reader, other} {
		if gone, err := l.Commit(&b, r); err != nil || gone != (i == 2) {
			t.Errorf("commit %d: gone %v, %v", i, gone, err)
		}
	}
	if l.Ended(at(0)) || !l.Ended(at(time.Millisecond)) {
		t.Error("an item is kept until `until`")
	}
}

// Whatever is deposited, committed and let go, what is counted is what lies there, nothing exceeds its bound, and
// the times of items rise in the order in which they came, also when the clock does not.
func TestMailboxCounts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := box(t)
		c := opened(t, &b, wire.MboxCap{BytesDay: 3000, Items: 5})
		var lying []Lying
		now, last, today := time.Duration(0), identity.Time(0), 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0:
				d := rapid.Int64Range(-100, 90_000).Draw(t, "seconds")
				now += time.Duration(d) * time.Second
			case 1, 2:
				since := c.Since
				l, err := DefaultLimits.Deposit(at(now), &b, wire.Deposit{Mbox: mbox, Item: parcel(rapid.IntRange(1, 1500).Draw(t, "size")), Cap: capA[:]}, &c, 0)
				if c.Since != since {
					today = 0
				}
				if err != nil {
					continue
				}
				if today += l.Size; today > 3000 {
					t.Fatalf("%d bytes on one day", today)
				}
				if l.Until <= last && last <= start.Add(now+MaxRetention+identity.Skew) {
					t.Fatalf("until %v after %v", l.Until, last)
				}
				last, lying = l.Until, append(lying, l)
			case 3:
				if len(lying) == 0 {
					continue
				}
				l := lying[0]
				if gone, _ := l.Commit(&b, reader); gone {
					t.Fatal("gone before all have read it")
				}
				if gone, _ := l.Commit(&b, other); !gone {
					t.Fatal("all have read it, and it lies there")
				}
				b.Take(l, &c)
				lying = lying[1:]
			}
			bytes := 0
			for _, l := range lying {
				bytes += l.Size
			}
			if b.Items != len(lying) || b.Bytes != bytes || c.Waiting != len(lying) || len(lying) > 5 || b.Strangers != 0 {
				t.Fatalf("%+v, %+v with %d items of %d bytes", b, c, len(lying), bytes)
			}
		}
	})
}
