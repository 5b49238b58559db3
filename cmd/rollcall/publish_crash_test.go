//go:build faultfs

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

// fileOperations are the kinds and the names of the file operations of an unbroken run, with this folder's files.
func (lab *crashLab) fileOperations(folder string) (kinds, names []string) {
	lab.t.Helper()
	log := filepath.Join(lab.t.TempDir(), "ops")
	if code, out := lab.run(folder, "ROLLCALL_OPS_LOG="+log); code != exitSomeFailed {
		lab.t.Fatalf("the run whose operations are listed: exit code %d, it said:\n%s", code, out)
	}
	text, err := os.ReadFile(log)
	if err != nil {
		lab.t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		kinds, names = append(kinds, fields[1]), append(names, filepath.Base(fields[2]))
	}
	return kinds, names
}

// firstPublished is the number of the operation that gives the first output its final name.
func (lab *crashLab) firstPublished(folder string) int {
	lab.t.Helper()
	kinds, names := lab.fileOperations(folder)
	for i := range kinds {
		if kinds[i] == "rename" && !strings.HasSuffix(names[i], ".tmp") {
			return i + 1
		}
	}
	lab.t.Fatalf("no output is renamed: %v", kinds)
	return 0
}

// tempFiles are the temporary files in a folder, by the output that they are of.
func tempFiles(t *testing.T, folder string) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	temps := map[string]string{}
	for _, e := range entries {
		if base, _, ok := strings.Cut(strings.TrimPrefix(e.Name(), "."), ".rollcall-"); ok &&
			strings.HasSuffix(e.Name(), ".tmp") {
			temps[base] = filepath.Join(folder, e.Name())
		}
	}
	return temps
}

// TestCrashAndCleaner kills the command at every operation from the commit on, and then a cleaner takes all temporary
// files. The journal has every answer, so the outputs are written again and nobody is asked again.
func TestCrashAndCleaner(t *testing.T) {
	command := crashCommand(t)
	for mode, local := range crashModes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			lab := newCrashLab(t, command, 40, local)
			for n := lab.firstPublished(t.TempDir()) - 2; ; n++ {
				what := fmt.Sprintf("killed at operation %d, temporary files removed", n)
				folder := t.TempDir()
				lab.forget()
				code, out := lab.run(folder, "ROLLCALL_KILL_AT="+strconv.Itoa(n))
				if code == exitSomeFailed {
					break
				}
				if code != -1 {
					t.Fatalf("%s: exit code %d, it said:\n%s", what, code, out)
				}
				for _, temp := range tempFiles(t, folder) {
					if err := os.Remove(temp); err != nil {
						t.Fatal(err)
					}
				}
				lab.noHalfFile(what, folder)
				lab.mu.Lock()
				asked := lab.total
				lab.mu.Unlock()
				lab.check(what, folder, 1)
				lab.mu.Lock()
				if lab.total != asked {
					t.Errorf("%s: the rerun asked about %d users, want none: all are in the journal", what, lab.total-asked)
				}
				lab.mu.Unlock()
			}
		})
	}
}

// TestCrashCleanerWhileItRuns: a cleaner takes the temporary files while the run asks. It stops with every answer in
// the journal, and says why; the rerun asks nobody.
func TestCrashCleanerWhileItRuns(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	folder := t.TempDir()
	lab.onAsk = func(total int) {
		if total == 20 {
			for _, temp := range tempFiles(t, folder) {
				if err := os.Remove(temp); err != nil {
					t.Error(err)
				}
			}
		}
	}
	lab.forget()
	if code, out := lab.run(folder); code != exitStopped || !strings.Contains(out, "does something clean it?") {
		t.Fatalf("exit code %d, want %d and the reason; it said:\n%s", code, exitStopped, out)
	}
	lab.noHalfFile("after the cleaner", folder)
	asked := lab.total
	lab.check("after the cleaner", folder, 0)
	if lab.total != asked {
		t.Errorf("the rerun asked about %d users, want none: all are in the journal", lab.total-asked)
	}
}

