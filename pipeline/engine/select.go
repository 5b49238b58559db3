package engine

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// root is where a selector starts.
type root uint8

const (
	rootNothing  root = iota // a path that cannot lead anywhere
	rootUserID               // context.user.user_id
	rootDeviceID             // context.user.device_id
	rootField                // context.user.<name>…
	rootProperty             // context.user.user_properties.<name>…
	rootGroup                // context.groups.<name>…
	rootResult               // result.<flag>…: the result of another flag
	rootWhole                // an object that is built only if it is read: context, context.user, context.groups, result
)

// selector is a compiled path.
type selector struct {
	root root
	name string   // rootField, rootProperty: the field or property; rootGroup: the group type
	flag int32    // rootResult
	path []string // the rest; rootProperty: with its name
}

// isGroupField reports whether a field of the user is not in context.user: the SDKs convert it to context.groups.
func isGroupField(name string) bool {
	return name == "groups" || name == "group_properties" || name == "group_cohort_ids"
}

func newSelector(path []string, flags map[string]int32, r *rules) selector {
	s := selector{path: path}
	for _, element := range path {
		if element == "" { // undefined in the reference's select
			return s
		}
	}
	switch {
	case len(path) == 0:
	case path[0] == "result" && len(path) == 1, path[0] == "context" && len(path) == 1:
		s.root = rootWhole
	case path[0] == "result" && len(path) > 2 && r.resultParts != nil && !slices.Contains(r.resultParts, path[2]):
	case path[0] == "result":
		if i, ok := flags[path[1]]; ok {
			s.root, s.flag, s.path = rootResult, i, path[2:]
		}
	case path[0] != "context":
	case (path[1] == "user" || path[1] == "groups") && len(path) == 2:
		s.root = rootWhole
	case path[1] == "groups":
		s.root, s.name, s.path = rootGroup, path[2], path[3:]
	case path[1] != "user" || isGroupField(path[2]):
	case path[2] == "user_id":
		s.root, s.path = rootUserID, path[3:]
	case path[2] == "device_id":
		s.root, s.path = rootDeviceID, path[3:]
	case path[2] == "user_properties" && len(path) > 3:
		s.root, s.name, s.path = rootProperty, path[3], path[3:]
	default:
		s.root, s.name, s.path = rootField, path[2], path[3:]
	}
	return s
}

// findValue returns the value at the selector for the user of st; nil or a Null if there is none. It may be stored in
// *tmp.
func (s *selector) findValue(st *state, tmp *pipeline.Value) *pipeline.Value {
	switch s.root {
	case rootUserID:
		return idValue(st.user.UserID, s.path, tmp)
	case rootDeviceID:
		return idValue(st.user.DeviceID, s.path, tmp)
	case rootField:
		v := findMember(st.user.Context, s.name)
		if len(s.path) == 0 {
			return v
		}
		return st.walkPath(v, s.path, findMember, tmp)
	case rootProperty:
		v := st.userProperties()
		if v == nil || v.Kind != pipeline.Object {
			return st.walkPath(v, s.path, findMember, tmp)
		}
		if v = findMember(v.Members, s.name); len(s.path) == 1 {
			return v
		}
		return st.walkPath(v, s.path[1:], findMember, tmp)
	case rootGroup:
		return s.findGroup(st, tmp)
	case rootResult:
		if r := st.results[s.flag]; r != 0 {
			return st.walkPath(&st.engine.variants[r-1].tree, s.path, findOrdered, tmp)
		}
	case rootWhole:
		*tmp = s.buildWhole(st)
		return tmp
	}
	return nil
}

func idValue(id string, path []string, tmp *pipeline.Value) *pipeline.Value {
	if id == "" || len(path) > 0 {
		return nil
	}
	tmp.Kind, tmp.Text = pipeline.String, id // its other fields are never set
	return tmp
}

// findMember is pipeline.FindMember, but faster if there are few members: most names already differ in length.
func findMember(members []pipeline.Member, name string) *pipeline.Value {
	if len(members) > 16 {
		return pipeline.FindMember(members, name)
	}
	for i := range members {
		if members[i].Name == name {
			return &members[i].Value
		}
	}
	return nil
}

