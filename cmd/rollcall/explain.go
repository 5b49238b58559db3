package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/sources"
)

// explainOptions are the options of `rollcall explain`: those of snapshot that say how to read an input and which
// flags are meant, and its own.
type explainOptions struct {
	snapshotOptions
	userID, deviceID, context string
	row                       int64
}

// define adds the options to the command. What snapshot has too is snapshot's.
func (o *explainOptions) define(options *pflag.FlagSet) {
	snapshot := pflag.NewFlagSet("", pflag.ContinueOnError)
	o.snapshotOptions.define(snapshot)
	share := func(names ...string) {
		for _, name := range names {
			option := snapshot.Lookup(name)
			option.Annotations = nil // the heading is another
			options.AddFlag(option)
		}
	}
	group(options, "The user", func() {
		options.StringVar(&o.userID, "user-id", "", "`ID` the user's id")
		options.StringVar(&o.deviceID, "device-id", "", "`ID` the user's device id")
		options.StringVar(&o.context, "context", "", "`JSON` the rest of the user, or all, as the API takes it")
		options.Int64Var(&o.row, "row", 0, "`N` instead: the user in that row of INPUT (row_number)")
	})
	group(options, "Input", func() {
		share("input-format", "delimiter", "no-header", "ragged", "trim", "map", "properties", "types", "missing")
	})
	group(options, "Flags", func() {
		options.StringVar(&o.server.flagConfigs, "flag-configs", "",
			"`FILE` flag configurations, or fetch, which downloads them")
		share("flags", "flags-from", "semantics", "server", "key-file", "timeout", "allow-http")
	})
	group(options, "Cohorts", func() {
		share("cohorts", "cohort", "cohort-id", "cohorts-column", "max-cohort-size")
	})
	group(options, "Other", func() {
		o.defineFormat(options, "text", "json")
		o.commonOptions.define(options)
	})
}

func explainCommand(env *env, con *console) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use: "explain --flag-configs FILE [--row N INPUT...] [options]", DisableFlagsInUseLine: true,
		Short: "Why a user gets a variant",
		Long: `explain evaluates flags for one user on this machine, and says why each gives
what it gives: which segment matched, which condition of those before it failed
and what it saw, and which bucket the user fell into. A flag's segments are
looked at in order; the first that matches and gives a variant decides.

Where client-side and node applications, whose engine is another than the hosted
API's, would give the user another answer, it says which, and by which rule.`,
		Example: `  rollcall explain --user-id u-1 --flag-configs flags.json
  rollcall explain --user-id u-1 --context '{"country":"Japan"}' \
    --flags checkout --flag-configs fetch
  rollcall explain --row 17 users.csv --flag-configs flags.json`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.start(cmd, env, con); err != nil {
				return err
			}
			o.server.stores = env.Stores
			if err := o.check(env.Soft, args); err != nil {
				return err
			}
			return o.run(env, con, args)
		},
	}
	o.define(cmd.Flags())
	return cmd
}

func (o *explainOptions) check(ctx context.Context, inputs []string) error {
	if o.server.flagConfigs == "" {
		return pipeline.WithHint(usageErrorf("explain needs --flag-configs"),
			"a FILE of flag configurations, or fetch, which downloads them")
	}
	described := o.userID != "" || o.deviceID != "" || o.context != ""
	switch {
	case o.row < 0:
		return usageErrorf("--row cannot be %d: rows are numbered from 1", o.row)
	case o.row > 0 && described:
		return usageErrorf("--row and --user-id, --device-id or --context do not go together: there is one user to explain")
	case o.row > 0 && len(inputs) == 0:
		return pipeline.WithHint(usageErrorf("--row %d of what? no INPUT given", o.row),
			"name a file of users, a glob, or - for standard input")
	case o.row == 0 && len(inputs) > 0:
		return pipeline.WithHint(usageErrorf("which user of %s? no --row given", text.List(inputs, 3)),
			"--row N is the user in row N, as the row_number of the outputs says it")
	case o.row == 0 && !described:
		return pipeline.WithHint(usageErrorf("which user? neither --user-id nor --device-id given"),
			"or --row N INPUT: a user of a file")
	case slices.Contains(inputs, "-") && len(inputs) > 1:
		return usageErrorf("standard input (-) cannot be read together with files")
	}
	if !slices.Contains([]string{"null", "empty"}, o.missing) {
		return usageErrorf("--missing %q is not known: it is one of null empty", o.missing)
	}
	return errors.Join(o.checkFlags(ctx), o.checkMapping(), o.server.check(true), o.cohorts.check())
}

