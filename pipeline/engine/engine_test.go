package engine_test

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

func parseConfigs(t testing.TB, configs string) *engine.Engine {
	t.Helper()
	e, err := engine.Parse([]byte(configs), engine.Node)
	if err != nil {
		t.Fatalf("Parse(%s): %v", configs, err)
	}
	return e
}

func parseUserJSON(t testing.TB, id, context string) *pipeline.User {
	t.Helper()
	v, err := pipeline.ParseJSON(context)
	if err != nil {
		t.Fatal(err)
	}
	return &pipeline.User{UserID: id, Context: v.Members}
}

// variantKeys are the variants as flag=variant.
func variantKeys(variants []*engine.Variant) []string {
	s := []string{}
	for _, v := range variants {
		s = append(s, v.FlagKey+"="+v.Key)
	}
	return s
}

// The operators in a table that can be read; vectors_test.go has them all against everything.
func TestOperators(t *testing.T) {
	for _, tt := range []struct {
		value  string // of user_properties.p; "" is absent
		op     string
		values string
		want   bool
	}{
		{`"DE"`, "is", `["FR","DE"]`, true},
		{`"de"`, "is", `["DE"]`, false},
		{`true`, "is", `["TRUE"]`, true},
		{`"yes"`, "is", `["true"]`, false},
		{`1.0`, "is", `["1"]`, true},
		{``, "is", `["(none)"]`, true},
		{`null`, "is", `["(none)"]`, true},
		{`""`, "is", `["(none)"]`, false}, // empty is not missing
		{``, "is not", `["DE"]`, true},
		{``, "is not", `["(none)"]`, false},
		{`"Straße"`, "contains", `["STRASS","RASSE","aße"]`, true},
		{`"x"`, "does not contain", `["y"]`, true},
		{`"x"`, "contains", `[""]`, true},
		{`9`, "less", `["10"]`, true}, // as numbers, not as strings
		{`"9"`, "less or equal", `["9.0"]`, true},
		{`"abc"`, "less", `["abd"]`, false}, // no numbers, no order
		{`10`, "greater", `["9","100"]`, true},
		{`10`, "greater or equal", `["11"]`, false},
		{`"1.9.0"`, "version less", `["1.10"]`, true},
		{`"1.10.0-rc.1"`, "version less", `["1.10.0"]`, true},
		{`"1.10"`, "version less or equal", `["1.10.0"]`, true},
		{`"2.0"`, "version greater", `["1.99.99"]`, true},
		{`"v2"`, "version greater or equal", `["1.0.0"]`, true}, // no version: as strings
		{`["a","b"]`, "set is", `["b","a"]`, true},
		{`["a"]`, "set is not", `["b"]`, true},
		{`"a"`, "set is not", `["b"]`, false}, // no list, no match
		{``, "set is not", `["b"]`, false},
		{`["a","b","c"]`, "set contains", `["a","c"]`, true},
		{`["a"]`, "set does not contain", `["a","c"]`, true},
		{`["a"]`, "set contains any", `["a","c"]`, true},
		{`"[\"a\"]"`, "set contains any", `["a"]`, true}, // a string that is a JSON array
		{`["a"]`, "set does not contain any", `["b"]`, true},
		{``, "set does not contain any", `["b"]`, true},
		{`["a","b"]`, "is", `["b"]`, true},     // one of them is
		{`["a","b"]`, "is not", `["b"]`, true}, // one of them is not
		{`"u@example.com"`, "regex match", `["@example\\.com$"]`, true},
		{`"u"`, "regex does not match", `["^x"]`, true},
		{``, "regex does not match", `["x"]`, false},
		{`"a"`, "is like", `["a"]`, false}, // nobody knows it
	} {
		t.Run(tt.value+" "+tt.op+" "+tt.values, func(t *testing.T) {
			context := `{}`
			if tt.value != "" {
				context = `{"user_properties":{"p":` + tt.value + `}}`
			}
			e := parseConfigs(t, `[{"key":"f","variants":{"on":{"key":"on"}},"segments":[{"variant":"on","conditions":
				[[{"selector":["context","user","user_properties","p"],"op":`+strconv.Quote(tt.op)+`,"values":`+tt.values+`}]]}]}]`)
			if got := len(e.Evaluate(parseUserJSON(t, "u", context), nil)) == 1; got != tt.want {
				t.Errorf("%s %s %s: %v, want %v", tt.value, tt.op, tt.values, got, tt.want)
			}
		})
	}
}

