package snapshot

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// textFile reads the records of a file that may be compressed.
type textFile struct {
	name    string
	file    blob.File
	zstd    *zstd.Decoder
	records *bufio.Scanner
	line    int64 // lines used
	begin   int64 // the line where the last record begins

	cols []column
	row  []Value
}

const (
	textBuffer = 256 << 10
	maxWindow  = 32 << 20 // of zstd
)

// openText opens a file whose records end where split says.
func openText(files *blob.Files, path, compression string, split bufio.SplitFunc) (*textFile, error) {
	f, err := files.Open(path)
	if err != nil {
		return nil, err
	}
	t := &textFile{name: path, file: f}
	var r io.Reader = f
	switch compression {
	case "gz":
		r, err = gzip.NewReader(f)
	case "zst":
		// Two decoders would be faster, but a report uses the second processor for other work.
		t.zstd, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		r = t.zstd
	}
	if err != nil {
		f.Close() //nolint:errcheck // only read
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	t.records = bufio.NewScanner(r)
	t.records.Buffer(make([]byte, textBuffer), maxRecord)
	t.records.Split(split)
	return t, nil
}

var errCutOff = errors.New("the file ends in the middle of a record")

// nextRecord is the next record, which is valid until the next call; io.EOF after the last one.
func (t *textFile) nextRecord() ([]byte, error) {
	if t.records.Scan() {
		return t.records.Bytes(), nil
	}
	switch err := t.records.Err(); err {
	case nil:
		return nil, io.EOF
	case errCutOff:
		return nil, t.errorf("%w", err)
	case bufio.ErrTooLong:
		return nil, t.errorf("a record has more than %d bytes", maxRecord)
	default:
		return nil, fmt.Errorf("%s: after line %d: %w", t.name, t.line, err)
	}
}

// errorf is an error of the line after the last one that was used.
func (t *textFile) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %w", t.name, t.line+1, fmt.Errorf(format, args...))
}

func (t *textFile) columns() []column { return t.cols }

func (t *textFile) selectColumns([]bool) {} // it would save nothing: each record is cut into cells anyway

func (t *textFile) position() string { return fmt.Sprintf("line %d", t.begin) }

func (t *textFile) Close() error {
	if t.zstd != nil {
		t.zstd.Close()
	}
	return t.file.Close()
}

// splitRecords is a [bufio.SplitFunc]: a record ends with its \n, which the last one has to have as well, and which is
// not inside of quotes where quote is set.
func splitRecords(quote bool) bufio.SplitFunc {
	return func(data []byte, atEOF bool) (int, []byte, error) {
		quotes, end := 0, 0
		for {
			i := bytes.IndexByte(data[end:], '\n')
			if i < 0 {
				break
			}
			from := end
			end += i + 1
			if quote {
				quotes += bytes.Count(data[from:end], []byte{'"'})
			}
			if quotes%2 == 0 {
				return end, data[:end], nil
			}
		}
		if atEOF && len(data) > 0 {
			return 0, nil, errCutOff
		}
		return 0, nil, nil
	}
}
