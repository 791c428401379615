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

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node/settings"
)

// A home is one directory: keys (identity), store, config.toml and the control socket. Two homes are two
// independent nodes.
func storeDir(home string) string   { return filepath.Join(home, "store") }
func configFile(home string) string { return filepath.Join(home, "config.toml") }

// Settings are what a user may write in config.toml of his home; flags of up go before them.
type Settings struct {
	Name          string   `toml:"name" doc:"Suggested on your cards."`
	Listen        []string `toml:"listen" doc:"Multiaddrs to listen on; none: every interface, port 4866 or the next that is free."`
	Bootstrap     []string `toml:"bootstrap" doc:"Multiaddrs that end in /p2p/…, to stay connected to."`
	Relays        []string `toml:"relays" doc:"Multiaddrs that end in /p2p/… of relays to be reached through, beside those of your communities."`
	Announce      []string `toml:"announce" doc:"Multiaddrs to tell others instead of those of this machine: its name, or the address before its NAT."`
	NoPortMap     bool     `toml:"no_port_map" doc:"Do not ask the router to open the port (UPnP, NAT-PMP)."`
	MDNS          bool     `toml:"mdns" doc:"Find contacts on the local network, and be found there."`
	Light         bool     `toml:"light" doc:"Hear those you watch on a stream from them alone, never on a topic."`
	Banned        []string `toml:"banned" doc:"Networks, addresses and peer ids never to talk to."`
	Launch        string   `toml:"launch" doc:"The program that opens a contact for you; it gets its URI as its one argument."`
	DNS           string   `toml:"dns" doc:"The DNS server to ask whose a handle is, as host:port; none: whom the machine asks."`
	Accept        []string `toml:"accept" doc:"MIME types to take beside text/plain, such as \"image/*\"; none named: all."`
	Gateway       bool     `toml:"gateway" doc:"Messages are handed on from here to others: their senders are told no more than that."`
	DisplayedAcks bool     `toml:"displayed_acks" doc:"Tell senders who ask for it that you have opened their message."`
	IdleAfter     string   `toml:"idle_after" doc:"Without input until you are shown as idle, such as \"10m\"; \"never\" switches it off."`
}

// LoadSettings reads config.toml of home; without one everything is default. An unknown key is an error.
func LoadSettings(home string) (s Settings, err error) {
	err = settings.Load(configFile(home), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, settingsError(home, err)
	}
	if _, err := ParseIdleAfter(s.IdleAfter); err != nil {
		return s, settingsError(home, fmt.Errorf("%s: idle_after: %w", configFile(home), err))
	}
	return s, nil
}

func settingsError(home string, err error) error {
	e := &Error{Code: "config", Kind: KindUsage, Message: err.Error(), Advice: "mend or remove the file"}
	if in := (*settings.Error)(nil); errors.As(err, &in) && in.Advice != "" {
		e.Advice = in.Advice
	}
	return e
}

// saveName writes the name a user gave at init into config.toml.
func saveName(home, name string) error {
	if name == "" {
		return nil
	}
	return os.WriteFile(configFile(home), settings.Line("name", name), 0o600)
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
