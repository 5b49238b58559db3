package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// The files network_*_test.go run the command against an Evaluation API that fails, and look at three things: the
// exit code with what was published, the error records, and the ledger of every request that reached the API. This
// file is what they share.

const (
	networkKey  = "network-canary/0123456789"
	networkRate = 500 // requests a second, so that the ledger can be checked against it
)

// networkFlags give each user a variant of f by the user's id, and half of them one of g.
const networkFlags = `[
 {"key":"f","variants":{"a":{"key":"a","payload":[1]},"b":{"key":"b","payload":{"n":12345678901234567890}}},"segments":[{"bucket":{
   "selector":["context","user","user_id"],"salt":"s","allocations":[{"range":[0,100],"distributions":[
   {"variant":"a","range":[0,21474837]},{"variant":"b","range":[21474836,42949673]}]}]}}]},
 {"key":"g","variants":{"on":{"key":"on"}},"segments":[{"bucket":{
   "selector":["context","user","user_id"],"salt":"t","allocations":[{"range":[0,50],"distributions":[
   {"variant":"on","range":[0,42949673]}]}]}}]}
]`

// faultyAPI is the Evaluation API over networkFlags, with faults and a ledger. What is not set does no harm.
type faultyAPI struct {
	// Script says what goes wrong for a user who was asked n times before; nil: nothing.
	Script func(user string, n int) *evalserver.Fault
	// Answer sends what there is to answer about a user, in place of what the engine says; nil is that.
	Answer func(user string) *evalserver.Fault
	// Status answers GET /status in place of the 404 of Amplitude's API.
	Status http.HandlerFunc
	// Proxy makes it the self-hosted proxy.
	Proxy bool
	// AtRequest is called before request n about a user is answered, from 1 on, one call at a time.
	AtRequest func(n int)

	handler http.Handler
	mu      sync.Mutex
	hook    sync.Mutex
	arrived []arrival
	configs []arrival // requests for flag configurations, to see whether they changed: see changes.go
	asked   map[string][]evalserver.Request
	probes  []evalserver.Request
	faults  map[string]int // of Script, that happened
	answers map[string]int // otherwise
	users   int            // requests about users
}

// arrival is a request as it came.
type arrival struct {
	at            time.Time
	path          string
	authorization []string
	rest          string // all of it but for that
	track         []string
	exposure      []string
	proto         int
}

// cleanAPI answers without faults.
var cleanAPI = sync.OnceValue(func() *evalserver.Server { return networkEngine(evalserver.Config{}) })

func networkEngine(config evalserver.Config) *evalserver.Server {
	eng, err := engine.Parse([]byte(networkFlags), engine.Hosted)
	if err != nil {
		panic(err)
	}
	return evalserver.New(eng, config)
}

// trueAnswer is the body of the right answer to a request.
func trueAnswer(r *http.Request) []byte {
	r = r.Clone(context.Background())
	r.Header.Set("Accept-Encoding", "identity")
	w := httptest.NewRecorder()
	cleanAPI().ServeHTTP(w, r)
	return w.Body.Bytes()
}

// ServeHTTP implements http.Handler.
func (a *faultyAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	in := arrival{
		path: r.URL.Path, proto: r.ProtoMajor, authorization: r.Header["Authorization"],
		track: r.Header["X-Amp-Exp-Track"], exposure: r.Header["X-Amp-Exp-Exposure-Track"],
	}
	rest := r.Clone(r.Context())
	rest.Header.Del("Authorization")
	dump, _ := httputil.DumpRequest(rest, true) // it fails only where a body cannot be read
	r.Body = rest.Body                          // which is what was read
	in.rest = string(dump)
	a.mu.Lock()
	in.at = time.Now() // in the order of the list, whoever was held up on the way to the lock
	if strings.HasSuffix(in.path, "/flags") && strings.Contains(r.URL.RawQuery, "nonce=") {
		a.configs = append(a.configs, in)
	} else {
		a.arrived = append(a.arrived, in)
	}
	if a.handler == nil {
		a.asked, a.faults, a.answers = map[string][]evalserver.Request{}, map[string]int{}, map[string]int{}
		a.handler = networkEngine(evalserver.Config{Key: networkKey, Proxy: a.Proxy, Script: a.script,
			Record: func(r evalserver.Request) {
				a.mu.Lock()
				defer a.mu.Unlock()
				switch {
				case isProbe(&r):
					a.probes = append(a.probes, r)
				case r.Path == "/v1/vardata":
					a.asked[r.UserID] = append(a.asked[r.UserID], r)
				}
			}})
	}
	a.mu.Unlock()
	if r.URL.Path == "/status" && a.Status != nil {
		a.Status(w, r)
		return
	}
	a.handler.ServeHTTP(w, r)
}

