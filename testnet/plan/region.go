package plan

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hum-presence/hum/testnet/scenario"
)

// The built-in table is a model, not a measurement: the distance along the globe between two cities at two thirds of
// the speed of light, the usual speed in fibre, 1.4 times as long for the way that cables take, and 3 ms for the line
// at each end. Within a region it is 10 ms. Whoever needs measured delays names a file.
var cities = []struct {
	name     string
	lat, lon float64
}{
	{"europe", 50.1, 8.7},           // Frankfurt
	{"us-east", 39.0, -77.5},        // northern Virginia
	{"us-west", 37.4, -122.1},       // Silicon Valley
	{"south-america", -23.5, -46.6}, // São Paulo
	{"africa", -26.2, 28.0},         // Johannesburg
	{"india", 19.1, 72.9},           // Mumbai
	{"southeast-asia", 1.35, 103.8}, // Singapore
	{"east-asia", 35.7, 139.7},      // Tokyo
	{"oceania", -33.9, 151.2},       // Sydney
}

const (
	within = 10 * time.Millisecond
	access = 3 * time.Millisecond
	detour = 1.4
	fibre  = 200e3 // km in a second
)

// regions fills the table of delays, and the names of its rows.
func (p *Plan) regions(dir string) error {
	at := p.Scenario.Links.Latency
	if file, ok := strings.CutPrefix(at, "file("); ok {
		return p.fileError("links.latency", p.regionsFrom(inDir(dir, strings.TrimSuffix(file, ")"))))
	}
	if d, err := time.ParseDuration(at); err == nil {
		p.Regions, p.Delays = []string{"everywhere"}, [][]time.Duration{{d}}
		for _, c := range cities { // a scenario that names regions keeps them, for partitions
			p.Regions = append(p.Regions, c.name)
		}
		p.Delays = make([][]time.Duration, len(p.Regions))
		for i := range p.Delays {
			p.Delays[i] = slices.Repeat([]time.Duration{d}, len(p.Regions))
		}
		return nil
	}
	if at != "regions" {
		return p.wrong("links.latency", "%q is neither regions, nor a duration, nor file(NAME.csv)", at)
	}
	for _, a := range cities {
		p.Regions = append(p.Regions, a.name)
		var row []time.Duration
		for _, b := range cities {
			d := within
			if a.name != b.name {
				d = 2*access + time.Duration(detour*distance(a.lat, a.lon, b.lat, b.lon)/fibre*float64(time.Second))
			}
			row = append(row, d.Round(100*time.Microsecond))
		}
		p.Delays = append(p.Delays, row)
	}
	return nil
}

// distance is the great circle's, in km.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	rad := math.Pi / 180
	h := math.Pow(math.Sin((lat2-lat1)*rad/2), 2) + math.Cos(lat1*rad)*math.Cos(lat2*rad)*math.Pow(math.Sin((lon2-lon1)*rad/2), 2)
	return 2 * 6371 * math.Asin(math.Sqrt(h))
}

// regionsFrom reads from,to,milliseconds; a pair that is written once holds both ways.
func (p *Plan) regionsFrom(name string) error {
	rows, err := readCSV(name, 3)
	if err != nil {
		return err
	}
	index := map[string]int{}
	for _, r := range rows {
		for _, name := range r.cells[:2] {
			if _, ok := index[name]; !ok {
				index[name] = len(p.Regions)
				p.Regions = append(p.Regions, name)
			}
		}
	}
	p.Delays = make([][]time.Duration, len(p.Regions))
	for i := range p.Delays {
		p.Delays[i] = slices.Repeat([]time.Duration{-1}, len(p.Regions))
	}
	for _, r := range rows {
		ms, err := strconv.ParseFloat(r.cells[2], 64)
		if err != nil || ms < 0 {
			return &scenario.Error{File: name, Line: r.line, Text: fmt.Sprintf("%q are no milliseconds", r.cells[2])}
		}
		a, b := index[r.cells[0]], index[r.cells[1]]
		d := time.Duration(ms * float64(time.Millisecond))
		p.Delays[a][b] = d
		if p.Delays[b][a] < 0 {
			p.Delays[b][a] = d
		}
	}
	for i, row := range p.Delays {
		for j, d := range row {
			if d < 0 && i == j {
				p.Delays[i][j] = within
			} else if d < 0 {
				return &scenario.Error{File: name, Text: fmt.Sprintf("says nothing of %s,%s", p.Regions[i], p.Regions[j])}
			}
		}
	}
	return nil
}

// regionOf draws one by luck in [0,1).
func (p *Plan) regionOf(m scenario.Mix, luck float64) (int, error) {
	if len(m) == 0 {
		if strings.HasPrefix(p.Regions[0], "everywhere") {
			return 0, nil
		}
		return int(luck * float64(len(p.Regions))), nil
	}
	for i, part := range m {
		at := slices.Index(p.Regions, part.Name)
		if at < 0 {
			return 0, fmt.Errorf("there is no region %q; there are %s", part.Name, strings.Join(p.Regions, ", "))
		}
		if luck -= part.Share; luck < 0 || i == len(m)-1 {
			return at, nil
		}
	}
	return 0, nil
}

type csvRow struct {
	line  int
	cells []string
}

// readCSV reads a file of rows of n cells; a first row that names columns is left out.
func readCSV(name string, n int) (out []csvRow, err error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.FieldsPerRecord, r.Comment, r.TrimLeadingSpace = n, '#', true
	for first := true; ; first = false {
		cells, err := r.Read()
		var bad *csv.ParseError
		switch {
		case err == io.EOF:
			return out, nil
		case errors.As(err, &bad):
			return nil, &scenario.Error{File: name, Line: bad.Line, Text: fmt.Sprintf("%v; a row has %d cells", bad.Err, n)}
		case err != nil:
			return nil, err
		}
		if _, err := strconv.ParseFloat(cells[n-1], 64); first && err != nil && (cells[0] == "t" || cells[0] == "from" || cells[0] == "watcher") {
			continue
		}
		line, _ := r.FieldPos(0)
		out = append(out, csvRow{line, cells})
	}
}

// wrong is an error in what the scenario says at a path.
func (p *Plan) wrong(path, format string, args ...any) error {
	return &scenario.Error{File: p.Scenario.File, Line: p.Scenario.Line(path), Text: path + ": " + fmt.Sprintf(format, args...)}
}

// fileError adds to the error of a file that cannot be read which line of the scenario names it. One in the file has its own line.
func (p *Plan) fileError(path string, err error) error {
	var within *scenario.Error
	if err == nil || errors.As(err, &within) {
		return err
	}
	return p.wrong(path, "%v", err)
}

// inDir is where a file is that a scenario names: beside the scenario, unless it says from the root on.
func inDir(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
