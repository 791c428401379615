package main

import (
	"regexp"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
)

// A duration is a flag in Go's form, or with days and weeks: 90s, 36h, 7d, 2w, 1d12h. Set tells an
// absent one from 0.
type duration struct {
	d   time.Duration
	set bool
}

var longUnits = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?`)

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	m := longUnits.FindStringSubmatch(s)
	weeks, _ := strconv.Atoi(or(m[1], "0"))
	days, _ := strconv.Atoi(or(m[2], "0"))
	long := time.Duration(weeks*7+days) * 24 * time.Hour
	if rest := strings.TrimPrefix(s, m[0]); rest != "" || m[0] == "" {
		short, err := time.ParseDuration(rest)
		if err != nil || short < 0 {
			return usage("write it like 90s, 15m, 36h or 7d", "%q is no duration", s)
		}
		long += short
	}
	d.d, d.set = long, true
	return nil
}

// String implements pflag.Value.
func (d *duration) String() string {
	if !d.set {
		return ""
	}
	return d.d.String()
}

// Type implements pflag.Value.
func (d *duration) Type() string { return "duration" }

// proto is d for the local API; nil if absent.
func (d *duration) proto() *durationpb.Duration {
	if !d.set {
		return nil
	}
	return durationpb.New(d.d)
}
