package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestStart bounds what the packages of the command do before main begins, which every command pays for. What is
// bounded is the bytes that they allocate: they are the same in each run, and follow the time. What one command needs
// (templates, regular expressions, tables) is made when it is first used.
func TestStart(t *testing.T) {
	const (
		ours   = 16 << 10
		others = 64 << 10
	)
	// Packages of others that need more, and how much.
	more := map[string]int{
		"github.com/goccy/go-json/internal/decoder":      2 << 20, // arrow's; zeroed memory that nobody touches
		"github.com/goccy/go-json/internal/encoder":      1 << 20,
		"github.com/minio/minio-go/v7/pkg/s3utils":       320 << 10, // regular expressions of bucket names
		"github.com/prometheus/client_golang/prometheus": 96 << 10,
		"github.com/prometheus/procfs":                   128 << 10,
	}
	command := filepath.Join(t.TempDir(), "rollcall")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), command, "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatalf("rollcall version: %v\n%s", err, trace.String())
	}
	line := regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`)
	seen := 0
	for _, m := range line.FindAllStringSubmatch(trace.String(), -1) {
		pkg, most := m[1], others
		if pkg == "main" || strings.HasPrefix(pkg, "github.com/rollcall-cli/rollcall/") {
			most = ours
			seen++
		}
		most = max(most, more[pkg])
		if got, err := strconv.Atoi(m[2]); err != nil || got > most {
			t.Errorf("package %s allocates %s bytes before main begins, want at most %d: make it when it is first used", pkg,
				m[2], most)
		}
	}
	if seen < 5 {
		t.Errorf("%d packages of this module in the trace, want more:\n%s", seen, trace.String())
	}
}
