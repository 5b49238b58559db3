package amplitude

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// askForVariant asks about a user, and returns the key of the only variant.
func askForVariant(t *testing.T, c *Client, user string) string {
	t.Helper()
	a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: user})
	if err != nil {
		t.Fatalf("ask about %s: %v", user, err)
	}
	if len(a.Variants) != 1 {
		t.Fatalf("ask about %s: %d variants, want 1", user, len(a.Variants))
	}
	return a.Variants[0].Key
}

// answerFor is an answer in full whose only variant has the user's id as its key.
func answerFor(user string) string {
	body := fmt.Sprintf(`{"f":{"key":%q}}`, user)
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// talker is a server that adds something to its answers.
type talker struct {
	base  string
	conns atomic.Int32
	mu    sync.Mutex
	first net.Conn
	asked []string // users, in order, with " close" where the request asked for the end of the connection
}

// newTalker starts a server that sends what say returns for request nth of a connection.
func newTalker(t *testing.T, say func(nth int, user string) string) *talker {
	s := &talker{}
	s.base = rawServer(t, func(conn net.Conn, nth int, req *http.Request) bool {
		if nth == 1 {
			s.conns.Add(1)
		}
		user := req.URL.Query().Get("user_id")
		s.mu.Lock()
		if s.first == nil {
			s.first = conn
		}
		if req.Close {
			s.asked = append(s.asked, user+" close")
		} else {
			s.asked = append(s.asked, user)
		}
		s.mu.Unlock()
		_, err := io.WriteString(conn, say(nth, user))
		return err == nil && !req.Close
	})
	return s
}

// sendLater sends more on the first connection, and waits until it has arrived.
func (s *talker) sendLater(t *testing.T, c *Client, text string) {
	t.Helper()
	if _, err := io.WriteString(s.first, text); err != nil {
		t.Fatal(err)
	}
	l := c.lanes.takeLane()
	defer c.lanes.giveBack(l, nil)
	for l.wire.conn.inspectConn() == foundNothing {
		runtime.Gosched()
	}
}

// testDirect runs a test through a wire's own connection, without and with TLS.
func testDirect(t *testing.T, name string, test func(t *testing.T, rt http.RoundTripper)) {
	t.Run(name, func(t *testing.T) { test(t, nil) })
	t.Run(name+" over TLS", func(t *testing.T) { test(t, overTLS{}) })
}

// TestAnswersThatNobodyAskedFor has a server send more on a connection than it was asked for. The next user must not
// be given it.
func TestAnswersThatNobodyAskedFor(t *testing.T) {
	const warning = "did not stay quiet"
	late408 := "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
	for _, tt := range []struct {
		name  string
		later string // comes after the first answer, when that was read
		say   func(nth int, user string) string
		asked []string
		conns int32
		warns bool
	}{
		{
			name: "nothing", say: func(_ int, user string) string { return answerFor(user) },
			asked: []string{"a", "b", "c"}, conns: 1,
		},
		{
			name: "a second answer later", later: answerFor("a"),
			say:   func(_ int, user string) string { return answerFor(user) },
			asked: []string{"a", "b", "c close"}, conns: 3, warns: true,
		},
		{
			name: "half of one later", later: "HTTP/1.1 200 O", say: func(_ int, user string) string { return answerFor(user) },
			asked: []string{"a", "b", "c close"}, conns: 3, warns: true,
		},
		{
			name: "an answer 408 later", later: late408, say: func(_ int, user string) string { return answerFor(user) },
			asked: []string{"a", "b", "c"}, conns: 2,
		},
		{
			name: "two answers at once", asked: []string{"a", "b close", "c close"}, conns: 3, warns: true,
			say: func(_ int, user string) string { return answerFor(user) + answerFor(user) },
		},
		{
			// The second answer on the connection is a's again, and b's own comes right after it.
			name: "an answer that is late by one", asked: []string{"a", "b", "b close", "c close"}, conns: 3, warns: true,
			say: func(nth int, user string) string {
				if nth == 2 {
					return answerFor("a") + answerFor(user)
				}
				return answerFor(user)
			},
		},
	} {
		testDirect(t, tt.name, func(t *testing.T, rt http.RoundTripper) {
			var log bytes.Buffer
			s := newTalker(t, tt.say)
			c := newClient(t, Config{BaseURL: s.base, RoundTripper: rt, Concurrency: 1,
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			c.firstRest = 0 // what that would find is found at any later use of a connection, too
			for i, user := range []string{"a", "b", "c"} {
				if got := askForVariant(t, c, user); got != user {
					t.Errorf("user %s was given the answer for %s", user, got)
				}
				if i == 0 && tt.later != "" {
					s.sendLater(t, c, tt.later)
				}
			}
			if !slices.Equal(s.asked, tt.asked) || s.conns.Load() != tt.conns {
				t.Errorf("asked %q over %d connections, want %q over %d", s.asked, s.conns.Load(), tt.asked, tt.conns)
			}
			if warns := strings.Count(log.String(), warning); warns > 1 || (warns == 1) != tt.warns {
				t.Errorf("%d warnings that the server %s; want one: %v\n%s", warns, warning, tt.warns, log.String())
			}
		})
	}
}

// inOneWrite is a connection that sends what was written once the other side's turn has come.
type inOneWrite struct {
	net.Conn
	out bytes.Buffer
}

// SetWriteDeadline implements net.Conn. crypto/tls lets one pass when it has written the end.
func (c *inOneWrite) SetWriteDeadline(time.Time) error { return nil }

func (c *inOneWrite) Write(p []byte) (int, error) { return c.out.Write(p) }

func (c *inOneWrite) Read(p []byte) (int, error) {
	if _, err := c.out.WriteTo(c.Conn); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

// TestRecordsAfterTheAnswer has a server send more records of TLS together with that of the answer.
func TestRecordsAfterTheAnswer(t *testing.T) {
	for _, tt := range []struct {
		name  string
		more  func(conn *tls.Conn, answer string)
		asked []string
		warns bool
	}{
		{"nothing", func(*tls.Conn, string) {}, []string{"a", "b", "c"}, false},
		{"an empty one", func(conn *tls.Conn, _ string) { _, _ = conn.Write(nil) }, []string{"a", "b", "c"}, false},
		{"the end", func(conn *tls.Conn, _ string) { _ = conn.CloseWrite() }, []string{"a", "b", "c"}, false},
		{"a second answer", func(conn *tls.Conn, answer string) { _, _ = io.WriteString(conn, answer) },
			[]string{"a", "b close", "c close"}, true},
		{"a second answer, and the end", func(conn *tls.Conn, answer string) {
			_, _ = io.WriteString(conn, answer)
			_ = conn.CloseWrite()
		}, []string{"a", "b close", "c close"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			roots, cert := newCertificate(t)
			var mu sync.Mutex
			var asked []string
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			t.Cleanup(func() {
				_ = l.Close()
				wg.Wait()
			})
			serve := func(nc net.Conn) {
				defer nc.Close()
				conn := tls.Server(&inOneWrite{Conn: nc}, &tls.Config{Certificates: []tls.Certificate{cert}})
				in := bufio.NewReader(conn)
				for {
					req, err := http.ReadRequest(in)
					if err != nil {
						return
					}
					user := req.URL.Query().Get("user_id")
					mu.Lock()
					asked = append(asked, user+map[bool]string{true: " close"}[req.Close])
					mu.Unlock()
					answer := answerFor(user)
					if _, err := io.WriteString(conn, answer); err != nil {
						return
					}
					tt.more(conn, answer)
				}
			}
			wg.Go(func() {
				for {
					nc, err := l.Accept()
					if err != nil {
						return
					}
					wg.Go(func() { serve(nc) })
				}
			})
			var log bytes.Buffer
			c := newClient(t, Config{BaseURL: "https://" + l.Addr().String(), Concurrency: 1,
				Logger: slog.New(slog.NewTextHandler(&log, nil))})
			c.firstRest = 0
			c.own.TLSClientConfig.RootCAs = roots
			c.target.Store(newTarget(&c.vardata.url, c.own.TLSClientConfig))
			for _, user := range []string{"a", "b", "c"} {
				if got := askForVariant(t, c, user); got != user {
					t.Errorf("user %s was given the answer for %s", user, got)
				}
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("asked %q, want %q", asked, tt.asked)
			}
			if warns := strings.Contains(log.String(), "did not stay quiet"); warns != tt.warns {
				t.Errorf("warned: %v, want %v\n%s", warns, tt.warns, log.String())
			}
		})
	}
}

// TestFirstConnectionDecides: HTTP/2 is the transport's, and wires have their own connections of HTTP/1.1. Every
// connection offers the server both.
func TestFirstConnectionDecides(t *testing.T) {
	h1, h2 := []string{"http/1.1"}, []string{"h2", "http/1.1"}
	for _, tt := range []struct {
		name        string
		first, then []string // what the server takes on its first connection, and on others
		protos      []string // of the requests
		direct      bool     // at the end
	}{
		{"HTTP/1.1", h1, h1, []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1"}, true},
		{"HTTP/2", h2, h2, []string{"HTTP/2.0", "HTTP/2.0", "HTTP/2.0"}, false},
		{"HTTP/2 at last", h1, h2, []string{"HTTP/1.1", "HTTP/2.0", "HTTP/2.0"}, false},
		{"no protocol", nil, nil, []string{"HTTP/1.1", "HTTP/1.1", "HTTP/1.1"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			roots, cert := newCertificate(t)
			var mu sync.Mutex
			var hellos [][]string
			var protos []string
			s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				protos = append(protos, r.Proto)
				if r.ProtoMajor == 1 && len(protos) == 1 {
					w.Header().Set("Connection", "close") // the next request needs another connection
				}
				_, _ = io.WriteString(w, "{}")
			}))
			s.EnableHTTP2 = true
			s.TLS = &tls.Config{Certificates: []tls.Certificate{cert},
				GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
					mu.Lock()
					defer mu.Unlock()
					hellos = append(hellos, slices.Clone(hello.SupportedProtos))
					takes := tt.then
					if len(hellos) == 1 {
						takes = tt.first
					}
					return &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: takes}, nil
				}}
			s.StartTLS()
			t.Cleanup(s.Close)
			c := newClient(t, Config{BaseURL: s.URL, Concurrency: 1, MaxAttempts: 1})
			c.own.TLSClientConfig.RootCAs = roots
			requireNoErrors(t, evaluateUsers(t.Context(), c, 3, 1))
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(protos, tt.protos) {
				t.Errorf("requests over %q, want %q", protos, tt.protos)
			}
			for _, offered := range hellos {
				if !slices.Equal(offered, h2) {
					t.Errorf("connections offered %q, want %q from each", hellos, h2)
				}
			}
			if direct := c.target.Load() != nil; direct != tt.direct {
				t.Errorf("wires have their own connections: %v, want %v", direct, tt.direct)
			}
		})
	}
}

