package pipeline

import (
	"context"
	"errors"
	"io"
	"math"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

// Pipeline is one run: every row of Source through Evaluator into Sink. Its fields are not changed while it runs.
type Pipeline struct {
	Source    Source
	Evaluator Evaluator
	Sink      Sink

	Flags   []string // the flags asked for, each once; nil: whatever is answered ([Flatten])
	Workers int      // evaluations at once; below 1 is 1
	Window  int      // rows that are read and not yet written, at most; below Workers×Batch is that
	Batch   int      // rows handed to a worker at a time; below 1 is 1

	// WindowBytes is about how much memory those rows may take, but for the batch that was read last; 0 is no bound.
	// Rows of ordinary size never come near it.
	WindowBytes int64

	// Stop, once it is closed, is a soft stop: nothing more is read, and nobody more is asked. What is being evaluated is
	// finished, and written as far as no user is missing before it. nil: there is none.
	Stop <-chan struct{}

	Now func() time.Time // dates the failures; nil: time.Now
}

// Stats counts what a run has written. Answered + Failed = Read, unless the run was stopped or cancelled.
type Stats struct {
	Read     int64 // rows taken from the source
	Answered int64
	Failed   int64
}

// batch is a place in the window: rows that one worker evaluates.
type batch struct {
	outcomes []Outcome // as long as the rows that were read
	stopped  bool      // the rows after them were not evaluated: see Pipeline.Stop
	bytes    int64     // taken of WindowBytes
	done     chan struct{}
}

// Run moves all rows, and returns when the last outcome is written or the run has ended with an error. What
// it guarantees stands in the package's documentation. It waits for a Next or Write that is under way.
func (p *Pipeline) Run(ctx context.Context) (Stats, error) {
	workers, size := max(p.Workers, 1), max(p.Batch, 1)
	places := max(p.Window/size, workers)

	g, ctx := errgroup.WithContext(ctx)
	// Each of the channels holds all places, so only waiting for a free one ever blocks the reader.
	free, order, work := make(chan *batch, places), make(chan *batch, places), make(chan *batch, places)
	for range places {
		free <- &batch{done: make(chan struct{}, 1)}
	}

	limit := p.WindowBytes
	if limit <= 0 {
		limit = math.MaxInt64
	}
	memory := semaphore.NewWeighted(limit)

	var stats Stats
	var sourceErr error          // read after g.Wait
	ended := make(chan struct{}) // closed when a user is missing: nothing more is written
	g.Go(func() error {
		defer close(order)
		defer close(work)
		for sourceErr == nil && !p.stopped() {
			var b *batch
			select {
			case b = <-free:
			case <-p.Stop:
				return nil
			case <-ended:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			sourceErr = b.fill(p.Source, size)
			if len(b.outcomes) > 0 {
				b.bytes = min(b.bytes, limit) // a batch that is larger than all has the window to itself
				if err := memory.Acquire(ctx, b.bytes); err != nil {
					return context.Cause(ctx)
				}
				stats.Read += int64(len(b.outcomes))
				order <- b
				work <- b
			}
		}
		return nil
	})
	for range workers {
		g.Go(func() error {
			for b := range work {
				if err := p.evaluate(ctx, b); err != nil {
					return err
				}
				b.done <- struct{}{}
			}
			return nil
		})
	}
	// The emitter is a goroutine of the group too, so that its error cancels the others.
	g.Go(func() error {
		missing := false
		for b := range order {
			select {
			case <-b.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			for i := range b.outcomes {
				if missing {
					break
				}
				if err := context.Cause(ctx); err != nil {
					return err
				}
				o := &b.outcomes[i]
				if err := p.Sink.Write(o); err != nil {
					return err
				}
				if o.Err != nil {
					stats.Failed++
				} else {
					stats.Answered++
				}
			}
			if b.stopped && !missing {
				missing = true
				close(ended)
			}
			memory.Release(b.bytes)
			if b.bytes > maxBatchBytes {
				b.outcomes = nil // a place that is free must not keep what the window has no room for
			}
			free <- b
		}
		return nil
	})
	err := g.Wait()
	if err == nil && !errors.Is(sourceErr, io.EOF) {
		err = sourceErr
	}
	return stats, err
}

// maxBatchBytes is about how many bytes of rows make a batch, however few they are.
const maxBatchBytes = 1 << 20

// fill reads up to size rows into the batch, reusing their memory; fewer if they are large. It returns the source's
// error; the rows before it are in the batch.
func (b *batch) fill(source Source, size int) error {
	if cap(b.outcomes) < size {
		b.outcomes = make([]Outcome, size)
	}
	b.outcomes, b.bytes = b.outcomes[:size], 0
	for i := range b.outcomes {
		row := &b.outcomes[i].Row
		if err := source.Next(row); err != nil {
			b.outcomes = b.outcomes[:i]
			return err
		}
		if b.bytes += rowSize(row); b.bytes > maxBatchBytes {
			b.outcomes = b.outcomes[:i+1]
			return nil
		}
	}
	return nil
}

// rowSize is about how many bytes a row takes. What its parts share is counted for each.
func rowSize(row *Row) int64 {
	n := membersSize(row.Input) + membersSize(row.User.Context)
	for i := range row.Carry {
		n += int64(unsafe.Sizeof(Value{})) + int64(len(row.Carry[i].Text)) + membersSize(row.Carry[i].Members)
	}
	return n
}

func membersSize(members []Member) (n int64) {
	for i := range members {
		v := &members[i].Value
		n += int64(unsafe.Sizeof(Member{})) + int64(len(v.Text))
		if len(v.Members) > 0 {
			n += membersSize(v.Members)
		}
	}
	return n
}

// evaluate makes the outcomes of the batch's rows, up to the first one that is not asked any more. Its error ends the run.
func (p *Pipeline) evaluate(ctx context.Context, b *batch) error {
	b.stopped = false
	for i := range b.outcomes {
		o := &b.outcomes[i]
		if o.Row.Err != nil {
			o.SetError(o.Row.Err, p.now())
			continue
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
		var answer Answer
		err := ErrStopped
		if !p.stopped() {
			answer, err = p.Evaluator.Evaluate(ctx, &o.Row.User)
		}
		if errors.Is(err, ErrStopped) {
			b.outcomes, b.stopped = b.outcomes[:i], true
			return nil
		}
		if failure, ok := errors.AsType[*UserError](err); ok {
			o.SetError(failure, p.now())
		} else if err != nil {
			return err
		} else {
			o.SetAnswer(answer, p.Flags)
		}
	}
	return nil
}

func (p *Pipeline) now() time.Time {
	if p.Now != nil {
		return p.Now()
	}
	return time.Now()
}

// stopped reports whether Stop is closed.
func (p *Pipeline) stopped() bool {
	select {
	case <-p.Stop:
		return true
	default:
		return false
	}
}
