package main

import (
	"fmt"
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
	for _, tt := range []struct {
		name, answer string
		unasked      int64
		says, not    string
	}{
		{"none", `{"f":{"key":"a"}}`, 0, "2 users: 2 answered", "dropped"},
		{"a few", `{"f":{"key":"a"},"mutex":{"key":"slot-1"},"holdout":{"key":"on"}}`, 4,
			"4 assignments of flags that were not asked for were dropped; the asked flags may depend on holdout, mutex (if not, try ",
			"warning: 4"},
		{"far more than asked for", many, 40, "dropped: flag-00, flag-01, ", "depend"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			api := &faultyAPI{Answer: func(string) *evalserver.Fault { return answering(200, "application/json", tt.answer) }}
			r := networkRun{Server: api.start(t), Users: []string{"u", "v"}}.do(t)
			r.wantCode(t, exitOK)
			if r.manifest.Unasked != tt.unasked {
				t.Errorf("%d assignments were not asked for, want %d", r.manifest.Unasked, tt.unasked)
			}
			if !strings.Contains(r.stderr, tt.says) || strings.Contains(r.stderr, tt.not) {
				t.Errorf("standard error has\n%s\nwant %q, and nothing of %q", r.stderr, tt.says, tt.not)
			}
			blamed := strings.Contains(r.stderr, "may not know --flag-param flag_keys: try flag_key")
			if want := tt.unasked == 40; blamed != want {
				t.Errorf("--flag-param is blamed: %v, want %v:\n%s", blamed, want, r.stderr)
			}
		})
	}
}
