package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/amplitude"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/durable"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
	"github.com/rollcall-cli/rollcall/sources"
)

// maxRate bounds rates and bursts: more requests a second than any client sends, and few enough to count.
const maxRate = 1_000_000

// snapshotOptions are the options of `rollcall snapshot` as they were given, and below what check made of them.
type snapshotOptions struct {
	server  serverOptions
	cohorts cohortOptions

	inputFormat string
	outputNames             // expanded once the run knows when it began
	given       outputNames // before that, as the options have them
	outFormat   string
	overwrite   bool
	flagList    []string
	flagsFrom   string
	rate        float64
	autoRate    bool // rate is only where the search for it ends
	burst       int
	concurrency int
	method      string
	freshOnly   bool // --fresh-answers
	maxAttempts int
	maxOutage   time.Duration
	maxErrors   string
	minUsers    int64
	minUsersSet bool // else it depends on what would be replaced
	carry       []string
	properties  []string
	mapping     []string
	types       []string
	missing     string
	formulas    string
	limit       int64
	sample      int64
	dryRun      bool
	resume      string
	fresh       bool

	acceptNewKey bool // binds no journal: it is what lets a run go on that is bound to another key

	commonOptions
	progress string

	evaluator   string
	delimiter   string
	noHeader    bool
	trim        bool
	ragged      string
	layout      string
	include     []string
	columnNames string
	partitionBy []string
	rowsPerFile int64

	outDelimiter string // binds a run, as --csv-bom does: the files are other bytes
	outComma     byte   // of outDelimiter; 0: a comma
	outBOM       bool

	grace         time.Duration
	metricsFile   string
	metricsListen string
	workDir       string

	crossCheck      int64
	crossCheckSeed  int64 // 0: a random one
	maxDisagreement string

	shardOf  string // --shard
	planFile string
	shard    shard

	carriedCohorts []carriedCohort // of carry
	carryAll       bool            // all columns of the input, too
	carryNot       []string        // but for these

	flags    []string // what is asked for, in order; nil: all
	comma    rune     // the delimiter; 0: the format's own
	mapped   sources.Mapping
	errLine  errorLimit
	disagree errorLimit // --max-disagreement
}

