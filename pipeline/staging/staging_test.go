package staging_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// place is where files are.
type place struct {
	root string // ends in a slash
	open func(t *testing.T, replace bool) *staging.Files
	read func(t *testing.T, path string) []byte
}

// places returns a place on disk and one in a store.
func places(t *testing.T) map[string]place {
	memory := &pipelinetest.Memory{}
	stores := blob.NewStores(map[string]blob.Store{"mem": {Open: func(context.Context, string) (blob.Bucket, error) {
		return memory, nil
	}}})
	open := func(t *testing.T, replace bool) *staging.Files { return staging.New(t.Context(), stores, replace) }
	return map[string]place{
		"disk": {t.TempDir() + "/", open, func(t *testing.T, path string) []byte {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}},
		"store": {"mem://bucket/", open, func(t *testing.T, path string) []byte {
			o, err := stores.Open(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, o.Size())
			if _, err := o.ReadAt(data, 0); err != nil {
				t.Fatal(err)
			}
			return data
		}},
	}
}

func eachPlace(t *testing.T, f func(t *testing.T, p place)) {
	for name, p := range places(t) {
		t.Run(name, func(t *testing.T) { f(t, p) })
	}
}

func content(n int) []byte {
	data := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(n)}).Read(data)
	return data
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a complete file.
func write(t *testing.T, files *staging.Files, path string, data []byte) staging.File {
	t.Helper()
	f, err := files.Create(path, 0o666)
	must(t, err)
	for rest := data; len(rest) > 0; {
		n, err := f.Write(rest[:min(len(rest), 100_003)])
		must(t, err)
		rest = rest[n:]
	}
	must(t, f.Sync())
	must(t, f.Close())
	return f
}

func wantExists(t *testing.T, files *staging.Files, path string, want bool) {
	t.Helper()
	if got, err := files.Exists(path); err != nil || got != want {
		t.Errorf("Exists(%s) = %v, %v; want %v", path, got, err, want)
	}
}

func TestSizes(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		files := p.open(t, true)
		for _, size := range []int{1, 64 << 10, 64<<10 + 1, blob.PartSize, blob.PartSize + 1, 5*blob.PartSize - 7} {
			data := content(size)
			f := write(t, files, p.root+"x", data)
			must(t, files.Publish(f.Name(), p.root+"x"))
			if got := p.read(t, p.root+"x"); !bytes.Equal(got, data) {
				t.Errorf("%d bytes: %d were read, want those that were written", size, len(got))
			}
		}
	})
}

// TestFind follows a file that another process publishes.
func TestFind(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		data, path := content(1000), p.root+"x"
		files := p.open(t, false)
		f := write(t, files, path, data)
		name := files.JournalName(f.Name(), path)
		wantExists(t, files, path, false)

		find := func(files *staging.Files, name string, size int) (staging.State, string) {
			t.Helper()
			s, temp, err := files.Find(t.Context(), name, path, int64(size), sum(data))
			must(t, err)
			return s, temp
		}
		if s, _ := find(p.open(t, false), name, 999); s != staging.Lost {
			t.Errorf("a file of another size: state %v, want Lost", s)
		}
		other := p.open(t, false)
		s, temp := find(other, name, 1000)
		if s != staging.Waiting {
			t.Fatalf("a complete file: state %v, want Waiting", s)
		}
		must(t, other.Publish(temp, path))
		if got := p.read(t, path); !bytes.Equal(got, data) {
			t.Errorf("it has %d bytes, want those that were written", len(got))
		}
		if s, _ := find(p.open(t, false), name, 1000); s != staging.Published {
			t.Errorf("a published file: state %v, want Published", s)
		}
		must(t, other.Remove(path))
		if s, _ := find(p.open(t, false), name, 1000); s != staging.Lost {
			t.Errorf("a file that is gone: state %v, want Lost", s)
		}
	})
}

func TestReplace(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		path := p.root + "x"
		first := p.open(t, false)
		f := write(t, first, path, content(10))
		late := write(t, first, path, content(11))
		must(t, first.Publish(f.Name(), path))
		if err := first.Publish(late.Name(), path); !errors.Is(err, fs.ErrExist) {
			t.Errorf("publish over a file: %v, want fs.ErrExist", err)
		}
		must(t, late.Remove())

		second := p.open(t, true)
		wantExists(t, second, path, true)
		f = write(t, second, path, content(20))
		must(t, second.Publish(f.Name(), path))
		if got := p.read(t, path); !bytes.Equal(got, content(20)) {
			t.Errorf("it has %d bytes, want the 20 of the second", len(got))
		}

		second.WillRetire(path)
		f = write(t, second, path, content(30))
		must(t, second.Retire(f.Name(), path))
		wantExists(t, second, path, false)
		must(t, second.Publish(f.Name(), path))
		if got := p.read(t, path); !bytes.Equal(got, content(30)) {
			t.Errorf("it has %d bytes, want the 30 of the third", len(got))
		}
	})
}

