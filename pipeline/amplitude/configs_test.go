package amplitude

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestFlagConfigs(t *testing.T) {
	const (
		v1, v2, remote = "/v1/flags", "/sdk/v2/flags", "/sdk/v2/flags?eval_mode=remote"

		a = `{"key":"a"}`
		b = `{"key":"b","metadata":{"evaluationMode":"remote"}}`
	)
	for _, tt := range []struct {
		name    string
		answers map[string]string // by request: a body, or a status and a body; others are not found
		request FlagConfigsRequest
		want    FlagConfigs
		err     string
		missing bool // the error is a NoFlagConfigsError
		asked   []string
	}{
		{name: "v1", answers: map[string]string{v1: "[" + a + "]", v2: "[]"},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}}, asked: []string{v1}},
		{name: "v1 is not there", answers: map[string]string{v2: "[" + a + "]"},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v2}}, asked: []string{v1, v2}},
		{name: "v1 takes no GET", answers: map[string]string{v1: "405 ", v2: "[]"},
			want: FlagConfigs{Data: []byte("[]"), From: []string{v2}}, asked: []string{v1, v2}},
		{name: "v1 is a page", answers: map[string]string{v1: "<html>", v2: "[]"},
			want:  FlagConfigs{Data: []byte("[]"), From: []string{v2}},
			asked: []string{v1, v1, v1, v1, v2}}, // a page may be a moment's
		{name: "v1 is an object", answers: map[string]string{v1: "{}", v2: "[]"},
			want: FlagConfigs{Data: []byte("[]"), From: []string{v2}}, asked: []string{v1, v1, v1, v1, v2}},
		{name: "neither is there", err: "/v1/flags with status 404 Not Found; the server answered /sdk/v2/flags with " +
			"status 404", missing: true, asked: []string{v1, v2}},
		{name: "both are pages", answers: map[string]string{v1: "{}", v2: " "}, missing: true,
			err: "not a JSON array; /sdk/v2/flags: the API's answer could not be used: empty"},
		{name: "half an answer", answers: map[string]string{v1: "[", v2: "[]"}, err: "not complete",
			asked: []string{v1, v1, v1, v1}},
		{name: "the key is refused", answers: map[string]string{v1: "401 ", v2: "[]"}, err: "refused the deployment key",
			asked: []string{v1, v1, v1}},
		{name: "forbidden", answers: map[string]string{v1: "403 ", v2: "[]"}, err: "refused the deployment key",
			asked: []string{v1, v1, v1}},
		{name: "a bad request", answers: map[string]string{v1: "400 ", v2: "[]"}, err: "status 400", asked: []string{v1}},
		{name: "redirected", answers: map[string]string{v1: "302 ", v2: "[]"}, err: "redirects", asked: []string{v1}},
		{name: "the key is refused by v2", answers: map[string]string{v2: "401 "}, err: "refused the deployment key"},

		{name: "remote flags, too", answers: map[string]string{v1: "[" + a + "]", remote: "[" + b + "," + a + "]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + b + "," + a + "]"), From: []string{remote},
				RemoteMode: RemoteIncluded},
			asked: []string{v1, remote}},
		{name: "remote flags, too, without v1",
			answers: map[string]string{v2: "[" + a + "]", remote: "[" + a + "," + b + "]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want:    FlagConfigs{Data: []byte("[" + a + "," + b + "]"), From: []string{remote}, RemoteMode: RemoteIncluded},
			asked:   []string{v1, v2, remote}},
		{name: "remote flags alone", answers: map[string]string{v1: "[ " + a + " ]", remote: "[ " + b + " ]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + a + "," + b + "]"), From: []string{v1, remote},
				RemoteMode: RemoteIncluded}},
		{name: "v1 has the remote flags", answers: map[string]string{v1: "[" + a + "," + b + "]", remote: "[" + a + "]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want:    FlagConfigs{Data: []byte("[" + a + "," + b + "]"), From: []string{v1}, RemoteMode: RemoteIncluded}},
		{name: "eval_mode is ignored", answers: map[string]string{v1: "[" + a + "]", remote: "[" + a + "]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want:    FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}, RemoteMode: RemoteSame}},
		{name: "no v2", answers: map[string]string{v1: "[" + a + "]"}, request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}, RemoteMode: RemoteRefused,
				Refused: "status 404"}},
		{name: "eval_mode is a bad request", answers: map[string]string{v1: "[" + a + "]", remote: "400 "},
			request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}, RemoteMode: RemoteRefused,
				Refused: "the API refused the request with status 400"}},
		{name: "eval_mode is not for this key", answers: map[string]string{v1: "[" + a + "]", remote: "401 "},
			request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}, RemoteMode: RemoteRefused,
				Refused: "status 401"}},
		{name: "eval_mode gives other things", answers: map[string]string{v1: "[" + a + "]", remote: "[1]"},
			request: FlagConfigsRequest{RemoteMode: true},
			want: FlagConfigs{Data: []byte("[" + a + "]"), From: []string{v1}, RemoteMode: RemoteRefused,
				Refused: "element 1 is not a flag configuration"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked []string
				c := newFake(t, Config{}, &fake{answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
					asked = append(asked, r.URL.RequestURI())
					answer, ok := tt.answers[r.URL.RequestURI()]
					if !ok {
						return 404, nil, "", nil
					}
					status := 200
					if _, err := fmt.Sscanf(answer, "%3d ", &status); err == nil {
						answer = ""
					}
					return status, nil, answer, nil
				}})
				got, err := c.FlagConfigs(t.Context(), tt.request)
				if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
					t.Fatalf("error %v, want %q", err, tt.err)
				}
				if _, ok := errors.AsType[*NoFlagConfigsError](err); ok != tt.missing {
					t.Errorf("error %v is a NoFlagConfigsError: %v, want %v", err, ok, tt.missing)
				}
				if _, ok := errors.AsType[*pipeline.UserError](err); ok {
					t.Errorf("error %v is of a user; there is none", err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.asked, asked); tt.asked != nil && diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// An outage says nothing about a path, and what FlagConfigs meets does not end a run.
func TestFlagConfigsDuringAnOutage(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newFake(t, Config{}, &fake{answer: func(_ int, r *http.Request) (int, http.Header, string, error) {
					switch r.URL.Path {
					case "/v1/flags":
						return status, nil, "", nil
					case "/v1/vardata":
						return 200, nil, "{}", nil
					}
					t.Errorf("%s was asked for", r.URL)
					return 200, nil, "[]", nil
				}})
				_, err := c.FlagConfigs(t.Context(), FlagConfigsRequest{RemoteMode: true, MaxOutage: time.Minute})
				if e, ok := errors.AsType[*OutageError](err); !ok || e.For != time.Minute || e.Status != status {
					t.Errorf("%v, want an OutageError of a minute with status %d", err, status)
				}
				if _, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"}); err != nil {
					t.Errorf("a user, after that: %v", err)
				}
			})
		})
	}
}

