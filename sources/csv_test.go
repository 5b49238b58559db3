package sources

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// Well-formed and broken rows of CSV. rows are as joinIDs writes them.
func TestCSVFaults(t *testing.T) {
	long := strings.Repeat("x", maxRecord+10)
	for _, test := range []struct {
		name, data string
		rows       string
		message    string // part of the first bad row's message
	}{
		{"byte order mark", "\ufeffuser_id,x\na,1\n", "1:a", ""},
		{"byte order mark before a quoted header", "\ufeff\"user_id\",x\na,1\n", "1:a", ""},
		{"crlf", "user_id,x\r\na,1\r\nb,2\r\n", "1:a 2:b", ""},
		{"no newline at the end", "user_id,x\na,1\nb,2", "1:a 2:b", ""},
		{"quoted newlines", "user_id,x\n\"a\nb\",1\nc,\"1\n\n2\"\nd,\n", "1:a\nb 2:c 3:d", ""},
		{"too few cells", "user_id,x,y\na,1\nb,1,2\n", "1:!bad_row 2:b", "line 2: the row has 2 cells, but the header has 3"},
		{"too many cells", "user_id,x\na,1,\nb,1\n", "1:!bad_row 2:b", "line 2: the row has 3 cells, but the header has 2"},
		{"white space is no blank line", "user_id,x\n \na,1\n", "1:!bad_row 2:a", "line 2"},
		{"a quote inside a cell is a character", "user_id,x\na,5\" disk\nb\",1\n\"c\",x\"y\"\n", "1:a 2:b\" 3:c", ""},
		{"a quote inside a cell, then a quoted one", "user_id,x\na\",\"1\n2\"\nb,1\n", "1:a\" 2:b", ""},
		{"unclosed quote before a row of several lines", "user_id,x\na,\"oops\nb,\"1\n2\"\nc,1\n", "1:!bad_row 2:b 3:c",
			"line 2: a quote inside"},
		{"quote that is not doubled", "user_id,x\na,\"5\" disk\"\nb,1\n", "1:!bad_row 2:b", "line 2: a quote inside"},
		{"unclosed quote", "user_id,x\na,1\nb,\"oops\nc,3\nd,4\n", "1:a 2:!bad_row 3:c 4:d",
			"line 3: a quote is opened and never closed"},
		{"unclosed quote at the end", "user_id,x\na,1\nb,\"", "1:a 2:!bad_row", "line 3"},
		{"unclosed quote before quoted rows", "user_id,x\nb,\"oops\n\"c\",3\n\"d\",\"4\"\n", "1:!bad_row 2:c 3:d",
			"line 2: a quote inside"},
		{"unclosed quote, then doubled ones", "user_id,x\nb,\"oops\n\"\"\"\"\"\",3\nc,\"\"\n", "1:!bad_row 2:\"\" 3:c",
			"line 2"},
		{"unclosed quote over 1 MiB", "user_id,x\na,\"" + strings.Repeat("\nb,"+long[:1<<16], 1+maxRecord>>16) + "\"\n", "",
			""},
		{"blank lines", "\n\nuser_id,x\n\na,1\n\r\n\nb,2\n\n", "1:a 2:b", ""},
		{"blank lines in one column", "user_id\na\n\nb\n\r\nc\n", "1:a 2:!missing_id 3:b 4:!missing_id 5:c",
			"line 3: neither"},
		{"empty cell in one column", "user_id\n\"\"\na\n", "1:!missing_id 2:a", ""},
		{"NUL", "user_id,x\na\x00b,1\nc,2\n", "1:!bad_row 2:c", "line 2: the row holds a NUL byte"},
		{"a line over 1 MiB", "user_id,x\na," + long + "\nb,1\n", "1:!bad_row 2:b", "line 2: the line is longer than 1 MiB"},
		{"a last line over 1 MiB", "user_id,x\nb,1\na," + long + long, "1:b 2:!bad_row", "line 3"},
		{"header only", "user_id,x\n", "", ""},
		{"header only, no newline", "user_id", "", ""},
		{"header in another case", "User_ID,X\na,1\n", "1:a", ""},
		{"no ids", "user_id,device_id,x\n,,1\n,d,\n", "1:!missing_id 2:/d", ""},
		{"carriage return inside", "user_id,x\na\rb,1\n\"c\r\n\",2\n\"\r\",3\n", "1:a\rb 2:c\r\n 3:\r", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "users.csv", []byte(test.data), Options{})
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(test.name, "over 1 MiB") && test.rows == "" {
				if len(rows) < maxRecord>>16 || rows[0].Err == "" || rows[1].ID != "b" || rows[1].Err != "" {
					t.Fatalf("%d rows, the first %+v, %+v", len(rows), rows[0], rows[1])
				}
				return
			}
			if g := joinIDs(rows); g != test.rows {
				t.Errorf("got %q, want %q", g, test.rows)
			}
			for _, r := range rows {
				if r.Err != "" {
					if !strings.Contains(r.Err, test.message) {
						t.Errorf("message %q, want %q", r.Err, test.message)
					}
					if bad := fmt.Sprintf(`{"%s":{`, badRowName); strings.HasPrefix(r.Err, "bad_row") &&
						!strings.HasPrefix(r.Input, bad) {
						t.Errorf("a row that does not decode has the input %s, want one that begins with %s", r.Input, bad)
					}
					break
				}
			}
		})
	}
}

