package check

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/snapshot"
)

const (
	maxPaired     = 128 // flags that are looked at in pairs
	maxExclusive  = 20  // pairs that are written
	maxHoldouts   = 20  // variants that are called a holdout, and are looked at
	maxDistinct   = 256 // payloads of a variant that a schema is made of
	maxProperties = 20  // of a schema that is written

	// sureUsers is how many users coincidence would have to keep out of something for it to be no coincidence.
	sureUsers = 20
	// surelyEqual is the p-value above which variants are taken to have equal weights.
	surelyEqual = 0.05
)

// sketch is what a first rules file is made of.
type sketch struct {
	*counter
	read, answered, failed int64

	assigned []int32 // flags of the user at hand, by slot
	pairs    map[[2]int32]int64
	payloads map[[2]int32]*shape // by slot and the variant's key
	held     map[int32]*heldOut  // by slot
	holdouts int                 // variants in held
	keys     *snapshot.Keys
}

// heldOut are the users who have a variant that is called a holdout.
type heldOut struct {
	users   map[string]int64   // by variant
	treated map[string][]int64 // by variant, and slot of another flag
}

// shape is what the payloads of a variant have in common.
type shape struct {
	seen     map[string]bool
	types    map[string]string // of the properties that all have; "": of several types
	hopeless bool              // too many, or not objects
}

// Init writes a first rules file, from what snapshots show. It holds for them.
func Init(ctx context.Context, paths []string) (_ string, err error) {
	keys := &snapshot.Keys{}
	all, err := openAll(paths, keys, func(o *snapshot.Options) { o.NoCarried = true })
	defer func() { err = errors.Join(err, closeAll(all)) }()
	if err != nil {
		return "", err
	}
	k := &sketch{counter: newCounter(keys), pairs: map[[2]int32]int64{}, payloads: map[[2]int32]*shape{}, held: map[int32]*heldOut{}, keys: keys}
	for _, s := range all {
		k.read += s.once.Read
		k.answered += s.once.Answered
		k.failed += s.once.Failed
		if err := k.counter.read(ctx, s, func(u *snapshot.User) error { k.add(u); return nil }); err != nil {
			return "", err
		}
	}
	if k.answered == 0 {
		return "", errors.New("nobody was answered, and there is nothing to write rules from")
	}
	var names []string
	for _, s := range all {
		names = append(names, quoted(filepath.Base(s.path)))
	}
	return k.file(names), nil
}

// users is how many different users were answered.
func (k *sketch) users() int64 { return k.answered - k.ids.Rows() + k.ids.Users() }

// add takes in the user at hand.
func (k *sketch) add(u *snapshot.User) {
	k.assigned = k.assigned[:0]
	for i := range u.Assignments {
		slot := k.slotOf(u.Assignments[i].Flag)
		if k.got[slot] != snapshot.NoKey {
			k.assigned = append(k.assigned, slot)
		}
	}
	for i, a := range k.assigned {
		got := k.got[a]
		k.shape(a, got).add(k.payload[a])
		if isHoldout(k.keys.Name(got)) {
			k.hold(a, k.keys.Name(got))
		}
		for _, b := range k.assigned[:i] {
			if max(a, b) < maxPaired {
				k.pairs[[2]int32{min(a, b), max(a, b)}]++
			}
		}
	}
}

func isHoldout(variant string) bool {
	return strings.Contains(strings.ToLower(variant), "holdout") || strings.EqualFold(variant, "held-out")
}

func isControl(variant string) bool {
	return slices.ContainsFunc(DefaultControls, func(c string) bool { return strings.EqualFold(c, variant) })
}

func (k *sketch) hold(slot int32, variant string) {
	h := k.held[slot]
	if h == nil || h.users[variant] == 0 {
		if k.holdouts == maxHoldouts {
			return
		}
		k.holdouts++
	}
	if h == nil {
		h = &heldOut{map[string]int64{}, map[string][]int64{}}
		k.held[slot] = h
	}
	h.users[variant]++
	treated := h.treated[variant]
	if n := len(k.flags); n > len(treated) {
		treated = append(treated, make([]int64, n-len(treated))...)
		h.treated[variant] = treated
	}
	for _, b := range k.assigned {
		if !isControl(k.keys.Name(k.got[b])) {
			treated[b]++
		}
	}
}

