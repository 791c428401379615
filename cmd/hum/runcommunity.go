package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/node/settings"
	"github.com/hum-presence/hum/p2p"
)

// Community opens and runs a community node.
func (homes) Community(ctx context.Context, home string, c communityConfig, ready func(serving)) (err error) {
	s, err := communitySettings(home, c)
	if err != nil {
		return err
	}
	roles, err := s.DoRoles()
	if err != nil {
		return usage("see: hum community up --help", "roles: %v", err)
	}
	log := communityLog(s)
	p2p.LogTo(log)
	h, err := host.Open(host.Config{Home: home, Passphrase: c.Passphrase, Name: s.Name, Roles: roles, Listen: s.Listen, Banned: s.Banned,
		Announce: s.Announce, WSS: s.WSS.Files(), Net: p2p.Config{Circuits: s.Circuits()},
		Limits: s.Bounds(), Metrics: s.Metrics.Listen, Nodes: s.Nodes, Meet: s.Meet, Web: s.Web(), Clock: node.SystemClock(), Rand: rand.Reader, Log: log})
	if err != nil {
		return hostError(home, err)
	}
	door, err := control.Open(control.Config{Home: home, Host: hostDoor{h, s.Name, home, time.Now()}, Clock: time.Now})
	if err != nil {
		return errors.Join(err, h.Close())
	}
	defer func() { err = errors.Join(err, h.Close(), door.Close()) }()
	invite, err := h.Invite(s.Invite.Uses, s.InviteLasts())
	if err != nil {
		return hostError(home, err)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-h.Ready():
			ready(serving{Name: s.Name, Roles: invite.Roles.Words(), Listen: h.Listening(), Invite: invite.String(), Metrics: h.MonitorAddr(), Names: h.WebAddr(), Domains: s.Names.Domains})
		case <-ctx.Done():
		}
	}()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return h.Run(ctx) })
	g.Go(func() error { return door.Run(ctx) })
	err = g.Wait()
	<-told
	return err
}

// communitySettings are those of the file, with what was given on the command line put before them.
func communitySettings(home string, c communityConfig) (s host.Settings, err error) {
	file := or(c.File, filepath.Join(home, host.SettingsFile))
	s, err = host.LoadSettings(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && c.File == "":
		s = host.DefaultSettings()
	case err != nil:
		return s, settingsError(file, err)
	}
	s.Name, s.Metrics.Listen = or(c.Name, s.Name), or(c.Metrics, s.Metrics.Listen)
	if len(c.Roles) > 0 {
		s.Roles = c.Roles
	}
	if len(c.Listen) > 0 {
		s.Listen = c.Listen
	}
	if len(c.Announce) > 0 {
		s.Announce = c.Announce
	}
	if len(c.Domains) > 0 {
		s.Names.Domains = c.Domains
	}
	if len(c.Nodes) > 0 {
		s.Nodes = c.Nodes
	}
	if len(c.Meet) > 0 {
		s.Meet = c.Meet
	}
	s.Names.Listen = or(c.NamesAt, s.Names.Listen)
	if c.Uses != 0 {
		s.Invite.Uses = c.Uses
	}
	if c.Lasts != nil {
		s.Invite.Lasts = settings.Duration(*c.Lasts)
	}
	if c.Verbose {
		s.Log.Level = "debug"
	}
	return s, nil
}

// settingsError says what is wrong with a file of settings, and what to write instead.
func settingsError(file string, err error) error {
	e := &node.Error{Kind: node.KindUsage, Code: "config", Message: err.Error(), Advice: "every setting and its default: hum community config"}
	var in *settings.Error
	switch {
	case errors.As(err, &in) && in.Advice != "":
		e.Advice = in.Advice
	case errors.Is(err, fs.ErrNotExist):
		e.Message = "there is no file " + file
	case errors.Is(err, fs.ErrPermission):
		e.Message, e.Advice = file+" may not be read", "check its owner and mode"
	}
	return e
}