// define adds the options to the command, in the order of the help.
func (o *snapshotOptions) define(options *pflag.FlagSet) {
	group(options, "Input", func() {
		options.StringVar(&o.inputFormat, "input-format", "", "`F` csv tsv jsonl (each .gz .zst) parquet [by extension]")
		options.StringVar(&o.delimiter, "delimiter", "", "`C` between the cells of a CSV [,]")
		options.BoolVar(&o.noHeader, "no-header", false, "a CSV without a header: its columns are c1, c2, ..")
		options.StringVar(&o.ragged, "ragged", "fail", "`MODE` pad: rows may lack cells at the end of the line [fail]")
		options.BoolVar(&o.trim, "trim", false, "take white space around ids and the cells of texts away")
		definePairs(options, &o.mapping, "map", '=', "`FIELD=COL,..` the column for a field, as user_id=uid")
		defineList(options, &o.properties, "properties", "`COL,..` columns to send as user_properties; all,-COL")
		definePairs(options, &o.types, "types", ':', "`COL:TYPE,..` string int float bool json [string]")
		options.StringVar(&o.missing, "missing", "null", "`null|empty` what an empty cell of a text format is [null]")
		options.Int64Var(&o.limit, "limit", 0, "`N` only the first N rows")
		options.Int64Var(&o.sample, "sample", 0, "`N` only N rows, spread evenly, the same each time")
		options.StringVar(&o.shardOf, "shard", "", "`I/N|auto` only that one of N even parts; see merge")
		options.StringVar(&o.planFile, "plan", "", "`FILE` of rollcall plan: where the parts are")
	})
	group(options, "Output", func() {
		definePaths(options, &o.outs, "out", "o", "`FILE` .csv .tsv .jsonl (.gz .zst) .parquet; may be repeated")
		options.StringVar(&o.outFormat, "out-format", "", "`F` the format of --out -, standard output")
		options.StringVar(&o.errorsFile, "errors", "", "`FILE` the users that failed [OUT.errors.jsonl]")
		// Both bind a run, as all that says what the outputs look like.
		defineList(options, &o.partitionBy, "partition-by", "`COL,..` OUT's directory has COL=VALUE/ directories")
		options.Int64Var(&o.rowsPerFile, "rows-per-file", 0, "`N` OUT is files of N rows at most: OUT-00000.csv")
		options.StringVar(&o.layout, "layout", "long", "`MODE` long: a row a user and flag; wide: a row a user [long]")
		defineList(options, &o.include, "include", "`A,..` cache; long: metadata evaluation_id value; wide payload")
		options.StringVar(&o.columnNames, "column-names", "keep", "`MODE` snake: names that BigQuery takes [keep]")
		defineList(options, &o.carry, "carry", "`COL,..` columns to copy to the output; all,-COL; cohort.NAME")
		options.StringVar(&o.formulas, "csv-formulas", "keep", "`MODE` escape: ' before what a spreadsheet runs [keep]")
		options.StringVar(&o.outDelimiter, "out-delimiter", "", "`C` between the cells of CSV outputs, as ; or \\t [,]")
		options.BoolVar(&o.outBOM, "csv-bom", false, "CSV and TSV begin with a byte order mark, for Excel")
		options.StringVar(&o.summary, "summary", "", "`FILE` .json: users and shares of each flag and variant")
		options.StringVar(&o.manifest, "manifest", "", "`FILE` .json: the record of the run [OUT.manifest.json]")
		options.StringVar(&o.latest, "latest", "", "`FILE` .json: a copy of the manifest, which each run replaces")
		options.BoolVar(&o.overwrite, "overwrite", false, "replace existing outputs; they keep mode and owner")
	})
	group(options, "Flags and API", func() {
		defineList(options, &o.flagList, "flags", "`KEY,..` the flags to evaluate [all of the deployment]")
		options.StringVar(&o.flagsFrom, "flags-from", "", "`FILE` the flags to evaluate, one a line; # comments")
		options.StringVar(&o.evaluator, "evaluator", "remote", "`MODE` remote: ask the API; local: in this process [remote]")
		o.server.define(options)
		defineSemantics(options, &o.server.semantics)
		options.BoolVar(&o.server.allowTracking, "allow-tracking", false, "ask a server that ignores no-track")
		options.Int64Var(&o.crossCheck, "cross-check", 0, "`N` local: compare N users with the API's answers")
		options.Int64Var(&o.crossCheckSeed, "cross-check-seed", 0, "`N` the same sample again [random]")
		options.StringVar(&o.maxDisagreement, "max-disagreement", "", "`N|P%` publish nothing if more of them differ")
		// It says when to stop, and changes no answer: a run that goes on may have another one.
		options.BoolVar(&o.server.strict, "strict", false, "refuse a server that may track, and flags that changed")
	})
	group(options, "Cohorts", func() { o.cohorts.defineFetch(options) })
	group(options, "Requests", func() {
		o.rate = defaultRate
		options.Var((*rateOption)(o), "rate", "`N` requests/s at most; auto: find it; 0: no limit [100]")
		options.IntVar(&o.burst, "burst", 1, "`N` requests that may go at once [1]")
		options.IntVar(&o.concurrency, "concurrency", 0, "`N` requests in flight at most [1024; 64 with --rate 0]")
		options.StringVar(&o.method, "method", "get", "`M` get post; auto: POST where the URL is too long [get]")
		options.BoolVar(&o.freshOnly, "fresh-answers", false, "no answer from a cache: each URL has the run's nonce")
		options.IntVar(&o.maxAttempts, "max-attempts", 5, "`N` attempts for one user [5]")
		options.DurationVar(&o.maxOutage, "max-outage", 15*time.Minute, "`TIME` how long the API may be out as a whole [15m]")
		options.StringVar(&o.maxErrors, "max-errors", "", "`N|P%` publish nothing if more users fail")
		options.Int64Var(&o.minUsers, "min-users", 0, "`N` publish nothing if fewer users are answered [1]")
	})
	group(options, "Other", func() {
		options.StringVar(&o.resume, "resume", resumeAuto, "`MODE` an unfinished run: auto always never [auto]")
		options.BoolVar(&o.fresh, "fresh", false, "the same as --resume never")
		options.BoolVar(&o.acceptNewKey, "accept-new-key", false, "resume with a new key of the same deployment")
		options.BoolVar(&o.dryRun, "dry-run", false, "say what would be sent; send nothing")
		o.defineFormat(options, "text", "json")
		options.Lookup("format").Usage = "`F` text json [text]; json: the result, on standard output"
		options.StringVar(&o.workDir, "work-dir", "", "`DIR` for the journal [beside OUT]; a rerun has the same")
		options.DurationVar(&o.grace, "grace", defaultGrace, "`TIME` for requests in flight, after SIGTERM or Ctrl-C [8s]")
		options.StringVar(&o.progress, "progress", "auto", "`MODE` auto bar lines none [auto]")
		options.StringVar(&o.metricsFile, "metrics", "", "`FILE` .prom for the node exporter, every 15 s and at the end")
		options.StringVar(&o.metricsListen, "metrics-listen", "", "`ADDR` /metrics for Prometheus, as 127.0.0.1:9464")
		o.commonOptions.define(options)
	})
}

