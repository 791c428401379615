package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"github.com/mdp/qrterminal/v3"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/p2p/wire"
)

// joinConfig is how a home waits to become a device.
type joinConfig struct {
	Listen     []string
	Passphrase []byte
	Ask        func() ([]byte, error) // for the passphrase of a home that is used again
	Agree      func(asker) bool
}

// asker is the address that wants to make this home one of its devices, as the new device shows it.
type asker struct {
	Event       string `json:"event"` // "asked"
	Address     string `json:"address"`
	Fingerprint string `json:"fingerprint"`
}

// waiting is what a new device shows.
type waiting struct {
	Event  string `json:"event"` // "code"
	Code   string `json:"code"`
	Check  string `json:"check"`
	Device string `json:"device"`
}

// joined is a home that has become a device.
type joined struct {
	Event   string   `json:"event"` // "joined"
	Address string   `json:"address"`
	Device  string   `json:"device"`
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
}

// deviceCommands are those about the machines of one address.
func (a *app) deviceCommands(root *cobra.Command) {
	parent := &cobra.Command{Use: "device", Short: "add or remove one of my devices", GroupID: "node",
		Example: "  hum --home ~/hum2 device add\n  hum device add humdev:…\n  hum device revoke 3f09", Args: cobra.ArbitraryArgs, RunE: group}
	var listen []string
	var roles string
	var scope []string
	var admin, delegate, confirmed bool
	a.add(parent, "",
		command{use: "add [CODE] [flags]", short: "make another home a device of this address", most: 1,
			example: "hum --home ~/hum2 device add\nhum device add humdev:… --admin\nhum device add humdev:… --delegate --scope activities,note\nhum device add humdev:… --delegate --services im",
			long:    "In a fresh home, show a code and wait until it is one of your devices; so too in the home of a device that was removed, or whose address was left on another: it keeps what it holds. The address that asks is shown there, to be agreed to. With that code, on an admin device: show what would be added, ask, and add it. Both screens show the same check; if they do not, the code is not the one that you meant. The new device takes messages and publishes presence; it adds and removes devices only with --admin, since that takes the key of the address. With --delegate it is somebody else's home: it sets what --scope names, and everybody sees that a delegate says it; or, with --services im, it reads the messages that come from now on. It decides nothing, and answers nobody in your name.",
			flags: func(f *pflag.FlagSet) {
				f.StringArrayVar(&listen, "listen", nil, "in the fresh home: where to wait, a multiaddr; repeatable")
				f.StringVar(&roles, "services", "", "what the new device does: im, presence or both (default: what the address is for)")
				f.BoolVar(&admin, "admin", false, "give it the key of the address")
				f.BoolVar(&delegate, "delegate", false, "it is somebody else's, and may do what is named alone")
				f.StringSliceVar(&scope, "scope", nil, "what a delegate may set: statuses such as activities or mood, status (all of them), note, the id of a service")
				f.BoolVar(&confirmed, "yes", false, "do not ask")
			},
			run: func(ctx context.Context, args []string) error {
				if len(args) == 0 {
					return a.join(ctx, listen, confirmed)
				}
				return a.addDevice(ctx, args[0], roles, &humv1.AddDeviceRequest{Admin: admin, Delegate: delegate, Scope: scope}, confirmed)
			}},
		command{use: "revoke ID", short: "remove one of my devices, a lost one for instance", least: 1, most: 1, example: "hum device revoke 3f09",
			long: "Remove a device by its id or the beginning of it. It reads nothing that is published from now on, and nobody takes its word: those who are online at once, others when they hear from you, or at the latest when the record that they hold ends, in 30 days.",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				r, err := c.RevokeDevice(ctx, &humv1.RevokeDeviceRequest{Device: args[0]})
				return answer(a, r, err, func() { a.say("removed %s", r.Device) })
			})},
	)
	root.AddCommand(parent)
	a.add(root, "node", command{use: "devices", short: "my devices", example: "hum devices", run: a.online(a.devices)})
}

func (a *app) devices(ctx context.Context, c *control.Client, _ []string) error {
	r, err := c.Devices(ctx, &humv1.DevicesRequest{})
	if err != nil {
		return err
	}
	return each(a, r.Devices, "", table{head: []string{"DEVICE", "ROLES", "", "SINCE"}},
		func(d *humv1.Device) []string {
			return []string{d.Device, rolesOf(d), deviceNote(a, d), a.when(d.Since)}
		})
}

// rolesOf are the roles of a device, and what a delegate may set.
func rolesOf(d *humv1.Device) string {
	s := strings.Join(d.Roles, ", ")
	if len(d.Scope) > 0 {
		s += " of " + strings.Join(d.Scope, ", ")
	}
	return s
}

// deviceNote says what is to be known of a device beside its roles.
func deviceNote(a *app, d *humv1.Device) string {
	switch {
	case d.Revoked != nil:
		return "removed " + a.when(d.Revoked)
	case d.This:
		return "this one"
	case d.Online:
		return "connected"
	}
	return ""
}

