package sinks

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xitongsys/parquet-go-source/local"
	xparquet "github.com/xitongsys/parquet-go/parquet"
	"github.com/xitongsys/parquet-go/reader"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// written adapts an Output to the suite.
type written struct{ *Output }

func (w written) Written() (rows, bytes int64, sha256 string) {
	i := w.Info()
	return i.Rows, i.Bytes, i.SHA256
}

func (w written) Temp() (temp, path string) {
	i := w.Info()
	return i.Temp, i.Path
}

func wrap(o *Output, err error) (pipelinetest.Output, error) {
	if err != nil {
		return nil, err
	}
	return written{o}, nil
}

// readers read the files of a format.
var readers = map[string]map[string]func(string) (pipelinetest.Table, error){
	"csv":     {"RFC 4180": func(path string) (pipelinetest.Table, error) { return readCSV(path, ',') }},
	"tsv":     {"RFC 4180": func(path string) (pipelinetest.Table, error) { return readCSV(path, '\t') }},
	"jsonl":   {"encoding/json": readJSONL},
	"parquet": {"arrow": readArrow, "xitongsys": readXitongsys},
}

func TestConformance(t *testing.T) {
	for _, format := range formats {
		base, _, _ := strings.Cut(format, ".")
		t.Run(format, func(t *testing.T) {
			pipelinetest.TestSink(t, pipelinetest.SinkFormat{
				RunID:  "run-1",
				Format: format,
				Assignments: func(path string, carry []pipeline.Column) (pipelinetest.Output, error) {
					return wrap(Create(path, Spec{Carry: carry}))
				},
				Errors: func(path string) (pipelinetest.Output, error) { return wrap(CreateErrors(path, Spec{RunID: "run-1"})) },
				Stream: func(w io.Writer, carry []pipeline.Column) (pipelinetest.Output, error) {
					return wrap(NewStream(w, format, Spec{Carry: carry}))
				},
				Readers: readers[base],
				JSON:    base == "jsonl",
			})
		})
	}
}

