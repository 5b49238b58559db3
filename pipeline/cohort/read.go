package cohort

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
	"github.com/rollcall-cli/rollcall/sources"
)

// document is what a file says of its cohort beside the ids, which all but JSON do not.
type document struct {
	CohortID     string
	LastModified int64
	Size         *int64

	bytes  int64  // of the file
	ids    int    // in the file, repeated ones included
	sha256 string // of the file
}

// expected is how many members a table should have room for: as many as the document announces before them, but no
// more than a file of that size can have.
func (d *document) expected(most int) int {
	if d.Size == nil || *d.Size < 0 {
		return 0
	}
	return int(min(*d.Size, int64(most), d.bytes/4)) // "1",
}

const maxLine = 1 << 20 // of a text file

// formatOf is the format that the extension says, and the compression; "" if it is not known.
func formatOf(path string) (format, compression string) {
	lower := strings.ToLower(filepath.Base(path))
	for _, c := range []string{"gz", "zst"} {
		if rest, ok := strings.CutSuffix(lower, "."+c); ok {
			lower, compression = rest, c
		}
	}
	format = strings.TrimPrefix(filepath.Ext(lower), ".")
	if !slices.Contains([]string{"json", "csv", "tsv", "txt", "parquet"}, format) || format == "parquet" && compression != "" {
		return "", ""
	}
	return format, compression
}

func unknownFormat(path string) error {
	return pipeline.WithHint(fmt.Errorf("%s: not the name of a file of a cohort", path),
		"its extension is .json .csv .tsv .txt (also .gz .zst) or .parquet")
}

// readFile calls each for every id in a file.
func readFile(ctx context.Context, files *blob.Files, path, column string, doc *document, each func(id []byte) error) error {
	format, compression := formatOf(path)
	if format == "" {
		return unknownFormat(path)
	}
	f, err := files.Open(path) // no pipe: a cohort may have to be read twice
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	doc.bytes = f.Size()
	h := sha256.New()
	raw := bufio.NewReaderSize(io.TeeReader(f, h), 256<<10)
	add := func(id []byte) error {
		if id = bytes.TrimSpace(id); len(id) == 0 {
			return nil
		}
		if doc.ids++; doc.ids%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return each(id)
	}
	if format == "parquet" {
		err = readParquet(files, f, path, column, add)
	} else {
		var r io.Reader
		var done func()
		if r, done, err = decompress(raw, compression); err == nil {
			defer done()
			switch format {
			case "json":
				err = doc.readJSON(r, add)
			case "txt":
				err = readLines(r, add)
			default:
				err = readCSV(r, map[string]rune{"csv": ',', "tsv": '\t'}[format], column, add)
			}
		}
	}
	if err == nil {
		_, err = io.Copy(io.Discard, raw) // to its end, for the checksum
	}
	if err != nil && ctx.Err() == nil && !strings.HasPrefix(err.Error(), path) {
		err = pipeline.WithHint(fmt.Errorf("%s: %w", path, err), pipeline.Hint(err))
	}
	doc.sha256 = hex.EncodeToString(h.Sum(nil))
	return err
}

// decompress returns the text of a file, and what to call when it is read.
func decompress(r io.Reader, compression string) (text io.Reader, done func(), err error) {
	done = func() {}
	switch compression {
	case "gz":
		text, err = gzip.NewReader(r)
	case "zst":
		var z *zstd.Decoder
		z, err = zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(32<<20))
		text, done = z, z.Close
	default:
		text = r
	}
	return text, done, err
}

// headers are first lines of a file of one column that are no ids.
var headers = []string{"userid", "userids", "id", "ids", "user", "users", "member", "members", "memberid", "memberids"}

