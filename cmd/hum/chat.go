package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const (
	chatBefore   = 10               // lines that are shown of what was written before
	chatPatience = 10 * time.Second // that a pipe's messages are waited for
	chatQuit     = "/quit"          // is what people type who have used other programs; from a pipe it is a text as any other
)

// A chat shows a conversation as it goes on. Everything is written by one goroutine.
type chat struct {
	*app
	c     *control.Client
	to    string // WHO, as typed
	with  string // his address
	name  string
	shown map[string]bool   // messages that are on the screen
	mine  map[string]string // what I wrote here and is not settled, by id
}

func (a *app) chat(ctx context.Context, c *control.Client, args []string) error {
	ctx, end := context.WithCancel(ctx)
	defer end()
	if a.console != nil && !a.json {
		con, err := a.console()
		if err != nil {
			return err
		}
		if con != nil {
			defer con.Close()
			on := *a // all that is said goes above the line that is typed
			on.out, on.err, on.flush, on.readLine = con, con, func() error { return nil }, con.ReadLine
			a = &on
		}
	}
	t := &chat{app: a, c: c, to: args[0], shown: map[string]bool{}, mine: map[string]string{}}
	events, ended := make(chan *humv1.EventsResponse), make(chan error, 1)
	go func() {
		ended <- a.follow(ctx, c, &humv1.EventsRequest{Snapshot: true, Follow: true}, func(r *humv1.EventsResponse) error {
			select {
			case events <- r:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
	}()
	select {
	case <-events: // from here on nothing is missed
	case err := <-ended:
		return err
	}
	if err := t.begin(ctx); err != nil {
		return err
	}
	lines, read := a.lines(ctx)
	var over <-chan time.Time
	for {
		if err := a.flush(); err != nil {
			return err
		}
		select {
		case line := <-lines:
			if a.secret != nil && strings.TrimSpace(line) == chatQuit {
				t.leave()
				return nil
			}
			t.send(ctx, line)
		case r := <-events:
			if err := t.event(ctx, r.GetEvent()); err != nil && ctx.Err() == nil {
				return err
			}
		case err := <-read:
			if err != nil || a.secret != nil || len(t.mine) == 0 {
				t.leave()
				return err
			}
			read, over = nil, time.After(chatPatience)
		case <-over:
			t.leave()
			return nil
		case err := <-ended:
			return err
		case <-ctx.Done():
			return nil
		}
		if read == nil && len(t.mine) == 0 {
			return nil
		}
	}
}

// lines reads what is typed; read tells that no more comes.
func (a *app) lines(ctx context.Context) (lines chan string, read chan error) {
	lines, read = make(chan string), make(chan error, 1)
	next := a.readLine
	if next == nil {
		s := bufio.NewScanner(a.in)
		s.Buffer(nil, maxContent)
		next = func() (string, error) {
			if !s.Scan() {
				return "", cmp.Or(s.Err(), io.EOF)
			}
			return s.Text(), nil
		}
	}
	go func() {
		for {
			line, err := next()
			if err != nil {
				if errors.Is(err, io.EOF) {
					err = nil
				}
				read <- err
				return
			}
			select {
			case lines <- line:
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines, read
}

// begin shows how the conversation stands.
func (t *chat) begin(ctx context.Context) error {
	h, err := t.c.History(ctx, &humv1.HistoryRequest{Who: t.to, Limit: chatBefore})
	if err != nil {
		return err
	}
	t.with, t.name = h.With, clean(name(h.WithName, h.Claimed, h.With))
	for _, l := range h.Lines {
		state := ""
		if l.Direction == "out" {
			state = l.State + because(l.Reason)
		}
		t.line(l, state)
		if l.Direction == "in" && l.State == "new" {
			t.open(ctx, l.Id)
		}
	}
	t.hint("— you talk with " + t.name + "; Ctrl-D or " + chatQuit + " ends it")
	return nil
}

// send sends one line. What cannot be sent is said, and the conversation goes on.
func (t *chat) send(ctx context.Context, text string) {
	text = strings.TrimSuffix(text, "\r")
	if strings.TrimSpace(text) == "" {
		return
	}
	if !utf8.ValidString(text) {
		t.tell(control.Explain(usage("set the terminal to UTF-8", "that line is no text in UTF-8, and was not sent")))
		return
	}
	m, err := t.c.Send(ctx, &humv1.SendRequest{To: t.to, Draft: &humv1.Draft{Type: plain, Content: []byte(text)}})
	if err != nil {
		if ctx.Err() == nil {
			t.tell(control.Explain(err))
		}
		return
	}
	t.mine[m.Id] = text
	if t.secret == nil { // else the terminal has echoed it
		t.line(&humv1.Line{Id: m.Id, Direction: "out", Sent: m.Sent, Text: text}, "")
	}
	t.shown[m.Id] = true
	t.state(m.Id, m.State, m.Reason)
}

// event shows what happened between us.
func (t *chat) event(ctx context.Context, e *humv1.Event) error {
	switch {
	case e == nil || e.Address != t.with:
	case e.Kind == "message" && e.State == "received" && !t.shown[e.Id]:
		r, err := t.c.Inbox(ctx, &humv1.InboxRequest{Id: e.Id})
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range r.Messages {
			t.line(&humv1.Line{Id: m.Id, Direction: "in", With: m.From, WithName: m.FromName, Claimed: m.Claimed, Sent: m.Sent, Received: m.Received,
				Type: m.Type, Text: m.Text, Content: m.Content, Lang: m.Lang, ReplyTo: m.ReplyTo, State: "new", FirstContact: m.FirstContact}, "")
		}
		t.open(ctx, e.Id)
	case e.Kind == "ack" && !t.shown[e.Id]: // written by me elsewhere
		r, err := t.c.Outbox(ctx, &humv1.OutboxRequest{Id: e.Id})
		if gone(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, m := range r.Messages {
			t.mine[m.Id] = preview(m.Text, m.Type, m.Content)
			t.line(&humv1.Line{Id: m.Id, Direction: "out", Sent: m.Sent, Type: m.Type, Text: m.Text, Content: m.Content, State: m.State}, "")
			t.state(m.Id, m.State, m.Reason)
		}
	case e.Kind == "ack":
		t.state(e.Id, e.State, e.Reason)
	}
	return nil
}

// line writes a message: further lines of it stand under the first, and behind it what became of it, if that is said,
// and its id.
func (t *chat) line(l *humv1.Line, more string) {
	t.shown[l.Id] = true
	if t.json {
		_ = t.app.line(l)
		return
	}
	who, text := t.name, l.Text
	if l.Direction == "out" {
		who = "me"
	}
	if len(l.Content) > 0 {
		text = fmt.Sprintf("[%s, %s; keep it with: hum inbox %s --out FILE]", l.Type, size(int64(len(l.Content))), shortID(l.Id))
	}
	parts := strings.Split(strings.TrimRight(text, "\n"), "\n")
	for i, p := range parts {
		parts[i] = clean(p)
	}
	t.say("%s %s: %s  [%s]", clock24(l.Sent), who, strings.Join(parts, "\n      "), strings.TrimSpace(more+" "+shortID(l.Id)))
}

// state tells what became of a message of mine.
func (t *chat) state(id, state, reason string) {
	text, mine := t.mine[id]
	if !mine && state != "displayed" {
		return
	}
	if state == "delivered" || state == "displayed" || state == "failed" {
		delete(t.mine, id)
	}
	if t.json {
		_ = t.app.line(map[string]string{"id": id, "state": state, "reason": reason})
		return
	}
	t.say("      · %s%s %s%s", t.paint(state, false), because(reason), shortID(id), ofText(text))
}

// ofText says which message something is about.
func ofText(text string) string {
	if text == "" {
		return ""
	}
	return ": " + clean(preview(text, plain, nil))
}

// open marks a message as displayed that a person has on the screen.
func (t *chat) open(ctx context.Context, id string) {
	if t.terminal {
		_, _ = t.c.OpenMessage(ctx, &humv1.OpenMessageRequest{Id: id}) // it is on the screen all the same
	}
}

// leave says what goes on without the screen.
func (t *chat) leave() {
	if n := len(t.mine); n > 0 {
		t.hint(plural(int64(n), "message") + " still under way: hum outbox")
	}
}

// clock24 is the time of day, or the day too if that is another one.
func clock24(at *timestamppb.Timestamp) string { return at.AsTime().Local().Format("Jan 2 15:04") }
