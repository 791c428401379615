package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// One view may be public (SPEC 8): the record of the address tells the keys of its present epoch, so that everybody who
// has the record reads what is said there, and nobody is asked, counted or told. It is off until the owner turns it
// on; it is never the default view, which is for people, and its documents never tell where a device is.

// publicView is the view that everybody may read, "" if none is.
func publicView(t *txn) (name string, err error) {
	err = rows(t, store.AllViews(), store.ScanOptions{}, func(k store.Key, f face) (bool, error) {
		if f.Public {
			name = k.Name()
		}
		return name == "", nil
	})
	return name, err
}

func isPublic(t *txn, name string) (bool, error) {
	f, _, err := find[face](t, store.ViewNamed(name))
	return f.Public, err
}

// publicHeld is for how long whoever turned the public view on or off puts it right in the record: another device may have
// signed one beside this at that moment, which knew nothing of it.
const publicHeld = 10 * time.Minute

// publicTurned is what was done here last: the view that became public, "" when it ended.
type publicTurned struct {
	View string
	At   identity.Time
}

var publicTurnedRow = store.Meta("public")

func turnedPublic(t *txn, name string) error {
	return put(t, publicTurnedRow, publicTurned{name, t.now.Wall})
}

// saysPublic is what the next record of this address says of its public view; r is the present one. With several
// devices a device that knows neither the epoch which r names nor that it is over leaves it as it is, and so does one of
// them whose rows and record differ: another one is ahead, and what it knows is on its way here. But whoever turned it
// a moment ago, and has heard of no turn since, has the last word.
func (n *Node) saysPublic(t *txn, r identity.AddressRecord) ([]byte, error) {
	said, err := wire.ParsePublicView(r.PublicView)
	had := err == nil
	name, err := publicView(t)
	if err != nil {
		return nil, err
	}
	turned, mine, err := find[publicTurned](t, publicTurnedRow)
	if err != nil {
		return nil, err
	}
	mine = mine && turned.View == name && t.now.Wall.Sub(turned.At).Abs() < publicHeld
	in, err := viewOfEpoch(t, said.E)
	if err != nil {
		return nil, err
	}
	switch {
	case mine || !n.hasOthers():
	case had && (in == "" || name == "") && !t.now.Past(said.NotAfter.Add(identity.Skew)):
		return r.PublicView, nil
	case !had: // it is turned on by hand, on one of them: see openPublic
		return r.PublicView, nil
	}
	if name == "" {
		return nil, nil
	}
	view, _, err := n.loadView(t, name)
	if err != nil {
		return nil, err
	}
	g, _ := view.Grants(t.now)
	if g == nil { // its next epoch is about to be made
		return r.PublicView, nil
	}
	return n.publicOf(said, *g), nil
}

// publicOf is a record's word of an epoch: with the anchors that it named before, but for those that this home has
// left, and those of the communities that it is in.
func (n *Node) publicOf(said wire.PublicView, g wire.Grant) []byte {
	left, anchors := n.joined.those(true), slices.Clone(said.Anchors)
	anchors = slices.DeleteFunc(anchors, func(e wire.Endpoint) bool {
		return slices.ContainsFunc(left, func(m membership) bool { return bytes.Equal(m.Peer, e.Peer) })
	})
	for _, m := range n.joined.all() {
		if m.does(wire.RoleAnchor) {
			anchors = named(anchors, m.endpoint())
		}
	}
	return wire.PublicView{E: g.E, K: g.K, NotAfter: g.NotAfter, Anchors: anchors}.Append(nil)
}

// viewOfEpoch is the view of mine that an epoch is one of, "" if none.
func viewOfEpoch(t *txn, e wire.PublicKey) (name string, err error) {
	err = rows(t, store.AllEpochs(), store.ScanOptions{}, func(_ store.Key, v presence.View) (bool, error) {
		if slices.ContainsFunc(v.Epochs, func(x presence.Epoch) bool { return x.E == e }) {
			name = v.Name
		}
		return name == "", nil
	})
	return name, err
}

// changedPublic reports whether a record of mine says of the public view what it should not.
func (n *Node) changedPublic(t *txn, r identity.AddressRecord) (bool, error) {
	now, err := n.saysPublic(t, r)
	return !bytes.Equal(now, r.PublicView), err
}

