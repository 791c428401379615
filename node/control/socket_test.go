package control

import (
	"net"
	"testing"
	"time"
)

// A client that stops reading is let go; one that reads is not.
func TestImpatient(t *testing.T) {
	here, there := net.Pipe()
	c := &impatient{here, 20 * time.Millisecond}
	go there.Read(make([]byte, 1))
	if _, err := c.Write([]byte("a")); err != nil {
		t.Errorf("a reader: %v", err)
	}
	if _, err := c.Write([]byte("b")); err == nil {
		t.Error("nobody read, and the write succeeded")
	}
}