func (o *explainOptions) run(env *env, con *console, inputs []string) error {
	var row pipeline.Row
	if o.row == 0 {
		var err error
		if row.User, err = o.user(); err != nil {
			return err
		}
	}
	from, data, err := o.server.loadConfigs(env, con)
	if err != nil {
		return err
	}
	semantics, err := parseSemantics(o.server.semantics)
	if err != nil {
		return err
	}
	eng, err := engine.ParseLenient(data, semantics) // a flag that cannot be evaluated here says so itself
	if err != nil {
		return fmt.Errorf("%s: %w", text.Clean(from), err)
	}
	warnOfConfigs(from, eng, con)
	var known []string
	for _, f := range eng.Flags() {
		known = append(known, f.Key)
	}
	if err := checkKnown(o.flags, known, from); err != nil {
		return err
	}

	var columns []sources.ColumnUse
	if o.row > 0 {
		if columns, err = o.readRow(env, eng, inputs, &row); err != nil {
			return err
		}
	}
	set, err := o.cohorts.load(env)
	if err != nil {
		return err
	}
	members := local.NewMembership(set, eng.Cohorts(o.flags))
	var scratch local.Scratch
	row.User = *members.Tell(&row.User, &scratch)
	why := explained{RowNumber: row.Number, UserID: row.User.UserID, DeviceID: row.User.DeviceID, Flags: []explainedFlag{}}
	unknown := map[string][]string{}
	for _, u := range eng.Unknowable(o.flags) {
		u.Cohorts = u.Cohorts && len(unknownCohorts(eng, []string{u.Flag}, members, func(field string) bool {
			return hasField(&row.User, field) || hasTarget(columns, field)
		})) > 0
		unknown[u.Flag] = unknowns(u)
	}
	plan, err := eng.Plan(o.flags).Compare()
	if err != nil {
		return fmt.Errorf("%s: %w", text.Clean(from), err)
	}
	for _, x := range plan.Explain(&row.User) {
		why.Flags = append(why.Flags, explainedFlag{x, nonNil(unknown[x.Flag])})
	}
	if o.format == "json" {
		return printJSON(env.Stdout, why)
	}
	_, err = io.WriteString(env.Stdout, text.CleanLines(why.text()))
	return err
}

// user is the user that the options describe. As in a request, --user-id and --device-id win over the context's.
func (o *explainOptions) user() (pipeline.User, error) {
	u := pipeline.User{}
	for _, id := range []string{o.userID, o.deviceID} {
		if !utf8.ValidString(id) {
			return u, usageErrorf("--user-id and --device-id: not valid UTF-8")
		}
	}
	if o.context != "" {
		v, err := pipeline.ParseJSON(o.context)
		if err == nil && v.Kind != pipeline.Object {
			err = errors.New("not a JSON object")
		}
		if err != nil {
			return u, pipeline.WithHint(usageErrorf("--context: %w", err),
				`for example --context '{"country":"Japan","user_properties":{"plan":"pro"}}'`)
		}
		for _, m := range v.Members {
			id := map[string]*string{"user_id": &u.UserID, "device_id": &u.DeviceID}[m.Name]
			switch {
			case id == nil:
				u.Context = append(u.Context, m)
			case m.Value.Kind == pipeline.String || m.Value.Kind == pipeline.Number:
				*id = m.Value.Text
			case m.Value.Kind != pipeline.Null:
				return u, usageErrorf("--context: its %s is not a string", m.Name)
			}
		}
	}
	if o.userID != "" {
		u.UserID = o.userID
	}
	if o.deviceID != "" {
		u.DeviceID = o.deviceID
	}
	if u.UserID == "" && u.DeviceID == "" {
		return u, pipeline.WithHint(usageErrorf("which user? neither a user id nor a device id given"),
			"add --user-id, as every request needs one of the two")
	}
	return u, nil
}

