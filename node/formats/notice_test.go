package formats

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// noticeEpoch is an epoch of Bob's that began an hour before.
var (
	noticeEpoch = identity.NewSigningKey([32]byte{2, 2})
	noticeGrant = wire.Grant{E: noticeEpoch.Public(), K: [32]byte{7}, NotBefore: receiptStart.Add(-time.Hour), NotAfter: receiptStart.Add(24 * time.Hour), TTL: 150}
)

func noticeDoc(by signatory) wire.Doc {
	return wire.Doc{Entity: by.is(), Device: by.id(), Ver: 5, TTL: 150, Tuples: []wire.Tuple{{ID: "im", Basic: wire.Open, Contact: by.is().IM(), Timestamp: receiptStart}}, Notes: []wire.Note{{Text: "at the old mill"}}}
}

func noticeRec(d wire.Doc, g wire.Grant, e identity.SigningKey, at identity.Time) wire.Rec {
	tag := wire.TagOf(g.K, d.Device)
	return wire.NewUpdate(e, tag, at, wire.SealDoc(rand.Reader, g.K, e.Public(), tag, at, d.Append(nil)))
}

func noticeState(by signatory, edit ...func(*wire.SubState)) wire.Signed {
	st := wire.SubState{From: by.is(), To: aliceKeys.is(), Sub: wire.SubID{1}, Seq: receiptStart.Add(-time.Minute), State: wire.SubActive, Grant: &noticeGrant}
	for _, e := range edit {
		e(&st)
	}
	return wire.Sign(by.device, wire.TypeSubState, st.Append(nil))
}

// notified is what Bob said in an epoch that he granted to Alice.
func notified() Notice {
	return Notice{Said: noticeState(bobKeys), E: noticeGrant.E, Rec: noticeRec(noticeDoc(bobKeys), noticeGrant, noticeEpoch, receiptStart),
		Records: []wire.Signed{bobKeys.record(receiptStart.Add(-time.Hour))}}
}

// asked is what Bob answered Alice.
func asked(edit ...func(*wire.FetchReply)) Notice {
	r := wire.FetchReply{From: bobKeys.is(), To: aliceKeys.is(), Req: wire.ReqID{3}, State: wire.FetchOK, Docs: [][]byte{noticeDoc(bobKeys).Append(nil)}, AsOf: receiptStart}
	for _, e := range edit {
		e(&r)
	}
	return Notice{Said: wire.Sign(bobKeys.device, wire.TypeFetchReply, r.Append(nil)), Records: []wire.Signed{bobKeys.record(receiptStart.Add(-time.Hour))}}
}

func judge(b []byte) (Saying, error) {
	n, err := ParseNotice(b)
	if err != nil {
		return Saying{}, err
	}
	return n.Verify()
}

func TestNoticeProves(t *testing.T) {
	for name, n := range map[string]Notice{"notified": notified(), "asked": asked(), "told of the next epoch": {
		Said: noticeState(bobKeys, func(st *wire.SubState) {
			now := noticeGrant
			now.E = aliceKeys.device.Public()
			st.Grant, st.Next = &now, &noticeGrant
		}),
		E: notified().E, Rec: notified().Rec, Records: notified().Records}} {
		s, err := judge(n.Append(nil))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if s.From != bobKeys.is() || s.To != aliceKeys.is() || s.At != receiptStart || s.Signer != bobKeys.id() || !s.Open() || len(s.Docs) != 1 || strings.Join(s.Notes(), ",") != "at the old mill" {
			t.Errorf("%s: %+v", name, s)
		}
		if keyed := s.Opens != 0; keyed != (name != "asked") || keyed && s.Opens != noticeGrant.NotAfter {
			t.Errorf("%s: opens %v", name, s.Opens)
		}
	}
}

