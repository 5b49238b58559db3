package sinks

import (
	"errors"
	"fmt"

	"github.com/rollcall-cli/rollcall/pipeline"
)

// CreateRows begins a file that is neither assignments nor error records: one row for each outcome, whose cells are the
// outcome's carried values. Otherwise it is like [Create]. Of the Spec it uses only Meta, Version and EscapeFormulas.
func CreateRows(path string, columns []pipeline.Column, spec Spec) (*Output, error) {
	if len(columns) == 0 {
		return nil, errors.New("an output needs at least one column")
	}
	t := &table{}
	seen := map[string]bool{}
	for _, c := range columns {
		if seen[c.Name] {
			return nil, fmt.Errorf("column %q is duplicated", c.Name)
		}
		seen[c.Name] = true
		t.columns = append(t.columns, newCarriedColumn(&c))
	}
	t.fill = func(o *pipeline.Outcome, b *block) error {
		b.rows = append(b.rows[:0], &b.only)
		return fillCarried(b.shared, columns, &o.Row)
	}
	return createOutput(path, 0o666, t, &spec)
}
