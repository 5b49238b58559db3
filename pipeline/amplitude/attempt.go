package amplitude

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	maxAnswer = 8 << 20   // decoded bytes of an answer about one user
	maxFlags  = 64 << 20  // decoded bytes of all flag configurations
	maxDrain  = 64 << 10  // bytes of an unwanted body, read so that the connection can be used again
	keepBody  = 256 << 10 // a larger buffer is not kept for the next answer

	keepReaders = 64 // of the readers of bodies
)

// attempt is the memory for one Evaluate at a time, kept for the next one.
type attempt struct {
	nth int64 // of the user; 0 goes before all users
	buffers
	*lane       // while a request is in flight; else nil
	*bodyReader // while its answer is read; else nil

	// The result.
	text     string
	variants []pipeline.Variant
	at       time.Time // when the body was complete
	cache    pipeline.Cache
}

// lane is what a request in flight needs, kept for the next request. There are as many as requests were ever in flight
// at once, and not as many as users who wait for their turn.
type lane struct{ wire *wire }

// bodyReader is what reads the body of an answer. Most requests in flight wait for their answer, and have none.
type bodyReader struct {
	body   []byte
	gzip   *gzip.Reader
	parser parser
}

// lanes are those that no request has. The one that was used last is used next: its connection is the freshest.
type lanes struct {
	mu      sync.Mutex
	free    []*lane
	readers []*bodyReader
}

func (l *lanes) takeLane() *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.free); n > 0 {
		last := l.free[n-1]
		l.free = l.free[:n-1]
		return last
	}
	return &lane{}
}

func (l *lanes) takeReader() *bodyReader {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := len(l.readers); n > 0 {
		last := l.readers[n-1]
		l.readers = l.readers[:n-1]
		return last
	}
	return &bodyReader{}
}

// giveBack frees a lane and, unless it is nil, a reader.
func (l *lanes) giveBack(used *lane, reader *bodyReader) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.free = append(l.free, used)
	if reader != nil && cap(reader.body) <= keepBody && len(l.readers) < keepReaders {
		l.readers = append(l.readers, reader)
	}
}

// releaseWires releases the wires of all free lanes.
func (l *lanes) releaseWires() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, free := range l.free {
		free.releaseWire()
	}
	l.free = nil
}

// wire is what one RoundTrip needs. It is kept for the next one, which saves a dozen allocations a request, and
// may be (http.RoundTripper) once the body is closed; after anything but a whole answer to a request that was
// known to be written, a new one is made.
type wire struct {
	client *Client
	call   *call
	parent <-chan struct{} // Done of the context that ctx was made from
	ctx    context.Context
	cancel context.CancelCauseFunc
	timer  *time.Timer // cancels ctx when the attempt's time is over
	url    url.URL
	req    *http.Request
	conn   *conn // its own connection; nil: the transport's

	before, after []byte // what writeRequest writes around the query

	conns, wrote atomic.Int32 // connections that net/http got for this request, and requests that it wrote
}

func (c *Client) newWire(ctx context.Context, call *call) *wire {
	w := &wire{client: c, call: call, parent: ctx.Done(), url: call.url}
	ctx, w.cancel = context.WithCancelCause(ctx)
	w.ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: w.gotConn, WroteRequest: w.wroteRequest})
	w.timer = time.AfterFunc(c.timeout, func() { w.cancel(errTimeout) })
	w.timer.Stop()
	w.req = (&http.Request{
		Method: call.method, URL: &w.url, Host: w.url.Host, Header: call.header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Close: c.distrusted.Load(),
	}).WithContext(w.ctx)
	return w
}

