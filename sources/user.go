package sources

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// leaf is a value and its place in the user's context.
type leaf struct {
	*target
	value *pipeline.Value // must not be changed
}

// fillRow fills a row from a record. Input and Number are set already.
func (m *mapper) fillRow(row *pipeline.Row, rec *record) {
	arena := row.User.Context[:0]
	row.User = pipeline.User{Context: arena}
	row.Carry = row.Carry[:0]
	row.Err = rec.err
	fail := func(kind pipeline.Kind, err error) {
		if row.Err == nil {
			row.Err = pipeline.Errorf(kind, "%s%s", linePrefix(rec.line), err)
		}
	}
	m.saw = nil
	if rec.err != nil {
		for range m.carryTypes {
			row.Carry = append(row.Carry, pipeline.Value{})
		}
		return
	}
	row.Err = rec.bad
	if !m.fixed {
		if err := m.updateSlots(rec.cells); err != nil {
			fail(pipeline.KindBadRow, err)
		}
	}
	for i, t := range m.carryTypes {
		v, err := m.carryValue(rec.cells, i, t)
		if err != nil {
			fail(pipeline.KindBadRow, fmt.Errorf("column %s: %w", m.opts.Carry[i], err))
		}
		row.Carry = append(row.Carry, v)
	}

	m.leaves = m.leaves[:0]
	var base []pipeline.Member // the members on which the cells are laid
	for i := range m.slots {
		s := &m.slots[i]
		cell := &rec.cells[s.cell]
		v, err := m.convertCell(rec.cells, s.cell)
		if err == nil && isAbsent(v) {
			continue
		}
		kind := pipeline.KindBadRow
		if err == nil {
			switch s.target.kind {
			case toUserID:
				row.User.UserID, err = toText(v)
			case toDeviceID:
				row.User.DeviceID, err = toText(v)
			case toContext, toObject:
				kind = pipeline.KindInvalidContext
				var over []pipeline.Member
				if over, err = parseUserObject(s.target, *v); err == nil {
					base = mergeUser(base, over, userDepth)
				}
			case toField:
				if v.Kind != pipeline.String {
					var t string
					t, err = toText(v)
					v = &pipeline.Value{Kind: pipeline.String, Text: t}
				}
				m.leaves = append(m.leaves, leaf{&s.target, v})
			case toCohorts, toGroupCohorts:
				if v.Kind != pipeline.List {
					var ids pipeline.Value
					ids, err = parseCohortIDs(*v)
					v = &ids
				}
				if v.Kind != pipeline.Null {
					m.leaves = append(m.leaves, leaf{&s.target, v})
				}
			case toGroup:
				if v.Kind != pipeline.String {
					var names pipeline.Value
					names, err = parseGroupNames(v)
					v = &names
				}
				if len(v.Members) > 0 || v.Text != "" {
					m.leaves = append(m.leaves, leaf{&s.target, v})
				}
			default:
				m.leaves = append(m.leaves, leaf{&s.target, v})
			}
		}
		if err != nil {
			fail(kind, fmt.Errorf("column %s: %w", cell.Name, err))
		}
	}
	base = moveIDs(base, &row.User)
	if m.opts.Trim {
		row.User.UserID, row.User.DeviceID = trimBlank(row.User.UserID), trimBlank(row.User.DeviceID)
	}
	if row.User.UserID == "" && row.User.DeviceID == "" {
		fail(pipeline.KindMissingID, errors.New("neither a user id nor a device id"))
	}
	if row.Err != nil {
		return
	}
	leaves := m.leaves
	if slices.ContainsFunc(leaves, func(l leaf) bool {
		return l.kind == toGroupProperty || l.kind == toGroupCohorts
	}) {
		leaves = insertGroupNames(leaves, base)
	}
	row.User.Context = buildContext(arena, leaves)
	if len(base) > 0 {
		row.User.Context = mergeUser(base, row.User.Context, userDepth)
	}
}

