package amplitude

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// longUser is a user whose URL is too long.
func longUser(id string) *pipeline.User {
	return &pipeline.User{UserID: id, DeviceID: "d é", Context: []pipeline.Member{
		{Name: "country", Value: pipeline.StringValue("DE")},
		{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{
			{Name: "bio", Value: pipeline.StringValue(strings.Repeat("é", MaxURLBytes/6))}}}},
	}}
}

func TestMethods(t *testing.T) { testBothTransports(t, testMethods) }

func testMethods(t *testing.T, rt http.RoundTripper) {
	short := &pipeline.User{UserID: "s"}
	bare := &pipeline.User{DeviceID: "only"}
	for _, tt := range []struct {
		name   string
		method Method
		user   *pipeline.User
		want   string // method, URL and body of the request; "": it is too long
	}{
		{"get, short", MethodGet, short, "GET /v1/vardata?user_id=s&flag_keys=a,b "},
		{"get, long", MethodGet, longUser("l"), ""},
		{"auto, short", MethodAuto, short, "GET /v1/vardata?user_id=s&flag_keys=a,b "},
		{"auto, long", MethodAuto, longUser("l"), `POST /sdk/v2/vardata?v=0 ` +
			`{"user_id":"l","device_id":"d é","country":"DE","user_properties":{"bio":"` + strings.Repeat("é", MaxURLBytes/6) + `"}}`},
		{"post, short", MethodPost, short, `POST /sdk/v2/vardata?v=0 {"user_id":"s"}`},
		{"post, a device", MethodPost, bare, `POST /sdk/v2/vardata?v=0 {"device_id":"only"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				got = fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), body)
				if r.Header.Get("X-Amp-Exp-Track") != "no-track" || r.Header.Get("X-Amp-Exp-Exposure-Track") != "no-track" ||
					r.Header.Get("Authorization") != "Api-Key "+canary {
					t.Errorf("headers without no-track or the key: %d", len(r.Header))
				}
				flags, err := base64.StdEncoding.DecodeString(r.Header.Get("X-Amp-Exp-Flag-Keys"))
				if isPost := r.Method == "POST"; isPost != (string(flags) == `["a","b"]`) || err != nil ||
					isPost != (r.Header.Get("Content-Type") == "application/json") {
					t.Errorf("%s with flags %s in the header, %v, of type %q", r.Method, flags, err,
						r.Header.Get("Content-Type"))
				}
				_, _ = io.WriteString(w, `{"b":{"key":"on"}}`)
			})
			key, _ := NewKey(canary)
			c := newClient(t, Config{RoundTripper: rt, BaseURL: base, Key: key, FlagKeys: []string{"a", "b"}, Method: tt.method})
			a, err := c.Evaluate(t.Context(), tt.user)
			if tt.want == "" {
				requireUserError(t, err, pipeline.KindRequestTooLong)
			} else if err != nil || len(a.Variants) != 1 || a.Attempts != 1 {
				t.Errorf("%+v, %v; want one variant after one attempt", a, err)
			}
			if got != tt.want {
				t.Errorf("the server got\n%.300s, want\n%.300s", got, tt.want)
			}
			if posted := c.IsPosted(tt.user); posted != strings.HasPrefix(tt.want, "POST") {
				t.Errorf("IsPosted = %t, but what is sent is %.100s", posted, tt.want)
			}
		})
	}
}

// The body is the user, whatever the ids and names are.
func TestBodyIsTheUser(t *testing.T) {
	for _, id := range strangeIDs {
		u := &pipeline.User{UserID: id, Context: []pipeline.Member{{Name: id, Value: pipeline.StringValue(id)}}}
		body, _ := appendBody(nil, nil, u)
		var got map[string]string
		if err := json.Unmarshal(body, &got); err != nil {
			t.Errorf("%q: %s: %v", id, body, err)
		}
		want := map[string]string{"user_id": id, id: id}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", id, diff)
		}
	}
}

// An answer of /sdk/v2/vardata gives the assignments that one of /v1/vardata gives.
func TestV2AnswerIsAsV1(t *testing.T) {
	for _, tt := range []struct{ name, v2, v1 string }{
		{"assigned", `{"f":{"key":"on","value":"on","payload":{"a":1},"metadata":{"experimentKey":"e","deployed":true}}}`,
			`{"f":{"key":"on","value":"on","payload":{"a":1},"expKey":"e","metadata":{"experimentKey":"e","deployed":true}}}`},
		{"default", `{"f":{"key":"off","metadata":{"default":true}},"g":{"key":"on"}}`, `{"g":{"key":"on"}}`},
		{"default without a key", `{"f":{"metadata":{"default":true}},"g":{"key":"on"}}`, `{"g":{"key":"on"}}`},
		{"not a default", `{"f":{"key":"off","metadata":{"default":false}}}`,
			`{"f":{"key":"off","metadata":{"default":false}}}`},
		{"default, as a text", `{"f":{"key":"off","metadata":{"default":"true"}}}`,
			`{"f":{"key":"off","metadata":{"default":"true"}}}`},
		{"not deployed", `{"f":{"key":"on","metadata":{"deployed":false}}}`, `{}`},
		{"groups", `{"m":{"key":"slot-1","metadata":{"flagType":"mutual-exclusion-group"}},
			"h":{"key":"on","metadata":{"flagType":"holdout-group"}},"r":{"key":"on","metadata":{"flagType":"release-group"}},
			"f":{"key":"on","metadata":{"flagType":"release"}}}`, `{"f":{"key":"on","metadata":{"flagType":"release"}}}`},
		{"deeper", `{"f":{"key":"on","metadata":{"a":{"default":true,"deployed":false}}}}`,
			`{"f":{"key":"on","metadata":{"a":{"default":true,"deployed":false}}}}`},
		{"a value that is a number", `{"f":{"key":"on","value":1.50}}`, `{"f":{"key":"on","value":"1.5"}}`},
		{"a value that is a boolean", `{"f":{"key":"on","value":true}}`, `{"f":{"key":"on","value":"true"}}`},
		{"a value that is an object", `{"f":{"key":"on","value":{ "b": 1, "a":[2, "x"]}}}`,
			`{"f":{"key":"on","value":"{\"b\":1,\"a\":[2,\"x\"]}"}}`},
		{"a value alone", `{"f":{"value":7}}`, `{"f":{"value":"7"}}`},
		{"nothing", `{}`, `{}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want, err := parseAnswer(tt.v1)
			if err != nil {
				t.Fatal(err)
			}
			var p parser
			got, err := p.parseV2([]byte(tt.v2), tt.v2, 0)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s: %v (-v1 +v2):\n%s", tt.v2, err, diff)
			}
		})
	}
	var p parser
	for _, text := range []string{`{"f":{}}`, `{"f":{"metadata":{"default":false}}}`, `[]`, `{"f":{"key":1}}`} {
		if got, err := p.parseV2([]byte(text), text, 0); err == nil {
			t.Errorf("%s: %+v, want an error", text, got)
		}
	}
}

