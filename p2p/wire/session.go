package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/hum-presence/hum/identity"
)

// The bounds of a stream session (SPEC 3.10).
const (
	SessionLife  = 24 * time.Hour
	SessionWraps = 1 << 20
)

// SessionRequest opens a session on the stream that carries it (SPEC 3.10).
type SessionRequest struct {
	Suite  uint32
	Kid    KeyID // of the prekey that the session's key is sealed to
	Sealed []byte
}

// ParseSessionRequest reads the payload of SESSION.
func ParseSessionRequest(b []byte) (SessionRequest, error) {
	return parse(b, "session", MaxFrame, sessionRequest)
}

// Append appends the encoding of x to b.
func (x SessionRequest) Append(b []byte) []byte { return appendTo(b, &x, sessionRequest) }

func sessionRequest(c *codec, x *SessionRequest) {
	c.skipUnknown()
	num(c, 1, &x.Suite, must)
	c.fixed(2, x.Kid[:], must)
	c.octets(3, &x.Sealed, MaxFrame, must)
}

// A Session wraps the keys of Parcels on one stream, from its opener to one device, by one key that both
// hold in memory (SPEC 3.10). The zero Session is none.
type Session struct {
	ID      KeyID // sid, which stands where the id of a prekey does
	Kid     KeyID // of the prekey that it was sealed to
	address Address
	device  DeviceID
	key     [32]byte
}

// String hides the key.
func (s Session) String() string { return "session " + s.ID.String() }

// OfferSession draws a session to a device, and the request that opens it there. Errors: [ErrUnsupported]
// for a bad public key, or that of rand.
func OfferSession(rand io.Reader, to Recipient) (Session, SessionRequest, error) {
	var sk [32]byte
	if _, err := io.ReadFull(rand, sk[:]); err != nil {
		return Session{}, SessionRequest{}, fmt.Errorf("session: %w", err)
	}
	return offerSession(sk, to)
}

func offerSession(sk [32]byte, to Recipient) (Session, SessionRequest, error) {
	sealed, err := identity.SealTo(to.Key, sessionInfo(identity.Suite1, to.Address, to.Device, to.Kid), sk[:])
	if err != nil {
		return Session{}, SessionRequest{}, fmt.Errorf("session for device %v: %w", to.Device, err)
	}
	return newSession(sk, to), SessionRequest{identity.Suite1, to.Kid, sealed}, nil
}

func newSession(sk [32]byte, to Recipient) Session {
	sid := identity.KDF(sk[:], "sid", nil)
	return Session{ID: KeyID(sid[:8]), Kid: to.Kid, address: to.Address, device: to.Device, key: identity.KDF(sk[:], "wrap", nil)}
}

// OpenSession takes the request of somebody to device dev of me. Errors: [ErrUnsupported] for another
// suite, [ErrNoKey] if find has not the prekey, [ErrUndecryptable].
func OpenSession(r SessionRequest, me Address, dev DeviceID, find func(KeyID) (*identity.PreKeySecret, bool)) (Session, error) {
	if err := supported(r.Suite); err != nil {
		return Session{}, err
	}
	key, ok := find(r.Kid)
	if !ok {
		return Session{}, fmt.Errorf("session: %w", ErrNoKey)
	}
	sk, err := key.Open(sessionInfo(r.Suite, me, dev, r.Kid), r.Sealed)
	if err != nil || len(sk) != 32 {
		return Session{}, fmt.Errorf("session: %w", ErrUndecryptable)
	}
	return newSession([32]byte(sk), Recipient{Address: me, Device: dev, Kid: r.Kid}), nil
}

func sessionInfo(suite uint32, a Address, d DeviceID, kid KeyID) []byte {
	b := binary.BigEndian.AppendUint32(identity.DS("session"), suite)
	b = append(b, a[:]...)
	b = append(b, d[:]...)
	return append(b, kid[:]...)
}

// Wrap returns the one Wrap of a Parcel on the stream of s.
func (s Session) Wrap(rand io.Reader, cek [32]byte, ct []byte) Wrap {
	return Wrap{s.ID, identity.Seal(rand, s.key, cek[:], s.bind(ct))}
}

func (s Session) bind(ct []byte) []byte {
	b := binary.BigEndian.AppendUint32(identity.DS("swrap"), identity.Suite1)
	b = append(b, s.address[:]...)
	b = append(b, s.device[:]...)
	b = append(b, s.ID[:]...)
	digest := sha256.Sum256(ct)
	return append(b, digest[:]...)
}

// Open opens a Parcel that came on the stream of s; Kid is then that of the prekey behind s. Errors: those of [OpenParcel].
func (s Session) Open(p Parcel) (Opened, error) {
	if err := supported(p.Suite); err != nil {
		return Opened{}, err
	}
	if len(p.Wraps) != 1 || p.Wraps[0].Kid != s.ID || s.ID == (KeyID{}) {
		return Opened{}, fmt.Errorf("parcel: %w", ErrNoKey)
	}
	cek, err := identity.Open(s.key, p.Wraps[0].Sealed, s.bind(p.CT))
	if err != nil || len(cek) != 32 {
		return Opened{}, fmt.Errorf("wrap: %w", ErrUndecryptable)
	}
	return openInner(Opened{Kid: s.Kid, CEK: [32]byte(cek)}, p.CT)
}
