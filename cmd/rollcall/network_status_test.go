package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// passing are the statuses that pass: asked again, up to 5 times.
var passing = []int{408, 421, 425, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 525, 526, 527, 528, 529, 530, 599}

// rejecting are those that are the user's error, after one attempt.
var rejecting = []int{400, 402, 406, 409, 411, 412, 413, 414, 415, 416, 417, 418, 422, 423, 424, 428, 431, 451, 499}

// fatal are those of a server that is not the Evaluation API.
var fatal = []int{404, 405, 407, 410, 426, 501, 505}

func status(code int) *evalserver.Fault { return &evalserver.Fault{Kind: strconv.Itoa(code)} }

// statusOf is the status in the name of a user such as "500-x"; 0 is none.
func statusOf(user string) int {
	code, _ := strconv.Atoi(user[:3])
	return code
}

// withStatuses are n users without a fault, and after the first of them one for each status.
func withStatuses(codes []int, n int) []string {
	users := names("u", n)
	list := users[:1:1]
	for _, code := range codes {
		list = append(list, strconv.Itoa(code)+"-x")
	}
	return append(list, users[1:]...)
}

// wantAsked wants that each user was asked so often; those that want does not name, once.
func wantAsked(t *testing.T, a *faultyAPI, users []string, want map[string]int) {
	t.Helper()
	all := map[string]int{}
	for _, user := range users {
		all[user] = 1
	}
	for user, n := range want {
		all[user] = n
	}
	if diff := gocmp.Diff(all, a.timesAsked()); diff != "" {
		t.Errorf("how often each user was asked (-want +got):\n%s", diff)
	}
}

// TestNetworkStatusesOfOneUser is about statuses that some users get, and others do not.
func TestNetworkStatusesOfOneUser(t *testing.T) {
	t.Parallel()
	together(t, map[string]func(*testing.T){
		"rejected at once": func(t *testing.T) {
			api := &faultyAPI{Script: func(user string, _ int) *evalserver.Fault {
				if code := statusOf(user); code > 0 {
					return status(code)
				}
				return nil
			}}
			users := withStatuses(rejecting, 20)
			r := networkRun{Server: api.start(t), Users: users}.do(t)
			var want []failure
			for _, code := range rejecting {
				want = append(want, failure{UserID: strconv.Itoa(code) + "-x", Kind: "rejected", Status: code, Attempts: 1})
			}
			r.wantPublished(t, want...)
			wantAsked(t, api, users, nil)
			ledger{}.check(t, api, r)
		},
		"passing twice": func(t *testing.T) {
			api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
				if code := statusOf(user); code > 0 && n < 2 {
					f := status(code)
					f.RetryAfter = []string{"", "0", "-1", "soon"}[code%4]
					return f
				}
				return nil
			}}
			users := withStatuses(passing, 20)
			r := networkRun{Server: api.start(t), Users: users}.do(t)
			r.wantPublished(t)
			want := map[string]int{}
			for _, code := range passing {
				want[strconv.Itoa(code)+"-x"] = 3
			}
			wantAsked(t, api, users, want)
			ledger{}.check(t, api, r)
			for _, code := range passing {
				if n := r.manifest.Requests.Statuses[strconv.Itoa(code)]; n != 2 {
					t.Errorf("the manifest counts status %d %d times, want 2", code, n)
				}
			}
		},
		"lasting, while others go through": func(t *testing.T) {
			// The last two answers are held until all of those that fail were asked once: so others go through meanwhile.
			all := gather(t, len(passing)+2)
			var good atomic.Int32
			api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
				switch code := statusOf(user); {
				case code > 0 && n == 0:
					go all()
					return status(code)
				case code > 0:
					return status(code)
				case good.Add(1) > 18:
					all()
				}
				return nil
			}}
			users := withStatuses(passing, 20)
			r := networkRun{Server: api.start(t), Users: users, Args: []string{"--concurrency", "40"}}.do(t)
			var failures []failure
			want := map[string]int{}
			for _, code := range passing {
				user := strconv.Itoa(code) + "-x"
				failures = append(failures, failure{UserID: user, Kind: "unavailable", Status: code, Attempts: 5})
				want[user] = 5
			}
			r.wantPublished(t, failures...)
			wantAsked(t, api, users, want)
			ledger{}.check(t, api, r)
		},
		"all users rejected": func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return status(422) }}
			r := networkRun{Server: api.start(t), Users: names("u", 60)}.do(t)
			r.wantNothing(t, exitFailed, "the first 50 users all failed", "422")
			ledger{}.check(t, api, r)
		},
		"all users unavailable is an outage": func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return status(503) }}
			r := networkRun{Server: api.start(t), Users: names("u", 20), Args: []string{"--max-outage", "700ms"}}.do(t)
			r.wantNothing(t, exitStopped, "503", "run the same command again")
			ledger{outage: true}.check(t, api, r)
		},
	})
}

