package journal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
	"github.com/rollcall-cli/rollcall/pipeline/pipelinetest"
)

// process is a process that uses a bucket: it can be cut off from it, as by SIGKILL or a broken network.
type process struct {
	blob.Bucket
	holder *Holder
	said   []string
	off    atomic.Bool
	before func(op, key string) // nil: nothing
}

var errOff = errors.New("cut off")

// startProcess starts a process, which ends with the test, or when it is cut off, for good.
func startProcess(t *testing.T, b blob.Bucket) *process {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() {
		cancel()
		time.Sleep(2 * lingerTime) // in the bubble
	})
	p := &process{Bucket: b}
	p.holder = NewHolder(ctx, func(message string) { p.said = append(p.said, message) })
	return p
}

func (p *process) begin(op, key string) error {
	if p.before != nil {
		p.before(op, key)
	}
	if p.off.Load() {
		return &blob.Error{Op: op, URL: key, Err: errOff}
	}
	return nil
}

func (p *process) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	if err := p.begin("stat", key); err != nil {
		return blob.Attrs{}, err
	}
	return p.Bucket.Stat(ctx, key)
}

func (p *process) ReadRange(ctx context.Context, a blob.Attrs, offset int64, b []byte) (int, error) {
	if err := p.begin("read", a.Key); err != nil {
		return 0, err
	}
	return p.Bucket.ReadRange(ctx, a, offset, b)
}

func (p *process) ListPage(ctx context.Context, prefix string, flat bool, token string) ([]blob.Attrs, string, error) {
	if err := p.begin("list", prefix); err != nil {
		return nil, "", err
	}
	return p.Bucket.ListPage(ctx, prefix, flat, token)
}

func (p *process) Delete(ctx context.Context, key string) error {
	if err := p.begin("delete", key); err != nil {
		return err
	}
	return p.Bucket.Delete(ctx, key)
}

func (p *process) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	if err := p.begin("put", key); err != nil {
		return blob.Attrs{}, err
	}
	return p.Bucket.Put(ctx, key, data, c)
}

// place is that of the tests' journal.
func (p *process) place() *InBucket {
	return &InBucket{Holder: p.holder, Bucket: p, Key: PathFor("dir/out.csv"), URL: PathFor("mem://bucket/dir/out.csv")}
}

// create creates the journal with a frame for each batch.
func (p *process) create(t *testing.T, batches ...[]Record) *Writer {
	t.Helper()
	w, err := CreateIn(p.place(), testHeader())
	if err != nil {
		t.Fatal(err)
	}
	for _, records := range batches {
		appendFrame(t, w, records)
	}
	return w
}

func appendFrame(t *testing.T, w *Writer, records []Record) {
	t.Helper()
	for i := range records {
		if err := w.Append(&records[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

// replay returns the records of the journal, and the reader if it can be resumed.
func (p *process) replay() (*Reader, []Record, error) {
	r, err := OpenIn(p.place())
	if err != nil {
		return nil, nil, err
	}
	return replayReader(r)
}

const (
	testLease = "dir/.out.csv.rollcall-lease"
	testDir   = "dir/.out.csv.rollcall-journal/"
)

// inBubble runs a test with a bucket, in a bubble in which time passes at once.
func inBubble(t *testing.T, f func(t *testing.T, m *pipelinetest.Memory)) {
	synctest.Test(t, func(t *testing.T) { f(t, &pipelinetest.Memory{}) })
}

// TestObjects: a journal in a bucket is one object a frame and a lease, and both go with it.
func TestObjects(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		records := makeRecords(9)
		p := startProcess(t, m)
		if _, err := OpenIn(p.place()); !errors.Is(err, ErrNone) || len(m.Keys()) > 0 {
			t.Fatalf("open of none: %v and %q, want ErrNone and nothing", err, m.Keys())
		}
		w := p.create(t, records[:2], records[2:5])
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		keys := m.Keys()
		if len(keys) != 3 || keys[0] != testDir+".00000001" || !strings.HasPrefix(keys[2], testDir+".00000003-") {
			t.Fatalf("after the run: %q, want 3 numbered objects and no lease", keys)
		}
		r, got, err := startProcess(t, m).replay()
		if err != nil || !equalRecords(got, records[:5]) {
			t.Fatalf("replay: %d records, %v; want 5", len(got), err)
		}
		if !slices.Contains(m.Keys(), testLease) {
			t.Errorf("while it is open: %q, want the lease", m.Keys())
		}
		if h, err := HeaderIn(startProcess(t, m).place()); err != nil || h.RunID != testHeader().RunID {
			t.Errorf("the header while it is open: %+v, %v; want that of run %s", h, err, testHeader().RunID)
		}
		if w, err = r.Resume(); err != nil {
			t.Fatal(err)
		}
		appendFrame(t, w, records[5:])
		if err := errors.Join(w.Commit([]CommittedFile{{Final: "x"}}), w.Close()); err != nil {
			t.Fatal(err)
		}
		r, got, err = startProcess(t, m).replay()
		if err != nil || !equalRecords(got, records) || r.Resumes() != 1 || len(r.Committed()) != 1 {
			t.Fatalf("replay: %d records, %v, %d resumes, committed %v; want 9, 1 and a file", len(got), err, r.Resumes(),
				r.Committed())
		}
		if err := r.Remove(); err != nil || len(m.Keys()) > 0 {
			t.Errorf("remove: %v, left %q", err, m.Keys())
		}
	})
}

// TestManyObjects: there are more than are read ahead, and some are large.
func TestManyObjects(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		records := makeRecords(5 * readAhead)
		for i := range 8 {
			records[i*7].Body = strings.Repeat(string(rune('a'+i)), 1+i*frameText/4)
			records[i*7].Err = nil
		}
		var batches [][]Record
		for batch := range slices.Chunk(records, 1) {
			batches = append(batches, batch)
		}
		if err := startProcess(t, m).create(t, batches...).Close(); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, m)
		if _, got, err := p.replay(); err != nil || !equalRecords(got, records) {
			t.Errorf("replay: %d records, %v; want %d", len(got), err, len(records))
		}
	})
}

