package pipelinetest

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rollcall-cli/rollcall/pipeline"
)

// sourceHeader and sourceUsers are the users that every source must read: their cells, and the expected users.
// An empty cell stands for an absent value: an empty cell, a null, or no member at all.
var sourceHeader = []string{
	"plain", "user_id", "groups.org", "device_id", "user_properties.plan", "country", "group_properties.org.tier",
	"user_properties.age", "context", "group_properties.org.size", "groups.team",
}

var sourceUsers = []struct {
	name    string
	cells   []string
	id, dev string
	context string // as JSON
	kind    pipeline.Kind
}{
	{name: "everything", cells: []string{"not sent", "u1", "acme", "d1", "pro", "DE", "gold", "42", "", "9", "red"},
		id: "u1", dev: "d1",
		context: `{"country":"DE","group_properties":{"org":{"acme":{"size":"9","tier":"gold"}}},"groups":{"org":["acme"],"team":["red"]},"user_properties":{"age":"42","plan":"pro"}}`},
	{name: "id alone", cells: []string{"", "u2", "", "", "", "", "", "", "", "", ""}, id: "u2", context: `{}`},
	{name: "device alone", cells: []string{"", "", "", "d3", "", "", "", "", "", "", ""}, dev: "d3", context: `{}`},
	{name: "neither", cells: []string{"x", "", "acme", "", "pro", "DE", "", "", "", "", ""}, kind: pipeline.KindMissingID},
	{name: "numeric id", cells: []string{"", "007", "", "1e5", "", "", "", "", "", "", ""}, id: "007", dev: "1e5",
		context: `{}`},
	{name: "id with special characters", cells: []string{"", " a&flag_keys=x%2F+#\"' ", "", "🦊\n\t", "", "", "", "", "",
		"", ""},
		id: " a&flag_keys=x%2F+#\"' ", dev: "🦊\n\t", context: `{}`},
	{name: "property of no group", cells: []string{"", "u7", "", "", "", "", "gold", "", "", "", ""}, id: "u7",
		context: `{}`},
	{name: "context alone", cells: []string{"", "", "", "", "", "", "", "",
		`{"user_id":"c8","device_id":9007199254740993,"os":"ios","x":{"b":1,"a":[]}}`, "", ""},
		id: "c8", dev: "9007199254740993", context: `{"os":"ios","x":{"a":[],"b":1}}`},
	{name: "columns override a context", cells: []string{"", "u9", "acme", "", "pro", "DE", "gold", "",
		`{"user_id":"no","country":"FR","city":"Nice",` +
			`"user_properties":{"plan":"free","seats":3,"gone":null},"groups":{"org":["old"],"team":"blue"},` +
			`"group_properties":{"org":{"old":{"tier":"tin"},"acme":{"size":1.50,"tier":"tin"}}}}`, "", ""}, id: "u9",
		context: `{"city":"Nice","country":"DE","group_properties":{"org":{"acme":{"size":1.50,"tier":"gold"},"old":{"tier":"tin"}}},` +
			`"groups":{"org":["acme"],"team":["blue"]},"user_properties":{"plan":"pro","seats":3}}`},
	{name: "group of the context", cells: []string{"", "u10", "", "", "", "", "gold", "", `{"groups":{"org":["old"]}}`, "",
		""}, id: "u10",
		context: `{"group_properties":{"org":{"old":{"tier":"gold"}}},"groups":{"org":["old"]}}`},
	{name: "context that is not an object", cells: []string{"", "u11", "", "", "", "", "", "", `["a"]`, "", ""}, id: "u11",
		kind: pipeline.KindInvalidContext},
	{name: "context that is not JSON", cells: []string{"", "u12", "", "", "", "", "", "", `{"a":`, "", ""}, id: "u12",
		kind: pipeline.KindInvalidContext},
	{name: "context of a wrong shape", cells: []string{"", "u13", "", "", "", "", "", "", `{"user_properties":[]}`, "",
		""}, id: "u13", kind: pipeline.KindInvalidContext},
	{name: "context of a wrong group", cells: []string{"", "u14", "", "", "", "", "", "", `{"groups":{"org":{}}}`, "", ""},
		id: "u14", kind: pipeline.KindInvalidContext},
	{name: "last", cells: []string{"", "u15", "", "", "", "", "", "1", "", "", "t"}, id: "u15",
		context: `{"groups":{"team":["t"]},"user_properties":{"age":"1"}}`},
}

