//go:build !unix

package sim

import (
	"errors"
	"os"
	"time"
)

// Here nothing tells the real time in a bubble, nor what the process holds.
func wallTime() time.Time         { return time.Time{} }
func cpuTime() time.Duration      { return 0 }
func resident() (now, peak int64) { return 0, 0 }

// halt would stop a process where it stands.
func halt(*os.Process) error   { return errors.New("this system cannot put a process to sleep") }
func resume(*os.Process) error { return nil }

// MemoryLeft is how much memory the machine can still give, 0 where it does not say.
func MemoryLeft() int64 { return 0 }
