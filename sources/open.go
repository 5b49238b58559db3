package sources

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Formats are the names that [Options].Format takes.
var Formats = []string{
	"csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet",
}

// maxWindow bounds the memory of a zstd stream. It is the window of zstd -20; -21 and -22 go beyond.
const maxWindow = 32 << 20

// Options say how to read the input.
type Options struct {
	Format  string // one of Formats; "" goes by the ending of each file's name
	Mapping Mapping

	NoHeader bool // the first line of CSV and TSV is a row; the columns are called c1, c2, ...
	Pad      bool // a row of CSV and TSV may lack cells at its end, which are empty then, or have empty ones more

	// Delimiter stands between the cells of CSV; 0 is a comma. Other formats have none to choose. [ParseDelimiter]
	// makes one of what a person writes.
	Delimiter rune
}

// ParseDelimiter is the delimiter that text names: one character of ASCII, or \t for a tab.
func ParseDelimiter(text string) (rune, error) {
	if text == `\t` {
		return '\t', nil
	}
	if len(text) == 1 {
		if d := rune(text[0]); checkDelimiter(d) == nil {
			return d, nil
		}
	}
	return 0, newDelimiterError(text)
}

func newDelimiterError(text string) error {
	return pipeline.WithHint(fmt.Errorf("--delimiter %q cannot stand between cells", text),
		`a delimiter is one character of ASCII, such as ; or | or \t for a tab, and neither a quote nor the end of a line`)
}

func checkDelimiter(d rune) error {
	if d <= 0 || d >= utf8.RuneSelf || d == '"' || d == '\n' || d == '\r' {
		return newDelimiterError(string(d))
	}
	return nil
}

// File is a file of the input.
type File struct {
	Path string
	Name string // what errors call it; "" is Path

	pin *pin // see [Pin]
}

func (f File) String() string {
	if f.Name != "" {
		return f.Name
	}
	return f.Path
}

// Input is one or more files as one input: row numbers run across them. It is a [pipeline.Source].
//
// It uses row.Input, row.Carry and row.User.Context again; Context may have capacity behind its length that
// the values in it live in, so do not append to it.
type Input struct {
	files      []File
	opts       Options
	next       int // the file to open next
	reader     reader
	rec        record
	mapper     *mapper
	cols       []column        // of the first file
	fixed      bool            // whether every row has these columns
	records    bool            // whether the files are error records
	failedRun  string          // whose error records they are
	format     string          // of the first file, without compression
	binary     map[string]bool // columns whose bytes are not text; see findBinary
	uses       []ColumnUse
	carry      []pipeline.Column
	carryNulls []bool // of these, which hold only nulls in the files so far
	number     int64
	err        error // sticky
}

// reader decodes the records of one file. The errors that it returns name the file.
type reader interface {
	// columns are those of the header; nil where every record has its own.
	columns() []column
	// project says which columns are wanted, before the first record. It returns where in a record their cells
	// are; nil says that nothing is left out.
	selectColumns(wanted []bool) (at []int)
	// next appends the cells of the next record to rec.cells; io.EOF comes after the last.
	readRecord(rec *record) error
	io.Closer
}

