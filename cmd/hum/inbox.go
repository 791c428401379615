package main

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// inboxCommands are those that read.
func (a *app) inboxCommands(root *cobra.Command) {
	var q humv1.InboxRequest
	var follow bool
	var out string
	a.add(root, "messages",
		command{use: "inbox [ID] [flags]", short: "the instant inbox, oldest first", most: 1,
			example: "hum inbox --limit 10\nhum inbox --follow --from bob\nhum inbox 5x3k\nhum inbox 5x3k --out photo.jpg\nhum inbox --search 'four tea' --limit 20",
			long:    "Messages that came in, oldest first; one whole if its ID is given, of which the beginning will do (4 letters at\nleast). Looking is not opening: hum open marks a message as displayed.",
			flags: func(f *pflag.FlagSet) {
				f.BoolVarP(&follow, "follow", "f", false, "go on with what comes in, until interrupted")
				f.StringVar(&q.From, "from", "", "only messages of this WHO")
				f.Int64Var(&q.Limit, "limit", 0, "only the newest so many")
				f.StringVar(&q.Before, "before", "", "only what is older than message ID: the page before")
				f.StringVar(&q.Search, "search", "", "only texts that hold all these words")
				f.BoolVar(&q.Strangers, "strangers", false, "only what waits from people you do not know")
				f.StringVar(&out, "out", "", "write the content of message ID to this new file; - is stdout")
				f.Int64Var(&q.Part, "part", 0, "of message ID only this part, from 1")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				q.Id = strings.Join(args, "")
				switch {
				case q.Limit < 0:
					return usage("leave it out for all", "--limit is not negative")
				case q.Id != "" && (q.Before != "" || q.Search != "" || q.Strangers):
					return usage("leave out the ID, or the flags", "one message needs no search")
				case follow && (q.Before != "" || q.Search != "" || q.Strangers):
					return usage("leave out one of them", "what comes in is not searched")
				case follow && q.Id != "":
					return usage("leave out one of them", "one message is not followed")
				case (out != "" || q.Part != 0) && q.Id == "":
					return usage("name it: hum inbox ID --out FILE", "--out and --part are for one message")
				case q.Part < 0:
					return usage("they are counted from 1", "there is no part %d", q.Part)
				case out != "":
					return a.saveLetter(ctx, c, &q, out)
				case follow:
					return a.followInbox(ctx, c, &q)
				}
				return a.inbox(ctx, c, &q)
			})},
		command{use: "open ID", short: "mark a message as displayed, and tell its sender if he asked", least: 1, most: 1,
			example: "hum open 5x3k…",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				m, err := c.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: args[0]})
				return answer(a, m, err, func() { a.letter(m) })
			})},
	)
}

func (a *app) inbox(ctx context.Context, c *control.Client, q *humv1.InboxRequest) error {
	r, err := c.Inbox(ctx, q)
	if err != nil {
		return err
	}
	if q.Id != "" && len(r.Messages) == 1 {
		return a.show(r.Messages[0], func() { a.letter(r.Messages[0]) })
	}
	if a.json || q.Strangers {
		return each(a, r.Messages, "the inbox is empty", a.inboxTable(), a.inboxRow)
	}
	isStranger := func(m *humv1.Received) bool { return m.FirstContact }
	strangers := slices.DeleteFunc(slices.Clone(r.Messages), func(m *humv1.Received) bool { return !isStranger(m) })
	known := slices.DeleteFunc(r.Messages, isStranger)
	if len(known) > 0 || len(strangers) == 0 {
		if err := each(a, known, "the inbox is empty", a.inboxTable(), a.inboxRow); err != nil {
			return err
		}
	}
	if len(strangers) == 0 {
		return nil
	}
	a.say("from people you do not know (hum requests):")
	return each(a, strangers, "", a.inboxTable(), a.inboxRow)
}

func (a *app) inboxTable() table {
	return table{head: []string{"FROM", "RECEIVED", "STATE", "ID", "TEXT"}}
}

func (a *app) inboxRow(m *humv1.Received) []string {
	return []string{fromName(m), a.when(m.Received), letterState(m), shortID(m.Id), preview(m.Text, m.Type, m.Content)}
}

