//go:build interop

package interop

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/report"
)

// namesThatLookLikeOtherThings are flags whose variants are called like numbers and booleans.
const namesThatLookLikeOtherThings = `[
	{"key": "numbers", "variants": {"1": {"key": "1", "value": "1", "payload": 1.10}, "02": {"key": "02", "value": "02", "payload": 9007199254740993}}, "segments": [
		{"conditions": [[{"selector": ["context", "user", "platform"], "op": "is", "values": ["iOS", "Web"]}]], "variant": "1"}, {"variant": "02"}]},
	{"key": "truths", "variants": {"true": {"key": "true", "value": "true", "payload": null}, "t": {"key": "t", "value": "t", "payload": {"": [{}]}}}, "segments": [
		{"conditions": [[{"selector": ["context", "user", "platform"], "op": "is", "values": ["iOS", "Web"]}]], "variant": "true"}, {"variant": "t"}]}]`

// The load statements of the README find what is in the files.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n-- DuckDB\n(.*?)-- Snowflake").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no statements for DuckDB")
	}
	statements := strings.Split(strings.TrimSpace(string(block[1])), "\n")
	if len(statements) != 3 {
		t.Fatalf("the README has %d statements for DuckDB, want 3", len(statements))
	}
	folder := t.TempDir()
	configs := filepath.Join(folder, "flags.json")
	write(t, configs, namesThatLookLikeOtherThings)
	u, input := nastyParquet(t)
	args := []string{"snapshot", input, "--quiet", "--evaluator", "local", "--flag-configs", configs}
	for _, name := range []string{"assignments.parquet", "assignments.csv", "assignments.jsonl"} {
		args = append(args, "--out", filepath.Join(folder, name))
	}
	run(t, 3, args...)
	m, err := report.ReadManifest(filepath.Join(folder, "assignments.parquet.manifest.json"))
	if err != nil {
		t.Fatal(err)
	}
	want := u.expect(t, layout{configs: configs}, m)
	kinds := byKind(longTypes, nil, nil, jsonlTypes)
	for _, statement := range statements {
		format := kinds["csv"]
		for kind, f := range kinds {
			if strings.Contains(statement, "."+kind+"'") {
				format = f
			}
		}
		// A column without any value is JSON to read_json.
		delete(format.types, "experiment_key")
		want.compare(t, statement, query(t, strings.ReplaceAll(statement, "'assignments.", "'"+folder+"/assignments.")), format)
	}
}
