//go:build unix

package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// The answer must be what the goal says: five flags and about 300 bytes.
func TestAnswer(t *testing.T) {
	var got map[string]bareVariant
	if err := json.Unmarshal([]byte(constantAnswer), &got); err != nil {
		t.Fatal(err)
	}
	for flag := range strings.SplitSeq(fiveFlags, ",") {
		if got[flag].Key == "" {
			t.Errorf("the answer lacks %s, which is asked for", flag)
		}
	}
	if len(got) != 5 || len(constantAnswer) < 280 || len(constantAnswer) > 320 {
		t.Errorf("the answer has %d flags in %d bytes, want 5 in about 300", len(got), len(constantAnswer))
	}
}

func TestBareAsksAboutEveryUserOnce(t *testing.T) {
	const users = 1000
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := writeInput(path, users, columns); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil || len(records) != users+1 || len(records[0]) != columns {
		t.Fatalf("input has %d records of %d columns (%v), want %d of %d", len(records), len(records[0]), err, users+1,
			columns)
	}

	server := httptest.NewServer(newHandler(answering{}))
	defer server.Close()
	if err := runBare(server.URL, path); err != nil {
		t.Fatal(err)
	}
	if got, err := fetchAsked(t.Context(), server.URL); err != nil || got != users {
		t.Errorf("the server was asked about %d users (%v), want %d", got, err, users)
	}
}

// testEngine returns the engine of the part engine, and fewer users.
func testEngine(t *testing.T) (*engine.Engine, []pipeline.User) {
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := writeInput(path, 500, allColumns); err != nil {
		t.Fatal(err)
	}
	users, err := readUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("../..", configs))
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Parse(text, engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	return e, users
}

// Flags that give everybody the same variant would measure too little.
func TestEachFlagTellsUsersApart(t *testing.T) {
	e, users := testEngine(t)
	asked := strings.Split(tenFlags, ",")
	got := countAnswers(e.Plan(asked), users)
	for _, flag := range asked {
		most, some := 0, 0
		for answer, n := range got {
			if name, _, _ := strings.Cut(answer, " "); name == flag {
				most, some = max(most, n), some+n
			}
		}
		if most == 0 || most == len(users) {
			t.Errorf("%s gives all users the same: %d of %d", flag, most, len(users))
		}
	}
	if len(asked) != 10 {
		t.Errorf("%d flags, want 10", len(asked))
	}
}

// Exactly the ten flags that are counted are evaluated, and no dependencies.
func TestFirstFlagsDependOnEachOtherOnly(t *testing.T) {
	e, _ := testEngine(t)
	first := firstFlags(e)
	for _, f := range e.Flags() {
		for _, d := range f.Dependencies {
			if slices.Contains(first, f.Key) && !slices.Contains(first, d) {
				t.Errorf("%s depends on %s, which would be evaluated without being counted", f.Key, d)
			}
		}
	}
}

// Amplitude's engine gets the same users as ours.
func TestUsersSurviveJSON(t *testing.T) {
	users, err := readUsers(filepath.Join("../..", testUsers))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "users.jsonl")
	if err := writeJSON(path, users); err != nil {
		t.Fatal(err)
	}
	again, err := readUsers(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(users, again); diff != "" {
		t.Errorf("read from JSON (-from CSV +from JSON):\n%s", diff)
	}
}

// The load generator sends the requests of rollcall, and returns an error when it is refused.
func TestLoad(t *testing.T) {
	e, _ := testEngine(t)
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := writeInput(path, 3, allColumns); err != nil {
		t.Fatal(err)
	}
	s := evalserver.New(e, evalserver.Config{Key: "bench"})
	running, err := evalserver.Start("127.0.0.1:0", s)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	address := strings.TrimPrefix(running.URL(), "http://")
	const n = 4 * inFlight
	if _, err := runLoad(address, path, n); err != nil {
		t.Fatal(err)
	}
	if got := s.Stats(); got.Requests != n || got.Tracked != 0 {
		t.Errorf("the server counted %+v, want %d requests and none tracked", got, n)
	}

	refusing, err := evalserver.Start("127.0.0.1:0", evalserver.New(e, evalserver.Config{Key: "another"}))
	if err != nil {
		t.Fatal(err)
	}
	defer refusing.Close()
	if _, err := runLoad(strings.TrimPrefix(refusing.URL(), "http://"), path, n); err == nil ||
		!strings.Contains(err.Error(), "401") {
		t.Errorf("a server that refuses: error %v, want one that says 401", err)
	}
}

// readOnly is a connection for reading.
type readOnly struct {
	net.Conn
	r io.Reader
}

func (c readOnly) Read(p []byte) (int, error) { return c.r.Read(p) }

