package amplitude

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// TestPreflight asks servers of every kind whether they heed no-track.
func TestPreflight(t *testing.T) {
	type answers map[string]func(n int) (status int, body string, err error) // by path; n: 1 for the first request
	always := func(status int, body string) func(int) (int, string, error) {
		return func(int) (int, string, error) { return status, body, nil }
	}
	broken := func(err error) func(int) (int, string, error) {
		return func(int) (int, string, error) { return 0, "", err }
	}
	// after answers the given number of requests with first, and later ones with second.
	after := func(times int, first, second func(int) (int, string, error)) func(int) (int, string, error) {
		return func(n int) (int, string, error) {
			if n <= times {
				return first(n)
			}
			return second(n)
		}
	}
	errHung := errors.New("no answer for an hour")
	hung := broken(errHung)
	array := always(200, `[{"key":"f"}]`)
	missing := always(404, "OK")
	unauthorized := always(401, "Invalid deployment")
	login := always(302, "")
	page := always(200, "<html>OK</html>")
	notFound := &net.DNSError{Err: "no such host", Name: "proxy.example", IsNotFound: true}
	const away = "https://experiment.example.com"
	for _, tt := range []struct {
		name    string
		base    string
		answers answers // other paths are missing
		want    NoTrack
		seen    string // part of what was seen
		asked   map[string]int
	}{
		{"us", "https://api.lab.amplitude.com", answers{"/status": always(200, "OK")}, Honoured, "", nil},
		{"eu", "https://api.lab.eu.amplitude.com", answers{"/status": hung}, Honoured, "", nil},
		{"us, written otherwise", "https://API.lab.amplitude.com.:443", answers{"/status": always(200, "OK")}, Honoured, "",
			nil},
		{"not us", "https://api.lab.amplitude.com.example", answers{"/status": always(200, "OK")}, Ignored, "GET /status",
			nil},

		{"this machine", "http://127.0.0.1:8787", answers{"/sdk/v2/flags": array}, Local, "status 404",
			map[string]int{"/status": 1}},
		{"this machine, by name", "http://localhost:8787", answers{"/status": page}, Local, "", map[string]int{"/status": 1}},
		{"this machine, IPv6", "http://[::1]:8787", answers{"/status": unauthorized}, Local, "",
			map[string]int{"/status": 1}},
		{"the proxy on this machine", "http://127.0.0.1:8787", answers{"/status": always(200, "OK\n")}, Ignored,
			"GET /status", map[string]int{"/status": 1}},
		{"the proxy on this machine, starting", "http://127.0.0.1:8787",
			answers{"/status": after(2, broken(syscall.ECONNREFUSED), always(200, "OK"))},
			Ignored, "GET /status", map[string]int{"/status": 3}},
		{"nobody on this machine", "http://127.0.0.1:8787", answers{"/status": broken(syscall.ECONNREFUSED)}, Unproven,
			"GET /status: connection refused", map[string]int{"/status": 3}},

		{"the proxy", away, answers{"/status": always(200, "OK"), "/sdk/v2/flags": array}, Ignored, "GET /status", nil},
		{"the proxy, busy at first", away, answers{"/status": after(1, always(503, ""), always(200, "OK"))}, Ignored,
			"GET /status", nil},
		{"the proxy, limited at first", away, answers{"/status": after(1, always(429, ""), always(200, "OK"))}, Ignored,
			"GET /status", nil},
		{"the proxy behind an ingress without /status", away, answers{"/sdk/v2/flags": array}, Ignored,
			"GET /sdk/v2/flags, but not GET /v1/flags", nil},
		{"the proxy behind a login page at /status", away, answers{"/status": login, "/sdk/v2/flags": array}, Ignored,
			"GET /sdk/v2/flags", nil},
		{"the proxy behind an ingress whose /status is slow", away, answers{"/status": hung, "/sdk/v2/flags": array}, Ignored,
			"GET /sdk/v2/flags",
			map[string]int{"/status": 1, "/v1/flags": 1, "/sdk/v2/flags": 1}},
		{"everything hangs", away, answers{"/status": hung, "/v1/flags": hung, "/sdk/v2/flags": hung}, Unproven,
			"GET /status: timeout", nil},
		{"the proxy behind an ingress of /v1 alone", away, nil, Unproven,
			"GET /status: status 404, GET /v1/flags: status 404, GET /sdk/v2/flags: status 404",
			map[string]int{"/status": 1, "/v1/flags": 1, "/sdk/v2/flags": 1}},
		{"the API behind a CDN", away, answers{"/v1/flags": array, "/sdk/v2/flags": array}, Honoured,
			"GET /v1/flags: status 200", nil},
		{"the API behind a gateway with a status of its own", away,
			answers{"/status": always(200, "ok?"), "/v1/flags": array}, Honoured, "", nil},
		{"everything is refused", away, answers{"/status": unauthorized, "/v1/flags": unauthorized,
			"/sdk/v2/flags": unauthorized}, Unproven, "GET /v1/flags: status 401", nil},
		{"everything is a login page", away, answers{"/status": login, "/v1/flags": login, "/sdk/v2/flags": login}, Unproven,
			"status 302", nil},
		{"everything is a page", away, answers{"/status": page, "/v1/flags": page, "/sdk/v2/flags": page}, Unproven,
			"not a JSON array", nil},
		{"flags of gigabytes", away, answers{"/v1/flags": always(200, "["+strings.Repeat(" ", maxAnswer)+"]")}, Unproven,
			"larger than", nil},
		{"/status is down", away, answers{"/status": always(503, ""), "/v1/flags": array}, Honoured,
			"GET /status: status 503", nil},
		{"everything is down", away, answers{"/status": always(503, ""), "/v1/flags": always(503, ""),
			"/sdk/v2/flags": always(503, "")}, Unproven, "GET /status: status 503", nil},
		{"nobody there", away, answers{"/status": broken(syscall.ECONNREFUSED)}, Unproven, "GET /v1/flags: not asked",
			map[string]int{"/status": 3}},
		{"it went away", away, answers{"/status": broken(notFound)}, Unproven, "GET /status: name lookup failed", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := map[string]int{}
				f := &fake{}
				f.answer = func(_ int, r *http.Request) (int, http.Header, string, error) {
					asked[r.URL.Path]++
					if got, want := r.Header.Get("Authorization") != "", r.URL.Path != "/status"; got != want ||
						r.Header.Get("X-Amp-Exp-Track") != "no-track" {
						t.Errorf("%s: the key was sent: %t, want %t; headers %v", r.URL.Path, got, want, len(r.Header))
					}
					answer := tt.answers[r.URL.Path]
					if answer == nil {
						answer = missing
					}
					status, body, err := answer(asked[r.URL.Path])
					f.latency = 10 * time.Millisecond
					if err == errHung {
						f.latency = time.Hour
					}
					return status, nil, body, err
				}
				key, _ := NewKey(canary)
				c, err := New(Config{BaseURL: tt.base, RoundTripper: f, Key: key, Rate: 0.1})
				if err != nil {
					t.Fatal(err)
				}
				if tt.name == "it went away" { // since an earlier part of the run
					noteAnswered(c, &pipeline.User{UserID: "u"})
				}
				start := time.Now()
				got, err := c.Preflight(t.Context(), false)
				if err != nil || got.NoTrack != tt.want || !strings.Contains(got.Seen, tt.seen) {
					t.Errorf("Preflight = %+v, %v; want %s, seen %q", got, err, tt.want, tt.seen)
				}
				requests := 0
				for _, n := range asked {
					requests += n
				}
				if strings.Contains(tt.base, "api.lab.amplitude.com") && tt.want == Honoured && requests > 0 {
					t.Errorf("a documented host was asked %v", asked)
				}
				if took := time.Since(start) - time.Duration(requests)*11*time.Second; took > preflightTime {
					t.Errorf("took %v beside the waits for the rate, want at most %v", took, preflightTime)
				}
				if tt.asked != nil {
					if diff := cmp.Diff(tt.asked, asked); diff != "" {
						t.Errorf("requests (-want +got):\n%s", diff)
					}
				}
			})
		})
	}
}

