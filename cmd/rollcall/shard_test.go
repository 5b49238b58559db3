package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

func TestParseShard(t *testing.T) {
	env := func(pairs ...string) map[string]string {
		m := map[string]string{}
		for i := 0; i < len(pairs); i += 2 {
			m[pairs[i]] = pairs[i+1]
		}
		return m
	}
	for _, tt := range []struct {
		name, value, want string // "": an error
		env               map[string]string
	}{
		{"one of many", "3/24", "3/24", nil},
		{"the only one", "1/1", "1/1", nil},
		{"zero", "0/24", "", nil},
		{"too large", "25/24", "", nil},
		{"no number of shards", "3", "", nil},
		{"negative", "-1/2", "", nil},
		{"too many", "1/100000", "", nil},
		{"words", "a/b", "", nil},
		{"empty", "/", "", nil},
		{"Kubernetes", "auto", "3/24", env("JOB_COMPLETION_INDEX", "2", "JOB_COMPLETIONS", "24")},
		{"AWS Batch", "auto", "1/2", env("AWS_BATCH_JOB_ARRAY_INDEX", "0", "AWS_BATCH_JOB_ARRAY_SIZE", "2")},
		{"Cloud Run", "auto", "2/2", env("CLOUD_RUN_TASK_INDEX", "1", "CLOUD_RUN_TASK_COUNT", "2")},
		{"no variable", "auto", "", nil},
		{"an index alone", "auto", "", env("JOB_COMPLETION_INDEX", "2")},
		{"an index that is too large", "auto", "", env("CLOUD_RUN_TASK_INDEX", "2", "CLOUD_RUN_TASK_COUNT", "2")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseShard(tt.value, func(name string) (string, bool) {
				value, ok := tt.env[name]
				return value, ok
			})
			if err == nil && got.String() != tt.want || err != nil && tt.want != "" {
				t.Errorf("parseShard(%q) with %v = %v, %v; want %q", tt.value, tt.env, got, err, tt.want)
			}
		})
	}
}

// ofRun is what differs between two runs of the same users.
var ofRun = regexp.MustCompile(`"(path|manifest|name|run_id|started_at|finished_at|first_evaluated_at|last_evaluated_at|sha256)": ` +
	`"[^"]*"|"bytes": \d+`)

