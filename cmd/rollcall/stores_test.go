package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// memoryStores are stores with the bucket s3://bucket.
func memoryStores(m *pipelinetest.Memory) *blob.Stores {
	return blob.NewStores(map[string]blob.Store{"s3": {Open: func(_ context.Context, name string) (blob.Bucket, error) {
		if name != "bucket" {
			return nil, blob.ErrNoBucket
		}
		return m, nil
	}}})
}

func runWithStores(t *testing.T, m *pipelinetest.Memory, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, said bytes.Buffer
	code = run(args, &env{Stdin: strings.NewReader(""), Stdout: &out, Stderr: &said, Stores: memoryStores(m),
		LookupEnv: func(string) (string, bool) { return "", false }, Soft: t.Context(), Hard: t.Context()})
	return code, out.String(), said.String()
}

// upload puts all files of the working directory into the bucket, below run/.
func upload(t *testing.T, m *pipelinetest.Memory) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		_, err = m.Put(t.Context(), "run/"+filepath.ToSlash(path), data, blob.Condition{})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// makeRuns makes two runs in a directory that becomes the working directory, and returns a bucket with all its files.
func makeRuns(t *testing.T) *pipelinetest.Memory {
	t.Helper()
	users, err := os.ReadFile("../../testdata/users.csv")
	flags, ferr := os.ReadFile("../../testdata/flags.json")
	if err := errors.Join(err, ferr); err != nil {
		t.Fatal(err)
	}
	lines := bytes.SplitAfter(users, []byte("\n"))[:301]
	users = bytes.Join(lines, nil)
	users = append(users, ',')
	users = append(users, bytes.Repeat([]byte(","), bytes.Count(lines[0], []byte(","))-1)...) // without an id
	users = append(users, '\n')
	vips := "user_id\n"
	for _, line := range lines[1:20] {
		vips += strings.Split(string(line), ",")[0] + "\n"
	}
	var nobodies []string
	for i := range 200 {
		nobodies = append(nobodies, fmt.Sprint("nobody-", i))
	}
	t.Chdir(t.TempDir())
	files := map[string]string{
		"users.csv": string(users), "flags.json": string(flags), "vips.csv": vips, "cohorts/vip.csv": vips, "lake/keep": "",
		"later.csv":       strings.ReplaceAll(string(users), ",pro,", ",free,"),
		"config.yaml":     "format: json\n",
		"cta.schema.json": `{"type": "object"}`,
		"rules.yaml": "checks:\n  - users: {min: 100}\n  - exposed: nobody\n    flag: checkout-redesign\n    cohort: vip\n" +
			"  - {payload: cta.schema.json, flag: checkout-redesign}\n",
		"list.txt": "checkout-redesign\n", "none.csv": "user_id\n" + strings.Join(nobodies, "\n") + "\n",
	}
	for name, data := range files {
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(data), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	m := &pipelinetest.Memory{}
	for _, args := range [][]string{
		{"users.csv", "--out", "a.csv", "--out", "a.parquet", "--out", "a.jsonl.zst", "--flag-configs", "flags.json"},
		{"later.csv", "--out", "b.parquet", "--flag-configs", "flags.json"},
		{"users.csv", "--out", "lake/p.parquet", "--out", "lake/p.csv", "--errors", "lake/p.errors.jsonl", "--flag-configs",
			"flags.json", "--partition-by", "country,flag_key", "--rows-per-file", "20"},
	} {
		args = append([]string{"snapshot", "--evaluator", "local", "--carry", "country", "--max-errors", "10", "--quiet"},
			args...)
		if code, _, said := runWithStores(t, m, args...); code != 0 {
			t.Fatalf("snapshot: exit %d\n%s", code, said)
		}
	}
	upload(t, m)
	return m
}

// TestReadStores: each command says the same of files in a store as of the same files here.
func TestReadStores(t *testing.T) {
	m := makeRuns(t)
	names := []string{"a.csv", "a.parquet", "a.jsonl.zst", "a.csv.manifest.json", "b.parquet", "rules.yaml", "users.csv",
		"flags.json", "vips.csv", "cohorts", "config.yaml", "list.txt", "a.errors.jsonl", "lake/p.parquet", "lake/p.csv",
		"lake/p.parquet.manifest.json"}
	for _, command := range []string{
		"verify a.csv",
		"verify a.csv.manifest.json b.parquet --format json",
		"verify a.parquet --thorough",
		"verify a.csv --config config.yaml",
		"report a.csv",
		"report a.csv.manifest.json --format json --by country --flag-configs flags.json --checksums",
		"report a.parquet --cohort vip=vips.csv --by cohort.vip --format markdown",
		"report a.jsonl.zst --cohorts cohorts",
		"check rules.yaml a.parquet --cohort vip=vips.csv",
		"check rules.yaml a.csv b.parquet --cohorts cohorts --format junit",
		"check --init a.csv",
		"diff a.csv b.parquet",
		"diff a.parquet b.parquet --format json --cohort vip=vips.csv --only cohort.vip",
		"explain --row 3 users.csv --flag-configs flags.json --flags-from list.txt --cohort vip=vips.csv",
		"flags --flag-configs flags.json",
		"load a.parquet --for redshift",
		"report a.errors.jsonl",
		"verify lake/p.parquet",
		"verify lake/p.parquet.manifest.json --format json --thorough",
		"report lake/p.csv --by country",
		"check rules.yaml lake/p.parquet --cohorts cohorts",
	} {
		t.Run(command, func(t *testing.T) {
			here := strings.Fields(command)
			there := slices.Clone(here)
			for i, arg := range there {
				option, path, isPair := strings.Cut(arg, "=")
				switch {
				case slices.Contains(names, arg):
					there[i] = "s3://bucket/run/" + arg
				case isPair && slices.Contains(names, path):
					there[i] = option + "=s3://bucket/run/" + path
				}
			}
			if strings.HasPrefix(command, "load") { // which prints the path
				here = append(here, "--from", "s3://bucket/run/a.parquet")
			}
			code, want, said := runWithStores(t, m, here...)
			if code != exitOK && code != exitNotHeld && !strings.Contains(said, "error records") {
				t.Fatalf("%s: exit %d\n%s", here, code, said)
			}
			gotCode, got, gotSaid := runWithStores(t, m, there...)
			if gotCode != code {
				t.Errorf("%s: exit %d, want %d\n%s", there, gotCode, code, gotSaid)
			}
			got, gotSaid = plainPaths(got), plainPaths(gotSaid)
			if want = plainPaths(want); got != want {
				t.Errorf("%s prints\n%s\nwant\n%s", there, got, want)
			}
			if said = plainPaths(said); gotSaid != said {
				t.Errorf("%s says\n%s\nwant\n%s", there, gotSaid, said)
			}
		})
	}
	t.Run("here and there", func(t *testing.T) {
		_, want, _ := runWithStores(t, m, "diff", "a.csv", "b.parquet")
		_, got, said := runWithStores(t, m, "diff", "s3://bucket/run/a.csv", "b.parquet")
		if got, want := plainPaths(got), plainPaths(want); got != want {
			t.Errorf("diff of a store and a local file prints\n%s\n%s\nwant\n%s", got, said, want)
		}
		if !strings.Contains(want, "configuration") && !strings.Contains(want, "properties") {
			t.Errorf("diff does not say what caused the changes:\n%s", want)
		}
	})
}

// plainPaths is a text without what a longer path changes in it.
func plainPaths(text string) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(text, "s3://bucket/run/", "")), " ")
}

