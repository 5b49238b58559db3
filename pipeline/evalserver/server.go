package evalserver

import (
	"bufio"
	"context"
	"crypto/subtle"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/time/rate"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// Config says how a [Server] behaves. With the zero Config, it answers every request at once and without faults.
type Config struct {
	Key     string        // the deployment key; "" accepts any key that is not empty
	Latency time.Duration // the delay before each answer, including faults
	Limit   float64       // requests a second, and the burst; requests above get a 429. 0 is no limit

	// Faults happen at random, each with its probability. Which request gets which fault depends on Seed, on
	// the user, and on how often the user was asked about, but not on the order of the requests.
	Faults []Fault
	Seed   uint64

	// Script, if set, is called for each request to /v1/vardata and returns its fault; if it returns nil, Faults decide.
	// n is how often the user was asked about before. It is called from many goroutines.
	Script func(r *Request, n int) *Fault

	// Proxy makes the server behave like Amplitude's self-hosted evaluation proxy: it answers GET /status with
	// OK, knows only flag_key, has no /v1/flags, and tracks every request, whatever its headers.
	Proxy bool

	// EvaluationIDs adds a new evaluationId to each variant, as the API does. The answers for a user then differ
	// from each other.
	EvaluationIDs bool

	// Cohort, if set, returns the cohort with that id, and nil if there is none.
	Cohort func(id string) *Cohort

	// CohortKey is "<API key>:<secret key>" of the project whose cohorts are served; "" accepts any that is not empty.
	CohortKey string

	// AddCohorts, if set, tells a user's cohorts before the user is evaluated. It is called from many goroutines.
	AddCohorts func(u *pipeline.User)

	// Record, if set, is called with each request just before it is answered. It is called from many goroutines.
	Record func(Request)
}

// Request describes a request that a server received.
type Request struct {
	Arrived  time.Time
	Method   string
	Path     string
	RawQuery string
	UserID   string // UserID and DeviceID are the ids of the user; "" if the request has no valid user
	DeviceID string

	NoTrack         bool // X-Amp-Exp-Track: no-track
	NoExposureTrack bool // X-Amp-Exp-Exposure-Track: no-track
	Gzip            bool // the client accepts gzip
	Tracked         bool // Amplitude, or the proxy, would have tracked the user

	Fault  string // the kind of the fault; "" for none
	Status int    // of the answer; 0 if none was sent
}

// Stats counts the requests of a server.
type Stats struct {
	Requests int64 // of all paths
	Tracked  int64 // see [Request.Tracked]
}

// Server is the Evaluation API. Create it with [New].
type Server struct {
	config  Config
	current atomic.Pointer[serving]
	limiter *rate.Limiter
	asked   askCounter
	ids     atomic.Uint64

	requests, tracked atomic.Int64
}

// serving is an engine and what is made from it. A request uses one of them throughout.
type serving struct {
	engine *engine.Engine
	v1, v2 [][]byte // by Variant.ID: "flag":{… without the closing brace; nil if it is not listed
	local  []string // the flags that are not of remote evaluation mode; nil: all

	plans, headerPlans planCache // by the list in the query, and by that in the header
}

// New returns a server with the answers of the engine.
func New(e *engine.Engine, config Config) *Server {
	s := &Server{config: config}
	if config.Limit > 0 {
		s.limiter = rate.NewLimiter(rate.Limit(config.Limit), max(1, int(math.Min(config.Limit, math.MaxInt32))))
	}
	s.SetEngine(e)
	return s
}

// SetEngine replaces the engine: flags were edited. A request that has begun is answered by the engine before. SetEngine
// may be called at any time, also from [Config.Script] and [Config.Record].
func (s *Server) SetEngine(e *engine.Engine) {
	next := &serving{engine: e, v1: make([][]byte, len(e.Variants())), v2: make([][]byte, len(e.Variants()))}
	for _, v := range e.Variants() {
		next.v1[v.ID], next.v2[v.ID] = formatVariant(v), formatVariant2(v)
	}
	local := []string{}
	for _, f := range e.Flags() {
		if f.EvaluationMode != "remote" {
			local = append(local, f.Key)
		}
	}
	if len(local) < len(e.Flags()) {
		next.local = local
	}
	s.current.Store(next)
}

// Stats returns the counts so far.
func (s *Server) Stats() Stats {
	return Stats{Requests: s.requests.Load(), Tracked: s.tracked.Load()}
}

// formatVariant returns the variant as /v1/vardata lists it, without the closing brace; nil if it is not listed.
func formatVariant(v *engine.Variant) []byte {
	if !v.Answered() {
		return nil
	}
	dst := pipeline.AppendJSONString(nil, v.FlagKey)
	dst = append(dst, `:{"key":`...)
	dst = pipeline.AppendJSONString(dst, v.Key)
	if v.Payload != "" {
		dst = append(append(dst, `,"payload":`...), v.Payload...)
	}
	if v.ExperimentKey != "" {
		dst = pipeline.AppendJSONString(append(dst, `,"expKey":`...), v.ExperimentKey)
	}
	if v.Value != "" { // always a string, whatever the configuration has: clients accept nothing else
		dst = pipeline.AppendJSONString(append(dst, `,"value":`...), v.Value)
	}
	if v.Metadata != "" {
		dst = append(append(dst, `,"metadata":`...), v.Metadata...)
	}
	return dst
}

// formatVariant2 returns the variant as /sdk/v2/vardata lists it, without the closing brace. The value is as configured:
// clients make a string of it.
func formatVariant2(v *engine.Variant) []byte {
	dst := pipeline.AppendJSONString(nil, v.FlagKey)
	dst = append(dst, `:{"key":`...)
	dst = pipeline.AppendJSONString(dst, v.Key)
	for _, member := range [...]struct{ name, text string }{
		{"value", v.ValueJSON}, {"payload", v.Payload}, {"metadata", v.Metadata},
	} {
		if member.text != "" {
			dst = append(append(append(append(dst, `,"`...), member.name...), `":`...), member.text...)
		}
	}
	return dst
}

// answer is a response that is sent in one piece.
type answer struct {
	status      int
	contentType []string
	body        []byte
	write       func(w io.Writer) error // writes what comes before body, if it is set
	header      [][2]string             // more headers
	private     bool                    // not for pages in a browser
}

var (
	typeJSON = []string{"application/json;charset=utf-8"}
	typeText = []string{"text/plain;charset=utf-8"}
	typeHTML = []string{"text/html;charset=utf-8"}

	anyOrigin = []string{"*"}
)

func newRefusal(status int, message string) answer {
	return answer{status: status, contentType: typeText, body: []byte(message + "\n")}
}

// scratch has the memory for one request. It is pooled.
type scratch struct {
	variants []*engine.Variant
	body     []byte
	packed   sliceWriter
	gzip     *gzip.Writer
}

var scratches = sync.Pool{New: func() any { return &scratch{} }}

// sliceWriter appends what is written to a slice.
type sliceWriter []byte

func (w *sliceWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	req := Request{
		Arrived:         time.Now(),
		Method:          r.Method,
		Path:            r.URL.Path,
		RawQuery:        r.URL.RawQuery,
		NoTrack:         r.Header.Get("X-Amp-Exp-Track") == "no-track",
		NoExposureTrack: r.Header.Get("X-Amp-Exp-Exposure-Track") == "no-track",
		Gzip:            acceptsGzip(r.Header["Accept-Encoding"]),
	}
	s.requests.Add(1)
	sc := scratches.Get().(*scratch)
	defer scratches.Put(sc)

	a, fault := s.decideAnswer(r, &req, sc)
	if !waitFor(r.Context(), s.config.Latency) {
		s.recordRequest(&req, "", 0)
		return
	}
	if fault == nil {
		s.recordRequest(&req, "", a.status)
		sendAnswer(w, &req, a, sc)
		return
	}
	a = fault.alterAnswer(a)
	s.recordRequest(&req, fault.Kind, a.status)
	fault.sendFault(w, r, &req, a, sc)
}

// recordRequest calls Record, before anything is sent, so that a client that has the answer finds the record.
func (s *Server) recordRequest(req *Request, fault string, status int) {
	if s.config.Record != nil {
		req.Fault, req.Status = fault, status
		s.config.Record(*req)
	}
}

// waitFor waits, and reports whether the context is still alive.
func waitFor(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// gzipFrom is the size from which a body is compressed.
const gzipFrom = 1024

// acceptsGzip reports whether Accept-Encoding headers allow gzip.
func acceptsGzip(values []string) bool {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			name, q, _ := strings.Cut(name, ";")
			if !strings.EqualFold(strings.TrimSpace(name), "gzip") {
				continue
			}
			q = strings.ReplaceAll(q, " ", "")
			if q == "" || strings.Trim(strings.TrimPrefix(q, "q="), "0.") != "" {
				return true
			}
		}
	}
	return false
}

