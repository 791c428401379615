package testnet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/p2p/wire"
)

// A Story is a scenario as text. A line is a command, empty, or a comment after #. Indented lines say
// what every user sees once the command is done and a breath of five seconds has passed: each fact
// that is new or different, and each that is gone. Commands name users; machines have the users' names.
//
//	node alice                      a new user and his machine
//	add alice bob                   by bob's card
//	watch|unwatch alice bob ["text"]
//	approve|deny|drop bob alice
//	set bob [open|closed] [available|busy|away|idle|dnd|xa] ["note"]
//	offline bob
//	send alice bob "text" [expires 1h] [displayed]
//	reply bob 1 "text"              to message 1 of the story
//	read bob 1                      opens it
//	block|unblock|forget bob alice  block takes a scope: im, presence or both
//	stop|kill|darken|start bob      sign-off, crash, power cut, start again from the disk
//	cut|join alice bob              the network between two
//	link alice bob 100ms [10ms [0.01]]  latency, jitter, loss
//	shut|unshut alice               cannot be dialled, as behind a NAT
//	skew bob +1h                    sets bob's clock by so much
//	advance 2h
//	look alice                      all that alice sees
//
// A line that ends in ... is followed by the next one at once: no breath, and nobody looks in between.
type Story struct {
	w     *World
	facts map[string]string
	out   bytes.Buffer
}

// Tell runs a story in a world and returns it with what users really saw. The error joins what went
// wrong in telling it and all broken promises; what came of it until then is returned anyway.
func Tell(w *World, text string) (told string, err error) {
	s := &Story{w: w, facts: map[string]string{}}
	for i, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		s.out.WriteString(line + "\n")
		words, err := split(line)
		if err == nil && len(words) > 0 {
			err = s.do(words)
		}
		if err != nil {
			return s.out.String(), errors.Join(fmt.Errorf("line %d: %s: %w", i+1, line, err), w.judge.verdict())
		}
	}
	return s.out.String(), errors.Join(s.epilogue(), w.judge.verdict())
}

// epilogue makes everything good again and sees that all settles, within the longest pause between two
// dials or two tries of a message: 15 minutes and a fifth.
func (s *Story) epilogue() error {
	if err := s.w.mend(); err != nil {
		return err
	}
	for range 20 {
		if err := s.w.pass(time.Minute); err != nil {
			return err
		}
		if len(s.w.judge.unsettled(s.w)) == 0 {
			break
		}
	}
	s.w.judge.end(s.w)
	return nil
}

func (j *judge) verdict() error {
	var errs []error
	for _, f := range j.faults {
		errs = append(errs, errors.New(f))
	}
	return errors.Join(errs...)
}

// split cuts a line into words; a word may be a quoted Go string.
func split(line string) (words []string, err error) {
	for line = strings.TrimSpace(line); line != "" && line[0] != '#'; line = strings.TrimSpace(line) {
		if line[0] != '"' {
			word, rest, _ := strings.Cut(line, " ")
			words, line = append(words, word), rest
			continue
		}
		quoted, err := strconv.QuotedPrefix(line)
		if err != nil {
			return nil, err
		}
		word, err := strconv.Unquote(quoted)
		if err != nil {
			return nil, err
		}
		words, line = append(words, word), line[len(quoted):]
	}
	return words, nil
}

// A command takes words; those after the first take user names first.
type command struct {
	users int  // how many names follow
	off   bool // the first user's machine may be off
	more  int  // how many words may follow them
	run   func(s *Story, u []*user, words []string) error
}

var errUsage = errors.New("unknown command or wrong number of words")

func (s *Story) do(words []string) error {
	atOnce := words[len(words)-1] == "..."
	if atOnce {
		words = words[:len(words)-1]
	}
	c, ok := commands[words[0]]
	args := words[1:]
	if !ok || len(args) < c.users || len(args) > c.users+c.more {
		return errUsage
	}
	var us []*user
	for i, name := range args[:c.users] {
		u, err := s.w.user(name)
		if err == nil && i == 0 && !c.off {
			u, err = s.w.running(name)
		}
		if err != nil {
			return err
		}
		us = append(us, u)
	}
	err := c.run(s, us, args[c.users:])
	var answer *node.Error
	if errors.As(err, &answer) {
		fmt.Fprintf(&s.out, "\t%s is told: %s\n", us[0].name, answer.Code)
	} else if err != nil {
		return err
	}
	if atOnce {
		return nil
	}
	if words[0] != "advance" {
		err = s.w.pass(breath)
	}
	if errors.As(err, &answer) {
		err = nil
	}
	s.tell()
	return err
}

