package main

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/p2p"
)

// homes is [local] on real homes: the only place that opens and runs a node.
type homes struct{}

func (homes) HasIdentity(home string) bool {
	entries, err := os.ReadDir(filepath.Join(home, "keys"))
	return err == nil && len(entries) > 0
}

func (homes) Init(home string, c initConfig) (made created, err error) {
	cfg := node.InitConfig{Name: c.Name, Index: c.Index, Passphrase: c.Passphrase, Clock: node.SystemClock(), Rand: rand.Reader}
	if c.IM {
		cfg.Services |= identity.Inbox
	}
	if c.Presence {
		cfg.Services |= identity.Presentity
	}
	if c.Words != "" {
		seed, err := identity.ParseSeed(c.Words)
		if err != nil {
			return made, usage("check them against the paper", "%v", err)
		}
		cfg.Seed = &seed
	}
	n, err := node.Init(home, cfg)
	if err != nil {
		return made, err
	}
	a := n.Self.Address
	return created{Address: a.String(), IM: a.IM(), Pres: a.Pres(), Fingerprint: a.Fingerprint(), Device: n.Self.Device.String(),
		Name: n.Self.Name, Words: strings.Join(n.Seed.Words(), " ")}, nil
}

// collectAt is how much the heap may grow between two collections, in percent of what is in use: an idle node
// makes little garbage, so half of what Go leaves costs it next to nothing, and keeps it smaller.
const collectAt = 50

// Up runs the node, and opens it anew when it says so: it has become another kind.
func (h homes) Up(ctx context.Context, home string, c upConfig, ready func(started)) error {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	for tell := ready; ; tell = func(s started) { s.Event = "restarted"; ready(s) } {
		if again, err := h.once(ctx, home, c, tell); err != nil || !again || ctx.Err() != nil {
			return err
		}
	}
}

// once opens the node and then the door, and runs both; the door answers while the node signs off, and its
// socket's file goes when the home is free.
func (homes) once(ctx context.Context, home string, c upConfig, ready func(started)) (again bool, err error) {
	log := logger(c.Verbose)
	p2p.LogTo(log)
	n, err := node.Open(node.Config{Home: home, Passphrase: c.Passphrase, Listen: c.Listen, Bootstrap: c.Bootstrap, Relays: c.Relays, Announce: c.Announce, MDNS: c.MDNS, Light: c.Light,
		Input: input(), IdleAfter: c.IdleAfter,
		Clock: node.SystemClock(), Rand: rand.Reader, Log: log})
	if err != nil {
		return false, err
	}
	if err := fits(n.Self().Services); err != nil {
		return false, errors.Join(err, n.Close())
	}
	door, err := control.Open(control.Config{Home: home, Backend: n, TCP: c.API, Clock: time.Now, Rand: rand.Reader})
	if err != nil {
		return false, errors.Join(err, n.Close())
	}
	err = serve(ctx, n, door, func() {
		self := n.Self()
		ready(started{Address: self.Address.String(), Name: self.Name, Listen: n.Listening(), API: door.URL()})
	})
	return n.Again(), errors.Join(err, n.Close(), door.Close())
}

// fits refuses an address for a service that this build leaves out: whoever wrote or watched would be answered by
// a program whose user cannot see it.
func fits(s identity.Services) error {
	if s&identity.Inbox != 0 && !offersIM || s&identity.Presentity != 0 && !offersPresence {
		return usage("run it with a hum that has both services", "this hum was built for %s alone, and the address is for more", strings.Join(offered(), ", "))
	}
	return nil
}

// serve runs node and door until the node ends, or the door fails.
func serve(ctx context.Context, n *node.Node, door *control.Server, ready func()) error {
	outside, closeDoor := context.WithCancel(context.WithoutCancel(ctx))
	served := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		select { // a command needs a node that runs
		case <-n.Ready():
		case <-ended:
		}
		err := door.Run(outside)
		n.Stop()
		served <- err
	}()
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-n.Ready():
			ready()
		case <-ended:
		}
	}()
	err := n.Run(ctx)
	close(ended)
	<-told
	closeDoor()
	return errors.Join(err, <-served)
}

func logger(verbose bool) *slog.Logger {
	if !verbose {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (homes) Doctor(home string, passphrase func() ([]byte, error)) []node.Check {
	return node.DoctorHome(home, passphrase, node.SystemClock())
}

func (homes) ResetClock(home string, passphrase func() ([]byte, error)) error {
	return node.ResetClock(home, passphrase)
}

func (homes) Backup(home string, passphrase func() ([]byte, error), file string, sealed []byte) (int64, error) {
	return node.BackupHome(home, passphrase, file, sealed)
}

func (homes) Succeed(home string, passphrase func() ([]byte, error), words, reason string) (s succeeded, err error) {
	seed, err := identity.ParseSeed(words)
	if err != nil {
		return s, usage("check them against the paper", "%v", err)
	}
	why, err := node.ParseMoveReason(reason)
	if err != nil {
		return s, err
	}
	m, err := node.SucceedHome(home, node.SuccessionConfig{Seed: seed, Reason: why, Passphrase: passphrase, Clock: node.SystemClock(), Rand: rand.Reader})
	if err != nil {
		return s, err
	}
	a := m.Self.Address
	return succeeded{Address: a.String(), IM: a.IM(), Pres: a.Pres(), Fingerprint: a.Fingerprint(), Device: m.Self.Device.String(),
		Name: m.Self.Name, Previous: m.Old.String(), Left: deviceTexts(m.Left)}, nil
}

func deviceTexts(ids []identity.DeviceID) []string {
	out := []string{} // a list for programs, also if it is empty
	for _, d := range ids {
		out = append(out, d.String())
	}
	return out
}

func (h homes) Restorable(file, home string) error {
	if h.HasIdentity(home) {
		return &node.Error{Code: "exists", Message: home + " already has an identity", Advice: "choose another --home"}
	}
	if _, err := os.Stat(file); err != nil {
		return usage("give the file that hum backup wrote", "there is no file %s", file)
	}
	return nil
}

func (homes) Restore(file, home string, passphrase []byte) (restored, error) {
	r, err := node.RestoreHome(file, home, passphrase, node.SystemClock(), rand.Reader)
	if err != nil {
		return restored{}, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return restored{}, err
	}
	return restored{File: file, Bytes: info.Size(), Address: r.Self.Address.String(), Device: r.Self.Device.String(), Name: r.Self.Name, Pair: r.Alone}, nil
}

func (homes) Passphrase(home string, old func() ([]byte, error), passphrase []byte) error {
	return node.PassphraseHome(home, old, passphrase)
}
