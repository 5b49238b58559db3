package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

// TestReplayChecksWhatTheJournalSays changes one record of a real journal, its frames all valid. Whatever does not fit
// the input, the request or the form of an answer must end the run, not end up in an output.
func TestReplayChecksWhatTheJournalSays(t *testing.T) {
	tests := []struct {
		name   string
		change func(records []journal.Record) []journal.Record
		want   string // of the message; "" goes on
	}{
		{"nothing", func(r []journal.Record) []journal.Record { return r }, ""},
		{"another request", func(r []journal.Record) []journal.Record { r[3].Request[0]++; return r },
			"row 4: the request is not the one"},
		{"another row", func(r []journal.Record) []journal.Record { r[3].Row = 400; return r[:4] },
			"row 4: the request is not the one"},
		{"a row left out", func(r []journal.Record) []journal.Record { return append(r[:3], r[4:]...) },
			"row 4: the request is not the one"},
		{"no answer", func(r []journal.Record) []journal.Record { r[3].Body = `{"x":`; return r },
			"row 4: the answer in the journal cannot be used"},
		{"more rows than there are", func(r []journal.Record) []journal.Record {
			for len(r) <= 13 {
				next := r[len(r)-1]
				next.Row++
				r = append(r, next)
			}
			return r
		}, "more rows than the input has"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			out := filepath.Join(folder, "a.csv")
			path := journal.PathFor(out)
			args := []string{"snapshot", "../../testdata/few.csv", "--server", "embedded", "--flag-configs",
				"../../testdata/flags.json", "--out", out}
			// The first 50 users failing would leave no journal, so a run that allows no failure is given one.
			users := filepath.Join(folder, "users.csv")
			text, err := os.ReadFile("../../testdata/few.csv")
			if err != nil {
				t.Fatal(err)
			}
			long := strings.Repeat("x", 9000)
			if err := os.WriteFile(users, append(text, (long+",,,,,,\n")...), 0o600); err != nil {
				t.Fatal(err)
			}
			args[1] = users
			if code, said := inProcess(t, append(args, "--max-errors", "0", "--concurrency", "1")...); code != exitFailed {
				t.Fatalf("%s: exit code %d, want %d; it said:\n%s", tt.name, code, exitFailed, said)
			}
			rewriteJournal(t, path, tt.change)
			code, said := inProcess(t, args...)
			if tt.want == "" {
				if code != exitSomeFailed || !strings.Contains(said, "resuming") {
					t.Errorf("%s: exit code %d, want %d; it said:\n%s", tt.name, code, exitSomeFailed, said)
				}
				return
			}
			if code != exitFailed || !strings.Contains(said, tt.want) || !strings.Contains(said, "--fresh") {
				t.Errorf("%s: exit code %d, want %d and %q; it said:\n%s", tt.name, code, exitFailed, tt.want, said)
			}
			if _, err := os.Stat(out); err == nil {
				t.Errorf("%s: it published", tt.name)
			}
		})
	}
}

// rewriteJournal writes a journal anew, with other records under the same header.
func rewriteJournal(t *testing.T, path string, change func([]journal.Record) []journal.Record) {
	t.Helper()
	r, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var records []journal.Record
	var rec journal.Record
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		records = append(records, rec)
	}
	if !errors.Is(err, io.EOF) || len(records) < 12 {
		t.Fatalf("%s has %d records, want at least 12 (%v)", path, len(records), err)
	}
	header := *r.Header()
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	w, err := journal.Create(path, header)
	if err != nil {
		t.Fatal(err)
	}
	for _, rec := range change(records) {
		if err := w.Append(&rec); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNewInputAfterCommit: a run died when only the last names of its files were missing, and the next one has another
// input. The first one's outputs are published, and with --overwrite those of the next replace them.
func TestNewInputAfterCommit(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		code int
		want string // the first user of the output
	}{
		{"--overwrite", []string{"--overwrite"}, exitOK, "next"},
		{"nothing is replaced", nil, exitFailed, "earlier"},
		{"the next one fails", []string{"--overwrite", "--min-users", "2"}, exitFailed, "earlier"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			users, out := filepath.Join(folder, "users.csv"), filepath.Join(folder, "a.csv")
			if err := os.WriteFile(users, []byte("user_id\nnext\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			w, err := journal.Create(journal.PathFor(out), journal.Header{RunID: "earlier",
				Options: map[string]string{"evaluator": "remote"}})
			if err != nil {
				t.Fatal(err)
			}
			var files []journal.CommittedFile
			for _, final := range []string{out, filepath.Join(folder, "a.errors.jsonl"), out + ".manifest.json"} {
				temp, err := durable.WriteTemp(final, []byte("earlier"))
				if err != nil {
					t.Fatal(err)
				}
				sum := sha256.Sum256([]byte("earlier"))
				files = append(files, journal.CommittedFile{Temp: filepath.Base(temp.Name()), Final: filepath.Base(final), Bytes: 7,
					SHA256: hex.EncodeToString(sum[:])})
			}
			if err := errors.Join(w.Commit(files), w.Close()); err != nil {
				t.Fatal(err)
			}
			code, said := inProcess(t, append([]string{"snapshot", users, "--server", "embedded", "--flag-configs",
				"../../testdata/flags.json",
				"--out", out}, tt.args...)...)
			if code != tt.code || !strings.Contains(said, "its outputs are published now") {
				t.Errorf("exit code %d, want %d, and that outputs are published; it said:\n%s", code, tt.code, said)
			}
			if got, err := os.ReadFile(out); err != nil || !strings.Contains(string(got), tt.want) {
				t.Errorf("a.csv holds %.100q, %v; want that of %q", got, err, tt.want)
			}
			if hidden, err := filepath.Glob(filepath.Join(folder, ".*")); len(hidden) > 0 || err != nil {
				t.Errorf("left %q, %v", hidden, err)
			}
		})
	}
}
