package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// maxContent is as much as is read of a message; the node knows the true limit and says so.
const maxContent = 1 << 20

// A letter is what the flags say of a message.
type letter struct {
	file, mime, ack, lang, replyTo string
	alt                            string
	contact                        []string
	clear, unsigned, anonymous     bool
	hops                           int
	expires, wait                  duration
}

func (l *letter) flags(f *pflag.FlagSet) {
	f.StringVar(&l.file, "file", "", "send the content of this file")
	f.StringVar(&l.mime, "type", "", "MIME type of the content (default: found out)")
	f.StringVar(&l.alt, "alt", "", "words beside a file, for whoever cannot see what it shows")
	f.StringArrayVar(&l.contact, "contact", nil, "another way to reach you, such as tel:+1… or mailto:… (repeatable)")
	f.IntVar(&l.hops, "hops", -1, "of what another system handed over: how often gateways may still hand it on")
	f.BoolVar(&l.clear, "clear", false, "do not seal it: whoever carries it can read it; only to those who take that")
	f.BoolVar(&l.anonymous, "anonymous", false, "name no author; only to those who take that; see hum send --help")
	f.BoolVar(&l.unsigned, "unsigned", false, "do not sign it: that it is from you is a claim; only to those who take that")
	f.StringVar(&l.ack, "ack", "delivered", "none: keep the result off the screen; delivered; displayed: ask for a word when it is read")
	f.StringVar(&l.lang, "lang", "", "language of the text, such as en")
	f.Var(&l.expires, "expires", "give up after so long (default 7d, at most 14d)")
	f.Var(&l.wait, "wait", "wait so long for the result; exit code 0 delivered, 3 refused, 4 anything else")
}

const aboutSend = `The message is on this disk before the command ends, and ends itself as delivered, by a word that his device has
signed, or as failed, with the reason.
With --anonymous it names nobody: it is signed by a key that is used once, and leaves by a host that lives for one
try. Only those who allow it take it (hum policy set anonymous --messages first-contact), and they cannot answer
it. Their node sees the network address that it comes from, as of any connection; what it says may tell who you are.
If you are in a community they see in which: the answer of their device comes to its node, which thereby learns that you
sent something anonymous, and when, and from where the answer comes. With --ack none there is no such answer.`

// A presentation is what the flags say of an introduction.
type presentation struct{ letter }

func (p *presentation) flags(f *pflag.FlagSet) {
	f.Var(&p.expires, "expires", "give up after so long (default 7d, at most 14d)")
	f.Var(&p.wait, "wait", "wait so long for the result; exit code 0 delivered, 3 refused, 4 anything else")
}

// messageCommands are those that send.
func (a *app) messageCommands(root *cobra.Command) {
	var sent, answered letter
	var presented presentation
	a.add(root, "messages",
		command{use: "send WHO [TEXT|-] [flags]", short: "send a message: kept safely first, then delivered", least: 1, most: 2,
			long: aboutSend, example: "hum send bob 'back at four?'\nhum send bob --file photo.jpg --alt 'my cat on the keyboard' --wait 30s\ndate | hum send bob -",
			flags: func(f *pflag.FlagSet) {
				sent.flags(f)
				f.StringVar(&sent.replyTo, "reply-to", "", "id of the message that this one answers")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				d, err := a.draft(&sent, args[1:])
				if err != nil {
					return err
				}
				m, err := c.Send(ctx, &humv1.SendRequest{To: args[0], Draft: d})
				return a.sent(ctx, c, m, err, &sent)
			})},
		command{use: "introduce WHO WHOM [TEXT] [flags]", short: "tell a contact of another, who decides what to do", least: 2, most: 3,
			long:    "Sends WHOM the card of WHO, as he gave it to you, in a message that says so. It opens nothing: whether WHO is added\nis for WHOM to decide. What you call him is not told.",
			example: "hum introduce alice bob\nhum introduce alice bob 'she plays the cello'", flags: presented.flags,
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				d := &humv1.Draft{Introduces: args[0], Expires: presented.expires.proto()}
				if len(args) > 2 {
					d.Type, d.Content = "text/plain; charset=utf-8", []byte(args[2])
				}
				m, err := c.Send(ctx, &humv1.SendRequest{To: args[1], Draft: d})
				return a.sent(ctx, c, m, err, &presented.letter)
			})},
		command{use: "reply ID [TEXT|-] [flags]", short: "answer a message, without knowing any address", least: 1, most: 2,
			example: "hum reply 5x3k… 'yes, see you'", flags: answered.flags,
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				d, err := a.draft(&answered, args[1:])
				if err != nil {
					return err
				}
				m, err := c.Reply(ctx, &humv1.ReplyRequest{Id: args[0], Draft: d})
				return a.sent(ctx, c, m, err, &answered)
			})},
		command{use: "outbox [ID]", short: "my messages and what became of them",
			long: "Your messages, oldest first: queued (on this disk), sending, handed (to his node), stored, delivered (on his\ndisk, with his word for it), displayed, or failed, and why. ID may be the beginning of one, of 4 letters at least. Of those that are settled the\nnewest 10,000 are kept.", most: 1, example: "hum outbox", run: a.online(a.outbox)},
		command{use: "trace ID", short: "what is known of a message's way", least: 1, most: 1, example: "hum trace 5x3k\nhum trace 5x3k --json", long: aboutTrace, run: a.online(a.trace)},
	)
}

