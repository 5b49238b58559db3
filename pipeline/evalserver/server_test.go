package evalserver_test

import (
	"bufio"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

const flags = `[
 {"key":"checkout","variants":{"on":{"key":"on","value":"on","payload":{"n": 12345678901234567890, "a":[1,  2]}},"off":{"key":"off","metadata":{"default":true}}},
  "segments":[
   {"conditions":[[{"selector":["context","user","country"],"op":"is","values":["DE"]}]],"variant":"on","metadata":{"segmentName":"germany"}},
   {"conditions":[[{"selector":["context","groups","org","group_name"],"op":"is","values":["acme"]}]],"variant":"on"},
   {"variant":"off"}],
  "metadata":{"flagType":"experiment","experimentKey":"exp-1"}},
 {"key":"all","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}]},
 {"key":"no \"case\"","variants":{"on":{"value":7}},"segments":[{"conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["odd a&b+c%"]}]],"variant":"on"}]},
 {"key":"undeployed","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}],"metadata":{"deployed":false}},
 {"key":"mutex","variants":{"slot-1":{"key":"slot-1"}},"segments":[{"variant":"slot-1"}],"metadata":{"flagType":"mutual-exclusion-group"}},
 {"key":"holdout","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}],"metadata":{"flagType":"holdout-group"}},
 {"key":"group","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}],"metadata":{"flagType":"release-group"}},
 {"key":"slotted","dependencies":["mutex"],"variants":{"on":{"key":"on"}},"segments":[{"conditions":[[{"selector":["result","mutex","key"],"op":"is","values":["slot-1"]}]],"variant":"on"}]}
]`

const (
	allOn      = `"all":{"key":"on"}`
	checkoutOn = `"checkout":{"key":"on","payload":{"n":12345678901234567890,"a":[1,2]},"expKey":"exp-1","value":"on",` +
		`"metadata":{"flagType":"experiment","experimentKey":"exp-1","segmentName":"germany"}}`
	checkoutGroup = `"checkout":{"key":"on","payload":{"n":12345678901234567890,"a":[1,2]},"expKey":"exp-1","value":"on",` +
		`"metadata":{"flagType":"experiment","experimentKey":"exp-1"}}`
	slottedOn = `"slotted":{"key":"on"}`

	// In answers of version 2.
	checkout2On = `"checkout":{"key":"on","value":"on","payload":{"n":12345678901234567890,"a":[1,2]},` +
		`"metadata":{"flagType":"experiment","experimentKey":"exp-1","segmentName":"germany"}}`
	groups2 = `"group":{"key":"on","metadata":{"flagType":"release-group"}},` +
		`"holdout":{"key":"on","metadata":{"flagType":"holdout-group"}},` +
		`"mutex":{"key":"slot-1","metadata":{"flagType":"mutual-exclusion-group"}}`
	undeployed2 = `"undeployed":{"key":"on","metadata":{"deployed":false}}`
)

func newServer(t testing.TB, c evalserver.Config) *evalserver.Server {
	t.Helper()
	e, err := engine.Parse([]byte(flags), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	return evalserver.New(e, c)
}

// startServer serves over a real socket, and returns the base URL.
func startServer(t testing.TB, s http.Handler) string {
	t.Helper()
	running, err := evalserver.Start("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := running.Close(); err != nil {
			t.Error(err)
		}
	})
	return running.URL()
}

func newRequest(t testing.TB, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Api-Key key")
	r.Header.Set("X-Amp-Exp-Track", "no-track")
	r.Header.Set("X-Amp-Exp-Exposure-Track", "no-track")
	return r
}

// newClient returns a client that follows no redirects. Its connections are closed at the end of the test.
func newClient(t testing.TB) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request,
		[]*http.Request) error {
		return http.ErrUseLastResponse
	}}
}

func readBody(t testing.TB, res *http.Response) string {
	t.Helper()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return string(body)
}

