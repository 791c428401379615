//go:build !planted

package store

// ackEarly is a fault that crash tests plant, to see that they would find it: see planted.go.
const ackEarly = false
