// Command hum is presence and instant messages without a central server: the node, and the commands
// that talk to it. Each command is one call of the node's local API (node/control) and one way to show
// the answer; what must not change of them is docs/cli.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/control"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	out := bufio.NewWriterSize(os.Stdout, 1<<16)
	a := &app{
		in: os.Stdin, out: out, err: os.Stderr, flush: out.Flush, env: os.Getenv, now: time.Now,
		terminal: term.IsTerminal(int(os.Stdout.Fd())), local: homes{}, handle: handle,
	}
	if a.terminal {
		a.width, _, _ = term.GetSize(int(os.Stdout.Fd())) // 0, if it will not say: tables are as wide as they are
	}
	if term.IsTerminal(int(os.Stdin.Fd())) {
		a.secret, a.console = askTerminal, openConsole
	}
	os.Exit(a.run(ctx, os.Args[1:]))
}

// askTerminal asks for what must not be seen.
func askTerminal(prompt string) ([]byte, error) {
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(int(os.Stdin.Fd()))
}

// An app is one run of the command line, with everything that it can reach.
type app struct {
	in       io.Reader
	out, err io.Writer
	flush    func() error // of out
	env      func(string) string
	now      func() time.Time
	terminal bool                                // out is one
	width    int                                 // of the terminal, in letters; 0: whatever is written fits
	secret   func(prompt string) ([]byte, error) // nil: nobody is there to be asked
	local    local
	console  func() (*console, error)                             // takes the terminal; its result is nil if there is none
	readLine func() (string, error)                               // of a console; nil: lines are read from in
	handle   func(ctx context.Context, program, uri string) error // opens a contact with a program of the user's

	home     string // of the node; filled in before a command runs
	json     bool
	passFile string
}

// The exit codes of docs/cli.md.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
	exitNotRunning  = 5
)

// An outcome ends a command whose answer is already on the screen with a code that is not 0.
type outcome int

func (o outcome) Error() string { return fmt.Sprintf("ended with %d", int(o)) }

// run returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	a.json = wantsJSON(args) // known before flags are parsed, for errors in flags
	root := a.root()
	root.SetArgs(args)
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	err := root.ExecuteContext(ctx)
	return a.finish(ctx, err, a.flush())
}

func wantsJSON(args []string) bool {
	for _, s := range args {
		if s == "--" {
			return false
		}
		if s == "--json" || s == "--json=true" {
			return true
		}
	}
	return false
}

// finish tells of err and returns the code for it. flushed is the first error that writing to the screen met: a pipe
// that is broken there says that whoever read has enough, one to the node that the node has died.
func (a *app) finish(ctx context.Context, err, flushed error) int {
	var o outcome
	switch {
	case errors.As(err, &o):
		return int(o)
	case errors.Is(flushed, syscall.EPIPE) && (err == nil || errors.Is(err, syscall.EPIPE)):
		return exitDone
	case err == nil && flushed == nil:
		return exitDone
	case err == nil:
		err = flushed
	}
	e := control.Explain(err)
	if ctx.Err() != nil && !errors.As(err, new(*node.Error)) {
		e = &node.Error{Code: "interrupted", Message: "interrupted"}
	}
	a.tell(e)
	return codeOf(e)
}

func codeOf(e *node.Error) int {
	if e.Code == control.CodeNotRunning {
		return exitNotRunning
	}
	switch e.Kind {
	case node.KindUsage:
		return exitUsage
	case node.KindRefused:
		return exitRefused
	case node.KindUnreachable:
		return exitUnreachable
	}
	return exitFailed
}

// usage is an error in what was typed.
func usage(advice, format string, args ...any) error {
	return &node.Error{Kind: node.KindUsage, Code: control.CodeUsage, Message: fmt.Sprintf(format, args...), Advice: advice}
}

// findHome settles which home this run is about.
func (a *app) findHome() error {
	if a.home == "" {
		a.home = a.env("HUM_HOME")
	}
	if a.home == "" {
		data := a.env("XDG_DATA_HOME")
		if !filepath.IsAbs(data) { // XDG: a relative path is to be ignored
			if a.env("HOME") == "" {
				return usage("give one with --home", "no home directory is known")
			}
			data = filepath.Join(a.env("HOME"), ".local", "share")
		}
		a.home = filepath.Join(data, "hum")
	}
	abs, err := filepath.Abs(a.home)
	a.home = abs
	return err
}