func TestVardata(t *testing.T) {
	base := startServer(t, newServer(t, evalserver.Config{}))
	escape := url.QueryEscape
	for _, tt := range []struct {
		name, method, path, body string
		user, flags              string // in the headers
		status                   int
		want                     string // of a 200
	}{
		{name: "all flags", path: "/v1/vardata?user_id=u", status: 200, want: "{" + allOn + "," + slottedOn + "}"},
		{name: "only a device id", path: "/v1/vardata?device_id=d", status: 200, want: "{" + allOn + "," + slottedOn + "}"},
		{name: "context", path: "/v1/vardata?flag_keys=checkout&user_id=u&context=" + escape(`{"country":"DE"}`), status: 200,
			want: "{" + checkoutOn + "}"},
		{name: "group", path: "/v1/vardata?flag_keys=checkout&user_id=u&context=" + escape(`{"groups":{"org":["acme","x"]}}`),
			status: 200, want: "{" + checkoutGroup + "}"},
		{name: "a string is no group", path: "/v1/vardata?flag_keys=checkout&user_id=u&context=" +
			escape(`{"groups":{"org":"acme"}}`), status: 200, want: "{}"},
		{name: "the default is dropped", path: "/v1/vardata?flag_keys=checkout&user_id=u", status: 200, want: "{}"},
		{name: "older parameter", path: "/v1/vardata?flag_key=all,checkout&user_id=u", status: 200, want: "{" + allOn + "}"},
		{name: "unknown parameter: all flags", path: "/v1/vardata?flags=checkout&user_id=u", status: 200, want: "{" + allOn +
			"," + slottedOn + "}"},
		{name: "unknown flag", path: "/v1/vardata?flag_keys=nope&user_id=u", status: 200, want: "{}"},
		{name: "empty list: all flags", path: "/v1/vardata?flag_keys=&user_id=u", status: 200, want: "{" + allOn + "," +
			slottedOn + "}"},
		{name: "dependencies are not listed", path: "/v1/vardata?flag_keys=slotted&user_id=u", status: 200, want: "{" +
			slottedOn + "}"},
		{name: "asked twice", path: "/v1/vardata?flag_keys=all,all&user_id=u", status: 200, want: "{" + allOn + "}"},
		{name: "escaped", path: "/v1/vardata?flag%5Fkeys=" + escape(`no "case"`) + "&user_id=" + escape("odd a&b+c%"),
			status: 200,
			want:   `{"no \"case\"":{"key":"on","value":"7"}}`},
		{name: "ids of the query take precedence", path: "/v1/vardata?flag_keys=" + escape(`no "case"`) +
			"&user_id=other&context=" + escape(`{"user_id":"odd a&b+c%"}`), status: 200, want: "{}"},
		{name: "id in the context", path: "/v1/vardata?flag_keys=" + escape(`no "case"`) + "&context=" +
			escape(`{"user_id":"odd a&b+c%"}`), status: 200,
			want: `{"no \"case\"":{"key":"on","value":"7"}}`},
		{name: "post", method: "POST", path: "/v1/vardata?flag_keys=checkout", body: `{"user_id":"u","country":"DE"}`,
			status: 200, want: "{" + checkoutOn + "}"},

		{name: "flags in the header", path: "/v1/vardata?user_id=u&flag_keys=slotted", flags: `["all"]`, status: 200,
			want: "{" + allOn + "}"},
		{name: "no flags in the header: all", path: "/v1/vardata?user_id=u&flag_keys=slotted", flags: `[]`, status: 200,
			want: "{" + allOn + "," + slottedOn + "}"},
		{name: "the former path of SDKs", path: "/sdk/vardata", user: `{"user_id":"u","country":"DE"}`, status: 200,
			want: "{" + allOn + "," + checkoutOn + "," + slottedOn + "}"},
		{name: "post to the former path", method: "POST", path: "/sdk/vardata", body: `{"user_id":"u","country":"DE"}`,
			flags: `["checkout"]`, status: 200, want: "{" + checkoutOn + "}"},
		{name: "version 2", path: "/sdk/v2/vardata?v=0", user: `{"user_id":"u","country":"DE"}`, status: 200,
			want: "{" + allOn + "," + checkout2On + "," + groups2 + "," + slottedOn + "," + undeployed2 + "}"},
		{name: "version 2, defaults", path: "/sdk/v2/vardata?v=0", user: `{"device_id":"d"}`, flags: `["checkout"]`,
			status: 200, want: `{"checkout":{"key":"off","metadata":{"flagType":"experiment","experimentKey":"exp-1",` +
				`"default":true}}}`},
		{name: "version 2, a value that is no string", path: "/sdk/v2/vardata", user: `{"user_id":"odd a&b+c%"}`,
			flags: `["no \"case\""]`, status: 200, want: `{"no \"case\"":{"key":"on","value":7}}`},
		{name: "version 2, nothing", path: "/sdk/v2/vardata", user: `{"user_id":"u"}`, flags: `["no \"case\"","nope"]`,
			status: 200, want: "{}"},
		{name: "version 2, post", method: "POST", path: "/sdk/v2/vardata?v=0", flags: `["checkout"]`,
			body: `{"user_id":"u","country":"DE"}`, status: 200, want: "{" + checkout2On + "}"},
		{name: "version 2, flags of the query", method: "POST", path: "/sdk/v2/vardata?flag_keys=all",
			body: `{"user_id":"u"}`, status: 200, want: "{" + allOn + "}"},
		{name: "version 2, a name with commas", path: "/sdk/v2/vardata", user: `{"user_id":"u"}`, flags: `["all,checkout"]`,
			status: 200, want: "{}"},

		{name: "the user is not in a header of version 1", path: "/v1/vardata", user: `{"user_id":"u"}`, status: 400},
		{name: "version 2 without a user", path: "/sdk/v2/vardata", status: 400},
		{name: "version 2, the user is not an object", path: "/sdk/v2/vardata", user: `["u"]`, status: 400},
		{name: "version 2, the user is not JSON", path: "/sdk/v2/vardata", user: `{"user_id":"u"`, status: 400},
		{name: "version 2, the flags are not a list", path: "/sdk/v2/vardata", user: `{"user_id":"u"}`, flags: `{"all":1}`,
			status: 400},
		{name: "version 2, a flag is a number", path: "/sdk/v2/vardata", user: `{"user_id":"u"}`, flags: `["all",1]`,
			status: 400},
		{name: "version 2, post without a body", method: "POST", path: "/sdk/v2/vardata", user: `{"user_id":"u"}`,
			status: 400},
		{name: "version 2, post of too much", method: "POST", path: "/sdk/v2/vardata",
			body: strings.Repeat(" ", 1<<20+1), status: 413},
		{name: "version 2, a header of too much", path: "/sdk/v2/vardata",
			user: `{"user_id":"` + strings.Repeat("u", 100<<10) + `"}`, status: 431},
		{name: "version 2, method", method: "DELETE", path: "/sdk/v2/vardata", status: 405},
		{name: "a stream: clients poll instead", path: "/sdk/stream/v1/flags", status: 404},

		{name: "no id", path: "/v1/vardata", status: 400},
		{name: "empty id", path: "/v1/vardata?user_id=&device_id=", status: 400},
		{name: "numeric id in the context", path: "/v1/vardata?context=" + escape(`{"user_id":7}`), status: 400},
		{name: "context is not JSON", path: "/v1/vardata?user_id=u&context=" + escape(`{"country":`), status: 400},
		{name: "context is empty", path: "/v1/vardata?user_id=u&context=", status: 400},
		{name: "context is a list", path: "/v1/vardata?user_id=u&context=[]", status: 400},
		{name: "context is null", path: "/v1/vardata?user_id=u&context=null", status: 400},
		{name: "bad escape", path: "/v1/vardata?user_id=%zz", status: 400},
		{name: "post without a body", method: "POST", path: "/v1/vardata", status: 400},
		{name: "post of too much", method: "POST", path: "/v1/vardata", body: strings.Repeat(" ", 1<<20+1), status: 413},
		{name: "method", method: "PUT", path: "/v1/vardata?user_id=u", status: 405},
		{name: "method of flags", method: "POST", path: "/v1/flags", status: 405},
		{name: "path", path: "/v1/vardata/?user_id=u", status: 404},
		{name: "only the proxy has status", path: "/status", status: 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.method == "" {
				tt.method = "GET"
			}
			r := newRequest(t, tt.method, base+tt.path, tt.body)
			if tt.user != "" {
				r.Header.Set("X-Amp-Exp-User", base64.RawURLEncoding.EncodeToString([]byte(tt.user)))
			}
			if tt.flags != "" {
				r.Header.Set("X-Amp-Exp-Flag-Keys", base64.StdEncoding.EncodeToString([]byte(tt.flags)))
			}
			res, err := newClient(t).Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got := readBody(t, res)
			if res.StatusCode != tt.status {
				t.Fatalf("%s %s: status %d (%s), want %d", tt.method, tt.path, res.StatusCode, got, tt.status)
			}
			if tt.status == 200 && got != tt.want {
				t.Errorf("%s %s:\n got %s\nwant %s", tt.method, tt.path, got, tt.want)
			}
			if tt.status == 405 && res.Header.Get("Allow") == "" {
				t.Error("405 without Allow")
			}
		})
	}
}