// What is sent by POST is retried as a GET is, and never sent again by net/http itself.
func TestPostsAreRetriedAsGetsAre(t *testing.T) { testBothTransports(t, testPostsAreRetriedAsGetsAre) }

func testPostsAreRetriedAsGetsAre(t *testing.T, rt http.RoundTripper) {
	var received atomic.Int64
	base := rawServer(t, func(conn net.Conn, nth int, r *http.Request) bool {
		received.Add(1)
		if body, err := io.ReadAll(r.Body); err != nil || !json.Valid(body) || r.Method != "POST" ||
			r.Header.Get("X-Amp-Exp-Track") != "no-track" {
			t.Errorf("request %d of a connection: %s %q, %v", nth, r.Method, body, err)
		}
		return nth == 1 && writeOK(conn, "{}") // each second request on a connection is read, and not answered
	})
	c := newClient(t, Config{BaseURL: base, RoundTripper: rt, MaxAttempts: 50, Concurrency: 8, Method: MethodPost})
	var attempts, next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for next.Add(1) <= 60 {
				a, err := c.Evaluate(t.Context(), longUser("u"))
				if err != nil {
					t.Error(err)
				}
				attempts.Add(int64(a.Attempts))
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	if s.EffectiveRate <= 0 || s.First.IsZero() {
		t.Errorf("the rate of POSTs is not counted: %+v", s)
	}
	if s.Retries == 0 || s.TransportErrors["dropped"]+s.TransportErrors["reset"] != s.Retries {
		t.Errorf("nothing was dropped, or not seen: %+v", s)
	}
	if got := received.Load(); got > s.Requests || got > attempts.Load() || attempts.Load() != 60+s.Retries {
		t.Errorf("the server read %d requests; the client counted %d, in %d attempts (%d retries)", got, s.Requests,
			attempts.Load(), s.Retries)
	}
}

// A server that takes no POST ends a run of POSTs; where others were answered by GET, it is the user's failure.
func TestServerWithoutPost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := func(_ int, r *http.Request) (int, http.Header, string, error) {
			if r.Method == "POST" {
				return 405, nil, "", nil
			}
			return 200, nil, "{}", nil
		}
		c := newFake(t, Config{Method: MethodPost}, &fake{answer: answer})
		_, err := c.Evaluate(t.Context(), longUser("u"))
		if err == nil || !strings.Contains(err.Error(), "answered /sdk/v2/vardata with status 405") ||
			!strings.Contains(pipeline.Hint(err), "leave --method out") {
			t.Errorf("all by POST: %v (%s)", err, pipeline.Hint(err))
		}
		c = newFake(t, Config{Method: MethodAuto}, &fake{answer: answer})
		if _, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "short"}); err != nil {
			t.Fatal(err)
		}
		_, err = c.Evaluate(t.Context(), longUser("u"))
		if ue := requireUserError(t, err, pipeline.KindRejected); ue.HTTPStatus != 405 {
			t.Errorf("got %+v", ue)
		}
	})
}

