package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/hum-presence/hum/p2p/wire"
	"github.com/hum-presence/hum/store"
)

// ErrMetrics says that the listener of metrics and health cannot be had.
var ErrMetrics = errors.New("no listener for metrics and health")

// A monitor answers what Prometheus and a supervisor ask, on a listener of its own. It says counts alone: there is
// no label that names anybody.
type monitor struct {
	l      net.Listener
	server *http.Server
}

func newMonitor(h *Host, listen string) (*monitor, error) {
	l, err := net.Listen("tcp", listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%w: %s is taken", ErrMetrics, listen)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMetrics, err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(gauges{h}, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{Registry: reg, MaxRequestsInFlight: 4, Timeout: 10 * time.Second}))
	mux.HandleFunc("GET /healthz", verdict(h.Alive))
	mux.HandleFunc("GET /readyz", verdict(h.Serving))
	return &monitor{l, &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10}}, nil
}

// run serves until ctx ends.
func (m *monitor) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = m.server.Close() })
	defer stop()
	if err := m.server.Serve(m.l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("metrics: %w", err)
	}
	return nil
}

// close frees the port, whether run ran or not.
func (m *monitor) close() error {
	err := m.server.Close()
	if e := m.l.Close(); !errors.Is(e, net.ErrClosed) {
		err = errors.Join(err, e)
	}
	return err
}

// port is the one that was taken, which 0 in the settings leaves to the system.
func (m *monitor) port() int { return m.l.Addr().(*net.TCPAddr).Port }

// verdict answers 200 "ok", or 503 and what is wrong.
func verdict(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Header().Set("Cache-Control", "no-store")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, scrub(err.Error())+"\n")
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	}
}

// Alive reports whether the node answers and can read its disk: if not, to start it anew may help. A full disk is no
// reason to: that is for [Host.Serving].
func (h *Host) Alive() error {
	return h.store.View(func(tx store.Tx) error {
		_, err := tx.Get(probe)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
}

// probe is written whenever somebody asks whether the disk takes anything.
var probe = store.Meta("probe")

var errNotServing = errors.New("not serving")

// Serving reports whether members are answered: Run runs, and the disk takes what they leave.
func (h *Host) Serving() error {
	if !h.serves.Load() {
		return errNotServing
	}
	return h.store.Update(func(tx store.Tx) error { return tx.Put(probe, []byte{1}) })
}

// gauges collects what an operator watches, when he asks.
type gauges struct{ h *Host }

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("hum_"+name, help, labels, nil)
}

var (
	descServing   = desc("serving", "1 while members are answered")
	descRole      = desc("role_info", "1 for each role of this node", "role")
	descMembers   = desc("members", "members of the community")
	descKeys      = desc("hosted_keys", "keys whose records are kept for members")
	descBoxes     = desc("mailboxes", "mailboxes of members")
	descOnce      = desc("reply_mailboxes", "mailboxes for the ack of one anonymous message each")
	descItems     = desc("mailbox_items", "sealed messages that wait in mailboxes")
	descItemBytes = desc("mailbox_bytes", "their size")
	descDisk      = desc("store_bytes", "size of the store on disk")
	descNodes     = desc("community_nodes", "the other nodes of this community, by whether they are connected", "connected")
	descPeers     = desc("peers", "connected peers")
	descTopics    = desc("topics", "topics that are carried")
	descWire      = desc("wire_bytes_total", "bytes in and out, with what transports add", "direction")
	descSpent     = desc("service_bytes_total", "the same bytes within streams, by what they were for", "service", "direction")
	descSlots     = desc("relay_reservations", "members and others who are reached through the relay")
	descCircuits  = desc("relay_circuits", "circuits that the relay carries now")
	descOpened    = desc("relay_circuits_opened_total", "circuits since the start")
	descRelayed   = desc("relay_bytes_total", "bytes that circuits carried, both ways")
	descDenied    = desc("relay_denied_total", "circuits and reservations that were asked for and not given")
	descRefused   = desc("refusals_total", "requests and records that were turned away, by cause", "cause")
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descServing, descRole, descMembers, descKeys, descBoxes, descOnce, descItems, descItemBytes, descDisk, descNodes, descPeers, descTopics,
		descWire, descSpent, descSlots, descCircuits, descOpened, descRelayed, descDenied, descRefused} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	s, err := g.h.Status()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descMembers, err)
		return
	}
	gauge := func(d *prometheus.Desc, v int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
	}
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	serving := 0
	if g.h.serves.Load() {
		serving = 1
	}
	gauge(descServing, serving)
	for _, r := range s.Roles {
		gauge(descRole, 1, r)
	}
	gauge(descMembers, s.Members)
	gauge(descKeys, s.Keys)
	gauge(descBoxes, s.Mailboxes)
	gauge(descOnce, s.Once)
	gauge(descItems, s.Items)
	gauge(descItemBytes, s.Bytes)
	if size, err := g.h.store.Size(); err == nil {
		gauge(descDisk, int(size))
	}
	gauge(descNodes, s.NodesUp, "yes")
	gauge(descNodes, s.Nodes-s.NodesUp, "no")
	gauge(descPeers, s.Net.Peers)
	gauge(descTopics, s.Net.Topics)
	count(descWire, s.Net.BytesIn, "in")
	count(descWire, s.Net.BytesOut, "out")
	for service, t := range s.Net.Spent {
		count(descSpent, t.In, service.String(), "in")
		count(descSpent, t.Out, service.String(), "out")
	}
	if r := s.Net.Relayed; g.h.does(wire.RoleRelay) {
		gauge(descSlots, r.Slots)
		gauge(descCircuits, r.Circuits)
		count(descOpened, r.Opened)
		count(descRelayed, r.Bytes)
		count(descDenied, r.Denied)
	}
	refused := map[string]uint64{}
	maps.Copy(refused, s.Net.Refused)
	for cause, n := range s.Refused {
		refused[cause] += n
	}
	for cause, n := range refused {
		count(descRefused, n, cause)
	}
}
