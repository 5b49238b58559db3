package engine

import (
	"fmt"
	"slices"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
)

var listSeeds = []string{`[]`, `["a"]`, `["a","b"]`, ` ["a"]`, "[ \"a\" ,\t\"b\"\r\n]\n", `["a",]`, `[,"a"]`,
	`["a" "b"]`, `["a"]x`, `["a"`, `["a`, `[`, `["a",1]`, `["",""]`, `["","b",""]`,
	`["a\"b"]`, `["\u0041"]`, `["é"]`, "[\"\xff\"]", "[\"\x01\"]", `[["a"]]`, `[null]`, `["a"],["b"]`, "[\"a\"]\x00",
	`["DEL` + "\x7f" + `"]`}

// What parseStrings takes, parseList takes for the same list.
func FuzzParseStrings(f *testing.F) {
	for _, s := range listSeeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || s[0] != '[' {
			return
		}
		got, ok := parseStrings(nil, s, false)
		if !ok {
			return
		}
		if want, ok := parseList(nil, s); !ok || !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q (a list: %v)", s, got, want, ok)
		}
	})
}

// The lists that people have are read without the JSON decoder.
func TestParseStrings(t *testing.T) {
	for s, want := range map[string][]string{`["partner"]`: {"partner"}, `["a", "b c" , "", "ü"]`: nil,
		`[ "a", "b c" , "" ]`: {"a", "b c"}} {
		t.Run(s, func(t *testing.T) {
			if got, ok := parseStrings(nil, s, false); ok != (want != nil) || ok && !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v, want %q", s, got, ok, want)
			}
		})
	}
}

// Properties that are no object are looked into as JavaScript would.
func TestPropertiesOfAnyKind(t *testing.T) {
	for _, tt := range []struct{ properties, name, want string }{
		{`["x","y"]`, "1", "y"},
		{`["x","y"]`, "length", "2"},
		{`"text"`, "length", "(none)"},
		{`null`, "p", "(none)"},
		{`{"p":"v"}`, "p", "v"},
	} {
		t.Run(fmt.Sprintf("%+v", tt), func(t *testing.T) {
			e := mustParse(t, `[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[{"selector":["context","user","user_properties","`+tt.name+`"],"op":"is","values":["`+tt.want+`"]}]]}]}]`)
			if len(e.Evaluate(parseUser(t, `{"user_id":"u","user_properties":`+tt.properties+`}`), nil)) != 1 {
				t.Errorf("%s of %s is not %s", tt.name, tt.properties, tt.want)
			}
		})
	}
}

// A user with more members than find scans, and a state that is used again for one with fewer.
func TestManyMembers(t *testing.T) {
	e := mustParse(t, `[{"key":"f","variants":{"on":{}},"segments":[{"variant":"on","conditions":[[{"selector":["context","user","user_properties","p50"],"op":"is","values":["v50"]}]]}]}]`)
	many := pipeline.Value{Kind: pipeline.Object}
	for _, a := range "0123456789" {
		for _, b := range "0123456789" {
			many.Members = append(many.Members, pipeline.Member{Name: "p" + string(a) + string(b),
				Value: pipeline.StringValue("v" + string(a) + string(b))})
		}
	}
	users := []*pipeline.User{
		{UserID: "u", Context: []pipeline.Member{{Name: "user_properties", Value: many}}},
		{UserID: "u", Context: []pipeline.Member{{Name: "user_properties",
			Value: pipeline.Value{Kind: pipeline.Object, Members: many.Members[50:51]}}}},
		{UserID: "u", Context: []pipeline.Member{{Name: "user_properties",
			Value: pipeline.Value{Kind: pipeline.Object, Members: many.Members[:50]}}}},
		{UserID: "u"},
	}
	for i, want := range []int{1, 1, 0, 0, 1} {
		t.Run(fmt.Sprint(want), func(t *testing.T) {
			if got := len(e.Evaluate(users[i%len(users)], nil)); got != want {
				t.Errorf("user %d: %d variants, want %d", i%len(users), got, want)
			}
		})
	}
}
