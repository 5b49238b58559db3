package sinks

import (
	"github.com/rollcall-cli/rollcall/pipeline"
)

// Outcomes are encoded into pieces. What is added to a piece once it has that many bytes begins another one: few, where
// pieces follow each other; more, where workers make them, since what they leave out is left to the one goroutine that
// writes.
const (
	pieceBytes  = 512 << 10
	workerBytes = 2 << 20
)

// piece is successive outcomes in the form in which the output takes them. It depends on nothing before it.
type piece struct {
	out      *Output
	outcomes int // that are in it, of those that were given to Encode
	next     int // and the rows that are in it of the one after them

	rows         int64
	warnings     int64 // see lines
	firstWarning int64 // row number of the first outcome that has one

	text []byte       // text formats: the lines
	data *parquetData // Parquet
}

// size returns about how many bytes of memory the piece takes.
func (p *piece) size() int {
	if p.data != nil {
		return p.data.bytes
	}
	return len(p.text)
}

// encoder encodes outcomes. It is used from one goroutine at a time.
type encoder struct {
	table *table
	block block
	format
}

// format encodes the rows of a table in one format.
type format interface {
	// begin says of which block the next rows are.
	begin(b *block)

	// appendRows appends rows of the block to the piece, from one on until the piece is full, and returns the row after
	// the last.
	appendRows(p *piece, b *block, from, limit int) (next int)
}

// begin says of which outcome the next rows are.
func (e *encoder) begin(o *pipeline.Outcome) error {
	if err := e.table.fill(o, &e.block); err != nil {
		return err
	}
	if len(e.block.rows) > 0 {
		e.format.begin(&e.block)
	}
	return nil
}

// encode appends rows of the outcome that was begun to the piece, from one on until the piece is full. It returns the
// row after the last, and whether that was the outcome's last.
func (e *encoder) encode(p *piece, o *pipeline.Outcome, from, limit int) (next int, all bool) {
	next = from
	if len(e.block.rows) > from {
		next = e.appendRows(p, &e.block, from, limit)
		p.rows += int64(next - from)
		if p.data != nil {
			p.data.bytes += len(o.Body) // texts are parts of it
		}
	}
	if p.warnings > 0 && p.firstWarning == 0 {
		p.firstWarning = o.Row.Number
	}
	return next, next >= len(e.block.rows)
}

// Encode encodes outcomes for the output.
func (o *Output) Encode(outcomes []pipeline.Outcome) pipeline.Encoded {
	e, ok := o.encoders.Get().(*encoder)
	if !ok {
		made := o.newEncoder()
		e = &made
	}
	p := o.newPiece()
	for i := range outcomes {
		if p.size() >= workerBytes || e.begin(&outcomes[i]) != nil {
			break // Write encodes the rest, and returns the error
		}
		next, all := e.encode(p, &outcomes[i], 0, workerBytes)
		if !all {
			p.next = next
			break
		}
		p.outcomes++
	}
	o.encoders.Put(e)
	return p
}

// Write adds the piece to the output, and then the outcomes that are not in it.
func (p *piece) Write(outcomes []pipeline.Outcome) error {
	o, n, next := p.out, p.outcomes, p.next
	if err := o.check(); err != nil {
		return err
	}
	if err := o.commit(p); err != nil {
		return err
	}
	for i := n; i < len(outcomes); i++ {
		if err := o.writeRows(&outcomes[i], next); err != nil {
			return err
		}
		next = 0
	}
	return nil
}

// newPiece returns an empty piece.
func (o *Output) newPiece() *piece {
	p := &piece{out: o}
	if o.parquet != nil {
		p.data = o.parquet.newData()
	} else {
		p.text = o.buffers.get()
	}
	return p
}

// writeRows adds the rows of an outcome, from one on.
func (o *Output) writeRows(out *pipeline.Outcome, from int) error {
	if err := o.own.begin(out); err != nil {
		return o.recordError(err)
	}
	for all := false; !all; {
		if from, all = o.own.encode(o.open, out, from, pieceBytes); o.open.size() >= pieceBytes {
			if err := o.commitOpen(); err != nil {
				return err
			}
		}
	}
	return nil
}

// smallText is how many bytes of text are copied to what Write has encoded rather than written by themselves.
const smallText = 64 << 10

// commit adds a piece to the output, which takes it.
func (o *Output) commit(p *piece) error {
	if p.data == nil && len(p.text) < smallText {
		o.open.text = append(o.open.text, p.text...)
		o.open.count(p)
		o.buffers.put(p.text)
		if o.open.size() < pieceBytes {
			return o.recordError(o.tail.err())
		}
		return o.commitOpen()
	}
	if err := o.commitOpen(); err != nil {
		return err
	}
	return o.pass(p)
}

// commitOpen adds what Write has encoded to the output.
func (o *Output) commitOpen() error {
	p := o.open
	if p.size() == 0 {
		return o.recordError(o.tail.err())
	}
	o.open = o.newPiece()
	return o.pass(p)
}

// pass passes a piece on to those who write it.
func (o *Output) pass(p *piece) error {
	o.passed.count(p)
	switch {
	case o.parquet != nil:
		if err := o.parquet.write(p.data); err != nil {
			return o.recordError(err)
		}
	case o.compressing != nil:
		o.compressing.send(item{data: p.text})
	default:
		o.tail.send(p.text)
	}
	return o.recordError(o.tail.err())
}

// count adds the counts of a piece that comes next.
func (p *piece) count(next *piece) {
	p.rows += next.rows
	p.warnings += next.warnings
	if p.firstWarning == 0 {
		p.firstWarning = next.firstWarning
	}
}
