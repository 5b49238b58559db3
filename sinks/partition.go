package sinks

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// Partitioning says how an output is divided into files.
type Partitioning struct {
	// By are columns of the output, outermost first: each of their values has a directory, and the files in it lack them.
	By []string

	// RowsPerFile is how many rows a file has at most. 0: any number. The rows that a user has in a partition are in one
	// file, even if they are more.
	RowsPerFile int64
}

// Enabled reports whether an output is divided at all.
func (p *Partitioning) Enabled() bool { return len(p.By) > 0 || p.RowsPerFile > 0 }

// The bounds of partitions: of the memory that they take, and of how many files readers of a directory open.
const (
	MaxPartitions    = 10_000
	MaxPartitionName = 255 // bytes of a directory's name, on most file systems
	maxFiles         = 20_000
	maxPartitionBy   = 8
)

// Check refuses columns by which outputs of this Spec cannot be divided.
func (p *Partitioning) Check(spec *Spec) error {
	t, err := spec.newAssignmentsTable()
	if err != nil {
		return err
	}
	_, err = p.findColumns(t)
	return err
}

// findColumns returns the indices of the columns.
func (p *Partitioning) findColumns(t *table) ([]int, error) {
	var found []int
	if p.RowsPerFile < 0 {
		return nil, fmt.Errorf("%d rows for a file: it is at least 1", p.RowsPerFile)
	}
	if len(p.By) > maxPartitionBy {
		return nil, fmt.Errorf("%d columns to partition by: the most are %d", len(p.By), maxPartitionBy)
	}
	for _, name := range p.By {
		i := slices.IndexFunc(t.columns, func(c column) bool { return c.name == name })
		switch {
		case i < 0 || !isPartitionable(&t.columns[i], i):
			err := fmt.Errorf("the outputs cannot be partitioned by %q", name)
			var names []string
			for i := range t.columns {
				if isPartitionable(&t.columns[i], i) {
					names = append(names, t.columns[i].name)
				}
			}
			hint := "the columns are " + strings.Join(names, ", ")
			if i < 0 {
				hint += "; --carry adds columns of the input"
			}
			return nil, pipeline.WithHint(err, hint)
		case slices.Contains(found, i):
			return nil, fmt.Errorf("partition by %q: the column is duplicated", name)
		case strings.HasPrefix(name, "_") || strings.HasPrefix(name, "."):
			return nil, fmt.Errorf("partition by %q: readers skip directories that begin with %q", name, name[:1])
		}
		found = append(found, i)
	}
	return found, nil
}

// isPartitionable reports whether the column may be one to partition by. The row number is what puts the rows of all
// files in order again. Floats and times have as many values as rows, and the JSON of a payload makes no name.
func isPartitionable(c *column, index int) bool {
	switch c.typ {
	case pipeline.TypeString, pipeline.TypeInt, pipeline.TypeBool, pipeline.TypeDate, pipeline.TypeDecimal:
		return index != rowNumber
	}
	return false
}

// Partitioned is an output that is several files in a directory and in directories below it: out/part.parquet by country
// is out/country=DE/part-00000.parquet and so on. It is used from one goroutine.
//
// The files are written by Close, one after the other, so that each is encoded as a whole however many there are. Until
// then the rows are kept in compressed blocks, on disk if they are more than memory should hold (partitionspill.go).
// Without columns to partition by, the files are written as the rows come. In both cases the files depend only on the
// outcomes and their order.
//
// On disk all temporary files are in the directory of the output, with the names that its own would have.
type Partitioned struct {
	ctx    context.Context
	info   Info
	spec   Spec
	parts  Partitioning
	whole  *table // with the columns to partition by
	table  *table // of the files
	places []place
	block  block // of whole

	partitions map[string]*partition
	touched    []*partition // by the current outcome
	name       []byte       // of a directory
	spill      spill

	current *fileSeries    // without columns to partition by
	open    *Output        // the file that is being written
	files   []Info         // that are complete
	temps   []staging.File // of files

	err    error // the first; every later call returns it
	closed bool
}

