package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
	"github.com/hum-presence/hum/node/settings"
)

const about = `hum tells your contacts whether you are there, and carries messages between you, with no server
in between. Start your node with "hum up", show your card with "hum card", and add somebody else's
with "hum add". WHO is a petname, an address hum1…, a URI im:… or pres:…, or a card hum:hum1…?…`

// root builds the tree of commands.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use: "hum", Short: "presence and instant messages, with no server", Long: paragraph(about),
		Example:       "  hum up\n  hum card --qr\n  hum add 'hum:hum1…?d=…' --as bob\n  hum watch bob\n  hum send bob 'back at four?'",
		SilenceErrors: true, SilenceUsage: true,
		Args:              cobra.ArbitraryArgs,
		RunE:              group,
		PersistentPreRunE: func(*cobra.Command, []string) error { return a.findHome() },
	}
	f := root.PersistentFlags()
	f.StringVar(&a.home, "home", "", "directory of the node (default $HUM_HOME, else the XDG data directory)")
	f.BoolVar(&a.json, "json", a.json, "answer in JSON, one object a line")
	f.StringVar(&a.passFile, "passphrase-file", "", "read the passphrase from this file (default $HUM_PASSPHRASE_FILE)")
	_ = root.MarkPersistentFlagDirname("home")
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: "node", Title: "Node:"}, &cobra.Group{ID: "people", Title: "People and presence:"},
		&cobra.Group{ID: "messages", Title: "Messages:"})
	root.SetHelpCommandGroupID("node")
	root.SetCompletionCommandGroupID("node")
	a.nodeCommands(root)
	a.communityCommands(root)
	a.handleCommands(root)
	a.homeCommands(root)
	a.recoveryCommands(root)
	a.deviceCommands(root)
	a.peopleCommands(root)
	if offersPresence {
		a.watchCommands(root)
		a.watcherCommands(root)
		a.fetchCommands(root)
		a.presenceCommands(root)
		a.viewCommands(root)
	}
	if offersIM {
		a.messageCommands(root)
		a.ladderCommands(root)
		a.inboxCommands(root)
		a.talkCommands(root)
	}
	a.eventCommands(root)
	a.documentCommands(root)
	a.verifyCommand(root)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	adopt(root)
	return root
}

// adopt gives the commands that cobra brings the words of ours, and an example each.
func adopt(root *cobra.Command) {
	for _, c := range root.Commands() {
		switch c.Name() {
		case "help":
			c.Short = "how a command is used"
			c.Example, c.RunE, c.Run = "  hum help send", help, nil
		case "completion":
			c.Short = "complete commands, flags and petnames in a shell"
			c.Args, c.RunE, c.Example = cobra.ArbitraryArgs, group, "  hum completion bash > ~/.local/share/bash-completion/completions/hum"
			for _, shell := range c.Commands() {
				shell.Short = "print the script for " + shell.Name()
				shell.Example = "  hum completion " + shell.Name()
			}
		}
	}
}

// help shows the help of the command that args name.
func help(c *cobra.Command, args []string) error {
	found, rest, err := c.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return group(found, rest)
	}
	return found.Help()
}

// group is what a command does that only has commands below it.
func group(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			names = append(names, sub.Name())
		}
	}
	return wrongWord(c.CommandPath()+" --help lists all", "command", args[0], names)
}

// wrongWord says that word is not one of words, and which one it may have been meant to be.
func wrongWord(otherwise, what, word string, words []string) error {
	if near := settings.Nearest(word, words); len(near) > 0 {
		return usage(fmt.Sprintf("did you mean %s?", near[0]), "there is no %s %q", what, word)
	}
	return usage(otherwise, "there is no %s %q", what, word)
}

// oneOf checks a word of an enumeration.
func oneOf(what, word string, words ...string) error {
	for _, w := range words {
		if w == word {
			return nil
		}
	}
	return wrongWord("it is one of "+strings.Join(words, ", "), what, word, words)
}

