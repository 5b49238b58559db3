package check

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/checker"
	"github.com/expr-lang/expr/compiler"
	"github.com/expr-lang/expr/conf"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/optimizer"
	"github.com/expr-lang/expr/parser"
	"github.com/expr-lang/expr/types"
	"github.com/expr-lang/expr/vm"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	maxWhere = 4096 // bytes of an expression
	maxNodes = 1000

	// What is remembered of an expression's results.
	maxRemembered = 1 << 13
	maxRemember   = 256 // bytes of the values that a result depends on
)

// functions are those of the language that take a bounded time on one value.
var functions = []string{"len", "lower", "upper", "trim", "abs"}

// where is a compiled expression. Most columns have few different values, so results are remembered.
type where struct {
	columns []string // that it looks at
	types   []pipeline.Type
	indexes []int // of columns, in the carried columns of the current snapshot

	program *vm.Program
	machine vm.VM
	env     map[string]any

	results map[string]bool
	key     []byte
}

// compileWhere checks an expression against the columns and compiles it. checkColumn may refuse a column that exists.
func compileWhere(text string, columns map[string]pipeline.Type, checkColumn func(name string) error) (w *where,
	err error) {
	defer func() { // the library's compiler reports errors by panicking
		if p := recover(); p != nil {
			w, err = nil, fmt.Errorf("it cannot be compiled: %s", cleanMessage(fmt.Sprint(p)))
		}
	}()
	env := types.Map{}
	for name, t := range columns {
		env[name] = exprType(t)
	}
	config := conf.New(env)
	config.MaxNodes = maxNodes
	config.Expect = reflect.Bool
	for name := range config.Builtins {
		if !slices.Contains(functions, name) {
			config.Disabled[name] = true
			delete(config.Builtins, name)
		}
	}
	tree, err := parser.ParseWithConfig(text, config)
	if err != nil {
		return nil, exprError(err)
	}
	r := &resolver{columns: columns, checkColumn: checkColumn, used: map[string]bool{}}
	if tree.Node = r.resolve(tree.Node); r.err != nil {
		return nil, r.err
	}
	if _, err := checker.Check(tree, config); err != nil {
		return nil, exprError(err)
	}
	if len(r.used) == 0 {
		return nil, errors.New("it looks at no column")
	}
	tree.Node = addGuards(tree.Node)
	if _, err := checker.Check(tree, config); err != nil {
		return nil, exprError(err)
	}
	if err := optimizer.Optimize(&tree.Node, config); err != nil {
		return nil, exprError(err)
	}
	program, err := compiler.Compile(tree, config)
	if err != nil {
		return nil, exprError(err)
	}
	w = &where{columns: slices.Sorted(maps.Keys(r.used)), program: program, env: map[string]any{},
		results: map[string]bool{}}
	for _, name := range w.columns {
		w.types = append(w.types, columns[name])
	}
	w.indexes = make([]int, len(w.columns))
	return w, nil
}

func exprType(t pipeline.Type) types.Type {
	switch t {
	case pipeline.TypeInt:
		return types.Int
	case pipeline.TypeFloat:
		return types.Float64
	case pipeline.TypeBool:
		return types.Bool
	}
	return types.String
}

// exprError is an error of the library in one line.
func exprError(err error) error {
	if e, ok := errors.AsType[*file.Error](err); ok {
		return fmt.Errorf("%s (column %d of the expression)", cleanMessage(e.Message), e.Column+1)
	}
	return err
}

// cleanMessage is a message of the library in one line, and without Go's name for a panic of its runtime.
func cleanMessage(message string) string {
	return strings.TrimPrefix(strings.Join(strings.Fields(message), " "), "runtime error: ")
}

// resolver replaces names by columns, and refuses what the language of the rules does not have.
type resolver struct {
	columns     map[string]pipeline.Type
	checkColumn func(name string) error
	used        map[string]bool
	err         error
}