// Open opens the files as one input. They must be regular files of one format with the same columns. The header of each
// is looked at, so that the last one of many does not stop a run that is almost over; JSONL has none, so what is wrong
// there is found when the file's turn comes.
func Open(files []File, opts Options) (*Input, error) {
	if len(files) == 0 {
		return nil, errors.New("no input")
	}
	if err := checkMapping(&opts.Mapping); err != nil {
		return nil, err
	}
	if opts.Delimiter != 0 {
		if err := checkDelimiter(opts.Delimiter); err != nil {
			return nil, err
		}
	}
	in := &Input{files: slices.Clone(files), opts: opts}
	for _, f := range files {
		if f.pin != nil {
			f.pin.pass = nil
		}
		format, err := detectFormat(f, opts.Format)
		if err != nil {
			return nil, err
		}
		format, _, _ = strings.Cut(format, ".")
		if in.format == "" {
			in.format = format
		}
		if format != in.format {
			return nil, pipeline.WithHint(fmt.Errorf("%s is %s, but %s is %s", f, format, files[0], in.format),
				"read files of different formats in runs of their own")
		}
		if f.pin == nil {
			if err := checkRegular(f); err != nil {
				return nil, err
			}
		}
	}
	if in.format == "parquet" && opts.Mapping.AllProperties {
		if err := in.findBinaryColumns(); err != nil {
			return nil, err
		}
	}
	if err := in.openNextFile(); err != nil {
		return nil, err
	}
	err := in.checkFormatOptions()
	if err == nil {
		err = in.checkOtherFiles()
	}
	if err == nil {
		in.uses, err = in.mapper.describeUses(in.cols)
	}
	if err != nil {
		_ = in.reader.Close()
		return nil, err
	}
	return in, nil
}

// checkFormatOptions refuses options that are not for the format. Error records have that of their own, whatever the options
// said of the first input: the same command reads them.
func (in *Input) checkFormatOptions() error {
	f := in.files[0]
	switch {
	case in.records:
	case in.opts.Delimiter != 0 && in.format != "csv":
		return pipeline.WithHint(fmt.Errorf("--delimiter is for csv, but %s is %s", f, in.format), "leave --delimiter out; or, if the file is delimited text, say so with --input-format csv")
	case in.opts.NoHeader && in.format != "csv" && in.format != "tsv":
		return pipeline.WithHint(fmt.Errorf("--no-header is for csv and tsv, but %s is %s", f, in.format), "leave --no-header out")
	}
	return nil
}

// checkOtherFiles opens the files behind the first one, and closes them again.
func (in *Input) checkOtherFiles() error {
	if !in.fixed {
		return nil
	}
	for _, f := range in.files[1:] {
		r, cols, records, err := openFile(f, &in.opts)
		if err != nil {
			return f.explainError(err)
		}
		_, err = in.prepareFile(f, r, cols, records)
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return f.explainError(err)
		}
	}
	return nil
}

func checkRegular(f File) error {
	info, err := os.Stat(f.Path)
	switch {
	case err != nil && f.Name != "":
		return fmt.Errorf("%s: %w", f, err)
	case err != nil:
		return err // it names the path
	case info.IsDir():
		return pipeline.WithHint(fmt.Errorf("%s is a folder, not a file", f), "name its files, for example with a glob")
	case !info.Mode().IsRegular():
		return pipeline.WithHint(fmt.Errorf("%s is not a regular file", f), "write it to a file first, or pipe it in as -")
	}
	return nil
}

// detectFormat is the format of a file: what the options say, or what its name says.
func detectFormat(f File, option string) (string, error) {
	valid := "formats are " + strings.Join(Formats, ", ")
	option = strings.Replace(option, "ndjson", "jsonl", 1) // the same by another name
	if option != "" {
		if !slices.Contains(Formats, option) {
			return "", pipeline.WithHint(fmt.Errorf("unknown input format %q", option), valid)
		}
		return option, nil
	}
	name := strings.ToLower(f.String())
	for _, format := range Formats {
		if strings.HasSuffix(name, "."+format) || strings.HasSuffix(name, "."+strings.Replace(format, "jsonl", "ndjson", 1)) {
			return format, nil
		}
	}
	if strings.HasSuffix(name, ".json") {
		return "", pipeline.WithHint(fmt.Errorf("%s: a .json file may hold anything", f),
			"an array: jq -c '.[]' users.json > users.jsonl; an object a line: --input-format jsonl")
	}
	return "", pipeline.WithHint(fmt.Errorf("%s: the name does not tell the format", f), "say it with --input-format; "+valid)
}