// Each notice that must not be believed, by the word for it.
func TestNoticeRefused(t *testing.T) {
	at := receiptStart
	tests := []struct {
		name string
		edit func(*Notice)
		want Problem
		says string
	}{
		{"another epoch's record", func(n *Notice) {
			e := identity.NewSigningKey([32]byte{8})
			n.E, n.Rec = e.Public(), noticeRec(noticeDoc(bobKeys), noticeGrant, e, at)
		}, WrongPerson, "not the one that was granted"},
		{"a record under the epoch's name by somebody who has its key alone", func(n *Notice) {
			n.Rec.Sig[3] ^= 1
		}, BadSignature, "of the record"},
		{"a grant of somebody else's", func(n *Notice) {
			n.Said = noticeState(eveKeys)
			n.Records = append(n.Records, eveKeys.record(at.Add(-time.Hour)))
		}, WrongPerson, "the document is of"},
		{"a grant that another device signed in his name", func(n *Notice) {
			st, _ := wire.ParseSubState(n.Said.Body)
			n.Said = wire.Sign(eveKeys.device, wire.TypeSubState, st.Append(nil))
		}, Revoked, "lists no device"},
		{"a subscription that is over", func(n *Notice) {
			n.Said = noticeState(bobKeys, func(st *wire.SubState) { st.State = wire.SubTerminated })
		}, WrongPerson, "not the one that was granted"},
		{"of a time after its epoch", func(n *Notice) {
			n.Rec = noticeRec(noticeDoc(bobKeys), noticeGrant, noticeEpoch, at.Add(25*time.Hour))
		}, Expired, "outside the time"},
		{"sealed by another key", func(n *Notice) {
			g := noticeGrant
			g.K[0]++
			n.Rec = noticeRec(noticeDoc(bobKeys), g, noticeEpoch, at)
		}, WrongPerson, "does not open"},
		{"under the tag of another device", func(n *Notice) {
			n.Rec = wire.NewUpdate(noticeEpoch, wire.Tag{1}, at, wire.SealDoc(rand.Reader, noticeGrant.K, noticeGrant.E, wire.Tag{1}, at, noticeDoc(bobKeys).Append(nil)))
		}, WrongPerson, "not of the device"},
		{"a document of another address", func(n *Notice) {
			n.Rec = noticeRec(noticeDoc(eveKeys), noticeGrant, noticeEpoch, at)
		}, WrongPerson, "the document is of"},
		{"a document of a device that was revoked before", func(n *Notice) {
			lost := signatory{bobKeys.address, identity.NewSigningKey([32]byte{2, 9})}
			n.Rec = noticeRec(noticeDoc(lost), noticeGrant, noticeEpoch, at)
			n.Records = append(n.Records, bobKeys.record(at.Add(-2*time.Hour), func(r *identity.AddressRecord) { r.Devices = append(r.Devices, lost.line()...) }))
		}, Revoked, "was revoked on"},
		{"an answer of a device that was revoked before", func(n *Notice) {
			*n = asked()
			n.Records = append(n.Records, bobKeys.record(at.Add(-time.Minute), func(r *identity.AddressRecord) { r.Devices = eveKeys.line() }))
		}, Revoked, "was revoked on"},
		{"an answer with the document of another", func(n *Notice) {
			*n = asked(func(r *wire.FetchReply) { r.Docs = append(r.Docs, noticeDoc(eveKeys).Append(nil)) })
		}, WrongPerson, "the document is of"},
		{"a refusal", func(n *Notice) {
			*n = asked(func(r *wire.FetchReply) { r.State, r.Docs = wire.FetchDenied, nil })
		}, NotOfFormat, "nothing is said"},
		{"a device for messages alone", func(n *Notice) {
			n.Records[0] = bobKeys.record(at.Add(-time.Hour), func(r *identity.AddressRecord) { r.Devices[0].Roles = identity.RoleInbox })
		}, WrongPerson, "may not speak"},
		{"no record of his", func(n *Notice) { n.Records = nil }, WrongPerson, "no address record"},
		{"expired before", func(n *Notice) { n.Records[0] = bobKeys.record(at.Add(-40 * 24 * time.Hour)) }, Expired, "the certificate"},
		{"a beacon", func(n *Notice) {
			n.Rec = wire.NewBeacon(noticeEpoch, wire.TagOf(noticeGrant.K, bobKeys.id()), at, at-1)
		}, WrongPerson, "does not open"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			n := notified()
			test.edit(&n)
			_, err := judge(n.Append(nil))
			if problemOf(err) != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; want %s, and that %q", err, test.want, test.says)
			}
		})
	}
}

