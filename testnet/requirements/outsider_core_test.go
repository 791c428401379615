package requirements

// An outsider is a client of hum/1 that was written by the documents alone: this file by SPEC.md, the core. It shares no
// line of code with a node: neither package identity nor p2p/wire is used here, nor in the files of the two services
// (seed ask S48). It does what a test needs of sections 1 to 3 and 5.3, and checks what it is told.

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/hum-presence/hum/testnet"
)

var errOutside = errors.New("not as the documents say")

// 1. Notation.

func spelt(label string) []byte { return []byte("hum/1\x00" + label + "\x00") }

func hashed(label string, x ...[]byte) []byte {
	h := sha256.Sum256(append(spelt(label), bytes.Join(x, nil)...))
	return h[:]
}

// hashedPlain is SHA-256.
func hashedPlain(x ...[]byte) []byte {
	h := sha256.Sum256(bytes.Join(x, nil))
	return h[:]
}

func derived(key []byte, label, context string) []byte {
	k, err := hkdf.Key(sha256.New, key, []byte("hum/1"), label+"\x00"+context, 32)
	if err != nil {
		panic(err)
	}
	return k
}

func u32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }
func u64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func gcm(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err)
	}
	a, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return a
}

func padded(x []byte) []byte {
	n := 4 + len(x)
	size := (n + 4095) / 4096 * 4096
	for _, s := range []int{256, 512, 1024, 2048} {
		if n <= s {
			size = s
			break
		}
	}
	return append(append(u32(uint32(len(x))), x...), make([]byte, size-n)...)
}

func sealedBox(rand io.Reader, key, plain, aad []byte) []byte {
	nonce := make([]byte, 12)
	if _, err := io.ReadFull(rand, nonce); err != nil {
		panic(err)
	}
	return gcm(key).Seal(nonce, nonce, padded(plain), aad)
}

func openedBox(key, box, aad []byte) ([]byte, error) {
	if len(box) < 12 {
		return nil, errOutside
	}
	p, err := gcm(key).Open(nil, box[:12], box[12:], aad)
	if err != nil || len(p) < 4 || int(binary.BigEndian.Uint32(p)) > len(p)-4 {
		return nil, errors.Join(errOutside, err)
	}
	x := p[4 : 4+binary.BigEndian.Uint32(p)]
	if !bytes.Equal(padded(x), p) {
		return nil, errOutside
	}
	return x, nil
}

// 3.2 Strict protobuf: a field is a number and, as it is asked for, a varint or octets.

type field struct {
	n uint64
	v uint64
	b []byte
}

type fields []field

func number(n, v uint64) []byte {
	if v == 0 {
		return nil
	}
	return binary.AppendUvarint(binary.AppendUvarint(nil, n<<3), v)
}

func octets(n uint64, b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return append(binary.AppendUvarint(binary.AppendUvarint(nil, n<<3|2), uint64(len(b))), b...)
}

