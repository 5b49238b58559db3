package main

import (
	"bufio"
	"encoding/csv"
	"errors"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/staging"
)

// missingOptions say where the ids of the members who are in no snapshot go.
type missingOptions struct {
	file string
}

// check refuses a file without cohorts, and one that would replace another.
func (o *missingOptions) check(env *env, html *pageOptions, set *cohort.Set, read []string) error {
	switch {
	case o.file == "":
		return nil
	case set == nil:
		return pipeline.WithHint(usageErrorf("--missing needs cohorts"), "for example --cohort vip=vips.csv")
	case env.Files.Same(o.file, html.file):
		return usageErrorf("--missing and --html name the same file, %s", o.file)
	}
	return checkReplace(env, "--missing", o.file, html.overwrite, read)
}

// write writes the ids as CSV, which is a cohort itself: those of each cohort in the order of its file.
func (o *missingOptions) write(env *env, r *report.Report, overwrite bool) error {
	if o.file == "" {
		return nil
	}
	files := env.newFiles(overwrite)
	temp, err := files.Create(o.file, 0o666)
	if err != nil {
		return err
	}
	buffer := bufio.NewWriterSize(temp, 64<<10)
	rows := csv.NewWriter(buffer)
	err = rows.Write([]string{"user_id", "cohort"})
	for i := range r.Cohorts {
		c := &r.Cohorts[i]
		if err == nil {
			err = c.EachMissing(env.Soft, func(id []byte) error { return rows.Write([]string{string(id), c.Name}) })
		}
	}
	if rows.Flush(); err == nil {
		err = rows.Error()
	}
	if err == nil {
		err = buffer.Flush()
	}
	if err == nil {
		err = temp.Sync()
	}
	if err = staging.WrapError("write", o.file, errors.Join(err, temp.Close())); err != nil {
		return errors.Join(err, temp.Remove())
	}
	return publishFile(files, temp.Name(), o.file, temp.Remove)
}

// named are the names of the cohorts that --cohort gives.
func (o *cohortOptions) named() (names []string) {
	for _, text := range o.files {
		name, _, _ := strings.Cut(text, "=")
		names = append(names, strings.TrimSpace(name))
	}
	return names
}
