//go:build faultfs

// The tests here run in a binary that is built with the tag faultfs (`make test` does): it is the command that they
// kill, too. Their names begin with TestCrash: `go test -tags faultfs -run TestCrash ./cmd/rollcall`.

package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// crashLab runs the command against an API in this process that remembers whom it
// was asked about, and compares what comes of broken and resumed runs with an unbroken one.
type crashLab struct {
	t       *testing.T
	command string
	users   string // the input
	rows    int    // in it; every 13th has no id
	url     string
	args    []string // beside the input and the outputs
	outs    []string // the outputs, as --out names them
	outputs []string // the files that are compared

	mu    sync.Mutex
	asked map[string]int // by user: since forget
	onAsk func(total int)
	total int

	golden map[string][]byte // the outputs of an unbroken run
}

const crashConcurrency = 4

// crashOutputs are the outputs of every run that are compared. The manifest is not one: it says how often the run was
// resumed.
var crashOutputs = []string{"a.csv", "a.jsonl.gz", "a.parquet", "a.errors.jsonl"}

// crashModes are the runs that must survive: of the API, and of flag configurations that are downloaded and kept.
var crashModes = map[string]bool{"remote": false, "local": true}

// crashCommand is this test binary under the name that makes it the command: see TestMain.
func crashCommand(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := filepath.Join(t.TempDir(), "rollcall")
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	return command
}

