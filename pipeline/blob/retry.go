package blob

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"time"
)

// The bounds on attempts. A store that throttles or restarts is back within seconds; an outage ends the command, which
// can be run again.
const (
	maxAttempts    = 6
	firstWait      = 200 * time.Millisecond
	maxWait        = 10 * time.Second
	maxRetryAfter  = 30 * time.Second
	attemptTimeout = time.Minute // for an answer of at most PartSize bytes, or a part of that size
)

// nextWait returns how long to wait before the next attempt, after the given number of attempts. random is in [0, 1).
// ok is false if there is none.
func nextWait(attempts int, err error, random float64) (wait time.Duration, ok bool) {
	e, isOurs := errors.AsType[*Error](err)
	if !isOurs || !e.Temporary || attempts >= maxAttempts {
		return 0, false
	}
	wait = time.Duration(random * float64(min(firstWait<<attempts, maxWait)))
	return max(wait, min(e.RetryAfter, maxRetryAfter)), true
}

// retry calls f until it succeeds, fails for good, or has had its attempts.
func retry(ctx context.Context, f func(ctx context.Context) error) error {
	for attempts := 1; ; attempts++ {
		err := func() error {
			ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
			defer cancel()
			return f(ctx)
		}()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wait, ok := nextWait(attempts, err, rand.Float64())
		if err == nil || !ok {
			return err
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return context.Cause(ctx)
		}
	}
}

// retrying is a bucket with retries, whose errors have the hint for its credentials.
type retrying struct {
	Bucket
	login string
}

// WithRetries returns a bucket that repeats what may succeed another time, within bounds. login is what its errors
// advise about credentials.
func WithRetries(b Bucket, login string) Bucket { return &retrying{b, login} }

func (b *retrying) do(ctx context.Context, f func(ctx context.Context) error) error {
	return WithHint(retry(ctx, f), b.login)
}

func (b *retrying) Stat(ctx context.Context, key string) (a Attrs, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		a, err = b.Bucket.Stat(ctx, key)
		return err
	})
	return a, err
}

// ReadRange continues after what it has read.
func (b *retrying) ReadRange(ctx context.Context, a Attrs, offset int64, p []byte) (done int, err error) {
	for done < len(p) && err == nil {
		before := done
		err = b.do(ctx, func(ctx context.Context) error {
			n, err := b.Bucket.ReadRange(ctx, a, offset+int64(done), p[done:])
			done += n
			return err
		})
		if err == nil && done == before {
			err = &Error{Op: "read", URL: a.Key, Err: errors.New("the store sent nothing")}
		}
	}
	return done, err
}

func (b *retrying) ListPage(ctx context.Context, prefix string, flat bool,
	token string) (page []Attrs, next string, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		page, next, err = b.Bucket.ListPage(ctx, prefix, flat, token)
		return err
	})
	return page, next, err
}

func (b *retrying) Delete(ctx context.Context, key string) error {
	return b.do(ctx, func(ctx context.Context) error { return b.Bucket.Delete(ctx, key) })
}

// Put takes an object that is there with the same bytes for the one that an attempt has written whose answer was lost. So
// data must have something that no other writer has.
func (b *retrying) Put(ctx context.Context, key string, data []byte, c Condition) (a Attrs, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		a, err = b.Bucket.Put(ctx, key, data, c)
		return err
	})
	if !errors.Is(err, ErrExists) && !errors.Is(err, ErrNotExist) {
		return a, err
	}
	there, serr := b.Stat(ctx, key)
	if serr != nil || there.Size != int64(len(data)) {
		return a, err
	}
	content := make([]byte, there.Size)
	if _, rerr := b.ReadRange(ctx, there, 0, content); rerr != nil || !bytes.Equal(content, data) {
		return a, err
	}
	return there, nil
}

func (b *retrying) Stage(ctx context.Context, key string, c Condition) (u Upload, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		u, err = b.Bucket.Stage(ctx, key, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.wrapUpload(u), nil
}

func (b *retrying) Resume(ctx context.Context, key, id string, size int64, c Condition) (u Upload, err error) {
	err = b.do(ctx, func(ctx context.Context) error {
		u, err = b.Bucket.Resume(ctx, key, id, size, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.wrapUpload(u), nil
}

func (b *retrying) wrapUpload(u Upload) Upload {
	r := &retryingUpload{u, b}
	if p, ok := u.(ParallelUpload); ok {
		return &retryingParallel{r, p}
	}
	return r
}

func (b *retrying) Pending(ctx context.Context, prefix string) iter.Seq2[PendingUpload, error] {
	return func(yield func(PendingUpload, error) bool) {
		var all []PendingUpload
		err := b.do(ctx, func(ctx context.Context) error {
			all = all[:0]
			for p, err := range b.Bucket.Pending(ctx, prefix) {
				if err != nil {
					return err
				}
				all = append(all, p)
			}
			return nil
		})
		for _, p := range all {
			if err == nil && !yield(p, nil) {
				return
			}
		}
		if err != nil {
			yield(PendingUpload{}, err)
		}
	}
}

func (b *retrying) Abort(ctx context.Context, p PendingUpload) error {
	return b.do(ctx, func(ctx context.Context) error { return b.Bucket.Abort(ctx, p) })
}

type retryingUpload struct {
	Upload
	b *retrying
}

func (u *retryingUpload) Write(ctx context.Context, part []byte) error {
	return u.b.do(ctx, func(ctx context.Context) error { return u.Upload.Write(ctx, part) })
}

func (u *retryingUpload) Commit(ctx context.Context) (a Attrs, err error) {
	err = u.b.do(ctx, func(ctx context.Context) error {
		a, err = u.Upload.Commit(ctx)
		return err
	})
	return a, err
}

func (u *retryingUpload) Abort(ctx context.Context) error {
	return u.b.do(ctx, func(ctx context.Context) error { return u.Upload.Abort(ctx) })
}

type retryingParallel struct {
	*retryingUpload
	parallel ParallelUpload
}

func (u *retryingParallel) WritePart(ctx context.Context, n int, part []byte) error {
	return u.b.do(ctx, func(ctx context.Context) error { return u.parallel.WritePart(ctx, n, part) })
}
