package identity

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// A DeviceDraft is the keys of a device that belongs to no address yet: they are shown to an admin device
// and become a home's once it has listed them (SPEC 4.11). They are on no disk before that.
type DeviceDraft struct {
	device    SigningKey
	transport [32]byte
	prekey    *PreKeySecret
}

// DraftDevice draws D, T and the first prekey of a device.
func DraftDevice(rand io.Reader) (*DeviceDraft, error) {
	var seeds [2][32]byte
	for i := range seeds {
		b, err := random32(rand)
		if err != nil {
			return nil, err
		}
		seeds[i] = b
	}
	if seeds[0] == seeds[1] {
		return nil, errors.New("device key and transport key are the same")
	}
	p, err := GeneratePreKey(rand)
	if err != nil {
		return nil, err
	}
	return &DeviceDraft{NewSigningKey(seeds[0]), seeds[1], p}, nil
}

// Device returns D.
func (d *DeviceDraft) Device() SigningKey { return d.device }

// Transport returns the Ed25519 seed of T.
func (d *DeviceDraft) Transport() [32]byte { return d.transport }

// PreKey returns the first prekey.
func (d *DeviceDraft) PreKey() *PreKeySecret { return d.prekey }

// Format hides the keys.
func (d *DeviceDraft) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the keys.
func (d *DeviceDraft) LogValue() slog.Value { return slog.StringValue(hidden) }

// install puts the drafted keys into those of a home.
func (d *DeviceDraft) install(id *identityKeys) error {
	id.Device, id.Transport = d.device.Seed(), d.transport
	return id.derive()
}

// entry returns the drafted prekey as the first of a home.
func (d *DeviceDraft) entry(now Time) preKeyEntry {
	return preKeyEntry{d.prekey, preKeyFile{1, now, d.prekey.Seed()}}
}