func TestReadAnswer(t *testing.T) {
	for _, tt := range []struct {
		name, text, err string
	}{
		{"whole", "HTTP/1.1 200 OK\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\n{}", ""},
		{"no body", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ""},
		{"refused", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n", "429"},
		{"no length", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "without a Content-Length"},
		{"bad length", "HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n", `"two"`},
		{"negative length", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", `"-1"`},
		{"cut", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}", "EOF"},
		{"too long", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{}", "longer"},
		{"does not fit", "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + strings.Repeat("x", 200), "longer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := readAnswer(readOnly{r: strings.NewReader(tt.text)}, make([]byte, 128))
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want one that says %q", err, tt.err)
			}
			if tt.err == "" {
				if err := readAnswer(readOnly{r: iotest.OneByteReader(strings.NewReader(tt.text))}, make([]byte, 128)); err != nil {
					t.Errorf("byte by byte: %v", err)
				}
			}
		})
	}
}

func TestParseReply(t *testing.T) {
	var got copied
	if err := parseReply([]byte("{\"seconds\":1.5,\"bytes\":10}\n"), &got); err != nil || got != (copied{1.5, 10}) {
		t.Errorf("parseReply: %+v, %v", got, err)
	}
	var said answers
	if err := parseReply([]byte(`{"answers":{"dark-mode on":7}}`), &said); err != nil ||
		!maps.Equal(said.Answers, map[string]int{"dark-mode on": 7}) {
		t.Errorf("parseReply: %+v, %v", said, err)
	}
	for _, line := range []string{"", "\n", "Error: x\n", `{"seconds":"x"}`, `{"second":1}`, `{"seconds":1} {"seconds":2}`,
		`{"seconds":1`} {
		t.Run(line, func(t *testing.T) {
			if err := parseReply([]byte(line), new(copied)); err == nil || !strings.Contains(err.Error(), "read the answer") {
				t.Errorf("parseReply(%q): error %v, want one that has the reply", line, err)
			}
		})
	}
}

func TestPrintTable(t *testing.T) {
	var b strings.Builder
	printTable(&b, "engine: CPU ns a flag and user, 10 flags, 2000 users", []row{
		{"rollcall: Plan.Append", 1, []float64{50.04, 48.26, 61}},
		{"npm: EvaluationEngine.evaluate, warmed up", 1, []float64{1000, 987654.3}},
	}, []goal{{"at most 55 ns", true}, {"peak memory flat: at most 1.10 times (1.000)", false}}, "Not counted: reading.")
	want := `#
# engine: CPU ns a flag and user, 10 flags, 2000 users
#                                                  median     least      most
# rollcall: Plan.Append                              50.0      48.3      61.0
# npm: EvaluationEngine.evaluate, warmed up      494327.2    1000.0  987654.3
# goal: at most 55 ns                                                  met
# goal: peak memory flat: at most 1.10 times (1.000)                   MISSED
# Not counted: reading.
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("the table (-want +got):\n%s", diff)
	}
	for line := range strings.Lines(b.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns, want 80 at most: %s", n, line)
		}
	}
}

func TestBenchLine(t *testing.T) {
	var b strings.Builder
	benchLine(&b, "Local", 12.3456, "cpu-s", 81.0, "peak-MB")
	if got, want := b.String(), "BenchmarkLocal 1 12.346 cpu-s 81.000 peak-MB\n"; got != want {
		t.Errorf("benchLine: %q, want %q", got, want)
	}
}

func TestRatios(t *testing.T) {
	if got, want := ratios([]float64{6, 3}, []float64{2, 4}), []float64{3, 0.75}; !slices.Equal(got, want) {
		t.Errorf("ratios: %v, want %v", got, want)
	}
}

func TestChoose(t *testing.T) {
	if got, err := parseParts("remote,engine"); err != nil || !slices.Equal(got, []string{"remote", "engine"}) {
		t.Errorf("choose: %v, %v", got, err)
	}
	for _, list := range []string{"", "engine,", "all", "engine;local"} {
		t.Run(list, func(t *testing.T) {
			if _, err := parseParts(list); err == nil || !strings.Contains(err.Error(), "engine, local, serve, remote") {
				t.Errorf("choose(%q): error %v, want one that names the parts", list, err)
			}
		})
	}
}

// Each side goes first in turn, and none is left out.
func TestTurns(t *testing.T) {
	var order strings.Builder
	side := func(name string) func() error {
		return func() error { order.WriteString(name); return nil }
	}
	if err := takeTurns(3, side("a"), side("b")); err != nil || order.String() != "abbaab" {
		t.Errorf("turns: %q, %v; want abbaab", order.String(), err)
	}
	failing := func() error { return http.ErrServerClosed }
	if err := takeTurns(3, failing, side("c")); err != http.ErrServerClosed || strings.Contains(order.String(), "c") {
		t.Errorf("turns with a side that fails: %v after %q", err, order.String())
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		t.Run(fmt.Sprint(tt.values), func(t *testing.T) {
			if got := median(tt.values); got != tt.want {
				t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
			}
		})
	}
}
