//go:build interop

package interop

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// table is what an output is to hold.
type table struct {
	columns []string
	rows    [][]value
}

// moment is a time that is known only within bounds, until an output of the run has said it.
type moment struct{ from, to time.Time }

// layout is what was asked for.
type layout struct {
	wide    bool
	flags   []string
	include []string
	carry   []string
	names   map[string]string // how columns are called instead
	configs string            // a file of flag configurations; "" is that of testdata
	failed  []int             // rows that have no assignments, although they have an id
}

// expect is what the users' assignments are in the layout, according to the engine.
func (u *users) expect(t *testing.T, l layout, m *snapshot.Manifest) *table {
	t.Helper()
	configs, err := os.ReadFile(cmp.Or(l.configs, flagConfigs))
	if err != nil {
		t.Fatal(err)
	}
	eng, err := engine.Parse(configs, engine.Hosted)
	if err != nil {
		t.Fatal(err)
	}
	optional := func(s string) value {
		if s == "" {
			return nil
		}
		return s
	}
	payload := func(s string) value {
		if s == "" {
			return nil
		}
		return jsonText(s)
	}
	out := &table{columns: []string{"row_number", "user_id", "device_id"}}
	if l.wide {
		for _, flag := range l.flags {
			out.columns = append(out.columns, flag)
			if len(l.include) > 0 {
				out.columns = append(out.columns, flag+".payload")
			}
		}
		out.columns = append(out.columns, "evaluated_at")
	} else {
		out.columns = append(out.columns, "flag_key", "outcome", "variant", "payload", "experiment_key", "evaluated_at")
		out.columns = append(out.columns, l.include...)
	}
	out.columns = append(out.columns, l.carry...)
	for i, column := range out.columns {
		if name, ok := l.names[column]; ok {
			out.columns[i] = name
		}
	}
	when := moment{m.StartedAt.Truncate(time.Millisecond), m.FinishedAt}
	for i, row := range u.rows {
		user := u.user(t, row)
		if user.UserID == "" && user.DeviceID == "" || slices.Contains(l.failed, i+1) {
			continue
		}
		answers := map[string]pipeline.Variant{}
		for _, v := range eng.Evaluate(user, l.flags) {
			if v.Answered() {
				answers[v.FlagKey] = v.Variant
			}
		}
		flags := l.flags
		if flags == nil {
			for flag := range answers {
				flags = append(flags, flag)
			}
			slices.Sort(flags)
		}
		start := []value{int64(i + 1), optional(user.UserID), optional(user.DeviceID)}
		var carried []value
		for _, name := range l.carry {
			carried = append(carried, row[u.column(name)])
		}
		if l.wide {
			for _, flag := range flags {
				start = append(start, optional(answers[flag].Key))
				if len(l.include) > 0 {
					start = append(start, payload(answers[flag].Payload))
				}
			}
			out.rows = append(out.rows, slices.Concat(start, []value{when}, carried))
			continue
		}
		for _, flag := range flags {
			a, assigned := answers[flag]
			outcome := "not_assigned"
			if assigned {
				outcome = "assigned"
			}
			long := slices.Concat(start, []value{flag, outcome, optional(a.Key), payload(a.Payload), optional(a.ExperimentKey),
				when})
			for _, column := range l.include {
				switch column {
				case "metadata":
					long = append(long, payload(a.Metadata))
				case "evaluation_id":
					long = append(long, optional(a.EvaluationID))
				case "value":
					long = append(long, optional(a.Value))
				}
			}
			out.rows = append(out.rows, append(long, carried...))
		}
	}
	return out
}

// format is what a file in a format can keep of the values, as DuckDB reads it by default.
type format struct {
	types       map[string]string // of columns, as DuckDB is to call them
	emptyIsNull bool              // an empty string is read as null
	jsonIsValue bool              // JSON is no text but a value: a null is read as null, and a string may be read as one
	oneZero     bool              // -0 is read as 0
}

