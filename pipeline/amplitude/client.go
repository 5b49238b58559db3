package amplitude

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Config is what a [Client] needs. Only BaseURL is required.
type Config struct {
	BaseURL   string   // as [BaseURL] returns it
	Key       Key      // the zero Key sends no authorization
	KeySource string   // where the key came from, for the message when it is refused
	FlagKeys  []string // which flags to evaluate; empty: all of the deployment
	FlagParam string   // the name of their parameter: "flag_keys" (the default) or "flag_key"
	Method    Method   // which users are asked about by POST; none by default
	Cache     bool     // report what answers say of caches: see [pipeline.Cache]
	Nonce     string   // added to each URL about a user, so that no cache answers; "": none

	Rate        float64       // attempts a second at most, and fewer where the API refuses so many; 0: no limit
	StartRate   float64       // attempts a second at the start; Rate by default
	Burst       int           // how many of them may go at once; at least 1
	Concurrency int           // how many Evaluate calls run at a time; 16 by default
	Timeout     time.Duration // for one attempt, from connecting to the last byte; 15 s by default
	MaxAttempts int           // for one user; 5 by default
	MaxOutage   time.Duration // how long an outage may last; 15 min by default

	// PreflightTime is how long Preflight may take, without the waits for the rate; 5 s by default. One of its requests
	// may take two fifths of that.
	PreflightTime time.Duration

	Logger       *slog.Logger      // logs when a pause or an outage begins and ends; nil: discarded
	RoundTripper http.RoundTripper // nil: the client makes its own
	UserAgent    string            // "rollcall" by default
	Now          func() time.Time  // dates the answers; nil: time.Now
}

// Client asks the Evaluation API. It is a [pipeline.Evaluator], and safe for concurrent use.
type Client struct {
	vardata, post            call            // about a user
	flags                    map[string]call // by path; see FlagConfigs
	status, flagsV1, flagsV2 call            // for Preflight

	flagList    []byte // the parameter, ready to be appended
	flagCount   int
	method      Method
	nonce       string // escaped
	cache       bool
	now         func() time.Time // dates answers, and nothing else
	timeout     time.Duration
	maxAttempts int

	preflightTime time.Duration
	transport     http.RoundTripper
	own           *http.Transport        // the transport, if it is the client's own and without a proxy
	chosen        sync.Once              // done when the first connection has decided on the target
	target        atomic.Pointer[target] // of the wires' own connections; nil: use the transport
	proxy         string                 // the environment variable that names the proxy; "": no proxy
	limiter       *limiter
	circuit       *circuit
	counters      counters
	free          chan *attempt
	users         atomic.Int64 // whom Evaluate was called for
	lanes         lanes
	firstRest     time.Duration
	rested        sync.Once   // done before the first HTTP/1 connection is used for a second request
	distrusted    atomic.Bool // the server sent an unrequested answer: no connection is used twice
	known         ring        // the requests about users who were answered
}

// call is one kind of request.
type call struct {
	endpoint
	method  string
	header  http.Header // shared by all requests, so never written to
	max     int64       // bytes of an answer
	check   func(*attempt) error
	circuit *circuit
	ofUser  bool // it is about a user
}

// request is one request, but for a nonce.
type request struct {
	call  *call
	query string
	body  string // of a POST
}

// withNonce returns the request with a parameter that no server reads. With another value each time, no cache has its
// URL.
func (r request) withNonce(nonce string) request {
	if nonce == "" {
		return r
	}
	if r.query != "" {
		r.query += "&"
	}
	r.query += nonceParam + nonce
	return r
}

// Method says how a client asks about users. The values are those of --method.
type Method string

// The values of Method.
const (
	MethodGet  Method = "get"  // all by GET /v1/vardata; a user whose URL is too long fails
	MethodAuto Method = "auto" // those whose URL is too long by POST /sdk/v2/vardata
	MethodPost Method = "post" // all by POST
)

// Methods are all methods.
var Methods = []Method{MethodGet, MethodAuto, MethodPost}

var _ pipeline.Evaluator = (*Client)(nil)