// check makes the options ready for use. Its errors are usage errors.
func (o *snapshotOptions) check(ctx context.Context, inputs []string) error {
	if len(inputs) == 0 {
		return pipeline.WithHint(usageErrorf("no INPUT given"), "name a file of users, a glob, or - for standard input")
	}
	if o.metricsFile != "" && !strings.HasSuffix(o.metricsFile, ".prom") {
		return usageErrorf("--metrics %s: the name must end with .prom: the node exporter reads no other", o.metricsFile)
	}
	if slices.Contains(inputs, "-") && len(inputs) > 1 {
		return usageErrorf("standard input (-) cannot be read together with files")
	}
	if len(o.outs) == 0 {
		return pipeline.WithHint(usageErrorf("no --out given"), "for example --out assignments.parquet")
	}
	for name, n := range map[string]float64{"rate": o.rate, "limit": float64(o.limit), "min-users": float64(o.minUsers),
		"sample": float64(o.sample), "concurrency": float64(o.concurrency)} {
		if n < 0 || math.IsNaN(n) || math.IsInf(n, 0) {
			return usageErrorf("--%s cannot be %v", name, n)
		}
	}
	for name, n := range map[string]int{"burst": o.burst, "max-attempts": o.maxAttempts} {
		if n < 1 {
			return usageErrorf("--%s cannot be %d: it is at least 1", name, n)
		}
	}
	for name, d := range map[string]time.Duration{"timeout": o.server.timeout, "max-outage": o.maxOutage,
		"grace": o.grace} {
		if d <= 0 {
			return usageErrorf("--%s cannot be %v: it is more than 0", name, d)
		}
	}
	if o.fresh {
		if o.resume == resumeAlways {
			return usageErrorf("--fresh and --resume always do not go together")
		}
		o.resume = resumeNever
	}
	if o.rate > maxRate {
		return pipeline.WithHint(usageErrorf("--rate cannot be %g: it is at most %d", o.rate, maxRate),
			"--rate 0 is no limit")
	}
	if o.burst > maxRate {
		return usageErrorf("--burst cannot be %d: it is at most %d", o.burst, maxRate)
	}
	if o.concurrency > 10000 {
		return usageErrorf("--concurrency cannot be %d: it is at most 10000", o.concurrency)
	}
	if o.server.strict && o.server.allowTracking {
		return usageErrorf("--strict and --allow-tracking do not go together")
	}
	if o.limit > 0 && o.sample > 0 {
		return usageErrorf("--limit and --sample do not go together")
	}
	for _, one := range []struct {
		name, value string
		known       []string
	}{
		{"evaluator", o.evaluator, []string{"remote", "local"}},
		{"resume", o.resume, []string{resumeAuto, resumeAlways, resumeNever}},
		{"progress", o.progress, []string{"auto", "bar", "lines", "none"}},
		{"missing", o.missing, []string{"null", "empty"}},
		{"ragged", o.ragged, []string{"fail", "pad"}},
		{"csv-formulas", o.formulas, []string{"keep", "escape"}},
		{"layout", o.layout, []string{"long", "wide"}},
		{"column-names", o.columnNames, []string{"keep", "snake"}},
		{"method", o.method, []string{"auto", "get", "post"}},
	} {
		if !slices.Contains(one.known, one.value) {
			return usageErrorf("--%s %q is not known: it is one of %s", one.name, one.value, strings.Join(one.known, " "))
		}
	}
	if o.local() && o.method != "get" {
		return usageErrorf("--method %s is for --evaluator remote: a local run asks about no user", o.method)
	}
	if o.local() && slices.Contains(o.include, "cache") {
		return usageErrorf("--include cache is for --evaluator remote: a local run has no answers of a cache")
	}
	if o.local() && o.freshOnly {
		return usageErrorf("--fresh-answers is for --evaluator remote: a local run asks about no user")
	}
	if o.concurrency == 0 {
		o.concurrency = defaultConcurrency(o.ownRate())
	}
	return errors.Join(o.checkOutputs(), o.checkPartitioning(), o.checkFlags(ctx), o.checkLayout(), o.checkMapping(),
		o.errLine.parse("--max-errors", o.maxErrors), o.checkCrossCheck(), o.server.check(o.local()),
		o.cohorts.check())
}

