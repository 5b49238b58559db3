package blob

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
)

// Object is one version of an object, open for reading. Its methods are safe for concurrent use. Reads fail with
// ErrChanged once the object has another version.
type Object struct {
	ctx    context.Context
	bucket Bucket
	attrs  Attrs
	url    string
	ahead  atomic.Int64 // bytes that sections hold
}

// NewObject returns an object of a bucket. ctx ends its reads; url is its name in errors.
func NewObject(ctx context.Context, b Bucket, a Attrs, url string) *Object {
	return &Object{ctx: ctx, bucket: b, attrs: a, url: url}
}

// URL returns the object's name, as a user writes it.
func (o *Object) URL() string { return o.url }

// Size returns the object's size.
func (o *Object) Size() int64 { return o.attrs.Size }

// Attrs describes the version.
func (o *Object) Attrs() Attrs { return o.attrs }

// ReadAt implements [io.ReaderAt].
func (o *Object) ReadAt(p []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, errors.New("negative offset")
	}
	var end error
	if rest := o.attrs.Size - offset; int64(len(p)) > rest {
		p, end = p[:max(rest, 0)], io.EOF
	}
	if len(p) == 0 {
		return 0, end
	}
	n, err := o.bucket.ReadRange(o.ctx, o.attrs, offset, p)
	if err == nil {
		err = end
	}
	return n, err
}

// Close does nothing: a version is not held open.
func (o *Object) Close() error { return nil }

// The chunks of [Object.Section]: a few requests under way hide how long each takes to be answered.
const (
	maxChunk  = 2 << 20
	minChunk  = 256 << 10
	leanChunk = 64 << 10
	maxChunks = 4        // of a section
	maxAhead  = 32 << 20 // bytes of all sections of an object; with more of them, each has one lean chunk
)

// Section returns a reader of n bytes from offset on, which requests what comes next while the caller is busy with what
// it has. Nothing is requested before the first Read, and nothing has to be closed. It is used from one goroutine.
func (o *Object) Section(offset, n int64) io.Reader {
	n = max(min(n, o.attrs.Size-offset), 0)
	return &section{o: o, next: offset, end: offset + n, size: min(max(n/maxChunks, minChunk), maxChunk)}
}

// section reads its chunks in order.
type section struct {
	o         *Object
	next, end int64    // what is not requested yet
	size      int64    // of a chunk
	chunks    []*chunk // requested; the first is the one that is read
	rest      []byte   // of the first chunk
	free      []byte
	err       error
}

type chunk struct {
	data []byte
	err  error
	done chan struct{}
}

func (s *section) Read(p []byte) (int, error) {
	if len(s.rest) == 0 && s.err == nil {
		s.err = s.readChunk()
	}
	if s.err != nil {
		return 0, s.err
	}
	n := copy(p, s.rest)
	if s.rest = s.rest[n:]; len(s.rest) == 0 {
		s.o.ahead.Add(-int64(len(s.chunks[0].data)))
		s.free, s.chunks = s.chunks[0].data, s.chunks[1:]
	}
	return n, nil
}

// readChunk makes the next chunk the current one. A caller that reads one chunk only gets no more requested.
func (s *section) readChunk() error {
	if len(s.chunks) == 0 {
		if s.next == s.end {
			return io.EOF
		}
		size := s.size
		if s.o.ahead.Load()+size > maxAhead {
			size = leanChunk
		}
		s.request(size)
	} else {
		for s.next < s.end && len(s.chunks) < maxChunks && s.o.ahead.Load()+s.size <= maxAhead {
			s.request(s.size)
		}
	}
	c := s.chunks[0]
	<-c.done
	if c.err != nil {
		return c.err
	}
	s.rest = c.data
	for s.next < s.end && len(s.chunks) < 2 && s.o.ahead.Load()+s.size <= maxAhead {
		s.request(s.size)
	}
	return nil
}

func (s *section) request(size int64) {
	n := min(size, s.end-s.next)
	data := s.free
	if s.free = nil; int64(cap(data)) < n {
		data = make([]byte, n)
	}
	c, offset := &chunk{data: data[:n], done: make(chan struct{})}, s.next
	s.o.ahead.Add(n)
	s.next += n
	s.chunks = append(s.chunks, c)
	go func() {
		defer close(c.done)
		if n, err := s.o.ReadAt(c.data, offset); n < len(c.data) {
			c.err = err
		}
	}()
}
