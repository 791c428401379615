package host

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// A Web says where and how a handle host answers for its domains (SPEC 2.7).
type Web struct {
	Domains []string // whose names are kept; none: of no domain
	Listen  string   // host:port; "": it is not served here
	Cert    string   // file of the certificates, PEM; "": clear text, for a server in front that has them
	Key     string   // file of their key
}

// ErrWeb says that the web server cannot be started as it is configured.
var ErrWeb = errors.New("the web server of the names")

// openWeb binds the web server's port.
func (h *Host) openWeb() error {
	w := &h.cfg.Web
	for i, d := range w.Domains {
		x, err := wire.ParseHandle("x@" + d)
		if err != nil {
			return fmt.Errorf("%w: %q is no domain", ErrWeb, d)
		}
		w.Domains[i] = x.Domain
	}
	if w.Listen == "" || !h.does(wire.RoleHandles) {
		return nil
	}
	l, err := net.Listen("tcp", w.Listen)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrWeb, err)
	}
	if w.Cert != "" || w.Key != "" {
		c := &certificate{cert: w.Cert, key: w.Key, log: h.log}
		if _, err := c.get(nil); err != nil {
			return errors.Join(fmt.Errorf("%w: certificate %s with key %s: %w", ErrWeb, w.Cert, w.Key, err), l.Close())
		}
		l = tls.NewListener(l, &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12})
	}
	h.web = l
	return nil
}

// serveWeb answers for the domains until ctx ends.
func (h *Host) serveWeb(ctx context.Context) error {
	if h.web == nil {
		return nil
	}
	s := &http.Server{Handler: http.HandlerFunc(h.wellKnown), ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		MaxHeaderBytes: 16 << 10, ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug)}
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	if err := s.Serve(h.web); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("%w: %w", ErrWeb, err)
	}
	return nil
}

// WebAddr is where the names are served, "" if nowhere.
func (h *Host) WebAddr() string {
	if h.web == nil {
		return ""
	}
	return h.web.Addr().String()
}