// join shows the code of a home until an admin device has read it.
func (a *app) join(ctx context.Context, listen []string, confirmed bool) error {
	c := joinConfig{Listen: listen, Ask: a.passphrase, Agree: func(by asker) bool { return a.agree(by, confirmed) }}
	if file := or(a.passFile, a.env("HUM_PASSPHRASE_FILE")); file != "" {
		p, err := readPassphrase(file)
		if err != nil {
			return err
		}
		c.Passphrase = p
	}
	made, err := a.local.Join(ctx, a.home, c, a.showCode)
	if err != nil {
		return err
	}
	if made.Event = "joined"; a.json {
		return a.line(made)
	}
	a.say("this is now a device of %s (%s)\ndevice %s: %s", or(clean(made.Name), "hum"), made.Address, made.Device, strings.Join(made.Roles, ", "))
	a.hint("next: hum up")
	return nil
}

// agree shows who asks for this home, and asks its user; where nobody can be asked, it is only said.
func (a *app) agree(by asker, confirmed bool) bool {
	switch by.Event = "asked"; {
	case a.json:
		_ = a.line(by)
	case confirmed || a.secret == nil:
		a.say("asked by %s\nfingerprint %s", by.Address, by.Fingerprint)
	default:
		return a.yes("%s\nfingerprint %s\nThis home would be one of its devices, or a delegate of whoever owns it. Do you know that address? [y/N] ", by.Address, by.Fingerprint)
	}
	_ = a.flush()
	return true
}

// yes asks the user.
func (a *app) yes(format string, args ...any) bool {
	fmt.Fprintf(a.err, format, args...)
	line, _ := bufio.NewReader(a.in).ReadString('\n')
	s := strings.ToLower(strings.TrimSpace(line))
	return s == "y" || s == "yes"
}

func (a *app) showCode(w waiting) {
	if w.Event = "code"; a.json {
		_ = a.line(w)
	} else {
		if a.terminal {
			qrterminal.GenerateHalfBlock(w.Code, qrterminal.L, a.out)
		}
		a.say("%s\ncheck %s\nwaiting; on an admin device: hum device add CODE", w.Code, w.Check)
	}
	_ = a.flush()
}

// addDevice shows what a code would add, asks, and adds it.
func (a *app) addDevice(ctx context.Context, text, services string, ask *humv1.AddDeviceRequest, confirmed bool) error {
	var roles []string
	if services != "" {
		roles = strings.Split(services, ",")
	}
	for _, s := range roles {
		if err := oneOf("service", s, "im", "presence"); err != nil {
			return err
		}
	}
	code, err := wire.ParsePairCode(text)
	if err != nil {
		return usage("show it on the new device: hum device add", "that is not the code of a new device: %v", err)
	}
	c, err := control.Dial(a.home)
	if err != nil {
		return err
	}
	defer c.Close()
	if !confirmed {
		if err := a.confirmDevice(code, ask, roles); err != nil {
			return err
		}
	}
	ask.Code, ask.Roles = text, roles
	r, err := c.AddDevice(ctx, ask)
	return answer(a, r, err, func() { a.say("added %s: %s", r.Device, rolesOf(r)) })
}

// confirmDevice asks the user, who compares the check with the screen of the new device.
func (a *app) confirmDevice(code wire.PairCode, ask *humv1.AddDeviceRequest, services []string) error {
	if a.json || a.secret == nil {
		return usage("compare the check on the new device, then say --yes", "device %v, check %s: nobody is there to confirm it", identity.DeviceIDOf(code.Device), code.Check())
	}
	what := "It will read your messages and speak in your name."
	switch {
	case ask.Delegate && len(ask.Scope) > 0 && slices.Contains(services, "im"):
		what = "It is somebody else's: it will set " + strings.Join(ask.Scope, ", ") + " for you, as a delegate, and read the messages that come."
	case ask.Delegate && len(ask.Scope) > 0:
		what = "It is somebody else's: it will set " + strings.Join(ask.Scope, ", ") + " for you, and everybody sees that a delegate does."
	case ask.Delegate:
		what = "It is somebody else's: it will read the messages that come from now on."
	case ask.Admin:
		what = "It will have the key of your address: it can do all that this one can."
	}
	if !a.yes("device %v\ncheck  %s, as on its screen\n%s Add it? [y/N] ", identity.DeviceIDOf(code.Device), code.Check(), what) {
		return &node.Error{Code: "cancelled", Message: "nothing was added"}
	}
	return nil
}

func (homes) Join(ctx context.Context, home string, c joinConfig, show func(waiting)) (joined, error) {
	j, err := node.Join(ctx, node.JoinConfig{Home: home, Listen: c.Listen, Passphrase: c.Passphrase, Ask: c.Ask, Clock: node.SystemClock(), Rand: rand.Reader,
		Show: func(x wire.PairCode) {
			show(waiting{Code: x.String(), Check: x.Check(), Device: identity.DeviceIDOf(x.Device).String()})
		},
		Agree: func(x identity.Address) bool {
			return c.Agree(asker{Address: x.String(), Fingerprint: x.Fingerprint()})
		}})
	return joined{Address: j.Self.Address.String(), Device: j.Self.Device.String(), Name: j.Self.Name, Roles: j.Roles}, err
}
