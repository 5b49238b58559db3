package snapshot

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"runtime"
	"time"

	"github.com/xitongsys/parquet-go/common"
	"github.com/xitongsys/parquet-go/reader"
	"github.com/xitongsys/parquet-go/source"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

const (
	secondBatch = 1024 // values that the second reader decodes at a time
	// secondPatience is how long it may take for one batch, which normally takes a millisecond: some files make it hang.
	secondPatience = time.Minute
)

// checkSecond reads a Parquet file again, column by column, with an implementation that has nothing in common with
// arrow, and compares the values. The second reader trusts what it reads, so it gets only what arrow has read to the
// end.
func (v *verifier) checkSecond(l *located) {
	c := l.second
	if !l.read {
		c.Status, c.Detail = StatusSkipped, "the first cannot read the file to the end"
		return
	}
	first, err := openParquet(l.Path)
	if err != nil {
		c.fail("%v", err)
		return
	}
	s := &second{check: c, first: first.(*parquetTable), path: l.Path}
	defer s.first.Close() //nolint:errcheck // only read
	f, err := OpenOutput(l.Path)
	if err != nil {
		c.fail("%v", err)
		return
	}
	defer f.Close() //nolint:errcheck // only read; and if the second reader hangs, its next read fails
	s.file = f
	if a, b, ok := s.similarColumns(); ok {
		c.Status, c.Detail = StatusSkipped, fmt.Sprintf("the second one cannot tell the columns %s and %s apart", show(a),
			show(b))
		return
	}
	var values int64
	if err := s.guard(s.open); err != nil {
		c.fail("xitongsys/parquet-go: %v", err)
		return
	}
	for i := range s.first.cols {
		n, err := s.compareColumn(v, i)
		if err != nil {
			if v.ctx.Err() == nil {
				c.fail("column %s: %v", show(s.first.cols[i].name), err)
			}
			return
		}
		values += n
	}
	c.Detail = fmt.Sprintf("arrow and xitongsys/parquet-go read the same %s values", text.Thousands(values))
}

// second is the second reader of one file.
type second struct {
	check  *Check
	first  *parquetTable
	file   *os.File
	path   string
	r      *reader.ParquetReader
	values []any
}

// similarColumns are two columns whose names are the same to the second reader.
func (s *second) similarColumns() (a, b string, ok bool) {
	seen := map[string]string{}
	for _, c := range s.first.cols {
		name := common.StringToVariableName(c.name)
		if other, taken := seen[name]; taken {
			return other, c.name, true
		}
		seen[name] = c.name
	}
	return "", "", false
}

// panicked is the error of a panic of the second reader. The text of a runtime error would help nobody who has the
// file.
func panicked(p any) error {
	if _, ok := p.(runtime.Error); ok {
		return errors.New("it panics")
	}
	return fmt.Errorf("it panics: %v", p)
}

// guard runs f, which uses the second reader. It returns an error if f panics, or hangs: its goroutine stays then.
func (s *second) guard(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				done <- panicked(p)
			}
		}()
		done <- f()
	}()
	timer := time.NewTimer(secondPatience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("it hangs: it took more than %s", secondPatience)
	}
}

func (s *second) open() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.r, err = reader.NewParquetColumnReader(&sectionFile{io.NewSectionReader(s.file, 0, info.Size())}, 1)
	if err != nil {
		return err
	}
	if got, want := len(s.r.SchemaHandler.ValueColumns), len(s.first.cols); got != want {
		return fmt.Errorf("it sees %d columns, arrow %d", got, want)
	}
	for i, c := range s.first.cols {
		if got := s.r.SchemaHandler.GetExName(i + 1); got != c.name {
			return fmt.Errorf("it sees the column %s where arrow sees %s", show(got), show(c.name))
		}
	}
	if got, want := s.r.GetNumRows(), s.first.pq.NumRows(); got != want {
		return fmt.Errorf("it sees %d rows, arrow %d", got, want)
	}
	return nil
}

// compareColumn compares one column, and returns how many values it has.
func (s *second) compareColumn(v *verifier, i int) (int64, error) {
	wanted := make([]bool, len(s.first.cols))
	wanted[i] = true
	s.first.rewind(wanted)
	rows := s.first.pq.NumRows()
	for at := int64(0); at < rows; {
		if err := v.ctx.Err(); err != nil {
			return at, err
		}
		n := min(secondBatch, rows-at)
		err := s.guard(func() (err error) {
			s.values, _, _, err = s.r.ReadColumnByIndex(int64(i), n)
			return err
		})
		if err == nil && int64(len(s.values)) != n {
			err = fmt.Errorf("it ends after %d of %d values", at+int64(len(s.values)), rows)
		}
		if err != nil {
			return at, fmt.Errorf("xitongsys/parquet-go: %w", err)
		}
		for j := range s.values {
			row, err := s.first.next()
			if err != nil {
				return at, err
			}
			at++
			if !s.first.leafs[i].sameSecond(&row[i], s.values[j]) {
				s.check.fail("record %d, column %s: the two read different values", at, show(s.first.cols[i].name))
			}
		}
	}
	delete(s.r.ColumnBuffers, s.r.SchemaHandler.ValueColumns[i]) // one column in memory at a time
	return rows, nil
}

// sameSecond compares a value with that of the second reader.
func (l *leafReader) sameSecond(v *Value, got any) bool {
	decimal := func(n *big.Int) string { return string(pipeline.AppendDecimal(nil, n, int(l.decimal.Scale()))) }
	if n, ok := got.(int32); ok {
		got = int64(n)
	}
	switch got := got.(type) {
	case nil:
		return v.Kind == pipeline.Null
	case string:
		if l.decimal != nil {
			got = decimal(pipeline.TwosComplement([]byte(got)))
		}
		return v.Kind == pipeline.String && string(v.Text) == got
	case int64:
		switch v.Kind {
		case pipeline.String:
			return l.decimal != nil && string(v.Text) == decimal(big.NewInt(got))
		case pipeline.Timestamp: // milliseconds or microseconds
			return v.Num == got || v.Num == got*1000
		}
		return (v.Kind == pipeline.Date || v.Kind == pipeline.Int) && v.Num == got
	case float64:
		return v.Kind == pipeline.Float && v.Num == int64(math.Float64bits(got))
	case bool:
		return v.Kind == pipeline.Bool && (v.Num != 0) == got
	}
	return false
}

// sectionFile is the file for the second reader. It opens no other file, whatever the Parquet file refers to, and its
// columns share one descriptor.
type sectionFile struct{ *io.SectionReader }

func (f *sectionFile) Open(name string) (source.ParquetFile, error) {
	if name != "" {
		return nil, errors.New("it refers to another file")
	}
	return &sectionFile{io.NewSectionReader(f.SectionReader, 0, f.Size())}, nil
}

func (f *sectionFile) Create(string) (source.ParquetFile, error) { return nil, errors.ErrUnsupported }
func (f *sectionFile) Write([]byte) (int, error)                 { return 0, errors.ErrUnsupported }
func (f *sectionFile) Close() error                              { return nil }
