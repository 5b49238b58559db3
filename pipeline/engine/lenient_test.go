package engine_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

func TestParseLenient(t *testing.T) {
	const segment = `{"variant":"on"}`
	matching := func(op, pattern string) string {
		return fmt.Sprintf(`{"variant":"on","conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["(?=x)"]}],
			[{"selector":["context","user","user_id"],"op":%q,"values":["^u",%q]}]]}`, op, pattern)
	}
	reading := func(flag string) string {
		return fmt.Sprintf(`{"variant":"on","conditions":[[{"selector":["result",%q,"key"],"op":"is not","values":["x"]}]]}`,
			flag)
	}
	flag := func(key, dependencies, segments string) string {
		return fmt.Sprintf(`{"key":%q,"dependencies":[%s],"variants":{"on":{"key":"on"}},"segments":[%s]}`, key, dependencies,
			segments)
	}
	configs := `[` +
		flag("transitive", `"declares"`, segment) + `,` +
		flag("plain", ``, segment) + `,` +
		flag("ahead", ``, segment+`,`+matching("regex does not match", `(?=x)y`)) + `,` +
		flag("declares", `"plain","ahead"`, segment) + `,` +
		flag("again", ``, matching("regex match", `(.)\1`)) + `,` +
		flag("reads", ``, reading("again")) + `,` +
		flag("buckets", ``, `{"variant":"on","bucket":{"selector":["result","again"],"salt":"s","allocations":[]}}`) + `,` +
		flag("invalid", ``, matching("regex match", `(`)) + `,` +
		flag("fine", `"plain"`, matching("regex match", `r$`)+`,`+reading("plain")) + `]`

	if _, err := engine.Parse([]byte(configs), engine.Node); err == nil {
		t.Error("Parse: no error")
	} else if e, ok := errors.AsType[*engine.RegexError](err); !ok || e.Pattern != `(?=x)y` {
		t.Errorf("Parse: %v, want a RegexError of (?=x)y", err)
	}
	e, err := engine.ParseLenient([]byte(configs), engine.Node)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, err := range e.Unanswered() {
		got = append(got, err.Error())
	}
	want := []string{
		`flag "transitive": dependencies[0]: depends on flag "declares", which this engine cannot answer`,
		`flag "ahead": segments[1].conditions[1][0]: regular expression "(?=x)y": lookahead is not supported`,
		`flag "declares": dependencies[1]: depends on flag "ahead", which this engine cannot answer`,
		`flag "again": segments[0].conditions[1][0]: regular expression "(.)\\1": a backreference is not supported`,
		`flag "reads": segments[0].conditions[0][0]: depends on flag "again", which this engine cannot answer`,
		`flag "buckets": segments[0].bucket: depends on flag "again", which this engine cannot answer`,
		`flag "invalid": segments[0].conditions[1][0]: regular expression "(": missing closing ): ` + "`(?:`",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Unanswered (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"fine=on", "plain=on"},
		variantKeys(e.Evaluate(&pipeline.User{UserID: "u"}, nil))); diff != "" {
		t.Errorf("variants (-want +got):\n%s", diff)
	}
	if len(e.Flags()) != 9 || e.Flags()[2].Variants[0] != "on" {
		t.Errorf("Flags() = %+v, want all nine, with their variants", e.Flags())
	}
	if again, err := engine.ParseLenient(e.Configs(nil), engine.Node); err != nil || len(again.Unanswered()) != len(want) {
		t.Errorf("what Configs gives back has %d unanswered flags, want %d: %v", len(again.Unanswered()), len(want), err)
	}
}

// What has nothing to do with regular expressions is an error still.
func TestParseLenientErrors(t *testing.T) {
	for _, configs := range []string{
		`{}`,
		`[{"key":"f","segments":[]}]`,
		`[{"key":"f","variants":{},"segments":[],"dependencies":["g"]},{"key":"g","variants":{},"segments":[],"dependencies":["f"]}]`,
	} {
		t.Run(configs, func(t *testing.T) {
			if _, err := engine.ParseLenient([]byte(configs), engine.Node); err == nil {
				t.Errorf("ParseLenient(%s): no error", configs)
			}
		})
	}
	e, err := engine.ParseLenient([]byte(dependent), engine.Node)
	if err != nil || len(e.Unanswered()) != 0 {
		t.Errorf("Unanswered() of flags without regular expressions: %v, %v", e.Unanswered(), err)
	}
}
