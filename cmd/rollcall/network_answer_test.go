package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// packed is text in gzip, by memory.
func packed(text string) string {
	if known, ok := packedTexts.Load(text); ok {
		return known.(string)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // into memory
	_ = w.Close()
	packedTexts.Store(text, b.String())
	return b.String()
}

var packedTexts sync.Map

// encoded is an answer with a Content-Encoding, true or not.
func encoded(encoding, body string) *evalserver.Fault {
	return handling(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", encoding)
		_, _ = io.WriteString(w, body)
	})
}

// flushed is an answer without a Content-Length.
func flushed(body string) *evalserver.Fault {
	return handling(func(w http.ResponseWriter, _ *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.WriteString(w, body)
	})
}

// TestNetworkAnswersThatCannotBeUsed has a user for each, who gets it every time, and one who gets it once.
func TestNetworkAnswersThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><html><body>Sorry</body></html>"
	const good = `{"f":{"key":"a"}}`
	const tooMuch = 8<<20 + 1
	ok := func(body string) *evalserver.Fault { return answering(200, "application/json", body) }
	bad := []*evalserver.Fault{
		answering(200, "text/html", page),
		ok(page), ok(""), ok(" "), ok("null"), ok("[]"), ok("[" + good + "]"), ok(`"x"`), ok("7"), ok("true"),
		ok(good + good), ok(good + "x"), ok(good + "\x00"), ok(good[:len(good)-1]), ok("\xef\xbb\xbf" + good),
		ok("{" + good[2:]),
		ok(`{"f":null}`), ok(`{"f":"a"}`), ok(`{"f":[]}`), ok(`{"f":{}}`), ok(`{"f":{"key":7}}`),
		ok(`{"f":{"key":"a","key":"b"}}`),
		ok(`{"f":{"key":"a"},"f":{"key":"b"}}`), ok(`{"f":{"key":"` + "\xff" + `"}}`), ok(`{"f":{"key":"\ud800"}}`),
		ok(`{'f':{'key':'a'}}`),
		ok(`{"f":{"key":"a","payload":NaN}}`), ok(`{"f":{"key":"a","payload":01}}`), ok(`{"f":{"key":"a","metadata":"x"}}`),
		ok(`{"f":{"key":"a","payload":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}}`),
		ok(strings.Repeat("[", 1<<20)),
		encoded("gzip", good), encoded("gzip", packed(good)[:20]), encoded("gzip", packed(good)+"more"), encoded("gzip", ""),
		encoded("br", good), encoded("deflate", good), encoded("gzip, gzip", packed(packed(good))),
		answering(201, "application/json", good), answering(202, "application/json", good),
		answering(206, "application/json", good),
		handling(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }),
	}
	always := len(bad)
	bad = append(bad, // which take their time
		ok(`{"f":{"key":"a"`+strings.Repeat(" ", tooMuch)+`}}`),
		flushed(`{"f":{"key":"a"`+strings.Repeat(" ", tooMuch)+`}}`),
		encoded("gzip", packed(`{"f":{"key":"a"`+strings.Repeat(" ", tooMuch)+`}}`)),
	)
	nth := func(user string) *evalserver.Fault {
		i, _ := strconv.Atoi(user[strings.IndexByte(user, '-')+1:])
		return bad[i]
	}
	api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
		switch {
		case strings.HasPrefix(user, "never"), strings.HasPrefix(user, "once") && n == 0:
			return nth(user)
		}
		return nil
	}}
	users := append(append(names("u", 10), names("never", always)...), names("once", len(bad))...)
	r := networkRun{Server: api.start(t), Users: users, Args: []string{"--concurrency", "100"}}.do(t)
	var failures []failure
	want := map[string]int{}
	for i := range bad {
		user, status := fmt.Sprintf("never-%03d", i), 200
		want[fmt.Sprintf("once-%03d", i)] = 2
		if i >= always {
			continue
		}
		if i >= always-4 {
			status = []int{201, 202, 206, 204}[i-always+4]
		}
		failures = append(failures, failure{UserID: user, Kind: "bad_answer", Status: status, Attempts: 4})
		want[user] = 4
	}
	r.wantPublished(t, failures...)
	wantAsked(t, api, users, want)
	ledger{}.check(t, api, r)
}

