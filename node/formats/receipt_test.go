package formats

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/p2p/wire"
)

// A signatory is an address with one device, as receipts name them.
type signatory struct {
	address, device identity.SigningKey
}

func signatoryOf(n byte) signatory {
	return signatory{identity.NewSigningKey([32]byte{n}), identity.NewSigningKey([32]byte{n, 1})}
}

func (s signatory) is() identity.Address  { return identity.Address(s.address.Public()) }
func (s signatory) id() identity.DeviceID { return identity.DeviceIDOf(s.device.Public()) }
func (s signatory) line() []identity.Device {
	return []identity.Device{{Key: s.device.Public(), Roles: 7}}
}

// record is an address record of that time, for 30 days.
func (s signatory) record(at identity.Time, edit ...func(*identity.AddressRecord)) wire.Signed {
	r := identity.AddressRecord{Address: s.is(), Seq: at, Expires: at.Add(identity.AddressRecordLife), Services: 3, Devices: s.line(), Recovery: [32]byte{9}}
	for _, e := range edit {
		e(&r)
	}
	return wire.Sign(s.address, wire.TypeAddressRecord, wire.AppendAddressRecord(nil, r))
}

const receiptStart = identity.Time(1_770_000_000_000)

var aliceKeys, bobKeys, eveKeys = signatoryOf(1), signatoryOf(2), signatoryOf(3)

func receiptMessage(from, to signatory, text string) wire.Signed {
	im := wire.IM{From: from.is(), To: to.is(), Device: from.id(), Nonce: [16]byte{1}, Sent: receiptStart, Expires: receiptStart.Add(time.Hour),
		ContentType: "text/plain; charset=utf-8", Content: []byte(text)}
	return wire.Sign(from.device, wire.TypeIM, im.Append(nil))
}

func receiptAck(by signatory, ack wire.Ack) wire.Signed {
	ack.From, ack.Device = by.is(), by.id()
	return wire.Sign(by.device, wire.TypeAck, ack.Append(nil))
}

// sample is the receipt of a message from Alice to Bob, which he acked a minute later.
func sample() Receipt {
	m := receiptMessage(aliceKeys, bobKeys, "back at four?")
	return Receipt{Message: m, Ack: receiptAck(bobKeys, wire.Ack{To: aliceKeys.is(), MIDs: []wire.MID{m.ID()}, Disposition: wire.Delivered, At: receiptStart.Add(time.Minute)}),
		Records: []wire.Signed{aliceKeys.record(receiptStart.Add(-time.Hour)), bobKeys.record(receiptStart.Add(-time.Hour))}}
}

func problemOf(err error) Problem {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem
	}
	return ""
}

func TestReceiptProves(t *testing.T) {
	r, err := ParseReceipt(sample().Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	p, err := r.Verify()
	if err != nil {
		t.Fatal(err)
	}
	if p.From != aliceKeys.is() || p.To != bobKeys.is() || p.Disposition != wire.Delivered || p.At != receiptStart.Add(time.Minute) || string(p.Content) != "back at four?" {
		t.Errorf("proves %+v", p)
	}
	r.Ack = wire.Signed{}
	if r, err = ParseReceipt(r.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if p, err = r.Verify(); err != nil || p.Acked {
		t.Errorf("a message alone: %+v, %v", p, err)
	}
}

// Each receipt that must not be believed, by the word for it.
func TestReceiptRefused(t *testing.T) {
	at := receiptStart
	tests := []struct {
		name string
		edit func(*Receipt)
		want Problem
		says string
	}{
		{"the ack of another person", func(r *Receipt) {
			r.Ack = receiptAck(eveKeys, wire.Ack{To: aliceKeys.is(), MIDs: []wire.MID{r.Message.ID()}, Disposition: wire.Delivered, At: at})
		}, WrongPerson, "and the message is for"},
		{"signed by another device in his name", func(r *Receipt) {
			ack := wire.Ack{From: bobKeys.is(), To: aliceKeys.is(), Device: eveKeys.id(), MIDs: []wire.MID{r.Message.ID()}, Disposition: wire.Delivered, At: at}
			r.Ack = wire.Sign(eveKeys.device, wire.TypeAck, ack.Append(nil))
		}, Revoked, "lists no device"},
		{"his device's name under another's signature", func(r *Receipt) {
			ack := wire.Ack{From: bobKeys.is(), To: aliceKeys.is(), Device: bobKeys.id(), MIDs: []wire.MID{r.Message.ID()}, Disposition: wire.Delivered, At: at}
			r.Ack = wire.Sign(eveKeys.device, wire.TypeAck, ack.Append(nil))
		}, WrongPerson, "did not sign it"},
		{"for another sender", func(r *Receipt) {
			r.Ack = receiptAck(bobKeys, wire.Ack{To: eveKeys.is(), MIDs: []wire.MID{r.Message.ID()}, Disposition: wire.Delivered, At: at})
		}, WrongPerson, "the ack is for"},
		{"of another message", func(r *Receipt) {
			r.Ack = receiptAck(bobKeys, wire.Ack{To: aliceKeys.is(), MIDs: []wire.MID{{7}}, Disposition: wire.Delivered, At: at})
		}, WrongPerson, "another message"},
		{"no record of his", func(r *Receipt) { r.Records = r.Records[:1] }, WrongPerson, "no address record"},
		{"a record that he did not sign", func(r *Receipt) {
			r.Records[1] = wire.Sign(eveKeys.address, wire.TypeAddressRecord, r.Records[1].Body)
		}, WrongPerson, "signed by another key"},
		{"expired before the ack", func(r *Receipt) {
			r.Records[1] = bobKeys.record(at.Add(-40 * 24 * time.Hour))
		}, Expired, "the certificate of the device"},
		{"the device's own time was over", func(r *Receipt) {
			r.Records[1] = bobKeys.record(at.Add(-time.Hour), func(x *identity.AddressRecord) { x.Devices[0].NotAfter = at })
		}, Expired, "was certified until"},
		{"revoked before the ack", func(r *Receipt) {
			r.Records = append(r.Records, bobKeys.record(at.Add(-time.Minute), func(x *identity.AddressRecord) { x.Devices = eveKeys.line() }))
		}, Revoked, "was revoked on"},
		{"the author's device was revoked before", func(r *Receipt) {
			r.Records = append(r.Records, aliceKeys.record(at.Add(-time.Minute), func(x *identity.AddressRecord) { x.Devices = eveKeys.line() }))
		}, Revoked, "and the message is of"},
		{"a device for presence alone", func(r *Receipt) {
			r.Records[1] = bobKeys.record(at.Add(-time.Hour), func(x *identity.AddressRecord) { x.Devices[0].Roles = identity.RolePublisher })
		}, WrongPerson, "may not speak"},
		{"a signature of somebody else's", func(r *Receipt) { r.Ack.Sig[3] ^= 1 }, BadSignature, "of the ack"},
		{"a changed record", func(r *Receipt) {
			r.Records[0].Body = bytes.Replace(r.Records[0].Body, []byte{9}, []byte{8}, 1)
		}, BadSignature, "of the address record"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := sample()
			test.edit(&r)
			r, err := ParseReceipt(r.Append(nil))
			if err == nil {
				_, err = r.Verify()
			}
			if problemOf(err) != test.want || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v; want %s, and that %q", err, test.want, test.says)
			}
		})
	}
}

