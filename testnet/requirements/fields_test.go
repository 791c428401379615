package requirements

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hum-presence/hum/p2p/wire"
)

// What is made of each field of a message in turn. The fields are those that the codec writes of a message
// with every field of its type filled, so that a new one cannot be forgotten.

// What is wrong with a message, as SPEC 9.1 names it; fine is what has to be taken although a field is gone.
const (
	fine        = ""
	malformed   = "malformed"
	tooLarge    = "too-large"
	unsupported = "unsupported-required"
)

// mandatory are the fields of each type that SPEC 3.2 and its clarifications 5, 38 and 50 call mandatory.
var mandatory = map[string][]uint32{
	"Signed": {1, 2, 3, 4}, "AckBox": {1, 2}, "Wrap": {1, 2}, "Parcel": {1, 3}, "Inner": {1}, "AddressRecord": {1, 2, 5, 7, 9}, "Device": {1, 2},
	"DeviceRecord": {1, 2, 3, 5, 6}, "PreKey": {1, 2}, "Reach": {1, 2, 3, 4}, "Successor": {1, 2, 3, 4, 5, 6}, "SubRequest": {1, 2, 3, 4, 5},
	"SubState": {1, 2, 3, 4, 5}, "Unsub": {1, 2, 3, 4}, "Fetch": {1, 2, 3, 4}, "FetchReply": {1, 2, 3, 4}, "IM": {2, 3, 4, 5, 6, 7}, "Ack": {1, 3, 4, 5},
	"Sync": {1, 2, 3}, "Item": {1, 2, 4}, "Doc": {1, 2, 3, 4}, "Tuple": {1, 2}, "Note": {1}, "Status": {1}, "Ext": {1}, "Grant": {1, 2, 3, 4, 5},
	"Frame": {2}, "RecordsRequest": {1}, "GetRequest": {1}, "RecPush": {1, 2}, "SessionRequest": {1, 2, 3},
	"Endpoint": {}, "Policy": {}, "WatchRequest": {}, "Bundle": {1},
	"HostRequest": {1, 2}, "PutRequest": {1, 2, 3}, "Claim": {1, 2}, "verdict": {1}, "MboxReg": {1, 2, 5}, "MboxCap": {1, 2, 3, 6}, "deposited": {1, 2},
	"MboxList": {1, 2, 3}, "MboxCommit": {1, 2}, "ForwardRequest": {1, 2}, "MboxReceipt": {1, 2, 3}, "NonceReply": {1}, "MboxListing": {},
	"WatchReply": {}, "GetReply": {}, "BusyReply": {}, "PairReply": {},
}

// most is how many elements, octets or characters a field holds at most (SPEC 3.9 and the sections of the
// types); 0 is as many as its message has room for. Every field that repeats stands here.
var most = map[string]int{
	"Parcel.Wraps": 8, "Inner.Attached": 17, "AddressRecord.Devices": 8, "AddressRecord.Mailboxes": 4, "AddressRecord.Handles": 4, "AddressRecord.Homes": 4,
	"AddressRecord.Ext": 16, "Device.Scope": 0, "DeviceRecord.PreKeys": 2, "DeviceRecord.Ext": 16, "Reach.Addrs": 8, "SubRequest.Text": 280,
	"SubRequest.Name": 64, "SubRequest.Ext": 16, "SubState.Ext": 16, "Unsub.Ext": 16, "Fetch.Ext": 16, "FetchReply.Docs": 8, "FetchReply.Ext": 16,
	"IM.Content": 60 << 10, "IM.Contact": 0, "IM.Ext": 16, "Ack.MIDs": 64, "Sync.Items": 0, "Item.Key": 256, "Doc.Tuples": 8, "Doc.Notes": 0,
	"Doc.Contact": 0, "Doc.Status": 0, "Doc.PIDF": 3 << 10, "Doc.Ext": 16, "Tuple.Notes": 0, "Tuple.Status": 0, "Tuple.Ext": 16, "Note.Text": 1024,
	"Ext.Value": 2 << 10, "Grant.Anchors": 4, "Grant.Ext": 16, "Endpoint.Addrs": 4, "WatchRequest.Keys": 256,
	"Bundle.Devices": 8, "Bundle.Successors": wire.MaxSuccessors,
	"HostRequest.Token": 64, "Claim.Handle": 64 + 1 + 253, "Claim.Record": 9 << 10, "Claim.Token": 64, "Claim.Successors": 8, "MboxReg.Readers": 8, "MboxReg.Token": 64,
	"deposited.Parcel": 192 << 10, "MboxCommit.Digests": 64, "ForwardRequest.Token": 64, "MboxListing.Items": 1000, "MboxListing.Until": 0,
	"WatchReply.Unknown": 256, "GetReply.Recs": 2 * wire.MaxTags, "PairReply.Records": 17,
}

