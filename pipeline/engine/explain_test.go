package engine

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// randomUser is a user with values that the recorded deployments read.
func randomUser(r *rand.Rand) string {
	values := []string{`null`, `"pro"`, `"free"`, `"a"`, `"7"`, `7`, `1.5`, `true`, `"TRUE"`, `[]`, `["a","pro"]`,
		`"[\"a\",\"b\"]"`, `{"deep":"pro"}`, `"1.10.0"`, `""`}
	pick := func() string { return values[r.IntN(len(values))] }
	context := `{"user_id":` + fmt.Sprintf("%q", fmt.Sprint("u", r.IntN(1000)))
	for _, field := range []string{"country", "version", "platform", "cohort_ids", "user_properties"} {
		if r.IntN(3) > 0 {
			context += fmt.Sprintf(`,%q:%s`, field, pick())
		}
	}
	context += `,"groups":{"org":["acme"],"team":` + pick() + `},"group_properties":{"org":{"acme":{"size":` + pick() +
		`}}}`
	if r.IntN(4) > 0 {
		context = context[:len(context)-1] + `}`
	} else {
		context += `,"device_id":"d"`
	}
	return context + `}`
}

// What Explain says was given is what Append gives, for all recorded deployments; and what it says of the way there
// fits together.
func TestExplainAgrees(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, c := range readVectors(t).Cases {
		e := mustParse(t, string(c.Flags))
		plan := e.Plan(c.Keys)
		users := []string{}
		for _, u := range c.Users {
			users = append(users, u.User)
		}
		for range 5 {
			users = append(users, fmt.Sprintf(`{"user_id":"u%d","user_properties":{"plan":"pro","tags":["a","pro"],"nested":{"deep":%d}},"groups":{"org":["acme"]}}`, r.IntN(1e6), r.IntN(3)), randomUser(r))
		}
		for _, text := range users {
			u := parseUser(t, text)
			want := map[string]string{}
			for _, v := range plan.Append(nil, u) {
				want[v.FlagKey] = fmt.Sprint(v.Key, v.Answered())
			}
			got := map[string]string{}
			for _, x := range plan.Explain(u) {
				if x.Variant != nil {
					got[x.Flag] = fmt.Sprint(*x.Variant, x.Answered)
				}
				checkExplanation(t, &x)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("flags %s\nuser %s\n(-Append +Explain):\n%s", c.Flags, text, diff)
			}
		}
	}
}

func checkExplanation(t *testing.T, x *Explanation) {
	t.Helper()
	for i, s := range x.Segments {
		matched := s.Conditions == nil
		for j, list := range s.Conditions {
			holds := true
			for k, c := range list {
				if holds = holds && c.Holds; !c.Holds && k < len(list)-1 {
					t.Errorf("flag %s, segment %d: conditions after one that failed", x.Flag, s.Segment)
				}
			}
			if matched = matched || holds; holds && j < len(s.Conditions)-1 {
				t.Errorf("flag %s, segment %d: lists after one that holds", x.Flag, s.Segment)
			}
		}
		if matched != s.Matched || s.Variant != nil && !s.Matched ||
			(s.Variant != nil) != (x.Variant != nil && i == len(x.Segments)-1) {
			t.Errorf("flag %s, segment %d: matched %v and a variant %v do not go with its conditions", x.Flag, s.Segment,
				s.Matched, s.Variant)
		}
		if b := s.Bucketing; b != nil && b.Value != nil &&
			(b.Percent != b.Hash%100 || b.Position != b.Hash/100 || b.Hash != newSaltHash(b.Salt).hashValue(*b.Value) ||
				b.Distribution != nil && (b.Allocation == nil || b.Position < b.Distribution.Start ||
					b.Position >= b.Distribution.End)) {
			t.Errorf("flag %s, segment %d: %+v does not fit together", x.Flag, s.Segment, b)
		}
	}
	if text, err := json.Marshal(x); err != nil {
		t.Errorf("flag %s: %v in %s", x.Flag, err, text)
	}
}

const explained = `[
	{"key":"mutex","metadata":{"flagType":"mutual-exclusion-group"},"variants":{"slot":{"key":"slot"}},"segments":[{"variant":"slot"}]},
	{"key":"f","dependencies":["mutex"],"variants":{"on":{"key":"on"},"off":{"key":"off","metadata":{"default":true}}},"segments":[
		{"metadata":{"segmentName":"Teams"},"variant":"on","conditions":[
			[{"selector":["result","mutex","key"],"op":"is","values":["slot"]},{"selector":["context","user","user_properties","plan"],"op":"is","values":["team"]}],
			[{"selector":["context","user","country"],"op":"is not","values":["(none)"]}]]},
		{"metadata":{"segmentName":"gone"},"conditions":[[]],"variant":"off","bucket":{"selector":["context","user","user_id"],"salt":"s","allocations":[
			{"range":[0,100],"distributions":[{"variant":"nope","range":[0,42949673]}]}]}},
		{"variant":"off","bucket":{"selector":["context","user","device_id"],"salt":"s","allocations":[{"range":[0,1],"distributions":[{"variant":"on","range":[0,42949673]}]}]}}]}]`

