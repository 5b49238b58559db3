package snapshot

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// RunOptions are the options of a run by name, as texts: a list is joined with commas. In the file of a manifest they
// have their types: numbers are numbers, booleans booleans, lists lists. Earlier versions of rollcall wrote
// all as strings.
type RunOptions map[string]string

// SetOptions sets the options, as texts, and with the types that they have in the file; what is not in typed is a string.
func (m *Manifest) SetOptions(texts map[string]string, typed map[string]any) {
	m.Options, m.typed = texts, typed
}

// List is an option that is a list; nil if it is empty or not known.
func (m *Manifest) List(option string) []string {
	if m == nil || m.Options[option] == "" {
		return nil
	}
	switch list := m.typed[option].(type) {
	case []string:
		return list
	case []any:
		var items []string
		for _, item := range list {
			items = append(items, optionText(item))
		}
		return items
	}
	return strings.Split(m.Options[option], ",")
}

// plainManifest is a [Manifest] without its methods.
type plainManifest Manifest

// MarshalJSON writes the options with their types.
func (m *Manifest) MarshalJSON() ([]byte, error) {
	options := map[string]any{}
	for name, text := range m.Options {
		options[name] = text
		if value, ok := m.typed[name]; ok && isText(value, text) { // else it was changed since
			options[name] = value
		}
	}
	return json.Marshal(struct {
		*plainManifest
		Options map[string]any `json:"options"`
	}{(*plainManifest)(m), options})
}

// UnmarshalJSON reads options of both kinds: typed, and all as strings.
func (m *Manifest) UnmarshalJSON(data []byte) error {
	file := struct {
		*plainManifest
		Options map[string]any `json:"options"`
	}{plainManifest: (*plainManifest)(m)}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // as it was written
	if err := decoder.Decode(&file); err != nil {
		return err
	}
	m.Options, m.typed = RunOptions{}, file.Options
	for name, value := range file.Options {
		m.Options[name] = optionText(value)
	}
	return nil
}

// isText reports whether text is the text of a value. A number may be written in two ways.
func isText(value any, text string) bool {
	if optionText(value) == text {
		return true
	}
	a, err := strconv.ParseFloat(optionText(value), 64)
	b, textErr := strconv.ParseFloat(text, 64)
	_, isString := value.(string)
	return !isString && err == nil && textErr == nil && a == b
}

// optionText is the value of an option as a text.
func optionText(value any) string {
	switch value := value.(type) {
	case nil:
		return ""
	case string:
		return value
	case []string:
		return strings.Join(value, ",")
	case []any:
		var items []string
		for _, item := range value {
			items = append(items, optionText(item))
		}
		return strings.Join(items, ",")
	}
	text, err := json.Marshal(value)
	if err != nil { // what JSON does not know, an option cannot be
		return ""
	}
	return string(text)
}
