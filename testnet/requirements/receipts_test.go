package requirements

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// receipt is a receipt as a stranger to hum reads it.
type receipt struct {
	Message, From, To, Disposition string
	Signed                         []struct{ What, Key, Signature, Octets string }
}

// byOpenSSL has openssl check every signature of a receipt over the octets that stand in it.
func byOpenSSL(t *testing.T, content []byte) (r receipt, err error) {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("openssl is needed, which is to judge what hum signed: %v", err)
	}
	if err := json.Unmarshal(content, &r); err != nil {
		return r, err
	}
	for _, s := range r.Signed {
		octets, err1 := base64.StdEncoding.DecodeString(s.Octets)
		sig, err2 := base64.StdEncoding.DecodeString(s.Signature)
		dir := t.TempDir()
		err := errors.Join(err1, err2, os.WriteFile(filepath.Join(dir, "key"), []byte(s.Key), 0o600),
			os.WriteFile(filepath.Join(dir, "octets"), octets, 0o600), os.WriteFile(filepath.Join(dir, "signature"), sig, 0o600))
		if err != nil {
			return r, err
		}
		cmd := exec.Command("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "octets", "-sigfile", "signature")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return r, fail("the %s: %s", s.What, out)
		}
	}
	return r, nil
}

// Bob holds what Alice wrote, and she his word for it, in files that anybody can judge without either of them.
func TestReq_5_4_9_SignedByExistingStandards(t *testing.T) {
	var hers, his []byte
	var mine, yours node.Self
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		s := alice.delivers(bob, "back at four?")
		hers, his = alice.receipt(s.ID), bob.receipt(s.ID)
		mine, yours = alice.Self(), bob.Self()
		s = alice.draft(node.Draft{To: bob.card(), Content: []byte("on its way")})
		if _, err := alice.Export(ctx(), node.ExportQuery{Kind: node.KindReceipt, ID: s.ID.String()}); err == nil {
			t.Error("a receipt before there is one")
		}
	})
	v, err := node.Verify(hers)
	if err != nil || v.State != "delivered" || v.From != mine.Address || v.To != yours.Address || v.Device != yours.Device || string(v.Content) != "back at four?" {
		t.Errorf("alice's receipt: %+v, %v", v, err)
	}
	if v, err = node.Verify(his); err != nil || v.State != "" || v.From != mine.Address || string(v.Content) != "back at four?" {
		t.Errorf("bob's proof: %+v, %v", v, err)
	}
	for who, b := range map[string][]byte{"alice": hers, "bob": his} {
		r, err := byOpenSSL(t, b)
		if err != nil || len(r.Signed) < 2 {
			t.Errorf("%s's: %d signatures, %v", who, len(r.Signed), err)
		}
	}
	var r receipt
	_ = json.Unmarshal(hers, &r)
	octets, _ := base64.StdEncoding.DecodeString(r.Signed[0].Octets)
	octets[len(octets)-2] ^= 1
	forged := strings.Replace(string(hers), r.Signed[0].Octets, base64.StdEncoding.EncodeToString(octets), 1)
	if _, err := byOpenSSL(t, []byte(forged)); err == nil {
		t.Error("openssl finds a forged message good")
	}
	if _, err := node.Verify([]byte(forged)); err == nil {
		t.Error("a forged receipt is believed")
	}
}

// A proof stays one after both have restarted, and so does the word that a message was displayed: it stands alone,
// as what it says more than the first.
func TestReq_5_4_9_ReceiptsLast(t *testing.T) {
	var seen []byte
	var id wire.MID
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		alice.add(bob)
		bob.add(alice)
		bob.tells("known", "", "tell")
		read := alice.draft(node.Draft{To: "bob", Content: []byte("read me"), Displayed: true})
		alice.comesTo(read, "delivered", soon)
		bob.opens("read me")
		alice.comesTo(read, "displayed", soon)
		s := alice.delivers(bob, "for later")
		alice.down()
		bob.down()
		alice.up()
		bob.up()
		v, err := node.Verify(alice.receipt(s.ID))
		if err != nil || v.ID != s.ID {
			t.Errorf("%+v, %v", v, err)
		}
		if _, err := node.Verify(bob.receipt(s.ID)); err != nil {
			t.Error(err)
		}
		id, seen = read.ID, alice.receipt(read.ID)
	})
	if v, err := node.Verify(seen); err != nil || v.ID != id || v.State != "displayed" {
		t.Errorf("of what was displayed: %+v, %v", v, err)
	}
	if r, err := byOpenSSL(t, seen); err != nil || r.Disposition != "displayed" || len(r.Signed) < 4 {
		t.Errorf("%s with %d signatures, %v", r.Disposition, len(r.Signed), err)
	}
}

// receipt is the exported proof of a message.
func (p *person) receipt(id wire.MID) []byte {
	p.w.Helper()
	e, err := p.Export(ctx(), node.ExportQuery{Kind: node.KindReceipt, ID: id.String()})
	p.w.must(err)
	return e.Content
}
