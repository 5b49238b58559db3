package sources

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Mapping says which columns of the input are which fields of the user, and which are copied to the output.
//
// The zero Mapping uses every column by its own name: user_id, country, user_properties.plan, groups.org,
// group_properties.org.tier, cohort_ids, group_cohort_ids.org, context. Other columns are not sent. Names match exactly
// first, and then regardless of case. Map can name any field.
type Mapping struct {
	Map          map[string]string        // field of the user → column: user_id → uid, groups.org → company
	Properties   []string                 // columns that are user properties under their own names
	Exclude      []string                 // columns that are not sent, unless Map names them; regardless of case
	Types        map[string]pipeline.Type // column → string, int, float, bool or json
	Trim         bool                     // remove white space around ids, and around the cells of text formats
	MissingEmpty bool                     // an empty cell of a text format is an empty string, not absent
	Carry        []string                 // columns to copy to the output, in this order
	Fields       []string                 // further fields of the user: columns of these names are used, too

	// AllProperties makes every column that is not a field a user property, except pandas' index and columns that cannot
	// be sent (see [ColumnUse].LeftOut).
	AllProperties bool
}

// ColumnUse reports how a column of the input is used.
type ColumnUse struct {
	Name    string
	Target  string // "user_id", "user_properties.plan"; several are separated by ", "; "" means not sent
	Carried bool
	Folded  string // the name that the column matches only regardless of case; else ""
	LeftOut string // why AllProperties does not send it, such as "a column of the logical type VARIANT"; else ""
}

// parseType returns the type of that name, for [Mapping].Types.
func parseType(name string) (pipeline.Type, error) {
	for _, t := range columnTypes {
		if t.String() == name {
			return t, nil
		}
	}
	return 0, pipeline.WithHint(fmt.Errorf("unknown column type %q", name), "types are string, int, float, bool and json")
}

var columnTypes = []pipeline.Type{pipeline.TypeString, pipeline.TypeInt, pipeline.TypeFloat, pipeline.TypeBool,
	pipeline.TypeJSON}

// column is a column of a file.
type column struct {
	name       string
	ambiguous  bool   // the name was made by makeNamesUnique, because the name in the file is missing or duplicated
	called     string // if ambiguous: the name in the file
	typ        pipeline.Type
	precision  int    // of a decimal
	scale      int    // of a decimal
	shape      string // a description of its values, if the file has types; equal for columns that can be combined
	nested     bool   // its cells are lists or objects
	unreadable string // why its cells cannot be read; else ""
	leftOut    string // why AllProperties does not send it; else ""
}

// record is one decoded record: its cells in the input's order, or an error.
type record struct {
	cells  []pipeline.Member
	number int64 // the row number, if the record has one; else 0
	line   int64 // where it starts; 0 in a format without lines
	size   int   // its approximate size in bytes
	err    *pipeline.UserError
	bad    *pipeline.UserError // a cell cannot be read; the others can
	ragged bool                // it lacks cells at the end, or has extra empty ones

	failedWith pipeline.Kind // of an error record
}

type targetKind uint8

const (
	toUserID targetKind = iota
	toDeviceID
	toContext       // a JSON user
	toObject        // all of user_properties, groups, group_properties or group_cohort_ids
	toField         // country, platform, …
	toProperty      // user_properties.<key>
	toGroup         // groups.<key>
	toGroupProperty // group_properties.<key>.<sub>
	toGroupCohorts  // group_cohort_ids.<key>
	toCohorts       // cohort_ids
	toOther         // any other field; its values keep their types
)

// target is a field of the user. Targets sort by name, which is the order of User.Context.
type target struct {
	kind          targetKind
	top, key, sub string
}

func (t target) String() string {
	s := t.top
	if t.key != "" {
		s += "." + t.key
	}
	if t.sub != "" {
		s += "." + t.sub
	}
	return s
}

func (t target) compare(o target) int {
	if c := strings.Compare(t.top, o.top); c != 0 {
		return c
	}
	if c := strings.Compare(t.key, o.key); c != 0 {
		return c
	}
	return strings.Compare(t.sub, o.sub)
}

