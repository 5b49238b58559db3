package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// textFile reads the decompressed bytes of a file through a buffer.
type textFile struct {
	name  string
	file  *os.File
	zstd  *zstd.Decoder
	r     io.Reader
	buf   []byte // buf[start:end] is read and not used yet
	start int
	end   int
	eof   bool
	line  int64 // lines used
}

const (
	textBuffer = 256 << 10
	maxWindow  = 32 << 20 // of zstd
)

func openText(path, compression string) (*textFile, error) {
	f, err := OpenOutput(path)
	if err != nil {
		return nil, err
	}
	t := &textFile{name: path, file: f, r: f, buf: make([]byte, textBuffer)}
	switch compression {
	case "gz":
		t.r, err = gzip.NewReader(f)
	case "zst":
		// Two decoders would be faster, but a report uses the second processor for other work.
		t.zstd, err = zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(maxWindow))
		t.r = t.zstd
	}
	if err != nil {
		f.Close() //nolint:errcheck // only read
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}

// readMore reads on, and moves buf[start:end] to the start of the buffer. At the end of the file it sets eof.
func (t *textFile) readMore() error {
	if t.start > 0 {
		copy(t.buf, t.buf[t.start:t.end])
		t.start, t.end = 0, t.end-t.start
	}
	if t.end == len(t.buf) {
		if len(t.buf) >= maxRecord {
			return fmt.Errorf("%s: line %d: a record has more than %d bytes", t.name, t.line+1, maxRecord)
		}
		t.buf = slices.Grow(t.buf, len(t.buf))[:2*len(t.buf)]
	}
	for range 100 {
		n, err := t.r.Read(t.buf[t.end:])
		t.end += n
		if errors.Is(err, io.EOF) {
			t.eof = true
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: after line %d: %w", t.name, t.line, err)
		}
		if n > 0 {
			return nil
		}
	}
	return fmt.Errorf("%s: %w", t.name, io.ErrNoProgress)
}

// errorf is an error of the line after the last one that was used.
func (t *textFile) errorf(format string, args ...any) error {
	return fmt.Errorf("%s: line %d: %w", t.name, t.line+1, fmt.Errorf(format, args...))
}

func (t *textFile) position() string { return fmt.Sprintf("line %d", t.line) }

func (t *textFile) Close() error {
	if t.zstd != nil {
		t.zstd.Close()
	}
	return t.file.Close()
}

// nextLine is the next line without its \n, which the last one has to have as well; io.EOF after that.
func (t *textFile) nextLine() ([]byte, error) {
	for seen := 0; ; {
		if i := bytes.IndexByte(t.buf[t.start+seen:t.end], '\n'); i >= 0 {
			line := t.buf[t.start : t.start+seen+i]
			t.start += seen + i + 1
			return line, nil
		}
		if t.eof {
			if t.start == t.end {
				return nil, io.EOF
			}
			return nil, t.errorf("the file ends in the middle of it")
		}
		seen = t.end - t.start
		if err := t.readMore(); err != nil {
			return nil, err
		}
	}
}
