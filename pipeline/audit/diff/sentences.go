package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/rollcall-cli/rollcall/pipeline/audit/stats"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
)

// Word is the verdict in a word.
func (v *Verdict) Word() string {
	switch {
	case !v.OK:
		return "not ok"
	case v.Same:
		return "same"
	}
	return "changed"
}

// verdictText is the verdict in a sentence, without a full stop. At most so many users may have changed, if there is a
// limit, and ok says whether it holds.
func verdictText(r *Report, limit *Limit, most int64, ok bool) string {
	u := &r.Users
	var parts []string
	switch {
	case u.Both > 0 && r.nothingCompared():
		parts = append(parts, fmt.Sprintf("nothing is compared for %s in both: the runs have no flag in common",
			r.Unit.Count(u.Both)))
	case u.Both == 0 && u.Added+u.Removed > 0:
		parts = append(parts, "no user is in both snapshots")
	case u.Both == 0 && r.Only != nil:
		parts = append(parts, "none is in either snapshot")
	case u.Both == 0:
		parts = append(parts, "both snapshots are empty")
	case u.Changed == 0:
		parts = append(parts, fmt.Sprintf("nothing changed for %s in both", r.Unit.Count(u.Both)))
	default:
		parts = append(parts, fmt.Sprintf("%s of %s in both changed (%s)", text.Thousands(u.Changed), r.Unit.Count(u.Both),
			text.Percent(u.Share)))
	}
	if u.Added > 0 {
		parts = append(parts, text.Thousands(u.Added)+" added")
	}
	if u.Removed > 0 {
		parts = append(parts, text.Thousands(u.Removed)+" removed")
	}
	s := r.onlyWords() + strings.Join(parts, ", ")
	without := "" // flags that the limit does not count
	if n := r.notAsked(); n > 0 && !r.nothingCompared() {
		s += "; not compared: " + text.Count(n, "flag") + " that only one of the runs asked for"
		if without = " (it does not count those flags)"; n == 1 {
			without = " (it does not count that flag)"
		}
	}
	if !r.trusted() {
		s += "; but not both snapshots can be trusted"
	}
	switch {
	case limit == nil:
		return s
	case u.Changed > most:
		return s + "; --max-changed " + limit.Text + " allows " + text.Thousands(most) + without
	case !ok:
		return s + "; so --max-changed cannot be said to hold"
	}
	return s + "; --max-changed " + limit.Text + " holds" + without
}

// onlyWords say whose members were compared: "of the members of cohort vip (500): ", or nothing.
func (r *Report) onlyWords() string {
	var names []string
	for _, c := range r.Only {
		names = append(names, fmt.Sprintf("%s (%s)", c.Name, text.Thousands(int64(c.Members))))
	}
	if names == nil {
		return ""
	}
	return "of the members of cohort " + strings.Join(names, " and ") + ": "
}

// notes are what a reader of the figures has to know.
func (c *comparison) notes(r *Report) []string {
	notes := []string{}
	add := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if !c.before.everybody() || !c.after.everybody() {
		add("A long output of a run without --flags has no row of a user who gets nothing: such users count as added or " +
			"removed where the other snapshot has them.")
	}
	if b, a := r.Before.Failed, r.After.Failed; b+a > 0 {
		add("Users who failed are in no snapshot (before %s, after %s): they count as added or removed where the other "+
			"snapshot has them.",
			text.Thousands(b), text.Thousands(a))
	}
	if !r.Compared.Payloads {
		add("Payloads are not compared: a wide output has them only with --include payload.")
	}
	if !r.Compared.ExperimentKeys {
		add("Experiment keys are not compared: a wide output does not have them.")
	}
	if r.Unit == stats.UnitRows {
		add("Some users have several rows (before: %s, after: %s): rows with the same user and device id are compared in "+
			"their order, and what is counted are rows.",
			c.before.ids.Text(), c.after.ids.Text())
	}
	if r.Before.RunID != "" && r.Before.RunID == r.After.RunID {
		add("Both are outputs of the same run.")
	}
	if c.causeNote != "" {
		add("What made each user change is not known: %s.", c.causeNote)
	}
	return notes
}

// sideNames are the sides by their number.
var sideNames = []string{"before", "after"}

// configsMissing says why the flag configurations of a run are not known.
func configsMissing(s *side) string {
	if s.Manifest == "" {
		return "the flag configurations of the run " + sideNames[s.number] + " are not known: it has no manifest"
	}
	return "the run " + sideNames[s.number] + " asked the API, and did not keep its flag configurations: what made " +
		"users change is not known"
}

