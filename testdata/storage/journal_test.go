//go:build storage

package storage

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// countingAPI is the Evaluation API in this process, which remembers whom it was asked about.
type countingAPI struct {
	url string

	mu    sync.Mutex
	asked map[string]int // by user: since forget
	total int
	onAsk func(total int) // called outside mu, before the answer
}

func startAPI(t *testing.T) *countingAPI {
	t.Helper()
	eng, err := engine.Parse(readFile(t, "../flags.json"), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	a := &countingAPI{asked: map[string]int{}}
	answer := evalserver.New(eng, evalserver.Config{Key: "key"})
	running, err := evalserver.Start("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user := r.URL.Query().Get("user_id") + "|" + r.URL.Query().Get("device_id"); user != "|" {
			a.mu.Lock()
			a.asked[user]++
			a.total++
			total, onAsk := a.total, a.onAsk
			a.mu.Unlock()
			if onAsk != nil {
				onAsk(total)
			}
		}
		answer.ServeHTTP(w, r)
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = running.Close() })
	a.url = running.URL()
	t.Setenv("AMPLITUDE_DEPLOYMENT_KEY", "key")
	return a
}

// forget begins to count anew.
func (a *countingAPI) forget(onAsk func(total int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.asked, a.total, a.onAsk = map[string]int{}, 0, onAsk
}

// users are those whom it was asked about, sorted. A request of a process that was killed may come late, so how often they
// were asked about says nothing.
func (a *countingAPI) users() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Sorted(maps.Keys(a.asked))
}

// remote is the command for a run with the API, from a machine of its own: a directory and a home that nobody has used.
func (a *countingAPI) remote(t *testing.T, root string, options ...string) *exec.Cmd {
	t.Helper()
	path, err := stillCommand()
	if err != nil {
		t.Fatal(err)
	}
	users, err := filepath.Abs("../users.csv")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, append([]string{"snapshot", users, "--out", root + "/a.csv", "--out", root + "/a.parquet",
		"--server", a.url, "--rate", "0", "--concurrency", "4", "--timeout", "10m", "--max-errors", "100%", "--progress",
		"none"}, options...)...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "ROLLCALL_LEASE_TIME=2s")
	return cmd
}

// alone is cmd with the lease that users have, for tests in which two runs go on at once.
func alone(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool { return strings.HasPrefix(v, "ROLLCALL_LEASE_TIME=") })
	return cmd
}

func wantExit(t *testing.T, cmd *exec.Cmd, code int, texts ...string) (said string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("%s: exit %d, want %d\n%s", strings.Join(cmd.Args[1:], " "), got, code, out)
	}
	for _, text := range texts {
		if !strings.Contains(string(out), text) {
			t.Errorf("it says %q, want %q", out, text)
		}
	}
	return string(out)
}

// inOrder are the users of the input, as the API knows them; "|" has no id.
func inOrder(t *testing.T) (users []string) {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(string(readFile(t, "../users.csv")))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	user, device := slices.Index(rows[0], "user_id"), slices.Index(rows[0], "device_id")
	for _, row := range rows[1:] {
		id := row[user] + "|"
		if device >= 0 {
			id += row[device]
		}
		users = append(users, id)
	}
	return users
}

// withoutManifest are the files whose bytes are those of an unbroken run. The manifest says how often it was resumed.
func withoutManifest(files map[string][]byte) map[string][]byte {
	files = maps.Clone(files)
	delete(files, "a.csv.manifest.json")
	return files
}

var keptPattern = regexp.MustCompile(`: ([0-9,]+) of [0-9,]+ users are in its journal`)

