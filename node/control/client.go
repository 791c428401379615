package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"connectrpc.com/connect/v2"
	"connectrpc.com/connect/v2/connecthttp"

	"github.com/hum-presence/hum/node/control/humv1"
)

// A Client calls the node of one home. [Explain] reads its errors.
type Client struct {
	humv1.ControlServiceClient
	humv1.CommunityServiceClient // if it is the home of a community node
	http                         *http.Transport
}

// Dial returns a client of the node that runs in home, or [ErrNotRunning].
func Dial(home string) (*Client, error) {
	path := filepath.Join(home, SocketName)
	c, err := knock(path)
	if err != nil {
		return nil, err
	}
	c.Close()
	transport := &http.Transport{
		DialContext:        func(context.Context, string, string) (net.Conn, error) { return knock(path) },
		DisableCompression: true,
	}
	rpc := connect.NewClient(connecthttp.NewTransport(&http.Client{Transport: transport}, "http://hum",
		connecthttp.WithReadMaxBytes(0), connecthttp.WithCompressors())) // the node of this home is trusted
	return &Client{humv1.NewControlServiceClient(rpc), humv1.NewCommunityServiceClient(rpc), transport}, nil
}

// Close releases the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// knock dials the socket and tells the absence of a node from trouble with one.
func knock(path string) (net.Conn, error) {
	c, err := dialSocket(path)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return c, nil
}
