package pipelinetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// BucketOptions say what a store can do.
type BucketOptions struct {
	Resumes      bool // another process can commit an upload
	ListsPending bool
	Identifies   bool // an object tells which upload has made it
	Parallel     bool // parts can be written at the same time
	KeepsAborted bool // an upload that is aborted can be resumed, until the store discards it
	LosesReplace bool // of two that replace one version at once, both may succeed
}

// TestBucket checks the promises of [blob.Bucket]. open returns a bucket and a prefix for keys in it, which ends in a
// slash and below which nothing is.
func TestBucket(t *testing.T, o BucketOptions, open func(t *testing.T) (blob.Bucket, string)) {
	for _, test := range []struct {
		name    string
		run     func(s *bucketSuite)
		without bool
	}{
		{"missing", (*bucketSuite).testMissing, false},
		{"invisible until committed", (*bucketSuite).testStaged, false},
		{"sizes and ranges", (*bucketSuite).testRanges, false},
		{"only if absent", (*bucketSuite).testIfAbsent, false},
		{"only if unchanged", (*bucketSuite).testIfUnchanged, false},
		{"commits at once", (*bucketSuite).testRace, false},
		{"put", (*bucketSuite).testPut, false},
		{"puts at once", (*bucketSuite).testPutRace, false},
		{"changed while read", (*bucketSuite).testChanged, false},
		{"list", (*bucketSuite).testList, false},
		{"keys", (*bucketSuite).testKeys, false},
		{"abort", (*bucketSuite).testAbort, false},
		{"pending", (*bucketSuite).testPending, !o.ListsPending},
		{"resume", (*bucketSuite).testResume, !o.Resumes},
		{"identity", (*bucketSuite).testIdentity, !o.Identifies},
		{"parallel", (*bucketSuite).testParallel, !o.Parallel},
		{"repeated", (*bucketSuite).testRepeated, false},
		{"cancelled", (*bucketSuite).testCancelled, false},
	} {
		if test.without { // the store cannot do that: see its options
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			b, prefix := open(t)
			test.run(&bucketSuite{T: t, o: o, b: b, prefix: prefix, ctx: t.Context()})
		})
	}
}

type bucketSuite struct {
	*testing.T
	o      BucketOptions
	b      blob.Bucket
	prefix string
	ctx    context.Context
}

func (s *bucketSuite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *bucketSuite) wantError(what string, err, want error) {
	s.Helper()
	if !errors.Is(err, want) {
		s.Errorf("%s: %v, want %v", what, err, want)
	}
	if _, ok := errors.AsType[*blob.Error](err); err != nil && !ok {
		s.Errorf("%s: the error is a %T, want a *blob.Error", what, err)
	}
}

// content returns n bytes that no two seeds share.
func content(seed uint64, n int) []byte {
	data := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = r.Read(data)
	return data
}

func (s *bucketSuite) stage(key string, c blob.Condition, data []byte) blob.Upload {
	s.Helper()
	u, err := s.b.Stage(s.ctx, s.prefix+key, c)
	s.must(err)
	s.append(u, data)
	return u
}

func (s *bucketSuite) append(u blob.Upload, data []byte) {
	s.Helper()
	for part := range slices.Chunk(data, blob.PartSize) {
		s.must(u.Write(s.ctx, part))
	}
}

func (s *bucketSuite) put(key string, c blob.Condition, data []byte) blob.Attrs {
	s.Helper()
	a, err := s.stage(key, c, data).Commit(s.ctx)
	s.must(err)
	return a
}

func (s *bucketSuite) wantContent(key string, want []byte) {
	s.Helper()
	a, err := s.b.Stat(s.ctx, s.prefix+key)
	s.must(err)
	if a.Size != int64(len(want)) || a.Key != s.prefix+key || a.Version == "" {
		s.Errorf("%s: %+v, want %d bytes, its key and a version", key, a, len(want))
	}
	got := make([]byte, a.Size)
	if len(got) > 0 {
		if n, err := s.b.ReadRange(s.ctx, a, 0, got); err != nil || n != len(got) {
			s.Fatalf("read %s: %d bytes, %v; want %d", key, n, err, len(got))
		}
	}
	if !bytes.Equal(got, want) {
		s.Errorf("%s has other bytes than were written", key)
	}
}

