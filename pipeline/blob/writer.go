package blob

import (
	"context"
	"sync"
)

// The bounds on what writers hold in memory, beside the part that each is filling.
const (
	maxUploading = 4 // parts that are under way, of all writers that share a [Parts]
	maxParallel  = 2 // of one writer
	firstBuffer  = 64 << 10
)

// Parts are buffers for the parts of uploads. Writers that share one have at most four parts under way. The zero value is
// ready for use.
type Parts struct {
	once sync.Once
	slot chan struct{} // one for each part that is under way
	free chan []byte   // of PartSize
}

func (p *Parts) init() {
	p.once.Do(func() {
		p.slot, p.free = make(chan struct{}, maxUploading), make(chan []byte, maxUploading)
	})
}

// grow returns a buffer that begins with part and has room for more, at least as much as least says.
func (p *Parts) grow(part []byte, least int) []byte {
	size := min(max(4*cap(part), least), PartSize)
	var larger []byte
	if size == PartSize {
		select {
		case larger = <-p.free:
		default:
		}
	}
	if larger == nil {
		larger = make([]byte, 0, size)
	}
	return append(larger[:0], part...)
}

func (p *Parts) release(part []byte) {
	if cap(part) == PartSize {
		select {
		case p.free <- part:
		default:
		}
	}
	<-p.slot
}

// Writer writes an upload in parts, up to two of which are under way while the next one is filled. It holds no more than
// the part that it fills, and no more of that than was written, up to [PartSize], and what is under way. It is used from
// one goroutine.
type Writer struct {
	ctx      context.Context
	cancel   context.CancelFunc
	upload   Upload
	parallel ParallelUpload // nil: one part at a time
	parts    *Parts
	buf      []byte
	n        int // parts before buf
	slot     chan struct{}
	group    sync.WaitGroup

	mu  sync.Mutex
	err error // the first
}

// NewWriter returns a writer of an upload. ctx ends its requests.
func NewWriter(ctx context.Context, u Upload, parts *Parts) *Writer {
	parts.init()
	w := &Writer{upload: u, parts: parts, slot: make(chan struct{}, 1)}
	w.ctx, w.cancel = context.WithCancel(ctx)
	if p, ok := u.(ParallelUpload); ok {
		w.parallel, w.slot = p, make(chan struct{}, maxParallel)
	}
	return w
}

// Write appends p. Its error may be that of an earlier part.
func (w *Writer) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := w.failure(); err != nil {
			return n, err
		}
		if len(w.buf) == cap(w.buf) {
			least := firstBuffer
			if len(w.buf) == PartSize {
				w.send()
				least = PartSize // another part will be full, too
			}
			w.buf = w.parts.grow(w.buf, least)
		}
		m := min(len(p), cap(w.buf)-len(w.buf))
		w.buf = append(w.buf, p[:m]...)
		p, n = p[m:], n+m
	}
	return n, w.failure()
}

// send begins to write the part that is filled.
func (w *Writer) send() {
	part, n := w.buf, w.n
	w.buf, w.n = nil, w.n+1
	w.slot <- struct{}{} // so that without ParallelUpload one part is written after the other
	w.parts.slot <- struct{}{}
	w.group.Go(func() {
		defer func() {
			w.parts.release(part)
			<-w.slot
		}()
		if w.failure() != nil {
			return
		}
		var err error
		if w.parallel != nil {
			err = w.parallel.WritePart(w.ctx, n, part)
		} else {
			err = w.upload.Write(w.ctx, part)
		}
		if err != nil {
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.err == nil {
				w.err = err
			}
		}
	})
}

func (w *Writer) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Flush writes the last part, and waits until the store has all. Nothing is written after it.
func (w *Writer) Flush() error {
	if len(w.buf) > 0 {
		w.send()
	}
	w.group.Wait()
	return w.failure()
}

// Stop ends the requests that are under way, and waits for that. It does not abort the upload.
func (w *Writer) Stop() {
	w.cancel()
	w.group.Wait()
}
