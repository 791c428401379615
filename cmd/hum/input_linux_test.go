package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

// A fakeBus speaks as much of D-Bus as a client needs to ask the login manager one thing.
type fakeBus struct {
	mu     sync.Mutex
	user   map[string]dbus.Variant // nil: there is no such user
	absent bool                    // of the login manager
}

func (f *fakeBus) set(user map[string]dbus.Variant, absent bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.user, f.absent = user, absent
}

// serve listens as the system's bus until the test ends.
func (f *fakeBus) serve(t *testing.T) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go f.talk(c)
		}
	}()
}

// talk lets anybody in, and then answers every call.
func (f *fakeBus) talk(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		switch line = strings.TrimLeft(line, "\x00"); {
		case err != nil:
			return
		case strings.HasPrefix(line, "AUTH EXTERNAL"):
			_, _ = c.Write([]byte("OK 1234deadbeef1234deadbeef12345678\r\n"))
		case strings.HasPrefix(line, "NEGOTIATE"):
			_, _ = c.Write([]byte("ERROR\r\n"))
		case strings.HasPrefix(line, "BEGIN"):
			f.answer(r, c)
			return
		default:
			_, _ = c.Write([]byte("REJECTED EXTERNAL\r\n"))
		}
	}
}

func (f *fakeBus) answer(r *bufio.Reader, c net.Conn) {
	for serial := uint32(1); ; serial++ {
		m, err := dbus.DecodeMessage(r)
		if err != nil {
			return
		}
		reply := f.reply(m)
		reply.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(m.Serial())
		if len(reply.Body) > 0 {
			reply.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(reply.Body...))
		}
		var b bytes.Buffer
		if reply.EncodeTo(&b, binary.LittleEndian) != nil {
			return
		}
		binary.LittleEndian.PutUint32(b.Bytes()[8:], serial)
		_, _ = c.Write(b.Bytes())
	}
}

func (f *fakeBus) reply(m *dbus.Message) *dbus.Message {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{}}
	fail := func(name string) *dbus.Message {
		out.Type, out.Body = dbus.TypeError, []any{name}
		out.Headers[dbus.FieldErrorName] = dbus.MakeVariant(name)
		return out
	}
	switch member, _ := m.Headers[dbus.FieldMember].Value().(string); {
	case member == "Hello":
		out.Body = []any{":1.1"}
	case f.absent:
		return fail("org.freedesktop.DBus.Error.ServiceUnknown")
	case member == "GetUser" && f.user == nil:
		return fail(loginName + ".NoSuchUser")
	case member == "GetUser":
		out.Body = []any{dbus.ObjectPath("/org/freedesktop/login1/user/_1000")}
	default:
		out.Body = []any{f.user}
	}
	return out
}

// TestInput asks a login manager in every mood.
func TestInput(t *testing.T) {
	bus := &fakeBus{}
	bus.serve(t)
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	user := func(idle bool, since uint64) map[string]dbus.Variant {
		return map[string]dbus.Variant{"IdleHint": dbus.MakeVariant(idle), "IdleSinceHint": dbus.MakeVariant(since), "Name": dbus.MakeVariant("alice")}
	}
	ask := input()
	for _, test := range []struct {
		name   string
		user   map[string]dbus.Variant
		absent bool
		want   time.Time
		err    error
	}{
		{"he is there", user(false, 0), false, time.Time{}, nil},
		{"he was there just now", user(false, uint64(since.UnixMicro())), false, time.Time{}, nil},
		{"he is away", user(true, uint64(since.UnixMicro())), false, since, nil},
		{"he has no session", user(true, 0), false, time.Time{}, errNobodyIn},
		{"he is logged in nowhere", nil, false, time.Time{}, errNobodyIn},
		{"the login manager is another", map[string]dbus.Variant{"IdleHint": dbus.MakeVariant("yes")}, false, time.Time{}, errNoLogin},
		{"there is no login manager", nil, true, time.Time{}, errNoLogin},
	} {
		t.Run(test.name, func(t *testing.T) {
			bus.set(test.user, test.absent)
			got, err := ask(t.Context())
			if !got.Equal(test.want) || err != test.err {
				t.Errorf("got %v, %v; want %v, %v", got, err, test.want, test.err)
			}
		})
	}
}

// TestNoBus is a system that has none.
func TestNoBus(t *testing.T) {
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+filepath.Join(t.TempDir(), "nothing"))
	if _, err := input()(t.Context()); err != errNoLogin {
		t.Errorf("got %v", err)
	}
}