func TestFlags(t *testing.T) {
	base := startServer(t, newServer(t, evalserver.Config{}))
	client := newClient(t)
	for _, tt := range []struct {
		path string
		want []string
	}{
		{"/v1/flags", []string{"checkout", "all", `no "case"`, "undeployed", "mutex", "holdout", "group", "slotted"}},
		{"/sdk/v2/flags", []string{"checkout", "all", `no "case"`, "undeployed", "mutex", "holdout", "group", "slotted"}},
		{"/v1/flags?flag_keys=slotted,all", []string{"all", "mutex", "slotted"}}, // with the flag that slotted depends on
		{"/v1/flags?flag_keys=nope", []string{}},
	} {
		t.Run(tt.path, func(t *testing.T) {
			res, err := client.Do(newRequest(t, "GET", base+tt.path, ""))
			if err != nil {
				t.Fatal(err)
			}
			e, err := engine.Parse([]byte(readBody(t, res)), engine.Hosted)
			if err != nil {
				t.Fatalf("%s cannot be parsed: %v", tt.path, err)
			}
			got := []string{}
			for _, f := range e.Flags() {
				got = append(got, f.Key)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

func TestAuthorization(t *testing.T) {
	for _, tt := range []struct {
		key, header string
		want        int
	}{
		{"", "", 401},
		{"", "Api-Key ", 401},
		{"", "Api-Key x", 200},
		{"", "Bearer x", 401},
		{"secret", "Api-Key x", 401},
		{"secret", "Api-Key secret", 200},
		{"secret", "api-key secret", 200},
		{"secret", "Api-Key secret2", 401},
		{"secret", "secret", 401},
	} {
		t.Run(tt.key+"/"+tt.header, func(t *testing.T) {
			for _, path := range []string{"/v1/vardata?user_id=u", "/sdk/vardata?user_id=u", "/sdk/v2/vardata?user_id=u",
				"/v1/flags", "/sdk/v2/flags"} {
				r := httptest.NewRequest("GET", path, nil)
				r.Header.Set("Authorization", tt.header)
				w := httptest.NewRecorder()
				newServer(t, evalserver.Config{Key: tt.key}).ServeHTTP(w, r)
				if w.Code != tt.want {
					t.Errorf("key %q, header %q, %s: status %d, want %d", tt.key, tt.header, path, w.Code, tt.want)
				}
			}
		})
	}
}

func TestTracking(t *testing.T) {
	for _, tt := range []struct {
		name   string
		proxy  bool
		change func(http.Header)
		want   bool
	}{
		{"both headers", false, func(http.Header) {}, false},
		{"no track header", false, func(h http.Header) { h.Del("X-Amp-Exp-Track") }, true},
		{"no exposure header", false, func(h http.Header) { h.Del("X-Amp-Exp-Exposure-Track") }, true},
		{"another value", false, func(h http.Header) { h.Set("X-Amp-Exp-Track", "track") }, true},
		{"the proxy tracks regardless", true, func(http.Header) {}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, path := range []string{"/v1/vardata", "/sdk/vardata", "/sdk/v2/vardata"} {
				var records []evalserver.Request
				s := newServer(t, evalserver.Config{Proxy: tt.proxy,
					Record: func(r evalserver.Request) { records = append(records, r) }})
				r := newRequest(t, "GET", path+"?user_id=u&device_id=d", "")
				tt.change(r.Header)
				s.ServeHTTP(httptest.NewRecorder(), r)
				if len(records) != 1 || records[0].Tracked != tt.want {
					t.Fatalf("%s: recorded %+v, want one request with Tracked %v", path, records, tt.want)
				}
				if r := records[0]; r.UserID != "u" || r.DeviceID != "d" || r.Status != 200 || r.Path != path ||
					r.RawQuery != "user_id=u&device_id=d" {
					t.Errorf("%s: recorded %+v", path, r)
				}
				if got := s.Stats().Tracked == 1; got != tt.want {
					t.Errorf("%s: counted as tracked: %v, want %v", path, got, tt.want)
				}
			}
		})
	}
}

// A flag of remote evaluation mode is configured for clients only if they ask for it, or if another flag depends on it.
func TestEvaluationModes(t *testing.T) {
	e, err := engine.Parse([]byte(`[
		{"key":"remote","variants":{},"segments":[],"metadata":{"evaluationMode":"remote"}},
		{"key":"needed","variants":{},"segments":[],"metadata":{"evaluationMode":"remote"}},
		{"key":"local","variants":{},"segments":[],"dependencies":["needed"],"metadata":{"evaluationMode":"local"}},
		{"key":"plain","variants":{},"segments":[]}]`), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		proxy bool
		want  []string
	}{
		{"/v1/flags", false, []string{"remote", "needed", "local", "plain"}},
		{"/sdk/v2/flags", false, []string{"needed", "local", "plain"}},
		{"/sdk/v2/flags?v=0", false, []string{"needed", "local", "plain"}},
		{"/sdk/v2/flags?eval_mode=local", false, []string{"needed", "local", "plain"}},
		{"/sdk/v2/flags?v=0&eval_mode=remote", false, []string{"remote", "needed", "local", "plain"}},
		{"/sdk/v2/flags?flag_keys=remote", false, []string{"remote"}},
		{"/sdk/v2/flags?eval_mode=remote", true, []string{"needed", "local", "plain"}}, // the proxy does not know it
	} {
		t.Run(tt.path, func(t *testing.T) {
			w := httptest.NewRecorder()
			evalserver.New(e, evalserver.Config{Proxy: tt.proxy}).ServeHTTP(w, newRequest(t, "GET", tt.path, ""))
			got, err := engine.Parse(w.Body.Bytes(), engine.Hosted)
			if err != nil {
				t.Fatalf("%s: %d %s: %v", tt.path, w.Code, w.Body, err)
			}
			keys := []string{}
			for _, f := range got.Flags() {
				keys = append(keys, f.Key)
			}
			if diff := cmp.Diff(tt.want, keys); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.path, diff)
			}
		})
	}
}

// A browser may send the headers of the clients, and read answers and errors. It asks first, without a key and without
// tracking anything.
func TestCORS(t *testing.T) {
	for _, tt := range []struct {
		method, path, key string
		status            int
		methods           string // that a browser may use, of the answer to an OPTIONS
	}{
		{"OPTIONS", "/v1/vardata", "", 204, "GET, POST"},
		{"OPTIONS", "/sdk/vardata", "", 204, "GET, POST"},
		{"OPTIONS", "/sdk/v2/vardata?v=0", "", 204, "GET, POST"},
		{"OPTIONS", "/v1/flags", "", 204, "GET"},
		{"OPTIONS", "/sdk/v2/flags", "", 204, "GET"},
		{"OPTIONS", "/nowhere", "", 404, ""},
		{"GET", "/sdk/v2/flags", "Api-Key k", 200, ""},
		{"GET", "/sdk/v2/vardata?user_id=u", "Api-Key k", 200, ""},
		{"GET", "/sdk/v2/vardata?user_id=u", "", 401, ""},
		{"GET", "/sdk/v2/vardata", "Api-Key k", 400, ""},
		{"GET", "/nowhere", "Api-Key k", 404, ""},
	} {
		t.Run(tt.method+" "+tt.path+" "+tt.key, func(t *testing.T) {
			s := newServer(t, evalserver.Config{})
			r := httptest.NewRequest(tt.method, tt.path, nil)
			r.Header.Set("Origin", "http://localhost:3000")
			if tt.key != "" {
				r.Header = newRequest(t, "GET", tt.path, "").Header
			}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			if w.Code != tt.status || w.Header().Get("Access-Control-Allow-Origin") != "*" ||
				w.Header().Get("Access-Control-Allow-Methods") != tt.methods {
				t.Errorf("status %d, headers %v, want %d, any origin, and the methods %q", w.Code, w.Header(), tt.status,
					tt.methods)
			}
			allowed := w.Header().Get("Access-Control-Allow-Headers")
			for _, name := range []string{"authorization", "x-amp-exp-user", "x-amp-exp-flag-keys", "x-amp-exp-track",
				"x-amp-exp-exposure-track", "x-amp-exp-library", "content-type"} {
				if tt.status == 204 && !strings.Contains(allowed, name) {
					t.Errorf("allowed headers %q, want %s", allowed, name)
				}
			}
			if tt.method == "OPTIONS" && s.Stats().Tracked != 0 {
				t.Error("an OPTIONS was counted as tracked")
			}
		})
	}
}

func TestProxy(t *testing.T) {
	base := startServer(t, newServer(t, evalserver.Config{Proxy: true}))
	client := newClient(t)
	for _, tt := range []struct {
		path   string
		status int
		want   string
	}{
		{"/status", 200, "OK"},
		{"/v1/vardata?user_id=u&flag_key=all", 200, "{" + allOn + "}"},
		{"/v1/vardata?user_id=u&flag_keys=all", 200, "{" + allOn + "," + slottedOn + "}"}, // the proxy ignores flag_keys
		{"/v1/flags", 404, "not found\n"},
		{"/nowhere", 404, "not found\n"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			res, err := client.Do(newRequest(t, "GET", base+tt.path, ""))
			if err != nil {
				t.Fatal(err)
			}
			if got := readBody(t, res); res.StatusCode != tt.status || got != tt.want {
				t.Errorf("%s: %d %q, want %d %q", tt.path, res.StatusCode, got, tt.status, tt.want)
			}
		})
	}
}

func TestGzip(t *testing.T) {
	base := startServer(t, newServer(t, evalserver.Config{}))
	client := newClient(t)
	for _, tt := range []struct {
		path, accept string
		want         bool
	}{
		{"/v1/flags", "gzip", true},
		{"/v1/flags", "br;q=1.0, gzip;q=0.8", true},
		{"/v1/flags", "identity", false},
		{"/v1/flags", "gzip;q=0", false},
		{"/v1/vardata?user_id=u", "gzip", false}, // too small to be worth it
	} {
		t.Run(tt.path+" "+tt.accept, func(t *testing.T) {
			for range 2 { // the second answer comes from a compressor that is reused
				r := newRequest(t, "GET", base+tt.path, "")
				r.Header.Set("Accept-Encoding", tt.accept) // set by hand: the client does not decode
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body := readBody(t, res)
				if got := res.Header.Get("Content-Encoding") == "gzip"; got != tt.want {
					t.Fatalf("%s, Accept-Encoding %q: compressed %v, want %v", tt.path, tt.accept, got, tt.want)
				}
				if tt.want {
					z, err := gzip.NewReader(strings.NewReader(body))
					if err != nil {
						t.Fatal(err)
					}
					plain, err := io.ReadAll(z)
					if err != nil {
						t.Fatal(err)
					}
					body = string(plain)
				}
				if !strings.HasSuffix(body, "}") && !strings.HasSuffix(body, "]") {
					t.Errorf("%s: body %q", tt.path, body)
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	var next atomic.Pointer[evalserver.Fault]
	s := newServer(t, evalserver.Config{
		Script: func(*evalserver.Request, int) *evalserver.Fault { return next.Load() },
		Record: func(r evalserver.Request) {
			if want := next.Load().Kind; r.Fault != want {
				t.Errorf("recorded the fault %q, want %q", r.Fault, want)
			}
		},
	})
	base := startServer(t, s)
	client := newClient(t)
	do := func() (*http.Response, string, error) {
		// A POST, because net/http resends a GET by itself when a kept-alive connection breaks.
		res, err := client.Do(newRequest(t, "POST", base+"/v1/vardata?flag_keys=all", `{"user_id":"u"}`))
		if err != nil {
			return nil, "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return res, string(body), err
	}
	answers := []struct {
		fault  evalserver.Fault
		status int
		body   string
	}{
		{evalserver.Fault{Kind: "503"}, 503, "fault: 503\n"},
		{evalserver.Fault{Kind: "429", RetryAfter: "7"}, 429, "fault: 429\n"},
		{evalserver.Fault{Kind: evalserver.Null}, 200, "null"},
		{evalserver.Fault{Kind: evalserver.Empty}, 200, ""},
		{evalserver.Fault{Kind: evalserver.Trailing}, 200, "{" + allOn + "}{}"},
		{evalserver.Fault{Kind: evalserver.Redirect}, 307, "moved\n"},
		{evalserver.Fault{Kind: evalserver.Handler, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(418)
		})}, 418, ""},
		{evalserver.Fault{Kind: "no such kind"}, 500, "fault: no such kind\n"},
	}
	for _, tt := range answers {
		t.Run(tt.fault.Kind, func(t *testing.T) {
			next.Store(&tt.fault)
			res, body, err := do()
			if err != nil {
				t.Fatalf("%s: %v", tt.fault.Kind, err)
			}
			if res.StatusCode != tt.status || body != tt.body || res.Header.Get("Retry-After") != tt.fault.RetryAfter {
				t.Errorf("%s: %d %q, Retry-After %q; want %d %q, %q", tt.fault.Kind,
					res.StatusCode, body, res.Header.Get("Retry-After"), tt.status, tt.body, tt.fault.RetryAfter)
			}
		})
	}

	next.Store(&evalserver.Fault{Kind: evalserver.HTML})
	if res, body, err := do(); err != nil || res.StatusCode != 200 || !strings.HasPrefix(body, "<!DOCTYPE html>") ||
		!strings.HasPrefix(res.Header.Get("Content-Type"), "text/html") {
		t.Errorf("html: %v %q %v", res, body, err)
	}
	next.Store(&evalserver.Fault{Kind: evalserver.Reset})
	if res, _, err := do(); err == nil {
		t.Errorf("reset: answered %v", res)
	}
	next.Store(&evalserver.Fault{Kind: evalserver.Truncate})
	if res, body, err := do(); !errors.Is(err, io.ErrUnexpectedEOF) || body == "" ||
		!strings.HasPrefix("{"+allOn+"}", body) {
		t.Errorf("truncate: %v %q %v, want half of the body and an unexpected EOF", res, body, err)
	}
	next.Store(&evalserver.Fault{Kind: evalserver.Hang})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if res, err := client.Do(newRequest(t, "POST", base+"/v1/vardata",
		`{"user_id":"u"}`).WithContext(ctx)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("hang: %v %v", res, err)
	}
}

// A slow body comes one byte every SlowDelay. The test needs no socket and no time.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, evalserver.Config{Script: func(*evalserver.Request, int) *evalserver.Fault {
			return &evalserver.Fault{Kind: evalserver.Slow}
		}})
		began := time.Now()
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?user_id=u&flag_keys=all", ""))
		want := "{" + allOn + "}"
		if got := w.Body.String(); got != want {
			t.Errorf("body %q, want %q", got, want)
		}
		if got, want := time.Since(began), time.Duration(len(want))*evalserver.SlowDelay; got != want {
			t.Errorf("took %v, want %v", got, want)
		}
	})
}

func TestLatencyAndLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t, evalserver.Config{Latency: 60 * time.Millisecond, Limit: 10})
		ask := func() *httptest.ResponseRecorder {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?user_id=u", ""))
			return w
		}
		began := time.Now()
		if w := ask(); w.Code != 200 || time.Since(began) != 60*time.Millisecond {
			t.Fatalf("status %d after %v, want 200 after 60ms", w.Code, time.Since(began))
		}
		time.Sleep(time.Second) // the bubble's clock
		codes := map[int]int{}
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 15 {
			wg.Go(func() {
				w := ask()
				mu.Lock()
				defer mu.Unlock()
				codes[w.Code]++
				if w.Code == 429 && w.Header().Get("Retry-After") != "1" {
					t.Error("429 without Retry-After: 1")
				}
			})
		}
		wg.Wait()
		if diff := cmp.Diff(map[int]int{200: 10, 429: 5}, codes); diff != "" {
			t.Errorf("15 at once, 10 a second (-want +got):\n%s", diff)
		}
		if got, want := s.Stats(), (evalserver.Stats{Requests: 16}); got != want {
			t.Errorf("stats %+v, want %+v", got, want)
		}
		time.Sleep(time.Second)
		if w := ask(); w.Code != 200 {
			t.Errorf("a second later: status %d, want 200", w.Code)
		}

		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began = time.Now()
		s.ServeHTTP(httptest.NewRecorder(), newRequest(t, "GET", "/v1/vardata?user_id=u", "").WithContext(ctx))
		if time.Since(began) != 0 {
			t.Error("waited for a client that was gone")
		}
	})
}