func (k *sketch) shape(slot int32, variant snapshot.Key) *shape {
	at := [2]int32{slot, int32(variant)}
	s := k.payloads[at]
	if s == nil {
		s = &shape{seen: map[string]bool{}}
		k.payloads[at] = s
	}
	return s
}

func (s *shape) add(payload []byte) {
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

// file writes the rules.
func (k *sketch) file(snapshots []string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# What has to hold of a snapshot: `rollcall check RULES SNAPSHOT`.\n")
	fmt.Fprintf(&b, "# Written by `rollcall check --init` from what %s shows, %s. It is a beginning:\n", strings.Join(snapshots, ", "), stats.UsersInRows(k.users(), k.answered, !k.ids.Exact()))
	b.WriteString("# say what you know better, and take out what only happens to be so.\nversion: 1\nchecks:\n  # The snapshot as a whole.\n")
	fmt.Fprintf(&b, "  - failed: {max: %d%%}\n", max(1, int(math.Ceil(100*float64(k.failed)/float64(k.read)))))
	fmt.Fprintf(&b, "  - users: {min: %d}\n", roundDown(k.users()*9/10))

	var order []int32 // flags that somebody got, by name
	for slot, f := range k.flags {
		if f.users > 0 && f.name != "" {
			order = append(order, int32(slot))
		}
	}
	slices.SortFunc(order, func(a, b int32) int { return strings.Compare(k.flags[a].name, k.flags[b].name) })
	var names []string
	for _, slot := range order {
		names = append(names, quoted(k.flags[slot].name))
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, "  - flags: [%s]\n", strings.Join(names, ", "))
	}
	b.WriteString("  # - younger: 24h\n")
	written := 3
	for _, slot := range order {
		f := k.flags[slot]
		n := 2 * (len(f.few) + len(f.many)) // and one ratio: more than one variant is needed for it
		if written+n+1 > maxChecks-maxExclusive-k.holdouts {
			b.WriteString("\n  # There are more flags than a rules file can have checks.\n")
			break
		}
		written += n + 1
		k.writeFlag(&b, slot, f)
	}
	k.writeHoldouts(&b)
	k.writeExclusive(&b, order)
	return b.String()
}

func (k *sketch) writeFlag(b *strings.Builder, slot int32, f *flagCount) {
	counts := f.variants(k.keys)
	variants := slices.DeleteFunc(slices.Sorted(maps.Keys(counts)), func(v string) bool { return v == "" || v == NotAssigned })
	fmt.Fprintf(b, "\n  # %s\n", quoted(f.name))
	for _, v := range variants {
		low, high := stats.Wilson(counts[v], k.answered)
		var limits []string
		if from := math.Floor(100*low) - 1; from > 0 {
			limits = append(limits, fmt.Sprintf("min: %.0f%%", from))
		}
		if to := math.Ceil(100*high) + 1; to < 100 {
			limits = append(limits, fmt.Sprintf("max: %.0f%%", to))
		}
		if len(limits) == 0 {
			continue
		}
		fmt.Fprintf(b, "  - flag: %s\n    variant: %s\n    share: {%s}\n", quoted(f.name), quoted(v), strings.Join(limits, ", "))
	}
	if weights := k.equal(counts); weights != "" && len(variants) == len(counts) {
		fmt.Fprintf(b, "  - flag: %s\n    ratio: {%s}\n", quoted(f.name), weights)
	}
	for _, v := range variants {
		key, _ := k.keys.Find(v)
		if s := k.payloads[[2]int32{slot, int32(key)}]; s != nil && !s.hopeless {
			fmt.Fprintf(b, "  - flag: %s\n    variant: %s\n    payload: %s\n", quoted(f.name), quoted(v), s.schema())
		}
	}
}

