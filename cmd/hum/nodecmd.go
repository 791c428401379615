package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// protocol is the version that this program speaks.
const protocol = "hum/1"

// nodeCommands are those about the running node.
func (a *app) nodeCommands(root *cobra.Command) {
	var resetClock, conforms bool
	up, upFlags := a.up()
	a.add(root, "node",
		command{use: "up [flags]", long: "Run the node in the foreground, until Ctrl-C or hum down. In a fresh home it makes the identity first, and shows\non stderr, once, the words that bring it back.\nWhere the system tells when you last touched the machine, you are shown as idle after ten minutes without input,\nand as before once you are back. That only ever replaces available: busy, away and every other word of yours stays.\n--idle-after never switches it off.", short: "run the node, in the foreground, until interrupted",
			example: "hum up\nhum up --listen /ip4/0.0.0.0/udp/4866/quic-v1 --mdns\nhum up --idle-after 15m\nhum --home /srv/hum up --json", flags: upFlags, run: up},
		command{use: "down", short: "ask the running node to sign off and stop", example: "hum down", run: a.online(a.down)},
		command{use: "status", short: "the node at a glance", example: "hum status\nhum status --json", run: a.online(a.status)},
		a.cardCommand(),
		a.invitesCommand(),
		command{use: "doctor [flags]", short: "check store, clock, ports and network, and say what to do",
			example: "hum doctor\nhum doctor --conformance\nhum doctor --reset-clock",
			long:    aboutDoctor,
			flags: func(f *pflag.FlagSet) {
				f.BoolVar(&conforms, "conformance", false, "try what the protocol promises, row by row: P for presence, M for messages, P+M for both")
				f.BoolVar(&resetClock, "reset-clock", false, "forget the latest time heard from others: for when all clocks were wrong")
			},
			run: func(ctx context.Context, _ []string) error {
				if conforms && resetClock {
					return usage("leave out one of them", "--conformance and --reset-clock exclude each other")
				}
				if conforms {
					return a.conformance(ctx)
				}
				return a.doctor(ctx, resetClock)
			}},
		command{use: "version", short: "version of the program, the protocol, Go and libraries", example: "hum version --json",
			run: func(context.Context, []string) error { return a.version() }},
	)
}

// up is the command that runs a node, and its flags.
func (a *app) up() (func(context.Context, []string) error, func(*pflag.FlagSet)) {
	var c upConfig
	var name string
	var mdns, noMDNS, light, noLight bool
	flags := func(f *pflag.FlagSet) {
		f.StringArrayVar(&c.Listen, "listen", nil, "multiaddr to listen on (repeatable; default: every address, port 4866 or the next that is free)")
		f.StringArrayVar(&c.Bootstrap, "bootstrap", nil, "multiaddr, ending in /p2p/…, to stay connected to (repeatable)")
		f.StringArrayVar(&c.Relays, "relay", nil, "multiaddr, ending in /p2p/…, of a relay to be reached through, beside those of your communities (repeatable)")
		f.StringArrayVar(&c.Announce, "announce", nil, "multiaddr to tell others instead of those of this machine (repeatable)")
		f.BoolVar(&mdns, "mdns", false, "find contacts on the local network, and be found there")
		f.BoolVar(&noMDNS, "no-mdns", false, "do not, whatever config.toml says")
		f.BoolVar(&light, "light", false, "hear those you watch on a stream from them alone, never on a topic: for a machine that must send little")
		f.BoolVar(&noLight, "no-light", false, "do not, whatever config.toml says")
		f.StringVar(&c.API, "api", "", "serve the local API on this loopback host:port too; its token is in control.json")
		f.Var((*idleAfter)(&c.IdleAfter), "idle-after", "show idle by itself after so long without input, or never (default 10m; config.toml: idle_after)")
		f.StringVar(&name, "name", "", "in a fresh home: the name to suggest on cards")
		f.BoolVarP(&c.Verbose, "verbose", "v", false, "tell on stderr what the node does")
	}
	return func(ctx context.Context, _ []string) error {
		if mdns && noMDNS {
			return usage("choose one", "--mdns and --no-mdns exclude each other")
		}
		if mdns || noMDNS {
			c.MDNS = &mdns
		}
		if light && noLight {
			return usage("choose one", "--light and --no-light exclude each other")
		}
		if light || noLight {
			c.Light = &light
		}
		c.Passphrase = a.passphrase
		if err := a.first(name); err != nil {
			return err
		}
		return a.local.Up(ctx, a.home, c, a.ready)
	}, flags
}

// first makes the identity of a fresh home. The words go to stderr, so that stdout begins with "ready".
func (a *app) first(name string) error {
	if a.local.HasIdentity(a.home) {
		return nil
	}
	c, err := a.initConfig(name, strings.Join(offered(), ","))
	if err != nil {
		return err
	}
	made, err := a.local.Init(a.home, c)
	if err != nil {
		return err
	}
	return a.showWords(a.err, made)
}

// place is a listening multiaddr as people write such things: "192.0.2.1 port 4866 (tcp)".
func place(addr string) string {
	addr, _, _ = strings.Cut(addr, "/p2p/")
	part := strings.Split(addr, "/")
	if len(part) < 5 || part[1] != "ip4" && part[1] != "ip6" {
		return addr
	}
	how := part[3]
	if len(part) > 5 {
		how = part[5] // what runs over it
	}
	return fmt.Sprintf("%s port %s (%s)", part[2], part[4], how)
}