// TestServerThatAnswersTwice has many ask a server that sends each answer again a little later. Nobody may be given
// another user's: the first connection shows what the server does, before anybody depends on it.
func TestServerThatAnswersTwice(t *testing.T) {
	t.Parallel()
	testDirect(t, "direct", func(t *testing.T, rt http.RoundTripper) {
		base := rawServer(t, func(conn net.Conn, _ int, req *http.Request) bool {
			text := answerFor(req.URL.Query().Get("user_id"))
			if _, err := io.WriteString(conn, text); err != nil {
				return false
			}
			runtime.Gosched()
			_, err := io.WriteString(conn, text)
			return err == nil && !req.Close
		})
		c := newClient(t, Config{BaseURL: base, RoundTripper: rt, Concurrency: 8})
		c.firstRest = time.Second // also for a machine with other things to do
		var wg sync.WaitGroup
		for worker := range 8 {
			wg.Go(func() {
				for i := range 20 {
					user := fmt.Sprintf("%d-%d", worker, i)
					a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: user})
					if err != nil || a.Variants[0].Key != user {
						t.Errorf("user %s was given the answer for %v (%v)", user, a.Variants, err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// TestWriteRequest: a wire writes what http.Request.Write writes.
func TestWriteRequest(t *testing.T) {
	key, err := NewKey(canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, base := range []string{"http://127.0.0.1", "http://[::1]:8080/pre%2Ffix"} {
		for _, distrusted := range []bool{false, true} {
			c := newClient(t, Config{BaseURL: base, Key: key, FlagKeys: []string{"f"}, UserAgent: "rollcall/1"})
			c.distrusted.Store(distrusted)
			for _, call := range []*call{&c.vardata, &c.post, &c.status} {
				t.Run(fmt.Sprintf("%s %s, distrusted: %v", call.method, call.text, distrusted), func(t *testing.T) {
					w := c.newWire(t.Context(), call)
					defer w.cancel(nil)
					for _, query := range []string{"", "user_id=a%20b&flag_keys=f", "user_id=c", ""} {
						w.url.RawQuery = query
						body := func() {
							if call == &c.post {
								w.req.Body, w.req.ContentLength = io.NopCloser(strings.NewReader(`{"a":1}`)), 7
							}
						}
						var got, want bytes.Buffer
						body()
						if err := w.req.WithContext(t.Context()).Write(&want); err != nil {
							t.Fatal(err)
						}
						body()
						before := c.Stats().Requests
						if err := w.writeRequest(bufio.NewWriter(&got)); err != nil {
							t.Fatal(err)
						}
						if diff := cmp.Diff(want.String(), got.String()); diff != "" {
							t.Errorf("query %q (-want +got):\n%s", query, diff)
						}
						if n := c.Stats().Requests - before; n != 1 {
							t.Errorf("query %q: counted %d requests, want 1", query, n)
						}
					}
				})
			}
		}
	}
}

// TestNonceIsEscaped: the id of a run that goes on comes from a file.
func TestNonceIsEscaped(t *testing.T) {
	const nonce = "a b\r\nX-Amp-Exp-Track: &c"
	var got string
	base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.URL.Query().Get("nonce")
		_, _ = io.WriteString(w, "{}")
	})
	c := newClient(t, Config{BaseURL: base})
	c.SetNonce(nonce)
	if _, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "a"}); err != nil {
		t.Fatal(err)
	}
	if got != nonce {
		t.Errorf("the server was sent the nonce %q, want %q", got, nonce)
	}
}

// lateReader is a connection whose reader does not get to what comes after the first answer until the second request
// is written: the goroutine of net/http that reads, on a machine with other things to do.
type lateReader struct {
	*net.TCPConn
	mu     sync.Mutex
	wakes  *sync.Cond
	reads  int
	writes int
	closed bool
}

func (c *lateReader) Read(p []byte) (int, error) {
	c.mu.Lock()
	for c.reads > 0 && c.writes < 2 && !c.closed {
		c.wakes.Wait()
	}
	c.mu.Unlock()
	n, err := c.TCPConn.Read(p)
	c.mu.Lock()
	c.reads++
	c.mu.Unlock()
	return n, err
}

func (c *lateReader) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes++
	c.wakes.Broadcast()
	c.mu.Unlock()
	return c.TCPConn.Write(p)
}

func (c *lateReader) Close() error {
	c.mu.Lock()
	c.closed = true
	c.wakes.Broadcast()
	c.mu.Unlock()
	return c.TCPConn.Close()
}

// TestUnaskedAnswersThroughTheTransport is the same for connections of net/http's, which hands one out before it has
// seen what came on it.
func TestUnaskedAnswersThroughTheTransport(t *testing.T) {
	rt, err := newTransport(&url.URL{Scheme: "http", Host: "127.0.0.1"}, 1)
	if err != nil {
		t.Fatal(err)
	}
	var conns []*lateReader
	rt.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		c := &lateReader{TCPConn: nc.(*net.TCPConn)}
		c.wakes = sync.NewCond(&c.mu)
		conns = append(conns, c)
		return c, nil
	}
	s := newTalker(t, func(_ int, user string) string { return answerFor(user) })
	c := newClient(t, Config{BaseURL: s.base, RoundTripper: rt, Concurrency: 1})
	if got := askForVariant(t, c, "a"); got != "a" {
		t.Fatalf("user a was given the answer for %s", got)
	}
	if _, err := io.WriteString(s.first, answerFor("a")); err != nil {
		t.Fatal(err)
	}
	for newLooker(conns[0]).inspectConn() == foundNothing {
		runtime.Gosched()
	}
	for _, user := range []string{"b", "c"} {
		if got := askForVariant(t, c, user); got != user {
			t.Errorf("user %s was given the answer for %s", user, got)
		}
	}
}

// TestInterimAnswers: any number of them may come before the answer, of at most maxHeader bytes, whatever carries them.
func TestInterimAnswers(t *testing.T) {
	hints := func(n int) string { return strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", n) }
	testBothTransports(t, func(t *testing.T, rt http.RoundTripper) {
		for _, tt := range []struct {
			name  string
			hints int
			fails bool
		}{
			{"one", 1, false}, {"eight", 8, false}, {"a thousand", 1000, false}, {"more than the bound", 2000, true},
		} {
			t.Run(tt.name, func(t *testing.T) {
				s := newTalker(t, func(_ int, user string) string { return hints(tt.hints) + answerFor(user) })
				c := newClient(t, Config{BaseURL: s.base, RoundTripper: rt, Concurrency: 1, MaxAttempts: 1, MaxOutage: 1})
				_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "a"})
				if got := c.Stats().TransportErrors["header"]; (err != nil) != tt.fails || (got > 0) != tt.fails {
					t.Errorf("%d interim answers: %v, and %d headers too long; want an error: %v", tt.hints, err, got, tt.fails)
				}
			})
		}
	})
}

// blackHole is a proxy for TCP whose connections can go dead: nothing gets through, and no end of them either.
type blackHole struct {
	addr  string
	conns atomic.Int32
	dead  atomic.Int32 // connections up to this one
}

func newBlackHole(t *testing.T, upstream string) *blackHole {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &blackHole{addr: l.Addr().String()}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	pipe := func(n int32, from, to net.Conn) {
		defer from.Close()
		defer to.Close()
		buf := make([]byte, 32<<10)
		for {
			size, err := from.Read(buf)
			if err != nil {
				return
			}
			if n <= b.dead.Load() {
				continue
			}
			if _, err := to.Write(buf[:size]); err != nil {
				return
			}
		}
	}
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", upstream)
			if err != nil {
				_ = near.Close()
				continue
			}
			n := b.conns.Add(1)
			wg.Go(func() { pipe(n, near, far) })
			wg.Go(func() { pipe(n, far, near) })
		}
	})
	return b
}

