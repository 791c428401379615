package formats

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Notice proves to anybody, without a node, what a presentity said of himself (RFC 2779, 5.3.3). A watcher's is
// a record as it went by topic or stream, signed by its epoch's key, and the SubState in which the presentity's
// device signed that this key, and the one that opens the record, are his. One who asked once holds the answer,
// which such a device signed itself. With either go address records, as in a [Receipt].
type Notice struct {
	Said    wire.Signed    // of type SubState, or FetchReply
	E       wire.PublicKey // of the epoch, beside a SubState
	Rec     wire.Rec       // an update, beside a SubState
	Records []wire.Signed  // address records, in any order
}

// A Saying is what a notice was found to prove.
type Saying struct {
	From, To identity.Address  // whose presence it is, and who was let see it
	At       identity.Time     // by the presentity's clock
	Signer   identity.DeviceID // of the grant or of the answer
	Docs     []wire.Doc
	Opens    identity.Time // until then whoever has the file can read what is said in the epoch; 0: it holds no key
}

// Open reports whether a document shows a service as open.
func (s Saying) Open() bool {
	return slices.ContainsFunc(s.Docs, func(d wire.Doc) bool {
		return slices.ContainsFunc(d.Tuples, func(t wire.Tuple) bool { return t.Basic == wire.Open })
	})
}

// Notes are the texts of the documents.
func (s Saying) Notes() (out []string) {
	for _, d := range s.Docs {
		for _, n := range d.Notes {
			out = append(out, n.Text)
		}
	}
	return out
}

// noticeFile is how a notice is written; as of a receipt, what stands before Signed is told again for people.
type noticeFile struct {
	Hum       string           `json:"hum"`
	From      string           `json:"from"`
	To        string           `json:"to"`
	At        string           `json:"at"`
	Device    string           `json:"device"` // that signed
	Documents []noticeDocument `json:"documents"`
	Opens     string           `json:"readable_until,omitempty"`
	Limits    []string         `json:"limits"`
	Check     []string         `json:"check"`
	Signed    []signedPart     `json:"signed"`
}

type noticeDocument struct {
	Device  string   `json:"device"`
	Version uint64   `json:"version"`
	Basic   string   `json:"basic"`
	Notes   []string `json:"notes,omitempty"`
	Octets  string   `json:"octets"` // SPEC 4.1, in base64
}

const noticeVersion = "notice/1"

// Limits of what a notice proves. They stand in each, since whoever is shown one may know nothing of hum.
var (
	noticeLimits = []string{
		"it proves that FROM's device signed this, at the time that its own clock showed; not that it was true, that anybody got it, or when",
		"it cannot say whether a device was revoked by a record that is not in this file",
		"the documents are whole: they may tell the network addresses of FROM's device; TO is named as one who was let see them",
	}
	recordLimits = []string{
		"the record is signed by the key of an epoch, which all devices of FROM held that publish: which of them it was is their own word",
		"the grant holds the key of that epoch: whoever has this file can read what FROM says in it until READABLE_UNTIL",
	}
	recordChecks = []string{
		"the grant lists, as octets 0a20 and 32 bytes, the key that signed the record, and after it, as 1220 and 32 bytes, the key K that opens it",
		"what it says: the record's octets end in 12 of nonce, then AES-256-GCM under HKDF-SHA256 of K, salt hum/1, info 'upd' and 00: openssl kdf, then openssl enc -d -aes-256-ctr with the nonce and 00000002 as iv; u32 length, document, zeros, 16 of tag",
	}
)

