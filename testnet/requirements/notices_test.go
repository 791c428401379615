package requirements

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/testnet"
)

// notice is the exported proof of what somebody said last.
func (p *person) notice(who string) []byte {
	p.w.Helper()
	e, err := p.Export(ctx(), node.ExportQuery{Kind: node.KindNotice, Who: who})
	p.w.must(err)
	return e.Content
}

// What Alice was told of Bob, and what Dave was answered, is proved to anybody who has the file: without a node,
// by an outside tool, from the address that is Bob's key. A file with one octet changed is refused, also where
// only what is told for people was changed; see node/formats for each octet, and for revoked devices.
func TestReq_5_3_3_NoticeIsProved(t *testing.T) {
	files := map[string][]byte{}
	var bob node.Self
	inWorld(t, func(w *world) {
		alice, b, dave := w.person("alice"), w.person("bob"), w.person("dave")
		bob = b.Self()
		alice.watch(b)
		b.note(marker)
		w.soonly("alice reads it", func() bool { return alice.sees(b).Note == marker })
		dave.add(b)
		b.approve(dave)
		if got := dave.fetchNow(b); got != "open "+marker+" direct" {
			t.Fatalf("dave fetched %q", got)
		}
		alice.kill(testnet.Crash)
		b.down()
		alice.up()
		files["notified"], files["asked"] = alice.notice("bob"), dave.notice("bob")
		if _, err := dave.Export(ctx(), node.ExportQuery{Kind: node.KindNotice, Who: alice.address()}); code(err) != "no-notice" {
			t.Errorf("of somebody who said nothing to him: %v", err)
		}
		_, err := alice.Unwatch(ctx(), "bob")
		w.must(err)
		if _, err := alice.Export(ctx(), node.ExportQuery{Kind: node.KindNotice, Who: "bob"}); code(err) != "no-notice" {
			t.Errorf("after the end of her subscription: %v", err)
		}
	})
	for name, b := range files {
		v, err := node.VerifyNotice(b)
		if err != nil || v.From != bob.Address || v.Device != bob.Device || !v.Open || !slices.Equal(v.Notes, []string{marker}) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		if (name == "asked") != v.Opens.IsZero() || !v.Opens.IsZero() && v.Opens.Sub(v.At) > 8*24*time.Hour {
			t.Errorf("%s: opens until %v", name, v.Opens)
		}
		r, err := byOpenSSL(t, b)
		if err != nil || len(r.Signed) < 2 {
			t.Errorf("%s: %d signatures, %v", name, len(r.Signed), err)
		}
		last := r.Signed[len(r.Signed)-1]
		if record, _ := base64.StdEncoding.DecodeString(last.Octets); last.What != "address record" || !bytes.Contains(record, bob.Address[:]) || !bytes.Contains(keyOf(t, last.Key), bob.Address[:]) {
			t.Errorf("%s: the chain ends in %+v, not in bob's address", name, last)
		}
		for what, forged := range map[string]string{"told": strings.Replace(string(b), marker, "Marker", 1), "signed": flipped(t, b, r.Signed[0].Octets), "chain": flipped(t, b, last.Octets)} {
			if _, err := node.VerifyNotice([]byte(forged)); err == nil || forged == string(b) {
				t.Errorf("%s: what is %s was changed, and it is believed", name, what)
			}
		}
		if _, err := byOpenSSL(t, []byte(flipped(t, b, r.Signed[0].Octets))); err == nil {
			t.Errorf("%s: openssl finds forged octets good", name)
		}
		var told struct{ Limits []string }
		if err := json.Unmarshal(b, &told); err != nil || !strings.Contains(strings.Join(told.Limits, "\n"), "not that it was true, that anybody got it, or when") {
			t.Errorf("%s: what it does not prove: %q, %v", name, told.Limits, err)
		}
	}
}

