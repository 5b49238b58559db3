package pipelinetest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// SinkFormat is an output format for [TestSink] to test.
type SinkFormat struct {
	Format string // the extension of its files, such as csv.gz

	RunID string // the run id in the error records

	Assignments func(path string, carry []pipeline.Column) (Output, error)
	Errors      func(path string) (Output, error)
	Stream      func(w io.Writer, carry []pipeline.Column) (Output, error)

	// Readers are functions that read a file back, by name; preferably two that share no code.
	Readers map[string]func(path string) (Table, error)

	// JSON is set for JSON lines: a file without records is empty; a JSON text that spans lines loses the white space
	// between its tokens, because a record is a line; and a number that JSON lacks is null.
	JSON bool
}

// Output is a sink that ends in a file.
type Output interface {
	pipeline.Sink
	Temp() (temp, path string) // the names before and after the file is renamed; "" for a stream
	Discard() error
	Written() (rows, bytes int64, sha256 string) // after Close
}

// Table is the content of an output.
type Table struct {
	Columns []string
	Rows    [][]Cell
}

// Cell is a value of any type as text: numbers in decimal, times in RFC 3339 and UTC, JSON as written.
type Cell struct {
	Text string
	Null bool
}

// TestSink checks that a format does what every output must do: all values that are written can be read back; no file
// has the final name before the rename, and none is left after Discard; a run without rows gives a valid file; an error
// is reported by the call that meets it and by all later ones; and only strings of an outcome are retained.
func TestSink(t *testing.T, f SinkFormat) {
	t.Run("assignments", func(t *testing.T) { f.checkRoundTrip(t, makeOutcomes(), false) })
	t.Run("errors", func(t *testing.T) { f.checkRoundTrip(t, makeOutcomes(), true) })
	t.Run("no outcomes", func(t *testing.T) {
		f.checkRoundTrip(t, nil, false)
		f.checkRoundTrip(t, nil, true)
	})
	t.Run("nobody answered, nobody failed", func(t *testing.T) {
		var answered, failed []pipeline.Outcome
		for _, o := range makeOutcomes() {
			if o.Err == nil {
				answered = append(answered, o)
			} else {
				failed = append(failed, o)
			}
		}
		f.checkRoundTrip(t, failed, false)
		f.checkRoundTrip(t, answered, true)
	})
	t.Run("stream", f.testStream)
	t.Run("published or not at all", f.testStages)
	t.Run("discard", f.testDiscard)
	t.Run("failing writer", f.testFailingWriter)
	t.Run("bad paths", f.testBadPaths)
}

// createOutput creates an output for error records, or for assignments.
func (f *SinkFormat) createOutput(t *testing.T, path string, records bool) Output {
	t.Helper()
	var o Output
	var err error
	if records {
		o, err = f.Errors(path)
	} else {
		o, err = f.Assignments(path, sinkCarry)
	}
	if err != nil {
		t.Fatalf("create %s: %v", path, err)
	}
	return o
}

// writeAll writes the outcomes as the pipeline does, reusing the memory of one Outcome.
func writeAll(sink pipeline.Sink, outcomes []pipeline.Outcome) error {
	var o pipeline.Outcome
	for i := range outcomes {
		assignments, carry, input := o.Assignments, o.Row.Carry, o.Row.Input
		o = outcomes[i]
		o.Assignments = append(assignments[:0], o.Assignments...)
		o.Row.Carry = append(carry[:0], o.Row.Carry...)
		if o.Row.Input != nil {
			o.Row.Input = append(input[:0:0], o.Row.Input...)
		}
		if err := sink.Write(&o); err != nil {
			return err
		}
		clear(o.Assignments)
		clear(o.Row.Carry)
		clear(o.Row.Input)
	}
	return nil
}

