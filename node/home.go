package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"

	"github.com/hum-presence/hum/identity"
)

// A home is one directory: keys (identity), store, config.toml and the control socket. Two homes are two
// independent nodes.
func storeDir(home string) string   { return filepath.Join(home, "store") }
func configFile(home string) string { return filepath.Join(home, "config.toml") }

// Settings are what a user may write in config.toml of his home; flags of up go before them.
type Settings struct {
	Name      string   `koanf:"name" toml:"name"`           // suggested on cards
	Listen    []string `koanf:"listen" toml:"listen"`       // multiaddrs; default: every interface
	Bootstrap []string `koanf:"bootstrap" toml:"bootstrap"` // multiaddrs with /p2p/ to stay connected to
	MDNS      bool     `koanf:"mdns" toml:"mdns"`           // find and be found on the local network
	Light     bool     `koanf:"light" toml:"light"`         // watch by stream alone, never on a topic (SPEC 0)
	Banned    []string `koanf:"banned" toml:"banned"`       // CIDRs and peer ids never to talk to

	Accept        []string `koanf:"accept" toml:"accept"`                 // MIME types taken beside text/plain, such as "image/*"; none named: all
	Gateway       bool     `koanf:"gateway" toml:"gateway"`               // messages are handed on from here to others: their senders are told no more than that
	DisplayedAcks bool     `koanf:"displayed_acks" toml:"displayed_acks"` // tell senders who ask that I have opened their message
	IdleAfter     string   `koanf:"idle_after" toml:"idle_after"`         // without input until idle is shown, such as "10m"; "never"
	Launch        string   `koanf:"launch" toml:"launch"`                 // the program that opens a contact; it gets its URI as its one argument
}

// LoadSettings reads config.toml of home; without one everything is default. An unknown key is an error.
func LoadSettings(home string) (s Settings, err error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(configFile(home)), toml.Parser()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return s, nil
		}
		return s, settingsError(home, err)
	}
	for _, key := range k.Keys() {
		if !knownSetting[key] {
			return s, settingsError(home, fmt.Errorf("unknown setting %q (known: name, listen, bootstrap, mdns, light, banned, launch, accept, gateway, displayed_acks, idle_after)", key))
		}
	}
	if err := k.Unmarshal("", &s); err != nil {
		return s, settingsError(home, err)
	}
	if _, err := ParseIdleAfter(s.IdleAfter); err != nil {
		return s, settingsError(home, fmt.Errorf("idle_after: %w", err))
	}
	return s, nil
}

var knownSetting = map[string]bool{"name": true, "listen": true, "bootstrap": true, "mdns": true, "light": true, "banned": true, "launch": true, "accept": true, "gateway": true, "displayed_acks": true, "idle_after": true}

func settingsError(home string, err error) error {
	return &Error{Code: "config", Kind: KindUsage, Message: fmt.Sprintf("%s: %v", configFile(home), err), Advice: "mend or remove the file"}
}

// saveName writes the name a user gave at init into config.toml.
func saveName(home, name string) error {
	if name == "" {
		return nil
	}
	k := koanf.New(".")
	if err := k.Set("name", name); err != nil {
		return err
	}
	b, err := k.Marshal(toml.Parser())
	if err != nil {
		return err
	}
	return os.WriteFile(configFile(home), b, 0o600)
}

// InitConfig says what identity a fresh home gets.
type InitConfig struct {
	Name       string            // suggested on cards, at most 64 characters
	Services   identity.Services // 0: both
	Seed       *identity.Seed    // nil: a new one is drawn; else the address is recovered from it
	Index      uint32            // which address of the seed
	Passphrase []byte            // nil: the keys are protected by file permissions only
	Clock      func() identity.Now
	Rand       io.Reader
}

// Created is a fresh identity. Seed is shown to the user once and kept nowhere.
type Created struct {
	Self Self
	Seed identity.Seed
}

// Init makes an identity in home, which must not have one.
func Init(home string, c InitConfig) (Created, error) {
	seed := c.Seed
	if seed == nil {
		s, err := identity.NewSeed(c.Rand)
		if err != nil {
			return Created{}, err
		}
		seed = &s
	}
	if c.Services == 0 {
		c.Services = identity.Inbox | identity.Presentity
	}
	if err := os.MkdirAll(home, 0o700); err != nil {
		return Created{}, homeError(home, err)
	}
	if halfRestored(home) {
		return Created{}, &Error{Kind: KindFailed, Code: "half-restored", Message: home + " was being restored when it was stopped", Advice: "do it again: hum restore"}
	}
	keys, err := identity.CreateKeyring(home, identity.KeyringConfig{Seed: *seed, Index: c.Index, Services: c.Services,
		Now: c.Clock().Wall, Rand: c.Rand, Passphrase: c.Passphrase})
	if err != nil {
		return Created{}, homeError(home, err)
	}
	if err := saveName(home, c.Name); err != nil {
		return Created{}, homeError(home, err)
	}
	return Created{Self: selfOf(keys, c.Name), Seed: *seed}, nil
}

// halfRestored reports whether a home has a store and no keys: a restore was stopped within it.
func halfRestored(home string) bool {
	_, noStore := os.Stat(storeDir(home))
	_, noKeys := os.Stat(filepath.Join(home, "keys"))
	return noStore == nil && errors.Is(noKeys, fs.ErrNotExist)
}

func selfOf(k *identity.Keyring, name string) Self {
	return Self{Address: k.Address(), Device: k.DeviceID(), Name: name, Services: k.Services()}
}

// PassphraseHome seals the keys of home with a new passphrase; nil takes the seal off.
func PassphraseHome(home string, old func() ([]byte, error), passphrase []byte) error {
	keys, err := identity.OpenKeyring(home, old)
	if err != nil {
		return homeError(home, err)
	}
	return homeError(home, keys.SetPassphrase(bytes.Clone(passphrase)))
}

// SetPassphrase seals the keys of this home with a passphrase; nil takes the seal off.
func (n *Node) SetPassphrase(_ context.Context, passphrase []byte) error {
	return homeError(n.cfg.Home, n.keys.SetPassphrase(bytes.Clone(passphrase)))
}

// homeError says in words what is wrong with a home.
func homeError(home string, err error) error {
	say := func(code, message, advice string) error {
		return &Error{Kind: KindFailed, Code: code, Message: message, Advice: advice}
	}
	var known *Error
	switch {
	case err == nil || errors.As(err, &known):
		return err
	case errors.Is(err, identity.ErrNoIdentity):
		return say("no-identity", "there is no identity in "+home, "make one with: hum init")
	case errors.Is(err, identity.ErrExists):
		return say("exists", home+" already has an identity", "use it with: hum up, or choose another --home")
	case errors.Is(err, identity.ErrNeedsPassphrase):
		return say("passphrase", "the keys of this home are sealed", "give the passphrase with --passphrase-file")
	case errors.Is(err, identity.ErrPassphrase):
		return say("passphrase", "that passphrase does not open the keys of this home", "try again")
	case errors.Is(err, identity.ErrDamaged):
		return say("damaged", err.Error(), "restore a backup with: hum restore")
	case errors.Is(err, fs.ErrPermission):
		return say("permission", err.Error(), "check the owner and mode of "+home)
	}
	return fmt.Errorf("home %s: %w", home, err)
}
