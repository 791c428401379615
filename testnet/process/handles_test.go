package process

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/testnet/domains"
	"github.com/hum-presence/hum/testnet/ports"
)

// Real processes find each other by a handle alone: a community node keeps the names of d.test behind a web server with
// the domain's certificate, Alice takes hers there, and Bob, who has no card of her, resolves it, adds her by it, and his
// message comes. A domain with mail alone, one that is none, one without that name, and one where somebody else answers
// have their own clear answers. The DNS server is a setting; who vouches for web servers is the machine's.
func TestHandles(t *testing.T) {
	bin, s := Build(t), domains.Start(t)
	names := fmt.Sprintf("127.0.0.1:%d", ports.Free(t))
	front := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: names})
	s.Set("d.test", &domains.Domain{Web: map[string]http.Handler{"*": front}, MX: []string{"mx.d.test"}})
	s.Set("mail.test", &domains.Domain{MX: []string{"mx.mail.test"}})
	s.Set("forged.test", &domains.Domain{Forged: true, Web: map[string]http.Handler{"*": front}})
	trust := filepath.Join(t.TempDir(), "authority.pem")
	if err := os.WriteFile(trust, s.Authority(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"SSL_CERT_FILE=" + trust, "SSL_CERT_DIR=" + t.TempDir(), "HTTPS_PROXY=" + s.Proxy(t), "NO_PROXY=", "no_proxy="}
	d := community(t, bin, "d", "--domain", "d.test", "--names", names)
	person := func(name string) *Home {
		h := New(t, bin, name)
		h.Env = env
		h.Must(t, "init", "--name", name)
		file, err := os.OpenFile(filepath.Join(h.Dir, "config.toml"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(file, "dns = %q\n", s.DNS); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
		return h
	}
	alice, bob := person("alice"), person("bob")
	alice.Must(t, "join", d.invite)
	alice.Must(t, "handle", "add", "Alice@d.test")
	Eventually(t, Patience, "the domain vouches for her", func() bool {
		return strings.Contains(alice.Run("handle", "list").Out, `"vouched"`)
	})
	found := bob.Must(t, "resolve", "alice@d.test")[0]
	if found["address"] != alice.Must(t, "status")[0]["address"] || found["handle"] != "alice@d.test" {
		t.Errorf("resolved: %v", found)
	}
	bob.Must(t, "add", "alice@d.test", "--as", "alice")
	bob.Must(t, "send", "alice", "found by your name", "--wait", Patience.String())
	if out := alice.Run("inbox").Out; !strings.Contains(out, "found by your name") {
		t.Errorf("alice's inbox: %s", out)
	}
	for _, x := range []struct{ who, code, says string }{
		{"alice@mail.test", "no-im-service", "mail alone"},
		{"alice@none.test", "no-such-inbox", "no domain none.test"},
		{"nobody@d.test", "no-such-inbox", "names nobody"},
		{"alice@forged.test", "binding-invalid", "not to be believed"},
	} {
		for _, do := range []string{"resolve", "add"} {
			r := bob.Run(do, x.who)
			if r.Code == 0 || !strings.Contains(r.Out+r.Err, x.code) || !strings.Contains(r.Out+r.Err, x.says) {
				t.Errorf("%s %s: exit %d\n%s%s", do, x.who, r.Code, r.Out, r.Err)
			}
		}
	}
	for _, asked := range s.Asked() {
		if strings.Contains(asked, "alice") || strings.Contains(asked, "nobody") {
			t.Errorf("the servers of the domain learned the name: %s", asked)
		}
	}
}
