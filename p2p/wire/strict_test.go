package wire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/hum-presence/hum/identity"
)

// A kind is one message as the tests of every message see it.
type kind struct {
	name    string
	unknown unknownRule
	must    []uint32 // the mandatory fields of SPEC 3.2
	full    []byte   // every field there
	again   func([]byte) ([]byte, error)
}

// kindOf describes a message by a value with every field set. again parses, then spoils the input,
// so that a result that aliases it is noticed.
func kindOf[T any](name string, rule unknownRule, must []uint32, full T,
	parse func([]byte) (T, error), app func(T, []byte) []byte) kind {
	return kind{name, rule, must, app(full, nil), func(b []byte) ([]byte, error) {
		in := bytes.Clone(b)
		x, err := parse(in)
		for i := range in {
			in[i] ^= 0xff
		}
		if err != nil {
			return nil, err
		}
		return app(x, nil), nil
	}}
}

func flip[T any](app func([]byte, T) []byte) func(T, []byte) []byte {
	return func(x T, b []byte) []byte { return app(b, x) }
}

func field(n protowire.Number, v any) []byte {
	switch v := v.(type) {
	case int:
		return protowire.AppendVarint(protowire.AppendTag(nil, n, protowire.VarintType), uint64(v))
	case string:
		return protowire.AppendString(protowire.AppendTag(nil, n, protowire.BytesType), v)
	}
	return protowire.AppendBytes(protowire.AppendTag(nil, n, protowire.BytesType), v.([]byte))
}

func rawField(n protowire.Number, v any) Unknown { return Unknown{Number: uint32(n), Raw: field(n, v)} }

func unknowns(ns ...protowire.Number) (us []Unknown) {
	for _, n := range ns {
		us = append(us, rawField(n, 7), rawField(n, "twice"))
	}
	return us
}

