package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// succeeded is a home that has moved, as succeed shows it.
type succeeded struct {
	Address     string `json:"address"`
	IM          string `json:"im"`
	Pres        string `json:"pres"`
	Fingerprint string `json:"fingerprint"`
	Device      string `json:"device"` // a new one
	Name        string `json:"name"`
	Previous    string `json:"previous"`

	Left []string `json:"left"` // devices that were not taken along
}

const aboutSucceed = `Leave an address whose key was stolen, or is to be given up: this home gets the next address of the same
recovery words, which are read from stdin, and your contacts follow it there. Each is told as soon as he is
reached; from then on he refuses whatever the old key signs. Roster, rules and messages stay; who watched
you asks again, and what he was allowed he is allowed. The safety number that you share with anybody is
another one afterwards: compare it again. Your other devices are left behind, as somebody who stole the
address may have added one: add each of yours again with hum device add there; it keeps what it holds.

You lost a device, and nobody can have opened its keys? Then the address may stay: hum init --recover, or
hum restore, on another machine. You lost the home as well as the key? First hum init --recover < words.txt,
then hum succeed < words.txt. You have neither the words nor a device that holds the key? Then the address
is gone, and nobody can bring it back: make a new one with hum init and give your contacts its card.`

const aboutSafety = `Show the number that you share with somebody. Read it to each other on the telephone, or hold the two
screens side by side: if both show the same, nobody stands between you, and --confirm remembers that you
compared it. It changes only if one of you gets a new address, and then hum says so until you compare it
again. If somebody has named two successors, nothing of either counts until you ask him by another way,
and say --keep, for the first, or --accept and the address of the other.`

// recoveryCommands are those about keys that were lost or stolen, and about who is really who.
func (a *app) recoveryCommands(root *cobra.Command) {
	var reason string
	q := &humv1.SafetyRequest{}
	a.add(root, "node",
		command{use: "succeed [flags]", short: "leave a stolen address; contacts follow to a new one", long: aboutSucceed,
			example: "hum succeed < words.txt\nhum succeed --reason moved < words.txt",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&reason, "reason", "compromised", "what contacts are told: compromised, lost or moved")
			},
			run: func(context.Context, []string) error { return a.succeed(reason) }})
	a.add(root, "people",
		command{use: "safety WHO [flags]", short: "the number to compare with somebody", long: aboutSafety, least: 1, most: 1,
			example: "hum safety bob\nhum safety bob --confirm",
			flags: func(f *pflag.FlagSet) {
				f.BoolVar(&q.Confirm, "confirm", false, "we compared it, and both screens show the same")
				f.BoolVar(&q.Keep, "keep", false, "of two successors the first one is he")
				f.StringVar(&q.Accept, "accept", "", "of two successors the one with this address is he")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				q.Who = args[0]
				r, err := c.Safety(ctx, q)
				return answer(a, r, err, func() { a.safety(r) })
			})})
}

// readWords reads recovery words from stdin; example is the command that takes them.
func (a *app) readWords(example string) (string, error) {
	b, err := io.ReadAll(io.LimitReader(a.in, maxWords))
	if err != nil {
		return "", err
	}
	words := strings.TrimSpace(string(b))
	if words == "" {
		return "", usage(example+"; without the words, and without a device that holds its key, an address is gone: make a new one with hum init, and give your contacts its card",
			"no recovery words came on stdin")
	}
	return words, nil
}

func (a *app) succeed(reason string) error {
	if err := oneOf("reason", reason, "compromised", "lost", "moved"); err != nil {
		return err
	}
	words, err := a.readWords("hum succeed < words.txt")
	if err != nil {
		return err
	}
	s, err := a.local.Succeed(a.home, a.passphrase, words, reason)
	if err != nil {
		return err
	}
	return a.show(s, func() {
		a.say("%s\nfingerprint %s", s.Address, s.Fingerprint)
		a.say("you have left %s", s.Previous)
		a.say("your contacts are told, each as soon as he is reached, and follow; what the old key signs they refuse then")
		for _, d := range s.Left {
			a.say("left behind: device %s; if it is yours, take it along: hum down and hum device add there, hum device add CODE here", d)
		}
		a.say("the safety numbers have changed with it: compare them again with hum safety WHO")
		a.hint("next: hum up")
	})
}

// safety shows the number in groups of five digits, four in a row, to be read out or held side by side.
func (a *app) safety(r *humv1.SafetyNumber) {
	who := clean(name(r.Petname, "", r.Address))
	a.warn(r.Warning)
	if len(r.Choices) > 0 {
		for i, c := range r.Choices {
			a.say("%s  %s", []string{"first ", "second"}[min(i, 1)], c)
		}
		a.say("the first one is he: hum safety %s --keep\nthe second one is: hum safety %s --accept ADDRESS", who, who)
		return
	}
	for row := range slices.Chunk([]byte(r.Number), 20) {
		var line strings.Builder
		for group := range slices.Chunk(row, 5) {
			line.WriteString("  " + string(group))
		}
		a.say("%s", &line)
	}
	switch {
	case r.Verified && r.Compared != nil:
		a.say("you and %s compared it on %s", who, r.Compared.AsTime().Format("2006-01-02"))
	default:
		a.say("not compared yet: %s must see the same twelve groups; then: hum safety %s --confirm", who, who)
	}
}

// warn writes what must not be overlooked, apart from the result.
func (a *app) warn(s string) {
	if s != "" && !a.json {
		fmt.Fprintf(a.err, "WARNING: %s\n", clean(s))
	}
}
