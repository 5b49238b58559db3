package snapshot

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// output is one file of assignments while it is verified: its current user, and what was counted so far.
type output struct {
	*located
	v *verifier
	r *Reader
	u User

	schema, rows, order, outcomes, counts *Check

	done   bool
	last   int64 // row number
	asked  []Key // the flags in the order in which each user should have them; nil: they are sorted
	sorted []Key // the flags of the last user whose flags were in order
}

func (v *verifier) newOutput(l *located) *output {
	return &output{
		located: l, v: v, schema: v.newCheck("columns", l.Path), rows: v.newCheck("rows", l.Path),
		order:    v.newCheck("order", l.Path),
		outcomes: v.newCheck("outcomes", l.Path), counts: v.newCheck("counts", l.Path),
	}
}

// open opens the file and checks its columns.
func (o *output) open() {
	r, err := OpenReader(o.v.files, o.Path, Options{Manifest: o.v.m, Keys: &o.v.keys, listed: &o.File})
	if err != nil {
		o.schema.fail(Unreadable, "%v", err)
		o.skip("the file cannot be opened")
		return
	}
	r.counter = &counter{}
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

// wantColumns are the columns that the layout has, without the carried ones; "" is one of any name.
func (l *Layout) wantColumns() []string {
	var cache []string
	if l.hasCache() {
		cache = cacheNames
	}
	if !l.Wide {
		return slices.Concat(longNames, l.includedNames(), cache)
	}
	names := slices.Clone(longNames[:colFlag])
	for _, flag := range l.Flags {
		payload := flag + ".payload"
		if l.unordered {
			flag, payload = "", ""
		}
		if names = append(names, flag); slices.Contains(l.Include, "payload") {
			names = append(names, payload)
		}
	}
	return slices.Concat(names, longNames[colAt:], cache)
}

func (o *output) checkSchema() {
	c, r, l := o.schema, o.r, &o.v.layout
	layout := "long"
	if l.Wide {
		layout = "wide"
	}
	c.Detail = fmt.Sprintf("%s layout, %d columns", layout, len(r.Columns))
	if len(r.Columns) == 0 { // JSONL has its columns in its rows
		c.Detail = "no rows, so no columns"
		return
	}
	if l.Wide != r.Wide {
		c.fail(WrongColumns, "the layout is not the one in the manifest, %s", layout)
		return
	}
	if t, ok := firstOf(r.t).(*csvTable); ok {
		checkDialect(c, t, r.Format, l)
	}
	names, want := r.Columns, l.wantColumns()
	if len(names) < len(want) {
		c.fail(WrongColumns, "it has %d columns, want at least %d", len(names), len(want))
		return
	}
	for i, name := range want {
		if name != "" && names[i] != name && !(l.SnakeNames && plainName(names[i]) == plainName(name)) {
			c.fail(WrongColumns, "column %d is %s, want %s", i+1, show(names[i]), show(name))
		}
	}
	// Manifests of format 1 have the names as they were asked for, in any case, and do not tell which comma is part of
	// one.
	var asked []string
	for _, c := range l.Carry {
		asked = append(asked, c.Column)
	}
	if carried, asked := strings.Join(names[len(want):], ","),
		strings.Join(asked, ","); !strings.EqualFold(carried, asked) &&
		!(l.SnakeNames && plainName(carried) == plainName(asked)) {
		c.fail(WrongColumns, "the columns after column %d are %s, want those carried: %s", len(want), show(carried),
			show(asked))
	}
	p := parquetOf(r.t)
	if p == nil {
		return
	}
	for i, col := range r.t.columns() {
		typ, required := pipeline.TypeString, false
		switch {
		case o.File.isPartitioned() && slices.Contains(o.File.Partitioned.By, col.name):
			continue // it is in no file
		case i == colRow:
			typ, required = pipeline.TypeInt, true
		case i == r.at.at:
			typ, required = pipeline.TypeTimestamp, true
			if col.typ == typ && !col.millis {
				c.fail(WrongType, "column %s is not in milliseconds", show(col.name))
			}
		case i >= r.at.carry:
			typ = col.typ
		case i == r.at.cache+1:
			typ = pipeline.TypeInt
		case !r.Wide:
			required = i == colFlag || i == colOutcome
		}
		if col.typ != typ {
			c.fail(WrongType, "column %s has the type %s (%s), want %s", show(col.name), col.typ, col.physical, typ)
		}
		if col.required != required {
			c.fail(WrongType, "column %s: nullable is %v, want %v", show(col.name), !col.required, !required)
		}
	}
	checkParquetMeta(c, p, o.v.m)
}

// checkDialect checks the delimiter of a CSV, and the byte order mark of CSV and TSV.
func checkDialect(c *Check, t *csvTable, format string, l *Layout) {
	if want := cmp.Or(l.Delimiter, ","); format == "csv" && string(t.comma) != want {
		c.fail(WrongFormat, "the delimiter is %q, want %q", string(t.comma), want)
	}
	if t.bom != l.BOM {
		c.fail(WrongFormat, "a byte order mark is %v, want %v", t.bom, l.BOM)
	}
}

// checkParquetMeta checks who wrote a Parquet file, and in which run.
func checkParquetMeta(c *Check, p *parquetTable, m *Manifest) {
	if !strings.HasPrefix(p.createdBy, "rollcall") {
		c.fail(WrongFormat, "it was not created by rollcall but by %s", show(p.createdBy))
	}
	if id := p.meta["rollcall.run_id"]; !m.isOfRun(id) {
		c.fail(OtherRun, "it is of run %s, the manifest is of run %s", show(id), show(m.RunID))
	}
}

// next reads the next user, and checks what can be checked of them alone.
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
		o.rows.fail(Unreadable, "%v", err)
		o.skip("the file cannot be read to the end")
		return
	}
	u := &o.u
	if u.Row < 1 {
		o.order.fail(BadRowNumber, "row number %d is not valid", u.Row)
	}
	if o.last > 0 && u.Row == o.last {
		o.order.fail(RepeatedRow, "row %d is duplicated", u.Row)
	} else if u.Row < o.last {
		o.order.fail(Disordered, "row %d comes after row %d", u.Row, o.last)
	}
	o.last = u.Row
	if u.Differs != "" {
		o.order.fail(Disagreeing, "row %d: its records differ in column %s", u.Row, show(u.Differs))
	}
	if len(u.UserID) == 0 && len(u.DeviceID) == 0 {
		o.outcomes.fail(BadOutcome, "row %d has neither a user_id nor a device_id, and was answered", u.Row)
	}
	o.checkCache(u)
	o.checkOrder(u)
	for i := range u.Assignments {
		o.checkAssignment(u, &u.Assignments[i])
	}
}

