package amplitude

import (
	"bufio"
	"context"
	"math"
	"net"
	"net/http"
	"net/url"
	"time"
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

// conn is a connection of HTTP/1.1 without TLS, owned by one wire: to `rollcall serve`, the embedded API or a
// self-hosted proxy, on this machine or in a network that --allow-http trusts.
//
// net/http's transport hands every request and answer from goroutine to goroutine, to be able to serve any
// number of users of any number of connections. With one request at a time on a connection of its own, that would
// waste half of a request's CPU (BenchmarkEvaluate: 22 µs through the transport, 13 µs here). What goes over
// the wire is still written by http.Request.Write and read by http.ReadResponse. Nothing is ever sent twice here.
type conn struct {
	net.Conn
	*looker
	limit   int64 // bytes that may still be read
	in      *bufio.Reader
	out     *bufio.Writer
	answers int         // that were read to their end
	stop    func() bool // keeps the wire's context from closing the connection
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
	if err := w.ensureConn(); err != nil {
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

// ensureConn gives the wire a connection on which nothing has come since its last answer: neither its end nor a second
// answer, which the next user would get.
func (w *wire) ensureConn() error {
	if c := w.conn; c != nil {
		if w.client.stayedQuiet(w.ctx, c.looker) {
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
	c := &conn{Conn: nc, looker: newLooker(nc), limit: math.MaxInt64}
	c.in, c.out = bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(nc, 16<<10)
	c.stop = context.AfterFunc(w.ctx, func() { _ = nc.Close() })
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
func (c *Client) stayedQuiet(ctx context.Context, l *looker) bool {
	c.rested.Do(func() {
		_ = sleep(ctx, c.firstRest, nil) // if ctx is done, so is the attempt
		if f := l.inspectConn(); f == foundBytes || f == foundEnd && l.shared {
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
			"its own",
			"hint", "a server that sends an answer twice may have given the second to another user before this was seen: "+
				"compare with a second run (rollcall diff)")
	}
}

// directAddress returns the address of a server without TLS; "" for others.
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
