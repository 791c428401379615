package node

import (
	"fmt"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/presence"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Basis is what a shown presence rests on.
type Basis struct {
	State   string    // of my subscription
	Heard   time.Time // when he last answered for it
	Expires time.Time
	Path    string // how he is heard: stream, mesh, both; none
	Direct  bool   // some place of his is connected
	Suspect bool   // my clock may be wrong
	Devices []DeviceBasis
}

// A DeviceBasis is what is known of one device of his.
type DeviceBasis struct {
	Device  identity.DeviceID
	Open    bool
	Version uint64
	Said    time.Time     // when he signed what it says
	Last    time.Time     // when it signed its newest record, which may say only that this holds
	By      string        // mesh, stream, fetch: how that came; "" if it is remembered from before the start
	Ago     time.Duration // since it came
	Left    time.Duration // for which it holds yet
	Skipped uint64        // versions that never came, superseded by newer ones
}

// basis gathers what k is shown from.
func (n *Node) basis(a identity.Address, p *presence.Presence) *Basis {
	w, ok := n.presence.watchingOf(a)
	if !ok {
		return nil
	}
	b := &Basis{State: w.State.String(), Heard: w.Answered.Go(), Expires: w.Expires.Go(), Path: n.pathTo(w),
		Direct: n.linked(a), Suspect: n.clockSuspect()}
	for _, d := range p.Bases(n.now()) {
		x := DeviceBasis{Device: d.Device, Open: d.Open, Version: d.Ver, Said: d.Said.Go(), Last: d.Last.Go(), Left: d.Left, Skipped: d.Skipped}
		if d.Heard {
			x.By, x.Ago = d.Path.String(), d.Ago
		}
		b.Devices = append(b.Devices, x)
	}
	return b
}

// pathTo says by which way records of w's presentity come now.
func (n *Node) pathTo(w presence.Watching) string {
	for _, g := range w.Grants() {
		switch p := n.net.Path(g.E); {
		case !p.Up:
		case p.Mode == p2p.Mesh:
			return "mesh"
		case p.Mode == p2p.Both:
			return "both"
		default:
			return "stream"
		}
	}
	return "none"
}

// explain adds to p what it rests on, and says it in plain words.
func (n *Node) explain(p *PresenceOf) {
	k := n.presence.knownOf(p.Address)
	if k == nil {
		return
	}
	known := n.presence.copyOf(k)
	if p.Basis = n.basis(p.Address, &known); p.Basis == nil || p.Basis.State != presence.Active.String() {
		return
	}
	now := n.now().Wall.Go()
	if p.Hint != "" {
		p.Why = append(p.Why, fmt.Sprintf("a hint, not his word: the connection to him broke %s ago", brief(p.HintAge)))
	}
	for _, d := range p.Basis.Devices {
		p.Why = append(p.Why, d.words(now, len(p.Basis.Devices) > 1))
	}
	p.Why = append(p.Why, p.Basis.words(now)...)
}

func (d DeviceBasis) words(now time.Time, several bool) string {
	s := "he"
	if several {
		s = "his device " + d.Device.String()[:8]
	}
	s += fmt.Sprintf(" said so %s ago (version %d)", brief(now.Sub(d.Said)), d.Version)
	if d.Last.After(d.Said) {
		s += fmt.Sprintf(", confirmed it %s ago", brief(now.Sub(d.Last)))
	}
	switch {
	case d.By == "":
		s += ", remembered from before the start"
	case d.By == presence.ByFetch.String():
		s += ", which came when you asked for it"
	case d.By == presence.ByTopic.String():
		s += ", which came over his topic"
	default:
		s += ", which came on a stream"
	}
	if d.Skipped > 0 {
		s += fmt.Sprintf("; %d earlier versions were superseded before they came", d.Skipped)
	}
	return s
}

func (b Basis) words(now time.Time) []string {
	path := map[string]string{"mesh": "you hear him over his topic", "stream": "you hear him on a stream",
		"both": "you hear him over his topic and on a stream", "none": "no way leads to him now"}[b.Path]
	if !b.Direct && b.Path != "none" {
		path += ", with no direct connection"
	}
	sub := "your subscription is " + b.State
	if !b.Heard.IsZero() {
		sub += fmt.Sprintf(", last confirmed %s ago", brief(now.Sub(b.Heard)))
	}
	clock := "your clock agrees with the others'"
	if b.Suspect {
		clock = "your clock may be wrong: see hum doctor"
	}
	return []string{path, sub, clock}
}

// brief is a duration for a sentence.
func brief(d time.Duration) string {
	switch d = max(d, 0); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours()/24))
}

// myself is how I am shown to those who watch me; it says so if nobody is reached by it.
func (n *Node) myself() (PresenceOf, error) {
	out := PresenceOf{Address: n.self.Address, Petname: "me", Basic: wire.Closed.String(), Evidence: presence.Said.String()}
	if n.self.Services&identity.Presentity == 0 {
		out.Basic, out.Evidence, out.Why = "unknown", presence.Unknown.String(), []string{"this address is for messages only"}
		return out, nil
	}
	err := n.view(func(t *txn) error {
		view, pub, err := n.loadView(t, presence.DefaultView)
		if err != nil {
			return err
		}
		d, err := wire.ParseDoc(pub.Face(t.now, view))
		if err != nil {
			return err
		}
		out.AsOf, out.Age = pub.Changed.Go(), max(0, t.now.Wall.Sub(pub.Changed))
		for _, x := range d.Tuples {
			out.Tuples = append(out.Tuples, tupleOf(pub.Device, x))
		}
		out.Basic, out.IM, out.Contacts = out.Tuples[0].Basic, out.Tuples[0].IM, d.Contact
		if len(d.Notes) > 0 {
			out.Note = d.Notes[0].Text
		}
		return nil
	})
	if err != nil {
		return out, saveError(n.cfg.Home, err)
	}
	reaching, err := n.reaching()
	if out.Why = []string{"this is what your watchers are told"}; !reaching {
		out.Hint, out.Why = HintAlone, []string{n.whyAlone() + ": this reaches nobody now"}
	}
	return out, saveError(n.cfg.Home, err)
}

// HintAlone says of my own presence that nobody is reached by it.
const HintAlone = "not-reaching"

// isMe reports whether who names this node's own address.
func (n *Node) isMe(who string, a identity.Address, err error) bool {
	return err == nil && a == n.self.Address || err != nil && who == "me"
}
