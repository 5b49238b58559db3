package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// TestMetricsListen asks for the metrics while a run goes on: its server does, with the hundredth request. They say that
// the run goes on, which users were counted so far, and how long answers took. After the run nobody listens.
func TestMetricsListen(t *testing.T) {
	directory := t.TempDir()
	input := filepath.Join(directory, "users.csv")
	if err := os.WriteFile(input, []byte("user_id\n"+strings.Join(names("u", 200), "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said syncBuffer
	var scraped, url string
	var scrapeErr error
	counted := regexp.MustCompile(`rollcall_users\{kind="",outcome="answered",.*\} [1-9]`)
	requests := 0
	var mu sync.Mutex
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		requests++
		n := requests
		mu.Unlock()
		// The counts are those of the last time that somebody asked; then the next user who is written brings new ones.
		if n == 50 || n == 100 {
			url = regexp.MustCompile(`http://127\.0\.0\.1:\d+/metrics`).FindString(said.String())
			for scraped = ""; scrapeErr == nil && (scraped == "" || n == 100 && !counted.MatchString(scraped)); {
				scraped, scrapeErr = get(url)
			}
		}
		fmt.Fprint(w, `{"f":{"key":"on","value":"on"}}`)
	}))
	defer server.Close()
	code := run([]string{"snapshot", input, "--server", server.URL, "--flags", "f", "--rate", "0", "--concurrency", "1", "--out",
		filepath.Join(directory, "a.csv"), "--metrics-listen", "127.0.0.1:0", "--allow-tracking"}, &env{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: &said, Soft: t.Context(), Hard: t.Context(),
		LookupEnv: func(name string) (string, bool) { return networkKey, name == keyVariable }})
	if code != exitOK || scrapeErr != nil {
		t.Fatalf("asking for the metrics: %v; exit code %d; it said:\n%s", scrapeErr, code, said.String())
	}
	for _, want := range []string{
		`rollcall_run_in_progress\{.*\} 1\n`, `rollcall_input_users\{.*\} 200\n`,
		`rollcall_users\{kind="",outcome="answered",.*\} [1-9]\d\n`, `rollcall_assignments\{flag="f",.*variant="on"\} [1-9]\d\n`,
		`rollcall_request_duration_seconds_count\{.*\} \d\d+\n`, `rollcall_requests\{.*status="200"\} \d\d+\n`,
	} {
		if !regexp.MustCompile(want).MatchString(scraped) {
			t.Errorf("the metrics do not match %s:\n%s", want, scraped)
		}
	}
	if strings.Contains(scraped, "rollcall_run_exit_code") || strings.Contains(scraped+said.String(), networkKey) {
		t.Errorf("an exit code in the middle of the run, or the key:\n%s\n%s", scraped, said.String())
	}
	if _, err := get(url); err == nil {
		t.Errorf("%s answers after the run", url)
	}
}

// get returns the body of a page.
func get(url string) (string, error) {
	answer, err := http.Get(url)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(answer.Body)
	return string(body), err
}

// syncBuffer is a buffer that one goroutine writes and another one reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