// sendAnswer sends the answer.
func sendAnswer(w http.ResponseWriter, req *Request, a answer, sc *scratch) {
	if a.write != nil {
		streamAnswer(w, req, a)
		return
	}
	if req.Gzip && len(a.body) >= gzipFrom {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Vary", "Accept-Encoding")
		a.body = sc.compress(a.body)
	}
	writeHeader(w, a)
	_, _ = w.Write(a.body) // the client may be gone
}

// streamAnswer sends an answer whose length is not known. If its content cannot be written whole, it breaks the
// connection, so that the client does not take a part for the whole.
func streamAnswer(w http.ResponseWriter, req *Request, a answer) {
	body := bufio.NewWriterSize(w, 64<<10)
	var to io.Writer = body
	var packed *gzip.Writer
	if req.Gzip {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Vary", "Accept-Encoding")
		packed, _ = gzip.NewWriterLevel(body, gzip.BestSpeed) // the level is valid
		to = packed
	}
	writeHeader(w, a)
	err := a.write(to)
	if err == nil {
		_, err = to.Write(a.body)
	}
	if err == nil && packed != nil {
		err = packed.Close()
	}
	if err != nil || body.Flush() != nil {
		panic(http.ErrAbortHandler)
	}
}

func writeHeader(w http.ResponseWriter, a answer) {
	h := w.Header()
	if a.contentType != nil {
		h["Content-Type"] = a.contentType
	}
	if a.contentType != nil && a.write == nil {
		h["Content-Length"] = []string{strconv.Itoa(len(a.body))}
	}
	if !a.private {
		h["Access-Control-Allow-Origin"] = anyOrigin // for clients in browsers, which then also see errors
	}
	for _, more := range a.header {
		h.Set(more[0], more[1])
	}
	w.WriteHeader(a.status)
}