// walkPath follows the path through objects, and, if the rules say so, through lists by index and length as JavaScript
// does.
func (st *state) walkPath(v *pipeline.Value, path []string, find func([]pipeline.Member, string) *pipeline.Value,
	tmp *pipeline.Value) *pipeline.Value {
	for _, name := range path {
		switch {
		case v == nil:
			return nil
		case v.Kind == pipeline.Object:
			v = find(v.Members, name)
		case v.Kind == pipeline.List && !st.engine.rules.intoLists:
			st.odd = true
			return nil
		case v.Kind == pipeline.List && name == "length":
			st.odd = true
			*tmp = pipeline.IntValue(int64(len(v.Members)))
			v = tmp
		case v.Kind == pipeline.List:
			st.odd = true
			i, ok := arrayIndex(name)
			if !ok || i >= int64(len(v.Members)) {
				return nil
			}
			v = &v.Members[i].Value
		default:
			return nil
		}
	}
	return v
}

func findOrdered(members []pipeline.Member, name string) *pipeline.Value {
	for i := range members {
		if members[i].Name == name {
			return &members[i].Value
		}
	}
	return nil
}

// findGroup returns a value in the group of one type: {group_name, group_properties?, cohort_ids?}.
func (s *selector) findGroup(st *state, tmp *pipeline.Value) *pipeline.Value {
	name := st.findGroupName(s.name)
	switch {
	case name == nil:
		return nil
	case len(s.path) == 0:
		*tmp = st.groupObject(s.name, name)
		return tmp
	}
	switch s.path[0] {
	case "group_name":
		return st.walkPath(name, s.path[1:], findMember, tmp)
	case "group_properties":
		return st.walkPath(st.groupPart("group_properties", s.name, name), s.path[1:], findMember, tmp)
	case "cohort_ids":
		return st.walkPath(st.groupPart("group_cohort_ids", s.name, name), s.path[1:], findMember, tmp)
	}
	return nil
}

// findGroupName returns the name of the user's group of that type; nil if there is none.
func (st *state) findGroupName(groupType string) *pipeline.Value {
	groups := findMember(st.user.Context, "groups")
	if groups == nil {
		return nil
	}
	group := groups.Get(groupType)
	st.odd = st.odd || !isPlainGroup(group)
	return st.engine.rules.groupName(group)
}

// isPlainGroup reports whether a group has the same name for both engines: it is missing, or a list of texts of which
// the first is not empty.
func isPlainGroup(v *pipeline.Value) bool {
	if v == nil || v.Kind == pipeline.Null {
		return true
	}
	for i := range v.Members {
		if element := &v.Members[i].Value; element.Kind != pipeline.String || element.Text == "" {
			return false
		}
	}
	return v.Kind == pipeline.List
}

// nodeGroupName returns the name in a user's group, which is the first element of a list.
func nodeGroupName(name *pipeline.Value) *pipeline.Value {
	if name != nil && name.Kind == pipeline.List {
		if len(name.Members) == 0 {
			return nil
		}
		name = &name.Members[0].Value
	}
	if name == nil || isFalsy(name) {
		return nil
	}
	return name
}

func isFalsy(v *pipeline.Value) bool {
	switch v.Kind {
	case pipeline.Null:
		return true
	case pipeline.String:
		return v.Text == ""
	case pipeline.Bool:
		return v.Num == 0
	case pipeline.Number, pipeline.Int, pipeline.Float:
		f := floatOf(v)
		return f == 0 || math.IsNaN(f)
	}
	return false
}

// groupPart returns field.<type>.<name> of the user, or nil if it is empty.
func (st *state) groupPart(field, groupType string, name *pipeline.Value) *pipeline.Value {
	types := findMember(st.user.Context, field)
	if types == nil {
		return nil
	}
	names := types.Get(groupType)
	if names == nil {
		return nil
	}
	text, _ := st.engine.rules.text(name)
	part := names.Get(text)
	if part == nil || len(part.Members) == 0 && (part.Text == "" || part.Kind == pipeline.Number) {
		return nil // the reference counts Object.keys; a string has one for each character
	}
	return part
}