// TestNonce: every URL about a user has the nonce, retries included, but asking whether the API is there has another.
func TestNonce(t *testing.T) {
	for _, method := range []Method{MethodGet, MethodPost} {
		t.Run(string(method), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad := &pipeline.User{UserID: "bad"}
				var asked []url.Values
				f := &fake{answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
					asked = append(asked, r.URL.Query())
					if r.Body != nil {
						body, _ := io.ReadAll(r.Body)
						asked[len(asked)-1].Set("user_id", strings.Split(string(body), `"`)[3])
					}
					if asked[len(asked)-1].Get("user_id") == "bad" {
						return 500, nil, "", nil
					}
					return 200, nil, "{}", nil
				}}
				c := newFake(t, Config{Method: method, Nonce: "other", MaxAttempts: 3}, f)
				before := c.URLLength(bad)
				c.SetNonce("of-the-run")
				if n := c.URLLength(bad); n != before+len("of-the-run")-len("other") {
					t.Errorf("a URL of %d bytes, %d with another nonce", n, before)
				}
				hash := c.Replay().Request(bad)
				if _, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "good"}); err != nil {
					t.Fatal(err)
				}
				_, err := c.Evaluate(t.Context(), bad)
				requireUserError(t, err, pipeline.KindUnavailable)
				users, probes := 0, 0
				for _, q := range asked {
					nonces := q["nonce"]
					switch {
					case len(nonces) != 1:
						t.Errorf("%v has the nonces %q, want one", q, nonces)
					case nonces[0] == "of-the-run":
						users++
					default:
						probes++
						if q.Get("user_id") != "good" {
							t.Errorf("%v has the nonce %q", q, nonces[0])
						}
					}
				}
				if users != 4 || probes == 0 {
					t.Errorf("%d requests with the nonce and %d with another, want 4 and some: %v", users, probes, asked)
				}
				if other := newFake(t, Config{Method: method}, f).Replay().Request(bad); other != hash {
					t.Error("the hash of a request depends on the nonce")
				}
			})
		})
	}
}

func TestReplayOfPosts(t *testing.T) {
	const body = `{"a":{"key":"off","metadata":{"default":true}},"b":{"key":"on"}}`
	get := newFake(t, Config{FlagKeys: []string{"a", "b"}}, &fake{}).Replay()
	auto := newFake(t, Config{FlagKeys: []string{"a", "b"}, Method: MethodAuto}, &fake{}).Replay()
	others := newFake(t, Config{FlagKeys: []string{"a"}, Method: MethodAuto}, &fake{}).Replay()
	for _, tt := range []struct {
		name string
		user *pipeline.User
		post bool
		want int // variants
	}{
		{"short", &pipeline.User{UserID: "u"}, false, 2},
		{"long", longUser("u"), true, 1},
		{"short again", &pipeline.User{UserID: "v"}, false, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			hash := auto.Request(tt.user)
			if same := get.Request(tt.user) == hash; same == tt.post || auto.Posted() != tt.post {
				t.Errorf("the same hash as a GET: %t, Posted: %t; want Posted %t", same, auto.Posted(), tt.post)
			}
			if others.Request(tt.user) == hash {
				t.Error("the hash does not depend on the flags")
			}
			if got, err := auto.Decode(body); err != nil || len(got) != tt.want {
				t.Errorf("%+v, %v; want %d variants", got, err, tt.want)
			}
		})
	}
}
