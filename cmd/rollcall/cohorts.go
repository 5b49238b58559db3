package main

import (
	"os"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
)

// cohortOptions say where the members of cohorts are, for every command that uses them.
type cohortOptions struct {
	dir    string
	files  []string // NAME=FILE
	ids    []string // NAME=ID
	column string

	// For evaluation; see defineEvaluation.
	maxSize int
	unknown string

	// For --cohorts fetch; see defineFetch.
	canFetch              bool
	apiKeyFile, secretKey string
	fetched               map[string]string // files by name
}

func (o *cohortOptions) define(options *pflag.FlagSet) {
	options.StringVar(&o.dir, "cohorts", "", "`DIR` a file for each cohort: NAME.csv .txt .json .parquet")
	definePaths(options, &o.files, "cohort", "", "`NAME=FILE` the members of a cohort; may be repeated")
	definePairs(options, &o.ids, "cohort-id", '=', "`NAME=ID,..` the ids that flags use for cohorts")
	options.StringVar(&o.column, "cohorts-column", "", "`COL` of the ids in CSV and Parquet [user_id, or the only]")
}

// defineEvaluation adds the options of commands that evaluate flags. It includes those of define.
func (o *cohortOptions) defineEvaluation(options *pflag.FlagSet) {
	o.define(options)
	options.IntVar(&o.maxSize, "max-cohort-size", cohort.DefaultMaxSize, "`N` members of a cohort at most [50000000]")
	options.StringVar(&o.unknown, "unknown-cohorts", unknownFail, "`MODE` fail; empty: no members; skip: the flag [fail]")
}

// defineFetch adds the options of a command that downloads cohorts. It includes those of defineEvaluation.
func (o *cohortOptions) defineFetch(options *pflag.FlagSet) {
	o.canFetch = true
	o.defineEvaluation(options)
	options.StringVar(&o.apiKeyFile, "api-key-file", "", "`FILE` for fetch: the project's key [$"+apiKeyVariable+"]")
	options.StringVar(&o.secretKey, "secret-key-file", "", "`FILE` for fetch [$"+secretKeyVariable+"]")
	options.Lookup("cohorts").Usage = "`DIR|fetch` a file for each cohort: NAME.csv .txt .json .parquet"
}

// fetches reports whether cohorts are to be downloaded.
func (o *cohortOptions) fetches() bool { return o.canFetch && o.dir == "fetch" }

// check finds what is wrong without reading anything.
func (o *cohortOptions) check() error {
	if !slices.Contains([]string{unknownFail, unknownEmpty, unknownSkip}, o.unknown) {
		return usageErrorf("--unknown-cohorts %q is not known: it is one of fail empty skip", o.unknown)
	}
	if o.maxSize < 1 {
		return usageErrorf("--max-cohort-size cannot be %d: it is at least 1", o.maxSize)
	}
	return nil
}

// given reports whether any cohort may have been given.
func (o *cohortOptions) given() bool { return o.dir != "" || len(o.files) > 0 }

// load reads the cohorts; the set is empty if none are given.
func (o *cohortOptions) load(env *env) (*cohort.Set, error) {
	files, err := parsePairs("cohort", o.files)
	if err != nil {
		return nil, err
	}
	ids, err := parsePairs("cohort-id", o.ids)
	if err != nil {
		return nil, err
	}
	dir := o.dir
	switch {
	case o.fetches():
		dir = ""
	case dir == "fetch":
		if _, err := os.Stat(dir); err != nil {
			return nil, pipeline.WithHint(usageErrorf("--cohorts fetch is for `rollcall snapshot`"),
				"it keeps them in OUT.cohorts: --cohorts OUT.cohorts reads them")
		}
	}
	if !o.given() {
		if o.column != "" || ids != nil {
			return nil, pipeline.WithHint(usageErrorf("--cohort-id and --cohorts-column need cohorts"),
				"--cohort NAME=FILE or --cohorts DIR gives some")
		}
		return nil, nil
	}
	for name, path := range o.fetched {
		if files[name] != "" {
			return nil, usageErrorf("--cohort %s names a file, and --cohorts fetch downloads it", name)
		}
		if files == nil {
			files = map[string]string{}
		}
		files[name] = path
	}
	return await(env.Soft, func() (*cohort.Set, error) {
		return cohort.Load(env.Soft, cohort.Options{In: env.Files, Dir: dir, Files: files, IDs: ids, Column: o.column,
			MaxSize: o.maxSize})
	})
}

// parsePairs parses what an option says about names, each once.
func parsePairs(option string, texts []string) (pairs map[string]string, err error) {
	for _, text := range texts {
		name, value, ok := strings.Cut(text, "=")
		if name = strings.TrimSpace(name); !ok || name == "" || value == "" {
			return nil, pipeline.WithHint(usageErrorf("--%s %q is not NAME=%s", option, text,
				map[string]string{"cohort": "FILE", "cohort-id": "ID"}[option]), "for example --cohort vip=vips.csv")
		}
		if pairs[name] != "" {
			return nil, usageErrorf("--%s is given twice for %q", option, name)
		}
		if pairs == nil {
			pairs = map[string]string{}
		}
		pairs[name] = value
	}
	return pairs, nil
}
