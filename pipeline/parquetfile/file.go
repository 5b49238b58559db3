package parquetfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
)

const (
	maxFooter = 64 << 20
	// maxFooterParts bounds the memory of a footer in arrow: a column in a row group has at least 90 bytes in the file,
	// and several hundred in memory.
	maxFooterParts = 500_000
)

// Guard runs f and turns a panic of arrow into an error. It adds the name of the file to all errors, io.EOF included.
func Guard(name string, f func() error) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	defer recoverPanic(&err)
	return f()
}

// recoverPanic, deferred, turns a panic of arrow into an error. It replaces the texts of Go's runtime, which mean
// nothing to users.
func recoverPanic(err *error) {
	p := recover()
	if p == nil {
		return
	}
	text := fmt.Sprint(p)
	if _, ok := p.(runtime.Error); ok || strings.Contains(text, "runtime error") {
		text = "its parts contradict each other"
	}
	*err = fmt.Errorf("damaged Parquet: %s", text)
}

// MagicError is the error of a file that does not end like a Parquet file.
type MagicError struct {
	Magic string // the last four bytes
}

func (e *MagicError) Error() string {
	return "not a Parquet file, or a truncated one: it does not end in PAR1"
}

// Encrypted reports whether the file ends like a Parquet file with an encrypted footer.
func (e *MagicError) Encrypted() bool { return e.Magic == "PARE" }

// File is an open Parquet file. It is used from one goroutine, and so are its columns; other goroutines use forks.
type File struct {
	shared
	r      io.ReaderAt
	size   int64
	md     *metadata.FileMetaData
	broken map[schema.Node]string
}

// shared is what the columns of a file share.
type shared struct {
	opts    Options
	unpack  unpacker
	held    int64     // bytes of the pages of all columns
	limit   int64     // of held
	sticky  bool      // held only grows; see Fork
	buffers sync.Pool // of arrow
}

func (s *shared) init(o Options) {
	s.opts, s.limit = o, maxHeld
	s.buffers.New = func() any { return memory.NewResizableBuffer(memory.DefaultAllocator) }
}

// Open reads the footer of f, and checks that its row groups match the schema and the number of rows. The caller
// closes f, after the File. The error is a [*MagicError] if f is not a Parquet file.
//
// f is an [os.File], or another [io.ReaderAt] with a method Size. If it has a method Section, columns are read with the
// reader that it returns, which may read ahead.
func Open(f io.ReaderAt, o Options) (*File, error) {
	p := &File{r: f}
	switch f := f.(type) {
	case *os.File:
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		p.size = info.Size()
	case interface{ Size() int64 }:
		p.size = f.Size()
	}
	p.init(o)
	tail := make([]byte, 8)
	if p.size < 12 {
		return nil, errors.New("too short for Parquet")
	}
	if _, err := f.ReadAt(tail, p.size-8); err != nil {
		return nil, err
	}
	if magic := string(tail[4:]); magic != "PAR1" {
		return nil, &MagicError{magic}
	}
	footer := int64(binary.LittleEndian.Uint32(tail))
	if footer > p.size-12 || footer > maxFooter {
		return nil, fmt.Errorf("damaged Parquet: a footer of %d bytes in a file of %d", footer, p.size)
	}
	buf := make([]byte, footer)
	if _, err := f.ReadAt(buf, p.size-8-footer); err != nil {
		return nil, err
	}
	md, broken, err := parseFooter(buf)
	if err != nil {
		return nil, err
	}
	p.md, p.broken = md, findNodes(md.Schema, broken)
	var rows int64
	for _, g := range md.RowGroups {
		if g.NumRows < 0 {
			return nil, errors.New("damaged Parquet: a row group with a negative number of rows")
		}
		if len(g.Columns) != md.Schema.NumColumns() {
			return nil, errors.New("damaged Parquet: a row group does not have the columns of the schema")
		}
		rows += g.NumRows
	}
	if rows != md.NumRows {
		return nil, fmt.Errorf("damaged Parquet: %d rows in the footer, %d in its row groups", md.NumRows, rows)
	}
	return p, nil
}

// Metadata returns the footer: the schema, and what the writer wrote about the file.
func (f *File) Metadata() *metadata.FileMetaData { return f.md }

// BrokenTypes returns the parts of the schema whose type arrow does not know, or that is misplaced. The text completes
// the sentence "a column …", such as "of the logical type VARIANT". Metadata lacks these types, so their values must
// not be read as what is stored.
func (f *File) BrokenTypes() map[schema.Node]string { return f.broken }

// NumRows returns the number of rows in all row groups.
func (f *File) NumRows() int64 { return f.md.NumRows }

// NumGroups returns the number of row groups.
func (f *File) NumGroups() int { return len(f.md.RowGroups) }

// Group returns a row group, from 0. It may have no rows, and then it often has no pages either.
func (f *File) Group(i int) *metadata.RowGroupMetaData { return f.md.RowGroup(i) }

// Column returns a reader of a column, which reads readAhead bytes ahead.
func (f *File) Column(d *schema.Column, readAhead int) *Column {
	return &Column{file: f, pages: pageReader{descr: d, shared: &f.shared, buffer: readAhead}}
}

// Fork returns a File with the same footer, for one of n other goroutines. Its columns may take 1/n of the memory; what
// each has needed at most counts, as if it still did. So if no fork refuses a page for its size, the File itself, which
// reads the columns side by side, does not either.
func (f *File) Fork(n int) *File {
	p := &File{r: f.r, size: f.size, md: f.md, broken: f.broken}
	p.init(f.opts)
	p.limit, p.sticky = maxHeld/int64(n), true
	return p
}

// Close frees the decoders of the File. It does not close the file itself.
func (f *File) Close() { f.unpack.Close() }