func configsUnreadable(s *side, err error) string {
	return "the flag configurations of the run " + sideNames[s.number] + " cannot be compared: " + err.Error()
}

func configsCompared(c *Configs) string {
	words := "none of " + text.Thousands(int64(c.Flags)) + " changed"
	if len(c.Changed) > 0 {
		words = fmt.Sprintf("%d of %d changed", len(c.Changed), c.Flags)
	}
	if len(c.Semantics) > 0 {
		words += fmt.Sprintf("; they were evaluated with other semantics (%s before, %s after), which counts as a new "+
			"configuration", c.Semantics[0], c.Semantics[1])
	}
	return words
}

// String is a changed configuration in a line.
func (c *ConfigChange) String() string {
	s := c.Flag + ": " + c.Change
	if len(c.Parts) > 0 {
		s += " (" + strings.Join(c.Parts, ", ") + ")"
	}
	return s
}

// describe says which snapshot it is, and whether it can be trusted, in lines.
func (s *Snapshot) describe(unit stats.Unit) []string {
	lines := []string{"complete, according to its manifest"}
	if !s.Complete {
		lines = []string{"NOT TO BE TRUSTED:"}
		for _, p := range s.Problems {
			lines = append(lines, "- "+p)
		}
	}
	if s.Manifest != "" {
		lines = append(lines, fmt.Sprintf("run %s, %s to %s UTC", s.RunID, text.Minute(s.StartedAt),
			text.Minute(s.FinishedAt)))
	}
	line := fmt.Sprintf("%s with %s", unit.Count(s.Users), text.Count(s.Assignments, "assignment"))
	if s.Failed > 0 {
		line += "; " + text.Thousands(s.Failed) + " failed, and are not in it"
	}
	if len(s.Retries) > 0 {
		line += "; those asked about again, in " + strings.Join(s.Retries, ", ") + ", are part of it"
	}
	return append(lines, line)
}

// Sentences say what changed of a flag, each without a capital letter and a full stop.
func (r *Report) Sentences(f *Flag) []string {
	var sentences []string
	switch {
	case f.NotAsked != "":
		return []string{"not compared: the run " + f.NotAsked + " did not ask for it"}
	case slices.Contains(r.OnlyIn.Before, f.Key):
		sentences = append(sentences, "it is not in the snapshot after")
	case slices.Contains(r.OnlyIn.After, f.Key):
		sentences = append(sentences, "it is not in the snapshot before")
	}
	var parts []string
	for _, part := range []struct {
		users int64
		text  string
	}{
		{f.Variants, "another variant"}, {f.Payloads, "the same variant with another payload"},
		{f.ExperimentKeys, "the same variant with another experiment key"},
	} {
		if part.users > 0 {
			parts = append(parts, r.Unit.Count(part.users)+": "+part.text)
		}
	}
	if parts == nil {
		parts = []string{"nothing changed for " + r.Unit.Noun(2) + " in both"}
	}
	sentences = append(sentences, strings.Join(parts, "; "))
	parts = nil
	for _, c := range Causes {
		if n := f.Causes[c]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s (%s)", causeWords[c], text.Thousands(n)))
		}
	}
	if parts != nil {
		sentences = append(sentences, "cause: "+strings.Join(parts, ", "))
	}
	return sentences
}

var causeWords = map[Cause]string{
	CauseConfiguration: "the new configuration", CauseUser: "the user's new properties", CauseBoth: "both together",
	CauseEither: "either alone", CauseUnclear: "unclear",
}

// Label is the name of an end, safe to print. A variant with the name of an outcome is in quotes.
func (e End) Label() string {
	if e.Outcome != Assigned {
		return strings.ReplaceAll(e.Outcome, "_", " ")
	}
	switch name := text.Clean(e.Variant); {
	case name == "", name == Absent, name == "not assigned", name == "not asked", strings.TrimSpace(name) != name:
		return `"` + name + `"`
	default:
		return name
	}
}

// cells are the rows of the matrix, the first one its head; nil where more than most variants are before or after.
func (m *Matrix) cells(most int) [][]string {
	if len(m.Before) > most || len(m.After) > most {
		return nil
	}
	head := []string{"before / after"}
	for _, after := range m.After {
		head = append(head, text.Shorten(after.Label(), labelWidth))
	}
	rows := [][]string{head}
	for _, before := range m.Before {
		row := []string{text.Shorten(before.Label(), labelWidth)}
		for _, after := range m.After {
			cell := "-"
			if n := m.Users[[2]End{before, after}]; n > 0 {
				cell = text.Thousands(n)
			}
			row = append(row, cell)
		}
		rows = append(rows, row)
	}
	return rows
}
