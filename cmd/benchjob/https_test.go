//go:build unix

package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The load generators send the requests of the bare loop.
func TestWriteTargets(t *testing.T) {
	dir := t.TempDir()
	input := filepath.Join(dir, "users.csv")
	const users = 3
	if err := writeInput(input, users, columns); err != nil {
		t.Fatal(err)
	}
	targets, err := writeTargets(dir, input)
	if err != nil {
		t.Fatal(err)
	}
	list, err := os.ReadFile(targets.list)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(list), "\n"), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "/v1/vardata?context=") || !strings.Contains(line, "user_id=user-000000"+
			string(rune('0'+i))+"%40") {
			t.Errorf("line %d: %s, want the request about user %d", i, line, i)
		}
	}
	if len(lines) != users {
		t.Errorf("%d lines, want %d", len(lines), users)
	}
	script, err := os.ReadFile(targets.script)
	if err != nil || !bytes.Contains(script, []byte(targets.list)) {
		t.Errorf("the script does not read %s (%v):\n%s", targets.list, err, script)
	}
}

func TestCountRequests(t *testing.T) {
	for _, tt := range []struct {
		name, out string
		want      int // 0: an error
	}{
		{"wrk", "  Latency 1ms\n  55342 requests in 2.10s, 23.17MB read\nRequests/sec: 26353.1\n", 55342},
		{"h2load", "requests: 500 total, 500 started, 500 done, 499 succeeded, 1 failed, 0 errored, 0 timeout\n", 499},
		{"none", "0 requests in 2.10s\n", 0},
		{"something else", "usage: wrk\n", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := countRequests([]byte(tt.out)); got != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("countRequests(%q) = %d, %v; want %d", tt.out, got, err, tt.want)
			}
		})
	}
}
