package main

import (
	"context"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// editedFlags are flags of which everybody gets a variant, with their versions. f depends on base.
func editedFlags(f, base, g, other string) string {
	flag := func(key, more, version string) string {
		return `{"key":"` + key + `","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}]` + more +
			`,"metadata":{"flagVersion":` + version + `}}`
	}
	return "[" + flag("f", `,"dependencies":["base"]`, f) + "," + flag("base", "", base) + "," + flag("g", "", g) + "," +
		flag("other", "", other) + "]"
}

// editedAPI is an Evaluation API whose flags somebody edits.
type editedAPI struct {
	flags     [2]http.Handler // before and after
	edited    atomic.Bool
	users     atomic.Int32 // requests about users
	configs   atomic.Int32 // requests for flag configurations
	OnUser    func(n int32)
	OnConfigs func(n int32)
	tracked   atomic.Int32 // requests without the headers
}

func newEditedAPI(t *testing.T, before, after string) *editedAPI {
	t.Helper()
	a := &editedAPI{OnUser: func(int32) {}, OnConfigs: func(int32) {}}
	for i, flags := range []string{before, after} {
		eng, err := engine.Parse([]byte(flags), engine.Hosted)
		if err != nil {
			t.Fatal(err)
		}
		a.flags[i] = evalserver.New(eng, evalserver.Config{Key: networkKey})
	}
	return a
}

func (a *editedAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/status" && (r.Header.Get("X-Amp-Exp-Track") != "no-track" ||
		r.Header.Get("X-Amp-Exp-Exposure-Track") != "no-track") {
		a.tracked.Add(1)
	}
	if r.URL.Path == "/v1/vardata" {
		a.OnUser(a.users.Add(1))
	}
	flags := a.flags[0]
	if a.edited.Load() {
		flags = a.flags[1]
	}
	if strings.HasSuffix(r.URL.Path, "/flags") {
		defer func(n int32) { a.OnConfigs(n) }(a.configs.Add(1))
	}
	flags.ServeHTTP(w, r)
}

func (a *editedAPI) start(t *testing.T) string {
	t.Helper()
	server, err := evalserver.Start("127.0.0.1:0", a)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Close()
		if n := a.tracked.Load(); n > 0 {
			t.Errorf("%d requests were without the no-track headers, want none", n)
		}
	})
	return server.URL()
}

// squeeze takes white space away: lines break anywhere in a path.
func squeeze(s string) string { return strings.Join(strings.Fields(s), "") }

const saidChanged = "flags that changed while the run went on"

// audit runs report or check on the result, and returns what it says.
func (r *networkResult) audit(t *testing.T, wantCode int, args ...string) string {
	t.Helper()
	var out strings.Builder
	code := run(append(args, filepath.Join(r.run.Folder, "a.csv")), &env{Stdin: strings.NewReader(""), Stdout: &out,
		Stderr: &out, Soft: t.Context(), Hard: t.Context(), LookupEnv: func(string) (string, bool) { return "", false }})
	if code != wantCode {
		t.Errorf("%v: exit code %d, want %d; it said:\n%s", args, code, wantCode, &out)
	}
	return out.String()
}