// TestNetworkErrorPages has a CDN answer in place of the API. With an error's status it is that error, not an
// answer that cannot be used; with 200 for all users it is nobody's assignment.
func TestNetworkErrorPages(t *testing.T) {
	t.Parallel()
	const page = "<!DOCTYPE html><html><body>502 Bad Gateway</body></html>"
	together(t, map[string]func(*testing.T){
		"503 once": func(t *testing.T) {
			api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
				if n == 0 && user < "u-010" {
					return answering(503, "text/html", page)
				}
				return nil
			}}
			users := names("u", 30)
			r := networkRun{Server: api.start(t), Users: users}.do(t)
			r.wantPublished(t)
			want := map[string]int{}
			for _, user := range users[:10] {
				want[user] = 2
			}
			wantAsked(t, api, users, want)
			ledger{}.check(t, api, r)
		},
		"an endless page": func(t *testing.T) { // only so much of a page that nobody wants is read
			api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
				if n > 0 || user != "u-003" {
					return nil
				}
				return handling(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(503)
					for chunk := bytes.Repeat([]byte("x"), 1<<16); ; {
						if _, err := w.Write(chunk); err != nil {
							return
						}
					}
				})
			}}
			users := names("u", 30)
			r := networkRun{Server: api.start(t), Users: users}.do(t)
			r.wantPublished(t)
			wantAsked(t, api, users, map[string]int{"u-003": 2})
			ledger{}.check(t, api, r)
		},
		"200 for all": func(t *testing.T) {
			api := &faultyAPI{Script: func(string, int) *evalserver.Fault { return answering(200, "text/html", page) }}
			r := networkRun{Server: api.start(t), Users: names("u", 60), Args: []string{"--concurrency", "64"}}.do(t)
			r.wantNothing(t, exitFailed, "the first 50 users all failed", "bad_answer")
			ledger{}.check(t, api, r)
		},
	})
}