// TestObjectsAreFew: records that come one by one are written every two seconds.
func TestObjectsAreFew(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		w := startProcess(t, m).create(t)
		for _, r := range makeRecords(200) {
			if err := w.Append(&r); err != nil {
				t.Fatal(err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(m.Keys()); n < 10 || n > 14 {
			t.Errorf("after 20 s there are %d objects, want about 10, the header and the lease", n)
		}
		if err := w.Remove(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestObjectMissing: an object that is gone is damage unless it is the last, and nothing else is removed then.
func TestObjectMissing(t *testing.T) {
	records := makeRecords(6)
	for _, tt := range []struct {
		name    string
		remove  int // object, from 1
		records int
		damaged bool
	}{
		{"the second", 2, 0, true},
		{"in the middle", 3, 0, true},
		{"the last", 5, 4, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
				w := startProcess(t, m).create(t, records[:1], records[1:3], records[3:4], records[4:])
				if err := w.Close(); err != nil {
					t.Fatal(err)
				}
				if err := m.Delete(t.Context(), m.Keys()[tt.remove-1]); err != nil {
					t.Fatal(err)
				}
				before := m.Keys()
				r, got, err := startProcess(t, m).replay()
				if isDamage(err) != tt.damaged || !tt.damaged && err != nil || !equalRecords(got, records[:tt.records]) {
					t.Errorf("replay: %d records, %v; want %d, damage: %v", len(got), err, tt.records, tt.damaged)
				}
				if r != nil {
					r.Close()
				}
				if _, err := CreateIn(startProcess(t, m).place(), testHeader()); err == nil {
					t.Error("a journal was created where one is")
				}
				if !slices.Equal(m.Keys(), before) {
					t.Errorf("after that: %q, want %q", m.Keys(), before)
				}
				if err := DiscardIn(startProcess(t, m).place()); err != nil || len(m.Keys()) > 0 {
					t.Errorf("discard: %v, left %q", err, m.Keys())
				}
			})
		})
	}
}

// TestObjectAltered: no altered byte of an object gives another record, or loses the others.
func TestObjectAltered(t *testing.T) {
	records := makeRecords(6)
	for object := range 4 {
		t.Run(fmt.Sprintf("object %d", object+1), func(t *testing.T) {
			inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
				if err := startProcess(t, m).create(t, records[:2], records[2:4], records[4:]).Close(); err != nil {
					t.Fatal(err)
				}
				key := m.Keys()[object]
				a, err := m.Stat(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				data := make([]byte, a.Size)
				if _, err := m.ReadRange(t.Context(), a, 0, data); err != nil {
					t.Fatal(err)
				}
				for i := 0; i < len(data); i += 7 {
					altered := slices.Clone(data)
					altered[i] ^= 1 << (i % 8)
					if a, err = m.Put(t.Context(), key, altered, blob.Condition{Version: a.Version}); err != nil {
						t.Fatal(err)
					}
					r, got, err := startProcess(t, m).replay()
					if r != nil {
						r.Close()
					}
					_, isVersion := errors.AsType[*VersionError](err)
					last := object == 3 // which cannot be told from an incomplete write, on a disk
					if !equalRecords(got, records[:max(object-1, 0)*2]) || last && err != nil ||
						!last && !isDamage(err) && !isVersion {
						t.Fatalf("byte %d: %d records, %v", i, len(got), err)
					}
				}
				if got := len(m.Keys()); got != 4 {
					t.Errorf("%d objects are left, want 4", got)
				}
			})
		})
	}
}

// TestSecondRunMeanwhile: it ends when it sees that the first one is alive, and says who that is.
func TestSecondRunMeanwhile(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		first, second := startProcess(t, m), startProcess(t, m)
		w := first.create(t, makeRecords(1))
		time.Sleep(time.Hour)
		began := time.Now()
		for name, open := range map[string]func() error{
			"open":    func() error { _, err := OpenIn(second.place()); return err },
			"create":  func() error { _, err := CreateIn(second.place(), testHeader()); return err },
			"discard": func() error { return DiscardIn(second.place()) },
			"lock":    func() error { _, err := LockIn(second.place()); return err },
		} {
			err := open()
			if !errors.Is(err, ErrLocked) || (pipeline.Hint(err) == "") != (name == "lock") || !strings.Contains(err.Error(), ", process ") {
				t.Errorf("%s: %v, want ErrLocked, by whom, and a hint", name, err)
			}
		}
		if waited := time.Since(began); waited > 4*2*renewEvery {
			t.Errorf("it took %v to see four times that the first run is alive", waited)
		}
		if len(second.said) != 4 || !strings.Contains(second.said[0], "waiting 15s") {
			t.Errorf("it said %q, want four times what it waits for", second.said)
		}
		appendFrame(t, w, makeRecords(1))
		if err := w.Remove(); err != nil || len(m.Keys()) > 0 {
			t.Errorf("remove: %v, left %q", err, m.Keys())
		}
	})
}

