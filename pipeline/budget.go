package pipeline

import (
	"context"
	"sync"
	"unsafe"
)

// maxBatchBytes is about how many bytes the rows of a batch and their answers may have: a batch that reaches it has
// fewer rows.
const maxBatchBytes = 1 << 20

// firstAnswerBytes is the size that an answer is expected to have while none has come.
const firstAnswerBytes = 4 << 10

// budget limits the memory of answers that are on their way, or that wait for an earlier one to be written. Batches take
// their share in the order of the rows: so the oldest batch has always got its share, is finished and written, and
// gives it back, and nobody waits forever.
//
// How large an answer will be is not known before it is there. It is expected to be as large as the largest of those
// that came lately, and twice that while it is on its way, because it is read into a buffer and then kept.
type budget struct {
	limit int64
	turn  chan struct{} // has room for the worker who takes the next share, so that they are taken in order
	freed chan struct{} // has room for one

	mu       sync.Mutex
	used     int64
	expected int64 // bytes of an answer; 0: none has come yet
}

func newBudget(limit int64) *budget {
	return &budget{limit: limit, turn: make(chan struct{}, 1), freed: make(chan struct{}, 1)}
}

// nextBatch returns the next batch that is to be evaluated, with its share taken; nil if there is none, or ctx ended.
// After a soft stop it does not wait, because nobody more is asked about.
func (m *budget) nextBatch(ctx context.Context, work <-chan *batch, stop <-chan struct{}) *batch {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	b := <-work
	if b == nil {
		return nil
	}
	for !m.take(b) {
		select {
		case <-m.freed:
		case <-stop:
			return b
		case <-ctx.Done():
			return nil
		}
	}
	return b
}

// take takes the share of a batch, if there is room for it. A batch that needs more than there is goes alone.
func (m *budget) take(b *batch) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	share := 2 * int64(len(b.outcomes)) * m.answerBytes()
	if m.used > 0 && m.used+share > m.limit {
		return false
	}
	b.answers = share
	m.used += share
	return true
}

// answerBytes is how large an answer is expected to be. The caller holds mu.
func (m *budget) answerBytes() int64 { return max(m.expected, firstAnswerBytes) }

// correct makes the share of a batch what its answers take.
func (m *budget) correct(b *batch) {
	var sum, largest int64
	for i := range b.outcomes {
		n := countAnswerBytes(&b.outcomes[i])
		sum, largest = sum+n, max(largest, n)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if largest >= m.expected {
		m.expected = largest
	} else {
		m.expected -= (m.expected - largest) / 64
	}
	m.used += sum - b.answers
	b.answers = sum
	m.wake()
}

// release gives back the share of a batch.
func (m *budget) release(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used -= b.answers
	m.wake()
}

func (m *budget) wake() {
	select {
	case m.freed <- struct{}{}:
	default:
	}
}

// rows returns how many rows a batch may have, so that their answers are not too large. Before the first answer it is
// one.
func (m *budget) rows(most int) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.expected == 0 {
		return 1
	}
	return int(min(int64(most), max(maxBatchBytes/m.expected, 1)))
}

// countAnswerBytes estimates how many bytes an answer takes: its body, of which the texts of its assignments are parts,
// and the assignments.
func countAnswerBytes(o *Outcome) int64 {
	return int64(len(o.Body)) + int64(len(o.Assignments))*int64(unsafe.Sizeof(Assignment{}))
}

// CountBytes estimates how many bytes a row takes. Memory that its parts share is counted for each part.
func (row *Row) CountBytes() int64 {
	n := countMemberBytes(row.Input) + countMemberBytes(row.User.Context)
	for i := range row.Carry {
		n += int64(unsafe.Sizeof(Value{})) + int64(len(row.Carry[i].Text)) + countMemberBytes(row.Carry[i].Members)
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
