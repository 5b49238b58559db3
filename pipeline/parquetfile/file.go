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
	// maxFooterParts bounds what arrow makes of a footer: a column in a row group takes 90 bytes there at least, and
	// several hundred in memory.
	maxFooterParts = 500_000
)

// Guard runs f and turns a panic of arrow into an error. Errors name the file, io.EOF too.
func Guard(name string, f func() error) (err error) {
	if err := runGuarded(f); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func runGuarded(f func() error) (err error) {
	defer recoverPanic(&err)
	return f()
}

// recoverPanic, deferred, turns a panic of arrow into an error. What Go's runtime says of it is of use to nobody who has
// the file.
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

// MagicError is of a file that does not end as Parquet does.
type MagicError struct {
	Magic string // the last four bytes
}

func (e *MagicError) Error() string {
	return "not a Parquet file, or a truncated one: it does not end in PAR1"
}

// Encrypted reports whether it ends as Parquet does whose footer is encrypted.
func (e *MagicError) Encrypted() bool { return e.Magic == "PARE" }

// File is an open Parquet file. It is used from one goroutine, and so are its columns.
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
	buffers sync.Pool // of arrow
}

func (s *shared) init(o Options) {
	s.opts = o
	s.buffers.New = func() any { return memory.NewResizableBuffer(memory.DefaultAllocator) }
}

// Open reads the footer of a file, and makes sure that its row groups are what the schema and the number of rows say.
// The file stays the caller's, who closes it after the File. The error is a [*MagicError] where it is no Parquet file.
func Open(f *os.File, o Options) (*File, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	p := &File{r: f, size: info.Size()}
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
			return nil, errors.New("damaged Parquet: a row group of less than no rows")
		}
		if len(g.Columns) != md.Schema.NumColumns() {
			return nil, errors.New("damaged Parquet: a row group has not the columns of the schema")
		}
		rows += g.NumRows
	}
	if rows != md.NumRows {
		return nil, fmt.Errorf("damaged Parquet: %d rows in the footer, %d in its row groups", md.NumRows, rows)
	}
	return p, nil
}

// Metadata is the footer: the schema, and what the writer has said of the file.
func (f *File) Metadata() *metadata.FileMetaData { return f.md }

// BrokenTypes are the parts of the schema with a type that arrow does not know, or that does not fit them, and what it
// is, as in "a column of the logical type VARIANT". Metadata has them without it, so their values must not be read for
// what is stored.
func (f *File) BrokenTypes() map[schema.Node]string { return f.broken }

// NumRows is how many rows there are, in all row groups.
func (f *File) NumRows() int64 { return f.md.NumRows }

// NumGroups is how many row groups there are.
func (f *File) NumGroups() int { return len(f.md.RowGroups) }

// Group is a row group, from 0. It may have no rows, and then it often has no pages either.
func (f *File) Group(i int) *metadata.RowGroupMetaData { return f.md.RowGroup(i) }

// Column is a reader of a column of this file, which reads that many bytes ahead.
func (f *File) Column(d *schema.Column, readAhead int) *Column {
	return &Column{file: f, pages: pageReader{descr: d, shared: &f.shared, buffer: readAhead}}
}

// Close ends what the File has begun.
func (f *File) Close() { f.unpack.Close() }