// TestReadStoresFaults: what is missing, replaced or unreachable in a store.
func TestReadStoresFaults(t *testing.T) {
	m := makeRuns(t)
	outage := func(op, _ string) error {
		return &blob.Error{Op: op, URL: "s3://bucket/x", Err: errors.New("the store could not answer"), Status: 500}
	}
	down := &blob.Error{Op: "read", URL: "s3://bucket/run/a.csv", Err: errors.New("the store could not answer"),
		Status: http.StatusServiceUnavailable}
	replace := func(name string, after int) func(op, key string) error {
		n := 0
		return func(op, key string) error {
			if op != "read" || key != "run/"+name {
				return nil
			}
			if n++; n == after {
				hook := m.Before
				m.Before = nil
				defer func() { m.Before = hook }()
				a, err := m.Stat(t.Context(), key)
				if err != nil {
					return err
				}
				data := make([]byte, a.Size)
				if _, err = m.ReadRange(t.Context(), a, 0, data); err == nil {
					_, err = m.Put(t.Context(), key, data, blob.Condition{Version: a.Version})
				}
				return err
			}
			return nil
		}
	}
	for _, test := range []struct {
		name, command string
		before        func(op, key string) error
		remove        string
		code          int
		want          string
	}{
		{"no object", "verify s3://bucket/none.csv", nil, "", 1, "/none.csv: no such object"},
		{"no bucket", "report s3://other/a.csv", nil, "", 1, "open s3://other: no such bucket"},
		{"no manifest", "verify s3://bucket/run/a.csv", nil, "a.csv.manifest.json", 4, "there is no manifest"},
		{"no manifest", "check s3://bucket/run/rules.yaml s3://bucket/run/b.parquet --cohorts cohorts", nil,
			"b.parquet.manifest.json", 1, "there is no manifest"},
		{"no output", "verify s3://bucket/run/a.csv.manifest.json", nil, "a.parquet", 4, "the file does not exist"},
		{"no error records", "verify s3://bucket/run/a.csv", nil, "a.errors.jsonl", 4, "the file does not exist"},
		{"no rules", "check s3://bucket/run/none.yaml a.csv", nil, "", 64, "no such object"},
		{"no schema", "check s3://bucket/run/rules.yaml a.csv --cohorts cohorts", nil, "cta.schema.json", 64, "no such object"},
		{"no cohorts", "report a.csv --cohorts s3://bucket/none/", nil, "", 1, "list s3://bucket/none/: no such object"},
		{"no config", "verify a.csv --config s3://bucket/none.yaml", nil, "", 64, "no such object"},
		{"replaced between hash and values", "verify s3://bucket/run/a.csv", replace("a.csv", 2), "", 75,
			"the object changed while it was read"},
		{"replaced while read", "verify s3://bucket/run/a.parquet", replace("a.parquet", 2), "", 75,
			"the object changed while it was read"},
		{"replaced while a report reads it", "report s3://bucket/run/a.parquet", replace("a.parquet", 3), "", 75,
			"the object changed while it was read"},
		{"error records replaced", "report s3://bucket/run/a.csv --by country", replace("a.errors.jsonl", 1), "", 75,
			"the object changed while it was read"},
		{"replaced before the causes", "diff s3://bucket/run/a.csv s3://bucket/run/b.parquet", replace("users.csv", 2), "", 75,
			"changed while it was read"},
		{"an outage", "verify s3://bucket/run/a.csv", outage, "", 1, "the store could not answer"},
		{"an outage", "report s3://bucket/run/a.csv", func(op, key string) error {
			if strings.HasSuffix(key, "manifest.json") {
				return down
			}
			return nil
		}, "", 1, "the store could not answer"},
	} {
		t.Run(test.name+"/"+test.command, func(t *testing.T) {
			if test.remove != "" {
				data, err := os.ReadFile(test.remove)
				if err := errors.Join(err, m.Delete(t.Context(), "run/"+test.remove)); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if _, err := m.Put(context.Background(), "run/"+test.remove, data, blob.Condition{}); err != nil {
						t.Error(err)
					}
				}()
			}
			m.Before = test.before
			defer func() { m.Before = nil }()
			code, out, said := runWithStores(t, m, strings.Fields(test.command)...)
			if all := plainPaths(out + said); code != test.code || !strings.Contains(all, plainPaths(test.want)) {
				t.Errorf("%s: exit %d, and says\n%s\nwant exit %d and %q", test.command, code, all, test.code, test.want)
			}
		})
	}
}