// The rates of --rate auto: where it starts, and what it never exceeds.
const (
	defaultRate = 100
	maxAutoRate = 1000
)

// rateOption is the value of --rate: a number, or auto.
type rateOption snapshotOptions

// Set parses the value. It implements pflag.Value.
func (o *rateOption) Set(s string) (err error) {
	o.autoRate = s == "auto"
	if o.rate = maxAutoRate; !o.autoRate {
		o.rate, err = strconv.ParseFloat(s, 64)
	}
	if err != nil {
		return errors.New("is not a number of requests a second, or auto")
	}
	return nil
}

func (o *rateOption) String() string {
	if o.autoRate {
		return "auto"
	}
	return strconv.FormatFloat(o.rate, 'g', -1, 64)
}

// Type is what the value is called in messages. It implements pflag.Value.
func (o *rateOption) Type() string { return "float64" }

// startRate is the rate with which a run begins.
func (o *snapshotOptions) startRate() float64 {
	if o.autoRate {
		return defaultRate / float64(max(1, o.shard.of))
	}
	return o.ownRate()
}

// defaultConcurrency is how many requests may be in flight. With a rate it is the limiter that says how many are: as
// many as the rate needs at the latency that the API has. Each is a connection, so half of the files that the process
// may open is the most.
func defaultConcurrency(rate float64) int {
	n := 64
	if rate > 0 {
		n = 1024
	}
	return int(min(uint64(n), max(durable.OpenFileLimit()/2, 4)))
}

// clientConfig is how the API is asked.
func (o *snapshotOptions) clientConfig() amplitude.Config {
	return amplitude.Config{
		StartRate: o.startRate(), FlagKeys: o.flags, Rate: o.ownRate(), Burst: o.burst, Concurrency: o.concurrency, MaxAttempts: o.maxAttempts,
		MaxOutage: o.maxOutage, Method: amplitude.Method(o.method),
		Cache: slices.Contains(o.include, "cache"),
	}
}

// local reports whether the flags are evaluated in this process.
func (o *snapshotOptions) local() bool { return o.evaluator == "local" }

// spec is what the outputs hold, but for the carried columns and what tells one run from another.
func (o *snapshotOptions) spec() sinks.Spec {
	return sinks.Spec{
		Wide: o.layout == "wide", Flags: o.flags, Include: o.include, SnakeNames: o.columnNames == "snake",
		Version: version(), EscapeFormulas: o.formulas == "escape", Delimiter: o.outComma, BOM: o.outBOM,
	}
}

// describeLayout is what the manifest says of outputs of that spec.
func describeLayout(spec *sinks.Spec) (snapshot.Layout, error) {
	l := snapshot.Layout{Wide: spec.Wide, Flags: spec.Flags, Include: nonNil(spec.Include), Carry: []snapshot.Carried{},
		SnakeNames: spec.SnakeNames, EscapeFormulas: spec.EscapeFormulas, BOM: spec.BOM}
	if spec.Delimiter != 0 {
		l.Delimiter = string(spec.Delimiter)
	}
	columns, err := spec.Columns()
	if err != nil {
		return l, err
	}
	for _, c := range columns {
		l.Columns = append(l.Columns, snapshot.Column{Name: c.Name, Type: c.Type.String(), Required: c.Required,
			Precision: c.Precision, Scale: c.Scale})
	}
	carried := columns[len(columns)-len(spec.Carry):]
	for i, c := range spec.Carry {
		l.Carry = append(l.Carry, snapshot.Carried{Column: carried[i].Name, Input: c.Name})
	}
	return l, nil
}