// gotConn is called before a request is written to a connection. When a kept-alive connection breaks, net/http
// takes another one and resends a GET by itself (Transport.roundTrip and http2Transport.RoundTripOpt), past
// the limiter and every count. The second connection is therefore the end of the attempt: with its context
// cancelled HTTP/2 does not write (encodeAndWriteHeaders asks first), and with its connection closed HTTP/1
// cannot. Only Client.sendUntilDecided tries again.
//
// Over HTTP/1, net/http ends a connection on which something comes unasked, but only once its goroutine gets to it.
// Until then the connection is handed out, and what came is treated as the answer to the next request. So gotConn
// inspects it.
func (w *wire) gotConn(info httptrace.GotConnInfo) {
	h2 := isHTTP2(info.Conn)
	if c := w.client; c.own != nil {
		c.chosen.Do(func() {
			if !h2 {
				c.target.Store(newTarget(&w.url, c.own.TLSClientConfig))
			}
		})
	}
	quiet := func() bool {
		return w.client.stayedQuiet(w.ctx, newLooker(info.Conn), true)
	}
	switch first := w.conns.Add(1) == 1; {
	case !first:
		w.cancel(errResend)
	case info.Reused && !h2 && !quiet():
		w.cancel(errUnasked)
	default:
		return
	}
	if !h2 { // which other requests share
		_ = info.Conn.Close()
	}
}

func (w *wire) wroteRequest(info httptrace.WroteRequestInfo) {
	if info.Err == nil {
		w.wrote.Add(1)
		w.client.counters.requests.Add(1)
	}
}

// getAttempt returns memory for one Evaluate; give it back with putAttempt.
func (c *Client) getAttempt() *attempt {
	select {
	case a := <-c.free:
		return a
	default:
		return &attempt{}
	}
}

func (c *Client) putAttempt(a *attempt) {
	a.text, a.variants, a.cache = "", nil, pipeline.Cache{}
	select {
	case c.free <- a:
	default:
	}
}

// releaseWire cancels the wire's context, which the context of the run would otherwise keep, and drops the wire.
func (l *lane) releaseWire() {
	if l.wire != nil {
		l.wire.timer.Stop()
		l.wire.cancel(nil)
		l.wire = nil
	}
}

// send makes one request and reads its answer; the call's check checks the body of a 200. It returns an error only if
// ctx is done.
func (c *Client) send(ctx context.Context, a *attempt, req request) (result, error) {
	a.lane = c.lanes.takeLane()
	defer func() {
		c.lanes.giveBack(a.lane, a.bodyReader)
		a.lane, a.bodyReader = nil, nil
	}()
	w, call := a.wire, req.call
	if w == nil || w.parent != ctx.Done() || w.call != call {
		a.releaseWire()
		w = c.newWire(ctx, call)
		a.wire = w
	}
	w.url.RawQuery = req.query
	if call.method == http.MethodPost { // without GetBody: net/http cannot send it again by itself
		w.req.Body, w.req.ContentLength = io.NopCloser(strings.NewReader(req.body)), int64(len(req.body))
	}
	w.conns.Store(0)
	w.wrote.Store(0)
	start := time.Now()
	if call.ofUser {
		c.counters.countSent(start)
	}
	w.timer.Reset(c.timeout)
	r, clean, err := c.roundTrip(a, w, call)
	a.at = time.Now()
	inTime := w.timer.Stop()
	switch {
	case err != nil:
	case w.ctx.Err() != nil && context.Cause(w.ctx) == errUnasked:
		err = errUnasked // net/http may have treated it as the answer
	case r.status == http.StatusProxyAuthRequired && c.proxy != "": // for plain http there is no CONNECT
		err = &ProxyError{Variable: c.proxy, Status: r.status}
	}
	if err == nil {
		c.counters.countAnswer(r.status, a.at.Sub(start))
		if !clean || !inTime || w.ctx.Err() != nil || w.conns.Load() != w.wrote.Load() || c.distrusted.Load() {
			a.releaseWire()
		}
		return r, nil
	}
	cause := context.Cause(w.ctx)
	a.releaseWire()
	if ctx.Err() != nil {
		return result{}, context.Cause(ctx)
	}
	if cause != nil {
		err = cause // why the attempt was cancelled says more than how it then failed
	}
	class, fatal := classifyAtProxy(err, !call.circuit.everAnswered(), c.proxy)
	c.counters.countFailure(class)
	return result{class: class, fatal: fatal}, nil
}