// tell writes what is new to somebody since it was last called.
func (s *Story) tell() {
	now := map[string]string{}
	for _, u := range s.w.users {
		for _, f := range s.w.factsOf(u) {
			now[f.key] = f.value
			if s.facts[f.key] != f.value {
				fmt.Fprintf(&s.out, "\t%s: %s\n", f.key, f.value)
			}
		}
		for _, key := range sortedKeys(s.facts) {
			if _, still := now[key]; !still && strings.HasPrefix(key, u.name+" ") {
				fmt.Fprintf(&s.out, "\t%s: gone\n", key)
			}
		}
	}
	s.facts = now
}

var commands = map[string]command{}

func init() {
	ctx := context.Background()
	// two is a command of one user about another.
	two := func(run func(m Machine, who string) error) command {
		return command{users: 2, run: func(s *Story, u []*user, _ []string) error {
			return run(u[0].machine, u[1].address.String())
		}}
	}
	for name, c := range map[string]command{
		"node": {more: 1, run: func(s *Story, _ []*user, words []string) error {
			if len(words) != 1 {
				return errUsage
			}
			return s.w.join(words[0])
		}},
		"add": {users: 2, run: func(s *Story, u []*user, _ []string) error {
			if u[1].machine == nil {
				return fmt.Errorf("%s is off and shows no card", u[1].name)
			}
			card, err := u[1].machine.Card()
			if err == nil {
				_, err = u[0].machine.Add(ctx, card, u[1].name)
			}
			return err
		}},
		"watch": {users: 2, more: 1, run: func(s *Story, u []*user, words []string) error {
			_, err := u[0].machine.Watch(ctx, u[1].address.String(), strings.Join(words, ""), 0)
			return err
		}},
		"unwatch": two(func(m Machine, who string) error { _, err := m.Unwatch(ctx, who); return err }),
		"approve": two(func(m Machine, who string) error { _, err := m.Approve(ctx, who); return err }),
		"deny":    two(func(m Machine, who string) error { _, err := m.Deny(ctx, who, ""); return err }),
		"drop":    two(func(m Machine, who string) error { _, err := m.Drop(ctx, who); return err }),
		"forget":  two(func(m Machine, who string) error { _, err := m.Forget(ctx, who); return err }),
		"unblock": {users: 2, run: func(s *Story, u []*user, _ []string) error {
			_, err := u[0].machine.Unblock(ctx, u[1].address.String())
			s.w.said(u[0])
			return err
		}},
		"block": {users: 2, more: 1, run: func(s *Story, u []*user, words []string) error {
			scope := "both"
			if len(words) > 0 {
				scope = words[0]
			}
			_, err := u[0].machine.Block(ctx, u[1].address.String(), scope)
			s.w.said(u[0])
			return err
		}},
		"set":     {users: 1, more: 3, run: (*Story).set},
		"send":    {users: 2, more: 4, run: (*Story).send},
		"reply":   {users: 1, more: 2, run: (*Story).reply},
		"read":    {users: 1, more: 1, run: (*Story).read},
		"advance": {more: 1, run: (*Story).advance},
		"skew":    {users: 1, off: true, more: 1, run: (*Story).skew},
		"link":    {users: 2, off: true, more: 3, run: (*Story).link},
		"look":    {users: 1, off: true, run: (*Story).look},
		"offline": {users: 1, run: func(s *Story, u []*user, _ []string) error {
			_, err := u[0].machine.Offline(ctx)
			s.w.said(u[0])
			return err
		}},
		"stop":   {users: 1, run: func(s *Story, u []*user, _ []string) error { return s.w.stop(u[0]) }},
		"kill":   {users: 1, run: func(s *Story, u []*user, _ []string) error { return s.w.kill(u[0], Crash) }},
		"darken": {users: 1, run: func(s *Story, u []*user, _ []string) error { return s.w.kill(u[0], Blackout) }},
		"start":  {users: 1, off: true, run: func(s *Story, u []*user, _ []string) error { return s.w.start(u[0]) }},
		"cut":    {users: 2, off: true, run: func(s *Story, u []*user, _ []string) error { s.w.cut(u[0], u[1]); return nil }},
		"join":   {users: 2, off: true, run: func(s *Story, u []*user, _ []string) error { s.w.heal(u[0], u[1]); return nil }},
		"shut":   {users: 1, off: true, run: func(s *Story, u []*user, _ []string) error { s.w.Net.Shut(u[0].ip, true); return nil }},
		"unshut": {users: 1, off: true, run: func(s *Story, u []*user, _ []string) error { s.w.Net.Shut(u[0].ip, false); return nil }},
	} {
		commands[name] = c
	}
}