func TestSelectors(t *testing.T) {
	u := &pipeline.User{UserID: "u", DeviceID: "d", Context: parseUserJSON(t, "", `{
		"country":"DE",
		"group_properties":{"blank":{"":{"x":1}},"number":{"n":250},"org":{"acme":{"size":250}},"text":{"t":"T"}},
		"groups":{"number":["n"],"org":["acme","other"],"text":["t"],"plain":"name","none":[],"blank":[""]},
		"user_properties":{"deep":{"er":{"x":"y"}},"list":["first","second"]}}`).Context}
	for _, tt := range []struct{ selector, want string }{
		{"context.user.user_id", "u"},
		{"context.user.device_id", "d"},
		{"context.user.country", "DE"},
		{"context.user.city", ""},
		{"context.user.user_properties.deep.er.x", "y"},
		{"context.user.user_properties.deep.er", `{"x":"y"}`},
		{"context.user.user_properties.deep.er.x.z", ""},
		{"context.user.user_properties.list.1", "second"},
		{"context.user.user_properties.list.length", "2"},
		{"context.user.user_properties.constructor", ""},
		{"context.groups.org.group_name", "acme"},
		{"context.groups.org.group_properties.size", "250"},
		{"context.groups.plain.group_name", "name"},
		{"context.groups.none.group_name", ""},
		{"context.groups.text.group_properties", "T"}, // a text has Object.keys
		{"context.groups.number", `{"group_name":"n"}`},
		{"context.groups.blank", ""},
		{"context.user.groups", ""},
		{"user.user_id", ""},
		{"result.nope.key", ""},
	} {
		t.Run(tt.selector, func(t *testing.T) {
			selector := `["` + strings.ReplaceAll(tt.selector, ".", `","`) + `"]`
			want, op := tt.want, "is"
			if want == "" {
				want = "(none)"
			}
			e := parseConfigs(t, `[{"key":"f","variants":{"on":{"key":"on"}},"segments":[{"variant":"on","conditions":
				[[{"selector":`+selector+`,"op":"`+op+`","values":[`+strconv.Quote(want)+`]}]]}]}]`)
			if len(e.Evaluate(u, nil)) != 1 {
				t.Errorf("%s is not %q", tt.selector, want)
			}
		})
	}
}

const bucketed = `[{"key":"f","variants":{"on":{"key":"on"},"off":{"key":"off"},"rest":{"key":"rest"}},"segments":[{"variant":"rest","bucket":{
	"selector":["context","user","user_id"],"salt":"salt","allocations":[{"range":[0,50],"distributions":[
	{"variant":"on","range":[0,10737418]},{"variant":"off","range":[10737418,42949673]}]}]}}]}]`

// Half of the users are allocated; of those a quarter is on. Three standard deviations of slack: the hash does not
// change.
func TestBucketDistribution(t *testing.T) {
	e := parseConfigs(t, bucketed)
	const n = 100_000
	got := map[string]int{}
	for i := range n {
		got[e.Evaluate(&pipeline.User{UserID: fmt.Sprint("user-", i)}, nil)[0].Key]++
	}
	for key, p := range map[string]float64{"on": 0.125, "off": 0.375, "rest": 0.5} {
		t.Run(key, func(t *testing.T) {
			if slack := 3 * math.Sqrt(n*p*(1-p)); math.Abs(float64(got[key])-n*p) > slack {
				t.Errorf("%s: %d of %d, want %.0f ± %.0f", key, got[key], n, n*p, slack)
			}
		})
	}
	if v := e.Evaluate(&pipeline.User{DeviceID: "d"}, nil); v[0].Key != "rest" {
		t.Errorf("without a bucketing value: %q, want the segment's own variant", v[0].Key)
	}
}

const dependent = `[
	{"key":"c","dependencies":["b"],"variants":{"on":{"key":"on"}},"segments":[{"variant":"on","conditions":[[{"selector":["result","b","payload","x"],"op":"is","values":["7"]}]]}]},
	{"key":"b","dependencies":["a"],"variants":{"on":{"key":"on","payload":{"x":7}}},"segments":[{"variant":"on","conditions":[[{"selector":["result","a","key"],"op":"is","values":["slot"]}]]}]},
	{"key":"a","variants":{"slot":{"key":"slot"}},"segments":[{"variant":"slot"}]}]`

