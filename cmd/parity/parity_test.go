package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// selfReference is a reference that needs no Node: this engine, with deliberate errors.
type selfReference struct {
	semantics engine.Semantics
	change    func(flags pipeline.Value) pipeline.Value
	spoil     func(*response)
	answers   chan *response
}

func newSelf(semantics engine.Semantics, change func(pipeline.Value) pipeline.Value,
	spoil func(*response)) *selfReference {
	return &selfReference{semantics, change, spoil, make(chan *response, 1)}
}

func (s *selfReference) send(r *request) error {
	d := deployment{semantics: s.semantics, flags: s.change(r.flags), keys: r.keys}
	for _, m := range r.users.Members {
		d.users = append(d.users, m.Value)
	}
	ev, out := evaluate(&d), &response{Compiles: make([]bool, len(r.patterns))}
	if ev.refused != nil {
		out.Error = "Detected a cycle"
	}
	at := map[*engine.Variant]int{}
	for i, v := range ev.answers {
		if key := ev.request.asked[i%len(ev.request.asked)]; !slices.Contains(r.asked, key) {
			continue
		}
		if v == nil {
			out.Answers = append(out.Answers, -1)
			continue
		}
		if _, ok := at[v]; !ok {
			at[v] = len(out.Variants)
			w := referredVariant{Text: v.Value}
			w.Variant.Key = v.Key
			if v.ValueJSON != "" {
				w.Variant.Value = json.RawMessage(v.ValueJSON)
			}
			if v.Payload != "" {
				w.Variant.Payload = json.RawMessage(v.Payload)
			}
			if v.Metadata != "" {
				if err := json.Unmarshal([]byte(v.Metadata), &w.Variant.Metadata); err != nil {
					return err
				}
			}
			out.Variants = append(out.Variants, w)
		}
		out.Answers = append(out.Answers, at[v])
	}
	s.spoil(out)
	s.answers <- out
	return nil
}

func (s *selfReference) receive() (*response, error) { return <-s.answers, nil }

func keepFlags(flags pipeline.Value) pipeline.Value { return flags }
func keepResponse(*response)                        {}

// replaceText replaces a string wherever it is a value.
func replaceText(v pipeline.Value, from, to string) pipeline.Value {
	if v.Kind == pipeline.String && v.Text == from {
		v.Text = to
	}
	members := make([]pipeline.Member, len(v.Members))
	for i, m := range v.Members {
		members[i] = pipeline.Member{Name: m.Name, Value: replaceText(m.Value, from, to)}
	}
	v.Members = members
	return v
}

func TestAgreesWithItself(t *testing.T) {
	for _, semantics := range []engine.Semantics{engine.Hosted, engine.Node} {
		t.Run(semantics.String(), func(t *testing.T) {
			c, found, err := compareAll(newSelf(semantics, keepFlags, keepResponse), semantics, 20_000, 1)
			if err != nil || found != nil {
				t.Fatalf("found %+v, error %v", found, err)
			}
			if c.pairs < 20_000 || c.patterns == 0 || c.unanswered < c.patterns || c.variants < c.pairs/10 ||
				c.variants > c.pairs/2 {
				t.Errorf("%d pairs, %d of them with a variant, %d patterns refused, %d flags unanswered: too few", c.pairs,
					c.variants, c.patterns, c.unanswered)
			}
			if ops := c.listOneSided(); len(ops) > 0 {
				t.Errorf("%q always had the same result", ops)
			}
			var b bytes.Buffer
			c.printSummary(&b, 1)
			for _, op := range append(operators, "(unknown)") {
				if !strings.Contains(b.String(), " "+op+" ") {
					t.Errorf("the summary lacks %q:\n%s", op, b.String())
				}
			}
		})
	}
}

