package blob

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestNextWait(t *testing.T) {
	temporary := func(after time.Duration) error {
		return &Error{Op: "read", URL: "x", Err: errServer, Temporary: true, RetryAfter: after}
	}
	for _, test := range []struct {
		name     string
		attempts int
		err      error
		wait     time.Duration
		ok       bool
	}{
		{"the first time", 1, temporary(0), 200 * time.Millisecond, true},
		{"doubled", 3, temporary(0), 800 * time.Millisecond, true},
		{"Retry-After", 1, temporary(7 * time.Second), 7 * time.Second, true},
		{"Retry-After without end", 1, temporary(time.Hour), maxRetryAfter, true},
		{"negative Retry-After", 1, temporary(-time.Hour), 200 * time.Millisecond, true},
		{"the last one", maxAttempts, temporary(0), 0, false},
		{"permanent", 1, &Error{Err: ErrDenied}, 0, false},
		{"not of a store", 1, io.ErrUnexpectedEOF, 0, false},
		{"none", 1, nil, 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			if wait, ok := nextWait(test.attempts, test.err, 0.5); wait != test.wait || ok != test.ok {
				t.Errorf("nextWait(%d, %v) = %v, %v; want %v, %v", test.attempts, test.err, wait, ok, test.wait, test.ok)
			}
		})
	}
}

// fakeBucket has one object, "x", with these bytes. It fails as fail says.
type fakeBucket struct {
	Bucket
	data  []byte
	calls int
	fail  func(call int, p []byte) (int, error)
}

func (b *fakeBucket) Stat(context.Context, string) (Attrs, error) {
	return Attrs{Key: "x", Size: int64(len(b.data)), Version: "1"}, nil
}

func (b *fakeBucket) ReadRange(ctx context.Context, _ Attrs, offset int64, p []byte) (int, error) {
	b.calls++
	n, err := b.fail(b.calls, p)
	if n == 0 && err == nil {
		n = len(p)
	}
	if err == context.DeadlineExceeded { // hangs
		<-ctx.Done()
		return 0, &Error{Op: "read", URL: "fake://b/x", Err: ctx.Err(), Temporary: true}
	}
	return copy(p[:n], b.data[offset:]), err
}

func TestRetry(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 100)
	slow := NewStatusError("read", "fake://b/x", http.StatusServiceUnavailable, "SlowDown")
	for _, test := range []struct {
		name    string
		fail    func(call int, p []byte) (int, error)
		calls   int
		want    error
		longest time.Duration
	}{
		{"no fault", func(int, []byte) (int, error) { return 0, nil }, 1, nil, 0},
		{"slow down, twice", func(call int, _ []byte) (int, error) {
			if call <= 2 {
				return 0, slow
			}
			return 0, nil
		}, 3, nil, 2 * time.Second},
		{"for good", func(int, []byte) (int, error) { return 0, slow }, maxAttempts, errServer, 30 * time.Second},
		{"cut off in the middle", func(call int, p []byte) (int, error) {
			if len(p) > 100 {
				return len(p) / 2, slow
			}
			return 0, nil
		}, -1, nil, time.Minute},
		{"denied", func(int, []byte) (int, error) {
			return 0, NewStatusError("read", "fake://b/x", 403, "AccessDenied")
		}, 1, ErrDenied, 0},
		{"hangs once", func(call int, _ []byte) (int, error) {
			if call == 1 {
				return 0, context.DeadlineExceeded
			}
			return 0, nil
		}, 2, nil, attemptTimeout + time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := &fakeBucket{data: data, fail: test.fail}
				b := WithRetries(fake, "log in")
				began := time.Now()
				got := make([]byte, len(data)-5)
				n, err := b.ReadRange(t.Context(), Attrs{Key: "x"}, 5, got)
				if !errors.Is(err, test.want) {
					t.Errorf("error %v, want %v", err, test.want)
				}
				if err == nil && (n != len(got) || !bytes.Equal(got, data[5:])) && test.calls >= 0 {
					t.Errorf("read %d bytes, want %d as they are", n, len(got))
				}
				if fake.calls != test.calls && test.calls >= 0 {
					t.Errorf("%d attempts, want %d", fake.calls, test.calls)
				}
				if took := time.Since(began); took > test.longest {
					t.Errorf("took %v, want at most %v", took, test.longest)
				}
				if errors.Is(err, ErrDenied) && !strings.Contains(pipeline.Hint(err), "log in") {
					t.Errorf("the hint is %q, want the login", pipeline.Hint(err))
				}
			})
		})
	}
}

// TestRetryEndsWithItsContext: a wait between attempts does not outlive the command.
func TestRetryEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		fake := &fakeBucket{fail: func(int, []byte) (int, error) {
			cancel(stop)
			return 0, &Error{Op: "read", URL: "x", Err: errServer, Temporary: true, RetryAfter: time.Hour}
		}}
		if _, err := WithRetries(fake, "").ReadRange(ctx, Attrs{}, 0, make([]byte, 1)); !errors.Is(err, stop) {
			t.Errorf("%v, want %v", err, stop)
		}
		if fake.calls != 1 {
			t.Errorf("%d attempts, want 1", fake.calls)
		}
	})
}

// TestErrorText: a code that is not a word is not repeated.
func TestErrorText(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		code   string
		want   string
	}{
		{"denied", 403, "AccessDenied", "read s3://b/k: access denied (403 AccessDenied)"},
		{"no code", 503, "", "read s3://b/k: the store could not answer (status 503)"},
		{"a text", 400, "key AKIA is bad", "read s3://b/k: the store refused it (status 400)"},
		{"a long word", 400, strings.Repeat("k", 61), "read s3://b/k: the store refused it (status 400)"},
		{"missing", 404, "NoSuchKey", "read s3://b/k: no such object (404 NoSuchKey)"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := NewStatusError("read", "s3://b/k", test.status, test.code).Error(); got != test.want {
				t.Errorf("%d %q: %q, want %q", test.status, test.code, got, test.want)
			}
		})
	}
}
