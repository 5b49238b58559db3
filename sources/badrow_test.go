package sources

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// asRecords returns error records of the rows that failed, as JSONL.
func asRecords(rows []got) string {
	var b strings.Builder
	for _, r := range rows {
		if r.Err != "" {
			b.WriteString(`{"row_number":` + strings.Split(joinIDs([]got{r}), ":")[0] +
				`,"user_id":null,"device_id":null,"kind":"bad_row","http_status":null,` +
				`"attempts":0,"message":"m","occurred_at":"t","input":` + r.Input + "}\n")
		}
	}
	return b.String()
}

// The error record of a row that does not decode contains the row, and does not become another user when it is read
// again.
func TestBadRowsAreKept(t *testing.T) {
	for _, test := range []struct {
		name, file, data string
		pad              bool
		rows             string
		input            string // of the only bad row
		again            string // the message when its error record is read
		padded           string // its row then with --ragged pad
	}{
		{name: "too many cells", file: "u.csv", data: "user_id,country\na,DE\nb,DE,x,y\n", rows: "1:a 2:!bad_row",
			input:  `{"rollcall.bad_row":{"cells":["b","DE","x","y"],"columns":["user_id","country"],"line":3}}`,
			again:  "bad_row: line 1: the row was line 3 of its input: the row has 4 cells, but the header has 2",
			padded: "2:!bad_row"},
		{name: "empty cells more", file: "u.csv", data: "user_id,country\nb,DE,,\n", rows: "1:!bad_row",
			input:  `{"rollcall.bad_row":{"cells":["b","DE","",""],"columns":["user_id","country"],"line":2}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: the row has 4 cells, but the header has 2",
			padded: "1:b"},
		{name: "too few cells", file: "u.tsv", data: "user_id\tcountry\tx\n\"b\"\n", rows: "1:!bad_row",
			input:  `{"rollcall.bad_row":{"cells":["b"],"columns":["user_id","country","x"],"line":2}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: the row has 1 cells, but the header has 3",
			padded: "1:b"},
		{name: "a quote that is not closed", file: "u.csv", data: "user_id,country\nb,\"D\r\nc,DE\n", rows: "1:!bad_row 2:c",
			input:  `{"rollcall.bad_row":{"line":2,"text":"b,\"D"}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: it did not decode",
			padded: "1:!bad_row"},
		{name: "a NUL", file: "u.csv", data: "user_id,country\nb\x00,D\n", rows: "1:!bad_row",
			input:  `{"rollcall.bad_row":{"line":2,"text":"b\u0000,D"}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: it did not decode",
			padded: "1:!bad_row"},
		{name: "JSONL", file: "u.jsonl", data: "{\"user_id\":\"a\"}\n{\"user_id\":b}\n", rows: "1:a 2:!bad_row",
			input:  `{"rollcall.bad_row":{"line":2,"text":"{\"user_id\":b}"}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: it did not decode",
			padded: "2:!bad_row"},
		{name: "padded", file: "u.csv", pad: true, data: "user_id,country,x\na\nb,DE,1,,\n\nc,DE,\nd,,,,1\n",
			rows:   "1:a 2:b 3:c 4:!bad_row",
			input:  `{"rollcall.bad_row":{"cells":["d","","","","1"],"columns":["user_id","country","x"],"line":6}}`,
			again:  "bad_row: line 1: the row was line 6 of its input: the row has 5 cells, but the header has 3",
			padded: "4:!bad_row"},
		{name: "a long line", file: "u.csv", data: "user_id,x\nb," + strings.Repeat("é", maxRecord) + "\n",
			rows:   "1:!bad_row",
			input:  `{"rollcall.bad_row":{"line":2,"text":"b,` + strings.Repeat("é", maxBadText/2-1) + `"}}`,
			again:  "bad_row: line 1: the row was line 2 of its input: it did not decode",
			padded: "1:!bad_row"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, test.file, []byte(test.data), Options{Pad: test.pad})
			if got := joinIDs(rows); err != nil || got != test.rows {
				t.Fatalf("rows %q, %v, want %q", got, err, test.rows)
			}
			for _, r := range rows {
				if r.Err != "" && r.Input != test.input {
					t.Errorf("input %.300s, want %.300s", r.Input, test.input)
				}
			}
			records := []byte(asRecords(rows))
			for range 2 { // a record of a record says the same
				again, err := readRows(t, "failed.errors.jsonl", records, Options{})
				if err != nil || len(again) != 1 || again[0].Err != test.again || again[0].Input != test.input {
					t.Fatalf("read again: %.300v, %v; want %q", again, err, test.again)
				}
				records = []byte(asRecords(again))
			}
			padded, err := readRows(t, "failed.errors.jsonl", records, Options{Pad: true, NoHeader: true, Delimiter: ';'})
			if got := joinIDs(padded); err != nil || got != test.padded {
				t.Errorf("padded: %q, %v, want %q", got, err, test.padded)
			}
		})
	}
}

// Columns with a duplicate name, or without a name, are an error only if they are used.
func TestColumnsWithoutAName(t *testing.T) {
	for _, test := range []struct {
		name, data string
		mapping    Mapping
		columns    string // as name>target
		context    string // of the only row
		err, hint  string
	}{
		{name: "Excel's trailing columns", data: "user_id,plan,,\na,pro,,\n", mapping: Mapping{AllProperties: true},
			columns: "user_id> plan>user_properties.plan (column 3)> (column 4)>",
			context: `{"user_properties":{"plan":"pro"}}`},
		{name: "R's row names", data: "\"\",\"user_id\"\n\"1\",\"a\"\n", columns: "(column 1)> user_id>", context: "{}"},
		{name: "two of one name", data: "user_id,x,x\na,1,2\n", mapping: Mapping{AllProperties: true},
			columns: "user_id> x (column 2)> x (column 3)>", context: "{}"},
		{name: "two of one name, one of them named", data: "user_id,x,x\na,1,2\n",
			mapping: Mapping{Properties: []string{"x (column 3)"}},
			columns: "user_id> x (column 2)> x (column 3)>user_properties.x (column 3)",
			context: `{"user_properties":{"x (column 3)":"2"}}`},
		{name: "two of one name, mapped", data: "user_id,x,x\na,1,2\n",
			mapping: Mapping{Map: map[string]string{"country": "x (column 2)"}},
			columns: "user_id> x (column 2)>country x (column 3)>", context: `{"country":"1"}`},
		{name: "two of one name, left out", data: "user_id,x,x\na,1,2\n",
			mapping: Mapping{AllProperties: true, Exclude: []string{"X"}},
			columns: "user_id> x (column 2)> x (column 3)>", context: "{}"},
		{name: "two of one name, carried", data: "user_id,x,x\na,1,2\n", mapping: Mapping{Carry: []string{"x"}},
			err: `--carry: 2 columns of the header are called "x"`, hint: `"x (column 3)"`},
		{name: "three of one name, mapped", data: "user_id,x,x,x\na,1,2,3\n",
			mapping: Mapping{Map: map[string]string{"country": "x"}},
			err:     `--map country=x: 3 columns of the header are called "x"`, hint: "own name"},
		{name: "two ids", data: "user_id,user_id\na,b\n",
			err: "the columns user_id (column 1) and user_id (column 2) are both user_id"},
		{name: "two ids, one of them mapped", data: "user_id,user_id\nb,a\n",
			mapping: Mapping{Map: map[string]string{"user_id": "user_id (column 2)"}},
			columns: "user_id (column 1)> user_id (column 2)>", context: "{}"},
		{name: "two countries", data: "user_id,country,country\na,b,c\n", err: "are both country"},
		{name: "two countries, left out", data: "user_id,country,country\na,b,c\n",
			mapping: Mapping{AllProperties: true, Exclude: []string{"country"}},
			columns: "user_id> country (column 2)> country (column 3)>", context: "{}"},
		{name: "a name that is taken", data: "x (column 2),x,x,user_id\n1,2,3,a\n",
			columns: "x (column 2)> x (column 2)_> x (column 3)> user_id>", context: "{}"},
	} {
		t.Run(test.name, func(t *testing.T) {
			in, err := Open(filesAt(writeFile(t, "u.csv", []byte(test.data))), Options{Mapping: test.mapping})
			if err != nil || test.err != "" {
				if test.err == "" || err == nil || !strings.Contains(err.Error(), test.err) ||
					!strings.Contains(pipeline.Hint(err), test.hint) {
					t.Fatalf("%v, hint %q, want %q, %q", err, pipeline.Hint(err), test.err, test.hint)
				}
				return
			}
			defer mustClose(t, in)
			var columns []string
			for _, c := range in.Columns() {
				if c.Target == "user_id" {
					c.Target = ""
				}
				columns = append(columns, c.Name+">"+c.Target)
			}
			if got := strings.Join(columns, " "); got != test.columns {
				t.Errorf("columns %q, want %q", got, test.columns)
			}
			rows, err := readAll(in)
			if err != nil || len(rows) != 1 || rows[0].ID != "a" || rows[0].Context != test.context {
				t.Errorf("rows %+v, %v, want a with %s", rows, err, test.context)
			}
		})
	}
}

func TestNoHeader(t *testing.T) {
	noHeader := Options{NoHeader: true, Mapping: Mapping{Map: map[string]string{"user_id": "c1"}}}
	for _, test := range []struct {
		name, file, data string
		rows             string
		err              string
	}{
		{name: "a list", file: "u.csv", data: "user-1\nuser-2\n\nuser-3", rows: "1:user-1 2:user-2 3:!missing_id 4:user-3"},
		{name: "a byte order mark", file: "u.csv", data: "\ufeffuser-1\nuser-2\n", rows: "1:user-1 2:user-2"},
		{name: "a first row of several lines", file: "u.csv", data: "\"user\n1\",x\n\"user-2\",y\n",
			rows: "1:user\n1 2:user-2"},
		{name: "cells that look like a header", file: "u.tsv", data: "a\ta\nb\t\nc\n", rows: "1:a 2:b 3:!bad_row"},
		{name: "compressed", file: "u.csv.gz", data: string(gzipBytes(t, []byte("user-1\n"))), rows: "1:user-1"},
		{name: "nothing", file: "u.csv", data: "", err: "the file is empty"},
		{name: "JSONL", file: "u.jsonl", data: `{"c1":"a"}`, err: "--no-header is for csv and tsv, but"},
		{name: "error records", file: "e.csv", data: strings.Join(errorColumns[:9], ",") +
			"\n4,,,,,,,,\"{\"\"c1\"\":\"\"a\"\"}\"\n", rows: "4:a"},
	} {
		t.Run(test.name, func(t *testing.T) {
			rows, err := readRows(t, test.file, []byte(test.data), noHeader)
			if test.err != "" {
				if err == nil || !strings.Contains(err.Error(), test.err) {
					t.Fatalf("%v, want %q", err, test.err)
				}
				return
			}
			if got := joinIDs(rows); err != nil || got != test.rows {
				t.Errorf("rows %q, %v, want %q", got, err, test.rows)
			}
		})
	}
	two := []File{{Path: writeFile(t, "a.csv", []byte("a,1\nb,2\n"))}, {Path: writeFile(t, "b.csv", []byte("c,3\n"))}}
	in, err := Open(two, Options{NoHeader: true, Mapping: Mapping{Map: map[string]string{"user_id": "c1"},
		Carry: []string{"c2"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer mustClose(t, in)
	rows, err := readAll(in)
	if diff := cmp.Diff("1:a 2:b 3:c", joinIDs(rows)); diff != "" || err != nil {
		t.Errorf("two files: %v %s", err, diff)
	}
}

// Lines after an unclosed quote are read again once each: cells that seem to close one quote and open the next must not
// make every line read the rest of the file again.
func TestSwallowedLinesAreReadOnce(t *testing.T) {
	data := strings.Repeat("x\",\"\n", 3*maxRecord/len("x\",\"\n"))
	c := &csvReader{lines: newLines("x", strings.NewReader(data)), csvOptions: csvOptions{comma: ','},
		header: []string{"user_id", "y"}}
	for i, want := range []string{"a quote is opened and not closed within 1 MiB", "a quote is opened and never closed",
		"a quote is opened and never closed"} {
		t.Run(want, func(t *testing.T) {
			var rec record
			if err := c.readRecord(&rec); err != nil || rec.err == nil || !strings.HasSuffix(rec.err.Message, want) {
				t.Fatalf("line %d: %v, %v, want %q", i+1, rec.err, err, want)
			}
		})
	}
}
