package sources

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// ParseMapping returns the [Mapping] that the options --map, --types and --properties of a run describe: FIELD=COLUMN;
// COLUMN:TYPE; and columns, all, or -COLUMN.
func ParseMapping(fields, types, properties []string) (Mapping, error) {
	m := Mapping{Map: map[string]string{}, Types: map[string]pipeline.Type{}}
	for _, pair := range fields {
		field, column, ok := strings.Cut(pair, "=")
		if !ok || field == "" || column == "" {
			return m, pipeline.WithHint(fmt.Errorf("--map %q is not FIELD=COLUMN", pair), "for example --map user_id=uid")
		}
		if !IsField(field) {
			return m, UnknownField(field)
		}
		if m.Map[field] != "" {
			return m, fmt.Errorf("--map: %s is mapped twice", field)
		}
		m.Map[field] = column
	}
	for _, pair := range types {
		i := strings.LastIndexByte(pair, ':') // a column's name may hold a colon
		if i <= 0 {
			return m, pipeline.WithHint(fmt.Errorf("--types %q is not COLUMN:TYPE", pair), "for example --types seats:int")
		}
		column := pair[:i]
		t, err := parseType(pair[i+1:])
		if err != nil {
			return m, fmt.Errorf("--types %s: %w", column, err)
		}
		if _, twice := m.Types[column]; twice {
			return m, fmt.Errorf("--types: %s has two types", column)
		}
		m.Types[column] = t
	}
	if m.AllProperties = slices.Contains(properties, "all"); !m.AllProperties {
		m.Properties = properties
	}
	for _, column := range properties {
		without, minus := strings.CutPrefix(column, "-")
		switch {
		case minus && !m.AllProperties:
			return m, pipeline.WithHint(fmt.Errorf("--properties %q has no effect without all", column),
				fmt.Sprintf("--properties 'all,%s' sends all others", column))
		case minus && without == "":
			return m, fmt.Errorf("--properties %q names no column", column)
		case minus:
			m.Exclude = append(m.Exclude, without)
		case m.AllProperties && column != "all":
			return m, pipeline.WithHint(fmt.Errorf("--properties all sends %q too", column),
				"name columns, or all; all,-COLUMN leaves one out")
		}
	}
	return m, nil
}
