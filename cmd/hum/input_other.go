//go:build !linux

package main

import "github.com/hum-presence/hum/node"

// input is nil: this program does not know how to ask here since when the user has been away.
func input() node.Input { return nil }
