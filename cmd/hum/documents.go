package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const aboutExportPIDF = `Write presence as a PIDF document (RFC 3863, with RPID and its family): mine, as the members of a view see it, or
that of WHO, as far as his word still holds. What was imported is written in its own octets; --composed makes one
document of all that his devices say, also then. It is about his address, or, if WHO is a handle, about that name.`

const aboutImportPIDF = `Publish the services of a PIDF document as mine, beside my inbox: telephone, mail, sip, and whatever else it
says. They replace those of an earlier import, and so do its notes, contacts and activities. Up to 3 KiB the octets
are carried unchanged, with all that hum does not understand, to whoever may see all of my presence. FILE - is
stdin; --remove takes back what was imported. With --view it is said in that view alone, which from then on has a
choice of its own: hum view V --common ends that.`

const aboutImportRules = `Take over a presence authorization document (RFC 4745, RFC 5025): from then on everybody is granted what its
rules grant him, and no more. Each rule that shows something is a view; what only holds at times, or names somebody
who has no hum address, is left out and told. Blocks of people whom it does not name stay. To keep what holds now:
hum export pres-rules --out FILE.`

const aboutLaunch = `Open another kind of session with somebody: his contact for it is handed to a program of yours, as its one
argument. KIND is voice (tel:, sip:), video (sip:), mail (mailto:), page (sms:) or web (https:). Of the services that he says
are open the one of the highest priority counts. The program is $HUM_LAUNCH, else launch in config.toml, else the
system's own; hum carries no voice or video itself.`

// documentCommands are those about standard documents and other kinds of sessions.
func (a *app) documentCommands(root *cobra.Command) {
	export := &cobra.Command{Use: "export", Short: "standard documents", GroupID: "people", Example: "  hum export pidf\n  hum export pidf bob --out bob.xml",
		Args: cobra.ArbitraryArgs, RunE: group}
	run, flags := a.export()
	a.add(export, "",
		command{use: "pidf [WHO] [flags]", short: "presence, mine or somebody's", long: aboutExportPIDF, most: 1, flags: flags, run: a.online(run),
			example: "hum export pidf\nhum export pidf bob --out bob.xml\nhum export pidf --view friends"},
		a.exportOf(node.KindWinfo, "who watches me, who asked, and what became of it (RFC 3858)"),
		a.exportOf(node.KindRules, "who may watch me, and what each is shown (RFC 5025)"),
		a.exportMessage(node.KindCPIM, "a message as other systems carry it (RFC 3862)", aboutCPIM),
		a.exportMessage(node.KindIMDN, "what became of a message (RFC 5438)", aboutIMDN),
		a.exportMessage(node.KindReceipt, "proof of a message and of its receipt, for anybody", aboutReceipt),
		a.exportNotice())
	imports := &cobra.Command{Use: "import", Short: "take over a standard document", GroupID: "people", Example: "  hum import pidf me.xml",
		Args: cobra.ArbitraryArgs, RunE: group}
	var remove bool
	var in string
	a.add(imports, "",
		command{use: "pidf FILE", short: "publish the services of a presence document as mine", long: aboutImportPIDF, most: 1,
			example: "hum import pidf me.xml\nhum import pidf work.xml --view work\nhum import pidf --remove",
			flags: func(f *pflag.FlagSet) {
				f.BoolVar(&remove, "remove", false, "take back what was imported")
				f.StringVar(&in, "view", "", "in one view alone")
			},
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				return a.importFile(ctx, c, &humv1.ImportRequest{Kind: node.KindPIDF, View: in}, remove, args)
			})},
		command{use: "pres-rules FILE", short: "have a document say who may watch me, and what each is shown", long: aboutImportRules, least: 1, most: 1,
			example: "hum import pres-rules rules.xml",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				return a.importFile(ctx, c, &humv1.ImportRequest{Kind: node.KindRules}, false, args)
			})},
		command{use: "cpim FILE", short: "send a message of another system, unchanged, to whom it says it is for", long: aboutImportCPIM, least: 1, most: 1,
			example: "hum import cpim note.cpim",
			run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
				return a.importFile(ctx, c, &humv1.ImportRequest{Kind: node.KindCPIM}, false, args)
			})})
	root.AddCommand(export, imports)
	var only bool
	a.add(root, "people", command{use: "launch WHO KIND [flags]", short: "open a call, a mail or a page with somebody", long: aboutLaunch, least: 2, most: 2,
		example: "hum launch bob voice\nhum launch bob mail --print",
		flags:   func(f *pflag.FlagSet) { f.BoolVar(&only, "print", false, "only say which contact it is") },
		run: a.online(func(ctx context.Context, c *control.Client, args []string) error {
			return a.launch(ctx, c, args, only)
		})})
}

