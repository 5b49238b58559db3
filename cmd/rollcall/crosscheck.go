package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/engine"
	"github.com/rollcall-cli/rollcall/pipeline/local"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
	"github.com/rollcall-cli/rollcall/sinks"
)

// The bounds of a cross-check: users, who are in memory; differences that its file lists; and flags that the API
// answers and the configurations do not have.
const (
	maxCrossCheck  = 100_000
	maxListed      = 100_000
	maxForeignFlag = 1000
)

// crossCheck asks the API about a random sample of the users of a local run, and compares. While the run goes on it is
// a sink that takes the sample.
type crossCheck struct {
	o    *snapshotOptions
	conn *connection
	eng  *engine.Engine
	size int64
	seed int64

	random *rand.Rand
	seen   int64     // answered users
	sample []sampled // in input order once it is complete

	result snapshot.CrossCheck
	file   []byte // what differs
}

// sampled is a user of the sample, with the local answers and then with those of the API.
type sampled struct {
	row   int64
	user  pipeline.User
	local []pipeline.Assignment
	api   []pipeline.Assignment
	err   *pipeline.UserError // the API's, in place of an answer
}

// newCrossCheck connects to the API, for which it needs the key. Nothing is sent.
func newCrossCheck(s *snapshotRun) (*crossCheck, error) {
	config := s.o.clientConfig()
	config.Nonce = s.runID // each answer is evaluated, and no cache's
	conn, err := s.o.server.redial(s.env, s.con, config)
	if err != nil {
		return nil, err
	}
	seed := s.o.crossCheckSeed
	if seed == 0 {
		seed = 1 + rand.Int64N(1<<31-1)
	}
	c := newSampler(s.o.crossCheck, seed)
	c.o, c.conn, c.eng = s.o, conn, s.local.eng
	return c, nil
}

// newSampler returns a cross-check that takes a sample of that many users.
func newSampler(size, seed int64) *crossCheck {
	return &crossCheck{size: size, seed: seed, random: rand.New(rand.NewPCG(uint64(seed), 0))}
}

// Write takes an answered user into the sample, each with the same chance.
func (c *crossCheck) Write(o *pipeline.Outcome) error {
	if o.Err != nil {
		return nil
	}
	c.seen++
	at := int64(len(c.sample))
	if at < c.size {
		c.sample = append(c.sample, sampled{})
	} else if at = c.random.Int64N(c.seen); at >= c.size {
		return nil
	}
	u := &o.Row.User
	user := pipeline.User{UserID: strings.Clone(u.UserID), DeviceID: strings.Clone(u.DeviceID),
		Context: cloneMembers(u.Context)}
	c.sample[at] = sampled{row: o.Row.Number, user: user, local: slices.Clone(o.Assignments)}
	return nil
}

// Close does nothing: the sink has nothing to complete.
func (c *crossCheck) Close() error { return nil }

// cloneMembers copies what the source uses again for the next row, and texts, which are parts of what it has read: the
// sample must not keep that in memory.
func cloneMembers(members []pipeline.Member) []pipeline.Member {
	members = slices.Clone(members)
	for i := range members {
		members[i].Value.Text = strings.Clone(members[i].Value.Text)
		members[i].Value.Members = cloneMembers(members[i].Value.Members)
	}
	return members
}

// ask asks the API about the sample, within the run's rate.
func (c *crossCheck) ask(s *snapshotRun) error {
	slices.SortFunc(c.sample, func(a, b sampled) int { return cmp.Compare(a.row, b.row) })
	s.con.Log.Info(fmt.Sprintf("cross-check: asking the API about %s of %s (seed %d)", text.Thousands(int64(len(c.sample))),
		text.Count(c.seen, "user"), c.seed))
	source := &sampleSource{sample: c.sample}
	n := 0
	p := pipeline.Pipeline{Source: source, Evaluator: c.conn, Workers: c.o.concurrency, Flags: c.o.flags, Now: clock,
		Window: min(max(16*c.o.concurrency, minWindow), 4096), Stop: s.env.Soft.Done(),
		Sink: sinkFunc(func(o *pipeline.Outcome) error {
			one := &c.sample[n]
			one.err, one.api = o.Err, slices.Clone(o.Assignments)
			n++
			return nil
		})}
	if _, err := s.stopSoftly(&p, c.conn); err != nil {
		return fmt.Errorf("cross-check: %w", err)
	}
	if n < len(c.sample) {
		return context.Cause(s.env.Soft)
	}
	return nil
}

