package snapshot

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
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
			for _, l := range Locate(nil, "m/a.csv.manifest.json", m, tt.named) {
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
	if _, err := Verify(ctx, nil, r.write(t, t.TempDir()), VerifyOptions{}); err == nil {
		t.Error("Verify with a context that has ended: no error")
	}
}

// twoReaders lets arrow read one file and the second reader another, and returns what differs in these row groups; nil:
// in those that are read by default.
func twoReaders(t *testing.T, a, b string, groups []int) string {
	t.Helper()
	l := &located{Located: Located{Path: a}, read: true, second: &Check{}}
	first, err := openParquet(nil, a)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close() //nolint:errcheck // only read
	f, err := (*blob.Files)(nil).Open(b)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	s := &second{check: l.second, first: first.(*parquetTable), path: a, file: f}
	if err := s.guard(s.open); err != nil {
		return err.Error()
	}
	if groups == nil {
		groups = sampleGroups(len(s.groups))
	}
	if _, err := s.compareGroups(t.Context(), groups); err != nil {
		return err.Error()
	}
	return strings.Join(l.second.Examples, "\n")
}

// TestTwoReaders: they see each difference there is between two files, and none in one.
func TestTwoReaders(t *testing.T) {
	spec := sinks.Spec{Carry: strangeCarry, Include: []string{"metadata", "evaluation_id", "value"}}
	outcomes := strangeOutcomes("a", "b", "c")[:400] // more than a batch of rows
	whole := writeOutput(t, "a.parquet", spec, outcomes)
	if got := twoReaders(t, whole, whole, nil); got != "" {
		t.Errorf("one file: %s", got)
	}
	if got, want := twoReaders(t, whole, writeOutput(t, "b.parquet", spec, outcomes[1:]), nil),
		"it sees 1086 rows, arrow 1089"; got != want {
		t.Errorf("a user less: %q, want %q", got, want)
	}
	if got, want := twoReaders(t, whole, writeOutput(t, "b.parquet", sinks.Spec{}, bare(outcomes)), nil),
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
			got := twoReaders(t, whole, writeOutput(t, "b.parquet", spec, other), nil)
			if want := "column " + column + ": the two read different values"; !strings.Contains(got, want) ||
				strings.Contains(got, "x,") {
				t.Errorf("another %s: %q, want %q", column, got, want)
			}
		})
	}
}

// writeGroups writes a Parquet file with two columns of numbers and a row group for each element, which is its first
// column.
func writeGroups(t *testing.T, groups [][]int64) string {
	t.Helper()
	var fields schema.FieldList
	for _, name := range []string{"a", "b"} {
		fields = append(fields, schema.NewInt64Node(name, parquet.Repetitions.Required, -1))
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root)
	for _, values := range groups {
		group := w.AppendRowGroup()
		for range fields {
			column, err := group.NextColumn()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := column.(*file.Int64ColumnChunkWriter).WriteBatch(values, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.parquet")
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSecondReaderSamples: by default the second reader compares the values of up to eight row groups, the first and
// the last among them, and the counts of all; a thorough one the values of all.
func TestSecondReaderSamples(t *testing.T) {
	for n, want := range map[int][]int{0: {}, 1: {0}, 2: {0, 1}, 8: {0, 1, 2, 3, 4, 5, 6, 7},
		9: {0, 1, 2, 3, 4, 5, 6, 8}, 20: {0, 2, 5, 8, 10, 13, 16, 19}, 77: {0, 10, 21, 32, 43, 54, 65, 76}} {
		if got := sampleGroups(n); !slices.Equal(got, want) {
			t.Errorf("sampleGroups(%d) = %v, want %v", n, got, want)
		}
	}
	groups := make([][]int64, 20)
	var all []int
	for g := range groups {
		all = append(all, g)
		for i := range 5 {
			groups[g] = append(groups[g], int64(5*g+i))
		}
	}
	whole := writeGroups(t, groups)
	edited := func(edit func(groups [][]int64)) string {
		other := make([][]int64, len(groups))
		for g := range groups {
			other[g] = slices.Clone(groups[g])
		}
		edit(other)
		return writeGroups(t, other)
	}
	for _, tt := range []struct {
		name   string
		edit   func(groups [][]int64)
		groups []int
		want   string // the first that differs
	}{
		{"the same", func([][]int64) {}, all, ""},
		{"in the first row group", func(g [][]int64) { g[0][0]++ }, nil, "record 1, column a: the two read different values"},
		{"in the last one", func(g [][]int64) { g[19][4]++ }, nil, "record 100, column a: the two read different values"},
		{"in one between", func(g [][]int64) { g[8][2]++ }, nil, "record 43, column a: the two read different values"},
		{"in one that is not read", func(g [][]int64) { g[7][2]++ }, nil, ""},
		{"in that one, with all", func(g [][]int64) { g[7][2]++ }, all, "record 38, column a: the two read different values"},
		{"other row groups", func(g [][]int64) { g[6], g[7] = append(g[6], g[7][0]), g[7][1:] }, nil,
			"row group 7: it sees 6 rows, arrow 5"},
		{"a row less", func(g [][]int64) { g[7] = g[7][1:] }, nil, "it sees 99 rows, arrow 100"},
		{"an empty row group", func(g [][]int64) { g[6], g[7] = append(g[6], g[7]...), nil }, nil,
			"row group 7: it sees 10 rows, arrow 5"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _, _ := strings.Cut(twoReaders(t, whole, edited(tt.edit), tt.groups), "\n")
			if got != tt.want {
				t.Errorf("row groups %v: %q, want %q", tt.groups, got, tt.want)
			}
		})
	}
	for thorough, want := range map[bool]string{
		false: "arrow and xitongsys/parquet-go see the same 20 row groups, and read the same 80 values in 8 of them",
		true:  "arrow and xitongsys/parquet-go read the same 200 values",
	} {
		l := &located{Located: Located{Path: whole}, read: true, second: &Check{}}
		(&verifier{ctx: t.Context(), thorough: thorough}).checkSecond(l)
		if l.second.Status == StatusFailed || l.second.Detail != want {
			t.Errorf("thorough %v: %+v, want %q", thorough, l.second, want)
		}
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
	verdict, err := Verify(t.Context(), nil, r.write(t, t.TempDir()), VerifyOptions{})
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
