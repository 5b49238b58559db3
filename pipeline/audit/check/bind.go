package check

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

// binder checks the names in a rules file against the snapshots.
type binder struct {
	*decoder
	flags    []string
	variants map[string][]string // by flag: those that somebody got, and those that the file says there are
	columns  map[string]pipeline.Type
	clash    map[string]string // columns that do not have the same type in all snapshots: how
	lack     map[string]string // columns that not all snapshots have: one that does not
	payloads string            // a snapshot without payloads; "": all have them
	rows     bool              // some snapshot has rows
}

func newBinder(f *File, counts map[string]map[string]int64, runs []*openRun) *binder {
	b := &binder{decoder: &decoder{f.Path}, variants: map[string][]string{}, columns: map[string]pipeline.Type{},
		clash: map[string]string{}, lack: map[string]string{}}
	b.flags = slices.Sorted(maps.Keys(counts))
	for flag, variants := range counts {
		b.variants[flag] = slices.Sorted(maps.Keys(variants))
	}
	first := map[string]string{}
	var withRows []*openRun
	for _, r := range runs {
		if len(r.users.Columns) == 0 {
			continue // JSONL without a row
		}
		withRows = append(withRows, r)
		if !r.users.Payloads {
			b.payloads = r.Path
		}
		for _, col := range r.users.Carry {
			t := col.Type
			if !col.Typed {
				t = pipeline.TypeString
			}
			if before, ok := b.columns[col.Name]; ok && exprType(before) != exprType(t) {
				b.clash[col.Name] = fmt.Sprintf("it is %s in %s and %s in %s", before, first[col.Name], t, r.Path)
			}
			b.columns[col.Name], first[col.Name] = t, r.Path
		}
	}
	b.rows = len(withRows) > 0
	for name := range b.columns {
		for _, r := range withRows {
			if columnIndex(r, name) < 0 {
				b.lack[name] = r.Path
			}
		}
	}
	return b
}

func columnIndex(r *openRun, name string) int {
	return slices.IndexFunc(r.users.Carry, func(col snapshot.CarriedColumn) bool { return col.Name == name })
}

// checkFile checks the names that are not in a check, and takes over the variants and types that the file declares.
func (b *binder) checkFile(f *File) error {
	for _, flag := range slices.Sorted(maps.Keys(f.variants)) {
		if err := b.checkFlag(f.lines["variants "+flag], flag); err != nil {
			return err
		}
		b.variants[flag] = append(b.variants[flag], f.variants[flag]...)
	}
	if err := b.checkControls(f); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(f.Types)) {
		delete(b.clash, name)
		if err := b.checkColumn(f.lines["types "+name], name); err != nil {
			return err
		}
		b.columns[name] = f.Types[name]
	}
	return nil
}

// checkFlag refuses a flag that no snapshot has.
func (b *binder) checkFlag(line int, flag string) error {
	if slices.Contains(b.flags, flag) {
		return nil
	}
	return pipeline.WithHint(b.errorf(line, "no snapshot has flag %q", flag),
		cmp.Or(pipeline.Suggest(flag, b.flags), "a flag that nobody gets is in a snapshot that was made with --flags"))
}

// checkFlags refuses flags of a check that no snapshot has.
func (b *binder) checkFlags(c *Check, flags []string, keys ...string) error {
	for _, flag := range flags {
		if err := b.checkFlag(c.line(keys...), flag); err != nil {
			return err
		}
	}
	return nil
}

// checkControls refuses a control that is not a variant of any flag: if it is misspelt, the real one would be a
// treatment.
func (b *binder) checkControls(f *File) error {
	known := slices.Clone(DefaultControls)
	for _, flag := range b.flags {
		known = append(known, b.variants[flag]...)
	}
	for _, control := range f.Controls {
		if slices.ContainsFunc(known, func(name string) bool { return strings.EqualFold(name, control) }) {
			continue
		}
		return pipeline.WithHint(b.errorf(f.lines["controls"], "controls: nobody has variant %q of any flag", control),
			cmp.Or(pipeline.Suggest(control, known), "variants: {FLAG: ["+control+"]} at the top says that a flag has it"))
	}
	return nil
}

// checkColumn refuses a column that a snapshot does not have, or that does not have the same type in all snapshots.
func (b *binder) checkColumn(line int, name string) error {
	if !b.rows {
		return nil
	}
	if _, ok := b.columns[name]; !ok {
		return pipeline.WithHint(b.errorf(line, "there is no carried column %q", name), missingHint(name, b.columns))
	}
	if path := b.lack[name]; path != "" {
		return pipeline.WithHint(b.errorf(line, "%s has no carried column %q", path, name), missingHint(name, nil))
	}
	if how := b.clash[name]; how != "" {
		return pipeline.WithHint(b.errorf(line, "column %s has different types: %s", name, how), "types: {"+name+
			": …} says which it has")
	}
	return nil
}

// checkNames checks the names in a check. A variant that nobody has cannot be told from a misspelt one, so it has to be
// under variants. The variants of a ratio need not: if nobody has one of them, the check fails.
func (b *binder) checkNames(c *Check) error {
	own := []string{c.Flag}
	if c.Flag != "" {
		if err := b.checkFlags(c, own, "holdout", "flag"); err != nil {
			return err
		}
		if err := b.checkVariants(c.line("variant"), c.Variants, own); err != nil {
			return err
		}
	}
	treated := own
	if c.Kind == Exclusive || c.Kind == Holdout { // of Flags, whether the flags are there is the question
		treated = c.Flags
		if err := b.checkFlags(c, c.Flags, "exclusive", "flags"); err != nil {
			return err
		}
	}
	if err := b.checkVariants(c.line("treatments"), c.Treatments, treated); err != nil {
		return err
	}
	for _, name := range c.By {
		onlyClash := b.clash[name] != "" && b.lack[name] == "" // slices are by text
		if err := b.checkColumn(c.line("by"), name); err != nil && !onlyClash {
			return err
		}
	}
	if c.Kind == Payload && b.payloads != "" {
		return pipeline.WithHint(b.errorf(c.line("payload"), "%s has no payloads", b.payloads),
			"`rollcall snapshot --include payload` adds them to the wide layout")
	}
	return nil
}

// missingCohort is the error of a check that names a cohort which was not given.
func (b *binder) missingCohort(line int, name string, known []string) error {
	return pipeline.WithHint(b.errorf(line, "cohort %q is not given", name), cmp.Or(pipeline.Suggest(name, known),
		"give it: --cohort "+name+"=FILE, or --cohorts DIR with a file of that name"))
}

func (b *binder) checkVariants(line int, variants, flags []string) error {
	known := []string{NotAssigned}
	for _, flag := range flags {
		known = append(known, b.variants[flag]...)
	}
	for _, v := range variants {
		if slices.Contains(known, v) {
			continue
		}
		return pipeline.WithHint(b.errorf(line, "nobody has variant %q of %s", v, strings.Join(flags, ", ")),
			cmp.Or(pipeline.Suggest(v, known),
				"if the flag has it although nobody got it, say so at the top: variants: {"+flags[0]+": ["+v+"]}"))
	}
	return nil
}

// compileWhere compiles the condition of a check.
func (b *binder) compileWhere(c *Check) (*where, error) {
	line := c.line("where")
	w, err := compileWhere(c.Where, b.columns, func(name string) error { return b.checkColumn(line, name) })
	if err == nil {
		return w, nil
	}
	if _, ok := errors.AsType[*Error](err); ok {
		return nil, err
	}
	return nil, pipeline.WithHint(b.errorf(line, "where: %w", err), pipeline.Hint(err))
}
