package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/hum-presence/hum/node"
)

// The login manager's names (systemd's org.freedesktop.login1).
const (
	loginName    = "org.freedesktop.login1"
	loginUser    = "org.freedesktop.login1.User"
	propertiesOf = "org.freedesktop.DBus.Properties.GetAll"
)

var (
	errNoLogin  = errors.New("no login manager (systemd-logind) answers on this system")
	errNobodyIn = errors.New("you are logged in nowhere on this machine")
)

// input asks the login manager since when this user has touched none of his sessions. It knows from the
// desktops, which tell after their own time (often 5 min), and from terminals.
func input() node.Input {
	var bus *dbus.Conn
	return func(ctx context.Context) (time.Time, error) {
		if bus != nil && bus.Connected() {
			return lastInput(ctx, bus, uint32(os.Getuid()))
		}
		conn, err := dbus.ConnectSystemBus()
		if err != nil {
			return time.Time{}, errNoLogin
		}
		bus = conn
		return lastInput(ctx, bus, uint32(os.Getuid()))
	}
}

// lastInput is zero if the user is there.
func lastInput(ctx context.Context, bus *dbus.Conn, uid uint32) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var path dbus.ObjectPath
	var problem dbus.Error
	err := bus.Object(loginName, "/org/freedesktop/login1").CallWithContext(ctx, loginName+".Manager.GetUser", 0, uid).Store(&path)
	if errors.As(err, &problem) && problem.Name == loginName+".NoSuchUser" {
		return time.Time{}, errNobodyIn
	}
	var has map[string]dbus.Variant
	if err == nil {
		err = bus.Object(loginName, path).CallWithContext(ctx, propertiesOf, 0, loginUser).Store(&has)
	}
	if err != nil {
		return time.Time{}, errNoLogin
	}
	var idle bool
	var since uint64 // µs of the system clock
	if has["IdleHint"].Store(&idle) != nil || has["IdleSinceHint"].Store(&since) != nil {
		return time.Time{}, errNoLogin
	}
	switch {
	case !idle:
		return time.Time{}, nil
	case since == 0: // there is no session that could be touched
		return time.Time{}, errNobodyIn
	}
	return time.UnixMicro(int64(min(since, 1<<62))), nil
}
