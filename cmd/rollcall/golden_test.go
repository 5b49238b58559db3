package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// inProcess runs the command in this process, and returns its exit code and what it wrote to standard error.
func inProcess(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &env{
		Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, LookupEnv: func(string) (string, bool) { return "", false },
		Soft: context.Background(), Hard: t.Context(),
	})
	return code, errs.String()
}

// TestGolden evaluates the test users against the embedded API. What comes of it, times aside, stands in
// testdata/golden; `make golden` writes it anew, for a person to look at the difference.
func TestGolden(t *testing.T) {
	folder := t.TempDir()
	users := filepath.Join(folder, "users.csv")
	code, stderr := inProcess(t, "snapshot", "../../testdata/users.csv", "--server", "embedded", "--flag-configs",
		"../../testdata/flags.json", "--out", users)
	if code != exitSomeFailed {
		t.Fatalf("exit code %d, want %d:\n%s", code, exitSomeFailed, stderr)
	}
	few := filepath.Join(folder, "few")
	code, stderr = inProcess(t, "snapshot", "../../testdata/few.csv", "--server", "embedded", "--flag-configs",
		"../../testdata/flags.json",
		"--out", few+".csv", "--out", few+".tsv", "--out", few+".jsonl", "--carry", "user_properties.seats", "--types",
		"user_properties.seats:int")
	if code != exitOK {
		t.Fatalf("exit code %d, want %d:\n%s", code, exitOK, stderr)
	}
	m, err := snapshot.ReadManifest(nil, users+".manifest.json")
	if err != nil {
		t.Fatal(err)
	}
	golden := filepath.Join("..", "..", "testdata", "golden")
	compare(t, filepath.Join(golden, "users.summary.txt"),
		[]byte(summaryText(&snapshot.Manifest{Users: m.Users, Assignments: m.Assignments, Flags: m.Flags}, "failed: "+
			describeFailures(m.Users.FailedByKind, nil), 0, 80)))
	for _, name := range []string{"users.errors.jsonl", "few.csv", "few.tsv", "few.jsonl"} {
		t.Run(name, func(t *testing.T) {
			got, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, filepath.Join(golden, name), withoutRun(got))
		})
	}
}

// compare holds got against a golden file, or writes it with -update.
func compare(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if diff := cmp.Diff(string(want), string(got)); diff != "" || err != nil {
		t.Errorf("%s: %v (-want +got; make golden writes it anew):\n%s", file, err, diff)
	}
}

// TestTestdataIsWhatItsGeneratorMakes runs testdata/generate.go and compares.
func TestTestdataIsWhatItsGeneratorMakes(t *testing.T) {
	folder := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "go", "run", "../../testdata/generate.go", "-dir",
		folder).CombinedOutput(); err != nil {
		t.Fatalf("go run testdata/generate.go: %v\n%s", err, out)
	}
	for _, name := range []string{"users.csv", "users.parquet", "few.csv"} {
		t.Run(name, func(t *testing.T) {
			want, err := os.ReadFile(filepath.Join(folder, name))
			if err != nil {
				t.Fatal(err)
			}
			got, err := os.ReadFile(filepath.Join("..", "..", "testdata", name))
			if err != nil || !bytes.Equal(want, got) {
				t.Errorf("testdata/%s is not what testdata/generate.go makes (%v)", name, err)
			}
		})
	}
}
