package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

// Part is some consecutive rows of a file. It begins and ends between two records.
type Part struct {
	File int   `json:"file"` // its index in the input
	From int64 `json:"from"` // the first byte
	To   int64 `json:"to"`   // the byte after the last one; -1 is the end of the file, whatever its size is

	Line   int64 `json:"line,omitempty"`   // of the first byte of text, if From is not 0
	Group  int   `json:"group,omitempty"`  // the first row group of Parquet, from 0
	Groups int   `json:"groups,omitempty"` // how many of them there are

	Row  int64 `json:"row"`  // how many rows of the input are before it
	Rows int64 `json:"rows"` // how many it has

	SHA256 string `json:"sha256,omitempty"` // of its bytes, in hex
}

func (p *Part) end() int64 {
	if p.To < 0 {
		return noEnd
	}
	return p.To
}

// selectPart makes the reader of the file return the rows of the part alone.
func (f File) selectPart(r reader, part *Part) error {
	if p, ok := r.(*parquetReader); ok {
		if part.Group < 0 || part.Groups < 0 || part.Group+part.Groups > p.pq.NumGroups() {
			return newPartError(f)
		}
		p.group, p.end = part.Group, part.Group+part.Groups
		p.close.(*pass).selectPart(part)
		return nil
	}
	var l *lines
	switch r := r.(type) {
	case *csvReader:
		l = r.lines
	case *jsonlReader:
		l = r.lines
	default:
		return errPartOfRecords(f)
	}
	if part.From > 0 {
		file, ok := l.r.(*pass)
		if !ok {
			return newPartError(f) // it is compressed
		}
		file.selectPart(part)
		l.jump(file, part.From, part.Line)
	}
	l.until = part.end()
	return nil
}

func newPartError(f File) error {
	return pipeline.WithHint(fmt.Errorf("%s is not the file that was divided", f), "plan its shards again")
}

func errPartOfRecords(f File) error {
	return pipeline.WithHint(fmt.Errorf("%s holds error records, which cannot be divided: their rows have the numbers of "+
		"their run", f), "ask about them in one run, without shards")
}

// Divide divides the rows of the files, which must be pinned, into n parts of the input: consecutive rows with about the
// same number of bytes. A part has parts of files; one without rows has none of a file. The parts of files of text begin
// where [Input] begins a record that can be read by itself, and those of Parquet with a row group. A compressed file is
// not divided. The same files are always divided in the same way.
//
// With only > 0 it reads no further than the end of that part, from 1, and returns no other. Else it returns all, with
// the hashes of the parts and of the files.
func Divide(ctx context.Context, files []File, opts Options, n, only int) (*Division, error) {
	d := &divider{ctx: ctx, files: files, opts: opts, n: n}
	for _, f := range files {
		size, err := f.Size()
		if err != nil {
			return nil, err
		}
		d.sizes = append(d.sizes, size)
		d.total += size
	}
	last := n // the cut after which nothing matters
	if only > 0 {
		last = only
	}
	for i := 0; i < len(files) && len(d.cuts) <= last; i++ {
		if err := d.divideFile(i, last); err != nil {
			return nil, err
		}
		if only > 0 {
			continue
		}
		sum, err := files[i].finishPass()
		if err != nil {
			return nil, err
		}
		d.sums = append(d.sums, sum)
	}
	for len(d.cuts) <= last {
		d.cuts = append(d.cuts, cut{file: len(files), row: d.row})
	}
	parts := make([][]Part, n)
	for k := range parts {
		if only == 0 || k == only-1 {
			parts[k] = d.partsBetween(d.cuts[k], d.cuts[k+1])
		}
	}
	division := &Division{Parts: parts, Sums: d.sums, Rows: d.row}
	if only > 0 {
		return division, nil
	}
	return division, d.hashParts(parts)
}

// Division is an input that is divided.
type Division struct {
	Parts [][]Part // each the parts of files that it has
	Sums  []Sum    // of the files
	Rows  int64
}

// cut is where a part of the input begins, and the one before it ends.
type cut struct {
	file  int
	place place
	group int
	row   int64
}

type divider struct {
	ctx   context.Context
	files []File
	opts  Options
	n     int
	sizes []int64
	total int64 // of sizes

	before int64   // bytes of the files before the current one
	row    int64   // rows so far
	begins []int64 // the rows before each file
	cuts   []cut   // so far
	groups []int   // of Parquet files
	sums   []Sum
}

