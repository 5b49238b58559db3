//go:build faultfs

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// newDatedLab is a crashLab whose outputs have the day of the run in their names, and the names of its files.
func newDatedLab(t *testing.T, command string, local bool) (lab *crashLab, files []string) {
	t.Helper()
	lab = newCrashLab(t, command, 20, local)
	lab.outs = []string{"dt={date}/a.csv", "dt={date}/h={hour}/b.jsonl"}
	files = []string{"dt=DAY/a.csv", "dt=DAY/a.csv.manifest.json", "dt=DAY/a.errors.jsonl", "dt=DAY/h=03/b.jsonl"}
	lab.args = append(slices.Clone(lab.args), "--latest", "latest.json")
	files = append(files, "latest.json")
	if local {
		lab.args = append(lab.args, "--summary", "sums/{date}/s.json")
		files = append(files, "dt=DAY/a.csv.flags.json", "sums/DAY/s.json")
	}
	slices.Sort(files)
	lab.golden = map[string][]byte{}
	folder := datedFolder(t)
	if code, out := lab.run(folder); code != exitSomeFailed {
		t.Fatalf("the unbroken run: exit code %d, it said:\n%s", code, out)
	}
	for _, name := range files {
		data, err := os.ReadFile(filepath.Join(folder, strings.ReplaceAll(name, "DAY", "2026-01-02")))
		if err != nil {
			t.Fatal(err)
		}
		lab.golden[name] = data
	}
	return lab, files
}

// datedFolder is a folder in which fixed directories of the outputs are.
func datedFolder(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "sums"), 0o700); err != nil {
		t.Fatal(err)
	}
	return folder
}

// listFolder lists the files in a folder, and its empty directories, but for that of the summaries.
func listFolder(t *testing.T, folder string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || name == "." {
			return err
		}
		if d.IsDir() {
			entries, err := os.ReadDir(path)
			if len(entries) == 0 && name != "sums" {
				files = append(files, name+"/")
			}
			return err
		}
		files = append(files, name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// checkDated wants the files of one day in the folder, whole, and nothing else. It returns the day.
func (lab *crashLab) checkDated(what, folder string, files []string) string {
	lab.t.Helper()
	got := listFolder(lab.t, folder)
	for _, day := range []string{"2026-01-02", "2026-01-03"} {
		want := strings.Split(strings.ReplaceAll(strings.Join(files, "\n"), "DAY", day), "\n")
		if !slices.Equal(got, want) {
			continue
		}
		for _, name := range files {
			data, err := os.ReadFile(filepath.Join(folder, strings.ReplaceAll(name, "DAY", day)))
			if err != nil {
				lab.t.Fatal(err)
			}
			// Users who were asked about on the second day have its time.
			same := strings.ReplaceAll(string(data), "2026-01-03", "2026-01-02") == string(lab.golden[name])
			hasChecksums := strings.HasSuffix(name, ".manifest.json") || strings.HasPrefix(name, "sums/") || name == "latest.json"
			if name == "latest.json" && !strings.Contains(string(data), `"path": "dt=`+day+`/a.csv"`) {
				lab.t.Fatalf("%s: %s leads elsewhere than to the outputs of %s:\n%s", what, name, day, data)
			}
			if !same && !hasChecksums {
				lab.t.Fatalf("%s: %s of %s differs from that of an unbroken run", what, name, day)
			}
		}
		return day
	}
	lab.t.Fatalf("%s: the folder holds %q, want %q of one day", what, got, files)
	return ""
}

// TestCrashWithDates kills the command right before its Nth file operation, for every N, where its outputs have the day
// in their names, and reruns it on the next day. That goes on under the names of the first day, or leaves nothing of it.
func TestCrashWithDates(t *testing.T) {
	command := crashCommand(t)
	for mode, local := range crashModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			lab, files := newDatedLab(t, command, local)
			days := map[string]int{}
			for n := 1; ; n++ {
				what := fmt.Sprintf("killed at operation %d", n)
				folder := datedFolder(t)
				lab.forget()
				code, out := lab.run(folder, fmt.Sprintf("ROLLCALL_KILL_AT=%d", n), fmt.Sprintf("ROLLCALL_KILL_TORN=%d", n%2))
				if code == exitSomeFailed {
					break
				}
				if code != -1 {
					t.Fatalf("%s: exit code %d, it said:\n%s", what, code, out)
				}
				if left := listFolder(t, folder); slices.Contains(left, "dt=2026-01-02/a.csv.manifest.json") &&
					!slices.ContainsFunc(left, func(name string) bool { return strings.HasSuffix(name, "a.csv.rollcall") }) {
					lab.checkDated(what, folder, files) // it was finished; a rerun is another run
					continue
				}
				if code, out = lab.run(folder, "ROLLCALL_DAYS_LATER=1"); code != exitSomeFailed {
					t.Fatalf("%s: the rerun: exit code %d, want %d; it said:\n%s", what, code, exitSomeFailed, out)
				}
				days[lab.checkDated(what, folder, files)]++
			}
			if days["2026-01-02"] < 5 || days["2026-01-03"] < 2 {
				t.Errorf("reruns of the next day that went on with the run of the day before, and that began anew: %v", days)
			}
		})
	}
}

// TestCrashFailingWithDates lets each file operation fail once, or it and all after it, and reruns the command on the
// next day.
func TestCrashFailingWithDates(t *testing.T) {
	command := crashCommand(t)
	for mode, local := range crashModes {
		for _, fault := range []string{"ROLLCALL_FAIL_AT", "ROLLCALL_FAIL_FROM"} {
			t.Run(mode+" "+fault, func(t *testing.T) {
				t.Parallel()
				lab, files := newDatedLab(t, command, local)
				for n := 1; ; n++ {
					what := fmt.Sprintf("%s=%d", fault, n)
					folder := datedFolder(t)
					lab.forget()
					code, out := lab.run(folder, what, "ROLLCALL_FAIL_ERRNO=ENOSPC")
					if code == exitSomeFailed && !strings.Contains(out, "no space left") {
						break // the run has fewer operations
					}
					published := code == exitSomeFailed && strings.Contains(out, "hidden files are left")
					if code != exitStopped && code != exitFailed && !published {
						t.Fatalf("%s: exit code %d, want %d or %d; it said:\n%s", what, code, exitStopped, exitFailed, out)
					}
					if published { // a rerun is another run, which clears up
						if code, out := lab.run(folder, "ROLLCALL_DAYS_LATER=1"); code != exitSomeFailed {
							t.Fatalf("%s: the rerun: exit code %d; it said:\n%s", what, code, out)
						}
						continue
					}
					if code, out = lab.run(folder, "ROLLCALL_DAYS_LATER=1"); code != exitSomeFailed {
						t.Fatalf("%s: the rerun: exit code %d, want %d; it said:\n%s", what, code, exitSomeFailed, out)
					}
					lab.checkDated(what, folder, files)
				}
			})
		}
	}
}
