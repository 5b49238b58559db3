package blob_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// TestFiles: a file is read the same way here and in a store.
func TestFiles(t *testing.T) {
	files := blob.NewFiles(t.Context(), newStores(t, "dir/a.csv", "dir/b.csv", "dir/deep/c.csv"))
	local := t.TempDir()
	if err := errors.Join(os.MkdirAll(filepath.Join(local, "dir/deep"), 0o700),
		os.WriteFile(filepath.Join(local, "dir/a.csv"), []byte("dir/a.csv"), 0o600),
		os.WriteFile(filepath.Join(local, "dir/b.csv"), []byte("dir/b.csv"), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, root := range []string{local, "test://b"} {
		t.Run(root, func(t *testing.T) {
			f, err := files.Open(root + "/dir/a.csv")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close() //nolint:errcheck // only read
			part := make([]byte, 3)
			if n, err := f.ReadAt(part, 4); n != 3 || err != nil || string(part) != "a.c" {
				t.Errorf("ReadAt: %q, %v", part, err)
			}
			if data, err := io.ReadAll(f); string(data) != "dir/a.csv" || err != nil || f.Size() != 9 {
				t.Errorf("read %q of %d bytes, %v", data, f.Size(), err)
			}
			if _, err := files.Open(root + "/dir/none.csv"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a file that is not there: %v", err)
			}
			if info, err := files.Stat(root + "/dir/b.csv"); err != nil || info.Size() != 9 || !info.Mode().IsRegular() ||
				info.Name() != "b.csv" || info.ModTime().IsZero() {
				t.Errorf("Stat: %v, %v", info, err)
			}
			if names, err := files.Names(root + "/dir"); err != nil || !slices.Equal(names, []string{"a.csv", "b.csv"}) {
				t.Errorf("Names: %q, %v", names, err)
			}
			if names, err := files.Names(root + "/none"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Names of no directory: %q, %v", names, err)
			}
			if !files.Same(root+"/dir/a.csv", root+"/dir/a.csv") || files.Same(root+"/dir/a.csv", root+"/dir/b.csv") {
				t.Error("Same does not tell files apart")
			}
		})
	}
	if err := files.Err(); err != nil {
		t.Errorf("Err after files that were not there: %v", err)
	}
	data, err := fs.ReadFile(files.Sub("test://b/dir"), "deep/c.csv")
	if string(data) != "dir/deep/c.csv" || err != nil {
		t.Errorf("Sub: %q, %v", data, err)
	}
	for _, name := range []string{"../dir/a.csv", "/dir/a.csv", "deep/../a.csv", ""} {
		if _, err := files.Sub("test://b/dir").Open(name); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Sub opens %q: %v", name, err)
		}
	}
	if (*blob.Files)(nil).InStore("test://b/dir/a.csv") || (*blob.Files)(nil).Err() != nil {
		t.Error("nil knows a store")
	}
}

// TestFilesOneVersion: an object that is opened twice is the same version, or an error.
func TestFilesOneVersion(t *testing.T) {
	m := &pipelinetest.Memory{}
	a, err := m.Put(t.Context(), "x", []byte("first"), blob.Condition{})
	if err != nil {
		t.Fatal(err)
	}
	files := blob.NewFiles(t.Context(), blob.NewStores(map[string]blob.Store{"mem": {Open: func(context.Context, string) (blob.Bucket, error) { return m, nil }}}))
	if info, err := files.Stat("mem://bucket/x"); err != nil || info.Size() != 5 {
		t.Fatal(info, err)
	}
	if _, err := m.Put(t.Context(), "x", []byte("second"), blob.Condition{Version: a.Version}); err != nil {
		t.Fatal(err)
	}
	f, err := files.Open("mem://bucket/x")
	if err != nil {
		t.Fatal(err)
	}
	if data, err := io.ReadAll(f); !errors.Is(err, blob.ErrChanged) || !errors.Is(files.Err(), blob.ErrChanged) {
		t.Errorf("read %q, %v, and Err is %v; want that it changed", data, err, files.Err())
	}
}

func TestPaths(t *testing.T) {
	for _, test := range []struct{ name, dir string }{
		{"a.csv", "."}, {"d/a.csv", "d"}, {"/a.csv", "/"},
		{"s3://b/d/a.csv", "s3://b/d"}, {"s3://b/a.csv", "s3://b"}, {"s3://b", "s3://b"}, {"s3://b//a.csv", "s3://b/"},
	} {
		if got := blob.Dir(test.name); got != filepath.FromSlash(test.dir) {
			t.Errorf("Dir(%q) = %q, want %q", test.name, got, test.dir)
		}
	}
	for _, test := range []struct{ dir, name, want string }{
		{"d", "d/e/a.csv", "e/a.csv"}, {"d", "a.csv", "../a.csv"},
		{"s3://b/d", "s3://b/d/e/a.csv", "e/a.csv"}, {"s3://b", "s3://b/a.csv", "a.csv"}, {"s3://b/", "s3://b//a.csv", "a.csv"},
		{"s3://b/d", "s3://b/a.csv", ""}, {"s3://b/d", "s3://b/da.csv", ""}, {"s3://b/d", "s3://c/d/a.csv", ""},
		{"s3://b/d", "s3://b/d/../a.csv", ""}, {"s3://b/d", "s3://b/d//a.csv", ""}, {"s3://b/d", "a.csv", ""},
		{".", "s3://b/a.csv", ""}, {"s3://b/d", "s3://b/d/", ""},
	} {
		got, err := blob.Rel(test.dir, test.name)
		if filepath.ToSlash(got) != test.want || (err != nil) != (test.want == "") {
			t.Errorf("Rel(%q, %q) = %q, %v; want %q", test.dir, test.name, got, err, test.want)
		}
		if err == nil && !strings.HasPrefix(got, "..") && blob.Join(test.dir, got) != test.name {
			t.Errorf("Join(%q, %q) = %q, want %q", test.dir, got, blob.Join(test.dir, got), test.name)
		}
	}
}
