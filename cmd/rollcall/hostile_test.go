package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
	"github.com/rollcall-cli/rollcall/sources"
)

// ledgerAPI is an Evaluation API in this process that remembers every request.
type ledgerAPI struct {
	url    string
	mu     sync.Mutex
	ledger []evalserver.Request
}

func newLedgerAPI(t *testing.T, config evalserver.Config) *ledgerAPI {
	t.Helper()
	eng := testEngine(t)
	api := &ledgerAPI{}
	config.Record = func(r evalserver.Request) {
		api.mu.Lock()
		defer api.mu.Unlock()
		api.ledger = append(api.ledger, r)
	}
	server, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, config))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	api.url = server.URL()
	return api
}

// take is the ledger since it was taken last.
func (a *ledgerAPI) take() []evalserver.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	ledger := a.ledger
	a.ledger = nil
	return ledger
}

// hostileRun is a run of the command in this process, with its result.
type hostileRun struct {
	t         *testing.T
	name      string
	folder    string
	code      int
	stderr    string
	asked     []string // user ids, as the requests for variants held them, in the order of the bytes
	requests  int      // of all kinds
	allocated uint64   // bytes, garbage included

	ids    map[int64]string // the answered users, by row
	failed map[int64]errorRecord
}

type errorRecord struct {
	Row     int64   `json:"row_number"`
	UserID  *string `json:"user_id"`
	Kind    string  `json:"kind"`
	Message string  `json:"message"`
}

// runHostile runs snapshot on a file of that name and content, with three outputs and one flag, so that every
// answered user has one row in each.
func runHostile(t *testing.T, api *ledgerAPI, name, file string, content []byte) *hostileRun {
	t.Helper()
	r := &hostileRun{t: t, name: name, folder: t.TempDir()}
	input := filepath.Join(r.folder, file)
	if err := os.WriteFile(input, content, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"snapshot", input, "--server", api.url, "--flags", "dark-mode", "--rate", "0", "--concurrency", "4",
		"--out", r.path("a.csv"), "--out", r.path("a.jsonl"), "--out", r.path("a.parquet")}
	var stdout, stderr bytes.Buffer
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r.code = run(args, &env{
		Stdin: bytes.NewReader(nil), Stdout: &stdout, Stderr: &stderr, Soft: context.Background(), Hard: t.Context(),
		LookupEnv: func(name string) (string, bool) { return "canary", name == keyVariable },
	})
	runtime.ReadMemStats(&after)
	r.allocated = after.TotalAlloc - before.TotalAlloc
	r.stderr = stderr.String()
	if stdout.Len() > 0 {
		t.Errorf("%s: standard output: %q, want nothing", name, stdout.String())
	}
	for _, req := range api.take() {
		r.requests++
		q, err := url.ParseQuery(req.RawQuery)
		if err != nil {
			t.Errorf("%s: the query %q: %v", name, req.RawQuery, err)
		}
		if strings.HasSuffix(req.Path, "/v1/vardata") {
			r.asked = append(r.asked, q.Get("user_id")+q.Get("device_id"))
			if got := q["flag_keys"]; !slices.Equal(got, []string{"dark-mode"}) {
				t.Errorf("%s: flag_keys %q, want dark-mode: an id has become a parameter", name, got)
			}
		}
		if req.Tracked {
			t.Errorf("%s: a request was tracked", name)
		}
	}
	slices.Sort(r.asked)
	return r
}

func (r *hostileRun) path(name string) string { return filepath.Join(r.folder, name) }

// refused wants that the run ended with code 1 before the first request, published nothing, and said all this.
func (r *hostileRun) refused(says ...string) {
	r.t.Helper()
	if r.code != exitFailed || r.requests != 0 {
		r.t.Errorf("%s: exit code %d after %d requests, want 1 after none:\n%s", r.name, r.code, r.requests, r.stderr)
	}
	r.says(says...)
	for _, name := range []string{"a.csv", "a.jsonl", "a.parquet", "a.errors.jsonl", "a.csv.manifest.json"} {
		if _, err := os.Lstat(r.path(name)); !errors.Is(err, os.ErrNotExist) {
			r.t.Errorf("%s: %s was published (%v)", r.name, name, err)
		}
	}
}

