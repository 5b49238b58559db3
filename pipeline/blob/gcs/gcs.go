// Package gcs is the driver for Google Cloud Storage, over its JSON API. Package blob describes what it relies on.
package gcs

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Login says where credentials are looked for.
const Login = "credentials come from GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the " +
	"metadata server (workload identity)"

// Store is gs://bucket/object.
var Store = blob.Store{Open: Open, Login: Login}

const scope = "https://www.googleapis.com/auth/devstorage.read_write"

// Open returns a bucket. It sends nothing. STORAGE_EMULATOR_HOST names an emulator, which needs no credentials.
func Open(_ context.Context, name string) (blob.Bucket, error) {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // the header Accept-Encoding is set, so that nothing is decompressed on the way
	transport.ResponseHeaderTimeout = 30 * time.Second
	transport.MaxIdleConnsPerHost = 16
	b := &bucket{name: name, base: "https://storage.googleapis.com", client: &http.Client{Transport: transport}}
	// A redirect would take the token along; 308 is an answer.
	b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	b.login = sync.OnceValues(func() (oauth2.TokenSource, error) {
		// What it makes outlives the request that came first.
		c, err := google.FindDefaultCredentials(context.Background(), scope)
		if err != nil {
			return nil, err
		}
		return c.TokenSource, nil
	})
	if emulator := os.Getenv("STORAGE_EMULATOR_HOST"); emulator != "" {
		if !strings.Contains(emulator, "://") {
			emulator = "http://" + emulator
		}
		u, err := url.Parse(emulator)
		if err != nil || u.Host == "" || u.User != nil {
			return nil, pipeline.WithHint(errors.New("STORAGE_EMULATOR_HOST is not the address of a server"),
				"it has the form HOST:PORT")
		}
		b.base, b.login = u.Scheme+"://"+u.Host, nil
	}
	return b, nil
}

type bucket struct {
	name, base string
	client     *http.Client
	login      func() (oauth2.TokenSource, error) // nil: no credentials are sent
}

func (b *bucket) url(key string) string { return "gs://" + b.name + "/" + key }

// objects is the URL of the bucket's objects.
func (b *bucket) objects() string { return b.base + "/storage/v1/b/" + url.PathEscape(b.name) + "/o" }

func (b *bucket) object(key string) string { return b.objects() + "/" + url.PathEscape(key) }

// send sends a request and returns the answer, if its status is one of ok. The caller closes the body.
func (b *bucket) send(ctx context.Context, op, key, method, address string, header http.Header, body []byte,
	ok ...int) (*http.Response, error) {
	fail := func(err error) error {
		return &blob.Error{Op: op, URL: b.url(key), Err: cutURL(err), Temporary: true}
	}
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, &blob.Error{Op: op, URL: b.url(key), Err: errors.New("it is not a valid name")}
	}
	for name, values := range header {
		r.Header[name] = values
	}
	r.Header.Set("Accept-Encoding", "gzip")
	if b.login != nil {
		source, err := b.login()
		if err != nil {
			return nil, &blob.Error{Op: op, URL: b.url(key), Err: blob.ErrNoCredentials}
		}
		token, err := source.Token()
		if refused, isRefused := errors.AsType[*oauth2.RetrieveError](err); isRefused {
			return nil, &blob.Error{Op: op, URL: b.url(key), Err: blob.ErrNoCredentials, Code: refused.ErrorCode}
		}
		if err != nil {
			return nil, fail(err)
		}
		token.SetAuthHeader(r)
	}
	answer, err := b.client.Do(r)
	if err != nil {
		return nil, fail(err)
	}
	for _, status := range ok {
		if answer.StatusCode == status {
			return answer, nil
		}
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10)) // so that the connection is kept
	_ = answer.Body.Close()
	e := blob.NewStatusError(op, b.url(key), answer.StatusCode, "")
	if seconds, err := strconv.Atoi(answer.Header.Get("Retry-After")); err == nil {
		e.RetryAfter = time.Duration(min(max(seconds, 0), 3600)) * time.Second
	}
	return nil, e
}

