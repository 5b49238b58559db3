package main

import (
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/sources"
)

// parseCarryAll takes "all" and "-COLUMN" out of --carry.
func (o *snapshotOptions) parseCarryAll() error {
	o.carryAll = slices.Contains(o.carry, "all")
	if !o.carryAll {
		return nil
	}
	var cohorts []string
	for _, name := range o.carry {
		without, minus := strings.CutPrefix(name, "-")
		switch {
		case minus && without != "":
			o.carryNot = append(o.carryNot, without)
		case strings.HasPrefix(name, cohortPrefix) && o.cohorts.given():
			cohorts = append(cohorts, name)
		case name != "all":
			return pipeline.WithHint(usageErrorf("--carry all copies %q too", name),
				"name columns, or all; all,-COLUMN leaves one out")
		}
	}
	o.carry = cohorts
	return nil
}

// expandCarryAll makes --carry all the columns of the input, less those that are in the output already as user_id and
// device_id, and those that are left out.
func (o *snapshotOptions) expandCarryAll(in *input) error {
	if !o.carryAll {
		return nil
	}
	src, err := in.Open()
	if err != nil {
		return err
	}
	columns, hasHeader := src.Columns(), src.HasHeader()
	if err := src.Close(); err != nil {
		return err
	}
	if !hasHeader {
		return pipeline.WithHint(usageErrorf("--carry all: the input has no header that names its columns"),
			"name the columns: --carry plan,country")
	}
	var names []string
	for _, c := range columns {
		targets := strings.Split(c.Target, ", ")
		if slices.Contains(o.carryNot, c.Name) || slices.Contains(targets, "user_id") ||
			slices.Contains(targets, "device_id") {
			continue
		}
		names = append(names, c.Name)
	}
	for _, name := range o.carryNot {
		if !slices.ContainsFunc(columns, func(c sources.ColumnUse) bool { return c.Name == name }) {
			known := make([]string, len(columns))
			for i, c := range columns {
				known[i] = c.Name
			}
			return pipeline.WithHint(usageErrorf("--carry all,-%s: the input has no such column", name),
				pipeline.Suggest(name, known))
		}
	}
	o.carry = append(names, o.carry...)
	o.mapped.Carry = o.splitCarry()
	in.options.Mapping.Carry = o.mapped.Carry
	return nil
}