// New makes a client. It sends nothing.
func New(cfg Config) (*Client, error) {
	param := cfg.FlagParam
	if param == "" {
		param = "flag_keys"
	}
	switch {
	case cfg.BaseURL == "":
		return nil, errors.New("the client needs a base URL")
	case param != "flag_keys" && param != "flag_key":
		return nil, pipeline.WithHint(fmt.Errorf("%q is not a valid flag parameter", param),
			`it is "flag_keys", or "flag_key" with older servers`)
	case !(cfg.Rate >= 0) || cfg.Burst < 0 || cfg.Concurrency < 0 || cfg.Timeout < 0 || cfg.MaxAttempts < 0 ||
		cfg.MaxOutage < 0:
		return nil, errors.New("the client's limits must not be negative")
	}
	if cfg.Method == "" {
		cfg.Method = MethodGet
	}
	if !slices.Contains(Methods, cfg.Method) {
		return nil, fmt.Errorf("%q is not a valid method", cfg.Method)
	}
	for _, flag := range cfg.FlagKeys {
		if flag == "" || strings.Contains(flag, ",") {
			return nil, fmt.Errorf("%q is not a valid flag key: it is empty or contains a comma", flag)
		}
	}
	if cfg.Concurrency == 0 {
		cfg.Concurrency = 16
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 15 * time.Second
	}
	if cfg.MaxAttempts == 0 {
		cfg.MaxAttempts = 5
	}
	if cfg.PreflightTime == 0 {
		cfg.PreflightTime = preflightTime
	}
	if cfg.MaxOutage == 0 {
		cfg.MaxOutage = 15 * time.Minute
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "rollcall"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	c := &Client{
		flagList: appendFlags(nil, param, cfg.FlagKeys), flagCount: len(cfg.FlagKeys), method: cfg.Method,
		cache: cfg.Cache,
		now:   cfg.Now, timeout: cfg.Timeout, maxAttempts: cfg.MaxAttempts, transport: cfg.RoundTripper,
		limiter: newLimiter(cmp.Or(cfg.StartRate, cfg.Rate), cfg.Rate, cfg.Burst), firstRest: firstRest,
		preflightTime: cfg.PreflightTime,

		circuit: newCircuit(cfg.MaxOutage, cfg.KeySource, cfg.Logger),
		free:    make(chan *attempt, cfg.Concurrency),
	}
	c.circuit.limiter = c.limiter
	c.SetNonce(cfg.Nonce)
	keyless := newHeader(cfg.UserAgent)
	keyed := newHeader(cfg.UserAgent)
	if !cfg.Key.IsZero() {
		keyed["Authorization"] = []string{"Api-Key " + cfg.Key.Secret()}
	}
	c.vardata = call{header: keyed, max: maxAnswer, check: c.checkVariants, circuit: c.circuit, ofUser: true}
	c.post = call{method: http.MethodPost, header: postHeader(keyed, cfg.FlagKeys), max: maxAnswer, check: c.checkV2,
		circuit: c.circuit, ofUser: true}
	c.status = call{header: keyless, max: maxDrain, check: func(*attempt) error { return nil }, circuit: c.circuit}
	c.flagsV1 = call{header: keyed, max: maxAnswer, circuit: c.circuit,
		check: func(a *attempt) error { return a.parser.parseArray(a.body) }}
	c.flagsV2 = c.flagsV1
	for to, path := range map[*call]string{&c.vardata: "/v1/vardata", &c.post: pathPost, &c.status: "/status",
		&c.flagsV1: pathFlagsV1, &c.flagsV2: pathFlagsV2} {
		var err error
		if to.endpoint, err = newEndpoint(cfg.BaseURL, path); err != nil {
			return nil, err
		}
		to.method = cmp.Or(to.method, http.MethodGet)
	}
	c.flags = map[string]call{pathFlagsV1: c.flagsV1, pathFlagsV2: c.flagsV2}
	for path, get := range c.flags {
		get.max = maxFlags
		c.flags[path] = get
	}
	if c.transport == nil {
		t, err := newTransport(&c.vardata.url, cfg.Concurrency)
		if err != nil {
			return nil, err
		}
		c.transport = t
		switch {
		case t.Proxy != nil:
			c.proxy = proxyVariable(&c.vardata.url)
		case c.vardata.url.Scheme == "http":
			c.target.Store(newTarget(&c.vardata.url, nil))
		default:
			c.own = t
		}
	}
	return c, nil
}

// newHeader returns the header that every request carries. Names are in the canonical form that net/http sends.
func newHeader(userAgent string) http.Header {
	return http.Header{
		"X-Amp-Exp-Track":          {"no-track"}, // without it a call writes to the customer's analytics
		"X-Amp-Exp-Exposure-Track": {"no-track"},
		"Accept":                   {"application/json"},
		"Accept-Encoding":          {"gzip"},
		"User-Agent":               {userAgent},
	}
}

// handshakeTime bounds a TLS handshake.
const handshakeTime = 10 * time.Second

var dialer = &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}