// communityLog writes to stderr, as the settings say, and names nobody.
func communityLog(s host.Settings) *slog.Logger {
	level, err := s.LogLevel()
	if err != nil {
		level = slog.LevelInfo
	}
	o := &slog.HandlerOptions{Level: level}
	if s.Log.Format == "json" {
		return slog.New(host.Quiet(slog.NewJSONHandler(os.Stderr, o)))
	}
	return slog.New(host.Quiet(slog.NewTextHandler(os.Stderr, o)))
}

// CommunityBackup copies a community node that does not run.
func (homes) CommunityBackup(home string, passphrase func() ([]byte, error), file string, sealed []byte) (int64, error) {
	s, err := communitySettings(home, communityConfig{})
	if err != nil {
		return 0, err
	}
	n, err := host.BackupHome(host.Config{Home: home, Passphrase: passphrase, Name: s.Name, Clock: node.SystemClock()}, file, sealed)
	return n, copyError(home, file, err)
}

// CommunityRestore makes a home of such a copy.
func (homes) CommunityRestore(file, home string, passphrase []byte) (restoredCommunity, error) {
	r, err := host.Restore(file, host.Config{Home: home, Clock: node.SystemClock(), Rand: rand.Reader}, passphrase)
	return restoredCommunity{File: file, Name: r.Name, Made: r.Made.Go()}, copyError(home, file, err)
}

// copyError says what to do about a backup that cannot be made or read.
func copyError(home, file string, err error) error {
	say := func(code, message, advice string) error {
		return &node.Error{Kind: node.KindFailed, Code: code, Message: message, Advice: advice}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, host.ErrLocked):
		return say("running", "the community node in "+home+" is starting or stopping", "try again in a moment")
	case errors.Is(err, identity.ErrNoIdentity):
		return say("no-identity", "there is no community node in "+home, "name its home with --home")
	case errors.Is(err, host.ErrHasHome):
		return say("exists", home+" has keys already", "choose another --home")
	case errors.Is(err, identity.ErrPassphrase):
		return say("passphrase", "that passphrase does not open "+file, "try again")
	case errors.Is(err, host.ErrNoBackup):
		return say("damaged", file+" is not a whole backup of a community node", "try another copy of it; that of a person is for: hum restore")
	case errors.Is(err, host.ErrNewerBackup):
		return say("newer-backup", file+" was written by a newer hum", "install the newer hum")
	case errors.Is(err, host.ErrNoSpace):
		return say("disk-full", err.Error(), "make room and try again")
	case errors.Is(err, host.ErrNoPassphrase):
		return usage("name its file with --backup-passphrase-file", "%v", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return say("not-written", "the node of "+home+" may not write "+file, "name a place where it may: of its unit, that is a folder beneath its home")
	case errors.Is(err, fs.ErrExist):
		return say("exists", file+" exists already", "choose another name")
	case errors.Is(err, fs.ErrNotExist):
		return say("not-found", "there is no file "+file, "")
	}
	return err
}

// hostError says what to do about a community node that cannot start.
func hostError(home string, err error) error {
	say := func(code, advice string) error {
		return &node.Error{Kind: node.KindFailed, Code: code, Message: err.Error(), Advice: advice}
	}
	switch {
	case errors.Is(err, host.ErrPortTaken):
		return say("port-taken", "choose another with --listen")
	case errors.Is(err, host.ErrMetrics):
		return say("port-taken", "choose another host:port for metrics.listen, or for --metrics")
	case errors.Is(err, host.ErrWeb):
		return say("names", "see [names] in: hum community config")
	case errors.Is(err, host.ErrBadAddr):
		return usage("write it like /ip4/0.0.0.0/tcp/4866", "%v", err)
	case errors.Is(err, host.ErrBadCert):
		return say("certificate", "name readable PEM files as wss.cert and wss.key, or neither")
	case errors.Is(err, host.ErrLocked):
		return say("locked", "another node is running in "+home+"; give this one a home of its own with --home")
	case errors.Is(err, host.ErrNoSpace):
		return say("disk-full", "make room and try again")
	}
	return err
}
