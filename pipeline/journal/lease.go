package journal

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

var (
	renewEvery   = LeaseTime / 3
	renewTimeout = 2 * renewEvery // for one renewal with its repetitions: the next one begins on another connection
	watchEvery   = LeaseTime / 15
)

const (
	closeTimeout  = 5 * time.Second // for each of the two requests that give a lease back, with their repetitions
	lingerTime    = 5 * time.Second // that requests have after their context has ended
	maxLeaseBytes = 4 << 10
)

// ErrLost says that another run has taken over: this one was silent for longer than [LeaseTime].
var ErrLost = errors.New("another run has taken these outputs over: this one did not renew its lease in time")

// Holder is a run that holds leases.
type Holder struct {
	ctx   context.Context
	say   func(message string)
	owner string // random

	mu     sync.Mutex
	silent map[string]bool // owners that have not renewed a lease in time
}

// NewHolder returns a holder, which sends nothing. say, which may be nil, is told what a lease waits for. ctx ends the
// requests, which then have a few seconds left, for the leases to be given back.
func NewHolder(ctx context.Context, say func(message string)) *Holder {
	return &Holder{ctx: ctx, say: say, owner: rand.Text(), silent: map[string]bool{}}
}

// Lease is the lock of an output in a store: an object that its holder renews. Its methods are safe for concurrent use.
type Lease struct {
	ctx      context.Context
	bucket   blob.Bucket
	key, url string

	stopRequests func()
	stopBeat     func() // waits until it has stopped

	mu      sync.Mutex // one renewal at a time
	content leaseContent
	version string // of the object

	lostMu sync.Mutex
	lost   error
}

// leaseContent is what the object has. It names no person.
type leaseContent struct {
	Owner    string    `json:"owner"` // random
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Since    time.Time `json:"since"`
	Renewals int64     `json:"renewals"`
}

// String says who holds the lease.
func (h *leaseContent) String() string {
	host := strings.Map(func(r rune) rune { // anybody may have written it
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_", r) {
			return r
		}
		return -1
	}, h.Host[:min(len(h.Host), 64)])
	if host == "" {
		return "a run"
	}
	return fmt.Sprintf("a run on %s, process %d, since %s", host, h.PID, h.Since.UTC().Format("2006-01-02 15:04:05 MST"))
}

// LockedError says who has a lease. It wraps [ErrLocked].
type LockedError struct {
	URL string // of the lease
	By  string // who
}

func (e *LockedError) Error() string { return fmt.Sprintf("%s holds %s", e.By, e.URL) }

func (e *LockedError) Unwrap() error { return ErrLocked }

// take takes the lease that is the object key. A lease that somebody holds is observed: if it is renewed, the error is a
// [LockedError]; if it is not, for [LeaseTime] by this process's clock, it is taken over. The other leases of its holder
// are then taken over at once.
func (h *Holder) take(b blob.Bucket, key, url string) (*Lease, error) {
	host, _ := os.Hostname()
	l := &Lease{bucket: b, key: key, url: url, content: leaseContent{Owner: h.owner, Host: host, PID: os.Getpid(),
		Since: time.Now().UTC().Truncate(time.Second)}}
	l.ctx, l.stopRequests = linger(h.ctx)
	for {
		gone, err := l.tryTake(h)
		if gone {
			continue
		}
		if err != nil {
			l.stopRequests()
			return nil, err
		}
		break
	}
	beat, end := context.WithCancel(l.ctx)
	ended := make(chan struct{})
	l.stopBeat = func() {
		end()
		<-ended
	}
	go func() {
		defer close(ended)
		l.keep(beat)
	}()
	return l, nil
}

// linger returns a context that ends some time after ctx does, or when it is stopped.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	unset := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(lingerTime)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel()
		case <-later.Done():
		}
	})
	return later, func() {
		unset()
		cancel()
	}
}

// tryTake puts the object where there is none, or where the one that is there does not change. gone says that it has
// changed or was deleted meanwhile in a way that makes another attempt worth it.
func (l *Lease) tryTake(h *Holder) (gone bool, err error) {
	a, err := l.put(h.ctx, blob.Condition{})
	if !errors.Is(err, blob.ErrExists) {
		l.version = a.Version
		return false, err
	}
	first, by, err := readLease(h.ctx, l.bucket, l.key)
	if errors.Is(err, blob.ErrNotExist) || errors.Is(err, blob.ErrChanged) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if gone, err := l.observe(h, first, &by); gone || err != nil {
		return gone, err
	}
	a, err = l.put(h.ctx, blob.Condition{Version: first.Version})
	if errors.Is(err, blob.ErrExists) || errors.Is(err, blob.ErrNotExist) {
		return false, &LockedError{l.url, "another run"} // was faster
	}
	l.version = a.Version
	return false, err
}