// roundTrip sends the request and reads the answer. Its error is a network error; a fault of the answer itself is in
// the result. clean reports that the body was read to its end and the wire can be used again.
func (c *Client) roundTrip(a *attempt, w *wire, call *call) (r result, clean bool, err error) {
	if err := w.ensureConn(); err != nil {
		return result{}, false, err
	}
	var resp *http.Response
	if w.conn != nil {
		resp, err = w.sendDirect()
	} else {
		resp, err = c.transport.RoundTrip(w.req)
	}
	if err != nil {
		return result{}, false, err
	}
	if w.conn == nil {
		defer func() { _ = resp.Body.Close() }() // read to its end, or its connection is given up
	} // else closing would read on without bound; releaseWire closes the connection
	r, err = c.readAnswer(a, w, call, resp)
	if err != nil || r.broken {
		return r, false, err
	}
	n, err := io.CopyN(io.Discard, resp.Body, maxDrain) // gzip may have left its trailer; an error page is not needed
	if err != io.EOF {
		return r, false, nil
	}
	if err := w.noteAnswerRead(); err != nil {
		return result{}, false, err
	}
	return r, (n == 0 || r.status != http.StatusOK) && !resp.Close, nil
}

// readAnswer reads and checks an answer. It leaves unwanted bytes unread; broken reports that reading them would not
// help.
func (c *Client) readAnswer(a *attempt, w *wire, call *call, resp *http.Response) (r result, err error) {
	r.status = resp.StatusCode
	if r.status != http.StatusOK {
		r.retryAfter, r.date = resp.Header.Get("Retry-After"), resp.Header.Get("Date")
		if to, err := url.Parse(resp.Header.Get("Location")); err == nil && to.Host != "" {
			r.location = to.Scheme + "://" + to.Host
		}
		if r.status < 300 {
			r.bad = fmt.Sprintf("status %d", r.status)
		}
		return r, nil // its status counts whether or not a body comes
	}
	if c.cache {
		a.cache = readCache(resp.Header)
	}
	a.bodyReader = c.lanes.takeReader()
	body, length := io.Reader(resp.Body), resp.ContentLength
	switch encoding := resp.Header.Get("Content-Encoding"); {
	case encoding == "" || strings.EqualFold(encoding, "identity"):
		if resp.ContentLength > call.max {
			r.bad, r.broken = tooLargeMessage(call.max), true
			return r, nil
		}
	case strings.EqualFold(encoding, "gzip"):
		if a.gzip == nil {
			a.gzip = new(gzip.Reader)
		}
		switch err := a.gzip.Reset(resp.Body); {
		case isNetworkError(w, err):
			return result{}, err
		case err != nil:
			r.bad, r.broken = "labelled as gzip, but not gzip", true
			return r, nil
		}
		body, length = a.gzip, -1
	default:
		r.bad, r.broken = "compressed in a way that was not requested", true
		return r, nil
	}
	a.body, err = readAll(a.body[:0], body, length, call.max)
	switch {
	case err == errTooLarge:
		r.bad, r.broken = tooLargeMessage(call.max), true
	case isNetworkError(w, err):
		return result{}, err
	case err != nil:
		r.bad, r.broken = errTruncated.Error(), true // fewer bytes than announced, or broken gzip
	default:
		a.text = string(a.body)
		if err := call.check(a); err != nil {
			r.bad = err.Error()
		}
	}
	return r, nil
}

func tooLargeMessage(n int64) string { return fmt.Sprintf("larger than %d MiB", n>>20) }

// isNetworkError reports whether a body ended early because of the network or a timeout, and not because it is wrong.
func isNetworkError(w *wire, err error) bool {
	if err == nil {
		return false
	}
	if w.ctx.Err() != nil {
		return true
	}
	class, _ := classify(err, false)
	return class == "reset" || class == "timeout" || class == "http2"
}

var errTooLarge = fmt.Errorf("too large")

// readAll appends all of r to dst, up to most bytes. length is what was announced; less than 0 if nothing was.
func readAll(dst []byte, r io.Reader, length, most int64) ([]byte, error) {
	for {
		if len(dst) == cap(dst) {
			grown := 2*cap(dst) + 4096 // what was announced alone is no reason for memory
			if all := int(length) + 1; all > len(dst) && all < grown {
				grown = max(all, 4096)
			}
			dst = append(make([]byte, 0, grown), dst...)
		}
		n, err := r.Read(dst[len(dst):cap(dst)])
		dst = dst[:len(dst)+n]
		if int64(len(dst)) > most {
			return dst, errTooLarge
		}
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return dst, err
		}
	}
}
