package sim

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/hum-presence/hum/testnet/plan"
)

// A proc is one home and, while it is up, its process.
type proc struct {
	plan.Node
	e       *processes
	home    string
	listen  string
	address string
	card    string
	version int

	one    sync.Mutex // what its user does, he does in turn
	woken  *sync.Cond // of one: the machine wakes, or the run is over
	asleep bool
	cmd    *exec.Cmd
	ran    chan struct{} // closed when the process has ended
	see    *exec.Cmd     // follows its events
	n      uint64        // the last of them
}

func (p *proc) up() bool { return p.cmd != nil }

// call runs one command of the home and decodes the first line that it prints.
func (p *proc) call(v any, args ...string) error {
	cmd := exec.Command(p.e.hum, append([]string{"--home", p.home, "--json"}, args...)...)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("hum %s: %w: %s", args[0], err, strings.TrimSpace(said.String()))
	}
	if v == nil {
		return nil
	}
	return json.NewDecoder(&out).Decode(v)
}

// start runs the node, and returns once it serves.
func (p *proc) start() error {
	if p.up() {
		return nil
	}
	if p.listen == "" {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return err
		}
		p.listen = fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
		l.Close()
	}
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "up", "--no-mdns", "--listen", p.listen)
	var said bytes.Buffer
	cmd.Stderr = &said
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var ready struct{ Event, Address string }
	lines := bufio.NewScanner(stdout)
	for lines.Scan() && ready.Event != "ready" {
		_ = json.Unmarshal(lines.Bytes(), &ready)
		if ready.Event == "ready" {
			break
		}
	}
	if ready.Event != "ready" {
		_ = cmd.Wait()
		return fmt.Errorf("it ended before it was ready: %s", strings.TrimSpace(said.String()))
	}
	p.ran = make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		_ = cmd.Wait()
		close(p.ran)
	}()
	first := p.address == ""
	p.cmd, p.address = cmd, ready.Address
	p.e.mu.Lock()
	p.e.byAddress[p.address] = p.N
	p.e.mu.Unlock()
	if first && p.e.Plan.Scenario.Node.Policy != "confirm" {
		if err := p.call(nil, "policy", "set", "known", "--watch", "allow"); err != nil {
			return err
		}
	}
	var shown struct{ Card string }
	if err := p.call(&shown, "card"); err != nil {
		return err
	}
	p.card = shown.Card
	if err := p.follow(); err != nil {
		return err
	}
	p.e.Book.Up(p.e.Now(), p.N)
	if err := p.look(); err != nil || !first {
		return err
	}
	return p.say()
}

// look tells the book what the user's screen shows.
func (p *proc) look() error {
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "who")
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); dec.More(); {
		var o struct{ Address, Basic, Note, Evidence string }
		if err := dec.Decode(&o); err != nil {
			return err
		}
		if of, ok := p.e.number(o.Address); ok {
			p.e.Book.See(p.e.Now(), p.N, of, o.Basic == "open", versionOf(o.Note), o.Evidence == "said")
		}
	}
	return nil
}

// follow hands the book what happens at the node.
func (p *proc) follow() error {
	cmd := exec.Command(p.e.hum, "--home", p.home, "--json", "events", "--follow", "--since", fmt.Sprint(p.n))
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	p.see = cmd
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var ev struct {
				N                              uint64
				Kind, Address, State, Text, ID string
			}
			if json.Unmarshal(lines.Bytes(), &ev) != nil {
				continue
			}
			p.n = max(p.n, ev.N)
			of, known := p.e.number(ev.Address)
			switch {
			case !known || of == p.N:
			case ev.Kind == "presence":
				state, lapsed := strings.CutSuffix(ev.State, " (lapsed)")
				p.e.Book.See(p.e.Now(), p.N, of, strings.HasPrefix(state, "open"), versionOf(ev.Text), !lapsed)
			case ev.Kind == "message" && ev.State == "received":
				p.e.of(ev.ID, func() { p.e.Book.Inbox(p.e.Now(), p.N, ev.ID) })
			case ev.Kind == "ack" || ev.Kind == "message":
				p.e.of(ev.ID, func() { p.e.Book.Settled(p.e.Now(), p.N, ev.ID, ev.State) })
			}
		}
		_ = cmd.Wait()
	}()
	return nil
}

// stop ends the process: with a sign-off, or as a crash does.
func (p *proc) stop(said bool) error {
	if !p.up() {
		return nil
	}
	p.e.Book.Down(p.e.Now(), p.N, said)
	signal := syscall.SIGKILL
	if said {
		signal = syscall.SIGTERM
	}
	err := p.cmd.Process.Signal(signal)
	select {
	case <-p.ran:
	case <-time.After(time.Minute):
		err = errors.Join(err, p.cmd.Process.Kill())
		<-p.ran
	}
	_ = p.see.Process.Kill()
	p.cmd, p.see = nil, nil
	return err
}

// sleep stops the machine of a node as closing its lid does: the process stays, and does nothing.
func (p *proc) sleep() error {
	if p.asleep || p.e.ended() {
		return nil
	}
	p.asleep = true
	p.e.Book.Sleep(p.e.Now(), p.N, true)
	if !p.up() {
		return nil
	}
	return halt(p.cmd.Process)
}

// wake goes on with it.
func (p *proc) wake() error {
	if !p.asleep {
		return nil
	}
	var err error
	if p.up() {
		err = resume(p.cmd.Process)
	}
	p.asleep = false
	if !p.e.ended() {
		p.e.Book.Sleep(p.e.Now(), p.N, false)
	}
	p.woken.Broadcast()
	return err
}

func (p *proc) say() error {
	if !p.up() {
		return nil
	}
	p.version++
	p.e.Book.Say(p.e.Now(), p.N, p.version)
	return p.call(nil, "set", "open", "--note", noteOf(p.version))
}

func (p *proc) send(to *proc, size int) error {
	if !p.up() || to.address == "" {
		return nil
	}
	at := p.e.Now()
	var sent struct{ ID string }
	if err := p.call(&sent, "send", to.address, strings.Repeat("x", max(1, size))); err != nil {
		return err
	}
	p.e.Book.Sent(at, p.N, to.N, sent.ID)
	p.e.mu.Lock()
	defer p.e.mu.Unlock()
	p.e.ids[sent.ID] = true
	for _, do := range p.e.early[sent.ID] {
		do()
	}
	delete(p.e.early, sent.ID)
	return nil
}

func (p *proc) block(o *proc, polite bool) error {
	if !p.up() || o.address == "" {
		return nil
	}
	p.e.Book.Hide(p.e.Now(), p.N, o.N)
	args := []string{"block", o.address}
	if polite {
		args = append(args, "--polite")
	}
	return p.call(nil, args...)
}

// residentOf is what the system says that a process holds.
func residentOf(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			var kb float64
			fmt.Sscan(v, &kb)
			return kb * 1024
		}
	}
	return 0
}
