package sinks

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

const (
	spillMemory = 8 << 20  // of all partitions, before their rows go to disk
	spillBlock  = 32 << 10 // of one partition, before it is compressed
)

// spill keeps the rows of all partitions until their files are written: in memory, or if they are too many in one
// temporary file. It is used from one goroutine.
type spill struct {
	path  string // of the output
	files *staging.Files
	zstd  *zstd.Encoder
	buf   []byte // of zstd
	held  int    // bytes in memory

	file *staging.Scratch // nil: all is in memory
	size int64            // of the file

	memory, block int // the constants, except in tests
}

// spilled is the rows of one partition, in the order in which they were added.
type spilled struct {
	open   []byte
	blocks []spillBlockAt
}

// spillBlockAt is a compressed block.
type spillBlockAt struct {
	data   []byte // nil: it is in the file
	offset int64
	size   int
}

// add adds an outcome with some of its assignments to the rows of one of all partitions.
func (s *spill) add(to *spilled, o *pipeline.Outcome, assignments []pipeline.Assignment,
	all map[string]*partition) error {
	before := len(to.open)
	to.open = appendOutcome(to.open, o, assignments)
	s.held += len(to.open) - before
	if len(to.open) >= cmp.Or(s.block, spillBlock) {
		if err := s.compress(to); err != nil {
			return err
		}
	}
	if s.held < cmp.Or(s.memory, spillMemory) {
		return nil
	}
	return s.flush(all)
}

// compress makes a block of the rows that are not in one yet.
func (s *spill) compress(rows *spilled) error {
	if len(rows.open) == 0 {
		return nil
	}
	if s.zstd == nil {
		var err error
		if s.zstd, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
			zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true)); err != nil {
			return err
		}
	}
	s.buf = s.zstd.EncodeAll(rows.open, s.buf[:0])
	data := bytes.Clone(s.buf)
	s.held += len(data) - len(rows.open)
	rows.blocks = append(rows.blocks, spillBlockAt{data: data, size: len(data)})
	if rows.open = rows.open[:0]; cap(rows.open) > spillBlock+spillBlock/2 {
		rows.open = nil
	}
	return nil
}

// flush writes what is in memory to the file.
func (s *spill) flush(all map[string]*partition) error {
	if s.file == nil {
		var err error
		if s.file, err = s.files.CreateScratch(s.path); err != nil {
			return err
		}
	}
	var buf []byte
	for _, p := range all {
		if err := s.compress(&p.rows); err != nil {
			return err
		}
		p.rows.open = nil
		for i := len(p.rows.blocks) - 1; i >= 0 && p.rows.blocks[i].data != nil; i-- {
			b := &p.rows.blocks[i]
			b.offset = s.size + int64(len(buf))
			buf = append(buf, b.data...)
			b.data = nil
		}
		if len(buf) >= 1<<20 {
			if err := s.write(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
	}
	s.held = 0
	return s.write(buf)
}

func (s *spill) write(buf []byte) error {
	n, err := s.file.Write(buf)
	s.size += int64(n)
	return staging.WrapError("write", s.path, err)
}

// close removes the file. It may be called more than once.
func (s *spill) close() error {
	if s.zstd != nil {
		s.zstd.Close()
		s.zstd = nil
	}
	if s.file == nil {
		return nil
	}
	err := s.file.Close()
	s.file = nil
	return err
}

// read returns a reader of a partition's rows, which are added no more.
func (s *spill) read(rows *spilled, carried int) *spillReader {
	return &spillReader{s: s, rows: rows, carried: carried}
}

// spillReader reads the rows of one partition.
type spillReader struct {
	s       *spill
	rows    *spilled
	carried int
	zstd    *zstd.Decoder
	block   int // blocks read
	packed  []byte
	buf     []byte
	text    string // of a block, from the next outcome on
	bad     bool
}

var errSpill = errors.New("the temporary file of the partitions has changed")

// next reads the next outcome, if there is one. It reuses the memory of o, but for its strings.
func (r *spillReader) next(o *pipeline.Outcome) (ok bool, err error) {
	for r.text == "" {
		switch {
		case r.block < len(r.rows.blocks):
			if err := r.readBlock(&r.rows.blocks[r.block]); err != nil {
				return false, err
			}
			r.block++
		case len(r.rows.open) > 0:
			r.text = string(r.rows.open)
			r.rows.open = nil
		default:
			if r.zstd != nil {
				r.zstd.Close()
			}
			return false, nil
		}
	}
	r.decode(o)
	if r.bad {
		return false, fmt.Errorf("write %s: %w", r.s.path, errSpill)
	}
	return true, nil
}

func (r *spillReader) readBlock(b *spillBlockAt) error {
	data := b.data
	if data == nil {
		data = slices.Grow(r.packed[:0], b.size)[:b.size]
		r.packed = data
		if _, err := r.s.file.ReadAt(data, b.offset); err != nil {
			return staging.WrapError("read", r.s.path, err)
		}
	}
	if r.zstd == nil {
		var err error
		if r.zstd, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true)); err != nil {
			return err
		}
	}
	var err error
	if r.buf, err = r.zstd.DecodeAll(data, r.buf[:0]); err != nil {
		return fmt.Errorf("write %s: %w: %w", r.s.path, errSpill, err)
	}
	r.text, b.data = string(r.buf), nil
	if r.text == "" {
		return fmt.Errorf("write %s: %w", r.s.path, errSpill)
	}
	return nil
}

