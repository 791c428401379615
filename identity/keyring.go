package identity

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
)

var (
	// ErrExists says that a home has an identity already.
	ErrExists = errors.New("there is an identity here already")
	// ErrNoIdentity says that a home has none.
	ErrNoIdentity = errors.New("there is no identity here")
	// ErrNeedsPassphrase says that the keys are sealed and nobody was there to ask.
	ErrNeedsPassphrase = errors.New("the keys are sealed with a passphrase")
)

// identityFile holds all keys but the prekeys.
const (
	identityFile    = "identity"
	identityVersion = 1
)

// A Keyring is the secret keys of one home, in DIR/keys: folders 0700, files 0600, each prekey in a
// file of its own, so that it can be erased (SPEC 2.1). The seed is not among them, nor is R. It is
// safe for concurrent use by one process; two must not write to one home.
type Keyring struct {
	keys string // DIR/keys

	mu         sync.RWMutex
	generation int
	dir        keyDir
	id         *identityKeys
	prekeys    []preKeyEntry // rising serials: the newest is last
}

// identityKeys is the content of the identity file.
type identityKeys struct {
	Version    int      `json:"version"`
	Index      uint32   `json:"index"`
	Services   Services `json:"services"`
	Address    key32    `json:"address"`      // seed of A; zero on a device that is no admin
	Of         *key32   `json:"of,omitempty"` // A itself, on a device that is no admin
	Commitment key32    `json:"commitment"`   // H("recovery", R)
	Device     key32    `json:"device"`       // seed of D
	Transport  key32    `json:"transport"`    // seed of T
	Store      key32    `json:"store"`

	a, d SigningKey
}

// key32 is 32 bytes, in hex inside files.
type key32 [32]byte

func (k key32) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, k[:]), nil }

func (k *key32) UnmarshalText(b []byte) error {
	raw, err := hex.DecodeString(string(b))
	if err != nil || len(raw) != len(k) {
		return errors.New("not 32 bytes in hex") // without the bytes
	}
	copy(k[:], raw)
	return nil
}

// KeyringConfig says what a new keyring holds.
type KeyringConfig struct {
	Seed       Seed // required; used for A and the commitment to R, then forgotten
	Index      uint32
	Services   Services
	Now        Time         // when the first prekey is made
	Rand       io.Reader    // for D, T, the prekey and the store key; required
	Device     *DeviceDraft // D, T and the prekey, if they were drawn before; else they are drawn now
	Transport  *[32]byte    // T, of a community node that comes from a backup: members know it by that; nil draws one
	Passphrase []byte       // nil leaves the files readable to their owner

	work int // of scrypt; 0 is workFactor, tests take less
}

// Format hides the seed and the passphrase.
func (c KeyringConfig) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the seed and the passphrase.
func (c KeyringConfig) LogValue() slog.Value { return slog.StringValue(hidden) }

// PortableKeys are what moves to another home in a backup: whose home it is, and no key of the
// device (SPEC 2.1).
type PortableKeys struct {
	Index       uint32
	Services    Services
	AddressSeed [32]byte // zero for a device that is no admin: then Of says whose it is
	Commitment  [32]byte
	Of          Address
}

// CreateKeyring makes the keys of a new home and has them on disk when it returns. ErrExists if
// dir has keys.
func CreateKeyring(dir string, cfg KeyringConfig) (*Keyring, error) {
	if cfg.Seed == (Seed{}) {
		return nil, errors.New("create keys: no seed")
	}
	return CreateKeyringFrom(dir, cfg.Seed.Keys(cfg.Index, cfg.Services), cfg)
}

// Keys are those of the i-th address of s.
func (s Seed) Keys(i uint32, services Services) PortableKeys {
	return PortableKeys{Index: i, Services: services, AddressSeed: s.AddressKey(i).Seed(), Commitment: s.Commitment(i)}
}

