package scenario

import "time"

// A Scenario says what a simulated network is and what happens in it. A zero field takes the default that its
// documentation names.
type Scenario struct {
	Version  int              `yaml:"version" doc:"of this format; required, 1"`
	Name     string           `yaml:"name" doc:"one word, as on the command line; required"`
	Title    string           `yaml:"title" doc:"a line for people"`
	Asks     string           `yaml:"asks" doc:"the question that a run answers, in a sentence or two"`
	Seed     uint64           `yaml:"seed" doc:"of everything that chance decides; 1"`
	Fidelity string           `yaml:"fidelity" doc:"what the links are made of; stream (default): muxed streams in memory below the real swarm; noise: the real noise and yamux over bytes in order, as on TCP; quic: the real quic-go over packets that may be lost" enum:"stream noise quic"`
	Warmup   Duration         `yaml:"warmup" doc:"virtual time in which nodes start and ask to watch each other; measures count from its end; 2m"`
	Duration Duration         `yaml:"duration" doc:"virtual time after the warm-up; required"`
	Nodes    []Class          `yaml:"nodes" doc:"who takes part; required"`
	Towns    []Community      `yaml:"communities" doc:"always-on nodes, each with the members that it keeps presence and messages for while they are away, and that it relays for"`
	Rosters  Rosters          `yaml:"rosters" doc:"who watches whom"`
	Links    Links            `yaml:"links" doc:"what lies between the nodes"`
	Node     Node             `yaml:"node" doc:"how all nodes run"`
	Workload []Work           `yaml:"workload" doc:"what people do"`
	Churn    []Churn          `yaml:"churn" doc:"how nodes come and go"`
	Faults   []Fault          `yaml:"faults" doc:"what breaks, and when"`
	Measure  Measure          `yaml:"measure" doc:"how the run is measured"`
	Expect   []Clause         `yaml:"expect" doc:"what must hold at the end, such as: delivery_ratio >= 0.999"`
	Sweep    map[string][]any `yaml:"sweep" doc:"by path, such as node.degree, the values that it takes in turn: one run for each combination"`
	Seeds    int              `yaml:"seeds" doc:"how many runs with seeds one after the other; 1"`

	File  string         `yaml:"-"` // where it was read, for messages
	lines map[string]int `yaml:"-"` // of the file, by path
}

// A Class is nodes that are alike.
type Class struct {
	Class     string `yaml:"class" doc:"its name; required"`
	Count     int    `yaml:"count" doc:"how many; --nodes changes it in proportion"`
	Exactly   int    `yaml:"exactly" doc:"how many, whatever --nodes says; instead of count"`
	Region    Mix    `yaml:"region" doc:"where they are: a name of the region table, or names with their shares; all over the table"`
	Up        Rate   `yaml:"up" doc:"rate of their line to the world, such as 20Mbps; unlimited"`
	Down      Rate   `yaml:"down" doc:"rate of their line from the world; unlimited"`
	NAT       Share  `yaml:"nat" doc:"share that can dial and cannot be dialled; 0"`
	Loss      Share  `yaml:"loss" doc:"share of segments lost on their own line, which costs time on a stream and the packet on quic; 0"`
	Jitter    Dist   `yaml:"jitter" doc:"added to each frame on their own line; 0"`
	Skew      Dist   `yaml:"skew" doc:"how far their clocks are off; 0"`
	Drift     Dist   `yaml:"drift" doc:"how far their clocks run away in a day; 0"`
	Commit    Dist   `yaml:"commit" doc:"how long a commit to a store in memory takes, as on a slow disk; 0"`
	Store     string `yaml:"store" doc:"memory: rows in memory (default); disk: the real database on the real disk, for scenarios about what survives" enum:"memory disk"`
	Light     bool   `yaml:"light" doc:"follow others by stream alone, as a phone does"`
	Hub       bool   `yaml:"hub" doc:"no limit of mesh degree, as on a community node"`
	Behaviour string `yaml:"behaviour" doc:"of an adversary: the name of a plug-in, such as forger; none"`
	Late      bool   `yaml:"late" doc:"is not started with the rest; a fault with start: brings it up"`
	Domain    string `yaml:"domain" doc:"each: its nodes count as one domain each; or a name that they share; none"`
}

