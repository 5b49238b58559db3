package snapshot

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// output is one file of assignments while it is verified: its user at hand, and what was counted so far.
type output struct {
	*located
	v *verifier
	r *Reader
	u User

	schema, rows, order, outcomes, counts *Check

	done     bool
	last     int64 // row number
	users    int64
	assigned int64
	escaped  bool // a ' before a formula is not part of the text
	flags    []flagSeen
	asked    []Key // the flags in the order in which each user should have them; nil: sorted
	sorted   []Key // the flags of the last user, which were in order
}

// flagSeen counts the users of a flag in one output.
type flagSeen struct {
	assigned, not int64
	variants      []int64 // by Key
}

func (v *verifier) newOutput(l *located) *output {
	base, _, _ := formatOf(l.Path)
	return &output{
		located: l, v: v, escaped: v.escaped && (base == "csv" || base == "tsv"),
		schema: v.check("columns", l.Path), rows: v.check("rows", l.Path), order: v.check("order", l.Path),
		outcomes: v.check("outcomes", l.Path), counts: v.check("counts", l.Path),
	}
}

// open opens the file and looks at its columns.
func (o *output) open() {
	r, err := Open(o.Path, Options{Manifest: o.v.m, Keys: &o.v.keys})
	if err != nil {
		o.schema.fail("%v", err)
		o.skip("the file cannot be opened")
		return
	}
	o.r = r
	o.checkSchema()
}

// skip says why the checks of the content were not made.
func (o *output) skip(why string) {
	o.done = true
	for _, c := range []*Check{o.rows, o.order, o.outcomes, o.counts} {
		if c.Status == StatusOK {
			c.Status, c.Detail = StatusSkipped, why
		}
	}
}

// wantColumns are the columns that the options make, without the carried ones; "" is one of any name.
func (v *verifier) wantColumns() []string {
	include := v.m.List("include")
	if v.layout() == "long" {
		return slices.Concat(longNames, include)
	}
	names := slices.Clone(longNames[:colFlag])
	for _, flag := range v.flags {
		if !v.ordered {
			flag = ""
		}
		names = append(names, flag)
		switch {
		case len(include) > 0 && flag != "":
			names = append(names, flag+".payload")
		case len(include) > 0:
			names = append(names, "")
		}
	}
	return append(names, longNames[colAt])
}

func (v *verifier) layout() string {
	if v.m.Options["layout"] == "wide" {
		return "wide"
	}
	return "long"
}

func (o *output) checkSchema() {
	c, r, v := o.schema, o.r, o.v
	c.Detail = fmt.Sprintf("%s layout, %d columns", v.layout(), len(r.Columns))
	if len(r.Columns) == 0 { // JSONL says its columns in its rows
		c.Detail = "no rows, so no columns"
		return
	}
	if wide := v.layout() == "wide"; wide != r.Wide {
		c.fail("the layout is not the one of the manifest, %s", v.layout())
		return
	}
	names := make([]string, len(r.Columns))
	for i, name := range r.Columns {
		names[i] = o.unescape(name)
	}
	want := v.wantColumns()
	if len(names) < len(want) {
		c.fail("it has %d columns, want %d at least", len(names), len(want))
		return
	}
	for i, name := range want {
		if name != "" && names[i] != name && !(v.snake && plainName(names[i]) == plainName(name)) {
			c.fail("column %d is %s, want %s", i+1, show(names[i]), show(name))
		}
	}
	// A name may hold a comma, and may be asked for in another case than the input has it.
	carried, asked := strings.Join(names[len(want):], ","), v.m.Options["carry"]
	if !strings.EqualFold(carried, asked) && !(v.snake && plainName(carried) == plainName(asked)) {
		c.fail("the columns behind column %d are %s, want those carried: %s", len(want), show(carried), show(asked))
	}
	p, ok := r.t.(*parquetTable)
	if !ok {
		return
	}
	for i, col := range p.cols {
		typ, required := pipeline.TypeString, false
		switch {
		case i == colRow:
			typ, required = pipeline.TypeInt, true
		case i == r.at.at:
			typ, required = pipeline.TypeTimestamp, true
			if col.typ == typ && !col.millis {
				c.fail("column %s is not in milliseconds", show(col.name))
			}
		case i >= r.at.carry:
			typ = col.typ
		case !r.Wide:
			required = i == colFlag || i == colOutcome
		}
		if col.typ != typ {
			c.fail("column %s has the type %s (%s), want %s", show(col.name), col.typ, col.physical, typ)
		}
		if col.required != required {
			c.fail("column %s: nullable is %v, want %v", show(col.name), !col.required, !required)
		}
	}
	checkParquetMeta(c, p, v.m.RunID)
}