func (sc *scratch) compress(body []byte) []byte {
	sc.packed = sc.packed[:0]
	if sc.gzip == nil {
		sc.gzip, _ = gzip.NewWriterLevel(&sc.packed, gzip.BestSpeed) // the level is valid
	} else {
		sc.gzip.Reset(&sc.packed)
	}
	_, _ = sc.gzip.Write(body) // into memory
	_ = sc.gzip.Close()
	return sc.packed
}

// route is what is known of a request from its path alone.
type route struct {
	allow    string // the methods; "": there is no such path
	vardata  bool
	v2       bool // vardata: the answer is that of /sdk/v2/vardata
	inHeader bool // vardata: a GET has its user in a header, not in the query
	local    bool // flags: without those of remote evaluation mode, unless asked for
	cohort   bool
}

func (s *Server) routeOf(path string) route {
	switch path {
	case "/v1/vardata":
		return route{allow: "GET, POST", vardata: true}
	case "/sdk/vardata":
		return route{allow: "GET, POST", vardata: true, inHeader: true}
	case "/sdk/v2/vardata":
		return route{allow: "GET, POST", vardata: true, inHeader: true, v2: true}
	case "/v1/flags":
		if !s.config.Proxy {
			return route{allow: "GET"}
		}
	case "/sdk/v2/flags":
		return route{allow: "GET", local: true}
	}
	if strings.HasPrefix(path, cohortPath) {
		return route{allow: "GET", cohort: true}
	}
	return route{}
}

// allowedHeaders are those that clients in browsers send.
const allowedHeaders = "authorization, x-amp-exp-user, x-amp-exp-flag-keys, x-amp-exp-track, x-amp-exp-exposure-track, " +
	"x-amp-exp-library, content-type"