// A file that cannot be used is an error that names the file and the line, with a hint.
func TestCSVRefused(t *testing.T) {
	utf16 := func(s string) string {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r), byte(r>>8))
		}
		return string(b)
	}
	for _, test := range []struct {
		name, data  string
		want, hint  string
		encoding    bool
		afterHeader int // rows before the error
	}{
		{name: "empty file", data: "", want: "the file is empty", hint: "first line"},
		{name: "blank lines only", data: "\n\n", want: "the file is empty", hint: "first line"},
		{name: "byte order mark only", data: "\ufeff", want: "the file is empty", hint: "first line"},
		{name: "two ids", data: "user_id,x,user_id\n", want: "the columns user_id (column 1) and user_id (column 3) are " +
			"both user_id", hint: "--map"},
		{name: "no header", data: "u-17,DE\nu-18,FR\n", want: "none of the 2 columns is user_id or device_id",
			hint: "first line"},
		{name: "unclosed quote in the header", data: "\"user_id,x\na,1\n", want: "line 1: the header cannot be read",
			hint: ""},
		{name: "lines that end in \\r", data: "user_id,x\ra,1\rb,2\r", want: "carriage return", hint: `\r`},
		{name: "\\r in the header", data: "user_id,x\ry\na,1\n", want: "a carriage return in the header", hint: `\r`},
		{name: "UTF-16 with a mark", data: "\xff\xfe" + utf16("user_id,x\na,1\n"), want: "line 1: this is UTF-16",
			hint: "iconv", encoding: true},
		{name: "UTF-16 big endian", data: "\xfe\xff\x00u", want: "line 1: this is UTF-16", hint: "iconv", encoding: true},
		{name: "UTF-16 without a mark", data: utf16("user_id,x\na,1\n"), want: "line 1: NUL bytes", hint: "-f UTF-16LE",
			encoding: true},
		{name: "UTF-16 big endian without a mark", data: "\x00u\x00s\x00\n", want: "line 1: NUL bytes", hint: "-f UTF-16BE",
			encoding: true},
		{name: "NUL bytes in some other place", data: "abc\x00\n", want: "line 1: NUL bytes", hint: "-f UTF-16 ",
			encoding: true},
		{name: "Latin-1 header", data: "user_id,caf\xe9\na,1\n", want: "line 1: not valid UTF-8", hint: "WINDOWS-1252",
			encoding: true},
		{name: "Latin-1 row", data: "user_id,x\na,1\n\nb,caf\xe9\nc,1\n", want: "line 4: not valid UTF-8",
			hint: "WINDOWS-1252", encoding: true, afterHeader: 1},
		{name: "Latin-1 in a quoted line", data: "user_id,x\na,1\nb,\"\n\ncaf\xe9\"\nc,1\n", want: "line 5: not valid UTF-8",
			hint: "WINDOWS-1252", encoding: true, afterHeader: 1},
		{name: "\\r after quotes", data: "\"user_id\",\"x\"\r\"a\",\"1\"\r",
			want: "line 1: the lines end in a carriage return alone", hint: "tr '\\r' '\\n'"},
		{name: "\\r in one column", data: "user_id\ra\rb", want: "line 1: the lines end in a carriage return alone",
			hint: "tr '\\r' '\\n'"},
		{name: "an archive", data: "PK\x03\x04\x14\x00\x00\x00users.csv", want: "line 1: this is a zip archive",
			hint: "unzip it", encoding: true},
		{name: "a workbook", data: "PK\x03\x04\x14\x00\n\x00\x08\x00[Content_Types].xml", want: "line 1: this is an Excel workbook",
			hint: "CSV UTF-8", encoding: true},
		{name: "a workbook, the sheet first", data: "PK\x03\x04\x14\x00\x00\x00\x08\x00xl/worksheets/sheet1.xml",
			want: "line 1: this is an Excel workbook", hint: "read_xlsx", encoding: true},
		{name: "an old workbook", data: "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", want: "line 1: this is an Excel workbook",
			hint: "CSV UTF-8", encoding: true},
		{name: "a page to sign in", data: "\ufeff\n<!DOCTYPE html>\n<html><title>Sign in</title>\n",
			want: "this is a web page", hint: "login"},
		{name: "JSON", data: "{\"user_id\":\"a\"}\n", want: "none of the 1 columns", hint: "--input-format jsonl"},
		{name: "User ID", data: "Plan,User ID\npro,a\n", want: "none of the 2 columns", hint: "--map user_id='User ID' uses"},
		{name: "userID", data: "plan,userID\npro,a\n", want: "none of the 2 columns", hint: "--map user_id=userID uses"},
		{name: "device-id", data: "plan,device-id\npro,a\n", want: "none of the 2 columns",
			hint: "--map device_id=device-id uses"},
		{name: "a tab before User ID", data: "\tUser ID,\tPlan\n\ta,\tpro\n", want: "none of the 2 columns",
			hint: "--trim --map user_id='User ID' uses"},
		{name: "a tab before user_id", data: "\tuser_id,\tPlan\n\ta,\tpro\n", want: "none of the 2 columns",
			hint: "--trim removes"},
		{name: "a list", data: "u-17\nu-18\n", want: "none of the 1 columns", hint: "--no-header --map user_id=c1"},
		{name: "gzip", data: "\x1f\x8b\x08\x00", want: "this is gzip", hint: "csv.gz", encoding: true},
		{name: "Parquet", data: "PAR1\x00", want: "this is Parquet", hint: "parquet", encoding: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "users.csv", []byte(test.data), Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "users.csv") {
				t.Fatalf("error %v, want the file and %q", err, test.want)
			}
			if !strings.Contains(pipeline.Hint(err), test.hint) || test.hint != "" && pipeline.Hint(err) == "" {
				t.Errorf("hint %q, want %q", pipeline.Hint(err), test.hint)
			}
			if _, ok := errors.AsType[*encodingError](err); ok != test.encoding {
				t.Errorf("is an encodingError: %v, want %v", ok, test.encoding)
			}
			if len(rows) != test.afterHeader {
				t.Errorf("%d rows before the error, want %d", len(rows), test.afterHeader)
			}
			if strings.Contains(err.Error()+pipeline.Hint(err), "u-17") {
				t.Errorf("the error tells an id: %v", err)
			}
		})
	}
}