// openFormat opens one file. It holds the one switch over the formats.
func openFormat(f File, opts *Options) (reader, error) {
	format, err := detectFormat(f, opts.Format)
	if err != nil {
		return nil, err
	}
	file, err := f.beginPass()
	if err != nil {
		return nil, err
	}
	var text io.Reader = file
	var closer io.Closer = file
	format, compression, _ := strings.Cut(format, ".")
	switch compression {
	case "gz":
		text, err = gzip.NewReader(file)
	case "zst":
		var z *zstd.Decoder
		z, err = zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		text, closer = z, &zstdCloser{z, file}
	}
	if err != nil {
		_ = file.Close()
		return nil, newCompressionError(f, format, compression, err)
	}
	var r reader
	switch format {
	case "csv":
		r, err = openCSV(newLines(f.String(), text), closer, opts.newCSVOptions(','))
	case "tsv":
		r, err = openCSV(newLines(f.String(), text), closer, opts.newCSVOptions('\t'))
	case "jsonl":
		r, err = openJSONL(newLines(f.String(), text), closer, opts.Mapping.Trim)
	case "parquet":
		r, err = openParquet(f.String(), file.file, file, opts.Mapping.namedColumns(), parsePartitions(f))
	}
	if err != nil {
		_ = closer.Close()
		if errors.Is(err, zstd.ErrMagicMismatch) { // it reads nothing before the first line is wanted
			return nil, newCompressionError(f, format, compression, zstd.ErrMagicMismatch)
		}
		return nil, err
	}
	return r, nil
}

// newCompressionError says of a file that it is not compressed, if that is what err means.
func newCompressionError(f File, format, compression string, err error) error {
	name := map[string]string{"gz": "gzip", "zst": "zstd"}[compression]
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return pipeline.WithHint(fmt.Errorf("%s: this is not %s: %w", f, name, err),
			"if it is not compressed, say --input-format "+format+"; a browser may have unpacked it and kept its name")
	}
	return fmt.Errorf("%s: %w", f, err)
}

// newCSVOptions are the options for a file of cells that a comma delimits, or what they say instead.
func (o *Options) newCSVOptions(comma byte) csvOptions {
	if o.Delimiter != 0 {
		comma = byte(o.Delimiter) // Open has made sure that it is ASCII
	}
	return csvOptions{comma: comma, missingEmpty: o.Mapping.MissingEmpty, noHeader: o.NoHeader, trim: o.Mapping.Trim, pad: o.Pad}
}

type zstdCloser struct {
	z    *zstd.Decoder
	file io.Closer
}

func (c *zstdCloser) Close() error {
	c.z.Close()
	return c.file.Close()
}

// Where rows have columns of their own, the first ones say which there are.
const (
	sampleRows  = 100
	sampleBytes = 1 << 20
)

// sampleColumns is the columns of the first records, in the order in which they appear.
func sampleColumns(r reader) ([]column, error) {
	var cols []column
	seen := map[string]bool{}
	size := 0
	for i := 0; i < sampleRows && size < sampleBytes; i++ {
		var rec record
		err := r.readRecord(&rec)
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		size += rec.size
		if rec.err != nil {
			continue
		}
		for _, c := range rec.cells {
			if !seen[c.Name] {
				seen[c.Name] = true
				cols = append(cols, column{name: c.Name})
			}
		}
	}
	return cols, nil
}

// openFile opens a file at its first record and finds out its columns, and whether it is one of error records.
func openFile(f File, opts *Options) (r reader, cols []column, records bool, err error) {
	for {
		if r, err = openFormat(f, opts); err != nil {
			return nil, nil, false, err
		}
		if records {
			r = newErrorFile(f.String(), r, opts.newCSVOptions(','))
		}
		cols = r.columns()
		sampled := cols == nil
		if sampled {
			cols, err = sampleColumns(r)
		}
		again := err == nil && !records && hasErrorColumns(cols)
		if err == nil && !sampled && !again {
			return r, cols, records, nil
		}
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, nil, false, err
		}
		if again {
			records = true
			continue
		}
		if r, err = openFormat(f, opts); err != nil { // from the start again
			return nil, nil, false, err
		}
		if records {
			r = newErrorFile(f.String(), r, opts.newCSVOptions(','))
		}
		return r, cols, records, nil
	}
}