// decideAnswer returns the answer to the request, and the fault that replaces it, if any.
func (s *Server) decideAnswer(r *http.Request, req *Request, sc *scratch) (answer, *Fault) {
	if r.URL.Path == "/status" && s.config.Proxy {
		return answer{status: http.StatusOK, contentType: typeText, body: []byte("OK")}, nil
	}
	route, current := s.routeOf(r.URL.Path), s.current.Load()
	switch {
	case route.allow == "":
		message := "not found"
		if !s.config.Proxy {
			message += "; there are /v1/vardata, /sdk/vardata, /sdk/v2/vardata, /v1/flags, /sdk/v2/flags, " + cohortPath + "{id}"
		}
		return newRefusal(http.StatusNotFound, message), nil
	case r.Method == http.MethodOptions && !route.cohort: // a browser asks before it sends another header than the usual ones
		return answer{status: http.StatusNoContent, header: [][2]string{
			{"Access-Control-Allow-Methods", route.allow}, {"Access-Control-Allow-Headers", allowedHeaders},
			{"Access-Control-Max-Age", "86400"},
		}}, nil
	}
	if route.vardata && (s.config.Proxy || !req.NoTrack || !req.NoExposureTrack) {
		req.Tracked = true
		s.tracked.Add(1)
	}
	if r.Method != http.MethodGet && !(route.vardata && r.Method == http.MethodPost) {
		a := newRefusal(http.StatusMethodNotAllowed, "method not allowed")
		a.header = [][2]string{{"Allow", route.allow}}
		return a, nil
	}
	if route.cohort && !s.authorizedForCohorts(r) || !route.cohort && !s.authorized(r.Header.Get("Authorization")) {
		return newRefusal(http.StatusUnauthorized, "Invalid deployment"), nil
	}
	if s.limiter != nil && !s.limiter.AllowN(req.Arrived, 1) {
		a := newRefusal(http.StatusTooManyRequests, "too many requests")
		a.header = [][2]string{{"Retry-After", "1"}}
		return a, nil
	}
	if route.cohort {
		return s.answerCohort(r), s.chooseFault(req, false)
	}
	q, err := parseQuery(r.URL.RawQuery, s.config.Proxy)
	if err == nil {
		err = q.readHeaders(r.Header, route.inHeader && r.Method == http.MethodGet)
	}
	if err != nil {
		return newRefusal(http.StatusBadRequest, err.Error()), nil
	}
	if !route.vardata {
		keys := q.splitFlags()
		if keys == nil && route.local && (s.config.Proxy || q.mode != "remote") {
			keys = current.local
		}
		return answer{status: http.StatusOK, contentType: typeJSON, body: current.engine.Configs(keys)},
			s.chooseFault(req, false)
	}
	var user pipeline.User
	if r.Method == http.MethodPost {
		var body []byte
		body, err = io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
		if _, tooBig := errors.AsType[*http.MaxBytesError](err); tooBig {
			return newRefusal(http.StatusRequestEntityTooLarge, "the user is too large"), nil
		}
		q.context, q.hasContext = string(body), true
	}
	if err == nil {
		err = q.fillUser(&user)
	}
	if err != nil {
		return newRefusal(http.StatusBadRequest, err.Error()), nil
	}
	req.UserID, req.DeviceID = user.UserID, user.DeviceID
	if s.config.AddCohorts != nil {
		s.config.AddCohorts(&user)
	}
	return answer{status: http.StatusOK, contentType: typeJSON, body: s.evaluateUser(current, route.v2, &q, &user, sc)},
		s.chooseFault(req, true)
}

func (s *Server) authorized(header string) bool {
	const prefix = "Api-Key "
	if len(header) <= len(prefix) || !strings.EqualFold(header[:len(prefix)], prefix) {
		return false
	}
	key := header[len(prefix):]
	return s.config.Key == "" || subtle.ConstantTimeCompare([]byte(key), []byte(s.config.Key)) == 1
}

// evaluateUser returns the body of the answer for one user, in the memory of sc.
func (s *Server) evaluateUser(current *serving, v2 bool, q *query, user *pipeline.User, sc *scratch) []byte {
	answers := current.v1
	if v2 {
		answers = current.v2
	}
	plans := &current.plans
	if q.flags != nil {
		plans = &current.headerPlans
	}
	sc.variants = plans.planFor(current.engine, q).Append(sc.variants[:0], user)
	dst := append(sc.body[:0], '{')
	for _, v := range sc.variants {
		text := answers[v.ID]
		if text == nil {
			continue
		}
		if len(dst) > 1 {
			dst = append(dst, ',')
		}
		dst = append(dst, text...)
		if s.config.EvaluationIDs && !v2 {
			dst = append(dst, `,"evaluationId":"`...)
			dst = strconv.AppendUint(dst, splitmix64(s.config.Seed, s.ids.Add(1)), 16)
			dst = append(dst, '"')
		}
		dst = append(dst, '}')
	}
	sc.body = append(dst, '}')
	return sc.body
}

// splitmix64 spreads n over 64 bits.
func splitmix64(seed, n uint64) uint64 {
	z := seed + n*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// planCache keeps the plans of the flag lists that were asked for, usually one.
type planCache struct {
	plans sync.Map // flag list → *engine.Plan
	size  atomic.Int64
}

const maxPlans = 1000 // the plans of further lists are not kept

func (c *planCache) planFor(e *engine.Engine, q *query) *engine.Plan {
	if p, ok := c.plans.Load(q.flagList); ok {
		return p.(*engine.Plan)
	}
	p := e.Plan(q.splitFlags())
	if c.size.Load() < maxPlans {
		c.size.Add(1)
		c.plans.Store(strings.Clone(q.flagList), p)
	}
	return p
}