// CreateKeyringFrom makes a home for an address that came from a backup: with a device key,
// transport key, prekey and store key of its own. Of cfg it takes Now, Rand, Transport and Passphrase.
func CreateKeyringFrom(dir string, keys PortableKeys, cfg KeyringConfig) (*Keyring, error) {
	k := &Keyring{keys: filepath.Join(dir, keysFolder), generation: 1}
	k.dir.work = cmp.Or(cfg.work, workFactor)
	if found, err := generations(k.keys); err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	} else if len(found) > 0 {
		return nil, fmt.Errorf("%w: %s", ErrExists, k.keys)
	}
	id, err := newIdentityKeys(keys, cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	if cfg.Transport != nil {
		id.Transport = *cfg.Transport
		if err := id.derive(); err != nil {
			return nil, fmt.Errorf("create keys: %w", err)
		}
	}
	first, err := newPreKeyEntry(1, cfg.Now, cfg.Rand)
	if err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	if cfg.Device != nil {
		if err := cfg.Device.install(id); err != nil {
			return nil, fmt.Errorf("create keys: %w", err)
		}
		first = cfg.Device.entry(cfg.Now)
	}
	k.id, k.prekeys = id, []preKeyEntry{first}
	if k.dir, err = k.writeAll(1, cfg.Passphrase); err != nil {
		return nil, fmt.Errorf("create keys: %w", err)
	}
	return k, nil
}

func newIdentityKeys(keys PortableKeys, rand io.Reader) (*identityKeys, error) {
	id := &identityKeys{
		Version:    identityVersion,
		Index:      keys.Index,
		Services:   keys.Services,
		Address:    keys.AddressSeed,
		Commitment: keys.Commitment,
	}
	if keys.AddressSeed == ([32]byte{}) {
		of := key32(keys.Of)
		id.Of = &of
	}
	for _, k := range []*key32{&id.Device, &id.Transport, &id.Store} {
		b, err := random32(rand)
		if err != nil {
			return nil, err
		}
		*k = b
	}
	return id, id.derive()
}

// derive makes the signing keys. D and T must differ (SPEC 2.1).
func (id *identityKeys) derive() error {
	if id.Device == id.Transport {
		return errors.New("device key and transport key are the same")
	}
	if id.Of != nil && (id.Address != key32{} || !ValidKey(PublicKey(*id.Of))) {
		return errors.New("neither an admin's keys nor another's")
	}
	id.d = NewSigningKey(id.Device)
	if id.Of == nil {
		id.a = NewSigningKey(id.Address)
	}
	return nil
}

// OpenKeyring reads the keys of dir. It calls passphrase, which may be nil, only if they are
// sealed. Errors: ErrNoIdentity, ErrNeedsPassphrase, ErrPassphrase, and ErrDamaged with the file.
func OpenKeyring(dir string, passphrase func() ([]byte, error)) (*Keyring, error) {
	k := &Keyring{keys: filepath.Join(dir, keysFolder)}
	found, err := generations(k.keys)
	if err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: %s", ErrNoIdentity, k.keys)
	}
	k.generation = found[len(found)-1]
	k.dir = keyDir{path: generationPath(k.keys, k.generation), work: workFactor}
	if err := k.dir.unlock(passphrase); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if err := k.load(); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	if err := sweep(k.keys, k.generation); err != nil {
		return nil, fmt.Errorf("open keys: %w", err)
	}
	return k, nil
}

func (k *Keyring) load() error {
	body, err := k.dir.read(identityFile)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return err
	}
	id := new(identityKeys)
	if decodeStrict(body, id) != nil || id.Version != identityVersion || id.derive() != nil {
		return fmt.Errorf("%w: %s", ErrDamaged, filepath.Join(k.dir.path, identityFile))
	}
	k.id = id
	k.prekeys, err = loadPreKeys(k.dir)
	return err
}

func decodeStrict(body []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// encodeKeys prints one of our own key structs, which always can be.
func encodeKeys(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("identity: " + err.Error())
	}
	return b
}

// writeAll writes every key into a new folder with number n. After an error the path of the folder
// says whether it has got its number.
func (k *Keyring) writeAll(n int, passphrase []byte) (keyDir, error) {
	d, err := begin(k.keys, passphrase, k.dir.work)
	if err != nil {
		return d, err
	}
	if err := d.write(identityFile, encodeKeys(k.id)); err != nil {
		return d, err
	}
	for _, p := range k.prekeys {
		if err := d.write(p.file(), p.encode()); err != nil {
			return d, err
		}
	}
	return d, d.finish(k.keys, n)
}