// The JSON that people script against.
func TestExplainJSON(t *testing.T) {
	e := mustParse(t, explained)
	got, err := json.MarshalIndent(e.Plan([]string{"f"}).Explain(parseUser(t,
		`{"user_id":"u","user_properties":{"plan":"pro"}}`)), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	const want = `[
 {
  "flag": "f",
  "variant": "off",
  "answered": false,
  "default": true,
  "deployed": true,
  "flag_type": "",
  "dependencies": [
   {
    "flag": "mutex",
    "variant": "slot"
   }
  ],
  "segments": [
   {
    "segment": 1,
    "name": "Teams",
    "matched": false,
    "conditions": [
     [
      {
       "selector": [
        "result",
        "mutex",
        "key"
       ],
       "op": "is",
       "values": [
        "slot"
       ],
       "seen": "slot",
       "holds": true
      },
      {
       "selector": [
        "context",
        "user",
        "user_properties",
        "plan"
       ],
       "op": "is",
       "values": [
        "team"
       ],
       "seen": "pro",
       "holds": false
      }
     ],
     [
      {
       "selector": [
        "context",
        "user",
        "country"
       ],
       "op": "is not",
       "values": [
        "(none)"
       ],
       "seen": null,
       "holds": false
      }
     ]
    ],
    "bucketing": null,
    "variant": null
   },
   {
    "segment": 2,
    "name": "gone",
    "matched": true,
    "conditions": [
     []
    ],
    "bucketing": {
     "selector": [
      "context",
      "user",
      "user_id"
     ],
     "value": "u",
     "salt": "s",
     "hash": 1474444136,
     "percent": 36,
     "position": 14744441,
     "allocations": [
      {
       "start": 0,
       "end": 100
      }
     ],
     "allocation": {
      "start": 0,
      "end": 100
     },
     "distribution": {
      "start": 0,
      "end": 42949673,
      "variant": "nope"
     }
    },
    "variant": null
   },
   {
    "segment": 3,
    "name": "",
    "matched": true,
    "conditions": null,
    "bucketing": {
     "selector": [
      "context",
      "user",
      "device_id"
     ],
     "value": null,
     "salt": "s",
     "hash": 0,
     "percent": 0,
     "position": 0,
     "allocations": [
      {
       "start": 0,
       "end": 1
      }
     ],
     "allocation": null,
     "distribution": null
    },
    "variant": "off"
   }
  ]
 }
]`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A flag that ParseLenient leaves out says so.
func TestExplainUnanswered(t *testing.T) {
	e, err := ParseLenient([]byte(`[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[{"selector":["context","user","user_id"],"op":"regex match","values":["(?=x)"]}]]}]}]`), Node)
	if err != nil {
		t.Fatal(err)
	}
	x := e.Plan(nil).Explain(&pipeline.User{UserID: "u"})
	if want := `segments[0].conditions[0][0]: regular expression "(?=x)": lookahead is not supported`; len(x) != 1 ||
		x[0].Unanswered != want || x[0].Variant != nil {
		t.Errorf("%+v, want unanswered: %s", x, want)
	}
}

// Rows are find, whatever the ranges are: empty, inverted, overlapping, beyond the end, many.
func TestBucketRows(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	number := func(end int) uint32 {
		switch r.IntN(4) {
		case 0:
			return 0
		case 1:
			return uint32(end)
		}
		return uint32(r.IntN(end + end/10))
	}
	withRows := 0
	for range 2000 {
		b := &bucket{}
		for range r.IntN(5) {
			a := allocation{start: number(100), end: number(100)}
			for range r.IntN(12) + 20*r.IntN(2) {
				a.distributions = append(a.distributions, distribution{number(42949673), number(42949673), result(r.IntN(4))})
			}
			b.allocations = append(b.allocations, a)
		}
		if b.compileRows(); b.rows == nil {
			continue
		}
		withRows++
		for range 200 {
			hash := r.Uint32()
			percent, position := hash%100, hash/100
			row := &b.rows[b.percents.countUpTo(percent)]
			if got, want := row.results[row.countUpTo(position)], b.findResult(percent, position); got != want {
				t.Fatalf("allocations %+v\npercent %d, position %d: %d, want %d", b.allocations, percent, position, got, want)
			}
		}
	}
	if withRows < 500 {
		t.Errorf("only %d buckets with rows", withRows)
	}
}
