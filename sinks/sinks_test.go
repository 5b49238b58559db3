package sinks

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// goldenOutcomes are few and realistic; the conformance suite has the unusual ones.
func goldenOutcomes() []pipeline.Outcome {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	return []pipeline.Outcome{
		{
			Row: pipeline.Row{
				Number: 1, User: pipeline.User{UserID: "ana", DeviceID: "d-1"},
				Carry: []pipeline.Value{
					pipeline.StringValue("pro, annual"), pipeline.IntValue(12), pipeline.FloatValue(0.25), pipeline.BoolValue(true),
					{Kind: pipeline.Date, Text: "2026-01-01", Num: 20454},
					{Kind: pipeline.Timestamp, Text: "2026-01-01T12:00:00Z", Num: 1767268800000000},
					{Kind: pipeline.List, Members: []pipeline.Member{{Value: pipeline.StringValue("a")}}},
				},
			},
			Assignments: []pipeline.Assignment{
				{Assigned: true, Variant: pipeline.Variant{
					FlagKey: "checkout", Key: "treatment", Payload: `{"title": "Buy \"now\"", "n": 1}`, ExperimentKey: "exp-1",
					EvaluationID: "e", Value: "treatment", Metadata: `{"deployed":true}`,
				}},
				{Variant: pipeline.Variant{FlagKey: "dark-mode"}},
			},
			At: at, Attempts: 1, Cache: pipeline.Cache{State: pipeline.CacheHit, Aged: true, Age: 17},
		},
		{
			Row: pipeline.Row{Number: 2, Carry: make([]pipeline.Value, 7), Input: []pipeline.Member{
				{Name: "user_id", Value: pipeline.Value{}}, {Name: "plan", Value: pipeline.StringValue("free")},
			}},
			At: at.Add(time.Second), Err: pipeline.Errorf(pipeline.KindMissingID, "neither a user_id nor a device_id"),
		},
		{
			Row: pipeline.Row{Number: 3, User: pipeline.User{DeviceID: "=cmd()"}, Carry: make([]pipeline.Value, 7)},
			Assignments: []pipeline.Assignment{
				{Assigned: true, Variant: pipeline.Variant{FlagKey: "checkout", Key: "control", Payload: "-1"}},
				{Assigned: true, Variant: pipeline.Variant{FlagKey: "dark-mode", Key: "on", Payload: "[\n  1\n]"}},
			},
			At: at.Add(2 * time.Second), Attempts: 2,
		},
		{
			Row: pipeline.Row{Number: 4, User: pipeline.User{UserID: "bo"}, Carry: make([]pipeline.Value, 7)},
			At:  at.Add(3 * time.Second), Attempts: 5,
			Err: &pipeline.UserError{Kind: pipeline.KindUnavailable, HTTPStatus: 503, Attempts: 5, Message: "5 attempts: 503"},
		},
	}
}

var goldenCarry = []pipeline.Column{
	{Name: "plan"}, {Name: "seats", Type: pipeline.TypeInt}, {Name: "score", Type: pipeline.TypeFloat},
	{Name: "beta", Type: pipeline.TypeBool}, {Name: "since", Type: pipeline.TypeDate},
	{Name: "seen", Type: pipeline.TypeTimestamp}, {Name: "tags", Type: pipeline.TypeJSON},
}