// SetPassphrase seals every key file anew with a passphrase, nil for none. If the power fails it
// has happened or not. The readable or otherwise sealed files from before are gone when it returns.
func (k *Keyring) SetPassphrase(passphrase []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := k.generation + 1
	d, err := k.writeAll(n, passphrase)
	if d.path != generationPath(k.keys, n) {
		return fmt.Errorf("set passphrase: %w", errors.Join(err, os.RemoveAll(d.path)))
	}
	k.dir, k.generation = d, n // also on an error: the next to open will find n, so write there
	if err == nil {
		err = sweep(k.keys, n)
	}
	if err != nil {
		return fmt.Errorf("set passphrase: %w", err)
	}
	return nil
}

// ReplaceTransport makes another T, so that whoever knew the old one cannot tell that this is the
// same device (SPEC 2.1).
func (k *Keyring) ReplaceTransport(rand io.Reader) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := *k.id
	t, err := random32(rand)
	if err != nil {
		return fmt.Errorf("replace transport key: %w", err)
	}
	id.Transport = t
	if err := id.derive(); err != nil {
		return fmt.Errorf("replace transport key: %w", err)
	}
	if err := k.dir.write(identityFile, encodeKeys(&id)); err != nil {
		return fmt.Errorf("replace transport key: %w", err)
	}
	k.id = &id
	return nil
}

func (k *Keyring) keysNow() *identityKeys {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.id // replaced whole, never changed
}

// Address returns whose keys these are.
func (k *Keyring) Address() Address {
	id := k.keysNow()
	if id.Of != nil {
		return Address(*id.Of)
	}
	return Address(id.a.Public())
}

// Admin reports whether this home holds A, so that it can sign address records.
func (k *Keyring) Admin() bool { return k.keysNow().Of == nil }

// AddressKey returns A, which only an admin device holds: see [Keyring.Admin].
func (k *Keyring) AddressKey() SigningKey { return k.keysNow().a }

// Index returns which address of its seed this is.
func (k *Keyring) Index() uint32 { return k.keysNow().Index }

// Services returns what the address is used for.
func (k *Keyring) Services() Services { return k.keysNow().Services }

// Commitment returns H("recovery", R), for the address record.
func (k *Keyring) Commitment() [32]byte { return k.keysNow().Commitment }

// Device returns D.
func (k *Keyring) Device() SigningKey { return k.keysNow().d }

// DeviceID returns the id of D.
func (k *Keyring) DeviceID() DeviceID { return DeviceIDOf(k.keysNow().d.Public()) }

// Transport returns the Ed25519 seed of T, the libp2p key.
func (k *Keyring) Transport() [32]byte { return k.keysNow().Transport }

// StoreKey returns the random key that the database is encrypted with.
func (k *Keyring) StoreKey() [32]byte { return k.keysNow().Store }

// Sealed reports whether a passphrase protects the files.
func (k *Keyring) Sealed() bool {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.dir.key != nil
}

// Export returns what a backup holds. It is secret.
func (k *Keyring) Export() PortableKeys {
	id := k.keysNow()
	p := PortableKeys{Index: id.Index, Services: id.Services, AddressSeed: id.Address, Commitment: id.Commitment}
	if id.Of != nil {
		p.Of = Address(*id.Of)
	}
	return p
}

// String hides the keys.
func (k *Keyring) String() string { return hidden }

// GoString hides the keys.
func (k *Keyring) GoString() string { return hidden }

// Format hides the keys from every verb.
func (k *Keyring) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the keys.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(hidden) }

// String hides the keys.
func (p PortableKeys) String() string { return hidden }

// GoString hides the keys.
func (p PortableKeys) GoString() string { return hidden }

// Format hides the keys from every verb.
func (p PortableKeys) Format(s fmt.State, _ rune) { formatHidden(s) }

// LogValue hides the keys.
func (p PortableKeys) LogValue() slog.Value { return slog.StringValue(hidden) }
