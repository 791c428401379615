package control

import (
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// at is t, or nothing if t is no time.
func at(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

// address is a's text, or nothing if a names nobody.
func address(a identity.Address) string {
	if a.IsZero() {
		return ""
	}
	return a.String()
}

// token is the word of SPEC 9.1, or nothing.
func token(r wire.Reason) string {
	if r == wire.ReasonNone {
		return ""
	}
	return r.String()
}

// mid is the 40-character form of SPEC 3.8, or nothing.
func mid(m wire.MID) string {
	if m == (wire.MID{}) {
		return ""
	}
	return m.String()
}

// sub is the hex form of a subscription's id, or nothing.
func sub(id wire.SubID) string {
	if id == (wire.SubID{}) {
		return ""
	}
	return id.String()
}

// device is the hex form of a device's id, or nothing.
func device(d identity.DeviceID) string {
	if d == (identity.DeviceID{}) {
		return ""
	}
	return d.String()
}

// text makes s fit for a proto string: what peers claim is not always UTF-8.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func texts(all []string) (out []string) {
	for _, s := range all {
		out = append(out, text(s))
	}
	return out
}

// content parts a message into the text that it is, or the bytes that it is.
func content(mime string, b []byte) (string, []byte) {
	if (mime == "" || strings.HasPrefix(strings.ToLower(mime), "text/")) && utf8.Valid(b) {
		return string(b), nil
	}
	return "", b
}

func services(s identity.Services) (words []string) {
	if s&identity.Inbox != 0 {
		words = append(words, "im")
	}
	if s&identity.Presentity != 0 {
		words = append(words, "presence")
	}
	return words
}

// each converts a list.
func each[T, M any](list []T, one func(T) *M) []*M {
	out := make([]*M, 0, len(list))
	for _, v := range list {
		out = append(out, one(v))
	}
	return out
}

func statusOf(s node.Status, now time.Time) *humv1.StatusResponse {
	return &humv1.StatusResponse{
		Address: address(s.Self.Address), Device: device(s.Self.Device), Name: text(s.Self.Name),
		Services: services(s.Self.Services), Started: at(s.Started), Uptime: since(s.Started, now),
		Presence: s.Presence, Im: s.IM, Note: text(s.Note), Reaching: s.Reaching, Reachability: s.Reachability,
		Listen: s.Listen, Peers: int64(s.Peers), Topics: int64(s.Topics), Watchers: int64(s.Watchers),
		Requests: int64(s.Pending), Outbox: int64(s.Outbox), Inbox: int64(s.Inbox),
		BytesIn: s.BytesIn, BytesOut: s.BytesOut, InPerHour: s.InPerHour, OutPerHour: s.OutPerHour,
		ClockSuspect: s.ClockSuspect, StoreBytes: s.StoreBytes, Refused: s.Refused,
		Alone: s.Alone, Changed: at(s.Changed), Idle: s.Idle, IdleWhy: text(s.IdleWhy), IdleAfter: positive(s.IdleAfter),
		IdleSince: at(s.IdleSince), Costs: each(s.Costs, costOf),
	}
}

func since(t, now time.Time) *durationpb.Duration {
	if t.IsZero() {
		return nil
	}
	return durationpb.New(now.Sub(t).Truncate(time.Millisecond))
}

func contactOf(c node.Contact) *humv1.Contact {
	return &humv1.Contact{Address: address(c.Address), Petname: text(c.Petname), Verified: c.Verified,
		Claimed: text(c.Claimed), Added: at(c.Added), Services: services(c.Services), Warning: text(c.Warning)}
}

func resolutionOf(r node.Resolution) *humv1.Resolution {
	return &humv1.Resolution{Handle: text(r.Handle), Handles: r.Handles, Found: text(r.Found), Asked: int64(r.Asked), Homes: int64(r.Homes), Mailboxes: int64(r.Mailboxes),
		Address: address(r.Address), Services: services(r.Services),
		Fingerprint: r.Fingerprint, Proof: r.Proof, Known: r.Known, Expires: at(r.Expires), Devices: int64(r.Devices), Acks: r.Acks, Public: r.Public,
		Ways: each(r.Ways, func(w node.Way) *humv1.Way { return &humv1.Way{Way: w.Way, Ok: w.OK, Detail: text(w.Detail)} })}
}

func blockOf(b node.BlockEntry) *humv1.BlockEntry {
	return &humv1.BlockEntry{Address: address(b.Address), Petname: text(b.Petname), Mode: b.Mode, Scope: b.Scope, Since: at(b.Since)}
}

func subscriptionOf(s node.Subscription) *humv1.Subscription {
	return &humv1.Subscription{
		Address: address(s.Address), Petname: text(s.Petname), Claimed: text(s.Claimed), Subscription: sub(s.ID),
		State: s.State, Event: s.Event, Reason: token(s.Reason), Text: text(s.Text), View: s.View,
		Since: at(s.Since), At: at(s.At), Expires: at(s.Expires), Heard: at(s.Heard), Proof: s.Proof, Fetches: int64(s.Fetches),
		Winfo: s.Winfo, Device: device(s.Device), Began: at(s.Began), Contact: s.Contact, Seen: at(s.Seen), Once: s.Once,
		Turned: int64(s.Turned), Fetched: at(s.Fetched), Pseudonym: s.Hidden, Messages: int64(s.Messages), Invited: s.Invited,
	}
}

func subscriptionsOf(list []node.Subscription) *humv1.SubscriptionsResponse {
	return &humv1.SubscriptionsResponse{Subscriptions: each(list, subscriptionOf)}
}

func presenceOf(p node.PresenceOf) *humv1.Presence {
	out := &humv1.Presence{
		Address: address(p.Address), Petname: text(p.Petname), Basic: p.Basic, Im: p.IM, Note: text(p.Note),
		AsOf: at(p.AsOf), Evidence: p.Evidence, Tuples: each(p.Tuples, tupleOf), Why: p.Why, Contacts: texts(p.Contacts),
		Hint: p.Hint, Basis: basisOf(p.Basis), Warning: text(p.Warning), Digest: p.Digest, Spoken: each(p.Spoken, spokenOf),
	}
	if p.Hint == node.HintLost {
		out.HintAge = durationpb.New(p.HintAge.Truncate(time.Millisecond))
	}
	if !p.AsOf.IsZero() {
		out.Age = durationpb.New(p.Age)
	}
	return out
}

func spokenOf(s node.Spoken) *humv1.Spoken {
	return &humv1.Spoken{Device: device(s.Device), Note: text(s.Note), Status: each(s.Status, measureOf), At: at(s.At)}
}

func tupleOf(t node.TupleOf) *humv1.Tuple {
	return &humv1.Tuple{Device: device(t.Device), Id: text(t.ID), Basic: t.Basic, Im: t.IM, Contact: text(t.Contact),
		Priority: t.Priority, Note: text(t.Note), At: at(t.At), IdleSince: at(t.IdleSince), Status: each(t.Status, measureOf), Delegate: t.Delegate}
}

func publishedOf(p node.Published) *humv1.Published {
	return &humv1.Published{Sequence: p.Sequence, Views: p.Views}
}

func sentOf(s node.Sent) *humv1.Sent {
	words, bytes := content(s.Type, s.Content)
	return &humv1.Sent{
		Id: mid(s.ID), To: address(s.To), ToName: text(s.ToName), State: s.State, Reason: token(s.Reason),
		Sent: at(s.Sent), Expires: at(s.Expires), AckedAt: at(s.AckedAt), Attempts: int64(s.Attempts),
		Type: s.Type, Text: words, Content: bytes, ReplyTo: mid(s.InReplyTo), Warning: text(s.Warning),
	}
}

func receivedOf(r node.Received) *humv1.Received {
	words, bytes := content(r.Type, r.Content)
	if r.Words != "" {
		words = text(r.Words)
	}
	return &humv1.Received{
		Parts: each(r.Parts, partOf), Clear: r.Clear, Anonymous: r.Anonymous, Introduces: text(r.Introduces), Introduced: text(r.Introduced), Hops: uint32(r.Hops),
		Id: mid(r.ID), From: address(r.From), FromName: text(r.FromName), Verified: r.Verified, FirstContact: r.FirstContact,
		Sent: at(r.Sent), Received: at(r.Received), Type: text(r.Type), Text: words, Content: bytes, Lang: text(r.Lang),
		ReplyTo: mid(r.InReplyTo), Displayed: at(r.Displayed), Contact: r.Contact, Claimed: text(r.Claimed),
	}
}

func stepOf(s node.TraceStep) *humv1.TraceStep {
	return &humv1.TraceStep{At: at(s.At), Step: s.Step, Peer: text(s.Peer), Detail: text(s.Detail),
		Evidence: text(s.Evidence), Id: mid(s.ID), Times: int64(s.Times), Last: at(s.Last)}
}

func eventOf(e node.Event) *humv1.Event {
	return &humv1.Event{N: e.N, At: at(e.At), Kind: e.Kind, Address: address(e.Address), Name: text(e.Name),
		Id: e.ID, State: e.State, Reason: token(e.Reason), Text: text(e.Text),
		Version: e.Version, Superseded: e.Superseded, Hint: e.Hint}
}

func checkOf(c node.Check) *humv1.Check {
	return &humv1.Check{Check: c.Check, Ok: c.OK, Detail: text(c.Detail), Advice: text(c.Advice)}
}

// draftOf reads the message that a client wants sent.
func draftOf(to string, d *humv1.Draft) node.Draft {
	return node.Draft{To: to, Type: d.GetType(), Content: d.GetContent(), Lang: d.GetLang(), Displayed: d.GetDisplayed(),
		Quiet: d.GetQuiet(), Expires: d.GetExpires().AsDuration(), InReplyTo: d.GetReplyTo(), Contact: d.GetContact(), Alt: d.GetAlt(), Clear: d.GetClear(), Unsigned: d.GetUnsigned(), Anonymous: d.GetAnonymous(), Introduces: d.GetIntroduces(), Hops: hopsOf(d)}
}

var (
	basics   = map[string]wire.Basic{"open": wire.Open, "closed": wire.Closed}
	statuses = map[string]wire.IMStatus{"available": wire.Available, "busy": wire.Busy, "away": wire.Away,
		"idle": wire.Idle, "dnd": wire.DND, "xa": wire.XA}
)

// changeOf reads the presence that a client wants published; words must be those of the proto file.
func changeOf(r *humv1.SetRequest) (node.Change, error) {
	c := node.Change{View: r.View, Note: r.Note, Lang: r.Lang, Activity: r.Activity, Bare: r.Bare, Measures: measuresOf(r.Measures)}
	if r.Basic != nil {
		b, ok := basics[*r.Basic]
		if !ok {
			return c, usage("no basic status " + *r.Basic + ": it is open or closed")
		}
		c.Basic = &b
	}
	if r.Im != nil {
		s, ok := statuses[*r.Im]
		if !ok {
			return c, usage("no status " + *r.Im + ": it is available, busy, away, idle, dnd or xa")
		}
		c.IM = &s
	}
	if r.Contacts != nil {
		uris := append([]string{}, r.Contacts.Uris...)
		c.Contacts = &uris
	}
	return c, nil
}

func usage(message string) error {
	return &node.Error{Kind: node.KindUsage, Code: CodeUsage, Message: message}
}