func TestDependencies(t *testing.T) {
	e := parseConfigs(t, dependent)
	for _, tt := range []struct {
		ask  []string
		want []string
	}{
		{nil, []string{"a=slot", "b=on", "c=on"}},
		{[]string{"c"}, []string{"c=on"}}, // a and b are evaluated, not reported
		{[]string{"c", "a", "c", "nope"}, []string{"a=slot", "c=on"}},
		{[]string{}, []string{}},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			if diff := cmp.Diff(tt.want, variantKeys(e.Evaluate(&pipeline.User{UserID: "u"}, tt.ask))); diff != "" {
				t.Errorf("asked for %q (-want +got):\n%s", tt.ask, diff)
			}
		})
	}
	if got, want := string(e.Configs([]string{"b"})), `[`+
		strings.Split(dependent, "\n")[2]; !strings.HasPrefix(got, `[{"key":"b"`) || !strings.Contains(got, `{"key":"a"`) ||
		strings.Contains(got, `"key":"c"`) {
		t.Errorf("Configs(b) = %s, want b and a: %s", got, want)
	}
}

func TestMetadataAndPayload(t *testing.T) {
	e := parseConfigs(t, `[{"key":"f",
		"metadata":{"flagType":"experiment","experimentKey":"flag","a":1,"b":[1, 2],"deployed":true,"evaluationMode":"local"},
		"variants":{"on":{"key":"on","value":"v","payload":{"n": 12345678901234567890 , "s":"<&>"},"metadata":{"a":3,"d":null},"new":1},
			"number":{"key":"number","value":12.50,"payload":null},"default":{"key":"default","metadata":{"default":true}}},
		"segments":[
			{"metadata":{"a":2,"c":"x","experimentKey":"segment"},"variant":"on","conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["on"]}]]},
			{"variant":"number","conditions":[[{"selector":["context","user","user_id"],"op":"is","values":["number"]}]]},
			{"variant":"gone"},
			{"variant":"default"}]}]`)
	type fields struct {
		pipeline.Variant
		ValueJSON, FlagType string
		Default, Deployed   bool
		Answered            bool
	}
	for _, tt := range []struct {
		user string
		want fields
	}{
		{"on", fields{pipeline.Variant{FlagKey: "f", Key: "on", Value: "v", Payload: `{"n":12345678901234567890,"s":"<&>"}`,
			ExperimentKey: "segment",
			Metadata:      `{"flagType":"experiment","experimentKey":"segment","a":3,"b":[1,2],"deployed":true,"evaluationMode":"local","c":"x","d":null}`},
			`"v"`, "experiment", false, true, true}},
		{"number", fields{pipeline.Variant{FlagKey: "f", Key: "number", Value: "12.5", Payload: "null", ExperimentKey: "flag",
			Metadata: `{"flagType":"experiment","experimentKey":"flag","a":1,"b":[1,2],"deployed":true,"evaluationMode":"local"}`},
			"12.50", "experiment", false, true, true}},
		{"u", fields{pipeline.Variant{FlagKey: "f", Key: "default", ExperimentKey: "flag",
			Metadata: `{"flagType":"experiment","experimentKey":"flag","a":1,"b":[1,2],"deployed":true,"evaluationMode":"local","default":true}`},
			"", "experiment", true, true, false}},
	} {
		t.Run(tt.user, func(t *testing.T) {
			v := e.Evaluate(&pipeline.User{UserID: tt.user}, nil)[0]
			got := fields{v.Variant, v.ValueJSON, v.FlagType, v.Default, v.Deployed, v.Answered()}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("user %s (-want +got):\n%s", tt.user, diff)
			}
		})
	}
	want := []engine.Flag{{Key: "f", Variants: []string{"default", "number", "on"}, FlagType: "experiment",
		EvaluationMode: "local", ExperimentKey: "flag", Deployed: true}}
	if diff := cmp.Diff(want, e.Flags()); diff != "" {
		t.Errorf("Flags (-want +got):\n%s", diff)
	}
}

