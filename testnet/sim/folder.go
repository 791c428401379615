package sim

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/hum-presence/hum/testnet/measure"
)

// A folder is written while the run goes on. Without a directory only the hash of the events is made.
type folder struct {
	dir   string
	files []*os.File

	ended   bool       // no event is written any more
	mu      sync.Mutex // events come from the nodes, the rest from the run
	events  *bufio.Writer
	samples *bufio.Writer
	sum     hash.Hash
	failed  error
}

// makeFolder begins a run's folder: with a manifest that says complete: false, and a summary that says partial.
func makeFolder(dir string, m measure.Manifest, scenario []byte) (*folder, error) {
	f := &folder{dir: dir, sum: sha256.New()}
	if dir == "" {
		f.events, f.samples = bufio.NewWriter(f.sum), bufio.NewWriter(io.Discard)
		return f, nil
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, measure.ManifestFile)); err == nil {
		return nil, fmt.Errorf("%s holds a run already: name another folder with --out, or remove it", dir)
	}
	sum := sha256.Sum256(scenario)
	m.ScenarioSHA256 = hex.EncodeToString(sum[:])
	err := errors.Join(os.WriteFile(filepath.Join(dir, measure.ScenarioFile), scenario, 0o666),
		f.writeJSON(measure.ManifestFile, m), f.writeJSON(measure.SummaryFile, measure.Summary{Verdict: "partial"}))
	if err != nil {
		return nil, err
	}
	open := func(name string, also ...io.Writer) (*bufio.Writer, error) {
		file, err := os.Create(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		f.files = append(f.files, file)
		return bufio.NewWriterSize(io.MultiWriter(append(also, file)...), 64<<10), nil
	}
	if f.events, err = open(measure.EventsFile, f.sum); err != nil {
		return nil, err
	}
	if f.samples, err = open(measure.SamplesFile); err != nil {
		return nil, err
	}
	f.samples.WriteString("t,metric,class,value\n")
	return f, nil
}

func (f *folder) writeJSON(name string, v any) error {
	if f.dir == "" {
		return nil
	}
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	// Whoever reads it while it is written anew finds one or the other.
	aside := filepath.Join(f.dir, name+".new")
	if err := os.WriteFile(aside, append(b, '\n'), 0o666); err != nil {
		return errors.Join(err, os.Remove(aside))
	}
	return os.Rename(aside, filepath.Join(f.dir, name))
}

// WriteSummary writes the summary of a finished run anew, for programs that have added to it.
func WriteSummary(dir string, s measure.Summary) error {
	return (&folder{dir: dir}).writeJSON(measure.SummaryFile, s)
}

// event is called under the book's lock, in order.
func (f *folder) event(e measure.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return
	}
	b, err := json.Marshal(e)
	if err == nil {
		_, err = f.events.Write(append(b, '\n'))
	}
	f.fail(err)
}

// again begins the events anew.
func (f *folder) again() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(f.events.Flush())
	f.sum.Reset()
	if f.dir != "" {
		_, err := f.files[0].Seek(0, io.SeekStart)
		f.fail(errors.Join(err, f.files[0].Truncate(0)))
	}
}

func (f *folder) shut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.ended = true
}

func (f *folder) sample(s measure.Sample) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := fmt.Fprintf(f.samples, "%s,%s,%s,%s\n", number(s.T), s.Metric, s.Class, number(s.Value))
	f.fail(err)
}

func number(x float64) string { return strconv.FormatFloat(x, 'g', 8, 64) }

// broken is why nothing more can be written, and nil as long as all could.
func (f *folder) broken() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// fail keeps the first error; f.mu is held.
func (f *folder) fail(err error) {
	if f.failed == nil && err != nil {
		f.failed = err
	}
}

// flush has what was written so far be there for readers, and for whoever comes after a kill.
func (f *folder) flush(partial measure.Summary) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(f.samples.Flush())
	f.fail(f.events.Flush())
	f.fail(f.writeJSON(measure.SummaryFile, partial))
}

// close writes the rest.
func (f *folder) close(r *measure.Result) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail(f.events.Flush())
	f.fail(f.samples.Flush())
	r.Manifest.EventsSHA256 = hex.EncodeToString(f.sum.Sum(nil))
	f.fail(f.writeJSON(measure.SummaryFile, r.Summary))
	if f.dir != "" {
		var begun measure.Manifest
		if b, err := os.ReadFile(filepath.Join(f.dir, measure.ManifestFile)); err == nil && json.Unmarshal(b, &begun) == nil {
			r.Manifest.ScenarioSHA256 = begun.ScenarioSHA256
		}
	}
	f.fail(f.writeJSON(measure.ManifestFile, r.Manifest))
	for _, file := range f.files {
		f.fail(file.Close())
	}
	if f.failed != nil {
		return fmt.Errorf("the run's folder: %w", f.failed)
	}
	return nil
}