// TestNetworkLoneFailure has one user whom the API always fails, with nobody else in flight: others go through
// before and after, so it is this user's failure, and no outage.
func TestNetworkLoneFailure(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for _, user := range []string{"u-002", "u-004"} {
		tests[user] = func(t *testing.T) {
			api := &faultyAPI{Script: func(asked string, _ int) *evalserver.Fault {
				if asked == user {
					return status(500)
				}
				return nil
			}}
			r := networkRun{Server: api.start(t), Users: names("u", 5),
				Args: []string{"--concurrency", "1", "--max-outage", "1m"}}.do(t)
			r.wantPublished(t, failure{UserID: user, Kind: "unavailable", Status: 500, Attempts: 5})
			ledger{}.check(t, api, r)
		}
	}
	together(t, tests)
}

// TestNetworkStatusesThatEndTheRun is about statuses that are nobody's failure and no outage either, as the first
// answer and amid the run.
func TestNetworkStatusesThatEndTheRun(t *testing.T) {
	t.Parallel()
	const later = 20
	tests := map[string]func(*testing.T){}
	for _, code := range fatal {
		tests[strconv.Itoa(code)+" first"] = func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return status(code) }}
			r := networkRun{Server: api.start(t), Users: names("u", 60)}.do(t)
			r.wantNothing(t, exitFailed, strconv.Itoa(code))
			if n := api.requests(); n != 1 {
				t.Errorf("%d: %d requests about users, want 1", code, n)
			}
			ledger{}.check(t, api, r)
		}
	}
	for _, code := range []int{401, 403} {
		tests[strconv.Itoa(code)+" first"] = func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return status(code) }}
			r := networkRun{Server: api.start(t), Users: names("u", 60)}.do(t)
			r.wantNothing(t, exitFailed, strconv.Itoa(code), "refused the deployment key from "+keyVariable)
			if n := api.requests(); n != 3 {
				t.Errorf("%d: %d requests about users, want 1 and two more tries", code, n)
			}
			ledger{}.check(t, api, r)
		}
		tests[strconv.Itoa(code)+" for a moment"] = func(t *testing.T) {
			api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
				if user == "u-007" && n < 1 {
					return status(code)
				}
				return nil
			}}
			users := names("u", 30)
			r := networkRun{Server: api.start(t), Users: users}.do(t)
			r.wantPublished(t)
			wantAsked(t, api, users, map[string]int{"u-007": 2})
			ledger{}.check(t, api, r)
		}
	}
	tests["401 later"] = func(t *testing.T) {
		api := &faultyAPI{Script: func(user string, _ int) *evalserver.Fault {
			if user >= "u-020" {
				return status(401)
			}
			return nil
		}}
		r := networkRun{Server: api.start(t), Users: names("u", 60)}.do(t)
		r.wantNothing(t, exitFailed, "401", "refused the deployment key from "+keyVariable)
		if n := api.requests(); n > later+16+2 {
			t.Errorf("%d requests about users, want at most %d, those in flight and two more tries", n, later)
		}
		ledger{}.check(t, api, r)
	}
	together(t, tests)
}

// TestNetworkRefusedAfterAnswers has a firewall that dislikes users, or a server that has gone away, once users were
// answered: a known user decides which of the two it is, also in a run that goes on.
func TestNetworkRefusedAfterAnswers(t *testing.T) {
	t.Parallel()
	codes := append([]int{403}, fatal...)
	tests := map[string]func(*testing.T){"some users": func(t *testing.T) {
		api := &faultyAPI{Script: func(user string, _ int) *evalserver.Fault {
			if code := statusOf(user); code > 0 {
				return status(code)
			}
			return nil
		}}
		users := names("u", 20) // any of the first ones may be asked first, and has to be answered
		var failures []failure
		for _, code := range codes {
			users = append(users, strconv.Itoa(code)+"-x")
		}
		r := networkRun{Server: api.start(t), Users: users}.do(t)
		for _, code := range codes {
			failures = append(failures, failure{UserID: strconv.Itoa(code) + "-x", Kind: "rejected", Status: code, Attempts: 2})
		}
		r.wantPublished(t, failures...)
		ledger{}.check(t, api, r)
	}}
	for _, code := range codes {
		tests[strconv.Itoa(code)+" for everybody, twice, and then no more"] = func(t *testing.T) {
			var down atomic.Bool
			api := &faultyAPI{Script: func(user string, _ int) *evalserver.Fault {
				if down.Load() || user >= "u-020" {
					down.Store(true)
					return status(code)
				}
				return nil
			}}
			r := networkRun{Server: api.start(t), Users: names("u", 60),
				Args: []string{"--max-outage", "300ms", "--concurrency", "1"}}.do(t)
			r.wantNothing(t, exitStopped, "the API has not answered", strconv.Itoa(code), "run the same command again",
				"20 of 60 users are kept")
			r = r.run.do(t) // it goes on, and nobody is answered
			r.wantNothing(t, exitStopped, "the API has not answered", strconv.Itoa(code), "20 of 60 users are kept")
			ledger{outage: true}.check(t, api, r)
			api.Script = func(string, int) *evalserver.Fault { return nil }
			r = r.run.do(t)
			r.wantPublished(t)
		}
	}
	together(t, tests)
}

