package main

import (
	"context"
	"time"

	"github.com/hum-presence/hum/node"
)

// local is what can be done to a home in which no node runs, and the running of one.
type local interface {
	Init(home string, c initConfig) (created, error)
	// Up runs the node of home until ctx ends or it is asked to stop; ready is called once it serves.
	Up(ctx context.Context, home string, c upConfig, ready func(started)) error
	HasIdentity(home string) bool
	Doctor(home string, passphrase func() ([]byte, error)) []node.Check
	// Conformance tries what an address with these services promises, and calls tell with each row.
	Conformance(ctx context.Context, services []string, tell func(node.Check)) error
	ResetClock(home string, passphrase func() ([]byte, error)) error
	Backup(home string, passphrase func() ([]byte, error), file string, sealed []byte) (int64, error)
	Restorable(file, home string) error // says at once what Restore would find wrong without a passphrase
	Restore(file, home string, passphrase []byte) (restored, error)
	Succeed(home string, passphrase func() ([]byte, error), words, reason string) (succeeded, error)
	// Join waits in a home, whose code is shown, until it is a device of an address or ctx ends.
	Join(ctx context.Context, home string, c joinConfig, show func(waiting)) (joined, error)
	// Community runs the community node of home until ctx ends; ready is called once it serves.
	Community(ctx context.Context, home string, c communityConfig, ready func(serving)) error
	// CommunityBackup copies a community node that does not run, CommunityRestore makes one of such a copy.
	CommunityBackup(home string, passphrase func() ([]byte, error), file string, sealed []byte) (int64, error)
	CommunityRestore(file, home string, passphrase []byte) (restoredCommunity, error)
	Passphrase(home string, old func() ([]byte, error), passphrase []byte) error
}

// initConfig is what an identity is made with.
type initConfig struct {
	Name         string
	IM, Presence bool
	Words        string // to recover; "" makes a new identity
	Index        uint32
	Passphrase   []byte
}

// created is an identity as init shows it.
type created struct {
	Address     string `json:"address"`
	IM          string `json:"im"`
	Pres        string `json:"pres"`
	Fingerprint string `json:"fingerprint"`
	Device      string `json:"device"`
	Name        string `json:"name"`
	Words       string `json:"recovery_words"`
}

// restored is what a backup brought back.
type restored struct {
	File    string `json:"file"`
	Bytes   int64  `json:"bytes"`
	Address string `json:"address"`
	Device  string `json:"device"` // a new one
	Name    string `json:"name"`
	Pair    bool   `json:"pair"` // it is to be added again by an admin device
}

// upConfig is how a node runs.
type upConfig struct {
	Listen, Bootstrap []string
	Relays, Announce  []string
	MDNS, Light       *bool
	API               string        // a loopback host:port for the local API, or ""
	IdleAfter         time.Duration // without input until idle is shown; 0: as config.toml says; <0: never
	Passphrase        func() ([]byte, error)
	Verbose           bool
}

// started is a node that serves.
type started struct {
	Event   string   `json:"event"`
	Address string   `json:"address"`
	Name    string   `json:"name"`
	Listen  []string `json:"listen"`
	PID     int      `json:"pid"`
	API     string   `json:"api,omitempty"`
}
