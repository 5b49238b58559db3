package blob_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// below is a bucket in a directory.
type below struct {
	blob.Bucket
	dir string
}

func (b below) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	a, err := b.Bucket.Stat(ctx, b.dir+key)
	a.Key = key
	return a, err
}

func (b below) ReadRange(ctx context.Context, a blob.Attrs, offset int64, p []byte) (int, error) {
	a.Key = b.dir + a.Key
	return b.Bucket.ReadRange(ctx, a, offset, p)
}

func (b below) ListPage(ctx context.Context, prefix string, flat bool, token string) ([]blob.Attrs, string, error) {
	page, next, err := b.Bucket.ListPage(ctx, b.dir+prefix, flat, token)
	for i := range page {
		page[i].Key = page[i].Key[len(b.dir):]
	}
	return page, next, err
}

// newStores returns stores with the scheme "test", whose one bucket "b" has these keys.
func newStores(t *testing.T, keys ...string) *blob.Stores {
	t.Helper()
	dir := t.TempDir() + "/"
	for _, key := range keys {
		path := dir + key
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(key), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return blob.NewStores(map[string]blob.Store{"test": {
		Open: func(_ context.Context, bucket string) (blob.Bucket, error) {
			if bucket != "b" {
				return nil, blob.ErrNoBucket
			}
			return below{blob.Local(), dir}, nil
		},
	}})
}

func TestGlob(t *testing.T) {
	stores := newStores(t, "users.csv", "users.parquet", "old/users.csv", "dt=1/a.parquet", "dt=1/b.parquet",
		"dt=2/hour=0/a.parquet", "dt=2/_temporary/a.parquet", "dt=2/.a.parquet", "_log/x.parquet", "a[1].csv")
	for _, test := range []struct {
		pattern string
		want    []string
	}{
		{"*.csv", []string{"a[1].csv", "users.csv"}},
		{"user?.csv", []string{"users.csv"}},
		{"*/users.csv", []string{"old/users.csv"}},
		{"dt=*/*.parquet", []string{"dt=1/a.parquet", "dt=1/b.parquet"}},
		{"dt=[2-9]/*/*.parquet", []string{"dt=2/hour=0/a.parquet"}},
		{"**/*.parquet", []string{"dt=1/a.parquet", "dt=1/b.parquet", "dt=2/hour=0/a.parquet", "users.parquet"}},
		{"dt=2/**", []string{"dt=2/hour=0/a.parquet"}},
		{"**/**/a.parquet", []string{"dt=1/a.parquet", "dt=2/hour=0/a.parquet"}},
		{"_log/*", []string{"_log/x.parquet"}},
		{"dt=2/_*/*", []string{"dt=2/_temporary/a.parquet"}},
		{"dt=2/.*", []string{"dt=2/.a.parquet"}},
		{`a\[1\].csv`, []string{"a[1].csv"}},
		{"none*", nil},
	} {
		t.Run(test.pattern, func(t *testing.T) {
			for i := range test.want {
				test.want[i] = "test://b/" + test.want[i]
			}
			objects, err := stores.Glob(t.Context(), "test://b/"+test.pattern)
			var got []string
			for _, o := range objects {
				got = append(got, o.URL())
			}
			if err != nil || !slices.Equal(got, test.want) {
				t.Errorf("%s: %q, %v; want %q", test.pattern, got, err, test.want)
			}
		})
	}
	if _, err := stores.Glob(t.Context(), "test://b/[a.csv"); err == nil || !strings.Contains(err.Error(), "test://b/[a.csv") {
		t.Errorf("a pattern that is not valid: %v", err)
	}
}

func TestOpenURL(t *testing.T) {
	stores := newStores(t, "dir/a.csv")
	for _, test := range []struct {
		url, want, hint string
	}{
		{"test://b/dir/a.csv", "", ""},
		{"test://b/none", "no such object", ""},
		{"test://b/dir/", "is a directory", "with a glob"},
		{"test://b", "is a directory", "test://b/*.parquet"},
		{"test://", "names no bucket", "test://BUCKET/KEY"},
		{"test://other/x", "open test://other: no such bucket", "check the name"},
		{"other://b/x", "is not a URL of a store", ""},
	} {
		t.Run(test.url, func(t *testing.T) {
			o, err := stores.Open(t.Context(), test.url)
			if test.want == "" {
				if err != nil || o.Size() != int64(len("dir/a.csv")) || o.URL() != test.url {
					t.Errorf("%s: %v, %v", test.url, o, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) {
				t.Errorf("%s: %v (hint %q), want %q, %q", test.url, err, pipeline.Hint(err), test.want, test.hint)
			}
		})
	}
	if (*blob.Stores)(nil).Knows("test://b/x") {
		t.Error("no stores know a URL")
	}
}