func TestAnswered(t *testing.T) {
	for _, tt := range []struct {
		metadata string
		want     bool
	}{
		{`{}`, true},
		{`{"flagType":"experiment","deployed":true,"default":false}`, true},
		{`{"deployed":false}`, false},
		{`{"default":true}`, false},
		{`{"flagType":"mutual-exclusion-group"}`, false},
		{`{"flagType":"holdout-group"}`, false},
		{`{"flagType":"release-group"}`, false},
	} {
		t.Run(tt.metadata, func(t *testing.T) {
			e := parseConfigs(t, `[{"key":"f","metadata":`+tt.metadata+`,"variants":{"on":{}},"segments":[{"variant":"on"}]}]`)
			v := e.Evaluate(&pipeline.User{UserID: "u"}, nil)[0]
			if v.Answered() != tt.want || v.Key != "on" { // without a key, its name
				t.Errorf("metadata %s: key %q, answered %v, want %v", tt.metadata, v.Key, v.Answered(), tt.want)
			}
		})
	}
}

// JSON.parse takes the last of two members of the same name, whole.
func TestDuplicateNames(t *testing.T) {
	for _, tt := range []struct{ flag, want string }{
		{`{"key":"f","variants":{"a":{"key":"a"}},"variants":{"b":{"key":"b"}},"segments":[{"variant":"a"}]}`, ""},
		{`{"key":"f","variants":{"a":{"key":"a"}},"segments":[{"variant":"b","variant":"a"}],"metadata":{"x":1,"x":{"y":1,"y":2}}}`, "f=a"},
		{`{"key":"f","variants":{"a":{"key":"a"}},"segments":[],"segments":[{"conditions":[],"conditions":[[{"selector":["context","x"],"op":"is","values":["x"],
			"selector":["context","user","user_id"],"values":["y","u"]}]],"variant":"a"}]}`, "f=a"},
		{`{"key":"f","variants":{"a":{"key":"a"}},"segments":[{"variant":"a","bucket":{"salt":"s"},"bucket":{"selector":[],"salt":"t","allocations":[]}}]}`, "f=a"},
		{`{"key":"g","key":"f","variants":{"a":{"key":"b","key":"a"}},"segments":[{"variant":"a"}]}`, "f=a"},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			got := strings.Join(variantKeys(parseConfigs(t, "["+tt.flag+"]").Evaluate(&pipeline.User{UserID: "u"}, nil)), " ")
			if got != tt.want {
				t.Errorf("%s: %q, want %q", tt.flag, got, tt.want)
			}
		})
	}
	if _, err := engine.Parse([]byte(`[{"key":"f","variants":{},"segments":[{"bucket":{"salt":"s"},"bucket":{"allocations":[]}}]}]`), engine.Node); err == nil {
		t.Error("a bucket without a salt of its own: no error")
	}
}

