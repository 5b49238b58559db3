package main

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependencyRule asserts from `go list` what the design says: the command knows all packages, sources, sinks
// and what is below pipeline know pipeline and not each other, and pipeline knows the standard library and
// golang.org/x/sync.
func TestDependencyRule(t *testing.T) {
	const module = "github.com/rollcall-cli/rollcall"
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, module+
		"/...").CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	// What a package may import of this module. evalserver is the API over the engine.
	allowed := map[string][]string{
		"pipeline":           {},
		"pipeline/amplitude": {"pipeline"},
		"pipeline/audit/check": {"pipeline", "pipeline/audit/stats", "pipeline/audit/text", "pipeline/blob",
			"pipeline/cohort", "pipeline/jsonschema", "pipeline/snapshot"},
		"pipeline/audit/diff": {"pipeline", "pipeline/audit/stats", "pipeline/audit/text", "pipeline/blob", "pipeline/cohort",
			"pipeline/engine", "pipeline/snapshot", "sources"},
		"pipeline/audit/page": {"pipeline", "pipeline/audit/diff", "pipeline/audit/report", "pipeline/audit/stats",
			"pipeline/audit/text", "pipeline/snapshot"},
		"pipeline/audit/report": {"pipeline", "pipeline/audit/stats", "pipeline/audit/text", "pipeline/blob",
			"pipeline/cohort", "pipeline/engine", "pipeline/snapshot"},
		"pipeline/audit/stats":  {"pipeline/audit/text"},
		"pipeline/audit/text":   {},
		"pipeline/blob":         {"pipeline", "pipeline/durable"},
		"pipeline/blob/azure":   {"pipeline", "pipeline/blob"},
		"pipeline/blob/gcs":     {"pipeline", "pipeline/blob"},
		"pipeline/blob/s3":      {"pipeline", "pipeline/blob"},
		"pipeline/cohort":       {"pipeline", "pipeline/blob", "pipeline/parquetfile", "sources"},
		"pipeline/durable":      {"pipeline"},
		"pipeline/engine":       {"pipeline"},
		"pipeline/evalserver":   {"pipeline", "pipeline/engine"},
		"pipeline/journal":      {"pipeline", "pipeline/blob", "pipeline/durable"},
		"pipeline/jsonschema":   {},
		"pipeline/load":         {"pipeline", "pipeline/audit/text", "pipeline/snapshot"},
		"pipeline/local":        {"pipeline", "pipeline/cohort", "pipeline/engine"},
		"pipeline/parquetfile":  {"pipeline"},
		"pipeline/pipelinetest": {"pipeline", "pipeline/blob"},
		"pipeline/snapshot":     {"pipeline", "pipeline/audit/text", "pipeline/blob", "pipeline/parquetfile"},
		"pipeline/staging":      {"pipeline", "pipeline/blob", "pipeline/durable"},
		"sinks":                 {"pipeline", "pipeline/staging"},
		"sources":               {"pipeline", "pipeline/blob", "pipeline/durable", "pipeline/parquetfile"},
	}
	seen := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		fields := strings.Fields(line)
		pkg := strings.TrimPrefix(fields[0], module+"/")
		seen[pkg] = true
		if path.Dir(pkg) == "cmd" {
			continue
		}
		may, known := allowed[pkg]
		if !known {
			t.Errorf("package %s is not in this test's table", pkg)
		}
		for _, imported := range fields[1:] {
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			if isOurs && !slices.Contains(may, ours) {
				t.Errorf("%s imports %s, want only %v of this module", pkg, ours, may)
			}
			if pkg == "pipeline" && strings.Contains(imported, ".") && !strings.HasPrefix(imported, "golang.org/x/sync/") {
				t.Errorf("pipeline imports %s, want the standard library and golang.org/x/sync", imported)
			}
		}
	}
	for pkg := range allowed {
		t.Run(pkg, func(t *testing.T) {
			if !seen[pkg] {
				t.Errorf("go list does not know %s", pkg)
			}
		})
	}
}

// TestCrashTestsAreRun: `make test` runs the tests of files with the tag faultfs by their name.
func TestCrashTestsAreRun(t *testing.T) {
	for _, pattern := range []string{"*_test.go", "../../pipeline/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v; want files", pattern, files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(text), "//go:build faultfs\n") {
				continue
			}
			for _, name := range regexp.MustCompile(`(?m)^func (Test\w+)`).FindAllStringSubmatch(string(text), -1) {
				if !strings.HasPrefix(name[1], "TestCrash") {
					t.Errorf("%s: the name of %s does not begin with TestCrash, so nothing runs it", file, name[1])
				}
			}
		}
	}
}
