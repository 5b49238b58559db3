package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/sources"
)

// newTestFilter returns a filter in which everybody gets a variant of the flag all.
func newTestFilter(t testing.TB, out io.Writer) *filter {
	t.Helper()
	eng, err := engine.Parse([]byte(`[{"key":"all","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}]}]`),
		engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	evaluator, err := local.New(local.Config{Engine: eng})
	if err != nil {
		t.Fatal(err)
	}
	decoder, err := sources.NewLineDecoder(sources.Mapping{})
	if err != nil {
		t.Fatal(err)
	}
	return &filter{options: &pipeOptions{}, decoder: decoder, evaluator: evaluator, out: out}
}

// Every line has one answer, in its place, however the input comes: in single bytes, and with lines around the sizes of
// the buffers and of the longest line.
func TestFilterAnswersEachLine(t *testing.T) {
	lengths := []int{0, 1, 20, 100, 64<<10 - 1, 64 << 10, 64<<10 + 1, sources.MaxLine - 1, sources.MaxLine,
		sources.MaxLine + 1, 2 * sources.MaxLine}
	const lines = 12
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			random, lengths := rand.New(rand.NewPCG(seed, 1)), lengths
			if seed == 0 {
				lengths = lengths[:4] // they come in single bytes
			}
			var in bytes.Buffer
			var want []string // user ids; "" is a line that is not a user
			for i := range lines {
				length := lengths[random.IntN(len(lengths))]
				head := fmt.Sprintf(`{"user_id":"u%d","pad":"`, i)
				switch {
				case length == 0:
					want = append(want, "")
				case length <= len(head)+2:
					in.WriteString(strings.Repeat("x", length))
					want = append(want, "")
				default:
					in.WriteString(head + strings.Repeat("y", length-len(head)-2) + `"}`)
					want = append(want, fmt.Sprintf("u%d", i))
					if length > sources.MaxLine {
						want[i] = ""
					}
				}
				if i < lines-1 || length == 0 {
					in.WriteString("\n")
				}
			}
			var r io.Reader = &in
			if seed == 0 {
				r = iotest.OneByteReader(r)
			} else if seed == 1 {
				r = iotest.DataErrReader(r)
			}
			var out bytes.Buffer
			if err := newTestFilter(t, &out).run(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			got := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
			if len(got) != len(want) {
				t.Fatalf("%d lines in, %d answers out", len(want), len(got))
			}
			for i, line := range got {
				var answer struct {
					UserID   string            `json:"user_id"`
					Variants map[string]string `json:"variants"`
					Error    *struct{ Kind pipeline.Kind }
				}
				if err := json.Unmarshal([]byte(line), &answer); err != nil {
					t.Fatalf("line %d: %.100s: %v", i+1, line, err)
				}
				if failed := want[i] == ""; answer.UserID != want[i] || (answer.Error != nil) != failed ||
					!failed && answer.Variants["all"] != "on" {
					t.Errorf("line %d: %.100s, want user %q", i+1, line, want[i])
				}
			}
		})
	}
}

// Who writes a line and waits for its answer gets it, and a signal ends the filter between lines.
func TestFilterAnswersBeforeItWaits(t *testing.T) {
	cmd := realCommand(t, sideFileArgs(t, "pipe --flag-configs FLAGS --flags dark-mode", "", "")...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(stdout)
	for i := range 20 {
		if _, err := fmt.Fprintf(stdin, `{"user_id":"u%d"}`+"\n", i); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadString('\n') // a filter that waits for more lines hangs here
		if want := fmt.Sprintf(`{"user_id":"u%d",`, i); err != nil || !strings.HasPrefix(line, want) {
			t.Fatalf("line %d: answer %q, %v; want one that begins with %s", i+1, line, err, want)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(answers)
	err = cmd.Wait()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitInterrupted+int(syscall.SIGTERM) || len(rest) > 0 {
		t.Errorf("after SIGTERM: %v, more output %q; want exit code 143 and none; it said\n%s", err, rest, &stderr)
	}
	if !strings.Contains(stderr.String(), "20 lines: 20 answered") {
		t.Errorf("it said\n%s\nwant how many lines it answered", &stderr)
	}
}

// An error of its output ends the filter.
func TestFilterOutputFails(t *testing.T) {
	full := errors.New("the disk is full")
	err := newTestFilter(t, writerFunc(func([]byte) (int, error) { return 0, full })).run(t.Context(),
		strings.NewReader("{}\n"))
	if !errors.Is(err, full) {
		t.Errorf("run = %v, want %v", err, full)
	}
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func BenchmarkFilter(b *testing.B) {
	f := newTestFilter(b, io.Discard)
	line := []byte(`{"user_id":"8108879","country":"DE","user_properties.plan":"pro","user_properties.seats":3}` + "\n")
	for b.Loop() {
		if err := f.answerLine(line); err != nil {
			b.Fatal(err)
		}
	}
}
