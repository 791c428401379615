package identity

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// protocol is the first part of every label and the salt of every derivation (SPEC 1). Whatever is
// incompatible gets another one (SPEC 3.5).
const protocol = "hum/1"

// DS returns the prefix that keeps what is signed or hashed for one purpose apart from all others:
// "hum/1" 00 label 00 (SPEC 1).
func DS(label string) []byte {
	return appendDS(make([]byte, 0, len(protocol)+len(label)+2), label)
}

func appendDS(b []byte, label string) []byte {
	b = append(b, protocol...)
	b = append(b, 0)
	b = append(b, label...)
	return append(b, 0)
}

// labelled returns DS(label)||x.
func labelled(label string, x []byte) []byte {
	b := make([]byte, 0, len(protocol)+len(label)+2+len(x))
	return append(appendDS(b, label), x...)
}

// Hash returns H(label, x) = SHA-256(DS(label)||x) (SPEC 1).
func Hash(label string, x []byte) [32]byte { return sha256.Sum256(labelled(label, x)) }

// KDF returns 32 bytes of HKDF-SHA256 with salt "hum/1" and info label 00 ctx (SPEC 1).
func KDF(key []byte, label string, ctx []byte) [32]byte {
	info := label + "\x00" + string(ctx)
	out, err := hkdf.Key(sha256.New, key, []byte(protocol), info, 32)
	if err != nil {
		panic("identity: hkdf of a fixed length failed: " + err.Error()) // only FIPS mode refuses, and only short keys
	}
	return [32]byte(out)
}

// DeviceIDOf returns the id of the device that signs with pub (SPEC 2.1).
func DeviceIDOf(pub PublicKey) DeviceID {
	h := Hash("device-id", pub[:])
	return DeviceID(h[:16])
}

// KeyIDOf returns the id of the prekey with the public bytes pub (SPEC 2.1).
func KeyIDOf(pub []byte) KeyID {
	h := Hash("kid", pub)
	return KeyID(h[:8])
}
