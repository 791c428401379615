package presence

import (
	"cmp"
	"slices"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// Evidence is what a shown state rests on.
type Evidence uint8

const (
	Unknown Evidence = iota // never seen, no path, or my clock is in doubt
	Cached                  // told before a restart, and not heard since
	Said                    // the presentity said so, and it holds
	Lapsed                  // he said OPEN, and fell silent
)

func (e Evidence) String() string {
	return [...]string{"unknown", "cached", "said", "lapsed"}[e]
}

// Sight is how well I can see at all.
type Sight struct {
	Path    bool // I have a way on which I could hear him: a connection to anybody, or a dial in progress
	Suspect bool // Clocks.Suspect
}

// Shown is what the user sees of a presentity (SPEC 4.5). Basic is 0 if it is not known.
type Shown struct {
	Basic    wire.Basic
	IM       wire.IMStatus
	Notes    []wire.Note
	Contacts []string
	Tuples   []wire.Tuple // of the devices that count; of all if none is OPEN
	Evidence Evidence
	AsOf     Time     // t of the newest record that this rests on; 0: none
	Since    Time     // of the lapse
	Why      []string // what it rests on, or what is missing, in words
}

// standing is one device, as it stands now.
type standing struct {
	*Known
	open  bool
	left  time.Duration // of its lease; ≤0: none
	heard bool          // since the process started
	last  Stamp         // of the newest record about Doc
	ttl   time.Duration
}

// device gathers what the tags of k say: the document that counts is the newest, whichever epoch it
// came in, and a lease in any epoch shows that the device is there.
func (p *Presence) device(now Now, k *Known) standing {
	s := standing{Known: k, open: IsOpen(k.Doc), last: k.T, ttl: seconds(ttlOf(k.Doc.TTL, wire.DefaultTTLSeconds))}
	for _, h := range p.Tags {
		if h.Device != k.Device {
			continue
		}
		ttl := seconds(h.TTL)
		s.lease(now, h.Update, h.GotUpdate, ttl)
		if h.Base == h.Update {
			s.lease(now, h.Beat, h.GotBeat, ttl)
			s.last = max(s.last, h.Beat)
		}
		if h.E == k.E {
			s.ttl = ttl
		}
	}
	return s
}

func seconds(s uint64) time.Duration { return time.Duration(s) * time.Second }

// lease takes the lease of one record: min(t+ttl+S by the system clock, receipt+ttl by the monotonic
// one), so that no step of the clock prolongs it (SPEC 4.5).
func (s *standing) lease(now Now, t Stamp, got Receipt, ttl time.Duration) {
	if !got.OK {
		return
	}
	s.heard = true
	mono := ttl
	if got.Path == ByFetch {
		mono = max(ttl-got.Age, wire.BeaconPeriod(ttl))
	}
	s.left = max(s.left, min(t.Add(ttl+identity.Skew).Sub(now.Wall), got.Mono+mono-now.Mono))
}

func (p *Presence) devices(now Now) (out []standing) {
	for i := range p.Docs {
		if !p.Docs[i].By.Delegate { // who speaks for somebody does not say that he is there
			out = append(out, p.device(now, &p.Docs[i]))
		}
	}
	return out
}

// awaited reports whether s is known from before a restart, and has had no ttl yet to be heard.
func (s standing) awaited(now Now, began time.Duration) bool {
	return !s.heard && now.Mono-began < s.ttl
}

// end is when s last became what it is: it said CLOSED, or its lease lapsed.
func (s standing) end() Time {
	if s.open {
		return s.last.Add(s.ttl)
	}
	return s.T
}

// Shown returns what to show now. OPEN needs a device that said so and whose lease runs; CLOSED needs a
// word or a lapse, whichever came last; all else is unknown.
func (p *Presence) Shown(now Now, sight Sight) Shown {
	all := p.devices(now)
	live := slices.DeleteFunc(slices.Clone(all), func(s standing) bool { return s.left <= 0 })
	open := slices.DeleteFunc(slices.Clone(live), func(s standing) bool { return !s.open })
	awaited := slices.ContainsFunc(all, func(s standing) bool { return s.awaited(now, p.Began) })
	switch {
	case len(all) == 0:
		return Shown{Why: []string{"never seen"}}
	case sight.Suspect:
		return compose(all, Shown{Why: []string{"the clock may be wrong"}})
	case len(open) > 0:
		left := slices.MaxFunc(open, func(a, b standing) int { return cmp.Compare(a.left, b.left) }).left
		return compose(open, Shown{Basic: wire.Open, Evidence: Said, Why: []string{"his signed word holds for " + left.Truncate(time.Second).String() + " more"}})
	case awaited:
		return compose(all, Shown{Evidence: Cached, Why: []string{"not heard since the start"}})
	case !sight.Path && len(live) == 0:
		return compose(all, Shown{Why: []string{"no path"}})
	}
	last := slices.MaxFunc(all, func(a, b standing) int { return cmp.Compare(a.end(), b.end()) })
	if last.open {
		return compose(all, Shown{Basic: wire.Closed, Evidence: Lapsed, Since: last.end(), Why: []string{"he said open, and no beacon came for " + last.ttl.String()}})
	}
	return compose(all, Shown{Basic: wire.Closed, Evidence: Said, Why: []string{"he signed off"}})
}

// compose adds what the devices say of themselves: the IM status is that of the OPEN tuple of highest
// priority, of equals the newest (SPEC 4.5). The notes are those of the same device, so that nothing is shown
// that no device said.
func compose(from []standing, out Shown) Shown {
	slices.SortFunc(from, func(a, b standing) int {
		return cmp.Or(cmp.Compare(b.T, a.T), slices.Compare(a.Device[:], b.Device[:]))
	})
	type of struct {
		wire.Tuple
		by int // in from
	}
	var tuples []of
	for i, s := range from {
		out.AsOf = max(out.AsOf, s.last)
		for _, t := range s.Doc.Tuples {
			tuples = append(tuples, of{t, i})
		}
		if out.Contacts == nil {
			out.Contacts = s.Doc.Contact
		}
	}
	slices.SortStableFunc(tuples, func(a, b of) int {
		return cmp.Or(cmp.Compare(a.Basic, b.Basic), cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Timestamp, a.Timestamp))
	})
	speaker := 0
	if i := slices.IndexFunc(tuples, func(t of) bool { return t.IM != 0 }); i >= 0 { // a telephone has none
		out.IM, speaker = tuples[i].IM, tuples[i].by
	}
	for _, t := range tuples {
		out.Tuples = append(out.Tuples, t.Tuple)
	}
	out.Notes = from[speaker].Doc.Notes
	return out
}

// lapseCheck is how long before the end of a lease it is looked into: long enough for a poll and a GET
// (5 s), and short beside the lease.
func lapseCheck(ttl time.Duration) time.Duration { return min(5*time.Second, ttl/10) }

// Ask reports, once per lease, that the lease of an OPEN device is about to lapse: poll
// (Watching.Lapsed) and GET now, so that the lapse is shown only if both were in vain (SPEC 4.5).
func (p *Presence) Ask(now Now) (ask bool) {
	for _, s := range p.devices(now) {
		if s.open && s.heard && s.left <= lapseCheck(s.ttl) && s.Asked != s.last {
			s.Asked, ask = s.last, true
		}
	}
	return ask
}

// Wake returns how long Ask stays false and Shown as it is, if nothing is heard.
func (p *Presence) Wake(now Now) time.Duration {
	d := MaxSleep
	for _, s := range p.devices(now) {
		if s.awaited(now, p.Began) {
			d = min(d, p.Began+s.ttl-now.Mono)
		}
		if s.left > 0 {
			d = min(d, s.left)
		}
		if check := s.left - lapseCheck(s.ttl); s.open && s.heard && s.Asked != s.last {
			d = min(d, max(check, 0))
		}
	}
	return d
}