// A run that did not exercise a rule says which; the reference counts.
func TestListUnexercised(t *testing.T) {
	count := func(r *response) { r.Rules = slices.Repeat([][2]int{{1, 1}}, 10) }
	for _, tt := range []struct {
		name  string
		spoil func(*response)
		want  []string
	}{
		{"all", count, nil},
		{"rule 1 makes conditions hold alone", func(r *response) { count(r); r.Rules[0] = [2]int{1, 0} }, nil},
		{"rule 5", func(r *response) { count(r); r.Rules[4] = [2]int{0, 3} }, []string{"rule 5 makes a condition hold"}},
		{"rule 9", func(r *response) { count(r); r.Rules[8] = [2]int{} },
			[]string{"rule 9 makes a condition hold", "rule 9 makes a condition not hold"}},
		{"all together", func(r *response) { count(r); r.Rules[9] = [2]int{1, 0} },
			[]string{"the rules together make a condition not hold"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, found, err := compareAll(newSelf(engine.Hosted, keepFlags, tt.spoil), engine.Hosted, 1000, 1)
			if err != nil || found != nil {
				t.Fatalf("found %+v, error %v", found, err)
			}
			if diff := cmp.Diff(tt.want, c.listUnexercised()); diff != "" {
				t.Errorf("unexercised (-want +got):\n%s", diff)
			}
		})
	}
}

// Pairs of which nobody can say what the hosted API answers are left out, and counted.
func TestUnknownAnswers(t *testing.T) {
	c, found, err := compareAll(newSelf(engine.Hosted, keepFlags, func(r *response) {
		for i := range r.Answers {
			r.Answers[i] = unknownAnswer
		}
	}), engine.Hosted, 1000, 1)
	if err != nil || found != nil || c.pairs != 0 || c.unknown < 1000 {
		t.Errorf("found %+v, error %v; %d pairs compared, %d unknown; want none compared", found, err, c.pairs, c.unknown)
	}
}

func TestGenerate(t *testing.T) {
	text := func(d *deployment) string {
		s := string(d.flags.AppendJSON(nil))
		for i := range d.users {
			s += "\n" + string(d.users[i].AppendJSON(nil))
		}
		return fmt.Sprint(s, "\n", d.keys, d.bare, d.typed)
	}
	for number := range uint64(200) {
		semantics := engine.Semantics(number % 2)
		d, _ := generate(semantics, 7, number)
		again, _ := generate(semantics, 7, number)
		if diff := cmp.Diff(text(&d), text(&again)); diff != "" {
			t.Fatalf("deployment %d differs the second time:\n%s", number, diff)
		}
		if _, err := engine.ParseLenient(d.flags.AppendJSON(nil), semantics); err != nil {
			if _, ok := errors.AsType[*engine.CycleError](err); !ok {
				t.Errorf("deployment %d: %v", number, err)
			}
		}
		for i := range d.users {
			u := d.users[i].AppendJSON(nil)
			v, err := pipeline.ParseJSON(string(u))
			if err != nil || !bytes.Equal(v.AppendJSON(nil), u) || !isValidUser(&v) {
				t.Errorf("deployment %d, user %d: %s is not a user in the form of the sources (%v)", number, i, u, err)
			}
		}
	}
}

// TestShrink: a difference is found and made small.
func TestShrink(t *testing.T) {
	for _, tt := range []struct{ from, to string }{
		{"less or equal", "less"},
		{"version greater or equal", "version greater"},
		{"is", "contains"},
		{"is not", "does not contain"},
		{"set contains", "set contains any"},
		{"regex match", "contains"},
	} {
		t.Run(tt.from+" as "+tt.to, func(t *testing.T) {
			ref := newSelf(engine.Node, func(flags pipeline.Value) pipeline.Value { return replaceText(flags, tt.from, tt.to) }, keepResponse)
			_, found, err := compareAll(ref, engine.Node, 200_000, 3)
			if err != nil || found == nil {
				t.Errorf("no difference (%v)", err)
				return
			}
			var b bytes.Buffer
			if err := found.shrinkAndPrint(&b, ref); err != nil {
				t.Fatal(err)
			}
			out := b.String()
			if !strings.Contains(out, `"op":"`+tt.from+`"`) || strings.Count(out, "  flag  ") != 1 ||
				strings.Count(out, "  user  ") != 1 ||
				strings.Count(out, `"op"`) != 1 || !strings.Contains(out, "  got   ") || len(out) > 500 {
				t.Errorf("not in its smallest form:\n%s", out)
			}
		})
	}
}

