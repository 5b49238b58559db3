package sources

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// formats are the valid values of [Options].Format.
var formats = []string{
	"csv", "csv.gz", "csv.zst", "tsv", "tsv.gz", "tsv.zst", "jsonl", "jsonl.gz", "jsonl.zst", "parquet",
}

// maxWindow bounds the memory of a zstd stream. It is the window of zstd -20; -21 and -22 use larger ones.
const maxWindow = 32 << 20

// Options say how to read the input.
type Options struct {
	Format  string // "csv", "tsv.gz", "jsonl.zst", "parquet", …; "" means that each file's extension names it
	Mapping Mapping

	NoHeader bool // the first line of CSV and TSV is a row; the columns are named c1, c2, …
	Pad      bool // accept rows of CSV and TSV that lack cells at the end, which are empty then, or have extra empty ones

	// Delimiter separates the cells of CSV; 0 is a comma. It must be 0 for other formats. [ParseDelimiter] makes one of
	// what a person writes.
	Delimiter rune

	// Parts are what is read of the files, in their order and of each file once; nil means all. The rows have the numbers
	// that they have in the whole input.
	Parts []Part

	ahead aheadOptions
}

// ParseDelimiter returns the delimiter that text names: one ASCII character, or \t for a tab.
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
	return pipeline.WithHint(fmt.Errorf("--delimiter %q is not a valid delimiter", text),
		`a delimiter is one ASCII character other than a quote or a line end, such as ; or |, or \t for a tab`)
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
	Name string // the name in errors; "" means Path

	// Object is the file's content if it is in a store; then Path is its URL. It is nil for a local file.
	Object *blob.Object

	pin *pin // see [Pin]
}

func (f File) String() string {
	if f.Name != "" {
		return f.Name
	}
	return f.Path
}

// Input is one or more files as one input: row numbers continue across them. It is a [pipeline.Source].
//
// It reuses row.Input, row.Carry and row.User.Context. Do not append to Context: its values may be in the capacity
// after its length.
//
// Rows are decoded ahead of Next, by goroutines that end with the file, with an error, and with Close: see ahead.go.
type Input struct {
	files      []File
	parts      []Part // of the files: all of each, unless the options have parts
	opts       Options
	next       int // the part to open next
	reader     reader
	mapper     *mapper
	decoder    decoder // of reader and mapper
	ahead      *ahead  // which decodes in place of decoder, from the first row of a file on; nil if nothing does
	started    bool    // a row of the current file was asked for
	inspect    func(*pipeline.Row)
	info       rowInfo         // of the last row
	seen       map[string]bool // the names in the options that a row had, if every row has its own columns
	cols       []column        // of the first file
	fixed      bool            // every row has these columns
	records    bool            // the files are error records
	failedRun  string          // the run that wrote the error records
	format     string          // of the first file, without compression
	binary     map[string]bool // columns whose bytes are not text; see findBinary
	uses       []ColumnUse
	carry      []pipeline.Column
	carryNulls []bool // the columns of carry that hold only nulls in the files so far
	number     int64
	err        error // sticky
}

// reader decodes the records of one file. The errors that it returns name the file.
type reader interface {
	recordReader
	// columns returns the columns of the header; nil if every record has its own.
	columns() []column
	// selectColumns selects the wanted columns, before the first record. It returns the index of each column's cell in a
	// record; nil if no column is left out.
	selectColumns(wanted []bool) (at []int)
	io.Closer
}

type recordReader interface {
	// readRecord appends the cells of the next record to rec.cells. It returns io.EOF after the last record.
	readRecord(rec *record) error
}

