package identity

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// SealOverhead is how many bytes longer a sealed text is: 12 of nonce, 16 of tag.
const SealOverhead = 12 + 16

// ErrOpen says that a sealed text was not made with this key and context, or was changed since.
var ErrOpen = errors.New("sealed text does not open")

// ErrPad says that a padded text has the wrong length or a pad that is not zero.
var ErrPad = errors.New("bad padding")

// Seal returns 12 random nonce bytes and the AES-256-GCM of plain under key, with aad
// authenticated beside it (SPEC 1). A key serves 2^24 times at most. It panics if rand fails,
// since going on without a fresh nonce would give the key away.
func Seal(rand io.Reader, key [32]byte, plain, aad []byte) []byte {
	out := make([]byte, 12, SealOverhead+len(plain))
	if _, err := io.ReadFull(rand, out); err != nil {
		panic("identity: no randomness for a nonce: " + err.Error())
	}
	return gcm(key).Seal(out, out, plain, aad)
}

// Open returns what [Seal] sealed with the same key and aad, or ErrOpen.
func Open(key [32]byte, sealed, aad []byte) ([]byte, error) {
	if len(sealed) < SealOverhead {
		return nil, ErrOpen
	}
	plain, err := gcm(key).Open(nil, sealed[:12], sealed[12:], aad)
	if err != nil {
		return nil, ErrOpen
	}
	return plain, nil
}

func gcm(key [32]byte) cipher.AEAD {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic("identity: " + err.Error())
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic("identity: " + err.Error())
	}
	return aead
}

// PadLen returns pad(n) of SPEC 1: the length that n bytes, length prefix included, are filled up
// to. It is the least of 256, 512, 1024, 2048 and 4096 that is enough, or else a multiple of 4096.
func PadLen(n int) int {
	for p := 256; p < 4096; p *= 2 {
		if n <= p {
			return p
		}
	}
	return (n + 4095) / 4096 * 4096
}

// Pad returns u32(len x)||x||zeros, PadLen(4+len x) bytes long (SPEC 1).
func Pad(x []byte) []byte {
	out := make([]byte, PadLen(4+len(x)))
	binary.BigEndian.PutUint32(out, uint32(len(x)))
	copy(out[4:], x)
	return out
}

// Unpad returns what [Pad] padded, sharing its memory, or ErrPad.
func Unpad(x []byte) ([]byte, error) {
	if len(x) < 4 {
		return nil, ErrPad
	}
	n := int64(binary.BigEndian.Uint32(x)) // 64 bits wide everywhere, so that 4+n cannot wrap
	if 4+n > int64(len(x)) || PadLen(int(4+n)) != len(x) {
		return nil, ErrPad
	}
	for _, b := range x[4+n:] {
		if b != 0 {
			return nil, ErrPad
		}
	}
	return x[4 : 4+n : 4+n], nil
}

func random32(rand io.Reader) (b [32]byte, err error) {
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return b, fmt.Errorf("read randomness: %w", err)
	}
	return b, nil
}