// cutURL is err without a URL, which may hold what nobody should see.
func cutURL(err error) error {
	for {
		u, ok := errors.AsType[*url.Error](err)
		if !ok {
			return err
		}
		err = u.Err
	}
}

// maxAnswer bounds an answer that is not content.
const maxAnswer = 64 << 20

// sendJSON is send for an answer of status 200 in JSON. into may be nil.
func (b *bucket) sendJSON(ctx context.Context, op, key, method, address string, into any) error {
	answer, err := b.send(ctx, op, key, method, address, nil, nil, http.StatusOK, http.StatusNoContent)
	if err != nil {
		return err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if into == nil {
		return nil
	}
	return b.decode(op, key, answer.Body, into)
}

func (b *bucket) decode(op, key string, r io.Reader, into any) error {
	if err := json.NewDecoder(io.LimitReader(r, maxAnswer)).Decode(into); err != nil {
		return &blob.Error{Op: op, URL: b.url(key), Err: errors.New("the answer is not of Google Cloud Storage"),
			Temporary: true}
	}
	return nil
}

// resource is what the API says of an object.
type resource struct {
	Name       string            `json:"name"`
	Size       string            `json:"size"`
	Generation string            `json:"generation"`
	Updated    time.Time         `json:"updated"`
	Metadata   map[string]string `json:"metadata"`
}

const fields = "name,size,generation,updated,metadata"

func (r *resource) attrs() blob.Attrs {
	size, _ := strconv.ParseInt(r.Size, 10, 64)
	a := blob.Attrs{Key: r.Name, Size: size, Version: r.Generation, Modified: r.Updated}
	return a.WithUpload(r.Metadata[markKey])
}

func (b *bucket) stat(ctx context.Context, key string) (*resource, error) {
	var r resource
	err := b.sendJSON(ctx, "open", key, http.MethodGet, b.object(key)+"?fields="+fields, &r)
	if errors.Is(err, blob.ErrNotExist) {
		berr := b.sendJSON(ctx, "open", key, http.MethodGet, b.objects()+"?maxResults=1&fields=kind", nil)
		if errors.Is(berr, blob.ErrNotExist) {
			err = &blob.Error{Op: "open", URL: b.url(key), Err: blob.ErrNoBucket, Status: http.StatusNotFound}
		}
	}
	return &r, err
}

// Stat implements [blob.Bucket].
func (b *bucket) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	r, err := b.stat(ctx, key)
	if err != nil {
		return blob.Attrs{}, err
	}
	return r.attrs(), nil
}

// ReadRange implements [blob.Bucket].
func (b *bucket) ReadRange(ctx context.Context, a blob.Attrs, offset int64, p []byte) (int, error) {
	header := http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(p))-1)}}
	answer, err := b.send(ctx, "read", a.Key, http.MethodGet,
		b.object(a.Key)+"?alt=media&generation="+url.QueryEscape(a.Version), header, nil, http.StatusOK,
		http.StatusPartialContent)
	if errors.Is(err, blob.ErrNotExist) {
		err = &blob.Error{Op: "read", URL: b.url(a.Key), Err: blob.ErrChanged}
	}
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if answer.StatusCode == http.StatusOK && int64(len(p)) != a.Size {
		return 0, &blob.Error{Op: "read", URL: b.url(a.Key), Err: errors.New("the server ignores the header Range")}
	}
	n, err := io.ReadFull(answer.Body, p)
	if err != nil {
		err = &blob.Error{Op: "read", URL: b.url(a.Key), Err: cutURL(err), Temporary: true}
	}
	return n, err
}

// ListPage implements [blob.Bucket].
func (b *bucket) ListPage(ctx context.Context, prefix string, flat bool,
	token string) (page []blob.Attrs, next string, err error) {
	query := url.Values{"prefix": {prefix}, "fields": {"nextPageToken,items(" + fields + ")"}}
	if flat {
		query.Set("delimiter", "/")
	}
	if token != "" {
		query.Set("pageToken", token)
	}
	var answer struct {
		Items         []resource `json:"items"`
		NextPageToken string     `json:"nextPageToken"`
	}
	err = b.sendJSON(ctx, "list", prefix, http.MethodGet, b.objects()+"?"+query.Encode(), &answer)
	if errors.Is(err, blob.ErrNotExist) {
		err = &blob.Error{Op: "list", URL: b.url(prefix), Err: blob.ErrNoBucket, Status: http.StatusNotFound}
	}
	for i := range answer.Items {
		page = append(page, answer.Items[i].attrs())
	}
	return page, answer.NextPageToken, err
}