// Open opens the files as one input. They must be regular files of one format with the same columns. Open checks the
// header of every file, so that the last one does not stop a run that is almost complete. JSONL has no header, so its
// errors are found later, when the file is read.
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
	in := &Input{files: slices.Clone(files), parts: opts.Parts, opts: opts}
	if in.parts == nil {
		for i := range files {
			in.parts = append(in.parts, Part{File: i, To: -1})
		}
	}
	for _, f := range files {
		if f.pin != nil {
			f.pin.pass, f.pin.part = nil, nil
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
				"read files of different formats in separate runs")
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

// checkFormatOptions rejects options that are not for the format. It ignores them for error records, which have their
// own format, so that the command of the failed run can be repeated with them.
func (in *Input) checkFormatOptions() error {
	f := in.files[0]
	switch {
	case in.records:
	case in.opts.Delimiter != 0 && in.format != "csv":
		return pipeline.WithHint(fmt.Errorf("--delimiter is for csv, but %s is %s", f, in.format),
			"leave --delimiter out; or, if the file is delimited text, add --input-format csv")
	case in.opts.NoHeader && in.format != "csv" && in.format != "tsv":
		return pipeline.WithHint(fmt.Errorf("--no-header is for csv and tsv, but %s is %s", f, in.format),
			"leave --no-header out")
	}
	return nil
}

// checkOtherFiles opens the files after the first one, and closes them again.
func (in *Input) checkOtherFiles() error {
	if !in.fixed {
		return nil
	}
	for i, f := range in.files {
		if i == in.parts[0].File {
			continue
		}
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
	if f.Object != nil {
		return nil
	}
	info, err := os.Stat(f.Path)
	switch {
	case err != nil && f.Name != "":
		return fmt.Errorf("%s: %w", f, err)
	case err != nil:
		return err // it names the path
	case info.IsDir():
		return pipeline.WithHint(fmt.Errorf("%s is a directory, not a file", f), "name its files, for example with a glob")
	case !info.Mode().IsRegular():
		return pipeline.WithHint(fmt.Errorf("%s is not a regular file", f), "write it to a file first, or pipe it in as -")
	}
	return nil
}

// detectFormat returns the format that the option names, or else the extension of the file's name.
func detectFormat(f File, option string) (string, error) {
	valid := "formats are " + strings.Join(formats, ", ")
	option = strings.Replace(option, "ndjson", "jsonl", 1) // another name for the same format
	if option != "" {
		if !slices.Contains(formats, option) {
			return "", pipeline.WithHint(fmt.Errorf("unknown input format %q", option), valid)
		}
		return option, nil
	}
	name := strings.ToLower(f.String())
	for _, format := range formats {
		if strings.HasSuffix(name, "."+format) || strings.HasSuffix(name, "."+strings.Replace(format, "jsonl", "ndjson", 1)) {
			return format, nil
		}
	}
	if strings.HasSuffix(name, ".json") {
		return "", pipeline.WithHint(fmt.Errorf("%s: a .json file may hold anything", f),
			"an array: jq -c '.[]' users.json > users.jsonl; one object per line: --input-format jsonl")
	}
	if slices.Contains(workbooks, filepath.Ext(name)) {
		return "", pipeline.WithHint(fmt.Errorf("%s: rollcall reads no workbooks (%s)", f, filepath.Ext(name)), hintWorkbook)
	}
	return "", pipeline.WithHint(fmt.Errorf("%s: the extension is not that of a known format", f),
		"set the format with --input-format; "+valid)
}

// workbooks are the extensions of spreadsheet programs.
var workbooks = []string{".xlsx", ".xlsm", ".xlsb", ".xls", ".ods", ".numbers"}

// openFormat opens one file. It holds the one switch over the formats. The partitions become columns with one value in
// all rows, but for those of which the file has a column itself.
func openFormat(f File, opts *Options, partitions []pipeline.Member) (reader, error) {
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
		z, err = zstd.NewReader(file, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		text, closer = z, &zstdCloser{z, file}
	}
	if err != nil {
		_ = file.Close()
		return nil, newCompressionError(f, format, compression, err)
	}
	var r reader
	switch format {
	case "csv":
		r, err = openCSV(newLines(f.String(), text), closer, opts.newCSVOptions(','), partitions)
	case "tsv":
		r, err = openCSV(newLines(f.String(), text), closer, opts.newCSVOptions('\t'), partitions)
	case "jsonl":
		r, err = openJSONL(newLines(f.String(), text), closer, opts.Mapping.Trim, partitions)
	case "parquet":
		r, err = openParquet(f.String(), file.file, file, opts.Mapping.namedColumns(), partitions)
	}
	if err != nil {
		_ = closer.Close()
		if errors.Is(err, zstd.ErrMagicMismatch) { // zstd reads nothing before the first line is read
			return nil, newCompressionError(f, format, compression, zstd.ErrMagicMismatch)
		}
		return nil, err
	}
	return r, nil
}

// newCompressionError returns err, or, if that is what err means, an error that the file is not compressed.
func newCompressionError(f File, format, compression string, err error) error {
	name := map[string]string{"gz": "gzip", "zst": "zstd"}[compression]
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, io.EOF) ||
		errors.Is(err, io.ErrUnexpectedEOF) {
		return pipeline.WithHint(fmt.Errorf("%s: this is not %s: %w", f, name, err),
			"if it is not compressed, add --input-format "+format+"; a browser may have decompressed it and kept its name")
	}
	return fmt.Errorf("%s: %w", f, err)
}

// newCSVOptions returns the options for a file of cells. The delimiter is comma, unless the options name another.
func (o *Options) newCSVOptions(comma byte) csvOptions {
	if o.Delimiter != 0 {
		comma = byte(o.Delimiter) // Open has checked that it is ASCII
	}
	return csvOptions{comma: comma, missingEmpty: o.Mapping.MissingEmpty, noHeader: o.NoHeader, trim: o.Mapping.Trim,
		pad: o.Pad}
}

type zstdCloser struct {
	z    *zstd.Decoder
	file io.Closer
}

func (c *zstdCloser) Close() error {
	c.z.Close()
	return c.file.Close()
}

// If every row has its own columns, the first rows say which there are.
const (
	sampleRows  = 100
	sampleBytes = 1 << 20
)

// sampleColumns returns the columns of the first records, in the order in which they appear.
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

// openFile opens a file at its first record, and returns its columns and whether it holds error records.
func openFile(f File, opts *Options) (r reader, cols []column, records bool, err error) {
	partitions, err := parsePartitions(f)
	if err != nil {
		return nil, nil, false, err
	}
	for {
		if records { // whose columns of the users are inside
			partitions = nil
		}
		if r, err = openFormat(f, opts, partitions); err != nil {
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
		again := err == nil && !records && (hasErrorColumns(cols) || hasErrorColumns(withoutColumns(cols, partitions)))
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
		if r, err = openFormat(f, opts, partitions); err != nil { // from the start again
			return nil, nil, false, err
		}
		if records {
			r = newErrorFile(f.String(), r, opts.newCSVOptions(','))
		}
		return r, cols, records, nil
	}
}

// openNextFile opens the next file. It returns io.EOF if there is none.
func (in *Input) openNextFile() error {
	if in.next == len(in.parts) {
		return io.EOF
	}
	part := &in.parts[in.next]
	f := in.files[part.File]
	if f.pin != nil && in.opts.Parts != nil {
		f.pin.part = part
	}
	r, cols, records, err := openFile(f, &in.opts)
	if err != nil {
		return f.explainError(err)
	}
	m, err := in.prepareFile(f, r, cols, records)
	if err == nil && in.opts.Parts != nil {
		in.number, err = part.Row, f.selectPart(r, part)
	}
	if err != nil {
		_ = r.Close()
		return f.explainError(err)
	}
	in.reader, in.mapper = r, m
	in.decoder = decoder{reader: r, mapper: m, inspect: in.inspect}
	in.ahead, in.started = nil, false
	in.next++
	return nil
}

// prepareFile checks an open file against those before it, and compiles its mapping.
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
		return nil, pipeline.WithHint(fmt.Errorf("%s holds %s, but %s holds %s", f, what[records], in.files[in.parts[0].File],
			what[in.records]),
			"read them in separate runs")
	} else if fixed {
		if err := checkSameColumns(f, cols, in.files[in.parts[0].File], in.cols); err != nil {
			return nil, err
		}
	}
	m, err := newMapper(cols, fixed, &in.opts.Mapping)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f, err)
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
			return nil, fmt.Errorf("%s: the column %s is %s, but in %s it is %s", f, c.Name, c.Type,
				in.files[in.parts[0].File], was.Type)
		default:
			was.Precision = max(was.Precision, c.Precision) // enough for the decimals of all files; their scale is the same
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

