package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"
	"golang.org/x/sync/errgroup"

	"github.com/hum-presence/hum/node/control/humv1"
)

// Config says where and for whom the door stands.
type Config struct {
	Home    string           // the node's home, mode 0700; required
	Backend Backend          // required, unless it is the home of a community node
	Host    HostBackend      // that node; nil for a person's
	TCP     string           // a loopback host:port to serve as well; "" is none, port 0 a free one
	Clock   func() time.Time // for uptimes; required
	Rand    io.Reader        // for the token; required with TCP
}

// A Server is an open door.
type Server struct {
	socket   *socket
	loopback *loopback // nil: none
	handler  http.Handler
}

const (
	headerTime = 10 * time.Second
	closeTime  = 2 * time.Second // for answers on their way when the node ends
	maxRequest = 4 << 20         // bytes
)

// Open takes the socket, and the port if one is asked for. It returns [ErrRunning] if a node already
// answers in this home. The caller holds the home's lock, so that two servers cannot race for it.
func Open(c Config) (*Server, error) {
	sock, err := listenSocket(c.Home)
	if err != nil {
		return nil, err
	}
	s := &Server{socket: sock, handler: handler(c)}
	if c.TCP != "" {
		if s.loopback, err = listenLoopback(c.Home, c.TCP, c.Rand); err != nil {
			sock.Close()
			return nil, err
		}
	}
	return s, nil
}

func handler(c Config) http.Handler {
	rpc := connect.NewServer(explainAll)
	if c.Host != nil {
		humv1.RegisterCommunityServiceHandler(rpc, &hosting{c.Host})
	} else {
		humv1.RegisterControlServiceHandler(rpc, &service{node: c.Backend, now: c.Clock})
	}
	mux := http.NewServeMux()
	connecthttp.Mount(mux, rpc, connecthttp.WithReadMaxBytes(maxRequest), connecthttp.WithCompressors())
	return mux
}

// URL returns where the loopback port is, "" if there is none.
func (s *Server) URL() string {
	if s.loopback == nil {
		return ""
	}
	return s.loopback.URL
}

// Run serves until ctx ends; then event streams end, and other answers have two seconds to leave.
func (s *Server) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return serve(ctx, s.socket, s.handler) })
	if s.loopback != nil {
		g.Go(func() error { return serve(ctx, s.loopback, s.loopback.guard(s.handler)) })
	}
	return g.Wait()
}

// Close releases the socket and the port. The socket's file goes last of all, so that whoever waits for
// it to go finds the home free: close the node first, then this.
func (s *Server) Close() error {
	err := closed(s.socket.Close())
	if s.loopback != nil {
		err = errors.Join(err, closed(s.loopback.Close()))
	}
	return errors.Join(err, s.socket.remove())
}

// closed overlooks that Run has closed a listener before.
func closed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	done := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(done)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if srv.Shutdown(last) != nil {
			srv.Close()
		}
	})
	err := srv.Serve(l)
	if stop() { // Serve failed by itself
		return err
	}
	<-done
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
