package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// The canaries. All ids and properties hold both of canaryUser, which no other text here does.
const canaryKey = `KEYcanary-4f+/=%"x9`

var canaryUser = []string{"PIIcanary7GqZ", `Zoë+"q/7%`}

// forms are the ways in which a secret may get into a text: as it is, escaped, and in base64 and hexadecimal, where
// what stands before it decides about the alignment.
func forms(secret string) map[string]string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err)
	}
	all := map[string]string{
		"raw":                 secret,
		"quoted by Go":        strings.Trim(fmt.Sprintf("%q", secret), `"`),
		"quoted in ASCII":     strings.Trim(fmt.Sprintf("%+q", secret), `"`),
		"JSON":                strings.Trim(string(quoted), `"`),
		"JSON in JSON":        strings.Trim(fmt.Sprintf("%q", strings.Trim(string(quoted), `"`)), `"`),
		"CSV":                 strings.ReplaceAll(secret, `"`, `""`),
		"query":               url.QueryEscape(secret),
		"query, spaces %20":   strings.ReplaceAll(url.QueryEscape(secret), "+", "%20"),
		"query, lower case":   strings.ToLower(url.QueryEscape(secret)),
		"path":                url.PathEscape(secret),
		"hex":                 hex.EncodeToString([]byte(secret)),
		"hex, upper case":     strings.ToUpper(hex.EncodeToString([]byte(secret))),
		"bytes, as Go prints": strings.Trim(fmt.Sprint([]byte(secret)), "[]"),
	}
	for before := range 3 {
		// Of the first and the last group, some bits are those of the neighbours.
		padded := append(make([]byte, before), secret...)
		whole := padded[:len(padded)/3*3]
		from := (before*8 + 5) / 6
		all[fmt.Sprintf("base64, %d before", before)] = base64.StdEncoding.EncodeToString(whole)[from:]
		all[fmt.Sprintf("base64 for URLs, %d before", before)] = base64.URLEncoding.EncodeToString(whole)[from:]
	}
	return all
}

// leaks are the forms in which data holds the secret.
func leaks(data []byte, secret string) (found []string) {
	for name, form := range forms(secret) {
		if bytes.Contains(data, []byte(form)) {
			found = append(found, name)
		}
	}
	return found
}

func TestLeaksAreFound(t *testing.T) {
	for _, secret := range append([]string{canaryKey}, canaryUser...) {
		for before := range 4 {
			text := []byte(strings.Repeat("x", before) + secret + "yz")
			for name, data := range map[string]string{
				"raw": string(text), "hex": fmt.Sprintf("%x", text), "HEX": fmt.Sprintf("%X", text),
				"base64":     base64.StdEncoding.EncodeToString(text),
				"raw base64": base64.RawStdEncoding.EncodeToString(text), "URL base64": base64.RawURLEncoding.EncodeToString(text),
				"query": url.QueryEscape(string(text)), "Go": fmt.Sprintf("%q", text), "%v": fmt.Sprint(text),
			} {
				if len(leaks([]byte(data), secret)) == 0 {
					t.Errorf("%q behind %d bytes is not found as %s: %s", secret, before, name, data)
				}
			}
		}
		if found := leaks([]byte("nothing of that kind"), secret); found != nil {
			t.Errorf("%q is found as %q where it is not", secret, found)
		}
	}
}

