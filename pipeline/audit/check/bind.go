package check

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// known is what the snapshots have that rules can name.
type known struct {
	flags    []string
	variants map[string][]string // by flag, those that somebody got
	columns  map[string]pipeline.Type
	clash    map[string]string // columns that have not the same type in all snapshots: how
	lack     map[string]string // columns that not all snapshots have: one that does not
	payloads string            // a snapshot without payloads; "": all have them
	rows     bool              // some snapshot has rows
}

func knowledge(all []*openRun) *known {
	k := &known{variants: map[string][]string{}, columns: map[string]pipeline.Type{}, clash: map[string]string{}, lack: map[string]string{}}
	first := map[string]string{}
	var with []*openRun
	for _, s := range all {
		for _, f := range s.m.Flags {
			k.flags = append(k.flags, f.Flag)
			for _, v := range f.Variants {
				k.variants[f.Flag] = append(k.variants[f.Flag], v.Variant)
			}
		}
		k.flags = append(k.flags, s.m.NobodyGot...)
		for _, key := range s.r.Flags {
			k.flags = append(k.flags, s.r.Keys.Name(key))
		}
		if len(s.r.Columns) == 0 {
			continue // JSONL without a row
		}
		with = append(with, s)
		if !s.r.Payloads {
			k.payloads = s.path
		}
		for _, col := range s.r.Carry {
			t := col.Type
			if !col.Typed {
				t = pipeline.TypeString
			}
			if before, ok := k.columns[col.Name]; ok && exprType(before) != exprType(t) {
				k.clash[col.Name] = fmt.Sprintf("it is %s in %s and %s in %s", before, first[col.Name], t, s.path)
			}
			k.columns[col.Name], first[col.Name] = t, s.path
		}
	}
	k.rows = len(with) > 0
	for name := range k.columns {
		for _, s := range with {
			if !slices.ContainsFunc(s.r.Carry, func(c snapshot.CarriedColumn) bool { return c.Name == name }) {
				k.lack[name] = s.path
			}
		}
	}
	slices.Sort(k.flags)
	k.flags = slices.Compact(k.flags)
	for flag, list := range k.variants { // of several snapshots
		slices.Sort(list)
		k.variants[flag] = slices.Compact(list)
	}
	return k
}

// bind holds all names in the rules against the snapshots, compiles the expressions, and makes ready to count.
func (c *counting) bind(all []*openRun) error {
	f, k := c.file, knowledge(all)
	d := &decoder{f.Path}
	for _, flag := range slices.Sorted(maps.Keys(f.varLines)) {
		if err := k.flag(d, f.varLines[flag], flag); err != nil {
			return err
		}
		k.variants[flag] = append(k.variants[flag], f.variants[flag]...)
	}
	if err := k.controls(d, f); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.typeLines)) {
		delete(k.clash, name)
		if err := k.column(d, f.typeLines[name], name); err != nil {
			return err
		}
		k.columns[name] = f.Types[name]
	}
	at := map[string]int{}
	for _, r := range f.Checks {
		if err := k.names(d, r); err != nil {
			return err
		}
		s := &state{Rule: r, where: -1, nobody: -1}
		if r.Where != "" && k.rows {
			if _, ok := at[r.Where]; !ok {
				w, err := compileWhere(r.Where, k.columns, func(name string) error { return k.column(d, r.line("where"), name) })
				if _, ok := errors.AsType[*Error](err); ok {
					return err
				}
				if err != nil {
					return pipeline.WithHint(d.errorf(r.line("where"), "where: %w", err), pipeline.Hint(err))
				}
				at[r.Where] = len(c.wheres)
				c.wheres = append(c.wheres, w)
			}
			s.where = at[r.Where]
		}
		if r.Flag != "" {
			s.slot = c.slot(r.Flag)
		}
		for _, flag := range r.Flags {
			s.slots = append(s.slots, c.slot(flag))
		}
		s.inFlags = make([]int64, len(s.slots))
		switch r.Kind {
		case Exclusive:
			c.keepApart(s.slots...)
		case Holdout:
			c.keepApart(append(s.slots, s.slot)...)
		}
		switch r.Kind {
		case Share, Count, Payload:
			s.set = setOf(r.Variants)
		case Exposed, Holdout, Exclusive:
			if s.set = setOf(r.Treatments); r.Treatments == nil {
				s.set.treatments = true
			}
			if r.Kind == Holdout {
				s.held = setOf(r.Variants)
			}
			if r.Kind == Exclusive && r.Who == ofAssigned {
				s.set = set{any: true}
			}
		case Ratio:
			var names []string
			for _, w := range r.Weights {
				names = append(names, w.Variant)
			}
			s.weights = setOf(names)
			s.nobody = slices.Index(names, NotAssigned)
			s.all = newCell(len(names))
			for _, column := range r.By {
				s.by = append(s.by, &slicing{column: column, cells: map[string]*cell{}})
			}
		}
		s.payloads.schema = r.schema
		c.states = append(c.states, s)
	}
	c.holds = make([]bool, len(c.wheres))
	return nil
}