// TestCompareFields: every field is compared.
func TestCompareFields(t *testing.T) {
	const flags = `[{"key":"f","metadata":{"experimentKey":"e","flagType":"release","deployed":true},"variants":{"on":{"key":"on","value":1.50,
		"payload":{"a":[1,null]},"metadata":{"default":true}}},"segments":[{"variant":"on"}]}]`
	v, err := pipeline.ParseJSON(flags)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		kind  string
		spoil func(*response)
	}{
		{"", keepResponse},
		{"", func(r *response) { r.Variants[0].Variant.Payload = json.RawMessage(`{ "a": [1.0, null] }`) }},
		{"key", func(r *response) { r.Variants[0].Variant.Key = "off" }},
		{"value", func(r *response) { r.Variants[0].Variant.Value = json.RawMessage(`"1.5"`) }},
		{"value", func(r *response) { r.Variants[0].Variant.Value = nil }},
		{"value as text", func(r *response) { r.Variants[0].Text = "1.50" }},
		{"payload", func(r *response) { r.Variants[0].Variant.Payload = json.RawMessage(`{"a":[1]}`) }},
		{"payload", func(r *response) { r.Variants[0].Variant.Payload = nil }},
		{"metadata", func(r *response) { r.Variants[0].Variant.Metadata = nil }},
		{"metadata", func(r *response) { r.Variants[0].Variant.Metadata["x"] = nil }},
		{"missing", func(r *response) { r.Answers = []int{0, 0} }},
		{"surplus", func(r *response) { r.Answers[0] = -1 }},
		{"length", func(r *response) { r.Answers = nil }},
		{"thrown: oops", func(r *response) { r.Error = "oops" }},
	} {
		t.Run(fmt.Sprintf("difference %q", tt.kind), func(t *testing.T) {
			d := &deployment{semantics: engine.Node, flags: v, users: []pipeline.Value{{Kind: pipeline.Object}}}
			if tt.kind == "missing" { // another flag, which nobody gets
				d.flags.Members = append(d.flags.Members[:1:1], pipeline.Member{Value: makeObject(
					pipeline.Member{Name: "key", Value: pipeline.StringValue("g")},
					pipeline.Member{Name: "variants", Value: makeObject()},
					pipeline.Member{Name: "segments", Value: makeList()})})
			}
			got, err := compareEngines(newSelf(engine.Node, keepFlags, tt.spoil), d)
			if err != nil {
				t.Fatal(err)
			}
			if kind := kindOf(got); kind != tt.kind {
				t.Errorf("difference %q, want %q", kind, tt.kind)
			}
		})
	}
}

func TestCompareRefusals(t *testing.T) {
	const flag = `[{"key":"f","variants":{},"segments":[{"conditions":[[{"selector":[],"op":"regex match","values":[%q]}]]}]}]`
	for _, tt := range []struct {
		flags string
		spoil func(*response)
		kind  string
	}{
		{fmt.Sprintf(flag, "("), keepResponse, ""},
		{fmt.Sprintf(flag, "("), func(r *response) { r.Compiles[0] = true }, "pattern"},
		{fmt.Sprintf(flag, "(?=a)"), func(r *response) { r.Compiles = []bool{} }, ""}, // an intended difference
		{`[{"key":"f","variants":{},"segments":[],"dependencies":["f"]}]`, keepResponse, ""},
		{`[{"key":"f","variants":{},"segments":[],"dependencies":["f"]}]`, func(r *response) { r.Error = "" },
			"refused:  f → f"},
		{`[{"key":"f","variants":{}}]`, func(r *response) { r.Error = "" }, `refused:  "segments" is missing`},
	} {
		t.Run(fmt.Sprintf("difference %q", tt.kind), func(t *testing.T) {
			v, err := pipeline.ParseJSON(tt.flags)
			if err != nil {
				t.Fatal(err)
			}
			got, err := compareEngines(newSelf(engine.Node, keepFlags, tt.spoil),
				&deployment{semantics: engine.Node, flags: v, users: []pipeline.Value{{Kind: pipeline.Object}}})
			if err != nil {
				t.Fatal(err)
			}
			if kind := kindOf(got); kind != tt.kind {
				t.Errorf("flags %s: difference %q, want %q", tt.flags, kind, tt.kind)
			}
		})
	}
}

func kindOf(d *difference) string {
	if d == nil {
		return ""
	}
	return d.kind
}