// TestNetworkAnswersThatAreKept is about answers that are odd and right: what a payload holds comes out as it was.
func TestNetworkAnswersThatAreKept(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[{"a":`, 2000) + "1" + strings.Repeat("}]", 2000)
	payloads := []string{
		`12345678901234567890`, `-0`, `1.0`, `1e400`, `0.1000000000000000055511151231257827`, `1E+2`, `true`, `false`, `""`,
		`[]`, `{}`,
		`"é\u00e9\/\n\u2028"`, `"\ud83d\ude00"`, `"\ud800"`, `{"a":1,"a":2}`, `{"z":1,"a":{"y":[1,2,{"x":null}]}}`,
		`[1,  2 ]`,
		`"a,b\"c\"\r\n"`, `"=1+1"`, `"<script>&amp;"`, `"` + strings.Repeat("x", 1<<20) + `"`, `[` +
			strings.Repeat("12345678901234567890,", 5_000) + `0]`, deep,
	}
	answers := map[string]string{}
	users := names("u", len(payloads))
	for i, user := range users {
		answers[user] = ` {"f" : {"new_field":{"a":[` + payloads[i] + `]},"key":"v","payload":` + payloads[i] +
			`, "expKey":"e" } }` + "\n"
	}
	special := map[string]string{ // answers, and the variant of f that they give
		"none":     `{}`,
		"null":     `{"f":{"key":"v","payload":null,"expKey":null,"metadata":null,"evaluationId":"x"}}`,
		"value":    `{"f":{"value":"v"}}`,
		"unasked":  `{"h":{"key":"v"},"f":{"key":"v"},"i":{"key":"v","payload":1}}`,
		"escaped":  `{"\u0066":{"\u006bey":"\u0076"}}`,
		"longname": `{"` + strings.Repeat("n", 1<<20) + `":{"key":"x"},"f":{"key":"v"}}`,
		"zipped":   "",
		"chunked":  "",
	}
	for user, answer := range special {
		users = append(users, user)
		answers[user] = answer
	}
	api := &faultyAPI{Answer: func(user string) *evalserver.Fault {
		switch user {
		case "zipped":
			return encoded("GZIP", packed(`{"f":{"key":"v","payload":12345678901234567890}}`))
		case "chunked":
			return flushed(`{"f":{"key":"v"}}`)
		}
		return answering(200, "application/json", answers[user])
	}}
	r := networkRun{Server: api.start(t), Users: users}.do(t)
	r.wantCode(t, exitOK)
	csv := func(cell string) string {
		if strings.ContainsAny(cell, ",\"\r\n") || cell == "" {
			return `"` + strings.ReplaceAll(cell, `"`, `""`) + `"`
		}
		return cell
	}
	for i, user := range users {
		payload, variant, experiment := "", "v", ""
		switch {
		case i < len(payloads):
			payload, experiment = payloads[i], "e"
		case user == "null":
			payload = "null"
		case user == "zipped":
			payload = "12345678901234567890"
		}
		wantCSV := fmt.Sprintf("%d,%s,,f,assigned,%s,", i+1, user, variant)
		wantJSON := fmt.Sprintf(`{"row_number":%d,"user_id":"%s","device_id":null,"flag_key":"f","outcome":"assigned","variant":"v","payload":`, i+1, user)
		switch {
		case user == "none":
			wantCSV = fmt.Sprintf("%d,%s,,f,not_assigned,,,,TIME\n", i+1, user)
			wantJSON = fmt.Sprintf(`{"row_number":%d,"user_id":"%s","device_id":null,"flag_key":"f","outcome":"not_assigned","variant":null,"payload":null,`, i+1, user)
		case payload == "":
			wantCSV += ",,TIME\n"
			wantJSON += "null,"
		default:
			wantCSV += csv(payload) + "," + experiment + ",TIME\n"
			wantJSON += strings.ReplaceAll(payload, `"\ud800"`, `"\ufffd"`) + "," // half a pair, which readers of JSON refuse
		}
		if !strings.Contains(r.text["a.csv"], "\n"+wantCSV) {
			t.Errorf("answer %.200q: a.csv lacks %.200q; it has\n%.300s", answers[user], wantCSV,
				linesOf(r.text["a.csv"], ","+user+","))
		}
		if !strings.Contains(r.text["a.jsonl"], wantJSON) {
			t.Errorf("answer %.200q: a.jsonl lacks %.300q; it has\n%.400s", answers[user], wantJSON,
				linesOf(r.text["a.jsonl"], `"`+user+`"`))
		}
	}
	if r.manifest.Unasked != 3 {
		t.Errorf("%d assignments that were not asked for, want 3", r.manifest.Unasked)
	}
	wantAsked(t, api, users, nil)
	ledger{}.check(t, api, r)
}

// linesOf are the lines of text that have part.
func linesOf(text, part string) string {
	var found strings.Builder
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			found.WriteString(line)
		}
	}
	return found.String()
}

// TestNetworkAnswerCutAtEveryByte has an API whose answer breaks off: for user k of a run after k bytes, header
// included. Each is asked again, and gets what is right.
func TestNetworkAnswerCutAtEveryByte(t *testing.T) {
	t.Parallel()
	framings := map[string]func(body string) string{
		"content length": func(body string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
		"chunks": func(body string) string {
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n", body[:5],
				len(body)-5, body[5:])
		},
		"until closed": func(body string) string { return "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body },
		"HTTP/1.0":     func(body string) string { return "HTTP/1.0 200 OK\r\n\r\n" + body },
		"gzip": func(body string) string {
			body = packed(body)
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		},
		"gzip in chunks": func(body string) string {
			body = packed(body)
			return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: "+
				"chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		},
	}
	tests := map[string]func(*testing.T){}
	for name, frame := range framings {
		for how, reset := range map[string]bool{"closed": false, "reset": true} {
			tests[name+", "+how] = func(t *testing.T) {
				// The longest answer decides how many users there are; one whose answer is shorter gets it whole.
				users := names("u", 0)
				longest := `{"f":{"key":"b","payload":{"n":12345678901234567890}},"g":{"key":"on"}}`
				for k := range frame(longest) {
					users = append(users, fmt.Sprintf("u-%03d", k))
				}
				users = append(names("w", 1), users...)
				api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
					k, err := strconv.Atoi(user[2:])
					if n > 0 || err != nil || user[0] == 'w' {
						return nil
					}
					return handling(func(w http.ResponseWriter, r *http.Request) {
						raw := frame(string(trueAnswer(r)))
						sever(w, raw[:min(k, len(raw)-1)], reset)
					})
				}}
				// Half of the answers are broken, which is more than the retry budget is for: an outage may be
				// declared, and is over with the next answer.
				r := networkRun{Server: api.start(t), Users: users}.do(t)
				r.wantPublished(t)
				want := map[string]int{}
				for _, user := range users[1:] {
					want[user] = 2
				}
				wantAsked(t, api, users, want)
				ledger{}.check(t, api, r)
			}
		}
	}
	together(t, tests)
}