// canaryInput is a file in which everything personal holds the canaries, in rows of every kind.
func canaryInput() []byte {
	id := func(i int) string { return fmt.Sprintf("%s-%d-%s", canaryUser[0], i, canaryUser[1]) }
	quote := func(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }
	var b strings.Builder
	b.WriteString("user_id,device_id,country,user_properties.mail,context,not_sent\n")
	for i := range 8 {
		fmt.Fprintf(&b, "%s,%s,Germany,%s,,%s\n", quote(id(i)), quote(id(100+i)), quote(id(200+i)), quote(id(300+i)))
	}
	fmt.Fprintf(&b, "%s,,Germany,too few\n", quote(id(8)))                                        // bad_row
	fmt.Fprintf(&b, "%s,,Germany,\"5\" disk\",,\n", id(9))                                        // bad_row: quotes
	fmt.Fprintf(&b, ",,Germany,%s,,%s\n", quote(id(10)), quote(id(310)))                          // missing_id
	fmt.Fprintf(&b, "%s,,Germany,%s,,\n", quote(id(11)), quote(strings.Repeat(id(211), 500)))     // request_too_long
	fmt.Fprintf(&b, "%s,,Germany,,%s,\n", quote(id(12)), quote(`{"user_properties":`+id(212)))    // invalid_context
	fmt.Fprintf(&b, "%s,,Germany,,%s,\n", quote(id(13)), quote(`{"`+id(213)+`":1,"`+id(213)+`"`)) // invalid_context
	fmt.Fprintf(&b, "%s,,Germany,NUL\x00,,\n", quote(id(14)))                                     // bad_row
	return []byte(b.String())
}

const canaryFailing = 7 // rows of canaryInput that fail whatever the API says

// secretsFault is something that goes wrong, and with which exit codes a run may end for it.
type secretsFault struct {
	name   string
	script func(r *evalserver.Request, n int) *evalserver.Fault
	url    string // of another server
	input  []byte // other than canaryInput
	args   []string
	key    string // the key that the command has; "" is canaryKey
	codes  []int
	stop   bool // the first signal comes while requests are under way
}

// echo is what a server says that repeats all that it was told.
func echo(status int, contentType string) *evalserver.Fault {
	return &evalserver.Fault{Kind: evalserver.Handler,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q, _ := url.QueryUnescape(r.URL.RawQuery)
			w.Header().Set("Content-Type", contentType)
			w.Header().Set("Location", "/"+url.PathEscape(r.Header.Get("Authorization"))+"?"+r.URL.RawQuery)
			w.Header().Set("Retry-After", r.Header.Get("Authorization"))
			w.WriteHeader(status)
			_, _ = fmt.Fprintf(w, "<html>{\"%s\": %s %s", r.Header.Get("Authorization"), r.URL, q)
		})}
}

