package names_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/names"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet/domains"
)

var (
	bob     = identity.Address(identity.NewSigningKey([32]byte{1}).Public())
	mallory = identity.Address(identity.NewSigningKey([32]byte{2}).Public())
)

const home = "/dns4/d.test/tcp/443/p2p/12D3KooWHome"

func page(a identity.Address) string {
	b, err := wire.HandleReply{Address: a, Record: []byte("signed")}.JSON()
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A domain says who bob is in every way, wrong, twice, or not at all; against a real DNS server and a real web server.
func TestLook(t *testing.T) {
	s := domains.Start(t)
	r := names.New(names.Config{DNS: s.DNS, Roots: s.Roots, Dial: s.Dial})
	h := func(domain string) wire.Handle {
		x, err := wire.ParseHandle("bob@" + domain)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	web := func(domain string, page http.Handler) map[string]http.Handler {
		return map[string]http.Handler{h(domain).Path(): page}
	}
	txt := func(domain string, texts ...string) map[string][]string {
		return map[string][]string{h(domain).DNSName(): texts}
	}
	card := identity.Card{Address: bob, Home: home}.String()
	long := []string{"v=spf1 " + strings.Repeat("a", 400), bob.String(), card}
	tests := []struct {
		name, domain string
		is           *domains.Domain
		want         identity.Address
		err          error
		https, dns   bool
		homes        int
	}{
		{"by HTTPS", "a.test", &domains.Domain{Web: web("a.test", domains.Says(page(bob)))}, bob, nil, true, false, 0},
		{"in DNS", "b.test", &domains.Domain{TXT: txt("b.test", bob.String())}, bob, nil, false, true, 0},
		{"in DNS, with a home and much else", "c.test", &domains.Domain{TXT: txt("c.test", long...)}, bob, nil, false, true, 1},
		{"by both", "d.test", &domains.Domain{TXT: txt("d.test", bob.String()), Web: web("d.test", domains.Says(page(bob)))}, bob, nil, true, true, 0},
		{"in DNS, and the web server knows nothing", "e.test", &domains.Domain{TXT: txt("e.test", bob.String()), Web: map[string]http.Handler{}}, bob, nil, false, true, 0},
		{"by HTTPS, and DNS is broken", "f.test", &domains.Domain{Broken: true, Web: web("f.test", domains.Says(page(bob)))}, bob, nil, true, false, 0},
		{"an international domain", "xn--bcher-kva.test", &domains.Domain{Web: web("bücher.test", domains.Says(page(bob)))}, bob, nil, true, false, 0},
		{"DNS is poisoned: another address", "g.test", &domains.Domain{TXT: txt("g.test", mallory.String()), Web: web("g.test", domains.Says(page(bob)))}, identity.Address{}, names.ErrDisagrees, false, false, 0},
		{"DNS is poisoned: another web server", "h.test", &domains.Domain{Forged: true, Web: web("h.test", domains.Says(page(mallory)))}, identity.Address{}, names.ErrForged, false, false, 0},
		{"both at once", "i.test", &domains.Domain{Forged: true, TXT: txt("i.test", mallory.String()), Web: web("i.test", domains.Says(page(mallory)))}, identity.Address{}, names.ErrForged, false, false, 0},
		{"two addresses in DNS", "j.test", &domains.Domain{TXT: txt("j.test", bob.String(), mallory.String())}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"a page that is none", "k.test", &domains.Domain{Web: web("k.test", domains.Says("<html>hello</html>"))}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"a page without an end", "l.test", &domains.Domain{Web: web("l.test", endless{})}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"led away", "m.test", &domains.Domain{Web: web("m.test", http.RedirectHandler("https://a.test/.well-known/hum/v1/x", http.StatusFound))}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"led in a circle", "n.test", &domains.Domain{Web: web("n.test", http.RedirectHandler("https://n.test"+h("n.test").Path(), http.StatusFound))}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"led to clear text", "o.test", &domains.Domain{Web: web("o.test", http.RedirectHandler("http://o.test/", http.StatusFound))}, identity.Address{}, names.ErrBadAnswer, false, false, 0},
		{"its web server is ill", "p.test", &domains.Domain{Web: web("p.test", status(503))}, identity.Address{}, names.ErrSilent, false, false, 0},
		{"names others", "q.test", &domains.Domain{MX: []string{"mx.q.test"}, Web: map[string]http.Handler{wire.HandleIndex: domains.Says(wire.HandleIndexJSON)}}, identity.Address{}, names.ErrUnknown, false, false, 0},
		{"only mail", "r.test", &domains.Domain{MX: []string{"mx.r.test"}}, identity.Address{}, names.ErrMailOnly, false, false, 0},
		{"mail and a web site", "s.test", &domains.Domain{MX: []string{"mx.s.test"}, Web: map[string]http.Handler{"/": domains.Says("welcome")}}, identity.Address{}, names.ErrMailOnly, false, false, 0},
		{"refuses mail", "t.test", &domains.Domain{MX: []string{"."}}, identity.Address{}, names.ErrUnknown, false, false, 0},
		{"a web site alone", "u.test", &domains.Domain{Web: map[string]http.Handler{"/": domains.Says("welcome")}}, identity.Address{}, names.ErrUnknown, false, false, 0},
		{"nothing at all", "v.test", nil, identity.Address{}, names.ErrNoDomain, false, false, 0},
		{"DNS is broken, and there is no web server", "w.test", &domains.Domain{Broken: true}, identity.Address{}, names.ErrSilent, false, false, 0},
	}
	for _, x := range tests {
		s.Set(x.domain, x.is)
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			got, err := r.Look(t.Context(), h(x.domain))
			if !errors.Is(err, x.err) || got.Address != x.want || got.HTTPS != x.https || got.DNS != x.dns || len(got.Homes) != x.homes {
				t.Errorf("%+v, %v; want %v, %v", got, err, x.want, x.err)
			}
		})
	}
	t.Cleanup(func() {
		if slices.ContainsFunc(s.Asked(), func(a string) bool { return strings.Contains(a, "bob") }) {
			t.Error("the domain's servers learned the name in clear")
		}
	})
}

// Nobody answers at all: the asker has an answer when he says so himself.
func TestLookIsPatientNoLongerThanTold(t *testing.T) {
	s := domains.Start(t)
	r := names.New(names.Config{DNS: s.DNS, Roots: s.Roots, Dial: s.Dial})
	s.Set("z.test", &domains.Domain{Silent: true})
	ctx, done := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer done()
	if _, err := r.Look(ctx, wire.Handle{Local: "bob", Domain: "z.test"}); !errors.Is(err, names.ErrSilent) {
		t.Errorf("%v", err)
	}
}

type endless struct{}

func (endless) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	for range 1000 {
		if _, err := w.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

type status int

func (s status) ServeHTTP(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(int(s)) }