// sampleSource is the users of a sample as rows.
type sampleSource struct {
	sample []sampled
	next   int
}

func (s *sampleSource) Next(row *pipeline.Row) error {
	if s.next == len(s.sample) {
		return io.EOF
	}
	*row = pipeline.Row{Number: s.sample[s.next].row, User: s.sample[s.next].user}
	s.next++
	return nil
}

func (s *sampleSource) Close() error { return nil }

// sinkFunc is a function that serves as a sink.
type sinkFunc func(o *pipeline.Outcome) error

func (f sinkFunc) Write(o *pipeline.Outcome) error { return f(o) }

func (f sinkFunc) Close() error { return nil }

// compare compares the answers for all users of the sample, and explains what differs. after are the flags as the API
// has them now.
func (c *crossCheck) compare(local *localEvaluator, after pipeline.FlagVersions) {
	r := &c.result
	*r = snapshot.CrossCheck{Server: c.conn.base, Seed: c.seed, Asked: int64(len(c.sample)), File: c.o.crossCheckFile()}
	for _, flag := range c.flags() {
		r.Flags = append(r.Flags, snapshot.CrossCheckFlag{Flag: flag})
	}
	x := newExplainer(local, after)
	var file bytes.Buffer
	lines := json.NewEncoder(&file)
	lines.SetEscapeHTML(false)
	for i := range c.sample {
		u := &c.sample[i]
		if u.err != nil {
			if r.FailedByKind == nil {
				r.FailedByKind = map[pipeline.Kind]int64{}
			}
			r.FailedByKind[u.err.Kind]++
			r.Failed++
			continue
		}
		r.Answered++
		agreed := true
		for j := range r.Flags {
			f := &r.Flags[j]
			f.Compared++
			local, api := findVariant(u.local, f.Flag), findVariant(u.api, f.Flag)
			if isSameVariant(local, api) {
				f.Agreed++
				continue
			}
			agreed = false
			why := x.explain(&u.user, f.Flag, api)
			f.AddExplanations(why)
			if r.Listed == maxListed {
				continue
			}
			line := snapshot.Difference{RowNumber: u.row, UserID: nonEmpty(u.user.UserID),
				DeviceID: nonEmpty(u.user.DeviceID), Flag: f.Flag, Local: newComparedVariant(local),
				API: newComparedVariant(api), Explanations: why}
			if lines.Encode(line) == nil { // it fails for nothing that was read as JSON
				r.Listed++
			}
		}
		if agreed {
			r.Agreed++
		}
	}
	c.file = file.Bytes()
	r.Low, r.High = stats.Wilson(r.Agreed, r.Answered)
	for i := range r.Flags {
		f := &r.Flags[i]
		f.Low, f.High = stats.Wilson(f.Agreed, f.Compared)
	}
}

// nonEmpty is nil for an id that is not there.
func nonEmpty(id string) *string {
	if id == "" {
		return nil
	}
	return &id
}

func newComparedVariant(v *pipeline.Variant) *snapshot.ComparedVariant {
	if v == nil {
		return nil
	}
	return &snapshot.ComparedVariant{Variant: v.Key, Payload: json.RawMessage(v.Payload)}
}