// Which request gets which fault depends on the user and the seed, not on the order of the requests.
func TestRandomFaults(t *testing.T) {
	faults, err := evalserver.ParseFaults("503:0.2,null:0.1")
	if err != nil {
		t.Fatal(err)
	}
	run := func(seed uint64, reverse bool) map[string]int {
		s := newServer(t, evalserver.Config{Faults: faults, Seed: seed})
		got := map[string]int{}
		for i := range 1000 {
			if reverse {
				i = 999 - i
			}
			user := string(rune('a'+i%26)) + strings.Repeat("x", i/26)
			w := httptest.NewRecorder()
			s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?flag_keys=all&user_id="+user, ""))
			got[user+" "+w.Body.String()] = w.Code
		}
		return got
	}
	first := run(1, false)
	if diff := cmp.Diff(first, run(1, true)); diff != "" {
		t.Errorf("the same seed in another order (-first +second):\n%s", diff)
	}
	if cmp.Equal(first, run(2, false)) {
		t.Error("another seed, the same faults")
	}
	unavailable := 0
	for _, code := range first {
		if code == 503 {
			unavailable++
		}
	}
	if unavailable < 150 || unavailable > 250 {
		t.Errorf("%d of 1000 requests had the fault with probability 0.2", unavailable)
	}

	// The script knows how often the user was asked about.
	certain := evalserver.Config{Script: func(_ *evalserver.Request, n int) *evalserver.Fault {
		if n < 2 {
			return &evalserver.Fault{Kind: "503"}
		}
		return nil
	}}
	s := newServer(t, certain)
	var codes []int
	for range 4 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?user_id=u", ""))
		codes = append(codes, w.Code)
	}
	if diff := cmp.Diff([]int{503, 503, 200, 200}, codes); diff != "" {
		t.Errorf("a script that refuses twice (-want +got):\n%s", diff)
	}
}

