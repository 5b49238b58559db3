// Package s3 is the driver for Amazon S3, and for servers with its API. Package blob describes what it relies on.
package s3

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // what the API checks a part against
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/minio/minio-go/v7"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Store is s3://bucket/key.
var Store = blob.Store{Open: Open, Login: Login}

// Open returns a bucket. It sends nothing. The environment names the server (AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL) and
// the region (AWS_REGION, AWS_DEFAULT_REGION; the bucket's own without them).
func Open(_ context.Context, name string) (blob.Bucket, error) {
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if strings.HasPrefix(region(), "cn-") {
		endpoint.Host = "s3." + region() + ".amazonaws.com.cn"
	}
	where := region()
	for _, variable := range []string{"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"} {
		if text := os.Getenv(variable); text != "" {
			var err error
			endpoint, err = url.Parse(text)
			if err != nil || endpoint.Host == "" || endpoint.Scheme != "http" && endpoint.Scheme != "https" ||
				strings.Trim(endpoint.Path, "/") != "" || endpoint.User != nil {
				return nil, pipeline.WithHint(fmt.Errorf("%s is not the address of a server", variable),
					"it has the form https://HOST:PORT")
			}
			if where == "" {
				where = "us-east-1" // what servers of others are content with
			}
			break
		}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.MaxIdleConnsPerHost = 16
	core, err := minio.NewCore(endpoint.Host, &minio.Options{Creds: newCredentials(), Secure: endpoint.Scheme == "https",
		Transport: transport, Region: where, MaxRetries: 1})
	if err != nil {
		return nil, err
	}
	return &bucket{core, name}, nil
}

type bucket struct {
	core *minio.Core
	name string
}

func (b *bucket) url(key string) string { return "s3://" + b.name + "/" + key }

// wrapError returns the error of a request. What minio says of the server's answer is not used, but for its code.
func (b *bucket) wrapError(op, key string, err error) error {
	if err == nil {
		return nil
	}
	if ours, ok := errors.AsType[*blob.Error](err); ok && errors.Is(ours.Err, blob.ErrNoCredentials) {
		return &blob.Error{Op: op, URL: b.url(key), Err: ours.Err}
	}
	answer, ok := errors.AsType[minio.ErrorResponse](err)
	if !ok {
		return &blob.Error{Op: op, URL: b.url(key), Err: networkError(err), Temporary: isTemporary(err)}
	}
	e := blob.NewStatusError(op, b.url(key), answer.StatusCode, answer.Code)
	switch answer.Code {
	case minio.NoSuchBucket:
		e.Err = blob.ErrNoBucket
	case minio.InvalidBucketName:
		e.Err = blob.ErrNoBucket
	case "SlowDown", "RequestTimeout", "OperationAborted", "ConditionalRequestConflict":
		e.Temporary = true
	case "ExpiredToken":
		e.Err = blob.ErrDenied
	case minio.AuthorizationHeaderMalformed, minio.InvalidRegion, "PermanentRedirect":
		e.Err = errors.New("the bucket is in another region")
		e.Temporary = answer.Region != "" // minio has kept it for the next attempt
		return pipeline.WithHint(e, "set AWS_REGION to the bucket's region")
	}
	return e
}

// networkError is err without the URL, which may hold what nobody should see.
func networkError(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func isTemporary(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		_, dns := errors.AsType[*net.DNSError](err)
		return !dns || err.(interface{ Temporary() bool }).Temporary() //nolint:errorlint // a url.Error has it
	}
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}

// Stat implements [blob.Bucket].
func (b *bucket) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	info, err := b.core.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if err != nil {
		err := b.wrapError("open", key, err)
		if errors.Is(err, blob.ErrNotExist) { // the answer to HEAD has no code
			if exists, berr := b.core.BucketExists(ctx, b.name); berr == nil && !exists {
				err = &blob.Error{Op: "open", URL: b.url(key), Err: blob.ErrNoBucket, Status: http.StatusNotFound}
			}
		}
		return blob.Attrs{}, err
	}
	return attrs(&info), nil
}

func attrs(info *minio.ObjectInfo) blob.Attrs {
	a := blob.Attrs{Key: info.Key, Size: info.Size, Version: info.ETag, Modified: info.LastModified}
	return a.WithUpload(info.UserMetadata[markKey])
}