// TestTakeOver: the lease of a run that is silent is taken over. When the run comes back, it can add nothing.
func TestTakeOver(t *testing.T) {
	records := makeRecords(8)
	for _, how := range []string{"resumed", "given up", "finished"} {
		for _, back := range []string{"at once", "after a renewal", "commit"} {
			t.Run(how+", back "+back, func(t *testing.T) {
				inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
					first, second := startProcess(t, m), startProcess(t, m)
					w := first.create(t, records[:3])
					first.off.Store(true)
					began := time.Now()
					r, got, err := second.replay()
					if err != nil || len(got) != 3 {
						t.Fatalf("replay: %d records, %v; want 3", len(got), err)
					}
					if waited := time.Since(began); waited < LeaseTime || waited > LeaseTime+2*watchEvery {
						t.Errorf("it waited %v, want %v", waited, LeaseTime)
					}
					var w2 *Writer
					switch how {
					case "resumed":
						w2, err = r.Resume()
					case "given up":
						if err = r.Remove(); err == nil {
							w2, err = CreateIn(second.place(), testHeader())
						}
					case "finished":
						err = r.Remove()
					}
					if err != nil {
						t.Fatal(err)
					}
					first.off.Store(false)
					if back == "after a renewal" {
						time.Sleep(renewEvery)
						synctest.Wait()
					}
					err = nil
					if back != "commit" {
						if err = w.Append(&records[3]); err == nil {
							err = w.Flush()
						}
					}
					if err == nil { // without a renewal it may not know
						err = w.Commit([]CommittedFile{{Final: "x"}})
					}
					if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, ErrLost) || pipeline.Hint(err) == "" {
						t.Errorf("the first run: %v, want a WriteError that wraps ErrLost, with a hint", err)
					}
					w.Close()
					want := 0
					if w2 != nil {
						for i := range 4 {
							appendFrame(t, w2, records[3+i:4+i])
						}
						if err := w2.Close(); err != nil {
							t.Fatal(err)
						}
						want = 4
						if how == "resumed" {
							want = 7
						}
					}
					r, got, err = startProcess(t, m).replay()
					if want == 0 && !errors.Is(err, ErrNone) || want > 0 && (err != nil || !equalRecords(got, records[7-want:7])) {
						t.Fatalf("in the end: %d records, %v; want %d", len(got), err, want)
					}
					if r != nil {
						err = r.Remove()
					}
					if want > 0 && err != nil || len(m.Keys()) > 0 {
						t.Errorf("remove: %v, left %q", err, m.Keys())
					}
				})
			})
		}
	}
}

