package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/node/formats"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// Names asks domains whose a handle is; *[names.Resolver] does.
type Names interface {
	Look(ctx context.Context, h wire.Handle) (names.Answer, error)
}

// handleRow is a handle that was looked up, and where its domain says that the records are kept.
type handleRow struct {
	community.Handle
	Homes []string         // multiaddrs
	How   string           // what the domain's word came by
	Other identity.Address // whom the domain names now, if that is a conflict that the user has to decide
}

// proof says what binds the name to the address.
func (r handleRow) proof() string {
	return fmt.Sprintf("%s says so %s, and his own record calls him so; pinned since %s", r.Name.Domain, r.How, r.Since.Go().UTC().Format("2006-01-02 15:04"))
}

// handleBook is all of them in memory: there are as many as the user has typed.
type handleBook struct {
	mu   sync.RWMutex
	rows map[wire.Handle]handleRow
}

func (b *handleBook) get(h wire.Handle) (handleRow, bool) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	r, ok := b.rows[h]
	return r, ok
}

// all are the handles that were looked up, in order.
func (b *handleBook) all() (out []handleRow) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.rows {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b handleRow) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return out
}

func (b *handleBook) set(r handleRow) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rows[r.Name] = r
}

func (b *handleBook) drop(h wire.Handle) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.rows, h)
}

// of are the handles that stand for one of some addresses, in order.
func (b *handleBook) of(addresses ...identity.Address) (out []handleRow) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.rows {
		if slices.Contains(addresses, r.Address) {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b handleRow) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return out
}

func (n *Node) loadHandles(t *txn) error {
	n.handles.rows = map[wire.Handle]handleRow{}
	return rows(t, store.AllHandles(), store.ScanOptions{}, func(_ store.Key, r handleRow) (bool, error) {
		n.handles.rows[r.Name] = r
		return true, nil
	})
}

func handleKey(h wire.Handle) store.Key { return store.Handle(h.String()) }

// handleOf is the name by which a domain vouches for an address, or "".
func (n *Node) handleOf(a identity.Address) string {
	for _, r := range n.handles.of(n.moves.before(a)...) {
		if r.Other.IsZero() {
			return r.Name.String()
		}
	}
	return ""
}

// conflictOf tells of a handle whose domain names somebody else than the address that it was pinned to.
func (n *Node) conflictOf(a identity.Address) string {
	for _, r := range n.handles.of(n.moves.before(a)...) {
		if !r.Other.IsZero() {
			return n.errConflict(r).Message
		}
	}
	return ""
}

// handleURI takes the handle out of im:alice@example.org and pres:alice@example.org; others are as they were.
func handleURI(s string) string {
	scheme, rest, ok := strings.Cut(s, ":")
	if !ok || !strings.EqualFold(scheme, "im") && !strings.EqualFold(scheme, "pres") {
		return s
	}
	rest, _, _ = strings.Cut(rest, "?")
	if at := strings.LastIndexByte(rest, '@'); at < 0 || strings.EqualFold(rest[at+1:], identity.Domain) {
		return s
	}
	if plain, err := url.PathUnescape(rest); err == nil {
		return plain
	}
	return rest
}

// subject is somebody as he is named in documents: by the handle that he was asked for by, if that is how, else by
// his address (RFC 2779 3.1.2).
func (n *Node) subject(a identity.Address, who string) formats.Subject {
	out := formats.Subject{Address: a, Other: n.isAnothers(a)}
	if h, err := wire.ParseHandle(handleURI(who)); err == nil {
		if _, ok := n.handles.get(h); ok {
			out.URI = h.Pres()
		}
	}
	return out
}

// isAnothers tells which URIs are handles that are pinned here to somebody else than a.
func (n *Node) isAnothers(a identity.Address) func(uri string) bool {
	return func(uri string) bool {
		h, err := wire.ParseHandle(handleURI(uri))
		if err != nil {
			return false
		}
		r, ok := n.handles.get(h)
		return ok && n.moves.current(r.Address) != a
	}
}

// lookPatience bounds a look-up, with the fetch of the record that confirms it.
const lookPatience = 30 * time.Second