func (r *resolver) setError(n ast.Node, hint, format string, args ...any) {
	if r.err == nil {
		at := fmt.Sprintf(" (column %d of the expression)", n.Location().From+1)
		r.err = pipeline.WithHint(fmt.Errorf(format+at, args...), hint)
	}
}

func (r *resolver) resolve(n ast.Node) ast.Node {
	if name, ok := columnName(n); ok {
		if _, known := r.columns[name]; !known {
			r.setError(n, missingHint(name, r.columns), "there is no carried column %q", name)
			return n
		}
		if err := r.checkColumn(name); err != nil && r.err == nil {
			r.err = err
		}
		r.used[name] = true
		id := &ast.IdentifierNode{Value: name}
		id.SetLocation(n.Location())
		return id
	}
	switch n := n.(type) {
	case *ast.NilNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.StringNode, *ast.UnaryNode, *ast.ArrayNode:
	case *ast.BinaryNode:
		if _, constant := n.Right.(*ast.StringNode); n.Operator == "matches" && !constant {
			r.setError(n, "", "matches needs a regular expression in quotes")
		}
		if n.Operator == ".." || n.Operator == "|" {
			r.setError(n, "", "%s is not allowed in rules", n.Operator)
		}
	case *ast.BuiltinNode:
		r.checkFunction(n, n.Name)
	case *ast.CallNode:
		name, _ := columnName(n.Callee)
		r.checkFunction(n, name)
	default:
		r.setError(n, "rules have conditions on columns, combined by and, or, not", "%s is not allowed in rules",
			strings.TrimPrefix(fmt.Sprintf("%T", n), "*ast."))
	}
	for _, operand := range operands(n) {
		*operand = r.resolve(*operand)
	}
	return n
}

func (r *resolver) checkFunction(n ast.Node, name string) {
	if !slices.Contains(functions, name) {
		r.setError(n, pipeline.Suggest(name, functions), "%s is not a function of rules; they are %s", name,
			strings.Join(functions, " "))
	}
}

// operands are the nodes that a node has the values of.
func operands(n ast.Node) (list []*ast.Node) {
	var nodes []ast.Node
	switch n := n.(type) {
	case *ast.UnaryNode:
		return []*ast.Node{&n.Node}
	case *ast.BinaryNode:
		return []*ast.Node{&n.Left, &n.Right}
	case *ast.ArrayNode:
		nodes = n.Nodes
	case *ast.BuiltinNode:
		nodes = n.Arguments
	case *ast.CallNode:
		nodes = n.Arguments
	}
	for i := range nodes {
		list = append(list, &nodes[i])
	}
	return list
}

// columnName is the name that a node is: plan, user_properties.plan or $env["lifetime value"].
func columnName(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.IdentifierNode:
		return n.Value, true
	case *ast.MemberNode:
		property, ok := n.Property.(*ast.StringNode)
		if !ok || n.Optional || n.Method {
			return "", false
		}
		before, ok := columnName(n.Node)
		switch {
		case !ok:
			return "", false
		case before == "$env":
			return property.Value, true
		}
		return before + "." + property.Value, true
	case *ast.ChainNode:
		return columnName(n.Node)
	}
	return "", false
}

func missingHint(name string, columns map[string]pipeline.Type) string {
	return cmp.Or(pipeline.Suggest(name, slices.Sorted(maps.Keys(columns))),
		"`rollcall snapshot --carry "+name+"` copies a column of the input to the output")
}

