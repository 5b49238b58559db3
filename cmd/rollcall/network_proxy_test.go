package main

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Shopify/toxiproxy/v2"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// toxic is a proxy between the command and the API that breaks what goes through.
type toxic struct {
	t        *testing.T
	upstream string
	proxy    *toxiproxy.Proxy
}

// newToxic starts a proxy that breaks nothing yet.
func newToxic(t *testing.T, api string) *toxic {
	t.Helper()
	p := &toxic{t: t, upstream: strings.TrimPrefix(strings.TrimPrefix(api, "http://"), "https://")}
	p.listen(freePort(t))
	t.Cleanup(func() { p.proxy.Stop() })
	return p
}

// freePort is an address that can be listened on again after it was given up: below those that the system hands
// out for outgoing connections, of which this machine makes many meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 1000 {
		addr := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(22_000))
		if l, err := net.Listen("tcp", addr); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatal("no port is free")
	return ""
}

// listen has a new proxy, without toxics, take over the address.
func (p *toxic) listen(addr string) {
	p.proxy = toxiproxy.NewProxy(quiet(toxiproxy.NewServer, toxiproxy.NewMetricsContainer(nil)), "api", addr, p.upstream)
	if err := p.proxy.Start(); err != nil {
		p.t.Errorf("start the proxy on %s: %v", addr, err)
	}
}

// quiet makes the server that a proxy wants, with the zero logger of its library, which is silent.
func quiet[M, L any](newServer func(M, L) *toxiproxy.ApiServer, metrics M) *toxiproxy.ApiServer {
	var none L
	return newServer(metrics, none)
}

func (p *toxic) URL() string { return "http://" + p.proxy.Listen }

// Add adds a toxic, in toxiproxy's JSON, to what is open and what is opened later.
func (p *toxic) Add(toxic string) {
	if _, err := p.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
		p.t.Errorf("toxic %s: %v", toxic, err)
	}
}

// Heal breaks all connections, and from then on the proxy is one without toxics. (To remove a toxic from a
// connection that breaks at that moment can lock toxiproxy up.)
func (p *toxic) Heal() {
	p.proxy.Stop()
	p.listen(p.proxy.Listen)
}

