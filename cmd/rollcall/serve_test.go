package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// startServe runs `rollcall serve` on a free port until the test ends. It returns the URL, and the lines that the
// command prints after that of the URL.
func startServe(t *testing.T, args ...string) (url string, lines <-chan string) {
	t.Helper()
	soft, stop := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	said := make(chan string, 100)
	code := make(chan int)
	go func() {
		c := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), &env{
			Stdin: bytes.NewReader(nil), Stdout: w, Stderr: w, Soft: soft, Hard: context.Background(),
			LookupEnv: func(string) (string, bool) { return "", false },
		})
		_ = w.Close()
		code <- c
	}()
	go func() {
		defer close(said)
		for s := bufio.NewScanner(r); s.Scan(); {
			said <- s.Text()
		}
	}()
	t.Cleanup(func() {
		stop(&interruptedError{syscall.SIGTERM})
		if got := <-code; got != 143 {
			t.Errorf("serve %s: exit code %d, want 143", strings.Join(args, " "), got)
		}
	})
	for line := range said {
		if url := regexp.MustCompile(`http://[0-9.:]+`).FindString(line); url != "" {
			return url, said
		}
		t.Log(line)
	}
	t.Fatalf("serve %s has ended", strings.Join(args, " "))
	return "", nil
}

// getBody asks the server, and returns the status and the body.
func getBody(t *testing.T, url string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Api-Key k")
	r.Header.Set("X-Amp-Exp-Track", "no-track")
	r.Header.Set("X-Amp-Exp-Exposure-Track", "no-track")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.Status + " " + string(body)
}

// An edit of the flag configurations is seen by the next request; one that is not valid changes nothing.
func TestServeReloads(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "flags.json")
	config := func(variant string) string {
		return `[{"key":"f","variants":{"` + variant + `":{"key":"` + variant + `"}},"segments":[{"variant":"` + variant + `"}]}]`
	}
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, config("one"))
	url, lines := startServe(t, "--flag-configs", file)
	for _, step := range []struct {
		name string
		edit func()
		want string // the variant
		said string // in a line; "" for none
	}{
		{"as it was", func() {}, "one", ""},
		{"replaced", func() {
			write(file+".new", config("two"))
			if err := os.Rename(file+".new", file); err != nil {
				t.Fatal(err)
			}
		}, "two", "has changed: serving 1 flags"},
		{"in place", func() { write(file, config("three")) }, "three", "has changed: serving 1 flags"},
		{"half written", func() { write(file, config("four")[:20]) }, "three", "the flags before the change"},
		{"still half written", func() {}, "three", ""},
		{"removed", func() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "three", ""},
		{"there again", func() { write(file, config("five")) }, "five", "has changed: serving 1 flags"},
	} {
		t.Run(step.name, func(t *testing.T) {
			step.edit()
			if got, want := getBody(t, url+"/v1/vardata?user_id=u"), `200 OK {"f":{"key":"`+step.want+`"}}`; got != want {
				t.Errorf("vardata: %s, want %s", got, want)
			}
			if got := getBody(t, url+"/v1/flags"); got != "200 OK "+config(step.want) {
				t.Errorf("flags: %s, want the flag with %s", got, step.want)
			}
			for found := step.said == ""; !found; {
				line, ok := <-lines
				if !ok {
					t.Fatalf("serve ended without a line with %q", step.said)
				}
				found = strings.Contains(line, step.said) // other lines are a hint's
			}
		})
	}
}

// An address that is taken is an error that says so once, and what to do.
func TestServePortInUse(t *testing.T) {
	url, _ := startServe(t, "--flag-configs", "../../testdata/flags.json")
	addr := strings.TrimPrefix(url, "http://")
	var out bytes.Buffer
	code := run([]string{"serve", "--flag-configs", "../../testdata/flags.json", "--listen", addr}, &env{
		Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &out, Soft: t.Context(), Hard: t.Context(),
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	if said := out.String(); code != exitFailed || strings.Count(said, addr) != 1 || !strings.Contains(said, "--listen 127.0.0.1:0") {
		t.Errorf("exit code %d, it said %q; want %d, the address once, and another to try", code, said, exitFailed)
	}
}