// readText returns the decompressed text of a file.
func readText(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	r, err := decompress(path, f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The shards of a job have the rows of one run, whatever the input is and however many there are; merged, they are
// verified and reported as it is.
func TestShardsMakeOneRun(t *testing.T) {
	dir := t.TempDir()
	data, err := os.ReadFile("../../testdata/users.csv")
	if err != nil {
		t.Fatal(err)
	}
	data = bytes.ReplaceAll(data, []byte("Zahlt per SEPA"), []byte(`Zahlt per SEPA`))
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	header, half := string(lines[0]), len(lines)/2
	quoted := header // a quoted newline in most rows
	for _, line := range lines[1:] {
		if cells := strings.Split(strings.TrimSuffix(string(line), "\n"), ","); !strings.Contains(string(line), `"`) &&
			len(cells) == strings.Count(header, ",")+1 {
			cells[len(cells)-1] = `"` + cells[len(cells)-1] + "\nand, on a line of its own,\n" + `a ""note"""`
			line = []byte(strings.Join(cells, ",") + "\n")
		}
		quoted += string(line)
	}
	var packed []string
	for i, part := range [][][]byte{lines[1:half], lines[half:]} {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, err := z.Write(append([]byte(header), bytes.Join(part, nil)...))
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		packed = append(packed, write(fmt.Sprintf("users-%d.csv.gz", i), b.Bytes()))
	}
	jsonl := filepath.Join(dir, "users.jsonl")
	var objects bytes.Buffer
	for i := range 997 {
		fmt.Fprintf(&objects, `{"user_id":"u%d","country":"%s","note":"%s"}`+"\n", i, []string{"Germany", "Japan"}[i%2],
			strings.Repeat("x", i%50))
		if i%100 == 7 {
			objects.WriteString("not JSON\n\n")
		}
	}
	write("users.jsonl", objects.Bytes())
	parquet, err := filepath.Abs("../../testdata/users.parquet")
	if err != nil {
		t.Fatal(err)
	}
	flags, err := filepath.Abs("../../testdata/flags.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		inputs []string
		of     int
		out    string // extension
		plan   bool
		also   []string
	}{
		{"CSV with quoted newlines", []string{write("users.csv", []byte(quoted))}, 24, "parquet", true, []string{"--carry", "country"}},
		{"without a plan", []string{filepath.Join(dir, "users.csv")}, 5, "csv", false, nil},
		{"gzip, a shard a file", packed, 3, "jsonl.gz", true, nil},
		{"Parquet", []string{parquet}, 4, "jsonl", true, []string{"--layout", "wide", "--flags", "checkout-redesign,dark-mode"}},
		{"JSON Lines", []string{jsonl}, 24, "csv", true, nil},
		{"several files", append([]string{filepath.Join(dir, "users.csv")}, packed...), 7, "tsv.zst", true, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			folder := t.TempDir()
			do := func(want int, args ...string) string {
				t.Helper()
				code, stdout, stderr := runHere(t, args...)
				if code != want && !(want < 0 && (code == exitOK || code == exitSomeFailed)) {
					t.Fatalf("%v: exit code %d, want %d; it said\n%s", args, code, want, stderr)
				}
				return stdout
			}
			evaluate := func(more ...string) []string {
				args := append([]string{"snapshot"}, tt.inputs...)
				return append(append(append(args, "--evaluator", "local", "--flag-configs", flags, "--quiet"), tt.also...), more...)
			}
			for _, name := range []string{"whole", "shards"} {
				if err := os.Mkdir(filepath.Join(folder, name), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			whole, shards := filepath.Join(folder, "whole", "part."+tt.out), filepath.Join(folder, "shards")
			do(-1, evaluate("--out", whole)...)
			var plan []string
			if tt.plan {
				file := filepath.Join(folder, "plan.json")
				do(exitOK, append(append([]string{"plan"}, tt.inputs...), "--shards", fmt.Sprint(tt.of), "--out", file, "--quiet")...)
				plan = []string{"--plan", file}
			}
			for i := range tt.of {
				do(-1, evaluate(append(plan, "--shard", fmt.Sprintf("%d/%d", i+1, tt.of), "--out",
					filepath.Join(shards, "part-{shard}."+tt.out))...)...)
			}
			merged := filepath.Join(shards, "manifest.json")
			do(-1, "merge", filepath.Join(shards, "part-*.manifest.json"), "--out", merged, "--quiet")
			do(exitOK, "verify", merged, "--quiet")
			if tt.out == "parquet" {
				do(exitUsage, "merge", filepath.Join(shards, "part-*.manifest.json"), "--out", merged, "--concat", "--overwrite")
			} else { // one file of the shards has the rows of one run
				one := filepath.Join(shards, "one.manifest.json")
				do(-1, "merge", filepath.Join(shards, "part-*.manifest.json"), "--out", one, "--concat", "--overwrite", "--quiet")
				do(exitOK, "verify", one, "--quiet")
				want, got := readText(t, whole), readText(t, filepath.Join(shards, "part."+tt.out))
				if diff := cmp.Diff(string(withoutRun(want)), string(withoutRun(got))); diff != "" {
					t.Errorf("rows of the run (-) and of its shards (+):\n%.2000s", diff)
				}
				for _, name := range []string{"one.manifest.json", "part." + tt.out} {
					if err := os.Remove(filepath.Join(shards, name)); err != nil {
						t.Fatal(err)
					}
				}
				do(-1, "merge", filepath.Join(shards, "part-*.manifest.json"), "--out", merged, "--overwrite", "--quiet")
			}
			if text := do(exitOK, "diff", whole, merged); !strings.HasPrefix(text, "SAME") {
				t.Errorf("diff of the run and its shards:\n%s\nwant SAME", text)
			}
			want, got := do(exitOK, "report", whole, "--format", "json"), do(exitOK, "report", merged, "--format", "json")
			for _, text := range []*string{&want, &got} {
				*text = ofRun.ReplaceAllString(*text, "…")
				*text = regexp.MustCompile(`(?s)\n *"warnings": \[.*?\]|\{\s*"severity": "note",\s*"kind": "warning".*?\},?|.*evaluated the flag configurations.*`).
					ReplaceAllString(*text, "")
				*text = regexp.MustCompile(`,?\s+`).ReplaceAllString(*text, "\n")
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("report of the run (-) and of its shards (+):\n%.3000s", diff)
			}
			records, err := os.ReadFile(filepath.Join(folder, "whole", "part.errors.jsonl"))
			if err != nil {
				t.Fatal(err)
			}
			joined, err := os.ReadFile(filepath.Join(shards, "part.errors.jsonl"))
			if diff := cmp.Diff(string(withoutRun(records)), string(withoutRun(joined))); err != nil || diff != "" {
				t.Errorf("error records of the run (-) and of its shards (+): %v\n%.2000s", err, diff)
			}
		})
	}
}

// A job whose input, plan, shards and merged manifest are in a store, as the help of plan shows it.
func TestShardsInStores(t *testing.T) {
	m := &pipelinetest.Memory{}
	for name, file := range map[string]string{"in/users.csv": "../../testdata/users.csv", "flags.json": "../../testdata/flags.json"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Put(t.Context(), name, data, blob.Condition{}); err != nil {
			t.Fatal(err)
		}
	}
	const input, plan, merged = "s3://bucket/in/*.csv", "s3://bucket/plan.json", "s3://bucket/out/manifest.json"
	for _, step := range []struct {
		code int
		args []string
	}{
		{exitOK, []string{"plan", input, "--shards", "2", "--out", plan}},
		{exitFailed, []string{"plan", input, "--shards", "2", "--out", plan}}, // it exists
		{-1, []string{"snapshot", input, "--shard", "1/2"}},
		{-1, []string{"snapshot", input, "--shard", "2/2"}},
		{exitSomeFailed, []string{"merge", "s3://bucket/out/part-*.manifest.json", "--out", merged}},
		{exitOK, []string{"verify", merged}},
		{exitOK, []string{"report", merged}},
	} {
		args := step.args
		if args[0] == "snapshot" {
			args = append(args, "--plan", plan, "--evaluator", "local", "--flag-configs", "s3://bucket/flags.json", "--out",
				"s3://bucket/out/part-{shard}.csv", "--quiet")
		}
		code, _, stderr := runWithStores(t, m, args...)
		if code != step.code && !(step.code < 0 && (code == exitOK || code == exitSomeFailed)) {
			t.Fatalf("%v: exit code %d, want %d; it said\n%s", args, code, step.code, stderr)
		}
	}
}