// kinds returns every message with all its fields.
func kinds() []kind {
	var id32 [32]byte
	copy(id32[:], "0123456789abcdef0123456789abcdef")
	a, b := Address(id32), Address{31: 1}
	dev := DeviceID(id32[:16])
	exts := []Ext{{Name: "x.example.org/a", Value: []byte{0}, MustUnderstand: true, Unknown: unknowns(4)}}
	end := Endpoint{Peer: []byte("peer"), Addrs: [][]byte{{4}, {5}}, Mbox: id32, Cap: id32, Unknown: unknowns(5)}
	pol := identity.Policy{Flags: 31, PoWBits: 20, MaxIM: 1000, Unknown: unknowns(4)}
	device := identity.Device{Key: PublicKey(id32), Roles: 7, NotAfter: 9, Scope: []string{"a", "b"}, Unknown: unknowns(127)}
	preKey := identity.PreKey{Suite: 1, Public: make([]byte, identity.PreKeySize), Unknown: unknowns(3)}
	addressRecord := identity.AddressRecord{
		Address: a, Seq: 1, Prev: id32, Expires: 2, Services: 3, Devices: []identity.Device{device, device},
		Recovery: id32, Mailboxes: []Endpoint{end}, Policy: &pol, Handles: []string{"a@example.org"},
		Homes: []Endpoint{end, end}, PublicView: []byte("view"), Ext: exts, Unknown: unknowns(4, 8, 17),
	}
	deviceRecord := identity.DeviceRecord{
		Address: a, Device: dev, Seq: 1, Expires: 2, PreKeys: []identity.PreKey{preKey, preKey},
		Features: 1 << 63, Ext: exts, Unknown: unknowns(4, 8, 127),
	}
	reach := identity.Reach{Address: a, Device: dev, Seq: 1, Peer: []byte("T"), Addrs: [][]byte{{1}, {2}}, Unknown: unknowns(6, 15, 16)}
	signed := Signed{Type: TypeReach, Body: AppendReach(nil, reach), Key: PublicKey(id32), Sig: Signature{1}}
	notes := []Note{{Text: "ü", Lang: "de", Unknown: unknowns(3)}}
	statuses := []Status{{Name: "mood", Value: "fine", Unknown: unknowns(3)}}
	tuple := Tuple{
		ID: "im", Basic: Open, IM: XA, Contact: "im:x", Priority: 1000, Notes: notes, Timestamp: 1,
		IdleSince: 2, Status: statuses, Ext: exts, Unknown: unknowns(10, 17),
	}
	doc := Doc{
		Entity: a, Device: dev, Ver: 1, TTL: 150, Tuples: []Tuple{tuple, tuple}, Notes: notes,
		Contact: []string{"tel:+1"}, ArSeq: 5, Reach: signed.Append(nil), Status: statuses, PIDF: []byte("<p/>"),
		Ext: exts, Unknown: unknowns(12, 18),
	}
	grant := Grant{
		E: PublicKey(id32), K: id32, NotBefore: 1, NotAfter: 2, TTL: 3, Anchors: []Endpoint{end}, Slot: id32,
		IM: &end, Ext: exts, Unknown: unknowns(9, 17),
	}
	subRequest := SubRequest{
		From: a, To: b, Sub: SubID{1}, At: 1, Want: 1, Text: "hi", LifetimeS: 60, Reply: &end,
		Invite: id32[:16], ArSeq: 2, Flags: 1, Name: "Al", Ext: exts, Unknown: unknowns(13, 17),
	}
	subState := SubState{
		From: a, To: b, Sub: SubID{1}, Seq: 1, State: SubActive, Reason: 26, Expires: 3, RetryAfterS: 4,
		Grant: &grant, Next: &grant, ArSeq: 5, Ext: exts, Unknown: unknowns(12, 17),
	}
	unsub := Unsub{From: a, To: b, Sub: SubID{1}, At: 1, Ext: exts, Unknown: unknowns(5, 17)}
	fetch := Fetch{From: a, To: b, Req: ReqID{1}, At: 1, ArSeq: 2, Ext: exts, Unknown: unknowns(5, 17)}
	fetchReply := FetchReply{
		From: a, To: b, Req: ReqID{1}, State: FetchOK, Reason: 4, Docs: [][]byte{doc.Append(nil), {1}}, AsOf: 1, Ext: exts,
		Unknown: unknowns(8, 17),
	}
	im := IM{
		From: a, To: b, Device: dev, Nonce: [16]byte{1}, Sent: 1, Expires: 2, ContentType: "text/plain",
		Content: []byte("hi"), InReplyTo: id32, Report: 1, Reply: &end, ResendOf: id32, ArSeq: 3,
		Contact: []string{"mailto:a"}, Ext: exts, Lang: "en", Unknown: unknowns(18, 127),
	}
	ack := Ack{
		From: a, To: b, Device: dev, MIDs: []MID{id32, {}}, Disposition: Failed, Reason: 8, At: 1, ArSeq: 2,
		RetryAfterS: 3, Unknown: unknowns(10, 15, 16),
	}
	item := Item{Kind: SyncRule, Key: []byte("k"), Value: []byte("v"), T: 3, Author: dev, Unknown: unknowns(7, 127)}
	gone := Item{Kind: SyncRule, Key: []byte("k"), T: 3, Deleted: true}
	syncOf := Sync{Address: a, Device: dev, Items: []Item{item, gone}, Unknown: unknowns(4, 15, 16)}
	wraps := []Wrap{{KeyID{1}, []byte("s")}, {KeyID{2}, []byte("t")}}
	parcel := Parcel{Suite: 1, Wraps: wraps, CT: []byte("ct"), ExpiresS: 3600}
	inner := Inner{Signed: signed, Attached: []Signed{signed, signed}}
	bundle := Bundle{Address: signed, Devices: []Signed{signed, signed}, Successors: []Signed{signed, signed}, Unknown: unknowns(4, 127)}
	successor := identity.Successor{Old: a, New: b, Issued: 1, Reason: identity.MovedAway, Recovery: PublicKey(id32),
		Accept: Signature{1}, Unknown: unknowns(7, 127)}
	session := SessionRequest{Suite: 1, Kid: KeyID{1}, Sealed: []byte("sealed")}
	keys := []PublicKey{PublicKey(id32), {}}
	return []kind{
		kindOf("address record", keepUnknown, []uint32{1, 2, 5, 7, 9}, addressRecord, ParseAddressRecord, flip(AppendAddressRecord)),
		kindOf("device record", keepUnknown, []uint32{1, 2, 3, 5, 6}, deviceRecord, ParseDeviceRecord, flip(AppendDeviceRecord)),
		kindOf("reach", keepUnknown, []uint32{1, 2, 3, 4}, reach, ParseReach, flip(AppendReach)),
		kindOf("successor", keepUnknown, []uint32{1, 2, 3, 4, 5, 6}, successor, ParseSuccessor, flip(AppendSuccessor)),
		kindOf("session", skipUnknown, []uint32{1, 2, 3}, session, ParseSessionRequest, SessionRequest.Append),
		kindOf("device", keepUnknown, []uint32{1, 2}, device, ParseDevice, flip(AppendDevice)),
		kindOf("prekey", keepUnknown, []uint32{1, 2}, preKey, ParsePreKey, flip(AppendPreKey)),
		kindOf("policy", keepUnknown, nil, pol, ParsePolicy, flip(AppendPolicy)),
		kindOf("endpoint", keepUnknown, nil, end, ParseEndpoint, flip(AppendEndpoint)),
		kindOf("public view", keepUnknown, []uint32{1, 2, 3}, PublicView{PublicKey(id32), id32, 9, []Endpoint{end, end}, unknowns(5, 127)}, ParsePublicView, PublicView.Append),
		kindOf("signed", refuseUnknown, []uint32{1, 2, 3, 4}, signed, ParseSigned, Signed.Append),
		kindOf("doc", keepUnknown, []uint32{1, 2, 3, 4}, doc, ParseDoc, Doc.Append),
		kindOf("tuple", keepUnknown, []uint32{1, 2}, tuple, ParseTuple, Tuple.Append),
		kindOf("note", keepUnknown, []uint32{1}, notes[0], ParseNote, Note.Append),
		kindOf("status", keepUnknown, []uint32{1}, statuses[0], ParseStatus, Status.Append),
		kindOf("grant", keepUnknown, []uint32{1, 2, 3, 4, 5}, grant, ParseGrant, Grant.Append),
		kindOf("sub request", keepUnknown, []uint32{1, 2, 3, 4, 5}, subRequest, ParseSubRequest, SubRequest.Append),
		kindOf("sub state", keepUnknown, []uint32{1, 2, 3, 4, 5}, subState, ParseSubState, SubState.Append),
		kindOf("unsub", keepUnknown, []uint32{1, 2, 3, 4}, unsub, ParseUnsub, Unsub.Append),
		kindOf("fetch", keepUnknown, []uint32{1, 2, 3, 4}, fetch, ParseFetch, Fetch.Append),
		kindOf("fetch reply", keepUnknown, []uint32{1, 2, 3, 4}, fetchReply, ParseFetchReply, FetchReply.Append),
		kindOf("im", keepUnknown, []uint32{2, 3, 4, 5, 6, 7}, im, ParseIM, IM.Append),
		kindOf("ack", keepUnknown, []uint32{1, 3, 4, 5}, ack, ParseAck, Ack.Append),
		kindOf("sync", keepUnknown, []uint32{1, 2, 3}, syncOf, ParseSync, Sync.Append),
		kindOf("item", keepUnknown, []uint32{1, 2, 4}, item, ParseItem, Item.Append),
		kindOf("deletion", keepUnknown, []uint32{1, 2, 4}, gone, ParseItem, Item.Append),
		kindOf("parcel", refuseUnknown, []uint32{1, 3}, parcel, ParseParcel, Parcel.Append),
		kindOf("inner", refuseUnknown, []uint32{1}, inner, ParseInner, Inner.Append),
		kindOf("ackbox", refuseUnknown, []uint32{1, 2}, AckBox{[16]byte{1}, []byte("box")}, ParseAckBox, AckBox.Append),
		kindOf("bundle", keepUnknown, []uint32{1}, bundle, ParseBundle, Bundle.Append),
		kindOf("frame", refuseUnknown, []uint32{2}, Frame{1, 2, []byte("p"), 0}, ParseFrame, Frame.Append),
		kindOf("records", skipUnknown, []uint32{1}, RecordsRequest{a}, ParseRecordsRequest, RecordsRequest.Append),
		kindOf("pair", skipUnknown, []uint32{1, 2}, PairRequest{a, id32, []Signed{signed, signed}, []byte("seed"), "B"}, ParsePairRequest, PairRequest.Append),
		kindOf("pair reply", skipUnknown, nil, PairReply{[]Signed{signed, signed}}, ParsePairReply, PairReply.Append),
		kindOf("watch", skipUnknown, nil, WatchRequest{keys, &end, []byte("token")}, ParseWatchRequest, WatchRequest.Append),
		kindOf("watch reply", skipUnknown, nil, WatchReply{keys, 1}, ParseWatchReply, WatchReply.Append),
		kindOf("get", skipUnknown, []uint32{1}, GetRequest{keys[0], &end, []byte("token")}, ParseGetRequest, GetRequest.Append),
		kindOf("get reply", skipUnknown, nil, GetReply{[][]byte{{1}, {2}}, 1}, ParseGetReply, GetReply.Append),
		kindOf("rec push", skipUnknown, []uint32{1, 2}, RecPush{keys[0], []byte("r")}, ParseRecPush, RecPush.Append),
		kindOf("host", skipUnknown, []uint32{1, 2}, HostRequest{keys[0], 5, []byte("token")}, ParseHostRequest, HostRequest.Append),
		kindOf("claim", skipUnknown, []uint32{1, 2}, Claim{"a@example.org", []byte("r"), []byte("token"), [][]byte{{1}, {2}}}, ParseClaim, Claim.Append),
		kindOf("claim reply", skipUnknown, []uint32{1}, ClaimTaken, ParseClaimReply, ClaimVerdict.Append),
		kindOf("put", skipUnknown, []uint32{1, 2, 3}, PutRequest{ContextSlot, keys[0], []byte("r")}, ParsePutRequest, PutRequest.Append),
		kindOf("mbox reg", keepUnknown, []uint32{1, 2, 5}, MboxReg{keys[0], keys, 60, []byte("token"), 7, 20, keys[0], 8, unknowns(9, 127)}, ParseMboxReg, MboxReg.Append),
		kindOf("mbox cap", keepUnknown, []uint32{1, 2, 3, 6}, MboxCap{keys[0], id32, CapOpen, 9, 5, 7, unknowns(7, 127)}, ParseMboxCap, MboxCap.Append),
		kindOf("mbox item", refuseUnknown, []uint32{2}, MboxItem{Parcel: parcel.Append(nil)}, ParseMboxItem, MboxItem.Append),
		kindOf("deposit", skipUnknown, []uint32{1, 3}, Deposit{keys[0], MboxItem{AckBox: AckBox{[16]byte{1}, []byte("box")}.Append(nil)}, id32[:], 5}, ParseDeposit, Deposit.Append),
		kindOf("mbox receipt", keepUnknown, []uint32{1, 2, 3}, MboxReceipt{keys[0], id32, 9, unknowns(4, 127)}, ParseMboxReceipt, MboxReceipt.Append),
		kindOf("nonce", skipUnknown, []uint32{1}, NonceReply{Nonce{1}}, ParseNonceReply, NonceReply.Append),
		kindOf("mbox list", keepUnknown, []uint32{1, 2, 3}, MboxList{keys[0], Nonce{1}, []byte("peer"), 9, unknowns(5, 127)}, ParseMboxList, MboxList.Append),
		kindOf("mbox listing", skipUnknown, nil, MboxListing{[][]byte{{1}, {2}}, []Time{300, 1}}, ParseMboxListing, MboxListing.Append),
		kindOf("mbox commit", keepUnknown, []uint32{1, 2}, MboxCommit{keys[0], [][32]byte{id32, {}}, unknowns(3, 127)}, ParseMboxCommit, MboxCommit.Append),
		kindOf("forward", skipUnknown, []uint32{1, 2}, ForwardRequest{end, []byte("dep"), []byte("token")}, ParseForwardRequest, ForwardRequest.Append),
		kindOf("rendezvous", keepUnknown, []uint32{2, 3}, Rendezvous{[]Endpoint{end, end}, 5, id32, &pol, unknowns(5, 127)}, ParseRendezvous, Rendezvous.Append),
		kindOf("community invite", skipUnknown, []uint32{1, 3, 4}, CommunityInvite{[]byte("peer"), [][]byte{{1}, {2}}, InviteID{1}, RoleRelay, "D"}, parseCommunityInvite, CommunityInvite.append),
		kindOf("busy reply", skipUnknown, nil, BusyReply{7}, ParseBusyReply, BusyReply.Append),
	}
}

