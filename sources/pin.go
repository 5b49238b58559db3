package sources

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// maxPinned bounds the files of an input that stay open.
const maxPinned = 128

// pinLimit returns how many files may stay open: a quarter of what the process may open, because connections and
// outputs need the rest.
func pinLimit() int { return int(min(durable.OpenFileLimit(), 4*maxPinned) / 4) }

// ChangedError is the error of a file that changed between two passes, or during one.
type ChangedError struct{ File string }

func (e *ChangedError) Error() string { return e.File + " changed while it was read" }

func newChangedError(f File) error {
	return pipeline.WithHint(&ChangedError{f.String()},
		"rerun when nothing writes to it; write a new version under another name, and then rename it")
}

// Sum is the size and the hash of a file, or of the bytes of a [Part], as they were read.
type Sum struct {
	Bytes  int64
	SHA256 string // in hex
}

// Pin opens the files for several passes. Each [Open] then reads the same files from the start, even if other files
// have their names by then. There is one pass at a time. The caller closes the files with [Unpin].
//
// The first pass that ends with [Input.ReadRest] records the SHA-256 of each file. If a later pass reads anything
// else, it ends with a [*ChangedError] at the end of that file.
//
// At most 128 files stay open, or fewer if the process may not open that many. Each of the others is opened again for
// each pass; if it is another file by then, or was written to, that is a ChangedError too.
//
// An object of a store is read in the version that [File].Object has. One that has another version by then is a
// ChangedError.
//
// ctx ends what may take long without reading rows: the hash of a large Parquet file.
func Pin(ctx context.Context, files []File) error {
	limit := pinLimit()
	for i := range files {
		p := &pin{ctx: ctx}
		if files[i].Object != nil {
			files[i].pin = p
			continue
		}
		file, err := openRegular(files[i])
		if err == nil {
			p.info, err = file.Stat()
		}
		if err != nil {
			Unpin(files[:i])
			return err
		}
		if i < limit {
			p.held = file
		} else if err := file.Close(); err != nil {
			Unpin(files[:i])
			return err
		}
		files[i].pin = p
	}
	return nil
}

// PinOpen is [Pin] for one open regular file, whatever its current name. name is its name in errors.
func PinOpen(ctx context.Context, file *os.File, name string) File {
	return File{Path: file.Name(), Name: name, pin: &pin{ctx: ctx, held: file}}
}

// Unpin closes the files.
func Unpin(files []File) {
	for _, f := range files {
		if f.pin != nil && f.pin.held != nil {
			_ = f.pin.held.Close() // only read
		}
	}
}

