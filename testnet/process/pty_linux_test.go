package process

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// A window is a terminal of 40 columns as a person sees it, and the keyboard before it. It knows of the control
// sequences what lines need: cursor left, right and up, and erasing to the right.
type window struct {
	t      *testing.T
	master *os.File
	slave  *os.File
	cmd    *exec.Cmd

	mu    sync.Mutex
	rows  [][]rune
	x, y  int
	ended chan error
}

const columns = 40

// onWindow starts a command on a new terminal.
func onWindow(t *testing.T, h *Home, args ...string) *window {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w := &window{t: t, master: master, slave: slave, ended: make(chan error, 1), cmd: exec.Command(h.Bin, append([]string{"--home", h.Dir}, args...)...)}
	w.cmd.Stdin, w.cmd.Stdout, w.cmd.Stderr = slave, slave, slave
	w.cmd.Env = append(os.Environ(), "NO_COLOR=1")
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.cmd.Process.Kill(); _ = master.Close(); _ = slave.Close() })
	go w.draw()
	go func() { w.ended <- w.cmd.Wait() }()
	return w
}

// draw does what is written to the terminal.
func (w *window) draw() {
	b, held := make([]byte, 4096), ""
	for {
		n, err := w.master.Read(b)
		if err != nil {
			return
		}
		w.mu.Lock()
		held = w.put(held + string(b[:n]))
		w.mu.Unlock()
	}
}

// put draws s, and returns what of it is not whole yet.
func (w *window) put(s string) (rest string) {
	for s != "" {
		if s[0] == 0x1b {
			end := strings.IndexFunc(s, func(r rune) bool { return r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' })
			if end < 0 {
				return s
			}
			w.control(s[2:end], s[end])
			s = s[end+1:]
			continue
		}
		if !utf8.FullRuneInString(s) {
			return s
		}
		r, size := utf8.DecodeRuneInString(s)
		s = s[size:]
		switch r {
		case '\r':
			w.x = 0
		case '\n':
			w.y++
		default:
			w.letter(r)
		}
	}
	return ""
}

func (w *window) control(args string, what byte) {
	n := 0
	for _, c := range args {
		n = n*10 + int(c-'0')
	}
	n = max(n, 1)
	switch what {
	case 'A':
		w.y = max(0, w.y-n)
	case 'C':
		w.x = min(columns-1, w.x+n)
	case 'D':
		w.x = max(0, w.x-n)
	case 'K':
		w.row()
		w.rows[w.y] = w.rows[w.y][:min(w.x, len(w.rows[w.y]))]
	default:
		w.t.Errorf("the screen is written with ESC [ %s %c", args, what)
	}
}

func (w *window) row() {
	for len(w.rows) <= w.y {
		w.rows = append(w.rows, nil)
	}
}

func (w *window) letter(r rune) {
	if w.x == columns { // it is broken when the next letter comes
		w.x, w.y = 0, w.y+1
	}
	w.row()
	for len(w.rows[w.y]) <= w.x {
		w.rows[w.y] = append(w.rows[w.y], ' ')
	}
	w.rows[w.y][w.x] = r
	w.x++
}

// screen is what stands there.
func (w *window) screen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []string
	for _, r := range w.rows {
		out = append(out, strings.TrimRight(string(r), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

// shows waits until the screen ends with these rows.
func (w *window) shows(rows ...string) {
	w.t.Helper()
	want, got := strings.TrimRight(strings.Join(rows, "\n"), " "), ""
	for end := time.Now().Add(40 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if got = ids.ReplaceAllString(clocks.ReplaceAllString(w.screen(), "TIME"), "ID"); strings.HasSuffix(got, want) {
			return
		}
	}
	w.t.Fatalf("the screen ends not with\n%s\nbut is\n%s", want, got)
}

func (w *window) types(s string) {
	w.t.Helper()
	if _, err := w.master.WriteString(s); err != nil {
		w.t.Fatal(err)
	}
}

// ends waits for the end of the command, with code 0, and wants the terminal back as it was.
func (w *window) ends() {
	w.t.Helper()
	if err := <-w.ended; err != nil {
		w.t.Errorf("it ended with %v:\n%s", err, w.screen())
	}
	tty, err := unix.IoctlGetTermios(int(w.slave.Fd()), unix.TCGETS)
	if err != nil || tty.Lflag&unix.ECHO == 0 || tty.Lflag&unix.ICANON == 0 || tty.Lflag&unix.ISIG == 0 {
		w.t.Errorf("the terminal is left as %+v, %v", tty, err)
	}
}

var (
	clocks = regexp.MustCompile(`[A-Z][a-z]{2} \d{1,2} \d\d:\d\d`)
	ids    = regexp.MustCompile(`\b[a-z2-7]{8}\b`)
)

// On a terminal without colour each screen says its states in words (RFC 2779, 4.1.7). There, in 40 columns, one can
// talk: what comes while somebody types stands above his line, and his line below it, whole; Ctrl-D and Ctrl-C end it,
// and the terminal is given back.
func TestReq_4_1_7_OnATerminal(t *testing.T) {
	bin := Build(t)
	alice, bob := New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	w := onWindow(t, alice, "chat", "bob")
	w.shows("> ")
	w.types("half a l")
	w.shows("> half a l")
	bob.Must(t, "send", "alice", "grüße", "--wait", Patience.String())
	w.shows("TIME bob: grüße  [ID]", "> half a l")
	w.types("ime\x7f\x7fne, which is as long as two\r") // a word is mended on the way
	w.shows("      · delivered ID: half a line,", " which is as long as two", "> ")
	if !strings.Contains(w.screen(), "\n> half a line, which is as long as two\n") {
		t.Errorf("what he typed does not stand there:\n%s", w.screen())
	}
	long := strings.Repeat("longer than a row ", 4)
	w.types(long)
	bob.Must(t, "send", "alice", "again", "--wait", Patience.String())
	w.shows("TIME bob: again  [ID]", "> longer than a row longer than a row lo", "nger than a row longer than a row")
	w.types("\x15") // Ctrl-U
	w.shows("TIME bob: again  [ID]", "> ")
	w.types("\x04") // Ctrl-D
	w.ends()
	var got []string
	for _, m := range bob.Must(t, "inbox") {
		got = append(got, m["text"].(string))
	}
	if strings.Join(got, "|") != "half a line, which is as long as two" {
		t.Errorf("bob has %q", got)
	}
	w = onWindow(t, alice, "chat", "bob")
	w.shows("> ")
	w.types("not sent\x03") // Ctrl-C
	w.ends()
	if n := len(bob.Must(t, "inbox")); n != 1 {
		t.Errorf("bob has %d messages", n)
	}
	for command, word := range map[string]string{"watching": "active", "watchers": "active", "who": "open", "outbox": "delivered", "inbox": "displayed", "status": "open"} {
		w := onWindow(t, alice, command)
		<-w.ended
		Eventually(t, Patience, "hum "+command+" says "+word, func() bool { return strings.Contains(w.screen(), word) })
	}
}
