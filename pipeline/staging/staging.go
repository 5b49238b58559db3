// Package staging makes files that appear whole or not at all, wherever their names say: on disk, by package durable, or
// in an object store, by package blob. It is what outputs, error records and manifests are written through.
//
//	f, err := files.Create(path, mode)   nobody sees the file
//	f.Write … → f.Sync → f.Close         it is complete, and survives a crash
//	files.Publish(f.Name(), path)        it has its name
//
// Another process can publish what this one has completed: [Files.Find] tells what became of a file, by its name and the
// one that it has until it is published.
//
// # In a store
//
// A file is an upload, and its temporary name is the upload's id, which tells nobody where to write. It is committed only
// if there is no object of the name, or, where files are replaced, only if that is still the version that [Files.Exists]
// has seen last before Create. Google's uploads cannot be published by another process: Find says that they are lost.
//
// Parts are uploaded in the background: see [blob.Writer] for what that takes of memory. All files of a [Files] have four
// parts under way at most, and each holds what it has of its next part, up to 8 MiB. A completed one holds nothing, but for
// Google's, which hold up to 256 KiB until they are published.
package staging

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// File is a file that does not have its final name yet. It is used from one goroutine. [WrapError] words the errors of
// Write, Sync and Close.
type File interface {
	io.Writer
	// Sync makes the content survive a crash. Nothing is written after it.
	Sync() error
	// Close ends the writing. The file keeps its temporary name.
	Close() error
	// Name returns the temporary name: a path, or the id of an upload.
	Name() string
	// Remove removes the file, unless it is published.
	Remove() error
}

// Files is where the files of a run are. Its methods are safe for concurrent use, one at a time for each file. The zero
// value, and a nil *Files, know no store and replace nothing.
type Files struct {
	ctx     context.Context
	stores  *blob.Stores
	replace bool
	parts   blob.Parts

	mu      sync.Mutex
	seen    map[string]string  // the versions of objects by their URLs; "": there was none
	retired map[string]bool    // the URLs of objects that are removed before their successors are published
	uploads map[string]*upload // by their ids
}

// New returns the files that stores know, and those on disk. ctx ends what is under way in a store. With replace, files
// that are there are replaced.
func New(ctx context.Context, stores *blob.Stores, replace bool) *Files {
	return &Files{ctx: ctx, stores: stores, replace: replace, seen: map[string]string{},
		retired: map[string]bool{}, uploads: map[string]*upload{}}
}

// InStore reports whether the path is a URL of a store.
func (f *Files) InStore(path string) bool { return f != nil && f.stores.Knows(path) }

// Base returns the last element of a path or URL.
func Base(path string) string { return path[strings.LastIndexByte(filepath.ToSlash(path), '/')+1:] }

// bucket returns the bucket of a URL and the key, which must name an object.
func (f *Files) bucket(url string) (blob.Bucket, string, error) {
	b, key, err := f.stores.Bucket(f.ctx, url)
	if err == nil && (key == "" || strings.HasSuffix(key, "/")) {
		err = fmt.Errorf("create %s: it names a directory, not an object", url)
	}
	return b, key, err
}

