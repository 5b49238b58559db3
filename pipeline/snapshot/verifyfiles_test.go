package snapshot

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sinks"
)

// TestLocate: where the files of a manifest are, wherever its folder went.
func TestLocate(t *testing.T) {
	folder := t.TempDir()
	t.Chdir(folder)
	for _, name := range []string{"m/a.csv", "m/sub/b.csv", "m/beside.csv", "elsewhere/c.csv", "elsewhere/beside.csv"} {
		t.Run(name, func(t *testing.T) {
			if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := os.Symlink("../elsewhere/c.csv", "m/link.csv"); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		paths []string // as the manifest has them
		named []string
		want  []string // where they are, and a note
	}{
		{"in the folder of the run", []string{"a.csv", "sub/b.csv"}, nil, []string{"m/a.csv", "m/sub/b.csv"}},
		{"in a folder below it", []string{"out/a.csv", "out/sub/b.csv"}, nil, []string{"m/a.csv", "m/sub/b.csv"}},
		{"by absolute names", []string{"/old/place/a.csv", "/old/place/sub/b.csv"}, nil, []string{"m/a.csv", "m/sub/b.csv"}},
		{"standard output", []string{"standard output", "x/a.csv"}, nil,
			[]string{" an output of this run went to standard output, and is not checked", "m/a.csv"}},
		{"outside", []string{"out/a.csv", "elsewhere/c.csv"}, nil,
			[]string{"m/a.csv", "elsewhere/c.csv elsewhere/c.csv is outside of the manifest's directory"}},
		{"outside and named", []string{"out/a.csv", "elsewhere/c.csv"}, []string{"elsewhere/c.csv"},
			[]string{"m/a.csv", "elsewhere/c.csv"}},
		{"moved and named", []string{"out/a.csv", "/gone/c.csv"}, []string{"elsewhere/c.csv"},
			[]string{"m/a.csv", "elsewhere/c.csv"}},
		{"outside, and beside now", []string{"out/a.csv", "elsewhere/beside.csv"}, nil, []string{
			"m/a.csv", "m/beside.csv beside.csv was written to another directory than the manifest's; the file beside the " +
				"manifest is used",
		}},
		{"a link that leads outside", []string{"a.csv", "link.csv"}, nil,
			[]string{"m/a.csv", "m/link.csv m/link.csv is outside of the manifest's directory"}},
		{"up and away", []string{"a.csv", "sub/../../../etc/passwd"}, nil,
			[]string{"m/a.csv", "../etc/passwd ../etc/passwd is outside of the manifest's directory"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := &Manifest{}
			for _, path := range tt.paths {
				m.Outputs = append(m.Outputs, File{Path: path})
			}
			var got []string
			for _, l := range Locate("m/a.csv.manifest.json", m, tt.named) {
				got = append(got, strings.TrimSuffix(l.Path+" "+l.Note, " "))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: %q, with %q named (-want +got):\n%s", tt.name, tt.paths, tt.named, diff)
			}
		})
	}
}

// TestVerifyNoFile: what a manifest lists may be anything.
func TestVerifyNoFile(t *testing.T) {
	r := *runs()["wide"]
	r.formats, r.outcomes = []string{"csv", "jsonl"}, r.outcomes[:20]
	folder := t.TempDir()
	manifest := r.write(t, folder)
	path := filepath.Join(folder, "a.jsonl")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	want := []string{"a.jsonl checksum: it is not a regular file"}
	if diff := cmp.Diff(want, findings(t, manifest)); diff != "" {
		t.Errorf("a directory for a file (-want +got):\n%s", diff)
	}
}

func TestVerifyEnds(t *testing.T) {
	r := *runs()["wide"]
	r.formats = []string{"csv", "parquet"}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Verify(ctx, r.write(t, t.TempDir()), nil); err == nil {
		t.Error("Verify with a context that has ended: no error")
	}
}

// twoReaders lets arrow read one file and the second reader another, and returns what differs.
func twoReaders(t *testing.T, a, b string) string {
	t.Helper()
	l := &located{Located: Located{Path: a}, read: true, second: &Check{}}
	first, err := openParquet(a)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // only read
	f, err := os.Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	s := &second{check: l.second, first: first.(*parquetTable), path: a, file: f}
	if err := s.guard(s.open); err != nil {
		return err.Error()
	}
	for i := range s.first.cols {
		if _, err := s.compareColumn(&verifier{ctx: t.Context()}, i); err != nil {
			return err.Error()
		}
	}
	return strings.Join(l.second.Examples, "\n")
}

// TestTwoReaders: they see each difference there is between two files, and none in one.
func TestTwoReaders(t *testing.T) {
	spec := sinks.Spec{Carry: strangeCarry, Include: []string{"metadata", "evaluation_id", "value"}}
	outcomes := strangeOutcomes("a", "b", "c")[:400] // more than a batch of rows
	whole := writeOutput(t, "a.parquet", spec, outcomes)
	if got := twoReaders(t, whole, whole); got != "" {
		t.Errorf("one file: %s", got)
	}
	if got, want := twoReaders(t, whole, writeOutput(t, "b.parquet", spec, outcomes[1:])),
		"it sees 1086 rows, arrow 1089"; got != want {
		t.Errorf("a user less: %q, want %q", got, want)
	}
	if got, want := twoReaders(t, whole, writeOutput(t, "b.parquet", sinks.Spec{}, bare(outcomes))),
		"it sees 9 columns, arrow 23"; got != want {
		t.Errorf("other columns: %q, want %q", got, want)
	}
	change := map[string]func(o *pipeline.Outcome){
		"row_number":   func(o *pipeline.Outcome) { o.Row.Number++ },
		"user_id":      func(o *pipeline.Outcome) { o.Row.User.UserID = "x" },
		"flag_key":     func(o *pipeline.Outcome) { o.Assignments[2].FlagKey = "x" },
		"payload":      func(o *pipeline.Outcome) { o.Assignments[2].Payload = "[]" },
		"evaluated_at": func(o *pipeline.Outcome) { o.At = o.At.Add(time.Millisecond) },
		"plan":         func(o *pipeline.Outcome) { o.Row.Carry[0].Text = "x" },
		"seats":        func(o *pipeline.Outcome) { o.Row.Carry[1].Num = 1 },
		"score":        func(o *pipeline.Outcome) { o.Row.Carry[2] = pipeline.FloatValue(2) },
		"beta":         func(o *pipeline.Outcome) { o.Row.Carry[3].Num = 0 },
		"since":        func(o *pipeline.Outcome) { o.Row.Carry[4] = pipeline.Value{} },
		"seen":         func(o *pipeline.Outcome) { o.Row.Carry[5].Num++ },
	}
	for column, f := range change {
		t.Run(column, func(t *testing.T) {
			other := strangeOutcomes("a", "b", "c")[:400]
			f(&other[390])
			got := twoReaders(t, whole, writeOutput(t, "b.parquet", spec, other))
			if want := "column " + column + ": the two read different values"; !strings.Contains(got, want) ||
				strings.Contains(got, "x,") {
				t.Errorf("another %s: %q, want %q", column, got, want)
			}
		})
	}
}

// bare are the outcomes without carried columns.
func bare(outcomes []pipeline.Outcome) []pipeline.Outcome {
	other := make([]pipeline.Outcome, len(outcomes))
	for i := range outcomes {
		other[i] = outcomes[i]
		other[i].Row.Carry = nil
	}
	return other
}

// TestSecondReaderPanicsAndHangs: neither ends the process.
func TestSecondReaderPanicsAndHangs(t *testing.T) {
	s := &second{}
	if err := s.guard(func() error { panic("oh") }); err == nil || err.Error() != "it panics: oh" {
		t.Errorf("a panic: %v", err)
	}
	var none []int
	if err := s.guard(func() error { none[3]++; return nil }); err == nil || err.Error() != "it panics" {
		t.Errorf("a panic of Go's runtime: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		err := s.guard(func() error { <-end; return nil })
		if err == nil || err.Error() != "it hangs: it took more than 1m0s" {
			t.Errorf("a hang: %v", err)
		}
		close(end)
	})
}

// TestNamesThatAreAlike: the second reader makes Go names of the columns', and two may become one.
func TestNamesThatAreAlike(t *testing.T) {
	r := *runs()["wide"]
	r.spec.Flags = []string{"plan", "Plan", "=a"}
	r.spec.Carry, r.options = nil, map[string]string{"flags": "plan,Plan,=a", "layout": "wide"}
	r.outcomes = bare(strangeOutcomes(r.spec.Flags...)[:50])
	r.formats = []string{"parquet"}
	verdict, err := Verify(t.Context(), r.write(t, t.TempDir()), nil)
	if err != nil || !verdict.OK {
		t.Fatalf("%+v, %v", verdict, err)
	}
	for _, c := range verdict.Checks {
		if c.Name == "two readers" && (c.Status != StatusSkipped ||
			c.Detail != "the second one cannot tell the columns plan and Plan apart") {
			t.Errorf("%+v", c)
		}
	}
}