func TestTruncatedCompression(t *testing.T) {
	var rows [][]string
	for i := range 5000 {
		rows = append(rows, []string{fmt.Sprint("u", i*7919)})
	}
	data := csvBytes(t, ',', false, []string{"user_id"}, rows)
	for name, packed := range map[string][]byte{"u.csv.gz": gzipBytes(t, data), "u.csv.zst": zstdBytes(t, data)} {
		t.Run(name, func(t *testing.T) {
			if all, err := readRows(t, name, packed, Options{}); err != nil || len(all) != len(rows) {
				t.Errorf("%s: %d rows, %v", name, len(all), err)
			}
			_, err := readRows(t, name, packed[:len(packed)/2], Options{})
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("half of %s: %v, want an error with its name", name, err)
			}
			for _, plain := range []string{"user_id\na\n", "", "u"} {
				_, err = readRows(t, name, []byte(plain), Options{})
				if len(plain) < 2 && strings.HasSuffix(name, ".zst") {
					continue // a file without frames is empty, and one of less than a header is cut off
				}
				if err == nil || !strings.Contains(err.Error(), name+": this is not ") ||
					!strings.Contains(pipeline.Hint(err), "--input-format csv;") {
					t.Errorf("plain text %q as %s: %v, hint %q, want that it is not compressed", plain, name, err, pipeline.Hint(err))
				}
			}
		})
	}
	two := append(gzipBytes(t, []byte("user_id\na\n")), gzipBytes(t, []byte("b\n"))...)
	if rows, err := readRows(t, "u.csv.gz", two, Options{}); err != nil || joinIDs(rows) != "1:a 2:b" {
		t.Errorf("two gzip members: %q, %v", joinIDs(rows), err)
	}
}

