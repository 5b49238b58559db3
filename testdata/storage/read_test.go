//go:build storage

package storage

import (
	"bytes"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// finishedRuns makes two runs in the directory runs, with all that the commands read beside them, and puts its files into
// the store, below runs/. It returns the directory that it is in.
func finishedRuns(t *testing.T, s *store) string {
	t.Helper()
	dir := t.TempDir()
	runs := filepath.Join(dir, "runs")
	users := readFile(t, "../users.csv")
	flags := readFile(t, "../flags.json")
	vips := []string{"user_id"}
	for _, line := range strings.Split(string(users), "\n")[1:50] {
		vips = append(vips, strings.Split(line, ",")[0])
	}
	for name, data := range map[string]string{
		"users.csv": string(users), "later.csv": strings.ReplaceAll(string(users), ",pro,", ",free,"),
		"flags.json": string(flags), "cohorts/vip.csv": strings.Join(vips, "\n") + "\n",
		"object.schema.json": `{"type": "object"}`,
		"rules.yaml": "checks:\n  - users: {min: 1000}\n  - {payload: object.schema.json, flag: checkout-redesign}\n" +
			"  - {exposed: everybody, flag: checkout-redesign, cohort: vip}\n",
	} {
		path := filepath.Join(runs, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"users.csv", "--out", "a.csv.gz", "--out", "a.parquet", "--out", "a.jsonl"},
		{"later.csv", "--out", "b.parquet"},
	} {
		runIn(t, runs, 0, append([]string{"snapshot", "--evaluator", "local", "--flag-configs", "flags.json", "--carry",
			"country", "--max-errors", "10", "--quiet"}, args...)...)
	}
	err := filepath.WalkDir(runs, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			s.put(t, filepath.ToSlash(strings.TrimPrefix(path, dir+"/")), readFile(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// runIn runs the command in a directory, and returns what it prints and says.
func runIn(t *testing.T, dir string, wantCode int, args ...string) (printed, said string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(rollcall, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Errorf("rollcall %s: exit %d, want %d\n%s%s", strings.Join(args, " "), code, wantCode, &out, &errs)
	}
	return out.String(), errs.String()
}

// testReads runs the commands that read finished runs, with files in a store and with the same files here.
func testReads(t *testing.T, s *store) {
	server := s.start(t)
	dir := finishedRuns(t, s)
	// plain is a text without what another path changes in it.
	plain := func(text string) string {
		return strings.Join(strings.Fields(strings.ReplaceAll(text, s.url("runs/"), "runs/")), " ")
	}
	wantSameOutput := func(t *testing.T, code int, command string) {
		t.Helper()
		here := strings.Fields(command)
		there := strings.Fields(strings.ReplaceAll(command, "runs/", s.url("runs/")))
		want, said := runIn(t, dir, code, here...)
		got, gotSaid := runIn(t, dir, code, there...)
		if plain(got) != plain(want) || plain(gotSaid) != plain(said) {
			t.Errorf("rollcall %s prints\n%s%s\nwant as of local files\n%s%s", strings.Join(there, " "), got, gotSaid, want,
				said)
		}
	}
	for _, test := range []struct {
		code    int
		command string
	}{
		{0, "verify runs/a.csv.gz"},
		{0, "verify runs/a.csv.gz.manifest.json runs/b.parquet --format json"},
		{0, "verify runs/a.parquet --thorough"},
		{0, "report runs/a.csv.gz"},
		{0, "report runs/a.parquet --format json --by country --flag-configs runs/flags.json --checksums"},
		{0, "report runs/a.jsonl --cohort vip=runs/cohorts/vip.csv --by cohort.vip"},
		{0, "report runs/b.parquet --cohorts runs/cohorts --format markdown"},
		{4, "check runs/rules.yaml runs/a.parquet --cohorts runs/cohorts"},
		{0, "check --init runs/a.csv.gz"},
		{0, "diff runs/a.csv.gz runs/b.parquet"},
		{0, "diff runs/a.parquet runs/b.parquet --format json --cohorts runs/cohorts --only cohort.vip"},
		{0, "explain --row 3 runs/users.csv --flag-configs runs/flags.json"},
	} {
		t.Run(test.command, func(t *testing.T) { wantSameOutput(t, test.code, test.command) })
	}
	t.Run("diff here and there", func(t *testing.T) {
		want, _ := runIn(t, dir, 0, "diff", "runs/a.parquet", "runs/b.parquet")
		got, _ := runIn(t, dir, 0, "diff", "runs/a.parquet", s.url("runs/b.parquet"))
		if plain(got) != plain(want) || !strings.Contains(want, "user") {
			t.Errorf("diff of a local file and one in the store prints\n%s\nwant\n%s", got, want)
		}
	})
	t.Run("load", func(t *testing.T) {
		sql, _ := runIn(t, dir, 0, "load", s.url("runs/a.csv.gz.manifest.json"), "--for", "duckdb")
		if !strings.Contains(sql, "read_parquet('"+s.url("runs/a.parquet")+"')") {
			t.Errorf("load prints\n%s\nwant the URL of the Parquet file", sql)
		}
	})
	t.Run("html", func(t *testing.T) {
		runIn(t, dir, 0, "report", s.url("runs/a.parquet"), "--html", s.url("pages/report.html"), "--quiet")
		_, said := runIn(t, dir, 1, "report", s.url("runs/a.parquet"), "--html", s.url("pages/report.html"), "--quiet")
		if !strings.Contains(said, s.url("pages/report.html")+" exists") {
			t.Errorf("a page that exists: %s", said)
		}
		runIn(t, dir, 0, "report", s.url("runs/a.parquet"), "--html", s.url("pages/report.html"), "--quiet", "--overwrite")
	})
	t.Run("no manifest", func(t *testing.T) {
		s.put(t, "alone/a.parquet", readFile(t, filepath.Join(dir, "runs", "a.parquet")))
		out, said := runIn(t, dir, 4, "verify", s.url("alone/a.parquet"))
		if !strings.Contains(plain(out), "there is no manifest "+s.url("alone/a.parquet.manifest.json")) {
			t.Errorf("an output without its manifest:\n%s%s", out, said)
		}
		_, said = runIn(t, dir, 1, "verify", s.url("alone/none.parquet"))
		if !strings.Contains(said, s.url("alone/none.parquet")+": no such object") {
			t.Errorf("an object that is not there: %s", said)
		}
	})
	t.Run("a file is missing", func(t *testing.T) {
		s.put(t, "moved/a.csv.gz.manifest.json", readFile(t, filepath.Join(dir, "runs", "a.csv.gz.manifest.json")))
		s.put(t, "moved/a.csv.gz", readFile(t, filepath.Join(dir, "runs", "a.csv.gz")))
		out, _ := runIn(t, dir, 4, "verify", s.url("moved/a.csv.gz"))
		if n := strings.Count(out, "the file does not exist"); n != 3 {
			t.Errorf("verify finds %d files missing, want 3:\n%s", n, out)
		}
	})
	for _, command := range []string{"verify runs/a.csv.gz", "report runs/a.parquet",
		"check runs/rules.yaml runs/a.jsonl --cohorts runs/cohorts", "diff runs/a.parquet runs/b.parquet"} {
		t.Run("replaced while read/"+command, func(t *testing.T) {
			args := strings.Fields(strings.ReplaceAll(command, "runs/", s.url("runs/")))
			i := slices.IndexFunc(args, func(arg string) bool { return strings.Contains(arg, "runs/a.") })
			name := strings.TrimPrefix(args[i], s.url("runs/"))
			done := false
			server.breakWith(t, func(r *http.Request) http.HandlerFunc {
				isContent := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, name) &&
					(s.scheme != "gs" || r.URL.Query().Get("alt") == "media")
				if isContent && !done { // its version is known by now
					done = true
					server.mu.Unlock()
					s.put(t, "runs/"+name, append(readFile(t, filepath.Join(dir, "runs", name)), '\n'))
					server.mu.Lock()
				}
				return nil
			})
			_, said := runIn(t, dir, 75, args...)
			server.breakWith(t, nil)
			if !done || !strings.Contains(plain(said), "the object changed while it was read") {
				t.Errorf("replaced %t, and it says %q, want that the object changed", done, said)
			}
			s.put(t, "runs/"+name, readFile(t, filepath.Join(dir, "runs", name)))
		})
	}
	t.Run("every other request fails", func(t *testing.T) {
		var n atomic.Int64
		server.breakWith(t, func(*http.Request) http.HandlerFunc {
			switch n.Add(1) % 4 {
			case 1:
				return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }
			case 3:
				return reset
			}
			return nil
		})
		wantSameOutput(t, 0, "verify runs/a.csv.gz")
		wantSameOutput(t, 0, "report runs/a.parquet --by country")
		server.breakWith(t, nil)
	})
	t.Run("an outage", func(t *testing.T) {
		server.breakWith(t, func(*http.Request) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(r.Header.Get("Authorization") + s.secret))
			}
		})
		out, said := runIn(t, dir, 75, "verify", s.url("runs/a.csv.gz"))
		wantNothing(t, s, dir, said, "the store could not answer (status 503)")
		if strings.Contains(out, "NOT OK") {
			t.Errorf("an outage is a finding:\n%s", out)
		}
	})
}

func TestS3Reads(t *testing.T)    { testReads(t, s3Store) }
func TestGCSReads(t *testing.T)   { testReads(t, gcsStore) }
func TestAzureReads(t *testing.T) { testReads(t, azureStore) }
