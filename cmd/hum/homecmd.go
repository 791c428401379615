package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// homeCommands are those about what is kept on disk; they need no running node.
func (a *app) homeCommands(root *cobra.Command) {
	var name, services, file string
	var recover bool
	var index uint32
	sealFlag := func(f *pflag.FlagSet) {
		f.StringVar(&file, "backup-passphrase-file", "", "read the backup's passphrase from this file (default: that of --passphrase-file)")
	}
	a.add(root, "node",
		command{use: "init [flags]", short: "make an identity; shows its recovery words once",
			example: "hum init --name Alice\nhum init --recover < words.txt",
			flags: func(f *pflag.FlagSet) {
				f.StringVar(&name, "name", "", "the name to suggest on cards")
				f.StringVar(&services, "services", strings.Join(offered(), ","), "what the address is for: im, presence or both")
				f.BoolVar(&recover, "recover", false, "read recovery words from stdin: the same address, a new device key")
				f.Uint32Var(&index, "index", 0, "which address of these words, 0 being the first")
			},
			run: func(context.Context, []string) error { return a.init(name, services, recover, index) }},
		command{use: "backup FILE [flags]", short: "write an encrypted copy of the home, without device keys", least: 1, most: 1,
			example: "hum backup hum-2026-01.backup", flags: sealFlag,
			run: func(ctx context.Context, args []string) error { return a.backup(ctx, args[0], file) }},
		command{use: "restore FILE [flags]", short: "make a home of a backup; it gets a new device key", least: 1, most: 1,
			example: "hum --home ~/hum2 restore hum-2026-01.backup", flags: sealFlag,
			run: func(_ context.Context, args []string) error { return a.restore(args[0], file) }},
	)
	a.passphraseCommands(root)
}

// offered are the services that this build makes addresses for.
func offered() (services []string) {
	if offersIM {
		services = append(services, "im")
	}
	if offersPresence {
		services = append(services, "presence")
	}
	return services
}

// initConfig reads what init needs; the keys are sealed if a passphrase file was named.
func (a *app) initConfig(name, services string) (initConfig, error) {
	c := initConfig{Name: name}
	for _, s := range strings.Split(services, ",") {
		if err := oneOf("service", s, offered()...); err != nil {
			return c, err
		}
		c.IM = c.IM || s == "im"
		c.Presence = c.Presence || s == "presence"
	}
	if file := or(a.passFile, a.env("HUM_PASSPHRASE_FILE")); file != "" {
		p, err := readPassphrase(file)
		c.Passphrase = p
		return c, err
	}
	return c, nil
}

// maxWords is more than 24 words can take, in bytes.
const maxWords = 4096

func (a *app) init(name, services string, recover bool, index uint32) error {
	c, err := a.initConfig(name, services)
	if err != nil {
		return err
	}
	if c.Index = index; index != 0 && !recover {
		return usage("with --recover", "--index is a further address of words that exist")
	}
	if recover {
		if c.Words, err = a.readWords("hum init --recover < words.txt"); err != nil {
			return err
		}
	}
	made, err := a.local.Init(a.home, c)
	if err != nil {
		return err
	}
	if a.json {
		return a.line(made)
	}
	a.say("%s\nfingerprint %s", made.Address, made.Fingerprint)
	if !recover {
		if err := a.showWords(a.out, made); err != nil {
			return err
		}
	} else {
		a.say("this device has a new key: the device that you lost is refused by each contact who hears of this one,\nat the latest 30 days after it last signed for your address")
		a.say("who is on the roster, and what they may do, is in a backup alone: hum restore")
		a.say("if somebody may have opened the keys of the lost device, leave the address: hum succeed")
	}
	a.hint("next: hum up")
	return nil
}

// showWords shows what recovers the address, once: hum keeps no copy.
func (a *app) showWords(w io.Writer, c created) error {
	_, err := fmt.Fprintf(w, "recovery words, shown once; who has them is you, so write them down and hide them:\n")
	words := strings.Fields(c.Words)
	for i := 0; i < len(words) && err == nil; i += 6 {
		_, err = fmt.Fprintf(w, "  %s\n", strings.Join(words[i:min(i+6, len(words))], " "))
	}
	return err
}