// appendOutcome appends what tables take from an outcome, with some of its assignments. Numbers are varints, and texts
// are preceded by their length.
func appendOutcome(dst []byte, o *pipeline.Outcome, assignments []pipeline.Assignment) []byte {
	dst = binary.AppendVarint(dst, o.Row.Number)
	dst = binary.AppendVarint(dst, o.At.UnixMilli())
	dst = appendString(dst, o.Row.User.UserID)
	dst = appendString(dst, o.Row.User.DeviceID)
	dst = appendString(dst, o.Cache.State)
	dst = appendBool(dst, o.Cache.Aged)
	dst = binary.AppendVarint(dst, o.Cache.Age)
	for i := range o.Row.Carry {
		v := &o.Row.Carry[i]
		switch dst = append(dst, byte(v.Kind)); v.Kind {
		case pipeline.List, pipeline.Object:
			before := len(dst)
			text := v.AppendJSON(nil)
			dst = appendString(dst[:before], string(text))
		default:
			dst = appendString(binary.AppendVarint(dst, v.Num), v.Text)
		}
	}
	dst = binary.AppendUvarint(dst, uint64(len(assignments)))
	for i := range assignments {
		a := &assignments[i]
		dst = appendBool(dst, a.Assigned)
		for _, s := range [...]string{a.FlagKey, a.Key, a.Payload, a.ExperimentKey, a.EvaluationID, a.Value, a.Metadata} {
			dst = appendString(dst, s)
		}
	}
	return dst
}

func appendString(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// decode reads what appendOutcome has appended.
func (r *spillReader) decode(o *pipeline.Outcome) {
	*o = pipeline.Outcome{Assignments: o.Assignments[:0], Row: pipeline.Row{Carry: o.Row.Carry[:0]}}
	o.Row.Number = r.int()
	o.At = time.UnixMilli(r.int())
	o.Row.User.UserID, o.Row.User.DeviceID = r.string(), r.string()
	o.Cache = pipeline.Cache{State: r.string(), Aged: r.byte() != 0, Age: r.int()}
	for range r.carried {
		v := pipeline.Value{Kind: pipeline.ValueKind(r.byte())}
		switch v.Kind {
		case pipeline.List, pipeline.Object:
			v.Kind, v.Text = pipeline.Number, r.string() // a number is written as its text, and so is this
		default:
			v.Num, v.Text = r.int(), r.string()
		}
		o.Row.Carry = append(o.Row.Carry, v)
	}
	for n := r.uint(); n > 0 && !r.bad; n-- {
		a := pipeline.Assignment{Assigned: r.byte() != 0}
		for _, s := range [...]*string{&a.FlagKey, &a.Key, &a.Payload, &a.ExperimentKey, &a.EvaluationID, &a.Value,
			&a.Metadata} {
			*s = r.string()
		}
		o.Assignments = append(o.Assignments, a)
	}
}

func (r *spillReader) byte() byte {
	if r.text == "" {
		r.bad = true
		return 0
	}
	b := r.text[0]
	r.text = r.text[1:]
	return b
}

func (r *spillReader) uint() (n uint64) {
	for shift := 0; shift < 64; shift += 7 {
		b := r.byte()
		n |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return n
		}
	}
	r.bad = true
	return 0
}

func (r *spillReader) int() int64 {
	n := r.uint()
	return int64(n>>1) ^ -int64(n&1)
}

func (r *spillReader) string() string {
	n := r.uint()
	if n > uint64(len(r.text)) {
		r.bad, r.text = true, ""
		return ""
	}
	s := r.text[:n]
	r.text = r.text[n:]
	return s
}
