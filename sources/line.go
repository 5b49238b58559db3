package sources

import (
	"bytes"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// MaxLine is the number of bytes that a line for a [LineDecoder] may have.
const MaxLine = maxRecord

// LineDecoder makes users of JSON objects, one a line, as [Open] does of a JSONL file, for callers that read the lines
// themselves: from a pipe, or a queue. Every line is a row; one that is not a user has an error. It is for one goroutine.
type LineDecoder struct{ mapper *mapper }

// NewLineDecoder returns a decoder. Its error is that of the mapping.
func NewLineDecoder(m Mapping) (*LineDecoder, error) {
	if err := checkMapping(&m); err != nil {
		return nil, err
	}
	mapper, err := newMapper(nil, false, &m)
	return &LineDecoder{mapper}, err
}

// Decode fills row from a line, but for its number. It reuses the memory of the row's slices.
func (d *LineDecoder) Decode(line []byte, row *pipeline.Row) {
	rec := record{cells: row.Input[:0]}
	switch line = bytes.Trim(line, " \t\r\n"); {
	case len(line) > MaxLine:
		rec.err = pipeline.Errorf(pipeline.KindBadRow, "the line is %s", errTooLong)
	case len(line) == 0:
		rec.err = pipeline.Errorf(pipeline.KindBadRow, "the line is empty")
	case !utf8.Valid(line):
		rec.err = pipeline.Errorf(pipeline.KindBadRow, "the line is not valid UTF-8")
	default:
		var err error
		if rec.cells, err = pipeline.ParseObject(rec.cells, string(line)); err != nil {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "%s", err)
		}
	}
	row.Number, row.FailedWith, row.Bytes, row.Input = 0, "", 0, rec.cells
	if d.mapper.opts.Trim {
		trimCells(rec.cells)
	}
	d.mapper.fillRow(row, &rec)
}