const (
	userProperties  = "user_properties"
	groups          = "groups"
	groupProperties = "group_properties"
	groupCohortIDs  = "group_cohort_ids"
	cohortIDs       = "cohort_ids"
)

// fields are the fields of a user that are strings in the API.
var fields = []string{
	"country", "region", "city", "dma", "language", "platform", "version", "os", "device_manufacturer",
	"device_brand", "device_model", "carrier", "library", "ip_address",
}

var locationFields = []string{"country", "region", "city", "dma", "ip_address"}

// parseTarget returns the field of the user that a name means. exact reports whether its case is right.
func parseTarget(name string) (t target, exact, ok bool) {
	lower := strings.ToLower(name)
	switch lower {
	case "user_id":
		return target{kind: toUserID, top: lower}, name == lower, true
	case "device_id":
		return target{kind: toDeviceID, top: lower}, name == lower, true
	case "context":
		return target{kind: toContext, top: lower}, name == lower, true
	case cohortIDs:
		return target{kind: toCohorts, top: lower}, name == lower, true
	case userProperties, groups, groupProperties, groupCohortIDs:
		return target{kind: toObject, top: lower}, name == lower, true
	}
	if slices.Contains(fields, lower) {
		return target{kind: toField, top: lower}, name == lower, true
	}
	top, key, _ := strings.Cut(name, ".")
	t = target{top: strings.ToLower(top), key: key}
	exact = top == t.top
	switch t.top {
	case userProperties:
		t.kind = toProperty
	case groups:
		t.kind = toGroup
	case groupCohortIDs:
		t.kind = toGroupCohorts
	case groupProperties:
		t.kind = toGroupProperty
		t.key, t.sub, _ = strings.Cut(key, ".")
		if t.sub == "" {
			return target{}, false, false
		}
	default:
		return target{}, false, false
	}
	return t, exact, t.key != ""
}

// parseMapTarget returns the field of the user that --map names: any, but only the known ones have parts.
func parseMapTarget(field string) (t target, ok bool) {
	if t, _, ok = parseTarget(field); ok || field == "" || strings.Contains(field, ".") {
		return t, ok
	}
	return target{kind: toOther, top: field}, true
}

// parseColumn returns the field of the user that the name of a column means.
func (o *Mapping) parseColumn(name string) (t target, exact, ok bool) {
	if t, exact, ok = parseTarget(name); ok {
		return t, exact, ok
	}
	folded := -1
	for i, field := range o.Fields {
		if field == name {
			return target{kind: toOther, top: field}, true, true
		}
		if folded < 0 && strings.EqualFold(field, name) {
			folded = i
		}
	}
	if folded < 0 {
		return t, false, false
	}
	return target{kind: toOther, top: o.Fields[folded]}, false, true
}

// use is one use of a column. If several columns have the same target, the one of the highest rank is used.
type use struct {
	target target
	rank   int
}

// The ranks: --map comes before a column's own name, and an exact name before one in another case.
const (
	rankAll = iota
	rankFolded
	rankExact
	rankMapFolded
	rankMapExact
)

// slot is a use and the index of its cell.
type slot struct {
	use
	cell   int // of a record
	column int // of the header, which may have columns without a cell: see remapCells
}

// mapper turns cells into users. It is for one file, and not for concurrent use.
type mapper struct {
	opts  *Mapping
	fixed bool
	slots []slot           // of the header, or of the current row; sorted by target
	types []*pipeline.Type // the type that the options give each column, or nil
	carry []int            // the cell of each carried column

	carryTypes []pipeline.Type
	leaves     []leaf

	// If the columns are not fixed:
	uses     map[string][]use // the uses of each name
	unseen   []string         // the names in the options that no row had so far
	saw      []string         // those of them that the last row had
	slotsFor []cellShape      // the row that slots are for
}

