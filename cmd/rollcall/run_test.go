package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
)

func TestExitCode(t *testing.T) {
	tests := []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("any"), 1},
		{&amplitude.AuthError{Status: 401}, 1},
		{fmt.Errorf("snapshot: %w", errSomeFailed), 3},
		{usageErrorf("no"), 64},
		{errors.Join(errors.New("x"), usageErrorf("no")), 64},
		{fmt.Errorf("x: %w", &amplitude.OutageError{}), 75},
		{stopped(errors.New("any")), 75},
		{fmt.Errorf("create a.csv: %w", syscall.ENOSPC), 75},
		{fmt.Errorf("create a.csv: %w", syscall.EACCES), 1},
		{fmt.Errorf("x: %w", &interruptedError{os.Interrupt}), 130},
		{&interruptedError{syscall.SIGTERM}, 143},
		{errQuiet, 141},
	}
	for _, tt := range tests {
		if got := exitCode(tt.err); got != tt.want {
			t.Errorf("exitCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}

func TestInterruptible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		var grace atomic.Int64
		soft, hard := interruptible(signals, &grace)
		grace.Store(int64(5 * time.Second)) // an option says so later
		synctest.Wait()
		if soft.Err() != nil || hard.Err() != nil {
			t.Fatalf("before a signal: soft %v, hard %v; want neither", soft.Err(), hard.Err())
		}
		signals <- syscall.SIGTERM
		synctest.Wait()
		if exitCode(context.Cause(soft)) != 143 || hard.Err() != nil {
			t.Fatalf("after one: soft %v, hard %v; want soft alone", context.Cause(soft), hard.Err())
		}
		start := time.Now()
		<-hard.Done() // nobody waits for the requests in flight forever
		if took := time.Since(start); took != 5*time.Second || exitCode(context.Cause(hard)) != 143 {
			t.Fatalf("hard after %v with %v, want after 5s as SIGTERM", took, context.Cause(hard))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		signals := make(chan os.Signal, 2)
		var grace atomic.Int64
		grace.Store(int64(defaultGrace))
		_, hard := interruptible(signals, &grace)
		signals <- os.Interrupt
		signals <- os.Interrupt
		synctest.Wait()
		if hard.Err() == nil {
			t.Fatal("the second signal did not end the run at once")
		}
	})
}

func TestSampledRowsAreSpreadEvenly(t *testing.T) {
	for _, tt := range []struct{ n, rows int64 }{{4, 10}, {1, 10}, {10, 10}, {3, 1000}, {7, 8}, {1 << 30, 1 << 40}} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			last, smallest, largest := int64(-1), int64(1)<<62, int64(0)
			for i := range min(tt.n, 1000) {
				row := sampledRow(i, tt.rows, tt.n)
				if row <= last || row >= tt.rows {
					t.Fatalf("sampledRow(%d, %d, %d) = %d after %d, want more than that and less than the rows", i, tt.rows, tt.n, row,
						last)
				}
				if last >= 0 {
					smallest, largest = min(smallest, row-last), max(largest, row-last)
				}
				last = row
			}
			if largest > 0 && largest-smallest > 1 {
				t.Errorf("%d of %d: gaps from %d to %d, want them to differ by 1 at most", tt.n, tt.rows, smallest, largest)
			}
		})
	}
}

func TestErrorLimit(t *testing.T) {
	for _, tt := range []struct {
		text        string
		total, most int64
	}{{"0", 100, 0}, {"5", 100, 5}, {"1%", 1000, 10}, {"0.5%", 1000, 5}, {"100%", 3, 3}, {"10%", 5, 0}} {
		t.Run(tt.text, func(t *testing.T) {
			var l errorLimit
			if err := l.parse("--max-errors", tt.text); err != nil || l.most(tt.total) != tt.most {
				t.Errorf("--max-errors %s of %d users: %d, %v; want %d", tt.text, tt.total, l.most(tt.total), err, tt.most)
			}
		})
	}
	for _, text := range []string{"-1", "x", "101%", "-1%", "%", "NaN%", "1.5"} {
		t.Run(text, func(t *testing.T) {
			var l errorLimit
			if err := l.parse("--max-errors", text); exitCode(err) != exitUsage {
				t.Errorf("--max-errors %s: %v, want a usage error", text, err)
			}
		})
	}
}

func TestHumanForms(t *testing.T) {
	for d, want := range map[time.Duration]string{
		9 * time.Millisecond: "10ms", 0: "0s", 1540 * time.Millisecond: "1.5s", 83 * time.Second: "1m23s", 2*time.Hour +
			5*time.Minute: "2h05m", -1: "0s",
	} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			if got := roundDuration(d); got != want {
				t.Errorf("roundDuration(%d) = %s, want %s", d, got, want)
			}
		})
	}
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 1_500_000: "1.5 MB"} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			if got := formatBytes(n); got != want {
				t.Errorf("formatBytes(%d) = %s, want %s", n, got, want)
			}
		})
	}
}

func TestWrapHint(t *testing.T) {
	long := strings.Repeat("x", 100)
	for text, want := range map[string]string{
		"short":            "  short\n",
		"two\nlines":       "  two\n  lines\n",
		"a " + long + " b": "  a\n  " + long + "\n  b\n",
		strings.Repeat("word ", 20): "  " + strings.TrimSpace(strings.Repeat("word ", 15)) + "\n  " +
			strings.TrimSpace(strings.Repeat("word ", 5)) + "\n",
	} {
		t.Run(text, func(t *testing.T) {
			if got := wrapHint(text); got != want {
				t.Errorf("wrapHint(%q) = %q, want %q", text, got, want)
			}
		})
	}
}
