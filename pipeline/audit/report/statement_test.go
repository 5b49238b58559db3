package report

import (
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// TestSentences: each word of each sentence is known.
func TestSentences(t *testing.T) {
	for code := range sentences {
		t.Run(string(code), func(t *testing.T) {
			s := Statement{Code: code, Test: &stats.Test{}, NoSplit: &engine.NoSplit{}, Users: &Users{}}
			if got := s.String(); strings.Contains(got, "$") {
				t.Errorf("%s: %q has a word that is not known", code, got)
			}
		})
	}
}

func TestNoSplitText(t *testing.T) {
	half, third := []engine.Weight{{Variant: "a", Share: 0.5}, {Variant: "b", Share: 0.5}},
		[]engine.Weight{{Variant: "a", Share: 1. / 3}, {Variant: "b", Share: 2. / 3}}
	for _, tt := range []struct {
		name string
		why  engine.NoSplit
		want string
	}{
		{"a split", engine.NoSplit{}, ""},
		{"too fine", engine.NoSplit{Reason: engine.SplitTooFine, Segments: [2]string{"segment 1"}},
			`no split is expected: "segment 1" has more ranges than are worked out`},
		{"targeted", engine.NoSplit{Reason: engine.SplitTargeted, Segments: [2]string{"Mobile"}, Variant: "on"},
			`no one split is expected: "Mobile" gives everybody it matches on`},
		{"lets on", engine.NoSplit{Reason: engine.SplitLetsOn, Segments: [2]string{"segment 1", "segment 2"}},
			`no one split is expected: "segment 1" lets some of its users on to "segment 2"`},
		{"ids", engine.NoSplit{Reason: engine.SplitIDsDiffer}, "no one split is expected: segments bucket by different ids"},
		{"differ", engine.NoSplit{Reason: engine.SplitsDiffer, Segments: [2]string{"France", "segment 2"},
			Splits: [2][]engine.Weight{half, third}},
			`no one split is expected: "France" has a 50.0 %, b 50.0 %, "segment 2" has a 33.3 %, b 66.7 %`},
		{"clustered", engine.NoSplit{Reason: engine.SplitClustered, BucketBy: "context.groups.org.group_name"},
			"not tested: users are bucketed by context.groups.org.group_name, and those who have it in common get the same"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := noSplitText(&tt.why); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
