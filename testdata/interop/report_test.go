//go:build interop

package interop

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// DuckDB, which counts the same file by itself, finds the counts, intervals and overlaps that `rollcall report` says.
func TestReport(t *testing.T) {
	folder := t.TempDir()
	out, counts := filepath.Join(folder, "out.parquet"), filepath.Join(folder, "report.json")
	snapshot := exec.Command(rollcall, "snapshot", "../users.csv", "--quiet", "--evaluator", "local", "--flag-configs",
		"../flags.json",
		"--carry", "country,user_properties.plan", "--out", out)
	if text, err := snapshot.CombinedOutput(); snapshot.ProcessState.ExitCode() != 3 { // three of the users have no id
		t.Fatalf("%v: %v\n%s", snapshot.Args, err, text)
	}
	report := exec.Command(rollcall, "report", out, "--by", "country,user_properties.plan", "--format", "json")
	data, err := report.Output()
	if err != nil {
		t.Fatalf("%v: %v", report.Args, err)
	}
	write(t, counts, string(data))
	node, err := filepath.Abs("../node")
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("node", "../../pipeline/audit/report/testdata/duckdb.cjs", node, counts, out, "country",
		"user_properties.plan")
	if text, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", check.Args, err, text)
	}
}