// TestCrashWhileReplacing kills the command at every operation from the commit on, while it replaces the outputs of an
// earlier run. Where a manifest stands, all outputs are of its run; and what replaces a file has its mode.
func TestCrashWhileReplacing(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	lab.args = append(lab.args, "--overwrite")
	unbroken := t.TempDir()
	if code, out := lab.run(unbroken); code != exitSomeFailed {
		t.Fatalf("the unbroken run: exit code %d, it said:\n%s", code, out)
	}
	lab.golden = lab.read(unbroken) // Parquet has the options
	files := append(slices.Clone(crashOutputs), "a.csv.manifest.json")
	old := func() string {
		folder := t.TempDir()
		for _, name := range files {
			path := filepath.Join(folder, name)
			if err := errors.Join(os.WriteFile(path, []byte("old"), 0o600), os.Chmod(path, 0o604)); err != nil {
				t.Fatal(err)
			}
		}
		return folder
	}
	for n := lab.firstPublished(old()) - 8; ; n++ { // the modes come before the renames
		what := fmt.Sprintf("killed at operation %d", n)
		folder := old()
		lab.forget()
		code, out := lab.run(folder, "ROLLCALL_KILL_AT="+strconv.Itoa(n))
		if code == exitSomeFailed {
			break
		}
		if code != -1 {
			t.Fatalf("%s: exit code %d, it said:\n%s", what, code, out)
		}
		manifest, err := os.ReadFile(filepath.Join(folder, "a.csv.manifest.json"))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for name, want := range lab.golden {
			got, err := os.ReadFile(filepath.Join(folder, name))
			isOld, isNew := string(got) == "old", bytes.Equal(got, want)
			if err != nil || !isOld && !isNew {
				t.Fatalf("%s: %s is neither the old one nor the new one (%v)", what, name, err)
			}
			if err == nil && manifest != nil && isOld != (string(manifest) == "old") {
				t.Fatalf("%s: there is a manifest, and %s is not of its run", what, name)
			}
		}
		if _, err := os.Stat(journal.PathFor(filepath.Join(folder, "a.csv"))); errors.Is(err, fs.ErrNotExist) {
			continue // it was finished; a rerun is another run
		}
		lab.check(what, folder, 1)
		for _, name := range files {
			if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o604 {
				t.Fatalf("%s: %s has mode %v, %v; want that of what it replaces, 0604", what, name, info.Mode(), err)
			}
		}
	}
}

