//go:build !faultfs

package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

func TestExpandNames(t *testing.T) {
	v := nameValues{started: time.Date(2026, 11, 28, 1, 30, 0, 0, time.FixedZone("CET", 7200)), runID: "20261127T2330Z-ab2"}
	for _, tt := range []struct {
		name, expanded, fixed, base string
		refused                     bool
	}{
		{name: "a.csv", expanded: "a.csv", fixed: "a.csv"},
		{name: "100%/a%2Fb.csv", expanded: "100%/a%2Fb.csv", fixed: "100%/a%2Fb.csv"},
		{name: "out/a-{date}.csv", expanded: "out/a-2026-11-27.csv", fixed: "out/a-{date}.csv", base: "out/"},
		{name: "out/dt={date}/h={hour}/a.csv", expanded: "out/dt=2026-11-27/h=23/a.csv",
			fixed: "out/dt={date}%2Fh={hour}%2Fa.csv", base: "out/"},
		{name: "{run_id}/a%.csv", expanded: "20261127T2330Z-ab2/a%.csv", fixed: "{run_id}%2Fa%25.csv"},
		{name: "/{date}/a.csv", expanded: "/2026-11-27/a.csv", fixed: "/{date}%2Fa.csv", base: "/"},
		{name: "s3://b/p/dt={date}/a.csv", expanded: "s3://b/p/dt=2026-11-27/a.csv", fixed: "s3://b/p/dt={date}%2Fa.csv",
			base: "s3://b/p/"},
		{name: "s3://b/{date}.csv", expanded: "s3://b/2026-11-27.csv", fixed: "s3://b/{date}.csv", base: "s3://b/"},
		{name: "s3://{date}/a.csv", refused: true},
		{name: "../out/{date}.csv", expanded: "../out/2026-11-27.csv", fixed: "../out/{date}.csv", base: "../out/"},
		{name: "{date}/../a.csv", refused: true},
		{name: "a{b.csv", expanded: "a{b.csv", fixed: "a{b.csv"},
		{name: "a}b{.csv", expanded: "a}b{.csv", fixed: "a}b{.csv"},
		{name: "a{}.csv", refused: true},
		{name: "{DATE}.csv", refused: true},
		{name: "{{date}}.csv", refused: true},
		{name: "{date}-{dat}.csv", refused: true},
		{name: "{da/te}.csv", refused: true},
		{name: "{shard}.csv", refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkTemplate("--out", tt.name); (err != nil) != tt.refused {
				t.Fatalf("checkTemplate(%q) = %v; want it refused: %v", tt.name, err, tt.refused)
			}
			if tt.refused {
				return
			}
			base, _, isTemplate := cutTemplate(tt.name)
			if got := v.expand(tt.name); got != tt.expanded || base != tt.base || fixedName(tt.name) != tt.fixed {
				t.Errorf("%q: expanded %q, want %q; base %q, want %q; fixed %q, want %q", tt.name, got, tt.expanded, base,
					tt.base, fixedName(tt.name), tt.fixed)
			}
			template, ok := templateOf(strings.TrimPrefix(fixedName(tt.name), base))
			if ok != isTemplate || ok && template != strings.TrimPrefix(tt.name, base) {
				t.Errorf("templateOf(%q) = %q, %v; want %q, %v", tt.fixed, template, ok, tt.name, isTemplate)
			}
		})
	}
}

// TestTemplateOfHostileName: a file of any name in a directory leads nowhere else.
func TestTemplateOfHostileName(t *testing.T) {
	for _, name := range []string{"..%2F{date}", "{date}%2F..%2F..%2Fx", "%2Fetc%2F{date}", "x%2F{date}", "{date}%2f..",
		"{date}%", "{date}%2", "{date}/x", "{evil}", "{date}{evil}", "s3:%2F%2F{date}", ""} {
		t.Run(name, func(t *testing.T) {
			if template, ok := templateOf(name); ok && (strings.Contains(template, "..") || !filepath.IsLocal(template)) {
				t.Errorf("templateOf(%q) = %q, want none", name, template)
			}
		})
	}
}

