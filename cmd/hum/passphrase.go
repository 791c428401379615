package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/hum-presence/hum/node"
)

// passphrase is the one that opens the home: of the file that was named, else asked for.
func (a *app) passphrase() ([]byte, error) {
	return a.askOr(or(a.passFile, a.env("HUM_PASSPHRASE_FILE")), "Passphrase: ")
}

// askOr reads a passphrase from file, else from whoever sits at the terminal.
func (a *app) askOr(file, prompt string) ([]byte, error) {
	if file != "" {
		return readPassphrase(file)
	}
	if a.secret == nil {
		return nil, &node.Error{Code: "passphrase", Message: "a passphrase is needed, and nobody is there to be asked",
			Advice: "name a file with it: --passphrase-file"}
	}
	return a.secret(prompt)
}

// newPassphrase is one that is chosen now: from file, else asked for twice. It is not empty.
func (a *app) newPassphrase(file, what string) ([]byte, error) {
	p, err := a.askOr(file, what+": ")
	if err != nil {
		return nil, err
	}
	if len(p) == 0 {
		return nil, usage("choose some words", "an empty passphrase protects nothing")
	}
	if file == "" {
		again, err := a.secret(what + ", once more: ")
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(p, again) {
			return nil, usage("try again", "the two passphrases differ")
		}
	}
	return p, nil
}

// readPassphrase takes the first line of file.
func readPassphrase(file string) ([]byte, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, usage("", "passphrase file: %v", err)
	}
	p, _, _ := bytes.Cut(b, []byte("\n"))
	if p = bytes.TrimSuffix(p, []byte("\r")); len(p) == 0 {
		return nil, fmt.Errorf("passphrase file %s is empty", file)
	}
	return p, nil
}