func TestFlagConfigsRequests(t *testing.T) {
	var mu sync.Mutex
	var queries []string
	base := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		queries = append(queries, r.URL.RequestURI())
		spaces := 0
		if len(queries) == 1 {
			spaces = maxAnswer + 1 // more than an answer about one user may have
		}
		_, _ = io.WriteString(w, "["+strings.Repeat(" ", spaces)+"]")
	})
	c := newClient(t, Config{BaseURL: base, FlagKeys: []string{"a", "b"}, Timeout: 5 * time.Minute})
	got, err := c.FlagConfigs(t.Context(), FlagConfigsRequest{})
	if err != nil || len(got.Data) != maxAnswer+3 {
		t.Errorf("%d bytes, %v", len(got.Data), err)
	}
	for range 2 {
		if _, err := c.FlagConfigs(t.Context(), FlagConfigsRequest{Fresh: true, RemoteMode: true}); err != nil {
			t.Error(err)
		}
	}
	if len(queries) != 5 || queries[0] != "/v1/flags?flag_keys=a,b" ||
		!strings.HasPrefix(queries[1], "/v1/flags?flag_keys=a,b&nonce=") ||
		!strings.HasPrefix(queries[2], "/sdk/v2/flags?flag_keys=a,b&eval_mode=remote&nonce=") ||
		queries[1] == queries[3] || queries[2] == queries[4] {
		t.Errorf("asked for %q", queries)
	}
}