func TestParseErrors(t *testing.T) {
	flag := func(segment string) string {
		return `[{"key":"f","variants":{"on":{"key":"on"}},"segments":[` + segment + `]}]`
	}
	condition := func(c string) string { return flag(`{"conditions":[[],[` + c + `]],"variant":"on"}`) }
	for _, tt := range []struct{ configs, want string }{
		{``, "flag configurations: "},
		{`{`, "flag configurations: "},
		{`{}`, "flag configurations: is an object instead of an array"},
		{`null`, "null is not a list of flags"},
		{`[null]`, "flag 1 of the list is null"},
		{`["x"]`, "flag 1 of the list: is a string instead of an object"},
		{flag(`{"bucket":{"selector":[],"salt":"","allocations":[{"range":[0,1e400],"distributions":[]}]}}`),
			`segments.0.bucket.allocations.0.range.1: is out of range`},
		{`[{"variants":{},"segments":[]}]`, `flag 1 of the list: "key" is missing`},
		{`[{"key":"","variants":{},"segments":[]}]`, `"key" is missing`},
		{`[{"key":7}]`, "flag 1 of the list: key: is a number instead of a string"},
		{`[{"key":"f","segments":[]}]`, `flag "f": "variants" is missing`},
		{`[{"key":"f","variants":{}}]`, `flag "f": "segments" is missing`},
		{`[{"key":"f","variants":{},"segments":[]},{"key":"f","variants":{},"segments":[]}]`,
			`flag "f": is configured twice`},
		{`[{"key":"f","variants":[],"segments":[]}]`, `flag "f": variants: is an array instead of an object`},
		{`[{"key":"f","variants":{"on":"x"},"segments":[{}]}]`, `flag "f": variants["on"]: is a string instead of an object`},
		{`[{"key":"f","variants":{},"segments":[],"metadata":[]}]`, `flag "f": its metadata is not an object`},
		{flag(`{"bucket":{"selector":[],"allocations":[]}}`), `flag "f": segments[0].bucket: "salt" is missing`},
		{flag(`{"bucket":{"selector":[],"salt":""}}`), `segments[0].bucket: "allocations" is missing`},
		{flag(`{"bucket":{"selector":[],"salt":"","allocations":[{"range":[0,1]}]}}`),
			`segments[0].bucket.allocations[0]: "distributions" is missing`},
		{flag(`{"bucket":{"selector":[],"salt":"","allocations":[{"range":[0],"distributions":[]}]}}`),
			`allocations[0]: its range is not two numbers`},
		{condition(`{"selector":[],"op":"is"}`), `flag "f": segments[0].conditions[1][0]: "values" is missing`},
		{condition(`{"selector":[],"op":"is","values":[1]}`),
			`flag "f": segments.0.conditions.1.0.values.0: is a number instead of a string`},
		{condition(`{"selector":[],"op":"regex match","values":["(?=x)"]}`),
			`regular expression "(?=x)": lookahead is not supported`},
		{condition(`{"selector":[],"op":"regex match","values":["(?<!x)"]}`), `lookbehind is not supported`},
		{condition(`{"selector":[],"op":"regex match","values":["(a)\\1"]}`), `a backreference is not supported`},
		{condition(`{"selector":[],"op":"regex match","values":["(?<n>a)\\k<n>"]}`), `a backreference is not supported`},
		{condition(`{"selector":[],"op":"regex match","values":["(?i)a"]}`), `invalid group`},
		{condition(`{"selector":[],"op":"regex match","values":["a**"]}`), "invalid nested repetition operator"},
		{condition(`{"selector":[],"op":"regex match","values":["^*a"]}`), "nothing to repeat"},
		{condition(`{"selector":[],"op":"regex match","values":["a\\b{2}"]}`), "nothing to repeat"},
		{condition(`{"selector":[],"op":"regex match","values":["[b-a]"]}`), "out of order"},
		{condition(`{"selector":[],"op":"regex match","values":["[a"]}`), "is not closed"},
		{condition(`{"selector":[],"op":"regex match","values":["a\\"]}`), "a backslash at the end"},
		{condition(`{"selector":[],"op":"regex match","values":["a{1001}"]}`), "a repetition of more than 1,000"},
		{`[{"key":"a","dependencies":["b"],"variants":{},"segments":[]},{"key":"b","dependencies":["c"],"variants":{},"segments":[]},{"key":"c","dependencies":["b"],"variants":{},"segments":[]}]`,
			`flag "b": dependencies: the dependencies form a cycle: b → c → b`},
		{`[{"key":"a","dependencies":["a"],"variants":{},"segments":[]}]`, `a → a`},
	} {
		t.Run(tt.want, func(t *testing.T) {
			_, err := engine.Parse([]byte(tt.configs), engine.Node)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%s): error %v, want one that says %q", tt.configs, err, tt.want)
			}
		})
	}

	_, err := engine.Parse([]byte(condition(`{"selector":[],"op":"regex match","values":["(?=x)"]}`)), engine.Node)
	config, _ := errors.AsType[*engine.ConfigError](err)
	regex, ok := errors.AsType[*engine.RegexError](err)
	if config == nil || config.Flag != "f" || config.Path != "segments[0].conditions[1][0]" || !ok ||
		regex.Pattern != "(?=x)" || pipeline.Hint(err) == "" {
		t.Errorf("the error of a regular expression: %#v, hint %q", err, pipeline.Hint(err))
	}
}