// Delete implements [blob.Bucket].
func (b *bucket) Delete(ctx context.Context, key string) error {
	err := b.sendJSON(ctx, "delete", key, http.MethodDelete, b.object(key), nil)
	if errors.Is(err, blob.ErrNotExist) {
		return nil
	}
	return err
}

// Put implements [blob.Bucket].
func (b *bucket) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	query := url.Values{"uploadType": {"media"}, "name": {key}, "ifGenerationMatch": {generation(c)}}
	answer, err := b.send(ctx, "write", key, http.MethodPost,
		b.base+"/upload/storage/v1/b/"+url.PathEscape(b.name)+"/o?"+query.Encode(),
		http.Header{"Content-Type": {"application/octet-stream"}}, data, http.StatusOK)
	if err != nil {
		return blob.Attrs{}, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	var r resource
	if err := b.decode("write", key, answer.Body, &r); err != nil {
		return blob.Attrs{}, err
	}
	return r.attrs(), nil
}

// generation is what ifGenerationMatch has for a condition: 0 is that of no object.
func generation(c blob.Condition) string { return cmp.Or(c.Version, "0") }

// markKey is the metadata that tells our upload from another that won.
const markKey = "rollcall-upload"

// chunk is what the length of a request's content must be a multiple of, but for that of the last one.
const chunk = 256 << 10

// upload is a resumable session. The request with the last bytes makes the object appear, so what is left of the last
// part after its chunks is held back.
type upload struct {
	b       *bucket
	key     string
	session string // a URL; who has it can write
	mark    string
	written int64  // bytes of all parts that were written
	offset  int64  // bytes that the store has
	held    []byte // the last of those that were written
	unsure  bool   // the answer to a request is lost: the store may have some of its content
	aborted bool
	done    *blob.Attrs
}

// Stage implements [blob.Bucket].
func (b *bucket) Stage(ctx context.Context, key string, c blob.Condition) (blob.Upload, error) {
	mark := rand.Text()
	body, err := json.Marshal(map[string]any{"name": key, "metadata": map[string]string{markKey: mark}})
	if err != nil {
		return nil, &blob.Error{Op: "write", URL: b.url(key), Err: err}
	}
	query := url.Values{"uploadType": {"resumable"}, "name": {key}, "ifGenerationMatch": {generation(c)}}
	answer, err := b.send(ctx, "write", key, http.MethodPost,
		b.base+"/upload/storage/v1/b/"+url.PathEscape(b.name)+"/o?"+query.Encode(),
		http.Header{"Content-Type": {"application/json"}}, body, http.StatusOK)
	if err != nil {
		return nil, err
	}
	_ = answer.Body.Close()
	u := &upload{b: b, key: key, session: answer.Header.Get("Location"), mark: mark}
	return u, u.checkSession()
}

// checkSession refuses a session on another server, which would get the token.
func (u *upload) checkSession() error {
	session, err := url.Parse(u.session)
	if err == nil && session.Scheme+"://"+session.Host == u.b.base {
		return nil
	}
	return &blob.Error{Op: "write", URL: u.b.url(u.key), Err: errors.New("the upload's session is on another server")}
}

// Resume implements [blob.Bucket]. The end of an object is not in the store before its commit.
func (b *bucket) Resume(_ context.Context, key, _ string, _ int64, _ blob.Condition) (blob.Upload, error) {
	return nil, &blob.Error{Op: "resume", URL: b.url(key), Err: blob.ErrNotExist}
}

// ID implements [blob.Upload]. It does not have the session, which lets anybody write.
func (u *upload) ID() string { return u.mark }