// All strings that encoding/csv writes are read byte for byte.
func TestCSVByteForByte(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	alphabet := []string{"a", "b", ",", "\"", "\"\"", "\n", "\r", "\r\n", " ", "\t", "é", "🦊", "'", "\\", "%2F", "\ufeff",
		";"}
	for range 300 {
		width := 1 + rng.IntN(4)
		header := []string{"user_id", "device_id", "country", "user_properties.p"}[:width]
		var rows [][]string
		for range rng.IntN(8) {
			row := make([]string, width)
			for i := range row {
				for range rng.IntN(6) {
					row[i] += alphabet[rng.IntN(len(alphabet))]
				}
			}
			rows = append(rows, row)
		}
		for _, name := range []string{"u.csv", "u.tsv"} {
			comma := ','
			if name == "u.tsv" {
				comma = '\t'
			}
			in, err := Open(filesAt(writeFile(t, name, csvBytes(t, comma, false, header, rows))),
				Options{Mapping: Mapping{MissingEmpty: true}})
			if err != nil {
				t.Fatal(err)
			}
			var row pipeline.Row
			for i, want := range rows {
				if err := in.Next(&row); err != nil {
					t.Fatal(err)
				}
				var cells []string
				for _, m := range row.Input {
					cells = append(cells, m.Value.Text)
				}
				if !slices.Equal(cells, want) || row.User.UserID != want[0] {
					t.Fatalf("%s, row %d: got %q, want %q", name, i+1, cells, want)
				}
			}
			if err := in.Next(&row); err != io.EOF {
				t.Fatalf("%s: %v after %d rows of %q", name, err, len(rows), rows)
			}
			mustClose(t, in)
		}
	}
}

func mustClose(tb testing.TB, c io.Closer) {
	tb.Helper()
	if err := c.Close(); err != nil {
		tb.Errorf("Close: %v", err)
	}
}

// readRecords reads the file with the reader alone, without a mapping.
func readRecords(r io.Reader, width int) (rows [][]string, problems int, err error) {
	c := &csvReader{lines: newLines("x", r), csvOptions: csvOptions{comma: ',', missingEmpty: true},
		header: make([]string, width)}
	for {
		var rec record
		switch err := c.readRecord(&rec); {
		case err == io.EOF:
			return rows, problems, nil
		case err != nil:
			return rows, problems, err
		case rec.err != nil:
			problems++
			continue
		}
		var row []string
		for _, m := range rec.cells {
			row = append(row, m.Value.Text)
		}
		rows = append(rows, row)
	}
}

