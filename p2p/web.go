package p2p

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	ws "github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A Certificate names the files by which a node shows itself on WSS. Empty: one that it signs itself, which is enough
// for firewalls and for hum, but not for browsers.
type Certificate struct{ Cert, Key string }

// webTransport dials and serves WebSockets, for firewalls that let the web alone pass; where HTTPS_PROXY or HTTP_PROXY
// is set, by that proxy (CONNECT). Who the other side is, the handshake inside shows: the certificate outside is for
// those in between, and is not judged.
func webTransport(c Config) (libp2p.Option, error) {
	opts := []any{ws.WithTLSClientConfig(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12})} //nolint:gosec // see above
	if strings.Contains(strings.Join(c.Listen, " "), "/ws") || c.Web {
		cert, err := newCertFiles(c.Certificate, c.Clock().Wall.Go(), c.Log)
		if err != nil {
			return nil, err
		}
		opts = append(opts, ws.WithTLSConfig(&tls.Config{GetCertificate: cert.get, MinVersion: tls.VersionTLS12}))
	}
	return libp2p.Transport(ws.New, opts...), nil
}

// certLook is how often the files of a certificate are looked at: whoever renews them need not restart the node.
const certLook = time.Minute

// certFiles is a certificate, read anew when its file changes.
type certFiles struct {
	files Certificate
	log   *slog.Logger

	mu     sync.Mutex
	cert   *tls.Certificate
	stamp  time.Time // of the file that cert was read from
	looked time.Time
}

func newCertFiles(files Certificate, now time.Time, log *slog.Logger) (*certFiles, error) {
	c := &certFiles{files: files, log: log}
	if files == (Certificate{}) {
		cert, err := selfSigned(now)
		c.cert = cert
		return c, err
	}
	return c, c.read()
}

func (c *certFiles) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files != (Certificate{}) && time.Since(c.looked) > certLook {
		if err := c.read(); err != nil { // the old one is served on
			c.log.Warn("the certificate was not read anew", "err", err)
		}
	}
	return c.cert, nil
}

// read reads the files, if they have changed.
func (c *certFiles) read() error {
	c.looked = time.Now()
	info, err := os.Stat(c.files.Cert)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	if c.cert != nil && info.ModTime().Equal(c.stamp) {
		return nil
	}
	cert, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	c.cert, c.stamp = &cert, info.ModTime()
	return nil
}

// selfSigned is a certificate that names nobody.
func selfSigned(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	like := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(10, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, like, like, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// tcpPart returns the part of a listen address up to its TCP port, nil if it has none.
func tcpPart(m ma.Multiaddr) ma.Multiaddr {
	for i, c := range m {
		if c.Protocol().Code == ma.P_TCP {
			return m[:i+1]
		}
	}
	return nil
}

// onLoopback reports whether every address is one of this machine alone.
func onLoopback(addrs []string) bool {
	for _, a := range addrs {
		if m, err := ma.NewMultiaddr(a); err != nil || !manet.IsIPLoopback(m) {
			return false
		}
	}
	return len(addrs) > 0
}
