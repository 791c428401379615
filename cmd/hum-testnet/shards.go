package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hum-presence/hum/testnet/measure"
	"github.com/hum-presence/hum/testnet/shard"
	"github.com/hum-presence/hum/testnet/sim"
	"github.com/hum-presence/hum/testnet/virtual"
)

// runHash is what all shards of a run must have in common.
func runHash(l loaded) string {
	h := sha256.New()
	fmt.Fprintf(h, "%d nodes, seed %d, %s, overlay %s\n%s", len(l.plan.Nodes), l.plan.Seed, runtime.Version(), virtual.Overlay(), l.text)
	return fmt.Sprintf("%x", h.Sum(nil))
}

// listenAt opens what --listen and --join name.
func listenAt(where string) (net.Listener, error) {
	kind, address, err := socketOf(where)
	if err != nil {
		return nil, fmt.Errorf("--listen %w", err)
	}
	return net.Listen(kind, address)
}

func socketOf(where string) (kind, address string, err error) {
	kind, address, ok := strings.Cut(where, ":")
	if !ok || kind != "unix" && kind != "tcp" {
		return "", "", &usageError{errors.New("takes unix:FILE or tcp:HOST:PORT, where the run listens")}
	}
	return kind, address, nil
}

// shardArgs start one shard of a run, but for its number.
func (f *runFlags) shardArgs(arg string, l loaded, at string) []string {
	args := append([]string{"shard", arg, "--join", at, "--of", fmt.Sprint(f.shards), "--seed", fmt.Sprint(l.plan.Seed)}, f.size()...)
	for _, s := range f.sets {
		args = append(args, "--set", s)
	}
	return args
}

// gathered runs a plan in processes that others start, on one virtual clock.
func (f *runFlags) gathered(arg string, l loaded, o sim.Options, stop func() bool) (r measure.Result, err error) {
	if _, err := sim.Lookahead(l.plan, f.shards); err != nil {
		return r, &usageError{err}
	}
	listener, err := listenAt(f.listen)
	if err != nil {
		return r, err
	}
	defer listener.Close()
	at := listener.Addr().Network() + ":" + listener.Addr().String()
	words := append([]string{"hum-testnet"}, f.shardArgs(arg, l, at)...)
	for i, w := range words {
		words[i] = quote(w)
	}
	fmt.Fprintf(os.Stderr, "waiting for %d shards of the same program, numbered from 0:\n  %s --index 0\n", f.shards, strings.Join(words, " "))
	o.Refused = func(err error) { fmt.Fprintln(os.Stderr, "not let in:", err) }
	over := make(chan struct{})
	defer close(over)
	go func() { // who waits for shards to come is asked by nobody else whether to stop
		for {
			select {
			case <-over:
				return
			case <-time.After(200 * time.Millisecond):
				if stop() {
					listener.Close()
				}
			}
		}
	}()
	if r, err = sim.RunShards(l.plan, o, listener, f.shards, runHash(l)); err != nil && stop() {
		return r, nil // what is known of it is kept, and says that it is partial
	}
	return r, err
}

// sharded runs a plan in several processes of this program, on one virtual clock.
func (f *runFlags) sharded(arg string, l loaded, o sim.Options, stop func() bool) (r measure.Result, err error) {
	if _, err := sim.Lookahead(l.plan, f.shards); err != nil {
		return r, &usageError{err}
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	dir, err := os.MkdirTemp("", "hum-testnet-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	at := "unix:" + filepath.Join(dir, "clock")
	listener, err := listenAt(at)
	if err != nil {
		return r, err
	}
	defer listener.Close()
	args := f.shardArgs(arg, l, at)
	var children []*exec.Cmd
	ended := make(chan error, f.shards)
	for i := range f.shards {
		c := exec.Command(self, append(args, "--index", fmt.Sprint(i))...)
		c.Stderr = os.Stderr
		if err = c.Start(); err != nil {
			break
		}
		children = append(children, c)
		go func() {
			if err := c.Wait(); err != nil {
				listener.Close() // if it never came, nobody waits for it
				ended <- fmt.Errorf("shard %d: %w", i, err)
				return
			}
			ended <- nil
		}()
	}
	kill := func() {
		for _, c := range children {
			_ = c.Process.Kill()
		}
	}
	defer kill()
	if err != nil {
		return r, err
	}
	progress := o.Progress
	o.Progress = func(p sim.Progress) {
		if stop() {
			kill()
		}
		if progress != nil {
			progress(p)
		}
	}
	if r, err = sim.RunShards(l.plan, o, listener, f.shards, runHash(l)); err != nil {
		kill()
		if stop() {
			return r, nil // what is known of it is kept, and says that it is partial
		}
	}
	for range children {
		if e := <-ended; err == nil {
			err = e
		}
	}
	return r, err
}

// shardCommand is one process of a run that is spread over several. run starts them itself; on other machines people do.
func shardCommand() *cobra.Command {
	var w what
	var join string
	var index, of int
	c := &cobra.Command{
		Use: "shard SCENARIO", Short: "be one process of a run over several, which run --engine cluster waits for; run --shards starts its own", Args: cobra.ExactArgs(1),
		Example: "  hum-testnet shard working-day --nodes 1000 --seed 1 --index 1 --of 2 --join unix:/tmp/clock",
		RunE: func(_ *cobra.Command, args []string) error {
			l, err := w.load(args[0])
			if err != nil {
				return err
			}
			kind, address, err := socketOf(join)
			if err != nil {
				return fmt.Errorf("--join %w", err)
			}
			conn, err := net.Dial(kind, address)
			if err != nil {
				return err
			}
			m, err := shard.Join(conn, index, of, runHash(l))
			if err != nil {
				return err
			}
			collect(l.plan, of)
			virtual.Run(l.plan.Seed, func() { _, err = sim.Run(l.plan, sim.Options{Shard: m}) })
			return err
		},
	}
	w.flags(c)
	c.Flags().StringVar(&join, "join", "", "where the run listens: unix:FILE or tcp:HOST:PORT")
	c.Flags().IntVar(&index, "index", 0, "which of the shards this is, from 0")
	c.Flags().IntVar(&of, "of", 1, "how many there are")
	return c
}