// ready says that the node serves.
func (a *app) ready(s started) {
	s.Event, s.PID = or(s.Event, "ready"), os.Getpid()
	_ = a.show(s, func() {
		a.say("%s: %s", s.Event, clean(or(s.Name, "this node"))+", "+s.Address)
		for _, l := range s.Listen {
			a.say("listening on %s", place(l))
		}
		if s.API != "" {
			a.say("local API on %s", s.API)
		}
		a.hint("next: hum card (show it to somebody) · hum add CARD --as NAME · Ctrl-C signs off")
	})
	_ = a.flush()
}

// stopTime is how long down waits for the node to be gone.
const stopTime = 20 * time.Second

func (a *app) down(ctx context.Context, c *control.Client, _ []string) error {
	if _, err := c.Stop(ctx, &humv1.StopRequest{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for socket := filepath.Join(a.home, control.SocketName); ; {
		if _, err := os.Lstat(socket); errors.Is(err, os.ErrNotExist) {
			break
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return &node.Error{Kind: node.KindUnreachable, Code: control.CodeTimeout, Message: "the node was asked to stop and is not gone yet"}
		}
	}
	return a.show(map[string]bool{"stopped": true}, func() { a.say("stopped") })
}

func (a *app) status(ctx context.Context, c *control.Client, _ []string) error {
	s, err := c.Status(ctx, &humv1.StatusRequest{})
	if err != nil {
		return err
	}
	return a.show(s, func() {
		a.print(table{rows: [][]string{
			{"name", or(s.Name, "-")},
			{"address", s.Address},
			{"services", strings.Join(s.Services, ", ")},
			{"presence", strings.Join(words(s.Presence, s.Im, s.Note), ", ") + noPresence(s.Services) + unseen(s)},
			{"idle", a.idleWords(s)},
			{"network", s.Reachability},
			{"up for", span(s.Uptime.AsDuration())},
			{"connected", plural(s.Peers, "peer") + ", " + plural(s.Topics, "topic")},
			{"watched by", watchedBy(s)},
			{"messages", fmt.Sprintf("%d going out, %d in the inbox", s.Outbox, s.Inbox)},
			{"traffic", size(s.BytesIn) + " in, " + size(s.BytesOut) + " out"},
			{"per hour", costWords(s.Costs)},
			{"store", size(s.StoreBytes)},
		}})
		if s.ClockSuspect {
			a.say("the clock of this machine looks wrong: hum doctor")
		}
		if s.Requests > 0 {
			a.hint("next: hum requests")
		}
	})
}

// noPresence says why nothing is published, if this address is not for it.
func noPresence(services []string) string {
	if slices.Contains(services, "presence") {
		return ""
	}
	return ": this address is for messages only"
}

// words are those that are not empty.
func words(list ...string) (out []string) {
	for _, w := range list {
		if w != "" {
			out = append(out, w)
		}
	}
	return out
}

// doctor asks the running node, which knows the network too, else looks at the home.
func (a *app) doctor(ctx context.Context, resetClock bool) error {
	if resetClock {
		if err := a.resetClock(); err != nil {
			return err
		}
	}
	checks, err := a.checks(ctx)
	if err != nil {
		return err
	}
	if a.json {
		return each(a, checks, "", table{}, nil)
	}
	for _, c := range checks {
		a.check(c)
	}
	return nil
}

// check writes one finding, and what to do about it on a line of its own.
func (a *app) check(c *humv1.Check) {
	state := "ok"
	if !c.Ok {
		state = "PROBLEM"
	}
	width := []int{len("PROBLEM"), len("4.8 unsubscription"), 0}
	a.row([]string{state, clean(c.Check), clean(c.Detail)}, width, false)
	if c.Advice != "" {
		a.row([]string{"", "", "→ " + clean(c.Advice)}, width, false)
	}
}

// resetClock works on a home at rest: a running node would hear the old time again from its memory.
func (a *app) resetClock() error {
	c, err := control.Dial(a.home)
	if err == nil {
		c.Close()
		return &node.Error{Code: control.ErrRunning.Code, Message: control.ErrRunning.Message, Advice: "stop it first: hum down"}
	}
	if control.Explain(err).Code != control.CodeNotRunning {
		return err
	}
	return a.local.ResetClock(a.home, a.passphrase)
}

func (a *app) checks(ctx context.Context) (list []*humv1.Check, err error) {
	c, err := control.Dial(a.home)
	if err == nil {
		defer c.Close()
		r, err := c.Doctor(ctx, &humv1.DoctorRequest{})
		return r.GetChecks(), err
	}
	if control.Explain(err).Code != control.CodeNotRunning {
		return nil, err
	}
	for _, f := range a.local.Doctor(a.home, a.passphrase) {
		list = append(list, &humv1.Check{Check: f.Check, Ok: f.OK, Detail: f.Detail, Advice: f.Advice})
	}
	return list, nil
}

func (a *app) version() error {
	v := struct {
		Version   string            `json:"version"`
		Protocol  string            `json:"protocol"`
		Go        string            `json:"go"`
		Libraries map[string]string `json:"libraries"`
	}{"unknown", protocol, runtime.Version(), map[string]string{}}
	if info, ok := debug.ReadBuildInfo(); ok {
		v.Version = or(info.Main.Version, v.Version)
		for _, m := range info.Deps {
			v.Libraries[m.Path] = m.Version
		}
	}
	return a.show(v, func() {
		a.say("hum %s, protocol %s, %s", v.Version, v.Protocol, v.Go)
		for _, m := range []string{"github.com/libp2p/go-libp2p", "github.com/libp2p/go-libp2p-pubsub", "github.com/dgraph-io/badger/v4"} {
			if v.Libraries[m] != "" {
				a.say("  %s %s", m, v.Libraries[m])
			}
		}
	})
}
