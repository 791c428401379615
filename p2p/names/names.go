// Package names asks domains whose a handle is (SPEC 2.7): over HTTPS, which a certificate vouches for, and in DNS,
// which nobody does. It believes nobody: what it returns is the domain's half, and the address's own record has to
// list the handle before it counts. Every answer is bounded, in bytes and in time.
package names

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hum-presence/hum/p2p/wire"
)

// What a look-up ends with, other than with an address. Each is one clear answer.
var (
	ErrUnknown   = errors.New("the domain knows no such name")
	ErrMailOnly  = errors.New("the domain has mail, and says nothing about hum")
	ErrNoDomain  = errors.New("there is no such domain")
	ErrForged    = errors.New("somebody answers in the domain's place") // its certificate is not the domain's
	ErrDisagrees = errors.New("the domain says two things at once")     // by HTTPS another address than by DNS
	ErrBadAnswer = errors.New("the domain's answer is none")
	ErrSilent    = errors.New("the domain does not answer") // it may later
)

const (
	patience  = 15 * time.Second // for all of a look-up
	grace     = 4 * time.Second  // for the other way, once one has answered
	redirects = 3
	maxBody   = 16 << 10
	maxHeader = 32 << 10
)

// Config says whom a Resolver asks. The zero Config asks whom the machine asks.
type Config struct {
	DNS   string         // host:port of the DNS server; that of the machine
	Roots *x509.CertPool // who may vouch for a domain; those of the machine
	// Dial opens a connection to host:443 of a domain; a net.Dialer that asks DNS above.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Resolver looks handles up. It is safe for concurrent use.
type Resolver struct {
	dns *net.Resolver
	web *http.Client
}

// New returns a Resolver.
func New(c Config) *Resolver {
	r := &Resolver{dns: net.DefaultResolver}
	if c.DNS != "" {
		r.dns = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{Timeout: patience}).DialContext(ctx, network, c.DNS)
		}}
	}
	if c.Dial == nil {
		c.Dial = (&net.Dialer{Timeout: patience, Resolver: r.dns}).DialContext
	}
	r.web = &http.Client{
		Timeout: patience,
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: c.Dial, DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeader,
			TLSClientConfig: &tls.Config{RootCAs: c.Roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error { return within(via[0].URL, to.URL, len(via)) },
	}
	return r
}

// within refuses to be led away from a domain: nobody else vouches for its names.
func within(from, to *url.URL, hops int) error {
	host := strings.ToLower(to.Hostname())
	switch {
	case hops > redirects:
		return fmt.Errorf("%w: it leads on and on", ErrBadAnswer)
	case to.Scheme != "https" || host != from.Hostname() && !strings.HasSuffix(host, "."+from.Hostname()):
		return fmt.Errorf("%w: it leads away from the domain", ErrBadAnswer)
	}
	return nil
}

// An Answer is what a domain says of a handle.
type Answer struct {
	wire.HandleReply
	HTTPS, DNS bool // how it was said
}

// How says by what the domain's word was heard.
func (a Answer) How() string {
	switch {
	case a.HTTPS && a.DNS:
		return "by HTTPS and in DNS"
	case a.HTTPS:
		return "by HTTPS"
	}
	return "in DNS, which nobody signs"
}

// A heard is what came by one of the two ways; the Address is zero if there it knows of no such name.
type heard struct {
	reply wire.HandleReply
	err   error
}

// Look asks the domain of h whose it is. Errors: those of this package.
func (r *Resolver) Look(ctx context.Context, h wire.Handle) (Answer, error) {
	ctx, done := context.WithTimeout(ctx, patience)
	defer done()
	dns, web := make(chan heard, 1), make(chan heard, 1)
	inDNS, endDNS := context.WithCancel(ctx)
	defer endDNS()
	byWeb, endWeb := context.WithCancel(ctx)
	defer endWeb()
	go func() { dns <- r.inDNS(inDNS, h) }()
	go func() { web <- r.byHTTPS(byWeb, h) }()
	var d, w heard
	select {
	case w = <-web:
		if !w.reply.Address.IsZero() { // what DNS says could only contradict it
			defer time.AfterFunc(grace, endDNS).Stop()
		}
		d = <-dns
	case d = <-dns:
		if !d.reply.Address.IsZero() { // a domain may have no web server at all
			defer time.AfterFunc(grace, endWeb).Stop()
		}
		w = <-web
	}
	return r.judge(ctx, h, d, w)
}

