package blob

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Attrs describe one version of an object.
type Attrs struct {
	Key      string
	Size     int64
	Version  string // the ETag or the generation; two versions of an object never share one
	Modified time.Time

	upload string // the mark of the upload that made it; only Stat and Commit tell
}

// WithUpload returns the attributes of an object that the upload with that mark has made. Drivers use it; the mark is what
// an upload's id begins with, up to a space.
func (a Attrs) WithUpload(mark string) Attrs {
	a.upload = mark
	return a
}

// IsOf reports whether the object is the one that an upload has made, so that it has the content of that. It may be asked
// of what [Bucket.Stat] has returned.
func (a Attrs) IsOf(id string) bool {
	mark, _, _ := strings.Cut(id, " ")
	return mark != "" && a.upload == mark
}

// Condition is what must hold when an upload is committed. The zero value is that there is no object of that name.
type Condition struct {
	Version string // replace this version, and no other
}

// Bucket is where objects are: a bucket, a container, or the local file system. A driver implements it, and every
// driver passes the suite in package pipelinetest. All methods are safe for concurrent use, and make one attempt:
// [Stores.Bucket] adds the retries. Their errors are [*Error] values.
type Bucket interface {
	// Stat returns the current version of an object.
	Stat(ctx context.Context, key string) (Attrs, error)
	// ReadRange fills p with the bytes of that version from offset on, all of which exist. It returns how many it
	// read. If the object has another version by now, or is gone, the error is ErrChanged.
	ReadRange(ctx context.Context, a Attrs, offset int64, p []byte) (int, error)
	// ListPage returns objects whose keys begin with prefix, in the order of their keys; with flat, only those without
	// another slash after it. next is the token of the next page, "" after the last one; that of the first page is "".
	// A page may be empty.
	ListPage(ctx context.Context, prefix string, flat bool, token string) (page []Attrs, next string, err error)
	// Delete removes an object. It is not an error if it does not exist.
	Delete(ctx context.Context, key string) error

	// Put writes a small object in one request, if the condition holds; otherwise the error is ErrExists. After any other
	// error, the object may have been written.
	Put(ctx context.Context, key string, data []byte, c Condition) (Attrs, error)

	// Stage begins an upload, which nobody sees before it is committed.
	Stage(ctx context.Context, key string, c Condition) (Upload, error)
	// Resume returns an upload of another process, to be committed. The error is ErrNotExist unless the store has all of
	// its bytes, size in all: then stage it anew.
	Resume(ctx context.Context, key, id string, size int64, c Condition) (Upload, error)
	// Pending yields the uploads below prefix that are neither committed nor aborted, as far as the store can tell.
	Pending(ctx context.Context, prefix string) iter.Seq2[PendingUpload, error]
	// Abort removes an upload. It is not an error if it does not exist.
	Abort(ctx context.Context, p PendingUpload) error
}

// List yields the objects of all pages of [Bucket.ListPage]. It stops after an error.
func List(ctx context.Context, b Bucket, prefix string, flat bool) iter.Seq2[Attrs, error] {
	return func(yield func(Attrs, error) bool) {
		token := ""
		for {
			page, next, err := b.ListPage(ctx, prefix, flat, token)
			if err != nil {
				yield(Attrs{}, err)
				return
			}
			for _, a := range page {
				if !yield(a, nil) {
					return
				}
			}
			if token = next; token == "" {
				return
			}
		}
	}
}

// PartSize is the size of every part of an upload but the last: what all stores accept, up to 80 GB an object.
const PartSize = 8 << 20

// Upload is an object that is being written. It is used from one goroutine.
type Upload interface {
	// ID is what [Bucket.Resume], [Bucket.Abort] and [Attrs.IsOf] need. Nobody can write with it who has no credentials.
	ID() string
	// Write appends a part. Every part but the last has PartSize bytes. After an error, Write with the same part again
	// is correct, whether or not the store has it.
	Write(ctx context.Context, part []byte) error
	// Commit makes the object appear, whole. The error is ErrExists if the condition does not hold. After any other
	// error, Commit again is correct, also if the object has appeared.
	Commit(ctx context.Context) (Attrs, error)
	// Abort removes what was uploaded.
	Abort(ctx context.Context) error
}

