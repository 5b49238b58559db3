package check

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// Error is a mistake in a rules file.
type Error struct {
	File string
	Line int // 0: about the file as a whole
	Err  error
}

func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Err)
	}
	return fmt.Sprintf("%s:%d: %v", e.File, e.Line, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

const (
	maxFile  = 1 << 20 // bytes of a rules file, and of a schema
	maxDepth = 200     // of an inline schema
)

// decoder cuts a YAML document into what the rules are made of.
type decoder struct{ file string }

func (d *decoder) errorf(line int, format string, args ...any) error {
	return &Error{d.file, line, fmt.Errorf(format, args...)}
}

// unknown is an error about a name, with the nearest of those that are known as a hint.
func (d *decoder) unknown(line int, name string, known []string, format string, args ...any) error {
	return pipeline.WithHint(d.errorf(line, format, args...), pipeline.Suggest(name, known))
}

// document is the one mapping that a rules file consists of.
func (d *decoder) document(data []byte) (*yaml.Node, error) {
	if len(data) > maxFile {
		return nil, d.errorf(0, "a rules file of more than %d bytes", maxFile)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	switch {
	case errors.Is(err, io.EOF), err == nil && len(doc.Content) == 0:
		return nil, d.errorf(0, "no rules: the file is empty")
	case err != nil:
		return nil, d.yamlError(err)
	}
	if err := dec.Decode(&second); err == nil {
		return nil, d.errorf(second.Line, "a second document: a rules file has one")
	} else if !errors.Is(err, io.EOF) {
		return nil, d.yamlError(err)
	}
	return doc.Content[0], nil
}

// yamlError takes the line out of an error of the library: "yaml: line 3: did not find …".
func (d *decoder) yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		if number, what, ok := strings.Cut(rest, ": "); ok {
			if line, err := strconv.Atoi(number); err == nil {
				return d.errorf(line, "not YAML: %s", what)
			}
		}
	}
	return d.errorf(0, "not YAML: %s", text)
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

// mapping is the entries of a mapping, each key once.
func (d *decoder) mapping(n *yaml.Node, what string) ([]entry, error) {
	if n.Kind != yaml.MappingNode {
		return nil, d.errorf(n.Line, "%s is not a mapping of keys to values", what)
	}
	if err := d.plain(n); err != nil {
		return nil, err
	}
	var entries []entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := d.text(n.Content[i], "a key of "+what)
		if err != nil {
			return nil, err
		}
		if seen[key] {
			return nil, d.errorf(n.Content[i].Line, "%s stands there twice", key)
		}
		seen[key] = true
		entries = append(entries, entry{key, n.Content[i].Line, n.Content[i+1]})
	}
	return entries, nil
}

// plain refuses what YAML has beyond values: tags and aliases.
func (d *decoder) plain(n *yaml.Node) error {
	if n.Kind == yaml.AliasNode {
		return d.errorf(n.Line, "aliases (*%s) are not known in a rules file", n.Value)
	}
	if n.Style&yaml.TaggedStyle != 0 {
		return pipeline.WithHint(d.errorf(n.Line, "tags (%s) are not known in a rules file", n.Tag), "put the value in quotes")
	}
	return nil
}

// text is a value that is neither a list nor a mapping, as it is written.
func (d *decoder) text(n *yaml.Node, what string) (string, error) {
	if err := d.plain(n); err != nil {
		return "", err
	}
	switch {
	case n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" && n.Value != "":
		return "", pipeline.WithHint(d.errorf(n.Line, "%s is %s, which is no value in YAML", what, n.Value),
			fmt.Sprintf("if it is a name, put it in quotes: %q", n.Value))
	case n.Kind != yaml.ScalarNode || n.Value == "" || n.ShortTag() == "!!null":
		return "", d.errorf(n.Line, "%s is missing, or not a single value", what)
	}
	return n.Value, nil
}

// texts is a list of values, or one of them; each once.
func (d *decoder) texts(n *yaml.Node, what string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		text, err := d.name(n, what)
		return []string{text}, err
	}
	if err := d.plain(n); err != nil {
		return nil, err
	}
	var list []string
	seen := map[string]bool{}
	for _, item := range n.Content {
		text, err := d.name(item, "an element of "+what)
		if err != nil {
			return nil, err
		}
		if seen[text] {
			return nil, d.errorf(item.Line, "%s has %q twice", what, text)
		}
		seen[text] = true
		list = append(list, text)
	}
	if len(list) == 0 {
		return nil, d.errorf(n.Line, "%s is an empty list", what)
	}
	return list, nil
}