// checkCache checks that the columns of --include cache hold what they can.
func (o *output) checkCache(u *User) {
	if len(u.Cache) == 0 {
		return
	}
	state, age := &u.Cache[0], &u.Cache[1]
	if text := string(state.AppendText(nil)); state.Kind != pipeline.Null && text != pipeline.CacheHit &&
		text != pipeline.CacheMiss {
		o.outcomes.fail(BadOutcome, "row %d: column cache is %s, want hit, miss or null", u.Row, show(text))
	}
	if text := string(age.AppendText(nil)); age.Kind != pipeline.Null {
		if n, err := strconv.ParseInt(text, 10, 64); err != nil || n < 0 {
			o.outcomes.fail(BadOutcome, "row %d: column age_seconds is %s, want a number of seconds or null", u.Row, show(text))
		}
	}
}

// checkOrder checks that the user has each flag once, in the order asked for or sorted, and all that were asked for.
func (o *output) checkOrder(u *User) {
	if o.r.Wide {
		return // its columns are its flags
	}
	as := u.Assignments
	if len(as) == len(o.sorted) && (o.asked != nil || !o.v.asked()) {
		same := true
		for i := range as {
			same = same && as[i].Flag == o.sorted[i]
		}
		if same {
			return
		}
	}
	found := o.order.Findings
	if !o.v.asked() {
		for i := 1; i < len(as); i++ {
			switch strings.Compare(o.r.Keys.Name(as[i-1].Flag), o.r.Keys.Name(as[i].Flag)) {
			case 0:
				o.order.fail(RepeatedFlag, "row %d: flag %s is duplicated", u.Row, o.showKey(as[i].Flag))
			case 1:
				o.order.fail(Disordered, "row %d: flag %s comes after %s", u.Row, o.showKey(as[i].Flag), o.showKey(as[i-1].Flag))
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

// checkAsked checks that the user has exactly the flags that were asked for, in their order.
func (o *output) checkAsked(u *User, as []Assignment) {
	if o.asked == nil { // the first user
		o.learnAsked(as)
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
			o.order.fail(UnaskedFlag, "row %d: flag %s was not asked for", u.Row, o.showKey(as[i].Flag))
			continue
		case seen[as[i].Flag]:
			o.order.fail(RepeatedFlag, "row %d: flag %s is duplicated", u.Row, o.showKey(as[i].Flag))
		case at < before:
			o.order.fail(Disordered, "row %d: flag %s is not in the order asked for", u.Row, o.showKey(as[i].Flag))
		}
		before = at
		seen[as[i].Flag] = true
	}
	for _, flag := range o.asked {
		if !seen[flag] {
			o.order.fail(MissingFlag, "row %d: flag %s is missing", u.Row, o.showKey(flag))
		}
	}
}

// learnAsked makes the list of the flags asked for. If the manifest does not have their order, it is that of the first
// user.
func (o *output) learnAsked(first []Assignment) {
	o.asked = []Key{}
	for _, flag := range o.v.layout.Flags {
		key, ok := o.r.findKey(flag)
		if !ok {
			var err error
			if key, err = o.v.keys.intern([]byte(flag), NoKey); err != nil {
				continue // it is missing for everybody
			}
		}
		o.asked = append(o.asked, key)
	}
	if !o.v.layout.unordered {
		return
	}
	place := map[Key]int{}
	for i := range first {
		place[first[i].Flag] = i
	}
	slices.SortStableFunc(o.asked, func(a, b Key) int { return place[a] - place[b] })
}

// checkAssignment checks that the outcome agrees with the other columns.
func (o *output) checkAssignment(u *User, a *Assignment) {
	if !a.Assigned {
		extra := a.Variant != NoKey || a.ExperimentKey != NoKey || len(a.Payload) > 0
		for i := range a.Included {
			extra = extra || a.Included[i].Kind != pipeline.Null
		}
		if extra {
			o.outcomes.fail(BadOutcome, "row %d, flag %s: it is not assigned, but has a variant, a payload or the like", u.Row,
				o.showKey(a.Flag))
		}
		if !o.v.asked() {
			o.outcomes.fail(BadOutcome, "row %d, flag %s: it is not_assigned, though no flags were asked for", u.Row,
				o.showKey(a.Flag))
		}
		return
	}
	if o.r.Format == "jsonl" {
		halved := hasHalf(a.Payload)
		for i := range a.Included {
			halved = halved || hasHalf(a.Included[i].json)
		}
		if halved {
			o.outcomes.fail(HalfSurrogate, "row %d, flag %s: it has half of a surrogate pair, for which other readers refuse the file", u.Row,
				o.showKey(a.Flag))
		}
	}
	if a.Variant == NoKey && !o.v.emptyVariant(o.r.Keys.Name(a.Flag)) {
		o.outcomes.fail(BadOutcome, "row %d, flag %s: it is assigned, but column variant is null", u.Row, o.showKey(a.Flag))
	}
}

// hasHalf reports whether there is an escape that is half of a surrogate pair. rollcall writes it to CSV and Parquet
// only, where it is part of a text.
func hasHalf(json []byte) bool {
	if bytes.IndexByte(json, '\\') < 0 {
		return false
	}
	_, halves := pipeline.MendSurrogates(string(json))
	return halves > 0
}

// emptyVariant reports whether the flag has a variant without a name.
func (v *verifier) emptyVariant(flag string) bool {
	for _, f := range v.m.Flags {
		if f.Flag == flag {
			return slices.ContainsFunc(f.Variants, func(c VariantCount) bool { return c.Variant == "" })
		}
	}
	return false
}

// finish compares the counts with the manifest.
func (o *output) finish() {
	if o.r == nil {
		return
	}
	defer o.r.Close() //nolint:errcheck // only read
	if !o.read {
		return
	}
	v := o.v
	for _, p := range o.r.counter.problems(o.r, v.m, &o.File) {
		switch {
		case p.Flag != "":
			o.counts.fail(p.Code, "%s", p)
		case p.Code == WrongRows || p.Code == WrongUsers: // of the others the findings name the rows
			o.rows.fail(p.Code, "%s", p)
		}
	}
	o.rows.Detail = text.Count(o.r.Records(), "row") + ", " + text.Count(o.r.counter.users, "user")
	o.order.Detail = "sorted by row number, each flag of a user once"
	if v.asked() {
		o.order.Detail = "sorted by row number, each flag asked for once"
	}
	o.outcomes.Detail = "each outcome agrees with its variant"
	variants := 0
	for _, f := range v.m.Flags {
		variants += len(f.Variants)
	}
	o.counts.Detail = fmt.Sprintf("%s, %s, %s as in the manifest", text.Count(int64(len(v.m.Flags)), "flag"),
		text.Count(int64(variants), "variant"), text.Count(o.r.counter.assigned, "assignment"))
}

// showKey is a key for a message.
func (o *output) showKey(key Key) string { return show(o.r.Keys.Name(key)) }

// checkContent reads all outputs side by side, user by user, and the error records with them.
func (v *verifier) checkContent(outputs []*output, records *errorRecords) {
	records.open()
	agreement := &Check{}
	if len(outputs) > 1 {
		agreement = v.newCheck("agreement", "")
	}
	overlap := &Check{}
	if len(outputs) > 0 && records.check != nil {
		overlap = v.newCheck("overlap", "")
		overlap.Detail = "nobody is both in an output and in the error records"
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
			overlap.fail(AnsweredAndFailed, "row %d is both in the outputs and in the error records", row)
		}
		cmp.compareRow(row)
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
	agreement.Detail = fmt.Sprintf("%d outputs, the same values for %s", whole, text.Count(cmp.users, "user"))
	if agreement.Status == StatusOK && whole < 2 {
		agreement.Status, agreement.Detail = StatusSkipped, "fewer than two outputs can be read to the end"
	}
}
