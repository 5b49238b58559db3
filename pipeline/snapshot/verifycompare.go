package snapshot

import (
	"bytes"
	"encoding/json"
	"math"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// comparison holds what several outputs say of a user against each other: the one whose format says the most against
// every other one.
type comparison struct {
	check   *Check
	outputs []*output
	users   int64
	modes   map[string]textMode // of columns
	a, b    []byte
}

// textMode is whether a column holds texts or JSON. In CSV and Parquet both are texts, JSONL tells them apart, so the
// first value that can be only one of them decides for its column.
type textMode uint8

const (
	modeUnknown textMode = iota
	modeText
	modeJSON
)

// compare compares the outputs' users of this row. One that lacks it has another, or none.
func (c *comparison) compare(row int64) {
	c.users++
	var first *output
	for _, o := range c.outputs {
		if !o.done && o.u.Row == row && (first == nil || o.exactness() > first.exactness()) {
			first = o
		}
	}
	for _, o := range c.outputs {
		switch {
		case o == first || o.r == nil || o.done && !o.read: // the latter has its own finding
		case o.done || o.u.Row != row:
			c.check.fail("row %d is in %s and not in %s", row, first.Path, o.Path)
		default:
			c.same(first, o)
		}
	}
}

func (c *comparison) same(a, b *output) {
	differ := func(flag Key, column string) {
		where := ""
		if flag != NoKey {
			where = ", flag " + a.name(flag)
		}
		c.check.failAs(column+" "+b.Path, "row %d%s, column %s: %s and %s differ", a.u.Row, where, show(column), a.Path, b.Path)
	}
	if !c.id(a, b, a.u.UserID, b.u.UserID) {
		differ(NoKey, "user_id")
	}
	if !c.id(a, b, a.u.DeviceID, b.u.DeviceID) {
		differ(NoKey, "device_id")
	}
	if a.u.EvaluatedAt != b.u.EvaluatedAt {
		differ(NoKey, "evaluated_at")
	}
	for i := range min(len(a.u.Carry), len(b.u.Carry)) {
		if name := a.r.Carry[i].Name; !c.value(name, a, b, &a.u.Carry[i], &b.u.Carry[i]) {
			differ(NoKey, name)
		}
	}
	for i := range max(len(a.u.Assignments), len(b.u.Assignments)) {
		if i >= len(a.u.Assignments) || i >= len(b.u.Assignments) || !c.key(a, b, a.u.Assignments[i].Flag, b.u.Assignments[i].Flag) {
			c.check.fail("row %d: %s and %s have not the same flags", a.u.Row, a.Path, b.Path)
			return
		}
		x, y := &a.u.Assignments[i], &b.u.Assignments[i]
		if x.Assigned != y.Assigned {
			differ(x.Flag, "outcome")
		}
		if !c.key(a, b, x.Variant, y.Variant) {
			c.check.fail("row %d, flag %s, column variant: %s in %s, %s in %s", a.u.Row, a.name(x.Flag),
				variantText(a, x), a.Path, variantText(b, y), b.Path)
		}
		if !c.key(a, b, x.ExperimentKey, y.ExperimentKey) {
			differ(x.Flag, "experiment_key")
		}
		if !samePayload(x.Payload, y.Payload) {
			differ(x.Flag, "payload")
		}
		for j := range min(len(x.Included), len(y.Included)) {
			name := a.r.Included[j]
			same := false
			if name == "metadata" {
				same = samePayload(payloadText(&x.Included[j]), payloadText(&y.Included[j]))
			} else {
				same = c.value(name, a, b, &x.Included[j], &y.Included[j])
			}
			if !same {
				differ(x.Flag, name)
			}
		}
	}
}

func variantText(o *output, a *Assignment) string {
	if a.Variant == NoKey {
		return "null"
	}
	return o.name(a.Variant)
}

func (c *comparison) key(a, b *output, x, y Key) bool {
	return x == y || (a.r.escaped != b.r.escaped || a.r.Format != b.r.Format) && a.r.Text(x) == b.r.Text(y)
}

func (c *comparison) id(a, b *output, x, y []byte) bool {
	return bytes.Equal(x, y) || a.r.escaped != b.r.escaped && a.r.Unescape(string(x)) == b.r.Unescape(string(y))
}

// samePayload compares JSON texts. JSONL has one that spans lines without the white space between its tokens, \ufffd
// for half of a surrogate pair, and null for one that is absent or null.
func samePayload(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	if isNull(a) && isNull(b) {
		return true
	}
	a, b = mendSurrogates(a), mendSurrogates(b)
	if !bytes.ContainsAny(a, "\r\n") && !bytes.ContainsAny(b, "\r\n") {
		return bytes.Equal(a, b)
	}
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}

func mendSurrogates(json []byte) []byte {
	mended, halves := pipeline.MendSurrogates(string(json))
	if halves == 0 {
		return json
	}
	return []byte(mended)
}

func isNull(b []byte) bool { return len(b) == 0 || string(b) == "null" }

// value compares two cells of a column, as far as their formats can tell.
func (c *comparison) value(column string, a, b *output, x, y *Value) bool {
	if (a.csv() || b.csv()) && x.empty() && y.empty() { // null and empty are one there
		return true
	}
	if x.Kind == pipeline.Null || y.Kind == pipeline.Null {
		return x.Kind == y.Kind || lacks(a, x, b, y) || lacks(b, y, a, x)
	}
	if x.Kind == y.Kind && x.Num == y.Num && bytes.Equal(x.Text, y.Text) && (x.json == nil) == (y.json == nil) {
		return true
	}
	if x.Kind == pipeline.Timestamp || y.Kind == pipeline.Timestamp {
		n, okX := x.micros()
		m, okY := y.micros()
		return okX && okY && n == m
	}
	c.a, c.b = x.AppendText(c.a[:0]), y.AppendText(c.b[:0])
	textSame := bytes.Equal(c.a, c.b) || a.r.escaped != b.r.escaped && a.r.Unescape(string(c.a)) == b.r.Unescape(string(c.b))
	if x.json == nil && y.json == nil || x.json != nil && y.json != nil {
		return textSame
	}
	if y.json != nil {
		x, y, c.a, c.b = y, x, c.b, c.a
	}
	if x.Kind != pipeline.String {
		return textSame || samePayload(x.json, c.b)
	}
	jsonSame := samePayload(x.json, c.b)
	switch mode := c.modes[column]; {
	case mode == modeText:
		return textSame
	case mode == modeJSON:
		return jsonSame
	case textSame:
		c.modes[column] = modeText
	case jsonSame:
		c.modes[column] = modeJSON
	}
	return textSame || jsonSame
}

// exactness: Parquet knows all types, JSONL those of JSON, CSV not even null.
func (o *output) exactness() int {
	switch o.r.Format {
	case "parquet":
		return 2
	case "jsonl":
		return 1
	}
	return 0
}

// csv reports whether the output is CSV or TSV.
func (o *output) csv() bool { return o.r.Format == "csv" || o.r.Format == "tsv" }

// empty: what CSV has an empty cell for.
func (v *Value) empty() bool {
	return v.Kind == pipeline.Null || v.Kind == pipeline.String && len(v.Text) == 0
}

// lacks reports whether x, in JSONL, is the null for a number that JSON has not, and y is that number.
func lacks(a *output, x *Value, b *output, y *Value) bool {
	if a.r.Format != "jsonl" || x.Kind != pipeline.Null {
		return false
	}
	if y.Kind == pipeline.Float {
		f := math.Float64frombits(uint64(y.Num))
		return math.IsNaN(f) || math.IsInf(f, 0)
	}
	text := string(y.Text)
	return b.csv() && (text == "NaN" || text == "Infinity" || text == "-Infinity")
}

// micros is a time in microseconds.
func (v *Value) micros() (int64, bool) {
	if v.Kind == pipeline.Timestamp {
		return v.Num, true
	}
	t, err := time.Parse(time.RFC3339Nano, string(v.Text))
	return t.UnixMicro(), err == nil
}
