package snapshot

import (
	"bytes"
	"encoding/json"
	"math"
	"time"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// comparison compares what several outputs have of a user: the one whose format tells most with each of the others.
type comparison struct {
	check   *Check
	outputs []*output
	users   int64
	modes   map[string]textMode // of columns
	a, b    []byte
}

// textMode is whether a column has texts or JSON. CSV and Parquet have both as texts, JSONL tells them apart, so the
// first value that can be only one of them decides for its column.
type textMode uint8

const (
	modeUnknown textMode = iota
	modeText
	modeJSON
)

// compareRow compares the outputs' users of this row. An output that lacks it is at a later row, or at its end.
func (c *comparison) compareRow(row int64) {
	c.users++
	var first *output
	for _, o := range c.outputs {
		if !o.done && o.u.Row == row && (first == nil || o.exactness() > first.exactness()) {
			first = o
		}
	}
	for _, o := range c.outputs {
		switch {
		case o == first || o.r == nil || o.done && !o.read: // what cannot be read has its own finding
		case o.done || o.u.Row != row:
			c.check.fail(MissingRow, "row %d is in %s and not in %s", row, first.Path, o.Path)
		default:
			c.compareUsers(first, o)
		}
	}
}

func (c *comparison) compareUsers(a, b *output) {
	differ := func(flag Key, column string) {
		where := ""
		if flag != NoKey {
			where = ", flag " + a.showKey(flag)
		}
		c.check.failAs(column+" "+b.Path, Differing, "row %d%s, column %s: %s and %s differ", a.u.Row, where, show(column),
			a.Path,
			b.Path)
	}
	if !sameText(a, b, a.u.UserID, b.u.UserID) {
		differ(NoKey, "user_id")
	}
	if !sameText(a, b, a.u.DeviceID, b.u.DeviceID) {
		differ(NoKey, "device_id")
	}
	if a.u.EvaluatedAt != b.u.EvaluatedAt {
		differ(NoKey, "evaluated_at")
	}
	for i := range min(len(a.u.Cache), len(b.u.Cache)) {
		if !c.sameValue(cacheNames[i], a, b, &a.u.Cache[i], &b.u.Cache[i]) {
			differ(NoKey, cacheNames[i])
		}
	}
	for i := range min(len(a.u.Carry), len(b.u.Carry)) {
		if name := a.r.Carry[i].Name; !c.sameValue(name, a, b, &a.u.Carry[i], &b.u.Carry[i]) {
			differ(NoKey, name)
		}
	}
	for i := range max(len(a.u.Assignments), len(b.u.Assignments)) {
		if i >= len(a.u.Assignments) || i >= len(b.u.Assignments) ||
			!c.sameKey(a, b, a.u.Assignments[i].Flag, b.u.Assignments[i].Flag) {
			c.check.fail(Differing, "row %d: %s and %s do not have the same flags", a.u.Row, a.Path, b.Path)
			return
		}
		x, y := &a.u.Assignments[i], &b.u.Assignments[i]
		if x.Assigned != y.Assigned {
			differ(x.Flag, "outcome")
		}
		if !c.sameKey(a, b, x.Variant, y.Variant) {
			c.check.fail(Differing, "row %d, flag %s, column variant: %s in %s, %s in %s", a.u.Row, a.showKey(x.Flag),
				variantText(a, x), a.Path, variantText(b, y), b.Path)
		}
		if !c.sameKey(a, b, x.ExperimentKey, y.ExperimentKey) {
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
				same = c.sameValue(name, a, b, &x.Included[j], &y.Included[j])
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
	return o.showKey(a.Variant)
}

func (c *comparison) sameKey(a, b *output, x, y Key) bool {
	return x == y || (a.r.escaped != b.r.escaped || a.r.Format != b.r.Format) &&
		sameText(a, b, []byte(a.r.Keys.Name(x)), []byte(b.r.Keys.Name(y)))
}

// sameText compares texts. In an output with escaped formulas, '=x may be that or =x, and is read as =x.
func sameText(a, b *output, x, y []byte) bool {
	return bytes.Equal(x, y) || a.r.escaped != b.r.escaped && bytes.Equal(unescapeFormula(x), unescapeFormula(y))
}

// samePayload compares JSON texts. JSONL has a text that spans lines without the white space between its tokens,
// \ufffd in place of half of a surrogate pair, and null for a payload that is absent.
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

// sameValue compares two cells of a column, as far as their formats can tell.
func (c *comparison) sameValue(column string, a, b *output, x, y *Value) bool {
	if (a.csv() || b.csv()) && x.isEmpty() && y.isEmpty() { // which has no other way to write null
		return true
	}
	if x.Kind == pipeline.Null || y.Kind == pipeline.Null {
		return x.Kind == y.Kind || isNullFor(a, x, b, y) || isNullFor(b, y, a, x)
	}
	if x.Kind == y.Kind && x.Num == y.Num && bytes.Equal(x.Text, y.Text) && (x.json == nil) == (y.json == nil) {
		return true
	}
	if x.Kind == pipeline.Timestamp || y.Kind == pipeline.Timestamp {
		n, okX := x.parseMicros()
		m, okY := y.parseMicros()
		return okX && okY && n == m
	}
	c.a, c.b = x.AppendText(c.a[:0]), y.AppendText(c.b[:0])
	textSame := sameText(a, b, c.a, c.b)
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

// exactness orders formats by what they tell: Parquet has all types, JSONL those of JSON, CSV not even null.
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

// empty reports whether CSV has an empty cell for the value.
func (v *Value) isEmpty() bool {
	return v.Kind == pipeline.Null || v.Kind == pipeline.String && len(v.Text) == 0
}

// isNullFor reports whether x, in JSONL, is null because y is a number that JSON lacks.
func isNullFor(a *output, x *Value, b *output, y *Value) bool {
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

// parseMicros is a time in microseconds.
func (v *Value) parseMicros() (int64, bool) {
	if v.Kind == pipeline.Timestamp {
		return v.Num, true
	}
	t, err := time.Parse(time.RFC3339Nano, string(v.Text))
	return t.UnixMicro(), err == nil
}
