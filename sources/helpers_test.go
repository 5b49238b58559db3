package sources

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/schema"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func writeFile(tb testing.TB, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

func gzipBytes(tb testing.TB, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func zstdBytes(tb testing.TB, data []byte) []byte {
	tb.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		tb.Fatal(err)
	}
	return w.EncodeAll(data, nil)
}

func csvBytes(tb testing.TB, comma rune, crlf bool, header []string, rows [][]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Comma, w.UseCRLF = comma, crlf
	if err := w.WriteAll(append([][]string{header}, rows...)); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// jsonlBytes writes rows as JSON objects; cells that are "" are left out.
func jsonlBytes(header []string, rows [][]string) []byte {
	var b []byte
	for _, row := range rows {
		var members []pipeline.Member
		for i, cell := range row {
			if cell != "" {
				members = append(members, pipeline.Member{Name: header[i], Value: pipeline.StringValue(cell)})
			}
		}
		b = append(pipeline.AppendObject(b, members), '\n')
	}
	return b
}

// parquetColumn is a column for a test file: a leaf of the schema, and its values for the batch writer, with
// the levels that they need.
type parquetColumn struct {
	node   schema.Node
	values any // []string, []int32, …
	defs   []int16
	reps   []int16
}

// parquetBytes writes the columns as row groups of one.
func parquetBytes(tb testing.TB, cols []parquetColumn, opts ...parquet.WriterProperty) []byte {
	tb.Helper()
	return parquetGroups(tb, [][]parquetColumn{cols}, opts...)
}

func parquetGroups(tb testing.TB, groups [][]parquetColumn, opts ...parquet.WriterProperty) []byte {
	tb.Helper()
	var nodes schema.FieldList
	for _, c := range groups[0] {
		if c.node != nil {
			nodes = append(nodes, c.node)
		}
	}
	root, err := schema.NewGroupNode("schema", parquet.Repetitions.Required, nodes, -1)
	if err != nil {
		tb.Fatal(err)
	}
	var b bytes.Buffer
	w := file.NewParquetWriter(&b, root, file.WithWriterProps(parquet.NewWriterProperties(opts...)))
	for _, cols := range groups {
		g := w.AppendRowGroup()
		for _, c := range cols {
			cw, err := g.NextColumn()
			if err != nil {
				tb.Fatal(err)
			}
			switch cw := cw.(type) {
			case *file.ByteArrayColumnChunkWriter:
				var vs []parquet.ByteArray
				for _, s := range c.values.([]string) {
					vs = append(vs, parquet.ByteArray(s))
				}
				_, err = cw.WriteBatch(vs, c.defs, c.reps)
			case *file.FixedLenByteArrayColumnChunkWriter:
				var vs []parquet.FixedLenByteArray
				for _, s := range c.values.([]string) {
					vs = append(vs, parquet.FixedLenByteArray(s))
				}
				_, err = cw.WriteBatch(vs, c.defs, c.reps)
			case *file.Int32ColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]int32), c.defs, c.reps)
			case *file.Int64ColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]int64), c.defs, c.reps)
			case *file.Int96ColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]parquet.Int96), c.defs, c.reps)
			case *file.Float32ColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]float32), c.defs, c.reps)
			case *file.Float64ColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]float64), c.defs, c.reps)
			case *file.BooleanColumnChunkWriter:
				_, err = cw.WriteBatch(c.values.([]bool), c.defs, c.reps)
			default:
				tb.Fatalf("no writer for %T", cw)
			}
			if err != nil {
				tb.Fatal(err)
			}
			if err := cw.Close(); err != nil {
				tb.Fatal(err)
			}
		}
		if err := g.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func leafNode(tb testing.TB, name string, rep parquet.Repetition, logical schema.LogicalType, typ parquet.Type,
	length int) schema.Node {
	tb.Helper()
	var n schema.Node
	var err error
	if logical == nil {
		n, err = schema.NewPrimitiveNode(name, rep, typ, -1, int32(length))
	} else {
		n, err = schema.NewPrimitiveNodeLogical(name, rep, logical, typ, length, -1)
	}
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// textColumns are optional string columns; cells that are "" are null.
func textColumns(tb testing.TB, header []string, rows [][]string) []parquetColumn {
	tb.Helper()
	var cols []parquetColumn
	for i, name := range header {
		c := parquetColumn{node: leafNode(tb, name, parquet.Repetitions.Optional, schema.StringLogicalType{},
			parquet.Types.ByteArray, -1)}
		values := []string{}
		for _, row := range rows {
			if row[i] == "" {
				c.defs = append(c.defs, 0)
				continue
			}
			c.defs = append(c.defs, 1)
			values = append(values, row[i])
		}
		c.values = values
		cols = append(cols, c)
	}
	return cols
}

// got is a row as the tests compare it.
type got struct {
	Number  int64
	ID, Dev string
	Context string // as JSON; "" where Err is set
	Carry   string
	Input   string
	Err     string
}

// renderRow returns the row as text.
func renderRow(row *pipeline.Row) got {
	g := got{Number: row.Number, ID: row.User.UserID, Dev: row.User.DeviceID}
	if row.Err != nil {
		g.Err = row.Err.Error()
	} else {
		g.Context = string(pipeline.AppendObject(nil, row.User.Context))
	}
	if len(row.Carry) > 0 {
		g.Carry = string(pipeline.Value{Kind: pipeline.List, Members: asMembers(row.Carry)}.AppendJSON(nil))
	}
	if row.Input != nil {
		g.Input = string(pipeline.AppendObject(nil, row.Input))
	}
	return g
}

func asMembers(vs []pipeline.Value) []pipeline.Member {
	out := make([]pipeline.Member, len(vs))
	for i, v := range vs {
		out[i].Value = v
	}
	return out
}

// readAll reads to the end; err is what ended it, unless that was io.EOF.
func readAll(in pipeline.Source) (rows []got, err error) {
	var row pipeline.Row
	for {
		err := in.Next(&row)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return rows, err
		}
		rows = append(rows, renderRow(&row))
	}
}

// readRows writes data to a file of that name, and reads all rows.
func readRows(tb testing.TB, name string, data []byte, opts Options) ([]got, error) {
	tb.Helper()
	in, err := Open(filesAt(writeFile(tb, name, data)), opts)
	if err != nil {
		return nil, err
	}
	rows, err := readAll(in)
	if cerr := in.Close(); cerr != nil {
		tb.Errorf("Close: %v", cerr)
	}
	return rows, err
}

// joinIDs returns the row numbers, ids and kinds of errors, separated by spaces.
func joinIDs(rows []got) string {
	var out []string
	for _, r := range rows {
		s := fmt.Sprintf("%d:%s", r.Number, r.ID)
		if r.Dev != "" {
			s += "/" + r.Dev
		}
		if r.Err != "" {
			kind, _, _ := strings.Cut(r.Err, ":")
			s += "!" + kind
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

// filesAt returns the files at these paths, under their own names.
func filesAt(paths ...string) []File {
	files := make([]File, len(paths))
	for i, p := range paths {
		files[i] = File{Path: p}
	}
	return files
}

// expandLocal is the paths of ExpandPaths without stores.
func expandLocal(t *testing.T, args ...string) (paths []string, err error) {
	t.Helper()
	files, err := ExpandPaths(t.Context(), nil, args)
	for _, f := range files {
		paths = append(paths, f.Path)
	}
	return paths, err
}