// readRow finds the row that --row names.
func (o *explainOptions) readRow(env *env, eng *engine.Engine, inputs []string, row *pipeline.Row) ([]sources.ColumnUse,
	error) {
	in, err := openInput(env.Soft, env, nil, &o.snapshotOptions, inputs, "")
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if err := readFields(in, eng); err != nil {
		return nil, err
	}
	src, err := in.Open()
	if err != nil {
		return nil, err
	}
	defer src.Close() //nolint:errcheck // only read
	last := int64(0)
	for {
		if err := env.Soft.Err(); err != nil {
			return nil, err
		}
		err := src.Next(row)
		switch {
		case errors.Is(err, io.EOF):
			return nil, pipeline.WithHint(fmt.Errorf("%s: there is no row %s; the last one is %s", text.List(inputs, 3),
				text.Thousands(o.row), text.Thousands(last)),
				"rows are numbered from 1, across files, without the header")
		case err != nil:
			return nil, err
		case row.Number == o.row && row.Err != nil:
			return nil, fmt.Errorf("row %s cannot be used (%s): %s", text.Thousands(o.row), row.Err.Kind, text.Clean(row.Err.Message))
		case row.Number == o.row:
			return src.Columns(), nil
		}
		last = max(last, row.Number)
	}
}

// explained is what --format json prints.
type explained struct {
	RowNumber int64           `json:"row_number,omitempty"`
	UserID    string          `json:"user_id,omitempty"`
	DeviceID  string          `json:"device_id,omitempty"`
	Flags     []explainedFlag `json:"flags"`
}

type explainedFlag struct {
	engine.Explanation
	Unknown []string `json:"unknown_here"` // what only the API knows and the flag goes by
}

// unknowns names what only the API knows.
func unknowns(u engine.Unknowable) []string {
	var names []string
	for _, one := range []struct {
		is   bool
		name string
	}{{u.Cohorts, "cohorts"}, {u.AmplitudeID, "amplitude_id"}, {u.Sticky, "sticky_bucketing"},
		{u.Remote, "remote_evaluation"}} {
		if one.is {
			names = append(names, one.name)
		}
	}
	return names
}

// text is the explanation for a person, within 80 columns.
func (e *explained) text() string {
	b := explanationText{text.Printer{Width: 80, Whole: true}}
	who := []string{}
	if e.RowNumber > 0 {
		who = append(who, "row "+text.Thousands(e.RowNumber))
	}
	if e.UserID != "" {
		who = append(who, "user_id "+quoted(e.UserID))
	}
	if e.DeviceID != "" {
		who = append(who, "device_id "+quoted(e.DeviceID))
	}
	b.line(0, strings.Join(who, ", "))
	for i := range e.Flags {
		b.Line("")
		b.flag(&e.Flags[i])
	}
	return b.String()
}

// explanationText is the text in the making.
type explanationText struct{ text.Printer }

// line breaks the words at 80 columns; what follows the first line is indented by two columns more.
func (b *explanationText) line(indent int, s string) {
	b.Wrap(strings.Repeat(" ", indent), indent+2, s)
}

func (b *explanationText) flag(f *explainedFlag) {
	switch {
	case f.Unanswered != "":
		b.line(0, f.Flag+": unanswered")
		b.line(2, "it cannot be evaluated here: "+f.Unanswered)
		return
	case f.Variant == nil:
		b.line(0, f.Flag+": no variant")
	case f.Answered:
		b.line(0, f.Flag+": "+*f.Variant)
	case f.Default:
		b.line(0, f.Flag+": "+*f.Variant+" (the default: the API leaves it out)")
	case !f.Deployed:
		b.line(0, f.Flag+": "+*f.Variant+" (not deployed: the API leaves it out)")
	default:
		b.line(0, f.Flag+": "+*f.Variant+" (a "+f.FlagType+": the API leaves it out)")
	}
	if len(f.Unknown) > 0 {
		b.line(2, "the API may answer otherwise, for what only it knows: "+
			strings.ReplaceAll(strings.Join(f.Unknown, ", "), "_", " "))
	}
	b.other(f)
	for _, d := range f.Dependencies {
		b.line(2, "depends on "+d.Flag+": "+orNothing(d.Variant, "no variant"))
	}
	for i := range f.Segments {
		b.segment(&f.Segments[i])
	}
	if len(f.Segments) == 0 {
		b.line(2, "it has no segments")
	} else if f.Variant == nil {
		b.line(2, "no segment is left")
	}
}

// other says what the other of Amplitude's engines gives, if that is another answer, and why.
func (b *explanationText) other(f *explainedFlag) {
	o := f.Other
	if o == nil {
		return
	}
	gives := "no variant"
	if o.Variant != nil {
		gives = *o.Variant
		if !o.Answered {
			gives += ", which the API leaves out"
		}
	}
	semantics, _ := engine.ParseSemantics(o.Semantics) // it is the engine's own name for them
	b.line(2, "another answer by "+describeSemantics(semantics)+": "+gives)
	where := fmt.Sprintf("segment %d, ", o.Segment)
	switch {
	case o.Flag != "":
	case o.Condition != nil:
		where += fmt.Sprintf("%s %s %s, rule %d: ", selectorName(o.Condition.Selector), o.Condition.Op,
			quoteValues(o.Condition.Values), o.Rule)
	default:
		where += fmt.Sprintf("bucket, rule %d: ", o.Rule)
	}
	b.line(4, where+o.Reason)
}

