package main

import (
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/hum-presence/hum/node/settings"
)

// A duration is a flag in Go's form, or with days and weeks: 90s, 36h, 7d, 2w, 1d12h. Set tells an
// absent one from 0.
type duration struct {
	d   time.Duration
	set bool
}

// Set implements pflag.Value.
func (d *duration) Set(s string) error {
	x, err := settings.ParseDuration(s)
	if err != nil {
		return usage("write it like 90s, 15m, 36h or 7d", "%q is no duration", s)
	}
	d.d, d.set = time.Duration(x), true
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