// closed are the types that have no unknown fields (SPEC 3.3).
var closed = []string{"Parcel", "Wrap", "Inner", "Signed", "AckBox", "Frame"}

// against are the fields that contradict the rest of a message which is right in all others.
var against = map[string]string{"Frame.Status": malformed, "Ext.MustUnderstand": unsupported, "Item.Deleted": malformed, "deposited.AckBox": malformed, "MboxReg.Until": malformed}

// A damage is a message with one thing wrong, or missing, in it.
type damage struct {
	what string
	b    []byte
	want string
}

// A piece is one field as it is encoded.
type piece struct {
	n    uint32
	typ  byte // 0: a varint, 2: octets
	val  uint64
	body []byte
}

func (p piece) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(p.n)<<3|uint64(p.typ))
	if p.typ == 0 {
		return binary.AppendUvarint(b, p.val)
	}
	return append(binary.AppendUvarint(b, uint64(len(p.body))), p.body...)
}

// split takes an encoding apart; it has been written by the codec.
func split(b []byte) (parts []piece) {
	for len(b) > 0 {
		key, n := binary.Uvarint(b)
		val, m := binary.Uvarint(b[n:])
		p := piece{n: uint32(key >> 3), typ: byte(key & 7), val: val}
		if b = b[n+m:]; p.typ == 2 {
			p.body, b = b[:val], b[val:]
		}
		parts = append(parts, p)
	}
	return parts
}

func join(parts []piece) (b []byte) {
	for _, p := range parts {
		b = p.append(b)
	}
	return b
}

// fill gives every field of a message a value that is not zero; what is not known of a later version is none.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.Name == "Crit" {
				v.Field(i).Set(reflect.ValueOf([]uint32{2}))
			} else if f.Name != "Unknown" {
				fill(v.Field(i))
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		size := 1
		if v.Type().Elem().Kind() == reflect.Uint8 {
			size = 16
		}
		v.Set(reflect.MakeSlice(v.Type(), size, size))
		for i := range size {
			fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	default:
		v.SetUint(1)
	}
}

// filled is a message with every field filled, as edited.
func filled[T any](edit ...func(*T)) (x T) {
	fill(reflect.ValueOf(&x).Elem())
	for _, e := range edit {
		e(&x)
	}
	return x
}

// damages are what can be wrong with each field of a message of type t, and of all that is nested in it.
// Full is one with every field, right is one that is taken.
func damages(t reflect.Type, full, right []byte) (out []damage) {
	parts, numbers := split(right), []uint32{}
	for _, p := range split(full) {
		if !slices.Contains(numbers, p.n) {
			numbers = append(numbers, p.n)
		}
	}
	fields := slices.DeleteFunc(reflect.VisibleFields(t), func(f reflect.StructField) bool { return f.Name == "Unknown" })
	if len(fields) != len(numbers) {
		panic(fmt.Sprintf("%v has %d fields, and %d are written", t, len(fields), len(numbers)))
	}
	need, known := mandatory[t.Name()]
	if !known {
		panic("which fields of " + t.Name() + " are mandatory is not said")
	}
	for i, f := range fields {
		out = append(out, damagesOf(t, f, numbers[i], split(full), parts, slices.Contains(need, numbers[i]))...)
	}
	if len(parts) > 1 && parts[0].n != parts[len(parts)-1].n {
		turned := slices.Clone(parts)
		turned[0], turned[len(turned)-1] = turned[len(turned)-1], turned[0]
		out = append(out, damage{"out of order", join(turned), malformed})
	}
	unknown := fine
	if slices.Contains(closed, t.Name()) {
		unknown = malformed
	}
	more := func(p ...byte) []byte { return append(slices.Clone(right), p...) }
	return append(out, damage{"cut short", right[:len(right)-1], malformed}, damage{"something behind it", more(0), malformed},
		damage{"an unknown field", more(0xa2, 6, 1, 'x'), unknown}, damage{"an unknown field, empty", more(0xa2, 6, 0), malformed},
		damage{"an unknown field of 128", more(0x82, 8, 1, 'x'), malformed}, damage{"an unknown field of four octets", more(0xa5, 6, 1, 1, 1, 1), malformed},
		damage{"an unknown group", more(0xa3, 6, 0xa4, 6), malformed})
}