func (s *bucketSuite) list(prefix string, flat bool) (keys []string) {
	s.Helper()
	for a, err := range blob.List(s.ctx, s.b, s.prefix+prefix, flat) {
		s.must(err)
		keys = append(keys, a.Key[len(s.prefix):])
	}
	return keys
}

func (s *bucketSuite) testMissing() {
	_, err := s.b.Stat(s.ctx, s.prefix+"none")
	s.wantError("stat of no object", err, blob.ErrNotExist)
	s.must(s.b.Delete(s.ctx, s.prefix+"none"))
	if keys := s.list("", false); len(keys) > 0 {
		s.Errorf("an empty prefix has %q", keys)
	}
}

func (s *bucketSuite) testStaged() {
	data := content(1, 3000)
	u := s.stage("dir/a.csv", blob.Condition{}, data)
	_, err := s.b.Stat(s.ctx, s.prefix+"dir/a.csv")
	s.wantError("stat before the commit", err, blob.ErrNotExist)
	if keys := s.list("", false); len(keys) > 0 {
		s.Errorf("before the commit the list has %q", keys)
	}
	a, err := u.Commit(s.ctx)
	s.must(err)
	there, err := s.b.Stat(s.ctx, s.prefix+"dir/a.csv")
	s.must(err)
	if a.Version != there.Version || a.Size != there.Size || a.Key != there.Key {
		s.Errorf("Commit returned %+v, Stat %+v", a, there)
	}
	s.wantContent("dir/a.csv", data)
	s.must(s.b.Delete(s.ctx, s.prefix+"dir/a.csv"))
	_, err = s.b.Stat(s.ctx, s.prefix+"dir/a.csv")
	s.wantError("stat after the delete", err, blob.ErrNotExist)
}

func (s *bucketSuite) testRanges() {
	for i, n := range []int{0, 1, blob.PartSize, 2*blob.PartSize + 12345} {
		data := content(uint64(i), n)
		key := string(rune('a' + i))
		a := s.put(key, blob.Condition{}, data)
		s.wantContent(key, data)
		for range min(n, 20) {
			from := rand.IntN(n)
			p := make([]byte, 1+rand.IntN(min(n-from, 100_000)))
			if got, err := s.b.ReadRange(s.ctx, a, int64(from), p); err != nil || got != len(p) {
				s.Fatalf("%d bytes: ReadRange(%d, %d) = %d, %v", n, from, len(p), got, err)
			}
			if !bytes.Equal(p, data[from:from+len(p)]) {
				s.Errorf("%d bytes: the %d from %d are others than were written", n, len(p), from)
			}
		}
	}
	// Sections, beside each other, with what the stores add.
	a, err := s.b.Stat(s.ctx, s.prefix+"d")
	s.must(err)
	o := blob.NewObject(s.ctx, s.b, a, "d")
	var group sync.WaitGroup
	data := content(3, int(a.Size))
	for _, r := range [][2]int64{{0, a.Size}, {5, 10}, {a.Size - 3, 100}, {1 << 20, 9 << 20}, {a.Size, 1}} {
		group.Go(func() {
			got, err := io.ReadAll(o.Section(r[0], r[1]))
			if want := data[r[0]:min(r[0]+r[1], a.Size)]; err != nil || !bytes.Equal(got, want) {
				s.Errorf("section %v: %d bytes, %v; want %d as written", r, len(got), err, len(want))
			}
		})
	}
	group.Wait()
}

func (s *bucketSuite) testIfAbsent() {
	first, second := content(1, 1000), content(2, 1000)
	early := s.stage("x", blob.Condition{}, second)
	s.put("x", blob.Condition{}, first)
	_, err := early.Commit(s.ctx)
	s.wantError("commit of what was staged before", err, blob.ErrExists)
	u, err := s.b.Stage(s.ctx, s.prefix+"x", blob.Condition{})
	if err == nil { // a store may know at once
		s.must(u.Write(s.ctx, second))
		_, err = u.Commit(s.ctx)
		s.must(u.Abort(s.ctx))
	}
	s.wantError("commit of what was staged after", err, blob.ErrExists)
	s.must(early.Abort(s.ctx))
	s.wantContent("x", first)
}