// export is the command that writes a document, and its flags.
func (a *app) export() (func(context.Context, *control.Client, []string) error, func(*pflag.FlagSet)) {
	var view, out string
	var composed bool
	flags := func(f *pflag.FlagSet) {
		f.StringVar(&view, "view", "", "of mine: as the members of this view see it")
		f.StringVarP(&out, "out", "o", "", "write to this file, which must not exist")
		f.BoolVar(&composed, "composed", false, "compose it of all that is said, instead of giving out what was imported")
	}
	return func(ctx context.Context, c *control.Client, args []string) error {
		q := &humv1.ExportRequest{Kind: node.KindPIDF, View: view, Composed: composed}
		if len(args) > 0 {
			q.Who = args[0]
			if view != "" {
				return usage("leave out one of them", "a view is one of mine, and %s has his own", q.Who)
			}
		}
		r, err := c.Export(ctx, q)
		if err != nil {
			return err
		}
		return a.document(r, out)
	}, flags
}

// exportOf is the command that writes a document of mine.
func (a *app) exportOf(kind, short string) command {
	var out string
	return command{use: kind + " [flags]", short: short, example: "hum export " + kind + "\nhum export " + kind + " --out me.xml",
		flags: func(f *pflag.FlagSet) { f.StringVarP(&out, "out", "o", "", "write to this file, which must not exist") },
		run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
			r, err := c.Export(ctx, &humv1.ExportRequest{Kind: kind})
			if err != nil {
				return err
			}
			return a.document(r, out)
		})}
}

// document writes an exported document to a file, or as it is: the octets, and nothing else.
func (a *app) document(r *humv1.Exported, file string) error {
	content := r.Octets
	if r.Document != "" {
		content = []byte(r.Document)
	}
	if file == "" && a.json {
		return a.line(r)
	}
	return a.keep(r, content, or(file, "-"))
}

// maxDocument is more than the node takes, so that it is the node that says so.
const maxDocument = 1 << 20

func (a *app) importFile(ctx context.Context, c *control.Client, i *humv1.ImportRequest, remove bool, args []string) error {
	switch {
	case remove && len(args) > 0:
		return usage("give one of them", "a file and --remove exclude each other")
	case !remove && len(args) == 0:
		return usage("for example: hum import "+i.Kind+" me.xml", "which file?")
	case !remove:
		var err error
		if i.Content, err = a.readFile(args[0]); err != nil {
			return err
		}
		if len(i.Content) == 0 {
			return usage("", "%s is empty", args[0])
		}
	}
	r, err := c.Import(ctx, i)
	return answer(a, r, err, func() { a.imported(r, remove) })
}

// readFile reads a file, or stdin for -.
func (a *app) readFile(file string) ([]byte, error) {
	if file == "-" {
		return io.ReadAll(io.LimitReader(a.in, maxDocument))
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, usage("", "%v", err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxDocument))
}

func (a *app) imported(r *humv1.Imported, removed bool) {
	if r.Sent != nil {
		a.say("to %s: %s  %s", clean(name(r.Sent.ToName, "", r.Sent.To)), r.Sent.State, r.Sent.Id)
		return
	}
	if r.Kind == node.KindRules {
		a.say("taken over: %s", plural(r.Rules, "rule"))
	} else if removed {
		a.say("what was imported is published no more")
		return
	} else {
		a.say("published: %s, %s, %s", plural(r.Tuples, "service"), plural(r.Notes, "note"), plural(int64(len(r.Contacts)), "contact"))
	}
	for _, s := range r.Skipped {
		a.say("  not used: %s", clean(s))
	}
	if r.Kept {
		a.say("the document itself is carried along, octet for octet")
	}
}

func (a *app) launch(ctx context.Context, c *control.Client, args []string, only bool) error {
	r, err := c.Launch(ctx, &humv1.LaunchRequest{Who: args[0], Kind: args[1]})
	if err != nil {
		return err
	}
	if !only {
		program, err := a.handler()
		if err != nil {
			return err
		}
		if err := a.handle(ctx, program, r.Uri); err != nil {
			return &node.Error{Code: "no-handler", Message: fmt.Sprintf("%s did not open %s: %v", program, r.Uri, err),
				Advice: "name another program: HUM_LAUNCH=…, or launch in config.toml; or open it yourself: hum launch WHO KIND --print"}
		}
	}
	return a.show(r, func() { a.say("%s", clean(r.Uri)) })
}

// handler is the program that opens contacts.
func (a *app) handler() (string, error) {
	if p := a.env("HUM_LAUNCH"); p != "" {
		return p, nil
	}
	s, err := node.LoadSettings(a.home)
	if err != nil || s.Launch != "" {
		return s.Launch, err
	}
	switch runtime.GOOS {
	case "darwin":
		return "open", nil
	case "windows":
		return "explorer.exe", nil
	}
	return "xdg-open", nil
}

// handle runs a program with a URI as its one argument. No shell sees it, and it is no flag: it begins with
// its scheme.
func handle(ctx context.Context, program, uri string) error {
	cmd := exec.CommandContext(ctx, program, uri)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stderr, os.Stderr
	return cmd.Run()
}
