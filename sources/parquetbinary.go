package sources

import (
	"context"
	"errors"
	"unicode/utf8"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

// Many writers do not mark text columns, so only its values show whether a column of bytes is text. AllProperties
// leaves out a column with other values, in all files of the input. A nested column is left out as a whole.

// findBinaryColumns records the columns of all files that hold bytes that are not text, and that only AllProperties
// sends.
func (in *Input) findBinaryColumns() error {
	for _, f := range in.files {
		var names []string
		var err error
		if f.pin != nil && f.pin.scanned {
			names = f.pin.binary
		} else if names, err = scanBinaryColumns(f, &in.opts); err != nil {
			return f.explainError(err)
		}
		if f.pin != nil {
			f.pin.binary, f.pin.scanned = names, true
		}
		for _, name := range names {
			if in.binary == nil {
				in.binary = map[string]bool{}
			}
			in.binary[name] = true
		}
	}
	return nil
}

// scanBinaryColumns returns these columns of one file.
func scanBinaryColumns(f File, opts *Options) (names []string, err error) {
	ctx := context.Background()
	if f.pin != nil {
		ctx = f.pin.ctx
	}
	file, err := f.beginPass()
	if err != nil {
		return nil, err
	}
	defer file.Close() //nolint:errcheck // only read
	r, err := openParquet(f.String(), file.file, file, opts.Mapping.namedColumns(), nil)
	if err != nil {
		return nil, err
	}
	defer r.pq.Close()
	for i, n := range r.nodes {
		if r.cols[i].unreadable != "" || !isOnlyAsAll(r.cols[i].findUses(&opts.Mapping)) {
			continue
		}
		for _, l := range n.leaves {
			if !mayBeBinary(l.descr) {
				continue
			}
			binary := false
			err := parquetfile.Guard(f.String(), func() (err error) {
				binary, err = r.isBinary(ctx, l)
				return err
			})
			if err != nil {
				return nil, err
			}
			if binary {
				names = append(names, n.name)
				break
			}
		}
	}
	return names, nil
}

// isOnlyAsAll reports whether only AllProperties sends a column.
func isOnlyAsAll(us []use) bool { return len(us) == 1 && us[0].rank == rankAll }

// mayBeBinary reports whether the schema does not say what the bytes of a column are.
func mayBeBinary(d *schema.Column) bool {
	if t := d.PhysicalType(); t != parquet.Types.ByteArray && t != parquet.Types.FixedLenByteArray {
		return false
	}
	return d.LogicalType().IsNone() && d.ConvertedType() == schema.ConvertedTypes.None
}

// isBinary reads a column up to the first value that is not text.
func (r *parquetReader) isBinary(ctx context.Context, l *leafReader) (bool, error) {
	l.column = r.pq.Column(l.descr, pageBuffer)
	defer l.column.Release()
	defs, reps := make([]int16, parquetBatch), make([]int16, parquetBatch)
	for group := range r.pq.NumGroups() {
		g := r.pq.Group(group)
		if g.NumRows() == 0 {
			continue
		}
		r.group = group + 1
		if err := r.openChunk(l, g); err != nil {
			return false, err
		}
		for l.column.HasNext() {
			if err := context.Cause(ctx); err != nil {
				return false, err
			}
			levels, _, err := l.column.Read(&r.scratch, min(l.column.BatchSize(), parquetBatch), defs, reps)
			if err == nil && levels == 0 {
				err = errors.New("damaged Parquet: a page without values")
			}
			if err != nil {
				return false, r.newColumnError(l.descr.Path(), err)
			}
			for _, b := range r.scratch.Bytes {
				if !utf8.Valid(b) {
					return true, nil
				}
			}
			for _, b := range r.scratch.Fixed {
				if !utf8.Valid(b) {
					return true, nil
				}
			}
		}
		if err := l.column.Err(); err != nil {
			return false, r.newColumnError(l.descr.Path(), err)
		}
	}
	return false, nil
}