// mayBePublic refuses what cannot be read by everybody.
func (n *Node) mayBePublic(t *txn, name string) error {
	if name == presence.DefaultView {
		return &Error{Kind: KindUsage, Code: "bad-view", Message: "the default view is for people: it tells them where you can be called", Advice: "make one for everybody: hum view hello --public"}
	}
	switch other, err := publicView(t); {
	case err != nil:
		return err
	case other != "" && other != name:
		return &Error{Kind: KindUsage, Code: "exists", Message: "everybody can read the view " + other + " already, and there is one such view", Advice: "end that first: hum view " + other + " --public=false"}
	}
	return nil
}

// openPublic has everybody read a view from now on: in a new epoch, as documents of older ones may tell where I am.
func (n *Node) openPublic(t *txn, name string) error {
	if err := n.newEpoch(t, name); err != nil {
		return err
	}
	view, _, err := n.loadView(t, name)
	if err != nil {
		return err
	}
	g, _ := view.Grants(t.now)
	if g == nil {
		return errors.New("a view that was just begun has no epoch")
	}
	if err := turnedPublic(t, name); err != nil {
		return err
	}
	return n.signPublic(t, func(r *identity.AddressRecord) { r.PublicView = n.publicOf(wire.PublicView{}, *g) })
}

// shutPublic has nobody read a view any more but its members: the last word in what everybody has the keys of is that I
// am offline, whatever was said before, and it stays where it is kept until that epoch is over.
func (n *Node) shutPublic(t *txn, name string) error {
	view, pub, err := n.loadView(t, name)
	if err != nil {
		return err
	}
	last := pub.SignOff(t.now, view)
	pub.Restart()
	if err := errors.Join(n.say(t, name, last, pub), n.leave(t, name, presence.CauseUser, identity.Address{}), turnedPublic(t, "")); err != nil {
		return err
	}
	return n.signPublic(t, func(r *identity.AddressRecord) { r.PublicView = nil })
}

// signPublic signs the next record of this address, changed by edit.
func (n *Node) signPublic(t *txn, edit func(*identity.AddressRecord)) error {
	p, err := get[pinned](t, store.Pin(n.self.Address))
	if err != nil {
		return err
	}
	edit(&p.Pin.Record)
	if err := n.signAddress(t, &p.Pin, p.Pin.Record.Devices); err != nil {
		return err
	}
	t.after(func() {
		n.chores.nudge() // the record is told from now on
		n.spawn(func(context.Context) { n.syncAll() })
	})
	return n.savePin(t, n.self.Address, p)
}

// newEpoch begins an epoch of a view, and ends those before.
func (n *Node) newEpoch(t *txn, name string) error {
	view, pub, err := n.loadView(t, name)
	if err != nil {
		return err
	}
	view.Leave(presence.CauseUser)
	if view.Vacant {
		return n.enterView(t, &view, pub)
	}
	fresh, err := n.fresh()
	if err != nil {
		return err
	}
	view.Change(t.now, fresh)
	return errors.Join(n.saveView(t, view), n.tellEpochs(t, view, nil))
}

// setPublic turns on or off that everybody can read a view, whose row says so already.
func (n *Node) setPublic(t *txn, name string, on bool) error {
	if on {
		return n.openPublic(t, name)
	}
	return n.shutPublic(t, name)
}

// publicPatience bounds the wait for the record of somebody of whom none is known, and publicLate how long after the
// first place that has his public view the others are waited for.
const (
	publicPatience = 20 * time.Second
	publicLate     = time.Second
)

// FetchPublic reads what everybody may read of somebody, as his record says (SPEC 8). He is not asked, and no node of
// his is told who reads. Errors, as *Error: no-public-view, if he has none; no-copy; unreachable.
func (n *Node) FetchPublic(ctx context.Context, who string) (PresenceOf, error) {
	card, err := n.who(who)
	if err != nil {
		return PresenceOf{}, asPresentity(err)
	}
	a := card.Address
	if err := n.checkWatch(a, "", 0); err != nil {
		return PresenceOf{Address: a}, err
	}
	ctx, done := context.WithTimeout(ctx, publicPatience)
	defer done()
	at := n.places(a)
	for _, d := range card.Dial {
		if p, ok := placeOf(d); ok {
			at = join(at, p)
		}
	}
	x, ok := publicIn(n.pins.get(a), n.now())
	var read PresenceOf
	if ok {
		if read, err = n.readPublic(ctx, a, x, at); err == nil && read.Basic == wire.Open.String() {
			return read, nil
		}
	}
	n.hintHomes(a, []string{card.Home}) // what is known may be older than what he says
	f, failed := n.findRecords(ctx, a, at, true)
	if failed != nil {
		if ok {
			return read, err
		}
		return PresenceOf{Address: a}, failed
	}
	fresh, still := publicIn(f.pin, n.now())
	switch {
	case !still:
		return PresenceOf{Address: a}, &Error{Kind: KindRefused, Code: "no-public-view", Message: n.name(a) + " has no public view", Advice: "ask him: hum fetch " + n.whoWord(a) + ", or hum watch " + n.whoWord(a)}
	case ok && fresh.E == x.E:
		return read, err
	}
	return n.readPublic(ctx, a, fresh, at)
}

