package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
)

// The kinds of documents that are exported and imported.
const (
	KindPIDF  = "pidf"
	KindWinfo = "winfo"
	KindRules = "pres-rules"
)

// An ExportQuery says which document is wanted.
type ExportQuery struct {
	Kind     string // KindPIDF, KindWinfo, KindRules, KindCPIM, KindIMDN, KindReceipt, KindNotice
	Who      string // of PIDF: whose, and a handle is how the document names him; "" is mine; of a notice: whose
	ID       string // of a message: which, or the beginning of it
	View     string // of mine: as its members see me; "" is the default view
	Composed bool   // of PIDF: composed of all that is said, even where an imported document could stand for it
}

// An Export is a standard document.
type Export struct {
	Type     string // MIME
	Content  []byte
	Entity   string // URI of whom it is about, as the document says it: a claim, if it is not an address of hum
	Imported bool   // the octets are those that its author imported
	Evidence string // of another's presence: said, lapsed, unknown, cached
}

// An Import is what became of a document that was read.
type Import struct {
	Kind      string
	Tuples    int      // services taken over
	Notes     int      // and notes
	Contacts  []string // and bare contacts
	Rules     int      // of pres-rules: rules taken over
	Kept      bool     // the octets are carried unchanged
	Skipped   []string // what is not used, and why
	Published Published
	Sent      *Sent // of cpim: the message that it became
}

// Export returns a standard document: of my presence or somebody else's, of who watches me, of who may, of a
// message and what became of it.
func (n *Node) Export(ctx context.Context, q ExportQuery) (Export, error) {
	switch q.Kind {
	case KindPIDF:
		if q.Who == "" {
			return n.exportMine(q)
		}
		return n.exportOther(q)
	case KindWinfo:
		return n.exportWinfo()
	case KindRules:
		return n.exportRules()
	case KindCPIM, KindIMDN:
		return n.exportLetter(q.Kind, q.ID)
	case KindReceipt:
		return n.exportReceipt(q.ID)
	case KindNotice:
		return n.exportNotice(q.Who)
	}
	return Export{}, wrongKind(q.Kind, KindPIDF, KindWinfo, KindRules, KindCPIM, KindIMDN, KindReceipt, KindNotice)
}

func wrongKind(kind string, known ...string) error {
	return &Error{Kind: KindUsage, Code: wire.ReasonUnsupportedType.String(), Message: fmt.Sprintf("%q is no kind of document that hum handles", kind),
		Advice: "it is one of " + strings.Join(known, ", ")}
}

// exportMine returns what the members of a view see of me: what this device says, and my others as far as
// they are heard.
func (n *Node) exportMine(q ExportQuery) (out Export, err error) {
	if err := n.needPresence(); err != nil {
		return out, err
	}
	name := q.View
	if name == "" {
		name = presence.DefaultView
	}
	var docs []wire.Doc
	err = n.view(func(t *txn) error {
		names, err := n.viewNames(t)
		if err != nil {
			return err
		}
		if !slices.Contains(names, name) {
			return &Error{Kind: KindUsage, Code: "unknown-name", Message: fmt.Sprintf("there is no view %q", name), Advice: "it is one of " + strings.Join(names, ", ")}
		}
		view, pub, err := n.loadView(t, name)
		if err != nil {
			return err
		}
		doc, err := wire.ParseDoc(pub.Face(t.now, view))
		docs = append(docs, doc)
		return err
	})
	if err != nil {
		return out, saveError(n.cfg.Home, err)
	}
	if k := n.presence.knownOf(n.self.Address); k != nil && name == presence.DefaultView {
		p := n.presence.copyOf(k)
		for _, d := range p.Documents(n.now(), n.sight(n.self.Address)) {
			if d.Device != n.self.Device {
				docs = append(docs, d)
			}
		}
	}
	return pidf(n.subject(n.self.Address, q.Who), docs, q.Composed, ""), nil
}

// exportOther returns what somebody says of himself now. If nothing that he said still holds, the document
// says nothing of his services: only he can say that they are closed.
func (n *Node) exportOther(q ExportQuery) (out Export, err error) {
	a, err := n.address(q.Who)
	if err != nil {
		return out, err
	}
	if a == n.self.Address {
		return n.exportMine(q)
	}
	about, shown := n.subject(a, q.Who), n.presenceOf(a)
	if k := n.presence.knownOf(a); k != nil {
		p := n.presence.copyOf(k)
		if docs := p.Documents(n.now(), n.sight(a)); len(docs) > 0 && shown.Evidence == presence.Said.String() {
			return pidf(about, docs, q.Composed, shown.Evidence), nil
		}
	}
	why := "nothing that he said still holds"
	if len(shown.Why) > 0 {
		why = strings.Join(shown.Why, "; ")
	}
	return Export{Type: formats.TypePIDF, Content: about.Empty(why), Entity: about.Entity(), Evidence: shown.Evidence}, nil
}