// addGuards makes conditions on missing values false, as doc.go says: each condition c on columns x, y becomes
// x != nil and y != nil and c, but for those with nil itself.
func addGuards(n ast.Node) ast.Node {
	switch n := n.(type) {
	case *ast.UnaryNode:
		if n.Operator == "not" || n.Operator == "!" {
			n.Node = addGuards(n.Node)
			return n
		}
	case *ast.BinaryNode:
		switch n.Operator {
		case "and", "&&", "or", "||":
			n.Left, n.Right = addGuards(n.Left), addGuards(n.Right)
			return n
		case "==", "!=":
			if isNil(n.Left) || isNil(n.Right) {
				return n
			}
			if isBool(n.Left) && isBool(n.Right) && (isCondition(n.Left) || isCondition(n.Right)) {
				n.Left, n.Right = addGuards(n.Left), addGuards(n.Right) // conditions are never missing
				return n
			}
			if n.Operator == "!=" {
				n.Operator = "=="
				return &ast.UnaryNode{Operator: "not", Node: addGuards(n)}
			}
		}
	}
	var columns []string
	collectColumns(n, &columns)
	var out = n
	for _, name := range slices.Backward(columns) {
		out = &ast.BinaryNode{Operator: "and", Right: out,
			Left: &ast.BinaryNode{Operator: "!=", Left: &ast.IdentifierNode{Value: name}, Right: &ast.NilNode{}}}
	}
	return out
}

func isNil(n ast.Node) bool { _, ok := n.(*ast.NilNode); return ok }

func isBool(n ast.Node) bool { return n.Type().Kind() == reflect.Bool }

// isCondition reports whether n is more than a column or a value.
func isCondition(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.UnaryNode:
		return true
	case *ast.BinaryNode:
		return n.Operator != "??"
	}
	return false
}

// collectColumns finds the columns of which a condition needs a value: not those before ??.
func collectColumns(n ast.Node, columns *[]string) {
	if id, ok := n.(*ast.IdentifierNode); ok && !slices.Contains(*columns, id.Value) {
		*columns = append(*columns, id.Value)
	}
	list := operands(n)
	if b, ok := n.(*ast.BinaryNode); ok && b.Operator == "??" {
		list = list[1:]
	}
	for _, operand := range list {
		collectColumns(*operand, columns)
	}
}

// evaluate reports whether the condition holds for a user.
func (w *where) evaluate(carry []snapshot.Value) (bool, error) {
	key := w.key[:0]
	for _, index := range w.indexes {
		v := &carry[index]
		key = append(key, byte(v.Kind))
		if v.Text != nil {
			key = binary.AppendUvarint(key, uint64(len(v.Text)))
			if len(v.Text) > maxRemember {
				return w.run(carry)
			}
			key = append(key, v.Text...)
		} else {
			key = binary.LittleEndian.AppendUint64(key, uint64(v.Num))
		}
	}
	w.key = key
	if result, ok := w.results[string(key)]; ok {
		return result, nil
	}
	result, err := w.run(carry)
	if err == nil && len(w.results) < maxRemembered && len(key) <= maxRemember {
		w.results[string(key)] = result
	}
	return result, err
}

func (w *where) run(carry []snapshot.Value) (bool, error) {
	for i, name := range w.columns {
		value, err := convertValue(&carry[w.indexes[i]], w.types[i])
		if err != nil {
			return false, fmt.Errorf("column %s: %w", name, err)
		}
		w.env[name] = value
	}
	out, err := w.machine.Run(w.program, w.env)
	if err != nil {
		return false, exprError(err)
	}
	return out == true, nil
}

// convertValue makes the value that an expression sees. Its errors do not show the value, which may be personal data.
func convertValue(v *snapshot.Value, t pipeline.Type) (any, error) {
	switch {
	case v.Kind == pipeline.Null:
		return nil, nil
	case v.Kind == pipeline.Float && t == pipeline.TypeFloat: // also infinities
		return math.Float64frombits(uint64(v.Num)), nil
	}
	text := string(v.AppendText(nil))
	switch t {
	case pipeline.TypeInt:
		if n, err := strconv.Atoi(text); err == nil {
			return n, nil
		}
	case pipeline.TypeFloat:
		if f, err := parseDecimal(text); err == nil {
			return f, nil
		}
	case pipeline.TypeBool:
		if strings.EqualFold(text, "true") || strings.EqualFold(text, "false") {
			return strings.EqualFold(text, "true"), nil
		}
	default:
		return text, nil
	}
	return nil, fmt.Errorf("a value that is not a valid %s", t)
}