// flagError finds the flag that a wrong one was meant to be.
func flagError(c *cobra.Command, err error) error {
	name, ok := strings.CutPrefix(err.Error(), "unknown flag: --")
	var value *pflag.InvalidValueError
	if errors.As(err, &value) {
		var why any = value.Unwrap()
		if number := (*strconv.NumError)(nil); errors.As(err, &number) {
			why = fmt.Sprintf("%q is no number that it takes", value.GetValue())
		}
		return usage("see: "+c.CommandPath()+" --help", "--%s: %v", value.GetFlag().Name, why)
	}
	if !ok {
		return usage("see: "+c.CommandPath()+" --help", "%s", err)
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, "--"+f.Name) })
	return wrongWord("see: "+c.CommandPath()+" --help", "flag", "--"+name, names)
}

// A command is one line of a table of commands.
type command struct {
	use, short, example string
	long                string   // what help says instead of short, if more must be said
	least, most         int      // arguments; most < 0: any number
	words               []string // that an argument may be, for completion
	flags               func(*pflag.FlagSet)
	run                 func(ctx context.Context, args []string) error
}

// add puts the commands of a table below parent.
func (a *app) add(parent *cobra.Command, group string, table ...command) {
	for _, c := range table {
		cmd := &cobra.Command{
			Use: c.use, Short: c.short, Long: paragraph(c.long), Example: "  " + strings.ReplaceAll(c.example, "\n", "\n  "), GroupID: group,
			Args: c.count, ValidArgs: c.words, DisableFlagsInUseLine: true,
			RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd.Context(), args) },
		}
		switch {
		case strings.Contains(c.use, "WHO"):
			cmd.ValidArgsFunction = a.petnames
		case len(c.words) == 0 && !strings.Contains(c.use, "FILE"):
			cmd.ValidArgsFunction = cobra.NoFileCompletions
		}
		if c.flags != nil {
			c.flags(cmd.Flags())
		}
		parent.AddCommand(cmd)
	}
}

// paragraph folds what help says, so that it fits every terminal.
func paragraph(s string) string { return strings.Join(folded(s, 78), "\n") }

// petnames completes WHO, if a node is there to ask.
func (a *app) petnames(cmd *cobra.Command, before []string, _ string) (names []string, _ cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	if a.findHome() != nil || len(before) > 0 && cmd.Name() != "who" {
		return nil, none
	}
	c, err := control.Dial(a.home)
	if err != nil {
		return nil, none
	}
	defer c.Close()
	r, err := c.Contacts(cmd.Context(), &humv1.ContactsRequest{})
	if err != nil {
		return nil, none
	}
	for _, c := range r.Contacts {
		if c.Petname != "" {
			names = append(names, clean(c.Petname))
		}
	}
	return names, none
}

// count checks the number of arguments.
func (c *command) count(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) < c.least:
		return usage("see: "+cmd.CommandPath()+" --help", "%s: something is missing: %s", cmd.Name(), cmd.UseLine())
	case c.most >= 0 && len(args) > c.most:
		return usage("put words that belong together in quotes", "%s: %q is one word too many: %s", cmd.Name(), args[c.most], cmd.UseLine())
	}
	return nil
}

// online makes the run of a command that needs the running node of a person.
func (a *app) online(do func(ctx context.Context, c *control.Client, args []string) error) func(context.Context, []string) error {
	return a.asking(func(ctx context.Context, c *control.Client, args []string) error {
		err := do(ctx, c, args)
		if control.Unknown(err) {
			if _, other := c.CommunityStatus(ctx, &humv1.CommunityStatusRequest{}); other == nil {
				return usage("see: hum community --help", "the node of this home is a community's, and nobody's own: it has no presence, contacts or messages; an interrupt stops it")
			}
		}
		return err
	})
}

// asking makes the run of a command that needs the running node, whosever it is.
func (a *app) asking(do func(ctx context.Context, c *control.Client, args []string) error) func(context.Context, []string) error {
	return func(ctx context.Context, args []string) error {
		c, err := control.Dial(a.home)
		if err != nil {
			return err
		}
		defer c.Close()
		return do(ctx, c, args)
	}
}