// TestDeadHTTP2ConnectionIsReplaced: all requests share one connection, and when it is dead without a word, there are
// pings to notice that.
func TestDeadHTTP2ConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s, tr := http2Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			t.Errorf("a request came over %s, want HTTP/2", r.Proto)
		}
		_, _ = io.WriteString(w, `{"f":{"key":"on"}}`)
	}))
	if p := tr.HTTP2; p == nil || p.SendPingTimeout <= 0 || p.SendPingTimeout+p.PingTimeout > 30*time.Second {
		t.Fatalf("HTTP/2 settings %+v: a dead connection is not noticed within 30 s", p)
	}
	tr.HTTP2.SendPingTimeout, tr.HTTP2.PingTimeout = 50*time.Millisecond, 500*time.Millisecond
	hole := newBlackHole(t, strings.TrimPrefix(s.URL, "https://"))
	tr.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, hole.addr)
	}
	c := newClient(t, Config{BaseURL: s.URL, RoundTripper: tr, Concurrency: 1, MaxAttempts: 100, Timeout: time.Hour})
	askForVariant(t, c, "a")
	hole.dead.Store(hole.conns.Load())
	askForVariant(t, c, "b") // which would wait for an hour
	if st := c.Stats(); st.TransportErrors["http2"] == 0 {
		t.Errorf("the dead connection was not noticed: %+v", st)
	}
}