// sever sends raw bytes in place of an answer, and ends the connection.
func sever(w http.ResponseWriter, raw string, reset bool) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(err) // not HTTP/1.1
	}
	defer conn.Close() //nolint:errcheck // its end is all that is wanted
	_, _ = io.WriteString(conn, raw)
	if reset {
		_ = conn.(*net.TCPConn).SetLinger(0)
	}
}

// TestNetworkGarbledHeaders has answers whose header is wrong or endless, or which come twice.
func TestNetworkGarbledHeaders(t *testing.T) {
	t.Parallel()
	garbled := []string{
		"", "\r\n\r\n", "SSH-2.0-OpenSSH_9.6\r\n", "HTTP/1.1\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "HTTP/9.9 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999999999999\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nContent-Length: 9000000000000000000\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: rot13\r\n\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffffff\r\n{}",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", "HTTP/1.1 200 OK\r\nX: " +
			strings.Repeat("x", 1<<20),
		strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 1000),
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
		"HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 100_000),
	}
	api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
		if user[0] == 'u' || n > 0 {
			return nil
		}
		i, _ := strconv.Atoi(user[2:])
		return handling(func(w http.ResponseWriter, _ *http.Request) { sever(w, garbled[i], false) })
	}}
	users := append(names("u", 5), names("x", len(garbled))...)
	r := networkRun{Server: api.start(t), Users: users}.do(t)
	r.wantPublished(t)
	want := map[string]int{}
	for _, user := range users[5:] {
		want[user] = 2
	}
	wantAsked(t, api, users, want)
	ledger{}.check(t, api, r)
}

// TestNetworkSecondAnswerIsNotMistaken has a server send two answers to one request: the second belongs to nobody,
// above all not to the next user on the connection.
func TestNetworkSecondAnswerIsNotMistaken(t *testing.T) {
	t.Parallel()
	wrong := `{"f":{"key":"wrong"},"g":{"key":"wrong"}}`
	second := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(wrong), wrong)
	api := &faultyAPI{Answer: func(user string) *evalserver.Fault {
		if user >= "u-010" {
			return nil
		}
		return handling(func(w http.ResponseWriter, r *http.Request) {
			body := trueAnswer(r)
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close() //nolint:errcheck // its end is all that is wanted
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(body), body, second)
			_, _ = conn.Read(make([]byte, 1)) // until the client hangs up, or asks something else
		})
	}}
	r := networkRun{Server: api.start(t), Users: names("u", 30)}.do(t)
	r.wantPublished(t)
	ledger{}.check(t, api, r)
}

// TestNetworkSlowness is about answers that do not come, or not to their end, within --timeout.
func TestNetworkSlowness(t *testing.T) {
	t.Parallel()
	drip := func(begin, text string) *evalserver.Fault {
		return handling(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close() //nolint:errcheck // its end is all that is wanted
			_, _ = io.WriteString(conn, begin)
			tick := time.NewTicker(200 * time.Millisecond)
			defer tick.Stop()
			for i := range text {
				if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
					return
				}
				select {
				case <-tick.C:
				case <-t.Context().Done():
					return
				}
			}
		})
	}
	body := `{"f":{"key":"a"}` + strings.Repeat(" ", 2000) + "}"
	slow := map[string]*evalserver.Fault{
		"hung":             {Kind: evalserver.Hang},
		"dripping header":  drip("", "HTTP/1.1 200 OK\r\nX: "+strings.Repeat("x", 2000)),
		"dripping interim": drip("", strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 7)+strings.Repeat("x", 2000)),
		"dripping body":    drip(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body)), body),
		"dripping error":   drip(fmt.Sprintf("HTTP/1.1 503 Sorry\r\nContent-Length: %d\r\n\r\n", len(body)), body),
		"dripping gzip": drip("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", packed(body)+
			strings.Repeat("\x00", 2000)),
		"hung after headers": handling(func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}),
	}
	tests := map[string]func(*testing.T){}
	for name, fault := range slow {
		t.Run(name, func(t *testing.T) {
			tests[name] = func(t *testing.T) {
				api := &faultyAPI{Script: func(user string, n int) *evalserver.Fault {
					if user == "u-003" || user == "u-007" && n == 0 {
						return fault
					}
					return nil
				}}
				r := networkRun{Server: api.start(t), Users: names("u", 30),
					Args: []string{"--timeout", "3s", "--max-attempts", "3"}}.do(t)
				code := 0
				if name == "dripping error" {
					code = 503
				}
				r.wantPublished(t, failure{UserID: "u-003", Kind: "unavailable", Status: code, Attempts: 3})
				ledger{most: 3}.check(t, api, r)
				if n := api.timesAsked(); n["u-003"] != 3 || n["u-007"] < 2 {
					t.Errorf("the users whose answers are slow were asked %d and %d times, want 3 and 2", n["u-003"], n["u-007"])
				}
			}
		})
	}
	together(t, tests)
}