// The size of the pieces in which the bytes are read makes no difference.
func TestCSVPortions(t *testing.T) {
	data := "a,\"b\r\n\"\"x\"\"\n\",c\n\n\"\",,\nbad\n1,\"2,3\n4,5,6\n"
	want, problems, err := readRecords(strings.NewReader(data), 3)
	if err != nil || len(want) != 3 || problems != 2 {
		t.Fatalf("%q, %d problems, %v", want, problems, err)
	}
	got, p, err := readRecords(iotest.OneByteReader(strings.NewReader(data)), 3)
	if diff := cmp.Diff(want, got); diff != "" || p != problems || err != nil {
		t.Errorf("byte by byte: %s%d problems, %v", diff, p, err)
	}
	_, _, err = readRecords(io.MultiReader(strings.NewReader("a,b,c\nd,"), iotest.ErrReader(errors.New("disk on fire"))),
		3)
	if err == nil || !strings.Contains(err.Error(), "x: line 2: disk on fire") {
		t.Errorf("a read error: %v", err)
	}
}

// FuzzCSV compares the reader with encoding/csv if that keeps every byte, and reads everything else as an input with a
// mapping.
func FuzzCSV(f *testing.F) {
	f.Add([]byte("user_id,x\na,1\n\"b\"\"\",\"2\n\"\n"), "country")
	f.Add([]byte("user_id\n\na\n\"\n"), "groups.org")
	f.Add([]byte("\ufeffuser_id,context\r\na,\"{\"\"user_properties\"\":{\"\"a\"\":1}}\"\r\n"), "user_properties.y")
	f.Add([]byte("user_id,x\na,\"\n\"\"\"\"\n\"a\n\"\"\n\""), "context")
	f.Fuzz(func(t *testing.T, data []byte, field string) {
		if rows, err := csv.NewReader(bytes.NewReader(data)).ReadAll(); err == nil && len(rows) > 0 && utf8.Valid(data) &&
			!bytes.ContainsAny(data, "\r\x00") && len(rows[0]) > 1 {
			got, problems, err := readRecords(bytes.NewReader(data), len(rows[0]))
			if diff := cmp.Diff(rows, got); err != nil || problems > 0 || diff != "" {
				t.Fatalf("%q: %d problems, %v, not as encoding/csv reads it (-want +got):\n%s", data, problems, err, diff)
			}
		}
		path := writeFile(t, "u.csv", data)
		if in, err := Open(filesAt(path), Options{Mapping: Mapping{Map: map[string]string{field: "x"},
			AllProperties: true}}); err == nil {
			checkRows(t, in)
		}
		list := Options{NoHeader: true, Pad: true, Mapping: Mapping{Trim: true, Map: map[string]string{"user_id": "c1"},
			AllProperties: true}}
		if in, err := Open(filesAt(path), list); err == nil {
			checkRows(t, in)
		}
	})
}

// checkRows reads to the end and checks what holds for every row.
func checkRows(t *testing.T, in *Input) {
	t.Helper()
	defer mustClose(t, in)
	var row pipeline.Row
	for last := int64(0); ; last = row.Number {
		err := in.Next(&row)
		if err != nil {
			if again := in.Next(&row); !errors.Is(again, err) {
				t.Fatalf("%v, and then %v", err, again)
			}
			return
		}
		if row.Number <= last {
			t.Fatalf("row %d after row %d", row.Number, last)
		}
		if row.Err == nil && row.User.UserID == "" && row.User.DeviceID == "" {
			t.Fatalf("row %d has no id and no error", row.Number)
		}
		if len(row.Carry) != len(in.Carry()) {
			t.Fatalf("row %d carries %d values, want %d", row.Number, len(row.Carry), len(in.Carry()))
		}
		user := pipeline.Value{Kind: pipeline.Object, Members: row.User.Context}
		checkSorted(t, user)
		if user.Get("user_id") != nil || user.Get("device_id") != nil {
			t.Fatalf("row %d has an id in its context", row.Number)
		}
		text := string(user.AppendJSON(nil))
		if _, err := pipeline.ParseJSON(text); err != nil {
			t.Fatalf("the context of row %d is no JSON: %v\n%s", row.Number, err, text)
		}
	}
}