// TestTakeOverOfAll: the other leases of a run that is silent are taken over without another wait.
func TestTakeOverOfAll(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		lockAll := func(p *process) {
			t.Helper()
			for i := range 3 {
				place := p.place()
				place.Key = PathFor(fmt.Sprintf("dir/other%d.csv", i))
				if _, err := LockIn(place); err != nil {
					t.Fatal(err)
				}
			}
		}
		first, second := startProcess(t, m), startProcess(t, m)
		lockAll(first)
		first.off.Store(true)
		began := time.Now()
		lockAll(second)
		if waited := time.Since(began); waited > LeaseTime+2*watchEvery {
			t.Errorf("three leases took %v, want %v", waited, LeaseTime)
		}
	})
}

// TestObserve: of several leases, those that nobody renews are taken over without another wait.
func TestObserve(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		var places []*InBucket
		var keys []string
		for i := range 4 {
			p := startProcess(t, m)
			place := p.place()
			place.Key = PathFor(fmt.Sprintf("dir/o%d.csv", i))
			if _, err := LockIn(place); err != nil {
				t.Fatal(err)
			}
			p.off.Store(i > 0)
			places, keys = append(places, place), append(keys, place.Key+leaseSuffix)
		}
		if _, err := m.Put(t.Context(), "dir/.bad.rollcall-lease", []byte("not JSON"), blob.Condition{}); err != nil {
			t.Fatal(err)
		}
		p := startProcess(t, m)
		ending := startProcess(t, m).create(t)
		time.AfterFunc(LeaseTime/2, func() { ending.Remove() })
		alive, err := p.holder.Observe(m, append(keys, testLease, "dir/.none.rollcall-lease", "dir/.bad.rollcall-lease"))
		if want := []string{keys[0], testLease}; err != nil || !slices.Equal(alive, want) {
			t.Errorf("alive: %q, %v; want %q", alive, err, want)
		}
		began := time.Now()
		for i, place := range places {
			place.Holder, place.Bucket = p.holder, m
			cleared := false
			err := ClearIn(place, func() error { cleared = true; return nil })
			if i == 0 && (!errors.Is(err, ErrLocked) || cleared) || i > 0 && (err != nil || !cleared) {
				t.Errorf("clear %d: %v, %v", i, err, cleared)
			}
		}
		if waited := time.Since(began); waited > 2*renewEvery {
			t.Errorf("it waited %v again", waited)
		}
		if left := m.Keys(); len(left) != 2 {
			t.Errorf("left %q, want the lease of the run that goes on, and what is none", left)
		}
	})
}

// TestOutage: while the store is away, nothing takes the lease, and the run that has it keeps it.
func TestOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		records := makeRecords(4)
		p := startProcess(t, m)
		w := p.create(t, records[:2])
		p.off.Store(true)
		time.Sleep(time.Minute)
		p.off.Store(false)
		time.Sleep(2 * renewEvery)
		appendFrame(t, w, records[2:])
		if err := w.Commit(nil); err != nil {
			t.Errorf("after an outage of a minute: %v", err)
		}
		if err := w.Remove(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestRenewalWhoseAnswerIsLost is not the loss of the lease.
func TestRenewalWhoseAnswerIsLost(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		b := &lossy{Bucket: m}
		w := startProcess(t, b).create(t)
		b.loses.Store(true)
		time.Sleep(10 * renewEvery)
		b.loses.Store(false)
		appendFrame(t, w, makeRecords(1))
		if err := errors.Join(w.Commit(nil), w.Remove()); err != nil || len(m.Keys()) > 0 {
			t.Errorf("after answers were lost: %v, left %q", err, m.Keys())
		}
	})
}

// lossy is a bucket that loses the answers to renewals of a lease, while it loses any.
type lossy struct {
	blob.Bucket
	loses atomic.Bool
}

func (b *lossy) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	a, err := b.Bucket.Put(ctx, key, data, c)
	if err == nil && c.Version != "" && b.loses.Load() {
		return blob.Attrs{}, blob.NewStatusError("write", key, 503, "")
	}
	return a, err
}