// linePrefix returns the start of a message about a record.
func linePrefix(line int64) string {
	if line == 0 {
		return ""
	}
	return fmt.Sprintf("line %d: ", line)
}

// convertCell returns a cell in the type that the options give its column. The result must not be changed.
func (m *mapper) convertCell(cells []pipeline.Member, i int) (*pipeline.Value, error) {
	v := &cells[i].Value
	var t pipeline.Type
	ok := false
	if m.fixed {
		if ok = m.types[i] != nil; ok {
			t = *m.types[i]
		}
	} else if len(m.opts.Types) > 0 {
		t, ok = lookupType(cells[i].Name, m.opts)
	}
	if !ok {
		return v, nil
	}
	c, err := convertValue(*v, t)
	return &c, err
}

// carryValue returns the value of the i-th carried column, in its type.
func (m *mapper) carryValue(cells []pipeline.Member, i int, t pipeline.Type) (pipeline.Value, error) {
	cell := -1
	if m.fixed {
		cell = m.carry[i]
	} else {
		for j := range cells {
			if cells[j].Name == m.opts.Carry[i] {
				cell = j
				break
			}
			if cell < 0 && strings.EqualFold(cells[j].Name, m.opts.Carry[i]) {
				cell = j
			}
		}
	}
	if cell < 0 {
		return pipeline.Value{}, nil
	}
	v, err := m.convertCell(cells, cell)
	if err != nil || v.Kind == pipeline.Null {
		return pipeline.Value{}, err
	}
	if t == pipeline.TypeString && v.Kind != pipeline.String && v.Kind != pipeline.Number {
		return pipeline.StringValue(string(v.AppendText(nil))), nil
	}
	return *v, nil
}

// isAbsent reports whether a value says nothing about the user: null, or a number that JSON lacks.
func isAbsent(v *pipeline.Value) bool {
	if v.Kind == pipeline.Float {
		return math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)
	}
	return v.Kind == pipeline.Null
}

// toText returns the value of a field that is a string in the API. Numbers keep their digits.
func toText(v *pipeline.Value) (string, error) {
	switch v.Kind {
	case pipeline.String:
		return v.Text, nil
	case pipeline.List:
		return "", errors.New("a list where a text is expected")
	case pipeline.Object:
		return "", errors.New("an object where a text is expected")
	}
	return string(v.AppendText(nil)), nil
}

// convertValue converts a cell to the type that --types gives it.
func convertValue(v pipeline.Value, t pipeline.Type) (pipeline.Value, error) {
	if v.Kind == pipeline.Null || v.Kind == pipeline.String && v.Text == "" && t != pipeline.TypeString {
		return pipeline.Value{}, nil
	}
	if t == pipeline.TypeJSON && v.Kind != pipeline.String {
		return v, nil
	}
	if v.Kind == pipeline.List || v.Kind == pipeline.Object {
		if t == pipeline.TypeString {
			return pipeline.StringValue(string(v.AppendJSON(nil))), nil
		}
		return pipeline.Value{}, fmt.Errorf("not of type %s", t)
	}
	s, err := toText(&v)
	if err != nil {
		return pipeline.Value{}, err
	}
	switch t {
	case pipeline.TypeInt:
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return pipeline.Value{}, errors.New("not a 64-bit integer")
		}
		return pipeline.IntValue(n), nil
	case pipeline.TypeFloat:
		f, err := strconv.ParseFloat(s, 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return pipeline.Value{}, errors.New("not a float")
		}
		return pipeline.FloatValue(f), nil
	case pipeline.TypeBool:
		b, err := strconv.ParseBool(s)
		if err != nil {
			return pipeline.Value{}, errors.New("not a bool (true, false, 1 or 0)")
		}
		return pipeline.BoolValue(b), nil
	case pipeline.TypeJSON:
		return pipeline.ParseJSON(s)
	}
	return pipeline.StringValue(s), nil
}

