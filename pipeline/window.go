package pipeline

import (
	"context"
	"math"
	"sync"
	"unsafe"
)

// maxKeptRow is how many bytes a row may take whose slices are used again. Those of a larger one would keep it in memory
// after it is written, or make room for it where only ordinary rows follow.
const maxKeptRow = 16 << 10

// AssignmentBytes is about how many bytes an assignment takes, without its texts.
const AssignmentBytes = int64(unsafe.Sizeof(Assignment{}))

// window counts the bytes of the rows that are read and not yet written, with their answers. An answer that has not
// come yet is estimated from those that have: so large answers are not all asked for at once.
type window struct {
	limit   int64
	changed chan struct{} // the sum is smaller, or the estimate is another

	mu     sync.Mutex
	bytes  int64 // of the rows, and of the answers that have come
	rows   int64 // without an answer
	answer int64 // the estimate of one
	known  bool  // an answer has come
	kept   int64 // bytes that free batches have room for
}

// newWindow returns a window of at most limit bytes; 0 is no limit. answer is the estimate until an answer has come.
func newWindow(limit, answer int64) *window {
	if limit <= 0 {
		limit = math.MaxInt64
	}
	return &window{limit: limit, answer: answer, changed: make(chan struct{}, 1)}
}

// admit waits until the batch has room. A batch that is larger than the limit has the window to itself, so that it
// always gets in once all before it is written. Only the reader calls it.
func (w *window) admit(ctx context.Context, b *batch) error {
	rows := int64(len(b.outcomes))
	for !w.take(b.bytes, rows) {
		select {
		case <-w.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (w *window) take(bytes, rows int64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	empty := w.bytes == 0 && w.rows == 0
	if sum := w.bytes + bytes + (w.rows+rows)*w.answer; !empty && sum > w.limit {
		return false
	}
	w.bytes += bytes
	w.rows += rows
	return true
}

// countAnswers replaces the estimate for the batch, which had that many rows, by the bytes of its answers. Users who failed
// say nothing of how large an answer is.
func (w *window) countAnswers(b *batch, rows int) {
	bytes, answers := int64(0), int64(0)
	for i := range b.outcomes {
		o := &b.outcomes[i]
		bytes += countResultBytes(o)
		if o.Err == nil {
			answers++
		}
	}
	b.bytes += bytes

	w.mu.Lock()
	w.bytes += bytes
	w.rows -= int64(rows)
	if answers > 0 {
		// The estimate rises at once and sinks slowly: too many requests in flight cannot be taken back.
		if seen := bytes / answers; !w.known || seen > w.answer {
			w.answer = seen
		} else {
			w.answer -= (w.answer - seen + 15) / 16
		}
		w.known = true
	}
	w.mu.Unlock()
	w.notify()
}

// estimate returns how many bytes an answer may take.
func (w *window) estimate() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.answer
}

// release takes the batch, which is written, out of the sum. What its slices have room for is used again, unless the
// free batches keep too much already.
func (w *window) release(b *batch) {
	kept := b.bytes
	for i := range b.outcomes {
		o := &b.outcomes[i]
		if o.Body != "" {
			kept -= int64(len(o.Body))
			o.Body = ""
			clear(o.Assignments) // their texts are parts of the body
			clear(o.Unasked)
		}
		if o.Row.Bytes > maxKeptRow {
			kept -= o.Row.Bytes
			o.Row = Row{}
		}
	}
	w.mu.Lock()
	w.bytes -= b.bytes
	if w.kept+kept > w.limit/4 {
		b.outcomes, kept = nil, 0
	}
	b.bytes = kept
	w.kept += kept
	w.mu.Unlock()
	w.notify()
}

// reuse takes a free batch.
func (w *window) reuse(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept -= b.bytes
	b.bytes = 0
}

func (w *window) notify() {
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// countResultBytes returns how many bytes an outcome takes besides its row. The texts of its assignments are parts of
// the body, or of the flag configurations.
func countResultBytes(o *Outcome) int64 {
	return int64(len(o.Body)) + int64(cap(o.Assignments))*AssignmentBytes + int64(cap(o.Unasked))*int64(unsafe.Sizeof(""))
}

// CountBytes estimates how many bytes a row takes, and what its slices have room for. Memory that its parts share is
// counted for each part.
func (row *Row) CountBytes() int64 {
	n := countMemberBytes(row.Input) + countMemberBytes(row.User.Context)
	n += int64(cap(row.Input)-len(row.Input)+cap(row.User.Context)-len(row.User.Context)) * int64(unsafe.Sizeof(Member{}))
	n += int64(cap(row.Carry)) * int64(unsafe.Sizeof(Value{}))
	for i := range row.Carry {
		n += int64(len(row.Carry[i].Text)) + countMemberBytes(row.Carry[i].Members)
	}
	return n
}

func countMemberBytes(members []Member) (n int64) {
	for i := range members {
		v := &members[i].Value
		n += int64(unsafe.Sizeof(Member{})) + int64(len(v.Text))
		if len(v.Members) > 0 {
			n += countMemberBytes(v.Members)
		}
	}
	return n
}
