package pipelinetest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Memory is a bucket in memory. Its zero value is empty. Before, if set, is called before each operation; an error of it
// is the operation's. It may call the methods of the bucket, but not those of its uploads.
type Memory struct {
	Before func(op, key string) error

	mu      sync.Mutex
	objects map[string]memoryObject
	uploads map[string]*memoryUpload
	last    int // version, or id of an upload
}

type memoryObject struct {
	attrs blob.Attrs
	data  []byte
}

func (m *Memory) begin(ctx context.Context, op, key string) error {
	err := ctx.Err()
	if err == nil && m.Before != nil {
		err = m.Before(op, key)
	}
	if _, ours := err.(*blob.Error); err == nil || ours { //nolint:errorlint // it is passed on as it is
		return err
	}
	return &blob.Error{Op: op, URL: memoryURL(key), Err: err}
}

func memoryURL(key string) string { return "mem://bucket/" + key }

func (m *Memory) next() string {
	m.last++
	return strconv.Itoa(m.last)
}

// put writes an object. The caller holds mu.
func (m *Memory) put(op, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	if m.objects[key].attrs.Version != c.Version {
		return blob.Attrs{}, &blob.Error{Op: op, URL: memoryURL(key), Err: blob.ErrExists, Status: 412}
	}
	if m.objects == nil {
		m.objects = map[string]memoryObject{}
	}
	a := blob.Attrs{Key: key, Size: int64(len(data)), Version: m.next(), Modified: time.Now()}
	m.objects[key] = memoryObject{a, bytes.Clone(data)}
	return a, nil
}

// Keys returns the keys of all objects, sorted.
func (m *Memory) Keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.objects))
}

// Stat implements [blob.Bucket].
func (m *Memory) Stat(ctx context.Context, key string) (blob.Attrs, error) {
	if err := m.begin(ctx, "open", key); err != nil {
		return blob.Attrs{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[key]
	if !ok {
		return blob.Attrs{}, &blob.Error{Op: "open", URL: memoryURL(key), Err: blob.ErrNotExist, Status: 404}
	}
	return o.attrs, nil
}

// ReadRange implements [blob.Bucket].
func (m *Memory) ReadRange(ctx context.Context, a blob.Attrs, offset int64, p []byte) (int, error) {
	if err := m.begin(ctx, "read", a.Key); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o := m.objects[a.Key]
	if o.attrs.Version != a.Version {
		return 0, &blob.Error{Op: "read", URL: memoryURL(a.Key), Err: blob.ErrChanged}
	}
	return copy(p, o.data[offset:]), nil
}

// ListPage implements [blob.Bucket]. Its pages are short.
func (m *Memory) ListPage(ctx context.Context, prefix string, flat bool,
	token string) (page []blob.Attrs, next string, err error) {
	if err := m.begin(ctx, "list", prefix); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, key := range slices.Sorted(maps.Keys(m.objects)) {
		below, ok := strings.CutPrefix(key, prefix)
		if !ok || key <= token || flat && strings.Contains(below, "/") {
			continue
		}
		if page = append(page, m.objects[key].attrs); len(page) == 3 {
			return page, key, nil
		}
	}
	return page, "", nil
}

// Delete implements [blob.Bucket].
func (m *Memory) Delete(ctx context.Context, key string) error {
	if err := m.begin(ctx, "delete", key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

// Put implements [blob.Bucket].
func (m *Memory) Put(ctx context.Context, key string, data []byte, c blob.Condition) (blob.Attrs, error) {
	if err := m.begin(ctx, "write", key); err != nil {
		return blob.Attrs{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put("write", key, data, c)
}

type memoryUpload struct {
	m         *Memory
	pending   blob.PendingUpload
	condition blob.Condition
	parts     [][]byte
	done      *blob.Attrs
}

// Stage implements [blob.Bucket].
func (m *Memory) Stage(ctx context.Context, key string, c blob.Condition) (blob.Upload, error) {
	if err := m.begin(ctx, "stage", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.uploads == nil {
		m.uploads = map[string]*memoryUpload{}
	}
	u := &memoryUpload{m: m, condition: c, pending: blob.PendingUpload{Key: key, ID: m.next(), Begun: time.Now()}}
	m.uploads[u.pending.ID] = u
	return u, nil
}

// Resume implements [blob.Bucket].
func (m *Memory) Resume(ctx context.Context, key, id string, size int64, c blob.Condition) (blob.Upload, error) {
	if err := m.begin(ctx, "resume", key); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	u, ok := m.uploads[id]
	if !ok || u.pending.Key != key || int64(len(bytes.Join(u.parts, nil))) != size {
		return nil, &blob.Error{Op: "resume", URL: memoryURL(key), Err: blob.ErrNotExist}
	}
	u.condition = c
	return u, nil
}

// Pending implements [blob.Bucket].
func (m *Memory) Pending(ctx context.Context, prefix string) iter.Seq2[blob.PendingUpload, error] {
	return func(yield func(blob.PendingUpload, error) bool) {
		if err := m.begin(ctx, "pending", prefix); err != nil {
			yield(blob.PendingUpload{}, err)
			return
		}
		m.mu.Lock()
		var all []blob.PendingUpload
		for _, u := range m.uploads {
			if strings.HasPrefix(u.pending.Key, prefix) {
				all = append(all, u.pending)
			}
		}
		m.mu.Unlock()
		slices.SortFunc(all, func(a, b blob.PendingUpload) int { return strings.Compare(a.Key+a.ID, b.Key+b.ID) })
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// Abort implements [blob.Bucket].
func (m *Memory) Abort(ctx context.Context, p blob.PendingUpload) error {
	if err := m.begin(ctx, "abort", p.Key); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.uploads, p.ID)
	return nil
}

func (u *memoryUpload) ID() string { return u.pending.ID }

func (u *memoryUpload) Write(ctx context.Context, part []byte) error {
	return u.WritePart(ctx, len(u.parts), part)
}

// WritePart implements [blob.ParallelUpload].
func (u *memoryUpload) WritePart(ctx context.Context, n int, part []byte) error {
	if err := u.m.begin(ctx, "part", u.pending.Key); err != nil {
		return err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	for len(u.parts) <= n {
		u.parts = append(u.parts, nil)
	}
	u.parts[n] = bytes.Clone(part)
	return nil
}

func (u *memoryUpload) Commit(ctx context.Context) (blob.Attrs, error) {
	if err := u.m.begin(ctx, "commit", u.pending.Key); err != nil {
		return blob.Attrs{}, err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	if u.done != nil {
		return *u.done, nil
	}
	if u.m.uploads[u.pending.ID] == nil {
		return blob.Attrs{}, &blob.Error{Op: "commit", URL: memoryURL(u.pending.Key), Err: fmt.Errorf("it was aborted: %w",
			blob.ErrNotExist)}
	}
	a, err := u.m.put("commit", u.pending.Key, bytes.Join(u.parts, nil), u.condition)
	if err == nil {
		a = a.WithUpload(u.pending.ID)
		u.m.objects[u.pending.Key] = memoryObject{a, u.m.objects[u.pending.Key].data}
		delete(u.m.uploads, u.pending.ID)
		u.done = &a
	}
	return a, err
}

func (u *memoryUpload) Abort(ctx context.Context) error { return u.m.Abort(ctx, u.pending) }
