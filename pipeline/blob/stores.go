package blob

import (
	"context"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Store is a kind of store: how to open its buckets.
type Store struct {
	Open func(ctx context.Context, bucket string) (Bucket, error)
	// Login is what a person does about missing credentials: where they are looked for.
	Login string
}

// Stores opens what URLs name. Its methods are safe for concurrent use. A nil *Stores knows no URL.
type Stores struct {
	byScheme map[string]Store

	mu      sync.Mutex
	buckets map[string]Bucket
}

// NewStores returns the stores by their schemes: "s3" for s3://bucket/key.
func NewStores(byScheme map[string]Store) *Stores {
	return &Stores{byScheme: byScheme, buckets: map[string]Bucket{}}
}

var urlPattern = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^([a-z][a-z0-9]*)://([^/]*)/?(.*)$`)
})

// Knows reports whether a path is a URL of one of the stores.
func (s *Stores) Knows(path string) bool {
	_, _, _, ok := s.split(path)
	return ok
}

func (s *Stores) split(url string) (scheme, bucket, key string, ok bool) {
	m := urlPattern().FindStringSubmatch(url)
	if s == nil || m == nil {
		return "", "", "", false
	}
	_, ok = s.byScheme[m[1]]
	return m[1], m[2], m[3], ok
}

// Bucket returns the bucket of a URL, with retries, and the key in it.
func (s *Stores) Bucket(ctx context.Context, url string) (Bucket, string, error) {
	scheme, name, key, ok := s.split(url)
	if !ok {
		return nil, "", fmt.Errorf("%s is not a URL of a store", url)
	}
	if name == "" {
		return nil, "", pipeline.WithHint(fmt.Errorf("%s names no bucket", url), "write "+scheme+"://BUCKET/KEY")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	root := scheme + "://" + name
	if b, ok := s.buckets[root]; ok {
		return b, key, nil
	}
	store := s.byScheme[scheme]
	b, err := store.Open(ctx, name)
	if err != nil {
		return nil, "", WithHint(fmt.Errorf("open %s: %w", root, err), store.Login)
	}
	b = WithRetries(b, store.Login)
	s.buckets[root] = b
	return b, key, nil
}

// Open opens the current version of an object. ctx ends its reads.
func (s *Stores) Open(ctx context.Context, url string) (*Object, error) {
	b, key, err := s.Bucket(ctx, url)
	if err != nil {
		return nil, err
	}
	if key == "" || strings.HasSuffix(key, "/") {
		return nil, pipeline.WithHint(fmt.Errorf("%s is a directory, not an object", url),
			"name its objects, for example with a glob: "+strings.TrimSuffix(url, "/")+"/*.parquet")
	}
	a, err := b.Stat(ctx, key)
	if err != nil {
		return nil, err
	}
	return NewObject(ctx, b, a, url), nil
}

// maxListed bounds the keys that a pattern is compared with.
const maxListed = 1_000_000

// Glob returns the objects whose URLs a pattern matches, sorted. * and ? match any characters but a slash, [a-z] one of a set;
// ** as an element of the path matches any number of directories. Keys with an element that begins with _ or . match
// only where the pattern has that element.
func (s *Stores) Glob(ctx context.Context, pattern string) ([]*Object, error) {
	b, key, err := s.Bucket(ctx, pattern)
	if err != nil {
		return nil, err
	}
	root := strings.TrimSuffix(pattern, key)
	elements := slices.CompactFunc(strings.Split(key, "/"), func(a, b string) bool { return a == "**" && b == a })
	if elements[len(elements)-1] == "**" {
		elements = append(elements, "*")
	}
	for _, e := range elements {
		if _, err := path.Match(e, ""); err != nil {
			return nil, fmt.Errorf("%s: %w", pattern, err)
		}
	}
	literal := key[:strings.IndexAny(key+"*", `*?[\`)]
	dir := key[:strings.LastIndex(literal, "/")+1]
	flat := !strings.Contains(key[len(dir):], "/") && !slices.Contains(elements, "**")
	return s.list(ctx, b, root, literal, flat, func(key string) bool {
		return matchElements(elements, strings.Split(key, "/"))
	})
}

// List returns the objects below a directory that keep accepts, sorted; with flat, only those that are directly in it.
// keep gets the path below it.
func (s *Stores) List(ctx context.Context, dir string, flat bool, keep func(below string) bool) ([]*Object, error) {
	b, prefix, err := s.Bucket(ctx, dir)
	if err != nil {
		return nil, err
	}
	root := strings.TrimSuffix(dir, prefix)
	if !strings.HasSuffix(root, "/") {
		root += "/"
	}
	if prefix != "" && !strings.HasSuffix(prefix, "/") {
		prefix += "/"
	}
	return s.list(ctx, b, root, prefix, flat, func(key string) bool { return keep(key[len(prefix):]) })
}

// Any reports whether a directory has an object directly in it whose name ends in suffix.
func (s *Stores) Any(ctx context.Context, dir, suffix string) (bool, error) {
	b, prefix, err := s.Bucket(ctx, strings.TrimSuffix(dir, "/")+"/")
	if err != nil {
		return false, err
	}
	for a, err := range List(ctx, b, prefix, true) {
		if err != nil || strings.HasSuffix(a.Key, suffix) {
			return err == nil, err
		}
	}
	return false, nil
}

func (s *Stores) list(ctx context.Context, b Bucket, root, prefix string, flat bool,
	keep func(key string) bool) (objects []*Object, err error) {
	listed := 0
	for a, err := range List(ctx, b, prefix, flat) {
		if err != nil {
			return nil, err
		}
		if listed++; listed > maxListed {
			return nil, pipeline.WithHint(fmt.Errorf("more than %d objects are below %s%s", maxListed, root, prefix),
				"name a longer prefix before the first *")
		}
		if !strings.HasSuffix(a.Key, "/") && keep(a.Key) { // that is the mark of an empty directory
			objects = append(objects, NewObject(ctx, b, a, root+a.Key))
		}
	}
	slices.SortFunc(objects, func(a, b *Object) int { return strings.Compare(a.url, b.url) })
	return objects, nil
}

// matchElements reports whether the elements of a path match those of a pattern.
func matchElements(pattern, name []string) bool {
	for len(pattern) > 0 && pattern[0] != "**" {
		if len(name) == 0 {
			return false
		}
		hidden := strings.HasPrefix(name[0], "_") || strings.HasPrefix(name[0], ".")
		if ok, _ := path.Match(pattern[0], name[0]); !ok || hidden && strings.IndexAny(pattern[0], `*?[`) == 0 {
			return false
		}
		pattern, name = pattern[1:], name[1:]
	}
	if len(pattern) == 0 {
		return len(name) == 0
	}
	for { // what ** stands for
		if matchElements(pattern[1:], name) {
			return true
		}
		if len(name) < 2 || strings.HasPrefix(name[0], "_") || strings.HasPrefix(name[0], ".") {
			return false
		}
		name = name[1:]
	}
}
