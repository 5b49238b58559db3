package amplitude

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// These tests go over real connections, and check what no fake can: what arrives, and what net/http does by itself.

func newServer(t *testing.T, h http.HandlerFunc) string {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

// testBothTransports runs a test through a wire's own connection, without and with TLS, and through net/http's
// transport.
func testBothTransports(t *testing.T, test func(t *testing.T, rt http.RoundTripper)) {
	t.Run("direct", func(t *testing.T) { test(t, nil) })
	t.Run("direct over TLS", func(t *testing.T) { test(t, overTLS{}) })
	t.Run("transport", func(t *testing.T) {
		rt, err := newTransport(&url.URL{Scheme: "http", Host: "127.0.0.1"}, 64)
		if err != nil {
			t.Fatal(err)
		}
		defer rt.CloseIdleConnections()
		test(t, rt)
	})
}

// overTLS has newClient put TLS in front of the server, to which all wires then have their own connections.
type overTLS struct{ http.RoundTripper }

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	if _, ok := cfg.RoundTripper.(overTLS); ok {
		cfg.RoundTripper = nil
		to, err := url.Parse(cfg.BaseURL)
		if err != nil {
			t.Fatal(err)
		}
		roots, front := startFront(t, to.Host)
		to.Scheme, to.Host = "https", front
		cfg.BaseURL = to.String()
		c := newClient(t, cfg)
		c.chosen.Do(func() {
			c.target.Store(newTarget(to, &tls.Config{RootCAs: roots, NextProtos: []string{"h2", "http/1.1"}}))
		})
		return c
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newCertificate returns a certificate for 127.0.0.1, and who vouches for it.
func newCertificate(t *testing.T) (*x509.CertPool, tls.Certificate) {
	t.Helper()
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return roots, s.TLS.Certificates[0]
}

// startFront starts a server that decrypts what goes to upstream, speaks no HTTP/2, and returns its address and who
// vouches for it.
func startFront(t *testing.T, upstream string) (roots *x509.CertPool, addr string) {
	t.Helper()
	roots, cert := newCertificate(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0",
		&tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	pipe := func(from, to net.Conn) {
		defer from.Close()
		defer to.Close()
		_, _ = io.Copy(to, from)
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
			wg.Go(func() { pipe(near, far) })
			wg.Go(func() { pipe(far, near) })
		}
	})
	return roots, l.Addr().String()
}

func TestServerReceivesExactlyTheBytes(t *testing.T) {
	testBothTransports(t, testServerReceivesExactlyTheBytes)
}

func testServerReceivesExactlyTheBytes(t *testing.T, rt http.RoundTripper) {
	var got url.Values
	var path string
	base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		got, path = r.URL.Query(), r.URL.EscapedPath()
		_, _ = io.WriteString(w, "{}")
	})
	c := newClient(t, Config{RoundTripper: rt, BaseURL: base + "/pre%2Ffix", FlagKeys: []string{"a", "b c"}})
	for _, id := range strangeIDs {
		u := &pipeline.User{UserID: id, DeviceID: id + "-d",
			Context: []pipeline.Member{{Name: id, Value: pipeline.StringValue(id)}}}
		a, err := c.Evaluate(t.Context(), u)
		if err != nil {
			t.Fatalf("%q: %v", id, err)
		}
		want := url.Values{"user_id": {id}, "device_id": {id + "-d"}, "flag_keys": {"a,b c"},
			"context": {string(pipeline.AppendObject(nil, u.Context))}}
		if diff := cmp.Diff(want, got); diff != "" || path != "/pre%2Ffix/v1/vardata" {
			t.Errorf("%q at %s (-want +got):\n%s", id, path, diff)
		}
		if a.Attempts != 1 || len(a.Variants) != 0 || a.At.IsZero() {
			t.Errorf("%q: %+v", id, a)
		}
	}
}