func (st *state) groupObject(groupType string, name *pipeline.Value) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.Object, Members: []pipeline.Member{{Name: "group_name", Value: *name}}}
	if part := st.groupPart("group_properties", groupType, name); part != nil {
		v.Members = append(v.Members, pipeline.Member{Name: "group_properties", Value: *part})
	}
	if part := st.groupPart("group_cohort_ids", groupType, name); part != nil {
		v.Members = append(v.Members, pipeline.Member{Name: "cohort_ids", Value: *part})
	}
	return v
}

// buildWhole builds an object that this engine otherwise keeps in parts. Real flags do not read it; it is there to
// agree with the reference.
func (s *selector) buildWhole(st *state) pipeline.Value {
	if s.path[0] == "result" {
		v := pipeline.Value{Kind: pipeline.Object}
		for _, f := range st.plan.order[:st.done] {
			if r := st.results[f]; r != 0 {
				variant := st.engine.variants[r-1]
				v.Members = append(v.Members, pipeline.Member{Name: variant.FlagKey, Value: variant.tree})
			}
		}
		return v
	}
	user, groups := contextUser(st.user), st.contextGroups()
	if len(s.path) == 2 {
		if s.path[1] == "user" {
			return user
		}
		return groups
	}
	v := pipeline.Value{Kind: pipeline.Object}
	if user.Kind != pipeline.Null {
		v.Members = append(v.Members, pipeline.Member{Name: "user", Value: user})
	}
	if groups.Kind != pipeline.Null {
		v.Members = append(v.Members, pipeline.Member{Name: "groups", Value: groups})
	}
	return v
}

// contextUser returns context.user: the ids and the fields, sorted; Null if there are none.
func contextUser(u *pipeline.User) pipeline.Value {
	v := pipeline.Value{Kind: pipeline.Object}
	for _, m := range u.Context {
		if !isGroupField(m.Name) {
			v.Members = append(v.Members, m)
		}
	}
	if u.UserID != "" {
		v.Members = append(v.Members, pipeline.Member{Name: "user_id", Value: pipeline.StringValue(u.UserID)})
	}
	if u.DeviceID != "" {
		v.Members = append(v.Members, pipeline.Member{Name: "device_id", Value: pipeline.StringValue(u.DeviceID)})
	}
	if len(v.Members) == 0 {
		return pipeline.Value{}
	}
	slices.SortFunc(v.Members, func(a, b pipeline.Member) int { return strings.Compare(a.Name, b.Name) })
	return v
}

// contextGroups returns context.groups; Null if there are none.
func (st *state) contextGroups() pipeline.Value {
	v := pipeline.Value{Kind: pipeline.Object}
	if groups := findMember(st.user.Context, "groups"); groups != nil && groups.Kind == pipeline.Object {
		for _, m := range groups.Members {
			if name := st.findGroupName(m.Name); name != nil {
				v.Members = append(v.Members, pipeline.Member{Name: m.Name, Value: st.groupObject(m.Name, name)})
			}
		}
	}
	if len(v.Members) == 0 {
		return pipeline.Value{}
	}
	return v
}

// shape is what the operators distinguish.
type shape uint8

const (
	shapeMissing shape = iota
	shapeScalar
	shapeList // a list, or a string that is a JSON array
)

// slot holds what a selector found for the current user.
type slot struct {
	user       uint64 // the number of the user that it is for
	shape      shape
	hasNumber  bool // num is known
	numOK      bool
	numPlain   bool // it is the same number for both engines
	hasVersion bool // ver and verOK are known
	verOK      bool
	text       string // the value as a string; for a list, only once a bucket needs it
	value      *pipeline.Value
	num        float64
	list       []string // the elements of a list as strings
	ver        version
	tmp        pipeline.Value
}

// loadSlot returns the slot of the selector, filled for the current user.
func (st *state) loadSlot(i int32) *slot {
	sl := &st.slots[i]
	if sl.user != st.number {
		st.fillSlot(sl, &st.engine.selectors[i])
	}
	return sl
}