// place is where the cell of a column is.
type place struct {
	column *column
	index  int // in block.shared, or if it varies in tuple.cells
}

// partition is the rows that have the same values in all columns to partition by.
type partition struct {
	dir         string // below the directory of the output, with slashes
	rows        spilled
	assignments []pipeline.Assignment // of the current outcome
}

// CreatePartitioned begins an output that is several files; its path names their directory, their format, and the
// beginning of their names. ctx ends Close. As with [Create] the caller publishes the files after Close, here those that
// Files returns, below the path: see [staging.Files.PublishBelow].
func CreatePartitioned(ctx context.Context, path string, spec Spec, parts Partitioning) (*Partitioned, error) {
	whole, err := spec.newAssignmentsTable()
	if err != nil {
		return nil, err
	}
	by, err := parts.findColumns(whole)
	if err != nil {
		return nil, err
	}
	format, err := Format(path)
	if err != nil {
		return nil, err
	}
	p := &Partitioned{ctx: ctx, info: Info{Path: path, Format: format}, spec: spec, parts: parts, whole: whole,
		table: whole.without(by), block: newBlock(len(whole.columns)), partitions: map[string]*partition{}}
	p.spill.path, p.spill.files = path, spec.Files
	for _, i := range by {
		at := place{&whole.columns[i], i}
		if at.column.varies {
			at.index = 0
			for _, c := range whole.columns[:i] {
				if c.varies {
					at.index++
				}
			}
		}
		p.places = append(p.places, at)
	}
	p.spec.shared = &shared{}
	if len(by) > 0 {
		return p, spec.Files.CheckWritable(path)
	}
	p.current = &fileSeries{p: p}
	return p, p.current.open()
}

// recordError keeps the first error and returns it.
func (p *Partitioned) recordError(err error) error {
	if err != nil && p.err == nil {
		p.err = err
	}
	return p.err
}

// Write adds the rows of the outcome, if it has any.
func (p *Partitioned) Write(o *pipeline.Outcome) error {
	switch {
	case p.err == nil && p.closed:
		return fmt.Errorf("write %s: the output is closed", p.info.Path)
	case p.err != nil:
		return p.err
	case p.current != nil:
		return p.recordError(p.current.write(o))
	}
	return p.recordError(p.divide(o))
}

// divide adds the rows of the outcome to their partitions.
func (p *Partitioned) divide(o *pipeline.Outcome) error {
	if err := p.whole.fill(o, &p.block); err != nil {
		return err
	}
	for i, row := range p.block.rows {
		part, err := p.findPartition(o, row)
		if err != nil {
			return err
		}
		if p.spec.Wide { // the row is the user
			return p.spill.add(&part.rows, o, o.Assignments, p.partitions)
		}
		if len(part.assignments) == 0 {
			p.touched = append(p.touched, part)
		}
		part.assignments = append(part.assignments, o.Assignments[i])
	}
	for _, part := range p.touched {
		if err := p.spill.add(&part.rows, o, part.assignments, p.partitions); err != nil {
			return err
		}
		clear(part.assignments) // which are parts of an answer
		part.assignments = part.assignments[:0]
	}
	p.touched = p.touched[:0]
	return nil
}

// findPartition returns the partition of a row of the block.
func (p *Partitioned) findPartition(o *pipeline.Outcome, row *tuple) (*partition, error) {
	p.name = p.name[:0]
	for i := range p.places {
		at := &p.places[i]
		cells := p.block.shared
		if at.column.varies {
			cells = row.cells
		}
		c := &cells[at.index]
		if i > 0 {
			p.name = append(p.name, '/')
		}
		before := len(p.name)
		p.name = pipeline.AppendPartition(p.name, at.column.name, c.partitionText(at.column))
		if n := len(p.name) - before; n > MaxPartitionName {
			return nil, pipeline.WithHint(fmt.Errorf("row %d: the value of %s takes %d bytes in the name of a directory, which "+
				"has %d at most", o.Row.Number, at.column.name, n, MaxPartitionName), "leave it out of --partition-by")
		}
	}
	if part, ok := p.partitions[string(p.name)]; ok {
		return part, nil
	}
	if len(p.partitions) == MaxPartitions {
		return nil, pipeline.WithHint(fmt.Errorf("row %d: there are more than %d partitions by %s", o.Row.Number, MaxPartitions,
			strings.Join(p.parts.By, ", ")), "partition by columns with fewer values")
	}
	part := &partition{dir: string(p.name)}
	p.partitions[part.dir] = part
	return part, nil
}

