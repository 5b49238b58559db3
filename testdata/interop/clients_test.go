//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// moreFlags are flags beside those of testdata/flags.json. The hosted API and the engine of Amplitude's clients answer
// the first one differently for users whose plan is a text that is not a number.
var moreFlags = []string{
	`{"key": "plan-after-f", "variants": {"on": {"key": "on", "value": {"a": 1}}}, "segments": [{"conditions":
		[[{"selector": ["context", "user", "user_properties", "plan"], "op": "greater", "values": ["f"]}]], "variant": "on"}],
		"metadata": {"deployed": true, "evaluationMode": "local"}}`,
	`{"key": "vip", "variants": {"on": {"key": "on", "value": "on"}}, "segments": [{"conditions":
		[[{"selector": ["context", "user", "cohort_ids"], "op": "set contains any", "values": ["u0qtvwla"]}]], "variant": "on"}],
		"metadata": {"deployed": true, "evaluationMode": "local"}}`,
}

// clientFlags writes a file of the flags of testdata/flags.json and of moreFlags.
func clientFlags(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(flagConfigs)
	if err != nil {
		t.Fatal(err)
	}
	flags, found := strings.CutSuffix(strings.TrimSpace(string(data)), "]")
	if !found {
		t.Fatalf("%s is not an array", flagConfigs)
	}
	for _, flag := range moreFlags {
		flags += "," + flag
	}
	file := filepath.Join(t.TempDir(), "flags.json")
	write(t, file, flags+"]")
	return file
}

// serve runs `rollcall serve` until the test ends, and returns its URL.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(rollcall, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		_ = cmd.Wait() // its code says that it was interrupted
	})
	for lines := bufio.NewScanner(said); lines.Scan(); {
		if url := regexp.MustCompile(`http://[0-9.:]+`).FindString(lines.Text()); url != "" {
			go io.Copy(io.Discard, said) //nolint:errcheck // so that it never waits for a reader
			return url
		}
		t.Log(lines.Text())
	}
	t.Fatalf("serve %s has ended", strings.Join(args, " "))
	return ""
}

// clientUsers is how many of the test users the clients ask for.
const clientUsers = 300

// got is what a user got for a flag. Payload and Value are JSON.
type got struct{ Variant, Payload, Value, Experiment string }

// snapshotAnswers takes a snapshot of the users, and returns by row what they got.
func snapshotAnswers(t *testing.T, args ...string) map[int]map[string]got {
	t.Helper()
	file := filepath.Join(t.TempDir(), "out.jsonl")
	run(t, 0, append([]string{"snapshot", usersFile, "--limit", strconv.Itoa(clientUsers), "--max-errors", "100%", "--quiet",
		"--include", "value", "--out", file}, args...)...)
	answers := map[int]map[string]got{}
	for _, line := range readLines(t, file) {
		var row struct {
			Row        int             `json:"row_number"`
			Flag       string          `json:"flag_key"`
			Variant    string          `json:"variant"`
			Payload    json.RawMessage `json:"payload"`
			Value      string          `json:"value"`
			Experiment string          `json:"experiment_key"`
		}
		if err := json.Unmarshal(line, &row); err != nil {
			t.Fatal(err)
		}
		if answers[row.Row] == nil {
			answers[row.Row] = map[string]got{}
		}
		answers[row.Row][row.Flag] = got{row.Variant, compact(t, row.Payload), row.Value, row.Experiment}
	}
	if len(answers) == 0 {
		t.Fatal("the snapshot has no answers")
	}
	return answers
}

func readLines(t *testing.T, file string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Split(bytes.TrimSpace(data), []byte("\n"))
}

