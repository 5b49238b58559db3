package check

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/cohort"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	maxPaired     = 128 // experiments that are looked at in pairs
	maxExclusive  = 20  // pairs that are written
	maxHoldouts   = 20  // variants with the name of a holdout that are looked at
	maxDistinct   = 256 // different payloads of a variant that a schema is made of
	maxProperties = 20  // of a schema that is written

	// minExpected is how many users have to be expected in something for it to be no coincidence that nobody is in it.
	minExpected = 20
	// minEqual is the p-value above which variants are treated as having equal weights.
	minEqual = 0.05
)

// sketch is what a first rules file is made of.
type sketch struct {
	flags                  map[string]map[string]int64 // users by flag and variant
	names                  []string                    // of the flags that somebody got, sorted
	read, answered, failed int64
	ids                    stats.Distinct

	user        user
	experiments []snapshot.Key // flags that have a control
	holdouts    []*holdout
	cohorts     []*cohortSketch
	together    map[[2]snapshot.Key]bool // experiments that some user is in
	payloads    map[[2]snapshot.Key]*shape
}

// holdout is a variant with the name of a holdout, and the flags in a treatment of which one of its users is.
type holdout struct {
	flag, variant       string
	flagKey, variantKey snapshot.Key
	treated             map[snapshot.Key]bool
}

// cohortSketch is a cohort, which of its members are users, and the flags in a treatment of which one of them is.
type cohortSketch struct {
	*cohort.Cohort
	seen    []bool
	users   int64
	treated map[snapshot.Key]bool
}

// shape is what the payloads of a variant have in common.
type shape struct {
	seen     map[string]bool
	types    map[string]string // of the properties that all have; "": of several types
	hopeless bool              // too many payloads, or not objects
}

// Init writes a first rules file, from what snapshots show. It holds for them.
func Init(ctx context.Context, o Options) (_ string, err error) {
	runs, err := openRuns(o.Files, o.Snapshots, snapshot.Options{NoCarried: true})
	defer func() { err = errors.Join(err, closeRuns(runs)) }()
	if err != nil {
		return "", err
	}
	s := &sketch{flags: flagCounts(runs), together: map[[2]snapshot.Key]bool{}, payloads: map[[2]snapshot.Key]*shape{}}
	s.user.keys = runs[0].users.Keys
	for _, c := range o.Cohorts.All() {
		s.cohorts = append(s.cohorts, &cohortSketch{Cohort: c, seen: make([]bool, c.Indexes()),
			treated: map[snapshot.Key]bool{}})
	}
	if err := s.findCandidates(); err != nil {
		return "", err
	}
	var files []string
	for _, r := range runs {
		s.read += r.Once.Read
		s.answered += r.Once.Answered
		s.failed += r.Once.Failed
		files = append(files, quoteYAML(filepath.Base(r.Path)))
		if err := r.eachUser(ctx, s.addUser); err != nil {
			return "", err
		}
	}
	if s.answered == 0 {
		return "", errors.New("nobody was answered, and there is nothing to write rules from")
	}
	return s.format(files), nil
}

// findCandidates finds the flags and variants whose users are looked at.
func (s *sketch) findCandidates() (err error) {
	key := func(name string) (key snapshot.Key) {
		if err == nil {
			key, err = s.user.keys.Intern(name)
		}
		return key
	}
	for _, flag := range slices.Sorted(maps.Keys(s.flags)) {
		variants := slices.Sorted(maps.Keys(s.flags[flag]))
		if flag == "" || len(variants) == 0 {
			continue
		}
		s.names = append(s.names, flag)
		for _, v := range variants {
			if isHoldout(v) && len(s.holdouts) < maxHoldouts {
				s.holdouts = append(s.holdouts, &holdout{flag, v, key(flag), key(v), map[snapshot.Key]bool{}})
			}
		}
		isControl := func(v string) bool { return strings.EqualFold(v, "control") }
		if slices.ContainsFunc(variants, isControl) && len(s.experiments) < maxPaired {
			s.experiments = append(s.experiments, key(flag))
		}
	}
	return err
}

// users is how many different users were answered.
func (s *sketch) users() int64 { return s.answered - s.ids.Rows() + s.ids.Users() }

func (s *sketch) addUser(u *snapshot.User) error {
	s.ids.CountRow(u.UserID, u.DeviceID)
	s.user.assign(u.Assignments)
	for i := range u.Assignments {
		a := &u.Assignments[i]
		if key := [2]snapshot.Key{a.Flag, a.Variant}; a.Assigned {
			if s.payloads[key] == nil {
				s.payloads[key] = &shape{seen: map[string]bool{}}
			}
			s.payloads[key].addPayload(a.Payload)
		}
	}
	for _, h := range s.holdouts {
		if s.user.got[h.flagKey] == h.variantKey {
			s.addTreatments(h.treated, u)
		}
	}
	for _, c := range s.cohorts {
		if member, ok := c.Lookup(u.UserID); ok {
			if s.addTreatments(c.treated, u); !c.seen[member] {
				c.seen[member] = true
				c.users++
			}
		}
	}
	for i, a := range s.experiments {
		if s.user.got[a] == snapshot.NoKey {
			continue
		}
		for _, b := range s.experiments[:i] {
			if s.user.got[b] != snapshot.NoKey {
				s.together[[2]snapshot.Key{b, a}] = true
			}
		}
	}
	s.user.clear(u.Assignments)
	return nil
}