// compare reports where what DuckDB found is not what was meant. Of a moment it keeps what DuckDB found, so that the
// next output of the run has to say the same.
func (want *table) compare(t *testing.T, file string, got *result, f format) {
	t.Helper()
	var names []string
	for _, c := range got.Columns {
		names = append(names, c.Name)
		if is, ok := f.types[c.Name]; ok && is != c.Type {
			t.Errorf("%s: column %q is %s, want %s", file, c.Name, c.Type, is)
		}
	}
	if !slices.Equal(names, want.columns) {
		t.Errorf("%s: columns %q, want %q", file, names, want.columns)
		return
	}
	if len(got.Rows) != len(want.rows) {
		t.Errorf("%s: %d rows, want %d", file, len(got.Rows), len(want.rows))
		return
	}
	wrong := map[string]int{}
	for i, row := range want.rows {
		for j, v := range row {
			is := got.Rows[i][j]
			if w, ok := v.(moment); ok {
				if at, err := duckTime(is); err == nil && !at.Before(w.from) && !at.After(w.to) {
					row[j] = at
					continue
				}
			} else if f.emptyIsNull && v == "" || f.jsonIsValue && v == jsonText("null") {
				if is == nil {
					continue
				}
			} else if text, ok := v.(jsonText); ok && f.jsonIsValue && got.Columns[j].Type == "VARCHAR" {
				if is != nil && sameJSON(string(text), string(appendJSON(nil, *is))) {
					continue
				}
			} else if f.oneZero && v == 0.0 && is != nil && *is == "0" || same(v, got.Columns[j].Type, is) {
				continue
			}
			if wrong[names[j]]++; wrong[names[j]] <= 2 {
				said := "null"
				if is != nil {
					said = fmt.Sprintf("%q", shorten(*is))
				}
				t.Errorf("%s: row %d, column %q (%s): got %s, want %s", file, i+1, names[j], got.Columns[j].Type, said,
					shorten(fmt.Sprintf("%T %#v", v, v)))
			}
		}
	}
	for name, n := range wrong {
		if n > 2 {
			t.Errorf("%s: column %q: %d values are wrong", file, name, n)
		}
	}
}

func duckTime(text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, fmt.Errorf("null")
	}
	micros, err := strconv.ParseInt(*text, 10, 64)
	return time.UnixMicro(micros).UTC(), err
}

// same reports whether what DuckDB found in a column of that type is the value. Which type the column has is checked
// for itself: here, a value may have any type that does not change it.
func same(want value, typ string, got *string) bool {
	if want == nil || got == nil {
		return want == nil && got == nil
	}
	switch v := want.(type) {
	case string:
		return (typ == "VARCHAR" || typ == "UUID") && *got == v
	case decimal:
		if typ == "DOUBLE" { // what read_csv takes digits with a point for
			return sameFloat(*got, string(v))
		}
		return (typ == "VARCHAR" || strings.HasPrefix(typ, "DECIMAL")) && *got == string(v)
	case int64:
		return (typ == "BIGINT" || typ == "HUGEINT") && *got == strconv.FormatInt(v, 10)
	case float64:
		return typ == "DOUBLE" && sameFloat(*got, strconv.FormatFloat(v, 'g', -1, 64))
	case bool:
		return typ == "BOOLEAN" && *got == strconv.FormatBool(v)
	case day:
		return typ == "DATE" && *got == string(v)
	case time.Time:
		at, err := duckTime(got)
		return err == nil && strings.HasPrefix(typ, "TIMESTAMP") && at.Equal(v)
	case anyJSON:
		return sameJSON(string(v), *got)
	case jsonText:
		if typ == "VARCHAR" { // the text is what was answered
			return *got == string(v)
		}
		return sameJSON(string(v), *got)
	}
	return false
}

func sameFloat(a, b string) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Float64bits(x) == math.Float64bits(y)
}

// sameJSON reports whether two JSON texts mean the same, where a struct of DuckDB has members that are null because
// those of other rows are not. Numbers are compared exactly.
func sameJSON(a, b string) bool {
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && reflect.DeepEqual(x, y)
}

func decode(text string) (any, error) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	err := d.Decode(&v)
	return canonical(v), err
}

func canonical(v any) any {
	switch v := v.(type) {
	case json.Number:
		if r, ok := new(big.Rat).SetString(v.String()); ok {
			return r.RatString()
		}
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
			} else {
				v[name] = canonical(member)
			}
		}
	case []any:
		for i := range v {
			v[i] = canonical(v[i])
		}
	}
	return v
}
