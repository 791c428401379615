package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/policy"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A ViewOf is a view of mine: who is in it, and what it shows.
type ViewOf struct {
	Name     string
	Show     []string // the words of presence.FilterWords
	Own      bool     // it has a choice of its own
	Public   bool     // everybody may read it: how many do is not known
	Members  []Contact
	Watchers int
	Shown    []Document // what its members see now
	Digest   string     // of what is current in Shown, see digestOf; "" if nothing is
}

// A ViewEdit says what is to change about a view; one that there is not yet begins with nothing shown but
// whether I am there.
type ViewEdit struct {
	Name         string
	Show, Hide   []string // words of presence.FilterWords; what is hidden wins
	Add, Remove  []string // WHO
	Common       bool     // no choice of its own any more
	Delete       bool     // its members fall back to what else holds for them
	Known        bool     // it must be there already
	NothingFirst bool     // begin with nothing shown
	Public       *bool    // everybody may read it, or only its members
}

// A Document is what one device of mine says in one view, as whoever holds the key reads it.
type Document struct {
	View     string
	Device   identity.DeviceID
	Version  uint64
	At       time.Time // it was signed; zero: it has not been published, as nobody watches
	Ended    time.Time // nothing new follows it under this key, since he left the view; zero: it is current
	Lease    time.Duration
	Tuples   []TupleOf
	Notes    []string
	Contacts []string
	Status   []wire.Status // of the person
	Imported bool          // it carries a document of another format
	Digest   [32]byte      // SHA-256 of its bytes
}

// maxViews bounds the views that a user makes.
const maxViews = 32

