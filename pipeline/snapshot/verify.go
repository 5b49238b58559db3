package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rollcall-cli/rollcall/pipeline"
	"github.com/rollcall-cli/rollcall/pipeline/audit/text"
	"github.com/rollcall-cli/rollcall/pipeline/blob"
)

// Verdict is the result of [Verify] for the outputs of one run.
type Verdict struct {
	OK       bool     `json:"ok"`
	Manifest string   `json:"manifest"`
	RunID    string   `json:"run_id"`
	Checks   []*Check `json:"checks"`
	Notes    []string `json:"notes"` // what an auditor should know, though nothing is wrong
}

// Check is one thing that was checked.
type Check struct {
	Name     string   `json:"check"`
	File     string   `json:"file"` // "": it is about the run
	Status   string   `json:"status"`
	Detail   string   `json:"detail"`   // what was found, or why nothing was
	Findings int64    `json:"findings"` // how many
	Examples []string `json:"examples"` // the first few findings of each kind, in words

	// Problems are the same findings as data.
	Problems []Finding `json:"problems"`

	kinds map[string]int
}

// The values of Check.Status.
const (
	StatusOK      = "ok"
	StatusFailed  = "failed"
	StatusSkipped = "skipped" // it could not be done: Detail says why. If something is wrong, another check has failed.
)

const (
	maxExamples = 10  // of one kind of finding
	maxPerCheck = 100 // of a check
)

// Finding is something that is not as a finished run leaves it.
type Finding struct {
	Code Code   `json:"code"`
	Row  int64  `json:"row,omitempty"` // of the input
	Text string `json:"text"`
}

// fail adds a finding. Findings of the same code and format are of one kind. One about a row begins with it.
func (c *Check) fail(code Code, format string, args ...any) {
	c.failAs(string(code)+" "+format, code, format, args...)
}

// failAs adds a finding of that kind.
func (c *Check) failAs(kind string, code Code, format string, args ...any) {
	c.Status = StatusFailed
	c.Findings++
	if c.kinds == nil {
		c.kinds = map[string]int{}
	}
	if c.kinds[kind] >= maxExamples || len(c.Examples) >= maxPerCheck {
		return
	}
	c.kinds[kind]++
	f := Finding{Code: code, Text: fmt.Sprintf(format, args...)}
	if strings.HasPrefix(format, "row %d") {
		f.Row, _ = args[0].(int64)
	}
	c.Examples, c.Problems = append(c.Examples, f.Text), append(c.Problems, f)
}

// VerifyOptions say where files are, and how much is checked.
type VerifyOptions struct {
	Named []string // files that may be elsewhere than beside the manifest: see [Locate]

	// Thorough has a second implementation of Parquet read all values. By default it reads the schema and the counts of
	// all row groups, and the values of up to eight: the first, the last, and others between them at equal distances.
	Thorough bool
}

// Verify checks the outputs of a run against its manifest and against each other. What is wrong is in the Verdict: an
// error means that ctx has ended, or that a store could not be asked, or that an object was replaced meanwhile.
//
// Checksums come first, and a file whose checksum is wrong is not read any further. Then every value of every file is
// read, checked and counted once. Memory is bounded, whatever the size of the files. The Verdict never has an id of a
// user or a carried value.
func Verify(ctx context.Context, files *blob.Files, manifest string, o VerifyOptions) (*Verdict, error) {
	v := &verifier{ctx: ctx, files: files, verdict: &Verdict{Manifest: manifest, Notes: []string{}}, thorough: o.Thorough}
	v.verify(manifest, o.Named)
	v.verdict.OK = true
	for _, c := range v.verdict.Checks {
		v.verdict.OK = v.verdict.OK && c.Status != StatusFailed
	}
	return v.verdict, cmp.Or(ctx.Err(), files.Err())
}

// verifier is one call of Verify.
type verifier struct {
	ctx     context.Context
	files   *blob.Files
	verdict *Verdict
	m       *Manifest
	keys    Keys
	layout  Layout

	thorough bool
}

// asked reports whether flags were asked for: each answered user has all of them.
func (v *verifier) asked() bool { return v.layout.Flags != nil }

func (v *verifier) newCheck(name, file string) *Check {
	c := &Check{Name: name, File: file, Status: StatusOK, Examples: []string{}, Problems: []Finding{}}
	v.verdict.Checks = append(v.verdict.Checks, c)
	return c
}

