package journal

import (
	"errors"
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

// someRecords are n records of every sort.
func someRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		r := &records[i]
		r.Row, r.Attempts = int64(i+1), 1+i%3
		r.At = time.UnixMilli(1767225600000 + int64(i)*7).UTC()
		r.Request = [16]byte(hashOf([]byte{byte(i), byte(i >> 8), 'r'}))
		r.Body = `{"dark-mode":{"key":"on","payload":{"n":` + r.At.Format("05.000") + `}}}`
		switch i % 7 {
		case 3:
			r.Err = &pipeline.UserError{Kind: pipeline.KindRejected, HTTPStatus: 400, Attempts: r.Attempts, Message: "the API refused row " + r.At.Format("5")}
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

// write makes a journal with a frame for each of those batches, and returns its path.
func write(t testing.TB, batches ...[]Record) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), PathFor("out.csv"))
	w, err := Create(path, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	add(t, w, batches...)
	return path
}

// add appends a frame for each of the batches and closes w.
func add(t testing.TB, w *Writer, batches ...[]Record) {
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

// replay is all that can be read of the journal, and the error that ended it; nil is io.EOF. The reader is to be
// closed.
func replay(path string) (*Reader, []Record, error) {
	r, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	var records []Record
	for {
		var rec Record
		err := r.Next(&rec)
		if errors.Is(err, io.EOF) {
			return r, records, nil
		}
		if err != nil {
			return r, records, err
		}
		records = append(records, rec)
	}
}

// want replays the journal, which must hold exactly these records.
func want(t testing.TB, path string, records []Record) {
	t.Helper()
	r, got, err := replay(path)
	if err != nil {
		t.Fatalf("replay: %v", err)
	}
	defer r.Close()
	if !same(records, got) {
		t.Fatalf("records (-want +got):\n%s", cmp.Diff(records, got))
	}
}

// same compares records; none is none, nil or not. cmp is slow on thousands.
func same(a, b []Record) bool { return len(a) == len(b) && (len(a) == 0 || reflect.DeepEqual(a, b)) }

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

// frameEnds are the offsets at which the frames of a journal end.
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
