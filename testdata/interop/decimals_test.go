//go:build interop

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// Decimals of every size that Parquet stores in its own way, up to the limits and with the point anywhere, keep their
// types and all their digits.
func TestDecimals(t *testing.T) {
	u := &users{columns: []userColumn{{"user_id", "VARCHAR"}}}
	u.rows = make([][]value, 7)
	for i := range u.rows {
		u.rows[i] = []value{fmt.Sprintf("user-%d", i)}
	}
	var carry []string
	types := map[string]string{}
	for _, precision := range []int{1, 9, 10, 18, 19, 21, 22, 28, 29, 37, 38} {
		for _, scale := range []int{0, (precision + 1) / 2, precision} {
			name := fmt.Sprintf("d_%d_%d", precision, scale)
			if len(carry) > 0 && carry[len(carry)-1] == name {
				continue
			}
			carry = append(carry, name)
			types[name] = fmt.Sprintf("DECIMAL(%d,%d)", precision, scale)
			u.columns = append(u.columns, userColumn{name, types[name]})
			for i, digits := range []string{strings.Repeat("9", precision), "1", "0", "", "-" + strings.Repeat("9", precision),
				"-1", strings.Repeat("7", (precision+1)/2)} {
				var v value
				if digits != "" {
					v = decimal(withPoint(digits, scale))
				}
				u.rows[i] = append(u.rows[i], v)
			}
		}
	}
	input := filepath.Join(t.TempDir(), "decimals.parquet")
	query(t, fmt.Sprintf("COPY %s TO %s (FORMAT parquet)", u.load(t, "decimals"), quote(input)))
	args := []string{"--evaluator", "local", "--flags", "dark-mode", "--carry", strings.Join(carry, ",")}
	files, m := takeSnapshot(t, 0, []string{input}, args...)
	want := u.expect(t, layout{flags: []string{"dark-mode"}, carry: carry}, m)
	run(t, 0, "verify", files[0])

	texts, declared := map[string]string{}, []string{"user_id: 'VARCHAR'", "device_id: 'VARCHAR'"}
	for _, name := range carry {
		texts[name] = "VARCHAR"
		declared = append(declared, name+": '"+types[name]+"'")
	}
	for _, file := range files {
		from, f := reader(file), format{types: types}
		switch kind(file) {
		case "jsonl":
			f = format{types: texts, jsonIsValue: true}
			alone := &table{columns: carry}
			for _, row := range want.rows {
				alone.rows = append(alone.rows, row[len(row)-len(carry):])
			}
			alone.compare(t, filepath.Base(file)+", declared",
				query(t, fmt.Sprintf("SELECT * FROM read_json(%s, columns = {%s})", quote(file), strings.Join(declared[2:], ", "))),
				format{types: types})
		case "csv", "tsv":
			from = fmt.Sprintf("read_csv(%s, types = {%s})", quote(file), strings.Join(declared, ", "))
		}
		want.compare(t, filepath.Base(file), query(t, "SELECT * FROM "+from), f)
	}

	// The statistics are the least and the greatest, and a filter that they help finds what a scan does.
	for i, name := range carry {
		got := row(query(t, fmt.Sprintf("SELECT stats_min_value, stats_max_value, stats_null_count FROM "+
			"parquet_metadata(%s) WHERE path_in_schema = '%s'", quote(files[0]), name)), 0)
		least, most := u.rows[4][i+1].(decimal), u.rows[0][i+1].(decimal)
		// DuckDB leaves out the zero before the point where the type has no place for it.
		if withZero(got[0]) != string(least) || withZero(got[1]) != string(most) || got[2] != "1" {
			t.Errorf("statistics of %s: %q, want %s, %s, 1", name, got, least, most)
		}
		for _, v := range u.rows {
			if v[i+1] == nil {
				continue
			}
			found := row(query(t, fmt.Sprintf("SELECT (SELECT count(*) FROM read_parquet(%s) WHERE %s = '%s'::%s), (SELECT "+
				"count(*) FILTER (%[2]s = '%[3]s'::%[4]s) FROM read_parquet(%[1]s))",
				quote(files[0]), name, v[i+1], types[name])), 0)
			if found[0] != found[1] || found[0] == "0" {
				t.Errorf("%s = %s finds %s rows, a scan %s", name, v[i+1], found[0], found[1])
			}
		}
	}

	// An output is an input like another.
	again, m := takeSnapshot(t, 0, []string{files[0]}, args...)
	u.expect(t, layout{flags: []string{"dark-mode"}, carry: carry}, m).compare(t, "a snapshot of the output",
		query(t, "SELECT * FROM "+reader(again[0])), format{types: types})
}

// withPoint is the number with a point before its last digits.
func withPoint(digits string, scale int) string {
	digits, negative := strings.CutPrefix(digits, "-")
	if missing := scale + 1 - len(digits); missing > 0 {
		digits = strings.Repeat("0", missing) + digits
	}
	if scale > 0 {
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if negative {
		return "-" + digits
	}
	return digits
}

func withZero(number string) string {
	if digits, negative := strings.CutPrefix(number, "-"); strings.HasPrefix(digits, ".") {
		return map[bool]string{true: "-"}[negative] + "0" + digits
	}
	return number
}
