package scenario

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Behaviours are the names of adversaries that there are; package sim adds its own, as may a program that links it.
var Behaviours []string

// check finds what contradicts itself.
func (s *Scenario) check() error {
	var errs []error
	fail := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		path, _, _ := strings.Cut(text, ":")
		errs = append(errs, &Error{s.File, s.Line(path), text})
	}
	if s.Version != 1 {
		fail("version: %d; this program reads version 1", s.Version)
	}
	if s.Name == "" || strings.ContainsAny(s.Name, " /\\.") {
		fail("name: %q; give it one word", s.Name)
	}
	if s.Duration <= 0 {
		fail("duration: how long is the run? Such as 30m")
	}
	if len(s.Nodes) == 0 {
		fail("nodes: nobody takes part")
	}
	classes := map[string]bool{}
	for i, c := range s.Nodes {
		switch {
		case c.Class == "":
			fail("nodes.%d: has no class: give it a name", i)
		case classes[c.Class]:
			fail("nodes.%d: there is a class %s already", i, c.Class)
		case (c.Count > 0) == (c.Exactly > 0):
			fail("nodes.%d: one of count and exactly says how many, and is more than 0", i)
		case c.Behaviour != "" && !slices.Contains(Behaviours, c.Behaviour):
			fail("nodes.%d: there is no behaviour %s%s; there are %s", i, c.Behaviour, Perhaps(c.Behaviour, Behaviours), strings.Join(Behaviours, ", "))
		}
		classes[c.Class] = true
	}
	towns := map[string]bool{}
	class := func(where, name string) {
		if name != "" && !classes[name] {
			fail("%s: there is no class %s%s", where, name, Perhaps(name, keys(classes)))
		}
	}
	for i, c := range s.Towns {
		where := fmt.Sprintf("communities.%d", i)
		if class(where+".members", c.Members); c.Community == "" || towns[c.Community] {
			fail("%s: give it a name of its own", where)
		}
		if c.Handles && !hostName(c.Community) {
			fail("%s.community: %q names a domain, which has small letters, digits and hyphens between them", where, c.Community)
		}
		for _, x := range s.Nodes {
			if c.Handles && (c.Members == "" || c.Members == x.Class) && x.Behaviour == "" && !hostName(x.Class) {
				fail("%s: class %q is part of handles, which have small letters, digits and hyphens between them", where, x.Class)
			}
		}
		if towns[c.Community] = true; c.Count < 0 {
			fail("%s.count: %d; there is no less than none", where, c.Count)
		}
	}
	switch {
	case s.Rosters.Model == "star" && s.Rosters.Centre == "":
		fail("rosters.centre: which class do all watch?")
	case s.Rosters.Model == "file" && s.Rosters.File == "":
		fail("rosters.file: from which file?")
	}
	class("rosters.centre", s.Rosters.Centre)
	for i, w := range s.Workload {
		where := fmt.Sprintf("workload.%d", i)
		class(where, w.Class)
		if w.To != "contacts" {
			class(where+".to", w.To)
		}
		if !w.Presence.Set() && !w.Message.Set() && !w.Contact.Set() {
			fail("%s: does nothing: say presence, message or contact", where)
		}
		s.span(fail, where, w.From, w.Until)
	}
	for i, c := range s.Churn {
		where := fmt.Sprintf("churn.%d", i)
		class(where, c.Class)
		if c.File == "" && (!c.Session.Set() || !c.Gap.Set()) {
			fail("%s: needs session and gap, or a file", where)
		}
		s.span(fail, where, c.From, c.Until)
	}
	for i, f := range s.Faults {
		s.fault(fail, class, fmt.Sprintf("faults.%d", i), f)
	}
	s.clashes(fail)
	return errors.Join(errs...)
}

// hostName reports whether a word can be a label of a domain, with a number behind it.
func hostName(s string) bool {
	return s != "" && len(s) <= 50 && s[0] != '-' && s[len(s)-1] != '-' &&
		!strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) })
}

