package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// TestInterrupt ends the real process by signals: the first finishes what is in flight, the second ends at once.
// Either way the code says which signal it was, nothing is published, and only the journal is left behind.
func TestInterrupt(t *testing.T) {
	tests := []struct {
		name    string
		signals []os.Signal
		fault   string // what the API does to every request; "" answers
		want    int
	}{
		{"SIGINT", []os.Signal{os.Interrupt}, "", 130},
		{"SIGTERM", []os.Signal{syscall.SIGTERM}, "", 143},
		{"SIGHUP", []os.Signal{syscall.SIGHUP}, "", 129},
		{"twice, with requests that hang", []os.Signal{os.Interrupt, syscall.SIGTERM}, "hang", 130},
	}
	testdata, err := filepath.Abs("../../testdata")
	if err != nil {
		t.Fatal(err)
	}
	eng := testEngine(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.signals {
				if signal.Ignored(s) { // under nohup; the command leaves it so
					t.Skipf("%v is ignored here", s)
				}
			}
			folder := t.TempDir()
			command := filepath.Join(folder, "rollcall") // the name makes the test binary the command: see TestMain
			if err := os.Symlink(self, command); err != nil {
				t.Fatal(err)
			}
			arrived, signalled := make(chan struct{}, 4096), make(chan struct{})
			var answered atomic.Int64
			config := evalserver.Config{
				Latency: 100 * time.Millisecond, // all users would take 50 s
				Script: func(r *evalserver.Request, _ int) *evalserver.Fault {
					arrived <- struct{}{}
					<-signalled // nobody is answered before
					if tt.fault != "" {
						return &evalserver.Fault{Kind: tt.fault}
					}
					return nil
				},
				Record: func(r evalserver.Request) {
					if r.Status == 200 {
						answered.Add(1)
					}
				},
			}
			server, err := evalserver.Start("127.0.0.1:0", evalserver.New(eng, config))
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close() //nolint:errcheck // the test is over
			signal := sync.OnceFunc(func() { close(signalled) })
			defer signal()

			cmd := exec.CommandContext(t.Context(), command, "snapshot", filepath.Join(testdata, "users.csv"), "--server",
				server.URL(),
				"--out", "a.csv", "--out", "a.parquet", "--rate", "0", "--concurrency", "4")
			cmd.Dir = folder
			cmd.Env = append(os.Environ(), keyVariable+"=canary")
			said := make(chan struct{})
			interrupted := sync.OnceFunc(func() { close(said) })
			stderr := &watched{tell: func(text string) {
				if strings.Contains(text, "again to end at once") {
					interrupted()
				}
			}}
			cmd.Stderr = stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-arrived // requests are under way
			for i, s := range tt.signals {
				if i > 0 {
					<-said // two signals of one moment may arrive in any order
				}
				if err := cmd.Process.Signal(s); err != nil {
					t.Fatal(err)
				}
			}
			signal()
			err = cmd.Wait()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != tt.want {
				t.Errorf("%v: exit %v, want code %d; it said:\n%s", tt.signals, err, tt.want, &stderr.text)
			}
			if got := stderr.text.String(); !strings.Contains(got, "interrupted") ||
				!strings.Contains(got, "nothing was published") ||
				!strings.Contains(got, "run the same command again: it goes on") {
				t.Errorf("%v: it said\n%s\nwant that it was interrupted, that nothing was published, and what to do", tt.signals,
					got)
			}
			if n := answered.Load(); n > 1000 {
				t.Errorf("%v: %d of 2,000 users were answered, want it to stop", tt.signals, n)
			}
			files, err := os.ReadDir(folder)
			if err != nil || len(files) > 2 || files[0].Name() != ".a.csv.rollcall" && len(files) == 2 {
				t.Errorf("%v: left behind: %v (%v), want the journal at most", tt.signals, files, err)
			}
		})
	}
}

// TestInterruptAsksNobodyElse: at the first signal, four requests are in flight, and a window of users waits. Those in
// flight are finished and kept, and nobody else is asked, though the rate would allow it.
func TestInterruptAsksNobodyElse(t *testing.T) {
	const inFlight, first = 4, 20
	held := make(chan struct{}, inFlight)
	release := make(chan struct{})
	var asked atomic.Int32
	api := &faultyAPI{Script: func(string, int) *evalserver.Fault {
		if n := asked.Add(1); n > first && n <= first+inFlight {
			held <- struct{}{}
			<-release
		}
		return nil
	}}
	soft, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	go func() {
		for range inFlight {
			<-held
		}
		stop(&interruptedError{os.Interrupt})
	}()
	answer := sync.OnceFunc(func() { close(release) })
	defer answer() // also where the line never comes: closing the server waits for them
	r := networkRun{
		Server: api.start(t), Users: names("u", 200), Args: []string{"--concurrency", fmt.Sprint(inFlight)}, Soft: soft,
		Said: func(text string) {
			if strings.Contains(text, "interrupted: finishing the 4 requests in flight, at most 8s; again to end at once") {
				answer()
			}
		},
	}.do(t)
	r.wantNothing(t, 130, "interrupted: finishing the 4 requests in flight", "24 of 200 users are kept",
		"interrupted (interrupt) after 24 of 200 users")
	if n := asked.Load(); n != first+inFlight {
		t.Errorf("%d users were asked about, want %d and those in flight: %d", n, first, first+inFlight)
	}
	r.run.Soft = nil
	r = r.run.do(t)
	r.wantPublished(t)
	ledger{}.check(t, api, r)
}

// TestInterruptDuringAPause: whoever waits for a pause, an outage or the rate is not in flight, and is not waited for.
func TestInterruptDuringAPause(t *testing.T) {
	for name, fault := range map[string]*evalserver.Fault{"a pause": {Kind: "429", RetryAfter: "300"},
		"an outage": status(503)} {
		t.Run(name, func(t *testing.T) {
			var down atomic.Bool
			api := &faultyAPI{Script: func(user string, _ int) *evalserver.Fault {
				if user >= "u-020" || down.Load() {
					down.Store(true)
					return fault
				}
				return nil
			}}
			soft, stop := context.WithCancelCause(context.Background())
			defer stop(nil)
			r := networkRun{
				Server: api.start(t), Users: names("u", 200), Args: []string{"--concurrency", "4", "--max-attempts", "1"},
				Soft: soft,
				Said: func(text string) {
					if strings.Contains(text, "the API asks for a pause") || strings.Contains(text, "the API is not available") {
						stop(&interruptedError{os.Interrupt})
					}
				},
			}.do(t)
			r.wantNothing(t, 130, "of 200 users are kept", "interrupted (interrupt) after")
		})
	}
}