func TestParseFaults(t *testing.T) {
	for _, tt := range []struct {
		list string
		want []evalserver.Fault
		err  string
	}{
		{list: ""},
		{list: "503:0.05, reset:0.01", want: []evalserver.Fault{{Kind: "503", Probability: 0.05},
			{Kind: "reset", Probability: 0.01}}},
		{list: "503", err: "want kind:probability"},
		{list: "200:0.5", err: "unknown kind"},
		{list: "boom:0.5", err: "reset, truncate, html"},
		{list: "503:x", err: "not a probability"},
		{list: "503:NaN", err: "not a probability"},
		{list: "503:-0.1", err: "not a probability"},
		{list: "503:0.6,reset:0.6", err: "add up to 1.2"},
		{list: "handler:0.5", err: "unknown kind"},
		{list: "503:0.5,", err: "want kind:probability"},
	} {
		t.Run(tt.list, func(t *testing.T) {
			got, err := evalserver.ParseFaults(tt.list)
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("ParseFaults(%q): error %v, want one that says %q", tt.list, err, tt.err)
				}
				return
			}
			if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
				t.Errorf("ParseFaults(%q): %v (-want +got):\n%s", tt.list, err, diff)
			}
		})
	}
}

func TestEvaluationIDs(t *testing.T) {
	s := newServer(t, evalserver.Config{EvaluationIDs: true})
	seen := map[string]bool{}
	for range 3 {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?flag_keys=all&user_id=u", ""))
		body := w.Body.String()
		if !strings.HasPrefix(body, `{"all":{"key":"on","evaluationId":"`) || !strings.HasSuffix(body, `"}}`) {
			t.Errorf("body %s", body)
		}
		seen[body] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d different ids in 3 answers", len(seen))
	}
}