func (a *faultyAPI) script(r *evalserver.Request, n int) *evalserver.Fault {
	a.mu.Lock()
	a.users++
	users := a.users
	a.mu.Unlock()
	if a.AtRequest != nil {
		a.hook.Lock()
		a.AtRequest(users)
		a.hook.Unlock()
	}
	var f *evalserver.Fault
	if a.Script != nil {
		f = a.Script(r.UserID, n)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case f != nil:
		if !isProbe(r) {
			a.faults[r.UserID]++
		}
		return f
	case !isProbe(r):
		a.answers[r.UserID]++
	}
	if a.Answer != nil {
		return a.Answer(r.UserID)
	}
	return nil
}

// isProbe reports a request that asks again for a user who was answered before, to see whether the API is there.
func isProbe(r *evalserver.Request) bool {
	return r.Path == "/v1/vardata" && strings.Contains(r.RawQuery, "&nonce=")
}

// answering is a fault that answers with a body.
func answering(status int, contentType, body string) *evalserver.Fault {
	return handling(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body)) // the client may be gone: its matter
	})
}

func handling(h http.HandlerFunc) *evalserver.Fault {
	return &evalserver.Fault{Kind: evalserver.Handler, Handler: h}
}

// start serves the API until the test is over, and returns its URL.
func (a *faultyAPI) start(t *testing.T) string {
	t.Helper()
	server, err := evalserver.Start("127.0.0.1:0", a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return server.URL()
}

// requests is how many requests there were about users.
func (a *faultyAPI) requests() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.users
}

// timesAsked is how often each user was asked about.
func (a *faultyAPI) timesAsked() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := map[string]int{}
	for user, requests := range a.asked {
		n[user] = len(requests)
	}
	return n
}

// names are users prefix-000, prefix-001, …
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%03d", prefix, i)
	}
	return list
}

// networkRun is one run of the command.
type networkRun struct {
	Server  string // its URL
	Users   []string
	Args    []string          // more options
	Process bool              // in a process of its own, otherwise in this one
	Shell   string            // what sh does in that process before
	Env     map[string]string // more of it
	Folder  string            // "" is one of its own
	Soft    context.Context   // ends with a signal; nil: there is none
	Said    func(text string) // is told all that standard error holds whenever there is more
}

// networkResult is the result of a run.
type networkResult struct {
	run       networkRun
	code      int
	stderr    string
	published []string          // names of the files that a finished run has
	text      map[string]string // and what they hold, times aside
	failed    map[string]failure
	manifest  *snapshot.Manifest
}

// failure is what an error record says.
type failure struct {
	UserID   string `json:"user_id"`
	Kind     string `json:"kind"`
	Status   int    `json:"http_status"`
	Attempts int    `json:"attempts"`
	Message  string `json:"message"`
}

// watched is a writer that tells what it holds.
type watched struct {
	mu   sync.Mutex
	text bytes.Buffer
	tell func(string)
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.tell != nil {
		w.tell(w.text.String())
	}
	return len(p), nil
}

