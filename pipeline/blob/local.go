package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// Local returns the local file system as a bucket: its keys are paths. Uploads are the hidden files of package durable.
func Local() Bucket { return local{} }

type local struct{}

func wrapLocal(op, path string, err error) error {
	if err == nil {
		return nil
	}
	e := &Error{Op: op, URL: path, Err: err}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		e.Err = ErrNotExist
	case errors.Is(err, fs.ErrExist):
		e.Err = ErrExists
	case errors.Is(err, fs.ErrPermission):
		e.Err = ErrDenied
	}
	return e
}

func localAttrs(path string, info fs.FileInfo) Attrs {
	a := Attrs{Key: path, Size: info.Size(), Modified: info.ModTime()}
	a.Version = fileID(info) + fmt.Sprintf("%d-%d", a.Size, a.Modified.UnixNano())
	return a
}

func (local) Stat(ctx context.Context, path string) (Attrs, error) {
	if err := ctx.Err(); err != nil {
		return Attrs{}, wrapLocal("open", path, err)
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a regular file")
	}
	if err != nil {
		return Attrs{}, wrapLocal("open", path, err)
	}
	return localAttrs(path, info), nil
}

func (local) ReadRange(ctx context.Context, a Attrs, offset int64, p []byte) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, wrapLocal("read", a.Key, err)
	}
	f, err := os.OpenFile(a.Key, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrChanged
	}
	if err != nil {
		return 0, wrapLocal("read", a.Key, err)
	}
	defer f.Close() //nolint:errcheck // only read
	n, err := f.ReadAt(p, offset)
	info, serr := f.Stat()
	if serr == nil && localAttrs(a.Key, info).Version != a.Version || err == io.EOF {
		return 0, wrapLocal("read", a.Key, ErrChanged)
	}
	return n, wrapLocal("read", a.Key, errors.Join(err, serr))
}

// ListPage returns all in one page.
func (local) ListPage(ctx context.Context, prefix string, flat bool, _ string) (page []Attrs, next string, err error) {
	root := prefix[:strings.LastIndex(prefix, "/")+1]
	if root == "" {
		root = "."
	}
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if d.IsDir() {
			if flat && path != root {
				return fs.SkipDir
			}
			return nil
		}
		if _, isUpload := cutTemp(path); isUpload || !d.Type().IsRegular() || !strings.HasPrefix(path, prefix) {
			return nil
		}
		info, err := d.Info()
		if err == nil {
			page = append(page, localAttrs(path, info))
		}
		return err
	})
	slices.SortFunc(page, func(a, b Attrs) int { return strings.Compare(a.Key, b.Key) })
	return page, "", wrapLocal("list", prefix, err)
}

func (b local) Put(ctx context.Context, path string, data []byte, c Condition) (Attrs, error) {
	u, err := b.Stage(ctx, path, c)
	if err != nil {
		return Attrs{}, err
	}
	err = u.Write(ctx, data)
	var a Attrs
	if err == nil {
		a, err = u.Commit(ctx)
	}
	if err != nil {
		return Attrs{}, errors.Join(err, u.Abort(ctx))
	}
	return a, nil
}

func (local) Delete(_ context.Context, path string) error {
	return wrapLocal("delete", path, durable.Remove(path))
}

type localUpload struct {
	temp      *durable.Temp
	path      string
	condition Condition
	closed    bool
	done      *Attrs
}

func (local) Stage(_ context.Context, path string, c Condition) (Upload, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil { // as in a bucket, which has no directories
		return nil, wrapLocal("write", path, err)
	}
	temp, err := durable.CreateTemp(path, 0o666)
	if err != nil {
		return nil, wrapLocal("write", path, err)
	}
	return &localUpload{temp: temp, path: path, condition: c}, nil
}

// Resume resumes nothing: a file's content may not have reached the disk.
func (local) Resume(_ context.Context, path, _ string, _ int64, _ Condition) (Upload, error) {
	return nil, wrapLocal("resume", path, ErrNotExist)
}

func (u *localUpload) ID() string { return u.temp.Name() }

func (u *localUpload) Write(_ context.Context, part []byte) error {
	_, err := u.temp.Write(part)
	return wrapLocal("write", u.path, err)
}

func (u *localUpload) Commit(ctx context.Context) (Attrs, error) {
	if u.done != nil {
		return *u.done, nil
	}
	if !u.closed {
		if err := u.temp.Sync(); err != nil {
			return Attrs{}, wrapLocal("commit", u.path, err)
		}
		u.closed = true
		if err := u.temp.Close(); err != nil {
			return Attrs{}, wrapLocal("commit", u.path, err)
		}
	}
	replace := u.condition.Version != ""
	if replace { // another process may still replace it between this and the rename
		a, err := local{}.Stat(ctx, u.path)
		if err == nil && a.Version != u.condition.Version {
			err = ErrExists
		}
		if err != nil {
			return Attrs{}, wrapLocal("commit", u.path, err)
		}
	}
	if err := durable.Publish(u.temp.Name(), u.path, replace); err != nil {
		return Attrs{}, wrapLocal("commit", u.path, err)
	}
	a, err := local{}.Stat(ctx, u.path)
	if err == nil {
		u.done = &a
	}
	return a, err
}

func (u *localUpload) Abort(context.Context) error {
	if !u.closed {
		u.closed = true
		_ = u.temp.Close() // it is removed
	}
	return wrapLocal("abort", u.path, u.temp.Remove())
}

// cutTemp returns the path whose temporary file has the name.
func cutTemp(name string) (path string, ok bool) {
	dir, base := filepath.Split(name)
	mark := strings.LastIndex(base, ".rollcall-")
	if mark < 1 || base[0] != '.' {
		return "", false
	}
	path = dir + base[1:mark]
	return path, durable.IsTemp(base, path)
}

func (local) Pending(ctx context.Context, prefix string) iter.Seq2[PendingUpload, error] {
	return func(yield func(PendingUpload, error) bool) {
		root := prefix[:strings.LastIndex(prefix, "/")+1]
		err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return err
			}
			path, isUpload := cutTemp(name)
			if !isUpload || !strings.HasPrefix(path, prefix) {
				return nil
			}
			info, err := d.Info()
			if err == nil && !yield(PendingUpload{Key: path, ID: name, Begun: info.ModTime()}, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield(PendingUpload{}, wrapLocal("list the uploads of", prefix, err))
		}
	}
}

func (local) Abort(_ context.Context, p PendingUpload) error {
	if path, isUpload := cutTemp(p.ID); !isUpload || path != p.Key {
		return wrapLocal("abort the upload of", p.Key, errors.New("it is not an upload"))
	}
	return wrapLocal("abort the upload of", p.Key, durable.Remove(p.ID))
}
