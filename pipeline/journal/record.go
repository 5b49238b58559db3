package journal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Record is the result of one row.
type Record struct {
	Row      int64     // its number in the input
	Request  [16]byte  // hash of the canonical request; zero if the row made none
	Attempts int       // requests sent; for a failure, Err.Attempts is written instead
	At       time.Time // when the answer, or the failure, came; to the millisecond, read back in UTC
	Body     string    // the bytes of the answer, unchanged
	Cache    pipeline.Cache
	Err      *pipeline.UserError
}

const (
	answered = "answered" // the kind of a record without a failure
	absent   = "-"
)

// appendRecord appends the record in the form that doc.go describes.
func appendRecord(dst []byte, r *Record) ([]byte, error) {
	kind, status, attempts, body := answered, 0, r.Attempts, r.Body
	if e := r.Err; e != nil {
		kind, status, attempts, body = string(e.Kind), e.HTTPStatus, e.Attempts, e.Message
		if !slices.Contains(pipeline.Kinds, e.Kind) {
			return dst, fmt.Errorf("row %d: unknown kind of failure %q", r.Row, kind)
		}
	}
	if len(body) > MaxBody {
		return dst, fmt.Errorf("row %d: the answer has %d bytes, more than a journal can have for one user", r.Row, len(body))
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
	switch {
	case r.Err == nil && r.Cache != pipeline.Cache{}:
		dst = append(append(dst, r.Cache.State...), ':')
		if r.Cache.Aged {
			dst = strconv.AppendInt(dst, r.Cache.Age, 10)
		}
	case status == 0:
		dst = append(dst, absent...)
	default:
		dst = strconv.AppendInt(dst, int64(status), 10)
	}
	dst = append(dst, ' ')
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, ' ')
	dst = append(dst, body...)
	return append(dst, '\n'), nil
}

var errRecord = errors.New("a line that is not a valid record")

// parseRecord parses the first record of text into r and returns the text after it. The record does not share memory
// with text, but its body is a part of shared, which has the same bytes.
func parseRecord(text []byte, shared string, r *Record) (rest []byte, err error) {
	p := fieldParser{text: text}
	*r = Record{Row: p.takeInt()}
	if field := p.takeField(); string(field) != absent {
		if n, err := hex.Decode(r.Request[:], field[:min(len(field), 32)]); err != nil || n != 16 || len(field) != 32 {
			p.bad = true
		}
	}
	r.Attempts = int(p.takeInt())
	r.At = time.UnixMilli(p.takeInt()).UTC()
	kind := string(p.takeField())
	status := 0
	switch {
	case string(p.peekField()) == absent:
		p.takeField()
	case kind == answered:
		r.Cache = p.takeCache()
	default:
		status = int(p.takeInt())
	}
	length := p.takeInt()
	if p.bad || length < 0 || length > MaxBody || int64(len(p.text)) <= length || p.text[length] != '\n' {
		return nil, errRecord
	}
	end := len(text) - len(p.text) + int(length)
	body := shared[end-int(length) : end]
	if kind == answered {
		r.Body = body
		return p.text[length+1:], nil
	}
	r.Err = &pipeline.UserError{Kind: pipeline.Kind(kind), HTTPStatus: status, Attempts: r.Attempts,
		Message: strings.Clone(body)} // which may be kept long
	if !slices.Contains(pipeline.Kinds, r.Err.Kind) {
		return nil, errRecord
	}
	return p.text[length+1:], nil
}

// fieldParser takes fields, each followed by a space, from a text. bad is set when a field is wrong, and stays set.
type fieldParser struct {
	text []byte
	bad  bool
}

func (p *fieldParser) peekField() []byte {
	const longest = 40
	end := bytes.IndexByte(p.text[:min(len(p.text), longest)], ' ')
	if end < 0 {
		p.bad = true
		return nil
	}
	return p.text[:end]
}

func (p *fieldParser) takeField() []byte {
	field := p.peekField()
	if !p.bad {
		p.text = p.text[len(field)+1:]
	}
	return field
}

// takeCache takes what an answer said of caches: hit, miss or nothing, a colon, and perhaps the age.
func (p *fieldParser) takeCache() (c pipeline.Cache) {
	state, age, ok := strings.Cut(string(p.takeField()), ":")
	c.State = state
	if age != "" {
		n, err := strconv.ParseInt(age, 10, 64)
		ok = ok && err == nil && n >= 0
		c.Aged, c.Age = true, n
	}
	if !ok || state != "" && state != pipeline.CacheHit && state != pipeline.CacheMiss || c == (pipeline.Cache{}) {
		p.bad = true
	}
	return c
}

func (p *fieldParser) takeInt() int64 {
	n, err := strconv.ParseInt(string(p.takeField()), 10, 64)
	if err != nil {
		p.bad = true
	}
	return n
}
