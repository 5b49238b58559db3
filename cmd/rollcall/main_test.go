package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestMain(m *testing.M) {
	// With the race detector each process would sleep for a second before it ends, and the tests start a thousand.
	if os.Getenv("GORACE") == "" {
		if err := os.Setenv("GORACE", "atexit_sleep_ms=10"); err != nil {
			panic(err)
		}
	}
	testscript.Main(m, map[string]func(){"rollcall": testMain})
}

// TestScripts runs the command end to end: the real process, real files, real HTTP. Beside the commands of
// testscript the scripts have
//
//	api [FAULT,…]      starts the Evaluation API over testdata/flags.json: $API is its URL, $KEY its key. Called again
//	                   it changes how the API behaves, and forgets the ledger.
//	                   Faults are as in `rollcall serve --fail`; after=N:STATUS answers N requests and
//	                   refuses the others; key=K sets the key, proxy acts as the
//	                   self-hosted proxy, unknown as a server that knows no flag list at all, modes as one that has a
//	                   flag of remote evaluation mode, cached as one with a cache before it
//	ledger             writes what the API was asked to the file ledger, a line a request:
//	                   METHOD PATH?QUERY status tracked|untracked
//	dateless FILE…     replaces all times in the files by TIME, and run ids by RUN
//	rc N COMMAND…      runs the command and wants exit code N, and that what it prints with --format json conforms to
//	                   its schema
//	atmost N FILE      wants at most N lines in the file
//	lastline JSON [KEY…]  wants what the last command said on standard error to end with a line of JSON that holds all
//	                   of JSON, and the keys
//	count N TEXT FILE  wants TEXT on N lines of the file
func TestScripts(t *testing.T) {
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", testdata)
			e.Setenv("FLAGS", filepath.Join(testdata, "flags.json"))
			for _, name := range []string{"GOCOVERDIR", "GORACE"} {
				e.Setenv(name, os.Getenv(name))
			}
			e.Values["api"] = &scriptAPI{}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"api":      func(ts *testscript.TestScript, _ bool, args []string) { ts.Value("api").(*scriptAPI).start(ts, args) },
			"ledger":   func(ts *testscript.TestScript, _ bool, _ []string) { ts.Value("api").(*scriptAPI).writeLedger(ts) },
			"rc":       rc,
			"dateless": dateless,
			"atmost":   atMost,
			"count":    count,
			"lastline": lastLine,
			"edit":     editFile,
			"append":   appendFiles,
		},
	})
}

// testEngine is the engine over testdata/flags.json.
func testEngine(tb testing.TB) *engine.Engine {
	tb.Helper()
	data, err := os.ReadFile("../../testdata/flags.json")
	if err != nil {
		tb.Fatal(err)
	}
	eng, err := engine.Parse(data, engine.Hosted)
	if err != nil {
		tb.Fatal(err)
	}
	return eng
}

// scriptAPI is the Evaluation API that a script has started.
type scriptAPI struct {
	mu      sync.Mutex
	running *evalserver.Running
	handler atomic.Pointer[http.Handler]
	ledger  []evalserver.Request
}

const scriptKey = "server-canary-0123456789"

func (a *scriptAPI) start(ts *testscript.TestScript, args []string) {
	a.mu.Lock()
	a.ledger = nil
	a.mu.Unlock()
	data, err := os.ReadFile(ts.Getenv("FLAGS"))
	ts.Check(err)
	eng, err := engine.Parse(data, engine.Hosted)
	ts.Check(err)
	config := evalserver.Config{Key: scriptKey, Record: func(r evalserver.Request) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.ledger = append(a.ledger, r)
	}}
	var faults []string
	unknown, modes, cached := false, false, false
	for _, arg := range args {
		switch {
		case arg == "proxy":
			config.Proxy = true
		case arg == "modes":
			modes = true
		case arg == "cached":
			cached = true
		case arg == "unknown":
			unknown = true
		case strings.HasPrefix(arg, "after="):
			n, status, _ := strings.Cut(strings.TrimPrefix(arg, "after="), ":")
			left, err := strconv.ParseInt(n, 10, 64)
			ts.Check(err)
			var asked atomic.Int64
			config.Script = func(*evalserver.Request, int) *evalserver.Fault {
				if asked.Add(1) > left {
					return &evalserver.Fault{Kind: status}
				}
				return nil
			}
		case strings.HasPrefix(arg, "key="):
			config.Key = strings.TrimPrefix(arg, "key=")
		default:
			faults = append(faults, arg)
		}
	}
	config.Faults, err = evalserver.ParseFaults(strings.Join(faults, ","))
	ts.Check(err)
	var handler http.Handler = evalserver.New(eng, config)
	if unknown {
		known := handler
		handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.RawQuery = strings.ReplaceAll(r.URL.RawQuery, "flag_keys=", "unknown=")
			known.ServeHTTP(w, r)
		})
	}
	if modes {
		handler = withModes(handler)
	}
	if cached {
		handler = withCaches(handler)
	}
	a.handler.Store(&handler)
	if a.running == nil { // else the API changes its behaviour, not its address
		a.running, err = evalserver.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			(*a.handler.Load()).ServeHTTP(w, r)
		}))
		ts.Check(err)
		ts.Defer(func() { ts.Check(a.running.Close()) })
	}
	ts.Setenv("API", a.running.URL())
	ts.Setenv("KEY", scriptKey)
	ts.Setenv(keyVariable, scriptKey)
}

