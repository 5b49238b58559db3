package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Record is what came of one row.
type Record struct {
	Row     int64    // its number in the input
	Request [16]byte // hash of the canonical request; zero: the row made none
	// Attempts on the wire. Of a failure it is Err.Attempts: that is what is written, whatever it says here.
	Attempts int
	At       time.Time // when the answer, or the failure, came; to the millisecond, read back in UTC
	Body     string    // the answer's bytes, verbatim
	Err      *pipeline.UserError
}

const (
	answered = "answered" // the kind of a record that is no failure
	absent   = "-"
)

// appendRecord appends the record's line.
func appendRecord(dst []byte, r *Record) ([]byte, error) {
	kind, status, attempts, body := answered, 0, r.Attempts, r.Body
	if e := r.Err; e != nil {
		kind, status, attempts, body = string(e.Kind), e.HTTPStatus, e.Attempts, e.Message
		if !slices.Contains(pipeline.Kinds, e.Kind) {
			return dst, fmt.Errorf("row %d: a failure of the unknown kind %q", r.Row, kind)
		}
	}
	if len(body) > MaxBody {
		return dst, fmt.Errorf("row %d: %d bytes are more than a journal takes for one user", r.Row, len(body))
	}
	dst = strconv.AppendInt(dst, r.Row, 10)
	dst = append(dst, ' ')
	if r.Request == [16]byte{} {
		dst = append(dst, absent...)
	} else {
		dst = hex.AppendEncode(dst, r.Request[:])
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(attempts), 10)
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, r.At.UnixMilli(), 10)
	dst = append(dst, ' ')
	dst = append(dst, kind...)
	dst = append(dst, ' ')
	if status == 0 {
		dst = append(dst, absent...)
	} else {
		dst = strconv.AppendInt(dst, int64(status), 10)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, ' ')
	dst = append(dst, body...)
	return append(dst, '\n'), nil
}

var errRecord = errors.New("a line that is not a record's")

// parseRecord reads the first record of text into r and returns what follows it. What it makes has memory of its
// own.
func parseRecord(text []byte, r *Record) (rest []byte, err error) {
	p := parser{text: text}
	*r = Record{Row: p.number()}
	if field := p.field(); string(field) != absent {
		if n, err := hex.Decode(r.Request[:], field[:min(len(field), 32)]); err != nil || n != 16 || len(field) != 32 {
			p.bad = true
		}
	}
	r.Attempts = int(p.number())
	r.At = time.UnixMilli(p.number()).UTC()
	kind := string(p.field())
	status := 0
	if string(p.peek()) == absent {
		p.field()
	} else {
		status = int(p.number())
	}
	length := p.number()
	if p.bad || length < 0 || length > MaxBody || int64(len(p.text)) <= length || p.text[length] != '\n' {
		return nil, errRecord
	}
	body := string(p.text[:length])
	if kind == answered {
		r.Body = body
		return p.text[length+1:], nil
	}
	r.Err = &pipeline.UserError{Kind: pipeline.Kind(kind), HTTPStatus: status, Attempts: r.Attempts, Message: body}
	if !slices.Contains(pipeline.Kinds, r.Err.Kind) {
		return nil, errRecord
	}
	return p.text[length+1:], nil
}

// parser takes fields that end with a space. Once something is wrong, bad stays set.
type parser struct {
	text []byte
	bad  bool
}

func (p *parser) peek() []byte {
	const longest = 40
	end := bytes.IndexByte(p.text[:min(len(p.text), longest)], ' ')
	if end < 0 {
		p.bad = true
		return nil
	}
	return p.text[:end]
}

func (p *parser) field() []byte {
	field := p.peek()
	if !p.bad {
		p.text = p.text[len(field)+1:]
	}
	return field
}

func (p *parser) number() int64 {
	n, err := strconv.ParseInt(string(p.field()), 10, 64)
	if err != nil {
		p.bad = true
	}
	return n
}