// TestFlagChanges: a flag that is edited in the middle of a run is named with both versions; one that is not, is not.
func TestFlagChanges(t *testing.T) {
	before := editedFlags("3", "7", "1", "5")
	local := []string{"--evaluator", "local", "--flag-configs", "fetch"}
	for _, tt := range []struct {
		name    string
		after   string
		args    []string
		changed string // what is said to have changed; "": nothing
		report  string // the severity of what report says of it
	}{
		{"remote, not edited", before, nil, "", ""},
		{"remote, a flag that was not asked for", editedFlags("3", "7", "1", "6"), nil, "", ""},
		{"remote, edited", editedFlags("4", "7", "1", "5"), nil, "f (version 3, now 4)", "ALERT"},
		{"remote, two edited", editedFlags("4", "7", `"2"`, "5"), nil, "f (version 3, now 4), g (version 1, now 2)",
			"ALERT"},
		{"remote, a flag that another depends on", editedFlags("3", "8", "1", "5"), nil, "base (version 7, now 8)",
			"ALERT"},
		{"remote, other content", strings.ReplaceAll(before, `"variant":"on"`, `"variant":"off"`), nil,
			"base (version 7, now with other content), f (version 3, now with other content), " +
				"g (version 1, now with other content)", "ALERT"},
		{"remote, one is gone", strings.Replace(before, `"key":"g"`, `"key":"h"`, 1), nil, "g (version 1, now gone)",
			"ALERT"},
		{"local, not edited", before, local, "", ""},
		{"local, edited", editedFlags("4", "7", "1", "5"), local, "f (version 3, now 4)", "WARN"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := newEditedAPI(t, before, tt.after)
			edit := func() { api.edited.Store(true) }
			api.OnUser = func(n int32) {
				if n == 10 {
					edit()
				}
			}
			if tt.args != nil { // a local run asks about nobody
				api.OnConfigs = func(int32) { edit() }
			}
			r := networkRun{Server: api.start(t), Users: names("u", 40), Args: tt.args}.do(t)
			r.wantCode(t, 0)
			if r.manifest == nil || r.manifest.FlagChanges == nil {
				t.Fatalf("the manifest says nothing of changes: %+v", r.manifest)
			}
			want := snapshot.FlagsUnchanged
			if tt.changed != "" {
				want = snapshot.FlagsChanged
			}
			if got := r.manifest.FlagChanges; got.State != want || got.Text(10) != tt.changed {
				t.Errorf("the manifest says %+v, %q; want %s, %q", got, got.Text(10), want, tt.changed)
			}
			if said := strings.Contains(r.stderr, saidChanged+": "+tt.changed+"\n"); said != (tt.changed != "") {
				t.Errorf("it said %q; want that these changed: %q", r.stderr, tt.changed)
			}
			if tt.changed == "" && strings.Contains(r.stderr, "changed") {
				t.Errorf("it said %q; want nothing about changes", r.stderr)
			}
			report := squeeze(r.audit(t, 0, "report"))
			finding := squeeze(strings.ToLower(tt.report) + filepath.Join(r.run.Folder, "a.csv") +
				": flags changed while the run went on")
			if tt.report != "" && (!strings.HasPrefix(report, tt.report) || !strings.Contains(report, finding) ||
				!strings.Contains(report, squeeze(tt.changed))) ||
				tt.report == "" && strings.Contains(report, "flagschanged") {
				t.Errorf("report says, white space aside, %s; want %s with %q", report, tt.report, tt.changed)
			}
			rules := filepath.Join(r.run.Folder, "rules.yaml")
			if err := os.WriteFile(rules, []byte("checks: [{unchanged: true}]"), 0o600); err != nil {
				t.Fatal(err)
			}
			code := 0
			if tt.changed != "" {
				code = exitNotHeld
			}
			said := squeeze(r.audit(t, code, "check", rules))
			for part := range strings.SplitSeq(tt.changed, "), ") {
				if !strings.Contains(said, squeeze(part)) {
					t.Errorf("check says, white space aside, %s; want %q", said, part)
				}
			}
		})
	}
}

// TestStrictRefusesChangedFlags: with --strict such a run publishes nothing, and is not resumed: its users would have
// the old answers again.
func TestStrictRefusesChangedFlags(t *testing.T) {
	before := editedFlags("1", "1", "1", "1")
	api := newEditedAPI(t, before, editedFlags("2", "1", "1", "1"))
	api.OnUser = func(n int32) { api.edited.Store(n >= 10) }
	r := networkRun{Server: api.start(t), Users: names("u", 40), Args: []string{"--strict"}}.do(t)
	r.wantNothing(t, exitStopped, "flags changed while the run went on: f (version 1, now 2); --strict publishes nothing",
		"run the same command again")
	if _, err := os.Stat(filepath.Join(r.run.Folder, ".a.csv.rollcall")); err == nil {
		t.Error("the journal is still there, want it gone: a rerun would go on with the old answers")
	}
	r = r.run.do(t)
	r.wantCode(t, 0)
	if n := api.users.Load(); n != 80 {
		t.Errorf("%d requests about users in both runs, want 80", n)
	}
}

// TestFlagChangesOfResumedRun: a run that is resumed compares with its own beginning, and one that a signal ends says
// what has changed so far.
func TestFlagChangesOfResumedRun(t *testing.T) {
	before := editedFlags("1", "1", "1", "1")
	api := newEditedAPI(t, before, editedFlags("2", "1", "1", "1"))
	soft, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	api.OnUser = func(n int32) {
		if n == 10 {
			api.edited.Store(true)
			stop(&interruptedError{os.Interrupt})
		}
	}
	const changed = saidChanged + ": f (version 1, now 2)"
	r := networkRun{Server: api.start(t), Users: names("u", 200), Args: []string{"--concurrency", "1"}, Soft: soft}.do(t)
	r.wantNothing(t, 130, changed, "interrupted")
	r.run.Soft = nil
	r = r.run.do(t)
	r.wantCode(t, 0)
	if r.manifest.Resumes != 1 || r.manifest.FlagChanges.State != snapshot.FlagsChanged ||
		!strings.Contains(r.stderr, changed) {
		t.Errorf("resumed %d times, changes %+v, and it said\n%s\nwant once, and %q", r.manifest.Resumes,
			r.manifest.FlagChanges, r.stderr, changed)
	}
}