// A part is one field of an encoding.
type part struct {
	num protowire.Number
	raw []byte
}

func split(t testing.TB, b []byte) (parts []part) {
	t.Helper()
	for len(b) > 0 {
		num, _, n := protowire.ConsumeField(b)
		if n < 0 {
			t.Fatalf("test message is broken: %x", b)
		}
		parts, b = append(parts, part{num, b[:n]}), b[n:]
	}
	return parts
}

func join(parts []part) (b []byte) {
	for _, p := range parts {
		b = append(b, p.raw...)
	}
	return b
}

func refused(t *testing.T, k kind, why string, b []byte) {
	t.Helper()
	if got, err := k.again(b); err == nil {
		t.Errorf("%s: accepted %x as %x", why, b, got)
	} else if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
		t.Errorf("%s: an error of no kind: %v", why, err)
	}
}

func accepted(t *testing.T, k kind, why string, b []byte) {
	t.Helper()
	got, err := k.again(b)
	if err != nil {
		t.Errorf("%s: refused: %v", why, err)
	} else if k.unknown != skipUnknown && !bytes.Equal(got, b) {
		t.Errorf("%s: a second encoding\n of %x\n is %x", why, b, got)
	}
}

// TestEveryMessage holds all messages to SPEC 3.2 and 3.3.
func TestEveryMessage(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			parts := split(t, k.full)
			accepted(t, k, "all fields", k.full)
			refused(t, k, "byte left over", append(slices.Clone(k.full), 0))
			refused(t, k, "last byte missing", k.full[:len(k.full)-1])
			mustFields(t, k, parts)
			for i := range parts {
				spoilt(t, k, parts, i)
			}
			unknownFields(t, k, parts)
		})
	}
}