// TestKilledAtEveryRequest: the run is killed before or after its 1st, 2nd, … request to the store. What it has relied on
// is there in the next run, which comes to the same end; nothing is left.
func TestKilledAtEveryRequest(t *testing.T) {
	records := makeRecords(6)
	// job runs like the command, and returns how many records it relied on.
	job := func(p *process) (kept int, err error) {
		r, err := OpenIn(p.place())
		var w *Writer
		from := 0
		switch {
		case errors.Is(err, ErrNone):
			w, err = CreateIn(p.place(), testHeader())
		case err == nil:
			var got []Record
			if r, got, err = replayReader(r); err != nil {
				return 0, err
			}
			if from = len(got); !equalRecords(got, records[:from]) {
				return 0, fmt.Errorf("%d records are others than were written", from)
			}
			if r.Committed() != nil {
				return from, r.Remove()
			}
			w, err = r.Resume()
		}
		if err != nil {
			return 0, err
		}
		for i := from; i < len(records); i++ {
			if err := errors.Join(w.Append(&records[i]), w.Flush()); err != nil {
				return i, errors.Join(err, w.Close())
			}
		}
		if err := w.Commit([]CommittedFile{{Final: "x"}}); err != nil {
			return len(records), errors.Join(err, w.Close())
		}
		return len(records), w.Remove()
	}
	for kill := 1; ; kill++ {
		for _, when := range []string{"before", "after"} {
			finished := killAtRequest(t, kill, when, job)
			if t.Failed() || finished && when == "after" {
				t.Logf("%d requests", kill-1)
				return
			}
		}
	}
}

// killAtRequest runs job, kills it before or after a request, and runs it again. It reports whether the job came to its
// end before that.
func killAtRequest(t *testing.T, kill int, when string, job func(p *process) (kept int, err error)) (finished bool) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		p := startProcess(t, m)
		var n atomic.Int64
		p.before = func(string, string) {
			if n := n.Add(1); n == int64(kill) && when == "before" || n == int64(kill)+1 {
				p.off.Store(true)
			}
		}
		kept, err := job(p)
		p.off.Store(true)
		if finished = n.Load() < int64(kill); finished {
			if err != nil || len(m.Keys()) > 0 {
				t.Fatalf("without a kill: %v, left %q", err, m.Keys())
			}
			return
		}
		next := startProcess(t, m)
		r, got, err := next.replay()
		if err != nil && !errors.Is(err, ErrNone) {
			t.Fatalf("killed %s request %d: %v", when, kill, err)
		}
		if err == nil && len(got) < kept {
			t.Fatalf("killed %s request %d: %d records, and the run relied on %d", when, kill, len(got), kept)
		}
		if r != nil {
			r.Close()
		}
		if _, err := job(startProcess(t, m)); err != nil || len(m.Keys()) > 0 {
			t.Fatalf("killed %s request %d, rerun: %v, left %q", when, kill, err, m.Keys())
		}
	})
	return finished
}

// TestFind: it finds what is directly below a directory, and tells a journal from the rest of one.
func TestFind(t *testing.T) {
	inBubble(t, func(t *testing.T, m *pipelinetest.Memory) {
		w := startProcess(t, m).create(t, makeRecords(1))
		defer w.Close()
		for _, key := range []string{"dir/.gone.csv.rollcall-journal/.00000002-abc", "dir/.killed.csv.rollcall-lease",
			"dir/sub/.x.csv.rollcall-lease", "dir/.notes", "dir/.x-lease", "dir/out.csv", ".y.csv.rollcall-lease",
			"dir/.z/.q.csv.rollcall-lease"} {
			if _, err := m.Put(t.Context(), key, []byte("x"), blob.Condition{}); err != nil {
				t.Fatal(err)
			}
		}
		found, err := Find(t.Context(), m, "dir/")
		var got []string
		for _, f := range found {
			got = append(got, fmt.Sprintf("%s %v %q %d", f.Key, f.Journal, f.Lease, f.Objects))
		}
		want := []string{`dir/.gone.csv.rollcall false "" 1`,
			`dir/.killed.csv.rollcall false "dir/.killed.csv.rollcall-lease" 1`,
			`dir/.out.csv.rollcall true "dir/.out.csv.rollcall-lease" 3`}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("found %q, %v; want %q", got, err, want)
		}
		if found, err := Find(t.Context(), m, ""); err != nil || len(found) != 1 || found[0].Key != ".y.csv.rollcall" {
			t.Errorf("at the top: %+v, %v; want one", found, err)
		}
	})
}