// ParallelUpload is an upload whose parts may be written at the same time.
type ParallelUpload interface {
	Upload
	// WritePart writes a part, counted from 0, instead of Write. It is safe for concurrent use. All parts are there before
	// Commit is called.
	WritePart(ctx context.Context, n int, part []byte) error
}

// PendingUpload is an upload that was neither committed nor aborted.
type PendingUpload struct {
	Key, ID string
	Begun   time.Time
}

// The kinds of errors. Any other is a server's, or the network's.
var (
	ErrNotExist      = fmt.Errorf("no such object: %w", fs.ErrNotExist)
	ErrExists        = fmt.Errorf("the object exists: %w", fs.ErrExist)
	ErrChanged       = errors.New("the object changed while it was read")
	ErrNoBucket      = fmt.Errorf("no such bucket: %w", fs.ErrNotExist)
	ErrDenied        = fmt.Errorf("access denied: %w", fs.ErrPermission)
	ErrNoCredentials = errors.New("no credentials found")
)

// Error is what failed on which object.
type Error struct {
	Op     string // such as "read"
	URL    string // of the object, as a user writes it
	Err    error  // its kind, or what happened
	Status int    // of the answer; 0 if there was none
	Code   string // the store's word for it; may be empty

	Temporary  bool // another attempt may succeed
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	detail := ""
	switch {
	case e.Status != 0 && e.Code != "":
		detail = fmt.Sprintf(" (%d %s)", e.Status, e.Code)
	case e.Status != 0:
		detail = fmt.Sprintf(" (status %d)", e.Status)
	case e.Code != "":
		detail = fmt.Sprintf(" (%s)", e.Code)
	}
	text := e.Err.Error()
	switch {
	case errors.Is(e.Err, ErrNotExist):
		text = "no such object"
	case errors.Is(e.Err, ErrNoBucket):
		text = "no such bucket"
	case errors.Is(e.Err, ErrExists):
		text = "the object exists"
	case errors.Is(e.Err, ErrDenied):
		text = "access denied"
	}
	return e.Op + " " + e.URL + ": " + text + detail
}

func (e *Error) Unwrap() error { return e.Err }

// errServer is what a status says that no kind of error describes.
var errServer = errors.New("the store could not answer")

// NewStatusError returns the error of an answer, as all stores mean the statuses.
func NewStatusError(op, url string, status int, code string) *Error {
	e := &Error{Op: op, URL: url, Status: status, Code: cleanCode(code), Err: errServer}
	switch {
	case status == 404:
		e.Err = ErrNotExist
	case status == 401, status == 403:
		e.Err = ErrDenied
	case status == 412:
		e.Err = ErrExists
	case status == 408, status == 425, status == 429, status >= 500 && status != 501 && status != 505:
		e.Temporary = true
	default:
		e.Err = errors.New("the store refused it")
	}
	return e
}

// cleanCode returns the store's code if it is a word. What else a server says may repeat what it was sent.
func cleanCode(code string) string {
	if len(code) > 60 {
		return ""
	}
	for _, r := range code {
		if (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' {
			return ""
		}
	}
	return code
}

// WithHint adds what the user can do about an error, unless it has a hint. login is the store's own advice on
// credentials.
func WithHint(err error, login string) error {
	if err == nil || pipeline.Hint(err) != "" {
		return err
	}
	switch {
	case errors.Is(err, ErrNoCredentials):
		return pipeline.WithHint(err, login)
	case errors.Is(err, ErrDenied):
		return pipeline.WithHint(err, "these credentials may not do that; "+login)
	case errors.Is(err, ErrNoBucket):
		return pipeline.WithHint(err, "check the name after ://, and the account, region or endpoint")
	}
	return err
}