// findUses returns the uses of the column. A duplicate column is used if an option has its new name; and as the field
// that its name in the file means, so that two columns for one field are an error.
func (c *column) findUses(o *Mapping) []use {
	if !c.ambiguous {
		return findUses(c.name, o)
	}
	all := *o
	all.AllProperties = false
	us := findUses(c.name, &all)
	if t, _, ok := o.parseColumn(c.called); ok && !o.isExcluded(c.called) {
		us = append(us, use{t, rankExact})
	}
	return us
}

// findUses returns the uses of the column of that name.
func findUses(name string, o *Mapping) []use {
	var us []use
	for field, column := range o.Map {
		if strings.EqualFold(column, name) {
			t, _ := parseMapTarget(field) // checked by checkMapping
			rank := rankMapFolded
			if column == name {
				rank = rankMapExact
			}
			us = append(us, use{t, rank})
		}
	}
	if o.isExcluded(name) {
		return us
	}
	others := 0 // uses as one of o.Fields, which is no reason not to send the column as a property, too
	if t, exact, ok := o.parseColumn(name); ok {
		if t.kind == toOther {
			others++
		}
		rank := rankFolded
		if exact {
			rank = rankExact
		}
		us = append(us, use{t, rank})
	}
	property := target{kind: toProperty, top: userProperties, key: name}
	for _, p := range o.Properties {
		if strings.EqualFold(p, name) {
			rank := rankFolded
			if p == name {
				rank = rankExact
			}
			us = append(us, use{property, rank})
		}
	}
	if len(us) == others && o.AllProperties && name != "" && !isPandasIndex(name) {
		us = append(us, use{property, rankAll})
	}
	return us
}

// isExcluded reports whether only Map can make the column of that name a field.
func (o *Mapping) isExcluded(name string) bool {
	return slices.ContainsFunc(o.Exclude, func(e string) bool { return strings.EqualFold(e, name) })
}

// isPandasIndex reports whether a column holds the row numbers of pandas, which are not data.
func isPandasIndex(name string) bool {
	n, ok := strings.CutPrefix(name, "__index_level_")
	n, also := strings.CutSuffix(n, "__")
	return ok && also && n != "" && strings.Trim(n, "0123456789") == ""
}

// resolveTargets sorts the slots, and keeps the one of the highest rank for each target.
func resolveTargets(slots []slot, name func(cell int) string) ([]slot, error) {
	slices.SortFunc(slots, func(a, b slot) int {
		if c := a.target.compare(b.target); c != 0 {
			return c
		}
		return b.rank - a.rank
	})
	kept := slots[:0]
	for _, s := range slots {
		if len(kept) > 0 {
			last := kept[len(kept)-1]
			if last.target.compare(s.target) == 0 {
				if last.rank == s.rank && last.cell != s.cell {
					return nil, fmt.Errorf("the columns %s and %s are both %s", name(last.cell), name(s.cell), s.target)
				}
				continue
			}
		}
		kept = append(kept, s)
	}
	return kept, nil
}

// IsField reports whether a column can be mapped to that field of a user. Other fields can only be in a context.
func IsField(field string) bool {
	_, ok := parseMapTarget(field)
	return ok
}

// clientFields are the fields of a user that only Amplitude's JavaScript clients send.
var clientFields = []string{"device_category", "first_seen", "browser", "user_agent", "referring_url", "landing_url",
	"url_param", "persisted_url_param", "cookie", "web_exp_id"}

// IsKnownField reports whether Amplitude documents that field of a user, or a client of Amplitude's sends it.
func IsKnownField(field string) bool {
	_, _, ok := parseTarget(field)
	return ok || slices.Contains(clientFields, field)
}

// UnknownField is the error for a field that no column can be mapped to, or that nothing reads. others are fields that
// are read, beside the known ones.
func UnknownField(field string, others ...string) error {
	return pipeline.WithHint(fmt.Errorf("unknown field %q of a user", field), "fields are user_id, device_id, context, "+
		strings.Join(slices.Concat(fields, others), ", ")+
		", cohort_ids, user_properties.NAME, groups.TYPE, group_properties.TYPE.NAME and group_cohort_ids.TYPE")
}

