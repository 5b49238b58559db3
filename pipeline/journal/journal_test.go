package journal

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
)

// TestMain is also the program that the tests of locks and crashes run: this binary with ROLLCALL_TEST_CHILD set.
func TestMain(m *testing.M) {
	path := os.Getenv("ROLLCALL_TEST_JOURNAL")
	switch os.Getenv("ROLLCALL_TEST_CHILD") {
	case "":
		os.Exit(m.Run())
	case "lock": // until it is killed
		if _, err := Create(path, testHeader()); err != nil {
			panic(err)
		}
		os.Stdout.WriteString("locked\n")
		io.Copy(io.Discard, os.Stdin)
	case "run":
		if err := runJob(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
			if _, ok := errors.AsType[*WriteError](err); ok {
				os.Exit(75)
			}
			os.Exit(1)
		}
	}
}

// TestRoundTrip: all records that are appended are read back, with any division into frames.
func TestRoundTrip(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var batches [][]Record
		var all []Record
		for range rng.IntN(5) {
			records := make([]Record, rng.IntN(1+rng.IntN(3000)))
			for i := range records {
				records[i] = randomRecord(rng)
			}
			batches = append(batches, records)
			all = append(all, records...)
		}
		path := writeJournal(t, batches...)
		checkRecords(t, path, all)
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
			t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
		}
	}
}

func randomRecord(rng *rand.Rand) Record {
	number := func() int64 { return int64(rng.Uint64()) >> rng.IntN(64) }
	text := make([]byte, rng.IntN(1+rng.IntN(300)))
	for i := range text {
		text[i] = byte(rng.Uint32() >> rng.IntN(8))
	}
	r := Record{Row: number(), Attempts: rng.IntN(10), At: time.UnixMilli(number() >> 16).UTC()}
	if rng.IntN(3) > 0 {
		for i := range r.Request {
			r.Request[i] = byte(rng.Uint32())
		}
	}
	if rng.IntN(3) > 0 {
		r.Body = string(text)
		r.Cache.State = []string{"", pipeline.CacheHit, pipeline.CacheMiss}[rng.IntN(3)]
		if r.Cache.Aged = rng.IntN(2) > 0; r.Cache.Aged {
			r.Cache.Age = max(number(), 0)
		}
	} else {
		r.Err = &pipeline.UserError{Kind: pipeline.Kinds[rng.IntN(len(pipeline.Kinds))], HTTPStatus: rng.IntN(2) * 503,
			Attempts: r.Attempts, Message: string(text)}
	}
	return r
}

// TestCacheInARecord: what an answer said of caches stands where a failure has its status.
func TestCacheInARecord(t *testing.T) {
	for _, tt := range []struct {
		field string
		want  pipeline.Cache
		bad   bool
	}{
		{"-", pipeline.Cache{}, false},
		{"hit:17", pipeline.Cache{State: "hit", Aged: true, Age: 17}, false},
		{"miss:0", pipeline.Cache{State: "miss", Aged: true}, false},
		{"hit:", pipeline.Cache{State: "hit"}, false},
		{":3", pipeline.Cache{Aged: true, Age: 3}, false},
		{":", pipeline.Cache{}, true},
		{"hit", pipeline.Cache{}, true},
		{"hit:-1", pipeline.Cache{}, true},
		{"hit:x", pipeline.Cache{}, true},
		{"maybe:1", pipeline.Cache{}, true},
		{"503", pipeline.Cache{}, true},
	} {
		t.Run(tt.field, func(t *testing.T) {
			line := "17 - 1 1767225600123 answered " + tt.field + " 2 {}\n"
			var got Record
			rest, err := parseRecord([]byte(line), line, &got)
			if tt.bad {
				if err == nil {
					t.Fatalf("%q: %+v, want an error", line, got)
				}
				return
			}
			if err != nil || len(rest) > 0 || got.Cache != tt.want || got.Body != "{}" {
				t.Fatalf("%q: %+v, %v, rest %q; want the cache %+v", line, got, err, rest, tt.want)
			}
			if again, err := appendRecord(nil, &got); err != nil || string(again) != line {
				t.Errorf("%q is written again as %q, %v", line, again, err)
			}
		})
	}
}

