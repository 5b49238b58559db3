package pipeline

import (
	"context"
	"errors"
	"io"
	"time"

	"golang.org/x/sync/errgroup"
)

// Pipeline is one run: it passes every row of Source through Evaluator to Sink. Do not change its fields while it runs.
type Pipeline struct {
	Source    Source
	Evaluator Evaluator
	Sink      Sink

	Flags   []string // the flags asked for, each once; nil for all flags that are answered
	Workers int      // evaluations at once; less than 1 means 1
	Window  int      // the most rows that are read and not yet written; less than Workers × Batch means that
	Batch   int      // rows handed to a worker at a time; less than 1 means 1

	// WindowBytes limits, roughly, how much memory those rows and their answers take, not counting the batch that was
	// read last. 0 is no limit. While an answer is awaited, it counts as one that came before, or as AnswerBytes if none
	// has come.
	WindowBytes int64
	AnswerBytes int64

	// Stop, if not nil, stops the run softly when it is closed: no more rows are read, and no more users are asked
	// about. Evaluations under way are finished, and written up to the first user who was not asked about.
	Stop <-chan struct{}

	Now func() time.Time // gives the time of failures; nil for time.Now
}

// Stats counts the rows of a run. Answered + Failed = Read, unless the run was stopped or cancelled.
type Stats struct {
	Read     int64 // rows taken from the source
	Answered int64
	Failed   int64
}

// batch is a place in the window: rows that one worker evaluates.
type batch struct {
	outcomes []Outcome // one for each row that was read
	stopped  bool      // the rows after outcomes were not evaluated: see Pipeline.Stop
	bytes    int64     // its share of the window; if it is free, what its slices have room for
	encoded  Encoded   // of outcomes, if the sink is an Encoder
	done     chan struct{}
}

// Run evaluates all rows. It returns when the last outcome is written or the run has ended with an error, and waits
// for a Next or Write that is under way. The package documentation lists its guarantees.
func (p *Pipeline) Run(ctx context.Context) (Stats, error) {
	workers, size := max(p.Workers, 1), max(p.Batch, 1)
	asked := IndexFlags(p.Flags)
	places := max(p.Window/size, workers)

	g, ctx := errgroup.WithContext(ctx)
	// Each channel has room for all places, so the reader blocks only while it waits for a free one.
	free, order, work := make(chan *batch, places), make(chan *batch, places), make(chan *batch, places)
	for range places {
		free <- &batch{done: make(chan struct{}, 1)}
	}

	window := newWindow(p.WindowBytes, max(p.AnswerBytes, int64(len(p.Flags))*AssignmentBytes))

	encoder, _ := p.Sink.(Encoder)
	if size == 1 {
		encoder = nil // there is nothing to gain, and each row passes through all of the sink before the next
	}

	var stats Stats
	var sourceErr error          // read after g.Wait
	ended := make(chan struct{}) // closed when a user was not asked about: nothing more is written
	g.Go(func() error {
		defer close(order)
		defer close(work)
		for sourceErr == nil && !p.isStopped() {
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
			window.reuse(b)
			sourceErr = b.readRows(p.Source, size, window.estimate())
			if len(b.outcomes) > 0 {
				if err := window.admit(ctx, b); err != nil {
					return err
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
				rows := len(b.outcomes)
				if err := p.evaluateBatch(ctx, b, asked); err != nil {
					return err
				}
				window.countAnswers(b, rows)
				if encoder != nil {
					b.encoded = encoder.Encode(b.outcomes)
				}
				b.done <- struct{}{}
			}
			return nil
		})
	}
	// The emitter is a goroutine of the group too, so that its error cancels the others.
	g.Go(func() error {
		missing := false // a user before was not asked about
		for b := range order {
			select {
			case <-b.done:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			if missing {
				b.outcomes = b.outcomes[:0]
			}
			if encoder != nil && len(b.outcomes) > 0 {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				if err := b.encoded.Write(b.outcomes); err != nil {
					return err
				}
			}
			for i := range b.outcomes {
				o := &b.outcomes[i]
				if encoder == nil {
					if err := context.Cause(ctx); err != nil {
						return err
					}
					if err := p.Sink.Write(o); err != nil {
						return err
					}
				}
				if o.Err != nil {
					stats.Failed++
				} else {
					stats.Answered++
				}
			}
			b.encoded = nil
			if b.stopped && !missing {
				missing = true
				close(ended)
			}
			window.release(b)
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

// maxBatchBytes is about how many bytes a batch may take: one that reaches it has fewer rows.
const maxBatchBytes = 1 << 20

// readRows reads up to size rows into the batch, fewer if they or their answers are large, and reuses the memory of
// earlier rows. On an error of the source, the batch has the rows before it.
func (b *batch) readRows(source Source, size int, answer int64) error {
	if cap(b.outcomes) < size {
		b.outcomes = make([]Outcome, size)
	}
	b.outcomes, b.bytes = b.outcomes[:size], 0
	for i := range b.outcomes {
		row := &b.outcomes[i].Row
		row.Bytes = 0
		if err := source.Next(row); err != nil {
			b.outcomes = b.outcomes[:i]
			return err
		}
		if row.Bytes == 0 {
			row.Bytes = row.CountBytes()
		}
		if b.bytes += row.Bytes; b.bytes+int64(i+1)*answer > maxBatchBytes {
			clear(b.outcomes[i+1:]) // what they have room for would not be counted
			b.outcomes = b.outcomes[:i+1]
			return nil
		}
	}
	return nil
}

// evaluateBatch fills in the outcomes of the batch, up to the first user who is not asked about any more. Its error
// ends the run.
func (p *Pipeline) evaluateBatch(ctx context.Context, b *batch, asked *FlagIndex) error {
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
		if !p.isStopped() {
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
			o.SetAnswer(answer, asked)
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

// isStopped reports whether Stop has been closed.
func (p *Pipeline) isStopped() bool {
	select {
	case <-p.Stop:
		return true
	default:
		return false
	}
}
