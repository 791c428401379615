package requirements

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

const mboxProto = wire.MboxProtocol

// S33: every field of what an anchor, a home, a mailbox and a keeper of names are asked, wrong in turn: HOST, PUT and
// CLAIM on the presence protocol; REG, CAP, DEP, LIST, WAIT, COMMIT and FORWARD on that of mailboxes. Each is answered
// by its status, and nothing of it is kept: what was there before is served as it was.
func TestReq_S33_AnchorsAndMailboxes(t *testing.T) {
	inWorld(t, func(w *world) {
		d, c := w.operator("d", of("d.example")), w.hostile("carol")
		inv, err := d.Invite(1, 24*time.Hour)
		w.must(err)
		info, err := peer.AddrInfoFromString(d.Listening()[0])
		w.must(err)
		x := &asker{breaker: breaker{hostile: c, bob: &person{w: w, name: "d", info: info}}, token: inv.ID.Member([16]byte{1}), at: now()}
		x.m, x.reader = newKeys("a mailbox").a, newKeys("a reader").a
		x.mailbox()
		x.anchor()
		for proto, ops := range map[string][]uint32{mboxProto: {9, 99}, presenceProto: {8, 99}} {
			for _, op := range ops {
				if said := x.asks(proto, op, time.Second)([][]byte{{0}}); said[0] != "unknown-op" {
					t.Errorf("%s, op %d: %s", proto, op, said[0])
				}
			}
		}
		x.listed(t)
		if st, err := d.Status(); err != nil || st.Members != 1 || st.Mailboxes != 1 || st.Items != 1 || st.Keys != 2 {
			t.Errorf("after all that the community holds %+v, %v", st, err)
		}
		t.Logf("%d requests with one thing wrong", x.n)
	})
}

// An asker is Carol, who is a member of a community and asks its node what is wrong.
type asker struct {
	breaker
	token     []byte
	at        identity.Time
	m, reader identity.SigningKey
	left      wire.MboxItem // what waits in her mailbox
}

// breaks is the check that a request which is right is answered ok, each that is malformed by "malformed", and each
// that is wellformed by one of the words of taken.
func (x *asker) breaks(t reflect.Type, full, right []byte, ask func([][]byte) []string, taken string) {
	x.w.Helper()
	if said := ask([][]byte{right}); said[0] != "ok" {
		x.w.Fatalf("%s that is right is answered %s", t.Name(), said[0])
	}
	cases := damages(t, full, right)
	x.w.must(x.all(t.Name(), cases, ask, map[string]string{malformed: "malformed", tooLarge: "malformed", fine: taken}))
	if said := ask([][]byte{nil}); said[0] == "ok" {
		x.w.Errorf("%s of nothing is taken", t.Name())
	}
}

// onMbox asks the mailbox, not faster than one may.
func (x *asker) onMbox(op uint32) func([][]byte) []string {
	return x.asks(mboxProto, op, 50*time.Millisecond)
}

// signedBy asks for each body as a Signed of a type.
func signedBy(k identity.SigningKey, kind wire.Type, ask func([][]byte) []string) func([][]byte) []string {
	return func(bodies [][]byte) []string {
		var out [][]byte
		for _, b := range bodies {
			out = append(out, wire.Sign(k, kind, b).Append(nil))
		}
		return ask(out)
	}
}

// mailbox breaks what a mailbox is asked.
func (x *asker) mailbox() {
	mbox, secret := x.m.Public(), wire.Cap{7}
	reg := wire.MboxReg{Mbox: mbox, Readers: []wire.PublicKey{x.reader.Public()}, RetentionS: 1 << 20, Token: x.token, Seq: x.at, PoWBits: 200, Heir: x.m.Public()}
	x.signed(x.m, wire.TypeMboxReg, wire.OpReg, reg.Append(nil), func(ask func([][]byte) []string) {
		x.breaks(reflect.TypeFor[wire.MboxReg](), filled[wire.MboxReg]().Append(nil), reg.Append(nil), ask, "stale denied")
	})
	held := wire.MboxCap{Mbox: mbox, Cap: secret.Hash(), Mode: wire.CapOpen, BytesDay: 1 << 20, Items: 9, Seq: x.at}
	x.signed(x.reader, wire.TypeMboxCap, wire.OpCap, held.Append(nil), func(ask func([][]byte) []string) {
		x.breaks(reflect.TypeFor[wire.MboxCap](), filled[wire.MboxCap]().Append(nil), held.Append(nil), ask, "stale")
	})
	x.deposits(mbox, secret)
	list := wire.MboxList{Mbox: mbox, Nonce: x.nonce(), Peer: []byte(peerOf(x.bob)), After: 1}
	for _, op := range []uint32{wire.OpList, wire.OpWait} {
		x.signed(x.reader, wire.TypeMboxList, op, list.Append(nil), func(ask func([][]byte) []string) {
			x.breaks(reflect.TypeFor[wire.MboxList](), filled[wire.MboxList]().Append(nil), list.Append(nil), ask, "ok")
		})
		for what, l := range map[string]wire.MboxList{
			"the nonce of another stream": {Mbox: mbox, Nonce: wire.Nonce{1}, Peer: list.Peer},
			"the node of another":         {Mbox: mbox, Nonce: list.Nonce, Peer: []byte("another")},
		} {
			if said := signedBy(x.reader, wire.TypeMboxList, x.onMbox(op))([][]byte{l.Append(nil)}); said[0] != "denied" {
				x.w.Errorf("a list with %s: %s", what, said[0])
			}
		}
	}
	commit := wire.MboxCommit{Mbox: mbox, Digests: [][32]byte{{1}}}
	x.signed(x.reader, wire.TypeMboxCommit, wire.OpCommit, commit.Append(nil), func(ask func([][]byte) []string) {
		x.breaks(reflect.TypeFor[wire.MboxCommit](), filled[wire.MboxCommit]().Append(nil), commit.Append(nil), ask, "ok")
	})
}