// parseUserObject returns the members of a user from a cell that holds a user, or one of its objects.
func parseUserObject(t target, v pipeline.Value) ([]pipeline.Member, error) {
	if v.Kind == pipeline.String && v.Text == "" {
		return nil, nil // --missing empty: there is no object
	}
	if v.Kind == pipeline.String {
		var err error
		if v, err = pipeline.ParseJSON(v.Text); err != nil {
			return nil, err
		}
		if v.Kind == pipeline.Null {
			return nil, nil
		}
	}
	if v.Kind != pipeline.Object {
		return nil, errors.New("not a JSON object")
	}
	if t.kind == toObject {
		return normalizeUser([]pipeline.Member{{Name: t.top, Value: v}})
	}
	return normalizeUser(v.Members)
}

// normalizeUser checks a JSON user, and converts its known fields to the form in which they are sent. It drops nulls,
// and does not change the members that it is given.
func normalizeUser(members []pipeline.Member) ([]pipeline.Member, error) {
	out := make([]pipeline.Member, 0, len(members))
	for _, mem := range members {
		if isAbsent(&mem.Value) {
			continue
		}
		var err error
		switch name := mem.Name; {
		case name == userProperties:
			mem.Value, err = mapMembers(mem.Value, func(v pipeline.Value) (pipeline.Value, error) { return v, nil })
		case name == groups:
			mem.Value, err = mapMembers(mem.Value, func(v pipeline.Value) (pipeline.Value, error) {
				v, err := parseGroupNames(&v)
				if err == nil && v.Kind == pipeline.String {
					v = pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: v}}}
				}
				return v, err
			})
		case name == cohortIDs:
			mem.Value, err = parseCohortIDs(mem.Value)
		case name == groupCohortIDs:
			mem.Value, err = mapMembers(mem.Value, func(v pipeline.Value) (pipeline.Value, error) {
				return mapMembers(v, parseCohortIDs)
			})
		case name == groupProperties:
			properties := func(v pipeline.Value) (pipeline.Value, error) {
				return mapMembers(v, func(v pipeline.Value) (pipeline.Value, error) { return v, nil })
			}
			mem.Value, err = mapMembers(mem.Value, func(v pipeline.Value) (pipeline.Value,
				error) {
				return mapMembers(v, properties)
			})
		case name == "user_id" || name == "device_id" || slices.Contains(fields, name):
			var s string
			s, err = toText(&mem.Value)
			mem.Value = pipeline.StringValue(s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", mem.Name, err)
		}
		if mem.Value.Kind == pipeline.Null || mem.Value.Kind == pipeline.Object && len(mem.Value.Members) == 0 {
			continue
		}
		out = append(out, mem)
	}
	return out, nil
}

// mapMembers returns an object with f applied to each value, without values that are absent before or after.
func mapMembers(v pipeline.Value, f func(pipeline.Value) (pipeline.Value, error)) (pipeline.Value, error) {
	if v.Kind != pipeline.Object {
		return v, errors.New("not an object")
	}
	out := pipeline.Value{Kind: pipeline.Object, Members: make([]pipeline.Member, 0, len(v.Members))}
	for _, mem := range v.Members {
		if isAbsent(&mem.Value) {
			continue
		}
		var err error
		if mem.Value, err = f(mem.Value); err != nil {
			return v, err
		}
		if !isAbsent(&mem.Value) {
			out.Members = append(out.Members, mem)
		}
	}
	return out, nil
}