// TestWriteStores: what commands write beside outputs can be in a store, and replaces nothing there unasked.
func TestWriteStores(t *testing.T) {
	m := makeRuns(t)
	read := func(key string) string {
		a, err := m.Stat(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		data := make([]byte, a.Size)
		if _, err := m.ReadRange(t.Context(), a, 0, data); err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, command := range []string{
		"report s3://bucket/run/a.csv --html s3://bucket/report.html",
		"diff a.csv b.parquet --html s3://bucket/diff.html",
		"flags --flag-configs flags.json --save s3://bucket/saved.json",
		"report a.csv --cohort vip=none.csv --missing s3://bucket/missing.csv",
		"diff a.csv b.parquet --out s3://bucket/changes.csv",
		"diff a.csv b.parquet --out s3://bucket/changes.parquet",
	} {
		t.Run(command, func(t *testing.T) {
			args := strings.Fields(command)
			key := strings.TrimPrefix(args[len(args)-1], "s3://bucket/")
			if code, _, said := runWithStores(t, m, args...); code != 0 {
				t.Fatalf("exit %d\n%s", code, said)
			}
			first := read(key)
			if len(first) < 1000 {
				t.Errorf("%s has %d bytes", key, len(first))
			}
			if _, err := m.Put(t.Context(), key, []byte("theirs"), blob.Condition{Version: version1(t, m, key)}); err != nil {
				t.Fatal(err)
			}
			if code, _, said := runWithStores(t, m, args...); code != 1 || !strings.Contains(said, "exists") ||
				read(key) != "theirs" {
				t.Errorf("again: exit %d, %s; it now is %.20q, want that it is as it was", code, said, read(key))
			}
			if code, _, said := runWithStores(t, m, append(args, "--overwrite")...); code != 0 || len(read(key)) < 1000 {
				t.Errorf("--overwrite: exit %d, %s; it now is %.20q", code, said, read(key))
			}
		})
	}
	if code, _, said := runWithStores(t, m, "report", "s3://bucket/run/a.csv", "--html", "s3://bucket/run/a.csv",
		"--overwrite"); code != exitUsage || !strings.Contains(said, "is read, and would be replaced") {
		t.Errorf("a page that replaces what it reads: exit %d, %s", code, said)
	}
}

func version1(t *testing.T, m *pipelinetest.Memory, key string) string {
	t.Helper()
	a, err := m.Stat(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return a.Version
}

// TestManifestLeadsNowhere: what a manifest names outside of its directory is not looked for in a store.
func TestManifestLeadsNowhere(t *testing.T) {
	m := makeRuns(t)
	if err := os.Mkdir("other", 0o700); err != nil {
		t.Fatal(err)
	}
	if code, _, said := runWithStores(t, m, "snapshot", "users.csv", "--evaluator", "local", "--flag-configs", "flags.json",
		"--max-errors", "10", "--quiet", "--out", "c.csv", "--errors", "other/c.errors.jsonl"); code != 0 {
		t.Fatalf("snapshot: exit %d\n%s", code, said)
	}
	put := func(key, from string, old, now string) {
		data, err := os.ReadFile(from)
		if err == nil {
			_, err = m.Put(t.Context(), key, bytes.ReplaceAll(data, []byte(old), []byte(now)), blob.Condition{})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	put("c/c.csv", "c.csv", "", "")
	put("d/c.errors.jsonl", "other/c.errors.jsonl", "", "")
	put("c/c.csv.manifest.json", "c.csv.manifest.json", `"other/c.errors.jsonl"`, `"s3://bucket/d/c.errors.jsonl"`)
	asked := map[string]bool{}
	m.Before = func(_, key string) error { asked[key] = true; return nil }
	code, out, said := runWithStores(t, m, "verify", "s3://bucket/c/c.csv")
	if code != exitNotHeld || !strings.Contains(plainPaths(out), "is not looked for") || asked["d/c.errors.jsonl"] {
		t.Errorf("exit %d, asked for %v, and says\n%s%s\nwant that the file is not looked for", code, asked, out, said)
	}
	code, out, said = runWithStores(t, m, "verify", "s3://bucket/c/c.csv", "s3://bucket/d/c.errors.jsonl")
	if code != 0 {
		t.Errorf("with the file named: exit %d\n%s%s", code, out, said)
	}
	if code, out, said := runWithStores(t, m, "report", "s3://bucket/c/c.csv"); code != 0 {
		t.Errorf("report: exit %d\n%s%s", code, out, said)
	}
}

// TestSnapshotReadsStores: error records find the manifest of their run in the store, and cohorts are read there.
func TestSnapshotReadsStores(t *testing.T) {
	m := makeRuns(t)
	code, _, said := runWithStores(t, m, "snapshot", "s3://bucket/run/a.errors.jsonl", "--out", "again.csv", "--min-users", "0",
		"--max-errors", "1")
	if code != 0 || !strings.Contains(plainPaths(said), "this run completes it, with its options") ||
		!strings.Contains(said, "--carry country") {
		t.Errorf("a retry of error records in a store: exit %d\n%s", code, said)
	}
	code, _, said = runWithStores(t, m, "diff", "s3://bucket/run/a.csv", "s3://bucket/run/a.parquet", "again.csv")
	if code != 0 {
		t.Errorf("diff with the retry: exit %d\n%s", code, said)
	}
	for _, cohorts := range [][]string{{"--cohort", "vip=s3://bucket/run/vips.csv"}, {"--cohorts", "s3://bucket/run/cohorts/"}} {
		args := append([]string{"snapshot", "users.csv", "--evaluator", "local", "--flag-configs", "s3://bucket/run/flags.json",
			"--carry", "cohort.vip", "--max-errors", "10", "--out", "vip.csv", "--overwrite", "--quiet"}, cohorts...)
		code, _, said := runWithStores(t, m, args...)
		data, err := os.ReadFile("vip.csv")
		if err != nil || code != 0 || !bytes.Contains(data, []byte(",true\n")) {
			t.Errorf("%s: exit %d, %v\n%s", cohorts, code, err, said)
		}
	}
	if _, err := m.Put(t.Context(), "alone/a.errors.jsonl", []byte(readLocal(t, "a.errors.jsonl")), blob.Condition{}); err != nil {
		t.Fatal(err)
	}
	_, _, said = runWithStores(t, m, "snapshot", "s3://bucket/alone/a.errors.jsonl", "--out", "x.csv", "--dry-run",
		"--evaluator", "local", "--flag-configs", "flags.json")
	if !strings.Contains(plainPaths(said), "whose manifest is not beside s3://bucket/alone/a.errors.jsonl") {
		t.Errorf("error records without their manifest: %s", said)
	}
}

func readLocal(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