// TestSecrets runs the command into every kind of fault, and searches all that it leaves behind for the key, which may
// be nowhere, and for ids and properties, which may be in outputs, error records and the copy of standard input alone.
func TestSecrets(t *testing.T) {
	always := func(f *evalserver.Fault) func(*evalserver.Request, int) *evalserver.Fault {
		return func(*evalserver.Request, int) *evalserver.Fault { return f }
	}
	some := func(f *evalserver.Fault) func(*evalserver.Request, int) *evalserver.Fault { // fails for one user, always
		return func(r *evalserver.Request, n int) *evalserver.Fault {
			if strings.Contains(r.UserID, "-3-") {
				return f
			}
			return nil
		}
	}
	anyCode := []int{exitFailed, exitSomeFailed, exitStopped} // there are fewer than 50 users, so all may fail
	kind := func(k string) *evalserver.Fault { return &evalserver.Fault{Kind: k} }
	faults := []secretsFault{
		{name: "none", codes: []int{exitSomeFailed}},
		{name: "wrong key", key: canaryKey + "x", codes: []int{exitFailed}},
		{name: "no such file format", args: []string{"--input-format", "parquet"}, codes: []int{exitFailed}},
		{name: "not UTF-8", input: append(canaryInput(), "\xff"+canaryUser[0]+",,,,,\n"...), codes: []int{exitFailed}},
		{name: "no header", input: canaryInput()[bytes.IndexByte(canaryInput(), '\n')+1:], codes: []int{exitFailed}},
		{name: "too many fail", args: []string{"--max-errors", "1"}, codes: []int{exitFailed}},
		{name: "the wrong type", args: []string{"--types", "user_properties.mail:int", "--min-users", "0"},
			codes: []int{exitSomeFailed}},
		{name: "dry run", args: []string{"--dry-run", "--limit", "0"}, input: []byte("user_id\n"), codes: []int{exitOK}},
		{name: "a server that is not there", url: "http://127.0.0.1:1", codes: []int{exitStopped}},
		{name: "a host that is not there", url: "https://no-such-host.invalid", codes: []int{exitFailed, exitStopped}},
		{name: "a server that says what it heard", url: rawServer(t), codes: []int{exitFailed, exitStopped}},
		{name: "TLS with a server that has none", url: strings.Replace(rawServer(t), "http:", "https:", 1),
			codes: []int{exitFailed, exitStopped}},
		{name: "the first signal", script: always(kind(evalserver.Hang)), stop: true,
			codes: []int{128 + int(syscall.SIGTERM)}},
		{name: "redirect", script: always(echo(307, "text/plain")), codes: []int{exitFailed}},
		{name: "HTML with all that it heard", script: always(echo(200, "text/html")), codes: anyCode},
		{name: "JSON with all that it heard", script: some(echo(200, "application/json")), codes: []int{exitSomeFailed}},
	}
	for _, k := range []string{"reset", "truncate", "html", "slow", "hang", "null", "empty", "trailing", "redirect", "404",
		"405", "501"} {
		faults = append(faults, secretsFault{name: k, script: always(kind(k)), codes: anyCode})
	}
	for _, status := range []int{400, 401, 403, 408, 413, 414, 429, 431, 500, 502, 503, 520} {
		faults = append(faults, secretsFault{name: fmt.Sprintf("%d with all that it heard", status),
			script: always(echo(status, "text/plain")), codes: anyCode},
			secretsFault{name: fmt.Sprintf("%d for one user", status), script: some(echo(status, "text/plain")), codes: anyCode})
	}
	for _, k := range []string{"reset", "truncate", "html", "null", "empty", "trailing"} {
		faults = append(faults, secretsFault{name: k + " for one user", script: some(kind(k)),
			codes: []int{exitSomeFailed, exitStopped}})
	}

	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	eng := testEngine(t)
	var wg sync.WaitGroup
	atOnce := make(chan struct{}, 12) // they mostly wait
	for _, f := range faults {
		for _, format := range []string{"text", "json"} {
			folder := t.TempDir()
			atOnce <- struct{}{}
			wg.Go(func() {
				defer func() { <-atOnce }()
				f.run(t, eng, folder, format)
			})
		}
	}
	wg.Wait()
	left, err := os.ReadDir(temporary)
	if err != nil || len(left) > 0 {
		t.Errorf("in the folder for temporary files are %v (%v), want nothing", left, err)
	}
}

// run runs the command into the fault.
func (f *secretsFault) run(t *testing.T, eng *engine.Engine, folder, format string) {
	what := f.name + ", --log-format " + format
	soft, stop := context.WithCancelCause(context.Background())
	hard, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	defer stop(nil)
	var once sync.Once
	config := evalserver.Config{Key: canaryKey, Script: f.script}
	if f.stop {
		config.Script = func(r *evalserver.Request, n int) *evalserver.Fault {
			once.Do(func() {
				stop(&interruptedError{syscall.SIGTERM})
				kill(&interruptedError{syscall.SIGTERM})
			})
			return f.script(r, n)
		}
	}
	server := f.url
	if server == "" {
		api, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, config))
		if err != nil {
			t.Error(err)
			return
		}
		defer api.Close() //nolint:errcheck // the run is over
		server = api.URL()
	}
	input := f.input
	if input == nil {
		input = canaryInput()
	}
	users := filepath.Join(folder, "users.csv")
	if err := os.WriteFile(users, input, 0o600); err != nil {
		t.Error(err)
		return
	}
	out := func(name string) string { return filepath.Join(folder, name) }
	args := append([]string{"snapshot", users, "--server", server, "--log-format", format, "--out", out("a.csv"), "--out",
		out("a.jsonl"), "--out", out("a.parquet"),
		"--flags", "dark-mode", "--rate", "0", "--concurrency", "2", "--max-attempts", "2"}, f.args...)
	if slices.Contains(f.codes, exitStopped) { // else time may not decide how it ends, on a slow machine either
		args = append(args, "--timeout", "150ms", "--max-outage", "100ms")
	}
	var stdout, stderr bytes.Buffer
	code := run(args, &env{
		Stdin: bytes.NewReader(nil), Stdout: &stdout, Stderr: &stderr, Soft: soft, Hard: hard,
		LookupEnv: func(name string) (string, bool) {
			switch name {
			case keyVariable:
				if f.key != "" {
					return f.key, true
				}
				return canaryKey, true
			case "GOGC", "GOMEMLIMIT":
				return "off", true // these belong to the process, in which other runs go on
			}
			return "", false
		},
	})
	if !slices.Contains(f.codes, code) {
		t.Errorf("%s: exit code %d, want one of %v:\n%s", what, code, f.codes, stderr.String())
	}
	if code == exitSomeFailed {
		if n := strings.Count(read(t, out("a.errors.jsonl")), "\n"); n < canaryFailing {
			t.Errorf("%s: %d error records, want %d at least", what, n, canaryFailing)
		}
	}
	search(t, what+", standard output", stdout.Bytes(), true)
	search(t, what+", standard error", stderr.Bytes(), true)
	searchFolder(t, what, folder)
}

