package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/evalserver"
)

// TestUnaskedFlags: flags that the asked ones depend on come with the answers of some servers, and are no sign of the
// wrong --flag-param. Only a server that answers far more than was asked for is suspected.
func TestUnaskedFlags(t *testing.T) {
	many := `{"f":{"key":"a"}`
	for i := range 20 {
		many += fmt.Sprintf(`,"flag-%02d":{"key":"on"}`, i)
	}
	many += "}"
	const (
		few    = `{"f":{"key":"a"},"mutex":{"key":"slot-1"},"holdout":{"key":"on"}}`
		needed = `[{"key":"f","dependencies":["mutex"]},{"key":"mutex","dependencies":["holdout"]},{"key":"holdout"},
			{"key":"g"},{"key":"other"}]`
		dropped = "4 assignments of flags that were not asked for were dropped"
	)
	for _, tt := range []struct {
		name, answer string
		configs      string // that the server gives; "": none
		unasked      int64
		says         string
		blamed       bool // --flag-param is
	}{
		{"none", `{"f":{"key":"a"}}`, "", 0, "2 users: 2 answered", false},
		{"a few, unknown", few, "", 4, "rollcall: " + dropped + "; the asked flags may depend on holdout, mutex (if not, ",
			false},
		{"far more than asked for, unknown", many, "", 40, "dropped: flag-00, flag-01, ", true},
		{"needed", few, needed, 4, "rollcall: " + dropped + "; the asked flags depend on holdout, mutex\n", false},
		{"not needed", few, strings.Replace(needed, `"holdout"]`, `]`, 1), 4, "warning: " + dropped + ": holdout\n", true},
		{"an asked flag has no configuration", few, `[{"key":"f"}]`, 4, "may depend on holdout, mutex", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &faultyAPI{Answer: func(string) *evalserver.Fault { return answering(200, "application/json", tt.answer) }}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case !strings.HasSuffix(r.URL.Path, "/flags"):
					api.ServeHTTP(w, r)
				case tt.configs == "":
					http.NotFound(w, r)
				default:
					_, _ = io.WriteString(w, tt.configs)
				}
			}))
			defer server.Close()
			r := networkRun{Server: server.URL, Users: []string{"u", "v"}}.do(t)
			r.wantCode(t, exitOK)
			if r.manifest.Unasked != tt.unasked {
				t.Errorf("%d assignments were not asked for, want %d", r.manifest.Unasked, tt.unasked)
			}
			if !strings.Contains(r.stderr, tt.says) {
				t.Errorf("standard error has\n%s\nwant %q", r.stderr, tt.says)
			}
			blamed := strings.Contains(r.stderr, "may not know --flag-param flag_keys: try --flag-param flag_key\n")
			if blamed != tt.blamed {
				t.Errorf("--flag-param is blamed: %v, want %v:\n%s", blamed, tt.blamed, r.stderr)
			}
		})
	}
}
