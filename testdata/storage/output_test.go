//go:build storage

package storage

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// stillCommand is the command whose clock stands still, so that two runs give the same bytes.
var stillCommand = sync.OnceValues(func() (string, error) {
	path := filepath.Join(filepath.Dir(rollcall), "rollcall-still")
	out, err := exec.Command("go", "build", "-tags", "faultfs", "-o", path, "../../cmd/rollcall").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return path, nil
})

// modes are what evaluates: a local run has no journal of answers, the embedded server's has one.
var modes = map[string][]string{
	"local":    {"--evaluator", "local"},
	"embedded": {"--server", "embedded"},
}

// job is a run of the command in a directory, with outputs below root.
type job struct {
	t       *testing.T
	dir     string
	input   string
	mode    string
	options []string
	env     []string
}

func newJob(t *testing.T, mode, input string, options ...string) *job {
	return &job{t: t, dir: t.TempDir(), input: input, mode: mode, options: options}
}

// command returns the command, with outputs below root, which is a directory or a prefix in a store.
func (j *job) command(root string) *exec.Cmd {
	j.t.Helper()
	path, err := stillCommand()
	if err != nil {
		j.t.Fatal(err)
	}
	flags, err := filepath.Abs("../flags.json")
	if err != nil {
		j.t.Fatal(err)
	}
	args := []string{"snapshot", j.input, "--flag-configs", flags, "--max-errors", "100%", "--progress", "none",
		"--summary", root + "/summary.json"}
	switch j.mode {
	case "local":
		args = append(args, "--evaluator", "local")
	case "embedded":
		args = append(args, "--server", "embedded")
	}
	for _, o := range j.options {
		args = append(args, strings.ReplaceAll(o, "ROOT", root))
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Env = j.dir, append(os.Environ(), j.env...)
	return cmd
}

func (j *job) run(root string, wantCode int) (said string) {
	j.t.Helper()
	return j.runWith(root, func(code int, _ string) bool { return code == wantCode })
}

// runWith runs the command, which must end as ok says.
func (j *job) runWith(root string, ok func(code int, said string) bool) (said string) {
	j.t.Helper()
	cmd := j.command(root)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		j.t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); !ok(code, string(out)) {
		j.t.Errorf("%s: exit %d\n%s", strings.Join(cmd.Args[1:], " "), code, out)
	}
	return string(out)
}

// bucket returns the bucket, with retries.
func (s *store) bucket(t *testing.T) blob.Bucket {
	t.Helper()
	b, err := s.open(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	return blob.WithRetries(b, "")
}

// read returns the objects below a prefix by their names.
func (s *store) read(t *testing.T, prefix string) map[string][]byte {
	t.Helper()
	b, files := s.bucket(t), map[string][]byte{}
	for a, err := range blob.List(t.Context(), b, prefix, false) {
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, a.Size)
		if a.Size > 0 {
			if _, err := b.ReadRange(t.Context(), a, 0, data); err != nil {
				t.Fatal(err)
			}
		}
		files[strings.TrimPrefix(a.Key, prefix)] = data
	}
	return files
}