// draft puts the message together.
func (a *app) draft(l *letter, args []string) (*humv1.Draft, error) {
	if err := oneOf("ack", l.ack, "none", "delivered", "displayed"); err != nil {
		return nil, err
	}
	content, err := a.content(l, args)
	if err != nil {
		return nil, err
	}
	if len(content) > maxContent {
		return nil, &node.Error{Kind: node.KindUsage, Code: "too-large", Message: "that is more than the 60 kB that a message carries", Advice: "put it where it can be fetched, and send the link"}
	}
	if l.expires.set && l.expires.d == 0 {
		return nil, usage("leave --expires out for 7d", "a message that expires at once reaches nobody")
	}
	d := &humv1.Draft{Type: l.mime, Content: content, Lang: l.lang, Displayed: l.ack == "displayed", Quiet: l.ack == "none",
		Expires: l.expires.proto(), ReplyTo: l.replyTo, Alt: l.alt, Contact: l.contact, Clear: l.clear, Unsigned: l.unsigned, Anonymous: l.anonymous}
	if l.hops >= 0 {
		hops := uint32(l.hops)
		d.Hops = &hops
	}
	if d.Type == "" {
		d.Type = typeOf(l.file, content)
	}
	return d, nil
}

// content is the argument, a file, or stdin for -.
func (a *app) content(l *letter, args []string) ([]byte, error) {
	switch {
	case l.file != "" && len(args) > 0:
		return nil, usage("send two messages", "a text and --file exclude each other")
	case l.file != "":
		f, err := os.Open(l.file)
		if err != nil {
			return nil, usage("", "%v", err)
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, maxContent+1))
	case len(args) == 0:
		return nil, usage("give a TEXT, - to read it from stdin, or --file", "there is nothing to send")
	case args[0] == "-":
		b, err := io.ReadAll(io.LimitReader(a.in, maxContent+1))
		return bytes.TrimSuffix(b, []byte("\n")), err
	case args[0] == "":
		return nil, usage("give it some words", "the text is empty")
	}
	return []byte(args[0]), nil
}

const plain = "text/plain; charset=utf-8"

// typeOf finds the MIME type by the file's name, else by the content.
func typeOf(file string, content []byte) string {
	if file == "" && utf8.Valid(content) {
		return plain
	}
	if t := mime.TypeByExtension(strings.ToLower(filepath.Ext(file))); t != "" && (utf8.Valid(content) || !strings.HasPrefix(t, "text/")) {
		return t
	}
	if !bytes.ContainsRune(content, 0) && utf8.Valid(content) {
		return plain
	}
	if t := http.DetectContentType(content); !strings.HasPrefix(t, "text/") { // text is in UTF-8, and this is not
		return t
	}
	return "application/octet-stream"
}