var (
	basics = map[string]wire.Basic{"open": wire.Open, "closed": wire.Closed}
	ims    = map[string]wire.IMStatus{"available": wire.Available, "busy": wire.Busy, "away": wire.Away,
		"idle": wire.Idle, "dnd": wire.DND, "xa": wire.XA}
)

func (s *Story) set(u []*user, words []string) error {
	var c node.Change
	for _, word := range words {
		if b, ok := basics[word]; ok {
			c.Basic = &b
		} else if im, ok := ims[word]; ok {
			c.IM = &im
		} else {
			c.Note = &word
		}
	}
	_, err := u[0].machine.Set(context.Background(), c)
	s.w.said(u[0])
	return err
}

func (s *Story) send(u []*user, words []string) error {
	if len(words) == 0 {
		return errUsage
	}
	d := node.Draft{To: u[1].address.String(), Content: []byte(words[0])}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i] == "displayed":
			d.Displayed = true
		case words[i] == "expires" && i+1 < len(words):
			i++
			var err error
			if d.Expires, err = time.ParseDuration(words[i]); err != nil {
				return err
			}
		default:
			return errUsage
		}
	}
	sent, err := u[0].machine.Send(context.Background(), d)
	if err == nil {
		s.sent(u[0], u[1], d, sent)
	}
	return err
}

func (s *Story) sent(from, to *user, d node.Draft, sent node.Sent) {
	s.w.judge.send(sent.ID, letter{from: from.name, to: to.name, content: string(d.Content),
		sent: sent.Sent, expires: sent.Expires})
}

// message returns the message that a story gives a number.
func (s *Story) message(word string) (id string, l *letter, err error) {
	n, err := strconv.Atoi(word)
	for mid, l := range s.w.judge.letters {
		if l.n == n && err == nil {
			return mid.String(), l, nil
		}
	}
	return "", nil, fmt.Errorf("there is no message %q", word)
}

func (s *Story) reply(u []*user, words []string) error {
	if len(words) != 2 {
		return errUsage
	}
	id, l, err := s.message(words[0])
	if err != nil {
		return err
	}
	to, err := s.w.user(l.from)
	if err != nil {
		return err
	}
	d := node.Draft{Content: []byte(words[1])}
	sent, err := u[0].machine.Reply(context.Background(), id, d)
	if err == nil {
		s.sent(u[0], to, d, sent)
	}
	return err
}

func (s *Story) read(u []*user, words []string) error {
	if len(words) != 1 {
		return errUsage
	}
	id, _, err := s.message(words[0])
	if err == nil {
		_, err = u[0].machine.OpenMessage(context.Background(), id)
	}
	return err
}

func (s *Story) advance(_ []*user, words []string) error {
	d, err := oneDuration(words)
	if err != nil {
		return err
	}
	return s.w.pass(d)
}

func (s *Story) skew(u []*user, words []string) error {
	d, err := oneDuration(words)
	if err == nil {
		u[0].clock.Step(d)
	}
	return err
}

func oneDuration(words []string) (time.Duration, error) {
	if len(words) != 1 {
		return 0, errUsage
	}
	return time.ParseDuration(words[0])
}

func (s *Story) link(u []*user, words []string) (err error) {
	var l Link
	if len(words) == 0 {
		return errUsage
	}
	if l.Latency, err = time.ParseDuration(words[0]); err == nil && len(words) > 1 {
		l.Jitter, err = time.ParseDuration(words[1])
	}
	if err == nil && len(words) > 2 {
		l.Loss, err = strconv.ParseFloat(words[2], 64)
	}
	s.w.Net.Set(u[0].ip, u[1].ip, l)
	return err
}

// look forgets what a user's facts were, so that all of them are told again.
func (s *Story) look(u []*user, _ []string) error {
	for key := range s.facts {
		if strings.HasPrefix(key, u[0].name+" ") {
			s.facts[key] = ""
		}
	}
	return nil
}