// equal are equal weights, if the counts look like it; "": they do not.
func (k *sketch) equal(counts map[string]int64) string {
	var observed []int64
	var weights []float64
	var texts []string
	each := map[bool]string{true: "50", false: "1"}[len(counts) == 2]
	for _, v := range slices.Sorted(maps.Keys(counts)) {
		observed, weights = append(observed, counts[v]), append(weights, 1)
		texts = append(texts, quoted(v)+": "+each)
	}
	if t := stats.Ratio(observed, weights); !t.Tested() || t.P < surelyEqual {
		return ""
	}
	return strings.Join(texts, ", ")
}

// schema is a JSON Schema of what all payloads have.
func (s *shape) schema() string {
	var required, properties []string
	for _, name := range slices.Sorted(maps.Keys(s.types)) {
		if len(required) == maxProperties || len(name) > 100 || name == "" {
			continue
		}
		required = append(required, quoted(name))
		if t := s.types[name]; t != "" {
			properties = append(properties, quoted(name)+": {type: "+t+"}")
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
func (k *sketch) writeHoldouts(b *strings.Builder) {
	if len(k.held) == 0 {
		return
	}
	treated := make([]float64, len(k.flags))
	for slot, f := range k.flags {
		treated[slot] = k.treated(f)
	}
	for _, slot := range slices.Sorted(maps.Keys(k.held)) {
		h := k.held[slot]
		for _, v := range slices.Sorted(maps.Keys(h.users)) {
			var flags []string
			for other, f := range k.flags {
				var in int64
				if t := h.treated[v]; other < len(t) {
					in = t[other]
				}
				if in == 0 && int32(other) != slot && f.name != "" && treated[other]*float64(h.users[v])/float64(k.answered) >= sureUsers {
					flags = append(flags, quoted(f.name))
				}
			}
			if slices.Sort(flags); len(flags) > 0 {
				fmt.Fprintf(b, "\n  # Nobody who is held out is exposed to these.\n  - holdout: %s\n    variant: %s\n    flags: [%s]\n",
					quoted(k.flags[slot].name), quoted(v), strings.Join(flags, ", "))
			}
		}
	}
}

// treated is how many users are in a treatment of a flag.
func (k *sketch) treated(f *flagCount) float64 {
	var n int64
	for v, users := range f.variants(k.keys) {
		if !isControl(v) {
			n += users
		}
	}
	return float64(n)
}

// writeExclusive writes which experiments exclude each other: those with a control, and nobody in both where many
// should be.
func (k *sketch) writeExclusive(b *strings.Builder, order []int32) {
	var list []string
	order = slices.DeleteFunc(slices.Clone(order), func(slot int32) bool {
		if slot >= maxPaired {
			return true
		}
		for v := range k.flags[slot].variants(k.keys) {
			if strings.EqualFold(v, "control") {
				return false
			}
		}
		return true
	})
	for i, x := range order {
		for _, y := range order[i+1:] {
			if k.pairs[[2]int32{min(x, y), max(x, y)}] > 0 || len(list) == maxExclusive {
				continue
			}
			if float64(k.flags[x].users)*float64(k.flags[y].users)/float64(k.answered) >= sureUsers {
				list = append(list, fmt.Sprintf("  - exclusive: [%s, %s]\n", quoted(k.flags[x].name), quoted(k.flags[y].name)))
			}
		}
	}
	if len(list) > 0 {
		b.WriteString("\n  # Nobody is in both.\n" + strings.Join(list, ""))
	}
}

// roundDown is n with two significant digits; at least 1.
func roundDown(n int64) int64 {
	scale := int64(1)
	for n/scale >= 100 {
		scale *= 10
	}
	return max(1, n/scale*scale)
}

var plainText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,99}$`)

// quoted is a text as YAML has it: in quotes unless nothing could take it for something else.
func quoted(text string) string {
	if plainText.MatchString(text) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off", "y", "n"}, strings.ToLower(text)) {
		return text
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(text); err != nil { // of a text there is none
		return `""`
	}
	out := strings.TrimSuffix(b.String(), "\n")
	return strings.NewReplacer("\x7f", `\u007f`, "\u0085", `\u0085`, "\ufeff", `\ufeff`).Replace(out)
}