// Create begins a file. On disk it gets the mode, less the umask; an object has none.
func (f *Files) Create(path string, mode fs.FileMode) (File, error) {
	if !f.InStore(path) {
		t, err := durable.CreateTemp(path, mode)
		if err != nil {
			return nil, err
		}
		return t, nil
	}
	u, err := f.stage(path)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (f *Files) stage(path string) (*upload, error) {
	b, key, err := f.bucket(path)
	if err != nil {
		return nil, err
	}
	c, err := f.condition(path)
	if err != nil {
		return nil, err
	}
	staged, err := b.Stage(f.ctx, key, c)
	if err != nil {
		return nil, err
	}
	u := &upload{files: f, path: path, staged: staged, writer: blob.NewWriter(f.ctx, staged, &f.parts)}
	f.remember(u)
	return u, nil
}

// condition returns what must hold when the object is committed.
func (f *Files) condition(path string) (c blob.Condition, err error) {
	f.mu.Lock()
	version, known := f.seen[path]
	absent := !f.replace || f.retired[path]
	f.mu.Unlock()
	if absent {
		return c, nil
	}
	if !known {
		if _, err := f.Exists(path); err != nil {
			return c, err
		}
		f.mu.Lock()
		version = f.seen[path]
		f.mu.Unlock()
	}
	return blob.Condition{Version: version}, nil
}

func (f *Files) see(path, version string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen[path] = version
}

// Exists reports whether something has that name.
func (f *Files) Exists(path string) (bool, error) {
	if !f.InStore(path) {
		return durable.Exists(path)
	}
	a, err := f.stat(path)
	if err != nil {
		return false, err
	}
	f.see(path, a.Version)
	return a.Version != "", nil
}

// stat returns the attributes of an object; without a version if there is none.
func (f *Files) stat(path string) (a blob.Attrs, err error) {
	b, key, err := f.bucket(path)
	if err == nil {
		a, err = b.Stat(f.ctx, key)
	}
	if errors.Is(err, blob.ErrNotExist) {
		return blob.Attrs{}, nil
	}
	return a, err
}

// CheckPlace checks that there is a directory, or a bucket, for the file.
func (f *Files) CheckPlace(path string) error {
	if f.InStore(path) {
		_, err := f.Exists(path)
		return err
	}
	_, err := os.Stat(filepath.Dir(path))
	return durable.WrapError("create", path, err)
}

// CheckWritable checks that the file can be created. It leaves nothing, but in Azure, which discards it.
func (f *Files) CheckWritable(path string) error {
	if !f.InStore(path) {
		return durable.CheckWritable(path)
	}
	u, err := f.stage(path)
	if err != nil {
		return err
	}
	_, err = u.Write([]byte("rollcall"))
	if err == nil {
		err = u.Sync()
	}
	return errors.Join(err, u.Remove())
}

// WriteTemp writes a file, to be published.
func (f *Files) WriteTemp(path string, data []byte) (File, error) {
	t, err := f.Create(path, 0o666)
	if err != nil {
		return nil, err
	}
	_, err = t.Write(data)
	if err == nil {
		err = t.Sync()
	}
	if err = errors.Join(err, t.Close()); err != nil {
		return nil, errors.Join(WrapError("write", path, err), t.Remove())
	}
	if u, ok := t.(*upload); ok && len(data) <= blob.PartSize {
		u.data = data
	}
	return t, nil
}

// ErrReplaced says that an object is not the version any more that was to be replaced.
var ErrReplaced = errors.New("somebody else has replaced it meanwhile")

// Publish gives a complete file its final name, and makes that survive a crash. If the name is taken and files are not
// replaced, the error is [fs.ErrExist]. temp is what Name or Find has returned.
func (f *Files) Publish(temp, path string) error {
	if !f.InStore(path) {
		return durable.Publish(temp, path, f != nil && f.replace)
	}
	f.mu.Lock()
	u := f.uploads[temp]
	f.mu.Unlock()
	if u == nil || u.path != path {
		return fmt.Errorf("publish %s: internal error: it has no such upload", path)
	}
	a, err := u.staged.Commit(f.ctx)
	if errors.Is(err, fs.ErrExist) && f.replace {
		return pipeline.WithHint(fmt.Errorf("publish %s: %w", path, ErrReplaced), "run the same command again")
	}
	if err != nil {
		return WrapError("publish", path, err)
	}
	u.published = true
	f.see(path, a.Version)
	f.forget(u)
	return nil
}

func (f *Files) remember(u *upload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.uploads[u.Name()] = u
}

func (f *Files) forget(u *upload) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.uploads, u.Name())
}

// Remove removes a published file, and makes that survive a crash. It is not an error if there is none.
func (f *Files) Remove(path string) error {
	if !f.InStore(path) {
		return errors.Join(durable.Remove(path), durable.SyncDir(path))
	}
	b, key, err := f.bucket(path)
	if err == nil {
		err = b.Delete(f.ctx, key)
	}
	if err == nil {
		f.see(path, "")
	}
	return err
}

// WillRetire says that [Files.Retire] removes the file, if there is one, before its successor is published. It is called
// before Create and Find.
func (f *Files) WillRetire(path string) {
	if f.InStore(path) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.retired[path] = true
	}
}

// Retire removes a published file some time before its successor, which is complete, is published.
func (f *Files) Retire(temp, path string) error {
	if !f.InStore(path) {
		if err := durable.Inherit(temp, path); err != nil {
			return err
		}
		return f.Remove(path)
	}
	if err := f.Remove(path); err != nil {
		return err
	}
	f.mu.Lock()
	u := f.uploads[temp]
	f.mu.Unlock()
	if u == nil || u.data == nil {
		return nil
	}
	if p, ok := u.staged.(blob.ParallelUpload); ok { // Azure does not promise to keep the blocks of a blob that is deleted
		return p.WritePart(f.ctx, 0, u.data)
	}
	return nil
}

// replaceAttempts is how often Replace tries an object that others replace at the same time.
const replaceAttempts = 5

// Replace writes a small file that always may be replaced. Readers see all of the old one or all of the new one, which
// survives a crash.
func (f *Files) Replace(path string, data []byte) error {
	if !f.InStore(path) {
		return durable.WriteFile(path, data)
	}
	b, key, err := f.bucket(path)
	if err != nil {
		return WrapError("write", path, err)
	}
	for range replaceAttempts {
		var a blob.Attrs
		if a, err = f.stat(path); err == nil {
			_, err = b.Put(f.ctx, key, data, blob.Condition{Version: a.Version})
		}
		if !errors.Is(err, blob.ErrExists) {
			break
		}
	}
	return WrapError("write", path, err)
}

// SyncName makes the name of a file that another process has published survive a crash.
func (f *Files) SyncName(path string) error {
	if f.InStore(path) {
		return nil
	}
	return durable.SyncDir(path)
}