// quoteValues prints the values of a condition, cut where they are many.
func quoteValues(list []string) string {
	values := make([]string, len(list))
	for i, v := range list {
		values[i] = quoted(v)
	}
	return text.List(values, maxValues)
}

func (b *explanationText) segment(s *engine.Trace) {
	head := fmt.Sprintf("segment %d", s.Segment)
	if s.Name != "" {
		head += " " + quoted(s.Name)
	}
	everybody := s.Conditions == nil || s.Matched && len(s.Conditions[len(s.Conditions)-1]) == 0
	switch {
	case everybody:
		b.line(2, head+" matches everybody")
	case s.Matched:
		b.line(2, head+" matches")
	case len(s.Conditions) == 0:
		b.line(2, head+" matches nobody: it has an empty list of conditions")
	default:
		b.line(2, head+" does not match")
	}
	for _, list := range s.Conditions {
		for _, c := range list {
			switch holds := list[len(list)-1].Holds; {
			case everybody || s.Matched && !holds: // of a list that another one made up for
			case holds:
				b.check("holds: ", &c)
			case !c.Holds:
				b.check("fails: ", &c)
			}
		}
	}
	if s.Bucketing != nil {
		b.bucketing(s)
	}
	switch {
	case s.Variant != nil:
		b.line(4, "gives "+*s.Variant)
	case s.Matched:
		b.line(4, "gives nothing, so the next segment is looked at")
	}
}

// maxShown is how many characters of a value the text shows, and how many values.
const maxShown, maxValues = 60, 6

func (b *explanationText) check(what string, c *engine.Check) {
	seen := "there is none"
	if string(c.Seen) != "null" {
		seen = "it is " + text.Shorten(string(c.Seen), maxShown)
	}
	b.line(4, what+selectorName(c.Selector)+" "+c.Op+" "+quoteValues(c.Values)+"; "+seen)
}

func (b *explanationText) bucketing(s *engine.Trace) {
	by := s.Bucketing
	if by.Value == nil {
		b.line(4, "no bucket: there is no "+selectorName(by.Selector))
		return
	}
	b.line(4, "bucketed by "+selectorName(by.Selector)+" "+quoted(*by.Value))
	b.line(4, fmt.Sprintf("hash: %d with the salt %s", by.Hash, quoted(by.Salt)))
	percent := fmt.Sprintf("allocation: hash %% 100 = %d is in ", by.Percent)
	if by.Allocation == nil {
		ranges := []string{}
		for _, r := range by.Allocations {
			ranges = append(ranges, rangeText(r))
		}
		if len(ranges) == 0 {
			ranges = []string{"there is none"}
		}
		b.line(4, percent+"none ("+text.List(ranges, maxValues)+")")
		return
	}
	b.line(4, percent+rangeText(*by.Allocation))
	position := fmt.Sprintf("distribution: hash / 100 = %d is in ", by.Position)
	if by.Distribution == nil {
		b.line(4, position+"none")
		return
	}
	position += rangeText(by.Distribution.Range) + ", " + quoted(by.Distribution.Variant)
	if s.Variant == nil {
		position += ", which the flag does not have"
	}
	b.line(4, position)
}

// rangeText is a range as people say it: its last number is in it.
func rangeText(r engine.Range) string {
	if r.End <= r.Start {
		return "an empty range"
	}
	return fmt.Sprintf("%d to %d", r.Start, r.End-1)
}

// selectorName is what a selector looks at, as the columns of an input are called.
func selectorName(selector []string) string {
	name := strings.Join(selector, ".")
	name = strings.TrimPrefix(name, "context.user.")
	return strings.TrimPrefix(name, "context.")
}

// quoted is a value in quotes, cut where it is long.
func quoted(s string) string {
	if runes := []rune(s); len(runes) > maxShown {
		s = string(runes[:maxShown-1]) + "…"
	}
	return strconv.Quote(s)
}

func orNothing(s *string, nothing string) string {
	if s == nil {
		return nothing
	}
	return *s
}
