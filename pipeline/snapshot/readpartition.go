package snapshot

import (
	"bufio"
	"bytes"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

const (
	// mergedTables is how many files of an output are open at once. More partitions are first merged so many at a time,
	// into temporary files whose rows are then merged.
	mergedTables = 8
	mergedBatch  = 128       // rows of Parquet that are decoded at a time
	mergedAhead  = 256 << 10 // bytes of a Parquet file that are read ahead
	mergedBuffer = 16 << 10
)

// partitionedTable reads an output that is several files as if it were one: with the columns that only the directories
// have, and with the rows in their order, which is that of their numbers, and of a user's flags.
type partitionedTable struct {
	files  *blob.Files
	name   string // of the output
	format string
	cols   []column
	wanted []bool
	parts  []partition
	by     []int // of the columns of directories, their places among cols
	own    []int // of each column, its place in the files; -1-n: it is the n-th of by

	first   table    // of the first file, for what a file tells beside its rows; nil: there is none
	inFile  []column // that each file has
	escaped bool     // a ' before a formula is not part of a text
	flags   map[string]int
	sources sourceHeap
	current *mergeSource // whose row next has returned last
	temps   []*os.File
	begun   bool
	row     int64
}

// openPartitioned opens the files of an output that the manifest lists.
func openPartitioned(files *blob.Files, path string, listed *Partitioned, m *Manifest) (table, error) {
	format, _, ok := formatOf(path)
	if !ok || m == nil {
		return nil, fmt.Errorf("%s: not the name of an output", path)
	}
	t := &partitionedTable{files: files, name: path, format: format, flags: map[string]int{}}
	var err error
	if t.parts, err = listed.partitions(path); err != nil {
		return nil, err
	}
	t.escaped = m.Layout.EscapeFormulas && (format == "csv" || format == "tsv")
	for i, flag := range m.Layout.Flags {
		t.flags[flag] = i
	}
	for i, c := range m.Layout.Columns {
		t.cols = append(t.cols, column{name: c.Name, typ: parseType(c.Type), typed: format == "parquet", required: c.Required})
		if slices.Contains(listed.By, c.Name) {
			t.by = append(t.by, i)
		}
	}
	if len(t.by) != len(listed.By) {
		return nil, fmt.Errorf("%s: the manifest does not list the columns of the partitions", path)
	}
	slices.SortFunc(t.by, func(a, b int) int {
		return slices.Index(listed.By, t.cols[a].name) - slices.Index(listed.By, t.cols[b].name)
	})
	t.own = make([]int, len(t.cols))
	for i, at := 0, 0; i < len(t.cols); i++ {
		if n := slices.Index(t.by, i); n >= 0 {
			t.own[i] = -1 - n
		} else {
			t.own[i] = at
			at++
		}
	}
	for _, p := range t.parts {
		for i := range p.values {
			if err := t.convert(&p.values[i], &t.cols[t.by[i]]); err != nil {
				return nil, fmt.Errorf("%s: the manifest lists %s: %w", path, show(p.files[0].Path), err)
			}
		}
	}
	if len(t.parts) == 0 {
		return t, nil
	}
	if t.first, err = openTable(files, partPath(path, &t.parts[0].files[0])); err != nil {
		return nil, err
	}
	own := t.first.columns()
	if len(own) == 0 && len(t.by) == 0 { // JSONL without rows
		t.cols = nil
		return t, nil
	}
	if len(own)+len(t.by) != len(t.cols) {
		return nil, errors.Join(fmt.Errorf("%s has %d columns, want %d", partPath(path, &t.parts[0].files[0]), len(own),
			len(t.cols)-len(t.by)), t.Close())
	}
	t.inFile = slices.Clone(own)
	for i, at := range t.own {
		if at >= 0 {
			t.cols[i] = own[at]
		}
	}
	return t, nil
}

// parseType is the type that a manifest names.
func parseType(name string) pipeline.Type {
	for _, t := range []pipeline.Type{pipeline.TypeInt, pipeline.TypeFloat, pipeline.TypeBool, pipeline.TypeDate,
		pipeline.TypeTimestamp, pipeline.TypeJSON, pipeline.TypeDecimal} {
		if t.String() == name {
			return t
		}
	}
	return pipeline.TypeString
}

// convert makes of the text of a directory the value that a file of this format would have.
func (t *partitionedTable) convert(v *Value, c *column) error {
	text := string(v.Text)
	if v.Kind == pipeline.Null {
		if t.format == "jsonl" {
			v.json = []byte("null")
		}
		return nil
	}
	number, err := int64(0), error(nil)
	switch c.typ {
	case pipeline.TypeInt:
		number, err = strconv.ParseInt(text, 10, 64)
	case pipeline.TypeBool:
		var b bool
		if b, err = strconv.ParseBool(text); b {
			number = 1
		}
	case pipeline.TypeDate:
		var day time.Time
		day, err = time.Parse(time.DateOnly, text)
		number = day.Unix() / 86400
	}
	if err != nil {
		return fmt.Errorf("column %s: %s is not of the type %s", show(c.name), show(text), c.typ)
	}
	switch {
	case t.format == "csv" || t.format == "tsv":
		if quoted := append([]byte("'"), text...); t.escaped && len(unescapeFormula(quoted)) < len(quoted) {
			v.Text = quoted // of which the Reader takes it away
		}
	case t.format == "jsonl":
		switch c.typ {
		case pipeline.TypeInt:
			v.Kind, v.json = pipeline.Number, v.Text
		case pipeline.TypeBool:
			v.Kind, v.Num, v.json = pipeline.Bool, number, v.Text
		default:
			v.json = pipeline.AppendJSONString(nil, text)
		}
	case c.typ == pipeline.TypeInt:
		*v = Value{Kind: pipeline.Int, Num: number}
	case c.typ == pipeline.TypeBool:
		*v = Value{Kind: pipeline.Bool, Num: number}
	case c.typ == pipeline.TypeDate:
		*v = Value{Kind: pipeline.Date, Num: number}
	}
	return nil
}

// firstOf returns the table of the first file of an output, or of its only one.
func firstOf(t table) table {
	if p, ok := t.(*partitionedTable); ok {
		return p.first
	}
	return t
}

// parquetOf returns the table of the first file if that is Parquet, or nil.
func parquetOf(t table) *parquetTable {
	p, _ := firstOf(t).(*parquetTable)
	return p
}

func (t *partitionedTable) columns() []column { return t.cols }

func (t *partitionedTable) selectColumns(columns []bool) { t.wanted = columns }

func (t *partitionedTable) position() string { return fmt.Sprintf("record %d", t.row) }

func (t *partitionedTable) next() ([]Value, error) {
	if !t.begun {
		t.begun = true
		if err := t.begin(); err != nil {
			return nil, err
		}
	}
	if s := t.current; s != nil {
		t.current = nil
		if err := t.sources.advance(s); err != nil {
			return nil, err
		}
	}
	if len(t.sources.all) == 0 {
		return nil, io.EOF
	}
	t.current = t.sources.all[0]
	t.row++
	return t.current.row, nil
}

// begin makes the sources of the rows: a partition is one, or, if they are many, so many of them are.
func (t *partitionedTable) begin() error {
	if t.first != nil {
		if err := t.first.Close(); err != nil {
			return err
		}
	}
	var all []rowSource
	for i := range t.parts {
		all = append(all, &partitionRows{t: t, part: &t.parts[i]})
	}
	if len(all) > mergedTables {
		var merged []rowSource
		for some := range slices.Chunk(all, mergedTables) {
			m, err := t.mergeToFile(some)
			if err != nil {
				return err
			}
			merged = append(merged, m)
		}
		all = merged
	}
	return t.sources.start(t, all)
}

// mergeToFile merges rows into a temporary file, which has no name any more when it returns.
func (t *partitionedTable) mergeToFile(some []rowSource) (_ rowSource, err error) {
	f, err := os.CreateTemp("", "rollcall-partitions-*")
	if err != nil {
		return nil, pipeline.WithHint(fmt.Errorf("%s: %w", t.name, err),
			"the rows of many partitions are put in order in a temporary file; TMPDIR says where it is")
	}
	t.temps = append(t.temps, f)
	_ = os.Remove(f.Name()) // Windows cannot yet
	var h sourceHeap
	defer func() { err = errors.Join(err, h.close()) }()
	if err := h.start(t, some); err != nil {
		return nil, err
	}
	w := bufio.NewWriterSize(f, 256<<10)
	var buf []byte
	for len(h.all) > 0 {
		buf = t.appendRow(buf[:0], h.all[0].row)
		_, err := w.Write(binary.AppendUvarint(nil, uint64(len(buf))))
		if err == nil {
			_, err = w.Write(buf)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: write a temporary file: %w", t.name, err)
		}
		if err := h.advance(h.all[0]); err != nil {
			return nil, err
		}
	}
	if err := w.Flush(); err != nil {
		return nil, fmt.Errorf("%s: write a temporary file: %w", t.name, err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	return &fileRows{t: t, r: bufio.NewReaderSize(f, mergedBuffer), row: make([]Value, len(t.cols))}, nil
}

// Close closes what is open.
func (t *partitionedTable) Close() error {
	errs := []error{t.sources.close()}
	if t.first != nil && !t.begun {
		errs = append(errs, t.first.Close())
	}
	for _, f := range t.temps {
		f.Close()               // it has no name
		_ = os.Remove(f.Name()) // on Windows it has
	}
	t.temps = nil
	return errors.Join(errs...)
}

// rowSource has rows in their order, with all columns. The cells of a row are valid until the next call.
type rowSource interface {
	next() ([]Value, error) // io.EOF after the last
	Close() error
}

// partitionRows is the rows of one partition, of one file after the other.
type partitionRows struct {
	t     *partitionedTable
	part  *partition
	begun int // files
	open  table
	row   []Value
}

func (p *partitionRows) next() ([]Value, error) {
	for {
		if p.open == nil {
			if p.begun == len(p.part.files) {
				return nil, io.EOF
			}
			if err := p.openNext(); err != nil {
				return nil, err
			}
		}
		cells, err := p.open.next()
		if err == io.EOF {
			err = p.Close()
			if err == nil {
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		for i, at := range p.t.own {
			if at < 0 {
				p.row[i] = p.part.values[-1-at]
			} else {
				p.row[i] = cells[at]
			}
		}
		return p.row, nil
	}
}

func (p *partitionRows) openNext() error {
	name := partPath(p.t.name, &p.part.files[p.begun])
	p.begun++
	var open table
	var err error
	if p.t.format == "parquet" {
		open, err = openParquetWith(p.t.files, name, mergedBatch, mergedAhead)
	} else {
		open, err = openTable(p.t.files, name)
	}
	if err != nil {
		return err
	}
	p.open = open
	own := open.columns()
	if len(own) == 0 { // JSONL without rows
		return nil
	}
	if p.row == nil {
		p.row = make([]Value, len(p.t.cols))
	}
	var wanted []bool
	same := len(own) == len(p.t.cols)-len(p.t.by)
	for i, at := range p.t.own {
		if same && at >= 0 {
			same = own[at] == p.t.inFile[at]
			wanted = append(wanted, p.t.wanted == nil || p.t.wanted[i])
		}
	}
	if !same {
		return fmt.Errorf("%s: its columns are not those of %s", name, partPath(p.t.name, &p.t.parts[0].files[0]))
	}
	open.selectColumns(wanted)
	return nil
}

func (p *partitionRows) Close() error {
	if p.open == nil {
		return nil
	}
	err := p.open.Close()
	p.open = nil
	return err
}

// mergeSource is a source whose next row is known.
type mergeSource struct {
	rows   rowSource
	row    []Value
	number int64
	rank   int    // of the row's flag among those asked for; -1: it is none of them
	flag   []byte // of the row, if the layout is long
	place  int    // among the sources
}

// sourceHeap has the source of the next row at the root.
type sourceHeap struct {
	t   *partitionedTable
	all []*mergeSource
}

func (h *sourceHeap) start(t *partitionedTable, all []rowSource) error {
	h.t = t
	for i, rows := range all {
		s := &mergeSource{rows: rows, place: i}
		ok, err := s.read(t)
		if ok {
			h.all = append(h.all, s)
		} else {
			err = errors.Join(err, rows.Close())
		}
		if err != nil {
			return err
		}
	}
	heap.Init(h)
	return nil
}

// advance reads the next row of the source at the root.
func (h *sourceHeap) advance(s *mergeSource) error {
	ok, err := s.read(h.t)
	if err != nil {
		return err
	}
	if ok {
		heap.Fix(h, 0)
		return nil
	}
	heap.Pop(h)
	return s.rows.Close()
}

func (h *sourceHeap) close() error {
	var errs []error
	for _, s := range h.all {
		errs = append(errs, s.rows.Close())
	}
	h.all = nil
	return errors.Join(errs...)
}

// read reads the next row, and what it is ordered by.
func (s *mergeSource) read(t *partitionedTable) (bool, error) {
	var err error
	if s.row, err = s.rows.next(); err != nil {
		if err == io.EOF {
			err = nil
		}
		return false, err
	}
	v := &s.row[colRow]
	if s.number = v.Num; v.Kind != pipeline.Int {
		s.number, _ = parseInt(v.Text) // what is no number is an error of the Reader
	}
	s.flag, s.rank = nil, -1
	if len(t.cols) > colFlag && t.cols[colFlag].name == longNames[colFlag] && len(t.cols) > colOutcome &&
		t.cols[colOutcome].name == longNames[colOutcome] {
		if s.flag = s.row[colFlag].Text; t.escaped {
			s.flag = unescapeFormula(s.flag)
		}
		if rank, ok := t.flags[string(s.flag)]; ok {
			s.rank = rank
		}
	}
	return true, nil
}

// Len implements [heap.Interface].
func (h *sourceHeap) Len() int { return len(h.all) }

// Less implements [heap.Interface].
func (h *sourceHeap) Less(i, j int) bool {
	a, b := h.all[i], h.all[j]
	if a.number != b.number {
		return a.number < b.number
	}
	if a.rank != b.rank {
		return a.rank < b.rank
	}
	if n := bytes.Compare(a.flag, b.flag); n != 0 {
		return n < 0
	}
	return a.place < b.place
}

// Swap implements [heap.Interface].
func (h *sourceHeap) Swap(i, j int) { h.all[i], h.all[j] = h.all[j], h.all[i] }

// Push implements [heap.Interface].
func (h *sourceHeap) Push(s any) { h.all = append(h.all, s.(*mergeSource)) }

// Pop implements [heap.Interface].
func (h *sourceHeap) Pop() any {
	last := h.all[len(h.all)-1]
	h.all = h.all[:len(h.all)-1]
	return last
}

// appendRow appends the cells of a row that somebody wants, as fileRows reads them.
func (t *partitionedTable) appendRow(dst []byte, row []Value) []byte {
	for i := range row {
		if t.wanted != nil && !t.wanted[i] {
			continue
		}
		v := &row[i]
		dst = append(dst, byte(v.Kind))
		if v.Kind == pipeline.Null {
			continue
		}
		dst = binary.AppendVarint(dst, v.Num)
		dst = append(binary.AppendUvarint(dst, uint64(len(v.Text))), v.Text...)
		json := v.json
		if v.Kind != pipeline.String {
			json = nil // it is the text
		}
		dst = append(binary.AppendUvarint(dst, uint64(len(json))), json...)
	}
	return dst
}

// fileRows is the rows in a temporary file.
type fileRows struct {
	t   *partitionedTable
	r   *bufio.Reader
	buf []byte
	row []Value
}

func (f *fileRows) next() ([]Value, error) {
	n, err := binary.ReadUvarint(f.r)
	if err != nil {
		return nil, err // io.EOF after the last
	}
	f.buf = slices.Grow(f.buf[:0], int(n))[:n]
	if _, err := io.ReadFull(f.r, f.buf); err != nil {
		return nil, fmt.Errorf("%s: read a temporary file: %w", f.t.name, err)
	}
	rest := f.buf
	text := func() []byte {
		n, size := binary.Uvarint(rest)
		s := rest[size : size+int(n) : size+int(n)]
		rest = rest[size+int(n):]
		return s
	}
	for i := range f.row {
		v := &f.row[i]
		*v = Value{}
		if f.t.wanted != nil && !f.t.wanted[i] {
			continue
		}
		v.Kind, rest = pipeline.ValueKind(rest[0]), rest[1:]
		if v.Kind == pipeline.Null {
			continue
		}
		num, size := binary.Varint(rest)
		v.Num, rest = num, rest[size:]
		v.Text = text()
		if json := text(); len(json) > 0 {
			v.json = json
		} else if f.t.format == "jsonl" {
			v.json = v.Text
		}
	}
	return f.row, nil
}

func (f *fileRows) Close() error { return nil } // the table has the file