// members yields the ids of a cohort's members, and then fails with err.
func members(err error, ids ...string) func(func(string) error) error {
	return func(yield func(string) error) error {
		for _, id := range ids {
			if err := yield(id); err != nil {
				return err
			}
		}
		return err
	}
}

func TestCohort(t *testing.T) {
	cohorts := map[string]*evalserver.Cohort{
		"vip":     {ID: "vip", Size: 3, LastModified: 1700000000123, Members: members(nil, "u1", `a "b"`, "ü\n")},
		"empty/1": {ID: "empty/1", GroupType: "org", LastModified: 5, Members: members(nil)},
		"broken":  {ID: "broken", Size: 2, Members: members(errors.New("broken"), "u1")},
	}
	s := newServer(t, evalserver.Config{CohortKey: "api:secret", Key: "deployment",
		Cohort: func(id string) *evalserver.Cohort { return cohorts[id] }})
	base := startServer(t, s)
	client := newClient(t)
	const vip = `{"cohortId":"vip","groupType":"User","groupTypeId":0,"lastComputed":1700000000123,` +
		`"lastModified":1700000000123,"size":3,"memberIds":["u1","a \"b\"","ü\n"]}` + "\n"
	for _, tt := range []struct {
		name, path, api, secret string
		status                  int
		want                    string
	}{
		{"all", "vip", "api", "secret", 200, vip},
		{"as large as it may be", "vip?maxCohortSize=3", "api", "secret", 200, vip},
		{"too large", "vip?maxCohortSize=2", "api", "secret", 413, "the cohort is larger than maxCohortSize\n"},
		{"unchanged", "vip?maxCohortSize=3&lastModified=1700000000123", "api", "secret", 204, ""},
		{"changed since", "vip?lastModified=1700000000122", "api", "secret", 200, vip},
		{"a newer one is known", "vip?lastModified=1700000000124", "api", "secret", 200, vip}, // another file took its place
		{"empty, of groups", "empty%2F1", "api", "secret", 200, `{"cohortId":"empty/1","groupType":"org","groupTypeId":0,` +
			`"lastComputed":5,"lastModified":5,"size":0,"memberIds":[]}` + "\n"},
		{"unknown", "nope", "api", "secret", 404, "no such cohort\n"},
		{"no id", "", "api", "secret", 404, "no such cohort\n"},
		{"bad size", "vip?maxCohortSize=many", "api", "secret", 400, "maxCohortSize is not a whole number\n"},
		{"bad time", "vip?lastModified=-1", "api", "secret", 400, "lastModified is not a whole number\n"},
		{"no keys", "vip", "", "", 401, "Invalid deployment\n"},
		{"another key", "vip", "api", "secre", 401, "Invalid deployment\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, encoding := range []string{"", "identity"} { // "": the client asks for gzip, and unpacks it
				r := newRequest(t, "GET", base+"/sdk/v1/cohort/"+tt.path, "")
				r.SetBasicAuth(tt.api, tt.secret)
				if encoding != "" {
					r.Header.Set("Accept-Encoding", encoding)
				}
				res, err := client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if got := readBody(t, res); res.StatusCode != tt.status || got != tt.want {
					t.Errorf("%s: %d %q, want %d %q", tt.path, res.StatusCode, got, tt.status, tt.want)
				}
				if packed := tt.status == 200 && encoding == ""; res.Uncompressed != packed {
					t.Errorf("%s, encoding %q: compressed %v, want %v", tt.path, encoding, res.Uncompressed, packed)
				}
				if origin := res.Header.Get("Access-Control-Allow-Origin"); tt.status != 401 && origin != "" {
					t.Errorf("%s: pages from %s may read the members", tt.path, origin)
				}
			}
		})
	}

	t.Run("a page in a browser", func(t *testing.T) {
		res, err := client.Do(newRequest(t, "OPTIONS", base+"/sdk/v1/cohort/vip", ""))
		if err != nil {
			t.Fatal(err)
		}
		readBody(t, res)
		if res.StatusCode != 405 || res.Header.Get("Access-Control-Allow-Headers") != "" {
			t.Errorf("status %d, headers %v, want 405 and no header allowed", res.StatusCode, res.Header)
		}
	})
	t.Run("a deployment key", func(t *testing.T) {
		r := newRequest(t, "GET", base+"/sdk/v1/cohort/vip", "")
		r.Header.Set("Authorization", "Api-Key deployment")
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		readBody(t, res)
		if res.StatusCode != 401 {
			t.Errorf("status %d, want 401", res.StatusCode)
		}
	})
	t.Run("broken off", func(t *testing.T) {
		r := newRequest(t, "GET", base+"/sdk/v1/cohort/broken", "")
		r.SetBasicAuth("api", "secret")
		res, err := client.Do(r)
		if err == nil {
			defer res.Body.Close()
			var body []byte
			if body, err = io.ReadAll(res.Body); err == nil {
				t.Errorf("a cohort whose members cannot be read is answered whole: %s", body)
			}
		}
	})
	t.Run("any keys", func(t *testing.T) {
		for _, tt := range []struct {
			api, secret string
			want        int
		}{{"any", "any", 404}, {"any", "", 401}, {"", "any", 401}} {
			r := newRequest(t, "GET", "/sdk/v1/cohort/vip", "")
			r.SetBasicAuth(tt.api, tt.secret)
			w := httptest.NewRecorder()
			newServer(t, evalserver.Config{}).ServeHTTP(w, r)
			if w.Code != tt.want {
				t.Errorf("keys %q and %q: status %d, want %d", tt.api, tt.secret, w.Code, tt.want)
			}
		}
	})
	if got := s.Stats().Tracked; got != 0 {
		t.Errorf("%d requests for cohorts were counted as tracked", got)
	}
}