// whoHandle finds who a handle stands for: as it was pinned, or else by asking its domain (SPEC 2.7).
func (n *Node) whoHandle(text string) (identity.Card, error) {
	h, err := wire.ParseHandle(text)
	if err != nil {
		return identity.Card{}, &Error{Kind: KindUsage, Code: "bad-handle", Message: fmt.Sprintf("%q is no handle: %v", clip(text), err), Advice: "write it like alice@example.org"}
	}
	r, ok := n.handles.get(h)
	switch {
	case ok && !r.Other.IsZero():
		return identity.Card{}, n.errConflict(r)
	case ok:
		if r.Ask(n.now()) { // what is pinned counts meanwhile
			n.spawn(func(ctx context.Context) { _, _ = n.lookUp(ctx, h) })
		}
	default:
		ctx := n.ctx
		if ctx == nil {
			ctx = context.Background()
		}
		if r, err = n.lookUp(ctx, h); err != nil {
			return identity.Card{}, err
		}
	}
	return identity.Card{Address: n.moves.current(r.Address)}, nil
}

// lookUp asks a domain, has the address confirm what it says, and pins it.
func (n *Node) lookUp(ctx context.Context, h wire.Handle) (handleRow, error) {
	ctx, done := context.WithTimeout(ctx, lookPatience)
	defer done()
	old, had := n.handles.get(h)
	said, err := n.names.Look(ctx, h)
	if err != nil {
		n.count("handle: " + cmp.Or(causeOfName(err), "other"))
		return handleRow{}, handleError(h, err)
	}
	rec, err := n.vouched(ctx, h, said, old.Address)
	if err != nil {
		return handleRow{}, err
	}
	var before *community.Handle
	if had {
		before = &old.Handle
	}
	pinned, err := community.Pin(n.now(), before, h, said.Address, rec, n.moves.current(old.Address))
	r := handleRow{Handle: pinned, Homes: said.Homes, How: said.How()}
	switch {
	case errors.Is(err, community.ErrConflict):
		n.count("handle: conflict")
		r = old
		r.Other, r.Asked = said.Address, n.now().Wall
	case err != nil:
		n.count("handle: unlisted")
		return handleRow{}, handleError(h, err)
	}
	if err := n.saveHandle(r, had && old.Other.IsZero()); err != nil {
		return handleRow{}, err
	}
	if !r.Other.IsZero() {
		return r, n.errConflict(r)
	}
	return r, nil
}

// saveHandle writes a handle, and tells the user of a conflict that is new.
func (n *Node) saveHandle(r handleRow, stood bool) error {
	return saveError(n.cfg.Home, n.update(func(t *txn) error {
		if stood && !r.Other.IsZero() {
			t.emit(Event{Kind: "node", Address: r.Address, Name: n.name(r.Address), State: "handle-conflict", Reason: wire.ReasonBindingInvalid, Text: n.errConflict(r).Message})
		}
		t.after(func() { n.handles.set(r) })
		return put(t, handleKey(r.Name), r)
	}))
}

// vouched is the address's half: its newest record. What the domain gives of it is as good as any other source, since
// the address has signed it.
func (n *Node) vouched(ctx context.Context, h wire.Handle, said names.Answer, before identity.Address) (identity.AddressRecord, error) {
	a := said.Address
	if signed, err := wire.ParseSigned(said.Record); err == nil {
		b := wire.Bundle{Address: signed}
		for _, raw := range said.Successors {
			if s, err := wire.ParseSigned(raw); err == nil {
				b.Successors = append(b.Successors, s)
			}
		}
		if before != (identity.Address{}) && before != a && len(b.Successors) > 0 {
			if _, err := n.follow(before, b, place{}); err != nil {
				return identity.AddressRecord{}, saveError(n.cfg.Home, err)
			}
		}
		b.Successors = nil
		if _, err := n.pinBundle(a, b, place{}); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Code == wire.ReasonBindingInvalid.String() {
				return identity.AddressRecord{}, handleError(h, errWrongRecord)
			}
			n.log.Debug("the record that a domain gave was not taken", "err", err)
		}
	}
	n.hintHomes(a, said.Homes)
	pin := n.pins.get(a)
	if a != n.self.Address && (pin == nil || pin.Expired(n.now()) || community.Listed(h, pin.Record) != nil) { // it may be older than the name
		if fresh, err := n.askRecords(ctx, a, n.places(a)); err == nil {
			pin = fresh
		} else if pin == nil {
			return identity.AddressRecord{}, &Error{Kind: KindUnreachable, Code: wire.ReasonUnreachable.String(),
				Message: fmt.Sprintf("%s says that %s is %s, whose own record was not to be had: %v", h.Domain, h, short(a), err), Advice: "try again later; or ask for a card"}
		}
	}
	if pin == nil {
		return identity.AddressRecord{}, errNoPin
	}
	return pin.Record, nil
}

var errWrongRecord = errors.New("the record that the domain gives is not signed by the address that it names")