// checkMapping checks the options without looking at a file.
func checkMapping(o *Mapping) error {
	seen := map[target]string{}
	for field := range o.Map {
		t, ok := parseMapTarget(field)
		if !ok {
			return UnknownField(field)
		}
		if other, twice := seen[t]; twice {
			return fmt.Errorf("the field %s is mapped twice, as %s and as %s", t, min(field, other), max(field, other))
		}
		seen[t] = field
	}
	for column, t := range o.Types {
		if !slices.Contains(columnTypes, t) {
			_, err := parseType(t.String())
			return fmt.Errorf("column %s: %w", column, err)
		}
	}
	for i, c := range o.Carry {
		if slices.Contains(o.Carry[:i], c) {
			return fmt.Errorf("the column %q is carried twice", c)
		}
	}
	return nil
}

// findColumn returns the index of the column that an option names.
func findColumn(cols []column, name, option string) (int, error) {
	if i := slices.IndexFunc(cols, func(c column) bool { return c.name == name }); i >= 0 {
		return i, nil
	}
	var same []string
	for _, c := range cols {
		if c.ambiguous && c.called == name && name != "" {
			same = append(same, strconv.Quote(c.name))
		}
	}
	if len(same) > 0 {
		return 0, pipeline.WithHint(fmt.Errorf("%s: %d columns of the header are called %q", option, len(same), name),
			"give each its own name, or use "+strings.Join(same, " or "))
	}
	folded := -1
	for i, c := range cols {
		if strings.EqualFold(c.name, name) {
			if folded >= 0 {
				return 0, pipeline.WithHint(fmt.Errorf("%s: the columns %s and %s both match %q", option, cols[folded].name, c.name,
					name),
					"write it exactly as in the header")
			}
			folded = i
		}
	}
	if folded >= 0 {
		return folded, nil
	}
	return 0, pipeline.WithHint(fmt.Errorf("%s: the input has no column %q", option, name), suggestColumn(cols, name))
}

// suggestColumn returns the hint for a missing column: the most similar name, or all names.
func suggestColumn(cols []column, name string) string {
	names := make([]string, len(cols))
	for i, c := range cols {
		names[i] = c.name
		if trimmed := trimBlank(c.name); trimmed != c.name && trimmed == trimBlank(name) {
			return fmt.Sprintf("the column is %q: --trim removes the white space around it", c.name)
		}
		if strings.ContainsFunc(c.name, unicode.IsControl) { // an end of line in a name is not one in the hint
			names[i] = strconv.Quote(c.name)
		}
	}
	if hint := pipeline.Suggest(name, names); hint != "" {
		return hint
	}
	if len(names) > 30 {
		names = append(names[:30:30], "…")
	}
	return "its columns are " + strings.Join(names, ", ")
}