// TestNetworkToxics runs through connections that are slow, cut in slices, or end before their time.
func TestNetworkToxics(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	// These are there from the first connection to the last.
	for name, tt := range map[string]struct {
		toxic string
		ends  bool // connections break, so answers get lost
	}{
		"latency":            {`{"type":"latency","attributes":{"latency":30,"jitter":20}}`, false},
		"bandwidth":          {`{"type":"bandwidth","attributes":{"rate":20}}`, false},
		"upstream bandwidth": {`{"type":"bandwidth","stream":"upstream","attributes":{"rate":20}}`, false},
		"slices":             {`{"type":"slicer","attributes":{"average_size":7,"size_variation":3,"delay":200}}`, false},
		"upstream slices":    {`{"type":"slicer","stream":"upstream","attributes":{"average_size":50,"size_variation":20,"delay":200}}`, false},
		"slow close":         {`{"type":"slow_close","attributes":{"delay":50}}`, false},
		"limit":              {`{"type":"limit_data","attributes":{"bytes":700}}`, true},
		"upstream limit":     {`{"type":"limit_data","stream":"upstream","attributes":{"bytes":1000}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				api := &faultyAPI{}
				proxy := newToxic(t, api.start(t))
				proxy.Add(tt.toxic)
				users := names("u", 40)
				r := networkRun{Server: proxy.URL(), Users: users, Args: []string{"--concurrency", "4"}}.do(t)
				r.wantPublished(t)
				if !tt.ends {
					wantAsked(t, api, users, nil)
				} else if r.manifest.Requests.Retries == 0 {
					t.Errorf("%s: nobody was asked again: nothing broke", tt.toxic)
				}
				ledger{cut: tt.ends}.check(t, api, r)
			}
		})
	}
	// These let nothing through, so they come amid the run and go again.
	for name, tt := range map[string]string{
		"reset":           `{"type":"reset_peer","attributes":{"timeout":0}}`,
		"reset later":     `{"type":"reset_peer","attributes":{"timeout":50}}`,
		"lost and closed": `{"type":"timeout","attributes":{"timeout":50}}`,
		"lost":            `{"type":"timeout","attributes":{"timeout":0}}`,
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				var proxy *toxic
				api := &faultyAPI{AtRequest: func(n int) {
					switch n {
					case 5:
						proxy.Add(tt)
					case 15:
						proxy.Heal()
					}
				}}
				proxy = newToxic(t, api.start(t))
				r := networkRun{Server: proxy.URL(), Users: names("u", 40),
					Args: []string{"--timeout", "2s", "--concurrency", "8"}}.do(t)
				r.wantPublished(t)
				if n := api.requests(); n < 45 {
					t.Errorf("%s for 10 requests, and there were %d for 40 users", tt, n)
				}
				ledger{outage: true}.check(t, api, r)
			}
		})
	}
	together(t, tests)
}

// TestNetworkPauseOfTheAPI takes the whole API away amid a run of the real command.
func TestNetworkPauseOfTheAPI(t *testing.T) {
	t.Parallel()
	// away runs the command while nothing is to be reached from request 10 on, until back is called. Users in flight
	// at that moment saw others answered since they were asked first, and are not to be written off for it.
	away := func(t *testing.T, args []string, said func(text string, back func())) (*faultyAPI, *toxic, *networkResult) {
		var proxy *toxic
		var once sync.Once
		api := &faultyAPI{AtRequest: func(n int) {
			if n == 10 {
				proxy.proxy.Stop()
			}
		}}
		proxy = newToxic(t, api.start(t))
		r := networkRun{
			Server: proxy.URL(), Users: names("u", 40), Process: true, Args: append(args, "--concurrency", "8"),
			Said: func(text string) {
				said(text, func() { once.Do(func() { proxy.listen(proxy.proxy.Listen) }) })
			},
		}.do(t)
		return api, proxy, r
	}
	together(t, map[string]func(*testing.T){
		"for a moment": func(t *testing.T) {
			api, _, r := away(t, nil, func(text string, back func()) {
				if strings.Contains(text, "the API is not available") {
					back()
				}
			})
			r.wantPublished(t)
			if !strings.Contains(r.stderr, "answers again") {
				t.Errorf("it said\n%s\nwant that the API answers again", r.stderr)
			}
			ledger{outage: true}.check(t, api, r)
		},
		"for too long, and then again": func(t *testing.T) {
			api, proxy, r := away(t, []string{"--max-outage", "600ms"}, func(string, func()) {})
			r.wantNothing(t, exitStopped, "has not answered", "run the same command again")
			ledger{outage: true}.check(t, api, r)
			proxy.listen(proxy.proxy.Listen)
			r.run.Said = nil
			r = r.run.do(t)
			r.wantPublished(t)
		},
		"before the first user": func(t *testing.T) {
			api := &faultyAPI{}
			proxy := newToxic(t, api.start(t))
			proxy.proxy.Stop()
			var once sync.Once
			users := names("u", 20)
			r := networkRun{Server: proxy.URL(), Users: users, Process: true, Said: func(text string) {
				if strings.Contains(text, "the API is not available") {
					once.Do(func() { proxy.listen(proxy.proxy.Listen) })
				}
			}}.do(t)
			r.wantPublished(t)
			wantAsked(t, api, users, nil)
			ledger{}.check(t, api, r)
		},
		"every answer lost, forever": func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return &evalserver.Fault{Kind: evalserver.Reset} }}
			r := networkRun{Server: api.start(t), Users: names("u", 40), Process: true,
				Args: []string{"--max-outage", "600ms"}}.do(t)
			r.wantNothing(t, exitStopped, "has not answered", "run the same command again")
			ledger{outage: true}.check(t, api, r)
		},
	})
}

// TestNetworkPreflight is about GET /status, which tells Amplitude's self-hosted proxy: it tracks whatever the
// headers say, so no user may be asked about before there is a verdict.
func TestNetworkPreflight(t *testing.T) {
	t.Parallel()
	clean := func(w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }
	once := func(h http.HandlerFunc) func() http.HandlerFunc {
		return func() http.HandlerFunc {
			var asked atomic.Bool
			return func(w http.ResponseWriter, r *http.Request) {
				if asked.Swap(true) {
					clean(w, r)
				} else {
					h(w, r)
				}
			}
		}
	}
	code := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	tests := map[string]func(*testing.T){}
	for name, tt := range map[string]struct {
		status func() http.HandlerFunc
		asked  int
	}{
		"reset":       {once(func(w http.ResponseWriter, _ *http.Request) { sever(w, "", true) }), 2},
		"half a line": {once(func(w http.ResponseWriter, _ *http.Request) { sever(w, "HTTP/1.1 2", false) }), 2},
		"hung":        {once(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }), 2},
		"503":         {once(code(503)), 2},
		"429":         {once(code(429)), 2},
		"401":         {func() http.HandlerFunc { return code(401) }, 1},
		"404":         {func() http.HandlerFunc { return clean }, 1},
		"a page": {func() http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>OK</html>")) }
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				api := &faultyAPI{Status: tt.status()}
				users := names("u", 20)
				var args []string
				if name == "hung" { // the others have time, however slow the machine is
					args = []string{"--timeout", "2s"}
				}
				r := networkRun{Server: api.start(t), Users: users, Args: args}.do(t)
				r.wantPublished(t)
				if n := len(api.arrived) - api.requests(); n < tt.asked || n > tt.asked && name != "hung" {
					t.Errorf("GET /status: %s: asked %d times, want %d", name, n, tt.asked)
				}
				ledger{}.check(t, api, r)
			}
		})
	}
	for name, answer := range map[string]string{
		"the proxy":           "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
		"with a newline":      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nOK\n",
		"until it is closed":  "HTTP/1.1 200 OK\r\n\r\nOK",
		"zipped":              "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + packed("OK"),
		"in chunks":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nO\r\n1\r\nK\r\n0\r\n\r\n",
		"behind interim ones": "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK",
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				api := &faultyAPI{Proxy: true, Status: func(w http.ResponseWriter, _ *http.Request) { sever(w, answer, false) }}
				r := networkRun{Server: api.start(t), Users: names("u", 20)}.do(t)
				r.wantNothing(t, exitFailed, "no-track", "--allow-tracking")
				if n := api.requests(); n != 0 {
					t.Errorf("GET /status: %s: %d users were asked about and tracked, want none", name, n)
				}
				ledger{}.check(t, api, r)
			}
		})
	}
	// The proxy's answer breaks off after every byte, and comes whole when it is asked again.
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
	for k := range ok {
		tests[fmt.Sprintf("the proxy, cut after %d bytes", k)] = func(t *testing.T) {
			var asked atomic.Bool
			api := &faultyAPI{Proxy: true, Status: func(w http.ResponseWriter, _ *http.Request) {
				if asked.Swap(true) {
					sever(w, ok, false)
				} else {
					sever(w, ok[:k], false)
				}
			}}
			r := networkRun{Server: api.start(t), Users: names("u", 20)}.do(t)
			r.wantNothing(t, exitFailed, "no-track", "--allow-tracking")
			if n := api.requests(); n != 0 {
				t.Errorf("GET /status broke off after %d bytes, %q: %d users were asked about and tracked, want none", k, ok[:k], n)
			}
		}
	}
	together(t, tests)
}

// connectProxy is a proxy of the network, as HTTPS_PROXY and HTTP_PROXY name one.
type connectProxy struct {
	asked  atomic.Int32
	status func(n int32) int // of the answer to request n, from 1 on; 200 lets it through
	to     string            // where CONNECT leads, whatever it asks for
}

// ServeHTTP implements http.Handler.
func (p *connectProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if status := p.status(p.asked.Add(1)); status != http.StatusOK || r.Method != http.MethodConnect {
		w.WriteHeader(status)
		return
	}
	far, err := net.Dial("tcp", p.to)
	if err != nil {
		panic(err)
	}
	near, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err)
	}
	_, _ = io.WriteString(near, "HTTP/1.1 200 Connection established\r\n\r\n")
	var both sync.WaitGroup
	pipe := func(from, to net.Conn) {
		defer from.Close() //nolint:errcheck // the other side sees it
		defer to.Close()   //nolint:errcheck // the other side sees it
		_, _ = io.Copy(to, from)
	}
	both.Go(func() { pipe(near, far) })
	both.Go(func() { pipe(far, near) })
	both.Wait()
}

// start serves until the test is over, and returns the proxy's URL with a user and a password.
func (p *connectProxy) start(t *testing.T) string {
	t.Helper()
	server, err := evalserver.Start("127.0.0.1:0", p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return strings.Replace(server.URL(), "http://", "http://"+proxyUser+"@", 1)
}

const proxyUser = "proxy-user:proxy-canary"

// TestNetworkProxyRefuses: a proxy that does not let the first request through ends the run at once. The variable that
// names it is named, and its value, which holds a password, is not.
func TestNetworkProxyRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, tt := range []struct {
		variable string
		status   int
		said     []string
	}{
		{"HTTPS_PROXY", 407, []string{"status 407 Proxy Authentication Required", "user:password@host"}},
		{"https_proxy", 407, []string{"status 407 Proxy Authentication Required", "user:password@host"}},
		{"HTTPS_PROXY", 403, []string{"status 403 Forbidden", "NO_PROXY"}},
		{"HTTPS_PROXY", 502, []string{"status 502 Bad Gateway", "NO_PROXY"}},
		{"HTTPS_PROXY", 301, []string{"status 301 Moved Permanently", "NO_PROXY"}},
		{"HTTP_PROXY", 407, []string{"status 407 Proxy Authentication Required", "user:password@host"}},
		{"http_proxy", 407, []string{"status 407 Proxy Authentication Required", "user:password@host"}},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			tests[fmt.Sprintf("%s %d", tt.variable, tt.status)] = func(t *testing.T) {
				proxy := &connectProxy{status: func(int32) int { return tt.status }}
				run := networkRun{Server: "https://api.example.test", Users: names("u", 20), Process: true,
					Env: map[string]string{tt.variable: proxy.start(t)}}
				if strings.HasPrefix(strings.ToUpper(tt.variable), "HTTP_") {
					run.Server, run.Args = "http://api.example.test", []string{"--allow-http"}
				}
				r := run.do(t)
				r.wantNothing(t, exitFailed, append(tt.said, "the proxy of "+tt.variable+" refused the connection")...)
				if n := proxy.asked.Load(); n > 3 { // for the flag configurations, too
					t.Errorf("the proxy was asked %d times, want at most 3", n)
				}
				wantNoProxyUser(t, r)
			}
		})
	}
	tests["no such proxy"] = func(t *testing.T) {
		r := networkRun{
			Server: "https://api.example.test", Users: names("u", 20), Process: true, Args: []string{"--max-outage", "100ms"},
			Env: map[string]string{"HTTPS_PROXY": "http://" + proxyUser + "@" + freePort(t)},
		}.do(t)
		r.wantNothing(t, exitStopped, "no connection through the proxy")
		wantNoProxyUser(t, r)
	}
	together(t, tests)
}

func wantNoProxyUser(t *testing.T, r *networkResult) {
	t.Helper()
	for part := range strings.SplitSeq(proxyUser, ":") {
		if strings.Contains(r.stderr, part) {
			t.Errorf("standard error holds %q of the proxy's URL:\n%s", part, r.stderr)
		}
	}
}

// TestNetworkProxyRefusesLater: once it has let requests through, its refusal is an outage, which passes.
func TestNetworkProxyRefusesLater(t *testing.T) {
	t.Parallel()
	now := time.Now()
	api := &faultyAPI{Answer: func(user string) *evalserver.Fault {
		if user != "u-005" {
			return nil
		}
		return handling(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close") // over HTTP/2: GOAWAY
			_, _ = w.Write(trueAnswer(r))
		})
	}}
	base, file := startTLS(t, api, &tls.Config{Certificates: []tls.Certificate{certificate(t, now.Add(-time.Hour),
		now.Add(time.Hour), "api.example.test")}})
	proxy := &connectProxy{to: strings.TrimPrefix(base, "https://"), status: func(n int32) int {
		if n == 3 { // the first and the last connection are for the flag configurations
			return http.StatusBadGateway
		}
		return http.StatusOK
	}}
	r := networkRun{
		Server: "https://api.example.test", Users: names("u", 20), Process: true, Args: []string{"--concurrency", "1"},
		Env: map[string]string{"HTTPS_PROXY": proxy.start(t), "SSL_CERT_FILE": file},
	}.do(t)
	r.wantPublished(t)
	if n := r.manifest.Requests.Statuses["proxy"]; n != 1 || proxy.asked.Load() != 5 {
		t.Errorf("the manifest counts %d refusals of the proxy, which was asked %d times; want 1 of 5", n, proxy.asked.Load())
	}
}

// TestNetworkTooManyOpenFiles: that this process cannot open another connection is no outage of the API.
func TestNetworkTooManyOpenFiles(t *testing.T) {
	t.Parallel()
	api := &faultyAPI{}
	var asked atomic.Int32
	var more atomic.Bool
	api.Script = func(string, int) *evalserver.Fault {
		if asked.Add(1) == 1 || more.Load() { // the first request goes alone
			return nil
		}
		return &evalserver.Fault{Kind: evalserver.Hang} // so that each of the others needs a connection
	}
	r := networkRun{Server: api.start(t), Users: names("u", 200), Process: true,
		Args: []string{"--concurrency", "100", "--rate", "0"}, Shell: "ulimit -n 40"}.do(t)
	r.wantNothing(t, exitStopped, "too many open files", "ulimit -n", "run the same command again")
	if strings.Contains(r.stderr, "the API is") {
		t.Errorf("it said\n%s\nwant nothing about the API", r.stderr)
	}
	more.Store(true)
	r.run.Shell = ""
	r = r.run.do(t)
	r.wantPublished(t)
}

// TestNetworkTracking has servers that are neither documented nor on this machine: they are reached through HTTP_PROXY.
func TestNetworkTracking(t *testing.T) {
	t.Parallel()
	only := func(h http.Handler, prefixes ...string) http.Handler { // an ingress
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for _, prefix := range prefixes {
				if strings.HasPrefix(r.URL.Path, prefix) {
					h.ServeHTTP(w, r)
					return
				}
			}
			http.NotFound(w, r)
		})
	}
	tests := map[string]func(*testing.T){}
	for _, tt := range []struct {
		name     string
		api      *faultyAPI
		prefixes []string
		args     []string
		code     int
		said     []string
		noTrack  string
		report   string // "": nothing about tracking
	}{
		{"the API", &faultyAPI{}, []string{"/v1/", "/sdk/"}, nil, exitOK, nil, "honoured", ""},
		{"the API, --strict", &faultyAPI{}, []string{"/v1/"}, []string{"--strict"}, exitOK, nil, "honoured", ""},
		{"the API, by POST", &faultyAPI{}, []string{"/v1/", "/sdk/"}, []string{"--method", "post"}, exitOK,
			[]string{"could not tell whether this server honours no-track", "none is about POST /sdk/v2/vardata"}, "unproven",
			"no-track unproven"},
		{"the API, by POST, --strict", &faultyAPI{}, []string{"/v1/", "/sdk/"}, []string{"--method", "post", "--strict"},
			exitFailed, []string{"could not tell whether this server honours no-track", "none is about POST"}, "", ""},
		{"the API, where nobody is too long", &faultyAPI{}, []string{"/v1/", "/sdk/"}, []string{"--method", "auto"}, exitOK,
			nil, "honoured", ""},
		{"the proxy, by POST", &faultyAPI{Proxy: true}, []string{"/v1/", "/sdk/"}, []string{"--method", "post"}, exitFailed,
			[]string{"GET /sdk/v2/flags, but not GET /v1/flags", "--allow-tracking"}, "", ""},
		{"the proxy, /v1 alone", &faultyAPI{Proxy: true}, []string{"/v1/"}, nil, exitOK,
			[]string{"could not tell whether this server honours no-track", "GET /status: status 404", "--strict"}, "unproven",
			"no-track unproven"},
		{"the proxy, /v1 alone, --strict", &faultyAPI{Proxy: true}, []string{"/v1/"}, []string{"--strict"}, exitFailed,
			[]string{"could not tell whether this server honours no-track", "GET /status"}, "", ""},
		{"the proxy, without /status", &faultyAPI{Proxy: true}, []string{"/v1/", "/sdk/"}, nil, exitFailed,
			[]string{"GET /sdk/v2/flags, but not GET /v1/flags", "--allow-tracking"}, "", ""},
		{"the proxy, without /status, --allow-tracking", &faultyAPI{Proxy: true}, []string{"/v1/", "/sdk/"},
			[]string{"--allow-tracking"}, exitOK,
			nil, "ignored", "no-track ignored"},
		{"a page at /status", &faultyAPI{Proxy: true, Status: func(w http.ResponseWriter,
			_ *http.Request) {
			w.WriteHeader(401)
		}},
			[]string{"/v1/", "/status"}, nil, exitOK, []string{"could not tell", "GET /status: status 401"}, "unproven",
			"no-track unproven"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tests[tt.name] = func(t *testing.T) {
				server := httptest.NewServer(only(tt.api, tt.prefixes...))
				defer server.Close()
				r := networkRun{
					Server: "http://experiment.example", Users: names("u", 20), Process: true,
					Env: map[string]string{"HTTP_PROXY": server.URL},
					Args: append([]string{"--allow-http", "--flag-param",
						map[bool]string{true: "flag_key", false: "flag_keys"}[tt.api.Proxy]}, tt.args...),
				}.do(t)
				if tt.code != exitOK {
					r.wantNothing(t, tt.code, tt.said...)
					if n := tt.api.requests(); n > 0 {
						t.Errorf("%d users were asked about, want none", n)
					}
					return
				}
				r.wantPublished(t)
				for _, text := range tt.said {
					if !strings.Contains(r.stderr, text) {
						t.Errorf("it said\n%s\nwant something about %q", r.stderr, text)
					}
				}
				if n := strings.Count(r.stderr, "could not tell"); n != min(len(tt.said), 1) {
					t.Errorf("it said %d times that it could not tell:\n%s", n, r.stderr)
				}
				if r.manifest.NoTrack != tt.noTrack {
					t.Errorf("the manifest says no_track %q, want %q", r.manifest.NoTrack, tt.noTrack)
				}
				var report bytes.Buffer
				code := run([]string{"report", filepath.Join(r.run.Folder, "a.csv")}, &env{
					Stdin: bytes.NewReader(nil), Stdout: &report, Stderr: &report, Soft: t.Context(), Hard: t.Context(),
					LookupEnv: func(string) (string, bool) { return "", false },
				})
				head, _, _ := strings.Cut(report.String(), "\nFlag ")
				if code != exitOK || !strings.Contains(head, tt.report) || tt.report == "" && strings.Contains(head, "no-track") {
					t.Errorf("report: exit code %d, want %q in its head:\n%s", code, tt.report, head)
				}
			}
		})
	}
	together(t, tests)
}