var viewName = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,31}$`)

// mustBeView errs unless there is a view of this name that people can be put in.
func (n *Node) mustBeView(t *txn, name string) error {
	if name == presence.DefaultView {
		return nil
	}
	_, err := t.Get(store.ViewNamed(name))
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	var known []string
	for k := range t.Scan(store.AllViews(), store.ScanOptions{KeysOnly: true}) {
		known = append(known, k.Name())
	}
	return &Error{Kind: KindUsage, Code: "unknown-view", Message: fmt.Sprintf("there is no view %q%s", clip(name), didYouMean(name, known)),
		Advice: "see hum view, or make it: hum view " + cmp.Or(viewName.FindString(name), "NAME") + " --show note"}
}

// Views are the views that I made, and the default view, without what they show.
func (n *Node) Views(context.Context) (out []ViewOf, err error) {
	err = n.view(func(t *txn) error {
		names, err := n.viewNames(t)
		for _, name := range names {
			if err != nil {
				return err
			}
			if _, made := t.Get(store.ViewNamed(name)); made != nil && name != presence.DefaultView {
				continue
			}
			var v ViewOf
			if v, err = n.viewFace(t, name); err == nil {
				out = append(out, v)
			}
		}
		return err
	})
	return out, err
}

func (n *Node) viewFace(t *txn, name string) (v ViewOf, err error) {
	f, _, err := find[face](t, store.ViewNamed(name))
	if err != nil {
		return v, err
	}
	v = ViewOf{Name: name, Show: f.Filter.Words(), Own: f.Own != nil, Public: f.Public}
	err = errors.Join(
		rows(t, store.AllRules(), store.ScanOptions{}, func(k store.Key, r policy.Rule) (bool, error) {
			if r.Group == name {
				a := k.Address()
				v.Members = append(v.Members, Contact{Address: a, Petname: n.petname(a)})
			}
			return true, nil
		}),
		rows(t, store.AllWatchers(), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
			if w.Reads() && w.InView() == name {
				v.Watchers++
			}
			return true, nil
		}))
	return v, err
}

// View is one view of mine, and what its members see now.
func (n *Node) View(_ context.Context, name string) (v ViewOf, err error) {
	err = n.view(func(t *txn) error {
		if err := n.mustBeView(t, name); err != nil {
			return err
		}
		if v, err = n.viewFace(t, name); err != nil {
			return err
		}
		view, pub, err := n.loadView(t, name)
		if err != nil {
			return err
		}
		d, err := wire.ParseDoc(pub.Face(t.now, view))
		doc := documentOf(name, d)
		if len(view.Publishing(t.now)) > 0 {
			doc.At = pub.Said().Go()
		}
		v.Shown, v.Digest = []Document{doc}, digestOf(d)
		return err
	})
	return v, err
}

func documentOf(view string, d wire.Doc) Document {
	out := Document{View: view, Device: d.Device, Version: d.Ver, Lease: time.Duration(d.TTL) * time.Second, Contacts: d.Contact, Status: d.Status, Imported: len(d.PIDF) > 0,
		Digest: sha256.Sum256(d.Append(nil))}
	for _, t := range d.Tuples {
		out.Tuples = append(out.Tuples, tupleOf(d.Device, t))
	}
	for _, x := range d.Notes {
		out.Notes = append(out.Notes, x.Text)
	}
	return out
}

// EditView changes what a view shows and who is in it, and publishes what has changed. Those who are moved get
// the key of their new view, and the old one changes its key without them.
func (n *Node) EditView(ctx context.Context, e ViewEdit) (v ViewOf, err error) {
	if err := n.checkOwn("make views"); err != nil {
		return v, err
	}
	if !viewName.MatchString(e.Name) {
		return v, &Error{Kind: KindUsage, Code: "bad-view", Message: fmt.Sprintf("%q cannot be the name of a view", clip(e.Name)), Advice: "it has 1 to 32 of a–z, 0–9, - and _"}
	}
	if e.Public != nil {
		if err := errors.Join(n.needPresence(), n.checkAdmin("say in your record who may read a view")); err != nil {
			return v, err
		}
	}
	add, err := n.addresses(e.Add)
	if err != nil {
		return v, err
	}
	remove, err := n.addresses(e.Remove)
	if err != nil {
		return v, err
	}
	err = n.update(func(t *txn) error {
		f, made, err := find[face](t, store.ViewNamed(e.Name))
		if err != nil {
			return err
		}
		if made, err = n.makeView(t, e, made); err != nil || e.Delete {
			return err
		}
		if f, err = e.apply(f, made); err != nil {
			return err
		}
		turned := e.Public != nil && *e.Public != f.Public
		if turned {
			if f.Public = *e.Public; f.Public {
				err = n.mayBePublic(t, e.Name)
			}
		}
		if err != nil {
			return err
		}
		if err := n.saveFace(t, e.Name, f); err != nil {
			return err
		}
		if turned {
			err = n.setPublic(t, e.Name, f.Public)
		}
		for _, a := range add {
			err = errors.Join(err, n.regroup(t, a, "", e.Name))
		}
		for _, a := range remove {
			err = errors.Join(err, n.regroup(t, a, e.Name, ""))
		}
		return errors.Join(err, n.sayAll(t, &Published{}))
	})
	n.serving.nudge()
	n.publish.nudge()
	if err != nil || e.Delete {
		return ViewOf{Name: e.Name}, saveError(n.cfg.Home, err)
	}
	return n.View(ctx, e.Name)
}

// makeView checks that a view may be edited, or deletes it.
func (n *Node) makeView(t *txn, e ViewEdit, made bool) (bool, error) {
	made = made || e.Name == presence.DefaultView
	switch {
	case (e.Known || e.Delete) && !made:
		return made, n.mustBeView(t, e.Name)
	case e.Delete && e.Name == presence.DefaultView:
		return made, &Error{Kind: KindUsage, Code: "bad-view", Message: "the default view stays: it is of all for whom no other is named", Advice: "show less in it: hum view default --hide note"}
	case e.Delete:
		return made, n.deleteView(t, e.Name)
	case !made && t.Count(store.AllViews()) >= maxViews:
		return made, &Error{Kind: KindUsage, Code: "too-many-views", Message: fmt.Sprintf("there are %d views already", maxViews), Advice: "delete one: hum view NAME --delete"}
	}
	return made, nil
}

// apply returns what is said of a view after the edit.
func (e ViewEdit) apply(f face, made bool) (face, error) {
	if !made || e.NothingFirst {
		f.Filter = presence.Filter{Limited: true}
	}
	if e.Common {
		f.Own = nil
	}
	for i, word := range slices.Concat(e.Show, e.Hide) {
		ok := false
		if i < len(e.Show) {
			f.Filter, ok = f.Filter.With(word)
		} else {
			f.Filter, ok = f.Filter.Without(word)
		}
		if !ok {
			return f, &Error{Kind: KindUsage, Code: "bad-word", Message: fmt.Sprintf("%q is nothing that a view shows or hides%s", clip(word), didYouMean(word, presence.FilterWords())), Advice: "hum view --help lists all"}
		}
	}
	return f, nil
}

func (n *Node) addresses(who []string) (out []identity.Address, err error) {
	for _, w := range who {
		a, err := n.asker(w)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// regroup makes somebody a member of a view instead of from, and of none if to is ""; whoever is not in from
// stays, unless it is "". Nobody is a member of two.
func (n *Node) regroup(t *txn, a identity.Address, from, to string) error {
	r, err := n.rule(t, a)
	if err != nil || from != "" && r.Group != from {
		return err
	}
	return errors.Join(n.setRule(t, a, r.In(t.now, to)), n.applyRules(t, a))
}

// deleteView takes a view away, and everybody out of it.
func (n *Node) deleteView(t *txn, name string) error {
	if public, err := isPublic(t, name); err != nil {
		return err
	} else if public {
		if err := errors.Join(n.checkAdmin("say in your record that nobody may read it any more"), n.shutPublic(t, name)); err != nil {
			return err
		}
	}
	if err := n.deleteFace(t, name); err != nil {
		return err
	}
	changed := map[identity.Address]policy.Rule{}
	err := rows(t, store.AllRules(), store.ScanOptions{}, func(k store.Key, r policy.Rule) (bool, error) {
		old := r
		if r.Group == name {
			r = r.In(t.now, "")
		}
		if r.View == name {
			r = r.Shown(t.now, "")
		}
		if r != old {
			changed[k.Address()] = r
		}
		return true, nil
	})
	for a, r := range changed {
		err = errors.Join(err, n.setRule(t, a, r))
	}
	book, failed := bookOf(t)
	err = errors.Join(err, failed)
	for _, c := range policy.Classes() {
		if d := book.Defaults[c]; d.View == name {
			d.View = ""
			err = errors.Join(err, n.setDefault(t, c, d))
		}
	}
	return errors.Join(err, n.applyRulesToAll(t))
}

// ViewAs is exactly what somebody can decrypt of me now: what was really published, opened with the keys that
// he was told.
func (n *Node) ViewAs(_ context.Context, who string) (v ViewOf, err error) {
	a, err := n.asker(who)
	if err != nil {
		return v, err
	}
	var all []openedDoc
	err = n.view(func(t *txn) error {
		j, err := n.judge(t, a, 0, "")
		if err != nil {
			return err
		}
		v = ViewOf{Name: j.View}
		keys, err := n.keysOf(t, a)
		if err != nil {
			return err
		}
		return n.eachView(func(do func(*txn) error) error { return do(t) }, func(t *txn, view presence.View, _ presence.Publisher) error {
			for _, e := range view.Epochs {
				if !keys[e.E] {
					continue
				}
				shown, err := n.opened(t, view, e)
				if err != nil {
					return err
				}
				all = append(all, shown...)
			}
			return nil
		})
	})
	slices.SortFunc(all, func(a, b openedDoc) int {
		return cmp.Or(a.shown.Ended.Compare(b.shown.Ended), b.shown.At.Compare(a.shown.At))
	})
	var current []wire.Doc
	for _, d := range newestOf(all) {
		v.Shown = append(v.Shown, d.shown)
		had := slices.ContainsFunc(current, func(o wire.Doc) bool { return o.Device == d.doc.Device })
		if d.shown.Ended.IsZero() && !had {
			current = append(current, d.doc)
		}
	}
	v.Digest = digestOf(current...)
	return v, err
}

// digestOf is the digest of what somebody is shown: in hexadecimal, SHA-256 of the documents, the newest of
// each device, in the order of the devices; of one device that of its document. Both sides can say it, so
// that they can compare what was disclosed with what is read (RFC 2779, 5.1.4).
func digestOf(docs ...wire.Doc) string {
	if len(docs) == 0 {
		return ""
	}
	docs = slices.SortedFunc(slices.Values(docs), func(a, b wire.Doc) int { return slices.Compare(a.Device[:], b.Device[:]) })
	h := sha256.New()
	for _, d := range docs {
		h.Write(d.Append(nil))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// An openedDoc is a document as it was published.
type openedDoc struct {
	doc   wire.Doc
	shown Document
}

// keysOf are the E of the epochs whose keys somebody was ever told, as far as this device told them, and of those
// that all who read his view are told, whichever device does so.
func (n *Node) keysOf(t *txn, a identity.Address) (map[wire.PublicKey]bool, error) {
	keys := map[wire.PublicKey]bool{}
	err := rows(t, store.WatchersOf(a), store.ScanOptions{}, func(_ store.Key, w presence.Watcher) (bool, error) {
		for _, e := range append(slices.Clone(w.Told), w.Grant, w.Next) {
			keys[e] = true
		}
		if !w.Reads() {
			return true, nil
		}
		view, _, err := n.loadView(t, w.InView())
		for _, e := range view.Publishing(t.now) {
			keys[e.E] = true
		}
		return true, err
	})
	return keys, err
}

// opened are the documents that were published in an epoch, the newest of each device.
func (n *Node) opened(t *txn, view presence.View, e presence.Epoch) (out []openedDoc, err error) {
	recs, err := n.said(t, e)
	for _, r := range recs {
		if r.IsBeacon() {
			continue
		}
		b, err := wire.OpenDoc(e.K, e.E, r.Tag, r.T, r.CT)
		if err != nil {
			continue
		}
		d, err := wire.ParseDoc(b)
		if err != nil {
			continue
		}
		doc := documentOf(view.Name, d)
		doc.At = r.T.Go()
		if e.EndedAt != 0 {
			doc.Ended = e.EndedAt.Go()
		}
		out = append(out, openedDoc{d, doc})
	}
	return out, err
}

// newestOf keeps the newest current document of each device, and those behind which nothing follows: what is
// current comes first.
func newestOf(all []openedDoc) (out []openedDoc) {
	for _, d := range all {
		if !slices.ContainsFunc(out, func(o openedDoc) bool { return o.doc.Device == d.doc.Device && o.shown.View == d.shown.View }) {
			out = append(out, d)
		}
	}
	return out
}