func (v *verifier) addNote(format string, args ...any) {
	v.verdict.Notes = append(v.verdict.Notes, fmt.Sprintf(format, args...))
}

func (v *verifier) verify(manifest string, named []string) {
	c := v.newCheck("manifest", manifest)
	m, err := ReadManifest(v.files, manifest)
	if errors.Is(err, os.ErrNotExist) {
		err = errors.New("it does not exist: its run is unfinished, or it was not copied along")
	}
	if err != nil {
		c.fail(Unreadable, "%v", err)
		return
	}
	v.m, v.verdict.RunID, v.layout = m, m.RunID, m.Layout
	v.checkManifest(c)

	var outputs []*output
	records := &errorRecords{done: true}
	var parquet []*located
	files, side := Locate(v.files, manifest, m, named), LocateSideFiles(v.files, manifest, m, named)
	for _, name := range named {
		if !slices.ContainsFunc(slices.Concat(files, side), func(l Located) bool { return l.isNamed(v.files, name) }) {
			c.fail(NotListed, "%s is not among its outputs", name)
		}
	}
	for i, f := range files {
		if f.Note != "" {
			v.addNote("%s", f.Note)
		}
		if f.Path == "" {
			continue
		}
		l := &located{Located: f, errors: i == len(m.Outputs)-1}
		v.checkSum(l)
		if v.ctx.Err() != nil {
			return
		}
		if !l.right {
			continue
		}
		if l.errors {
			records = v.newErrorRecords(l)
		} else {
			outputs = append(outputs, v.newOutput(l))
		}
		if base, _, _ := formatOf(l.Path); base == "parquet" {
			l.second = v.newCheck("two readers", l.Path)
			parquet = append(parquet, l)
		}
	}
	if summary := m.Options.Text("summary"); summary != "" && len(side) == 0 {
		v.addNote("the manifest does not list the summary %s, so that file is not checked: an earlier version of rollcall "+
			"wrote the manifest", show(summary))
	}
	for _, f := range side {
		if f.Note != "" {
			v.addNote("%s", f.Note)
		}
		v.checkSum(&located{Located: f})
		if v.ctx.Err() != nil {
			return
		}
	}
	v.checkContent(outputs, records)
	for _, l := range parquet {
		v.checkSecond(l)
	}
}

// checkManifest makes sure that the manifest agrees with itself.
func (v *verifier) checkManifest(c *Check) {
	m := v.m
	if m.Users.Read != m.Users.Answered+m.Users.Failed {
		c.fail(Inconsistent, "%d users were read, but %d answered and %d failed", m.Users.Read, m.Users.Answered,
			m.Users.Failed)
	}
	var failed, assigned int64
	for _, n := range m.Users.FailedByKind {
		failed += n
	}
	if failed != m.Users.Failed {
		c.fail(Inconsistent, "%d users failed, but %d by kind", m.Users.Failed, failed)
	}
	seen := map[string]bool{}
	for _, f := range m.Flags {
		var users int64
		for _, variant := range f.Variants {
			users += variant.Users
		}
		if users != f.Assigned || f.Assigned+f.NotAssigned != m.Users.Answered {
			c.fail(Inconsistent, "flag %s: %d users by variant, %d assigned, %d not assigned, of %d answered", show(f.Flag),
				users, f.Assigned,
				f.NotAssigned, m.Users.Answered)
		}
		if seen[f.Flag] {
			c.fail(Inconsistent, "flag %s is duplicated", show(f.Flag))
		}
		seen[f.Flag] = true
		assigned += f.Assigned
	}
	if assigned != m.Assignments {
		c.fail(Inconsistent, "%d assignments, but %d by flag", m.Assignments, assigned)
	}
	asked := v.layout.Flags
	if v.layout.unordered {
		asked = nil
	}
	for _, flag := range asked {
		if !seen[flag] {
			c.fail(Inconsistent, "flag %s was asked for and is not counted", show(flag))
		}
	}
	if asked != nil && len(seen) != len(asked) {
		c.fail(Inconsistent, "%d flags were asked for, %d are counted", len(asked), len(seen))
	}
	if m.FinishedAt.Before(m.StartedAt) {
		c.fail(Inconsistent, "it finished before it started")
	}
	if len(m.Outputs) == 0 {
		c.fail(Inconsistent, "it lists no output")
	} else if last := m.Outputs[len(m.Outputs)-1]; last.Rows != m.Users.Failed {
		c.fail(Inconsistent, "%d users failed, but %s has %d rows", m.Users.Failed, show(last.Path), last.Rows)
	}
	c.Detail = fmt.Sprintf("%s, %s answered, %s failed", text.Count(m.Users.Read, "user"),
		text.Thousands(m.Users.Answered), text.Thousands(m.Users.Failed))
}