func (st *state) fillSlot(sl *slot, s *selector) {
	if s.root != rootResult && s.root != rootWhole { // those change while flags are evaluated
		sl.user = st.number
	}
	sl.shape, sl.hasNumber, sl.hasVersion = shapeMissing, false, false
	sl.value = s.findValue(st, &sl.tmp)
	switch {
	case sl.value == nil:
		sl.text = ""
		return
	case sl.value.Kind == pipeline.String:
		sl.text = sl.value.Text
	case sl.value.Kind == pipeline.List:
		sl.shape, sl.text = shapeList, ""
		st.odd = st.odd || !isPlainList(sl.value)
		sl.list = appendTexts(sl.list[:0], sl.value, st.engine.rules.text, st.engine.rules.keepEmpty)
		return
	default:
		st.odd = st.odd || !printsAlike(sl.value)
		text, ok := st.engine.rules.text(sl.value)
		if sl.text = text; !ok {
			return
		}
	}
	sl.shape = shapeScalar
	if sl.text != "" && sl.text[0] == '[' {
		r := st.engine.rules
		list, ok := parseStrings(sl.list[:0], sl.text, r.keepEmpty)
		st.odd = st.odd || !ok || strings.Contains(sl.text, `""`)
		if !ok {
			list, ok = r.list(sl.list[:0], sl.text)
		}
		if ok {
			sl.shape, sl.list = shapeList, list
		}
	}
}

// parseStrings reads JSON arrays of plain strings, which most are; ok is false for all others. The strings that it
// appends are parts of s; keepEmpty says whether "" is one of them.
func parseStrings(dst []string, s string, keepEmpty bool) (list []string, ok bool) {
	i := 1 // after the bracket
	for {
		i = skipSpace(s, i)
		if i == len(s) || s[i] != '"' {
			return dst, false
		}
		start := i + 1
		for i = start; i < len(s) && s[i] != '"'; i++ {
			if s[i] < ' ' || s[i] == '\\' || s[i] >= utf8.RuneSelf {
				return dst, false
			}
		}
		if i == len(s) {
			return dst, false
		}
		if i > start || keepEmpty {
			dst = append(dst, s[start:i])
		}
		i = skipSpace(s, i+1)
		switch {
		case i == len(s):
			return dst, false
		case s[i] == ',':
			i++
		case s[i] == ']':
			return dst, skipSpace(s, i+1) == len(s)
		default:
			return dst, false
		}
	}
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\t' || s[i] == '\n' || s[i] == '\r') {
		i++
	}
	return i
}

// userProperties returns the user's user_properties, looked up once for each user; nil if there are none.
func (st *state) userProperties() *pipeline.Value {
	if st.propertiesOf != st.number {
		st.propertiesOf, st.properties = st.number, findMember(st.user.Context, "user_properties")
	}
	return st.properties
}

// asNumber returns the value as a number, if it is one.
func (sl *slot) asNumber(r *rules) (float64, bool) {
	if !sl.hasNumber {
		sl.hasNumber = true
		if n, rest, ok := cutNumber(sl.text); ok && rest == "" { // only digits, as usual
			sl.num, sl.numOK, sl.numPlain = n, true, true
		} else {
			sl.num, sl.numOK = r.number(sl.text)
			sl.numPlain = sl.numOK && sl.num != 0 && isPlainDecimal(sl.text)
		}
	}
	return sl.num, sl.numOK
}

// asVersion returns the value as a version, if it is one.
func (sl *slot) asVersion(r *rules) (*version, bool) {
	if !sl.hasVersion {
		sl.hasVersion = true
		sl.ver, sl.verOK = r.version(sl.text)
	}
	return &sl.ver, sl.verOK
}

// asBucketing returns the string to hash; "" if there is none.
func (sl *slot) asBucketing(r *rules) string {
	if sl.shape == shapeList && sl.text == "" {
		sl.text, _ = r.text(sl.value)
	}
	return sl.text
}