// Whether what Alice holds is as Bob said it is verified from the file alone: whichever octet is changed, it is not.
func TestReq_5_3_1_VerifiedOctets(t *testing.T) {
	var file []byte
	inWorld(t, func(w *world) {
		alice, bob := w.person("alice"), w.person("bob")
		bob.note(marker)
		alice.watch(bob)
		file = alice.notice("bob")
	})
	if _, err := node.VerifyNotice(file); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(file); i += 5 {
		b := bytes.Clone(file)
		b[i] ^= 1 << (i % 7)
		if _, err := node.VerifyNotice(b); err == nil {
			t.Errorf("octet %d changed, and it is believed: %q", i, b[max(0, i-20):i+1])
		}
	}
}

// flipped is a proof in which the last octet of one signed part is another.
func flipped(t *testing.T, proof []byte, octets string) string {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(octets)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-1] ^= 1
	return strings.Replace(string(proof), octets, base64.StdEncoding.EncodeToString(b), 1)
}

// keyOf are the octets of a key in PEM.
func keyOf(t *testing.T, pem string) []byte {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(pem), "\n")
	b, err := base64.StdEncoding.DecodeString(strings.Join(lines[1:len(lines)-1], ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What a device said that Bob has lost proves nothing any more to whoever knows of it: Alice does not hold it, and
// a file made before holds for the time before alone.
func TestReq_5_3_3_LostDevice(t *testing.T) {
	inWorld(t, func(w *world) {
		bob, alice := w.person("bob", lease5), w.person("alice")
		phone := bob.also("bob's phone", node.NewDevice{})
		alice.watch(bob)
		time.Sleep(30 * time.Second) // his devices say once more what they said before they met
		phone.says(wire.Away, marker)
		w.within(10*time.Second, "alice reads what the phone says", func() bool { return alice.sees(bob).Note == marker })
		before := alice.notice("bob")
		if v, err := node.VerifyNotice(before); err != nil || v.Docs[0].Device != phone.Self().Device {
			t.Fatalf("by the phone: %+v, %v", v, err)
		}
		_, err := bob.RevokeDevice(ctx(), phone.Self().Device.String())
		w.must(err)
		w.within(30*time.Second, "alice knows", func() bool { return alice.sees(bob).Note != marker })
		v, err := node.VerifyNotice(alice.notice("bob"))
		if err != nil || v.Docs[0].Device != bob.Self().Device {
			t.Errorf("after the loss: %+v, %v", v, err)
		}
		if _, err := node.VerifyNotice(before); err != nil {
			t.Errorf("what it had said before: %v", err)
		}
	})
}

// Beside a delegate what Bob's own devices said is proved as before, though the delegate spoke last: what it says for
// him is nobody's proof.
func TestReq_5_3_3_BesideADelegate(t *testing.T) {
	files := map[string][]byte{}
	var bob node.Self
	inWorld(t, func(w *world) {
		alice, b, dave := w.person("alice"), w.person("bob"), w.person("dave")
		bob = b.Self()
		alice.watch(b)
		dave.add(b)
		b.approve(dave)
		dora := b.also("dora", node.NewDevice{Delegate: true, Scope: []string{"activities"}})
		b.note(marker)
		w.soonly("alice reads bob", func() bool { return alice.sees(b).Note == marker })
		w.within(time.Minute, "and what dora says for him", func() bool {
			_ = dora.doing("meeting")
			return alice.spoken(b) == "[{activities meeting}]"
		})
		files["notified"] = alice.notice("bob")
		if got := dave.fetchNow(b); got != "open "+marker+" direct" {
			t.Fatalf("dave fetched %q", got)
		}
		files["asked"] = dave.notice("bob")
	})
	for name, file := range files {
		v, err := node.VerifyNotice(file)
		if err != nil || v.Docs[0].Device != bob.Device || !slices.Equal(v.Notes, []string{marker}) {
			t.Errorf("%s: %+v, %v", name, v, err)
		}
		signed := slices.ContainsFunc(v.Docs[0].Ext, func(x wire.Ext) bool { return x.Name == wire.ExtBy })
		if signed != (name == "notified") {
			t.Errorf("%s: signed by its device: %v", name, signed)
		}
	}
}
