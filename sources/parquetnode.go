package sources

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/schema"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/parquetfile"
)

// parquetNode assembles the values of a column of a Parquet file, or of a part of a nested one: a struct or a map is an
// object, a list is a list.
//
// The levels of the leaves say where a value begins and ends: see "Nested Encoding" of the Parquet format, which
// follows the Dremel paper. All leaves of a node must agree, so damage is detected.
type parquetNode struct {
	kind   nodeKind
	leaf   *leafReader
	flat   bool           // it is a leaf that is not in a list
	value  pipeline.Value // of a constant
	fields []*parquetNode // of a struct, sorted by name; the element of a list; the key and the value of a map
	name   string
	leaves []*leafReader // all leaves in it

	def  int16 // the lowest definition level at which it is present; below, it or a node around it is null
	elem int16 // of a list or a map: the lowest definition level at which it has an element
	rep  int16 // of a list or a map: the repetition level at which another element begins

	typ        pipeline.Type
	unreadable string // why it cannot be read; else ""
}

type nodeKind uint8

const (
	flatNode nodeKind = iota
	constantNode
	structNode
	listNode
	mapNode
)

// maxNesting bounds how deep columns nest, as pipeline.ParseJSON does for JSON.
const maxNesting = 100

// nodeBuilder makes the nodes of a schema.
type nodeBuilder struct {
	schema *schema.Schema
	index  map[schema.Node]int    // of the leaves
	broken map[schema.Node]string // the nodes that cannot be read; see parquetfile.File.BrokenTypes
}

func newNodeBuilder(s *schema.Schema, broken map[schema.Node]string) *nodeBuilder {
	b := &nodeBuilder{s, map[schema.Node]int{}, broken}
	for i := range s.NumColumns() {
		b.index[s.Column(i).SchemaNode()] = i
	}
	return b
}

// buildNode returns the node of n, in a group that is present from definition level def.
func (b *nodeBuilder) buildNode(n schema.Node, def, rep int16, depth int) *parquetNode {
	switch n.RepetitionType() {
	case parquet.Repetitions.Optional:
		def++
	case parquet.Repetitions.Repeated: // outside a LIST: a list that is never null, and whose elements are never null
		return b.newListNode(n.Name(), b.buildBody(n, def+1, rep+1, depth), def, rep)
	}
	return b.buildBody(n, def, rep, depth)
}

func (b *nodeBuilder) newListNode(name string, element *parquetNode, def, rep int16) *parquetNode {
	return &parquetNode{kind: listNode, name: name, fields: []*parquetNode{element}, leaves: element.leaves, def: def,
		elem: def + 1, rep: rep + 1,
		typ: pipeline.TypeJSON, unreadable: element.unreadable}
}

// buildBody returns the node of n, which itself is present from definition level def.
func (b *nodeBuilder) buildBody(n schema.Node, def, rep int16, depth int) *parquetNode {
	if depth > maxNesting {
		return &parquetNode{name: n.Name(), unreadable: fmt.Sprintf("a column that is nested deeper than %d", maxNesting)}
	}
	if what, ok := b.broken[n]; ok { // its parts make no sense without it
		return &parquetNode{name: n.Name(), unreadable: "a column " + what,
			leaf: &leafReader{convert: converter{shape: "values " + what}}}
	}
	g, ok := n.(*schema.GroupNode)
	if !ok {
		i := b.index[n]
		d := b.schema.Column(i)
		l := &leafReader{index: i, descr: d, max: d.MaxDefinitionLevel()}
		node := &parquetNode{kind: flatNode, name: n.Name(), leaf: l, leaves: []*leafReader{l}, def: def,
			flat: d.MaxRepetitionLevel() == 0}
		node.typ, l.convert, node.unreadable = newConverter(l.descr)
		return node
	}
	// See LogicalTypes.md of the Parquet format, "Lists" and "Maps", including the rules for older writers.
	if group, ok := findRepeatedField(g); ok && isAnnotated(g, schema.ConvertedTypes.List) {
		inner, ok := group.(*schema.GroupNode)
		if !ok || inner.NumFields() != 1 || inner.Name() == "array" || inner.Name() == g.Name()+"_tuple" ||
			inner.Field(0).RepetitionType() == parquet.Repetitions.Repeated {
			return b.newListNode(g.Name(), b.buildBody(group, def+1, rep+1, depth+1), def, rep)
		}
		return b.newListNode(g.Name(), b.buildNode(inner.Field(0), def+1, rep+1, depth+1), def, rep)
	}
	if group, ok := findRepeatedField(g); ok && (isAnnotated(g, schema.ConvertedTypes.Map) ||
		isAnnotated(g, schema.ConvertedTypes.MapKeyValue)) {
		if inner, ok := group.(*schema.GroupNode); ok && inner.NumFields() == 2 {
			return b.buildMapNode(g, inner, def, rep, depth)
		}
	}
	node := &parquetNode{kind: structNode, name: g.Name(), def: def, typ: pipeline.TypeJSON}
	if g.NumFields() == 0 {
		node.unreadable = "a struct without fields"
	}
	for i := range g.NumFields() {
		f := b.buildNode(g.Field(i), def, rep, depth+1)
		node.addPart(f)
		node.fields = append(node.fields, f)
	}
	slices.SortStableFunc(node.fields, func(a, b *parquetNode) int { return strings.Compare(a.name, b.name) })
	for i, f := range node.fields {
		if i > 0 && f.name == node.fields[i-1].name {
			node.unreadable = fmt.Sprintf("a struct with two fields %q", f.name)
		}
	}
	return node
}

