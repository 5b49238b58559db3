//go:build interop

package interop

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

const (
	flagConfigs = "../flags.json"
	usersFile   = "../users.csv"
)

// value is a cell as it was meant: nil, string, int64, float64, bool, time.Time (a timestamp), or one of the types
// below.
type value any

type (
	day      string // 2006-01-02
	decimal  string
	jsonText string // of which the text counts, where it is a text
	anyJSON  string // of which only the meaning counts
)

// users are users: what a file of them says.
type users struct {
	columns []userColumn
	rows    [][]value
}

type userColumn struct {
	name string
	typ  string // DuckDB's; all of a CSV's are VARCHAR
}

func (u *users) column(name string) int {
	return slices.IndexFunc(u.columns, func(c userColumn) bool { return c.name == name })
}

// testUsers are those of testdata/users.csv, an empty cell being null.
func testUsers(t *testing.T) *users {
	t.Helper()
	f, err := os.Open(usersFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // only read
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	u := &users{}
	for _, name := range records[0] {
		u.columns = append(u.columns, userColumn{name, "VARCHAR"})
	}
	for _, record := range records[1:] {
		row := make([]value, len(record))
		for i, cell := range record {
			if cell != "" {
				row[i] = cell
			}
		}
		u.rows = append(u.rows, row)
	}
	return u
}

// nastyIDs are ids that a reader may take for something else, or break a line at.
var nastyIDs = []string{
	"007", " lead", "trail ", "1e5", "NULL", "null", "nan", "NaN", "inf", "true", "t", "0", "-0", "0x1F", "1_000", "١٢٣",
	"9007199254740993", "18446744073709551616", "1.50", ".5", "2024-02-29", "2024-02-29T12:00:00Z", "12:30", "1 000",
	`say "hi"`, `"`, `""`, `"quoted"`, "a,b", "a;b", "a|b", "a\tb", "line\nbreak", "line\r\nbreak", "cr\ronly", "\n",
	"\r\n", "\t", ",", `\`, `\.`, `\n`, "back\\",
	"'", "it's", "=1+1", "+49", "-1", "@SUM(A1)", "#hash", "# comment", "//", "--", "/*", "%2F", "{}", `{"id":1}`, "[1,2]",
	"[]", "<a>&amp;",
	"🦊", "👩‍👩‍👧", "e\u0301", "é", "\u200b", "a\u00a0b", "\ufeffbom", "\u2028", "\u0085", "\x01\x02", "\x1b[31m", "\x7f",
	"田中さくら", "محمد",
	"_", "user_id", "(empty)", "N/A", "None", "undefined", "\\N", "NA",
}

// nastyUsers are users whose values are hard to write down, with columns of every type to be carried. Every cell of a
// column is hard in another row, and null in some.
func nastyUsers() *users {
	u := &users{columns: []userColumn{
		{"user_id", "VARCHAR"}, {"device_id", "VARCHAR"}, {"country", "VARCHAR"}, {"platform", "VARCHAR"},
		{"version", "VARCHAR"},
		{"user_properties.plan", "VARCHAR"}, {"user_properties.seats", "BIGINT"}, {"user_properties.tags", "VARCHAR[]"},
		{"groups.org", "VARCHAR"},
		{"an_int", "BIGINT"}, {"a_float", "DOUBLE"}, {"a_bool", "BOOLEAN"}, {"a_date", "DATE"}, {"a_time", "TIMESTAMP"},
		{"a_zoned_time", "TIMESTAMP WITH TIME ZONE"}, {"a_decimal", "DECIMAL(38,10)"}, {"a_text", "VARCHAR"},
		{"aList", "VARCHAR[]"}, {"Ein Text, \"quoted\"", "VARCHAR"},
	}}
	at := func(s string) value {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			panic(err)
		}
		return t
	}
	// DuckDB's dictionaries make one of the two zeros, so there is only the negative one.
	ints := []value{int64(0), int64(1 << 53), int64(1<<53 + 1), int64(-1<<53 - 1), int64(math.MaxInt64),
		int64(math.MinInt64), nil, int64(-7)}
	floats := []value{1e-300, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, 1e21, 1e-7, 123456789.125, nil, 1.0,
		-2.5e-10, 9007199254740993.0, math.Copysign(0, -1)}
	bools := []value{true, false, nil}
	days := []value{day("1969-12-31"), day("0001-01-01"), day("1582-10-15"), day("2024-02-29"), day("9999-12-31"), nil,
		day("1970-01-01")}
	times := []value{at("1969-12-31T23:59:59.999999Z"), at("0001-01-01T00:00:00Z"), at("2024-02-29T12:30:15Z"),
		at("9999-12-31T23:59:59.999999Z"), nil,
		at("2026-03-29T02:30:00.5Z"), at("1900-01-01T00:00:00.000001Z")}
	decimals := []value{decimal("0.0000000000"), decimal("-0.0000000001"),
		decimal("1234567890123456789012345678.9012345678"), nil, decimal("0.1000000000"),
		decimal("-99999999999999999999.9900000000")}
	texts := []value{"plain", nil, "comma, quote \" and\nnewline", " both ends ", "=HYPERLINK(\"x\")", "🙂\r\n", "007",
		"\x01", "NULL", ""}
	lists := []value{jsonText(`["a","b"]`), nil, jsonText(`[]`), jsonText(`["comma, quote \" and\nnewline","","007"]`),
		jsonText(`["🙂"]`), jsonText(`["a",null]`)}
	plans := []value{"free", "pro", "team", "enterprise", nil}
	countries := []value{"United States", "Germany", nil, "Côte d'Ivoire", "Türkiye"}
	seats := []value{int64(5), int64(1), nil, int64(40)}
	orgs := []value{"Acme", nil, "Globex", "Initech", "Hooli", "Stark, Inc.", "Wayne \"Bats\" Ltd"}
	tags := []value{jsonText(`["vip"]`), nil, jsonText(`["partner","beta-tester"]`), jsonText(`[]`)}
	platforms := []value{"iOS", "Android", "Web", nil}
	versions := []value{"4.10.0", "4.9.3", nil, "5.0.0-rc.1"}

	pick := func(of []value, i int) value { return of[i%len(of)] }
	ids := slices.Concat(nastyIDs, []string{strings.Repeat("x7f-", 75_000)})
	for i, id := range append(ids, make([]string, 13)...) {
		var userID, deviceID value = id, fmt.Sprintf("device-%03d", i)
		switch {
		case id == "" && i == len(ids): // has a device only
			userID = nil
		case id == "": // has neither: an error record
			userID, deviceID = nil, nil
		case i%5 == 3:
			deviceID = nil
		case i%7 == 4:
			userID, deviceID = deviceID, id
		}
		u.rows = append(u.rows, []value{
			userID, deviceID, pick(countries, i), pick(platforms, i/2), pick(versions, i/3), pick(plans, i), pick(seats, i/4),
			pick(tags, i/2), pick(orgs, i),
			pick(ints, i), pick(floats, i), pick(bools, i), pick(days, i), pick(times, i), pick(times, i/2), pick(decimals, i),
			pick(texts, i), pick(lists, i), pick(texts, i+2),
		})
	}
	u.rows[5][u.column("a_text")] = strings.Repeat("long, \"text\"\n", 24000)
	return u
}

// asTexts are the users as a text format has them: of the columns that are to be carried, those without a type there
// are texts. In a CSV, an empty text is null.
func (u *users) asTexts(emptyIsNull bool, typed ...string) *users {
	texts := &users{columns: u.columns}
	for _, row := range u.rows {
		row = slices.Clone(row)
		for i, v := range row {
			if v != nil && slices.Contains(carried, u.columns[i].name) && !slices.Contains(typed, u.columns[i].name) {
				row[i] = cellText(v)
			}
			if v == "" && emptyIsNull {
				row[i] = nil
			}
		}
		texts.rows = append(texts.rows, row)
	}
	return texts
}

// cellText is how a text format holds the value, of the input and of the output: null and "" are both empty, and a
// time has its microseconds.
func cellText(v value) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case time.Time:
		return v.UTC().Format("2006-01-02T15:04:05.000000Z")
	case float64:
		if a := math.Abs(v); a != 0 && (a < 1e-6 || a >= 1e21) { // as JavaScript writes them
			return strconv.FormatFloat(v, 'e', -1, 64)
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

// writeCSV writes the users with encoding/csv, in quotes all that is not null.
func (u *users) writeCSV(t *testing.T, path string, comma rune) {
	t.Helper()
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Comma = comma
	record := make([]string, len(u.columns))
	for i, c := range u.columns {
		record[i] = c.name
	}
	for i := -1; i < len(u.rows); i++ {
		if i >= 0 {
			for j, v := range u.rows[i] {
				record[j] = cellText(v)
			}
		}
		if err := w.Write(record); err != nil {
			t.Fatal(err)
		}
	}
	w.Flush()
	write(t, path, b.String())
}

// writeJSONL writes the users as JSON, every value as a text if texts is set and as itself otherwise.
func (u *users) writeJSONL(t *testing.T, path string, texts bool) {
	t.Helper()
	var b strings.Builder
	for _, row := range u.rows {
		b.WriteByte('{')
		for i, v := range row {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(appendJSON(nil, u.columns[i].name))
			b.WriteByte(':')
			if _, at := v.(time.Time); at || v != nil && texts {
				v = cellText(v)
			}
			b.Write(appendJSON(nil, v))
		}
		b.WriteString("}\n")
	}
	write(t, path, b.String())
}

// appendJSON appends the value as JSON.
func appendJSON(dst []byte, v value) []byte {
	switch x := v.(type) {
	case jsonText:
		return append(dst, x...)
	case time.Time:
		v = x.UTC().Format(time.RFC3339Nano)
	case day:
		v = string(x)
	case decimal:
		v = string(x)
	}
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return append(dst, text...)
}

// load makes the users a table of DuckDB, with their types, and returns what it is called.
func (u *users) load(t *testing.T, table string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "users.jsonl")
	u.writeJSONL(t, file, true)
	var texts, casts []string
	for _, c := range u.columns {
		texts = append(texts, quote(c.name)+": 'VARCHAR'")
		cast := fmt.Sprintf("%s::%s", name(c.name), c.typ)
		if strings.HasSuffix(c.typ, "[]") {
			cast = fmt.Sprintf("%s::JSON::%s", name(c.name), c.typ)
		}
		casts = append(casts, cast+" AS "+name(c.name))
	}
	query(t, fmt.Sprintf("CREATE OR REPLACE TABLE %s AS SELECT %s FROM read_json(%s, format='newline_delimited', "+
		"columns={%s})",
		table, strings.Join(casts, ", "), quote(file), strings.Join(texts, ", ")))
	if got := query(t, "SELECT count(*) FROM "+table); *got.Rows[0][0] != strconv.Itoa(len(u.rows)) {
		t.Fatalf("DuckDB has %s of %d users", *got.Rows[0][0], len(u.rows))
	}
	return table
}

// user is what Amplitude is asked about the row: the columns whose names say so.
func (u *users) user(t *testing.T, row []value) *pipeline.User {
	t.Helper()
	user := &pipeline.User{}
	context, properties := map[string]any{}, map[string]any{}
	for i, c := range u.columns {
		v := row[i]
		if v == nil || v == "" && c.name != "user_id" && c.name != "device_id" {
			continue
		}
		kind, property, _ := strings.Cut(c.name, ".")
		switch kind {
		case "user_id":
			user.UserID = v.(string)
		case "device_id":
			user.DeviceID = v.(string)
		case "country", "city", "language", "platform", "os", "version":
			context[c.name] = v
		case "user_properties":
			properties[property] = json.RawMessage(appendJSON(nil, v))
		case "groups":
			context["groups"] = map[string]any{property: []any{v}}
		}
	}
	if len(properties) > 0 {
		context["user_properties"] = properties
	}
	text, err := json.Marshal(context)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := pipeline.ParseJSON(string(text))
	if err != nil {
		t.Fatal(err)
	}
	user.Context = parsed.Members
	return user
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
