package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
)

// difference is a difference between the answers of the engines.
type difference struct {
	kind      string // what differs; a smaller form must have the same kind
	user      int    // -1 if the configuration itself differs
	flag      string
	got, want string
}

// evaluation has the answers of this engine for a deployment, and the request to the reference.
type evaluation struct {
	refused    error               // why the configuration was refused
	answers    []*engine.Variant   // by user, then by flag
	unanswered int                 // the number of flags that are not evaluated
	patterns   []engine.RegexError // refused patterns, except those that the doc.go of package engine lists
	request    request
}

// evaluate evaluates the deployment with this engine.
func evaluate(d *deployment) *evaluation {
	ev := &evaluation{request: request{flags: d.flags, users: pipeline.Value{Kind: pipeline.List}, keys: d.keys,
		bare: d.bare}}
	e, err := engine.ParseLenient(d.flags.AppendJSON(nil), d.semantics)
	if err != nil {
		ev.refused = err
		return ev
	}
	unanswered := map[string]bool{}
	ev.unanswered = len(e.Unanswered())
	for _, err := range e.Unanswered() {
		unanswered[err.Flag] = true
		if re, ok := errors.AsType[*engine.RegexError](err); ok && !strings.HasSuffix(re.Err.Error(), "not supported") {
			ev.patterns = append(ev.patterns, *re)
			ev.request.patterns = append(ev.request.patterns, re.Pattern)
		}
	}
	if len(unanswered) > 0 { // make the reference answer nothing for them, too
		ev.request.flags.Members = slices.Clone(d.flags.Members)
		for i := range ev.request.flags.Members {
			if flag := &ev.request.flags.Members[i].Value; unanswered[flagKey(flag)] {
				flag.Members = append(slices.Clone(flag.Members),
					pipeline.Member{Name: "segments", Value: pipeline.Value{Kind: pipeline.List}})
			}
		}
	}
	for _, flag := range e.Flags() {
		if !unanswered[flag.Key] && (d.keys == nil || slices.Contains(d.keys, flag.Key)) {
			ev.request.asked = append(ev.request.asked, flag.Key)
		}
	}
	slices.Sort(ev.request.asked)
	plan := e.Plan(d.keys)
	var variants []*engine.Variant
	for i := range d.users {
		user := d.users[i]
		if d.typed && d.semantics == engine.Hosted { // the literal that the API would be sent
			user = typedValue(user)
		}
		ev.request.users.Members = append(ev.request.users.Members, pipeline.Member{Value: user})
		variants = plan.Append(variants[:0], makeUser(&d.users[i], d.typed))
		next := 0
		for _, key := range ev.request.asked {
			if next < len(variants) && variants[next].FlagKey == key {
				ev.answers = append(ev.answers, variants[next])
				next++
				continue
			}
			ev.answers = append(ev.answers, nil)
		}
		if next != len(variants) {
			ev.refused = fmt.Errorf("the engine answered %d flags that were not asked for", len(variants)-next)
		}
	}
	return ev
}

// flagKey returns the last key of a flag; the key may be duplicated.
func flagKey(flag *pipeline.Value) (key string) {
	for i := range flag.Members {
		if flag.Members[i].Name == "key" {
			key = flag.Members[i].Value.Text
		}
	}
	return key
}

// makeUser returns the user in the form that the sources give it.
func makeUser(v *pipeline.Value, typed bool) *pipeline.User {
	u := &pipeline.User{}
	for i := range v.Members {
		switch m := v.Members[i]; {
		case m.Name == "user_id":
			u.UserID = m.Value.Text
		case m.Name == "device_id":
			u.DeviceID = m.Value.Text
		case typed:
			u.Context = append(u.Context, pipeline.Member{Name: m.Name, Value: typedValue(m.Value)})
		default:
			u.Context = append(u.Context, m)
		}
	}
	return u
}

// typedValue returns the value with the type that Parquet gives it. The reference, which knows only JSON, gets the
// original.
func typedValue(v pipeline.Value) pipeline.Value {
	switch v.Kind {
	case pipeline.Number:
		if n, err := strconv.ParseInt(v.Text, 10, 64); err == nil {
			return pipeline.IntValue(n)
		}
		if f, err := strconv.ParseFloat(v.Text, 64); err == nil {
			return pipeline.FloatValue(f)
		}
	case pipeline.String:
		if _, err := time.Parse(time.DateOnly, v.Text); err == nil {
			v.Kind = pipeline.Date
		} else if _, err := time.Parse(time.RFC3339, v.Text); err == nil {
			v.Kind = pipeline.Timestamp
		}
	case pipeline.List, pipeline.Object:
		v.Members = slices.Clone(v.Members)
		for i := range v.Members {
			v.Members[i].Value = typedValue(v.Members[i].Value)
		}
	}
	return v
}

