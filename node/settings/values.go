package settings

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A Duration is written in Go's form, or with days and weeks: 90s, 36h, 7d, 2w, 1d12h.
type Duration time.Duration

var longUnits = regexp.MustCompile(`^(?:(\d{1,4})w)?(?:(\d{1,5})d)?`)

// ParseDuration reads one.
func ParseDuration(s string) (Duration, error) {
	m := longUnits.FindStringSubmatch(s)
	weeks, _ := strconv.Atoi(m[1]) // absent: 0
	days, _ := strconv.Atoi(m[2])
	long := time.Duration(weeks*7+days) * 24 * time.Hour
	if rest := strings.TrimPrefix(s, m[0]); rest != "" || m[0] == "" {
		short, err := time.ParseDuration(rest)
		if err != nil || short < 0 {
			return 0, fmt.Errorf("%q is no duration: write it like 90s, 15m, 36h or 7d", s)
		}
		long += short
	}
	return Duration(long), nil
}

func (d *Duration) UnmarshalText(b []byte) (err error) {
	*d, err = ParseDuration(string(b))
	return err
}

// MarshalText writes days as such, and leaves out what is zero.
func (d Duration) MarshalText() ([]byte, error) {
	const day = 24 * time.Hour
	t := time.Duration(d)
	if t >= day && t%day == 0 {
		return fmt.Appendf(nil, "%dd", t/day), nil
	}
	s := t.String()
	if short, ok := strings.CutSuffix(s, "m0s"); ok {
		s = short + "m"
	}
	if short, ok := strings.CutSuffix(s, "h0m"); ok {
		s = short + "h"
	}
	return []byte(s), nil
}

// Bytes are written with a unit, "64 MiB" or "500 kB", or as a mere number.
type Bytes int64

var units = []struct {
	word string
	size Bytes
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}

func (n *Bytes) UnmarshalText(b []byte) error {
	text, size := strings.TrimSpace(string(b)), Bytes(1)
	for _, u := range units {
		if number, ok := strings.CutSuffix(text, u.word); ok {
			text, size = strings.TrimSpace(number), u.size
			break
		}
	}
	x, err := strconv.ParseInt(text, 10, 64)
	if err != nil || x < 0 || x > (1<<62)/int64(size) {
		return fmt.Errorf("%q is no number of bytes: write it like 64 MiB or 500 kB", b)
	}
	*n = Bytes(x) * size
	return nil
}

// MarshalText writes the largest unit that loses nothing.
func (n Bytes) MarshalText() ([]byte, error) {
	for _, u := range units {
		if n >= u.size && n%u.size == 0 {
			return fmt.Appendf(nil, "%d %s", int64(n/u.size), u.word), nil
		}
	}
	return []byte("0 B"), nil
}