// newMapper compiles the mapping for a file. If fixed is false, cols are only those of the first rows.
func newMapper(cols []column, fixed bool, o *Mapping) (*mapper, error) {
	m := &mapper{opts: o, fixed: fixed, uses: map[string][]use{}}
	for _, c := range o.Carry {
		m.carryTypes = append(m.carryTypes, columnType(c, o, pipeline.TypeString))
	}
	if !fixed {
		m.unseen = o.optionColumns()
		return m, nil
	}
	for field, c := range o.Map {
		if _, err := findColumn(cols, c, "--map "+field+"="+c); err != nil {
			return nil, err
		}
	}
	for _, c := range o.Properties {
		if _, err := findColumn(cols, c, "--properties"); err != nil {
			return nil, err
		}
	}
	for _, name := range o.Exclude {
		if slices.ContainsFunc(cols, func(c column) bool {
			return strings.EqualFold(c.name, name) || c.ambiguous && strings.EqualFold(c.called, name)
		}) {
			continue // it may match several
		}
		if _, err := findColumn(cols, name, "--properties"); err != nil {
			return nil, err
		}
	}
	for c := range o.Types {
		if _, err := findColumn(cols, c, "--types"); err != nil {
			return nil, err
		}
	}
	for i, name := range o.Carry {
		c, err := findColumn(cols, name, "--carry")
		if err != nil {
			return nil, err
		}
		m.carry = append(m.carry, c)
		m.carryTypes[i] = columnType(cols[c].name, o, cols[c].typ)
	}
	m.types = make([]*pipeline.Type, len(cols))
	for i, c := range cols {
		if t, ok := lookupType(c.name, o); ok {
			m.types[i] = &t
		}
		for _, u := range c.findUses(o) {
			if u.rank == rankAll && c.leftOut != "" {
				continue
			}
			if u.target.kind == toObject && u.target.top != groupCohortIDs && columnType(c.name, o, c.typ) != pipeline.TypeJSON {
				continue // a text column whose name happens to be groups
			}
			m.slots = append(m.slots, slot{u, i, i})
		}
	}
	var err error
	if m.slots, err = resolveTargets(m.slots, func(i int) string { return cols[i].name }); err != nil {
		return nil, pipeline.WithHint(err, "choose one with --map FIELD=COLUMN, with the column as it is written here")
	}
	const hint = "leave the column out, or write the file again with it as text or JSON"
	for _, s := range m.slots {
		if why := cols[s.cell].unreadable; why != "" {
			return nil, pipeline.WithHint(fmt.Errorf("column %s: %s cannot be %s", cols[s.cell].name, why, s.target), hint)
		}
		single := s.target.kind == toUserID || s.target.kind == toDeviceID || s.target.kind == toField
		if c := cols[s.cell]; single && c.nested && columnType(c.name, o, c.typ) == pipeline.TypeJSON {
			return nil, fmt.Errorf("column %s: a column that holds %.200s cannot be %s", c.name, c.shape, s.target)
		}
	}
	for _, c := range m.carry {
		if why := cols[c].unreadable; why != "" {
			return nil, pipeline.WithHint(fmt.Errorf("column %s: %s cannot be carried", cols[c].name, why), hint)
		}
	}
	return m, m.checkIDs(cols)
}

// checkIDs returns an error if no row can have an id, or the group of a group property.
func (m *mapper) checkIDs(cols []column) error {
	has := func(kind targetKind, top, key string) bool {
		return slices.ContainsFunc(m.slots, func(s slot) bool {
			return s.target.kind == kind && s.target.top == top && s.target.key == key
		})
	}
	if !has(toUserID, "user_id", "") && !has(toDeviceID, "device_id", "") && !has(toContext, "context", "") {
		names := make([]string, len(cols))
		for i, c := range cols {
			names[i] = c.name
		}
		hint := "the first line names the columns; --map user_id=COLUMN names the one with the ids"
		if near := SuggestID(names); near != "" {
			hint = near
		} else if len(cols) == 1 && cols[0].name == "c1" { // --no-header
			hint = "--map user_id=c1 uses the column as the ids"
		} else if len(cols) == 1 {
			hint = "if it is a list of ids without a header: --no-header --map user_id=c1; else --map user_id=COLUMN names " +
				"the column"
			if i := strings.IndexAny(cols[0].name, ";,|\t"); i >= 0 {
				hint = fmt.Sprintf("is the file delimited by %q? set it with --delimiter", cols[0].name[i:i+1])
			}
		}
		if first := cols[0].name; strings.HasPrefix(first, "{") || strings.HasPrefix(first, "[") {
			hint = "is it JSON? --input-format jsonl reads one object per line"
		}
		return pipeline.WithHint(fmt.Errorf("none of the %d columns is user_id or device_id", len(cols)), hint)
	}
	for _, s := range m.slots {
		if (s.target.kind == toGroupProperty || s.target.kind == toGroupCohorts) && !has(toGroup, groups, s.target.key) && !has(toObject, groups, "") &&
			!has(toContext, "context", "") {
			return pipeline.WithHint(fmt.Errorf("%s needs the column groups.%s, which names the group", s.target, s.target.key),
				fmt.Sprintf("--map groups.%s=COLUMN names that column", s.target.key))
		}
	}
	return nil
}

