package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const aboutReceipt = `Write the proof of a message, which needs neither a node nor hum to be believed: of one that I sent, the message as
I signed it and the signed word of its recipient; of one that I received, the message as its author signed it. With it go the
certificates that bind both signers' devices to their addresses. The file holds the message itself: whoever has it can read it.
hum verify checks it, and so does openssl, as the file says.`

const aboutCPIM = `Write a message as message/cpim, with the headers and the content that it has: one that came so, in its own octets.
Headers of hum's own are listed in docs/registry.md.`

const aboutIMDN = `Write what became of a message as a disposition notification: delivered, displayed, forbidden or failed, and why. Of a
message that is under way there is none yet. It is not signed: hum export receipt is.`

const aboutImportCPIM = `Send a message/cpim as a message of mine: not an octet of it is changed. It goes to the hum address among its To
headers; who names no hum address is written to with hum send WHO --type message/cpim --file FILE. FILE - is stdin.`

const aboutVerify = `Check a receipt or a notice that hum export wrote. No node is needed, and nobody is asked: the signatures hold or
they do not. What neither can say: whether a device was revoked after the certificate that is in the file. FILE - is
stdin.`

// exportMessage is the command that writes a document about one message.
func (a *app) exportMessage(kind, short, long string) command {
	var out string
	return command{use: kind + " ID [flags]", short: short, long: long, least: 1, most: 1,
		example: "hum export " + kind + " 5x3k… --out 5x3k." + kind,
		flags:   func(f *pflag.FlagSet) { f.StringVarP(&out, "out", "o", "", "write to this file, which must not exist") },
		run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
			r, err := c.Export(ctx, &humv1.ExportRequest{Kind: kind, Id: args[0]})
			if err != nil {
				return err
			}
			return a.document(r, out)
		})}
}

// proof is what a receipt proves, as JSON.
type proof struct {
	Kind   string `json:"kind"`
	OK     bool   `json:"ok"`
	ID     string `json:"id"`
	From   string `json:"from"`
	To     string `json:"to"`
	Sent   string `json:"sent"`
	Type   string `json:"type"`
	SHA256 string `json:"sha256"` // of the content
	State  string `json:"state,omitempty"`
	Reason string `json:"reason,omitempty"`
	At     string `json:"at,omitempty"`
	Device string `json:"device,omitempty"`
}

func (a *app) verifyCommand(root *cobra.Command) {
	a.add(root, "messages", command{use: "verify FILE", short: "check a receipt or a notice, without any node", long: aboutVerify, least: 1, most: 1,
		example: "hum verify 5x3k.receipt\nhum verify bob.notice", run: func(_ context.Context, args []string) error { return a.verify(args[0]) }})
}

func (a *app) verify(file string) error {
	content, err := a.readFile(file)
	if err != nil {
		return err
	}
	if node.IsNotice(content) {
		return a.verifyNotice(content)
	}
	p, err := node.Verify(content)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(p.Content)
	v := proof{Kind: node.KindReceipt, OK: true, ID: p.ID.String(), From: p.From.String(), To: p.To.String(), Sent: millis(p.Sent),
		Type: p.Type, SHA256: hex.EncodeToString(sum[:])}
	if p.State != "" {
		v.State, v.Reason, v.At, v.Device = p.State, p.Reason.String(), millis(p.At), p.Device.String()
	}
	return a.show(v, func() {
		a.say("%s wrote message %s", v.From, v.ID)
		a.say("  to %s", v.To)
		a.say("  at %s, by his clock", v.Sent)
		if v.State == "" {
			a.say("the signature holds; of its receipt the file says nothing")
			return
		}
		a.say("his recipient's device %s signed: %s", v.Device, v.State+because(v.Reason))
		a.say("  at %s, by its clock", v.At)
	})
}

func millis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }
