package amplitude

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// answer5 is an answer of about 300 bytes about 5 flags.
const answer5 = `{"flag-1":{"key":"on","value":"on","expKey":"exp-1"},"flag-2":{"key":"treatment","payload":{"a":1,"b":[1,2]},` +
	`"expKey":"exp-2"},"flag-3":{"key":"control","value":"control"},"flag-4":{"key":"off","metadata":{"default":true}},` +
	`"flag-5":{"key":"variant-b","expKey":"exp-9"}}`

var flags5 = []string{"flag-1", "flag-2", "flag-3", "flag-4", "flag-5"}

func benchUser() *pipeline.User {
	return &pipeline.User{UserID: "user-0123456", Context: []pipeline.Member{
		{Name: "country", Value: pipeline.StringValue("DE")},
		{Name: "platform", Value: pipeline.StringValue("iOS")},
		{Name: "user_properties", Value: pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{
			{Name: "age", Value: pipeline.IntValue(31)},
			{Name: "plan", Value: pipeline.StringValue("pro")},
		}}},
	}}
}

func BenchmarkQuery(b *testing.B) {
	u, flags := benchUser(), appendFlags(nil, "flag_keys", flags5)
	var dst, scratch []byte
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst, scratch = appendQuery(dst[:0], scratch, u, flags)
		}
	})
	b.Run("url.Values", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			q := url.Values{}
			q.Set("user_id", u.UserID)
			q.Set("flag_keys", strings.Join(flags5, ","))
			q.Set("context", string(pipeline.AppendObject(nil, u.Context)))
			_ = q.Encode()
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	b.Run("parser", func(b *testing.B) {
		b.ReportAllocs()
		var p parser
		body := []byte(answer5)
		for b.Loop() {
			if _, err := p.parseVariants(body, answer5, 5); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var v map[string]jsonVariant
			if err := json.Unmarshal([]byte(answer5), &v); err != nil {
				b.Fatal(err)
			}
		}
	})
}

type jsonVariant struct {
	Key     string          `json:"key"`
	Payload json.RawMessage `json:"payload"`
	ExpKey  string          `json:"expKey"`
}

func answerer() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(answer5)))
		_, _ = io.WriteString(w, answer5)
	})
}

// runInFlight calls f b.N times from 64 goroutines.
func runInFlight(b *testing.B, f func() error) {
	b.ReportAllocs()
	runtime.GC()
	var wg sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	b.ResetTimer()
	before := cpuTime()
	for range 64 {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				if err := f(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkEvaluate and BenchmarkBareLoop share one server in the same process, so its cost is in both. Set
// ROLLCALL_BENCH_SERVER to the base URL of a server in another process to see the client's alone.
func BenchmarkEvaluate(b *testing.B) {
	c, err := New(Config{BaseURL: benchServer(b), FlagKeys: flags5, Concurrency: 64})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	u := benchUser()
	runInFlight(b, func() error {
		_, err := c.Evaluate(ctx, u)
		return err
	})
}

func BenchmarkBareLoop(b *testing.B) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	base, u := benchServer(b), benchUser()
	runInFlight(b, func() error {
		q := url.Values{}
		q.Set("user_id", u.UserID)
		q.Set("flag_keys", strings.Join(flags5, ","))
		q.Set("context", string(pipeline.AppendObject(nil, u.Context)))
		req, err := http.NewRequest(http.MethodGet, base+"/v1/vardata?"+q.Encode(), nil)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Api-Key x")
		req.Header.Set("X-Amp-Exp-Track", "no-track")
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		var v map[string]jsonVariant
		return json.Unmarshal(body, &v)
	})
}

func benchServer(b *testing.B) string {
	if url := os.Getenv("ROLLCALL_BENCH_SERVER"); url != "" {
		return url
	}
	server := httptest.NewServer(answerer())
	b.Cleanup(server.Close)
	return server.URL
}