// publish renames the files of closed outputs, as the command does.
func publish(outs ...*Output) error {
	for _, out := range outs {
		if info := out.Info(); info.Temp != "" {
			if err := durable.Rename(info.Temp, info.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeFile writes, closes and publishes.
func writeFile(t *testing.T, out *Output, err error, outcomes []pipeline.Outcome) Info {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	for i := range outcomes {
		if err := out.Write(&outcomes[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, err := range []error{out.Close(), publish(out)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.Info()
}

// appendRow appends one row of a table in which nothing varies.
func appendRow(f format, p *piece, row ...cell) {
	b := newBlock(0)
	b.shared, b.rows = row, []*tuple{&b.only}
	f.begin(&b)
	f.appendRows(p, &b, 0, pieceBytes)
}

func TestGolden(t *testing.T) {
	for _, test := range []struct {
		name string
		open func(string, Spec) (*Output, error)
		spec Spec
	}{
		{"assignments.csv", Create, Spec{Carry: goldenCarry}},
		{"assignments.tsv", Create, Spec{Carry: goldenCarry}},
		{"assignments.jsonl", Create, Spec{Carry: goldenCarry}},
		{"escaped.csv", Create, Spec{EscapeFormulas: true}},
		{"errors.csv", CreateErrors, Spec{}},
		{"errors.jsonl", CreateErrors, Spec{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), test.name)
			outcomes := goldenOutcomes()
			if test.spec.Carry == nil {
				for i := range outcomes {
					outcomes[i].Row.Carry = nil
				}
			}
			out, err := test.open(path, test.spec)
			writeFile(t, out, err, outcomes)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", test.name)
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update rewrites it):\n%s", golden, diff)
			}
		})
	}
}

func TestFormat(t *testing.T) {
	for name, want := range map[string]string{
		"users.csv": "csv", "out/users.csv.gz": "csv.gz", "a.b.tsv.zst": "tsv.zst", "X.JSONL": "jsonl",
		"x.jsonl.zst": "jsonl.zst",
		"u.parquet":   "parquet", ".csv": "csv",
		"users": "", "csv": "", "users.json": "", "users.parquet.gz": "", "users.csv.bz2": "", "u.csv/out": "", "": "",
		"u.xcsv": "", "-": "",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Format(name)
			if got != want || (err == nil) != (want != "") {
				t.Errorf("Format(%q) = %q, %v; want %q", name, got, err, want)
			}
			if err != nil && !strings.Contains(pipeline.Hint(err), ".jsonl") {
				t.Errorf("Format(%q): the hint %q does not name the formats", name, pipeline.Hint(err))
			}
		})
	}
	for name, want := range map[string]string{
		"users.csv.gz": "users", "out.d/a.b.parquet": "out.d/a.b", "U.CSV": "U", "users": "users", "users.json": "users.json",
		"": "",
	} {
		t.Run(name, func(t *testing.T) {
			if got := TrimFormat(name); got != want {
				t.Errorf("TrimFormat(%q) = %q, want %q", name, got, want)
			}
		})
	}
	for _, format := range []string{"", "xml", "parquet.gz", "a.csv/", "x/csv", "csv.gz.zst"} {
		t.Run(format, func(t *testing.T) {
			if _, err := NewStream(&bytes.Buffer{}, format, Spec{}); err == nil {
				t.Errorf("NewStream(%q) succeeded", format)
			}
		})
	}
	if out, err := NewStream(&bytes.Buffer{}, "CSV.gz", Spec{}); err != nil || out.Info().Format != "csv.gz" {
		t.Errorf("NewStream(CSV.gz): %v", err)
	}
	if _, err := Create(filepath.Join(t.TempDir(), "users.xls"), Spec{}); err == nil {
		t.Error("Create(users.xls) succeeded")
	}
}

func TestCSVCells(t *testing.T) {
	for _, test := range []struct{ in, csv, tsv, escaped string }{
		{"", `""`, `""`, `""`},
		{"plain", "plain", "plain", "plain"},
		{"a,b", `"a,b"`, "a,b", `"a,b"`},
		{"a\tb", "a\tb", "\"a\tb\"", "a\tb"},
		{`a"b`, `"a""b"`, `"a""b"`, `"a""b"`},
		{`"`, `""""`, `""""`, `""""`},
		{"a\nb", "\"a\nb\"", "\"a\nb\"", "\"a\nb\""},
		{"a\rb", "\"a\rb\"", "\"a\rb\"", "\"a\rb\""},
		{" a", `" a"`, `" a"`, `" a"`},
		{"a ", `"a "`, `"a "`, `"a "`},
		{"a b", "a b", "a b", "a b"},
		{`\.`, `"\."`, `"\."`, `"\."`},
		{`a\.`, `a\.`, `a\.`, `a\.`},
		{"a\x00b", "a\x00b", "a\x00b", "a\x00b"},
		{"=1", "=1", "=1", "'=1"},
		{"+1", "+1", "+1", "'+1"},
		{"-1", "-1", "-1", "'-1"},
		{"@a", "@a", "@a", "'@a"},
		{"\ta", "\ta", "\"\ta\"", "'\ta"},
		{"\ra", "\"\ra\"", "\"\ra\"", "\"'\ra\""},
		{"a=1", "a=1", "a=1", "a=1"},
		{`=a,"b"`, `"=a,""b"""`, `"=a,""b"""`, `"'=a,""b"""`},
	} {
		columns := []column{{name: "x"}}
		for what, want := range map[string]string{"csv": test.csv, "tsv": test.tsv, "escaped": test.escaped} {
			t.Run(fmt.Sprintf("%s of %q", what, test.in), func(t *testing.T) {
				comma := byte(',')
				if what == "tsv" {
					comma = '\t'
				}
				e, p := newCSV(columns, comma, what == "escaped"), &piece{}
				e.writeHeader(p)
				appendRow(e, p, cell{text: test.in})
				if got := string(p.text); got != "\"x\"\n"+want+"\n" {
					t.Errorf("%q, want %q", got, "\"x\"\n"+want+"\n")
				}
				formula := test.in != "" && strings.Contains("=+-@\t\r", test.in[:1])
				if (p.warnings == 1) != formula {
					t.Errorf("%d formulas counted", p.warnings)
				}
			})
		}
	}
}

func TestFormulas(t *testing.T) {
	var buf bytes.Buffer
	out, err := NewStream(&buf, "csv", Spec{Carry: []pipeline.Column{{Name: "=plan"}, {Name: "n", Type: pipeline.TypeInt}},
		EscapeFormulas: true})
	outcomes := []pipeline.Outcome{{
		Row: pipeline.Row{Number: -1, User: pipeline.User{UserID: "@a"}, Carry: []pipeline.Value{{}, pipeline.IntValue(-5)}},
		Assignments: []pipeline.Assignment{
			{Assigned: true, Variant: pipeline.Variant{FlagKey: "f", Key: "+on", Payload: "-1"}},
			{Variant: pipeline.Variant{FlagKey: "g"}},
		},
	}}
	info := writeFile(t, out, err, outcomes)
	want := `"row_number","user_id","device_id","flag_key","outcome","variant","payload","experiment_key","evaluated_at","'=plan","n"` + "\n" +
		"-1,'@a,,f,assigned,'+on,-1,,0001-01-01T00:00:00.000Z,,-5\n" +
		"-1,'@a,,g,not_assigned,,,,0001-01-01T00:00:00.000Z,,-5\n"
	if diff := cmp.Diff(want, buf.String()); diff != "" || info.Formulas != 4 {
		t.Errorf("%d formulas, want 4 (the header's, @a twice, +on); (-want +got):\n%s", info.Formulas, diff)
	}
}

// TestLoneSurrogates: no JSON cell of JSONL holds a lone surrogate, and those that did are counted.
func TestLoneSurrogates(t *testing.T) {
	var buf bytes.Buffer
	out, err := NewStream(&buf, "jsonl", Spec{Include: []string{"metadata"},
		Carry: []pipeline.Column{{Name: "c", Type: pipeline.TypeJSON}}})
	if err != nil {
		t.Fatal(err)
	}
	cut := pipeline.Value{Kind: pipeline.Number, Text: `"\udc00"`} // one that AppendJSON does not replace
	for row, payload := range []string{`"\ud83d\ude00"`, `"\ud83d"`, `"\ud83d"`} {
		t.Run(payload, func(t *testing.T) {
			o := &pipeline.Outcome{Row: pipeline.Row{Number: int64(row + 1), User: pipeline.User{UserID: "u"},
				Carry: []pipeline.Value{{}}}}
			o.Assignments = []pipeline.Assignment{{Assigned: true,
				Variant: pipeline.Variant{FlagKey: "f", Key: "on", Payload: payload}}}
			if row == 2 {
				o.Row.Carry[0] = cut
				o.Assignments[0].Metadata = `{"\ud800":1}`
			}
			if err := out.Write(o); err != nil {
				t.Fatal(err)
			}
		})
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	info := out.Info()
	if info.LoneSurrogates != 4 || info.FirstLoneSurrogate != 2 {
		t.Errorf("%d cells with lone surrogates, the first in row %d; want 4, and row 2", info.LoneSurrogates,
			info.FirstLoneSurrogate)
	}
	if n := strings.Count(buf.String(), `\ufffd`); n != 4 || strings.Contains(buf.String(), `\ud800`) ||
		strings.Count(buf.String(), `\ud83d`) != 1 {
		t.Errorf("%d lone surrogates replaced, want 4, and the pair unchanged:\n%s", n, buf.String())
	}
}

func TestCarryErrors(t *testing.T) {
	for _, carry := range [][]pipeline.Column{{{Name: "user_id"}}, {{Name: "a"}, {Name: "a"}}} {
		_, err := NewStream(&bytes.Buffer{}, "csv", Spec{Carry: carry})
		if err == nil || pipeline.Hint(err) == "" {
			t.Errorf("carry %v: error %v, hint %q", carry, err, pipeline.Hint(err))
		}
	}

	// A value that is not of its column's type would be a wrong value in Parquet.
	kinds := map[pipeline.Type][]pipeline.ValueKind{
		pipeline.TypeString: {pipeline.String, pipeline.Number}, pipeline.TypeInt: {pipeline.Int},
		pipeline.TypeFloat: {pipeline.Float},
		pipeline.TypeBool:  {pipeline.Bool}, pipeline.TypeDate: {pipeline.Date}, pipeline.TypeTimestamp: {pipeline.Timestamp},
		pipeline.TypeJSON: {
			pipeline.String, pipeline.Number, pipeline.Int, pipeline.Float, pipeline.Bool, pipeline.Timestamp, pipeline.Date,
			pipeline.List, pipeline.Object,
		},
		pipeline.TypeDecimal: {pipeline.String},
	}
	for typ, good := range kinds {
		for kind := pipeline.Null; kind <= pipeline.Object; kind++ {
			out, err := NewStream(&bytes.Buffer{}, "parquet",
				Spec{Carry: []pipeline.Column{{Name: "c", Type: typ, Precision: 3}}})
			if err != nil {
				t.Fatal(err)
			}
			o := pipeline.Outcome{Row: pipeline.Row{Number: 7, Carry: []pipeline.Value{{Kind: kind, Text: "0"}}},
				Assignments: make([]pipeline.Assignment, 1)}
			want := kind == pipeline.Null
			for _, k := range good {
				want = want || k == kind
			}
			t.Run(fmt.Sprintf("kind %d as %s", kind, typ), func(t *testing.T) {
				err := out.Write(&o)
				if (err == nil) != want {
					t.Errorf("error %v, want success: %v", err, want)
				}
				if err != nil && (!strings.Contains(err.Error(), "row 7") || !strings.Contains(err.Error(), `"c"`)) {
					t.Errorf("the error does not name the row and the column: %v", err)
				}
			})
		}
	}
	out, err := NewStream(&bytes.Buffer{}, "csv", Spec{})
	if err != nil {
		t.Fatal(err)
	}
	o := pipeline.Outcome{Row: pipeline.Row{Carry: make([]pipeline.Value, 1)}, Assignments: make([]pipeline.Assignment, 1)}
	if err := out.Write(&o); err == nil {
		t.Error("a carried value without a column was written")
	}
}

// TestInvalidUTF8: a text that is not UTF-8 does not make a file that other tools cannot read.
func TestInvalidUTF8(t *testing.T) {
	bad := "a\xffb"
	for _, format := range []string{"csv", "jsonl", "parquet"} {
		t.Run(format, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "out."+format)
			out, err := Create(path, Spec{Carry: []pipeline.Column{{Name: bad}}})
			writeFile(t, out, err, []pipeline.Outcome{{
				Row: pipeline.Row{User: pipeline.User{UserID: bad}, Carry: []pipeline.Value{pipeline.StringValue(bad)}},
				Assignments: []pipeline.Assignment{{Assigned: true, Variant: pipeline.Variant{
					FlagKey: bad, Key: bad, Payload: `"` + bad + `"`, ExperimentKey: bad,
				}}},
			}})
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(bad)) {
				t.Errorf("the file holds invalid UTF-8: %q", data)
			}
		})
	}
}

