package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/common/expfmt"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// metricsEvery is how often the file of --metrics is written while the run goes on.
const metricsEvery = 15 * time.Second

// maxMetricSeries bounds the series of flags and variants, which a server can make up.
const maxMetricSeries = 10_000

// metrics tells Prometheus how a run goes: in a file, for the textfile collector of the node exporter, and to whoever
// asks. It is a sink that comes after the tally.
//
// All are gauges of one run, not counters: the next run is another process. The label output tells the jobs of a
// machine apart.
type metrics struct {
	s        *snapshotRun
	file     string // "": none
	registry *prometheus.Registry
	server   *http.Server // nil: none
	stop     chan struct{}
	stopped  chan struct{}

	due atomic.Bool // somebody wants the counts of now

	mu          sync.Mutex
	runID       string
	resumes     int
	remote      *connection // nil: not known yet, or nobody is asked
	users       snapshot.Users
	assignments []snapshot.FlagCount
	total       int64
	lastSuccess float64 // Unix time; 0: never, as far as is known
	exitCode    int
	ended       time.Time // zero: the run goes on
}

// metricInfo describes a metric.
type metricInfo struct {
	help   string
	labels []string // beside output
}

var metricInfos = map[string]metricInfo{
	"rollcall_run_info":                       {"The run: always 1.", []string{"run_id", "version"}},
	"rollcall_run_in_progress":                {"Whether the run goes on: 1, or 0 once it has ended.", nil},
	"rollcall_run_start_timestamp_seconds":    {"When this process of the run began.", nil},
	"rollcall_run_duration_seconds":           {"How long this process of the run has taken.", nil},
	"rollcall_run_exit_code":                  {"The exit code of the run, once it has ended.", nil},
	"rollcall_run_resumes":                    {"How often the run was resumed.", nil},
	"rollcall_last_success_timestamp_seconds": {"When a run of this output last ended with exit code 0.", nil},
	"rollcall_input_users":                    {"How many users the input has.", nil},
	"rollcall_users": {"Users by outcome, answered or failed, and failed ones by kind.",
		[]string{"outcome", "kind"}},
	"rollcall_assignments":              {"Users who got a variant.", []string{"flag", "variant"}},
	"rollcall_requests":                 {"Requests of this process by status, or by what went wrong.", []string{"status"}},
	"rollcall_retries":                  {"Requests of this process after a user's first.", nil},
	"rollcall_pauses":                   {"How often the API asked this process to pause.", nil},
	"rollcall_requests_per_second":      {"The rate of requests that was reached.", nil},
	"rollcall_request_duration_seconds": {"How long answers took.", nil},
}

// startMetrics begins to tell how the run goes; nil if nobody wants to know.
func startMetrics(s *snapshotRun) (*metrics, error) {
	if s.o.metricsFile == "" && s.o.metricsListen == "" || s.o.dryRun {
		return nil, nil
	}
	m := &metrics{s: s, file: s.o.metricsFile, runID: s.runID, registry: prometheus.NewRegistry(), stop: make(chan struct{}),
		stopped: make(chan struct{})}
	if err := m.registry.Register(m); err != nil {
		return nil, fmt.Errorf("internal error: %w", err)
	}
	if m.file != "" {
		m.lastSuccess = readLastSuccess(m.file)
		if err := m.write(); err != nil { // finds now that it cannot be written
			return nil, err
		}
	}
	if s.o.metricsListen != "" {
		listener, err := net.Listen("tcp", s.o.metricsListen)
		if err != nil {
			return nil, pipeline.WithHint(fmt.Errorf("--metrics-listen: %w", err), "for example 127.0.0.1:9464")
		}
		mux := http.NewServeMux()
		mux.Handle("/metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
		m.server = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
		go func() { _ = m.server.Serve(listener) }() // until finish closes it
		s.con.Log.Info(fmt.Sprintf("metrics at http://%s/metrics", listener.Addr()))
	}
	go m.writeRegularly()
	return m, nil
}

// readLastSuccess returns when a run of the file's output last succeeded, according to the file; 0 if it does not say.
func readLastSuccess(file string) float64 {
	f, err := os.Open(file)
	if err != nil {
		return 0 // a file that is not there yet; what else is wrong is said when it is written
	}
	defer f.Close() //nolint:errcheck // only read
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0
	}
	lines := bufio.NewScanner(io.LimitReader(f, 16<<20))
	for lines.Scan() {
		if rest, ok := strings.CutPrefix(lines.Text(), "rollcall_last_success_timestamp_seconds{"); ok {
			if at, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64); err == nil {
				return at
			}
		}
	}
	return 0
}

// writeRegularly writes the file until the run ends.
func (m *metrics) writeRegularly() {
	defer close(m.stopped)
	ticker := time.NewTicker(metricsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-ticker.C:
		}
		if err := m.write(); err != nil {
			m.s.con.Warn(err.Error(), "", about{code: warnMetrics})
		}
	}
}

