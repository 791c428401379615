//go:build planted

package store

// ackEarly has the committer answer its callers before it commits. It is never built into a node: crash
// tests build it with the tag "planted" and must find that messages are lost.
const ackEarly = true
