//go:build trace

package process

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hum-presence/hum/store/crash"
)

// A kill cannot show a missing sync, since the kernel keeps what a dead process wrote. So the system calls
// of the recipient are watched while one message arrives: the commit must be synced before the ack leaves.
// strace must be there; .ci/run installs it.

// TestReq_S27_SyncBeforeAck shows that "delivered" means "on the disk" (SPEC 5.4; seed ask S27).
func TestReq_S27_SyncBeforeAck(t *testing.T) {
	bin := Build(t)
	if why := order(t, bin, bin); why != "" {
		t.Error(why)
	}
}

// TestTraceSeesAnEarlyAck runs the same on a store that answers before it commits.
func TestTraceSeesAnEarlyAck(t *testing.T) {
	why := order(t, Build(t), Build(t, "faults"), "HUM_FAULT="+string(crash.AckFirst))
	if why == "" {
		t.Fatal("a store that acknowledges before it commits was not found")
	}
	t.Logf("found, as it must be: %s", why)
}

// order returns what is wrong with the order of sync and ack, or nothing.
func order(t *testing.T, sender, recipient string, env ...string) string {
	log := filepath.Join(t.TempDir(), "calls")
	alice, bob := New(t, sender, "alice"), New(t, recipient, "bob")
	bob.Env = env
	bob.Wrap = []string{"strace", "-f", "--seccomp-bpf", "-ttt", "-y", "-e", "trace=fsync,fdatasync,msync,write,writev,sendto,sendmsg,read,recvfrom", "-s", "0", "-o", log}
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	Befriend(t, alice, bob)
	time.Sleep(2 * time.Second) // what befriending began has settled: the line is quiet
	begin := float64(time.Now().UnixNano()) / 1e9
	alice.Must(t, "send", "bob", "is it on your disk?", "--wait", Patience.String())
	time.Sleep(200 * time.Millisecond)
	return judge(t, calls(t, log, begin))
}

// A call is one system call that ended: what it was, on what, and how many bytes it moved.
type call struct {
	at   float64
	name string
	file string
	n    int
}

var callLine = regexp.MustCompile(`^\d+\s+(\d+\.\d+) (\w+)\(\d+<([^>]*)>.*= (-?\d+)`)
var resumed = regexp.MustCompile(`^(\d+)\s+(\d+\.\d+) <\.\.\. (\w+) resumed>.*= (-?\d+)`)
var unfinished = regexp.MustCompile(`^(\d+)\s+\d+\.\d+ (\w+)\(\d+<([^>]*)>.*<unfinished`)

// calls reads the trace from begin on, in the order in which the calls ended.
func calls(t *testing.T, log string, begin float64) (out []call) {
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	open := map[string]string{} // the file of a call that a thread has not ended yet
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text()
		if m := unfinished.FindStringSubmatch(line); m != nil {
			open[m[1]+m[2]] = m[3]
			continue
		}
		c := call{}
		if m := resumed.FindStringSubmatch(line); m != nil {
			c = call{name: m[3], file: open[m[1]+m[3]]}
			c.at, _ = strconv.ParseFloat(m[2], 64)
			c.n, _ = strconv.Atoi(m[4])
		} else if m := callLine.FindStringSubmatch(line); m != nil {
			c = call{name: m[2], file: m[3]}
			c.at, _ = strconv.ParseFloat(m[1], 64)
			c.n, _ = strconv.Atoi(m[4])
		}
		if c.at >= begin {
			out = append(out, c)
		}
	}
	return out
}

// judge looks for the ack: the first write to a peer's socket that is as large as a sealed ack (SPEC 5.3:
// 305 bytes in its frame), after a Parcel (over 1 500 bytes) came in. A sync must have ended in between.
func judge(t *testing.T, all []call) string {
	came, synced := 0, false
	for _, c := range all {
		socket := strings.HasPrefix(c.file, "TCP") || strings.HasPrefix(c.file, "socket:")
		switch {
		case socket && (c.name == "read" || c.name == "recvfrom") && c.n > 0:
			came += c.n
		case strings.Contains(c.name, "sync") && c.n == 0 && came > 1500:
			synced = true
		case socket && came > 1500 && c.n >= 305 && c.name != "read" && c.name != "recvfrom":
			if !synced {
				return "the ack left before the commit was synced"
			}
			return ""
		}
	}
	t.Fatalf("no ack was seen in %d calls", len(all))
	return ""
}