// mustFields takes each field away.
func mustFields(t *testing.T, k kind, parts []part) {
	for _, p := range parts {
		without := slices.DeleteFunc(slices.Clone(parts), func(q part) bool { return q.num == p.num })
		if b := join(without); slices.Contains(k.must, uint32(p.num)) {
			refused(t, k, "mandatory field missing", b)
		} else if k.name != "frame" {
			accepted(t, k, "optional field missing", b)
		}
	}
}

// spoilt breaks field i in every way that SPEC 3.2 names.
func spoilt(t *testing.T, k kind, parts []part, i int) {
	p := parts[i]
	replaced := func(raw []byte) []byte {
		c := slices.Clone(parts)
		c[i].raw = raw
		return join(c)
	}
	if i > 0 && parts[i-1].num != p.num {
		c := slices.Clone(parts)
		c[i-1], c[i] = c[i], c[i-1]
		refused(t, k, "out of order", join(c))
	}
	key, n := protowire.ConsumeVarint(p.raw)
	refused(t, k, "key not minimal", replaced(slices.Concat(long(key), p.raw[n:])))
	value, m := protowire.ConsumeVarint(p.raw[n:])
	refused(t, k, "varint not minimal", replaced(slices.Concat(p.raw[:n], long(value), p.raw[n+m:])))
	refused(t, k, "default written out", replaced(append(slices.Clone(p.raw[:n]), 0)))
	for typ := range uint64(8) {
		if typ != key&7 && typ != 0 && typ != 2 {
			refused(t, k, "wire type of no use", replaced(append(protowire.AppendVarint(nil, key&^7|typ), 1, 1, 1, 1, 1, 1, 1, 1)))
		}
	}
}