func TestEveryKindOfRequestSaysNoTrack(t *testing.T) {
	var mu sync.Mutex
	seen := map[string]int{}
	n := 0
	base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		seen[r.URL.Path]++
		if r.Header.Get("X-Amp-Exp-Track") != "no-track" || r.Header.Get("X-Amp-Exp-Exposure-Track") != "no-track" {
			t.Errorf("%s without no-track: %v", r.URL, r.Header)
		}
		wantAuth := "Api-Key " + canary
		if r.URL.Path == "/status" {
			wantAuth = ""
		}
		if r.Header.Get("Authorization") != wantAuth || r.Header.Get("User-Agent") != "rollcall/test" || r.Method != "GET" {
			t.Errorf("%s %s: %v", r.Method, r.URL, r.Header)
		}
		switch {
		case r.URL.Path == "/status":
			http.NotFound(w, r)
		case n%2 == 0: // the odd ones are retries
			w.WriteHeader(500)
		case r.URL.Path == "/v1/flags":
			_, _ = io.WriteString(w, `[{"key":"f"}]`)
		default:
			_, _ = io.WriteString(w, `{"f":{"key":"on"}}`)
		}
	})
	key, _ := NewKey(canary)
	c := newClient(t, Config{BaseURL: base, Key: key, UserAgent: "rollcall/test"})
	if got, err := c.Preflight(t.Context(), false); err != nil || got.NoTrack != Local {
		t.Fatalf("Preflight = %+v, %v", got, err)
	}
	if _, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"}); err != nil {
		t.Fatal(err)
	}
	flags, err := c.FlagConfigs(t.Context(), FlagConfigsRequest{})
	if err != nil || string(flags.Data) != `[{"key":"f"}]` {
		t.Fatalf("%s, %v", flags.Data, err)
	}
	if diff := cmp.Diff(map[string]int{"/status": 1, "/v1/vardata": 2, "/v1/flags": 2}, seen); diff != "" {
		t.Error(diff)
	}
	s := c.Stats()
	if s.Requests != 5 || s.Retries != 2 || s.Statuses[500] != 2 || s.Statuses[200] != 2 || s.Statuses[404] != 1 ||
		s.Max == 0 || s.P50 == 0 {
		t.Errorf("%+v", s)
	}
}

func TestFatalAnswersStopAtOnce(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   string
	}{
		{301, "https://evil.example"}, {302, "https://evil.example"}, {304, "304"}, {307, "redirects"}, {308, "redirects"},
		{404, "/v1/vardata"}, {405, "405"}, {501, "501"},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			var n atomic.Int32
			base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				w.Header().Set("Location", "https://user:SECRET@evil.example/SECRET?"+r.URL.RawQuery)
				w.WriteHeader(tt.status)
			})
			errs := evaluateUsers(t.Context(), newClient(t, Config{BaseURL: base}), 200, 64)
			for _, err := range errs {
				if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "SECRET") ||
					pipeline.Hint(err) == "" {
					t.Fatalf("%d: %v", tt.status, err)
				}
			}
			if n.Load() != 1 {
				t.Errorf("%d: %d requests, want 1", tt.status, n.Load())
			}
		})
	}
}

func TestGzip(t *testing.T) { testBothTransports(t, testGzip) }

func testGzip(t *testing.T, rt http.RoundTripper) {
	pack := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return b.Bytes()
	}
	bomb := pack(`{"f":{"key":"` + strings.Repeat("x", maxAnswer) + `"}}`)
	good := `{"f":{"key":"on"}}`
	for _, tt := range []struct {
		name, encoding string
		body           []byte
		want           string // of the message; "": answered
	}{
		{"gzip", "gzip", pack(good), ""},
		{"identity", "identity", []byte(good), ""},
		{"bomb", "gzip", bomb, "larger than 8 MiB"},
		{"truncated", "gzip", pack(good)[:20], "not complete"},
		{"not gzip", "gzip", []byte(good), "not gzip"},
		{"br", "br", []byte(good), "was not requested"},
		{"too large", "", []byte(`{"f":{"key":"` + strings.Repeat("x", maxAnswer) + `"}}`), "larger than 8 MiB"},
	} {
		base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Accept-Encoding") != "gzip" {
				t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
			}
			w.Header().Set("Content-Encoding", tt.encoding)
			_, _ = w.Write(tt.body)
		})
		c := newClient(t, Config{BaseURL: base, RoundTripper: rt, MaxAttempts: 1})
		a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
		if tt.want == "" {
			if err != nil || len(a.Variants) != 1 || a.Variants[0].Key != "on" {
				t.Errorf("%s: %+v, %v", tt.name, a, err)
			}
		} else if ue := requireUserError(t, err, pipeline.KindBadAnswer); !strings.Contains(ue.Message, tt.want) {
			t.Errorf("%s: %v", tt.name, ue)
		}
	}
}

