//go:build unix

package main

import (
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline/journal"
)

func TestParseFlatten(t *testing.T) {
	const out = `goos: linux
BenchmarkFlatten/all/flags=10-2   	 3404044	  395.2 ns/op	  39.52 ns/flag	       0 B/op	       0 allocs/op
BenchmarkFlatten/all/flags=10     	 3404044	  395.2 ns/op	  41.00 ns/flag	       0 B/op	       0 allocs/op
BenchmarkFlatten/half/flags=1000-16  9940	  117387 ns/op	  117.4 ns/flag	      40 B/op	       0 allocs/op
BenchmarkOther/all/flags=10-2      	 1000	  395.2 ns/op	  39.52 ns/flag
PASS
`
	want := map[string]map[int][]float64{"all": {10: {39.52, 41}}, "half": {1000: {117.4}}}
	if diff := cmp.Diff(want, parseFlatten(out)); diff != "" {
		t.Errorf("parseFlatten (-want +got):\n%s", diff)
	}
}

func TestSumCode(t *testing.T) {
	const about = `bin: go1.26
	path	example.com/own/cmd/own
	mod	example.com/own	(devel)
	dep	github.com/a/b	v1.0.0	h1:x=
	dep	github.com/a/b/v2	v2.0.0	h1:x=
	dep	gopkg.in/yaml.v3	v3.0.0	h1:x=
	build	-compiler=gc
`
	const symbols = `  401000        100 T main.main
  401000         10 T example.com/own/pipeline.(*Pipeline).Run
  401000       2000 T github.com/a/b/c.F
  401000        200 T github.com/a/b/v2.F
  401000         20 T type:.eq.github.com/a/b/v2/d.T
  401000          2 t slices.SortFunc[go.shape.struct { github.com/a/b.X }]
  401000       5000 T gopkg.in/yaml%2ev3.Unmarshal
  401000         30 T net/http.Get
  401000          3 T net.Dial
  401000         40 T github.com/a/bc.F
  401000    1000000 D main.table
           0        U malloc
`
	want := map[string]int{"example.com/own": 110, "github.com/a/b": 2000, "github.com/a/b/v2": 220, "std: slices": 2,
		"gopkg.in/yaml.v3": 5000, "std: net": 33, "std: github": 40}
	if diff := cmp.Diff(want, sumCode([]byte(symbols), modulesOf([]byte(about)))); diff != "" {
		t.Errorf("sumCode (-want +got):\n%s", diff)
	}
}

// The journal that replay measures has an answer for each user, once.
func TestCompleteJournal(t *testing.T) {
	dir := t.TempDir()
	input, path := filepath.Join(dir, "users.csv"), filepath.Join(dir, "journal")
	if err := writeInput(input, 20, columns); err != nil {
		t.Fatal(err)
	}
	w, err := journal.Create(path, journal.Header{RunID: "run"})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Append(&journal.Record{Row: 1, Attempts: 1, Body: constantAnswer}), w.Flush(), w.Close()); err != nil {
		t.Fatal(err)
	}
	if err := completeJournal(path, "http://127.0.0.1:1", input, 15); err != nil {
		t.Fatal(err)
	}
	r, err := journal.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var rec journal.Record
	requests := map[[16]byte]bool{}
	for row := int64(1); row <= 15; row++ {
		if err := r.Next(&rec); err != nil || rec.Row != row || rec.Body != constantAnswer {
			t.Fatalf("record %d: %+v, %v", row, rec, err)
		}
		requests[rec.Request] = true
	}
	if err := r.Next(&rec); !errors.Is(err, io.EOF) {
		t.Errorf("after the last record: %+v, %v; want io.EOF", rec, err)
	}
	if len(requests) != 15 {
		t.Errorf("%d different requests of 15 users", len(requests))
	}
}