func (b *nodeBuilder) buildMapNode(g, inner *schema.GroupNode, def, rep int16, depth int) *parquetNode {
	key, value := b.buildNode(inner.Field(0), def+1, rep+1, depth+1), b.buildNode(inner.Field(1), def+1, rep+1, depth+1)
	node := &parquetNode{kind: mapNode, name: g.Name(), def: def, elem: def + 1, rep: rep + 1, typ: pipeline.TypeJSON,
		fields: []*parquetNode{key, value}}
	if key.kind != flatNode && key.unreadable == "" {
		node.unreadable = "a map whose keys are nested"
	}
	node.addPart(key)
	node.addPart(value)
	return node
}

// shape describes the values of the column. It is the same for columns with the same kind of values.
func (n *parquetNode) shape() string {
	var b strings.Builder
	n.describe(&b)
	return b.String()
}

func (n *parquetNode) describe(b *strings.Builder) {
	switch n.kind {
	case flatNode:
		if n.leaf != nil {
			b.WriteString(n.leaf.convert.shape)
		}
	case constantNode:
		b.WriteString(shapeTexts)
	case listNode:
		b.WriteString("lists of ")
		n.fields[0].describe(b)
	case mapNode:
		b.WriteString("maps from ")
		n.fields[0].describe(b)
		b.WriteString(" to ")
		n.fields[1].describe(b)
	case structNode:
		b.WriteString("structs of (")
		for i, f := range n.fields {
			if i > 0 {
				b.WriteString(", ")
			}
			b.WriteString(f.name)
			b.WriteByte(' ')
			f.describe(b)
		}
		b.WriteByte(')')
	}
}

// addPart adds the leaves and the problem of a part.
func (n *parquetNode) addPart(part *parquetNode) {
	n.leaves = append(n.leaves, part.leaves...)
	if n.unreadable == "" {
		n.unreadable = part.unreadable
	}
}

// findRepeatedField returns the only field of a group, if it is repeated.
func findRepeatedField(g *schema.GroupNode) (schema.Node, bool) {
	if g.NumFields() != 1 || g.Field(0).RepetitionType() != parquet.Repetitions.Repeated {
		return nil, false
	}
	return g.Field(0), true
}

func isAnnotated(g *schema.GroupNode, as schema.ConvertedType) bool {
	if g.ConvertedType() == as {
		return true
	}
	switch g.LogicalType().(type) {
	case schema.ListLogicalType:
		return as == schema.ConvertedTypes.List
	case schema.MapLogicalType:
		return as == schema.ConvertedTypes.Map
	}
	return false
}

// findPath returns the node at a path of names, separated by dots, through structs. It ignores case if there is no
// exact match.
func (b *nodeBuilder) findPath(path string) *parquetNode {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		if n := b.findBelow(b.schema.Root(), path, 0, 0, same); n != nil {
			return n
		}
	}
	return nil
}

func (b *nodeBuilder) findBelow(g *schema.GroupNode, path string, def int16, depth int,
	same func(a, b string) bool) *parquetNode {
	for i := range g.NumFields() {
		f := g.Field(i)
		if same(f.Name(), path) {
			return b.buildNode(f, def, 0, depth)
		}
		inner, ok := f.(*schema.GroupNode)
		if _, broken := b.broken[f]; !ok || broken {
			continue
		}
		if _, repeated := findRepeatedField(inner); repeated || f.RepetitionType() == parquet.Repetitions.Repeated ||
			len(path) <= len(f.Name())+1 ||
			!same(path[:len(f.Name())], f.Name()) || path[len(f.Name())] != '.' || depth > maxNesting {
			continue
		}
		at := def
		if f.RepetitionType() == parquet.Repetitions.Optional {
			at++
		}
		if n := b.findBelow(inner, path[len(f.Name())+1:], at, depth+1, same); n != nil {
			n.name = f.Name() + "." + n.name // as in the file
			return n
		}
	}
	return nil
}

// allowance bounds the size of the nested values of a row, and keeps the first reason why one cannot be read.
type allowance struct {
	size int // as JSON, so that all formats have the same limit
	bad  string
	json []byte // buffer of measure
}

// spend takes the size of a value off the allowance.
func (a *allowance) spend(v *pipeline.Value) { a.size -= a.measure(v) }

// measure returns the approximate size of a value in JSON.
func (a *allowance) measure(v *pipeline.Value) int {
	if v.Kind == pipeline.String {
		return len(v.Text) + len(`"",`)
	}
	a.json = v.AppendJSON(a.json[:0])
	return len(a.json) + len(",")
}

