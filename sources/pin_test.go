package sources

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// readPass reads the files to the end, or at most that many rows if most is not 0.
func readPass(files []File, most int) (ids []string, sums []Sum, err error) {
	in, err := Open(files, Options{})
	if err != nil {
		return nil, nil, err
	}
	defer in.Close()
	var row pipeline.Row
	for most == 0 || len(ids) < most {
		if err := in.Next(&row); err == io.EOF {
			break
		} else if err != nil {
			return ids, nil, err
		}
		ids = append(ids, row.User.UserID)
	}
	sums, err = in.ReadRest()
	return ids, sums, err
}

// TestPinnedSums: the sums are those of the whole files, however much was decoded.
func TestPinnedSums(t *testing.T) {
	csv := []byte("user_id\na\nb\nc\n")
	var gz, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []io.WriteCloser{g, z} {
		_, err := w.Write(csv)
		if err = errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
	}
	parquet, err := os.ReadFile("../testdata/users.parquet")
	if err != nil {
		t.Fatal(err)
	}
	record := `{"row_number":1,"user_id":"a","device_id":null,"kind":"rejected","http_status":400,"attempts":1,"message":"m","occurred_at":"2026-01-01T00:00:00Z","input":{"user_id":"a"}}`
	for name, data := range map[string][]byte{
		"u.csv": csv, "u.tsv": csv, "u.csv.gz": gz.Bytes(), "u.csv.zst": zst.Bytes(), "u.parquet": parquet,
		"u.jsonl": []byte(`{"user_id":"a"}` + "\n" + `{"user_id":"b"}` + "\n"), "u.errors.jsonl": []byte(record + "\n"),
	} {
		for _, most := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " most ", most), func(t *testing.T) {
				files := filesAt(writeFile(t, name, data))
				if err := Pin(t.Context(), files); err != nil {
					t.Fatal(err)
				}
				defer Unpin(files)
				hash := sha256.Sum256(data)
				want := Sum{int64(len(data)), hex.EncodeToString(hash[:])}
				for pass := range 3 {
					ids, sums, err := readPass(files, most)
					if err != nil || len(ids) == 0 || ids[0] == "" || len(sums) != 1 || sums[0] != want {
						t.Errorf("pass %d: %q, %v, %v; want users and %v", pass, ids, sums, err, want)
					}
				}
			})
		}
	}
}

// TestPinnedFiles: of many files, those that stay open are read as they were. If one of the others is replaced, that
// is an error.
func TestPinnedFiles(t *testing.T) {
	const n = maxPinned + 2
	content := func(i int) []byte { return fmt.Appendf(nil, "user_id\nu-%03d\n", i) }
	replace := func(path string, data []byte) error {
		return errors.Join(os.WriteFile(path+".new", data, 0o600), os.Rename(path+".new", path))
	}
	tests := []struct {
		name   string
		change func(paths []string) error
		want   int // the file that changed; -1: none
	}{
		{"none", func([]string) error { return nil }, -1},
		{"one that stays open is replaced", func(paths []string) error {
			return replace(paths[3],
				[]byte("user_id\nother\n"))
		}, -1},
		{"one that stays open is removed", func(paths []string) error { return os.Remove(paths[3]) }, -1},
		{"one that stays open is rewritten", func(paths []string) error { return os.WriteFile(paths[3], content(4), 0o600) },
			3},
		{"one that does not is replaced by its like", func(paths []string) error { return replace(paths[n-1], content(n-1)) },
			n - 1},
		{"one that does not is removed", func(paths []string) error { return os.Remove(paths[n-2]) }, n - 2},
		{"one that does not is longer", func(paths []string) error {
			return os.WriteFile(paths[n-1],
				[]byte("user_id\nx\ny\nlonger\n"), 0o600)
		}, n - 1},
		{"it has become a directory", func(paths []string) error {
			return errors.Join(os.Remove(paths[n-1]), os.Mkdir(paths[n-1], 0o700))
		}, n - 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			paths := make([]string, n)
			for i := range paths {
				paths[i] = filepath.Join(dir, fmt.Sprintf("%03d.csv", i))
				if err := os.WriteFile(paths[i], content(i), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			files := filesAt(paths...)
			if err := Pin(t.Context(), files); err != nil {
				t.Fatal(err)
			}
			defer Unpin(files)
			first, _, err := readPass(files, 0)
			if err != nil || len(first) != n {
				t.Fatalf("first pass: %d users, %v; want %d", len(first), err, n)
			}
			if err := tt.change(paths); err != nil {
				t.Fatal(err)
			}
			second, _, err := readPass(files, 0)
			if tt.want < 0 {
				if err != nil || strings.Join(second, " ") != strings.Join(first, " ") {
					t.Errorf("second pass: %q, %v; want %q", second, err, first)
				}
				return
			}
			changed, ok := errors.AsType[*ChangedError](err)
			if !ok || changed.File != paths[tt.want] {
				t.Errorf("second pass: %v, want a ChangedError of %s", err, paths[tt.want])
			}
		})
	}
}

// TestPinnedEndsWithContext: the hash of a large file does not outlive the run.
func TestPinnedEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	files := filesAt("../testdata/users.parquet")
	if err := Pin(ctx, files); err != nil {
		t.Fatal(err)
	}
	defer Unpin(files)
	cancel()
	if _, _, err := readPass(files, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v, want %v", err, context.Canceled)
	}
}