// compare compares the answer of the reference with this engine's. It returns nil if they agree.
func (ev *evaluation) compare(r *response) *difference {
	const none = "no variant"
	_, cycle := errors.AsType[*engine.CycleError](ev.refused)
	switch {
	case cycle && strings.HasPrefix(r.Error, "Detected a cycle"):
		return nil
	case ev.refused != nil:
		text := ev.refused.Error()
		return &difference{"refused: " + text[strings.LastIndex(text, ": ")+1:], -1, "", text, "error: " + r.Error}
	case r.Error != "":
		return &difference{"thrown: " + r.Error[:min(12, len(r.Error))], -1, "", "no error", "error: " + r.Error}
	case len(r.Answers) != len(ev.answers) || len(r.Compiles) != len(ev.patterns):
		return &difference{"length", -1, "", fmt.Sprint(len(ev.answers), " answers"), fmt.Sprint(len(r.Answers), " answers")}
	}
	for i, ok := range r.Compiles {
		if ok {
			return &difference{"pattern", -1, "", ev.patterns[i].Error(),
				fmt.Sprintf("regular expression %q is valid", ev.patterns[i].Pattern)}
		}
	}
	type pair struct {
		variant *engine.Variant
		answer  int
	}
	checked := map[pair]string{}
	for i, v := range ev.answers {
		answer := r.Answers[i]
		if v == nil && answer == noVariant || answer == unknownAnswer {
			continue
		}
		user, flag := i/len(ev.request.asked), ev.request.asked[i%len(ev.request.asked)]
		switch {
		case v == nil:
			return &difference{"missing", user, flag, none, describeAnswer(&r.Variants[answer])}
		case answer < 0:
			return &difference{"surplus", user, flag, describeVariant(v), none}
		}
		field, ok := checked[pair{v, answer}]
		if !ok {
			field = differingField(v, &r.Variants[answer])
			checked[pair{v, answer}] = field
		}
		if field != "" {
			return &difference{field, user, flag, describeVariant(v), describeAnswer(&r.Variants[answer])}
		}
	}
	return nil
}

// differingField returns the name of the first field that differs from the reference, or "".
func differingField(v *engine.Variant, want *referredVariant) string {
	w := &want.Variant
	text := func(name string) string { s, _ := w.Metadata[name].(string); return s }
	var metadata any = w.Metadata
	if len(w.Metadata) == 0 { // the reference has an empty object where this engine has none
		metadata = nil
	}
	key := w.Key
	if key == "" {
		key = v.Name // an intended difference: see the doc.go of package engine
	}
	switch {
	case v.Key != key:
		return "key"
	case !reflect.DeepEqual(decodeJSON(v.ValueJSON), decodeJSON(string(w.Value))),
		(v.ValueJSON == "") != (w.Value == nil) && v.ValueJSON != "null":
		return "value"
	case v.Value != want.Text:
		return "value as text"
	case !reflect.DeepEqual(decodeJSON(v.Payload), decodeJSON(string(w.Payload))),
		(v.Payload == "") != (w.Payload == nil) && v.Payload != "null":
		return "payload"
	case !reflect.DeepEqual(decodeJSON(v.Metadata), metadata):
		return "metadata"
	case v.ExperimentKey != text("experimentKey"):
		return "experiment key"
	case v.FlagType != text("flagType"):
		return "flag type"
	case v.Default != (w.Metadata["default"] == true):
		return "default"
	case v.Deployed != (w.Metadata["deployed"] != false):
		return "deployed"
	}
	return ""
}

// decodeJSON returns the decoded value; nil for "". If a name is duplicated, the last value counts.
func decodeJSON(text string) any {
	if text == "" {
		return nil
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return fmt.Errorf("%w: %s", err, text)
	}
	return v
}

func describeVariant(v *engine.Variant) string {
	return fmt.Sprintf("key %q, value %s (%q), payload %s, metadata %s", v.Key, v.ValueJSON, v.Value, v.Payload,
		v.Metadata)
}

func describeAnswer(w *referredVariant) string {
	metadata, _ := json.Marshal(w.Variant.Metadata) // cannot fail: it was decoded from JSON
	return fmt.Sprintf("key %q, value %s (%q), payload %s, metadata %s", w.Variant.Key, w.Variant.Value, w.Text,
		w.Variant.Payload, metadata)
}

// setProbes asks the reference of the hosted API to count the rules that decide in the flags with one condition, in
// half of the deployments: it takes time.
func (r *request) setProbes(probes map[string]probe, number uint64) {
	if number%2 != 0 {
		return
	}
	for _, key := range r.asked {
		if _, ok := probes[key]; ok {
			r.probes = append(r.probes, key)
		}
	}
}
