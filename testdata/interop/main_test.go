//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// rollcall is the command, and duck the DuckDB, of all tests.
var (
	rollcall string
	duck     *database
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	if _, err := os.Stat("../node/node_modules/@duckdb/node-api"); err != nil {
		return 0, errors.New("DuckDB is not installed in testdata/node: run it by make interop, which does that")
	}
	folder, err := os.MkdirTemp("", "interop")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(folder) //nolint:errcheck // a folder of its own in /tmp
	rollcall = filepath.Join(folder, "rollcall")
	build := exec.Command("go", "build", "-o", rollcall, "../../cmd/rollcall")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	if duck, err = openDatabase(); err != nil {
		return 0, err
	}
	code := m.Run()
	return code, duck.close()
}

// database is a DuckDB in a process of its own.
type database struct {
	mu  sync.Mutex
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// result is what a query found. Every value is nil or a text; duckdb.cjs says how.
type result struct {
	Columns []duckColumn `json:"columns"`
	Rows    [][]*string  `json:"rows"`
	Error   string       `json:"error"`
}

type duckColumn struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

func openDatabase() (*database, error) {
	d := &database{cmd: exec.Command("node", "duckdb.cjs")}
	d.cmd.Stderr = os.Stderr
	var err error
	if d.in, err = d.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	d.out = bufio.NewReaderSize(out, 1<<20)
	return d, d.cmd.Start()
}

func (d *database) close() error {
	return errors.Join(d.in.Close(), d.cmd.Wait())
}

func (d *database) query(sql string) (*result, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	question, err := json.Marshal(map[string]string{"sql": sql})
	if err != nil {
		return nil, err
	}
	if _, err := d.in.Write(append(question, '\n')); err != nil {
		return nil, fmt.Errorf("ask DuckDB: %w", err)
	}
	answer, err := d.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("DuckDB did not answer: %w", err)
	}
	var r result
	if err := json.Unmarshal(answer, &r); err != nil {
		return nil, err
	}
	if r.Error != "" {
		return nil, errors.New(r.Error)
	}
	return &r, nil
}

// query runs SQL that must work.
func query(t *testing.T, sql string) *result {
	t.Helper()
	r, err := duck.query(sql)
	if err != nil {
		t.Fatalf("DuckDB: %v\n%s", err, shorten(sql))
	}
	return r
}

// run runs the command, which must end with that exit code, and returns what it said.
func run(t *testing.T, code int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rollcall, args...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("rollcall %s\nexit code %d (%v), want %d; it said:\n%s", strings.Join(args, " "), got, err, code, out)
	}
	return string(out)
}

// quote makes a text a literal of SQL.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// name makes a text an identifier of SQL.
func name(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// shorten keeps a message readable.
func shorten(s string) string {
	if r := []rune(s); len(r) > 300 {
		return fmt.Sprintf("%s… (%d bytes)", string(r[:300]), len(s))
	}
	return s
}
