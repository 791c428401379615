// Package control is the local door of a node: commands in, one numbered stream of events out. It is a
// Connect service (proto/hum/v1/control.proto), so that the command line, a page in a browser, curl and
// bots in any language speak to the same handler.
//
// It is served on the unix socket control.sock in the node's home, which only the home's owner can open
// (mode 0600), and, if asked for, on a loopback TCP port. On TCP the file control.json beside the socket
// holds the URL and a token; every request must carry the token, a Host that names the loopback, and no
// foreign Origin, so that a page that the user merely visits can do nothing.
//
// Every error that the node answers carries a Problem: a code, what kind of failure it is, a sentence,
// and what to type next. [Explain] gives it back to a client as the [node.Error] that it was.
package control

//go:generate ../../tools/generate-control.sh
