package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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
