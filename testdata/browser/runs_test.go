//go:build browser

package browser

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	users = "../../testdata/users.csv"
	flags = "../../testdata/flags.json"
	asked = "checkout-redesign,cookie-banner,dark-mode,express-pay,legacy-export,new-player,onboarding-flow,partner-api,pricing-test,recommendations,staff-tools,team-workspaces"
	by    = "country,user_properties.plan,city"
)

// runCommand runs the command. Users that failed are in the test data on purpose.
func runCommand(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command(rollcall, args...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.ExitCode() == 3 && args[0] == "snapshot" {
		err = nil
	}
	if err != nil {
		t.Fatalf("rollcall %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// runSnapshot evaluates users, and returns the output's name.
func runSnapshot(t *testing.T, name, users, configs, by string, more ...string) string {
	t.Helper()
	out := filepath.Join(tempDir, name)
	runCommand(t, append([]string{"snapshot", users, "--out", out, "--evaluator", "local", "--flag-configs", configs,
		"--carry", by, "--quiet"}, more...)...)
	return out
}

// writePage writes the page of a report.
func writePage(t *testing.T, name string, args ...string) string {
	t.Helper()
	file := filepath.Join(tempDir, name+".html")
	runCommand(t, append([]string{"report", "--html", file, "--quiet"}, args...)...)
	return file
}

// makeAsIs is the page of the test users with the test flags.
func makeAsIs(t *testing.T) string {
	const by = "country,user_properties.seats"
	return writePage(t, "as-is", runSnapshot(t, "as-is.parquet", users, flags, by, "--flags", asked), "--by", by,
		"--flag-configs", flags, "--checksums")
}

// makeCohorts is the page that leads with a cohort, and has another one.
func makeCohorts(t *testing.T) string {
	nobody := filepath.Join(tempDir, "lists", "nobody.txt")
	if err := errors.Join(os.MkdirAll(filepath.Dir(nobody), 0o700), os.WriteFile(nobody, []byte("nobody\n"), 0o600)); err != nil {
		t.Fatal(err)
	}
	return writePage(t, "cohorts", runSnapshot(t, "cohorts.parquet", users, flags, "country", "--flags", asked),
		"--cohort", "vip=../../testdata/vips.csv", "--cohorts", filepath.Dir(nobody), "--by", "cohort.vip")
}

// makePlanted is the page of a run with three things that should be found: checkout-redesign is split 80:20 in France,
// pricing-test lets everybody in whom the group keeps for onboarding-flow, and dark-mode is for 30 %, not for half.
func makePlanted(t *testing.T) string {
	return writePage(t, "planted", runPlanted(t, "planted.parquet"), "--by", by, "--flag-configs", flags,
		"--expect", "checkout-redesign=control:50,treatment:50", "--expect", "dark-mode=on:50,not_assigned:50")
}

func runPlanted(t *testing.T, name string) string {
	var configs []map[string]any
	readJSON(t, flags, &configs)
	for _, f := range configs {
		segments, _ := f["segments"].([]any)
		switch f["key"] {
		case "pricing-test":
			f["segments"], f["dependencies"] = segments[1:], []string{}
		case "checkout-redesign":
			data, err := json.Marshal(segments[len(segments)-1])
			if err != nil {
				t.Fatal(err)
			}
			var biased map[string]any
			if err := json.Unmarshal([]byte(strings.NewReplacer("21474837", "34359739", "21474836",
				"34359738").Replace(string(data))), &biased); err != nil {
				t.Fatal(err)
			}
			biased["conditions"] = [][]any{{map[string]any{"selector": []string{"context", "user", "country"}, "op": "is",
				"values": []string{"France"}}}}
			f["segments"] = slices.Insert(segments, len(segments)-1, any(biased))
		}
	}
	evaluated := writeJSON(t, "planted-flags.json", configs)
	return runSnapshot(t, name, users, evaluated, by, "--flags",
		"checkout-redesign,dark-mode,express-pay,legacy-export,onboarding-flow,pricing-test")
}

// makeDiff is the page of what the planted run changes.
func makeDiff(t *testing.T) string {
	before := runSnapshot(t, "before.parquet", users, flags, by, "--flags", asked)
	after := runPlanted(t, "after.csv")
	file := filepath.Join(tempDir, "diff.html")
	runCommand(t, "diff", before, after, "--html", file, "--quiet")
	return file
}

// makeHostileDiff is the page of what changes between names that would break a page: the users of the second run are
// half of the first one's, and others.
func makeHostileDiff(t *testing.T) string {
	configs := writeJSON(t, "hostile-diff-flags.json", evilFlags(0))
	changed := writeJSON(t, "hostile-diff-flags2.json", evilFlags(3))
	before := runSnapshot(t, "<b>before.csv", evilUsers(t, "before-users.csv", 0, "country"), configs, "country")
	after := runSnapshot(t, evil[4]+".csv", evilUsers(t, "after-users.csv", 1500, "country"), changed, "country")
	file := filepath.Join(tempDir, "hostile-diff.html")
	runCommand(t, "diff", before, after, "--html", file, "--quiet")
	return file
}

// evil are names that would break a page that does not escape them, is not wide enough, or is read from left to right.
var evil = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style></title><h1>`, `javascript:alert(1)`,
	"תשלום-מהיר", "דגל 42 (א)", "\u202egnorw yaw eht\u202c", "tab\there\x1b[31m", strings.Repeat("long", 75),
	"{{.}} &amp; ${x}",
}

// evilFlags are flags and variants with such names. Each has its variant from the name so many further on.
func evilFlags(shift int) []map[string]any {
	var configs []map[string]any
	half := func(salt string, variants ...string) map[string]any {
		bucket := []map[string]any{
			{"variant": variants[0], "range": []int{0, 21474837}}, {"variant": variants[1], "range": []int{21474836, 42949673}},
		}
		return map[string]any{"variant": "off", "metadata": map[string]any{"segmentName": salt}, "bucket": map[string]any{
			"selector": []string{"context", "user", "user_id"}, "salt": salt,
			"allocations": []any{map[string]any{"range": []int{0, 100}, "distributions": bucket}}}}
	}
	variant := func(key string) map[string]any { return map[string]any{"key": key, "value": key} }
	for i, name := range evil {
		other := evil[(i+1+shift)%len(evil)]
		configs = append(configs, map[string]any{
			"key": name,
			"variants": map[string]any{"off": map[string]any{"key": "off", "metadata": map[string]any{"default": true}},
				"control": variant("control"), other: variant(other)},
			"segments": []any{half(fmt.Sprintf("salt%d", i%(len(evil)-1)), "control", other)}, // the last one shares its salt
			"metadata": map[string]any{"deployed": true, "evaluationMode": "local", "flagType": "experiment", "flagVersion": 1},
		})
	}
	return configs
}

// evilUsers are 3,000 users, from one on, with such values.
func evilUsers(t *testing.T, name string, from int, columns ...string) string {
	t.Helper()
	file := filepath.Join(tempDir, name)
	out, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	w := csv.NewWriter(out)
	_ = w.Write(append([]string{"user_id"}, columns...))
	for i := from; i < from+3000; i++ {
		_ = w.Write([]string{fmt.Sprintf("u%d", i), evil[i%len(evil)], fmt.Sprintf("<i>%d %s", i%40, evil[i%len(evil)])}[:1+
			len(columns)])
	}
	w.Flush()
	if err := errors.Join(w.Error(), out.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// makeHostile is the page of users, flags, variants and columns with such names.
func makeHostile(t *testing.T) string {
	column := `<b onclick="x">` + strings.Repeat("column", 20)
	named := `country,"` + strings.ReplaceAll(column, `"`, `""`) + `"` // --carry and --by are lists as in CSV
	configs := writeJSON(t, "hostile-flags.json", evilFlags(0))
	return writePage(t, "hostile", runSnapshot(t, "hostile <&>.csv", evilUsers(t, "hostile.csv", 0, "country", column),
		configs, named), "--by", named, "--expect", evil[0]+"=control:20,x:80")
}

func readJSON(t *testing.T, file string, v any) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(data, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, name string, v any) string {
	t.Helper()
	file := filepath.Join(tempDir, name)
	data, err := json.Marshal(v)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}