// checkLayout checks what the outputs are to hold. It wants the flags.
func (o *snapshotOptions) checkLayout() error {
	spec := o.spec()
	if _, err := spec.Columns(); err != nil {
		return &exitError{err, exitUsage}
	}
	return nil
}

// checkOutputs checks names and formats, and names the error file.
func (o *snapshotOptions) checkOutputs() error {
	seen := map[string]bool{}
	for _, out := range o.outs {
		if seen[out] {
			return usageErrorf("--out %s is given twice", text.Clean(out))
		}
		seen[out] = true
		if out == "-" {
			if o.outFormat == "" {
				return pipeline.WithHint(usageErrorf("--out - needs a format"), "for example --out-format csv")
			}
			if _, err := sinks.Format("-." + o.outFormat); err != nil {
				return usageErrorf("--out-format %q is not known: it is csv tsv jsonl (also .gz .zst) or parquet", o.outFormat)
			}
			continue
		}
		if _, err := sinks.Format(out); err != nil {
			return &exitError{err, exitUsage}
		}
	}
	if o.outFormat != "" && !seen["-"] {
		return usageErrorf("--out-format is for --out -; a file has the format of its extension")
	}
	if o.errorsFile == "" {
		switch {
		case o.manifest != "": // where queries read OUT's directory, it is not for other files
			o.errorsFile = o.manifestStem() + ".errors.jsonl"
		case o.outs[0] == "-":
			return pipeline.WithHint(usageErrorf("--errors must be named when the first output is standard output"),
				"for example --errors failed.jsonl")
		default:
			o.errorsFile = sinks.TrimFormat(o.outs[0]) + ".errors.jsonl"
		}
	}
	if o.summary != "" && !strings.HasSuffix(o.summary, ".json") {
		return pipeline.WithHint(usageErrorf("--summary %s: it is written as JSON", text.Clean(o.summary)),
			"name a file that ends in .json")
	}
	if o.errorsFile == "-" {
		return usageErrorf("--errors cannot be standard output")
	}
	if _, err := sinks.Format(o.errorsFile); err != nil {
		return &exitError{fmt.Errorf("--errors: %w", err), exitUsage}
	}
	if o.summary != "" && slices.Contains([]string{o.manifestFile(), o.flagsFile(), o.crossCheckFile()}, o.summary) {
		return usageErrorf("--summary %s is a file that the run writes anyway", text.Clean(o.summary))
	}
	if seen[o.errorsFile] {
		return usageErrorf("--errors %s is also an --out", text.Clean(o.errorsFile))
	}
	if err := o.checkNames(); err != nil {
		return err
	}
	if err := o.checkManifest(); err != nil {
		return err
	}
	o.given = o.outputNames
	return o.checkDialect()
}

// checkDialect checks what is said of the CSV and TSV outputs, which there must be then.
func (o *snapshotOptions) checkDialect() error {
	hasCSV, hasTSV := false, false
	for _, out := range append([]string{o.errorsFile}, o.outs...) {
		if out == "-" {
			out += "." + o.outFormat
		}
		format, _ := sinks.Format(out) // that it is known was checked
		hasCSV, hasTSV = hasCSV || strings.HasPrefix(format, "csv"), hasTSV || strings.HasPrefix(format, "tsv")
	}
	if o.outBOM && !hasCSV && !hasTSV {
		return usageErrorf("--csv-bom is for CSV and TSV, and no output is one")
	}
	if o.outDelimiter == "" {
		return nil
	}
	if !hasCSV {
		return usageErrorf("--out-delimiter is for CSV, and no output is one")
	}
	var err error
	if o.outComma, err = sinks.ParseDelimiter(o.outDelimiter); err != nil {
		return &exitError{fmt.Errorf("--out-delimiter: %w", err), exitUsage}
	}
	return nil
}

// flagsFile is where flag configurations that were downloaded are kept; "" where there are none to keep.
func (o *snapshotOptions) flagsFile() string {
	if manifest := o.manifestFile(); manifest != "" && o.local() && o.server.flagConfigs == "fetch" {
		return o.manifestStem() + ".flags.json"
	}
	return ""
}