// While an address has a delegate who publishes, who holds the keys of its epochs as its own devices do, a document is
// proved as that of the device that signed it, for that epoch, tag and time, and as none without; what the delegate says
// itself is proved as nobody's word but hers, so not at all (SPEC 14.118).
func TestNoticeBesideADelegate(t *testing.T) {
	at, dora := receiptStart, identity.NewSigningKey([32]byte{4, 1})
	tag := wire.TagOf(noticeGrant.K, bobKeys.id())
	whole := noticeDoc(bobKeys)
	signed := func(by identity.SigningKey, tag wire.Tag, at identity.Time) wire.Doc {
		return wire.SignDoc(by, noticeGrant.E, tag, at, whole)
	}
	listed := func(roles identity.Roles) func(*identity.AddressRecord) {
		return func(r *identity.AddressRecord) {
			r.Devices = append(r.Devices, identity.Device{Key: dora.Public(), Roles: roles, Scope: []string{"note"}})
			slices.SortFunc(r.Devices, func(a, b identity.Device) int { return bytes.Compare(a.Key[:], b.Key[:]) })
		}
	}
	said := func(d wire.Doc, roles identity.Roles) Notice {
		n := notified()
		n.Rec = noticeRec(d, noticeGrant, noticeEpoch, at)
		n.Records = []wire.Signed{bobKeys.record(at.Add(-time.Hour), listed(roles))}
		return n
	}
	publisher := identity.RoleDelegate | identity.RolePublisher
	changed := signed(bobKeys.device, tag, at)
	changed.Notes = []wire.Note{{Text: "at the new mill"}}
	hers := wire.Doc{Entity: bobKeys.is(), Device: identity.DeviceIDOf(dora.Public()), Ver: 1, TTL: 150, Notes: []wire.Note{{Text: "gone fishing"}}}
	hers = wire.SignDoc(dora, noticeGrant.E, wire.TagOf(noticeGrant.K, hers.Device), at, hers)
	tests := []struct {
		name string
		n    Notice
		says string // empty: it is proved
	}{
		{"signed by his device", said(signed(bobKeys.device, tag, at), publisher), ""},
		{"not signed, and the delegate only reads", said(whole, identity.RoleDelegate|identity.RoleInbox), ""},
		{"not signed", said(whole, publisher), "has not signed the document"},
		{"signed by the delegate, under his tag", said(signed(dora, tag, at), publisher), "has not signed the document"},
		{"signed for another tag", said(signed(bobKeys.device, wire.Tag{1}, at), publisher), "has not signed the document"},
		{"signed for another time", said(signed(bobKeys.device, tag, at-1), publisher), "has not signed the document"},
		{"signed for another epoch", said(wire.SignDoc(bobKeys.device, aliceKeys.device.Public(), tag, at, whole), publisher), "has not signed the document"},
		{"signed, and changed since", said(changed, publisher), "has not signed the document"},
		{"what the delegate says", said(hers, publisher), "may not speak"},
		{"a grant of the delegate's", func() Notice {
			n := said(signed(bobKeys.device, tag, at), publisher)
			n.Said = noticeState(signatory{bobKeys.address, dora})
			return n
		}(), "may not speak"},
		{"an answer of the delegate's", func() Notice {
			n := asked()
			r, _ := wire.ParseFetchReply(n.Said.Body)
			n.Said = wire.Sign(dora, wire.TypeFetchReply, r.Append(nil))
			n.Records = said(whole, publisher).Records
			return n
		}(), "may not speak"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := judge(test.n.Append(nil))
			switch {
			case test.says == "" && (err != nil || strings.Join(s.Notes(), ",") != "at the old mill"):
				t.Errorf("%+v, %v", s, err)
			case test.says != "" && (problemOf(err) != WrongPerson || !strings.Contains(err.Error(), test.says)):
				t.Errorf("%v; want %s, and that %q", err, WrongPerson, test.says)
			}
		})
	}
}