// newTransport returns a transport of net/http with as many idle connections as there are requests in flight: with
// fewer, each answer would close a connection and each request open one.
//
// The time for headers and bodies is bounded by the attempt's own timer, so there are no further timers here.
func newTransport(to *url.URL, concurrency int) (*http.Transport, error) {
	proxy, err := http.ProxyFromEnvironment(&http.Request{URL: to}) // once: every request has the same host
	if err != nil {
		return nil, pipeline.WithHint(errors.New("the proxy in the environment is not a URL"),
			"see HTTPS_PROXY and HTTP_PROXY")
	}
	t := &http.Transport{
		DialContext: dialer.DialContext,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12,
			ClientSessionCache: tls.NewLRUClientSessionCache(64)},
		TLSHandshakeTimeout:    handshakeTime,
		ForceAttemptHTTP2:      true, // which setting DialContext would turn off
		MaxIdleConns:           concurrency,
		MaxIdleConnsPerHost:    concurrency,
		IdleConnTimeout:        50 * time.Second, // below the 60 s after which many servers hang up
		DisableCompression:     true,             // this package requests gzip and unpacks it into memory that it reuses
		MaxResponseHeaderBytes: 64 << 10,
		WriteBufferSize:        16 << 10, // the longest URL and its headers in one write
		ReadBufferSize:         16 << 10,
		// A connection of HTTP/2 that is dead, without a FIN or RST, is noticed within 25 s and replaced. Otherwise all
		// requests would go into it until TCP gives up, a quarter of an hour later.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second,
			// Nothing is put into the table of headers: every path is another one, and would push the others out, which was
			// a tenth of a request's CPU. It also keeps the key out of it.
			MaxEncoderHeaderTableSize: 1},
	}
	if to.Scheme == "https" {
		t.DialContext = dialJoined
	}
	if proxy != nil {
		t.Proxy = http.ProxyURL(proxy)
		t.OnProxyConnectResponse = func(_ context.Context, _ *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			return &ProxyError{Variable: proxyVariable(to), Status: resp.StatusCode}
		}
	}
	return t, nil
}

// proxyVariable returns the environment variable that names the proxy which http.ProxyFromEnvironment uses for a
// server.
func proxyVariable(to *url.URL) string {
	name := strings.ToUpper(to.Scheme) + "_PROXY"
	if os.Getenv(name) == "" {
		return strings.ToLower(name)
	}
	return name
}

// Close closes idle connections. Evaluate must not be running.
func (c *Client) Close() {
	c.lanes.releaseWires()
	c.closeIdleConnections()
}

func (c *Client) closeIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Format keeps whoever prints a client from printing the header that holds the key.
func (c *Client) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, "client of "+c.vardata.text) }

// Evaluate asks about one user until there is an answer, or this user or the run has failed. It waits for the end of
// an outage, which does not count against the user. It implements [pipeline.Evaluator].
func (c *Client) Evaluate(ctx context.Context, u *pipeline.User) (pipeline.Answer, error) {
	if u.UserID == "" && u.DeviceID == "" {
		return pipeline.Answer{}, pipeline.Errorf(pipeline.KindMissingID, "neither a user id nor a device id")
	}
	a := c.getAttempt()
	defer c.putAttempt(a)
	a.nth = c.users.Add(1)
	req, length := c.buildRequest(&a.buffers, u)
	if req.call == &c.vardata && length > MaxURLBytes {
		return pipeline.Answer{}, tooLongError(length, req.query)
	}
	attempts, err := c.sendUntilDecided(ctx, a, req)
	if err != nil {
		return pipeline.Answer{}, err
	}
	return pipeline.Answer{Variants: a.variants, Body: a.text, At: c.now(), Attempts: attempts, Cache: a.cache}, nil
}