func (r *hostileRun) says(texts ...string) {
	r.t.Helper()
	words := strings.Join(strings.Fields(r.stderr), " ") // hints are wrapped
	for _, want := range texts {
		if !strings.Contains(words, want) {
			r.t.Errorf("%s: it does not say %q:\n%s", r.name, want, r.stderr)
		}
	}
	if strings.Contains(r.stderr, "canary") || strings.Contains(r.stderr, "panic") ||
		strings.Contains(r.stderr, "goroutine ") {
		r.t.Errorf("%s: it says what it should not:\n%s", r.name, r.stderr)
	}
}

// published wants exit code 0 or 3, and that each of n users is in all outputs once or in the error records once.
func (r *hostileRun) published(n int) {
	r.t.Helper()
	r.says()
	r.ids, r.failed = map[int64]string{}, map[int64]errorRecord{}
	for line := range r.lines("a.errors.jsonl") {
		var e errorRecord
		r.must(json.Unmarshal([]byte(line), &e))
		r.failed[e.Row] = e
	}
	want := exitOK
	if len(r.failed) > 0 {
		want = exitSomeFailed
	}
	if r.code != want {
		r.t.Errorf("%s: exit code %d, want %d:\n%s", r.name, r.code, want, r.stderr)
	}
	for line := range r.lines("a.jsonl") {
		var row struct {
			Row      int64   `json:"row_number"`
			UserID   *string `json:"user_id"`
			DeviceID *string `json:"device_id"`
		}
		r.must(json.Unmarshal([]byte(line), &row))
		if _, twice := r.ids[row.Row]; twice {
			r.t.Errorf("%s: row %d is answered twice", r.name, row.Row)
		}
		if _, failed := r.failed[row.Row]; failed {
			r.t.Errorf("%s: row %d is answered and failed", r.name, row.Row)
		}
		r.ids[row.Row] = value(row.UserID) + value(row.DeviceID)
	}
	if len(r.ids)+len(r.failed) != n {
		r.t.Errorf("%s: %d users in, %d answered and %d failed out:\n%s", r.name, n, len(r.ids), len(r.failed), r.stderr)
	}
	var ids []string
	for _, id := range r.ids {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	if diff := cmp.Diff(ids, r.asked); diff != "" {
		r.t.Errorf("%s: the server was not asked what the output holds (-output +asked):\n%s", r.name, diff)
	}
	for _, name := range []string{"a.csv", "a.parquet"} {
		if diff := cmp.Diff(r.ids, r.readIDs(name)); diff != "" {
			r.t.Errorf("%s: %s has not the ids of the JSON lines (-want +got):\n%s", r.name, name, diff)
		}
	}
}

func value(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func (r *hostileRun) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", r.name, err, r.stderr)
	}
}

func (r *hostileRun) lines(name string) func(func(string) bool) {
	r.t.Helper()
	data, err := os.ReadFile(r.path(name))
	r.must(err)
	return strings.Lines(string(data))
}

// readIDs are the ids of an output by row.
func (r *hostileRun) readIDs(name string) map[int64]string {
	r.t.Helper()
	in, err := sources.Open([]sources.File{{Path: r.path(name)}},
		sources.Options{Mapping: sources.Mapping{Carry: []string{"row_number"}}})
	r.must(err)
	defer in.Close() //nolint:errcheck // only read
	ids := map[int64]string{}
	var row pipeline.Row
	for {
		err := in.Next(&row)
		if err == io.EOF {
			return ids
		}
		r.must(err)
		var number int64
		_, err = fmt.Sscan(string(row.Carry[0].AppendText(nil)), &number)
		r.must(err)
		ids[number] = row.User.UserID + row.User.DeviceID
	}
}

// bad wants just these rows to have failed, as bad rows, each with that message.
func (r *hostileRun) bad(kind string, want map[int64]string) {
	r.t.Helper()
	for row, e := range r.failed {
		if message, ok := want[row]; !ok || e.Kind != kind || !strings.Contains(e.Message, message) {
			r.t.Errorf("%s: row %d is %s: %s; want %s: %q", r.name, row, e.Kind, e.Message, kind, message)
		}
	}
	if len(r.failed) != len(want) {
		r.t.Errorf("%s: %d failed, want %d: %v", r.name, len(r.failed), len(want), r.failed)
	}
}

func encodeUTF16(order binary.AppendByteOrder, text string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(text)) {
		b = order.AppendUint16(b, u)
	}
	return b
}