// SuggestID returns the hint for an input without ids, if the name of a column is similar: User ID, userID.
func SuggestID(names []string) string {
	for _, field := range []string{"user_id", "device_id"} {
		for _, name := range names {
			squeezed := strings.Map(func(r rune) rune {
				if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' {
					return r
				}
				return -1
			}, strings.ToLower(name))
			if squeezed != strings.ReplaceAll(field, "_", "") || strings.ContainsAny(name, `,"'`) {
				continue
			}
			trim := ""
			if trimmed := trimBlank(name); trimmed != name {
				name, trim = trimmed, "--trim "
			}
			if strings.ContainsAny(name, " $&;()<>|*?#~`\\\t") {
				name = "'" + name + "'"
			}
			if strings.EqualFold(name, field) {
				if trim == "" {
					continue // it is used already
				}
				return "--trim removes the white space around " + field
			}
			return trim + "--map " + field + "=" + name + " uses that column"
		}
	}
	return ""
}

// LooksLikeID reports whether the name of the only column is probably an id, so that the file is a list without a
// header.
func LooksLikeID(name string) bool {
	n := 0
	for i := range len(name) {
		if name[i] >= '0' && name[i] <= '9' {
			n++
		}
	}
	return strings.Contains(name, "@") || n > 0 && (2*n >= len(name) || strings.Contains(name, "-") || len(name) >= 20)
}

// remapCells adapts the mapper to records without the cells of unwanted columns.
func (m *mapper) remapCells(at []int) {
	types := make([]*pipeline.Type, len(m.types))
	for i := range m.slots {
		from := m.slots[i].cell
		m.slots[i].cell = at[from]
		types[at[from]] = m.types[from]
	}
	for i, from := range m.carry {
		m.carry[i] = at[from]
		types[at[from]] = m.types[from]
	}
	m.types = types
}

// lookupType returns the type that the options give a column.
func lookupType(name string, o *Mapping) (pipeline.Type, bool) {
	if t, ok := o.Types[name]; ok {
		return t, true
	}
	for c, t := range o.Types {
		if strings.EqualFold(c, name) {
			return t, true
		}
	}
	return 0, false
}

// carriedColumns returns the carried columns of a file, and which of them hold only nulls there, so that their type
// does not matter.
func (m *mapper) carriedColumns(cols []column) (carry []pipeline.Column, nulls []bool) {
	for i, t := range m.carryTypes {
		c := pipeline.Column{Name: m.opts.Carry[i], Type: t}
		empty := false
		if m.fixed {
			from := &cols[m.carry[i]]
			empty = from.shape == shapeNulls
			if t == pipeline.TypeDecimal {
				c.Precision, c.Scale = from.precision, from.scale
			}
		}
		carry, nulls = append(carry, c), append(nulls, empty)
	}
	return carry, nulls
}

// columnType returns the type that the options give a column, or otherwise.
func columnType(name string, o *Mapping, otherwise pipeline.Type) pipeline.Type {
	if t, ok := lookupType(name, o); ok {
		return t
	}
	return otherwise
}