// readText reads and decompresses a file of a text format.
func readText(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r io.Reader = bytes.NewReader(data)
	switch {
	case strings.HasSuffix(path, ".gz"):
		r, err = gzip.NewReader(r)
	case strings.HasSuffix(path, ".zst"):
		var z *zstd.Decoder
		if z, err = zstd.NewReader(r); err == nil {
			defer z.Close()
			r = z
		}
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(r)
}

func readCSV(path string, comma byte) (table pipelinetest.Table, err error) {
	data, err := readText(path)
	if err != nil {
		return table, err
	}
	records, err := parseCSV(string(data), comma)
	if err != nil {
		return table, err
	}
	// encoding/csv reads the same, except that it has no null and turns \r\n into \n.
	r := csv.NewReader(bytes.NewReader(data))
	r.Comma = rune(comma)
	usual, err := r.ReadAll()
	if err != nil {
		return table, fmt.Errorf("encoding/csv: %w", err)
	}
	if len(usual) != len(records) {
		return table, fmt.Errorf("encoding/csv reads %d records, not %d", len(usual), len(records))
	}
	for i, record := range records {
		for j, c := range record {
			if want := strings.ReplaceAll(c.Text, "\r\n", "\n"); usual[i][j] != want {
				return table, fmt.Errorf("encoding/csv reads %q, not %q", usual[i][j], want)
			}
		}
	}
	for _, c := range records[0] {
		table.Columns = append(table.Columns, c.Text)
	}
	if len(records) > 1 {
		table.Rows = records[1:]
	}
	return table, nil
}

// parseCSV parses strictly by RFC 4180, except that \n ends a record and an unquoted empty cell is null.
func parseCSV(data string, comma byte) (records [][]pipelinetest.Cell, err error) {
	var record []pipelinetest.Cell
	for data != "" {
		var c pipelinetest.Cell
		if data[0] == '"' {
			data = data[1:]
			for {
				i := strings.IndexByte(data, '"')
				if i < 0 {
					return nil, errors.New("a quote that is not closed")
				}
				c.Text += data[:i]
				data = data[i+1:]
				if !strings.HasPrefix(data, `"`) {
					break
				}
				c.Text += `"`
				data = data[1:]
			}
		} else {
			i := strings.IndexAny(data, string(comma)+"\"\r\n")
			if i < 0 {
				return nil, errors.New("the last record has no end")
			}
			c.Text, data = data[:i], data[i:]
			c.Null = c.Text == ""
		}
		if data == "" || data[0] != comma && data[0] != '\n' {
			return nil, fmt.Errorf("after %q: %q", c.Text, data)
		}
		record = append(record, c)
		if data[0] == '\n' {
			records = append(records, record)
			record = nil
		} else if data[1:] == "" {
			return nil, errors.New("the last record has no end")
		}
		data = data[1:]
	}
	return records, nil
}

func readJSONL(path string) (table pipelinetest.Table, err error) {
	data, err := readText(path)
	if err != nil {
		return table, err
	}
	for line := range strings.Lines(string(data)) {
		if !strings.HasSuffix(line, "}\n") || !json.Valid([]byte(line)) {
			return table, fmt.Errorf("not a JSON object: %q", line)
		}
		dec := json.NewDecoder(strings.NewReader(line))
		dec.Token() // {
		var names []string
		var row []pipelinetest.Cell
		for dec.More() {
			name, err := dec.Token()
			if err != nil {
				return table, err
			}
			names = append(names, name.(string))
			var raw json.RawMessage
			if err := dec.Decode(&raw); err != nil {
				return table, err
			}
			c := pipelinetest.Cell{Text: string(raw)}
			switch {
			case c.Text == "null":
				c = pipelinetest.Cell{Null: true}
			case slices.Contains([]string{"payload", "input", "tags", "metadata"}, name.(string)),
				strings.HasSuffix(name.(string), ".payload"):
			case raw[0] == '"':
				if err := json.Unmarshal(raw, &c.Text); err != nil {
					return table, err
				}
			}
			row = append(row, c)
		}
		if table.Columns != nil && !slices.Equal(names, table.Columns) {
			return table, fmt.Errorf("the names change: %q", line)
		}
		table.Columns = names
		table.Rows = append(table.Rows, row)
	}
	return table, nil
}

func floatCell(f float64) pipelinetest.Cell {
	switch {
	case math.IsInf(f, 1):
		return pipelinetest.Cell{Text: "Infinity"}
	case math.IsInf(f, -1):
		return pipelinetest.Cell{Text: "-Infinity"}
	case math.IsNaN(f):
		return pipelinetest.Cell{Text: "NaN"}
	}
	return pipelinetest.Cell{Text: string(pipeline.FloatValue(f).AppendText(nil))}
}

func millisCell(n int64) pipelinetest.Cell {
	return pipelinetest.Cell{Text: time.UnixMilli(n).UTC().Format("2006-01-02T15:04:05.000Z")}
}

func microsCell(n int64) pipelinetest.Cell {
	return pipelinetest.Cell{Text: time.UnixMicro(n).UTC().Format("2006-01-02T15:04:05.000000Z")}
}

// decimalCell reads the unscaled number of a Parquet decimal with math/big alone.
func decimalCell(n *big.Int, scale int) pipelinetest.Cell {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)
	return pipelinetest.Cell{Text: new(big.Rat).SetFrac(n, ten).FloatString(scale)}
}

func bigEndian(b []byte) *big.Int {
	n := new(big.Int).SetBytes(b)
	if b[0] >= 0x80 {
		n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return n
}

func dateCell(n int32) pipelinetest.Cell {
	return pipelinetest.Cell{Text: time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly)}
}

func readArrow(path string) (table pipelinetest.Table, err error) {
	r, err := file.OpenParquetFile(path, false)
	if err != nil {
		return table, err
	}
	defer r.Close()
	for i := range r.MetaData().Schema.NumColumns() {
		table.Columns = append(table.Columns, r.MetaData().Schema.Column(i).Name())
	}
	for g := range r.NumRowGroups() {
		group := r.RowGroup(g)
		first := len(table.Rows)
		table.Rows = append(table.Rows, make([][]pipelinetest.Cell, group.NumRows())...)
		for i := range table.Columns {
			column, err := group.Column(i)
			if err != nil {
				return table, err
			}
			cells, err := arrowCells(column, group.NumRows())
			if err != nil {
				return table, err
			}
			for j, c := range cells {
				table.Rows[first+j] = append(table.Rows[first+j], c)
			}
		}
	}
	return table, nil
}