func (f *SinkFormat) checkRoundTrip(t *testing.T, outcomes []pipeline.Outcome, records bool) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out."+f.Format)
	out := f.createOutput(t, path, records)
	for _, err := range []error{writeAll(out, outcomes), out.Close(), publish(out)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := f.wantAssignments(outcomes)
	if records {
		want = f.wantErrors(outcomes)
	}
	if f.JSON && len(want.Rows) == 0 {
		want.Columns = nil // the columns are named in the records, and there are none
	}
	for name, read := range f.Readers {
		got, err := read(path)
		if err != nil {
			t.Errorf("%s, read by %s: %v", path, name, err)
			continue
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, read by %s (-want +got):\n%s", path, name, diff)
		}
	}

	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(data)
	rows, size, hash := out.Written()
	if rows != int64(len(want.Rows)) || size != int64(len(data)) || hash != hex.EncodeToString(sum[:]) {
		t.Errorf("Written: %d rows, %d bytes, %s; the file has %d, %d, %x", rows, size, hash, len(want.Rows), len(data), sum)
	}
	mode := fs.FileMode(0o600)
	if !records {
		plain, err := os.Create(filepath.Join(t.TempDir(), "plain")) // shows the umask
		if err != nil {
			t.Fatal(err)
		}
		defer plain.Close()
		info, err := plain.Stat()
		if err != nil {
			t.Fatal(err)
		}
		mode = info.Mode()
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != mode {
		t.Errorf("mode of %s: %v (%v), want %v", path, info.Mode(), err, mode)
	}
}

// testStream checks that standard output gets the same bytes as a file.
func (f *SinkFormat) testStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out."+f.Format)
	file := f.createOutput(t, path, false)
	var buf bytes.Buffer
	stream, err := f.Stream(&buf, sinkCarry)
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []Output{file, stream} {
		for _, err := range []error{writeAll(out, makeOutcomes()), out.Close(), publish(out), out.Discard()} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), want) {
		t.Errorf("the stream differs from the file:\n%q\nfile:\n%q", buf.Bytes(), want)
	}
	_, size, hash := stream.Written()
	if _, wantSize, wantHash := file.Written(); size != wantSize || hash != wantHash {
		t.Errorf("Written of the stream: %d, %s; of the file: %d, %s", size, hash, wantSize, wantHash)
	}
}

// publish renames the file of a closed output, like the command.
func publish(out Output) error {
	temp, path := out.Temp()
	if temp == "" {
		return nil
	}
	return os.Rename(temp, path)
}

// testStages checks that the file with the final name stays untouched until the rename.
func (f *SinkFormat) testStages(t *testing.T) {
	for _, before := range []string{"", "precious"} {
		dir := t.TempDir()
		path := filepath.Join(dir, "out."+f.Format)
		if before != "" {
			if err := os.WriteFile(path, []byte(before), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		untouched := func(stage string) {
			t.Helper()
			data, err := os.ReadFile(path)
			if string(data) != before || before == "" && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s holds %q (%v), want %q", stage, path, data, err, before)
			}
		}
		out := f.createOutput(t, path, false)
		untouched("created")
		if err := writeAll(out, makeOutcomes()); err != nil {
			t.Fatal(err)
		}
		untouched("written")
		for range 2 {
			if err := out.Close(); err != nil {
				t.Fatal(err)
			}
			untouched("closed")
		}
		if err := out.Write(&pipeline.Outcome{}); err == nil {
			t.Error("Write after Close succeeded")
		}
		for _, end := range []func() error{func() error { return publish(out) }, out.Discard} {
			if err := end(); err != nil {
				t.Errorf("after the rename: %v", err)
			}
			if got := listFiles(t, dir); len(got) != 1 || got[0] != filepath.Base(path) {
				t.Errorf("after the rename the directory has %q, want only %q", got, filepath.Base(path))
			}
		}
		if data, err := os.ReadFile(path); err != nil || string(data) == before {
			t.Errorf("after the rename %s holds %q (%v)", path, data, err)
		}
	}
}

// testDiscard checks that Discard leaves no file at any stage, and that all later calls fail.
func (f *SinkFormat) testDiscard(t *testing.T) {
	stages := []func(Output) error{
		func(Output) error { return nil },
		func(o Output) error { return writeAll(o, makeOutcomes()) },
		func(o Output) error { return errors.Join(writeAll(o, makeOutcomes()), o.Close()) },
	}
	for i, stage := range stages {
		dir := t.TempDir()
		out := f.createOutput(t, filepath.Join(dir, "out."+f.Format), i%2 == 1)
		if err := stage(out); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := out.Discard(); err != nil {
				t.Errorf("stage %d: Discard: %v", i, err)
			}
		}
		if got := listFiles(t, dir); len(got) > 0 {
			t.Errorf("stage %d: Discard leaves %q", i, got)
		}
		if out.Write(&pipeline.Outcome{}) == nil || out.Close() == nil {
			t.Errorf("stage %d: Write or Close succeeded after Discard", i)
		}
		if got := listFiles(t, dir); len(got) > 0 {
			t.Errorf("stage %d: after Write and Close there is %q", i, got)
		}
	}
}