// sent shows a message that is safely on disk; with --wait, what became of it.
func (a *app) sent(ctx context.Context, c *control.Client, m *humv1.Sent, err error, l *letter) error {
	if err != nil || !l.wait.set {
		return answer(a, m, err, func() { a.showSent(m) })
	}
	now, err := c.WaitSent(ctx, &humv1.WaitSentRequest{Id: m.Id, Timeout: l.wait.proto()})
	if err == nil {
		m = now
	} else if ctx.Err() == nil {
		return err
	}
	if err := a.show(m, func() { a.showSent(m) }); err != nil {
		return err
	}
	return sentOutcome(m)
}

func (a *app) showSent(m *humv1.Sent) {
	a.warn(m.Warning)
	if m.Reason == "gateway" {
		a.warn("a gateway has handed it on: what became of it behind that is not known")
	}
	a.say("to %s: %s  %s%s", clean(name(m.ToName, "", m.To)), a.paint(m.State, false)+because(m.Reason), m.Id, explained(m.Reason))
}

func sentOutcome(m *humv1.Sent) error {
	switch {
	case m.Reason == "gateway": // indeterminate
		return outcome(exitUnreachable)
	case m.State == "delivered" || m.State == "displayed":
		return nil
	case m.State == "failed" && refusals[m.Reason]:
		return outcome(exitRefused)
	}
	return outcome(exitUnreachable)
}

func (a *app) outbox(ctx context.Context, c *control.Client, args []string) error {
	r, err := c.Outbox(ctx, &humv1.OutboxRequest{Id: strings.Join(args, "")})
	if err != nil {
		return err
	}
	return each(a, r.Messages, "nothing is going out", table{head: []string{"TO", "STATE", "SENT", "TRIES", "ID", "TEXT"}},
		func(m *humv1.Sent) []string {
			return []string{name(m.ToName, "", m.To), m.State + because(m.Reason), a.when(m.Sent), fmt.Sprint(m.Attempts), shortID(m.Id),
				preview(m.Text, m.Type, m.Content)}
		})
}

// shortID is as much of an id as tells a person's messages apart; every command takes it for the whole.
func shortID(id string) string { return id[:min(len(id), 8)] }

// preview is as much of a message as fits a line.
func preview(text, mime string, content []byte) string {
	const most = 60 // letters
	switch {
	case text == "" && len(content) > 0:
		return fmt.Sprintf("[%s, %s]", mime, size(int64(len(content))))
	case text == "":
		return "[empty]"
	}
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}

func (a *app) trace(ctx context.Context, c *control.Client, args []string) error {
	r, err := c.Trace(ctx, &humv1.TraceRequest{Id: args[0]})
	if err != nil {
		return err
	}
	if len(r.Steps) > 0 && !a.json {
		a.say("message %s", r.Steps[0].Id)
	}
	return each(a, r.Steps, "nothing is known of it any more", table{head: []string{"WHEN", "STEP", "WITH", "DETAIL", "EVIDENCE"}},
		func(s *humv1.TraceStep) []string {
			return []string{s.At.AsTime().Local().Format("2006-01-02 15:04:05.000"), s.Step, or(s.Peer, "-"), s.Detail + repeated(s), or(s.Evidence, "-")}
		})
}

// repeated says that a step was taken several times in a row.
func repeated(s *humv1.TraceStep) string {
	if s.Times < 2 {
		return ""
	}
	return fmt.Sprintf(" (%d times, last %s)", s.Times, s.Last.AsTime().Local().Format("2006-01-02 15:04:05"))
}

const aboutTrace = `The way of a message, as far as this node knows it: each step with what shows it, and when it was taken by the clock of
this machine, which proves nothing. Of a message of yours: when it was queued, tried, taken and acknowledged, or why it
failed; of one that came: that it was received, opened, refused, discarded, or came again. What left nothing on the disk is
told for as long as the node runs. Nobody between the two ends keeps a record of a message.`