func TestNameValues(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, tt := range map[string]struct {
		v  nameValues
		ok bool
	}{
		"new":              {nameValues{at, newRunID(at)}, true},
		"a path":           {nameValues{at, "../../etc/x"}, false},
		"no id":            {nameValues{at, ""}, false},
		"no time":          {nameValues{time.Time{}, "a"}, false},
		"a year like that": {nameValues{at.AddDate(9000, 0, 0), "a"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tt.v.check(); (err == nil) != tt.ok {
				t.Errorf("%+v: %v, want it accepted: %v", tt.v, err, tt.ok)
			}
		})
	}
}

// TestRunsOfOneTemplate: while a run is writing, another one of the same template, of the next day too, and one whose
// output has the same name without a placeholder, end at once.
func TestRunsOfOneTemplate(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	command := filepath.Join(folder, "rollcall")
	if err := os.Symlink(self, command); err != nil {
		t.Fatal(err)
	}
	arrived, answer := make(chan struct{}, 4096), make(chan struct{})
	server, err := evalserver.Start("127.0.0.1:0", evalserver.New(testEngine(t), evalserver.Config{
		Script: func(*evalserver.Request, int) *evalserver.Fault {
			arrived <- struct{}{}
			<-answer
			return nil
		}}))
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close() //nolint:errcheck // the test is over
	release := sync.OnceFunc(func() { close(answer) })
	defer release()
	users := filepath.Join(folder, "users.csv")
	if err := os.WriteFile(users, []byte("user_id,country\na,DE\nb,DE\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func(day, out string, more ...string) (*exec.Cmd, *bytes.Buffer) {
		cmd := exec.CommandContext(t.Context(), command, append([]string{"snapshot", users, "--server", server.URL(), "--out",
			out, "--flags", "dark-mode"}, more...)...)
		cmd.Dir = folder
		cmd.Env = append(os.Environ(), keyVariable+"=canary", clockVariable+"=2026-11-"+day+"T12:00:00Z")
		var said bytes.Buffer
		cmd.Stderr = &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd, &said
	}
	if err := os.Mkdir(filepath.Join(folder, "more"), 0o700); err != nil {
		t.Fatal(err)
	}
	first, said := start("27", "dt={date}/a.csv", "--out", "more/{date}.jsonl", "--errors", "e.jsonl")
	select {
	case <-arrived: // a request is under way
	case <-t.Context().Done():
	}
	for _, tt := range []struct{ name, day, out string }{
		{"the same command", "27", "dt={date}/a.csv"},
		{"the next day", "28", "dt={date}/a.csv"},
		{"its second output, the next day", "28", "more/{date}.jsonl"},
		{"the name", "28", "dt=2026-11-27/a.csv"},
		{"the name of its second output", "28", "more/2026-11-27.jsonl"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd, said := start(tt.day, tt.out)
			if code := waitFor(t, cmd); code != exitStopped || !strings.Contains(said.String(), "in use") {
				t.Errorf("--out %s beside --out dt={date}/a.csv --out more/{date}.jsonl: exit code %d, want %d; it said:\n%s",
					tt.out, code, exitStopped, said)
			}
		})
	}
	release()
	if code := waitFor(t, first); code != exitOK {
		t.Errorf("the first run: exit code %d, want 0; it said:\n%s", code, said)
	}
	for _, name := range []string{"dt=2026-11-27/a.csv", "dt=2026-11-27/a.csv.manifest.json", "more/2026-11-27.jsonl"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	for _, pattern := range []string{".*", "*/.*", "dt=2026-11-28"} {
		if left, err := filepath.Glob(filepath.Join(folder, pattern)); err != nil || len(left) > 0 {
			t.Errorf("left: %q, %v", left, err)
		}
	}
}

// waitFor returns the exit code of a command.
func waitFor(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode()
}
