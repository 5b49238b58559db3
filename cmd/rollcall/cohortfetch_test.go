package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// runWith runs the command in this process, with these variables and no others.
func runWith(t *testing.T, variables map[string]string, args ...string) (code int, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(args, &env{Stdin: bytes.NewReader(nil), Stdout: &out, Stderr: &errs, Soft: context.Background(),
		Hard:      context.Background(),
		LookupEnv: func(name string) (string, bool) { value, ok := variables[name]; return value, ok }})
	return code, errs.String()
}

// TestFetchCohorts: cohorts that are downloaded give the rows that files of them give, are kept beside the output, and
// are not downloaded again while they are unchanged.
func TestFetchCohorts(t *testing.T) {
	folder := t.TempDir()
	flags, users := filepath.Join(folder, "flags.json"), filepath.Join(folder, "users.csv")
	dir := filepath.Join(folder, "served")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	served := filepath.Join(dir, "beta.json")
	write := func(path, content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(flags, cohortFlags)
	write(users, "user_id,device_id\nu1,\nu2,\nu9,d9\n,u1\n")
	write(filepath.Join(dir, "u0qtvwla.json"), `{"cohortId":"u0qtvwla","lastModified":1700000000000,"size":1,"memberIds":["u1"]}`)
	write(served, `{"cohortId":"beta","lastModified":1700000000000,"size":2,"memberIds":["u2","u9"]}`)
	keys := map[string]string{"AMPLITUDE_API_KEY": "canary-api", "AMPLITUDE_SECRET_KEY": "canary-secret"}
	url, lines := startServeWith(t, keys, "--flag-configs", flags, "--cohorts", dir)
	go func() {
		for range lines { // or serve waits for somebody to read them
		}
	}()

	out := filepath.Join(folder, "out.csv")
	snapshotOf := func(out string, variables map[string]string, more ...string) (int, string) {
		t.Helper()
		return runWith(t, variables, append([]string{"snapshot", users, "--evaluator", "local", "--flag-configs", flags,
			"--out", out, "--overwrite"}, more...)...)
	}
	code, log := snapshotOf(out, keys, "--cohorts", "fetch", "--server", url)
	if code != 0 || strings.Contains(log, "canary") || strings.Count(log, "downloaded true") != 2 {
		t.Fatalf("exit code %d, want 0, and two cohorts downloaded:\n%s", code, log)
	}
	fromFiles := filepath.Join(folder, "files.csv")
	if code, log := snapshotOf(fromFiles, nil, "--cohorts", dir); code != 0 {
		t.Fatalf("from files: exit code %d\n%s", code, log)
	}
	rows := func(path string) (list []string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(data)) {
			cells := strings.Split(line, ",")
			list = append(list, strings.Join(cells[:6], ",")) // without the times
		}
		return list
	}
	if got, want := fmt.Sprint(rows(out)), fmt.Sprint(rows(fromFiles)); got != want {
		t.Errorf("from downloaded cohorts: %s\nfrom files: %s", got, want)
	}
	kept := filepath.Join(folder, "out.csv.cohorts")
	if _, err := os.Stat(kept); err != nil {
		kept = filepath.Join(folder, "out.cohorts")
	}
	for _, id := range []string{"beta", "u0qtvwla"} {
		if data, err := os.ReadFile(filepath.Join(kept, id+".json")); err != nil || !strings.Contains(string(data), id) {
			t.Errorf("cohort %s is not kept: %q, %v", id, data, err)
		}
	}
	if manifest, err := os.ReadFile(out + ".manifest.json"); err != nil ||
		!strings.Contains(string(manifest), `"last_modified": 1700000000000`) || bytes.Contains(manifest, []byte("canary")) {
		t.Errorf("the manifest: %v\n%s", err, manifest)
	}
	if code, log := snapshotOf(out, keys, "--cohorts", "fetch", "--server", url); code != 0 ||
		strings.Count(log, "downloaded false") != 2 {
		t.Errorf("unchanged: exit code %d, want 0, and no cohort downloaded:\n%s", code, log)
	}
	// One that was damaged meanwhile is downloaded as a whole.
	write(filepath.Join(kept, "beta.json"), `{"cohortId":"beta","lastModified":1700000000000,"size":2,"memberIds":["u2"`)
	if code, log := snapshotOf(out, keys, "--cohorts", "fetch", "--server", url); code != 0 ||
		strings.Count(log, "downloaded true") != 1 {
		t.Errorf("damaged: exit code %d, want 0, and one cohort downloaded:\n%s", code, log)
	}
	entries, err := os.ReadDir(kept)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v in the directory, want two files", entries, err)
	}
	if code, log := snapshotOf(filepath.Join(folder, "dry.csv"), nil, "--cohorts", "fetch", "--dry-run"); code != 0 {
		t.Errorf("a dry run: exit code %d, want 0\n%s", code, log)
	}
	for _, tt := range []struct {
		name string
		keys map[string]string
		args []string
		code int
		want string
	}{
		{"no key", nil, []string{"--server", url}, 64, "AMPLITUDE_API_KEY"},
		{"no secret key", map[string]string{"AMPLITUDE_API_KEY": "canary-api"}, []string{"--server", url}, 64,
			"AMPLITUDE_SECRET_KEY"},
		{"a wrong key", map[string]string{"AMPLITUDE_API_KEY": "canary-x", "AMPLITUDE_SECRET_KEY": "canary-y"},
			[]string{"--server", url}, 1, "not a deployment key"},
		{"too large", keys, []string{"--server", url, "--max-cohort-size", "1"}, 1, "raise --max-cohort-size"},
		{"nobody there", keys, []string{"--server", "http://127.0.0.1:1", "--max-outage", "1ms"}, 75, "no answer"},
		{"plain http", keys, []string{"--server", "http://192.0.2.1"}, 64, "plain http"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "x.csv")
			code, log := snapshotOf(out, tt.keys, append(tt.args, "--cohorts", "fetch")...)
			if code != tt.code || !strings.Contains(log, tt.want) || strings.Contains(log, "canary") {
				t.Errorf("exit code %d, want %d, and %q:\n%s", code, tt.code, tt.want, log)
			}
			if _, err := os.Stat(out); err == nil {
				t.Error("something was published")
			}
		})
	}
}