// Append appends the notice as a JSON document; the same notice always gives the same octets. It is for signed
// parts that parse.
func (n Notice) Append(b []byte) []byte {
	f := noticeFile{Hum: noticeVersion, Limits: noticeLimits, Check: []string{"with hum: hum verify FILE", bySignature, byRecord}, Signed: []signedPart{partOf(n.Said)}}
	if s, docs, err := n.read(); err == nil {
		f.From, f.To, f.At, f.Device = s.From.String(), s.To.String(), receiptTime(s.At), s.Signer.String()
		for i, d := range s.Docs {
			one := Saying{Docs: s.Docs[i : i+1]}
			f.Documents = append(f.Documents, noticeDocument{d.Device.String(), d.Ver, basicWord(one.Open()), one.Notes(), base64.StdEncoding.EncodeToString(docs[i])})
		}
		if s.Opens != 0 {
			f.Opens = receiptTime(s.Opens)
		}
	}
	if n.Said.Type == wire.TypeSubState {
		f.Limits, f.Check = slices.Concat(noticeLimits, recordLimits), slices.Concat(f.Check, recordChecks)
		f.Signed = append(f.Signed, newPart("record", n.E, n.Rec.Sig, append(recLabel(n.E), n.Rec.Body...)))
	}
	for _, s := range n.Records {
		f.Signed = append(f.Signed, partOf(s))
	}
	return appendProof(b, f)
}

func basicWord(open bool) string {
	if open {
		return wire.Open.String()
	}
	return wire.Closed.String()
}

// recLabel is what stands before the body of a record under its signature (SPEC 4.4).
func recLabel(e wire.PublicKey) []byte {
	return append(append(identity.DS("rec"), byte(wire.ContextTopic)), e[:]...)
}

// IsNotice reports whether a document says that it is a notice.
func IsNotice(b []byte) bool {
	var f struct{ Hum string }
	return json.Unmarshal(b, &f) == nil && f.Hum == noticeVersion
}

// ParseNotice reads a notice, strictly: what is not exactly as [Notice.Append] writes it is refused. No signature
// is checked. Errors are *[Error]: [TooLarge], [NotOfFormat], [Altered].
func ParseNotice(b []byte) (n Notice, err error) {
	if len(b) > MaxReceipt {
		return n, problem(TooLarge, 0, "%d bytes are more than a notice has", len(b))
	}
	var f noticeFile
	if err := json.Unmarshal(b, &f); err != nil || f.Hum != noticeVersion {
		return n, problem(NotOfFormat, 0, "this is no notice that hum export notice wrote")
	}
	for i, p := range f.Signed {
		if i == 1 && n.Said.Type == wire.TypeSubState {
			err = n.readRecord(p)
		} else {
			err = n.readPart(i, p)
		}
		if err != nil {
			return n, problem(Altered, 0, "signed part %d: %v", i, err)
		}
	}
	if n.Said.Type == 0 {
		return n, problem(NotOfFormat, 0, "a notice of which nothing is signed")
	}
	if back := n.Append(nil); !bytes.Equal(back, b) {
		return n, problem(Altered, differs(back, b), "the document says something else than what was signed")
	}
	return n, nil
}

func (n *Notice) readPart(i int, p signedPart) error {
	s, err := p.read()
	switch {
	case err != nil:
		return err
	case i == 0 && (s.Type == wire.TypeSubState || s.Type == wire.TypeFetchReply):
		n.Said = s
	case i > 0 && s.Type == wire.TypeAddressRecord:
		n.Records = append(n.Records, s)
	default:
		return fmt.Errorf("a %v is not expected there", s.Type)
	}
	return nil
}

func (n *Notice) readRecord(p signedPart) error {
	key, sig, octets, err := p.raw()
	if err != nil {
		return err
	}
	body, ok := bytes.CutPrefix(octets, recLabel(wire.PublicKey(key)))
	if !ok {
		return fmt.Errorf("no record of that key")
	}
	n.E = wire.PublicKey(key)
	n.Rec, err = wire.ParseRec(wire.Rec{Body: body, Sig: sig}.Append(nil))
	return err
}