// A Community is one always-on node, and who belongs to it.
type Community struct {
	Community string `yaml:"community" doc:"its name; required"`
	Count     int    `yaml:"count" doc:"so many alike, among whom the members are dealt out; --nodes changes it in proportion; 1"`
	Members   string `yaml:"members" doc:"the class that joins it; all but adversaries"`
	Region    string `yaml:"region" doc:"where its node is; drawn"`
	Handles   bool   `yaml:"handles" doc:"its node keeps the names of a domain of its own, NAME.test: each member is called such as user-3@NAME.test, and whoever adds him, watches him or writes to him knows that alone"`
	Mute      bool   `yaml:"mute" doc:"an adversary: it takes circuits, presence and messages as if it were honest, and passes none of it on"`
}

// Rosters is the social graph. An edge says that a watches b; most are mutual.
type Rosters struct {
	Model    string  `yaml:"model" doc:"communities: circles of friends with some edges between them (default); powerlaw: few are watched by many; random; ring; star: all watch the class centre; pairs; none; file: edges from a file" enum:"communities powerlaw random ring star pairs none file"`
	Mean     float64 `yaml:"mean" doc:"mean number of people on a roster; 8"`
	Size     int     `yaml:"size" doc:"of a community; three times the mean"`
	Rewire   Share   `yaml:"rewire" doc:"share of edges that lead out of a community; 10%"`
	Exponent float64 `yaml:"exponent" doc:"of a power law: how steeply popularity falls; 2.5"`
	Mutual   Share   `yaml:"mutual" doc:"share of edges that are watched in both directions; 100%"`
	Centre   string  `yaml:"centre" doc:"the class that all watch, of a star"`
	File     string  `yaml:"file" doc:"CSV with the columns watcher,presentity: numbers of nodes from 0"`
}

// Links is the network between regions.
type Links struct {
	Latency string   `yaml:"latency" doc:"regions: the built-in table (default); a duration: the same for all pairs; file(NAME.csv): from,to,milliseconds one way"`
	Jitter  Dist     `yaml:"jitter" doc:"added to each frame; 0"`
	Loss    Share    `yaml:"loss" doc:"share of segments lost; 0"`
	Quantum Duration `yaml:"quantum" doc:"instants of arrival are rounded up to a multiple of it; 1ms"`
}

// Node is what all nodes have in common.
type Node struct {
	Lease   Duration `yaml:"lease" doc:"of presence (ttl of the protocol); a beacon is sent after two fifths of it, at most 60 s; 150s"`
	Degree  int      `yaml:"degree" doc:"D, the degree of the gossip mesh; 4"`
	Policy  string   `yaml:"policy" doc:"what happens to requests of contacts: allow (default), confirm" enum:"allow confirm"`
	Compute Compute  `yaml:"compute" doc:"virtual time that work takes, as virtual processors are infinitely fast otherwise"`
}

// Compute charges virtual time.
type Compute struct {
	Frame Duration `yaml:"frame" doc:"for each frame that a node obtains; they wait for each other; 0"`
	Byte  Duration `yaml:"kilobyte" doc:"for each 1000 bytes of it; 0"`
}

// A Work is one habit of a class of people.
type Work struct {
	Presence Dist     `yaml:"presence" doc:"pause between two changes of presence of one person, such as every 10m, or exp(10m)"`
	Message  Dist     `yaml:"message" doc:"pause between two messages of one person"`
	Contact  Dist     `yaml:"contact" doc:"pause between two requests to watch somebody who is not on the roster yet"`
	Size     Dist     `yaml:"size" doc:"of a message, in bytes; 80"`
	Class    string   `yaml:"class" doc:"whose habit it is; all but adversaries"`
	To       string   `yaml:"to" doc:"contacts (default), or a class: to whom messages and requests go"`
	From     Duration `yaml:"from" doc:"when it begins, after the warm-up; 0"`
	Until    Duration `yaml:"until" doc:"when it ends; the end of the run"`
}