func (s *bucketSuite) testIfUnchanged() {
	old := s.put("x", blob.Condition{}, content(1, 1000))
	late := s.stage("x", blob.Condition{Version: old.Version}, content(2, 1000))
	fresh := s.put("x", blob.Condition{Version: old.Version}, content(3, 1000))
	if fresh.Version == old.Version {
		s.Errorf("two versions are both %q", old.Version)
	}
	_, err := late.Commit(s.ctx)
	s.wantError("commit over a version that is gone", err, blob.ErrExists)
	s.must(late.Abort(s.ctx))
	s.wantContent("x", content(3, 1000))
	s.must(s.b.Delete(s.ctx, s.prefix+"x"))
	u, err := s.b.Stage(s.ctx, s.prefix+"x", blob.Condition{Version: fresh.Version})
	if err == nil {
		s.must(u.Write(s.ctx, content(4, 10)))
		_, err = u.Commit(s.ctx)
		s.must(u.Abort(s.ctx))
	}
	if err == nil {
		s.Error("commit over an object that is deleted: no error")
	}
}

func (s *bucketSuite) testRace() {
	const n = 4
	var uploads []blob.Upload
	for i := range n {
		uploads = append(uploads, s.stage("x", blob.Condition{}, content(uint64(i), 5000)))
	}
	results := make([]error, n)
	var group sync.WaitGroup
	for i, u := range uploads {
		group.Go(func() { _, results[i] = u.Commit(s.ctx) })
	}
	group.Wait()
	won := -1
	for i, err := range results {
		switch {
		case err == nil && won >= 0:
			s.Errorf("commits %d and %d both succeeded", won, i)
		case err == nil:
			won = i
		default:
			s.wantError("a commit that lost", err, blob.ErrExists)
			s.must(uploads[i].Abort(s.ctx))
		}
	}
	if won < 0 {
		s.Fatal("no commit succeeded")
	}
	s.wantContent("x", content(uint64(won), 5000))
}

func (s *bucketSuite) testPut() {
	key := s.prefix + "dir/x"
	first, err := s.b.Put(s.ctx, key, content(1, 1000), blob.Condition{})
	s.must(err)
	there, err := s.b.Stat(s.ctx, key)
	s.must(err)
	if first.Version != there.Version || first.Size != 1000 || first.Key != key {
		s.Errorf("Put returned %+v, Stat %+v", first, there)
	}
	_, err = s.b.Put(s.ctx, key, content(2, 1000), blob.Condition{})
	s.wantError("put where an object is", err, blob.ErrExists)
	s.wantContent("dir/x", content(1, 1000))
	second, err := s.b.Put(s.ctx, key, content(3, 500), blob.Condition{Version: first.Version})
	s.must(err)
	_, err = s.b.Put(s.ctx, key, content(4, 500), blob.Condition{Version: first.Version})
	s.wantError("put over a version that is gone", err, blob.ErrExists)
	s.wantContent("dir/x", content(3, 500))
	s.must(s.b.Delete(s.ctx, key))
	if _, err = s.b.Put(s.ctx, key, content(5, 500), blob.Condition{Version: second.Version}); err == nil {
		s.Error("put over an object that is deleted: no error")
	}
	if _, err = s.b.Stat(s.ctx, key); !errors.Is(err, blob.ErrNotExist) {
		s.Errorf("stat after that: %v, want %v", err, blob.ErrNotExist)
	}
	_, err = s.b.Put(s.ctx, s.prefix+"empty", nil, blob.Condition{})
	s.must(err)
	s.wantContent("empty", nil)
}

// testPutRace puts several objects of one name: first where there is none, then over what is there.
func (s *bucketSuite) testPutRace() {
	var c blob.Condition
	for round := range 2 {
		if round == 1 && s.o.LosesReplace {
			return
		}
		const n = 4
		results, versions := make([]error, n), make([]string, n)
		var group sync.WaitGroup
		for i := range n {
			group.Go(func() {
				a, err := s.b.Put(s.ctx, s.prefix+"x", content(uint64(round*n+i), 5000), c)
				results[i], versions[i] = err, a.Version
			})
		}
		group.Wait()
		won := -1
		for i, err := range results {
			switch {
			case err == nil && won >= 0:
				s.Errorf("round %d: puts %d and %d both succeeded", round, won, i)
			case err == nil:
				won = i
			default:
				s.wantError("a put that lost", err, blob.ErrExists)
			}
		}
		if won < 0 {
			s.Fatalf("round %d: no put succeeded", round)
		}
		s.wantContent("x", content(uint64(round*n+won), 5000))
		c.Version = versions[won]
	}
}

