package journal_test

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

// A run appends the result of each row. The run that resumes it reads them back, and continues.
func Example() {
	dir, err := os.MkdirTemp("", "rollcall-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := journal.PathFor(filepath.Join(dir, "assignments.csv"))

	w, err := journal.Create(path, journal.Header{RunID: "run-1", StartedAt: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		Version: "1"})
	if err != nil {
		log.Fatal(err)
	}
	if err := w.Append(&journal.Record{Row: 1, Attempts: 1, At: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
		Body: "{}"}); err != nil {
		log.Fatal(err)
	}
	if err := w.Close(); err != nil { // a process that is killed loses at most the last second
		log.Fatal(err)
	}

	r, err := journal.Open(path)
	if err != nil {
		log.Fatal(err)
	}
	var rec journal.Record
	for {
		if err := r.Next(&rec); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r.Header().RunID, rec.Row, rec.Body)
	}
	if w, err = r.Resume(); err != nil {
		log.Fatal(err)
	}
	if err := w.Remove(); err != nil { // everything is published
		log.Fatal(err)
	}
	// Output: run-1 1 {}
}