// withCaches says that a cache had the answer about user a for half an hour, and that none had that about user b.
func withCaches(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Query().Get("user_id") {
		case "a":
			w.Header().Set("X-Cache", "Hit from cloudfront")
			w.Header().Set("Age", "1800")
		case "b":
			w.Header().Set("CF-Cache-Status", "MISS")
		}
		api.ServeHTTP(w, r)
	})
}

// withModes makes checkout-redesign a flag of remote evaluation mode, which only /sdk/v2/flags?eval_mode=remote answers.
func withModes(api http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/flags" && r.URL.Path != "/sdk/v2/flags" {
			api.ServeHTTP(w, r)
			return
		}
		r.Header.Del("Accept-Encoding")
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, r)
		var flags []map[string]any
		_ = json.Unmarshal(answer.Body.Bytes(), &flags) // nil unless it is an answer
		flags = slices.DeleteFunc(flags, func(flag map[string]any) bool {
			if flag["key"] != "checkout-redesign" {
				return false
			}
			flag["metadata"].(map[string]any)["evaluationMode"] = "remote"
			return r.URL.Query().Get("eval_mode") != "remote"
		})
		w.WriteHeader(answer.Code)
		_ = json.NewEncoder(w).Encode(flags)
	})
}

func (a *scriptAPI) writeLedger(ts *testscript.TestScript) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var b bytes.Buffer
	for _, r := range a.ledger {
		tracked := "untracked"
		if r.Tracked || !r.NoTrack || !r.NoExposureTrack {
			tracked = "tracked"
		}
		fmt.Fprintf(&b, "%s %s?%s %d %s\n", r.Method, r.Path, r.RawQuery, r.Status, tracked)
	}
	ts.Check(os.WriteFile(ts.MkAbs("ledger"), b.Bytes(), 0o600))
}

var runIDPattern = regexp.MustCompile(`\b\d{8}T\d{6}Z-[a-z0-9]+`)

// withoutRun is an output without what differs from run to run: its times and the run's id.
func withoutRun(data []byte) []byte {
	return runIDPattern.ReplaceAll(timePattern.ReplaceAll(data, []byte("TIME")), []byte("RUN"))
}

var timePattern = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z`)

func dateless(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		data, err := os.ReadFile(ts.MkAbs(name))
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs(name), withoutRun(data), 0o600))
	}
}

func rc(ts *testscript.TestScript, _ bool, args []string) {
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v: %v", args[1:], err)
		}
		got = exit.ExitCode()
	}
	if want := args[0]; strconv.Itoa(got) != want {
		ts.Fatalf("%v: exit code %d, want %s", args[1:], got, want)
	}
	if stdout := ts.ReadFile("stdout"); stdout != "" {
		if name := outputName(args[1:], ts.Getenv, got != exitOK && got != exitSomeFailed); name != "" {
			ts.Check(validateOutput(name, []byte(stdout)))
		}
	}
	if len(args) < 3 || args[1] != "rollcall" || args[2] != "snapshot" || got != exitOK && got != exitSomeFailed ||
		slices.Contains(args, "--dry-run") {
		return
	}
	for i, arg := range args[:len(args)-1] { // what it wrote conforms to its schema, too
		file, name := args[i+1]+".manifest.json", "manifest"
		if arg == "--summary" {
			file, name = args[i+1], "snapshot"
		} else if arg != "--out" {
			continue
		}
		if data, err := os.ReadFile(ts.MkAbs(file)); err == nil {
			ts.Check(validateOutput(name, data))
		}
	}
}

func count(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: count N TEXT FILE")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	text := ts.ReadFile(args[2])
	for line := range strings.Lines(text) {
		if strings.Contains(line, args[1]) {
			got++
		}
	}
	if got != want {
		ts.Fatalf("%q stands on %d lines of %s, want %d:\n%s", args[1], got, args[2], want, text)
	}
}

// editFile replaces every text of a file: edit FILE OLD NEW.
func editFile(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not have %q:\n%s", args[0], args[1], text)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}

// appendFiles writes files after each other: append TO FROM...
func appendFiles(ts *testscript.TestScript, _ bool, args []string) {
	var text strings.Builder
	for _, name := range args[1:] {
		text.WriteString(ts.ReadFile(name))
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text.String()), 0o600))
}

func atMost(ts *testscript.TestScript, _ bool, args []string) {
	most, err := strconv.Atoi(args[0])
	ts.Check(err)
	if got := strings.Count(ts.ReadFile(args[1]), "\n"); got > most {
		ts.Fatalf("%s has %d lines, want at most %d:\n%s", args[1], got, most, ts.ReadFile(args[1]))
	}
}

func lastLine(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(strings.TrimSpace(ts.ReadFile("stderr")), "\n")
	var got, want map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil {
		ts.Fatalf("the last line is not JSON: %s", lines[len(lines)-1])
	}
	ts.Check(json.Unmarshal([]byte(args[0]), &want))
	for key, value := range want {
		if !reflect.DeepEqual(got[key], value) {
			ts.Fatalf("the last line has %s %v, want %v: %s", key, got[key], value, lines[len(lines)-1])
		}
	}
	for _, key := range args[1:] {
		if value, ok := got[key]; !ok || value == "" {
			ts.Fatalf("the last line has no %s: %s", key, lines[len(lines)-1])
		}
	}
}