// judge weighs what came by the two ways.
func (r *Resolver) judge(ctx context.Context, h wire.Handle, d, w heard) (Answer, error) {
	byDNS, byWeb := !d.reply.Address.IsZero(), !w.reply.Address.IsZero()
	switch {
	case errors.Is(w.err, ErrForged), errors.Is(w.err, ErrBadAnswer):
		return Answer{}, w.err
	case errors.Is(d.err, ErrBadAnswer):
		return Answer{}, d.err
	case byDNS && byWeb && d.reply.Address != w.reply.Address:
		return Answer{}, fmt.Errorf("%w: %s by HTTPS, %s in DNS", ErrDisagrees, w.reply.Address, d.reply.Address)
	case byWeb:
		w.reply.Homes = d.reply.Homes
		return Answer{w.reply, true, byDNS}, nil
	case byDNS:
		return Answer{d.reply, false, true}, nil
	case errors.Is(w.err, ErrUnknown) && r.namesPeople(ctx, h):
		return Answer{}, ErrUnknown
	case errors.Is(d.err, ErrSilent):
		return Answer{}, d.err
	}
	return Answer{}, r.without(ctx, h, w.err)
}

// without says what there is of a domain that names nobody, after web was answered by its web server.
func (r *Resolver) without(ctx context.Context, h wire.Handle, web error) error {
	mail, err := r.dns.LookupMX(ctx, h.Domain)
	switch {
	case len(mail) > 0 && !(len(mail) == 1 && mail[0].Host == "."): // RFC 7505: a null MX
		return ErrMailOnly
	case err != nil && !notFound(err):
		return fmt.Errorf("%w: %v", ErrSilent, plainDNS(err))
	case errors.Is(web, ErrUnknown):
		return ErrUnknown
	case errors.Is(web, ErrSilent):
		if _, err := r.dns.LookupHost(ctx, h.Domain); err == nil || !notFound(err) {
			return web
		}
		if ns, err := r.dns.LookupNS(ctx, h.Domain); len(ns) > 0 || err != nil && !notFound(err) {
			return ErrUnknown // it exists, and has no host
		}
	}
	return ErrNoDomain
}

// inDNS asks for the TXT records of a handle.
func (r *Resolver) inDNS(ctx context.Context, h wire.Handle) heard {
	texts, err := r.dns.LookupTXT(ctx, h.DNSName())
	if err != nil && notFound(err) {
		return heard{err: ErrUnknown}
	}
	if err != nil {
		return heard{err: fmt.Errorf("%w: %v", ErrSilent, plainDNS(err))}
	}
	reply, err := wire.ParseHandleTXT(texts)
	if err != nil {
		return heard{err: fmt.Errorf("%w: %v", ErrBadAnswer, err)}
	}
	return heard{reply: reply}
}

func notFound(err error) bool {
	var d *net.DNSError
	return errors.As(err, &d) && d.IsNotFound
}

// plainDNS is an error of DNS without the server that it came from.
func plainDNS(err error) string {
	var d *net.DNSError
	if errors.As(err, &d) {
		return d.Err
	}
	return err.Error()
}

// byHTTPS asks the domain's web server.
func (r *Resolver) byHTTPS(ctx context.Context, h wire.Handle) heard {
	status, body, err := r.get(ctx, h.URL())
	switch {
	case err != nil:
		return heard{err: err}
	case status == http.StatusNotFound || status == http.StatusGone || status == http.StatusForbidden:
		return heard{err: ErrUnknown}
	case status != http.StatusOK:
		return heard{err: fmt.Errorf("%w: its web server says %d", ErrSilent, status)}
	}
	reply, err := wire.ParseHandleReply(body)
	if err != nil {
		return heard{err: fmt.Errorf("%w: %v", ErrBadAnswer, err)}
	}
	return heard{reply: reply}
}

// namesPeople reports whether a domain that does not know one name has others: its host says so itself.
func (r *Resolver) namesPeople(ctx context.Context, h wire.Handle) bool {
	status, body, err := r.get(ctx, "https://"+h.Domain+wire.HandleIndex)
	return err == nil && status == http.StatusOK && wire.IsHandleIndex(body)
}

// get fetches what is at an https URL, all of it or nothing.
func (r *Resolver) get(ctx context.Context, at string) (status int, body []byte, err error) {
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("%w: %v", ErrBadAnswer, err)
	}
	ask.Header.Set("Accept", "application/json")
	ask.Header.Set("User-Agent", "hum/1")
	got, err := r.web.Do(ask)
	if err != nil {
		return 0, nil, webError(err)
	}
	defer func() { _ = got.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(got.Body, maxBody+1))
	switch {
	case err != nil:
		return 0, nil, fmt.Errorf("%w: %v", ErrSilent, err)
	case len(body) > maxBody:
		return 0, nil, fmt.Errorf("%w: more than %d bytes", ErrBadAnswer, maxBody)
	}
	return got.StatusCode, body, nil
}

// webError tells a certificate that is another's from a server that is not there.
func webError(err error) error {
	var certificate *tls.CertificateVerificationError
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(err, ErrBadAnswer):
		return err
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: its certificate does not hold: %v", ErrForged, certificate.Err)
	}
	return fmt.Errorf("%w: %v", ErrSilent, err)
}
