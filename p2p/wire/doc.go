// Package wire defines the bytes that nodes exchange; SPEC.md beside it is the whole of it.
package wire