// signed breaks a request that is a Signed: its body by breaks, then the Signed itself.
func (x *asker) signed(k identity.SigningKey, kind wire.Type, op uint32, body []byte, breaks func(ask func([][]byte) []string)) {
	ask := x.onMbox(op)
	breaks(signedBy(k, kind, ask))
	right := wire.Sign(k, kind, body)
	x.w.must(x.all("Signed", damages(reflect.TypeFor[wire.Signed](), filled[wire.Signed]().Append(nil), right.Append(nil)), ask,
		map[string]string{malformed: "malformed", tooLarge: "malformed"}))
	forged := right
	forged.Sig[5] ^= 1
	for what, s := range map[string]wire.Signed{
		"a signature that does not hold": forged,
		"another type":                   wire.Sign(k, wire.TypeIM, body),
	} {
		if said := ask([][]byte{s.Append(nil)}); said[0] != "malformed" {
			x.w.Errorf("op %d, %s: %s", op, what, said[0])
		}
	}
	if op == wire.OpCommit { // of an item that is not there it says nothing to anybody
		return
	}
	if said := signedBy(newKeys("nobody").a, kind, ask)([][]byte{body}); said[0] != "denied" {
		x.w.Errorf("op %d, signed by nobody who may: %s", op, said[0])
	}
}

// What a DEP says, field by field: of parcel and ackbox there is one.
type deposited struct {
	Mbox                wire.PublicKey
	Parcel, AckBox, Cap []byte
	PoW                 uint64
}

// deposits breaks DEP, and FORWARD which carries one.
func (x *asker) deposits(mbox wire.MailboxID, secret wire.Cap) {
	parcel, box := wire.Parcel{Suite: 1, CT: []byte("sealed")}.Append(nil), wire.AckBox{Tag: [16]byte{1}, Box: []byte("box")}.Append(nil)
	dep := func(parcel, box, held []byte) []byte {
		return wire.Deposit{Mbox: mbox, Item: wire.MboxItem{Parcel: parcel, AckBox: box}, Cap: held, PoW: 1}.Append(nil)
	}
	right, full, kind := dep(parcel, nil, secret[:]), dep(parcel, box, secret[:]), reflect.TypeFor[deposited]()
	x.left = wire.MboxItem{Parcel: parcel}
	x.breaks(kind, full, right, x.onMbox(wire.OpDeposit), "ok")
	wrong := map[string][]byte{
		"a parcel that is none":    dep([]byte("x"), nil, secret[:]),
		"an ackbox that is none":   dep(nil, []byte("x"), secret[:]),
		"nothing":                  dep(nil, nil, secret[:]),
		"a cap that is too short":  dep(parcel, nil, secret[1:]),
		"a cap that is too long":   dep(parcel, nil, append(slices.Clone(secret[:]), 1)),
		"a cap of zeros":           dep(parcel, nil, make([]byte, 32)),
		"a parcel with more in it": dep(append(slices.Clone(parcel), 0xa2, 6, 1, 'x'), nil, secret[:]),
	}
	to := wire.Endpoint{Peer: []byte(peerOf(x.bob)), Addrs: [][]byte{{4}}, Mbox: [32]byte{1}, Cap: [32]byte{1}}
	forward := wire.ForwardRequest{To: to, Deposit: right, Token: x.token}
	ask := x.onMbox(wire.OpForward)
	x.breaks(reflect.TypeFor[wire.ForwardRequest](), filled[wire.ForwardRequest]().Append(nil), forward.Append(nil), ask, "ok denied busy")
	passOn := func(b []byte) []byte { f := forward; f.Deposit = b; return f.Append(nil) }
	for _, y := range damages(kind, full, right) {
		if y.want == malformed {
			wrong[y.what] = y.b
		}
	}
	for what, b := range wrong {
		for op, b := range map[uint32][]byte{wire.OpDeposit: b, wire.OpForward: passOn(b)} {
			if said := x.onMbox(op)([][]byte{b}); said[0] != "malformed" {
				x.w.Errorf("op %d, a deposit, %s: %s", op, what, said[0])
			}
		}
	}
	other := newKeys("another mailbox").a.Public()
	for what, y := range map[string]struct {
		d    wire.Deposit
		want string
	}{
		"in a mailbox that is not":  {wire.Deposit{Mbox: other, Item: x.left, Cap: secret[:]}, "not-found"},
		"by a cap that is not":      {wire.Deposit{Mbox: mbox, Item: wire.MboxItem{AckBox: box}, Cap: bytes.Repeat([]byte{9}, 32)}, "denied"},
		"by a stranger, for naught": {wire.Deposit{Mbox: mbox, Item: wire.MboxItem{AckBox: box}}, "denied"},
	} {
		if said := x.onMbox(wire.OpDeposit)([][]byte{y.d.Append(nil)}); said[0] != y.want {
			x.w.Errorf("a deposit %s: %s, not %s", what, said[0], y.want)
		}
	}
}

