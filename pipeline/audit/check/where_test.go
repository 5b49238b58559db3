package check

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

var whereColumns = map[string]pipeline.Type{
	"country": pipeline.TypeString, "user_properties.plan": pipeline.TypeString, "seats": pipeline.TypeInt,
	"spent": pipeline.TypeFloat,
	"beta":  pipeline.TypeBool, "lifetime value": pipeline.TypeString, "signup": pipeline.TypeDate,
	"seen": pipeline.TypeTimestamp, "in": pipeline.TypeString,
}

func acceptColumn(string) error { return nil }

// cells are the carried values of a user, by column; a column that is not there is missing.
func cells(w *where, values map[string]snapshot.Value) []snapshot.Value {
	carry := make([]snapshot.Value, len(w.columns))
	for i, name := range w.columns {
		carry[i], w.indexes[i] = values[name], i
	}
	return carry
}

func textValue(s string) snapshot.Value {
	return snapshot.Value{Kind: pipeline.String, Text: []byte(s)}
}

func TestWhere(t *testing.T) {
	full := map[string]snapshot.Value{
		"country": textValue("DE"), "user_properties.plan": textValue("pro"), "seats": {Kind: pipeline.Int, Num: 12},
		"spent": textValue("9.5"),
		"beta":  {Kind: pipeline.Bool, Num: 1}, "lifetime value": textValue("high"),
		"signup": {Kind: pipeline.Date, Num: 20000},
		"seen":   {Kind: pipeline.Timestamp, Num: 1_700_000_000_500_000}, "in": textValue("x"),
	}
	for _, test := range []struct {
		text       string
		full, none bool // for the user above, and for one of whom nothing is known
	}{
		{`country == "DE"`, true, false},
		{`country == "DE" and user_properties.plan != "free"`, true, false},
		{`user_properties.plan != "free"`, true, true},
		{`user_properties.plan != "pro"`, false, true},
		{`not (user_properties.plan == "pro")`, false, true},
		{`(user_properties.plan ?? "free") != "free"`, true, false},
		{`(user_properties.plan ?? "free") == "free"`, false, true},
		{`country == nil`, false, true},
		{`nil == country`, false, true},
		{`country != nil`, true, false},
		{`country == user_properties.plan`, false, false},
		{`country != user_properties.plan`, true, true},
		{`country in ["DE", "AT"]`, true, false},
		{`country not in ["DE", "AT"]`, false, true},
		{`not (country in ["FR"])`, true, true},
		{`seats > 3`, true, false},
		{`seats <= 3`, false, false},
		{`not (seats > 3)`, false, true},
		{`seats > 3 or country == nil`, true, true},
		{`seats % 5 == 2 && spent * 2 == 19.0 || false`, true, false},
		{`seats == 12.0`, true, false},
		{`spent >= 9.5`, true, false},
		{`beta`, true, false},
		{`not beta`, false, true},
		{`!beta`, false, true},
		{`beta == true`, true, false},
		{`beta != true`, false, true},
		{`beta == (seats > 3)`, true, true},
		{`(country == "DE") == (seats > 3)`, true, true},
		{`(country == "DE") != (seats > 30)`, true, false},
		{`$env["lifetime value"] startsWith "hi"`, true, false},
		{`$env["in"] == "x"`, true, false},
		{`lower(country) == "de" and len(country) == 2 and upper(trim(country)) == country`, true, false},
		{`country matches "^[A-D]E$"`, true, false},
		{`country contains "D" and country endsWith "E"`, true, false},
		{`signup >= "2024-10-01"`, true, false},
		{`signup == "2024-10-04"`, true, false},
		{`seen > "2023-11-14T22:13:20.4" and seen < "2023-11-14T22:13:20.6"`, true, false},
		{`abs(seats - 20) < 10`, true, false},
	} {
		t.Run(test.text, func(t *testing.T) {
			w, err := compileWhere(test.text, whereColumns, acceptColumn)
			if err != nil {
				t.Errorf("%s: %v", test.text, err)
				return
			}
			for i, user := range []map[string]snapshot.Value{full, {}, full} { // the last one is remembered
				want := test.full
				if i == 1 {
					want = test.none
				}
				got, err := w.evaluate(cells(w, user))
				if err != nil || got != want {
					t.Errorf("%s for user %d: %v, %v, want %v", test.text, i, got, err, want)
				}
			}
		})
	}
}

func TestWhereErrors(t *testing.T) {
	for _, test := range []struct{ text, want, hint string }{
		{`contry == "DE"`, `there is no carried column "contry" (column 1 of the expression)`, `did you mean "country"?`},
		{`user_properties.plam == "x"`, `there is no carried column "user_properties.plam"`,
			`did you mean "user_properties.plan"?`},
		{`$env["quite other"] == "x"`, `no carried column "quite other"`, "--carry quite other"},
		{`country == 3`, "mismatched types string and int", ""},
		{`country > 3`, "mismatched types string and int", ""},
		{`seats == "3"`, "mismatched types int and string", ""},
		{`country`, "expected bool, but got string", ""},
		{`"a" == "b"`, "it looks at no column", ""},
		{`true`, "it looks at no column", ""},
		{`country ==`, "unexpected token EOF", ""},
		{`country == "DE`, "literal not terminated", ""},
		{`country matches user_properties.plan`, "matches needs a regular expression in quotes", ""},
		{`country matches "("`, "missing closing )", ""},
		{`seats in 1..1000000000`, ".. is not allowed in rules", ""},
		{`any([1,2], # == seats)`, "", ""},
		{`repeat(country, 100000) == "x"`, "", ""},
		{`let x = country; x == "DE"`, "is not allowed in rules", ""},
		{`seats > 1 ? true : false`, "is not allowed in rules", ""},
		{`country[0:1] == "D"`, "is not allowed in rules", ""},
		{`{"a": country} == nil`, "is not allowed in rules", ""},
		{`lenn(country) == 2`, "", ""},
		{`country == "DE" | len()`, "", ""},
		{`now() > seats`, "", ""},
		{strings.Repeat("not ", 1500) + "beta", "exceeds", ""},
	} {
		t.Run(fmt.Sprintf("%.60s", test.text), func(t *testing.T) {
			_, err := compileWhere(test.text, whereColumns, acceptColumn)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(pipeline.Hint(err), test.hint) ||
				strings.Contains(err.Error(), "\n") {
				t.Errorf("%.60s: error %v (hint %q), want %q (%q) in one line", test.text, err, pipeline.Hint(err), test.want,
					test.hint)
			}
		})
	}
	w, err := compileWhere(`seats % (seats - 1) == 0`, whereColumns, acceptColumn)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []snapshot.Value{textValue("many"), textValue("1")} {
		if _, err := w.evaluate(cells(w, map[string]snapshot.Value{"seats": v})); err == nil ||
			strings.Contains(err.Error(), "many") || strings.Contains(err.Error(), "runtime error") {
			t.Errorf("seats %s: %v, want an error that shows neither the value nor Go's words", v.Text, err)
		}
	}
}