func keys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func (s *Scenario) span(fail func(string, ...any), where string, from, until Duration) {
	if until != 0 && until <= from {
		fail("%s: ends at %v, before it begins at %v", where, until, from)
	}
	if from > s.Duration {
		fail("%s: begins at %v, after the run ends at %v", where, from, s.Duration)
	}
}

// Kind names what a fault is, and "" if it is nothing or several things.
func (f Fault) Kind() string {
	kinds := f.kinds()
	if len(kinds) != 1 {
		return ""
	}
	return kinds[0]
}

func (f Fault) kinds() (out []string) {
	for _, k := range []struct {
		is   bool
		name string
	}{{f.Partition != "", "partition"}, {f.Crash, "crash"}, {f.Blackout, "blackout"}, {f.Stop, "stop"}, {f.Start, "start"},
		{f.Sleep, "sleep"}, {f.Loss.F() > 0, "loss"}, {f.Latency > 0, "latency"}, {f.Clock != 0, "clock"}, {f.Block != "", "block"},
		{f.Say, "say"}, {f.Lapse, "lapse"}, {f.Double, "double"}} {
		if k.is {
			out = append(out, k.name)
		}
	}
	return out
}

func (s *Scenario) fault(fail func(string, ...any), class func(string, string), where string, f Fault) {
	class(where, f.Class)
	if kinds := f.kinds(); len(kinds) != 1 {
		fail("%s: is %d things (%s); write one fault for each", where, len(kinds), strings.Join(kinds, ", "))
	}
	if f.At > s.Duration {
		fail("%s: comes at %v, after the run ends at %v", where, f.At, s.Duration)
	}
	if f.For < 0 || f.At < 0 {
		fail("%s: time goes forward only", where)
	}
	if f.For > 0 && (f.Start || f.Say || f.Block != "" || f.Double) {
		fail("%s.for: %s happens at once and has no end: leave it out", where, f.Kind())
	}
	if c := slices.IndexFunc(s.Nodes, func(c Class) bool { return c.Class == f.Class }); f.Start && (c < 0 || !s.Nodes[c].Late) {
		fail("%s.start: names no class that is late, and all others run already", where)
	}
}

// clashes finds faults that cannot both be: one that stops nodes which another has stopped, on the whole of a class; a partition within
// another; and nodes that wait for a fault that never comes.
func (s *Scenario) clashes(fail func(string, ...any)) {
	takesDown := func(f Fault) bool { return f.Crash || f.Blackout || f.Stop || f.Sleep }
	end := func(f Fault) Duration {
		if f.For == 0 {
			return s.Duration
		}
		return f.At + f.For
	}
	whole := func(f Fault) bool { return f.Share.unset() || f.Share.F() == 1 }
	for i, a := range s.Faults {
		for j, b := range s.Faults[:i] {
			switch {
			case a.At >= end(b) || b.At >= end(a):
			case takesDown(a) && takesDown(b) && whole(a) && whole(b) && (a.Class == b.Class || a.Class == "" || b.Class == ""):
				fail("faults.%d: at %v the nodes are down already by faults.%d on line %d, until %v", i, a.At, j, s.Line(fmt.Sprint("faults.", j)), time.Duration(end(b)))
			case a.Partition != "" && b.Partition != "":
				fail("faults.%d: at %v all are parted already by faults.%d on line %d, until %v", i, a.At, j, s.Line(fmt.Sprint("faults.", j)), time.Duration(end(b)))
			}
		}
	}
	for i, c := range s.Nodes {
		if c.Late && !slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Start && f.Class == c.Class }) &&
			!slices.ContainsFunc(s.Churn, func(x Churn) bool { return x.File != "" || x.Class == c.Class || x.Class == "" }) {
			fail("nodes.%d.late: class %s never starts: give it a fault with start: true", i, c.Class)
		}
	}
}
