package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"runtime"
	"slices"
	"time"

	"github.com/xitongsys/parquet-go/common"
	parquetgo "github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/reader"
	"github.com/xitongsys/parquet-go/source"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

const (
	secondBatch = 1024 // values that the second reader decodes at a time
	// secondPatience is how long it may take for one batch, which normally takes a millisecond: some files make it hang.
	secondPatience = time.Minute
	storePatience  = 10 * time.Minute // with the attempts to read from a store
	// secondGroups is how many row groups the second reader reads, unless it reads all: with the 128 Ki rows of rollcall's
	// row groups, all of a file of up to a million rows.
	secondGroups = 8
)

// sampleGroups returns which of n row groups the second reader reads: the first, the last, and others between them at
// equal distances.
func sampleGroups(n int) []int {
	picked := min(n, secondGroups)
	groups := make([]int, picked)
	for i := range groups {
		groups[i] = i * (n - 1) / max(picked-1, 1)
	}
	return groups
}

// checkSecond reads a Parquet file again, column by column, with an implementation that has nothing in common with
// arrow. It compares the schema and the counts of all row groups, and the values of some, or of all if v is thorough:
// the second reader takes six times the time of the first. It trusts what it reads, so it gets only what arrow has read
// to the end.
func (v *verifier) checkSecond(l *located) {
	c := l.second
	if !l.read {
		c.Status, c.Detail = StatusSkipped, "the first cannot read the file to the end"
		return
	}
	paths := []string{l.Path}
	if l.File.isPartitioned() {
		paths = paths[:0]
		for i := range l.File.Partitioned.Files {
			paths = append(paths, partPath(l.Path, &l.File.Partitioned.Files[i]))
		}
	}
	var all, read int
	var values int64
	sampled := sampleGroups(len(paths)) // the files whose values are read, if there are more
	for i, path := range paths {
		most := secondGroups
		if len(paths) > secondGroups {
			most = 0
			if slices.Contains(sampled, i) {
				most = 1
			}
		}
		groups, picked, n, ok := v.readSecond(c, path, most)
		if !ok {
			return
		}
		all, read, values = all+groups, read+picked, values+n
	}
	c.Detail = fmt.Sprintf("arrow and xitongsys/parquet-go read the same %s values", text.Thousands(values))
	if read < all {
		c.Detail = fmt.Sprintf("arrow and xitongsys/parquet-go see the same %s, and read the same %s values in %d of them",
			text.Count(int64(all), "row group"), text.Thousands(values), read)
	}
}

// readSecond reads one file, and the values of some of its row groups, or of all if v is thorough. It returns how many
// row groups there are, of how many the values were read, and how many values these were; and false if that is a
// finding, or all was not read.
func (v *verifier) readSecond(c *Check, path string, most int) (groups, picked int, values int64, ok bool) {
	first, err := openParquet(v.files, path)
	if err != nil {
		c.fail(Unreadable, "%v", err)
		return 0, 0, 0, false
	}
	s := &second{check: c, first: first.(*parquetTable), path: path, inStore: v.files.InStore(path)}
	defer s.first.Close() //nolint:errcheck // only read
	f, err := v.files.Open(path)
	if err != nil {
		c.fail(Unreadable, "%v", err)
		return 0, 0, 0, false
	}
	defer f.Close() //nolint:errcheck // only read; and if the second reader hangs, its next read fails
	s.file = f
	if a, b, ok := s.similarColumns(); ok {
		c.Status, c.Detail = StatusSkipped, fmt.Sprintf("the second one cannot tell the columns %s and %s apart", show(a),
			show(b))
		return 0, 0, 0, false
	}
	if err := s.guard(s.open); err != nil {
		c.fail(Unreadable, "xitongsys/parquet-go: %v", err)
		return 0, 0, 0, false
	}
	groups = s.first.pq.NumGroups()
	sampled := sampleGroups(groups)
	sampled = sampled[:min(len(sampled), most)]
	if v.thorough {
		sampled = make([]int, groups)
		for i := range sampled {
			sampled[i] = i
		}
	}
	values, err = s.compareGroups(v.ctx, sampled)
	if err != nil {
		if v.ctx.Err() == nil {
			c.fail(Unreadable, "%v", err)
		}
		return 0, 0, 0, false
	}
	return groups, len(sampled), values, true
}