// located is a file of the run while it is verified.
type located struct {
	Located
	errors bool   // the error records
	second *Check // of two readers; nil: it is not Parquet
	right  bool   // its size and checksum are those of the manifest
	read   bool   // it was read to its end without an error
}

// checkSum compares size and checksum.
func (v *verifier) checkSum(l *located) {
	c := v.newCheck("checksum", l.Path)
	c.Detail = "SHA-256 and size as in the manifest"
	if l.File.isPartitioned() {
		v.checkPartitions(c, l)
	} else if v.checkFile(c, l.Path, "", l.File.Bytes, l.File.SHA256) {
		c.Detail = ""
	}
	l.right = c.Status == StatusOK
}

// checkFile compares size and checksum of a file, which a prefix names in findings. It reports whether there is none.
func (v *verifier) checkFile(c *Check, path, prefix string, bytes int64, sha256 string) (missing bool) {
	info, err := v.files.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		c.fail(MissingFile, "%sthe file does not exist", prefix)
		return true
	case err != nil:
		c.fail(Unreadable, "%s%v", prefix, err)
		return true
	case !info.Mode().IsRegular():
		c.fail(NotRegular, "%sit is not a regular file", prefix)
		return true
	}
	if info.Size() != bytes {
		c.fail(WrongSize, "%s%s", prefix, Problem{Code: WrongSize, Got: info.Size(), Want: bytes})
	}
	sum, _, err := hashFile(v.ctx, v.files, path)
	if err != nil {
		c.fail(Unreadable, "%s%v", prefix, err)
	} else if sum != sha256 {
		c.fail(WrongChecksum, "%sits SHA-256 is %.16s…, the manifest says %.16s…; it is not read any further", prefix, sum,
			sha256)
	}
	return false
}

// checkPartitions compares the files of a partitioned output with the manifest, and looks for others.
func (v *verifier) checkPartitions(c *Check, l *located) {
	p := l.File.Partitioned
	c.Detail = fmt.Sprintf("SHA-256 and size of %s as in the manifest", text.Count(int64(len(p.Files)), "file"))
	var total File
	for i := range p.Files {
		f := &p.Files[i]
		total.Bytes += f.Bytes
		total.Rows += f.Rows
	}
	if total.Bytes != l.File.Bytes || total.Rows != l.File.Rows || p.sum() != l.File.SHA256 {
		c.fail(Inconsistent, "the manifest's list of its files does not add up to what it says of all")
	}
	if _, err := p.partitions(l.Path); err != nil {
		c.fail(Unreadable, "%v", err)
		return // which may lead elsewhere
	}
	for i := range p.Files {
		f := &p.Files[i]
		v.checkFile(c, partPath(l.Path, f), show(f.Path)+": ", f.Bytes, f.SHA256)
		if v.ctx.Err() != nil {
			return
		}
	}
	c = v.newCheck("files", l.Path)
	added, others, err := v.m.findAdded(v.files, &l.Located)
	if err != nil {
		c.fail(Unreadable, "%v", err)
		return
	}
	for _, below := range added {
		c.fail(UnlistedFile, "%s is not in the manifest, and readers of the directory read it, too", show(below))
	}
	c.Detail = "no other files have such names"
	if others > 0 {
		v.addNote("%s in the directories of %s, and readers of the directories read them, too",
			text.Count(int64(others), "other file"), l.Path)
	}
}

// show is a flag or a variant for a message: in quotes if it is not plain, and cut if it is too long.
func show(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:59]) + "…"
	}
	if s == "" || strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsPrint(r) || r == ' ' || r == '"' ||
			r == utf8.RuneError
	}) {
		return fmt.Sprintf("%q", s)
	}
	return s
}

// kindsText says how many users failed with each kind.
func kindsText(kinds map[pipeline.Kind]int64) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		if kinds[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%s %s", text.Thousands(kinds[kind]), kind))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}