// TestConnectionsAreUsedAgain counts connections: 20 workers need 20 at most, whatever comes back.
func TestConnectionsAreUsedAgain(t *testing.T) { testBothTransports(t, testConnectionsAreUsedAgain) }

func testConnectionsAreUsedAgain(t *testing.T, rt http.RoundTripper) {
	for name, h := range map[string]http.HandlerFunc{
		"plain": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer5) },
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.WriteString(w, answer5)
		},
		"gzip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			_, _ = io.WriteString(z, answer5)
			_ = z.Close()
		},
		"rejected": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, strings.Repeat("no ", 1000), 400) },
	} {
		var conns atomic.Int32
		s := httptest.NewUnstartedServer(h)
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				conns.Add(1)
			}
		}
		s.Start()
		evaluateUsers(t.Context(), newClient(t, Config{BaseURL: s.URL, RoundTripper: rt, Concurrency: 20}), 150, 20)
		if n := conns.Load(); n > 40 { // a worker may dial while another is about to give a connection back
			t.Errorf("%s: %d connections for 20 workers", name, n)
		}
		s.Close()
	}
}

// rawServer accepts connections and calls handle for each request on each of them; false closes the connection.
// It returns its base URL.
func rawServer(t *testing.T, handle func(conn net.Conn, nth int, req *http.Request) bool) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
			wg.Go(func() {
				defer conn.Close()
				br := bufio.NewReader(conn)
				for nth := 1; ; nth++ {
					req, err := http.ReadRequest(br)
					if err != nil || !handle(conn, nth, req) {
						return
					}
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

func writeOK(conn net.Conn, body string) bool {
	_, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	return err == nil
}

// TestNoHiddenResends is about net/http's habit of sending a GET again when a kept-alive connection drops. The
// server drops every connection at its second request, after reading it: each request it reads must be one that
// the client counted as an attempt, and paid for.
func TestNoHiddenResends(t *testing.T) { testBothTransports(t, testNoHiddenResends) }

func testNoHiddenResends(t *testing.T, rt http.RoundTripper) {
	var received atomic.Int64
	base := rawServer(t, func(conn net.Conn, nth int, _ *http.Request) bool {
		received.Add(1)
		return nth == 1 && writeOK(conn, "{}")
	})
	c := newClient(t, Config{BaseURL: base, RoundTripper: rt, MaxAttempts: 50, Concurrency: 8})
	var attempts atomic.Int64
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 8 {
		wg.Go(func() {
			for next.Add(1) <= 60 {
				a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
				if err != nil {
					t.Error(err)
				}
				attempts.Add(int64(a.Attempts))
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	if s.Retries == 0 || s.TransportErrors["dropped"]+s.TransportErrors["reset"] != s.Retries {
		t.Errorf("nothing was dropped, or not seen: %+v", s)
	}
	if got := received.Load(); got > s.Requests || got > attempts.Load() || attempts.Load() != 60+s.Retries {
		t.Errorf("the server read %d requests; the client counted %d, in %d attempts (%d retries)", got, s.Requests,
			attempts.Load(), s.Retries)
	}
}

// TestNetHTTPResends keeps the test above honest: without the hook, net/http does send again by itself.
func TestNetHTTPResends(t *testing.T) {
	var received atomic.Int64
	base := rawServer(t, func(conn net.Conn, nth int, _ *http.Request) bool {
		received.Add(1)
		return nth == 1 && writeOK(conn, "{}")
	})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	for range 2 {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
		resp, err := tr.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	if n := received.Load(); n != 3 {
		t.Errorf("%d requests; this test, and gotConn, expect net/http to make 3 of 2", n)
	}
}

func TestDroppedOrGarbledAnswersAreRetried(t *testing.T) {
	testBothTransports(t, testDroppedOrGarbledAnswersAreRetried)
}

func testDroppedOrGarbledAnswersAreRetried(t *testing.T, rt http.RoundTripper) {
	for name, tt := range map[string]struct {
		send string
		bad  bool // counts as an unusable answer; otherwise as one that did not come
	}{
		"closed":           {"", false},
		"half a header":    {"HTTP/1.1 200 OK\r\nConte", false},
		"garbage":          {"SECRET SECRET SECRET\r\n\r\n", false},
		"half a body":      {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"f\":", true},
		"half a chunk":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{}", true},
		"no end of chunks": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", true},
		"endless header":   {"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 1<<20), false},
		"no body":          {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true},
		"HTML with 200":    {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", true},
		"gzip cut in half": {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: " +
			"12\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x00\x00", true},
		"length is a lie":   {"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{}", true},
		"no content, a 204": {"HTTP/1.1 204 No Content\r\n\r\n", true},
	} {
		var n atomic.Int32
		base := rawServer(t, func(conn net.Conn, _ int, _ *http.Request) bool {
			if n.Add(1) == 1 {
				_, _ = io.WriteString(conn, tt.send)
				return false
			}
			return writeOK(conn, `{"f":{"key":"on"}}`)
		})
		c := newClient(t, Config{BaseURL: base, RoundTripper: rt})
		a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
		if err != nil || a.Attempts != 2 || len(a.Variants) != 1 {
			t.Errorf("%s: %+v, %v", name, a, err)
		}
		broke := int64(0)
		for _, n := range c.Stats().TransportErrors {
			broke += n
		}
		if (broke == 0) != tt.bad {
			t.Errorf("%s: %+v", name, c.Stats().TransportErrors)
		}
	}
}

func TestSlowAnswersAreGivenUp(t *testing.T) { testBothTransports(t, testSlowAnswersAreGivenUp) }

func testSlowAnswersAreGivenUp(t *testing.T, rt http.RoundTripper) {
	for name, begin := range map[string]string{
		"hung before the header": "",
		"hung in the header":     "HTTP/1.1 200 OK\r\n",
		"hung in the body":       "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
		"dripping":               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
		"hung error page":        "HTTP/1.1 400 Bad Request\r\nContent-Length: 100\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			errorPage := name == "hung error page"
			var n atomic.Int32
			base := rawServer(t, func(conn net.Conn, _ int, req *http.Request) bool {
				if n.Add(1) > 1 && !errorPage {
					return writeOK(conn, "{}")
				}
				_, err := io.WriteString(conn, begin)
				for name == "dripping" && err == nil { // until the client hangs up
					_, err = io.WriteString(conn, "1\r\n \r\n")
				}
				_, _ = conn.Read(make([]byte, 1))
				return false
			})
			// On a machine that is slow itself, other attempts may run out of time too. There are enough of them.
			c := newClient(t, Config{BaseURL: base, RoundTripper: rt, Timeout: 500 * time.Millisecond, MaxAttempts: 1000})
			a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
			if errorPage { // its status says enough
				requireUserError(t, err, pipeline.KindRejected)
				return
			}
			if err != nil || a.Attempts < 2 {
				t.Errorf("%s: %+v, %v; want an answer at the second attempt or later", name, a, err)
			}
			if s := c.Stats(); s.TransportErrors["timeout"] == 0 && name != "dripping" { // which may also grow too large
				t.Errorf("%s: %+v, want a timeout", name, s.TransportErrors)
			}
		})
	}
}

// http2Server is a TLS server, and a RoundTripper that trusts it.
func http2Server(t *testing.T, h http.Handler) (*httptest.Server, *http.Transport) {
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	u, _ := url.Parse(s.URL)
	tr, err := newTransport(u, 64)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	tr.TLSClientConfig.RootCAs = roots
	return s, tr
}

func TestHTTP2(t *testing.T) {
	for _, method := range []Method{MethodGet, MethodPost} {
		t.Run(string(method), func(t *testing.T) {
			var other, empty atomic.Int32
			s, tr := http2Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.ProtoMajor != 2 {
					other.Add(1)
				}
				if body, _ := io.ReadAll(r.Body); r.Method == "POST" && len(body) == 0 {
					empty.Add(1)
				}
				_, _ = io.WriteString(w, answer5)
			}))
			c := newClient(t, Config{BaseURL: s.URL, RoundTripper: tr, Concurrency: 64, Method: method})
			requireNoErrors(t, evaluateUsers(t.Context(), c, 500, 64))
			if st := c.Stats(); st.Requests != 500 || st.Retries != 0 || other.Load() != 0 || empty.Load() != 0 {
				t.Errorf("%d not over HTTP/2, %d without a body; %+v", other.Load(), empty.Load(), st)
			}
		})
	}
}

// TestHTTP2GoAway has the server say GOAWAY again and again, with requests in flight.
func TestHTTP2GoAway(t *testing.T) {
	var received atomic.Int64
	s, tr := http2Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := received.Add(1); n%100 == 0 {
			w.Header().Set("Connection", "close") // over HTTP/2: GOAWAY
		}
		_, _ = io.WriteString(w, "{}")
	}))
	c := newClient(t, Config{BaseURL: s.URL, RoundTripper: tr, Concurrency: 8, MaxAttempts: 50})
	requireNoErrors(t, evaluateUsers(t.Context(), c, 600, 8))
	if st := c.Stats(); received.Load() > st.Requests || st.Requests > 600+st.Retries {
		t.Errorf("the server received %d; the client counted %d, %d of them again", received.Load(), st.Requests, st.Retries)
	}
}

// TestHTTP2StreamErrors has the server break streams off.
func TestHTTP2StreamErrors(t *testing.T) {
	var n atomic.Int64
	s, tr := http2Server(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 10 {
		case 3:
			panic(http.ErrAbortHandler)
		case 7:
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "{")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
		_, _ = io.WriteString(w, "{}")
	}))
	c := newClient(t, Config{BaseURL: s.URL, RoundTripper: tr, MaxAttempts: 50})
	requireNoErrors(t, evaluateUsers(t.Context(), c, 50, 8))
	if st := c.Stats(); st.Retries == 0 || st.Requests != 50+st.Retries || st.TransportErrors["http2"] != st.Retries {
		t.Errorf("%+v", st)
	}
}

