package journal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// ObjectAge is the age of the first record at which an object is written to a store: twice [FrameAge], because each is
// a request.
const ObjectAge = 2 * FrameAge

// The names of what is in a store beside an output: Hidden + leaseSuffix, and the objects in Hidden + objectsSuffix. All
// are hidden from globs and from query engines: every element of their paths begins with a dot.
const (
	leaseSuffix   = "-lease"
	objectsSuffix = "-journal/"
	firstObject   = ".00000001"
)

const (
	readAhead     = 16       // objects
	maxAheadBytes = 32 << 20 // of them, but for the first
	deleteAtOnce  = 16
	maxObject     = blockSize + maxCompressed
)

// InBucket is the place of a journal that is numbered objects in a bucket, and of the lease that is its lock.
type InBucket struct {
	Holder *Holder     // of the lease
	Bucket blob.Bucket // with retries
	Key    string      // hidden, as PathFor returns it for the output's key; the objects' names begin with it
	URL    string      // of that, for messages
}

// String implements [Place].
func (p *InBucket) String() string { return p.URL }

func (p *InBucket) limits() limits { return limits{ObjectAge, 16 * FrameRecords} }

func (p *InBucket) open(create bool) (file, error) {
	ctx, stop := linger(p.Holder.ctx)
	o := &objects{place: p, ctx: ctx, stop: stop}
	err := o.open(create)
	if err != nil {
		stop()
		return nil, err
	}
	return o, nil
}

// objects is the file of a journal in a bucket. Each frame is an object, which is put only if there is none of that name:
// so of two runs that both hold the lease to be theirs, at most one adds the next.
//
// The first object has the header. The names of the others have a mark that is made from its bytes. So what a run that
// has lost its lease still adds to a journal that was removed belongs to no journal that came after it.
type objects struct {
	place *InBucket
	ctx   context.Context // of the requests
	stop  func()
	lease *Lease

	mark    string // in the names of all objects but the first; "": there is no first
	objects []object
	size    int64 // of all
	damage  error // they are not a journal
	written []byte
	loaded  int // the objects before it are not in memory
}

// object is a part of the file.
type object struct {
	attrs  blob.Attrs
	offset int64 // in the file
	load   *load // nil: it is not in memory
}

type load struct {
	data []byte
	err  error
	done chan struct{}
}

func (o *objects) dir() string { return o.place.Key + objectsSuffix }

// name returns the name of the n-th object.
func (o *objects) name(n int) string {
	if n == 1 {
		return o.dir() + firstObject
	}
	return fmt.Sprintf("%s.%08d-%s", o.dir(), n, o.mark)
}

// markOf returns the mark of the journal whose first object has these bytes.
func markOf(first []byte) string {
	sum := hashOf(first)
	return hex.EncodeToString(sum[:6])
}

func (o *objects) open(create bool) error {
	if !create {
		// A run that finds nothing takes no lease.
		leased, err := o.list()
		if err != nil {
			return err
		}
		if !leased && len(o.objects) == 0 {
			return fmt.Errorf("open %s: %w", o.place, ErrNone)
		}
	}
	var err error
	if o.lease, err = o.place.Holder.take(o.place.Bucket, o.place.Key+leaseSuffix, o.place.URL+leaseSuffix); err != nil {
		return err
	}
	if _, err = o.list(); err == nil {
		err = o.choose()
	}
	if err == nil && !create && o.mark == "" {
		err = fmt.Errorf("open %s: %w", o.place, ErrNone)
	}
	if err != nil {
		return errors.Join(err, o.lease.Close())
	}
	return nil
}

// HeaderIn returns the header of the journal in a place, without taking its lease. The journal may change meanwhile.
func HeaderIn(p *InBucket) (*Header, error) {
	ctx, stop := linger(p.Holder.ctx)
	defer stop()
	o := &objects{place: p, ctx: ctx}
	if _, err := o.list(); err != nil {
		return nil, err
	}
	all := o.objects
	o.objects = nil
	for _, x := range all {
		if x.attrs.Key == o.name(1) {
			o.keep(x)
		}
	}
	r, err := newReader(p, o)
	if err != nil {
		return nil, err
	}
	return &r.header, nil
}