// TestLongBodies: the longest body fits, and a longer one is refused and not written.
func TestLongBodies(t *testing.T) {
	rng := rand.NewChaCha8([32]byte{})
	noise := make([]byte, MaxBody) // does not compress
	rng.Read(noise)
	records := []Record{
		{Row: 1, At: time.UnixMilli(1).UTC(), Body: strings.Repeat("x", frameText-200)},
		{Row: 2, At: time.UnixMilli(1).UTC(), Body: string(noise)},
		{Row: 3, At: time.UnixMilli(1).UTC(), Body: "{}"},
	}
	path := filepath.Join(t.TempDir(), ".x.rollcall")
	w, err := Create(path, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(&Record{Row: 9, Body: string(noise) + "x"}); err == nil || !strings.Contains(err.Error(), "row 9") {
		t.Errorf("a longer body: %v, want an error that names the row", err)
	}
	if err := w.Append(&Record{Row: 9, Err: &pipeline.UserError{Kind: "odd"}}); err == nil {
		t.Error("an unknown kind was taken")
	}
	appendBatches(t, w, records)
	checkRecords(t, path, records)
}

func TestFailuresTakeTheirAttemptsFromTheError(t *testing.T) {
	r := Record{Row: 1, Attempts: 9, At: time.UnixMilli(5).UTC(),
		Err: &pipeline.UserError{Kind: pipeline.KindUnavailable, HTTPStatus: 503, Attempts: 5}}
	got := writeJournal(t, []Record{r})
	r.Attempts = 5
	checkRecords(t, got, []Record{r})
}

func TestHeaderComesBack(t *testing.T) {
	h := testHeader()
	path := filepath.Join(t.TempDir(), ".x.rollcall")
	w, err := Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	appendBatches(t, w)
	if _, err := Create(path, h); !errors.Is(err, ErrExists) {
		t.Errorf("create again: %v, want ErrExists", err)
	}
	r, _, err := replayAll(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if diff := cmp.Diff(h, *r.Header()); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
}

// TestResumeWithKey: the header has the key that the run was resumed with, and the journal says that there were two.
func TestResumeWithKey(t *testing.T) {
	h := testHeader()
	path := filepath.Join(t.TempDir(), ".x.rollcall")
	w, err := Create(path, h)
	if err != nil {
		t.Fatal(err)
	}
	appendBatches(t, w)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for i, step := range []struct{ was, next string }{{secret, ""}, {secret, "rotated"}, {"rotated", ""},
		{"rotated", "rotated again"}, {"rotated again", ""}} {
		t.Run(fmt.Sprintf("%+v", step), func(t *testing.T) {
			r, _, err := replayAll(path)
			if err != nil {
				t.Fatal(err)
			}
			if !r.Header().Key.Matches(step.was) || r.Resumes() != i || r.NewKeys() != i/2 {
				t.Errorf("resume %d: key of %q: %v; %d resumes, %d new keys; want that key, %d and %d",
					i, step.was, r.Header().Key.Matches(step.was), r.Resumes(), r.NewKeys(), i, i/2)
			}
			if step.next == "" {
				w, err = r.Resume()
			} else {
				w, err = r.ResumeWithKey(NewKey(step.next))
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestDiff(t *testing.T) {
	h := testHeader()
	in := func(name string, size int64, sum string) Input { return Input{name, size, sum} }
	users, more := h.Inputs[0], h.Inputs[1]
	options := func() map[string]string { return map[string]string{"flags": "a,b", "layout": "long"} }
	tests := []struct {
		name    string
		inputs  []Input
		options map[string]string
		want    []string
	}{
		{"nothing", []Input{users, more}, options(), nil},
		{"a size", []Input{in("users.csv", 1001, "cc"), more}, options(),
			[]string{"the input users.csv has 1001 bytes, but had 1000"}},
		{"a content", []Input{in("users.csv", 1000, "cc"), more}, options(),
			[]string{"the input users.csv has changed (but not its size)"}},
		{"the order", []Input{more, users}, options(), []string{"the inputs are given in another order, or not as often"}},
		{"one less", []Input{users}, options(), []string{"the input more.csv is no longer given"}},
		{"one twice", []Input{users, more, more}, options(),
			[]string{"the inputs are given in another order, or not as often"}},
		{"a name", []Input{users, in("x.csv", 5, "bb")}, options(),
			[]string{"the input more.csv is no longer given", "the input x.csv is new"}},
		{"options", []Input{users, more}, map[string]string{"flags": "b,a", "limit": "5"},
			[]string{`--flags is "b,a", but was "a,b"`, `--layout is not set, but was "long"`,
				`--limit is "5", but was not set`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, h.Diff(tt.inputs, tt.options)); diff != "" {
				t.Errorf("differences (-want +got):\n%s", diff)
			}
		})
	}
	salted := NewKey("x")
	if !(Key{}).Matches("") || (Key{}).Matches("x") || NewKey("") != (Key{}) || salted == NewKey("x") ||
		NewKey("x").Matches("") {
		t.Error("keys: only the empty secret matches the zero Key, and two Keys have different salts")
	}
}

func TestPathFor(t *testing.T) {
	for out, want := range map[string]string{
		"out.csv": ".out.csv.rollcall", "a/b/out.parquet": "a/b/.out.parquet.rollcall", "/x": "/.x.rollcall",
		strings.Repeat("n", 220): "." + strings.Repeat("n", 220) + ".rollcall",
		strings.Repeat("n", 255): "." + strings.Repeat("n", 203) + "-3bb555e4ed3e8c6e.rollcall",
	} {
		t.Run(out, func(t *testing.T) {
			if got := PathFor(out); got != want {
				t.Errorf("PathFor(%s) = %s, want %s", out, got, want)
			}
		})
	}
}

// TestReadableWithZstdcat: a plain zstd decoder prints the text.
func TestReadableWithZstdcat(t *testing.T) {
	at := time.UnixMilli(1767225600123)
	path := writeJournal(t, []Record{
		{Row: 17, Request: [16]byte{0x9f, 15: 1}, Attempts: 1, At: at, Body: `{"dark-mode":{"key":"on"}}`},
		{Row: 18, At: at, Err: &pipeline.UserError{Kind: pipeline.KindMissingID, Message: "no id"}},
	}, []Record{
		{Row: 19, Request: [16]byte{1}, At: at, Err: &pipeline.UserError{Kind: pipeline.KindRejected, HTTPStatus: 400,
			Attempts: 1, Message: "refused"}},
	})
	dec, err := zstd.NewReader(bytes.NewReader(readFile(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	header, records, _ := strings.Cut(string(text), "\n")
	if !strings.HasPrefix(header, `{"run_id":"run-1",`) {
		t.Errorf("header %s", header)
	}
	want := `17 9f000000000000000000000000000001 1 1767225600123 answered - 26 {"dark-mode":{"key":"on"}}
18 - 0 1767225600123 missing_id - 5 no id
19 01000000000000000000000000000000 1 1767225600123 rejected 400 7 refused
`
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("text (-want +got):\n%s", diff)
	}
}

// TestFlushes: a frame is written by count, by size, and a second after its first record even if no more come.
func TestFlushes(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".x.rollcall") // outside the bubble
	synctest.Test(t, func(t *testing.T) {
		w, err := Create(path, testHeader())
		if err != nil {
			t.Fatal(err)
		}
		frames := func() int { return len(frameEnds(t, readFile(t, path))) - 1 }
		appendTo := func(r Record) {
			t.Helper()
			if err := w.Append(&r); err != nil {
				t.Fatal(err)
			}
		}
		at := func(when string, want int) {
			t.Helper()
			synctest.Wait()
			if got := frames(); got != want {
				t.Errorf("%s: %d frames, want %d", when, got, want)
			}
		}
		at("at first", 0)
		appendTo(Record{Row: 1})
		time.Sleep(FrameAge - time.Millisecond)
		appendTo(Record{Row: 2}) // does not put it off
		at("before the second is over", 0)
		time.Sleep(time.Millisecond)
		at("a second after the first record", 1)
		time.Sleep(time.Hour)
		at("nothing to write", 1)
		appendTo(Record{Row: 3})
		time.Sleep(FrameAge)
		at("a second after the next", 2)
		for i := range FrameRecords - 1 {
			appendTo(Record{Row: int64(4 + i)})
		}
		at("one record less than a frame", 2)
		appendTo(Record{Row: 4 + FrameRecords})
		at("a full frame", 3)
		time.Sleep(time.Hour)
		at("nothing left of it", 3)
		appendTo(Record{Row: 5000, Body: strings.Repeat("x", frameText)})
		at("a long answer", 4)
		appendTo(Record{Row: 5001})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		at("closed", 5)
		time.Sleep(time.Hour)
		at("after it is closed", 5)
	})
}

func TestResumeAndCommit(t *testing.T) {
	records := makeRecords(6)
	path := writeJournal(t, records[:2])
	r, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Resume(); err == nil {
		t.Error("it was resumed before it was read")
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) {
		t.Errorf("open while it is open: %v, want ErrLocked", err)
	}
	if err := Discard(path); !errors.Is(err, ErrLocked) || pipeline.Hint(err) == "" {
		t.Errorf("discard while it is open: %v, want ErrLocked", err)
	}
	r.Close()

	files := []CommittedFile{{Temp: "/a/.x.tmp", Final: "/a/x", SHA256: "aa", Bytes: 12},
		{Temp: "/a/.y.tmp", Final: "a=1/y", SHA256: "bb", Output: 1}, {Final: "a=2/y", Output: 1, Remove: true}}
	for i := 2; i < 6; i += 2 {
		r, got, err := replayAll(path)
		if err != nil || len(got) != i || r.Resumes() != i/2-1 || r.Torn() != 0 {
			t.Fatalf("%d records, %d resumes, %d torn, %v; want %d, %d, 0", len(got), r.Resumes(), r.Torn(), err, i, i/2-1)
		}
		if i > 2 {
			if diff := cmp.Diff(files, r.Committed()); diff != "" {
				t.Errorf("committed (-want +got):\n%s", diff)
			}
		} else if r.Committed() != nil {
			t.Errorf("committed: %v, want none yet", r.Committed())
		}
		w, err := r.Resume() // a commit does not keep it from going on
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Close(); err != nil { // the lock has passed on
			t.Fatal(err)
		}
		if _, err := Open(path); !errors.Is(err, ErrLocked) {
			t.Errorf("open while it is resumed: %v, want ErrLocked", err)
		}
		for j := range 2 {
			if err := w.Append(&records[i+j]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(files); err != nil {
			t.Fatal(err)
		}
		if err := w.Append(&records[0]); err == nil {
			t.Error("a record after the commit")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	checkRecords(t, path, records)
	r, _, err = replayAll(path)
	if err != nil || r.Committed() == nil {
		t.Fatalf("committed: %v, %v", r.Committed(), err)
	}
	if err := r.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Remove: %v", err)
	}

	w, err := Create(path, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Append(&records[0]); err != nil {
		t.Fatal(err)
	}
	if err := w.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrNone) {
		t.Errorf("after Remove: %v, want ErrNone", err)
	}
	if err := w.Append(&records[0]); err == nil {
		t.Error("a record after Remove")
	}
}

// TestResumedIsVoidCommit: a run that is resumed after its commit is not finished.
func TestResumedIsVoidCommit(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".x.rollcall")
	w, err := Create(path, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Commit([]CommittedFile{{Final: "x"}}), w.Close()); err != nil {
		t.Fatal(err)
	}
	r, _, err := replayAll(path)
	if err != nil || len(r.Committed()) != 1 {
		t.Fatalf("committed %v, %v", r.Committed(), err)
	}
	if w, err = r.Resume(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if r, _, err = replayAll(path); err != nil || r.Committed() != nil {
		t.Fatalf("after resuming: committed %v, %v; want none", r.Committed(), err)
	}
	r.Close()
}

func TestLockGoesWithTheProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), ".x.rollcall")
	cmd := child(os.Args[0], "lock", path)
	stdin, err := cmd.StdinPipe() // ends with this process, and the child with it
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(stdout, make([]byte, len("locked\n"))); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, ErrLocked) ||
		!strings.Contains(err.Error(), "another run is writing these outputs") || pipeline.Hint(err) == "" {
		t.Errorf("open: %v, want ErrLocked", err)
	}
	if _, err := Create(path, testHeader()); !errors.Is(err, ErrLocked) {
		t.Errorf("create: %v, want ErrLocked", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	checkRecords(t, path, nil)
}

func child(binary, mode, path string, env ...string) *exec.Cmd {
	cmd := exec.Command(binary)
	cmd.Env = append(os.Environ(), append(env, "ROLLCALL_TEST_CHILD="+mode, "ROLLCALL_TEST_JOURNAL="+path)...)
	return cmd
}

// The number of records in the crash tests, and the number in a frame.
const crashRecords, crashFrame = 10, 3

// runJob runs like the command: it resumes an existing journal, continues to the end, publishes its records as a
// file, and records which rows were asked about and which were on the disk.
func runJob(path string) (err error) {
	out := path + ".out"
	account := func(what string, row int64) {
		f, err := os.OpenFile(path+"."+what, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			panic(err)
		}
		fmt.Fprintln(f, row)
		f.Close()
	}
	var records []Record
	r, err := Open(path)
	var w *Writer
	switch {
	case errors.Is(err, ErrNone):
		if ok, err := durable.Exists(out); ok || err != nil {
			return err // published, and the journal is gone
		}
		w, err = Create(path, testHeader())
	case err == nil:
		for err == nil {
			var rec Record
			if err = r.Next(&rec); err == nil {
				records = append(records, rec)
			}
		}
		if err != io.EOF {
			return err
		}
		if files := r.Committed(); files != nil {
			for _, f := range files {
				if ok, err := durable.Exists(f.Temp); err != nil {
					return err
				} else if !ok {
					continue // this one has its name
				}
				if err := durable.Rename(f.Temp, f.Final); err != nil {
					return err
				}
			}
			return errors.Join(durable.SyncDir(out), r.Remove())
		}
		if w, err = r.Resume(); err != nil {
			r.Close()
		}
	}
	if err != nil {
		return err
	}
	for _, rec := range makeRecords(crashRecords)[len(records):] {
		account("asked", rec.Row)
		if err := w.Append(&rec); err != nil {
			return errors.Join(err, w.Close())
		}
		records = append(records, rec)
		if len(records)%crashFrame == 0 {
			if err := w.Flush(); err != nil {
				return errors.Join(err, w.Close())
			}
			account("kept", rec.Row)
		}
	}
	temp, err := durable.CreateTemp(out, 0o600)
	if err != nil {
		return errors.Join(err, w.Close())
	}
	var content []byte
	for _, rec := range records {
		content = fmt.Appendf(content, "%d %x %s %v\n", rec.Row, rec.Request, rec.Body, rec.Err)
	}
	_, err = temp.Write(content)
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := w.Commit([]CommittedFile{{Temp: temp.Name(), Final: out}}); err != nil {
		return errors.Join(err, w.Close())
	}
	if err := errors.Join(temp.Rename(), temp.SyncDir()); err != nil {
		return errors.Join(err, w.Close())
	}
	return w.Remove()
}

// TestWriteErrorsStay: after a failed write nothing more is written, and every call returns the error.
func TestWriteErrorsStay(t *testing.T) {
	for _, how := range []string{"count", "flush", "close", "commit", "timer"} {
		path := filepath.Join(t.TempDir(), ".x.rollcall")
		synctest.Test(t, func(t *testing.T) {
			w, err := Create(path, testHeader())
			if err != nil {
				t.Fatal(err)
			}
			size := len(readFile(t, path))
			if err := w.log.Close(); err != nil { // whatever is written now fails
				t.Fatal(err)
			}
			if err := w.Append(&Record{Row: 1}); err != nil {
				t.Fatal(err)
			}
			switch how {
			case "count":
				for range FrameRecords - 1 {
					err = w.Append(&Record{Row: 1})
				}
			case "flush":
				err = w.Flush()
			case "close":
				err = w.Close()
			case "commit":
				err = w.Commit(nil)
			case "timer":
				time.Sleep(FrameAge)
				synctest.Wait()
				err = w.Append(&Record{Row: 2})
			}
			if _, ok := errors.AsType[*WriteError](err); !ok || !errors.Is(err, fs.ErrClosed) ||
				!strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v, want a WriteError that wraps the cause and names the file", how, err)
			}
			if !strings.Contains(err.Error(), "write journal") { // that the close failed too is not enough
				t.Errorf("%s: %v, want the write's error", how, err)
			}
			if how != "close" {
				first := err
				for name, again := range map[string]error{"append": w.Append(&Record{Row: 3}), "flush": w.Flush(),
					"commit": w.Commit(nil)} {
					if again != first {
						t.Errorf("%s, then %s: %v, want %v", how, name, again, first)
					}
				}
				if err := w.Close(); !errors.Is(err, first) {
					t.Errorf("%s, then close: %v, want %v", how, err, first)
				}
			}
			if got := len(readFile(t, path)); got != size {
				t.Errorf("%s: the file grew from %d to %d", how, size, got)
			}
		})
	}
}

func TestWriteErrorHasAHint(t *testing.T) {
	err := error(&WriteError{"x", durable.WrapError("write journal", "x", syscall.ENOSPC)})
	if !errors.Is(err, syscall.ENOSPC) || pipeline.Hint(err) == "" ||
		err.Error() != "write journal x: no space left on device" {
		t.Errorf("%v with hint %q", err, pipeline.Hint(err))
	}
}

// TestNoSecretsInTheFile: neither the file nor its text has a secret, in any form from which it can be recovered.
func TestNoSecretsInTheFile(t *testing.T) {
	const user = "canary-user@example.com"
	sum := sha256.Sum256([]byte(user))
	path := writeJournal(t, []Record{{Row: 1, Request: [16]byte(sum[:16]), At: time.UnixMilli(0), Body: `{}`}})
	data := readFile(t, path)
	dec, err := zstd.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer dec.Close()
	text, err := io.ReadAll(dec)
	if err != nil {
		t.Fatal(err)
	}
	keySum, keyMD5 := sha256.Sum256([]byte(secret)), md5.Sum([]byte(secret))
	for _, canary := range []string{user, secret, string(keySum[:]), string(keyMD5[:])} {
		for form, needle := range map[string]string{
			"raw": canary, "hex": hex.EncodeToString([]byte(canary)),
			"base64":    base64.RawStdEncoding.EncodeToString([]byte(canary)),
			"base64url": base64.RawURLEncoding.EncodeToString([]byte(canary)),
		} {
			if bytes.Contains(data, []byte(needle)) || bytes.Contains(bytes.ToLower(text), bytes.ToLower([]byte(needle))) {
				t.Errorf("%q is in the file, %s", canary, form)
			}
		}
	}
}
