package host

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/hum-presence/hum/node/community"
	"github.com/hum-presence/hum/node/settings"
	"github.com/hum-presence/hum/p2p"
	"github.com/hum-presence/hum/p2p/wire"
)

// SettingsFile is the name of the file of Settings in the home of a community node.
const SettingsFile = "community.toml"

// Settings are what an operator writes in community.toml; flags of community up go before them. The reference in
// docs/community.toml is made of them (tools/house).
type Settings struct {
	Name     string   `toml:"name" doc:"What invites call the community."`
	Roles    []string `toml:"roles" doc:"What the node does for its members. Leave out what another node of the community does."`
	Listen   []string `toml:"listen" doc:"Multiaddrs to listen on; none: port 4866, TCP and UDP, of every interface, and WSS on port 443 if it is free."`
	Announce []string `toml:"announce" doc:"Multiaddrs to tell others instead of those of this machine: its name, such as\n\"/dns4/hum.example.org/tcp/4866\" and \"/dns4/hum.example.org/tcp/443/tls/ws\", or the address before its NAT."`
	Banned   []string `toml:"banned" doc:"Networks such as \"192.0.2.0/24\", addresses and peer ids that are not talked to."`
	Members  int      `toml:"members" doc:"How many members there may be."`
	Limits   struct {
		Keys         int               `toml:"keys" doc:"Keys that are kept for one member: his epochs, a slot for each watcher, his records."`
		KeyBytes     int               `toml:"key_bytes" doc:"Bytes under them."`
		Mailboxes    int               `toml:"mailboxes" doc:"Mailboxes of one member."`
		ReplyBoxes   int               `toml:"reply_mailboxes" doc:"Mailboxes of one member for the answers to anonymous messages, each for one and gone with it."`
		MailBytes    int               `toml:"mail_bytes" doc:"Bytes that wait in one mailbox."`
		MailItems    int               `toml:"mail_items" doc:"Messages that wait in one mailbox."`
		Contacts     int               `toml:"contacts" doc:"Contacts who may each write to one mailbox by a word of their own."`
		ContactDay   int               `toml:"contact_day" doc:"Bytes that one of them may leave in 24 hours."`
		Strangers    int               `toml:"strangers" doc:"Messages of everybody else that wait in one mailbox."`
		StrangerSize int               `toml:"stranger_size" doc:"Bytes of one of those."`
		Retention    settings.Duration `toml:"retention" doc:"How long a message waits, 14 days at most."`
		Disk         int               `toml:"disk" doc:"Bytes of all that is kept for others. The file system needs about twice as much."`
	} `toml:"limits" doc:"What is kept for whom. Over a limit, whoever asks is told so, and nothing that was kept is lost."`
	Relay struct {
		Lasts    settings.Duration `toml:"lasts" doc:"How long one lasts, an hour at least."`
		Bytes    int64             `toml:"bytes" doc:"Bytes that it carries each way, 67108864 at least."`
		Circuits int               `toml:"circuits" doc:"Circuits to or from one peer at once, 1024 at most."`
	} `toml:"relay" doc:"The circuits to people whom nobody can dial, for the role relay. When one ends, the two dial again. Members in\nprivate mode, who have no other way, are promised what is the least here."`
	Invite struct {
		Uses  uint32            `toml:"uses" doc:"How many may join by it."`
		Lasts settings.Duration `toml:"lasts" doc:"How long they may; \"0s\": as long as it has uses."`
	} `toml:"invite" doc:"The invite that is printed at each start."`
	WSS   WSSSettings `toml:"wss" doc:"The certificate shown on WSS: PEM files, read anew when they change. None: one of its own, which is\nenough for hum and for firewalls, and not for browsers."`
	Nodes []string    `toml:"nodes" doc:"The other nodes of this community, as multiaddrs that end in /p2p/…, as each prints them when it starts. They stay\nconnected, so that what one hears of a member the others hear; its own address among them does no harm."`
	Meet  []string    `toml:"meet" doc:"Nodes of other communities, as multiaddrs that end in /p2p/…, to find people by who know only an address;\nthose that are met through them are remembered. None: the DHT begins with who comes here."`
	Names struct {
		Domains []string `toml:"domains" doc:"The domains whose names it keeps, such as \"example.org\": a member takes alice@example.org by: hum handle add."`
		Listen  string   `toml:"listen" doc:"Where they are told by HTTPS, such as \":443\", or to the web server in front; empty: nowhere, and DNS has to."`
		Cert    string   `toml:"cert" doc:"File of the certificates of these domains, PEM, read again when it changes; none: clear text, for a web server in front."`
		Key     string   `toml:"key" doc:"File of their key."`
	} `toml:"names" doc:"Names of people such as alice@example.org, for the role handles."`
	Metrics struct {
		Listen string `toml:"listen" doc:"Where GET /metrics, /healthz and /readyz are answered, such as \"127.0.0.1:9466\"; empty: nowhere.\nThey are counts, and name nobody; but keep them to your own network all the same."`
	} `toml:"metrics" doc:"What Prometheus and a supervisor ask."`
	Log struct {
		Level  string `toml:"level" doc:"debug, info, warn or error."`
		Format string `toml:"format" doc:"text or json."`
	} `toml:"log" doc:"What is written to stderr. It names no member, no peer and no address of the network, at any level."`
}

