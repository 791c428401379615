package control

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// FileName is the name of the file in a node's home that tells programs of the home's owner where the
// loopback port is and which token opens it. It is there while the port is.
const FileName = "control.json"

// A door is what FileName holds.
type door struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// loopback is a TCP listener on this machine alone, with the file that tells of it.
type loopback struct {
	net.Listener
	file string
	door
}

// listenLoopback listens on addr, which must name a loopback address; port 0 takes a free one.
func listenLoopback(home, addr string, rand io.Reader) (*loopback, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, usage(fmt.Sprintf("%s is not host:port", addr))
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, usage(fmt.Sprintf("%s is not this machine: the local API is served on a loopback address only", host))
	}
	var secret [32]byte
	if _, err := io.ReadFull(rand, secret[:]); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("local API: %w", err)
	}
	lo := &loopback{l, filepath.Join(home, FileName), door{"http://" + l.Addr().String(), hex.EncodeToString(secret[:])}}
	if err := lo.write(); err != nil {
		l.Close()
		return nil, fmt.Errorf("local API: %w", err)
	}
	return lo, nil
}

// write tells of the port, in a file that nobody else ever could read.
func (l *loopback) write() error {
	b, err := json.Marshal(l.door)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(l.file), FileName+".*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(append(b, '\n'))
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), l.file)
}

func (l *loopback) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &impatient{c, stallLimit}, nil
}

func (l *loopback) Close() error {
	os.Remove(l.file)
	return l.Listener.Close()
}

// guard lets a request through that names this machine as its host (else a page could reach the port
// through a name of its own), comes from no foreign page, and carries the token.
func (l *loopback) guard(next http.Handler) http.Handler {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	hosts := []string{"127.0.0.1:" + port, "localhost:" + port, "[::1]:" + port, l.Addr().String()}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin, token := r.Header.Get("Origin"), strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch {
		case !slices.Contains(hosts, r.Host):
			http.Error(w, "this host is not served here", http.StatusMisdirectedRequest)
		case origin != "" && origin != "http://"+r.Host:
			http.Error(w, "pages of other origins are not served", http.StatusForbidden)
		case subtle.ConstantTimeCompare([]byte(token), []byte(l.Token)) != 1:
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "the token of "+FileName+" is needed", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}