// describeUses reports how the columns are used.
func (m *mapper) describeUses(cols []column) ([]ColumnUse, error) {
	slots := m.slots
	if !m.fixed {
		slots = nil
		for i, c := range cols {
			for _, u := range findUses(c.name, m.opts) {
				slots = append(slots, slot{u, i, i})
			}
		}
		// Rows may spell a column differently. Only two columns of one row are a conflict, which is an error of that row.
		slices.SortStableFunc(slots, func(a, b slot) int { return a.target.compare(b.target) })
	}
	uses := make([]ColumnUse, len(cols))
	for i, c := range cols {
		uses[i].Name = c.name
		if c.leftOut != "" && isOnlyAsAll(c.findUses(m.opts)) {
			uses[i].LeftOut = c.leftOut
		}
	}
	for _, s := range slots {
		u := &uses[s.column]
		if u.Target != "" {
			u.Target += ", "
		}
		u.Target += s.target.String()
		if s.rank == rankFolded {
			u.Folded = s.target.String()
		}
	}
	for _, name := range m.opts.Carry {
		if i, err := findColumn(cols, name, ""); err == nil {
			uses[i].Carried = true
		}
	}
	for _, name := range m.opts.namedColumns() { // a name in the options comes before the name of the target
		if i, err := findColumn(cols, name, ""); err == nil && cols[i].name != name {
			uses[i].Folded = name
		}
	}
	if m.fixed {
		return uses, nil
	}
	for _, name := range m.opts.namedColumns() { // columns in the options that the first rows lack
		if _, err := findColumn(cols, name, ""); err == nil {
			continue
		}
		u := ColumnUse{Name: name, Carried: slices.Contains(m.opts.Carry, name)}
		for _, us := range findUses(name, m.opts) {
			if u.Target != "" {
				u.Target += ", "
			}
			u.Target += us.target.String()
		}
		uses = append(uses, u)
	}
	return uses, nil
}

// clone returns a mapper for another goroutine.
func (m *mapper) clone() *mapper {
	if m == nil {
		return nil
	}
	c := &mapper{opts: m.opts, fixed: m.fixed, types: m.types, carry: m.carry, carryTypes: m.carryTypes,
		uses: map[string][]use{}, unseen: slices.Clone(m.unseen)}
	if m.fixed {
		c.slots = m.slots
	}
	return c
}

// optionColumns returns the columns that the options name, including those that they leave out.
func (o *Mapping) optionColumns() []string { return slices.Concat(o.namedColumns(), o.Exclude) }

// namedColumns returns the columns that the options name, sorted and without duplicates, except those that they leave
// out: a part of a struct is a column of its own only if it is used.
func (o *Mapping) namedColumns() []string {
	names := slices.Concat(o.Properties, o.Carry)
	for _, c := range o.Map {
		names = append(names, c)
	}
	for c := range o.Types {
		names = append(names, c)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// maxNames bounds the column names that are remembered if every row may have its own.
const maxNames = 10_000

// updateSlots compiles the mapping for the cells of one row.
func (m *mapper) updateSlots(cells []pipeline.Member) error {
	if slices.EqualFunc(m.slotsFor, cells, func(a cellShape, b pipeline.Member) bool {
		return a.kind == b.Value.Kind &&
			a.name == b.Name
	}) {
		return nil // same as the row before
	}
	m.slotsFor, m.slots = m.slotsFor[:0], m.slots[:0]
	for i := range cells {
		c := &cells[i]
		if c.Value.Kind == pipeline.Null {
			continue // absent; it must not hide another column
		}
		us, ok := m.uses[c.Name]
		if !ok {
			us = findUses(c.Name, m.opts)
			if len(m.uses) < maxNames {
				m.uses[c.Name] = us
			}
			m.unseen = slices.DeleteFunc(m.unseen, func(n string) bool {
				seen := strings.EqualFold(n, c.Name)
				if seen {
					m.saw = append(m.saw, n)
				}
				return seen
			})
		}
		for _, u := range us {
			if u.target.kind == toObject && u.target.top != groupCohortIDs && c.Value.Kind == pipeline.String &&
				columnType(c.Name, m.opts, pipeline.TypeString) != pipeline.TypeJSON {
				continue // a text whose name happens to be groups
			}
			m.slots = append(m.slots, slot{u, i, i})
		}
	}
	var err error
	if m.slots, err = resolveTargets(m.slots, func(i int) string { return cells[i].Name }); err != nil {
		return err
	}
	for i := range cells {
		m.slotsFor = append(m.slotsFor, cellShape{cells[i].Name, cells[i].Value.Kind})
	}
	return nil
}

// cellShape is what the slots of a row depend on.
type cellShape struct {
	name string
	kind pipeline.ValueKind
}
