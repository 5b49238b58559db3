//go:build unix

package main

import (
	"encoding/csv"
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is measured has to be what the goal speaks of: five flags and about 300 bytes.
func TestAnswer(t *testing.T) {
	var got map[string]bareVariant
	if err := json.Unmarshal([]byte(answer), &got); err != nil {
		t.Fatal(err)
	}
	for flag := range strings.SplitSeq(flags, ",") {
		if got[flag].Key == "" {
			t.Errorf("the answer lacks %s, which is asked for", flag)
		}
	}
	if len(got) != 5 || len(answer) < 280 || len(answer) > 320 {
		t.Errorf("the answer has %d flags in %d bytes, want 5 in about 300", len(got), len(answer))
	}
}

func TestBareAsksAboutEveryUserOnce(t *testing.T) {
	const users = 1000
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := writeInput(path, users); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	records, err := csv.NewReader(f).ReadAll()
	if err != nil || len(records) != users+1 || len(records[0]) != columns {
		t.Fatalf("input has %d records of %d columns (%v), want %d of %d", len(records), len(records[0]), err, users+1, columns)
	}

	server := httptest.NewServer(handler())
	defer server.Close()
	if err := bare(server.URL, path); err != nil {
		t.Fatal(err)
	}
	b := bench{server: server.URL}
	if got, err := b.asked(t.Context()); err != nil || got != users {
		t.Errorf("the server was asked about %d users (%v), want %d", got, err, users)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{
		{[]float64{3}, 3},
		{[]float64{3, 1, 2}, 2},
		{[]float64{4, 1, 3, 2}, 2.5},
	} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}