func (r networkRun) do(t *testing.T) *networkResult {
	t.Helper()
	if r.Folder == "" {
		r.Folder = t.TempDir()
	}
	path := func(name string) string { return filepath.Join(r.Folder, name) }
	if err := os.WriteFile(path("users.csv"), []byte("user_id\n"+strings.Join(r.Users, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{
		"snapshot", path("users.csv"), "--server", r.Server, "--out", path("a.csv"), "--out", path("a.jsonl"), "--progress",
		"none",
		"--flags", "f,g", "--rate", strconv.Itoa(networkRate), "--concurrency", "16",
	}, r.Args...)
	said := &watched{tell: r.Said}
	res := &networkResult{run: r, text: map[string]string{}, failed: map[string]failure{}}
	if r.Process {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		command := filepath.Join(t.TempDir(), "rollcall") // the name makes the test binary the command: see TestMain
		if err := os.Symlink(self, command); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), command, args...)
		if r.Shell != "" {
			cmd = exec.CommandContext(t.Context(), "sh", append([]string{"-c", r.Shell + ` && exec "$0" "$@"`, command},
				args...)...)
		}
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "GOCOVERDIR=" + os.Getenv("GOCOVERDIR"), "GORACE=" +
			os.Getenv("GORACE"), keyVariable + "=" + networkKey}
		for name, value := range r.Env {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
		cmd.Stderr = said
		if err := cmd.Run(); cmd.ProcessState == nil {
			t.Fatal(err)
		}
		res.code = cmd.ProcessState.ExitCode()
	} else {
		soft := r.Soft
		if soft == nil {
			soft = t.Context()
		}
		res.code = run(args, &env{
			Stdin: bytes.NewReader(nil), Stdout: new(bytes.Buffer), Stderr: said, PreflightTime: time.Minute, Soft: soft,
			Hard: t.Context(),
			LookupEnv: func(name string) (string, bool) {
				switch name {
				case keyVariable:
					return networkKey, true
				case "GOGC", "GOMEMLIMIT": // this process has many runs at once
					return "", true
				}
				return "", false
			},
		})
	}
	res.stderr = said.text.String()
	for _, name := range []string{"a.csv", "a.jsonl", "a.errors.jsonl", "a.csv.manifest.json"} {
		data, err := os.ReadFile(path(name))
		if err != nil {
			continue
		}
		res.published = append(res.published, name)
		res.text[name] = timePattern.ReplaceAllString(string(data), "TIME")
	}
	for line := range strings.Lines(res.text["a.errors.jsonl"]) {
		var f failure
		if err := json.Unmarshal([]byte(line), &f); err != nil {
			t.Fatalf("error record %q: %v", line, err)
		}
		if _, twice := res.failed[f.UserID]; twice {
			t.Errorf("%s failed twice:\n%s", f.UserID, res.text["a.errors.jsonl"])
		}
		res.failed[f.UserID] = f
	}
	if res.text["a.csv.manifest.json"] != "" {
		m, err := snapshot.ReadManifest(nil, path("a.csv.manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		res.manifest = m
	}
	// The key is nowhere in what the run left behind, nor in what it said.
	files, err := os.ReadDir(r.Folder)
	if err != nil {
		t.Fatal(err)
	}
	res.mustNotHoldTheKey(t, "standard error", res.stderr)
	for _, file := range files {
		if data, err := os.ReadFile(path(file.Name())); err == nil {
			res.mustNotHoldTheKey(t, file.Name(), string(data))
		}
	}
	return res
}

// keyForms are the shapes in which a key can leak.
var keyForms = []string{
	networkKey, url.QueryEscape(networkKey), base64.StdEncoding.EncodeToString([]byte(networkKey)),
	base64.URLEncoding.EncodeToString([]byte(networkKey)), hex.EncodeToString([]byte(networkKey)),
}

func (r *networkResult) mustNotHoldTheKey(t *testing.T, where, text string) {
	t.Helper()
	for _, form := range keyForms {
		if strings.Contains(text, form) {
			t.Errorf("the key, as %s, is in %s:\n%.2000s", form, where, text)
		}
	}
}

// wantCode wants an exit code.
func (r *networkResult) wantCode(t *testing.T, want int) {
	t.Helper()
	if r.code != want {
		t.Fatalf("exit code %d, want %d; it said:\n%s\nfailed: %v", r.code, want, r.stderr, r.failed)
	}
}

// wantNothing wants that a run ended with a code, said all of the texts, and published no file.
func (r *networkResult) wantNothing(t *testing.T, code int, said ...string) {
	t.Helper()
	r.wantCode(t, code)
	for _, text := range said {
		if !strings.Contains(r.stderr, text) {
			t.Errorf("it said\n%s\nwant something about %q", r.stderr, text)
		}
	}
	if len(r.published) > 0 {
		t.Errorf("exit code %d, and published: %v; want nothing", code, r.published)
	}
}

// wantPublished wants the outputs of a run without faults, and the given failures: those users' rows are missing
// from it. Messages are not compared.
func (r *networkResult) wantPublished(t *testing.T, failures ...failure) {
	t.Helper()
	code := exitOK
	if len(failures) > 0 {
		code = exitSomeFailed
	}
	r.wantCode(t, code)
	want := map[string]failure{}
	for _, f := range failures {
		want[f.UserID] = f
	}
	got := maps.Clone(r.failed)
	for user, f := range got {
		f.Message = ""
		got[user] = f
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("error records (-want +got):\n%s", diff)
	}
	clean := unbroken(t, r.run.Users)
	for _, name := range []string{"a.csv", "a.jsonl"} {
		var want strings.Builder
		for line := range strings.Lines(clean.text[name]) {
			if _, failed := r.failed[userOf(line)]; !failed {
				want.WriteString(line)
			}
		}
		if diff := gocmp.Diff(want.String(), r.text[name]); diff != "" {
			t.Errorf("%s differs from that of a run without faults (-want +got):\n%s", name, diff)
		}
	}
	u := r.manifest.Users
	if total := int64(len(r.run.Users)); u.Read != total || u.Failed != int64(len(failures)) ||
		u.Answered != total-u.Failed {
		t.Errorf("the manifest counts %+v; want %d users, %d failed", u, total, len(failures))
	}
}

// userOf is the user that a line of an output is about.
func userOf(line string) string {
	if cells := strings.Split(line, ","); line[0] != '{' {
		return cells[1]
	}
	var row struct {
		UserID string `json:"user_id"`
	}
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		panic(err)
	}
	return row.UserID
}

var unbrokenRuns sync.Map // users → func() *networkResult

// unbroken is a run of the users without faults.
func unbroken(t *testing.T, users []string) *networkResult {
	t.Helper()
	once, _ := unbrokenRuns.LoadOrStore(strings.Join(users, ","), sync.OnceValue(func() *networkResult {
		r := networkRun{Server: new(faultyAPI).start(t), Users: users, Args: []string{"--rate", "0"}}.do(t)
		r.wantCode(t, exitOK)
		return r
	}))
	r := once.(func() *networkResult)()
	if r == nil || len(r.published) != 4 || strings.Count(r.text["a.csv"], "\n") != 2*len(users)+1 {
		t.Fatal("the run without faults failed")
	}
	return r
}

// ledger is what the ledger must show beyond what it always must.
type ledger struct {
	most   int  // times that a user may be asked, 429 aside; 0 is 5
	outage bool // or any number: an outage took the blame
	cut    bool // bodies may have been cut on their way; the manifest counts those as answers
}

// check holds the ledger against the promises: no request but with both no-track headers, no more than the rate,
// nobody asked again without a reason or too often, always for the same URL, and the key in its place alone.
func (l ledger) check(t *testing.T, a *faultyAPI, r *networkResult) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, in := range a.configs {
		want, key := []string{"no-track"}, []string{"Api-Key " + networkKey}
		if !slices.Equal(in.track, want) || !slices.Equal(in.exposure, want) || !slices.Equal(in.authorization, key) {
			t.Errorf("%.100q: X-Amp-Exp-Track %q, X-Amp-Exp-Exposure-Track %q, Authorization %q; want %q twice, and %q",
				in.rest, in.track, in.exposure, in.authorization, want, key)
		}
		r.mustNotHoldTheKey(t, "a request for flag configurations", in.rest)
	}
	var first time.Time
	for i, in := range a.arrived {
		if want := []string{"no-track"}; !slices.Equal(in.track, want) || !slices.Equal(in.exposure, want) {
			t.Errorf("request %d, %s: X-Amp-Exp-Track %q and X-Amp-Exp-Exposure-Track %q, want %q twice", i+1, in.path, in.track,
				in.exposure, want)
		}
		want := []string{"Api-Key " + networkKey}
		if in.path == "/status" {
			want = nil
		}
		if !slices.Equal(in.authorization, want) {
			t.Errorf("request %d, %s: Authorization %q, want %q", i+1, in.path, in.authorization, want)
		}
		if in.path != "/status" && in.path != "/v1/vardata" || !strings.HasPrefix(in.rest, "GET ") {
			t.Errorf("request %d: %.100q, want GET of /status or /v1/vardata", i+1, in.rest)
		}
		r.mustNotHoldTheKey(t, "request "+strconv.Itoa(i+1), in.rest)
		// The first request took a token and had its answer before the second went, so since its arrival no more than
		// the rate and the bucket can have come: at this rate two tokens, and one that was taken and used late (see
		// newLimiter). A window that begins later would prove nothing: what comes in it may have been sent before.
		if i == 0 {
			first = in.at
		} else if most := 3 + networkRate*in.at.Sub(first).Seconds(); float64(i) > most {
			t.Errorf("%d requests came within %v of the first, want at most %.0f", i, in.at.Sub(first), most)
		}
	}
	broken := 0 // attempts without an answer, as the command counted them
	if r.manifest != nil {
		for class, n := range r.manifest.Requests.Statuses {
			if _, err := strconv.Atoi(class); err != nil {
				broken += int(n)
			}
		}
	}
	for _, q := range a.probes {
		known := a.asked[q.UserID]
		if query, _, _ := strings.Cut(q.RawQuery, "&nonce="); len(known) == 0 || query != known[0].RawQuery {
			t.Errorf("a probe asked %q, want the query of a user who was asked about, %v", q.RawQuery, known)
		}
		if q.Tracked {
			t.Errorf("a probe was tracked: %+v", q)
		}
	}
	if n := len(a.probes); r.manifest != nil && n > 2*int(r.manifest.Requests.Retries) &&
		!strings.Contains(r.stderr, "the API is not available") {
		t.Errorf("%d probes for %d retries, with no outage; want at most two for each user whose attempts ran out", n,
			r.manifest.Requests.Retries)
	}
	unexplained, again := 0, 0
	for user, requests := range a.asked {
		if !slices.Contains(r.run.Users, user) {
			t.Errorf("a user %q was asked about, who is not in the input", user)
		}
		paused := 0
		for _, q := range requests {
			if q.Tracked {
				t.Errorf("%s: a request was tracked: %+v", user, q)
			}
			if q.RawQuery != requests[0].RawQuery {
				t.Errorf("%s: the query was %q, then %q", user, requests[0].RawQuery, q.RawQuery)
			}
			if q.Status == http.StatusTooManyRequests {
				paused++
			}
		}
		if most := cmp.Or(l.most, 5); !l.outage && len(requests)-paused > most {
			t.Errorf("%s was asked %d times, 429 aside; want at most %d", user, len(requests)-paused, most)
		}
		unexplained += max(len(requests)-1-a.faults[user], 0)
		again += len(requests) - 1
	}
	if r.manifest != nil && again > int(r.manifest.Requests.Retries) {
		t.Errorf("%d times a user was asked again, and the command counted %d", again, r.manifest.Requests.Retries)
	}
	if l.cut && r.manifest != nil {
		broken = int(r.manifest.Requests.Retries)
	}
	if unexplained > broken && (r.manifest != nil || r.code == exitFailed) {
		t.Errorf("%d times a user was asked again without a fault, and %d answers got lost", unexplained, broken)
	}
	for _, user := range r.run.Users {
		if _, failed := r.failed[user]; r.manifest != nil && !failed && a.answers[user] == 0 {
			t.Errorf("%s has assignments, and no request was answered with any", user)
		}
	}
}

// together runs subtests at the same time: they wait more than they work, and -parallel is the number of cores.
func together(t *testing.T, tests map[string]func(t *testing.T)) {
	t.Helper()
	var running sync.WaitGroup
	atOnce := make(chan struct{}, 24) // more would only take the time from each other
	for name, test := range tests {
		running.Go(func() {
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			t.Run(name, test)
		})
	}
	running.Wait()
}

// gather returns a function that waits until n have called it, or the test is over.
func gather(t *testing.T, n int) func() {
	var mu sync.Mutex
	all := make(chan struct{})
	return func() {
		mu.Lock()
		if n--; n == 0 {
			close(all)
		}
		mu.Unlock()
		select {
		case <-all:
		case <-t.Context().Done():
		}
	}
}