// TestFlagChangesUnknown: a server that gives no flag configurations, or not at the end, fails no run. Nobody knows then
// whether flags changed, and that is written down.
func TestFlagChangesUnknown(t *testing.T) {
	flags := editedFlags("1", "1", "1", "1")
	none := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	for _, tt := range []struct {
		name    string
		answers func(n int32) http.HandlerFunc // in place of the configurations; nil: those
		reason  string
	}{
		{"never there", func(int32) http.HandlerFunc { return none(404) }, "before the first user: "},
		{"refused", func(int32) http.HandlerFunc { return none(401) }, "before the first user: "},
		{"gone at the end", func(n int32) http.HandlerFunc {
			if n <= 2 {
				return nil
			}
			return none(503)
		}, "after the last user: "},
		{"without the flag that somebody got", func(int32) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("[]")) }
		}, "the server gave no configuration of f, g"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := newEditedAPI(t, flags, flags)
			var n atomic.Int32
			server, err := evalserver.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasSuffix(r.URL.Path, "/flags") {
					if h := tt.answers(n.Add(1)); h != nil {
						h(w, r)
						return
					}
				}
				api.ServeHTTP(w, r)
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close() //nolint:errcheck // the test is over
			r := networkRun{Server: server.URL(), Users: names("u", 20)}.do(t)
			r.wantCode(t, 0)
			got := r.manifest.FlagChanges
			if got.State != snapshot.FlagsUnknown || !strings.HasPrefix(got.Reason, tt.reason) {
				t.Errorf("the manifest says %+v, want unknown, because %q", got, tt.reason)
			}
			if strings.Contains(r.stderr, "changed") {
				t.Errorf("it said %q; want nothing about changes", r.stderr)
			}
			report := squeeze(r.audit(t, 0, "report"))
			if !strings.Contains(report, squeeze("whether flags changed meanwhile is not known: "+tt.reason)) {
				t.Errorf("report says %s; want that changes are not known", report)
			}
			rules := filepath.Join(r.run.Folder, "rules.yaml")
			if err := os.WriteFile(rules, []byte("checks: [{unchanged: true}]"), 0o600); err != nil {
				t.Fatal(err)
			}
			r.audit(t, exitNotHeld, "check", rules)
		})
	}
}

// TestFlagEditedInServe: the file of `rollcall serve` is edited in the middle of a remote run and of a local one.
func TestFlagEditedInServe(t *testing.T) {
	for _, tt := range []struct {
		name  string
		after string // what the file holds then
		args  []string
		path  string // the edit follows the answer to request n of this path
		n     int32
		want  string
	}{
		{"remote", editedFlags("2", "1", "1", "1"), nil, "/v1/vardata", 10, "f (version 1, now 2)"},
		{"local", editedFlags("1", "1", "5", "1"), []string{"--evaluator", "local", "--flag-configs", "fetch"}, "/v1/flags",
			1, "g (version 1, now 5)"},
		{"not edited", editedFlags("1", "1", "1", "1"), nil, "/v1/vardata", 10, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			file := filepath.Join(folder, "flags.json")
			write := func(path, flags string) {
				if err := os.WriteFile(path, []byte(flags), 0o600); err != nil {
					t.Error(err)
				}
			}
			write(file, editedFlags("1", "1", "1", "1"))
			served, _ := startServe(t, "--flag-configs", file)
			to, err := url.Parse(served)
			if err != nil {
				t.Fatal(err)
			}
			var n atomic.Int32
			proxy := httputil.NewSingleHostReverseProxy(to)
			server, err := evalserver.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				proxy.ServeHTTP(w, r)
				if r.URL.Path == tt.path && n.Add(1) == tt.n {
					write(file+".new", tt.after)
					if err := os.Rename(file+".new", file); err != nil {
						t.Error(err)
					}
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close() //nolint:errcheck // the test is over
			r := networkRun{Server: server.URL(), Users: names("u", 40), Args: append(tt.args, "--concurrency", "1")}.do(t)
			r.wantCode(t, 0)
			if got := r.manifest.FlagChanges.Text(5); got != tt.want {
				t.Errorf("the manifest says that %q changed, want %q", got, tt.want)
			}
			if said := strings.Contains(r.stderr, saidChanged+": "+tt.want+"\n"); said != (tt.want != "") {
				t.Errorf("it said %q; want that these changed: %q", r.stderr, tt.want)
			}
		})
	}
}