// second is the second reader of one file.
type second struct {
	check  *Check
	first  *parquetTable
	file   blob.File
	path   string
	r      *reader.ParquetReader
	groups []*parquetgo.RowGroup // as the second reader sees them
	values []any

	inStore bool
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
	patience := secondPatience
	if s.inStore {
		patience = storePatience
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return fmt.Errorf("it hangs: it took more than %s", patience)
	}
}

func (s *second) open() error {
	var err error
	s.r, err = reader.NewParquetColumnReader(&sectionFile{io.NewSectionReader(s.file, 0, s.file.Size())}, 1)
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
	s.groups = s.r.Footer.RowGroups
	return s.checkGroups()
}

// checkGroups compares the schema and the counts of all row groups.
func (s *second) checkGroups() error {
	if got, want := len(s.groups), s.first.pq.NumGroups(); got != want {
		return fmt.Errorf("it sees %d row groups, arrow %d", got, want)
	}
	for g, group := range s.groups {
		first := s.first.pq.Group(g)
		if got, want := group.NumRows, first.NumRows(); got != want {
			return fmt.Errorf("row group %d: it sees %d rows, arrow %d", g+1, got, want)
		}
		if got, want := len(group.Columns), len(s.first.cols); got != want {
			return fmt.Errorf("row group %d: it sees %d columns, arrow %d", g+1, got, want)
		}
		for i, c := range group.Columns {
			md, err := first.ColumnChunk(i)
			if err != nil {
				return err
			}
			name := show(s.first.cols[i].name)
			path := append([]string{s.r.SchemaHandler.GetRootInName()}, c.MetaData.PathInSchema...)
			if common.PathToStr(path) != s.r.SchemaHandler.ValueColumns[i] || int(c.MetaData.Type) != int(md.Type()) {
				return fmt.Errorf("row group %d: it does not see the column %s as arrow does", g+1, name)
			}
			if got, want := c.MetaData.NumValues, md.NumValues(); got != want || want != group.NumRows {
				return fmt.Errorf("row group %d, column %s: it sees %d values in %d rows, arrow %d", g+1, name, got,
					group.NumRows, want)
			}
		}
	}
	return nil
}

// compareGroups compares the values of the row groups, and returns how many there are.
func (s *second) compareGroups(ctx context.Context, groups []int) (values int64, err error) {
	starts, rows := make([]int64, len(s.groups)), int64(0)
	for g, group := range s.groups {
		starts[g] = rows
		rows += group.NumRows
	}
	for i, c := range s.first.cols {
		for _, g := range groups {
			if err := s.compareColumn(ctx, i, g, starts[g]); err != nil {
				return values, fmt.Errorf("column %s: %w", show(c.name), err)
			}
			values += s.groups[g].NumRows
		}
	}
	return values, nil
}

// compareColumn compares one column in a row group, which begins after that many records.
func (s *second) compareColumn(ctx context.Context, i, group int, start int64) error {
	wanted := make([]bool, len(s.first.cols))
	wanted[i] = true
	s.first.rewind(wanted, group)
	s.r.Footer.RowGroups = s.groups[group : group+1]
	rows := s.groups[group].NumRows
	for at := int64(0); at < rows; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := min(secondBatch, rows-at)
		err := s.guard(func() (err error) {
			s.values, _, _, err = s.r.ReadColumnByIndex(int64(i), n)
			return err
		})
		if err == nil && int64(len(s.values)) != n {
			err = fmt.Errorf("row group %d ends after %d of %d values", group+1, at+int64(len(s.values)), rows)
		}
		if err != nil {
			return fmt.Errorf("xitongsys/parquet-go: %w", err)
		}
		for j := range s.values {
			row, err := s.first.next()
			if err != nil {
				return err
			}
			at++
			if !s.first.leafs[i].sameSecond(&row[i], s.values[j]) {
				s.check.fail(Differing, "record %d, column %s: the two read different values", start+at, show(s.first.cols[i].name))
			}
		}
	}
	delete(s.r.ColumnBuffers, s.r.SchemaHandler.ValueColumns[i]) // one column in memory at a time
	return nil
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