// wellKnown serves the tree of SPEC 2.7.
func (h *Host) wellKnown(w http.ResponseWriter, r *http.Request) {
	label, ok := strings.CutPrefix(r.URL.Path, wire.HandleIndex)
	switch {
	case !ok:
		http.NotFound(w, r)
		return
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET", http.StatusMethodNotAllowed)
		return
	}
	page := []byte(wire.HandleIndexJSON)
	if label != "" {
		if page, ok = h.Page(label); !ok {
			http.NotFound(w, r)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "max-age=300")
	w.Header().Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(page)
}

// Page is what a domain of this node says under a label, as JSON; false if it has no such name.
func (h *Host) Page(label string) (page []byte, ok bool) {
	if len(label) > 64 {
		return nil, false
	}
	err := h.store.View(func(tx store.Tx) error {
		v, err := find[community.Vouched](tx, store.Handle(label))
		if err != nil || v == nil {
			return err
		}
		page, err = replyOf(v).JSON()
		return err
	})
	return page, err == nil && page != nil
}

func replyOf(v *community.Vouched) wire.HandleReply {
	return wire.HandleReply{Address: v.Address, Record: v.Record, Successors: v.Successors}
}

// Names are the names that are kept, in order.
func (h *Host) Names() (out []community.Vouched, err error) {
	err = h.store.View(func(tx store.Tx) error {
		return each(tx, store.AllHandles(), func(_ store.Key, v community.Vouched) error {
			out = append(out, v)
			return nil
		})
	})
	slices.SortFunc(out, func(a, b community.Vouched) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return out, err
}

// handleClaim decides on a member's claim to a name.
func (h *Host) handleClaim(_ p2p.PeerID, c wire.Claim) (wire.ClaimVerdict, wire.FrameStatus) {
	name, err := wire.ParseHandle(c.Handle)
	if err != nil {
		return wire.ClaimName, wire.OK
	}
	if !slices.Contains(h.cfg.Web.Domains, name.Domain) {
		return wire.ClaimDomain, wire.OK
	}
	rec, err := readRecord(c.Record)
	if err != nil {
		return wire.ClaimUnlisted, wire.OK
	}
	err = h.store.Update(func(tx store.Tx) error { return h.give(tx, name, rec, c) })
	if no := (*community.ClaimError)(nil); errors.As(err, &no) {
		h.refuse("a name: " + no.Error())
		return no.Verdict, wire.OK
	}
	return wire.ClaimTaken, h.status(err)
}

// readRecord verifies a Signed AddressRecord.
func readRecord(raw []byte) (r identity.AddressRecord, err error) {
	s, err := wire.ParseSigned(raw)
	if err != nil {
		return r, err
	}
	if r, err = wire.ParseAddressRecord(s.Body); err != nil {
		return r, err
	}
	if s.Type != wire.TypeAddressRecord || s.Key != r.Address.Key() {
		return r, wire.ErrBadSignature
	}
	return r, s.Verify()
}

func (h *Host) give(tx store.Tx, name wire.Handle, rec identity.AddressRecord, c wire.Claim) error {
	m, err := h.member(tx, c.Token)
	if err != nil {
		return err
	}
	old, err := find[community.Vouched](tx, store.Handle(name.Label()))
	if err != nil {
		return err
	}
	like := store.HandleLike(community.Skeleton(name))
	alike, err := h.looksLike(tx, like)
	if err != nil {
		return err
	}
	names := 0
	if err := each(tx, store.AllHandles(), func(_ store.Key, v community.Vouched) error {
		if v.Owner == m.ID || v.Address == rec.Address {
			names++
		}
		return nil
	}); err != nil {
		return err
	}
	now := h.cfg.Clock()
	v, err := community.GiveName(now, name, rec, m.ID, old, alike, heirOf(now, old, c.Successors), names)
	if err != nil {
		return err
	}
	v.Record, v.Successors = c.Record, c.Successors
	if err := put(tx, store.Handle(name.Label()), v); err != nil {
		return err
	}
	return put(tx, like, name.Label())
}

// looksLike finds who has the name that another looks like.
func (h *Host) looksLike(tx store.Tx, like store.Key) (*community.Vouched, error) {
	label, err := find[string](tx, like)
	if err != nil || label == nil {
		return nil, err
	}
	return find[community.Vouched](tx, store.Handle(*label))
}

// heirOf is whom the address that has a name has named its successor, zero if nobody: by the recovery key that its own
// record has committed to (SPEC 2.6).
func heirOf(now identity.Now, old *community.Vouched, signed [][]byte) identity.Address {
	if old == nil {
		return identity.Address{}
	}
	rec, err := readRecord(old.Record)
	if err != nil {
		return identity.Address{}
	}
	for _, raw := range signed {
		s, err := wire.ParseSigned(raw)
		if err != nil || s.Type != wire.TypeSuccessor || s.Verify() != nil {
			continue
		}
		p := identity.Pin{Record: rec, Raw: old.Record}
		if x, err := wire.ParseSuccessor(s.Body); err == nil && p.AcceptSuccessor(now, x, s.Key, raw) == nil {
			return x.New
		}
	}
	return identity.Address{}
}

// A certificate is read anew when its file changes, so that one that is renewed needs no restart; one that cannot be
// read leaves the one before in its place.
type certificate struct {
	cert, key string
	log       *slog.Logger

	mu   sync.Mutex
	at   time.Time
	look time.Time
	held *tls.Certificate
}

const certificateLook = time.Minute

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held != nil && time.Since(c.look) < certificateLook {
		return c.held, nil
	}
	c.look = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && c.held != nil && info.ModTime().Equal(c.at) {
		return c.held, nil
	}
	var fresh tls.Certificate
	if err == nil {
		fresh, err = tls.LoadX509KeyPair(c.cert, c.key)
	}
	switch {
	case err == nil:
		c.held, c.at = &fresh, info.ModTime()
	case c.held == nil:
		return nil, err
	default:
		c.log.Warn("the new certificate of the names cannot be read; the one before is shown", "err", err)
	}
	return c.held, nil
}