// isSpent reports whether the row is too large. Values that are read after that are dropped.
func (a *allowance) isSpent() bool { return a.size < 0 }

var errLevels = errors.New("damaged Parquet: the parts of a nested column do not fit together")

// readRow returns the value of the next row.
func (n *parquetNode) readRow(s *parquetfile.Values, a *allowance) (pipeline.Value, error) {
	for _, l := range n.leaves {
		if _, rep, err := l.peekLevels(s); err != nil {
			return pipeline.Value{}, err
		} else if rep != 0 {
			return pipeline.Value{}, errors.New("damaged Parquet: a row that begins inside a list")
		}
	}
	a.bad = ""
	v, err := n.readValue(s, a)
	switch {
	case err != nil:
		return v, err
	case a.isSpent():
		return newUnreadable("the nested columns of the row are " + errTooLong.Error()), nil
	case a.bad != "":
		return newUnreadable(a.bad), nil
	}
	return v, nil
}

// readValue returns the value that begins at the current level of the leaves.
func (n *parquetNode) readValue(s *parquetfile.Values, a *allowance) (pipeline.Value, error) {
	var none pipeline.Value
	if n.kind == flatNode {
		if _, _, err := n.leaf.peekLevels(s); err != nil {
			return none, err
		}
		v := n.leaf.takeValue()
		if v.Kind == unreadable {
			if a.bad == "" {
				a.bad = v.Text
			}
			return none, nil
		}
		if a.spend(v); a.isSpent() {
			return none, nil
		}
		return *v, nil
	}
	def, _, err := n.leaves[0].peekLevels(s)
	if err != nil {
		return none, err
	}
	if def < n.def {
		a.spend(&none)
		return none, n.skipValue(s, 0, n.def)
	}
	a.size -= len("[],")
	if n.kind == structNode {
		return n.readStruct(s, a)
	}
	v := pipeline.Value{Kind: pipeline.List}
	if n.kind == mapNode {
		v.Kind = pipeline.Object
	}
	if def < n.elem {
		return v, n.skipValue(s, n.def, n.elem)
	}
	for more := true; more; {
		if err := n.checkLevels(s, func(def, _ int16) bool { return def >= n.elem }); err != nil {
			return none, err
		}
		var m pipeline.Member
		if n.kind == mapNode {
			key, err := n.fields[0].readValue(s, a)
			if err != nil {
				return none, err
			}
			if key.Kind == pipeline.Null && a.bad == "" && !a.isSpent() {
				a.bad = "a map with a null key"
			}
			m.Name = string(key.AppendText(nil))
		}
		if m.Value, err = n.fields[len(n.fields)-1].readValue(s, a); err != nil {
			return none, err
		}
		if !a.isSpent() {
			v.Members = append(v.Members, m)
		}
		// Another element begins in all leaves, or in none.
		if more, err = n.leaves[0].hasMore(s); err != nil {
			return none, err
		}
		more = more && n.leaves[0].reps[n.leaves[0].i] >= n.rep
		for _, l := range n.leaves {
			has, err := l.hasMore(s)
			if err != nil {
				return none, err
			}
			if has = has && l.reps[l.i] >= n.rep; has != more || has && l.reps[l.i] > n.rep {
				return none, errLevels
			}
		}
	}
	if n.kind == mapNode {
		slices.SortFunc(v.Members, func(a, b pipeline.Member) int { return strings.Compare(a.Name, b.Name) })
		for i := 1; i < len(v.Members); i++ {
			if v.Members[i].Name == v.Members[i-1].Name && a.bad == "" {
				a.bad = "a map with a duplicate key"
			}
		}
	}
	return v, nil
}

// readStruct leaves out fields that are null, because every struct has all fields.
func (n *parquetNode) readStruct(s *parquetfile.Values, a *allowance) (pipeline.Value, error) {
	v := pipeline.Value{Kind: pipeline.Object}
	if err := n.checkLevels(s, func(def, _ int16) bool { return def >= n.def }); err != nil {
		return v, err
	}
	for _, f := range n.fields {
		value, err := f.readValue(s, a)
		if err != nil {
			return v, err
		}
		if value.Kind != pipeline.Null {
			a.size -= len(f.name) + len(`"":`)
			v.Members = append(v.Members, pipeline.Member{Name: f.name, Value: value})
		}
	}
	return v, nil
}

// checkLevels checks a condition on the levels of all leaves.
func (n *parquetNode) checkLevels(s *parquetfile.Values, holds func(def, rep int16) bool) error {
	for _, l := range n.leaves {
		def, rep, err := l.peekLevels(s)
		if err != nil {
			return err
		}
		if !holds(def, rep) {
			return errLevels
		}
	}
	return nil
}

// skipValue skips a value that is null or empty, which all leaves must agree on.
func (n *parquetNode) skipValue(s *parquetfile.Values, from, to int16) error {
	if err := n.checkLevels(s, func(def, _ int16) bool { return def >= from && def < to }); err != nil {
		return err
	}
	for _, l := range n.leaves {
		l.i++
	}
	return nil
}
