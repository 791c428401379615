// Package domains runs a little Internet of names on loopback: a real DNS server and a real web server with
// certificates of an authority of its own, for as many domains as a test wants, each with what it says of handles, and
// each able to lie.
package domains

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Servers are one DNS server and one web server.
type Servers struct {
	DNS   string         // host:port of the DNS server
	Web   string         // host:port of the web server
	Roots *x509.CertPool // who vouches for the domains

	mu      sync.Mutex
	domains map[string]*Domain
	asked   []string // what DNS and the web server were asked
	ca      *x509.Certificate
	key     *ecdsa.PrivateKey
	rogue   *x509.Certificate // another authority, for domains that are Forged
	other   *ecdsa.PrivateKey
}

// A Domain is what there is of a domain. It is changed with [Servers.Change].
type Domain struct {
	TXT    map[string][]string     // by owner name, lower case
	Web    map[string]http.Handler // by path; nil map: no web server, nil handler: 404
	MX     []string
	Forged bool // the web server shows a certificate of nobody
	Broken bool // DNS answers SERVFAIL
	Silent bool // DNS does not answer
}

// Start runs the servers until the test ends.
func Start(t testing.TB) *Servers {
	t.Helper()
	s := &Servers{domains: map[string]*Domain{}, Roots: x509.NewCertPool()}
	var err error
	if s.ca, s.key, err = authority(); err != nil {
		t.Fatal(err)
	}
	s.Roots.AddCert(s.ca)
	if s.rogue, s.other, err = authority(); err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.DNS = udp.LocalAddr().String()
	tcp, err := net.Listen("tcp", s.DNS) // what does not fit is asked for again by TCP
	if err != nil {
		t.Fatal(err)
	}
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: dns.HandlerFunc(s.answer)}, {Listener: tcp, Handler: dns.HandlerFunc(s.answer)}} {
		up := make(chan struct{})
		server.NotifyStartedFunc = func() { close(up) }
		go func() { _ = server.ActivateAndServe() }()
		<-up
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	web, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: s.certificate})
	if err != nil {
		t.Fatal(err)
	}
	s.Web = web.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(s.serve), ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(web) }()
	t.Cleanup(func() { _ = server.Close() })
	return s
}

// Set puts a domain in the place of what there was of it; nil: nothing.
func (s *Servers) Set(name string, d *Domain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.domains[name] = d; d == nil {
		delete(s.domains, name)
	}
}

// Asked are the names and paths that were asked for.
func (s *Servers) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// Dial reaches the web server of a domain at whatever port is asked for, if it has one.
func (s *Servers) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	if _, d := s.of(host); d == nil || d.Web == nil {
		return nil, &net.OpError{Op: "dial", Net: network, Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
	return (&net.Dialer{}).DialContext(ctx, network, s.Web)
}

// of finds the domain that a name is in.
func (s *Servers) of(name string) (string, *Domain) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name = strings.ToLower(strings.TrimSuffix(name, ".")); name != ""; {
		if d := s.domains[name]; d != nil {
			return name, d
		}
		_, name, _ = strings.Cut(name, ".")
	}
	return "", nil
}

func (s *Servers) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, what)
}

// answer is the DNS server.
func (s *Servers) answer(w dns.ResponseWriter, q *dns.Msg) {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	defer func() { _ = w.WriteMsg(m) }()
	name := strings.ToLower(strings.TrimSuffix(q.Question[0].Name, "."))
	s.note(dns.TypeToString[q.Question[0].Qtype] + " " + name)
	domain, d := s.of(name)
	switch {
	case d == nil:
		m.Rcode = dns.RcodeNameError
		return
	case d.Silent:
		m = new(dns.Msg) // an empty header with no id: nobody takes it for an answer
		return
	case d.Broken:
		m.Rcode = dns.RcodeServerFailure
		return
	}
	head := func(t uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Question[0].Name, Rrtype: t, Class: dns.ClassINET, Ttl: 1}
	}
	switch t := q.Question[0].Qtype; {
	case t == dns.TypeTXT:
		for _, text := range d.TXT[name] {
			m.Answer = append(m.Answer, &dns.TXT{Hdr: head(t), Txt: parts(text)})
		}
	case t == dns.TypeMX && name == domain:
		for _, host := range d.MX {
			m.Answer = append(m.Answer, &dns.MX{Hdr: head(t), Preference: 10, Mx: dns.Fqdn(host)})
		}
	case t == dns.TypeA && name == domain && d.Web != nil:
		m.Answer = append(m.Answer, &dns.A{Hdr: head(t), A: net.IPv4(127, 0, 0, 1)})
	case t == dns.TypeNS && name == domain:
		m.Answer = append(m.Answer, &dns.NS{Hdr: head(t), Ns: "ns." + dns.Fqdn(domain)})
	}
	if len(m.Answer) == 0 && name != domain {
		m.Rcode = dns.RcodeNameError
	}
	if u, ok := w.RemoteAddr().(*net.UDPAddr); ok && u != nil {
		size := dns.MinMsgSize
		if o := q.IsEdns0(); o != nil {
			size = int(o.UDPSize())
		}
		m.Truncate(size)
	}
}

// parts cuts a text into strings of a TXT record.
func parts(text string) (out []string) {
	for len(text) > 255 {
		out, text = append(out, text[:255]), text[255:]
	}
	return append(out, text)
}

// serve is the web server.
func (s *Servers) serve(w http.ResponseWriter, r *http.Request) {
	s.note(r.Host + r.URL.Path)
	_, d := s.of(r.Host)
	if d == nil {
		http.Error(w, "no such host", http.StatusMisdirectedRequest)
		return
	}
	s.mu.Lock()
	h := d.Web[r.URL.Path]
	if h == nil {
		h = d.Web["*"]
	}
	s.mu.Unlock()
	if h == nil {
		http.NotFound(w, r)
		return
	}
	h.ServeHTTP(w, r)
}

// Says is a page with a text.
func Says(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) })
}

func authority() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	c, err = x509.ParseCertificate(raw)
	return c, key, err
}

// certificate makes one for whatever domain is asked for.
func (s *Servers) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	ca, key := s.ca, s.key
	if _, d := s.of(hello.ServerName); d != nil && d.Forged {
		ca, key = s.rogue, s.other
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), DNSNames: []string{hello.ServerName},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature}
	raw, err := x509.CreateCertificate(rand.Reader, c, ca, &s.key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: s.key}, nil
}