// SetNonce replaces [Config.Nonce]. Nothing may have been asked yet.
func (c *Client) SetNonce(nonce string) { c.nonce = string(appendEscaped(nil, nonce)) }

// Stop ends all sending and returns the number of requests in flight. Their users are still answered; for the others
// Evaluate returns [pipeline.ErrStopped].
func (c *Client) Stop() int {
	c.circuit.stopSending(pipeline.ErrStopped)
	return int(c.counters.inFlight.Load())
}

// maxAsked is how many known users are asked about, one after the other, before their failures count as an outage.
const maxAsked = 3

// askKnownUser asks about users who were answered before, until one is answered: then the API is up. If none is, it is
// an outage, which the circuit records. Any one of them may have begun to fail for a reason of its own, so several are
// asked about, and the next call begins with the one who was answered last. The nonce makes the URL one that the CDN
// has not cached.
func (c *Client) askKnownUser(ctx context.Context, a *attempt) (apiState, error) {
	t, err := c.circuit.admitAttempt(ctx, c.limiter, a.nth)
	if err != nil {
		return apiAway, err
	}
	return c.askKnownUserWith(ctx, a, t)
}

// askKnownUserWith is askKnownUser with the permission to send the first request.
func (c *Client) askKnownUserWith(ctx context.Context, a *attempt, t ticket) (apiState, error) {
	for n := 1; ; {
		req, size := c.known.currentUser()
		r, err := c.sendCounted(ctx, a, req.withNonce(crand.Text()))
		if err != nil {
			c.circuit.returnTicket(t)
			return apiAway, err
		}
		d := decide(state{path: req.call.url.Path, known: true, probe: true, spent: 1, bad: maxBad + 1, denied: maxDenied +
			1}, r, a.at, 0)
		failed := d.action == actionOutage
		if failed {
			c.known.moveOn()
			if n < min(size, maxAsked) && !c.circuit.inOutage() {
				d.action = actionAgain
			}
		}
		during, err := c.circuit.noteResult(t, d, r)
		switch {
		case err != nil:
			return apiAway, err
		case d.action == actionDone || d.action == actionFail:
			if n > 1 {
				return apiBack, nil
			}
			return apiThere, nil
		case during:
			return apiAway, nil
		case failed:
			n++
		} // else a pause, or a refused key
		if t, err = c.circuit.admitAttempt(ctx, c.limiter, a.nth); err != nil {
			return apiAway, err
		}
	}
}

// ring is the last few users who were answered, by their requests. The zero ring is empty. It is safe for concurrent
// use.
type ring struct {
	mu       sync.Mutex
	requests [16]request
	size     int
	oldest   int // where the next one goes
	current  int // the one to ask about
}

// addUser replaces the oldest user.
func (r *ring) addUser(req request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if slices.Contains(r.requests[:r.size], req) {
		return
	}
	r.size = min(r.size+1, len(r.requests))
	r.requests[r.oldest] = req
	r.oldest = (r.oldest + 1) % len(r.requests)
}

func (r *ring) isEmpty() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.size == 0
}

// currentUser returns the request about the user to ask about, and how many users there are.
func (r *ring) currentUser() (req request, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requests[r.current], r.size
}

// moveOn makes the next user the current one.
func (r *ring) moveOn() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = (r.current + 1) % r.size
}

// sendCounted is send, but also counts the request as in flight.
func (c *Client) sendCounted(ctx context.Context, a *attempt, req request) (result, error) {
	defer c.counters.beginRequest()()
	return c.send(ctx, a, req)
}

func (c *Client) checkVariants(a *attempt) (err error) {
	a.variants, err = a.parser.parseVariants(a.body, a.text, c.flagCount)
	return err
}

func (c *Client) checkV2(a *attempt) (err error) {
	a.variants, err = a.parser.parseV2(a.body, a.text, c.flagCount)
	return err
}