// TestPreflightOfPosts: what a server answers to /v1 proves nothing about the path of a POST.
func TestPreflightOfPosts(t *testing.T) {
	for _, tt := range []struct {
		name, base string
		status     string // the answer of GET /status
		want       NoTrack
		seen       string
	}{
		{"us", "https://api.lab.amplitude.com", "OK", Honoured, ""},
		{"the API behind a CDN", "https://experiment.example.com", "no", Unproven,
			"GET /v1/flags: status 200, GET /sdk/v2/flags: status 200; none is about POST /sdk/v2/vardata"},
		{"the proxy", "https://experiment.example.com", "OK", Ignored, "GET /status"},
		{"this machine", "http://127.0.0.1:8787", "no", Local, "GET /status"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
					if r.URL.Path == "/status" {
						return 200, nil, tt.status, nil
					}
					return 200, nil, "[]", nil
				}}
				c, err := New(Config{BaseURL: tt.base, Method: MethodAuto, RoundTripper: f})
				if err != nil {
					t.Fatal(err)
				}
				got, err := c.Preflight(t.Context(), true)
				if err != nil || got.NoTrack != tt.want || !strings.Contains(got.Seen, tt.seen) {
					t.Errorf("Preflight = %+v, %v; want %s, seen %q", got, err, tt.want, tt.seen)
				}
			})
		})
	}
}

func TestPreflightEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{latency: time.Hour}
		c := newFake(t, Config{}, f)
		ctx, cancel := context.WithCancelCause(t.Context())
		defer time.AfterFunc(time.Second, func() { cancel(errors.New("enough")) }).Stop()
		if got, err := c.Preflight(ctx, false); err == nil || err.Error() != "enough" {
			t.Errorf("Preflight = %+v, %v; want the cause of the cancellation", got, err)
		}
	})
}

func TestPreflightOfAnUnknownHost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, *http.Request) (int, http.Header, string, error) {
			return 0, nil, "", &net.DNSError{Err: "no such host", Name: "example.com", IsNotFound: true}
		}}
		got, err := newFake(t, Config{}, f).Preflight(t.Context(), false)
		if _, ok := errors.AsType[*ConnectError](err); !ok || len(f.sent) != 1 {
			t.Errorf("Preflight = %+v, %v after %d requests; want a ConnectError after one", got, err, len(f.sent))
		}
	})
}
