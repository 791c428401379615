// Command tour walks through README.md as a newcomer would: it runs every command of its console blocks
// in one shell, in the folder where it is started, and compares what is printed with what the README
// promises.
//
// In a block, a line that begins with "$ " is a command. The lines under it must appear in its output, in
// this order; "…" in a line stands for anything, and "(exit N)" for the code of a command that fails. A
// comment "# within 2s" at the end of a command has it repeated until it prints what is promised, for that
// long at most, and for as much longer as -patience says: what comes late then is counted, and is no error
// on a machine that has other things to do. Blocks marked with another language than console are not run.
//
//	go run ./tools/tour [-from HEADING] [-patience 30s] README.md
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"
)

func main() {
	from := flag.String("from", "", "begin at the heading that contains this text")
	patience := flag.Duration("patience", 0, "how much later than promised a thing may come")
	flag.Parse()
	if flag.NArg() != 1 {
		fmt.Fprintln(os.Stderr, "usage: tour [-from HEADING] [-patience DURATION] README.md")
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *from, *patience); err != nil {
		fmt.Fprintln(os.Stderr, "tour:", err)
		os.Exit(1)
	}
}

func run(file, from string, patience time.Duration) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	steps := parse(string(b), from)
	if len(steps) == 0 {
		return errors.New("no console block has a command")
	}
	sh, err := start()
	if err != nil {
		return err
	}
	defer sh.stop()
	sh.patience = patience
	for _, s := range steps {
		if err := sh.walk(s); err != nil {
			return err
		}
	}
	fmt.Printf("%d commands of %s did what it says, %d of them later than it says\n", len(steps), file, sh.late)
	return nil
}

// step is one command of the README and what it promises.
type step struct {
	line    int
	command string
	within  time.Duration // repeat for so long; 0: once
	expect  []string
}

var within = regexp.MustCompile(`\s+# within (\S+)$`)

// parse reads the commands of all console blocks, in order.
func parse(text, from string) (steps []step) {
	console, begun := false, from == ""
	for i, line := range strings.Split(text, "\n") {
		switch {
		case strings.HasPrefix(line, "#") && !console:
			begun = begun || strings.Contains(line, from)
		case strings.HasPrefix(line, "```"):
			console = line == "```console"
		case !console || !begun:
		case strings.HasPrefix(line, "$ "):
			s := step{line: i + 1, command: line[2:]}
			if m := within.FindStringSubmatch(s.command); m != nil {
				s.within, _ = time.ParseDuration(m[1])
				s.command = strings.TrimSuffix(s.command, m[0])
			}
			steps = append(steps, s)
		case line != "" && len(steps) > 0:
			steps[len(steps)-1].expect = append(steps[len(steps)-1].expect, line)
		}
	}
	return steps
}

// shell is one bash that runs every command, so that variables and jobs live on.
type shell struct {
	cmd      *exec.Cmd
	in       io.WriteCloser
	out      *bufio.Reader
	patience time.Duration // beyond what is promised
	late     int           // steps that needed it
}

func start() (*shell, error) {
	cmd := exec.Command("bash")
	cmd.Env = append(os.Environ(), "NO_COLOR=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &shell{cmd: cmd, in: in, out: bufio.NewReader(r)}, errors.Join(w.Close())
}

// stop ends the shell and what it left running.
func (s *shell) stop() {
	_, _ = io.WriteString(s.in, "\nkill $(jobs -p) 2>/dev/null; wait; exit\n")
	_ = s.in.Close()
	time.AfterFunc(10*time.Second, func() { _ = s.cmd.Process.Kill() })
	_ = s.cmd.Wait()
}

const mark = "=-tour-="

// do runs one command and returns what it printed.
func (s *shell) do(command string) (string, error) {
	if _, err := fmt.Fprintf(s.in, "%s\necho '%s'$?\n", command, mark); err != nil {
		return "", err
	}
	var out strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if before, code, ok := strings.Cut(line, mark); ok {
			out.WriteString(before)
			if code := strings.TrimSpace(code); code != "0" {
				fmt.Fprintf(&out, "(exit %s)\n", code)
			}
			return out.String(), nil
		}
		if err != nil {
			return out.String(), err
		}
		out.WriteString(line)
	}
}

// locator finds peer ids and multiaddrs: names are for people, and those are for machines.
var locator = regexp.MustCompile(`/p2p/\S*|/(ip[46]|dns[46]?)/\S*|12D3Koo\w*|16Uiu2\w*`)

// notice is the shell's own word on a job that was killed; it repeats the command as it was typed.
var notice = regexp.MustCompile(`(?m)^\S+: line \d+: +\d+ Killed .*\n?`)

// walk runs a step until it does what the README says, or its time is over.
func (s *shell) walk(st step) error {
	fmt.Printf("$ %s\n", st.command)
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		out, err := s.do(st.command)
		if err != nil {
			return fmt.Errorf("line %d: %s: %w", st.line, st.command, err)
		}
		missing, ok := missing(out, st.expect)
		if ugly := locator.FindString(notice.ReplaceAllString(out, "")); ugly != "" {
			return fmt.Errorf("line %d: %s\nprinted:\n%sand nobody should have to read %s", st.line, st.command, out, ugly)
		}
		if ok {
			fmt.Print(out)
			if took := time.Since(begin).Round(time.Millisecond); st.within > 0 && took > st.within {
				s.late++
				fmt.Printf("(after %v, LATE: within %v is promised)\n", took, st.within)
			} else if st.within > 0 {
				fmt.Printf("(after %v)\n", took)
			}
			return nil
		}
		if st.within == 0 || time.Since(begin) >= st.within+s.patience {
			return fmt.Errorf("line %d: %s\nprinted:\n%sbut the README promises: %s", st.line, st.command, out, missing)
		}
	}
}

// missing returns the first promised line that the output lacks.
func missing(out string, expect []string) (string, bool) {
	lines := strings.Split(out, "\n")
	for _, want := range expect {
		for {
			if len(lines) == 0 {
				return want, false
			}
			line := lines[0]
			lines = lines[1:]
			if pattern(want).MatchString(line) {
				break
			}
		}
	}
	return failure(lines)
}

// failure is the exit code that a command ended with and the README does not promise.
func failure(rest []string) (string, bool) {
	for _, line := range rest {
		if strings.HasPrefix(line, "(exit ") {
			return "that it succeeds", false
		}
	}
	return "", true
}

// pattern reads a promised line: runs of blanks are alike, "…" is anything.
func pattern(want string) *regexp.Regexp {
	p := regexp.QuoteMeta(strings.TrimSpace(want))
	p = strings.ReplaceAll(p, "…", ".*")
	p = regexp.MustCompile(`\s+`).ReplaceAllString(p, `\s+`)
	return regexp.MustCompile(`^\s*` + p + `\s*$`)
}