// TestSource is the suite that every source passes: all formats give the same users.
//
// open writes the header and the rows, in which "" is absent, in the source's format and opens them without a mapping
// of columns.
func TestSource(t *testing.T, open func(tb testing.TB, header []string, rows [][]string) pipeline.Source) {
	t.Helper()
	var rows [][]string
	for _, u := range sourceUsers {
		rows = append(rows, u.cells)
	}

	t.Run("users", func(t *testing.T) {
		src := open(t, sourceHeader, rows)
		defer mustClose(t, src)
		var row pipeline.Row // has the values of another row, like one that is reused
		row.Carry = []pipeline.Value{pipeline.StringValue("stale")}
		row.Err = pipeline.Errorf(pipeline.KindBadRow, "stale")
		row.User.UserID = "stale"
		for i, want := range sourceUsers {
			if err := src.Next(&row); err != nil {
				t.Fatalf("%s: Next: %v", want.name, err)
			}
			if row.Number != int64(i+1) {
				t.Errorf("%s: number %d, want %d", want.name, row.Number, i+1)
			}
			if len(row.Carry) != 0 {
				t.Errorf("%s: Carry %v, want none", want.name, row.Carry)
			}
			checkUser(t, want.name, &row, want.id, want.dev, want.context, want.kind)
		}
		for range 3 {
			if err := src.Next(&row); !errors.Is(err, io.EOF) {
				t.Fatalf("Next after the last row: %v, want io.EOF each time", err)
			}
		}
	})

	t.Run("strings stay valid", func(t *testing.T) {
		src := open(t, sourceHeader, rows)
		defer mustClose(t, src)
		var one, other pipeline.Row
		mustNext(t, src, &one)
		first := one.User
		before := string(pipeline.AppendObject(nil, first.Context))
		for range len(rows) - 1 {
			mustNext(t, src, &other)
		}
		if after := string(pipeline.AppendObject(nil, first.Context)); after != before || first.UserID != "u1" {
			t.Errorf("a row that was kept changed: id %q, context\n%s, want\n%s", first.UserID, after, before)
		}
	})

	t.Run("input", func(t *testing.T) {
		src := open(t, sourceHeader, rows)
		defer mustClose(t, src)
		var row pipeline.Row
		for _, u := range sourceUsers {
			mustNext(t, src, &row)
			for i, name := range sourceHeader {
				at := slices.IndexFunc(row.Input, func(m pipeline.Member) bool { return m.Name == name })
				if at < 0 {
					if u.cells[i] != "" && name != "plain" { // a source may leave out columns that are not used
						t.Errorf("%s: Input lacks %s", u.name, name)
					}
					continue
				}
				if got := string(row.Input[at].Value.AppendText(nil)); got != u.cells[i] {
					t.Errorf("%s: Input has %s = %q, want %q", u.name, name, got, u.cells[i])
				}
			}
		}
	})

	t.Run("no rows", func(t *testing.T) {
		src := open(t, sourceHeader, nil)
		defer mustClose(t, src)
		var row pipeline.Row
		for range 2 {
			if err := src.Next(&row); !errors.Is(err, io.EOF) {
				t.Fatalf("Next: %v, want io.EOF", err)
			}
		}
	})

	t.Run("close early and twice", func(t *testing.T) {
		src := open(t, sourceHeader, rows)
		var row pipeline.Row
		mustNext(t, src, &row)
		mustClose(t, src)
		mustClose(t, src)
		if err := src.Next(&row); err == nil {
			t.Error("Next after Close: no error")
		}
	})

	t.Run("many rows", func(t *testing.T) {
		const n = 3000
		many := make([][]string, n)
		for i := range many {
			many[i] = []string{fmt.Sprintf("user-%d", i), ""}
			if i%3 != 0 {
				many[i][1] = fmt.Sprintf("plan-%d", i%5)
			}
		}
		src := open(t, []string{"user_id", "user_properties.plan"}, many)
		defer mustClose(t, src)
		ring := make([]pipeline.Row, 7) // a pipeline reuses its rows like this
		for i := range many {
			row := &ring[i%len(ring)]
			mustNext(t, src, row)
			want := `{}`
			if many[i][1] != "" {
				want = `{"user_properties":{"plan":"` + many[i][1] + `"}}`
			}
			if row.Number != int64(i+1) {
				t.Fatalf("number %d, want %d", row.Number, i+1)
			}
			checkUser(t, many[i][0], row, many[i][0], "", want, "")
		}
	})
}

func checkUser(t *testing.T, name string, row *pipeline.Row, id, dev, context string, kind pipeline.Kind) {
	t.Helper()
	if row.User.UserID != id || row.User.DeviceID != dev {
		t.Errorf("%s: ids %q and %q, want %q and %q", name, row.User.UserID, row.User.DeviceID, id, dev)
	}
	if kind != "" {
		if row.Err == nil || row.Err.Kind != kind {
			t.Errorf("%s: error %v, want %s", name, row.Err, kind)
		}
		return
	}
	if row.Err != nil {
		t.Errorf("%s: %v", name, row.Err)
		return
	}
	if got := string(pipeline.AppendObject(nil, row.User.Context)); got != context {
		t.Errorf("%s: context (-want +got)\n%s", name, cmp.Diff(context, got))
	}
}

func mustNext(t *testing.T, src pipeline.Source, row *pipeline.Row) {
	t.Helper()
	if err := src.Next(row); err != nil {
		t.Fatalf("Next: %v", err)
	}
}

func mustClose(t *testing.T, src pipeline.Source) {
	t.Helper()
	if err := src.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
