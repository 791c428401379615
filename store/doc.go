// Package store keeps what a home must not forget: opaque values under typed keys.
package store