func arrowCells(column file.ColumnChunkReader, n int64) ([]pipelinetest.Cell, error) {
	descr := column.Descriptor()
	switch r := column.(type) {
	case *file.ByteArrayColumnChunkReader:
		return arrowBatch(descr, n, r.ReadBatch, func(b parquet.ByteArray) pipelinetest.Cell {
			return pipelinetest.Cell{Text: string(b)}
		})
	case *file.Int64ColumnChunkReader:
		return arrowBatch(descr, n, r.ReadBatch, func(n int64) pipelinetest.Cell {
			if l, ok := descr.LogicalType().(*schema.TimestampLogicalType); ok {
				if l.TimeUnit() == schema.TimeUnitMillis {
					return millisCell(n)
				}
				return microsCell(n)
			}
			if l, ok := descr.LogicalType().(*schema.DecimalLogicalType); ok {
				return decimalCell(big.NewInt(n), int(l.Scale()))
			}
			return pipelinetest.Cell{Text: strconv.FormatInt(n, 10)}
		})
	case *file.Int32ColumnChunkReader:
		if l, ok := descr.LogicalType().(*schema.DecimalLogicalType); ok {
			return arrowBatch(descr, n, r.ReadBatch, func(n int32) pipelinetest.Cell {
				return decimalCell(big.NewInt(int64(n)),
					int(l.Scale()))
			})
		}
		return arrowBatch(descr, n, r.ReadBatch, dateCell)
	case *file.FixedLenByteArrayColumnChunkReader:
		l := descr.LogicalType().(*schema.DecimalLogicalType)
		return arrowBatch(descr, n, r.ReadBatch, func(b parquet.FixedLenByteArray) pipelinetest.Cell { return decimalCell(bigEndian(b), int(l.Scale())) })
	case *file.Float64ColumnChunkReader:
		return arrowBatch(descr, n, r.ReadBatch, floatCell)
	case *file.BooleanColumnChunkReader:
		return arrowBatch(descr, n, r.ReadBatch, func(b bool) pipelinetest.Cell {
			return pipelinetest.Cell{Text: strconv.FormatBool(b)}
		})
	}
	return nil, fmt.Errorf("column %s has the type %s", descr.Name(), descr.PhysicalType())
}

func arrowBatch[T any](
	descr *schema.Column, n int64, read func(int64, []T, []int16, []int16) (int64, int, error),
	cell func(T) pipelinetest.Cell,
) ([]pipelinetest.Cell, error) {
	var cells []pipelinetest.Cell
	values, levels := make([]T, n), make([]int16, n)
	for int64(len(cells)) < n {
		total, _, err := read(n, values, levels, nil)
		if err != nil {
			return nil, err
		}
		if total == 0 {
			return nil, fmt.Errorf("column %s ends after %d of %d values", descr.Name(), len(cells), n)
		}
		rest := values
		for _, level := range levels[:total] {
			if level < descr.MaxDefinitionLevel() {
				cells = append(cells, pipelinetest.Cell{Null: true})
				continue
			}
			cells = append(cells, cell(rest[0]))
			rest = rest[1:]
		}
	}
	return cells, nil
}

func readXitongsys(path string) (table pipelinetest.Table, err error) {
	f, err := local.NewLocalFileReader(path)
	if err != nil {
		return table, err
	}
	defer f.Close()
	r, err := reader.NewParquetColumnReader(f, 1)
	if err != nil {
		return table, err
	}
	defer r.ReadStop()
	n := r.GetNumRows()
	if n > 0 {
		table.Rows = make([][]pipelinetest.Cell, n)
	}
	for i := range r.SchemaHandler.ValueColumns {
		element := r.Footer.Schema[i+1]
		table.Columns = append(table.Columns, r.SchemaHandler.GetExName(i+1))
		if n == 0 {
			continue
		}
		values, _, _, err := r.ReadColumnByIndex(int64(i), n)
		if err != nil {
			return table, err
		}
		if int64(len(values)) != n {
			return table, fmt.Errorf("column %s has %d of %d values", element.Name, len(values), n)
		}
		for j, v := range values {
			table.Rows[j] = append(table.Rows[j], xitongsysCell(element, v))
		}
	}
	return table, nil
}

func xitongsysCell(element *xparquet.SchemaElement, v any) pipelinetest.Cell {
	if element.GetConvertedType() == xparquet.ConvertedType_DECIMAL && element.IsSetConvertedType() {
		switch v := v.(type) {
		case int32:
			return decimalCell(big.NewInt(int64(v)), int(element.GetScale()))
		case int64:
			return decimalCell(big.NewInt(v), int(element.GetScale()))
		case string:
			return decimalCell(bigEndian([]byte(v)), int(element.GetScale()))
		}
	}
	switch v := v.(type) {
	case nil:
		return pipelinetest.Cell{Null: true}
	case float64:
		return floatCell(v)
	case int32:
		return dateCell(v)
	case int64:
		if element.IsSetConvertedType() {
			switch element.GetConvertedType() {
			case xparquet.ConvertedType_TIMESTAMP_MILLIS:
				return millisCell(v)
			case xparquet.ConvertedType_TIMESTAMP_MICROS:
				return microsCell(v)
			}
		}
	}
	return pipelinetest.Cell{Text: fmt.Sprint(v)}
}