// partitionText returns the value as a directory's name has it; "" for null.
func (c *cell) partitionText(col *column) string {
	switch {
	case c.null:
		return ""
	case col.typ == pipeline.TypeInt:
		return strconv.FormatInt(c.num, 10)
	case col.typ == pipeline.TypeBool:
		return strconv.FormatBool(c.num != 0)
	}
	return c.text
}

// Close writes the files. They still have their temporary names afterwards. A second Close returns the same error.
func (p *Partitioned) Close() error {
	if p.closed {
		return p.err
	}
	p.closed = true
	if p.err == nil {
		p.recordError(p.writeFiles())
	}
	p.recordError(p.spill.close())
	if p.err == nil {
		p.summarize()
	}
	return p.err
}

func (p *Partitioned) writeFiles() error {
	if p.current != nil {
		return p.current.close()
	}
	var o pipeline.Outcome
	for _, dir := range slices.Sorted(maps.Keys(p.partitions)) {
		part := p.partitions[dir]
		files := &fileSeries{p: p, dir: dir}
		r := p.spill.read(&part.rows, len(p.spec.Carry))
		for n := 0; ; n++ {
			if n%1024 == 0 {
				if err := context.Cause(p.ctx); err != nil {
					return err
				}
			}
			ok, err := r.next(&o)
			if err == nil && ok {
				err = files.write(&o)
			}
			if err != nil {
				return err
			}
			if !ok {
				break
			}
		}
		if err := files.close(); err != nil {
			return err
		}
		delete(p.partitions, dir) // and its rows with it
	}
	return nil
}

// summarize makes the Info of all files together. Its checksum is that of a list of all files: a line for each, as
// sha256sum prints it, with the path below the directory of the output.
func (p *Partitioned) summarize() {
	list := sha256.New()
	for i := range p.files {
		f := &p.files[i]
		p.info.Rows += f.Rows
		p.info.Bytes += f.Bytes
		p.info.Formulas += f.Formulas
		p.info.LoneSurrogates += f.LoneSurrogates
		if n := f.FirstLoneSurrogate; n > 0 && (p.info.FirstLoneSurrogate == 0 || n < p.info.FirstLoneSurrogate) {
			p.info.FirstLoneSurrogate = n
		}
		fmt.Fprintf(list, "%s  %s\n", f.SHA256, f.Below)
	}
	p.info.SHA256 = hex.EncodeToString(list.Sum(nil))
}

// Info describes the whole output. It is complete after Close.
func (p *Partitioned) Info() Info { return p.info }

// Files describes the files of the output, in the order of their paths. It is complete after Close.
func (p *Partitioned) Files() []Info { return p.files }

// Discard removes all files, unless they were published. It may be called at any time and more than once.
func (p *Partitioned) Discard() error {
	p.closed = true
	p.recordError(errors.New("the output was discarded"))
	errs := []error{p.spill.close()}
	if p.open != nil {
		errs = append(errs, p.open.Discard())
		p.open = nil
	}
	for _, f := range p.temps {
		errs = append(errs, f.Remove())
	}
	p.files, p.temps, p.partitions = nil, nil, nil
	return errors.Join(errs...)
}

// shared is what files that are written one after the other use again: to make it takes longer than to write a small
// file.
type shared struct {
	encoder *encoder // nil: there was no file yet
	buffers buffers

	compressor compressor // nil: there was no compressed file yet

	pages   pageWriters  // of Parquet
	data    sync.Pool    // of *parquetData
	numbers atomic.Int64 // of parquetData
}

