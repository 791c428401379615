package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control/humv1"
)

// idleAfter is a flag: a duration, or never.
type idleAfter time.Duration

// Set implements pflag.Value.
func (i *idleAfter) Set(s string) error {
	var d duration
	if s != "never" {
		if err := d.Set(s); err != nil {
			return err
		}
		s = d.d.String()
	}
	after, err := node.ParseIdleAfter(s)
	if err != nil {
		return usage("for example: --idle-after 15m", "%s", err)
	}
	*i = idleAfter(after)
	return nil
}

// String implements pflag.Value.
func (i *idleAfter) String() string {
	switch {
	case *i < 0:
		return "never"
	case *i == 0:
		return ""
	}
	return time.Duration(*i).String()
}

// Type implements pflag.Value.
func (i *idleAfter) Type() string { return "duration|never" }

// notReaching marks what nobody sees; a terminal shows it grey.
const notReaching = " (not reaching anyone)"

// unseen says that what is published reaches nobody now.
func unseen(s *humv1.StatusResponse) string {
	switch {
	case s.Reaching || s.Alone == "":
		return ""
	case s.Watchers == 0:
		return " (nobody watches you yet)"
	}
	return notReaching
}

// watchedBy says who watches, and whether he can.
func watchedBy(s *humv1.StatusResponse) string {
	out := plural(s.Watchers, "contact")
	if s.Watchers == 0 {
		out = "nobody yet"
	}
	if s.Requests > 0 {
		out += ", " + plural(s.Requests, "request") + " waiting for you"
	}
	if s.Watchers > 0 && s.Alone != "" {
		out += ": " + s.Alone
	}
	return out
}

// idleWords says whether idleness shows by itself.
func (a *app) idleWords(s *humv1.StatusResponse) string {
	switch {
	case s.IdleSince != nil:
		return "no input for " + span(a.now().Sub(s.IdleSince.AsTime())) + ": shown as idle until you are back"
	case s.Idle == "on":
		return "shown by itself after " + span(s.IdleAfter.AsDuration()) + " without input"
	case s.Idle == "off":
		return "never shown by itself, as you wish"
	}
	if s.IdleWhy == "" {
		return "-"
	}
	return "not shown by itself: " + s.IdleWhy
}

// costWords says what an hour costs: presence, which is topics and streams, messages, and all the rest.
func costWords(costs []*humv1.Cost) string {
	type cost struct{ in, out uint64 }
	sum := map[string]cost{}
	for _, c := range costs {
		key := c.Service
		if key == "topics" || key == "streams" {
			key = "presence"
		}
		sum[key] = cost{sum[key].in + c.InPerHour, sum[key].out + c.OutPerHour}
	}
	var parts []string
	for _, key := range []string{"presence", "messages", "upkeep"} {
		if c := sum[key]; c.in+c.out > 0 {
			parts = append(parts, fmt.Sprintf("%s %s in, %s out", key, size(c.in), size(c.out)))
		}
	}
	return or(strings.Join(parts, "; "), "not known before the first minute is over")
}

// evidence is what a state rests on, and beside it, marked as such, what hints otherwise.
func evidence(p *humv1.Presence) string {
	switch p.Hint {
	case node.HintLost:
		return p.Evidence + " (hint: connection lost " + span(p.HintAge.AsDuration()) + " ago)"
	case node.HintAlone:
		return p.Evidence + notReaching
	}
	return p.Evidence
}

// why says line by line what the presence of somebody rests on.
func (a *app) why(list []*humv1.Presence) {
	if a.json {
		return
	}
	for _, p := range list {
		a.say("%s is %s:", clean(name(p.Petname, "", p.Address)), strings.Join(words(p.Basic, p.Im), ", "))
		for _, w := range p.Why {
			a.say("  - %s", clean(w))
		}
		if p.Digest != "" {
			a.say("  - the digest of what he said, which hum view --as shows on his side: %s", p.Digest)
		}
	}
}

// hinted marks an event that is a hint of this machine, and nobody's word.
func hinted(hint string) string {
	if hint == node.HintLost {
		return " (hint: connection lost)"
	}
	return ""
}
