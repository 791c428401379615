package node

import (
	"cmp"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// KindNotice is the export that proves to anybody what somebody said of himself.
const KindNotice = "notice"

// A heldNotice is how the newest document of a device of somebody came, with all that binds it to his address. It
// holds a key of his, and goes when the document does.
type heldNotice struct {
	T      identity.Stamp
	E      wire.PublicKey
	Rec    []byte
	Grant  []byte // the SubState that granted E, as it was signed
	Record []byte // his address record, as it was signed
}

// keepNotice keeps how a document came that is news.
func (n *Node) keepNotice(t *txn, w presence.Watching, x record) error {
	pin := n.pins.get(x.of)
	if pin == nil {
		return nil
	}
	return put(t, store.Notice(x.of, x.doc.Device), heldNotice{x.rec.T, x.e, x.rec.Append(nil), w.Raw, pin.Raw})
}

// exportNotice returns the proof of what somebody said last of himself: by the newest notice of any of his devices
// that proves something, or by his answer if I asked him since. What a delegate of his says proves nothing.
func (n *Node) exportNotice(who string) (out Export, err error) {
	a, err := n.address(who)
	if err != nil {
		return out, err
	}
	said, err := n.provable(a)
	if err != nil {
		return out, err
	}
	err = &Error{Kind: KindUnreachable, Code: "no-notice", Message: "nothing that " + n.name(a) + " signed of himself is kept here", Advice: "watch him: hum watch " + n.whoWord(a) + "; or ask him once: hum fetch " + n.whoWord(a)}
	for i, x := range said {
		content := x.notice.Append(nil)
		_, why := VerifyNotice(content)
		if why == nil {
			return Export{Type: formats.TypeReceipt, Entity: a.Pres(), Content: content}, nil
		}
		if i == 0 {
			err = &Error{Code: "no-notice", Message: "nothing can be proved of what " + n.name(a) + " said: " + plain(why), Advice: "see: hum who " + n.whoWord(a) + " --why"}
		}
	}
	return Export{}, err
}

// A provable is a notice that has not been verified, and when by his clock it was said.
type provable struct {
	at     identity.Time
	notice formats.Notice
}

// provable returns all that is held of what somebody said of himself, the newest first.
func (n *Node) provable(a identity.Address) (out []provable, err error) {
	add := func(at identity.Time, p formats.Notice, record []byte) (err error) {
		p.Records, err = n.certificates([][]byte{record}, a)
		out = append(out, provable{at, p})
		return err
	}
	err = n.view(func(t *txn) error {
		f, _, err := find[presence.Fetched](t, store.Fetched(a))
		if err != nil {
			return err
		}
		if len(f.Raw) > 0 {
			s, err := wire.ParseSigned(f.Raw)
			if err != nil {
				return err
			}
			if err := add(f.AsOf, formats.Notice{Said: s}, f.Record); err != nil {
				return err
			}
		}
		return rows(t, store.NoticesOf(a), store.ScanOptions{}, func(_ store.Key, x heldNotice) (bool, error) {
			if len(x.Grant) == 0 {
				return true, nil
			}
			p, err := x.proof()
			if err != nil {
				return false, err
			}
			return true, add(x.T, p, x.Record)
		})
	})
	slices.SortStableFunc(out, func(x, y provable) int { return cmp.Compare(y.at, x.at) })
	return out, err
}

func (x heldNotice) proof() (p formats.Notice, err error) {
	rec, err := wire.ParseRec(x.Rec)
	if err != nil {
		return p, err
	}
	p.E, p.Rec = x.E, rec
	p.Said, err = wire.ParseSigned(x.Grant)
	return p, err
}

// A VerifiedNotice is what a notice proves.
type VerifiedNotice struct {
	From, To identity.Address // whose presence it is, and who was let see it
	At       time.Time        // by the presentity's clock
	Device   identity.DeviceID
	Open     bool
	Notes    []string
	Docs     []wire.Doc
	Opens    time.Time // until then the file opens what else is said in the same epoch; zero: it holds no key
}

// IsNotice reports whether a document is for [VerifyNotice] rather than for [Verify].
func IsNotice(content []byte) bool { return formats.IsNotice(content) }

// VerifyNotice checks a notice; it needs no node and no network. The code of its error names what is wrong, as
// that of [Verify].
func VerifyNotice(content []byte) (v VerifiedNotice, err error) {
	p, err := formats.ParseNotice(content)
	if err != nil {
		return v, noticeError(err)
	}
	s, err := p.Verify()
	if err != nil {
		return v, noticeError(err)
	}
	v = VerifiedNotice{From: s.From, To: s.To, At: s.At.Go(), Device: s.Signer, Open: s.Open(), Notes: s.Notes(), Docs: s.Docs}
	if s.Opens != 0 {
		v.Opens = s.Opens.Go()
	}
	return v, nil
}

func noticeError(err error) error { return proofError(err, "notice", "hum export notice WHO") }