func read(t *testing.T, path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return string(data)
}

// search wants no key in the data, and nothing personal if it is not the place for that.
func search(t *testing.T, where string, data []byte, users bool) {
	secrets := []string{canaryKey}
	if users {
		secrets = append(secrets, canaryUser...)
	}
	for _, secret := range secrets {
		if found := leaks(data, secret); found != nil {
			at := bytes.Index(data, []byte(forms(secret)[found[0]]))
			t.Errorf("%s holds %q (%s): …%s…", where, secret, strings.Join(found, ", "),
				data[max(0, at-80):min(len(data), at+80)])
		}
	}
}

// searchFolder searches the files that a run has left, their names included.
func searchFolder(t *testing.T, what, folder string) {
	outputs := map[string]bool{"users.csv": true, "a.csv": true, "a.jsonl": true, "a.parquet": true,
		"a.errors.jsonl": true}
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Type()&fs.ModeSymlink != 0 {
			return err
		}
		name := d.Name()
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		search(t, what+", the name of a file", []byte(name), true)
		users := !outputs[name]
		if hidden := strings.HasPrefix(name, "."); hidden { // a temporary file, the journal, the copy of standard input
			if info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %s can be read by others: mode %04o, want 0600", what, name, info.Mode().Perm())
			}
			users = !strings.HasSuffix(name, ".tmp") && !strings.HasSuffix(name, ".stdin")
		}
		if name == "a.errors.jsonl" && info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %s can be read by others: mode %04o, want 0600", what, name, info.Mode().Perm())
		}
		search(t, what+", "+name, data, users)
		if strings.HasSuffix(name, ".rollcall") && len(data) > 0 {
			search(t, what+", "+name+" decompressed", decompressed(t, data), users)
		}
		return nil
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// decompressed is what zstdcat shows of a journal, as far as it is whole.
func decompressed(t *testing.T, data []byte) []byte {
	z, err := zstd.NewReader(bytes.NewReader(data), zstd.WithDecoderConcurrency(1))
	if err != nil {
		t.Error(err)
		return nil
	}
	defer z.Close()
	text, err := io.ReadAll(z)
	if err != nil && len(text) == 0 {
		t.Errorf("a journal that zstd cannot read: %v", err)
	}
	return text
}