// A Churn has nodes of a class come and go.
type Churn struct {
	Class   string   `yaml:"class" doc:"which nodes; all but adversaries"`
	Session Dist     `yaml:"session" doc:"how long one is up, such as weibull(0.5, 40m)"`
	Gap     Dist     `yaml:"gap" doc:"how long it is down"`
	Crash   Share    `yaml:"crash" doc:"share of sessions that end without a word; 0"`
	Sleep   bool     `yaml:"sleep" doc:"the machine sleeps and wakes: the process stays, its clock goes on, nothing passes"`
	From    Duration `yaml:"from" doc:"when it begins, after the warm-up; 0"`
	Until   Duration `yaml:"until" doc:"when it ends: all are up again; the end of the run"`
	File    string   `yaml:"file" doc:"a trace instead: CSV with the columns t,node,up|down|crash|sleep|wake, seconds after the warm-up"`
}

// A Fault is one thing that breaks. Exactly one of the fields below For is set.
type Fault struct {
	At    Duration `yaml:"at" doc:"when, after the warm-up"`
	For   Duration `yaml:"for" doc:"how long it stands; what is not said to end stays, and what happens at once (start, say, block, double) has no end"`
	Class string   `yaml:"class" doc:"which nodes it strikes; all but adversaries"`
	Share Share    `yaml:"share" doc:"which share of them, drawn; 100%"`

	Partition string   `yaml:"partition" doc:"regions: each for itself; or the name of a class or region that is cut off from the rest; or half: two halves, drawn"`
	Crash     bool     `yaml:"crash" doc:"processes die; after for they start again"`
	Blackout  bool     `yaml:"blackout" doc:"machines lose power: silence; after for they start again"`
	Stop      bool     `yaml:"stop" doc:"nodes sign off and end; after for they start again"`
	Start     bool     `yaml:"start" doc:"nodes of a class that is late start"`
	Sleep     bool     `yaml:"sleep" doc:"machines sleep, and wake after for"`
	Loss      Share    `yaml:"loss" doc:"their lines lose this share of segments; what strikes a line at the same time adds up"`
	Latency   Duration `yaml:"latency" doc:"their lines take this much longer, one way"`
	Clock     Duration `yaml:"clock" doc:"their clocks are set this much further, and back after for"`
	Block     string   `yaml:"block" doc:"each blocks one of those who watch him, drawn: block or polite" enum:"block polite"`
	Say       bool     `yaml:"say" doc:"each changes his presence in this instant"`
	Lapse     bool     `yaml:"lapse" doc:"a planted fault of the observer alone, for checks of the measures: what watchers see of these is hidden from it"`
	Double    bool     `yaml:"double" doc:"a planted fault of the observer alone: it counts each message of these twice"`
}

// Measure says how often figures over time are taken.
type Measure struct {
	Every    Duration `yaml:"every" doc:"pause between two samples; 10s"`
	Deadline Duration `yaml:"deadline" doc:"a change that a watcher has not seen by then counts as lost; 150s"`
	Events   string   `yaml:"events" doc:"all (default), or none: leave events.jsonl empty" enum:"all none"`
}

// A Clause is one line of expect.
type Clause struct {
	Metric string
	Op     string
	Value  float64
	Text   string // as written
	Line   int
}

// Defaults fills what the file left out.
func (s *Scenario) defaults() {
	or(&s.Seed, 1)
	or(&s.Fidelity, "stream")
	or(&s.Warmup, Duration(2*time.Minute))
	or(&s.Rosters.Model, "communities")
	or(&s.Rosters.Mean, 8)
	or(&s.Rosters.Size, max(3, int(3*s.Rosters.Mean)))
	if s.Rosters.Rewire.unset() {
		s.Rosters.Rewire = Of(0.1)
	}
	or(&s.Rosters.Exponent, 2.5)
	if s.Rosters.Mutual.unset() {
		s.Rosters.Mutual = Of(1)
	}
	or(&s.Links.Latency, "regions")
	or(&s.Links.Quantum, Duration(time.Millisecond))
	or(&s.Node.Lease, Duration(150*time.Second))
	or(&s.Node.Degree, 4)
	or(&s.Node.Policy, "allow")
	or(&s.Measure.Every, Duration(10*time.Second))
	or(&s.Measure.Deadline, Duration(150*time.Second))
	or(&s.Measure.Events, "all")
	or(&s.Seeds, 1)
	for i := range s.Nodes {
		or(&s.Nodes[i].Store, "memory")
	}
	for i := range s.Workload {
		or(&s.Workload[i].To, "contacts")
		if !s.Workload[i].Size.Set() {
			s.Workload[i].Size = Constant(80)
		}
	}
}

func or[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}
