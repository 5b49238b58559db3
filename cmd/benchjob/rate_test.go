//go:build unix

package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// every returns n requests that came so many milliseconds apart.
func every(ms int64, n int) []arrival {
	var all []arrival
	for i := range n {
		all = append(all, arrival{At: int64(i) * ms * 1000})
	}
	return all
}

func TestWireRate(t *testing.T) {
	late := every(10, 101) // the first one goes alone
	for i := range late[1:] {
		late[i+1].At += 5e6
	}
	for _, tt := range []struct {
		name string
		came []arrival
		rate float64
		most int
	}{
		{"none", nil, 0, 0},
		{"two", every(10, 2), 0, 2},
		{"steady", every(10, 301), 100, 100},
		{"after a wait", late, 100, 100},
		{"a burst", []arrival{{At: 0}, {At: 999_000}, {At: 1_000_000}, {At: 1_000_001}, {At: 1_998_999}, {At: 1_999_000}},
			4 / 1.0, 4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := wireRate(tt.came); got != tt.rate {
				t.Errorf("wireRate: %v, want %v", got, tt.rate)
			}
			if got := mostInASecond(tt.came); got != tt.most {
				t.Errorf("mostInASecond: %d, want %d", got, tt.most)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	came := every(100, 101) // 10/s for 10 s
	for _, i := range []int{10, 11, 15, 30, 90} {
		came[i].Refused = true
	}
	if got := countRefusals(came); got != 3 {
		t.Errorf("countRefusals: %d, want 3: at 1.0 to 1.5 s, 3 s, and 9 s", got)
	}
	if perSecond, refused := takenAfter(came, 8*time.Second); perSecond != 10 || refused != 1.0/21 {
		t.Errorf("takenAfter 8 s: %v/s, %v refused; want 20 in 2 s, and 1 of 21 refused", perSecond, refused)
	}
	if perSecond, refused := takenAfter(came, time.Minute); perSecond != 0 || refused != 0 {
		t.Errorf("takenAfter the last: %v/s, %v refused; want 0", perSecond, refused)
	}
}

func TestCountPauseLines(t *testing.T) {
	const log = `{"level":"INFO","msg":"reading"}
{"level":"WARN","msg":"the API asks for a pause","status":429}
not JSON, of a pause
{"level":"INFO","msg":"the pause is over"}
{"level":"INFO","msg":"the rate is 50/s"}
`
	if got := countPauseLines([]byte(log)); got != 3 {
		t.Errorf("countPauseLines: %d, want 3", got)
	}
}

// The server does what its options say.
func TestAnswering(t *testing.T) {
	get := func(t *testing.T, h http.Handler, path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	const ask = "/v1/vardata?user_id=u"
	t.Run("bytes", func(t *testing.T) {
		for _, size := range []int{5_000, 1_000_000} {
			h, bodies := newHandler(answering{bytes: size}), map[string]bool{}
			for range 2 {
				w := get(t, h, ask)
				var got map[string]bareVariant
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got) != 5 {
					t.Fatalf("an answer of %d bytes: %d flags, %v; want 5", size, len(got), err)
				}
				if n := w.Body.Len(); n < size*95/100 || n > size*105/100 {
					t.Errorf("an answer has %d bytes, want about %d", n, size)
				}
				bodies[w.Body.String()] = true
			}
			if len(bodies) != 2 {
				t.Errorf("two users have the same answer of %d bytes", size)
			}
		}
	})
	t.Run("limit", func(t *testing.T) {
		h, refused := newHandler(answering{limit: 1e-6, record: true}), 0
		for range 3 {
			if w := get(t, h, ask); w.Code == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "1" {
				refused++
			}
		}
		var came cameIn
		if err := json.Unmarshal(get(t, h, "/arrivals").Body.Bytes(), &came); err != nil {
			t.Fatal(err)
		}
		if refused != 2 || len(came.Arrivals) != 3 || came.Arrivals[0].Refused || !came.Arrivals[2].Refused {
			t.Errorf("a server that takes one: %d of 3 refused, arrivals %+v; want 2", refused, came)
		}
	})
}

func TestManyFlags(t *testing.T) {
	t.Chdir("../..")
	path := filepath.Join(t.TempDir(), "flags.json")
	if err := writeManyFlags(path, 100); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	e, err := engine.Parse(text, engine.Hosted)
	if err != nil || len(e.Flags()) != 100 {
		t.Fatalf("%d flags, %v; want 100", len(e.Flags()), err)
	}
	for _, f := range e.Flags() {
		if len(f.Dependencies) > 0 {
			t.Errorf("%s depends on %v, which would be evaluated, too", f.Key, f.Dependencies)
		}
	}
}