// sideFiles are the files that are published with the outputs and hold no rows: the manifest is the last.
func (o *snapshotOptions) sideFiles() []string {
	return slices.DeleteFunc([]string{o.summary, o.flagsFile(), o.crossCheckFile(), o.manifestFile()},
		func(path string) bool { return path == "" })
}

// checkFlags makes the list of the flags to evaluate.
func (o *snapshotOptions) checkFlags(ctx context.Context) error {
	o.flags = append(o.flags, o.flagList...)
	if o.flagsFrom != "" {
		data, err := readStored(ctx, o.server.stores, o.flagsFrom, maxListBytes)
		if err != nil {
			return usageErrorf("read --flags-from: %w", err)
		}
		keys, err := readList(bytes.NewReader(data))
		if err != nil {
			return wrapUsage("read --flags-from "+o.flagsFrom, err)
		}
		o.flags = append(o.flags, keys...)
		if len(o.flags) == 0 {
			return usageErrorf("--flags-from %s names no flag", text.Clean(o.flagsFrom))
		}
	}
	seen := map[string]bool{}
	for _, key := range o.flags {
		switch {
		case key == "" || strings.ContainsAny(key, ",\n"):
			return usageErrorf("--flags: %q cannot be a flag key", key)
		case seen[key]:
			return usageErrorf("--flags: %s is named twice", text.Clean(key))
		}
		seen[key] = true
	}
	return nil
}

// checkMapping parses what says which column is what.
func (o *snapshotOptions) checkMapping() error {
	if o.delimiter != "" {
		var err error
		if o.comma, err = sources.ParseDelimiter(o.delimiter); err != nil {
			return &exitError{err, exitUsage}
		}
	}
	if err := o.parseCarryAll(); err != nil {
		return err
	}
	m, err := sources.ParseMapping(o.mapping, o.types, o.properties)
	if err != nil {
		return &exitError{err, exitUsage}
	}
	m.Trim, m.MissingEmpty, m.Carry = o.trim, o.missing == "empty", o.splitCarry()
	o.mapped = m
	return nil
}

// inputOptions say how to read the input. They want checkMapping.
func (o *snapshotOptions) inputOptions() sources.Options {
	return sources.Options{Format: o.inputFormat, Delimiter: o.comma, NoHeader: o.noHeader, Pad: o.ragged == "pad",
		Mapping: o.mapped}
}

// errorLimit is --max-errors.
type errorLimit struct {
	set   bool
	text  string // as it was given
	users int64
	share float64 // of all users; used instead of users where percent is set
	isPct bool
}

func (l *errorLimit) parse(option, text string) error {
	if text == "" {
		return nil
	}
	l.set, l.text = true, text
	var err error
	l.users, l.share, l.isPct, err = parseLimit(option, text)
	return err
}

// parseLimit parses a number of users, or a share of all with a %.
func parseLimit(option, text string) (users int64, share float64, isShare bool, err error) {
	if percent, isShare := strings.CutSuffix(text, "%"); isShare {
		if share, err = strconv.ParseFloat(percent, 64); err == nil && share >= 0 && share <= 100 { // not NaN
			return 0, share / 100, true, nil
		}
	} else if users, err = strconv.ParseInt(text, 10, 64); err == nil && users >= 0 {
		return users, 0, false, nil
	}
	return 0, 0, false, usageErrorf("%s %q is neither a number nor a share such as 1%%", option, text)
}

// most is how many of total users may fail.
func (l *errorLimit) most(total int64) int64 {
	if l.isPct {
		return int64(l.share * float64(total))
	}
	return l.users
}

// allows says how many of total users may fail.
func (l *errorLimit) allows(total int64) string {
	return fmt.Sprintf("the %s that --max-errors %s allows", text.Thousands(l.most(total)), l.text)
}

// check refuses an input of which more rows cannot be used than may fail, before anything is sent.
func (l *errorLimit) check(found *findings, total int64) error {
	bad, kinds := found.badRows()
	if !l.set || bad <= l.most(total) {
		return nil
	}
	return pipeline.WithHint(fmt.Errorf("%s of %s rows cannot be used, more than %s; nothing was sent: %s",
		text.Thousands(bad), text.Thousands(total), l.allows(total), kinds), "--dry-run shows how the columns map")
}