// list finds the objects of all journals that were here, and whether there is a lease.
func (o *objects) list() (leased bool, err error) {
	o.objects = nil
	for a, err := range blob.List(o.ctx, o.place.Bucket, o.place.Key, false) {
		if err != nil {
			return false, err
		}
		leased = leased || a.Key == o.place.Key+leaseSuffix
		if strings.HasPrefix(a.Key, o.dir()) {
			o.objects = append(o.objects, object{attrs: a})
		}
	}
	return leased, nil
}

// choose keeps the objects of the journal, and deletes those of journals that were removed. Where the first is not a
// valid header, it keeps all, for the reader to say what is wrong.
func (o *objects) choose() error {
	all := o.objects
	o.objects, o.mark, o.size, o.damage = nil, "", 0, nil
	valid := false
	for _, x := range all {
		if x.attrs.Key != o.name(1) {
			continue
		}
		o.keep(x)
		if o.damage == nil {
			data, err := o.read(0)
			if err != nil {
				return err
			}
			o.mark, valid = markOf(data), isFrame(data)
		}
	}
	var removed []string
	for _, x := range all {
		number, mark, _ := strings.Cut(path.Base(x.attrs.Key), "-")
		switch {
		case x.attrs.Key == o.name(1):
		case len(o.objects) == 0 || valid && mark != o.mark:
			removed = append(removed, x.attrs.Key)
		default:
			n, err := strconv.Atoi(strings.TrimPrefix(number, "."))
			if valid && o.damage == nil && (err != nil || n != len(o.objects)+1) {
				o.damage = newDamagedError(o.place.URL, o.size, fmt.Sprintf("object %d is missing", len(o.objects)+1))
			}
			o.keep(x)
		}
	}
	return o.delete(removed)
}

// keep adds an object that is there.
func (o *objects) keep(x object) {
	x.offset = o.size
	if x.attrs.Size > maxObject && o.damage == nil {
		o.damage = newDamagedError(o.place.URL, o.size, fmt.Sprintf("object %d is too large", len(o.objects)+1))
	}
	o.objects = append(o.objects, x)
	o.size += x.attrs.Size
}

// isFrame reports whether data is a frame whose hashes are right.
func isFrame(data []byte) bool {
	if len(data) < blockSize {
		return false
	}
	b, ok := parseBlock(data[:blockSize])
	return ok && int64(b.length) == int64(len(data)-blockSize) && hashOf(data[blockSize:]) == b.content
}

// delete deletes objects, several at once.
func (o *objects) delete(keys []string) error {
	group, ctx := errgroup.WithContext(o.ctx)
	group.SetLimit(deleteAtOnce)
	for _, key := range keys {
		group.Go(func() error { return o.place.Bucket.Delete(ctx, key) })
	}
	return group.Wait()
}

// Size implements [file]. It returns the error of a journal that is damaged.
func (o *objects) Size() (int64, error) { return o.size, o.damage }

// ReadAt implements [file]. Objects are read ahead, and forgotten when later ones are read.
func (o *objects) ReadAt(p []byte, offset int64) (n int, err error) {
	i, found := slices.BinarySearchFunc(o.objects, offset, func(x object, at int64) int {
		return int(min(max(x.offset-at, -1), 1))
	})
	if !found {
		i--
	}
	for ; n < len(p); i++ {
		if i >= len(o.objects) {
			return n, io.EOF
		}
		data, err := o.read(i)
		if err != nil {
			return n, err
		}
		if from := offset + int64(n) - o.objects[i].offset; from < int64(len(data)) {
			n += copy(p[n:], data[from:])
		}
	}
	return n, nil
}

// read returns the bytes of an object, which stay valid, and requests the next ones.
func (o *objects) read(i int) ([]byte, error) {
	for ; o.loaded < i; o.loaded++ {
		o.objects[o.loaded].load = nil
	}
	o.loaded = i
	ahead := int64(0)
	for j := i; j < min(i+readAhead, len(o.objects)) && ahead <= maxAheadBytes; j++ {
		x := &o.objects[j]
		if ahead += x.attrs.Size; x.load == nil {
			x.load = &load{done: make(chan struct{})}
			go o.fill(x.load, x.attrs)
		}
	}
	l := o.objects[i].load
	<-l.done
	if l.err != nil {
		o.objects[i].load = nil
	}
	return l.data, l.err
}

func (o *objects) fill(l *load, a blob.Attrs) {
	defer close(l.done)
	l.data = make([]byte, a.Size)
	if a.Size > 0 {
		_, l.err = o.place.Bucket.ReadRange(o.ctx, a, 0, l.data)
	}
}

