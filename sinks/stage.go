package sinks

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"sync"
	"sync/atomic"
)

// A stage works on buffers in a goroutine of its own, in the order in which they are sent. The goroutine starts with the
// first one.
type stage struct {
	work  func(item)
	queue chan item
	ended chan struct{}
}

// item is a buffer, which belongs to the stage that has it, or nil; and a channel to close when the item has passed all
// stages, or nil.
type item struct {
	data []byte
	done chan struct{}
}

// stageQueue is how many items may wait for a stage. A sender waits while there are more.
const stageQueue = 2

func (s *stage) send(it item) {
	if s.queue == nil {
		s.queue, s.ended = make(chan item, stageQueue), make(chan struct{})
		go func(queue <-chan item) {
			defer close(s.ended)
			for it := range queue {
				s.work(it)
			}
		}(s.queue)
	}
	s.queue <- it
}

// close waits until everything that was sent is worked on, and ends the goroutine.
func (s *stage) close() {
	if s.queue != nil {
		close(s.queue)
		<-s.ended
		s.queue = nil
	}
}

// buffers are buffers that are used again.
type buffers struct{ pool sync.Pool }

// get returns an empty buffer, or nil.
func (b *buffers) get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return (*p)[:0]
	}
	return nil
}

func (b *buffers) put(buf []byte) {
	if buf = resetBuffer(buf); buf != nil {
		b.pool.Put(&buf)
	}
}

// tail is the end of an output, which hashes and writes its bytes: a goroutine each, because either takes as long as
// all that the others do who share the work of a run. It is used from one goroutine at a time.
type tail struct {
	buffers *buffers
	chunk   []byte // what Write has collected

	hash    hash.Hash
	hashing stage
	writing stage
	bytes   atomic.Int64 // that were written
	failure atomic.Pointer[error]
	aborted atomic.Bool // nothing more is written
}

// tailChunk is how many bytes Write collects.
const tailChunk = 64 << 10

func newTail(w io.Writer, buffers *buffers) *tail {
	t := &tail{buffers: buffers, hash: sha256.New()}
	t.hashing.work = func(it item) {
		t.hash.Write(it.data)
		t.writing.send(it)
	}
	t.writing.work = func(it item) {
		if len(it.data) > 0 && t.err() == nil && !t.aborted.Load() {
			n, err := w.Write(it.data)
			t.bytes.Add(int64(n))
			if err != nil {
				t.failure.Store(&err)
			}
		}
		t.buffers.put(it.data)
		if it.done != nil {
			close(it.done)
		}
	}
	return t
}

// err returns the error that writing has met, if it has yet.
func (t *tail) err() error {
	if err := t.failure.Load(); err != nil {
		return *err
	}
	return nil
}

// send writes a buffer, which it takes, after what came before.
func (t *tail) send(buf []byte) {
	t.sendChunk()
	t.hashing.send(item{data: buf})
}

func (t *tail) sendChunk() {
	if len(t.chunk) > 0 {
		t.hashing.send(item{data: t.chunk})
		t.chunk = nil
	}
}

// Write writes a copy of p. Its error may be that of an earlier Write.
func (t *tail) Write(p []byte) (int, error) {
	if len(t.chunk)+len(p) > tailChunk {
		t.sendChunk()
	}
	if t.chunk == nil {
		t.chunk = t.buffers.get()
	}
	t.chunk = append(t.chunk, p...)
	return len(p), t.err()
}

// flush waits until everything is written.
func (t *tail) flush() error {
	t.sendChunk()
	done := make(chan struct{})
	t.hashing.send(item{done: done})
	<-done
	return t.err()
}

// close writes what is left, and ends the goroutines.
func (t *tail) close() error {
	t.sendChunk()
	t.hashing.close()
	t.writing.close()
	return t.err()
}

// sum returns the SHA-256 of what was written before close, in hex.
func (t *tail) sum() string { return hex.EncodeToString(t.hash.Sum(nil)) }