// checkParquetMeta: a Parquet file carries the run that it is of.
func checkParquetMeta(c *Check, p *parquetTable, run string) {
	if !strings.HasPrefix(p.createdBy, "rollcall") {
		c.fail("it was not created by rollcall but by %s", show(p.createdBy))
	}
	if id := p.meta["rollcall.run_id"]; id != run {
		c.fail("it is of the run %s, the manifest of %s", show(id), show(run))
	}
}

// next is the next user, with everything that can be said of them alone.
func (o *output) next() {
	if o.done {
		return
	}
	err := o.r.Next(&o.u)
	if err == io.EOF {
		o.done, o.read = true, true
		return
	}
	if err != nil {
		o.rows.fail("%v", err)
		o.skip("the file cannot be read to its end")
		return
	}
	u := &o.u
	o.users++
	if u.Row < 1 {
		o.order.fail("row number %d is none", u.Row)
	}
	if o.last > 0 && u.Row == o.last {
		o.order.fail("row %d stands there twice", u.Row)
	} else if u.Row < o.last {
		o.order.fail("row %d comes after row %d", u.Row, o.last)
	}
	o.last = u.Row
	if u.Differs != "" {
		o.order.fail("row %d: its records differ in column %s", u.Row, show(u.Differs))
	}
	if len(u.UserID) == 0 && len(u.DeviceID) == 0 {
		o.outcomes.fail("row %d has neither a user_id nor a device_id, and was answered", u.Row)
	}
	o.checkOrder(u)
	for i := range u.Assignments {
		o.checkAssignment(u, &u.Assignments[i])
	}
}

// checkOrder: each flag once, in the order asked for or sorted, and all that were asked for.
func (o *output) checkOrder(u *User) {
	if o.r.Wide {
		return // its columns are its flags
	}
	as := u.Assignments
	if len(as) == len(o.sorted) && (o.asked != nil || !o.v.asked) {
		same := true
		for i := range as {
			same = same && as[i].Flag == o.sorted[i]
		}
		if same {
			return
		}
	}
	found := o.order.Findings
	if !o.v.asked {
		for i := 1; i < len(as); i++ {
			switch strings.Compare(o.text(as[i-1].Flag), o.text(as[i].Flag)) {
			case 0:
				o.order.fail("row %d: flag %s stands there twice", u.Row, o.name(as[i].Flag))
			case 1:
				o.order.fail("row %d: flag %s comes after %s", u.Row, o.name(as[i].Flag), o.name(as[i-1].Flag))
			}
		}
	} else {
		o.checkAsked(u, as)
	}
	if o.order.Findings == found {
		o.sorted = o.sorted[:0]
		for i := range as {
			o.sorted = append(o.sorted, as[i].Flag)
		}
	}
}

// checkAsked: just the flags that were asked for, in their order.
func (o *output) checkAsked(u *User, as []Assignment) {
	if o.asked == nil { // the first user
		o.askedOf(as)
	}
	place, seen := map[Key]int{}, map[Key]bool{}
	for i, flag := range o.asked {
		place[flag] = i
	}
	before := -1
	for i := range as {
		at, known := place[as[i].Flag]
		switch {
		case !known:
			o.order.fail("row %d: flag %s was not asked for", u.Row, o.name(as[i].Flag))
			continue
		case seen[as[i].Flag]:
			o.order.fail("row %d: flag %s stands there twice", u.Row, o.name(as[i].Flag))
		case at < before:
			o.order.fail("row %d: flag %s is not in the order asked for", u.Row, o.name(as[i].Flag))
		}
		before = at
		seen[as[i].Flag] = true
	}
	for _, flag := range o.asked {
		if !seen[flag] {
			o.order.fail("row %d: flag %s is missing", u.Row, o.name(flag))
		}
	}
}