func (s *store) clear(t *testing.T, prefix string) {
	t.Helper()
	b := s.bucket(t)
	for name := range s.read(t, prefix) {
		if err := b.Delete(t.Context(), prefix+name); err != nil {
			t.Fatal(err)
		}
	}
	for p, err := range b.Pending(t.Context(), prefix) {
		if err == nil {
			err = b.Abort(t.Context(), p)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantNoPending checks that no upload is left that the store would list.
func (s *store) wantNoPending(t *testing.T, prefix string) {
	t.Helper()
	for p, err := range s.bucket(t).Pending(t.Context(), prefix) {
		if err != nil {
			t.Fatal(err)
		}
		t.Errorf("an upload of %s is left", p.Key)
	}
}

// readDir returns the files in a directory by their names.
func readDir(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err == nil {
			files[filepath.ToSlash(name)], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// changing is what two runs differ in in a manifest: how fast the embedded server has answered, and how often the run was
// resumed.
var changing = regexp.MustCompile(`"(per_second|found_rate|p50|p90|p99|max|resumes|sent|retries|pauses)": [0-9.]+,?|` +
	`"statuses": \{[^}]*\},?|summary\.json",\s*"bytes": [0-9]+`)

// sums are the checksums in a manifest.
var sums = regexp.MustCompile(`"sha256": "[0-9a-f]*"`)

// wantFiles compares files by their names and bytes.
func wantFiles(t *testing.T, what string, got, want map[string][]byte) {
	t.Helper()
	if g, w := slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)); !slices.Equal(g, w) {
		t.Errorf("%s: the files are %q, want %q", what, g, w)
		return
	}
	for name := range want {
		if !bytes.Equal(got[name], want[name]) {
			at := firstDifference(got[name], want[name])
			t.Errorf("%s: %s has %d bytes, want %d; at %d it has %q, want %q", what, name, len(got[name]), len(want[name]), at,
				near(got[name], at), near(want[name], at))
		}
	}
}

func near(data []byte, at int) []byte { return data[max(at-40, 0):min(at+40, len(data))] }

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// outputsOf are options for outputs in three formats.
var outputsOf = map[string][]string{
	"long": {"--out", "ROOT/a.csv", "--out", "ROOT/a.parquet", "--out", "ROOT/a.jsonl.gz"},
	"wide": {"--layout", "wide", "--flags", "dark-mode,new-player", "--out", "ROOT/a.csv", "--out", "ROOT/a.parquet", "--out",
		"ROOT/a.jsonl.gz"},
	"error records elsewhere": {"--out", "ROOT/a.csv", "--errors", "ROOT/failed.csv"},
	"dates":                   datedOutput,
}

// datedOutput is an output whose name has the day, with a manifest and a copy of it that have names of their own.
var datedOutput = []string{"--out", "ROOT/dt={date}/a.csv", "--manifest", "ROOT/{date}.manifest.json",
	"--latest", "ROOT/latest.json"}

// testOutputs runs the command with outputs in a store.
func testOutputs(t *testing.T, s *store) {
	s.start(t)
	input, err := filepath.Abs("../users.csv")
	if err != nil {
		t.Fatal(err)
	}
	for layout, options := range outputsOf {
		for mode := range modes {
			t.Run(layout+"/"+mode, func(t *testing.T) {
				// Parquet has the options in its metadata, so the local names have the length of the URLs.
				root := s.scheme + "://bucket/" + strings.ReplaceAll(t.Name(), " ", "_")
				like := strings.Replace(root, "://", ":/.", 1)
				local := newJob(t, mode, input, options...)
				if err := os.MkdirAll(filepath.Join(local.dir, like), 0o700); err != nil {
					t.Fatal(err)
				}
				local.run(like, 0)
				want := readDir(t, filepath.Join(local.dir, like))
				stored := newJob(t, mode, input, options...)
				said := stored.run(root, 0)
				got := s.read(t, strings.TrimPrefix(root, s.scheme+"://bucket/")+"/")
				for name, data := range want {
					data = bytes.ReplaceAll(data, []byte(like), []byte(root))
					if strings.HasSuffix(name, ".json") { // it has the sums of files that have the options
						data, got[name] = sums.ReplaceAll(data, nil), sums.ReplaceAll(got[name], nil)
						data, got[name] = changing.ReplaceAll(data, nil), changing.ReplaceAll(got[name], nil)
					}
					want[name] = data
				}
				wantFiles(t, said, got, want)
				if left := readDir(t, stored.dir); len(left) > 0 {
					t.Errorf("files are left in the current directory: %q", slices.Collect(maps.Keys(left)))
				}
				s.wantNoPending(t, "")
			})
		}
	}
}

// fault is what happens to a request to the store.
type fault struct {
	name   string
	kill   bool             // the command is killed
	passes bool             // the store gets the request; nobody gets the answer
	answer http.HandlerFunc // to the command, if it is not killed
}

// faulty makes the proxy count requests, and treat those that hits says so as f does. kill kills the command.
func (s *server) faulty(t *testing.T, f fault, hits func(n int) bool, kill func()) (count *atomic.Int64) {
	count = new(atomic.Int64)
	s.breakWith(t, func(*http.Request) http.HandlerFunc {
		if !hits(int(count.Add(1))) {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request) {
			if f.passes {
				s.pass(httptest.NewRecorder(), r)
			}
			if f.kill {
				kill()
				reset(w, r)
				return
			}
			f.answer(w, r)
		}
	})
	return count
}

// unavailable is the answer of a store that throttles.
func unavailable(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-error-code", "ServerBusy")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = io.WriteString(w, "<Error><Code>SlowDown</Code><Message>slow down</Message></Error>")
}

// faultLab repeats one run with faults.
type faultLab struct {
	*testing.T
	s      *store
	server *server
	root   string
	prefix string
	mode   string
	input  string
	option []string

	before map[string][]byte // what is there before a run
	want   map[string][]byte // what is there after one
	total  int               // requests of an unbroken run
}

// newFaultLab makes an unbroken run. With before, it replaces the files of another one.
func newFaultLab(t *testing.T, s *store, server *server, mode, input string, before bool, options ...string) *faultLab {
	t.Helper()
	lab := &faultLab{T: t, s: s, server: server, prefix: strings.ReplaceAll(t.Name(), " ", "_") + "/", mode: mode,
		input: input, option: options}
	lab.root = strings.TrimSuffix(s.url(lab.prefix), "/")
	if before {
		few := lab.job()
		few.options = append(slices.Clone(options), "--limit", "3")
		few.run(lab.root, 0)
		lab.before = s.read(t, lab.prefix)
		lab.option = append(slices.Clone(options), "--overwrite")
	}
	count := server.faulty(t, fault{}, func(int) bool { return false }, nil)
	lab.job().run(lab.root, 0)
	lab.total = int(count.Load())
	server.breakWith(t, nil)
	lab.want = lab.mask(s.read(t, lab.prefix))
	return lab
}

func (lab *faultLab) job() *job { return newJob(lab.T, lab.mode, lab.input, lab.option...) }

// mask leaves out what two runs differ in.
func (lab *faultLab) mask(files map[string][]byte) map[string][]byte {
	files = maps.Clone(files)
	for name, data := range files {
		if strings.HasSuffix(name, ".json") {
			files[name] = changing.ReplaceAll(sums.ReplaceAll(data, nil), nil)
		}
	}
	return files
}

// begin puts what is there before a run.
func (lab *faultLab) begin() {
	lab.Helper()
	lab.server.breakWith(lab.T, nil)
	lab.s.clear(lab.T, lab.prefix)
	for name, data := range lab.before {
		lab.s.put(lab.T, lab.prefix+name, data)
	}
}

// check looks at what is visible while a run has not ended: every object is whole, of the run before or of this one, and
// where a manifest is, all are of its run. It reports whether all are there that the run writes.
func (lab *faultLab) check(what string) (done bool) {
	lab.Helper()
	lab.server.breakWith(lab.T, nil)
	files := lab.mask(lab.s.read(lab.T, lab.prefix))
	before, manifest := lab.mask(lab.before), ""
	generation := map[string]string{}
	for name, data := range files {
		if strings.HasPrefix(name, ".") { // of the journal
			continue
		}
		isOld, isNew := bytes.Equal(data, before[name]), bytes.Equal(data, lab.want[name])
		if before[name] == nil {
			isOld = false
		}
		switch {
		case isOld && isNew:
			generation[name] = "both"
		case isOld:
			generation[name] = "old"
		case isNew:
			generation[name] = "new"
		default:
			lab.Errorf("%s: %s has %d bytes, neither those of the run before nor the %d of this one", what, name, len(data),
				len(lab.want[name]))
		}
		if strings.HasSuffix(name, ".manifest.json") {
			manifest = generation[name]
		}
	}
	if manifest == "" || lab.Failed() {
		return false
	}
	latest := true
	for name := range lab.want {
		if name == "latest.json" && generation[name] != manifest { // it is replaced after the manifest
			latest = false
			continue
		}
		if g := generation[name]; g != manifest && g != "both" && manifest != "both" {
			lab.Errorf("%s: the manifest is %s, and %s is %q: %v", what, manifest, name, g, generation)
		}
	}
	return manifest != "old" && latest
}

// checkEnd looks at what there is after a run that has ended well.
func (lab *faultLab) checkEnd(what string, j *job) {
	lab.Helper()
	lab.server.breakWith(lab.T, nil)
	wantFiles(lab.T, what, lab.mask(lab.s.read(lab.T, lab.prefix)), lab.want)
	lab.s.wantNoPending(lab.T, lab.prefix)
	if left := readDir(lab.T, j.dir); len(left) > 0 {
		lab.Errorf("%s: files are left in the current directory: %q", what, slices.Collect(maps.Keys(left)))
	}
}

// killAt kills the command at the n-th request, looks at what is visible, and runs it again until it is done.
func (lab *faultLab) killAt(n int, passes bool) {
	lab.Helper()
	what := fmt.Sprintf("killed at request %d of %d", n, lab.total)
	if passes {
		what = fmt.Sprintf("killed after request %d of %d", n, lab.total)
	}
	lab.begin()
	j := lab.job()
	cmd := j.command(lab.root)
	var said lockedBuffer
	cmd.Stdout, cmd.Stderr = &said, &said
	ended := make(chan struct{})
	lab.server.faulty(lab.T, fault{kill: true, passes: passes}, func(i int) bool { return i == n }, func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	if err := cmd.Start(); err != nil {
		lab.Fatal(err)
	}
	_ = cmd.Wait() // its error is the kill's
	close(ended)
	done := lab.check(what)
	again := lab.job() // on another machine, whose disk is empty
	again.env = []string{shortLease}
	said2 := again.runWith(lab.root, func(code int, said string) bool {
		// Nothing was left to do but to remove the lease: the files are those of a run that has ended.
		return code == 0 || code == 1 && done && len(lab.before) == 0 && strings.Contains(said, "exists")
	})
	lab.checkEnd(what+", and run again", again)
	if lab.Failed() {
		lab.Fatalf("%s: it said\n%s\nand then\n%s", what, said.String(), said2)
	}
}

// everyOf is how many of the requests are hit: all where ROLLCALL_STORAGE is "all".
func everyOf(n int) int {
	if os.Getenv("ROLLCALL_STORAGE") == "all" {
		return 1
	}
	return n
}

// shortLease is how long a run waits for another one that was killed. A renewal has two thirds of it, also where the
// machine is slow.
const shortLease = "ROLLCALL_LEASE_TIME=3s"

// killCases are the runs that are killed.
var killCases = []struct {
	name, mode string
	before     bool
	options    []string
}{
	{"local", "local", false, []string{"--out", "ROOT/a.csv", "--out", "ROOT/a.parquet"}},
	{"local, replaced", "local", true, []string{"--out", "ROOT/a.csv", "--out", "ROOT/a.parquet"}},
	{"embedded", "embedded", false, []string{"--out", "ROOT/a.csv"}},
	{"embedded, replaced", "embedded", true, []string{"--out", "ROOT/a.csv"}},
	{"embedded, dates", "embedded", false, datedOutput},
}

// testKills kills the command at requests to the store.
func testKills(t *testing.T, s *store) {
	server := s.start(t)
	input, err := filepath.Abs("../few.csv")
	if err != nil {
		t.Fatal(err)
	}
	for i, test := range killCases {
		t.Run(test.name, func(t *testing.T) {
			lab := newFaultLab(t, s, server, test.mode, input, test.before, test.options...)
			every := everyOf(29)
			for n := 1 + 7*i%every; n <= lab.total; n += every {
				lab.killAt(n, n/every%2 == 0)
				if every == 1 {
					lab.killAt(n, n/every%2 == 1)
				}
			}
			t.Logf("%d requests in an unbroken run", lab.total)
		})
	}
}

// attempt runs the command once, with what the proxy does.
func (lab *faultLab) attempt(env ...string) (code int, said string) {
	lab.Helper()
	job := lab.job()
	job.env = env
	said = job.runWith(lab.root, func(c int, _ string) bool {
		code = c
		return true
	})
	lab.server.breakWith(lab.T, nil)
	return code, said
}

// noSuchUpload is the answer of a store that has lost an upload.
func noSuchUpload(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/xml")
	w.Header().Set("x-ms-error-code", "InvalidBlockList")
	w.WriteHeader(http.StatusNotFound)
	_, _ = io.WriteString(w, "<Error><Code>NoSuchUpload</Code><Message>gone</Message></Error>")
}

// testFaults lets requests to the store fail.
func testFaults(t *testing.T, s *store) {
	server := s.start(t)
	input, err := filepath.Abs("../few.csv")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []fault{{name: "throttled", answer: unavailable}, {name: "broken", answer: reset},
		{name: "answer lost", answer: reset, passes: true}} {
		t.Run("first attempts/"+f.name, func(t *testing.T) {
			lab := newFaultLab(t, s, server, "local", input, false, "--out", "ROOT/a.csv")
			lab.begin()
			seen, every := map[string]bool{}, everyOf(3)
			server.breakWith(t, func(r *http.Request) http.HandlerFunc {
				key := r.Method + r.URL.String()
				if seen[key] {
					return nil
				}
				seen[key] = true
				if len(seen)%every != 0 {
					return nil
				}
				return func(w http.ResponseWriter, r *http.Request) {
					if f.passes {
						server.pass(httptest.NewRecorder(), r)
					}
					f.answer(w, r)
				}
			})
			code, said := lab.attempt()
			if code != 0 {
				t.Fatalf("exit %d, want 0\n%s", code, said)
			}
			wantFiles(t, said, lab.mask(s.read(t, lab.prefix)), lab.want)
		})
	}
	// What fails for good is like a full disk.
	for _, f := range []struct {
		name   string
		hits   func(r *http.Request) bool
		answer http.HandlerFunc
	}{
		{"an outage at the commits", isCommit, unavailable},
		{"a lost upload", isCommit, noSuchUpload},
		{"a lost part", isPart, noSuchUpload},
	} {
		t.Run(f.name, func(t *testing.T) {
			lab := newFaultLab(t, s, server, "embedded", input, false, "--out", "ROOT/a.csv", "--out", "ROOT/a.parquet")
			lab.begin()
			began := false
			server.breakWith(t, func(r *http.Request) http.HandlerFunc {
				if began = began || isData(r) && f.hits(r); began && isData(r) {
					return f.answer
				}
				return nil
			})
			code, said := lab.attempt()
			if code != 75 || strings.Contains(said, s.secret) {
				t.Errorf("exit %d, want 75\n%s", code, said)
			}
			lab.check(f.name)
			code, again := lab.attempt(shortLease)
			if code != 0 {
				t.Fatalf("run again: exit %d, want 0\n%s", code, again)
			}
			if !strings.Contains(again, "resuming the run") && !strings.Contains(again, "had finished asking") {
				t.Errorf("run again, it does not go on:\n%s", again)
			}
			lab.checkEnd(f.name+", and run again", lab.job())
		})
	}
	t.Run("names", func(t *testing.T) { testNames(t, s, input) })
}

// isData reports whether a request is for one of the data outputs.
func isData(r *http.Request) bool {
	name := r.URL.Path + " " + r.URL.RawQuery
	return strings.Contains(name, "a.csv") && !strings.Contains(name, ".a.csv") && !strings.Contains(name, "manifest")
}

// isPart reports whether a request has bytes of an upload.
func isPart(r *http.Request) bool {
	q := r.URL.Query()
	return r.Method == http.MethodPut && (q.Has("partNumber") || q.Get("comp") == "block" || q.Has("upload_id"))
}

// isCommit reports whether a request makes an object appear.
func isCommit(r *http.Request) bool {
	q := r.URL.Query()
	return r.Method == http.MethodPost && q.Has("uploadId") || r.Method == http.MethodPut && (q.Get("comp") == "blocklist" ||
		q.Has("upload_id"))
}

// testNames: what is refused on disk is refused in a store, with the same exit codes.
func testNames(t *testing.T, s *store, input string) {
	out, text := s.url("names/a.csv"), string(readFile(t, input))
	s.put(t, "names/users.csv", []byte(text))
	run := func(wantCode int, args ...string) string {
		t.Helper()
		args = append(snapshotArgs(t, args[0]), args[1:]...)
		at := slices.Index(args, "a.csv")
		args = slices.Delete(args, at-1, at+1)
		_, said := runCommand(t, wantCode, args...)
		return said
	}
	run(0, input, "--out", out)
	first := s.read(t, "names/")
	for _, test := range []struct {
		name string
		code int
		want string
		args []string
	}{
		{"exists", 1, out + " exists", []string{input, "--out", out}},
		{"an input", 64, "is an input, and would be replaced", []string{s.url("names/users.csv"), "--out",
			s.url("names/users.csv"), "--overwrite"}},
		{"twice", 64, "is given twice", []string{input, "--out", out, "--out", out}},
		{"no bucket", 1, "no such bucket", []string{input, "--out", s.scheme + "://no-such-bucket/a.csv"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if said := run(test.code, test.args...); !strings.Contains(said, test.want) {
				t.Errorf("it says %q, want %q", said, test.want)
			}
		})
	}
	wantFiles(t, "after runs that were refused", s.read(t, "names/"), first)
	local := filepath.Join(t.TempDir(), "b.csv")
	run(0, input, "--out", out, "--out", local, "--out", s.url("names//b.csv"), "--overwrite")
	replaced := s.read(t, "names/")
	second := replaced["/b.csv"]
	if second == nil { // versitygw's keys are paths
		second = replaced["b.csv"]
	}
	if !bytes.Equal(readFile(t, local), replaced["a.csv"]) || !bytes.Equal(second, replaced["a.csv"]) {
		t.Errorf("a.csv has %d bytes, /b.csv %d, and the local one %d; want the same", len(replaced["a.csv"]), len(second),
			len(readFile(t, local)))
	}
	if bytes.Equal(first["a.csv.manifest.json"], replaced["a.csv.manifest.json"]) {
		t.Error("the manifest was not replaced")
	}
	s.wantNoPending(t, "names/")
}
