package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// SocketName is the name of the unix socket in a node's home.
const SocketName = "control.sock"

const (
	maxSocketPath = 100              // bytes; the kernels' limits are 104 and 108
	probeTime     = 10 * time.Second // for a live server to accept, on a machine that stands still
	stallLimit    = 30 * time.Second // a client that reads nothing for so long is cut off
)

// listenSocket takes the socket of home. One that a dead process left behind is replaced; one that
// somebody answers on is [ErrRunning]. It becomes visible only once its mode is 0600.
func listenSocket(home string) (*socket, error) {
	path := filepath.Join(home, SocketName)
	if err := free(path); err != nil {
		return nil, err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	s := &socket{path: path}
	err := shortly(fresh, func(short string) (err error) {
		s.UnixListener, err = net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	s.SetUnlinkOnClose(false)
	if err := s.show(fresh); err != nil {
		s.UnixListener.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return s, nil
}

// A socket is a listener whose file outlives it until it is removed: while the file is there, somebody
// is still using the home, or died in it.
type socket struct {
	*net.UnixListener
	path string
	file os.FileInfo
}

// show closes the socket to others and then gives it its name.
func (s *socket) show(fresh string) (err error) {
	if err := os.Chmod(fresh, 0o600); err != nil {
		return err
	}
	if s.file, err = os.Lstat(fresh); err != nil {
		return err
	}
	return os.Rename(fresh, s.path)
}

// remove takes the file away, and never that of a successor.
func (s *socket) remove() error {
	if now, err := os.Lstat(s.path); err != nil || !os.SameFile(now, s.file) {
		return nil
	}
	if err := os.Remove(s.path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Accept returns connections that a client who stops reading cannot hold for ever.
func (s *socket) Accept() (net.Conn, error) {
	c, err := s.UnixListener.Accept()
	if err != nil {
		return nil, err
	}
	return &impatient{c, stallLimit}, nil
}

// impatient closes a connection when one write takes longer than limit.
type impatient struct {
	net.Conn
	limit time.Duration
}

func (c *impatient) Write(b []byte) (int, error) {
	stalled := time.AfterFunc(c.limit, func() { c.Conn.Close() })
	defer stalled.Stop()
	return c.Conn.Write(b)
}

// free reports whether a server may take path: nothing is there, or a socket that nobody answers on.
func free(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&os.ModeSocket == 0 {
		return fmt.Errorf("%s is in the way: it is not a socket", path)
	}
	c, err := dialSocket(path)
	switch {
	case err == nil:
		c.Close()
		return ErrRunning
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil
	}
	return fmt.Errorf("control socket: %w", err)
}

func dialSocket(path string) (c net.Conn, err error) {
	err = shortly(path, func(short string) (err error) {
		c, err = net.DialTimeout("unix", short, probeTime)
		return err
	})
	return c, err
}

// shortly calls use with a name of path that is short enough for a socket: path itself, or one through
// a link in the directory for temporary files that lives as long as the call.
func shortly(path string, use func(string) error) error {
	if len(path) <= maxSocketPath {
		return use(path)
	}
	home, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "hum")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	link := filepath.Join(dir, "h")
	if err := os.Symlink(home, link); err != nil {
		return err
	}
	return use(filepath.Join(link, filepath.Base(path)))
}