// nonce is that of Carol's stream to the mailbox.
func (x *asker) nonce() wire.Nonce {
	x.w.Helper()
	f, err := x.request(x.bob, mboxProto, wire.OpList, nil)
	x.w.must(err)
	r, err := wire.ParseNonceReply(f.Payload)
	x.w.must(err)
	if f.Status != wire.DENIED {
		x.w.Errorf("the nonce comes with %v", f.Status)
	}
	return r.Nonce
}

// listed is the check that what Carol left in her mailbox waits there, and nothing else.
func (x *asker) listed(t *testing.T) {
	l := wire.MboxList{Mbox: x.m.Public(), Nonce: x.nonce(), Peer: []byte(peerOf(x.bob))}
	f, err := x.request(x.bob, mboxProto, wire.OpList, wire.Sign(x.reader, wire.TypeMboxList, l.Append(nil)).Append(nil))
	x.w.must(err)
	if got, err := wire.ParseMboxListing(f.Payload); err != nil || len(got.Items) != 1 || !bytes.Equal(got.Items[0], x.left.Append(nil)) {
		t.Errorf("in the mailbox waits %v %+v, %v", f.Status, got, err)
	}
}

// anchor breaks what an anchor and a keeper of names are asked.
func (x *asker) anchor() {
	const pause = 2 * time.Second // between two Recs of one tag
	ask := func(op uint32) func([][]byte) []string { return x.asks(presenceProto, op, pause) }
	e := newKeys("an epoch").a
	host := wire.HostRequest{Key: e.Public(), Until: x.at.Add(24 * time.Hour), Token: x.token}
	x.breaks(reflect.TypeFor[wire.HostRequest](), filled[wire.HostRequest]().Append(nil), host.Append(nil), ask(wire.OpHost), "ok denied")

	s := newKeys("a slot").a
	if said := ask(wire.OpHost)([][]byte{wire.HostRequest{Key: s.Public(), Until: host.Until, Token: x.token}.Append(nil)}); said[0] != "ok" {
		x.w.Errorf("a slot is hosted: %s", said[0])
	}
	for _, y := range []struct {
		ctx wire.Context
		key wire.PublicKey
		rec []byte
	}{
		{wire.ContextTopic, e.Public(), wire.NewUpdate(e, wire.Tag{1}, x.at, make([]byte, 28+256)).Raw},
		{wire.ContextSlot, s.Public(), wire.NewKept(wire.ContextSlot, s, x.at, []byte("slot")).Raw},
	} {
		put := wire.PutRequest{Ctx: y.ctx, Key: y.key, Rec: y.rec}
		x.breaks(reflect.TypeFor[wire.PutRequest](), filled[wire.PutRequest]().Append(nil), put.Append(nil), ask(wire.OpPut), "stale")
		put.Ctx = wire.ContextDHT + 1
		wrong := [][]byte{put.Append(nil)}
		for i := 0; i < len(y.rec); i += 3 {
			put := wire.PutRequest{Ctx: y.ctx, Key: y.key, Rec: slices.Clone(y.rec)}
			put.Rec[i] ^= 1
			wrong = append(wrong, put.Append(nil))
			put.Rec = y.rec[:i]
			wrong = append(wrong, put.Append(nil))
		}
		for i, said := range ask(wire.OpPut)(wrong) { // its time and its tag are judged before its signature
			if said != "malformed" && said != "stale" && said != "denied" {
				x.w.Errorf("a Rec of context %d, wrong thing %d: %s", y.ctx, i, said)
			}
		}
		f, err := x.request(x.bob, presenceProto, wire.OpGet, wire.GetRequest{Key: y.key}.Append(nil))
		x.w.must(err)
		if got, err := wire.ParseGetReply(f.Payload); err != nil || !slices.ContainsFunc(got.Recs, func(b []byte) bool { return bytes.Equal(b, y.rec) }) {
			x.w.Errorf("of context %d is kept %v, %x, %v", y.ctx, f.Status, got.Recs, err)
		}
	}

	claim := wire.Claim{Handle: "carol@d.example", Record: x.hostile.records[0].Append(nil), Token: x.token, Successors: [][]byte{{1}}}
	x.breaks(reflect.TypeFor[wire.Claim](), filled[wire.Claim]().Append(nil), claim.Append(nil), ask(wire.OpClaim), "ok denied")
}