func checkSorted(t *testing.T, v pipeline.Value) {
	t.Helper()
	for i, m := range v.Members {
		if v.Kind == pipeline.Object && i > 0 && v.Members[i-1].Name >= m.Name {
			t.Fatalf("%q stands before %q", v.Members[i-1].Name, m.Name)
		}
		checkSorted(t, m.Value)
	}
}

// Excel writes and reads a first line that sets the delimiter.
func TestSeparatorLine(t *testing.T) {
	for _, test := range []struct {
		name, data string
		opts       Options
		want       string // the rows with their contexts
	}{
		{"of Excel", "sep=;\r\nuser_id;country\r\na;DE\r\n", Options{}, `1:a {"country":"DE"}`},
		{"in quotes, after a mark", "\ufeff\"sep=|\"\nuser_id|country\na|DE\n", Options{}, `1:a {"country":"DE"}`},
		{"and --delimiter", "SEP=;\nuser_id;country\na;DE\n", Options{Delimiter: ';'}, `1:a {"country":"DE"}`},
		{"and --no-header", "sep=;\na;DE\n", Options{NoHeader: true,
			Mapping: Mapping{Map: map[string]string{"user_id": "c1", "country": "c2"}}}, `1:a {"country":"DE"}`},
		{"of two characters is a header", "sep=ab,user_id\nx,a\n", Options{}, `1:a {}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, "u.csv", []byte(test.data), test.opts)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%d rows, %v, want 1", len(rows), err)
			}
			if got := joinIDs(rows) + " " + rows[0].Context; got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// Delimiter sets the delimiter of CSV, compressed or not, and is an error for other formats.
func TestDelimiter(t *testing.T) {
	for _, d := range []rune{0, ',', ';', '|', '\t', '\x01', ' ', '^'} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			comma := d
			if d == 0 {
				comma = ','
			}
			data := csvBytes(t, comma, false, []string{"user_id", "country", "user_properties.note"},
				[][]string{{"a", "DE", "one, two; three|four\tfive six^"}, {"b", "", `say "hi"`}})
			for name, data := range map[string][]byte{"u.csv": data, "u.csv.gz": gzipBytes(t, data)} {
				rows, err := readRows(t, name, data, Options{Delimiter: d})
				if err != nil || len(rows) != 2 {
					t.Fatalf("%q, %s: %d rows, %v", d, name, len(rows), err)
				}
				for i, want := range []string{`{"country":"DE","user_properties":{"note":"one, two; three|four\tfive six^"}}`,
					`{"user_properties":{"note":"say \"hi\""}}`} {
					if rows[i].Context != want {
						t.Errorf("%q, %s, row %d: %s, want %s", d, name, i+1, rows[i].Context, want)
					}
				}
			}
		})
	}
	for _, test := range []struct {
		name, data string
		opts       Options
		want, hint string
	}{
		{"u.csv", "user_id\n", Options{Delimiter: '"'}, `--delimiter "\""`, "one ASCII character"},
		{"u.csv", "user_id\n", Options{Delimiter: '\n'}, `--delimiter "\n"`, "one ASCII character"},
		{"u.csv", "user_id\n", Options{Delimiter: '\r'}, `--delimiter "\r"`, "one ASCII character"},
		{"u.csv", "user_id\n", Options{Delimiter: '§'}, `--delimiter "§"`, "ASCII"},
		{"u.tsv", "user_id\n", Options{Delimiter: ';'}, "--delimiter is for csv, but u.tsv is tsv",
			"if the file is delimited text, add --input-format csv"},
		{"u.jsonl", "{}\n", Options{Delimiter: ';'}, "--delimiter is for csv, but u.jsonl is jsonl",
			"leave --delimiter out; or"},
		{"u.csv", "user_id;country\n", Options{}, "none of the 1 columns", `delimited by ";"? set it with --delimiter`},
		{"u.tsv", "user_id,country\n", Options{}, "none of the 1 columns", `delimited by ","?`},
	} {
		t.Run(fmt.Sprintf("%s, %q", test.name, test.opts.Delimiter), func(t *testing.T) {
			path := writeFile(t, test.name, []byte(test.data))
			_, err := Open([]File{{Path: path, Name: test.name}}, test.opts)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%s with %q: %v, hint %q; want %q, %q", test.name, test.opts.Delimiter, err, pipeline.Hint(err), test.want,
					test.hint)
			}
		})
	}
	for text, want := range map[string]rune{";": ';', "|": '|', "\t": '\t', `\t`: '\t', " ": ' ', "": 0, ";;": 0, `"`: 0,
		"\n": 0, "\x00": 0, "ü": 0} {
		t.Run(text, func(t *testing.T) {
			if d, err := ParseDelimiter(text); d != want || (err == nil) != (want != 0) {
				t.Errorf("ParseDelimiter(%q) = %q, %v; want %q", text, d, err, want)
			}
		})
	}
}

// typicalUsers returns the header and rows of a CSV file of ten columns.
func typicalUsers(n int) ([]string, [][]string) {
	header := []string{"user_id", "device_id", "country", "language", "platform", "version",
		"user_properties.plan", "user_properties.seats", "groups.org", "signup_note"}
	rows := make([][]string, n)
	for i := range rows {
		rows[i] = []string{fmt.Sprintf("user-%08d", i), fmt.Sprintf("0f8fad5b-d9cb-469f-a165-%012d", i), "DE", "German",
			"iOS", "4.12.1",
			[]string{"pro", "free", "team"}[i%3], fmt.Sprint(i % 50), fmt.Sprintf("org-%d", i%1000), "met at the fair"}
	}
	return header, rows
}

func BenchmarkCSV(b *testing.B) {
	const n = 100_000
	header, users := typicalUsers(n)
	data := csvBytes(b, ',', false, header, users)
	path := writeFile(b, "users.csv", data)
	b.Run("rollcall", func(b *testing.B) { benchmarkInput(b, path, n, int64(len(data))) })
	b.Run("reader", func(b *testing.B) { // without the mapping
		b.SetBytes(int64(len(data)))
		before := pipelinetest.CPUTime()
		for b.Loop() {
			c, err := openCSV(newLines("x", bytes.NewReader(data)), io.NopCloser(nil), csvOptions{comma: ','}, nil)
			if err != nil {
				b.Fatal(err)
			}
			var rec record
			for err == nil {
				rec.cells = rec.cells[:0]
				err = c.readRecord(&rec)
			}
		}
		b.ReportMetric(float64(b.N)*n/(pipelinetest.CPUTime()-before).Seconds(), "users/CPU-s")
	})
	b.Run("encoding-csv", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		before := pipelinetest.CPUTime()
		for b.Loop() {
			r := csv.NewReader(bytes.NewReader(data))
			r.ReuseRecord = true
			for {
				if _, err := r.Read(); err != nil {
					break
				}
			}
		}
		b.ReportMetric(float64(b.N)*n/(pipelinetest.CPUTime()-before).Seconds(), "users/CPU-s")
	})
}

func benchmarkInput(b *testing.B, path string, n int, size int64) {
	b.SetBytes(size)
	b.ReportAllocs()
	before := pipelinetest.CPUTime()
	for b.Loop() {
		in, err := Open(filesAt(path), Options{})
		if err != nil {
			b.Fatal(err)
		}
		var row pipeline.Row
		rows := 0
		for ; in.Next(&row) == nil; rows++ {
			if row.Err != nil {
				b.Fatal(row.Err)
			}
		}
		if rows != n {
			b.Fatalf("%d rows, want %d", rows, n)
		}
		mustClose(b, in)
	}
	b.ReportMetric(float64(b.N)*float64(n)/(pipelinetest.CPUTime()-before).Seconds(), "users/CPU-s")
}
