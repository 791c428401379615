//go:build onlymessages

package main

const offersIM, offersPresence = true, false
