package sources

import (
	"bytes"
	"errors"
	"io"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// jsonlReader reads one JSON object a line. Every row has its own columns.
type jsonlReader struct {
	*lines
	io.Closer
}

func openJSONL(l *lines, c io.Closer) (*jsonlReader, error) {
	return &jsonlReader{l, c}, l.begin()
}

func (j *jsonlReader) columns() []column { return nil }

func (j *jsonlReader) project([]bool) []int { return nil }

func (j *jsonlReader) next(rec *record) error {
	for {
		rec.line, rec.err = j.line, nil
		n, err := j.end(0)
		if errors.Is(err, errTooLong) {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: the line is %s", rec.line, errTooLong)
			return j.skipLine()
		}
		if err != nil {
			return err
		}
		if err := j.checkUTF8(j.peek(n)); err != nil {
			return err
		}
		text := bytes.Trim(j.peek(n), " \t\r\n") // the white space of JSON
		if len(text) == 0 {
			j.advance(n)
			continue
		}
		rec.size = len(text)
		cells, err := pipeline.ParseObject(string(text))
		j.advance(n)
		if err != nil {
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: %s", rec.line, err)
			return nil
		}
		rec.cells = append(rec.cells, cells...)
		return nil
	}
}