// Write implements [file]. It keeps p for Datasync.
func (o *objects) Write(p []byte) (int, error) {
	o.written = append(o.written, p...)
	return len(p), nil
}

// Datasync implements [file]. It puts what was written as the next object.
func (o *objects) Datasync() error {
	if err := o.lease.Held(); err != nil {
		return err
	}
	a, err := o.place.Bucket.Put(o.ctx, o.name(len(o.objects)+1), o.written, blob.Condition{})
	if errors.Is(err, blob.ErrExists) {
		return ErrLost // who else would have written it?
	}
	if err != nil {
		return err
	}
	if len(o.objects) == 0 {
		o.mark = markOf(o.written)
	}
	o.objects = append(o.objects, object{attrs: a, offset: o.size})
	o.size += a.Size
	o.written = o.written[:0]
	return nil
}

// Truncate implements [file]. An object is cut off as a whole.
func (o *objects) Truncate(size int64) error {
	for o.size > size {
		last := o.objects[len(o.objects)-1]
		if last.offset < size {
			return newDamagedError(o.place.URL, last.offset, "an object is more than a frame")
		}
		if err := o.place.Bucket.Delete(o.ctx, last.attrs.Key); err != nil {
			return err
		}
		o.objects, o.size = o.objects[:len(o.objects)-1], last.offset
	}
	return nil
}

// SyncName implements [file]: what a store has said lasts.
func (o *objects) SyncName() error { return nil }

// Remove implements [file]. Without the first object there is no journal, so it goes first: the others are then deleted by
// whoever comes next.
func (o *objects) Remove() error {
	if len(o.objects) == 0 {
		return nil
	}
	var keys []string
	for _, x := range o.objects {
		keys = append(keys, x.attrs.Key)
	}
	if err := o.lease.Confirm(); err != nil {
		return err
	}
	if err := o.place.Bucket.Delete(o.ctx, keys[0]); err != nil {
		return err
	}
	o.objects, o.size, o.mark = nil, 0, ""
	return o.delete(keys[1:])
}

// Held implements [file].
func (o *objects) Held() error { return o.lease.Held() }

// Confirm implements [file].
func (o *objects) Confirm() error { return o.lease.Confirm() }

// Close implements [file]. It gives the lease back.
func (o *objects) Close() error {
	defer o.stop()
	return o.lease.Close()
}

func (o *objects) wrap(verb string, err error) error {
	if err == nil {
		return nil
	}
	wrapped := fmt.Errorf("%s %s: %w", verb, o.place, err)
	if hint := pipeline.Hint(err); hint == "" && errors.Is(err, ErrLost) {
		return pipeline.WithHint(wrapped, "the other run goes on from what this one has asked; look whether two are scheduled")
	}
	return wrapped
}

// Found is what runs have left in a store for one output, or are using.
type Found struct {
	Key     string // hidden, as PathFor returns it for the output's key
	Journal bool   // there is a journal: an unfinished run
	Lease   string // the key of the lease; "": there is none
	Objects int
	Bytes   int64
	Written time.Time // the last of them
}

// Find returns what runs have left in a store directly below a directory, which is "" or ends in a slash, sorted by key.
func Find(ctx context.Context, b blob.Bucket, dir string) ([]Found, error) {
	byKey := map[string]*Found{}
	for a, err := range blob.List(ctx, b, dir+".", false) {
		if err != nil {
			return nil, err
		}
		name, object, isObject := strings.Cut(a.Key[len(dir):], objectsSuffix)
		name, isLease := strings.CutSuffix(name, leaseSuffix)
		if isObject == isLease || strings.Contains(name, "/") || !strings.HasSuffix(name, fileSuffix) {
			continue
		}
		f := byKey[dir+name]
		if f == nil {
			f = &Found{Key: dir + name}
			byKey[f.Key] = f
		}
		if isLease {
			f.Lease = a.Key
		}
		f.Journal = f.Journal || object == firstObject
		f.Objects++
		f.Bytes += a.Size
		if a.Modified.After(f.Written) {
			f.Written = a.Modified
		}
	}
	var all []Found
	for _, key := range slices.Sorted(maps.Keys(byKey)) {
		all = append(all, *byKey[key])
	}
	return all, nil
}