// errDisk is the error of a failingWriter.
var errDisk = errors.New("the disk is on fire")

type failingWriter struct{ after int }

func (w *failingWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.after)
	w.after -= n
	if n < len(p) {
		return n, errDisk
	}
	return n, nil
}

// testFailingWriter checks that an error of the writer is returned, at whatever byte it comes, and again by later
// calls.
func (f *SinkFormat) testFailingWriter(t *testing.T) {
	var whole bytes.Buffer
	out, err := f.Stream(&whole, sinkCarry)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeAll(out, makeOutcomes()), out.Close()); err != nil {
		t.Fatal(err)
	}
	for _, after := range []int{0, 1, 4, whole.Len() / 2, whole.Len() - 1} {
		out, err := f.Stream(&failingWriter{after}, sinkCarry)
		if err == nil {
			err = writeAll(out, makeOutcomes())
		}
		if err == nil {
			err = out.Close()
		}
		if !errors.Is(err, errDisk) {
			t.Errorf("writer that fails after %d of %d bytes: %v, want the writer's error", after, whole.Len(), err)
			continue
		}
		for name, again := range map[string]func() error{
			"Write": func() error { return out.Write(&makeOutcomes()[0]) }, "Close": out.Close,
		} {
			if err := again(); !errors.Is(err, errDisk) {
				t.Errorf("%s after the writer failed: %v, want the writer's error again", name, err)
			}
		}
	}
}

// testBadPaths checks that a path that cannot become a file is refused at once, and that no file is left.
func (f *SinkFormat) testBadPaths(t *testing.T) {
	dir := t.TempDir()
	taken := filepath.Join(dir, "directory."+f.Format)
	if err := os.Mkdir(taken, 0o755); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link."+f.Format)
	if err := os.Symlink(plain, link); err != nil {
		t.Fatal(err)
	}
	before := listFiles(t, dir)
	for what, path := range map[string]string{
		"missing directory":              filepath.Join(dir, "missing", "out."+f.Format),
		"a file in place of a directory": filepath.Join(plain, "out."+f.Format),
		"a directory of that name":       taken,
		"a symbolic link":                link,
	} {
		for kind, create := range map[string]func() (Output, error){
			"assignments": func() (Output, error) { return f.Assignments(path, nil) },
			"errors":      func() (Output, error) { return f.Errors(path) },
		} {
			if _, err := create(); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, %s: error %v, want one that names %s", what, kind, err, path)
			}
		}
	}
	if diff := cmp.Diff(before, listFiles(t, dir)); diff != "" {
		t.Errorf("files after failed creations (-before +after):\n%s", diff)
	}
}

func listFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// sinkCarry are carried columns of all types.
var sinkCarry = []pipeline.Column{
	{Name: "plan", Type: pipeline.TypeString},
	{Name: "seats", Type: pipeline.TypeInt},
	{Name: "score", Type: pipeline.TypeFloat},
	{Name: "beta", Type: pipeline.TypeBool},
	{Name: "born", Type: pipeline.TypeDate},
	{Name: "seen at, \"last\"", Type: pipeline.TypeTimestamp},
	{Name: "tags", Type: pipeline.TypeJSON},
	{Name: "cents", Type: pipeline.TypeDecimal, Precision: 9, Scale: 9},
	{Name: "balance", Type: pipeline.TypeDecimal, Precision: 18},
	{Name: "wei", Type: pipeline.TypeDecimal, Precision: 38, Scale: 18},
}