// ReadRange implements [blob.Bucket].
func (b *bucket) ReadRange(ctx context.Context, a blob.Attrs, offset int64, p []byte) (int, error) {
	var o minio.GetObjectOptions
	err := errors.Join(o.SetMatchETag(a.Version), o.SetRange(offset, offset+int64(len(p))-1))
	if err != nil {
		return 0, b.wrapError("read", a.Key, err)
	}
	body, _, header, err := b.core.GetObject(ctx, b.name, a.Key, o)
	if err != nil {
		err := b.wrapError("read", a.Key, err)
		if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrExists) { // 404, or 412
			return 0, &blob.Error{Op: "read", URL: b.url(a.Key), Err: blob.ErrChanged}
		}
		return 0, err
	}
	defer body.Close() //nolint:errcheck // only read
	if !strings.HasPrefix(header.Get("Content-Range"), fmt.Sprintf("bytes %d-", offset)) && int64(len(p)) != a.Size {
		return 0, &blob.Error{Op: "read", URL: b.url(a.Key), Err: errors.New("the server ignores the header Range")}
	}
	n, err := io.ReadFull(body, p)
	if err != nil {
		err = &blob.Error{Op: "read", URL: b.url(a.Key), Err: networkError(err), Temporary: true}
	}
	return n, err
}

// ListPage implements [blob.Bucket].
func (b *bucket) ListPage(ctx context.Context, prefix string, flat bool,
	token string) (page []blob.Attrs, next string, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for info := range b.core.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: prefix, Recursive: !flat,
		StartAfter: token}) {
		if info.Err != nil {
			return nil, "", b.wrapError("list", prefix, info.Err)
		}
		next = info.Key
		if isDirectory := flat && strings.HasSuffix(info.Key, "/"); isDirectory {
			next += string(utf8.MaxRune) // after all that is in it
		} else {
			page = append(page, attrs(&info))
		}
		if len(page) == pageSize {
			return page, next, nil
		}
	}
	return page, "", nil
}

// pageSize is what minio requests at a time.
const pageSize = 1000

// Delete implements [blob.Bucket].
func (b *bucket) Delete(ctx context.Context, key string) error {
	err := b.wrapError("delete", key, b.core.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{}))
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	return err
}

// Put implements [blob.Bucket].
func (b *bucket) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	sum := md5.Sum(data) //nolint:gosec // see the import
	info, err := b.core.PutObject(ctx, b.name, key, bytes.NewReader(data), int64(len(data)),
		base64.StdEncoding.EncodeToString(sum[:]), "", putOptions(c))
	if err != nil {
		return blob.Attrs{}, b.wrapError("write", key, err)
	}
	return blob.Attrs{Key: key, Size: int64(len(data)), Version: info.ETag}, nil
}

// putOptions are the headers of a condition.
func putOptions(c blob.Condition) (o minio.PutObjectOptions) {
	if c.Version == "" {
		o.SetMatchETagExcept("*")
	} else {
		o.SetMatchETag(c.Version)
	}
	return o
}

// markKey is the metadata that tells our upload from another that won.
const markKey = "Rollcall-Upload"

type upload struct {
	b         *bucket
	key, id   string
	condition blob.Condition
	mark      string

	mu    sync.Mutex
	parts []minio.CompletePart
}

// Stage implements [blob.Bucket].
func (b *bucket) Stage(ctx context.Context, key string, c blob.Condition) (blob.Upload, error) {
	mark := rand.Text()
	id, err := b.core.NewMultipartUpload(ctx, b.name, key,
		minio.PutObjectOptions{UserMetadata: map[string]string{markKey: mark}})
	if err != nil {
		return nil, b.wrapError("write", key, err)
	}
	return &upload{b: b, key: key, id: id, mark: mark, condition: c}, nil
}