func newCrashLab(t *testing.T, command string, rows int, local bool) *crashLab {
	t.Helper()
	lab := &crashLab{t: t, command: command, rows: rows, asked: map[string]int{}, outputs: crashOutputs,
		outs: []string{"a.csv", "a.jsonl.gz", "a.parquet"}}
	folder := t.TempDir()
	var users strings.Builder
	users.WriteString("user_id,country,user_properties.plan\n")
	for i := range rows {
		if i%13 == 7 {
			users.WriteString(",Germany,pro\n") // missing_id
			continue
		}
		fmt.Fprintf(&users, "user-%d,Germany,pro\n", i)
	}
	lab.users = filepath.Join(folder, "users.csv")
	if err := os.WriteFile(lab.users, []byte(users.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	eng := testEngine(t)
	api := evalserver.New(eng, evalserver.Config{Record: func(r evalserver.Request) {
		if r.UserID == "" {
			return
		}
		if r.Tracked {
			t.Errorf("a request was tracked")
		}
		lab.mu.Lock()
		lab.asked[r.UserID]++
		lab.total++
		total, onAsk := lab.total, lab.onAsk
		lab.mu.Unlock()
		if onAsk != nil {
			onAsk(total)
		}
	}})
	server, err := evalserver.Start("127.0.0.1:0", http.Handler(api))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	lab.url = server.URL()
	lab.args = []string{"--rate", "0", "--concurrency", fmt.Sprint(crashConcurrency)}
	if local {
		lab.args = []string{"--evaluator", "local", "--flag-configs", "fetch", "--summary", "a.summary.json"}
		lab.outputs = append(slices.Clone(crashOutputs), "a.csv.flags.json", "a.summary.json")
	}

	unbroken := t.TempDir()
	if code, out := lab.run(unbroken); code != exitSomeFailed {
		t.Fatalf("the unbroken run: exit code %d, it said:\n%s", code, out)
	}
	lab.golden = lab.read(unbroken)
	return lab
}

// start is the command in a folder, with more in its environment.
func (lab *crashLab) start(folder string, env ...string) (*exec.Cmd, *bytes.Buffer) {
	args := []string{"snapshot", lab.users, "--server", lab.url}
	for _, out := range lab.outs {
		args = append(args, "--out", out)
	}
	cmd := exec.CommandContext(lab.t.Context(), lab.command, append(args, lab.args...)...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), append(env, keyVariable+"=canary")...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		lab.t.Fatal(err)
	}
	return cmd, &out
}

// run is the command to its end; the code of one that was killed is -1.
func (lab *crashLab) run(folder string, env ...string) (code int, out string) {
	cmd, buf := lab.start(folder, env...)
	return exitOf(lab.t, cmd), buf.String()
}

func exitOf(t *testing.T, cmd *exec.Cmd) int {
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func (lab *crashLab) read(folder string) map[string][]byte {
	files := map[string][]byte{}
	for _, name := range lab.outputs {
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			lab.t.Errorf("%v", err)
		}
		files[name] = data
	}
	return files
}

func (lab *crashLab) forget() {
	lab.mu.Lock()
	defer lab.mu.Unlock()
	lab.asked, lab.total = map[string]int{}, 0
}

var resumesPattern = regexp.MustCompile(`"resumes": \d+,`)

// check reruns the command until it is done, and wants the outputs of an unbroken run, nothing else in the folder,
// and each user asked once more per crash at the most, and no more of them than a crash can have lost.
func (lab *crashLab) check(what, folder string, crashes int) {
	lab.t.Helper()
	code, out := lab.run(folder)
	// Killed after the journal was removed, the run was finished: a rerun finds its outputs.
	finished := code == exitFailed && strings.Contains(out, "a.csv exists")
	if code != exitSomeFailed && !finished {
		lab.t.Fatalf("%s: the rerun: exit code %d, want %d; it said:\n%s", what, code, exitSomeFailed, out)
	}
	for name, want := range lab.golden {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if name == "a.summary.json" { // it says how often the run was resumed
			got, want = resumesPattern.ReplaceAll(got, nil), resumesPattern.ReplaceAll(want, nil)
		}
		if err != nil || !bytes.Equal(got, want) {
			lab.t.Fatalf("%s: %s differs from that of an unbroken run (%v)", what, name, err)
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		lab.t.Fatal(err)
	}
	if want := len(lab.outputs) + 1; len(entries) != want { // and the manifest
		lab.t.Fatalf("%s: the folder holds %v, want %d files", what, entries, want)
	}
	lab.mu.Lock()
	defer lab.mu.Unlock()
	again, users := 0, 0
	for user, n := range lab.asked {
		if n > 1+crashes {
			lab.t.Errorf("%s: %s was asked %d times with %d crashes", what, user, n, crashes)
		}
		again += n - 1
	}
	for i := range lab.rows {
		if i%13 != 7 {
			users++
		}
	}
	if local := len(lab.outputs) > len(crashOutputs); local {
		users = 0
	}
	if len(lab.asked) != users {
		lab.t.Errorf("%s: %d users were asked, want %d", what, len(lab.asked), users)
	}
	if again > crashes*minWindow {
		lab.t.Errorf("%s: %d users were asked again, want no more than a window (%d) for each of %d crashes", what, again,
			minWindow, crashes)
	}
}

// noHalfFile wants every output under its final name to be whole, whatever happened.
func (lab *crashLab) noHalfFile(what, folder string) {
	lab.t.Helper()
	for name, want := range lab.golden {
		got, err := os.ReadFile(filepath.Join(folder, name))
		if err == nil && !bytes.Equal(got, want) {
			lab.t.Fatalf("%s: %s is there, and not whole", what, name)
		}
	}
	if _, err := os.Stat(filepath.Join(folder, "a.csv.manifest.json")); err == nil {
		for name := range lab.golden {
			if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
				lab.t.Fatalf("%s: the manifest is there, and %s is not", what, name)
			}
		}
	}
}

// TestCrashKilledAtEveryFileOperation kills the command right before its Nth file operation, for every N until a run
// completes; every other time a write has got half of its bytes out.
func TestCrashKilledAtEveryFileOperation(t *testing.T) {
	command := crashCommand(t)
	for mode, local := range crashModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			killedAtEveryFileOperation(t, newCrashLab(t, command, 40, local))
		})
	}
}

func killedAtEveryFileOperation(t *testing.T, lab *crashLab) {
	n := 1
	for ; ; n++ {
		what := fmt.Sprintf("killed at operation %d", n)
		folder := t.TempDir()
		lab.forget()
		code, out := lab.run(folder, fmt.Sprintf("ROLLCALL_KILL_AT=%d", n), fmt.Sprintf("ROLLCALL_KILL_TORN=%d", n%2))
		if code == exitSomeFailed {
			break
		}
		if code != -1 {
			t.Fatalf("%s: exit code %d, it said:\n%s", what, code, out)
		}
		lab.noHalfFile(what, folder)
		lab.check(what, folder, 1)
	}
	if n < 30 {
		t.Errorf("a run has %d file operations, want the journal, 4 outputs and a manifest to need more", n)
	}
}

// TestCrashFailingFileOperations lets each file operation fail once, and then all from it on.
func TestCrashFailingFileOperations(t *testing.T) {
	command := crashCommand(t)
	for mode, local := range crashModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			failingFileOperations(t, newCrashLab(t, command, 40, local))
		})
	}
}