// Size returns the size of a pinned file.
func (f File) Size() (int64, error) {
	if f.Object != nil {
		return f.Object.Size(), nil
	}
	if f.pin.held == nil {
		return f.pin.info.Size(), nil
	}
	info, err := f.pin.held.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Version tells one version of a pinned file from others: that of an object in its store, or when a local file was last
// written to.
func (f File) Version() string {
	if f.Object != nil {
		return f.Object.Attrs().Version
	}
	if f.pin.info == nil {
		return ""
	}
	return f.pin.info.ModTime().UTC().Format(time.RFC3339Nano)
}

// cutHere makes as many cuts as are due.
func (d *divider) cutHere(c cut) {
	for len(d.cuts) <= d.n && d.before+c.place.offset >= d.target(len(d.cuts)) {
		d.cuts = append(d.cuts, c)
	}
}

// target is about where the k-th part begins.
func (d *divider) target(k int) int64 {
	if k == d.n {
		return noEnd // at the end, also of what comes later
	}
	return sampleOffset(d.total, k, d.n)
}

// sampleOffset is ⌊total·k/n⌋ without overflow.
func sampleOffset(total int64, k, n int) int64 {
	return total/int64(n)*int64(k) + total%int64(n)*int64(k)/int64(n)
}

// divideFile finds the cuts in a file, up to the last one that matters.
func (d *divider) divideFile(i, last int) error {
	f := d.files[i]
	d.begins = append(d.begins, d.row)
	d.cutHere(cut{file: i, row: d.row})
	format, err := detectFormat(f, d.opts.Format)
	if err != nil {
		return err
	}
	r, _, records, err := openFile(f, &d.opts)
	if err != nil {
		return f.explainError(err)
	}
	defer r.Close() //nolint:errcheck // only read
	if records {
		return errPartOfRecords(f)
	}
	if p, ok := r.(*parquetReader); ok {
		d.groups = append(d.groups, p.pq.NumGroups())
		if err := parquetfile.Guard(f.String(), func() error { return d.divideGroups(i, p) }); err != nil {
			return err
		}
	} else {
		d.groups = append(d.groups, 0)
		if err := d.divideText(i, r, strings.Contains(format, "."), last); err != nil {
			return f.explainError(err)
		}
	}
	d.before += d.sizes[i]
	return nil
}

func (d *divider) divideGroups(i int, r *parquetReader) error {
	for g := range r.pq.NumGroups() {
		if g > 0 {
			begin, err := r.findGroupStart(g)
			if err != nil {
				return err
			}
			d.cutHere(cut{file: i, place: place{offset: begin}, group: g, row: d.row})
		}
		d.row += r.pq.Group(g).NumRows()
	}
	return nil
}

// findGroupStart returns where the first page of a row group is.
func (r *parquetReader) findGroupStart(g int) (int64, error) {
	begin := int64(noEnd)
	group := r.pq.Group(g)
	for c := range group.NumColumns() {
		md, err := group.ColumnChunk(c)
		if err != nil {
			return 0, err
		}
		begin = min(begin, md.DataPageOffset())
		if md.HasDictionaryPage() && md.DictionaryPageOffset() > 0 {
			begin = min(begin, md.DictionaryPageOffset())
		}
	}
	return begin, nil
}

// divideText counts the records of a text file.
func (d *divider) divideText(i int, r reader, compressed bool, last int) error {
	in := &decoder{reader: r}
	if places, ok := r.(placeReader); ok && !compressed {
		var marks []int64
		for k := len(d.cuts); k < d.n && d.target(k) < d.before+d.sizes[i]; k++ {
			marks = append(marks, d.target(k)-d.before)
		}
		places.setMarks(marks)
	}
	var row pipeline.Row
	var info rowInfo
	next := in.decodeRow
	if a := startAhead(in, d.opts.ahead); a != nil {
		defer a.stop()
		next = a.next
	}
	for n := 0; ; n++ {
		if n%256 == 0 && d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		if err := next(&row, &info); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if info.begin.offset > 0 && !compressed {
			d.cutHere(cut{file: i, place: info.begin, row: d.row})
			if len(d.cuts) > last {
				return nil
			}
		}
		d.row++
	}
}

// partsBetween are the parts of files from one cut to the next.
func (d *divider) partsBetween(a, b cut) []Part {
	var parts []Part
	for i := a.file; i <= b.file && i < len(d.files); i++ {
		p := Part{File: i, To: -1, Row: d.begins[i]}
		if i == a.file {
			p.From, p.Line, p.Group, p.Row = a.place.offset, a.place.line, a.group, a.row
		}
		end := b.row
		if i == b.file {
			p.To = b.place.offset
			p.Groups = b.group - p.Group
		} else {
			if i+1 < len(d.begins) {
				end = d.begins[i+1]
			}
			p.Groups = d.groups[i] - p.Group
		}
		if p.Rows = end - p.Row; p.From != p.To && (p.Rows > 0 || p.To < 0) {
			parts = append(parts, p)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, Part{Row: a.row})
	}
	return parts
}

// hashParts hashes the bytes of the parts, as a pass over them does.
func (d *divider) hashParts(parts [][]Part) error {
	g, ctx := errgroup.WithContext(d.ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, list := range parts {
		for k := range list {
			p := &list[k]
			g.Go(func() error {
				f := d.files[p.File]
				pin := *f.pin // one pass each
				pin.ctx, pin.pass, pin.sum, pin.part = ctx, nil, nil, p
				f.pin = &pin
				sum, err := f.finishPass()
				p.SHA256 = sum.SHA256
				return err
			})
		}
	}
	return g.Wait()
}
