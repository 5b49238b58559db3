package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
)

// expectationText is an expectation as the table below has it: "control 0.5 treatment 0.5, assigned 0.3".
func expectationText(e report.Expectation) string {
	var parts []string
	for _, w := range e.Variants {
		parts = append(parts, fmt.Sprintf("%s %.4g", w.Variant, w.Share))
	}
	if e.Assigned != nil {
		parts[len(parts)-1] += fmt.Sprintf(", assigned %.4g", *e.Assigned)
	}
	return strings.Join(parts, " ")
}

func TestParseExpect(t *testing.T) {
	for text, want := range map[string]string{
		"f=control:50,treatment:50":       "control 0.5 treatment 0.5",
		"f=a:1,b:3":                       "a 0.25 b 0.75",
		"f=a:40,b:40,not_assigned:20":     "a 0.5 b 0.5, assigned 0.8",
		"f=a:b:1,c:1":                     "a:b 0.5 c 0.5",
		"f=a:1":                           "a 1",
		"f":                               "it is not FLAG=VARIANT:WEIGHT,…",
		"=a:1":                            "it is not FLAG=VARIANT:WEIGHT,…",
		"f=":                              "it is not FLAG=VARIANT:WEIGHT,…",
		" f = control : 50, treatment:50": "control 0.5 treatment 0.5",
		`f="a, b":50,c:50`:                "a, b 0.5 c 0.5",
		"f=a:1,,b:1":                      `item 2 of "a:1,,b:1" is empty`,
		"f=a":                             `"a" is not VARIANT:WEIGHT`,
		"f=a:x":                           `"x" is not a valid weight`,
		"f=a:-1":                          `"-1" is not a valid weight`,
		"f=a:NaN":                         `"NaN" is not a valid weight`,
		"f=a:0":                           "the weights add up to nothing",
		"f=a:1,a:2":                       `variant "a" is duplicated`,
		"f=not_assigned:1":                "the weights add up to nothing",
		"f=a:50,b:50,not_assigned:0":      "a 0.5 b 0.5, assigned 1",
		"f=a:9999999999999,b:1":           `"9999999999999" is not a valid weight`,
	} {
		t.Run(text, func(t *testing.T) {
			e, err := parseExpect(text)
			got := ""
			if err != nil {
				if got = err.Error(); !strings.HasPrefix(got, fmt.Sprintf("--expect %q: ", text)) || exitCode(err) != exitUsage {
					t.Errorf("%s: error %v, want a usage error that names it", text, err)
				}
				got = strings.TrimPrefix(got, fmt.Sprintf("--expect %q: ", text))
			} else {
				got = expectationText(e)
			}
			if got != want {
				t.Errorf("%s: %s, want %s", text, got, want)
			}
		})
	}
}

// FuzzParseExpect: what is taken can be tested against.
func FuzzParseExpect(f *testing.F) {
	f.Add("checkout=control:50,treatment:50")
	f.Add("f=a:1e-300,not_assigned:1e12")
	f.Fuzz(func(t *testing.T, text string) {
		e, err := parseExpect(text)
		if err != nil {
			return
		}
		if e.Flag == "" || len(e.Variants) == 0 || e.Assigned != nil && !(*e.Assigned >= 0 && *e.Assigned <= 1) {
			t.Errorf("parseExpect(%q) = %+v", text, e)
		}
	})
}

// TestReportHelp fits a screen.
func TestReportHelp(t *testing.T) {
	var out bytes.Buffer
	code := run([]string{"report", "--help"}, &env{Stdout: &out, Stderr: io.Discard,
		LookupEnv: func(string) (string, bool) { return "", false },
		Soft:      t.Context(), Hard: t.Context()})
	lines := strings.Split(out.String(), "\n")
	if code != 0 || len(lines) > 60 || slices.ContainsFunc(lines, func(l string) bool { return len([]rune(l)) > 80 }) {
		t.Errorf("exit code %d and a help of %d lines, want 0 and at most 60 of 80 columns:\n%s", code, len(lines),
			out.String())
	}
}