// checkSameColumns checks that a file has the columns of the first one, in any order.
func checkSameColumns(f File, cols []column, first File, want []column) error {
	at := make(map[string]int, len(want))
	for i, w := range want {
		at[w.name] = i
	}
	hint := "files of one input have the same columns; read others in separate runs"
	for _, c := range cols {
		i, ok := at[c.name]
		if !ok {
			return pipeline.WithHint(fmt.Errorf("%s has the column %q, which %s lacks", f, c.name, first), hint)
		}
		w := &want[i]
		if w.shape == shapeNulls {
			w.shape = c.shape
		}
		if c.shape != w.shape && c.shape != shapeNulls {
			return pipeline.WithHint(fmt.Errorf("%s: the column %q holds %.200s, but in %s it holds %.200s", f, c.name, c.shape,
				first, w.shape), hint)
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

// Next implements [pipeline.Source]. After an error, io.EOF included, it returns that error again.
func (in *Input) Next(row *pipeline.Row) error {
	if in.err == nil {
		in.err = in.readRow(row)
	}
	return in.err
}

func (in *Input) readRow(row *pipeline.Row) error {
	for {
		err := in.decodeRow(row)
		if err == nil {
			break
		}
		in.stopAhead()
		f := in.files[in.FileIndex()]
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
	if row.Number == 0 {
		row.Number = in.number + 1
	} else if row.Number <= in.number {
		return pipeline.WithHint(fmt.Errorf("%s: row number %d comes after %d", in.files[in.FileIndex()], row.Number, in.number),
			"error records are sorted by row; name the files of one input in that order")
	}
	in.number = row.Number
	for _, name := range in.info.saw {
		if in.seen == nil {
			in.seen = map[string]bool{}
		}
		in.seen[name] = true
	}
	if in.records {
		if err := in.checkRun(); err != nil {
			return err
		}
	}
	if row.Err != nil && len(in.files) > 1 { // the line number is useless without the file
		row.Err.Message = in.files[in.FileIndex()].String() + ": " + row.Err.Message
	}
	return nil
}

// decodeRow decodes the next row of the current file, but for its number.
func (in *Input) decodeRow(row *pipeline.Row) error {
	if !in.started {
		in.started = true
		in.ahead = startAhead(&in.decoder, in.opts.ahead)
	}
	if in.ahead != nil {
		err := in.ahead.next(row, &in.info)
		if err != errRedo {
			return err
		}
		in.stopAhead()
		u := in.ahead.unit
		in.ahead = nil
		if err := in.reader.(*parquetReader).redo(u, u.n); err != nil {
			return err
		}
	}
	return in.decoder.decodeRow(row, &in.info)
}

// stopAhead ends the goroutines that decode ahead. What they have decoded is lost.
func (in *Input) stopAhead() {
	if in.ahead != nil {
		in.ahead.stop()
	}
}

// Inspect makes f see each row before Next returns it, in place of the caller of Next, for whom only Number, Err and
// FailedWith are set. f is called from several goroutines at once, in no order, and sees no row numbers; if reading
// stops early, it has also seen rows that Next never returned. Call Inspect before the first Next.
func (in *Input) Inspect(f func(row *pipeline.Row)) {
	in.inspect = f
	in.decoder.inspect = f
}

// checkRun checks that the error records of all files are of one run.
func (in *Input) checkRun() error {
	e, ok := in.reader.(*errorFile)
	if !ok || e.runID == in.failedRun || e.runID == "" {
		return nil
	}
	if in.failedRun != "" {
		return pipeline.WithHint(fmt.Errorf("%s holds error records of run %s, the files before it of run %s", e.name,
			e.runID, in.failedRun),
			hintOneRun)
	}
	in.failedRun = e.runID
	return nil
}

// FailedRun returns the id of the run whose error records were read so far; "" for other inputs, and for error records
// of versions that did not write it.
func (in *Input) FailedRun() string { return in.failedRun }

// FileIndex returns the index in the files of the one that the last row came from.
func (in *Input) FileIndex() int { return in.parts[in.next-1].File }

// Close closes the open file. It may be called more than once.
func (in *Input) Close() error {
	if in.err == nil {
		in.err = errors.New("the input is closed")
	}
	if in.reader == nil {
		return nil
	}
	in.stopAhead()
	err := in.reader.Close()
	in.reader = nil
	return err
}

// Columns reports how the columns are used: those of the header, or, if every row has its own (JSONL, error records),
// those of the first 100 rows and those that the options name.
func (in *Input) Columns() []ColumnUse { return slices.Clone(in.uses) }

// HasHeader reports whether a header names the columns of all rows. Else Columns are those of the first rows.
func (in *Input) HasHeader() bool { return in.fixed }

// Carry returns the carried columns, in the order of [Mapping].Carry.
func (in *Input) Carry() []pipeline.Column { return slices.Clone(in.carry) }

// Ragged reports whether the last row lacks cells at its end, or has extra empty ones. Without Options.Pad it is a bad
// row.
func (in *Input) Ragged() bool { return in.info.ragged }

// HasLocation reports whether a column may say where a user is. Without one, the API uses the location of the caller.
func (in *Input) HasLocation() bool {
	return slices.ContainsFunc(in.uses, func(u ColumnUse) bool {
		return slices.ContainsFunc(strings.Split(u.Target, ", "), func(t string) bool {
			return t == "context" || slices.Contains(locationFields, t)
		})
	})
}

// MissingColumns returns the columns that the options name and that no row had so far. Call it after the last row. It
// returns none for files with a header, because Open checks those.
func (in *Input) MissingColumns() []string {
	if in.fixed {
		return nil
	}
	return slices.DeleteFunc(in.opts.Mapping.optionColumns(), func(name string) bool { return in.seen[name] })
}
