package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// encodeLayouts are outputs that differ in what is in them, each of formats.
var encodeLayouts = []struct {
	name    string
	spec    Spec
	records bool
}{
	{"long", Spec{Carry: encodeCarry}, false},
	{"long, with all that can be included", Spec{Include: []string{"metadata", "evaluation_id", "value", "cache"},
		Carry: encodeCarry}, false},
	{"long, escaped", Spec{EscapeFormulas: true, Carry: encodeCarry}, false},
	{"wide", Spec{Wide: true, Flags: benchFlags, Carry: encodeCarry}, false},
	{"wide, with all that can be included", Spec{Wide: true, Flags: benchFlags, Include: []string{"payload", "cache"},
		Carry: encodeCarry}, false},
	{"error records", Spec{RunID: "run-1"}, true},
}

var encodeCarry = []pipeline.Column{{Name: "plan", Type: pipeline.TypeString}, {Name: "beta", Type: pipeline.TypeBool}}

// encodeUsers returns outcomes of users, as an evaluator answers them. Some fail; some have texts that there is
// something to say about, or that are large.
func encodeUsers(seed uint64, n int) []pipeline.Outcome {
	random := rand.New(rand.NewPCG(seed, 0))
	outcomes := benchOutcomes(n)
	for i := range outcomes {
		o := &outcomes[i]
		o.Row = pipeline.Row{Number: int64(i + 1), User: pipeline.User{UserID: strconv.Itoa(i)},
			Carry: []pipeline.Value{{Kind: pipeline.String, Text: []string{"free", "=1", "pro"}[random.IntN(3)]},
				{Kind: pipeline.Bool, Num: int64(random.IntN(2))}}}
		if random.IntN(3) == 0 {
			o.Cache = pipeline.Cache{State: pipeline.CacheHit, Aged: true, Age: int64(random.IntN(100))}
		}
		switch a := &o.Assignments[random.IntN(len(o.Assignments))]; random.IntN(40) {
		case 0:
			at := o.At
			o.SetError(pipeline.Errorf(pipeline.Kinds[random.IntN(len(pipeline.Kinds))], "failed %d", i), at)
		case 1:
			a.Payload = `"\ud83d"`
		case 2:
			a.Key = "@" + strconv.Itoa(i)
		case 3:
			a.Payload = strconv.Quote(strings.Repeat(strconv.Itoa(i), random.IntN(2000)))
		case 4:
			o.Assignments = o.Assignments[:0]
		case 5:
			a.Metadata = fmt.Sprintf(`{"n":%d}`, i)
		}
	}
	return outcomes
}

// encodeOutput is an output in memory, whose row groups and pages are small.
func encodeOutput(t *testing.T, w io.Writer, format string, spec Spec, records bool) *Output {
	t.Helper()
	table := newErrorTable(spec.RunID)
	if !records {
		var err error
		if table, err = spec.newAssignmentsTable(); err != nil {
			t.Fatal(err)
		}
	}
	o, err := newOutput(w, Info{Path: "x", Format: format}, table, &spec)
	if err != nil {
		t.Fatal(err)
	}
	if o.parquet != nil {
		o.parquet.groupRows, o.parquet.groupBytes = 3000, 25_000
		for _, c := range o.parquet.columns {
			c.maxRows = 700
		}
	}
	return o
}

