package controltest

import (
	"context"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

const digest = "d19e000000000000000000000000000000000000000000000000000000000000"

func view() node.ViewOf {
	return node.ViewOf{Name: "work", Show: []string{"activities", "person"}, Members: []node.Contact{contact(Bob, "bob")}, Watchers: 1,
		Shown: []node.Document{{View: "work", Device: identity.DeviceID{1}, Version: 3, At: Start, Lease: 150 * time.Second,
			Tuples: []node.TupleOf{{ID: "im", Basic: "open", IM: "busy", Contact: "im:me", At: Start}}, Status: []wire.Status{{Name: "activities", Value: "meeting"}}, Digest: [32]byte{0xd1, 0x9e}}}, Digest: digest}
}

// Views returns the default view and one for work.
func (f *Fake) Views(context.Context) ([]node.ViewOf, error) {
	work := view()
	work.Shown = nil
	return []node.ViewOf{{Name: "default", Show: []string{"all"}, Watchers: 2}, work}, f.asked("Views")
}

// View returns what those at work see.
func (f *Fake) View(_ context.Context, name string) (node.ViewOf, error) {
	return view(), f.asked("View", name)
}

// ViewAs returns the same, and what was read before.
func (f *Fake) ViewAs(_ context.Context, who string) (node.ViewOf, error) {
	v := view()
	v.Show, v.Members = nil, nil
	old := v.Shown[0]
	old.View, old.Ended, old.Notes = "default", Start.Add(time.Minute), []string{"at my desk"}
	v.Shown = append(v.Shown, old)
	return v, f.asked("ViewAs", who)
}

// EditView returns what those at work see.
func (f *Fake) EditView(_ context.Context, e node.ViewEdit) (node.ViewOf, error) {
	v := view()
	v.Public = e.Public != nil && *e.Public
	return v, f.asked("EditView", e)
}

func policyLines(who string) []node.PolicyLine {
	if who != "" {
		return []node.PolicyLine{{Class: "known", Address: Bob, Petname: "bob", Watch: "allow", Fetch: "allow", View: "work", Group: "work", By: "group", Messages: "accept", Closed: "hold", Clear: "refuse"}}
	}
	return []node.PolicyLine{{Class: "known", Watch: "confirm", Fetch: "confirm", View: "default", By: "default", Messages: "accept", Closed: "hold", Clear: "refuse"}, {Class: "pseudonymous", Watch: "block", Fetch: "block", View: "default", By: "default", Closed: "hold", Clear: "refuse"}}
}

// Policy returns two classes, or the line of Bob.
func (f *Fake) Policy(_ context.Context, who string) ([]node.PolicyLine, error) {
	return policyLines(who), f.asked("Policy", who)
}

// SetPolicy returns the same.
func (f *Fake) SetPolicy(_ context.Context, e node.PolicyEdit) ([]node.PolicyLine, error) {
	word := func(s *string) string {
		if s == nil {
			return "as it is"
		}
		return *s
	}
	return policyLines(e.Who), f.asked("SetPolicy", e.Class, e.Who, word(e.Watch), word(e.Fetch), word(e.View), word(e.Messages), word(e.Closed), word(e.Clear))
}

// PoliteBlock returns Bob, who does not know.
func (f *Fake) PoliteBlock(_ context.Context, who string) (node.BlockEntry, error) {
	b := blocked("both")
	b.Mode = "polite-block"
	return b, f.asked("PoliteBlock", who)
}