// addTreatments adds the flags in a treatment of which a user is.
func (s *sketch) addTreatments(treated map[snapshot.Key]bool, u *snapshot.User) {
	for i := range u.Assignments {
		if a := &u.Assignments[i]; a.Assigned && !isControl(s.user.keys.Name(a.Variant)) {
			treated[a.Flag] = true
		}
	}
}

func isHoldout(variant string) bool {
	return strings.Contains(strings.ToLower(variant), "holdout") || strings.EqualFold(variant, "held-out")
}

func isControl(variant string) bool {
	return slices.ContainsFunc(DefaultControls, func(c string) bool { return strings.EqualFold(c, variant) })
}

func (s *shape) addPayload(payload []byte) {
	if s.hopeless || s.seen[string(payload)] {
		return
	}
	v, err := decodeJSON(payload)
	object, ok := v.(map[string]any)
	if s.hopeless = err != nil || !ok || len(s.seen) >= maxDistinct || len(payload) > maxFile/maxDistinct; s.hopeless {
		s.seen, s.types = nil, nil
		return
	}
	s.seen[string(payload)] = true
	if s.types == nil {
		s.types = map[string]string{}
		for name, value := range object {
			s.types[name] = jsonType(value)
		}
		return
	}
	for name, t := range s.types {
		value, there := object[name]
		if !there {
			delete(s.types, name)
		} else if t != jsonType(value) {
			s.types[name] = ""
		}
	}
}

// jsonType is the type of a value as a schema names it; "" for null, which is often there in place of another.
func jsonType(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case json.Number:
		return "number"
	case bool:
		return "boolean"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return ""
}

// format is the rules file.
func (s *sketch) format(files []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What has to hold of a snapshot: `rollcall check RULES SNAPSHOT`.\n")
	fmt.Fprintf(&b, "# Written by `rollcall check --init` from what %s shows, %s. It is a beginning:\n",
		strings.Join(files, ", "),
		stats.UsersInRows(s.users(), s.answered, !s.ids.Exact()))
	b.WriteString("# say what you know better, and take out what only happens to be so.\nversion: 1\nchecks:\n  # The " +
		"snapshot as a whole.\n")
	fmt.Fprintf(&b, "  - failed: {max: %d%%}\n", max(1, int(math.Ceil(100*float64(s.failed)/float64(s.read)))))
	fmt.Fprintf(&b, "  - users: {min: %d}\n", roundDown(s.users()*9/10))
	if len(s.names) > 0 {
		fmt.Fprintf(&b, "  - flags: [%s]\n", quoteAll(s.names))
	}
	b.WriteString("  # - younger: 24h\n")
	written := 3
	for _, flag := range s.names {
		n := 2*len(s.flags[flag]) + 1 // a share and a payload for each variant, and a ratio
		if written+n > maxChecks-maxExclusive-len(s.holdouts)-len(s.cohorts)*(1+len(s.names)) {
			b.WriteString("\n  # There are more flags than a rules file can have checks.\n")
			break
		}
		written += n
		s.writeFlag(&b, flag)
	}
	s.writeHoldouts(&b)
	s.writeExclusive(&b)
	s.writeCohorts(&b)
	return b.String()
}

func (s *sketch) writeFlag(b *strings.Builder, flag string) {
	counts := s.flags[flag]
	variants := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)),
		func(v string) bool { return v == "" || v == NotAssigned })
	name := quoteYAML(flag)
	fmt.Fprintf(b, "\n  # %s\n", name)
	for _, v := range variants {
		low, high := stats.Wilson(counts[v], s.answered)
		var limits []string
		if from := math.Floor(100*low) - 1; from > 0 {
			limits = append(limits, fmt.Sprintf("min: %.0f%%", from))
		}
		if to := math.Ceil(100*high) + 1; to < 100 {
			limits = append(limits, fmt.Sprintf("max: %.0f%%", to))
		}
		if len(limits) > 0 {
			fmt.Fprintf(b, "  - flag: %s\n    variant: %s\n    share: {%s}\n", name, quoteYAML(v), strings.Join(limits, ", "))
		}
	}
	if len(variants) == len(counts) {
		s.writeRatio(b, name, variants, counts)
	}
	flagKey, _ := s.user.keys.Find(flag)
	for _, v := range variants {
		key, _ := s.user.keys.Find(v)
		if shape := s.payloads[[2]snapshot.Key{flagKey, key}]; shape != nil && !shape.hopeless {
			fmt.Fprintf(b, "  - flag: %s\n    variant: %s\n    payload: %s\n", name, quoteYAML(v), shape.schema())
		}
	}
}

