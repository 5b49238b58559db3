package sinks

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/metadata"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	groupRows   = 128 << 10 // rows of a row group
	groupBytes  = 32 << 20  // about how much memory a row group may use; with huge payloads it has fewer rows
	pieceRows   = 1 << 10   // rows added at once
	pieceBytes  = 4 << 20   // text of the shared cells in them, counted once per row
	keptBuffer  = 4 << 20   // larger buffers are not reused
	parquetMark = "PAR1"
)

// parquetEncoder writes Parquet: its own pages (parquetcolumn.go, parquetpage.go) with arrow's metadata.
//
// arrow's file writer is made for columns that arrive one after the other. For rows it allocates 1 to 5 KB each, makes
// a zstd encoder for each page, and needs 700 to 900 ns per row. This encoder needs about a fifth, because what the
// rows of a user share is encoded as one run, and the rest are indices of dictionary entries.
//
// A page is compressed as soon as it is full, and a full row group is written at once, so memory is bounded by
// groupBytes, whatever the size of the output.
type parquetEncoder struct {
	w       *counter
	footer  *metadata.FileMetaDataBuilder
	pages   pageWriter
	columns []*parquetColumn
	varying []*parquetColumn // those that vary
	group   int              // the number of the open row group, from 1
	rows    int              // in the open row group

	groupRows, groupBytes int // the constants, except in tests
}

// newParquet begins a Parquet file.
func newParquet(w io.Writer, columns []column, spec *Spec) (*parquetEncoder, error) {
	createdBy := "rollcall"
	if spec.Version != "" {
		createdBy += " version " + spec.Version // the form that readers parse
	}
	root, err := newParquetSchema(columns)
	if err != nil {
		return nil, err
	}
	meta := metadata.NewKeyValueMetadata()
	for _, key := range slices.Sorted(maps.Keys(spec.Meta)) { // sorted, so that the same options give the same bytes
		if err := meta.Append(key, spec.Meta[key]); err != nil {
			return nil, err
		}
	}
	props := parquet.NewWriterProperties(
		parquet.WithCreatedBy(createdBy), parquet.WithCompression(compress.Codecs.Zstd), parquet.WithDictionaryDefault(false),
	)
	e := &parquetEncoder{
		w:          &counter{w: w},
		footer:     metadata.NewFileMetadataBuilder(schema.NewSchema(root), props, meta),
		group:      1,
		groupRows:  groupRows,
		groupBytes: groupBytes,
	}
	// On dictionary indices and short texts, the next level saves a few percent and takes twice the time.
	e.pages.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, err
	}
	rows := min(max(pageRowsOfAll/len(columns), minPageRows), maxPageRows)
	for _, c := range columns {
		pc := newParquetColumn(c, &e.pages, rows)
		e.columns = append(e.columns, pc)
		if c.varies {
			e.varying = append(e.varying, pc)
		}
	}
	_, err = io.WriteString(e.w, parquetMark)
	return e, err
}

func newParquetSchema(columns []column) (*schema.GroupNode, error) {
	var fields schema.FieldList
	for _, c := range columns {
		repetition := parquet.Repetitions.Optional
		if c.required {
			repetition = parquet.Repetitions.Required
		}
		var logical schema.LogicalType = schema.NoLogicalType{}
		var physical parquet.Type
		length := -1
		switch c.typ {
		case pipeline.TypeString, pipeline.TypeJSON:
			physical, logical = parquet.Types.ByteArray, schema.StringLogicalType{}
		case pipeline.TypeInt:
			physical = parquet.Types.Int64
		case pipeline.TypeFloat:
			physical = parquet.Types.Double
		case pipeline.TypeBool:
			physical = parquet.Types.Boolean
		case pipeline.TypeDate:
			physical, logical = parquet.Types.Int32, schema.DateLogicalType{}
		case pipeline.TypeTimestamp:
			unit := schema.TimeUnitMicros
			if c.millis {
				unit = schema.TimeUnitMillis
			}
			physical, logical = parquet.Types.Int64, schema.NewTimestampLogicalType(true, unit)
		case pipeline.TypeDecimal:
			if c.precision < 1 || c.precision > pipeline.MaxPrecision || c.scale < 0 || c.scale > c.precision {
				return nil, fmt.Errorf("column %q: decimal(%d,%d) is not a valid type", c.name, c.precision, c.scale)
			}
			logical = schema.NewDecimalLogicalType(int32(c.precision), int32(c.scale))
			switch width := decimalWidth(c.precision); width {
			case 4:
				physical = parquet.Types.Int32
			case 8:
				physical = parquet.Types.Int64
			default:
				physical, length = parquet.Types.FixedLenByteArray, width
			}
		}
		node, err := schema.NewPrimitiveNodeLogical(c.name, repetition, logical, physical, length, -1)
		if err != nil {
			return nil, fmt.Errorf("column %q: %w", c.name, err)
		}
		fields = append(fields, node)
	}
	return schema.NewGroupNode("schema", parquet.Repetitions.Required, fields, -1)
}

func (e *parquetEncoder) writeBlock(b *block) error {
	size := 1
	for i := range b.shared {
		if !e.columns[i].varies {
			size += len(b.shared[i].text)
		}
	}
	for rest := b.rows; len(rest) > 0; {
		n := min(len(rest), e.groupRows-e.rows, pieceRows, 1+pieceBytes/size)
		e.appendRows(b.shared, rest[:n])
		rest = rest[n:]
		if e.rows += n; e.rows == e.groupRows || e.pages.held >= e.groupBytes {
			if err := e.writeGroup(); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendRows appends rows to the open row group, column by column.
func (e *parquetEncoder) appendRows(shared []cell, rows []*tuple) {
	for i, c := range e.columns {
		if !c.varies {
			c.appendCell(&shared[i], len(rows))
		}
	}
	if len(e.varying) == 0 {
		return
	}
	for _, t := range rows {
		if t.group != e.group || !t.kept {
			t.group = e.group
			t.indices = t.indices[:0]
			for range t.cells {
				t.indices = append(t.indices, unknownIndex)
			}
		}
	}
	for k, c := range e.varying {
		for _, t := range rows {
			if i := t.indices[k]; i != unknownIndex && !c.plain {
				c.appendRun(i, 1)
			} else {
				t.indices[k] = c.appendCell(&t.cells[k], 1)
			}
		}
		c.flushFullPage()
	}
}

// writeGroup writes the open row group.
func (e *parquetEncoder) writeGroup() error {
	group := e.footer.AppendRowGroup()
	group.SetNumRows(e.rows)
	var size int64
	for _, c := range e.columns {
		n, err := c.writeChunk(e.w, group.NextColumnChunk())
		if err != nil {
			return err
		}
		size += n
	}
	if err := group.Finish(size, int16(e.group-1)); err != nil {
		return err
	}
	e.pages.held = 0
	e.group++
	e.rows = 0
	return nil
}

func (e *parquetEncoder) finish() error {
	if e.rows > 0 {
		if err := e.writeGroup(); err != nil {
			return err
		}
	}
	meta, err := e.footer.Finish()
	if err != nil {
		return err
	}
	before := e.w.n
	if _, err := meta.WriteTo(e.w, nil); err != nil {
		return err
	}
	end := binary.LittleEndian.AppendUint32(nil, uint32(e.w.n-before))
	_, err = e.w.Write(append(end, parquetMark...))
	return err
}