// Resume implements [blob.Bucket].
func (b *bucket) Resume(ctx context.Context, key, id string, size int64, c blob.Condition) (blob.Upload, error) {
	mark, id, _ := strings.Cut(id, " ")
	u := &upload{b: b, key: key, id: id, mark: mark, condition: c}
	gone := &blob.Error{Op: "resume", URL: b.url(key), Err: blob.ErrNotExist}
	for marker := 0; ; {
		r, err := b.core.ListObjectParts(ctx, b.name, key, id, marker, 1000)
		if err != nil {
			err := b.wrapError("resume", key, err)
			if e, ok := errors.AsType[*blob.Error](err); ok && e.Code == minio.NoSuchUpload {
				err = gone
			}
			return nil, err
		}
		for _, p := range r.ObjectParts {
			if p.PartNumber != len(u.parts)+1 {
				return nil, gone
			}
			u.parts = append(u.parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag})
			size -= p.Size
		}
		if !r.IsTruncated || r.NextPartNumberMarker <= marker {
			if size != 0 {
				return nil, gone
			}
			return u, nil
		}
		marker = r.NextPartNumberMarker
	}
}

// ID implements [blob.Upload].
func (u *upload) ID() string { return u.mark + " " + u.id }

// Write implements [blob.Upload].
func (u *upload) Write(ctx context.Context, part []byte) error {
	return u.WritePart(ctx, len(u.parts), part)
}

// WritePart implements [blob.ParallelUpload].
func (u *upload) WritePart(ctx context.Context, n int, part []byte) error {
	sum := md5.Sum(part) //nolint:gosec // see the import
	p, err := u.b.core.PutObjectPart(ctx, u.b.name, u.key, u.id, n+1, bytes.NewReader(part), int64(len(part)),
		minio.PutObjectPartOptions{Md5Base64: base64.StdEncoding.EncodeToString(sum[:])})
	if err != nil {
		return u.b.wrapError("write", u.key, err)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for len(u.parts) <= n {
		u.parts = append(u.parts, minio.CompletePart{})
	}
	u.parts[n] = minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag}
	return nil
}

// Commit implements [blob.Upload].
func (u *upload) Commit(ctx context.Context) (blob.Attrs, error) {
	if len(u.parts) == 0 { // an upload has at least one part, which may be empty
		if err := u.Write(ctx, nil); err != nil {
			return blob.Attrs{}, err
		}
	}
	_, err := u.b.core.CompleteMultipartUpload(ctx, u.b.name, u.key, u.id, u.parts, putOptions(u.condition))
	if err == nil {
		return u.b.Stat(ctx, u.key)
	}
	wrapped := u.b.wrapError("commit", u.key, err)
	// The answer to an earlier attempt may be lost: the object that is there may be this one.
	if info, serr := u.b.core.StatObject(ctx, u.b.name, u.key, minio.StatObjectOptions{}); serr == nil &&
		info.UserMetadata[markKey] == u.mark {
		return attrs(&info), nil
	}
	return blob.Attrs{}, wrapped
}

// Abort implements [blob.Upload].
func (u *upload) Abort(ctx context.Context) error {
	return u.b.Abort(ctx, blob.PendingUpload{Key: u.key, ID: u.ID()})
}

// Abort implements [blob.Bucket].
func (b *bucket) Abort(ctx context.Context, p blob.PendingUpload) error {
	_, id, _ := strings.Cut(p.ID, " ")
	err := b.core.AbortMultipartUpload(ctx, b.name, p.Key, id)
	if minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		return nil
	}
	return b.wrapError("abort the upload of", p.Key, err)
}

// Pending implements [blob.Bucket].
func (b *bucket) Pending(ctx context.Context, prefix string) iter.Seq2[blob.PendingUpload, error] {
	return func(yield func(blob.PendingUpload, error) bool) {
		key, id := "", ""
		for {
			r, err := b.core.ListMultipartUploads(ctx, b.name, prefix, key, id, "", 1000)
			if err != nil {
				yield(blob.PendingUpload{}, b.wrapError("list the uploads of", prefix, err))
				return
			}
			for _, u := range r.Uploads {
				if !yield(blob.PendingUpload{Key: u.Key, ID: " " + u.UploadID, Begun: u.Initiated}, nil) {
					return
				}
			}
			if !r.IsTruncated || r.NextKeyMarker == key && r.NextUploadIDMarker == id {
				return
			}
			key, id = r.NextKeyMarker, r.NextUploadIDMarker
		}
	}
}