// JournalName returns what a journal has as the temporary name of a file: it does not say where to write.
func (f *Files) JournalName(temp, path string) string {
	if f.InStore(path) {
		return temp
	}
	return filepath.Base(temp)
}

// State is what became of a file that was complete.
type State int

// The states of a file.
const (
	Lost      State = iota // it is gone, or changed
	Waiting                // it can be published
	Published              // it has its name
)

// Find returns what became of a complete file that a process was about to publish: name is its [Files.JournalName]. temp
// is its temporary name, for Publish. ctx ends the reading of a file on disk.
func (f *Files) Find(ctx context.Context, name, path string, size int64, sha256 string) (s State, temp string, err error) {
	if f.InStore(path) {
		return f.findUpload(name, path, size)
	}
	return findOnDisk(ctx, name, path, path, size, sha256)
}

// findOnDisk is Find for a file on disk, whose temporary file is beside an output and named after it.
func findOnDisk(ctx context.Context, name, output, path string, size int64, sha256 string) (s State, temp string,
	err error) {
	temp = filepath.Join(filepath.Dir(output), filepath.Base(name))
	if durable.IsTemp(filepath.Base(name), output) {
		has, err := hasContent(ctx, temp, true, size, sha256)
		if has || err != nil {
			return Waiting, temp, err
		}
	}
	has, err := hasContent(ctx, path, false, size, sha256)
	if has {
		s = Published
	}
	return s, temp, err
}

// hasContent reports whether the file of that name has the content. A temporary one must be ours.
func hasContent(ctx context.Context, path string, isTemp bool, size int64, sum string) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Size() != size) {
		return false, nil
	}
	if err == nil && isTemp && durable.CheckOurs(path, info) != nil {
		return false, nil
	}
	if err != nil {
		return false, durable.WrapError("look at", path, err)
	}
	file, err := os.Open(path)
	if err != nil {
		return false, fmt.Errorf("read: %w", err)
	}
	defer file.Close() //nolint:errcheck // only read
	h := sha256.New()
	if _, err := io.Copy(h, contextReader{ctx, file}); err != nil {
		return false, durable.WrapError("read", path, err)
	}
	return hex.EncodeToString(h.Sum(nil)) == sum, nil
}

type contextReader struct {
	ctx context.Context
	io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	return r.Reader.Read(p)
}

// findUpload asks the store. An object tells which upload has made it, so that nothing has to be read.
func (f *Files) findUpload(id, path string, size int64) (s State, temp string, err error) {
	a, err := f.stat(path)
	if err != nil {
		return Lost, "", err
	}
	if a.IsOf(id) && a.Size == size {
		return Published, id, nil
	}
	f.see(path, a.Version)
	c, err := f.condition(path)
	if err != nil {
		return Lost, "", err
	}
	b, key, err := f.bucket(path)
	if err != nil {
		return Lost, "", err
	}
	staged, err := b.Resume(f.ctx, key, id, size, c)
	if errors.Is(err, blob.ErrNotExist) {
		return Lost, "", nil
	}
	if err != nil {
		return Lost, "", err
	}
	f.remember(&upload{files: f, path: path, staged: staged})
	return Waiting, id, nil
}

// RemoveStale removes what processes that were killed have left of a file. The caller makes sure that no other process is
// writing it.
func (f *Files) RemoveStale(path string) error {
	if !f.InStore(path) {
		return durable.RemoveStale(path)
	}
	b, key, err := f.bucket(path)
	if err != nil {
		return err
	}
	for p, err := range b.Pending(f.ctx, key) {
		if err == nil && p.Key == key {
			err = b.Abort(f.ctx, p)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// upload is a file in a store.
type upload struct {
	files     *Files
	path      string
	staged    blob.Upload
	writer    *blob.Writer // nil: another process has written it
	data      []byte       // its only part, if it was written by WriteTemp
	published bool
}

func (u *upload) Name() string { return u.staged.ID() }

func (u *upload) Write(p []byte) (int, error) { return u.writer.Write(p) }

func (u *upload) Sync() error { return u.writer.Flush() }

func (u *upload) Close() error { return nil }

// abortTime bounds the attempts to remove an upload. What is left is removed by the next run.
const abortTime = 5 * time.Second

func (u *upload) Remove() error {
	if u.published {
		return nil
	}
	u.files.forget(u)
	if u.writer != nil {
		u.writer.Stop()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(u.files.ctx), abortTime) // also when the run was interrupted
	defer cancel()
	return WrapError("remove", u.path, u.staged.Abort(ctx))
}

// WrapError returns an error "verb name: cause" with a hint, for a file of the user's; see [durable.WrapError]. The errors
// of stores say it themselves.
func WrapError(verb, name string, err error) error {
	if _, ok := errors.AsType[*blob.Error](err); ok {
		return err
	}
	return durable.WrapError(verb, name, err)
}
