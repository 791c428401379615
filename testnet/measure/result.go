package measure

// Format is the number of the run folder's format. It counts up when a reader of before would misread it.
const Format = 1

// A Result is what one run gave.
type Result struct {
	Manifest Manifest
	Summary  Summary
	Samples  []Sample
}

// A Manifest says what was run, so that it can be run again.
type Manifest struct {
	Format   int      `json:"format"`
	Complete bool     `json:"complete"` // false: the run was cut short, and figures go as far as it came
	Scenario string   `json:"scenario"` // its name
	Command  string   `json:"command"`  // that repeats the run
	Seed     uint64   `json:"seed"`
	Seeds    []uint64 `json:"seeds,omitempty"` // of all runs, if the folder holds several
	Nodes    int      `json:"nodes"`
	Engine   string   `json:"engine"`   // sim, process
	Fidelity string   `json:"fidelity"` // stream, noise, quic
	Mode     string   `json:"mode"`     // exact: same seed, same events; statistical: figures agree within their intervals
	Shards   int      `json:"shards"`

	EventsSHA256   string            `json:"events_sha256"`            // of events.jsonl
	TraceSHA256    string            `json:"trace_sha256,omitempty"`   // of every frame's arrival, in exact mode
	ScenarioSHA256 string            `json:"scenario_sha256"`          // of scenario.yaml
	OverlaySHA256  string            `json:"overlay_sha256,omitempty"` // of the patch of the Go runtime, in exact mode
	Commit         string            `json:"commit,omitempty"`         // of the code, with "+changes" behind it if it had some
	Go             string            `json:"go"`                       // runtime.Version
	OS             string            `json:"os"`                       // GOOS/GOARCH
	Libraries      map[string]string `json:"libraries,omitempty"`      // versions of what the node is built on
	NotModelled    []string          `json:"not_modelled"`             // what these figures cannot speak of

	Started string  `json:"started"`              // real time, RFC 3339
	Wall    float64 `json:"wall_s"`               // real seconds
	CPU     float64 `json:"cpu_s"`                // of this process, seconds
	BootCPU float64 `json:"boot_cpu_s,omitempty"` // of that, until measuring began
	Virtual float64 `json:"virtual_s"`
	PeakRSS int64   `json:"peak_rss_bytes"`
	Held    int64   `json:"held_bytes,omitempty"` // live heap and stacks at the end
}

// A Summary is what a reader wants to know first.
type Summary struct {
	Verdict       string         `json:"verdict"` // pass, fail, or partial: cut short before it could be judged
	Expect        []Expectation  `json:"expect"`
	Values        []Value        `json:"values"`
	Distributions []Distribution `json:"distributions"`
	Tables        []Table        `json:"tables"`
	Faults        []Band         `json:"faults"`
	Definitions   []Definition   `json:"definitions"`      // of every metric that is named above
	Errors        []string       `json:"errors,omitempty"` // what went wrong in the simulated world that no figure tells
}

// An Expectation is one clause of the scenario's expect, judged.
type Expectation struct {
	Clause string  `json:"clause"` // as written: "delivery_ratio >= 0.999"
	Line   int     `json:"line"`   // of the scenario
	OK     bool    `json:"ok"`
	Got    float64 `json:"got"`
	Why    string  `json:"why,omitempty"` // if there was nothing to compare, which counts as not OK
}

// A Value is one figure of the whole run.
type Value struct {
	Metric string  `json:"metric"` // name of a Definition
	Value  float64 `json:"value"`
	N      int     `json:"n"` // of how many observations

	// Of several runs that differ in their seed, Value is the mean and Low to High its 95 % interval.
	Runs int     `json:"runs,omitempty"`
	SD   float64 `json:"sd,omitempty"` // standard deviation of the runs' values
	Low  float64 `json:"low,omitempty"`
	High float64 `json:"high,omitempty"`
}

// A Distribution is how observations of one metric lie. Lost ones have no value: they count as later than all
// others, so that a quantile which falls among them is infinite, and absent here.
type Distribution struct {
	Metric    string             `json:"metric"`
	N         int                `json:"n"` // observations, lost ones among them
	Lost      int                `json:"lost"`
	Quantiles map[string]float64 `json:"quantiles"` // "0.5", "0.9", "0.95", "0.99", "1"
	CDF       [][2]float64       `json:"cdf"`       // at most 500 points {value, share of all N at or below it}
}

// A Table is figures side by side, by class, by protocol or by point of a sweep.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`
}

// A Band is the time during which a fault stood; Until is From for one of an instant.
type Band struct {
	From  float64 `json:"from"`
	Until float64 `json:"until"`
	Label string  `json:"label"`
}

// A Definition says what a metric is.
type Definition struct {
	Metric string `json:"metric"`
	Unit   string `json:"unit"`   // s, B, 1 (a count or a ratio), …
	Better string `json:"better"` // less, more, or "" if neither is
	Text   string `json:"text"`
}

// A Sample is one figure at one time.
type Sample struct {
	T      float64 // virtual seconds
	Metric string
	Class  string // of nodes; "" is all of them
	Value  float64
}

// An Event is something that happened. Its fields but T and Kind depend on what.
type Event struct {
	T     float64 `json:"t"`
	Kind  string  `json:"kind"`            // up, down, say, see, send, inbox, settled, fault, heal, …
	Node  int     `json:"node"`            // whose
	Other int     `json:"other,omitempty"` // the other node, plus 1; 0: none
	ID    string  `json:"id,omitempty"`
	State string  `json:"state,omitempty"`
	Took  float64 `json:"took,omitempty"` // seconds since what it answers
}