// TestCrashThenAnything kills the command when two outputs have their final names, changes something, and runs it
// again.
func TestCrashThenAnything(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	at := lab.firstPublished(t.TempDir()) + 4
	write := func(path, text string) error { return os.WriteFile(path, []byte(text), 0o600) }
	const refused = "a.parquet exists"
	tests := []struct {
		name   string
		change func(folder string) error
		want   string // of the rerun's message, if it is refused; then file is removed and it runs again
		file   string
	}{
		{"nothing", func(string) error { return nil }, "", ""},
		{"another file has a final name", func(folder string) error {
			return write(filepath.Join(folder, "a.parquet"),
				"precious")
		}, refused, "a.parquet"},
		{"a link has a final name", func(folder string) error {
			return os.Symlink("nowhere",
				filepath.Join(folder, "a.parquet"))
		}, refused, "a.parquet"},
		{"a manifest has been put there", func(folder string) error {
			return write(filepath.Join(folder,
				"a.csv.manifest.json"), "precious")
		},
			"a.csv.manifest.json exists", "a.csv.manifest.json"},
		{"a temporary file is gone", func(folder string) error { return os.Remove(tempFiles(t, folder)["a.parquet"]) }, "",
			""},
		{"the manifest's temporary file is gone", func(folder string) error {
			return os.Remove(tempFiles(t, folder)["a.csv.manifest.json"])
		}, "", ""},
		{"a temporary file was changed", func(folder string) error {
			path := tempFiles(t, folder)["a.parquet"]
			data, err := os.ReadFile(path)
			if err == nil {
				data[len(data)/2] ^= 1
				err = os.WriteFile(path, data, 0o600)
			}
			return err
		}, "", ""},
		{"others may write to a temporary file", func(folder string) error {
			return os.Chmod(tempFiles(t,
				folder)["a.parquet"], 0o666)
		}, "", ""},
		{"a temporary file is a link", func(folder string) error {
			path := tempFiles(t, folder)["a.parquet"]
			elsewhere := filepath.Join(t.TempDir(), "x")
			return errors.Join(os.Rename(path, elsewhere), os.Symlink(elsewhere, path))
		}, "", ""},
		{"the journal has whole paths, as it had before", func(folder string) error {
			return rewriteCommit(folder, func(c *journal.CommittedFile) {
				c.Temp, c.Final = filepath.Join("/nowhere", c.Temp), filepath.Join("/nowhere", c.Final)
			})
		}, "", ""},
		{"the journal says to publish elsewhere", func(folder string) error {
			return rewriteCommit(folder, func(c *journal.CommittedFile) {
				if c.Final == "a.errors.jsonl" {
					c.Final = filepath.Join(filepath.Dir(folder), "evil.jsonl")
				}
			})
		}, "", ""},
		{"the journal says to publish another file", func(folder string) error {
			return errors.Join(write(filepath.Join(folder, "secret"), "precious"),
				rewriteCommit(folder, func(c *journal.CommittedFile) {
					c.Temp = filepath.Join(folder, "secret")
				}))
		}, "", "secret"},
		{"a published file was changed", func(folder string) error {
			return write(filepath.Join(folder, "a.csv"),
				"precious")
		}, "a.csv exists", "a.csv"},
	}
	for _, tt := range tests {
		for _, moved := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/moved %v", tt.name, moved), func(t *testing.T) {
				lab := lab.in(t)
				folder := filepath.Join(t.TempDir(), "out")
				if err := os.Mkdir(folder, 0o700); err != nil {
					t.Fatal(err)
				}
				lab.forget()
				if code, out := lab.run(folder, "ROLLCALL_KILL_AT="+strconv.Itoa(at)); code != -1 {
					t.Fatalf("exit code %d, it said:\n%s", code, out)
				}
				if temps := tempFiles(t, folder); len(temps) != 3 {
					t.Fatalf("%v are not published, want two outputs and the manifest", temps)
				}
				if moved { // a folder that is mounted elsewhere after the crash
					if err := os.Rename(folder, folder+"-moved"); err != nil {
						t.Fatal(err)
					}
					folder += "-moved"
				}
				if err := tt.change(folder); err != nil {
					t.Fatal(err)
				}
				if tt.want != "" {
					code, out := lab.run(folder)
					if code != exitFailed || !strings.Contains(out, tt.want) || !strings.Contains(out, "--overwrite") {
						t.Fatalf("the rerun: exit code %d, want %d and %q; it said:\n%s", code, exitFailed, tt.want, out)
					}
					if data, err := os.ReadFile(filepath.Join(folder, tt.file)); err == nil && string(data) != "precious" {
						t.Fatalf("%s has %q: it was replaced", tt.file, data)
					}
				}
				if tt.file != "" {
					if data, err := os.ReadFile(filepath.Join(folder, tt.file)); err == nil && string(data) != "precious" {
						t.Fatalf("%s has %q: it was replaced", tt.file, data)
					}
					if err := os.Remove(filepath.Join(folder, tt.file)); err != nil {
						t.Fatal(err)
					}
				}
				lab.check("the rerun", folder, 1)
				if beside, err := os.ReadDir(filepath.Dir(folder)); err != nil || len(beside) != 1 {
					t.Errorf("beside the folder is %v, %v; want nothing", beside, err)
				}
			})
		}
	}
}

// in is the lab for a subtest.
func (lab *crashLab) in(t *testing.T) *crashLab {
	lab.t = t
	return lab
}

// rewriteCommit writes the journal in the folder anew, with its first commit's files changed.
func rewriteCommit(folder string, change func(*journal.CommittedFile)) error {
	path := journal.PathFor(filepath.Join(folder, "a.csv"))
	r, err := journal.Open(path)
	if err != nil {
		return err
	}
	var records []journal.Record
	var rec journal.Record
	for err = r.Next(&rec); err == nil; err = r.Next(&rec) {
		records = append(records, rec)
	}
	files := slices.Clone(r.Committed())
	if err != io.EOF || len(files) == 0 {
		return fmt.Errorf("%s has %d records and %d files to publish: %w", path, len(records), len(files), err)
	}
	for i := range files {
		change(&files[i])
	}
	header := *r.Header()
	if err := r.Remove(); err != nil {
		return err
	}
	w, err := journal.Create(path, header)
	if err != nil {
		return err
	}
	for _, rec := range records {
		if err := w.Append(&rec); err != nil {
			return err
		}
	}
	return errors.Join(w.Commit(files), w.Close())
}