// makeOutcomes returns outcomes with all values that a format may get wrong.
func makeOutcomes() []pipeline.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))
	texts := []string{
		"", "u1", "007", "1e5", " spaces ", "a,b", "a\tb", `say "hi"`, "two\nlines", "two\r\nlines", "cr\rcr", "\n", `"`,
		`""`,
		`\.`, "null", "NULL", "NaN", "=1+1", "+1", "-1", "@x", "\ttab", "nul\x00nul", "\x01\x1f\x7f", "Grüße 🎉",
		"\u2028\u2029",
		"\ufeffbom", "</script>&", "{}", strings.Repeat("long ", 2000),
	}
	payloads := []string{
		"", "null", "true", "-12.50", "12345678901234567890", `""`, `"=1+1"`, `"quote \" comma , tab \t"`, "[]",
		`[1, 2 ,{"a": "b c"}]`,
		"{\n  \"a\": \"x  y\",\r\n\t\"b\\\"\": [1, 2]\n}", `{"ü":"\u00fc"}`, strings.Repeat("[", 500) +
			strings.Repeat("]", 500),
	}
	micros := []int64{0, 1_767_323_045_678_901, -1, 1_767_323_045_000_000}
	decimals := [][3]string{
		{"0.000000000", "0", "0.000000000000000000"}, {"-0.999999999", "-999999999999999999",
			"-99999999999999999999.999999999999999999"},
		{"0.999999999", "999999999999999999", "99999999999999999999.999999999999999999"},
		{"-0.000000001", "-1", "-0.000000000000000001"},
	}
	floats := []float64{0, -0.5, 1e21, 1e-7, math.MaxFloat64, math.NaN(), math.Inf(1), math.Inf(-1), 1.0 / 3}
	var outcomes []pipeline.Outcome
	for i, text := range texts {
		row := pipeline.Row{Number: int64(i + 1), User: pipeline.User{UserID: text, DeviceID: texts[len(texts)-1-i]}}
		day, stamp := int64(i*1000-5000), micros[i%len(micros)]
		row.Carry = []pipeline.Value{
			pipeline.StringValue(text),
			pipeline.IntValue(math.MaxInt64 - int64(i)),
			pipeline.FloatValue(floats[i%len(floats)]),
			pipeline.BoolValue(i%2 == 0),
			{Kind: pipeline.Date, Num: day, Text: time.Unix(day*86400, 0).UTC().Format(time.DateOnly)},
			{Kind: pipeline.Timestamp, Num: stamp, Text: time.UnixMicro(stamp).UTC().Format(time.RFC3339Nano)},
			{Kind: pipeline.List, Members: []pipeline.Member{{Value: pipeline.StringValue(text)},
				{Value: pipeline.IntValue(1)}}},
		}
		for _, d := range decimals[i%len(decimals)] {
			row.Carry = append(row.Carry, pipeline.StringValue(d))
		}
		switch {
		case i%5 == 4: // nulls
			clear(row.Carry)
		case i%5 == 3: // a number that was read from JSON keeps its digits
			row.Carry[0] = pipeline.Value{Kind: pipeline.Number, Text: "1.50"}
		}
		o := pipeline.Outcome{Row: row, At: at.Add(time.Duration(i) * time.Hour), Attempts: 1}
		for j := range i % 4 {
			v := pipeline.Variant{FlagKey: fmt.Sprintf("flag-%d", j)}
			assigned := (i+j)%3 > 0
			if assigned {
				v.Key, v.Payload, v.ExperimentKey = text, payloads[(i+j)%len(payloads)], texts[(i+7)%len(texts)]
				v.EvaluationID, v.Value, v.Metadata = "eval", "on", `{"a":1}` // nobody asked for these
			}
			o.Assignments = append(o.Assignments, pipeline.Assignment{Variant: v, Assigned: assigned})
		}
		outcomes = append(outcomes, o)

		bad := pipeline.Outcome{Row: row, At: o.At, Attempts: i, Err: &pipeline.UserError{
			Kind: pipeline.Kinds[i%len(pipeline.Kinds)], HTTPStatus: i % 3 * 200, Attempts: i, Message: text,
		}}
		bad.Row.Number += 1000
		if i%2 == 1 {
			bad.Row.Input = []pipeline.Member{
				{Name: "user_id", Value: pipeline.StringValue(text)}, {Name: "a", Value: pipeline.Value{}},
				{Name: text + "!", Value: row.Carry[1]},
			}
		}
		if i%7 == 6 { // a row that did not decode has no values
			bad.Row.Carry = nil
			bad.Row.User = pipeline.User{}
		}
		outcomes = append(outcomes, bad)
	}
	return outcomes
}

