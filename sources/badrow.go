package sources

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// badRowName is the name of the only member of [pipeline.Row].Input if a row of a text format did not decode. Its
// value is an object of the row's line, and either its cells and the names of the columns, or its text. So the error
// record shows the row, and cannot be mistaken for a user when it is read again.
const badRowName = "rollcall.bad_row"

// maxBadText bounds the bytes that are kept of a row that did not decode.
const maxBadText = 64 << 10

// IsBadRow reports whether the input of a row is not an object of its cells, because the row did not decode.
func IsBadRow(input []pipeline.Member) bool {
	return len(input) == 1 && input[0].Name == badRowName
}

// newBadTextRow returns the input of a row of which only the text is known.
func newBadTextRow(dst []pipeline.Member, line int64, text string) []pipeline.Member {
	if len(text) > maxBadText {
		text = text[:maxBadText]
	}
	return newBadRow(dst, line, pipeline.Member{Name: "text", Value: pipeline.StringValue(strings.ToValidUTF8(text, ""))})
}

// newBadCellsRow returns the input of a row that has more or fewer cells than there are columns.
func newBadCellsRow(dst []pipeline.Member, line int64, columns, cells []string,
	partitions []pipeline.Member) []pipeline.Member {
	members := []pipeline.Member{{Name: "cells", Value: newTextList(cells)}, {Name: "columns", Value: newTextList(columns)}}
	if len(partitions) > 0 {
		v := pipeline.Value{Kind: pipeline.Object, Members: slices.Clone(partitions)}
		members = append(members, pipeline.Member{Name: "partitions", Value: v})
	}
	return newBadRow(dst, line, members...)
}

func newBadRow(dst []pipeline.Member, line int64, members ...pipeline.Member) []pipeline.Member {
	v := pipeline.Value{Kind: pipeline.Object, Members: append(members,
		pipeline.Member{Name: "line", Value: pipeline.IntValue(line)})}
	pipeline.SortMembers(&v)
	return append(dst[:0], pipeline.Member{Name: badRowName, Value: v})
}

func newTextList(texts []string) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.List, Members: make([]pipeline.Member, len(texts))}
	for i, t := range texts {
		v.Members[i].Value = pipeline.StringValue(t)
	}
	return v
}

// describeRaggedRow returns the error text for a row of n cells.
func describeRaggedRow(n, columns int) string {
	return fmt.Sprintf("the row has %d cells, but the header has %d", n, columns)
}

// padCells makes a row as long as the header, if that loses nothing: it adds empty cells at the end, or removes empty
// ones.
func padCells(cells []string, columns int) ([]string, bool) {
	for i := columns; i < len(cells); i++ {
		if cells[i] != "" {
			return nil, false
		}
	}
	padded := slices.Clone(cells[:min(len(cells), columns)])
	return append(padded, make([]string, columns-len(padded))...), true
}

// restoreBadRow reads what newBadCellsRow and newBadTextRow made from an error record. The row is as bad as before,
// unless padding repairs it.
func restoreBadRow(rec *record, input []pipeline.Member, o csvOptions) {
	v := &input[0].Value
	line := ""
	if n := v.Get("line"); n != nil {
		line = string(n.AppendText(nil))
	}
	if _, err := strconv.ParseInt(line, 10, 64); err != nil {
		line = "?"
	}
	problem := "it did not decode"
	cells, columns := listTexts(v.Get("cells")), listTexts(v.Get("columns"))
	if len(columns) > 0 {
		padded, ok := padCells(cells, len(columns))
		if rec.ragged = ok; ok && o.pad {
			for i, cell := range padded {
				rec.cells = append(rec.cells, pipeline.Member{Name: columns[i]})
				o.setCell(&rec.cells[i].Value, cell)
			}
			if p := v.Get("partitions"); p != nil && p.Kind == pipeline.Object {
				rec.cells = append(rec.cells, p.Members...)
			}
			return
		}
		problem = describeRaggedRow(len(cells), len(columns))
	}
	rec.cells = append(rec.cells, input...)
	rec.err = pipeline.Errorf(pipeline.KindBadRow, "%sthe row was line %s of its input: %s", linePrefix(rec.line), line,
		problem)
}

// listTexts returns the texts of a list; nil if v is not a list.
func listTexts(v *pipeline.Value) (texts []string) {
	if v == nil || v.Kind != pipeline.List {
		return nil
	}
	for i := range v.Members {
		texts = append(texts, v.Members[i].Value.Text)
	}
	return texts
}
