package staging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// Some outputs are several files, in the directory of the output's path and in directories below it. On disk, all of
// their temporary files are beside that path, and have its temporary names; the directories are made when the files are
// published, so that nothing but complete files is ever in them.

// PathBelow returns the path of a file of an output. below is relative to the output's directory, with slashes.
func PathBelow(output, below string) string {
	if !strings.Contains(output, "://") {
		below = filepath.FromSlash(below)
	}
	return output[:len(output)-len(Base(output))] + below
}

// CreateBelow is Create for a file of an output.
func (f *Files) CreateBelow(output, below string, mode fs.FileMode) (File, error) {
	path := PathBelow(output, below)
	if f.InStore(output) {
		return f.Create(path, mode)
	}
	if err := durable.CheckBelow(output, filepath.FromSlash(below)); err != nil {
		return nil, err
	}
	return f.Create(output, mode)
}

// FindBelow is Find for a file of an output.
func (f *Files) FindBelow(ctx context.Context, name, output, below string, size int64,
	sha256 string) (s State, temp string, err error) {
	path := PathBelow(output, below)
	if f.InStore(output) {
		return f.findUpload(name, path, size)
	}
	if err := durable.CheckBelow(output, filepath.FromSlash(below)); err != nil {
		return Lost, "", err
	}
	return findOnDisk(ctx, name, output, path, size, sha256)
}

// PublishBelow is Publish for a file of an output. It makes the directories.
func (f *Files) PublishBelow(temp, output, below string) error {
	if !f.InStore(output) {
		if err := durable.MakeBelow(output, filepath.FromSlash(below)); err != nil {
			return err
		}
	}
	return f.Publish(temp, PathBelow(output, below))
}

// RemoveBelow is Remove for a file of an output. It removes the directories that are empty then.
func (f *Files) RemoveBelow(output, below string) error {
	path := PathBelow(output, below)
	if f.InStore(output) {
		return f.Remove(path)
	}
	if err := durable.CheckBelow(output, filepath.FromSlash(below)); err != nil {
		return err
	}
	exists, err := durable.Exists(path)
	if err == nil && exists {
		err = f.Remove(path)
	}
	return errors.Join(err, durable.RemoveEmptyBelow(output, filepath.FromSlash(below)))
}

// RemoveStaleBelow is RemoveStale for all files of an output: isOf reports whether a path below its directory is of one.
func (f *Files) RemoveStaleBelow(output string, isOf func(below string) bool) error {
	if !f.InStore(output) {
		return durable.RemoveStale(output)
	}
	b, key, err := f.bucket(output)
	if err != nil {
		return err
	}
	dir := key[:strings.LastIndexByte(key, '/')+1]
	for p, err := range b.Pending(f.ctx, dir) {
		if below, ok := strings.CutPrefix(p.Key, dir); err == nil && ok && isOf(below) {
			err = b.Abort(f.ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Below lists the files in the directory of an output, and in those below it for which descend returns true: see
// [blob.Below]. Without a directory there are none.
func (f *Files) Below(ctx context.Context, output string, descend func(below string) bool) ([]string, error) {
	dir := filepath.Dir(output)
	if f.InStore(output) {
		dir = output[:len(output)-len(Base(output))-1]
	}
	found, err := blob.Below(ctx, f.stores, dir, descend)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, blob.ErrNotExist) {
		return nil, nil
	}
	return found, err
}

// Scratch is a temporary file that is never published. Closing removes it.
type Scratch struct {
	io.Writer
	io.ReaderAt
	close func() error
}

// Close closes and removes the file.
func (s *Scratch) Close() error { return s.close() }

// CreateScratch creates a temporary file for an output: beside it, where there is room for it, or if it is in a store,
// where this machine has its temporary files.
func (f *Files) CreateScratch(output string) (*Scratch, error) {
	if f.InStore(output) {
		unnamed, err := durable.CreateUnnamed()
		if err != nil {
			return nil, pipeline.WithHint(fmt.Errorf("create a temporary file for %s: %w", output, err),
				"TMPDIR says where temporary files are")
		}
		return &Scratch{unnamed, unnamed, unnamed.Close}, nil
	}
	t, err := durable.CreateTemp(output, 0o600)
	if err != nil {
		return nil, err
	}
	remove := func() error {
		_ = t.Close() // its content is not needed
		return t.Remove()
	}
	r, err := durable.OpenOurs(t.Name())
	if err != nil {
		return nil, errors.Join(err, remove())
	}
	return &Scratch{t, r, func() error { return errors.Join(r.Close(), remove()) }}, nil
}