// observe waits until the lease has not changed for LeaseTime, unless its holder is known to be silent.
func (l *Lease) observe(h *Holder, first blob.Attrs, by *leaseContent) (gone bool, err error) {
	if h.knowsSilent(by) {
		return false, nil
	}
	if h.say != nil {
		h.say(fmt.Sprintf("%s holds %s; waiting %v to see whether it goes on", by, l.url, LeaseTime))
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for began := time.Now(); time.Since(began) < LeaseTime; {
		select {
		case <-ticker.C:
		case <-h.ctx.Done():
			return false, context.Cause(h.ctx)
		}
		a, err := l.bucket.Stat(h.ctx, l.key)
		if errors.Is(err, blob.ErrNotExist) {
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if a.Version != first.Version {
			return false, &LockedError{l.url, by.String()}
		}
	}
	h.noteSilent(by)
	return false, nil
}

func (h *Holder) knowsSilent(by *leaseContent) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return by.Owner != "" && h.silent[by.Owner]
}

func (h *Holder) noteSilent(by *leaseContent) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent[by.Owner] = true
}

// Observe watches several leases of a bucket at once, for [LeaseTime]. It returns those whose holders are alive, or have
// ended meanwhile. The others are then taken over without another wait.
func (h *Holder) Observe(b blob.Bucket, keys []string) (alive []string, err error) {
	type lease struct {
		version string
		by      leaseContent
	}
	leases := map[string]lease{}
	for _, key := range keys {
		a, by, err := readLease(h.ctx, b, key)
		if err == nil {
			leases[key] = lease{a.Version, by}
		} else if !errors.Is(err, blob.ErrNotExist) && !errors.Is(err, blob.ErrChanged) {
			return nil, err
		}
	}
	if len(leases) == 0 {
		return nil, nil
	}
	timer := time.NewTimer(LeaseTime)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-h.ctx.Done():
		return nil, context.Cause(h.ctx)
	}
	for _, key := range keys {
		l, ok := leases[key]
		if !ok {
			continue
		}
		a, err := b.Stat(h.ctx, key)
		switch {
		case err != nil && !errors.Is(err, blob.ErrNotExist):
			return nil, err
		case err == nil && a.Version == l.version:
			h.noteSilent(&l.by)
		default:
			alive = append(alive, key)
		}
	}
	return alive, nil
}

func (l *Lease) put(ctx context.Context, c blob.Condition) (blob.Attrs, error) {
	l.content.Renewals++ // so that no two versions have the same bytes
	data, err := json.Marshal(l.content)
	if err != nil {
		return blob.Attrs{}, err
	}
	return l.bucket.Put(ctx, l.key, append(data, '\n'), c)
}

// readLease reads who holds a lease. An object that is not a lease is one of an unknown holder.
func readLease(ctx context.Context, b blob.Bucket, key string) (a blob.Attrs, c leaseContent, err error) {
	if a, err = b.Stat(ctx, key); err != nil || a.Size > maxLeaseBytes {
		return a, c, err
	}
	data := make([]byte, a.Size)
	if _, err = b.ReadRange(ctx, a, 0, data); err == nil {
		_ = json.Unmarshal(data, &c)
	}
	return a, c, err
}

// keep renews the lease until ctx ends.
func (l *Lease) keep(ctx context.Context) {
	ticker := time.NewTicker(renewEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		// An error that is not the loss is that of a store which cannot be reached: nobody can take the lease over
		// meanwhile, and the next renewal tells.
		if errors.Is(l.renew(ctx), ErrLost) {
			return
		}
	}
}

// renew writes the object again.
func (l *Lease) renew(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.Held(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, renewTimeout)
	defer cancel()
	for again := range 2 {
		a, err := l.put(ctx, blob.Condition{Version: l.version})
		if err == nil {
			l.version = a.Version
			return nil
		}
		if !errors.Is(err, blob.ErrExists) && !errors.Is(err, blob.ErrNotExist) {
			return err
		}
		// A renewal whose answer was lost may have made another version.
		a, by, err := readLease(ctx, l.bucket, l.key)
		if err != nil && !errors.Is(err, blob.ErrNotExist) {
			return err
		}
		if err != nil || by.Owner != l.content.Owner || again > 0 {
			break
		}
		l.version = a.Version
	}
	l.lostMu.Lock()
	l.lost = ErrLost
	l.lostMu.Unlock()
	return ErrLost
}

// Held returns [ErrLost] if a renewal has found that another run has taken the lease over. It asks nobody.
func (l *Lease) Held() error {
	l.lostMu.Lock()
	defer l.lostMu.Unlock()
	return l.lost
}

// Confirm renews the lease: when it returns nil, nobody else takes it over within [LeaseTime].
func (l *Lease) Confirm() error { return l.renew(l.ctx) }

// Close gives the lease back. One that is lost belongs to another run, and stays.
func (l *Lease) Close() error {
	defer l.stopRequests()
	l.stopBeat()
	ctx, cancel := context.WithTimeout(l.ctx, closeTimeout)
	defer cancel()
	err := l.renew(ctx) // nobody else has it for as long as the next request may take
	if errors.Is(err, ErrLost) {
		return nil
	}
	if err == nil {
		ctx, cancel := context.WithTimeout(l.ctx, closeTimeout)
		defer cancel()
		err = l.bucket.Delete(ctx, l.key)
	}
	return err
}
