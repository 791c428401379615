package main

import (
	"context"
	"crypto/rand"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
	"github.com/hum-presence/hum/node/conformance"
	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

const aboutDoctor = `Look for what is wrong, and say what to do about it. With a running node the network is looked at too.
--reset-clock wants it stopped.
--conformance tries this program instead: it runs two nodes on this machine, in homes of their own that are gone after
it, and leads them through what the protocol promises of a service class, a row for each promise. The class is that of
the running node of this home, else of all that this program offers: P for presence only, M for messages only, P+M for
both. The exit code is 1 if a row fails. It takes about ten seconds.`

// conformance shows row by row whether this program does what its service class promises.
func (a *app) conformance(ctx context.Context) error {
	services := offered()
	c, err := control.Dial(a.home)
	if err == nil {
		s, err := c.Status(ctx, &humv1.StatusRequest{})
		c.Close()
		if err != nil {
			return err
		}
		services = s.Services
	}
	failed := false
	err = a.local.Conformance(ctx, services, func(c node.Check) {
		failed = failed || !c.OK
		row := &humv1.Check{Check: c.Check, Ok: c.OK, Detail: c.Detail, Advice: c.Advice}
		_ = a.show(row, func() { a.check(row) })
		_ = a.flush()
	})
	if err == nil && failed {
		return outcome(exitFailed)
	}
	return err
}

func (homes) Conformance(ctx context.Context, services []string, tell func(node.Check)) error {
	var s identity.Services
	for _, name := range services {
		s |= map[string]identity.Services{"im": identity.Inbox, "presence": identity.Presentity}[name]
	}
	return conformance.Run(ctx, conformance.ClassOf(s), node.SystemClock(), rand.Reader, tell)
}