// damagesOf are what can be wrong with field f, which is number n.
func damagesOf(t reflect.Type, f reflect.StructField, n uint32, full, parts []piece, need bool) (out []damage) {
	at := slices.IndexFunc(parts, func(p piece) bool { return p.n == n })
	end := at
	for end >= 0 && end < len(parts) && parts[end].n == n {
		end++
	}
	instead := func(what, want string, raw []byte) {
		b := append(join(parts[:at]), raw...)
		out = append(out, damage{f.Name + " " + what, append(b, join(parts[end:])...), want})
	}
	if at < 0 { // it contradicts the others
		want, known := against[t.Name()+"."+f.Name]
		if !known {
			panic(t.Name() + "." + f.Name + " is not in what is right")
		}
		at = slices.IndexFunc(append(slices.Clone(parts), piece{n: 1 << 20}), func(p piece) bool { return p.n > n })
		end = at
		instead("set", want, full[slices.IndexFunc(full, func(p piece) bool { return p.n == n })].append(nil))
		return out
	}
	first, key := parts[at], binary.AppendUvarint(nil, uint64(n)<<3|uint64(parts[at].typ))
	gone := fine
	if need {
		gone = malformed
	}
	instead("missing", gone, nil)
	other := piece{n: n, typ: 2 - first.typ, val: 1, body: []byte("x")}
	instead("of another wire type", malformed, other.append(nil))
	instead("written out as nothing", malformed, append(slices.Clone(key), 0))
	kind, limit, bounded := f.Type, 0, false
	if limit, bounded = most[t.Name()+"."+f.Name]; kind.Kind() == reflect.Slice && kind.Elem().Kind() != reflect.Uint8 && f.Name != "Crit" {
		if !bounded {
			panic("how many of " + t.Name() + "." + f.Name + " there may be is not said")
		}
		if limit > 0 {
			instead("once too often", tooLarge, bytes.Repeat(first.append(nil), limit+1))
		}
		kind, bounded = kind.Elem(), false
	} else {
		instead("twice", malformed, first.append(first.append(nil)))
	}
	with := func(what, want string, body []byte) { instead(what, want, piece{n: n, typ: 2, body: body}.append(nil)) }
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	switch kind.Kind() {
	case reflect.Uint32, reflect.Uint64, reflect.Bool:
		long := binary.AppendUvarint(nil, first.val)
		long[len(long)-1] |= 0x80
		instead("in too many octets", malformed, append(slices.Clone(key), append(long, 0)...))
		instead("beyond 64 bits", malformed, append(slices.Clone(key), append(bytes.Repeat([]byte{0xff}, 9), 2)...))
		if kind.Kind() == reflect.Uint32 {
			instead("beyond 32 bits", malformed, piece{n: n, val: 1 << 32}.append(nil))
		}
	case reflect.Array:
		with("an octet too short", malformed, first.body[1:])
		with("an octet too long", malformed, append(slices.Clone(first.body), 1))
		if !need && f.Type.Kind() == reflect.Array { // an element of many may be zero
			with("of zeros", malformed, make([]byte, len(first.body)))
		}
	case reflect.String:
		with("not of characters", malformed, []byte{0xff})
		if bounded && limit > 0 {
			with("too long", tooLarge, []byte(strings.Repeat("é", limit+1)))
		}
	case reflect.Slice:
		switch {
		case f.Name == "Crit":
			with("that names a field which is not there", malformed, []byte{2, 100})
			with("that falls", malformed, []byte{2, 1})
			with("in too many octets", malformed, []byte{0x82, 0})
		case bounded && limit > 0:
			with("too long", tooLarge, make([]byte, limit+1))
		}
	case reflect.Struct:
		filledBody := full[slices.IndexFunc(full, func(p piece) bool { return p.n == n })].body
		for _, d := range damages(kind, filledBody, first.body) {
			if len(d.b) > 0 {
				with(": "+d.what, d.want, d.b)
			}
		}
	}
	return out
}