// writeOneByOne returns what an output is if each outcome is written, and passed on, by itself.
func writeOneByOne(t *testing.T, outcomes []pipeline.Outcome, format string, spec Spec, records bool) ([]byte, Info) {
	t.Helper()
	var buf bytes.Buffer
	o := encodeOutput(t, &buf, format, spec, records)
	for i := range outcomes {
		if err := errors.Join(o.Write(&outcomes[i]), o.commitOpen()); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	info := o.Info()
	if full := int(info.Rows / 3000); o.parquet != nil && len(spec.Include) > 2 && o.parquet.groups <= full+1 && full > 0 {
		t.Errorf("%d row groups of %d rows: none ends because of its bytes", o.parquet.groups, info.Rows)
	}
	return buf.Bytes(), info
}

// userSource is the rows of outcomes, and an evaluator that knows the outcomes.
type userSource struct {
	outcomes []pipeline.Outcome
	next     int
	stopAt   int // the user who is not asked about, if not 0
}

func (s *userSource) Next(row *pipeline.Row) error {
	if s.next == len(s.outcomes) {
		return io.EOF
	}
	*row = s.outcomes[s.next].Row
	s.next++
	return nil
}

func (s *userSource) Close() error { return nil }

func (s *userSource) Evaluate(_ context.Context, u *pipeline.User) (pipeline.Answer, error) {
	i, err := strconv.Atoi(u.UserID)
	if err != nil {
		return pipeline.Answer{}, err
	}
	o := &s.outcomes[i]
	switch {
	case s.stopAt > 0 && i >= s.stopAt:
		return pipeline.Answer{}, pipeline.ErrStopped
	case o.Err != nil:
		return pipeline.Answer{}, o.Err
	}
	answer := pipeline.Answer{At: o.At, Attempts: o.Attempts, Cache: o.Cache}
	for _, a := range o.Assignments {
		if a.Assigned {
			answer.Variants = append(answer.Variants, a.Variant)
		}
	}
	return answer, nil
}

// TestWorkersWriteTheSameBytes: a run writes the same bytes, and counts the same, with any number of workers, whatever
// the batch, as if each outcome were written by itself, also if it is stopped in the middle of a batch.
func TestWorkersWriteTheSameBytes(t *testing.T) {
	all := encodeUsers(1, 500)
	failed := time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
	// The outcomes as the pipeline makes them of the answers.
	asked := pipeline.IndexFlags(nil)
	for i := range all {
		if o := &all[i]; o.Err != nil {
			o.SetError(o.Err, failed)
		} else {
			answer, _ := (&userSource{outcomes: all}).Evaluate(context.Background(), &o.Row.User)
			o.Assignments, o.Unasked = nil, nil
			o.SetAnswer(answer, asked)
		}
	}
	for _, format := range formats {
		for _, layout := range encodeLayouts {
			t.Run(format+", "+layout.name, func(t *testing.T) {
				var wantBytes []byte
				var wantInfo Info
				written := -1
				for _, test := range []struct{ workers, batch, stopAt int }{
					{1, 1, 0}, {1, 128, 0}, {64, 128, 0}, {64, 7, 0}, {3, 1000, 0}, {4, 128, 300}, {64, 5, 3},
				} {
					want := all
					if test.stopAt > 0 {
						want = all[:test.stopAt]
					}
					if len(want) != written {
						wantBytes, wantInfo = writeOneByOne(t, want, format, layout.spec, layout.records)
						written = len(want)
					}
					var buf bytes.Buffer
					out := encodeOutput(t, &buf, format, layout.spec, layout.records)
					users := &userSource{outcomes: all, stopAt: test.stopAt}
					p := pipeline.Pipeline{Source: users, Evaluator: users, Sink: Multi{out}, Workers: test.workers,
						Batch: test.batch, Now: func() time.Time { return failed }}
					_, err := p.Run(t.Context())
					if err := errors.Join(err, out.Close()); err != nil {
						t.Fatalf("%+v: %v", test, err)
					}
					if !bytes.Equal(buf.Bytes(), wantBytes) {
						t.Errorf("%+v: %d bytes, other than the %d that are written one by one", test, buf.Len(), len(wantBytes))
					}
					if got := out.Info(); got != wantInfo {
						t.Errorf("%+v: info %+v, want %+v", test, got, wantInfo)
					}
				}
			})
		}
	}
}

// TestAnyPiecesAreTheSameBytes: however outcomes are divided among calls of Encode and Write, in whatever order pieces
// are encoded, and whichever pieces are dropped, the output is the same.
func TestAnyPiecesAreTheSameBytes(t *testing.T) {
	for seed := range uint64(4) {
		outcomes := encodeUsers(seed, 500)
		random := rand.New(rand.NewPCG(seed, 1))
		large := seed == 3 // more than fits into a piece
		if large {
			for i := range outcomes[:40] {
				if o := &outcomes[i+100]; len(o.Assignments) > 1 {
					o.Assignments[1].Payload = strconv.Quote(strings.Repeat("x", workerBytes/10))
				}
			}
		}
		for _, format := range []string{"csv", "jsonl", "jsonl.zst", "parquet"} {
			for _, layout := range encodeLayouts {
				t.Run(fmt.Sprintf("seed %d, %s, %s", seed, format, layout.name), func(t *testing.T) {
					want, wantInfo := writeOneByOne(t, outcomes, format, layout.spec, layout.records)
					var buf bytes.Buffer
					out := encodeOutput(t, &buf, format, layout.spec, layout.records)
					var parts [][]pipeline.Outcome
					for rest := outcomes; len(rest) > 0; {
						n := min(len(rest), 1+random.IntN([]int{2, 20, 300}[random.IntN(3)]))
						if large {
							n = len(rest)
						}
						parts, rest = append(parts, rest[:n]), rest[n:]
					}
					encoded := make([]pipeline.Encoded, len(parts))
					var encoding sync.WaitGroup
					for _, i := range random.Perm(len(parts)) {
						if large || random.IntN(4) > 0 {
							encoding.Go(func() { encoded[i] = out.Encode(parts[i]) })
						}
					}
					encoding.Wait()
					for i, part := range parts {
						var err error
						if encoded[i] != nil && (large || random.IntN(4) > 0) {
							err = encoded[i].Write(part)
						} else {
							for j := range part {
								err = errors.Join(err, out.Write(&part[j]))
							}
						}
						if err != nil {
							t.Fatal(err)
						}
					}
					if err := out.Close(); err != nil {
						t.Fatal(err)
					}
					if !bytes.Equal(buf.Bytes(), want) {
						t.Errorf("%d bytes, other than the %d that are written one by one", buf.Len(), len(want))
					}
					if got := out.Info(); got != wantInfo {
						t.Errorf("info %+v, want %+v", got, wantInfo)
					}
				})
			}
		}
	}
}

// TestEncodedOutcomeThatIsWrong: an outcome that cannot be encoded is an error when its turn comes, after those before
// it.
func TestEncodedOutcomeThatIsWrong(t *testing.T) {
	for _, format := range formats {
		t.Run(format, func(t *testing.T) {
			outcomes := encodeUsers(5, 20)
			outcomes[10] = pipeline.Outcome{Row: pipeline.Row{Number: 11}, Assignments: outcomes[0].Assignments}
			var buf bytes.Buffer
			out := encodeOutput(t, &buf, format, Spec{Carry: encodeCarry}, false)
			defer out.Discard()
			encoded := out.Encode(outcomes)
			if out.Info().Rows != 0 {
				t.Errorf("%d rows before they are written", out.Info().Rows)
			}
			err := encoded.Write(outcomes)
			if err == nil || !strings.Contains(err.Error(), "row 11: 0 carried values for 2 columns") {
				t.Errorf("error %v, want that of row 11", err)
			}
			if again := out.Write(&outcomes[0]); again != err {
				t.Errorf("then %v, want the same error again", again)
			}
			if err := out.Encode(outcomes[:2]).Write(outcomes[:2]); err == nil {
				t.Error("then a piece is written")
			}
		})
	}
}

// TestOutputsLeaveNoGoroutines: when an output is closed, is discarded, or has failed and is discarded, its goroutines
// have ended: a bubble with one that has not is an error. A run whose sink fails ends with its error.
func TestOutputsLeaveNoGoroutines(t *testing.T) {
	outcomes := encodeUsers(7, 500)
	for _, format := range formats {
		for _, test := range []struct {
			name  string
			after int // bytes until the writer fails
			end   func(*Output) error
			want  error
		}{
			{"closed", 1 << 30, (*Output).Close, nil},
			{"discarded", 1 << 30, (*Output).Discard, nil},
			{"discarded, then closed", 1 << 30, func(o *Output) error {
				if err := o.Discard(); err != nil {
					return err
				}
				if o.Close() == nil {
					return errors.New("an output that was discarded closes")
				}
				return nil
			}, nil},
			{"failing writer", 10_000, (*Output).Close, errDisk},
			{"failing writer, discarded", 0, (*Output).Discard, nil},
		} {
			t.Run(format+", "+test.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					out := encodeOutput(t, &limitedWriter{test.after}, format, Spec{Carry: encodeCarry}, false)
					users := &userSource{outcomes: outcomes}
					p := pipeline.Pipeline{Source: users, Evaluator: users, Sink: Multi{out}, Workers: 4, Batch: 16}
					if _, err := p.Run(t.Context()); err != nil && !errors.Is(err, errDisk) {
						t.Fatal(err)
					}
					if err := test.end(out); !errors.Is(err, test.want) {
						t.Errorf("error %v, want %v", err, test.want)
					}
				})
			})
		}
	}
}