func failingFileOperations(t *testing.T, lab *crashLab) {
	for _, mode := range []string{"ROLLCALL_FAIL_AT", "ROLLCALL_FAIL_FROM"} {
		step := 1
		for n := 1; ; n += step {
			what := fmt.Sprintf("%s=%d", mode, n)
			folder := t.TempDir()
			lab.forget()
			code, out := lab.run(folder, what, "ROLLCALL_FAIL_ERRNO=ENOSPC")
			lab.noHalfFile(what, folder)
			if code == exitSomeFailed && !strings.Contains(out, "no space left") {
				break // the run has fewer operations
			}
			// what fails then is no failure of the run
			published := code == exitSomeFailed && strings.Contains(out, "hidden files are left")
			if code != exitStopped && code != exitFailed && !published {
				t.Fatalf("%s: exit code %d, want %d or %d; it said:\n%s", what, code, exitStopped, exitFailed, out)
			}
			if !strings.Contains(out, "no space left") {
				t.Fatalf("%s: it said:\n%s\nwant the reason", what, out)
			}
			lab.check(what, folder, 1)
		}
	}
}

// TestCrashKilledAtRandom kills the command with SIGKILL while it waits for the answer about a random user, up to three
// times in a row.
func TestCrashKilledAtRandom(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 700, false)
	random := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	for i := range rounds(t) {
		folder := t.TempDir()
		lab.forget()
		crashes := 1 + random.IntN(3)
		what := fmt.Sprintf("round %d", i)
		for range crashes {
			at := 1 + random.IntN(lab.rows/4) // so that no run completes before it is killed
			process := make(chan *os.Process, 1)
			lab.mu.Lock()
			base := lab.total
			lab.onAsk = func(total int) {
				if total-base == at {
					_ = (<-process).Kill()
				}
			}
			lab.mu.Unlock()
			cmd, out := lab.start(folder)
			process <- cmd.Process
			code := exitOf(t, cmd)
			what += fmt.Sprintf(", killed after %d requests", at)
			if code != -1 {
				t.Fatalf("%s: exit code %d, want none; it said:\n%s", what, code, out)
			}
			lab.noHalfFile(what, folder)
		}
		lab.mu.Lock()
		lab.onAsk = nil
		lab.mu.Unlock()
		lab.check(what, folder, crashes)
	}
}

// TestCrashOrderOfFileOperations holds the run against what makes files last: what is missing here would only show
// after a power loss, which no test can make.
func TestCrashOrderOfFileOperations(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	folder, log := t.TempDir(), filepath.Join(t.TempDir(), "ops")
	if code, out := lab.run(folder, "ROLLCALL_OPS_LOG="+log); code != exitSomeFailed {
		t.Fatalf("exit code %d, it said:\n%s", code, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	journalName := ".a.csv.rollcall"
	dirty := map[string]bool{}   // written and not synced
	unnamed := map[string]bool{} // renamed, and the folder not synced
	temps := map[string]string{} // the last temporary file of each output
	renamed := 0
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		kind, path := fields[1], fields[2]
		name := filepath.Base(path)
		switch kind {
		case "create":
			if base, _, ok := strings.Cut(strings.TrimPrefix(name, "."), ".rollcall-"); ok {
				temps[base] = name
			}
		case "write":
			if name == journalName && dirty[name] {
				t.Errorf("%sa frame of the journal before the last one was synced", line)
			}
			dirty[name] = true
		case "sync", "datasync":
			delete(dirty, name)
		case "rename":
			if strings.HasSuffix(name, ".tmp") {
				continue // the trial when the file is created
			}
			renamed++
			if dirty[temps[name]] || dirty[journalName] {
				t.Errorf("%sbefore %s and the journal were synced", line, temps[name])
			}
			unnamed[name] = true
		case "syncdir":
			delete(unnamed, name)
		case "remove":
			if name == journalName && (len(unnamed) > 0 || renamed != len(crashOutputs)+1) {
				t.Errorf("%safter %d renames, of which %v may not last", line, renamed, unnamed)
			}
		}
	}
	if renamed != len(crashOutputs)+1 || len(dirty) > 0 || len(unnamed) > 0 {
		t.Errorf("%d renames, %v not synced, %v may not last; want %d, and nothing", renamed, dirty, unnamed,
			len(crashOutputs)+1)
	}
}

// rounds is how often TestCrashKilledAtRandom does it: a few times, or as ROLLCALL_SOAK says (make soak).
func rounds(t *testing.T) int {
	n := 10
	if text := os.Getenv("ROLLCALL_SOAK"); text != "" {
		if _, err := fmt.Sscan(text, &n); err != nil {
			t.Fatalf("ROLLCALL_SOAK=%s: %v", text, err)
		}
	}
	return n
}