// flags are those that are compared: those asked for, or else all that users can get here, or got from the API.
func (c *crossCheck) flags() []string {
	known := map[string]bool{}
	for _, flag := range c.o.flags {
		known[flag] = true
	}
	if c.o.flags == nil {
		for _, v := range c.eng.Variants() {
			if v.Answered() {
				known[v.FlagKey] = true
			}
		}
		most := len(known) + maxForeignFlag
		for i := range c.sample {
			for _, a := range c.sample[i].api {
				if len(known) < most {
					known[a.FlagKey] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(known))
}

// findVariant returns the variant of a flag; nil: none.
func findVariant(list []pipeline.Assignment, flag string) *pipeline.Variant {
	for i := range list {
		if list[i].FlagKey == flag && list[i].Assigned {
			return &list[i].Variant
		}
	}
	return nil
}

// isSameVariant compares variants and payloads, and not what each evaluation has anew.
func isSameVariant(a, b *pipeline.Variant) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Key == b.Key && (a.Payload == b.Payload || canonical(a.Payload) == canonical(b.Payload))
}

// canonical returns JSON text without what has no meaning: white space and the order of members.
func canonical(payload string) string {
	v := jsontext.Value(payload)
	if err := v.Canonicalize(jsontext.CanonicalizeRawInts(false), jsontext.CanonicalizeRawFloats(false)); err != nil {
		return payload
	}
	return string(v)
}

// explainer says what can make the API answer otherwise than the local evaluation.
type explainer struct {
	eng     *engine.Engine
	other   *engine.Plan // with the other semantics; nil: it does not compile
	configs []byte
	after   map[string]pipeline.FlagVersion // of the API; nil: not known
	flags   map[string]*flagReads
	found   []*engine.Variant
	members *local.Membership // of the cohorts that files give
	member  local.Scratch
}

// flagReads is what the answer for a flag depends on.
type flagReads struct {
	reads       []string
	unknowable  engine.Unknowable
	edited      bool // the API has another configuration of it, or of a flag that it depends on
	unsupported bool
}

func newExplainer(l *localEvaluator, after pipeline.FlagVersions) *explainer {
	eng, configs := l.eng, l.configs
	x := &explainer{eng: eng, configs: configs, after: after.Flags, flags: map[string]*flagReads{}, members: l.Members}
	semantics := engine.Node
	if eng.Semantics() == engine.Node {
		semantics = engine.Hosted
	}
	if other, err := engine.ParseLenient(configs, semantics); err == nil {
		x.other = other.Plan(nil)
	}
	return x
}

// explain returns what can explain that the API answers api for the user.
func (x *explainer) explain(u *pipeline.User, flag string, api *pipeline.Variant) []snapshot.Explanation {
	f := x.read(flag)
	lacks := func(is func(field string) bool) bool {
		return slices.ContainsFunc(f.reads, func(field string) bool { return is(field) && !hasField(u, field) })
	}
	oneOf := func(fields ...string) func(string) bool {
		return func(field string) bool { return slices.Contains(fields, field) }
	}
	holds := map[snapshot.Explanation]bool{
		snapshot.ByConfiguration: f.edited,
		snapshot.BySemantics:     x.other != nil && isSameVariant(x.answerOther(u, flag), api),
		snapshot.ByUnsupported:   f.unsupported,
		snapshot.ByCohort:        f.unknowable.Cohorts,
		snapshot.BySticky:        f.unknowable.Sticky,
		snapshot.ByIdentity:      f.unknowable.AmplitudeID || lacks(oneOf("user_id", "device_id")),
		snapshot.ByStored: lacks(func(field string) bool {
			return strings.HasPrefix(field, "user_properties.") && !strings.HasPrefix(field, "user_properties.[Experiment] ") ||
				strings.HasPrefix(field, "group_properties.")
		}),
		snapshot.ByLocation: lacks(oneOf("country", "region", "city", "dma", "ip_address")),
		snapshot.ByFields: slices.ContainsFunc(f.reads, func(field string) bool {
			return strings.HasPrefix(field, "device_") && field != "device_id" || field == "platform" || field == "os" ||
				field == "language"
		}),
	}
	list := []snapshot.Explanation{}
	for _, e := range snapshot.Explanations {
		if holds[e] {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		list = append(list, snapshot.Unexplained)
	}
	return list
}

// read returns what the answer for a flag depends on.
func (x *explainer) read(flag string) *flagReads {
	if f := x.flags[flag]; f != nil {
		return f
	}
	f := &flagReads{reads: x.eng.Reads([]string{flag})}
	if u := x.eng.Unknowable([]string{flag}); len(u) > 0 {
		f.unknowable = u[0]
	}
	f.unsupported = slices.ContainsFunc(x.eng.Unanswered(), func(u *engine.ConfigError) bool { return u.Flag == flag })
	before, err := engine.FlagVersions(x.configs, []string{flag})
	f.edited = err == nil && len(before) == 0 // the API alone has it
	for key, v := range before {
		now, has := x.after[key]
		f.edited = f.edited || has && now != v
	}
	x.flags[flag] = f
	return f
}

// answerOther evaluates a flag with the other semantics; nil: the user gets no variant.
func (x *explainer) answerOther(u *pipeline.User, flag string) *pipeline.Variant {
	x.found = x.other.Append(x.found[:0], x.members.Tell(u, &x.member))
	for _, v := range x.found {
		if v.FlagKey == flag && v.Answered() {
			return &v.Variant
		}
	}
	return nil
}

// crossCheckFile is where the differences go; "" where nothing is cross-checked.
func (o *snapshotOptions) crossCheckFile() string {
	if o.crossCheck == 0 {
		return ""
	}
	if o.manifest != "" {
		return o.manifestStem() + ".crosscheck.jsonl"
	}
	return strings.TrimSuffix(sinks.TrimFormat(o.files()[0]), ".errors") + ".crosscheck.jsonl"
}

// checkCrossCheck checks the options of the cross-check.
func (o *snapshotOptions) checkCrossCheck() error {
	switch {
	case o.crossCheck == 0 && o.maxDisagreement == "" && o.crossCheckSeed == 0:
		return nil
	case o.crossCheck == 0:
		return pipeline.WithHint(usageErrorf("--cross-check-seed and --max-disagreement are for --cross-check"),
			"--cross-check N asks the API about N users of a local run")
	case o.crossCheck > maxCrossCheck || o.crossCheck < 0:
		return usageErrorf("--cross-check cannot be %d: it is at most %d", o.crossCheck, maxCrossCheck)
	case o.crossCheckSeed < 0 || o.crossCheckSeed >= 1<<53:
		return usageErrorf("--cross-check-seed cannot be %d", o.crossCheckSeed)
	case !o.local():
		return pipeline.WithHint(usageErrorf("--cross-check compares a local run with the API"), "add --evaluator local")
	case o.server.embedded():
		return pipeline.WithHint(usageErrorf("--cross-check has nobody to ask: the embedded server has the same flags"),
			"--server is us, eu or a URL")
	}
	return o.disagree.parse("--max-disagreement", o.maxDisagreement)
}

// finishCrossCheck compares, and refuses what --max-disagreement does not allow, of a local run that has evaluated all of its users.
func (s *snapshotRun) finishCrossCheck() error {
	c := s.cross
	if c == nil {
		return nil
	}
	after := s.flagsAfter
	if after.Flags == nil {
		after = s.downloadFlagVersions(nil, flagsTime, true)
	}
	c.compare(s.local, after)
	r := &c.result
	if r.Failed > 0 {
		s.con.Warn(fmt.Sprintf("cross-check: the API did not answer %s of %s", text.Thousands(r.Failed),
			text.Count(r.Asked, "user")), "nothing is said of them: the sample is smaller than --cross-check asks for",
			about{code: warnCrossCheckFailed, count: r.Failed})
	}
	limit := &c.o.disagree
	if !limit.set {
		return nil
	}
	differ := r.Answered - r.Agreed
	switch {
	case r.Asked == 0: // the input had nobody to ask about
	case r.Answered == 0:
		return fmt.Errorf("cross-check: nobody was answered, so --max-disagreement %s cannot be held", limit.text)
	case differ > limit.most(r.Answered):
		var flags []string
		for _, f := range r.Differing() {
			flags = append(flags, f.Flag+" ("+f.String()+")")
		}
		return pipeline.WithHint(fmt.Errorf("cross-check: %s; %s more than the %s that --max-disagreement %s allows: %s", r,
			text.CountIs(differ, "user", "is", "are"), text.Thousands(limit.most(r.Answered)), limit.text,
			text.List(flags, 5)),
			"nothing was published; without --max-disagreement, "+text.Clean(r.File)+" lists what differs")
	case limit.isPct && 1-r.Low > limit.share:
		s.con.Warn(fmt.Sprintf("cross-check: up to %s of all users may have other answers, and %s is allowed",
			text.PercentDigits(1-r.Low, 2), limit.text), "a larger --cross-check says it more exactly",
			about{code: warnCrossCheckMany})
	}
	return nil
}