func pidf(about formats.Subject, docs []wire.Doc, composed bool, evidence string) Export {
	out := Export{Type: formats.TypePIDF, Entity: about.Entity(), Evidence: evidence}
	if composed {
		out.Content = about.Compose(docs)
		return out
	}
	out.Content = about.PIDF(docs)
	if len(docs) == 1 {
		if entity, ok := about.Imported(docs[0]); ok {
			out.Entity, out.Imported = entity, true
		}
	}
	return out
}

// Import takes over a standard document: the services of a PIDF document become mine, and are published. An
// empty content takes back what was imported.
func (n *Node) Import(ctx context.Context, kind string, content []byte) (Import, error) {
	switch kind {
	case KindPIDF:
		return n.ImportPIDF(ctx, "", content)
	case KindRules:
		return n.importRules(content)
	case KindCPIM:
		return n.importCPIM(ctx, content)
	}
	return Import{}, wrongKind(kind, KindPIDF, KindRules, KindCPIM)
}

// ImportPIDF is Import of a PIDF document, shown in one view alone if it is named: that view then has a choice of
// its own, as by Set.
func (n *Node) ImportPIDF(_ context.Context, view string, content []byte) (out Import, err error) {
	if err := n.needPresence(); err != nil {
		return out, err
	}
	out.Kind = KindPIDF
	d := &formats.Document{}
	if len(content) > 0 {
		if d, err = formats.ParsePIDF(content); err != nil {
			return out, documentError(err)
		}
	}
	if a, ok := d.About(); ok && a != n.self.Address {
		return out, &Error{Kind: KindUsage, Code: wire.ReasonBindingInvalid.String(), Message: "the document is about " + short(a) + ", and not about you",
			Advice: "its entity must be " + n.self.Address.Pres() + ", or a name of yours"}
	}
	if n.isAnothers(n.self.Address)(d.Entity) {
		return out, &Error{Kind: KindUsage, Code: wire.ReasonBindingInvalid.String(), Message: "the document is about " + d.Entity + ", which is another's name",
			Advice: "its entity must be " + n.self.Address.Pres() + ", or a name of yours"}
	}
	keep := n.withoutMyInbox(d, &out)
	// The octets need room beside what was understood of them: without them more fits.
	for _, keep := range []bool{keep && len(d.Octets) <= wire.MaxPIDF, false} {
		out.Published, err = n.choose(view, func(c *presence.Choice) { takeOver(c, d, keep) })
		if out.Kept = keep; err == nil || !tooLarge(err) {
			break
		}
	}
	if tooLarge(err) {
		return out, &Error{Kind: KindUsage, Code: wire.ReasonTooLarge.String(), Advice: "take out tuples or notes",
			Message: fmt.Sprintf("what the document says does not fit: a presence document has at most %d tuples, one of them your own, and %d bytes", wire.MaxTuples, wire.MaxDoc)}
	}
	out.Tuples, out.Notes, out.Contacts = len(d.Tuples), len(d.Notes), d.Contacts
	for _, s := range d.Skipped {
		out.Skipped = append(out.Skipped, fmt.Sprintf("line %d: <%s>: %s", s.Line, s.Local, s.Why))
	}
	if len(d.Octets) > 0 && !out.Kept {
		out.Skipped = append(out.Skipped, "the octets themselves are not carried: only what is understood is published")
	}
	return out, err
}

// withoutMyInbox takes the tuples of my own inbox out of d: whether it is open is said by hum set, and by
// nothing else (SPEC 5.2). It reports whether there were none, so that the octets may stand for me.
func (n *Node) withoutMyInbox(d *formats.Document, out *Import) (none bool) {
	before := len(d.Tuples)
	d.Tuples = slices.DeleteFunc(d.Tuples, func(t wire.Tuple) bool {
		a, ok := formats.AddressOf(t.Contact)
		mine := ok && a == n.self.Address
		if mine {
			out.Skipped = append(out.Skipped, fmt.Sprintf("tuple %s: your own inbox is opened and closed by hum set", t.ID))
		}
		return mine
	})
	return len(d.Tuples) == before
}

// takeOver makes what an imported document says the user's choice, instead of what an earlier one said.
func takeOver(c *presence.Choice, d *formats.Document, keep bool) {
	c.Offline = false
	c.Tuples, c.Contacts, c.Status, c.PIDF = d.Tuples, d.Contacts, d.Status, nil
	c.Note, c.Lang, c.Notes = "", "", nil
	if len(d.Notes) > 0 {
		c.Note, c.Lang, c.Notes = d.Notes[0].Text, d.Notes[0].Lang, slices.Clone(d.Notes[1:])
	}
	if keep {
		c.PIDF = d.Octets
	}
}

func tooLarge(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Code == wire.ReasonTooLarge.String()
}

// documentError says what is wrong with a document, under the problem's own name.
func documentError(err error) error {
	var e *formats.Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{Kind: KindUsage, Code: string(e.Problem), Message: e.Error(), Advice: "mend the document; nothing of it was taken over"}
}

// needPresence errs if this address is for messages only.
func (n *Node) needPresence() error {
	if n.self.Services&identity.Presentity != 0 {
		return nil
	}
	return &Error{Kind: KindUsage, Code: wire.ReasonNoPresenceService.String(), Message: "this address is for messages only: it publishes no presence"}
}