// TestNetworkPauses is about 429: eight users meet it at the same time, and that is one pause.
func TestNetworkPauses(t *testing.T) {
	t.Parallel()
	tests := map[string]func(*testing.T){}
	for name, retryAfter := range map[string]func() string{
		"seconds":     func() string { return "1" },
		"a fraction":  func() string { return "0.05" },
		"date":        func() string { return time.Now().Add(time.Second).UTC().Format(http.TimeFormat) },
		"past date":   func() string { return "Wed, 21 Oct 2015 07:28:00 GMT" },
		"far date":    func() string { return "Fri, 31 Dec 9999 23:59:59 GMT" },
		"none":        func() string { return "" },
		"zero":        func() string { return "0" },
		"garbage":     func() string { return "in a while" },
		"negative":    func() string { return "-5" },
		"huge":        func() string { return "9223372036" },
		"overflowing": func() string { return strings.Repeat("9", 400) },
		"infinite":    func() string { return "Inf" },
		"no number":   func() string { return "NaN" },
	} {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				const refused = 8
				all := gather(t, refused)
				var requests atomic.Int32
				var met sync.Map
				api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
					// The very first request goes alone. The next ones meet the limit, all before the first of them knows.
					if k := requests.Add(1); n > 0 || k == 1 || k > 1+refused {
						return nil
					}
					met.Store(user, true)
					all()
					return &evalserver.Fault{Kind: "429", RetryAfter: retryAfter()}
				}}
				users := names("u", 30)
				// An endless wait would be cut here, and the run goes on then.
				r := networkRun{Server: api.start(t), Users: users, Args: []string{"--max-outage", "1200ms"}}.do(t)
				r.wantPublished(t)
				want := map[string]int{}
				met.Range(func(user, _ any) bool {
					want[user.(string)] = 2
					return true
				})
				wantAsked(t, api, users, want)
				if n := r.manifest.Requests.Pauses; n != 1 {
					t.Errorf("Retry-After %q: %d pauses for %d answers of one moment, want 1", retryAfter(), n, refused)
				}
				ledger{}.check(t, api, r)
			}
		})
	}
	tests["more often than a user may be asked"] = func(t *testing.T) {
		api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
			if user == "u-003" && n < 7 {
				return &evalserver.Fault{Kind: "429", RetryAfter: "0.02"}
			}
			return nil
		}}
		users := names("u", 30)
		r := networkRun{Server: api.start(t), Users: users}.do(t)
		r.wantPublished(t)
		wantAsked(t, api, users, map[string]int{"u-003": 8})
		ledger{}.check(t, api, r)
	}
	tests["forever"] = func(t *testing.T) {
		api := &faultyAPI{Script: func(string, int) *evalserver.Fault {
			return &evalserver.Fault{Kind: "429",
				RetryAfter: "0.1"}
		}}
		r := networkRun{Server: api.start(t), Users: names("u", 30), Args: []string{"--max-outage", "500ms"}}.do(t)
		r.wantNothing(t, exitStopped, "429", "run the same command again")
		ledger{}.check(t, api, r)
	}
	together(t, tests)
}

// TestNetworkRedirects has the server send the command elsewhere, where nobody must ever arrive.
func TestNetworkRedirects(t *testing.T) {
	t.Parallel()
	var elsewhere sync.Map
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter,
		r *http.Request) {
		elsewhere.Store(r.URL.Path, r.Header)
	}))
	defer other.Close()
	tests := map[string]func(*testing.T){}
	for _, code := range []int{300, 301, 302, 303, 304, 307, 308} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			for where, to := range map[string]string{"another host": other.URL + "/" + strconv.Itoa(code),
				"itself": "/v1/vardata?user_id=other", "nowhere": ""} {
				tests[strconv.Itoa(code)+" to "+where] = func(t *testing.T) {
					redirect := func(w http.ResponseWriter, _ *http.Request) {
						if to != "" {
							w.Header().Set("Location", to)
						}
						w.WriteHeader(code)
					}
					api := &faultyAPI{Status: redirect, Script: func(string, int) *evalserver.Fault { return handling(redirect) }}
					r := networkRun{Server: api.start(t), Users: names("u", 20)}.do(t)
					r.wantNothing(t, exitFailed, "redirect", strconv.Itoa(code))
					if n := api.requests(); n > 1 {
						t.Errorf("%d to %s: %d requests about users, want 1 at most", code, where, n)
					}
					ledger{}.check(t, api, r)
				}
			}
		})
	}
	together(t, tests)
	elsewhere.Range(func(path, header any) bool {
		t.Errorf("%v was followed, with %v", path, header)
		return true
	})
}