// TestFindAndReplace: what another process has completed replaces a file that is retired only after Find.
func TestFindAndReplace(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		path := p.root + "x"
		first := p.open(t, false)
		must(t, first.Publish(write(t, first, path, content(10)).Name(), path))
		files := p.open(t, true)
		files.WillRetire(path)
		name := files.JournalName(write(t, files, path, content(20)).Name(), path)

		files = p.open(t, true)
		files.WillRetire(path)
		s, temp, err := files.Find(t.Context(), name, path, 20, sum(content(20)))
		if s != staging.Waiting || err != nil {
			t.Fatalf("Find: %v, %v; want Waiting", s, err)
		}
		must(t, files.Retire(temp, path))
		must(t, files.Publish(temp, path))
		if got := p.read(t, path); !bytes.Equal(got, content(20)) {
			t.Errorf("it has %d bytes, want the 20 of the second", len(got))
		}
	})
}

// TestReplacedMeanwhile: in a store, only the version is replaced that was seen.
func TestReplacedMeanwhile(t *testing.T) {
	p := places(t)["store"]
	path := p.root + "x"
	old := p.open(t, true)
	must(t, old.Publish(write(t, old, path, content(10)).Name(), path))
	other := p.open(t, true)
	must(t, other.Publish(write(t, other, path, content(30)).Name(), path))
	ours := write(t, old, path, content(20)) // old has seen its own version
	if err := old.Publish(ours.Name(), path); !errors.Is(err, staging.ErrReplaced) {
		t.Errorf("publish over a version that is not the one that was seen: %v, want ErrReplaced", err)
	}
	if got := p.read(t, path); !bytes.Equal(got, content(30)) {
		t.Errorf("it has %d bytes, want the 30 of the other", len(got))
	}
}

func TestRemove(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		files := p.open(t, false)
		path := p.root + "x"
		must(t, files.CheckPlace(path))
		must(t, files.CheckWritable(path))
		for _, size := range []int{0, 10, 3 * blob.PartSize} {
			f, err := files.Create(path, 0o666)
			must(t, err)
			_, err = f.Write(content(size))
			must(t, err)
			must(t, f.Remove())
			must(t, f.Remove())
		}
		abandoned := write(t, files, path, content(10))
		must(t, p.open(t, false).RemoveStale(path))
		name := files.JournalName(abandoned.Name(), path)
		if s, _, err := p.open(t, false).Find(t.Context(), name, path, 10, sum(content(10))); s != staging.Lost || err != nil {
			t.Errorf("after RemoveStale: state %v, %v; want Lost", s, err)
		}
		wantExists(t, files, path, false)
		must(t, files.Remove(path)) // of nothing
	})
}

// TestNil: a nil *Files is the disk.
func TestNil(t *testing.T) {
	var files *staging.Files
	path := filepath.Join(t.TempDir(), "x")
	f := write(t, files, path, content(10))
	must(t, files.Publish(f.Name(), path))
	wantExists(t, files, path, true)
}

// TestReplaceSmall: a file that always may be replaced is, whether files are replaced or not, and is all of one content.
func TestReplaceSmall(t *testing.T) {
	eachPlace(t, func(t *testing.T, p place) {
		path := p.root + "latest.json"
		for _, n := range []int{10, 100_000, 3} {
			files := p.open(t, false) // of another run each time
			must(t, files.Replace(path, content(n)))
			if got := p.read(t, path); !bytes.Equal(got, content(n)) {
				t.Errorf("%s has %d bytes after a Replace with %d", path, len(got), n)
			}
		}
		var writers sync.WaitGroup
		for n := range 4 {
			files := p.open(t, false)
			writers.Go(func() {
				if err := files.Replace(path, content(100+n)); err != nil {
					t.Error(err)
				}
			})
		}
		writers.Wait()
		if n := len(p.read(t, path)); n < 100 || n > 103 {
			t.Errorf("%s has %d bytes after 4 at once; want those of one", path, n)
		}
	})
}