func (s *bucketSuite) testChanged() {
	old := s.put("x", blob.Condition{}, content(1, 1000))
	s.put("x", blob.Condition{Version: old.Version}, content(2, 1000))
	p := make([]byte, 100)
	_, err := s.b.ReadRange(s.ctx, old, 0, p)
	s.wantError("read of a version that was replaced", err, blob.ErrChanged)
	s.must(s.b.Delete(s.ctx, s.prefix+"x"))
	_, err = s.b.ReadRange(s.ctx, old, 0, p)
	s.wantError("read of a version that was deleted", err, blob.ErrChanged)
}

func (s *bucketSuite) testList() {
	for _, key := range []string{"b/2", "a/1", "b/1", "b/sub/3", "c", "ba"} {
		s.put(key, blob.Condition{}, []byte(key))
	}
	for _, test := range []struct {
		prefix string
		flat   bool
		want   []string
	}{
		{"", false, []string{"a/1", "b/1", "b/2", "b/sub/3", "ba", "c"}},
		{"", true, []string{"ba", "c"}},
		{"b/", false, []string{"b/1", "b/2", "b/sub/3"}},
		{"b/", true, []string{"b/1", "b/2"}},
		{"b", true, []string{"ba"}},
		{"none", false, nil},
	} {
		if got := s.list(test.prefix, test.flat); !slices.Equal(got, test.want) {
			s.Errorf("list of %q, flat %v: %q, want %q", test.prefix, test.flat, got, test.want)
		}
	}
}

func (s *bucketSuite) testKeys() {
	keys := []string{"a b", "a+b", "a%20b", "a#b", "a?b=c", "dt=2026-11-28/part-0.csv", "é/ü.csv", "a&b", "a'b", "a~b"}
	slices.Sort(keys)
	for i, key := range keys {
		s.put(key, blob.Condition{}, content(uint64(i), 10))
	}
	got := s.list("", false)
	slices.Sort(got)
	if !slices.Equal(got, keys) {
		s.Errorf("list: %q, want %q", got, keys)
	}
	for i, key := range keys {
		s.wantContent(key, content(uint64(i), 10))
	}
}

func (s *bucketSuite) testAbort() {
	u := s.stage("x", blob.Condition{}, content(1, 1000))
	s.must(u.Abort(s.ctx))
	s.must(u.Abort(s.ctx))
	if _, err := u.Commit(s.ctx); err == nil {
		s.Error("commit after the abort: no error")
	}
	_, err := s.b.Stat(s.ctx, s.prefix+"x")
	s.wantError("stat after the abort", err, blob.ErrNotExist)
}

func (s *bucketSuite) pending(prefix string) (all []blob.PendingUpload) {
	s.Helper()
	for p, err := range s.b.Pending(s.ctx, s.prefix+prefix) {
		s.must(err)
		all = append(all, p)
	}
	return all
}

func (s *bucketSuite) testPending() {
	s.stage("a/x", blob.Condition{}, content(1, 1000))
	s.stage("a/y", blob.Condition{}, content(1, 1000))
	s.stage("b", blob.Condition{}, content(1, 1000))
	s.put("a/done", blob.Condition{}, content(1, 1000))
	all := s.pending("a/")
	var keys []string
	for _, p := range all {
		keys = append(keys, p.Key[len(s.prefix):])
		s.must(s.b.Abort(s.ctx, p))
		s.must(s.b.Abort(s.ctx, p))
	}
	slices.Sort(keys)
	if want := []string{"a/x", "a/y"}; !slices.Equal(keys, want) {
		s.Errorf("pending below a/: %q, want %q", keys, want)
	}
	if left := s.pending(""); len(left) != 1 || left[0].Key != s.prefix+"b" {
		s.Errorf("after the aborts: %+v, want that of b", left)
	}
	s.wantContent("a/done", content(1, 1000))
}

