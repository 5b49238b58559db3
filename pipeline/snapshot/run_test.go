package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// flagged is a run with two flags that were asked for, and error records of that format.
func flagged(errorFormat string) *run {
	flags := []string{"b-flag", "=a"}
	return &run{
		spec:    sinks.Spec{Flags: flags, Carry: strangeCarry, EscapeFormulas: true},
		options: map[string]string{"flags": strings.Join(flags, ","), "csv-formulas": "escape"},
		formats: []string{"csv", "jsonl", "parquet"}, errors: errorFormat, outcomes: strangeOutcomes(flags...),
	}
}

// readUsers reads the users of a run to the end.
func readUsers(t *testing.T, r *Run) (n int64) {
	t.Helper()
	reader, err := r.Users(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close() //nolint:errcheck // only read
	var u User
	for {
		if err := reader.Next(&u); err == io.EOF {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		n++
	}
}

// A run that is as it was written is opened by its manifest and by each of its outputs, without a problem.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	manifest := flagged("jsonl").write(t, dir)
	for path, want := range map[string]string{manifest: "a.csv", "a.csv": "a.csv", "a.jsonl": "a.jsonl",
		"a.parquet": "a.parquet"} {
		t.Run(filepath.Base(path), func(t *testing.T) {
			if path != manifest {
				path = filepath.Join(dir, path)
			}
			r, err := Open(nil, path)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Base(r.Path) != want || r.ManifestPath != manifest || r.Manifest == nil || r.Listed == nil {
				t.Errorf("path %s, manifest %s; want %s, %s, and what the manifest says", r.Path, r.ManifestPath, want, manifest)
			}
			if n := readUsers(t, r); n != r.Manifest.Users.Answered {
				t.Errorf("%d users, want %d", n, r.Manifest.Users.Answered)
			}
			compared, err := r.Checksum(t.Context())
			if err = errors.Join(err, r.CheckSize()); err != nil || !compared {
				t.Errorf("checksum compared: %v, %v", compared, err)
			}
			if len(r.Problems) > 0 {
				t.Errorf("problems: %v; want none", r.Problems)
			}
		})
	}
}

// What a changed output has wrong is found while it is read, and said in one wording.
func TestRunProblems(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(dir string, csv []byte) []byte
		want   []string
	}{
		{"no manifest", func(dir string, csv []byte) []byte {
			os.Remove(filepath.Join(dir, "a.csv.manifest.json")) //nolint:errcheck // a missing one fails the test
			return csv
		}, []string{"there is no manifest beside it: the run is not finished, or the file was moved alone"}},
		{"a row less", func(_ string, csv []byte) []byte { return csv[:bytes.LastIndexByte(csv[:len(csv)-1], '\n')+1] },
			[]string{
				"it has 1,999 rows, the manifest says 2,000",
				"flag =a: 666 users are assigned, the manifest says 667",
				"flag =a, variant control: 266 users, the manifest says 267",
				"it has 315,074 bytes, the manifest says 315,273",
			}},
		{"a variant", func(_ string, csv []byte) []byte {
			return bytes.Replace(csv, []byte(",treatment,"), []byte(",other,"), 1)
		}, []string{
			"flag =a, variant treatment: 266 users, the manifest says 267",
			"flag =a, variant other: 1 user, the manifest has no such variant",
			"it has 315,269 bytes, the manifest says 315,273",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			flagged("jsonl").write(t, dir)
			path := filepath.Join(dir, "a.csv")
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, tt.change(dir, data), 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(nil, path)
			if err != nil {
				t.Fatal(err)
			}
			readUsers(t, r)
			if err := r.CheckSize(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, Describe(r.Problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDescribe(t *testing.T) {
	problems := []Problem{
		{Code: NotListed}, {Code: WrongUsers, Got: 1, Want: 1200}, {Code: Disagreeing, Got: 2, Column: "plan"},
		{Code: RepeatedFlag, Got: 1},
		{Code: Disordered, Got: 3}, {Code: WrongRows, Got: 1, Want: 2}, {Code: WrongSize, Got: 1, Want: 2},
		{Code: WrongChecksum},
	}
	for i := range 5 {
		problems = append(problems, Problem{Code: WrongVariant, Flag: "a\x1b", Variant: fmt.Sprint("v", i), Got: 1})
	}
	want := []string{
		"the manifest does not list it",
		"it has 1 user, the manifest says that 1,200 were answered",
		"2 users have rows that disagree, for example in column plan",
		"1 user has the same flag more than once",
		"3 users are not sorted by row number, and may be duplicated",
		"it has 1 row, the manifest says 2",
		"it has 1 byte, the manifest says 2",
		"its checksum is not the one in the manifest: it was changed after the run",
		`flag "a\x1b", variant v0: 1 user, the manifest says 0`,
		`flag "a\x1b", variant v1: 1 user, the manifest says 0`,
		`flag "a\x1b", variant v2: 1 user, the manifest says 0`,
		"2 more differences from the counts in the manifest",
	}
	if diff := cmp.Diff(want, Describe(problems)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	manifest := flagged("jsonl").write(t, dir)
	if _, err := Open(nil, filepath.Join(dir, "a.errors.jsonl")); err == nil ||
		!strings.Contains(err.Error(), "holds the error records of a run") {
		t.Errorf("error records: %v", err)
	}
	if _, err := OpenAll(nil, []string{manifest, filepath.Join(dir, "a.jsonl")}); err == nil ||
		!strings.Contains(err.Error(), "are of the same run") {
		t.Errorf("two outputs of one run: %v", err)
	}
	if runs, err := OpenAll(nil, []string{manifest}); err != nil || runs[0].Once.Failed != runs[0].Manifest.Users.Failed {
		t.Errorf("one run: %v", err)
	}
	for _, name := range []string{"a.csv", "a.jsonl", "a.parquet"} {
		t.Run(name, func(t *testing.T) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		})
	}
	if _, err := Open(nil, manifest); err == nil || !strings.Contains(err.Error(),
		"no output of this run is a file that can be read") {
		t.Errorf("no output: %v", err)
	}
	if _, err := Open(nil, filepath.Join(dir, "a.csv")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// The ids of failed users are those of the input, whether the error records escape formulas or not.
func TestEachFailedUnescapesIDs(t *testing.T) {
	for _, format := range []string{"csv", "tsv", "jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			failing := flagged(format)
			for i := range failing.outcomes {
				failing.outcomes[i].Row.User.UserID = "=1+1"
			}
			r, err := Open(nil, failing.write(t, t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			err = r.EachFailed(nil, func(number int64, userID []byte, _ []pipeline.Value) bool {
				if n++; string(userID) != "=1+1" {
					t.Errorf("row %d: user id %q, want %q", number, userID, "=1+1")
				}
				return n < 3
			})
			if err != nil || n != 3 {
				t.Errorf("%d records, %v; want 3", n, err)
			}
		})
	}
}

// Error records of every format have the original rows of failed users, until the caller has enough of them.
func TestEachFailed(t *testing.T) {
	for _, format := range []string{"csv", "tsv", "jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			failing := flagged(format)
			for i := range failing.outcomes {
				if o := &failing.outcomes[i]; o.Err != nil && o.Row.Number == 7 {
					o.Row.Input = nil
				} else if o.Err != nil && o.Row.Number == 29 {
					o.Row.Input = []pipeline.Member{{Name: badRow, Value: pipeline.Value{Kind: pipeline.Object}}}
				}
			}
			r, err := Open(nil, failing.write(t, t.TempDir()))
			if err != nil {
				t.Fatal(err)
			}
			var rows []int64
			err = r.EachFailed([]string{"plan", "user_id"}, func(number int64, _ []byte, values []pipeline.Value) bool {
				rows = append(rows, number)
				if number == 7 || number == 29 {
					if values != nil {
						t.Errorf("row %d: values %v, want none", number, values)
					}
				} else if want := []pipeline.Value{{}, pipeline.StringValue("x\ny")}; !cmp.Equal(want, values) {
					t.Errorf("row %d: values %v, want %v", number, values, want)
				}
				return len(rows) < 4
			})
			if want := []int64{7, 29, 51, 73}; err != nil || !slices.Equal(rows, want) {
				t.Errorf("rows %v, %v; want %v", rows, err, want)
			}
		})
	}
}

// What a run read is found where it was, or where it has moved along with the outputs, as long as it is the same.
func TestRunInputs(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	file := func(dir, name, content string) File {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		sum, size, err := hashFile(context.Background(), nil, path)
		if err != nil {
			t.Fatal(err)
		}
		return File{Path: path, Bytes: size, SHA256: sum}
	}
	m := &Manifest{Outputs: []File{{Path: filepath.Join(first, "a.csv")}},
		Inputs: []File{file(first, "users.csv", "user_id\n1\n")}}
	configs := file(first, "flags.json", "[]")
	m.FlagConfigs = &configs
	for _, dir := range []string{first, second} {
		r := &Run{Path: filepath.Join(dir, "a.csv"), Manifest: m}
		if dir == second {
			if _, err := r.Inputs(t.Context()); err != nil {
				t.Errorf("the output moved alone: %v", err)
			}
			for _, name := range []string{"users.csv", "flags.json"} {
				if err := os.Rename(filepath.Join(first, name), filepath.Join(second, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
		inputs, err := r.Inputs(t.Context())
		if err != nil || len(inputs) != 1 || inputs[0].Path != filepath.Join(dir, "users.csv") {
			t.Errorf("inputs %v, %v", inputs, err)
		}
		if data, err := r.FlagConfigs(t.Context()); err != nil || string(data) != "[]" {
			t.Errorf("flag configurations %s, %v", data, err)
		}
	}
	r := &Run{Path: filepath.Join(second, "a.csv"), Manifest: m}
	file(second, "users.csv", "user_id\n2\n")
	if _, err := r.Inputs(t.Context()); err == nil || !strings.Contains(err.Error(), "has changed since the run read it") {
		t.Errorf("a changed input: %v", err)
	}
	if err := os.Remove(filepath.Join(second, "flags.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := r.FlagConfigs(t.Context()); err == nil || !strings.Contains(err.Error(), "is no longer there") {
		t.Errorf("missing flag configurations: %v", err)
	}
}