// parseCohortIDs returns ids of cohorts as a List: of a list, of its JSON text, or of the text of one id. It is null for
// an empty text.
func parseCohortIDs(v pipeline.Value) (pipeline.Value, error) {
	if v.Kind == pipeline.String {
		trimmed := strings.TrimSpace(v.Text)
		switch {
		case trimmed == "":
			return pipeline.Value{}, nil
		case strings.HasPrefix(trimmed, "["):
			var err error
			if v, err = pipeline.ParseJSON(trimmed); err != nil {
				return v, err
			}
		case strings.ContainsAny(trimmed, ",;| \t"):
			return v, errors.New(`not a JSON list of cohort ids, such as ["a1b2c3d4","e5f6a7b8"]`)
		default:
			return pipeline.Value{Kind: pipeline.List, Members: []pipeline.Member{{Value: pipeline.StringValue(trimmed)}}}, nil
		}
	}
	if v.Kind != pipeline.List {
		return v, errors.New(`not a list of cohort ids, such as ["a1b2c3d4","e5f6a7b8"]`)
	}
	return v, nil
}

// parseGroupNames returns the name of a group as a String, or several as a List of Strings; null if there is none.
func parseGroupNames(v *pipeline.Value) (pipeline.Value, error) {
	if v.Kind != pipeline.List {
		s, err := toText(v)
		if err != nil || s == "" {
			return pipeline.Value{}, err
		}
		return pipeline.StringValue(s), nil
	}
	out := pipeline.Value{Kind: pipeline.List}
	for _, mem := range v.Members {
		if isAbsent(&mem.Value) {
			continue
		}
		s, err := toText(&mem.Value)
		if err != nil {
			return pipeline.Value{}, err
		}
		out.Members = append(out.Members, pipeline.Member{Value: pipeline.StringValue(s)})
	}
	if len(out.Members) == 0 {
		return pipeline.Value{}, nil
	}
	return out, nil
}

// moveIDs moves the ids of a JSON user from its members to u, unless u has its own.
func moveIDs(base []pipeline.Member, u *pipeline.User) []pipeline.Member {
	return slices.DeleteFunc(base, func(m pipeline.Member) bool {
		switch m.Name {
		case "user_id":
			if u.UserID == "" {
				u.UserID = m.Value.Text
			}
			return true
		case "device_id":
			if u.DeviceID == "" {
				u.DeviceID = m.Value.Text
			}
			return true
		}
		return false
	})
}

// userDepth is how deep the objects of a JSON user are merged: a property that is itself an object is replaced.
var userDepth = map[string]int{userProperties: 1, groups: 1, groupProperties: 3, groupCohortIDs: 2}

// mergeUser lays the members of over on those of base; both are sorted by name. depth says which objects are merged
// and not replaced. The result is new; base and over do not change.
func mergeUser(base, over []pipeline.Member, depth map[string]int) []pipeline.Member {
	return mergeMembers(base, over, func(name string) int { return depth[name] })
}

func mergeMembers(base, over []pipeline.Member, depth func(string) int) []pipeline.Member {
	out := make([]pipeline.Member, 0, len(base)+len(over))
	for len(base) > 0 && len(over) > 0 {
		b, o := base[0], over[0]
		switch strings.Compare(b.Name, o.Name) {
		case -1:
			out, base = append(out, b), base[1:]
			continue
		case 0:
			if d := depth(b.Name); d > 0 && b.Value.Kind == pipeline.Object && o.Value.Kind == pipeline.Object {
				o.Value.Members = mergeMembers(b.Value.Members, o.Value.Members, func(string) int { return d - 1 })
			}
			base = base[1:]
		}
		out, over = append(out, o), over[1:]
	}
	return append(append(out, base...), over...)
}

