package amplitude

import (
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestReadCache(t *testing.T) {
	hit, miss := pipeline.Cache{State: "hit"}, pipeline.Cache{State: "miss"}
	for _, tt := range []struct {
		name    string
		headers []string // names and values
		want    pipeline.Cache
	}{
		{"none", nil, pipeline.Cache{}},
		{"CloudFront's hit", []string{"X-Cache", "Hit from cloudfront", "Age", "1800"},
			pipeline.Cache{State: "hit", Aged: true, Age: 1800}},
		{"CloudFront's refresh", []string{"X-Cache", "RefreshHit from cloudfront"}, hit},
		{"CloudFront's miss", []string{"X-Cache", "Miss from cloudfront"}, miss},
		{"CloudFront's error", []string{"X-Cache", "Error from cloudfront"}, pipeline.Cache{}},
		{"Fastly's hit", []string{"X-Cache", "HIT", "Age", "0"}, pipeline.Cache{State: "hit", Aged: true}},
		{"Fastly's shield had it", []string{"X-Cache", "HIT, MISS"}, hit},
		{"Fastly's edge had it", []string{"X-Cache", "MISS, HIT"}, hit},
		{"nobody at Fastly had it", []string{"X-Cache", "MISS, MISS", "Age", "0"}, pipeline.Cache{State: "miss", Aged: true}},
		{"Akamai's", []string{"X-Cache", "TCP_MEM_HIT from a1-2-3-4 (AkamaiGHost/9)"}, hit},
		{"Akamai's miss", []string{"X-Cache", "TCP_MISS from a1-2-3-4"}, miss},
		{"two lines", []string{"X-Cache", "Miss from cloudfront", "X-Cache", "HIT"}, hit},
		{"Cloudflare's hit", []string{"CF-Cache-Status", "HIT", "Age", "5"},
			pipeline.Cache{State: "hit", Aged: true, Age: 5}},
		{"Cloudflare's stale", []string{"CF-Cache-Status", "STALE"}, hit},
		{"Cloudflare's revalidated", []string{"CF-Cache-Status", "REVALIDATED"}, hit},
		{"Cloudflare's expired", []string{"CF-Cache-Status", "EXPIRED"}, miss},
		{"Cloudflare's dynamic", []string{"CF-Cache-Status", "DYNAMIC"}, miss},
		{"Cloudflare before CloudFront", []string{"CF-Cache-Status", "DYNAMIC", "X-Cache", "Hit from cloudfront"}, hit},
		{"an age alone", []string{"Age", "12"}, pipeline.Cache{State: "hit", Aged: true, Age: 12}},
		{"an age of 0 alone", []string{"Age", "0"}, pipeline.Cache{Aged: true}},
		{"an age that is none", []string{"Age", "-3"}, pipeline.Cache{}},
		{"an age that is text", []string{"Age", "old"}, pipeline.Cache{}},
		{"an age of ages", []string{"Age", "99999999999999999999"}, pipeline.Cache{}},
		{"a word that is not known", []string{"X-Cache", "CONFIG_NOCACHE"}, pipeline.Cache{}},
		{"empty", []string{"X-Cache", "", "CF-Cache-Status", " , "}, pipeline.Cache{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			for i := 0; i < len(tt.headers); i += 2 {
				h.Add(tt.headers[i], tt.headers[i+1])
			}
			if got := readCache(h); got != tt.want {
				t.Errorf("readCache(%v) = %+v, want %+v", h, got, tt.want)
			}
		})
	}
}

// TestCacheOfTheAnswer: it is that of the answer that counts, and never that of another user.
func TestCacheOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := []struct {
			status int
			cache  string
		}{{503, "HIT"}, {200, "MISS"}, {200, ""}, {200, "HIT"}}
		f := &fake{answer: func(n int, _ *http.Request) (int, http.Header, string, error) {
			h := http.Header{}
			if a := answers[n-1]; a.cache != "" {
				h.Set("X-Cache", a.cache)
			}
			return answers[n-1].status, h, "{}", nil
		}}
		c := newFake(t, Config{Cache: true}, f)
		for i, want := range []string{"miss", "", "hit"} {
			if a, err := c.Evaluate(t.Context(), &pipeline.User{UserID: "u"}); err != nil || a.Cache.State != want {
				t.Errorf("user %d: %+v, %v; want %q", i, a.Cache, err, want)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, *http.Request) (int, http.Header, string, error) {
			return 200, http.Header{"Age": {"3"}}, "{}", nil
		}}
		if a, err := newFake(t, Config{}, f).Evaluate(t.Context(), &pipeline.User{UserID: "u"}); err != nil ||
			a.Cache != (pipeline.Cache{}) {
			t.Errorf("without Config.Cache: %+v, %v", a.Cache, err)
		}
	})
}