func message(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func fieldsOf(b []byte) (out fields, err error) {
	take := func() uint64 {
		v, n := binary.Uvarint(b)
		if n <= 0 || n > 1 && b[n-1] == 0 {
			err, n = errOutside, len(b)
		}
		b = b[n:]
		return v
	}
	for len(b) > 0 && err == nil {
		key := take()
		f := field{n: key >> 3, v: take()}
		switch {
		case f.v == 0, key&7 != 0 && key&7 != 2, key&7 == 2 && f.v > uint64(len(b)), len(out) > 0 && out[len(out)-1].n > f.n:
			return nil, errOutside
		case key&7 == 2:
			f.b, b = b[:f.v], b[f.v:]
		}
		out = append(out, f)
	}
	return out, err
}

func (fs fields) number(n uint64) (v uint64) {
	for _, f := range fs {
		if f.n == n && f.b == nil {
			v = f.v
		}
	}
	return v
}

func (fs fields) octets(n uint64) (b []byte) {
	if all := fs.all(n); len(all) > 0 {
		b = all[0]
	}
	return b
}

func (fs fields) all(n uint64) (out [][]byte) {
	for _, f := range fs {
		if f.n == n && f.b != nil {
			out = append(out, f.b)
		}
	}
	return out
}

// 3.1 Signed.

var labels = map[uint64]string{1: "addr", 2: "dev", 3: "reach", 20: "sub-req", 21: "sub-state", 30: "im", 31: "ack"}

type signedBytes struct {
	kind      uint64
	body, key []byte
	raw       []byte
}

func signs(key ed25519.PrivateKey, kind uint64, body ...[]byte) signedBytes {
	b := message(body...)
	s := signedBytes{kind: kind, body: b, key: key.Public().(ed25519.PublicKey)}
	s.raw = message(number(1, kind), octets(2, b), octets(3, s.key), octets(4, ed25519.Sign(key, append(spelt(labels[kind]), b...))))
	return s
}

func signedOf(raw []byte) (s signedBytes, body fields, err error) {
	fs, err := fieldsOf(raw)
	if err != nil {
		return s, nil, err
	}
	s = signedBytes{fs.number(1), fs.octets(2), fs.octets(3), raw}
	if len(s.key) != 32 || !ed25519.Verify(s.key, append(spelt(labels[s.kind]), s.body...), fs.octets(4)) {
		return s, nil, errOutside
	}
	body, err = fieldsOf(s.body)
	return s, body, err
}

func (s signedBytes) id() []byte { return hashed("mid", s.body) }

func deviceOf(key []byte) []byte { return hashed("device-id", key)[:16] }

// 2. Identity: bech32m (BIP 350), records, and what is known of another by his.

const letters32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

func checksum32(symbols []byte) uint32 {
	c := uint32(1)
	for _, s := range append([]byte{3, 3, 3, 0, 'h' & 31, 'u' & 31, 'm' & 31}, symbols...) {
		top := c >> 25
		c = c&0x1ffffff<<5 ^ uint32(s)
		for i, g := range []uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	return c
}

func addressText(a []byte) string {
	symbols, acc, bits := []byte{0}, uint(0), 0
	for _, b := range append(append([]byte{}, a...), 0)[:33] {
		for acc, bits = acc<<8|uint(b), bits+8; bits >= 5 && len(symbols) < 53; bits -= 5 {
			symbols = append(symbols, byte(acc>>(bits-5)&31))
		}
	}
	sum := checksum32(append(append([]byte{}, symbols...), 0, 0, 0, 0, 0, 0)) ^ 0x2bc830a3
	for i := range 6 {
		symbols = append(symbols, byte(sum>>(5*(5-i))&31))
	}
	text := "hum1"
	for _, s := range symbols {
		text += letters32[s : s+1]
	}
	return text
}

func addressOfText(text string) ([]byte, error) {
	var symbols []byte
	for _, r := range strings.TrimPrefix(text, "hum1") {
		symbols = append(symbols, byte(strings.IndexRune(letters32, r)))
	}
	if len(symbols) != 59 || checksum32(symbols) != 0x2bc830a3 || symbols[0] != 0 {
		return nil, errOutside
	}
	var a []byte
	acc, bits := uint(0), 0
	for _, s := range symbols[1:53] {
		if acc, bits = acc<<5|uint(s), bits+5; bits >= 8 {
			bits -= 8
			a = append(a, byte(acc>>bits))
		}
	}
	return a, nil
}

// An acquaintance is what an outsider knows of somebody by his records.
type acquaintance struct {
	address []byte
	devices map[string]uint64 // roles, by D
	prekeys map[string][]byte // public, by device id
}

// learns checks records of an address, and takes them.
func (k *acquaintance) learns(records ...[]byte) error {
	for _, raw := range records {
		s, body, err := signedOf(raw)
		if err != nil || !bytes.Equal(body.octets(1), k.address) {
			return errors.Join(errOutside, err)
		}
		switch s.kind {
		case 1:
			if !bytes.Equal(s.key, k.address) || body.number(5) < nowMs() || len(body.octets(9)) != 32 {
				return errOutside
			}
			k.devices = map[string]uint64{}
			for _, b := range body.all(7) {
				d, err := fieldsOf(b)
				if err != nil {
					return err
				}
				k.devices[string(d.octets(1))] = d.number(2)
			}
		case 2:
			if k.devices[string(s.key)] == 0 || !bytes.Equal(body.octets(2), deviceOf(s.key)) || body.number(5) < nowMs() {
				return errOutside
			}
			p, err := fieldsOf(body.octets(6))
			if err != nil || p.number(1) != 1 || len(p.octets(2)) != 1216 {
				return errOutside
			}
			k.prekeys[string(body.octets(2))] = p.octets(2)
		}
	}
	return nil
}

func nowMs() uint64 { return uint64(time.Now().UnixMilli()) }

// An outsider is one person with one device.
type outsider struct {
	w       *world
	host    host.Host
	ip      string
	rand    io.Reader
	a, d    ed25519.PrivateKey
	prekey  hpke.PrivateKey
	address []byte
	records []signedBytes
	on      map[uint64]func(letterIn) // what is done with what comes, by type
	pushed  func(op uint64, b []byte) // what is done with what comes on a stream of another protocol
	mu      sync.Mutex
	known   map[string]*acquaintance
	ceks    map[string][]byte  // of what was sent, by the tag of its ack
	acks    map[string]fields  // by the id of what they answer
	streams map[string]*wireTo // opened by the outsider, by peer and protocol
	unasked []string           // what came that this profile does not know
}

// oneByOne is a source of randomness that several may use.
type oneByOne struct {
	mu sync.Mutex
	r  io.Reader
}

func (o *oneByOne) Read(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.r.Read(b)
}

// roles is what the device that signed may do, by its newest record.
func (x *outsider) roles(in letterIn) uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return in.from.devices[string(in.s.key)]
}

// A letterIn is a Signed that came in a Parcel and was verified; say answers on the stream that it came by.
type letterIn struct {
	from *acquaintance
	s    signedBytes
	body fields
	cek  []byte
	say  func(op uint64, payload []byte)
}

// A wireTo is a stream that the outsider opened.
type wireTo struct {
	s       network.Stream
	mu      sync.Mutex
	next    uint64
	replies map[uint64]chan fields
}

const (
	opParcel, opAckBox, opRecords = 1, 2, 3
	statusOK, statusUnknownOp     = 1, 9
)

// outsider adds somebody with these services and roles.
func (w *world) outsider(name string, services, roles uint64) *outsider {
	w.Helper()
	x := &outsider{w: w, ip: w.ip(), rand: &oneByOne{r: randomOf("outsider", name)}, on: map[uint64]func(letterIn){}, known: map[string]*acquaintance{},
		ceks: map[string][]byte{}, acks: map[string]fields{}, streams: map[string]*wireTo{}}
	seed := func(what string) []byte { return hashed("of an outsider", []byte(name+what)) }
	x.a, x.d = ed25519.NewKeyFromSeed(seed("A")), ed25519.NewKeyFromSeed(seed("D"))
	var err error
	x.prekey, err = hpke.MLKEM768X25519().NewPrivateKey(seed("prekey"))
	w.must(err)
	key, _, err := crypto.GenerateEd25519Key(x.rand)
	w.must(err)
	x.host, err = libp2p.New(append(w.net.Host(x.ip), libp2p.Identity(key), libp2p.DisableMetrics(), libp2p.DisableRelay(),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.ForceReachabilityPrivate(), libp2p.DisableIdentifyAddressDiscovery())...)
	w.must(err)
	w.ends = append(w.ends, func() { _ = x.host.Close() })
	x.address = x.a.Public().(ed25519.PublicKey)
	day, t, d := uint64(24*time.Hour/time.Millisecond), nowMs(), x.d.Public().(ed25519.PublicKey)
	x.records = []signedBytes{
		signs(x.a, 1, octets(1, x.address), number(2, t), number(5, t+30*day), number(6, services),
			octets(7, message(octets(1, d), number(2, roles))), octets(9, hashed("recovery", ed25519.NewKeyFromSeed(seed("R")).Public().(ed25519.PublicKey)))),
		signs(x.d, 2, octets(1, x.address), octets(2, deviceOf(d)), number(3, t), number(5, t+14*day),
			octets(6, message(number(1, 1), octets(2, x.prekey.PublicKey().Bytes())))),
		signs(x.d, 3, octets(1, x.address), octets(2, deviceOf(d)), number(3, t), octets(4, []byte(x.host.ID())), octets(5, testnet.Addr(x.ip).Bytes())),
	}
	x.host.SetStreamHandler("/hum/parcel/1", x.serveParcels)
	return x
}

// card is what others add the outsider by (2.2).
func (x *outsider) card() string {
	return "hum:" + addressText(x.address) + "?d=" + url.QueryEscape(testnet.Addr(x.ip).String()+"/p2p/"+x.host.ID().String())
}

// 3.6 Streams.

func readFrame(r *bufio.Reader) (fields, error) {
	n, err := binary.ReadUvarint(r)
	if err != nil || n == 0 || n > 256<<10 {
		return nil, errors.Join(errOutside, err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return fieldsOf(b)
}

func frame(id, op uint64, payload []byte, status uint64) []byte {
	b := message(number(1, id), number(2, op), octets(3, payload), number(4, status))
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// serveParcels is the acceptor's side of /hum/parcel/1.
func (x *outsider) serveParcels(s network.Stream) {
	var mu sync.Mutex
	write := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = s.Write(b)
	}
	for r := bufio.NewReader(s); ; {
		f, err := readFrame(r)
		if err != nil {
			_ = s.Reset()
			return
		}
		id, op, payload := f.number(1), f.number(2), f.octets(3)
		switch {
		case op == opAckBox:
			x.hear(payload)
		case op == opRecords:
			write(frame(id, op, message(octets(1, x.records[0].raw), octets(2, x.records[1].raw)), statusOK))
		case op == opParcel:
			write(frame(id, op, nil, statusOK))
			x.take(payload, func(op uint64, payload []byte) { write(frame(0, op, payload, 0)) })
		case id != 0:
			write(frame(id, op, nil, statusUnknownOp)) // SESSION: this outsider is of profile C0
		}
	}
}

// meets dials the node of a card, asks for its records and checks them (6, step 1).
func (x *outsider) meets(card string) *acquaintance {
	x.w.Helper()
	address, query, _ := strings.Cut(strings.TrimPrefix(card, "hum:"), "?")
	a, err := addressOfText(address)
	x.w.must(err)
	q, err := url.ParseQuery(query)
	x.w.must(err)
	addr, err := ma.NewMultiaddr(q.Get("d"))
	x.w.must(err)
	info, err := peer.AddrInfoFromP2pAddr(addr)
	x.w.must(err)
	x.w.must(x.host.Connect(ctx(), *info))
	k := &acquaintance{address: a, prekeys: map[string][]byte{}}
	reply := x.stream(info.ID, "/hum/parcel/1").ask(opRecords, octets(1, a))
	bundle, err := fieldsOf(reply.octets(3))
	x.w.must(err)
	x.w.must(k.learns(append([][]byte{bundle.octets(1)}, bundle.all(2)...)...))
	x.mu.Lock()
	defer x.mu.Unlock()
	x.known[string(a)] = k
	return k
}

// stream opens a stream, and hears what comes on it.
func (x *outsider) stream(p peer.ID, proto string) *wireTo {
	x.w.Helper()
	key := string(p) + proto
	if st := x.streams[key]; st != nil {
		return st
	}
	s, err := x.host.NewStream(ctx(), p, protocol.ID(proto))
	x.w.must(err)
	st := &wireTo{s: s, replies: map[uint64]chan fields{}}
	x.streams[key] = st
	go func() {
		for r := bufio.NewReader(s); ; {
			f, err := readFrame(r)
			if err != nil {
				return
			}
			op, payload := f.number(2), f.octets(3)
			st.mu.Lock()
			c := st.replies[f.number(1)]
			st.mu.Unlock()
			switch {
			case c != nil:
				c <- f
			case proto != "/hum/parcel/1":
				if x.pushed != nil {
					x.pushed(op, payload)
				}
			case op == opAckBox:
				x.hear(payload)
			case op == opParcel:
				x.take(payload, func(op uint64, payload []byte) { st.write(frame(0, op, payload, 0)) })
			}
		}
	}()
	return st
}

func (st *wireTo) write(b []byte) {
	st.mu.Lock()
	defer st.mu.Unlock()
	_, _ = st.s.Write(b)
}

func (st *wireTo) ask(op uint64, payload []byte) fields {
	st.mu.Lock()
	st.next++
	id, c := st.next, make(chan fields, 1)
	st.replies[id] = c
	st.mu.Unlock()
	st.write(frame(id, op, payload, 0))
	select {
	case f := <-c:
		return f
	case <-time.After(30 * time.Second):
		return nil
	}
}

// 3.7 Parcels.

func wrapInfo(address, device, kid, ct []byte) []byte {
	sum := sha256.Sum256(ct)
	return message(spelt("wrap"), u32(1), address, device, kid, sum[:])
}

// parcel seals a Signed to all devices of somebody, with my records.
func (x *outsider) parcel(to *acquaintance, s signedBytes) []byte {
	cek := make([]byte, 32)
	if _, err := io.ReadFull(x.rand, cek); err != nil {
		panic(err)
	}
	inner := octets(1, s.raw)
	for _, r := range x.records {
		inner = append(inner, octets(2, r.raw)...)
	}
	ct := sealedBox(x.rand, cek, inner, spelt("parcel"))
	out := number(1, 1)
	x.mu.Lock()
	prekeys := map[string][]byte{}
	for device, public := range to.prekeys {
		prekeys[device] = public
	}
	x.mu.Unlock()
	for device, public := range prekeys {
		kid := hashed("kid", public)[:8]
		pub, err := hpke.MLKEM768X25519().NewPublicKey(public)
		x.w.must(err)
		sealed, err := hpke.Seal(pub, hpke.HKDFSHA256(), hpke.AES256GCM(), wrapInfo(to.address, []byte(device), kid, ct), cek)
		x.w.must(err)
		out = append(out, octets(2, message(octets(1, kid), octets(2, sealed)))...)
	}
	x.mu.Lock()
	x.ceks[string(derived(cek, "ack-tag", "")[:16])] = cek
	x.mu.Unlock()
	hours := uint64(time.Now().Add(30*24*time.Hour).Unix()+3599) / 3600 * 3600
	return append(append(out, octets(3, ct)...), number(4, hours)...)
}

// take opens a Parcel, checks who signed what is in it, and hands it on; a second time it is handed on no more.
func (x *outsider) take(parcel []byte, say func(uint64, []byte)) {
	in, err := x.opened(parcel)
	if err != nil {
		x.note(err.Error())
		return
	}
	in.say = say
	if f := x.on[in.s.kind]; f != nil {
		f(in)
		return
	}
	x.note(fmt.Sprint("a Signed of type ", in.s.kind))
}

func (x *outsider) note(what string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.unasked = append(x.unasked, what)
}

func (x *outsider) opened(parcel []byte) (in letterIn, err error) {
	p, err := fieldsOf(parcel)
	if err != nil {
		return in, err
	}
	ct, mine := p.octets(3), x.d.Public().(ed25519.PublicKey)
	kid := hashed("kid", x.prekey.PublicKey().Bytes())[:8]
	for _, b := range p.all(2) {
		w, err := fieldsOf(b)
		if err == nil && bytes.Equal(w.octets(1), kid) {
			in.cek, err = hpke.Open(x.prekey, hpke.HKDFSHA256(), hpke.AES256GCM(), wrapInfo(x.address, deviceOf(mine), kid, ct), w.octets(2))
			if err != nil {
				return in, err
			}
		}
	}
	if in.cek == nil {
		return in, errOutside
	}
	plain, err := openedBox(in.cek, ct, spelt("parcel"))
	if err != nil {
		return in, err
	}
	inner, err := fieldsOf(plain)
	if err != nil {
		return in, err
	}
	if in.s, in.body, err = signedOf(inner.octets(1)); err != nil {
		return in, err
	}
	from := string(in.body.octets(1))
	x.mu.Lock()
	defer x.mu.Unlock()
	k := x.known[from]
	if k == nil {
		k = &acquaintance{address: []byte(from), prekeys: map[string][]byte{}}
	}
	if err := k.learns(inner.all(2)...); err != nil {
		return in, err
	}
	if k.devices[string(in.s.key)] == 0 || !bytes.Equal(in.body.octets(2), x.address) && in.s.kind != 31 {
		return in, errOutside
	}
	x.known[from], in.from = k, k
	return in, nil
}

// 5.3 Acks.

// ack answers what came.
func (x *outsider) ack(in letterIn, disposition, reason uint64) {
	a := signs(x.d, 31, octets(1, x.address), octets(2, in.from.address), octets(3, deviceOf(x.d.Public().(ed25519.PublicKey))), octets(4, in.s.id()),
		number(5, disposition), number(6, reason), number(7, nowMs()))
	tag := derived(in.cek, "ack-tag", "")[:16]
	in.say(opAckBox, message(octets(1, tag), octets(2, sealedBox(x.rand, derived(in.cek, "ack", ""), a.raw, append(spelt("ackbox"), tag...)))))
}

// hear opens an AckBox that answers what I sent, and checks whose word it is.
func (x *outsider) hear(box []byte) {
	b, err := fieldsOf(box)
	if err != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	cek := x.ceks[string(b.octets(1))]
	if cek == nil {
		return
	}
	raw, err := openedBox(derived(cek, "ack", ""), b.octets(2), append(spelt("ackbox"), b.octets(1)...))
	if err != nil {
		return
	}
	s, body, err := signedOf(raw)
	k := x.known[string(body.octets(1))]
	if err != nil || s.kind != 31 || k == nil || k.devices[string(s.key)] == 0 || !bytes.Equal(body.octets(2), x.address) {
		return
	}
	for _, id := range body.all(4) {
		x.acks[string(id)] = body
	}
}

// outcome is what somebody's ack says of what I sent: disposition and reason, zero before.
func (x *outsider) outcome(s signedBytes) (disposition, reason uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	a := x.acks[string(s.id())]
	return a.number(5), a.number(6)
}
