//go:build !onlymessages && !onlypresence

package main

// offersIM and offersPresence say for which services this build has commands. The build tags onlymessages and
// onlypresence leave one out (RFC 2779, 2.1.1): such a program makes no address for the other, and runs none.
const offersIM, offersPresence = true, true
