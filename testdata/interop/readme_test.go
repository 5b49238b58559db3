//go:build interop

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// namesThatLookLikeOtherThings are flags that are called like a number, and variants that are called like numbers and
// booleans.
const namesThatLookLikeOtherThings = `[
	{"key": "numbers", "variants": {"1": {"key": "1", "value": "1", "payload": 1.10}, "02": {"key": "02", "value": "02", "payload": 9007199254740993}}, "segments": [
		{"conditions": [[{"selector": ["context", "user", "platform"], "op": "is", "values": ["iOS", "Web"]}]], "variant": "1"}, {"variant": "02"}]},
	{"key": "truths", "variants": {"true": {"key": "true", "value": "true", "payload": null}, "t": {"key": "t", "value": "t", "payload": {"": [{}]}}}, "segments": [
		{"conditions": [[{"selector": ["context", "user", "platform"], "op": "is", "values": ["iOS", "Web"]}]], "variant": "true"}, {"variant": "t"}]},
	{"key": "7", "variants": {"yes": {"key": "yes", "value": "yes", "payload": 1.5}, "no": {"key": "no", "value": "no", "payload": {"rare": true}}}, "segments": [
		{"conditions": [[{"selector": ["context", "user", "platform"], "op": "is", "values": ["iOS", "Web"]}]], "variant": "yes"}, {"variant": "no"}]}]`

// The load statements of the README find what is in the files: whatever the ids and the variants look like.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```sql\n-- DuckDB\n(.*?)```").FindSubmatch(readme)
	if block == nil {
		t.Fatal("the README has no statements for DuckDB")
	}
	statements := strings.Split(strings.TrimSuffix(string(block[1]), ";\n"), ";\n")
	if len(statements) != 3 {
		t.Fatalf("the README has %d statements for DuckDB, want 3", len(statements))
	}
	nasty, nastyFile := nastyParquet(t)
	uuids := &users{columns: []userColumn{{"user_id", "VARCHAR"}, {"device_id", "VARCHAR"}, {"platform", "VARCHAR"}}}
	numbers := &users{columns: uuids.columns}
	for i := range 10 {
		platform := []value{"iOS", "Android"}[i%2]
		id := fmt.Sprintf("5DF2208C-EDA6-4E16-B875-84332083FB%02X", i)
		uuids.rows = append(uuids.rows, []value{id, strings.ToLower(id), platform})
		numbers.rows = append(numbers.rows, []value{fmt.Sprintf("%03d", i), fmt.Sprintf("2024-01-%02d", i+1), platform})
	}
	late := &users{columns: uuids.columns} // the last row is unlike all that DuckDB looks at to find out what a file holds
	for i := range 25_000 {
		late.rows = append(late.rows, []value{fmt.Sprint(i), nil, "iOS"})
	}
	late.rows = append(late.rows, []value{"the last", "one", "Android"})
	for _, in := range []struct {
		users *users
		file  string
		code  int
		flags []string
	}{{nasty, nastyFile, 3, nil}, {uuids, "", 0, nil}, {numbers, "", 0, nil}, {late, "", 0, []string{"7"}}} {
		folder := t.TempDir()
		if in.file == "" {
			in.file = filepath.Join(folder, "users.csv")
			in.users.writeCSV(t, in.file, ',')
		}
		configs := filepath.Join(folder, "flags.json")
		write(t, configs, namesThatLookLikeOtherThings)
		args := []string{"snapshot", in.file, "--quiet", "--evaluator", "local", "--flag-configs", configs}
		if in.flags != nil {
			args = append(args, "--flags", strings.Join(in.flags, ","))
		}
		for _, name := range []string{"assignments.parquet", "assignments.csv", "assignments.jsonl"} {
			args = append(args, "--out", filepath.Join(folder, name))
		}
		run(t, in.code, args...)
		m, err := snapshot.ReadManifest(nil, filepath.Join(folder, "assignments.parquet.manifest.json"))
		if err != nil {
			t.Fatal(err)
		}
		want := in.users.expect(t, layout{configs: configs, flags: in.flags}, m)
		for _, statement := range statements {
			f := format{types: longTypes}
			if strings.Contains(statement, ".jsonl'") {
				f = format{types: merge(longTypes, map[string]string{"payload": "JSON"}), jsonIsValue: true}
			}
			want.compare(t, statement, query(t, strings.ReplaceAll(statement, "'assignments.", "'"+folder+"/assignments.")), f)
		}
	}
}