// writeRatio writes equal weights, if the counts agree with them.
func (s *sketch) writeRatio(b *strings.Builder, name string, variants []string, counts map[string]int64) {
	var observed []int64
	var weights []float64
	var texts []string
	weight := ": 1"
	if len(variants) == 2 {
		weight = ": 50"
	}
	for _, v := range variants {
		observed, weights = append(observed, counts[v]), append(weights, 1)
		texts = append(texts, quoteYAML(v)+weight)
	}
	if t := stats.Ratio(observed, weights); t.Tested() && t.P >= minEqual {
		fmt.Fprintf(b, "  - flag: %s\n    ratio: {%s}\n", name, strings.Join(texts, ", "))
	}
}

// schema is a JSON Schema of what all payloads have.
func (s *shape) schema() string {
	var required, properties []string
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		if len(required) == maxProperties || len(name) > 100 || name == "" {
			continue
		}
		required = append(required, quoteYAML(name))
		if t := s.types[name]; t != "" {
			properties = append(properties, quoteYAML(name)+": {type: "+t+"}")
		}
	}
	text := "{type: object"
	if len(required) > 0 {
		text += ", required: [" + strings.Join(required, ", ") + "]"
	}
	if len(properties) > 0 {
		text += ", properties: {" + strings.Join(properties, ", ") + "}"
	}
	return text + "}"
}

// writeHoldouts writes which flags a holdout keeps its users out of.
func (s *sketch) writeHoldouts(b *strings.Builder) {
	for _, h := range s.holdouts {
		var flags []string
		for _, flag := range s.names {
			key, _ := s.user.keys.Find(flag)
			if flag != h.flag && !h.treated[key] && s.expectTogether(s.countUsers(flag, isControl), s.flags[h.flag][h.variant]) {
				flags = append(flags, flag)
			}
		}
		if len(flags) > 0 {
			fmt.Fprintf(b, "\n  # Nobody who is held out is exposed to these.\n  - holdout: %s\n    variant: %s\n    flags: "+
				"[%s]\n",
				quoteYAML(h.flag), quoteYAML(h.variant), quoteAll(flags))
		}
	}
}

// writeCohorts writes how many members are users, and of which flags none of them is in a treatment, although some
// should be.
func (s *sketch) writeCohorts(b *strings.Builder) {
	for _, c := range s.cohorts {
		name := quoteYAML(c.Name)
		if c.users == 0 {
			continue
		}
		fmt.Fprintf(b, "\n  # The members of %s.\n  - cohort: %s\n    seen: {min: %s}\n", name, name,
			cmp.Or(strings.TrimPrefix(fmt.Sprintf("%d%%", 100*c.users/int64(c.Size())), "0%"), "1"))
		for _, flag := range s.names {
			key, _ := s.user.keys.Find(flag)
			if !c.treated[key] && s.expectTogether(s.countUsers(flag, isControl), c.users) {
				fmt.Fprintf(b, "  - flag: %s\n    exposed: nobody\n    cohort: %s\n", quoteYAML(flag), name)
			}
		}
	}
}

// expectTogether reports whether users would be in both of two groups by coincidence.
func (s *sketch) expectTogether(a, b int64) bool {
	return float64(a)*float64(b)/float64(s.answered) >= minExpected
}

// writeExclusive writes which experiments exclude each other: nobody is in both, although users should be.
func (s *sketch) writeExclusive(b *strings.Builder) {
	written := 0
	for i, x := range s.experiments {
		for _, y := range s.experiments[i+1:] {
			flagX, flagY := s.user.keys.Name(x), s.user.keys.Name(y)
			expected := s.expectTogether(s.countUsers(flagX, nil), s.countUsers(flagY, nil))
			if s.together[[2]snapshot.Key{x, y}] || written == maxExclusive || !expected {
				continue
			}
			if written++; written == 1 {
				b.WriteString("\n  # Nobody is in both.\n")
			}
			fmt.Fprintf(b, "  - exclusive: [%s]\n", quoteAll([]string{flagX, flagY}))
		}
	}
}

// countUsers is how many users have a variant of a flag, but for some variants.
func (s *sketch) countUsers(flag string, except func(variant string) bool) (users int64) {
	for variant, n := range s.flags[flag] {
		if except == nil || !except(variant) {
			users += n
		}
	}
	return users
}

// roundDown is n with two significant digits; at least 1.
func roundDown(n int64) int64 {
	scale := int64(1)
	for n/scale >= 100 {
		scale *= 10
	}
	return max(1, n/scale*scale)
}

var plainText = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,99}$`)
})

// quoteYAML is a text in YAML, in quotes unless it can only be read as a text.
func quoteYAML(text string) string {
	if plainText().MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y",
		"n"}, strings.ToLower(text)) {
		return text
	}
	return strconv.Quote(text) // all escapes of Go are escapes of YAML
}

func quoteAll(texts []string) string {
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = quoteYAML(text)
	}
	return strings.Join(quoted, ", ")
}
