package main

import (
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline/audit/diff"
	"github.com/rollcall-cli/rollcall/pipeline/audit/page"
	"github.com/rollcall-cli/rollcall/pipeline/audit/report"
)

// pageOptions say where the HTML page of a report or a diff goes.
type pageOptions struct {
	file      string
	overwrite bool
}

func (o *pageOptions) define(options *pflag.FlagSet) {
	options.StringVar(&o.file, "html", "", "`FILE` also write the report as one HTML page")
	options.BoolVar(&o.overwrite, "overwrite", false, "replace an existing page, and --missing")
}

// check refuses a page that would replace another file.
func (o *pageOptions) check(env *env, read ...string) error {
	return checkReplace(env, "--html", o.file, o.overwrite, read)
}

// checkReplace refuses to replace one of the files that are read by the file of an option, and without overwrite any.
func checkReplace(env *env, option, file string, overwrite bool, read []string) error {
	for _, path := range read {
		if env.Files.Same(path, file) {
			return usageErrorf("%s %s is read, and would be replaced", option, file)
		}
	}
	if file == "" || overwrite {
		return nil
	}
	exists, err := env.newFiles(overwrite).Exists(file)
	if err == nil && exists {
		err = errExists(file)
	}
	return err
}

// write writes the page of a report.
func (o *pageOptions) write(env *env, r *report.Report) error {
	var read []string
	for i := range r.Snapshots {
		read = append(read, r.Snapshots[i].Path, r.Snapshots[i].Manifest)
	}
	return o.publish(env, read, func(origin page.Origin) ([]byte, error) { return page.Report(r, origin) })
}

// writeDiff writes the page of a diff.
func (o *pageOptions) writeDiff(env *env, r *diff.Report) error {
	read := []string{r.Before.Path, r.Before.Manifest, r.After.Path, r.After.Manifest}
	return o.publish(env, read, func(origin page.Origin) ([]byte, error) { return page.Diff(r, origin) })
}

func (o *pageOptions) publish(env *env, read []string, render func(page.Origin) ([]byte, error)) error {
	if o.file == "" {
		return nil
	}
	if err := o.check(env, read...); err != nil { // by now it is known which outputs a manifest led to
		return err
	}
	data, err := render(page.Origin{Made: clock(), Version: version()})
	if err != nil {
		return err
	}
	return env.writeFile(o.file, data, o.overwrite)
}
