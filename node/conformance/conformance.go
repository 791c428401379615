// Package conformance tells whether this program does what its service class promises (SPEC 0): P for presence
// only, M for messages only, P+M for both. It runs two nodes on loopback, the one that is tried and a neighbour with
// both services, leads them through what the protocol says of the class, and reports row by row. It touches no home
// but its own, in a directory for the time being, and nobody else hears of it.
package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

// A Class is a service class of SPEC 0.
type Class string

// The service classes.
const (
	P  Class = "P"
	M  Class = "M"
	PM Class = "P+M"
)

// ClassOf is the class of an address with these services.
func ClassOf(s identity.Services) Class {
	switch s {
	case identity.Presentity:
		return P
	case identity.Inbox:
		return M
	}
	return PM
}

func (c Class) services() identity.Services {
	switch c {
	case P:
		return identity.Presentity
	case M:
		return identity.Inbox
	}
	return identity.Inbox | identity.Presentity
}

// patience bounds the wait for each step.
const patience = 30 * time.Second

// Run tries the class and calls tell with each row as soon as it is known. The rows of one that fails go on with
// the next; the error is that of a trial that could not begin.
func Run(ctx context.Context, class Class, clock func() identity.Now, rand io.Reader, tell func(node.Check)) error {
	tell(node.Check{Check: "class " + string(class), OK: true, Detail: "profiles C0 core and C1 presence of hum/1, on two nodes of its own"})
	return run(ctx, class, class.services(), clock, rand, tell)
}

// run is Run of an address with other services than the class has, as a test of the trial itself needs it.
func run(ctx context.Context, class Class, has identity.Services, clock func() identity.Now, rand io.Reader, tell func(node.Check)) (err error) {
	dir, err := os.MkdirTemp("", "hum-conformance-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	t := &trial{}
	for name, services := range map[string]identity.Services{"tried": has, "other": identity.Inbox | identity.Presentity} {
		n, end, err := begin(filepath.Join(dir, name), name, services, clock, rand)
		if err != nil {
			return err
		}
		defer func() { _ = end() }()
		if name == "tried" {
			t.tried = n
		} else {
			t.other = n
		}
	}
	for _, r := range rows {
		if !r.isFor(class) {
			continue
		}
		c := node.Check{Check: r.section + " " + r.name, OK: true, Detail: r.wants}
		step, done := context.WithTimeout(ctx, patience)
		if err := r.try(step, t); err != nil {
			c.OK, c.Detail, c.Advice = false, fmt.Sprintf("%s: %v", r.wants, err), "this is a fault of the program: please report it, with hum version"
		}
		done()
		tell(c)
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// only marks a row that is for one service without the other.
func only(c Class) Class { return c + " only" }

func (r row) isFor(c Class) bool {
	return r.class == "" || r.class == c || r.class == only(c) || c == PM && (r.class == P || r.class == M)
}

// A trial is two nodes that know of each other what their cards say.
type trial struct {
	tried, other *node.Node
}

// begin makes an identity and runs it on loopback.
func begin(home, name string, services identity.Services, clock func() identity.Now, rand io.Reader) (n *node.Node, end func() error, err error) {
	if _, err := node.Init(home, node.InitConfig{Name: name, Services: services, Clock: clock, Rand: rand}); err != nil {
		return nil, nil, err
	}
	if n, err = node.Open(node.Config{Home: home, Clock: clock, Rand: rand, IdleAfter: -1, Listen: []string{"/ip4/127.0.0.1/tcp/0"}}); err != nil {
		return nil, nil, err
	}
	run, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(run) }()
	<-n.Ready()
	return n, func() error {
		stop()
		return errors.Join(<-ended, n.Close())
	}, nil
}
