package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/node/host"
)

// operatorCommands are those of who runs a community node, while it runs.
func (a *app) operatorCommands(parent *cobra.Command) {
	var uses uint32
	var life duration
	a.add(parent, "",
		command{use: "invite [flags]", short: "make an invite into the community of this node",
			long:    "Whoever has it may join, as long as it has uses and its time is not over. Who has joined stays a member.",
			example: "hum --home /srv/hum-community community invite\nhum --home /srv/hum-community community invite --uses 20 --for 7d",
			flags: func(f *pflag.FlagSet) {
				f.Uint32Var(&uses, "uses", 1, "how many members may join by it")
				f.Var(&life, "for", "how long they may (default: as long as it has uses)")
			},
			run: a.operating(func(ctx context.Context, c *control.Client, _ []string) error {
				if uses == 0 {
					return usage("say how many may join: --uses 1", "an invite for nobody is none")
				}
				r, err := c.MakeInvite(ctx, &humv1.MakeInviteRequest{Uses: uses, Life: life.proto()})
				return answer(a, r, err, func() {
					a.say("%s", r.Invite)
					a.hint("members join with: hum join INVITE")
				})
			})},
		command{use: "status", short: "show what this community node keeps, and what it refused", example: "hum --home /srv/hum-community community status",
			long: "Counts alone: the node knows nobody by name, and can read nothing that it keeps.",
			run: a.operating(func(ctx context.Context, c *control.Client, _ []string) error {
				r, err := c.CommunityStatus(ctx, &humv1.CommunityStatusRequest{})
				return answer(a, r, err, func() { a.communityStatus(r) })
			})})
}

// communityStatus shows what is kept, each with how much may be.
func (a *app) communityStatus(r *humv1.CommunityStatusResponse) {
	q := r.Quotas
	a.say("%s does %s", clean(or(r.Name, "this node")), strings.Join(r.Roles, ", "))
	a.say("members    %d of %d", r.Members, q["members"])
	if r.Nodes > 0 {
		a.say("nodes      %d of %d others are connected", r.NodesConnected, r.Nodes)
	}
	a.say("kept       %s of %s, in %s and under %s", size(r.Stored), size(q["disk"]), plural(r.Mailboxes, "mailbox"), plural(r.Keys, "key"))
	a.say("waiting    %s", plural(r.Messages, "message"))
	a.say("topics     %d, among %d connected", r.Topics, r.Peers)
	if slices.Contains(r.Roles, "relay") {
		a.say("relayed    %s; %s reached through it, over %s", size(int64(r.Relayed)), plural(r.Reservations, "node"), plural(r.Circuits, "circuit"))
	}
	a.say("traffic    %s in, %s out", size(r.BytesIn), size(r.BytesOut))
	for i, why := range slices.Sorted(maps.Keys(r.Refusals)) {
		title := ""
		if i == 0 {
			title = "refused"
		}
		a.say("%-10s %d: %s", title, r.Refusals[why], why)
	}
}

// operating runs a command that asks the community node of this home.
func (a *app) operating(do func(ctx context.Context, c *control.Client, args []string) error) func(context.Context, []string) error {
	ask := a.asking(do)
	return func(ctx context.Context, args []string) error { return operatorError(ask(ctx, args)) }
}

// operatorError says what to do if no node runs in this home, or a person's.
func operatorError(err error) error {
	if err == nil {
		return nil
	}
	if e := control.Explain(err); e.Code == control.CodeNotRunning {
		return &node.Error{Code: e.Code, Message: "no community node is running in this home", Advice: "start it with: hum community up"}
	}
	if control.Unknown(err) {
		return usage("name the home of the community node with --home", "the node of this home is no community node")
	}
	return err
}

// A hostDoor is a community node behind the door of its home.
type hostDoor struct {
	*host.Host
	name    string
	home    string
	started time.Time
}

var _ control.HostBackend = hostDoor{}

func (h hostDoor) MakeInvite(uses uint32, lasts time.Duration) (string, time.Time, error) {
	x, err := h.Invite(uses, lasts)
	if err != nil || lasts <= 0 {
		return x.String(), time.Time{}, err
	}
	return x.String(), time.Now().Add(lasts), nil
}

// Backup is [host.Host.Backup], with what to do if it fails.
func (h hostDoor) Backup(file string, passphrase []byte) (int64, error) {
	n, err := h.Host.Backup(file, passphrase)
	return n, copyError(h.home, file, err)
}

func (h hostDoor) Counts() (control.HostCounts, error) {
	s, err := h.Status()
	c := control.HostCounts{Name: h.name, Roles: s.Roles, Members: s.Members, Nodes: s.Nodes, NodesUp: s.NodesUp, Topics: s.Net.Topics, Peers: s.Net.Peers, Keys: s.Keys, Mailboxes: s.Mailboxes,
		Messages: s.Items, Stored: int64(s.Held), Disk: s.Disk, Refusals: s.Refused, BytesIn: s.Net.BytesIn, BytesOut: s.Net.BytesOut,
		Circuits: s.Net.Relayed.Circuits, Reservations: s.Net.Relayed.Slots, Relayed: s.Net.Relayed.Bytes, Started: h.started}
	l := s.Limits
	c.Quotas = map[string]int64{"members": int64(l.Members), "keys": int64(l.Keys), "key_bytes": int64(l.KeyBytes), "mailboxes": int64(l.Boxes), "reply_mailboxes": int64(l.Once),
		"mail_bytes": int64(l.BoxBytes), "mail_items": int64(l.BoxItems), "contacts": int64(l.Caps), "contact_day": int64(l.CapBytesDay),
		"strangers": int64(l.Strangers), "stranger_size": int64(l.StrangerSize), "disk": int64(l.Disk)}
	return c, err
}
