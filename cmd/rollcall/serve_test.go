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
	"time"
)

// startServe runs `rollcall serve` on a free port until the test ends. It returns the URL, and the lines that the
// command prints after that of the URL.
func startServe(t *testing.T, args ...string) (url string, lines <-chan string) {
	t.Helper()
	return startServeWith(t, nil, args...)
}

// startServeWith is startServe with variables in the environment.
func startServeWith(t *testing.T, variables map[string]string, args ...string) (url string, lines <-chan string) {
	t.Helper()
	soft, stop := context.WithCancelCause(context.Background())
	r, w := io.Pipe()
	said := make(chan string, 100)
	code := make(chan int)
	go func() {
		c := run(append([]string{"serve", "--listen", "127.0.0.1:0"}, args...), &env{
			Stdin: bytes.NewReader(nil), Stdout: w, Stderr: w, Soft: soft, Hard: context.Background(),
			LookupEnv: func(name string) (string, bool) { value, ok := variables[name]; return value, ok },
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
		}, "two", "has changed: serving 1 flag"},
		{"in place", func() { write(file, config("three")) }, "three", "has changed: serving 1 flag"},
		{"half written", func() { write(file, config("four")[:20]) }, "three", "the flags before the change"},
		{"still half written", func() {}, "three", ""},
		{"removed", func() {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "three", ""},
		{"there again", func() { write(file, config("five")) }, "five", "has changed: serving 1 flag"},
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

const cohortFlags = `[
	{"key":"vip","variants":{"on":{"key":"on"}},"segments":[{"conditions":[[{"selector":["context","user","cohort_ids"],
		"op":"set contains any","values":["u0qtvwla"]}]],"variant":"on"}]},
	{"key":"beta","variants":{"on":{"key":"on"}},"segments":[{"conditions":[[{"selector":["context","user","cohort_ids"],
		"op":"set contains any","values":["beta"]}]],"variant":"on"}]},
	{"key":"not-vip","variants":{"on":{"key":"on"}},"segments":[{"conditions":[[{"selector":["context","user","cohort_ids"],
		"op":"set does not contain any","values":["u0qtvwla"]}]],"variant":"on"}]}]`

// With cohorts, serve knows who is in them, whatever a request says, and gives them to clients.
func TestServeCohorts(t *testing.T) {
	folder := t.TempDir()
	flags, vips := filepath.Join(folder, "flags.json"), filepath.Join(folder, "vips.csv")
	dir := filepath.Join(folder, "cohorts")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{
		flags: cohortFlags,
		vips:  "user_id\n\tu1\n\tu2\n\tu1\n", // as Amplitude exports it, and somebody is in it twice
		filepath.Join(dir, "beta.json"): `{"cohortId":"beta","lastModified":1700000000000,"size":2,` +
			`"memberIds":["u2","ü \"3\""]}`,
	} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	modified := time.UnixMilli(1600000000123)
	if err := os.Chtimes(vips, modified, modified); err != nil {
		t.Fatal(err)
	}
	url, _ := startServeWith(t, map[string]string{"AMPLITUDE_API_KEY": "api", "AMPLITUDE_SECRET_KEY": "secret"},
		"--flag-configs", flags, "--cohorts", dir, "--cohort", "vip="+vips, "--cohort-id", "vip=u0qtvwla")
	const vip, beta, notVIP = `"vip":{"key":"on"}`, `"beta":{"key":"on"}`, `"not-vip":{"key":"on"}`
	for _, tt := range []struct{ name, query, want string }{
		{"in one", "user_id=u1", "{" + vip + "}"},
		{"in both", "user_id=u2", "{" + beta + "," + vip + "}"},
		{"in none", "user_id=u9", "{" + notVIP + "}"},
		{"a device alone", "device_id=u1", "{" + notVIP + "}"},
		{"a device of a member", "user_id=u1&device_id=u2", "{" + vip + "}"},
		{"the request says otherwise", "user_id=u9&context={%22cohort_ids%22:[%22u0qtvwla%22]}", "{" + notVIP + "}"},
		{"the request says so of another cohort", "user_id=u1&context={%22cohort_ids%22:%22[\\%22x\\%22]%22}", "{" + vip + "}"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := getBody(t, url+"/v1/vardata?"+tt.query); got != "200 OK "+tt.want {
				t.Errorf("%s: %s, want %s", tt.query, got, tt.want)
			}
		})
	}
	ask := func(t *testing.T, path, secret string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), "GET", url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("api", secret)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return "broken"
		}
		defer res.Body.Close() //nolint:errcheck // only read
		body, err := io.ReadAll(res.Body)
		if err != nil {
			return "broken"
		}
		return res.Status + " " + strings.TrimSpace(string(body))
	}
	for _, tt := range []struct{ name, path, secret, want string }{
		{"from CSV", "/sdk/v1/cohort/u0qtvwla?maxCohortSize=2", "secret", `200 OK {"cohortId":"u0qtvwla","groupType":"User",` +
			`"groupTypeId":0,"lastComputed":1600000000123,"lastModified":1600000000123,"size":2,"memberIds":["u1","u2"]}`},
		{"from JSON", "/sdk/v1/cohort/beta", "secret", `200 OK {"cohortId":"beta","groupType":"User","groupTypeId":0,` +
			`"lastComputed":1700000000000,"lastModified":1700000000000,"size":2,"memberIds":["u2","ü \"3\""]}`},
		{"unchanged", "/sdk/v1/cohort/u0qtvwla?lastModified=1600000000123", "secret", "204 No Content "},
		{"too large", "/sdk/v1/cohort/u0qtvwla?maxCohortSize=1", "secret",
			"413 Request Entity Too Large the cohort is larger than maxCohortSize"},
		{"by its name", "/sdk/v1/cohort/vip", "secret", "404 Not Found no such cohort"},
		{"another key", "/sdk/v1/cohort/beta", "public", "401 Unauthorized Invalid deployment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ask(t, tt.path, tt.secret); got != tt.want {
				t.Errorf("%s: %s, want %s", tt.path, got, tt.want)
			}
		})
	}
	for name, content := range map[string]string{"more members": "user_id\nu1\nu2\nu3\n", "fewer members": "user_id\nu1\n"} {
		t.Run(name+" than were loaded", func(t *testing.T) {
			if err := os.WriteFile(vips, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := ask(t, "/sdk/v1/cohort/u0qtvwla", "secret"); got != "broken" {
				t.Errorf("%s, want a broken answer: the server evaluates with other members", got)
			}
		})
	}
}

// Without cohorts, a warning names the flags that look at them; what a request says counts.
func TestServeWithoutCohorts(t *testing.T) {
	flags := filepath.Join(t.TempDir(), "flags.json")
	if err := os.WriteFile(flags, []byte(cohortFlags), 0o600); err != nil {
		t.Fatal(err)
	}
	url, _ := startServe(t, "--flag-configs", flags)
	if got, want := getBody(t, url+"/v1/vardata?user_id=u&context={%22cohort_ids%22:[%22u0qtvwla%22]}"),
		`200 OK {"vip":{"key":"on"}}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