// No octet of a notice can be changed, left out or added, in what is signed or in what is told of it.
func TestNoticeEveryOctet(t *testing.T) {
	for _, n := range []Notice{notified(), asked()} {
		whole := n.Append(nil)
		taken := func(b []byte) bool {
			_, err := judge(b)
			return err == nil
		}
		if !taken(whole) {
			t.Fatal("the notice itself is refused")
		}
		signed := bytes.Index(whole, []byte(`"signed"`))
		for i := 0; i < len(whole); i++ {
			if i > signed {
				i += 2 // each costs the check of the signatures
			}
			if i >= len(whole) {
				break
			}
			b := bytes.Clone(whole)
			b[i] ^= 1
			if taken(b) {
				t.Fatalf("octet %d changed: %q", i, b[max(0, i-20):i+1])
			}
			if i%7 == 0 && taken(append(bytes.Clone(whole[:i]), whole[i+1:]...)) {
				t.Fatalf("without octet %d", i)
			}
		}
		if taken(append(whole, ' ')) || taken(whole[:len(whole)/2]) || taken(nil) {
			t.Error("a notice with something behind it, half of one, or none is taken")
		}
	}
}

// An outside tool finds the signatures good, and reads in the record what the notice tells of it, by nothing but
// the key that the grant names and that its signer signed.
func TestNoticeByOpenSSL(t *testing.T) {
	n := notified()
	var f noticeFile
	if err := json.Unmarshal(n.Append(nil), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Signed) != 3 {
		t.Fatalf("%d signed parts", len(f.Signed))
	}
	octets := map[string][]byte{}
	for _, p := range f.Signed {
		b, _ := base64.StdEncoding.DecodeString(p.Octets)
		sig, _ := base64.StdEncoding.DecodeString(p.Signature)
		octets[p.What] = b
		if out, ok := openssl(t, p.Key, b, sig); !ok {
			t.Errorf("%s: openssl says %s", p.What, out)
		}
		b = bytes.Clone(b)
		b[len(b)-1] ^= 1
		if _, ok := openssl(t, p.Key, b, sig); ok {
			t.Errorf("%s: openssl takes other octets", p.What)
		}
	}
	i := bytes.Index(octets["grant"], append([]byte{0x0a, 32}, noticeGrant.E[:]...)) + 34
	if i < 34 || !bytes.Equal(octets["grant"][i:i+2], []byte{0x12, 32}) {
		t.Fatal("the grant does not list its keys as the notice says")
	}
	key := tool(t, nil, "kdf", "-keylen", "32", "-binary", "-kdfopt", "digest:SHA256", "-kdfopt", "hexkey:"+hex.EncodeToString(octets["grant"][i+2:i+34]),
		"-kdfopt", "salt:hum/1", "-kdfopt", "hexinfo:"+hex.EncodeToString([]byte("upd\x00")), "HKDF")
	ct := octets["record"][len(octets["record"])-len(n.Rec.CT):]
	plain := tool(t, ct[12:len(ct)-16], "enc", "-d", "-aes-256-ctr", "-K", hex.EncodeToString(key), "-iv", hex.EncodeToString(ct[:12])+"00000002")
	doc, _ := base64.StdEncoding.DecodeString(f.Documents[0].Octets)
	if len(plain) < 4+len(doc) || !bytes.Equal(plain[4:4+len(doc)], doc) || !bytes.Contains(doc, []byte("at the old mill")) {
		t.Errorf("openssl reads %x, the notice tells %x", plain, doc)
	}
}

// tool is what openssl makes of some octets.
func tool(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "in")
	if err := os.WriteFile(file, in, 0o600); err != nil {
		t.Fatal(err)
	}
	if in != nil {
		args = append(args, "-in", file)
	}
	out, err := exec.Command("openssl", args...).Output()
	if err != nil {
		t.Fatalf("openssl %s: %v", args[0], err)
	}
	return out
}

func FuzzNotice(f *testing.F) {
	f.Add(notified().Append(nil))
	f.Add(asked().Append(nil))
	f.Add([]byte(`{"hum":"notice/1","signed":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := ParseNotice(b)
		if err != nil {
			return
		}
		if !bytes.Equal(n.Append(nil), b) {
			t.Errorf("a second form of %+v: %s", n, b)
		}
		_, _ = n.Verify()
	})
}
