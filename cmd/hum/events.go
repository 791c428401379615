package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/hum-presence/hum/node/control"
	"github.com/hum-presence/hum/node/control/humv1"
)

// eventCommands are those about what happened.
func (a *app) eventCommands(root *cobra.Command) {
	var follow bool
	var since uint64
	a.add(root, "messages", command{use: "events [flags]", short: "everything that happened, numbered",
		example: "hum events --since 100\nhum events --follow --json",
		flags: func(f *pflag.FlagSet) {
			f.BoolVarP(&follow, "follow", "f", false, "go on with what happens, until interrupted")
			f.Uint64Var(&since, "since", 0, "begin after this number")
		},
		run: a.online(func(ctx context.Context, c *control.Client, _ []string) error {
			return a.follow(ctx, c, &humv1.EventsRequest{Since: &since, Follow: follow}, func(r *humv1.EventsResponse) error {
				e := r.GetEvent()
				return a.show(e, func() { a.event(e) })
			})
		})})
}

// event is one line for people.
func (a *app) event(e *humv1.Event) {
	who := e.Name
	if who == "" && e.Address != "" {
		who = short(e.Address)
	}
	more := e.Text
	if e.Kind == "message" || e.Kind == "ack" {
		more = strings.TrimSpace(shortID(e.Id) + "  " + more)
	}
	if e.Superseded > 0 {
		more = strings.TrimSpace(fmt.Sprintf("%s (%d before it superseded)", more, e.Superseded))
	}
	a.print(table{rows: [][]string{{
		fmt.Sprintf("%5d", e.N), e.At.AsTime().Local().Format("2006-01-02 15:04:05"), fmt.Sprintf("%-12s", e.Kind),
		fmt.Sprintf("%-17s", or(who, "-")), or(e.State, "-") + because(e.Reason) + hinted(e.Hint), more,
	}}})
}

// follow hands every item of a stream of events to do, until the stream ends or the user interrupts. A
// stream that was cut off because it was read too slowly is taken up where it broke.
func (a *app) follow(ctx context.Context, c *control.Client, ask *humv1.EventsRequest, do func(*humv1.EventsResponse) error) error {
	for {
		last, err := a.read(ctx, c, ask, do)
		switch {
		case ctx.Err() != nil || errors.Is(err, io.EOF):
			return nil
		case control.Explain(err).Code != control.CodeTooSlow:
			return err
		}
		ask = &humv1.EventsRequest{Since: &last, Follow: ask.Follow}
	}
}

// read is one stream; it returns the number of the last event, and why it ended.
func (a *app) read(ctx context.Context, c *control.Client, ask *humv1.EventsRequest, do func(*humv1.EventsResponse) error) (last uint64, err error) {
	stream, err := c.Events(ctx, ask)
	if err != nil {
		return 0, err
	}
	defer func() { _ = stream.Close() }()
	last = ask.GetSince()
	for {
		r, err := stream.Receive()
		if err != nil {
			return last, err
		}
		last = max(last, r.GetEvent().GetN(), r.GetSnapshot().GetN())
		if err := do(r); err != nil {
			return last, err
		}
		if err := a.flush(); err != nil {
			return last, err
		}
	}
}
