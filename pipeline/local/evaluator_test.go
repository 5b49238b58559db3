package local_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
)

const flags = `[{"key":"b","variants":{"on":{"key":"on"}},"segments":[{"variant":"on"}]},
 {"key":"a","variants":{"on":{"key":"on","payload":1}},"segments":[{"variant":"on"}]},
 {"key":"group","variants":{"slot":{"key":"slot"}},"segments":[{"variant":"slot"}],"metadata":{"flagType":"mutual-exclusion-group"}}]`

func TestEvaluator(t *testing.T) {
	eng, err := engine.Parse([]byte(flags), engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name        string
		flags, skip []string
		want        []string
		answerable  []string
	}{
		{"all flags", nil, nil, []string{"a", "b"}, []string{"a", "b"}},
		{"in the order asked for", []string{"b", "a"}, nil, []string{"b", "a"}, []string{"a", "b"}},
		{"one is left unanswered", nil, []string{"a"}, []string{"b"}, []string{"b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e, err := local.New(local.Config{Engine: eng, Flags: tt.flags, Now: func() time.Time { return now }})
			if err != nil {
				t.Fatal(err)
			}
			e.Skip(tt.skip)
			answer, err := e.Evaluate(t.Context(), &pipeline.User{UserID: "u"})
			if err != nil || !answer.At.Equal(now) || answer.Attempts != 0 {
				t.Fatalf("Evaluate = %+v, %v", answer, err)
			}
			var got []string
			for _, v := range answer.Variants {
				got = append(got, v.FlagKey)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(tt.want))
			if !slices.Equal(got, want) {
				t.Errorf("Evaluate answers %v, want %v", got, want)
			}
			if got := e.Answerable(); !slices.Equal(got, tt.answerable) {
				t.Errorf("Answerable = %v, want %v", got, tt.answerable)
			}
			_, err = e.Evaluate(t.Context(), &pipeline.User{})
			if failed, ok := errors.AsType[*pipeline.UserError](err); !ok || failed.Kind != pipeline.KindMissingID {
				t.Errorf("Evaluate without an id: %v, want a UserError of %s", err, pipeline.KindMissingID)
			}
		})
	}
}