// openNextFile opens the next file; io.EOF says that there is none.
func (in *Input) openNextFile() error {
	if in.next == len(in.files) {
		return io.EOF
	}
	f := in.files[in.next]
	r, cols, records, err := openFile(f, &in.opts)
	if err != nil {
		return f.explainError(err)
	}
	m, err := in.prepareFile(f, r, cols, records)
	if err != nil {
		_ = r.Close()
		return f.explainError(err)
	}
	in.reader, in.mapper = r, m
	in.next++
	return nil
}

// prepareFile checks a file that was opened against those before it, and compiles its mapping.
func (in *Input) prepareFile(f File, r reader, cols []column, records bool) (*mapper, error) {
	fixed := r.columns() != nil
	first := in.next == 0
	for i := range cols {
		if cols[i].leftOut = cols[i].unreadable; in.binary[cols[i].name] {
			cols[i].leftOut = "a column of bytes that are not text"
		}
	}
	if first {
		in.cols, in.fixed, in.records = cols, fixed, records
	} else if records != in.records {
		what := map[bool]string{false: "users", true: "error records"}
		return nil, pipeline.WithHint(fmt.Errorf("%s holds %s, but %s holds %s", f, what[records], in.files[0], what[in.records]),
			"read them in runs of their own")
	} else if fixed {
		if err := checkSameColumns(f, cols, in.files[0], in.cols); err != nil {
			return nil, err
		}
	}
	m, err := newMapper(cols, fixed, &in.opts.Mapping)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
	}
	if !first && !fixed {
		m.seen = in.mapper.seen
	}
	carry, nulls := m.carriedColumns(cols)
	if first {
		in.carry, in.carryNulls = carry, nulls
	}
	for i, c := range carry {
		was := &in.carry[i]
		switch {
		case nulls[i]:
		case in.carryNulls[i]:
			*was, in.carryNulls[i] = c, false
		case c.Type != was.Type:
			return nil, fmt.Errorf("%s: the column %s is %s, but in %s it is %s", f, c.Name, c.Type, in.files[0], was.Type)
		default:
			was.Precision = max(was.Precision, c.Precision) // room for the decimals of all files; their scale is the same
		}
	}
	if fixed {
		wanted := make([]bool, len(cols))
		for _, s := range m.slots {
			wanted[s.cell] = true
		}
		for _, c := range m.carry {
			wanted[c] = true
		}
		if at := r.selectColumns(wanted); at != nil {
			m.remapCells(at)
		}
	}
	return m, nil
}

// checkSameColumns makes sure that a file has the columns that the first one has. Their order does not matter.
func checkSameColumns(f File, cols []column, first File, want []column) error {
	at := make(map[string]int, len(want))
	for i, w := range want {
		at[w.name] = i
	}
	hint := "files of one input have the same columns; read others in runs of their own"
	for _, c := range cols {
		i, ok := at[c.name]
		if !ok {
			return pipeline.WithHint(fmt.Errorf("%s has the column %q, which %s has not", f, c.name, first), hint)
		}
		w := &want[i]
		if w.shape == shapeNulls {
			w.shape = c.shape
		}
		if c.shape != w.shape && c.shape != shapeNulls {
			return pipeline.WithHint(fmt.Errorf("%s: the column %q holds %.200s, but in %s it holds %.200s", f, c.name, c.shape, first, w.shape), hint)
		}
		delete(at, c.name)
	}
	for _, w := range want {
		if _, ok := at[w.name]; ok {
			return pipeline.WithHint(fmt.Errorf("%s lacks the column %q, which %s has", f, w.name, first), hint)
		}
	}
	return nil
}

// Next implements [pipeline.Source]. An error, io.EOF included, comes again at the next call.
func (in *Input) Next(row *pipeline.Row) error {
	if in.err == nil {
		in.err = in.readRow(row)
	}
	return in.err
}

