package main

import (
	"context"

	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const aboutNotice = `Write the proof of what WHO said of himself last, which needs neither a node nor hum to be believed: the newest
record that I was told as his watcher, and the grant by which it is his; or his answer, if I asked once. With it go the
certificates that bind his devices to his address. It proves what his device signed, and when by its own clock: not that
it is true, nor that or when anybody got it. The file names me as his watcher and holds his whole document; the proof of
a record also holds the key that opens it, so whoever has the file can read what he says in that view until the key
changes, which is said below. hum verify checks it, and so does openssl, as the file says.`

// exportNotice is the command that writes the proof of somebody's presence.
func (a *app) exportNotice() command {
	var out string
	return command{use: "notice WHO [flags]", short: "proof of what somebody said of himself, for anybody", long: aboutNotice, least: 1, most: 1,
		example: "hum export notice bob --out bob.notice",
		flags:   func(f *pflag.FlagSet) { f.StringVarP(&out, "out", "o", "", "write to this file, which must not exist") },
		run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
			r, err := c.Export(ctx, &humv1.ExportRequest{Kind: node.KindNotice, Who: args[0]})
			if err != nil {
				return err
			}
			if err := a.document(r, out); err != nil {
				return err
			}
			if v, err := node.VerifyNotice([]byte(r.Document)); err == nil && !v.Opens.IsZero() {
				a.warn("whoever has this file can read what is said in that view until " + millis(v.Opens))
			}
			return nil
		})}
}

// noticeProof is what a notice proves, as JSON.
type noticeProof struct {
	Kind      string          `json:"kind"`
	OK        bool            `json:"ok"`
	From      string          `json:"from"`
	To        string          `json:"to"`
	At        string          `json:"at"`
	Device    string          `json:"device"` // that signed
	Basic     string          `json:"basic"`
	Notes     []string        `json:"notes,omitempty"`
	Documents []noticeVersion `json:"documents"`
	Opens     string          `json:"readable_until,omitempty"`
}

type noticeVersion struct {
	Device  string `json:"device"`
	Version uint64 `json:"version"`
}

func (a *app) verifyNotice(content []byte) error {
	p, err := node.VerifyNotice(content)
	if err != nil {
		return err
	}
	v := noticeProof{Kind: node.KindNotice, OK: true, From: p.From.String(), To: p.To.String(), At: millis(p.At), Device: p.Device.String(), Basic: "closed", Notes: p.Notes}
	if p.Open {
		v.Basic = "open"
	}
	for _, d := range p.Docs {
		v.Documents = append(v.Documents, noticeVersion{d.Device.String(), d.Ver})
	}
	if !p.Opens.IsZero() {
		v.Opens = millis(p.Opens)
	}
	return a.show(v, func() {
		a.say("%s said: %s", v.From, v.Basic)
		for _, n := range v.Notes {
			a.say("  %s", clean(n))
		}
		a.say("  to %s, who was let see it", v.To)
		a.say("  at %s, by his clock", v.At)
		for _, d := range v.Documents {
			a.say("  version %d of his device %s", d.Version, d.Device)
		}
		a.say("signed by his device %s", v.Device)
		if v.Opens != "" {
			a.say("the file also opens what else he says in that view until %s", v.Opens)
		}
	})
}
