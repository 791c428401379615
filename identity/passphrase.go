package identity

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"
)

// ErrPassphrase says that a passphrase is wrong, or empty.
var ErrPassphrase = errors.New("wrong passphrase")

// Guessing costs 2^workFactor rounds of scrypt and 128 MiB, a fraction of a second. A file that asks
// for more than maxWorkFactor is refused, since opening it would take more memory than a machine has.
const (
	workFactor    = 17
	maxWorkFactor = 20
)

// SealStream returns a writer that encrypts to w what is written to it, in the format of age with a
// passphrase (age-encryption.org/v1). Nothing is complete before it is closed; w stays open.
func SealStream(passphrase []byte, w io.Writer) (io.WriteCloser, error) {
	return sealStream(passphrase, w, workFactor)
}

func sealStream(passphrase []byte, w io.Writer, work int) (io.WriteCloser, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	to, err := age.NewScryptRecipient(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("seal with a passphrase: %w", err)
	}
	to.SetWorkFactor(work)
	return age.Encrypt(w, to)
}

// OpenStream returns what [SealStream] sealed, or ErrPassphrase. Each byte read from it is
// authentic; that the end is missing is only known at the end.
func OpenStream(passphrase []byte, r io.Reader) (io.Reader, error) {
	if len(passphrase) == 0 {
		return nil, fmt.Errorf("%w: it is empty", ErrPassphrase)
	}
	id, err := age.NewScryptIdentity(string(passphrase))
	if err != nil {
		return nil, fmt.Errorf("open with a passphrase: %w", err)
	}
	id.SetMaxWorkFactor(maxWorkFactor)
	plain, err := age.Decrypt(r, id)
	if errors.Is(err, age.ErrIncorrectIdentity) {
		return nil, ErrPassphrase
	}
	if err != nil {
		return nil, fmt.Errorf("open with a passphrase: %w", err)
	}
	return plain, nil
}