// publicIn is the public view that a pinned record tells, if it is not over.
func publicIn(pin *identity.Pin, now identity.Now) (x wire.PublicView, ok bool) {
	if pin == nil || pin.Expired(now) || len(pin.Record.PublicView) == 0 {
		return x, false
	}
	x, err := wire.ParsePublicView(pin.Record.PublicView)
	return x, err == nil && now.Wall <= x.NotAfter.Add(identity.Skew)
}

// readPublic asks every place at once that may keep the public view of somebody, and shows the newest of what they have:
// one that kept back what came last is outdone by the others.
func (n *Node) readPublic(ctx context.Context, a identity.Address, x wire.PublicView, at []place) (PresenceOf, error) {
	for _, e := range x.Anchors {
		at = join(at, place{p2p.PeerID(e.Peer), e.Addrs})
	}
	at = slices.DeleteFunc(at, func(p place) bool { return p.peer == n.net.Self() })
	type answer struct {
		recs []wire.Rec
		err  error
	}
	answers := make(chan answer, len(at))
	for _, p := range at {
		n.spawn(func(run context.Context) {
			run, done := context.WithTimeout(run, fetchTimeout)
			defer done()
			recs, err := n.getRecs(run, p, x.E)
			answers <- answer{recs, err}
		})
	}
	seen, late := presence.Presence{Of: a}, make(<-chan time.Time)
	seen.PathUp(n.now())
	heard := 0
wait:
	for range at {
		select {
		case got := <-answers:
			if got.err != nil {
				continue
			}
			if heard++; n.takePublic(&seen, x, got.recs) && len(seen.Docs) > 0 {
				late = time.After(publicLate)
			}
		case <-late:
			break wait
		case <-ctx.Done():
			break wait
		}
	}
	if len(seen.Docs) == 0 {
		why := "nobody who keeps the public view of " + n.name(a) + " answers"
		if heard > 0 {
			why = n.name(a) + " has a public view, and said nothing in it yet"
		}
		return PresenceOf{Address: a}, &Error{Kind: KindUnreachable, Code: wire.ReasonNoCopy.String(), Message: why, Advice: "try again later: hum fetch " + n.whoWord(a) + " --public"}
	}
	return n.publicFace(&seen), nil
}

// takePublic reads records of a public view, and reports whether one was news.
func (n *Node) takePublic(seen *presence.Presence, x wire.PublicView, recs []wire.Rec) (news bool) {
	for _, r := range recs {
		got, err := seen.Apply(n.now(), x.Grant(), r, presence.ByFetch, n.speakersOf(seen.Of))
		if err != nil {
			n.count("bad-record")
		}
		news = news || err == nil && !got.Old
	}
	return news
}

func (n *Node) publicFace(seen *presence.Presence) PresenceOf {
	now, a := n.now(), seen.Of
	out := PresenceOf{Address: a, Petname: n.petname(a), Warning: n.warning(a), Basic: "unknown", Source: fromPublic}
	out.dress(seen.Shown(now, presence.Sight{Path: true, Suspect: n.clockSuspect()}), now)
	var docs []wire.Doc
	for _, d := range seen.Docs {
		docs = append(docs, d.Doc)
		out.heard(d)
	}
	out.Digest = digestOf(docs...)
	return out
}

// besidePublic begins to read what everybody may read of somebody, if his record tells of it, while he is asked. What it
// returns then chooses: he refused, was not there, or what is remembered of him is older.
func (n *Node) besidePublic(ctx context.Context, a identity.Address) func(PresenceOf, error) (PresenceOf, error) {
	x, ok := publicIn(n.pins.get(a), n.now())
	if !ok {
		return func(p PresenceOf, err error) (PresenceOf, error) { return p, err }
	}
	read := make(chan PresenceOf, 1)
	n.spawn(func(context.Context) {
		if p, err := n.readPublic(ctx, a, x, n.places(a)); err == nil {
			read <- p
		}
		close(read)
	})
	return func(p PresenceOf, err error) (PresenceOf, error) {
		if err == nil && p.Source != fromCopy {
			return p, nil
		}
		public, ok := <-read
		if !ok || err == nil && !public.AsOf.After(p.AsOf) {
			return p, err
		}
		return public, nil
	}
}
