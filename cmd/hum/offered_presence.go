//go:build onlypresence

package main

const offersIM, offersPresence = false, true