// flag refuses a flag that no snapshot has.
func (k *known) flag(d *decoder, line int, flag string) error {
	if slices.Contains(k.flags, flag) {
		return nil
	}
	err := d.errorf(line, "no snapshot has flag %q", flag)
	hint := pipeline.Suggest(flag, k.flags)
	if hint == "" {
		hint = "a flag that nobody gets is in a snapshot that was made with --flags"
	}
	return pipeline.WithHint(err, hint)
}

// controls refuses a control that is no variant: with it misspelt, the real one would be a treatment.
func (k *known) controls(d *decoder, f *File) error {
	var all []string
	for _, flag := range k.flags {
		all = append(all, k.variants[flag]...)
	}
	for _, control := range f.Controls {
		is := func(name string) bool { return strings.EqualFold(name, control) }
		if slices.ContainsFunc(all, is) || slices.ContainsFunc(DefaultControls, is) {
			continue
		}
		hint := pipeline.Suggest(control, append(all, DefaultControls...))
		if hint == "" {
			hint = "variants: {FLAG: [" + control + "]} at the top says that a flag has it"
		}
		return pipeline.WithHint(d.errorf(f.controls, "controls: nobody has variant %q of any flag", control), hint)
	}
	return nil
}

// column refuses a column that a snapshot does not have, or that is of no one type.
func (k *known) column(d *decoder, line int, name string) error {
	if !k.rows {
		return nil
	}
	if _, ok := k.columns[name]; !ok {
		return pipeline.WithHint(d.errorf(line, "there is no carried column %q", name), missingHint(name, k.columns))
	}
	if path := k.lack[name]; path != "" {
		return pipeline.WithHint(d.errorf(line, "%s has no carried column %q", path, name), missingHint(name, nil))
	}
	if how := k.clash[name]; how != "" {
		return pipeline.WithHint(d.errorf(line, "column %s has no one type: %s", name, how), "types: {"+name+": …} says which it is")
	}
	return nil
}

// names holds the names in a check against the snapshots. What nobody has cannot be told from what is misspelt: it has to
// stand under variants. The variants of a ratio need not: if nobody has one of them, the check fails.
func (k *known) names(d *decoder, r *Rule) error {
	flags := r.Flags
	if r.Kind == Flags {
		flags = nil // whether they are there is the question
	}
	if r.Flag != "" {
		key := "flag"
		if r.Kind == Holdout {
			key = "holdout"
		}
		if err := k.flag(d, r.line(key), r.Flag); err != nil {
			return err
		}
		if err := k.variant(d, r.line("variant"), r.Variants, []string{r.Flag}); err != nil {
			return err
		}
	}
	for _, flag := range flags {
		key := "flags"
		if r.Kind == Exclusive {
			key = "exclusive"
		}
		if err := k.flag(d, r.line(key), flag); err != nil {
			return err
		}
	}
	treated := flags
	if r.Kind == Exposed {
		treated = []string{r.Flag}
	}
	if err := k.variant(d, r.line("treatments"), r.Treatments, treated); err != nil {
		return err
	}
	for _, name := range r.By {
		if err := k.column(d, r.line("by"), name); err != nil && !(k.clash[name] != "" && k.lack[name] == "") { // slices are texts
			return err
		}
	}
	if r.Kind == Payload && k.payloads != "" {
		return pipeline.WithHint(d.errorf(r.line("payload"), "%s has no payloads", k.payloads), "`rollcall snapshot --include payload` adds them to the wide layout")
	}
	return nil
}

func (k *known) variant(d *decoder, line int, variants, flags []string) error {
	for _, v := range variants {
		if v == NotAssigned {
			continue
		}
		var all []string
		for _, flag := range flags {
			all = append(all, k.variants[flag]...)
		}
		if slices.Contains(all, v) {
			continue
		}
		hint := pipeline.Suggest(v, append(all, NotAssigned))
		if hint == "" {
			hint = "if the flag has it although nobody got it, say so at the top: variants: {" + flags[0] + ": [" + v + "]}"
		}
		return pipeline.WithHint(d.errorf(line, "nobody has variant %q of %s", v, strings.Join(flags, ", ")), hint)
	}
	return nil
}

// place finds the columns of the rules in a snapshot.
func (c *counting) place(s *openRun) {
	if len(s.r.Columns) == 0 {
		return // JSONL without a row
	}
	at := func(name string) int {
		return slices.IndexFunc(s.r.Carry, func(col snapshot.CarriedColumn) bool { return col.Name == name })
	}
	for _, w := range c.wheres {
		for i, name := range w.columns {
			w.at[i] = at(name)
		}
	}
	for _, st := range c.states {
		for _, by := range st.by {
			by.at = at(by.column)
		}
	}
}