// rawServer answers every request with the request.
func rawServer(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // the client's matter
				buf := make([]byte, 8192)
				n, _ := conn.Read(buf)
				_, _ = conn.Write(bytes.TrimPrefix(buf[:n], []byte("GET ")))
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// TestSecretsOfAProcess is TestSecrets for what only a real process can do: be killed, or hit a limit of the system.
func TestSecretsOfAProcess(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var input strings.Builder
	input.Write(canaryInput())
	for i := range 400 {
		fmt.Fprintf(&input, "%s-%d,,Germany,%s,,\n", canaryUser[0], 1000+i, canaryUser[0])
	}
	for _, tt := range []struct {
		name  string
		shell string // before the command
		kill  bool
		code  int
	}{
		{"killed", "", true, -1},
		{"a limit on file sizes", "ulimit -f 8; ", false, exitStopped},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(tt.name+"/"+format, func(t *testing.T) {
				t.Parallel()
				folder, temporary := t.TempDir(), t.TempDir()
				command := filepath.Join(t.TempDir(), "rollcall")
				if err := os.Symlink(self, command); err != nil {
					t.Fatal(err)
				}
				arrived := make(chan struct{}, 4096)
				const answers = 50
				var requests atomic.Int64
				config := evalserver.Config{Key: canaryKey, Script: func(*evalserver.Request, int) *evalserver.Fault {
					arrived <- struct{}{}
					if tt.kill && requests.Add(1) > answers { // it is killed before it ends, however long that takes
						return &evalserver.Fault{Kind: evalserver.Hang}
					}
					return nil
				}}
				api := startAPI(t, config)
				cmd := exec.CommandContext(t.Context(), "sh", "-c", tt.shell+
					`exec "$0" snapshot - --server "$1" --log-format "$2" --out a.csv --out a.jsonl --out a.parquet --flags dark-mode --rate 0 --concurrency 2`,
					command, api, format)
				cmd.Dir = folder
				cmd.Env = append(os.Environ(), keyVariable+"="+canaryKey, "TMPDIR="+temporary)
				cmd.Stdin = strings.NewReader(input.String())
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				if tt.kill {
					for range answers + 1 {
						<-arrived
					}
					line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", cmd.Process.Pid))
					if err != nil {
						t.Error(err)
					}
					search(t, "the command line", line, true)
					if err := cmd.Process.Kill(); err != nil {
						t.Fatal(err)
					}
				}
				_ = cmd.Wait() // its code is looked at
				if code := cmd.ProcessState.ExitCode(); code != tt.code {
					t.Errorf("exit code %d, want %d:\n%s", code, tt.code, stderr.String())
				}
				search(t, "standard output", stdout.Bytes(), true)
				search(t, "standard error", stderr.Bytes(), true)
				searchFolder(t, tt.name, folder)
				left, err := os.ReadDir(temporary)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range left { // a process that was killed cannot clear up
					info, err := f.Info()
					if err != nil || info.Mode().Perm() != 0o600 {
						t.Errorf("%s is left in the temporary folder with mode %v (%v), want 0600", f.Name(), info.Mode(), err)
					}
				}
			})
		}
	}
}

func startAPI(t *testing.T, config evalserver.Config) string {
	t.Helper()
	return newLedgerAPI(t, config).url
}

// TestSecretsOfAClient: whatever prints what holds the key prints no key.
func TestSecretsOfAClient(t *testing.T) {
	key, err := amplitude.NewKey(canaryKey)
	if err != nil {
		t.Fatal(err)
	}
	config := amplitude.Config{BaseURL: "http://127.0.0.1:1", Key: key, KeySource: "test", Rate: 1, Burst: 1,
		Concurrency: 1, MaxAttempts: 1, MaxOutage: time.Second}
	client, err := amplitude.New(config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, v := range []any{key, &key, config, &config, client, []any{config, key}, map[string]any{"k": key},
		struct{ K amplitude.Key }{key}, struct{ k amplitude.Key }{key}, struct{ c amplitude.Config }{config},
		&connection{Client: client, key: key}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%p", "%t"} {
			search(t, fmt.Sprintf("%s of %T", verb, v), fmt.Appendf(nil, verb, v), true)
		}
		if data, err := json.Marshal(v); err == nil {
			search(t, fmt.Sprintf("JSON of %T", v), data, true)
		}
	}
}