// A device that was taken off the list afterwards had signed what it had signed.
func TestReceiptOutlivesRevocation(t *testing.T) {
	r := sample()
	r.Records = append(r.Records, bobKeys.record(receiptStart.Add(24*time.Hour), func(x *identity.AddressRecord) { x.Devices = eveKeys.line() }))
	if _, err := r.Verify(); err != nil {
		t.Error(err)
	}
	r.Records = []wire.Signed{aliceKeys.record(receiptStart.Add(time.Hour)), bobKeys.record(receiptStart.Add(time.Hour))}
	if _, err := r.Verify(); err != nil {
		t.Errorf("by records that were renewed since: %v", err)
	}
}

// No octet of a receipt can be changed, left out or added, in what is signed or in what is told of it.
func TestReceiptEveryOctet(t *testing.T) {
	whole := sample().Append(nil)
	taken := func(b []byte) bool {
		r, err := ParseReceipt(b)
		if err == nil {
			_, err = r.Verify()
		}
		return err == nil
	}
	if !taken(whole) {
		t.Fatal("the receipt itself is refused")
	}
	signed := bytes.Index(whole, []byte(`"signed"`))
	for i := 0; i < len(whole); i++ {
		if i > signed {
			i += 10 // each costs the check of four signatures
		}
		if i >= len(whole) {
			break
		}
		b := bytes.Clone(whole)
		b[i] ^= 1
		if taken(b) {
			t.Fatalf("octet %d changed: %q", i, b[max(0, i-20):i+1])
		}
		if i%7 == 0 && taken(append(bytes.Clone(whole[:i]), whole[i+1:]...)) {
			t.Fatalf("without octet %d", i)
		}
	}
	if taken(append(whole, ' ')) || taken(whole[:len(whole)/2]) || taken(nil) {
		t.Error("a receipt with something behind it, half of one, or none is taken")
	}
}

// An outside tool finds the signatures good over the octets that the receipt exports, and no others.
func TestReceiptByOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Fatalf("openssl is needed, which must find the exported signatures good: %v", err)
	}
	var f receiptFile
	if err := json.Unmarshal(sample().Append(nil), &f); err != nil {
		t.Fatal(err)
	}
	if len(f.Signed) != 4 {
		t.Fatalf("%d signed parts", len(f.Signed))
	}
	for _, p := range f.Signed {
		octets, err := base64.StdEncoding.DecodeString(p.Octets)
		if err != nil {
			t.Fatal(err)
		}
		sig, err := base64.StdEncoding.DecodeString(p.Signature)
		if err != nil || len(sig) != ed25519.SignatureSize {
			t.Fatal(p.Signature, err)
		}
		if out, ok := openssl(t, p.Key, octets, sig); !ok {
			t.Errorf("%s: openssl says %s", p.What, out)
		}
		octets[len(octets)-1] ^= 1
		if _, ok := openssl(t, p.Key, octets, sig); ok {
			t.Errorf("%s: openssl takes other octets", p.What)
		}
	}
}

func openssl(t *testing.T, key string, octets, sig []byte) (string, bool) {
	t.Helper()
	dir := t.TempDir()
	for name, b := range map[string][]byte{"key": []byte(key), "octets": octets, "signature": sig} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key", "-rawin", "-in", "octets", "-sigfile", "signature")
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	return string(out), err == nil && strings.Contains(string(out), "Signature Verified Successfully")
}

func FuzzReceipt(f *testing.F) {
	f.Add(sample().Append(nil))
	alone := sample()
	alone.Ack = wire.Signed{}
	f.Add(alone.Append(nil))
	f.Add([]byte(`{"hum":"receipt/1","signed":[{}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ParseReceipt(b)
		if err != nil {
			return
		}
		if !bytes.Equal(r.Append(nil), b) {
			t.Errorf("a second form of %+v: %s", r, b)
		}
		_, _ = r.Verify()
	})
}
