package journal

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const secret = "client-CANARYKEY0123456789"

func testHeader() Header {
	return Header{
		RunID: "run-1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC), Version: "v1.2.3",
		Inputs:  []Input{{"users.csv", 1000, "aa"}, {"more.csv", 5, "bb"}},
		Options: map[string]string{"flags": "a,b", "layout": "long"},
		Key:     NewKey(secret),
	}
}

// makeRecords returns n records of all kinds.
func makeRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		r := &records[i]
		r.Row, r.Attempts = int64(i+1), 1+i%3
		r.At = time.UnixMilli(1767225600000 + int64(i)*7).UTC()
		r.Request = [16]byte(hashOf([]byte{byte(i), byte(i >> 8), 'r'}))
		r.Body = `{"dark-mode":{"key":"on","payload":{"n":` + r.At.Format("05.000") + `}}}`
		switch i % 7 {
		case 3:
			r.Err = &pipeline.UserError{Kind: pipeline.KindRejected, HTTPStatus: 400, Attempts: r.Attempts,
				Message: "the API refused row " + r.At.Format("5")}
			r.Body = ""
		case 5:
			r.Err = &pipeline.UserError{Kind: pipeline.KindMissingID, Message: "two\nlines 1 - 2\x00"}
			r.Body, r.Request, r.Attempts = "", [16]byte{}, 0
		case 6:
			r.Body = ""
		}
	}
	return records
}

// writeJournal creates a journal with a frame for each batch, and returns its path.
func writeJournal(t testing.TB, batches ...[]Record) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), PathFor("out.csv"))
	w, err := Create(path, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	appendBatches(t, w, batches...)
	return path
}

// appendBatches appends a frame for each batch and closes w.
func appendBatches(t testing.TB, w *Writer, batches ...[]Record) {
	t.Helper()
	for _, records := range batches {
		for i := range records {
			if err := w.Append(&records[i]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// replayAll returns all records that can be read from the journal, and the error after them; nil for io.EOF. The caller
// closes the Reader. It counts them first, as a run does, and returns an error if Count disagrees with Next.
func replayAll(path string) (*Reader, []Record, error) {
	r, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	return replayReader(r)
}

func replayReader(r *Reader) (*Reader, []Record, error) {
	count, counted := r.Count()
	torn, resumes, commit := r.Torn(), r.Resumes(), r.Committed()
	if err := r.Rewind(); err != nil {
		return r, nil, err
	}
	var records []Record
	var rec Record
	err := r.Next(&rec)
	for ; err == nil; err = r.Next(&rec) {
		records = append(records, rec)
	}
	switch {
	case err == io.EOF && (counted != io.EOF || count != int64(len(records)) || torn != r.Torn() || resumes != r.Resumes() ||
		!reflect.DeepEqual(commit, r.Committed())):
		return r, records, fmt.Errorf("Count returns %d records and %w, Next %d", count, counted, len(records))
	case counted != io.EOF && counted.Error() != err.Error():
		return r, records, fmt.Errorf("Count ends with %w, Next with %w", counted, err)
	case err == io.EOF:
		return r, records, nil
	}
	return r, records, err
}

// checkRecords checks that the journal has exactly these records.
func checkRecords(t testing.TB, path string, records []Record) {
	t.Helper()
	r, got, err := replayAll(path)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	defer r.Close()
	if !equalRecords(records, got) {
		t.Fatalf("records (-want +got):\n%s", cmp.Diff(records, got))
	}
}

// equalRecords compares records; nil equals empty. cmp is slow on thousands.
func equalRecords(a, b []Record) bool {
	return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b))
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// frameEnds returns the offsets at which the frames of a journal end.
func frameEnds(t testing.TB, data []byte) []int {
	t.Helper()
	var ends []int
	for at := 0; at < len(data); {
		b, ok := parseBlock(data[at : at+blockSize])
		if !ok {
			t.Fatalf("no frame at %d", at)
		}
		at += blockSize + int(b.length)
		ends = append(ends, at)
	}
	return ends
}