func (s *bucketSuite) testResume() {
	for i, n := range []int{0, 1000, 2 * blob.PartSize, 2*blob.PartSize + 777} {
		key, data := string(rune('a'+i)), content(uint64(i), n)
		id := s.stage(key, blob.Condition{}, data).ID()
		_, err := s.b.Resume(s.ctx, s.prefix+key, id, int64(n)+1, blob.Condition{})
		s.wantError("resume of an upload that lacks a byte", err, blob.ErrNotExist)
		again, err := s.b.Resume(s.ctx, s.prefix+key, id, int64(n), blob.Condition{})
		s.must(err)
		_, err = again.Commit(s.ctx)
		s.must(err)
		s.wantContent(key, data)
	}
	gone := s.stage("y", blob.Condition{}, content(9, 1000))
	s.must(gone.Abort(s.ctx))
	if _, err := s.b.Resume(s.ctx, s.prefix+"y", gone.ID(), 1000, blob.Condition{}); !s.o.KeepsAborted {
		s.wantError("resume of an aborted upload", err, blob.ErrNotExist)
	}
}

// testIdentity: an object tells which upload has made it.
func (s *bucketSuite) testIdentity() {
	u := s.stage("x", blob.Condition{}, content(1, 1000))
	a, err := u.Commit(s.ctx)
	s.must(err)
	other := s.stage("x", blob.Condition{Version: a.Version}, content(1, 1000))
	if a, err = s.b.Stat(s.ctx, s.prefix+"x"); err != nil || !a.IsOf(u.ID()) || a.IsOf(other.ID()) || a.IsOf("") {
		s.Errorf("%v: the object is of its upload: %v; of another: %v; of none: %v; want that of its own", err,
			a.IsOf(u.ID()), a.IsOf(other.ID()), a.IsOf(""))
	}
	_, err = other.Commit(s.ctx)
	s.must(err)
	if a, err = s.b.Stat(s.ctx, s.prefix+"x"); err != nil || a.IsOf(u.ID()) || !a.IsOf(other.ID()) {
		s.Errorf("replaced, %v: the object is of the earlier upload: %v; of the later one: %v", err, a.IsOf(u.ID()),
			a.IsOf(other.ID()))
	}
}

// testParallel writes parts at the same time, in any order.
func (s *bucketSuite) testParallel() {
	data := content(1, 3*blob.PartSize+777)
	u, err := s.b.Stage(s.ctx, s.prefix+"x", blob.Condition{})
	s.must(err)
	p, ok := u.(blob.ParallelUpload)
	if !ok {
		s.Fatalf("%T is not a blob.ParallelUpload", u)
	}
	var group sync.WaitGroup
	var errs [4]error
	for n := len(errs) - 1; n >= 0; n-- {
		group.Go(func() { errs[n] = p.WritePart(s.ctx, n, data[n*blob.PartSize:min((n+1)*blob.PartSize, len(data))]) })
	}
	group.Wait()
	s.must(errors.Join(errs[:]...))
	_, err = u.Commit(s.ctx)
	s.must(err)
	s.wantContent("x", data)
}

// testRepeated does again what may have succeeded.
func (s *bucketSuite) testRepeated() {
	data := content(1, 2000)
	u := s.stage("x", blob.Condition{}, data)
	first, err := u.Commit(s.ctx)
	s.must(err)
	second, err := u.Commit(s.ctx)
	s.must(err)
	if first.Version != second.Version {
		s.Errorf("the second commit made version %q of %q", second.Version, first.Version)
	}
	s.wantContent("x", data)
}

func (s *bucketSuite) testCancelled() {
	s.put("x", blob.Condition{}, content(1, 1000))
	a, err := s.b.Stat(s.ctx, s.prefix+"x")
	s.must(err)
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	if _, err := s.b.ReadRange(ctx, a, 0, make([]byte, 10)); err == nil {
		s.Error("read after the context ended: no error")
	}
	if _, err := s.b.Stat(ctx, s.prefix+"x"); err == nil {
		s.Error("stat after the context ended: no error")
	}
}
