//go:build storage

package storage

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// store is one of the stores, with the bucket "bucket".
type store struct {
	name   string
	scheme string
	start  func(t *testing.T) *server
	open   func(ctx context.Context, bucket string) (blob.Bucket, error)
	secret string
}

// put writes an object, or replaces it.
func (s *store) put(t *testing.T, key string, data []byte) {
	t.Helper()
	b, err := s.open(t.Context(), "bucket")
	if err != nil {
		t.Fatal(err)
	}
	b = blob.WithRetries(b, "")
	var c blob.Condition
	if a, err := b.Stat(t.Context(), key); err == nil {
		c.Version = a.Version
	} else if !errors.Is(err, blob.ErrNotExist) {
		t.Fatal(err)
	}
	u, err := b.Stage(t.Context(), key, c)
	if err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(data, blob.PartSize) {
		if err := u.Write(t.Context(), part); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := u.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (s *store) url(key string) string { return s.scheme + "://bucket/" + key }

// runCommand runs the command in a directory of its own, which it returns.
func runCommand(t *testing.T, wantCode int, args ...string) (dir, said string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command(rollcall, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	if code := cmd.ProcessState.ExitCode(); code != wantCode {
		t.Errorf("rollcall %s: exit %d, want %d\n%s", strings.Join(args, " "), code, wantCode, out)
	}
	return dir, string(out)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readAssignments is an output without the column evaluated_at, in which two runs differ.
func readAssignments(t *testing.T, dir string) string {
	t.Helper()
	rows, err := csv.NewReader(bytes.NewReader(readFile(t, filepath.Join(dir, "a.csv")))).ReadAll()
	if err != nil || len(rows) == 0 {
		t.Fatalf("read the output: %d rows, %v", len(rows), err)
	}
	at := slices.Index(rows[0], "evaluated_at")
	var text strings.Builder
	for _, row := range rows {
		text.WriteString(strings.Join(slices.Delete(row, at, at+1), "|") + "\n")
	}
	return text.String()
}

// snapshotArgs are the arguments of a run of INPUT without the API.
func snapshotArgs(t *testing.T, inputs ...string) []string {
	t.Helper()
	flags, err := filepath.Abs("../flags.json")
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]string{"snapshot"}, inputs...), "--out", "a.csv", "--max-errors", "10", "--evaluator", "local",
		"--flag-configs", flags, "--progress", "none")
}

// wantSame compares a run of URLs with one of local files.
func wantSame(t *testing.T, urls, paths []string, options ...string) (dir string) {
	t.Helper()
	want, _ := runCommand(t, 0, append(snapshotArgs(t, paths...), options...)...)
	got, _ := runCommand(t, 0, append(snapshotArgs(t, urls...), options...)...)
	if g, w := readAssignments(t, got), readAssignments(t, want); g != w {
		t.Errorf("%s: %d bytes of assignments, %d from the local file, and not the same", urls, len(g), len(w))
	}
	return got
}

// inputs are the test users in every format, by name.
func inputs(t *testing.T) map[string][]byte {
	t.Helper()
	text := readFile(t, "../users.csv")
	rows, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var jsonl, tsv, gz, zst bytes.Buffer
	w := csv.NewWriter(&tsv)
	w.Comma = '\t'
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	lines := json.NewEncoder(&jsonl)
	for _, row := range rows[1:] {
		object := map[string]string{}
		for i, cell := range row {
			if cell != "" {
				object[rows[0][i]] = cell
			}
		}
		if err := lines.Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	_, gerr := g.Write(text)
	_, zerr := z.Write(jsonl.Bytes())
	if err := errors.Join(gerr, zerr, g.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"users.csv": text, "users.tsv": tsv.Bytes(), "users.jsonl": jsonl.Bytes(),
		"users.csv.gz": gz.Bytes(), "users.jsonl.zst": zst.Bytes(), "users.parquet": readFile(t, "../users.parquet")}
}

// testInputs runs the command with inputs in a store.
func testInputs(t *testing.T, s *store) {
	server := s.start(t)
	local := t.TempDir()
	files := inputs(t)
	for name, data := range files {
		s.put(t, "in/"+name, data)
		if err := os.WriteFile(filepath.Join(local, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	table := filepath.Join(local, "table")
	for i, part := range []string{"dt=2026-11-27/a.parquet", "dt=2026-11-28/a.parquet"} {
		_ = i
		path := filepath.Join(table, part)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700),
			os.WriteFile(path, files["users.parquet"], 0o600)); err != nil {
			t.Fatal(err)
		}
		s.put(t, "table/"+part, files["users.parquet"])
	}
	s.put(t, "table/_SUCCESS", nil)
	both := []string{filepath.Join(table, "dt=2026-11-27/a.parquet"), filepath.Join(table, "dt=2026-11-28/a.parquet")}

	for name := range files {
		t.Run(name, func(t *testing.T) {
			dir := wantSame(t, []string{s.url("in/" + name)}, []string{filepath.Join(local, name)})
			var m struct {
				Inputs []struct {
					Path, SHA256 string
					Bytes        int64
				}
			}
			if err := json.Unmarshal(readFile(t, filepath.Join(dir, "a.csv.manifest.json")), &m); err != nil ||
				len(m.Inputs) != 1 || m.Inputs[0].Path != s.url("in/"+name) || m.Inputs[0].Bytes != int64(len(files[name])) ||
				len(m.Inputs[0].SHA256) != 64 {
				t.Errorf("the manifest's inputs are %+v, %v; want the URL, %d bytes and a checksum", m.Inputs, err,
					len(files[name]))
			}
		})
	}
	t.Run("glob", func(t *testing.T) {
		wantSame(t, []string{s.url("table/*/*.parquet")}, both, "--carry", "dt")
		wantSame(t, []string{s.url("tab**/*.parq*et"), s.url("**/a.parquet")}[1:], both, "--carry", "dt")
	})
	t.Run("directory", func(t *testing.T) {
		wantSame(t, []string{s.url("table/")}, []string{table}, "--carry", "dt")
		wantSame(t, []string{s.url("table")}, []string{table}, "--carry", "dt")
	})
	t.Run("directory of text", func(t *testing.T) {
		for _, name := range []string{"users.csv", "users.jsonl.zst"} {
			dir := filepath.Join(local, "hive-"+name)
			for _, part := range []string{"country=DE/dt=1", "country=__HIVE_DEFAULT_PARTITION__/dt=a%2Fb"} {
				path := filepath.Join(dir, part, name)
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, files[name], 0o600)); err != nil {
					t.Fatal(err)
				}
				s.put(t, "hive-"+name+"/"+part+"/"+name, files[name])
			}
			wantSame(t, []string{s.url("hive-" + name)}, []string{dir}, "--carry", "dt,country")
		}
	})
	t.Run("mixed", func(t *testing.T) {
		wantSame(t, []string{s.url("table/dt=2026-11-27/a.parquet"), both[1]}, both)
	})
	t.Run("all properties", func(t *testing.T) {
		wantSame(t, []string{s.url("in/users.parquet")}, []string{filepath.Join(local, "users.parquet")}, "--properties",
			"all")
	})
	t.Run("error records", func(t *testing.T) {
		dir, _ := runCommand(t, 0, snapshotArgs(t, s.url("in/users.csv"))...)
		s.put(t, "in/a.errors.jsonl", readFile(t, filepath.Join(dir, "a.errors.jsonl")))
		again, _ := runCommand(t, 0, append(snapshotArgs(t, s.url("in/a.errors.jsonl")), "--min-users", "0")...)
		first, second := readFile(t, filepath.Join(dir, "a.errors.jsonl")), readFile(t, filepath.Join(again, "a.errors.jsonl"))
		if n := bytes.Count(first, []byte("\n")); n == 0 || n != bytes.Count(second, []byte("\n")) {
			t.Errorf("%d users failed, and %d when they were read from the store", n, bytes.Count(second, []byte("\n")))
		}
	})
	t.Run("flags", func(t *testing.T) {
		s.put(t, "flags.json", readFile(t, "../flags.json"))
		s.put(t, "flags.txt", []byte("dark-mode\nnew-player\n"))
		args := snapshotArgs(t, s.url("in/users.csv"))
		args[slices.Index(args, "--flag-configs")+1] = s.url("flags.json")
		want, _ := runCommand(t, 0, append(snapshotArgs(t, s.url("in/users.csv")), "--flags", "dark-mode,new-player")...)
		got, _ := runCommand(t, 0, append(args, "--flags-from", s.url("flags.txt"))...)
		if readAssignments(t, got) != readAssignments(t, want) {
			t.Error("with the flags in the store the assignments are others")
		}
		if _, said := runCommand(t, 0, "flags", "--flag-configs", s.url("flags.json")); !strings.Contains(said, "dark-mode") {
			t.Errorf("flags prints %q", said)
		}
	})
	t.Run("dry run", func(t *testing.T) {
		if _, said := runCommand(t, 0, append(snapshotArgs(t, s.url("in/users.csv")), "--dry-run")...); !strings.Contains(said,
			"Users:        2,000") {
			t.Errorf("the dry run does not count the users:\n%s", said)
		}
	})

	for _, test := range []struct {
		name, url string
		code      int
		want      []string
	}{
		{"no object", "in/none.csv", 1, []string{"open " + s.url("in/none.csv") + ": no such object"}},
		{"no match", "in/none*.csv", 1, []string{"no object matches " + s.url("in/none*.csv")}},
		{"twice", "in/users.csv " + s.url("in/users.csv"), 64, []string{"is given twice"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, said := runCommand(t, test.code, snapshotArgs(t, strings.Fields(s.url(test.url))...)...)
			wantNothing(t, s, dir, said, test.want...)
		})
	}
	t.Run("no bucket", func(t *testing.T) {
		dir, said := runCommand(t, 1, snapshotArgs(t, s.scheme+"://no-bucket/x.csv")...)
		wantNothing(t, s, dir, said, s.scheme+"://no-bucket/x.csv: no such bucket", "check the name")
	})
	t.Run("a table", func(t *testing.T) {
		s.put(t, "delta/part-0.parquet", files["users.parquet"])
		s.put(t, "delta/_delta_log/00000000000000000000.json", []byte("{}"))
		for _, url := range []string{"delta", "delta/*.parquet", "delta/part-0.parquet"} {
			dir, said := runCommand(t, 1, snapshotArgs(t, s.url(url))...)
			wantNothing(t, s, dir, said, "is a Delta Lake table")
		}
	})
	for _, name := range []string{"users.csv", "users.parquet"} {
		t.Run("replaced while read/"+name, func(t *testing.T) {
			// The last request for its bytes comes after the run has begun; before it, another object has the name.
			reads := countReads(t, server, name, nil)
			runCommand(t, 0, snapshotArgs(t, s.url("in/"+name))...)
			total := reads.Load()
			done := false
			countReads(t, server, name, func(n int64) {
				if n == total && !done {
					done = true
					s.put(t, "in/"+name, append(slices.Clone(files[name]), '\n'))
				}
			})
			dir, said := runCommand(t, 75, snapshotArgs(t, s.url("in/"+name))...)
			wantNothing(t, s, dir, said, s.url("in/"+name)+" changed while it was read")
			if !done {
				t.Errorf("the object was not replaced: %d requests", total)
			}
			s.put(t, "in/"+name, files[name])
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
		dir, _ := runCommand(t, 0, snapshotArgs(t, s.url("in/users.csv"))...)
		server.breakWith(t, nil)
		want, _ := runCommand(t, 0, snapshotArgs(t, filepath.Join(local, "users.csv"))...)
		if readAssignments(t, dir) != readAssignments(t, want) {
			t.Error("with failing requests the assignments are others")
		}
	})
	t.Run("an outage", func(t *testing.T) {
		server.breakWith(t, func(*http.Request) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = w.Write([]byte(r.Header.Get("Authorization") + s.secret))
			}
		})
		dir, said := runCommand(t, 75, snapshotArgs(t, s.url("in/users.csv"))...)
		wantNothing(t, s, dir, said, s.url("in/users.csv")+": the store could not answer (status 503)")
	})
}

// countReads counts the requests for the content of an object. before is called for each, before it is answered.
func countReads(t *testing.T, server *server, name string, before func(n int64)) *atomic.Int64 {
	var n atomic.Int64
	server.breakWith(t, func(r *http.Request) http.HandlerFunc {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, name) {
			if n := n.Add(1); before != nil {
				server.mu.Unlock()
				before(n)
				server.mu.Lock()
			}
		}
		return nil
	})
	return &n
}

// wantNothing checks that a run published nothing, said these texts, and no secret.
func wantNothing(t *testing.T, s *store, dir, said string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(said, text) {
			t.Errorf("it says %q, want %q", said, text)
		}
	}
	if strings.Contains(said, s.secret) || strings.Contains(said, "Signature=") {
		t.Errorf("it says a secret: %q", said)
	}
	if _, err := os.Stat(filepath.Join(dir, "a.csv")); err == nil {
		t.Error("an output was published")
	}
}