// What the reference tolerates is tolerated, and said.
func TestTolerated(t *testing.T) {
	e := parseConfigs(t, "\ufeff"+`[{"key":"f","new":{"x":[1]},"dependencies":["gone"],"variants":{"on":{"key":"on","new":1},"null":null},"metadata":null,
		"segments":[{"conditions":[[{"selector":["context"],"op":"resembles","values":["x"],"new":1}]],"variant":"on"},
			{"conditions":[],"variant":"on"},
			{"variant":null,"bucket":null},
			{"variant":"null"},
			{"variant":"gone","conditions":null,"metadata":null},
			{"conditions":[[]],"variant":"on"}]}]`)
	if diff := cmp.Diff([]string{"f=on"}, variantKeys(e.Evaluate(&pipeline.User{UserID: "u"}, nil))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got := []string{}
	for _, w := range e.Warnings() {
		got = append(got, w.Error())
	}
	want := []string{
		`flag "f": dependencies[0]: unknown dependency "gone"`,
		`flag "f": segments[0].conditions[0][0]: unknown operator "resembles"`,
		`flag "f": segments[4].variant: unknown variant "gone"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Warnings (-want +got):\n%s", diff)
	}
	if e := parseConfigs(t, `[]`); len(e.Evaluate(&pipeline.User{UserID: "u"}, nil)) != 0 {
		t.Error("no flags, but variants")
	}
}

// Many goroutines, one engine, one user, different plans: the race detector is the judge, and each answer is right.
func TestConcurrent(t *testing.T) {
	e := parseConfigs(t, dependent)
	u := parseUserJSON(t, "u", `{"groups":{"org":["acme"]},"user_properties":{"b":1,"a":2}}`)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			ask, want := []string{"c"}, "c=on"
			if i%2 == 0 {
				ask, want = []string{"a"}, "a=slot"
			}
			plan := e.Plan(ask)
			var variants []*engine.Variant
			for range 1000 {
				variants = plan.Append(variants[:0], u)
				if got := variantKeys(variants); len(got) != 1 || got[0] != want {
					t.Errorf("got %q, want %s", got, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

// realisticConfigs is a deployment of the kind that --evaluator local is made for.
func realisticConfigs() string {
	flags := []string{}
	for i := range 20 {
		flags = append(flags, fmt.Sprintf(`{"key":"flag-%02d","metadata":{"flagType":"experiment","experimentKey":"exp-1"},"variants":{"control":{"key":"control"},"treatment":{"key":"treatment","payload":{"x":1}},"off":{"key":"off","metadata":{"default":true}}},
		"segments":[
		{"conditions":[[{"selector":["context","user","country"],"op":"is","values":["DE","FR","AT"]},{"selector":["context","user","version"],"op":"version greater or equal","values":["3.2.0"]}]],
		 "bucket":{"selector":["context","user","user_id"],"salt":"salt-%d","allocations":[{"range":[0,100],"distributions":[{"variant":"control","range":[0,21474837]},{"variant":"treatment","range":[21474837,42949673]}]}]},"variant":"off"},
		{"conditions":[[{"selector":["context","user","user_properties","seats"],"op":"greater","values":["10"]}]],"variant":"treatment"},
		{"variant":"off"}]}`, i, i))
	}
	return "[" + strings.Join(flags, ",") + "]"
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{dependent, bucketed, realisticConfigs(), `[]`, `{}`,
		`[{"key":"f","variants":{"on":{}},"segments":[{"conditions":[[{"selector":["context"],"op":"regex match","values":["[^]\\c{2}"]}]]}]}]`} {
		f.Add([]byte(s), `{"country":"DE","groups":{"org":["acme"]},"user_properties":{"p":[1,"a",null]}}`)
	}
	f.Fuzz(func(t *testing.T, configs []byte, context string) {
		e, err := engine.Parse(configs, engine.Node)
		if err != nil {
			return
		}
		u := &pipeline.User{UserID: "u"}
		if v, err := pipeline.ParseJSON(context); err == nil && v.Kind == pipeline.Object {
			u.Context = v.Members
		}
		first := e.Evaluate(u, nil)
		again, err := engine.Parse(e.Configs(nil), engine.Node) // what the server hands out reads back, and means the same
		if err != nil {
			t.Fatalf("Configs does not read back: %v", err)
		}
		if diff := cmp.Diff(variantKeys(first), variantKeys(again.Evaluate(u, nil))); diff != "" {
			t.Fatalf("Configs means something else (-first +again):\n%s", diff)
		}
		explained := []string{}
		for _, x := range e.Plan(nil).Explain(u) {
			if x.Variant != nil {
				explained = append(explained, x.Flag+"="+*x.Variant)
			}
		}
		if diff := cmp.Diff(variantKeys(first), explained); diff != "" {
			t.Fatalf("Explain explains something else (-answer +explanation):\n%s", diff)
		}
	})
}
