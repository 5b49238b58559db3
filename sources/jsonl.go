package sources

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// jsonlReader reads one JSON object per line. Every row has its own columns.
type jsonlReader struct {
	*lines
	io.Closer
	trim bool // remove white space around texts

	partitions []pipeline.Member // of all objects that lack such a member
}

func openJSONL(l *lines, c io.Closer, trim bool, partitions []pipeline.Member) (*jsonlReader, error) {
	j := &jsonlReader{l, c, trim, partitions}
	if err := l.checkStart(); err != nil {
		return j, err
	}
	return j, j.checkShape()
}

// checkShape returns an error if the first line shows that the file is not one JSON object per line. Otherwise every
// line would be a bad row.
func (j *jsonlReader) checkShape() error {
	first, err := j.peekFirstText()
	switch {
	case err != nil:
		return err
	case bytes.HasPrefix(first, []byte{'['}):
		return pipeline.WithHint(fmt.Errorf("%s: this is a JSON array, not one object per line", j.file),
			"convert it: jq -c '.[]' users.json > users.jsonl")
	case string(first) == "{":
		return pipeline.WithHint(fmt.Errorf("%s: this is a JSON object of several lines, not one object per line", j.file),
			"convert it: jq -c . users.json > users.jsonl")
	}
	return nil
}

func (j *jsonlReader) columns() []column { return nil }

func (j *jsonlReader) selectColumns([]bool) []int { return nil }

func (j *jsonlReader) readRecord(rec *record) error {
	for {
		if j.isPastEnd() {
			return io.EOF
		}
		rec.line, rec.err = j.line, nil
		n, err := j.findLineEnd(0)
		if errors.Is(err, errTooLong) {
			rec.cells = newBadTextRow(rec.cells, rec.line, string(j.peek(maxBadText)))
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
			j.consume(n)
			continue
		}
		rec.size = len(text)
		line := string(text)
		rec.cells, err = pipeline.ParseObject(rec.cells, line)
		j.consume(n)
		if j.trim {
			trimCells(rec.cells)
		}
		if err != nil {
			rec.cells = newBadTextRow(rec.cells, rec.line, line)
			rec.err = pipeline.Errorf(pipeline.KindBadRow, "line %d: %s", rec.line, err)
			return nil
		}
		own := rec.cells
		for _, p := range j.partitions {
			if !slices.ContainsFunc(own, func(m pipeline.Member) bool { return strings.EqualFold(m.Name, p.Name) }) {
				rec.cells = append(rec.cells, p)
			}
		}
		return nil
	}
}

// findPlace implements [placeReader].
func (j *jsonlReader) findPlace() place {
	j.skipBlank(func(line []byte) bool { return len(bytes.Trim(line, " \t\r\n")) == 0 })
	return j.passMarks()
}

// split implements [splitReader].
func (j *jsonlReader) split(u *unit, most int) bool {
	n, err := j.findLineEnd(0)
	if most = j.limit(most); err != nil || most == 0 {
		return false
	}
	buf := j.buffered(most)
	j.take(u, max(n, bytes.LastIndexByte(buf[:min(len(buf), most)], '\n')+1))
	return true
}

// newUnitReader implements [splitReader].
func (j *jsonlReader) newUnitReader() unitReader {
	return &jsonlReader{lines: &lines{file: j.file}, trim: j.trim, partitions: j.partitions}
}
