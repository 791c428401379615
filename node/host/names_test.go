package host

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// recordOf is a Signed AddressRecord of the k-th person that lists handles.
func recordOf(k byte, at identity.Time, handles ...string) (identity.Address, []byte) {
	key := identity.NewSigningKey([32]byte{k})
	a := identity.Address(key.Public())
	r := identity.AddressRecord{Address: a, Seq: at, Expires: at.Add(time.Hour), Services: identity.Inbox, Handles: handles,
		Devices: []identity.Device{{Key: identity.NewSigningKey([32]byte{k, 1}).Public(), Roles: identity.RoleAdmin}}, Recovery: [32]byte{k}}
	return a, wire.Sign(key, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r)).Append(nil)
}

// Names are given once, to members, and told by the web server that the domain's visitors ask.
func TestNames(t *testing.T) {
	c := &clock{1_763_800_000_000}
	h := open(t, filepath.Join(t.TempDir(), "d"), c, 0)
	defer func() { _ = h.Close() }()
	h.cfg.Web.Domains = []string{"example.org"}
	inv, err := h.Invite(2, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	first, second := inv.ID.Member([16]byte{1}), inv.ID.Member([16]byte{2})
	bob, bobs := recordOf(1, c.wall, "bob@example.org", "bob@elsewhere.org")
	_, mallorys := recordOf(2, c.wall, "bob@example.org", "b\u043eb@example.org", "al\u200bice@example.org")
	for _, x := range []struct {
		name    string
		claim   wire.Claim
		verdict wire.ClaimVerdict
		status  wire.FrameStatus
	}{
		{"a stranger's", wire.Claim{Handle: "bob@example.org", Record: bobs, Token: []byte("none")}, wire.ClaimTaken, wire.DENIED},
		{"of another domain", wire.Claim{Handle: "bob@elsewhere.org", Record: bobs, Token: first}, wire.ClaimDomain, wire.OK},
		{"that the record does not list", wire.Claim{Handle: "robert@example.org", Record: bobs, Token: first}, wire.ClaimUnlisted, wire.OK},
		{"with no record", wire.Claim{Handle: "bob@example.org", Record: []byte("none"), Token: first}, wire.ClaimUnlisted, wire.OK},
		{"bob's", wire.Claim{Handle: "Bob@Example.org", Record: bobs, Token: first}, wire.ClaimTaken, wire.OK},
		{"bob's again", wire.Claim{Handle: "bob@example.org", Record: bobs, Token: first}, wire.ClaimTaken, wire.OK},
		{"mallory's", wire.Claim{Handle: "bob@example.org", Record: mallorys, Token: second}, wire.ClaimAnothers, wire.OK},
		{"that looks like bob's", wire.Claim{Handle: "b\u043eb@example.org", Record: mallorys, Token: second}, wire.ClaimAlike, wire.OK},
		{"that cannot be seen", wire.Claim{Handle: "al\u200bice@example.org", Record: mallorys, Token: second}, wire.ClaimName, wire.OK},
	} {
		v, s := h.handleClaim("peer", x.claim)
		if s != x.status || s == wire.OK && v != x.verdict {
			t.Errorf("a claim %s: %v, %v", x.name, v, s)
		}
	}
	name, _ := wire.ParseHandle("bob@example.org")
	for _, x := range []struct {
		method, path string
		code         int
		says         string
	}{
		{"GET", name.Path(), 200, bob.String()},
		{"HEAD", name.Path(), 200, ""},
		{"GET", wire.HandleIndex, 200, `{"hum":1}`},
		{"GET", wire.HandleIndex + "nobody", 404, ""},
		{"GET", wire.HandleIndex + strings.Repeat("x", 10_000), 404, ""},
		{"GET", "/", 404, ""},
		{"POST", name.Path(), 405, ""},
	} {
		w := httptest.NewRecorder()
		h.wellKnown(w, httptest.NewRequest(x.method, x.path, nil))
		if w.Code != x.code || !strings.Contains(w.Body.String(), x.says) {
			t.Errorf("%s %.40s: %d %s", x.method, x.path, w.Code, w.Body)
		}
	}
	kept, err := h.Names()
	if err != nil || len(kept) != 1 || kept[0].Address != bob {
		t.Fatalf("kept: %+v, %v", kept, err)
	}
}

// A web server that cannot be started as it is configured says why, and before anything runs.
func TestNamesBadlyConfigured(t *testing.T) {
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := &clock{1_763_800_000_000}
	for name, w := range map[string]Web{
		"no domain":             {Domains: []string{"not a domain"}},
		"no such certificate":   {Listen: "127.0.0.1:0", Cert: filepath.Join(dir, "none"), Key: junk},
		"a certificate of junk": {Listen: "127.0.0.1:0", Cert: junk, Key: junk},
		"no such port":          {Listen: "127.0.0.1:99999"},
	} {
		h := &Host{cfg: Config{Web: w, Roles: AllRoles, Clock: c.now}}
		if err := h.openWeb(); err == nil || !strings.Contains(err.Error(), ErrWeb.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := &Host{cfg: Config{Web: Web{Listen: "127.0.0.1:0"}, Roles: AllRoles, Clock: c.now}}
	if err := h.openWeb(); err != nil || h.WebAddr() == "" {
		t.Fatalf("%v", err)
	}
	_ = h.web.Close()
}