// WSSSettings name the certificate of WSS.
type WSSSettings struct {
	Cert string `toml:"cert" doc:"The certificate and those above it."`
	Key  string `toml:"key" doc:"Its private key."`
}

// Files are what a Config takes.
func (w WSSSettings) Files() Certificate { return Certificate(w) }

// DefaultSettings are those of a node without a file.
func DefaultSettings() (s Settings) {
	s.Roles, s.Members = AllRoles.Words(), community.MaxMembers
	s.Invite.Uses = 100
	l, d := &s.Limits, community.DefaultLimits
	l.Keys, l.KeyBytes, l.Mailboxes, l.ReplyBoxes, l.MailBytes, l.MailItems = d.Keys, d.KeyBytes, d.Boxes, d.Once, d.BoxBytes, d.BoxItems
	l.Contacts, l.ContactDay, l.Strangers, l.StrangerSize, l.Disk = d.Caps, d.CapBytesDay, d.Strangers, d.StrangerSize, d.Disk
	l.Retention = settings.Duration(d.Retention)
	c := p2p.DefaultCircuits
	s.Relay.Lasts, s.Relay.Bytes, s.Relay.Circuits = settings.Duration(c.Last), c.Data, c.Each
	s.Log.Level, s.Log.Format = "info", "text"
	return s
}

// LoadSettings reads a file of Settings. Errors: those of the file system, *settings.Error.
func LoadSettings(file string) (Settings, error) {
	s := DefaultSettings()
	if err := settings.Load(file, &s); err != nil {
		return s, err
	}
	if err := s.check(); err != nil {
		return s, &settings.Error{File: file, Message: err.Error()}
	}
	return s, nil
}

// check finds values that no node can run with, before it tries.
func (s *Settings) check() error {
	if _, err := s.DoRoles(); err != nil {
		return fmt.Errorf("roles: %w", err)
	}
	if _, err := s.LogLevel(); err != nil {
		return err
	}
	if !slices.Contains([]string{"text", "json"}, s.Log.Format) {
		return fmt.Errorf("log.format: %q is neither text nor json", s.Log.Format)
	}
	if err := p2p.CheckBanned(s.Banned); err != nil {
		return err
	}
	if (s.WSS.Cert == "") != (s.WSS.Key == "") {
		return fmt.Errorf("wss: name both, cert and key, or neither")
	}
	if s.Members < 0 {
		return fmt.Errorf("members: there cannot be %d", s.Members)
	}
	for key, list := range map[string][]string{"nodes": s.Nodes, "meet": s.Meet} {
		for _, m := range list {
			if _, addr, err := p2p.ParseDial(m); err != nil || addr == nil {
				return fmt.Errorf("%s: %q is not where a node can be dialled, such as /dns4/example.org/tcp/4866/p2p/12D3…", key, m)
			}
		}
	}
	if err := s.checkNames(); err != nil {
		return err
	}
	l := s.Limits
	for name, v := range map[string]int{"keys": l.Keys, "key_bytes": l.KeyBytes, "mailboxes": l.Mailboxes, "mail_bytes": l.MailBytes, "mail_items": l.MailItems,
		"contacts": l.Contacts, "contact_day": l.ContactDay, "strangers": l.Strangers, "stranger_size": l.StrangerSize, "disk": l.Disk, "retention": int(l.Retention)} {
		if v <= 0 {
			return fmt.Errorf("limits.%s: it has to be above 0; to do without a job, leave it out of roles", name)
		}
	}
	if err := s.checkRelay(); err != nil {
		return err
	}
	if s.Metrics.Listen != "" {
		if _, _, err := net.SplitHostPort(s.Metrics.Listen); err != nil {
			return fmt.Errorf("metrics.listen: %q is no host:port such as 127.0.0.1:9466", s.Metrics.Listen)
		}
	}
	return nil
}

