package amplitude

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"time"
	"unicode/utf8"
)

const maxHeader = 64 << 10 // bytes of an answer's header, and of all interim answers before it

// found is what a look at an idle connection, on which nothing should come, has found.
type found uint8

const (
	foundNothing found = iota
	foundEnd           // it was closed, or broke
	foundBytes         // bytes that were not requested
)

// isGoodbye reports whether unrequested bytes only say that the connection has ended: the answer 408 with which HAProxy
// and others close a connection that was idle for too long, or a TLS alert, which TLS 1.3 shows by its length alone.
func isGoodbye(b []byte, withTLS bool) bool {
	if withTLS {
		return b[0] == 21 || len(b) >= 5 && b[0] == 23 && b[3] == 0 && b[4] <= 2+1+16
	}
	return len(b) >= 12 && string(b[:7]) == "HTTP/1." && string(b[8:12]) == " 408"
}

// target is where the connections that wires own lead. A server without TLS is one from the start. For a server with
// TLS the first connection, which is the transport's, decides: it is one if the connection speaks HTTP/1.1.
type target struct {
	address string
	tls     *tls.Config // nil: without TLS
}

// conn is a connection of HTTP/1.1, owned by one wire.
//
// net/http's transport hands every request and answer from goroutine to goroutine, to be able to serve any
// number of users of any number of connections. With one request at a time on a connection of its own, that would
// waste a third of the CPU of a whole run. What goes over the wire is still what http.Request.Write writes, and read
// by http.ReadResponse. Nothing is ever sent twice here.
type conn struct {
	net.Conn
	*looker
	records *records // beneath TLS; nil: without
	limit   int64    // bytes that may still be read
	in      *bufio.Reader
	out     *bufio.Writer
	answers int         // that were read to their end
	stop    func() bool // keeps the wire's context from closing the connection
}

// records reads a connection for crypto/tls, one record at a time. So nothing that comes after an answer gets into a
// buffer in which it cannot be seen.
type records struct {
	net.Conn
	*looker
	in      *bufio.Reader // of Conn
	left    int           // bytes of the current record
	looking bool          // do not wait for bytes
}

// Read implements io.Reader.
func (r *records) Read(p []byte) (int, error) {
	if r.looking && r.in.Buffered() == 0 && r.inspectConn() == foundNothing {
		if r.left > 0 {
			return 0, io.ErrUnexpectedEOF
		}
		return 0, os.ErrDeadlineExceeded // after which crypto/tls goes on
	}
	if r.left == 0 {
		head, err := r.in.Peek(5)
		if err != nil {
			return 0, err
		}
		r.left = len(head) + int(binary.BigEndian.Uint16(head[3:]))
	}
	n, err := r.in.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// inspectConn says what there is to read, without waiting. With TLS, that is what is left after decryption: a session
// ticket, for example, is nothing.
func (c *conn) inspectConn() found {
	if c.records == nil {
		return c.looker.inspectConn()
	}
	c.records.looking = true
	defer func() { c.records.looking = false }()
	switch b, err := c.in.Peek(len("HTTP/1.1 408")); {
	case len(b) > 0 && !isGoodbye(b, false):
		return foundBytes
	case len(b) > 0 || !errors.Is(err, os.ErrDeadlineExceeded):
		return foundEnd
	}
	return foundNothing
}

// Read implements io.Reader for in.
func (c *conn) Read(p []byte) (int, error) {
	if c.limit <= 0 {
		return 0, errHeader
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.limit)])
	c.limit -= int64(n)
	return n, err
}

// sendDirect sends the wire's request over its own connection. The wire's context bounds all of it, and the reading
// of the body.
func (w *wire) sendDirect() (*http.Response, error) {
	w.conns.Add(1)
	c := w.conn
	if err := w.writeRequest(c.out); err != nil {
		return nil, err
	}
	c.limit = maxHeader
	for {
		resp, err := http.ReadResponse(c.in, w.req)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			c.limit = math.MaxInt64
			return resp, nil
		} // else it is an interim answer, and the real one follows
	}
}