// TestNetworkHalfSurrogatePairs: JSON has escapes for half of a surrogate pair, and a server may cut a text there. It
// is kept where it is part of a text, and replaced in JSONL, of which DuckDB would not read a line for it.
func TestNetworkHalfSurrogatePairs(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file := func(name string) string { return filepath.Join(folder, name) }
	api := &faultyAPI{Answer: func(user string) *evalserver.Fault {
		cut := ""
		if user >= "u-002" {
			cut = `\ud83d`
		}
		return answering(200, "application/json", `{"f":{"key":"on","payload":{"title":"Hi `+cut+`"},"metadata":{"m":["`+cut+
			`x"]}},"g":{"key":"on","payload":"\ud83d\ude00"}}`)
	}}
	r := networkRun{
		Server: api.start(t), Users: names("u", 4), Folder: folder,
		Args: []string{"--include", "metadata", "--out", file("a.parquet")},
	}.do(t)
	r.wantCode(t, exitOK)
	for name, want := range map[string]string{"a.csv": `""Hi \ud83d""`, "a.jsonl": `"payload":{"title":"Hi \ufffd"}`} {
		if n := strings.Count(r.text[name], want); n != 2 {
			t.Errorf("%s has %d times %s, want 2:\n%s", name, n, want, r.text[name])
		}
	}
	if text := strings.ReplaceAll(r.text["a.jsonl"], `\ud83d\ude00`, ""); strings.Contains(text, `\ud83d`) {
		t.Errorf("a.jsonl has half of a surrogate pair:\n%s", text)
	}
	want := "4 cells hold half of a surrogate pair, which is written as \\ufffd; the first is of row 3"
	if n := strings.Count(r.stderr, "surrogate"); n != 1 || !strings.Contains(r.stderr, want) {
		t.Errorf("it said\n%s\nwant once: %s", r.stderr, want)
	}
	if code, stderr := inProcess(t, "verify", file("a.csv")); code != exitOK {
		t.Errorf("verify: exit code %d, want 0:\n%s", code, stderr)
	}
	// An older version left such a file.
	whole, manifest := read(t, file("a.jsonl")), read(t, file("a.csv.manifest.json"))
	half := strings.Replace(whole, `Hi \ufffd`, `Hi \ud83d`, 1)
	manifest = strings.Replace(manifest, fmt.Sprintf("%x", sha256.Sum256([]byte(whole))),
		fmt.Sprintf("%x", sha256.Sum256([]byte(half))), 1)
	for name, text := range map[string]string{"a.jsonl": half, "a.csv.manifest.json": manifest} {
		if err := os.WriteFile(file(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var found bytes.Buffer
	code := run([]string{"verify", file("a.csv")}, &env{
		Stdout: &found, Stderr: &found, LookupEnv: func(string) (string, bool) { return "", false }, Soft: t.Context(),
		Hard: t.Context(),
	})
	if want := "row 3, flag f: it has half of a surrogate pair"; code == exitOK || !strings.Contains(found.String(), want) {
		t.Errorf("verify: exit code %d, want another than 0, and %q:\n%s", code, want, found.String())
	}
}