// backupPassphrase is named apart, or the one of the home's file.
func (a *app) backupPassphrase(file string) string {
	return or(file, or(a.passFile, a.env("HUM_PASSPHRASE_FILE")))
}

func (a *app) backup(ctx context.Context, file, passFile string) error {
	file, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	p, err := a.newPassphrase(a.backupPassphrase(passFile), "Passphrase of the backup")
	if err != nil {
		return err
	}
	r := &humv1.BackupResponse{File: file}
	c, err := control.Dial(a.home)
	switch {
	case err == nil:
		defer c.Close()
		r, err = c.Backup(ctx, &humv1.BackupRequest{File: file, Passphrase: p})
	case control.Explain(err).Code == control.CodeNotRunning:
		r.Bytes, err = a.local.Backup(a.home, a.passphrase, file, p)
	}
	if err != nil {
		return err
	}
	return a.show(r, func() { a.say("%s, %s", r.File, size(r.Bytes)) })
}

func (a *app) restore(file, passFile string) error {
	if err := a.local.Restorable(file, a.home); err != nil { // before somebody types a passphrase for it
		return err
	}
	p, err := a.askOr(a.backupPassphrase(passFile), "Passphrase of the backup: ")
	if err != nil {
		return err
	}
	r, err := a.local.Restore(file, a.home, p)
	if err != nil {
		return err
	}
	return a.show(r, func() {
		a.say("restored %s into %s", r.Address, a.home)
		a.say("this device has a new key: do not run the old home and this one side by side")
		if r.Pair {
			a.say("it does not hold the key of the address, so an admin device has to add it again: hum device add here,\nand there hum device add CODE; it keeps what it holds")
			return
		}
		a.hint("next: hum up")
	})
}

func (a *app) passphraseCommands(root *cobra.Command) {
	parent := &cobra.Command{Use: "passphrase", Short: "seal the keys of this home, or take the seal off", GroupID: "node",
		Example: "  hum passphrase set\n  hum passphrase change\n  hum passphrase clear", Args: cobra.ArbitraryArgs, RunE: group}
	var file string
	flags := func(f *pflag.FlagSet) {
		f.StringVar(&file, "new-passphrase-file", "", "read the new passphrase from this file")
	}
	a.add(parent, "",
		command{use: "set [flags]", short: "seal keys that lie open", example: "hum passphrase set", flags: flags,
			run: func(ctx context.Context, _ []string) error { return a.seal(ctx, a.backupPassphrase(file)) }},
		command{use: "change [flags]", short: "seal them with another passphrase", example: "hum passphrase change", flags: flags,
			run: func(ctx context.Context, _ []string) error { return a.seal(ctx, file) }},
		command{use: "clear", short: "let the keys lie open, protected by file modes only", example: "hum passphrase clear",
			run: func(ctx context.Context, _ []string) error { return a.setPassphrase(ctx, nil) }},
	)
	root.AddCommand(parent)
}

func (a *app) seal(ctx context.Context, file string) error {
	p, err := a.newPassphrase(file, "New passphrase")
	if err != nil {
		return err
	}
	return a.setPassphrase(ctx, p)
}

// setPassphrase goes through the running node, which holds the keys, if there is one.
func (a *app) setPassphrase(ctx context.Context, p []byte) error {
	c, err := control.Dial(a.home)
	switch {
	case err == nil:
		defer c.Close()
		_, err = c.SetPassphrase(ctx, &humv1.SetPassphraseRequest{Passphrase: p})
	case control.Explain(err).Code == control.CodeNotRunning:
		err = a.local.Passphrase(a.home, a.passphrase, p)
	}
	if err != nil {
		return err
	}
	return a.show(&humv1.SetPassphraseResponse{Sealed: p != nil}, func() {
		if p == nil {
			a.say("the keys of this home are not sealed any more")
			return
		}
		a.say("the keys of this home are sealed")
	})
}