func TestConnectionsThatWaitingDoesNotMend(t *testing.T) {
	s, _ := http2Server(t, answerer()) // whose certificate is not trusted
	plain := newServer(t, answerer().ServeHTTP)
	old := httptest.NewUnstartedServer(answerer())
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	old.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	old.StartTLS()
	t.Cleanup(old.Close)
	notFound := &net.DNSError{Err: "no such host", Name: "api.example", IsNotFound: true}
	for name, tt := range map[string]struct {
		base  string
		rt    http.RoundTripper
		class string
	}{
		"certificate": {s.URL, nil, "tls"},
		"not TLS":     {"https" + strings.TrimPrefix(plain, "http"), nil, "tls"},
		"TLS 1.1":     {old.URL, nil, "tls"},
		"no such host": {"https://api.example", &fake{answer: func(int, *http.Request) (int, http.Header, string, error) {
			return 0, nil, "", &net.OpError{Op: "dial", Err: notFound}
		}}, "dns"},
		"with its query": {"https://api.example", &fake{answer: func(_ int, r *http.Request) (int, http.Header, string,
			error) {
			return 0, nil, "", &url.Error{Op: "Get", URL: r.URL.String(), Err: notFound}
		}}, "dns"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, Config{BaseURL: tt.base, RoundTripper: tt.rt})
			errs := evaluateUsers(t.Context(), c, 100, 64)
			_, err := newClient(t, Config{BaseURL: tt.base, RoundTripper: tt.rt}).Preflight(t.Context(), false)
			for _, err := range append(errs, err) {
				ce, ok := errors.AsType[*ConnectError](err)
				if !ok || ce.Class != tt.class || pipeline.Hint(err) == "" || strings.Contains(err.Error(), "SECRET") {
					t.Fatalf("%s: %v", name, err)
				}
			}
			if n := c.Stats().TransportErrors[tt.class]; n != 1 {
				t.Errorf("%s: tried %d times, want 1", name, n)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	key, _ := NewKey(canary)
	c := newClient(t, Config{BaseURL: "https://example.com/base", Key: key, FlagKeys: []string{"f"},
		UserAgent: "rollcall/1"})
	want := "GET /base/v1/vardata?user_id=u%201&flag_keys=f HTTP/1.1\r\nHost: example.com\r\nAccept: application/json\r\n" +
		"Accept-Encoding: gzip\r\nAuthorization: Api-Key [key]\r\nUser-Agent: rollcall/1\r\nX-Amp-Exp-Exposure-Track: " +
		"no-track\r\n" +
		"X-Amp-Exp-Track: no-track\r\n\r\n"
	if diff := cmp.Diff(want, c.Describe(&pipeline.User{UserID: "u 1"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDescribeIsWhatIsSent compares the description with what arrives.
func TestDescribeIsWhatIsSent(t *testing.T) {
	for _, method := range Methods {
		t.Run(string(method), func(t *testing.T) {
			var got string
			base := rawServer(t, func(conn net.Conn, _ int, r *http.Request) bool {
				h := r.Header.Clone()
				h.Set("Authorization", strings.Replace(h.Get("Authorization"), canary, "[key]", 1))
				body, _ := io.ReadAll(r.Body)
				if len(body) > 0 {
					h.Set("Content-Length", strconv.Itoa(len(body)))
				}
				var b bytes.Buffer
				fmt.Fprintf(&b, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
				_ = h.Write(&b)
				got = b.String() + "\r\n" + string(body)
				return writeOK(conn, "{}")
			})
			key, _ := NewKey(canary)
			c := newClient(t, Config{BaseURL: base, Key: key, Method: method, Nonce: "n-1", FlagKeys: []string{"f"}})
			u := benchUser()
			if _, err := c.Evaluate(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, c.Describe(u)); diff != "" {
				t.Errorf("(-sent +described):\n%s", diff)
			}
		})
	}
}

// TestNothingLeaks sends every kind of failure through a client with a logger and looks for the key and the ids.
func TestNothingLeaks(t *testing.T) {
	var log bytes.Buffer
	key, _ := NewKey(canary)
	texts := ""
	for name, answer := range map[string]string{
		"drop": "", "401": "HTTP/1.1 401 x\r\n\r\nSECRET-CANARY", "429": "HTTP/1.1 429 SECRET\r\nRetry-After: SECRET\r\n\r\n",
		"302": "HTTP/1.1 302 x\r\nLocation: /SECRET\r\n\r\n", "garbage": "SECRET\r\n",
		"400":  "HTTP/1.1 400 SECRET\r\n\r\nSECRET",
		"html": "HTTP/1.1 200 OK\r\n\r\n<SECRET>", "503": "HTTP/1.1 503 SECRET\r\n\r\nSECRET",
	} {
		t.Run(name, func(t *testing.T) {
			base := rawServer(t, func(conn net.Conn, _ int, _ *http.Request) bool {
				_, _ = io.WriteString(conn, answer)
				return false
			})
			c := newClient(t, Config{BaseURL: base, Key: key, KeySource: "here", MaxAttempts: 1, MaxOutage: time.Millisecond,
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
			_, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "SECRET-ID"})
			if err == nil {
				t.Errorf("%s: no error", name)
			}
			texts += fmt.Sprintf("%s: %v %+v %#v %s\n", name, err, err, err, pipeline.Hint(err))
		})
	}
	if all := texts + log.String(); strings.Contains(all, "SECRET") || strings.Contains(all, "CANARY") {
		t.Errorf("ids, text of answers or the key in:\n%s", all)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, cfg := range []Config{
		{}, {BaseURL: "https://x", FlagParam: "flags"}, {BaseURL: "https://x", FlagKeys: []string{"a,b"}},
		{BaseURL: "https://x", FlagKeys: []string{""}},
		{BaseURL: "https://x", Rate: -1}, {BaseURL: "https://x", MaxAttempts: -1}, {BaseURL: "://"}, {BaseURL: "https://"},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("New(%+v): no error", cfg)
		}
	}
}