// squeeze is the letters and digits of a name, in lower case: "User ID" is userid.
func squeeze(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// findColumn is the index of the column of the ids among those of a file; -1 if it cannot be told.
func findColumn(names []string, column string) int {
	return slices.IndexFunc(names, func(name string) bool {
		return column != "" && strings.TrimSpace(name) == column || column == "" && squeeze(name) == "userid"
	})
}

// columnError is the error of a file whose column of ids cannot be told.
func columnError(names []string, column string) error {
	if column != "" {
		return pipeline.WithHint(fmt.Errorf("there is no column %q", column), pipeline.Suggest(column, names))
	}
	return pipeline.WithHint(fmt.Errorf("none of the %d columns is user_id", len(names)),
		"--cohorts-column COLUMN says which one holds the ids")
}

var byteOrderMark = []byte("\uFEFF")

func readLines(r io.Reader, each func(id []byte) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	for n := 1; lines.Scan(); n++ {
		line := lines.Bytes()
		if n == 1 {
			line = bytes.TrimPrefix(line, byteOrderMark)
			if slices.Contains(headers, squeeze(string(line))) {
				continue
			}
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return lines.Err()
}

func readCSV(r io.Reader, comma rune, column string, each func(id []byte) error) error {
	b := bufio.NewReader(r)
	if mark, _ := b.Peek(len(byteOrderMark)); bytes.Equal(mark, byteOrderMark) {
		b.Discard(len(mark)) //nolint:errcheck // they are in the buffer
	}
	rows := csv.NewReader(b)
	rows.Comma, rows.FieldsPerRecord, rows.LazyQuotes, rows.ReuseRecord = comma, -1, true, true
	rows.TrimLeadingSpace = comma != '\t'
	at := -1
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if at < 0 {
			if at = findColumn(row, column); at >= 0 {
				continue
			}
			if len(row) > 1 || column != "" {
				return columnError(slices.Clone(row), column)
			}
			if at = 0; slices.Contains(headers, squeeze(row[0])) {
				continue
			}
		}
		if at >= len(row) {
			line, _ := rows.FieldPos(0)
			return fmt.Errorf("line %d has no cell of the ids", line)
		}
		if err := each([]byte(row[at])); err != nil {
			return err
		}
	}
}

// readJSON reads the document of Amplitude's API, but never as a whole.
func (d *document) readJSON(r io.Reader, each func(id []byte) error) error {
	dec := jsontext.NewDecoder(r, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if t, err := dec.ReadToken(); err != nil || t.Kind() != '{' {
		return errors.Join(errors.New("not the JSON of a cohort: it is no object"), err)
	}
	known := false
	for dec.PeekKind() == '"' {
		t, err := dec.ReadToken()
		if err != nil {
			return err
		}
		name := t.String()
		if name == "memberIds" {
			known, err = true, readMembers(dec, each)
		} else {
			err = d.readMember(dec, name)
			known = known || name == "cohortId"
		}
		if err != nil {
			return err
		}
	}
	if _, err := dec.ReadToken(); err != nil { // its end
		return err
	}
	if !known {
		return errors.New("not the JSON of a cohort: it has neither cohortId nor memberIds")
	}
	return nil
}

// readMember reads a member of the document that is not the list of the cohort's members.
func (d *document) readMember(dec *jsontext.Decoder, name string) error {
	value, err := dec.ReadValue()
	if err != nil {
		return err
	}
	switch name {
	case "cohortId":
		return json.Unmarshal(value, &d.CohortID)
	case "lastModified":
		return json.Unmarshal(value, &d.LastModified)
	case "size":
		return json.Unmarshal(value, &d.Size)
	case "groupType":
		var kind *string
		if err := json.Unmarshal(value, &kind); err != nil {
			return err
		}
		if kind != nil && *kind != "User" {
			return fmt.Errorf("it is a cohort of groups of type %s, and not of users", *kind)
		}
	}
	return nil
}

// readMembers reads a list of ids, or null.
func readMembers(dec *jsontext.Decoder, each func(id []byte) error) error {
	t, err := dec.ReadToken()
	if err != nil || t.Kind() == 'n' {
		return err
	}
	if t.Kind() != '[' {
		return errors.New("memberIds is not a list")
	}
	var id []byte
	for dec.PeekKind() != ']' {
		value, err := dec.ReadValue()
		if err != nil {
			return err
		}
		if value.Kind() != '"' {
			return fmt.Errorf("memberIds holds %.20s, which is not a text", value)
		}
		id, _ = jsontext.AppendUnquote(id[:0], value) // what is not valid UTF-8 becomes U+FFFD, as in users
		if err := each(id); err != nil {
			return err
		}
	}
	_, err = dec.ReadToken()
	return err
}

// readParquet reads a column of a Parquet file.
func readParquet(files *blob.Files, f blob.File, path, column string, each func(id []byte) error) error {
	file, err := parquetfile.Open(f, parquetfile.Options{})
	if err != nil {
		return err
	}
	var names []string
	for i := range file.Metadata().Schema.NumColumns() {
		names = append(names, file.Metadata().Schema.Column(i).Path())
	}
	file.Close()
	at := findColumn(names, column)
	if at < 0 {
		if len(names) != 1 || column != "" {
			return columnError(names, column)
		}
		at = 0
	}
	in := sources.File{Path: path}
	if files.InStore(path) {
		if in.Object, err = files.Object(path); err != nil {
			return err
		}
	}
	input, err := sources.Open([]sources.File{in},
		sources.Options{Format: "parquet", Mapping: sources.Mapping{Map: map[string]string{"user_id": names[at]}}})
	if err != nil {
		return err
	}
	defer input.Close() //nolint:errcheck // only read
	var row pipeline.Row
	for {
		if err := input.Next(&row); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		if row.Err != nil && row.User.UserID == "" && row.Err.Kind != pipeline.KindMissingID {
			return fmt.Errorf("row %d: %w", row.Number, row.Err)
		}
		if err := each([]byte(row.User.UserID)); err != nil {
			return err
		}
	}
}

// Document is what a downloaded cohort's JSON says of itself.
type Document struct {
	ID           string
	LastModified int64 // milliseconds since 1970; 0: it does not say
}

// ReadDocument reads a JSON document to its end, whatever its file is called. It is an error if the document is not
// whole.
func ReadDocument(ctx context.Context, path string) (Document, error) {
	f, err := os.Open(path)
	if err != nil {
		return Document{}, err
	}
	defer f.Close() //nolint:errcheck // only read
	var doc document
	err = doc.readJSON(bufio.NewReaderSize(f, 256<<10), func(id []byte) error {
		if doc.ids++; doc.ids%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		return nil
	})
	if err == nil && doc.Size != nil && *doc.Size != int64(doc.ids) {
		err = fmt.Errorf("it has %d members, and says that they are %d", doc.ids, *doc.Size)
	}
	return Document{ID: doc.CohortID, LastModified: doc.LastModified}, err
}