// compact is the JSON without white space, its members sorted; "" for none and for null.
func compact(t *testing.T, text json.RawMessage) string {
	t.Helper()
	var v any
	if len(text) == 0 {
		return ""
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if v == nil {
		return ""
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Amplitude's own clients, asking `rollcall serve`, get what a snapshot says: those that ask for variants the answers of
// the hosted API, those that evaluate themselves the answers of their engine.
func TestClients(t *testing.T) {
	configs := clientFlags(t)
	users := testUsers(t)
	var input bytes.Buffer
	var rows []int // of the users that have an id
	vips := ""
	for i, row := range users.rows[:clientUsers] {
		u := users.user(t, row)
		if u.UserID == "" && u.DeviceID == "" {
			continue
		}
		rows = append(rows, i+1)
		if u.UserID != "" && i%3 == 0 {
			vips += "\t" + u.UserID + "\n" // as Amplitude exports a cohort
		}
		members := slices.Clone(u.Context)
		for _, id := range []struct{ name, value string }{{"user_id", u.UserID}, {"device_id", u.DeviceID}} {
			if id.value != "" {
				members = append(members, pipeline.Member{Name: id.name, Value: pipeline.StringValue(id.value)})
			}
		}
		input.Write(append(pipeline.AppendObject(nil, members), '\n'))
	}
	cohort := filepath.Join(t.TempDir(), "vip.csv")
	write(t, cohort, vips)
	args := []string{"--flag-configs", configs, "--cohort", "vip=" + cohort, "--cohort-id", "vip=u0qtvwla"}
	url := serve(t, args...)
	args = append(args, "--evaluator", "local", "--semantics")
	hosted := snapshotAnswers(t, append(args, "hosted")...)
	clients := snapshotAnswers(t, append(args, "node")...)
	if reflect.DeepEqual(hosted, clients) {
		t.Fatal("the users do not tell the hosted API from the engine of the clients")
	}
	cmd := exec.CommandContext(t.Context(), "node", "clients.cjs", url)
	cmd.Stdin = &input
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("clients.cjs: %v", err)
	}
	asked := map[string]int{}
	for line := range bytes.Lines(out) {
		var answer struct {
			Client   string
			User     int
			Variants map[string]struct {
				Key            string
				Value, Payload json.RawMessage
				Metadata       struct {
					Default                 bool
					Deployed                *bool
					FlagType, ExperimentKey string
				}
			}
		}
		if err := json.Unmarshal(line, &answer); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		asked[answer.Client]++
		has := map[string]got{}
		for flag, v := range answer.Variants {
			if m := v.Metadata; !m.Default && (m.Deployed == nil || *m.Deployed) && !strings.HasSuffix(m.FlagType, "-group") {
				value := compact(t, v.Value) // some clients make a text of what is not one
				if len(v.Value) > 0 && v.Value[0] == '"' {
					if err := json.Unmarshal(v.Value, &value); err != nil {
						t.Fatal(err)
					}
				}
				has[flag] = got{v.Key, compact(t, v.Payload), value, m.ExperimentKey}
			}
		}
		want := map[string]got{}
		from := hosted
		if strings.Contains(answer.Client, "local") {
			from = clients
		}
		for flag, g := range from[rows[answer.User]] {
			switch {
			case strings.Contains(answer.Client, "of two flags") && flag != "dark-mode" && flag != "checkout-redesign":
			case answer.Client == "browser local" && flag == "vip": // browsers know of no cohorts
			default:
				want[flag] = g
			}
		}
		if diff := cmp.Diff(want, has); diff != "" {
			t.Fatalf("%s, row %d (-snapshot +client):\n%s", answer.Client, rows[answer.User], diff)
		}
	}
	want := map[string]int{}
	for _, name := range []string{"node fetch", "node fetchV2", "node fetchV2 of two flags", "node local",
		"node local, streaming", "browser fetch", "browser local"} {
		want[name] = len(rows)
	}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("answers of each client (-want +got):\n%s", diff)
	}

	// A snapshot from serve says the same.
	t.Setenv("AMPLITUDE_DEPLOYMENT_KEY", "any")
	if diff := cmp.Diff(hosted, snapshotAnswers(t, "--server", url, "--rate", "0")); diff != "" {
		t.Errorf("asked from serve (-on this machine +serve):\n%s", diff)
	}
}

// A client that polls sees an edit of the file.
func TestClientPolls(t *testing.T) {
	file := filepath.Join(t.TempDir(), "flags.json")
	config := func(variant string) string {
		return fmt.Sprintf(`[{"key":"f","variants":{"%s":{"key":"%[1]s"}},"segments":[{"variant":"%[1]s"}]}]`, variant)
	}
	write(t, file, config("before"))
	cmd := exec.CommandContext(t.Context(), "node", "poll.cjs", serve(t, "--flag-configs", file))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"before", "after"} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("the client has %q (%v), want %q", lines.Text(), lines.Err(), want)
		}
		if want == "before" {
			write(t, file, config("after"))
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// The code of the README runs as it is, and prints what explain says.
func TestREADMEClient(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	code := regexp.MustCompile("(?ms)^```js\n(.*?)^```$").FindSubmatch(readme)
	if code == nil {
		t.Fatal("the README has no JavaScript")
	}
	cmd := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", string(code[1]))
	cmd.Dir = "../node" // where the package is
	cmd.Env = append(os.Environ(), "AMPLITUDE_HOST="+serve(t, "--flag-configs", flagConfigs))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v, it printed:\n%s", err, out)
	}
	var explained struct{ Flags []struct{ Variant string } }
	answer := run(t, 0, "explain", "--user-id", "user-Aa", "--context", `{"country":"Germany"}`, "--flag-configs",
		flagConfigs, "--flags", "checkout-redesign", "--format", "json")
	if err := json.Unmarshal([]byte(answer), &explained); err != nil || len(explained.Flags) != 1 {
		t.Fatalf("explain: %v: %s", err, answer)
	}
	if want := explained.Flags[0].Variant + " " + explained.Flags[0].Variant + "\n"; string(out) != want {
		t.Errorf("the README's code printed %q, explain says %q", out, want)
	}
}
