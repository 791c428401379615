package main

import (
	"strings"

	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control/humv1"
)

// thing is the flags of set for what is no person: a sensor, a bot.
type thing struct {
	status []string
	bare   bool
}

func (t *thing) flags(f *pflag.FlagSet) {
	f.StringArrayVar(&t.status, "status", nil, "what a service says of itself, x.DOMAIN/NAME=VALUE (repeatable; replaces all before); '' takes them away")
	f.BoolVar(&t.bare, "bare", false, "publish as a thing, not a person: no available or busy, no note, contacts or activity; --bare=false ends it")
}

// into adds to r what was given.
func (t *thing) into(r *humv1.SetRequest, given *pflag.FlagSet) error {
	if given.Changed("bare") {
		r.Bare = &t.bare
	}
	if !given.Changed("status") {
		return nil
	}
	r.Measures = &humv1.Measures{}
	for _, s := range words(t.status...) {
		name, value, ok := strings.Cut(s, "=")
		if !ok {
			return usage("for example: --status x.example.org/temperature=21.5", "%q has no value", s)
		}
		r.Measures.List = append(r.Measures.List, &humv1.Measure{Name: name, Value: value})
	}
	return nil
}

// measured is what the services of p say of themselves, in few words: names without their domains.
func measured(p *humv1.Presence) string {
	var parts []string
	for _, t := range p.Tuples {
		for _, s := range t.Status {
			parts = append(parts, s.Name[strings.LastIndex(s.Name, "/")+1:]+" "+s.Value)
		}
	}
	return strings.Join(parts, ", ")
}
