package wire

import "fmt"

// word returns the nth of words, counted from 1, or "".
func word(n uint32, words ...string) string {
	if n == 0 || uint64(n) > uint64(len(words)) {
		return ""
	}
	return words[n-1]
}

// named returns name, or the kind and number of what has none here.
func named(name, kind string, n uint32) string {
	if name == "" {
		return fmt.Sprintf("%s %d", kind, n)
	}
	return name
}

// String returns "open" or "closed".
func (b Basic) String() string { return named(word(uint32(b), "open", "closed"), "basic", uint32(b)) }

// String returns the status in lower case, "" for none.
func (s IMStatus) String() string {
	if s == 0 {
		return ""
	}
	return named(word(uint32(s), "available", "busy", "away", "idle", "dnd", "xa"), "im status", uint32(s))
}

// String returns the state in lower case.
func (s SubStateCode) String() string {
	name := word(uint32(s), "pending", "active", "denied", "terminated", "expired")
	return named(name, "state", uint32(s))
}

// String returns the disposition in lower case.
func (d Disposition) String() string {
	name := word(uint32(d), "delivered", "displayed", "forbidden", "failed")
	return named(name, "disposition", uint32(d))
}

// String returns the status in lower case, as SPEC 3.6 names it.
func (s FrameStatus) String() string {
	name := word(uint32(s), "ok", "busy", "malformed", "denied", "quota", "not-found", "stale",
		"no-key", "unknown-op")
	return named(name, "status", uint32(s))
}