func gzipped(t *testing.T, parts ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = w.Write(p); err == nil {
			err = w.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func zstded(t *testing.T, options []zstd.EOption, parts ...[]byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	var b []byte
	for _, p := range parts {
		b = w.EncodeAll(p, b)
	}
	return b
}

// TestHostileFiles is the rows of faults.md about what a text file may be: refused before the first request, or
// every row has an outcome. Messages name lines, never ids.
func TestHostileFiles(t *testing.T) {
	api := newLedgerAPI(t, evalserver.Config{})
	good := "user_id,country\na,Germany\nb,France\n"
	late := "user_id,country\n" + strings.Repeat("someone,Germany\n", 1<<16) // 1 MiB
	for _, tt := range []struct {
		name, file string
		content    []byte
		says       []string
	}{
		{"empty file", "u.csv", nil, []string{"u.csv: the file is empty", "first line must name the columns"}},
		{"blank lines alone", "u.csv", []byte("\r\n\n"), []string{"u.csv: the file is empty"}},
		{"duplicate header", "u.csv", []byte("user_id,country,country\na,1,2\n"),
			[]string{"the columns country (column 2) and country (column 3) are both country", "--map"}},
		{"missing header", "u.csv", []byte("secret-id,Germany\nb,France\n"),
			[]string{"none of the 2 columns is user_id or device_id", "first line names the columns"}},
		{"unnamed columns alone", "u.csv", []byte(",\n0,a\n"), []string{"none of the 2 columns is user_id or device_id"}},
		{"a header that is not closed", "u.csv", []byte("\"user_id,x\na,1\n"), []string{"line 1: the header cannot be read"}},
		{"UTF-16 LE with a mark", "u.csv", append([]byte{0xff, 0xfe}, encodeUTF16(binary.LittleEndian, good)...),
			[]string{"u.csv: line 1: this is UTF-16", "iconv"}},
		{"UTF-16 BE with a mark", "u.csv", append([]byte{0xfe, 0xff}, encodeUTF16(binary.BigEndian, good)...),
			[]string{"u.csv: line 1: this is UTF-16", "iconv"}},
		{"UTF-16 LE", "u.csv", encodeUTF16(binary.LittleEndian, good),
			[]string{"u.csv: line 1: NUL bytes: this is UTF-16, or not text", "iconv"}},
		{"UTF-16 BE", "u.csv", encodeUTF16(binary.BigEndian, good), []string{"u.csv: line 1: NUL bytes", "iconv"}},
		{"UTF-16, JSON lines", "u.jsonl", encodeUTF16(binary.LittleEndian, `{"user_id":"a"}`),
			[]string{"u.jsonl: line 1: NUL bytes", "iconv"}},
		{"Latin-1, early", "u.csv", []byte("user_id,country\na,Germany\nM\xfcller,Germany\n"),
			[]string{"u.csv: line 3: not valid UTF-8", "iconv -f WINDOWS-1252"}},
		{"Latin-1, 1 MiB into the file", "u.csv", []byte(late + "M\xfcller,Germany\n"),
			[]string{"u.csv: line 65538: not valid UTF-8", "iconv -f WINDOWS-1252"}},
		{"Latin-1, compressed", "u.csv.gz", gzipped(t, []byte(late+"M\xfcller,Germany\n")),
			[]string{"u.csv.gz: line 65538: not valid UTF-8"}},
		{"Latin-1, JSON lines", "u.jsonl", []byte("{\"user_id\":\"a\"}\n{\"user_id\":\"M\xfcller\"}\n"),
			[]string{"u.jsonl: line 2: not valid UTF-8"}},
		{"gzip under another name", "u.csv", gzipped(t, []byte(good)), []string{"u.csv: line 1: this is gzip", "csv.gz"}},
		{"text under the name of gzip", "u.csv.gz", []byte(good), []string{"u.csv.gz: "}},
		{"gzip cut short", "u.csv.gz", gzipped(t, []byte(late))[:4000], []string{"u.csv.gz: line "}},
		{"gzip with a wrong checksum", "u.csv.gz", flip(gzipped(t, []byte(late)), -6), []string{"u.csv.gz: line "}},
		{"zstd cut short", "u.csv.zst", zstded(t, nil, []byte(late))[:60], []string{"u.csv.zst: line "}},
		{"zstd with a window of gigabytes", "u.csv.zst",
			[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xb0, 0x03, 0x00, 0x10, 'a', 0x01, 0x00, 0x00}, []string{"u.csv.zst: "}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runHostile(t, api, tt.name, tt.file, tt.content)
			r.refused(tt.says...)
			if strings.Contains(r.stderr, "secret-id") || strings.Contains(r.stderr, "ller") {
				t.Errorf("%s: it tells an id:\n%s", tt.name, r.stderr)
			}
			if limit := uint64(96 << 20); r.allocated > limit {
				t.Errorf("%s: %d bytes allocated, want %d at most", tt.name, r.allocated, limit)
			}
		})
	}
}

// flip is the data with a byte changed, counted from the end where at is below 0.
func flip(data []byte, at int) []byte {
	if at < 0 {
		at += len(data)
	}
	data = bytes.Clone(data)
	data[at] ^= 0xff
	return data
}

// TestHostileRows is the rows of faults.md about what a row may be.
func TestHostileRows(t *testing.T) {
	api := newLedgerAPI(t, evalserver.Config{})
	long := bytes.Repeat([]byte("x"), 8<<20)
	hundred := slices.Repeat([][]byte{long}, 12) // 96 MiB
	deep := strings.Repeat("[", 5000) + strings.Repeat("]", 5000)
	for _, tt := range []struct {
		name, file string
		content    []byte
		n          int
		kind       string
		bad        map[int64]string
	}{
		{"byte order mark and CRLF", "u.csv", []byte("\ufeffuser_id,country\r\na,Germany\r\nb,France\r\n"), 2, "", nil},
		{"quoted newlines", "u.csv", []byte("user_id,country\n\"a\n\nb\",Germany\nc,\"Fr\nance\"\n"), 2, "", nil},
		{"ragged", "u.csv", []byte("user_id,country\na\nb,France,x\n\nc,Italy\n"), 3, "bad_row",
			map[int64]string{1: "line 2: the row has 1 cells, but the header has 2",
				2: "line 3: the row has 3 cells, but the header has 2"}},
		{"stray quote", "u.csv", []byte("user_id,country\na,\"5\" disk\"\nb,\"x\" y\nc,Italy\n"), 3, "bad_row",
			map[int64]string{1: "line 2: a quote inside a quoted cell is not doubled",
				2: "line 3: a quote inside a quoted cell is not doubled"}},
		{"unclosed quote", "u.csv", []byte("user_id,country\na,\"oops\nb,France\nc,Italy\n"), 3, "bad_row",
			map[int64]string{1: "line 2: a quote is opened and never closed"}},
		{"blank lines", "u.csv", []byte("\nuser_id,country\n\na,Germany\n\n\nb,France\n\n"), 2, "", nil},
		{"blank lines in one column", "u.csv", []byte("user_id\na\n\nb\n"), 3, "missing_id",
			map[int64]string{2: "line 3: neither a user id nor a device id"}},
		{"NUL", "u.csv", []byte("user_id,country\na\x00b,Germany\nc,France\n"), 2, "bad_row",
			map[int64]string{1: "line 2: the row holds a NUL byte"}},
		{"header only", "u.csv", []byte("user_id,country\n"), 0, "", nil},
		{"header only, no newline", "u.tsv", []byte("user_id\tcountry"), 0, "", nil},
		{"no rows at all, JSON lines", "u.jsonl", nil, 0, "", nil},
		{"a field of 100 MB", "u.csv", slices.Concat([]byte("user_id,country\na,"), bytes.Join(hundred, nil),
			[]byte("\nb,France\n")), 2, "bad_row",
			map[int64]string{1: "line 2: the line is longer than 1 MiB"}},
		{"a gzip bomb", "u.csv.gz", gzipped(t, slices.Concat([][]byte{[]byte("user_id,country\na,")}, hundred,
			[][]byte{[]byte("\nb,France\n")})...), 2, "bad_row",
			map[int64]string{1: "line 2: the line is longer than 1 MiB"}},
		{"a zstd bomb", "u.csv.zst", zstded(t, nil, slices.Concat([][]byte{[]byte("user_id,country\na,")}, hundred,
			[][]byte{[]byte("\nb,France\n")})...), 2, "bad_row",
			map[int64]string{1: "line 2: the line is longer than 1 MiB"}},
		{"JSON lines: byte order mark and CRLF", "u.jsonl",
			[]byte("\ufeff{\"user_id\":\"a\"}\r\n\r\n{\"user_id\":\"b\"}\r\n"), 2, "", nil},
		{"JSON lines: what is no user", "u.jsonl", []byte("\"a\"\n[1]\nnull\n7\n{\"user_id\":\n{\"user_id\":\"a\"}{\"user_id\":\"b\"}\n{\"user_id\":\"c\"}\n"), 7, "bad_row",
			map[int64]string{1: "line 1: not a JSON object", 2: "line 2: not a JSON object", 3: "line 3: not a JSON object",
				4: "line 4: not a JSON object", 5: "line 5: not JSON", 6: "line 6: not JSON"}},
		{"JSON lines: nested too deep", "u.jsonl", []byte(`{"user_id":"a","user_properties":{"x":` + deep +
			"}}\n{\"user_id\":\"b\"}\n"), 2, "bad_row", map[int64]string{1: "line 1: not JSON: nested deeper"}},
		{"JSON lines: names twice", "u.jsonl", []byte("{\"user_id\":\"a\",\"user_id\":\"b\"}\n{\"user_id\":\"c\"}\n"), 2,
			"bad_row", map[int64]string{1: "is duplicated"}},
		{"JSON lines: half a surrogate pair", "u.jsonl",
			[]byte("{\"user_id\":\"\\ud83d\"}\n{\"user_id\":\"\\ud83d\\ude00\"}\n"), 2, "bad_row",
			map[int64]string{1: "surrogate"}},
		{"JSON lines: an id that is an object", "u.jsonl", []byte("{\"user_id\":{}}\n{\"user_id\":7}\n"), 2, "bad_row",
			map[int64]string{1: "column user_id: an object where a text is expected"}},
		{"a context that is none", "u.csv", []byte("user_id,context\na,{\nb,[]\nc,{}\n"), 3, "invalid_context",
			map[int64]string{1: "line 2: column context: not JSON", 2: "line 3: column context: not a JSON object"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runHostile(t, api, tt.name, tt.file, tt.content)
			r.published(tt.n)
			r.bad(tt.kind, tt.bad)
			if limit := uint64(64 << 20); r.allocated > limit {
				t.Errorf("%s: %d bytes allocated, want %d at most", tt.name, r.allocated, limit)
			}
		})
	}
}

// TestHostileIDs: the server receives exactly the bytes of the input, and so do all outputs; from every format.
func TestHostileIDs(t *testing.T) {
	api := newLedgerAPI(t, evalserver.Config{})
	ids := []string{
		"", " ", "   ", " a", "a ", "\t", "007", "1e5", "1.0", "-0", "NaN", "null", "true", "0x10", "😀", "👩‍👩‍👧", "é",
		"e\u0301", "\u202e", "\ufeffx",
		"a&flag_keys=x", "a?b=c", "%2F", "%", "%zz", "+", "a+b", "a b", "#", "a#b", "/../..", "a/b", "\\", `"`, `""`, `"a"`,
		"'", "`", "a,b", "a;b", "a\tb",
		"a\nb", "\n", "a\r\nb", "\r", "{}", "[1]", "=1+1", "@x", "-x", "&", "=", "user_id", "<script>", "\x01", "\x7f",
		"\u2028",
	}
	// A CSV cell is "" or holds something: what is empty is missing. 10 KB are too long for a URL.
	huge := strings.Repeat("é", 5<<10)
	ids = append(ids, huge, huge[:len(huge)/4])
	var want []string
	for _, id := range ids {
		if id != "" && len(id) < 2600 { // times 3 in a URL, of 8,000 bytes
			want = append(want, id)
		}
	}
	slices.Sort(want)

	var text bytes.Buffer
	w := csv.NewWriter(&text)
	var lines []byte
	if err := w.Write([]string{"user_id", "country"}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		t.Run(id, func(t *testing.T) {
			if err := w.Write([]string{id, "Germany"}); err != nil {
				t.Fatal(err)
			}
			lines = append(pipeline.AppendObject(lines, []pipeline.Member{{Name: "user_id", Value: pipeline.StringValue(id)}}),
				'\n')
		})
	}
	w.Flush()
	check := func(name, file string, content []byte, n int) *hostileRun {
		t.Helper()
		r := runHostile(t, api, name, file, content)
		r.published(n)
		if diff := cmp.Diff(want, r.asked); diff != "" {
			t.Errorf("%s: what the server received (-input +received):\n%s", name, diff)
		}
		for row, e := range r.failed {
			id := ids[row-1]
			kind := "missing_id"
			if id != "" {
				kind = "request_too_long"
			}
			if e.Kind != kind || value(e.UserID) != id || strings.Contains(e.Message, "é") {
				t.Errorf("%s: row %d: %s, %q; want %s and the id in its column alone", name, row, e.Kind, e.Message, kind)
			}
		}
		return r
	}
	r := check("CSV", "u.csv", text.Bytes(), len(ids))
	check("JSON lines", "u.jsonl", lines, len(ids))
	if len(r.failed) != len(ids)-len(want) {
		t.Errorf("%d failed, want %d", len(r.failed), len(ids)-len(want))
	}
	parquet, err := os.ReadFile(r.path("a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	ids = want
	check("Parquet", "u.parquet", parquet, len(want))
}

// TestHostileParquet: whatever is done to a file, it is read, or refused by name before the first request.
func TestHostileParquet(t *testing.T) {
	api := newLedgerAPI(t, evalserver.Config{})
	var users strings.Builder
	users.WriteString("user_id,country\n")
	const n = 20
	for i := range n {
		fmt.Fprintf(&users, "user-%d,Germany\n", i)
	}
	first := runHostile(t, api, "to make a file", "u.csv", []byte(users.String()))
	first.published(n)
	good, err := os.ReadFile(first.path("a.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	runHostile(t, api, "undamaged", "u.parquet", good).published(n)

	footer := func(size uint32, magic string) []byte {
		return append(binary.LittleEndian.AppendUint32(bytes.Clone(good[:len(good)-8]), size), magic...)
	}
	rng := rand.New(rand.NewPCG(7, 8))
	garbage := make([]byte, 4096)
	for i := range garbage {
		garbage[i] = byte(rng.Uint32())
	}
	for _, tt := range []struct {
		name    string
		content []byte
		says    string
	}{
		{"empty", nil, "u.parquet: too short for Parquet"},
		{"garbage", garbage, "u.parquet: not a Parquet file, or a truncated one"},
		{"garbage with a magic", append(append([]byte("PAR1"), garbage...), "\x00\x08\x00\x00PAR1"...), "u.parquet: "},
		{"encrypted", footer(100, "PARE"), "u.parquet: this Parquet file is encrypted"},
		{"a footer of 4 GB", footer(math.MaxUint32, "PAR1"), "u.parquet: damaged Parquet: a footer of 4294967295 bytes"},
		{"a footer of nothing", footer(0, "PAR1"), "u.parquet: "},
		{"a footer of too little", footer(50, "PAR1"), "u.parquet: "},
		{"text", []byte(users.String()), "u.parquet: not a Parquet file, or a truncated one"},
		{"its middle is gone", slices.Concat(good[:100], good[200:]), "u.parquet: "},
		{"a byte of a page", damagePage(t, first.path("a.parquet"), 1),
			"u.parquet: column user_id, row group 1: damaged Parquet: the checksum of a page is wrong"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runHostile(t, api, tt.name, "u.parquet", tt.content)
			r.refused(tt.says)
			if limit := uint64(96 << 20); r.allocated > limit {
				t.Errorf("%s: %d bytes allocated, want %d at most", tt.name, r.allocated, limit)
			}
		})
	}
	for range 12 {
		at := rng.IntN(len(good))
		runHostile(t, api, fmt.Sprintf("cut at %d", at), "u.parquet", good[:at]).refused("u.parquet: ")
	}
	for range 40 {
		at := 4 + rng.IntN(len(good)-8)
		damaged := bytes.Clone(good)
		damaged[at] ^= byte(1 << rng.IntN(8))
		r := runHostile(t, api, fmt.Sprintf("a bit of byte %d is another", at), "u.parquet", damaged)
		if r.code == exitFailed {
			r.refused()
		} else {
			r.published(n)
		}
		if limit := uint64(96 << 20); r.allocated > limit {
			t.Errorf("%s: %d bytes allocated, want %d at most", r.name, r.allocated, limit)
		}
	}
}

// damagePage is a Parquet file in which a column's last byte in the first row group is another one.
func damagePage(t *testing.T, path string, column int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	pq, err := parquetfile.Open(f, parquetfile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer pq.Close()
	chunk, err := pq.Group(0).ColumnChunk(column)
	if err != nil {
		t.Fatal(err)
	}
	start := chunk.DataPageOffset()
	if chunk.HasDictionaryPage() {
		start = chunk.DictionaryPageOffset()
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[start+chunk.TotalCompressedSize()-1] ^= 0x40
	return data
}