// insertGroupNames adds the name of the group to the leaves of the properties and cohorts of groups, which have one more
// level than the columns. It drops those of groups that the row is not in.
func insertGroupNames(leaves []leaf, base []pipeline.Member) []leaf {
	name := func(groupType string) string {
		var v *pipeline.Value
		for i := range leaves {
			if leaves[i].kind == toGroup && leaves[i].key == groupType {
				v = leaves[i].value
			}
		}
		if g := pipeline.FindMember(base, groups); v == nil && g != nil {
			v = g.Get(groupType)
		}
		switch {
		case v == nil:
			return ""
		case v.Kind == pipeline.List:
			return v.Members[0].Value.Text // Amplitude uses only the first name of a type
		}
		return v.Text
	}
	out := leaves[:0:0]
	for _, l := range leaves {
		if l.kind == toGroupProperty || l.kind == toGroupCohorts {
			group := name(l.key)
			if group == "" {
				continue
			}
			if l.kind == toGroupCohorts {
				l.value = &pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{{Name: group, Value: *l.value}}}
			} else {
				l.value = &pipeline.Value{Kind: pipeline.Object, Text: group,
					Members: []pipeline.Member{{Name: l.sub, Value: *l.value}}}
			}
		}
		out = append(out, l)
	}
	return out
}

// partsOf is how many members a leaf needs besides the top one.
var partsOf = [...]int{
	toProperty:      1,
	toGroupCohorts:  1,
	toGroup:         2, // and a list of one name
	toGroupProperty: 3, // type, name, property
	toOther:         0, // and all others
}

// buildContext returns the context of sorted leaves. All its members are in one slice, of which the context is the
// beginning, so that a reused row needs no memory.
func buildContext(arena []pipeline.Member, leaves []leaf) []pipeline.Member {
	tops, need := 0, 0
	for i := range leaves {
		if i == 0 || leaves[i].top != leaves[i-1].top {
			tops++
		}
		need += partsOf[leaves[i].kind]
	}
	arena = slices.Grow(arena[:0], tops+need)[:tops+need]
	context, free := arena[:tops], arena[tops:]
	take := func(n int) []pipeline.Member {
		taken := free[:n:n]
		free = free[n:]
		return taken
	}
	for i := range context {
		n := 1
		for n < len(leaves) && leaves[n].top == leaves[0].top {
			n++
		}
		run := leaves[:n]
		leaves = leaves[n:]
		if run[0].key == "" { // it has no parts
			setMember(&context[i], run[0].top, run[0].value)
			continue
		}
		context[i] = pipeline.Member{Name: run[0].top, Value: pipeline.Value{Kind: pipeline.Object}}
		o := &context[i].Value
		switch run[0].kind {
		case toProperty, toGroupCohorts:
			o.Members = take(n)
			for j := range run {
				setMember(&o.Members[j], run[j].key, run[j].value)
			}
		case toGroup:
			o.Members = take(n)
			for j := range run {
				v := run[j].value
				if v.Kind != pipeline.String {
					setMember(&o.Members[j], run[j].key, v)
					continue
				}
				name := take(1)
				setMember(&name[0], "", v)
				o.Members[j] = pipeline.Member{Name: run[j].key, Value: pipeline.Value{Kind: pipeline.List, Members: name}}
			}
		case toGroupProperty:
			o.Members = take(n)[:0]
			for len(run) > 0 {
				k := 1
				for k < len(run) && run[k].key == run[0].key {
					k++
				}
				properties, group := take(k), take(1)
				for j := range properties {
					properties[j] = run[j].value.Members[0]
				}
				group[0] = pipeline.Member{Name: run[0].value.Text,
					Value: pipeline.Value{Kind: pipeline.Object, Members: properties}}
				o.Members = append(o.Members, pipeline.Member{Name: run[0].key,
					Value: pipeline.Value{Kind: pipeline.Object, Members: group}})
				run = run[k:]
			}
		}
	}
	return context
}

// setMember is *m = pipeline.Member{Name: name, Value: *v}, field by field. The cell was written a moment ago, in
// words; reading it in larger pieces would wait until these arrive in the cache, which doubled the time per row.
func setMember(m *pipeline.Member, name string, v *pipeline.Value) {
	m.Name = name
	m.Value.Kind = v.Kind
	m.Value.Num = v.Num
	m.Value.Text = v.Text
	m.Value.Members = v.Members
}