// fileSeries writes the files of one partition, one after the other.
type fileSeries struct {
	p    *Partitioned
	dir  string
	n    int // files begun
	rows int64
}

func (s *fileSeries) write(o *pipeline.Outcome) error {
	rows := int64(len(o.Assignments))
	if s.p.spec.Wide {
		rows = 1
	}
	if o.Err != nil {
		rows = 0
	}
	if most := s.p.parts.RowsPerFile; most > 0 && s.rows > 0 && s.rows+rows > most {
		if err := s.close(); err != nil {
			return err
		}
	}
	if s.p.open == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	s.rows += rows
	return s.p.open.Write(o)
}

// open begins the next file.
func (s *fileSeries) open() error {
	p := s.p
	below := path.Join(s.dir, PartName(staging.Base(p.info.Path), s.n))
	if len(p.files) == maxFiles {
		return pipeline.WithHint(fmt.Errorf("write %s: there are more than %d files", p.info.Path, maxFiles),
			"a higher --rows-per-file makes fewer")
	}
	f, err := p.spec.Files.CreateBelow(p.info.Path, below, 0o666) // as any new file, less the umask
	if err != nil {
		return err
	}
	info := Info{Path: staging.PathBelow(p.info.Path, below), Temp: f.Name(), Below: below, Format: p.info.Format}
	o, err := newOutput(f, info, p.table, &p.spec)
	o.file = f
	if err != nil {
		return errors.Join(err, o.Discard())
	}
	s.n++
	s.rows, p.open = 0, o
	return nil
}

// close completes the open file, if there is one.
func (s *fileSeries) close() error {
	p := s.p
	if p.open == nil {
		return nil
	}
	if err := p.open.Close(); err != nil {
		return err
	}
	own := p.open.own
	p.spec.shared.encoder = &own
	p.files, p.temps = append(p.files, p.open.Info()), append(p.temps, p.open.file)
	p.open, s.rows = nil, 0
	return nil
}

// PartName returns the name of the n-th file of a partition, from 0: part-00000.parquet.
func PartName(base string, n int) string {
	name := TrimFormat(base)
	return fmt.Sprintf("%s-%05d%s", name, n, base[len(name):])
}

// without returns the table without the columns that have these indices.
func (t *table) without(omitted []int) *table {
	if len(omitted) == 0 {
		return t
	}
	var kept, keptCells []int // columns; and of those that vary, the cells
	columns := []column{}
	cells := 0
	for i, c := range t.columns {
		if !slices.Contains(omitted, i) {
			kept, columns = append(kept, i), append(columns, c)
			if c.varies {
				keptCells = append(keptCells, cells)
			}
		}
		if c.varies {
			cells++
		}
	}
	return &table{columns, func(o *pipeline.Outcome, b *block) error {
		if b.whole == nil {
			whole := newBlock(len(t.columns))
			b.whole = &whole
		}
		if err := t.fill(o, b.whole); err != nil {
			return err
		}
		for i, from := range kept {
			b.shared[i] = b.whole.shared[from]
		}
		b.rows = b.rows[:0]
		for i, row := range b.whole.rows {
			b.rows = append(b.rows, b.project(i, row, keptCells))
		}
		return nil
	}}
}

// project returns a row of b.whole with some of its cells: the same tuple for the same kept one.
func (b *block) project(i int, row *tuple, cells []int) *tuple {
	if len(cells) == len(row.cells) {
		if len(cells) == 0 {
			return &b.only
		}
		return row
	}
	var t *tuple
	if row.kept {
		if t = b.projected[row]; t != nil {
			return t
		}
		if b.projected == nil || len(b.projected) > 2*maxTuples { // tuples of before are out of use
			b.projected = map[*tuple]*tuple{}
		}
		t = &tuple{kept: true, alone: row.alone}
		b.projected[row] = t
	} else {
		for i >= len(b.spare) {
			b.spare = append(b.spare, &tuple{})
		}
		t = b.spare[i]
		t.cells, t.alone = t.cells[:0], row.alone
	}
	for _, at := range cells {
		t.cells = append(t.cells, row.cells[at])
	}
	return t
}