// read returns what the parts say, and the octets of each document; no signature is checked. Errors are *[Error]:
// [NotOfFormat], [WrongPerson].
func (n Notice) read() (s Saying, docs [][]byte, err error) {
	s.Signer = identity.DeviceIDOf(n.Said.Key)
	if n.Said.Type == wire.TypeFetchReply {
		r, err := wire.ParseFetchReply(n.Said.Body)
		if err != nil {
			return s, nil, problem(NotOfFormat, 0, "the answer: %v", err)
		}
		s.From, s.To, s.At, docs = r.From, r.To, r.AsOf, r.Docs
	} else if docs, err = n.readGranted(&s); err != nil {
		return s, nil, err
	}
	for _, b := range docs {
		d, err := wire.ParseDoc(b)
		switch {
		case err != nil:
			return s, nil, problem(NotOfFormat, 0, "a document: %v", err)
		case d.Entity != s.From:
			return s, nil, problem(WrongPerson, 0, "the document is of %s", d.Entity)
		}
		s.Docs = append(s.Docs, d)
	}
	if len(docs) == 0 {
		return s, nil, problem(NotOfFormat, 0, "nothing is said in it")
	}
	return s, docs, nil
}

// readGranted opens the record by the key that the SubState grants.
func (n Notice) readGranted(s *Saying) (docs [][]byte, err error) {
	st, err := wire.ParseSubState(n.Said.Body)
	if err != nil {
		return nil, problem(NotOfFormat, 0, "the grant: %v", err)
	}
	s.From, s.To, s.At = st.From, st.To, n.Rec.T
	for _, g := range []*wire.Grant{st.Grant, st.Next} {
		if st.State != wire.SubActive || g == nil || g.E != n.E {
			continue
		}
		if s.Opens = g.NotAfter; s.At < g.NotBefore.Add(-identity.Skew) || s.At > g.NotAfter.Add(identity.Skew) {
			return nil, problem(Expired, 0, "the record is of %s, outside the time of its epoch", day(s.At))
		}
		doc, err := wire.OpenDoc(g.K, n.E, n.Rec.Tag, n.Rec.T, n.Rec.CT)
		if err != nil {
			return nil, problem(WrongPerson, 0, "the key that was granted does not open the record: %v", err)
		}
		if d, err := wire.ParseDoc(doc); err == nil && n.Rec.Tag != wire.TagOf(g.K, d.Device) {
			return nil, problem(WrongPerson, 0, "the record is not of the device that its document names")
		}
		return [][]byte{doc}, nil
	}
	return nil, problem(WrongPerson, 0, "the key of the record is not the one that was granted")
}

// Verify checks a notice and returns what it proves: its signatures, that the presentity had certified the device
// that granted or answered at that time, and each device of which there is a document, as one that publishes.
// Errors are *[Error]: [BadSignature], [WrongPerson], [Revoked], [Expired], [NotOfFormat].
func (n Notice) Verify() (Saying, error) {
	s, _, err := n.read()
	if err != nil {
		return s, err
	}
	granted := n.Said.Type == wire.TypeSubState
	if granted && !n.Rec.Verify(n.E) {
		return s, problem(BadSignature, 0, "the signature of the record does not hold")
	}
	what, at, role := "answer", s.At, identity.Roles(0)
	if granted {
		st, _ := wire.ParseSubState(n.Said.Body) // it was read
		what, at, role = "grant", st.Seq, identity.RolePublisher
	}
	if err := signer(n.Records, what, n.Said, s.From, s.Signer, at, role); err != nil {
		return s, err
	}
	for _, d := range s.Docs {
		if err := spoke(n.Records, "document", s.From, d.Device, s.At, identity.RolePublisher); err != nil {
			return s, err
		}
		if granted && !n.signedBy(s.From, d) {
			return s, problem(WrongPerson, 0, "%s has a delegate who publishes, and the device has not signed the document", s.From)
		}
	}
	return s, nil
}

// signedBy reports whether the device of a document signed it, if its record must be: while the address has a delegate
// who publishes (SPEC 14.118).
func (n Notice) signedBy(a identity.Address, d wire.Doc) bool {
	for _, r := range n.Records {
		rec, err := wire.ParseAddressRecord(r.Body)
		if err != nil || rec.Address != a || !slices.ContainsFunc(rec.Devices, func(x identity.Device) bool {
			return x.Roles&identity.RoleDelegate != 0 && x.Roles&identity.RolePublisher != 0
		}) {
			continue
		}
		by, _ := rec.Device(d.Device)
		if _, ok := wire.UnsignDoc(by.Key, n.E, n.Rec.Tag, n.Rec.T, d); !ok {
			return false
		}
	}
	return true
}