// errConflict says that a domain names somebody else than it did.
func (n *Node) errConflict(r handleRow) *Error {
	return &Error{Kind: KindFailed, Code: wire.ReasonBindingInvalid.String(),
		Message: fmt.Sprintf("%s says now that %s is %s; until now it was %s, who has named no successor", r.Name.Domain, r.Name, short(r.Other), short(r.Address)),
		Advice:  "ask him by another way; if it is right: hum handle forget " + r.Name.String()}
}

// causeOfName is a short word for what a look-up ended with, for the counters.
func causeOfName(err error) string {
	for _, x := range []struct {
		err  error
		word string
	}{{names.ErrUnknown, "unknown"}, {names.ErrMailOnly, "mail only"}, {names.ErrNoDomain, "no domain"}, {names.ErrForged, "forged"},
		{names.ErrDisagrees, "disagrees"}, {names.ErrBadAnswer, "bad answer"}, {names.ErrSilent, "silent"}} {
		if errors.Is(err, x.err) {
			return x.word
		}
	}
	return ""
}

// handleError says in words why a handle leads nowhere.
func handleError(h wire.Handle, err error) error {
	say := func(kind Kind, code wire.Reason, message, advice string) error {
		return &Error{Kind: kind, Code: code.String(), Message: message, Advice: advice}
	}
	const otherwise = "ask for a card instead: hum card"
	switch {
	case errors.Is(err, names.ErrUnknown):
		return say(KindFailed, wire.ReasonNoSuchInbox, fmt.Sprintf("%s names nobody %s", h.Domain, h), "check how it is written")
	case errors.Is(err, names.ErrNoDomain):
		return say(KindFailed, wire.ReasonNoSuchInbox, fmt.Sprintf("there is no domain %s", h.Domain), "check how it is written")
	case errors.Is(err, names.ErrMailOnly):
		return say(KindFailed, wire.ReasonNoIMService, fmt.Sprintf("%s has mail, and says nothing about hum: %s is an address for mail alone", h.Domain, h), otherwise)
	case errors.Is(err, names.ErrForged), errors.Is(err, names.ErrDisagrees), errors.Is(err, errWrongRecord):
		return say(KindFailed, wire.ReasonBindingInvalid, fmt.Sprintf("%s is not to be believed: %v", h.Domain, err), otherwise)
	case errors.Is(err, community.ErrUnlisted):
		return say(KindFailed, wire.ReasonBindingInvalid, fmt.Sprintf("%s names an address for %s that does not call itself so", h.Domain, h), "its owner adds it by: hum handle add "+h.String())
	case errors.Is(err, names.ErrBadAnswer):
		return say(KindFailed, wire.ReasonMalformed, fmt.Sprintf("what %s says of %s cannot be read: %v", h.Domain, h, err), otherwise)
	case errors.Is(err, errNotAsked):
		return say(KindUnreachable, wire.ReasonUnreachable, fmt.Sprintf("private mode: %s would see where this machine is, so it was not asked who %s is", h.Domain, h), otherwise)
	case errors.Is(err, names.ErrSilent):
		return say(KindUnreachable, wire.ReasonUnreachable, fmt.Sprintf("%s does not answer who %s is", h.Domain, h), "try again later; a card works without it")
	}
	return err
}

// asPresentity is the error of a handle in the words of somebody who wants to see its presence: those of an inbox
// have their own (SPEC 9.1).
func asPresentity(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	for inbox, presentity := range map[wire.Reason]wire.Reason{wire.ReasonNoSuchInbox: wire.ReasonNoResource, wire.ReasonNoIMService: wire.ReasonNoPresenceService} {
		if e.Code == inbox.String() {
			x := *e
			x.Kind, x.Code = KindRefused, presentity.String()
			return &x
		}
	}
	return err
}

// ForgetHandle drops what is known of a handle: when it is used next, its domain is asked as if for the first time.
func (n *Node) ForgetHandle(_ context.Context, text string) (HandleFace, error) {
	h, err := wire.ParseHandle(text)
	if err != nil {
		return HandleFace{}, &Error{Kind: KindUsage, Code: "bad-handle", Message: err.Error(), Advice: "write it like alice@example.org"}
	}
	r, ok := n.handles.get(h)
	if !ok {
		return HandleFace{}, &Error{Kind: KindUsage, Code: "unknown-name", Message: h.String() + " was never looked up here", Advice: "see: hum resolve " + h.String()}
	}
	err = n.update(func(t *txn) error {
		t.after(func() { n.handles.drop(h) })
		return t.Delete(handleKey(h))
	})
	return HandleFace{Handle: h.String(), Address: r.Address}, saveError(n.cfg.Home, err)
}
