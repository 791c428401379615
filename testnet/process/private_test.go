package process

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// sockets are the sockets on which a process listens, or is connected, with both ends, as /proc has them.
func sockets(t *testing.T, pid int) (listening int, peers []string) {
	t.Helper()
	mine := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if at, err := os.Readlink(fd); err == nil {
			mine[strings.TrimSuffix(strings.TrimPrefix(at, "socket:["), "]")] = true
		}
	}
	for _, table := range []string{"tcp", "tcp6"} {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, table))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n")[1:] {
			f := strings.Fields(line)
			switch {
			case len(f) < 10 || !mine[f[9]]:
			case f[3] == "0A":
				listening++
			case f[3] == "01":
				peers = append(peers, f[2])
			}
		}
	}
	return listening, peers
}

// The real thing: hum private on makes a running node another, which listens nowhere and is connected to its
// community's node alone; it stays so over kill -9, is reached all the same, and comes out again by hum private off.
func TestReq_8_2_1_B8_PrivateProcess(t *testing.T) {
	t.Parallel()
	bin := Build(t)
	d, alice, bob := community(t, bin, "d"), New(t, bin, "alice"), New(t, bin, "bob")
	for _, h := range []*Home{alice, bob} {
		if err := h.Up(); err != nil {
			t.Fatal(err)
		}
	}
	if r := alice.Run("private", "on"); r.Code != 2 || !strings.Contains(r.Err, "hum join") {
		t.Errorf("without a community: exit %d, %s", r.Code, r.Err)
	}
	alice.Must(t, "join", d.invite)
	p := alice.Must(t, "private", "on")[0]
	if p["private"] != true || len(p["visible"].([]any)) < 2 || p["again"] == true {
		t.Errorf("private on says %v", p)
	}
	alone := func() {
		t.Helper()
		Eventually(t, Patience, "alice is reached through the relay", func() bool {
			return strings.HasPrefix(alice.Must(t, "status")[0]["reachability"].(string), "private: through the relay")
		})
		listening, peers := sockets(t, alice.Pid())
		if listening != 0 || len(peers) == 0 {
			t.Errorf("alice listens on %d ports and has %d connections", listening, len(peers))
		}
		for _, at := range peers {
			if !strings.HasSuffix(at, fmt.Sprintf(":%04X", d.port)) {
				t.Errorf("alice is connected to %s", at)
			}
		}
	}
	alone()
	bob.Must(t, "add", alice.Must(t, "card")[0]["card"].(string), "--as", "alice")
	bob.Must(t, "send", "alice", "hello", "--wait", Patience.String())
	alice.Kill()
	if err := alice.Up(); err != nil {
		t.Fatal(err)
	}
	alone()
	bob.Must(t, "send", "alice", "hello again", "--wait", Patience.String())
	if p := alice.Must(t, "private", "off")[0]; p["private"] != nil && p["private"] != false {
		t.Errorf("private off says %v", p)
	}
	if listening, _ := sockets(t, alice.Pid()); listening == 0 {
		t.Error("alice listens nowhere after private off")
	}
}