func fromName(m *humv1.Received) string { return name(m.FromName, m.Claimed, m.From) }

func letterState(m *humv1.Received) string {
	state := "new"
	if m.Displayed != nil {
		state = "displayed"
	}
	if m.Anonymous {
		return state + ", anonymous"
	}
	if m.FirstContact {
		state += ", stranger"
	}
	if !m.Verified {
		state += ", unverified"
	}
	if m.Clear {
		state += ", not sealed"
	}
	return state
}

// letter shows one message whole.
func (a *app) letter(m *humv1.Received) {
	switch {
	case m.Anonymous:
		a.say("ANONYMOUS: it names no author, and nobody answers for what it says")
	case !m.Verified:
		a.say("NOT SIGNED: that it is from this address is a claim of whoever wrote it")
	}
	a.say("from %s, sent %s, %s", clean(fromName(m)), m.Sent.AsTime().Local().Format("2006-01-02 15:04:05"), letterState(m))
	a.say("id %s", m.Id)
	if m.Introduces != "" {
		a.say("introduces %s: hum add '%s' --as NAME", clean(or(m.Introduced, "somebody")), clean(m.Introduces))
	}
	if m.ReplyTo != "" {
		a.say("answers %s", m.ReplyTo)
	}
	for _, uri := range m.Contact {
		if !node.Launchable(uri) {
			uri += " (no handler)"
		}
		a.say("reach him too by %s", clean(uri))
	}
	if len(m.Content) > 0 {
		a.say("  [%s, %s; keep it with: hum inbox %s --out FILE]", clean(m.Type), size(int64(len(m.Content))), shortID(m.Id))
	}
	for i, p := range m.Parts {
		a.say("  part %d: %s", i+1, clean(strings.Join(words(p.Type, p.Lang, p.Name, size(p.Size)), ", ")))
	}
	if len(m.Content) == 0 || m.Text != "" {
		a.say("%s", body(m.Text))
	}
}

// saveLetter writes the content of one message to a file that does not exist yet, or to stdout.
func (a *app) saveLetter(ctx context.Context, c *control.Client, q *humv1.InboxRequest, file string) error {
	r, err := c.Inbox(ctx, q)
	if err != nil {
		return err
	}
	if len(r.Messages) != 1 {
		return usage("see: hum inbox", "there is no such message")
	}
	m := r.Messages[0]
	content := m.Content
	if len(content) == 0 { // text is shown beside what is none
		content = []byte(m.Text)
	}
	return a.keep(m, content, file)
}

// keep writes content to a file that does not exist yet, and shows m; or it writes to stdout, for "-".
func (a *app) keep(m any, content []byte, file string) error {
	if file == "-" {
		_, err := a.out.Write(content)
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return usage("choose another name", "%s exists already", file)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return a.show(m, func() { a.say("%s, %s", file, size(int64(len(content)))) })
}

// followInbox shows what is there, then what comes in. A message that arrives between the two is shown
// once.
func (a *app) followInbox(ctx context.Context, c *control.Client, q *humv1.InboxRequest) error {
	shown, least := map[string]bool{}, []int{17, len("59 min ago"), len("displayed")}
	fresh := func(list []*humv1.Received) (out []*humv1.Received) {
		for _, m := range list {
			if !shown[m.Id] {
				shown[m.Id] = true
				out = append(out, m)
			}
		}
		return out
	}
	return a.follow(ctx, c, &humv1.EventsRequest{Snapshot: true, Follow: true}, func(r *humv1.EventsResponse) error {
		e := r.GetEvent()
		if e == nil {
			r, err := c.Inbox(ctx, q)
			if err != nil {
				return err
			}
			t := a.inboxTable()
			t.least = least
			return each(a, fresh(r.Messages), "", t, a.inboxRow)
		}
		if e.Kind != "message" || shown[e.Id] {
			return nil
		}
		r2, err := c.Inbox(ctx, &humv1.InboxRequest{Id: e.Id, From: q.From})
		if gone(err) { // of somebody else, or not for the inbox
			return nil
		}
		if err != nil {
			return err
		}
		return each(a, fresh(r2.Messages), "", table{least: least}, a.inboxRow)
	})
}
