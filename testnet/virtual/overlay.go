package virtual

// overlay is set by the linker in an exact program.
var overlay string

// Overlay is the hash of the patches of Go's runtime that this program carries, or empty.
func Overlay() string { return overlay }
