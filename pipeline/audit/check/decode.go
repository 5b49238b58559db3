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
	Line int // 0: the mistake is in the file as a whole
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
	maxDepth = 200     // of nested lists and mappings
)

// decoder makes values of the nodes of a YAML document. Its errors are of type [*Error].
type decoder struct{ file string }

func (d *decoder) errorf(line int, format string, args ...any) error {
	return &Error{d.file, line, fmt.Errorf(format, args...)}
}

// unknownName is an error about a name, with the nearest of the known names as a hint.
func (d *decoder) unknownName(line int, name string, known []string, format string, args ...any) error {
	return pipeline.WithHint(d.errorf(line, format, args...), pipeline.Suggest(name, known))
}

// parseDocument returns the root of the only document in a rules file.
func (d *decoder) parseDocument(data []byte) (*yaml.Node, error) {
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
	return doc.Content[0], d.checkNode(doc.Content[0], 0)
}

// yamlError takes the line out of an error of the library: "yaml: line 3: did not find …".
func (d *decoder) yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	if rest, ok := strings.CutPrefix(text, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if line, err := strconv.Atoi(number); err == nil {
			return d.errorf(line, "not YAML: %s", what)
		}
	}
	return d.errorf(0, "not YAML: %s", text)
}

// checkNode refuses what YAML has beyond values, lists and mappings. Keys and dates become strings, as they are in
// JSON.
func (d *decoder) checkNode(n *yaml.Node, depth int) error {
	switch {
	case depth > maxDepth:
		return d.errorf(n.Line, "lists and mappings are nested too deeply")
	case n.Kind == yaml.AliasNode:
		return d.errorf(n.Line, "a rules file cannot have aliases (*%s)", n.Value)
	case n.Style&yaml.TaggedStyle != 0:
		return pipeline.WithHint(d.errorf(n.Line, "a rules file cannot have tags (%s)", n.Tag), "put the value in quotes")
	case n.ShortTag() == "!!timestamp":
		n.Tag = "!!str"
	}
	seen := map[string]bool{}
	for i, child := range n.Content {
		if err := d.checkNode(child, depth+1); err != nil {
			return err
		}
		if n.Kind != yaml.MappingNode || i%2 == 1 {
			continue
		}
		key, err := d.parseText(child, "a key")
		if err != nil {
			return err
		}
		if seen[key] {
			return d.errorf(child.Line, "key %s is duplicated", key)
		}
		seen[key], child.Tag = true, "!!str"
	}
	return nil
}

// entry is a key of a mapping and its value.
type entry struct {
	key   string
	line  int
	value *yaml.Node
}

func (d *decoder) parseMapping(n *yaml.Node, what string) ([]entry, error) {
	if n.Kind != yaml.MappingNode {
		return nil, d.errorf(n.Line, "%s is not a mapping of keys to values", what)
	}
	var entries []entry
	for i := 0; i+1 < len(n.Content); i += 2 {
		entries = append(entries, entry{n.Content[i].Value, n.Content[i].Line, n.Content[i+1]})
	}
	return entries, nil
}

// parseText returns a single value as it is written.
func (d *decoder) parseText(n *yaml.Node, what string) (string, error) {
	isNull := n.ShortTag() == "!!null"
	switch {
	case n.Kind == yaml.ScalarNode && isNull && n.Value != "":
		return "", pipeline.WithHint(d.errorf(n.Line, "%s is %s, which means no value in YAML", what, n.Value),
			fmt.Sprintf("if it is a name, put it in quotes: %q", n.Value))
	case n.Kind != yaml.ScalarNode || n.Value == "" || isNull:
		return "", d.errorf(n.Line, "%s is missing, or not a single value", what)
	}
	return n.Value, nil
}

// parseTexts returns the values of a list, or a single value as a list of one.
func (d *decoder) parseTexts(n *yaml.Node, what string) ([]string, error) {
	if n.Kind != yaml.SequenceNode {
		text, err := d.parseName(n, what)
		return []string{text}, err
	}
	var list []string
	for _, item := range n.Content {
		text, err := d.parseName(item, "an element of "+what)
		if err != nil {
			return nil, err
		}
		if slices.Contains(list, text) {
			return nil, d.errorf(item.Line, "%s: %q is duplicated", what, text)
		}
		list = append(list, text)
	}
	if len(list) == 0 {
		return nil, d.errorf(n.Line, "%s is an empty list", what)
	}
	return list, nil
}

