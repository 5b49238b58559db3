package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// makeAnswer returns an answer of the API for one user and five flags: as long as the answers for testdata/flags.json,
// with random evaluation ids like the API's.
func makeAnswer(i int) string {
	h := hashOf(fmt.Appendf(nil, "user %d", i))
	variant := func(n int, names ...string) string { return names[int(h[n])%len(names)] }
	id := fmt.Sprintf("%x_%d", h[:4], i%1000)
	return fmt.Sprintf(`{"checkout-redesign":{"key":%q,"expKey":"exp-7"},"dark-mode":{"key":%q},"new-onboarding":{"key":%q,"payload":{"steps":%d}},`+
		`"price-test":{"key":%q,"payload":{"price":"%d.99","currency":"EUR"},"expKey":"exp-12"},"search-ranking":{"key":%q,"evaluationId":%q}}`,
		variant(0, "control", "treatment"), variant(1, "on", "off"), variant(2, "a", "b", "c"), h[3]%5,
		variant(4, "control", "low", "high"), 9+h[5]%3*5, variant(6, "bm25", "vector", "hybrid"), id)
}

// benchRecords is the number of records of a run of some minutes, at 100 users a second.
var benchRecords = sync.OnceValue(func() []Record {
	records := make([]Record, 20000)
	at := time.UnixMilli(1767225600000).UTC()
	for i := range records {
		h := hashOf(fmt.Appendf(nil, "request %d", i))
		at = at.Add(time.Duration(h[0]%20) * time.Millisecond)
		records[i] = Record{Row: int64(1000000 + i), Request: [16]byte(h), Attempts: 1, At: at, Body: makeAnswer(i)}
		if i%500 == 0 {
			records[i].Body, records[i].Err = "", &pipeline.UserError{Kind: pipeline.KindBadAnswer, HTTPStatus: 200, Attempts: 3,
				Message: "the answer is not JSON"}
		}
	}
	return records
})

// BenchmarkAppend appends one user; B/user-flag is the size on disk for each of its five flags.
func BenchmarkAppend(b *testing.B) {
	records := benchRecords()
	path := filepath.Join(b.TempDir(), ".x.rollcall")
	w, err := Create(path, testHeader())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	users, text := 0, 0
	for b.Loop() {
		r := &records[users%len(records)]
		users++
		text += len(r.Body)
		if err := w.Append(r); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(info.Size())/float64(users)/5, "B/user-flag")
	b.ReportMetric(float64(text)/float64(users)/5, "body-B/user-flag")
}

// BenchmarkReplay replays one user.
func BenchmarkReplay(b *testing.B) {
	path := filepath.Join(b.TempDir(), ".x.rollcall")
	w, err := Create(path, testHeader())
	if err != nil {
		b.Fatal(err)
	}
	for range 5 {
		for _, r := range benchRecords() {
			if err := w.Append(&r); err != nil {
				b.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	var r *Reader
	var rec Record
	for b.Loop() {
		if r == nil {
			if r, err = Open(path); err != nil {
				b.Fatal(err)
			}
		}
		if err = r.Next(&rec); errors.Is(err, io.EOF) {
			err = r.Close()
			r = nil
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	if r != nil {
		r.Close()
	}
}

// TestDiskBudget: a journal takes at most 64 bytes for each user and flag, here with five flags at 100 users a second,
// where a frame has 100 records.
func TestDiskBudget(t *testing.T) {
	records := benchRecords()
	for _, perFrame := range []int{100, FrameRecords} {
		path := filepath.Join(t.TempDir(), ".x.rollcall")
		w, err := Create(path, testHeader())
		if err != nil {
			t.Fatal(err)
		}
		users, body := 4*FrameRecords, 0
		for i := range users {
			if err := w.Append(&records[i]); err != nil {
				t.Fatal(err)
			}
			body += len(records[i].Body)
			if (i+1)%perFrame == 0 {
				if err := w.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		size := float64(len(readFile(t, path))) / float64(users) / 5
		t.Logf("%d records a frame: %.1f bytes a user and flag, of %.1f answered", perFrame, size,
			float64(body)/float64(users)/5)
		if size > 64 {
			t.Errorf("%d records a frame: %.1f bytes a user and flag, want at most 64", perFrame, size)
		}
		var flags map[string]json.RawMessage
		if err := json.Unmarshal([]byte(records[1].Body), &flags); err != nil || len(flags) != 5 {
			t.Errorf("the answer has %d flags, %v; want 5", len(flags), err)
		}
	}
}