// finish says that the run has ended, and writes the file a last time. m may be nil.
func (m *metrics) finish(code int) {
	if m == nil {
		return
	}
	close(m.stop)
	<-m.stopped
	if m.server != nil {
		_ = m.server.Close()
	}
	m.collect()
	m.mu.Lock()
	m.exitCode, m.ended = code, time.Now()
	if code == exitOK {
		m.lastSuccess = float64(m.ended.Unix())
	}
	m.mu.Unlock()
	if err := m.write(); err != nil {
		m.s.con.Warn(err.Error(), pipeline.Hint(err), about{code: warnMetrics})
	}
}

// write writes the file, if there is one.
func (m *metrics) write() error {
	if m.file == "" {
		return nil
	}
	families, err := m.registry.Gather()
	if err != nil {
		return fmt.Errorf("--metrics: %w", err)
	}
	var b bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&b, family); err != nil {
			return fmt.Errorf("--metrics: %w", err)
		}
	}
	return durable.WriteFile(m.file, b.Bytes())
}

// Write passes on what the tally has counted, if somebody wants it.
func (m *metrics) Write(*pipeline.Outcome) error {
	if m.due.Load() {
		m.due.Store(false)
		m.collect()
	}
	return nil
}

// Close does nothing: finish ends the metrics, after the run.
func (m *metrics) Close() error { return nil }

// describeRun copies what is known of the run once it is prepared. m may be nil.
func (m *metrics) describeRun() {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runID, m.resumes, m.remote, m.total = m.s.runID, m.s.resumes, m.s.remote, m.s.in.total
}

// collect copies the counts of the tally, which the caller alone uses.
func (m *metrics) collect() {
	t := m.s.tally
	if t == nil {
		return
	}
	users := snapshot.Users{Read: t.Read, Answered: t.Answered, Failed: t.FailedUsers(), FailedByKind: maps.Clone(t.Failed)}
	flags := t.Flags()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.users, m.assignments = users, flags
}

// Describe describes nothing: which metrics there are depends on the run.
func (m *metrics) Describe(chan<- *prometheus.Desc) {}

// Collect sends the metrics of now.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	m.due.Store(true) // for the next time
	m.mu.Lock()
	defer m.mu.Unlock()
	send := func(name string, value float64, labels ...string) {
		for i := range labels {
			labels[i] = strings.ToValidUTF8(labels[i], "\uFFFD")
		}
		to <- prometheus.MustNewConstMetric(m.describeMetric(name), prometheus.GaugeValue, value, labels...)
	}
	end, running := m.ended, 0.0
	if end.IsZero() {
		end, running = time.Now(), 1
	} else {
		send("rollcall_run_exit_code", float64(m.exitCode))
	}
	send("rollcall_run_info", 1, m.runID, version())
	send("rollcall_run_in_progress", running)
	send("rollcall_run_start_timestamp_seconds", float64(m.s.began.Unix()))
	send("rollcall_run_duration_seconds", end.Sub(m.s.began).Seconds())
	if m.lastSuccess > 0 {
		send("rollcall_last_success_timestamp_seconds", m.lastSuccess)
	}
	send("rollcall_run_resumes", float64(m.resumes))
	send("rollcall_input_users", float64(m.total))
	send("rollcall_users", float64(m.users.Answered), "answered", "")
	for kind, n := range m.users.FailedByKind {
		send("rollcall_users", float64(n), "failed", string(kind))
	}
	left := maxMetricSeries
	for _, f := range m.assignments {
		for _, v := range f.Variants {
			if left--; left >= 0 {
				send("rollcall_assignments", float64(v.Users), f.Flag, v.Variant)
			}
		}
	}
	if m.remote == nil {
		return
	}
	stats := m.remote.Stats()
	for status, n := range summarizeRequests(stats).Statuses {
		send("rollcall_requests", float64(n), status)
	}
	send("rollcall_retries", float64(stats.Retries))
	send("rollcall_pauses", float64(stats.Pauses))
	send("rollcall_requests_per_second", stats.EffectiveRate)
	buckets := map[float64]uint64{}
	for i, bound := range amplitude.LatencyBounds {
		buckets[bound.Seconds()] = stats.Latencies[i]
	}
	to <- prometheus.MustNewConstHistogram(m.describeMetric("rollcall_request_duration_seconds"), stats.LatencyCount,
		stats.LatencySum.Seconds(), buckets)
}

func (m *metrics) describeMetric(name string) *prometheus.Desc {
	info := metricInfos[name]
	output := strings.ToValidUTF8(m.s.o.anchor(), "\uFFFD")
	return prometheus.NewDesc(name, info.help, info.labels, prometheus.Labels{"output": output})
}