// TestFetchCohortsOfBadServers: what is no answer is asked for again, or ends the run; a good file stays.
func TestFetchCohortsOfBadServers(t *testing.T) {
	const good = `{"cohortId":"beta","lastModified":5,"size":1,"memberIds":["u2"]}`
	for _, tt := range []struct {
		name    string
		answers []string // STATUS BODY, one a request; the last one again and again
		code    int
		want    string // in the log
		asked   int    // requests at least
	}{
		{"at once", []string{"200 " + good}, 0, "downloaded true", 1},
		{"being made", []string{"202 ", "200 " + good}, 0, "it is being made", 2},
		{"out", []string{"503 ", "502 <html>", "200 " + good}, 0, "status 503", 3},
		{"breaks off", []string{"200! " + good, "200 " + good}, 0, "its answer broke off", 2},
		{"stalls", []string{"200~ " + good, "200 " + good}, 0, "its answer broke off", 2},
		{"not found", []string{"404 "}, 1, "--cohort ID=FILE", 1},
		{"a redirect", []string{"302 "}, 1, "status 302", 1},
		{"another cohort", []string{`200 {"cohortId":"else","size":0,"memberIds":[]}`}, 1, `it is cohort "else"`, 1},
		{"not whole", []string{`200 {"cohortId":"beta","size":3,"memberIds":["u2"]}`}, 1, "says that they are 3", 1},
		{"html", []string{"200 <html>"}, 1, "not the JSON of a cohort", 1},
		{"of groups", []string{`200 {"cohortId":"beta","groupType":"org","size":0,"memberIds":null}`}, 1, "groups of type org", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			asked := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				answer := tt.answers[min(asked, len(tt.answers)-1)]
				asked++
				mu.Unlock()
				status, body, _ := strings.Cut(answer, " ")
				if status == "302" {
					w.Header().Set("Location", "/elsewhere")
				}
				if status == "200!" {
					w.Header().Set("Content-Length", fmt.Sprint(len(body)+10))
					status = "200"
				}
				stalls := status == "200~"
				if stalls {
					status = "200"
				}
				var code int
				_, _ = fmt.Sscan(status, &code)
				w.WriteHeader(code)
				if stalls {
					_, _ = w.Write([]byte(body[:9]))
					_ = http.NewResponseController(w).Flush()
					<-r.Context().Done()
					return
				}
				_, _ = w.Write([]byte(body))
			}))
			defer server.Close()
			folder := t.TempDir()
			flags, users, out := filepath.Join(folder, "flags.json"), filepath.Join(folder, "users.csv"),
				filepath.Join(folder, "out.csv")
			for path, content := range map[string]string{flags: cohortFlags, users: "user_id\nu2\n"} {
				if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			code, log := runWith(t, map[string]string{"AMPLITUDE_API_KEY": "a", "AMPLITUDE_SECRET_KEY": "b"}, "snapshot", users,
				"--evaluator", "local", "--flag-configs", flags, "--flags", "beta", "--cohorts", "fetch", "--server", server.URL,
				"--out", out, "--timeout", "1s")
			if code != tt.code || !strings.Contains(log, tt.want) || asked < tt.asked {
				t.Errorf("exit code %d, want %d; %d requests, want at least %d; want %q in\n%s", code, tt.code, asked, tt.asked,
					tt.want, log)
			}
			left, err := filepath.Glob(filepath.Join(folder, "*cohorts", "*"))
			hidden, _ := filepath.Glob(filepath.Join(folder, "*cohorts", ".*"))
			if want := 1 - min(tt.code, 1); err != nil || len(left) != want || len(hidden) != 0 {
				t.Errorf("%q and %q in the directory, want %d cohorts", left, hidden, want)
			}
		})
	}
}
