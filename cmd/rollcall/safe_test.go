package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileKey is a flag key, a variant or a column that --flags can name and that tries to do all that a name may not do
// to a terminal: move its cursor, reverse and hide text, and begin a line of its own with "\r". hostileName also has
// ends of lines that forge a message.
const (
	hostileKey  = "k\x1b[2J\u202e\u200b\u009b31m\rX"
	hostileName = hostileKey + "\nrollcall: OK\r\nrollcall: OK"
)

// hostileFlags is flag configurations whose keys, variants, segments and metadata are hostile.
func hostileFlags(t *testing.T) []byte {
	t.Helper()
	var flags []map[string]any
	for _, key := range []string{hostileKey, hostileName} {
		flags = append(flags, map[string]any{
			"key": key,
			"variants": map[string]any{hostileName: map[string]any{"key": hostileName, "value": hostileName},
				"off": map[string]any{"key": "off"}},
			"segments": []any{
				map[string]any{
					"conditions": []any{[]any{map[string]any{"selector": []string{"context", "user", "user_properties", hostileName},
						"op": "is", "values": []string{hostileName}}}},
					"bucket": map[string]any{"selector": []string{"context", "user", "user_id"}, "salt": hostileName,
						"allocations": []any{map[string]any{"range": []int{0, 100},
							"distributions": []any{map[string]any{"variant": hostileName, "range": []int{0, 42949673}}}}}},
					"metadata": map[string]any{"segmentName": hostileName},
				},
				map[string]any{
					"conditions": []any{[]any{map[string]any{"selector": []string{"context", "user", "country"}, "op": "is",
						"values": []string{"Germany"}}}},
					"variant": hostileName, "metadata": map[string]any{"segmentName": hostileName},
				},
				map[string]any{
					"conditions": []any{[]any{map[string]any{"selector": []string{"context", "user", "cohort_ids"}, "op": hostileName,
						"values": []string{hostileName}}}},
					"variant": hostileName,
				},
			},
			"dependencies": []string{hostileKey + "other"},
			"metadata": map[string]any{"deployed": true, "flagType": hostileName, "evaluationMode": hostileName,
				"experimentKey": hostileName},
		})
	}
	data, err := json.Marshal(flags)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestHostileNames drives every command with names that try to act on a terminal or to forge a message, in columns,
// flag keys, variants, ids, files, options, rules and answers, and looks at every byte of what is printed for a person.
func TestHostileNames(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	quote := func(s string) string { return `"` + s + `"` } // as CSV has it; no name here has a quote
	write("flags.json", string(hostileFlags(t)))
	column := strings.ReplaceAll(hostileName, "\r", "") // the header holds no carriage return
	carried := "user_properties." + strings.ReplaceAll(hostileKey, "\r", "")
	write("users.csv", "user_id,country,"+quote(column)+","+carried+"\n"+
		quote(hostileName)+",Germany,x,"+quote(hostileName)+"\nu-2,France,y,z\n,Italy,y,z\n\"u-3,\n")
	write(hostileName+".csv", "user_id,country\n"+quote(hostileName)+",Germany\n,\n")
	write("bytes.csv", "user_id,co\xffl\xc2\n\xff,\xfe\n")
	write("twice.csv", quote(column)+","+quote(column)+"\na,b\n")
	write("noid.csv", quote(column)+",uid\na,b\n")
	write("return.csv", hostileKey+"\na\n")
	write("odd.jsonl", `{"user_id":{"\u001b[2J\u202e":1}}`+"\n"+`{"user_id":"a","\u001b[2J\u202e\nrollcall: OK":1}`+"\n")
	write("keys.txt", hostileKey+"\n")
	write("bad-keys.txt", "\""+hostileKey+"\n")
	write("bytes.txt", "\xff\x1b[2J\n")
	write("config.yaml", `"k\e[2J\u202E\nrollcall: OK": 1`+"\n")
	write("broken.yaml", "\x1b[2J: [\n")
	write("bad.json", `[{"key":"k\u001b[2J\u202e\nrollcall: OK","segments":7}]`)
	write("notjson.json", "\x1b[2J\u202e\xff")
	yamlName := `"k\e[2J\u202E\u200B\u009B31m\rX"`
	write("rules.yaml", "checks:\n  - name: "+yamlName+"\n    flag: "+yamlName+"\n    variant: "+
		strings.TrimSuffix(yamlName, `"`)+`\nrollcall: OK\r\nrollcall: OK"`+"\n    share: {max: 10%}\n")
	write("rules-key.yaml", yamlName+": 1\n")
	write("rules-flag.yaml", "checks:\n  - flag: \"other\\e[2J\\u202E\\nrollcall: OK\"\n    variant: x\n    share: "+
		"{min: 10%}\n")
	write("leftovers/."+hostileName+".rollcall", "no journal")
	write("leftovers/."+hostileKey+".rollcall-abcdefghij.tmp", "x")

	answers := map[string]any{}
	for _, key := range []string{hostileKey, hostileName} {
		answers[key] = map[string]any{"key": hostileName, "value": hostileName,
			"metadata": map[string]any{hostileName: hostileName}}
	}
	answer, err := json.Marshal(answers)
	if err != nil {
		t.Fatal(err)
	}
	api := func(status int, body string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json; \u009b31m\xff")
			w.Header().Set("Server", "k\u009b31m\u202e\xff")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(server.Close)
		return server.URL
	}
	good := api(http.StatusOK, string(answer))
	refusing := api(http.StatusBadRequest, hostileName+"\xff")
	failing := api(http.StatusInternalServerError, `{"error":"k\u001b[2J\u202e\nrollcall: OK"}`)
	garbled := api(http.StatusOK, "\x1b[2J\u202e\xff")
	denied := api(http.StatusUnauthorized, hostileName)

	local := func(args ...string) []string {
		return append([]string{"snapshot", "--evaluator", "local", "--flag-configs", "flags.json"}, args...)
	}
	for i, tt := range []struct {
		name string
		args []string
	}{
		{"snapshot, locally", local("users.csv", "--out", "a.csv")},
		{"snapshot, into files of hostile names", local(hostileName+".csv", "--out", hostileName+".out.csv", "--out",
			hostileName+".parquet", "--overwrite")},
		{"snapshot, again", local(hostileName+".csv", "--out", hostileName+".out.csv")},
		{"snapshot, the same file twice", local("users.csv", "--out", hostileName+".x.csv", "--errors", hostileName+
			".x.csv")},
		{"snapshot, --out twice", local("users.csv", "--out", hostileName+".x.csv", "--out", hostileName+".x.csv")},
		{"snapshot, an unknown format", local("users.csv", "--out", hostileName)},
		{"snapshot, an input that is replaced", local(hostileName+".csv", "--out", hostileName+".csv", "--overwrite")},
		{"snapshot, no such file", local(hostileName+"nowhere.csv", "--out", "x.csv")},
		{"snapshot, no such directory", local("users.csv", "--out", hostileName+"/x.csv")},
		{"snapshot, a store", local("s3://"+hostileName, "--out", "x.csv")},
		{"snapshot, a home", local("~/"+hostileName, "--out", "x.csv")},
		{"snapshot, all properties, carried", local("users.csv", "--properties", "all", "--carry", "country", "--out",
			"b.csv")},
		{"snapshot, carried", local("users.csv", "--carry", carried, "--out", "c.csv", "--layout", "wide", "--flags",
			hostileKey)},
		{"snapshot, a column that is not carried", local("users.csv", "--carry", hostileKey+"x", "--out", "x.csv")},
		{"snapshot, unknown columns", local("users.csv", "--map", "country="+hostileKey, "--out", "x.csv")},
		{"snapshot, unknown fields", local("users.csv", "--map", hostileKey+"=country", "--out", "x.csv")},
		{"snapshot, types", local("users.csv", "--types", hostileKey+":"+hostileKey, "--out", "x.csv")},
		{"snapshot, types twice", local("users.csv", "--types", hostileKey+":int,"+hostileKey+":int", "--out", "x.csv")},
		{"snapshot, mapped twice", local("users.csv", "--map", hostileKey+"=a,"+hostileKey+"=b", "--out", "x.csv")},
		{"snapshot, odd properties", local("users.csv", "--properties", "all,"+hostileKey, "--out", "x.csv")},
		{"snapshot, an unknown flag", local("users.csv", "--flags", "other"+hostileKey, "--out", "x.csv")},
		{"snapshot, a flag twice", local("users.csv", "--flags", hostileKey+","+hostileKey, "--out", "x.csv")},
		{"snapshot, an open quote", local("users.csv", "--flags", `"`+hostileKey, "--out", "x.csv")},
		{"snapshot, flags from a file", local("users.csv", "--flags-from", "keys.txt", "--out", "d.csv")},
		{"snapshot, flags from a bad file", local("users.csv", "--flags-from", "bad-keys.txt", "--out", "x.csv")},
		{"snapshot, flags from bytes", local("users.csv", "--flags-from", "bytes.txt", "--out", "x.csv")},
		{"snapshot, flags from nowhere", local("users.csv", "--flags-from", hostileName, "--out", "x.csv")},
		{"snapshot, bytes that are no text", local("bytes.csv", "--out", "x.csv")},
		{"snapshot, columns twice", local("twice.csv", "--out", "x.csv")},
		{"snapshot, a carriage return", local("return.csv", "--out", "x.csv")},
		{"snapshot, no id", local("noid.csv", "--out", "x.csv")},
		{"snapshot, JSON lines", local("odd.jsonl", "--out", "e.csv")},
		{"snapshot, bad configurations", []string{"snapshot", "users.csv", "--evaluator", "local", "--flag-configs",
			"bad.json", "--out", "x.csv"}},
		{"snapshot, an option", []string{"snapshot", "--" + hostileName}},
		{"snapshot, a value", local("users.csv", "--out", "x.csv", "--rate", hostileName)},
		{"snapshot, a mode", local("users.csv", "--out", "x.csv", "--layout", hostileName, "--include", hostileKey)},
		{"snapshot, included", local("users.csv", "--out", "x.csv", "--include", hostileKey)},
		{"snapshot, limits", local("users.csv", "--out", "x.csv", "--max-errors", hostileName)},
		{"snapshot, a configuration", local("users.csv", "--out", "x.csv", "--config", "config.yaml")},
		{"snapshot, a broken configuration", local("users.csv", "--out", "x.csv", "--config", "broken.yaml")},
		{"snapshot, a configuration nowhere", local("users.csv", "--out", "x.csv", "--config", hostileName)},
		{"snapshot, a server", []string{"snapshot", "users.csv", "--out", "x.csv", "--server", "https://" + hostileName}},
		{"snapshot, a key file", []string{"snapshot", "users.csv", "--out", "x.csv", "--key-file", hostileName}},
		{"snapshot, the API", []string{"snapshot", "users.csv", "--out", "f.csv", "--server", good, "--flags", hostileKey +
			",nobody" + hostileKey}},
		{"snapshot, the API, all flags", []string{"snapshot", "users.csv", "--out", "g.csv", "--server", good,
			"--allow-tracking"}},
		{"snapshot, refused", []string{"snapshot", "users.csv", "--out", "h.csv", "--server", refusing, "--allow-tracking"}},
		{"snapshot, failing", []string{"snapshot", "users.csv", "--out", "i.csv", "--server", failing, "--max-attempts", "1",
			"--max-outage", "1ms", "--allow-tracking"}},
		{"snapshot, garbled", []string{"snapshot", "users.csv", "--out", "j.csv", "--server", garbled, "--max-attempts", "1",
			"--max-outage", "1ms", "--allow-tracking"}},
		{"snapshot, denied", []string{"snapshot", "users.csv", "--out", "k.csv", "--server", denied}},
		{"a retry", []string{"snapshot", "f.errors.jsonl", "--out", "f2.csv"}},
		{"a local retry", []string{"snapshot", "a.errors.jsonl", "--out", "a2.csv"}},
		{"a dry run", []string{"snapshot", "users.csv", "--out", "x.csv", "--dry-run", "--server", good, "--flags",
			hostileKey, "--carry", carried}},
		{"a dry run, locally", local("users.csv", "--out", "x.csv", "--dry-run")},
		{"a dry run of a hostile file", local(hostileName+".csv", "--out", "x.csv", "--dry-run")},
		{"flags", []string{"flags", "--flag-configs", "flags.json"}},
		{"flags, saved", []string{"flags", "--flag-configs", "flags.json", "--save", hostileName + ".json"}},
		{"flags, saved again", []string{"flags", "--flag-configs", "flags.json", "--save", hostileName + ".json"}},
		{"flags, nowhere", []string{"flags", "--flag-configs", hostileName}},
		{"flags, bad", []string{"flags", "--flag-configs", "bad.json"}},
		{"flags, not JSON", []string{"flags", "--flag-configs", "notjson.json"}},
		{"flags of the API", []string{"flags", "--server", good}},
		{"flags of an API that refuses", []string{"flags", "--server", refusing}},
		{"flags of an API that is garbled", []string{"flags", "--server", garbled}},
		{"flags, a format", []string{"flags", "--format", hostileName}},
		{"explain", []string{"explain", "--flag-configs", "flags.json", "--user-id", hostileName, "--device-id",
			hostileName}},
		{"explain, a context", []string{"explain", "--flag-configs", "flags.json", "--context",
			`{"user_id":"a","country":"Germany","user_properties":{"k\u001b[2J\u202e":"k\u001b[2J\u202e\nrollcall: OK"}}`}},
		{"explain, a bad context", []string{"explain", "--flag-configs", "flags.json", "--context", "{" + hostileName}},
		{"explain, bytes", []string{"explain", "--flag-configs", "flags.json", "--user-id", "\xff"}},
		{"explain, a row", []string{"explain", "--flag-configs", "flags.json", "--row", "1", "users.csv"}},
		{"explain, a bad row", []string{"explain", "--flag-configs", "flags.json", "--row", "3", "users.csv"}},
		{"explain, no row", []string{"explain", "--flag-configs", "flags.json", "--row", "100", hostileName + ".csv"}},
		{"explain, which", []string{"explain", "--flag-configs", "flags.json", hostileName + ".csv"}},
		{"explain, an unknown flag", []string{"explain", "--flag-configs", "flags.json", "--user-id", "a", "--flags", "x" +
			hostileKey}},
		{"verify", []string{"verify", "a.csv"}},
		{"verify, hostile names", []string{"verify", hostileName + ".out.csv"}},
		{"verify, nowhere", []string{"verify", hostileName + "nowhere.csv"}},
		{"load, hostile columns", []string{"load", "c.csv", "--for", "duckdb"}},
		{"load, a hostile name", []string{"load", hostileName + ".out.csv", "--for", "duckdb"}},
		{"load, nowhere", []string{"load", hostileName + "nowhere.csv", "--for", "duckdb"}},
		{"load, a hostile table", []string{"load", "a.csv", "--for", "duckdb", "--table", hostileName}},
		{"report", []string{"report", "a.csv"}},
		{"report, hostile names", []string{"report", hostileName + ".out.csv", "--by", "country"}},
		{"report, by carried columns", []string{"report", "c.csv", "--by", carried}},
		{"report, by what", []string{"report", "c.csv", "--by", hostileKey}},
		{"report, of what", []string{"report", "a.csv", "--flags", hostileKey + "x"}},
		{"report, Markdown", []string{"report", "a.csv", "--format", "markdown"}},
		{"report, a page", []string{"report", "a.csv", "--html", hostileName + ".html"}},
		{"report, nowhere", []string{"report", hostileName + "nowhere.csv"}},
		{"check", []string{"check", "rules.yaml", "a.csv"}},
		{"check, hostile names", []string{"check", "rules.yaml", hostileName + ".out.csv"}},
		{"check, Markdown", []string{"check", "rules.yaml", "a.csv", "--format", "markdown"}},
		{"check, an unknown key", []string{"check", "rules-key.yaml", "a.csv"}},
		{"check, an unknown flag", []string{"check", "rules-flag.yaml", "a.csv"}},
		{"check, rules nowhere", []string{"check", hostileName + ".yaml", "a.csv"}},
		{"check, first rules", []string{"check", "--init", "a.csv"}},
		{"diff", []string{"diff", "a.csv", "c.csv"}},
		{"diff, of the API", []string{"diff", "a.csv", "f.csv"}},
		{"diff, hostile names", []string{"diff", "a.csv", hostileName + ".out.csv"}},
		{"diff, Markdown", []string{"diff", "a.csv", "f.csv", "--format", "markdown"}},
		{"diff, a flag", []string{"diff", "a.csv", "f.csv", "--flags", hostileKey + "x"}},
		{"diff, nowhere", []string{"diff", "a.csv", hostileName}},
		{"serve, nowhere", []string{"serve", "--flag-configs", hostileName}},
		{"serve, faults", []string{"serve", "--flag-configs", "flags.json", "--fail", hostileName}},
		{"serve, an address", []string{"serve", "--flag-configs", "flags.json", "--listen", hostileName}},
		{"clean, would", []string{"clean", "leftovers", "--dry-run"}},
		{"clean", []string{"clean", "leftovers"}},
		{"clean, a name", []string{"clean", hostileName + "/x.csv"}},
		{"clean, an age", []string{"clean", "--older-than", hostileName}},
		{"version", []string{"version", hostileName}},
		{"an unknown command", []string{hostileName}},
		{"completion", []string{"completion", hostileName}},
		{"help", []string{"help", hostileName}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(tt.args, &env{
				Stdin: bytes.NewReader(nil), Stdout: &stdout, Stderr: &stderr, Soft: context.Background(), Hard: t.Context(),
				LookupEnv: func(name string) (string, bool) { return "canary", name == keyVariable },
			})
			if stdout.Len()+stderr.Len() == 0 {
				t.Errorf("%d: exit code %d, and nothing is said", i, code)
			}
			if os.Getenv("SHOW") != "" {
				fmt.Printf("== %s: %d\n%s--\n%s", tt.name, code, stdout.String(), stderr.String())
			}
			checkSafe(t, "standard output", stdout.String(), "")
			checkSafe(t, "standard error", stderr.String(), "  ") // further lines of a message are indented
		})
	}
}

// checkSafe wants nothing in a text that a terminal acts on or a reader cannot see, and no line that begins, after the
// indentation, as a forged message does.
func checkSafe(t *testing.T, stream, s, indentation string) {
	t.Helper()
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%s has the line %q", stream, line)
		}
		if indentation == "" {
			line = strings.TrimLeft(line, " ")
		}
		if strings.HasPrefix(line, "rollcall: OK") {
			t.Errorf("%s has a forged line:\n%s", stream, s)
		}
	}
}