// askOffset asks how many bytes the store has. A session that is gone is an ErrNotExist.
func (u *upload) askOffset(ctx context.Context) error {
	answer, err := u.b.send(ctx, "write", u.key, http.MethodPut, u.session,
		http.Header{"Content-Range": {"bytes */*"}}, nil, http.StatusPermanentRedirect)
	if err != nil {
		return asGone(err)
	}
	_ = answer.Body.Close()
	u.offset, u.unsure = received(answer), false
	return nil
}

// asGone makes the error for a session that is gone of a status that says so.
func asGone(err error) error {
	if e, ok := errors.AsType[*blob.Error](err); ok && e.Status == http.StatusGone {
		e.Err = blob.ErrNotExist
	}
	return err
}

// received is how many bytes the answer to a part says that the store has.
func received(answer *http.Response) int64 {
	_, last, ok := strings.Cut(answer.Header.Get("Range"), "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || err != nil {
		return 0
	}
	return n + 1
}

// Write implements [blob.Upload].
func (u *upload) Write(ctx context.Context, part []byte) error {
	rest := len(part) % chunk
	end := u.written + int64(len(part)-rest)
	if u.unsure {
		if err := u.askOffset(ctx); err != nil {
			return err
		}
	}
	for u.offset < end {
		if u.offset < u.written {
			return &blob.Error{Op: "write", URL: u.b.url(u.key), Err: errors.New("the store has lost what it had")}
		}
		u.unsure = true
		answer, err := u.b.send(ctx, "write", u.key, http.MethodPut, u.session,
			http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/*", u.offset, end-1)}},
			part[u.offset-u.written:end-u.written], http.StatusPermanentRedirect)
		if err != nil {
			return asGone(err)
		}
		_ = answer.Body.Close()
		n := received(answer)
		if n <= u.offset || n > end {
			return &blob.Error{Op: "write", URL: u.b.url(u.key), Err: errors.New("the store kept nothing"), Temporary: true}
		}
		u.offset, u.unsure = n, false
	}
	u.written += int64(len(part))
	u.held = bytes.Clone(part[len(part)-rest:])
	return nil
}

// Commit implements [blob.Upload].
func (u *upload) Commit(ctx context.Context) (blob.Attrs, error) {
	if u.done != nil {
		return *u.done, nil
	}
	if u.aborted {
		return blob.Attrs{}, &blob.Error{Op: "commit", URL: u.b.url(u.key), Err: blob.ErrNotExist}
	}
	total := u.offset + int64(len(u.held))
	contentRange := fmt.Sprintf("bytes */%d", total)
	if len(u.held) > 0 {
		contentRange = fmt.Sprintf("bytes %d-%d/%d", u.offset, total-1, total)
	}
	answer, err := u.b.send(ctx, "commit", u.key, http.MethodPut, u.session,
		http.Header{"Content-Range": {contentRange}}, u.held, http.StatusOK, http.StatusCreated)
	if err != nil {
		// The answer to an earlier attempt may be lost: the object that is there may be this one.
		if a, serr := u.b.Stat(ctx, u.key); serr == nil && a.IsOf(u.mark) {
			u.done = &a
			return a, nil
		}
		return blob.Attrs{}, asGone(err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	var r resource
	if err := u.b.decode("commit", u.key, answer.Body, &r); err != nil {
		return blob.Attrs{}, err
	}
	a := r.attrs()
	u.done = &a
	return a, nil
}

// Abort implements [blob.Upload].
func (u *upload) Abort(ctx context.Context) error {
	u.aborted = true
	answer, err := u.b.send(ctx, "abort the upload of", u.key, http.MethodDelete, u.session, nil, nil,
		http.StatusNoContent, http.StatusOK, http.StatusNotFound, http.StatusGone, 499) // 499 says that it is cancelled
	if err == nil {
		_ = answer.Body.Close()
	}
	return err
}

// Abort implements [blob.Bucket]. Only the process that has begun a session knows it.
func (b *bucket) Abort(context.Context, blob.PendingUpload) error { return nil }

// Pending implements [blob.Bucket]. The API lists no sessions; they end by themselves, after a week.
func (b *bucket) Pending(context.Context, string) iter.Seq2[blob.PendingUpload, error] {
	return func(func(blob.PendingUpload, error) bool) {}
}