// askedOf makes the list of the flags asked for. Of those that came from a file the manifest has not the order, so
// it is that of the first user.
func (o *output) askedOf(first []Assignment) {
	o.asked = []Key{}
	for _, flag := range o.v.flags {
		key, ok := o.find(flag)
		if !ok {
			var err error
			if key, err = o.v.keys.add([]byte(flag), NoKey); err != nil {
				continue // and it is missing, for everybody
			}
		}
		o.asked = append(o.asked, key)
	}
	if o.v.ordered {
		return
	}
	place := map[Key]int{}
	for i := range first {
		place[first[i].Flag] = i
	}
	slices.SortStableFunc(o.asked, func(a, b Key) int { return place[a] - place[b] })
}

// checkAssignment: the outcome agrees with the rest, and is counted.
func (o *output) checkAssignment(u *User, a *Assignment) {
	for int(a.Flag) >= len(o.flags) {
		o.flags = append(o.flags, flagSeen{})
	}
	f := &o.flags[a.Flag]
	if !a.Assigned {
		f.not++
		extra := a.Variant != NoKey || a.ExperimentKey != NoKey || len(a.Payload) > 0
		for i := range a.Included {
			extra = extra || a.Included[i].Kind != pipeline.Null
		}
		if extra {
			o.outcomes.fail("row %d, flag %s: not assigned, and yet there is a variant, a payload or the like", u.Row, o.name(a.Flag))
		}
		if !o.v.asked {
			o.outcomes.fail("row %d, flag %s: a row that is not_assigned, though no flags were asked for", u.Row, o.name(a.Flag))
		}
		return
	}
	f.assigned++
	o.assigned++
	if o.r.Format == "jsonl" {
		halved := hasHalf(a.Payload)
		for i := range a.Included {
			halved = halved || hasHalf(a.Included[i].json)
		}
		if halved {
			o.outcomes.fail("row %d, flag %s: half of a surrogate pair, for which other readers refuse the file", u.Row, o.name(a.Flag))
		}
	}
	for int(a.Variant) >= len(f.variants) {
		f.variants = append(f.variants, make([]int64, int(a.Variant)+1-len(f.variants))...)
	}
	f.variants[a.Variant]++
	if a.Variant == NoKey && !o.v.emptyVariant(o.text(a.Flag)) {
		o.outcomes.fail("row %d, flag %s: assigned, and column variant is null", u.Row, o.name(a.Flag))
	}
}

// hasHalf reports an escape that is half of a surrogate pair, which rollcall writes to CSV and Parquet alone, where it is
// part of a text.
func hasHalf(json []byte) bool {
	if bytes.IndexByte(json, '\\') < 0 {
		return false
	}
	_, halves := pipeline.MendSurrogates(string(json))
	return halves > 0
}

// emptyVariant reports whether the run saw a variant without a name.
func (v *verifier) emptyVariant(flag string) bool {
	for _, f := range v.m.Flags {
		if f.Flag == flag {
			return slices.ContainsFunc(f.Variants, func(c VariantCount) bool { return c.Variant == "" })
		}
	}
	return false
}

