package snapshot

import (
	"fmt"
	"strconv"
	"strings"
)

// RunOptions are the options of a run by name. They have their types: numbers, booleans, lists of strings, and strings.
// Earlier versions of rollcall wrote all as strings, a list joined with commas.
type RunOptions map[string]any

// Text is the value of an option as a string; "" if there is none. A list is joined with commas.
func (o RunOptions) Text(name string) string {
	switch value := o[name].(type) {
	case nil:
		return ""
	case string:
		return value
	case float64:
		return strconv.FormatFloat(value, 'f', -1, 64)
	case []any, []string:
		return strings.Join(o.List(name), ",")
	default:
		return fmt.Sprint(value)
	}
}

// List is the value of an option that is a list; nil if it is empty or there is none.
func (o RunOptions) List(name string) (items []string) {
	switch value := o[name].(type) {
	case []any:
		for _, item := range value {
			items = append(items, fmt.Sprint(item))
		}
	case []string:
		items = append(items, value...)
	case string:
		if value != "" {
			items = strings.Split(value, ",")
		}
	}
	return items
}
