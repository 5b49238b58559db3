//go:build faultfs

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// partitionLab runs the command with outputs that are several files, in folders of its own.
type partitionLab struct {
	*crashLab
	golden map[string]string // the files of an unbroken run by their paths, without the manifest
}

const partitionManifest = "out/part.csv.manifest.json"

func newPartitionLab(t *testing.T, local bool) *partitionLab {
	lab := &partitionLab{crashLab: newCrashLab(t, crashCommand(t), 40, local)}
	lab.args = append(lab.args, "--flags", "dark-mode,pricing-test", "--carry", "country", "--overwrite")
	lab.golden = lab.files(lab.newFolder(true))
	if _, ok := lab.golden["out/country=Germany/flag_key=dark-mode/part-00001.csv"]; !ok || len(lab.golden) < 12 {
		t.Fatalf("the unbroken run has the files %v", lab.golden)
	}
	return lab
}

// runPartitioned runs the command, with the partitions that are tested or with others.
func (lab *partitionLab) runPartitioned(folder string, others bool, env ...string) (code int, out string) {
	parts := []string{"--partition-by", "country,flag_key", "--rows-per-file", "15"}
	if others {
		parts = []string{"--partition-by", "outcome", "--rows-per-file", "20"}
	}
	args := append([]string{"snapshot", lab.users, "--server", lab.url, "--out", "out/part.csv", "--out", "out/part.parquet",
		"--errors", "errors.jsonl"}, append(parts, lab.args...)...)
	cmd := exec.CommandContext(lab.t.Context(), lab.command, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), append(env, keyVariable+"=canary")...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		lab.t.Fatal(err)
	}
	return exitOf(lab.t, cmd), said.String()
}

// newFolder is a folder, with what a finished run has left if run is set.
func (lab *partitionLab) newFolder(run bool) string {
	lab.t.Helper()
	folder := lab.t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "out"), 0o700); err != nil {
		lab.t.Fatal(err)
	}
	if run {
		if code, out := lab.runPartitioned(folder, false); code != exitSomeFailed {
			lab.t.Fatalf("the unbroken run: exit code %d, it said:\n%s", code, out)
		}
	}
	return folder
}

// files are all files in a folder and below it, and the directories without any, without the manifest and the rest of a
// run.
func (lab *partitionLab) files(folder string) map[string]string {
	lab.t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil || strings.HasPrefix(e.Name(), ".") || name == partitionManifest {
			return err
		}
		if e.IsDir() {
			if entries, err := os.ReadDir(path); err != nil || len(entries) == 0 {
				found[name] = "an empty directory"
			}
			return nil
		}
		data, err := os.ReadFile(path)
		found[name] = string(data)
		return err
	})
	if err != nil {
		lab.t.Fatal(err)
	}
	return found
}

// compare wants the files of an unbroken run.
func (lab *partitionLab) compare(what, folder string) {
	lab.t.Helper()
	got := lab.files(folder)
	for name, want := range lab.golden {
		if got[name] != want {
			lab.t.Fatalf("%s: %s differs from that of an unbroken run, or is missing", what, name)
		}
	}
	for name := range got {
		if _, ok := lab.golden[name]; !ok {
			lab.t.Fatalf("%s: %s is left", what, name)
		}
	}
	left, err := filepath.Glob(filepath.Join(folder, "out", ".*"))
	if err != nil || len(left) > 0 {
		lab.t.Fatalf("%s: %v is left, %v", what, left, err)
	}
}

// TestCrashPartitions kills the command at file operations, while it writes partitions where there were none, and while
// it replaces those of another run. Every file with a final name is whole, where a manifest stands all files are of its
// run, and the rerun ends with the files of an unbroken run.
func TestCrashPartitions(t *testing.T) {
	for mode, local := range crashModes {
		for _, replace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/replace %v", mode, replace), func(t *testing.T) {
				t.Parallel()
				lab := newPartitionLab(t, local)
				old := map[string]string{}
				newFolder := func() string {
					folder := lab.newFolder(false)
					if replace {
						if code, out := lab.runPartitioned(folder, true); code != exitSomeFailed {
							t.Fatalf("the run before: exit code %d, it said:\n%s", code, out)
						}
						old = lab.files(folder)
					}
					return folder
				}
				const step = 4
				first := 1 + rand.IntN(step)
				n := first
				for ; ; n += step {
					what := fmt.Sprintf("killed at operation %d", n)
					folder := newFolder()
					code, out := lab.runPartitioned(folder, false, fmt.Sprintf("ROLLCALL_KILL_AT=%d", n),
						fmt.Sprintf("ROLLCALL_KILL_TORN=%d", n%2))
					if code == exitSomeFailed {
						break
					}
					if code != -1 {
						t.Fatalf("%s: exit code %d, it said:\n%s", what, code, out)
					}
					lab.checkKilled(what, folder, old)
					if code, out := lab.runPartitioned(folder, false); code != exitSomeFailed {
						t.Fatalf("%s: the rerun: exit code %d, it said:\n%s", what, code, out)
					}
					lab.compare(what, folder)
				}
				if n < 100 {
					t.Errorf("a run has %d file operations, want more", n)
				}
			})
		}
	}
}

// checkKilled checks what can be seen after a kill. old are the files of the run before.
func (lab *partitionLab) checkKilled(what, folder string, old map[string]string) {
	lab.t.Helper()
	manifest, err := os.ReadFile(filepath.Join(folder, partitionManifest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		lab.t.Fatal(err)
	}
	files := lab.files(folder)
	isOf := func(all map[string]string) bool {
		for name, want := range all {
			if files[name] != want {
				return false
			}
		}
		return len(files) == len(all)
	}
	if manifest != nil && !isOf(old) && !isOf(lab.golden) {
		lab.t.Fatalf("%s: there is a manifest, and the files are not those of its run", what)
	}
	for name, data := range files {
		if data != old[name] && data != lab.golden[name] && data != "an empty directory" {
			lab.t.Fatalf("%s: %s is not whole", what, name)
		}
	}
}
