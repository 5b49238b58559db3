//go:build ops

package ops

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// rollcall is the command of all tests.
var rollcall string

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "ops:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	directory, err := os.MkdirTemp("", "ops")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(directory)                      //nolint:errcheck // a directory of its own in /tmp
	if err := os.Chmod(directory, 0o755); err != nil { // jobs run as the user nobody
		return 0, err
	}
	rollcall = filepath.Join(directory, "rollcall")
	if out, err := exec.Command("go", "build", "-o", rollcall, "../../cmd/rollcall").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	return m.Run(), nil
}

// run runs a command, which must succeed, and returns its standard output.
func run(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}