// finish holds the counts against the manifest.
func (o *output) finish() {
	if o.r == nil {
		return
	}
	defer o.r.Close() //nolint:errcheck // only read
	if !o.read {
		return
	}
	m, v := o.v.m, o.v
	if n := o.r.Records(); n != o.File.Rows {
		o.rows.fail("it has %d rows, the manifest says %d", n, o.File.Rows)
	}
	switch answered := m.Users.Answered; {
	case (v.asked || o.r.Wide) && o.users != answered:
		o.rows.fail("it has %d users, the manifest says that %d were answered", o.users, answered)
	case o.users > answered:
		o.rows.fail("it has %d users, more than the %d who were answered", o.users, answered)
	}
	o.rows.Detail = plural(o.r.Records(), "row") + ", " + plural(o.users, "user")
	o.order.Detail = "sorted by row number, each flag of a user once"
	if v.asked {
		o.order.Detail = "sorted by row number, each flag asked for once"
	}
	o.outcomes.Detail = "each outcome agrees with its variant"

	known := make([]bool, len(o.flags))
	variants := 0
	for _, want := range m.Flags {
		var got flagSeen
		if key, ok := o.find(want.Flag); ok && int(key) < len(o.flags) {
			got, known[key] = o.flags[key], true
		}
		if !v.asked && !o.r.Wide {
			got.not = m.Users.Answered - got.assigned
		}
		if got.assigned != want.Assigned {
			o.counts.fail("flag %s: %d users are assigned, the manifest says %d", show(want.Flag), got.assigned, want.Assigned)
		}
		if got.not != want.NotAssigned {
			o.counts.fail("flag %s: %d users are not assigned, the manifest says %d", show(want.Flag), got.not, want.NotAssigned)
		}
		variants += len(want.Variants)
		var seen []Key
		for _, c := range want.Variants {
			var users int64
			key, ok := o.find(c.Variant)
			if ok = ok || c.Variant == ""; ok && int(key) < len(got.variants) {
				users = got.variants[key]
				seen = append(seen, key)
			}
			if users != c.Users {
				o.counts.fail("flag %s, variant %s: %d users, the manifest says %d", show(want.Flag), show(c.Variant), users, c.Users)
			}
		}
		for key, users := range got.variants {
			if users > 0 && !slices.Contains(seen, Key(key)) {
				o.counts.fail("flag %s, variant %s: %d users, the manifest has no such variant", show(want.Flag), o.name(Key(key)), users)
			}
		}
	}
	for key := range o.flags {
		if f := &o.flags[key]; !known[key] && f.assigned+f.not > 0 {
			o.counts.fail("flag %s: %d users, the manifest has no such flag", o.name(Key(key)), f.assigned+f.not)
		}
	}
	o.counts.Detail = fmt.Sprintf("%s, %s, %s as in the manifest", plural(int64(len(m.Flags)), "flag"), plural(int64(variants), "variant"),
		plural(o.assigned, "assignment"))
}

// name is a key as a message has it.
func (o *output) name(key Key) string { return show(o.text(key)) }

// text is the text of a key, without what was put before it for a spreadsheet.
func (o *output) text(key Key) string { return o.unescape(o.v.keys.Name(key)) }

// find is the key of a text, the way this output writes it.
func (o *output) find(name string) (Key, bool) {
	if o.escaped && name != "" && strings.ContainsRune(formulas, rune(name[0])) {
		name = "'" + name
	}
	return o.v.keys.Find(name)
}

// formulas is what a cell begins with that a spreadsheet would run (sinks/csv.go).
const formulas = "=+-@\t\r"

func (o *output) unescape(s string) string {
	if o.escaped && len(s) > 1 && s[0] == '\'' && strings.IndexByte(formulas, s[1]) >= 0 {
		return s[1:]
	}
	return s
}

// content reads all outputs side by side, user by user, and the error records with them.
func (v *verifier) content(outputs []*output, records *errorRecords) {
	records.open()
	agreement := &Check{}
	if len(outputs) > 1 {
		agreement = v.check("agreement", "")
	}
	overlap := &Check{}
	if len(outputs) > 0 && records.check != nil {
		overlap = v.check("overlap", "")
		overlap.Detail = "nobody is in an output and in the error records"
	}
	for _, o := range outputs {
		if o.open(); o.r != nil {
			o.next()
		}
	}
	cmp := comparison{check: agreement, outputs: outputs, modes: map[string]textMode{}}
	records.next()
	for n := int64(1); ; n++ {
		if n%4096 == 0 && v.ctx.Err() != nil {
			break
		}
		row := int64(math.MaxInt64)
		running := false
		for _, o := range outputs {
			if !o.done {
				row, running = min(row, o.u.Row), true
			}
		}
		if !running {
			break
		}
		for !records.done && records.row < row {
			records.next()
		}
		if !records.done && records.row == row {
			overlap.fail("row %d is in the outputs and in the error records", row)
		}
		cmp.compare(row)
		for _, o := range outputs {
			if !o.done && o.u.Row == row {
				o.next()
			}
		}
	}
	for !records.done && v.ctx.Err() == nil {
		records.next()
	}
	records.finish()
	for _, o := range outputs {
		o.finish()
	}
	whole := 0
	for _, o := range outputs {
		if o.read {
			whole++
		}
	}
	agreement.Detail = fmt.Sprintf("%d outputs, the same values for %s", whole, plural(cmp.users, "user"))
	if agreement.Status == StatusOK && whole < 2 {
		agreement.Status, agreement.Detail = StatusSkipped, "fewer than two outputs can be read to their end"
	}
}
