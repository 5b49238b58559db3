package amplitude

import (
	"bufio"
	"context"
	"errors"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
)

const (
	maxHeader = 64 << 10             // bytes of an answer's header
	idleCheck = 5 * time.Millisecond // a connection that rested longer is looked at before it is used again
)

// conn is a connection of HTTP/1.1 without TLS, owned by one wire: to `rollcall serve`, the embedded API or a
// self-hosted proxy, on this machine or in a network that --allow-http trusts.
//
// net/http's transport hands every request and answer from goroutine to goroutine, to be able to serve any
// number of users of any number of connections. With one request at a time on a connection of one's own, that is
// half of a request's CPU for nothing (BenchmarkEvaluate: 22 µs through the transport, 13 µs here). What goes over
// the wire is still written by http.Request.Write and read by http.ReadResponse. Nothing is ever sent twice here.
type conn struct {
	net.Conn
	limit int64 // bytes that may still be read
	in    *bufio.Reader
	out   *bufio.Writer
	used  time.Time
	stop  func() bool // ends that the wire's context closes the connection
}

var errHeader = errors.New("the header of the answer is too long")

// Read implements io.Reader for in.
func (c *conn) Read(p []byte) (int, error) {
	if c.limit <= 0 {
		return 0, errHeader
	}
	n, err := c.Conn.Read(p[:min(int64(len(p)), c.limit)])
	c.limit -= int64(n)
	return n, err
}

// direct sends the wire's request over its own connection. The wire's context bounds all of it, and the reading
// of the body.
func (w *wire) direct() (*http.Response, error) {
	if err := w.connect(); err != nil {
		return nil, err
	}
	w.conns.Add(1)
	c := w.conn
	if err := w.req.Write(c.out); err != nil { // which calls wroteRequest
		return nil, err
	}
	if err := c.out.Flush(); err != nil {
		return nil, err
	}
	for range 8 {
		c.limit = maxHeader
		resp, err := http.ReadResponse(c.in, w.req)
		if err != nil {
			return nil, err
		}
		c.limit = math.MaxInt64
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, nil
		} // else it is an interim answer, and the real one follows
	}
	return nil, errors.New("no end of interim answers")
}

// connect makes sure that the wire has a connection which the server has not closed meanwhile.
func (w *wire) connect() error {
	if c := w.conn; c != nil {
		if time.Since(c.used) < idleCheck || alive(c.Conn) {
			return nil
		}
		c.stop()
		_ = c.Close()
		w.conn = nil
	}
	nc, err := dialer.DialContext(w.ctx, "tcp", w.client.directTo)
	if err != nil {
		return err
	}
	c := &conn{Conn: nc, limit: math.MaxInt64}
	c.in, c.out = bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(nc, 16<<10)
	c.stop = context.AfterFunc(w.ctx, func() { _ = nc.Close() })
	w.conn = c
	return nil
}

// reusable reports whether the connection of an answer, read to its end, can take another request.
func (w *wire) reusable(resp *http.Response) bool {
	if w.conn == nil {
		return true // the transport knows
	}
	w.conn.used = time.Now()
	return !resp.Close && w.conn.in.Buffered() == 0
}

// directAddress is the address of a server without TLS; "" for others.
func directAddress(to *url.URL) string {
	if to.Scheme != "http" {
		return ""
	}
	port := to.Port()
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(to.Hostname(), port)
}
