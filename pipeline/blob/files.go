package blob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Files reads files by the names that users give them: paths of this machine, and URLs of stores. All that is read of
// an object is of one version: the current one when it was looked at first. Its methods are safe for concurrent use. A
// nil *Files reads the files of this machine.
type Files struct {
	ctx    context.Context
	stores *Stores

	mu      sync.Mutex
	objects map[string]*Object // by URL
	err     error
}

// NewFiles returns Files. ctx ends what is asked of the stores, which may be nil.
func NewFiles(ctx context.Context, stores *Stores) *Files {
	return &Files{ctx: ctx, stores: stores, objects: map[string]*Object{}}
}

// File is an open file, which is read from its beginning, or anywhere. Size is that when it was opened.
type File interface {
	io.ReadCloser
	io.ReaderAt
	Size() int64
}

// InStore reports whether a name is the URL of a store.
func (f *Files) InStore(name string) bool { return f != nil && f.stores.Knows(name) }

// Err returns the first error of a store, other than that there is no such object. A caller to whom an unreadable file
// is a finding asks for it: that a store does not answer, or that an object was replaced, says nothing about the file.
func (f *Files) Err() error {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// note keeps the first error for Err.
func (f *Files) note(err error) error {
	if err != nil && err != io.EOF && !errors.Is(err, ErrNotExist) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.err == nil {
			f.err = err
		}
	}
	return err
}

// Object returns an object of a store.
func (f *Files) Object(url string) (*Object, error) {
	f.mu.Lock()
	o := f.objects[url]
	f.mu.Unlock()
	if o == nil {
		var err error
		if o, err = f.stores.Open(f.ctx, url); err != nil {
			return nil, f.note(err)
		}
		f.mu.Lock()
		if f.objects[url] == nil {
			f.objects[url] = o
		}
		o = f.objects[url]
		f.mu.Unlock()
	}
	return NewObject(o.ctx, o.bucket, o.attrs, o.url), nil // which has its own bound of what is read ahead
}

// Open opens a file. It refuses what is not a regular file: opening a named pipe would block until somebody writes to
// it.
func (f *Files) Open(name string) (File, error) {
	if f.InStore(name) {
		o, err := f.Object(name)
		if err != nil {
			return nil, err
		}
		return &objectFile{Object: o, files: f}, nil
	}
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		_ = file.Close() // only opened
		return nil, err
	}
	return &localFile{file, info.Size()}, nil
}

type localFile struct {
	*os.File
	size int64
}

func (f *localFile) Size() int64 { return f.size }

// objectFile is an object as a File.
type objectFile struct {
	*Object
	files *Files
	read  io.Reader
}

func (f *objectFile) Read(p []byte) (int, error) {
	if f.read == nil {
		f.read = f.Section(0, f.Size())
	}
	return f.read.Read(p)
}

// Stat implements [fs.File].
func (f *objectFile) Stat() (fs.FileInfo, error) { return objectInfo{f.Object}, nil }

func (f *objectFile) ReadAt(p []byte, offset int64) (int, error) {
	n, err := f.Object.ReadAt(p, offset)
	return n, f.files.note(err)
}

// Section is [Object.Section].
func (f *objectFile) Section(offset, n int64) io.Reader {
	return &notedSection{f.files, f.Object.Section(offset, n)}
}

type notedSection struct {
	files *Files
	io.Reader
}

func (s *notedSection) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	return n, s.files.note(err)
}

// Stat describes a file. An object is a regular file. Directories of stores do not exist.
func (f *Files) Stat(name string) (fs.FileInfo, error) {
	if !f.InStore(name) {
		return os.Stat(name)
	}
	o, err := f.Object(name)
	if err != nil {
		return nil, err
	}
	return objectInfo{o}, nil
}

// Lstat is Stat, but describes a link, and not what it leads to.
func (f *Files) Lstat(name string) (fs.FileInfo, error) {
	if !f.InStore(name) {
		return os.Lstat(name)
	}
	return f.Stat(name)
}

// objectInfo is an object as [fs.FileInfo].
type objectInfo struct{ o *Object }

func (i objectInfo) Name() string       { return path.Base(i.o.url) }
func (i objectInfo) Size() int64        { return i.o.attrs.Size }
func (i objectInfo) Mode() fs.FileMode  { return 0 }
func (i objectInfo) ModTime() time.Time { return i.o.attrs.Modified }
func (i objectInfo) IsDir() bool        { return false }
func (i objectInfo) Sys() any           { return nil }

// Sub returns the files of a store below a directory, of which only Open works, and which has no directories.
func (f *Files) Sub(dir string) fs.FS { return subFS{f, dir} }

type subFS struct {
	files *Files
	dir   string
}

func (s subFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	o, err := s.files.Object(s.dir + "/" + name)
	if err != nil {
		return nil, err
	}
	return &objectFile{Object: o, files: s.files}, nil
}

// Names returns the names of the files in a directory, and not those below its directories, sorted. In a store, a
// directory without any does not exist.
func (f *Files) Names(dir string) ([]string, error) {
	var names []string
	if !f.InStore(dir) {
		entries, err := os.ReadDir(dir)
		for _, e := range entries {
			if !e.IsDir() {
				names = append(names, e.Name())
			}
		}
		return names, err
	}
	objects, err := f.stores.List(f.ctx, dir, true, func(string) bool { return true })
	if err == nil && len(objects) == 0 {
		err = &Error{Op: "list", URL: dir, Err: ErrNotExist}
	}
	for _, o := range objects {
		names = append(names, path.Base(o.url))
	}
	slices.Sort(names)
	return names, f.note(err)
}

// Same reports whether two names are of one file that exists.
func (f *Files) Same(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	if IsURL(a) || IsURL(b) {
		return a == b
	}
	infoA, errA := os.Stat(a)
	infoB, errB := os.Stat(b)
	return errA == nil && errB == nil && os.SameFile(infoA, infoB)
}

// IsURL reports whether a name has the form of a URL of a store, whether or not there is such a store.
func IsURL(name string) bool { return urlPattern().MatchString(name) }

// Dir is [filepath.Dir], also for URLs.
func Dir(name string) string {
	if !IsURL(name) {
		return filepath.Dir(name)
	}
	if bucket := strings.Index(name, "://") + len("://"); strings.Contains(name[bucket:], "/") {
		return name[:strings.LastIndexByte(name, '/')]
	}
	return name
}

// Join returns the name of a file below a directory. rel is local, as [filepath.IsLocal] says it.
func Join(dir, rel string) string {
	if !IsURL(dir) {
		return filepath.Join(dir, rel)
	}
	return dir + "/" + filepath.ToSlash(rel)
}

// Rel is [filepath.Rel], also for URLs. It is an error if a URL is not below the directory.
func Rel(dir, name string) (string, error) {
	if !IsURL(dir) && !IsURL(name) {
		return filepath.Rel(dir, name)
	}
	rel, below := strings.CutPrefix(name, dir+"/")
	if rel = filepath.FromSlash(rel); !below || !filepath.IsLocal(rel) {
		return "", fmt.Errorf("%s is not below %s", name, dir)
	}
	return rel, nil
}
