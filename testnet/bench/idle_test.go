//go:build unix

package bench

import (
	"context"
	"crypto/rand"
	"flag"
	"fmt"
	"io/fs"
	"os"
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
// people are most of the time.
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
	before, start := cpu(), time.Now()
	time.Sleep(*idle)
	b.ReportMetric(100*float64(cpu()-before)/float64(time.Since(start)), "cpu-%")
	b.ReportMetric(resident()/(1<<20), "MB-rss")
	b.ReportMetric(onDisk(b, home)/(1<<20), "MB-disk")
	b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
	b.ReportMetric(0, "ns/op")
	end()
	if err := <-done; err != nil {
		b.Error(err)
	}
	n.Close()
}

// resident is what the kernel says, in bytes; 0 where it does not.
func resident() float64 {
	text, err := os.ReadFile("/proc/self/statm")
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