// mostCircuits is what a peer may have at most: each is two streams, which count against what the node holds in all.
const mostCircuits = 1024

func (s *Settings) checkRelay() error {
	least := p2p.DefaultCircuits
	switch c := s.Circuits(); {
	case c.Last < least.Last:
		return fmt.Errorf("relay.lasts: %v is too short for members in private mode, who have no other way: 1h at least", c.Last)
	case c.Data < least.Data:
		return fmt.Errorf("relay.bytes: %d are too few for members in private mode, who have no other way: %d at least", c.Data, least.Data)
	case c.Each < 1 || c.Each > mostCircuits:
		return fmt.Errorf("relay.circuits: a peer may have 1 to %d; to give none, leave relay out of roles", mostCircuits)
	}
	return nil
}

func (s *Settings) checkNames() error {
	for _, d := range s.Names.Domains {
		if _, err := wire.ParseHandle("x@" + d); err != nil {
			return fmt.Errorf("names.domains: %q is no domain such as example.org", d)
		}
	}
	if s.Names.Listen != "" {
		if _, _, err := net.SplitHostPort(s.Names.Listen); err != nil {
			return fmt.Errorf("names.listen: %q is no host:port such as :443", s.Names.Listen)
		}
	}
	if (s.Names.Cert == "") != (s.Names.Key == "") {
		return errors.New("names: cert and key belong together")
	}
	return nil
}

// Circuits are those of the relay.
func (s *Settings) Circuits() p2p.Circuits {
	return p2p.Circuits{Last: time.Duration(s.Relay.Lasts), Data: s.Relay.Bytes, Each: s.Relay.Circuits}
}

// Web are the settings of the names.
func (s *Settings) Web() Web {
	return Web{Domains: s.Names.Domains, Listen: s.Names.Listen, Cert: s.Names.Cert, Key: s.Names.Key}
}

// Bounds are the limits.
func (s *Settings) Bounds() community.Limits {
	l := s.Limits
	return community.Limits{Members: s.Members, Keys: l.Keys, KeyBytes: l.KeyBytes, Boxes: l.Mailboxes, Once: l.ReplyBoxes, BoxBytes: l.MailBytes, BoxItems: l.MailItems,
		Caps: l.Contacts, CapBytesDay: l.ContactDay, Strangers: l.Strangers, StrangerSize: l.StrangerSize, Retention: time.Duration(l.Retention), Disk: l.Disk}
}

// DoRoles are the roles, all that this version does if none is named.
func (s *Settings) DoRoles() (wire.CommunityRoles, error) {
	r, err := wire.ParseCommunityRoles(s.Roles)
	switch {
	case err != nil:
		return 0, err
	case r == 0:
		return AllRoles, nil
	case r&^AllRoles != 0:
		return 0, fmt.Errorf("this version does not do %s", strings.Join((r&^AllRoles).Words(), ", "))
	}
	return r, nil
}

// LogLevel is the least that is written.
func (s *Settings) LogLevel() (l slog.Level, err error) {
	if err := l.UnmarshalText([]byte(s.Log.Level)); err != nil || strings.ContainsAny(s.Log.Level, "+-") {
		return l, fmt.Errorf("log.level: %q is none of debug, info, warn and error", s.Log.Level)
	}
	return l, nil
}

// InviteLasts is how long the printed invite admits.
func (s *Settings) InviteLasts() time.Duration { return time.Duration(s.Invite.Lasts) }
