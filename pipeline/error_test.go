package pipeline_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

func TestHint(t *testing.T) {
	cause := errors.New("open users.csv: no such file")
	err := fmt.Errorf("snapshot: %w", pipeline.WithHint(cause, "check the path"))
	if got, want := err.Error(), "snapshot: open users.csv: no such file"; got != want {
		t.Errorf("text = %q, want %q: a hint does not change it", got, want)
	}
	if got, want := pipeline.Hint(err), "check the path"; got != want {
		t.Errorf("hint = %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Errorf("%v does not wrap %v", err, cause)
	}
	if got := pipeline.Hint(cause); got != "" {
		t.Errorf("hint of a plain error = %q, want none", got)
	}
	if err := pipeline.WithHint(nil, "x"); err != nil {
		t.Errorf("WithHint(nil) = %v, want nil", err)
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"user_id", "device_id", "country", "user_properties.plan"}
	for name, want := range map[string]string{
		"userid": `did you mean "user_id"?`, "User_ID": `did you mean "user_id"?`, "contry": `did you mean "country"?`,
		"user_properties.plann": `did you mean "user_properties.plan"?`, "zzz": "", "": "",
		"USER_ID": `did you mean "user_id"?`, strings.Repeat("x", 300): "",
	} {
		t.Run(name, func(t *testing.T) {
			if got := pipeline.Suggest(name, known); got != want {
				t.Errorf("Suggest(%q) = %q, want %q", name, got, want)
			}
		})
	}
}
