//go:build browser

package browser

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// outDir is where screenshots and PDFs are left.
const outDir = "../../out/browser"

var (
	rollcall string // the command
	tempDir  string // of all pages and runs
	chrome   *chromium
)

func TestMain(m *testing.M) {
	code, err := runAll(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		code = 1
	}
	os.Exit(code)
}

func runAll(m *testing.M) (int, error) {
	var err error
	if tempDir, err = os.MkdirTemp("", "browser"); err != nil {
		return 0, err
	}
	defer os.RemoveAll(tempDir) //nolint:errcheck // a directory of its own in /tmp
	if err := os.MkdirAll(outDir, 0o777); err != nil {
		return 0, err
	}
	rollcall = filepath.Join(tempDir, "rollcall")
	if out, err := exec.Command("go", "build", "-o", rollcall, "../../cmd/rollcall").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build the command: %w\n%s", err, out)
	}
	if chrome, err = startChromium(filepath.Join(tempDir, "profile")); err != nil {
		return 0, err
	}
	defer chrome.kill()
	return m.Run(), nil
}