// openRegular opens a regular file. It is an error if the path is anything else: a named pipe would block, and a
// device may have side effects.
func openRegular(f File) (*os.File, error) {
	if err := checkRegular(f); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // it may be a pipe by now
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = newChangedError(f)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// pin is a file that is read several times.
type pin struct {
	ctx  context.Context
	held *os.File    // nil if too many are open
	info fs.FileInfo // of the first pass
	pass *pass       // the current pass
	sum  *Sum        // of the first complete pass
	part *Part       // what is read of it; nil: all

	binary  []string // see findBinaryColumns
	scanned bool
}

// pass is one reading of a file, from the start. It hashes what is read in order. Its methods are called from one
// goroutine at a time.
type pass struct {
	file   content
	ahead  io.Reader // reads file in order, ahead of Read; nil for a local file
	own    bool      // it was opened for this pass
	closed bool
	offset int64
	from   int64 // where the part begins
	to     int64 // where it ends
	hash   *blockHash
	sum    *Sum // at the end of the pass
}

// selectPart goes to the beginning of a part, and hashes that alone.
func (p *pass) selectPart(part *Part) {
	p.offset, p.from, p.to = part.From, part.From, part.end()
	if p.hash != nil {
		p.hash = &blockHash{hash: sha256.New()}
	}
	if o, ok := p.file.(object); ok {
		p.ahead = o.Section(part.From, o.Object.Size()-part.From)
	}
}

// limitHash leaves out of the hash what is after a part that begins with the file, whose header is read before.
func (p *pass) limitHash(part *Part) {
	if part != nil && part.From == 0 {
		p.to = part.end()
	}
}

// content is an *os.File or an object.
type content interface {
	io.ReaderAt
	io.Closer
}

// object is an object of a store. Its change is a [*ChangedError].
type object struct {
	*blob.Object
	file File
}

func (o object) explain(n int, err error) (int, error) {
	if errors.Is(err, blob.ErrChanged) {
		err = newChangedError(o.file)
	}
	return n, err
}

// ReadAt implements [io.ReaderAt].
func (o object) ReadAt(b []byte, offset int64) (int, error) {
	return o.explain(o.Object.ReadAt(b, offset))
}

// Section is [blob.Object.Section].
func (o object) Section(offset, n int64) io.Reader {
	return objectSection{o, o.Object.Section(offset, n)}
}

type objectSection struct {
	object
	io.Reader
}

func (s objectSection) Read(b []byte) (int, error) { return s.explain(s.Reader.Read(b)) }

// hashBlock is how much is hashed at a time.
const hashBlock = 128 << 10

// blockHash hashes in a goroutine of its own, while the next block is read. The goroutine ends with its block.
type blockHash struct {
	hash    hash.Hash
	next    []byte // the block that is collected
	current []byte // the one that is hashed
	busy    sync.WaitGroup
}

func (h *blockHash) write(b []byte) {
	for len(b) > 0 {
		n := min(len(b), hashBlock-len(h.next))
		h.next, b = append(h.next, b[:n]...), b[n:]
		if len(h.next) == hashBlock {
			h.busy.Wait()
			h.next, h.current = h.current[:0], h.next
			h.busy.Go(func() { h.hash.Write(h.current) })
		}
	}
}

// sum returns the hash of all that was written. It is the last call.
func (h *blockHash) sum() []byte {
	h.busy.Wait()
	h.hash.Write(h.next)
	h.next, h.current = nil, nil
	return h.hash.Sum(nil)
}

// beginPass begins a pass.
func (f File) beginPass() (*pass, error) {
	p := f.pin
	if f.Object != nil {
		o := object{f.Object, f}
		begun := &pass{file: o, ahead: o.Section(0, f.Object.Size()), to: noEnd, hash: &blockHash{hash: sha256.New()}}
		if p != nil {
			p.pass = begun
			begun.limitHash(p.part)
		}
		return begun, nil
	}
	if p == nil {
		file, err := openRegular(f)
		return &pass{file: file, own: true, to: noEnd}, err
	}
	p.pass = nil
	file, own := p.held, false
	if file == nil {
		var err error
		if file, err = p.reopen(f); err != nil {
			return nil, err
		}
		own = true
	}
	p.pass = &pass{file: file, own: own, to: noEnd, hash: &blockHash{hash: sha256.New()}}
	p.pass.limitHash(p.part)
	return p.pass, nil
}

// reopen opens a file that did not stay open, and checks that it is the same one.
func (p *pin) reopen(f File) (*os.File, error) {
	if info, err := os.Stat(f.Path); errors.Is(err, fs.ErrNotExist) || err == nil &&
		!(os.SameFile(info, p.info) && info.Mode().IsRegular()) {
		return nil, newChangedError(f)
	}
	file, err := openRegular(f)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !(os.SameFile(info, p.info) && info.Size() == p.info.Size() &&
		info.ModTime().Equal(p.info.ModTime())) {
		err = newChangedError(f)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return file, nil
}

// Read reads to the current end of the file, not to the end when it was opened: appended bytes are a change.
func (p *pass) Read(b []byte) (n int, err error) {
	if p.ahead != nil {
		n, err = p.ahead.Read(b)
	} else {
		n, err = p.file.ReadAt(b, p.offset)
	}
	if p.hash != nil { // what is after the part is read to know where its last record ends
		p.hash.write(b[:max(0, min(int64(n), p.to-p.offset))])
	}
	p.offset += int64(n)
	return n, err
}

// Close closes the file if it was opened for this pass.
func (p *pass) Close() error {
	if !p.own || p.closed {
		return nil
	}
	p.closed = true
	return p.file.Close()
}

// finishPass reads the rest of a file, and checks that it is what the first pass read.
func (f File) finishPass() (Sum, error) {
	p := f.pin
	if f.Object != nil && p.sum != nil {
		return *p.sum, nil // every request named the version that was hashed
	}
	if p.pass == nil || p.pass.closed && p.pass.sum == nil {
		begun, err := f.beginPass()
		if err != nil {
			return Sum{}, err
		}
		if p.part != nil {
			begun.selectPart(p.part)
		}
		defer p.pass.Close() //nolint:errcheck // only read
	}
	if p.pass.sum == nil {
		rest := io.LimitReader(contextReader{p.ctx, p.pass}, max(0, p.pass.to-p.pass.offset))
		if _, err := io.CopyBuffer(io.Discard, rest, make([]byte, 256<<10)); err != nil {
			return Sum{}, fmt.Errorf("read %s: %w", f, err)
		}
		p.pass.sum = &Sum{min(p.pass.offset, p.pass.to) - p.pass.from, hex.EncodeToString(p.pass.hash.sum())}
	}
	if p.sum == nil {
		return *p.pass.sum, nil
	}
	if *p.sum != *p.pass.sum {
		return Sum{}, newChangedError(f)
	}
	return *p.sum, nil
}

// explainError returns err, or a [*ChangedError] if the file has changed, because that explains err.
func (f File) explainError(err error) error {
	if f.pin == nil || f.pin.sum == nil {
		return err
	}
	if _, cause := f.finishPass(); cause != nil {
		return cause
	}
	return err
}

// ReadRest reads the rest of all files, or parts, without decoding it, and returns the size and hash of each. The files
// must be pinned, and the input not closed. Next returns no more rows after it.
func (in *Input) ReadRest() ([]Sum, error) {
	in.stopAhead()
	if in.err == nil {
		in.err = errors.New("the rest of the input was read")
	}
	sums := make([]Sum, len(in.parts))
	for i, part := range in.parts {
		var err error
		if sums[i], err = in.files[part.File].finishPass(); err != nil {
			return nil, err
		}
	}
	for i, part := range in.parts {
		in.files[part.File].pin.sum = &sums[i]
	}
	return sums, nil
}

// contextReader is a reader that ends with its context.
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