// long encodes v with one byte more than it needs.
func long(v uint64) []byte {
	b := protowire.AppendVarint(nil, v)
	b[len(b)-1] |= 0x80
	return append(b, 0)
}

// unknownFields adds a field that no version knows.
func unknownFields(t *testing.T, k kind, parts []part) {
	known := slices.DeleteFunc(slices.Clone(parts), func(p part) bool { return p.num >= 120 })
	for _, f := range [][]byte{field(120, 1), field(120, "x"), slices.Concat(field(120, 1), field(120, 1))} {
		b := append(join(known), f...)
		if k.unknown == refuseUnknown {
			refused(t, k, "unknown field", b)
		} else {
			accepted(t, k, "unknown field", b)
		}
	}
	refused(t, k, "unknown field of zero", append(join(known), field(120, 0)...))
	refused(t, k, "unknown field that is empty", append(join(known), field(120, "")...))
	refused(t, k, "field 128", append(slices.Clone(k.full), field(128, 1)...))
	refused(t, k, "field 0", append(field(0, 1), k.full...))
}

func TestSingularFieldsMayNotRepeat(t *testing.T) {
	repeated := map[string][]uint32{
		"address record": {7, 10, 12, 13, 16}, "device record": {6, 16}, "reach": {5}, "device": {4}, "endpoint": {2},
		"doc": {5, 6, 7, 10, 16}, "tuple": {6, 9, 16}, "grant": {6, 16}, "sub request": {16}, "sub state": {16},
		"unsub": {16}, "fetch": {16}, "fetch reply": {6, 16}, "im": {14, 16}, "ack": {4}, "sync": {3}, "pair": {3}, "pair reply": {1}, "parcel": {2}, "inner": {2}, "bundle": {2}, "watch": {1},
		"watch reply": {1}, "get reply": {1},
	}
	for _, k := range kinds() {
		parts := split(t, k.full)
		for i, p := range parts {
			if i+1 < len(parts) && parts[i+1].num == p.num {
				continue // a list, or an unknown field, that repeats already
			}
			twice := join(slices.Insert(slices.Clone(parts), i, p))
			list := slices.Contains(repeated[k.name], uint32(p.num)) || i > 0 && parts[i-1].num == p.num
			if _, err := k.again(twice); (err == nil) != list && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: field %d twice: %v", k.name, p.num, err)
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	im := func(change func(*IM)) []byte {
		x := IM{To: Address{1}, Sent: 1, Expires: 2, ContentType: "text/plain"}
		change(&x)
		return x.Append(nil)
	}
	imParse := func(b []byte) error { _, err := ParseIM(b); return err }
	subRequest := func(change func(*SubRequest)) []byte {
		x := SubRequest{At: 1, Want: 1}
		change(&x)
		return x.Append(nil)
	}
	subParse := func(b []byte) error { _, err := ParseSubRequest(b); return err }
	doc := func(change func(*Doc)) []byte {
		x := Doc{Ver: 1, TTL: 1}
		change(&x)
		return x.Append(nil)
	}
	docParse := func(b []byte) error { _, err := ParseDoc(b); return err }
	ackParse := func(b []byte) error { _, err := ParseAck(b); return err }
	signedParse := func(b []byte) error { _, err := ParseSigned(b); return err }
	parcelParse := func(b []byte) error { _, err := ParseParcel(b); return err }
	fetchParse := func(b []byte) error { _, err := ParseFetch(b); return err }
	replyParse := func(b []byte) error { _, err := ParseFetchReply(b); return err }
	fetched := func(docs ...[]byte) []byte { return FetchReply{State: FetchOK, Docs: docs}.Append(nil) }
	watchParse := func(b []byte) error { _, err := ParseWatchRequest(b); return err }
	syncParse := func(b []byte) error { _, err := ParseSync(b); return err }
	sync := func(x Item) []byte { return Sync{Items: []Item{x}}.Append(nil) }
	grantParse := func(b []byte) error { _, err := ParseGrant(b); return err }
	signedOf := func(typ Type, size int) []byte { return Signed{Type: typ, Body: make([]byte, size)}.Append(nil) }
	tests := []struct {
		name  string
		in    []byte
		parse func([]byte) error
		err   error
	}{
		{"plain message", im(func(x *IM) {}), imParse, nil},
		{"largest content", im(func(x *IM) { x.Content = make([]byte, MaxContent) }), imParse, nil},
		{"content above 60 KiB", im(func(x *IM) { x.Content = make([]byte, MaxContent+1) }), imParse, ErrTooLarge},
		{"content type not UTF-8", im(func(x *IM) { x.ContentType = "\xff" }), imParse, ErrMalformed},
		{"contact not UTF-8", im(func(x *IM) { x.Contact = []string{"a", "\xff"} }), imParse, ErrMalformed},
		{"empty contact", slices.Concat(im(func(x *IM) {}), field(14, "")), imParse, ErrMalformed},
		{"16 exts", im(func(x *IM) { x.Ext = slices.Repeat([]Ext{{Name: "a"}}, 16) }), imParse, nil},
		{"17 exts", im(func(x *IM) { x.Ext = slices.Repeat([]Ext{{Name: "a"}}, 17) }), imParse, ErrTooLarge},
		{"ext value above 2 KiB", im(func(x *IM) { x.Ext = []Ext{{Name: "a", Value: make([]byte, 2049)}} }), imParse, ErrTooLarge},
		{"ext without name", im(func(x *IM) { x.Ext = []Ext{{Value: []byte{1}}} }), imParse, ErrMalformed},
		{"must_understand of 2", append(im(func(x *IM) {}), field(16, slices.Concat(field(1, "a"), field(3, 2)))...), imParse, ErrMalformed},
		{"report above u32", slices.Concat(im(func(x *IM) {}), field(10, 1<<32)), imParse, ErrMalformed},
		{"largest report", slices.Concat(im(func(x *IM) {}), field(10, 1<<32-1)), imParse, nil},
		{"zero in_reply_to written out", slices.Concat(im(func(x *IM) {}), field(9, make([]byte, 32))), imParse, ErrMalformed},
		{"in_reply_to of 31 bytes", slices.Concat(im(func(x *IM) {}), field(9, bytes.Repeat([]byte{1}, 31))), imParse, ErrMalformed},
		{"empty reply endpoint", slices.Concat(im(func(x *IM) {}), field(11, "")), imParse, ErrMalformed},
		{"five addrs of an endpoint", im(func(x *IM) { x.Reply = &Endpoint{Addrs: slices.Repeat([][]byte{{1}}, 5)} }), imParse, ErrTooLarge},

		{"crit names a present field", im(func(x *IM) { x.Report, x.Crit = 1, []uint32{7, 10} }), imParse, nil},
		{"crit names an unknown field that follows", im(func(x *IM) { x.Crit, x.Unknown = []uint32{20}, unknowns(20) }), imParse, nil},
		{"crit names an absent field", im(func(x *IM) { x.Crit = []uint32{10} }), imParse, ErrMalformed},
		{"crit names field 0", im(func(x *IM) { x.Crit = []uint32{0} }), imParse, ErrMalformed},
		{"crit falls", im(func(x *IM) { x.Crit = []uint32{7, 6} }), imParse, ErrMalformed},
		{"crit repeats", im(func(x *IM) { x.Crit = []uint32{7, 7} }), imParse, ErrMalformed},
		{"crit above every field", im(func(x *IM) { x.Crit = []uint32{1 << 31} }), imParse, ErrMalformed},
		{"crit not packed", slices.Concat(im(func(x *IM) {}), field(15, 7)), imParse, ErrMalformed},
		{"crit of long varints", slices.Concat(im(func(x *IM) {}), field(15, []byte{0x87, 0})), imParse, ErrMalformed},

		{"text of 280 characters", subRequest(func(x *SubRequest) { x.Text = strings.Repeat("ü", 280) }), subParse, nil},
		{"text of 281 characters", subRequest(func(x *SubRequest) { x.Text = strings.Repeat("u", 281) }), subParse, ErrTooLarge},
		{"name of 64 characters", subRequest(func(x *SubRequest) { x.Name = strings.Repeat("ü", 64) }), subParse, nil},
		{"name of 65 characters", subRequest(func(x *SubRequest) { x.Name = strings.Repeat("u", 65) }), subParse, ErrTooLarge},
		{"name not UTF-8", subRequest(func(x *SubRequest) { x.Name = "\xc0\x80" }), subParse, ErrMalformed},
		{"name kept as it is", subRequest(func(x *SubRequest) { x.Name = " \x00 " }), subParse, nil},
		{"invite of 15 bytes", subRequest(func(x *SubRequest) { x.Invite = make([]byte, 15) }), subParse, ErrMalformed},
		{"zero invite written out", subRequest(func(x *SubRequest) { x.Invite = make([]byte, 16) }), subParse, ErrMalformed},
		{"invite of 17 bytes", subRequest(func(x *SubRequest) { x.Invite = make([]byte, 17) }), subParse, ErrTooLarge},
		{"request above 4 KiB", subRequest(func(x *SubRequest) { x.Unknown = []Unknown{rawField(20, make([]byte, 4096))} }), subParse, ErrTooLarge},

		{"8 tuples", doc(func(x *Doc) { x.Tuples = slices.Repeat([]Tuple{{ID: "a", Basic: 1}}, 8) }), docParse, nil},
		{"9 tuples", doc(func(x *Doc) { x.Tuples = slices.Repeat([]Tuple{{ID: "a", Basic: 1}}, 9) }), docParse, ErrTooLarge},
		{"priority 1001", doc(func(x *Doc) { x.Tuples = []Tuple{{ID: "a", Basic: 1, Priority: 1001}} }), docParse, ErrMalformed},
		{"note of 1024 characters", doc(func(x *Doc) { x.Notes = []Note{{Text: strings.Repeat("ü", 1024)}} }), docParse, nil},
		{"note of 1025 characters", doc(func(x *Doc) { x.Notes = []Note{{Text: strings.Repeat("u", 1025)}} }), docParse, ErrTooLarge},
		{"reach that is no Signed", doc(func(x *Doc) { x.Reach = []byte("reach") }), docParse, ErrMalformed},
		{"doc above 4000 bytes", doc(func(x *Doc) { x.Contact = []string{strings.Repeat("u", 3990)} }), docParse, ErrTooLarge},
		{"later im status", doc(func(x *Doc) { x.Tuples = []Tuple{{ID: "a", Basic: 1, IM: 99}} }), docParse, nil},

		{"grant without an epoch", Grant{TTL: 0, IM: &Endpoint{Peer: []byte("p")}}.Append(nil), grantParse, nil},
		{"grant of E alone", Grant{E: PublicKey{1}}.Append(nil), grantParse, ErrMalformed},
		{"grant of ttl alone", Grant{TTL: 1}.Append(nil), grantParse, ErrMalformed},

		{"8 docs of 4000 bytes", fetched(slices.Repeat([][]byte{make([]byte, MaxDoc)}, MaxDevices)...), replyParse, nil},
		{"9 docs", fetched(slices.Repeat([][]byte{{1}}, 9)...), replyParse, ErrTooLarge},
		{"a fetched doc of 4001 bytes", fetched(make([]byte, MaxDoc+1)), replyParse, ErrTooLarge},
		{"an empty doc", slices.Concat(fetched(), field(6, "")), replyParse, ErrMalformed},
		{"a fetched doc that is none", fetched([]byte("doc")), replyParse, nil},
		{"a later state of a fetch", FetchReply{State: 9}.Append(nil), replyParse, nil},
		{"no state of a fetch", FetchReply{}.Append(nil), replyParse, ErrMalformed},
		{"fetch reply above 64 KiB", FetchReply{State: 2, Unknown: []Unknown{rawField(20, make([]byte, MaxSyncBody))}}.Append(nil), replyParse, ErrTooLarge},
		{"req of 15 bytes", slices.Concat(field(1, make([]byte, 32)), field(2, make([]byte, 32)), field(3, make([]byte, 15)), field(4, 1)), fetchParse, ErrMalformed},
		{"fetch without a time", Fetch{Req: ReqID{1}}.Append(nil), fetchParse, ErrMalformed},
		{"fetch above 4 KiB", Fetch{At: 1, Unknown: []Unknown{rawField(20, make([]byte, 4096))}}.Append(nil), fetchParse, ErrTooLarge},
		{"a Signed fetch reply of 64 KiB", signedOf(TypeFetchReply, MaxSyncBody), signedParse, nil},
		{"a Signed fetch reply above 64 KiB", signedOf(TypeFetchReply, MaxSyncBody+1), signedParse, ErrTooLarge},
		{"a Signed fetch above 4 KiB", signedOf(TypeFetch, MaxControlBody+1), signedParse, ErrTooLarge},

		{"64 mids", Ack{MIDs: make([]MID, 64), Disposition: 1}.Append(nil), ackParse, nil},
		{"65 mids", Ack{MIDs: make([]MID, 65), Disposition: 1}.Append(nil), ackParse, ErrTooLarge},
		{"no mid", Ack{Disposition: 1}.Append(nil), ackParse, ErrMalformed},

		{"sync of a row", sync(Item{Kind: 99, Key: []byte{1}, Value: []byte{1}, T: 1}), syncParse, nil},
		{"sync of a deletion", sync(Item{Kind: 1, Key: []byte{1}, T: 1, Deleted: true}), syncParse, nil},
		{"sync of an empty row", sync(Item{Kind: 1, Key: []byte{1}, T: 1}), syncParse, nil},
		{"sync of nothing", Sync{}.Append(nil), syncParse, ErrMalformed},
		{"deletion with a value", sync(Item{Kind: 1, Key: []byte{1}, Value: []byte{1}, T: 1, Deleted: true}), syncParse, ErrMalformed},
		{"deleted of 2", Sync{Items: []Item{{Kind: 1, Key: []byte{1}, T: 1, Unknown: []Unknown{{Number: 5, Raw: field(5, 2)}}}}}.Append(nil), syncParse, ErrMalformed},
		{"item of kind 0", sync(Item{Key: []byte{1}, T: 1}), syncParse, ErrMalformed},
		{"item without a key", sync(Item{Kind: 1, T: 1}), syncParse, ErrMalformed},
		{"item without a time", sync(Item{Kind: 1, Key: []byte{1}}), syncParse, ErrMalformed},
		{"key of 257 bytes", sync(Item{Kind: 1, Key: make([]byte, 257), T: 1}), syncParse, ErrTooLarge},
		{"zero author written out", sync(Item{Kind: 1, Key: []byte{1}, T: 1, Unknown: []Unknown{{Number: 6, Raw: field(6, make([]byte, 16))}}}), syncParse, ErrMalformed},
		{"sync body above 64 KiB", sync(Item{Kind: 1, Key: []byte{1}, Value: make([]byte, MaxSyncBody), T: 1}), syncParse, ErrTooLarge},

		{"record of 8 KiB", signedOf(TypeAddressRecord, MaxRecordBody), signedParse, nil},
		{"record above 8 KiB", signedOf(TypeAddressRecord, MaxRecordBody+1), signedParse, ErrTooLarge},
		{"control of 4 KiB", signedOf(TypeSubState, MaxControlBody), signedParse, nil},
		{"control above 4 KiB", signedOf(TypeSubState, MaxControlBody+1), signedParse, ErrTooLarge},
		{"sync of 64 KiB", signedOf(TypeSync, MaxSyncBody), signedParse, nil},
		{"sync above 64 KiB", signedOf(TypeSync, MaxSyncBody+1), signedParse, ErrTooLarge},
		{"message of 64 KiB", signedOf(TypeIM, 64<<10), signedParse, nil},
		{"signed of a later profile", signedOf(TypeMboxList, 1), signedParse, nil},
		{"signed of unknown type", signedOf(45, 1), signedParse, ErrMalformed},
		{"signed of type 0", signedOf(0, 1), signedParse, ErrMalformed},

		{"8 wraps", Parcel{Suite: 1, Wraps: slices.Repeat([]Wrap{{Sealed: []byte{1}}}, 8), CT: []byte{1}}.Append(nil), parcelParse, nil},
		{"9 wraps", Parcel{Suite: 1, Wraps: slices.Repeat([]Wrap{{Sealed: []byte{1}}}, 9), CT: []byte{1}}.Append(nil), parcelParse, ErrTooLarge},
		{"parcel above 192 KiB", Parcel{Suite: 1, CT: make([]byte, MaxParcel)}.Append(nil), parcelParse, ErrTooLarge},

		{"256 watched keys", WatchRequest{Keys: make([]PublicKey, 256)}.Append(nil), watchParse, nil},
		{"257 watched keys", WatchRequest{Keys: make([]PublicKey, 257)}.Append(nil), watchParse, ErrTooLarge},
		{"watched key that is a number", append(field(1, bytes.Repeat([]byte{1}, 32)), field(1, 1)...), watchParse, ErrMalformed},
		{"watched key of 31 bytes", field(1, make([]byte, 31)), watchParse, ErrMalformed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.parse(tt.in); !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
		})
	}
}

func TestErrorsNameTheField(t *testing.T) {
	x := Doc{Ver: 1, TTL: 1, Tuples: []Tuple{{ID: "a", Basic: 1, Notes: []Note{{Text: "\xff"}}}}}
	_, err := ParseDoc(x.Append(nil))
	if got, want := err.Error(), "doc: field 5: field 6: field 1: malformed: not UTF-8"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
