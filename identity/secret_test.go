package identity

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestSecretsAreNotPrinted(t *testing.T) {
	secret := [32]byte(bytes.Repeat([]byte{0xab}, 32))
	prekey, err := NewPreKeySecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := CreateKeyringFrom(t.TempDir(), PortableKeys{AddressSeed: secret}, KeyringConfig{Rand: source(1)})
	if err != nil {
		t.Fatal(err)
	}
	values := []any{
		NewSigningKey(secret), prekey, *prekey, Seed(secret), ring, PortableKeys{AddressSeed: secret},
		KeyringConfig{Seed: secret, Passphrase: secret[:]},
		struct{ Seed Seed }{secret},
		struct {
			k SigningKey
			p *PreKeySecret
			q PreKeySecret
		}{NewSigningKey(secret), prekey, *prekey},
	}
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("", "v", v)
		printed := []string{log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			printed = append(printed, fmt.Sprintf(verb, v))
		}
		for _, p := range printed {
			for _, leak := range []string{"abab", "ABAB", "171 171", "171, 171", "0xab, 0xab", "\xab\xab", `\xab\xab`, hex.EncodeToString([]byte("\xab\xab"))} {
				if strings.Contains(p, leak) {
					t.Errorf("%T is printed as %.80q", v, p)
				}
			}
		}
	}
}

func TestALeakWouldBeSeen(t *testing.T) {
	if p := fmt.Sprintf("%d", [2]byte{0xab, 0xab}); !strings.Contains(p, "171 171") {
		t.Errorf("the leak test looks for the wrong text: %s", p)
	}
}