func (in *Input) readRow(row *pipeline.Row) error {
	for {
		in.rec = record{cells: row.Input[:0]}
		err := in.reader.readRecord(&in.rec)
		if err == nil {
			break
		}
		f := in.files[in.next-1]
		if err != io.EOF {
			return f.explainError(err)
		}
		if f.pin != nil {
			if _, err := f.finishPass(); err != nil {
				return err
			}
		}
		if err := in.reader.Close(); err != nil {
			return err
		}
		if err := in.openNextFile(); err != nil {
			in.reader = nil
			return err
		}
	}
	if in.rec.number == 0 {
		in.rec.number = in.number + 1
	} else if in.rec.number <= in.number {
		return pipeline.WithHint(fmt.Errorf("%s: row number %d comes after %d", in.files[in.next-1], in.rec.number, in.number),
			"error records are sorted by row; give the files of one input in its order")
	}
	in.number = in.rec.number
	row.Number, row.FailedWith = in.number, in.rec.failedWith
	row.Input = in.rec.cells
	if in.records {
		if err := in.checkRun(); err != nil {
			return err
		}
	}
	in.mapper.fillRow(row, &in.rec)
	if (in.rec.err != nil || in.rec.bad != nil) && !IsBadRow(row.Input) {
		// A row that is not whole would be another user when its error record is read again, and be answered for that one.
		// The ids that it has are in the record all the same.
		row.Input = nil
	}
	if row.Err != nil && len(in.files) > 1 { // its line is that of a file
		row.Err.Message = in.files[in.next-1].String() + ": " + row.Err.Message
	}
	return nil
}

// checkRun makes sure that the error records of all files are of one run.
func (in *Input) checkRun() error {
	e, ok := in.reader.(*errorFile)
	if !ok || e.runID == in.failedRun || e.runID == "" {
		return nil
	}
	if in.failedRun != "" {
		return pipeline.WithHint(fmt.Errorf("%s holds error records of run %s, the files before it of run %s", e.name, e.runID, in.failedRun),
			"ask about the failed users of each run on their own")
	}
	in.failedRun = e.runID
	return nil
}

// FailedRun is the id of the run whose error records the input holds, as far as they were read; "" for other inputs, and
// for error records of versions that did not write it.
func (in *Input) FailedRun() string { return in.failedRun }

// Close closes the file that is open. It may be called again.
func (in *Input) Close() error {
	if in.err == nil {
		in.err = errors.New("the input is closed")
	}
	if in.reader == nil {
		return nil
	}
	err := in.reader.Close()
	in.reader = nil
	return err
}

// Columns says what becomes of the columns: of the header, or, where every row has its own (JSONL, error
// records), of those in the first 100 rows and of those that the options name.
func (in *Input) Columns() []ColumnUse { return slices.Clone(in.uses) }

// Carry is the carried columns, in the order of [Mapping].Carry.
func (in *Input) Carry() []pipeline.Column { return slices.Clone(in.carry) }

// Ragged reports whether the row that Next has read last lacks cells at its end, or has empty ones too many. Options.Pad
// takes such a row; else it is a bad row.
func (in *Input) Ragged() bool { return in.rec.ragged }

// HasLocation reports whether a column may say where a user is. Without one, the API takes the caller's place.
func (in *Input) HasLocation() bool {
	return slices.ContainsFunc(in.uses, func(u ColumnUse) bool {
		return slices.ContainsFunc(strings.Split(u.Target, ", "), func(t string) bool {
			return t == "context" || slices.Contains(locationFields, t)
		})
	})
}

// MissingColumns are the columns that the options name and that no row has had so far. It is only of use after the
// last row: where there is a header, Open has looked, and it is empty.
func (in *Input) MissingColumns() []string {
	if in.fixed {
		return nil
	}
	return slices.DeleteFunc(in.mapper.optionColumns(), func(name string) bool { return in.mapper.seen[name] })
}
