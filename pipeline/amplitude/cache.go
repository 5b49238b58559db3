package amplitude

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// readCache returns what an answer's header says of the caches on its way. X-Cache has a word for each cache, perhaps
// with its name ("Hit from cloudfront", "MISS, HIT"), CF-Cache-Status one. If any of them had the answer, a cache
// answered, also one that asked the API whether the answer still holds. An Age above 0 comes from a cache alone.
func readCache(h http.Header) (c pipeline.Cache) {
	if n, err := strconv.ParseInt(strings.TrimSpace(h.Get("Age")), 10, 32); err == nil && n >= 0 {
		c.Aged, c.Age = true, n
	}
	for _, name := range []string{"X-Cache", "Cf-Cache-Status"} {
		for _, value := range h[name] {
			for part := range strings.SplitSeq(value, ",") {
				word, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), " ")
				state := cacheWords[strings.ReplaceAll(strings.TrimPrefix(word, "tcp_"), "_", "")] // TCP_MEM_HIT
				if state == pipeline.CacheHit || c.State == "" {
					c.State = state
				}
			}
		}
	}
	if c.State == "" && c.Age > 0 {
		c.State = pipeline.CacheHit
	}
	return c
}

// cacheWords are the words of CDNs. Others say nothing.
var cacheWords = map[string]string{
	"hit": pipeline.CacheHit, "refreshhit": pipeline.CacheHit, "stale": pipeline.CacheHit, "updating": pipeline.CacheHit,
	"revalidated": pipeline.CacheHit, "memhit": pipeline.CacheHit,
	"miss": pipeline.CacheMiss, "expired": pipeline.CacheMiss, "bypass": pipeline.CacheMiss, "dynamic": pipeline.CacheMiss,
	"pass": pipeline.CacheMiss, "refreshmiss": pipeline.CacheMiss,
}