func TestDevFull(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer full.Close()
			out, err := NewStream(full, format, Spec{})
			if err != nil {
				t.Fatal(err)
			}
			if err := out.Write(&pipeline.Outcome{Assignments: make([]pipeline.Assignment, 1)}); err != nil {
				t.Fatal(err)
			}
			err = out.Close()
			if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "standard output") || pipeline.Hint(err) == "" {
				t.Errorf("error %v, hint %q; want ENOSPC, the name and a hint", err, pipeline.Hint(err))
			}
		})
	}
}

// TestLongName: the temporary name must fit where the final one does.
func TestLongName(t *testing.T) {
	path := filepath.Join(t.TempDir(), strings.Repeat("n", 251)+".csv")
	out, err := Create(path, Spec{})
	writeFile(t, out, err, nil)
	if ok, err := durable.Exists(path); !ok || err != nil {
		t.Errorf("Exists = %v, %v", ok, err)
	}
}

func TestMulti(t *testing.T) {
	open := func(t *testing.T, names ...string) (dir string, outs []*Output, m Multi) {
		dir = t.TempDir()
		for _, name := range names {
			out, err := Create(filepath.Join(dir, name), Spec{Carry: goldenCarry})
			if err != nil {
				t.Fatal(err)
			}
			outs, m = append(outs, out), append(m, out)
		}
		return dir, outs, m
	}
	files := func(dir string) (names []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	write := func(m Multi) error {
		outcomes := goldenOutcomes()
		for i := range outcomes {
			if err := m.Write(&outcomes[i]); err != nil {
				return err
			}
		}
		return nil
	}

	t.Run("all", func(t *testing.T) {
		dir, outs, m := open(t, "a.csv", "b.parquet", "c.jsonl.gz")
		for _, err := range []error{write(m), m.Close(), publish(outs...), m.Discard()} {
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff([]string{"a.csv", "b.parquet", "c.jsonl.gz"}, files(dir)); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
		for _, out := range outs {
			if out.Info().Rows != 4 {
				t.Errorf("%s: %d rows, want 4", out.Info().Path, out.Info().Rows)
			}
		}
	})
	t.Run("one fails", func(t *testing.T) {
		dir, outs, m := open(t, "a.csv", "b.csv", "c.csv")
		outs[1].file.Close() // so that its Close fails
		if err := write(m); err != nil {
			t.Fatal(err)
		}
		err := m.Close()
		if err == nil || !strings.Contains(err.Error(), "b.csv") || strings.Contains(err.Error(), "c.csv") {
			t.Errorf("Close: %v, want an error of b.csv alone", err)
		}
		for _, name := range files(dir) {
			if !strings.HasPrefix(name, ".") {
				t.Errorf("%s was published though b.csv failed", name)
			}
		}
		if err := m.Discard(); err != nil {
			t.Error(err)
		}
		if got := files(dir); len(got) > 0 {
			t.Errorf("Discard leaves %q", got)
		}
	})
	t.Run("write error", func(t *testing.T) {
		_, _, m := open(t, "a.csv", "b.csv")
		defer m.Discard()
		if err := m.Write(&pipeline.Outcome{Assignments: make([]pipeline.Assignment, 1)}); err == nil {
			t.Error("Write without the carried values succeeded")
		}
		if m.Close() == nil {
			t.Error("Close succeeded after a failed Write")
		}
	})
}

func TestAppendOneLine(t *testing.T) {
	for in, want := range map[string]string{
		`{"a": 1}`:                            `{"a": 1}`,
		"{\"a\":\n 1}":                        `{"a":1}`,
		"[ \"x  \\\" \\\\\",\r\n\t\"\\n y\"]": `["x  \" \\","\n y"]`,
		"\n\"\"\n":                            `""`,
		"[1,\r2]":                             "[1,2]",
		"\"\\":                                "\"\\",
	} {
		t.Run(in, func(t *testing.T) {
			if got := string(appendOneLine(nil, in)); got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

func TestFloats(t *testing.T) {
	for f, want := range map[float64]string{0: "0", -0.5: "-0.5", 1e21: "1e+21", math.Inf(1): "Infinity",
		math.Inf(-1): "-Infinity"} {
		t.Run(want, func(t *testing.T) {
			e, p := newCSV([]column{{name: "x", typ: pipeline.TypeFloat}}, ',', false), &piece{}
			e.writeHeader(p)
			appendRow(e, p, cell{num: int64(math.Float64bits(f))})
			if got := string(p.text); got != fmt.Sprintf("\"x\"\n%s\n", want) {
				t.Errorf("%v is written as %q", f, got)
			}
		})
	}
}

func TestParseDelimiter(t *testing.T) {
	for text, want := range map[string]byte{",": ',', ";": ';', "|": '|', "\t": '\t', `\t`: '\t', " ": ' ', "\x01": 1,
		"": 0, `"`: 0, "'": 0, "`": 0, "\n": 0, "\r": 0, "\x00": 0, "a": 0, "Z": 0, "7": 0, ";;": 0, "é": 0, "\xff": 0,
		".": 0, "-": 0, "+": 0, ":": 0, `\`: 0} {
		t.Run(fmt.Sprintf("%q", text), func(t *testing.T) {
			got, err := ParseDelimiter(text)
			if got != want || (err != nil) != (want == 0) {
				t.Errorf("ParseDelimiter(%q) = %q, %v; want %q", text, got, err, want)
			}
		})
	}
}

// TestDelimiters: the cells are the same with every delimiter, with a mark and without, and in pieces.
func TestDelimiters(t *testing.T) {
	write := func(t *testing.T, name string, spec Spec) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		spec.Carry = goldenCarry
		out, err := Create(path, spec)
		writeFile(t, out, err, goldenOutcomes())
		data, err := readText(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	want, err := parseCSV(write(t, "a.csv", Spec{}), ',')
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a.csv", "a.csv.gz", "a.csv.zst", "a.tsv"} {
		for _, d := range []byte(";|\t \x01,^~") {
			for _, bom := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s %q mark %v", name, d, bom), func(t *testing.T) {
					comma := d
					if name == "a.tsv" {
						comma = '\t'
					}
					data, marked := strings.CutPrefix(write(t, name, Spec{Delimiter: d, BOM: bom}), "\ufeff")
					got, err := parseCSV(data, comma)
					if err != nil || marked != bom {
						t.Fatalf("%s with delimiter %q: %v; a mark is %v, want %v", name, d, err, marked, bom)
					}
					if diff := cmp.Diff(want, got); diff != "" {
						t.Errorf("%s with delimiter %q (-want +got):\n%s", name, d, diff)
					}
				})
			}
		}
	}
}
