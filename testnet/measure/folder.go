package measure

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// The files of a run folder.
const (
	ManifestFile = "manifest.json"
	SummaryFile  = "summary.json"
	SamplesFile  = "samples.csv"
	EventsFile   = "events.jsonl"
	ScenarioFile = "scenario.yaml"
)

// Read reads a run folder; events stay in their file, see [ReadEvents].
func Read(dir string) (r Result, err error) {
	if err := readJSON(filepath.Join(dir, ManifestFile), &r.Manifest); err != nil {
		return r, err
	}
	if r.Manifest.Format != Format {
		return r, fmt.Errorf("%s is of format %d, this program reads %d", dir, r.Manifest.Format, Format)
	}
	if err := readJSON(filepath.Join(dir, SummaryFile), &r.Summary); err != nil {
		return r, err
	}
	r.Samples, err = readSamples(filepath.Join(dir, SamplesFile))
	return r, err
}

func readJSON(name string, v any) error {
	b, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func readSamples(name string) (out []Sample, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	c := csv.NewReader(bufio.NewReader(f))
	c.ReuseRecord, c.FieldsPerRecord = true, 4
	for line := 1; ; line++ {
		row, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return out, fmt.Errorf("%s: %w", name, err)
		}
		if line == 1 {
			continue
		}
		t, err := strconv.ParseFloat(row[0], 64)
		v, err2 := strconv.ParseFloat(row[3], 64)
		if err := errors.Join(err, err2); err != nil {
			return out, fmt.Errorf("%s:%d: %w", name, line, err)
		}
		out = append(out, Sample{T: t, Metric: row[1], Class: row[2], Value: v})
	}
}

// ReadEvents calls f with each event of a run folder, in order. A last line that is cut short is left out.
func ReadEvents(dir string, f func(Event) error) error {
	file, err := os.Open(filepath.Join(dir, EventsFile))
	if err != nil {
		return err
	}
	defer file.Close()
	for dec := json.NewDecoder(bufio.NewReader(file)); ; {
		var e Event
		switch err := dec.Decode(&e); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("%s: %w", file.Name(), err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}
