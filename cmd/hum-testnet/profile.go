package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"

	"github.com/hum-presence/hum/testnet/sim"
)

// A profiled run says where its processor time and its memory went.
type profiled struct {
	dir  string
	cpu  *os.File
	near bool
}

// profile begins, outside of any bubble: what writes the profile sleeps between two looks, and must do so in real time.
func profile(dir string) (*profiled, error) {
	runtime.MemProfileRate = 32 << 10
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	cpu, err := os.Create(filepath.Join(dir, "cpu.pprof"))
	if err != nil {
		return nil, err
	}
	return &profiled{dir: dir, cpu: cpu}, pprof.StartCPUProfile(cpu)
}

// look writes what is in memory once nine tenths of the run are over, while every node still runs.
func (p *profiled) look(at sim.Progress) {
	if p.near || at.Now < at.End/10*9 {
		return
	}
	p.near = true
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	text := fmt.Sprintf("heap, live            %12d\nheap, free in spans   %12d\nheap, free spans      %12d\nheap, returned        %12d\nstacks                %12d\nthe runtime's own     %12d\ngoroutines            %12d\ncollections           %12d\n",
		m.HeapAlloc, m.HeapInuse-m.HeapAlloc, m.HeapIdle-m.HeapReleased, m.HeapReleased, m.StackInuse, m.MSpanInuse+m.MCacheInuse+m.BuckHashSys+m.GCSys+m.OtherSys, runtime.NumGoroutine(), m.NumGC)
	if err := os.WriteFile(filepath.Join(p.dir, "memory.txt"), []byte(text), 0o666); err != nil {
		fmt.Fprintln(os.Stderr, "hum-testnet: a profile is missing:", err)
	}
	for _, name := range []string{"heap", "goroutine"} {
		f, err := os.Create(filepath.Join(p.dir, name+".pprof"))
		if err == nil {
			err = errors.Join(pprof.Lookup(name).WriteTo(f, 0), f.Close())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "hum-testnet: a profile is missing:", err)
		}
	}
}

func (p *profiled) end() {
	pprof.StopCPUProfile()
	if err := p.cpu.Close(); err != nil {
		fmt.Fprintln(os.Stderr, "hum-testnet: the profile is cut short:", err)
	}
}