// testJournal breaks runs whose outputs and journal are in a store, and goes on with them on another machine.
func testJournal(t *testing.T, s *store) {
	server := s.start(t)
	api := startAPI(t)
	users := inOrder(t)
	root := s.url("nightly")
	published := func() map[string][]byte { return s.read(t, "nightly/") }

	api.forget(nil)
	wantExit(t, api.remote(t, root), 0)
	golden, all := published(), api.users()
	if len(golden) != 4 || len(all) < 1000 {
		t.Fatalf("the unbroken run has written %q and asked about %d users", slices.Sorted(maps.Keys(golden)), len(all))
	}

	// killed kills a run when the API is asked for the 1,000th time.
	killed := func(t *testing.T, cmd *exec.Cmd) {
		t.Helper()
		api.forget(func(n int) {
			if n == 1000 {
				_ = cmd.Process.Kill()
			}
		})
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Fatalf("it was not killed:\n%s", out)
		}
		api.forget(nil)
	}
	// kill kills a run, and returns what is left of it.
	kill := func(t *testing.T) map[string][]byte {
		t.Helper()
		s.clear(t, "nightly/")
		killed(t, api.remote(t, root))
		left := published()
		for name := range left {
			if !strings.HasPrefix(name, ".") {
				t.Errorf("%s is visible before the run has ended", name)
			}
		}
		return left
	}
	// wantGolden checks that the outputs are those of the unbroken run, and that nothing else is left.
	wantGolden := func(t *testing.T) {
		t.Helper()
		wantFiles(t, "outputs", withoutManifest(published()), withoutManifest(golden))
		s.wantNoPending(t, "nightly/")
	}

	t.Run("resumed on another machine", func(t *testing.T) {
		if left := kill(t); len(left) < 5 {
			t.Fatalf("left: %q, want a lease and a journal of some objects", slices.Sorted(maps.Keys(left)))
		}
		said := wantExit(t, api.remote(t, root), 0, "resuming")
		wantGolden(t)
		m := keptPattern.FindStringSubmatch(said)
		if m == nil {
			t.Fatalf("it does not say how many users are in the journal:\n%s", said)
		}
		kept, err := strconv.Atoi(strings.ReplaceAll(m[1], ",", ""))
		if err != nil || kept < 200 {
			t.Fatalf("%d users are in the journal, %v; want hundreds", kept, err)
		}
		rest := map[string]bool{}
		for _, user := range users[kept:] {
			if user != "|" {
				rest[user] = true
			}
		}
		if got, want := api.users(), slices.Sorted(maps.Keys(rest)); !slices.Equal(got, want) {
			t.Errorf("%d users were in the journal; the other run asked about %d, want the other %d", kept, len(got), len(want))
		}
	})
	t.Run("standard input", func(t *testing.T) {
		s.clear(t, "nightly/")
		input := readFile(t, "../users.csv")
		piped := func(input []byte, options ...string) *exec.Cmd {
			cmd := api.remote(t, root, options...)
			cmd.Args[2], cmd.Stdin = "-", bytes.NewReader(input)
			return cmd
		}
		killed(t, piped(input))
		wantExit(t, piped(nil), 1, "standard input is empty, and an unfinished run of these outputs had users there",
			"give it the same users again")
		wantExit(t, piped(nil, "--resume", "always"), 1, "standard input is empty")
		wantExit(t, piped(input), 0, "resuming")
		if got := len(api.users()); got >= len(all) {
			t.Errorf("all %d users were asked about again", got)
		}
		wantGolden(t)
	})
	t.Run("on a volume", func(t *testing.T) {
		s.clear(t, "nightly/")
		work := t.TempDir()
		killed(t, api.remote(t, root, "--work-dir", work))
		for name := range published() {
			if !strings.HasSuffix(name, "-lease") {
				t.Errorf("%s is in the store, want leases alone", name)
			}
		}
		wantExit(t, api.remote(t, root, "--work-dir", work), 0, "resuming")
		if files := published(); len(files) != 4 || len(readDir(t, work)) > 0 {
			t.Errorf("the files are %q and, on the volume, %q", slices.Sorted(maps.Keys(files)), readDir(t, work))
		}
		s.wantNoPending(t, "nightly/")
	})
	t.Run("an object is missing", func(t *testing.T) {
		left := slices.Sorted(maps.Keys(kill(t)))
		numbered := slices.DeleteFunc(left, func(name string) bool { return !strings.Contains(name, "-journal/.") })
		if err := s.bucket(t).Delete(t.Context(), "nightly/"+numbered[2]); err != nil {
			t.Fatal(err)
		}
		wantExit(t, api.remote(t, root), 1, "the journal "+root+"/.a.csv.rollcall is damaged", "object 3 is missing",
			"--fresh")
		wantExit(t, api.remote(t, root, "--fresh"), 0)
		if got := api.users(); !slices.Equal(got, all) {
			t.Errorf("--fresh has asked about %d users, want all %d", len(got), len(all))
		}
		files, want := withoutManifest(published()), withoutManifest(golden)
		delete(files, "a.parquet") // it has the options
		delete(want, "a.parquet")
		wantFiles(t, "outputs", files, want)
	})
	t.Run("other options", func(t *testing.T) {
		kill(t)
		wantExit(t, api.remote(t, root, "--include", "value"), 0, "an unfinished run of", "is given up")
		if files := published(); len(files) != 4 {
			t.Errorf("the files are %q, want the outputs alone", slices.Sorted(maps.Keys(files)))
		}
		s.wantNoPending(t, "nightly/")
	})
	t.Run("cleaned", func(t *testing.T) {
		kill(t)
		path, err := stillCommand()
		if err != nil {
			t.Fatal(err)
		}
		clean := func(args ...string) *exec.Cmd {
			cmd := exec.Command(path, append([]string{"clean"}, args...)...)
			cmd.Env = append(os.Environ(), "ROLLCALL_LEASE_TIME=2s")
			return cmd
		}
		wantExit(t, clean(root+"/", "--older-than", "1d"), 0, "nothing to remove")
		wantExit(t, clean(root+"/", "--dry-run"), 0, "would remove "+root+"/.a.csv.rollcall (")
		said := wantExit(t, clean(root+"/"), 0, "removed "+root+"/.a.csv.rollcall (")
		if aborts := strings.Contains(said, "aborted the upload of "+root+"/a.csv"); aborts != (s.scheme == "s3") {
			t.Errorf("it says %q", said)
		}
		if weeks := strings.Contains(said, "after a week"); weeks != (s.scheme != "s3") {
			t.Errorf("it says %q", said)
		}
		if left := published(); len(left) > 0 {
			t.Errorf("left: %q", slices.Sorted(maps.Keys(left)))
		}
		s.wantNoPending(t, "nightly/")
	})
	t.Run("a second run meanwhile", func(t *testing.T) {
		s.clear(t, "nightly/")
		first := alone(api.remote(t, root))
		reached, release := make(chan bool), make(chan bool)
		api.forget(func(n int) {
			if n == 1000 {
				close(reached)
			}
			if n >= 1000 {
				<-release
			}
		})
		result := make(chan error, 1)
		var out []byte
		go func() {
			var err error
			out, err = first.CombinedOutput()
			result <- err
		}()
		<-reached
		wantExit(t, alone(api.remote(t, root)), 75, "another run is writing these outputs", ", process ", "waiting 15s")
		if s.scheme == "s3" { // it takes 15 s
			wantExit(t, exec.Command(rollcall, "clean", root+"/"), 0, "a run is using "+root+"/.a.csv.rollcall",
				"nothing to remove")
		}
		close(release)
		if err := <-result; err != nil {
			t.Fatalf("the first run: %v\n%s", err, out)
		}
		wantGolden(t)
	})
	t.Run("the lease is lost", func(t *testing.T) {
		s.clear(t, "nightly/")
		first := alone(api.remote(t, root))
		b := s.bucket(t)
		api.forget(func(n int) {
			if n != 1000 {
				return
			}
			lease := "nightly/.a.csv.rollcall-lease"
			for i := range 100 { // a renewal may come between
				a, err := b.Stat(t.Context(), lease)
				if err == nil {
					_, err = b.Put(t.Context(), lease, fmt.Appendf(nil, `{"owner": "another %d"}`, i), blob.Condition{
						Version: a.Version})
				}
				if err == nil {
					return
				}
			}
			t.Error("the lease was not replaced")
		})
		wantExit(t, first, 75, "another run has taken these outputs over")
		for name := range published() {
			if !strings.HasPrefix(name, ".") {
				t.Errorf("%s was published", name)
			}
		}
	})
	t.Run("the store is away", func(t *testing.T) {
		s.clear(t, "nightly/")
		var mu sync.Mutex
		left := 0 // requests that fail
		api.forget(func(n int) {
			if n == 1000 {
				mu.Lock()
				left = 3
				mu.Unlock()
			}
		})
		server.breakWith(t, func(*http.Request) http.HandlerFunc {
			mu.Lock()
			defer mu.Unlock()
			if left == 0 {
				return nil
			}
			left--
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		})
		wantExit(t, api.remote(t, root), 0)
		server.breakWith(t, nil)
		wantGolden(t)
	})
	t.Run("the store stays away", func(t *testing.T) {
		s.clear(t, "nightly/")
		var mu sync.Mutex
		away := false
		api.forget(func(n int) {
			if n == 1000 {
				mu.Lock()
				away = true
				mu.Unlock()
			}
		})
		server.breakWith(t, func(*http.Request) http.HandlerFunc {
			mu.Lock()
			defer mu.Unlock()
			if !away {
				return nil
			}
			return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
		})
		wantExit(t, api.remote(t, root), 75, "the store could not answer (status 503")
		server.breakWith(t, nil)
		api.forget(nil)
		wantExit(t, api.remote(t, root), 0, "resuming")
		wantGolden(t)
	})
}