// writeRequest writes what http.Request.Write would, and counts it. Of a request without a body only the query differs
// from that of the last one.
func (w *wire) writeRequest(out *bufio.Writer) error {
	if w.req.Body != nil {
		if err := w.req.Write(out); err != nil { // which calls wroteRequest
			return err
		}
		return out.Flush()
	}
	if w.before == nil {
		var b bytes.Buffer
		if err := w.req.WithContext(context.Background()).Write(&b); err != nil {
			return err
		}
		to := w.url
		to.RawQuery = ""
		w.before = []byte(w.req.Method + " " + to.RequestURI())
		w.after = b.Bytes()[bytes.Index(b.Bytes(), []byte(" HTTP/")):] // path and query are escaped: the first one
	}
	_, _ = out.Write(w.before) // Flush returns the error
	if w.url.RawQuery != "" {
		_ = out.WriteByte('?')
		_, _ = out.WriteString(w.url.RawQuery)
	}
	_, _ = out.Write(w.after)
	err := out.Flush()
	w.wroteRequest(httptrace.WroteRequestInfo{Err: err})
	return err
}

// ensureConn gives the wire a connection on which nothing has come since its last answer: neither its end nor a second
// answer, which the next user would get. Without a target the wire has none.
func (w *wire) ensureConn() error {
	to := w.client.target.Load()
	if c := w.conn; c != nil {
		if to != nil && w.client.stayedQuiet(w.ctx, c, false) {
			return nil
		}
		c.stop()
		_ = c.Close()
		w.conn = nil
	}
	if to == nil {
		return nil
	}
	nc, err := dialer.DialContext(w.ctx, "tcp", to.address)
	if err != nil {
		return err
	}
	c := &conn{Conn: nc, looker: newLooker(nc), limit: math.MaxInt64}
	if to.tls != nil {
		c.records = &records{Conn: nc, looker: c.looker, in: bufio.NewReaderSize(nc, 4<<10)}
		tc := tls.Client(c.records, to.tls)
		ctx, cancel := context.WithTimeout(w.ctx, handshakeTime)
		defer cancel()
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return err
		}
		c.Conn = tc
		if isHTTP2(tc) { // which the first connection was not
			w.client.target.Store(nil)
			_ = tc.Close()
			return nil
		}
	}
	c.in, c.out = bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(c.Conn, 16<<10)
	c.stop = context.AfterFunc(w.ctx, func() { _ = c.Close() })
	w.conn = c
	return nil
}

// firstRest is how long the first connection of a run rests before it is used for a second request. A server that sends
// each answer twice has done so by then.
const firstRest = 20 * time.Millisecond

// stayedQuiet reports whether a connection can be used again: nothing has come on it since its last answer. A server
// that sent unrequested bytes gets no second request on any connection from then on.
//
// HTTP/1 cannot tell bytes that come between this look and the answer to the next request from that answer. So the
// first connection of a run rests before its second request. What slips through nevertheless leaves one answer too many
// on the connection, which the next look or noteAnswerRead finds.
//
// From a shared connection, a goroutine of net/http reads, too: it closes the connection when something comes.
func (c *Client) stayedQuiet(ctx context.Context, l interface{ inspectConn() found }, shared bool) bool {
	c.rested.Do(func() {
		_ = sleep(ctx, c.firstRest, nil) // if ctx is done, so is the attempt
		if f := l.inspectConn(); f == foundBytes || f == foundEnd && shared {
			c.distrustServer()
		}
	})
	found := l.inspectConn()
	if found == foundBytes {
		c.distrustServer()
	}
	return found == foundNothing && !c.distrusted.Load()
}

// noteAnswerRead records that an answer was read to its end. If more has come, there is one answer too many on
// this connection, and only the first one on it is certain to be for the request that it followed.
func (w *wire) noteAnswerRead() error {
	c := w.conn
	if c == nil {
		return nil // the transport's
	}
	c.answers++
	if c.records != nil && c.records.in.Buffered() > 0 {
		c.inspectConn() // which decrypts it
	}
	if c.in.Buffered() == 0 {
		return nil
	}
	w.client.distrustServer()
	if c.answers == 1 {
		return nil
	}
	return errUnasked
}

// distrustServer makes each request from now on use a connection of its own.
func (c *Client) distrustServer() {
	if c.distrusted.CompareAndSwap(false, true) {
		c.closeIdleConnections()
		c.circuit.log.Warn("the server did not stay quiet after an answer; from now on each request has a connection of "+
			"its own", "code", "api_connections",
			"hint", "a server that sends an answer twice may have given the second to another user before this was seen: "+
				"compare with a second run (rollcall diff)")
	}
}

// newTarget returns the target for a server; nil where a name is to be converted first, which net/http does.
func newTarget(to *url.URL, config *tls.Config) *target {
	host, port := to.Hostname(), to.Port()
	for i := range len(host) {
		if host[i] >= utf8.RuneSelf {
			return nil
		}
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[to.Scheme]
	}
	if config != nil {
		config = config.Clone()
		config.ServerName = host
	}
	return &target{net.JoinHostPort(host, port), config}
}