// TestCrashWithStandardOutput kills a run that writes to standard output at every operation from the commit on. Whoever
// reads the rerun has nothing yet, so it is written again, from the journal.
func TestCrashWithStandardOutput(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	run := func(folder string, env ...string) (code int, stdout, stderr string) {
		cmd := exec.CommandContext(t.Context(), lab.command, "snapshot", lab.users, "--server", lab.url, "--out", "-",
			"--out-format", "csv",
			"--errors", "e.jsonl", "--concurrency", "4", "--rate", "0")
		cmd.Dir, cmd.Env = folder, append(os.Environ(), append(env, keyVariable+"=canary")...)
		var out, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return exitOf(t, cmd), out.String(), said.String()
	}
	log := filepath.Join(t.TempDir(), "ops")
	code, want, said := run(t.TempDir(), "ROLLCALL_OPS_LOG="+log)
	if code != exitSomeFailed || strings.Count(want, "\n") < 40 {
		t.Fatalf("the unbroken run: exit code %d, it said:\n%s\nand wrote:\n%s", code, said, want)
	}
	ops, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	published := 0
	for i, line := range strings.Split(string(ops), "\n") {
		if strings.HasSuffix(line, " rename e.jsonl") {
			published = i + 1
		}
	}
	if published == 0 {
		t.Fatalf("e.jsonl is not renamed:\n%s", ops)
	}
	for n := published - 1; ; n++ {
		folder := t.TempDir()
		lab.forget()
		code, _, said := run(folder, "ROLLCALL_KILL_AT="+strconv.Itoa(n))
		if code == exitSomeFailed {
			break
		}
		if code != -1 {
			t.Fatalf("killed at operation %d: exit code %d, it said:\n%s", n, code, said)
		}
		if _, err := os.Stat(journal.PathFor(filepath.Join(folder, "e.jsonl"))); errors.Is(err, fs.ErrNotExist) {
			continue // it was finished
		}
		lab.forget()
		code, got, said := run(folder)
		if code != exitSomeFailed || got != want || lab.total > 0 {
			t.Fatalf("killed at operation %d, the rerun: exit code %d, %d users were asked, the output is right: %v; it "+
				"said:\n%s", n, code, lab.total,
				got == want, said)
		}
	}
}

// TestCrashRenamesFoundEarly: a file system that cannot rename is found before the first request; one that cannot sync
// a folder is good enough.
func TestCrashRenamesFoundEarly(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	for _, tt := range []struct {
		kind, errno string
		code        int
		want        string
	}{
		{"rename", "EXDEV", exitFailed, "create a.csv: invalid cross-device link"},
		{"rename", "ENOSYS", exitFailed, "create a.csv: function not implemented"},
		{"rename", "EBUSY", exitFailed, "create a.csv: device or resource busy"},
		{"syncdir", "EINVAL", exitSomeFailed, ""},
		{"syncdir", "ENOTSUP", exitSomeFailed, ""},
	} {
		t.Run(tt.kind+"/"+tt.errno, func(t *testing.T) {
			lab := lab.in(t)
			lab.forget()
			folder := t.TempDir()
			code, out := lab.run(folder, "ROLLCALL_FAIL_KIND="+tt.kind, "ROLLCALL_FAIL_ERRNO="+tt.errno)
			if code != tt.code || !strings.Contains(out, tt.want) {
				t.Errorf("exit code %d, want %d and %q; it said:\n%s", code, tt.code, tt.want, out)
			}
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			if tt.code == exitFailed && (lab.total > 0 || len(entries) > 0) {
				t.Errorf("%d users were asked and %v is left, want nobody and nothing", lab.total, entries)
			}
		})
	}
}

// TestCrashWhileTidying: what cannot be removed after the outputs are published is said, and is no failure; the rerun
// says what it would say without it.
func TestCrashWhileTidying(t *testing.T) {
	lab := newCrashLab(t, crashCommand(t), 40, false)
	kinds, names := lab.fileOperations(t.TempDir())
	for i, kind := range kinds {
		if kind != "remove" || strings.HasSuffix(names[i], ".tmp") {
			continue
		}
		t.Run(names[i], func(t *testing.T) {
			folder := t.TempDir()
			code, out := lab.run(folder, "ROLLCALL_FAIL_AT="+strconv.Itoa(i+1))
			if code != exitSomeFailed || !strings.Contains(out, "the outputs are published, but hidden files are left") {
				t.Errorf("exit code %d, want %d and a warning; it said:\n%s", code, exitSomeFailed, out)
			}
			code, out = lab.run(folder)
			if code != exitFailed || !strings.Contains(out, "a.csv exists") {
				t.Errorf("the rerun: exit code %d, want %d because the outputs are there; it said:\n%s", code, exitFailed, out)
			}
			if entries, err := os.ReadDir(folder); err != nil || len(entries) != len(crashOutputs)+1 {
				t.Errorf("the folder has %v, %v; want the outputs and the manifest", entries, err)
			}
		})
	}
}
