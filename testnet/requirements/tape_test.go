package requirements

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// A tape holds every byte that one machine obtained, by the streams they came on. The simulated links
// carry no noise, so it is what the machine had after its transport had deciphered it.
type tape struct {
	mu    sync.Mutex
	lanes map[lane][]byte
	times map[lane][]arrival
	order []lane
}

// An arrival is when the bytes of a lane up to an offset were there.
type arrival struct {
	end int
	at  time.Time
}

type lane struct {
	from, to     string
	line, stream uint64
}

func (t *tape) add(c testnet.Chunk) {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := lane{c.From, c.To, c.Line, c.Stream}
	if t.lanes == nil {
		t.lanes, t.times = map[lane][]byte{}, map[lane][]arrival{}
	}
	if t.lanes[l] == nil {
		t.order = append(t.order, l)
	}
	t.lanes[l] = append(t.lanes[l], c.Data...)
	t.times[l] = append(t.times[l], arrival{len(t.lanes[l]), c.At})
}

// all is what came from one address, or from anywhere for "", stream by stream.
func (t *tape) all(from string) (out []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.order {
		if from == "" || l.from == from {
			out = append(append(out, t.lanes[l]...), '\n')
		}
	}
	return out
}

// clean is the check of secrecy: an error if b holds the secret, plain or in a usual spelling.
func clean(where string, b []byte, secret string) error {
	s := []byte(secret)
	for how, spelt := range map[string]string{
		"as it is": secret, "in hex": hex.EncodeToString(s), "in base64": base64.RawStdEncoding.EncodeToString(s[:len(s)/3*3]),
		"in base64url": base64.RawURLEncoding.EncodeToString(s[:len(s)/3*3]),
	} {
		if bytes.Contains(b, []byte(spelt)) {
			return fmt.Errorf("%s holds %q %s", where, secret, how)
		}
	}
	return nil
}

// A frameOn is one frame of a stream, with the protocol it was spoken on, and when it was there whole.
type frameOn struct {
	from  string
	proto string
	at    time.Time
	wire.Frame
}

// frames are those that came from an address on our protocols.
func (t *tape) frames(from string) (out []frameOn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, l := range t.order {
		if l.from != from {
			continue
		}
		proto, rest := negotiated(t.lanes[l])
		if !strings.HasPrefix(proto, "/hum/") {
			continue
		}
		end, times := len(t.lanes[l])-len(rest), t.times[l]
		for r := bufio.NewReader(bytes.NewReader(rest)); ; {
			f, err := wire.ReadFrame(r)
			if err != nil {
				break
			}
			for end += len(wire.AppendFrame(nil, f)); times[0].end < end; {
				times = times[1:]
			}
			out = append(out, frameOn{l.from, proto, times[0].at, f})
		}
	}
	return out
}

// negotiated strips what multistream-select says at the beginning of a stream.
func negotiated(b []byte) (proto string, rest []byte) {
	for {
		n, k := binary.Uvarint(b)
		if k <= 0 || n < 2 || uint64(len(b)-k) < n || b[k] != '/' || b[k+int(n)-1] != '\n' {
			return proto, b
		}
		proto, b = string(b[k:k+int(n)-1]), b[k+int(n):]
	}
}

// parcels are the Parcels that came from an address.
func (t *tape) parcels(from string) (out [][]byte) {
	for _, f := range t.frames(from) {
		if f.proto == parcelProto && f.Op == wire.OpParcel && f.Status == 0 {
			out = append(out, f.Payload)
		}
	}
	return out
}

var topicName = regexp.MustCompile(`/hum/1/p/[A-Za-z0-9_-]{43}`)

// topics are the keys of all topics that were named to the machine.
func (t *tape) topics() (out []wire.PublicKey) {
	seen := map[wire.PublicKey]bool{}
	for _, name := range topicName.FindAllString(string(t.all("")), -1) {
		if e, err := wire.ParseTopicName(name); err == nil && !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	return out
}

// A logTape keeps what a node writes into its log, at its most talkative.
type logTape struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logTape) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logTape) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logTape) logger() *slog.Logger {
	if l == nil {
		return nil
	}
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
