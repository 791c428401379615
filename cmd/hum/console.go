package main

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/term"
)

// A console is a terminal that a line is typed on while others are written: what comes stands above it, and what was
// typed so far below that. Close gives the terminal back as it was.
type console struct {
	t     *term.Terminal
	fd    int
	state *term.State

	mu            sync.Mutex
	width, height int
}

// openConsole takes the terminal of stdin and stdout, nil if they are none, or not one that can do this.
func openConsole() (*console, error) {
	fd := int(os.Stdin.Fd())
	if runtime.GOOS == "windows" || !term.IsTerminal(fd) || !term.IsTerminal(int(os.Stdout.Fd())) {
		return nil, nil
	}
	state, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	c := &console{t: term.NewTerminal(struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}, "> "), fd: fd, state: state}
	c.resize()
	return c, nil
}

// resize follows the width of the window, which decides where a line is broken.
func (c *console) resize() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if w, h, err := term.GetSize(c.fd); err == nil && w > 0 && (w != c.width || h != c.height) {
		c.width, c.height = w, h
		_ = c.t.SetSize(w, h)
	}
}

func (c *console) Write(b []byte) (int, error) {
	c.resize()
	return c.t.Write(b)
}

// ReadLine returns what is typed up to Enter. Ctrl-D on an empty line, and Ctrl-C, are io.EOF.
func (c *console) ReadLine() (string, error) {
	line, err := c.t.ReadLine()
	if errors.Is(err, term.ErrPasteIndicator) {
		err = nil
	}
	return line, err
}

func (c *console) Close() error {
	_, _ = io.WriteString(os.Stdout, "\r\n")
	return term.Restore(c.fd, c.state)
}
