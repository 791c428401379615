package main

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/host"
	"github.com/hum-presence/hum/p2p/wire"
)

// Community opens and runs a community node.
func (homes) Community(ctx context.Context, home string, c communityConfig, ready func(serving)) (err error) {
	roles, err := wire.ParseCommunityRoles(c.Roles)
	if err == nil && roles&^host.AllRoles != 0 {
		return usage("leave them out of --roles", "this version does not do these roles: %v", (roles &^ host.AllRoles).Words())
	}
	if err != nil {
		return usage("", "%v", err)
	}
	h, err := host.Open(host.Config{Home: home, Passphrase: c.Passphrase, Name: c.Name, Roles: roles, Listen: c.Listen,
		Clock: node.SystemClock(), Rand: rand.Reader, Log: logger(c.Verbose)})
	if err != nil {
		return hostError(home, err)
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	invite, err := h.Invite(c.Uses, c.Lasts)
	if err != nil {
		return hostError(home, err)
	}
	told := make(chan struct{})
	go func() {
		defer close(told)
		select {
		case <-h.Ready():
			ready(serving{Name: c.Name, Roles: invite.Roles.Words(), Listen: h.Listening(), Invite: invite.String()})
		case <-ctx.Done():
		}
	}()
	err = h.Run(ctx)
	<-told
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
	case errors.Is(err, host.ErrBadAddr):
		return usage("write it like /ip4/0.0.0.0/tcp/4866", "%v", err)
	case errors.Is(err, host.ErrLocked):
		return say("locked", "another node is running in "+home+"; give this one a home of its own with --home")
	case errors.Is(err, host.ErrNoSpace):
		return say("disk-full", "make room and try again")
	}
	return err
}
