//go:build unix

package bench

import (
	"bufio"
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hum-presence/hum/identity"
	"github.com/hum-presence/hum/node"
)

var idle = flag.Duration("idle", 0, "how long BenchmarkIdle watches a node do nothing")

// BenchmarkIdle is what a node with 150 contacts on its roster takes while nothing happens: resident memory,
// processor time in percent of one core, and disk. The contacts are nobody's: they are offline, as most
// people are most of the time. The floor is the process with a host, gossip and an open store that BenchmarkStart
// starts: it idles beside the node for as long.
func BenchmarkIdle(b *testing.B) {
	if *idle == 0 {
		b.Skip("by hand: -args -idle 10m")
	}
	home := filepath.Join(b.TempDir(), "home")
	if _, err := node.Init(home, node.InitConfig{Name: "idle", Clock: node.SystemClock(), Rand: rand.Reader}); err != nil {
		b.Fatal(err)
	}
	n, err := node.Open(node.Config{Home: home, Rand: rand.Reader, Listen: []string{"/ip4/127.0.0.1/tcp/0"}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	<-n.Ready()
	for i := range 150 {
		k, err := identity.GenerateSigningKey(rand.Reader)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := n.Add(ctx, identity.Address(k.Public()).String(), fmt.Sprint("contact", i)); err != nil {
			b.Fatal(err)
		}
	}
	floor, gone := idler(b)
	before, bareBefore, start := cpu(), cpuOf(b, floor), time.Now()
	time.Sleep(*idle)
	rss, bareRSS := resident("self"), resident(floor)
	b.ReportMetric(100*float64(cpu()-before)/float64(time.Since(start)), "cpu-%")
	b.ReportMetric(100*float64(cpuOf(b, floor)-bareBefore)/float64(time.Since(start)), "floor-cpu-%")
	b.ReportMetric(rss/(1<<20), "MB-rss")
	b.ReportMetric(bareRSS/(1<<20), "floor-MB-rss")
	b.ReportMetric(rss/bareRSS, "rss-ratio")
	gone()
	b.ReportMetric(onDisk(b, home)/(1<<20), "MB-disk")
	b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
	b.ReportMetric(0, "ns/op")
	end()
	if err := <-done; err != nil {
		b.Error(err)
	}
	n.Close()
}

// idler starts the floor and returns its process id, and what ends it.
func idler(b *testing.B) (pid string, end func()) {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), bareHome+"="+filepath.Join(b.TempDir(), "bare"))
	in, err := c.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "ready\n" {
		b.Fatalf("the floor said %q, %v", line, err)
	}
	return strconv.Itoa(c.Process.Pid), func() { in.Close(); _ = c.Wait() }
}

// cpuOf is the processor time that a process has used, by the kernel's ticks of 10 ms.
func cpuOf(b *testing.B, pid string) time.Duration {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		b.Skip(err) // no Linux
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is what the kernel says of a process, in bytes; 0 where it does not.
func resident(pid string) float64 {
	text, err := os.ReadFile("/proc/" + pid + "/statm")
	if err != nil {
		return 0
	}
	pages, _ := strconv.Atoi(strings.Fields(string(text))[1])
	return float64(pages * os.Getpagesize())
}

// onDisk sums what is allocated: badger's files are sparse.
func onDisk(b *testing.B, dir string) (bytes float64) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		bytes += allocated(info)
		return err
	})
	if err != nil {
		b.Error(err)
	}
	return bytes
}

func allocated(info fs.FileInfo) float64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return float64(s.Blocks) * 512
	}
	return float64(info.Size())
}