// name is a value of a list. One with a comma that is not in quotes is meant as several.
func (d *decoder) name(n *yaml.Node, what string) (string, error) {
	text, err := d.text(n, what)
	if err == nil && n.Style == 0 && strings.Contains(text, ",") {
		var names []string
		for part := range strings.SplitSeq(text, ",") {
			if part = strings.TrimSpace(part); part != "" {
				names = append(names, part)
			}
		}
		err = pipeline.WithHint(d.errorf(n.Line, "%s is one text with a comma, %q, and not a list", what, text),
			fmt.Sprintf("a list is written [%s]; a name that has a comma stands in quotes", strings.Join(names, ", ")))
	}
	return text, err
}

// oneOf is a value of a few.
func (d *decoder) oneOf(n *yaml.Node, what string, values ...string) (string, error) {
	text, err := d.text(n, what)
	if err != nil {
		return "", err
	}
	if !slices.Contains(values, text) {
		return "", d.unknown(n.Line, text, values, "%s cannot be %q: it is one of %s", what, text, strings.Join(values, " "))
	}
	return text, nil
}

// share is 45% or 0.45, as a number from 0 to 1.
func (d *decoder) share(n *yaml.Node, what string) (float64, error) {
	text, err := d.text(n, what)
	if err != nil {
		return 0, err
	}
	number, percent := strings.CutSuffix(text, "%")
	f, err := decimal(strings.TrimSpace(number))
	if percent {
		f /= 100
	}
	if err != nil || f < 0 || f > 1 {
		return 0, pipeline.WithHint(d.errorf(n.Line, "%s: %q is not a share", what, text), "a share is written 45% or 0.45")
	}
	return f, nil
}

// count is a number of users.
func (d *decoder) count(n *yaml.Node, what string) (int64, error) {
	text, err := d.text(n, what)
	if err != nil {
		return 0, err
	}
	number, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
	if err != nil || number < 0 {
		return 0, d.errorf(n.Line, "%s: %q is not a number of users", what, text)
	}
	return number, nil
}

// number is any number that is greater than 0.
func (d *decoder) number(n *yaml.Node, what string) (float64, error) {
	text, err := d.text(n, what)
	if err != nil {
		return 0, err
	}
	f, err := decimal(strings.TrimSuffix(text, "%"))
	if err != nil || f <= 0 || f > 1e12 {
		return 0, d.errorf(n.Line, "%s: %q is not a number greater than 0", what, text)
	}
	return f, nil
}

// decimal is a number in digits: nothing of infinities, hexadecimals and underscores.
func decimal(text string) (float64, error) {
	if strings.Trim(text, "0123456789.eE+-") != "" || len(text) > 40 {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && math.IsInf(f, 0) {
		err = strconv.ErrRange
	}
	return f, err
}

// duration is 90m, 24h or 7d.
func (d *decoder) duration(n *yaml.Node, what string) (time.Duration, error) {
	text, err := d.text(n, what)
	if err != nil {
		return 0, err
	}
	var duration time.Duration
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var f float64
		if f, err = decimal(days); err == nil && f <= 36500 {
			duration = time.Duration(f * 24 * float64(time.Hour))
		}
	} else {
		duration, err = time.ParseDuration(text)
	}
	if err != nil || duration <= 0 {
		return 0, pipeline.WithHint(d.errorf(n.Line, "%s: %q is not a time", what, text), "a time is written 90m, 24h or 7d")
	}
	return duration, nil
}

// tree is a value as encoding/json would have decoded it, for an inline schema.
func (d *decoder) tree(n *yaml.Node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, d.errorf(n.Line, "nested too deep")
	}
	if err := d.plain(n); err != nil {
		return nil, err
	}
	switch n.Kind {
	case yaml.MappingNode:
		entries, err := d.mapping(n, "the schema")
		if err != nil {
			return nil, err
		}
		m := map[string]any{}
		for _, e := range entries {
			if m[e.key], err = d.tree(e.value, depth+1); err != nil {
				return nil, err
			}
		}
		return m, nil
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range n.Content {
			value, err := d.tree(item, depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	var value any
	switch n.ShortTag() {
	case "!!null":
		return nil, nil
	case "!!bool", "!!int", "!!float":
		if err := n.Decode(&value); err != nil {
			return nil, d.errorf(n.Line, "not a value of JSON: %w", err)
		}
		switch v := value.(type) {
		case bool:
			return v, nil
		case float64:
			if math.IsInf(v, 0) || math.IsNaN(v) {
				return nil, d.errorf(n.Line, "not a value of JSON: %s", n.Value)
			}
			return json.Number(strconv.FormatFloat(v, 'g', -1, 64)), nil
		default: // an integer
			return json.Number(fmt.Sprint(v)), nil
		}
	}
	return n.Value, nil // texts, and dates, which JSON has as texts
}