// sendUntilDecided makes attempts and does what decide says, until the user or the run is done. Its error is a
// *pipeline.UserError, or one that ends the run.
func (c *Client) sendUntilDecided(ctx context.Context, a *attempt, req request) (attempts int, err error) {
	call, plain := req.call, req
	if call.ofUser {
		req = req.withNonce(c.nonce)
	}
	s := state{path: call.url.Path, post: call == &c.post, max: c.maxAttempts}
	for {
		s.known = call.ofUser && !c.known.isEmpty()
		if s.known && attempts > 0 && s.nextIsLast() { // no time for a backoff in between, in which an outage could begin
			if s.api, err = c.askKnownUser(ctx, a); err != nil {
				return attempts, err
			}
			if s.api == apiAway {
				s.forgetAttempts()
			}
		}
		t, err := call.circuit.admitAttempt(ctx, c.limiter, a.nth)
		if err != nil {
			return attempts, err
		}
		if t.known && s.known {
			if _, err := c.askKnownUserWith(ctx, a, t); err != nil {
				return attempts, err
			}
			continue
		}
		if attempts++; attempts > 1 {
			c.counters.retries.Add(1)
		}
		r, err := c.sendCounted(ctx, a, req)
		if err != nil {
			call.circuit.returnTicket(t)
			return attempts, err
		}
		if call.ofUser && r.status == http.StatusOK && r.bad == "" {
			c.known.addUser(plain) // before the circuit lets others go
		}
		s.known = call.ofUser && !c.known.isEmpty()
		s.countResult(r)
		d := decide(s, r, a.at, rand.Float64())
		if s.outage, err = call.circuit.noteResult(t, d, r); err != nil {
			return attempts, err
		}
		if d.action == actionAsk && !s.outage {
			if s.api, err = c.askKnownUser(ctx, a); err != nil {
				return attempts, err
			}
		}
		if d.action == actionAsk || s.outage {
			d = decide(s, r, a.at, rand.Float64())
		}
		switch d.action {
		case actionDone:
			return attempts, nil
		case actionFail:
			d.user.Attempts = attempts
			return attempts, d.user
		case actionAgain:
			if err := sleep(ctx, d.wait, call.circuit.dead); err != nil {
				return attempts, err
			}
		case actionRestart, actionOutage:
			s.forgetAttempts()
		}
	}
}

// URLLength returns the length of the URL for u in bytes, if it goes by GET. Beyond [MaxURLBytes], Evaluate does not
// send it: see [Method].
func (c *Client) URLLength(u *pipeline.User) int {
	query, _ := appendQuery(nil, nil, u, c.flagList)
	return c.urlLength(string(query))
}

// IsPosted reports whether u goes by POST.
func (c *Client) IsPosted(u *pipeline.User) bool {
	if c.method == MethodGet || u.UserID == "" && u.DeviceID == "" {
		return false
	}
	return c.method == MethodPost || c.URLLength(u) > MaxURLBytes
}

// Describe returns the whole request for u as HTTP/1.1 sends it, without the key.
func (c *Client) Describe(u *pipeline.User) string {
	req, _ := c.buildRequest(new(buffers), u)
	req = req.withNonce(c.nonce)
	to := req.call.url
	to.RawQuery = req.query
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", req.call.method, to.RequestURI(), to.Host)
	h := req.call.header.Clone()
	if h.Get("Authorization") != "" {
		h.Set("Authorization", "Api-Key "+hiddenKey)
	}
	if req.body != "" {
		h.Set("Content-Length", strconv.Itoa(len(req.body)))
	}
	_ = h.Write(&b)
	_, _ = io.WriteString(&b, "\r\n"+req.body)
	return b.String()
}

// Stats returns what the client has done so far. It may be called at any time.
func (c *Client) Stats() Stats {
	s := c.counters.snapshotStats()
	if c.limiter != nil {
		s.FoundRate = c.limiter.pace.foundRate()
	}
	c.circuit.mu.Lock()
	defer c.circuit.mu.Unlock()
	s.Pauses, s.Outages = c.circuit.pauses, c.circuit.outages
	return s
}

// isHTTP2 reports whether a connection speaks HTTP/2.
func isHTTP2(conn net.Conn) bool {
	t, ok := conn.(*tls.Conn)
	return ok && t.ConnectionState().NegotiatedProtocol == "h2"
}