// The server knows in which cohorts a user is.
func TestAddCohorts(t *testing.T) {
	e, err := engine.Parse([]byte(`[{"key":"f","variants":{"on":{"key":"on"}},"segments":[{"conditions":[[{"selector":
		["context","user","cohort_ids"],"op":"set contains any","values":["vip"]}]],"variant":"on"}]}]`), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	s := evalserver.New(e, evalserver.Config{AddCohorts: func(u *pipeline.User) {
		if u.UserID == "u1" {
			u.Context = append(u.Context, pipeline.Member{Name: "cohort_ids",
				Value: pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: pipeline.StringValue("vip")}}}})
		}
	}})
	for _, path := range []string{"/v1/vardata", "/sdk/vardata", "/sdk/v2/vardata"} {
		for user, want := range map[string]string{"u1": `{"f":{"key":"on"}}`, "u2": "{}"} {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, newRequest(t, "GET", path+"?user_id="+user, ""))
			if got := w.Body.String(); got != want {
				t.Errorf("%s of %s: %s, want %s", path, user, got, want)
			}
		}
	}
}

// SetEngine is seen by the next request, also where the flag list has a plan already, and by requests at the same time.
func TestSetEngine(t *testing.T) {
	s := newServer(t, evalserver.Config{})
	parse := func(variant string) *engine.Engine {
		e, err := engine.Parse([]byte(`[{"key":"all","variants":{"v":{"key":"`+variant+`"}},"segments":[{"variant":"v"}]}]`),
			engine.Hosted)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	ask := func() string {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, newRequest(t, "GET", "/v1/vardata?flag_keys=all&user_id=u", ""))
		return w.Body.String()
	}
	for _, variant := range []string{"1", "2", "3"} {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() { ask() })
		}
		s.SetEngine(parse(variant))
		if got, want := ask(), `{"all":{"key":"`+variant+`"}}`; got != want {
			t.Errorf("after SetEngine: %s, want %s", got, want)
		}
		wg.Wait()
	}
}

// Close ends answers that hang, and idle connections.
func TestClose(t *testing.T) {
	hung := make(chan struct{})
	s := newServer(t, evalserver.Config{Script: func(r *evalserver.Request, _ int) *evalserver.Fault {
		if r.UserID != "hang" {
			return nil
		}
		close(hung)
		return &evalserver.Fault{Kind: evalserver.Hang}
	}})
	running, err := evalserver.Start("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t)
	res, err := client.Do(newRequest(t, "GET", running.URL()+"/v1/vardata?user_id=u", "")) // leaves an idle connection
	if err != nil {
		t.Fatal(err)
	}
	readBody(t, res)
	failed := make(chan error)
	go func() {
		_, err := client.Do(newRequest(t, "POST", running.URL()+"/v1/vardata", `{"user_id":"hang"}`))
		failed <- err
	}()
	<-hung
	if err := running.Close(); err != nil {
		t.Error(err)
	}
	if err := <-failed; err == nil {
		t.Error("the hanging request was answered")
	}
	// A goroutine may still have to run its last instructions: look until there is none. The deadline only ends a
	// hang.
	deadline := time.Now().Add(5 * time.Minute)
	for {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(stacks.String(), "net/http.(*conn).serve") &&
			!strings.Contains(stacks.String(), "net/http.(*Server).Serve") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines left behind:\n%s", stacks.String())
		}
		runtime.Gosched()
	}
	if _, err := evalserver.Start(strings.TrimPrefix(running.URL(), "http://")+"x", s); err == nil {
		t.Error("Start on a bad address: no error")
	}
}

// A raw request line, from a client that does not normalize it.
func TestUnusualQuery(t *testing.T) {
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(
		"GET /v1/vardata?user_id=%F0%9F%98%80&&=&x&flag_keys=all HTTP/1.1\r\nHost: x\r\nAuthorization: Api-Key k\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	var got evalserver.Request
	s := newServer(t, evalserver.Config{Record: func(r evalserver.Request) { got = r }})
	s.ServeHTTP(httptest.NewRecorder(), r)
	if got.UserID != "😀" || got.Status != 200 {
		t.Errorf("recorded %+v", got)
	}
}

// discard is a ResponseWriter that discards all.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

func BenchmarkVardata(b *testing.B) {
	s := newServer(b, evalserver.Config{})
	r := newRequest(b, "GET", "/v1/vardata?user_id=user-1&flag_keys=checkout,all,slotted&context="+
		url.QueryEscape(`{"country":"DE","groups":{"org":["acme"]},"user_properties":{"plan":"pro","seats":25}}`), "")
	w := &discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		s.ServeHTTP(w, r)
	}
}