// parseName is parseText, but an unquoted text with a comma is an error, because it is probably meant to be a list.
func (d *decoder) parseName(n *yaml.Node, what string) (string, error) {
	text, err := d.parseText(n, what)
	if err == nil && n.Style == 0 && strings.Contains(text, ",") {
		err = pipeline.WithHint(d.errorf(n.Line, "%s is one text with a comma, %q, and not a list", what, text),
			"write a list as ["+strings.Trim(text, ", ")+"], and a name that has a comma in quotes")
	}
	return text, err
}

func (d *decoder) parseOneOf(n *yaml.Node, what string, values ...string) (string, error) {
	text, err := d.parseText(n, what)
	if err == nil && !slices.Contains(values, text) {
		err = d.unknownName(n.Line, text, values, "%s cannot be %q: it is one of %s", what, text, strings.Join(values, " "))
	}
	return text, err
}

// parseValue returns a value that is written as a text; wanted and hint say how.
func parseValue[T any](d *decoder, n *yaml.Node, what, wanted, hint string, parse func(string) (T, bool)) (value T,
	err error) {
	text, err := d.parseText(n, what)
	if err != nil {
		return value, err
	}
	value, ok := parse(text)
	if !ok {
		err = pipeline.WithHint(d.errorf(n.Line, "%s: %q is not %s", what, text, wanted), hint)
	}
	return value, err
}

// parseShare returns 45% or 0.45 as a number from 0 to 1.
func (d *decoder) parseShare(n *yaml.Node, what string) (float64, error) {
	return parseValue(d, n, what, "a share", "a share is written 45% or 0.45", func(text string) (float64, bool) {
		number, percent := strings.CutSuffix(text, "%")
		f, err := parseDecimal(strings.TrimSpace(number))
		if percent {
			f /= 100
		}
		return f, err == nil && f >= 0 && f <= 1
	})
}

func (d *decoder) parseUsers(n *yaml.Node, what string) (float64, error) {
	return parseValue(d, n, what, "a number of users", "", func(text string) (float64, bool) {
		number, err := strconv.ParseInt(strings.ReplaceAll(text, "_", ""), 10, 64)
		return float64(number), err == nil && number >= 0
	})
}

func (d *decoder) parseWeight(n *yaml.Node, what string) (float64, error) {
	return parseValue(d, n, what, "a number greater than 0", "", func(text string) (float64, bool) {
		f, err := parseDecimal(strings.TrimSuffix(text, "%"))
		return f, err == nil && f > 0 && f <= 1e12
	})
}

// parseDecimal parses a number in digits: it refuses infinities, hexadecimals and underscores.
func parseDecimal(text string) (float64, error) {
	if strings.Trim(text, "0123456789.eE+-") != "" || len(text) > 40 {
		return 0, strconv.ErrSyntax
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && math.IsInf(f, 0) {
		err = strconv.ErrRange
	}
	return f, err
}

// parseDuration returns 90m, 24h or 7d.
func (d *decoder) parseDuration(n *yaml.Node, what string) (time.Duration, error) {
	return parseValue(d, n, what, "a time", "a time is written 90m, 24h or 7d", func(text string) (time.Duration, bool) {
		days, ok := strings.CutSuffix(text, "d")
		if !ok {
			duration, err := time.ParseDuration(text)
			return duration, err == nil && duration > 0
		}
		f, err := parseDecimal(days)
		return time.Duration(f * 24 * float64(time.Hour)), err == nil && f > 0 && f <= 36500
	})
}

// parseJSON returns a value as encoding/json decodes it.
func (d *decoder) parseJSON(n *yaml.Node) (value any, err error) {
	err = n.Decode(&value)
	var data []byte
	if err == nil {
		data, err = json.Marshal(value)
	}
	if err == nil {
		value, err = decodeJSON(data)
	}
	if err != nil {
		return nil, d.errorf(n.Line, "not a JSON value: %w", err)
	}
	return value, nil
}