// wantAssignments returns the assignments of the outcomes as an independent implementation of the contract.
func (f *SinkFormat) wantAssignments(outcomes []pipeline.Outcome) Table {
	table := Table{Columns: []string{
		"row_number", "user_id", "device_id", "flag_key", "outcome", "variant", "payload", "experiment_key", "evaluated_at",
	}}
	for _, c := range sinkCarry {
		table.Columns = append(table.Columns, c.Name)
	}
	for _, o := range outcomes {
		if o.Err != nil {
			continue
		}
		for _, a := range o.Assignments {
			outcome := "not_assigned"
			if a.Assigned {
				outcome = "assigned"
			}
			row := []Cell{
				{Text: fmt.Sprint(o.Row.Number)}, textCell(o.Row.User.UserID), textCell(o.Row.User.DeviceID), {Text: a.FlagKey},
				{Text: outcome}, textCell(a.Key), f.jsonCell(a.Payload), textCell(a.ExperimentKey), timeCell(o.At),
			}
			for i, v := range o.Row.Carry {
				row = append(row, f.carriedCell(sinkCarry[i].Type, v))
			}
			table.Rows = append(table.Rows, row)
		}
	}
	return table
}

// wantErrors is like wantAssignments, for the error records.
func (f *SinkFormat) wantErrors(outcomes []pipeline.Outcome) Table {
	table := Table{Columns: []string{
		"row_number", "user_id", "device_id", "kind", "http_status", "attempts", "message", "occurred_at", "input", "run_id",
	}}
	for _, o := range outcomes {
		if o.Err == nil {
			continue
		}
		status, input := Cell{Null: true}, Cell{Null: true}
		if o.Err.HTTPStatus != 0 {
			status = Cell{Text: fmt.Sprint(o.Err.HTTPStatus)}
		}
		if o.Row.Input != nil {
			input = Cell{Text: string(pipeline.AppendObject(nil, o.Row.Input))}
		}
		table.Rows = append(table.Rows, []Cell{
			{Text: fmt.Sprint(o.Row.Number)}, textCell(o.Row.User.UserID), textCell(o.Row.User.DeviceID),
			{Text: string(o.Err.Kind)},
			status, {Text: fmt.Sprint(o.Attempts)}, {Text: o.Err.Message}, timeCell(o.At), input, textCell(f.RunID),
		})
	}
	return table
}

func textCell(s string) Cell { return Cell{Text: s, Null: s == ""} }

func timeCell(t time.Time) Cell { return Cell{Text: t.UTC().Format("2006-01-02T15:04:05.000Z")} }

func (f *SinkFormat) jsonCell(text string) Cell {
	if f.JSON && strings.ContainsAny(text, "\r\n") {
		text = `{"a":"x  y","b\"":[1,2]}` // the only one of sinkOutcomes
	}
	if f.JSON && text == "null" {
		return Cell{Null: true} // a JSON null and an absent payload are the same there
	}
	return textCell(text)
}

func (f *SinkFormat) carriedCell(typ pipeline.Type, v pipeline.Value) Cell {
	if v.Kind == pipeline.Null {
		return Cell{Null: true}
	}
	if v.Kind == pipeline.Float && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		names := map[string]string{"NaN": "NaN", "+Inf": "Infinity", "-Inf": "-Infinity"}
		return Cell{Text: names[fmt.Sprint(v.Float())], Null: f.JSON}.clearNullText()
	}
	if typ == pipeline.TypeTimestamp {
		return Cell{Text: time.UnixMicro(v.Num).UTC().Format("2006-01-02T15:04:05.000000Z")}
	}
	if typ == pipeline.TypeJSON {
		return Cell{Text: string(v.AppendJSON(nil))}
	}
	return Cell{Text: string(v.AppendText(nil))}
}

// clearNullText returns c without its text if it is null.
func (c Cell) clearNullText() Cell {
	if c.Null {
		c.Text = ""
	}
	return c
}