var errDisk = errors.New("the disk is on fire")

// limitedWriter fails after some bytes.
type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	n := min(len(p), w.left)
	if w.left -= n; n < len(p) {
		return n, errDisk
	}
	return n, nil
}

// TestFlushPassesOn: what was written is with the reader of a stream when Flush returns, and its error with the writer.
func TestFlushPassesOn(t *testing.T) {
	outcomes := encodeUsers(9, 3)
	var buf bytes.Buffer
	out, err := NewStream(&buf, "csv", Spec{Carry: encodeCarry})
	if err != nil {
		t.Fatal(err)
	}
	defer out.Discard()
	for i := range outcomes {
		before := buf.Len()
		if err := errors.Join(out.Write(&outcomes[i]), out.Flush()); err != nil {
			t.Fatal(err)
		}
		if buf.Len() == before {
			t.Errorf("user %d is not in the stream", i)
		}
	}
	if out, err = NewStream(&limitedWriter{100}, "csv", Spec{Carry: encodeCarry}); err != nil {
		t.Fatal(err)
	}
	defer out.Discard()
	if err := errors.Join(out.Write(&outcomes[0]), out.Flush()); !errors.Is(err, errDisk) {
		t.Errorf("a stream that ends: error %v, want %v", err, errDisk)
	}
}
